"""One job in one run: a state machine that is told what happens, and when.

Long because a job is one class: what it does in each state stands side by side.

A job trains and saves in turn (`stretch`), falls back to what it has saved (`checkpoints`), holds
nodes (`allocation`), and books what it did (`books`). What a job is like changes numbers in these
parts, never its class. Every clean interruption is one path: save, then stand still, change size,
or let nodes go. Positions are work: seconds of training at full size and speed.

Where jobs share storage, how long a save takes is known when it is complete. Such a job goes from
one event to the next, and a stretch is one interval; other jobs need no event for a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from computeplan import ledger
from computeplan.engines.event.allocation import Allocation
from computeplan.engines.event.books import Books
from computeplan.engines.event.calendar import Calendar, Entry, Rank
from computeplan.engines.event.checkpoints import Checkpoints, Save
from computeplan.engines.event.storage import Storage
from computeplan.engines.event.stretch import SLACK, Schedule, Stretch
from computeplan.ledger import LOST, QUEUE, RESTART, SAVE, TRAIN, Span
from computeplan.specs.checkpoints import SURVIVES
from computeplan.world.jobs import Job as Spec
from computeplan.world.jobs import Tier
from computeplan.world.pools import Pool, is_slowed
from computeplan.world.signals import Signal

__all__ = ["Job", "Surroundings"]

MANY = 64  # pieces of training that may yet be lost, before it is asked which can


QUEUED, BLOCKED, DOWN, READING, TRAINING, WAITING, SAVING, ENDED = range(8)  # what a job is at


class Surroundings(NamedTuple):
    """What a job needs of the run it is in."""

    calendar: Calendar
    storages: Mapping[str, Storage]  # by site
    ended: Callable[[Job, float], None]  # called when a job that shares storage ends [s]
    spans: list[Span] | None


class Job:
    """One job. Books are complete up to `since_s`.

    It is down from `begin_s` for `restart_s`, and trains from `ready_s`; never before
    `stop_until_s`: neither a fault nor another stop ends a planned stop early. `ending` is its end,
    if that is awaited: void once the job is told what changes it.
    """

    def __init__(self, index: int, spec: Spec, around: Surroundings) -> None:
        self.index, self.spec, self.around = index, spec, around
        self.state, self.pool = QUEUED, -1
        self.books = Books((index, -1), (), None)
        self.since_s = self.begin_s = self.ready_s = self.restart_s = self.load_s = 0.0
        self.stop_until_s = self.saving_until_s = self.missing_since_s = 0.0
        self.start_s = self.end_s = math.inf
        self.position_s = self.trained_s = self.lost_work_s = 0.0
        self.n_from_start, self.pace, self.asked_s = 0, 1.0, 0.0
        self.ending: Entry | None = None
        self.storage: Storage | None = None

    # -- what it is asked ------------------------------------------------------------------------

    @property
    def is_blocked(self) -> bool:
        """Whether it has too few nodes to train, or waits for some to boot."""
        return self.state == BLOCKED

    @property
    def runs(self) -> bool:
        """Whether it holds chips."""
        return QUEUED < self.state < ENDED

    def may_end_by(self, time_s: float) -> bool:
        """Return whether its end follows from what has happened, and may come by a time."""
        if self.storage is not None or self.state == BLOCKED:
            return False
        return max(self.since_s, self.ready_s) + self.plan.work_s - self.position_s <= time_s + 1.0

    @property
    def n_lacking(self) -> int:
        """Nodes that it lacks; those that come back are its own."""
        return self.allocation.n_short if self.runs else 0

    @property
    def is_saving(self) -> bool:
        """Whether it saves for a clean interruption."""
        if self.storage is not None:
            return self.stop_s is not None
        return self.state == SAVING

    @property
    def _rate(self) -> float:
        return self.pace * self.allocation.active_frac

    @property
    def _has_begun(self) -> bool:
        """Whether it has trained since it was down."""
        return self.state >= TRAINING and self.since_s > self.ready_s

    def _position_at(self, now_s: float) -> float:
        """Return the position now, whether or not it is booked."""
        if self.state != TRAINING:
            return self.position_s
        return self.stretch.position_s(self.stretch.trained(now_s)[0])

    def end_time(self, now_s: float) -> float:
        """Return when the work ends if nothing else happens; about, if it shares storage. [s]"""
        if self.storage is not None:
            left_s = (self.plan.work_s - self._position_at(now_s)) / self._rate
            resumes_s = max(now_s, self.ready_s) + self.tier.load_s * self.must_read
            n_saves = math.ceil(left_s / self.plan.interval_s - SLACK)
            return resumes_s + left_s + (n_saves - 1) * self.still_s + self.plan.save_s
        return self._stretch_ahead().end_s

    def _stretch_ahead(self) -> Stretch:
        """Return the stretch that it is in, or will be if nothing else happens."""
        if self.state == TRAINING:
            return self.stretch
        nodes = self.allocation
        n_replicas = nodes.n_active if self.is_blocked else nodes.n_whole
        rate = self.pace * n_replicas / nodes.shrinking.n_replicas
        return Stretch(self.plan, self.ready_s, self.position_s, rate, 0.0)

    def expected_end(self, now_s: float, *, has_faults: bool) -> float:
        """Return when the job is expected to end: at least its rest undisturbed. [s]"""
        if not self.is_blocked and not has_faults:
            return self.end_time(now_s)
        trained_s, left_s = 0.0, self._stretch_ahead().left_s
        if self.storage is not None:
            left_s = (self.plan.work_s - self._position_at(now_s)) / self._rate
        elif not self.is_blocked:
            trained_s = max(0.0, now_s - self.ready_s)
        resumes_s = now_s + self.restart_s if self.is_blocked else max(now_s, self.ready_s)
        ettr = float(self.spec.ettr[self.pool])
        return resumes_s + max(left_s / ettr - trained_s, 1e-6 * self.plan.work_s)

    def restart_left_s(self, now_s: float) -> float:
        """Return how much of a restart but reading is left, once the job has its nodes. [s]"""
        restart_s = self.restart_s - self.load_s
        return restart_s if self.is_blocked else max(0.0, self.begin_s + restart_s - now_s)

    # -- time goes on ----------------------------------------------------------------------------

    def advance(self, now_s: float) -> None:
        """Book what the job did until now; a state that ends by itself gives way to the next."""
        state = self.state
        if state == TRAINING:
            self._train(now_s)
        elif state == BLOCKED:
            self._book(ledger.BLOCKED, now_s)
        elif self.storage is not None:
            self._advance_between_events(now_s)
        elif state in (DOWN, SAVING):
            if state == SAVING:
                self._book(SAVE, min(now_s, self.saving_until_s))
                if now_s < self.saving_until_s:
                    return
                self.checkpoints.note(self.stretch, self.saving_until_s, self.asked_s)
                self._saved(self.saving_until_s)
            self._book(RESTART, min(now_s, self.ready_s))
            if now_s >= self.ready_s:
                self._resume(self.ready_s)
                self._train(now_s)

    def _advance_between_events(self, now_s: float) -> None:
        if self.state in (DOWN, READING):
            self._book(RESTART, now_s)
        elif self.is_saving:
            self._book(SAVE, now_s)
        elif self.state in (WAITING, SAVING) and now_s > self.since_s:
            self.books.train(self.since_s, now_s, 0.0, *self.allocation.chips)
            self.since_s = now_s

    def _book(self, phase: int, until_s: float) -> None:
        if until_s > self.since_s:
            chips: tuple[float, float] = (self.allocation.held_chips, 0.0)
            if phase != ledger.BLOCKED:
                chips = self.allocation.chips
            self.books.book(phase, self.since_s, until_s, *chips)
            self.since_s = until_s

    def _train(self, now_s: float) -> None:
        if now_s > self.since_s:
            trained_s, _ = self.stretch.trained(now_s)
            more_s = trained_s - self.trained_s
            self.books.train(self.since_s, now_s, more_s, *self.allocation.chips)
            self.trained_s, self.since_s = trained_s, now_s
            self.position_s = self.stretch.position_s(trained_s)

    def _resume(self, now_s: float) -> None:
        """Begin to train, and to save in turn."""
        self.state, self.trained_s = TRAINING, 0.0
        line_s = self.books.line_s
        self.stretch = Stretch(self.plan, now_s, self.position_s, self._rate, line_s)
        if self.storage is not None:
            self.stretch.most_s = self._due_s(0.0)
            self._await_write()

    def _saved(self, now_s: float) -> None:
        """Note a complete save of all that was trained; stand still, then go on with all nodes."""
        self.checkpoints.add(Save(self.position_s, self.books.line_s, now_s, now_s))
        self.state = DOWN
        self.allocation.take_up()

    # -- what it is told -------------------------------------------------------------------------

    def start(self, pool: int, place: Pool, signals: tuple[Signal, ...], now_s: float) -> None:
        """Begin on a pool whose nodes it has been given."""
        spec, self.pool = self.spec, pool
        self.books = Books((self.index, pool), signals, self.around.spans)
        self.books.book(QUEUE, self.since_s, now_s, 0.0)
        interval_s, save_s = float(spec.interval_s[pool]), float(spec.save_s[pool])
        self.tiers = spec.tiers_on(pool)
        if not self.tiers and interval_s < math.inf:
            self.tiers = (Tier("", 1, save_s, 0.0, 0.0, len(SURVIVES) - 1),)
        self.varies = is_slowed(place)
        n_nodes, per_node = int(spec.n_nodes[pool]), place.chips_per_node
        self.allocation = Allocation(n_nodes, per_node, spec.shrinking)
        self.checkpoints = Checkpoints(self.tiers, spec.n_kept)
        self.start_s = self.since_s = self.begin_s = self.ready_s = now_s
        self.state, in_turn = DOWN, self.tiers
        if any(spec.storage):
            self._share_storage(pool, save_s)
            in_turn = ()
        work_s = float(spec.train_s[pool])
        self.plan = Schedule(work_s, interval_s, in_turn, save_s, place.throttle_frac)
        if self.storage is not None:
            self._resume(now_s)

    def cancel_ending(self) -> None:
        """Await the end no more."""
        if self.ending is not None:
            self.ending.cancel()
            self.ending = None

    def interrupt(
        self, now_s: float, restart_s: float, level: int, clean_by_s: float = math.inf
    ) -> None:
        """Fall back to what is saved, and begin a restart once the job has its nodes.

        What does not survive a fault of the level is lost. What was saved after `clean_by_s` holds
        silent damage, and is thrown away too.
        """
        self.cancel_ending()
        self.advance(now_s)
        checkpoints = self.checkpoints
        if self.storage is not None:
            self._give_up(now_s)
        elif self.state == TRAINING:
            checkpoints.note(self.stretch, now_s)
        elif self.state == SAVING:
            checkpoints.note(self.stretch, now_s, self.asked_s)
        checkpoints.erase(level)
        if clean_by_s < math.inf:
            self.n_from_start += checkpoints.go_back(clean_by_s)
        save = checkpoints.newest
        self.lost_work_s += self.position_s - save.position_s
        self.books.undo(save.line_s, save.cut_s)
        if len(self.books.line) > MANY:
            self.books.settle(checkpoints.floor_s)
        self.position_s, self.saving_until_s, self.restart_s = save.position_s, 0.0, restart_s
        load_s = checkpoints.load_s(self.plan.interval_s)
        if self.storage is None:
            self.load_s = load_s
            self.restart_s += load_s
        else:
            self.must_read = load_s > 0
        if not self.is_blocked:
            self.allocation.take_up()
            self._down(now_s)

    def _down(self, now_s: float) -> None:
        self.begin_s = now_s
        self.ready_s = max(now_s + self.restart_s, self.stop_until_s)
        self._stand()

    def _stand(self) -> None:
        """Stand until it is ready."""
        self.state = DOWN
        if self.storage is not None and self.must_read:  # a stop neither ends a restart nor delays
            self._await(self.begin_s + self.restart_s, Rank.RESTARTED, self._read)
        elif self.storage is not None:
            self._await(self.ready_s, Rank.RESTARTED, self._begin)

    def lack(self, now_s: float) -> None:
        """Note that a node is gone and none is free."""
        self.advance(now_s)
        if not self.allocation.n_short:
            self.missing_since_s = now_s
        self.allocation.move(1, 0)
        self._fit(now_s)

    def receive(self, now_s: float) -> None:
        """Note that a node that it lacked has come."""
        self.cancel_ending()
        self.advance(now_s)
        self.allocation.move(-1, 0)
        self._fit(now_s)

    def boot(self, now_s: float, n_more: int) -> None:
        """Note that a node has come that cannot train yet (1), or that it now can (-1)."""
        self.cancel_ending()
        self.advance(now_s)
        self.allocation.move(0, n_more)
        self._fit(now_s)

    def _fit(self, now_s: float) -> None:
        """Block, go on with the replicas that are whole, or save first where those are more."""
        nodes = self.allocation
        if not nodes.is_enough:
            self.state = BLOCKED
            if self.storage is not None:
                self._await_nothing()
        elif self.is_saving:
            return  # it goes on with all nodes once that is complete
        elif self.is_blocked:
            nodes.take_up()
            self._down(now_s)
        elif self._has_begun:
            if nodes.n_whole > nodes.n_active:
                self._pause(now_s, nodes.shrinking.resize_s, is_planned=False)
        else:
            nodes.take_up()
            if self.state == TRAINING:  # it was to begin now
                self._stand()

    def stop(self, now_s: float, lasts_s: float) -> bool:
        """Save, then stand still; return whether the job did stop.

        A job in its last save has nothing left to stop for. One that is saving for another stop
        goes on saving; one that restarts or is blocked has nothing to save. Stops that overlap
        last as long as the longest.
        """
        self.advance(now_s)
        return self._pause(now_s, lasts_s, is_planned=True)

    def _pause(self, now_s: float, lasts_s: float, *, is_planned: bool) -> bool:
        """Save, then stand still; what is planned is not ended early by a fault."""
        if self.storage is not None:
            return self._pause_sharing(now_s, lasts_s, is_planned=is_planned)
        trains = self.state == TRAINING and self._has_begun
        if trains and self.tiers and now_s >= self.stretch.end_s - self.plan.save_s:
            return False
        self.cancel_ending()
        stands_from_s = max(now_s, self.saving_until_s)
        if trains:
            _, stalled_s = self.stretch.trained(now_s)
            self.state, self.restart_s, self.load_s, self.asked_s = SAVING, 0.0, 0.0, now_s
            stands_from_s = self.saving_until_s = now_s + self.plan.save_s - stalled_s
            self.begin_s = stands_from_s
            self.ready_s = max(stands_from_s, self.stop_until_s)
        if is_planned:
            self.stop_until_s = max(self.stop_until_s, stands_from_s + lasts_s)
        self.ready_s = max(self.ready_s, self.stop_until_s, stands_from_s + lasts_s)
        if self.state == TRAINING:  # it was to begin now
            self.state = DOWN
        return True

    def when_saved(self, now_s: float, then: Callable[[float], None]) -> None:
        """Let something happen when the save of a stop is complete; now if there is none."""
        if not self.is_saving:
            then(now_s)
        elif self.storage is None:
            self.around.calendar.at(self.saving_until_s, Rank.SAVED, then, self.pool, self.index)
        else:
            self.after_save.append(then)

    def set_pace(self, now_s: float, pace: float) -> None:
        """Train at a share of its speed from now on."""
        if not self.runs or pace == self.pace:
            return
        self.cancel_ending()
        self.advance(now_s)
        self.pace, self.varies = pace, True  # a borrowed node may be slow where none are
        if self.state == TRAINING:
            self.stretch.change_rate(now_s, self._rate)
            if self.storage is not None and now_s < self.due_at_s:
                self.stretch.most_s = self._due_s(self.stretch.at[-1][0])
                self._await_write()

    def end(self, now_s: float) -> None:
        """Book the rest of the work, which ends now."""
        self.cancel_ending()
        self.advance(now_s)
        self.position_s, self.state, self.end_s = self.plan.work_s, ENDED, now_s
        self.books.settle(math.inf)

    def close(self, wall_s: float) -> None:
        """Book what is under way at the end of the run."""
        if self.state == QUEUED:
            self.books.book(QUEUE, self.spec.arrival_s, max(wall_s, self.spec.arrival_s), 0.0)
        elif self.runs:
            self.advance(wall_s)
            self.books.settle(math.inf)

    def slow_chip_s(self) -> tuple[float, float]:
        """Return the chip-seconds of training that brought nothing: of what is kept, and lost."""
        if self.pool < 0 or not self.varies:
            return 0.0, 0.0
        full, chip_s = self.allocation.n_nodes * self.allocation.chips_per_node, self.books.chip_s
        return chip_s[TRAIN] - self.position_s * full, chip_s[LOST] - self.lost_work_s * full

    # -- storage that jobs share: from one event to the next -------------------------------------

    def _share_storage(self, pool: int, save_s: float) -> None:
        self.storage = self.around.storages[self.spec.storage[pool] or f" {self.index}"]
        tier = self.tiers[0] if self.tiers else Tier("", 1, save_s, 0.0, 0.0, len(SURVIVES) - 1)
        self.waits_for_write = not tier.write_s
        self.tier, self.write_s = tier, tier.write_s or save_s
        self.stall_s = 0.0 if self.waits_for_write else tier.stall_s
        self.still_s = save_s if self.waits_for_write else tier.stall_s  # it stands, for each save
        self.writes: Save | None = None
        self.stop_s: float | None = None  # how long it stands once its save for a stop is complete
        self.stop_is_planned, self.must_read = False, False
        self.after_save: list[Callable[[float], None]] = []
        self.awaited: Entry | None = None
        self.due_at_s = 0.0

    def _await_nothing(self) -> None:
        if self.awaited is not None:
            self.awaited.cancel()
            self.awaited = None

    def _await(self, time_s: float, rank: Rank, then: Callable[[float], None]) -> None:
        self._await_nothing()
        self.awaited = self.around.calendar.at(time_s, rank, then, self.pool, self.index)

    def _due_s(self, done_s: float) -> float:
        """Return the training of a stretch after which it writes; the last may be shorter. [s]"""
        left_s = self.stretch.left_s
        most_s = max(self.plan.interval_s, done_s)
        return left_s if left_s - most_s < SLACK * self.plan.interval_s else most_s

    def _await_write(self) -> None:
        self.due_at_s = self.stretch.start_s + self.stretch.most_s
        self._await(self.due_at_s + self.stall_s, Rank.SAVED, self._write)

    def _begin(self, now_s: float) -> None:
        self.advance(now_s)
        self._resume(now_s)

    def _read(self, now_s: float) -> None:
        assert self.storage is not None
        self.advance(now_s)
        self.awaited, self.state = None, READING
        self.storage.begin(self._was_read, self.tier.load_s, now_s)

    def _was_read(self, now_s: float) -> None:
        self.advance(now_s)
        self.must_read, self.ready_s = False, max(now_s, self.stop_until_s)
        self._stand()

    @property
    def _is_last(self) -> bool:
        return self.position_s >= self.plan.work_s * (1 - SLACK)

    @property
    def _stands_still(self) -> bool:
        """Whether it does nothing else until its save is complete."""
        return self.waits_for_write or self.stop_s is not None or self._is_last

    def _write(self, now_s: float) -> None:
        """Begin to write; before a stop and at the end in the place of what is being written."""
        assert self.storage is not None
        self.advance(now_s)
        self.awaited = None
        if self._is_last:
            self.position_s = self.plan.work_s
            if self.plan.interval_s == math.inf:
                self._await_end(now_s)
                return
        if self.writes is not None and not self._stands_still:
            self.state = WAITING
            return
        self.writes = Save(self.position_s, self.books.line_s, 0.0, now_s)
        self.storage.begin(self._written, self.write_s, now_s)
        if self._stands_still:
            self.state = SAVING
        else:
            self._resume(now_s)

    def _written(self, now_s: float) -> None:
        """Note a complete save."""
        assert self.writes is not None
        self.advance(now_s)
        save, self.writes = self.writes._replace(when_s=now_s), None
        if self.state == WAITING:
            self.checkpoints.add(save)
            self._write(now_s)
        elif self.state != SAVING:
            self.checkpoints.add(save)
        elif self.stop_s is not None:
            stands_until_s = now_s + self.stop_s
            if self.stop_is_planned:
                self.stop_until_s = max(self.stop_until_s, stands_until_s)
            self.stop_s, self.restart_s, self.begin_s = None, 0.0, now_s
            self._saved(now_s)
            self.ready_s = max(self.stop_until_s, stands_until_s)
            self._stand()
            self._let_go(now_s)
        else:
            self.checkpoints.add(save._replace(cut_s=now_s))
            if self._is_last:
                self._await_end(now_s)
            else:
                self._resume(now_s)

    def _await_end(self, now_s: float) -> None:
        self.state = SAVING
        ended = self.around.ended
        self.ending = self.around.calendar.at(
            now_s, Rank.JOB_ENDS, lambda time_s: ended(self, time_s), self.pool, self.index
        )

    def _let_go(self, now_s: float) -> None:
        """Let happen what was to happen when the save of a stop is complete, or would have been."""
        waiting, self.after_save = self.after_save, []
        for then in waiting:
            self.around.calendar.at(now_s, Rank.SAVED, then, self.pool, self.index)

    def _give_up(self, now_s: float) -> None:
        """End what it transfers, and await nothing."""
        assert self.storage is not None
        self.storage.give_up(self._was_read, now_s)
        self.storage.give_up(self._written, now_s)
        self._await_nothing()
        self.writes, self.stop_s = None, None
        self._let_go(max(now_s, self.saving_until_s))

    def _pause_sharing(self, now_s: float, lasts_s: float, *, is_planned: bool) -> bool:
        """Save all that has been trained, then stand still.

        A save under way serves, if it is of all that. Should a fault break it, a planned stop
        lasts, and nodes are taken out, as if nobody else had written.
        """
        assert self.storage is not None
        if self._is_last and not self.is_blocked:
            return False
        stands_from_s = now_s
        if self._has_begun:
            self.stop_is_planned |= is_planned
            self.stop_s = max(self.stop_s or 0.0, lasts_s)
            if self.state == WAITING:
                self._write(now_s)
            elif self.state == TRAINING:
                self.stretch.most_s, self.due_at_s = self.trained_s, min(now_s, self.due_at_s)
                self._await(self.due_at_s + self.stall_s, Rank.SAVED, self._write)
            stands_from_s = self.due_at_s + self.stall_s + self.write_s
            if self.awaited is None:  # it writes
                stands_from_s = now_s + self.storage.alone_s(self._written, now_s)
            self.saving_until_s = stands_from_s
        if is_planned:
            self.stop_until_s = max(self.stop_until_s, stands_from_s + lasts_s)
        if not self._has_begun and not self.is_blocked:
            self.ready_s = max(self.ready_s, self.stop_until_s)
            if self.state != READING:
                self._stand()
        return True
