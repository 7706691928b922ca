"""Whether a simulation agrees with what theory says of it.

It may differ from the closed form by luck and by what the form leaves out. Where it differs by
more, `warnings_of` says so with both numbers: one of the two is not what it seems.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from computeplan.analytic.expected import NEVER, Expected, expect
from computeplan.arrays import FloatArray
from computeplan.results.cases import CaseResult
from computeplan.units import DAY_S, HOUR_S
from computeplan.world.world import World

__all__ = ["warnings_of"]

SIGMAS = 4.0
"""Standard errors of luck; for few runs, as many of Student's t as are as unlikely."""
MOST_TOLD = 3
"""Cases whose numbers a warning tells."""


def warnings_of(played: Iterable[tuple[str, World, CaseResult]]) -> list[str]:
    """Return warnings where the runs of a case depart from the closed form.

    Parameters
    ----------
    played : iterable of (str, World, CaseResult)
        Name of the case, what was played, what came out.

    Returns
    -------
    list of str
        At most one for departures that the start with every node whole explains, and one for those
        that nothing here explains.
    """
    unexplained, started_whole = list[str](), list[str]()
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
            unexplained.append(f"{name}: {_both(world, pace, expected)}")
        elif abs(pace - expected.long_run_ettr) > may:
            long_run = f"{expected.long_run_ettr:.4f} in the long run by closed form"
            started_whole.append(f"{name}: ettr {pace:.4f} simulated, {long_run}")
    found = []
    if unexplained:
        found.append(
            f"WARNING: the simulation departs from the closed form: {_told(unexplained)}. That is"
            f" more than {SIGMAS:g} standard errors and what the form leaves out (how stops and"
            " faults meet, the ends of a run): trust neither before you know why"
        )
    if started_whole:
        found.append(
            "WARNING: not the long run: runs start with every node whole, and the repair shop has"
            f" not filled when they end; a fleet that has been running for long is blocked more"
            f" often: {_told(started_whole)}"
        )
    return found


def _pace(case: CaseResult, world: World) -> tuple[float, float]:
    """Return training over time in all runs together, and its standard deviation by run.

    A ratio of sums: its mean is that of the long run wherever runs end, at the end of the work or
    at a horizon, while the mean of the ratios favours the runs that end early.
    """
    end_s = case.jobs["end_h"][:, 0] * HOUR_S
    time_s = np.fmin(end_s, world.horizon_s)
    train_s: FloatArray = case.values["ettr"] * time_s
    pace = float(train_s.sum() / time_s.sum())
    return pace, float(np.std(train_s - pace * time_s, ddof=1) / time_s.mean())


def _sigmas(n_runs: int) -> float:
    """Return as many standard errors as are as unlikely for a few runs as `SIGMAS` for many."""
    from scipy.special import ndtr, stdtrit

    return -float(stdtrit(n_runs - 1, ndtr(-SIGMAS)))


def _both(world: World, pace: float, expected: Expected) -> str:
    if math.isfinite(world.horizon_s):
        return f"ettr {pace:.4f} simulated, {expected.ettr:.4f} by closed form"
    days = expected.train_s / pace / DAY_S
    return f"{days:,.4g} days to train simulated, {expected.days_to_train:,.4g} by closed form"


def _told(cases: list[str]) -> str:
    more = len(cases) - MOST_TOLD
    return " | ".join(cases[:MOST_TOLD]) + (f" | and {more} more" if more > 0 else "")
