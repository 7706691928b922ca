"""A reservation for each job that waits, kept from one event to the next.

In the order of the queue, each job gets the place that is cheapest for it, given those of all
before it; where that can begin now, the job starts. Laid anew at every event, this costs the whole
queue every time. But as long as jobs start and end as expected, nothing moves: those who started
hold what they had reserved, and later jobs have taken only what was left over, so that the place of
a job is still there and all others have become worse. So reservations are kept. They are laid anew
only if what was expected did not happen: a job ended early or late, or nodes were lost or repaired.

A job farther back matters only if it could start now. So reservations are laid from the head of the
queue until nobody behind could start now, and those behind wait without one until that changes.
What starts is the same; `tests` hold it against laying all anew at every event.

Sources
-------
.. [1] A. W. Mu'alem, D. G. Feitelson, "Utilization, predictability, workloads, and user runtime
       estimates in scheduling the IBM SP2 with backfilling", IEEE TPDS 12(6), 2001: conservative
       backfill.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

from computeplan.scheduling.decision import Decision, Start
from computeplan.scheduling.profile import Profile
from computeplan.scheduling.view import SAME_S, View

__all__ = ["Cost", "start_by_reservation"]

Cost = Callable[[View, int, int, float], tuple[float, ...]]
"""What job, pool and end [s] cost; the least is chosen, and of those the one that begins soonest.
It must not fall as the end comes later."""


class _Plan:
    """The reservations, and what is expected by the next event.

    It changes with each decision. Who asks twice at one moment gets the same answer all the same:
    either nobody was to start, or those who were still wait, and reservations are laid anew.
    """

    def __init__(self, view: View) -> None:
        self.profiles = [
            Profile(view.now_s, free, ((end_s, n) for end_s, _, n in ends))
            for free, ends in zip(view.free, view.ends, strict=True)
        ]
        self.laid = -1  # the place in the queue up to which reservations are laid
        self.due: list[tuple[float, int, int, int]] = []  # start, place, job, pool
        self.starts: list[tuple[int, int, int, float]] = []  # place, job, pool, expected end
        self.up, self.n_surprises = _nodes_up(view), view.n_surprises

    def is_kept(self, view: View) -> bool:
        """Return whether all has gone as expected since the last decision."""
        if self.n_surprises != view.n_surprises or self.up != _nodes_up(view):
            return False
        if any(ends and ends[0][0] <= view.now_s for ends in view.ends):
            return False  # a job is overdue
        for _, job, _, end_s in self.starts:
            run = view.running.get(job)
            if run is None:
                if job in view.queue:
                    return False
            elif not math.isclose(run.end_s, end_s, rel_tol=SAME_S):
                return False
        return True

    def start_due(self, view: View) -> None:
        """Start whose time has come."""
        free = list(view.free)
        latest_s = view.now_s * (1.0 + SAME_S)
        early = []
        while self.due and self.due[0][0] <= latest_s:
            start_s, place, job, pool = entry = heapq.heappop(self.due)
            if view.nodes(job, pool) <= free[pool]:
                free[pool] -= view.nodes(job, pool)
                self.starts.append((place, job, pool, start_s + view.wall_s(job, pool)))
            else:
                early.append(entry)  # by rounding: the job before it is about to end
        for entry in early:
            heapq.heappush(self.due, entry)

    def lay(self, view: View, cost: Cost) -> None:
        """Lay reservations until nobody behind could start now."""
        while (last := self._first_who_could_start(view)) >= 0:
            end_s = max(view.now_s + view.wall_s(last, pool) for pool in view.pools_for(last))
            for job, place in view.waiting.behind(self.laid):
                start_s = self._reserve(view, cost, job, place)
                self.laid = place
                if job == last or (start_s < end_s and not self._could_start(view, last)):
                    break

    def _first_who_could_start(self, view: View) -> int:
        """Return the first job without reservation that could start now, or -1."""
        waiting, first, best = view.waiting, -1, math.inf
        if self.laid >= view.n_queued - 1:
            return first
        for pool, profile in enumerate(self.profiles):
            n_free = profile.free_now()
            if n_free == 0 or waiting.first_that_fits(pool, n_free, after=self.laid) < 0:
                continue
            for n_nodes, until_s in profile.free_until():
                job = waiting.first_that_fits(pool, n_nodes, until_s, after=self.laid)
                if job >= 0 and waiting.queue[job] < best:
                    first, best = job, waiting.queue[job]
        return first

    def _could_start(self, view: View, job: int) -> bool:
        return any(
            self.profiles[pool].earliest(view.nodes(job, pool), view.wall_s(job, pool))
            <= view.now_s
            for pool in view.pools_for(job)
        )

    def _reserve(self, view: View, cost: Cost, job: int, place: int) -> float:
        """Take the cheapest place for a job, and return when it begins. [s]"""
        options = []
        for pool in view.pools_for(job):
            nodes, wall_s = view.nodes(job, pool), view.wall_s(job, pool)
            start_s = self.profiles[pool].earliest(nodes, wall_s)
            options.append((cost(view, job, pool, start_s + wall_s), start_s, pool, nodes, wall_s))
        _, start_s, pool, nodes, wall_s = min(options)
        if math.isinf(start_s):
            return start_s  # too many nodes are in repair to say when
        self.profiles[pool].reserve(start_s, wall_s, nodes)
        if start_s <= view.now_s:
            self.starts.append((place, job, pool, start_s + wall_s))
        else:
            heapq.heappush(self.due, (start_s, place, job, pool))
        return start_s


def _nodes_up(view: View) -> list[int]:
    return [free + held for free, held in zip(view.free, view.held, strict=True)]


def start_by_reservation(view: View, cost: Cost) -> Decision:
    """Return the starts of all jobs whose cheapest place can begin now; all others reserve theirs.

    Parameters
    ----------
    view : View
        What is known.
    cost : callable
        What a place costs a job.
    """
    plan = view.memory
    if isinstance(plan, _Plan) and plan.is_kept(view):
        plan.starts = []
        for profile in plan.profiles:
            profile.move(view.now_s)
        plan.start_due(view)
    else:
        plan = _Plan(view)
    plan.lay(view, cost)
    starts = [Start(job, pool) for _, job, pool, _ in sorted(plan.starts)]
    return Decision(starts, memory=plan)
