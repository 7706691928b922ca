"""A fleet of several kinds of chips: how many instances of each, at the least of what is counted.

Instances of all kinds stand behind one balancer, which sends each kind requests in proportion to
the rate that it holds. Such a fleet reaches some less than its kinds do apart: 0.94 of the sum was
published [1]_. Whole instances of each kind, no more than there are: a small integer program.

Sources
-------
.. [1] MLPerf Inference 5.1: 4 nodes of one kind and 2 of another behind one balancer, 94 % of the
       sum of their own results; 3 nodes, 91 to 97 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from computeplan.fleet.sizes import Reliability, spare_instances

__all__ = ["MIXED_FRAC", "Kind", "Mix", "Part", "cheapest_mix"]

MIXED_FRAC = 0.94
"""Of the sum of what kinds hold apart [1]_."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Instances of one kind."""

    chip: str
    n_chips: int
    """Of an instance."""
    node_chips: int
    """Of a server."""
    per_s: float
    """Requests that one holds in production. [1/s]"""
    a_chip: float
    """What a chip adds to what is counted: money, energy, carbon, or 1."""
    most: int | None
    """Chips there are; None without limit."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a mixed fleet has of a kind."""

    chip: str
    n_instances: int
    n_spares: int
    n_chips: int
    """Of all of them."""
    share: float
    """Of the requests."""


@dataclass(frozen=True, slots=True)
class Mix:
    """The fleet with the least of what is counted."""

    parts: tuple[Part, ...]
    """Kinds that are used; none if all chips together do not hold the load."""
    counted: float
    efficiency: float
    """Of the sum of its kinds: 1 of a single one."""
    most_per_s: float
    """What all chips that there are hold. [1/s]"""
    most_unspared_per_s: float
    """The same if none of them were spare. [1/s]"""


def cheapest_mix(
    kinds: Sequence[Kind],
    peak_per_s: float,
    reliability: Reliability,
    mixed_frac: float = MIXED_FRAC,
) -> Mix:
    """Return the fleet of some kinds with the least of what is counted.

    A fleet of one kind is not mixed: each kind is tried by itself, and all of them together.

    Parameters
    ----------
    kinds : sequence of Kind
    peak_per_s : float
        Requests that must be held. [1/s]
    reliability : Reliability
        Spares are counted for each kind by itself, which errs on the safe side.
    mixed_frac : float, optional
        What a mixed fleet holds over the sum of its kinds.

    Examples
    --------
    Ten requests a second, 10.6 of what kinds hold apart; three of the cheaper kind hold six:

    >>> kinds = [Kind("a", 4, 8, 2.0, 1.0, 12), Kind("b", 8, 8, 4.0, 2.0, None)]
    >>> mix = cheapest_mix(kinds, 10.0, Reliability(availability=0.5))
    >>> [(part.chip, part.n_instances) for part in mix.parts]
    [('a', 2), ('b', 2)]
    """
    found = [_solved([kind], peak_per_s, reliability) for kind in kinds]
    if len(kinds) > 1:
        found.append(_solved(kinds, peak_per_s / mixed_frac, reliability))
    good = [one for one in found if one is not None]
    most = sum(_most_instances(one, reliability) * one.per_s for one in kinds)
    unspared = sum(_room(one) * one.per_s for one in kinds)
    frac = mixed_frac if len(kinds) > 1 else 1.0
    hold = (frac * most, frac * unspared)
    if not good:
        return Mix((), math.inf, mixed_frac, *hold)
    counted, parts = min(good, key=lambda one: one[0])
    return Mix(parts, counted, 1.0 if len(parts) == 1 else mixed_frac, *hold)


def _solved(
    kinds: Sequence[Kind], peak_per_s: float, reliability: Reliability
) -> tuple[float, tuple[Part, ...]] | None:
    """Return what is counted and the parts; None if there are too few chips."""
    limits = [_most_instances(kind, reliability) for kind in kinds]
    result = milp(
        c=np.array([kind.n_chips * kind.a_chip for kind in kinds]),
        constraints=LinearConstraint(np.array([[kind.per_s for kind in kinds]]), lb=peak_per_s),
        bounds=Bounds(0, np.array(limits, dtype=np.float64)),
        integrality=np.ones(len(kinds)),
    )
    if not result.success:
        return None
    counts = [round(n) for n in result.x]
    held = sum(n * kind.per_s for n, kind in zip(counts, kinds, strict=True))
    parts, counted = [], 0.0
    for kind, n in zip(kinds, counts, strict=True):
        if not n:
            continue
        spares = _spares(kind, n, reliability)
        n_chips = (n + spares) * kind.n_chips
        counted += n_chips * kind.a_chip
        parts.append(Part(kind.chip, n, spares, n_chips, n * kind.per_s / held))
    return counted, tuple(parts)


def _spares(kind: Kind, n: int, reliability: Reliability) -> int:
    return spare_instances(n, kind.n_chips, kind.node_chips, reliability)


def _room(kind: Kind) -> float:
    """Return the most instances that the chips there are hold, none of them spare."""
    return math.inf if kind.most is None else kind.most // kind.n_chips


def _most_instances(kind: Kind, reliability: Reliability) -> float:
    """Return the most instances that the chips there are hold together with their spares."""
    if kind.most is None:
        return math.inf
    room = kind.most // kind.n_chips
    low, high = 0, room
    while low < high:
        middle = (low + high + 1) // 2
        if middle + _spares(kind, middle, reliability) <= room:
            low = middle
        else:
            high = middle - 1
    return low
