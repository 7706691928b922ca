"""The nodes of a job: how many it lacks, and how many replicas those that are left make.

A job that waits for nodes that it lacks is one that goes on with at least 1 of 1 replicas.
"""

from __future__ import annotations

from computeplan.world.jobs import Shrinking

__all__ = ["Allocation"]

WAITS = Shrinking(1, 1, 0.0)


class Allocation:
    """The nodes that one job holds on one pool.

    `n_short` are lacking, `n_booting` are there and cannot train yet; `n_whole` replicas could
    train, and `n_active` do, or did last. `chips` are those of active replicas, and those that the
    job holds beside them.
    """

    def __init__(self, n_nodes: int, chips_per_node: int, shrinking: Shrinking | None) -> None:
        self.n_nodes, self.chips_per_node = n_nodes, chips_per_node
        self.shrinking = shrinking or WAITS
        self.n_short = self.n_booting = 0
        self.n_whole = self.n_active = self.shrinking.n_replicas
        self.active_frac = 1.0
        self.held_chips = n_nodes * chips_per_node
        self.chips: tuple[float, float] = (self.held_chips, 0.0)

    @property
    def is_enough(self) -> bool:
        """Whether it can train at all."""
        return self.n_whole >= max(self.shrinking.n_least, 1)

    def move(self, n_short: int, n_booting: int) -> None:
        """Note that more nodes are lacking, or boot; fewer, where negative."""
        self.n_short += n_short
        self.n_booting += n_booting
        self.n_whole = self.shrinking.n_whole(self.n_nodes, self.n_short + self.n_booting)
        self.held_chips = (self.n_nodes - self.n_short) * self.chips_per_node
        self.chips = (self.chips[0], self.held_chips - self.chips[0])

    def take_up(self) -> None:
        """Train with all replicas that are whole from now on."""
        if self.n_active != self.n_whole:
            self.n_active = self.n_whole
            self.active_frac = self.n_active / self.shrinking.n_replicas
            active = self.n_nodes * self.chips_per_node * self.active_frac
            self.chips = (active, self.held_chips - active)
