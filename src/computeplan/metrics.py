"""Ledger x world -> the quantities we report; nothing here looks at an engine.

Energy is chip-seconds times watts, phase by phase, never touching the event loop. The IT meter
adds what stands around a chip, its share of the node and of the network; the energy of a site
is the IT energy times the PUE.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray
from computeplan.ledger import BLOCKED, IDLE, LOST, PHASES, QUEUE, REPAIR, TRAIN, Ledger
from computeplan.quantities import TIMES, time_of
from computeplan.results.window import MEASURES, BySite
from computeplan.units import DAY_S, HOUR_S, KWH_J
from computeplan.world.faults import Corrupt, Slow
from computeplan.world.world import World

__all__ = ["by_site", "measure", "measure_jobs"]

Measure = Callable[[Ledger, World], FloatArray]


def measure(ledger: Ledger, world: World) -> dict[str, FloatArray]:
    """Return the quantities of a scenario that do not depend on other cases, per run.

    By the names in ``quantities.py``, which carry the units; arrays of shape (n_runs,). NaN where
    one does not exist; inf for the time to train and the makespan where the run was cut before.
    Those that depend on the window are counted from `by_site`.
    """
    measures = _MEASURES if len(world.jobs) else {**dict.fromkeys(_MEASURES, _no_jobs), **_ANYWAY}
    if _minding(world):
        measures = measures | _OF_GROUPS
    with np.errstate(all="ignore"):
        values = {name: function(ledger, world) for name, function in measures.items()}
    for i, phase in enumerate(PHASES):
        if i != IDLE:
            values[f"{phase}_chip_h"] = ledger.chip_s[..., i].sum(axis=(1, 2)) / HOUR_S
    values["held_chip_h"] = ledger.chip_s[:, :-1].sum(axis=(1, 2, 3)) / HOUR_S
    return {  # an inf of a time says that it lies beyond the run
        name: value if name in TIMES else np.where(np.isfinite(value), value, np.nan)
        for name, value in values.items()
    }


def measure_jobs(ledger: Ledger, world: World) -> dict[str, FloatArray]:
    """Return the quantities of single jobs, shape (n_runs, n_jobs); nan where they do not exist.

    Wait, completion time, start and end [h], the share of the work kept, whether done in time.
    """
    arrival_s = world.jobs.arrival_s
    values = {
        "wait_h": ledger.job_s[..., QUEUE] / HOUR_S,
        "jct_h": (ledger.end_s - arrival_s) / HOUR_S,
        "start_h": ledger.first_start_s / HOUR_S,
        "end_h": ledger.end_s / HOUR_S,
        "kept_frac": ledger.kept_frac,
        "done_by_deadline_frac": _done_by_deadline(ledger, world),
    }
    return {name: np.where(np.isfinite(value), value, np.nan) for name, value in values.items()}


def _floats(values: ArrayLike) -> FloatArray:
    """Return floats: NumPy's arithmetic does not tell a type checker what it returns."""
    return np.asarray(values, dtype=np.float64)


def _held_chips(world: World) -> FloatArray:
    """Return the chips each job holds on each pool; nan where it can never run."""
    nodes = world.n_nodes * 1.0
    chips = nodes * np.array([pool.chips_per_node for pool in world.pools])
    return np.where(chips > 0, chips, np.nan)


def _seconds(ledger: Ledger, world: World, phase: int) -> FloatArray:
    """Return the seconds at full size and speed in train or lost, by pool. [s]

    Of each job, or kind of job where the ledger has no more; shape (n_runs, n_groups, n_pools).
    """
    slow_chip_s = ledger.weighted("slow")[:, :-1, :, phase]
    held = _held_chips(world)[world.jobs.firsts]
    seconds = (ledger.chip_s[:, :-1, :, phase] - slow_chip_s) / held
    return np.nan_to_num(seconds, nan=0.0)


def _tok_per_s(ledger: Ledger, world: World) -> FloatArray:
    """Return the speed that each job, or kind, had; shape (n_runs, n_groups, n_pools)."""
    firsts = world.jobs.firsts
    return _floats(world.jobs.of_kind("tok_per_s")[firsts] / ledger.step_factor[:, firsts])


def _tokens(ledger: Ledger, world: World, *phases: int) -> FloatArray:
    """Return the tokens processed in some phases, per run; nan where the speed is not known."""
    seconds = sum(_seconds(ledger, world, phase) for phase in phases)
    tokens = np.where(seconds == 0, 0.0, seconds * _tok_per_s(ledger, world)).sum(axis=(1, 2))
    unknown = any(np.isnan(job.tok_per_s).all() for job in world.jobs.kinds)
    return np.full_like(tokens, math.nan) if unknown else tokens


def _weights(world: World) -> FloatArray:
    """Return how much a job counts: the chips it wants. Shape (n_jobs,)."""
    return _floats(np.nanmin(_held_chips(world), axis=1))


def _ettr(ledger: Ledger, world: World) -> FloatArray:
    service_s = ledger.job_s.sum(axis=2)
    weights = _weights(world)
    return _floats((ledger.job_s[..., TRAIN] @ weights) / (service_s @ weights))


def _goodput_frac(ledger: Ledger, world: World) -> FloatArray:
    """Seconds at full size and speed over seconds, weighted by chips: of one job, tokens."""
    weights = _weights(world)
    at_full_s = _seconds(ledger, world, TRAIN).sum(axis=2)
    of_groups = weights[world.jobs.firsts]
    return _floats((at_full_s @ of_groups) / (ledger.job_s.sum(axis=2) @ weights))


def _available(ledger: Ledger, world: World) -> FloatArray:
    weights = _weights(world)
    started_s = ledger.job_s[..., :QUEUE].sum(axis=2) @ weights
    return _floats(1 - ledger.job_s[..., BLOCKED] @ weights / started_s)


def _makespan_days(ledger: Ledger, world: World) -> FloatArray:
    """Return the time from the first arrival to the last end; inf where a job is unfinished."""
    first_s = world.jobs.arrival_s.min()
    return _floats((ledger.end_s.max(axis=1) - first_s) / DAY_S)


def _of_one(function: Measure) -> Measure:
    """Return the measure of a single job; none where there are several."""
    return lambda led, w: function(led, w) if len(w.jobs) == 1 else _none(led)


def _time(name: str) -> Measure:
    """Return the measure of how long the work takes; none where it has another name."""
    return lambda led, w: _makespan_days(led, w) if name == time_of(len(w.jobs)) else _none(led)


def _none(ledger: Ledger) -> FloatArray:
    return np.full(ledger.n_runs, math.nan)


def _no_jobs(ledger: Ledger, _world: World) -> FloatArray:
    return _none(ledger)


def _of_services(chip_s: Callable[[Ledger], FloatArray]) -> Measure:
    """Return the measure of chip-hours of services; none where there are none."""
    return lambda led, w: chip_s(led) / HOUR_S if w.services else _none(led)


def _count(name: str, effect: type = object) -> Measure:
    """Return the measure of what the ledger counts; none where no fault has the effect."""

    def counted(ledger: Ledger, world: World) -> FloatArray:
        kinds = [kind for pool in world.pools for kind in pool.kinds]
        if effect is not object and not any(isinstance(k.effect, effect) for k in kinds):
            return np.full(ledger.n_runs, math.nan)
        return _floats(ledger.counts[name].sum(axis=1) * 1.0)

    return counted


def _deadlines_missed(ledger: Ledger, world: World) -> FloatArray:
    deadline_s = world.jobs.deadline_s
    until_s = np.minimum(ledger.end_s, ledger.wall_s[:, None])  # later ones may yet be met
    late = (until_s > deadline_s) & np.isfinite(deadline_s)
    return _floats(late.sum(axis=1).astype(np.float64))


def _done_by_deadline(ledger: Ledger, world: World) -> FloatArray:
    """Return 1 for jobs that end by their deadline, 0 for those that do not, nan where unknown.

    Unknown is a job that is unfinished where the run was cut before its deadline. Shape
    (n_runs, n_jobs).
    """
    deadline_s = world.jobs.deadline_s
    done = np.where(ledger.end_s <= deadline_s, 1.0, 0.0)
    unknown = np.isinf(ledger.end_s) & (ledger.wall_s[:, None] < deadline_s)
    return _floats(np.where(unknown | np.isinf(deadline_s), math.nan, done))


def _done_by_deadline_frac(ledger: Ledger, world: World) -> FloatArray:
    """Return 1 where all jobs with a deadline meet it, 0 where one does not; nan if unknown."""
    has_one = np.isfinite(world.jobs.deadline_s)
    if not has_one.any():
        return _none(ledger)
    done = _done_by_deadline(ledger, world)[:, has_one]
    return _floats(np.where((done == 0).any(axis=1), 0.0, done.min(axis=1)))


def by_site(ledger: Ledger, world: World) -> BySite:
    """Return what jobs, services and idle chips take at each site, and idle chips after a run."""
    names = tuple(dict.fromkeys(pool.site for pool in world.pools))
    to_site = np.array([[pool.site == name for name in names] for pool in world.pools]) * 1.0
    rates, power_rates = _rates(world), _power_rates(world)
    of_jobs = ledger.chip_s[:, :-1].sum(axis=1)
    capped = ledger.weighted("capped")[:, :-1].sum(axis=1)
    of_idle = ledger.chip_s[:, -1]
    in_repair = ledger.counts["in_repair"] * [pool.chips_per_node for pool in world.pools]
    after_s = np.zeros(of_idle.shape)  # of a day
    after_s[..., IDLE] = (np.array(world.n_chips) - in_repair) * DAY_S
    after_s[..., REPAIR] = in_repair * DAY_S

    def booked(chip_s: FloatArray, rate: FloatArray) -> FloatArray:
        return _floats(np.where(chip_s == 0, 0.0, chip_s * rate).sum(axis=-1) @ to_site)

    def every(chip_s: FloatArray) -> dict[str, FloatArray]:
        with np.errstate(all="ignore"):
            return {name: booked(chip_s, rates[name]) for name in MEASURES}

    jobs = every(of_jobs)
    for name, rate in power_rates.items():  # a chip under a cap is held, and draws less
        jobs[name] = jobs[name] - booked(capped, rate)
    parts = jobs, every(of_idle), every(after_s)
    of_services = np.zeros(of_idle.shape)
    of_services[..., TRAIN] = ledger.served[..., 0].sum(axis=1)
    services = every(of_services) if world.services else None
    return BySite(names, world.currency, ledger.wall_s, *parts, services)


def _power_rates(world: World) -> dict[str, FloatArray]:
    """Return what the power of a chip-second adds to each measure, shape (n_pools, n_phases)."""
    pools = world.pools
    chip_w = np.array([p.chip_w if p.meter == "chip" else p.chip_w * math.nan for p in pools])
    it_w = np.array([p.chip_w + p.node_overhead_w + p.network_w for p in pools])
    site_w = it_w * np.array([[p.pue] for p in pools])
    return {
        "energy_kwh": site_w / KWH_J,
        "energy_it_kwh": it_w / KWH_J,
        "energy_chip_kwh": chip_w / KWH_J,
        "cost_usd": site_w * np.array([[p.money_per_j] for p in pools]),
        "carbon_kg": site_w * np.array([[p.kg_per_j] for p in pools]),
    }


def _rates(world: World) -> dict[str, FloatArray]:
    """Return what a chip-second in each phase adds to each measure, shape (n_pools, n_phases)."""
    power = _power_rates(world)
    rent = np.array([[p.rent_money_per_chip_s] for p in world.pools])  # nan where no pool has one
    paid = rent if np.isnan(rent).all() else np.nan_to_num(rent)
    ones = np.ones(power["energy_kwh"].shape)
    return {
        **power,
        "cost_usd": power["cost_usd"] + np.nan_to_num(rent),
        "rent_usd": ones * paid,
        "chip_h": ones / HOUR_S,
        "idle_chip_h": ones * (np.arange(len(PHASES)) == IDLE) / HOUR_S,
    }


def _goodput(ledger: Ledger, world: World) -> FloatArray:
    """Return tokens kept over the time that jobs used: first arrival to last end, or the cut."""
    first_s = world.jobs.arrival_s.min()
    last_s = np.minimum(ledger.end_s, ledger.wall_s[:, None]).max(axis=1)
    return _floats(_tokens(ledger, world, TRAIN) / (last_s - first_s))


def _throughput(ledger: Ledger, world: World) -> FloatArray:
    busy_s = ledger.job_s[..., TRAIN] + ledger.job_s[..., LOST]
    return _floats(_tokens(ledger, world, TRAIN, LOST) / busy_s.sum(axis=1))


def _mean_jct_h(ledger: Ledger, world: World) -> FloatArray:
    arrival_s = world.jobs.arrival_s
    return _floats((ledger.end_s - arrival_s).mean(axis=1) / HOUR_S)


def _jct_percentile(percent: int) -> Measure:
    """Return the measure of a percentile over jobs of the completion time; none of one job."""

    def measured(ledger: Ledger, world: World) -> FloatArray:
        if len(world.jobs) == 1:
            return _none(ledger)
        jct_s = ledger.end_s - world.jobs.arrival_s
        found = np.percentile(np.where(np.isinf(jct_s), np.nan, jct_s), percent, axis=1)
        return _floats(found / HOUR_S)

    return measured


def _mean_slowdown(ledger: Ledger, world: World) -> FloatArray:
    if len(world.jobs) == 1:
        return _none(ledger)
    return _floats(((ledger.end_s - world.jobs.arrival_s) / world.wall_s.min(axis=1)).mean(axis=1))


def _fairness(ledger: Ledger, world: World) -> FloatArray:
    """Return the 95th percentile of completion times over those with an equal share."""
    if len(world.jobs) == 1:
        return _none(ledger)
    arrival_s, (pace, share) = world.jobs.arrival_s, _equal_pace(world)
    rho = np.empty(ledger.end_s.shape)
    for run, end_s in enumerate(ledger.end_s):
        jct_s = end_s - arrival_s
        rho[run] = jct_s * pace / np.maximum(_mean_present(arrival_s, end_s), share)
    return _floats(np.percentile(np.where(np.isfinite(rho), rho, np.nan), 95, axis=1))


def _equal_pace(world: World) -> tuple[FloatArray, FloatArray]:
    """Return what each job would have of all pools: pace, and gangs that they hold at a time.

    With a share of one of m it has an m-th of both, but at most one gang. Each of shape (n_jobs,).
    [work/s, 1]
    """
    table, n_nodes = world.job_table, world.pool_table.n_nodes
    with np.errstate(divide="ignore"):
        pace = np.where(table.n_nodes > 0, n_nodes / np.maximum(table.n_nodes, 1), 0.0)
        each = np.where(table.n_nodes > 0, 1.0 / table.wall_s, 0.0)
    by_kind = (pace * each).sum(axis=1)
    return _floats(by_kind[table.kind] / table.work), _floats(pace.sum(axis=1)[table.kind])


def _mean_present(arrival_s: FloatArray, end_s: FloatArray) -> FloatArray:
    """Return the mean number of jobs there while each was, itself included; shape (n_jobs,)."""
    times_s = np.concatenate([arrival_s, end_s])
    order = np.argsort(times_s, kind="stable")
    change = np.concatenate([np.ones(len(arrival_s)), -np.ones(len(end_s))])[order]
    sorted_s = times_s[order]
    with np.errstate(invalid="ignore"):
        steps = np.cumsum(change)[:-1] * np.diff(sorted_s)
    until = np.concatenate([[0.0], np.cumsum(np.nan_to_num(steps, posinf=np.inf))])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    n = len(arrival_s)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _floats((until[place[n:]] - until[place[:n]]) / (end_s - arrival_s))


def _minding(world: World) -> list[int]:
    """Return the pools that mind in which groups nodes stand."""
    return [p for p, pool in enumerate(world.pools) if pool.placement is not None]


def _spread(ledger: Ledger, world: World) -> FloatArray:
    """Return the share of the chip time of jobs on more groups than they need."""
    held_chip_s = ledger.chip_s[:, :-1, _minding(world)].sum(axis=(1, 2, 3))
    return _floats(ledger.spread_chip_s.sum(axis=1) / held_chip_s)


def _idle_in_parts(ledger: Ledger, world: World) -> FloatArray:
    """Return the share of idle chip time in groups of which other nodes are not idle."""
    idle_chip_s = ledger.chip_s[:, -1, _minding(world), IDLE].sum(axis=1)
    return _floats(ledger.in_parts_chip_s.sum(axis=1) / idle_chip_s)


_OF_GROUPS: dict[str, Measure] = {
    "n_groups_beyond_least": lambda led, _: (
        led.counts["beyond"].sum(axis=1) / led.counts["placed"].sum(axis=1)
    ),
    "spread_frac": _spread,
    "idle_in_parts_frac": _idle_in_parts,
}
"""What there is where a pool minds in which groups its nodes stand."""

_ANYWAY: dict[str, Measure] = {
    "n_unexpected": lambda led, w: (
        led.counts["interruptions"][:, : w.n_fault_kinds].sum(axis=1) * 1.0
    ),
    "n_planned": lambda led, w: led.counts["interruptions"][:, w.n_fault_kinds :].sum(axis=1) * 1.0,
    "n_slowdowns": _count("slowdowns", Slow),
    "n_idle_faults": _count("idle_faults"),
    "n_node_repairs": _count("repairs"),
    "n_retired": _count("retired"),
    "wall_days": lambda led, _: led.wall_s / DAY_S,
    "service_chip_h": _of_services(lambda led: led.served[..., 0].sum(axis=(1, 2))),
    "service_lacked_chip_h": _of_services(lambda led: led.lacked_chip_s.sum(axis=1)),
    "n_unfinished": lambda led, _: np.isinf(led.end_s).sum(axis=1) * 1.0,
}
"""What there is without jobs too."""

_MEASURES: dict[str, Measure] = {
    **_ANYWAY,
    "n_from_start": _count("from_start", Corrupt),
    "n_deadlines_missed": _deadlines_missed,
    "done_by_deadline_frac": _done_by_deadline_frac,
    "goodput_frac": _goodput_frac,
    "ettr": _ettr,
    "available_frac": _available,
    **{name: _time(name) for name in TIMES},
    "kept_gtok": lambda led, w: _tokens(led, w, TRAIN) / 1e9,
    "goodput_tok_per_s": _goodput,
    "throughput_tok_per_s": _of_one(_throughput),  # speeds do not add up over time
    "mean_jct_h": _mean_jct_h,
    **{f"jct_p{p}_h": _jct_percentile(p) for p in (50, 95, 99)},
    "mean_slowdown_x": _mean_slowdown,
    "fairness_p95_x": _fairness,
    "n_preemptions": lambda led, _: np.maximum(led.counts["stays"] - 1, 0).sum(axis=1) * 1.0,
    "idle_while_waiting_frac": lambda led, w: (
        led.waiting_idle_chip_s / (sum(w.n_chips) * led.wall_s)
    ),
    "peak_power_kw": lambda led, _: led.peak_w / 1e3,
    "mean_wait_h": lambda led, _: led.job_s[..., QUEUE].mean(axis=1) / HOUR_S,
}
