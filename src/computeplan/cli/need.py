"""``computeplan need``: how much of something is needed for a goal."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from computeplan.cli.options import (
    language_option,
    load_with,
    scenario_options,
    show_lines,
    show_table,
)
from computeplan.cli.workers import executor_of
from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.planner.need import Find, Need, Tried
    from computeplan.specs.scenario import Scenario

__all__ = ["need"]

NONE_MEETS, PARTIAL = 3, 4
"""Exit codes."""


@click.command()
@scenario_options
@language_option
@click.option(
    "--vary",
    required=True,
    metavar="PATH[=FACTOR],...",
    help="What is varied. The first path is the count; others are FACTOR times it, such as"
    " jobs.pretrain.batch='8192 token' or jobs.pretrain.parallelism.dp=1/64; without a FACTOR,"
    " the count itself.",
)
@click.option(
    "--until",
    required=True,
    metavar="GOAL",
    help="What must hold: 'P(time <= 60 d) >= 95 %', 'P(deadline) >= 95 %', 'p95(time) <= 70 d',"
    " 'ettr >= 0.9', 'availability >= 99 %', 'cost <= 2 MUSD'. Without mean(), median() or p95()"
    " around it a quantity is its mean over the runs.",
)
@click.option("--case", help="The case to vary.  [default: the scenario without its cases]")
@click.option(
    "--find",
    type=click.Choice(("least", "greatest")),
    help="Which of the values that meet the goal.  [default: the least where more helps]",
)
@click.option("--from", "low", metavar="COUNT", help="Smallest value.  [default: none]")
@click.option("--to", "high", metavar="COUNT", help="Largest.  [default: 16 times the present one]")
@click.option("--step", metavar="COUNT", help="Steps.  [default: whole nodes, or single things]")
@click.option("--runs", type=click.IntRange(2), help="Runs of each value.")
@click.option("--seed", type=click.IntRange(0), help="Seed of all that is drawn.")
@click.option("--max-runs", type=click.IntRange(1), help="Stop before more runs in all.")
@click.option("--max-time", metavar="TIME", help="Try no value after this time, such as '5 min'.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every value tried.")
def need(
    scenario: str,
    settings: tuple[str, ...],
    language: Language,
    vary: str,
    until: str,
    case: str | None,
    find: Find | None,
    low: str | None,
    high: str | None,
    step: str | None,
    runs: int | None,
    seed: int | None,
    max_runs: int | None,
    max_time: str | None,
    workers: int,
    as_json: bool,
) -> None:
    """Find the least (or greatest) value with which SCENARIO meets a goal.

    Values are tried by simulation, all with the same samples, in whole nodes where chips are
    counted; a value with which the scenario is not valid is skipped.

    \b
    computeplan need spares --vary sites.here.pools.h100.spares \\
        --until 'availability >= 99 %'

    Exit codes: 3 no legal value meets the goal, 4 stopped by --max-runs or --max-time.
    """  # noqa: D301 - \b is for click
    from computeplan.planner.need import Stopped
    from computeplan.planner.need import need as search

    more = [f"simulate.{k}={v}" for k, v in (("runs", runs), ("seed", seed)) if v is not None]
    loaded = _of_case(load_with(scenario, (*settings, *more)), case)
    is_stopped = False
    try:
        with executor_of(workers) as executor, _progress(language) as progress:
            found = search(
                loaded,
                vary,
                until,
                find=find,
                low=low,
                high=high,
                step=step,
                max_runs=max_runs,
                max_seconds=_seconds(max_time),
                executor=executor,
                progress=progress,
            )
    except Stopped as stop:
        found, is_stopped = stop.found, True
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False, indent=2))
    else:
        _show(found, language)
    if is_stopped:
        raise KeyboardInterrupt
    if not found.is_complete or found.answer is None:
        click.get_current_context().exit(NONE_MEETS if found.is_complete else PARTIAL)


def _of_case(scenario: Scenario, case: str | None) -> Scenario:
    """Return the scenario of a case; without a name, the one that has neither cases nor sweep."""
    from computeplan.errors import ScenarioError
    from computeplan.specs.documents.document import nearest
    from computeplan.study.cases import expand

    if case is None:
        return scenario
    variants = expand(scenario)
    if case not in variants:
        message = f"no case {case!r}.{nearest(case, variants)}  Cases: {', '.join(variants)}"
        raise ScenarioError.of(message, file="--case")
    return variants[case].scenario


def _seconds(text: str | None) -> float | None:
    from computeplan.units import parse

    if text is None:
        return None
    try:
        return parse(text, "s")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--max-time") from None


def _show(found: Need, language: Language) -> None:
    from computeplan.report.needs import answer, beside, remarks

    show_lines(answer(found, language))
    if found.tried:
        show_table(beside(found, language))
    show_lines(f"- {line}" for line in remarks(found, language))


@contextlib.contextmanager
def _progress(language: Language) -> Iterator[Callable[[Tried], None] | None]:
    """Yield a callback that says on stderr what was tried, or nothing if nobody looks."""
    if not sys.stderr.isatty() or os.environ.get("CI"):
        yield None
        return
    from rich.console import Console

    from computeplan.report.needs import progress

    with Console(stderr=True).status("simulating") as status:
        yield lambda tried: status.update(progress(tried, language))
