"""One run at a time, on SimPy: plays everything, and is the reference.

What happens is an entry of the calendar, with an exact time and a rank. There is no event for the
end of a restart, and none for a checkpoint but where jobs share storage: between two faults the
books of a job follow from when it began to train (``job.py``). There is no process per node or
chip. What faults do is in ``fault_effects.py``.

A job is an object while it holds nodes where something can happen to it; where nothing can, its
stay is arithmetic (`_Stay`), and before and after that it is a row of columns.

Long because what happens to a job between its arrival and its end is decided here.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import truediv

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.event.allocation import Part
from computeplan.engines.event.books import WEIGHTS, Books
from computeplan.engines.event.calendar import Calendar, Entry, Rank, cancel
from computeplan.engines.event.caps import PowerCaps
from computeplan.engines.event.fault_effects import PLAYED, FaultEffects
from computeplan.engines.event.giving_way import GivingWay
from computeplan.engines.event.job import Job
from computeplan.engines.event.job_books import JobBooks
from computeplan.engines.event.limits import SiteLimits
from computeplan.engines.event.moves import moves_of
from computeplan.engines.event.peaks import Peaks
from computeplan.engines.event.pool import PoolRun
from computeplan.engines.event.quotas import Quotas
from computeplan.engines.event.services import Services
from computeplan.engines.event.storage import Storage
from computeplan.errors import ComputePlanError, UnsupportedByEngine
from computeplan.ledger import PHASES, TRAIN, Ledger, Span, concatenate, make_ledger
from computeplan.scheduling.decision import Decision, Start
from computeplan.scheduling.registry import can, load_policy
from computeplan.scheduling.view import View
from computeplan.trace import Trace
from computeplan.trace.one_run import RunSamples
from computeplan.trace.streams import BLOCK
from computeplan.trace.trace import step_factors
from computeplan.world.features import features, first_refused
from computeplan.world.pools import is_slowed
from computeplan.world.world import World

__all__ = ["PLAYS", "play", "rows_at_once", "why_unsupported"]

MOST_CELLS = 8e6  # of the books of all runs that are played together: some 0.1 GB
MOST_NAMED = 20  # jobs in a message
ENDS = 1e-12  # a job with less than this share of its work left has done it, but for rounding

PLAYS = PLAYED | features(
    "several_jobs several_pools shared_pool arrives_later shared_storage shrinks shrinks_never"
    " asynchronous_saves tiers never_saves keeps_several share_spares replay replay_from_0 memory"
    " lemons relapse groups uncertain_rate uncertain_step automatic_repair busy_clock busy_repairs"
    " wall_repairs throttle crews crews_after_random crews_after_unlike retire booting_spares"
    " listed_stops late_stops horizon signals services placement slower_across caps_power"
    " mixed_jobs power_limit pauses moves"
)


def why_unsupported(world: World) -> tuple[str, str] | None:
    """Return path and reason of what this engine cannot play in a world, or None."""
    refused = first_refused(world.features, PLAYS)
    return None if refused is None else (refused.path, "it does not know this")


def rows_at_once(world: World) -> int:
    """Return how many runs to play together: as many as are drawn together, if their books fit."""
    n_weights = len(WEIGHTS) + 2 * len(world.signals)
    cells = (world.jobs.n_groups + 1) * len(world.pools) * len(PHASES) * n_weights
    cells += len(world.jobs) * (len(PHASES) + 8 + len(world.pools))
    return int(max(1, min(BLOCK, MOST_CELLS / cells)))


def play(world: World, seed: int, first_run: int, n_runs: int, *, timeline: bool = False) -> Ledger:
    """Return the books of a range of runs.

    Parameters
    ----------
    world : World
        What to play.
    seed, first_run, n_runs : int
        Root of all samples, and which runs.
    timeline : bool
        Whether to keep the spans of the first run.

    Raises
    ------
    UnsupportedByEngine
        If a world asks for what no engine knows.
    ComputePlanError
        If the policy places what does not fit, or leaves jobs waiting for ever.
    """
    if (unsupported := why_unsupported(world)) is not None:
        path, reason = unsupported
        raise UnsupportedByEngine(f"{path}: engine event cannot play this: {reason}")
    trace = Trace(world, seed, first_run, n_runs)
    slower = step_factors(world, trace)
    runs = [
        _Run(world, trace, i, slower[i], timeline=timeline and i == 0).play() for i in range(n_runs)
    ]
    return make_ledger(concatenate(runs), world.n_chips, world.sharing)


class _Arrivals:
    """The fault arrivals of one pool, and its planned stops, as far as they are drawn.

    The next is always in the calendar; or, where none is known yet, when more must be drawn.
    """

    def __init__(self, run: _Run, pool: int, effects: FaultEffects) -> None:
        self.run, self.pool, self.effects = run, pool, effects
        self.samples = RunSamples(None, 0)
        self.i, self.next_s = 0, math.inf
        self.look_s = run.world.longest_look_s if effects.effects else math.inf
        if effects.effects:
            self._draw()

    def _draw(self) -> None:
        run = self.run
        self.samples = RunSamples(run.trace.arrivals(self.pool, self.look_s), run.run)
        self.effects.generations.n_chains = len(self.samples.time_s)
        self._await_next()

    def _await_next(self) -> None:
        i, samples, run = self.i, self.samples, self.run
        node = -1
        if i < len(samples.time_s) and samples.time_s[i] <= self.look_s:
            self.next_s, then, node = samples.time_s[i], self._arrive, samples.node[i]
        elif self.look_s >= run.cut_s or i >= run.world.pools[self.pool].n_arrivals:
            self.next_s = math.inf
        else:
            self.next_s, then = self.look_s, self._draw_more
        if self.next_s < run.cut_s:
            run.calendar.at(self.next_s, Rank.FAULT, then, self.pool, node)

    def _arrive(self, now_s: float) -> None:
        i, samples, n = self.i, self.samples, 1
        if samples.is_member:
            while samples.is_member[i + n : i + n + 1] == [True]:
                n += 1
        self.i = i + n
        self._await_next()
        self.effects.play(samples.kind[i], samples.fault(i, n), now_s)
        self.run.await_ends(self.pool)

    def _draw_more(self, now_s: float) -> None:
        """Draw farther: some job is still running when what was drawn ends."""
        waiting = self.run.unfinished()
        self.look_s = self.run.world.longer_look_s(now_s, waiting)
        self._draw()
        self.run.await_ends(self.pool)


@dataclass(slots=True)
class _Stay:
    """A job on nodes where nothing can happen but its end, and what the policy decides."""

    job: int
    pool: int
    start_s: float
    from_s: float
    """Position at the start. [s]"""
    work_s: float
    """Position at the end of all its work. [s]"""
    ending: Entry | None = None


class _Run:
    """One run: its jobs, its pools, and the policy."""

    def __init__(
        self, world: World, trace: Trace, run: int, slower: FloatArray, *, timeline: bool
    ) -> None:
        self.world, self.trace, self.run, self.slower = world, trace, run, slower
        factor = world.work_factor(slower)
        self.cut_s = world.cut_s
        self.calendar = Calendar((world.cut_s, Rank.FAULT))  # a last save may end with the run
        self.spans: list[Span] | None = [] if timeline else None
        self.storages = defaultdict[str, Storage](lambda: Storage(self.calendar))
        self.jobs: dict[int, Job] = {}
        self.stays: dict[int, _Stay] = {}  # both hold nodes
        self.changed: dict[int, Job] = {}  # whose end is expected at another time
        counted = ("interruptions", "idle_faults", "slowdowns")
        self.counts = {name: [0] * len(world.kind_names) for name in counted}
        self.pools = []
        for p, spec in enumerate(world.pools):
            then = (partial(self.await_ends, p), self._call_policy, self._note_taken)
            self.pools.append(PoolRun(p, spec, self.calendar, world.signals_of(p), *then))
        for near in world.sharing:
            for p in near:
                self.pools[p].share_spares([self.pools[other] for other in near if other != p])
        self.view = View(world.job_table, world.pool_table, world.tenants)
        self.view.done_frac, self.view.move_usd = self._done_frac, self._move_money
        self.books, self.quotas = JobBooks(world, factor), Quotas(self.view)
        jobs = GivingWay(self.view, self._stop, self._resize, self._call_policy)
        parts = (jobs, self.calendar)
        self.services = Services(world.services, self.pools, *parts, self._check_end, self.spans)
        self.has_services = bool(world.services)
        self.order = np.ascontiguousarray(world.arrival_order).data
        self.arrival_s = np.ascontiguousarray(world.job_table.arrival_s).data
        self.train_s, self.factor = world.jobs.train_s.data, factor.data
        pools, kinds = range(len(self.pools)), world.jobs.kinds
        self.is_arithmetic = [[kind.is_arithmetic_on(p) for p in pools] for kind in kinds]
        self.has_elastic = any(kind.is_elastic for kind in kinds)
        self.n_open = len(world.jobs)
        self.policy = world.decide or load_policy(world.policy)
        self.caps, self.moves, self.peaks = PowerCaps(world), moves_of(world), Peaks(world)
        self.limits = SiteLimits(world, self.caps, self.pools, *parts, self._note)
        self.is_due, self.looked_s = False, 0.0
        self.again: Entry | None = None
        self.deferred: list[Start] = []  # until jobs that are stopped have given back their nodes
        # Whether the next fault is not known, as it may follow from what has not happened yet, or
        # be on nodes of another pool.
        self.is_open = [
            pool.spec.comes_back or pool.spec.retire is not None or len(pool.near) > 1
            for pool in self.pools
        ]
        effects = [FaultEffects(pool, trace, run, self.jobs, self.counts) for pool in self.pools]
        self.arrivals = [_Arrivals(self, p, one) for p, one in enumerate(effects)]
        self._find_quiet()

    def _find_quiet(self) -> None:
        """Note on which pools nothing ever happens to nodes that a job holds."""
        for p, pool in enumerate(self.pools):
            has_events = self.arrivals[p].effects.effects or self.is_open[p] or pool.nodes.served
            varies = is_slowed(pool.spec) or self.world.signals or self.world.caps_power
            varies = varies or p in self.limits.at
            pool.is_quiet = not (has_events or varies)
            pool.nodes.told = None if self.spans is None else []
            pool.nodes.counts_only = pool.is_quiet and pool.nodes.groups is None

    def play(self) -> Ledger:
        """Return the books of the run."""
        self._await_arrival(0)
        self.calendar.run()
        if self.n_open and math.isinf(self.cut_s):
            queue = itertools.islice(self.view.queue, MOST_NAMED)
            waiting = ", ".join(self.world.jobs[j].name for j in queue) or "a blocked job"
            if (n_more := len(self.view.queue) - MOST_NAMED) > 0:
                waiting += f" and {n_more:,} more"
            raise ComputePlanError(
                f"policy {self.world.policy} leaves jobs waiting for ever: {waiting}. What"
                " services, quotas, caps and power limits leave may be too little;"
                " simulate.at_most cuts a run"
            )
        if self.n_open or not self.world.ends_with_work:
            return self._ledger(self.cut_s)
        return self._ledger(self.books.last_end_s)

    def _check_end(self, now_s: float) -> None:
        """Raise an InfeasibleError if jobs seem never to end."""
        if math.isinf(self.cut_s):
            self.world.longer_look_s(now_s, self.unfinished())

    def unfinished(self) -> str:
        """Return the names of jobs that have not ended."""
        open_jobs = itertools.islice(self.books.unfinished(), MOST_NAMED)
        return ", ".join(self.world.jobs[j].name for j in open_jobs)

    # -- jobs come, run and end ------------------------------------------------------------------

    def _await_arrival(self, i: int) -> None:
        """Await the job that comes as number `i`, counted from 0."""
        if i < len(self.order):
            job, then = self.order[i], partial(self._arrive, i)
            self.calendar.at(self.arrival_s[job], Rank.ARRIVAL, then, node=job)

    def _arrive(self, i: int, now_s: float) -> None:
        self.view.enqueue(self.order[i])
        self._await_arrival(i + 1)
        self._ask_now(now_s)

    def _start(self, start: Start, now_s: float) -> None:
        """Let a job that waits hold its nodes of a pool."""
        if start.more:
            self._start_mixed(start, now_s)
            return
        index, at, view = start.job, start.pool, self.view
        pool, n = self.pools[at], start.n_nodes or view.nodes(index, at)
        if start.n_nodes:
            self._check_size(index, pool, n)
        room = self._room(pool)
        if index not in view.queue or n == 0 or n > room:
            name = self.world.jobs[index].name
            what = f"{name} ({n} nodes)" if index in view.queue else f"{name}, which does not wait,"
            message = (
                f"policy {self.world.policy} placed {what} on {pool.spec.name}, which has room for"
                f" {room}"
            )
            raise ComputePlanError(message)
        pool.nodes.n_promised += n
        pool.nodes.give_many(index, n, now_s)
        work_s = self.train_s[index, at] * self.factor[index, at]
        has_begun, done_frac, moves_s = self._take_up(index, [at], now_s)
        from_s = work_s * done_frac
        stay = _Stay(index, at, now_s, from_s, work_s)
        is_arithmetic = pool.is_quiet and self.is_arithmetic[view.kind[index]][at]
        if is_arithmetic and not moves_s and not (has_begun and start.restart_s):
            self.stays[index] = stay
            end_s = now_s + (work_s - from_s)
            view.place(index, at, end_s)
            until_s = now_s + start.lease_s
            ends = end_s <= until_s * (1 + ENDS)
            then = partial(self._end_stay if ends else self._release_stay, stay)
            at_s = end_s if ends else until_s
            stay.ending = self.calendar.at(at_s, Rank.JOB_ENDS, then, at, index)
            return
        job = self._job(stay, start.restart_s if has_begun else None, n, moves_s)
        view.place(index, at, self._expected_end(job, now_s), n)
        self._begin(job, start.lease_s, now_s)

    def _take_up(self, index: int, pools: Sequence[int], now_s: float) -> tuple[bool, float, float]:
        """Note that a job holds nodes of pools.

        Return whether it ran before, what is done of it, and how long what it needs is on its way.
        """
        self.books.begin(index, now_s)
        has_begun = index in self.view.left_frac
        done_frac = 1.0 - self.view.left_frac[index] if has_begun else 0.0
        moves_s = self.moves.take_s(index, pools, has_begun=has_begun) if self.moves else 0.0
        return has_begun, done_frac, moves_s

    def _move_money(self, index: int, pool: int) -> float:
        """Return what it costs to bring what a job that waits needs to a pool. [currency]"""
        if self.moves is None:
            return 0.0
        return self.moves.money(index, pool, has_begun=index in self.view.left_frac)

    def _begin(self, job: Job, lease_s: float, now_s: float) -> None:
        """Await the end of a job that begins, or of its lease."""
        if lease_s < math.inf:
            then = partial(self._stop, job.index)
            job.lease = self.calendar.at(job.ready_s + lease_s, Rank.JOB_ENDS, then)
        for part in job.allocation.parts:
            self.pools[part.pool].set_paces(now_s)
        self._await_end(job)

    def _start_mixed(self, start: Start, now_s: float) -> None:
        """Let a job that waits hold nodes of several pools, which make a whole one together."""
        index, view = start.job, self.view
        held = ((start.pool, start.n_nodes), *start.more)
        self._check_mixed(index, held)
        for at, n in held:
            self.pools[at].nodes.n_promised += n
            self.pools[at].nodes.give_many(index, n, now_s)
        has_begun, done_frac, moves_s = self._take_up(index, [at for at, _ in held], now_s)
        work_s, nominal_s = self._work_on_parts_s(index, held)
        job = self.jobs[index] = self._new_job(index, work_s / nominal_s)
        whole = job.spec.whole_nodes
        parts = [self._part(index, at, n, n_whole_job=int(whole[at])) for at, n in held]
        restart_s = start.restart_s if has_begun else None
        job.start(parts, self.world.pools, now_s, work_s, work_s * done_frac, restart_s, moves_s)
        for at, _ in held:
            self.pools[at].jobs[index] = job
        view.place(index, start.pool, self._expected_end(job, now_s), start.n_nodes, start.more)
        self._begin(job, start.lease_s, now_s)

    def _work_on_parts_s(self, index: int, held: Sequence[tuple[int, int]]) -> tuple[float, float]:
        """Return how long a mixed job trains on its parts, and how long at nominal speed. [s]"""
        kind = self.world.jobs.kinds[self.view.kind[index]]
        frac = kind.mixing_frac_of(held)
        rates = [frac * n / kind.whole_nodes[p] for p, n in held]
        train_s = [self.train_s[index, p] for p, _ in held]
        longer_s = [self.train_s[index, p] * self.factor[index, p] for p, _ in held]
        return 1.0 / sum(map(truediv, rates, longer_s)), 1.0 / sum(map(truediv, rates, train_s))

    def _check_mixed(self, index: int, held: Sequence[tuple[int, int]]) -> None:
        """Refuse nodes of several pools that do not make a whole job, or are not free."""
        view, pools = self.view, [self.pools[at] for at, _ in held]
        name = self.world.jobs[index].name
        on = " and ".join(f"{n} of {self.pools[at].spec.name}" for at, n in held)
        why = ""
        if index not in view.queue:
            why = "and it does not wait"
        elif not can(self.policy, "mix") or not view.can_mix(index):
            why = "and it, or the policy, does not say that it can run on several pools"
        elif len({at for at, _ in held}) < len(held) or any(n <= 0 for _, n in held):
            why = "and each pool is to stand there once, with nodes"
        elif any(at not in view.pools_to_mix(index) for at, _ in held):
            why = "and it can never run on one of them"
        elif not view.is_whole(index, held):
            why = "which do not make a whole job"
        elif any(n > self._room(pool) for pool, (_, n) in zip(pools, held, strict=True)):
            rooms = ", ".join(f"{self._room(pool)} of {pool.spec.name}" for pool in pools)
            why = f"and there is room for {rooms}"
        if why:
            raise ComputePlanError(
                f"policy {self.world.policy} placed {name} on several pools, {on} nodes, {why}"
            )

    def _check_size(self, index: int, pool: PoolRun, n_nodes: int) -> None:
        """Refuse a number of nodes with which a job cannot train on a pool."""
        least, most = (f(index, pool.index) for f in (self.view.least_nodes, self.view.nodes))
        if not least <= n_nodes <= most:
            name, can = self.world.jobs[index].name, f"{least} to {most}" if most else "none"
            raise ComputePlanError(
                f"policy {self.world.policy} gave {name} {n_nodes} nodes of {pool.spec.name}, where"
                f" it can hold {can}"
            )

    def _job(self, stay: _Stay, restart_s: float | None, n_nodes: int, moves_s: float) -> Job:
        """Return the job of a stay, which begins where that did."""
        pool, slower = self.pools[stay.pool], self.factor[stay.job, stay.pool]
        job = self.jobs[stay.job] = self._new_job(stay.job, slower)
        full = int(job.spec.n_nodes[stay.pool])
        parts = [self._part(stay.job, stay.pool, full, n_target=n_nodes)]
        times_s = (stay.start_s, stay.work_s, stay.from_s, restart_s)
        job.start(parts, self.world.pools, *times_s, moves_s)
        pool.jobs[stay.job] = job
        return job

    def _new_job(self, index: int, slower: float) -> Job:
        parts = (self.calendar, self.storages, self._end, self.spans, self.changed)
        return Job(index, self.world.jobs[index], slower, *parts)

    def _part(
        self, index: int, at: int, n_nodes: int, *, n_target: int = 0, n_whole_job: int = 0
    ) -> Part:
        """Return the nodes of a pool that a job holds, with books of their own."""
        books = Books((index, at), self.world.signals_of(at), self.spans)
        per_node = self.world.pools[at].chips_per_node
        return Part(at, n_nodes, per_node, books, n_target=n_target, n_whole_job=n_whole_job)

    def _expected_end(self, job: Job, now_s: float) -> float:
        pools, parts = self.world.pools, job.allocation.parts
        has_faults = any(pools[part.pool].fault_rate_per_node_s > 0 for part in parts)
        return job.expected_end(now_s, has_faults=has_faults)

    def _latest_s(self, pool: int) -> float:
        """Return until when the ends of jobs on a pool follow from what has happened. [s]"""
        return min(math.inf if self.is_open[pool] else self.arrivals[pool].next_s, self.cut_s)

    def await_ends(self, pool: int) -> None:
        """Await the ends of jobs that train, unless a fault comes before: then look again."""
        latest_s = self._latest_s(pool)
        for near in self.pools[pool].near:
            for job in near.jobs.values():
                if job.ending is None and job.may_end_by(latest_s):
                    self._await_end(job)

    def _await_end(self, job: Job) -> None:
        latest_s = min(self._latest_s(part.pool) for part in job.allocation.parts)
        if job.may_end_by(latest_s) and not job.is_leaving:
            end_s = job.ahead(0.0).end_s
            if end_s <= latest_s:
                at = (end_s, Rank.JOB_ENDS, partial(self._end, job), job.pool, job.index)
                job.ending = self.calendar.at(*at)

    def _end(self, job: Job, now_s: float) -> None:
        job.end(now_s)
        self.books.add(job)
        self._leave(job.index, now_s)

    def _end_stay(self, stay: _Stay, now_s: float) -> None:
        self._book_stay(stay, stay.work_s, now_s)
        self._leave(stay.job, now_s)

    def _leave(self, index: int, now_s: float) -> None:
        """Note that a job has done its work."""
        self.books.end(index, now_s)
        self.n_open -= 1
        if not self.n_open and self.world.ends_with_work:
            self.calendar.entries.clear()  # nothing will ask where its nodes went
            self.jobs.pop(index, None)
            self.stays.pop(index, None)
            return
        self._give_back(index, now_s)
        self.view.left_frac.pop(index, None)
        self._ask_now(now_s)

    def _give_back(self, index: int, now_s: float) -> None:
        """Let a job hold no nodes."""
        held = self.view.running[index].parts
        if self.stays.pop(index, None) is None:
            job = self.jobs.pop(index)
            for at, _ in held:
                del self.pools[at].jobs[index]
            cancel(job.lease)
        self.view.leave(index)
        for at, n_nodes in held:
            nodes = self.pools[at].nodes
            nodes.n_promised -= n_nodes
            nodes.take_back(index, now_s)
        for at, _ in held:
            self._hand_out(self.pools[at], now_s)

    def _hand_out(self, pool: PoolRun, now_s: float) -> None:
        """Give nodes that came free to jobs that lack some."""
        if not pool.is_quiet:
            handed_out = [near.hand_out(now_s) for near in pool.near]
            if any(handed_out):
                self.await_ends(pool.index)
        is_capped = pool.index in self.caps.cap_w or pool.index in self.limits.at
        if is_capped or self.peaks.is_kept:
            # once all is done that happens at this time
            self.calendar.at(now_s, Rank.POLICY, self._note)

    # -- what the policy decides -----------------------------------------------------------------

    def _stop(self, index: int, now_s: float) -> None:
        """Let a running job save, give back its nodes, and wait again."""
        if stay := self.stays.get(index):
            cancel(stay.ending)
            self._release_stay(stay, now_s)
            return
        job = self.jobs[index]
        if not job.is_leaving and job.stop(now_s, 0.0):  # else it ends in a moment
            job.then_leave = partial(self._release, job)
            self.view.stopping.add(index)
            job.when_saved(now_s, job.then_leave)

    def _release(self, job: Job, now_s: float) -> None:
        """Let a job whose save is complete, or was broken by a fault, wait again."""
        if self.jobs.get(job.index) is not job:
            return  # it has left
        job.leave(now_s)
        self.books.add(job)
        self._wait_again(job.index, job.position_s / job.plan.work_s, now_s)

    def _release_stay(self, stay: _Stay, now_s: float) -> None:
        position_s = min(stay.from_s + now_s - stay.start_s, stay.work_s)
        self._book_stay(stay, position_s, now_s)
        self._wait_again(stay.job, position_s / stay.work_s, now_s)

    def _wait_again(self, index: int, done_frac: float, now_s: float) -> None:
        self._give_back(index, now_s)
        self.view.enqueue(index, 1.0 - done_frac)
        self.books.wait(index, now_s)
        self._call_policy(now_s)

    def _resize(self, index: int, n_nodes: int, now_s: float) -> None:
        """Let a running job hold another number of nodes: more at once, fewer once it has saved."""
        job = self.jobs[index]
        if self.view.running[index].more:
            name = self.world.jobs[index].name
            what = f"resized {name}, which holds nodes of several pools"
            raise ComputePlanError(f"policy {self.world.policy} {what}")
        pool, held = self.pools[job.pool], job.allocation.on(job.pool).n_target
        self._check_size(index, pool, n_nodes)
        if n_nodes < held:
            if job.stop(now_s, job.allocation.shrinking.resize_s):
                self.view.shrinking[index] = n_nodes
                job.when_saved(now_s, partial(self._shrink, job))
            return
        if (n_more := n_nodes - held) > (room := self._room(pool)):
            raise ComputePlanError(
                f"policy {self.world.policy} gave {self.world.jobs[index].name} {n_more} more nodes"
                f" of {pool.spec.name}, which has room for {room}"
            )
        pool.nodes.n_promised += n_more
        pool.nodes.give_more(index, n_more, n_nodes, now_s)
        job.resize(now_s, n_nodes)
        self._is_resized(job, n_nodes, now_s)

    def _shrink(self, job: Job, now_s: float) -> None:
        """Let a job that has saved give back nodes; a save broken by a fault counts too."""
        n_nodes = self.view.shrinking.get(job.index)
        if self.jobs.get(job.index) is not job or n_nodes is None or job.is_leaving:
            return
        pool = self.pools[job.pool]
        pool.nodes.n_promised -= job.allocation.on(job.pool).n_target - n_nodes
        n_back = job.resize(now_s, n_nodes)
        pool.nodes.take_some(job.index, n_back, n_nodes, now_s)
        self._is_resized(job, n_nodes, now_s)
        self._hand_out(pool, now_s)
        self._call_policy(now_s)

    def _is_resized(self, job: Job, n_nodes: int, now_s: float) -> None:
        """Note that a running job holds another number of nodes."""
        self.view.resize(job.index, n_nodes)
        self.pools[job.pool].set_paces(now_s)
        self._await_end(job)

    def _book_stay(self, stay: _Stay, position_s: float, now_s: float) -> None:
        n_chips = self.view.nodes(stay.job, stay.pool) * self.pools[stay.pool].spec.chips_per_node
        self.books.add_stay(stay.job, stay.pool, position_s - stay.from_s, n_chips)
        if self.spans is not None and now_s > stay.start_s:
            self.spans.append(Span(stay.job, stay.pool, TRAIN, stay.start_s, now_s, n_chips))

    def _done_frac(self, index: int) -> float:
        """Return the share of the work of a running job that is done, and may yet be lost."""
        if stay := self.stays.get(index):
            return min((stay.from_s + self.view.now_s - stay.start_s) / stay.work_s, 1.0)
        job = self.jobs[index]
        return job.position_at(self.view.now_s) / job.plan.work_s

    def _ask_now(self, now_s: float) -> None:
        """Ask the policy once all is done that happens at this time: at once, if nothing is left.

        For what stands at the end of its event.
        """
        if self._has_to_ask(now_s):
            if self.calendar.is_last_at(now_s) and now_s < self.cut_s:
                self._ask_policy(now_s)
            else:
                self._call_policy(now_s)

    def _has_to_ask(self, now_s: float) -> bool:
        if self.is_due:
            return False
        return (
            len(self.view.queue) > 0
            or self.has_elastic
            or (self.has_services and self.services.is_unsettled(now_s))
        )

    def _call_policy(self, now_s: float) -> None:
        if self._has_to_ask(now_s):
            self.is_due = True
            self.calendar.at(now_s, Rank.POLICY, self._ask_policy)

    def _ask_again(self, now_s: float) -> None:
        self.again = None
        if not self.is_due:
            self._ask_policy(now_s)

    def _ask_policy(self, now_s: float) -> None:
        """Do what the policy decides, and ask again where one start took another's nodes.

        Pools that share spares offer them together: what one job has borrowed is gone for the next.
        """
        self.is_due, view = False, self.view
        view.now_s = now_s
        if self.has_services:
            self.services.settle(now_s)
            self.limits.look(now_s)
        if self.deferred:
            self._start_deferred(now_s)
        asks = not (self.deferred and (view.stopping or view.shrinking))
        while asks:
            self._look(now_s)
            decision = self.policy(view)
            view.memory = decision.memory
            if decision.cap_w:
                self.caps.decide(decision.cap_w)
            if self.again is not None:
                cancel(self.again)
                self.again = None
            if decision.again_s < math.inf:
                at_s = max(decision.again_s, now_s)
                self.again = self.calendar.at(at_s, Rank.POLICY, self._ask_again)
            asks = self._carry_out(decision, now_s)
        if self.limits.gave and not view.queue:
            self._grow_back(now_s)
        self._note(now_s)
        if self.quotas.are_there:
            self.quotas.note(now_s, self.pools)

    def _note(self, now_s: float) -> None:
        """Hold to caps and limits, and note what is held, free and drawn from now on."""
        view, spared_w = self.view, dict[int, float]()
        free = [pool.nodes.n_free for pool in self.pools] if view.queue else ()
        if self.caps.cap_w or self.limits.at:
            self._hold_to_caps(now_s)
            spared_w = self.caps.spared_w(view.held)
        self.books.note(now_s, free)
        self.peaks.note(now_s, view.held, spared_w, self.limits.flow_w())

    def _note_taken(self, now_s: float) -> None:
        """Note what is free from now on, where a fault changes it and no policy is asked."""
        if self.view.queue:
            self.books.note_taken(now_s, [pool.nodes.n_free for pool in self.pools])

    def _carry_out(self, decision: Decision, now_s: float) -> bool:
        """Stop, shrink, start and grow jobs; return whether the policy is to be asked again."""
        view = self.view
        if (decision.stop or decision.resize) and self._free_nodes(decision, now_s):
            self.deferred = list(decision.start)
            self._start_deferred(now_s)
            return False
        for n_before, start in enumerate(decision.start):
            if not self._has_power(start):
                continue  # it waits as for nodes
            if n_before and self._were_taken(start):
                return bool(view.queue)
            self._start(start, now_s)
        for index, n_nodes in decision.resize:
            if index not in view.stopping and index not in view.shrinking:
                self._resize(index, n_nodes, now_s)
        return False

    def _grow_back(self, now_s: float) -> None:
        """Let jobs have nodes back that they gave for power, as far as there is power again."""
        for index, pool, n_nodes in self.limits.owed():
            if n := min(n_nodes, self._room(self.pools[pool])):
                self._resize(index, self.limits.give_back(index, n), now_s)

    def _asked(self, start: Start) -> list[tuple[PoolRun, int]]:
        """Return of which pools a start takes how many nodes."""
        first = (start.pool, start.n_nodes or self.view.nodes(start.job, start.pool))
        return [(self.pools[at], n) for at, n in (first, *start.more)]

    def _were_taken(self, start: Start) -> bool:
        """Return whether a start lacks nodes or power that another one has taken since."""
        return any(
            n > self._room(pool)
            for pool, n in self._asked(start)
            if pool.nodes.others or pool.index in self.limits.at
        )

    def _has_power(self, start: Start) -> bool:
        """Return whether the sites of a mixed job have power for all its nodes together."""
        if not (start.more and self.limits.at):
            return True
        return self.limits.has_room([(pool.index, n) for pool, n in self._asked(start)])

    def _free_nodes(self, decision: Decision, now_s: float) -> bool:
        """Stop jobs, and let others shrink; return whether there is any."""
        view, shrinks = self.view, False
        for index in decision.stop:
            self._check_runs(index, "stopped")
            self._stop(index, now_s)
        for index, n_nodes in decision.resize:
            self._check_runs(index, "resized")
            if n_nodes < view.running[index].n_nodes:
                shrinks = True
                if index not in view.stopping and index not in view.shrinking:
                    self._resize(index, n_nodes, now_s)
        return shrinks or bool(decision.stop)

    def _hold_to_caps(self, now_s: float) -> None:
        """Let jobs on capped pools train as fast as what they hold allows from now on."""
        self.limits.hold(now_s)
        for p in self.limits.at:
            self.pools[p].nodes.set_power(now_s, self.caps.rest(p))
        for p, shares in self.caps.due(self.view.held):
            for job in self.pools[p].jobs.values():
                job.set_power(now_s, p, *shares)
            self.await_ends(p)

    def _room(self, pool: PoolRun) -> int:
        """Return the nodes of a pool that a job could hold now, as far as power goes too."""
        return self.limits.room(pool.index, pool.nodes.room) if self.limits.at else pool.nodes.room

    def _check_runs(self, index: int, what: str) -> None:
        if index not in self.view.running:
            name = self.world.jobs[index].name
            message = f"policy {self.world.policy} {what} {name}, which does not run"
            raise ComputePlanError(message)

    def _start_deferred(self, now_s: float) -> None:
        """Start what was to follow stops, in its order on each pool, as far as it can be.

        While jobs save before they give back their nodes, who lacks nodes waits for them; after
        that its start is void.
        """
        starts, self.deferred, waits = self.deferred, [], set[int]()
        for start in starts:
            has_room = all(n <= self._room(pool) for pool, n in self._asked(start))
            can = start.job in self.view.queue and has_room and self._has_power(start)
            at = {start.pool, *(pool for pool, _ in start.more)}
            if can and waits.isdisjoint(at):
                self._start(start, now_s)
            elif self.view.stopping or self.view.shrinking:
                self.deferred.append(start)
                waits |= at

    def _look(self, now_s: float) -> None:
        """Let the view tell what has changed since it was looked at."""
        view = self.view
        for pool in self.pools:
            nodes = pool.nodes
            if nodes.since_s >= self.looked_s or nodes.others or pool.index in self.limits.at:
                view.free[pool.index] = self._room(pool)
        self.looked_s = now_s
        self.limits.note_headroom()
        for job in self.changed.values():
            if job.runs and job.index in view.running:
                view.expect(job.index, self._expected_end(job, now_s))
        self.changed.clear()

    def _ledger(self, wall_s: float) -> Ledger:
        """Book what is under way at the end of the run, and return the ledger."""
        world, books = self.world, self.books
        is_done = world.ends_with_work and not self.n_open
        for stay in self.stays.values():
            self._book_stay(stay, stay.from_s + (wall_s - stay.start_s), wall_s)
        for job in self.jobs.values():
            job.close(wall_s)
            books.add(job)
        for pool in self.pools:
            pool.nodes.book(wall_s)
        self.services.close(wall_s)
        self.quotas.close(wall_s)
        battery_j, net_j, battery_w = self.limits.close(wall_s)
        of_services = self.services.books(len(books.weights))
        peak_w, month_peak_w = self.peaks.close(wall_s, self.services.accounts)
        ledger = books.ledger(
            wall_s,
            self.slower,
            [pool.nodes.books for pool in self.pools],
            of_services,
            [pool.nodes.groups for pool in self.pools],
            list(self.view.queue),
            self.spans,
            [pool.nodes.told for pool in self.pools],
            self.quotas.over_chip_s,
            peak_w,
            self.counts
            | {
                "quota_violations": self.quotas.n_violations,
                "repairs": [pool.repairs.n_repairs for pool in self.pools],
                "retired": [arrivals.effects.generations.n_retired for arrivals in self.arrivals],
                "in_repair": [pool.nodes.n_in_repair * is_done for pool in self.pools],
            },
        )
        if self.moves is not None:
            ledger = replace(ledger, sent_bytes=(books.sent_bytes + self.moves.sent_bytes)[None])
        shown = self.services.serving()
        ledger = replace(ledger, month_peak_w=month_peak_w, serving=shown)
        if not self.world.limits:
            return ledger
        return replace(ledger, battery_j=battery_j, battery_net_j=net_j, battery_w=battery_w)
