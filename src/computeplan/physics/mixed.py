"""One job on chips of several kinds: uneven stages, uneven batches, and the best of their splits.

A pipeline is a line in which every micro-batch takes ``tau_s`` on stage s: after the first one is
through, one follows at every beat of the slowest stage, ``T = sum of tau + (M - 1) max tau`` for
M micro-batches [1]_. A link that is slower than every stage sets the beat as a stage would. Chips
that are fast get more layers; layers are whole, and that alone costs some per cent [2]_. A stage
has to hold its layers, and what they save for as many micro-batches as it has in flight, ``min(M,
S - s)``: it may hold more layers if it computes them again in the backward pass, which takes
longer. Replicas that share a batch get whole sequences each, and the step waits for the slowest
of them.

An efficiency is a ratio to some bound, and says nothing without its name: the sum of what each kind
trains by itself, as many chips of one kind, or the same chips with the same share each.

Long because the split, what it is searched over and what it is held against are one question.

Sources
-------
.. [1] S. M. Johnson, "Optimal two- and three-stage production schedules with setup times included",
       Naval Research Logistics Quarterly 1(1), 1954: lines of machines; with equal pieces of work
       the time is that of one piece through all machines, and of the others on the slowest one.
.. [2] S. Xu et al., "HETHUB", arXiv 2405.16256; D. Tang et al., "H2", arXiv 2505.17548: uneven
       layers on the stages of a pipeline across makers, recomputation of each stage.
.. [3] "Optical Velocity Laboratory", pingdo.net: standard single-mode fibre (G.652) has an index
       of about 1.467, which is 204,358 km/s, 4.9 ms for 1,000 km.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray, IntArray, at_least_zero, positive
from computeplan.physics.steptime.pipeline import in_flight

__all__ = [
    "Bound",
    "Efficiency",
    "Route",
    "Split",
    "Stages",
    "batch_efficiency",
    "best_shares",
    "best_split",
    "bytes_held",
    "even_split",
    "fibre_s",
    "hop_s",
    "ideal_s",
    "line_s",
    "split_of",
    "summed_s",
]

LIGHT_M_PER_S = 299_792_458.0
FIBRE_INDEX = 1.467
"""Speed of light over that in a fibre [3]_."""

Bound = Literal["sum of homogeneous", "equal count", "even split"]
"""What a throughput is compared with: the sum of what each kind of chips trains by itself (one at
most, but for what memory does); as many chips of one kind; the same chips with equal shares."""


@dataclass(frozen=True, slots=True)
class Efficiency:
    """A throughput over a bound, and which bound that is."""

    value: float
    """nan if the bound is not known."""
    bound: Bound
    of: str = ""
    """Of which kind of chips, where the bound is of one kind."""


@dataclass(frozen=True, slots=True)
class Route:
    """How a message goes from a chip of one kind to one of another."""

    network_bytes_per_s: float
    """Between the two servers, for one pair of chips. [B/s]"""
    host_bytes_per_s: tuple[float, ...] = ()
    """Of each way through the memory of a host, at either end: empty if chips send directly.
    [B/s]"""
    latency_s: float = 0.0
    """Of one message. [s]"""


def hop_s(route: Route, n_bytes: ArrayLike) -> FloatArray:
    """Return the time of one message between chips of two kinds.

    Through the hosts it is copied down, sent and copied up, one after the other.

    Parameters
    ----------
    route : Route
    n_bytes : array_like
        [B]

    Returns
    -------
    ndarray
        [s]

    Examples
    --------
    >>> direct, by_hosts = Route(50e9), Route(50e9, host_bytes_per_s=(25e9, 25e9))
    >>> [f"{1e3 * float(hop_s(route, 100e6)):.0f} ms" for route in (direct, by_hosts)]
    ['2 ms', '10 ms']
    """
    (size,) = at_least_zero(n_bytes=n_bytes)
    (rates,) = positive(bytes_per_s=(route.network_bytes_per_s, *route.host_bytes_per_s))
    seconds: FloatArray = route.latency_s + size * (1.0 / rates).sum()
    return seconds


def summed_s(route: Route, n_bytes: ArrayLike, n_parts: int) -> FloatArray:
    """Return the time to sum numbers that each of some parts holds all of, in a ring of them.

    Every part sends a share of ``1 / n_parts``, ``2 (n_parts - 1)`` times over.

    Parameters
    ----------
    route : Route
        From a part to the next.
    n_bytes : array_like
        That each part holds. [B]
    n_parts : int

    Returns
    -------
    ndarray
        [s]

    Raises
    ------
    ValueError
        If a size is not >= 0, or a rate not > 0.

    Examples
    --------
    Two parts send half of 100 GB each, twice, at 50 GB/s:

    >>> [round(float(summed_s(Route(50e9), 100e9, n)), 9) for n in (1, 2, 4)]
    [0.0, 2.0, 3.0]
    """
    seconds: FloatArray = 2.0 * (n_parts - 1) * hop_s(route, np.asarray(n_bytes) / n_parts)
    return seconds


def fibre_s(distance_m: ArrayLike) -> FloatArray:
    """Return how long light is on its way in a fibre [3]_.

    Parameters
    ----------
    distance_m : array_like
        Of the line, which is longer than the way as the crow flies. [m]

    Returns
    -------
    ndarray
        [s]

    Examples
    --------
    >>> f"{1e3 * float(fibre_s(1000e3)):.1f} ms"
    '4.9 ms'
    """
    (distance,) = at_least_zero(distance_m=distance_m)
    seconds: FloatArray = distance * FIBRE_INDEX / LIGHT_M_PER_S
    return seconds


def line_s(stage_s: ArrayLike, n_micro: ArrayLike, link_s: ArrayLike = ()) -> FloatArray:
    """Return the time of a pipeline whose stages differ [1]_.

    Parameters
    ----------
    stage_s : array_like
        One micro-batch on every stage, forward and backward; the last axis are the stages. [s]
    n_micro : array_like
        Micro-batches; infinite ones are refused, see `ideal_s`.
    link_s : array_like
        For how long one micro-batch keeps each link between stages busy, if no stage does anything
        else meanwhile. [s]

    Returns
    -------
    ndarray, shape of the axes before the last one
        [s]

    Examples
    --------
    80 layers on four stages of speed 1 and four of 0.5, with 64 micro-batches, split by speed and
    evenly:

    >>> speed = np.array([1.0] * 4 + [0.5] * 4)
    >>> by_speed, evenly = np.array([14] * 4 + [6] * 4) / speed, 10 / speed
    >>> float(line_s(by_speed, 64)), float(line_s(evenly, 64)), f"{ideal_s(80, speed, 64):.4f}"
    (986.0, 1380.0, '853.3333')
    >>> [f"{float(ideal_s(80, speed, 64) / line_s(t, 64)):.4f}" for t in (by_speed, evenly)]
    ['0.8654', '0.6184']
    """
    stages, links = at_least_zero(stage_s=stage_s, link_s=link_s)
    (n,) = positive(n_micro=n_micro)
    if not np.all(np.isfinite(n)):
        raise ValueError("n_micro must be finite")
    slowest, through = stages.max(axis=-1), stages.sum(axis=-1)
    if links.size:
        slowest, through = np.maximum(slowest, links.max(axis=-1)), through + links.sum(axis=-1)
    seconds: FloatArray = through + (n - 1.0) * slowest
    return seconds


def ideal_s(n_layers: float, speed: ArrayLike, n_micro: float) -> float:
    """Return the time in which chips of some speeds do all the work, none of them ever waiting.

    Parameters
    ----------
    n_layers : float
    speed : array_like
        Layers of one micro-batch that each stage computes in a second.
    n_micro : float
        Micro-batches.

    Returns
    -------
    float
        [s]

    Examples
    --------
    With endless micro-batches only the slowest stage counts, and whole layers cost 5 %:

    >>> speed = np.array([1.0] * 4 + [0.5] * 4)
    >>> f"{ideal_s(80, speed, 1) / max(14 / 1.0, 6 / 0.5):.4f}"
    '0.9524'
    """
    speeds, work = positive(speed=speed, work=n_layers * n_micro)
    return float(work / speeds.sum())


def batch_efficiency(sequences: ArrayLike, speed: ArrayLike) -> float:
    """Return which share of their speed replicas use that wait for the slowest one.

    Parameters
    ----------
    sequences : array_like
        Of every replica in one step.
    speed : array_like
        Sequences that every replica trains in a second.

    Examples
    --------
    >>> speed = [1.0, 1.0, 0.5, 0.5]
    >>> [f"{batch_efficiency(shares, speed):.4f}" for shares in ([4, 4, 2, 2], [3, 3, 3, 3])]
    ['1.0000', '0.6667']
    """
    (shares,) = at_least_zero(sequences=sequences)
    (speeds,) = positive(speed=speed)
    if not shares.sum() > 0:
        raise ValueError("sequences must be > 0 in all")
    return float(shares.sum() / (speeds.sum() * (shares / speeds).max()))


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of a pipeline in order, without their layers; what they may recompute are columns.

    Arrays of shape (n_stages,) or (n_stages, n_choices); a single number is the same for all.
    """

    layer_s: FloatArray
    """One micro-batch through a layer, forward and backward; (n_stages, n_choices). [s]"""
    fixed_s: FloatArray
    """What a stage does beside its layers: logits, messages that show; (n_stages,). [s]"""
    layer_bytes: FloatArray
    """A layer holds of weights, gradients and optimizer; (n_stages,). [B]"""
    kept_bytes: FloatArray
    """A layer keeps of every micro-batch in flight; (n_stages, n_choices). [B]"""
    fixed_bytes: FloatArray
    """A stage holds beside its layers; (n_stages, n_choices). [B]"""
    capacity_bytes: FloatArray
    """Memory there is; (n_stages,). [B]"""
    link_s: FloatArray
    """One micro-batch on the link behind each stage but the last; (n_stages - 1,), or empty where
    no link can set the beat. [s]"""

    @classmethod
    def of(
        cls,
        layer_s: ArrayLike,
        *,
        fixed_s: ArrayLike = 0.0,
        layer_bytes: ArrayLike = 0.0,
        kept_bytes: ArrayLike = 0.0,
        fixed_bytes: ArrayLike = 0.0,
        capacity_bytes: ArrayLike = np.inf,
        link_s: ArrayLike = (),
    ) -> Stages:
        """Return stages of these numbers or arrays.

        Raises
        ------
        ValueError
            If a time is not > 0, a size not >= 0, or shapes do not match.

        Examples
        --------
        >>> Stages.of([1.0, 2.0]).layer_s.shape
        (2, 1)
        """
        (layers,) = positive(layer_s=layer_s)
        layers = layers[:, None] if layers.ndim == 1 else layers
        if layers.ndim != 2 or not layers.size:
            raise ValueError("layer_s must have one row for every stage, and a column per choice")
        n_stages = layers.shape[0]
        row, both = (n_stages,), layers.shape
        given = at_least_zero(
            fixed_s=fixed_s,
            layer_bytes=layer_bytes,
            kept_bytes=kept_bytes,
            fixed_bytes=fixed_bytes,
            capacity_bytes=capacity_bytes,
            link_s=link_s,
        )
        of_rows, of_layers, kept, held, capacity, links = given
        if links.size not in (0, n_stages - 1):
            raise ValueError(f"link_s must have {n_stages - 1} links, got {links.size}")

        def spread(value: FloatArray, shape: tuple[int, ...]) -> FloatArray:
            column = value[:, None] if value.ndim == 1 and len(shape) == 2 else value
            return np.broadcast_to(column, shape)

        return cls(
            layer_s=layers,
            fixed_s=spread(of_rows, row),
            layer_bytes=spread(of_layers, row),
            kept_bytes=spread(kept, both),
            fixed_bytes=spread(held, both),
            capacity_bytes=spread(capacity, row),
            link_s=links,
        )

    @property
    def n(self) -> int:
        """How many stages there are."""
        return len(self.layer_s)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Whole layers on every stage, and what each of them recomputes."""

    layers: tuple[int, ...]
    choice: tuple[int, ...]
    """Which column of `Stages` each stage uses."""
    stage_s: FloatArray
    """One micro-batch on every stage. [s]"""
    time_s: float
    """Of all micro-batches, `line_s`. [s]"""


def bytes_held(stages: Stages, layers: ArrayLike, n_micro: int) -> FloatArray:
    """Return what each stage would hold with some layers, by what it recomputes.

    Parameters
    ----------
    stages : Stages
    layers : array_like
        Of every stage; shape (..., n_stages).
    n_micro : int
        Micro-batches: a stage keeps those of itself and of the stages behind it, at most all.

    Returns
    -------
    ndarray, shape (..., n_stages, n_choices)
        [B]

    Examples
    --------
    Two stages, two layers each, one unit a layer and one for each micro-batch in flight:

    >>> bytes_held(Stages.of([1.0, 1.0], layer_bytes=1.0, kept_bytes=1.0), [2, 2], 8)[:, 0]
    array([6., 4.])
    """
    held = np.asarray(layers, dtype=np.float64)[..., None]
    kept = in_flight(np.arange(stages.n), stages.n, n_micro)[:, None] * stages.kept_bytes
    return stages.fixed_bytes + held * (stages.layer_bytes[:, None] + kept)


class _Table(NamedTuple):
    """What every stage takes with 0, 1, 2, ... layers, and with which recomputation."""

    seconds: FloatArray
    """(n_stages, n_layers + 1), inf where they do not fit; grows along each row."""
    choice: IntArray


def _table(stages: Stages, n_layers: int, n_micro: int) -> _Table:
    counts = np.arange(n_layers + 1)
    held = bytes_held(stages, np.broadcast_to(counts[:, None], (counts.size, stages.n)), n_micro)
    fits = held <= stages.capacity_bytes[:, None]
    seconds = stages.fixed_s[:, None] + counts[:, None, None] * stages.layer_s
    seconds = np.where(fits, seconds, np.inf)
    seconds[0] = np.inf  # a stage without a layer is none
    choice = seconds.argmin(axis=2)
    best = np.take_along_axis(seconds, choice[:, :, None], axis=2)[:, :, 0]
    return _Table(best.T, choice.T)


def best_split(stages: Stages, n_layers: int, n_micro: int) -> Split | None:
    """Return the whole layers for every stage with which a pipeline takes least time, exactly.

    For a limit on the slowest stage, the least sum of the times is found stage by stage (dynamic
    programming over the layers dealt so far). The limit runs over the times that a stage can take,
    from the least one that allows any split (bisection: more layers never take less time); it ends
    where even the least sum of all splits could not make up for a slower beat.

    Parameters
    ----------
    stages : Stages
    n_layers : int
        Layers to deal, one at least to every stage.
    n_micro : int
        Micro-batches.

    Returns
    -------
    Split or None
        None if no split fits the memory.

    Raises
    ------
    ValueError
        If a count is not > 0.

    Examples
    --------
    >>> speed = np.array([1.0] * 4 + [0.5] * 4)
    >>> found = best_split(Stages.of(1 / speed), 80, 64)
    >>> found.layers, found.time_s
    ((14, 14, 14, 14, 6, 6, 6, 6), 986.0)

    A stage that is short of memory takes fewer layers, or computes them again:

    >>> small = Stages.of([[1.0, 1.3], [1.0, 1.3]], kept_bytes=[[1.0, 0.2]] * 2,
    ...                   capacity_bytes=[8.0, 20.0])
    >>> found = best_split(small, 12, 64)
    >>> found.layers, found.choice
    ((5, 7), (1, 0))
    """
    _check_counts(n_layers, n_micro)
    if stages.n > n_layers:
        return None
    table = _table(stages, n_layers, n_micro)
    links = stages.link_s
    floor = float(links.max(initial=0.0))
    limits = np.unique(np.maximum(table.seconds[np.isfinite(table.seconds)], floor))
    first = _first_feasible(table.seconds, limits, n_layers)
    if first is None:
        return None
    least_sum = _dealt(table.seconds, limits[-1], n_layers)[0][n_layers]
    best: tuple[float, tuple[int, ...]] | None = None
    for limit in limits[first:]:
        if best is not None and least_sum + (n_micro - 1.0) * limit >= best[0]:
            break
        sums, taken = _dealt(table.seconds, limit, n_layers)
        layers = _traced(taken, n_layers)
        seconds = table.seconds[np.arange(stages.n), layers]
        beat = max(float(seconds.max()), floor)
        whole = float(sums[n_layers]) + (n_micro - 1.0) * beat
        if best is None or whole < best[0]:
            best = whole, layers
    assert best is not None  # the first limit is feasible
    return _split(stages, table, _levelled(stages, table, best[1]), n_micro)


def _levelled(stages: Stages, table: _Table, layers: tuple[int, ...]) -> tuple[int, ...]:
    """Return a split that takes no longer, with equal layers on equal neighbours if it can be."""
    alike = np.column_stack([stages.layer_s, stages.fixed_s])
    starts = np.flatnonzero(np.r_[True, (alike[1:] != alike[:-1]).any(axis=1), True])
    found = list(layers)
    for start, end in itertools.pairwise(int(place) for place in starts):
        few, n_more = divmod(sum(layers[start:end]), end - start)
        level = [few + (place < n_more) for place in range(end - start)]
        own = np.arange(start, end)
        new, old = table.seconds[own, level], table.seconds[own, layers[start:end]]
        if new.max() <= old.max() and new.sum() <= old.sum():
            found[start:end] = level
    return tuple(found)


def _check_counts(n_layers: int, n_micro: int) -> None:
    positive(n_layers=n_layers, n_micro=n_micro)
    if n_layers != int(n_layers) or n_micro != int(n_micro):
        raise ValueError(f"layers and micro-batches must be whole, got {n_layers}, {n_micro}")


def _first_feasible(seconds: FloatArray, limits: FloatArray, n_layers: int) -> int | None:
    """Return the place of the least limit under which the stages together take all layers."""

    def takes_all(limit: float) -> bool:
        most = (seconds <= limit).sum(axis=1)  # rows grow from one layer on
        return bool(most.min() > 0 and most.sum() >= n_layers)

    low, high = 0, limits.size
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if takes_all(float(limits[middle])) else (middle + 1, high)
    return None if low == limits.size else low


def _dealt(seconds: FloatArray, limit: float, n_layers: int) -> tuple[FloatArray, IntArray]:
    """Return the least sum of stage times for each count of layers, and what each stage takes.

    No stage takes longer than the limit.
    """
    sums = np.full(n_layers + 1, np.inf)
    sums[0] = 0.0
    taken = np.zeros(seconds.shape, dtype=np.int64)
    before = np.subtract.outer(np.arange(n_layers + 1), np.arange(n_layers + 1))
    outside = before < 0
    for stage, row in enumerate(np.where(seconds <= limit, seconds, np.inf)):
        with_it = np.where(outside, np.inf, sums[np.maximum(before, 0)]) + row
        taken[stage] = with_it.argmin(axis=1)
        sums = with_it.min(axis=1)
    return sums, taken


def _traced(taken: IntArray, n_layers: int) -> tuple[int, ...]:
    left, layers = n_layers, []
    for stage in reversed(range(len(taken))):
        layers.append(int(taken[stage, left]))
        left -= layers[-1]
    return tuple(reversed(layers))


def _split(stages: Stages, table: _Table, layers: Sequence[int], n_micro: int) -> Split:
    place = np.arange(stages.n), np.asarray(layers)
    seconds = table.seconds[place]
    choice = tuple(int(one) for one in table.choice[place])
    return Split(
        tuple(int(n) for n in layers),
        choice,
        seconds,
        float(line_s(seconds, n_micro, stages.link_s)),
    )


def split_of(stages: Stages, layers: Sequence[int], n_micro: int) -> Split | None:
    """Return a split with given layers and the fastest recomputation that fits; None if none does.

    Examples
    --------
    >>> split_of(Stages.of([1.0, 2.0]), (4, 2), 8).time_s
    36.0
    """
    if len(layers) != stages.n:
        raise ValueError(f"there are {stages.n} stages, got {len(layers)} numbers of layers")
    if min(layers) < 1:
        raise ValueError(f"every stage has one layer at least, got {min(layers)}")
    table = _table(stages, max(layers), n_micro)
    if not np.isfinite(table.seconds[np.arange(stages.n), layers]).all():
        return None
    return _split(stages, table, layers, n_micro)


def even_split(stages: Stages, n_layers: int, n_micro: int) -> Split | None:
    """Return the split with equal layers on all stages, as for chips of one kind.

    What does not divide goes to the first stages, one layer more each.

    Examples
    --------
    >>> even_split(Stages.of([1.0, 1.0, 2.0]), 8, 4).layers
    (3, 3, 2)
    """
    _check_counts(n_layers, n_micro)
    if stages.n > n_layers:
        return None
    few, n_more = divmod(n_layers, stages.n)
    return split_of(stages, [few + (place < n_more) for place in range(stages.n)], n_micro)


def best_shares(seconds: Any, n: int) -> tuple[int, ...] | None:
    """Return whole shares of a batch for replicas so that the slowest takes least time, exactly.

    Parameters
    ----------
    seconds : array_like, shape (n_replicas, n + 1)
        Time of each replica with 0, 1, 2, ... shares, never less with more; inf where it cannot be.
        A replica that is a pipeline has the time of its own best split there. [s]
    n : int
        Shares to deal: sequences, or micro-batches.

    Returns
    -------
    tuple of int, or None
        Of each replica. None if they cannot take all shares.

    Raises
    ------
    ValueError
        If the shape is not as said, or a time falls with more shares.

    Examples
    --------
    >>> speed = np.array([1.0, 1.0, 0.5, 0.5])
    >>> best_shares(np.arange(13) / speed[:, None], 12)
    (4, 4, 2, 2)
    """
    table = np.asarray(seconds, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != n + 1:
        raise ValueError(f"seconds must have {n + 1} columns, got shape {table.shape}")
    if np.isnan(table).any() or (table[:, 1:] < table[:, :-1]).any():
        raise ValueError("seconds must not fall with more shares")
    limits = np.unique(table[np.isfinite(table)])

    def most(limit: float) -> IntArray:
        found: IntArray = (table <= limit).sum(axis=1) - 1
        return found

    low, high = 0, limits.size
    while low < high:
        middle = (low + high) // 2
        found = most(float(limits[middle]))
        enough = found.min() >= 0 and found.sum() >= n
        low, high = (low, middle) if enough else (middle + 1, high)
    if low == limits.size:
        return None
    shares = most(float(limits[low]))
    while shares.sum() > n:  # the slowest give back first
        shares[np.where(shares > 0, table[np.arange(len(table)), shares], -np.inf).argmax()] -= 1
    return tuple(int(share) for share in shares)
