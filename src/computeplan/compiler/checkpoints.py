"""How a job saves on a pool: intervals, stalls and writes in seconds, and what theory expects.

A write takes the bytes of the state over one bandwidth, as if no other job wrote or read: that jobs
share the storage of a site only the engine knows, when they do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from computeplan.compiler.job_on_pool import JobOnPool
from computeplan.notes import Notes, note
from computeplan.physics.checkpoint import (
    expected_makespan_s,
    job_ettr,
    optimal_async_interval_s,
    optimal_interval_s,
)
from computeplan.physics.steptime.memory import saved_bytes_per_parameter
from computeplan.physics.steptime.transformer import n_parameters
from computeplan.specs.checkpoints import SURVIVES, Checkpoint
from computeplan.specs.jobs import Job as JobSpec
from computeplan.world.jobs import Job, Tier
from computeplan.world.pools import Pool

__all__ = ["Saving", "saving_on", "share_storage", "state_bytes"]

ALL = len(SURVIVES) - 1
ROUNDING = 1e-9


class Saving(NamedTuple):
    """How a job saves on one pool; these are the values of one that never does."""

    interval_s: float = math.inf
    save_s: float = 0.0
    tiers: tuple[Tier, ...] = ()
    ettr: float = 1.0


def saving_on(at: JobOnPool, n_nodes: int, train_s: float) -> Saving:
    """Return how a job saves on a pool, and its expected ETTR, spares without limit.

    A ScenarioError if a write that follows from bytes takes longer than the time between saves.
    """
    rate = at.pool.fault_rate_per_node_s * n_nodes
    found = _saving(at, rate)
    return found._replace(ettr=_ettr(found, at.pool.even_restart_s(rate), rate, train_s))


def _saving(at: JobOnPool, rate: float) -> Saving:
    checkpoint = at.job.checkpoint
    if checkpoint is None:
        return Saving()
    if checkpoint.tiers is not None:
        return _tiered(at, checkpoint)
    stall_s, write_s, load_s = _times_s(at, checkpoint)
    interval_s = _interval_s(checkpoint.every, stall_s, write_s, rate)
    if not (write_s or load_s) or math.isinf(interval_s):
        return Saving(interval_s, stall_s + write_s)
    _check_write(at, ("checkpoint",), interval_s, stall_s, write_s)
    tier = Tier("checkpoint", 1, stall_s, write_s, load_s, survives=ALL)
    return Saving(interval_s, stall_s + write_s, (tier,))


def _interval_s(every: float | str | None, stall_s: float, write_s: float, rate: float) -> float:
    if every == "optimal":
        if not rate:
            return math.inf  # a pool where nothing fails has no optimum: it never saves
        if write_s:
            return float(optimal_async_interval_s(stall_s, write_s, 1 / rate))
        return float(optimal_interval_s(stall_s, 1 / rate))
    return math.inf if every == "never" else float(every or math.inf)


def _times_s(at: JobOnPool, checkpoint: Checkpoint) -> tuple[float, float, float]:
    """Return stall and write of one save, and how long reading it takes. [s]"""
    if checkpoint.state is None:
        return checkpoint.stall or 0.0, checkpoint.write or 0.0, checkpoint.load or 0.0
    moved_s = _moved_s(at, checkpoint, checkpoint.bandwidth)
    load_s = moved_s if checkpoint.load is None else checkpoint.load
    if checkpoint.stall is None:
        return moved_s, 0.0, load_s
    return checkpoint.stall, moved_s, load_s


def state_bytes(at: JobOnPool) -> float:
    """Return the bytes of one save: as written, else of weights and Adam's state; 0 if unknown."""
    written = None if at.job.checkpoint is None else at.job.checkpoint.state
    if isinstance(written, float):
        return written
    return 0.0 if at.model is None else n_parameters(at.shape) * saved_bytes_per_parameter()


def _moved_s(at: JobOnPool, checkpoint: Checkpoint, bandwidth: float | None) -> float:
    """Return how long the bytes of a save take at a bandwidth, or that of the storage. [s]"""
    bandwidth = bandwidth or at.storage_bytes_per_s
    assert bandwidth is not None  # cross-checked
    return state_bytes(at) / bandwidth if checkpoint.state else 0.0


def _tiered(at: JobOnPool, checkpoint: Checkpoint) -> Saving:
    named = checkpoint.by_interval
    interval_s = named[0][1].every
    tiers = []
    for name, tier in named:
        asks = checkpoint.is_sized and (tier.write is None or tier.load is None)
        moved_s = _moved_s(at, checkpoint, tier.bandwidth) if asks else 0.0
        write_s = moved_s if tier.write is None else tier.write
        _check_write(at, ("checkpoint", "tiers", name), tier.every, tier.stall, write_s)
        load_s = moved_s if tier.load is None else tier.load
        n_intervals, survives = round(tier.every / interval_s), SURVIVES.index(tier.survives)
        tiers.append(Tier(name, n_intervals, tier.stall, write_s, load_s, survives))
    return Saving(interval_s, tiers[-1].stall_s + tiers[-1].write_s, tuple(tiers))


def _check_write(
    at: JobOnPool, path: tuple[str, ...], interval_s: float, stall_s: float, write_s: float
) -> None:
    """Refuse a write that was computed and does not fit; others are refused earlier."""
    if (interval_s + stall_s) * (1 + ROUNDING) < write_s:  # an optimum may just hold it
        message = (
            f"writing the state takes {write_s:.4g} s on {at.pool.name}, longer than the time"
            f" between saves; save less often, or give more bandwidth"
        )
        raise at.error(message, *path)


def _ettr(saving: Saving, restart_s: float, rate: float, train_s: float) -> float:
    """Return the expected ETTR, or, with several tiers, what it is at least.

    There is no closed form for several tiers. As if only the least frequent were there, all stall,
    and every restart read the slowest, is a bound: whatever else is saved, it cannot lose more.
    """
    if not saving.tiers:
        return job_ettr(train_s, saving.interval_s, saving.save_s, restart_s, rate)
    slowest = saving.tiers[-1].n_intervals
    stall_s = sum(t.stall_s * slowest / t.n_intervals for t in saving.tiers)
    interval_s, write_s = saving.interval_s * slowest, saving.tiers[-1].write_s
    load_s = max(t.load_s for t in saving.tiers)
    if len(saving.tiers) > 1:  # others may have been saved, and are read, before
        restart_s, load_s = restart_s + load_s, 0.0
    if interval_s > train_s:  # it saves once, at its end
        return job_ettr(train_s, interval_s, stall_s + write_s, restart_s, rate)
    if rate == 0:
        return train_s / (train_s * (interval_s + stall_s) / interval_s + write_s)
    with np.errstate(over="ignore"):
        n = train_s / interval_s
        wall_s = expected_makespan_s(n, interval_s, stall_s, restart_s, 1 / rate, write_s, load_s)
    return float(train_s / wall_s)


def share_storage(
    jobs: Sequence[Job], specs: Mapping[str, JobSpec], pools: Sequence[Pool], policy: str
) -> tuple[tuple[Job, ...], Notes]:
    """Return the jobs, those that share the storage of a site knowing it.

    They give the bytes of their saves and no bandwidth of their own, and may meet at the site.
    """
    through = {job.name: _saves_through_storage(specs[job.name], job, policy) for job in jobs}
    meet = Counter(site for here in through.values() for site in {pools[p].site for p in here})
    found, notes = [], []
    for job in jobs:
        sites = [
            pool.site if p in through[job.name] and meet[pool.site] > 1 else ""
            for p, pool in enumerate(pools)
        ]
        checkpoint = specs[job.name].checkpoint
        if any(sites) and checkpoint is not None and checkpoint.tiers is not None:
            notes.append(note("tiers_alone", job=job.name))
            sites = [""] * len(sites)
        if not any(sites):
            found.append(job)
            continue
        found.append(replace(job, storage=tuple(sites)))
    return tuple(found), tuple(notes)


def _saves_through_storage(spec: JobSpec, job: Job, policy: str) -> list[int]:
    """Return the pools on which a job may save to the storage of the site."""
    if spec.checkpoint is None or not spec.checkpoint.asks_storage:
        return []
    return [p for p in job.pools_under(policy) if math.isfinite(job.interval_s[p])]
