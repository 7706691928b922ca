"""The cases of a scenario: expanded, compiled, each with the engine that plays it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

from computeplan.analytic.breakeven import break_evens
from computeplan.compiler.compile import compile_world
from computeplan.engines import batch, event
from computeplan.errors import InfeasibleError, Problem, ScenarioError, UnsupportedByEngine
from computeplan.notes import Note, note
from computeplan.specs.scenario import Scenario
from computeplan.world.world import World

__all__ = ["Case", "compile_cases", "expand", "notes_of"]

ENGINES = {"batch": batch, "event": event}
"""By name, those that `engine: auto` tries first standing first."""
MAX_CASES = 10_000


MAX_RUNS = 5_000_000  # of all cases; each leaves some 30 numbers in memory


@dataclass(frozen=True, slots=True)
class Case:
    """One case, ready to play."""

    name: str
    """As in the scenario."""
    world: World
    """Compiled."""
    engine: str
    """``batch`` or ``event``."""


def expand(scenario: Scenario) -> dict[str, Scenario]:
    """Return the scenarios of all cases, crossed with all axes of the sweep, by name.

    Raises
    ------
    ScenarioError
        If a path does not exist or a changed scenario is not valid.
    """
    base = scenario.with_({"cases": None, "sweep": None})
    cases = scenario.cases or {scenario.name: {}}
    axes = list(scenario.sweep.items())
    heads = _short_paths([path for path, _ in axes])
    n_cases = len(cases) * math.prod(len(values) for _, values in axes)
    n_runs = n_cases * scenario.simulate.runs
    if n_runs > MAX_RUNS:
        message = (
            f"{n_cases} cases of {scenario.simulate.runs} runs are more than {MAX_RUNS:,} runs"
        )
        raise ScenarioError([scenario.document.problem(("simulate", "runs"), message)])
    if n_cases > MAX_CASES:
        raise ScenarioError.of(
            f"cases x sweep make {n_cases} cases, more than {MAX_CASES}", "sweep"
        )
    found: dict[str, Scenario] = {}
    problems: dict[
        Problem, Problem
    ] = {}  # as it stands in the file -> with the first case it is in
    for case, changes in cases.items():
        for path in (changes or {}).keys() & scenario.sweep.keys():
            message = f"case '{case}' sets this path too; a value is either swept or set"
            problem = scenario.document.problem(("sweep", path), message)
            problems[problem] = problem
        for values in itertools.product(*(values for _, values in axes)):
            axis = {path: value for (path, _), value in zip(axes, values, strict=True)}
            words = [f"{head}={value}" for head, value in zip(heads, values, strict=True)]
            name = ", ".join([*([case] if scenario.cases or not axes else []), *words])
            if name in found:
                problem = scenario.document.problem(("sweep",), f"two cases are named '{name}'")
                problems[problem] = problem
            try:
                found[name] = base.with_({**(changes or {}), **axis}, case=case)
            except ScenarioError as error:
                for problem in error.problems:
                    problems.setdefault(problem, _in_case(problem, name))
    if problems:
        raise ScenarioError(problems.values())
    return found


def _short_paths(paths: list[str]) -> list[str]:
    """Return the ends of paths, as long as it takes to tell them apart."""
    parts = [path.split(".") for path in paths]
    for length in range(1, max(map(len, parts), default=1) + 1):
        ends = [".".join(part[-length:]) for part in parts]
        if len(set(ends)) == len(ends):
            return ends
    return paths


def _in_case(problem: Problem, name: str) -> Problem:
    return replace(problem, message=f"{problem.message}  (case '{name}')")


def compile_cases(scenario: Scenario) -> list[Case]:
    """Return every case of a scenario, compiled, with the engine that will play it.

    Raises
    ------
    ScenarioError, InfeasibleError
        With the name of the case.
    UnsupportedByEngine
        If the engine that was asked for, or every engine, cannot play a case.
    """
    cases, wrong, infeasible = [], [], []
    for name, variant in expand(scenario).items():
        try:
            world = compile_world(variant)
        except ScenarioError as error:
            wrong += [_in_case(problem, name) for problem in error.problems]
        except InfeasibleError as error:
            infeasible.append(f"{error}  (case '{name}')")
        else:
            cases.append(Case(name, world, _engine(variant, world)))
    if wrong:
        raise ScenarioError(wrong)
    if infeasible:
        raise InfeasibleError("\n".join(infeasible))
    return cases


def notes_of(cases: list[Case]) -> list[Note]:
    """Return what a reader must know of cases, unlike MFUs and break-even rates included."""
    notes = list(dict.fromkeys(one for case in cases for one in case.world.notes))
    classes = {kind for case in cases for job in case.world.jobs for kind in job.mfu_class if kind}
    if len(classes) > 1:
        notes.append(note("not_like_for_like", kinds=tuple(sorted(classes))))
    return [*notes, *break_evens({case.name: case.world for case in cases})]


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
