"""Jobs that wait, in the order of a queue, and which of them fits: without a scan of a long queue.

A short queue is scanned. For a long one, each pool has an index: jobs are put in groups by the
power of two below the nodes that they hold there, and a group is a binary tree whose leaves are its
jobs in the order of the queue, and whose inner nodes hold the least wall time and the fewest nodes
below them. The first job that ends in time is then found by going down one tree for each group, in
the logarithm of the queue; where a group holds jobs of several sizes, branches whose smallest job
is too large are passed over. Both ways give the same answer, and none stops looking at some depth.
"""

from __future__ import annotations

import bisect
import heapq
import math
from collections.abc import Iterator, Sequence
from typing import Protocol

__all__ = ["Room", "Waiting"]

SHORT = 64  # jobs: a shorter queue is scanned; either way is as fast at some 30 to 130


class _Sees(Protocol):
    """What is asked about a job: a `View`."""

    now_s: float

    def pools_for(self, job: int) -> Sequence[int]:
        """Return the pools that can ever hold a job."""

    def sizes(self, job: int) -> Sequence[int]:
        """Return the nodes that a job holds on each pool."""

    def wall_s(self, job: int, pool: int) -> float:
        """Return how long a job is expected to run on a pool. [s]"""


class Room:
    """What jobs that wait may take of a pool now.

    A job fits if it holds at most `n_nodes`, and is expected to end by `end_by_s` or holds at most
    `n_spare` nodes. The end is a time and no duration, so that no rounding comes between jobs that
    end together.
    """

    __slots__ = ("end_by_s", "n_nodes", "n_spare")

    def __init__(self, n_nodes: int, end_by_s: float = math.inf, n_spare: int = 0) -> None:
        self.n_nodes, self.end_by_s, self.n_spare = n_nodes, end_by_s, n_spare

    def take(self, n_nodes: int, end_s: float) -> None:
        """Note that a job which fits starts."""
        self.n_nodes -= n_nodes
        if end_s > self.end_by_s:
            self.n_spare -= n_nodes


class _Tree:
    """Jobs of about one size on one pool, in the order of the queue."""

    __slots__ = ("jobs", "n_nodes", "order", "size", "slot", "wall_s")

    def __init__(self) -> None:
        self._lay_out([], [], [], [])

    def _lay_out(
        self, jobs: list[int], order: list[int], wall_s: list[float], n_nodes: list[float]
    ) -> None:
        self.jobs, self.order = jobs, order
        self.size = size = 1 << max(4, (2 * len(jobs)).bit_length())
        self.slot = dict(zip(jobs, range(len(jobs)), strict=True))
        self.wall_s = [math.inf] * size + wall_s + [math.inf] * (size - len(jobs))
        self.n_nodes = [math.inf] * size + n_nodes + [math.inf] * (size - len(jobs))
        for i in range(size - 1, 0, -1):
            self.wall_s[i] = min(self.wall_s[2 * i], self.wall_s[2 * i + 1])
            self.n_nodes[i] = min(self.n_nodes[2 * i], self.n_nodes[2 * i + 1])

    def add(self, job: int, order: int, wall_s: float, n_nodes: int) -> None:
        if len(self.jobs) == self.size:  # drop the leaves of those who have left
            size, slots = self.size, sorted(self.slot.values())
            live = [size + i for i in slots]
            self._lay_out(
                [self.jobs[i] for i in slots],
                [self.order[i] for i in slots],
                [self.wall_s[i] for i in live],
                [self.n_nodes[i] for i in live],
            )
        self.slot[job] = len(self.jobs)
        at = self.size + len(self.jobs)
        self.jobs.append(job)
        self.order.append(order)
        i, walls = at, self.wall_s
        while i and walls[i] > wall_s:
            walls[i] = wall_s
            i >>= 1
        i, sizes = at, self.n_nodes
        while i and sizes[i] > n_nodes:
            sizes[i] = n_nodes
            i >>= 1

    def remove(self, job: int) -> None:
        at = self.size + self.slot.pop(job)
        _remove_leaf(self.wall_s, at)
        _remove_leaf(self.n_nodes, at)

    def first(self, after: int, most_nodes: int, now_s: float, end_by_s: float) -> int:
        """Return the slot of the first job behind `after` that fits, or -1."""
        walls, sizes, size, i = self.wall_s, self.n_nodes, self.size, 1
        if after >= 0:
            i = size + bisect.bisect_right(self.order, after)
            if i == 2 * size:
                return -1
        while True:
            if sizes[i] <= most_nodes and now_s + walls[i] <= end_by_s:
                if i >= size:
                    return i - size
                i *= 2
            else:
                while i & 1:  # all below its parent has been seen
                    i >>= 1
                if not i:
                    return -1
                i += 1


def _remove_leaf(tree: list[float], i: int) -> None:
    """Raise a leaf to inf, and with it all minima that it was."""
    was, tree[i] = tree[i], math.inf
    i >>= 1
    while i and tree[i] == was:
        left, right = tree[2 * i], tree[2 * i + 1]
        least = left if left < right else right  # noqa: FURB136 (three times as fast as min)
        if least == was:
            return
        tree[i] = least
        i >>= 1


class Waiting:
    """Jobs that wait, in the order of the queue, and answers about them.

    Parameters
    ----------
    sees : View
        What is asked about a job.
    n_pools : int
        How many pools there are.

    Attributes
    ----------
    queue : mapping of int to int
        The jobs that wait, with numbers that rise along the queue.
    """

    def __init__(self, sees: _Sees, n_pools: int) -> None:
        self.sees, self.n_pools = sees, n_pools
        self.queue: dict[int, int] = {}
        self.jobs: list[int] = []  # in order; those who have left stay for a while
        self.order: list[int] = []
        self.head = 0  # nobody before it waits
        self.trees: list[dict[int, _Tree]] | None = None

    # -- changes ---------------------------------------------------------------------------------

    def add(self, job: int, order: int) -> None:
        """Note that a job waits, behind all others; `order` rises."""
        self.queue[job] = order
        self.jobs.append(job)
        self.order.append(order)
        if self.trees is not None:
            self._index(self.trees, job, order)

    def remove(self, job: int) -> None:
        """Note that a job waits no more."""
        del self.queue[job]
        if len(self.jobs) > 2 * len(self.queue) + 64:
            self.jobs, self.order = list(self.queue), list(self.queue.values())
            self.head = 0
        if self.trees is not None and len(self.queue) < SHORT // 2:
            self.trees = None
        elif self.trees is not None:
            sizes = self.sees.sizes(job)
            for pool in self.sees.pools_for(job):
                self.trees[pool][sizes[pool].bit_length()].remove(job)

    def _index(self, trees: list[dict[int, _Tree]], job: int, order: int) -> None:
        sizes = self.sees.sizes(job)
        for pool in self.sees.pools_for(job):
            n_nodes = sizes[pool]
            group = n_nodes.bit_length()
            if (tree := trees[pool].get(group)) is None:
                tree = trees[pool][group] = _Tree()
            tree.add(job, order, self.sees.wall_s(job, pool), n_nodes)

    def _trees(self) -> list[dict[int, _Tree]]:
        """Return the index, made if there is none."""
        if self.trees is None:
            self.trees = [{} for _ in range(self.n_pools)]
            for job, order in self.queue.items():
                self._index(self.trees, job, order)
        return self.trees

    # -- questions -------------------------------------------------------------------------------

    def first(self) -> int:
        """Return the job that has waited longest, or -1."""
        queue, jobs, order, head = self.queue, self.jobs, self.order, self.head
        while head < len(jobs) and queue.get(jobs[head]) != order[head]:
            head += 1
        self.head = head
        return jobs[head] if head < len(jobs) else -1

    def behind(self, after: int) -> Iterator[tuple[int, int]]:
        """Yield each job behind a place in the queue, with its own place."""
        queue, jobs, order = self.queue, self.jobs, self.order
        if after < 0:
            self.first()
            start = self.head
        else:
            start = bisect.bisect_right(order, after)
        for i in range(start, len(jobs)):
            if queue.get(jobs[i]) == order[i]:
                yield jobs[i], order[i]

    def first_that_fits(
        self,
        pool: int,
        n_nodes: int,
        end_by_s: float = math.inf,
        n_spare: int = 0,
        *,
        after: int = -1,
    ) -> int:
        """Return the first job that fits on a pool if it starts now, or -1.

        Parameters
        ----------
        pool : int
            Where.
        n_nodes : int
            Nodes that it may hold at most.
        end_by_s : float
            When it should be expected to end, if it holds more than `n_spare` nodes. [s]
        n_spare : int
            Nodes that it may hold for as long as it likes.
        after : int
            Only jobs behind this place in the queue; -1 for all.
        """
        if self._is_short(after):
            room, sizes = Room(n_nodes, end_by_s, n_spare), self.sees.sizes
            for job, _ in self.behind(after):
                if 0 < sizes(job)[pool] <= n_nodes and self._ends_in_time(job, pool, room):
                    return job
            return -1
        first, best = -1, math.inf
        now_s = self.sees.now_s
        n_spare = min(n_spare, n_nodes)
        for tree in self._trees()[pool].values():
            if tree.n_nodes[1] > n_nodes:
                continue
            if now_s + tree.wall_s[1] <= end_by_s:
                slot = tree.first(after, n_nodes, now_s, end_by_s)
                if slot >= 0 and tree.order[slot] < best:
                    first, best = tree.jobs[slot], tree.order[slot]
            if tree.n_nodes[1] <= n_spare and end_by_s < math.inf:
                slot = tree.first(after, n_spare, now_s, math.inf)
                if slot >= 0 and tree.order[slot] < best:
                    first, best = tree.jobs[slot], tree.order[slot]
        return first

    def that_fit(self, rooms: Sequence[Room], after: int = -1) -> Iterator[tuple[int, int]]:
        """Yield the jobs that fit somewhere now, in order, each with the first pool that has room.

        Who asks takes the room of a job from the pool before asking for the next.
        """
        if self._is_short(after):
            pools_for, sizes_of = self.sees.pools_for, self.sees.sizes
            for job, _ in self.behind(after):
                sizes = sizes_of(job)
                for pool in pools_for(job):
                    room = rooms[pool]
                    if 0 < sizes[pool] <= room.n_nodes and self._ends_in_time(job, pool, room):
                        yield job, pool
                        break
            return
        found = [-2] * len(rooms)  # -2: to be looked for
        queue, n_pools = self.queue, range(len(rooms))
        while True:
            for pool in n_pools:
                room = rooms[pool]
                if room.n_nodes <= 0:
                    found[pool] = -1
                elif found[pool] == -2:
                    limits = (room.n_nodes, room.end_by_s, room.n_spare)
                    found[pool] = self.first_that_fits(pool, *limits, after=after)
            jobs = [job for job in found if job >= 0]
            if not jobs:
                return
            job = min(jobs, key=queue.__getitem__)
            after, pool = queue[job], found.index(job)
            yield job, pool
            for other in n_pools:
                if found[other] == job or other == pool:
                    found[other] = -2

    def shortest_that_fit(
        self, rooms: Sequence[Room], after: int = -1
    ) -> Iterator[tuple[int, int, float]]:
        """Yield job, pool and wall time of the jobs that fit by nodes, the shortest first.

        A job comes once, on the pool with room where it is shortest; of jobs that take as long the
        first in the queue comes first. Who asks takes the room of a job from the pool before asking
        for the next.
        """
        sizes, wall_s, taken = self.sees.sizes, self.sees.wall_s, set[int]()
        if self._is_short(after):
            found = [
                (wall_s(job, pool), order, pool, job)
                for job, order in self.behind(after)
                for pool in self.sees.pools_for(job)
                if sizes(job)[pool] <= rooms[pool].n_nodes
            ]
            for shortest_s, _, pool, job in sorted(found):
                if job not in taken and sizes(job)[pool] <= rooms[pool].n_nodes:
                    taken.add(job)
                    yield job, pool, shortest_s
            return
        trees = self._trees()
        heap = [
            (tree.wall_s[1], -1, pool, group, 1)
            for pool, groups in enumerate(trees)
            for group, tree in groups.items()
            if tree.n_nodes[1] <= rooms[pool].n_nodes
        ]
        heapq.heapify(heap)
        while heap:
            shortest_s, order, pool, group, i = heapq.heappop(heap)
            tree = trees[pool][group]
            if tree.n_nodes[i] > rooms[pool].n_nodes:
                continue
            if order >= 0:
                job = tree.jobs[i - tree.size]
                if job not in taken and order > after:
                    taken.add(job)
                    yield job, pool, shortest_s
                continue
            for child in (2 * i, 2 * i + 1):
                if tree.n_nodes[child] <= rooms[pool].n_nodes:
                    leaf = child - tree.size
                    at = tree.order[leaf] if leaf >= 0 else -1
                    heapq.heappush(heap, (tree.wall_s[child], at, pool, group, child))

    def _is_short(self, after: int) -> bool:
        """Return whether so few jobs stand behind a place that they are scanned."""
        if self.trees is None and len(self.queue) < SHORT:
            return True
        return after >= 0 and after > self.order[-1] - SHORT // 2

    def _ends_in_time(self, job: int, pool: int, room: Room) -> bool:
        """Return whether a job of which there is room on a pool may start."""
        if room.end_by_s == math.inf or self.sees.sizes(job)[pool] <= room.n_spare:
            return True
        return self.sees.now_s + self.sees.wall_s(job, pool) <= room.end_by_s
