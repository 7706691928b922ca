"""What happens next: one queue of exact times. The only module that knows SimPy.

SimPy adds a delay to its clock, which rounds: two things at one time may then swap. So entries keep
the exact time they were given, and at equal times go by `Rank`, then pool, node, and the order in
which they were entered. SimPy runs the loop; its clock is never read.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count

from simpy import Environment
from simpy.core import EmptySchedule

__all__ = ["Calendar", "Entry", "Rank", "Then", "cancel"]


class Rank(IntEnum):
    """What comes first of what happens at one time."""

    SAVED = 0
    REPAIRED = 1
    RESTARTED = 2
    JOB_ENDS = 3
    FAULT = 4
    ARRIVAL = 5
    POLICY = 6


Then = Callable[[float], None]
"""What happens at a time. [s]"""


class Entry:
    """Something that happens at a time, unless it is cancelled before."""

    __slots__ = ("then",)

    def __init__(self, then: Then) -> None:
        self.then: Then | None = then


def cancel(entry: Entry | None) -> None:
    """Let an entry not happen, if there is one."""
    if entry is not None:
        entry.then = None


class Calendar(Environment):
    """All that is known to happen before `end`, a time and a rank."""

    def __init__(self, end: tuple[float, Rank]) -> None:
        super().__init__()
        self.end, self.order = end, count()
        self.entries: list[tuple[float, int, int, int, int, Entry]] = []

    def at(self, time_s: float, rank: Rank, then: Then, pool: int = -1, node: int = -1) -> Entry:
        """Let something happen at an exact time, which it is told, in a place if it has one. [s]"""
        entry = Entry(then)
        heappush(self.entries, (time_s, rank, pool, node, next(self.order), entry))
        return entry

    def is_last_at(self, now_s: float) -> bool:
        """Return whether nothing else happens at a time that has come."""
        return not self.entries or self.entries[0][0] > now_s

    def step(self) -> None:
        """Let the next entry happen, for SimPy's loop, which an empty schedule ends."""
        if not self.entries or self.entries[0] >= self.end:
            raise EmptySchedule
        time_s, _, _, _, _, entry = heappop(self.entries)
        then, entry.then = entry.then, None  # else whoever keeps its own entry is kept by it
        if then is not None:
            then(time_s)
