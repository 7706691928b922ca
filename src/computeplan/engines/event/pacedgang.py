"""A job of the event engine that does not always train at full speed.

Intervals, saves and what is lost are seconds of training, as ever; `*work_s` is what they brought,
in seconds at full speed. Since training resumed the speed is known: a share that changes when a
node of the job begins or ceases to hold it back, times the throttling of its pool by the time of
day. Work is the integral of that over training, in closed form, so that only the end of the work
takes a root.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from scipy.optimize import brentq

from computeplan.engines.event.gang import Gang
from computeplan.ledger import LOST, TRAIN, Span
from computeplan.world.jobs import Job

__all__ = ["PacedGang"]

DAY = 2 * math.pi / 86_400.0  # [1/s]
SAME_PHASE = 1e-9  # sine of half the angle between intervals below which all are at one hour


class PacedGang(Gang):
    """A job whose speed varies.

    Training at `paces[i][1]` of its speed began at `paces[i][0]`. Of saves that are there to go
    back to, `work_at` tells by position what they hold. `kept_work_s` and `pending_work_s` belong
    to `kept_s` and `pending_s`, and `done_work_s` and `trained_work_s` to the last `_cycles`.
    """

    def __init__(
        self, index: int, spec: Job, spans: list[Span] | None, throttles: Sequence[float]
    ) -> None:
        super().__init__(index, spec, spans)
        self.throttles = throttles
        self.paces = [(0.0, 1.0)]
        self.kept_work_s = self.pending_work_s = self.lost_work_s = 0.0
        self.done_work_s = self.trained_work_s = 0.0
        self.work_at: dict[float, float] = {}

    def start(self, pool: int, chips_per_node: int, now_s: float) -> None:
        """Begin on a pool whose nodes it has been given."""
        super().start(pool, chips_per_node, now_s)
        self.throttle = self.throttles[pool]

    def set_pace(self, now_s: float, pace: float) -> None:
        """Train at a share of its speed from now on."""
        if pace != self.paces[-1][1]:
            self.ending = None
            self.paces.append((now_s, pace))

    # -- work since training resumed -------------------------------------------------------------

    def _trained_s(self, now_s: float) -> float:
        """Return the training until a time, if the work does not end before. [s]"""
        gone_s = max(0.0, now_s - self.ready_s)
        if self.interval_s == math.inf:
            return gone_s
        n = gone_s // (self.interval_s + self.save_s)
        rest_s = gone_s - n * (self.interval_s + self.save_s)
        return n * self.interval_s + min(rest_s, self.interval_s)

    def _throttled_s(self, trained_s: float) -> float:
        """Return what training brings with no node holding it back. [s]

        The speed is ``1 - depth (1 - cos(DAY t)) / 2``; the sum over whole intervals of the
        integral of the cosine is one of sines at equal angles.
        """
        depth, e = self.throttle, self.interval_s
        if not depth:
            return trained_s
        n = 0.0 if e == math.inf else trained_s // e
        turn = 0.0 if e == math.inf else DAY * (e + self.save_s)
        begin, rest = DAY * self.ready_s + n * turn, DAY * (trained_s - n * e if n else trained_s)
        swing = math.sin(begin + rest) - math.sin(begin)
        if n:
            half = math.sin(turn / 2)
            many = math.sin(n * turn / 2) / half if abs(half) > SAME_PHASE else n
            middle = DAY * self.ready_s + (n - 1) * turn / 2  # of the intervals' beginnings
            if abs(half) <= SAME_PHASE:
                middle = DAY * self.ready_s
            swing += many * (math.sin(middle + DAY * e) - math.sin(middle))
        return trained_s * (1 - depth / 2) + depth / 2 * swing / DAY

    def _unthrottled_s(self, work_s: float) -> float:
        """Return the training that brings some work with no node holding it back. [s]"""
        if not self.throttle or work_s <= 0:
            return work_s
        most_s = work_s / (1 - self.throttle) * (1 + 1e-9)
        return float(
            brentq(lambda x: self._throttled_s(x) - work_s, work_s * (1 - 1e-9), most_s, xtol=1e-9)
        )

    def _work_s(self, trained_s: float) -> float:
        """Return what the training since it resumed has brought. [s]"""
        work_s = 0.0
        for i, (since_s, pace) in enumerate(self.paces):
            is_last = i + 1 == len(self.paces)
            until_s = trained_s if is_last else self._trained_s(self.paces[i + 1][0])
            begin_s, end_s = min(trained_s, self._trained_s(since_s)), min(trained_s, until_s)
            if end_s > begin_s:
                work_s += pace * (self._throttled_s(end_s) - self._throttled_s(begin_s))
        return work_s

    def left_s(self) -> float:
        """Return the training left once it resumes, if its speed changes no more. [s]"""
        left_s = self.work_s - max(self.kept_work_s, self.pending_work_s)
        for (since_s, pace), (until_s, _) in itertools.pairwise(self.paces):
            begin_s, end_s = self._trained_s(since_s), self._trained_s(until_s)
            begun_s = self._throttled_s(begin_s)
            part_s = pace * (self._throttled_s(end_s) - begun_s)
            if 0 < left_s <= part_s:  # the last save is under way
                return self._unthrottled_s(begun_s + left_s / pace)
            left_s -= part_s
        since_s, pace = self.paces[-1]
        return self._unthrottled_s(self._throttled_s(self._trained_s(since_s)) + left_s / pace)

    # -- what a gang is told ---------------------------------------------------------------------

    def _cycles(self, now_s: float) -> tuple[float, float, float]:
        done_s, trained_s, saving_s = super()._cycles(now_s)
        self.done_work_s = self._work_s(done_s)
        self.trained_work_s = self._work_s(done_s + trained_s) - self.done_work_s
        for when_s, position_s in self.complete:
            if when_s > self.ready_s:
                work_s = self.kept_work_s + self._work_s(position_s - self.kept_s)
                self.work_at[position_s] = work_s
        return done_s, trained_s, saving_s

    def _book_until_ready(self, now_s: float) -> None:
        is_kept = now_s >= self.saving_until_s and self.pending_s > self.kept_s
        super()._book_until_ready(now_s)
        if is_kept:
            self.kept_work_s = self.work_at[self.kept_s] = self.pending_work_s

    def _fall_back(self, now_s: float, level: int) -> None:
        trains = not self.is_blocked and now_s > self.ready_s
        saves = not self.is_blocked and self.pending_s > self.kept_s
        super()._fall_back(now_s, level)
        if trains:
            self.kept_work_s += self.done_work_s
            self.lost_work_s += self.trained_work_s
        elif saves:
            self.lost_work_s += self.pending_work_s - self.kept_work_s
        self.pending_work_s = 0.0

    def _go_back(self, clean_by_s: float) -> None:
        super()._go_back(clean_by_s)
        clean_work_s = self.work_at[self.kept_s] if self.complete else 0.0
        self.lost_work_s += self.kept_work_s - clean_work_s
        self.kept_work_s = clean_work_s

    def _down(self, now_s: float, restart_s: float) -> None:
        self.paces = self.paces[-1:]
        positions = {position_s for _, position_s in self.complete}
        self.work_at = {at: work_s for at, work_s in self.work_at.items() if at in positions}
        super()._down(now_s, restart_s)

    def stop(self, now_s: float, lasts_s: float) -> bool:
        """Save, then stand still; return whether the job did stop."""
        trains = not self.is_blocked and now_s > self.ready_s
        stops = super().stop(now_s, lasts_s)
        if stops and trains:
            self.kept_work_s += self.done_work_s
            self.pending_work_s = self.kept_work_s + self.trained_work_s
        return stops

    def end(self, now_s: float) -> None:
        """Book the rest of the work, which ends now."""
        super().end(now_s)
        self.kept_work_s = self.work_s

    def close(self, wall_s: float) -> None:
        """Book what is under way at the end of the run."""
        runs = self.runs
        trains = runs and not self.is_blocked and wall_s > self.ready_s
        super().close(wall_s)
        if trains:
            self.kept_work_s += self.done_work_s + self.trained_work_s
        elif runs:
            self.kept_work_s = max(self.kept_work_s, self.pending_work_s)

    def slow_s(self) -> tuple[float, float]:
        """Return the seconds of training that brought nothing: of what is kept, and lost. [s]"""
        return self.job_s[TRAIN] - self.kept_work_s, self.job_s[LOST] - self.lost_work_s
