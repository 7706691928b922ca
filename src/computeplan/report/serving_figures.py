"""Figures of fleets that serve a model: latency over load, cost over the limit, energy over batch.

A chip has one colour in all of them, by its place in the plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from computeplan.errors import ComputePlanError
from computeplan.planner.serving import ServingPlan
from computeplan.planner.serving_curves import (
    BatchCurve,
    FrontierCurve,
    LatencyCurve,
    batch_curve,
    frontier_curve,
    latency_curve,
)
from computeplan.report.choices import Language
from computeplan.report.drawing import check_ours, legend_above, plain_numbers, say_above
from computeplan.report.scatter import save_axes
from computeplan.report.style import case_colour, case_marker, drawn, label, new_axes, plain_lines
from computeplan.report.words import phrase

__all__ = ["check_folder", "frontier", "latency", "save_serving_figures", "wh"]

FIGURES = {
    "latency": "serve_figure_latency",
    "frontier": "serve_figure_frontier",
    "wh": "serve_figure_wh",
}
"""Words of each, by the name of its file."""
LIMIT = "#999999"
"""Colour of limits."""
ROOM = 3.0
"""Times a limit up to which times are shown: beyond, a queue grows as long as requests come."""
_LINE = 13.0  # of text above the axes, in points


@drawn
def latency(
    plan: ServingPlan,
    curves: Sequence[LatencyCurve],
    ax: Axes | None = None,
    *,
    language: Language = "en",
) -> Axes:
    """Return times of the first and of further tokens over the load of a chip, one above the other.

    Parameters
    ----------
    plan : ServingPlan
    curves : sequence of LatencyCurve
    ax : Axes, optional
        It is parted in two, of which the upper one is returned; of a new figure if left out.
    language : {"en", "zh"}
    """
    upper = new_axes(ax, 13, width=8.5)
    lower = _below(upper)
    slo = plan.question.slo
    for curve in curves:
        colour = case_colour(_place(plan, curve.chip))
        for axes, times, size in ((upper, curve.ttft_s, 1.0), (lower, curve.tpot_s, 1e3)):
            axes.plot(curve.per_chip_s, size * times[0], "--", color=colour, linewidth=1.0)
            axes.plot(curve.per_chip_s, size * times[1], color=colour, linewidth=1.8)
            at = np.interp(curve.largest_per_chip_s, curve.per_chip_s, size * times[1])
            axes.plot(curve.largest_per_chip_s, at, "o", color=colour, markeredgecolor="white")
    for axes, limit_s, size, code in (
        (upper, slo.ttft_s, 1.0, "serve_axis_ttft"),
        (lower, slo.tpot_s, 1e3, "serve_axis_tpot"),
    ):
        if math.isfinite(limit_s):
            axes.axhline(size * limit_s, color=LIMIT, linewidth=1.2, zorder=0)
        axes.set_yscale("log")
        if math.isfinite(limit_s):
            axes.set_ylim(top=min(axes.get_ylim()[1], ROOM * size * limit_s))
        axes.set_ylabel(phrase(code, language))
        axes.grid()
        plain_numbers(axes.yaxis)
    most = max(_last_shown(curve, upper, lower) for curve in curves)
    for axes in (upper, lower):
        axes.set_xlim(0, 1.05 * most)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel(phrase("serve_axis_per_chip", language))
    how = phrase(
        "serve_how_latency",
        language,
        ttft_percent=f"{100 * slo.ttft_frac:g}",
        tpot_percent=f"{100 * slo.tpot_frac:g}",
    )
    _titled(upper, plan, "latency", how, [(one.chip, one.layout) for one in curves], language)
    return upper


def _last_shown(curve: LatencyCurve, upper: Axes, lower: Axes) -> float:
    """Return the highest load of a chip at which one of its curves is below the top. [1/s]"""
    both = ((upper, curve.ttft_s), (lower, 1e3 * curve.tpot_s))
    shown = [
        np.nan_to_num(values, nan=np.inf) <= axes.get_ylim()[1]
        for axes, times in both
        for values in times
    ]
    at = curve.per_chip_s[np.any(shown, axis=0)]
    return float(max(at.max(initial=0.0), curve.largest_per_chip_s))


@drawn
def frontier(
    plan: ServingPlan,
    curves: Sequence[FrontierCurve],
    ax: Axes | None = None,
    *,
    language: Language = "en",
) -> Axes:
    """Return what tokens cost over the limit of a further token, a curve for every chip.

    Raises
    ------
    ComputePlanError
        If no cost is known.
    """
    priced = [one for one in curves if np.isfinite(one.per_mtok).any()]
    unpriced = [one.chip for one in curves if one.tpot_s.size and one not in priced]
    if not priced:
        raise ComputePlanError(phrase("serve_no_price", language))
    ax, slo = new_axes(ax, 9, width=8.5), plan.question.slo
    for curve in priced:
        place = _place(plan, curve.chip)
        for known in dict.fromkeys(curve.known):
            is_it, is_best = np.array(curve.known) == known, known == curve.known[-1]
            ax.plot(
                1e3 * curve.tpot_s[is_it],
                curve.per_mtok[is_it],
                "-" if is_best else "--",
                marker=case_marker(place),
                markersize=5,
                markerfacecolor=case_colour(place) if is_best else "white",
                color=case_colour(place),
            )
    if math.isfinite(slo.tpot_s):
        ax.axvline(1e3 * slo.tpot_s, color=LIMIT, linewidth=1.2, zorder=0)
    _logarithmic(ax)
    percent = f"{100 * slo.tpot_frac:g}"
    ax.set_xlabel(phrase("serve_axis_limit", language, percent=percent))
    ax.set_ylabel(phrase("serve_axis_cost", language, currency=plan.question.currency))
    names = phrase("names", language).join(unpriced)
    without = phrase("serve_unpriced", language, chips=names) if unpriced else ""
    has_less = any(len({*one.known}) > 1 for one in priced)
    less = phrase("serve_less_known", language) if has_less else ""
    how = phrase("serve_how_frontier", language, more=less + without)
    _titled(ax, plan, "frontier", how, [(one.chip, "") for one in priced], language)
    return ax


@drawn
def wh(
    plan: ServingPlan,
    curves: Sequence[BatchCurve],
    ax: Axes | None = None,
    *,
    language: Language = "en",
) -> Axes:
    """Return the energy of a request over the batch, a curve for every chip."""
    ax, limit_s = new_axes(ax, 9, width=8.5), plan.question.slo.tpot_s
    for curve in curves:
        colour = case_colour(_place(plan, curve.chip))
        n_within = int((curve.tpot_s <= limit_s).sum())  # times rise with the batch
        within, beyond = slice(0, n_within), slice(max(0, n_within - 1), None)
        ax.plot(curve.batch[within], curve.wh[within], color=colour, linewidth=1.8)
        ax.plot(curve.batch[beyond], curve.wh[beyond], ":", color=colour, linewidth=1.8)
        ax.plot(curve.batch[:1], curve.wh[:1], "o", color=colour, markersize=4)
    _logarithmic(ax)
    ax.set_xlabel(phrase("serve_axis_batch", language))
    ax.set_ylabel(phrase("serve_axis_wh", language))
    how = phrase("serve_how_wh", language)
    _titled(ax, plan, "wh", how, [(one.chip, one.layout) for one in curves], language)
    return ax


def save_serving_figures(
    plan: ServingPlan,
    folder: Path,
    *,
    language: Language = "en",
    progress: Callable[[str], None] | None = None,
) -> tuple[list[str], list[str]]:
    """Write the figures of a plan; return the names of files, and why others are not written.

    Parameters
    ----------
    plan : ServingPlan
    folder : Path
        Created if it is not there.
    language : {"en", "zh"}
    progress : callable, optional
        Called with what is being drawn.

    Raises
    ------
    ComputePlanError
        If a file is in the way that is no figure of ours, or the disk refuses.
    """
    check_folder(folder)
    names, missing = list[str](), list[str]()
    for figure in FIGURES:
        file = f"{figure}.png"
        draw = partial(_drawing, plan, figure, language, progress)
        try:
            ax = draw()
        except ComputePlanError as error:
            missing.append(phrase("serve_not_drawn", language, file=file, why=str(error)))
            continue
        save_axes(ax, folder / file)
        names.append(file)
    return names, missing


def check_folder(folder: Path) -> None:
    """Raise what `save_serving_figures` would of files in the way, before long work."""
    for figure in FIGURES:
        check_ours(folder / f"{figure}.png")


def _drawing(
    plan: ServingPlan,
    figure: str,
    language: Language,
    progress: Callable[[str], None] | None,
) -> Axes:
    """Return a figure of a plan, its curves computed."""

    def tell(chip: str) -> None:
        if progress is not None:
            progress(phrase("serve_drawing", language, chip=chip, figure=figure))

    if figure == "frontier":
        found = []
        for one in plan.chips:
            tell(one.chip)
            found.append(frontier_curve(plan.question, one.sheet))
        return frontier(plan, found, language=language)
    for fleet in plan.fleets:
        tell(fleet.chip)
    if figure == "wh":
        return wh(plan, [batch_curve(one) for one in plan.fleets], language=language)
    return latency(plan, [latency_curve(one) for one in plan.fleets], language=language)


def _place(plan: ServingPlan, chip: str) -> int:
    return [one.chip for one in plan.chips].index(chip)


def _below(upper: Axes) -> Axes:
    """Return axes below others, which give them half of their room."""
    figure, spec = upper.figure, upper.get_subplotspec()
    if spec is None:
        raise ComputePlanError("axes must be of a grid, such as those of plt.subplots()")
    halves = spec.subgridspec(2, 1)
    upper.set_subplotspec(halves[0])
    return figure.add_subplot(halves[1], sharex=upper)


def _logarithmic(ax: Axes) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid()
    for axis in (ax.xaxis, ax.yaxis):
        plain_numbers(axis)


def _titled(
    ax: Axes,
    plan: ServingPlan,
    figure: str,
    how: str,
    named: Sequence[tuple[str, str]],
    language: Language,
) -> None:
    """Write what is drawn, how to read it, and which colour a chip has, above the axes."""
    handles, texts = [], []
    for chip, layout in named:
        place = _place(plan, chip)
        is_marked = figure == "frontier"
        handles.append(
            Line2D(
                [],
                [],
                color=case_colour(place),
                marker=case_marker(place) if is_marked else "",
                markersize=5,
            )
        )
        texts.append(label(f"{chip} ({layout})" if layout else chip, width=44, lines=1))
    rows = legend_above(ax, 2, handles, texts)
    load = plan.question.load
    asked = phrase(
        "serve_figure_load",
        language,
        model=plan.question.model.name,
        n_in=f"{load.input_tokens.mean:,.0f}",
        n_out=f"{load.output_tokens.mean:,.0f}",
    )
    height = 6 + 15.0 * rows
    say_above(ax, plain_lines(how), height)
    title = phrase(
        "title_of",
        language,
        title=phrase(FIGURES[figure], language),
        scenario=label(asked, width=60, lines=1),
    )
    ax.set_title(title, pad=height + _LINE * len(how.split("\n")) + 3, fontsize=12)
