"""Tables, document and figure of what was fitted to a fault log."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterable, Sequence
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
from computeplan.fitting.seen import Seen
from computeplan.fitting.survival import Interval, LawFit, best_law
from computeplan.notes import Note
from computeplan.report import Language
from computeplan.report.style import case_colour, drawn, new_axes, one_line, style
from computeplan.report.table import Table
from computeplan.report.words import phrase, sentence, sentences
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
_MODELS = {"constant": "constant_rate", "wandering": "wandering_rate"}
_FORECASTS = {
    "faults": "faults",
    "nodes down, mean": "nodes_down_mean",
    "nodes down, 95th percentile": "nodes_down_p95",
}
_HIDDEN = {
    "history",
    "durations",
    "covariance",
    "repair",
    "durations_s",
    "often",
}  # long, or said elsewhere


def _of(interval: Interval, language: Language, scale: float = 1.0, digits: int = 3) -> str:
    value, low, high = (
        _short(x / scale, digits) for x in (interval.value, interval.low, interval.high)
    )
    return f"{value}\n{phrase('from_to', language, low=low, high=high)}"


def _short(value: float, digits: int = 3) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.{digits}g}"


# Tables ------------------------------------------------------------------------------------------


def causes_table(fit: FleetFit, *, language: Language = "en") -> Table:
    """Return one row for each cause and one for all: rates, what they take, repairs."""
    rows = []
    for cause in (fit.all, *fit.causes):
        best = cause.repair
        share = cause.takes_node
        rows.append(
            (
                phrase("all_causes", language) if cause is fit.all else one_line(cause.name),
                f"{cause.n}",
                _of(cause.per_up_s, language, 1 / PER_THOUSAND),
                _of(cause.per_wall_s, language, 1 / PER_THOUSAND),
                "" if math.isnan(share.value) else _of(share, language, digits=2),
                "" if math.isnan(cause.repair_median_s) else f"{cause.repair_median_s / DAY_S:.3g}",
                "" if best is None else _of(best.mean_s, language, DAY_S),
                _law_name(best, language),
            )
        )
    codes = (
        "cause",
        "faults",
        "rate_in_service",
        "rate_of_fleet",
        "takes_the_node",
        "median_repair_d",
        "mean_repair_d",
        "law",
    )
    n_nodes, days = fit.history.n_nodes, fit.history.length_s / DAY_S
    title = phrase("faults_of_nodes", language, n=fit.all.n, n_nodes=n_nodes, days=days)
    notes = (*sentences(fit.history.notes, language), phrase("how_intervals", language))
    return Table(title, _heads(codes, language), tuple(rows), notes)


def _law_name(law: LawFit | Seen | None, language: Language) -> str:
    """Return what a law is called in tables, nothing for none."""
    if isinstance(law, Seen):
        return phrase("as_seen", language)
    return "" if law is None else law.name


def _heads(codes: Iterable[str], language: Language) -> tuple[str, ...]:
    return tuple(phrase(code, language) for code in codes)


def laws_table(fit: FleetFit, *, language: Language = "en") -> Table:
    """Return the laws fitted to times between faults and to repairs, of all causes."""
    rows = []
    for what, laws in (("between_faults", fit.all.gaps), ("repair", fit.all.repairs)):
        best = best_law(laws)
        rows += [_law_row(phrase(what, language), law, language, law is best) for law in laws]
    codes = (
        "of_all_causes",
        "law",
        "shape",
        "scale_d",
        "median_d",
        "mean_d",
        "p95_d",
        "aic",
        "p_of_fit",
        "seen_and_censored",
    )
    notes = _heads(("what_between_faults", "what_p_of_fit"), language)
    title = phrase("laws_fitted", language)
    return Table(title, _heads(codes, language), tuple(rows), notes)


def _law_row(what: str, law: LawFit, language: Language, is_best: bool) -> tuple[str, ...]:
    times = (law.scale_s, law.median_s, law.mean_s, law.p95_s)
    return (
        what,
        f"{law.name}{' *' if is_best else ''}",
        "" if law.shape is None else _of(law.shape, language),
        *(_of(time, language, DAY_S) for time in times),
        f"{law.aic:.1f}",
        "" if math.isnan(law.p_fit) else f"{law.p_fit:.2g}",
        f"{law.n_events}, {law.n_censored}",
    )


def months_table(fit: FleetFit, *, language: Language = "en") -> Table:
    """Return the faults of each window of 30 days."""
    edges, rows = fit.drift.edges_s / DAY_S, []
    for i, (n, rate) in enumerate(zip(fit.drift.counts, fit.drift.per_node_s, strict=True)):
        days = phrase("from_to", language, low=f"{edges[i]:g}", high=f"{edges[i + 1]:g}")
        per_day = n / (edges[i + 1] - edges[i])
        rows.append((days, f"{n}", f"{per_day:.2f}", _of(rate, language, 1 / PER_THOUSAND)))
    head = _heads(("days", "faults", "a_day", "per_1000_node_days"), language)
    return Table(phrase("faults_by_window", language), head, tuple(rows))


def prediction_table(predictions: Sequence[Prediction], *, language: Language = "en") -> Table:
    """Return what each model says of later days, and whether the truth lies inside."""
    rows = tuple(
        (
            phrase(_MODELS[p.model], language),
            phrase(_FORECASTS[f.name], language),
            _short(f.expected),
            phrase("from_to", language, low=_short(f.low), high=_short(f.high)),
            _short(f.truth),
            phrase("inside" if f.is_inside else "outside", language),
            f"{f.below:.1%}",
        )
        for p in predictions
        for f in p.forecasts
    )
    first = predictions[0]
    until, to = first.fit_until_s / DAY_S, first.to_s / DAY_S
    codes = ("rate", "of_what", "expected", "interval_95", "truth", "truth_is", "draws_below")
    law = _law_name(first.repair, language)
    notes = [phrase("how_predicted", language, law=law, n=first.n_draws)]
    n_windows = math.ceil(first.fit_until_s / WINDOW_S)
    if n_windows < LEAST_WINDOWS:
        notes.append(phrase("few_windows_tell", language, n=n_windows))
    title = phrase("predicted_days", language, until=until, to=to)
    return Table(title, _heads(codes, language), rows, tuple(notes))


def lemons_table(gain: LemonGain, *, language: Language = "en") -> Table:
    """Return what retiring the worst nodes gains, in sample, later, and by chance."""

    def chance(parts: tuple[float, float, float]) -> str:
        mean, low, high = (f"{part:.1%}" for part in parts)
        return f"{mean} ({phrase('from_to', language, low=low, high=high)})"

    day, n = f"{gain.split_s / DAY_S:g}", gain.n_retired
    rows = (
        (
            phrase("faults_before_day", language, day=day),
            f"{gain.in_sample:.1%}",
            chance(gain.equal_in_sample),
        ),
        (
            phrase("faults_after_day", language, day=day),
            f"{gain.later:.1%}",
            chance(gain.equal_later),
        ),
    )
    shares = {"expected": gain.expected_later, "p": gain.p_later}
    notes = (
        phrase("expected_later", language, day=day, **shares),
        phrase("worst_over_window", language, n=n, share=gain.whole),
    )
    title = phrase("retiring_the_worst", language, n=n, n_nodes=gain.n_nodes)
    return Table(title, _heads(("gain", "this_log", "equal_nodes"), language), rows, notes)


# JSON --------------------------------------------------------------------------------------------


def fit_document(
    fit: FleetFit,
    predictions: Sequence[Prediction] = (),
    gain: LemonGain | None = None,
    *,
    language: Language = "en",
) -> dict[str, Any]:
    """Return everything as plain data; what is not finite is null, times are in seconds.

    Sentences are in the language; keys never are.
    """
    history = fit.history
    return {
        "nodes": history.n_nodes,
        "window_s": history.length_s,
        "notes": sentences(history.notes, language),
        "findings": sentences(fit.findings, language),
        "not_played_yet": sentences(unplayed(fit), language),
        **{
            name: _plain(getattr(fit, name), language)
            for name in ("all", "causes", "dispersion", "drift", "wander")
        },
        "predictions": [_plain(p, language) for p in predictions],
        "lemons": _plain(gain, language),
    }


def _plain(value: Any, language: Language) -> Any:
    if isinstance(value, Note):
        return sentence(value, language)
    if is_dataclass(value) and not isinstance(value, type):
        shown = {f.name: getattr(value, f.name) for f in fields(value) if f.name not in _HIDDEN}
        if hasattr(value, "is_inside"):
            shown["is_inside"] = value.is_inside
        return {name: _plain(part, language) for name, part in shown.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), language)
    if isinstance(value, list | tuple):
        return [_plain(item, language) for item in value]
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
    name = phrase("faults_a_week", language)
    ax.bar(left, faults, width, align="edge", color="#D9D9D9", edgecolor="white", label=name)
    flat = fit.all.per_wall_s
    scale = history.n_nodes * week
    ends = np.array([0.0, history.length_s / DAY_S])
    names = (
        phrase("constant_rate_and_interval", language),
        phrase("rate_by_window_and_interval", language),
    )
    months = zip(fit.drift.per_node_s, itertools.pairwise(fit.drift.edges_s), strict=True)
    drawn = [(flat, ends, 0), *((rate, np.array(span) / DAY_S, 1) for rate, span in months)]
    for i, (rate, span, k) in enumerate(drawn):
        low, value, high = (x * scale for x in (rate.low, rate.value, rate.high))
        colour = case_colour(k)
        ax.fill_between(span, low, high, color=colour, alpha=0.25, linewidth=0)
        name = names[k] if i < len(names) else ""
        ax.plot(span, [value] * 2, ("-", "--")[k], color=colour, label=name)
    _label_axes(ax, "days", "faults_a_week", language)
    return ax


@drawn
def node_counts(fit: FleetFit, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return axes with how many nodes failed how often, against Poisson and negative binomial."""
    ax = new_axes(ax, 8)
    counts = fit.history.per_node()
    most = min(int(counts.max()), 60)
    k = np.arange(most + 1)
    seen = np.bincount(np.minimum(counts, most), minlength=most + 1)
    name = phrase("nodes_of_this_log", language)
    ax.bar(k, seen, 0.8, color="#D9D9D9", label=name)
    mean, shape = float(counts.mean()), fit.dispersion.mixture.shape.value
    laws = {phrase("poisson", language): stats.poisson.pmf(k, mean)}
    if math.isfinite(shape):
        laws[phrase("negative_binomial", language)] = stats.nbinom.pmf(
            k, shape, shape / (shape + mean)
        )
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
    _label_axes(ax, "faults_of_a_node", "nodes", language)
    return ax


@drawn
def repair_survival(fit: FleetFit, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return axes with the share of repairs that last longer (Kaplan-Meier) and the fitted laws."""
    ax = new_axes(ax, 8)
    away = fit.all.durations
    if away.known_s.size == 0:
        text = phrase("no_repairs", language)
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
    name = phrase("repairs_kaplan_meier", language)
    ax.step(x, survival.probabilities, where="post", color="#7F7F7F", label=name)
    times = np.geomspace(x.min(), x.max() * 1.5, 200)
    for i, law in enumerate(fit.all.repairs):
        dashes = ("-", "--", ":")[i]
        ax.plot(times, law.frozen.sf(times * DAY_S), dashes, color=case_colour(i), label=law.name)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.set_ylim(0, 1.02)
    _label_axes(ax, "days", "share_that_lasts_longer", language)
    return ax


def _label_axes(ax: Axes, x: str, y: str, language: Language) -> None:
    ax.set_xlabel(phrase(x, language))
    ax.set_ylabel(phrase(y, language))
    ax.legend(fontsize=9)
