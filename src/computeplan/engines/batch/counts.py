"""What faults are counted as, for many runs at once; a fault of several nodes is one."""

from __future__ import annotations

import numpy as np

from computeplan.arrays import IntArray
from computeplan.trace.arrivals import BoolArray

__all__ = ["FaultCounts"]


class FaultCounts:
    """Interruptions and faults of idle nodes, shape (n_kinds, n_rows).

    Of the fault under way, which may take several turns, it is known whether it is counted, and as
    what.
    """

    def __init__(self, n_kinds: int, n_fault_kinds: int, n_rows: int, *, has_groups: bool) -> None:
        self.n_fault_kinds, self.has_groups = n_fault_kinds, has_groups
        self.rows = np.arange(n_rows)
        self.interruptions, self.idle_faults = np.zeros((2, n_kinds, n_rows), dtype=np.int64)
        self.is_counted, self.is_counted_idle = np.zeros((2, n_rows), dtype=np.bool_)

    def forget(self, new: BoolArray) -> None:
        """Note that other faults are under way in some rows."""
        self.is_counted &= ~new
        self.is_counted_idle &= ~new

    def add(self, kind: IntArray, hit: BoolArray) -> None:
        """Count faults of nodes with a job."""
        if self.has_groups:
            once = hit & ~self.is_counted
            self.is_counted |= hit
            moved = np.flatnonzero(once & self.is_counted_idle)
            self.idle_faults[kind[moved], moved] -= 1
            self.is_counted_idle[moved] = False
            hit = once
        if self.n_fault_kinds == 1:
            self.interruptions[0] += hit
        else:
            self.interruptions[kind, self.rows] += hit

    def add_idle(self, kind: IntArray, rows: IntArray, idle: BoolArray) -> None:
        """Count faults of idle nodes, of some rows and the kind in each."""
        if self.has_groups:
            idle = idle & ~self.is_counted[rows] & ~self.is_counted_idle[rows]
            self.is_counted_idle[rows[idle]] = True
        self.idle_faults[kind[idle], rows[idle]] += 1
