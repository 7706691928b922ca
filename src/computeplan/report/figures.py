"""The figures of a result.

Every function takes a Result, draws on the axes given or on a figure of its own, and returns the
axes; nothing is shown and no global setting changes. Cases are rows where that is possible, so
that long names can be read. An interval is drawn wherever there is one: thick for the 95 %
interval of the mean, thin for the 5th to 95th percentile of the runs. A result without what a
figure draws raises a ComputePlanError.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from computeplan.errors import ComputePlanError
from computeplan.quantities import QUANTITIES, Quantity
from computeplan.report import FIGURES, Language
from computeplan.report.drawing import (
    METADATA,
    case_rows,
    confidence,
    estimates,
    interval,
    is_wide,
    label_x,
    legend_above,
    names_beside,
    numbers_beside,
    scaled,
    unit_for,
    write_figure,
)
from computeplan.report.numbers import headline, with_interval
from computeplan.report.style import (
    PHASE_COLOURS,
    case_colour,
    case_dashes,
    case_labels,
    case_marker,
    drawn,
    new_axes,
    style,
    unseen,
)
from computeplan.report.table import wrap
from computeplan.report.timeline import timeline
from computeplan.report.words import phrase
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result

__all__ = [
    "carbon",
    "energy",
    "figures_of",
    "goodput",
    "save_figures",
    "throughput_energy",
    "time_to_train",
    "timeline",
    "unseen_in",
    "wall_time",
]

MAX_TIMELINES = 12
"""Timelines of schedules that are written; a sweep may have thousands."""

_HELD = ("train", "save", "lost", "restart", "blocked")


@drawn
def goodput(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return where the chip time of the jobs went, a bar per case, and the ETTR with its interval.

    Idle chips and chips in repair are held by no job and are not in the bars.
    """
    estimates(result, "train_chip_h")
    cases = result.cases.values()
    hours = np.nan_to_num([[c.estimate(f"{p}_chip_h").mean for p in _HELD] for c in cases])
    share = hours / np.maximum(hours.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    ax = new_axes(ax, len(result.cases) + 1.0)
    rows = range(len(result.cases))
    left = np.zeros(len(rows))
    for phase, width in zip(_HELD, share.T, strict=True):
        of = QUANTITIES[f"{phase}_chip_h"]
        text = of.axis(language, "")
        ax.barh(rows, width, 0.62, left=left, color=PHASE_COLOURS[phase], label=text)
        left += width
    degraded = QUANTITIES["goodput_frac"] in headline(result)
    name = "goodput_frac" if degraded else "ettr"
    share_kept = [case.estimate(name) for case in cases]
    # With several jobs the ETTR counts their time in the queue, which is no chip time.
    has_queue = any(len(case.job_names) > 1 for case in cases)
    for row, found in enumerate(() if has_queue else share_kept):
        interval(ax, row, found, "black", "D", size=4)
    numbers_beside(ax, [with_interval(QUANTITIES[name], found) for found in share_kept])
    head = phrase("ettr_queueing_included", language) if has_queue else "ETTR"
    if degraded:
        head = phrase("goodput", language)
    ax.text(1.02, 1.01, head, transform=ax.transAxes, va="bottom", fontsize=9)
    case_rows(ax, result)
    ax.set_xlim(0, 1)
    ax.set_xlabel(phrase("share_of_chip_time", language))
    name = phrase("ettr_and_intervals", language)
    point = Line2D([], [], color="black", marker="D", markersize=4, linewidth=1.2)
    legend_above(ax, 3, last=None if has_queue else (point, name))
    return ax


@drawn
def time_to_train(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the time to train per case; hollow where the horizon came first."""
    quantity = QUANTITIES["time_to_train_days"]
    found = estimates(result, quantity.name)
    ax = new_axes(ax, len(found))
    texts = []
    for i, (case, estimate) in enumerate(zip(result.cases.values(), found, strict=True)):
        n_cut = int((case.values.get("n_unfinished", np.zeros(1)) > 0).sum())
        interval(ax, i, estimate, case_colour(i), "o", size=7, hollow=n_cut > 0)
        text = with_interval(quantity, estimate)
        if n_cut:
            text += "\n" + phrase("extrapolated", language)
            text += f" {n_cut:,} / {result.n_runs:,}" if n_cut < result.n_runs else ""
        texts.append(text)
    numbers_beside(ax, texts)
    case_rows(ax, result)
    if is_wide(found):
        ax.set_xscale("log")
    label_x(ax, result, quantity, language)
    ax.margins(x=0.08)
    ax.grid(axis="x")
    return ax


@drawn
def energy(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the energy per case at the facility meter, with intervals."""
    return _bars(result, ax, QUANTITIES["energy_kwh"], language)


@drawn
def carbon(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the carbon per case, with intervals; apart from energy, for grids differ."""
    return _bars(result, ax, QUANTITIES["carbon_kg"], language)


def _bars(result: Result, ax: Axes | None, quantity: Quantity, language: Language) -> Axes:
    found = estimates(result, quantity.name)
    size, unit = unit_for(quantity, found)
    found = [scaled(estimate, size) for estimate in found]
    ax = new_axes(ax, len(found))
    for i, estimate in enumerate(found):
        ax.barh(i, np.nan_to_num(estimate.mean), 0.62, color=case_colour(i), alpha=0.75)
        interval(ax, i, estimate, "black", "|", size=9)
    numbers_beside(ax, [with_interval(quantity, estimate) for estimate in found])
    case_rows(ax, result)
    ax.set_xlim(left=0)
    label_x(ax, result, quantity, language, unit)
    ax.grid(axis="x")
    return ax


@drawn
def throughput_energy(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return one point per case: tokens kept per second against energy per kept token.

    Down and to the right is better. Names stand at the right, each led to its point.
    """
    across, up = QUANTITIES["goodput_tok_per_s"], QUANTITIES["kwh_per_gtok"]
    x, y = estimates(result, across.name), estimates(result, up.name)
    size, unit = unit_for(across, x)
    x = [scaled(estimate, size) for estimate in x]
    ax = new_axes(ax, max(7.0, 0.9 * len(x)), width=9.0)
    for i, (speed, spent) in enumerate(zip(x, y, strict=True)):
        _cross(ax, speed, spent, i)
    ax.margins(0.12)
    if is_wide(x):
        ax.set_xscale("log")
    if is_wide(y):
        ax.set_yscale("log")
    label_x(ax, result, across, language, unit)
    ax.yaxis.set_major_formatter("{x:,.10g}")
    ax.set_ylabel(wrap(up.axis(language), 40))
    ax.grid()
    names_beside(ax, x, y, case_labels(result, width=26, lines=2))
    return ax


def _cross(ax: Axes, speed: Estimate, spent: Estimate, i: int) -> None:
    """Draw a point with both of its intervals."""
    colour = case_colour(i)
    for width, across, up in (
        (1.2, (speed.p5, speed.p95), (spent.p5, spent.p95)),
        (3.5, confidence(speed), confidence(spent)),
    ):
        ax.plot(across, (spent.mean,) * 2, color=colour, linewidth=width, solid_capstyle="butt")
        ax.plot((speed.mean,) * 2, up, color=colour, linewidth=width, solid_capstyle="butt")
    marker = case_marker(i)
    ax.plot(
        speed.mean,
        spent.mean,
        marker,
        color=colour,
        markersize=8,
        markeredgecolor="white",
        zorder=4,
    )


@drawn
def wall_time(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return how the wall time differs between runs: the share of runs done by each day.

    Where the horizon came first in some run, it is the time to train, extrapolated. One run, or
    runs that do not differ, have no distribution: then the figure says so.
    """
    cases = list(result.cases.values())
    is_cut = any(np.any(case.values.get("n_unfinished", np.zeros(1)) > 0) for case in cases)
    quantity = QUANTITIES["time_to_train_days" if is_cut else "wall_days"]
    found = estimates(result, quantity.name)
    if not any(estimate.p95 > estimate.p5 for estimate in found):
        return _no_distribution(new_axes(ax, len(found)), result, quantity, found, language)
    ax = new_axes(ax, max(6.0, 1.15 * len(found)), width=9.0)
    names = case_labels(result, width=28, lines=2)
    median = phrase("median", language)
    handles = []
    for i, (case, estimate) in enumerate(zip(cases, found, strict=True)):
        days = np.sort(case.values.get(quantity.name, np.empty(0)))
        days = days[np.isfinite(days)]
        share = np.arange(1, days.size + 1) / max(days.size, 1)
        x, y = np.append(days[:1], days), np.append(np.zeros(min(days.size, 1)), share)
        ax.step(x, y, case_dashes(i), where="post", color=case_colour(i))
        handles += ax.plot(
            estimate.p50, 0.5, case_marker(i), color=case_colour(i), ms=8, markeredgecolor="white"
        )
        names[i] += f"\n{median} {quantity.text(estimate.p50)} {quantity.unit}"
    if is_wide(found):
        ax.set_xscale("log")
    ax.set_ylim(0, 1.02)
    label = quantity.axis(language)
    ax.set_xlabel(label + phrase("extrapolated_where_cut", language) if is_cut else label)
    ax.xaxis.set_major_formatter("{x:,.10g}")
    ax.set_ylabel(phrase("share_of_runs_done", language))
    ax.grid()
    ax.legend(handles, names, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    return ax


def _no_distribution(
    ax: Axes, result: Result, quantity: Quantity, found: list[Estimate], language: Language
) -> Axes:
    if result.n_runs == 1:
        why = phrase("one_run_no_distribution", language)
    else:
        why = phrase("runs_do_not_differ", language)
    lines = [
        f"{name}: {quantity.text(estimate.mean)} {quantity.unit}"
        for name, estimate in zip(case_labels(result, width=60, lines=1), found, strict=True)
    ]
    ax.set_axis_off()
    text = "\n".join([f"{quantity.axis(language)}: {why}", "", *lines])
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes)
    return ax


_DRAW: dict[str, Callable[..., Axes]] = {
    "goodput": goodput,
    "time_to_train": time_to_train,
    "energy": energy,
    "carbon": carbon,
    "throughput_energy": throughput_energy,
    "timeline": timeline,
    "wall_time": wall_time,
}


def figures_of(result: Result) -> SimpleNamespace:
    """Return the figures of one result as functions of ``ax``: what ``result.plot`` is."""
    return SimpleNamespace(**{kind: partial(draw, result) for kind, draw in _DRAW.items()})


def save_figures(
    result: Result, folder: Path, kinds: Iterable[str] | None = None, *, language: Language = "en"
) -> tuple[str, ...]:
    """Write figures as PNG and SVG, and return their names without the ending.

    Of schedules, a timeline is written for each case up to `MAX_TIMELINES`: ``timeline``,
    ``timeline-2`` and so on; of a single job, for the first case.

    Parameters
    ----------
    result : Result
    folder : Path
        Created if it is not there.
    kinds : iterable of str, optional
        Of `FIGURES`; without, all that this result has the data for.
    language : {"en", "zh"}
        Of the labels.

    Raises
    ------
    ComputePlanError
        If a kind asked for does not exist or has no data, a file is in the way that is no figure
        of ours, or the disk refuses.
    """
    asked = FIGURES if kinds is None else tuple(kinds)
    if unknown := [kind for kind in asked if kind not in _DRAW]:
        raise ComputePlanError(f"no figure {', '.join(unknown)}. Figures: {', '.join(FIGURES)}")
    names: list[str] = []
    for name, draw in (drawing for kind in asked for drawing in _drawings(result, kind)):
        try:
            png, svg = _png_and_svg(partial(draw, language=language))
        except ComputePlanError:
            if kinds is not None:
                raise
            continue
        write_figure(folder / f"{name}.png", png)
        write_figure(folder / f"{name}.svg", svg)
        names.append(name)
    return tuple(names)


def unseen_in(result: Result) -> str:
    """Return the characters of a result's names that no font on this machine draws."""
    cases = result.cases.values()
    of_jobs = (text for case in cases for texts in case.job_facts.values() for text in texts)
    of_cases = (name for case in cases for name in (*case.job_names, *case.pool_names))
    return unseen([result.name, *result.cases, *of_cases, *of_jobs])


def _drawings(result: Result, kind: str) -> list[tuple[str, Callable[..., Axes]]]:
    if kind != "timeline":
        return [(kind, partial(_DRAW[kind], result))]
    kept = [name for name, case in result.cases.items() if case.spans]
    # The timelines of a single job look alike; a schedule is worth a picture for each policy.
    has_schedule = any(len(case.job_names) > 1 for case in result.cases.values())
    kept = kept[: MAX_TIMELINES if has_schedule else 1]
    return [
        ("timeline" if i == 1 else f"timeline-{i}", partial(timeline, result, case=name))
        for i, name in enumerate(kept, 1)
    ] or [("timeline", partial(timeline, result))]


def _png_and_svg(draw: Callable[..., Axes]) -> tuple[bytes, bytes]:
    """Return a figure as two files whose bytes depend on the drawing alone."""
    first = draw().get_figure(root=True)
    assert first is not None  # it is drawn on a figure of its own
    png, svg = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(style()), warnings.catch_warnings():
        # Names are drawn as they are; the command says what cannot be seen (`unseen_in`).
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        first.savefig(png, format="png", metadata=METADATA["png"])
        second = Figure(figsize=tuple(first.get_size_inches()), layout="constrained")
        FigureCanvasSVG(second)
        draw(ax=second.add_subplot())
        second.savefig(svg, format="svg", metadata=METADATA["svg"])
    return png.getvalue(), svg.getvalue()
