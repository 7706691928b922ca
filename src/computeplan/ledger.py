"""The books of a block of runs: every chip-second once.

An engine writes one ledger; every number we report is arithmetic on it. The conservation law is
checked whenever a ledger is made: over jobs, phases and services, the chip-seconds of a pool add up
to its chips times the length of the run. Engines book idle time from its own spans, never as what
is left over, so that the law can fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.quantities import PHASES, SERVICE_STATES

__all__ = [
    "BLOCKED",
    "COUNTS",
    "FIRST_SERVICE",
    "IDLE",
    "LOST",
    "PHASES",
    "QUEUE",
    "REPAIR",
    "RESTART",
    "SAVE",
    "SERVICE_STATES",
    "TRAIN",
    "Ledger",
    "Span",
    "concatenate",
    "make_ledger",
]

TRAIN, LOST, SAVE, RESTART, BLOCKED, IDLE, REPAIR = range(len(PHASES))
QUEUE = len(PHASES)  # the extra column of job_s
FIRST_SERVICE = -2  # in spans; others at lower numbers
TOLERANCE = 1e-9
COUNTS = {
    "interruptions": "faults on nodes that a job held, and planned stops of jobs, by kind",
    "idle_faults": "faults on nodes that are unallocated, by kind",
    "slowdowns": "faults that held a job back and did not stop it, by kind",
    "repairs": "nodes sent to repair, planned maintenance not counted, by pool",
    "retired": "nodes taken out for good, by pool; until new ones stand there, their chips are"
    " booked as in repair",
    "in_repair": "nodes in repair when the last job ends, by pool; 0 where the run was cut",
    "stays": "times that a job was given nodes, by job",
    "placed": "times that a job was given nodes of a pool with a placement, by pool",
    "beyond": "groups on which jobs then lay beyond the least that could hold them, by pool",
    "quota_violations": "times that a tenant began to hold more of a pool than its quota while"
    " another waited below its own, by tenant",
    "from_start": "times that a job began again because every save kept may hold damage, by job",
}
"""What is counted, by name; the last axis is kinds, pools, tenants or jobs of the world."""


@dataclass(frozen=True, slots=True)
class Span:
    """Who did what when, on one pool, in one run."""

    job: int
    pool: int
    """Indices in the world; job -1 is unallocated, -2 the first service, -3 the next."""
    phase: int
    """Index in `PHASES`."""
    start_s: float
    end_s: float
    """Wall time. [s]"""
    n_chips: float
    """Chips in that phase; a part of one where replicas of a smaller job share nodes."""
    drawn_frac: float = 1.0
    """Share of the power of the phase that a power cap leaves."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Books of `n_runs` runs of one world."""

    booked: FloatArray
    """Chip-seconds times a weight; the last job is chips that are unallocated. Weight 0 is one:
    plain chip-seconds; shape (n_runs, n_jobs + 1, n_pools, n_phases, n_weights). [s x weight]"""
    job_s: FloatArray
    """Seconds of a job by phase; the last column is the queue; shape (n_runs, n_jobs, n_phases +
    1). [s]"""
    kept_frac: FloatArray
    """The share of its work that each job kept; shape (n_runs, n_jobs)."""
    first_start_s: FloatArray
    """inf if never; shape (n_runs, n_jobs). [s]"""
    end_s: FloatArray
    """inf if unfinished where the run was cut; shape (n_runs, n_jobs). [s]"""
    wall_s: FloatArray
    """Length of the run; shape (n_runs,). [s]"""
    waiting_idle_chip_s: FloatArray
    """Chip-seconds that nobody held while a job waited; shape (n_runs,). [s]"""
    peak_w: FloatArray
    """The most that all sites together take from outside at a time, at the PUE of that time, if
    what jobs hold trains as fast as caps let it, and services draw by their load; shape
    (n_runs,). [W]"""
    step_factor: FloatArray
    """How many times its nominal training time each job took; shape (n_runs, n_jobs, n_pools)."""
    served: FloatArray
    """Chip-seconds times a weight that services hold; shape (n_runs, n_services, n_pools,
    n_weights). [s x weight]"""
    loaded: FloatArray
    """Those that their work would take if all chips gave what they can; shape (n_runs, n_services,
    n_pools, n_weights). [s x weight]"""
    lacked_chip_s: FloatArray
    """Chip-seconds that services needed and did not have; shape (n_runs, n_services). [s]"""
    by_state_chip_s: FloatArray
    """Chip-seconds that services hold, by what these do, as `SERVICE_STATES`; shape (n_runs,
    n_services, n_pools, n_states). [s]"""
    needed_unit_s: FloatArray
    """What services needed by the hour, in their units; shape (n_runs, n_services). [units x s]"""
    missed_unit_s: FloatArray
    """The same when less was ready: what was beyond it; shape (n_runs, n_services). [units x s]"""
    n_again: FloatArray
    """Requests that instances of services answered when a fault took them, which begin again on
    others; shape (n_runs, n_services). [1]"""
    lent_chip_s: FloatArray
    """Chip-seconds that jobs hold of what services hold together where each needs most, and not at
    the time, once jobs fill what no service asks for; shape (n_runs, n_pools). [s]"""
    spread_chip_s: FloatArray
    """Chip-seconds that jobs held on more groups of nodes than the least that could hold them, of
    pools with a placement; shape (n_runs, n_pools). [s]"""
    in_parts_chip_s: FloatArray
    """Idle chip-seconds in groups of nodes of which others were not idle, of pools with a
    placement; shape (n_runs, n_pools). [s]"""
    over_quota_chip_s: FloatArray
    """Chip-seconds that tenants held beyond their quota while others waited below theirs; shape
    (n_runs, n_tenants). [s]"""
    counts: Mapping[str, IntArray]
    """By name, as in `COUNTS`; shape (n_runs, n)."""
    weights: tuple[str, ...] = ("seconds",)
    """Names of the weights. ``slow`` is the share of speed that is lost while a job trains;
    ``capped`` is the share of the power of a phase that a cap takes away. Signals weigh
    chip-seconds, whatever these draw."""
    spans: Sequence[Span] | None = None
    """Timeline of the first run, if it was asked for: of jobs and services."""
    unallocated: FloatArray | None = None
    """The same of what nobody holds, in no order: pool, start, end [s], chips that are idle, and
    in repair, those that are switched off not counted; shape (n, 5)."""
    sent_bytes: FloatArray | None = None
    """What left the site of each pool for another one, of each job or kind of job; None where
    nothing did; shape (n_runs, n_jobs, n_pools). [B]"""
    month_peak_w: FloatArray | None = None
    """The same of the site of each pool in each calendar month; 0 in months after a run; None where
    no site has a charge for it; shape (n_runs, n_pools, n_months). [W]"""
    battery_j: FloatArray | None = None
    """What the battery of each limit took and gave, and what is left in it; None without limits;
    shape (n_runs, n_limits, 3). [J]"""
    battery_net_j: FloatArray | None = None
    """What the battery of each limit took less what it gave: plain, then times price and carbon at
    that time over their constants; None without limits; shape (n_runs, n_limits, 3). [J]"""
    battery_w: FloatArray | None = None
    """What batteries did in the first run: limit, start, end [s], watts taken, or given if
    negative; shape (n, 4)."""
    serving: FloatArray | None = None
    """What services held in the first run, if its timeline was asked for: pool, start, end [s],
    chips by state, as `SERVICE_STATES`, and chips that were needed beyond what was ready; rows of
    several services on a pool overlap; shape (n, 4 + n_states)."""

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return len(self.wall_s)

    @property
    def chip_s(self) -> FloatArray:
        """Chip-seconds, shape (n_runs, n_jobs + 1, n_pools, n_phases). [s]"""
        return self.booked[..., 0]

    def weighted(self, weight: str) -> FloatArray:
        """Return chip-seconds times a weight, in the shape of `chip_s`; 0 if it is not booked."""
        if weight not in self.weights:
            return np.zeros(self.booked.shape[:-1])
        return self.booked[..., self.weights.index(weight)]


def make_ledger(
    ledger: Ledger, n_chips: Sequence[int], sharing: Sequence[Sequence[int]] = ()
) -> Ledger:
    """Return the ledger after checking that every chip-second is booked once.

    Parameters
    ----------
    ledger : Ledger
        As the engine filled it.
    n_chips : sequence of int
        Chips of each pool, spares included.
    sharing : sequence of sequence of int
        Pools that lend each other nodes, whose books add up together only.

    Raises
    ------
    AssertionError
        If a pool's books do not add up: an engine is wrong.
    """
    booked = ledger.chip_s.sum(axis=(1, 3)) + ledger.served[..., 0].sum(axis=1)
    due = np.asarray(n_chips, dtype=np.float64) * ledger.wall_s[:, None]
    for pools in map(list, sharing):
        booked[:, pools] = booked[:, pools].sum(axis=1, keepdims=True)
        due[:, pools] = due[:, pools].sum(axis=1, keepdims=True)
    wrong = np.abs(booked - due) > TOLERANCE * np.maximum(due, 1.0)
    apart = np.abs(ledger.by_state_chip_s.sum(axis=3) - ledger.served[..., 0])
    if (apart > TOLERANCE * np.maximum(due, 1.0)[:, None]).any():
        raise AssertionError("what chips of services do does not add up to what they hold")
    if wrong.any() or (ledger.chip_s < -TOLERANCE * np.maximum(due.max(), 1.0)).any():
        run, pool = np.argwhere(wrong)[0] if wrong.any() else (0, 0)
        raise AssertionError(
            f"books of run {run}, pool {pool} do not add up:"
            f" {booked[run, pool]!r} of {due[run, pool]!r} chip-seconds"
        )
    return ledger


def concatenate(ledgers: Sequence[Ledger]) -> Ledger:
    """Return one ledger of the runs of several, in order; the first one's timeline is kept."""
    first = ledgers[0]
    return Ledger(
        booked=np.concatenate([one.booked for one in ledgers]),
        job_s=np.concatenate([one.job_s for one in ledgers]),
        kept_frac=np.concatenate([one.kept_frac for one in ledgers]),
        first_start_s=np.concatenate([one.first_start_s for one in ledgers]),
        end_s=np.concatenate([one.end_s for one in ledgers]),
        wall_s=np.concatenate([one.wall_s for one in ledgers]),
        waiting_idle_chip_s=np.concatenate([one.waiting_idle_chip_s for one in ledgers]),
        peak_w=np.concatenate([one.peak_w for one in ledgers]),
        step_factor=np.concatenate([one.step_factor for one in ledgers]),
        served=np.concatenate([one.served for one in ledgers]),
        loaded=np.concatenate([one.loaded for one in ledgers]),
        lacked_chip_s=np.concatenate([one.lacked_chip_s for one in ledgers]),
        by_state_chip_s=np.concatenate([one.by_state_chip_s for one in ledgers]),
        needed_unit_s=np.concatenate([one.needed_unit_s for one in ledgers]),
        missed_unit_s=np.concatenate([one.missed_unit_s for one in ledgers]),
        n_again=np.concatenate([one.n_again for one in ledgers]),
        lent_chip_s=np.concatenate([one.lent_chip_s for one in ledgers]),
        spread_chip_s=np.concatenate([one.spread_chip_s for one in ledgers]),
        in_parts_chip_s=np.concatenate([one.in_parts_chip_s for one in ledgers]),
        over_quota_chip_s=np.concatenate([one.over_quota_chip_s for one in ledgers]),
        counts={n: np.concatenate([one.counts[n] for one in ledgers]) for n in first.counts},
        weights=first.weights,
        spans=first.spans,
        unallocated=first.unallocated,
        sent_bytes=_joined([one.sent_bytes for one in ledgers]),
        month_peak_w=_with_as_many_months([one.month_peak_w for one in ledgers]),
        battery_j=_joined([one.battery_j for one in ledgers]),
        battery_net_j=_joined([one.battery_net_j for one in ledgers]),
        battery_w=first.battery_w,
        serving=first.serving,
    )


def _joined(parts: Sequence[FloatArray | None]) -> FloatArray | None:
    """Return one array of those of several ledgers, None if they have none."""
    found = [part for part in parts if part is not None]
    return np.concatenate(found) if found else None


def _with_as_many_months(parts: Sequence[FloatArray | None]) -> FloatArray | None:
    """Return one array of those of several ledgers, of which some have more months."""
    found = [part for part in parts if part is not None]
    n_months = max((part.shape[2] for part in found), default=0)
    return _joined([np.pad(one, ((0, 0), (0, 0), (0, n_months - one.shape[2]))) for one in found])
