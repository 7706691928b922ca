"""The plain SimPy model of ``benchmarks/yardstick.py`` with nodes that age, relapse and wait.

One process per node, which shares no code with the package: a node lives by a Weibull law, at first
for what is left of a life that began long ago; it comes back new; some faults relapse; nodes may
have rates of their own; crews are a SimPy resource.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, NamedTuple

import simpy

BURN_IN = 30  # mean lives before the start


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


def play(yardstick: Any, case: Any, ages: Ages, seed: int) -> Any:  # noqa: C901 - one class
    """Play one run; `yardstick` is the module."""

    class Cluster(yardstick.Cluster):
        def __init__(self) -> None:
            self.crews: simpy.Resource | None = None
            super().__init__(case, seed)

        def life_s(self, rate: float = 1.0) -> float:
            scale_s = case.node_mtbf_s / math.gamma(1 + 1 / ages.shape) / rate
            return self.random.weibullvariate(scale_s, ages.shape)

        def first_life_s(self, rate: float) -> float:
            if ages.is_new:
                return self.life_s(rate)
            born_s = -BURN_IN * case.node_mtbf_s * (1 + self.random.random())
            while born_s <= 0:
                born_s += self.life_s()
            return born_s

        def run_node(self, node: int) -> Generator[simpy.Event, Any, None]:
            self.crews = self.crews or simpy.Resource(self.env, ages.n_crews)
            rate = 1.0
            if ages.lemon_cv:
                rate = self.random.gammavariate(ages.lemon_cv**-2, ages.lemon_cv**2)
            yield self.env.timeout(self.first_life_s(rate))
            while True:
                self.book()
                is_taken = self.random.random() < case.takes_node_frac
                if node in self.held:
                    self.n_unexpected += 1
                    if is_taken:
                        self.held.remove(node)
                        if self.spares:
                            self.held.add(self.spares.popleft())
                    if self.phase != "blocked":
                        self.job.interrupt()
                else:
                    self.n_idle_faults += 1
                    if is_taken:
                        self.spares.remove(node)
                if is_taken:
                    self.in_repair.add(node)
                    yield from self.repair()
                    self.book()
                    self.in_repair.remove(node)
                    self.give_back(node)
                if self.random.random() < ages.relapse_frac:
                    yield self.env.timeout(self.random.expovariate(1 / ages.relapse_mean_s))
                else:
                    yield self.env.timeout(self.life_s(rate))

        def repair(self) -> Generator[simpy.Event, Any, None]:
            assert self.crews is not None
            if ages.automatic_s:
                yield self.env.timeout(ages.automatic_s)
                if self.random.random() < ages.mends_frac:
                    return
            with self.crews.request() as crew:
                yield crew
                yield self.env.timeout(self.draw_s(case.repair_median_s, case.repair_sigma))

    cluster = Cluster()
    cluster.env.run(until=cluster.job)
    cluster.book()
    cluster.settle("train")
    return yardstick.Run(
        n_unexpected=cluster.n_unexpected,
        n_idle_faults=cluster.n_idle_faults,
        node_s=cluster.node_s,
        end_s=cluster.env.now,
        is_done=cluster.job.processed,
    )
