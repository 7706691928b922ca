"""Who trains when electricity is clean or cheap, and pauses or slows down when it is not.

Sources
-------
.. [1] P. Wiesner et al., "Let's wait awhile: how temporal workload shifting can reduce carbon
       emissions in the cloud", Middleware 2021: interruptible jobs that wait for clean hours.
.. [2] W. A. Hanafy et al., "CarbonScaler: leveraging cloud workload elasticity for optimizing
       carbon-efficiency", Proc. ACM Meas. Anal. Comput. Syst. 7(3), 2023: a job that takes more of
       clean hours and less of others does better than one that stops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from computeplan.scheduling.decision import Decision, Start
from computeplan.scheduling.view import Course, PoolTable, View

__all__ = ["GreenHours"]

MOST_STEPS = 10_000
"""Steps of a course that are looked at for a good hour: more than a year of hours."""


@dataclass(frozen=True)
class GreenHours:
    """First come, first served in good hours; in others jobs pause, or slow down to a power cap.

    An hour is good at a pool while ``signal <= most * mean of the signal``: the carbon of its
    electricity, or its price, PUE included. Who waits starts where ``n_nodes <= free`` on a pool in
    a good hour, and of those on the one with the least ``wall_s``. When an hour turns bad, running
    jobs save and wait for a good one [1]_. With ``slow_to > 0`` they go on, and their pool is held
    to that share of what they draw in training [2]_. Nobody with a deadline waits beyond
    ``deadline - wall_s``, and no pool whose hours never turn good waits.

    It loses the rent of what idles, and all that chips draw idle: pausing saves only where bad
    hours are worse than good ones by more than idle chips take of the power of training.
    """

    by: str = "carbon"
    """Which signal: carbon, or cost."""
    most: float = 1.0
    """Up to how many times its mean an hour is good. [1]"""
    slow_to: float = 0.0
    """Share of the power of training to which jobs slow down in bad hours; 0 pauses them."""
    restart_cost_s: float = 0.0
    """How long a paused job takes to begin again, without loading. [s]"""

    def __post_init__(self) -> None:
        if self.by not in ("carbon", "cost"):
            raise ValueError(f"by: must be carbon or cost, not {self.by!r}")
        if not (self.most > 0 and 0 <= self.slow_to <= 1):
            raise ValueError(
                "most must be > 0, and slow_to from 0 to 1: "
                f"most={self.most:g}, slow_to={self.slow_to:g}"
            )

    @property
    def may(self) -> frozenset[str]:
        """What it may do, of `registry.ABILITIES`."""
        return frozenset({"starve", "cap" if self.slow_to > 0 else "pause"})

    def __call__(self, view: View) -> Decision:
        """Return starts, stops or caps, and when the next hour turns."""
        n_pools = len(view.pools.names)
        bad_until_s = [self._bad_until_s(view, pool) for pool in range(n_pools)]
        waits = [self.slow_to == 0 and until_s > view.now_s for until_s in bad_until_s]
        free, starts, again_s = list(view.free), list[Start](), self._turns_s(view)
        for job, _ in view.waiting.behind(-1):
            must_s = self._must_s(view, job)
            is_late = must_s <= view.now_s
            fits = [
                pool
                for pool in view.pools_for(job)
                if view.nodes(job, pool) <= free[pool] and (is_late or not waits[pool])
            ]
            if fits:
                pool = min(fits, key=lambda pool: view.wall_s(job, pool))
                free[pool] -= view.nodes(job, pool)
                starts.append(Start(job, pool, restart_s=self.restart_cost_s))
            elif not is_late:
                again_s = min(again_s, must_s)
        if self.slow_to > 0:
            return Decision(starts, cap_w=self._caps_w(view, starts, bad_until_s), again_s=again_s)
        stops = [
            run.job
            for run in view.running.values()
            if any(waits[pool] for pool, _ in run.parts)
            and run.job not in view.stopping
            and self._may_pause(view, run.job)
        ]
        return Decision(starts, stops, again_s=again_s)

    def lacks(self, pools: PoolTable) -> str:
        """Return why it cannot keep to good hours, empty if it can: a pool never has one."""
        courses = pools.courses.get(self.by, ())
        for name, course in zip(pools.names, courses, strict=False):
            if course.lowest_frac > self._limit_frac(course):
                lowest = course.lowest_frac / course.mean_frac
                return (
                    f"no hour of pool {name} is good: its lowest {self.by} is {lowest:.3g} times"
                    f" its mean, and most is {self.most:g}; write most: {lowest * 1.1:.2g}, say"
                )
        return ""

    def _limit_frac(self, course: Course) -> float:
        return self.most * course.mean_frac * (1 + 1e-9)

    def _course(self, view: View, pool: int) -> Course | None:
        courses = view.pools.courses.get(self.by)
        return None if courses is None else courses[pool]

    def _bad_until_s(self, view: View, pool: int) -> float:
        """Return when the next good hour begins; now if it is one, or if none ever comes. [s]"""
        course, at_s = self._course(view, pool), view.now_s
        if course is None:
            return at_s
        limit = self._limit_frac(course)
        for _ in range(MOST_STEPS):
            if course.at(at_s) <= limit:
                return at_s
            if math.isinf(at_s := course.next_s(at_s)):
                break
        return view.now_s

    def _turns_s(self, view: View) -> float:
        """Return when the hour next turns at some pool. [s]"""
        courses = view.pools.courses.get(self.by, ())
        return min((course.next_s(view.now_s) for course in courses), default=math.inf)

    def _must_s(self, view: View, job: int) -> float:
        """Return when a job must train to end by its deadline; inf without one. [s]"""
        deadline_s = float(view.jobs.deadline_s[job])
        if math.isinf(deadline_s):
            return math.inf
        soonest_s = min(view.wall_s(job, pool) for pool in view.pools_for(job))
        return deadline_s - soonest_s - self.restart_cost_s

    def _may_pause(self, view: View, job: int) -> bool:
        return self._must_s(view, job) > view.now_s

    def _caps_w(
        self, view: View, starts: list[Start], bad_until_s: list[float]
    ) -> dict[int, float]:
        """Return the cap of each pool: a share of what its jobs draw in training, in bad hours."""
        held = list(view.held)
        for start in starts:
            held[start.pool] += view.nodes(start.job, start.pool)
        return {
            pool: self.slow_to * float(view.pools.train_w[pool]) * held[pool]
            if until_s > view.now_s and held[pool]
            else math.inf
            for pool, until_s in enumerate(bad_until_s)
        }
