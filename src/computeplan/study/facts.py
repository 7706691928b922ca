"""What stands beside the numbers of a case: chips, fault rates, speed, meter, closed form."""

from __future__ import annotations

import math

import numpy as np

from computeplan.analytic.expected import Expected, expect, why_no_closed_form
from computeplan.physics.reliability import rate_forms
from computeplan.report.words import sentence
from computeplan.world.pools import Pool
from computeplan.world.world import World

__all__ = ["facts_of"]

LEAST_SHORT = 1e-4  # share of time that two digits of a percent show
MOST_STEPS = 3
"""Priced steps that are told one by one."""


def facts_of(world: World) -> dict[str, str]:
    """Return what stands beside the numbers of a case: chips, fault rates, speed, meter."""
    facts = {
        "chips": "; ".join(
            f"{pool.name}: {pool.n_nodes * pool.chips_per_node:,} x {pool.chip}"
            + (f" + {_counted(pool.n_spare_nodes, 'spare node')}" if pool.n_spare_nodes else "")
            for pool in world.pools
        ),
        "meter": "; ".join(
            dict.fromkeys(
                f"facility = {'chips, nodes and network' if pool.meter == 'chip' else pool.meter}"
                f" x PUE {pool.pue:g}"
                for pool in world.pools
            )
        ),
    }
    for near in world.sharing:
        names = ", ".join(world.pools[p].name for p in near)
        facts["chips"] += f"; spares shared by {names}"
    faults = [_fault_forms(world, p) for p in range(len(world.pools))]
    if any(faults):
        facts["faults"] = "; ".join(text for text in dict.fromkeys(faults) if text)
    mfus = [
        f"{job.mfu[p]:.3g} on {world.pools[p].name}"
        for job in world.jobs
        for p in np.flatnonzero(job.n_nodes)
        if not math.isnan(job.mfu[p])
    ]
    if mfus:
        facts["mfu"] = "; ".join(dict.fromkeys(mfus))
    steps = list(
        dict.fromkeys(
            f"{job.name}: {words}" if len(world.jobs) > 1 else words
            for job in world.jobs
            for words in job.priced
            if words
        )
    )
    if steps:
        more = len(steps) - MOST_STEPS
        shown = [*steps[:MOST_STEPS], *([f"and {more} more"] if more > 0 else [])]
        facts["step"] = "; ".join(shown)
    return facts | _closed_form(world)


def _closed_form(world: World) -> dict[str, str]:
    """Return what theory says of a single job, or why it says nothing."""
    if not any(pool.kinds for pool in world.pools):
        return {}
    if (reason := why_no_closed_form(world)) is not None:
        return {"expected": sentence(reason)}
    expected = expect(world)
    if expected is None:  # nothing fails
        return {}
    saving = f"saving every {expected.interval_s / 60:.3g} min of training"
    if math.isinf(expected.interval_s):
        saving = "never saving"
    if math.isinf(expected.days_to_train):
        return {"expected": f"no end by closed form; {saving}"}
    parts = [f"{expected.unblocked_frac:.4f} with saves and faults"]
    if expected.stopped_frac:
        share = f"{1 - expected.stopped_frac:.4f}"
        parts.append(f"{share} outside planned stops (each its mean length and half a save)")
    if expected.blocked_frac >= LEAST_SHORT:
        parts.append(f"{1 - expected.blocked_frac:.4f} lacking no node over the run")
    product = f" ({' x '.join(parts)})" if len(parts) > 1 else ""
    days = f"{expected.days_to_train:,.4g} days to train"
    if expected.is_between:
        days = f"{days} or more"
        product += (
            f", or less, down to {expected.long_run_ettr:.4f}, as repairs may outlast the run"
        )
    text = f"ettr {expected.ettr:.4f} and {days} by closed form{product}; {saving}"
    return {"expected": text, "spares": _spares(expected)}


def _spares(expected: Expected) -> str:
    """Return how often a node is lacking: in the long run, and over a run that starts whole."""
    crews = "if no repair waits for a crew"
    short = expected.long_run_blocked_frac
    lacking = f"a node is lacking {_percent(short)} of the time by closed form, in the long run"
    if short < LEAST_SHORT:
        return f"{lacking}, {crews}"
    return (
        f"{lacking} (ettr {expected.long_run_ettr:.4f}), and {_percent(expected.blocked_frac)} of"
        f" these {expected.run_s / 86_400:.3g} days, which start with every node whole; {crews}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if share >= LEAST_SHORT else "less than 0.01 %"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _fault_forms(world: World, p: int) -> str:
    """Return the fault rate of a pool in the three forms people use, and the MTBF of its job."""
    pool = world.pools[p]
    texts = []
    for kind in pool.kinds:
        if kind.log is not None:
            texts.append(f"{kind.name}: replayed from a log")
            continue
        forms = rate_forms(kind.all_rate_per_node_s, pool.chips_per_node, 1)
        texts.append(
            f"{kind.name} on {pool.name}: MTBF {forms.chip_mtbf_s / 3.6e6:.3g} kh per chip,"
            f" {forms.node_mtbf_s / 86_400:.4g} d per node,"
            f" {forms.per_1000_node_days:.3g} per 1000 node-days"
        )
    texts += _factors(pool)
    if len(world.jobs) == 1 and pool.fault_rate_per_node_s and world.jobs[0].n_nodes[p]:
        n = int(world.jobs[0].n_nodes[p])
        forms = rate_forms(pool.fault_rate_per_node_s, pool.chips_per_node, n)
        hours = forms.job_mtbf_s / 3600
        texts.append(f"job MTBF {hours:.2f} h" if hours < 1e6 else f"job MTBF {hours:.3g} h")
    return ", ".join(texts)


def _factors(pool: Pool) -> list[str]:
    """Return how the rates come from another chip, once for all kinds that come alike."""
    found = dict.fromkeys(
        (kind.observed_on, kind.factor, kind.is_assumed) for kind in pool.kinds if kind.observed_on
    )
    texts = []
    for chip, factor, is_assumed in found:
        names = ", ".join(k.name for k in pool.kinds if k.observed_on == chip)
        mean = f" (mean {factor.mean:.3g}, used above)" if factor.low < factor.high else ""
        mark = "ASSUMED" if is_assumed else "as given"
        texts.append(f"{names} at {factor} times the rate of {chip}{mean}, {mark}")
    return texts
