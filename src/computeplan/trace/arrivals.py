"""Arrivals as arrays: what the samples of many runs are made of, and how they are put in order.

An arrival is a fault or a planned stop: when, of which kind, on which node, and how long the
restart and the repair that may follow will take. Nothing here draws: numbers come from ``trace``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from computeplan.arrays import FloatArray, IntArray
from computeplan.distributions import quantile_s
from computeplan.trace.lifetimes import renewed_lifetime_s
from computeplan.world.faults import Kind, Outcome

__all__ = [
    "Arrivals",
    "BoolArray",
    "FaultSamples",
    "LevelArray",
    "NodeArray",
    "each_once",
    "merge",
    "next_lifetime_s",
    "no_arrivals",
    "outcomes_of",
    "with_members",
]

MOST_NODES = 8_000_000  # shuffled at a time; it changes no number
MISSING = {
    "found_s": 0.0,
    "lasts_s": 0.0,
    "automatic_s": 0.0,
    "lifetime_s": math.inf,
    "chain": np.int32(-1),
    "is_member": False,
    "origin": np.int32(-1),
}
"""Values of columns that a part of the arrivals lacks."""

BoolArray = NDArray[np.bool_]
NodeArray = NDArray[np.int32]
LevelArray = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Arrivals on one pool, of several runs, each run's in the order of time.

    All arrays have shape (n_arrivals, n_runs). Where a run has fewer, `time_s` is inf. A fault that
    takes a group is one arrival for each of its nodes, one after the other at the same time.
    Columns that nothing in the pool needs are None.
    """

    time_s: FloatArray
    """When. [s]"""
    kind: IntArray
    """Index in the world's kinds."""
    node: NodeArray
    """Node that has the fault, or `NO_NODE`."""
    takes: BoolArray
    """Whether the node goes to repair."""
    restart_s: FloatArray
    repair_s: FloatArray
    """How long the restart of a job and the repair of the node take; 0 where there is none. [s]"""
    level: LevelArray
    """Where copies of a job's state are lost, as `Outcome.level`."""
    automatic_s: FloatArray | None = None
    """What is tried before the repair, without a crew. [s]"""
    lifetime_s: FloatArray | None = None
    """From when the node is restored to its next fault of this kind, or inf. [s]"""
    chain: NodeArray | None = None
    """Which fault of its kind began the chain of those that come back."""
    is_member: BoolArray | None = None
    """Whether this is a further node of the fault before it."""
    origin: NodeArray | None = None
    """Node whose fault it is, where it takes a group of nodes; -1 where it is of the group, or
    takes one node at most."""
    found_s: FloatArray | None = None
    """How long damage stays unnoticed; 0 if it is noticed at once. [s]"""
    lasts_s: FloatArray | None = None
    """How long slowness lasts, or a planned stop, or the absence of nodes in maintenance. [s]"""


class FaultSamples(NamedTuple):
    """What arrivals bring, whenever they come; arrays of shape (n_arrivals, n_runs)."""

    takes: BoolArray
    level: LevelArray
    n_nodes: IntArray | None
    restart_s: FloatArray
    repair_s: FloatArray
    automatic_s: FloatArray | None
    lifetime_s: FloatArray | None
    lasts_s: FloatArray | None = None


def outcomes_of(
    kind: Kind, uniform: FloatArray
) -> tuple[BoolArray, LevelArray, IntArray | None, FloatArray]:
    """Return what faults take: whether a node, the level, how many nodes, and what is left.

    What is left of the uniform number is uniform again; it is computed where it is needed.
    """
    interrupt = kind.interrupt
    outcomes = interrupt.outcomes if interrupt else ()
    if len(outcomes) <= 1 and all(o.n_nodes == o.level == 1 for o in outcomes):
        share = outcomes[0].share_frac if outcomes else 0.0
        takes = uniform < share
        is_split = interrupt is not None and interrupt.automatic is not None and share
        left = uniform / share if is_split else uniform
        return takes, takes.view(np.int8), None, left
    ends = np.cumsum([outcome.share_frac for outcome in outcomes])
    which = np.searchsorted(ends, uniform, side="right")
    table = [*outcomes, Outcome(1.0, 0, 0)]
    n_nodes = np.array([outcome.n_nodes for outcome in table])[which]
    level = np.array([outcome.level for outcome in table], dtype=np.int8)[which]
    begins, shares = np.array([0.0, *ends]), np.array([o.share_frac for o in table])
    left = (uniform - begins[which]) / shares[which]
    return n_nodes > 0, level, n_nodes if n_nodes.max(initial=0) > 1 else None, left


def next_lifetime_s(kind: Kind, uniform: FloatArray, factor: FloatArray | float) -> FloatArray:
    """Return how long after its repair a node faults again: by a relapse, or by its law. [s]

    `factor` is how many times the rate of the kind is that of its law; one number, or one a run.
    """
    share = kind.relapse_frac
    if kind.lifetime is None:
        lifetime_s = np.full(uniform.shape, math.inf)
    else:
        rest = np.maximum((uniform - share) / (1 - share), 0.0) if share else uniform
        lifetime_s = renewed_lifetime_s(kind.lifetime, rest)
        lifetime_s = lifetime_s / factor
    if kind.relapse is not None:
        back = uniform < share
        lifetime_s[back] = quantile_s(kind.relapse, uniform[back] / share)
    return lifetime_s


def no_arrivals(n_runs: int) -> Arrivals:
    """Return the arrivals on a pool that has none."""
    nothing = np.empty((0, n_runs))
    whole = np.empty((0, n_runs), dtype=np.int64)
    taken, node = whole.astype(np.bool_), whole.astype(np.int32)
    return Arrivals(nothing, whole, node, taken, nothing, nothing, whole.astype(np.int8))


def each_once(chosen: NodeArray, n_nodes: int) -> NodeArray:
    """Return a random order of nodes, as far as it is needed (Fisher and Yates).

    `chosen` is which of the nodes that are left, counted from 0, is next; shape (n_rows, n_runs).
    """
    node = np.empty_like(chosen)
    n_at_once = max(1, MOST_NODES // n_nodes)
    for first in range(0, chosen.shape[1], n_at_once):
        columns = slice(first, first + n_at_once)
        runs = np.arange(chosen[:, columns].shape[1])
        order = np.broadcast_to(np.arange(n_nodes, dtype=np.int32)[:, None], (n_nodes, runs.size))
        order = order.copy()
        for i, row in enumerate(chosen[:, columns]):
            at = row + i
            node[i, columns] = order[at, runs]
            order[at, runs] = order[i]
    return node


def with_members(
    arrivals: Arrivals, n_nodes: IntArray, n_all: int, *, is_of_group: bool
) -> list[Arrivals]:
    """Return arrivals, and apart the further nodes of those that take groups.

    A group of n nodes begins at a multiple of n; the arrival itself moves to its first node.
    """
    is_group = n_nodes > 1
    n_groups = int(is_group.sum(axis=0).max(initial=0))
    first = np.where(is_group, arrivals.node // np.maximum(n_nodes, 1) * n_nodes, arrivals.node)
    none = np.zeros(is_group.shape, dtype=np.bool_)
    origin = None if is_of_group else np.where(is_group, arrivals.node, np.int32(-1))
    leaders = replace(arrivals, node=first.astype(np.int32), is_member=none, origin=origin)
    if not n_groups:
        return [leaders]
    rows = np.argsort(~is_group, axis=0, kind="stable")[:n_groups]  # those of groups, in time order

    def pick(values: Any) -> Any:
        return None if values is None else np.take_along_axis(values, rows, axis=0)

    picked = {field.name: pick(getattr(leaders, field.name)) for field in fields(Arrivals)}
    picked["is_member"] = np.ones(rows.shape, dtype=np.bool_)
    size, is_group = pick(n_nodes), pick(is_group)
    members: list[Arrivals] = []
    for i in range(1, int(n_nodes.max())):
        node = picked["node"] + np.int32(i)
        is_one = is_group & (i < size) & (node < n_all)
        time_s = np.where(is_one, picked["time_s"], math.inf)
        members.append(Arrivals(**{**picked, "node": node, "time_s": time_s}))
    return [leaders, *members]


def merge(parts: list[Arrivals]) -> Arrivals:
    """Return the arrivals of several streams as one, run by run in the order of time.

    At equal times the lower node comes first, and what concerns no node before all others; on one
    node, the order is that of the parts.
    """

    def joined(name: str) -> Any:
        columns = [getattr(part, name) for part in parts]
        if all(column is None for column in columns):
            return None
        for i, part in enumerate(parts):
            if columns[i] is None:
                columns[i] = np.broadcast_to(np.asarray(MISSING[name]), part.time_s.shape)
        return np.concatenate(columns)

    time_s, is_member = joined("time_s"), joined("is_member")
    runs = np.arange(time_s.shape[1])
    order = np.argsort(time_s, axis=0, kind="stable")
    place = order * runs.size + runs  # in a column laid out flat, thrice as fast to take
    sorted_s = np.take(time_s, place)
    tied = sorted_s[1:] == sorted_s[:-1]
    tied &= sorted_s[1:] < math.inf
    if is_member is not None:
        is_member = np.take(is_member, place)
        tied &= ~is_member[1:]
    if tied.any():
        leader = np.take(joined("node"), place)
        for i in range(1, len(leader) if is_member is not None else 0):
            leader[i] = np.where(is_member[i], leader[i - 1], leader[i])
        by_node = np.lexsort((leader, sorted_s), axis=0)
        place = np.take(place, by_node * runs.size + runs)

    def sort(name: str) -> Any:
        column = joined(name)
        return None if column is None else np.take(column, place)

    return Arrivals(sorted_s, *(sort(field.name) for field in fields(Arrivals)[1:]))
