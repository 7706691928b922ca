"""Reads fault logs: CSV, what Slurm says, the JSON of InfiniteHBD-Trace, the Failure Trace Archive.

A log is a list of faults. Times are numbers whose unit must be given, or dates. A row that is
wrong is left out and counted, with its line; a log most of whose rows are wrong is refused, and
nothing is guessed. The one reader of such files, for ``computeplan fit`` and for the ``replay`` of
a fault kind; messages name options by their words.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from computeplan.errors import Problem, ScenarioError
from computeplan.notes import note, of_some
from computeplan.specs.documents.document import nearest
from computeplan.specs.documents.json_file import shown_value
from computeplan.specs.logs.events import Events, EventsBuilder, RowError, node_name
from computeplan.specs.logs.slurm import kind_of, read_sacct, read_sacct_json, read_sacctmgr
from computeplan.specs.logs.text_file import json_of, opened
from computeplan.specs.logs.times import (
    EARLIEST_EPOCH_S,
    LATEST_EPOCH_S,
    Clock,
    check_dates,
)
from computeplan.units import DAY_S

__all__ = ["COLUMNS", "FORMATS", "read_log"]

FORMATS = ("csv", "infinitehbd", "sacct", "sacctmgr", "fta")
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
    dates: str | None = None,
    shown: str | None = None,
) -> Events:
    """Return the faults in a log.

    Parameters
    ----------
    path : Path
        The file.
    kind : {"csv", "infinitehbd", "sacct", "sacctmgr", "fta"}, optional
        Its format; found from its first lines if left out.
    columns : mapping of str to str, optional
        Names of the columns for node, start, end and cause, where they have others. CSV only.
    unit : {"s", "min", "h", "d"}, optional
        Of times that are bare numbers, unless the name of their column says it (``start_s``).
    dates : str, optional
        The form of dates that are not of ISO 8601, as `datetime.strptime` has it; ``%s`` for
        seconds since 1970. Of tables only.
    shown : str, optional
        The name of the file in messages; its path if left out.

    Raises
    ------
    ScenarioError
        If the file cannot be read, holds no fault, or most of its rows are wrong.
    """
    shown = str(path) if shown is None else shown
    check_dates(dates)
    with opened(path, shown, MAX_BYTES) as file:
        return _read(file, shown, kind, dict(columns or {}), unit, dates)


def _read(
    file: TextIO,
    shown: str,
    kind: str | None,
    columns: dict[str, str],
    unit: str | None,
    dates: str | None,
) -> Events:
    kind = kind or _kind(file)
    if unit is not None and kind != "csv":
        raise ScenarioError.of("unit is of a CSV; this format has its own times", file=shown)
    if columns and kind != "csv":
        raise ScenarioError.of("columns are of a CSV; this format has its own names", file=shown)
    if dates is not None and kind in ("infinitehbd", "fta"):
        raise ScenarioError.of("dates are of a table; this format has its own times", file=shown)
    if kind == "infinitehbd" or (kind == "sacct" and _starts(file) in "{["):
        return _of_json(file, shown)
    if kind == "sacct":
        return read_sacct(file, shown, dates)
    if kind == "sacctmgr":
        return read_sacctmgr(file, shown, dates)
    return _fta(file, shown) if kind == "fta" else _csv(file, shown, columns, Clock(unit, dates))


def _starts(file: TextIO) -> str:
    """Return the first character of a file that is no blank; a blank if there is none."""
    first = file.read(4096).lstrip()[:1]
    file.seek(0)
    return first or " "


def _kind(file: TextIO) -> str:
    """Return the format of a file by its first lines."""
    if _starts(file) in "{[":
        return "infinitehbd"
    first, second = file.readline(), file.readline()
    file.seek(0)
    if first.startswith("#") and "event_type" in first:
        return "fta"
    return kind_of(first, second) or "csv"


# CSV ---------------------------------------------------------------------------------------------


def _rows(file: TextIO, delimiter: str) -> Iterator[tuple[int, int, list[str] | RowError]]:
    """Return the rows of a CSV, each with its last line and how many lines it takes."""
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    while True:
        before = reader.line_num
        try:
            row: list[str] | RowError = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row = RowError("log_left_cells", f"is not CSV: {error}")
        if row:
            yield reader.line_num, reader.line_num - before, row


def _csv(file: TextIO, shown: str, columns: dict[str, str], clock: Clock) -> Events:
    first = file.readline()
    file.seek(0)
    rows = _rows(file, max(",;|\t", key=first.count))
    top = next(rows, (0, 0, []))[2]
    if isinstance(top, RowError):
        raise ScenarioError([Problem(str(top), "", shown, 1, 1)])
    header = [name.strip() for name in top]
    if not header:
        raise ScenarioError.of("is empty", file=shown)
    at = _places(header, shown, columns)
    builder = EventsBuilder(shown)
    for line, n_lines, row in rows:
        try:
            builder.add(*_csv_row(row, header, at, clock))
        except RowError as bad:
            builder.leave_out(bad, line, n_lines)
    notes = () if "end" in at else (note("log_without_ends"),)
    return builder.build(is_dated=clock.is_dated is True, notes=notes)


def _csv_row(
    row: list[str] | RowError, header: list[str], at: dict[str, int], clock: Clock
) -> tuple[str, float, float, str]:
    """Return node, start, end and cause of a fault."""
    if isinstance(row, RowError):
        raise row
    if len(row) != len(header):
        raise RowError("log_left_cells", f"has {len(row)} cells; the header has {len(header)}")
    node = node_name(row[at["node"]])
    start = clock.read(row[at["start"]], header[at["start"]])
    end = math.nan
    if "end" in at:
        text = row[at["end"]]
        end = math.inf
        if text.strip().lower() not in _OPEN:
            end = clock.read(text, header[at["end"]])
    if end < start:
        raise RowError("log_left_order", f"ends at {row[at['end']]}, before it starts")
    cause = row[at["cause"]].strip() if "cause" in at else ""
    return node, start, end, cause or NO_CAUSE


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


# The Failure Trace Archive -----------------------------------------------------------------------

_FTA = {
    "node": ("node_id",),
    "state": ("event_type",),
    "start": ("event_start_time",),
    "end": ("event_stop_time", "event_end_time"),
}
_UNAVAILABLE = "0"


def _fta(file: TextIO, shown: str) -> Events:
    """Return the times in which nodes were not available, of an ``event_trace.tab``.

    Its header begins with ``#``; cells are apart by tabs, or blanks; times are seconds since 1970,
    or since the trace began. A node_id is one node of one platform.
    """
    first = file.readline()
    gap = "\t" if "\t" in first else None
    header = [name.strip() for name in first.lstrip("# ").split(gap)]
    at = {}
    for what, names in _FTA.items():
        found = [name for name in names if name in header]
        if not found:
            message = f"looks like the Failure Trace Archive, and lacks the column {names[0]}"
            raise ScenarioError.of(message, file=shown)
        at[what] = header.index(found[0])
    platform = header.index("platform_id") if "platform_id" in header else -1
    builder, n_other = EventsBuilder(shown), 0
    for line, text in enumerate(file, 2):
        row = text.split(gap)
        if len(row) < len(header):
            if text.strip():
                why = f"has {len(row)} cells; the header has {len(header)}"
                builder.leave_out(RowError("log_left_cells", why), line)
            continue
        state, node = row[at["state"]].strip(), row[at["node"]].strip()
        if state != _UNAVAILABLE and state.isdecimal():
            n_other += 1
            continue
        try:
            if state != _UNAVAILABLE:
                why = f"event_type must be a number, got {state[:40]!r}"
                raise RowError("log_left_cells", why)  # noqa: TRY301 - joins what is wrong
            name = node_name(node if platform < 0 else f"{row[platform].strip()}/{node}")
            builder.add(name, *_fta_times(row[at["start"]], row[at["end"]]), NO_CAUSE)
        except RowError as bad:
            builder.leave_out(bad, line)
    notes = of_some(note("log_fta_states", n=n_other))
    is_dated = min(builder.start_s, default=0.0) >= EARLIEST_EPOCH_S
    return builder.build(is_dated=is_dated, notes=notes, n_others=n_other)


def _fta_times(start: str, end: str) -> tuple[float, float]:
    """Return when a node was not available, an end that is not known being open. [s]"""
    times = []
    for text in (start, end):
        if text is end and text.strip().lower() in _OPEN:
            times.append(math.inf)
            continue
        try:
            time_s = float(text)
        except ValueError:
            time_s = math.nan
        if not abs(time_s) < LATEST_EPOCH_S:
            raise RowError("log_left_time", f"{text.strip()[:40]!r} is not a number of seconds")
        times.append(time_s)
    if times[1] < times[0]:
        raise RowError("log_left_order", f"ends at {end.strip()}, before it starts")
    return times[0], times[1]


# JSON: InfiniteHBD-Trace, sacct --json -----------------------------------------------------------


def _of_json(file: TextIO, shown: str) -> Events:
    """Return the faults of ``sacct --json``, or of a list of starts and ends, times in days."""
    data = json_of(file, shown)
    if isinstance(data, dict):
        return read_sacct_json(data, shown)
    if not isinstance(data, list):
        raise ScenarioError.of(f"must be a list of events, not {shown_value(data)}", file=shown)
    builder = EventsBuilder(shown, "entries")
    events = []
    for number, item in enumerate(data, 1):
        try:
            events.append((*_hbd_event(item), number))
        except ValueError as error:
            builder.leave_out(RowError("log_left_entry", str(error)), number)
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
