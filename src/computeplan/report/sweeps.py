"""What is swept, as numbers: curves over one of them, heat maps over two.

An axis is a path of the sweep whose values are numbers of one dimension, such as ``30 min`` and
``1 h``. Paths that move together are one axis, named by the first of them that has numbers.
``optimal`` stands where the closed form puts it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from computeplan.arrays import FloatArray
from computeplan.quantities import Quantity
from computeplan.report import Language
from computeplan.report.drawing import (
    closed_form,
    estimates,
    is_wide,
    legend_above,
    plain_numbers,
    put_title,
    scale_of,
)
from computeplan.report.numbers import Scale, middle_and_range, where_cut
from computeplan.report.style import case_colour, case_marker, label, new_axes
from computeplan.report.words import phrase
from computeplan.results.cases import CaseResult
from computeplan.results.estimates import Estimate
from computeplan.results.frames import axes_of
from computeplan.study.result import Result
from computeplan.units import parse

__all__ = ["Axis", "Sweep", "curve", "heat_map", "sweep_of"]

MOST_SERIES = 9
"""Curves that can be told apart in one picture."""
MOST_TICKS = 12
MOST_MARKERS = 40
"""Points of a curve that are marked."""
MOST_CELLS = 144
"""Cells of a heat map that are written in."""

_WITH_UNIT = re.compile(r"\s*([+-]?[0-9][0-9_]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?)\s*(\S.*?)?\s*")
_DIMENSIONS = ("s", "token", "chip", "node", "W", "B", "B/s", "FLOP", "FLOP/s")


@dataclass(frozen=True, slots=True)
class Axis:
    """A path that is swept, as numbers."""

    path: str
    unit: str
    """As the first value has it; empty for plain numbers."""
    values: tuple[float, ...]
    """One for each case, in `unit`."""
    texts: tuple[str, ...]
    """As written, without the unit where all have the same."""

    @property
    def name(self) -> str:
        """The end of the path, as one says it."""
        return ".".join(self.path.split(".")[-2:])

    @property
    def label(self) -> str:
        """Path and unit."""
        return f"{self.path} [{self.unit}]" if self.unit else self.path


@dataclass(frozen=True, slots=True)
class Sweep:
    """Cases that are points of a sweep over one or two numbers."""

    axes: tuple[Axis, ...]
    """One or two."""
    series: Mapping[str, tuple[int, ...]]
    """Cases by what sets them apart beside the axes; one of no name where nothing does."""


def sweep_of(result: Result) -> Sweep | None:
    """Return the sweep that the cases of a result are, or None where they are something else.

    There are at least three points; one alone, or two, are cases to compare.
    """
    cases = [*result.cases.values()]
    paths = axes_of(result.cases)
    if not paths or any(set(case.axes) != set(paths) for case in cases):
        return None
    groups = _moving_together(paths, cases)
    axes = [_axis(group, cases) for group in groups]
    if len(axes) > 2 or not all(axes):
        return None
    found = tuple(axis for axis in axes if axis is not None)
    if max(len(set(axis.values)) for axis in found) < 3:
        return None
    series = _series(found, [*result.cases])
    return None if series is None else Sweep(found, series)


def _moving_together(paths: Sequence[str], cases: Sequence[CaseResult]) -> list[list[str]]:
    """Return the paths in groups, those in one group having one value for each of another."""
    groups: list[list[str]] = []
    for path in paths:
        for group in groups:
            pairs = {(repr(c.axes[group[0]]), repr(c.axes[path])) for c in cases}
            if len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) > 1:
                group.append(path)
                break
        else:
            groups.append([path])
    return [
        group
        for group in groups
        if len(groups) == 1 or len({repr(case.axes[group[0]]) for case in cases}) > 1
    ]


def _axis(paths: Sequence[str], cases: Sequence[CaseResult]) -> Axis | None:
    """Return the first path whose values are numbers of one dimension."""
    for path in paths:
        written = [case.axes[path] for case in cases]
        numbers = _numbers(written, cases)
        if numbers is not None:
            unit, values = numbers
            texts = (
                value.removesuffix(unit).strip() if isinstance(value, str) else f"{value:,}"
                for value in written
            )
            return Axis(path, unit, values, tuple(texts))
    return None


def _numbers(
    written: Sequence[object], cases: Sequence[CaseResult]
) -> tuple[str, tuple[float, ...]] | None:
    """Return the unit of the first value, and all values in it."""
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in written):
        return "", tuple(float(str(v)) for v in written)
    matches = [_WITH_UNIT.fullmatch(v) if isinstance(v, str) else None for v in written]
    units = [match[2] or "" for match in matches if match is not None]
    if not units:
        return None
    found = [
        _in_unit(value, match, units[0], case)
        for value, match, case in zip(written, matches, cases, strict=True)
    ]
    return (units[0], tuple(found)) if all(map(math.isfinite, found)) else None


def _in_unit(written: object, match: re.Match[str] | None, unit: str, case: CaseResult) -> float:
    """Return a value in a unit; ``optimal`` where the closed form puts it; NaN if it is none."""
    if match is None:
        expected = case.facts.get("expected") if written == "optimal" else None
        seconds = None if expected is None else expected.values.get("interval_s")
        return _converted(f"{seconds!r} s", unit) if isinstance(seconds, float) else math.nan
    if (match[2] or "") == unit:
        return float(match[1].replace("_", ""))
    return _converted(match[0], unit)


def _converted(text: str, unit: str) -> float:
    for dimension in _DIMENSIONS:
        try:
            return parse(text, dimension) / parse(f"1 {unit}", dimension)
        except ValueError:
            continue
    return math.nan


def _series(axes: Sequence[Axis], names: Sequence[str]) -> dict[str, tuple[int, ...]] | None:
    """Return the cases at every point, by series: the first case at each point is the first."""
    at: dict[tuple[float, ...], list[int]] = {}
    for i in range(len(names)):
        at.setdefault(tuple(axis.values[i] for axis in axes), []).append(i)
    counts = {len(found) for found in at.values()}
    if len(counts) != 1 or counts.pop() > MOST_SERIES:
        return None
    found = {}
    for members in zip(*at.values(), strict=True):
        parts = zip(*(names[i].split(", ") for i in members), strict=False)
        common = takewhile(lambda part: len(set(part)) == 1, parts)
        found[", ".join(part[0] for part in common)] = members
    return found if len(found) == len(next(iter(at.values()))) else None


def curve(
    result: Result, ax: Axes | None, sweep: Sweep, quantity: Quantity, language: Language
) -> Axes:
    """Return a quantity over one swept number: middle, 90 % range and closed form."""
    (axis,) = sweep.axes
    found = estimates(result, quantity.name)
    scale = scale_of(quantity, found, language)
    # Where most runs were cut before the value was known, the closed form is of no use either.
    expected = np.array(
        [
            closed_form(case, quantity) if math.isfinite(estimate.p50) else math.nan
            for case, estimate in zip(result.cases.values(), found, strict=True)
        ]
    )
    ax = new_axes(ax, 7.0)
    low, high = _y_limits(ax, found, expected, scale)
    is_one, cases = len(sweep.series) == 1, [*result.cases.values()]
    for i, (name, members) in enumerate(sweep.series.items()):
        order = sorted(members, key=axis.values.__getitem__)
        x = np.array([axis.values[k] for k in order])
        p5, p50, p95 = (
            np.array([getattr(found[k], p) for k in order]) / scale.size
            for p in ("p5", "p50", "p95")
        )
        colour = case_colour(i)
        ax.fill_between(x, p5, np.minimum(p95, high), color=colour, alpha=0.2, linewidth=0)
        marked = np.where(np.isinf(p50), np.nan, p50)
        text = phrase("median", language) if is_one else label(name, width=40, lines=1)
        size = 6 if x.size <= MOST_MARKERS else 0
        ax.plot(x, marked, case_marker(i), ls="-", color=colour, markersize=size, label=text)
        ax.plot(x, expected[order] / scale.size, "--", color="black" if is_one else colour, lw=1.2)
        for k in order:
            if math.isinf(found[k].p50):
                _beyond(ax, axis.values[k], colour, where_cut(quantity, cases[k]) / scale.size)
    ax.set_ylim(low, high)
    plain_numbers(ax.yaxis)
    _x_axis(ax, axis)
    ax.set_ylabel(scale.label(quantity, language))
    ax.grid()
    colour = case_colour(0) if is_one else "#999999"
    band = colour if result.n_runs > 1 else None
    rows = _legend(ax, band, language, has_form=bool(np.isfinite(expected).any()))
    path = label(axis.name, width=40, lines=1)
    title = phrase("over", language, name=quantity.axis(language, ""), path=path)
    put_title(ax, result, title, "", language, rows_below=rows)
    return ax


def _legend(ax: Axes, band: str | None, language: Language, *, has_form: bool) -> int:
    """Name the curves, the band by its colour if there is one, and the closed form."""
    handles, texts = ax.get_legend_handles_labels()
    if band is not None:
        handles.append(Patch(color=band, alpha=0.25))
        texts.append(phrase("range_of_runs", language))
    if has_form:
        handles.append(Line2D([], [], color="black", linestyle="--", linewidth=1.2))
        texts.append(phrase("by_closed_form", language))
    return legend_above(ax, 3, handles, texts)


def _y_limits(
    ax: Axes, found: Sequence[Estimate], expected: FloatArray, scale: Scale
) -> tuple[float, float]:
    """Choose the kind of the y axis, and return its ends: what is finite, with some room."""
    drawn = [x for e in found for x in (e.p5, e.p50, e.p95)]
    finite = [x / scale.size for x in (*drawn, *expected.tolist()) if math.isfinite(x)]
    low, high = min(finite), max(finite)
    if is_wide(finite, 10):
        ax.set_yscale("log")
        return low / 1.15, high * 1.3
    room = 0.07 * (high - low) or 0.05 * abs(high)
    return low - room, high + room


def _beyond(ax: Axes, x: float, colour: str, end: float) -> None:
    """Say where most runs were cut before the value was known."""
    ax.annotate(
        f"> {end:,.0f}",
        (x, 1),
        (0, -4),
        xycoords=ax.get_xaxis_transform(),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=9,
        color=colour,
    )


def _x_axis(ax: Axes, axis: Axis) -> None:
    """Mark the values that are swept, as they are written."""
    texts = dict(zip(axis.values, axis.texts, strict=True))
    low, high = min(texts), max(texts)
    room = 0.04 * (high - low)
    ax.set_xlim(low - room, high + room)
    if is_wide(texts, 9):
        ax.set_xscale("log")
        ax.set_xlim(low / (high / low) ** 0.04, high * (high / low) ** 0.04)
    if len(texts) <= MOST_TICKS:
        ax.xaxis.set_major_locator(FixedLocator([*texts]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks([*texts], [_tick(text) for text in texts.values()])
    else:
        plain_numbers(ax.xaxis)
    ax.set_xlabel(label(axis.label, width=80, lines=2))


def heat_map(
    result: Result, ax: Axes | None, sweep: Sweep, quantity: Quantity, language: Language
) -> Axes:
    """Return the middle of a quantity at every point of a sweep over two numbers."""
    across, up = sweep.axes
    found = estimates(result, quantity.name)
    scale = scale_of(quantity, found, language)
    x, y = sorted(set(across.values)), sorted(set(up.values))
    middles, texts = np.full((len(y), len(x)), np.nan), {}
    for i, (case, estimate) in enumerate(zip(result.cases.values(), found, strict=True)):
        at = y.index(up.values[i]), x.index(across.values[i])
        middles[at] = estimate.p50 / scale.size
        end = where_cut(quantity, case)
        texts[at] = middle_and_range(quantity, estimate, scale, language, end=end)[0]
    ax = new_axes(ax, min(max(5.0, 1.1 * len(y)), 16.0))
    finite = middles[np.isfinite(middles)]
    is_log = is_wide(finite.tolist(), 10)
    norm = (LogNorm if is_log else Normalize)(float(finite.min()), float(finite.max()))
    colours = np.where(np.isfinite(middles), middles, np.nan)
    ax.set_facecolor("#E5E5E5")  # where most runs were cut
    mesh = ax.pcolormesh(colours, cmap="viridis", norm=norm, edgecolors="white", linewidth=0.5)
    if len(texts) <= MOST_CELLS:
        for (row, column), text in texts.items():
            value = middles[row, column]
            is_dark = math.isfinite(value) and float(norm(value)) < 0.6
            ax.text(
                column + 0.5,
                row + 0.5,
                text,
                ha="center",
                va="center",
                fontsize=9,
                color="white" if is_dark else "black",
            )
    for axis, values, put in ((across, x, ax.set_xticks), (up, y, ax.set_yticks)):
        written = dict(zip(axis.values, axis.texts, strict=True))
        shown = range(0, len(values), -(-len(values) // MOST_TICKS))
        put([i + 0.5 for i in shown], [_tick(written[values[i]]) for i in shown])
    ax.tick_params(length=0)
    ax.set_xlabel(label(across.label, width=60, lines=2))
    ax.set_ylabel(label(up.label, width=40, lines=2))
    figure = ax.get_figure()
    assert figure is not None  # it was given or made
    bar = figure.colorbar(mesh, ax=ax)
    plain_numbers(bar.ax.yaxis)
    bar.set_label(scale.label(quantity, language))
    how = phrase("median_alone" if result.n_runs > 1 else "one_run_each", language, n=result.n_runs)
    put_title(ax, result, quantity.axis(language, ""), how, language)
    return ax


def _tick(text: str) -> str:
    return label(text, width=16, lines=2)
