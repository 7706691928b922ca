"""What varies at sites, compiled to signals: one for each account that follows it.

Energy of the facility follows PUE, cost follows PUE and price, carbon follows PUE and the grid. The
product of step signals is a step signal, so each account is one weight of the ledger, over the
constants that stand in the pool. An account that varies nowhere has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Note, note
from computeplan.physics.power.facility import DEFAULT_BUILDING, pue
from computeplan.specs.catalogue.site_series import of_hours
from computeplan.specs.logs.series import Series
from computeplan.specs.money import Money
from computeplan.specs.scenario import Scenario
from computeplan.specs.sites import Site
from computeplan.specs.varying import FIGURES, Part
from computeplan.units import CURRENCIES
from computeplan.world.pools import Pool
from computeplan.world.signals import Signal, product

__all__ = ["ACCOUNTS", "ratio_of", "signals_of"]

ACCOUNTS = {"energy": ("pue",), "cost": ("pue", "price"), "carbon": ("pue", "carbon")}
"""Weights of the ledger, and the figures of a site that they follow."""


def signals_of(
    scenario: Scenario, pools: Sequence[Pool]
) -> tuple[Mapping[str, tuple[Signal, ...]], list[Note]]:
    """Return the signals of every account that varies at some site, and what to know of them.

    Raises
    ------
    ScenarioError
        If a figure varies without a constant, falls below what it can be, or repeats together with
        others only after too long.
    """
    ratios: dict[str, dict[str, Signal]] = {}
    notes, problems = list[Note](), list[Problem]()
    for name, site in scenario.sites.items():
        ratios[name] = {}
        for figure in (f for f in FIGURES if any(f in follows for follows in ACCOUNTS.values())):
            try:
                if (found := ratio_of(scenario, name, site, figure)) is not None:
                    ratios[name][figure], said = found
                    notes.append(said)
            except ValueError as error:
                path = ("sites", name, "varies", figure)
                problems.append(scenario.document.problem(path, str(error)))
    if problems:
        raise ScenarioError(problems)
    if not any(ratios.values()):
        return {}, []
    start = scenario.simulate.start
    if start is None:
        notes.append(note("start_assumed", key="simulate.start"))
    signals = {}
    for account, follows in ACCOUNTS.items():
        if any(figure in found for found in ratios.values() for figure in follows):
            by_site = dict(_products(scenario, ratios, follows, start or 0.0))
            signals[account] = tuple(by_site[pool.site] for pool in pools)
    return signals, notes


def ratio_of(scenario: Scenario, name: str, site: Site, figure: str) -> tuple[Signal, Note] | None:
    """Return how a figure goes over its constant, from its own time 0, and what is said of it.

    None if it stays as it is; a ValueError says why it cannot be so.
    """
    series = _series(scenario, name, site, figure)
    if series is None:
        return None
    ratio, said = _ratio(scenario, name, site, figure, series)
    return Signal(series.times_s, ratio, series.period_s), said


def _products(
    scenario: Scenario,
    ratios: Mapping[str, Mapping[str, Signal]],
    follows: Sequence[str],
    start_s: float,
) -> Iterator[tuple[str, Signal]]:
    for name, found in ratios.items():
        try:
            yield name, product([found[figure] for figure in follows if figure in found], start_s)
        except ValueError as error:
            path = ("sites", name, "varies")
            message = f"{error}; write a file of a day, or of a year of 8,760 h"
            raise ScenarioError([scenario.document.problem(path, message)]) from None


def _series(scenario: Scenario, name: str, site: Site, figure: str) -> Series | None:
    """Return how a figure goes; None if it stays as it is."""
    course = getattr(site.varies, figure)
    if isinstance(course, str):
        return scenario.catalogue.series.get((name, figure))
    return of_hours(_factors(course), "factor", "")


def _factors(parts: Sequence[Part]) -> FloatArray:
    """Return the factor of each hour of a day in each month, shape (12, 24)."""
    found = np.ones((12, 24))
    for part in parts:
        months = [month - 1 for month in part.months or range(1, 13)]
        hours = [hour for begin, end in part.hours or ((0, 24),) for hour in range(begin, end)]
        found[np.ix_(months, hours)] *= part.factor
    return found


def _ratio(
    scenario: Scenario, name: str, site: Site, figure: str, series: Series
) -> tuple[FloatArray, Note]:
    """Return a series over the constant of the site, and what is said of it."""
    constant = _constant(scenario, site, figure)
    if series.unit == "factor":
        values = series.values * constant
    elif series.unit == "degC":
        values = _pue_outside(site.pue, series)
    elif series.unit in CURRENCIES:
        values = np.array([scenario.worth(Money(x, series.unit)) for x in series.values.tolist()])
        if np.isnan(values).any():
            raise ValueError(
                f"is in {series.unit}, results are in {scenario.currency}: write at the top"
                " exchange: {rate: 0.14 USD/CNY, on: 2026-11-01}"
            )
    else:
        values = series.values
    if figure == "pue" and values.min() < 1:
        raise ValueError(f"makes a PUE of {values.min():.4g}; it is 1 or more")
    if constant == 0:
        if values.any():
            raise ValueError(f"{figure} is 0, and what varies beside it is not: leave {figure} out")
        return np.ones(len(values)), _said(scenario, name, figure, series, values)
    return values / constant, _said(scenario, name, figure, series, values)


def _constant(scenario: Scenario, site: Site, figure: str) -> float:
    """Return what varies, as it stands in the pools."""
    found = scenario.worth(site.price) if figure == "price" else getattr(site, figure)
    if found is None or math.isnan(found):
        examples = {"price": "0.5 CNY/kWh", "carbon": "400 g/kWh", "power_limit": "20 MW"}
        example = examples[figure]
        raise ValueError(f"there is no {figure} that could vary: write {figure}: {example}")
    return float(found)


def _pue_outside(mean_pue: float, series: Series) -> FloatArray:
    """Return the PUE at outside temperatures, its mean over the period that of the site."""
    added = pue(DEFAULT_BUILDING, 1.0, series.values) - 1.0
    lasts_s = np.diff(series.times_s, append=series.period_s)
    return 1.0 + added * (mean_pue - 1.0) / float(np.average(added, weights=lasts_s))


def _said(scenario: Scenario, name: str, figure: str, series: Series, values: FloatArray) -> Note:
    lasts_s = np.diff(series.times_s, append=series.period_s)
    return note(
        "varies",
        site=name,
        what=figure,
        by=series.unit if series.unit in ("factor", "degC") else "",
        origin=series.origin,
        low=float(values.min()),
        high=float(values.max()),
        mean=float(np.average(values, weights=lasts_s)),
        period_s=series.period_s,
        currency=scenario.currency,
    )
