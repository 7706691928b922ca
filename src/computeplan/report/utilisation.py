"""How many of the chips jobs hold over time in run 0: a lane a case, or a lane a pool of one case.

Lines of several cases that rise and fall all the time hide one another, so every case has a lane of
its own above a common time axis. A lane is as high as all of its chips, spares not counted; what
services hold is not in a timeline, and is grey like what is idle. The mean beside a lane is to the
end of its case; the quantity ``held_frac`` counts all cases to one time, and spares too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from computeplan.arrays import FloatArray
from computeplan.errors import ComputePlanError
from computeplan.ledger import Span
from computeplan.report import Language
from computeplan.report.drawing import MOST_ROWS, numbers_beside, put_title, time_axis, time_unit
from computeplan.report.held import Held, chips_of_pools
from computeplan.report.numbers import percent
from computeplan.report.style import case_colour, drawn, label, new_axes
from computeplan.report.words import phrase
from computeplan.study.result import Result

__all__ = ["utilisation"]

MOST_STEPS = 2000
"""Steps of a lane that can be seen; of more, the mean over as many equal parts is drawn."""
HEIGHT = 0.8
"""Of a lane, over the distance from one to the next."""


@dataclass(frozen=True, slots=True)
class _Lane:
    name: str
    colour: str
    spans: list[Span]
    n_chips: int
    end_s: float
    """Until when its chips are counted: the last end of the case."""


@drawn
def utilisation(
    result: Result, ax: Axes | None = None, *, case: str | None = None, language: Language = "en"
) -> Axes:
    """Return the share of the chips that jobs hold over time in run 0.

    A lane for each case that kept a timeline; of a single one, or of the case named, a lane for
    each pool.

    Parameters
    ----------
    result : Result
    ax : Axes, optional
        Without, those of a new figure.
    case : str, optional
        Name of the case whose pools are drawn.
    language : {"en", "zh"}

    Raises
    ------
    ComputePlanError
        If there is no such case, it kept no timeline, or more did than can be read.
    """
    cases = result.cases if case is None else {case: result.case(case)}
    kept = {
        name: spans
        for name, found in cases.items()
        if (spans := [span for span in found.spans if span.job != -1])
    }
    if not kept:
        raise ComputePlanError(
            f"{result.name}: no timeline was kept" + (f" of {case!r}" if case else "")
        )
    if len(kept) > MOST_ROWS:
        raise ComputePlanError(
            f"{result.name}: nothing to draw, no row can be read of {len(kept):,} timelines, more"
            f" than {MOST_ROWS}"
        )
    if len(kept) > 1:
        lanes = [_of_case(result, name, spans) for name, spans in kept.items()]
        how = phrase("run_0_of_each", language)
    else:
        ((name, spans),) = kept.items()
        lanes = _of_pools(result, name, spans, language)
        how = label(name, width=70, lines=1) + phrase("run_0", language)
    ax = new_axes(ax, 1.6 * len(lanes) + 1.0, width=9.5)
    end_s = max(lane.end_s for lane in lanes)
    means = [_draw(ax, row, lane, end_s) for row, lane in enumerate(lanes)]
    numbers_beside(ax, [f"{percent(mean)} %" for mean in means])
    head = phrase("mean_to_its_end", language)
    ax.text(1.02, 1.0, head, transform=ax.transAxes, va="bottom", fontsize=9)
    ax.set_yticks(range(len(lanes)), [lane.name for lane in lanes], fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(lanes) - 0.5, -0.5)
    time_axis(ax, end_s, language)
    how += phrase("height_is_all_chips", language)
    put_title(ax, result, phrase("held_over_time", language), how, language)
    return ax


def _of_case(result: Result, name: str, spans: list[Span]) -> _Lane:
    colour = case_colour(list(result.cases).index(name))
    n_chips = sum(chips_of_pools(result.cases[name], spans).values())
    return _Lane(label(name), colour, spans, n_chips, max(span.end_s for span in spans))


def _of_pools(result: Result, name: str, spans: list[Span], language: Language) -> list[_Lane]:
    found, end_s = result.cases[name], max(span.end_s for span in spans)
    colour = case_colour(list(result.cases).index(name))
    return [
        _Lane(
            f"{label(found.pool_names[pool], width=26, lines=1)}\n"
            f"{phrase('n_chips', language, n=n_chips)}",
            colour,
            [span for span in spans if span.pool == pool],
            n_chips,
            end_s,
        )
        for pool, n_chips in chips_of_pools(found, spans).items()
    ]


def _draw(ax: Axes, row: int, lane: _Lane, end_s: float) -> float:
    """Draw a lane down to its bottom, and return the mean share that is held until its end."""
    unit_s, bottom = time_unit(end_s)[0], row + HEIGHT / 2
    ax.fill_between(
        (0, lane.end_s / unit_s), bottom, bottom - HEIGHT, color="#EEEEEE", linewidth=0, zorder=0
    )
    edges_s, share = _share(lane)
    ax.stairs(
        bottom - HEIGHT * share,
        edges_s / unit_s,
        baseline=bottom,
        fill=True,
        color=lane.colour,
        linewidth=0,
    )
    return float(np.average(share, weights=np.diff(edges_s)))


def _share(lane: _Lane) -> tuple[FloatArray, FloatArray]:
    """Return the edges of the steps of a lane, and the share of its chips held in each. [s, 1]"""
    held = Held.of(lane.spans)
    edges_s = np.unique(np.r_[0.0, held.times_s, lane.end_s])
    if edges_s.size > MOST_STEPS + 1:
        edges_s = np.linspace(0.0, lane.end_s, MOST_STEPS + 1)
    return edges_s, held.mean(edges_s) / lane.n_chips
