"""What stands beside the numbers of a case: chips, fault rates, speed, meter, closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from computeplan.analytic.expected import (
    LACKS_SELDOM,
    expect,
    spares_needed,
    why_no_closed_form,
)
from computeplan.compiler.published import marks_of
from computeplan.notes import Note, Notes, NoteValue, note
from computeplan.world.pools import Pool
from computeplan.world.world import World

__all__ = ["beside", "facts_of"]

Found = TypeVar("Found")

MOST_STEPS = 3
"""Priced steps that are told one by one."""


def facts_of(world: World) -> dict[str, Note]:
    """Return what stands beside the numbers of a case: chips, fault rates, speed, meter."""
    pools = tuple(
        (pool.name, pool.n_nodes * pool.chips_per_node, pool.chip, pool.n_spare_nodes)
        for pool in world.pools
    )
    sharing = tuple(tuple(world.pools[p].name for p in near) for near in world.sharing)
    meters = tuple(dict.fromkeys((pool.meter, pool.pue) for pool in world.pools))
    facts = {
        "chips": note("chips", pools=pools, sharing=sharing),
        "meter": note("meters", meters=meters),
    }
    if any(pool.kinds for pool in world.pools):
        rates = tuple(_rates(world, p) for p, pool in enumerate(world.pools) if pool.kinds)
        facts["faults"] = note("fault_rates", pools=rates)
    mfus = tuple(
        (float(job.mfu[p]), world.pools[p].name)
        for job in world.jobs
        for p in np.flatnonzero(job.whole_nodes)
        if not math.isnan(job.mfu[p])
    )
    if mfus:
        facts["mfu"] = note("mfus", mfus=tuple(dict.fromkeys(mfus)))
    has_several = len(world.jobs) > 1
    steps = tuple(
        dict.fromkeys(
            (job.name if has_several else "", step.items)
            for job in world.jobs
            for step in job.priced
            if step is not None
        )
    )
    if steps:
        n_more = max(0, len(steps) - MOST_STEPS)
        facts["step"] = note("steps", steps=steps[:MOST_STEPS], n_more=n_more)
    facts |= {name: note for note in world.notes for name in marks_of(note)}
    for name, code in (("service", "service_sized"), ("day", "service_day")):
        told = (one for one in world.notes if one.code == code)
        facts |= {f"{name} {one.values['service']}": one for one in told}
    facts |= _of_job_alone(world)
    theory, failed = beside("expected", _closed_form, world)
    return facts | ({"expected": failed[0]} if theory is None else theory)


def _of_job_alone(world: World) -> dict[str, Note]:
    """Return what the scenario leaves open of a single job, and what of its chips is not used."""
    if len(world.jobs) != 1:
        return {}
    job = world.jobs[0]
    facts = {note.code: note for note in world.notes if note.code == "chips_unused"}
    p = job.pools_under(world.policy)[0]
    if job.saves_at_best and math.isfinite(job.interval_s[p]):
        facts["saves"] = note("saves_at_best", interval_s=float(job.interval_s[p]))
    return facts


def beside(what: str, compute: Callable[..., Found], *given: object) -> tuple[Found | None, Notes]:
    """Return what stands beside a result; where it fails, None and a note of what failed.

    A result that was simulated is worth having without it, so whatever goes wrong is told there.
    """
    try:
        return compute(*given), ()
    except Exception as error:  # of whatever kind: the runs are done
        return None, (note("beside_failed", what=what, error=type(error).__name__, why=str(error)),)


def _closed_form(world: World) -> dict[str, Note]:
    """Return what theory says of a single job, or why it says nothing."""
    if not any(pool.kinds for pool in world.pools):
        return {}
    if (reason := why_no_closed_form(world)) is not None:
        return {"expected": reason}
    expected = expect(world)
    if expected is None:  # nothing fails
        return {}
    interval_s = None if math.isinf(expected.interval_s) else expected.interval_s
    if math.isinf(expected.days_to_train):
        return {"expected": note("no_end", interval_s=interval_s)}
    closed_form = note(
        "closed_form",
        interval_s=interval_s,
        ettr=expected.ettr,
        days_to_train=expected.days_to_train,
        days_of_inputs=expected.days_of_inputs,
        unblocked_frac=expected.unblocked_frac,
        stopped_frac=expected.stopped_frac,
        blocked_frac=expected.blocked_frac,
        least_ettr=expected.long_run_ettr if expected.is_between else None,
    )
    lacking = note(
        "lacking",
        long_run_frac=expected.long_run_blocked_frac,
        long_run_ettr=expected.long_run_ettr,
        run_frac=expected.blocked_frac,
        run_s=expected.run_s,
    )
    found = {"expected": closed_form, "spares": lacking}
    if (needed := spares_needed(world, expected)) is not None:
        said = dict(zip(("n_run", "n_long_run"), needed, strict=True))
        found["spares_needed"] = note("spares_needed", lacking_frac=LACKS_SELDOM, **said)
    return found


def _rates(world: World, p: int) -> NoteValue:
    """Return name, chips of a node, rate of each kind, factors, rate and nodes of a single job."""
    pool = world.pools[p]
    kinds = tuple(
        (kind.name, kind.all_rate_per_node_s if kind.log is None else None) for kind in pool.kinds
    )
    job = None
    if len(world.jobs) == 1 and pool.fault_rate_per_node_s and world.jobs[0].n_nodes[p]:
        job = (pool.fault_rate_per_node_s, int(world.jobs[0].n_nodes[p]))
    return (pool.name, pool.chips_per_node, kinds, _factors(pool), job)


def _factors(pool: Pool) -> NoteValue:
    """Return how the rates come from another chip, once for all kinds that come alike."""
    found = dict.fromkeys(
        (kind.observed_on, kind.factor, kind.is_assumed) for kind in pool.kinds if kind.observed_on
    )
    return tuple(
        (
            tuple(kind.name for kind in pool.kinds if kind.observed_on == chip),
            factor.low,
            factor.high,
            chip,
            is_assumed,
        )
        for chip, factor, is_assumed in found
    )
