"""What the sites of a case draw over time in run 0, stacked by phase.

A change of power is a step. Of more or shorter steps than can be seen the mean of each of many
equal parts is drawn, so that areas stay energies. A line is what is taken from outside, where a
battery makes that another; a second one what the limit lets be taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from computeplan.arrays import FloatArray
from computeplan.errors import ComputePlanError
from computeplan.ledger import PHASES
from computeplan.quantities import QUANTITIES
from computeplan.report import Language
from computeplan.report.drawing import legend_above, put_title, stack_steps, time_axis, time_unit
from computeplan.report.style import PHASE_COLOURS, drawn, label, new_axes
from computeplan.report.words import phrase
from computeplan.results.power_series import PowerSeries, together
from computeplan.study.result import Result

__all__ = ["power"]

MOST_STEPS = 400
"""That can be seen."""
KILO, MEGA = 1e3, 1e6
LINES: Mapping[str, dict[str, Any]] = {
    "taken_from_outside": {"color": "black", "linewidth": 0.8},
    "power_limit": {"color": "#D55E00", "linewidth": 1.4, "linestyle": "--"},
}
"""How each line looks, by its words."""


@drawn
def power(
    result: Result,
    ax: Axes | None = None,
    *,
    case: str | None = None,
    site: str | None = None,
    language: Language = "en",
) -> Axes:
    """Return what the sites of a case draw over time in run 0, stacked by phase.

    Parameters
    ----------
    result : Result
    ax : Axes, optional
        Without, those of a new figure.
    case, site : str, optional
        Names; without, the first case of which it is known, all of its sites together.
    language : {"en", "zh"}

    Raises
    ------
    ComputePlanError
        If there is no such case or site, or its power is not known.
    """
    known = [name for name, found in result.cases.items() if found.power]
    name = case if case is not None else next(iter(known), None)
    by_site = {} if name is None else result.case(name).power
    chosen = [one for where, one in by_site.items() if site in (None, where)]
    if name is None or not chosen:
        of = f" of {site or name!r}" if site or name else ""
        raise ComputePlanError(f"{result.name}: no power over time was kept{of}")
    series = together(chosen)
    edges_s, watts, lines = _seen(series)
    end_s = float(series.edges_s[-1])
    unit_s = time_unit(end_s)[0]
    size_w, unit = (MEGA, "MW") if series.peak_w >= MEGA else (KILO, "kW")
    ax = new_axes(ax, 8.0, width=9.5)
    parts = [
        (
            watts[:, PHASES.index(phase)] / size_w,
            colour,
            QUANTITIES[f"{phase}_chip_h"].axis(language, ""),
        )
        for phase, colour in PHASE_COLOURS.items()
    ]
    stack_steps(ax, edges_s / unit_s, parts)
    for code, line_w in lines.items():
        ax.stairs(
            line_w / size_w,
            edges_s / unit_s,
            baseline=None,
            label=phrase(code, language),
            **LINES[code],
        )
    ax.set_ylim(bottom=min(0.0, float(series.taken_w.min()) / size_w))
    ax.set_ylabel(phrase("power_axis", language, unit=unit))
    time_axis(ax, end_s, language)
    rows = legend_above(ax, 4)
    drawn_sites = ", ".join(by_site) if site is None and len(by_site) > 1 else site
    sites = "" if drawn_sites is None else f" ({label(drawn_sites, width=40, lines=1)})"
    how = label(name, width=70, lines=1) + sites + phrase("run_0", language)
    put_title(ax, result, phrase("power_over_time", language), how, language, rows_below=rows)
    return ax


def _seen(series: PowerSeries) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
    """Return edges, watts by phase, and lines of watts, of steps that can be seen. [s, W, W]"""
    lines: dict[str, FloatArray] = {}
    if series.battery_w is not None:
        lines["taken_from_outside"] = series.taken_w
    if series.limit_w is not None:
        lines["power_limit"] = series.limit_w
    can_be_seen = np.diff(series.edges_s).min() * MOST_STEPS >= series.edges_s[-1]
    if len(series.watts) <= MOST_STEPS and can_be_seen:
        return series.edges_s, series.watts, lines
    edges_s = np.linspace(0.0, series.edges_s[-1], MOST_STEPS + 1)
    means_w = {
        code: PowerSeries(series.edges_s, line_w[:, None]).means_w(edges_s)[:, 0]
        for code, line_w in lines.items()
    }
    return edges_s, series.means_w(edges_s), means_w
