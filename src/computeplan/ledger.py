"""The books of a block of runs: every chip-second once.

An engine writes one ledger; every number we report is arithmetic on it. The conservation law is
checked whenever a ledger is made: over jobs and phases, the chip-seconds of a pool add up to its
chips times the length of the run. Engines book idle time from its own spans, never as what is
left over, so that the law can fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.quantities import PHASES

__all__ = [
    "BLOCKED",
    "IDLE",
    "LOST",
    "PHASES",
    "QUEUE",
    "REPAIR",
    "RESTART",
    "SAVE",
    "TRAIN",
    "Ledger",
    "Span",
    "concatenate",
    "make_ledger",
]

TRAIN, LOST, SAVE, RESTART, BLOCKED, IDLE, REPAIR = range(len(PHASES))
QUEUE = len(PHASES)  # the extra column of job_s
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Span:
    """Who did what when, on one pool, in one run.

    Parameters
    ----------
    job, pool : int
        Indices in the world; job -1 is nobody.
    phase : int
        Index in `PHASES`.
    start_s, end_s : float
        Wall time. [s]
    n_chips : int
        Chips in that phase.
    """

    job: int
    pool: int
    phase: int
    start_s: float
    end_s: float
    n_chips: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Books of `n_runs` runs of one world.

    Parameters
    ----------
    chip_s : ndarray, shape (n_runs, n_jobs + 1, n_pools, n_phases)
        Chip-seconds; the last job is nobody. [s]
    job_s : ndarray, shape (n_runs, n_jobs, n_phases + 1)
        Seconds of a job by phase; the last column is the queue. [s]
    first_start_s : ndarray, shape (n_runs, n_jobs)
        inf if never. [s]
    end_s : ndarray, shape (n_runs, n_jobs)
        inf if unfinished at the horizon. [s]
    wall_s : ndarray, shape (n_runs,)
        Length of the run. [s]
    n_interruptions : ndarray, shape (n_runs, n_kinds)
        Faults on nodes that a job held, and planned stops of jobs, by kind.
    n_idle_faults : ndarray, shape (n_runs, n_kinds)
        Faults on nodes that nobody held.
    n_repairs : ndarray, shape (n_runs, n_pools)
        Nodes sent to repair; those taken out for planned maintenance are not counted.
    n_from_start : ndarray, shape (n_runs, n_jobs)
        Times that a job began again because damage was found that every save kept may hold.
    n_retired : ndarray, shape (n_runs, n_pools)
        Nodes taken out for good; until new ones stand there, their chips are booked as in repair.
    n_slowdowns : ndarray, shape (n_runs, n_kinds)
        Faults that held a job back and did not stop it, by kind.
    slow_chip_s : ndarray, shape (n_runs, n_jobs, n_pools, 2)
        Of `chip_s` in train and in lost, what brought nothing because training was slow. [s]
    spans : sequence of Span, or None
        Timeline of the first run, if it was asked for.
    """

    chip_s: FloatArray
    job_s: FloatArray
    first_start_s: FloatArray
    end_s: FloatArray
    wall_s: FloatArray
    n_interruptions: IntArray
    n_idle_faults: IntArray
    n_repairs: IntArray
    n_from_start: IntArray
    n_retired: IntArray
    n_slowdowns: IntArray
    slow_chip_s: FloatArray
    spans: Sequence[Span] | None = None

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return len(self.wall_s)


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
    booked = ledger.chip_s.sum(axis=(1, 3))
    due = np.asarray(n_chips, dtype=np.float64) * ledger.wall_s[:, None]
    for pools in map(list, sharing):
        booked[:, pools] = booked[:, pools].sum(axis=1, keepdims=True)
        due[:, pools] = due[:, pools].sum(axis=1, keepdims=True)
    wrong = np.abs(booked - due) > TOLERANCE * np.maximum(due, 1.0)
    if wrong.any() or (ledger.chip_s < -TOLERANCE * np.maximum(due.max(), 1.0)).any():
        run, pool = np.argwhere(wrong)[0] if wrong.any() else (0, 0)
        message = (
            f"books of run {run}, pool {pool} do not add up:"
            f" {booked[run, pool]!r} of {due[run, pool]!r} chip-seconds"
        )
        raise AssertionError(message)
    return ledger


def concatenate(ledgers: Sequence[Ledger]) -> Ledger:
    """Return one ledger of the runs of several, in order; the first one's timeline is kept."""
    columns = {
        field.name: np.concatenate([getattr(ledger, field.name) for ledger in ledgers])
        for field in fields(Ledger)
        if field.name != "spans"
    }
    return Ledger(**columns, spans=ledgers[0].spans)
