"""One run at a time, on SimPy: plays everything, and is the reference.

Every happening is an event with a time and a rank; at equal times the rank decides: repair ends,
job ends, strike, arrival, policy. There is no event for a checkpoint and none for the end of a
restart: between two strikes a job's books follow from when it began. There is no process per node
or chip.

Books are integrals of counts over time (idle nodes, nodes in repair, nodes each job holds), kept
apart from the batch engine's sums over nodes, so that the two can check one another.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import simpy

from computeplan.errors import ComputePlanError
from computeplan.ledger import (
    BLOCKED,
    IDLE,
    LOST,
    PHASES,
    QUEUE,
    REPAIR,
    RESTART,
    SAVE,
    TRAIN,
    Ledger,
    Span,
    concatenate,
    make_ledger,
)
from computeplan.scheduling.registry import load_policy
from computeplan.scheduling.view import View
from computeplan.trace import NOBODY, Trace, draw_trace
from computeplan.world import Job, Pool, World

__all__ = ["play"]

REPAIR_ENDS, JOB_ENDS, STRIKE, ARRIVAL, POLICY = range(5)  # ranks at equal times
FREE, IN_REPAIR = -1, -2  # where a node is, if not with a job
SLACK = 1e-9  # a remainder below this share of an interval is rounding, not another save


def play(world: World, seed: int, first_run: int, n_runs: int, *, timeline: bool = False) -> Ledger:
    """Return the books of a range of runs.

    Parameters
    ----------
    world : World
        What to play.
    seed : int
        Root of all luck.
    first_run, n_runs : int
        Which runs.
    timeline : bool
        Whether to keep the spans of the first run.

    Raises
    ------
    ComputePlanError
        If the policy places what does not fit, or leaves jobs waiting for ever.
    """
    trace = draw_trace(world, seed, first_run, n_runs)
    runs = [_Run(world, trace, i, timeline=timeline and i == 0).play() for i in range(n_runs)]
    return make_ledger(concatenate(runs), [pool.n_chips for pool in world.pools])


class _At(simpy.Event):
    """An event that happens at a time, with a rank among those at the same time."""

    __slots__ = ("time_s",)

    def __init__(
        self, env: simpy.Environment, time_s: float, rank: int, then: Callable[[Any], None]
    ) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        assert self.callbacks is not None
        self.callbacks.append(then)
        self.time_s = time_s  # exact; env.now is rounded by the delay
        env.schedule(self, rank, max(0.0, time_s - env.now))  # type: ignore[arg-type]


class _Job:
    """One job in one run. Books are complete up to `since_s`, as in the batch engine's rows."""

    def __init__(self, index: int, spec: Job) -> None:
        self.index, self.spec = index, spec
        self.pool = -1
        self.held: set[int] = set()
        self.n_missing = 0
        self.missing_since_s = 0.0
        self.kept_s = self.pending_s = self.saving_until_s = 0.0
        self.since_s = self.begin_s = self.ready_s = self.restart_s = 0.0
        self.start_s = self.end_s = math.inf
        self.ending: _At | None = None

    @property
    def runs(self) -> bool:
        """Whether it holds chips."""
        return self.pool >= 0 and math.isinf(self.end_s)


class _Nodes:
    """The nodes of one pool in one run: where each is, and what has been booked of them."""

    def __init__(self, spec: Pool) -> None:
        self.spec = spec
        total = spec.n_nodes + spec.n_spare_nodes
        self.where = [FREE] * total
        self.fresh = 0  # nodes from here on have never been touched, unless `where` says otherwise
        self.free: list[tuple[float, int, int]] = []  # (since, node, visit) of others; may be stale
        self.visit = [0] * total
        self.n_free, self.n_in_repair, self.n_promised = total, 0, 0
        self.since_s = 0.0
        self.idle_node_s = self.repair_node_s = 0.0
        self.n_repairs = 0

    def book(self, now_s: float) -> None:
        """Book idle and repair up to now; before any count changes."""
        span = now_s - self.since_s
        self.idle_node_s += span * self.n_free
        self.repair_node_s += span * self.n_in_repair
        self.since_s = now_s

    def pop_free(self) -> int:
        """Return the node that has been free longest (the lowest number of several), or NOBODY."""
        where = self.where
        while self.fresh < len(where):
            node = self.fresh
            self.fresh += 1
            if where[node] == FREE and self.visit[node] == 0:
                return node
        while self.free:
            _, node, visit = heapq.heappop(self.free)
            if where[node] == FREE and self.visit[node] == visit:
                return node
        return NOBODY

    def take(self, node: int, job: int) -> None:
        """Move a free node to a job."""
        self.where[node] = job
        self.n_free -= 1

    def release(self, node: int, now_s: float) -> None:
        """Move a node of a job or of the repair shop to the free ones."""
        self.where[node] = FREE
        self.visit[node] += 1
        self.n_free += 1
        heapq.heappush(self.free, (now_s, node, self.visit[node]))

    @property
    def room(self) -> int:
        """Nodes that a job could hold now: spares stand in for what is in repair, no more."""
        return min(self.n_free, self.spec.n_nodes - self.n_promised)


class _Run:
    """One run: the happenings, the books, and what SimPy calls back."""

    def __init__(self, world: World, trace: Trace, run: int, *, timeline: bool) -> None:
        self.world, self.trace, self.run = world, trace, run
        self.env = simpy.Environment()
        self.jobs = [_Job(i, spec) for i, spec in enumerate(world.jobs)]
        self.pools = [_Nodes(spec) for spec in world.pools]
        self.queue: list[int] = []
        self.n_open = len(self.jobs)
        self.policy = load_policy(world.policy)
        self.policy_due = False
        n_jobs, n_pools, n_kinds = len(self.jobs), len(self.pools), len(world.kind_names)
        self.chip_s = np.zeros((1, n_jobs + 1, n_pools, len(PHASES)))
        self.job_s = np.zeros((1, n_jobs, len(PHASES) + 1))
        self.n_interruptions = np.zeros((1, n_kinds), dtype=np.int64)
        self.n_idle_faults = np.zeros((1, n_kinds), dtype=np.int64)
        self.spans: list[Span] | None = [] if timeline else None
        self.horizon_s = world.horizon_s
        self.wall_by_pool = np.array(
            [[job.expected_wall_s(p) if job.n_nodes[p] else math.inf for p in range(n_pools)] for job in world.jobs]
        )
        self.energy_by_pool = np.array(
            [[world.expected_energy_j(j, p) for p in range(n_pools)] for j in range(n_jobs)]
        )
        self.look_s = [self._first_look() for _ in self.pools]
        self.strikes: list[list[list[Any]]] = [[] for _ in self.pools]
        self.next_strike = [0] * n_pools

    # -- the loop ------------------------------------------------------------------------------

    def play(self) -> Ledger:
        """Return the books of the run."""
        for job in self.jobs:
            _At(self.env, job.spec.arrival_s, ARRIVAL, lambda event, job=job: self._arrive(job, event))
        for pool in range(len(self.pools)):
            self._load_strikes(pool)
            self._await_strike(pool)
        env, horizon_s = self.env, self.horizon_s
        if math.isinf(horizon_s):
            while self.n_open:
                if env.peek() == math.inf:
                    self._stuck()
                env.step()
            wall_s = max(job.end_s for job in self.jobs)
        else:
            while env.peek() < horizon_s:
                env.step()
            wall_s = horizon_s
        return self._close(wall_s)

    def _stuck(self) -> None:
        waiting = ", ".join(self.jobs[j].spec.name for j in self.queue) or "a blocked job"
        message = f"policy {self.world.policy} leaves jobs waiting for ever: {waiting}"
        raise ComputePlanError(message)

    def _first_look(self) -> float:
        if math.isfinite(self.horizon_s):
            return self.horizon_s
        return max(
            self.world.first_look_s(j, p)
            for j, job in enumerate(self.world.jobs)
            for p in np.flatnonzero(job.n_nodes)
        )

    def _load_strikes(self, pool: int) -> None:
        found = self.trace.strikes(pool, self.look_s[pool])
        names = ("time_s", "kind", "node", "takes", "restart_s", "repair_s")
        self.strikes[pool] = [getattr(found, name)[:, self.run].tolist() for name in names]

    def _await_strike(self, pool: int) -> None:
        spec = self.pools[pool].spec
        if not (spec.kinds or spec.stops):
            return
        i = self.next_strike[pool]
        times_s = self.strikes[pool][0]
        time_s = times_s[i] if i < len(times_s) else math.inf
        if time_s > self.look_s[pool]:
            if self.look_s[pool] >= self.horizon_s or all(kind.log for kind in spec.kinds) and not spec.stops:
                return
            longest = int(np.argmax([job.spec.expected_wall_s(pool) for job in self.jobs]))
            self.look_s[pool] = self.world.longer_look_s(self.look_s[pool], longest, pool)
            self._load_strikes(pool)
            self._await_strike(pool)
            return
        if time_s < self.horizon_s:
            _At(self.env, time_s, STRIKE, lambda event: self._strike(pool, event))

    # -- happenings ----------------------------------------------------------------------------

    def _arrive(self, job: _Job, event: _At) -> None:
        job.since_s = event.time_s
        self.queue.append(job.index)
        self._call_policy(event.time_s)

    def _strike(self, pool: int, event: _At) -> None:
        i = self.next_strike[pool]
        _, kinds, nodes, takes, restarts_s, repairs_s = self.strikes[pool]
        self.next_strike[pool] = i + 1
        now_s, kind, node = event.time_s, kinds[i], nodes[i]
        if kind >= self.world.n_fault_kinds:
            for job in self.jobs:
                if job.pool == pool and job.runs and self._stop(job, now_s, restarts_s[i]):
                    self.n_interruptions[0, kind] += 1
        else:
            self._fault(pool, kind, node, now_s, restarts_s[i], repairs_s[i] if takes[i] else math.nan)
        self._await_strike(pool)

    def _fault(
        self, pool: int, kind: int, node: int, now_s: float, restart_s: float, repair_s: float
    ) -> None:
        nodes = self.pools[pool]
        where = nodes.where[node]
        if where == IN_REPAIR:
            return
        if where >= 0:
            job = self.jobs[where]
            self.n_interruptions[0, kind] += 1
            self._interrupt(job, now_s, restart_s)
        else:
            job = None
            self.n_idle_faults[0, kind] += 1
        if repair_s != repair_s:  # nan: takes nothing
            return
        nodes.book(now_s)
        nodes.n_repairs += 1
        nodes.n_in_repair += 1
        nodes.where[node] = IN_REPAIR
        nodes.visit[node] += 1
        _At(self.env, now_s + repair_s, REPAIR_ENDS, lambda event: self._repaired(pool, node, event))
        if job is None:
            nodes.n_free -= 1
            return
        job.held.discard(node)
        spare = nodes.pop_free() if job.n_missing == 0 else NOBODY
        if spare != NOBODY:
            nodes.take(spare, job.index)
            job.held.add(spare)
            return
        if job.n_missing == 0:
            job.missing_since_s = job.since_s = now_s
            job.ending = None
        job.n_missing += 1

    def _repaired(self, pool: int, node: int, event: _At) -> None:
        nodes, now_s = self.pools[pool], event.time_s
        nodes.book(now_s)
        nodes.n_in_repair -= 1
        nodes.release(node, now_s)
        blocked = [job for job in self.jobs if job.pool == pool and job.runs and job.n_missing]
        if not blocked:
            self._call_policy(now_s)
            return
        job = min(blocked, key=lambda one: (one.missing_since_s, one.index))
        self._book_blocked(job, now_s)
        got = nodes.pop_free()
        nodes.take(got, job.index)
        job.held.add(got)
        job.n_missing -= 1
        if job.n_missing == 0:
            job.begin_s, job.ready_s = now_s, now_s + job.restart_s
            self._await_end(job)

    def _start(self, job: _Job, pool: int, now_s: float) -> None:
        nodes, n = self.pools[pool], int(job.spec.n_nodes[pool])
        if n == 0 or n > nodes.room:
            message = (
                f"policy {self.world.policy} placed {job.spec.name} ({n} nodes) on"
                f" {nodes.spec.name}, which has room for {nodes.room}"
            )
            raise ComputePlanError(message)
        nodes.book(now_s)
        nodes.n_promised += n
        for _ in range(n):
            node = nodes.pop_free()
            nodes.take(node, job.index)
            job.held.add(node)
        self.job_s[0, job.index, QUEUE] += now_s - job.since_s
        job.pool, job.start_s = pool, now_s
        job.since_s = job.begin_s = job.ready_s = now_s
        self._await_end(job)

    def _end(self, job: _Job, event: _At) -> None:
        if job.ending is not event:
            return  # it was interrupted since
        now_s = event.time_s
        self._book_until_ready(job, now_s)
        left = job.spec.train_s[job.pool] - max(job.kept_s, job.pending_s)
        self._book(job, TRAIN, left)
        self._book(job, SAVE, self._n_saves(job, left) * job.spec.save_s)
        self._span(job, TRAIN, job.ready_s, now_s)
        job.end_s = now_s
        self.n_open -= 1
        nodes = self.pools[job.pool]
        nodes.book(now_s)
        nodes.n_promised -= len(job.held)
        for node in sorted(job.held):
            nodes.release(node, now_s)
        job.held.clear()
        self._call_policy(now_s)

    # -- one job -------------------------------------------------------------------------------

    def _n_saves(self, job: _Job, left_s: float) -> float:
        interval_s = job.spec.interval_s[job.pool]
        return 0.0 if interval_s == math.inf else math.ceil(left_s / interval_s - SLACK)

    def _end_time(self, job: _Job) -> float:
        left = job.spec.train_s[job.pool] - max(job.kept_s, job.pending_s)
        return float(job.ready_s + left + self._n_saves(job, left) * job.spec.save_s)

    def _await_end(self, job: _Job) -> None:
        end_s = self._end_time(job)
        job.ending = None
        if end_s <= self.horizon_s:
            job.ending = _At(self.env, end_s, JOB_ENDS, lambda event: self._end(job, event))

    def _cycles(self, job: _Job, now_s: float) -> tuple[float, float, float]:
        """Return whole cycles, and training and saving in the cycle that is not complete."""
        gone = now_s - job.ready_s
        interval_s, save_s = float(job.spec.interval_s[job.pool]), job.spec.save_s
        if interval_s == math.inf:
            return 0.0, gone, 0.0
        n_cycles = float(gone // (interval_s + save_s))
        rest = gone - n_cycles * (interval_s + save_s)
        kept = max(job.kept_s, job.pending_s) + n_cycles * interval_s
        trained = min(rest, interval_s, float(job.spec.train_s[job.pool]) - kept)
        return n_cycles, trained, rest - trained

    def _book(self, job: _Job, phase: int, span_s: float) -> None:
        """Book seconds of a whole job."""
        self.job_s[0, job.index, phase] += span_s
        chips = job.spec.n_nodes[job.pool] * self.pools[job.pool].spec.chips_per_node
        self.chip_s[0, job.index, job.pool, phase] += span_s * chips

    def _book_blocked(self, job: _Job, now_s: float) -> None:
        span = now_s - job.since_s
        nodes = self.pools[job.pool].spec
        present = int(job.spec.n_nodes[job.pool]) - job.n_missing
        self.job_s[0, job.index, BLOCKED] += span
        self.chip_s[0, job.index, job.pool, BLOCKED] += span * present * nodes.chips_per_node
        self._span(job, BLOCKED, job.since_s, now_s, present * nodes.chips_per_node)
        job.since_s = now_s

    def _book_until_ready(self, job: _Job, now_s: float) -> None:
        """Book the save before a stop and the restart of a whole job, as far as they came."""
        if job.saving_until_s > job.since_s:
            until_s = min(now_s, job.saving_until_s)
            self._book(job, SAVE, until_s - job.since_s)
            self._span(job, SAVE, job.since_s, until_s)
            job.since_s = until_s
        if now_s >= job.saving_until_s:
            job.kept_s = max(job.kept_s, job.pending_s)
            if job.ready_s > job.since_s:
                until_s = min(now_s, job.ready_s)
                self._book(job, RESTART, until_s - job.since_s)
                self._span(job, RESTART, job.since_s, until_s)
                job.since_s = until_s

    def _interrupt(self, job: _Job, now_s: float, restart_s: float) -> None:
        """Throw away what was not saved and begin a restart, once the job is whole."""
        job.restart_s = restart_s
        if job.n_missing:
            self._book_blocked(job, now_s)
            return
        self._book_until_ready(job, now_s)
        if now_s > job.ready_s:
            n_cycles, trained, saving = self._cycles(job, now_s)
            done = n_cycles * job.spec.interval_s[job.pool] if n_cycles else 0.0
            self._book(job, TRAIN, done)
            self._book(job, SAVE, n_cycles * job.spec.save_s + saving)
            self._book(job, LOST, trained)
            self._span(job, TRAIN, job.ready_s, now_s - trained - saving)
            self._span(job, LOST, now_s - trained - saving, now_s)
            job.kept_s += done
        elif job.pending_s > job.kept_s:  # during the save before a stop: booked, and lost
            broken = job.pending_s - job.kept_s
            self._book(job, TRAIN, -broken)
            self._book(job, LOST, broken)
        job.pending_s = job.saving_until_s = 0.0
        job.since_s = job.begin_s = now_s
        job.ready_s = now_s + restart_s
        self._await_end(job)

    def _stop(self, job: _Job, now_s: float, lasts_s: float) -> bool:
        """Save, then stand still; return whether the job did stop.

        A job in its last save has nothing left to stop for. One that is saving for another stop
        goes on saving; one that restarts or is blocked has nothing to save.
        """
        if job.n_missing:
            job.restart_s = lasts_s
            return True
        trains = now_s > job.ready_s
        if trains and job.spec.interval_s[job.pool] < math.inf:
            if now_s >= self._end_time(job) - job.spec.save_s:
                return False
        job.restart_s = lasts_s
        if job.saving_until_s > now_s:
            job.ready_s = job.begin_s + lasts_s
        elif trains:
            self._book_until_ready(job, now_s)
            n_cycles, trained, saving = self._cycles(job, now_s)
            done = n_cycles * job.spec.interval_s[job.pool] if n_cycles else 0.0
            self._book(job, TRAIN, done + trained)
            self._book(job, SAVE, n_cycles * job.spec.save_s + saving)
            self._span(job, TRAIN, job.ready_s, now_s)
            job.kept_s += done
            job.pending_s = job.kept_s + trained
            job.since_s = now_s
            job.saving_until_s = now_s + (job.spec.save_s - saving if saving > 0 else job.spec.save_s)
            job.begin_s = job.saving_until_s
            job.ready_s = job.begin_s + lasts_s
        else:
            self._book_until_ready(job, now_s)
            job.since_s = job.begin_s = now_s
            job.ready_s = now_s + lasts_s
        self._await_end(job)
        return True

    # -- the policy ----------------------------------------------------------------------------

    def _call_policy(self, now_s: float) -> None:
        if self.queue and not self.policy_due:
            self.policy_due = True
            _At(self.env, now_s, POLICY, self._ask_policy)

    def _ask_policy(self, event: Any) -> None:
        self.policy_due = False
        if not self.queue:
            return
        for index, pool in self.policy(self._view(event.time_s)):
            self.queue.remove(index)
            self._start(self.jobs[index], pool, event.time_s)

    def _view(self, now_s: float) -> View:
        running: list[list[tuple[float, int]]] = [[] for _ in self.pools]
        for job in self.jobs:
            if job.runs:
                running[job.pool].append((self._expected_end(job, now_s), int(job.spec.n_nodes[job.pool])))
        return View(
            now_s=now_s,
            queue=tuple(self.queue),
            free=tuple(nodes.room for nodes in self.pools),
            running=tuple(tuple(ends) for ends in running),
            n_nodes=np.array([job.spec.n_nodes for job in self.jobs]),
            wall_s=self.wall_by_pool,
            energy_j=self.energy_by_pool,
            deadline_s=np.array([job.spec.deadline_s for job in self.jobs]),
            home=np.array([job.spec.home for job in self.jobs]),
        )

    def _expected_end(self, job: _Job, now_s: float) -> float:
        """Return when a running job is expected to end: at least its rest undisturbed. [s]"""
        if job.n_missing == 0 and self.pools[job.pool].spec.fault_rate_per_node_s == 0:
            return self._end_time(job)
        left = job.spec.train_s[job.pool] - max(job.kept_s, job.pending_s)
        resumes_s = max(now_s, job.ready_s) if job.n_missing == 0 else now_s + job.restart_s
        trained_s = max(0.0, now_s - job.ready_s) if job.n_missing == 0 else 0.0
        ettr = float(job.spec.ettr[job.pool])
        return float(resumes_s + max(left / ettr - trained_s, left * 1e-6 + 1.0))

    # -- the end -------------------------------------------------------------------------------

    def _close(self, wall_s: float) -> Ledger:
        """Book what is under way at the end of the run, and return the ledger."""
        for job in self.jobs:
            if job.pool < 0:
                if job.spec.arrival_s < wall_s:
                    self.job_s[0, job.index, QUEUE] += wall_s - job.spec.arrival_s
            elif job.runs:
                self._close_job(job, wall_s)
        for pool, nodes in enumerate(self.pools):
            nodes.book(wall_s)
            chips = nodes.spec.chips_per_node
            self.chip_s[0, -1, pool, IDLE] = nodes.idle_node_s * chips
            self.chip_s[0, -1, pool, REPAIR] = nodes.repair_node_s * chips
        return Ledger(
            chip_s=self.chip_s,
            job_s=self.job_s,
            first_start_s=np.array([[job.start_s for job in self.jobs]]),
            end_s=np.array([[job.end_s for job in self.jobs]]),
            wall_s=np.array([wall_s]),
            n_interruptions=self.n_interruptions,
            n_idle_faults=self.n_idle_faults,
            n_repairs=np.array([[nodes.n_repairs for nodes in self.pools]]),
            spans=self.spans,
        )

    def _close_job(self, job: _Job, wall_s: float) -> None:
        if job.n_missing:
            self._book_blocked(job, wall_s)
            return
        if job.ending is not None and job.ending.time_s <= wall_s:
            self._end(job, job.ending)  # its last save ends with the run
            return
        self._book_until_ready(job, wall_s)
        if wall_s > job.ready_s:
            n_cycles, trained, saving = self._cycles(job, wall_s)
            done = n_cycles * job.spec.interval_s[job.pool] if n_cycles else 0.0
            self._book(job, TRAIN, done + trained)
            self._book(job, SAVE, n_cycles * job.spec.save_s + saving)
            self._span(job, TRAIN, job.ready_s, wall_s)

    def _span(
        self, job: _Job, phase: int, start_s: float, end_s: float, n_chips: int | None = None
    ) -> None:
        if self.spans is not None and end_s > start_s:
            chips = self.pools[job.pool].spec.chips_per_node
            n = int(job.spec.n_nodes[job.pool]) * chips if n_chips is None else n_chips
            self.spans.append(Span(job.index, job.pool, phase, start_s, end_s, n))

