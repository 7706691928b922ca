"""Many runs at once: NumPy over rows, one row a run, one strike of every run per turn.

Plays worlds in which every job stands alone on a pool from t = 0: nothing queues, and pools do not
touch each other. Between two strikes everything is arithmetic: a job trains, saves and restarts by
closed form, so a turn costs the same whether minutes or months lie between.

Which node is where
-------------------
Nodes have numbers and keep them. A row lists only the nodes that its job does *not* hold: ids and
the time since which each is up (in the future while it is in repair). A node that is not listed is
with the job, or idle once the job has ended. So cost follows strikes and spares, never chips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from computeplan.checks import FloatArray, IntArray
from computeplan.errors import UnsupportedByEngine
from computeplan.ledger import (
    BLOCKED,
    IDLE,
    LOST,
    PHASES,
    REPAIR,
    RESTART,
    SAVE,
    TRAIN,
    Ledger,
    make_ledger,
)
from computeplan.trace import NOBODY, Strikes, Trace, draw_trace
from computeplan.world import Job, Pool, World

__all__ = ["play", "why_unsupported"]

NO_NODE = -2  # id of an empty place in the list
SLACK = 1e-9  # a remainder below this share of an interval is rounding, not another save

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


def why_unsupported(world: World) -> tuple[str, str] | None:
    """Return path and reason of what this engine cannot play in a world, or None."""
    taken: set[int] = set()
    for job in world.jobs:
        path = f"jobs.{job.name}"
        if job.arrival_s > 0:
            return f"{path}.arrival", "a job that comes later may have to queue"
        pools = _pools_of(world, job)
        if len(pools) > 1:
            return path, f"{len(pools)} pools could hold it, so a policy decides"
        if pools[0] in taken:
            return path, f"shares pool {world.pools[pools[0]].name} with another job"
        taken.add(pools[0])
    return None


def _pools_of(world: World, job: Job) -> list[int]:
    if world.policy == "silo" and job.home >= 0:
        return [job.home]
    return [int(pool) for pool in np.flatnonzero(job.n_nodes)]


def play(world: World, seed: int, first_run: int, n_runs: int) -> Ledger:
    """Return the books of a range of runs.

    Parameters
    ----------
    world : World
        What to play.
    seed : int
        Root of all luck.
    first_run, n_runs : int
        Which runs.

    Raises
    ------
    UnsupportedByEngine
        If something in the world needs the event engine.
    """
    unsupported = why_unsupported(world)
    if unsupported:
        path, reason = unsupported
        message = f"{path}: engine batch cannot play this: {reason}. Use simulate.engine: event"
        raise UnsupportedByEngine(message)
    trace = draw_trace(world, seed, first_run, n_runs)
    gangs: dict[int, _Gang] = {}
    for index, job in enumerate(world.jobs):
        pool = _pools_of(world, job)[0]
        gangs[pool] = _play_gang(world, trace, pool, index)
    ends = [gang.end_s for gang in gangs.values()]
    wall_s = (
        np.maximum.reduce(ends)
        if math.isinf(world.horizon_s)
        else np.full(n_runs, world.horizon_s)
    )
    books = _Books(world, n_runs, wall_s)
    for pool in range(len(world.pools)):
        gang = gangs.get(pool) or _Gang.none(world, pool, n_runs)
        longest = float(wall_s.max(initial=0.0))
        if (gang.end_s < wall_s).any():
            _play_idle(gang, trace.strikes(pool, longest), wall_s)
        books.add(gang, pool)
    return make_ledger(books.ledger(), [pool.n_chips for pool in world.pools])


def _play_gang(world: World, trace: Trace, pool: int, index: int) -> _Gang:
    """Return the rows of one job when each has ended or met the horizon."""
    job, place = world.jobs[index], world.pools[pool]
    until_s = world.first_look_s(index, pool)
    while True:
        gang = _Gang(place, job, pool, index, world, trace.n_runs)
        strikes = trace.strikes(pool, until_s)
        for turn in range(len(strikes.time_s)):
            if not gang.turn(strikes, turn, until_s):
                break
        if gang.close(until_s):
            return gang
        # Unlucky rows: play again with more luck drawn. It begins with the same luck.
        until_s = world.longer_look_s(until_s, index, pool)


@dataclass
class _Down:
    """Nodes a row's job does not hold: ids and since when each is up, one row a run."""

    ids: IntArray
    up_s: FloatArray

    @classmethod
    def of(cls, n_rows: int, first: int, n_nodes: int) -> _Down:
        width = n_nodes - first + 4
        ids = np.full((n_rows, width), NO_NODE, dtype=np.int64)
        ids[:, : n_nodes - first] = np.arange(first, n_nodes)
        up_s = np.where(ids == NO_NODE, math.inf, 0.0)
        return cls(ids, up_s)

    def find(self, node: IntArray) -> tuple[Mask, IntArray]:
        """Return whether each row lists its node, and in which place."""
        same = self.ids == node[:, None]
        place = same.argmax(axis=1)
        return same[np.arange(len(node)), place], place

    def add(self, rows: IntArray, node: IntArray, up_s: FloatArray) -> None:
        """List a node in the first empty place of each row."""
        free = self.ids[rows] == NO_NODE
        if not free.any(axis=1).all():
            n_rows = len(self.ids)
            self.ids = np.hstack([self.ids, np.full((n_rows, 8), NO_NODE)])
            self.up_s = np.hstack([self.up_s, np.full((n_rows, 8), math.inf)])
            free = self.ids[rows] == NO_NODE
        place = free.argmax(axis=1)
        self.ids[rows, place] = node
        self.up_s[rows, place] = up_s


class _Gang:
    """Rows of one job on one pool.

    Books are complete up to `since_s`. Then, in this order: a save before a planned stop until
    `saving_until_s`, blocked while `n_missing` > 0, a restart of `restart_s` from `begin_s`, and
    training from `ready_s`.
    """

    def __init__(
        self, place: Pool, job: Job, pool: int, index: int, world: World, n_rows: int
    ) -> None:
        self.place, self.index, self.n_rows = place, index, n_rows
        self.n_nodes = int(job.n_nodes[pool])
        self.horizon_s = world.horizon_s
        self.work_s = float(job.train_s[pool])
        self.interval_s, self.save_s = float(job.interval_s[pool]), job.save_s
        self.down = _Down.of(n_rows, self.n_nodes, place.n_nodes + place.n_spare_nodes)
        self.n_fault_kinds = world.n_fault_kinds
        self._clear(n_rows, len(world.kind_names))

    @classmethod
    def none(cls, world: World, pool: int, n_rows: int) -> _Gang:
        """Return the rows of a pool without a job: idle from the start."""
        gang = cls.__new__(cls)
        gang.place, gang.index, gang.n_rows, gang.n_nodes = world.pools[pool], NOBODY, n_rows, 0
        gang.n_fault_kinds = world.n_fault_kinds
        total = gang.place.n_nodes + gang.place.n_spare_nodes
        gang.down = _Down.of(n_rows, total, total)
        gang._clear(n_rows, len(world.kind_names))
        gang.end_s, gang.is_done[:] = np.zeros(n_rows), True
        return gang

    def _clear(self, n_rows: int, n_kinds: int) -> None:
        def zeros() -> FloatArray:
            return np.zeros(n_rows)

        self.kept_s, self.pending_s, self.saving_until_s = zeros(), zeros(), zeros()
        self.since_s, self.begin_s, self.ready_s, self.restart_s = zeros(), zeros(), zeros(), zeros()
        self.n_missing = np.zeros(n_rows, dtype=np.int64)
        self.is_done = np.zeros(n_rows, dtype=bool)
        self.end_s = np.full(n_rows, math.inf)
        self.job_s = np.zeros((len(PHASES), n_rows))
        self.blocked_node_s, self.idle_node_s, self.repair_node_s = zeros(), zeros(), zeros()
        self.n_interruptions = np.zeros((n_kinds, n_rows), dtype=np.int64)
        self.n_idle_faults = np.zeros((n_kinds, n_rows), dtype=np.int64)
        self.n_repairs = np.zeros(n_rows, dtype=np.int64)

    # -- one strike of every row ---------------------------------------------------------------

    def turn(self, strikes: Strikes, turn: int, until_s: float) -> bool:
        """Play strike number `turn` of every row; return whether any row still lives."""
        time_s = strikes.time_s[turn]
        live = ~self.is_done & (time_s < self.horizon_s) & (time_s <= until_s)
        if not live.any():
            return False
        self._let_nodes_return(live, time_s)
        self._finish(live, time_s)
        live &= ~self.is_done
        node, kind = strikes.node[turn], strikes.kind[turn]
        planned = live & (kind >= self.n_fault_kinds)
        listed, place = self.down.find(node)
        hit = live & ~listed & ~planned
        if planned.any():
            planned = self._stop(planned, time_s, strikes.restart_s[turn])
            np.add.at(self.n_interruptions, (kind[planned], np.flatnonzero(planned)), 1)
        if hit.any():
            self._interrupt(hit, time_s, strikes.restart_s[turn])
            np.add.at(self.n_interruptions, (kind[hit], np.flatnonzero(hit)), 1)
            taken = np.flatnonzero(hit & strikes.takes[turn])
            if taken.size:
                self._take(taken, time_s[taken], node[taken], strikes.repair_s[turn][taken])
        spare = np.flatnonzero(live & listed & (kind < self.n_fault_kinds))
        if spare.size:
            self._strike_spare(spare, place[spare], strikes, turn)
        return True

    def _let_nodes_return(self, live: Mask, time_s: FloatArray) -> None:
        """Give blocked jobs the nodes whose repair ends up to `time_s`, one by one."""
        rows = np.flatnonzero(live & (self.n_missing > 0))
        while rows.size:
            up_s = self.down.up_s[rows]
            place = up_s.argmin(axis=1)
            first = up_s[np.arange(rows.size), place]
            now = np.minimum(first, time_s[rows])
            self._book_blocked(rows, now)
            back = first <= time_s[rows]
            rows, place, now = rows[back], place[back], now[back]
            self.down.ids[rows, place] = NO_NODE
            self.down.up_s[rows, place] = math.inf
            self.n_missing[rows] -= 1
            whole = self.n_missing[rows] == 0
            self.begin_s[rows[whole]] = now[whole]
            self.ready_s[rows[whole]] = now[whole] + self.restart_s[rows[whole]]
            rows = rows[~whole]

    def _book_blocked(self, rows: IntArray, now: FloatArray) -> None:
        span = now - self.since_s[rows]
        self.job_s[BLOCKED, rows] += span
        self.blocked_node_s[rows] += span * (self.n_nodes - self.n_missing[rows])
        self.since_s[rows] = now

    def _remaining(self) -> tuple[FloatArray, FloatArray]:
        """Return the training left once it resumes, and when it would end undisturbed."""
        left = self.work_s - np.maximum(self.kept_s, self.pending_s)
        if math.isinf(self.interval_s):
            return left, self.ready_s + left
        n_saves = np.ceil(left / self.interval_s - SLACK)
        return left, self.ready_s + left + n_saves * self.save_s

    def _finish(self, live: Mask, time_s: FloatArray) -> None:
        """End the rows whose work is done before `time_s`."""
        left, end_s = self._remaining()
        ends = live & (self.n_missing == 0) & (end_s <= time_s)
        if not ends.any():
            return
        self._book_until_ready(ends, end_s)
        n_saves = 0.0 if math.isinf(self.interval_s) else np.ceil(left / self.interval_s - SLACK)
        self.job_s[TRAIN] += np.where(ends, left, 0.0)
        self.job_s[SAVE] += np.where(ends, n_saves * self.save_s, 0.0)
        self.kept_s = np.where(ends, self.work_s, self.kept_s)
        self.end_s = np.where(ends, end_s, self.end_s)
        self.is_done |= ends

    def _book_until_ready(self, rows: Mask, time_s: FloatArray) -> None:
        """Book the save before a stop and the restart that end before `time_s`, of whole jobs."""
        whole = rows & (self.n_missing == 0)
        saving = np.minimum(time_s, self.saving_until_s) - self.since_s
        saving = np.where(whole & (saving > 0), saving, 0.0)
        self.job_s[SAVE] += saving
        start = np.maximum(self.since_s + saving, self.begin_s)
        restart = np.minimum(time_s, self.ready_s) - start
        self.job_s[RESTART] += np.where(whole & (restart > 0), restart, 0.0)
        saved = whole & (time_s >= self.saving_until_s)
        self.kept_s = np.where(saved, np.maximum(self.kept_s, self.pending_s), self.kept_s)

    def _cycles(self, time_s: FloatArray) -> tuple[Mask, FloatArray, FloatArray, FloatArray]:
        """Return who trains at `time_s`, time in whole cycles, and where in the last one it is.

        The last two are the training and the saving done in the cycle that is not complete.
        """
        runs = (self.n_missing == 0) & (time_s > self.ready_s)
        gone = np.where(runs, time_s - self.ready_s, 0.0)
        if math.isinf(self.interval_s):
            return runs, np.zeros_like(gone), gone, np.zeros_like(gone)
        cycle_s = self.interval_s + self.save_s
        n_cycles = np.floor(gone / cycle_s)
        rest = gone - n_cycles * cycle_s
        left = self.work_s - np.maximum(self.kept_s, self.pending_s) - n_cycles * self.interval_s
        trained = np.minimum(rest, np.minimum(self.interval_s, left))
        return runs, n_cycles, trained, rest - trained

    def _interrupt(self, hit: Mask, time_s: FloatArray, restart_s: FloatArray) -> None:
        """Throw away what was not saved and begin a restart."""
        self._book_until_ready(hit, time_s)
        runs, n_cycles, trained, saving = self._cycles(time_s)
        runs &= hit
        interval = 0.0 if math.isinf(self.interval_s) else self.interval_s
        self.job_s[TRAIN] += np.where(runs, n_cycles * interval, 0.0)
        self.job_s[SAVE] += np.where(runs, n_cycles * self.save_s + saving, 0.0)
        self.job_s[LOST] += np.where(runs, trained, 0.0)
        self.kept_s += np.where(runs, n_cycles * interval, 0.0)
        # A fault during the save before a planned stop: its training was booked, and is lost.
        broken = np.where(hit & (self.pending_s > self.kept_s), self.pending_s - self.kept_s, 0.0)
        self.job_s[TRAIN] -= broken
        self.job_s[LOST] += broken
        self._go_down(hit, time_s, restart_s)
        self.saving_until_s = np.where(hit, 0.0, self.saving_until_s)
        self.pending_s = np.where(hit, 0.0, self.pending_s)

    def _go_down(self, rows: Mask, begin_s: FloatArray, restart_s: FloatArray) -> None:
        whole = rows & (self.n_missing == 0)
        self.since_s = np.where(whole, begin_s, self.since_s)
        self.begin_s = np.where(whole, begin_s, self.begin_s)
        self.restart_s = np.where(rows, restart_s, self.restart_s)
        self.ready_s = np.where(whole, begin_s + restart_s, self.ready_s)

    def _stop(self, planned: Mask, time_s: FloatArray, lasts_s: FloatArray) -> Mask:
        """Save, then stand still; return the rows that did stop.

        A job in its last save has nothing left to stop for. One that is saving for another stop
        goes on saving; one that restarts or is blocked has nothing to save.
        """
        _, end_s = self._remaining()
        runs, n_cycles, trained, saving = self._cycles(time_s)
        if math.isfinite(self.interval_s):
            planned = planned & ~(runs & (time_s >= end_s - self.save_s))
        again = planned & (self.saving_until_s > time_s) & (self.n_missing == 0)
        fresh = planned & ~again
        self._book_until_ready(fresh, time_s)
        runs &= fresh
        interval = 0.0 if math.isinf(self.interval_s) else self.interval_s
        done = n_cycles * interval
        in_save = saving > 0
        self.job_s[TRAIN] += np.where(runs, done + trained, 0.0)
        self.job_s[SAVE] += np.where(runs, n_cycles * self.save_s + saving, 0.0)
        self.kept_s += np.where(runs, done, 0.0)
        until_s = time_s + np.where(in_save, self.save_s - saving, self.save_s)
        self.pending_s = np.where(runs, self.kept_s + trained, self.pending_s)
        self.saving_until_s = np.where(runs, until_s, self.saving_until_s)
        begin_s = np.where(runs, until_s, time_s)
        self._go_down(fresh, begin_s, lasts_s)
        self.since_s = np.where(runs, time_s, self.since_s)
        self.restart_s = np.where(again, lasts_s, self.restart_s)
        self.ready_s = np.where(again, self.begin_s + lasts_s, self.ready_s)
        return planned

    def _take(self, rows: IntArray, time_s: FloatArray, node: IntArray, repair_s: FloatArray) -> None:
        """Send struck nodes to repair and move idle ones in, the longest idle first."""
        self.n_repairs[rows] += 1
        self.repair_node_s[rows] += repair_s
        up_s = self.down.up_s[rows]
        place = up_s.argmin(axis=1)
        first = up_s[np.arange(rows.size), place]
        idle = first <= time_s
        swap, at = rows[idle], place[idle]
        self.idle_node_s[swap] += (time_s - first)[idle]
        self.down.ids[swap, at] = node[idle]
        self.down.up_s[swap, at] = (time_s + repair_s)[idle]
        lack = rows[~idle]
        if lack.size:
            self.n_missing[lack] += 1
            self.since_s[lack] = time_s[~idle]
            self.down.add(lack, node[~idle], (time_s + repair_s)[~idle])

    def _strike_spare(self, rows: IntArray, place: IntArray, strikes: Strikes, turn: int) -> None:
        """Strike listed nodes: those in repair do not notice, idle ones may go to repair."""
        time_s = strikes.time_s[turn][rows]
        up_s = self.down.up_s[rows, place]
        idle = up_s <= time_s
        rows, place, time_s, up_s = rows[idle], place[idle], time_s[idle], up_s[idle]
        np.add.at(self.n_idle_faults, (strikes.kind[turn][rows], rows), 1)
        taken = strikes.takes[turn][rows]
        rows, place = rows[taken], place[taken]
        repair_s = strikes.repair_s[turn][rows]
        self.n_repairs[rows] += 1
        self.idle_node_s[rows] += (time_s - up_s)[taken]
        self.repair_node_s[rows] += repair_s
        self.down.up_s[rows, place] = time_s[taken] + repair_s

    # -- the end -------------------------------------------------------------------------------

    def close(self, until_s: float) -> bool:
        """Play what follows the last strike; return whether every row came to its end."""
        limit = np.full(self.n_rows, until_s)
        live = ~self.is_done
        self._let_nodes_return(live, limit)
        self._finish(live, limit)
        if self.is_done.all():
            return True
        if until_s < self.horizon_s:
            return False
        live = ~self.is_done
        self._book_until_ready(live, limit)
        runs, n_cycles, trained, saving = self._cycles(limit)
        runs &= live
        interval = 0.0 if math.isinf(self.interval_s) else self.interval_s
        self.job_s[TRAIN] += np.where(runs, n_cycles * interval + trained, 0.0)
        self.job_s[SAVE] += np.where(runs, n_cycles * self.save_s + saving, 0.0)
        return True


def _play_idle(gang: _Gang, strikes: Strikes, wall_s: FloatArray) -> None:
    """Play the strikes on a pool from the end of its job to the end of the run: all idle."""
    begin_s = np.minimum(gang.end_s, wall_s)
    first = int((strikes.time_s >= begin_s).any(axis=1).argmax()) if len(strikes.time_s) else 0
    for turn in range(first, len(strikes.time_s)):
        time_s = strikes.time_s[turn]
        fault = strikes.kind[turn] < gang.n_fault_kinds
        live = (time_s >= begin_s) & (time_s < wall_s) & fault
        if not live.any():
            continue
        listed, place = gang.down.find(strikes.node[turn])
        rows = np.flatnonzero(live & listed)
        if rows.size:
            gang._strike_spare(rows, place[rows], strikes, turn)
        rows = np.flatnonzero(live & ~listed)
        np.add.at(gang.n_idle_faults, (strikes.kind[turn][rows], rows), 1)
        rows = rows[strikes.takes[turn][rows]]
        if rows.size:
            repair_s = strikes.repair_s[turn][rows]
            gang.n_repairs[rows] += 1
            gang.idle_node_s[rows] += time_s[rows] - begin_s[rows]
            gang.repair_node_s[rows] += repair_s
            gang.down.add(rows, strikes.node[turn][rows], time_s[rows] + repair_s)


class _Books:
    """Turns the rows of every pool into one ledger."""

    def __init__(self, world: World, n_runs: int, wall_s: FloatArray) -> None:
        self.world, self.wall_s = world, wall_s
        n_jobs, n_pools, n_kinds = len(world.jobs), len(world.pools), len(world.kind_names)
        self.chip_s = np.zeros((n_runs, n_jobs + 1, n_pools, len(PHASES)))
        self.job_s = np.zeros((n_runs, n_jobs, len(PHASES) + 1))
        self.first_start_s = np.zeros((n_runs, n_jobs))
        self.end_s = np.full((n_runs, n_jobs), math.inf)
        self.n_interruptions = np.zeros((n_runs, n_kinds), dtype=np.int64)
        self.n_idle_faults = np.zeros((n_runs, n_kinds), dtype=np.int64)
        self.n_repairs = np.zeros((n_runs, n_pools), dtype=np.int64)

    def add(self, gang: _Gang, pool: int) -> None:
        """Book one pool."""
        place, wall_s = gang.place, self.wall_s
        chips = place.chips_per_node
        listed = gang.down.ids != NO_NODE
        up_s = np.where(listed, gang.down.up_s, 0.0)
        since_up = np.where(listed, np.maximum(wall_s[:, None] - up_s, 0.0), 0.0).sum(axis=1)
        beyond = np.where(listed, np.maximum(up_s - wall_s[:, None], 0.0), 0.0).sum(axis=1)
        held = np.minimum(gang.end_s, wall_s)
        unlisted = place.n_nodes + place.n_spare_nodes - listed.sum(axis=1)
        idle = gang.idle_node_s + since_up + unlisted * (wall_s - held)
        self.chip_s[:, -1, pool, IDLE] = idle * chips
        self.chip_s[:, -1, pool, REPAIR] = (gang.repair_node_s - beyond) * chips
        self.n_interruptions += gang.n_interruptions.T
        self.n_idle_faults += gang.n_idle_faults.T
        self.n_repairs[:, pool] = gang.n_repairs
        if gang.index == NOBODY:
            return
        self.job_s[:, gang.index, : len(PHASES)] = gang.job_s.T
        self.end_s[:, gang.index] = gang.end_s
        node_s = gang.job_s * gang.n_nodes
        node_s[BLOCKED] = gang.blocked_node_s
        self.chip_s[:, gang.index, pool] = node_s.T * chips

    def ledger(self) -> Ledger:
        """Return the ledger."""
        return Ledger(
            chip_s=self.chip_s,
            job_s=self.job_s,
            first_start_s=self.first_start_s,
            end_s=self.end_s,
            wall_s=self.wall_s,
            n_interruptions=self.n_interruptions,
            n_idle_faults=self.n_idle_faults,
            n_repairs=self.n_repairs,
        )
