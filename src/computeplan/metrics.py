"""Ledger x world -> the quantities we report; nothing here looks at an engine.

Most are measures of a set of jobs and services: of all for a scenario, of its own for a tenant. A
measure is written once, and serves both.

Energy is chip-seconds times watts, phase by phase, never touching the event loop. The IT meter
adds what stands around a chip, its share of the node and of the network; the energy of a site
is the IT energy times the PUE. What is taken is kept apart by pool, so that it adds up to sites and
to kinds of chips alike.

Long because the definitions of one table of quantities stand side by side.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray, IntArray
from computeplan.ledger import (
    BLOCKED,
    IDLE,
    LOST,
    PHASES,
    QUEUE,
    REPAIR,
    SERVICE_STATES,
    TRAIN,
    Ledger,
)
from computeplan.quantities import TIMES, in_currency, time_of
from computeplan.results.window import MEASURES, SERVED, BySite, of_holders
from computeplan.scheduling.services import nodes_on_pools
from computeplan.units import DAY_S, HOUR_S, KWH_J
from computeplan.world.dark_hours import least_off_frac, mean_off
from computeplan.world.faults import Corrupt, Slow
from computeplan.world.months import covered_frac, month_edges_s
from computeplan.world.services import Drawn, nodes_held
from computeplan.world.world import World

__all__ = ["by_site", "measure", "measure_jobs", "measure_tenants"]

ENERGIES = ("", "it_", "chip_")
"""Meters of energy by site, as names have them."""
_Some = slice | IntArray
_EVERY = slice(None)


@dataclass(frozen=True, eq=False, slots=True)
class _Of:
    """Some jobs, services and tenants of a world, in the books of all."""

    ledger: Ledger
    world: World
    fairness: FloatArray
    """Finish-time fairness of every job of the world, for which all others count; shape (n_runs,
    n_jobs)."""
    jobs: _Some
    groups: _Some
    """Where chip-seconds of those jobs, and of no others, are kept (`Jobs.group`)."""
    services: _Some
    tenants: _Some

    @property
    def arrival_s(self) -> FloatArray:
        """When they came. [s]"""
        return _floats(self.world.jobs.arrival_s[self.jobs])

    @property
    def end_s(self) -> FloatArray:
        """When they ended; shape (n_runs, n). [s]"""
        return _floats(self.ledger.end_s[:, self.jobs])

    @property
    def jct_s(self) -> FloatArray:
        """How long they took from their arrival; inf where unfinished; shape (n_runs, n). [s]"""
        return self.end_s - self.arrival_s

    @property
    def job_s(self) -> FloatArray:
        """Seconds by phase; shape (n_runs, n, n_phases + 1). [s]"""
        return _floats(self.ledger.job_s[:, self.jobs])

    @property
    def chip_s(self) -> FloatArray:
        """Chip-seconds; shape (n_runs, n_groups, n_pools, n_phases). [s]"""
        return _floats(self.ledger.chip_s[:, :-1][:, self.groups])

    def booked(self, weight: str, phases: int | slice = _EVERY) -> FloatArray:
        """Return chip-seconds of those jobs times a weight; shape (n_runs, n_pools, n_phases)."""
        booked = self.ledger.weighted(weight)[..., phases]
        return _floats(booked[:, :-1][:, self.groups].sum(axis=1))

    def capped(self, weight: str, phases: int | slice = _EVERY) -> FloatArray:
        """Return those of them whose power a cap took away."""
        return self.booked("capped" if weight == "seconds" else f"capped {weight}", phases)

    def idle(self, weight: str) -> FloatArray:
        """Return chip-seconds that nobody holds times a weight, in the same shape."""
        return _floats(self.ledger.weighted(weight)[:, -1])

    def idle_off(self, weight: str) -> FloatArray:
        """Return those of them that are switched off as their site has no power for them."""
        capped = self.ledger.weighted("capped" if weight == "seconds" else f"capped {weight}")
        return _floats(capped[:, -1])

    def served(self, weight: str) -> FloatArray:
        """Return chip-seconds of services times a weight, in the columns of `_in_columns`."""
        at = self.ledger.weights.index(weight)
        held, loaded = self.ledger.served[..., at], self.ledger.loaded[..., at]
        places = np.arange(len(self.world.services))[self.services]
        return _in_columns(self.world, _floats(held), _floats(loaded), places.tolist())

    @property
    def sent_bytes(self) -> FloatArray:
        """What left the site of each pool; shape (n_runs, n_pools). [B]"""
        sent = self.ledger.sent_bytes
        if sent is None:
            return np.zeros((self.ledger.n_runs, len(self.world.pools)))
        return _floats(sent[:, self.groups].sum(axis=1))

    @property
    def firsts(self) -> IntArray:
        """One job of each group."""
        found: IntArray = self.world.jobs.firsts[self.groups]
        return found

    @property
    def served_chip_s(self) -> FloatArray:
        """Chip-seconds that services held; shape (n_runs, n_services, n_pools). [s]"""
        return _floats(self.ledger.served[..., 0][:, self.services])

    def count(self, name: str) -> FloatArray:
        """Return what the ledger counts of each of the jobs; shape (n_runs, n)."""
        return _floats(self.ledger.counts[name][:, self.jobs])


Measure = Callable[[_Of], FloatArray]
Booked = Callable[[str], FloatArray]  # weight -> chip-seconds times it, (n_runs, n_pools, n_phases)

_FOLLOWS = {
    **dict.fromkeys(("energy_kwh", "energy_floor_kwh"), "energy"),
    **dict.fromkeys(("carbon_market_kg", "water_grid_l"), "energy"),
    "electricity_usd": "cost",
    "carbon_kg": "carbon",
}
"""Measures of power -> the signal of the world that they follow, where there is one."""


def measure(ledger: Ledger, world: World) -> dict[str, FloatArray]:
    """Return the quantities of a scenario that do not depend on other cases, per run.

    By the names in ``quantities.py``, which carry the units; arrays of shape (n_runs,). NaN where
    one does not exist; inf for the time to train and the makespan where the run was cut before.
    Those that depend on the window are counted from `by_site`.
    """
    every = _Of(ledger, world, _fairness(ledger, world), _EVERY, _EVERY, _EVERY, _EVERY)
    of_groups = _OF_GROUPS if _placing(world) else {}
    values = _counted(every, _OF_RUN | _OF_ANY | of_groups, _OF_ALL_JOBS | _OF_JOBS)
    return values | _of_requests(ledger, world)


def measure_tenants(ledger: Ledger, world: World) -> dict[str, dict[str, FloatArray]]:
    """Return the same quantities of the jobs and services of each tenant, by its name.

    And energy, cost and carbon of its jobs, which depend on no window. Without those that only a
    whole run has. Empty where all have one tenant.
    """
    owners = world.owners
    if len(owners) < 2:
        return {}
    whose, fairness = world.job_table.tenant, _fairness(ledger, world)
    of_services = np.array([world.tenants.names.index(one.tenant) for one in world.services])
    of_groups, found = whose[world.jobs.firsts], {}
    demand = _demand_per_kwh(ledger, world)
    for tenant in owners:
        jobs, groups, served, who = (
            np.flatnonzero(part == tenant)
            for part in (whose, of_groups, of_services, np.arange(len(world.tenants.names)))
        )
        theirs = _Of(ledger, world, fairness, jobs, groups, served, who)
        values = _counted(theirs, _OF_ANY, _OF_JOBS)
        taken = _taken(theirs.booked, world, demand, theirs.capped, theirs.sent_bytes)
        services = _taken(theirs.served, world, demand, serves=True) if world.services else None
        holders = of_holders(taken, services, values["kept_gtok"], world.currency)
        found[world.tenants.names[tenant]] = values | holders
    return found


def _counted(
    of: _Of, anyway: Mapping[str, Measure], of_jobs: Mapping[str, Measure]
) -> dict[str, FloatArray]:
    """Return measures, those of jobs only if there are any; NaN where there is no number."""
    has_jobs = len(of.arrival_s) > 0
    with np.errstate(all="ignore"):
        values = {name: function(of) for name, function in anyway.items()}
        values |= {n: function(of) if has_jobs else _none(of) for n, function in of_jobs.items()}
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


def _held_chips(of: _Of, jobs: _Some) -> FloatArray:
    """Return the chips each of some jobs holds on each pool; nan where it can never run."""
    chips = of.world.n_nodes[jobs] * np.array([p.chips_per_node * 1.0 for p in of.world.pools])
    return np.where(chips > 0, chips, np.nan)


def _seconds(of: _Of, phase: int) -> FloatArray:
    """Return the seconds at full size and speed in train or lost, by pool. [s]

    Of each job, or kind of job where the ledger has no more; shape (n_runs, n_groups, n_pools).
    """
    slow_chip_s = of.ledger.weighted("slow")[:, :-1, :, phase][:, of.groups]
    seconds = (of.chip_s[..., phase] - slow_chip_s) / _held_chips(of, of.firsts)
    return np.nan_to_num(seconds, nan=0.0)


def _tok_per_s(of: _Of) -> FloatArray:
    """Return the speed that each job, or kind, had; shape (n_runs, n_groups, n_pools)."""
    nominal = of.world.jobs.of_kind("tok_per_s", of.firsts)
    return _floats(nominal / of.ledger.step_factor[:, of.firsts])


def _tokens_by_pool(of: _Of, *phases: int) -> FloatArray:
    """Return the tokens processed in some phases; nan where a speed is not known.

    Shape (n_runs, n_pools).
    """
    seconds = sum(_seconds(of, phase) for phase in phases)
    tokens = np.where(seconds == 0, 0.0, seconds * _tok_per_s(of)).sum(axis=1)
    kinds = np.unique(of.world.jobs.kind[of.jobs])
    unknown = any(np.isnan(of.world.jobs.kinds[k].tok_per_s).all() for k in kinds)
    return np.full_like(tokens, math.nan) if unknown else tokens


def _tokens(of: _Of, *phases: int) -> FloatArray:
    """Return the tokens processed in some phases, per run; nan where the speed is not known."""
    return _floats(_tokens_by_pool(of, *phases).sum(axis=1))


def _jobs_by_pool(of: _Of) -> FloatArray:
    """Return the work kept on each pool over the work of a job; shape (n_runs, n_pools).

    Of jobs booked together, over that of their mean.
    """
    jobs, kinds, group = of.world.jobs, of.firsts, of.world.jobs.group
    scale = (np.bincount(group, jobs.scale) / np.bincount(group))[of.groups]
    factor = of.world.work_factor(of.ledger.step_factor[:, kinds], kinds)
    whole_s = jobs.of_kind("train_s", kinds) * scale[:, None] * factor
    seconds = _seconds(of, TRAIN)
    return _floats(np.where(seconds == 0, 0.0, seconds / whole_s).sum(axis=1))


def _weights(of: _Of, jobs: _Some) -> FloatArray:
    """Return how much each of some jobs counts: the chips it wants."""
    return _floats(np.nanmin(_held_chips(of, jobs), axis=1))


def _ettr(of: _Of) -> FloatArray:
    weights = _weights(of, of.jobs)
    return _floats((of.job_s[..., TRAIN] @ weights) / (of.job_s.sum(axis=2) @ weights))


def _goodput_frac(of: _Of) -> FloatArray:
    """Seconds at full size and speed over seconds, weighted by chips: of one job, tokens."""
    at_full_s = _seconds(of, TRAIN).sum(axis=2) @ _weights(of, of.firsts)
    return _floats(at_full_s / (of.job_s.sum(axis=2) @ _weights(of, of.jobs)))


def _in_phase(phase: int) -> Measure:
    """Return the measure of the chip-hours that jobs spend in a phase."""
    return lambda of: of.chip_s[..., phase].sum(axis=(1, 2)) / HOUR_S


def _available(of: _Of) -> FloatArray:
    weights = _weights(of, of.jobs)
    started_s = of.job_s[..., :QUEUE].sum(axis=2) @ weights
    return _floats(1 - of.job_s[..., BLOCKED] @ weights / started_s)


def _effective_chip_h(of: _Of) -> FloatArray:
    """Return held chip time times speed over that on the best pool; none where there is one."""
    if len(of.world.pools) == 1:
        return _none(of)
    jobs = of.firsts
    factor = of.world.work_factor(of.ledger.step_factor[:, jobs], jobs)
    can_run = np.isfinite(_held_chips(of, jobs))
    train_s = np.where(can_run, of.world.jobs.of_kind("train_s", jobs) * factor, math.inf)
    speed = train_s.min(axis=2, keepdims=True) / train_s
    return _floats((of.chip_s.sum(axis=3) * speed).sum(axis=(1, 2)) / HOUR_S)


def _makespan_days(of: _Of) -> FloatArray:
    """Return the time from the first arrival to the last end; inf where a job is unfinished."""
    return _floats((of.end_s.max(axis=1) - of.arrival_s.min()) / DAY_S)


def _of_one(function: Measure) -> Measure:
    """Return the measure of a single job; none where there are several."""
    return lambda of: function(of) if len(of.world.jobs) == 1 else _none(of)


def _of_several(function: Measure) -> Measure:
    """Return the measure of what only a world of several jobs has."""
    return lambda of: _none(of) if len(of.world.jobs) == 1 else function(of)


def _time(name: str) -> Measure:
    """Return the measure of how long the work takes; none where it has another name."""
    return lambda of: _makespan_days(of) if name == time_of(len(of.world.jobs)) else _none(of)


def _none(of: _Of) -> FloatArray:
    return np.full(of.ledger.n_runs, math.nan)


def _of_services(chip_s: Measure) -> Measure:
    """Return the measure of chip-hours of services; none where the world has none."""
    return lambda of: chip_s(of) / HOUR_S if of.world.services else _none(of)


def _in_state(state: int) -> Measure:
    """Return the measure of the chip-seconds of services that do one thing."""
    return lambda of: of.ledger.by_state_chip_s[..., state][:, of.services].sum(axis=(1, 2))


def _beside(phases: int | slice = _EVERY) -> Measure:
    """Return the measure of chip-seconds of jobs on pools of services, in some phases."""

    def measured(of: _Of) -> FloatArray:
        pools = sorted({p for one in of.world.services for p in one.pools})
        chip_s = of.chip_s.sum(axis=1)[:, pools][..., phases]
        return _floats(chip_s.reshape(of.ledger.n_runs, -1).sum(axis=1))

    return measured


def _in_requests(of: _Of, units: FloatArray) -> FloatArray:
    """Return the sum of units of services over those in which requests end, each once."""
    ends = np.array([one.ends_requests for one in of.world.services], dtype=bool)
    return _floats((units * ends)[:, of.services].sum(axis=1))


def _of_requests_needed(some: Measure) -> Measure:
    """Return the measure of some requests over all; nan where no service states requests."""

    def measured(of: _Of) -> FloatArray:
        needed = _in_requests(of, of.ledger.needed_unit_s)
        return _floats(some(of) / np.where(needed > 0, needed, math.nan))

    return measured


def _of_requests(ledger: Ledger, world: World) -> dict[str, FloatArray]:
    """Return what requests took of services that state them; nothing where none does.

    Energy, money and carbon are of all chips that these services held, to the end of the run; what
    falls on prompts is by their share of the time in steps. Of prompts and answers on instances of
    their own, each takes its part, and requests count with their answers.
    """
    asked = [i for i, one in enumerate(world.services) if one.answers is not None]
    if not asked:
        return {}
    answered = ledger.needed_unit_s - ledger.missed_unit_s
    demand = _demand_per_kwh(ledger, world)
    none = np.empty(0, dtype=np.int64)
    total = dict.fromkeys(_TAKEN_BY_REQUESTS, np.zeros(ledger.n_runs))
    parts = {(name, end): np.zeros(ledger.n_runs) for name in _BY_TOKEN for end in ("in", "out")}
    tokens = dict.fromkeys(("in", "out"), np.zeros(ledger.n_runs))
    for i in asked:
        one, answers = world.services[i], world.services[i].answers
        assert answers is not None
        of = _Of(ledger, world, np.empty(0), none, none, np.array([i]), none)
        taken = _taken(of.served, world, demand, serves=True)
        prompt_frac = np.zeros(len(world.pools))
        prompt_frac[list(one.pools)] = answers.prompt_frac
        for name in total:
            total[name] = total[name] + taken[name].sum(axis=1)
        for name in _BY_TOKEN:
            parts[name, "in"] = parts[name, "in"] + taken[name] @ prompt_frac
            parts[name, "out"] = parts[name, "out"] + taken[name] @ (1.0 - prompt_frac)
        tokens["in"] = tokens["in"] + answered[:, i] * answers.input_tokens
        tokens["out"] = tokens["out"] + answered[:, i] * answers.output_tokens
    ended = [i for i in asked if world.services[i].ends_requests]
    n, days = answered[:, ended].sum(axis=1), ledger.wall_s / DAY_S
    with np.errstate(all="ignore"):
        values = {
            "requests_answered": n,
            "requests_per_day": n / days,
            **{f"wh_{m}per_request": 1e3 * total[f"energy_{m}kwh"] / n for m in ENERGIES},
            "usd_per_krequest": 1e3 * total["cost_usd"] / n,
            "g_per_request": 1e3 * total["carbon_kg"] / n,
            "serving_kwh_per_day": total["energy_kwh"] / days,
            "serving_usd_per_day": total["cost_usd"] / days,
            "serving_kg_per_day": total["carbon_kg"] / days,
            **{
                f"{_BY_TOKEN[name]}_per_mtok_{end}": 1e6 * value / tokens[end]
                for (name, end), value in parts.items()
            },
        }
    return {
        in_currency(name, world.currency): np.where(np.isfinite(value), value, np.nan)
        for name, value in values.items()
    }


_BY_TOKEN = {"energy_kwh": "kwh", "cost_usd": "usd", "carbon_kg": "kg"}
_TAKEN_BY_REQUESTS = (*_BY_TOKEN, "energy_it_kwh", "energy_chip_kwh")


def _of_quotas(by_tenant: Callable[[Ledger], FloatArray | IntArray]) -> Measure:
    """Return the measure of what is counted by tenant; none where none has a quota."""

    def measured(of: _Of) -> FloatArray:
        quota = of.world.tenants.quota_nodes
        if quota is None or not (np.isfinite(quota) & (quota > 0)).any():
            return _none(of)
        return _floats(by_tenant(of.ledger)[:, of.tenants].sum(axis=1) * 1.0)

    return measured


def _count(name: str) -> Measure:
    """Return the measure of what the ledger counts by pool or kind of fault."""
    return lambda of: _floats(of.ledger.counts[name].sum(axis=1) * 1.0)


def _if_any(effect: type, function: Measure) -> Measure:
    """Return a measure; none where no fault has an effect."""

    def counted(of: _Of) -> FloatArray:
        kinds = (kind for pool in of.world.pools for kind in pool.kinds)
        return function(of) if any(isinstance(k.effect, effect) for k in kinds) else _none(of)

    return counted


def _deadlines_missed(of: _Of) -> FloatArray:
    deadline_s = of.world.jobs.deadline_s[of.jobs]
    until_s = np.minimum(of.end_s, of.ledger.wall_s[:, None])  # later ones may yet be met
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


def _done_by_deadline_frac(of: _Of) -> FloatArray:
    """Return 1 where all jobs with a deadline meet it, 0 where one does not; nan if unknown."""
    has_one = np.isfinite(of.world.jobs.deadline_s)
    if not has_one.any():
        return _none(of)
    done = _done_by_deadline(of.ledger, of.world)[:, has_one]
    return _floats(np.where((done == 0).any(axis=1), 0.0, done.min(axis=1)))


def by_site(ledger: Ledger, world: World) -> BySite:
    """Return what jobs, services and idle chips take on each pool, and idle chips after a run."""
    every = _Of(ledger, world, np.empty(0), _EVERY, _EVERY, _EVERY, _EVERY)
    in_repair = ledger.counts["in_repair"] * [pool.chips_per_node for pool in world.pools]
    whole = np.array(world.n_chips) - in_repair
    states, loaded, *_ = _mean_served(world)
    held = states.sum(axis=2)
    serving = np.minimum(held.sum(axis=0), whole)
    with np.errstate(all="ignore"):
        there = np.nan_to_num(serving / held.sum(axis=0))[:, None]
    after_s = np.zeros(ledger.chip_s[:, -1].shape)  # of a day
    after_s[..., IDLE] = (whole - serving) * DAY_S
    after_s[..., REPAIR] = in_repair * DAY_S

    def later(chip_s: FloatArray, mean: Callable[[World, str], FloatArray]) -> Booked:
        """Return chip-seconds after a run, at the mean of what varies."""
        return lambda weight: chip_s * mean(world, weight)[:, None]

    rest, off = later(after_s, _mean_weights), later(after_s, mean_off)
    serving_s = _in_columns(world, held * there * DAY_S, loaded * there * DAY_S)
    demand, steady = _demand_per_kwh(ledger, world), _demand_steady(ledger, world)
    none = np.zeros((ledger.n_runs, len(world.pools)))
    with np.errstate(all="ignore"):
        kept_gtok = _tokens_by_pool(every, TRAIN) / 1e9 if len(world.jobs) else none
        kept_jobs = _jobs_by_pool(every) if len(world.jobs) else none
    jobs = _taken(every.booked, world, demand, every.capped, every.sent_bytes)
    idle = _taken(every.idle, world, demand, every.idle_off)
    services = _taken(every.served, world, demand, serves=True) if world.services else None
    after = (
        _taken(later(serving_s, _mean_weights), world, steady, serves=True)
        if world.services
        else None
    )
    parts = (jobs, idle, services)
    return BySite(
        tuple(pool.site for pool in world.pools),
        world.currency,
        ledger.wall_s,
        jobs=jobs,
        idle=idle,
        idle_per_day=_taken(rest, world, steady * _peak_over_mean(world), off),
        services=services,
        services_per_day=after,
        pools=tuple(pool.name for pool in world.pools),
        chips=tuple(pool.chip for pool in world.pools),
        kept={"kept_gtok": kept_gtok, "kept_jobs": kept_jobs},
        batteries=_of_batteries(ledger, world, [part for part in parts if part is not None]),
        served=_served_before(every, demand) if world.services else None,
        served_per_day=_served_after(world, there[:, 0], steady) if world.services else None,
    )


def _served_before(of: _Of, demand: FloatArray) -> dict[str, FloatArray]:
    """Return what services did to the end of a run, by `SERVED`."""
    ledger, world = of.ledger, of.world
    answered = ledger.needed_unit_s - ledger.missed_unit_s
    columns = dataclasses.replace(of, services=_asked(world)).served
    taken = _taken(columns, world, demand, serves=True)
    return _served(world, ledger.by_state_chip_s, ledger.lacked_chip_s, answered, taken)


def _served_after(world: World, there: FloatArray, steady: FloatArray) -> dict[str, FloatArray]:
    """Return what services do on a mean day after a run, by `SERVED`.

    `there` is the share of what they hold on each pool that is not in repair; shape (n_runs,
    n_pools).
    """
    states, loaded, units, lacked = _mean_served(world)
    day_s = there[:, None] * DAY_S
    held_s = states.sum(axis=2) * day_s
    columns = _in_columns(world, held_s, loaded * day_s, _asked(world).tolist())
    taken = _taken(
        lambda weight: columns * _mean_weights(world, weight)[:, None], world, steady, serves=True
    )
    by_state_chip_s = states * day_s[..., None]
    none = np.zeros((len(there), 1))
    return _served(world, by_state_chip_s, none + lacked * DAY_S, none + units * DAY_S, taken)


def _asked(world: World) -> IntArray:
    """Return the services that state requests."""
    return np.array(
        [i for i, one in enumerate(world.services) if one.answers is not None], dtype=np.int64
    )


def _served(
    world: World,
    by_state_chip_s: FloatArray,
    lacked_chip_s: FloatArray,
    answered: FloatArray,
    taken: Mapping[str, FloatArray],
) -> dict[str, FloatArray]:
    """Return what services did, by `SERVED`; what has no pool is on the first of the service.

    Chip-seconds are by service, pool and state; what lacked, and what was answered, by service;
    what requests took by pool.
    """
    by_state = _floats(by_state_chip_s.sum(axis=1)) / HOUR_S
    lacked, n_answered = np.zeros((2, *by_state.shape[:2]))
    for i, one in enumerate(world.services):
        lacked[:, one.pools[0]] += lacked_chip_s[:, i] / HOUR_S
        if one.answers is not None and one.ends_requests:
            n_answered[:, one.pools[0]] += answered[:, i]
    found = {
        "service_chip_h": by_state.sum(axis=2),
        "service_lacked_chip_h": lacked,
        **{f"service_{name}_chip_h": by_state[..., i] for i, name in enumerate(SERVICE_STATES)},
        "requests_answered": n_answered,
        **{f"serving_{unit}": taken[name] for name, unit in _BY_TOKEN.items()},
    }
    return {name: found[name] for name in SERVED}


def _of_batteries(
    ledger: Ledger, world: World, parts: Sequence[Mapping[str, FloatArray]]
) -> dict[str, FloatArray] | None:
    """Return what batteries take less what they give, on pools by their energy; None without any.

    At the price and the carbon of the time: one that charges in cheap hours may cost less than
    nothing. What it does to the highest draw is in the demand charge. `parts` are what all else
    takes.
    """
    if ledger.battery_j is None or ledger.battery_net_j is None:
        return None
    if not any(one.battery for one in world.limits):
        return None
    kwh = sum((part["energy_kwh"] for part in parts), np.zeros(1))
    net_j = np.zeros((*kwh.shape, 4))  # plain, times price, times carbon; and what is left
    amounts_j = np.concatenate([ledger.battery_net_j, ledger.battery_j[..., 2:]], axis=2)
    for one, of_run in zip(world.limits, amounts_j.transpose(1, 0, 2), strict=True):
        here = list(one.pools)
        share = kwh[:, here] / kwh[:, here].sum(axis=1, keepdims=True)
        net_j[:, here] = np.nan_to_num(share)[..., None] * of_run[:, None]
    pools, none = world.pools, np.zeros(kwh.shape)
    found = dict.fromkeys(MEASURES, none) | {
        "energy_kwh": net_j[..., 0] / KWH_J,
        "electricity_usd": net_j[..., 1] * [p.money_per_j for p in pools],
        "carbon_kg": net_j[..., 2] * [p.kg_per_j for p in pools],
        "carbon_market_kg": net_j[..., 0] * [p.market_kg_per_j for p in pools],
        "water_grid_l": net_j[..., 0] * [p.grid_water_l_per_j for p in pools],
        "stored_kwh": net_j[..., 3] / KWH_J,
    }
    return found | {"cost_usd": found["electricity_usd"]}


def _demand_rates(world: World) -> FloatArray:
    """Return the charge for the highest draw of the site of each pool; nan if none has one.

    [currency/(W month)]
    """
    return _where_any([pool.demand_money_per_w_month for pool in world.pools])[:, 0]


def _demand_steady(ledger: Ledger, world: World) -> FloatArray:
    """Return the charge for what is drawn steadily after a run, over its energy.

    By the month in which the run ends; shape (n_runs, n_pools). [currency/kWh]
    """
    edges_s = month_edges_s(world.begins_s, float(ledger.wall_s.max()))
    month = np.clip(np.searchsorted(edges_s, ledger.wall_s) - 1, 0, len(edges_s) - 2)
    return _floats(_demand_rates(world) * KWH_J / np.diff(edges_s)[month][:, None])


def _peak_over_mean(world: World) -> FloatArray:
    """Return the highest power of idle nodes over its mean, by what is switched off of it.

    1 where it is never less than all; shape (n_pools,).
    """
    with np.errstate(all="ignore"):
        whole = _mean_weights(world, "energy")
        found = (1.0 - least_off_frac(world)) * whole / (whole - mean_off(world, "energy"))
    return np.nan_to_num(found)


def _demand_per_kwh(ledger: Ledger, world: World) -> FloatArray:
    """Return the charge for the highest draw, spread over the energy of the run.

    Of each calendar month its own, for the part of the month that the run covers. Shape (n_runs,
    n_pools). [currency/kWh]
    """
    rates = _demand_rates(world)
    if ledger.month_peak_w is None:
        return np.full((ledger.n_runs, len(rates)), math.nan)
    of_site = np.array([[one.site == pool.site for one in world.pools] for pool in world.pools])
    edges_s = month_edges_s(world.begins_s, float(ledger.wall_s.max()))
    months = covered_frac(edges_s, ledger.wall_s)
    charge = rates * np.einsum("rpm,rm->rp", ledger.month_peak_w, months)
    every = _Of(ledger, world, np.empty(0), _EVERY, _EVERY, _EVERY, _EVERY)
    parts = [
        _taken(every.booked, world, rates, every.capped),
        _taken(every.idle, world, rates, every.idle_off),
    ]
    if world.services:
        parts.append(_taken(every.served, world, rates, serves=True))
    kwh = sum(part["energy_kwh"] for part in parts) @ of_site
    with np.errstate(all="ignore"):
        return _floats(np.where(kwh > 0, charge / kwh, 0.0))


def _mean_weights(world: World, weight: str) -> FloatArray:
    """Return the mean of a weight at each pool; shape (n_pools,)."""
    if weight not in world.signals:
        return np.ones(len(world.pools))
    return np.array([signal.mean_frac for signal in world.signals[weight]])


def _mean_served(world: World) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return what services hold and do where there are no jobs and no faults: the mean of hours.

    First the least of each, then what else it needs, the highest priority first.

    Returns
    -------
    states : ndarray, shape (n_services, n_pools, n_states)
        Chips, by what they do, as `SERVICE_STATES`.
    loaded : ndarray, shape (n_services, n_pools)
        Those of them that work takes, as `Ledger.loaded`.
    answered, lacked : ndarray, shape (n_services,)
        Units for which chips are ready, and chips that are lacked to hold what is to be held.
    """
    n_services, n_pools = len(world.services), len(world.pools)
    states = np.zeros((n_services, n_pools, len(SERVICE_STATES)))
    loaded = np.zeros((n_services, n_pools))
    answered, lacked = np.zeros((2, n_services))
    if not n_services:
        return states, loaded, answered, lacked
    edges_s, now_s = _steady_times(world)
    share, period_s = np.diff(edges_s) / (edges_s[-1] - edges_s[0]), edges_s[-1] - edges_s[0]
    room = [pool.n_nodes for pool in world.pools]
    nodes, lacks = zip(
        *(nodes_held(world.services, room, at_s) for at_s in now_s.tolist()), strict=True
    )
    held, units_lacked = np.array(nodes), np.array(lacks)
    beyond = np.zeros((n_services, len(now_s)))
    for i, one in enumerate(world.services):
        here, chips = list(one.pools), np.array([world.pools[p].chips_per_node for p in one.pools])
        lacked[i] = share @ units_lacked[:, i] * chips[0] / one.gives[0]
        for k, at_s in enumerate(now_s.tolist()):
            began = (at_s - edges_s[1:]) % period_s < one.demand.start_s  # still held since then
            began[k] = True
            ready = held[began][:, i, here].min(axis=0)
            step, on = one.demand.step(at_s), ready.tolist()
            serving, beyond[i, k] = nodes_on_pools(step.needed, on, one.gives, one.group)
            kept, _ = nodes_on_pools(max(step.ahead, step.needed), on, one.gives, one.group)
            parts = [serving, held[k, i, here] - ready, ready - kept, np.subtract(kept, serving)]
            states[i, here] += share[k] * np.transpose(parts) * chips[:, None]
            given = float(np.dot(ready, one.gives))
            loaded[i, here] += (
                share[k] * ready * chips * min(1.0, step.needed / (given or math.inf))
            )
            missed = max(beyond[[i] if one.prompts is None else [one.prompts, i], k])
            answered[i] += share[k] * (step.needed - missed)
    return states, loaded, answered, lacked


def _steady_times(world: World) -> tuple[FloatArray, FloatArray]:
    """Return edges and middles of the stretches in which services hold the same, of a period.

    Late enough in a run that what is held follows from hours that were. [s]
    """
    n_hours = max(len(one.demand.hourly) for one in world.services)
    changes_s = {change_s for one in world.services for change_s in one.demand.changes_s}
    after_s = sorted({0.0, *(change_s % HOUR_S for change_s in changes_s)})
    n_before = math.ceil(max(changes_s) / HOUR_S / n_hours) + 1
    hours_s = (n_before * n_hours + np.arange(n_hours)) * HOUR_S
    edges_s = np.append((hours_s[:, None] + after_s).ravel(), hours_s[-1] + HOUR_S)
    return edges_s, _floats((edges_s[1:] + edges_s[:-1]) / 2)


def _in_columns(
    world: World, held: FloatArray, loaded: FloatArray, services: Sequence[int] | None = None
) -> FloatArray:
    """Return chip-seconds of services by pool, in columns by what they draw.

    Phases, those of services that draw as in training standing there; then of each service what it
    holds, and what its work takes. Shape (n_runs, n_pools, n_phases + 2 n_services).
    """
    n_phases, n_services = len(PHASES), len(world.services)
    found = np.zeros((len(held), len(world.pools), n_phases + 2 * n_services))
    for i in range(n_services) if services is None else services:
        one = world.services[i]
        for p in one.pools:
            if one.drawn_on(p) is None:
                found[:, p, TRAIN] += held[:, i, p]
            else:
                found[:, p, n_phases + 2 * i] = held[:, i, p]
                found[:, p, n_phases + 2 * i + 1] = loaded[:, i, p]
    return found


def _taken(
    booked: Booked,
    world: World,
    demand: FloatArray,
    capped: Booked | None = None,
    sent_bytes: FloatArray | float = 0.0,
    *,
    serves: bool = False,
) -> dict[str, FloatArray]:
    """Return what chip-seconds take on each pool, by `MEASURES`; shapes (n_runs, n_pools).

    What a power cap took away is taken off; of it only what follows from power counts. `demand` is
    the charge for the highest draw per energy. [currency/kWh] Beside chip-seconds, `sent_bytes`
    leave the sites of pools. `serves` says that they are of services, in their columns.
    """

    def by_phase(chip_s: FloatArray, rate: FloatArray) -> FloatArray:
        # No time on a pool takes nothing, whatever its rate; what is known of no pool stays nan.
        is_none = (chip_s == 0) & ~np.isnan(rate).all()
        return _floats(np.where(is_none, 0.0, chip_s * rate))

    def on_pools(chip_s: FloatArray, rate: FloatArray) -> FloatArray:
        return _floats(by_phase(chip_s, rate).sum(axis=-1))

    with np.errstate(all="ignore"):
        power, found = _power_rates(world, serves=serves), dict[str, FloatArray]()
        rates = _rates(world, power) | power
        weights = {name: _weight_of(name, world) for name in rates}
        drawn = {weight: booked(weight) for weight in set(weights.values())}
        spared = {weight: capped(weight) for weight in drawn} if capped is not None else {}
        for name, weight in weights.items():
            found[name] = on_pools(drawn[weight], rates[name])
            if name in power and spared:
                found[name] = found[name] - on_pools(spared[weight], rates[name])
        for of in ENERGIES if spared else ():  # less than idle where nodes are switched off
            floor, energy = (f"energy_{of}{name}kwh" for name in ("floor_", ""))
            weight, rate = weights[floor], rates[energy]
            most = by_phase(drawn[weight], rate) - by_phase(spared[weight], rate)
            found[floor] = np.minimum(by_phase(drawn[weight], rates[floor]), most).sum(axis=-1)
        found["stored_kwh"] = np.zeros(found["chip_h"].shape)
        found["demand_usd"] = found["energy_kwh"] * demand
        sent_rates = _where_any([pool.sent_money_per_b for pool in world.pools])[:, 0]
        found["sent_usd"] = np.zeros(found["chip_h"].shape) + sent_rates * sent_bytes
        more = ("demand", "rent", "purchase", "building", "sent")
        known = [np.nan_to_num(found[f"{line}_usd"]) for line in more]
        found["cost_usd"] = found["electricity_usd"] + sum(known)
    return {name: found[name] for name in MEASURES}


def _weight_of(measure: str, world: World) -> str:
    """Return the weight of chip-seconds that the power of a measure follows."""
    account = _FOLLOWS.get(measure, "")
    return account if account in world.signals else "seconds"


def _power_rates(world: World, *, serves: bool = False) -> dict[str, FloatArray]:
    """Return what the power of a chip-second adds to each measure, shape (n_pools, n_columns).

    Columns are phases, or those of `_in_columns`.
    """
    pools = world.pools
    chip_w = np.array([p.chip_w if p.meter == "chip" else p.chip_w * math.nan for p in pools])
    it_w = np.array([p.chip_w + p.node_overhead_w + p.network_w for p in pools])
    if serves:
        drawn = [[one.drawn_on(p) for one in world.services] for p in range(len(pools))]
        chip_w, it_w = (
            np.column_stack([watts, [_two_each(of_pool, part) for of_pool in drawn]])
            for watts, part in ((chip_w, "chip"), (it_w, "it"))
        )
    site_w = it_w * np.array([[p.pue] for p in pools])

    def times(watts: FloatArray, rates: list[float]) -> FloatArray:
        return _floats(watts * np.array(rates)[:, None])

    return {
        "energy_kwh": site_w / KWH_J,
        "energy_it_kwh": it_w / KWH_J,
        "energy_chip_kwh": chip_w / KWH_J,
        "electricity_usd": times(site_w, [p.money_per_j for p in pools]),
        "carbon_kg": times(site_w, [p.kg_per_j for p in pools]),
        "carbon_market_kg": times(site_w, [p.market_kg_per_j for p in pools]),
        "water_site_l": times(it_w, [p.site_water_l_per_j for p in pools]),
        "water_grid_l": times(site_w, [p.grid_water_l_per_j for p in pools]),
    }


def _two_each(drawn: Sequence[Drawn | None], meter: str) -> list[float]:
    """Return the watts of a chip of each service on a pool: without requests, and more."""
    return [
        0.0 if one is None else float(getattr(one, f"{meter}_{part}"))
        for one in drawn
        for part in ("w", "more_w")
    ]


def _rates(world: World, power: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return what a chip-second adds to each measure that no cap takes from; as `_power_rates`."""
    n_pools, n_columns = power["energy_it_kwh"].shape
    column, n_phases = np.arange(n_columns), len(PHASES)
    is_time = (column < n_phases) | ((column - n_phases) % 2 == 0)  # the others only draw more
    ones = np.tile(is_time * 1.0, (n_pools, 1))
    phases_w = power["energy_it_kwh"][:, :n_phases].max(axis=1, keepdims=True) * KWH_J
    most_it_w = ones * np.fmax(phases_w, np.array([[p.most_it_w] for p in world.pools]))
    floors = {
        f"energy_{of}floor_kwh": np.where(is_time, _up_to_idle(power[f"energy_{of}kwh"]), 0.0)
        for of in ENERGIES
    }
    return {
        "rent_usd": ones * _where_any([p.rent_money_per_chip_s for p in world.pools]),
        "purchase_usd": ones * _where_any([p.purchase_money_per_chip_s for p in world.pools]),
        "building_usd": most_it_w * _where_any([p.building_money_per_w_s for p in world.pools]),
        "embodied_kg": ones * np.array([[p.embodied_kg_per_chip_s] for p in world.pools]),
        **floors,
        "chip_h": ones / HOUR_S,
        "idle_chip_h": ones * (column == IDLE) / HOUR_S,
        "repair_chip_h": ones * (column == REPAIR) / HOUR_S,
    }


def _where_any(rates: list[float]) -> FloatArray:
    """Return rates as a column, those of pools without one 0; nan if no pool has one."""
    found = np.array(rates)[:, None]
    return found if np.isnan(found).all() else np.nan_to_num(found)


def _energy_in(phase: int, meter: str) -> Measure:
    """Return the measure of the energy of jobs in a phase at a meter of `ENERGIES`."""

    def measured(of: _Of) -> FloatArray:
        name = f"energy_{meter}kwh"
        weight = _weight_of(name, of.world)
        chip_s = of.booked(weight, phase) - of.capped(weight, phase)
        rate = _power_rates(of.world)[name][:, phase]
        return _floats(np.where(chip_s == 0, 0.0, chip_s * rate).sum(axis=1))

    return measured


def _up_to_idle(rate: FloatArray) -> FloatArray:
    """Return what of the power in each phase is drawn in any: as much as is drawn idle."""
    return _floats(np.minimum(rate, rate[:, [IDLE]]))


def _goodput(of: _Of) -> FloatArray:
    """Return tokens kept over the time that jobs used: first arrival to last end, or the cut."""
    last_s = np.minimum(of.end_s, of.ledger.wall_s[:, None]).max(axis=1)
    return _floats(_tokens(of, TRAIN) / (last_s - of.arrival_s.min()))


def _throughput(of: _Of) -> FloatArray:
    busy_s = of.job_s[..., TRAIN] + of.job_s[..., LOST]
    return _floats(_tokens(of, TRAIN, LOST) / busy_s.sum(axis=1))


def _percentile(values: FloatArray, percent: int) -> FloatArray:
    """Return a percentile over jobs in each run; nan where one of them has no value."""
    return _floats(np.percentile(np.where(np.isfinite(values), values, np.nan), percent, axis=1))


def _jct_percentile(percent: int) -> Measure:
    return _of_several(lambda of: _percentile(of.jct_s, percent) / HOUR_S)


def _mean_slowdown(of: _Of) -> FloatArray:
    return _floats((of.jct_s / of.world.wall_s.min(axis=1)[of.jobs]).mean(axis=1))


def _fairness(ledger: Ledger, world: World) -> FloatArray:
    """Return the completion time of each job over that with an equal share of every pool."""
    if len(world.jobs) < 2:
        return np.full(ledger.end_s.shape, math.nan)
    arrival_s, (pace, share) = world.jobs.arrival_s, _equal_pace(world)
    rho = np.empty(ledger.end_s.shape)
    with np.errstate(all="ignore"):
        for run, end_s in enumerate(ledger.end_s):
            present = np.maximum(_mean_present(arrival_s, end_s), share)
            rho[run] = (end_s - arrival_s) * pace / present
    return rho


def _equal_pace(world: World) -> tuple[FloatArray, FloatArray]:
    """Return what each job would have of all pools: pace, and gangs that they hold at a time.

    With a share of one of m it has an m-th of both, but at most one gang. Each of shape (n_jobs,).
    [work/s, 1]
    """
    table, n_nodes = world.job_table, world.pool_table.n_nodes
    wants, wall_s = table.n_nodes, table.wall_s
    if (mixing := table.mixing) is not None:  # a job that no pool holds alone has a part of each
        fits = wants.any(axis=1, keepdims=True)
        wants = np.where(fits, wants, mixing.n_nodes)
        wall_s = np.where(fits, wall_s, mixing.wall_s / np.maximum(mixing.frac, 1e-300)[:, None])
    with np.errstate(divide="ignore"):
        pace = np.where(wants > 0, n_nodes / np.maximum(wants, 1), 0.0)
        each = np.where(wants > 0, 1.0 / wall_s, 0.0)
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


def _placing(world: World) -> list[int]:
    """Return the pools with a placement."""
    return [p for p, pool in enumerate(world.pools) if pool.placement is not None]


def _spread(of: _Of) -> FloatArray:
    """Return the share of the chip time of jobs on more groups than they need."""
    held_chip_s = of.chip_s[:, :, _placing(of.world)].sum(axis=(1, 2, 3))
    return _floats(of.ledger.spread_chip_s.sum(axis=1) / held_chip_s)


def _idle_in_parts(of: _Of) -> FloatArray:
    """Return the share of idle chip time in groups of which other nodes are not idle."""
    idle_chip_s = of.ledger.chip_s[:, -1, _placing(of.world), IDLE].sum(axis=1)
    return _floats(of.ledger.in_parts_chip_s.sum(axis=1) / idle_chip_s)


_OF_GROUPS: dict[str, Measure] = {
    "beyond_least_groups": lambda of: (
        of.ledger.counts["beyond"].sum(axis=1) / of.ledger.counts["placed"].sum(axis=1)
    ),
    "spread_frac": _spread,
    "idle_in_parts_frac": _idle_in_parts,
}
"""Of a whole run, where a pool has a placement."""

_OF_ANY: dict[str, Measure] = {
    "n_unfinished": lambda of: np.isinf(of.end_s).sum(axis=1) * 1.0,
    "service_chip_h": _of_services(lambda of: of.served_chip_s.sum(axis=(1, 2))),
    "service_lacked_chip_h": _of_services(
        lambda of: of.ledger.lacked_chip_s[:, of.services].sum(axis=1)
    ),
    **{
        f"service_{name}_chip_h": _of_services(_in_state(i))
        for i, name in enumerate(SERVICE_STATES)
    },
    "beside_chip_h": _of_services(_beside()),
    "beside_kept_chip_h": _of_services(_beside(TRAIN)),
    "beside_paid_chip_h": _of_services(lambda of: _beside()(of) - _beside(TRAIN)(of)),
    "requests_missed_frac": _of_requests_needed(
        lambda of: _in_requests(of, of.ledger.missed_unit_s)
    ),
    "requests_again_per_m": _of_requests_needed(  # also where others answer: each begins again
        lambda of: 1e6 * of.ledger.n_again[:, of.services].sum(axis=1)
    ),
    "n_quota_violations": _of_quotas(lambda led: led.counts["quota_violations"]),
    "over_quota_chip_h": _of_quotas(lambda led: led.over_quota_chip_s / HOUR_S),
    **{f"{name}_chip_h": _in_phase(i) for i, name in enumerate(PHASES) if i not in (IDLE, REPAIR)},
    **{
        f"energy_{of}{name}_kwh": _energy_in(i, of)
        for of in ENERGIES
        for i, name in enumerate(PHASES[:IDLE])
    },
    "held_chip_h": lambda of: of.chip_s.sum(axis=(1, 2, 3)) / HOUR_S,
}
"""Of some jobs and services, be they none."""

_OF_JOBS: dict[str, Measure] = {
    "n_from_start": _if_any(Corrupt, lambda of: of.count("from_start").sum(axis=1)),
    "n_deadlines_missed": _deadlines_missed,
    "goodput_frac": _goodput_frac,
    "ettr": _ettr,
    "available_frac": _available,
    "kept_gtok": lambda of: _tokens(of, TRAIN) / 1e9,
    "goodput_tok_per_s": _goodput,
    "mean_jct_h": lambda of: of.jct_s.mean(axis=1) / HOUR_S,
    **{f"jct_p{p}_h": _jct_percentile(p) for p in (50, 95, 99)},
    "mean_slowdown_x": _of_several(_mean_slowdown),
    "fairness_p95_x": _of_several(lambda of: _percentile(of.fairness[:, of.jobs], 95)),
    "n_preemptions": lambda of: np.maximum(of.count("stays") - 1, 0).sum(axis=1),
    "mean_wait_h": lambda of: of.job_s[..., QUEUE].mean(axis=1) / HOUR_S,
    "effective_chip_h": _effective_chip_h,
}
"""Of some jobs: all, or those of a tenant."""

_OF_RUN: dict[str, Measure] = {
    "n_unexpected": lambda of: (
        of.ledger.counts["interruptions"][:, : of.world.n_fault_kinds].sum(axis=1) * 1.0
    ),
    "n_planned": lambda of: (
        of.ledger.counts["interruptions"][:, of.world.n_fault_kinds :].sum(axis=1) * 1.0
    ),
    "n_slowdowns": _if_any(Slow, _count("slowdowns")),
    "n_idle_faults": _count("idle_faults"),
    "n_node_repairs": _count("repairs"),
    "n_retired": _count("retired"),
    "wall_days": lambda of: of.ledger.wall_s / DAY_S,
    "lent_chip_h": _of_services(lambda of: of.ledger.lent_chip_s.sum(axis=1)),
}
"""Of a whole run."""

_OF_ALL_JOBS: dict[str, Measure] = {
    "done_by_deadline_frac": _done_by_deadline_frac,
    **{name: _time(name) for name in TIMES},
    "throughput_tok_per_s": _of_one(_throughput),  # speeds do not add up over time
    "idle_while_waiting_frac": lambda of: (
        of.ledger.waiting_idle_chip_s / (sum(of.world.n_chips) * of.ledger.wall_s)
    ),
    "peak_power_kw": lambda of: of.ledger.peak_w / 1e3,
}
"""Of a whole run with jobs."""
