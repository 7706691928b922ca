"""Run 0 of a case as a Gantt chart: a row per job, and a lane per pool with its chips."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle

from computeplan.errors import ComputePlanError
from computeplan.ledger import FIRST_SERVICE, PHASES, Span
from computeplan.quantities import QUANTITIES
from computeplan.report import Language
from computeplan.report.drawing import legend_above, put_title, time_axis, time_unit
from computeplan.report.held import chips_of_pools
from computeplan.report.style import PHASE_COLOURS, SERVICE_COLOUR, drawn, label, new_axes
from computeplan.report.words import phrase
from computeplan.results.cases import CaseResult
from computeplan.study.result import Result
from computeplan.units import HOUR_S

__all__ = ["MAX_ROWS", "pools", "timeline"]

MAX_ROWS = 40
"""Rows that can still be read; the title says how many more there are."""

MAX_SHAPES = 5000
"""Stretches beyond which an SVG holds them as a picture: a page must still open."""

MAX_SLOTS = 4096
"""Places of a lane that are told apart; of larger pools several chips are one."""
MAX_ROOM = 1.5
"""Times the end of the last job that a time axis may go on, to show a deadline."""
ROUNDING = 1e-9
"""A wait shorter than this share of the picture is none but for rounding."""
LEAST_LANE = 0.25
"""Height of the lane of a small pool, over that of the largest."""

Rows = dict[tuple[str, str], list[Span]]
Box = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The timeline of a case; those of schedules share a time axis."""

    case: str
    found: CaseResult
    spans: list[Span]
    end_s: float

    def name(self, span: Span) -> str:
        """Return whose a span is."""
        if span.job <= FIRST_SERVICE:
            return self.found.service_names[FIRST_SERVICE - span.job]
        return self.found.job_names[span.job]

    @property
    def unit(self) -> tuple[float, str]:
        return time_unit(self.end_s)


def _kept(result: Result, case: str | None, *, with_services: bool = False) -> _Kept:
    """Return the timeline of jobs of a case, or raise if it kept none."""
    kept = [name for name, found in result.cases.items() if found.spans]
    name = case if case is not None else next(iter(kept), None)
    every = () if name is None else result.case(name).spans
    spans = [s for s in every if s.job >= 0 or (with_services and s.job <= FIRST_SERVICE)]
    if name is None or not spans:
        raise ComputePlanError(
            f"{result.name}: no timeline was kept" + (f" of {name!r}" if name else "")
        )
    compared = kept if len(result.case(name).job_names) > 1 else [name]
    end_s = max(span.end_s for other in compared for span in result.cases[other].spans)
    due_s = max(_deadlines_s(result.cases[name]).values(), default=0.0)
    end_s = max(end_s, due_s if due_s <= MAX_ROOM * end_s else 0.0)
    spans.sort(key=lambda span: span.start_s)
    return _Kept(name, result.cases[name], spans, end_s)


@drawn
def timeline(
    result: Result, ax: Axes | None = None, *, case: str | None = None, language: Language = "en"
) -> Axes:
    """Return who did what when in run 0 of a case, a row per job, coloured by phase.

    A thin line before a job is its time in the queue. A black bar is its deadline: ``deadline_h``
    among the facts of the jobs, in hours since the start of the run.

    Parameters
    ----------
    result : Result
    ax : Axes, optional
        Without, those of a new figure.
    case : str, optional
        Name; without, the first case that kept a timeline.
    language : {"en", "zh"}

    Raises
    ------
    ComputePlanError
        If there is no such case, or it kept no timeline.
    """
    kept = _kept(result, case)
    rows = Rows()
    for span in kept.spans:
        row = (kept.found.job_names[span.job], kept.found.pool_names[span.pool])
        rows.setdefault(row, []).append(span)
    shown = dict(list(rows.items())[:MAX_ROWS])
    ax = new_axes(ax, max(1.2, 0.75 * len(shown)) + 1.4, width=9.5)
    places = {row: i for i, row in enumerate(shown)}
    boxes = [
        (span, _box(span, kept, i - 0.35, i + 0.35))
        for row, spans in shown.items()
        for span in spans
        for i in (places[row],)
    ]
    _phases(ax, boxes, language)
    _queues_and_deadlines(ax, kept, list(shown), language)
    _row_names(ax, shown, language)
    time_axis(ax, kept.end_s, language)
    more = (
        phrase("first_rows", language, n=MAX_ROWS, n_all=len(rows)) if len(rows) > MAX_ROWS else ""
    )
    _title(ax, result, phrase("jobs_over_time", language) + more, kept.case, language)
    return ax


@drawn
def pools(
    result: Result, ax: Axes | None = None, *, case: str | None = None, language: Language = "en"
) -> Axes:
    """Return which job or service held which chips of each pool when, in run 0 of a case.

    A lane is as high as its pool has chips; a job is as high as it has chips, named where the name
    fits. Places are given out from the bottom as jobs start, so that what is grey is idle; which
    chips of the pool they are is not told.

    Parameters
    ----------
    result : Result
    ax : Axes, optional
        Without, those of a new figure.
    case : str, optional
        Name; without, the first case that kept a timeline.
    language : {"en", "zh"}

    Raises
    ------
    ComputePlanError
        If there is no such case, or it kept no timeline.
    """
    kept = _kept(result, case, with_services=True)
    lanes = chips_of_pools(kept.found, kept.spans)
    largest = max(lanes.values())
    ax = new_axes(
        ax, 2.0 + 4.5 * sum(max(n / largest, LEAST_LANE) for n in lanes.values()), width=9.5
    )
    boxes: list[tuple[Span, Box]] = []
    outlines: list[Box] = []
    bottom, ticks, names = 0.0, [], []
    for pool, n_chips in reversed(lanes.items()):
        height = max(n_chips / largest, LEAST_LANE)
        ax.add_patch(
            Rectangle((0, bottom), kept.end_s / kept.unit[0], height, color="#EEEEEE", zorder=0)
        )
        stays = _stays([span for span in kept.spans if span.pool == pool])
        for mine, bands in zip(stays, _places(stays, n_chips), strict=True):
            scaled = [(bottom + low * height, bottom + high * height) for low, high in bands]
            boxes += [(span, _box(span, kept, *band)) for span in mine for band in scaled]
            whole = replace(mine[0], end_s=max(span.end_s for span in mine))
            outlines += [_box(whole, kept, *band) for band in scaled]
            _job_name(ax, kept, mine, max(scaled, key=lambda band: band[1] - band[0]))
        ticks.append(bottom + height / 2)
        chips = phrase("n_chips", language, n=n_chips)
        names.append(f"{label(kept.found.pool_names[pool], width=26, lines=1)}\n{chips}")
        bottom += height + 0.06
    _phases(ax, boxes, language)
    ax.add_collection(
        PolyCollection(outlines, facecolors="none", edgecolors="white", linewidths=1.0, zorder=3)
    )
    idle = Rectangle(
        (0, 0), 0, 0, color="#EEEEEE", label=QUANTITIES["idle_chip_h"].axis(language, "")
    )
    ax.add_patch(idle)
    ax.set_yticks(ticks, names, fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.02, bottom - 0.04)
    time_axis(ax, kept.end_s, language)
    _title(ax, result, phrase("pools_over_time", language), kept.case, language)
    return ax


def _stays(spans: list[Span]) -> list[list[Span]]:
    """Return spans of each time that a job held chips without a break, in the order of starts.

    A job that is stopped comes back later, in another place; so does a service whose size changes.
    """
    stays: list[list[Span]] = []
    last: dict[int, tuple[list[Span], float]] = {}  # of each job, and when it ends
    for span in spans:
        stay, end_s = last.get(span.job, ([], -math.inf))
        if span.start_s > end_s or span.job <= FIRST_SERVICE:
            stay = []
            stays.append(stay)
        stay.append(span)
        last[span.job] = stay, max(end_s, span.end_s)
    return stays


def _places(stays: list[list[Span]], n_chips: int) -> list[list[tuple[float, float]]]:
    """Return the bands of a lane of height 1 that each stay holds.

    A job takes the lowest places that are free, together where that is possible.
    """
    wanted = (math.ceil(span.n_chips) for stay in stays for span in stay)
    size = max(math.gcd(n_chips, *wanted), n_chips // MAX_SLOTS, 1)
    free_from = np.zeros(max(-(-n_chips // size), 1))
    bands = []
    for stay in stays:
        n = max(math.ceil(span.n_chips / size) for span in stay)
        places = _lowest(np.flatnonzero(free_from <= stay[0].start_s), n)
        free_from[places] = max(span.end_s for span in stay)
        edges = np.flatnonzero(np.diff(places) > 1)
        firsts, lasts = places[np.r_[0, edges + 1]], places[np.r_[edges, -1]]
        bands.append(
            [
                (float(low) / free_from.size, float(high + 1) / free_from.size)
                for low, high in zip(firsts, lasts, strict=True)
            ]
        )
    return bands


def _lowest(
    free: np.ndarray[tuple[int], np.dtype[np.intp]], n: int
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the lowest `n` free places that lie together, or the lowest there are."""
    if free.size < n:
        return np.arange(n)  # jobs that grow or shrink: drawn over others
    together = np.flatnonzero(free[n - 1 :] - free[: free.size - n + 1] == n - 1)
    first = int(together[0]) if together.size else 0
    return free[first : first + n]


def _job_name(ax: Axes, kept: _Kept, spans: list[Span], band: tuple[float, float]) -> None:
    """Write the name of a job in its band, if it has room there."""
    name = label(kept.name(spans[0]), width=40, lines=1)
    start, end = spans[0].start_s, max(span.end_s for span in spans)
    room_in = 7.2 * (end - start) / kept.end_s
    if room_in < 0.075 * len(name) or band[1] - band[0] < 0.06:
        return
    x, y = (start + end) / 2 / kept.unit[0], sum(band) / 2
    ax.text(x, y, name, ha="center", va="center", fontsize=8, color="white", zorder=4)


def _box(span: Span, kept: _Kept, low: float, high: float) -> Box:
    left, right = span.start_s / kept.unit[0], span.end_s / kept.unit[0]
    return [(left, low), (right, low), (right, high), (left, high)]


def _phases(ax: Axes, boxes: list[tuple[Span, Box]], language: Language) -> None:
    is_crowded = len(boxes) > MAX_SHAPES
    of_services = [box for span, box in boxes if span.job <= FIRST_SERVICE]
    shown = [(phrase("of_services", language), "", SERVICE_COLOUR, of_services)]
    for phase, colour in PHASE_COLOURS.items():
        found = [box for s, box in boxes if PHASES[s.phase] == phase and s.job > FIRST_SERVICE]
        shown.append((QUANTITIES[f"{phase}_chip_h"].axis(language, ""), phase, colour, found))
    for text, phase, colour, found in shown:
        if found:
            ax.add_collection(
                PolyCollection(
                    found,
                    facecolors=colour,
                    label=text,
                    rasterized=is_crowded,
                    zorder=0.9 if phase == "blocked" else 1.0,  # some chips wait, others train
                    snap=False,  # else what is thinner than a pixel is not drawn at all
                )
            )


def _title(ax: Axes, result: Result, title: str, case: str, language: Language) -> None:
    rows = legend_above(ax, 4)
    how = label(case, width=70, lines=1) + phrase("run_0", language)
    put_title(ax, result, title, how, language, rows_below=rows)


def _queues_and_deadlines(
    ax: Axes, kept: _Kept, rows: list[tuple[str, str]], language: Language
) -> None:
    found, unit_s = kept.found, kept.unit[0]
    n_jobs = len(found.job_names)
    deadlines = _deadlines_s(found)
    none = np.full((1, n_jobs), np.nan)
    starts, waits = (found.jobs.get(name, none)[0] * HOUR_S for name in ("start_h", "wait_h"))
    ends, took = (found.jobs.get(name, none)[0] * HOUR_S for name in ("end_h", "jct_h"))
    arrivals = np.where(np.isnan(ends), np.maximum(starts - waits, 0.0), ends - took)
    waits = starts - arrivals  # those before the first start: a job may wait again
    queued: list[tuple[int, float, float]] = []
    due: list[tuple[int, float]] = []
    for job, start, wait in zip(found.job_names, starts, waits, strict=True):
        at = [i for i, row in enumerate(rows) if row[0] == job]
        if np.isfinite(start) and wait > ROUNDING * kept.end_s:
            queued += [(i, (start - wait) / unit_s, start / unit_s) for i in at]
        if deadlines.get(job, math.inf) <= kept.end_s:
            due += [(i, deadlines[job] / unit_s) for i in at]
    if queued:
        text = phrase("in_the_queue", language)
        ax.hlines(*zip(*queued, strict=True), color="#777777", linewidth=1.2, label=text)
    if due:
        text = phrase("deadline", language)
        x = [when for _, when in due]
        low, high = ([i + half for i, _ in due] for half in (-0.45, 0.45))
        ax.vlines(x, low, high, color="white", linewidth=5)
        ax.vlines(x, low, high, color="black", linewidth=2, label=text)


def _deadlines_s(found: CaseResult) -> dict[str, float]:
    """Return the deadlines of jobs that have one, since the start of the run. [s]"""
    texts = found.job_facts.get("deadline_h", ())
    return {
        job: float(text) * HOUR_S for job, text in zip(found.job_names, texts, strict=False) if text
    }


def _row_names(ax: Axes, shown: Rows, language: Language) -> None:
    several = len({pool for _, pool in shown}) > 1
    names = []
    for (job, pool), spans in shown.items():
        name = label(f"{job} ({pool})" if several else job, width=26, lines=1)
        n_chips = math.ceil(max(span.n_chips for span in spans))
        names.append(f"{name}\n{phrase('n_chips', language, n=n_chips)}")
    ax.set_yticks(range(len(shown)), names, fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(shown) - 0.5, -0.5)
