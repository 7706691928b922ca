"""Rows of a job that saves behind its back, or to several tiers: a path of its own.

Since training resumed, time is cycles of cycles: so many cycles of the frequent tier, each an
interval and its stall, then the stall of the next tier, and that so many times again. How many
saves of each tier have been taken is what whole cycles there are, from the outside in; a save is
complete when the write after its stall is. Jobs that save to one place and wait keep the shorter
arithmetic of ``rows.py``.
"""

from __future__ import annotations

import itertools

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.engines.batch.nodes import Mask
from computeplan.engines.batch.rows import SLACK, Rows
from computeplan.engines.batch.turns import Turn, Turns
from computeplan.world.jobs import Job
from computeplan.world.world import World

__all__ = ["TieredRows"]


class TieredRows(Rows):
    """Rows of a job whose saves are complete after a while, or not safe from every fault.

    Tier i holds the position `tier_s[i]` (0 is the start, which is always there). Training since it
    resumed began at `kept_odd_s`. A save before a planned stop counts as kept from when it begins;
    until it is complete, `kept_before_s`, `stretch_s` and `asked_s` say what to go back to: where
    training had resumed, when, and how long after that the stop came.
    """

    def __init__(self, world: World, pool: int, job: Job, slower: FloatArray) -> None:
        super().__init__(world, pool, job, slower)
        n_rows = len(slower)
        self.tiers = job.tiers_on(pool)
        counts = [tier.n_intervals for tier in self.tiers]
        self.repeats = [b // a for a, b in itertools.pairwise(counts)]
        self.cycles_s: list[float] = []
        inner_s = self.interval_s
        for tier, repeats in zip(self.tiers, [1, *self.repeats], strict=True):
            inner_s = inner_s * repeats + tier.stall_s
            self.cycles_s.append(inner_s)
        self.tier_s = np.zeros((len(self.tiers), n_rows))
        self.kept_before_s, self.stretch_s, self.asked_s = np.zeros((3, n_rows))
        self.load_s = np.zeros(n_rows)

    def kept_s(self) -> FloatArray:
        """Return the position that training resumes at. [s]"""
        return self.kept_odd_s

    def saved_s(self) -> FloatArray:
        """Return the time spent on saves, broken ones included. [s]"""
        return self.saved_odd_s

    # -- saves since training resumed ------------------------------------------------------------

    def _taken(self, gone_s: FloatArray, tier: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return saves of a tier taken, the time since in finer cycles, and the slowest's stall."""
        top = len(self.tiers) - 1
        rest_s = np.maximum(gone_s, 0.0)
        n, stalled_s = np.zeros_like(rest_s), np.zeros_like(rest_s)
        for i in range(top, tier - 1, -1):
            cycle_s = self.cycles_s[i]
            whole = np.floor(rest_s / cycle_s)
            if i < top:  # its cycles may be over, and the coarser tier's stall under way
                repeats = self.repeats[i]
                over = whole >= repeats
                stall_s = np.where(over, np.maximum(rest_s - repeats * cycle_s, 0.0), 0.0)
                if i == top - 1:
                    stalled_s = stall_s
                whole = np.where(over, repeats, whole)
                rest_s = np.where(over, 0.0, np.maximum(rest_s - whole * cycle_s, 0.0))
                n = n * repeats + whole
            else:
                n = whole
                rest_s = np.maximum(rest_s - whole * cycle_s, 0.0)
        return n, rest_s, stalled_s

    def _n_whole(self, left_s: FloatArray) -> FloatArray:
        """Return the intervals that regular saves follow: all but the last of the work."""
        whole: FloatArray = np.maximum(np.ceil(left_s / self.interval_s - SLACK), 1.0) - 1.0
        return whole

    def _stalls_s(self, n: FloatArray) -> FloatArray:
        """Return the stalls of `n` intervals. [s]"""
        stalls: FloatArray = sum(t.stall_s * np.floor(n / t.n_intervals) for t in self.tiers)  # type: ignore[assignment]
        return stalls

    def _trained(self, gone_s: FloatArray, left_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the training after a time, and how long the slowest save has stalled. [s]"""
        e = self.interval_s
        n, rest_s, stalled_s = self._taken(gone_s, 0)
        if len(self.tiers) == 1:
            stalled_s = np.maximum(rest_s - e, 0.0)
        trained_s = np.where(rest_s >= e, (n + 1.0) * e, n * e + rest_s)
        n_whole = self._n_whole(left_s)
        last_s = gone_s - (n_whole * e + self._stalls_s(n_whole))
        ends = last_s >= 0  # only the last interval, or a part of one, is left
        last_s = n_whole * e + np.minimum(last_s, left_s - n_whole * e)
        return np.where(ends, last_s, trained_s), np.where(ends, 0.0, stalled_s)

    def _note_complete(
        self, rows: IntArray, from_s: FloatArray, gone_s: FloatArray, asked_s: FloatArray
    ) -> None:
        """Note the saves complete at `gone_s` of those taken by `asked_s`, since `from_s`."""
        n_whole = self._n_whole(self.work_s[rows] - from_s)
        for i, tier in enumerate(self.tiers):
            n, _, _ = self._taken(np.minimum(gone_s - tier.write_s, asked_s), i)
            n = np.minimum(n, np.floor(n_whole / tier.n_intervals))
            position_s = from_s + n * tier.n_intervals * self.interval_s
            self.tier_s[i, rows] = np.where(n > 0, position_s, self.tier_s[i, rows])

    def _settle(self, rows: IntArray, now_s: FloatArray) -> None:
        """Note which saves around a planned stop are complete now; a stop's own counted ahead."""
        stopped = self.saving_until_s[rows] > 0
        if not stopped.any():
            return
        rows, now_s = rows[stopped], now_s[stopped]
        until_s = self.saving_until_s[rows]
        gone_s = np.minimum(now_s, until_s) - self.stretch_s[rows]
        self._note_complete(rows, self.kept_before_s[rows], gone_s, self.asked_s[rows])
        whole = now_s >= until_s
        self.tier_s[-1, rows[whole]] = self.kept_odd_s[rows[whole]]
        self._unsave(rows, now_s)
        self.saved_odd_s[rows] -= np.maximum(until_s - now_s, 0.0)
        self.saving_until_s[rows] = 0.0

    # -- what happens ----------------------------------------------------------------------------

    def _turn(self, turns: Turns, turn: Turn, live: Mask, *, near_end: bool) -> None:
        self.level = turn.level
        super()._turn(turns, turn, live, near_end=near_end)

    def _restart_s(self, turn: Turn) -> FloatArray:
        return turn.restart_s + self.load_s

    def _interrupt(self, hit: Mask, now_s: FloatArray, *, near_end: bool) -> None:  # noqa: ARG002
        """Book what came since `begin_s`; fall back to the best save that the fault leaves."""
        rows = np.flatnonzero(hit)
        if not rows.size:
            return
        now_s, begin_s, ready_s = now_s[rows], self.begin_s[rows], self.ready_s[rows]
        self.restarted_s[rows] += np.maximum(np.minimum(now_s, ready_s) - begin_s, 0.0)
        self._settle(rows, now_s)
        reached_s = self.kept_odd_s[rows]
        all_trained_s = np.zeros(rows.size)
        trains = np.flatnonzero(now_s > ready_s)
        if trains.size:
            at, gone_s = rows[trains], (now_s - ready_s)[trains]
            from_s = reached_s[trains]
            trained_s, _ = self._trained(gone_s, self.work_s[at] - from_s)
            self.saved_odd_s[at] += gone_s - trained_s
            self._note_complete(at, from_s, gone_s, gone_s)
            reached_s[trains] += trained_s
            all_trained_s[trains] = trained_s
        self._weigh(rows, now_s, all_trained_s)
        self._fall_back(rows)
        self.lost_s[rows] += reached_s - self.kept_odd_s[rows]
        if self.weights:
            self.weights.fall_back(rows, self.kept_odd_s[rows])

    def _fall_back(self, rows: IntArray) -> None:
        """Go back to the newest save left, and note how long it takes to read."""
        survives = np.array([tier.survives for tier in self.tiers])[:, None]
        held_s = np.where(self.level[rows] > survives, 0.0, self.tier_s[:, rows])
        self.tier_s[:, rows] = held_s
        best_s = held_s.max(axis=0)
        loads_s = np.array([tier.load_s for tier in self.tiers])[:, None]
        same = held_s >= best_s - SLACK * self.interval_s
        load_s = np.where(same, loads_s, np.inf).min(axis=0)
        self.load_s[rows] = np.where(best_s > 0, load_s, 0.0)  # the start needs no reading
        self.kept_odd_s[rows] = best_s

    def _saves_s(self, left_s: FloatArray) -> FloatArray:
        return self._stalls_s(self._n_whole(left_s)) + self.save_s

    def _save_now(self, rows: IntArray, now_s: FloatArray) -> FloatArray:
        """Save to the slowest tier, whose own save serves; another one under way is given up."""
        self._settle(rows, now_s)
        kept_s, ready_s = self.kept_odd_s[rows], self.ready_s[rows]
        gone_s = now_s - ready_s
        trained_s, stalled_s = self._trained(gone_s, self.work_s[rows] - kept_s)
        self._weigh(rows, now_s, trained_s)
        self.saved_odd_s[rows] += gone_s - trained_s
        self.kept_before_s[rows], self.stretch_s[rows], self.asked_s[rows] = kept_s, ready_s, gone_s
        self.kept_odd_s[rows] = kept_s + trained_s
        return self.save_s - stalled_s

    def _cut(self, rows: IntArray, gone_s: FloatArray) -> None:
        """Book what came since `ready_s` where the run is cut: nothing has destroyed it."""
        trained_s, _ = self._trained(gone_s, self.work_s[rows] - self.kept_odd_s[rows])
        self._weigh(rows, np.full(rows.size, self.cut_s), trained_s)
        self.last_s[rows] = trained_s
        self.saved_odd_s[rows] += gone_s - trained_s
