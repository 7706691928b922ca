"""How many nodes of a pool will be free when, if jobs end as expected."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

__all__ = ["Profile"]


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
        self.time_s, self.free = [now_s], [free]
        soon_s = math.nextafter(now_s, math.inf)  # a job that is overdue still holds its nodes
        for end_s, nodes in sorted((max(end_s, soon_s), nodes) for end_s, nodes in ends):
            free += nodes
            if end_s == self.time_s[-1]:
                self.free[-1] = free
            else:
                self.time_s.append(end_s)
                self.free.append(free)

    def earliest(self, nodes: int, wall_s: float) -> float:
        """Return the first time from which `nodes` stay free for `wall_s`, inf if never. [s]"""
        start = None
        for i, time_s in enumerate(self.time_s):
            if self.free[i] < nodes:
                start = None
            elif start is None:
                start = time_s
            last = i + 1 == len(self.time_s)
            if start is not None and (last or self.time_s[i + 1] >= start + wall_s):
                return start
        return float("inf")

    def reserve(self, start_s: float, wall_s: float, nodes: int) -> None:
        """Take `nodes` from `start_s` for `wall_s`."""
        first, last = self._step(start_s), self._step(start_s + wall_s)
        for i in range(first, last):
            self.free[i] -= nodes

    def _step(self, time_s: float) -> int:
        """Return the index of the step that begins at `time_s`, made if there is none."""
        i = bisect.bisect_left(self.time_s, time_s)
        if i == len(self.time_s) or self.time_s[i] != time_s:
            self.time_s.insert(i, time_s)
            self.free.insert(i, self.free[i - 1])
        return i
