"""Figures with a row for each case: where chip time went, amounts, ratios to the first case."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from computeplan.arrays import FloatArray
from computeplan.errors import ComputePlanError
from computeplan.quantities import QUANTITIES, TIMES, Quantity, significant
from computeplan.report import Language
from computeplan.report.drawing import (
    case_rows,
    estimates,
    how_to_read,
    is_wide,
    legend_above,
    numbers_beside,
    plain_numbers,
    put_title,
    run_range,
    scale_of,
    texts_of,
)
from computeplan.report.numbers import called, headline
from computeplan.report.style import PHASE_COLOURS, case_colour, case_marker, label, new_axes
from computeplan.report.words import phrase
from computeplan.results.cases import CaseResult
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result
from computeplan.units import DAY_S, HOUR_S

__all__ = [
    "amounts",
    "chip_time",
    "compared",
    "deadline_days",
    "held_shares",
    "parts_of",
    "points",
    "ratio",
    "ratios",
]

HELD = ("train", "save", "lost", "restart", "blocked")
"""Phases of chips that a job holds."""
LEAST_PART = 0.01
"""Share of a bar from which its parts are drawn apart."""
LEAST_SEEN = 0.0005
"""Share of a bar that is about a pixel: a phase with less in every bar is not in the legend."""
# M. Okabe and K. Ito, "Color Universal Design", 2008: what is compared, and is no case.
QUANTITY_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")


def held_shares(result: Result) -> FloatArray:
    """Return how the chip time that jobs hold is shared; shape (n_cases, n_phases)."""
    estimates(result, "train_chip_h")
    cases = result.cases.values()
    hours = np.nan_to_num([[c.estimate(f"{p}_chip_h").mean for p in HELD] for c in cases])
    shares: FloatArray = hours / np.maximum(hours.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return shares


def chip_time(result: Result, ax: Axes | None, language: Language) -> Axes:
    """Return where the chip time of the jobs went, a bar per case, and the ETTR with its range."""
    shares = held_shares(result)
    ax = new_axes(ax, len(result.cases) + 1.0)
    rows = range(len(result.cases))
    left = np.zeros(len(rows))
    for phase, width in zip(HELD, shares.T, strict=True):
        text = (
            QUANTITIES[f"{phase}_chip_h"].axis(language, "") if width.max() > LEAST_SEEN else None
        )
        ax.barh(rows, width, 0.62, left=left, color=PHASE_COLOURS[phase], label=text)
        left += width
    degraded = QUANTITIES["goodput_frac"] in headline(result)
    quantity = QUANTITIES["goodput_frac" if degraded else "ettr"]
    kept = [case.estimate(quantity.name) for case in result.cases.values()]
    # With several jobs the ETTR counts their time in the queue, which is no chip time.
    has_queue = any(len(case.job_names) > 1 for case in result.cases.values())
    handles, texts = ax.get_legend_handles_labels()
    if not has_queue:
        for row, found in enumerate(kept):
            run_range(ax, row, found, 1.0, "black")
            ax.plot(found.p50, row, "D", color="black", markersize=4, zorder=4)
        handles.append(Line2D([], [], color="black", marker="D", markersize=4, linewidth=1.2))
        texts.append(phrase("goodput_and_range" if degraded else "ettr_and_range", language))
    numbers_beside(
        ax, texts_of(result, quantity, kept, scale_of(quantity, kept, language), language)
    )
    head = phrase("ettr_queueing_included", language) if has_queue else "ETTR"
    if degraded:
        head = phrase("goodput", language)
    ax.text(1.02, 1.0, head, transform=ax.transAxes, va="bottom", fontsize=9)
    case_rows(ax, result)
    ax.set_xlim(0, 1)
    ax.set_xlabel(phrase("share_of_chip_time", language))
    n_rows = legend_above(ax, 3, handles, texts)
    put_title(ax, result, phrase("chip_time", language), "", language, rows_below=n_rows)
    return ax


def parts_of(result: Result, quantity: Quantity) -> tuple[Quantity, Quantity] | None:
    """Return the parts of an amount, of jobs and of idle chips, if both are worth a look."""
    if any(case.by_site and case.by_site.services for case in result.cases.values()):
        return None  # a third part
    head, _, unit = quantity.name.partition("_")
    names = (f"{head}_jobs_{unit}", f"{head}_idle_{unit}")
    if not all(name in case.values for name in names for case in result.cases.values()):
        return None
    shares = [
        case.estimate(names[1]).p50 / max(case.estimate(quantity.name).p50, np.finfo(float).tiny)
        for case in result.cases.values()
    ]
    is_seen = max(shares) > LEAST_PART
    if not is_seen:
        return None
    return called(result, QUANTITIES[names[0]]), called(result, QUANTITIES[names[1]])


def _share_of_jobs(case: CaseResult, whole: Quantity, of_jobs: Quantity) -> float:
    """Return the share of a whole that is of jobs, in all runs together."""
    return float(np.nansum(case.values[of_jobs.name]) / np.nansum(case.values[whole.name]))


def amounts(result: Result, ax: Axes | None, quantity: Quantity, language: Language) -> Axes:
    """Return an amount per case, from 0, in parts of jobs and of idle chips where it has them."""
    found = estimates(result, quantity.name)
    scale = scale_of(quantity, found, language)
    ax = new_axes(ax, len(found) + 0.5)
    parts = parts_of(result, quantity)
    cases = [*result.cases.values()]
    for i, estimate in enumerate(found):
        if not math.isfinite(estimate.p50):
            continue
        whole = estimate.p50 / scale.size
        of_jobs = whole if parts is None else whole * _share_of_jobs(cases[i], quantity, parts[0])
        ax.barh(i, of_jobs, 0.62, color=case_colour(i), alpha=0.85)
        ax.barh(i, whole - of_jobs, 0.62, left=of_jobs, color=case_colour(i), alpha=0.35)
        run_range(ax, i, estimate, scale.size, "black")
    numbers_beside(ax, texts_of(result, quantity, found, scale, language))
    case_rows(ax, result)
    ax.set_xlim(left=0)
    _label_x(ax, scale.label(quantity, language))
    n_rows = 0
    if parts is not None:
        handles = [Patch(color="#555555", alpha=alpha) for alpha in (0.85, 0.35)]
        n_rows = legend_above(ax, 2, handles, [part.axis(language, "") for part in parts])
    title, how = quantity.axis(language, ""), how_to_read(result, language)
    put_title(ax, result, title, how, language, rows_below=n_rows)
    return ax


def points(result: Result, ax: Axes | None, quantity: Quantity, language: Language) -> Axes:
    """Return a time per case as a point with its range, and the deadline if there is one."""
    found = estimates(result, quantity.name)
    scale = scale_of(quantity, found, language)
    ax = new_axes(ax, len(found) + 0.5)
    for i, estimate in enumerate(found):
        run_range(ax, i, estimate, scale.size, case_colour(i))
        if math.isfinite(estimate.p50):
            ax.plot(estimate.p50 / scale.size, i, "o", color=case_colour(i), markersize=7, zorder=4)
    numbers_beside(ax, texts_of(result, quantity, found, scale, language))
    case_rows(ax, result)
    ends = [x / scale.size for e in found for x in (e.p5, e.p50, e.p95)]
    if is_wide(ends):
        ax.set_xscale("log")
    n_rows = 0
    if (due := deadline_days(result)) is not None and quantity.unit == "d":
        ax.axvline(due / scale.size, color="black", linestyle="--", linewidth=1.2)
        handle = Line2D([], [], color="black", linestyle="--", linewidth=1.2)
        n_rows = legend_above(ax, 1, [handle], [phrase("deadline", language)])
    _label_x(ax, scale.label(quantity, language))
    ax.margins(x=0.08)
    title, how = quantity.axis(language, ""), how_to_read(result, language)
    put_title(ax, result, title, how, language, rows_below=n_rows)
    return ax


def deadline_days(result: Result) -> float | None:
    """Return the deadline from the arrival, where all cases have one job with the same."""
    found = set()
    for case in result.cases.values():
        texts = case.job_facts.get("deadline_h", ())
        if len(texts) != 1 or not texts[0] or "start_h" not in case.jobs:
            return None
        arrival_h = np.nanmin(case.jobs["start_h"] - case.jobs["wait_h"])
        found.add((float(texts[0]) - float(arrival_h)) * HOUR_S / DAY_S)
    return found.pop() if len(found) == 1 else None


def ratios(result: Result, ax: Axes | None, language: Language) -> Axes:
    """Return time, energy and cost of every case over those of the first, run by run."""
    base, *others = result.cases.values()
    quantities = compared(result)
    if not others or not quantities:
        raise ComputePlanError(f"{result.name}: nothing to draw, no case to compare with another")
    ax = new_axes(ax, (0.35 * len(quantities) + 0.45) * len(others) + 0.8)
    step = 0.7 / len(quantities)
    ends, rows = [1.0], []
    for i, case in enumerate(others):
        for k, quantity in enumerate(quantities):
            row = i + (k - (len(quantities) - 1) / 2) * step
            found = ratio(case, base, quantity)
            is_known = math.isfinite(found.p50)
            if is_known:
                colour = QUANTITY_COLOURS[k]
                ends += [found.p5, found.p50, found.p95]
                run_range(ax, row, found, 1.0, colour)
                ax.plot(found.p50, row, case_marker(k), color=colour, markersize=7)
            rows.append((row, f"x {significant(found.p50, 3)}" if is_known else "-"))
    ax.axvline(1.0, color="black", linewidth=1.2)
    for row, text in rows:
        ax.text(1.02, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9)
    if is_wide(ends, 8):
        ax.set_xscale("log")
    ax.margins(x=0.08)
    names = [label(name) for name in result.cases]
    ax.set_yticks(range(len(others)), names[1:], fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(others) - 0.5, -0.5)
    first = label(next(iter(result.cases)), width=40, lines=1)
    _label_x(ax, phrase("times_of", language, case=first))
    handles = [
        Line2D([], [], color=QUANTITY_COLOURS[k], marker=case_marker(k), linewidth=1.4)
        for k in range(len(quantities))
    ]
    n_rows = legend_above(ax, 3, handles, [q.axis(language, "") for q in quantities])
    title = phrase("compared_with", language, case=first)
    put_title(ax, result, title, how_to_read(result, language), language, rows_below=n_rows)
    return ax


def compared(result: Result) -> list[Quantity]:
    """Return the time, energy and cost that a reader is shown of this result."""
    wanted = (*TIMES, "energy_kwh", "kwh_per_gtok", "cost_usd")
    more = ("cost_cny", "usd_per_gtok", "cny_per_gtok")
    return [q for q in headline(result) if q.name in (*wanted, *more)]


def ratio(case: CaseResult, base: CaseResult, quantity: Quantity) -> Estimate:
    """Return a quantity over that of another case, run by run; inf where only the case is cut."""
    none = np.full(case.n_runs, np.nan)
    over, under = (c.values.get(quantity.name, none) for c in (case, base))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(np.isfinite(under), over / under, np.nan)
    # Runs in which the first case is cut are no random choice of all.
    return Estimate.of(none if np.isnan(found).any() else found)


def _label_x(ax: Axes, text: str) -> None:
    ax.set_xlabel(text)
    plain_numbers(ax.xaxis)
    ax.grid(axis="x")
