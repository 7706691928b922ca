"""A stretch: training and saving in turn since training resumed. Everything in it is arithmetic.

Saves follow seconds of training, whatever the speed; what training brings are seconds of work at
full size and speed, the unit of positions. The rate between the two changes with the size of the
job and with slow nodes; where a pool throttles by the time of day, it is an integral in closed
form, so that only the end of the work takes a root.
"""

from __future__ import annotations

import cmath
import math
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from operator import itemgetter

import numpy as np
from scipy.optimize import brentq

from computeplan.arrays import FloatArray, IntArray
from computeplan.units import DAY_S
from computeplan.world.jobs import Tier

__all__ = ["SLACK", "Schedule", "Stretch"]

SLACK = 1e-9  # a remainder below this share of an interval is rounding, not another save
OMEGA = 2 * math.pi / DAY_S  # [1/s]
SAME_HOUR = 1e-9  # sine of half the angle between beginnings below which all are at one hour


class Schedule:
    """When a job saves, and how its pool throttles: what all its stretches have in common.

    Its work is done at position `work_s`. It has no tiers if no save is part of a stretch.
    """

    def __init__(
        self,
        work_s: float,
        interval_s: float,
        tiers: tuple[Tier, ...],
        save_s: float,
        throttle_frac: float,
    ) -> None:
        self.work_s, self.interval_s, self.tiers, self.save_s = work_s, interval_s, tiers, save_s
        self.throttle_frac = throttle_frac
        self.cycle_s = interval_s + (tiers[0].stall_s if tiers else 0.0)
        self.is_simple = len(tiers) == 1
        self.last_n = tiers[-1].n_intervals if tiers else 1
        self.before_s = sum(tier.stall_s for tier in tiers[:-1])

    def over_s(self, m: int) -> float:
        """Return when the saves after interval `m` are over. [s]"""
        if self.is_simple:
            return m * self.cycle_s
        stalls_s = sum(t.stall_s * (m // t.n_intervals) for t in self.tiers)
        return m * self.interval_s + stalls_s if m else 0.0

    def overs_s(self, m: IntArray) -> FloatArray:
        """Return the same for many intervals, in their shape. [s]"""
        stalls_s = sum(tier.stall_s * (m // tier.n_intervals) for tier in self.tiers)
        return np.asarray(m * self.interval_s + stalls_s, dtype=np.float64)

    def taken_s(self, i: int, j: int) -> float:
        """Return when the stall of save number `j` of tier `i` ends. [s]"""
        m = j * self.tiers[i].n_intervals
        finer = sum(t.stall_s * (m // t.n_intervals) for t in self.tiers[: i + 1])
        coarser = sum(t.stall_s * ((m - 1) // t.n_intervals) for t in self.tiers[i + 1 :])
        return m * self.interval_s + finer + coarser

    def n_over(self, gone_s: float, most: int) -> int:
        """Return the intervals, up to `most`, whose saves are over after some time."""
        if self.is_simple:
            return min(int(gone_s // self.cycle_s), most)
        return bisect_right(range(1, most + 1), gone_s, key=self.over_s)

    def n_taken(self, i: int, gone_s: float, most: int) -> int:
        """Return the saves of tier `i`, up to `most` intervals, whose stall is over."""
        if self.is_simple:
            return min(max(int(gone_s // self.cycle_s), 0), most)
        most //= self.tiers[i].n_intervals
        return bisect_right(range(1, most + 1), gone_s, key=lambda j: self.taken_s(i, j))

    @cached_property
    def _blocks(self) -> list[tuple[int, float, complex]]:
        """Cycles of cycles: intervals in one of each tier, its length, sum of its beginnings."""
        found: list[tuple[int, float, complex]] = []
        n, length_s, total = 1, self.interval_s, 1 + 0j
        for tier in self.tiers:
            repeats = tier.n_intervals // n
            total *= _geometric(repeats, length_s)
            n, length_s = tier.n_intervals, length_s * repeats + tier.stall_s
            found.append((n, length_s, total))
        return found

    def beginnings(self, n: int) -> complex:
        """Return the sum over the first `n` intervals of ``exp(i OMEGA t)``, each at its start."""
        total, at_s = 0j, 0.0
        for size, length_s, inner in reversed(self._blocks):
            repeats, n = divmod(n, size)
            total += cmath.exp(1j * OMEGA * at_s) * _geometric(repeats, length_s) * inner
            at_s += repeats * length_s
        return total


def _geometric(n: int, step_s: float) -> complex:
    """Return the sum of ``exp(i OMEGA k step)`` over k below `n`."""
    half = OMEGA * step_s / 2
    if abs(math.sin(half)) <= SAME_HOUR:
        return complex(n)
    return cmath.exp(1j * (n - 1) * half) * (math.sin(n * half) / math.sin(half))


class Stretch:
    """One stretch of a job.

    `at` says how work follows training: pieces (seconds trained, position, rate), one for each
    change of the rate. `line_s` is the training that counted as kept when it began. `most_s` is the
    training after which something else is due, inf where nothing is.
    """

    __slots__ = ("at", "left_s", "line_s", "most_s", "n_regular", "plan", "start_s")

    def __init__(
        self, plan: Schedule, start_s: float, position_s: float, rate: float, line_s: float
    ) -> None:
        self.plan, self.start_s, self.line_s, self.most_s = plan, start_s, line_s, math.inf
        self.at = [(0.0, position_s, rate)]
        self._look_ahead()

    def effective_s(self, trained_s: float) -> float:
        """Return what training brings at rate 1, throttled by the time of day. [s]

        The speed is ``1 - depth (1 - cos(OMEGA t)) / 2``; the integral of the cosine over intervals
        is a sum over their beginnings.
        """
        plan = self.plan
        depth, e = plan.throttle_frac, plan.interval_s
        if not depth:
            return trained_s
        n = int(trained_s // e) if plan.tiers and e < math.inf else 0
        rest_s, turn = trained_s - n * e if n else trained_s, 0j
        if n:
            turn += plan.beginnings(n) * (cmath.exp(1j * OMEGA * e) - 1)
        last = cmath.exp(1j * OMEGA * plan.over_s(n)) if n else 1 + 0j
        turn += last * (cmath.exp(1j * OMEGA * rest_s) - 1)
        swing = (turn * cmath.exp(1j * OMEGA * self.start_s)).imag
        return trained_s * (1 - depth / 2) + depth / 2 * swing / OMEGA

    def position_s(self, trained_s: float) -> float:
        """Return the position after some training, at most that of the end of the work. [s]"""
        i = 0 if len(self.at) == 1 else bisect_right(self.at, trained_s, key=itemgetter(0)) - 1
        since_s, position_s, rate = self.at[max(i, 0)]
        brings_s = trained_s - since_s
        if self.plan.throttle_frac:
            brings_s = self.effective_s(trained_s) - self.effective_s(since_s)
        return min(position_s + brings_s * rate, self.plan.work_s)

    def _look_ahead(self) -> None:
        """Set the training left, from its start, and the intervals that regular saves follow."""
        plan, (since_s, position_s, rate) = self.plan, self.at[-1]
        work_s = max(plan.work_s - position_s, 0.0) / rate
        self.left_s = since_s + work_s
        if plan.throttle_frac and work_s:
            due_s = self.effective_s(since_s) + work_s
            most_s = due_s / (1 - plan.throttle_frac) * (1 + SLACK)
            bounds = (due_s * (1 - SLACK), most_s)
            self.left_s = brentq(lambda x: self.effective_s(x) - due_s, *bounds, xtol=1e-9)
        self.n_regular = 0
        if plan.tiers:  # all intervals but the last of the work
            self.n_regular = max(math.ceil(self.left_s / plan.interval_s - SLACK), 1) - 1

    def change_rate(self, now_s: float, rate: float) -> None:
        """Let training bring more, or less, from now on."""
        trained_s, _ = self.trained(now_s)
        self.at.append((trained_s, self.position_s(trained_s), rate))
        self._look_ahead()

    def trained(self, now_s: float) -> tuple[float, float]:
        """Return the training until now, and how long a save to the last tier has stalled. [s]"""
        plan, gone_s = self.plan, now_s - self.start_s
        e = plan.interval_s
        if not plan.tiers:
            return min(gone_s, self.left_s, self.most_s), 0.0
        n = plan.n_over(gone_s, self.n_regular)
        rest_s = gone_s - plan.over_s(n)
        if n == self.n_regular:
            last_s = self.left_s - n * e
            return n * e + min(rest_s, last_s), max(rest_s - last_s, 0.0)
        if rest_s < e:
            return n * e + rest_s, 0.0
        before_s = plan.before_s if (n + 1) % plan.last_n == 0 else math.inf
        return (n + 1) * e, max(0.0, rest_s - e - before_s)

    def parts(
        self, from_s: float, to_s: float, trained_s: float, least_s: float
    ) -> Iterator[tuple[float, float, float]]:
        """Yield begin and end of parts of a time, and the training in each, where it begins. [s]

        Parts end where saves are over; several intervals are one where they last less than
        `least_s` together. Until `from_s` it has trained for `trained_s`.
        """
        plan = self.plan
        if plan.tiers:
            n, last = (plan.n_over(at_s - self.start_s, self.n_regular) for at_s in (from_s, to_s))
            n_together = max(1, int(least_s / plan.cycle_s))
            for m in range((n // n_together + 1) * n_together, last + 1, n_together):
                over_s = self.start_s + plan.over_s(m)
                if from_s < over_s < to_s:
                    yield from_s, over_s, m * plan.interval_s - trained_s
                    from_s, trained_s = over_s, m * plan.interval_s
        yield from_s, to_s, self.trained(to_s)[0] - trained_s

    def stalls(self, from_s: float, to_s: float) -> tuple[FloatArray, FloatArray] | None:
        """Return when training stands still to save, within a time; None if it never does.

        Beginnings and ends. [s]
        """
        plan, begin_s, trained_s, first, last = self.plan, self.start_s, self.left_s, 0, 0
        if plan.tiers:
            n = self.n_regular
            first, last = (plan.n_over(at_s - begin_s, n) for at_s in (from_s, to_s))
            if first == last < n and begin_s + plan.over_s(first) + plan.interval_s >= to_s:
                return None
            last = min(last + 1, n)
            trained_s -= n * plan.interval_s
        else:
            n, trained_s = 0, min(trained_s, self.most_s)
        rest_s = begin_s + plan.over_s(n) + trained_s  # all is trained
        if first == last and rest_s >= to_s:
            return None
        m = np.arange(first, last)
        starts = np.append(begin_s + plan.overs_s(m) + plan.interval_s, rest_s)
        ends = np.append(begin_s + plan.overs_s(m + 1), math.inf)
        return np.clip(starts, from_s, to_s), np.clip(ends, from_s, to_s)

    @property
    def end_s(self) -> float:
        """When the work is done and saved, if nothing else happens. [s]"""
        plan = self.plan
        if not plan.tiers:
            return self.start_s + self.left_s
        n = self.n_regular
        return self.start_s + self.left_s + (plan.over_s(n) - n * plan.interval_s) + plan.save_s
