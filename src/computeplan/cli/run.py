"""``computeplan run``: simulate a scenario, print the table, write the folder."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from computeplan.cli.options import (
    language_option,
    load_with,
    say_unseen,
    scenario_options,
    show_table,
)
from computeplan.cli.workers import executor_of
from computeplan.errors import ComputePlanError
from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.study.result import Result

__all__ = ["run"]

PARTIAL = 4
"""Exit code where some cases have a result and others have none."""
CASE_WIDTH = 40
"""Terminal columns for the name of a case beside the bar."""


@click.command()
@scenario_options
@language_option
@click.option("--runs", type=click.IntRange(1), help="Replications of each case.")
@click.option("--seed", type=click.IntRange(0), help="Seed of all that is drawn.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes; the numbers do not depend on it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for numbers and figures.  [default: results/NAME; none with --json]",
)
@click.option("--jobs", "with_jobs", is_flag=True, help="Also print a table of jobs per case.")
@click.option("--figures/--no-figures", default=True, help="Draw figures into the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def run(
    scenario: str,
    settings: tuple[str, ...],
    language: Language,
    runs: int | None,
    seed: int | None,
    workers: int,
    out: Path | None,
    with_jobs: bool,
    figures: bool,
    as_json: bool,
) -> None:
    """Simulate SCENARIO: a YAML file, or the name of a shipped one.

    Exit code 4: some cases have no result. Ctrl-C keeps those that are done.
    """
    from computeplan.study import run as study
    from computeplan.study.store import check_writable

    more = [f"simulate.{k}={v}" for k, v in (("runs", runs), ("seed", seed)) if v is not None]
    loaded = load_with(scenario, (*settings, *more))
    folder = out if out is not None or as_json else Path("results") / loaded.name
    if folder is not None:
        check_writable(folder)
    is_stopped = False
    try:
        with executor_of(workers) as executor, _progress(language) as progress:
            result = study.run(loaded, executor=executor, progress=progress)
    except study.Interrupted as stop:
        result, is_stopped = stop.result, True
    _report(
        result,
        language,
        folder,
        with_jobs=with_jobs,
        figures=figures and not is_stopped,
        as_json=as_json,
    )
    if is_stopped:
        raise KeyboardInterrupt
    if result.incomplete:
        click.get_current_context().exit(PARTIAL)


def _report(
    result: Result,
    language: Language,
    folder: Path | None,
    *,
    with_jobs: bool,
    figures: bool,
    as_json: bool,
) -> None:
    """Save, show, draw: in this order, and each whatever becomes of the others."""
    from computeplan.report.words import phrase
    from computeplan.study.store import save_result

    errors: list[Exception] = []
    if folder is not None:
        with _going_on(errors):
            save_result(result, folder, partial(_draw, language=language) if figures else None)
    with _going_on(errors):
        if as_json:
            click.echo(json.dumps(result.to_json(), ensure_ascii=False, allow_nan=False, indent=2))
        else:
            _show(result, language, with_jobs=with_jobs)
    if folder is not None:
        with _going_on(errors):
            click.echo(phrase("numbers_in", language, folder=folder), err=as_json)
            if figures:
                _say_figures(result, folder / "figures", language, err=as_json)
    if errors:
        raise errors[0]


def _say_figures(result: Result, folder: Path, language: Language, *, err: bool) -> None:
    from computeplan.report.figures import unseen_in
    from computeplan.report.words import phrase

    click.echo(phrase("figures_in", language, folder=folder), err=err)
    say_unseen(unseen_in(result), language, err=err)


@contextlib.contextmanager
def _going_on(errors: list[Exception]) -> Iterator[None]:
    """Keep what goes wrong for later: a reader that went away, a full disk."""
    try:
        yield
    except (ComputePlanError, OSError) as error:
        errors.append(error)


def _draw(result: Result, folder: Path, *, language: Language) -> None:
    from computeplan.report.figures import save_figures

    save_figures(result, folder, language=language)


def _show(result: Result, language: Language, *, with_jobs: bool) -> None:
    from computeplan.report.result_views import jobs, missing, summary

    for line in missing(result, language):
        click.echo(line)
    if result.about:
        click.echo(result.about.strip() + "\n")
    show_table(summary(result, language=language))
    for name in result.cases if with_jobs else ():
        found = jobs(result, name, language=language)
        show_table(replace(found, notes=()))  # they stand below the first table


@contextlib.contextmanager
def _progress(language: Language) -> Iterator[Any]:
    """Yield a callback that draws a bar on stderr, or does nothing if nobody looks."""
    if not sys.stderr.isatty() or os.environ.get("CI"):
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from computeplan.report.table import wrap
    from computeplan.report.words import phrase

    case = TextColumn("{task.description}", markup=False)  # names are text
    columns = (
        TextColumn(phrase("simulating", language)),
        case,
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, case: bar.update(
            task, completed=done, total=total, description=wrap(case, CASE_WIDTH, lines=1)
        )
