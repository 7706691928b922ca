"""Compiles a scenario to a world: here specs meet physics, once.

Rates per node, watts by phase, seconds of training, checkpoint intervals. What cannot be priced is
a `ScenarioError` with its path; what can never be played is found in ``feasibility.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from computeplan.compiler.checkpoints import share_storage
from computeplan.compiler.feasibility import check_feasible, check_size
from computeplan.compiler.job_on_pool import JobOnPool
from computeplan.compiler.jobs import job_of, n_sequences
from computeplan.compiler.pools import pool_of
from computeplan.compiler.power import powered
from computeplan.compiler.power_limits import limits_of
from computeplan.compiler.scheduling import policy_settings, quota_notes, tenants_of
from computeplan.compiler.service_plans import Planned
from computeplan.compiler.services import NONE_PLANNED, services_of
from computeplan.compiler.site_accounts import figures_of_chips
from computeplan.compiler.site_signals import signals_of
from computeplan.compiler.speed import of_decimal_batch
from computeplan.compiler.workloads import PlacesOf, with_workloads
from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Note, Notes, note
from computeplan.scheduling.registry import load_policy
from computeplan.specs.catalogue.site_figures import SiteFigure
from computeplan.specs.chip_costs import purchase_price
from computeplan.specs.jobs import Job as JobSpec
from computeplan.specs.money import middle_of
from computeplan.specs.scenario import Scenario
from computeplan.specs.sites import Site
from computeplan.world.jobs import Job, Jobs
from computeplan.world.pools import Pool
from computeplan.world.world import World

__all__ = ["compile_world", "pools_of", "powered_beside"]


def compile_world(scenario: Scenario, planned: Mapping[str, Planned] = NONE_PLANNED) -> World:
    """Return the world of a scenario.

    Parameters
    ----------
    scenario : Scenario
    planned : mapping of name to Planned, optional
        What instances of its services hold, of those that state requests.

    Raises
    ------
    ScenarioError
        If a speed or a size is not known and not given.
    InfeasibleError
        If a job fits on no pool, or a service can never have its least.

    Examples
    --------
    >>> import computeplan as cp
    >>> world = compile_world(cp.load("llama3-405b"))
    >>> world.pools[0].n_nodes, world.jobs[0].name
    (2048, 'pretrain')
    """
    check_size(scenario)
    settings = policy_settings(scenario)
    catalogue, stops = scenario.catalogue, scenario.planned
    fixed = scenario.simulate.inputs == "fixed"
    notes = [*catalogue.notes, *scenario.log_notes]
    pools, of_pools = pools_of(scenario, fixed=fixed)
    signals, of_signals = signals_of(scenario, pools)
    notes += [*of_pools, *of_signals]
    places_of = partial(_places, scenario, pools)
    jobs, of_jobs = _jobs(scenario, places_of)
    if fixed:
        jobs = [
            replace(job, step_factor=tuple(factor.fixed() for factor in job.step_factor))
            for job in jobs
        ]
        notes.append(note("inputs_fixed"))
    sharing = _sharing(scenario.sites, pools)
    sharers, of_storage = share_storage(jobs, scenario.jobs, pools, scenario.policy.name)
    all_jobs, of_workloads = with_workloads(scenario, sharers, places_of)
    notes += [*of_workloads, *_rate(scenario)]
    for p, pool in enumerate(pools):
        pools[p], of_power = powered_beside(scenario, pool, all_jobs, p)
        notes += of_power
    horizon, at_most = scenario.simulate.horizon, scenario.simulate.at_most
    services, of_services = services_of(scenario, pools, planned)
    notes += [*of_services, *quota_notes(scenario, pools)]
    world = World(
        name=scenario.name,
        currency=scenario.currency,
        policy=scenario.policy.name,
        decide=load_policy(scenario.policy.name, settings),
        tenants=tenants_of(scenario, pools, (*all_jobs.tenant_names, *_of_services(scenario))),
        pools=tuple(pools),
        jobs=all_jobs,
        kind_names=(*scenario.faults, *stops),
        n_fault_kinds=len(scenario.faults),
        horizon_s=math.inf if horizon is None else horizon,
        notes=tuple(dict.fromkeys((*notes, *of_jobs, *of_storage))),
        sharing=sharing,
        services=services,
        signals=signals,
        site_figures=_figures(scenario),
        at_most_s=math.inf if at_most is None else at_most,
        begins_s=scenario.simulate.start or 0.0,
    )
    check_feasible(scenario, world)
    limits, of_limits = limits_of(scenario, world)
    return replace(world, limits=limits, notes=(*world.notes, *of_limits))


def powered_beside(scenario: Scenario, pool: Pool, jobs: Jobs, index: int) -> tuple[Pool, Notes]:
    """Return a pool with its watts, or say where it is written what they cannot be."""
    spec, chip = scenario.pool(pool.name), scenario.chip_of(pool.name)
    try:
        return powered(pool, spec, chip, jobs, index)
    except ValueError as error:
        path = ("sites", pool.site, "pools", pool.name, "power", "compute")
        raise ScenarioError([scenario.document.problem(path, str(error))]) from None


def _figures(scenario: Scenario) -> dict[str, tuple[SiteFigure, ...]]:
    """Return what each site takes from the catalogue, of its place and of its chips."""
    catalogue = scenario.catalogue
    return {
        name: (
            *catalogue.site_figures.get(name, ()),
            *figures_of_chips(name, site, catalogue.chips),
        )
        for name, site in scenario.sites.items()
    }


def pools_of(scenario: Scenario, *, fixed: bool) -> tuple[list[Pool], list[Note]]:
    """Return all pools, in the order of the scenario."""
    pools, notes = list[Pool](), list[Note]()
    for site_name, site in scenario.sites.items():
        for name, spec in site.pools.items():
            pool, of_pool = pool_of(
                name,
                spec,
                site_name,
                site,
                chips=scenario.catalogue.chips,
                faults=scenario.faults,
                logs=scenario.logs,
                planned=scenario.planned,
                worth=scenario.worth,
                fixed=fixed,
            )
            pools.append(pool)
            notes += of_pool
        if site.demand_charge is not None and scenario.simulate.start is None:
            notes.append(note("start_assumed", key="simulate.start"))  # of the first month
    return pools, notes


def _places(scenario: Scenario, pools: Sequence[Pool], name: str, spec: JobSpec) -> list[JobOnPool]:
    """Return a job on every pool."""
    chips = [scenario.chip_of(pool.name) for pool in pools]
    networks = [scenario.pool(pool.name).network for pool in pools]
    storages = [scenario.sites[pool.site].storage for pool in pools]
    model = None if spec.model is None else scenario.catalogue.models[spec.model]
    return [
        JobOnPool(name, spec, model, *place, scenario.document)
        for place in zip(pools, chips, networks, storages, strict=True)
    ]


def _jobs(scenario: Scenario, places_of: PlacesOf) -> tuple[list[Job], list[Note]]:
    """Return all jobs that are written, or raise everything that is wrong with any."""
    jobs, notes, problems = list[Job](), list[Note](), list[Problem]()
    for name, spec in scenario.jobs.items():
        try:
            job, of_job = job_of(places_of(name, spec), scenario.policy.name)
        except ScenarioError as error:
            problems += error.problems
        else:
            jobs.append(job)
            notes += of_job
    if problems:
        raise ScenarioError(problems)
    exact = tuple(job.name for job in jobs if _has_exact_speed(scenario.jobs[job.name], job))
    if exact:
        notes.append(note("speeds_without_band", jobs=exact))
    rounded = tuple(
        (name, n, spec.seq)
        for name, spec in scenario.jobs.items()
        if (n := n_sequences(spec)) is not None and spec.seq and n * spec.seq != spec.batch
    )
    meant = {
        name: note_of_prefix
        for name, _, seq in rounded
        for note_of_prefix in of_decimal_batch(name, scenario.jobs[name].batch or 0.0, seq)
    }
    notes += meant.values()
    if plain := tuple(job for job in rounded if job[0] not in meant):
        notes.append(note("batches_rounded", jobs=plain))
    return jobs, notes


def _rate(scenario: Scenario) -> list[Note]:
    """Return the exchange rate where a price needs it."""
    pools = [pool for site in scenario.sites.values() for pool in site.pools.values()]
    prices = [pool.rent for pool in pools]
    chips = scenario.catalogue.chips
    prices += [purchase_price(pool.purchase, chips[pool.chip]) for pool in pools]
    for site in scenario.sites.values():
        prices += [site.price, site.demand_charge, middle_of(site.building)]
        prices += [site.uplink.price if site.uplink else None]
    exchange = scenario.exchange
    if exchange is None or all(p is None or p.currency == scenario.currency for p in prices):
        return []
    return [note("exchange_rate", usd_per_cny=exchange.rate, on=exchange.on)]


def _of_services(scenario: Scenario) -> list[str]:
    """Return the tenants that services name."""
    return [one.tenant or "" for one in scenario.services.values()]


def _has_exact_speed(spec: JobSpec, job: Job) -> bool:
    """Return whether how long a job trains follows from a speed without a band."""
    if spec.train_for is not None:
        return False
    return any(job.step_factor_on(int(p)).is_known for p in np.flatnonzero(job.n_nodes))


def _sharing(sites: Mapping[str, Site], pools: Sequence[Pool]) -> tuple[tuple[int, ...], ...]:
    """Return the pools whose spares stand in for each other's nodes."""
    alike: dict[tuple[str, str, int], list[int]] = {}
    for p, pool in enumerate(pools):
        if sites[pool.site].share_spares:
            alike.setdefault((pool.site, pool.chip, pool.chips_per_node), []).append(p)
    return tuple(tuple(found) for found in alike.values() if len(found) > 1)
