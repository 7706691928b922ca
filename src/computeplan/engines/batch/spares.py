"""How soon a spare can train, for many runs at once.

Spares wait in places of some warmth, the hottest first. The job takes from the hottest; the place
is filled again from the next colder ones at once, so that it is ready when that spare is; the
coldest spares are all alike, and so is whatever else is idle. Several that are taken together empty
the hot places and wait for colder ones, which boot side by side.
"""

from __future__ import annotations

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.world.pools import Pool

__all__ = ["SpareStates"]


class SpareStates:
    """The spares of a pool by their warmth, one row a run."""

    def __init__(self, pool: Pool, n_rows: int) -> None:
        spare_states = [(n, ready_s) for n, ready_s in pool.spare_states if n]
        self.ready_s = [ready_s for _, ready_s in spare_states]
        self.filled_s = [np.zeros((n, n_rows)) for n, _ in spare_states[:-1]]

    def take(self, rows: IntArray, now_s: FloatArray, state: int = 0) -> FloatArray:
        """Take a spare in some rows, and return how long until it can train. [s]"""
        if state == len(self.filled_s):
            return np.full(rows.size, self.ready_s[state])
        filled_s = self.filled_s[state]
        place = filled_s[:, rows].argmin(axis=0)
        wait_s = np.maximum(filled_s[place, rows] - now_s, 0.0)
        filled_s[place, rows] = now_s + self.take(rows, now_s, state + 1)
        ready_s: FloatArray = wait_s + self.ready_s[state]
        return ready_s
