"""Policies that stop running jobs for others: a stopped job saves, and waits again.

A stop takes as long as the save, and the engine starts who is to have the nodes once all of them
are free. Until then the policy remembers whom it promised them to: it stops nobody twice for one
job, and gives what comes free in between to nobody else.

Sources
-------
.. [1] L. Schrage, "A proof of the optimality of the shortest remaining processing time discipline",
       Operations Research 16(3), 1968: of all disciplines on one machine it has the fewest jobs in
       the system at any time.
.. [2] D. A. Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995, LNCS 949: EASY backfill.
.. [3] J. Gu et al., "Tiresias: a GPU cluster manager for distributed deep learning", NSDI 2019:
       gangs with preemption, and thresholds that keep it rare.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from computeplan.scheduling.backfill import Round, reserve
from computeplan.scheduling.decision import Decision
from computeplan.scheduling.registry import may
from computeplan.scheduling.view import Running, View
from computeplan.scheduling.waiting import Room

__all__ = ["Priority", "ShortestRemaining"]


class _Promise(NamedTuple):
    """Nodes of a pool that a job gets once others have given them back."""

    job: int
    pool: int
    stopped: tuple[tuple[int, float], ...]
    """Jobs that are to stop, and when they had started. [s]"""


class _Stops:
    """Who is to stop for whom, and the nodes that may be taken meanwhile."""

    def __init__(self, view: View) -> None:
        self.view = view
        known = view.memory if isinstance(view.memory, tuple) else ()
        self.promises = [
            promise
            for promise in known
            if promise.job in view.queue and any(_still_runs(view, *run) for run in promise.stopped)
        ]
        free, self.stops = list(view.free), list[int]()
        for job, pool, stopped in self.promises:
            to_come = sum(
                view.running[victim].n_nodes
                for victim, start_s in stopped
                if _still_runs(view, victim, start_s)
            )
            promised = max(0, view.nodes(job, pool) - to_come)
            free[pool] = max(0, free[pool] - promised)
        self.leaving = {job for promise in self.promises for job, _ in promise.stopped}
        self.leaving |= view.stopping  # some may save for who has started elsewhere meanwhile
        self.made = Round(view, free)
        self.made.leaving = self.leaving
        for job, pool, _ in self.promises:
            end_s = view.now_s + view.wall_s(job, pool)
            self.made.ends.setdefault(pool, []).append((end_s, job, view.nodes(job, pool)))
        self.served = {promise.job for promise in self.promises}

    def promise(self, job: int, pool: int, victims: Iterable[Running]) -> None:
        """Stop jobs, and let another start on their nodes."""
        victims = list(victims)
        stopped = tuple((run.job, run.start_s) for run in victims)
        self.promises.append(_Promise(job, pool, stopped))
        self.stops += [run.job for run in victims]
        self.leaving.update(self.stops)
        self.served.add(job)

    def decision(self) -> Decision:
        return Decision(self.made.starts, self.stops, memory=tuple(self.promises) or None)


def _still_runs(view: View, job: int, start_s: float) -> bool:
    return job in view.running and view.running[job].start_s == start_s


def _fewest(victims: list[Running], lacking: int) -> list[Running]:
    """Return those who suffice: the last are spared first, if their nodes are not needed."""
    left = sum(run.n_nodes for run in victims) - lacking
    for run in reversed(victims):
        if run.n_nodes <= left:
            left -= run.n_nodes
            victims.remove(run)
    return victims


# -- shortest remaining first ----------------------------------------------------------------------


@may("starve")
@dataclass(frozen=True)
class ShortestRemaining:
    """The job with the least expected time left first, running jobs included [1]_.

    Jobs that wait are taken by their least ``wall_s``. One that fits starts, on the pool with room
    where it is shortest. One that does not stops the k jobs of its best pool that have longest to
    go, if by expectation the sum of completion times falls: ``begins - now > k * (wall_s +
    restart_s) + gain_s``, where `begins` is when it would start without that, and each of the k has
    more than ``wall_s + restart_s`` to go. After the first for whom it does not pay nobody stops
    any more [3]_, and the shortest of those who fit start.

    It loses where saving and restarting take long, on the longest waits, and where expected times
    are wrong: large or long jobs may starve.
    """

    restart_cost_s: float = 0.0
    """How long a stopped job takes to begin again, without loading. [s]"""
    gain_s: float = 0.0
    """By how much the sum of completion times must fall at least. [s]"""

    def __call__(self, view: View) -> Decision:
        """Return starts and stops."""
        stops = _Stops(view)
        made = stops.made
        most = [Room(room.n_nodes + n) for room, n in zip(made.rooms, view.held, strict=True)]
        for job, pool, wall_s in view.waiting.shortest_that_fit(most):
            if job in stops.served:
                continue
            best = self._shortest_with_room(made, job)
            if best < 0:
                if not self._stop_for(stops, job, pool, wall_s + self.restart_cost_s):
                    break
                best = pool
            made.start(job, best, self.restart_cost_s)
            stops.served.add(job)
        if any(room.n_nodes > 0 for room in made.rooms):
            for job, pool, _ in view.waiting.shortest_that_fit(made.rooms):
                if job not in stops.served:
                    made.start(job, pool, self.restart_cost_s)
        return stops.decision()

    def _shortest_with_room(self, made: Round, job: int) -> int:
        view = made.view
        fits = [(view.wall_s(job, p), p) for p in view.pools_for(job) if made.fits(job, p)]
        return min(fits)[1] if fits else -1

    def _stop_for(self, stops: _Stops, job: int, pool: int, cost_s: float) -> bool:
        """Return whether it pays that others stop for a job, and if so let them."""
        view, made = stops.view, stops.made
        victims = self._victims(view, stops, job, pool, view.now_s + cost_s)
        if not victims:
            return False
        gains_s = _begins_s(view, made, job, pool) - view.now_s
        if gains_s <= len(victims) * cost_s + self.gain_s:
            return False
        stops.promise(job, pool, victims)
        made.rooms[pool].n_nodes += sum(run.n_nodes for run in victims)
        return True

    def _victims(
        self, view: View, stops: _Stops, job: int, pool: int, latest_s: float
    ) -> list[Running]:
        """Return who must stop for a job to start: the last to end, all after `latest_s`."""
        victims = list[Running]()
        lacking = still = view.nodes(job, pool) - stops.made.rooms[pool].n_nodes
        for end_s, other, n_nodes in reversed(view.ends[pool]):
            if end_s <= latest_s or still <= 0:
                break
            run = view.running[other]
            # Who starts now is not stopped now: it may end later than expected of a job that waits,
            # as its nodes are slow, and two such would stop each other without end.
            if other not in stops.leaving and run.start_s < view.now_s:
                victims.append(run)
                still -= n_nodes
        return _fewest(victims, lacking) if still <= 0 else []


def _begins_s(view: View, made: Round, job: int, pool: int) -> float:
    """Return when a job would start if nobody stopped, by what is expected. [s]"""
    lacking = view.nodes(job, pool) - made.rooms[pool].n_nodes
    for end_s, _, n_nodes in made.all_ends(pool):
        lacking -= n_nodes
        if lacking <= 0:
            return end_s
    return math.inf


# -- priorities ------------------------------------------------------------------------------------


def _priority(view: View, job: int) -> int:
    return view.priority[job]


@dataclass(frozen=True)
class Priority:
    """The job with the highest priority first, then by arrival; lower ones stop for it.

    For a job, nodes are free that nobody holds, or running jobs with ``priority < its own``. Where
    it needs the latter, those of the lowest priority stop first, and among them the one that
    started last, which has done the least. The first job that does not fit even so gets a
    reservation, and those behind it start where that does not delay it [2]_.

    It loses wherever saves and restarts take long, for all they stop; low ones may starve while
    high ones keep coming.
    """

    restart_cost_s: float = 0.0
    """How long a stopped job takes to begin again, without loading. [s]"""

    def __call__(self, view: View) -> Decision:
        """Return starts and stops."""
        stops = _Stops(view)
        made, lines = stops.made, view.lines(_priority)
        free = [room.n_nodes for room in made.rooms]  # held by nobody, or by those who leave
        for priority in sorted((p for p in lines if lines[p].queue), reverse=True):
            line, after = lines[priority], -1
            lower = _held_below(stops, priority)
            for room, idle, held in zip(made.rooms, free, lower, strict=True):
                room.n_nodes = idle + held
            if made.head < 0:
                for job, place in line.behind(-1):
                    after = place
                    if job not in stops.served and not self._start(stops, free, job):
                        ends = partial(_ends_from, made, priority)
                        reserve(made, job, ends)
                        break
            if made.head >= 0 and any(room.n_nodes > 0 for room in made.rooms):
                for job, _ in line.that_fit(made.rooms, after):
                    if job not in stops.served:
                        self._start(stops, free, job)
        return stops.decision()

    def _start(self, stops: _Stops, free: list[int], job: int) -> bool:
        """Start a job if it fits, on the first pool where nobody must stop for it, if any."""
        made, view = stops.made, stops.view
        fits = [p for p in view.pools_for(job) if made.fits(job, p)]
        if not fits:
            return False
        pool = next((p for p in fits if view.nodes(job, p) <= free[p]), fits[0])
        lacking = view.nodes(job, pool) - free[pool]
        if lacking > 0:
            victims = _lowest(stops, job, pool, lacking)
            stops.promise(job, pool, victims)
            free[pool] += sum(run.n_nodes for run in victims)
        free[pool] -= view.nodes(job, pool)
        made.start(job, pool, self.restart_cost_s)
        return True


def _held_below(stops: _Stops, priority: int) -> list[int]:
    """Return the nodes of each pool held by jobs of lower priority that are not about to leave."""
    view, below = stops.view, [0] * len(stops.view.held)
    for which, held in view.holds(_priority).items():
        if which < priority:
            below = [n + more for n, more in zip(below, held, strict=True)]
    for job in stops.leaving:
        if job in view.running and view.priority[job] < priority:
            below[view.running[job].pool] -= view.running[job].n_nodes
    return below


def _ends_from(made: Round, priority: int, pool: int) -> Iterator[tuple[float, int, int]]:
    """Yield when jobs of a pool end that do not stop for a priority, soonest first."""
    known = made.view.priority
    return (end for end in made.all_ends(pool) if known[end[1]] >= priority)


def _lowest(stops: _Stops, job: int, pool: int, lacking: int) -> list[Running]:
    """Return who stops for a job, of which there are enough."""
    view, mine = stops.view, stops.view.priority[job]
    lower = [
        (view.priority[other], -view.running[other].start_s, other)
        for _, other, _ in view.ends[pool]
        if view.priority[other] < mine and other not in stops.leaving
    ]
    victims, still = list[Running](), lacking
    for _, _, other in sorted(lower):
        if still <= 0:
            break
        victims.append(view.running[other])
        still -= victims[-1].n_nodes
    return _fewest(victims, lacking)
