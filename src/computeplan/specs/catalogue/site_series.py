"""How figures of sites go over the year: files beside a scenario, and what is known of places.

``varies: {price: time-of-use}`` is the posted price of each hour, without a floating part on what
does not float; the demand charge of a steady load stays in it, unless the site has
``demand_charge``. ``varies: {pue: outside}`` is the mean temperature of each month.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.catalogue.hourly_price import hourly_prices
from computeplan.specs.catalogue.place_lookup import (
    climate_at,
    find_place,
    funds_at,
    hours_at,
    is_place,
    tariff_at,
)
from computeplan.specs.catalogue.places import Place
from computeplan.specs.documents.document import Document
from computeplan.specs.logs.series import Series, load_series
from computeplan.specs.varying import DAYS, FIGURES
from computeplan.units import DAY_S, HOUR_S

__all__ = ["SiteSeries", "of_hours", "site_series"]

YEAR_S = sum(DAYS) * DAY_S


@dataclass
class SiteSeries:
    """The series of the sites of one scenario."""

    found: dict[tuple[str, str], Series] = field(default_factory=dict)
    """By site and figure."""
    problems: list[Problem] = field(default_factory=list)
    """Files that cannot be read, what is not known of a place."""


def of_hours(by_month: Any, unit: str, origin: str) -> Series:
    """Return the series of a year from the hours of a day of each month, shape (12, 24).

    Examples
    --------
    >>> ones = np.ones((12, 24))
    >>> ones[1] = 2.0
    >>> found = of_hours(ones, "factor", "")
    >>> (found.times_s / 86_400).tolist(), found.values.tolist()
    ([0.0, 31.0, 59.0], [1.0, 2.0, 1.0])
    """
    values = np.repeat(np.asarray(by_month, dtype=np.float64), DAYS, axis=0).ravel()
    is_new = np.concatenate([[True], np.diff(values) != 0])
    times_s = np.flatnonzero(is_new).astype(np.float64) * HOUR_S
    return Series(times_s, values[is_new], YEAR_S, unit, origin)


def site_series(document: Document, folder: Path | None, beside: Any) -> SiteSeries:
    """Return the series that sites of a document ask for.

    Parameters
    ----------
    document : Document
        A scenario, not yet validated.
    folder : Path or None
        Where files beside the scenario are.
    beside : callable
        Finds such a file by its name.
    """
    result = SiteSeries()
    sites = document.data.get("sites")
    for name, site in sites.items() if isinstance(sites, dict) else ():
        varies = site.get("varies") if isinstance(site, dict) else None
        if not isinstance(varies, dict):
            continue
        for figure in FIGURES:
            course, path = varies.get(figure), ("sites", name, "varies", figure)
            if not isinstance(course, str):
                continue
            try:
                if course.endswith(".csv"):
                    series = load_series(beside(course, folder), figure, course)
                elif (figure, course) == ("price", "time-of-use"):
                    series = _time_of_use(_place_of(str(name), site), site)
                elif (figure, course) == ("pue", "outside"):
                    series = _outside(_place_of(str(name), site))
                else:
                    continue  # flat, or not a word, which the schema says
                result.found[str(name), figure] = series
            except ScenarioError as error:
                for wrong in error.problems:
                    line = f" line {wrong.line}:" if wrong.line else ""
                    told = f"{course!r}{line} {wrong.message}"
                    result.problems.append(document.problem(path, told))
            except ValueError as error:
                result.problems.append(document.problem(path, str(error)))
    return result


def _place_of(name: str, site: dict[str, Any]) -> Place:
    said = site.get("place", name)
    if not isinstance(said, str) or not is_place(said):
        raise ValueError(
            "is known of places of the catalogue: write place: guizhou (names: computeplan sites),"
            " or a CSV, or parts such as [{hours: [[0, 8]], factor: 0.5}]"
        )
    return find_place(said)


def _time_of_use(place: Place, site: dict[str, Any]) -> Series:
    """Return the posted price of each hour of a year."""
    if site.get("price", "posted") != "posted":
        raise ValueError(
            "time-of-use is the posted price of the place by the hour, and the site has another"
            " price: leave price out, or write parts such as [{hours: [[0, 8]], factor: 0.5}]"
        )
    posted, hours, funds = tariff_at(place), hours_at(place), funds_at(place)
    if posted is None or hours is None:
        raise ValueError(f"no hours of a posted tariff of {place.name} are known")
    tariff = posted[0]
    prices = np.array(hourly_prices(tariff, hours, None if funds is None else funds.fact.point))
    if site.get("demand_charge") is None:
        prices += tariff.steady().amount - tariff.energy.point.amount
    return of_hours(prices, tariff.currency, hours.document)


def _outside(place: Place) -> Series:
    """Return the mean outside temperature of each month."""
    found = climate_at(place)
    if found is None:
        raise ValueError(f"no temperatures of {place.name} are known: write a CSV of hour and degC")
    town, climate = found
    return of_hours(np.repeat(climate.monthly_c, 24).reshape(12, 24), "degC", town)
