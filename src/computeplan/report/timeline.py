"""The timeline of run 0 of a case: who did what when, a row per job and pool."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from computeplan.errors import ComputePlanError
from computeplan.ledger import PHASES, Span
from computeplan.quantities import QUANTITIES
from computeplan.report import Language
from computeplan.report.drawing import legend_above
from computeplan.report.style import PHASE_COLOURS, case_labels, drawn, label, new_axes
from computeplan.report.words import phrase
from computeplan.results.cases import CaseResult
from computeplan.study.result import Result
from computeplan.units import DAY_S, HOUR_S

__all__ = ["MAX_ROWS", "timeline"]

MAX_ROWS = 40
"""Rows that can still be read; the title says how many more there are."""

MAX_SHAPES = 5000
"""Stretches beyond which an SVG holds them as a picture: a page must still open."""

Rows = dict[tuple[str, str], list[Span]]


@drawn
def timeline(
    result: Result, ax: Axes | None = None, *, case: str | None = None, language: Language = "en"
) -> Axes:
    """Return who did what when in run 0 of a case, coloured by phase.

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
    kept = [name for name, found in result.cases.items() if found.spans]
    name = case if case is not None else next(iter(kept), None)
    spans = [] if name is None else [s for s in result.case(name).spans if s.job >= 0]
    if name is None or not spans:
        raise ComputePlanError(
            f"{result.name}: no timeline was kept" + (f" of {name!r}" if name else "")
        )
    found, rows = result.cases[name], Rows()
    for span in sorted(spans, key=lambda s: s.start_s):
        row = (found.job_names[span.job], found.pool_names[span.pool])
        rows.setdefault(row, []).append(span)
    shown = dict(list(rows.items())[:MAX_ROWS])
    ax = new_axes(ax, max(1.2, 0.75 * len(shown)) + 1.0, width=9.5)
    end_s = max(span.end_s for other in kept for span in result.cases[other].spans)
    unit_s, unit = (DAY_S, "d") if end_s > 4 * DAY_S else (HOUR_S, "h")
    _phases(ax, shown, unit_s, language)
    _queues_and_deadlines(ax, found, list(shown), unit_s, language)
    _row_names(ax, shown, language)
    ax.set_xlim(0, end_s / unit_s)
    ax.xaxis.set_major_formatter("{x:,.10g}")
    ax.set_xlabel(phrase("time_since_start", language, unit=unit))
    title = _title(result, name, len(rows), language)
    legend_above(ax, 4, title)
    return ax


def _title(result: Result, case: str, n_rows: int, language: Language) -> str:
    title = case_labels(result, width=60, lines=1)[list(result.cases).index(case)]
    title += phrase("run_0", language)
    if n_rows > MAX_ROWS:
        title += phrase("first_rows", language, n=MAX_ROWS, n_all=n_rows)
    return title


def _phases(ax: Axes, shown: Rows, unit_s: float, language: Language) -> None:
    is_crowded = sum(map(len, shown.values())) > MAX_SHAPES
    for phase, colour in PHASE_COLOURS.items():
        boxes = [
            [(left, i - 0.35), (right, i - 0.35), (right, i + 0.35), (left, i + 0.35)]
            for i, row in enumerate(shown.values())
            for span in row
            if PHASES[span.phase] == phase
            for left, right in ((span.start_s / unit_s, span.end_s / unit_s),)
        ]
        if boxes:
            of = QUANTITIES[f"{phase}_chip_h"]
            text = of.axis(language, "")
            ax.add_collection(
                PolyCollection(
                    boxes,
                    facecolors=colour,
                    label=text,
                    rasterized=is_crowded,
                    snap=False,  # else what is thinner than a pixel is not drawn at all
                )
            )


def _queues_and_deadlines(
    ax: Axes, found: CaseResult, rows: list[tuple[str, str]], unit_s: float, language: Language
) -> None:
    n_jobs = len(found.job_names)
    deadlines = found.job_facts.get("deadline_h", ("",) * n_jobs)
    none = np.full((1, n_jobs), np.nan)
    starts, waits = (found.jobs.get(name, none)[0] * HOUR_S for name in ("start_h", "wait_h"))
    queued: list[tuple[int, float, float]] = []
    due: list[tuple[int, float]] = []
    for job, start, wait, deadline in zip(found.job_names, starts, waits, deadlines, strict=True):
        at = [i for i, row in enumerate(rows) if row[0] == job]
        if np.isfinite(start) and wait > 0:
            queued += [(i, (start - wait) / unit_s, start / unit_s) for i in at]
        if deadline:
            due += [(i, float(deadline) * HOUR_S / unit_s) for i in at]
    if queued:
        text = phrase("in_the_queue", language)
        ax.hlines(*zip(*queued, strict=True), color="#777777", linewidth=1.2, label=text)
    if due:
        text = phrase("deadline", language)
        x = [when for _, when in due]
        low, high = ([i + half for i, _ in due] for half in (-0.45, 0.45))
        ax.vlines(x, low, high, color="white", linewidth=5)
        ax.vlines(x, low, high, color="black", linewidth=2, label=text)


def _row_names(ax: Axes, shown: Rows, language: Language) -> None:
    several = len({pool for _, pool in shown}) > 1
    names = []
    for (job, pool), spans in shown.items():
        name = label(f"{job} ({pool})" if several else job, width=26, lines=1)
        n_chips = max(span.n_chips for span in spans)
        names.append(f"{name}\n{phrase('n_chips', language, n=n_chips)}")
    ax.set_yticks(range(len(shown)), names, fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(shown) - 0.5, -0.5)
