"""``computeplan import``: a job trace from elsewhere turned into the jobs of a scenario."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from computeplan.cli.options import language_option, show_table
from computeplan.errors import ComputePlanError, ScenarioError
from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.errors import Problem

__all__ = ["import_"]

ORACLE_OUT = "throughput.csv"
MOST_CHIPS = 10_000


@click.command("import")
@language_option
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Write the jobs as a CSV; only a list of jobs is replaced.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(("gavel", "tiresias", "swf", "sacct", "csv", "jobs")),
    help="Found from the first lines if left out.",
)
@click.option(
    "--map",
    "columns",
    help="Of a CSV: arrival=submit_time,chips=num_gpu,length=duration; also steps, start, end,"
    " name, kind, tenant, priority, deadline, weight.",
)
@click.option("--unit", type=click.Choice(("s", "min", "h", "d")), help="Of bare times in a CSV.")
@click.option(
    "--dates", help="Form of dates that are not ISO 8601: '%m/%d/%Y %H:%M'; '%s' since 1970."
)
@click.option(
    "--chips-per-node",
    type=click.IntRange(1, MOST_CHIPS),
    help="Of sacct that says nodes and no chips.",
)
@click.option(
    "--oracle",
    type=click.Path(path_type=Path),
    help="Throughputs of Gavel (JSON); written beside --out as throughput.csv.",
)
def import_(
    language: Language,
    source: Path,
    out: Path,
    kind: str | None,
    columns: str | None,
    unit: str | None,
    dates: str | None,
    chips_per_node: int | None,
    oracle: Path | None,
) -> None:
    """Turn a job trace SOURCE (Gavel, Tiresias, SWF, sacct -P, CSV) into the jobs of a scenario.

    Rows that cannot be read, and jobs that never ran, are left out and counted by their reason.
    """
    from computeplan.report.job_logs import jobs_table
    from computeplan.specs.logs.job_csv import save_jobs
    from computeplan.specs.logs.job_reader import read_jobs
    from computeplan.specs.logs.throughput import load_throughput, missing_sorts, save_throughput

    speeds = out.parent / ORACLE_OUT
    _check_output("--out", out, source, _is_jobs)
    if oracle is not None:
        _check_output("--oracle", speeds, oracle, _is_speeds)
        if os.path.abspath(speeds) == os.path.abspath(out):  # noqa: PTH100 - neither need exist
            raise ScenarioError.of(f"--out cannot be {ORACLE_OUT}, where throughputs are written")
    found = read_jobs(
        source,
        kind,
        columns=_columns(columns),
        unit=unit,
        dates=dates,
        chips_per_node=chips_per_node,
    )
    written = [out]
    if oracle is not None:
        table = load_throughput(oracle)
        notes = (*found.notes, *table.notes, *missing_sorts(found.jobs, table))
        found = replace(found, notes=notes)
        _write(speeds, lambda file: save_throughput(table, file))
        written.append(speeds)
    _write(out, lambda file: save_jobs(found.jobs, file))
    _say_problems(source, found.problems)
    show_table(jobs_table(found, source.name, language=language))
    from computeplan.report.words import phrase

    paths = phrase("between", language).join(map(str, written))
    click.echo(phrase("jobs_written", language, paths=paths))


def _say_problems(source: Path, problems: tuple[Problem, ...]) -> None:
    """Say on standard error what is wrong with the first rows that were left out."""
    if problems:
        click.echo(f"{source}:", err=True)
    for problem in problems:
        click.echo(f"  {problem}", err=True)


def _columns(text: str | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in (text or "").split(","):
        what, sign, name = (piece.strip() for piece in part.partition("="))
        if part.strip() and not (what and sign and name):
            raise ScenarioError.of(f"--map is arrival=submit_time,chips=num_gpu, not {part[:60]!r}")
        if what in found:
            raise ScenarioError.of(f"--map says {what} twice")
        if what:
            found[what] = name
    return found


def _is_jobs(line: str) -> bool:
    from computeplan.specs.logs.job_csv import is_own_header

    return is_own_header(line.strip().split(","))


def _is_speeds(line: str) -> bool:
    from computeplan.specs.logs.throughput import COLUMNS

    return line.strip().split(",") == [*COLUMNS]


def _check_output(option: str, path: Path, source: Path, is_ours: Callable[[str], bool]) -> None:
    """Raise ComputePlanError if a file to be written is what is read, or of others."""
    from computeplan.study.folder import open_regular

    try:
        if path.exists() and source.exists() and path.samefile(source):
            raise ScenarioError.of(
                f"{option} would replace what is read; name another file", file=str(path)
            )
        if os.path.lexists(path):
            with open_regular(path, 10**12) as file:
                if not is_ours(file.readline(1000).decode("utf-8", "replace")):
                    message = "exists and was not written by computeplan import, so it is not"
                    raise ComputePlanError(
                        f"{path}: {message} replaced. Name another file or remove it"
                    )
    except OSError as error:
        raise ComputePlanError(f"{path}: cannot be written: {error.strerror}") from error


def _write(path: Path, write: Callable[[TextIO], None]) -> None:
    """Write a file whole, or leave the one that is there."""
    part = path.parent / f"{path.name}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8", newline="") as file:
            write(file)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise ComputePlanError(f"{path}: cannot be written: {error.strerror}") from error
