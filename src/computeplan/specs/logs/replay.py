"""A log of real faults, to be replayed instead of drawn.

`read_log` reads the file, whatever its format. Here its window is laid on the clock of the
simulation: time 0 is where the window begins, a node that fails while it is down has one fault, and
nodes are numbered in the order of their sorted names. What is left can be written as a plain CSV
that reads as itself; that copy stands with the results.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, WithJsonSchema

from computeplan.arrays import FloatArray, IntArray
from computeplan.errors import ScenarioError
from computeplan.notes import Note, note, of_some
from computeplan.specs.documents.document import nearest
from computeplan.specs.fields import HowWritten, refuse
from computeplan.specs.logs.events import LEFT_OUT, UNKNOWN_NODE, Events, left_out, merged
from computeplan.specs.logs.reader import COLUMNS, FORMATS, read_log
from computeplan.specs.logs.times import UNITS_S, read_time_s

__all__ = [
    "FaultLog",
    "Replay",
    "ReplayField",
    "Replayed",
    "load_replay",
    "note_text",
    "read_replay",
    "replayed",
]

_HOW = "'faults.csv' or {log: sacct.txt, from: 2024-07-23}"


@dataclass(frozen=True, slots=True)
class FaultLog:
    """Faults in the order of time."""

    start_s: FloatArray
    """Time of each fault; shape (n_faults,). [s]"""
    repair_s: FloatArray
    """How long the node stays away; nan where the log does not say; shape (n_faults,). [s]"""
    node: IntArray
    """Index of the node; shape (n_faults,)."""
    n_nodes: int
    """Nodes that appear in the log."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A log laid on the clock of the simulation."""

    log: FaultLog
    """What the engines play."""
    end_s: FloatArray
    """Ends of its faults; nan where the log does not say; shape (n_faults,). [s]"""
    nodes: tuple[str, ...]
    """Names of its nodes, sorted."""
    notes: tuple[Note, ...]
    """What was done to the log."""

    def csv(self) -> str:
        """Return the plain form of the log: reading it gives the same faults, to the last digit."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(("node", "start_s", "end_s"))
        columns = (self.log.node.tolist(), self.log.start_s.tolist(), self.end_s.tolist())
        for node, start, end in zip(*columns, strict=True):
            rows.writerow((self.nodes[node], repr(start), "" if math.isnan(end) else repr(end)))
        return text.getvalue()


@dataclass(frozen=True, slots=True)
class Replay:
    """Which log to replay, with the words of ``computeplan fit``."""

    log: str
    """A file beside the scenario, in any format of `reader.FORMATS`."""
    begins: str | None = None
    ends: str | None = None
    """The window, as written: ``from`` is time 0 of the simulation, ``to`` its end in the log."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Names of the columns of a CSV, where they have others."""
    unit: str | None = None
    kind: str | None = None
    """Of bare times in a CSV; the format of the file."""
    dates: str | None = None
    """The form of dates that are not of ISO 8601, as ``strptime`` has it."""
    notes: tuple[str, ...] = ()
    """What was done to the log that this one is a plain copy of, as `note_text` writes it."""


_WORDS = {
    "log": "log",
    "from": "begins",
    "to": "ends",
    "columns": "columns",
    "unit": "unit",
    "format": "kind",
    "dates": "dates",
    "notes": "notes",
}
_OF_LOGS = (
    *(note("log_slurm_no_repairs"), note("log_without_ends"), note("log_slurm_states", n=0)),
    *(note("log_slurm_unknown_node", n=0), note("log_unknown_node", n=0)),
    *(note("log_outside_window", n=0), note("log_down_at_first", n=0), note("log_merged", n=0)),
    *(note("log_without_end", n=0), note("log_without_start", n=0), note("log_began_again", n=0)),
    *(note("log_slurm_no_duplicates"), note("log_slurm_events"), note("log_slurm_clusters", n=0)),
    note("log_fta_states", n=0),
)
_LEFT_OUT = re.compile(
    rf"(?P<code>{'|'.join(LEFT_OUT)}): (?P<n>\d{{1,9}}) "
    r"\((?P<by>lines|entries) (?P<first>\d{1,9}(?:, \d{1,9}){0,2})\)"
)
_KNOWN = {one.code: one for one in _OF_LOGS}
"""Notes on logs by code, as `note_text` writes them to a file, without or with a count."""
_CHOICES = {"unit": tuple(UNITS_S), "format": FORMATS, "columns": tuple(COLUMNS)}


def read_replay(value: object) -> Replay:
    """Return what a person wrote under ``replay``.

    A ValueError if it is neither the name of a file nor a mapping that holds one.

    Examples
    --------
    >>> read_replay({"log": "sacct.txt", "from": "2024-07-23"}).begins
    '2024-07-23'
    """
    if isinstance(value, Replay):
        return value
    if isinstance(value, str):
        return Replay(value)
    if not isinstance(value, dict):
        refuse(f"must be a log, such as {_HOW}, not {str(value)[:60]!r}")
    if value.get("log") is None:
        refuse(f"log is missing, the file to replay: write {_HOW}")
    found: dict[str, Any] = {}
    for word, item in value.items():
        if word not in _WORDS:
            allowed = ", ".join(_WORDS)
            refuse(f"unknown key {word!r}.{nearest(str(word), list(_WORDS))}  Allowed: {allowed}")
        if item is not None:
            found[_WORDS[word]] = _word(word, item)
    return Replay(**found)


def _word(word: str, value: object) -> object:
    """Return one of the words of a replay, checked."""
    choices = _CHOICES.get(word, ())
    if word == "columns":
        if not isinstance(value, dict) or not all(isinstance(x, str) for x in value.values()):
            refuse(f"columns must be like {{node: host, start: begin}}, not {str(value)[:60]!r}")
        for key in value:
            if key not in choices:
                refuse(f"columns are of {', '.join(choices)}; not of {str(key)[:60]!r}")
        return dict(value)
    if word == "notes":
        if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
            refuse(f"notes must be a list of sentences, not {str(value)[:60]!r}")
        return tuple(value)
    if not isinstance(value, str):
        example = {"from": "'0 d' or 2024-07-23", "to": "'174 d' or 2024-12-31"}.get(word, _HOW)
        refuse(f"{word} must be like {example}, not {str(value)[:60]!r}")
    if choices and value not in choices:
        refuse(f"{word} must be one of {', '.join(choices)}, not {value[:60]!r}")
    return value


def _read_note(text: str) -> Note:
    """Return a note as `note_text` wrote it; anything else is a sentence of the user's own."""
    code, _, n = text.partition(": ")
    if (left := _LEFT_OUT.fullmatch(text)) is not None:
        first = tuple(int(number) for number in left["first"].split(", "))
        return left_out(left["code"], int(left["n"]), left["by"], first)
    known = _KNOWN.get(code)
    if known is None or not re.fullmatch(r"[0-9]{1,9}" if known.items else "", n):
        return note("log_sentence", text=text)
    return replace(known, items=(("n", int(n)),)) if n else known


def note_text(found: Note) -> str:
    """Return a note as it stands in a file.

    Examples
    --------
    >>> note_text(note("log_merged", n=3)), note_text(note("log_sentence", text="Of rack 7 only."))
    ('log_merged: 3', 'Of rack 7 only.')
    """
    if found.code == "log_sentence":
        return str(found.values["text"])
    if found.code in LEFT_OUT:
        values = found.values
        first = str(values["first"]).strip("(,)")
        return f"{found.code}: {values['n']} ({values['counted_by']} {first})"
    return f"{found.code}: {found.values['n']}" if "n" in found.values else found.code


ReplayField = Annotated[
    Replay,
    BeforeValidator(read_replay),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["faults.csv"]},
                {
                    "type": "object",
                    "required": ["log"],
                    "additionalProperties": False,
                    "properties": {
                        "log": {"type": "string"},
                        "from": {"type": "string"},
                        "to": {"type": "string"},
                        "columns": {
                            "type": "object",
                            "propertyNames": {"enum": list(COLUMNS)},
                            "additionalProperties": {"type": "string"},
                        },
                        "unit": {"enum": list(UNITS_S)},
                        "format": {"enum": list(FORMATS)},
                        "dates": {"type": "string"},
                        "notes": {"type": "array", "items": {"type": "string"}},
                    },
                },
            ]
        }
    ),
    HowWritten("", "{log: sacct.txt, from: 2024-07-23}"),
]


def load_replay(replay: Replay, path: Path) -> Replayed:
    """Return the faults of the log at a path on the clock of the simulation.

    A ScenarioError if the file cannot be read, a row is wrong, or the window is missing or empty.
    """
    events = read_log(
        path,
        replay.kind,
        columns=replay.columns,
        unit=replay.unit,
        dates=replay.dates,
        shown=replay.log,
    )
    from_s, to_s = _begin_s(replay, events), math.inf
    if replay.ends is not None:
        to_s = read_time_s(replay.ends, is_dated=events.is_dated, option="to")
    found = replayed(events, from_s, to_s)
    # Of a plain copy, what is said of reading it was said when it was made.
    notes = tuple(dict.fromkeys((*map(_read_note, replay.notes), *found.notes)))
    return Replayed(found.log, found.end_s, found.nodes, notes)


def _begin_s(replay: Replay, events: Events) -> float:
    """Return time 0 of the simulation on the log's clock. [s]"""
    if replay.begins is not None:
        return read_time_s(replay.begins, is_dated=events.is_dated, option="from")
    first_s = events.start_s[np.isfinite(events.start_s)].min(initial=math.inf)
    if events.is_dated:  # the first fault is no time 0: how long nothing failed before is not known
        first = datetime.fromtimestamp(float(first_s), UTC).isoformat(timespec="seconds")
        raise ScenarioError.of(
            "has dates: say which of them is time 0 of the simulation, as in {log: ...,"
            f" from: {first[:10]}}}; its first fault is of {first.replace('+00:00', 'Z')}",
            file=replay.log,
        )
    if first_s < 0:
        message = f"begins at {first_s:g} s, before time 0: say where to begin, {{log: ..., from: "
        raise ScenarioError.of(f"{message}{math.floor(first_s)} s}}", file=replay.log)
    return 0.0


def replayed(events: Events, from_s: float, to_s: float) -> Replayed:
    """Return the faults of a log that begin in a window.

    Faults that begin while their node is down are part of the fault before, as in `fit`.

    Parameters
    ----------
    events : Events
        What the log holds.
    from_s, to_s : float
        The window on the log's clock; `from_s` becomes time 0. [s]

    Raises
    ------
    ScenarioError
        If nothing lies between the two, or no node is known.
    """
    if not to_s > from_s:
        raise ScenarioError.of("to must come after from")
    known = events.node != UNKNOWN_NODE
    ours = known & (events.start_s < to_s)
    start, end, node = events.start_s[ours] - from_s, events.end_s[ours] - from_s, events.node[ours]
    keep, end, n_merged, _ = merged(node, start, end)
    is_before = (start[keep] < 0) & ~(end[keep] > 0)
    n_down = int(np.sum((start[keep] < 0) & (end[keep] > 0)))
    n_outside = int(is_before.sum() + np.sum(known & (events.start_s >= to_s)))
    keep = keep[start[keep] >= 0]
    if not keep.size:
        which = "of a known node lies" if known.any() else "names its node"
        raise ScenarioError.of(f"no fault {which} between from and to; is the unit right?")
    keep = keep[np.lexsort((node[keep], start[keep]))]
    names, index = np.unique(node[keep], return_inverse=True)
    end = np.where(np.isfinite(end[keep]), end[keep], math.nan)
    log = FaultLog(start[keep], end - start[keep], index, names.size)
    said = of_some(
        note("log_unknown_node", n=int(np.sum(~known))),
        note("log_outside_window", n=n_outside),
        note("log_down_at_first", n=n_down),
        note("log_merged", n=n_merged),
        note("log_without_end", n=int(np.isnan(end).sum())),
    )
    return Replayed(log, end, tuple(events.nodes[i] for i in names), (*events.notes, *said))
