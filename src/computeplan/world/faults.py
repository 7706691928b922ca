"""What strikes a pool, compiled: kinds of faults and planned stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.distributions import Law, law_mean_s, law_mean_until_s
from computeplan.specs.faults import Factor, Lemons
from computeplan.specs.logs.replay import FaultLog

__all__ = ["Kind", "Lifetime", "Outcome"]

_AS_OBSERVED = Factor()


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The law of one kind of fault of one node.

    Parameters
    ----------
    law : Law
        Of a new node; its mean is the mean time between faults, repair excluded.
    age_s : float or None
        Of all nodes at the start; None if steady. [s]
    """

    law: Law
    age_s: float | None


class Outcome(NamedTuple):
    """What a fault may take.

    Parameters
    ----------
    share_frac : float
        Its probability.
    n_nodes : int
        Nodes that go to repair, all of one group; 0 if none does.
    level : int
        Where copies of a job's state are lost: 0 nowhere, 1 one node, 2 a group, 3 everywhere.
    """

    share_frac: float
    n_nodes: int
    level: int


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault on one pool.

    Parameters
    ----------
    index : int
        Index in `World.kind_names`.
    name : str
        As in the scenario.
    rate_per_node_s : float
        Faults per node and second of wall time where they were observed, relapses not counted; 0
        where a log is replayed. [1/s]
    outcomes : tuple of Outcome
        Other than taking nothing; their shares add up to 1 at most.
    restart, repair : Law
        How long these take.
    log : FaultLog or None
        Replayed instead of drawn.
    lifetime : Life or None
        Of a node, if its law has a memory.
    is_busy : bool
        Whether only nodes of jobs that are not blocked are struck.
    automatic : Law or None
        What is tried before the repair, without a crew.
    mends_frac : float
        Share of the nodes that it makes whole.
    relapse : Law or None
        How long after its return a node faults again.
    relapse_frac : float
        Share of the faults that relapse.
    found : Law or None
        How long it stays unnoticed; None if it stops the job at once.
    factor : Factor
        Times `rate_per_node_s` on this pool; drawn once a run, for a chip, where it has limits.
    observed_on : str
        Catalogue name of the chip of the rate; empty where it is of the pool's own, or not said.
    is_assumed : bool
        Whether nobody gave the factor.
    lemons : Lemons or None
        How rates differ between nodes, if they do.
    slow_frac : float or None
        Share of its speed to which it slows a job, for as long as `restart` says; None if it stops
        the job.
    """

    index: int
    name: str
    rate_per_node_s: float
    outcomes: tuple[Outcome, ...]
    restart: Law
    repair: Law | None
    log: FaultLog | None = None
    lifetime: Lifetime | None = None
    is_busy: bool = False
    automatic: Law | None = None
    mends_frac: float = 0.0
    relapse: Law | None = None
    relapse_frac: float = 0.0
    found: Law | None = None
    factor: Factor = _AS_OBSERVED
    observed_on: str = ""
    is_assumed: bool = False
    lemons: Lemons | None = None
    slow_frac: float | None = None

    @property
    def stop_rate_per_node_s(self) -> float:
        """Like `all_rate_per_node_s`, of faults that stop a job. [1/s]"""
        return 0.0 if self.slow_frac is not None else self.all_rate_per_node_s

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
        if self.repair is None:
            return 0.0
        return sum(outcome.share_frac * outcome.n_nodes for outcome in self.outcomes)

    @property
    def automatic_s(self) -> float:
        """Mean length of what is tried before the repair. [s]"""
        return law_mean_s(self.automatic) if self.automatic is not None else 0.0

    @property
    def down_s(self) -> float:
        """Mean time that a fault takes of nodes, if no repair waits for a crew. [s]"""
        if self.repair is None:
            return 0.0
        away_s = self.automatic_s + (1 - self.mends_frac) * law_mean_s(self.repair)
        return self.taken_per_fault * away_s

    def down_until_s(self, until_s: FloatArray) -> FloatArray:
        """Return the mean time that a node which was taken is away, cut short at some times. [s]

        What is tried first counts with its mean length.
        """
        assert self.repair is not None
        then_s = law_mean_until_s(self.repair, np.maximum(until_s - self.automatic_s, 0.0))
        return np.minimum(until_s, self.automatic_s) + (1 - self.mends_frac) * then_s

    @property
    def comes_back(self) -> bool:
        """Whether when a node faults again hangs on when it was whole again."""
        return self.lifetime is not None or self.relapse is not None
