"""Reads job traces from elsewhere, in the format that is said or can be told from the first lines.

Gavel, Tiresias, the Standard Workload Format, ``sacct -P``, our own CSV, and any other CSV whose
columns are mapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from computeplan.errors import ScenarioError
from computeplan.specs.logs.job_csv import MAX_BYTES, is_own_header, jobs_by_chunk
from computeplan.specs.logs.jobs.gavel import is_gavel, read_gavel
from computeplan.specs.logs.jobs.rows import ImportedJobs, JobsBuilder
from computeplan.specs.logs.jobs.sacct import read_sacct_jobs
from computeplan.specs.logs.jobs.swf import is_swf, read_swf
from computeplan.specs.logs.jobs.tables import is_tiresias, read_table
from computeplan.specs.logs.slurm import kind_of
from computeplan.specs.logs.text_file import opened
from computeplan.specs.logs.times import check_dates

__all__ = ["FORMATS", "format_of", "read_jobs"]

FORMATS = ("gavel", "tiresias", "swf", "sacct", "csv", "jobs")
"""``jobs`` is the plain CSV that is written."""


def format_of(first: str, second: str) -> str:
    """Return the format of a trace by its first lines; ``csv`` if it is none of the others.

    Examples
    --------
    >>> format_of("; Version: 2.2", ""), format_of("job_id,num_gpu,duration,submit_time", "")
    ('swf', 'csv')
    """
    if is_gavel(first):
        return "gavel"
    if is_swf(first):
        return "swf"
    header = [name.strip() for name in first.split(",")]
    if is_own_header(header):
        return "jobs"
    if is_tiresias(header):
        return "tiresias"
    return "sacct" if kind_of(first, second) == "sacct" else "csv"


def read_jobs(
    path: Path,
    kind: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
    dates: str | None = None,
    chips_per_node: int | None = None,
) -> ImportedJobs:
    """Return the jobs of a trace.

    Parameters
    ----------
    path : Path
        The file.
    kind : {"gavel", "tiresias", "swf", "sacct", "csv", "jobs"}, optional
        Its format; found from its first lines if left out, and ``csv`` with ``columns``.
    columns : mapping of str to str, optional
        Which column of a CSV holds what, such as ``{"arrival": "submitted"}``.
    unit : {"s", "min", "h", "d"}, optional
        Of bare times in a CSV.
    dates : str, optional
        The form of dates that are not of ISO 8601, as `datetime.strptime` has it; ``%s`` for
        seconds since 1970. Of tables only.
    chips_per_node : int, optional
        Of a table of ``sacct`` that says nodes only.

    Raises
    ------
    ScenarioError
        If the file cannot be read, an option is of another format, no row is a job, or most rows
        cannot be read.
    """
    shown = str(path)
    check_dates(dates)
    with opened(path, shown, MAX_BYTES) as file:
        if kind is None:
            first, second = _first_lines(file)
            kind = "csv" if columns else format_of(first, second)
        for option, value, of in (
            ("--map", columns, ("csv",)),
            ("--unit", unit, ("csv",)),
            ("--dates", dates, ("csv", "sacct")),
            ("--chips-per-node", chips_per_node, ("sacct",)),
        ):
            if value and kind not in of:
                message = f"is read as {kind}, and {option} is of {' and '.join(of)}: say --format"
                raise ScenarioError.of(message, file=shown)
        if kind == "gavel":
            return read_gavel(file, shown)
        if kind == "swf":
            return read_swf(file, shown)
        if kind == "sacct":
            return read_sacct_jobs(file, shown, dates, chips_per_node)
        if kind == "jobs":
            return _read_own(file, shown)
        return read_table(file, shown, columns or {}, "s" if kind == "tiresias" else unit, dates)


def _read_own(file: TextIO, shown: str) -> ImportedJobs:
    """Return the jobs of a plain CSV; rows that are wrong are left out and counted."""
    builder = JobsBuilder(shown)
    for columns, wrong in jobs_by_chunk(file, shown):
        if columns is not None:
            builder.take(columns)
        for line, why in wrong:
            builder.leave_out(why, line)
    return builder.build()


def _first_lines(file: TextIO) -> tuple[str, str]:
    """Return the first lines that say something; a ScenarioError if there is none."""
    found: list[str] = []
    while len(found) < 2 and (line := file.readline(65_536)):
        if line.strip():
            found.append(line)
    file.seek(0)
    if not found:
        raise ScenarioError.of("is empty", file=file.name)
    return found[0], found[1] if len(found) > 1 else ""
