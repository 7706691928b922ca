"""What is found out about a service with requests before a world is compiled.

How many requests a second an instance holds within the limits is a search and a simulation of its
own (``fleet/services.py``), above the compiler. What it finds is an `InstanceOn` for each pool; how
many nodes that takes, with head-room and spares, is arithmetic on it, in ``services.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.notes import Note
from computeplan.physics.serving.spares import spares_for, up_frac
from computeplan.scheduling.services import Demand, nodes_on_pools
from computeplan.specs.services import Service as ServiceSpec
from computeplan.world.load import Load
from computeplan.world.pools import Pool

__all__ = [
    "InstanceOn",
    "Planned",
    "busiest_minutes",
    "demand_of",
    "gives_of",
    "node_gives",
    "spares_of",
    "wanted_of",
]

MINUTE_S = 60.0
MINUTES = 60
"""Of an hour."""


@dataclass(frozen=True, slots=True)
class InstanceOn:
    """What an instance of a service holds and draws on the chips of a pool."""

    n_chips: int
    per_s: float
    """Requests it answers within the limits, in a benchmark. [1/s]"""
    chip_w: float
    chip_more_w: float
    """Watts of a chip without requests, and more at `per_s`; nan where not known. [W]"""
    prompt_frac: float
    """Share of the time in steps that prompts take."""
    longest_s: float
    """Of its answers, about. [s]"""
    low_per_s: float = 0.0
    high_per_s: float = math.inf
    """Ends of the 90 % band of `per_s`. [1/s]"""
    at_once: float = 0.0
    """Requests that it answers at once at `per_s`, on the mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """What was found out about a service with requests."""

    load: Load
    pools: tuple[str, ...]
    """Names of its pools, in the order in which they fill."""
    on: tuple[InstanceOn, ...]
    """On each of them."""
    notes: tuple[Note, ...] = ()


def node_gives(spec: ServiceSpec, one: InstanceOn, n_chips: int) -> tuple[float, int]:
    """Return what a node of a pool gives by itself [1/s], and the nodes of an instance.

    Parameters
    ----------
    spec : Service
        With the derating.
    one : InstanceOn
    n_chips : int
        Of a node.
    """
    size = max(1, math.ceil(one.n_chips / n_chips))
    return one.per_s * spec.derating * max(1, n_chips // one.n_chips) / size, size


def gives_of(
    spec: ServiceSpec,
    instances: Sequence[InstanceOn],
    chips: Sequence[str],
    node_chips: Sequence[int],
    room: Sequence[int],
    wanted_per_s: float,
) -> tuple[tuple[float, ...], tuple[int, ...], float]:
    """Return what nodes of each pool give, nodes of an instance, and the balance of several kinds.

    Parameters
    ----------
    spec : Service
        With the derating, and the balance of kinds behind one balancer: where the highest need
        takes one kind alone, there is nothing to balance.
    instances : sequence of InstanceOn
    chips : sequence of str
        Kind of chip of each pool.
    node_chips, room : sequence of int
        Chips of a node, and nodes, of each pool.
    wanted_per_s : float
        The highest need. [1/s]

    Returns
    -------
    gives : tuple of float
        Requests a second that a node gives. [1/s]
    group : tuple of int
    balance : float

    Examples
    --------
    Two instances of 4 chips on a node of 8, and a third of one of 24: 2.0 a second each, times 0.7.

    >>> spec = ServiceSpec.model_construct(derating=0.7, balance=0.9)
    >>> ones = [InstanceOn(n, 2.0, 1.0, 1.0, 0.5, 1.0) for n in (4, 24)]
    >>> gives_of(spec, ones, ["a", "b"], [8, 8], [10, 10], wanted_per_s=28.0)
    ((2.8, 0.4666666666666666), (1, 3), 1.0)
    >>> gives, _, balance = gives_of(spec, ones, ["a", "b"], [8, 8], [10, 10], 29.0)
    >>> round(gives[0], 2), balance
    (2.52, 0.9)
    """
    gives, group = [], []
    for one, n_chips in zip(instances, node_chips, strict=True):
        each, size = node_gives(spec, one, n_chips)
        gives.append(each)
        group.append(size)
    nodes, lacks = nodes_on_pools(wanted_per_s, room, gives, group)
    kinds = {chip for chip, n in zip(chips, nodes, strict=True) if n or lacks}
    balance = spec.balance if len(kinds) > 1 else 1.0
    return tuple(each * balance for each in gives), tuple(group), balance


def wanted_of(spec: ServiceSpec, load: Load) -> FloatArray:
    """Return the requests of the busiest minute of each hour, over the utilisation aimed at. [1/s]

    Parameters
    ----------
    spec : Service
    load : Load
    """
    rates = np.asarray(load.per_s, dtype=np.float64)
    return np.asarray(rates * busiest_minutes(load) / (spec.scale.target if spec.scale else 1.0))


def busiest_minutes(load: Load) -> FloatArray:
    """Return the busiest minute of each hour over the mean of the hour.

    Of laws, the mean of the highest of 60 counts that are nearly normal, whose variance is that of
    Poisson times the square of the cv of gaps; of a trace, its own minutes at the rate of the hour,
    if it lasts some.

    Examples
    --------
    >>> from computeplan.world.load import Lengths
    >>> one = Lengths(100, 0, 1000)
    >>> busiest_minutes(Load(np.array([100.0]), 1.0, one, one, 0.0)).round(4).tolist()
    [1.0299]
    """
    highest = 2.3193  # of 60 normal numbers, the mean of the largest
    found = np.ones(len(load.per_s))
    for hour, per_s in enumerate(load.per_s):
        if per_s <= 0:
            continue
        found[hour] += highest * load.gaps_cv / math.sqrt(per_s * MINUTE_S)
        if load.trace is not None:
            trace = load.trace
            times_s = (trace.arrival_s - trace.arrival_s[0]) * (trace.rate_per_s / per_s)
            n_minutes = int(times_s[-1] // MINUTE_S)
            if n_minutes >= 2:
                counts = np.bincount((times_s // MINUTE_S).astype(int))[:n_minutes]
                found[hour] = max(1.0, counts.max() / (per_s * MINUTE_S))
    return found


def spares_of(
    n_nodes: IntArray, group: int, pool: Pool, start_s: float, availability: float
) -> IntArray:
    """Return the nodes beyond those needed with which enough are up for a share of time.

    Parameters
    ----------
    n_nodes : ndarray of int
        That are needed, in whole instances.
    group : int
        Nodes of an instance.
    pool : Pool
        With its kinds of faults.
    start_s : float
        Of an instance, after each fault; the instances of a node fail together. [s]
    availability : float
        Share of time in which at least as many must be up as are needed.
    """
    rate = sum(kind.stop_rate_per_node_s for kind in pool.kinds)
    if not rate:
        return np.zeros(len(n_nodes), dtype=np.int64)
    repair_s = pool.repair_load_per_node / rate
    up = up_frac(1.0 / rate, repair_s, group * start_s)
    return spares_for(n_nodes, up, availability, group)


def demand_of(
    spec: ServiceSpec,
    planned: Planned,
    pools: Sequence[Pool],
    gives: Sequence[float],
    group: Sequence[int],
) -> tuple[Demand, FloatArray, FloatArray]:
    """Return what a service needs by the hour, with nodes for the peak, and spare ones, by pool.

    Each hour is held with the head-room of its busiest minute, at the utilisation that is aimed at,
    and with spares. Without lending it holds its highest hour at all hours.

    Parameters
    ----------
    spec : Service
        As written.
    planned : Planned
    pools : sequence of Pool
        Its own.
    gives, group : sequence
        As of `gives_of`.

    Returns
    -------
    Demand
        In requests per second.
    ndarray, shape (n_pools,)
        Nodes that the busiest minute of the busiest hour takes.
    ndarray, shape (n_pools,)
        Nodes beyond these, for faults: where a pool has no room for them, on the next.
    """
    scale, slo = spec.scale, spec.slo
    start_s = 0.0 if scale is None else scale.start
    longest_s = max(one.longest_s for one in planned.on)
    drain_s = longest_s if scale is None or scale.drain is None else scale.drain
    rates = np.asarray(planned.load.per_s, dtype=np.float64)
    wanted = wanted_of(spec, planned.load)
    room = [pool.n_nodes for pool in pools]
    nodes = np.array([nodes_on_pools(n, room, gives, group)[0] for n in wanted.tolist()])
    spares = np.zeros_like(nodes)
    if slo is not None and slo.availability is not None:
        # A service is there while all its roles are, whose faults have nothing in common.
        availability = slo.availability ** (1 / max(1, len(spec.roles)))
        for p, pool in enumerate(pools):
            spares[:, p] = spares_of(nodes[:, p], group[p], pool, start_s, availability)
    most = float(np.dot(room, gives))
    held = np.maximum(wanted, (nodes + spares) @ np.asarray(gives))
    extra = tuple(float(x) for x in np.maximum(held - rates, 0.0))
    least = _least(spec, pools, gives, group) if spec.lend else float(held.max())
    whole = sum(n // size * size * each for n, size, each in zip(room, group, gives, strict=True))
    demand = Demand(
        tuple(float(n) for n in rates),
        least=min(least, whole, most),
        priority=spec.priority,
        start_s=start_s,
        drain_s=0.0 if not spec.lend else drain_s,
        extra=extra,
    )
    peak = int(held.argmax())
    in_all = np.array(nodes_on_pools(float(held[peak]), room, gives, group)[0])
    return demand, nodes[peak], np.maximum(in_all - nodes[peak], 0)


def _least(
    spec: ServiceSpec, pools: Sequence[Pool], gives: Sequence[float], group: Sequence[int]
) -> float:
    """Return what the chips give that a service holds at all hours, in whole instances."""
    left, found = float(spec.least), 0.0
    for pool, each, size in zip(pools, gives, group, strict=True):
        chips = pool.chips_per_node * size
        n = min(math.ceil(left / chips), pool.n_nodes // size)
        left -= n * chips
        found += n * size * each
        if left <= 0:
            break
    return found
