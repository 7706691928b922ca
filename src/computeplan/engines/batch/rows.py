"""Rows of one job on one pool, played arrival by arrival, all rows at a time.

Long because what one turn does to a row stands together.

Turns are written to touch whole rows with few NumPy calls; what happens to few rows at a time (a
planned stop, a spare that faults, the end of a job) is done on those rows alone. Where nodes are is
kept in ``nodes.py``.
"""

from __future__ import annotations

import math

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.engines.batch.books import MISSING, Weights
from computeplan.engines.batch.counts import FaultCounts
from computeplan.engines.batch.nodes import Mask, Nodes
from computeplan.engines.batch.repairs import Repairs
from computeplan.engines.batch.spares import SpareStates
from computeplan.engines.batch.turns import Turn, Turns
from computeplan.ledger import BLOCKED, SAVE
from computeplan.trace.arrivals import NodeArray
from computeplan.trace.trace import NO_NODE
from computeplan.world.jobs import Job
from computeplan.world.world import World

__all__ = ["Rows"]

SLACK = 1e-9  # a remainder below this share of an interval is rounding, not another save


class Rows:
    """Rows of one job on one pool, or of a pool without a job, which has ended at 0.

    After each arrival a row knows what comes if nothing else does: blocked until `whole_s`, when it
    has all its nodes, a restart from `begin_s` to `ready_s`, then training and saving in turn.
    Books hold all that lies before `begin_s`. Saved training is `n_cycles` whole intervals and,
    since stops come at odd times, `kept_odd_s`. `saving_until_s` is the end of the save before a
    planned stop: it is booked when it begins, and taken back if a fault breaks it. `slower` is how
    many times its nominal training time the job takes in each row.
    """

    def __init__(self, world: World, pool: int, job: Job | None, slower: FloatArray) -> None:
        n_rows = len(slower)
        place = world.pools[pool]
        self.n_held = int(job.n_nodes[pool]) if job else 0
        self.n_nodes = place.n_nodes + place.n_spare_nodes
        self.cut_s = world.cut_s
        self.work_s = slower * float(job.train_s[pool]) if job else np.zeros(n_rows)
        self.interval_s = float(job.interval_s[pool]) if job else math.inf
        self.saves = math.isfinite(self.interval_s)
        self.save_s = float(job.save_s[pool]) if job else 0.0
        self.n_fault_kinds, n_kinds = world.n_fault_kinds, len(world.kind_names)
        self.has_stops = bool(place.stops)
        self.weights = Weights(world.signals_of(pool), n_rows)
        first = self.n_held if job else self.n_nodes
        self.nodes = Nodes(place, n_rows, first, Weights(world.signals_of(pool), n_rows))
        self.repairs = Repairs(place, n_rows)
        self.boots, self.spare_states = place.boots, SpareStates(place, n_rows)
        self.comes_back, self.has_groups = place.comes_back, place.has_groups
        self.all_rows = np.arange(n_rows)
        self.is_busy = np.zeros(n_kinds, dtype=np.bool_)
        self.has_memory = np.zeros(n_kinds, dtype=np.bool_)
        for kind in place.kinds:
            self.is_busy[kind.index] = kind.is_busy
            self.has_memory[kind.index] = kind.lifetime is not None
        self.is_void = np.zeros(n_rows, dtype=np.bool_)  # whether the fault under way is
        self.has_busy = bool(self.is_busy.any())
        self.n_cycles, self.kept_odd_s, self.last_s = np.zeros((3, n_rows))
        self.broken_s, self.lost_s = np.zeros((2, n_rows))  # what faults cut short; its training
        self.saved_odd_s, self.restarted_s, self.blocked_s = np.zeros((3, n_rows))
        self.missing_node_s = np.zeros(n_rows)
        self.whole_s, self.begin_s, self.ready_s = np.zeros((3, n_rows))
        self.saving_until_s, self.at_stake_s, self.stop_until_s = np.zeros((3, n_rows))
        self.restart_s = np.zeros(n_rows)  # the one from `begin_s`; kept where there are stops
        self.end_s = np.full(n_rows, math.inf if job else 0.0)
        self.is_done = np.full(n_rows, job is None)
        self.counts = FaultCounts(n_kinds, self.n_fault_kinds, n_rows, has_groups=self.has_groups)

    def kept_s(self) -> FloatArray:
        """Return the saved training. [s]"""
        return self.n_cycles * self.interval_s + self.kept_odd_s if self.saves else self.kept_odd_s

    def _in_cycles_s(self, n_cycles: FloatArray) -> FloatArray:
        """Return the training in whole cycles. [s]"""
        return n_cycles * self.interval_s if self.saves else np.zeros_like(n_cycles)

    def saved_s(self) -> FloatArray:
        """Return the time spent on saves, broken ones included. [s]"""
        return self.n_cycles * self.save_s + self.saved_odd_s + self.broken_s - self.lost_s

    def play(self, turns: Turns, from_s: float, until_s: float) -> None:
        """Play the arrivals after `from_s` up to `until_s`, turn by turn."""
        # No row ends before. Arrivals only ever put it off: a restart may be cut short, but not
        # before it began, and a broken save before a stop gives back at most its length.
        soonest_s = 0.0
        for turn, live in turns.of_job(from_s, until_s, self.cut_s, self.is_done):
            time_s = turn.time_s
            live &= ~self.is_done
            latest_s = np.where(live, time_s, 0.0).max()
            if latest_s >= soonest_s - self.interval_s:
                ahead_s = self.begin_s + self.work_s - self.kept_s()
                soonest_s = np.where(self.is_done, math.inf, ahead_s).min() * (1 - SLACK)
                soonest_s -= self.save_s
            if latest_s >= soonest_s:
                self._finish(live, time_s)
                live &= ~self.is_done
                if self.is_done.all():
                    break
            near_end = bool(latest_s >= soonest_s - self.interval_s)
            self.nodes.meet(time_s, turn.is_member)
            self._turn(turns, turn, live, near_end=near_end)

    def _turn(self, turns: Turns, turn: Turn, live: Mask, *, near_end: bool) -> None:
        """Play one arrival of every row that is live."""
        time_s, kind, node = turn.time_s, turn.kind, turn.node
        if self.has_stops:
            stopped = np.flatnonzero(live & (kind >= self.n_fault_kinds))
            if stopped.size:
                live[stopped] = False
                assert turn.lasts_s is not None
                stopped = self._stop(stopped, time_s[stopped], turn.lasts_s[stopped])
                self.counts.interruptions[kind[stopped], stopped] += 1
        if self.has_busy:
            live &= ~(self.is_busy[kind] & (time_s < self.whole_s))
        if self.has_groups:
            self._new_faults(turn, live)
        hit = live.copy()
        rows, place = self.nodes.find(node)
        listed = live[rows]
        if listed.any():
            rows, place = rows[listed], place[listed]
            hit[rows] = self._fault_listed(turns, turn, rows, place)
        takes = hit & turn.takes
        self.nodes.n_repairs += takes
        self.counts.add(kind, hit)
        # A row that is not hit stands still, as if interrupted when it began.
        now_s = np.where(hit, time_s, self.begin_s)
        self._interrupt(hit, now_s, near_end=near_end)
        whole_s = np.maximum(self.whole_s, now_s)
        back_s = time_s
        if takes.any():
            back_s, down_s = self.repairs.repair(turn, takes)
            by_s = self.nodes.by_s
            rows, from_s = self.nodes.replace(takes, now_s, node, back_s, down_s, by_s)
            if self.comes_back:
                back_s = np.where(takes, back_s, time_s)
            if self.boots:
                self._boot(takes, rows, now_s, whole_s)
            if rows.size:
                self._block(rows, now_s, from_s, whole_s)
        np.copyto(self.whole_s, whole_s, where=hit)
        np.copyto(self.begin_s, whole_s, where=hit)
        whole_s += self._restart_s(turn)
        if self.has_stops:  # nothing ends a planned stop early
            np.maximum(whole_s, self.stop_until_s, out=whole_s)
            np.copyto(self.restart_s, turn.restart_s, where=hit)
        np.copyto(self.ready_s, whole_s, where=hit)
        if self.comes_back:
            again = np.flatnonzero(hit)
            turns.renew(turn, again, back_s[again])

    def _boot(self, takes: Mask, late: IntArray, now_s: FloatArray, whole_s: FloatArray) -> None:
        """Put off when rows are whole until the spares that were idle can train."""
        idle = takes.copy()
        idle[late] = False
        rows = np.flatnonzero(idle)
        ready_s = np.maximum(whole_s[rows], now_s[rows] + self.spare_states.take(rows, now_s[rows]))
        self.blocked_s[rows] += ready_s - whole_s[rows]
        self.weights.book(BLOCKED, rows, whole_s[rows], ready_s)
        whole_s[rows] = ready_s

    def _block(
        self, rows: IntArray, now_s: FloatArray, from_s: FloatArray, whole_s: FloatArray
    ) -> None:
        """Put off when rows are whole until a node comes that each lacks from now on."""
        after_s = np.maximum(whole_s[rows], from_s)
        self.missing_node_s[rows] += from_s - now_s[rows]
        self.blocked_s[rows] += after_s - whole_s[rows]
        self.weights.book(MISSING, rows, now_s[rows], from_s)
        self.weights.book(BLOCKED, rows, whole_s[rows], after_s)
        whole_s[rows] = after_s

    def _weigh(self, rows: IntArray, now_s: FloatArray, trained_s: FloatArray) -> None:
        """Book with the weights what came since `begin_s`."""
        if not self.weights:
            return
        e, begin_s, ready_s = self.interval_s, self.begin_s[rows], self.ready_s[rows]
        n = np.maximum(np.ceil(trained_s / e - SLACK), 1.0) - 1.0  # intervals with more after them
        whole = n.astype(np.int64)
        all_rows = np.arange(rows.size)
        row = np.repeat(all_rows, whole)
        k = (np.arange(row.size) - np.repeat(np.cumsum(n) - n, whole)).astype(np.float64)
        starts, ends = ((k + 1) * e + self._stalls_s(k + i) + ready_s[row] for i in (0, 1))
        until_s = np.maximum(now_s, ready_s)
        last_s = np.minimum(ready_s + trained_s + self._stalls_s(n), until_s)
        saved = self.weights.sums(row, starts, ends, rows.size)
        saved += self.weights.sums(all_rows, last_s, until_s, rows.size)
        self.weights.stretch(rows, begin_s, ready_s, now_s, trained_s, saved)

    def _stalls_s(self, n: FloatArray) -> FloatArray:
        """Return how long training stands still after `n` intervals, in all. [s]"""
        return n * self.save_s

    def _unsave(self, rows: IntArray, now_s: FloatArray) -> None:
        """Take back, in the weights, what is left of saves before planned stops."""
        until_s = self.saving_until_s[rows]
        self.weights.book(SAVE, rows, until_s, np.minimum(now_s, until_s))

    def _restart_s(self, turn: Turn) -> FloatArray:
        """Return how long restarts take. [s]"""
        return turn.restart_s

    def _new_faults(self, turn: Turn, live: Mask) -> None:
        """Forget the fault before, where this turn is not a further node of it.

        Leave out of what is live the faults of a node that has none, with all nodes that they take.
        """
        new = live if turn.is_member is None else live & ~turn.is_member
        self.counts.forget(new)
        self.repairs.forget(new)
        if turn.origin is not None:
            self.is_void[new] = False
            rows, place = self.nodes.find(np.where(new, turn.origin, NO_NODE))
            _, idle, with_job = self.nodes.look(rows, place, self.nodes.by_s[rows])
            has_faults = with_job | (idle & ~self.is_busy[turn.kind[rows]])
            self.is_void[rows[~has_faults]] = True
            live &= ~self.is_void

    def _interrupt(self, hit: Mask, now_s: FloatArray, *, near_end: bool) -> None:
        """Book what came since `begin_s`, and throw away what was not saved."""
        gone_s = now_s - self.ready_s
        restarted_s = self.ready_s - self.begin_s
        restarted_s += np.minimum(gone_s, 0.0)
        self.restarted_s += np.maximum(restarted_s, 0.0, out=restarted_s)  # < 0 while blocked
        np.maximum(gone_s, 0.0, out=gone_s)
        if self.saves:
            cycle_s = self.interval_s + self.save_s
            n_cycles = np.floor(gone_s / cycle_s)
            self.n_cycles += n_cycles
            gone_s -= n_cycles * cycle_s
            self.broken_s += gone_s
            trained_s = np.minimum(gone_s, self.interval_s)
            if near_end:  # the last interval may be shorter
                np.minimum(trained_s, self.work_s - self.kept_s(), out=trained_s)
            self.lost_s += trained_s
            gone_s = n_cycles * self.interval_s + trained_s if self.weights else gone_s
        else:
            self.broken_s += gone_s
            self.lost_s += gone_s
        if self.weights:
            rows = np.flatnonzero(hit)
            self._weigh(rows, now_s[rows], gone_s[rows])
        if self.has_stops:
            self._break_saves(np.flatnonzero(hit & (self.saving_until_s > now_s)), now_s)
        if self.weights:
            self.weights.fall_back(rows, self.kept_s()[rows])

    def _finish(self, live: Mask, time_s: FloatArray) -> None:
        """End the rows whose work is done up to `time_s`."""
        near_s = time_s - self.ready_s
        near_s += self.kept_s()
        rows = np.flatnonzero(live & (near_s >= self.work_s * (1 - SLACK)))
        if not rows.size:
            return
        left_s = (self.work_s - self.kept_s())[rows]
        saves_s = self._saves_s(left_s)
        end_s = self.ready_s[rows] + left_s + saves_s
        ends = end_s <= time_s[rows]
        rows = rows[ends]
        self._weigh(rows, end_s[ends], left_s[ends])
        self.saved_odd_s[rows] += saves_s[ends]
        self.restarted_s[rows] += self.ready_s[rows] - self.begin_s[rows]
        self.last_s[rows], self.end_s[rows], self.is_done[rows] = left_s[ends], end_s[ends], True

    def _saves_s(self, left_s: FloatArray) -> FloatArray:
        """Return how long a job stands still to save in the training left, undisturbed. [s]"""
        if not self.saves:
            return np.zeros_like(left_s)
        saves_s: FloatArray = np.ceil(left_s / self.interval_s - SLACK) * self.save_s
        return saves_s

    def _cycles(
        self, rows: IntArray, gone_s: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return whole cycles since `ready_s`, and training and saving in the one not complete."""
        if not self.saves:
            return np.zeros_like(gone_s), gone_s, np.zeros_like(gone_s)
        cycle_s = self.interval_s + self.save_s
        n_cycles = np.floor(gone_s / cycle_s)
        rest_s = gone_s - n_cycles * cycle_s
        left_s = (self.work_s - self.kept_s())[rows] - n_cycles * self.interval_s
        trained_s = np.minimum(np.minimum(left_s, self.interval_s), rest_s)
        return n_cycles, trained_s, rest_s - trained_s

    def _break_saves(self, rows: IntArray, time_s: FloatArray) -> None:
        """Take back saves before planned stops that a fault broke."""
        if rows.size:
            self._unsave(rows, time_s[rows])
            self.saved_odd_s[rows] -= self.saving_until_s[rows] - time_s[rows]
            self.kept_odd_s[rows] -= self.at_stake_s[rows]
            self.lost_s[rows] += self.at_stake_s[rows]
            self.broken_s[rows] += self.at_stake_s[rows]
            self.saving_until_s[rows] = 0.0

    def _stop(self, rows: IntArray, time_s: FloatArray, lasts_s: FloatArray) -> IntArray:
        """Save, then stand still; return the rows that did stop.

        A job in its last save has nothing left to stop for. One that is saving for another stop
        goes on saving; one that restarts or is blocked has nothing to save. Stops that overlap
        last as long as the longest.
        """
        trains = time_s > self.ready_s[rows]
        if self.saves:
            left_s = (self.work_s - self.kept_s())[rows]
            end_s = self.ready_s[rows] + left_s + self._saves_s(left_s)
            stops = ~(trains & (time_s >= end_s - self.save_s))
            rows, time_s = rows[stops], time_s[stops]
            lasts_s, trains = lasts_s[stops], trains[stops]
        begin_s = np.maximum(time_s, self.saving_until_s[rows])
        at, now_s = rows[trains], time_s[trains]
        until_s = now_s + self._save_now(at, now_s)
        self.weights.book(SAVE, at, now_s, until_s)
        self.saved_odd_s[at] += until_s - now_s
        self.restarted_s[at] += self.ready_s[at] - self.begin_s[at]
        self.saving_until_s[at] = self.begin_s[at] = self.ready_s[at] = begin_s[trains] = until_s
        self.stop_until_s[rows] = np.maximum(self.stop_until_s[rows], begin_s + lasts_s)
        self.ready_s[rows] = np.maximum(self.ready_s[rows], self.stop_until_s[rows])
        return rows

    def _save_now(self, rows: IntArray, now_s: FloatArray) -> FloatArray:
        """Keep the training, all of which a save holds; return when that is complete, from now. [s]

        A save under way serves.
        """
        gone_s = now_s - self.ready_s[rows]
        n_cycles, trained_s, saving_s = self._cycles(rows, gone_s)
        self._weigh(rows, now_s, self._in_cycles_s(n_cycles) + trained_s)
        self.n_cycles[rows] += n_cycles
        self.kept_odd_s[rows] += trained_s
        self.saved_odd_s[rows] += saving_s
        self.at_stake_s[rows] = trained_s
        return self.save_s - saving_s

    def _fault_listed(self, turns: Turns, turn: Turn, rows: IntArray, place: IntArray) -> Mask:
        """Let nodes fault that are listed; return which of them are with the job after all."""
        time_s, kind = turn.time_s[rows], turn.kind[rows]
        up_s, idle, with_job = self.nodes.look(rows, place, self.nodes.by_s[rows])
        if self.has_busy:
            idle &= ~self.is_busy[kind]
        self.counts.add_idle(kind, rows, idle)
        gone = idle & turn.takes[rows]
        whole_s = time_s
        if gone.any():
            is_taken = np.zeros(self.all_rows.size, dtype=np.bool_)
            is_taken[rows[gone]] = True
            back_s, down_s = (s[rows[gone]] for s in self.repairs.repair(turn, is_taken))
            by_s = self.nodes.by_s[rows[gone]]
            self.nodes.take_idle(rows[gone], place[gone], time_s[gone], back_s, down_s, by_s)
            whole_s = time_s.copy()
            whole_s[gone] = back_s
        if self.comes_back:
            # What faults in repair is exchanged there, if its law has a memory.
            in_repair = ~idle & ~with_job & self.has_memory[kind]
            whole_s = np.where(in_repair, up_s, whole_s)
            again = idle | in_repair
            turns.renew(turn, rows[again], whole_s[again], in_repair[again])
        return with_job

    def close(self, until_s: float) -> bool:
        """Play what follows the last arrival; return whether every row is done."""
        limit_s = np.full(len(self.end_s), until_s)
        self._finish(~self.is_done, limit_s)
        if self.is_done.all():
            return True
        if until_s < self.cut_s:
            return False
        rows = np.flatnonzero(~self.is_done)
        restarted_s = np.minimum(until_s, self.ready_s[rows]) - self.begin_s[rows]
        self.restarted_s[rows] += np.maximum(restarted_s, 0.0)
        self.saved_odd_s[rows] -= np.maximum(self.saving_until_s[rows] - until_s, 0.0)
        self._cut(rows, np.maximum(until_s - self.ready_s[rows], 0.0))
        self.blocked_s -= np.maximum(self.whole_s - until_s, 0.0)
        self._unsave(rows, limit_s[rows])
        self.weights.book(BLOCKED, self.all_rows, self.whole_s, np.minimum(self.whole_s, until_s))
        self.nodes.weigh_claims(self.weights, until_s)
        beyond_s = self.nodes.claimed_beyond(until_s)
        self.missing_node_s -= beyond_s
        self.nodes.repair_s -= beyond_s
        return True

    def _cut(self, rows: IntArray, gone_s: FloatArray) -> None:
        """Book what came since `ready_s` where the run is cut: nothing has destroyed it."""
        n_cycles, trained_s, saving_s = self._cycles(rows, gone_s)
        limit_s = np.full(rows.size, self.cut_s)
        self._weigh(rows, limit_s, self._in_cycles_s(n_cycles) + trained_s)
        self.last_s[rows] = trained_s
        self.n_cycles[rows] += n_cycles
        self.saved_odd_s[rows] += saving_s

    def play_idle(self, turns: Turns, wall_s: FloatArray) -> None:
        """Play the arrivals from the end of the job to the end of the run: all nodes are idle."""
        begin_s = np.minimum(self.end_s, wall_s)
        self.nodes.claims_come_true(np.isfinite(self.end_s))
        for turn, live in turns.of_idle(begin_s, wall_s):
            self.nodes.meet(turn.time_s, turn.is_member)
            self._pass_stops(turn, live, begin_s)
            if self.has_groups:
                self._new_faults(turn, live)
            self._list_idle(live, turn.node, begin_s)
            rows, place = self.nodes.find(turn.node)
            due = live[rows]
            self._fault_listed(turns, turn, rows[due], place[due])

    def _pass_stops(self, turn: Turn, live: Mask, begin_s: FloatArray) -> None:  # noqa: ARG002
        """Take planned stops out of what is live: there is no job to stop."""
        live &= turn.kind < self.n_fault_kinds

    def _list_idle(self, live: Mask, node: NodeArray, begin_s: FloatArray) -> None:
        """List nodes that the job has left, idle since `begin_s`, before they fault."""
        new = live.copy()
        new[self.nodes.find(node)[0]] = False
        rows = np.flatnonzero(new)
        if rows.size:
            self.nodes.add_idle(rows, node[rows], begin_s[rows])
