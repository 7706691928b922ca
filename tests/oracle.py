"""The plain SimPy model of ``benchmarks/yardstick.py``, what it lacks, and how to be held to it.

One process per node, which shares no code with the package. With `Ages` a node lives by a Weibull
law, at first for what is left of a life that began long ago; it comes back new; some faults
relapse; nodes may have rates of their own; crews are a SimPy resource.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import simpy
import yardstick
from scipy import stats

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.ledger import BLOCKED, IDLE, LOST, REPAIR, RESTART, SAVE, TRAIN

HOUR_S = 3600.0
BURN_IN = 30  # mean lives before the start
PHASES = {"lost": LOST, "save": SAVE, "restart": RESTART, "blocked": BLOCKED}
CASE = yardstick.Case(
    n_nodes=16,
    n_spares=2,
    node_mtbf_s=400 * HOUR_S,
    takes_node_frac=0.7,
    restart_median_s=0.3 * HOUR_S,
    restart_sigma=0.5,
    repair_median_s=8 * HOUR_S,
    repair_sigma=1.0,
    interval_s=2 * HOUR_S,
    save_s=0.1 * HOUR_S,
    work_s=150 * HOUR_S,
)


def scenario_of(**changes: object) -> Any:
    """`CASE` as a scenario: often blocked, so that mistakes show."""
    return cp.load(
        {
            "computeplan": 1,
            "name": "faults",
            "sites": {
                "s": {
                    "pue": 1,
                    "pools": {
                        "p": {
                            "chip": "H100-SXM",
                            "chips": 16,
                            "chips_per_node": 1,
                            "spares": "2 nodes",
                        }
                    },
                }
            },
            "faults": {
                "f": {
                    "mtbf": "400 h",
                    "per": "node",
                    "takes": {"node": 0.7, "nothing": 0.3},
                    "restart": {"lognormal": {"median": "0.3 h", "sigma": 0.5}},
                    "repair": {"lognormal": {"median": "8 h", "sigma": 1.0}},
                }
            },
            "jobs": {
                "j": {
                    "train_for": "150 h",
                    "chips": 16,
                    "checkpoint": {"every": "2 h", "stall": "0.1 h"},
                }
            },
        }
    ).with_({path.replace("__", "."): value for path, value in changes.items()})


def assert_engines_agree(runs: Sequence[Any], scenario: Any, *, n_batch: int, n_event: int) -> None:
    """Hold as many runs of each engine against runs of the oracle: means, and all wall times."""
    expected = {
        "end_s": [run.end_s for run in runs],
        "n_unexpected": [run.n_unexpected for run in runs],
        "n_idle_faults": [run.n_idle_faults for run in runs],
        **{name: [run.node_s[name] for run in runs] for name in (*PHASES, "idle", "repair")},
    }
    world = compile_world(scenario)
    for engine, n_runs in ((batch, n_batch), (event, n_event)):
        ledger = engine.play(world, 3, 0, n_runs)
        assert ledger.job_s[:, 0, TRAIN] == pytest.approx(CASE.work_s)
        found = {
            "end_s": ledger.end_s[:, 0],
            "n_unexpected": ledger.counts["interruptions"][:, 0],
            "n_idle_faults": ledger.counts["idle_faults"][:, 0],
            "idle": ledger.chip_s[:, -1, 0, IDLE],
            "repair": ledger.chip_s[:, -1, 0, REPAIR],
            **{name: ledger.chip_s[:, 0, 0, phase] for name, phase in PHASES.items()},
        }
        for name, values in found.items():
            theirs, ours = np.asarray(expected[name], dtype=float), np.asarray(values, dtype=float)
            spread = math.hypot(
                theirs.std(ddof=1) / math.sqrt(theirs.size), ours.std(ddof=1) / math.sqrt(ours.size)
            )
            # 4 standard errors: 1 false alarm in 16,000, and the seeds are fixed
            assert abs(theirs.mean() - ours.mean()) <= 4 * spread + 1e-9, (engine.__name__, name)
        # all quantiles of the wall time at once; p > 1e-4, and the seeds are fixed
        assert stats.ks_2samp(found["end_s"], expected["end_s"]).pvalue > 1e-4, engine.__name__


class Ages(NamedTuple):
    """What the yardstick lacks."""

    shape: float
    is_new: bool = False
    n_crews: int = 10_000
    automatic_s: float = 0.0
    mends_frac: float = 0.0
    relapse_frac: float = 0.0
    relapse_mean_s: float = 0.0
    lemon_cv: float = 0.0


class AgeingCluster(yardstick.Cluster):
    """The yardstick's cluster of nodes that age."""

    def __init__(self, case: yardstick.Case, seed: int, ages: Ages) -> None:
        self.ages = ages
        super().__init__(case, seed)
        self.crews = simpy.Resource(self.env, ages.n_crews)

    def lifetime_s(self, rate: float = 1.0) -> float:
        shape = self.ages.shape
        scale_s = self.case.node_mtbf_s / math.gamma(1 + 1 / shape) / rate
        return self.random.weibullvariate(scale_s, shape)

    def first_lifetime_s(self, rate: float) -> float:
        if self.ages.is_new:
            return self.lifetime_s(rate)
        born_s = -BURN_IN * self.case.node_mtbf_s * (1 + self.random.random())
        while born_s <= 0:
            born_s += self.lifetime_s()
        return born_s

    def run_node(self, node: int) -> Generator[simpy.Event, Any, None]:
        ages, rate = self.ages, 1.0
        if ages.lemon_cv:
            rate = self.random.gammavariate(ages.lemon_cv**-2, ages.lemon_cv**2)
        yield self.env.timeout(self.first_lifetime_s(rate))
        while True:
            if self.arrival(node):
                yield from self.repair()
                self.give_back(node)
            if self.random.random() < ages.relapse_frac:
                yield self.env.timeout(self.random.expovariate(1 / ages.relapse_mean_s))
            else:
                yield self.env.timeout(self.lifetime_s(rate))

    def repair(self) -> Generator[simpy.Event, Any, None]:
        if self.ages.automatic_s:
            yield self.env.timeout(self.ages.automatic_s)
            if self.random.random() < self.ages.mends_frac:
                return
        with self.crews.request() as crew:
            yield crew
            yield self.env.timeout(self.draw_s(self.case.repair_median_s, self.case.repair_sigma))


def play(case: yardstick.Case, ages: Ages, seed: int) -> yardstick.Run:
    """Play one run."""
    return yardstick.run_out(AgeingCluster(case, seed, ages))
