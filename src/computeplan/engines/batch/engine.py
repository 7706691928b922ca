"""Many runs at once: NumPy over rows, one row a run, one arrival of every run per turn.

Plays worlds in which every job stands alone on a pool from t = 0: nothing queues, and pools do not
touch each other. Between two arrivals everything is arithmetic: a job trains, saves and restarts by
closed form, so a turn costs the same whether minutes or months lie between. What a turn does stands
in ``rows.py``, and where nodes are in ``nodes.py``.
"""

from __future__ import annotations

import math

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.batch.books import MISSING
from computeplan.engines.batch.peaks import peaks
from computeplan.engines.batch.rolling_rows import RollingRows
from computeplan.engines.batch.rows import Rows
from computeplan.engines.batch.tiered_rows import TieredRows
from computeplan.engines.batch.turns import ReturningTurns, Turns
from computeplan.errors import UnsupportedByEngine
from computeplan.ledger import (
    BLOCKED,
    COUNTS,
    IDLE,
    LOST,
    PHASES,
    REPAIR,
    RESTART,
    SAVE,
    SERVICE_STATES,
    TRAIN,
    Ledger,
    make_ledger,
)
from computeplan.trace import Trace
from computeplan.trace.streams import BLOCK
from computeplan.trace.trace import step_factors
from computeplan.world.features import features, first_refused
from computeplan.world.jobs import Job
from computeplan.world.world import World

__all__ = ["NOT_TOGETHER", "PLAYS", "play", "rows_at_once", "why_unsupported"]

PLAYS = features(
    "several_jobs asynchronous_saves tiers never_saves keeps_several replay memory lemons relapse"
    " groups uncertain_rate uncertain_step automatic_repair busy_clock busy_repairs wall_repairs"
    " crews booting_spares planned_stops rolling listed_stops late_stops horizon signals"
)
NOT_TOGETHER = (("rolling", "asynchronous_saves"), ("rolling", "tiers"))
_WHY = {
    "arrives_later": "a job that comes later may have to queue",
    "shared_storage": "how fast it writes depends on what others write",
    "shrinks": "how fast it trains changes with the nodes it has",
    "shrinks_never": "how fast it trains changes with the nodes it has",
    "several_pools": "{about} pools could hold it, so a policy decides",
    "shared_pool": "shares pool {about} with another job",
    "caps_power": "policy {about} holds jobs to a power cap",
    "moves": "the data of a job lies at another site",
    "pauses": "policy {about} lets jobs pause",
    "share_spares": "what one pool lacks another may have to spare",
    "found_late": "it is noticed later, when other things have happened",
    "slows": "how fast a job trains changes while it trains",
    "throttle": "how fast a job trains changes while it trains",
    "placement": "it does not know which nodes a job holds",
    "crews_after_random": "an automatic repair of random length comes before the crews",
    "crews_after_unlike": "automatic repairs of different lengths come before the crews",
    "replay_from_0": "a fault at time 0 comes before the jobs, which hold other nodes then",
    "retire": "which nodes are retired depends on all faults that they had",
    "rolling": "saves are not complete when training goes on",
}

MOST_BLOCKS = 32  # 2,048 runs: enough to hide NumPy's cost per call, few enough for the cache
MOST_CELLS = 4e6  # arrivals or places x runs; a cell takes some 60 bytes


def why_unsupported(world: World) -> tuple[str, str] | None:
    """Return path and reason of what this engine cannot play in a world, or None."""
    refused = first_refused(world.features, PLAYS, NOT_TOGETHER)
    if refused is None:
        return None
    return refused.path, _WHY.get(refused.name, "it does not know this").format(about=refused.about)


def rows_at_once(world: World) -> int:
    """Return how many runs to play together: many for speed, few where each needs much memory.

    Arrivals are drawn for a block of runs at a time, so that fewer would not take less.
    """
    most_places = most_arrivals = 1.0
    for p, pool in enumerate(world.pools):
        held = max((int(job.n_nodes[p]) for job in world.jobs), default=0)
        if held:
            places = pool.n_nodes + pool.n_spare_nodes - held + (pool.n_crews or 0)
            most_places = max(most_places, places)
        most_arrivals = max(most_arrivals, world.n_arrivals(p))
    fit = MOST_CELLS / max(most_places, most_arrivals)
    if fit >= BLOCK:
        return int(min(MOST_BLOCKS, fit / BLOCK)) * BLOCK
    return int(max(1, min(BLOCK, MOST_CELLS / most_places)))


def play(world: World, seed: int, first_run: int, n_runs: int) -> Ledger:
    """Return the books of a range of runs.

    Parameters
    ----------
    world : World
        What to play.
    seed : int
        Root of all samples.
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
    trace = Trace(world, seed, first_run, n_runs)
    slower = step_factors(world, trace)
    job_on = {job.pools_under(world.policy)[0]: i for i, job in enumerate(world.jobs)}
    turns = [
        ReturningTurns(trace, p, pool) if pool.comes_back else Turns(trace, p)
        for p, pool in enumerate(world.pools)
    ]
    work = world.work_factor(slower)
    rows = {p: _play_job(world, turns[p], p, job, work[:, job, p]) for p, job in job_on.items()}
    wall_s = np.full(n_runs, world.cut_s)
    if world.ends_with_work:
        ends_s = np.maximum.reduce([pool_rows.end_s for pool_rows in rows.values()])
        wall_s = np.minimum(ends_s, world.cut_s)
    books = _Books(world, slower, wall_s)
    for pool in range(len(world.pools)):
        pool_rows = rows.get(pool) or _rows(world, pool, None, np.ones(n_runs))
        if (pool_rows.end_s < wall_s).any():
            pool_rows.play_idle(turns[pool], wall_s)
        books.add(pool_rows, pool, job_on.get(pool))
    return make_ledger(books.ledger(), world.n_chips)


def _rows(world: World, pool: int, job: Job | None, slower: FloatArray) -> Rows:
    if job is not None and job.tiers_on(pool):
        return TieredRows(world, pool, job, slower)
    is_rolling = any(stop.effect.n_nodes for stop in world.pools[pool].stops)
    return (RollingRows if is_rolling else Rows)(world, pool, job, slower)


def _play_job(world: World, turns: Turns, pool: int, job: int, slower: FloatArray) -> Rows:
    """Return the rows of one job when each has ended or was cut."""
    rows = _rows(world, pool, world.jobs[job], slower)
    from_s, until_s = -1.0, world.first_look_s(job, pool)
    while True:
        rows.play(turns, from_s, until_s)
        if rows.close(until_s):
            return rows
        from_s, until_s = until_s, world.longer_look_s(until_s, world.jobs[job].name)


class _Books:
    """Turns the rows of every pool into one ledger."""

    def __init__(self, world: World, slower: FloatArray, wall_s: FloatArray) -> None:
        self.world, self.wall_s, self.weights = world, wall_s, ("seconds", *world.signals)
        self.slower, n_runs = slower, len(wall_s)
        self.factor = world.work_factor(slower)
        n_jobs, n_pools, n_kinds = len(world.jobs), len(world.pools), len(world.kind_names)
        self.booked = np.zeros((n_runs, n_jobs + 1, n_pools, len(PHASES), len(self.weights)))
        self.chip_s = self.booked[..., 0]
        self.job_s = np.zeros((n_runs, n_jobs, len(PHASES) + 1))
        self.n_held, self.ends_s = [0] * n_pools, dict[int, FloatArray]()
        self.kept_frac = np.zeros((n_runs, n_jobs))
        self.end_s = np.full((n_runs, n_jobs), math.inf)
        by_kind, by_pool = (n_runs, n_kinds), (n_runs, n_pools)
        shapes = dict.fromkeys(("repairs", "retired", "in_repair", "placed", "beyond"), by_pool)
        shapes |= dict.fromkeys(("from_start", "stays"), (n_runs, n_jobs))
        shapes["quota_violations"] = (n_runs, len(world.tenants.names))
        self.counts = {n: np.zeros(shapes.get(n, by_kind), dtype=np.int64) for n in COUNTS}

    def add(self, rows: Rows, pool: int, job: int | None) -> None:
        """Book one pool."""
        chips = self.world.pools[pool].chips_per_node
        held_s = np.minimum(rows.end_s, self.wall_s)
        idle_s, repair_s, n_listed = rows.nodes.totals(self.wall_s)
        idle_s = idle_s + (rows.n_nodes - n_listed) * (self.wall_s - held_s)
        self.chip_s[:, -1, pool, IDLE] = idle_s * chips
        self.chip_s[:, -1, pool, REPAIR] = repair_s * chips
        if rows.weights:
            weighted = rows.nodes.weigh_rest(held_s, self.wall_s, rows.n_nodes) * chips
            self.booked[:, -1, pool, [IDLE, REPAIR], 1:] = weighted.transpose(2, 1, 0)
        self.counts["interruptions"] += rows.counts.interruptions.T
        self.counts["idle_faults"] += rows.counts.idle_faults.T
        self.counts["repairs"][:, pool] = rows.nodes.n_repairs
        is_done = self.world.ends_with_work & (self.wall_s < self.world.cut_s)
        self.counts["in_repair"][:, pool] = rows.nodes.n_in_repair(self.wall_s) * is_done
        if job is None:
            return
        phases = {
            TRAIN: rows.kept_s() + rows.last_s,
            LOST: rows.lost_s,
            SAVE: rows.saved_s(),
            RESTART: rows.restarted_s,
            BLOCKED: rows.blocked_s,
        }
        for phase, seconds in phases.items():
            self.job_s[:, job, phase] = seconds
            self.chip_s[:, job, pool, phase] = seconds * (rows.n_held * chips)
        # What it lacks, all the while.
        self.chip_s[:, job, pool, BLOCKED] -= rows.missing_node_s * chips
        work_s = self.world.jobs[job].train_s[pool] * self.factor[:, job, pool]
        self.n_held[pool], self.ends_s[pool] = rows.n_held, rows.end_s
        self.kept_frac[:, job] = phases[TRAIN] / work_s
        self.counts["stays"][:, job] = 1
        self.end_s[:, job] = rows.end_s
        if rows.weights:
            weighted = rows.weights.booked * chips
            by_phase = weighted[:, :MISSING] * rows.n_held
            by_phase[:, BLOCKED] -= weighted[:, MISSING]
            self.booked[:, job, pool, :, 1:] = by_phase.transpose(2, 1, 0)

    def ledger(self) -> Ledger:
        """Return the ledger."""
        peak_w, month_peak_w = peaks(self.world, self.n_held, self.ends_s, self.wall_s)
        return Ledger(
            booked=self.booked,
            job_s=self.job_s,
            kept_frac=self.kept_frac,
            first_start_s=np.zeros_like(self.end_s),
            end_s=self.end_s,
            wall_s=self.wall_s,
            waiting_idle_chip_s=np.zeros(len(self.wall_s)),
            peak_w=peak_w,
            month_peak_w=month_peak_w,
            step_factor=self.slower,
            served=np.zeros((len(self.wall_s), 0, len(self.world.pools), len(self.weights))),
            loaded=np.zeros((len(self.wall_s), 0, len(self.world.pools), len(self.weights))),
            lacked_chip_s=np.zeros((len(self.wall_s), 0)),
            by_state_chip_s=np.zeros(
                (len(self.wall_s), 0, len(self.world.pools), len(SERVICE_STATES))
            ),
            needed_unit_s=np.zeros((len(self.wall_s), 0)),
            missed_unit_s=np.zeros((len(self.wall_s), 0)),
            n_again=np.zeros((len(self.wall_s), 0)),
            lent_chip_s=np.zeros((len(self.wall_s), len(self.world.pools))),
            spread_chip_s=np.zeros((len(self.wall_s), len(self.world.pools))),
            in_parts_chip_s=np.zeros((len(self.wall_s), len(self.world.pools))),
            over_quota_chip_s=np.zeros((len(self.wall_s), len(self.world.tenants.names))),
            counts=self.counts,
            weights=self.weights,
        )
