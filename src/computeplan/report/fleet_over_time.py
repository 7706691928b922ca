"""What the chips of a fleet did over time in run 0, stacked, with what the hour needs as a line.

Of the pools on which services run. A change is a step; of more steps than can be seen the mean of
each of many equal parts is drawn, so that areas stay chip-hours.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from computeplan.errors import ComputePlanError
from computeplan.report import Language
from computeplan.report.drawing import legend_above, put_title, stack_steps, time_axis, time_unit
from computeplan.report.style import PHASE_COLOURS, SERVICE_COLOUR, drawn, label, new_axes
from computeplan.report.words import phrase
from computeplan.results.fleet_series import FLEET_STATES
from computeplan.study.result import Result

__all__ = ["fleet"]

MOST_STEPS = 400
"""That can be seen."""
SHOWN = {
    "serving": ("fleet_serving", SERVICE_COLOUR),
    "starting": ("fleet_starting", PHASE_COLOURS["restart"]),
    "draining": ("fleet_draining", PHASE_COLOURS["blocked"]),
    "standing_by": ("fleet_standing_by", "#A8DCC8"),
    "jobs": ("fleet_jobs", PHASE_COLOURS["train"]),
    "idle": ("fleet_idle", PHASE_COLOURS["idle"]),
    "repair": ("fleet_repair", PHASE_COLOURS["repair"]),
}
"""Words and colour of each state, from below; what stands by is the services' green, lighter."""


@drawn
def fleet(
    result: Result, ax: Axes | None = None, *, case: str | None = None, language: Language = "en"
) -> Axes:
    """Return what the chips of services' pools did over time in run 0, and what the hour needs.

    Parameters
    ----------
    result : Result
    ax : Axes, optional
        Without, those of a new figure.
    case : str, optional
        Name; without, the first case that has services.
    language : {"en", "zh"}

    Raises
    ------
    ComputePlanError
        If there is no such case, or it has no services or no timeline.
    """
    known = [name for name, found in result.cases.items() if found.fleet is not None]
    name = case if case is not None else next(iter(known), None)
    series = None if name is None else result.case(name).fleet
    if name is None or series is None:
        of = "" if name is None else f" of {name!r}"
        raise ComputePlanError(f"{result.name}: no services over time were kept{of}")
    edges_s, chips, needed = series.edges_s, series.chips, series.needed
    if len(chips) > MOST_STEPS:
        edges_s = np.linspace(0.0, edges_s[-1], MOST_STEPS + 1)
        chips, needed = series.means(edges_s)
    end_s = float(edges_s[-1])
    edges = edges_s / time_unit(end_s)[0]
    ax = new_axes(ax, 8.0, width=9.5)
    parts = [
        (chips[:, FLEET_STATES.index(state)], colour, phrase(code, language))
        for state, (code, colour) in SHOWN.items()
    ]
    stack_steps(ax, edges, parts)
    ax.stairs(
        needed,
        edges,
        baseline=None,
        color="black",
        linewidth=1.2,
        label=phrase("fleet_needed", language),
    )
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter("{x:,.10g}")
    ax.set_ylabel(phrase("fleet_axis", language))
    time_axis(ax, end_s, language)
    rows = legend_above(ax, 4)
    how = label(name, width=70, lines=1) + phrase("run_0", language)
    put_title(ax, result, phrase("fleet_over_time", language), how, language, rows_below=rows)
    return ax
