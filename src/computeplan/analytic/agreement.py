"""Whether a simulation agrees with what theory expects of it.

It may differ from the closed form by sampling error and by what the form leaves out. Where it
differs by more, `warnings_of` says so with both numbers: one of the two is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from computeplan.analytic.expected import NEVER, Expected, expect
from computeplan.arrays import FloatArray
from computeplan.notes import Note, NoteValue, note
from computeplan.results.cases import CaseResult
from computeplan.units import DAY_S, HOUR_S
from computeplan.world.world import World

__all__ = ["warnings_of"]

SIGMAS = 4.0
"""Standard errors allowed; for few runs, as many of Student's t as are as unlikely."""


def warnings_of(played: Iterable[tuple[str, World, CaseResult]]) -> list[Note]:
    """Return warnings where the runs of a case depart from the closed form.

    Parameters
    ----------
    played : iterable of (str, World, CaseResult)
        Name of the case, what was played, its result.

    Returns
    -------
    list of Note
        At most one for departures that the start with every node up explains, and one for those
        that nothing here explains.
    """
    unexplained, started_whole = list[NoteValue](), list[NoteValue]()
    for name, world, case in played:
        expected = expect(world)
        if expected is None or case.n_runs < 2:
            continue
        pace, spread = _pace(case, world)
        if not (spread >= 0 and expected.ettr > NEVER):
            continue
        error = max(spread, expected.noise_frac * expected.ettr) / math.sqrt(case.n_runs)
        may = _sigmas(case.n_runs) * error + expected.left_out_frac * expected.ettr
        # A run that ends with its work cannot end while it is blocked: nearer to the long run.
        ends = bool(np.isfinite(case.jobs["end_h"]).any())
        least = expected.long_run_ettr if ends else expected.ettr
        if not least - may <= pace <= expected.ettr + may:
            unexplained.append((name, *_both(world, pace, expected)))
        elif abs(pace - expected.long_run_ettr) > may:
            started_whole.append((name, pace, expected.long_run_ettr))
    found = []
    if unexplained:
        found.append(note("departs_from_closed_form", cases=tuple(unexplained), sigmas=SIGMAS))
    if started_whole:
        found.append(note("not_the_long_run", cases=tuple(started_whole)))
    return found


def _pace(case: CaseResult, world: World) -> tuple[float, float]:
    """Return training over time in all runs together, and its standard deviation by run.

    A ratio of sums: its mean is that of the long run wherever runs end, at the end of the work or
    at a horizon, while the mean of the ratios favours the runs that end early.
    """
    end_s = case.jobs["end_h"][:, 0] * HOUR_S
    time_s = np.fmin(end_s, world.cut_s)
    train_s: FloatArray = case.values["ettr"] * time_s
    pace = float(train_s.sum() / time_s.sum())
    return pace, float(np.std(train_s - pace * time_s, ddof=1) / time_s.mean())


def _sigmas(n_runs: int) -> float:
    """Return as many standard errors as are as unlikely for a few runs as `SIGMAS` for many."""
    from scipy.special import ndtr, stdtrit

    return -float(stdtrit(n_runs - 1, ndtr(-SIGMAS)))


def _both(world: World, pace: float, expected: Expected) -> tuple[str, float, float]:
    """Return a unit, and what was simulated and expected in it: days to train where runs end."""
    if math.isfinite(world.cut_s):
        return "ettr", pace, expected.ettr
    return "days", expected.train_s / pace / DAY_S, expected.days_to_train
