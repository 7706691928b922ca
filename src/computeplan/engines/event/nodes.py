"""The nodes of one pool, in one run of the event engine.

They are counted over time (idle, in repair), apart from the batch engine's sums over nodes, so that
the two engines can check one another.
"""

from __future__ import annotations

from collections import defaultdict, deque

from computeplan.engines.event.books import Books
from computeplan.ledger import IDLE, REPAIR
from computeplan.world.pools import Pool
from computeplan.world.signals import Signal

__all__ = ["FREE", "IN_REPAIR", "PoolNodes"]

FREE, IN_REPAIR = -1, -2  # where a node is, if not with a job


class PoolNodes:
    """The nodes of one pool: where each is, and what has been booked of them.

    Where pools share their spares, a job may hold nodes of another pool than its own. Their time in
    the job is booked with it, on its pool.
    """

    def __init__(self, spec: Pool, signals: tuple[Signal, ...]) -> None:
        self.spec, self.boots = spec, spec.boots
        self.others: tuple[PoolNodes, ...] = ()  # with whom it shares spares
        self.held: defaultdict[int, set[int]] = defaultdict(set)  # by jobs, by their index
        total = spec.n_nodes + spec.n_spare_nodes
        self.where = [FREE] * total
        self.fresh = 0  # nodes from here on have never been touched, unless `visit` says otherwise
        self.free: deque[tuple[int, int]] = deque()  # node, visit; longest free first; may be stale
        self.visit = [0] * total
        self.n_free, self.n_in_repair, self.n_promised = total, 0, 0
        self.since_s = 0.0
        self.books = Books((-1, -1), signals, None)
        self.n_repairs = self.n_retired = 0
        self.spare_states = [(n, ready_s) for n, ready_s in spec.spare_states if n]
        self.filled_s = [[0.0] * n for n, _ in self.spare_states]

    def book(self, now_s: float) -> None:
        """Book idle and repair up to now; before any count changes."""
        if now_s > self.since_s:
            n_chips = self.spec.chips_per_node
            if self.n_free:
                self.books.book(IDLE, self.since_s, now_s, self.n_free * n_chips)
            if self.n_in_repair:
                self.books.book(REPAIR, self.since_s, now_s, self.n_in_repair * n_chips)
            self.since_s = now_s

    @property
    def n_to_spare(self) -> int:
        """Free nodes that the jobs it still has room for would not need."""
        return self.n_free - (self.spec.n_nodes - self.n_promised)

    def give_own(self, job: int, now_s: float) -> None:
        """Move the node that has been free longest, or the lowest of several, to a job.

        There is one.
        """
        self.book(now_s)
        where, visit = self.where, self.visit
        while self.fresh < len(where):
            node = self.fresh
            self.fresh += 1
            if where[node] == FREE and visit[node] == 0:
                break
        else:
            node, at_visit = self.free.popleft()
            while where[node] != FREE or visit[node] != at_visit:
                node, at_visit = self.free.popleft()
        where[node] = job
        self.n_free -= 1
        self.held[job].add(node)

    def give(self, job: int, now_s: float) -> PoolNodes | None:
        """Move a free node to a job on this pool, and return whose it was; None if there is none.

        It is the one that has been free longest here, or else where others can spare one.
        """
        if self.n_free:
            self.give_own(job, now_s)
            return self
        for other in self.others:
            if other.n_to_spare > 0:
                other.give_own(job, now_s)
                return other
        return None

    def give_many(self, job: int, n: int, now_s: float) -> None:
        """Move `n` free nodes to a job on this pool; there are as many."""
        self.book(now_s)
        first, last = self.fresh, self.fresh + n
        if last <= len(self.where) and not any(self.visit[first:last]):  # none ever touched
            self.where[first:last] = [job] * n
            self.held[job].update(range(first, last))
            self.fresh = last
            self.n_free -= n
        else:
            for _ in range(n):
                self.give(job, now_s)

    def take_back(self, job: int, now_s: float) -> None:
        """Move all nodes of a job that has ended to the free ones, wherever they come from."""
        for nodes in (self, *self.others):
            nodes.book(now_s)
            for node in sorted(nodes.held.pop(job, ())):
                nodes.release(node)

    def take_spare(self, now_s: float, shelf: int = 0) -> float:
        """Take the warmest spare, fill its place from the next colder; return how long it boots."""
        ready_s = self.spare_states[shelf][1]
        if shelf == len(self.spare_states) - 1:
            return ready_s
        filled_s = self.filled_s[shelf]  # when each place is
        place = min(range(len(filled_s)), key=filled_s.__getitem__)
        wait_s = max(filled_s[place] - now_s, 0.0)
        filled_s[place] = now_s + self.take_spare(now_s, shelf + 1)
        return wait_s + ready_s

    def send_to_repair(self, node: int, now_s: float) -> None:
        """Move a node out of its job, or of the free ones, into repair; the caller counts it."""
        self.book(now_s)
        if self.where[node] == FREE:
            self.n_free -= 1
        else:
            self.held[self.where[node]].discard(node)
        self.n_in_repair += 1
        self.where[node] = IN_REPAIR
        self.visit[node] += 1

    def release(self, node: int) -> None:
        """Move a node of a job or of the repair shop to the free ones."""
        self.where[node] = FREE
        self.visit[node] += 1
        self.n_free += 1
        self.free.append((node, self.visit[node]))

    @property
    def room(self) -> int:
        """Nodes that a job could hold now: spares stand in for what is in repair, no more."""
        lent = sum(max(other.n_to_spare, 0) for other in self.others)
        return min(self.n_free + lent, self.spec.n_nodes - self.n_promised)
