"""Rows of one job on a pool whose nodes are taken out in turn, for maintenance.

Idle nodes go at once. Nodes of a job go when its save is complete, at a time between arrivals that
is one of each row: they wait in a table until a later arrival of their row, or the end, asks what
has happened until then. Nothing else can come of it before: the job stands until they go. They go
before repairs end that end at the same time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.engines.batch.nodes import Mask
from computeplan.engines.batch.rows import Rows
from computeplan.engines.batch.turns import Turn, Turns
from computeplan.ledger import RESTART
from computeplan.trace.arrivals import NodeArray
from computeplan.trace.trace import NO_NODE
from computeplan.world.jobs import Job
from computeplan.world.world import World

__all__ = ["RollingRows"]


class _Leaving(NamedTuple):
    """Nodes that are to leave jobs, in the order in which they were called."""

    row: IntArray
    node: NodeArray
    time_s: FloatArray
    by_s: FloatArray  # nodes that are up by then are idle when it leaves
    away_s: FloatArray
    restart_s: FloatArray  # that follows, unless more is left of another


class RollingRows(Rows):
    """Rows of one job on one pool with rolling maintenance."""

    def __init__(self, world: World, pool: int, job: Job | None, slower: FloatArray) -> None:
        super().__init__(world, pool, job, slower)
        self.n_out = np.zeros(len(world.kind_names), dtype=np.int64)
        for stop in world.pools[pool].stops:
            self.n_out[stop.index] = stop.effect.n_nodes
        rows, nodes = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32)
        self.leaving = _Leaving(rows, nodes, *np.empty((4, 0)))

    def _turn(self, turns: Turns, turn: Turn, live: Mask, *, near_end: bool) -> None:
        self._leave_until(live, turn.time_s)
        called = np.flatnonzero(live & (self.n_out[turn.kind] > 0))
        if called.size:
            live[called] = False
            self._call_out(turn, called)
        super()._turn(turns, turn, live, near_end=near_end)

    def _finish(self, live: Mask, time_s: FloatArray) -> None:
        self._leave_until(live, time_s)
        super()._finish(live, time_s)

    def _stop(self, rows: IntArray, time_s: FloatArray, lasts_s: FloatArray) -> IntArray:
        self.restart_s[rows[time_s > self.ready_s[rows]]] = 0.0  # over: it trains
        return super()._stop(rows, time_s, lasts_s)

    def _pass_stops(self, turn: Turn, live: Mask, begin_s: FloatArray) -> None:
        """Take idle nodes out; other planned stops find no job."""
        called = np.flatnonzero(live & (self.n_out[turn.kind] > 0))
        for j in range(int(self.n_out[turn.kind[called]].max(initial=0))):
            rows, node, away_s = self._of_group(turn, called, j)
            wanted = np.full(self.all_rows.size, NO_NODE, dtype=np.int32)
            wanted[rows] = node
            self._list_idle(wanted != NO_NODE, wanted, begin_s)
            self._take_idle(rows, node, turn.time_s[rows], self.nodes.by_s[rows], away_s)
        super()._pass_stops(turn, live, begin_s)

    def _of_group(
        self, turn: Turn, called: IntArray, j: int
    ) -> tuple[IntArray, NodeArray, FloatArray]:
        """Return rows whose group has a node `j`, which that is, and how long it is away. [s]"""
        assert turn.lasts_s is not None
        node = turn.node[called] + np.int32(j)
        is_one = (j < self.n_out[turn.kind[called]]) & (node < self.n_nodes)
        rows = called[is_one]
        return rows, node[is_one], turn.lasts_s[rows]

    def _call_out(self, turn: Turn, called: IntArray) -> None:
        """Take idle nodes of a group out, and stop the jobs that hold others; these go later."""
        parts = []
        for j in range(int(self.n_out[turn.kind[called]].max())):
            rows, node, away_s = self._of_group(turn, called, j)
            by_s = self.nodes.by_s[rows]
            held = self._take_idle(rows, node, turn.time_s[rows], by_s, away_s)
            parts.append((rows[held], node[held], away_s[held]))
        rows, node, away_s = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        holds = np.unique(rows)
        stopped = self._stop(holds, turn.time_s[holds], np.zeros(holds.size))
        self.counts.interruptions[turn.kind[stopped], stopped] += 1
        goes = np.isin(rows, stopped)
        rows = rows[goes]
        now_s, saved_s = turn.time_s[rows], self.saving_until_s[rows]
        leave_s = np.maximum(now_s, saved_s)
        by_s = np.where(saved_s > now_s, np.nextafter(leave_s, -np.inf), self.nodes.by_s[rows])
        more = _Leaving(rows, node[goes], leave_s, by_s, away_s[goes], turn.restart_s[rows])
        self.leaving = _Leaving(*map(np.append, self.leaving, more))  # type: ignore[arg-type]

    def _take_idle(
        self,
        rows: IntArray,
        node: NodeArray,
        time_s: FloatArray,
        by_s: FloatArray,
        away_s: FloatArray,
    ) -> Mask:
        """Take nodes out where they are idle; return where they are with the job.

        Parameters
        ----------
        rows : ndarray
            Each once.
        node, time_s, by_s, away_s : ndarray, shape of `rows`
            Which nodes, when, being idle if they are up by when, and for how long. [s]
        """
        held, wanted, now_s, latest_s, down_s = self._spread(rows, node, time_s, by_s, away_s)
        found, place = self.nodes.find(wanted)
        _, idle, held[found] = self.nodes.look(found, place, latest_s[found])
        found = found[idle]
        now_s, latest_s, down_s = now_s[found], latest_s[found], down_s[found]
        self.nodes.take_idle(found, place[idle], now_s, now_s + down_s, down_s, latest_s)
        self.nodes.n_repairs[found] -= 1  # it is none
        return held[rows]

    def _spread(
        self, rows: IntArray, node: NodeArray, *columns: FloatArray
    ) -> tuple[Mask, NodeArray, FloatArray, FloatArray, FloatArray]:
        """Return which rows are meant, and for all rows their nodes and values."""
        is_meant = np.zeros(self.all_rows.size, dtype=np.bool_)
        nodes = np.full(self.all_rows.size, NO_NODE, dtype=np.int32)
        values = np.zeros((len(columns), self.all_rows.size))
        is_meant[rows], nodes[rows], values[:, rows] = True, node, columns
        first, second, third = values
        return is_meant, nodes, first, second, third

    def _leave_until(self, live: Mask, time_s: FloatArray) -> None:
        """Let go, in the order of time, what was to leave up to `time_s`."""
        table = self.leaving
        if not table.row.size:
            return
        due = (live & ~self.is_done)[table.row] & (table.time_s <= time_s[table.row])
        entries = np.flatnonzero(due)
        if not entries.size:
            return
        entries = entries[np.lexsort((table.time_s[entries], table.row[entries]))]
        rows = table.row[entries]
        nth = np.arange(rows.size) - np.searchsorted(rows, rows)  # of its row
        for n in range(int(nth.max()) + 1):
            self._leave(_Leaving(*(column[entries[nth == n]] for column in table)))
        self.leaving = _Leaving(*(column[~due] for column in table))

    def _leave(self, due: _Leaving) -> None:
        """Take nodes out of jobs, which stand; what is left of a restart is still to be done."""
        held = self._take_idle(due.row, due.node, due.time_s, due.by_s, due.away_s)
        if not held.any():
            return
        rows, node, restart_s = due.row[held], due.node[held], due.restart_s[held]
        time_s, by_s, away_s = due.time_s[held], due.by_s[held], due.away_s[held]
        begun_s = np.maximum(time_s - self.begin_s[rows], 0.0)
        is_whole = self.whole_s[rows] <= time_s
        left_s = np.where(is_whole, self.restart_s[rows] - begun_s, self.restart_s[rows])
        restart_s = np.maximum(restart_s, left_s)
        self.restarted_s[rows] += begun_s
        self.weights.book(RESTART, rows, self.begin_s[rows], self.begin_s[rows] + begun_s)
        takes, wanted, now_s, latest_s, down_s = self._spread(rows, node, time_s, by_s, away_s)
        whole_s = np.maximum(self.whole_s, now_s)
        late, from_s = self.nodes.replace(takes, now_s, wanted, now_s + down_s, down_s, latest_s)
        self._block(late, now_s, from_s, whole_s)
        if self.boots:
            self._boot(takes, late, now_s, whole_s)
        self.whole_s[rows] = self.begin_s[rows] = whole_s[rows]
        self.restart_s[rows] = restart_s
        self.ready_s[rows] = np.maximum(whole_s[rows] + restart_s, self.stop_until_s[rows])
