"""The figures of a result.

Every function takes a Result, draws on the axes given or on a figure of its own, and returns the
axes; nothing is shown and no global setting changes. What is compared decides the form: cases are
rows, so that long names can be read; a sweep over one number is a curve, over two a heat map. The
middle of the runs is drawn with the 5th to 95th percentile around it. A result without what a
figure draws raises a ComputePlanError.

Figures that would tell a reader nothing are not written (`save_figures`): bars that are alike,
carbon where it is energy times a constant.

Long because what is drawn and when it tells something stand side by side.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from computeplan.errors import ComputePlanError
from computeplan.quantities import TIMES, Quantity
from computeplan.report import FIGURES, Language, accounts, bars, spread
from computeplan.report.drawing import METADATA, MOST_ROWS, estimates, write_figure
from computeplan.report.fleet_over_time import fleet
from computeplan.report.numbers import headline
from computeplan.report.power_over_time import power
from computeplan.report.style import drawn, style, unseen
from computeplan.report.sweeps import curve, heat_map, sweep_of
from computeplan.report.timeline import pools, timeline
from computeplan.report.utilisation import utilisation
from computeplan.results.cases import CaseResult
from computeplan.study.result import Result

__all__ = [
    "availability",
    "carbon",
    "carbon_by_site",
    "completion_times",
    "cost",
    "cost_by_site",
    "cost_carbon",
    "energy",
    "energy_by_phase",
    "ettr",
    "figures_of",
    "fleet",
    "goodput",
    "pools",
    "power",
    "ratios",
    "save_figures",
    "throughput_energy",
    "time",
    "time_distribution",
    "timeline",
    "tradeoff",
    "unseen_in",
    "utilisation",
]

MAX_TIMELINES = 12
"""Timelines of schedules that are written; a sweep may have thousands."""

ALIKE = 0.01
"""Bars that differ by no more than this share of the largest are alike."""

_SHOWN = {
    "time": TIMES,
    "ettr": ("ettr",),
    "availability": ("available_frac",),
    "energy": ("energy_kwh", "kwh_per_gtok"),
    "cost": ("cost_usd", "cost_cny", "usd_per_gtok", "cny_per_gtok"),
    "carbon": ("carbon_kg", "kg_per_gtok"),
}
"""What a figure may show: of these, what tables show first."""
_TOTALS = ("cost_usd", "cost_cny", "carbon_kg")
"""What is shown where all work is done: of sites there is no more."""

_Otherwise = Callable[[Result, Axes | None, Quantity, Language], Axes]


@drawn
def goodput(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return where the chip time of the jobs went, a bar per case, and the ETTR with its range.

    Idle chips and chips in repair are held by no job and are not in the bars.
    """
    return bars.chip_time(result, ax, language)


@drawn
def time(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the time to train of one job, the makespan of several, and the deadline."""
    return _by_design(result, ax, "time", language, bars.points)


@drawn
def ettr(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the effective training time ratio."""
    return _by_design(result, ax, "ettr", language, bars.points)


@drawn
def availability(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the share of the time in which jobs do not wait for nodes."""
    return _by_design(result, ax, "availability", language, bars.points)


@drawn
def energy(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the energy, of jobs and of idle chips; per token where work is unfinished."""
    return _by_design(result, ax, "energy", language, bars.amounts)


@drawn
def cost(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the cost, of jobs and of idle chips; per token where work is unfinished."""
    return _by_design(result, ax, "cost", language, bars.amounts)


@drawn
def carbon(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the carbon, of jobs and of idle chips; apart from energy, for grids differ."""
    return _by_design(result, ax, "carbon", language, bars.amounts)


@drawn
def energy_by_phase(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the energy at the facility, of the IT and of chips, in parts by what they did."""
    return accounts.by_phase(result, ax, language)


@drawn
def cost_by_site(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the cost of each case in parts of its sites, to the end of the window."""
    return accounts.by_site(result, ax, "cost", language)


@drawn
def carbon_by_site(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return the carbon of each case in parts of its sites, by location and by the market."""
    return accounts.by_site(result, ax, "carbon", language)


@drawn
def cost_carbon(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return one point per case: carbon against cost, and those that none beats in both."""
    across, up = _quantity(result, "cost"), _quantity(result, "carbon")
    return spread.cost_carbon(result, ax, across, up, language)


@drawn
def ratios(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return time, energy and cost of every case over those of the first, run by run."""
    return bars.ratios(result, ax, language)


@drawn
def throughput_energy(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return one point per case: tokens kept per second against energy, as `energy` shows it."""
    return spread.throughput_energy(result, ax, _quantity(result, "energy"), language)


@drawn
def time_distribution(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return how the time differs between runs: the share of runs done by each day."""
    return spread.distribution(result, ax, _quantity(result, "time"), language)


@drawn
def completion_times(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return how long jobs take from arrival to end: the share of jobs done, a curve per case."""
    return spread.completion_times(result, ax, language)


@drawn
def tradeoff(result: Result, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return one point per case: completion time of jobs against energy, coloured by fairness."""
    return spread.tradeoff(result, ax, _quantity(result, "energy"), language)


def _quantity(result: Result, kind: str) -> Quantity:
    """Return the quantity that a kind of figure shows of this result."""
    for quantity in headline(result):
        if quantity.name in _SHOWN[kind]:
            return quantity
    raise ComputePlanError(f"{result.name}: nothing to draw, no run has {_SHOWN[kind][0]}")


def _by_design(
    result: Result, ax: Axes | None, kind: str, language: Language, otherwise: _Otherwise
) -> Axes:
    """Draw a quantity in the form that suits what is compared."""
    quantity, sweep = _quantity(result, kind), sweep_of(result)
    is_known = any(math.isfinite(found.p50) for found in estimates(result, quantity.name))
    if sweep is not None and is_known and len(sweep.axes) == 1:
        return curve(result, ax, sweep, quantity, language)
    if sweep is not None and is_known and len(sweep.series) == 1:
        return heat_map(result, ax, sweep, quantity, language)
    return otherwise(result, ax, quantity, language)


_DRAW: dict[str, Callable[..., Axes]] = {
    "goodput": goodput,
    "time": time,
    "ettr": ettr,
    "availability": availability,
    "energy": energy,
    "cost": cost,
    "carbon": carbon,
    "energy_by_phase": energy_by_phase,
    "cost_by_site": cost_by_site,
    "carbon_by_site": carbon_by_site,
    "cost_carbon": cost_carbon,
    "ratios": ratios,
    "throughput_energy": throughput_energy,
    "time_distribution": time_distribution,
    "completion_times": completion_times,
    "tradeoff": tradeoff,
    "timeline": timeline,
    "pools": pools,
    "utilisation": utilisation,
    "power": power,
    "fleet": fleet,
}


def figures_of(result: Result) -> SimpleNamespace:
    """Return the figures of one result as functions of ``ax``: what ``result.plot`` is."""
    return SimpleNamespace(**{kind: partial(draw, result) for kind, draw in _DRAW.items()})


def save_figures(
    result: Result,
    folder: Path,
    kinds: Iterable[str] | None = None,
    *,
    language: Language = "en",
    svg: bool = False,
) -> tuple[str, ...]:
    """Write figures and return the names of the files.

    Of schedules, a timeline is written for each case up to `MAX_TIMELINES`: ``timeline.png``,
    ``timeline-2.png`` and so on; of a single job, for the first case.

    Parameters
    ----------
    result : Result
    folder : Path
        Created if it is not there.
    kinds : iterable of str, optional
        Of `FIGURES`; without, all that tell something of this result.
    language : {"en", "zh"}
        Of the labels.
    svg : bool
        Whether to write an SVG beside every PNG.

    Raises
    ------
    ComputePlanError
        If a kind asked for does not exist or has no data, a file is in the way that is no figure
        of ours, or the disk refuses.
    """
    asked = [kind for kind in FIGURES if _tells(result, kind)] if kinds is None else list(kinds)
    if unknown := [kind for kind in asked if kind not in _DRAW]:
        raise ComputePlanError(f"no figure {', '.join(unknown)}. Figures: {', '.join(FIGURES)}")
    names: list[str] = []
    for name, draw in (drawing for kind in asked for drawing in _drawings(result, kind)):
        for kind in ("png", "svg") if svg else ("png",):
            names.append(f"{name}.{kind}")
            write_figure(folder / names[-1], _file(partial(draw, language=language), kind))
    return tuple(names)


def _tells(result: Result, kind: str) -> bool:
    """Return whether a figure has its data, and more to say than that all cases are alike."""
    try:
        return _TELLS[kind](result)
    except ComputePlanError:
        return False


def _differs(result: Result, kind: str) -> bool:
    found = [estimate.p50 for estimate in estimates(result, _quantity(result, kind).name)]
    is_drawn = sweep_of(result) is not None or len(result.cases) <= MOST_ROWS
    return is_drawn and not _are_alike(found)


def _are_alike(found: Iterable[float]) -> bool:
    """Return whether two or more numbers are alike; infinite ones are alike to one another."""
    values = np.array([value for value in found if not np.isnan(value)])
    if values.size == 0 or np.isinf(values).all():
        return True
    if values.size == 1 or np.isinf(values).any():
        return False
    return bool(np.ptp(values) <= ALIKE * np.abs(values).max())


def _chip_time_differs(result: Result) -> bool:
    shares = bars.held_shares(result)
    is_alike = len(shares) > 1 and bool((np.ptp(shares, axis=0) <= ALIKE).all())
    return len(shares) <= MOST_ROWS and not is_alike


def _carbon_differs(result: Result) -> bool:
    """Return whether carbon says anything that energy does not."""
    per_kwh = np.concatenate(
        [
            case.values["carbon_kg"] / np.maximum(case.values["energy_kwh"], 1e-300)
            for case in result.cases.values()
            if {"carbon_kg", "energy_kwh"} <= case.values.keys()
        ]
        or [np.full(1, np.nan)]
    )
    return _differs(result, "carbon") and not _are_alike((np.nanmin(per_kwh), np.nanmax(per_kwh)))


def _phases_differ(result: Result) -> bool:
    """Return whether energy has parts, and cases differ in them."""
    if len(result.cases) > accounts.MOST_CASES or sweep_of(result) is not None:
        return False
    parts = accounts.phase_shares(result)
    if np.isnan(parts).all():
        return False
    longest = np.nanmax(np.nansum(parts, axis=2))
    n_parts = int((np.nan_to_num(parts).max(axis=(0, 1)) > ALIKE * longest).sum())
    is_alike = len(parts) > 1 and bool((np.ptp(parts, axis=0) <= ALIKE * longest).all())
    return n_parts > 1 and not is_alike


def _has_several_sites(result: Result) -> bool:
    cases = result.cases.values()
    return any(case.by_site and len(set(case.by_site.sites)) > 1 for case in cases)


def _is_comparable(result: Result, kind: str) -> bool:
    """Return whether totals of cases, if they are known, are of the same work and can be read."""
    is_total = _quantity(result, kind).name in _TOTALS or len(result.cases) == 1
    return is_total and len(result.cases) <= MOST_ROWS and sweep_of(result) is None


def _has_market(result: Result) -> bool:
    """Return whether carbon by the market is known and is not that by location."""
    pairs = [
        (case.values["carbon_kg"], case.values["carbon_market_kg"])
        for case in result.cases.values()
        if {"carbon_kg", "carbon_market_kg"} <= case.values.keys()
    ]
    means = ([float(np.mean(of)) for of in pair] for pair in pairs)
    return any(not np.isnan(two).any() and not _are_alike(two) for two in means)


def _carbon_of_sites_differs(result: Result) -> bool:
    """Return whether carbon stands at several sites, or by two methods."""
    is_more = _has_several_sites(result) or _has_market(result)
    return is_more and _is_comparable(result, "carbon")


def _places_differ(result: Result) -> bool:
    """Return whether carbon and cost of cases differ, and not as their energy does."""
    return (
        1 < len(result.cases) <= MOST_ROWS
        and sweep_of(result) is None
        and _differs(result, "cost")
        and (_carbon_differs(result) or (_has_market(result) and _differs(result, "carbon")))
    )


def _ratios_differ(result: Result) -> bool:
    """Return whether a case differs from the first, run by run: ranges of each hide that."""
    if len(result.cases) > MOST_ROWS or sweep_of(result) is not None:
        return False
    base, *others = result.cases.values()
    quantities = bars.compared(result)
    found = (bars.ratio(case, base, q).p50 for case in others for q in quantities)
    return any(abs(ratio - 1) > ALIKE for ratio in found)


def _is_cloud(result: Result, across: str) -> bool:
    x, y = (estimates(result, name) for name in (across, _quantity(result, "energy").name))
    is_alike = _are_alike(e.p50 for e in x) and _are_alike(e.p50 for e in y)
    return 1 < len(result.cases) <= MOST_ROWS and sweep_of(result) is None and not is_alike


def _is_spread(result: Result) -> bool:
    found = estimates(result, _quantity(result, "time").name)
    ends = [x for estimate in found for x in (estimate.p5, estimate.p95)]
    if not any(estimate.p95 > estimate.p5 for estimate in found):
        return False
    return sweep_of(result) is None and len(found) <= spread.MOST_CURVES and not _are_alike(ends)


def _jobs_differ(result: Result) -> bool:
    """Return whether jobs of a schedule differ in their completion times."""
    found = (case.jobs.get("jct_h", np.empty(0)) for case in result.cases.values())
    known = [times[np.isfinite(times)] for times in found]
    is_seen = sweep_of(result) is None and len(known) <= spread.MOST_CURVES
    return is_seen and _has_schedule(result) and any(not _are_alike(x) for x in known)


def _n_timelines(result: Result) -> int:
    return sum(bool(case.spans) for case in result.cases.values())


def _has_timeline(result: Result) -> bool:
    return any(span.job >= 0 for case in result.cases.values() for span in case.spans)


def _has_schedule(result: Result) -> bool:
    return any(len(case.job_names) > 1 for case in result.cases.values())


def _has_lanes(result: Result) -> bool:
    """Return whether several jobs and services were seen on pools."""
    cases = result.cases.values()
    return any(case.spans and len(case.job_names + case.service_names) > 1 for case in cases)


def _power_changes(result: Result) -> bool:
    """Return whether what a site draws in run 0 rises and falls."""
    series = (one for case in result.cases.values() for one in case.power.values())
    return any(one.largest_step_w > ALIKE * one.peak_w for one in series)


def _fleet_changes(result: Result) -> bool:
    """Return whether chips of services' pools do other things at other times in run 0."""
    series = (case.fleet for case in result.cases.values() if case.fleet is not None)
    return any(bool(np.ptp(one.chips, axis=0).any()) for one in series)


_TELLS: dict[str, Callable[[Result], bool]] = {
    "goodput": _chip_time_differs,
    "time": lambda result: _differs(result, "time"),
    "ettr": lambda result: sweep_of(result) is not None and _differs(result, "ettr"),
    "availability": lambda r: sweep_of(r) is not None and _differs(r, "availability"),
    "energy": lambda result: _differs(result, "energy"),
    "cost": lambda result: _differs(result, "cost"),
    "carbon": _carbon_differs,
    "energy_by_phase": _phases_differ,
    "cost_by_site": lambda r: _has_several_sites(r) and _is_comparable(r, "cost"),
    "carbon_by_site": _carbon_of_sites_differs,
    "cost_carbon": _places_differ,
    "ratios": _ratios_differ,
    "throughput_energy": lambda result: _is_cloud(result, "goodput_tok_per_s"),
    "time_distribution": _is_spread,
    "completion_times": _jobs_differ,
    "tradeoff": lambda result: _has_schedule(result) and _is_cloud(result, "mean_jct_h"),
    "timeline": _has_timeline,
    "pools": _has_lanes,
    "utilisation": lambda r: _has_lanes(r) and 0 < _n_timelines(r) <= MOST_ROWS,
    "power": _power_changes,
    "fleet": _fleet_changes,
}


def unseen_in(result: Result) -> str:
    """Return the characters of a result's names that no font on this machine draws."""
    cases = result.cases.values()
    of_jobs = (text for case in cases for texts in case.job_facts.values() for text in texts)
    of_cases = (
        name
        for case in cases
        for name in (*case.job_names, *case.service_names, *case.pool_names, *case.axes)
    )
    return unseen([result.name, *result.cases, *of_cases, *of_jobs])


def _drawings(result: Result, kind: str) -> list[tuple[str, Callable[..., Axes]]]:
    """Return what is drawn of a kind, by the name of its file without the ending."""
    if kind not in ("timeline", "pools", "power", "fleet"):
        return [(kind, partial(_DRAW[kind], result))]
    is_kept: dict[str, Callable[[CaseResult], bool]] = {
        "power": lambda case: bool(case.power),
        "fleet": lambda case: case.fleet is not None,
        "pools": lambda case: bool(case.spans),
        "timeline": lambda case: any(span.job >= 0 for span in case.spans),
    }
    kept = [name for name, case in result.cases.items() if is_kept[kind](case)]
    # The timelines of a single job look alike; a schedule is worth a picture for each policy.
    kept = kept[: MAX_TIMELINES if _has_lanes(result) else 1]
    return [
        (kind if i == 1 else f"{kind}-{i}", partial(_DRAW[kind], result, case=name))
        for i, name in enumerate(kept, 1)
    ] or [(kind, partial(_DRAW[kind], result))]


def _file(draw: Callable[..., Axes], kind: str) -> bytes:
    """Return a figure as a file whose bytes depend on the drawing alone."""
    figure, out = draw().get_figure(root=True), io.BytesIO()
    assert figure is not None  # it is drawn on a figure of its own
    with mpl.rc_context(style()), warnings.catch_warnings():
        # Names are drawn as they are; the command says what cannot be seen (`unseen_in`).
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(out, format=kind, metadata=METADATA[kind])
    return out.getvalue()
