"""One job on the nodes of one pool, in one run: what the event engine moves about.

Plain Python, no event queue: a gang is told what happens and when, books what lay before, and knows
when its work would end if nothing else happened.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from computeplan.ledger import BLOCKED, LOST, PHASES, QUEUE, RESTART, SAVE, TRAIN, Span
from computeplan.world.jobs import Job

__all__ = ["Gang"]

SLACK = 1e-9  # a remainder below this share of an interval is rounding, not another save


class Gang:
    """One job. Books are complete up to `since_s`.

    Then, in this order: a save before a planned stop until `saving_until_s`, blocked while nodes
    are missing or booting, a restart of `restart_s` from `begin_s`, and training from `ready_s`,
    never before `stop_until_s`: neither a fault nor another stop ends a planned stop early.
    """

    knows_end = True  # as soon as it trains, unless something else happens

    def __init__(self, index: int, spec: Job, spans: list[Span] | None) -> None:
        self.index, self.spec, self.spans = index, spec, spans
        self.pool = -1
        self.n_missing = self.n_booting = 0  # nodes it lacks; nodes it has that cannot train yet
        self.missing_since_s = 0.0
        self.kept_s = self.pending_s = self.saving_until_s = 0.0
        self.since_s = self.begin_s = self.ready_s = self.restart_s = self.stop_until_s = 0.0
        self.start_s = self.end_s = math.inf
        self.ending: Any = None  # awaited by the engine; void once the job is told what changes it
        self.job_s = [0.0] * (len(PHASES) + 1)
        self.missing_node_s = 0.0
        self.n_from_start = 0
        self.complete: deque[tuple[float, float]] = deque(maxlen=spec.n_kept)  # when, position

    @property
    def is_blocked(self) -> bool:
        """Whether it lacks nodes, or waits for some to boot."""
        return self.n_missing + self.n_booting > 0

    @property
    def n_lacking(self) -> int:
        """Nodes that it lacks; those that come back are its own."""
        return self.n_missing

    @property
    def runs(self) -> bool:
        """Whether it holds chips."""
        return self.pool >= 0 and self.end_s == math.inf

    def start(self, pool: int, chips_per_node: int, now_s: float) -> None:
        """Begin on a pool whose nodes it has been given."""
        spec = self.spec
        self.job_s[QUEUE] += now_s - self.since_s
        self.pool, self.chips_per_node = pool, chips_per_node
        self.n_nodes = int(spec.n_nodes[pool])
        self.work_s, self.interval_s = float(spec.train_s[pool]), float(spec.interval_s[pool])
        self.save_s, self.ettr = float(spec.save_s[pool]), float(spec.ettr[pool])
        self.start_s = self.since_s = self.begin_s = self.ready_s = now_s

    def left_s(self) -> float:
        """Return the training left once it resumes. [s]"""
        return self.work_s - max(self.kept_s, self.pending_s)

    def _saves_s(self, left_s: float) -> float:
        """Return how long the job stands still to save in the training left, if not struck. [s]"""
        if self.interval_s == math.inf:
            return 0.0
        return math.ceil(left_s / self.interval_s - SLACK) * self.save_s

    def end_time(self) -> float:
        """Return when the work ends if nothing else happens. [s]"""
        left_s = self.left_s()
        return self.ready_s + left_s + self._saves_s(left_s)

    def expected_end(self, now_s: float, *, has_faults: bool) -> float:
        """Return when the job is expected to end: at least its rest undisturbed. [s]"""
        if not self.is_blocked and not has_faults:
            return self.end_time()
        resumes_s = now_s + self.restart_s if self.is_blocked else max(now_s, self.ready_s)
        trained_s = 0.0 if self.is_blocked else max(0.0, now_s - self.ready_s)
        left_s = self.left_s()
        return resumes_s + max(left_s / self.ettr - trained_s, 1e-6 * self.work_s)

    def _cycles(self, now_s: float) -> tuple[float, float, float]:
        """Return training in whole cycles, and training and saving in the one not complete. [s]"""
        gone_s = now_s - self.ready_s
        if self.interval_s == math.inf:
            return 0.0, gone_s, 0.0
        cycle_s = self.interval_s + self.save_s
        n_cycles = gone_s // cycle_s
        rest_s, done_s = gone_s - n_cycles * cycle_s, n_cycles * self.interval_s
        if self.spec.n_kept:
            for m in range(max(1, int(n_cycles) + 1 - self.spec.n_kept), int(n_cycles) + 1):
                at = (self.ready_s + m * cycle_s, self.kept_s + m * self.interval_s)
                self.complete.append(at)
        trained_s = min(rest_s, self.interval_s, self.left_s() - done_s)
        self.job_s[SAVE] += n_cycles * self.save_s + (rest_s - trained_s)
        return done_s, trained_s, rest_s - trained_s

    def _book_until_ready(self, now_s: float) -> None:
        """Book the save before a stop and the restart of a whole job, as far as they came."""
        if self.saving_until_s > self.since_s:
            self._phase(SAVE, min(now_s, self.saving_until_s))
        if now_s >= self.saving_until_s:
            if self.pending_s > self.kept_s:
                self.complete.append((self.saving_until_s, self.pending_s))
            self.kept_s = max(self.kept_s, self.pending_s)
            if self.ready_s > self.since_s:
                self._phase(RESTART, min(now_s, self.ready_s))

    def _phase(self, phase: int, until_s: float) -> None:
        self.job_s[phase] += until_s - self.since_s
        self._span(phase, self.since_s, until_s)
        self.since_s = until_s

    def book_blocked(self, now_s: float) -> None:
        """Book the time a job lacked nodes; before the number of nodes changes."""
        self.missing_node_s += (now_s - self.since_s) * self.n_missing
        self._phase(BLOCKED, now_s)

    def interrupt(
        self, now_s: float, restart_s: float, level: int, clean_by_s: float = math.inf
    ) -> None:
        """Throw away what was not saved and begin a restart, once the job is whole.

        What was saved after `clean_by_s` holds silent damage, and is thrown away too.
        """
        self.ending, self.restart_s = None, restart_s
        if self.is_blocked:
            self.book_blocked(now_s)
        else:
            self._book_until_ready(now_s)
        self._fall_back(now_s, level)
        self.pending_s = self.saving_until_s = 0.0
        if clean_by_s < math.inf:
            self._go_back(clean_by_s)
        if not self.is_blocked:
            self._down(now_s, self.restart_s)

    def _fall_back(self, now_s: float, level: int) -> None:  # noqa: ARG002
        """Throw away what was not saved; a save to one place survives a fault of any level."""
        if self.is_blocked:
            return
        if now_s > self.ready_s:
            done_s, trained_s, saving_s = self._cycles(now_s)
            self.job_s[TRAIN] += done_s
            self.job_s[LOST] += trained_s
            self.kept_s += done_s
            if self.spans is not None:
                self._span(TRAIN, self.ready_s, now_s - trained_s - saving_s)
                self._span(LOST, now_s - trained_s - saving_s, now_s)
        elif self.pending_s > self.kept_s:  # during the save before a stop: booked, and lost
            self._lose(self.pending_s - self.kept_s)

    def _lose(self, trained_s: float) -> None:
        """Count training as lost that was booked as kept."""
        self.job_s[TRAIN] -= trained_s
        self.job_s[LOST] += trained_s

    def _go_back(self, clean_by_s: float) -> None:
        """Throw away the saves complete after a time, and go back to the newest one left."""
        while self.complete and self.complete[-1][0] > clean_by_s:
            self.complete.pop()
        self.n_from_start += not self.complete
        clean_s = self.complete[-1][1] if self.complete else 0.0
        self._lose(self.kept_s - clean_s)
        self.kept_s = clean_s

    def _down(self, now_s: float, restart_s: float) -> None:
        self.since_s = self.begin_s = now_s
        self.ready_s = max(now_s + restart_s, self.stop_until_s)

    def lack(self, now_s: float) -> None:
        """Note that a node is gone and none is free."""
        self._begin_block(now_s)
        if not self.n_missing:
            self.missing_since_s = now_s
        self.n_missing += 1

    def await_boot(self, now_s: float) -> None:
        """Note that a node has come that cannot train yet."""
        self._begin_block(now_s)
        self.n_booting += 1

    def _begin_block(self, now_s: float) -> None:
        if self.is_blocked:
            self.book_blocked(now_s)
        self.since_s = now_s

    def booted(self, now_s: float) -> None:
        """Note that a node can train; a whole job begins its restart."""
        self.book_blocked(now_s)
        self.n_booting -= 1
        self._begin_if_whole(now_s)

    def receive(self, now_s: float) -> None:
        """Note that a missing node has come; a whole job begins its restart."""
        self.ending = None
        self.book_blocked(now_s)
        self.n_missing -= 1
        self._begin_if_whole(now_s)

    def _begin_if_whole(self, now_s: float) -> None:
        if not self.is_blocked:
            self.begin_s = now_s
            self.ready_s = max(now_s + self.restart_s, self.stop_until_s)

    def restart_left_s(self, now_s: float) -> float:
        """Return how much of a restart is left to do once the job is whole. [s]"""
        if self.is_blocked:
            return self.restart_s
        return max(0.0, self.begin_s + self.restart_s - now_s)

    def stop(self, now_s: float, lasts_s: float) -> bool:
        """Save, then stand still; return whether the job did stop.

        A job in its last save has nothing left to stop for. One that is saving for another stop
        goes on saving; one that restarts or is blocked has nothing to save. Stops that overlap
        last as long as the longest.
        """
        trains = not self.is_blocked and now_s > self.ready_s
        if trains and self.interval_s < math.inf and now_s >= self.end_time() - self.save_s:
            return False
        self.ending = None
        begin_s = max(now_s, self.saving_until_s)
        if trains:
            self._book_until_ready(now_s)
            begin_s = self.saving_until_s = now_s + self._save_now(now_s)
            self._span(TRAIN, self.ready_s, now_s)
            self.restart_s = 0.0
            self._down(begin_s, 0.0)
            self.since_s = now_s
        self.stop_until_s = max(self.stop_until_s, begin_s + lasts_s)
        self.ready_s = max(self.ready_s, self.stop_until_s)
        return True

    def _save_now(self, now_s: float) -> float:
        """Book the training, all of which a save holds; return when that is complete, from now. [s]

        A save under way serves.
        """
        done_s, trained_s, saving_s = self._cycles(now_s)
        self.job_s[TRAIN] += done_s + trained_s
        self.kept_s += done_s
        self.pending_s = self.kept_s + trained_s
        return self.save_s - saving_s

    def end(self, now_s: float) -> None:
        """Book the rest of the work, which ends now."""
        self.ending = None
        self._book_until_ready(now_s)
        left_s = self.left_s()
        self.job_s[TRAIN] += left_s
        self.job_s[SAVE] += self._saves_s(left_s)
        self._span(TRAIN, self.ready_s, now_s)
        self.end_s = now_s

    def meet(self, now_s: float) -> None:
        """Let what ends with the run end, where the engine does not know its end."""

    def close(self, wall_s: float) -> None:
        """Book what is under way at the end of the run."""
        if self.pool < 0:
            self.job_s[QUEUE] += max(0.0, wall_s - self.spec.arrival_s)
        elif self.is_blocked:
            self.book_blocked(wall_s)
        elif self.runs:
            self._book_until_ready(wall_s)
            if wall_s > self.ready_s:
                done_s, trained_s, _ = self._cycles(wall_s)
                self.job_s[TRAIN] += done_s + trained_s
                self._span(TRAIN, self.ready_s, wall_s)

    def chip_s(self) -> list[float]:
        """Return the chip-seconds of each phase. [s]"""
        n_chips = self.n_nodes * self.chips_per_node
        booked = [seconds * n_chips for seconds in self.job_s[: len(PHASES)]]
        booked[BLOCKED] -= self.missing_node_s * self.chips_per_node
        return booked

    def slow_s(self) -> tuple[float, float]:
        """Return the seconds of training that brought nothing: of what is kept, and lost. [s]"""
        return 0.0, 0.0

    def _span(self, phase: int, start_s: float, end_s: float) -> None:
        if self.spans is not None and end_s > start_s:
            chips = self.n_chips_in(phase)
            self.spans.append(Span(self.index, self.pool, phase, start_s, end_s, chips))

    def n_chips_in(self, phase: int) -> int:
        """Return the chips that take part in a phase now."""
        present = self.n_nodes - (self.n_missing if phase == BLOCKED else 0)
        return present * self.chips_per_node
