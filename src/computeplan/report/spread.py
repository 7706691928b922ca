"""Figures of points and of all runs: cases as points in a plane, and how long runs and jobs take.

A point a case: its throughput against its energy, or its cost against its carbon, with the middle
90 % of the runs, or the mean completion time of its jobs with the 95 % interval. How times differ
is the share that is done by each time, which ends below 1 where some are never done.

Long because all figures of points share how one looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex, to_rgb
from matplotlib.lines import Line2D
from matplotlib.markers import CARETDOWN, CARETLEFT, CARETRIGHT, CARETUP
from numpy.typing import NDArray

from computeplan.arrays import FloatArray
from computeplan.errors import ComputePlanError
from computeplan.quantities import JOB_QUANTITIES, QUANTITIES, Quantity, significant
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
from computeplan.report.numbers import middle_and_range, scale_for, where_cut
from computeplan.report.style import case_colour, case_labels, case_marker, new_axes, plain_lines
from computeplan.report.table import wrap
from computeplan.report.words import phrase
from computeplan.results.cases import CaseResult
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result

__all__ = [
    "MOST_CURVES",
    "completion_times",
    "cost_carbon",
    "distribution",
    "throughput_energy",
    "tradeoff",
]

MOST_CURVES = 12
"""Distributions that can be told apart in one picture: there are as many colours."""
DASHES = ("-", "--", ":")
"""Of a curve, of one equal to it that is drawn on top, and of any more: all of them are seen."""
ROOM = 0.5
"""How far beyond the points an axis follows their intervals, over the span of the points."""
MOST_STEPS = 2000
"""Steps of a curve that can be seen; of more values, as many are drawn."""
DECADES = 100.0
"""Times the shortest completion time from which the longest stands on a logarithmic axis."""
UNKNOWN = "#BBBBBB"
"""Of a case whose fairness is not known."""
PALE = "#C4C4C4"
"""Of intervals that cross many others."""
ARROWS, ARROW = "#777777", 7
"""Of intervals that go on beyond the edge: colour and size. [pt]"""


def throughput_energy(result: Result, ax: Axes | None, up: Quantity, language: Language) -> Axes:
    """Return one point per case: tokens kept per second against an energy.

    Down and to the right is better. Cases are named at the right, from the top.
    """
    across = QUANTITIES["goodput_tok_per_s"]
    x, y = estimates(result, across.name), estimates(result, up.name)
    ax = new_axes(ax, max(7.5, 0.9 * len(x)), width=9.0)
    across_size, up_size = (scale_of(*of, language).size for of in ((across, x), (up, y)))
    handles = []
    for i, (speed, spent) in enumerate(zip(x, y, strict=True)):
        right = np.array([speed.p50, speed.p5, speed.p95]) / across_size
        high = np.array([spent.p50, spent.p5, spent.p95]) / up_size
        handles += _cross(ax, right, high, case_colour(i), _look(i))
    _plane(ax, (across, x), (up, y), "right_is_better", language)
    names = case_labels(result, width=26, lines=2)
    order = sorted(range(len(names)), key=lambda i: -y[i].p50 if y[i].n else math.inf)
    order = [i for i in order if x[i].n and y[i].n]
    _legend(ax, [handles[i] for i in order], [names[i] for i in order])
    title = phrase("throughput_energy", language)
    put_title(ax, result, title, how_to_read(result, language), language)
    return ax


def tradeoff(result: Result, ax: Axes | None, up: Quantity, language: Language) -> Axes:
    """Return one point per case: mean completion time of jobs against an energy, and fairness.

    Down and to the left is better. The time is that of all jobs, not the makespan: where jobs
    arrive over days, that is of the last job alone, and often of its arrival. The colour is the
    finish-time fairness. A case in which some job did not end has no mean, and is named only. Cases
    meet the same faults, so that their differences are better known than the intervals say.
    """
    across = QUANTITIES["mean_jct_h"]
    x, y = estimates(result, across.name), estimates(result, up.name)
    known = [i for i, (e, f) in enumerate(zip(x, y, strict=True)) if _has_mean(e) and _has_mean(f)]
    if not known:
        raise ComputePlanError(f"{result.name}: nothing to draw, in no case do all jobs end")
    ax = new_axes(ax, max(10.0, 0.75 * len(known) + 3.0), width=9.0)
    across_size, up_size = (scale_of(*of, language).size for of in ((across, x), (up, y)))
    at = np.array([(x[i].mean / across_size, y[i].mean / up_size) for i in known])
    is_best = _is_best(at)
    cases = list(result.cases.values())
    shades = _shades(ax, [cases[i] for i in known], language)
    handles, crosses = [], []
    for i, (right, high), best, shade in zip(known, at, is_best, shades, strict=True):
        rights = np.array([right, x[i].low / across_size, x[i].high / across_size])
        highs = np.array([high, y[i].low / up_size, y[i].high / up_size])
        look = _look(i) | {"marker": "o", "color": shade, "markersize": 15}
        look |= {"markeredgecolor": "black" if best else "white", "markeredgewidth": 1.5}
        handles += _cross(ax, rights, highs, "#999999", look)
        crosses.append((rights, highs))
        is_dark = float(np.dot(to_rgb(shade), (0.299, 0.587, 0.114))) < 0.5
        ax.annotate(
            f"{i + 1}",
            (right, high),
            ha="center",
            va="center_baseline",
            fontsize=8,
            color="white" if is_dark else "black",
            zorder=5,
        )
    front = at[is_best][np.argsort(at[is_best][:, 0])]
    handles += ax.plot(*front.T, "k--", drawstyle="steps-post", linewidth=1.0, zorder=2)
    _plane(ax, (across, x), (up, y), "left_is_better", language)
    is_cut = _cut_far_away(ax, crosses)
    names = case_labels(result, width=26, lines=2)
    texts = [*(f"{i + 1}  {names[i]}" for i in known), phrase("pareto_front", language)]
    for i, case in enumerate(cases):
        if case.is_unfinished and i not in known:
            handles.append(Line2D([], [], linestyle=""))
            texts.append(f"{i + 1}  {names[i]}\n{phrase('has_unfinished_jobs', language)}")
    _legend(ax, handles, texts, markerscale=0.6)
    many = result.n_runs > 1
    how = phrase("mean_and_interval" if many else "one_run_each", language, n=result.n_runs)
    how += phrase("cut_at_the_edge", language) if is_cut else ""
    put_title(ax, result, phrase("tradeoff", language), how, language)
    return ax


def cost_carbon(
    result: Result, ax: Axes | None, across: Quantity, up: Quantity, language: Language
) -> Axes:
    """Return one point per case: its carbon against its cost, and those that none beats in both.

    Carbon by the market is a hollow point of the same look, with a front of its own. Cases meet the
    same faults, so that their differences are better known than the intervals say.
    """
    x, y = estimates(result, across.name), estimates(result, up.name)
    market = [case.estimate("carbon_market_kg") for case in result.cases.values()]
    if up.name != "carbon_kg" or not any(map(_has_mean, market)):
        market = []
    ax = new_axes(ax, max(10.0, 0.75 * len(x) + 4.0), width=9.0)
    sizes = scale_of(across, x, language).size, scale_of(up, [*y, *market], language).size
    handles: dict[int, Line2D] = {}
    fronts, seen = [], []
    for found, dashes, is_hollow in ((y, "--", False), (market, ":", True)):
        at = {}
        for i, pair in enumerate(zip(x, found, strict=False)):
            if all(map(_has_mean, pair)):
                right, high = (
                    np.array([e.mean, e.low, e.high]) / size
                    for e, size in zip(pair, sizes, strict=True)
                )
                look = _look(i) | (_hollow(case_colour(i)) if is_hollow else {})
                (point,) = _cross(ax, right, high, PALE, look)
                handles.setdefault(i, point)
                at[i] = (right[0], high[0])
                seen.append((right, high))
        if at:
            fronts.append(_front(ax, np.array([*at.values()]), dashes))
    if not seen:
        raise ComputePlanError(f"{result.name}: nothing to draw, no case has both in every run")
    _plane(ax, (across, x), (up, [*y, *market]), "left_is_better", language)
    is_cut = _cut_far_away(ax, seen)
    names = case_labels(result, width=26, lines=2)
    order = sorted(handles, key=lambda i: -y[i].mean)
    texts = [*(names[i] for i in order), phrase("pareto_front", language)]
    legend: list[Artist] = [*(handles[i] for i in order), fronts[0]]
    if market:
        legend += [Line2D([], [], **_look(0) | _hollow("#555555") | {"marker": "o"}), fronts[-1]]
        texts += [phrase("at_market", language), phrase("front_at_market", language)]
    _legend(ax, legend, texts)
    many = result.n_runs > 1
    how = phrase("mean_and_interval" if many else "one_run_each", language, n=result.n_runs)
    how += phrase("cut_at_the_edge", language) if is_cut else ""
    put_title(ax, result, phrase("cost_carbon", language), how, language)
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
    alike = _alike([case.values.get(quantity.name, np.empty(0)) for case in result.cases.values()])
    handles = []
    for i, (case, estimate) in enumerate(zip(result.cases.values(), found, strict=True)):
        values = case.values.get(quantity.name, np.empty(0)) / scale.size
        handles.append(_share_done(ax, i, values, estimate.p50 / scale.size, DASHES[alike[i][1]]))
        middle = middle_and_range(
            quantity, estimate, scale, language, end=where_cut(quantity, case)
        )
        names[i] += f"\n{phrase('median', language)} {middle[0]} {scale.unit}"
        names[i] += _same_as(result, alike[i][0], i, language)
    if is_wide(x / scale.size for e in found for x in (e.p5, e.p95)):
        ax.set_xscale("log")
    if (due := deadline_days(result)) is not None:
        handles.append(ax.axvline(due / scale.size, color="black", linestyle="--", linewidth=1.2))
        names.append(phrase("deadline", language))
    _of_shares(ax, scale.label(quantity, language), phrase("share_of_runs_done", language))
    _legend(ax, handles, names)
    title = phrase("distribution", language, name=quantity.axis(language, ""))
    put_title(ax, result, title, "", language)
    return ax


def completion_times(result: Result, ax: Axes | None, language: Language) -> Axes:
    """Return the share of jobs done within each completion time, over all runs of each case.

    A curve that ends below 1 is of a case some of whose jobs are unfinished; the legend counts
    them.
    """
    quantity = JOB_QUANTITIES["jct_h"]
    times = [case.jobs.get("jct_h", np.empty(0)).ravel() for case in result.cases.values()]
    ends = [(t.min(), t.max()) for found in times if (t := found[np.isfinite(found)]).size]
    if not ends:
        raise ComputePlanError(f"{result.name}: nothing to draw, no job has a completion time")
    scale = scale_for(quantity.unit, (high for _, high in ends), language)
    ax = new_axes(ax, max(7.0, 1.3 * len(times)), width=9.0)
    names = case_labels(result, width=28, lines=2)
    alike, handles = _alike(times), []
    for i, found in enumerate(times):
        times_or_inf = np.where(np.isfinite(found), found, np.inf) / scale.size
        middle = _middle(times_or_inf)
        handles.append(_share_done(ax, i, times_or_inf, middle, DASHES[alike[i][1]]))
        if math.isfinite(middle):
            text = f"{significant(middle, 3)} {scale.unit}"
            names[i] += f"\n{phrase('median', language)} {text}"
        if n := int(np.isinf(times_or_inf).sum()):
            names[i] += f"\n{phrase('so_many_unfinished', language, n=n, of=found.size)}"
        names[i] += _same_as(result, alike[i][0], i, language)
    if is_wide((x for pair in ends for x in pair), DECADES):
        ax.set_xscale("log")
    _of_shares(ax, scale.label(quantity, language), phrase("share_of_jobs_done", language))
    _legend(ax, handles, names)
    how = phrase("all_jobs_of_runs", language, n=result.n_runs)
    if any(not np.isfinite(found).all() for found in times):
        how += phrase("ends_below_1", language)
    put_title(ax, result, phrase("completion_times", language), how, language)
    return ax


def _has_mean(estimate: Estimate) -> bool:
    """Return whether every run has a value, so that the mean leaves none out."""
    return not estimate.n_none and math.isfinite(estimate.mean)


def _is_best(points: FloatArray) -> NDArray[np.bool_]:
    """Return of which points no other is at most as far in both directions and less far in one."""
    (x, y), (other_x, other_y) = points.T[:, :, None], points.T[:, None, :]
    no_more = (other_x <= x) & (other_y <= y)
    less = (other_x < x) | (other_y < y)
    best: NDArray[np.bool_] = ~np.any(no_more & less, axis=1)
    return best


def _shades(ax: Axes, cases: Sequence[CaseResult], language: Language) -> list[str]:
    """Return the colour of each case by its fairness, and put the scale of colours below."""
    quantity = QUANTITIES["fairness_p95_x"]
    found = [case.estimate(quantity.name).mean for case in cases]
    known = [value for value in found if math.isfinite(value)]
    if not known:
        return [UNKNOWN] * len(found)
    colours = ScalarMappable(Normalize(min(known), max(known)), "viridis")
    figure = ax.get_figure()
    assert figure is not None  # it was given or made
    bar = figure.colorbar(colours, ax=ax, location="bottom", aspect=40, pad=0.02)
    plain_numbers(bar.ax.xaxis)
    bar.set_label(quantity.axis(language))
    shown = zip(found, colours.to_rgba(np.array(found)), strict=True)
    return [to_hex(tuple(rgba)) if math.isfinite(x) else UNKNOWN for x, rgba in shown]


def _plane(
    ax: Axes,
    across: tuple[Quantity, list[Estimate]],
    up: tuple[Quantity, list[Estimate]],
    better: str,
    language: Language,
) -> None:
    """Name the axes of points that are drawn; they are logarithmic where cases are far apart."""
    ax.margins(0.12)
    for (quantity, found), axis, set_scale, end in (
        (across, ax.xaxis, ax.set_xscale, f"\n{phrase(better, language)}"),
        (up, ax.yaxis, ax.set_yscale, ""),
    ):
        if is_wide(estimate.p50 for estimate in found):
            set_scale("log")
        plain_numbers(axis)
        text = scale_of(quantity, found, language).label(quantity, language)
        axis.set_label_text(wrap(text, 40) + end)
    ax.grid()


def _cross(
    ax: Axes, right: FloatArray, high: FloatArray, colour: str, look: dict[str, Any]
) -> list[Line2D]:
    """Draw a point with its ranges: in each direction where it is, and both ends, with a tick."""
    ax.plot(right[1:], (high[0], high[0]), marker="|", color=colour, linewidth=1.4)
    ax.plot((right[0], right[0]), high[1:], marker="_", color=colour, linewidth=1.4)
    return ax.plot(right[0], high[0], zorder=4, **look)


def _stay_near(
    axis: Axis,
    set_limits: Callable[[float, float], object],
    points: FloatArray,
    ends: Sequence[tuple[float, float]],
) -> bool:
    """Limit an axis to the points and some room for their intervals; whether one is cut."""
    is_log = axis.get_scale() == "log"
    known = np.array([pair for pair in ends if all(map(math.isfinite, pair))])
    at = np.log10(points) if is_log else points
    room = ROOM * float(np.ptp(at))
    if not room or not known.size:
        return False
    low, high = at.min() - room, at.max() + room
    limits = np.array([low, high])
    limits = 10**limits if is_log else limits
    is_cut = known.min() < limits[0] or known.max() > limits[1]
    if is_cut:
        limits = np.clip(limits, *axis.get_view_interval())
        set_limits(*limits)
        plain_numbers(axis)
    return bool(is_cut)


def _cut_far_away(ax: Axes, crosses: Sequence[tuple[FloatArray, FloatArray]]) -> bool:
    """Limit both axes to points and some room for their ranges; whether one goes on beyond it.

    An arrow at the edge says which do.
    """
    of_x, of_y = np.transpose(crosses, (1, 2, 0))
    has_cut = [
        _stay_near(axis, limit, of[0], [*zip(of[1], of[2], strict=True)])
        for axis, limit, of in ((ax.xaxis, ax.set_xlim, of_x), (ax.yaxis, ax.set_ylim, of_y))
    ]
    (left, end), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for right, high in crosses:
        for is_cut, x, y, arrow in (
            (right[1] < left, left, high[0], CARETLEFT),
            (right[2] > end, end, high[0], CARETRIGHT),
            (high[1] < bottom, right[0], bottom, CARETDOWN),
            (high[2] > top, right[0], top, CARETUP),
        ):
            if is_cut:
                look: dict[str, Any] = {"marker": arrow, "color": ARROWS, "markersize": ARROW}
                ax.plot(x, y, linestyle="", clip_on=False, zorder=3, **look)
    return any(has_cut)


def _alike(curves: Sequence[FloatArray]) -> list[tuple[int, int]]:
    """Return of each curve the first that has the same values, and how it is drawn over that."""
    seen: dict[bytes, tuple[int, int]] = {}
    found = []
    for i, values in enumerate(curves):
        key = np.sort(values).tobytes()
        first, n = seen.get(key, (i, -1))
        seen[key] = first, min(n + 1, len(DASHES) - 1)
        found.append(seen[key])
    return found


def _same_as(result: Result, first: int, i: int, language: Language) -> str:
    """Return a line that says whose curve one covers, or nothing."""
    if first == i:
        return ""
    name = wrap(list(result.cases)[first], 20, 1)
    return f"\n{plain_lines(phrase('same_curve_as', language, name=name))}"


def _share_done(ax: Axes, i: int, values: FloatArray, middle: float, dashes: str) -> Line2D:
    """Draw the share of values up to each, with its middle; the point of the case is returned."""
    values = np.sort(values[~np.isnan(values)])
    known = values[np.isfinite(values)]
    share = np.arange(1, known.size + 1) / max(values.size, 1)
    if known.size > MOST_STEPS:
        seen = np.linspace(0, known.size - 1, MOST_STEPS).astype(np.intp)
        known, share = known[seen], share[seen]
    x, y = np.r_[known[:1], known], np.r_[np.zeros(known[:1].size), share]
    ax.step(x, y, dashes, where="post", color=case_colour(i))
    if not math.isfinite(middle):
        return Line2D([], [], **_look(i))
    return ax.plot(middle, 0.5, **_look(i))[0]


def _middle(values: FloatArray) -> float:
    """Return the value by which half are done, where a curve of `_share_done` passes a half."""
    return float(np.quantile(values, 0.5, method="inverted_cdf")) if values.size else math.nan


def _of_shares(ax: Axes, across: str, up: str) -> None:
    ax.set_ylim(0, 1.02)
    ax.set_xlabel(across)
    plain_numbers(ax.xaxis)
    ax.set_ylabel(up)
    ax.grid()


def _legend(
    ax: Axes, handles: Sequence[Artist], names: Sequence[str], markerscale: float = 1.0
) -> None:
    ax.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        fontsize=9,
        markerscale=markerscale,
    )


def _front(ax: Axes, points: FloatArray, dashes: str) -> Line2D:
    """Draw a line through the points that none beats in both directions, round all others."""
    best = points[_is_best(points)]
    front = best[np.argsort(best[:, 0])]
    ends = (front[0, 0], points[:, 1].max()), (points[:, 0].max(), front[-1, 1])
    steps = np.vstack([ends[0], front, ends[1]]).T
    look: dict[str, Any] = {"drawstyle": "steps-post", "linewidth": 1.0, "zorder": 2}
    return ax.plot(*steps, f"k{dashes}", **look)[0]


def _hollow(colour: str) -> dict[str, Any]:
    """Return what is other in the look of a hollow point."""
    return {"markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 1.8}


def _look(i: int) -> dict[str, Any]:
    """Return how the point of a case looks."""
    return {
        "linestyle": "",
        "marker": case_marker(i),
        "color": case_colour(i),
        "markersize": 8,
        "markeredgecolor": "white",
    }
