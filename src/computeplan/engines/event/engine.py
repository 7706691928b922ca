"""One run at a time, on SimPy: plays everything, and is the reference.

What happens is an entry of the calendar, with an exact time and a rank. There is no event for the
end of a restart, and none for a checkpoint but where jobs share storage: between two faults the
books of a job follow from when it began to train (``job.py``). There is no process per node or
chip. What faults do is in ``fault_effects.py``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import partial

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.event.books import joined
from computeplan.engines.event.calendar import Calendar, Rank
from computeplan.engines.event.fault_effects import PLAYED, FaultEffects
from computeplan.engines.event.job import Job
from computeplan.engines.event.pool import PoolRun
from computeplan.engines.event.storage import Storage
from computeplan.errors import ComputePlanError, UnsupportedByEngine
from computeplan.ledger import LOST, PHASES, TRAIN, Ledger, Span, concatenate, make_ledger
from computeplan.scheduling.registry import load_policy
from computeplan.scheduling.view import View
from computeplan.trace import Trace
from computeplan.trace.one_run import RunSamples
from computeplan.trace.streams import BLOCK
from computeplan.trace.trace import step_factors
from computeplan.world.features import features, first_refused
from computeplan.world.world import World

__all__ = ["PLAYS", "play", "rows_at_once", "why_unsupported"]

MOST_CELLS = 8e6  # of the books of all runs that are played together: some 0.1 GB

PLAYS = PLAYED | features(
    "several_jobs several_pools shared_pool arrives_later shared_storage shrinks shrinks_never"
    " asynchronous_saves tiers never_saves keeps_several share_spares replay replay_from_0 memory"
    " lemons relapse groups uncertain_rate uncertain_step automatic_repair busy_clock busy_repairs"
    " wall_repairs throttle crews crews_after_random crews_after_unlike retire booting_spares"
    " listed_stops late_stops horizon signals"
)


def why_unsupported(world: World) -> tuple[str, str] | None:
    """Return path and reason of what this engine cannot play in a world, or None."""
    refused = first_refused(world.features, PLAYS)
    return None if refused is None else (refused.path, "it does not know this")


def rows_at_once(world: World) -> int:
    """Return how many runs to play together: as many as are drawn together, if their books fit."""
    cells = (len(world.jobs) + 1) * len(world.pools) * len(PHASES) * (2 + len(world.signals))
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
        jobs = self.run.jobs
        waiting = ", ".join(job.spec.name for job in jobs if math.isinf(job.end_s))
        self.look_s = self.run.world.longer_look_s(now_s, waiting)
        self._draw()
        self.run.await_ends(self.pool)


class _Run:
    """One run: its jobs, its pools, and the policy."""

    def __init__(
        self, world: World, trace: Trace, run: int, slower: FloatArray, *, timeline: bool
    ) -> None:
        self.world, self.trace, self.run, self.slower = world, trace, run, slower
        work = world.work_factor(slower)
        self.cut_s = world.cut_s
        self.calendar = Calendar((world.cut_s, Rank.FAULT))  # a last save may end with the run
        self.spans: list[Span] | None = [] if timeline else None
        storages = defaultdict[str, Storage](lambda: Storage(self.calendar))
        self.jobs = [
            Job(i, spec, work[i].tolist(), self.calendar, storages, self._end, self.spans)
            for i, spec in enumerate(world.jobs)
        ]
        counted = ("interruptions", "idle_faults", "slowdowns")
        self.counts = {name: [0] * len(world.kind_names) for name in counted}
        self.pools = []
        for p, spec in enumerate(world.pools):
            then = (partial(self.await_ends, p), self._call_policy)
            self.pools.append(PoolRun(p, spec, self.calendar, world.signals_of(p), *then))
        for near in world.sharing:
            for p in near:
                self.pools[p].share_spares([self.pools[other] for other in near if other != p])
        self.queue: list[int] = []
        self.n_open = len(self.jobs)
        self.policy, self.policy_due = load_policy(world.policy), False
        # Whether the next fault is not known, as it may follow from what has not happened yet, or
        # be on nodes of another pool.
        self.is_open = [
            pool.spec.comes_back or pool.spec.retire is not None or len(pool.near) > 1
            for pool in self.pools
        ]
        self.arrivals = []
        for p, pool in enumerate(self.pools):
            effects = FaultEffects(pool, trace, run, self.jobs, self.counts)
            self.arrivals.append(_Arrivals(self, p, effects))

    def play(self) -> Ledger:
        """Return the books of the run."""
        for job in self.jobs:
            arrive = partial(self._arrive, job)
            self.calendar.at(job.spec.arrival_s, Rank.ARRIVAL, arrive, node=job.index)
        self.calendar.run()
        if self.n_open and math.isinf(self.cut_s):
            waiting = ", ".join(self.jobs[j].spec.name for j in self.queue) or "a blocked job"
            message = f"policy {self.world.policy} leaves jobs waiting for ever: {waiting}"
            raise ComputePlanError(message)
        if self.n_open or not self.world.ends_with_work:
            return self._ledger(self.cut_s)
        return self._ledger(max(job.end_s for job in self.jobs))

    def _arrive(self, job: Job, now_s: float) -> None:
        job.since_s = now_s
        self.queue.append(job.index)
        self._call_policy(now_s)

    def _start(self, job: Job, pool: int, now_s: float) -> None:
        place, n = self.pools[pool], int(job.spec.n_nodes[pool])
        if n == 0 or n > place.nodes.room:
            message = (
                f"policy {self.world.policy} placed {job.spec.name} ({n} nodes) on"
                f" {place.spec.name}, which has room for {place.nodes.room}"
            )
            raise ComputePlanError(message)
        place.nodes.n_promised += n
        place.nodes.give_many(job.index, n, now_s)
        job.start(pool, place.spec, self.world.signals_of(pool), now_s)
        place.jobs.append(job)
        place.set_paces(now_s)
        self.await_ends(pool)

    def await_ends(self, pool: int) -> None:
        """Await the ends of jobs that train, unless a fault comes before: then look again."""
        next_s = math.inf if self.is_open[pool] else self.arrivals[pool].next_s
        latest_s = min(next_s, self.cut_s)
        for near in self.pools[pool].near:
            for job in near.jobs:
                if job.ending is None and job.may_end_by(latest_s):
                    end_s = job.ahead(0.0).end_s
                    if end_s <= latest_s:
                        at = (end_s, Rank.JOB_ENDS, partial(self._end, job), near.index, job.index)
                        job.ending = self.calendar.at(*at)

    def _end(self, job: Job, now_s: float) -> None:
        job.end(now_s)
        self.n_open -= 1
        if not self.n_open and self.world.ends_with_work:
            self.calendar.entries.clear()  # nothing will ask where its nodes went
            return
        pool = self.pools[job.pool]
        pool.jobs.remove(job)
        pool.nodes.n_promised -= job.allocation.n_nodes
        pool.nodes.take_back(job.index, now_s)
        handed_out = [near.hand_out(now_s) for near in pool.near]
        if any(handed_out):
            self.await_ends(job.pool)
        self._call_policy(now_s)

    def _call_policy(self, now_s: float) -> None:
        if self.queue and not self.policy_due:
            self.policy_due = True
            self.calendar.at(now_s, Rank.POLICY, self._ask_policy)

    def _ask_policy(self, now_s: float) -> None:
        """Start the jobs that the policy places, and ask again where one took another's nodes.

        Pools that share spares offer them together: what one job has borrowed is gone for the next.
        """
        self.policy_due, asks = False, True
        while self.queue and asks:
            asks = False
            for n_before, (index, pool) in enumerate(self.policy(self._view(now_s))):
                nodes, job = self.pools[pool].nodes, self.jobs[index]
                asks = bool(n_before and nodes.others and job.spec.n_nodes[pool] > nodes.room)
                if asks:
                    break
                self.queue.remove(index)
                self._start(job, pool, now_s)

    def _view(self, now_s: float) -> View:
        """Return what the policy may see."""
        running: list[list[tuple[float, int]]] = [[] for _ in self.pools]
        for job in self.jobs:
            if job.runs:
                has_faults = self.world.pools[job.pool].fault_rate_per_node_s > 0
                end_s = job.expected_end(now_s, has_faults=has_faults)
                running[job.pool].append((end_s, job.allocation.n_nodes))
        return View(
            now_s=now_s,
            queue=tuple(self.queue),
            free=tuple(pool.nodes.room for pool in self.pools),
            running=tuple(map(tuple, running)),
            n_nodes=self.world.n_nodes,
            wall_s=self.world.wall_s,
            energy_j=self.world.energy_j,
            deadline_s=np.array([job.deadline_s for job in self.world.jobs]),
            home=np.array([job.home for job in self.world.jobs]),
        )

    def _ledger(self, wall_s: float) -> Ledger:
        """Book what is under way at the end of the run, and return the ledger."""
        world, jobs, pools = self.world, self.jobs, self.pools
        is_done = world.ends_with_work and not self.n_open
        retired = [arrivals.effects.generations.n_retired for arrivals in self.arrivals]
        n_weights = 2 + len(world.signals)
        booked = np.zeros((1, len(jobs) + 1, len(pools), len(PHASES), n_weights))
        for job in jobs:
            job.close(wall_s)
            if job.pool >= 0:
                at = booked[0, job.index, job.pool]
                at[:, 0], at[:, 2:] = job.books.chip_s[:-1], job.books.weighted
                at[[TRAIN, LOST], 1] = job.slow_chip_s()
        for p, pool in enumerate(pools):
            pool.nodes.book(wall_s)
            at = booked[0, -1, p]
            at[:, 0], at[:, 2:] = pool.nodes.books.chip_s[:-1], pool.nodes.books.weighted
        return Ledger(
            booked=booked,
            job_s=np.array([[job.books.job_s for job in jobs]]),
            first_start_s=np.array([[job.start_s for job in jobs]]),
            end_s=np.array([[job.end_s for job in jobs]]),
            wall_s=np.array([wall_s]),
            step_factor=self.slower[None],
            counts={
                **{name: np.array([counts]) for name, counts in self.counts.items()},
                "repairs": np.array([[pool.repairs.n_repairs for pool in pools]]),
                "retired": np.array([retired]),
                "in_repair": np.array([[pool.nodes.n_in_repair * is_done for pool in pools]]),
                "from_start": np.array([[job.n_from_start for job in jobs]]),
            },
            weights=("seconds", "slow", *world.signals),
            spans=None if self.spans is None else joined(self.spans),
        )
