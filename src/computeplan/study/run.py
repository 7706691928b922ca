"""Cases x runs -> Result.

A scenario is expanded into named cases, each is compiled and played in chunks of runs, and the
books are counted as they come. All cases are played against the same traces, so they can be
compared run by run. Parallel work has one seam: a standard ``concurrent.futures.Executor``. Which
worker plays what changes nothing, because the trace of a run depends on its number alone.

A case counts when all of its runs are in. Nothing that is done is lost: what fails, or is cut off
by Ctrl-C, is named in `Result.incomplete`, and the other cases stand.
"""

from __future__ import annotations

import contextlib
import logging
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import numpy as np

from computeplan.analytic.agreement import warnings_of
from computeplan.analytic.beyond import carried_on
from computeplan.arrays import FloatArray
from computeplan.engines import batch, event
from computeplan.errors import ComputePlanError, InfeasibleError
from computeplan.ledger import Span
from computeplan.metrics import by_site, measure, measure_jobs, measure_tenants
from computeplan.notes import Note, note
from computeplan.results.cases import CaseResult, in_one_window
from computeplan.results.fleet_series import FleetSeries, fleet_of
from computeplan.results.power_series import PowerSeries, power_of
from computeplan.results.window import BySite, joined
from computeplan.specs.scenario import Scenario
from computeplan.study.cases import ENGINES, Case, compile_cases, notes_of
from computeplan.study.facts import beside, facts_of
from computeplan.study.ranges import ranges_of
from computeplan.study.result import Result
from computeplan.trace import Trace
from computeplan.units import HOUR_S
from computeplan.world.world import World

__all__ = ["Interrupted", "run"]

Progress = Callable[[int, int, str], object]
_log = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while cases were played; `result` holds those that were done by then."""

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result


def run(
    scenario: Scenario,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
    on_case: Callable[[Callable[[], Result]], object] | None = None,
) -> Result:
    """Return what the runs of all cases amount to.

    A case that fails does not stop the others: it is left out, and `Result.incomplete` says why.

    Parameters
    ----------
    scenario : Scenario
        With its cases, horizon, runs and seed.
    executor : Executor, optional
        Where chunks of runs are played; in this process if left out.
    progress : callable, optional
        Called with chunks done, chunks in all, and the case that is played next; before that, with
        0 of 1 and the service whose instances are looked for.
    on_case : callable, optional
        Called after each case but the last, with a function that returns the result so far.

    Raises
    ------
    ComputePlanError
        If the scenario cannot be played.
    Interrupted
        A KeyboardInterrupt with the result so far, if one comes when a case is done.

    Examples
    --------
    >>> import computeplan as cp
    >>> scenario = cp.load("llama3-405b").with_({"simulate.runs": 64})
    >>> cp.run(scenario).cases["every 15 min, 64 spares"].values["n_planned"].mean()
    np.float64(47.0)
    """
    told = None if progress is None else partial(progress, 0, 1)
    cases, infeasible = compile_cases(scenario, told)
    pieces = {case.name: _pieces(case, scenario) for case in cases}
    counted: dict[str, list[_Counted]] = {}
    failed: dict[str, Exception] = dict(infeasible)

    def so_far() -> Result:
        return _result(scenario, cases, counted, failed)

    futures = _submitted(executor, pieces) if executor is not None else {}
    n_pieces, n_done = sum(map(len, pieces.values())), 0
    try:
        for name, ranges in pieces.items():
            found = []
            try:
                for i, piece in enumerate(ranges):
                    if progress is not None:
                        progress(n_done + i, n_pieces, name)
                    found.append(futures[name][i].result() if futures else _play_piece(*piece))
            except Exception as error:  # whatever it is, the other cases stand
                failed[name] = error
                _log.debug("case %r failed", name, exc_info=error)
                for future in futures.get(name, ()):
                    future.cancel()
            else:
                counted[name] = found
            n_done += len(ranges)
            if on_case is not None and counted and name != cases[-1].name:
                on_case(so_far)
        return so_far()
    except KeyboardInterrupt:
        counted = _done(futures) | counted
        if counted:
            raise Interrupted(so_far()) from None
        raise


def _pieces(case: Case, scenario: Scenario) -> list[tuple[World, str, int, int, int]]:
    """Return the arguments of `_play_piece` for all runs of a case."""
    seed, n_runs = scenario.simulate.seed, scenario.simulate.runs
    at_once = ENGINES[case.engine].rows_at_once(case.world)
    return [
        (case.world, case.engine, seed, first, min(at_once, n_runs - first))
        for first in range(0, n_runs, at_once)
    ]


def _submitted(
    executor: Executor, pieces: Mapping[str, list[tuple[World, str, int, int, int]]]
) -> dict[str, list[Future[_Counted]]]:
    def submit(piece: tuple[World, str, int, int, int]) -> Future[_Counted]:
        try:
            return executor.submit(_play_piece, *piece)
        except BrokenExecutor as error:  # a worker died while we are still handing out work
            failed: Future[_Counted] = Future()
            failed.set_exception(error)
            return failed

    return {name: [submit(piece) for piece in ranges] for name, ranges in pieces.items()}


def _done(futures: Mapping[str, list[Future[_Counted]]]) -> dict[str, list[_Counted]]:
    """Return the cases all of whose pieces are done, also those that were not waited for yet."""

    def is_there(future: Future[_Counted]) -> bool:
        return future.done() and not future.cancelled() and future.exception() is None

    return {
        name: [future.result() for future in asked]
        for name, asked in futures.items()
        if all(map(is_there, asked))
    }


def _result(
    scenario: Scenario,
    cases: list[Case],
    counted: Mapping[str, list[_Counted]],
    failed: Mapping[str, Exception],
) -> Result:
    """Return the result of the cases that were played, or raise why none was."""
    played = [case for case in cases if case.name in counted]
    if not played:
        raise next(iter(failed.values()))
    notes = notes_of(played)
    if any(np.any(counts.values["n_unfinished"]) for found in counted.values() for counts in found):
        notes.insert(0, note("unfinished"))
    capped = [
        case.world.pools[p]
        for case in played
        for counts in counted[case.name]
        for p in counts.capped_pools
    ]
    if capped:
        estimates = dict.fromkeys(pool.chip for pool in capped if pool.caps is None)
        notes.append(note("power_capped", estimates=tuple(estimates)))
    counted_alike = in_one_window(_case_result(case, counted[case.name]) for case in played)
    found = {case.name: result for case, result in zip(played, counted_alike, strict=True)}
    results = [(case.name, case.world, found[case.name]) for case in played]
    warnings, failures = beside("agreement", warnings_of, results)
    notes += [*(warnings or ()), *failures]
    at_sites = [(name, world.site_figures, case) for name, world, case in results]
    rankings, of_cases = ranges_of(at_sites, scenario.asks or "time", scenario.currency)
    notes += rankings
    for name, fact in of_cases.items():
        found[name] = replace(found[name], facts={**found[name].facts, "site_ranges": fact})
    written = scenario.to_yaml()
    return Result(
        name=scenario.name,
        about=scenario.about,
        asks=scenario.asks,
        cases=found,
        provenance=_provenance(scenario, written, cases),
        scenario_yaml=written,
        files=scenario.input_files(),
        notes=tuple(notes),
        incomplete={
            name: _why_not(failed.get(name))
            for name in dict.fromkeys([*failed, *(case.name for case in cases)])
            if name not in counted
        },
    )


def _why_not(error: Exception | None) -> Note:
    """Return why a case has no result."""
    match error:
        case None:
            return note("case_not_reached")
        case BrokenExecutor():
            return note("case_lost_worker")
        case ComputePlanError():
            return note("case_failed", why=str(error))
        case MemoryError():
            return note("case_out_of_memory")
    return note("case_broke", error=type(error).__name__, why=str(error))


@dataclass(frozen=True, slots=True)
class _Counted:
    """What one piece of work sends back: numbers, not books."""

    values: Mapping[str, FloatArray]
    inputs: Mapping[str, FloatArray]
    jobs: Mapping[str, FloatArray]
    tenants: Mapping[str, Mapping[str, FloatArray]]
    by_site: BySite
    pool: np.ndarray[Any, Any]
    spans: tuple[Span, ...]
    power: Mapping[str, PowerSeries]
    fleet: FleetSeries | None
    capped_pools: tuple[int, ...]
    """Where a power cap slowed jobs down in some run."""


def _play_piece(world: World, engine: str, seed: int, first_run: int, n_runs: int) -> _Counted:
    """Play a range of runs and count them; the first run of all keeps its timeline."""
    if engine == "batch":
        ledger = batch.play(world, seed, first_run, n_runs)
        shown = ledger
        if first_run == 0:
            with contextlib.suppress(InfeasibleError):  # no picture, but the numbers stand
                shown = event.play(world, seed, 0, 1, timeline=True)
    else:
        shown = ledger = event.play(world, seed, first_run, n_runs, timeline=first_run == 0)
    used = ledger.chip_s[:, :-1].sum(axis=3)
    pool = np.where(used.max(axis=2) > 0, used.argmax(axis=2), -1)
    if world.jobs.n_groups < len(world.jobs):  # where each of many jobs ran is not kept
        pool = np.full((n_runs, len(world.jobs)), -1)
    inputs = Trace(world, seed, first_run, n_runs).quantiles()
    return _Counted(
        measure(ledger, world),
        inputs,
        measure_jobs(ledger, world),
        measure_tenants(ledger, world),
        by_site(ledger, world),
        pool,
        tuple(shown.spans or ()),
        power_of(shown, world),
        fleet_of(shown, world),
        capped_pools=tuple(np.flatnonzero(ledger.weighted("capped").any(axis=(0, 1, 3))).tolist()),
    )


def _case_result(case: Case, counted: list[_Counted]) -> CaseResult:
    world = case.world

    def join(block: str) -> dict[str, FloatArray]:
        return _joined([getattr(c, block) for c in counted])

    def deadline(at_s: float) -> str:
        return "" if math.isinf(at_s) else f"{at_s / HOUR_S:g}"

    pool = np.concatenate([c.pool for c in counted])
    values, jobs, of_time = carried_on(world, join("values"), join("jobs"))
    return CaseResult(
        values=values,
        inputs=join("inputs"),
        jobs=jobs,
        job_names=tuple(world.jobs.name(j) for j in range(len(world.jobs))),
        job_facts={
            "model": tuple(world.jobs.of_kind("model").tolist()),
            "tenant": tuple(world.jobs.tenant_names[i] for i in world.jobs.tenant),
            "pool": tuple(_usual_pool(world, pool[:, j]) for j in range(len(world.jobs))),
            "deadline_h": tuple(map(deadline, world.jobs.deadline_s.tolist())),
        },
        facts=facts_of(case.world) | of_time,
        spans=counted[0].spans,
        power=counted[0].power,
        fleet=counted[0].fleet,
        pool_names=tuple(pool.name for pool in world.pools),
        axes=case.axes,
        service_names=tuple(one.name for one in world.services),
        by_site=joined([c.by_site for c in counted]),
        tenants={who: _joined([c.tenants[who] for c in counted]) for who in counted[0].tenants},
    )


def _joined(parts: Sequence[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Return arrays of ranges of runs as one each, by name."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _usual_pool(world: World, pools: np.ndarray[Any, Any]) -> str:
    """Return the pools on which a job ran, each with its share of the runs if there are several."""
    found, counts = np.unique(pools[pools >= 0], return_counts=True)
    if len(found) == 1:
        return world.pools[int(found[0])].name
    shares = zip(found, counts / len(pools), strict=True)
    return ", ".join(f"{world.pools[p].name} {share:.0%}" for p, share in shares)


def _provenance(scenario: Scenario, written: str, cases: list[Case]) -> dict[str, Any]:
    """Return how to get the same numbers again; no host name, no path."""
    catalogue = scenario.catalogue
    entries = {**catalogue.chips, **catalogue.models}
    return {
        "computeplan": version("computeplan"),
        "scenario": scenario.name,
        "scenario_sha256": sha256(written.encode()).hexdigest(),
        "seed": scenario.simulate.seed,
        "runs": scenario.simulate.runs,
        "engines": {case.name: case.engine for case in cases},
        "catalogue_sha256": {
            name: sha256(entry.model_dump_json().encode()).hexdigest()
            for name, entry in sorted(entries.items())
        },
        **({"catalogue_sites": catalogue.sites} if catalogue.sites else {}),
        "python": platform.python_version(),
        "machine": platform.machine(),
        **{name: version(name) for name in ("numpy", "scipy", "simpy")},
    }
