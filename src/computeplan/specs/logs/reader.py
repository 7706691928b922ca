"""Reads fault logs: CSV, the JSON of InfiniteHBD-Trace, ``sacct -P``.

A log is a list of faults. Times are numbers whose unit must be given, or dates. A
row that is wrong is refused with its line; nothing is guessed. The one reader of such files, for
``computeplan fit`` and for the ``replay`` of a fault kind; messages name options by their words.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from computeplan.errors import Problem, ScenarioError
from computeplan.notes import note, of_some
from computeplan.specs.documents.document import nearest, nearest_file
from computeplan.specs.documents.json_file import shown_value
from computeplan.specs.logs.events import Events, EventsBuilder, node_name
from computeplan.specs.logs.slurm import read_sacct
from computeplan.specs.logs.times import Clock
from computeplan.units import DAY_S

__all__ = ["COLUMNS", "FORMATS", "read_log"]

FORMATS = ("csv", "infinitehbd", "sacct")
COLUMNS = {
    "node": ("node", "node_id", "host", "hostname", "NodeName"),
    "start": ("start", "start_s", "start_h", "start_d", "begin", "TimeStart"),
    "end": ("end", "end_s", "end_h", "end_d", "TimeEnd"),
    "cause": ("cause", "reason", "Reason"),
}
"""What a column may be called, unless it is named by ``columns``."""

MAX_BYTES = 200_000_000
NO_CAUSE = "fault"
_OPEN = {"", "unknown", "none", "null", "nan", "n/a"}


def read_log(
    path: Path,
    kind: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
    shown: str | None = None,
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
    shown : str, optional
        The name of the file in messages; its path if left out.

    Raises
    ------
    ScenarioError
        If the file cannot be read, or with every row that is wrong.
    """
    shown = str(path) if shown is None else shown
    try:
        if not path.is_file():
            hint = nearest_file(path)
            raise ScenarioError.of(f"is not a file{'.' if hint else ''}{hint}", file=shown)
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
    if unit is not None and kind != "csv":
        raise ScenarioError.of("unit is of a CSV; this format has its own times", file=shown)
    if columns and kind != "csv":
        raise ScenarioError.of("columns are of a CSV; this format has its own names", file=shown)
    if kind == "infinitehbd":
        return _infinitehbd(file, shown)
    if kind == "sacct":
        return read_sacct(file, shown)
    return _csv(file, shown, columns, unit)


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
    clock = Clock(unit)
    for line, row in rows:
        if len(row) != len(header):
            builder.wrong(f"has {len(row)} cells; the header has {len(header)}", line)
            continue
        try:
            node = node_name(row[at["node"]])
            start = clock.read(row[at["start"]], header[at["start"]])
            end = math.nan
            if "end" in at:
                text = row[at["end"]]
                is_open = text.strip().lower() in _OPEN
                end = math.inf if is_open else clock.read(text, header[at["end"]])
            if end < start:
                raise ValueError(f"ends at {row[at['end']]}, before it starts")  # noqa: TRY301 - joins what the clock refuses
        except ValueError as error:
            builder.wrong(str(error), line)
            continue
        cause = row[at["cause"]].strip() if "cause" in at else ""
        builder.add(node, start, end, cause or NO_CAUSE)
    notes = () if "end" in at else (note("log_without_ends"),)
    return builder.build(is_dated=clock.is_dated is True, notes=notes)


def _places(header: list[str], shown: str, columns: dict[str, str]) -> dict[str, int]:
    """Return where each column stands."""
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown:
        message = f"columns are of {', '.join(COLUMNS)}; not of {unknown[0]!r}"
        raise ScenarioError.of(message, file=shown)
    problems, at = [], {}
    listed = ", ".join(header[:12])[:200]
    for what, names in COLUMNS.items():
        if what in columns:
            found = [columns[what]] if columns[what] in header else []
            missing = f"has no column {columns[what]!r}.{nearest(columns[what], header)}"
        else:
            found = [name for name in names if name in header]
            missing = f"has no column called {what}; say which it is by columns ({what}=NAME)"
        if found and header.count(found[0]) > 1:
            problems.append(Problem(f"has the column {found[0]!r} twice", "", shown, 1, 1))
        elif found:
            at[what] = header.index(found[0])
        elif what in columns or what in ("node", "start"):
            problems.append(Problem(f"{missing}  It has: {listed}", "", shown, 1, 1))
    if problems:
        raise ScenarioError(problems)
    return at


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
    if not isinstance(node, str):
        raise ValueError(f"node_id must be a name, got {shown_value(node)}")  # noqa: TRY004
    if isinstance(time, bool) or not isinstance(time, int | float) or not abs(time) < 1e9:
        raise ValueError(f"event_time must be a number of days, got {shown_value(time)}")
    if kind not in ("fault_start", "fault_end"):
        raise ValueError(f"event_type must be fault_start or fault_end, got {shown_value(kind)}")
    about = item.get("fault_type")
    names = about if isinstance(about, dict) else {}
    cause = names.get("Class") or names.get("Level") or NO_CAUSE
    if not isinstance(cause, str):
        raise ValueError(f"fault_type must name its Class, got {shown_value(cause)}")  # noqa: TRY004
    return float(time) * DAY_S, node_name(node), kind == "fault_start", cause


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
    notes = of_some(note("log_began_again", n=n_lost), note("log_without_start", n=n_before))
    return builder.build(is_dated=False, notes=notes)
