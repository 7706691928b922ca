"""The nodes that one job holds, on one pool or on several, and how many replicas they make.

A job on one pool has one part. A mixed job has a part on each of its pools, each with books of its
own: what the job does, all its parts do at the same time. A node that is lacking on any of them
takes its replicas from the job; those that are left train.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from computeplan.engines.event.books import Books, Stalls
from computeplan.world.jobs import Shrinking

__all__ = ["Allocation", "Part"]

WAITS = Shrinking(1, 1, 0.0)  # waiting is to go on with at least 1 of 1 replicas


class Part:
    """The nodes that a job holds on one pool.

    All its replicas need `n_nodes`, and it should hold `n_target` of them, of which `n_short` are
    lacking and `n_booting` are there and cannot train yet. `n_whole_job` nodes would make the whole
    job. `chips` are those of active replicas, and those that the job holds beside them.
    """

    def __init__(
        self,
        pool: int,
        n_nodes: int,
        chips_per_node: int,
        books: Books,
        *,
        n_target: int = 0,
        n_whole_job: int = 0,
    ) -> None:
        self.pool, self.n_nodes, self.chips_per_node, self.books = (
            pool,
            n_nodes,
            chips_per_node,
            books,
        )
        self.n_target, self.n_whole_job = n_target or n_nodes, n_whole_job or n_nodes
        self.n_short = self.n_booting = 0
        self.pace = self.capped_frac = 1.0
        self.held_chips = self.n_target * chips_per_node
        self.chips: tuple[float, float] = (n_nodes * chips_per_node, 0.0)

    @property
    def full_chips(self) -> int:
        """Chips of all its replicas."""
        return self.n_nodes * self.chips_per_node

    def move(self, n_short: int, n_booting: int) -> None:
        """Note that more nodes are lacking, or boot; fewer, where negative."""
        self.n_short += n_short
        self.n_booting += n_booting
        self.held_chips = (self.n_target - self.n_short) * self.chips_per_node
        self.chips = (self.chips[0], self.held_chips - self.chips[0])

    def n_lost(self, n_replicas: int) -> int:
        """Return the replicas of the job that the nodes cost that cannot train here."""
        n_lacking = self.n_nodes - self.n_target + self.n_short + self.n_booting
        return -(-n_lacking * n_replicas // self.n_whole_job)

    def take_up(self, n_replicas: int) -> None:
        """Train with what is left of its replicas from now on."""
        of_all = n_replicas * self.n_nodes
        left = max(0, of_all - self.n_lost(n_replicas) * self.n_whole_job)
        active = self.full_chips * (left / of_all)
        self.chips = (active, self.held_chips - active)


class Allocation:
    """All nodes that a job holds.

    Of its replicas `n_whole` could train, and `n_active` do, or did last. `books` are those of one
    part, whose times are those of all.
    """

    def __init__(self, parts: Sequence[Part], shrinking: Shrinking | None) -> None:
        self.parts, self.books = parts, parts[0].books
        self.shrinking = shrinking or WAITS
        self.n_active, self.active_frac = self.shrinking.n_replicas, 1.0
        self._count()
        self.take_up()

    @property
    def n_short(self) -> int:
        """Nodes that are lacking."""
        n_short = 0
        for part in self.parts:
            n_short += part.n_short
        return n_short

    def on(self, pool: int) -> Part:
        """Return the part on a pool."""
        for part in self.parts:
            if part.pool == pool:
                return part
        raise KeyError(pool)

    def move(self, pool: int, n_short: int, n_booting: int) -> None:
        """Note that more nodes of a pool are lacking, or boot; fewer, where negative."""
        self.on(pool).move(n_short, n_booting)
        self._count()

    def aim_at(self, n_target: int) -> int:
        """Note how many nodes it should hold on its pool; return how many more it holds.

        What it lacked is given up first. More nodes than before are there from now on.
        """
        (part,) = self.parts
        n_held = part.n_target - part.n_short
        n_short = min(part.n_short, max(0, n_target - n_held))
        part.n_target = n_target
        self.move(part.pool, n_short - part.n_short, 0)
        return max(0, n_held - n_target)

    def take_up(self) -> None:
        """Train with all replicas that are whole from now on."""
        if self.n_active != self.n_whole or len(self.parts) > 1:
            self.n_active = self.n_whole
            self.active_frac = self.n_active / self.shrinking.n_replicas
            for part in self.parts:
                part.take_up(self.shrinking.n_replicas)

    def _count(self) -> None:
        n_replicas = n_whole = self.shrinking.n_replicas
        for part in self.parts:
            n_whole -= part.n_lost(n_replicas)
        self.n_whole = max(0, n_whole)

    # -- what it does is booked for all parts ----------------------------------------------------

    def book(self, phase: int, from_s: float, to_s: float, *, is_active: bool) -> None:
        """Book a phase of all chips, or of those of active replicas while others wait."""
        for part in self.parts:
            chips = part.chips if is_active else (part.held_chips, 0.0)
            part.books.book(phase, from_s, to_s, *chips)

    def train(
        self,
        from_s: float,
        to_s: float,
        trained_s: float,
        shown: Sequence[tuple[float, float, float]] = (),
        stalls: Stalls | None = None,
    ) -> None:
        """Book training, and saving in the rest of the time; see `Books.train`."""
        for part in self.parts:
            part.books.train(from_s, to_s, trained_s, *part.chips, shown, stalls)

    def undo(self, line_s: float, cut_s: float) -> None:
        """Turn all training after the first `line_s` from kept to lost."""
        for part in self.parts:
            part.books.undo(line_s, cut_s)

    def settle(self, line_s: float = math.inf) -> None:
        """Note that no fall-back will reach the first `line_s` seconds of what is kept."""
        for part in self.parts:
            part.books.settle(line_s)
