"""What a site of a scenario takes from the catalogue: PUE, carbon and price that are not written.

A site is a place of the catalogue if it says so (``place: guangdong``) or has its name. Only keys
that are absent are taken: a scenario that writes ``pue``, ``carbon`` and ``price`` keeps its
numbers whatever it calls its sites, and ``price: null`` counts no money. ``price: contracted``
takes what data centres there pay by contract instead of the posted price of a steady load. Each
figure that is taken is a note; of an estimate the note tells its range. The same stands in
`SiteFigure`, with its limits, for what is computed from it (``study/ranges.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from computeplan.errors import Problem
from computeplan.notes import Note, note
from computeplan.specs.catalogue.facts import Fact
from computeplan.specs.catalogue.place_lookup import (
    Found,
    building_at,
    carbon_at,
    demand_at,
    energy_price_at,
    find_place,
    is_place,
    nearest_place,
    price_at,
    pue_at,
    residual_carbon_at,
    water_at,
)
from computeplan.specs.catalogue.places import LOAD_FACTOR, Place
from computeplan.specs.documents.document import Document, KeyPath
from computeplan.specs.logs.series import Series
from computeplan.specs.money import Money
from computeplan.units import CURRENCIES, KWH_J

__all__ = ["SiteFigure", "SiteFigures", "site_figures"]

PRICES = ("posted", "contracted")
"""Words for a price of the catalogue."""
ASKED = {"demand_charge": "posted", "building": "usual"}
"""Other prices that are taken if the word is written, and not known everywhere."""
EXAMPLES = {"demand_charge": "demand_charge: 31 CNY/kW", "building": "building: 30000 CNY/kW"}


@dataclass(frozen=True, slots=True)
class SiteFigure:
    """A figure that a site takes from the catalogue; one figure at two sites is equal to itself."""

    what: str
    """Key of the site."""
    place: str
    """The place that says it."""
    basis: str
    """What it is: measured, target, usual; posted, energy, paid, press, aim."""
    value: float
    low: float
    high: float
    """The value and its limits, the same where it is no estimate; in SI, money in the currency of
    the place."""
    whose: str = field(default="", compare=False)
    """The pool that it is written for; empty where it is of no single one."""

    @property
    def is_known(self) -> bool:
        """Whether it is one number."""
        return self.low == self.high


@dataclass
class SiteFigures:
    """What the sites of one scenario take from the catalogue."""

    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Values as a person writes them, by site and key."""
    figures: dict[str, list[SiteFigure]] = field(default_factory=dict)
    """The same in SI with limits, by site."""
    notes: list[Note] = field(default_factory=list)
    """Each figure, and what is missing."""
    problems: list[Problem] = field(default_factory=list)
    """Names that stand for no place, prices that cannot be told."""


def site_figures(
    document: Document, series: Mapping[tuple[str, str], Series] | None = None
) -> SiteFigures:
    """Return what the sites of a document take from the catalogue, and the means of files.

    Parameters
    ----------
    document : Document
        A scenario, not yet validated.
    series : mapping of (str, str) to Series, optional
        How figures go over the year, by site and figure. Where a file says the figure itself and
        the site does not, its mean is taken.

    Examples
    --------
    >>> site = {"price": "contracted", "pools": {}}
    >>> taken = site_figures(Document({"sites": {"guian": site}}, "s.yaml")).taken["guian"]
    >>> taken["price"], taken["carbon"], taken["water_on_site"]
    ('0.35 CNY/kWh', '568.3 g/kWh', '1.12 L/kWh')
    """
    found, bases = SiteFigures(), dict[str, str]()
    sites = document.data.get("sites")
    for name, site in sites.items() if isinstance(sites, dict) else ():
        if not isinstance(site, dict) or not isinstance(name, str):
            continue
        means = dict(_means(name, site, series or {}))
        place = _place_of(document, name, {**site, **means}, found)
        if place is not None or means:
            taken = found.taken.setdefault(name, {})
            taken |= means
        if place is not None:
            for key, one in _absent({**site, **means}, place):
                taken[key] = _taken(document, name, key, one, place, found)
            if taken.get("carbon") and (carbon := carbon_at(place)) is not None:
                bases[name] = str(carbon.place.carbon_basis)
    if len(set(bases.values())) > 1:
        found.notes.append(note("carbon_bases", sites=tuple(bases.items())))
    return found


def _means(
    name: str, site: dict[str, Any], series: Mapping[tuple[str, str], Series]
) -> Iterator[tuple[str, Any]]:
    """Yield what a site does not write and a file says of every hour: the mean of the file."""
    for (where, key), one in series.items():
        is_file = str(site["varies"][key]).endswith(".csv") if where == name else False
        if is_file and key not in site and one.unit not in ("factor", "degC"):
            point = Money(one.mean, one.unit) if key == "price" else one.mean
            yield key, _text(key, point)


def _place_of(
    document: Document, name: str, site: dict[str, Any], found: SiteFigures
) -> Place | None:
    """Return the place of a site that takes something of one."""
    at: KeyPath = ("sites", name)
    said = site.get("place")
    price = site.get("price")
    asks = price in PRICES or any(site.get(key) == word for key, word in ASKED.items())
    if isinstance(said, str) and is_place(said):
        return find_place(said)
    if isinstance(said, str):
        problem = f"no place {said!r}.{nearest_place(said)}  List: computeplan sites"
        found.problems.append(document.problem((*at, "place"), problem))
    elif said is not None:
        pass  # the schema says what a place is
    elif is_place(name) and (asks or not {"pue", "carbon", "price"} <= site.keys()):
        return find_place(name)
    elif asks:
        key = next(key for key in ("price", *ASKED) if site.get(key) in (*PRICES, *ASKED.values()))
        price = site[key]
        problem = f"'{price}' is a price of the catalogue: say which place, such as place: guizhou"
        found.problems.append(document.problem((*at, key), problem))
    elif "pue" not in site and (nearest := nearest_place(name)):
        problem = f"pue is missing, and no place has this name.{nearest}  List: computeplan sites"
        found.problems.append(document.problem(at, problem, at_key=True))
    else:
        return None
    found.taken[name] = {
        "pue": site.get("pue", 1.0),
        "price": None,
        "demand_charge": None,
        "building": None,
        "building_life": None,
    }  # what is wrong is told once
    return None


def _absent(site: dict[str, Any], place: Place) -> Iterator[tuple[str, Found | None]]:
    """Yield the keys that a site does not write, and what holds at its place."""
    if "pue" not in site:
        yield "pue", pue_at(place)
    if "carbon" not in site:
        yield "carbon", carbon_at(place)
    price, demand = site.get("price", "posted"), site.get("demand_charge")
    if price == "posted" and demand is not None:
        yield "price", energy_price_at(place)
    elif price in PRICES:
        yield "price", price_at(place, price)
    if demand == "posted":
        yield "demand_charge", demand_at(place)
    if site.get("building") == "usual":
        yield "building", building_at(place)
    for key, one in (
        ("residual_carbon", residual_carbon_at(place)),
        ("water_on_site", water_at(place, "on_site")),
        ("water_off_site", water_at(place, "off_site")),
    ):
        if key not in site and one is not None:
            yield key, one


def _taken(
    document: Document, name: str, key: str, one: Found | None, place: Place, found: SiteFigures
) -> Any:
    """Return a value as a person writes it, with its note; None if there is none."""
    written = document.data["sites"][name].get("price")
    if key == "demand_charge" and written == "contracted":
        problem = "a contracted price has all in it: drop demand_charge, or write the price"
        found.problems.append(document.problem(("sites", name, key), problem))
        return None
    if one is None and key in ASKED:
        what = key.replace("_", " ")
        problem = f"no {what} of {place.name} is known; write {EXAMPLES[key]}"
        found.problems.append(document.problem(("sites", name, key), problem))
        return None
    if one is None and key == "price" and written in PRICES:
        problem = f"no {written} price of {place.name} is known; write price: 0.5 CNY/kWh"
        found.problems.append(document.problem(("sites", name, key), problem))
    if one is None:
        found.notes.append(note("not_of_place", site=name, place=place.name, what=key))
        return None
    point = one.fact.point
    if isinstance(point, Money) and point.currency not in CURRENCIES:
        problem = (
            f"the catalogue's {key} of {place.name} is {_text(key, point)}, and money is told in"
            f" {' or '.join(CURRENCIES)}: write price: 0.1 USD/kWh, or null for no cost"
        )
        found.problems.append(document.problem(("sites", name, key), problem))
        return None
    is_asked = written in PRICES or key in ASKED
    if isinstance(point, Money) and not is_asked and not _converts(document, point):
        found.notes.append(note("price_needs_rate", site=name, currency=point.currency))
        return None
    found.notes.append(_note(name, key, one))
    found.figures.setdefault(name, []).append(_figure(key, one))
    return one.fact.text if key == "carbon" and one.fact.text else _text(key, point)


def _converts(document: Document, price: Money) -> bool:
    """Return whether a price can be told in the currency of the results."""
    data = document.data
    return price.currency == data.get("currency", "USD") or bool(
        {"exchange", "usd_per_cny"} & data.keys()
    )


def _text(key: str, point: Any) -> Any:
    """Return a value as a person writes it."""
    if key == "pue":
        return float(f"{point:.6g}")
    if key in ("carbon", "residual_carbon"):
        return f"{point * KWH_J * 1e3:.6g} g/kWh"
    if key in ("water_on_site", "water_off_site"):
        return f"{point * KWH_J:.6g} L/kWh"
    if key in ASKED:
        return f"{point.amount * 1e3:.6g} {point.currency}/kW"
    if key == "power_limit":
        return f"{point:.6g} W"
    return f"{point.amount * KWH_J:.6g} {point.currency}/kWh"


def _figure(key: str, one: Found) -> SiteFigure:
    """Return a figure with its limits; only those of an estimate have a range."""
    fact: Fact[Any] = one.fact
    value = _bare(fact.point)
    ends = (_bare(fact.low), _bare(fact.high)) if fact.is_estimate else (value, value)
    return SiteFigure(key, one.place.name, one.what, value, *ends)


def _note(name: str, key: str, one: Found) -> Note:
    fact: Fact[Any] = one.fact
    said: dict[str, Any] = {
        "site": name,
        "place": one.place.name,
        "what": key,
        "basis": one.what,
        "when": fact.when,
        "value": _bare(fact.point),
        "currency": fact.point.currency if isinstance(fact.point, Money) else "",
        "load": LOAD_FACTOR,
    }
    if not fact.is_estimate:
        return note("of_place", **said)
    limits = {"low": _bare(fact.low), "high": _bare(fact.high), "is_middle": fact.value is None}
    return note("estimate_of_place", **said, **limits)


def _bare(value: Any) -> float:
    return float(value.amount if isinstance(value, Money) else value)
