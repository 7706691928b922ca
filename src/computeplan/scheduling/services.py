"""Services beside jobs: how much each needs, hour by hour, and when that changes next.

A service states what it needs by the hour, in a unit of its own (chips, or requests per second):
one number, 24 of a day, or 168 of a week. A run begins with the first hour, and what is stated
repeats. A node gives so many units, so chips are a service of which a node gives its chips. What is
taken serves after a time to start, and ends its answers in a time to drain: so at any moment a
service holds what any moment needs from that long ago to that long ahead. That is a function of
time alone, without state. Part of it, the least, is held at all hours whatever waits; the rest is
had by priority.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import NamedTuple

__all__ = ["HOURS_STATED", "Demand", "Step", "lacking", "nodes_on_pools"]

HOUR_S = 3600.0
HOURS_STATED = (1, 24, 168)
ROUNDING = 1e-9
"""Share of what is wanted below which a difference is rounding: sums of rates are not exact."""


class Step(NamedTuple):
    """What a service needs and holds from a time on."""

    time_s: float
    needed: float
    """By the hour."""
    ahead: float
    """To be held if nothing drained: what any moment needs from now until a start would be over."""
    held: float
    """To be held."""


@dataclass(frozen=True)
class Demand:
    """What a service needs, in its units: `hourly` has 1, 24 or 168 values.

    Raises
    ------
    ValueError
        If there are not so many, one is not finite and >= 0, or a time is not.

    Examples
    --------
    >>> night_and_day = Demand((4,) * 8 + (16,) * 16, least=2, start_s=180, drain_s=120)
    >>> night_and_day.needed(7.99 * 3600), night_and_day.at(7.99 * 3600)
    (4, 16)
    >>> night_and_day.at(24 * 3600), night_and_day.at(24 * 3600 + 120)
    (16, 4)
    >>> night_and_day.next_change_s(3600.0) / 3600
    7.95
    """

    hourly: tuple[float, ...]
    least: float = 0
    """Held at all hours; it may be more than some hours need."""
    priority: int = 0
    """Of what it needs beyond the least; the higher, the sooner."""
    start_s: float = 0.0
    """From when nodes are taken until they serve. [s]"""
    drain_s: float = 0.0
    """From when nodes are no longer needed until they are given back. [s]"""
    extra: tuple[float, ...] = ()
    """Held beyond the need of each hour, for peaks within it and for instances that fail; as many
    as `hourly`, or none."""

    def __post_init__(self) -> None:
        n_hours = len(self.hourly)
        if n_hours not in HOURS_STATED:
            raise ValueError(f"hourly must have 1, 24 or 168 values, got {n_hours}")
        if len(self.extra) not in (0, n_hours):
            raise ValueError(f"extra must have as many as hourly, or none: got {len(self.extra)}")
        for name in ("least", "start_s", "drain_s"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"{name} must be finite and >= 0, got {value}")
        for name, values in (("hourly", self.hourly), ("extra", self.extra)):
            for hour, value in enumerate(values):
                if not 0 <= value < math.inf:
                    message = f"{name} must be finite and >= 0, got {value} in hour {hour}"
                    raise ValueError(message)

    def needed(self, now_s: float) -> float:
        """Return the units needed from a time on; at the full hour those of the new hour."""
        return self.hourly[_hour(now_s) % len(self.hourly)]

    def at(self, now_s: float) -> float:
        """Return the units to be held from a time on.

        It is the most that is needed, with `extra`, at any time from `drain_s` ago to `start_s`
        ahead, and no less than the least. Nothing was needed before the run.
        """
        return self._most(max(now_s - self.drain_s, 0.0), now_s + self.start_s)

    def step(self, now_s: float) -> Step:
        """Return all that is needed and held from a time on."""
        ahead = self._most(now_s, now_s + self.start_s)
        return Step(now_s, self.needed(now_s), ahead, self.at(now_s))

    @property
    def most(self) -> float:
        """The most units that it ever holds."""
        return max(self.least, *map(self._wanted, range(len(self.hourly))))

    @property
    def changes_s(self) -> set[float]:
        """How long after a full hour its `Step` may be another; before it if negative. [s]"""
        return {0.0, -self.start_s, self.drain_s}

    def next_change_s(self, now_s: float) -> float:
        """Return the first time after `now_s` at which its `Step` is another; inf if never. [s]

        Without times to start and to drain it is a whole number of hours exactly, so that services
        that change together change at one time.
        """
        here = self.step(now_s)
        for time_s in merge(*(self._hours_s(now_s, later_s) for later_s in self.changes_s)):
            if time_s > now_s and self.step(time_s)[1:] != here[1:]:
                return time_s
        return math.inf

    def _hours_s(self, now_s: float, later_s: float) -> Iterator[float]:
        """Yield when hours have begun some time ago, all that are stated, from now on. [s]"""
        first = _hour(max(now_s - later_s, 0.0)) + 1
        for more in range(len(self.hourly)):
            yield _entered_s(first + more, later_s)

    def steps(self, horizon_s: float) -> list[Step]:
        """Return what is needed and held from 0, and at each change in [0, horizon).

        Parameters
        ----------
        horizon_s : float
            End of the run; finite. [s]

        Raises
        ------
        ValueError
            If the horizon is not finite and > 0.

        Examples
        --------
        >>> [(at.time_s, at.needed) for at in Demand((4,) * 8 + (16,) * 16).steps(30 * 3600)]
        [(0.0, 4), (28800.0, 16), (86400.0, 4)]
        """
        if not 0 < horizon_s < math.inf:
            raise ValueError(f"horizon_s must be finite and > 0, got {horizon_s}")
        found, time_s = [self.step(0.0)], self.next_change_s(0.0)
        while time_s < horizon_s:
            found.append(self.step(time_s))
            time_s = self.next_change_s(time_s)
        return found

    def _most(self, from_s: float, to_s: float) -> float:
        """Return the most that is held in the hours of a stretch of time, both ends included."""
        n_hours, first, last = len(self.hourly), _hour(from_s), _hour(to_s)
        if first == last:
            return max(self.least, self._wanted(first % n_hours))
        hours = range(first, min(last, first + n_hours - 1) + 1)
        return max(self.least, *(self._wanted(hour % n_hours) for hour in hours))

    def _wanted(self, hour: int) -> float:
        return self.hourly[hour] + self.extra[hour] if self.extra else self.hourly[hour]


def _hour(now_s: float) -> int:
    if not 0 <= now_s < math.inf:
        raise ValueError(f"now_s must be finite and >= 0, got {now_s}")
    return int(now_s // HOUR_S)


def _entered_s(hour: int, later_s: float) -> float:
    """Return when an hour began some time ago, or will begin: the first but for rounding. [s]"""
    time_s = hour * HOUR_S + later_s
    while time_s - later_s < hour * HOUR_S:
        time_s = math.nextafter(time_s, math.inf)
    return time_s


def lacking(wanted: float, has: float) -> float:
    """Return the units that are lacking: 0 where that is only rounding.

    Examples
    --------
    >>> lacking(0.3, 0.1 + 0.1 + 0.1), lacking(0.1 * 3, 0.3), lacking(5, 3)
    (0, 0, 2)
    """
    return wanted - has if wanted - has > ROUNDING * wanted else 0


def nodes_on_pools(
    n_units: float, room: Sequence[int], gives: Sequence[float], group: Sequence[int]
) -> tuple[list[int], float]:
    """Return the nodes of each pool that give some units, the first pools first, and what lacks.

    Parameters
    ----------
    n_units : float
        What is needed: chips, or requests per second.
    room : sequence of int
        Nodes of each pool that could be held, those held now included; in the order in which the
        service names its pools.
    gives : sequence of float
        Units that a node of each gives.
    group : sequence of int
        Nodes of an instance on each: it gives nothing in part.

    Returns
    -------
    nodes : list of int
        Of each pool, in whole instances.
    n_lacking : float
        Units for which there is no room.

    Examples
    --------
    >>> nodes_on_pools(40, room=[3, 10], gives=[8, 16], group=[1, 1])
    ([3, 1], 0)
    >>> nodes_on_pools(40, room=[3, 0], gives=[8, 16], group=[1, 1])
    ([3, 0], 16)
    >>> nodes_on_pools(40, room=[3, 10], gives=[8, 2.5], group=[2, 4])
    ([2, 8], 4.0)
    """
    nodes, left = [], n_units
    for n_free, each, size in zip(room, gives, group, strict=True):
        of_one = each * size
        wanted = math.ceil(left / of_one * (1 - ROUNDING))
        held = min(n_free // size, wanted)
        nodes.append(held * size)
        left = lacking(left, held * of_one)
        if left <= ROUNDING * n_units:
            left = 0
    return nodes, left
