"""The groups of nodes of a pool in one run: which nodes a job is given, how far it lies apart.

A group is a number of neighbours, such as a rack. How many nodes are free in each is kept up to
date as nodes move, and the groups in the order of that, so that a choice asks for the fullest group
that still holds a job, or the emptiest, without going through the pool. Greedy choices are enough:
no set of groups that holds a job is smaller than the emptiest ones, as many as are needed.

What is counted here (starts, groups beyond the least, node-seconds) is of jobs on this pool, with
all nodes that they hold: those that another pool lends are groups of their own.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from computeplan.world.pools import Placement

__all__ = ["Groups"]


class Groups:
    """Free nodes by group, and on which groups each job has nodes of this pool.

    `n_in_parts` nodes are free in groups of which others are not, and `n_spread` with jobs on more
    groups than the least that could hold them: `spread`, with the nodes that each holds. `moved`
    are jobs of this pool whose nodes have moved since somebody last asked.
    """

    def __init__(self, spec: Placement, n_nodes: int) -> None:
        self.spec = spec
        firsts = range(0, n_nodes, spec.n_nodes)
        self.free = [list(range(first, min(first + spec.n_nodes, n_nodes))) for first in firsts]
        self.whole = [len(nodes) for nodes in self.free]
        self.order = sorted((-n, group) for group, n in enumerate(self.whole))  # emptiest first
        self.on: defaultdict[int, Counter[int]] = defaultdict(Counter)  # by job and group
        self.least: dict[int, int] = {}  # by job on this pool
        self.spread: dict[int, int] = {}
        self.moved: set[int] = set()
        self.n_in_parts = self.n_spread = self.n_starts = self.n_beyond = 0
        self.in_parts_node_s = self.spread_node_s = 0.0

    def book(self, seconds: float) -> None:
        """Book how nodes have been for some time; before any of them moves. [s]"""
        self.in_parts_node_s += seconds * self.n_in_parts
        self.spread_node_s += seconds * self.n_spread

    # -- which nodes -----------------------------------------------------------------------------

    @property
    def chooses(self) -> bool:
        """Whether groups decide which nodes a job is given."""
        return self.spec.by != "first"

    def for_gang(self, n: int) -> list[int]:
        """Return `n` free nodes for a job that has none; there are as many."""
        wanted = self._on_fewest(n) if self.spec.by == "fewest" else self._on_most(n)
        return [node for group, n_here in wanted.items() for node in self.free[group][:n_here]]

    def one_more(self, job: int) -> int:
        """Return a free node for a job that has others, or none yet; there is one."""
        own: Mapping[int, int] = self.on.get(job, {})
        if self.spec.by == "fewest":
            near = [(len(self.free[group]), group) for group in own if self.free[group]]
            group = min(near)[1] if near else next(iter(self._on_fewest(1)))
        else:
            group = self._farthest(own)
        return self.free[group][0]

    def one_less(self, job: int, held: Iterable[int]) -> int:
        """Return which of its nodes a job gives up: the last of where it has fewest, or of all."""
        if self.spec.by != "fewest":
            return max(held)
        own = self.on[job]
        return max(held, key=lambda node: (-own[node // self.spec.n_nodes], node))

    def _on_fewest(self, n: int) -> dict[int, int]:
        """Return how many nodes of which groups: the emptiest, then the fullest with room."""
        order, wanted, i = self.order, dict[int, int](), 0
        while n > -order[i][0]:
            minus, group = order[i]
            wanted[group] = -minus
            n, i = n + minus, i + 1
        least_free = order[bisect_right(order, (-n, len(order))) - 1][0]
        wanted[order[bisect_left(order, (least_free, 0), i)][1]] = n
        return wanted

    def _on_most(self, n: int) -> dict[int, int]:
        """Return how many nodes of which groups: one of each in turn, the emptiest first."""
        wanted, n_each = Counter[int](), 0
        while n:
            n_each += 1
            for minus, group in self.order:
                if not n or -minus < n_each:
                    break
                wanted[group] += 1
                n -= 1
        return wanted

    def _farthest(self, own: Mapping[int, int]) -> int:
        """Return the emptiest group where a job has nothing, or else where it has least."""
        for minus, group in self.order:
            if minus and group not in own:
                return group
        open_groups = ((n, -len(self.free[group]), group) for group, n in own.items())
        return min(one for one in open_groups if one[1])[2]

    # -- what happens to nodes -------------------------------------------------------------------

    def give(self, node: int, job: int) -> None:
        """Note that a job holds a node that was free."""
        self.take(node)
        self.on[job][node // self.spec.n_nodes] += 1

    def leave(self, node: int, job: int) -> None:
        """Note that a job does not hold a node any more; it is not free yet."""
        on, group = self.on[job], node // self.spec.n_nodes
        on[group] -= 1
        if not on[group]:
            del on[group]

    def take(self, node: int) -> None:
        """Note that a node is not free any more."""
        group = node // self.spec.n_nodes
        free = self.free[group]
        del free[bisect_left(free, node)]
        self._sort(group, len(free) + 1)

    def put(self, node: int) -> None:
        """Note that a node is free."""
        group = node // self.spec.n_nodes
        free = self.free[group]
        insort(free, node)
        self._sort(group, len(free) - 1)

    def _sort(self, group: int, n_before: int) -> None:
        n, whole, order = len(self.free[group]), self.whole[group], self.order
        del order[bisect_left(order, (-n_before, group))]
        insort(order, (-n, group))
        self.n_in_parts += n * (n < whole) - n_before * (n_before < whole)

    # -- how far jobs lie apart ------------------------------------------------------------------

    def start(self, job: int, n_groups: int, n_nodes: int) -> None:
        """Note that a job of this pool starts with all its nodes, on so many groups."""
        self.least[job] = self.spec.n_least(n_nodes)
        self.n_starts += 1
        self.n_beyond += n_groups - self.least[job]
        self.note(job, n_groups, n_nodes)

    def aim_at(self, job: int, n_nodes: int) -> None:
        """Note that a job of this pool should hold another number of nodes."""
        self.least[job] = self.spec.n_least(n_nodes)

    def note(self, job: int, n_groups: int, n_nodes: int) -> None:
        """Note on how many groups a job of this pool lies, and how many nodes it holds."""
        now = n_nodes if n_groups > self.least[job] else 0
        self.n_spread += now - self.spread.pop(job, 0)
        if now:
            self.spread[job] = now
        self.moved.add(job)

    def lately_moved(self) -> list[int]:
        """Return the jobs whose nodes have moved since this was last asked."""
        moved = sorted(self.moved)
        self.moved.clear()
        return moved

    def end(self, job: int) -> None:
        """Forget a job that holds no node any more."""
        self.on.pop(job, None)
        self.least.pop(job, None)
        self.moved.discard(job)
        self.n_spread -= self.spread.pop(job, 0)
