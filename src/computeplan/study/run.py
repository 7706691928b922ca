"""Cases x runs -> Result.

A scenario is expanded into named cases, each is compiled and played in chunks of runs, and the
books are counted as they come. All cases are played against the same traces, so they can be
compared run by run. Parallel work has one seam: a standard ``concurrent.futures.Executor``. Which
worker plays what changes nothing, because the trace of a run depends on its number alone.
"""

from __future__ import annotations

import contextlib
import math
import platform
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import numpy as np

from computeplan.analytic.agreement import warnings_of
from computeplan.arrays import FloatArray
from computeplan.engines import batch, event
from computeplan.errors import InfeasibleError
from computeplan.ledger import Span
from computeplan.metrics import measure, measure_jobs
from computeplan.notes import note
from computeplan.results.cases import CaseResult
from computeplan.specs.scenario import Scenario
from computeplan.study.cases import Case, compile_cases, notes_of
from computeplan.study.facts import facts_of
from computeplan.study.result import Result
from computeplan.trace.streams import BLOCK
from computeplan.units import HOUR_S
from computeplan.world.world import World

__all__ = ["run"]

Progress = Callable[[int, int], None]


def run(
    scenario: Scenario, *, executor: Executor | None = None, progress: Progress | None = None
) -> Result:
    """Return what the runs of all cases amount to.

    Parameters
    ----------
    scenario : Scenario
        With its cases, horizon, runs and seed.
    executor : Executor, optional
        Where chunks of runs are played; in this process if left out.
    progress : callable, optional
        Called with chunks done and chunks in all.

    Raises
    ------
    ComputePlanError
        If the scenario cannot be played.

    Examples
    --------
    >>> import computeplan as cp
    >>> scenario = cp.load("llama3-405b").with_({"simulate.runs": 64})
    >>> cp.run(scenario).cases["every 15 min, 64 spares"].values["n_planned"].mean()
    np.float64(47.0)
    """
    cases = compile_cases(scenario)
    seed, n_runs = scenario.simulate.seed, scenario.simulate.runs
    pieces = []
    for case in cases:
        at_once = batch.rows_at_once(case.world) if case.engine == "batch" else BLOCK
        starts = range(0, n_runs, at_once)
        pieces += [(case, first, min(at_once, n_runs - first)) for first in starts]
    columns = ([p[0].world for p in pieces], [p[0].engine for p in pieces])
    ranges = ([seed] * len(pieces), [p[1] for p in pieces], [p[2] for p in pieces])
    play: Callable[..., Iterator[_Counted]] = map if executor is None else executor.map
    counted: dict[str, list[_Counted]] = {case.name: [] for case in cases}
    for done, (piece, result) in enumerate(
        zip(pieces, play(_play_piece, *columns, *ranges), strict=True), start=1
    ):
        counted[piece[0].name].append(result)
        if progress is not None:
            progress(done, len(pieces))
    notes = notes_of(cases)
    if any(np.any(counts.values["n_unfinished"]) for found in counted.values() for counts in found):
        notes.insert(0, note("unfinished"))
    found = {case.name: _case_result(case, counted[case.name]) for case in cases}
    notes += warnings_of((case.name, case.world, found[case.name]) for case in cases)
    return Result(
        name=scenario.name,
        about=scenario.about,
        cases=found,
        provenance=_provenance(scenario, cases),
        scenario_yaml=scenario.to_yaml(),
        files=scenario.input_files(),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Counted:
    """What one piece of work sends back: numbers, not books."""

    values: Mapping[str, FloatArray]
    jobs: Mapping[str, FloatArray]
    pool: np.ndarray[Any, Any]
    spans: tuple[Span, ...]


def _play_piece(world: World, engine: str, seed: int, first_run: int, n_runs: int) -> _Counted:
    """Play a range of runs and count them; the first run of all keeps its timeline."""
    if engine == "batch":
        ledger = batch.play(world, seed, first_run, n_runs)
        spans = None
        if first_run == 0:
            with contextlib.suppress(InfeasibleError):  # no picture, but the numbers stand
                spans = event.play(world, seed, 0, 1, timeline=True).spans
    else:
        ledger = event.play(world, seed, first_run, n_runs, timeline=first_run == 0)
        spans = ledger.spans
    used = ledger.chip_s[:, :-1].sum(axis=3)
    pool = np.where(used.max(axis=2) > 0, used.argmax(axis=2), -1)
    return _Counted(measure(ledger, world), measure_jobs(ledger, world), pool, tuple(spans or ()))


def _case_result(case: Case, counted: list[_Counted]) -> CaseResult:
    world = case.world

    def join(block: str) -> dict[str, FloatArray]:
        names = getattr(counted[0], block)
        return {name: np.concatenate([getattr(c, block)[name] for c in counted]) for name in names}

    def deadline(job: Any) -> str:
        return "" if math.isinf(job.deadline_s) else f"{job.deadline_s / HOUR_S:g}"

    pool = np.concatenate([c.pool for c in counted])
    return CaseResult(
        values=join("values"),
        jobs=join("jobs"),
        job_names=tuple(job.name for job in world.jobs),
        job_facts={
            "model": tuple(job.model for job in world.jobs),
            "pool": tuple(_usual_pool(world, pool[:, j]) for j in range(len(world.jobs))),
            "deadline_h": tuple(deadline(job) for job in world.jobs),
        },
        facts=facts_of(case.world),
        spans=counted[0].spans,
        pool_names=tuple(pool.name for pool in world.pools),
        axes=case.axes,
    )


def _usual_pool(world: World, pools: np.ndarray[Any, Any]) -> str:
    """Return the pools on which a job ran, each with its share of the runs if there are several."""
    found, counts = np.unique(pools[pools >= 0], return_counts=True)
    if len(found) == 1:
        return world.pools[int(found[0])].name
    shares = zip(found, counts / len(pools), strict=True)
    return ", ".join(f"{world.pools[p].name} {share:.0%}" for p, share in shares)


def _provenance(scenario: Scenario, cases: list[Case]) -> dict[str, Any]:
    """Return how to get the same numbers again; no host name, no path."""
    catalogue = scenario.catalogue
    entries = {**catalogue.chips, **catalogue.models}
    return {
        "computeplan": version("computeplan"),
        "scenario": scenario.name,
        "scenario_sha256": sha256(scenario.to_yaml().encode()).hexdigest(),
        "seed": scenario.simulate.seed,
        "runs": scenario.simulate.runs,
        "engines": {case.name: case.engine for case in cases},
        "catalogue_sha256": {
            name: sha256(entry.model_dump_json().encode()).hexdigest()
            for name, entry in sorted(entries.items())
        },
        "python": platform.python_version(),
        "machine": platform.machine(),
        **{name: version(name) for name in ("numpy", "scipy", "simpy")},
    }
