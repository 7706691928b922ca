"""``computeplan run``: simulate a scenario, print the table, write the folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from computeplan.cli.options import language_option, load_with, scenario_options, show_table
from computeplan.errors import ComputePlanError
from computeplan.report import Language

__all__ = ["run"]


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
    """Simulate SCENARIO: a YAML file, or the name of a shipped one."""
    from computeplan.study import run as study
    from computeplan.study.store import check_writable, save_result

    more = [f"simulate.{k}={v}" for k, v in (("runs", runs), ("seed", seed)) if v is not None]
    loaded = load_with(scenario, (*settings, *more))
    folder = out if out is not None or as_json else Path("results") / loaded.name
    if folder is not None:
        check_writable(folder)
    with _executor(workers) as executor, _progress() as progress:
        result = study.run(loaded, executor=executor, progress=progress)
    if as_json:
        click.echo(json.dumps(result.to_json(), ensure_ascii=False, allow_nan=False, indent=2))
    else:
        _show(result, language, with_jobs=with_jobs)
    if folder is not None:
        if figures and sys.stderr.isatty():
            click.echo("drawing figures ...", err=True)
        save_result(result, folder, partial(_draw, language=language) if figures else None)
        click.echo(f"Numbers: {folder}", err=as_json)
        if figures:
            click.echo(f"Figures: {folder / 'figures'}", err=as_json)


def _draw(result: Any, folder: Path, *, language: Language) -> None:
    from computeplan.report.figures import save_figures

    save_figures(result, folder, language=language)


def _show(result: Any, language: Language, *, with_jobs: bool) -> None:
    from computeplan.report.result_views import jobs, summary

    if result.about:
        click.echo(result.about.strip() + "\n")
    show_table(summary(result, language=language))
    for name in result.cases if with_jobs else ():
        found = jobs(result, name, language=language)
        show_table(replace(found, notes=()))  # they stand below the first table


@contextlib.contextmanager
def _executor(workers: int) -> Iterator[Executor | None]:
    if workers == 1:
        yield None
        return
    # Workers are forked from a process that takes SIGTERM for Ctrl-C; they just end.
    as_usual = (signal.SIGTERM, signal.SIG_DFL)
    pool = ProcessPoolExecutor(workers, initializer=signal.signal, initargs=as_usual)
    try:
        yield pool
    except BrokenProcessPool:
        message = "a worker was killed, perhaps for lack of memory; try fewer --workers or --runs"
        raise ComputePlanError(message) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
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

    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
