"""Many jobs compiled as columns: each sort of them once, like one job, with work of its own.

A sort is what the jobs of a workload have in common: kind and number of chips. It is compiled as a
job whose work is the mean of its jobs, and each job is a multiple of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.compiler.job_on_pool import JobOnPool
from computeplan.compiler.jobs import job_of
from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.notes import Note
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import is_named
from computeplan.specs.jobs import Job as JobSpec
from computeplan.specs.logs.job_table import JobLog
from computeplan.specs.logs.throughput import Throughput
from computeplan.specs.scenario import Scenario
from computeplan.specs.workloads import Workload, work_per_s
from computeplan.trace.workloads import draw_jobs
from computeplan.world.jobs import Job, Jobs

__all__ = ["PlacesOf", "with_workloads"]

PlacesOf = Callable[[str, JobSpec], list[JobOnPool]]
"""Returns a job on every pool, from its name and what is written of it."""


class _Columns(NamedTuple):
    """The jobs of one workload."""

    name: str
    log: JobLog
    kinds: list[Job]
    kind: IntArray
    scale: FloatArray


@dataclass(frozen=True)
class _Names(Sequence[str]):
    """Names of jobs: those written, then those of each workload, which are made when asked for."""

    written: tuple[str, ...]
    parts: tuple[tuple[str, JobLog], ...]

    def __len__(self) -> int:
        return len(self.written) + sum(len(log) for _, log in self.parts)

    def __getitem__(self, j: int) -> str:  # type: ignore[override]  # no slices
        if j < len(self.written):
            return self.written[j]
        j -= len(self.written)
        for name, log in self.parts:
            if j < len(log):
                return f"{name}/{log.name(j)}"
            j -= len(log)
        raise IndexError(j)


def with_workloads(
    scenario: Scenario, written: Sequence[Job], places_of: PlacesOf
) -> tuple[Jobs, list[Note]]:
    """Return all jobs of a scenario: those written, and those of its workloads.

    Raises
    ------
    ScenarioError
        If the speed of a sort of jobs is not known.
    InfeasibleError
        If a job fits on no pool, with its name.
    """
    if not scenario.workloads:
        return Jobs(written), []
    parts, notes = list[_Columns](), list[Note]()
    for name, workload in scenario.workloads.items():
        part, of_part = _columns(scenario, name, workload, places_of)
        parts.append(part)
        notes += of_part
    kinds, kind, scale = [*written], [np.arange(len(written))], [np.ones(len(written))]
    for part in parts:
        kind.append(part.kind + len(kinds))
        kinds += part.kinds
        scale.append(part.scale)
    logs = [part.log for part in parts]
    tenants = [name for job in written for name in [job.tenant]]
    names, tenant = _tenants(tenants, logs)
    jobs = Jobs(
        kinds,
        np.concatenate(kind).astype(np.int32),
        scale=np.concatenate(scale),
        arrival_s=_joined([job.arrival_s for job in written], [log.arrival_s for log in logs]),
        deadline_s=_joined(
            [job.deadline_s for job in written], [log.arrival_s + log.deadline_s for log in logs]
        ),
        tenant=tenant,
        tenant_names=names,
        priority=_joined([job.priority for job in written], [log.priority for log in logs]).astype(
            np.int64
        ),
        weight=_joined([1.0 for _ in written], [log.weight for log in logs]),
        names=_Names(
            tuple(job.name for job in written), tuple((part.name, part.log) for part in parts)
        ),
    )
    return jobs, notes


def _joined(written: Sequence[float], columns: Iterable[FloatArray | IntArray]) -> FloatArray:
    return np.concatenate([np.asarray(written, dtype=np.float64), *columns])


def _tenants(written: Sequence[str], logs: Sequence[JobLog]) -> tuple[tuple[str, ...], IntArray]:
    """Return the names of all tenants, and whose each job is."""
    names = {name: i for i, name in enumerate(dict.fromkeys(written))}
    columns = [np.array([names[name] for name in written], dtype=np.int32)]
    for log in logs:
        known = np.array([names.setdefault(name, len(names)) for name in log.tenants])
        columns.append(known.astype(np.int32)[log.tenant])
    return tuple(names), np.concatenate(columns)


def _columns(
    scenario: Scenario, name: str, workload: Workload, places_of: PlacesOf
) -> tuple[_Columns, Sequence[Note]]:
    log, notes = _log(scenario, name, workload)
    work = np.where(np.isnan(log.n_steps), log.train_s, log.n_steps)
    by_steps = ~np.isnan(log.n_steps)
    sort, sorts = log.sorts()
    key = sort * 2 + by_steps
    found, kind = np.unique(key, return_inverse=True)
    mean = np.bincount(kind, work) / np.bincount(kind)
    kinds, table = list[Job](), scenario.throughputs.get(name)
    for k, one in enumerate(found.tolist()):
        what, n_chips = sorts[one // 2]
        first = f"{name}/{log.name(int(np.flatnonzero(kind == k)[0]))}"
        spec = JobSpec(
            chips=n_chips,
            train_for=f"{float(mean[k])!r} s",
            checkpoint=workload.checkpoint,
            elastic=workload.elastic and workload.elastic.of(n_chips),
            mixed=workload.mixed,
            home=workload.home,
        )
        places = places_of(name, spec)
        rates = [
            _rate(scenario, name, workload, table, what, n_chips, at, is_by_steps=bool(one % 2))
            for at in places
        ]
        job, of_job = job_of(places, scenario.policy.name)
        notes = [*notes, *of_job]
        kinds.append(_at_speed(job, rates, first, n_chips))
    return _Columns(name, log, kinds, kind, work / mean[kind]), notes


def _log(scenario: Scenario, name: str, workload: Workload) -> tuple[JobLog, Sequence[Note]]:
    if workload.file is not None:
        log = scenario.job_logs[name]
        due = workload.deadline
        if due is not None and not isinstance(due, float):
            deadline_s = np.where(np.isinf(log.deadline_s), log.train_s * due.slack, log.deadline_s)
            log = replace(log, deadline_s=np.where(np.isnan(deadline_s), np.inf, deadline_s))
        elif due is not None:
            log = replace(log, deadline_s=np.where(np.isinf(log.deadline_s), due, log.deadline_s))
        if workload.priority:
            given = np.where(log.priority == 0, workload.priority, log.priority)
            log = replace(log, priority=given)
        return log, ()
    seed = scenario.simulate.seed if workload.seed is None else workload.seed
    return draw_jobs(workload.generated(), name, seed), ()


def _rate(
    scenario: Scenario,
    name: str,
    workload: Workload,
    table: Throughput | None,
    kind: str,
    n_chips: int,
    at: JobOnPool,
    *,
    is_by_steps: bool,
) -> float:
    """Return how fast a sort of job does its work on a pool; 0 if it cannot run there. [1/s]"""
    known = [*(workload.speed or {}), *(table.chips if table else ()), *filter(None, [workload.on])]
    chip = next((one for one in known if _is(one, at.pool.name, at.chip)), at.chip.name)
    try:
        return work_per_s(workload, table, kind, n_chips, chip, is_by_steps=is_by_steps)
    except ValueError as error:
        problem = scenario.document.problem(("workloads", name), str(error))
        raise ScenarioError([problem]) from None


def _is(name: str, pool: str, chip: Chip) -> bool:
    return name == pool or is_named(chip, name)


def _at_speed(job: Job, rates: Sequence[float], first: str, n_chips: int) -> Job:
    """Return a job as fast on each pool as said."""
    rate = np.array(rates)
    can = (rate > 0) & (job.whole_nodes > 0)
    if job.whole_nodes.any() and not (rate > 0).any():
        raise InfeasibleError(
            f"workloads: {first} has no speed on the chips of any pool; give speed or throughput of"
            " some"
        )
    if not can.any():
        raise InfeasibleError(
            f"workloads: {first} wants {n_chips} chips, and no pool has so many that can run it"
        )
    with np.errstate(divide="ignore"):
        train_s = np.where(can, job.train_s / rate, math.nan)
    mixing = None if job.mixing_nodes is None else np.where(can, job.mixing_nodes, 0)
    n_nodes = np.where(can, job.n_nodes, 0)
    return replace(job, name=first, n_nodes=n_nodes, mixing_nodes=mixing, train_s=train_s)
