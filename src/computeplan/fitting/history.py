"""A fleet watched through a window: who failed when, for how long, and who never did.

A log holds faults. What a rate needs besides is the fleet, with the nodes that never failed, and
the window in which a fault would have been seen. The window makes three kinds of faults: those
that began in it, which count; those that began before it, whose nodes are down at first and which
count for no rate, because others like them ended unseen; and those still open at its end, whose
repair is known only to be longer (right censored). Times between faults run on the *up clock* of a
node, which stands while the node is in repair, because a node in repair does not fail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.errors import ScenarioError
from computeplan.notes import Note, note, of_some
from computeplan.specs.logs.events import UNKNOWN_NODE, Events, merged
from computeplan.units import DAY_S, YEAR_S

LONGEST_S = 30 * YEAR_S  # months and days of a window become arrays

__all__ = ["Durations", "FaultHistory", "cut", "gaps", "observe", "repairs", "up_node_s"]


@dataclass(frozen=True, slots=True)
class FaultHistory:
    """Faults of a fleet in a window, in the order of node and time."""

    start_s: FloatArray
    """Since the window began; negative for those that began before it; shape (n_faults,). [s]"""
    end_s: FloatArray
    """Since the window began, at most its length; nan where the log does not say; shape
    (n_faults,). [s]"""
    is_open: np.typing.NDArray[np.bool_]
    """Whether the fault was still open when the window ended; shape (n_faults,)."""
    node: IntArray
    cause: IntArray
    """Index of the node, or `UNKNOWN_NODE`; index in `causes`; shape (n_faults,)."""
    causes: tuple[str, ...]
    """Names."""
    n_nodes: int
    """Nodes of the fleet, those that never failed too."""
    length_s: float
    """Of the window. [s]"""
    resolution_s: float
    """Smallest step of the log's clock. [s]"""
    notes: tuple[Note, ...] = ()
    """What was done to the log."""

    @property
    def counts(self) -> np.typing.NDArray[np.bool_]:
        """Whether a fault counts in rates: it began in the window."""
        return self.start_s >= 0

    @property
    def fault_s(self) -> FloatArray:
        """Times of the faults that count, sorted. [s]"""
        return np.sort(self.start_s[self.counts])

    def per_node(
        self, from_s: float = 0.0, to_s: float = math.inf, cause: int | None = None
    ) -> IntArray:
        """Return faults of each node that began in a part of the window, shape (n_nodes,)."""
        chosen = self.of_cause(cause) & (self.start_s >= from_s) & (self.start_s < to_s)
        node = self.node[chosen & (self.node != UNKNOWN_NODE)]
        return np.bincount(node, minlength=self.n_nodes)

    def of_cause(self, cause: int | None) -> np.typing.NDArray[np.bool_]:
        """Return whether a fault counts in rates and is of a cause; of any if it is None."""
        return self.counts if cause is None else self.counts & (self.cause == cause)

    def n_repaired(self, cause: int | None = None) -> tuple[int, int]:
        """Return how many faults sent their node to repair, for however short, of how many.

        Of those that count and whose end is known.
        """
        known = self.of_cause(cause) & ~np.isnan(self.end_s)
        return int(np.sum(known & (self.end_s > self.start_s))), int(known.sum())


@dataclass(frozen=True, slots=True)
class Durations:
    """Durations, some of which are known only to be longer or too short for the log's clock."""

    known_s: FloatArray
    """Observed to their end. [s]"""
    longer_s: FloatArray
    """Seen this long, and then no more (right censored). [s]"""
    n_short: int
    """Shorter than one step of the log's clock (left censored)."""
    resolution_s: float
    """That step. [s]"""

    @property
    def n_events(self) -> int:
        """Durations whose end was seen."""
        return self.known_s.size + self.n_short


def observe(events: Events, n_nodes: int, from_s: float, to_s: float) -> FaultHistory:
    """Return what a fleet of `n_nodes` showed from `from_s` to `to_s`.

    Parameters
    ----------
    events : Events
        What the log holds.
    n_nodes : int
        Nodes of the fleet, those that never failed too.
    from_s, to_s : float
        The window in which a fault would be in the log, on the log's clock. [s]

    Raises
    ------
    ScenarioError
        If the window is empty or the log names more nodes than the fleet has.
    """
    if not (math.isfinite(from_s) and math.isfinite(to_s) and to_s > from_s):
        raise ScenarioError.of("--to must come after --from")
    if to_s - from_s > LONGEST_S:
        years = f"{LONGEST_S / YEAR_S:g} years"
        raise ScenarioError.of(f"the window is longer than {years}; is the unit of --to right?")
    inside = (events.start_s < to_s) & ~(events.end_s <= from_s)
    inside |= (events.start_s >= from_s) & (events.start_s < to_s)  # no length, at the very start
    inside &= ~(np.isnan(events.end_s) & (events.start_s < from_s))  # over at some unknown time
    names, node = np.unique(events.node[inside], return_inverse=True)
    n_known = int(np.sum(names != UNKNOWN_NODE))
    if n_known > n_nodes:
        message = f"the log names {n_known} nodes in this window, --nodes says {n_nodes}"
        raise ScenarioError.of(message)
    if not inside.any():
        raise ScenarioError.of("no fault lies between --from and --to; is the unit right?")
    node = node - (names.size - n_known)  # the unknown one sorts first and becomes -1
    kinds, cause = np.unique(events.cause[inside], return_inverse=True)
    start, end = events.start_s[inside] - from_s, events.end_s[inside] - from_s
    keep, end, n_merged, n_reopened = merged(node, start, end)
    start, end, node, cause = start[keep], end[keep], node[keep], cause[keep]
    length = float(to_s - from_s)
    is_open = end > length
    counted = of_some(
        note("faults_outside_window", n=int(events.start_s.size - inside.sum())),
        note("faults_of_down_nodes", n=n_merged),
        note("faults_without_end", n=n_reopened),
        note("faults_before_window", n=int(np.sum(start < 0))),
        note("faults_open_at_end", n=int(np.sum(is_open & (start >= 0)))),
    )
    return FaultHistory(
        start,
        np.minimum(end, length),
        is_open,
        node,
        cause,
        tuple(events.causes[kind] for kind in kinds),
        n_nodes,
        length,
        events.resolution_s,
        (*events.notes, *counted),
    )


def cut(history: FaultHistory, to_s: float) -> FaultHistory:
    """Return what would have been seen had the window ended at `to_s`. [s]

    A ScenarioError if that is not inside the window, or nothing is left.
    """
    if not 0 < to_s <= history.length_s:
        raise ScenarioError.of(f"{to_s / DAY_S:g} d lies outside the window")
    take = history.start_s < to_s
    if not take.any():
        raise ScenarioError.of(f"no fault began before {to_s / DAY_S:g} d")
    end = history.end_s[take]
    return replace(
        history,
        start_s=history.start_s[take],
        end_s=np.minimum(end, to_s),
        is_open=(end > to_s) | history.is_open[take],
        node=history.node[take],
        cause=history.cause[take],
        length_s=to_s,
    )


def _down_s(history: FaultHistory) -> FloatArray:
    """Return how long each fault keeps its node down inside the window. [s]"""
    return np.nan_to_num(history.end_s - np.maximum(history.start_s, 0.0), nan=0.0)


def up_node_s(history: FaultHistory) -> float:
    """Return node-seconds in which a node was up and could fail. [s]"""
    return float(history.n_nodes * history.length_s - _down_s(history).sum())


def repairs(history: FaultHistory, cause: int | None = None) -> Durations:
    """Return how long nodes were in repair; faults of no length need none and are left out.

    Of one cause by its index, or of all.
    """
    known = history.of_cause(cause) & ~np.isnan(history.end_s)
    length = (history.end_s - history.start_s)[known]
    is_open = history.is_open[known]
    return Durations(
        length[~is_open & (length > 0)], length[is_open & (length > 0)], 0, history.resolution_s
    )


def gaps(history: FaultHistory, cause: int | None = None, *, is_new: bool = False) -> Durations:
    """Return times between faults of one node, on its up clock.

    The age of a node when the window opens is not known, so the time to its first fault says
    nothing about a law with memory: it is left out, unless the fleet was new (`is_new`), where
    nodes that never failed are censored. With a `cause`, by its index, the clock runs from fault to
    fault of that cause.
    """
    known = history.node != UNKNOWN_NODE
    node, start = history.node[known], np.maximum(history.start_s[known], 0.0)
    down = _down_s(history)[known]
    # By node and time: down time before a fault is a running sum less what other nodes had.
    total = np.concatenate([[0.0], np.cumsum(down)])
    first = np.searchsorted(node, node)  # of the same node
    clock = start - (total[:-1] - total[first])
    end_clock = np.full(history.n_nodes, history.length_s)
    end_clock -= np.bincount(node, down, minlength=history.n_nodes)
    chosen = history.of_cause(cause)[known]
    clock, node = clock[chosen], node[chosen]
    same = node[1:] == node[:-1]
    known_s = np.diff(clock)[same]
    last = np.append(~same, True) if node.size else np.zeros(0, dtype=bool)
    longer = end_clock[node[last]] - clock[last]
    if is_new:
        begins = np.concatenate([[True], ~same]) if node.size else np.zeros(0, dtype=bool)
        known_s = np.concatenate([known_s, clock[begins]])
        unseen = np.setdiff1d(np.arange(history.n_nodes), node)
        longer = np.concatenate([longer, end_clock[unseen]])
    short = known_s < min(history.resolution_s, history.length_s) / 2  # rounding leaves dust
    return Durations(known_s[~short], longer[longer > 0], int(short.sum()), history.resolution_s)
