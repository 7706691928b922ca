"""Data and saved states on their way between sites, before a job can train there.

The first start of a job at a site that lacks its data waits for them; they stay there from then on.
A job that has run before brings what it saved, where it last ran at another site. Each move has the
bandwidth of the slower of both sites for itself, data before states, with the chips held: it is
booked as restart. It goes on whatever happens to the job, and costs no energy or money of its own.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from computeplan.world.world import World

__all__ = ["Moves", "moves_of"]


class Moves:
    """Where the data and the last states of jobs are in one run."""

    def __init__(self, world: World) -> None:
        self.jobs, self.site_of = world.jobs, [pool.site for pool in world.pools]
        self.uplink_bytes_per_s = {pool.site: pool.uplink_bytes_per_s for pool in world.pools}
        self.data_at: dict[int, set[str]] = {}
        self.state_at: dict[int, set[str]] = {}

    def take_s(self, job: int, pools: Sequence[int], *, has_begun: bool) -> float:
        """Return how long what a job needs takes to the sites of pools, where it is then. [s]"""
        spec = self.jobs.kinds[int(self.jobs.kind[job])]
        sites = {self.site_of[pool] for pool in pools}
        data_at = self.data_at.setdefault(job, {spec.data_site})
        state_at = self.state_at.get(job, set()) if has_begun else set()
        longest_s = max(
            self._way_s(spec.data_bytes, data_at, site)
            + self._way_s(spec.state_bytes, state_at, site)
            for site in sites
        )
        data_at |= sites
        self.state_at[job] = sites
        return longest_s

    def _way_s(self, n_bytes: float, at: Collection[str], site: str) -> float:
        """Return how long some bytes take to a site, from the nearest of those that have them."""
        if not n_bytes or not at or site in at:
            return 0.0
        here = self.uplink_bytes_per_s[site]
        return n_bytes / min(here, max(self.uplink_bytes_per_s.get(one, math.inf) for one in at))


def moves_of(world: World) -> Moves | None:
    """Return the moves of a run; None where they take no time."""
    takes = any(math.isfinite(pool.uplink_bytes_per_s) for pool in world.pools)
    return Moves(world) if takes else None
