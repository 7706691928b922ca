"""Rounds: how time shares become jobs that hold nodes.

A goal says what part of the time each job should hold each type of nodes. Rounds come near to it:
at the start of a round the jobs are put in the order of ``x / f``, share due over share received,
and take nodes in that order, type by type. Shares are computed again at a *reset*: when a job has
come or ended, and the last reset is `reset_gate_s` ago.

Rounds are played in one of two ways. As the reference does [1]_: all jobs hold leases of whole
steps, the nodes of a job that ends early are idle until the last lease ends, and who comes
meanwhile waits. Or as a cluster would: who keeps its place goes on without interruption, others
are stopped, and nodes that become free within a round are filled at once.

Two properties of the reference are kept in its rounds, as its results depend on them. A job that
comes between two resets has no share yet: where policies fill the room that is left it may be
chosen, does not start, and its nodes are idle for the round. A reset at time 0 does not close the
gate.

Long because both ways share the choice of jobs, and are understood side by side.

Sources
-------
.. [1] D. Narayanan et al., "Heterogeneity-aware cluster scheduling policies for deep learning
       workloads", OSDI 2020, section 5, and its simulator, github.com/stanford-futuredata/gavel
       (c4fa400), scheduler/scheduler.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.scheduling.allocation import Asked, isolated_shares, within_reach
from computeplan.scheduling.decision import NO_CAPS, Decision, Start
from computeplan.scheduling.view import PoolTable, View

__all__ = ["Goal", "Moment", "Rounds", "SharePolicy"]

WHOLE = 1e-9  # relative: work nearer than this to a whole number of steps is one


class Moment(NamedTuple):
    """What a goal knows when shares are computed; the jobs stand in the order of arrival."""

    asked: Asked
    """Speeds as far as the policy is aware of them, nodes held, nodes there are."""
    weight: FloatArray
    """How much each job counts, its tenant's weight included; shape (n_jobs,)."""
    left: FloatArray
    """Work that is left; shape (n_jobs,)."""
    age_s: FloatArray
    """Time since the arrival; shape (n_jobs,). [s]"""
    isolated_s: FloatArray
    """Time since the arrival to the end, had the job isolated shares; shape (n_jobs,). [s]"""
    due_s: FloatArray
    """Time to the deadline; inf without one, negative if it is past; shape (n_jobs,). [s]"""
    pools: PoolTable
    cap_w: float
    """The most that the nodes which train may draw. [W]"""
    round_s: float
    """Length of a round. [s]"""


Goal = Callable[[Moment], tuple[FloatArray, float]]
"""Returns shares, of shape (n_jobs, n_pools), and the value of the goal; nan if it has none."""


class _Held(NamedTuple):
    """A job that was given nodes, and the time that is not counted as received yet."""

    job: int
    pool: int
    since_s: float
    until_s: float


def _none(*shape: int) -> FloatArray:
    return np.zeros(shape)


@dataclass(frozen=True, eq=False)
class Rounds:
    """What is remembered from one decision to the next. Arrays stand by job as at the reset."""

    next_s: float = -math.inf
    """When the round ends. [s]"""
    reset_s: float = 0.0
    """When shares were last computed; 0 counts as never. [s]"""
    jobs: tuple[int, ...] = ()
    """The jobs that were there at the last reset."""
    share: FloatArray = field(default_factory=lambda: _none(0, 0))
    """Part of the time due on each pool; shape (n_jobs, n_pools)."""
    received_s: FloatArray = field(default_factory=lambda: _none(0, 0))
    """Time held on each pool since the reset; shape (n_jobs, n_pools). [s]"""
    deficit_s: FloatArray = field(default_factory=lambda: _none(0, 0))
    """Time due less time held, up to the reset; shape (n_jobs, n_pools). [s]"""
    total_s: FloatArray = field(default_factory=lambda: _none(0))
    """Time held on each pool by all jobs since the reset; shape (n_pools,). [s]"""
    left: FloatArray = field(default_factory=lambda: _none(0))
    """Work that was left at the reset; shape (n_jobs,)."""
    isolated: FloatArray = field(default_factory=lambda: _none(0))
    """Progress with isolated shares at the reset; shape (n_jobs,). [1/s]"""
    spent_s: FloatArray = field(default_factory=lambda: _none(0))
    """Time that the work done up to the reset takes with isolated shares; shape (n_jobs,). [s]"""
    held: tuple[_Held, ...] = ()
    stopping: frozenset[tuple[int, float]] = frozenset()
    """Jobs that were told to stop and may still hold nodes, and since when they do. [s]"""


@dataclass(frozen=True)
class SharePolicy:
    """A policy that computes time shares towards a goal and comes near to them in rounds.

    Parameters
    ----------
    goal : callable
        Computes shares from a `Moment`.
    is_aware : bool
        Whether the goal is told how fast each type is; else each is as fast as a job's first.
    fills : bool
        Whether jobs with no share of a type, or none at all, take the room that is left on it.
    each_round : bool
        Whether shares are computed again though no job has come or ended.
    round_s : float
        Length of a round. [s]
    reset_gate_s : float
        Least time between two computations of shares. [s]
    restart_cost_s : float
        How long a job that changes its place takes to begin again, without loading. [s]
    idle_until_round_end : bool
        Whether rounds are played as the reference does.
    cap_w : float
        The most that the nodes which train may draw. [W]
    slow_down : bool
        Whether jobs that draw more together are slowed down to the cap; else some wait.
    needs : frozenset of str
        What the goal must know of every pool: `watts`, `carbon`, `prices`, `prices above 0`.
    """

    goal: Goal
    is_aware: bool = True
    fills: bool = True
    each_round: bool = False
    round_s: float = 360.0
    reset_gate_s: float = 1920.0
    restart_cost_s: float = 0.0
    idle_until_round_end: bool = False
    cap_w: float = math.inf
    slow_down: bool = False
    needs: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not 0 <= self.restart_cost_s < self.round_s < math.inf:
            raise ValueError(
                "a round must be longer than a restart, and end: "
                f"round_s={self.round_s:g}, restart_cost_s={self.restart_cost_s:g}"
            )
        if not (self.reset_gate_s >= 0 and self.cap_w >= 0):
            raise ValueError(
                "reset_gate_s and cap_w must not be negative: "
                f"{self.reset_gate_s:g}, {self.cap_w:g}"
            )
        if self.slow_down and not 0 < self.cap_w < math.inf:
            raise ValueError(f"slow_down needs a cap > 0 W, got {self.cap_w:g}")
        if self.slow_down and self.idle_until_round_end:
            raise ValueError("slow_down: with idle_until_round_end leases are of full speed")

    @property
    def may(self) -> frozenset[str]:
        """What it may do, of `registry.ABILITIES`: cap pools, or let jobs wait for a cap."""
        return frozenset({"cap"} if self.cap_w < math.inf else ())

    @property
    def _most_w(self) -> float:
        """What may be drawn by who holds nodes, if each trains at full speed. [W]"""
        return math.inf if self.slow_down else self.cap_w

    def __call__(self, view: View) -> Decision:
        """Return who holds nodes in this round, and when the next begins."""
        memory = view.memory if isinstance(view.memory, Rounds) else Rounds()
        if self.idle_until_round_end:
            return self._lease(view, memory)
        return self._go_on(view, memory)

    # -- the rounds of the reference -------------------------------------------------------------

    def _lease(self, view: View, memory: Rounds) -> Decision:
        """Return leases for all jobs that are chosen, once the leases before have ended."""
        if view.now_s < memory.next_s:
            return Decision(again_s=memory.next_s, memory=memory)
        if view.running:  # asked again when their nodes are free
            return Decision(memory=memory)
        before = {held.job: held.pool for held in memory.held}
        memory = _count(memory, memory.held)
        jobs = _in_order(view, view.queue)
        memory, chosen = self._choose(view, memory, jobs, list(view.free), 0.0, {})
        shared = set(memory.jobs)
        start, held = [], []
        for job, pool in chosen:
            if job in shared:
                restart_s = 0.0 if before.get(job, pool) == pool else self.restart_cost_s
                lease_s, train_s = self._steps(view, job, pool, restart_s)
                start.append(Start(job, pool, lease_s, restart_s))
                held.append(_Held(job, pool, view.now_s, view.now_s + restart_s + train_s))
        next_s = max((one.until_s for one in held), default=-math.inf)
        memory = replace(memory, next_s=next_s, held=(*held,))
        return Decision(start, again_s=next_s if held else math.inf, memory=memory)

    def _steps(self, view: View, job: int, pool: int, restart_s: float) -> tuple[float, float]:
        """Return a lease of whole steps, and how long the job trains in it. [s]

        The lease of a job that ends within the round is not cut to its last step, so that no
        rounding leaves a part of it for another round.
        """
        kind = view.kind[job]
        speed, step = float(view.jobs.speed[kind, pool]), float(view.jobs.step[kind])
        left, most = view.left(job), speed * (self.round_s - restart_s)
        if step > 0:
            most = max(1.0, math.floor(most / step * (1.0 + WHOLE))) * step
        if left <= most * (1.0 + WHOLE):
            return most / speed * (1.0 + WHOLE), left / speed
        return most / speed, most / speed

    # -- rounds without interruption -------------------------------------------------------------

    def _go_on(self, view: View, memory: Rounds) -> Decision:
        """Return stops and starts at the start of a round, and starts only within it."""
        now_s, running = view.now_s, view.running
        memory = _count(memory, [_until_now(view, held) for held in memory.held])
        stopping = {
            job for job, s in memory.stopping if job in running and running[job].start_s == s
        }
        stays = {job: run.pool for job, run in running.items() if job not in stopping}
        room, draw_w = list(view.free), sum(self._draw_w(view, *place) for place in stays.items())
        if now_s < memory.next_s and running:
            waits = {held.job: held.pool for held in memory.held if held.job not in running}
            owed = {job: pool for job, pool in waits.items() if job in view.queue}
            for job in stopping:
                room[running[job].pool] += running[job].n_nodes
            for job, pool in owed.items():
                room[pool] -= view.nodes(job, pool)
                draw_w += self._draw_w(view, job, pool)
            jobs = _in_order(view, view.queue.keys() - owed.keys()) if max(room) > 0 else []
            chosen = self._select(view, memory, jobs, room, draw_w, {})
            next_s, keep, stop = memory.next_s, stays | owed, []
        else:
            for job, pool in stays.items():
                room[pool] += running[job].n_nodes
            jobs = _in_order(view, view.queue.keys() | stays.keys())
            memory, chosen = self._choose(view, memory, jobs, room, 0.0, stays)
            draws_w = (self._draw_w(view, j, p) for j in jobs for p in view.pools_for(j))
            may_start = any(not draw_w > self._most_w for draw_w in draws_w)
            next_s = now_s + self.round_s if may_start else math.inf  # no round would help
            place = dict(chosen)
            keep = {job: pool for job, pool in stays.items() if place.get(job) == pool}
            stop = [job for job in stays if job not in keep]
        start = [
            Start(job, pool, restart_s=self.restart_cost_s)
            for job, pool in chosen
            if job not in keep
        ]
        held = [_Held(job, pool, now_s, math.inf) for job, pool in keep.items()]
        held += [_Held(one.job, one.pool, now_s, math.inf) for one in start]
        stopped = frozenset((job, running[job].start_s) for job in stopping.union(stop))
        memory = replace(memory, next_s=next_s, held=(*held,), stopping=stopped)
        draws = [*keep.items(), *((one.job, one.pool) for one in start)]
        draws += [(job, running[job].pool) for job in stopping.union(stop)]
        caps_w = self._caps_w(view, draws)
        return Decision(start, stop, cap_w=caps_w, again_s=next_s, memory=memory)

    def _caps_w(self, view: View, draws: Iterable[tuple[int, int]]) -> Mapping[int, float]:
        """Return the caps of pools for jobs on them: each has its part of the draw of all."""
        if not (self.slow_down and self.cap_w < math.inf):
            return NO_CAPS
        draw_w = [0.0] * len(view.free)
        for job, pool in draws:
            draw_w[pool] += self._draw_w(view, job, pool)
        total_w = sum(draw_w)
        share = self.cap_w / total_w if total_w > self.cap_w else math.inf
        return {pool: share * w if w > 0 else math.inf for pool, w in enumerate(draw_w)}

    # -- who is chosen ---------------------------------------------------------------------------

    def _choose(
        self,
        view: View,
        memory: Rounds,
        jobs: Sequence[int],
        room: list[int],
        draw_w: float,
        stays: dict[int, int],
    ) -> tuple[Rounds, list[tuple[int, int]]]:
        """Return the jobs that hold nodes next, after a reset if one is due."""
        changed = tuple(jobs) != memory.jobs
        is_open = view.now_s - memory.reset_s >= self.reset_gate_s or memory.reset_s == 0.0
        if jobs and (changed or self.each_round) and is_open:
            memory = self._reset(view, memory, jobs)
            changed = False
        chosen = self._select(view, memory, jobs, room, draw_w, stays)
        if jobs and changed and not {job for job, _ in chosen} & set(memory.jobs):
            memory = self._reset(view, memory, jobs)  # else nothing would run until the gate opens
            chosen = self._select(view, memory, jobs, room, draw_w, stays)
        return memory, chosen

    def _select(
        self,
        view: View,
        memory: Rounds,
        jobs: Sequence[int],
        room: list[int],
        draw_w: float,
        stays: dict[int, int],
    ) -> list[tuple[int, int]]:
        """Return jobs and their pools: by pool, the first by priority that fit in the room."""
        if not jobs:
            return []
        asked = _asked(view, jobs)
        share, deficit_s, priority = self._due(view, memory, jobs)
        priority = np.where(asked.speed > 0, priority, 0.0)
        could = (asked.speed > 0) & ((priority > 0) | self.fills)
        is_here = np.zeros(share.shape, dtype=bool)
        for i, job in enumerate(jobs if stays else ()):
            if job in stays:
                is_here[i, stays[job]] = True
        job_at, pool_at = np.nonzero(could)
        order = np.lexsort(
            (
                ~is_here[could],
                -share[could],
                -deficit_s[could],
                -priority[could],
                self._turns(view)[pool_at],
            )
        )
        nodes, draws = asked.n_nodes[could], (asked.n_nodes * view.pools.train_w)[could]
        chosen, taken, room = [], set(), list(room)
        n_open = sum(n > 0 for n in room)
        for k in order.tolist():
            if not n_open:
                break
            i, pool, n = int(job_at[k]), int(pool_at[k]), int(nodes[k])
            if i in taken or n > room[pool] or draw_w + draws[k] > self._most_w:
                continue
            taken.add(i)
            chosen.append((jobs[i], pool))
            draw_w += float(draws[k])
            room[pool] -= n
            n_open -= room[pool] <= 0
        return chosen

    def _due(
        self, view: View, memory: Rounds, jobs: Sequence[int]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return shares, deficits, and shares beside what was received; shape (n_jobs, n_pools)."""
        share, received_s, deficit_s = (
            _rows(memory.jobs, table, jobs, len(view.pools.n_nodes))
            for table in (memory.share, memory.received_s, memory.deficit_s)
        )
        at_first_s = self.round_s / 2.0  # as if each job had held each type so long
        whole_s: float | FloatArray = self.round_s + view.now_s - memory.reset_s
        if self.idle_until_round_end:  # of what all jobs have held; in a type it is the same order
            whole_s = at_first_s * max(1, len(memory.jobs)) + memory.total_s
        return share, deficit_s, share * whole_s / (at_first_s + received_s)

    def _turns(self, view: View) -> IntArray:
        """Return the turn of each pool; pools of one turn are filled together, by priority.

        The reference fills types one after another, the fastest first; types that the policy is not
        aware of in an order by chance, here each in turn. So a job with shares of two types is
        mostly on the first. Without its rounds all pools are filled together, which follows the
        shares more closely.
        """
        n_pools = len(view.pools.n_nodes)
        turns = np.arange(n_pools)
        if not self.idle_until_round_end:
            return np.zeros_like(turns)
        first = 0 if self.is_aware else round(view.now_s / self.round_s) % n_pools
        moved: IntArray = (turns - first) % n_pools
        return moved

    def value(self, view: View) -> float:
        """Return the value of the goal for the jobs that wait, if shares are computed first now."""
        return self.goal(self._moment(view, Rounds(), _in_order(view, view.queue))[0])[1]

    def _moment(
        self, view: View, memory: Rounds, jobs: Sequence[int]
    ) -> tuple[Moment, FloatArray, FloatArray]:
        """Return what the goal knows, and the isolated progress and time spent of each job."""
        now_s, table = view.now_s, view.jobs
        asked = _asked(view, jobs)
        if not self.is_aware:
            first = asked.speed[np.arange(len(jobs)), (asked.speed > 0).argmax(axis=1)]
            asked = asked._replace(speed=np.where(asked.speed > 0, first[:, None], 0.0))
        left = np.array([view.left(job) for job in jobs])
        done = _rows(memory.jobs, memory.left[:, None], jobs, 1)[:, 0]
        done = np.where(np.isin(jobs, memory.jobs), done - left, 0.0)
        pace = _rows(memory.jobs, memory.isolated[:, None], jobs, 1)[:, 0]
        spent_s = _rows(memory.jobs, memory.spent_s[:, None], jobs, 1)[:, 0]
        spent_s = spent_s + np.divide(done, pace, out=np.zeros(len(jobs)), where=pace > 0)
        isolated = (asked.speed * isolated_shares(asked)).sum(axis=1)
        rest_s = np.divide(left, isolated, out=np.zeros(len(jobs)), where=isolated > 0)
        index = np.asarray(jobs)
        moment = Moment(
            asked=asked,
            weight=table.weight[index] * view.tenants.weight[table.tenant[index]],
            left=left,
            age_s=now_s - table.arrival_s[index],
            isolated_s=spent_s + rest_s,
            due_s=table.deadline_s[index] - now_s,
            pools=view.pools,
            cap_w=self.cap_w,
            round_s=self.round_s,
        )
        return moment, isolated, spent_s

    def _reset(self, view: View, memory: Rounds, jobs: Sequence[int]) -> Rounds:
        """Return the memory with new shares for these jobs, and nothing received yet."""
        now_s, n_pools = view.now_s, len(view.pools.n_nodes)
        moment, isolated, spent_s = self._moment(view, memory, jobs)
        due_s = memory.deficit_s + memory.share * (now_s - memory.reset_s) - memory.received_s
        return replace(
            memory,
            reset_s=now_s,
            jobs=tuple(jobs),
            share=self.goal(moment)[0],
            received_s=np.zeros((len(jobs), n_pools)),
            deficit_s=_rows(memory.jobs, due_s, jobs, n_pools),
            total_s=np.zeros(n_pools),
            left=moment.left,
            isolated=isolated,
            spent_s=spent_s,
        )

    def _draw_w(self, view: View, job: int, pool: int) -> float:
        """Return what the nodes of a job draw on a pool. [W]"""
        return view.nodes(job, pool) * float(view.pools.train_w[pool])


def _in_order(view: View, jobs: Iterable[int]) -> list[int]:
    """Return jobs in the order of arrival."""
    index = np.fromiter(jobs, dtype=np.int64)
    ordered: list[int] = index[np.lexsort((index, view.jobs.arrival_s[index]))].tolist()
    return ordered


def _asked(view: View, jobs: Sequence[int]) -> Asked:
    """Return speeds and nodes of jobs, and the nodes of the pools."""
    kind = view.jobs.kind[np.asarray(jobs, dtype=np.int64)]
    n_nodes, capacity = view.jobs.n_nodes[kind], view.pools.n_nodes
    return within_reach(
        Asked(view.jobs.speed[kind], n_nodes.astype(np.float64), capacity.astype(np.float64))
    )


def _rows(known: Sequence[int], table: FloatArray, jobs: Sequence[int], width: int) -> FloatArray:
    """Return the rows of a table of known jobs for other jobs, 0 for those it does not know."""
    rows = np.zeros((len(jobs), width))
    if known and jobs:
        at: IntArray = np.full(max(max(known), max(jobs)) + 1, -1, dtype=np.int64)
        at[np.asarray(known)] = np.arange(len(known))
        found = at[np.asarray(jobs)]
        rows[found >= 0] = table[found[found >= 0]]
    return rows


def _until_now(view: View, held: _Held) -> _Held:
    """Return the time that a job has held its nodes since it was last looked at."""
    run = view.running.get(held.job)
    if run is not None and run.pool == held.pool:
        return held._replace(since_s=max(held.since_s, run.start_s), until_s=view.now_s)
    ended = held.job not in view.queue and run is None
    return held._replace(until_s=view.now_s if ended else held.since_s)


def _count(memory: Rounds, held: Iterable[_Held]) -> Rounds:
    """Return the memory with the time that jobs have held nodes."""
    at = {job: i for i, job in enumerate(memory.jobs)}
    received_s, total_s = memory.received_s.copy(), memory.total_s.copy()
    for job, pool, since_s, until_s in held:
        if job in at:
            received_s[at[job], pool] += until_s - since_s
        if total_s.size:
            total_s[pool] += until_s - since_s
    return replace(memory, received_s=received_s, total_s=total_s)
