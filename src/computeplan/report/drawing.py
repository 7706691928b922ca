"""What several figures draw: rows of cases, intervals, numbers beside them, legends above."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from computeplan.errors import ComputePlanError
from computeplan.quantities import Quantity
from computeplan.report import Language
from computeplan.report.style import case_labels
from computeplan.report.words import phrase
from computeplan.results.estimates import Estimate
from computeplan.study.folder import open_regular
from computeplan.study.result import Result

__all__ = [
    "METADATA",
    "case_rows",
    "check_ours",
    "confidence",
    "estimates",
    "interval",
    "is_wide",
    "label_x",
    "legend_above",
    "names_beside",
    "numbers_beside",
    "scaled",
    "unit_for",
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

_LARGER_UNITS = {
    "kWh": ((1e6, "GWh"), (1e3, "MWh")),
    "kg CO2e": ((1e3, "t CO2e"),),
    "token/s": ((1e6, "Mtoken/s"), (1e3, "ktoken/s")),
}


def estimates(result: Result, name: str) -> list[Estimate]:
    """Return the estimates of a quantity, a case each, or raise if no case has any."""
    found = [case.estimate(name) for case in result.cases.values()]
    if not any(estimate.n for estimate in found):
        raise ComputePlanError(f"{result.name}: nothing to draw, no run has {name}")
    return found


def unit_for(quantity: Quantity, found: list[Estimate]) -> tuple[float, str]:
    """Return the first larger unit in which the largest mean is at least ten, and its size."""
    largest = max(estimate.mean for estimate in found if estimate.n)
    for size, unit in _LARGER_UNITS.get(quantity.unit, ()):
        if largest >= 10 * size:
            return size, unit
    return 1.0, quantity.unit


def scaled(estimate: Estimate, size: float) -> Estimate:
    """Return the estimate in a unit of the given size."""
    names = ("mean", "low", "high", "p5", "p50", "p95")
    return replace(estimate, **{name: getattr(estimate, name) / size for name in names})


def confidence(estimate: Estimate) -> tuple[float, float]:
    """Return the ends of the mean's 95 % interval."""
    return estimate.low, estimate.high


def interval(
    ax: Axes,
    row: float,
    estimate: Estimate,
    colour: str,
    marker: str,
    *,
    size: float,
    hollow: bool = False,
) -> None:
    """Draw the mean, its 95 % interval (thick) and the 5th to 95th percentile (thin) in a row."""
    y = (row, row)
    ax.plot((estimate.p5, estimate.p95), y, color=colour, linewidth=1.2, zorder=3)
    ax.plot(confidence(estimate), y, color=colour, linewidth=4, solid_capstyle="butt", zorder=3)
    face = "white" if hollow else colour
    ax.plot(
        estimate.mean, row, marker, color=colour, markersize=size, markerfacecolor=face, zorder=4
    )


def case_rows(ax: Axes, result: Result) -> None:
    """Put the cases on the y axis, the first on top."""
    n = len(result.cases)
    ax.set_yticks(range(n), case_labels(result), fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(n - 0.5, -0.5)


def numbers_beside(ax: Axes, texts: list[str]) -> None:
    """Write a text at the right of each row, outside the data."""
    for row, text in enumerate(texts):
        ax.text(1.02, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9)


def is_wide(found: list[Estimate]) -> bool:
    """Return whether cases lie so far apart that a linear axis would show only the largest."""
    means = [estimate.mean for estimate in found if estimate.n]
    return min(means) > 0 and max(means) > 30 * min(means)


def names_beside(ax: Axes, x: list[Estimate], y: list[Estimate], names: list[str]) -> None:
    """Write the names at the right in the order of the points, far enough apart to be read."""
    points = sorted((i for i in range(len(x)) if x[i].n and y[i].n), key=lambda i: y[i].mean)
    to_axes = ax.transData + ax.transAxes.inverted()
    ax.autoscale_view()
    heights = [float(to_axes.transform((x[i].mean, y[i].mean))[1]) for i in points]
    gap = 1 / max(9, len(points))
    for k in range(1, len(heights)):
        heights[k] = max(heights[k], heights[k - 1] + gap)
    ceiling = 1.0
    for k in range(len(heights) - 1, -1, -1):
        heights[k] = min(heights[k], ceiling)
        ceiling = heights[k] - gap
    for i, height in zip(points, heights, strict=True):
        ax.annotate(
            names[i],
            (x[i].mean, y[i].mean),
            (1.03, height),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.7, "linestyle": ":"},
        )


def label_x(
    ax: Axes, result: Result, quantity: Quantity, language: Language, unit: str | None = None
) -> None:
    """Label the x axis, say how to read the intervals, and part thousands."""
    label = quantity.axis(language, unit)
    how = phrase("reading_intervals", language)
    ax.set_xlabel(f"{label}\n{how}" if result.n_runs > 1 else label)
    ax.xaxis.set_major_formatter("{x:,.10g}")


def legend_above(
    ax: Axes, n_columns: int, title: str | None = None, last: tuple[Artist, str] | None = None
) -> None:
    """Put the legend above the data, with one more entry at its end if given."""
    handles, texts = ax.get_legend_handles_labels()
    if last is not None:
        handles, texts = [*handles, last[0]], [*texts, last[1]]
    ax.legend(
        handles,
        texts,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=n_columns,
        fontsize=9,
        title=title,
        alignment="left",
    )


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
