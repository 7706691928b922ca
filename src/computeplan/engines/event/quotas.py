"""Quotas in one run: who holds more than its own while another waits for what is its own.

A job waits *below the quota* of its tenant on a pool if that tenant's nodes there and the job's are
no more than the quota, and too few nodes are free. As long as it does, whoever holds more of that
pool than its own quota violates it, with the nodes beyond; a tenant without quota there has nothing
of its own. To borrow what nobody with a right waits for is no violation. A violation begins when
such a wait begins and ends when there is none, however many jobs wait meanwhile; the time in which
a job saves before it gives back its nodes counts.

It is looked at after each decision of the policy, in the number of pools, of tenants, and of sizes
of jobs that wait; not at all where no tenant has a quota.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from computeplan.engines.event.pool import PoolRun
from computeplan.scheduling.view import View

__all__ = ["Quotas"]

Holder = tuple[int, int]  # tenant, pool


def _asks(view: View, job: int) -> tuple[int, tuple[int, ...]]:
    """Return whose a job is, and the nodes that it needs on each pool."""
    return view.tenant[job], (*view.fewest_nodes[view.kind[job]],)


class Quotas:
    """What each tenant of a run holds beyond its quota while others wait below theirs."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.own = [[0.0 if math.isinf(n) else n for n in row] for row in view.quota_nodes]
        """Nodes of each pool that are a tenant's own."""
        self.are_there = any(any(row) for row in self.own)
        n_tenants = len(self.own)
        self.n_violations, self.over_chip_s = [0] * n_tenants, [0.0] * n_tenants
        self.since_s = 0.0
        self.over: dict[Holder, float] = {}  # chips beyond the quota, since the last look
        self.counted: set[Holder] = set()  # violations that have lasted some time

    def note(self, now_s: float, pools: Sequence[PoolRun]) -> None:
        """Look at who holds too much from now on."""
        self.close(now_s)
        waited_for = pools if self.view.queue else ()
        waited_for = [pool for pool in waited_for if self._is_waited_for(pool)]
        self.over = {who: chips for pool in waited_for for who, chips in self._over(pool)}
        self.counted &= self.over.keys()

    def close(self, now_s: float) -> None:
        """Count what has been since the last look."""
        lasted_s, self.since_s = now_s - self.since_s, now_s
        if lasted_s > 0:
            for who, chips in self.over.items():
                self.over_chip_s[who[0]] += chips * lasted_s
                self.n_violations[who[0]] += who not in self.counted
            self.counted |= self.over.keys()

    def _is_waited_for(self, pool: PoolRun) -> bool:
        """Return whether a job waits for nodes of a pool below its tenant's quota."""
        p, room = pool.index, pool.nodes.room
        return any(
            line.queue and room < n_nodes[p] <= self.own[tenant][p] - self.view.held_by(tenant)[p]
            for (tenant, n_nodes), line in self.view.lines(_asks).items()
        )

    def _over(self, pool: PoolRun) -> Iterator[tuple[Holder, float]]:
        """Yield who holds more of a pool than its own, and how many chips."""
        for tenant, own in enumerate(self.own):
            n_over = self.view.held_by(tenant)[pool.index] - own[pool.index]
            if n_over > 0:
                yield (tenant, pool.index), n_over * pool.spec.chips_per_node
