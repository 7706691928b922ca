"""Faults of a pool, compiled: how often, on which nodes, and what they do to nodes and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.distributions import Law, law_mean_s, law_mean_until_s
from computeplan.specs.faults import Lemons
from computeplan.specs.logs.replay import FaultLog
from computeplan.specs.uncertain import Factor

__all__ = ["Corrupt", "Effect", "Interrupt", "Kind", "Lifetime", "Outcome", "Slow"]

_AS_OBSERVED = Factor()


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The law of one kind of fault of one node."""

    law: Law
    """Of a new node; its mean is the mean time between faults, repair excluded."""
    age_s: float | None
    """Of all nodes at the start; None if steady. [s]"""


class Outcome(NamedTuple):
    """What a fault may take."""

    share_frac: float
    """Its probability."""
    n_nodes: int
    """Nodes that go to repair, all of one group; 0 if none does."""
    level: int
    """Where copies of a job's state are lost: 0 nowhere, 1 one node, 2 a group, 3 everywhere."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stops the job of a node, which goes back to a checkpoint; may send nodes to repair."""

    restart: Law
    """From the fault, or from when the job has all its nodes, to the first new step."""
    outcomes: tuple[Outcome, ...] = ()
    """Other than sending nothing to repair; their shares add up to 1 at most."""
    repair: Law | None = None
    """How long a node stays in repair."""
    automatic: Law | None = None
    """What is tried before the repair, without a crew."""
    mends_frac: float = 0.0
    """Share of the nodes that it restores."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Makes a node hold its job back for a while; stops nothing."""

    to_frac: float
    """Share of its speed at which the job trains."""
    lasts: Law
    """How long, unless the node goes to repair before."""


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Damages the state of a job without notice; what is saved from then on holds the damage."""

    found: Law
    """From the fault to when it is noticed."""
    then: Interrupt
    """What follows when it is noticed."""


Effect = Interrupt | Slow | Corrupt


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault on one pool."""

    index: int
    """Index in `World.kind_names`."""
    name: str
    """As in the scenario."""
    rate_per_node_s: float
    """Faults per node and second of wall time where they were observed, relapses not counted; 0
    where a log is replayed. [1/s]"""
    effect: Effect
    """What it does to nodes and jobs."""
    log: FaultLog | None = None
    """Replayed instead of drawn."""
    lifetime: Lifetime | None = None
    """Of a node, if its law has a memory."""
    is_busy: bool = False
    """Whether such faults are only on nodes of jobs that are not blocked."""
    relapse: Law | None = None
    """How long after its return a node faults again."""
    relapse_frac: float = 0.0
    """Share of the faults that relapse."""
    factor: Factor = _AS_OBSERVED
    """Times `rate_per_node_s` on this pool; drawn once a run, for a chip, where it has limits."""
    observed_on: str = ""
    """Catalogue name of the chip of the rate; empty where it is of the pool's own, or not said."""
    is_assumed: bool = False
    """Whether the factor is assumed and not given."""
    lemons: Lemons | None = None
    """How rates differ between nodes, if they do."""
    is_of_group: bool = False
    """Whether faults are counted by group, such as per rack: then they come whichever of its nodes
    are in repair; else none comes of a node in repair."""

    @property
    def interrupt(self) -> Interrupt | None:
        """How it stops a job, at once or when it is found; None if it stops nothing."""
        if isinstance(self.effect, Corrupt):
            return self.effect.then
        return self.effect if isinstance(self.effect, Interrupt) else None

    @property
    def stop_rate_per_node_s(self) -> float:
        """Like `all_rate_per_node_s`, of faults that stop a job. [1/s]"""
        return self.all_rate_per_node_s if self.interrupt else 0.0

    @property
    def all_rate_per_node_s(self) -> float:
        """Faults per node and second in the long run, on average over what the factor may be.

        Relapses count; the time that repairs take does not. [1/s]
        """
        rate = self.rate_per_node_s * self.factor.mean
        if not rate or self.relapse is None:
            return rate
        if self.lifetime is None:
            return rate / (1 - self.relapse_frac)
        lifetime_s = (1 - self.relapse_frac) / rate
        return 1 / (lifetime_s + self.relapse_frac * law_mean_s(self.relapse))

    @property
    def taken_per_fault(self) -> float:
        """Mean number of nodes that a fault takes."""
        if self.interrupt is None or self.interrupt.repair is None:
            return 0.0
        return sum(outcome.share_frac * outcome.n_nodes for outcome in self.interrupt.outcomes)

    @property
    def automatic_s(self) -> float:
        """Mean length of what is tried before the repair. [s]"""
        first = self.interrupt.automatic if self.interrupt else None
        return law_mean_s(first) if first is not None else 0.0

    @property
    def down_s(self) -> float:
        """Mean time that a fault takes of nodes, if no repair waits for a crew. [s]"""
        if self.interrupt is None or self.interrupt.repair is None:
            return 0.0
        repair_s = (1 - self.interrupt.mends_frac) * law_mean_s(self.interrupt.repair)
        away_s = self.automatic_s + repair_s
        return self.taken_per_fault * away_s

    def n_again(self, until_s: float) -> float:
        """Return about how often a node that is new faults in a time, repairs left out, less one.

        The time over the mean life, cut short at that time: within it and twice it lies how often
        it faults, and once more [1]_. Where many die early that is far more than the rate says.

        .. [1] K. B. Erickson, "The strong law of large numbers when the mean is undefined",
               Transactions of the American Mathematical Society 185, 1973.
        """
        assert self.lifetime is not None
        until_s *= self.factor.high
        return until_s / float(law_mean_until_s(self.lifetime.law, np.array([until_s]))[0]) - 1

    def down_until_s(self, until_s: FloatArray) -> FloatArray:
        """Return the mean time that a node sent to repair is away, cut short at some times. [s]

        What is tried first counts with its mean length.
        """
        assert self.interrupt is not None
        assert self.interrupt.repair is not None
        then_s = law_mean_until_s(
            self.interrupt.repair, np.maximum(until_s - self.automatic_s, 0.0)
        )
        return np.minimum(until_s, self.automatic_s) + (1 - self.interrupt.mends_frac) * then_s

    @property
    def comes_back(self) -> bool:
        """Whether the next fault of a node depends on when it was restored."""
        return self.lifetime is not None or self.relapse is not None
