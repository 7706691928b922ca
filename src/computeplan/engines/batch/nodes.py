"""Where the nodes of a pool are, for many runs at once.

Nodes have numbers and keep them. A row lists only the nodes that its job does *not* hold: the id
and the time since which each is up, in the future while it is in repair. A node that is not listed
is with the job, or idle once the job has ended. So cost follows faults and spares, never chips.

A node that is sent to repair is replaced at once by the one that is up first, and of several by
that of the lowest number: an idle node, or, if there is none, the first that will be restored,
which may be the very node. That settles when the job will have all its nodes again without an event
for the repair: of all nodes the job lacks, the last one that it waits for. What it waits for is
remembered as a claim, because a claimed node is not listed but does not notice faults either.

Arrays have shape (n_places, n_rows), so that a look over all places of all rows runs along memory.
To find the node that is up first, times are kept once more as the integers that their bits are (the
order is the same for times >= 0, and the little below 0 that stands for "never sent to repair" is
first), with the place in the last bits: one minimum gives both. Fewer than a thousand places take
ten bits, which rounds a time down by less than 3e-13 of itself; books of idle nodes are no more
exact than that. Where nodes may come back at one time, those that look alike are told apart by
their exact times and their numbers.
"""

from __future__ import annotations

import math

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.distributions import TIED
from computeplan.engines.batch.books import MISSING, Weights
from computeplan.ledger import IDLE, REPAIR
from computeplan.trace.arrivals import BoolArray, NodeArray
from computeplan.world.pools import Pool

__all__ = ["Mask", "Nodes"]

Mask = BoolArray
NO_NODE = -2  # id of an empty place; -1 is the node of a planned stop
LAST = np.iinfo(np.int32).max
CLAIMS = 2  # places for claims to begin with
UNTOUCHED_S = -1e-200  # since when nodes are up that were never sent to repair, times a number


def _may_tie(pool: Pool) -> bool:
    """Return whether nodes may come back at one time: times are known, or are some of a few.

    Of two random times to the last bit, that two are the same does not happen.
    """
    repairs = [kind.interrupt.repair for kind in pool.kinds if kind.interrupt]
    is_known = any(kind.log is not None for kind in pool.kinds)
    is_known |= any(kind.lifetime and kind.lifetime.law.name == "seen" for kind in pool.kinds)
    is_known |= any(stop.effect.n_nodes for stop in pool.stops)
    return is_known or pool.has_groups or any(law and law.name in TIED for law in repairs)


class Nodes:
    """Nodes that jobs do not hold, one row a run, and what has been booked of them.

    The first `n_places` places list nodes; the others hold claims, and those that have come true
    are left there until their place is needed.

    Parameters
    ----------
    pool : Pool
        Which nodes.
    n_rows : int
        Runs.
    first : int
        Nodes from here on are idle from t = 0; those before are with a job.
    weights : Weights
        Of the nodes that jobs do not hold.
    """

    def __init__(self, pool: Pool, n_rows: int, first: int, weights: Weights) -> None:
        self.rows, self.may_tie, self.weights = np.arange(n_rows), _may_tie(pool), weights
        n_nodes = pool.n_nodes + pool.n_spare_nodes
        self.by_s, self._time_s = np.zeros(n_rows), np.full(n_rows, -1.0)
        self._nth = np.zeros(n_rows, dtype=np.int64)  # arrival at one time
        self.n_places = max(1, n_nodes - first)
        self.ids = np.full((self.n_places + CLAIMS, n_rows), NO_NODE, dtype=np.int32)
        self.up_s = np.full((self.n_places, n_rows), math.inf)
        if n_nodes > first:
            self.ids[: self.n_places] = np.arange(first, n_nodes, dtype=np.int32)[:, None]
            self.up_s[:] = UNTOUCHED_S * np.arange(1, self.n_places + 1)[:, None]
        self._set_keys()
        self.claimed_up_s = np.zeros((CLAIMS, n_rows))
        self.idle_s, self.repair_s = np.zeros(n_rows), np.zeros(n_rows)  # x nodes
        self.n_repairs = np.zeros(n_rows, dtype=np.int64)

    def _set_keys(self) -> None:
        self._time_bits = ~np.int64((1 << self.n_places.bit_length()) - 1)
        places = np.arange(self.n_places)[:, None]
        self._keys = (self.up_s.view(np.int64) & self._time_bits) | places

    def _put(self, at: IntArray, place: IntArray, up_s: FloatArray) -> None:
        """Set the time of places; `at` counts them through the flat array."""
        key = up_s.view(np.int64) & self._time_bits
        key |= place
        self._keys.reshape(-1)[at] = key
        self.up_s.reshape(-1)[at] = up_s

    def find(self, node: NodeArray) -> tuple[IntArray, IntArray]:
        """Return rows and places that list the node of their row, or have or had a claim on it."""
        at = np.flatnonzero(self.ids == node)
        place = at // self.rows.size
        return at - place * self.rows.size, place

    def meet(self, time_s: FloatArray, is_member: Mask | None = None) -> None:
        """Note that an arrival is played: `by_s` says up to which listed times nodes are idle.

        A node that an arrival sends to repair and that is back at once is listed as up one step
        after that. So it is still away for further nodes of the same fault, idle for whatever else
        comes at this time, and behind all that were free before it.
        """
        self.by_s = time_s
        if self.may_tie:
            is_next = 1 if is_member is None else ~is_member
            self._nth = np.where(time_s == self._time_s, self._nth + is_next, 0)
            self._time_s, self.by_s = time_s, (time_s.view(np.int64) + self._nth).view(np.float64)

    def look(
        self, rows: IntArray, place: IntArray, by_s: FloatArray
    ) -> tuple[FloatArray, Mask, Mask]:
        """Return since when nodes that `find` found are up, which are idle, and which with the job.

        Those in repair are neither, and up after `by_s`.
        """
        is_claim = place >= self.n_places
        up_s = self.up_s[np.where(is_claim, 0, place), rows]
        if is_claim.any():
            claims = np.flatnonzero(is_claim)
            up_s[claims] = self.claimed_up_s[place[claims] - self.n_places, rows[claims]]
        idle: Mask = up_s <= by_s
        with_job: Mask = idle & is_claim
        if with_job.any():
            idle &= ~is_claim
            self.ids[place[with_job], rows[with_job]] = NO_NODE  # so that a node is listed once
        return up_s, idle, with_job

    def take_idle(
        self,
        rows: IntArray,
        place: IntArray,
        time_s: FloatArray,
        back_s: FloatArray,
        down_s: FloatArray,
        by_s: FloatArray,
    ) -> None:
        """Send idle nodes to repair until they are back."""
        since_s = (self._keys[place, rows] & self._time_bits).view(np.float64)
        self.n_repairs[rows] += 1
        self.idle_s[rows] += time_s - since_s
        self.repair_s[rows] += down_s
        if self.weights:
            self.weights.book(IDLE, rows, self.up_s[place, rows], time_s)
            self.weights.book(REPAIR, rows, time_s, back_s)
        up_s = np.maximum(back_s, np.nextafter(by_s, math.inf)) if self.may_tie else back_s
        self._put(place * self.rows.size + rows, place, up_s)

    def replace(
        self,
        takes: Mask,
        time_s: FloatArray,
        node: NodeArray,
        back_s: FloatArray,
        down_s: FloatArray,
        by_s: FloatArray,
    ) -> tuple[IntArray, FloatArray]:
        """Send nodes of jobs to repair, and move in the nodes that are up first.

        The caller counts the repairs.

        Parameters
        ----------
        takes : ndarray of bool, shape (n_rows,)
            Rows whose node goes.
        time_s, back_s, down_s : ndarray, shape (n_rows,)
            Now, when the nodes are back, and after how long. [s]
        node : ndarray of int, shape (n_rows,)
            The nodes that go.
        by_s : ndarray, shape (n_rows,)
            Nodes that are up by then are idle. [s]

        Returns
        -------
        rows : ndarray
            Rows in which no node is idle.
        from_s : ndarray, shape of `rows`
            When they will have the node that they claimed. [s]
        """
        key = self._keys.min(axis=0)
        place = key & ~self._time_bits
        key &= self._time_bits
        idle_s = time_s - key.view(np.float64)
        is_late = idle_s < 0
        if self.may_tie:
            self._settle(takes, place, key)
            up_s = self.up_s[place, self.rows]
            is_late = up_s > by_s
            soonest_s = (by_s.view(np.int64) + 1).view(np.float64)
            back_s = np.maximum(back_s, soonest_s)
        late = np.flatnonzero(takes & is_late)
        np.maximum(idle_s, 0.0, out=idle_s)
        idle_s *= takes
        self.idle_s += idle_s
        self.repair_s += down_s * takes
        from_s = idle_s[:0]
        if self.weights:
            at = np.flatnonzero(takes)
            since_s = np.minimum(self.up_s[place[at], at], time_s[at])
            self.weights.book(IDLE, at, since_s, time_s[at])
            self.weights.book(REPAIR, at, time_s[at], time_s[at] + down_s[at])
        if late.size:
            own_s, own_node = back_s[late], node[late]
            other_s, other_node = self.up_s[place[late], late], self.ids[place[late], late]
            own = (own_s < other_s) | ((own_s == other_s) & (own_node < other_node))
            from_s = np.where(own, own_s, other_s)
            if self.may_tie:
                from_s = np.where(from_s > soonest_s[late], from_s, time_s[late])
            self._claim(late, np.where(own, own_node, other_node), from_s, by_s[late])
            takes = takes.copy()
            takes[late[own]] = False
        rows = np.flatnonzero(takes)
        place = place[rows]
        at = place * self.rows.size
        at += rows
        self.ids.reshape(-1)[at] = node[rows]
        self._put(at, place, back_s[rows])
        return late, from_s

    def _settle(self, takes: Mask, place: IntArray, key: IntArray) -> None:
        """Choose by exact time and number where several places of a row have its first key."""
        rows = np.flatnonzero(takes)
        same = (self._keys[:, rows] & self._time_bits) == key[rows]
        if np.count_nonzero(same) > rows.size:
            tied = np.flatnonzero(same.sum(axis=0, dtype=np.int16) > 1)
            rows = rows[tied]
            up_s = np.where(same[:, tied], self.up_s[:, rows], math.inf)
            ids = self.ids[: self.n_places, rows]
            place[rows] = np.where(up_s == up_s.min(axis=0), ids, LAST).argmin(axis=0)

    def _claim(self, rows: IntArray, node: NodeArray, up_s: FloatArray, by_s: FloatArray) -> None:
        """Remember claims in the places of the oldest, which have come true."""
        claims = self.claimed_up_s[:, rows]
        place = claims.argmin(axis=0)
        if (claims.min(axis=0) > by_s).any():
            empty = np.full((CLAIMS, self.rows.size), NO_NODE, dtype=np.int32)
            self.ids = np.vstack([self.ids, empty])
            self.claimed_up_s = np.vstack([self.claimed_up_s, np.zeros(empty.shape)])
            place = self.claimed_up_s[:, rows].argmin(axis=0)
        self.ids[self.n_places + place, rows], self.claimed_up_s[place, rows] = node, up_s

    def add_idle(self, rows: IntArray, node: NodeArray, since_s: FloatArray) -> None:
        """List nodes that a job has given back, idle since `since_s`."""
        free = self.ids[: self.n_places, rows] == NO_NODE
        if not free.any(axis=0).all():
            empty = np.full((max(8, self.n_places // 2), self.rows.size), NO_NODE, dtype=np.int32)
            self.ids = np.vstack([empty, self.ids])
            self.up_s = np.vstack([np.full(empty.shape, math.inf), self.up_s])
            self.n_places += len(empty)
            self._set_keys()
            free = self.ids[: self.n_places, rows] == NO_NODE
        place = free.argmax(axis=0)
        self.ids[place, rows] = node
        self._put(place * self.rows.size + rows, place, since_s)

    def weigh_claims(self, weights: Weights, wall_s: float) -> None:
        """Take back, in the weights, what jobs wait for claimed nodes after `wall_s`."""
        for up_s in self.claimed_up_s:
            rows = np.flatnonzero(up_s > wall_s)
            end_s = np.full(rows.size, wall_s)
            weights.book(MISSING, rows, up_s[rows], end_s)
            self.weights.book(REPAIR, rows, up_s[rows], end_s)

    def weigh_rest(self, held_s: FloatArray, wall_s: FloatArray, n_nodes: int) -> FloatArray:
        """Return idle and repair node-seconds times each weight, up to `wall_s`."""
        listed = self.ids[: self.n_places] != NO_NODE
        for is_one, up_s in zip(listed, self.up_s, strict=True):
            for phase, which in ((IDLE, up_s <= wall_s), (REPAIR, up_s > wall_s)):
                rows = np.flatnonzero(which & is_one)
                self.weights.book(phase, rows, up_s[rows], wall_s[rows])
        self.weights.book(IDLE, self.rows, held_s, wall_s, n_nodes - listed.sum(axis=0))
        return self.weights.booked[:, [IDLE, REPAIR]]

    def claims_come_true(self, has_ended: Mask) -> None:
        """Forget the claims of rows whose job has ended, so that it has what it waited for."""
        self.ids[self.n_places :, has_ended] = NO_NODE

    def claimed_beyond(self, wall_s: float) -> FloatArray:
        """Return the node-seconds after `wall_s` that jobs wait for claimed nodes."""
        total: FloatArray = np.maximum(self.claimed_up_s - wall_s, 0.0).sum(axis=0)
        return total

    def n_in_repair(self, wall_s: FloatArray) -> IntArray:
        """Return how many listed nodes are in repair at `wall_s`, when no job waits for one."""
        listed = self.ids[: self.n_places] != NO_NODE
        count: IntArray = (listed & (self.up_s > wall_s)).sum(axis=0)
        return count

    def totals(self, wall_s: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        """Return idle and repair node-seconds of listed nodes up to `wall_s`, and their number."""
        listed = self.ids[: self.n_places] != NO_NODE
        up_s = (self._keys & self._time_bits).view(np.float64)
        ahead_s = np.where(listed, up_s - wall_s, 0.0)
        idle_s = self.idle_s + np.maximum(-ahead_s, 0.0).sum(axis=0)
        repair_s = self.repair_s - np.maximum(ahead_s, 0.0).sum(axis=0)
        return idle_s, repair_s, listed.sum(axis=0)
