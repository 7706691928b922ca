"""Figures of accounts: energy by phase at every meter, cost and carbon by site.

A row for each case. Where chips are read, nodes and network are added, and cooling after them: bars
of one case at the three meters lie under one another, each in the same parts. What sites take lies
behind one another in one bar, and carbon by both methods in two. Bars are as long as the median of
the runs, their parts as their shares over all runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from computeplan.arrays import FloatArray
from computeplan.errors import ComputePlanError
from computeplan.quantities import QUANTITIES, Quantity
from computeplan.report import Language
from computeplan.report.drawing import (
    MOST_ROWS,
    case_rows,
    how_to_read,
    legend_above,
    plain_numbers,
    put_title,
    run_range,
)
from computeplan.report.numbers import middle_and_range, scale_for
from computeplan.report.style import (
    BATTERY_COLOUR,
    PHASE_COLOURS,
    SERVICE_COLOUR,
    SITE_COLOURS,
    STORED_COLOUR,
    label,
    new_axes,
)
from computeplan.report.words import phrase
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result

__all__ = ["METHODS", "MOST_CASES", "by_phase", "by_site", "phase_shares"]

METERS = {"": "at_facility", "it_": "at_it", "chip_": "at_chips"}
"""Meters as names of quantities have them, and the codes of their words."""
PARTS = ("train", "save", "lost", "restart", "blocked", "services", "idle", "battery", "stored")
METHODS = {"carbon_kg": "by_location", "carbon_market_kg": "by_market"}
"""Carbon by both methods, and the codes of their words."""
TITLES = {"cost": "cost_by_site", "carbon": "carbon_by_site"}
"""Codes of what figures of sites are called."""
LIGHTER = 0.55
"""How bars of carbon by the market are told from those beside them."""
LEAST_SEEN = 0.002
"""Share of the longest bar from which a part is in the legend."""
MOST_CASES = MOST_ROWS // len(METERS)
"""Cases of which three bars each can still be read."""
ROOM = 0.84
"""Of a row that its bars take."""


def phase_shares(result: Result) -> FloatArray:
    """Return the parts of the energy at each meter; shape (n_cases, n_meters, n_parts). [kWh]

    Means over runs; nan where a meter is not known.
    """
    found = np.full((len(result.cases), len(METERS), len(PARTS)), np.nan)
    for i, case in enumerate(result.cases.values()):
        for m, meter in enumerate(METERS):
            names = [f"energy_{meter}{part}_kwh" for part in PARTS]
            if math.isfinite(case.estimate(names[0]).mean):
                known = [case.estimate(n).mean if n in QUANTITIES else 0.0 for n in names]
                found[i, m] = np.nan_to_num(known)
    return found


def by_phase(result: Result, ax: Axes | None, language: Language) -> Axes:
    """Return the energy of each case at the facility, of the IT and of its chips, by phase."""
    parts = phase_shares(result)
    if np.isnan(parts).all():
        raise ComputePlanError(f"{result.name}: nothing to draw, no run has energy by phase")
    quantity = QUANTITIES["energy_kwh"]
    totals = [
        {code: case.estimate(f"energy_{meter}kwh") for meter, code in METERS.items()}
        for case in result.cases.values()
    ]
    others = {
        "services": phrase("of_services", language),
        "battery": QUANTITIES["energy_battery_kwh"].axis(language, ""),
        "stored": QUANTITIES["energy_stored_kwh"].axis(language, ""),
    }
    more = {"services": SERVICE_COLOUR, "battery": BATTERY_COLOUR, "stored": STORED_COLOUR}
    colours = [(PHASE_COLOURS | more)[part] for part in PARTS]
    names = [others.get(part) or QUANTITIES[f"{part}_chip_h"].axis(language, "") for part in PARTS]
    seen = np.nanmax(parts / np.nanmax(parts.sum(axis=2)), axis=(0, 1)) > LEAST_SEEN
    handles = [
        Patch(color=colour) for colour, is_seen in zip(colours, seen, strict=True) if is_seen
    ]
    texts = [name for name, is_seen in zip(names, seen, strict=True) if is_seen]
    ax = _bars(result, ax, quantity, totals, parts, colours, language)
    n_rows = legend_above(ax, 3, handles, texts)
    title, how = phrase("energy_by_phase", language), how_to_read(result, language)
    put_title(ax, result, title, how, language, rows_below=n_rows)
    return ax


def by_site(
    result: Result, ax: Axes | None, kind: Literal["cost", "carbon"], language: Language
) -> Axes:
    """Return the cost or the carbon of each case, in parts of its sites."""
    cases = [case.at_sites() for case in result.cases.values()]
    sites = [*dict.fromkeys(site for of in cases for site in of)]
    codes = METHODS if kind == "carbon" else {_cost_of(result): ""}
    parts = np.full((len(cases), len(codes), len(sites)), np.nan)
    for i, of in enumerate(cases):
        for c, name in enumerate(codes):
            for s, site in enumerate(sites):
                values = of.get(site, {}).get(name, np.zeros(1))
                parts[i, c, s] = np.nan if np.isnan(values).all() else np.nanmean(values)
    known = [c for c in range(len(codes)) if not np.isnan(parts[:, c].sum(axis=1)).all()]
    if not sites or not known:
        raise ComputePlanError(f"{result.name}: nothing to draw, no site has its {kind}")
    kept = {name: code for c, (name, code) in enumerate(codes.items()) if c in known}
    if len(kept) == 1:
        kept = dict.fromkeys(kept, "")
    totals = [
        {code: case.estimate(name) for name, code in kept.items()} for case in result.cases.values()
    ]
    quantity = QUANTITIES[next(iter(kept))]
    colours, order = _coloured(parts[:, known])
    ax = _bars(result, ax, quantity, totals, parts[:, known][..., order], colours, language)
    n_rows = 0
    if len(sites) > 1:
        shown = order[: len(SITE_COLOURS)]
        handles = [Patch(color=colour) for colour in colours[: len(shown)]]
        texts = [label(sites[s], width=30, lines=1) for s in shown]
        if len(sites) > len(shown):
            handles.append(Patch(color=colours[-1]))
            texts.append(phrase("other_sites", language, n=len(sites) - len(shown)))
        n_rows = legend_above(ax, 3, handles, texts)
    is_both = len(sites) == 1 and len(known) > 1
    title = phrase("carbon_both_ways" if is_both else TITLES[kind], language)
    how = how_to_read(result, language)
    put_title(ax, result, title, how, language, rows_below=n_rows)
    return ax


def _cost_of(result: Result) -> str:
    """Return the name of the cost in the currency of a result."""
    names = [name for name in ("cost_usd", "cost_cny") if _any_has(result, name)]
    return names[0] if names else "cost_usd"


def _any_has(result: Result, name: str) -> bool:
    return any(case.estimate(name).n for case in result.cases.values())


def _coloured(parts: FloatArray) -> tuple[list[str], list[int]]:
    """Return a colour for each part and the parts in order, the largest first; small ones grey."""
    sizes = np.nan_to_num(parts).sum(axis=(0, 1))
    order = np.argsort(-sizes, kind="stable").tolist()
    first = sorted(order[: len(SITE_COLOURS)])
    order = first + [s for s in order if s not in first]
    n_grey = max(0, len(order) - len(SITE_COLOURS))
    return [*SITE_COLOURS[: len(first)], *("#BBBBBB",) * n_grey], order


def _bars(
    result: Result,
    ax: Axes | None,
    quantity: Quantity,
    totals: Sequence[Mapping[str, Estimate]],
    parts: FloatArray,
    colours: Sequence[str],
    language: Language,
) -> Axes:
    """Draw bars of each case, one a code of words, in parts as long as their shares of the total.

    Parameters
    ----------
    totals : sequence of mapping
        Of each case, by the code of what its bars are called; empty where a case has one.
    parts : ndarray, shape (n_cases, n_bars, n_parts)
        Means.
    """
    found = [estimate for of in totals for estimate in of.values()]
    scale = scale_for(quantity.unit, (e.p50 for e in found), language)
    n_bars = parts.shape[1]
    ax = new_axes(ax, len(totals) * (0.55 + 0.45 * n_bars) + 0.5)
    height = ROOM / n_bars
    for i, of in enumerate(totals):
        for b, (code, estimate) in enumerate(of.items()):
            if not math.isfinite(estimate.p50):
                continue
            row = i + (b - (n_bars - 1) / 2) * height
            alpha = LIGHTER if code == METHODS["carbon_market_kg"] else 1.0
            whole, left = np.nansum(parts[i, b]), 0.0
            for part, colour in zip(np.nan_to_num(parts[i, b]), colours, strict=True):
                width = estimate.p50 / scale.size * part / whole if whole else 0.0
                ax.barh(row, width, 0.86 * height, left=left, color=colour, alpha=alpha)
                left += width
            run_range(ax, row, estimate, scale.size, "black")
            texts = middle_and_range(quantity, estimate, scale, language)
            beside = phrase("comma", language).join(text for text in texts if text)
            name = f"{phrase(code, language)} " if code else ""
            ax.text(
                1.02,
                row,
                f"{name}{beside}",
                transform=ax.get_yaxis_transform(),
                va="center",
                fontsize=8 if n_bars > 1 else 9,
            )
    case_rows(ax, result)
    ax.set_xlim(left=0)
    ax.set_xlabel(scale.label(quantity, language))
    plain_numbers(ax.xaxis)
    ax.grid(axis="x")
    return ax
