"""Nodes that hold their jobs back for a while, in one run of the event engine."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from computeplan.engines.event.gang import Gang
from computeplan.engines.event.pacedgang import PacedGang
from computeplan.engines.event.poolnodes import FREE, IN_REPAIR, PoolNodes
from computeplan.world.faults import Kind, Slow

__all__ = ["Stragglers"]


class Stragglers:
    """The slow nodes of one pool.

    Slowness belongs to a node: it goes along to another job, and ends where the node goes to
    repair. A job trains as fast as its slowest node lets it: the others wait for it at every step.
    """

    def __init__(self) -> None:
        self.slow: dict[int, dict[int, float]] = {}  # by node and ticket: share of speed
        self.tickets = count()

    def begin(self, node: int, kind: Kind) -> int:
        """Slow a node down; return a ticket for the end of it."""
        assert isinstance(kind.effect, Slow)
        ticket = next(self.tickets)
        self.slow.setdefault(node, {})[ticket] = kind.effect.to_frac
        return ticket

    def end(self, node: int, ticket: int) -> None:
        """End one slowness of a node, if its repair has not."""
        found = self.slow.get(node, {})
        found.pop(ticket, None)
        if not found:
            self.slow.pop(node, None)

    def set_paces(self, nodes: PoolNodes, gangs: Iterable[Gang], now_s: float) -> None:
        """Tell jobs their speed from now on."""
        paces: dict[int, float] = {}
        for node, found in list(self.slow.items()):
            where = nodes.where[node]
            if where == IN_REPAIR:
                del self.slow[node]
            elif where != FREE:
                paces[where] = min(paces.get(where, 1.0), *found.values())
        for gang in gangs:
            if isinstance(gang, PacedGang):
                gang.set_pace(now_s, paces.get(gang.index, 1.0))
