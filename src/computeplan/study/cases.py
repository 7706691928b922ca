"""The cases of a scenario: expanded, compiled, each with the engine that plays it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from computeplan.analytic.breakeven import break_evens
from computeplan.compiler.compile import compile_world
from computeplan.engines import batch, event
from computeplan.errors import (
    InfeasibleError,
    Problem,
    ScenarioError,
    UnsupportedByEngine,
    in_cases,
)
from computeplan.fleet.services import plan_services
from computeplan.notes import Note, note, of_case
from computeplan.specs.scenario import Scenario
from computeplan.study.facts import beside
from computeplan.world.world import World

__all__ = ["ENGINES", "Case", "Compiled", "Variant", "compile_cases", "expand", "notes_of"]

ENGINES = {"batch": batch, "event": event}
"""By name, those that `engine: auto` tries first standing first."""
MAX_CASES = 10_000


MOST_NUMBERS = 100_000_000  # in memory at the end, some 0.8 GB
PER_RUN, PER_JOB = 35, 5  # of them for each run, and more for each job of each run


@dataclass(frozen=True, slots=True)
class Case:
    """One case, ready to play."""

    name: str
    """As in the scenario."""
    world: World
    """Compiled."""
    engine: str
    """``batch`` or ``event``."""
    axes: Mapping[str, object] = field(default_factory=dict)
    """Where it stands in the sweep: path -> value as written."""


class Compiled(NamedTuple):
    """The cases of a scenario."""

    cases: list[Case]
    """Those that can be played; at least one."""
    infeasible: dict[str, InfeasibleError]
    """Why the others cannot, by name."""


class Variant(NamedTuple):
    """One case of a scenario, not yet compiled."""

    scenario: Scenario
    axes: Mapping[str, object]
    """Where it stands in the sweep: path -> value as written."""


def expand(scenario: Scenario) -> dict[str, Variant]:
    """Return all cases, each at every point of the sweep, by name.

    Raises
    ------
    ScenarioError
        If a path does not exist or a changed scenario is not valid.
    """
    base, written = scenario.with_({"cases": None, "sweep": None}), scenario.document
    cases = scenario.cases or {scenario.name: {}}
    points = _points(scenario)
    heads = _heads(points)
    found: dict[str, Variant] = {}
    problems = [*_set_twice(scenario)]
    for case, changes in cases.items():
        for i, axes in enumerate(points):
            words = [f"{head}={axes[path]}" for path, head in heads.items()]
            name = ", ".join([*([case] if scenario.cases or not axes else []), *words])
            if name in found:
                problems.append(
                    scenario.document.problem(("sweep",), f"two cases are named '{name}'")
                )
            try:
                variant = base.with_({**(changes or {}), **axes}, case=case, written=written)
                found[name] = Variant(variant, axes)
            except ScenarioError as error:
                problems += [
                    replace(_at_point(scenario, i, problem), cases=(name,))
                    for problem in error.problems
                ]
    if problems:
        raise ScenarioError(problems)
    return found


def _points(scenario: Scenario) -> list[dict[str, object]]:
    """Return the points of the sweep, each path -> value; one of no path where there is none.

    Raises
    ------
    ScenarioError
        If there are too many, or points that are listed do not all set the same paths.
    """
    sweep, document = scenario.sweep, scenario.document
    crossed = [] if isinstance(sweep, list) else list(sweep.values())
    n_points = len(sweep) if isinstance(sweep, list) else math.prod(map(len, crossed))
    n_cases = max(1, len(scenario.cases)) * n_points
    n_jobs = scenario.n_jobs
    most = MOST_NUMBERS // (PER_RUN + PER_JOB * n_jobs)
    if n_cases * scenario.simulate.runs > most:
        message = (
            f"{n_cases} cases of {scenario.simulate.runs:,} runs are more than the {most:,} runs"
            f" whose numbers fit in memory{f', of {n_jobs} jobs each' if n_jobs > 1 else ''}"
        )
        raise ScenarioError([document.problem(("simulate", "runs"), message)])
    if n_cases > MAX_CASES:
        raise ScenarioError.of(
            f"cases x sweep make {n_cases} cases, more than {MAX_CASES}", "sweep"
        )
    if not isinstance(sweep, list):
        return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*crossed)]
    first = ", ".join(sweep[0])
    unlike = [
        document.problem(
            ("sweep", i), f"sets {', '.join(point)}, the first point {first}; all set the same"
        )
        for i, point in enumerate(sweep)
        if point.keys() != sweep[0].keys()
    ]
    if unlike:
        raise ScenarioError(unlike)
    return sweep


def _set_twice(scenario: Scenario) -> Iterator[Problem]:
    """Yield paths of the sweep that a case sets too."""
    sweep = scenario.sweep
    swept: dict[str, tuple[int | str, ...]] = (
        {path: (0, path) for path in sweep[0]}
        if isinstance(sweep, list)
        else {path: (path,) for path in sweep}
    )
    for case, changes in scenario.cases.items():
        for path in (changes or {}).keys() & swept.keys():
            message = f"case '{case}' sets this path too; a value is either swept or set"
            yield scenario.document.problem(("sweep", *swept[path]), message)


def _heads(points: list[dict[str, object]]) -> dict[str, str]:
    """Return what the name of a case calls the values of a point: path -> the end of the path.

    Paths with one last part and one value at every point, such as the chips of a pool and of its
    job, are said once.
    """
    said: dict[tuple[str, str], str] = {}
    for path in points[0]:
        values = repr([point[path] for point in points])
        said.setdefault((path.rpartition(".")[2], values), path)
    return {path: _short_path(path, list(said.values())) for path in said.values()}


def _short_path(path: str, paths: list[str]) -> str:
    """Return the end of a path, as long as it takes to tell it from the others."""
    parts, others = path.split("."), [other.split(".") for other in paths if other != path]
    for length in range(1, len(parts)):
        if all(other[-length:] != parts[-length:] for other in others):
            return ".".join(parts[-length:])
    return path


def _at_point(scenario: Scenario, point: int, problem: Problem) -> Problem:
    """Return a problem with a value of a point that is listed, at that point."""
    if not isinstance(scenario.sweep, list):
        return problem
    for path in scenario.sweep[point]:
        if problem.path == path or problem.path.startswith((f"{path}.", f"{path}[")):
            placed = scenario.document.problem(("sweep", point, path), problem.message)
            return replace(placed, path=problem.path)
    return problem


def compile_cases(scenario: Scenario, told: Callable[[str], object] | None = None) -> Compiled:
    """Return every case of a scenario, compiled, with the engine that will play it.

    A case that can never be played is left out, and named with the reason.

    Parameters
    ----------
    scenario : Scenario
    told : callable, optional
        Called with what is found out about a service, which takes some seconds.

    Raises
    ------
    ScenarioError
        With the names of the cases.
    InfeasibleError
        If no case can be played, with the names of the cases.
    UnsupportedByEngine
        If the engine that was asked for, or every engine, cannot play a case.
    """
    cases, wrong = list[Case](), list[Problem]()
    infeasible: dict[str, InfeasibleError] = {}
    for name, variant in expand(scenario).items():
        try:
            planned = plan_services(variant.scenario, told)
            world = compile_world(variant.scenario, planned)
        except ScenarioError as error:
            wrong += [replace(problem, cases=(name,)) for problem in error.problems]
        except InfeasibleError as error:
            infeasible[name] = error
        else:
            cases.append(Case(name, world, _engine(variant.scenario, world), variant.axes))
    if wrong:
        raise ScenarioError(wrong)
    if not cases:
        named: dict[str, list[str]] = {}
        for name, why in infeasible.items():
            named.setdefault(str(why), []).append(name)
        raise InfeasibleError("\n".join(f"{text}{in_cases(of)}" for text, of in named.items()))
    return Compiled(cases, infeasible)


def notes_of(cases: list[Case]) -> list[Note]:
    """Return what a reader must know of cases, unlike MFUs and break-even rates included.

    What is said of a service in some cases only names them: layouts and rates may differ.
    """
    notes = []
    every = [set(case.world.notes) for case in cases]
    for case in cases:
        for one in case.world.notes:
            is_of_all = not _is_of_service(one) or all(one in each for each in every)
            notes.append(one if is_of_all else of_case(one, case.name))
    notes = list(dict.fromkeys(notes))
    classes = {kind for case in cases for job in case.world.jobs for kind in job.mfu_class if kind}
    if len(classes) > 1:
        notes.append(note("not_like_for_like", kinds=tuple(sorted(classes))))
    found, failed = beside("break_even", break_evens, {case.name: case.world for case in cases})
    return [*notes, *(found or ()), *failed]


def _is_of_service(one: Note) -> bool:
    """Return whether a note is of a service: it names one, or a place in one."""
    return "service" in one.values or str(one.values.get("path")).startswith("services.")


def _engine(scenario: Scenario, world: World) -> str:
    wanted = scenario.simulate.engine
    for name in ENGINES if wanted == "auto" else (wanted,):
        unsupported = ENGINES[name].why_unsupported(world)
        if unsupported is None:
            return name
    path, reason = unsupported
    problem = scenario.document.problem(tuple(path.split(".")), reason)
    place = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
    hint = ". Use engine: event" if name == "batch" else ""
    raise UnsupportedByEngine(f"{place}  {path}: engine {name} cannot play this: {reason}{hint}")
