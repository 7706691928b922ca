"""Worlds to play by hand, and how their books are checked and held against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from strategies import Script, scripted

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.ledger import COUNTS, FIRST_SERVICE, TRAIN, Ledger
from computeplan.world.world import World

CHIP = {"chip": "nvidia/h100-sxm", "chips_per_node": 1}


FAULT = {"mtbf": "100 h", "per": "node", "takes": "node", "restart": "1 s", "repair": "100 s"}


SAVES = {"every": "10 s", "stall": "0 s"}


BOTH = pytest.mark.parametrize("engine", [batch, event], ids=["batch", "event"])


def world_of(**changes: object) -> World:
    """Four nodes of one chip and one spare; 100 s of work, saves of 1 s after each 10 s."""
    scenario = cp.load(
        {
            "computeplan": 1,
            "name": "scripted",
            "sites": {
                "s": {
                    "pue": 1,
                    "pools": {
                        "p": {
                            "chip": "nvidia/h100-sxm",
                            "chips": 4,
                            "chips_per_node": 1,
                            "spares": "1 nodes",
                        }
                    },
                }
            },
            "faults": {
                "f": {
                    "mtbf": "1 year",
                    "per": "node",
                    "takes": "node",
                    "restart": "1 s",
                    "repair": "1 s",
                }
            },
            "planned": {"stop": {"every": "1 year", "lasts": "1 s"}},
            "jobs": {
                "j": {
                    "train_for": "100 s",
                    "chips": 4,
                    "checkpoint": {"every": "10 s", "stall": "1 s"},
                }
            },
            "simulate": {"horizon": "1000 s"},
        }
    ).with_(changes)
    return compile_world(scenario)


def data_of(chips: dict[str, int], spares: dict[str, int]) -> dict[str, Any]:
    """A site of pools that share spares, with a job on each that needs all of it."""
    pools = {
        p: {**CHIP, "chips": n, "spares": f"{spares.get(p, 0)} nodes"} for p, n in chips.items()
    }
    return {
        "computeplan": 1,
        "name": "shared",
        "sites": {"s": {"pue": 1, "share_spares": True, "pools": pools}},
        "faults": {"f": dict(FAULT)},
        "jobs": {f"on_{p}": job(p, n, "200 s") for p, n in chips.items()},
        "policy": "silo",
    }


def job(home: str, chips: int, train_for: str, arrival: str = "0 s") -> dict[str, Any]:
    """A job that saves every 10 s at no cost."""
    here = {"home": home, "chips": chips, "arrival": arrival}
    return {**here, "train_for": train_for, "checkpoint": SAVES}


class Scripts(Script):
    """The faults of each pool: at a time, on a node, which is away for so long; restart 1 s. [s]"""

    def __init__(self, *by_pool: list[tuple[float, int, float]]) -> None:
        self.by_pool = [
            scripted(*((at_s, 0, node, True, 1.0, away_s) for at_s, node, away_s in arrivals))
            for arrivals in by_pool
        ]

    def arrivals(self, pool: int, until_s: float) -> Any:  # noqa: ARG002
        """Return the script of a pool."""
        return self.by_pool[pool]


def weibull(shape: float, age: str) -> dict[str, object]:
    return {"faults__f__law": {"weibull_min": {"c": shape}}, "faults__f__age": age}


def phases(ledger: Ledger) -> dict[int, float]:
    """Return the seconds of the only job by phase, those that are not 0."""
    seconds = ledger.job_s[0, 0]
    return {i: float(seconds[i]) for i in np.flatnonzero(np.abs(seconds) > 1e-12)}


def assert_same_books(one: Ledger, other: Ledger, world: World) -> None:
    """Compare two ledgers to 1e-9 of the chip-seconds of a run."""
    chips = sum(pool.n_chips for pool in world.pools)
    scale = float(one.wall_s.max()) * chips
    columns = ("chip_s", "job_s", "first_start_s", "end_s", "wall_s", "step_factor")
    pairs = [(name, getattr(one, name), getattr(other, name)) for name in columns]
    pairs += [(name, one.weighted(name), other.weighted(name)) for name in ("slow",)]
    pairs += [(name, one.counts[name], other.counts[name]) for name in COUNTS]
    for name, a, b in pairs:
        same = np.isinf(a) & (a == b)
        worst = np.abs(np.where(same, 0.0, a) - np.where(same, 0.0, b)).max(initial=0.0)
        assert worst <= 1e-9 * scale, (name, worst)


def check_timeline(ledger) -> None:
    """Check that the timeline of the first run adds up to its books: by job, pool and phase.

    And by service and pool.
    """
    told, served = np.zeros_like(ledger.chip_s[0]), np.zeros_like(ledger.served[0, ..., 0])
    for span in ledger.spans or ():
        chip_s = (span.end_s - span.start_s) * span.n_chips
        if span.job <= FIRST_SERVICE:
            served[FIRST_SERVICE - span.job, span.pool] += chip_s
        else:
            told[span.job, span.pool, span.phase] += chip_s
    for found, booked in ((told[:-1], ledger.chip_s[0, :-1]), (served, ledger.served[0, ..., 0])):
        np.testing.assert_allclose(found, booked, rtol=1e-9, atol=1e-7 * (booked.sum() + 1))


def check(ledger, world) -> None:
    """Check what must hold of any ledger."""
    if ledger.spans is not None:
        check_timeline(ledger)
    chips = np.array([pool.n_chips for pool in world.pools], dtype=float)
    total = ledger.chip_s.sum(axis=(1, 3)) + ledger.served[..., 0].sum(axis=1)
    np.testing.assert_allclose(total, chips * ledger.wall_s[:, None], rtol=1e-9)
    assert (ledger.chip_s >= -1e-6 * chips.max()).all()
    if not len(world.jobs):
        return
    # a job's seconds are the time from its arrival to its end, or to the end of the run
    arrival_s = np.array([job.arrival_s for job in world.jobs])
    until_s = np.minimum(ledger.end_s, ledger.wall_s[:, None])
    present_s = np.maximum(until_s - arrival_s, 0.0)
    np.testing.assert_allclose(ledger.job_s.sum(axis=2), present_s, rtol=1e-9, atol=1e-6)
    finished = np.isfinite(ledger.end_s)
    train_s = [np.where(job.whole_nodes > 0, job.train_s, np.inf) for job in world.jobs]
    work_s = (np.array(train_s) * ledger.step_factor).min(axis=2)
    assert (ledger.job_s[..., TRAIN][finished] >= work_s[finished] * (1 - 1e-9)).all()
