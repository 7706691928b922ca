"""Where the nodes of a pool are, for many runs at once.

Nodes have numbers and keep them. A row lists only the nodes that its job does *not* hold: the id
and the time since which each is up, in the future while it is in repair. A node that is not listed
is with the job, or idle once the job has ended. So cost follows strikes and spares, never chips.

A node that is taken is replaced at once by the one that is up first: an idle node, or, if there is
none, the first that will be repaired, which may be the taken node itself. That settles when the job
will be whole again without an event for the repair: of all nodes the job lacks, the last one that
it waits for. What it waits for is remembered as a claim, because a claimed node is not listed but
does not notice strikes either.

Arrays have shape (n_places, n_rows), so that a look over all places of all rows runs along memory.
To find the node that is up first, times are compared as the integers that their bits are (the
order is the same for times >= 0), with the place in the last bits: one minimum gives both.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from computeplan.checks import FloatArray, IntArray

__all__ = ["Mask", "Nodes"]

Mask = NDArray[np.bool_]
NO_NODE = -2  # id of an empty place; -1 is the node of a planned stop


class Nodes:
    """Nodes that jobs do not hold, one row a run, and what has been booked of them.

    Parameters
    ----------
    n_rows : int
        Runs.
    first, n_nodes : int
        Nodes from `first` up to `n_nodes` are idle from t = 0; those before are with a job.
    """

    def __init__(self, n_rows: int, first: int, n_nodes: int) -> None:
        self.rows = np.arange(n_rows)
        n_places = max(1, n_nodes - first)
        self.ids = np.full((n_places, n_rows), NO_NODE, dtype=np.int32)
        self.up_s = np.full((n_places, n_rows), math.inf)
        if n_nodes > first:
            self.ids[:] = np.arange(first, n_nodes, dtype=np.int32)[:, None]
            self.up_s[:] = 0.0
        self._set_keys()
        self.claimed = np.full((4, n_rows), NO_NODE, dtype=np.int32)
        self.claimed_up_s = np.zeros((4, n_rows))
        self.n_claims = np.zeros(n_rows, dtype=np.int64)
        self.idle_s, self.repair_s = np.zeros(n_rows), np.zeros(n_rows)  # x nodes
        self.n_repairs = np.zeros(n_rows, dtype=np.int64)

    def _set_keys(self) -> None:
        self._mask = np.int64((1 << len(self.ids).bit_length()) - 1)
        places = np.arange(len(self.ids))[:, None]
        self._keys = (self.up_s.view(np.int64) & ~self._mask) | places

    def _put(self, at: IntArray, up_s: FloatArray) -> None:
        """Set the time of places, counted through the flat array."""
        self.up_s.reshape(-1)[at] = up_s
        key = up_s.view(np.int64) & ~self._mask
        key |= at // self.rows.size
        self._keys.reshape(-1)[at] = key

    def lists(self, node: IntArray) -> Mask:
        """Return whether each row lists its node."""
        found: Mask = (self.ids == node).any(axis=0)
        return found

    def awaits(self, rows: IntArray, node: IntArray, time_s: FloatArray) -> Mask:
        """Return whether some rows' jobs wait for their node, which is still in repair."""
        waits = (self.claimed[:, rows] == node) & (self.claimed_up_s[:, rows] > time_s)
        found: Mask = waits.any(axis=0)
        return found

    def replace(
        self, takes: Mask, time_s: FloatArray, node: IntArray, repair_s: FloatArray, whole_s: FloatArray
    ) -> FloatArray:
        """Send nodes of jobs to repair; return when each row has the node that takes their place.

        Parameters
        ----------
        takes : ndarray of bool, shape (n_rows,)
            Rows whose node is taken.
        time_s, repair_s : ndarray, shape (n_rows,)
            Now, and how long the repair takes. [s]
        node : ndarray of int, shape (n_rows,)
            The taken nodes.
        whole_s : ndarray, shape (n_rows,)
            When the jobs are whole, as known before. [s]

        Returns
        -------
        ndarray, shape (n_rows,)
            Now where a node is idle, else when the first is repaired. [s]
        """
        at = self._keys.min(axis=0)
        at &= self._mask
        at *= self.rows.size
        at += self.rows
        up_s = self.up_s.reshape(-1)[at]
        own_s = time_s + repair_s
        from_s = np.maximum(np.minimum(up_s, own_s), time_s)
        self.n_repairs += takes
        self.repair_s += repair_s * takes
        self.idle_s += np.maximum(time_s - up_s, 0.0) * takes
        late = np.flatnonzero(takes & (from_s > time_s))
        if late.size:
            pulled = np.where(up_s[late] <= own_s[late], self.ids.reshape(-1)[at[late]], node[late])
            self._claim(late, pulled, from_s[late], whole_s[late] <= time_s[late])
        rows = np.flatnonzero(takes & (up_s <= own_s))
        at = at[rows]
        self.ids.reshape(-1)[at] = node[rows]
        self._put(at, own_s[rows])
        return from_s

    def _claim(self, rows: IntArray, node: IntArray, up_s: FloatArray, are_first: Mask) -> None:
        self.n_claims[rows[are_first]] = 0
        place = self.n_claims[rows]
        if place.max() == len(self.claimed):
            empty = np.full_like(self.claimed, NO_NODE)
            self.claimed = np.vstack([self.claimed, empty])
            self.claimed_up_s = np.vstack([self.claimed_up_s, np.zeros(empty.shape)])
        self.claimed[place, rows], self.claimed_up_s[place, rows] = node, up_s
        self.n_claims[rows] += 1

    def strike(
        self, rows: IntArray, node: IntArray, time_s: FloatArray, takes: Mask, repair_s: FloatArray
    ) -> Mask:
        """Strike listed nodes; return which were idle. The idle ones that are taken go to repair."""
        place = (self.ids[:, rows] == node).argmax(axis=0)
        up_s = self.up_s[place, rows]
        idle: Mask = up_s <= time_s
        gone = idle & takes
        rows, place, up_s = rows[gone], place[gone], up_s[gone]
        time_s, repair_s = time_s[gone], repair_s[gone]
        self.n_repairs[rows] += 1
        self.idle_s[rows] += time_s - up_s
        self.repair_s[rows] += repair_s
        self._put(place * self.rows.size + rows, time_s + repair_s)
        return idle

    def add_idle(self, rows: IntArray, node: IntArray, since_s: FloatArray) -> None:
        """List nodes that a job has given back, idle since `since_s`."""
        free = self.ids[:, rows] == NO_NODE
        if not free.any(axis=0).all():
            empty = np.full((max(8, len(self.ids) // 2), self.rows.size), NO_NODE, dtype=np.int32)
            self.ids = np.vstack([self.ids, empty])
            self.up_s = np.vstack([self.up_s, np.full(empty.shape, math.inf)])
            self._set_keys()
            free = self.ids[:, rows] == NO_NODE
        place = free.argmax(axis=0)
        self.ids[place, rows] = node
        self._put(place * self.rows.size + rows, since_s)

    def lacking_beyond(self, wall_s: FloatArray, whole_s: FloatArray) -> FloatArray:
        """Return the node-seconds after `wall_s` that jobs wait for claimed nodes."""
        valid = np.arange(len(self.claimed))[:, None] < self.n_claims
        beyond_s = np.where(valid & (whole_s > wall_s), self.claimed_up_s - wall_s, 0.0)
        total: FloatArray = np.maximum(beyond_s, 0.0).sum(axis=0)
        return total

    def totals(self, wall_s: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        """Return idle and repair node-seconds of listed nodes up to `wall_s`, and how many are listed."""
        listed = self.ids != NO_NODE
        ahead_s = np.where(listed, self.up_s - wall_s, 0.0)
        idle_s = self.idle_s + np.maximum(-ahead_s, 0.0).sum(axis=0)
        repair_s = self.repair_s - np.maximum(ahead_s, 0.0).sum(axis=0)
        return idle_s, repair_s, listed.sum(axis=0)
