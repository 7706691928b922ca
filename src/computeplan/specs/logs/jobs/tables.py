"""Jobs in a CSV with a header, whose columns are named or mapped.

A column is known by the names that traces give it, or by what ``columns`` says. Times are dates, or
numbers whose unit is said or stands at the end of the column's name (``duration_s``); durations may
also be written as Slurm does, ``1-02:03:04``. How long a job ran is its length, else the time from
its start to its end, else its steps. Tiresias is such a table, with all times in seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TextIO

from computeplan.errors import Problem, ScenarioError
from computeplan.notes import note
from computeplan.specs.documents.document import nearest
from computeplan.specs.fields import MAX_COUNT
from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.job_csv import (
    MAX_PRIORITY,
    MAX_STEPS,
    MAX_TIME_S,
    MAX_WEIGHT,
    csv_rows,
    number,
    text_cell,
    whole,
)
from computeplan.specs.logs.job_table import JobRow
from computeplan.specs.logs.jobs.rows import ImportedJobs, JobsBuilder
from computeplan.specs.logs.times import UNITS_S, Clock

__all__ = ["COLUMNS", "TIRESIAS", "is_tiresias", "read_table"]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "job_id", "jobid", "job_name", "id"),
    "arrival": ("arrival", "arrival_s", "submit_time", "submitted", "submit", "arrival_time"),
    "chips": ("chips", "num_gpu", "gpu_num", "num_gpus", "gpus", "n_gpus"),
    "length": ("length", "length_s", "train_s", "duration", "duration_s", "run_time", "runtime"),
    "steps": ("steps", "iterations", "total_steps", "num_steps"),
    "start": ("start", "start_time", "start_s"),
    "end": ("end", "end_time", "end_s"),
    "kind": ("kind", "model_name", "job_type", "type", "model"),
    "tenant": ("tenant", "user", "vc", "account", "organization"),
    "priority": ("priority",),
    "deadline": ("deadline", "deadline_s"),
    "weight": ("weight",),
}
"""What a column may be called, the first of them first, unless it is named by ``columns``."""
TIRESIAS = ("job_id", "num_gpu", "submit_time", "iterations", "model_name", "duration", "interval")
_NOTHING = {"", "none", "null", "nan", "n/a", "na", "unknown"}
_CLOCK = re.compile(r"(?:(\d{1,6})-)?(\d{1,6}):([0-5]?\d):([0-5]?\d(?:\.\d*)?)")
_TIMES = ("arrival", "start", "end")


def is_tiresias(header: Sequence[str]) -> bool:
    """Return whether a header is that of the job lists of Tiresias."""
    return set(TIRESIAS) - {"interval"} <= set(header)


def read_table(
    file: TextIO,
    shown: str,
    columns: Mapping[str, str],
    unit: str | None = None,
    dates: str | None = None,
) -> ImportedJobs:
    """Return the jobs of a CSV.

    Parameters
    ----------
    file : TextIO
        Cells are apart by commas, semicolons, bars or tabs, whichever the header has most of.
    shown : str
        The name of the file in messages.
    columns : mapping of str to str
        What a column holds (a key of `COLUMNS`) -> its name in the header.
    unit : {"s", "min", "h", "d"}, optional
        Of bare times, unless the column's name says it.
    dates : str, optional
        The form of dates that are not of ISO 8601.

    Raises
    ------
    ScenarioError
        If a column is missing, no row is a job, or most cannot be read.
    """
    first = file.readline()
    file.seek(0)
    rows = csv_rows(file, max(",;|\t", key=first.count))
    top = next(rows, (0, []))[1]
    if isinstance(top, RowError):
        raise ScenarioError([Problem(str(top), "", shown, 1, 1)])
    header = [name.strip() for name in top]
    at = _places(header, shown, columns)
    table = _Table(header, at, unit, dates)
    builder = JobsBuilder(shown)
    for line, row in rows:
        try:
            builder.add(table.job(row))
        except RowError as bad:
            builder.leave_out(bad, line)
    used = {header[i] for i in at.values()}
    unused = tuple(name for name in header if name not in used)
    return builder.build(*([note("job_log_unused", columns=unused)] if unused else []))


def _places(header: list[str], shown: str, columns: Mapping[str, str]) -> dict[str, int]:
    """Return where each column stands that is needed to know a job."""
    problems = []
    for what in sorted(set(columns) - set(COLUMNS)):
        near = nearest(what, COLUMNS)
        problems.append(f"columns are of {', '.join(COLUMNS)}; not of {what[:40]!r}.{near}")
    at: dict[str, int] = {}
    for what, names in COLUMNS.items():
        wanted = (columns[what],) if what in columns else names
        found = next((name for name in wanted if name in header), None)
        if found is None:
            if what in columns:
                near = nearest(columns[what], header)
                problems.append(f"has no column {columns[what][:40]!r}.{near}")
        elif header.count(found) > 1:
            problems.append(f"has the column {found[:40]!r} twice")
        else:
            at[what] = header.index(found)
    missing = [what for what in ("arrival", "chips") if what not in at]
    if not ({"length", "steps"} & set(at) or {"start", "end"} <= set(at)):
        missing.append("length")
    if missing and not problems:
        listed = ", ".join(header[:20])[:300]
        how = ",".join(f"{what}=COLUMN" for what in missing)
        problems.append(
            f"does not say {', '.join(missing)} of jobs; say which columns do: --map {how}"
            f" (for length, start=COLUMN,end=COLUMN or steps=COLUMN would do).  It has: {listed}"
        )
    if problems:
        raise ScenarioError([Problem(text, "", shown, 1, 1) for text in problems])
    if {"length", "steps"} <= set(at):
        del at["length" if "steps" in columns and "length" not in columns else "steps"]
    if {"length", "steps"} & set(at):
        at = {what: i for what, i in at.items() if what not in ("start", "end")}
    return at


class _Table:
    """Reads the cells of rows."""

    def __init__(
        self, header: list[str], at: dict[str, int], unit: str | None, dates: str | None
    ) -> None:
        self.header, self.at, self.unit = header, at, unit
        self.clock = Clock(unit, dates)

    def job(self, row: list[str] | RowError) -> JobRow:
        """Return the job of a row; a RowError says why it is none."""
        if isinstance(row, RowError):
            raise row
        if len(row) != len(self.header):
            why = f"has {len(row)} cells; the header has {len(self.header)}"
            raise RowError("job_left_cells", why)
        cells = {what: row[i].strip() for what, i in self.at.items()}

        def has(what: str) -> bool:
            return cells.get(what, "").lower() not in _NOTHING

        if not has("chips"):
            raise RowError("job_left_no_chips", "holds no chip")
        chips = whole(cells["chips"], self._name("chips"), 0, MAX_COUNT)
        if not chips:
            raise RowError("job_left_no_chips", "holds no chip")
        train_s, n_steps = self._work(cells)
        deadline = self._duration_s(cells["deadline"], "deadline") if has("deadline") else math.inf
        if deadline == 0:
            raise RowError("job_left_number", "deadline must be > 0, got 0")
        weight = number(cells["weight"], "weight", MAX_WEIGHT, above=True) if has("weight") else 1.0
        priority = 0
        if has("priority"):
            most = MAX_PRIORITY
            priority = whole(cells["priority"], self._name("priority"), -most, most)
        return JobRow(
            self._time_s(cells["arrival"], "arrival"),
            chips,
            train_s,
            n_steps,
            text_cell(cells.get("kind", ""), self._name("kind")),
            text_cell(cells.get("tenant", ""), self._name("tenant")),
            priority,
            deadline,
            weight,
            text_cell(cells.get("name", ""), self._name("name")),
        )

    def _name(self, what: str) -> str:
        return self.header[self.at[what]][:40] if what in self.at else what

    def _work(self, cells: Mapping[str, str]) -> tuple[float, float]:
        """Return how long a job trained and how many steps, one of them nan. [s]"""
        if "steps" in cells:
            steps = number(cells["steps"], self._name("steps"), MAX_STEPS)
            if steps == 0:
                raise RowError("job_left_no_time", "trains no step")
            return math.nan, steps
        if "length" in cells:
            if cells["length"].lower() in _NOTHING:
                raise RowError("job_left_length", f"{self._name('length')} is empty")
            train_s = self._duration_s(cells["length"], "length")
        else:
            for what in ("start", "end"):
                if cells[what].lower() in _NOTHING:
                    is_start = what == "start"
                    code = "job_left_waiting" if is_start else "job_left_running"
                    raise RowError(code, f"{self._name(what)} is empty")
            start = self._time_s(cells["start"], "start")
            train_s = self._time_s(cells["end"], "end") - start
            if train_s < 0:
                raise RowError("job_left_time", f"ends at {cells['end'][:40]}, before it starts")
        if train_s == 0:
            raise RowError("job_left_no_time", "ran for no time")
        return train_s, math.nan

    def _time_s(self, text: str, what: str) -> float:
        """Return a time on the clock of the log. [s]"""
        time_s = self.clock.read(text, self._name(what))
        if not self.clock.is_dated and not 0 <= time_s <= MAX_TIME_S:
            message = (
                f"{self._name(what)} must be >= 0 s and <= {MAX_TIME_S:g} s, got {text[:40]!r}"
            )
            raise RowError("job_left_number", message)
        return time_s

    def _duration_s(self, text: str, what: str) -> float:
        """Return a duration: a number with a unit that is known, or ``D-HH:MM:SS``. [s]"""
        name = self._name(what)
        match = _CLOCK.fullmatch(text)
        if match is not None:
            days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
            return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        value = number(text, name, MAX_TIME_S)
        unit = name.rpartition("_")[2] if "_" in name else ""
        unit = unit if unit in UNITS_S else self.unit or ""
        if unit not in UNITS_S:
            message = (
                f"{text[:40]!r} in column {name!r} has no unit: say it by --unit s, min, h or d"
            )
            raise RowError("job_left_time", message)
        return number(repr(value * UNITS_S[unit]), name, MAX_TIME_S)
