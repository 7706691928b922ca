"""Places of the catalogue, found by any name people use, and what holds at one.

The places stand in files by region, ``data/sites/china.yaml``; ``names.yaml`` says which file has
which place, and its other names, so that a name costs the reading of two files. A figure that a
place does not have is that of the place under its ``otherwise``, and so on.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Literal, NamedTuple

from computeplan.specs.catalogue.chips import Source
from computeplan.specs.catalogue.facts import Fact
from computeplan.specs.catalogue.lookup import name_key
from computeplan.specs.catalogue.places import Climate, Hours, Place, Tariff
from computeplan.specs.documents.document import DATA, Document, load_document
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Frozen
from computeplan.specs.money import Money
from computeplan.units import plain

__all__ = [
    "Found",
    "building_at",
    "carbon_at",
    "climate_at",
    "contracted_at",
    "demand_at",
    "energy_price_at",
    "find_place",
    "funds_at",
    "hours_at",
    "is_place",
    "nearest_place",
    "place_aliases",
    "place_names",
    "price_at",
    "pue_at",
    "residual_carbon_at",
    "sources_of_places",
    "tariff_at",
    "water_at",
]

FOLDER = DATA / "sites"


class Found(NamedTuple):
    """A figure that holds at a place."""

    fact: Fact[Any]
    place: Place
    """The place that says it."""
    what: str
    """What it is: measured, target, usual; posted, energy, paid, press, aim."""


def place_names() -> tuple[str, ...]:
    """Return the names of all places, as the files have them."""
    return tuple(name for names in _names().values() for name in names)


def place_aliases(name: str) -> tuple[str, ...]:
    """Return the other names of a place.

    Examples
    --------
    >>> "广东" in place_aliases("guangdong")
    True
    """
    return tuple(next((also[name] for also in _names().values() if name in also), ()))


def is_place(name: str) -> bool:
    """Return whether a place has a name.

    Examples
    --------
    >>> is_place("广东"), is_place("Inner Mongolia"), is_place("here")
    (True, True, False)
    """
    return name_key(name) in _by_key()


def nearest_place(name: str) -> str:
    """Return `` Did you mean 'guangdong'?`` for the place whose name is most like it, or nothing.

    Examples
    --------
    >>> nearest_place("guandong"), nearest_place("here")
    (" Did you mean 'guangdong'?", '')
    """
    known = _by_key()
    close = difflib.get_close_matches(name_key(plain(name)).strip("\"' "), known, n=1, cutoff=0.75)
    return f" Did you mean '{known[close[0]][1]}'?" if close else ""


def find_place(name: str) -> Place:
    """Return a place by any of its names.

    Raises
    ------
    ValueError
        If nothing has this name.

    Examples
    --------
    >>> find_place("贵州").name, find_place("gui'an").chinese
    ('guizhou', '贵安')
    """
    found = _by_key().get(name_key(name))
    if found is None:
        raise ValueError(f"no place {name!r}.{nearest_place(name)}  List: computeplan sites")
    return _place(*found)


def carbon_at(place: Place) -> Found | None:
    """Return the newest mean of the grid that a place or those it refers to have."""
    return _newest(place, "carbon")


def residual_carbon_at(place: Place) -> Found | None:
    """Return the newest factor of power that is bought without a contract for green power."""
    return _newest(place, "residual_carbon")


def pue_at(place: Place) -> Found | None:
    """Return what a centre's PUE is taken to be: measured, else the hub's target, else usual.

    Examples
    --------
    >>> found = pue_at(find_place("guangdong"))
    >>> found.fact.point, found.what, found.place.name
    (1.25, 'target', 'guangdong-hong-kong-macao')
    """
    for one in _chain(place):
        if one.pue.measured:
            return Found(next(iter(one.pue.measured.values())), one, "measured")
    for one in _chain(place):
        for said_by in (one, find_place(one.hub)) if one.hub else (one,):
            if said_by.pue.target is not None:
                return Found(said_by.pue.target, said_by, "target")
    for one in _chain(place):
        if one.pue.usual is not None:
            return Found(one.pue.usual, one, "usual")
    return None


def tariff_at(place: Place) -> tuple[Tariff, Place] | None:
    """Return the posted tariff that stands for a place, and the place that posts it.

    Examples
    --------
    >>> tariff, where = tariff_at(find_place("yangtze-delta"))
    >>> where.name, tariff.is_estimate, tariff_at(find_place("guangdong"))[0].is_estimate
    ('shanghai', False, True)
    """
    named = next((one for one in _chain(place) if one.tariff is not None), None)
    if named is None or named.tariff is None:
        return None
    return next(
        (one.tariffs[named.tariff], one) for one in _chain(named) if named.tariff in one.tariffs
    )


def hours_at(place: Place) -> Hours | None:
    """Return when the bands of the day are in the posted tariff of a place; None if not known.

    Examples
    --------
    >>> hours_at(find_place("shaoguan")).document
    '粤发改价格〔2021〕331号'
    """
    posted = tariff_at(place)
    if posted is None or posted[0].hours is None:
        return None
    named, where = posted[0].hours, posted[1]
    return next((one.hours[named] for one in _chain(where) if named in one.hours), None)


def funds_at(place: Place) -> Found | None:
    """Return the government funds in the price of electricity."""
    for one in _chain(place):
        if one.components.funds is not None:
            return Found(one.components.funds, one, "funds")
    return None


def contracted_at(place: Place) -> Found | None:
    """Return what data centres of a place, or of the hub's first cluster in it, pay by contract."""
    for one in (*_chain(place), *_seat(place)):
        if one.contracted is not None and one.contracted_is is not None:
            return Found(one.contracted, one, one.contracted_is)
    return None


def price_at(place: Place, what: Literal["posted", "contracted"]) -> Found | None:
    """Return the price of electricity for a steady load, as posted or as reported of contracts.

    A posted price has its demand charge in it, and is an estimate where a part of it is; without
    one it is said to be that of ``energy``.

    Examples
    --------
    >>> price_at(find_place("horinger"), "contracted").fact.text
    '0.35 CNY/kWh'
    >>> round(price_at(find_place("horinger"), "posted").fact.value.amount * 3.6e6, 3)
    0.493
    """
    if what == "contracted":
        return contracted_at(place)
    posted = tariff_at(place)
    if posted is None:
        return None
    tariff, where = posted
    said: dict[str, Any] = {"value": tariff.steady(), "low": None, "high": None, "text": ""}
    if tariff.is_estimate:
        low, high = (Money(amount, tariff.currency) for amount in tariff.steady_range())
        said |= {"low": low, "high": high, "source": None, "confidence": "estimate"}
    if tariff.energy.value is None:
        said["value"] = None  # the middle of its limits, as that of the energy is
    is_whole = tariff.demand is not None
    fact = tariff.energy.model_copy(update=said)
    return Found(fact, where, what if is_whole else "energy")


def energy_price_at(place: Place) -> Found | None:
    """Return the posted price of electricity without the charge for the highest demand."""
    posted = tariff_at(place)
    return None if posted is None else Found(posted[0].energy, posted[1], "energy")


def demand_at(place: Place) -> Found | None:
    """Return the posted charge for the highest demand of a month.

    Examples
    --------
    >>> demand_at(find_place("guangdong")).fact.text
    '36.1 CNY/kW'
    """
    posted = tariff_at(place)
    if posted is None or posted[0].demand is None:
        return None
    return Found(posted[0].demand, posted[1], "demand")


def building_at(place: Place) -> Found | None:
    """Return what a building costs per watt of IT; an estimate wherever markets differ.

    Examples
    --------
    >>> building_at(find_place("guizhou")).fact.range_text
    '3 to 7 USD/W'
    """
    for one in _chain(place):
        if one.construction:
            fact = next(iter(one.construction.values()))
            if fact.low is not None:
                fact = fact.model_copy(update={"source": None, "confidence": "estimate"})
            return Found(fact, one, "usual")
    return None


def climate_at(place: Place) -> tuple[str, Climate] | None:
    """Return the nearest town with temperatures, and these."""
    for one in (*_chain(place), *_seat(place)):
        if one.climate:
            return next(iter(one.climate.items()))
    return None


def water_at(place: Place, where: Literal["on_site", "off_site"]) -> Found | None:
    """Return the water per energy of the IT on site, or of what is bought off site."""
    for one in _chain(place):
        fact = getattr(one.water, where)
        if fact is not None:
            return Found(fact, one, where)
    return None


@cache
def sources_of_places() -> dict[str, Source]:
    """Return the documents that figures of places come from, by key."""
    document = load_document(FOLDER / "sources.yaml", "catalogue sites/sources.yaml")
    return validate(_Sources, replace(document, data={"sources": document.data})).sources


class _Sources(Frozen):
    sources: dict[str, Source]


class _Names(Frozen):
    files: dict[str, dict[str, tuple[str, ...]]]


@cache
def _names() -> dict[str, dict[str, tuple[str, ...]]]:
    document = load_document(FOLDER / "names.yaml", "catalogue sites/names.yaml")
    return validate(_Names, replace(document, data={"files": document.data})).files


@cache
def _by_key() -> dict[str, tuple[str, str]]:
    return {
        name_key(called): (file, name)
        for file, names in _names().items()
        for name, also in names.items()
        for called in (name, *also)
    }


@cache
def _file(name: str) -> Document:
    return load_document(FOLDER / f"{name}.yaml", f"catalogue sites/{name}.yaml")


@cache
def _place(file: str, name: str) -> Place:
    entry = _file(file).below((name,))
    return validate(Place, replace(entry, data={"name": name, **entry.data}))


def _chain(place: Place) -> Iterator[Place]:
    """Yield a place, and those that say what it does not, the nearest first."""
    yield place
    if place.otherwise is not None:
        yield from _chain(find_place(place.otherwise))


def _seat(place: Place) -> tuple[Place, ...]:
    """Return the first cluster of the hub of a province, if it is there."""
    if place.hub is None or place.kind != "province":
        return ()
    seat = find_place(find_place(place.hub).clusters[0])
    return (seat,) if seat.otherwise == place.name else ()


def _newest(place: Place, series: str) -> Found | None:
    for one in _chain(place):
        if facts := getattr(one, series):
            return Found(facts[-1], one, series)
    return None
