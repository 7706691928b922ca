"""Faults as a log holds them, before anybody says how large the fleet was and who watched when."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field

import numpy as np

from computeplan.checks import FloatArray, IntArray
from computeplan.errors import Problem, ScenarioError

__all__ = ["UNKNOWN_NODE", "Events", "EventsBuilder"]

UNKNOWN_NODE = -1
MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Events:
    """Faults of a log in the order of the file.

    Parameters
    ----------
    start_s, end_s : ndarray, shape (n_faults,)
        On the log's own clock; for dates, since 1970 in UTC. A start of -inf began before the log;
        an end of inf is open, of nan not known. [s]
    node : ndarray, shape (n_faults,)
        Index in `nodes`, or `UNKNOWN_NODE`.
    cause : ndarray, shape (n_faults,)
        Index in `causes`.
    nodes, causes : tuple of str
        Names.
    is_dated : bool
        Whether the times are dates.
    resolution_s : float
        The smallest step of the log's clock that can be seen in it. [s]
    notes : tuple of str
        What was done to read it, one sentence each.
    """

    start_s: FloatArray
    end_s: FloatArray
    node: IntArray
    cause: IntArray
    nodes: tuple[str, ...]
    causes: tuple[str, ...]
    is_dated: bool
    resolution_s: float
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class EventsBuilder:
    """Collects faults row by row, in little memory, and what is wrong with rows.

    Parameters
    ----------
    file : str
        Its name in messages.
    """

    file: str
    start_s: array[float] = field(default_factory=lambda: array("d"))
    end_s: array[float] = field(default_factory=lambda: array("d"))
    node: array[int] = field(default_factory=lambda: array("q"))
    cause: array[int] = field(default_factory=lambda: array("q"))
    nodes: dict[str, int] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, node: str | None, start_s: float, end_s: float, cause: str) -> None:
        """Take one fault; a node of None is not known. Times in [s]."""
        index = UNKNOWN_NODE if node is None else self.nodes.setdefault(node, len(self.nodes))
        self.node.append(index)
        self.start_s.append(start_s)
        self.end_s.append(end_s)
        self.cause.append(self.causes.setdefault(cause, len(self.causes)))

    def wrong(self, message: str, line: int) -> None:
        """Remember what is wrong with a line; too many end the reading.

        Raises
        ------
        ScenarioError
            With everything found so far, once that is enough.
        """
        self.problems.append(Problem(message, "", self.file, line, 1 if line else 0))
        if len(self.problems) >= MAX_PROBLEMS:
            message = f"stopped reading after {MAX_PROBLEMS} problems"
            self.problems.append(Problem(message, "", self.file, line + 1, 1))
            raise ScenarioError(self.problems)

    def build(self, *, is_dated: bool, notes: tuple[str, ...] = ()) -> Events:
        """Return the faults.

        Raises
        ------
        ScenarioError
            If a line was wrong or there is no fault.
        """
        if self.problems:
            raise ScenarioError(self.problems)
        if not self.start_s:
            raise ScenarioError.of("holds no fault", file=self.file)
        start, end = np.array(self.start_s), np.array(self.end_s)
        return Events(
            start,
            end,
            np.array(self.node, dtype=np.int64),
            np.array(self.cause, dtype=np.int64),
            tuple(self.nodes),
            tuple(self.causes),
            is_dated,
            _resolution_s(start, end),
            notes,
        )


def _resolution_s(start_s: FloatArray, end_s: FloatArray) -> float:
    """Return the smallest difference between two times that is no rounding error. [s]"""
    times = np.concatenate([start_s, end_s])
    gaps = np.diff(np.unique(times[np.isfinite(times)]))
    gaps = gaps[gaps > 1e-6]
    return float(gaps.min()) if gaps.size else math.inf
