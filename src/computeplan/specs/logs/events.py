"""Faults as a log holds them, without the size of the fleet and the window of the log."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field, replace

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Note, note

__all__ = [
    "LEFT_OUT",
    "UNKNOWN_NODE",
    "Events",
    "EventsBuilder",
    "RowError",
    "left_out",
    "merged",
    "node_name",
]

_LEFT_OUT = (
    *(note("log_left_cells"), note("log_left_entry"), note("log_left_no_end")),
    *(note("log_left_node"), note("log_left_order"), note("log_left_time")),
)
LEFT_OUT = {one.code: one for one in _LEFT_OUT}
"""Notes that say how many rows were left out, by the reason."""

UNKNOWN_NODE = -1
MAX_PROBLEMS = 20
LINES_NAMED = 3
MAX_FAULTS = 5_000_000
MAX_NAME = 200


class RowError(ValueError):
    """A row that cannot be read, with the code of the note that says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def left_out(code: str, n: int, counted_by: str, first: tuple[int, ...]) -> Note:
    """Return the note that `n` rows were left out, of which the first have these numbers."""
    values = (("n", n), ("counted_by", counted_by), ("first", first))
    return replace(LEFT_OUT[code], items=values)


@dataclass(frozen=True, slots=True)
class Events:
    """Faults of a log in the order of start, node, cause and end, whatever that of the file."""

    start_s: FloatArray
    end_s: FloatArray
    """On the log's own clock; for dates, since 1970 in UTC. A start of -inf began before the log;
    an end of inf is open, of nan not known; shape (n_faults,). [s]"""
    node: IntArray
    """Index in `nodes`, or `UNKNOWN_NODE`; shape (n_faults,)."""
    cause: IntArray
    """Index in `causes`; shape (n_faults,)."""
    nodes: tuple[str, ...]
    causes: tuple[str, ...]
    """Names, sorted."""
    is_dated: bool
    """Whether the times are dates."""
    resolution_s: float
    """The smallest step of the log's clock that can be seen in it. [s]"""
    notes: tuple[Note, ...] = ()
    """What was done to read it."""


@dataclass(slots=True)
class EventsBuilder:
    """Collects faults row by row, in little memory, and counts the rows that are left out."""

    file: str
    """Its name in messages."""
    counted_by: str = "lines"
    """What the numbers of rows count: ``lines`` of the file, or ``entries`` of a JSON list."""
    start_s: array[float] = field(default_factory=lambda: array("d"))
    end_s: array[float] = field(default_factory=lambda: array("d"))
    node: array[int] = field(default_factory=lambda: array("q"))
    cause: array[int] = field(default_factory=lambda: array("q"))
    nodes: dict[str, int] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    lost: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    """How many rows are left out, by the code of the reason, and where the first of them stand."""

    def add(self, node: str | None, start_s: float, end_s: float, cause: str) -> None:
        """Add one fault; a node of None is not known. Times in [s].

        A ScenarioError if there are too many: a short line of Slurm may name very many nodes.
        """
        if len(self.start_s) >= MAX_FAULTS:
            raise ScenarioError.of(f"holds more than {MAX_FAULTS:,} faults", file=self.file)
        index = UNKNOWN_NODE if node is None else self.nodes.setdefault(node, len(self.nodes))
        self.node.append(index)
        self.start_s.append(start_s)
        self.end_s.append(end_s)
        self.cause.append(self.causes.setdefault(cause, len(self.causes)))

    def leave_out(self, why: RowError, number: int, n_rows: int = 1) -> None:
        """Leave out a row, which begins at the line or is the entry of this number, and count it.

        `n_rows` are the lines of the file that are lost with it.
        """
        n, first = self.lost.get(why.code, (0, ()))
        first = (*first, number) if len(first) < LINES_NAMED else first
        self.lost[why.code] = (n + n_rows, first)
        if len(self.problems) < MAX_PROBLEMS:
            is_line = self.counted_by == "lines"
            message = str(why) if is_line else f"event {number}: {why}"
            line = number if is_line else 0
            self.problems.append(Problem(message, "", self.file, line, 1 if line else 0))

    def build(self, *, is_dated: bool, notes: tuple[Note, ...] = (), n_others: int = 0) -> Events:
        """Return the faults, with a note for each reason why rows were left out.

        `n_others` are rows that were read and are no faults. A ScenarioError if there is no fault,
        or if more rows cannot be read than can.
        """
        n_left, n_read = sum(n for n, _ in self.lost.values()), len(self.start_s) + n_others
        if n_left and (n_left > n_read or not self.start_s):
            raise ScenarioError(self._refusal(n_left, n_read))
        if not self.start_s:
            raise ScenarioError.of("holds no fault", file=self.file)
        left = (
            left_out(code, n, self.counted_by, first)
            for code, (n, first) in sorted(self.lost.items())
        )
        notes = (*notes, *left)
        start, end = np.array(self.start_s), np.array(self.end_s)
        nodes, node = _by_name(self.nodes, self.node)
        causes, cause = _by_name(self.causes, self.cause)
        # The order of the rows says nothing, so it must not reach a sum of floats.
        order = np.lexsort((end, cause, node, start))
        return Events(
            start[order],
            end[order],
            node[order],
            cause[order],
            nodes,
            causes,
            is_dated,
            _resolution_s(start, end),
            notes,
        )

    def _refusal(self, n_left: int, n_read: int) -> list[Problem]:
        """Return what is wrong with the first rows, and how many there are."""
        problems = list(self.problems)
        if n_read:
            message = f"{n_left:,} rows cannot be read, and in the {n_read:,} others"
            message += " there is no fault" if not self.start_s else " there may not be all faults"
            problems.append(Problem(message, "", self.file))
        elif len(problems) == MAX_PROBLEMS < n_left:
            message = f"and {n_left - len(problems):,} more rows that cannot be read"
            problems.append(Problem(message, "", self.file))
        return problems


def _by_name(names: dict[str, int], index: array[int]) -> tuple[tuple[str, ...], IntArray]:
    """Return the names sorted, and the indices in them of what had indices in `names`."""
    in_order = tuple(sorted(names))
    place = np.empty(len(names) + 1, dtype=np.int64)
    place[[names[name] for name in in_order]] = np.arange(len(names))
    place[-1] = UNKNOWN_NODE  # which is the index -1
    return in_order, place[np.array(index, dtype=np.int64)]


def _resolution_s(start_s: FloatArray, end_s: FloatArray) -> float:
    """Return the smallest difference between two times that is no rounding error. [s]"""
    times = np.concatenate([start_s, end_s])
    gaps = np.diff(np.unique(times[np.isfinite(times)]))
    gaps = gaps[gaps > 1e-6]
    return float(gaps.min()) if gaps.size else math.inf


def merged(
    node: IntArray, start_s: FloatArray, end_s: FloatArray
) -> tuple[IntArray, FloatArray, int, int]:
    """Return the faults that are left where those that begin while their node is down are one.

    An open fault whose node failed again later has an end that is not known: the node was back, or
    it could not have failed.

    Parameters
    ----------
    node, start_s, end_s : ndarray, shape (n_faults,)
        As in `Events`.

    Returns
    -------
    keep : ndarray of int
        Which faults stay, in the order of node and time.
    end_s : ndarray, shape (n_faults,)
        The ends of all, those of overlaps joined. [s]
    n_merged, n_reopened : int
        How many are part of an earlier one, and how many lost their end.

    Examples
    --------
    >>> node, start_s, end_s = np.array([0, 0, 1]), np.array([1.0, 2, 2]), np.array([4.0, 9, 3])
    >>> keep, end_s, n_merged, _ = merged(node, start_s, end_s)
    >>> keep.tolist(), end_s[keep].tolist(), n_merged
    ([0, 2], [9.0, 3.0], 1)
    """
    order = np.lexsort((start_s, node))
    new_end = end_s.copy()
    keep: list[int] = []
    n_merged = n_reopened = 0
    for i in order.tolist():
        last = keep[-1] if keep else -1
        if last >= 0 and node[i] == node[last] != UNKNOWN_NODE:
            if new_end[last] == math.inf and start_s[i] > start_s[last]:
                new_end[last] = math.nan
                n_reopened += 1
            elif start_s[i] < new_end[last] or start_s[i] == start_s[last]:
                new_end[last] = np.fmax(new_end[last], new_end[i])
                n_merged += 1
                continue
        keep.append(i)
    return np.array(keep, dtype=np.int64), new_end, n_merged, n_reopened


def node_name(text: str) -> str:
    """Return the name of a node as a log writes it; it is written to files that are read again.

    A ValueError if it is empty, very long, or holds what cannot be printed.
    """
    name = text.strip()
    if not name:
        raise RowError("log_left_node", "node is empty")
    if len(name) > MAX_NAME or not name.isprintable():
        raise RowError("log_left_node", f"{name[:40]!r} is not the name of a node")
    return name
