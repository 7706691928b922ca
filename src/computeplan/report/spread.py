"""Figures of points and of all runs: throughput against energy, and how long runs take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from computeplan.errors import ComputePlanError
from computeplan.quantities import QUANTITIES, Quantity
from computeplan.report import Language
from computeplan.report.bars import deadline_days
from computeplan.report.drawing import (
    estimates,
    how_to_read,
    is_wide,
    plain_numbers,
    put_title,
    scale_of,
)
from computeplan.report.numbers import middle_and_range, where_cut
from computeplan.report.style import case_colour, case_dashes, case_labels, case_marker, new_axes
from computeplan.report.table import wrap
from computeplan.report.words import phrase
from computeplan.study.result import Result

__all__ = ["MOST_CURVES", "distribution", "throughput_energy"]

MOST_CURVES = 9
"""Distributions that can be told apart in one picture."""


def throughput_energy(result: Result, ax: Axes | None, up: Quantity, language: Language) -> Axes:
    """Return one point per case: tokens kept per second against an energy.

    Down and to the right is better. Cases are named at the right, from the top.
    """
    across = QUANTITIES["goodput_tok_per_s"]
    x, y = estimates(result, across.name), estimates(result, up.name)
    across_scale, up_scale = scale_of(across, x, language), scale_of(up, y, language)
    ax = new_axes(ax, max(7.5, 0.9 * len(x)), width=9.0)
    handles = []
    for i, (speed, spent) in enumerate(zip(x, y, strict=True)):
        at, high = speed.p50 / across_scale.size, spent.p50 / up_scale.size
        colour = case_colour(i)
        ends = np.array([speed.p5, speed.p95]) / across_scale.size
        ax.plot(ends, (high, high), color=colour, linewidth=1.4)
        ends = np.array([spent.p5, spent.p95]) / up_scale.size
        ax.plot((at, at), ends, color=colour, linewidth=1.4)
        handles += ax.plot(at, high, zorder=4, **_look(i))
    ax.margins(0.12)
    if is_wide(e.p50 for e in x):
        ax.set_xscale("log")
    if is_wide(e.p50 for e in y):
        ax.set_yscale("log")
    plain_numbers(ax.xaxis)
    plain_numbers(ax.yaxis)
    ax.set_xlabel(f"{across_scale.label(across, language)}\n{phrase('right_is_better', language)}")
    ax.set_ylabel(wrap(up_scale.label(up, language), 40))
    ax.grid()
    names = case_labels(result, width=26, lines=2)
    order = sorted(range(len(names)), key=lambda i: -y[i].p50 if y[i].n else math.inf)
    order = [i for i in order if x[i].n and y[i].n]
    ax.legend(
        [handles[i] for i in order],
        [names[i] for i in order],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        fontsize=9,
    )
    title = phrase("throughput_energy", language)
    put_title(ax, result, title, how_to_read(result, language), language)
    return ax


def distribution(result: Result, ax: Axes | None, quantity: Quantity, language: Language) -> Axes:
    """Return how a time differs between runs: the share of runs done by each day.

    A curve that ends below 1 is of a case some of whose runs were cut before they were done.
    """
    found = estimates(result, quantity.name)
    if not any(estimate.p95 > estimate.p5 for estimate in found):
        raise ComputePlanError(f"{result.name}: nothing to draw, no two runs differ in a case")
    scale = scale_of(quantity, found, language)
    ax = new_axes(ax, max(7.0, 1.15 * len(found)), width=9.0)
    names = case_labels(result, width=28, lines=2)
    handles = []
    for i, (case, estimate) in enumerate(zip(result.cases.values(), found, strict=True)):
        values = case.values.get(quantity.name, np.empty(0)) / scale.size
        values = np.sort(values[~np.isnan(values)])
        share = np.arange(1, values.size + 1) / max(values.size, 1)
        known = values[np.isfinite(values)]
        x, y = np.append(known[:1], known), np.append(np.zeros(min(known.size, 1)), share)
        ax.step(x, y[: x.size], case_dashes(i), where="post", color=case_colour(i))
        if math.isfinite(estimate.p50):
            handles += ax.plot(estimate.p50 / scale.size, 0.5, **_look(i))
        else:
            handles.append(Line2D([], [], **_look(i)))
        middle = middle_and_range(
            quantity, estimate, scale, language, end=where_cut(quantity, case)
        )
        names[i] += f"\n{phrase('median', language)} {middle[0]} {scale.unit}"
    if is_wide(x / scale.size for e in found for x in (e.p5, e.p95)):
        ax.set_xscale("log")
    if (due := deadline_days(result)) is not None:
        handles.append(ax.axvline(due / scale.size, color="black", linestyle="--", linewidth=1.2))
        names.append(phrase("deadline", language))
    ax.set_ylim(0, 1.02)
    ax.set_xlabel(scale.label(quantity, language))
    plain_numbers(ax.xaxis)
    ax.set_ylabel(phrase("share_of_runs_done", language))
    ax.grid()
    ax.legend(handles, names, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    title = phrase("distribution", language, name=quantity.axis(language, ""))
    put_title(ax, result, title, "", language)
    return ax


def _look(i: int) -> dict[str, Any]:
    """Return how the point of a case looks."""
    return {
        "linestyle": "",
        "marker": case_marker(i),
        "color": case_colour(i),
        "markersize": 8,
        "markeredgecolor": "white",
    }
