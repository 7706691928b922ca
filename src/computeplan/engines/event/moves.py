"""Data and saved states on their way between sites, before a job can train there.

The first start of a job at a site that lacks its data waits for them; they stay there from then on.
A job that has run before brings what it saved, where it last ran at another site. Each move has the
bandwidth of the slower of both sites for itself, data before states, with the chips held: it is
booked as restart. It goes on whatever happens to the job, and costs no energy of its own. What is
sent counts at the site that it leaves, once for each site that it is sent to.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from computeplan.world.world import World

__all__ = ["Moves", "moves_of"]


class Moves:
    """Where the data and the last states of jobs are in one run."""

    def __init__(self, world: World) -> None:
        self.jobs, self.site_of = world.jobs, [pool.site for pool in world.pools]
        self.pool_of = {site: p for p, site in reversed([*enumerate(self.site_of)])}
        self.sent_bytes = np.zeros((world.jobs.n_groups, len(world.pools)))
        self.uplink_bytes_per_s = {pool.site: pool.uplink_bytes_per_s for pool in world.pools}
        prices = {pool.site: pool.sent_money_per_b for pool in world.pools}
        self.money_per_b = {site: 0.0 if math.isnan(p) else p for site, p in prices.items()}
        self.data_at: dict[int, set[str]] = {}
        self.state_at: dict[int, set[str]] = {}

    def take_s(self, job: int, pools: Sequence[int], *, has_begun: bool) -> float:
        """Return how long what a job needs takes to the sites of pools, where it is then. [s]"""
        spec = self.jobs.kinds[int(self.jobs.kind[job])]
        sites = {self.site_of[pool] for pool in pools}
        data_at = self.data_at.setdefault(job, {spec.data_site})
        state_at = self.state_at.get(job, set()) if has_begun else set()
        group = int(self.jobs.group[job])
        longest_s = max(
            self._send_s(spec.data_bytes, data_at, site, group)
            + self._send_s(spec.state_bytes, state_at, site, group)
            for site in sites
        )
        data_at |= sites
        self.state_at[job] = sites
        return longest_s

    def _send_s(self, n_bytes: float, at: Collection[str], site: str, group: int) -> float:
        """Note that some bytes go to a site, from the nearest of those that have them.

        Return how long they take. [s]
        """
        if not n_bytes or not at or site in at:
            return 0.0
        nearest = self._nearest(at)
        self.sent_bytes[group, self.pool_of[nearest]] += n_bytes
        return n_bytes / min(self.uplink_bytes_per_s[site], self.uplink_bytes_per_s[nearest])

    def money(self, job: int, pool: int, *, has_begun: bool) -> float:
        """Return what it costs to send what a job lacks to the site of a pool. [currency]"""
        spec, site = self.jobs.kinds[int(self.jobs.kind[job])], self.site_of[pool]
        needs = [(spec.data_bytes, self.data_at.get(job, {spec.data_site}))]
        if has_begun:
            needs.append((spec.state_bytes, self.state_at.get(job, set())))
        return sum(
            n_bytes * self.money_per_b[self._nearest(at)]
            for n_bytes, at in needs
            if n_bytes and at and site not in at
        )

    def _nearest(self, at: Collection[str]) -> str:
        """Return the site that sends what lies at several."""
        return max(sorted(at), key=self.uplink_bytes_per_s.__getitem__)


def moves_of(world: World) -> Moves | None:
    """Return the moves of a run; None where they take no time."""
    takes = any(math.isfinite(pool.uplink_bytes_per_s) for pool in world.pools)
    return Moves(world) if takes else None
