"""When nodes are back from repair, for many runs at once: first what needs no crew, then a crew.

Crews take nodes in the order in which they come to them (Kiefer and Wolfowitz: the next node is
begun when it comes, or when the crew that is free first is). That order is the order of faults only
if what comes before lasts the same for all; other pools are for the event engine. Nodes that one
fault sent to repair together are repaired by one crew.

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

__all__ = ["Repairs"]


class Repairs:
    """The crews of a pool, one row a run."""

    def __init__(self, pool: Pool, n_rows: int) -> None:
        n_crews = pool.n_crews or 0
        self.free_s = np.zeros((n_crews, n_rows))
        self.begun_s = np.full(n_rows, math.nan)  # by a crew, for the fault under way

    def forget(self, new: BoolArray) -> None:
        """Note that other faults are under way in some rows."""
        self.begun_s[new] = math.nan

    def repair(self, turn: Turn, is_taken: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return when nodes that a turn sends to repair are back, and after how long. [s]

        Times are added in the order in which the stages come, so that both engines find the same
        time to the last bit.
        """
        come_s, down_s = turn.time_s, turn.repair_s
        if turn.automatic_s is not None:
            come_s, down_s = come_s + turn.automatic_s, turn.automatic_s + down_s
        back_s = come_s + turn.repair_s
        if not len(self.free_s):
            return back_s, down_s
        rows = np.flatnonzero(is_taken)
        come_s, repair_s = come_s[rows], turn.repair_s[rows]
        crews = self.free_s[:, rows]
        crew = crews.argmin(axis=0)
        needs = repair_s > 0
        begin_s = np.where(needs, np.maximum(come_s, crews[crew, np.arange(rows.size)]), come_s)
        if turn.is_member is not None:
            shared = turn.is_member[rows] & ~np.isnan(self.begun_s[rows])
            begin_s = np.where(shared, self.begun_s[rows], begin_s)
            self.begun_s[rows] = begin_s
            needs &= ~shared
        back_s[rows] = begin_s + repair_s
        self.free_s[crew[needs], rows[needs]] = back_s[rows[needs]]
        down_s = down_s.copy()
        down_s[rows] = back_s[rows] - turn.time_s[rows]
        return back_s, down_s
