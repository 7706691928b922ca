"""Services beside jobs: how many chips each needs, hour by hour, and when that changes next.

A service states chips by hour: one number, 24 of a day, or 168 of a week. A run begins with the
first hour, and what is stated repeats. Nothing is known of requests: what the hour needs is given.
Part of it, the least, is held at all hours whatever waits; the rest is had by priority.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HOURS_STATED", "Demand", "nodes_on_pools"]

HOUR_S = 3600.0
HOURS_STATED = (1, 24, 168)


@dataclass(frozen=True)
class Demand:
    """Chips that a service needs: `hourly_chips` has 1, 24 or 168 values.

    Raises
    ------
    ValueError
        If there are not so many, one is negative, or one is below `least_chips`.

    Examples
    --------
    >>> night_and_day = Demand((4,) * 8 + (16,) * 16, least_chips=2)
    >>> night_and_day.at(7.5 * 3600), night_and_day.at(8 * 3600), night_and_day.at(24 * 3600)
    (4, 16, 4)
    >>> night_and_day.next_change_s(3600.0) / 3600
    8.0
    >>> night_and_day.steps(30 * 3600)
    [(0.0, 4), (28800.0, 16), (86400.0, 4)]
    """

    hourly_chips: tuple[int, ...]
    least_chips: int = 0
    """Held at all hours."""
    priority: int = 0
    """Of what it needs beyond the least; the higher, the sooner."""

    def __post_init__(self) -> None:
        n_hours = len(self.hourly_chips)
        if n_hours not in HOURS_STATED:
            raise ValueError(f"hourly_chips must have 1, 24 or 168 values, got {n_hours}")
        if self.least_chips < 0:
            raise ValueError(f"least_chips must be >= 0, got {self.least_chips}")
        for hour, n_chips in enumerate(self.hourly_chips):
            if n_chips < self.least_chips:
                message = f"hourly_chips must be >= least_chips ({self.least_chips})"
                raise ValueError(f"{message}, got {n_chips} in hour {hour}")

    def at(self, now_s: float) -> int:
        """Return the chips needed from a time on; at the full hour those of the new hour."""
        return self.hourly_chips[_hour(now_s) % len(self.hourly_chips)]

    def next_change_s(self, now_s: float) -> float:
        """Return the first time after `now_s` at which it needs another number; inf if never. [s]

        The time is a whole number of hours exactly, so that services that change together change
        at one time.
        """
        hour, n_now = _hour(now_s), self.at(now_s)
        for more in range(1, len(self.hourly_chips)):
            if self.hourly_chips[(hour + more) % len(self.hourly_chips)] != n_now:
                return (hour + more) * HOUR_S
        return math.inf

    def steps(self, horizon_s: float) -> list[tuple[float, int]]:
        """Return each time in [0, horizon) at which the number changes, with the number from then.

        Parameters
        ----------
        horizon_s : float
            End of the run; finite. [s]

        Returns
        -------
        list of (float, int)
            The first at 0. [s]

        Raises
        ------
        ValueError
            If the horizon is not finite and > 0.
        """
        if not 0 < horizon_s < math.inf:
            raise ValueError(f"horizon_s must be finite and > 0, got {horizon_s}")
        found, time_s = [(0.0, self.at(0.0))], self.next_change_s(0.0)
        while time_s < horizon_s:
            found.append((time_s, self.at(time_s)))
            time_s = self.next_change_s(time_s)
        return found


def _hour(now_s: float) -> int:
    if not 0 <= now_s < math.inf:
        raise ValueError(f"now_s must be finite and >= 0, got {now_s}")
    return int(now_s // HOUR_S)


def nodes_on_pools(
    n_chips: int, room: Sequence[int], chips_per_node: Sequence[int]
) -> tuple[list[int], int]:
    """Return the nodes of each pool that hold chips, the first pools first, and the chips lacking.

    Parameters
    ----------
    n_chips : int
        Chips that are needed.
    room, chips_per_node : sequence of int
        Nodes of each pool that could be held, those held now included, and chips in each; in the
        order in which the service names its pools.

    Returns
    -------
    nodes : list of int
        Of each pool.
    n_lacking : int
        Chips for which there is no room.

    Examples
    --------
    >>> nodes_on_pools(40, room=[3, 10], chips_per_node=[8, 16])
    ([3, 1], 0)
    >>> nodes_on_pools(40, room=[3, 0], chips_per_node=[8, 16])
    ([3, 0], 16)
    """
    nodes = []
    for n_free, per_node in zip(room, chips_per_node, strict=True):
        held = min(n_free, -(-n_chips // per_node))
        nodes.append(held)
        n_chips = max(0, n_chips - held * per_node)
    return nodes, n_chips
