"""One job in one run: a state machine that is told what happens, and when.

Long because a job is one class: what it does in each state stands side by side.

A job trains and saves in turn (`stretch`), falls back to what it has saved (`checkpoints`), holds
nodes (`allocation`), and books what it did (`books`). Without power it waits, and goes on from
where it was; a save under way is made anew. What a job is like changes numbers in these
parts, never its class. Every clean interruption is one path: save, then stand still, change size,
or let nodes go. Positions are work: seconds of training at full size and speed.

Where jobs share storage, how long a save takes is known when it is complete. Such a job goes from
one event to the next, and a stretch is one interval; other jobs need no event for a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from computeplan import ledger
from computeplan.engines.event.allocation import Allocation, Part
from computeplan.engines.event.books import Books
from computeplan.engines.event.calendar import Calendar, Entry, Rank, Then, cancel
from computeplan.engines.event.caps import STANDS_STILL
from computeplan.engines.event.checkpoints import Checkpoints, Save
from computeplan.engines.event.storage import Storage
from computeplan.engines.event.stretch import SLACK, Schedule, Stretch
from computeplan.ledger import LOST, RESTART, SAVE, TRAIN, Span
from computeplan.specs.checkpoints import SURVIVES
from computeplan.world.jobs import Job as Spec
from computeplan.world.jobs import Tier
from computeplan.world.pools import Pool, is_slowed

__all__ = ["Job"]

MOST_SHOWN = 500  # stretches of training between saves, in the timeline of a job; or more faults
MANY = 64  # pieces of training that may yet be lost, before it is asked which can


QUEUED, BLOCKED, DOWN, READING, TRAINING, WAITING, SAVING, ENDED = range(8)  # what a job is at


class Job:
    """One job. Books are complete up to `since_s`.

    It is down from `begin_s` for `restart_s`, and trains from `ready_s`; never before
    `stop_until_s`: neither a fault nor another stop ends a planned stop early. `ending` is its end,
    if that is awaited: void once the job is told what changes it. `slower` is how many times its
    nominal training time it takes on its pool in this run. Whoever is told when it is expected to
    end finds it in `changed`, once that is another time.
    """

    def __init__(
        self,
        index: int,
        spec: Spec,
        slower: float,
        calendar: Calendar,
        storages: Mapping[str, Storage],
        ended: Callable[[Job, float], None],
        spans: list[Span] | None,
        changed: dict[int, Job],
    ) -> None:
        self.index, self.spec, self.calendar, self.spans = index, spec, calendar, spans
        self.slower, self.changed = slower, changed
        self.storages, self.ended = storages, ended  # by site; when it knows that it has [s]
        self.state, self.pool = QUEUED, -1
        self.allocation = Allocation([Part(-1, 1, 1, Books((index, -1), (), None))], None)
        self.since_s = self.begin_s = self.ready_s = self.restart_s = self.load_s = 0.0
        self.stop_until_s = self.saving_until_s = self.missing_since_s = 0.0
        self.position_s = self.from_s = self.trained_s = self.lost_work_s = 0.0
        self.then_leave: Then | None = None  # what happens once it has saved, if it is to leave
        self.lease: Entry | None = None
        self.n_from_start, self.asked_s = 0, 0.0
        self.pace = self.capped_frac = self.mixing_frac = 1.0
        self.is_still = False  # without power: it waits as it is
        self.ending: Entry | None = None
        self.awaited: Entry | None = None
        self.storage: Storage | None = None

    @property
    def is_blocked(self) -> bool:
        """Whether it has too few nodes to train, or waits for some to boot."""
        return self.state == BLOCKED

    @property
    def is_leaving(self) -> bool:
        """Whether it saves before it gives its nodes back."""
        return self.then_leave is not None

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
    def is_saving(self) -> bool:
        """Whether it saves for a clean interruption."""
        return self.state == SAVING if self.storage is None else self.stop_s is not None

    @property
    def _has_begun(self) -> bool:
        """Whether it has trained since it was down."""
        return self.state >= TRAINING and self.since_s > self.ready_s

    def ahead(self, now_s: float) -> Stretch:
        """Return the stretch that it is in, or will be; alone at its storage, if it shares one."""
        position_s, from_s, nodes = self.position_s, self.ready_s, self.allocation
        if self.state == TRAINING:
            if self.storage is None:
                return self.stretch
            position_s = self.stretch.position_s(self.stretch.trained(now_s)[0])
        if self.storage is not None:
            from_s = max(now_s, from_s) + self.tier.load_s * self.must_read
        n_replicas = nodes.n_active if self.is_blocked else nodes.n_whole
        rate = self.speed_frac * n_replicas / nodes.shrinking.n_replicas
        return Stretch(self.alone, from_s, position_s, rate, 0.0)

    def expected_end(self, now_s: float, *, has_faults: bool) -> float:
        """Return when the job is expected to end. [s]

        At its nominal speed: nobody knows beforehand how fast it is in this run.
        """
        ahead, slower = self.ahead(now_s), self.slower
        if not self.is_blocked and not has_faults and slower == 1.0:
            return ahead.end_s
        resumes_s = now_s + self.restart_s if self.is_blocked else max(now_s, self.ready_s)
        is_under_way = self.storage is None and not self.is_blocked
        trained_s = max(0.0, now_s - self.ready_s) if is_under_way else 0.0
        ettr = min(float(self.spec.ettr[part.pool]) for part in self.allocation.parts)
        if not ettr:
            return math.inf
        left_s = ahead.left_s / ettr - trained_s
        return resumes_s + max(left_s, 1e-6 * self.plan.work_s) / slower

    def restart_left_s(self, now_s: float) -> float:
        """Return how much of a restart but reading is left, once the job has its nodes. [s]"""
        restart_s = self.restart_s - self.load_s
        return restart_s if self.is_blocked else max(0.0, self.begin_s + restart_s - now_s)

    def advance(self, now_s: float) -> None:
        """Book what the job did until now; a state that ends by itself gives way to the next."""
        if self.state == TRAINING:
            self._train(now_s)
        elif self.state == BLOCKED:
            self._book(ledger.BLOCKED, now_s)
        elif self.storage is not None:
            self._advance_between_events(now_s)
        elif self.runs:
            if self.state == SAVING:
                self._book(SAVE, min(now_s, self.saving_until_s))
                if now_s < self.saving_until_s:
                    return
                self.checkpoints.note(self.stretch, self.saving_until_s, self.asked_s)
                self._saved(self.saving_until_s)
            if self.is_still:
                self._stand_still(now_s)
                return
            self._book(RESTART, min(now_s, self.ready_s))
            if now_s >= self.ready_s:
                self._resume(self.ready_s)
                self._train(now_s)

    def _stand_still(self, now_s: float) -> None:
        """Book that it waits for power: what is left of a restart comes after it."""
        lasts_s = max(now_s - self.since_s, 0.0)
        self._book(ledger.BLOCKED, now_s)
        self.begin_s += lasts_s
        self.ready_s += lasts_s

    def _advance_between_events(self, now_s: float) -> None:
        if self.state in (DOWN, READING):
            self._book(RESTART, now_s)
        elif self.is_saving:
            self._book(SAVE, now_s)
        elif self.state in (WAITING, SAVING) and now_s > self.since_s:
            self.allocation.train(self.since_s, now_s, 0.0, (), ((self.since_s,), (now_s,)))
            self.since_s = now_s

    def _book(self, phase: int, until_s: float) -> None:
        if until_s > self.since_s:
            is_active = phase != ledger.BLOCKED
            self.allocation.book(phase, self.since_s, until_s, is_active=is_active)
            self.since_s = until_s

    def _train(self, now_s: float) -> None:
        if now_s > self.since_s:
            trained_s, _ = self.stretch.trained(now_s)
            more_s = trained_s - self.trained_s
            shown = self._shown(now_s) if self.spans is not None else ()
            stalls = None
            if self.allocation.books.signals:
                stalls = self.stretch.stalls(self.since_s, now_s)
            self.allocation.train(self.since_s, now_s, more_s, shown, stalls)
            self.trained_s, self.since_s = trained_s, now_s
            self.position_s = self.stretch.position_s(trained_s)

    def _shown(self, now_s: float) -> list[tuple[float, float, float]]:
        """Return what the timeline tells apart since the books are complete."""
        least_s = self.plan.work_s / MOST_SHOWN
        return list(self.stretch.parts(self.since_s, now_s, self.trained_s, least_s))

    def _resume(self, now_s: float) -> None:
        """Begin to train, and to save in turn."""
        self.state, self.trained_s = TRAINING, 0.0
        rate, line_s = self.speed_frac * self.allocation.active_frac, self.allocation.books.line_s
        self.stretch = Stretch(self.plan, now_s, self.position_s, rate, line_s)
        if self.storage is not None:
            self.stretch.most_s = self._due_s(0.0)
            self._await_write()

    def _saved(self, now_s: float) -> None:
        """Note a complete save of all that was trained; stand still, then go on with all nodes."""
        self.checkpoints.add(Save(self.position_s, self.allocation.books.line_s, now_s, now_s))
        self.state = DOWN
        self.allocation.take_up()

    def start(
        self,
        parts: Sequence[Part],
        pools: Sequence[Pool],
        now_s: float,
        work_s: float,
        from_s: float = 0.0,
        restart_s: float | None = None,
        moves_s: float = 0.0,
    ) -> None:
        """Begin on nodes that it has been given, with what is done of its work.

        `work_s` is how long all its replicas train for all of it. One that has run before restarts
        first, and loads what it saved. What moves to its site takes `moves_s` before that, and goes
        on whatever happens to the job. On several pools it saves as on the one where that takes
        longest, and trains at the pace of the slowest.
        """
        spec, places = self.spec, [pools[part.pool] for part in parts]
        pool = self.pool = max((part.pool for part in parts), key=spec.save_s.__getitem__)
        interval_s, save_s = float(spec.interval_s[pool]), float(spec.save_s[pool])
        self.tiers = spec.tiers_on(pool)
        plain = Tier("", 1, save_s, 0.0, 0.0, len(SURVIVES) - 1)
        if not self.tiers and interval_s < math.inf:
            self.tiers = (plain,)
        held = [(part.pool, part.n_nodes) for part in parts]
        self.mixing_frac = spec.mixing_frac_of(held) if len(parts) > 1 else 1.0
        self.varies = len(parts) > 1 or any(map(is_slowed, places))
        self.allocation = Allocation(parts, spec.shrinking)
        self.position_s = self.from_s = from_s
        self.checkpoints = Checkpoints(self.tiers, spec.n_kept, Save(from_s, 0.0, now_s, now_s))
        self.since_s = self.begin_s = self.ready_s = now_s
        self.state, throttle_frac = DOWN, max(place.throttle_frac for place in places)
        self.plan = self.alone = Schedule(work_s, interval_s, self.tiers, save_s, throttle_frac)
        if any(spec.storage):
            self._share_storage(self.tiers[0] if self.tiers else plain, save_s)
            self.plan = Schedule(work_s, interval_s, (), save_s, throttle_frac)
        if moves_s:
            self.stop_until_s = now_s + moves_s
        if restart_s is not None:
            self._begin_restart(restart_s + moves_s)
        if restart_s is not None or moves_s:
            self._down(now_s)
        elif self.storage is not None:
            self._resume(now_s)

    def _begin_restart(self, restart_s: float) -> None:
        load_s, self.restart_s = self.checkpoints.load_s(self.plan.interval_s), restart_s
        if self.storage is None:
            self.load_s = load_s
            self.restart_s += load_s
        else:
            self.must_read = load_s > 0

    def _meet(self, now_s: float) -> None:
        """Book what the job did until it is told something, which may put off its end."""
        cancel(self.ending)
        self.ending = None
        self.changed[self.index] = self
        self.advance(now_s)

    def interrupt(
        self, now_s: float, restart_s: float, level: int, clean_by_s: float = math.inf
    ) -> None:
        """Fall back to what is saved, and begin a restart once the job has its nodes.

        What does not survive a fault of the level is lost. What was saved after `clean_by_s` holds
        silent damage, and is thrown away too.
        """
        self._meet(now_s)
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
        self.allocation.undo(save.line_s, save.cut_s)
        if len(self.allocation.books.line) > MANY and (floor_s := checkpoints.floor_s):
            self.allocation.settle(floor_s)
        self.position_s, self.saving_until_s = save.position_s, 0.0
        self._begin_restart(restart_s)
        if not self.is_blocked:
            self.allocation.take_up()
            self._down(now_s)
        if self.then_leave is not None:  # there is nothing left to save
            self.calendar.at(now_s, Rank.SAVED, self.then_leave, self.pool, self.index)

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

    def move(self, now_s: float, pool: int, n_short: int, n_booting: int = 0) -> None:
        """Note that more nodes of a pool lack, or are there and boot; fewer, where negative."""
        self._meet(now_s)
        if not self.allocation.n_short:
            self.missing_since_s = now_s
        self.allocation.move(pool, n_short, n_booting)
        self._fit(now_s)

    def _fit(self, now_s: float) -> None:
        """Block, go on with the replicas that are whole, or save first where those are more."""
        nodes = self.allocation
        if nodes.n_whole < max(nodes.shrinking.n_least, 1):
            self.state = BLOCKED
            cancel(self.awaited)
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
        self.changed[self.index] = self
        return self._pause(now_s, lasts_s, is_planned=True)

    def _pause(self, now_s: float, lasts_s: float, *, is_planned: bool) -> bool:
        """Save, then stand still; what is planned is not ended early by a fault."""
        if self.storage is not None:
            return self._pause_sharing(now_s, lasts_s, is_planned=is_planned)
        trains = self.state == TRAINING and self._has_begun
        if trains and self.tiers and now_s >= self.stretch.end_s - self.plan.save_s:
            return False
        cancel(self.ending)
        self.ending = None
        if self.is_still and self.state == DOWN:  # its state outlives this
            here = Save(self.position_s, self.allocation.books.line_s, now_s, now_s)
            if here.position_s > self.checkpoints.newest.position_s:
                self.checkpoints.add(here)
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

    def resize(self, now_s: float, n_nodes: int) -> int:
        """Be given nodes, or give some back once it has saved; return how many it gives back."""
        self._meet(now_s)
        if not self.allocation.n_short:
            self.missing_since_s = now_s
        n_back = self.allocation.aim_at(n_nodes)
        self._fit(now_s)
        return n_back

    def when_saved(self, now_s: float, then: Then) -> None:
        """Let something happen when the save of a stop is complete; now if there is none."""
        if not self.is_saving:
            then(now_s)
        elif self.storage is None:
            self.calendar.at(self.saving_until_s, Rank.SAVED, then, self.pool, self.index)
        else:
            self.after_save.append(then)

    def set_pace(self, now_s: float, pool: int, pace: float) -> None:
        """Train no faster than a share of its speed from now on, as its nodes of a pool do."""
        if self.runs and pace != (part := self.allocation.on(pool)).pace:
            self._meet(now_s)
            part.pace = pace
            self.pace = min(one.pace for one in self.allocation.parts)
            self._change_speed(now_s)

    def set_power(
        self, now_s: float, pool: int, capped_frac: float, drawn: tuple[float, ...]
    ) -> None:
        """Train no faster than a share of its speed, and draw shares of the power on a pool.

        The latter in each phase.
        """
        part = self.allocation.on(pool)
        if self.runs and (capped_frac, drawn) != (part.capped_frac, part.books.drawn):
            self._meet(now_s)
            part.capped_frac, part.books.drawn = capped_frac, drawn
            self.capped_frac = min(one.capped_frac for one in self.allocation.parts)
            self.is_still = self.storage is None and self.capped_frac <= STANDS_STILL
            if self.is_still and self.state == TRAINING:
                self.checkpoints.note(self.stretch, now_s)
                self.state, self.restart_s, self.load_s = DOWN, 0.0, 0.0
                self.begin_s = self.ready_s = now_s
            self._change_speed(now_s)

    @property
    def speed_frac(self) -> float:
        """The share of its speed at which all its replicas train, but for the time of day."""
        return self.pace * self.capped_frac

    def _change_speed(self, now_s: float) -> None:
        self.varies = True  # a borrowed node may be slow where none are
        if self.state == TRAINING:
            self.stretch.change_rate(now_s, self.speed_frac * self.allocation.active_frac)
            if self.storage is not None and now_s < self.due_at_s:
                self.stretch.most_s = self._due_s(self.stretch.at[-1][0])
                self._await_write()

    def end(self, now_s: float) -> None:
        """Book the rest of the work, which ends now."""
        self._meet(now_s)
        self.position_s, self.state = self.plan.work_s, ENDED
        self.allocation.settle()

    def leave(self, now_s: float) -> None:
        """Hold no nodes any more; what was saved stands."""
        self._meet(now_s)
        if self.state == SAVING:  # it was complete this moment
            self._saved(now_s)
        self.position_s = self.checkpoints.newest.position_s
        cancel(self.awaited)
        if self.storage is not None:
            self._transfer_nothing(now_s)
        self.state = ENDED
        self.allocation.undo(self.checkpoints.newest.line_s, now_s)
        self.allocation.settle()

    def close(self, wall_s: float) -> None:
        """Book what is under way at the end of the run."""
        if self.runs:
            self.advance(wall_s)
            self.allocation.settle()

    def slow_chip_s(self, part: Part) -> tuple[float, float]:
        """Return the chip-seconds of training that brought nothing: of what is kept, and lost.

        What a mixed job loses by being mixed is among them.
        """
        if not self.varies:
            return 0.0, 0.0
        full, chip_s = part.full_chips * self.mixing_frac, part.books.chip_s
        return chip_s[TRAIN] - self.kept_s * full, chip_s[LOST] - self.lost_work_s * full

    def sent_bytes(self) -> list[tuple[int, float]]:
        """Return what left the site of each pool with steps that were done, be they kept. [B]"""
        exchange, parts = self.spec.exchange, self.allocation.parts
        if exchange is None or len(parts) < 2:
            return []
        at = parts[0].pool
        whole = float(self.spec.train_s[at] / exchange.step_s[at])
        done = (self.kept_s + self.lost_work_s) / self.plan.work_s
        return [(part.pool, done * whole * exchange.sent_bytes(len(parts))) for part in parts]

    @property
    def kept_s(self) -> float:
        """The work that this stay has done and kept. [s]"""
        return self.position_s - self.from_s

    def position_at(self, now_s: float) -> float:
        """Return the work that is done by a time, though it may yet be lost. [s]"""
        is_ready = self.state == DOWN and self.storage is None and now_s > self.ready_s
        if self.state == TRAINING or is_ready:  # no event tells that a restart is over
            stretch = self.ahead(now_s)
            return stretch.position_s(stretch.trained(now_s)[0])
        return self.position_s

    def _share_storage(self, tier: Tier, save_s: float) -> None:
        self.storage = self.storages[self.spec.storage[self.pool] or f" {self.index}"]
        self.waits_for_write = not tier.write_s
        self.tier, self.write_s = tier, tier.write_s or save_s
        self.stall_s = 0.0 if self.waits_for_write else tier.stall_s
        self.writes: Save | None = None
        self.stop_s: float | None = None  # how long it stands once its save for a stop is complete
        self.stop_is_planned, self.must_read = False, False
        self.after_save: list[Then] = []
        self.due_at_s = 0.0

    def _await(self, time_s: float, rank: Rank, then: Then) -> None:
        cancel(self.awaited)
        self.awaited = self.calendar.at(time_s, rank, then, self.pool, self.index)

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
        stands_still = self.waits_for_write or self.stop_s is not None or self._is_last
        if self.writes is not None and not stands_still:
            self.state = WAITING
            return
        self.writes = Save(self.position_s, self.allocation.books.line_s, 0.0, now_s)
        self.storage.begin(self._written, self.write_s, now_s)
        if stands_still:  # it does nothing else until that is complete
            self.state = SAVING
        else:
            self._resume(now_s)

    def _written(self, now_s: float) -> None:
        """Note a complete save."""
        assert self.writes is not None
        self.advance(now_s)
        save, self.writes = self.writes._replace(when_s=now_s), None
        if self.state != SAVING:
            self.checkpoints.add(save)
            if self.state == WAITING:
                self._write(now_s)
        elif self.stop_s is not None:
            stands_until_s = now_s + self.stop_s
            if self.stop_is_planned:
                self.stop_until_s = max(self.stop_until_s, stands_until_s)
            self.stop_s, self.stop_is_planned = None, False
            self.restart_s, self.begin_s = 0.0, now_s
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
        then = partial(self.ended, self)
        self.ending = self.calendar.at(now_s, Rank.JOB_ENDS, then, self.pool, self.index)

    def _let_go(self, now_s: float) -> None:
        """Let happen what was to happen when the save of a stop is complete, or would have been."""
        waiting, self.after_save = self.after_save, []
        for then in waiting:
            self.calendar.at(now_s, Rank.SAVED, then, self.pool, self.index)

    def _give_up(self, now_s: float) -> None:
        """End what it transfers, and await nothing."""
        self._transfer_nothing(now_s)
        cancel(self.awaited)
        self.writes, self.stop_s, self.stop_is_planned = None, None, False
        self._let_go(max(now_s, self.saving_until_s))

    def _transfer_nothing(self, now_s: float) -> None:
        assert self.storage is not None
        self.storage.give_up(self._was_read, now_s)
        self.storage.give_up(self._written, now_s)

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
