"""How long nodes stay away, for many runs at once: what needs no crew first, then a crew.

Crews take nodes in the order in which they come to them (Kiefer and Wolfowitz: the next node is
begun when it comes, or when the crew that is free first is). That order is the order of faults only
if what comes before lasts the same for all; other pools are for the event engine. Nodes that one
fault took together are mended by one crew.

Sources
-------
.. [1] J. Kiefer and J. Wolfowitz, "On the theory of queues with many servers", Transactions of the
       American Mathematical Society 78, 1955.
"""

from __future__ import annotations

import math

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.batch.turns import Turn
from computeplan.trace.arrivals import BoolArray
from computeplan.world.pools import Pool

__all__ = ["RepairShop"]


class RepairShop:
    """The crews of a pool, one row a run."""

    def __init__(self, pool: Pool, n_rows: int) -> None:
        n_crews = pool.n_crews or 0
        self.free_s = np.zeros((n_crews, n_rows))
        self.begun_s = np.full(n_rows, math.nan)  # by a crew, for the fault under way

    def forget(self, new: BoolArray) -> None:
        """Note that other faults are under way in some rows."""
        self.begun_s[new] = math.nan

    def down_s(self, turn: Turn, is_taken: BoolArray) -> FloatArray:
        """Return how long the nodes that a turn takes stay away, shape (n_rows,). [s]"""
        down_s = turn.repair_s
        if turn.automatic_s is not None:
            down_s = turn.automatic_s + turn.repair_s
        if len(self.free_s):
            down_s = down_s.copy()
            rows = np.flatnonzero(is_taken)
            come_s = turn.time_s[rows]
            if turn.automatic_s is not None:
                come_s = come_s + turn.automatic_s[rows]
            repair_s = turn.repair_s[rows]
            crews = self.free_s[:, rows]
            crew = crews.argmin(axis=0)
            begin_s = np.maximum(come_s, crews[crew, np.arange(rows.size)])
            needs = repair_s > 0
            begin_s = np.where(needs, begin_s, come_s)
            if turn.is_member is not None:
                shared = turn.is_member[rows] & ~np.isnan(self.begun_s[rows])
                begin_s = np.where(shared, self.begun_s[rows], begin_s)
                self.begun_s[rows] = begin_s
                needs &= ~shared
            self.free_s[crew[needs], rows[needs]] = (begin_s + repair_s)[needs]
            down_s[rows] = begin_s + repair_s - turn.time_s[rows]
        return down_s
