"""The plain CSV of jobs, which ``computeplan import`` writes and a scenario's workload reads.

A million rows are read a column at a time. Where a chunk holds a row that is wrong, its rows are
read one by one. A workload's file is refused with all rows that are wrong; an import leaves them
out and says which.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import Problem, ScenarioError
from computeplan.specs.documents.document import nearest
from computeplan.specs.fields import MAX_COUNT
from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.job_table import CHUNK, Chunk, Gathered, JobLog, JobRow, columns_of
from computeplan.specs.logs.text_file import opened

__all__ = [
    "CSV_COLUMNS",
    "MAX_BYTES",
    "MAX_PRIORITY",
    "MAX_STEPS",
    "MAX_TIME_S",
    "MAX_WEIGHT",
    "csv_rows",
    "is_own_header",
    "jobs_by_chunk",
    "load_jobs",
    "number",
    "save_jobs",
    "text_cell",
    "whole",
]

CSV_COLUMNS = (
    *("name", "arrival_s", "kind", "chips", "train_s", "steps"),
    *("tenant", "priority", "deadline_s", "weight"),
)
"""Of the plain CSV; only arrival_s, chips, and train_s or steps must be there."""
MAX_BYTES = 2_000_000_000
MAX_TIME_S = 1e11
"""Three thousand years: what is longer is a mistake. [s]"""
MAX_STEPS = 1e18
MAX_PRIORITY = 2**53
MAX_WEIGHT = 1e12
MAX_TEXT = 200
MAX_PROBLEMS = 20


def number(text: str, column: str, most: float, *, above: bool = False) -> float:
    """Return a number from 0 on, or above 0, that is at most `most`; a RowError if it is none."""
    bare = text.strip()
    try:
        value = float(bare) if bare.isascii() and "_" not in bare else math.nan
    except ValueError:
        value = math.nan
    if not (0 <= value <= most) or (above and value == 0):
        sign = ">" if above else ">="
        raise RowError(
            "job_left_number",
            f"{column} must be a number {sign} 0 and <= {most:g}, got {text[:40]!r}",
        )
    return value


def whole(text: str, column: str, least: int, most: int) -> int:
    """Return a whole number, which may be written 8.0; a RowError if it is none."""
    bare = text.strip()
    try:
        value = float(bare) if bare.isascii() and "_" not in bare else math.nan
    except ValueError:
        value = math.nan
    if not (least <= value <= most) or value != math.floor(value):
        raise RowError(
            "job_left_number",
            f"{column} must be a whole number from {least:,} to {most:,}, got {text[:40]!r}",
        )
    return int(value)


def text_cell(text: str, column: str) -> str:
    """Return a name as a log writes it, without blanks around it; it may be empty.

    A RowError if it is very long, or holds what cannot be printed.
    """
    name = text.strip()
    if len(name) > MAX_TEXT or not name.isprintable():
        raise RowError(
            "job_left_text",
            f"{column} {name[:40]!r} is longer than {MAX_TEXT} characters or cannot be printed",
        )
    return name


def csv_rows(file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str] | RowError]]:
    """Return the rows of a CSV that are not blank, each with its last line."""
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    while True:
        try:
            row: list[str] | RowError = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row = RowError("job_left_cells", f"is not CSV: {error}")
        if row:
            yield reader.line_num, row


def is_own_header(header: Sequence[str]) -> bool:
    """Return whether a header is of the plain CSV."""
    return {"arrival_s", "chips"} <= set(header) <= set(CSV_COLUMNS)


def load_jobs(path: Path, shown: str | None = None) -> JobLog:
    """Return the jobs of a plain CSV, as ``computeplan import`` writes it.

    Parameters
    ----------
    path : Path
        The file; its columns are among `CSV_COLUMNS`, in any order.
    shown : str, optional
        The name of the file in messages; its path if left out.

    Raises
    ------
    ScenarioError
        If it cannot be read, a column is missing or unknown, or with all rows that are wrong.
    """
    shown = str(path) if shown is None else shown
    with opened(path, shown, MAX_BYTES) as file:
        return _read_jobs(file, shown)


def jobs_by_chunk(
    file: TextIO, shown: str
) -> Iterator[tuple[Chunk | None, list[tuple[int, RowError]]]]:
    """Yield the jobs of a plain CSV chunk by chunk, and what is wrong with other rows, by line.

    Raises
    ------
    ScenarioError
        If a column is missing or unknown.
    """
    rows = csv_rows(file, ",")
    header = _header(next(rows, (0, []))[1], shown)
    at = {name: header.index(name) for name in header}
    while chunk := list(islice(rows, CHUNK)):
        columns = _all_right(chunk, at, len(header))
        if columns is None:
            right, wrong = _one_by_one(chunk, at, len(header))
            yield columns_of(right) if right else None, wrong
        else:
            yield columns, []


def _read_jobs(file: TextIO, shown: str) -> JobLog:
    gathered, n_wrong, n_jobs = Gathered(), 0, 0
    problems: list[Problem] = []
    for columns, wrong in jobs_by_chunk(file, shown):
        n_wrong += len(wrong)
        room = max(MAX_PROBLEMS - len(problems), 0)
        problems += [Problem(str(why), "", shown, line, 1) for line, why in wrong[:room]]
        if columns is not None:
            n_jobs += columns.arrival_s.size
            gathered.take(columns)
    if n_wrong > len(problems):
        more = n_wrong - len(problems)
        problems.append(Problem(f"and {more:,} more rows that are wrong", "", shown))
    if problems:
        raise ScenarioError(problems)
    if not n_jobs:
        raise ScenarioError.of("holds no job", file=shown)
    return gathered.log()


def _header(top: list[str] | RowError, shown: str) -> list[str]:
    if isinstance(top, RowError):
        raise ScenarioError([Problem(str(top), "", shown, 1, 1)])
    if not top:
        raise ScenarioError.of("is empty", file=shown)
    header = [name.strip() for name in top]
    problems = [
        f"has no column {name}" for name in ("arrival_s", "chips") if name not in header
    ] + ([] if {"train_s", "steps"} & set(header) else ["has no column train_s or steps"])
    for name in dict.fromkeys(header):
        if name not in CSV_COLUMNS:
            near = nearest(name, CSV_COLUMNS)
            problems.append(f"has an unknown column {name[:40]!r}.{near}")
        if header.count(name) > 1:
            problems.append(f"has the column {name[:40]!r} twice")
    if problems:
        listed = ", ".join(CSV_COLUMNS)
        problems.append(f"a list of jobs has some of {listed}; computeplan import makes one")
        raise ScenarioError([Problem(text, "", shown, 1, 1) for text in problems])
    return header


def _all_right(
    rows: Sequence[tuple[int, list[str] | RowError]], at: dict[str, int], n_cells: int
) -> Chunk | None:
    """Return the columns of rows that are all right, a column at a time; None if some are not.

    It accepts what `_one_by_one` accepts, and nothing else.
    """
    cells = [row for _, row in rows if not isinstance(row, RowError) and len(row) == n_cells]
    if len(cells) < len(rows):
        return None
    columns = [*zip(*cells, strict=True)]
    n = len(cells)

    def numbers(name: str, default: float) -> FloatArray | None:
        if name not in at:
            return np.full(n, default)
        column = columns[at[name]]
        joined = "".join(column)
        if not joined.isascii() or "_" in joined:
            return None
        try:
            return np.array([float(text) if text else default for text in column])
        except ValueError:
            return None

    found = [numbers(name, default) for name, default in _DEFAULTS.items()]
    if any(column is None for column in found):
        return None
    arrival, chips, train, steps, priority, deadline, weight = (
        column for column in found if column is not None
    )
    right = (arrival >= 0) & (arrival <= MAX_TIME_S) & (chips >= 1) & (chips <= MAX_COUNT)
    right &= (chips == np.floor(chips)) & (priority == np.floor(priority))
    right &= (np.abs(priority) <= MAX_PRIORITY) & (weight > 0) & (weight <= MAX_WEIGHT)
    right &= (deadline > 0) & ((deadline <= MAX_TIME_S) | np.isposinf(deadline))
    by_time = (train > 0) & (train <= MAX_TIME_S) & np.isnan(steps)
    by_steps = (steps > 0) & (steps <= MAX_STEPS) & np.isnan(train)
    texts: list[Sequence[str]] = []
    for name in ("kind", "tenant", "name"):
        column = [*map(str.strip, columns[at[name]])] if name in at else [""] * n
        if max(map(len, column)) > MAX_TEXT or not "".join(column).isprintable():
            return None
        texts.append(column)
    if not np.all(right & (by_time | by_steps)) or _says_nan_or_inf(columns, at):
        return None
    return Chunk(
        *(arrival, chips.astype(np.int64), train, steps, texts[0], texts[1]),
        *(priority.astype(np.int64), deadline, weight, texts[2]),
    )


_DEFAULTS = {
    "arrival_s": math.nan,
    "chips": math.nan,
    "train_s": math.nan,
    "steps": math.nan,
    "priority": 0.0,
    "deadline_s": math.inf,
    "weight": 1.0,
}


def _says_nan_or_inf(columns: list[tuple[str, ...]], at: dict[str, int]) -> bool:
    """Return whether a cell says what only an empty one may mean."""
    return any(
        "n" in "".join(columns[at[name]]).lower()  # in nan and inf, and in no number
        for name in ("train_s", "steps", "deadline_s")
        if name in at
    )


def _one_by_one(
    rows: Sequence[tuple[int, list[str] | RowError]], at: dict[str, int], n_cells: int
) -> tuple[list[JobRow], list[tuple[int, RowError]]]:
    """Return the rows that are right, and what is wrong with the others, by line."""
    right: list[JobRow] = []
    wrong: list[tuple[int, RowError]] = []
    for line, row in rows:
        try:
            if isinstance(row, RowError):
                raise row
            if len(row) != n_cells:
                why = f"has {len(row)} cells; the header has {n_cells}"
                raise RowError("job_left_cells", why)  # noqa: TRY301 - joins what is wrong
            right.append(_job({name: row[i] for name, i in at.items()}))
        except RowError as error:
            wrong.append((line, error))
    return right, wrong


def _job(cells: dict[str, str]) -> JobRow:
    """Return the job of a row of the plain CSV."""

    def said(name: str, read: Callable[[str], float], default: float) -> float:
        text = cells.get(name, "")
        return read(text) if text else default

    nan = math.nan
    train = said("train_s", lambda t: number(t, "train_s", MAX_TIME_S, above=True), nan)
    steps = said("steps", lambda t: number(t, "steps", MAX_STEPS, above=True), nan)
    if math.isnan(train) == math.isnan(steps):
        how = "both" if not math.isnan(train) else "neither"
        raise RowError("job_left_length", f"must say one of train_s and steps, got {how}")
    most = MAX_PRIORITY
    return JobRow(
        number(cells["arrival_s"], "arrival_s", MAX_TIME_S),
        whole(cells["chips"], "chips", 1, MAX_COUNT),
        train,
        steps,
        text_cell(cells.get("kind", ""), "kind"),
        text_cell(cells.get("tenant", ""), "tenant"),
        int(said("priority", lambda text: whole(text, "priority", -most, most), 0)),
        said("deadline_s", lambda t: number(t, "deadline_s", MAX_TIME_S, above=True), math.inf),
        said("weight", lambda text: number(text, "weight", MAX_WEIGHT, above=True), 1.0),
        text_cell(cells.get("name", ""), "name"),
    )


def save_jobs(jobs: JobLog, file: TextIO) -> None:
    """Write jobs as a plain CSV, which reads as the same jobs, to the last digit.

    Columns that say nothing of any job are left out.
    """
    n = len(jobs)
    columns: dict[str, Callable[[slice], list[str]]] = {}
    if jobs.names is not None:
        names = jobs.names
        columns["name"] = lambda part: [names[i] for i in range(*part.indices(n))]
    columns["arrival_s"] = lambda part: _written(jobs.arrival_s[part])
    if jobs.kinds != ("",):
        columns["kind"] = lambda part: [jobs.kinds[i] for i in jobs.kind[part].tolist()]
    columns["chips"] = lambda part: [*map(str, jobs.chips[part].tolist())]
    if not np.isnan(jobs.train_s).all():
        columns["train_s"] = lambda part: _written(jobs.train_s[part])
    if not np.isnan(jobs.n_steps).all():
        columns["steps"] = lambda part: _written(jobs.n_steps[part])
    if jobs.tenants != ("",):
        columns["tenant"] = lambda part: [jobs.tenants[i] for i in jobs.tenant[part].tolist()]
    if jobs.priority.any():
        columns["priority"] = lambda part: [*map(str, jobs.priority[part].tolist())]
    if np.isfinite(jobs.deadline_s).any():
        columns["deadline_s"] = lambda part: _written(jobs.deadline_s[part])
    if (jobs.weight != 1).any():
        columns["weight"] = lambda part: _written(jobs.weight[part])
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(columns)
    for first in range(0, n, CHUNK):
        part = slice(first, first + CHUNK)
        rows.writerows(zip(*(write(part) for write in columns.values()), strict=True))


def _written(values: FloatArray) -> list[str]:
    """Return numbers as they are written: whole ones without a point, unknown ones as nothing."""
    return [
        "" if not math.isfinite(x) else str(int(x)) if x == int(x) and x < 1e15 else repr(x)
        for x in values.tolist()
    ]
