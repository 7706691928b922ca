"""Capacity of tenants on pools: a quota of their own, idle nodes that they borrow, and reclaim.

A tenant may have a quota of nodes on each pool. A job that fits in what is left of its tenant's
quota has a *right* to its nodes. Beyond that, a tenant borrows what nobody claims. Where a job has
a right and its nodes are lent, the policy stops jobs that run on borrowed nodes and keeps what
comes back for that job. A job is *borrowed* if it and the jobs of its tenant that got nodes of the
pool before it hold more than the quota; a tenant without quota on a pool has no right there and
no limit, so all that it holds there is borrowed. What a tenant's services hold is of its quota
first; they are not reclaimed, whatever they hold.

If the quotas of a pool sum to no more than its nodes, none is in repair, and services keep within
those of their tenants, a job that gains
a right finds its nodes free, or being saved for, in the same decision. Proof: what each tenant
holds that is not borrowed, and claims, is at most its quota; the rest of the pool is free, coming
back, or borrowed, and is at least what is left of the job's quota. So no tenant waits for its own
quota longer than one save and one restart. Claims are served in the order in which they arose, so
that none takes what another was promised: a job that comes later does not overtake a claim, even
with a higher priority.

Sources
-------
.. [1] Kubernetes Kueue, documentation of "ClusterQueue" (nominal quota, borrowing within a cohort,
       reclaim within the cohort): the meaning of quota, borrowing and reclaim.
.. [2] Apache Hadoop YARN, documentation of the "Capacity Scheduler" (guaranteed capacity, elastic
       queues, preemption of what is above the guarantee, the latest containers first).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from computeplan.scheduling.decision import Decision, Start
from computeplan.scheduling.view import View

__all__ = ["Capacity"]

Line = tuple[int, int, tuple[int, ...], tuple[int, ...]]
Claim = tuple[int, int]  # a job that has a right, and the pool on which it waits for its nodes


@dataclass(frozen=True)
class Capacity:
    """Starts jobs in the quota of their tenant first, then on idle nodes; reclaims what is lent.

    Of the jobs with a right, and of those that borrow, the higher priority goes first, then who
    came or came back first. A job takes the first of its pools where it has a right to nodes that
    are free or coming back, else the first with idle nodes; if there is none and it has a right,
    the first is reclaimed where that gives enough. No job that borrows waits for another, so large
    ones may wait behind small ones as long as these keep coming.

    Reclaim stops the fewest jobs in this sense: borrowed jobs of the pool are taken, the latest
    to start first, until their nodes are enough; then those are spared, the earliest to start
    first, without which they still are.
    """

    borrow: bool = True
    """Whether a tenant with a quota may hold more than it."""
    restart_cost_s: float = 0.0
    """How long a job that was stopped takes to begin again, without loading. [s]"""

    def __call__(self, view: View) -> Decision:
        """Return what starts and what stops at a moment."""
        moment = _Moment(view, borrow=self.borrow, restart_s=self.restart_cost_s)
        old = view.memory if isinstance(view.memory, tuple) else ()
        moment.keep(claim for claim in old if claim[0] in view.queue)
        while moment.give_rights():
            pass
        moment.lend()
        return Decision(moment.starts, moment.stops, memory=tuple(moment.claims))


def _line(view: View, job: int) -> Line:
    """Return what jobs have in common of which only the first need be asked whether it fits."""
    kind = view.kind[job]
    return -view.priority[job], view.tenant[job], (*view.n_nodes[kind],), (*view.places[kind],)


class _Moment:
    """One decision in the making: what is free, coming back, and held, as it would then be."""

    def __init__(self, view: View, *, borrow: bool, restart_s: float) -> None:
        self.view, self.borrow, self.restart_s = view, borrow, restart_s
        self.free = list(view.free)
        self.coming = [0] * len(view.free)
        # By tenant and pool, nodes beyond those that it holds in the view.
        self.more: dict[tuple[int, int], int] = defaultdict(int)
        self.starts: list[Start] = []
        self.stops: list[int] = []
        self.claims: list[Claim] = []
        self.settled: set[int] = set()  # jobs that start, or whose nodes are coming back
        self.short: set[int] = set()  # jobs with a right that nothing can serve now
        self.lent: dict[int, list[int]] = {}  # by pool, borrowed jobs that could be stopped
        self.held: dict[int, list[int]] = {}  # by tenant, nodes of each pool in the view
        for job in sorted(view.stopping):
            run = view.running[job]
            self.coming[run.pool] += run.n_nodes
            self.more[view.tenant[job], run.pool] -= run.n_nodes

    def keep(self, claims: Iterable[Claim]) -> None:
        """Serve the claims of before, in their order."""
        for job, pool in claims:
            # A node may have gone to repair since: then more is reclaimed, or the claim is let go.
            if self._served(job, pool) or self._reclaimed(job, pool):
                self.settled.add(job)

    def give_rights(self) -> bool:
        """Start or claim for all who have a right, and keep free nodes for those who wait yet.

        Return whether others may have a right by that: those whose borrowed jobs stop, and those
        who come after a job that left its quota and borrows elsewhere.
        """
        waiting: list[tuple[int, int]] = []
        wanted: set[int] = set()
        for job in self._in_order(self._rights):
            if job in self.short:
                continue
            pools = self._rights(job)
            if any(self._served(job, pool) for pool in pools):
                self.settled.add(job)
            else:  # what it takes of the quota is of the first: no other job may count on it
                self._hold(job, pools[0], 1)
                wanted.update(pools)
                waiting.append((job, pools[0]))
        for job, first in waiting:
            self._hold(job, first, -1)
            idle = (p for p in self._open(job) if p not in wanted and self._fits(job, p))
            if (pool := next(idle, None)) is not None:
                self._start(job, pool)
            elif not any(self._reclaimed(job, pool) for pool in self._rights(job)):
                self._hold(job, first, 1)  # too many are in repair, or quotas exceed the pool
                self._take(job, first)
                self.short.add(job)
                continue
            self.settled.add(job)
        return any(job in self.settled for job, _ in waiting)

    def lend(self) -> None:
        """Start whoever fits on what is left."""
        if any(self.free):
            for job in self._in_order(self._idle):
                self._start(job, self._idle(job)[0])

    # -- where a job may go ----------------------------------------------------------------------

    def _rights(self, job: int) -> list[int]:
        """Return the pools on which a job fits in what is left of its tenant's quota."""
        view, tenant = self.view, self.view.tenant[job]
        quota, found = view.quota_nodes[tenant], []
        if tenant not in self.held:
            self.held[tenant] = view.held_by(tenant)
        held = self.held[tenant]
        for pool in view.pools_for(job):
            taken = held[pool] + self.more[tenant, pool] + view.nodes(job, pool)
            if taken <= quota[pool] < float("inf"):
                found.append(pool)
        return found

    def _open(self, job: int) -> list[int]:
        """Return the pools on which a job may hold nodes beyond its tenant's quota."""
        if self.borrow:
            return list(self.view.pools_for(job))
        quota = self.view.quota_nodes[self.view.tenant[job]]
        return [pool for pool in self.view.pools_for(job) if quota[pool] == float("inf")]

    def _idle(self, job: int) -> list[int]:
        """Return the pools with nodes left on which a job may borrow."""
        return [pool for pool in self._open(job) if self._fits(job, pool)]

    def _fits(self, job: int, pool: int) -> bool:
        return self.view.nodes(job, pool) <= self.free[pool]

    def _in_order(self, where: Callable[[int], list[int]]) -> Iterator[int]:
        """Yield jobs that can go somewhere, by priority, then place in the queue.

        The first of a line that can go nowhere ends its line: all in it hold the same nodes.
        """
        heap: list[tuple[int, int, int, Iterator[tuple[int, int]]]] = []
        for line, jobs in self.view.lines(_line).items():
            if jobs.queue and where(jobs.first()):
                rest = jobs.behind(-1)
                job, place = next(rest)
                heap.append((line[0], place, job, rest))
        heapq.heapify(heap)
        while heap:
            priority, _, job, rest = heap[0]
            if job not in self.settled:
                if not where(job):
                    heapq.heappop(heap)
                    continue
                yield job
            following = next(rest, None)
            if following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (priority, following[1], following[0], rest))

    # -- what is done ----------------------------------------------------------------------------

    def _hold(self, job: int, pool: int, sign: int) -> None:
        """Count the nodes of a job as held by its tenant, or no more so."""
        self.more[self.view.tenant[job], pool] += sign * self.view.nodes(job, pool)

    def _take(self, job: int, pool: int) -> None:
        """Keep nodes for a job: free ones first, then those that come back."""
        n_free = min(self.view.nodes(job, pool), self.free[pool])
        self.free[pool] -= n_free
        self.coming[pool] -= min(self.view.nodes(job, pool) - n_free, self.coming[pool])

    def _start(self, job: int, pool: int) -> None:
        self.starts.append(Start(job, pool, restart_s=self.restart_s))
        self._hold(job, pool, 1)
        self._take(job, pool)
        self.settled.add(job)

    def _served(self, job: int, pool: int) -> bool:
        """Start a job, or keep for it what comes back; return whether there is enough."""
        if self._fits(job, pool):
            self._start(job, pool)
            return True
        if self.view.nodes(job, pool) > self.free[pool] + self.coming[pool]:
            return False
        self.claims.append((job, pool))
        self._hold(job, pool, 1)
        self._take(job, pool)
        return True

    def _reclaimed(self, job: int, pool: int) -> bool:
        """Stop borrowed jobs of a pool for a job; return whether their nodes are enough."""
        lacking = self.view.nodes(job, pool) - self.free[pool] - self.coming[pool]
        chosen, n_freed = [], 0
        for other in self._borrowed(pool):
            if n_freed >= lacking:
                break
            chosen.append(other)
            n_freed += self.view.running[other].n_nodes
        if n_freed < lacking:
            return False
        for other in chosen[::-1]:
            n_nodes = self.view.running[other].n_nodes
            if n_freed - n_nodes >= lacking:
                chosen.remove(other)
                n_freed -= n_nodes
        for other in chosen:
            self.stops.append(other)
            self.lent[pool].remove(other)
            self._hold(other, pool, -1)
        self.coming[pool] += n_freed
        return self._served(job, pool)

    def _borrowed(self, pool: int) -> list[int]:
        """Return the borrowed jobs of a pool that are not being stopped, the latest first."""
        if pool not in self.lent:
            view, found = self.view, list[int]()
            sums = defaultdict[int, int](int, {t: held[pool] for t, held in view.served.items()})
            for job, run in view.running.items():
                if run.pool == pool and job not in view.stopping:
                    tenant = view.tenant[job]
                    sums[tenant] += run.n_nodes
                    quota = view.quota_nodes[tenant][pool]
                    if sums[tenant] > (quota if quota < float("inf") else 0):
                        found.append(job)
            self.lent[pool] = found[::-1]
        return self.lent[pool]
