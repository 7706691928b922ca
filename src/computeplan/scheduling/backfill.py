"""EASY backfill: the first job that cannot start has a reservation, and those behind go round it.

Where nothing but new jobs has come since the last decision, those who did not fit then do not fit
now: nodes have not become free, and ends have not come nearer. So only new jobs are looked at.

Sources
-------
.. [1] D. A. Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995, LNCS 949.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from computeplan.scheduling.decision import NOTHING, Decision, Start
from computeplan.scheduling.view import SAME_S, View
from computeplan.scheduling.waiting import Room, Waiting

__all__ = ["Round", "reserve", "start_only"]


class _Seen(NamedTuple):
    """What is left after a decision, for those who come next."""

    n_queued: int
    n_changes: int
    free: list[int]
    started: list[tuple[int, float]]
    """Jobs, and when they are expected to end. [s]"""
    limits: list[tuple[float, int]]
    """For each pool, the end [s] and the spare nodes of its `Room`."""
    head: int
    """The job that has a reservation, or -1."""


class Round:
    """One decision while it is made: what is left of each pool, and who starts.

    Parameters
    ----------
    view : View
        What is known.
    free : sequence of int, optional
        Nodes of each pool that may be taken, if not all that are free.
    """

    __slots__ = ("after", "ends", "head", "leaving", "rooms", "started", "starts", "view")

    def __init__(self, view: View, free: Sequence[int] | None = None) -> None:
        self.view = view
        self.rooms = [Room(n) for n in (view.free if free is None else free)]
        self.starts: list[Start] = []
        self.started: list[tuple[int, float]] = []
        self.ends: dict[int, list[tuple[float, int, int]]] = {}
        self.leaving: Collection[int] = ()
        self.after, self.head = -1, -1
        seen = view.memory
        if isinstance(seen, _Seen) and _is_as_seen(view, seen):
            self.after, self.head = seen.n_queued - 1, seen.head
            for room, (end_by_s, n_spare) in zip(self.rooms, seen.limits, strict=True):
                room.end_by_s, room.n_spare = end_by_s, n_spare

    def start(self, job: int, pool: int, restart_s: float = 0.0) -> None:
        """Let a job start."""
        view = self.view
        if restart_s and job not in view.left_frac:
            restart_s = 0.0
        end_s = view.now_s + restart_s + view.wall_s(job, pool)
        n_nodes = view.nodes(job, pool)
        self.rooms[pool].take(n_nodes, end_s)
        self.ends.setdefault(pool, []).append((end_s, job, n_nodes))
        self.starts.append(Start(job, pool, restart_s=restart_s))
        self.started.append((job, end_s))

    def start_what_fits(self, line: Waiting, after: int, restart_s: float = 0.0) -> None:
        """Let all jobs of a line start that fit, in their order."""
        for job, pool in line.that_fit(self.rooms, after):
            self.start(job, pool, restart_s)

    def all_ends(self, pool: int) -> Iterable[tuple[float, int, int]]:
        """Return when nodes of a pool come free, of those who start now included; soonest first."""
        ends: Iterable[tuple[float, int, int]] = self.view.ends[pool]
        if self.leaving:
            ends = [end for end in ends if end[1] not in self.leaving]
        return heapq.merge(ends, sorted(self.ends[pool])) if pool in self.ends else ends

    def fits(self, job: int, pool: int) -> bool:
        """Return whether a job may start on a pool now."""
        n_nodes, room = self.view.nodes(job, pool), self.rooms[pool]
        if n_nodes > room.n_nodes:
            return False
        end_s = self.view.now_s + self.view.wall_s(job, pool)
        return n_nodes <= room.n_spare or end_s <= room.end_by_s

    def first_with_room(self, job: int) -> int:
        """Return the first pool on which a job fits, in the order of the scenario, or -1."""
        sizes = self.view.sizes(job)
        for pool in self.view.pools_for(job):
            if sizes[pool] <= self.rooms[pool].n_nodes:
                return pool
        return -1

    def decision(self) -> Decision:
        """Return what was decided."""
        view = self.view
        memory = _Seen(
            view.n_queued,
            view.n_changes + len(self.starts),
            [room.n_nodes for room in self.rooms],
            self.started,
            [(room.end_by_s, room.n_spare) for room in self.rooms],
            self.head,
        )
        return Decision(self.starts, memory=memory)


def start_only(view: View) -> Decision:
    """Return the start of the only job that waits, on the first pool with room, if there is one."""
    job = view.waiting.first()
    sizes = view.sizes(job)
    for pool in view.pools_for(job):
        if sizes[pool] <= view.free[pool]:
            return Decision([Start(job, pool)])
    return NOTHING


def _is_as_seen(view: View, seen: _Seen) -> bool:
    if seen.n_changes != view.n_changes or seen.free != view.free:
        return False
    for job, end_s in seen.started:
        if job not in view.running or view.running[job].end_s != end_s:
            return False
    return True


def reserve(
    made: Round, job: int, ends: Callable[[int], Iterable[tuple[float, int, int]]] | None = None
) -> None:
    """Keep nodes for a job that waits, on the pool where it is expected to start soonest [1]_.

    On that pool, only jobs fit from now on that end before then, or hold no more nodes than will
    be left.

    Parameters
    ----------
    made : Round
        The decision so far.
    job : int
        A job that does not fit.
    ends : callable, optional
        For a pool, the ends to wait for, if not all of them.
    """
    view = made.view
    made.head = job
    best_pool, best_s, n_left = -1, math.inf, 0
    for pool in view.pools_for(job):
        nodes, available = view.nodes(job, pool), made.rooms[pool].n_nodes
        start_s = math.inf
        for end_s, _, given in (ends or made.all_ends)(pool):
            if end_s > best_s:
                break  # another pool is sooner
            if available >= nodes and not math.isclose(end_s, start_s, rel_tol=SAME_S):
                break
            available, start_s = available + given, end_s
        if available >= nodes and start_s < best_s:
            best_pool, best_s, n_left = pool, start_s, available - nodes
    if best_pool >= 0:
        made.rooms[best_pool].end_by_s, made.rooms[best_pool].n_spare = best_s, n_left
