"""What a policy may see: a picture of one moment, read only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from computeplan.arrays import FloatArray, IntArray

__all__ = ["Placement", "Policy", "View"]

Placement = tuple[int, int]  # job, pool


@dataclass(frozen=True, slots=True)
class View:
    """One moment of one run."""

    now_s: float
    """Wall time. [s]"""
    queue: Sequence[int]
    """Jobs that wait, in the order they came."""
    free: Sequence[int]
    """Nodes of each pool that a job could hold now."""
    running: Sequence[Sequence[tuple[float, int]]]
    """For each pool, when each of its jobs is expected to end [s] and how many nodes it holds."""
    n_nodes: IntArray
    """Nodes a job holds on a pool; 0 where it can never run; shape (n_jobs, n_pools)."""
    wall_s: FloatArray
    """Expected wall time of the whole job, faults and saves included; shape (n_jobs, n_pools).
    [s]"""
    energy_j: FloatArray
    """Expected facility energy of the whole job; shape (n_jobs, n_pools). [J]"""
    deadline_s: FloatArray
    """When a job should have ended; inf without deadline; shape (n_jobs,). [s]"""
    home: IntArray
    """Home pool, or -1; shape (n_jobs,)."""

    def pools_for(self, job: int) -> list[int]:
        """Return the pools that can ever hold a job, in the order of the scenario."""
        return [pool for pool, n in enumerate(self.n_nodes[job]) if n > 0]


Policy = Callable[[View], list[Placement]]
