"""Planned stops of a pool, compiled: of all its jobs, or of nodes in turn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.distributions import Law

__all__ = ["Maintain", "Stop"]


@dataclass(frozen=True, slots=True)
class Maintain:
    """Lets jobs save, and then stand still, or go on without the nodes that are taken out."""

    lasts: Law
    """How long a stop, or the absence of a node, is."""
    n_nodes: int = 0
    """Nodes taken out at a time; 0 if none is and all jobs stop."""
    restart: Law | None = None
    """Of jobs whose nodes are taken out, from when they have all nodes to the first new step."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One kind of planned stop on one pool: of all its jobs, or of nodes in turn."""

    index: int
    """Index in `World.kind_names`."""
    name: str
    """As in the scenario."""
    interval_s: float
    """Time between stops; inf where each has a time of its own. [s]"""
    effect: Maintain
    """What it does to nodes and jobs."""
    first_s: float | None = None
    """When the first comes; None after half of the interval. [s]"""
    at_s: tuple[float, ...] = ()
    """When they come, where each has a time of its own. [s]"""
    n_groups: int = 1
    """How many times that takes to go through the pool; the last group may be smaller."""
    n_rounds: int | None = None
    """How often the pool is gone through; None without end."""

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
        return range(first, min(first + self.effect.n_nodes, n_all))

    def firsts(self, n: int) -> IntArray:
        """Return the first node of each group, for the first `n` times; they go up from there."""
        return np.arange(n) % self.n_groups * self.effect.n_nodes
