"""Jobs of the event engine that write and read through storage that they share.

The bandwidth of the storage is divided evenly among the jobs that write or read at a moment. How
long a save takes then hangs on what others do, so that a job of this kind goes on from milestone to
milestone, and each is an event: that it begins to write, that it has written, that it has read.
Alone, it does what a `TieredGang` of one tier does; but a write that is still under way when the
next is due is waited for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from computeplan.engines.event.gang import SLACK, Gang
from computeplan.ledger import LOST, RESTART, SAVE, TRAIN, Span
from computeplan.world.jobs import Job

__all__ = ["SharedGang", "Storage"]

DOWN, READING, TRAINING, WAITING, WRITING = range(5)  # what a job that is whole is at
STANDS_STILL = {DOWN: RESTART, READING: RESTART, WAITING: SAVE, WRITING: SAVE}


class Storage:
    """The storage of a site.

    Transfers go on at one pace, so they end in the order of `ends`: how far a transfer had come
    that began at time 0, when each ends.

    Parameters
    ----------
    await_at : callable
        Of a time [s] and a function of an event that has `time_s`; returns the event.
    end : callable
        Of a job and the time at which its last save is complete. [s]
    """

    def __init__(
        self,
        await_at: Callable[[float, Callable[[Any], None]], Any],
        end: Callable[[SharedGang, float], None],
    ) -> None:
        self.await_at, self.end = await_at, end
        self.come_s = self.now_s = 0.0
        self.ends: dict[SharedGang, float] = {}
        self.awaited: Any = None

    def _advance(self, now_s: float) -> None:
        if self.ends:
            self.come_s += (now_s - self.now_s) / len(self.ends)
        else:
            self.come_s = 0.0  # nobody asks how far it was
        self.now_s = now_s

    def _await_next(self) -> None:
        self.awaited = None
        if self.ends:
            left_s = max(0.0, min(self.ends.values()) - self.come_s)
            self.awaited = self.await_at(self.now_s + left_s * len(self.ends), self._come_to)

    def begin(self, gang: SharedGang, lasts_s: float, now_s: float) -> None:
        """Begin a transfer that takes so long with the bandwidth to itself, if need be anew."""
        self._advance(now_s)
        self.ends[gang] = self.come_s + lasts_s
        self._await_next()

    def give_up(self, gang: SharedGang, now_s: float) -> None:
        """End the transfer of a job, if it has one, before it is complete."""
        if gang in self.ends:
            self._advance(now_s)
            del self.ends[gang]
            self._await_next()

    def alone_s(self, gang: SharedGang, now_s: float) -> float:
        """Return how long the transfer of a job has to go with the bandwidth to itself. [s]"""
        self._advance(now_s)
        return self.ends[gang] - self.come_s

    def _come_to(self, event: Any) -> None:
        if event is not self.awaited:
            return  # it has been put off
        self._advance(event.time_s)
        self.come_s = min(self.ends.values())
        for gang in [one for one, end_s in self.ends.items() if end_s <= self.come_s]:
            del self.ends[gang]
            gang.transferred(event.time_s)
        self._await_next()

    def meet(self, now_s: float) -> None:
        """Let what ends with the run end."""
        if self.awaited is not None and self.awaited.time_s <= now_s:
            self._come_to(self.awaited)


class SharedGang(Gang):
    """A job that writes and reads through shared storage.

    `position_s` is its training so far. It trains until it has `due_s`, at `due_at_s`, stalls, and
    writes what it has, which is `writes_s` while it does.
    """

    knows_end = False  # before its last save is complete

    def __init__(
        self, index: int, spec: Job, spans: list[Span] | None, storages: Mapping[str, Storage]
    ) -> None:
        super().__init__(index, spec, spans)
        self.storages = storages
        self.awaited: Any = None

    def start(self, pool: int, chips_per_node: int, now_s: float) -> None:
        """Begin on a pool whose nodes it has been given."""
        super().start(pool, chips_per_node, now_s)
        self.storage = self.storages[self.spec.storage[pool] or f" {self.index}"]
        self.stall_s, self.write_s, self.load_s = 0.0, self.save_s, 0.0
        self.waits_for_write = True
        for tier in self.spec.tiers_on(pool):
            self.load_s = tier.load_s
            if tier.write_s:
                self.stall_s, self.write_s = tier.stall_s, tier.write_s
                self.waits_for_write = False
        self.position_s = 0.0
        self.stretch_s: float | None = None  # since when it trains and saves in turn
        self.writes_s: float | None = None
        self.taken_s = self.writes_taken_s = now_s  # when it went on from what is kept, or written
        self.stop_lasts_s: float | None = None  # of the stop that it saves for
        self.at, self.must_read = TRAINING, False
        self._set_due()
        self._resume(now_s)

    # -- from milestone to milestone -------------------------------------------------------------

    def _await(self, time_s: float) -> None:
        self.awaited = self.storage.await_at(time_s, self._come_to)

    def _come_to(self, event: Any) -> None:
        if event is not self.awaited or self.is_blocked:
            return
        now_s = event.time_s
        self._settle(now_s)
        if self.at == TRAINING:
            self._write(now_s)
        elif self.must_read:
            self.at = READING
            self.storage.begin(self, self.load_s, now_s)
        else:
            self._resume(now_s)

    def meet(self, now_s: float) -> None:
        """Let what ends with the run end."""
        if self.runs and self.awaited is not None and self.awaited.time_s <= now_s:
            self._come_to(self.awaited)

    def transferred(self, now_s: float) -> None:
        """Note that it has read, or written."""
        self._settle(now_s)
        if self.at == READING:
            self.must_read = False
            self._stand_until(max(now_s, self.stop_until_s))
        else:
            self._written(now_s)

    def _settle(self, now_s: float) -> None:
        """Book what it has been at since it was booked last."""
        if self.is_blocked:
            return  # booked when its nodes change
        if self.at != TRAINING:
            self._book(STANDS_STILL[self.at], now_s)
            return
        trained_until_s = min(now_s, self.due_at_s)
        if trained_until_s > self.since_s:
            self.position_s += trained_until_s - self.since_s
            self._book(TRAIN, trained_until_s)
        if now_s >= self.due_at_s:
            self.position_s = self.due_s
            self._book(SAVE, now_s)

    def _book(self, phase: int, until_s: float) -> None:
        """Book a phase; one span tells of all training and saving in turn, as of other jobs."""
        if self.stretch_s is None:
            self._phase(phase, until_s)
        else:
            self.job_s[phase] += until_s - self.since_s
            self.since_s = until_s

    def _end_stretch(self, now_s: float, kept_until_s: float = math.inf) -> None:
        if self.stretch_s is not None:
            cut_s = min(max(kept_until_s, self.stretch_s), now_s)
            self._span(TRAIN, self.stretch_s, cut_s)
            self._span(LOST, cut_s, now_s)
            self.stretch_s = None

    def _set_due(self) -> None:
        self.due_s, self.to_train_s = self.position_s + self.interval_s, self.interval_s
        if self.work_s - self.due_s < SLACK * self.interval_s:
            self.due_s, self.to_train_s = self.work_s, self.work_s - self.position_s

    def _resume(self, now_s: float) -> None:
        self.at = TRAINING
        if self.stretch_s is None:
            self.stretch_s = now_s
        self.due_at_s = now_s + self.to_train_s
        self._await(self.due_at_s + self.stall_s)

    def _stand_until(self, time_s: float) -> None:
        self.at, self.ready_s = DOWN, time_s
        self._await(time_s)

    @property
    def _is_last(self) -> bool:
        return self.position_s >= self.work_s

    @property
    def _stands_still(self) -> bool:
        """Whether it does nothing else until its save is complete."""
        return self.waits_for_write or self.stop_lasts_s is not None or self._is_last

    def _write(self, now_s: float) -> None:
        """Begin to write; before a stop and at the end in the place of what is being written."""
        if self.interval_s == math.inf and self._is_last:
            self.storage.end(self, now_s)
            return
        self.awaited = None
        if self.writes_s is not None and not self._stands_still:
            self.at = WAITING
            return
        self.writes_s, self.writes_taken_s = self.position_s, now_s
        self.storage.begin(self, self.write_s, now_s)
        self._set_due()
        if self._stands_still:
            self.at = WRITING
        else:
            self._resume(now_s)

    def _written(self, now_s: float) -> None:
        """Note a complete save."""
        assert self.writes_s is not None
        self.kept_s, self.writes_s = self.writes_s, None
        self.taken_s = now_s if self.at == WRITING else self.writes_taken_s
        self.complete.append((now_s, self.kept_s))
        if self.at == WAITING:
            self._write(now_s)
        elif self.at == WRITING and self.stop_lasts_s is not None:
            self.stop_until_s = max(self.stop_until_s, now_s + self.stop_lasts_s)
            self.stop_lasts_s, self.restart_s, self.begin_s = None, 0.0, now_s
            self._stand_until(self.stop_until_s)
        elif self.at == WRITING and self._is_last:
            self.storage.end(self, now_s)
        elif self.at == WRITING:
            self._resume(now_s)

    # -- what a gang is told ---------------------------------------------------------------------

    def end_time(self) -> float:
        """Return about when the work ends if nothing else happens, for policies. [s]"""
        left_s = self.work_s - self.position_s
        resumes_s = max(self.since_s, self.ready_s) + self.load_s * self.must_read
        n_saves = math.ceil(left_s / self.interval_s - SLACK)
        stall_s = self.save_s if self.waits_for_write else self.stall_s
        return resumes_s + left_s + (n_saves - 1) * stall_s + self.save_s

    def expected_end(self, now_s: float, *, has_faults: bool) -> float:
        """Return when the job is expected to end: at least its rest undisturbed. [s]"""
        self._settle(now_s)
        if not self.is_blocked and not has_faults:
            return self.end_time()
        resumes_s = now_s + self.restart_s if self.is_blocked else max(now_s, self.ready_s)
        left_s = self.work_s - self.position_s
        return resumes_s + max(left_s / self.ettr, 1e-6 * self.work_s)

    def interrupt(
        self, now_s: float, restart_s: float, level: int, clean_by_s: float = math.inf
    ) -> None:
        """Throw away what was not saved and begin a restart, once the job is whole."""
        self._settle(now_s)
        self.storage.give_up(self, now_s)
        super().interrupt(now_s, restart_s, level, clean_by_s)
        self.position_s, self.must_read = self.kept_s, self.kept_s > 0 and self.load_s > 0
        self._set_due()
        self._restart()

    def _restart(self) -> None:
        """Restart, which a stop neither ends nor puts off; what comes after may have to wait."""
        self.at, self.stretch_s, self.awaited = DOWN, None, None
        if not self.is_blocked:
            self._await(self.begin_s + self.restart_s if self.must_read else self.ready_s)

    def _book_until_ready(self, now_s: float) -> None:
        """Do nothing: it is settled."""

    def _fall_back(self, now_s: float, level: int) -> None:  # noqa: ARG002
        self._lose(self.position_s - self.kept_s)
        self._end_stretch(now_s, self.taken_s)
        self.writes_s, self.stop_lasts_s, self.taken_s = None, None, now_s

    def _begin_if_whole(self, now_s: float) -> None:
        super()._begin_if_whole(now_s)
        if not self.is_blocked:
            self._restart()

    def stop(self, now_s: float, lasts_s: float) -> bool:
        """Save, then stand still; return whether the job did stop.

        A save under way serves, if it is of all that has been trained.
        """
        self._settle(now_s)
        if self._is_last and not self.is_blocked:
            return False
        begin_s = now_s
        if not self.is_blocked and self.at not in (DOWN, READING) and now_s > self.ready_s:
            begin_s += self._save_for_stop(now_s, lasts_s)
        self.stop_until_s = max(self.stop_until_s, begin_s + lasts_s)
        if self.at == DOWN or (self.at == TRAINING and now_s <= self.ready_s):
            self.ready_s = max(self.ready_s, self.stop_until_s)
            self._restart()
        return True

    def _save_for_stop(self, now_s: float, lasts_s: float) -> float:
        """Save all that has been trained; return how long that takes, with nobody else there. [s]

        Should a fault break that save, the stop lasts as if it had not.
        """
        self._end_stretch(now_s)
        self.stop_lasts_s = max(self.stop_lasts_s or 0.0, lasts_s)
        if self.at == TRAINING and now_s < self.due_at_s:
            self.due_s, self.due_at_s = self.position_s, now_s
            self._await(now_s + self.stall_s)
        elif self.at == WAITING:
            self._write(now_s)
        if self.at == TRAINING:
            return self.due_at_s + self.stall_s - now_s + self.write_s
        return self.storage.alone_s(self, now_s)

    def end(self, now_s: float) -> None:
        """Note that its last save is complete."""
        self._end_stretch(now_s)
        self.end_s, self.awaited = now_s, None

    def close(self, wall_s: float) -> None:
        """Book what is under way at the end of the run."""
        if self.runs and not self.is_blocked:
            self._settle(wall_s)
            self._end_stretch(wall_s)
        elif self.runs or self.pool < 0:
            super().close(wall_s)
