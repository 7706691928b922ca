"""Reads fault logs: CSV, the JSON of InfiniteHBD-Trace, ``sacct -P``.

A log is a list of what broke. Times are numbers with a unit that somebody must say, or dates. A
row that is wrong is refused with its line; nothing is guessed.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from computeplan.errors import Problem, ScenarioError
from computeplan.fitting.events import Events, EventsBuilder
from computeplan.fitting.slurm import FAULT_STATES, failed_nodes
from computeplan.specs.jsonfile import shown_value
from computeplan.specs.loader import nearest
from computeplan.units import DAY_S

__all__ = ["COLUMNS", "FORMATS", "UNITS_S", "read_date_s", "read_log"]

FORMATS = ("csv", "infinitehbd", "sacct")
UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": DAY_S}
COLUMNS = {
    "node": ("node", "node_id", "host", "hostname", "NodeName"),
    "start": ("start", "start_s", "start_h", "start_d", "begin", "TimeStart"),
    "end": ("end", "end_s", "end_h", "end_d", "TimeEnd"),
    "cause": ("cause", "reason", "Reason"),
}
"""What a column may be called, unless it is named by ``--columns``."""

MAX_BYTES = 200_000_000
NO_CAUSE = "fault"
_OPEN = {"", "unknown", "none", "null", "nan", "n/a"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_log(
    path: Path,
    kind: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Events:
    """Return the faults in a log.

    Parameters
    ----------
    path : Path
        The file.
    kind : {"csv", "infinitehbd", "sacct"}, optional
        Its format; found from its first line if left out.
    columns : mapping of str to str, optional
        Names of the columns for node, start, end and cause, where they have others. CSV only.
    unit : {"s", "min", "h", "d"}, optional
        Of times that are bare numbers, unless the name of their column says it (``start_s``).

    Raises
    ------
    ScenarioError
        If the file cannot be read, or with every row that is wrong.
    """
    shown = str(path)
    try:
        if not path.is_file():
            raise ScenarioError.of("is not a file", file=shown)
        if path.stat().st_size > MAX_BYTES:
            raise ScenarioError.of(f"is larger than {MAX_BYTES // 1_000_000} MB", file=shown)
        with path.open("rb") as raw:
            if b"\0" in raw.read(65_536):
                raise ScenarioError.of("is binary, not the text of a log", file=shown)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(file, shown, kind, dict(columns or {}), unit)
    except UnicodeDecodeError as error:
        raise ScenarioError.of(f"is not UTF-8 text: {error.reason}", file=shown) from None
    except (OSError, ValueError) as error:
        if isinstance(error, ScenarioError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise ScenarioError.of(f"cannot be read: {reason}", file=shown) from None


def _read(
    file: TextIO, shown: str, kind: str | None, columns: dict[str, str], unit: str | None
) -> Events:
    head = file.read(4096)
    file.seek(0)
    if kind is None:
        first = head.lstrip().partition("\n")[0]
        is_sacct = "|" in first and {"State", "JobID"} <= set(first.strip().split("|"))
        kind = "infinitehbd" if first[:1] in "[{" and first else "sacct" if is_sacct else "csv"
    if columns and kind != "csv":
        raise ScenarioError.of("--columns maps the columns of a CSV; this format has its own names")
    if kind == "infinitehbd":
        return _infinitehbd(file, shown)
    if kind == "sacct":
        return _sacct(file, shown)
    return _csv(file, shown, columns, unit)


def read_date_s(text: str) -> float:
    """Return an ISO 8601 date as seconds since 1970; without a zone it is UTC. [s]

    Raises
    ------
    ValueError
        If it is not one.

    Examples
    --------
    >>> read_date_s("2024-07-23T12:00:00+02:00") - read_date_s("2024-07-23")
    36000.0
    """
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a date such as 2024-07-23T08:00:00Z") from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


# CSV ---------------------------------------------------------------------------------------------


def _rows(file: TextIO, shown: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        problem = Problem(f"is not CSV: {error}", "", shown, reader.line_num, 1)
        raise ScenarioError([problem]) from None


def _csv(file: TextIO, shown: str, columns: dict[str, str], unit: str | None) -> Events:
    first = file.readline()
    file.seek(0)
    rows = _rows(file, shown, max(",;|\t", key=first.count))
    header = [name.strip() for name in next(rows, (0, []))[1]]
    if not header:
        raise ScenarioError.of("is empty", file=shown)
    at = _places(header, shown, columns)
    builder = EventsBuilder(shown)
    clock = _Clock(unit)
    for line, row in rows:
        if len(row) != len(header):
            builder.wrong(f"has {len(row)} cells; the header has {len(header)}", line)
            continue
        node = row[at["node"]].strip()
        try:
            if not node:
                raise ValueError("node is empty")  # noqa: TRY301 - joins what the clock refuses
            start = clock.read(row[at["start"]], header[at["start"]])
            end = math.nan
            if "end" in at:
                text = row[at["end"]]
                is_open = text.strip().lower() in _OPEN
                end = math.inf if is_open else clock.read(text, header[at["end"]])
            if end < start:
                raise ValueError(f"ends at {row[at['end']]}, before it starts")  # noqa: TRY301
        except ValueError as error:
            builder.wrong(str(error), line)
            continue
        cause = row[at["cause"]].strip() if "cause" in at else ""
        builder.add(node, start, end, cause or NO_CAUSE)
    notes = () if "end" in at else ("The log says no ends of faults: no repair can be fitted.",)
    return builder.build(is_dated=clock.is_dated is True, notes=notes)


def _places(header: list[str], shown: str, columns: dict[str, str]) -> dict[str, int]:
    """Return where each column stands."""
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown:
        raise ScenarioError.of(f"--columns maps {', '.join(COLUMNS)}; not {unknown[0]!r}")
    problems, at = [], {}
    listed = ", ".join(header[:12])[:200]
    for what, names in COLUMNS.items():
        if what in columns:
            found = [columns[what]] if columns[what] in header else []
            missing = f"has no column {columns[what]!r}.{nearest(columns[what], header)}"
        else:
            found = [name for name in names if name in header]
            missing = f"has no column for {what}; name it: --columns {what}=NAME"
        if found and header.count(found[0]) > 1:
            problems.append(Problem(f"has the column {found[0]!r} twice", "", shown, 1, 1))
        elif found:
            at[what] = header.index(found[0])
        elif what in columns or what in ("node", "start"):
            problems.append(Problem(f"{missing}  It has: {listed}", "", shown, 1, 1))
    if problems:
        raise ScenarioError(problems)
    return at


class _Clock:
    """Reads times, all dates or all numbers.

    Parameters
    ----------
    unit : str or None
        Of bare numbers.
    """

    def __init__(self, unit: str | None) -> None:
        self.unit, self.is_dated = unit, None  # type: str | None, bool | None

    def read(self, text: str, column: str) -> float:
        """Return a time. [s]"""
        text = text.strip()
        is_dated = _DATE.match(text) is not None
        if self.is_dated is None:
            self.is_dated = is_dated
        if is_dated != self.is_dated:
            raise ValueError(f"{text[:40]!r}: some times are dates and some are numbers")
        return read_date_s(text) if is_dated else self._number_s(text, column)

    def _number_s(self, text: str, column: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{text[:40]!r} in column {column!r} is not a time")
        unit = self.unit or (column.rpartition("_")[2] if "_" in column else "")
        if unit not in UNITS_S:
            raise ValueError(
                f"{text[:40]!r} in column {column!r} has no unit: say --unit s or --unit d,"
                " or call the column start_s"
            )
        return value * UNITS_S[unit]


# The JSON of InfiniteHBD-Trace -------------------------------------------------------------------


def _infinitehbd(file: TextIO, shown: str) -> Events:
    """Return the faults of a list of starts and ends, times in days."""
    try:
        data = json.load(file)
    except json.JSONDecodeError as error:
        problem = Problem(f"is not JSON: {error.msg}", "", shown, error.lineno, error.colno)
        raise ScenarioError([problem]) from None
    except RecursionError:
        raise ScenarioError.of("is nested too deep", file=shown) from None
    if not isinstance(data, list):
        raise ScenarioError.of(f"must be a list of events, not {shown_value(data)}", file=shown)
    builder = EventsBuilder(shown)
    events = []
    for number, item in enumerate(data, 1):
        try:
            events.append((*_hbd_event(item), number))
        except ValueError as error:
            builder.wrong(f"event {number}: {error}", 0)
    if builder.problems:
        raise ScenarioError(builder.problems)
    events.sort(key=lambda event: event[0])  # stable: what the file says first at one time is first
    return _paired(builder, events)


def _hbd_event(item: Any) -> tuple[float, str, bool, str]:
    if not isinstance(item, dict):
        raise ValueError(f"must be a mapping, not {shown_value(item)}")  # noqa: TRY004
    node, time, kind = (item.get(key) for key in ("node_id", "event_time", "event_type"))
    if not isinstance(node, str) or not node:
        raise ValueError(f"node_id must be a name, got {shown_value(node)}")
    if isinstance(time, bool) or not isinstance(time, int | float) or not abs(time) < 1e9:
        raise ValueError(f"event_time must be a number of days, got {shown_value(time)}")
    if kind not in ("fault_start", "fault_end"):
        raise ValueError(f"event_type must be fault_start or fault_end, got {shown_value(kind)}")
    about = item.get("fault_type")
    names = about if isinstance(about, dict) else {}
    cause = names.get("Class") or names.get("Level") or NO_CAUSE
    if not isinstance(cause, str):
        raise ValueError(f"fault_type must name its Class, got {shown_value(cause)}")  # noqa: TRY004
    return float(time) * UNITS_S["d"], node, kind == "fault_start", cause


def _paired(builder: EventsBuilder, events: list[tuple[float, str, bool, str, int]]) -> Events:
    began: dict[str, tuple[float, str]] = {}
    n_lost = n_before = 0
    for time_s, node, is_start, cause, _ in events:
        if is_start:
            if node in began:
                n_lost += 1
                builder.add(node, began[node][0], math.nan, began[node][1])
            began[node] = (time_s, cause)
        elif node in began:
            start_s, first_cause = began.pop(node)
            builder.add(node, start_s, time_s, first_cause)
        else:
            n_before += 1
            builder.add(node, -math.inf, time_s, cause)
    for node, (start_s, cause) in began.items():
        builder.add(node, start_s, math.inf, cause)
    notes = []
    if n_lost:
        notes.append(f"{n_lost} faults began again before they ended: their ends are not known.")
    if n_before:
        notes.append(f"{n_before} faults end without a start: they began before the log.")
    return builder.build(is_dated=False, notes=tuple(notes))


# sacct -------------------------------------------------------------------------------------------


def _sacct(file: TextIO, shown: str) -> Events:
    """Return the ends of jobs that a node ended, as faults whose repair is not known."""
    lines = enumerate(file, 1)  # sacct -P quotes nothing, so this is no CSV
    header = next(lines, (1, ""))[1].strip().split("|")
    missing = [name for name in ("State", "NodeList", "End") if name not in header]
    if missing:
        message = f"lacks {', '.join(missing)}: sacct -P --format=JobID,State,NodeList,End,"
        raise ScenarioError.of(f"{message}FailedNode (with -a and a window -S, -E)", file=shown)
    at = {name: place for place, name in enumerate(header)}
    builder = EventsBuilder(shown)
    n_unknown = n_other = 0

    def cell(row: list[str], name: str) -> str:
        return row[at[name]].strip() if name in at else ""

    for line, text in lines:
        row = text.rstrip("\r\n").split("|")
        if len(row) == len(header) + 1 and not row[-1]:
            row.pop()  # sacct -p ends each line with a bar, -P does not
        if len(row) != len(header):
            if text.strip():
                builder.wrong(f"has {len(row)} cells; the header has {len(header)}", line)
            continue
        state = cell(row, "State").split(" ")[0]
        if "." in cell(row, "JobID"):
            continue  # a step fails with its job
        if state not in FAULT_STATES:
            n_other += 1
            continue
        try:
            end_s = read_date_s(cell(row, "End"))
            nodes = failed_nodes(cell(row, "NodeList"), cell(row, "FailedNode"))
        except ValueError as error:
            builder.wrong(str(error), line)
            continue
        for node in nodes:
            n_unknown += node is None
            builder.add(node, end_s, math.nan, state)
    notes = [
        f"Only {' and '.join(FAULT_STATES)} are faults of nodes; {n_other} other jobs are not.",
        "sacct does not say how long a node was away: no repair can be fitted.",
    ]
    if n_unknown:
        notes.append(
            f"{n_unknown} faults are of jobs on several nodes and do not say which node failed;"
            " they count in rates only. Ask sacct for FailedNode."
        )
    return builder.build(is_dated=True, notes=tuple(notes))
