"""Beyond the end of a run: the time to train where the run was cut before the work was done.

A straight line through what was seen is right only where the rest goes on like it. The closed form
says so where the ETTR over the run and that of the long run are the same: then an unfinished run
is carried on at its own pace. A fleet whose nodes run out after the cut, or one that no closed form
describes, is only known to take longer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from computeplan.analytic.expected import NEVER, expect, why_no_closed_form
from computeplan.arrays import FloatArray
from computeplan.notes import Note, note
from computeplan.quantities import time_of
from computeplan.units import DAY_S
from computeplan.world.world import World

__all__ = ["carried_on", "why_not_steady"]

STEADY = 0.01
"""Most by which the ETTR of the long run may differ from that of the run, as a share of it."""

CHANCE = 0.02
"""Most by which the time of one run may vary by chance, and that it trains between saves, as shares
of the run: of a shorter one the pace is not known."""


def why_not_steady(world: World) -> Note | None:
    """Return why unfinished runs cannot be carried on at their pace; None if they can."""
    cut_days = world.cut_s / DAY_S
    if len(world.jobs) > 1:
        return note("beyond_several_jobs", cut_days=cut_days, n_jobs=len(world.jobs))
    if not any(pool.kinds for pool in world.pools):
        return None
    if (why := why_no_closed_form(world)) is not None:
        return note("beyond_no_closed_form", cut_days=cut_days, **why.values)
    # Of uncertain rates the worst: a mean would hide runs that lack nodes after the cut.
    expected = expect(replace(world, pools=tuple(pool.at_worst() for pool in world.pools)))
    if expected is None:  # nothing fails
        return None
    blocked = expected.long_run_blocked_frac
    if expected.ettr <= NEVER or abs(expected.long_run_ettr / expected.ettr - 1) > STEADY:
        return note("beyond_not_steady", cut_days=cut_days, blocked_frac=blocked)
    if expected.noise_frac > CHANCE or expected.interval_s > CHANCE * world.cut_s:
        return note("beyond_too_short", cut_days=cut_days)
    return None


def carried_on(
    world: World, values: Mapping[str, FloatArray], jobs: Mapping[str, FloatArray]
) -> tuple[dict[str, FloatArray], dict[str, FloatArray], dict[str, Note]]:
    """Return both with unfinished runs carried on, and a fact that says so or why not.

    Parameters
    ----------
    world : World
        What was played.
    values, jobs : mapping of str to ndarray
        Quantities of its runs, and of its jobs; shapes (n_runs,) and (n_runs, n_jobs).
    """
    found, of_jobs = dict(values), dict(jobs)
    time = time_of(len(world.jobs))
    beyond = np.isinf(found[time])
    if not beyond.any():
        return found, of_jobs, {}
    if (why := why_not_steady(world)) is not None:
        for block in (found, of_jobs):  # those that are known are those that were done early
            done = block["done_by_deadline_frac"]
            block["done_by_deadline_frac"] = np.where(np.isnan(done).any(axis=0), np.nan, done)
        return found, of_jobs, {"time": why}
    (job,) = world.jobs
    run_days = found["wall_days"] - job.arrival_s / DAY_S
    with np.errstate(divide="ignore"):
        days = np.where(beyond, run_days / jobs["kept_frac"][:, 0], found[time])
    found[time] = days
    if math.isfinite(job.deadline_s):
        in_time = (days * DAY_S + job.arrival_s <= job.deadline_s) * 1.0
        known = found["done_by_deadline_frac"]
        done = np.where(np.isnan(known), in_time, known)
        found["n_deadlines_missed"] = 1 - done
        found["done_by_deadline_frac"], of_jobs["done_by_deadline_frac"] = done, done[:, None]
    n_beyond = int(beyond.sum())
    said = note("carried_on", cut_days=world.cut_s / DAY_S, n_runs=n_beyond)
    return found, of_jobs, {"time": said}
