"""How many nodes of a pool will be free when, if jobs end as expected.

Free nodes are steps in time, kept as arrays: a reservation is a slice, and the first gap that is
long enough is searched in windows that grow, so that neither walks a long profile step by step. As
reservations only take, a gap that was too small for one job is too small for all that are as large
and as long: by powers of two of both, the profile remembers before when there is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from computeplan.arrays import FloatArray, IntArray

__all__ = ["Profile"]

WINDOW = 64  # steps looked at first


class Profile:
    """Free nodes of one pool as steps in time, onto which reservations are laid.

    Parameters
    ----------
    now_s : float
        Start of the profile. [s]
    free : int
        Nodes free now.
    ends : iterable of (float, int)
        When running jobs are expected to end [s], and the nodes they then give back.

    Examples
    --------
    >>> profile = Profile(0.0, 2, [(10.0, 6)])
    >>> profile.earliest(4, 5.0)
    10.0
    >>> profile.reserve(10.0, 5.0, 8)
    >>> profile.earliest(2, 12.0)  # would run into the reservation
    15.0
    """

    def __init__(self, now_s: float, free: int, ends: Iterable[tuple[float, int]]) -> None:
        times_s, levels = [now_s], [free]
        soon_s = math.nextafter(now_s, math.inf)  # a job that is overdue still holds its nodes
        for end_s, nodes in sorted((max(end_s, soon_s), nodes) for end_s, nodes in ends):
            free += nodes
            if end_s == times_s[-1]:
                levels[-1] = free
            else:
                times_s.append(end_s)
                levels.append(free)
        self.none_before_s: dict[tuple[int, int], float] = {}
        self.begin, self.end = 0, len(times_s)  # the steps that are kept of the arrays
        room = 2 * len(times_s) + WINDOW
        self._time_s, self._free = np.empty(room), np.empty(room, dtype=np.int64)
        self._time_s[: self.end], self._free[: self.end] = times_s, levels

    @property
    def time_s(self) -> FloatArray:
        """When each step begins. [s]"""
        return self._time_s[self.begin : self.end]

    @property
    def free(self) -> IntArray:
        """Free nodes of each step."""
        return self._free[self.begin : self.end]

    def move(self, now_s: float) -> None:
        """Forget what is past: the profile begins at `now_s`, which is in it or behind it."""
        self.begin += max(0, int(self.time_s.searchsorted(now_s, side="right")) - 1)
        self._time_s[self.begin] = now_s

    def earliest(self, nodes: int, wall_s: float) -> float:
        """Return the first time from which `nodes` stay free for `wall_s`, inf if never. [s]"""
        size, (part, length) = nodes.bit_length(), math.frexp(wall_s)
        begin = self.begin
        if (none_before_s := self.none_before_s.get((size, length))) is not None:
            begin += int(self.time_s.searchsorted(none_before_s))
        start_s = self._first_gap(begin, nodes, wall_s)
        at_least = size + (nodes & (nodes - 1) != 0), length + (part != 0.5)
        if start_s > self.none_before_s.get(at_least, -math.inf):
            self.none_before_s[at_least] = start_s
        return start_s

    def _first_gap(self, begin: int, nodes: int, wall_s: float) -> float:
        time_s, low, width = self._time_s, begin, WINDOW
        while low < self.end:  # from `begin` to `low` there is room
            high = min(low + width, self.end)
            lacks = (self._free[low:high] < nodes).nonzero()[0]
            if lacks.size:
                lacks += low
                begins = np.empty_like(lacks)
                begins[0], begins[1:] = begin, lacks[:-1] + 1
                fits = (time_s[lacks] >= time_s[begins] + wall_s) & (lacks > begins)
                first = fits.argmax()
                if fits[first]:
                    return float(time_s[begins[first]])
                begin = int(lacks[-1]) + 1
            if begin < high < self.end and time_s[high] >= time_s[begin] + wall_s:
                return float(time_s[begin])
            low, width = high, 4 * width
        return float(time_s[begin]) if begin < self.end else math.inf

    def reserve(self, start_s: float, wall_s: float, nodes: int) -> None:
        """Take `nodes` from `start_s` for `wall_s`."""
        if self.end + 2 > self._time_s.size:
            self._make_room()
        first, last = self._step(start_s), self._step(start_s + wall_s)
        self._free[first:last] -= nodes

    def free_now(self) -> int:
        """Return the free nodes of the first step."""
        return int(self._free[self.begin])

    def free_until(self) -> list[tuple[int, float]]:
        """Return how many nodes stay free from now until when, most nodes first. [s]"""
        low, found = self.begin, list[tuple[int, float]]()
        level = int(self._free[low])
        while level > 0:
            lacks, width = -1, WINDOW
            while lacks < 0 and low < self.end:
                less = self._free[low : low + width][: self.end - low] < level
                at = int(less.argmax())
                if less[at]:
                    lacks = low + at
                else:
                    low, width = low + width, 4 * width
            if lacks < 0:
                return [*found, (level, math.inf)]
            found.append((level, float(self._time_s[lacks])))
            low, level = lacks, int(self._free[lacks])
        return found

    def _step(self, time_s: float) -> int:
        """Return the index of the step that begins at `time_s`, made if there is none."""
        i = self.begin + int(self.time_s.searchsorted(time_s))
        if i == self.end or self._time_s[i] != time_s:
            for steps in (self._time_s, self._free):
                steps[i + 1 : self.end + 1] = steps[i : self.end]
            self._time_s[i], self._free[i] = time_s, self._free[i - 1]
            self.end += 1
        return i

    def _make_room(self) -> None:
        n, time_s, free = self.end - self.begin, self.time_s, self.free
        self._time_s, self._free = np.empty(2 * n + WINDOW), np.empty(2 * n + WINDOW, np.int64)
        self._time_s[:n], self._free[:n] = time_s, free
        self.begin, self.end = 0, n
