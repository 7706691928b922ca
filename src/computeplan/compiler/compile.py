"""Compiles a scenario to a world: here specs meet physics, once.

Rates per node, watts by phase, seconds of training, checkpoint intervals. What cannot be priced is
a `ScenarioError` with its path; what can never be played is found in ``feasibility.py``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from computeplan.compiler.checkpoints import Saving, saving_on, share_storage
from computeplan.compiler.elastic import shrinking_on
from computeplan.compiler.faults import fault_notes, kinds_of
from computeplan.compiler.feasibility import check_feasible
from computeplan.compiler.speed import chips_wanted, note_estimate, speed_on
from computeplan.distributions import law_mean_s
from computeplan.errors import InfeasibleError, Problem, ScenarioError
from computeplan.physics.power import ESTIMATED, StateWatts, default_watts
from computeplan.physics.steptime.transformer import flop_per_token, shape_of
from computeplan.quantities import PHASES
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.jobs import Job as JobSpec
from computeplan.specs.scenario import Scenario
from computeplan.specs.sites import Pool as PoolSpec
from computeplan.specs.sites import Site as SiteSpec
from computeplan.world.jobs import Job, Shrinking
from computeplan.world.maintenance import Maintain, Stop
from computeplan.world.pools import Pool
from computeplan.world.world import World

__all__ = ["compile_world"]


def compile_world(scenario: Scenario) -> World:
    """Return the world of a scenario.

    Raises
    ------
    ScenarioError
        If a speed or a size is not known and not given.
    InfeasibleError
        If a job fits on no pool.

    Examples
    --------
    >>> import computeplan as cp
    >>> world = compile_world(cp.load("llama3-405b"))
    >>> world.pools[0].n_nodes, world.jobs[0].name
    (2048, 'pretrain')
    """
    from computeplan.report.words import sentence

    notes = [sentence(found) for found in (*scenario.catalogue.notes, *scenario.log_notes)]
    names = (*scenario.faults, *scenario.planned)
    pools = tuple(
        _pool(scenario, site_name, site, name, pool, notes)
        for site_name, site in scenario.sites.items()
        for name, pool in site.pools.items()
    )
    problems: list[Problem] = []
    jobs, rounded = [], list[str]()
    for name, job in scenario.jobs.items():
        try:
            jobs.append(_job(scenario, pools, name, job, notes, rounded))
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    if rounded:
        notes.append(f"batches rounded to whole sequences: {', '.join(rounded)}")
    sharing = _sharing(scenario, pools)
    jobs = list(share_storage(scenario, pools, sharing, jobs, notes))
    horizon = scenario.simulate.horizon
    world = World(
        name=scenario.name,
        policy=scenario.policy,
        pools=pools,
        jobs=tuple(jobs),
        kind_names=names,
        n_fault_kinds=len(scenario.faults),
        horizon_s=math.inf if horizon is None else horizon,
        notes=tuple(dict.fromkeys(notes)),
        sharing=sharing,
    )
    check_feasible(scenario, world)
    return world


def _sharing(scenario: Scenario, pools: tuple[Pool, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the pools whose spares stand in for each other's nodes."""
    alike: dict[tuple[str, str, int], list[int]] = {}
    for p, pool in enumerate(pools):
        if scenario.sites[pool.site].share_spares:
            alike.setdefault((pool.site, pool.chip, pool.chips_per_node), []).append(p)
    return tuple(tuple(found) for found in alike.values() if len(found) > 1)


def _pool(
    scenario: Scenario, site_name: str, site: SiteSpec, name: str, pool: PoolSpec, notes: list[str]
) -> Pool:
    chip = scenario.catalogue.chips[pool.chip]
    per_node = pool.chips_per_node or chip.chips_per_node
    assert per_node is not None  # cross-checked
    spare_states = pool.spares.n_nodes(per_node)
    spare_nodes = sum(spare_states)
    ready_s = [state.ready_s for state in pool.spares.spare_states]
    if chip.is_estimate:
        notes.append(f"{chip.name}: its profile is an estimate")
    watts = _watts(name, pool, chip, per_node, notes)
    kinds = kinds_of(scenario, name, pool.chips // per_node, spare_nodes, per_node)
    notes += fault_notes(scenario, f"sites.{site_name}.pools.{name}", name, kinds)
    usd_per_j = math.nan
    if site.price is None and pool.rent is not None:
        notes.append(f"site {site_name} has no price of electricity: no cost, the rent included")
    if site.price is not None:
        rate = scenario.usd_per_cny if site.price.currency == "CNY" else 1.0
        usd_per_j = site.price.per_j * (rate or math.nan)
    states = [watts.compute_w, watts.compute_w, watts.load_w, watts.load_w, watts.wait_w]
    n_nodes = pool.chips // per_node + spare_nodes
    stops = _stops(scenario, name, n_nodes, notes)
    crews = pool.crews if pool.crews is None or pool.crews < n_nodes else None  # never waited for
    on = np.ones(len(PHASES))
    powered = on.copy()
    powered[-1] = 0.0  # a node in repair draws nothing around its chips
    return Pool(
        name=name,
        site=site_name,
        chip=chip.name,
        n_nodes=pool.chips // per_node,
        n_spare_nodes=spare_nodes,
        chips_per_node=per_node,
        kinds=kinds,
        stops=stops,
        n_crews=crews,
        spare_states=tuple(zip(spare_states, ready_s, strict=True)),
        meter=watts.meter,
        chip_w=np.array([*states, watts.idle_w, watts.repair_w]),
        node_overhead_w=powered * watts.node_overhead_w / per_node,
        network_w=on * watts.network_w / per_node,
        pue=site.pue,
        usd_per_j=usd_per_j,
        kg_per_j=math.nan if site.carbon is None else site.carbon,
        rent_usd_per_chip_s=pool.rent or 0.0,
        retire=pool.retire,
        throttle_frac=pool.throttle.diurnal if pool.throttle else 0.0,
    )


def _watts(name: str, pool: PoolSpec, chip: Chip, per_node: int, notes: list[str]) -> StateWatts:
    """Return the pool's own watts over the chip's defaults."""
    given = pool.power
    if given is None or given.meter == "chip":
        if chip.tdp_w is not None:
            base = default_watts(chip.tdp_w, per_node)
            notes.append(ESTIMATED)
            note_estimate(chip, "TDP", chip.power.tdp, notes)
        else:
            base = _everywhere("chip", math.nan, around_w=math.nan)
            if given is None:
                notes.append(
                    f"{chip.name}: no TDP is published; give the pool's power to get energy"
                )
    else:  # the host is in the watts: nothing is added around them
        compute_w = given.compute if given.compute is not None else math.nan
        missing = [n for n in ("compute", "load", "wait", "idle") if getattr(given, n) is None]
        if given.compute is None:
            notes.append(f"pool {name}: no watts of compute at meter {given.meter}, so no energy")
        elif missing:
            states = ", ".join(missing)
            notes.append(f"pool {name}: {states} are taken to draw the watts of compute (estimate)")
        base = _everywhere(given.meter, compute_w, around_w=0.0)
    if given is None:
        return base

    def pick(value: float | None, default: float) -> float:
        return default if value is None else value

    return StateWatts(
        meter=given.meter,
        compute_w=pick(given.compute, base.compute_w),
        load_w=pick(given.load, base.load_w),
        wait_w=pick(given.wait, base.wait_w),
        idle_w=pick(given.idle, base.idle_w),
        repair_w=pick(given.repair, base.repair_w),
        node_overhead_w=pick(given.node_overhead, base.node_overhead_w),
        network_w=pick(given.network, base.network_w),
    )


def _everywhere(meter: str, chip_w: float, *, around_w: float) -> StateWatts:
    """Return the same watts in every state but repair, and for node and network."""
    return StateWatts(
        meter=meter,
        compute_w=chip_w,
        load_w=chip_w,
        wait_w=chip_w,
        idle_w=chip_w,
        repair_w=0.0,
        node_overhead_w=around_w,
        network_w=around_w,
    )


def _without_time(pool: str, stops: tuple[Stop, ...]) -> list[str]:
    return [
        f"planned.{stop.name}: stops last as long as the time between them or longer, so jobs on"
        f" {pool} hardly train"
        for stop in stops
        if not stop.effect.n_nodes and law_mean_s(stop.effect.lasts) >= stop.interval_s
    ]


def _stops(scenario: Scenario, pool: str, n_nodes: int, notes: list[str]) -> tuple[Stop, ...]:
    n_faults = len(scenario.faults)
    found = tuple(
        Stop(
            n_faults + i,
            name,
            stop.interval_s or math.inf,
            Maintain(stop.lasts, stop.rolling or 0, stop.restart),
            first_s=stop.first,
            at_s=stop.at or (),
            n_groups=-(-n_nodes // stop.rolling) if stop.rolling else 1,
            n_rounds=None if stop.rolling is None else stop.rounds or 1,
        )
        for i, (name, stop) in enumerate(scenario.planned.items())
        if stop.pools is None or pool in stop.pools
    )
    notes += _without_time(pool, found)
    return found


class _OnPool(NamedTuple):
    """What a job is on one pool; these are the values where it can never run."""

    n_nodes: int = 0
    train_s: float = math.nan
    tok_per_s: float = math.nan
    saving: Saving = Saving()
    mfu: float = math.nan
    mfu_class: str = ""
    priced: str = ""
    misfit: str = ""
    shrinking: Shrinking | None = None


def _job(
    scenario: Scenario,
    pools: tuple[Pool, ...],
    name: str,
    job: JobSpec,
    notes: list[str],
    rounded: list[str],
) -> Job:
    model = scenario.catalogue.models[job.model] if job.model is not None else None
    batch = _batch(name, job, rounded)
    on = [_on_pool(scenario, pool, name, job, batch or 1.0, notes) for pool in pools]
    misfits = [p.misfit for p in on if p.misfit]
    if misfits and not any(p.n_nodes for p in on):
        raise InfeasibleError("\n".join(misfits))
    notes += misfits
    return Job(
        name=name,
        model=model.name if model is not None else "",
        tenant=job.tenant or "",
        arrival_s=job.arrival,
        deadline_s=math.inf if job.deadline is None else job.arrival + job.deadline,
        home=next((i for i, pool in enumerate(pools) if pool.name == job.home), -1),
        n_nodes=np.array([p.n_nodes for p in on], dtype=np.int64),
        train_s=np.array([p.train_s for p in on]),
        tok_per_s=np.array([p.tok_per_s for p in on]),
        interval_s=np.array([p.saving.interval_s for p in on]),
        save_s=np.array([p.saving.save_s for p in on]),
        ettr=np.array([p.saving.ettr for p in on]),
        mfu=np.array([p.mfu for p in on]),
        mfu_class=tuple(p.mfu_class for p in on),
        priced=tuple(p.priced for p in on),
        saves_at_best=job.checkpoint is not None and job.checkpoint.every == "optimal",
        tiers=tuple(p.saving.tiers for p in on),
        n_kept=(job.checkpoint.keep or 0) if job.checkpoint else 0,
        shrinking=next((p.shrinking for p in on if p.shrinking), None),
    )


def _on_pool(
    scenario: Scenario, pool: Pool, name: str, job: JobSpec, batch: float, notes: list[str]
) -> _OnPool:
    """Return what a job is on a pool: nodes, training time, speed, saving."""
    if chips_wanted(job, scenario.chip_of(pool.name)) > pool.n_nodes * pool.chips_per_node:
        return _OnPool()
    try:
        speed = speed_on(scenario, pool, name, job, batch, notes)
    except InfeasibleError as error:
        return _OnPool(misfit=str(error))
    n_nodes = -(-speed.n_chips // pool.chips_per_node)
    if speed.n_chips % pool.chips_per_node:
        held = n_nodes * pool.chips_per_node
        notes.append(f"{name} holds whole nodes of {pool.name}: {held} chips for {speed.n_chips}")
    token_flop = tok_per_s = math.nan
    if job.model is not None and job.seq is not None:
        shape = shape_of(scenario.catalogue.models[job.model].architecture())
        token_flop = flop_per_token(shape, job.seq)
        tok_per_s = speed.n_chips * speed.flop_per_s / token_flop
    train_s = _train_s(job, token_flop, speed.n_chips * speed.flop_per_s)
    saving = saving_on(scenario, pool, name, job, n_nodes, train_s)
    shrinking = shrinking_on(scenario, pool, name, job, n_nodes, saving)
    if shrinking is not None:
        notes.append(
            f"{name}: with fewer replicas it is taken to train that much slower, at the same batch"
            " (an assumption)"
        )
    at_speed = (speed.mfu, speed.kind, speed.priced)
    return _OnPool(n_nodes, train_s, tok_per_s, saving, *at_speed, shrinking=shrinking)


def _batch(name: str, job: JobSpec, rounded: list[str]) -> float | None:
    """Return the batch in whole sequences, saying so where that changes it. [tokens]"""
    if job.batch is None or job.seq is None:
        return job.batch
    batch = max(1, round(job.batch / job.seq)) * job.seq
    if batch != job.batch:
        rounded.append(f"{name} {batch // job.seq} ({batch:,} tokens)")
    return float(batch)


def _train_s(job: JobSpec, token_flop: float, flop_per_s: float) -> float:
    if job.train_for is not None:
        return float(job.train_for)
    flop = job.work if job.work is not None else (job.tokens or math.nan) * token_flop
    return float(flop / flop_per_s)
