"""What several figures draw: rows of cases, ranges of runs, numbers, titles, legends."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullFormatter

from computeplan.arrays import FloatArray
from computeplan.errors import ComputePlanError
from computeplan.quantities import Quantity
from computeplan.report import Language
from computeplan.report.numbers import Scale, middle_and_range, scale_for, where_cut
from computeplan.report.style import case_labels, label
from computeplan.report.words import phrase
from computeplan.results.cases import CaseResult
from computeplan.results.estimates import Estimate
from computeplan.study.folder import open_regular
from computeplan.study.result import Result
from computeplan.units import DAY_S, HOUR_S

__all__ = [
    "METADATA",
    "MOST_ROWS",
    "case_rows",
    "check_ours",
    "closed_form",
    "estimates",
    "how_to_read",
    "is_wide",
    "legend_above",
    "numbers_beside",
    "plain_numbers",
    "put_title",
    "run_range",
    "say_above",
    "scale_of",
    "stack_steps",
    "texts_of",
    "time_axis",
    "time_unit",
    "write_figure",
]

MADE_BY = "computeplan"
METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": MADE_BY},
    "svg": {"Creator": MADE_BY, "Date": None},
}
"""What a figure says of itself, by its kind."""
HEAD_BYTES = 2000
"""Within these, a figure says who made it."""


MOST_ROWS = 40
"""Rows that can still be read."""
MOST_DECADES = 5
"""Of a logarithmic axis with ticks between the powers of ten."""
_LINE, _TITLE = 15.0, 22.0  # heights above the axes, in points


def estimates(result: Result, name: str) -> list[Estimate]:
    """Return the estimates of a quantity, a case each, or raise if no case has any."""
    found = [case.estimate(name) for case in result.cases.values()]
    if not any(estimate.n for estimate in found):
        raise ComputePlanError(f"{result.name}: nothing to draw, no run has {name}")
    return found


def scale_of(quantity: Quantity, found: Iterable[Estimate], language: Language) -> Scale:
    """Return the multiple of a unit that suits the middles of all cases."""
    return scale_for(quantity.unit, (estimate.p50 for estimate in found), language)


def how_to_read(result: Result, language: Language) -> str:
    """Return what is drawn of the runs of each case."""
    many = result.n_runs > 1
    return phrase("median_and_range" if many else "one_run_each", language, n=result.n_runs)


def texts_of(
    result: Result, quantity: Quantity, found: Sequence[Estimate], scale: Scale, language: Language
) -> list[str]:
    """Return the middle of the runs and their range, a case each."""
    pairs = (
        middle_and_range(quantity, estimate, scale, language, end=where_cut(quantity, case))
        for case, estimate in zip(result.cases.values(), found, strict=True)
    )
    return [f"{middle}\n{between}" if between else middle for middle, between in pairs]


def run_range(ax: Axes, row: float, estimate: Estimate, size: float, colour: str) -> None:
    """Draw the 5th to 95th percentile of the runs; an arrow where it has no known end."""
    low, high = estimate.p5 / size, estimate.p95 / size
    if math.isfinite(high):
        ax.plot((low, high), (row, row), color=colour, linewidth=1.4, zorder=3)
    elif math.isfinite(low):
        last = estimate.p50 / size if math.isfinite(estimate.p50) else low
        ax.plot((low, last), (row, row), color=colour, linewidth=1.4, zorder=3)
        ax.plot(last, row, marker=9, color=colour, markersize=9, zorder=3)  # a caret to the right


def case_rows(ax: Axes, result: Result) -> None:
    """Put the cases on the y axis, the first on top.

    Raises
    ------
    ComputePlanError
        If there are more than can be read.
    """
    n = len(result.cases)
    if n > MOST_ROWS:
        raise ComputePlanError(
            f"{result.name}: nothing to draw, no row can be read of {n:,} cases, more than"
            f" {MOST_ROWS}"
        )
    ax.set_yticks(range(n), case_labels(result), fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(n - 0.5, -0.5)


def numbers_beside(ax: Axes, texts: Sequence[str]) -> None:
    """Write a text at the right of each row, outside the data."""
    for row, text in enumerate(texts):
        ax.text(1.02, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9)


def is_wide(values: Iterable[float], times: float = 30.0) -> bool:
    """Return whether values lie so far apart that a linear axis would show only the largest."""
    found = [value for value in values if math.isfinite(value)]
    return bool(found) and min(found) > 0 and max(found) > times * min(found)


def plain_numbers(axis: Axis) -> None:
    """Write ticks as numbers with parted thousands, on logarithmic axes as well.

    Once it is drawn: how much of a logarithmic axis is seen decides how many ticks it has.
    """
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        is_long = high > low * 10**MOST_DECADES
        axis.set_major_locator(LogLocator(subs=(1.0,) if is_long else (1.0, 2.0, 5.0)))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter("{x:,.10g}")


def time_unit(end_s: float) -> tuple[float, str]:
    """Return the unit in which a time axis up to an end is written, and its size. [s]"""
    return (DAY_S, "d") if end_s > 4 * DAY_S else (HOUR_S, "h")


def stack_steps(ax: Axes, edges: FloatArray, parts: Sequence[tuple[FloatArray, str, str]]) -> None:
    """Draw steps above one another: heights, colour and label of each, but of those of zeros."""
    base = np.zeros(len(edges) - 1)
    for height, colour, text in parts:
        if height.any():
            ax.stairs(
                base + height,
                edges,
                baseline=base,
                fill=True,
                color=colour,
                linewidth=0,
                label=text,
            )
        base = base + height


def say_above(ax: Axes, text: str, height: float) -> None:
    """Write how a figure is read, at a height above the axes. [pt]"""
    ax.annotate(
        text,
        (0, 1),
        (0, height),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9,
        color="#555555",
        va="bottom",
    )


def time_axis(ax: Axes, end_s: float, language: Language) -> None:
    """Make the x axis one of the time since the start, up to an end. [s]"""
    unit_s, unit = time_unit(end_s)
    ax.set_xlim(0, end_s / unit_s)
    unit = scale_for(unit, [1.0], language).unit
    ax.xaxis.set_major_formatter("{x:,.10g}")
    ax.set_xlabel(phrase("time_since_start", language, unit=unit))


def closed_form(case: CaseResult, quantity: Quantity) -> float:
    """Return what the closed form expects of a case, in the quantity's unit; NaN if nothing."""
    fact, value = {
        "ettr": ("expected", "ettr"),
        "time_to_train_days": ("expected", "days_to_train"),
        "available_frac": ("spares", "run_frac"),
    }.get(quantity.name, ("", ""))
    said = case.facts.get(fact)
    found = math.nan if said is None else said.values.get(value)
    if not isinstance(found, int | float):
        return math.nan
    return 1 - found if quantity.name == "available_frac" else float(found)


def legend_above(
    ax: Axes,
    n_columns: int,
    handles: Sequence[Artist] | None = None,
    texts: Sequence[str] = (),
) -> int:
    """Put a legend above the data, of what is labelled if not of `handles`; return its rows."""
    if handles is None:
        handles, texts = ax.get_legend_handles_labels()
    if not handles:
        return 0
    ax.legend(
        handles,
        texts,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=n_columns,
        fontsize=9,
        borderaxespad=0.2,
        borderpad=0.1,
        columnspacing=1.2,
        handlelength=1.4,
    )
    return math.ceil(len(handles) / n_columns)


def put_title(
    ax: Axes, result: Result, title: str, how: str, language: Language, *, rows_below: int = 0
) -> None:
    """Write what a figure shows, with the scenario's name, and below it how to read it.

    Parameters
    ----------
    ax : Axes
    result : Result
    title : str
    how : str
        How to read it; none is written where it is empty.
    language : {"en", "zh"}
    rows_below : int
        Rows of a legend between title and data.
    """
    height = 4 + rows_below * _LINE
    if how:
        say_above(ax, how, height)
    name = phrase("title_of", language, title=title, scenario=label(result.name, width=50, lines=1))
    ax.set_title(name, pad=height + (_LINE if how else 0), fontsize=12)


def write_figure(path: Path, data: bytes) -> None:
    """Write a figure, where nothing is or an earlier figure of ours.

    Raises
    ------
    ComputePlanError
        If something else is there, or the disk refuses.
    """
    check_ours(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise ComputePlanError(f"{path}: cannot be written: {error.strerror}") from error


def check_ours(path: Path) -> None:
    """Raise ComputePlanError if a file is there that is no figure of ours."""
    if not os.path.lexists(path):
        return
    try:
        with open_regular(path) as file:
            is_ours = MADE_BY.encode() in file.read(HEAD_BYTES)
    except OSError as error:
        raise ComputePlanError(f"{path}: cannot be written: {error.strerror}") from error
    if not is_ours:
        raise ComputePlanError(
            f"{path}: exists and is no figure of computeplan, so it is not replaced. Name another"
            " file or remove it"
        )
