"""Tables, document and figure of what was fitted to a fault log."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter
from scipy import stats

from computeplan.fitting.drift import LEAST_WINDOWS, WINDOW_S, windows_s
from computeplan.fitting.fit import FleetFit
from computeplan.fitting.forecast import Prediction
from computeplan.fitting.played import unplayed
from computeplan.fitting.retirement import LemonGain
from computeplan.fitting.survival import Interval, LawFit, best_law
from computeplan.notes import Note
from computeplan.report import Language
from computeplan.report.style import case_colour, drawn, new_axes, one_line, say, style
from computeplan.report.table import Table
from computeplan.report.words import sentence
from computeplan.units import DAY_S

__all__ = [
    "causes_table",
    "fit_document",
    "fit_figure",
    "laws_table",
    "lemons_table",
    "months_table",
    "node_counts",
    "prediction_table",
    "repair_survival",
    "weekly_faults",
]

PER_THOUSAND = 1000 * DAY_S
_HIDDEN = {"history", "durations", "covariance", "repair"}  # long, or said elsewhere


def _of(interval: Interval, scale: float = 1.0, digits: int = 3) -> str:
    value, low, high = (
        _short(x / scale, digits) for x in (interval.value, interval.low, interval.high)
    )
    return f"{value}\n{low} to {high}"


def _short(value: float, digits: int = 3) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.{digits}g}"


# Tables ------------------------------------------------------------------------------------------


def causes_table(fit: FleetFit) -> Table:
    """Return one row for each cause and one for all: rates, what they take, repairs."""
    rows = []
    for cause in (fit.all, *fit.causes):
        best = best_law(cause.repairs)
        share = cause.takes_node
        rows.append(
            (
                one_line(cause.name),
                f"{cause.n}",
                _of(cause.per_up_s, 1 / PER_THOUSAND),
                _of(cause.per_wall_s, 1 / PER_THOUSAND),
                "" if math.isnan(share.value) else _of(share, digits=2),
                "" if math.isnan(cause.repair_median_s) else f"{cause.repair_median_s / DAY_S:.3g}",
                "" if best is None else _of(best.mean_s, DAY_S),
                "" if best is None else best.name,
            )
        )
    head = (
        "cause",
        "faults",
        "per 1000 node-days\nin service",
        "per 1000 node-days\nof the fleet",
        "takes\nthe node",
        "median\nrepair [d]",
        "mean of the law\nof repairs [d]",
        "law",
    )
    history = fit.history
    title = f"{fit.all.n} faults of {history.n_nodes:,} nodes in {history.length_s / DAY_S:.5g} d"
    notes = (
        *_plain(history.notes),
        (
            "95 % intervals: of rates and shares exact (Garwood; Clopper-Pearson), of laws Wald's"
            " from the Hessian in logarithms; medians are Kaplan and Meier's"
        ),
    )
    return Table(title, head, tuple(rows), notes)


def laws_table(fit: FleetFit) -> Table:
    """Return the laws fitted to times between faults and to repairs, of all causes."""
    rows = []
    for what, laws in (("between faults", fit.all.gaps), ("repair", fit.all.repairs)):
        best = best_law(laws)
        rows += [_law_row(what, law, is_best=law is best) for law in laws]
    head = (
        "of all causes",
        "law",
        "shape",
        "scale [d]",
        "median [d]",
        "mean [d]",
        "p95 [d]",
        "AIC",
        "p of fit",
        "seen,\ncensored",
    )
    notes = (
        "between faults: up time of a node from the end of a repair to its next fault",
        "* least AIC; p of fit: chi-square of events over the fitted hazard (Akritas)",
    )
    return Table("laws by maximum likelihood", head, tuple(rows), notes)


def _law_row(what: str, law: LawFit, *, is_best: bool) -> tuple[str, ...]:
    return (
        what,
        f"{law.name}{' *' if is_best else ''}",
        "" if law.shape is None else _of(law.shape),
        _of(law.scale_s, DAY_S),
        _of(law.median_s, DAY_S),
        _of(law.mean_s, DAY_S),
        _of(law.p95_s, DAY_S),
        f"{law.aic:.1f}",
        "" if math.isnan(law.p_fit) else f"{law.p_fit:.2g}",
        f"{law.n_events}, {law.n_censored}",
    )


def months_table(fit: FleetFit) -> Table:
    """Return the faults of each window of 30 days."""
    edges, rows = fit.drift.edges_s / DAY_S, []
    for i, (n, rate) in enumerate(zip(fit.drift.counts, fit.drift.per_node_s, strict=True)):
        days = f"{edges[i]:g} to {edges[i + 1]:g}"
        per_day = n / (edges[i + 1] - edges[i])
        rows.append((days, f"{n}", f"{per_day:.2f}", _of(rate, 1 / PER_THOUSAND)))
    head = ("days", "faults", "a day", "per 1000 node-days")
    return Table("faults by window of 30 days", head, tuple(rows))


def prediction_table(predictions: Sequence[Prediction]) -> Table:
    """Return what each model says of later days, and whether the truth lies inside."""
    rows = tuple(
        (
            p.model,
            f.name,
            _short(f.expected),
            f"{_short(f.low)} to {_short(f.high)}",
            _short(f.truth),
            "inside" if f.is_inside else "OUTSIDE",
            f"{f.below:.1%}",
        )
        for p in predictions
        for f in p.forecasts
    )
    first = predictions[0]
    until, to = first.fit_until_s / DAY_S, first.to_s / DAY_S
    head = ("rate", "of", "expected", "95 % interval", "truth", "truth is", "draws below")
    law = f"repairs: {first.repair.name}, " if first.repair else ""
    notes = [
        (
            f"{law}{first.n_draws} draws, each with parameters from their sampling distribution;"
            " nothing widens the intervals afterwards"
        ),
    ]
    n_windows = math.ceil(first.fit_until_s / WINDOW_S)
    if n_windows < LEAST_WINDOWS:
        notes.append(
            f"only {n_windows} windows tell how far the rate wanders: its intervals are too short"
        )
    return Table(
        f"fitted to days 0 to {until:g}, days {until:g} to {to:g}", head, rows, tuple(notes)
    )


def lemons_table(gain: LemonGain) -> Table:
    """Return what retiring the worst nodes gains, in sample, later, and by chance."""

    def chance(parts: tuple[float, float, float]) -> str:
        return f"{parts[0]:.1%} ({parts[1]:.1%} to {parts[2]:.1%})"

    day = f"{gain.split_s / DAY_S:g}"
    rows = (
        (f"faults before day {day}", f"{gain.in_sample:.1%}", chance(gain.equal_in_sample)),
        (f"faults after day {day}", f"{gain.later:.1%}", chance(gain.equal_later)),
    )
    count = f"{gain.n_retired} of {gain.n_nodes:,}"
    notes = (
        (
            f"after day {day}, a gamma mixture with the dispersion before it expects them to have"
            f" {gain.expected_later:.1%}; {gain.p_later:.0%} of fleets of equal nodes gain as much"
        ),
        f"over the whole window, the worst {gain.n_retired} hold {gain.whole:.1%}",
    )
    head = ("gain", "this log", "fleet of equal nodes (95 %)")
    return Table(f"retiring the {count} nodes with most faults", head, rows, notes)


# JSON --------------------------------------------------------------------------------------------


def fit_document(
    fit: FleetFit, predictions: Sequence[Prediction] = (), gain: LemonGain | None = None
) -> dict[str, Any]:
    """Return everything as plain data; what is not finite is null, times are in seconds."""
    history = fit.history
    return {
        "nodes": history.n_nodes,
        "window_s": history.length_s,
        "notes": _plain(history.notes),
        "findings": _plain(fit.findings),
        "not_played_yet": _plain(tuple(unplayed(fit))),
        **{
            name: _plain(getattr(fit, name))
            for name in ("all", "causes", "dispersion", "drift", "wander")
        },
        "predictions": [_plain(p) for p in predictions],
        "lemons": _plain(gain),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Note):
        return sentence(value)
    if is_dataclass(value) and not isinstance(value, type):
        shown = {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        shown = {name: part for name, part in shown.items() if name not in _HIDDEN}
        return shown | ({"is_inside": value.is_inside} if hasattr(value, "is_inside") else {})
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


# Figures -----------------------------------------------------------------------------------------


def fit_figure(fit: FleetFit, *, language: Language = "en") -> Axes:
    """Return the first of three axes of one figure: faults by week, by node, and repairs."""
    with mpl.rc_context(style()):
        figure = Figure(figsize=(8.5, 10.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(3, 1)
        weekly_faults(fit, axes[0], language=language)
        node_counts(fit, axes[1], language=language)
        repair_survival(fit, axes[2], language=language)
        first: Axes = axes[0]
    return first


@drawn
def weekly_faults(fit: FleetFit, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return axes with faults a week, the constant rate and the rates by month."""
    ax = new_axes(ax, 8)
    history, week = fit.history, 7 * DAY_S
    edges = windows_s(0.0, history.length_s, week)
    faults = np.histogram(history.fault_s, edges)[0] / np.diff(edges) * week
    left, width = edges[:-1] / DAY_S, np.diff(edges) / DAY_S
    name = say("faults a week", "每周故障数", ax, language)
    ax.bar(left, faults, width, align="edge", color="#D9D9D9", edgecolor="white", label=name)
    flat = fit.all.per_wall_s
    scale = history.n_nodes * week
    ends = np.array([0.0, history.length_s / DAY_S])
    names = (
        say("constant rate, 95 %", "恒定速率，95 %", ax, language),
        say("rate by 30 days, 95 %", "按 30 天的速率，95 %", ax, language),
    )
    months = zip(fit.drift.per_node_s, itertools.pairwise(fit.drift.edges_s), strict=True)
    drawn = [(flat, ends, 0), *((rate, np.array(span) / DAY_S, 1) for rate, span in months)]
    for i, (rate, span, k) in enumerate(drawn):
        low, value, high = (x * scale for x in (rate.low, rate.value, rate.high))
        colour = case_colour(k)
        ax.fill_between(span, low, high, color=colour, alpha=0.25, linewidth=0)
        name = names[k] if i < len(names) else ""
        ax.plot(span, [value] * 2, ("-", "--")[k], color=colour, label=name)
    _say_axes(ax, ("day", "天"), ("faults a week", "每周故障数"), language)
    return ax


@drawn
def node_counts(fit: FleetFit, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return axes with how many nodes failed how often, against Poisson and negative binomial."""
    ax = new_axes(ax, 8)
    counts = fit.history.per_node()
    most = min(int(counts.max()), 60)
    k = np.arange(most + 1)
    seen = np.bincount(np.minimum(counts, most), minlength=most + 1)
    name = say("nodes of this log", "日志中的节点", ax, language)
    ax.bar(k, seen, 0.8, color="#D9D9D9", label=name)
    mean, shape = float(counts.mean()), fit.dispersion.mixture.shape.value
    laws = {"Poisson": stats.poisson.pmf(k, mean)}
    if math.isfinite(shape):
        name = say("negative binomial", "负二项分布", ax, language)
        laws[name] = stats.nbinom.pmf(k, shape, shape / (shape + mean))
    for i, (name, probability) in enumerate(laws.items()):
        # What 95 % of fleets of this law show, so that a bar outside means something.
        low, high = (stats.binom.ppf(q, counts.size, probability) for q in (0.025, 0.975))
        expected = counts.size * probability
        ax.errorbar(
            k + 0.12 * (2 * i - 1),
            expected,
            np.maximum([expected - low, high - expected], 0.0),
            fmt="os"[i],
            color=case_colour(i),
            markersize=4,
            linewidth=1,
            label=f"{name}, 95 %",
        )
    ax.set_yscale("symlog", linthresh=1)
    ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.set_ylim(bottom=0)
    _say_axes(ax, ("faults of a node", "单节点故障数"), ("nodes", "节点数"), language)
    return ax


@drawn
def repair_survival(fit: FleetFit, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return axes with the share of repairs that last longer (Kaplan-Meier) and the fitted laws."""
    ax = new_axes(ax, 8)
    away = fit.all.durations
    if away.known_s.size == 0:
        text = say("the log holds no repairs", "日志中没有修复时间", ax, language)
        ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center")
        return ax
    data = stats.CensoredData(uncensored=away.known_s, right=away.longer_s)
    survival = stats.ecdf(data).sf
    x = survival.quantiles / DAY_S
    with warnings.catch_warnings():  # where none is left, there is no band, and none is drawn
        warnings.simplefilter("ignore", RuntimeWarning)
        band = survival.confidence_interval(0.95, method="log-log")
    low, high = band.low.probabilities, band.high.probabilities
    ax.fill_between(
        x, low, high, step="post", color="#D9D9D9", label="95 %", where=np.isfinite(low)
    )
    name = say("repairs (Kaplan-Meier)", "修复（Kaplan-Meier）", ax, language)
    ax.step(x, survival.probabilities, where="post", color="#7F7F7F", label=name)
    times = np.geomspace(x.min(), x.max() * 1.5, 200)
    for i, law in enumerate(fit.all.repairs):
        dashes = ("-", "--", ":")[i]
        ax.plot(times, law.frozen.sf(times * DAY_S), dashes, color=case_colour(i), label=law.name)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.set_ylim(0, 1.02)
    _say_axes(ax, ("days", "天"), ("share that lasts longer", "更长的比例"), language)
    return ax


def _say_axes(ax: Axes, x: tuple[str, str], y: tuple[str, str], language: Language) -> None:
    ax.set_xlabel(say(*x, ax, language))
    ax.set_ylabel(say(*y, ax, language))
    ax.legend(fontsize=9)
