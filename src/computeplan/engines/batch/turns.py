"""Turns of the batch engine: one arrival of every row, row by row in the order of time.

Where all arrivals are known beforehand, a turn is a row of their arrays, and rows of runs go
through them in step. Where nodes come back with a new fault (a law with memory, a relapse), each
run takes what is next of its own: an arrival that was known, or one that came back, which waits in
one of a few places. What comes back later than arrivals are looked at is put aside until then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.distributions import TIED
from computeplan.trace import Trace
from computeplan.trace.arrivals import Arrivals, BoolArray, LevelArray, NodeArray
from computeplan.world.pools import Pool

__all__ = ["ReturningTurns", "Turn", "Turns"]

Pairs = Iterator[tuple["Turn", BoolArray]]
LAST = np.iinfo(np.int32).max
PLACES = 8  # for faults that come back, to begin with


class Turn(NamedTuple):
    """One arrival of each run, shape (n_runs,); columns as in `Arrivals`."""

    time_s: FloatArray
    kind: IntArray
    node: NodeArray
    takes: BoolArray
    restart_s: FloatArray
    repair_s: FloatArray
    level: LevelArray
    automatic_s: FloatArray | None
    lifetime_s: FloatArray | None
    chain: NodeArray | None
    is_member: BoolArray | None
    lasts_s: FloatArray | None = None
    origin: NodeArray | None = None
    nth: IntArray | None = None
    """Which of its chain; 0 is the first."""


class Turns:
    """Turns of one pool whose arrivals are all known beforehand."""

    def __init__(self, trace: Trace, pool: int) -> None:
        self.trace, self.pool = trace, pool
        self.arrivals: Arrivals | None = None

    def look(self, until_s: float) -> Arrivals:
        """Return the arrivals up to a time, no later ones missing."""
        self.arrivals = self.trace.arrivals(self.pool, until_s)
        return self.arrivals

    def of_job(self, from_s: float, until_s: float, cut_s: float, is_done: BoolArray) -> Pairs:
        """Yield turns after `from_s` up to `until_s` and before the cut, and whose they are.

        `is_done` is looked at as it is when a turn comes.
        """
        arrivals = self.look(until_s)
        due = (arrivals.time_s > from_s) & (arrivals.time_s <= until_s)
        due &= (arrivals.time_s < cut_s) & ~is_done
        yield from _in_step(arrivals, due)

    def of_idle(self, begin_s: FloatArray, wall_s: FloatArray) -> Pairs:
        """Yield turns from `begin_s` up to the end of the run."""
        arrivals = self.look(float(wall_s.max(initial=0.0)))
        yield from _in_step(arrivals, (arrivals.time_s >= begin_s) & (arrivals.time_s < wall_s))

    def renew(
        self, turn: Turn, rows: IntArray, whole_s: FloatArray, is_new: BoolArray | None = None
    ) -> None:
        """Let nodes that are whole at `whole_s` live until their next fault; here none has one.

        `is_new` tells what was replaced while in repair, which comes first if two come at one time.
        """


def _in_step(arrivals: Arrivals, due: BoolArray) -> Pairs:
    more = (
        arrivals.automatic_s,
        arrivals.lifetime_s,
        arrivals.chain,
        arrivals.is_member,
        arrivals.lasts_s,
        arrivals.origin,
    )
    for i in np.flatnonzero(due.any(axis=1)):
        yield (
            Turn(
                arrivals.time_s[i],
                arrivals.kind[i],
                arrivals.node[i],
                arrivals.takes[i],
                arrivals.restart_s[i],
                arrivals.repair_s[i],
                arrivals.level[i],
                *(None if column is None else column[i] for column in more),
            ),
            due[i],
        )


class ReturningTurns(Turns):
    """Turns of one pool where faults come back.

    The places of `due_s` hold when; those of the other arrays, which. inf is an empty place.
    """

    def __init__(self, trace: Trace, pool: int, spec: Pool) -> None:
        super().__init__(trace, pool)
        self.spec, n_rows = spec, trace.n_runs
        self.may_meet = spec.has_groups or sum(kind.comes_back for kind in spec.kinds) > 1
        laws = [kind.relapse for kind in spec.kinds]
        laws += [kind.lifetime.law for kind in spec.kinds if kind.lifetime]
        self.may_meet |= any(law and law.name in TIED for law in laws)
        self.rows = np.arange(n_rows)
        self.n_next = np.zeros(n_rows, dtype=np.int64)
        self.due_s = np.full((n_rows, PLACES), np.inf)
        self.whose = np.zeros((5, n_rows, PLACES), dtype=np.int32)  # kind, node, chain, nth, order
        self.aside: list[tuple[IntArray, FloatArray, IntArray]] = []
        self.until_s = 0.0

    def look(self, until_s: float) -> Arrivals:
        """Return the arrivals up to a time, and take out what was put aside until then."""
        if until_s <= self.until_s and self.arrivals is not None:
            return self.arrivals
        self.until_s = until_s
        aside, self.aside = self.aside, []
        for rows, again_s, whose in aside:
            self._add(rows, again_s, whose)
        return super().look(until_s)

    def of_job(self, from_s: float, until_s: float, cut_s: float, is_done: BoolArray) -> Pairs:
        """Yield turns up to `until_s` and before the cut, and whose they are."""
        del from_s  # each run knows what it has played
        arrivals = self.look(until_s)
        limit_s = np.minimum(until_s, np.nextafter(cut_s, 0.0))
        yield from self._each_its_own(arrivals, limit_s, is_done)

    def of_idle(self, begin_s: FloatArray, wall_s: FloatArray) -> Pairs:
        """Yield turns up to the end of the run."""
        del begin_s
        arrivals = self.look(float(wall_s.max(initial=0.0)))
        limit_s = np.nextafter(wall_s, 0.0)
        yield from self._each_its_own(arrivals, limit_s, np.zeros(wall_s.shape, dtype=np.bool_))

    def _each_its_own(self, arrivals: Arrivals, limit_s: FloatArray, is_done: BoolArray) -> Pairs:
        flat = _Flat(arrivals)
        n_arrivals = len(arrivals.time_s)
        while True:
            row = np.minimum(self.n_next, n_arrivals - 1)
            at = row * self.rows.size
            at += self.rows
            known_s = np.where(self.n_next < n_arrivals, flat.time_s(at), np.inf)
            back_s = self.due_s.min(axis=1)
            live = (np.minimum(known_s, back_s) <= limit_s) & ~is_done
            if not live.any():
                return
            turn = flat.turn(at, row)
            again = np.flatnonzero((back_s <= known_s) & live)
            place = self._first(again, back_s[again])
            first = back_s[again] < known_s[again]
            if not first.all():  # at one time, the lower node comes first
                first |= self.whose[1, again, place] < turn.node[again]
                again, place = again[first], place[first]
            is_back = np.zeros(self.rows.size, dtype=np.bool_)
            is_back[again] = True
            turn = self._again(turn, again, place)
            yield turn, live.copy()
            live &= ~is_done  # what comes after the end of a job is played again, on idle nodes
            self.n_next += live & ~is_back
            played = live[again]
            self.due_s[again[played], place[played]] = np.inf

    def _first(self, rows: IntArray, at_s: FloatArray) -> IntArray:
        """Return the places of what comes next: at one time that of the lower node.

        On one node, what was replaced while in repair comes before what was repaired.
        """
        if not self.may_meet:
            first: IntArray = self.due_s[rows].argmin(axis=1)
            return first
        is_next = self.due_s[rows] == at_s[:, None]
        order = self.whose[1, rows].astype(np.int64) << 32 | self.whose[4, rows]
        place: IntArray = np.where(is_next, order, np.iinfo(np.int64).max).argmin(axis=1)
        return place

    def _again(self, turn: Turn, rows: IntArray, place: IntArray) -> Turn:
        """Put into a turn what comes back; its columns are its own."""
        if not rows.size:
            return turn
        kind, node, chain, nth, _ = self.whose[:, rows, place]
        turn.time_s[rows] = self.due_s[rows, place]
        turn.kind[rows], turn.node[rows] = kind, node
        assert turn.lifetime_s is not None
        assert turn.chain is not None
        assert turn.nth is not None
        turn.chain[rows], turn.nth[rows] = chain, nth
        if turn.is_member is not None:
            turn.is_member[rows] = False
        if turn.origin is not None:
            turn.origin[rows] = -1
        for i in np.unique(kind):
            which = kind == i
            to = rows[which]
            samples = self.trace.later(
                self.spec, self.spec.kind(int(i)), nth[which], chain[which], to
            )
            turn.takes[to], turn.level[to] = samples.takes, samples.level
            turn.restart_s[to], turn.repair_s[to] = samples.restart_s, samples.repair_s
            if turn.automatic_s is not None:
                turn.automatic_s[to] = 0.0 if samples.automatic_s is None else samples.automatic_s
            turn.lifetime_s[to] = samples.lifetime_s
        return turn

    def renew(
        self, turn: Turn, rows: IntArray, whole_s: FloatArray, is_new: BoolArray | None = None
    ) -> None:
        """Let nodes that are whole at `whole_s` live until their next fault."""
        assert turn.lifetime_s is not None
        assert turn.chain is not None
        assert turn.nth is not None
        again_s = whole_s + turn.lifetime_s[rows]
        lives = np.isfinite(again_s)
        order = turn.kind[rows] + (LAST // 2 if is_new is None else LAST // 2 * ~is_new)
        rows, again_s, order = rows[lives], again_s[lives], order[lives]
        whose = (turn.kind[rows], turn.node[rows], turn.chain[rows], turn.nth[rows] + 1, order)
        self._add(rows, again_s, np.array(whose, dtype=np.int32))

    def _add(self, rows: IntArray, again_s: FloatArray, whose: IntArray) -> None:
        """Give faults that come back a place each, or put them aside; at most one of a row."""
        late = again_s > self.until_s
        if late.any():
            self.aside.append((rows[late], again_s[late], whose[:, late]))
            rows, again_s, whose = rows[~late], again_s[~late], whose[:, ~late]
        free = np.isinf(self.due_s[rows])
        if not free.any(axis=1).all():
            more = max(PLACES, self.due_s.shape[1] // 2)
            self.due_s = np.pad(self.due_s, ((0, 0), (0, more)), constant_values=np.inf)
            self.whose = np.pad(self.whose, ((0, 0), (0, 0), (0, more)))
            free = np.isinf(self.due_s[rows])
        place = free.argmax(axis=1)
        self.due_s[rows, place] = again_s
        self.whose[:, rows, place] = whose


class _Flat:
    """Arrivals as flat arrays, so that each run reads a row of its own."""

    def __init__(self, arrivals: Arrivals) -> None:
        names = [name for name in Turn._fields if name not in ("time_s", "nth")]
        self.times_s = arrivals.time_s.reshape(-1)
        self.columns = [getattr(arrivals, name) for name in names]
        # What is the same for all runs is read once for each row.
        self.is_shared = [c is not None and c.size > 0 and not c.strides[1] for c in self.columns]
        for i, column in enumerate(self.columns):
            if column is not None:
                self.columns[i] = column[:, 0] if self.is_shared[i] else column.reshape(-1)

    def time_s(self, at: IntArray) -> FloatArray:
        """Return times by flat index; none are known if there is no arrival."""
        return self.times_s[at] if self.times_s.size else np.full(at.shape, np.inf)

    def turn(self, at: IntArray, row: IntArray) -> Turn:
        """Return arrivals by flat index and row, as arrays of their own."""
        found = [
            None if column is None else column[row if shared else at]
            for column, shared in zip(self.columns, self.is_shared, strict=True)
        ]
        return Turn(self.times_s[at], *found, np.zeros(at.shape, dtype=np.int64))  # type: ignore[arg-type,call-arg]
