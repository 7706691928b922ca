"""Storage that jobs share: its bandwidth is divided evenly among those that write or read.

How long a save takes then depends on what others do, so each transfer that begins or ends is an
event. Transfers go on at one pace, and end in the order of `ends`.
"""

from __future__ import annotations

from computeplan.engines.event.calendar import Calendar, Entry, Rank, Then, cancel

__all__ = ["Storage"]


class Storage:
    """The storage of a site.

    `ends` holds, by what is to happen then, how far a transfer had come that began at time 0 when
    each ends.
    """

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self.come_s = self.now_s = 0.0
        self.ends: dict[Then, float] = {}
        self.awaited: Entry | None = None

    def _advance(self, now_s: float) -> None:
        if self.ends:
            self.come_s += (now_s - self.now_s) / len(self.ends)
        else:
            self.come_s = 0.0  # nobody asks how far it was
        self.now_s = now_s

    def _await_next(self) -> None:
        cancel(self.awaited)
        if self.ends:
            left_s = max(0.0, min(self.ends.values()) - self.come_s)
            end_s = self.now_s + left_s * len(self.ends)
            self.awaited = self.calendar.at(end_s, Rank.SAVED, self._end)

    def begin(self, then: Then, lasts_s: float, now_s: float) -> None:
        """Begin a transfer that takes so long with the bandwidth to itself, if need be anew."""
        self._advance(now_s)
        self.ends[then] = self.come_s + lasts_s
        self._await_next()

    def give_up(self, then: Then, now_s: float) -> None:
        """End a transfer, if it is under way, before it is complete."""
        if then in self.ends:
            self._advance(now_s)
            del self.ends[then]
            self._await_next()

    def alone_s(self, then: Then, now_s: float) -> float:
        """Return how long a transfer has to go with the bandwidth to itself. [s]"""
        self._advance(now_s)
        return self.ends[then] - self.come_s

    def _end(self, now_s: float) -> None:
        self._advance(now_s)
        self.come_s = min(self.ends.values())
        for then in [one for one, end_s in self.ends.items() if end_s <= self.come_s]:
            del self.ends[then]
            then(now_s)
        self._await_next()
