"""What jobs did in one run: their own books once a stay on nodes is over, by job or by kind.

A job may hold nodes several times, on several pools. Chip-seconds are added up by job, or by kind
where there are many jobs; seconds, start and end are kept of every job. Stays where nothing could
happen are written down and added up at the end, all at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from operator import mul

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.event.books import WEIGHTS, Books, joined
from computeplan.engines.event.groups import Groups
from computeplan.engines.event.job import Job
from computeplan.ledger import LOST, PHASES, QUEUE, TRAIN, Ledger, Span
from computeplan.world.world import World

__all__ = ["JobBooks"]


class JobBooks:
    """The books of all jobs of a run.

    `factor` is how many times its nominal training time each takes, shape (n_jobs, n_pools).
    """

    def __init__(self, world: World, factor: FloatArray) -> None:
        n_jobs, weights = len(world.jobs), (*WEIGHTS, *world.signals)
        self.of_signals = slice(len(WEIGHTS), len(weights))
        self.of_capped = slice(len(weights), len(weights) + len(world.signals))
        weights += tuple(f"capped {name}" for name in world.signals)
        self.world, self.weights = world, weights
        self.group, self.factor = world.jobs.group, factor
        shape = (world.jobs.n_groups + 1, len(world.pools), len(PHASES), len(weights))
        self.booked = np.zeros(shape)
        self.sent_bytes = np.zeros((world.jobs.n_groups, len(world.pools)))
        self.job_s = np.zeros((n_jobs, len(PHASES) + 1))
        self.kept_frac = np.zeros(n_jobs)
        self.n_from_start = np.zeros(n_jobs, dtype=np.int64)
        self.n_stays, self.queue_s = [0] * n_jobs, [0.0] * n_jobs
        self.start_s, self.end_s = [math.inf] * n_jobs, [math.inf] * n_jobs
        self.arrival_s = np.ascontiguousarray(world.job_table.arrival_s).data
        self.waits_since_s: dict[int, float] = {}  # of jobs that have run before
        self.last_end_s = self.since_s = self.idle_chips = self.waiting_idle_chip_s = 0.0
        self.chips_per_node = [pool.chips_per_node for pool in world.pools]
        self.stays: list[float] = []  # of each its job, pool, seconds, chips

    def note(self, now_s: float, free: Sequence[int]) -> None:
        """Note how many nodes of each pool are free from now on while jobs wait."""
        self._note_idle(now_s, sum(map(mul, free, self.chips_per_node)))

    def note_taken(self, now_s: float, free: Sequence[int]) -> None:
        """Note how many nodes are free from now on, if faults took some while jobs wait."""
        idle_chips = sum(map(mul, free, self.chips_per_node))
        if idle_chips != self.idle_chips:
            self._note_idle(now_s, idle_chips)

    def _note_idle(self, now_s: float, idle_chips: float) -> None:
        self.waiting_idle_chip_s += (now_s - self.since_s) * self.idle_chips
        self.since_s, self.idle_chips = now_s, idle_chips

    def begin(self, job: int, now_s: float) -> None:
        """Note that a job holds nodes."""
        if self.start_s[job] == math.inf:
            self.start_s[job] = now_s
            self.queue_s[job] = now_s - self.arrival_s[job]
        else:
            self.queue_s[job] += now_s - self.waits_since_s.pop(job)
        self.n_stays[job] += 1

    def wait(self, job: int, now_s: float) -> None:
        """Note that a job waits again."""
        self.waits_since_s[job] = now_s

    def end(self, job: int, now_s: float) -> None:
        """Note that a job has done its work."""
        self.end_s[job] = self.last_end_s = now_s

    def unfinished(self) -> Iterator[int]:
        """Return the jobs that have not ended."""
        return map(int, np.flatnonzero(np.isinf(self.end_s)))

    def add(self, job: Job) -> None:
        """Add a stay that is over."""
        for part in job.allocation.parts:
            at, books = self.booked[self.group[job.index], part.pool], part.books
            at[:, 0] += books.chip_s[:-1]
            at[:, self.of_signals] += books.weighted
            at[:, self.of_capped] += books.capped_weighted
            at[[TRAIN, LOST], 1] += job.slow_chip_s(part)
            at[:, 2] += books.capped_chip_s
        for pool, n_bytes in job.sent_bytes():
            self.sent_bytes[self.group[job.index], pool] += n_bytes
        self.job_s[job.index] += books.job_s  # all parts do the same at the same time
        self.kept_frac[job.index] += job.kept_s / job.plan.work_s
        self.n_from_start[job.index] += job.n_from_start

    def add_stay(self, job: int, pool: int, train_s: float, n_chips: int) -> None:
        """Add a stay in which a job trained, and nothing else."""
        self.stays += (job, pool, train_s, n_chips)

    def ledger(
        self,
        wall_s: float,
        step_factor: FloatArray,
        unallocated: Sequence[Books],
        services: Mapping[str, FloatArray],
        placed: Sequence[Groups | None],
        waiting: Sequence[int],
        spans: list[Span] | None,
        told: Sequence[list[tuple[float, ...]] | None],
        over_quota_chip_s: Sequence[float],
        peak_w: float,
        counts: Mapping[str, Sequence[int]],
    ) -> Ledger:
        """Return the ledger of the run, which ends at a time with some jobs waiting.

        `services` is what the ledger has of them, by its fields; `placed` are the groups of each
        pool with a placement; `told` is what nobody held, if spans are kept.
        """
        self._add_stays()
        self._end_waiting(wall_s, waiting)
        for p, books in enumerate(unallocated):
            self.booked[-1, p, :, 0] = books.chip_s[:-1]
            self.booked[-1, p, :, self.of_signals] = books.weighted
            self.booked[-1, p, :, 2] = books.capped_chip_s
            self.booked[-1, p, :, self.of_capped] = books.capped_weighted
        chips = np.array(self.chips_per_node)
        found = [(g.spread_node_s, g.in_parts_node_s) if g else (0.0, 0.0) for g in placed]
        spread_chip_s, in_parts_chip_s = chips * np.array(found).reshape(-1, 2).T
        return Ledger(
            booked=self.booked[None],
            job_s=self.job_s[None],
            kept_frac=self.kept_frac[None],
            first_start_s=np.array([self.start_s]),
            end_s=np.array([self.end_s]),
            wall_s=np.array([wall_s]),
            waiting_idle_chip_s=np.array([self.waiting_idle_chip_s]),
            peak_w=np.array([peak_w]),
            step_factor=step_factor[None],
            counts={
                **{name: np.array([found]) for name, found in counts.items()},
                "from_start": self.n_from_start[None],
                "stays": np.array([self.n_stays], dtype=np.int64),
                "placed": np.array([[g.n_starts if g else 0 for g in placed]]),
                "beyond": np.array([[g.n_beyond if g else 0 for g in placed]]),
            },
            **{name: found[None] for name, found in services.items()},
            spread_chip_s=spread_chip_s[None],
            in_parts_chip_s=in_parts_chip_s[None],
            over_quota_chip_s=np.array([over_quota_chip_s]),
            weights=self.weights,
            spans=None if spans is None else joined(spans),
            unallocated=None if spans is None else _by_pool(told),
        )

    def _end_waiting(self, wall_s: float, waiting: Sequence[int]) -> None:
        """Count what waits, and what is idle meanwhile, to the end of the run."""
        self._note_idle(wall_s, self.idle_chips)
        for job in waiting:
            since_s = self.waits_since_s.get(job, self.arrival_s[job])
            self.queue_s[job] += max(wall_s - since_s, 0.0)
        self.job_s[:, QUEUE] = self.queue_s

    def _add_stays(self) -> None:
        if not self.stays:
            return
        jobs, pools, trained_s, n_chips = np.array(self.stays).reshape(-1, 4).T
        jobs, pools = jobs.astype(int), pools.astype(int)
        n_pools = self.booked.shape[1]
        at = self.group[jobs] * n_pools + pools
        chip_s = np.bincount(at, trained_s * n_chips, len(self.booked) * n_pools)
        self.booked[:, :, TRAIN, 0] += chip_s.reshape(-1, n_pools)
        n_jobs = len(self.kept_frac)
        self.job_s[:, TRAIN] += np.bincount(jobs, trained_s, n_jobs)
        work_s = (self.world.jobs.train_s * self.factor)[jobs, pools]
        self.kept_frac += np.bincount(jobs, trained_s / work_s, n_jobs)


def _by_pool(told: Sequence[list[tuple[float, ...]] | None]) -> FloatArray:
    """Return what nobody held, as `Ledger.unallocated`."""
    rows = [(p, *row) for p, of_pool in enumerate(told) for row in of_pool or ()]
    return np.array(rows, dtype=np.float64).reshape(-1, 5)
