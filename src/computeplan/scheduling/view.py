"""What a policy may see: a picture of one moment, read only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from computeplan.arrays import FloatArray, IntArray

__all__ = ["Placement", "Policy", "View"]

Placement = tuple[int, int]  # job, pool


@dataclass(frozen=True, slots=True)
class View:
    """One moment of one run.

    Parameters
    ----------
    now_s : float
        Wall time. [s]
    queue : sequence of int
        Jobs that wait, in the order they came.
    free : sequence of int
        Nodes of each pool that a job could hold now.
    running : sequence of sequence of (float, int)
        For each pool, when each of its jobs is expected to end [s] and how many nodes it holds.
    n_nodes : ndarray of int, shape (n_jobs, n_pools)
        Nodes a job holds on a pool; 0 where it can never run.
    wall_s : ndarray, shape (n_jobs, n_pools)
        Expected wall time of the whole job, faults and saves included. [s]
    energy_j : ndarray, shape (n_jobs, n_pools)
        Expected facility energy of the whole job. [J]
    deadline_s : ndarray, shape (n_jobs,)
        When a job should have ended; inf without deadline. [s]
    home : ndarray of int, shape (n_jobs,)
        Home pool, or -1.
    """

    now_s: float
    queue: Sequence[int]
    free: Sequence[int]
    running: Sequence[Sequence[tuple[float, int]]]
    n_nodes: IntArray
    wall_s: FloatArray
    energy_j: FloatArray
    deadline_s: FloatArray
    home: IntArray

    def pools_for(self, job: int) -> list[int]:
        """Return the pools that can ever hold a job, in the order of the scenario."""
        return [pool for pool, n in enumerate(self.n_nodes[job]) if n > 0]


Policy = Callable[[View], list[Placement]]
