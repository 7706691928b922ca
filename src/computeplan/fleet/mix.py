"""A fleet of several kinds of chips: how many instances of each, at the least of what is counted.

Instances of all kinds stand behind one balancer, which sends each kind requests in proportion to
the rate that it holds. Such a fleet reaches some less than its kinds do apart: 0.94 of the sum was
published [1]_. Whole instances of each kind, no more than there are: a small integer program.

Where prefill and decode are disaggregated, a kind offers instances of both roles, and each role
must hold the peak; its instances may be of several kinds, or all of one, which loses nothing. A
cache goes from a prefill instance to any decode instance of the same engine and precision, at the
rate that the prefill instance sends.

Sources
-------
.. [1] MLPerf Inference 5.1: 4 nodes of one kind and 2 of another behind one balancer, 94 % of the
       sum of their own results; 3 nodes, 91 to 97 %.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from computeplan.arrays import FloatArray
from computeplan.fleet.roles import Role
from computeplan.fleet.sizes import Reliability, spare_instances

__all__ = ["MIXED_FRAC", "Kind", "Mix", "Part", "cheapest_mix"]

MIXED_FRAC = 0.94
"""Of the sum of what kinds hold apart [1]_."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Instances of one kind, of one role."""

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
    """Chips there are, for all roles; None without limit."""
    role: Role = "both"
    cache: str = ""
    """What a cache is of that it sends or takes: a cache goes between those of one name."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a mixed fleet has of a kind."""

    chip: str
    n_instances: int
    n_spares: int
    n_chips: int
    """Of all of them."""
    share: float
    """Of what its role holds."""
    role: Role = "both"


@dataclass(frozen=True, slots=True)
class Mix:
    """The fleet with the least of what is counted."""

    parts: tuple[Part, ...]
    """Kinds that are used; none if all chips together do not hold the load."""
    counted: float
    efficiency: float
    """Of the sum of its kinds: 1 where no role has several."""
    most_per_s: float
    """What all chips that there are hold. [1/s]"""
    most_unspared_per_s: float
    """The same if none of them were spare. [1/s]"""

    @property
    def is_mixed(self) -> bool:
        """Whether it has several kinds of chips."""
        return len({part.chip for part in self.parts}) > 1


def cheapest_mix(
    kinds: Sequence[Kind],
    peak_per_s: float,
    reliability: Reliability,
    mixed_frac: float = MIXED_FRAC,
) -> Mix:
    """Return the fleet of some kinds with the least of what is counted.

    A role of one kind is not mixed: each kind is tried by itself, and all of them together.

    Parameters
    ----------
    kinds : sequence of Kind
        A chip with several roles is one of each.
    peak_per_s : float
        Requests that must be held. [1/s]
    reliability : Reliability
        Spares are counted for each kind and role by itself, which errs on the safe side.
    mixed_frac : float, optional
        What a role of several kinds holds over the sum of them.

    Examples
    --------
    Ten requests a second, 10.6 of what kinds hold apart; three of the cheaper kind hold six:

    >>> kinds = [Kind("a", 4, 8, 2.0, 1.0, 12), Kind("b", 8, 8, 4.0, 2.0, None)]
    >>> mix = cheapest_mix(kinds, 10.0, Reliability(availability=0.5))
    >>> [(part.chip, part.n_instances) for part in mix.parts]
    [('a', 2), ('b', 2)]

    Prompts on the one and answers on the other, each of which is good at that:

    >>> kinds = [
    ...     Kind("a", 8, 8, 5.0, 1.0, None, "prefill"),
    ...     Kind("a", 8, 8, 1.0, 1.0, None, "decode"),
    ...     Kind("b", 8, 8, 1.0, 1.0, None, "prefill"),
    ...     Kind("b", 8, 8, 4.0, 1.0, None, "decode"),
    ... ]
    >>> mix = cheapest_mix(kinds, 10.0, Reliability(availability=0.5))
    >>> [(part.chip, part.role, part.n_instances) for part in mix.parts], mix.efficiency
    ([('a', 'prefill', 2), ('b', 'decode', 3)], 1.0)
    """
    choices = list(_choices(kinds, mixed_frac))
    best: tuple[float, tuple[Part, ...], float] | None = None
    for some, fracs in choices:
        counts = _solved(some, fracs, reliability, peak_per_s)
        if counts is None:
            continue
        counted, parts = _parts(some, counts, reliability)
        if best is None or counted < best[0]:
            best = (counted, parts, min(fracs[part.role] for part in parts))
    most, unspared = (
        max((_most(some, fracs, spares) for some, fracs in choices), default=0.0)
        for spares in (reliability, None)
    )
    counted, parts, efficiency = best or (math.inf, (), mixed_frac)
    return Mix(parts, counted, efficiency, most, unspared)


def _choices(
    kinds: Sequence[Kind], mixed_frac: float
) -> Iterator[tuple[list[Kind], dict[Role, float]]]:
    """Yield kinds that may be used, and what each role holds over the sum of its own."""
    roles = dict.fromkeys(kind.role for kind in kinds)
    of_role = []
    for role in roles:
        mine = [kind for kind in kinds if kind.role == role]
        both = [([kind], 1.0) for kind in mine]
        of_role.append([*both, (mine, mixed_frac)] if len(mine) > 1 else both)
    for chosen in itertools.product(*of_role):
        some = [kind for mine, _ in chosen for kind in mine]
        yield some, dict(zip(roles, (frac for _, frac in chosen), strict=True))


def _solved(
    kinds: Sequence[Kind],
    fracs: Mapping[Role, float],
    reliability: Reliability | None,
    peak_per_s: float | None = None,
) -> list[int] | None:
    """Return instances of each kind; None if there are too few chips.

    The least of what is counted that holds a peak; without a peak, what holds the most. Spares are
    none if there is no reliability to keep.
    """
    limits = [_most_instances(kind, reliability) for kind in kinds]
    rows, low = _held_rows(kinds, fracs, peak_per_s)
    n_more = rows.shape[1] - len(kinds)
    if peak_per_s is None:
        c = np.append(np.zeros(rows.shape[1] - 1), -1.0)
    else:
        c = np.append([kind.n_chips * kind.a_chip for kind in kinds], np.zeros(n_more))
    chips = _chip_rows(kinds)
    kept = dict.fromkeys(chips, 0.0)  # for spares, of chips with several roles
    while True:
        constraints = [LinearConstraint(rows, lb=low)]
        constraints += [
            LinearConstraint(np.append(row, np.zeros(n_more))[np.newaxis], ub=most - kept[name])
            for name, (row, most) in chips.items()
        ]
        result = milp(
            c=c,
            constraints=constraints,
            bounds=Bounds(0, np.array([*limits, *[math.inf] * n_more], dtype=np.float64)),
            integrality=np.append(np.ones(len(kinds)), np.zeros(n_more)),
        )
        if not result.success:
            return None
        counts = [round(n) for n in result.x[: len(kinds)]]
        short = False
        for name, (row, most) in chips.items():
            spares = [_spares(kind, n, reliability) for kind, n in zip(kinds, counts, strict=True)]
            if float(row @ counts + row @ spares) > most:
                kept[name], short = float(row @ spares), True
        if not short:
            return counts


def _held_rows(
    kinds: Sequence[Kind], fracs: Mapping[Role, float], peak_per_s: float | None
) -> tuple[FloatArray, FloatArray]:
    """Return rows of what each role holds, and the least of each.

    There is a row for each role and each name of caches. Columns are instances of each kind, then
    requests with caches of all names but the first, which has the rest of the peak; at last, where
    there is no peak, all requests.
    """
    names, roles = dict.fromkeys(kind.cache for kind in kinds), dict.fromkeys(fracs)
    n_more = len(names) - 1 + (peak_per_s is None)
    rows, low = [], []
    for i, name in enumerate(names):
        for role in roles:
            row = [kind.per_s * (kind.cache == name and kind.role == role) for kind in kinds]
            more = np.zeros(n_more)
            if i:
                more[i - 1] = -1.0 / fracs[role]
            else:
                more[: len(names) - 1] = 1.0 / fracs[role]
                more[len(names) - 1 :] = -1.0 / fracs[role]
            rows.append(np.append(row, more))
            low.append(0.0 if i or peak_per_s is None else peak_per_s / fracs[role])
    return np.array(rows), np.array(low)


def _chip_rows(kinds: Sequence[Kind]) -> dict[str, tuple[FloatArray, int]]:
    """Return chips of each instance, by limited chip that has several roles, and how many."""
    found = {}
    for kind in kinds:
        is_it = [one.chip == kind.chip for one in kinds]
        if kind.most is not None and sum(is_it) > 1:
            row = np.array([one.n_chips for one in kinds]) * np.array(is_it, dtype=np.float64)
            found[kind.chip] = (row, kind.most)
    return found


def _parts(
    kinds: Sequence[Kind], counts: Sequence[int], reliability: Reliability
) -> tuple[float, tuple[Part, ...]]:
    """Return what is counted of instances and their spares, and the parts of the fleet."""
    held: defaultdict[Role, float] = defaultdict(float)
    for n, kind in zip(counts, kinds, strict=True):
        held[kind.role] += n * kind.per_s
    parts, counted = [], 0.0
    for kind, n in zip(kinds, counts, strict=True):
        if not n:
            continue
        spares = _spares(kind, n, reliability)
        n_chips = (n + spares) * kind.n_chips
        counted += n_chips * kind.a_chip
        share = n * kind.per_s / held[kind.role]
        parts.append(Part(kind.chip, n, spares, n_chips, share, kind.role))
    return counted, tuple(parts)


def _most(
    kinds: Sequence[Kind], fracs: Mapping[Role, float], reliability: Reliability | None
) -> float:
    """Return what all chips there are hold; infinite where no role runs out of them. [1/s]"""
    names = dict.fromkeys(kind.cache for kind in kinds)
    endless = {(kind.cache, kind.role) for kind in kinds if kind.most is None}
    if any(all((name, role) in endless for role in fracs) for name in names):
        return math.inf
    counts = _solved(kinds, fracs, reliability)
    if counts is None:
        return 0.0
    held: defaultdict[tuple[str, Role], float] = defaultdict(float)
    for n, kind in zip(counts, kinds, strict=True):
        held[kind.cache, kind.role] += n * kind.per_s
    return sum(min(frac * held[name, role] for role, frac in fracs.items()) for name in names)


def _spares(kind: Kind, n: int, reliability: Reliability | None) -> int:
    if reliability is None:
        return 0
    return spare_instances(n, kind.n_chips, kind.node_chips, reliability)


def _most_instances(kind: Kind, reliability: Reliability | None) -> float:
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
