"""What services draw at sites with a power limit: how much at a time, and when it is another.

What a service needs lies on all its instances that are ready, so what it draws follows from the
hour and from those. It changes with both, and only here it matters when: energy and peaks are
counted after the run, from the same numbers (``instances.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from computeplan.engines.event.calendar import Calendar, Rank, Then
from computeplan.engines.event.pool import SERVICE, PoolRun
from computeplan.world.world import World

__all__ = ["ServedPower"]


class ServedPower:
    """The nodes and the watts of services that may stand at a site with a limit.

    `then` happens once all else is done at a time at which those that draw by their load draw more
    or less.
    """

    def __init__(
        self, world: World, pools: Sequence[PoolRun], calendar: Calendar, then: Then
    ) -> None:
        self.calendar, self.then, self.n_pools = calendar, then, len(pools)
        limited = {p for one in world.limits for p in one.pools}
        self.services = [
            (SERVICE - i, one, [pools[p] for p in one.pools], world.served_w[i].tolist())
            for i, one in enumerate(world.services)
            if not limited.isdisjoint(one.pools)
        ]
        self.due = set[float]()  # when it is known that something changes
        self.demands = []
        for number, one, on, _ in self.services:
            if any(one.drawn_on(p) is not None for p in one.pools):
                self.demands.append(one.demand)
                for pool in on:
                    pool.nodes.instances[number].then = self._await
        if self.demands:
            calendar.at(0.0, Rank.ARRIVAL, self._step)

    def _step(self, now_s: float) -> None:
        """Note that the hour may need more or less, and await the next that does."""
        self._await(now_s)
        next_s = min(demand.next_change_s(now_s) for demand in self.demands)
        if next_s < math.inf:
            self.calendar.at(next_s, Rank.ARRIVAL, self._step)

    def _await(self, time_s: float) -> None:
        if time_s not in self.due:
            self.due.add(time_s)
            self.calendar.at(time_s, Rank.POLICY, self._changes)

    def _changes(self, now_s: float) -> None:
        self.due.discard(now_s)
        self.then(now_s)

    def nodes_w(self, now_s: float) -> list[tuple[int, float]]:
        """Return the nodes of each pool that services hold now, and what they draw. [1, W]"""
        found = [(0, 0.0)] * self.n_pools
        for number, one, on, node_w in self.services:
            ready = [pool.nodes.instances[number].n_ready(now_s) for pool in on]
            share = one.load_frac(one.demand.needed(now_s), ready)
            for pool, n_ready in zip(on, ready, strict=True):
                (n, watts), (held_w, more_w) = found[pool.index], node_w[pool.index]
                n_held = len(pool.nodes.held[number])
                watts += n_held * held_w + n_ready * share * more_w
                found[pool.index] = (n + n_held, watts)
        return found

    def may_hold(self, pools: Sequence[int]) -> bool:
        """Return whether a service may hold nodes of some pools."""
        return any(p in pools for _, one, *_ in self.services for p in one.pools)
