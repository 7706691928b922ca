"""What strikes a pool, compiled: kinds of faults and planned stops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from computeplan.checks import FloatArray, IntArray
from computeplan.lives import Life
from computeplan.specs.faultlog import FaultLog
from computeplan.specs.faults import Factor, Lemons
from computeplan.specs.laws import Law, law_mean_s, law_mean_until_s

__all__ = ["Kind", "Outcome", "Stop"]

_AS_OBSERVED = Factor()


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
    life : Life or None
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
    life: Life | None = None
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
        if self.life is None:
            return rate / (1 - self.relapse_frac)
        life_s = (1 - self.relapse_frac) / rate
        return 1 / (life_s + self.relapse_frac * law_mean_s(self.relapse))

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
        return self.life is not None or self.relapse is not None


@dataclass(frozen=True, slots=True)
class Stop:
    """One kind of planned stop on one pool: of all its jobs, or of nodes in turn.

    Parameters
    ----------
    index : int
        Index in `World.kind_names`.
    name : str
        As in the scenario.
    interval_s : float
        Time between stops; inf where each has a time of its own. [s]
    lasts : Law
        How long a stop, or the absence of a node, is.
    first_s : float or None
        When the first comes; None after half of the interval. [s]
    at_s : tuple of float
        When they come, where each has a time of its own. [s]
    n_nodes : int
        Nodes taken out at a time; 0 if none is and all jobs stop.
    n_groups : int
        How many times that takes to go through the pool; the last group may be smaller.
    n_rounds : int or None
        How often the pool is gone through; None without end.
    restart : Law or None
        Of jobs whose nodes are taken.
    """

    index: int
    name: str
    interval_s: float
    lasts: Law
    first_s: float | None = None
    at_s: tuple[float, ...] = ()
    n_nodes: int = 0
    n_groups: int = 1
    n_rounds: int | None = None
    restart: Law | None = None

    @property
    def n_times(self) -> int | None:
        """How many there are; None without end."""
        if self.at_s:
            return len(self.at_s)
        return None if self.n_rounds is None else self.n_rounds * self.n_groups

    def times_s(self, until_s: float) -> FloatArray:
        """Return when they come, up to a time and maybe some later ones. [s]"""
        if self.at_s:
            return np.array(self.at_s)
        late = 0.5 if self.first_s is None else 1 - self.first_s / self.interval_s
        n = max(0, math.ceil(until_s / self.interval_s + late))
        if self.n_times is not None:
            n = min(n, self.n_times)
        if self.first_s is None:
            return (np.arange(n, dtype=np.float64) + 0.5) * self.interval_s
        return np.arange(n, dtype=np.float64) * self.interval_s + self.first_s

    def group(self, first: int, n_all: int) -> range:
        """Return the nodes of the group that begins at `first`, of `n_all` in the pool."""
        return range(first, min(first + self.n_nodes, n_all))

    def firsts(self, n: int) -> IntArray:
        """Return the first node of each group, for the first `n` times; they go up from there."""
        return np.arange(n) % self.n_groups * self.n_nodes
