"""What the estimates of sites do to a result: bars of each, and whether a ranking survives them.

What a run takes does not depend on prices, PUE, carbon and water, and what it costs is a sum of
products of them: electricity is IT energy x PUE x price. So a case need not be played again to see
it at the ends of a range: each part is scaled by the figures that it follows. A bar has one figure
at both ends of its range, all others as they are. A ranking is looked at in the box of all ranges:
how much of it has two neighbours in the same order, counted on points that fill it evenly, and
whether all of it has, which its corners tell, as a difference of sums of products is the most
extreme at a corner. A figure that two cases have in common is the same in both. Figures that vary
over the year keep their course.

Sources
-------
.. [1] I. M. Sobol, "On the distribution of points in a cube and the approximate evaluation of
       integrals", USSR Computational Mathematics and Mathematical Physics 7(4), 1967.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.notes import Note, NoteValue, note
from computeplan.results.cases import CaseResult
from computeplan.results.window import sites_to
from computeplan.specs.catalogue.site_figures import SiteFigure
from computeplan.units import DAY_S

__all__ = ["ACCOUNTS", "Bar", "Neighbours", "Part", "bars", "parts_of", "ranges_of", "ranking"]

ACCOUNTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "energy": {"energy_kwh": ("pue",)},
    "cost": {
        "electricity_usd": ("price", "pue"),
        "demand_usd": ("demand_charge", "pue"),
        "rent_usd": (),
        "purchase_usd": ("purchase",),
        "building_usd": ("building",),
        "sent_usd": (),
    },
    "carbon": {"carbon_kg": ("carbon", "pue")},
    "carbon_market": {"carbon_market_kg": ("residual_carbon", "pue")},
    "embodied": {"embodied_kg": ("embodied",)},
    "water": {"water_site_l": ("water_on_site",), "water_grid_l": ("water_off_site", "pue")},
}
"""What is ranked: its parts, and the figures of a site that each is proportional to."""
OF_CHIPS = ("purchase", "embodied")
"""Figures of a kind of chip, not of a place."""
LOG2_POINTS = 13
"""Of the points that fill the box: some 8,000, for shares to about a hundredth."""
MOST_CORNERS = 2**12
"""Corners that are looked at; beyond, the points alone say whether an order holds."""
MOST_RANKED = 40
"""Cases up to which rankings are told; a choice."""
SAME = 1e-9
"""Relative difference below which two cases are alike."""

Values = Mapping[SiteFigure, FloatArray]
"""Figures over their values, at some points of the box."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an account, with the figures that it is proportional to."""

    amount: float
    figures: tuple[SiteFigure, ...]

    def at(self, over_value: Values) -> FloatArray | float:
        """Return the part where figures are other than their values."""
        return self.amount * math.prod(over_value.get(one, 1.0) for one in self.figures)


Parts = Sequence[Part]


class Bar(NamedTuple):
    """An account with one figure at both ends of its range."""

    figure: SiteFigure
    low: float
    high: float


class Neighbours(NamedTuple):
    """Two cases that follow one another in a ranking."""

    first: str
    second: str
    share: float
    """Of the box, in which the first comes first; where both are alike, half counts."""
    is_sure: bool
    """Whether the first is never after the second."""


def parts_of(
    case: CaseResult, figures: Mapping[str, Sequence[SiteFigure]]
) -> dict[str, list[Part]]:
    """Return the parts of every account of a case that is known, as means over its runs.

    Parameters
    ----------
    case : CaseResult
        Counted to the window of the comparison.
    figures : mapping of str to sequence of SiteFigure
        What each site takes from the catalogue.
    """
    if case.by_site is None:
        return {}
    window_s = np.maximum(case.values["window_days"] * DAY_S, case.by_site.end_s)
    taken = sites_to(case.by_site, window_s)
    chips = case.by_site.chips or ("",) * len(case.by_site.sites)
    has = [
        {
            one.what: one
            for one in figures.get(site, ())
            if one.what not in OF_CHIPS or one.place == chip
        }
        for site, chip in zip(case.by_site.sites, chips, strict=True)
    ]
    found: dict[str, list[Part]] = {}
    for account, measures in ACCOUNTS.items():
        for measure, follows in measures.items():
            for amount, known in zip(taken[measure].mean(axis=0).tolist(), has, strict=True):
                if math.isfinite(amount):
                    of = tuple(known[what] for what in follows if what in known)
                    found.setdefault(account, []).append(Part(amount, of))
    return found


def bars(parts: Parts) -> list[Bar]:
    """Return an account with each estimate at both ends of its range, the widest first.

    Examples
    --------
    >>> price = SiteFigure("price", "guizhou", "posted", 0.5, 0.4, 0.75)
    >>> [(bar.low, bar.high) for bar in bars([Part(100.0, (price,)), Part(50.0, ())])]
    [(130.0, 200.0)]
    """
    found = [
        Bar(one, *(float(_sum(parts, {one: end})) for end in _ends(one)))
        for one in _estimates(parts)
    ]
    return sorted(found, key=lambda bar: bar.low - bar.high)


def ranking(cases: Mapping[str, Parts]) -> list[Neighbours]:
    """Return the neighbours in the order of an account, the least first.

    Examples
    --------
    >>> east = SiteFigure("price", "east", "posted", 1.5, 1.0, 2.0)
    >>> west = SiteFigure("price", "west", "posted", 1.0, 0.5, 1.5)
    >>> (both,) = ranking({"east": [Part(1.5, (east,))], "west": [Part(1.0, (west,))]})
    >>> both.first, round(both.share, 1), both.is_sure
    ('west', 0.9, False)
    """
    nominal = {name: float(_sum(parts, {})) for name, parts in cases.items()}
    order = sorted(cases, key=nominal.__getitem__)
    box = _points(_estimates([part for parts in cases.values() for part in parts]))
    at_points = {name: _sum(cases[name], box) for name in order}
    found = []
    for first, second in itertools.pairwise(order):
        ahead = _ahead(at_points[first], at_points[second])
        both = _estimates([*cases[first], *cases[second]])
        if 2 ** len(both) <= MOST_CORNERS:
            box_ends = _corners(both)
            at_ends = _ahead(_sum(cases[first], box_ends), _sum(cases[second], box_ends))
        else:
            at_ends = ahead
        is_sure = bool(np.all(at_ends >= 0.5))
        found.append(Neighbours(first, second, float(np.mean(ahead)), is_sure))
    return found


def ranges_of(
    results: Sequence[tuple[str, Mapping[str, Sequence[SiteFigure]], CaseResult]],
    asks: str,
    currency: str,
) -> tuple[list[Note], dict[str, Note]]:
    """Return what to know of a comparison of sites: rankings, and what stands beside each case.

    Both are empty where sites take nothing that is an estimate; nothing is said of a comparison at
    one place, and nothing is ranked where cases are many, or work is unfinished.

    Parameters
    ----------
    results : sequence of (str, mapping, CaseResult)
        Name, figures by site, and result of each case.
    asks : str
        By what cases are compared.
    currency : str
        In which money is.
    """
    used = {one for _, figures, _ in results for of_site in figures.values() for one in of_site}
    if all(one.is_known for one in used):
        return [], {}
    parts = {name: parts_of(case, figures) for name, figures, case in results}
    beside = {
        name: note("ranges_of_case", accounts=accounts, currency=currency)
        for name, by_account in parts.items()
        if (accounts := tuple(_told(by_account)))
    }
    places = {
        frozenset(one.place for one in of_site if one.what not in OF_CHIPS)
        for _, figures, _ in results
        for of_site in figures.values()
    }
    notes = [_counted(used)] if len(places) > 1 else []
    is_done = not any(case.is_unfinished for _, _, case in results)
    if is_done and len(places) > 1 and 1 < len(results) <= MOST_RANKED:
        for account in ACCOUNTS:
            ranked = {name: found.get(account, []) for name, found in parts.items()}
            if all(ranked.values()) and any(map(_estimates, ranked.values())):
                notes.append(_ranked(account, ranking(ranked), is_asked=account == asks))
    return notes, beside


def _told(by_account: Mapping[str, Parts]) -> list[tuple[Any, ...]]:
    """Return each account with an estimate: name, value, limits in the box, and bars."""
    found = []
    for account, parts in by_account.items():
        drawn = [*bars(parts)]
        of = Counter((bar.figure.what, bar.figure.place) for bar in drawn)
        told = tuple((bar.figure.what, _called(bar.figure, of), bar.low, bar.high) for bar in drawn)
        if told:
            ends = ({one: _ends(one)[end] for one in _estimates(parts)} for end in (0, 1))
            low, high = (float(_sum(parts, end)) for end in ends)
            found.append((account, float(_sum(parts, {})), low, high, told))
    return found


def _called(one: SiteFigure, of: Mapping[tuple[str, str], int]) -> str:
    """Return the place or chip of a figure, with its pool where two figures would read alike."""
    is_alike = of[one.what, one.place] > 1 and one.whose
    return f"{one.place} ({one.whose})" if is_alike else one.place


def _counted(used: Collection[SiteFigure]) -> Note:
    guessed = [one for one in used if not one.is_known]
    aims = [one for one in used if one.is_known and one.basis in ("target", "aim")]
    return note("estimates_of_sites", n=len(used), n_estimates=len(guessed), n_aims=len(aims))


def _ranked(account: str, found: Sequence[Neighbours], *, is_asked: bool) -> Note:
    told: tuple[NoteValue, ...] = tuple(
        (one.first, one.second, one.share, one.is_sure) for one in found
    )
    if is_asked:
        return note("ranking_asked", account=account, neighbours=told)
    return note("ranking_beside", account=account, neighbours=told)


def _sum(parts: Parts, over_value: Mapping[SiteFigure, Any]) -> FloatArray:
    return np.asarray(sum(part.at(over_value) for part in parts), dtype=np.float64)


def _ahead(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return 1 where the first is less, 0 where it is more, and a half where both are alike."""
    gap = (second - first) / np.maximum(np.abs(first), 1e-300)
    return np.where(np.abs(gap) <= SAME, 0.5, np.where(gap > 0, 1.0, 0.0))


def _estimates(parts: Parts) -> list[SiteFigure]:
    """Return the figures with a range that an account depends on, each once."""
    figures = dict.fromkeys(one for part in parts for one in part.figures if part.amount)
    return [one for one in figures if not one.is_known]


def _ends(one: SiteFigure) -> tuple[float, float]:
    """Return the limits of a figure over its value."""
    return one.low / one.value, one.high / one.value


def _between(
    figures: Sequence[SiteFigure], make: Callable[[int], FloatArray]
) -> dict[SiteFigure, FloatArray]:
    """Return figures over their values at points of the unit cube, shape (n_points, n_figures)."""
    if not figures:
        return {}
    cube = make(len(figures))
    ends = map(_ends, figures)
    return {
        one: low + cube[:, i] * (high - low)
        for i, (one, (low, high)) in enumerate(zip(figures, ends, strict=True))
    }


def _points(figures: Sequence[SiteFigure]) -> dict[SiteFigure, FloatArray]:
    """Return points that fill the box of ranges evenly [1]_."""
    return _between(figures, _filled)


def _corners(figures: Sequence[SiteFigure]) -> dict[SiteFigure, FloatArray]:
    return _between(figures, lambda n: np.array([*itertools.product((0.0, 1.0), repeat=n)]))


@cache
def _filled(n_dimensions: int) -> FloatArray:
    from scipy.stats import qmc

    points = qmc.Sobol(n_dimensions, scramble=False).random_base2(LOG2_POINTS)
    return np.asarray(points + 0.5 / len(points))  # each in the middle of its cell
