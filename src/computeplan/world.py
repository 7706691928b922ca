"""A scenario compiled to SI numbers: the only thing an engine reads.

Here specs meet physics, once: rates per node, watts by phase, seconds of training, checkpoint
intervals. What cannot be priced is a `ScenarioError` with its path; a job that no pool can ever
hold is an `InfeasibleError`, before the first run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from computeplan.checks import FloatArray, IntArray
from computeplan.errors import InfeasibleError, Problem, ScenarioError
from computeplan.ledger import PHASES, RESTART, TRAIN
from computeplan.physics.checkpoint import expected_ettr, optimal_interval_s
from computeplan.physics.power import ESTIMATED, StateWatts, default_watts
from computeplan.physics.reliability import erlang_b
from computeplan.physics.steptime import ConstantMfu
from computeplan.physics.transformer import flop_per_token, shape_of, size_class
from computeplan.specs.catalogue import default_mfu
from computeplan.specs.faultlog import FaultLog
from computeplan.specs.jobs import Job as JobSpec
from computeplan.specs.laws import Law, law_mean_s
from computeplan.specs.scenario import Scenario
from computeplan.specs.sites import Pool as PoolSpec
from computeplan.specs.sites import Site as SiteSpec

__all__ = ["Job", "Kind", "Pool", "Stop", "World", "compile_world"]

NEVER_ENDS = 1000  # times the expected wall time
LONGEST_S = 1000 * 365.25 * 86_400.0  # an expected wall time beyond this is no plan


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault on one pool.

    Parameters
    ----------
    index : int
        Index in `World.kind_names`.
    name : str
        As in the scenario.
    rate_per_node_s : float
        Faults per node and second of wall time; 0 where a log is replayed. [1/s]
    p_takes_node : float
        Probability that the node goes to repair.
    restart, repair : Law
        How long these take.
    log : FaultLog or None
        Replayed instead of drawn.
    """

    index: int
    name: str
    rate_per_node_s: float
    p_takes_node: float
    restart: Law
    repair: Law | None
    log: FaultLog | None


@dataclass(frozen=True, slots=True)
class Stop:
    """One kind of planned stop: every `interval_s`, first after half of it."""

    index: int
    name: str
    interval_s: float
    lasts: Law


@dataclass(frozen=True, slots=True)
class Pool:
    """Identical chips in nodes, at one site.

    Parameters
    ----------
    name, site, chip : str
        As in the scenario; `chip` is the catalogue name.
    n_nodes, n_spare_nodes, chips_per_node : int
        Nodes that jobs can hold, nodes on top, chips in each.
    kinds, stops : tuple
        What strikes it.
    meter : str
        Where `chip_w` is read.
    chip_w : ndarray, shape (n_phases,)
        Watts of one chip by phase; nan if unknown. [W]
    node_overhead_w, network_w : ndarray, shape (n_phases,)
        Watts around one chip by phase: its share of the node and of the network. [W]
    pue : float
        Facility energy / IT energy.
    usd_per_j, kg_per_j : float
        Price and carbon of the site's power; nan if not given. [USD/J, kg/J]
    rent_usd_per_chip_s : float
        Price of holding a chip. [USD/s]
    """

    name: str
    site: str
    chip: str
    n_nodes: int
    n_spare_nodes: int
    chips_per_node: int
    kinds: tuple[Kind, ...]
    stops: tuple[Stop, ...]
    meter: str
    chip_w: FloatArray
    node_overhead_w: FloatArray
    network_w: FloatArray
    pue: float
    usd_per_j: float
    kg_per_j: float
    rent_usd_per_chip_s: float

    @property
    def n_chips(self) -> int:
        """Chips of the pool, spares included."""
        return (self.n_nodes + self.n_spare_nodes) * self.chips_per_node

    @property
    def fault_rate_per_node_s(self) -> float:
        """Faults of one node, all kinds together. [1/s]"""
        return sum(kind.rate_per_node_s for kind in self.kinds)

    @property
    def repair_load_per_node(self) -> float:
        """Nodes in repair per node, if all that fail are replaced: rate x mean repair."""
        return sum(
            kind.rate_per_node_s * kind.p_takes_node * law_mean_s(kind.repair)
            for kind in self.kinds
            if kind.repair is not None
        )

    @property
    def mean_restart_s(self) -> float:
        """Mean restart after a fault, over kinds by rate. [s]"""
        rate = self.fault_rate_per_node_s
        weighted = sum(kind.rate_per_node_s * law_mean_s(kind.restart) for kind in self.kinds)
        return weighted / rate if rate else 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """One training run; arrays have one value per pool.

    Parameters
    ----------
    name, model, tenant : str
        As in the scenario.
    arrival_s, deadline_s : float
        When it comes, and when it should have ended (inf without deadline). [s]
    home : int
        Index of its home pool, or -1.
    n_nodes : ndarray of int, shape (n_pools,)
        Nodes it holds on each pool; 0 where it can never run.
    train_s : ndarray, shape (n_pools,)
        Training time its work takes without any stop. [s]
    tok_per_s : ndarray, shape (n_pools,)
        Tokens per second of training; nan where unknown.
    interval_s : ndarray, shape (n_pools,)
        Training time between saves; inf if it never saves. [s]
    save_s : float
        Stall of one save. [s]
    ettr : ndarray, shape (n_pools,)
        Expected share of wall time that is kept training, with spares without limit.
    mfu : ndarray, shape (n_pools,)
        nan where it is not needed.
    mfu_class : tuple of str
        What kind of run the MFU of each pool was measured on; empty if the scenario gave it.
    """

    name: str
    model: str
    tenant: str
    arrival_s: float
    deadline_s: float
    home: int
    n_nodes: IntArray
    train_s: FloatArray
    tok_per_s: FloatArray
    interval_s: FloatArray
    save_s: float
    ettr: FloatArray
    mfu: FloatArray
    mfu_class: tuple[str, ...]

    def expected_wall_s(self, pool: int) -> float:
        """Return the expected wall time of the whole job on a pool, never blocked. [s]"""
        ettr = float(self.ettr[pool])
        return float(self.train_s[pool]) / ettr if ettr else math.inf


@dataclass(frozen=True, slots=True)
class World:
    """Everything an engine reads.

    Parameters
    ----------
    name, policy : str
        As in the scenario.
    pools, jobs : tuple
        Compiled.
    kind_names : tuple of str
        Fault kinds, then planned stops.
    n_fault_kinds : int
        How many of them are faults.
    horizon_s : float
        Wall time at which a run ends; inf without. [s]
    notes : tuple of str
        What a reader of the numbers must know.
    """

    name: str
    policy: str
    pools: tuple[Pool, ...]
    jobs: tuple[Job, ...]
    kind_names: tuple[str, ...]
    n_fault_kinds: int
    horizon_s: float
    notes: tuple[str, ...]

    def expected_energy_j(self, job: int, pool: int) -> float:
        """Return the expected facility energy of a whole job on a pool, never blocked. [J]"""
        place, spec = self.pools[pool], self.jobs[job]
        watts = place.chip_w + place.node_overhead_w + place.network_w
        train_s, wall_s = float(spec.train_s[pool]), spec.expected_wall_s(pool)
        chip_j = watts[TRAIN] * train_s + watts[RESTART] * (wall_s - train_s)
        return float(chip_j * spec.n_nodes[pool] * place.chips_per_node * place.pue)

    def first_look_s(self, job: int, pool: int) -> float:
        """Return how far to draw luck for a job alone on a pool, at first. [s]

        Far enough for nearly every run, by closed form; only the cost depends on it.
        """
        place, spec = self.pools[pool], self.jobs[job]
        n_nodes = int(spec.n_nodes[pool])
        wall_s, train_s = spec.expected_wall_s(pool), float(spec.train_s[pool])
        n_faults = place.fault_rate_per_node_s * n_nodes * wall_s
        # What faults cost varies about as an exponential, so its sum by sqrt(2 / n) of itself.
        spread_s = (wall_s - train_s) * math.sqrt(2 / max(n_faults, 1.0))
        spares = place.n_nodes + place.n_spare_nodes - n_nodes
        blocked = erlang_b(spares + 1, place.repair_load_per_node * n_nodes)
        likely_s = (wall_s + 5 * spread_s) / max(1 - blocked, 0.05)
        repair_s = place.repair_load_per_node / (place.fault_rate_per_node_s or 1.0)
        if blocked > 1e-6:  # then some run waits for a few repairs
            likely_s += 6 * repair_s
        return min(self.horizon_s, spec.arrival_s + likely_s + 4 * place.mean_restart_s)

    def longer_look_s(self, until_s: float, job: int, pool: int) -> float:
        """Return how far to draw luck after `until_s` was not enough. [s]

        Raises
        ------
        InfeasibleError
            If the job seems never to end.
        """
        spec = self.jobs[job]
        if until_s > NEVER_ENDS * (spec.arrival_s + spec.expected_wall_s(pool)):
            message = (
                f"jobs.{spec.name}: has not ended after {NEVER_ENDS} times its expected time; it lacks"
                " nodes or is struck too often. Give simulate.horizon, more spares or shorter repairs"
            )
            raise InfeasibleError(message)
        return min(self.horizon_s, 1.25 * until_s)


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
    notes: list[str] = list(scenario.catalogue.notes)
    names = (*scenario.faults, *scenario.planned)
    pools = tuple(
        _pool(scenario, site_name, site, name, pool, notes)
        for site_name, site in scenario.sites.items()
        for name, pool in site.pools.items()
    )
    problems: list[Problem] = []
    jobs = []
    for name, job in scenario.jobs.items():
        try:
            jobs.append(_job(scenario, pools, name, job, notes))
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    _must_fit(scenario, pools, jobs)
    classes = {kind for job in jobs for kind in job.mfu_class if kind}
    if len(classes) > 1:
        notes.append(f"not like for like: default MFUs of different classes ({'; '.join(sorted(classes))})")
    horizon = scenario.simulate.horizon
    return World(
        name=scenario.name,
        policy=scenario.policy,
        pools=pools,
        jobs=tuple(jobs),
        kind_names=names,
        n_fault_kinds=len(scenario.faults),
        horizon_s=math.inf if horizon is None else horizon,
        notes=tuple(dict.fromkeys(notes)),
    )


def _pool(
    scenario: Scenario, site_name: str, site: SiteSpec, name: str, pool: PoolSpec, notes: list[str]
) -> Pool:
    chip = scenario.catalogue.chips[pool.chip]
    per_node = pool.chips_per_node or chip.chips_per_node
    assert per_node is not None  # cross-checked
    count, unit = pool.spares
    spare_nodes = int(count if unit == "node" else count // per_node)
    if chip.is_estimate:
        notes.append(f"{chip.name}: its profile is an estimate")
    watts = _watts(pool, chip.name, chip.tdp_w, per_node, notes)
    usd_per_j = math.nan
    if site.price is not None:
        rate = scenario.usd_per_cny if site.price.currency == "CNY" else 1.0
        usd_per_j = site.price.per_j * (rate or math.nan)
    states = [watts.compute_w, watts.compute_w, watts.load_w, watts.load_w, watts.wait_w]
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
        kinds=_kinds(scenario, name, per_node),
        stops=_stops(scenario, name),
        meter=watts.meter,
        chip_w=np.array([*states, watts.idle_w, watts.repair_w]),
        node_overhead_w=powered * watts.node_overhead_w / per_node,
        network_w=on * watts.network_w / per_node,
        pue=site.pue,
        usd_per_j=usd_per_j,
        kg_per_j=math.nan if site.carbon is None else site.carbon,
        rent_usd_per_chip_s=pool.rent or 0.0,
    )


def _watts(
    pool: PoolSpec, chip: str, tdp_w: float | None, per_node: int, notes: list[str]
) -> StateWatts:
    """Return the pool's own watts over the chip's defaults."""
    given = pool.power
    if given is None or given.meter == "chip":
        if tdp_w is not None:
            base = default_watts(tdp_w, per_node)
            notes.append(ESTIMATED)
        else:
            base = StateWatts("chip", *[math.nan] * 7)
            if given is None:
                notes.append(f"{chip}: no TDP is published; give the pool's power to get energy")
    else:  # the host is in the watts: nothing is added around them
        compute_w = given.compute if given.compute is not None else math.nan
        base = StateWatts(given.meter, *[compute_w] * 4, 0.0, 0.0, 0.0)
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


def _kinds(scenario: Scenario, pool: str, chips_per_node: int) -> tuple[Kind, ...]:
    found = []
    for index, (name, kind) in enumerate(scenario.faults.items()):
        if kind.pools is not None and pool not in kind.pools:
            continue
        if kind.observed is not None:
            seen = kind.observed
            rate = seen.interruptions / (seen.over * seen.chips) * chips_per_node
        elif kind.mtbf is not None:
            rate = (chips_per_node if kind.per == "chip" else 1) / kind.mtbf
        else:
            rate = kind.rate or 0.0
        takes = 0.0 if kind.takes is None else kind.takes
        log = scenario.logs.get(name)
        found.append(Kind(index, name, rate, takes, kind.restart, kind.repair, log))
    return tuple(found)


def _stops(scenario: Scenario, pool: str) -> tuple[Stop, ...]:
    n_faults = len(scenario.faults)
    return tuple(
        Stop(n_faults + i, name, stop.interval_s, stop.lasts)
        for i, (name, stop) in enumerate(scenario.planned.items())
        if stop.pools is None or pool in stop.pools
    )


def _job(
    scenario: Scenario, pools: tuple[Pool, ...], name: str, job: JobSpec, notes: list[str]
) -> Job:
    catalogue = scenario.catalogue
    model = catalogue.models[job.model] if job.model is not None else None
    token_flop = flop_per_token(shape_of(model.architecture()), job.seq) if model is not None and job.seq else math.nan
    batch = _batch(name, job, notes)
    n = len(pools)
    n_nodes = np.zeros(n, dtype=np.int64)
    train_s, tok_per_s, mfus = np.full(n, math.nan), np.full(n, math.nan), np.full(n, math.nan)
    interval_s, ettr = np.full(n, math.inf), np.ones(n)
    classes = []
    for i, pool in enumerate(pools):
        n_chips = _n_chips(job, scenario.chip_of(pool.name).ranks_per_chip)
        nodes = -(-n_chips // pool.chips_per_node)
        mfu, kind = math.nan, ""
        if 0 < nodes <= pool.n_nodes:
            n_nodes[i] = nodes
            flop_per_s, mfu, kind = _speed(scenario, pool, name, job, notes)
            step = ConstantMfu(token_flop * (batch or 1.0), {pool.name: flop_per_s})
            if model is not None and not math.isnan(flop_per_s):
                tok_per_s[i] = (batch or 1.0) / step.step_s({pool.name: n_chips})
            train_s[i] = _train_s(job, token_flop, n_chips * flop_per_s)
            interval_s[i], ettr[i] = _saving(job, pool, nodes, float(train_s[i]))
        mfus[i] = mfu
        classes.append(kind)
    save_s = (job.checkpoint.stall or 0.0) if job.checkpoint else 0.0
    deadline = math.inf if job.deadline is None else job.arrival + job.deadline
    home = next((i for i, pool in enumerate(pools) if pool.name == job.home), -1)
    return Job(
        name=name,
        model=model.name if model is not None else "",
        tenant=job.tenant or "",
        arrival_s=job.arrival,
        deadline_s=deadline,
        home=home,
        n_nodes=n_nodes,
        train_s=train_s,
        tok_per_s=tok_per_s,
        interval_s=interval_s,
        save_s=save_s,
        ettr=ettr,
        mfu=mfus,
        mfu_class=tuple(classes),
    )


def _n_chips(job: JobSpec, ranks_per_chip: int) -> int:
    if job.chips is not None:
        return job.chips
    assert job.parallelism is not None  # validated
    return -(-job.parallelism.n_ranks // ranks_per_chip)


def _batch(name: str, job: JobSpec, notes: list[str]) -> float | None:
    """Return the batch in whole sequences, saying so where that changes it. [tokens]"""
    if job.batch is None or job.seq is None:
        return job.batch
    batch = max(1, round(job.batch / job.seq)) * job.seq
    if batch != job.batch:
        notes.append(f"{name}: batch rounded to {batch // job.seq} sequences, {batch:,} tokens")
    return float(batch)


def _speed(
    scenario: Scenario, pool: Pool, name: str, job: JobSpec, notes: list[str]
) -> tuple[float, float, str]:
    """Return model FLOP/s of one chip, MFU, and what kind of run a default MFU was measured on."""
    chip = scenario.chip_of(pool.name)
    document, at = scenario.document, ("jobs", name)
    try:
        peak = chip.peak_flop_per_s(job.precision)
    except ValueError as error:
        if job.achieved is not None:
            return job.achieved, math.nan, ""
        if job.train_for is not None and job.model is None:
            return math.nan, math.nan, ""
        raise ScenarioError([document.problem((*at, "precision"), str(error))]) from None
    if job.achieved is not None:
        return job.achieved, job.achieved / peak, ""
    mfu = job.mfu.get(pool.name) if isinstance(job.mfu, dict) else job.mfu
    if mfu is not None:
        return peak * mfu, mfu, ""
    if job.model is None:
        if job.train_for is not None:
            return math.nan, math.nan, ""
        message = "mfu or achieved is missing: work without a model has no default speed"
        raise ScenarioError([document.problem(at, message)])
    model_class = size_class(shape_of(scenario.catalogue.models[job.model].architecture()))
    found = default_mfu(chip.name, model_class, job.precision)
    if found is None:
        message = (
            f"no sourced MFU for {model_class} on {chip.name}"
            f" in {job.precision}: give mfu: 0.4, or one by pool: mfu: {{{pool.name}: 0.4}}"
        )
        raise ScenarioError([document.problem((*at, "model"), message)])
    notes.append(found.note)
    return peak * found.mfu, found.mfu, found.like


def _train_s(job: JobSpec, token_flop: float, flop_per_s: float) -> float:
    if job.train_for is not None:
        return float(job.train_for)
    flop = job.work if job.work is not None else (job.tokens or math.nan) * token_flop
    return float(flop / flop_per_s)


def _saving(job: JobSpec, pool: Pool, nodes: int, train_s: float) -> tuple[float, float]:
    """Return the interval between saves and the expected ETTR, spares without limit."""
    rate = pool.fault_rate_per_node_s * nodes
    checkpoint = job.checkpoint
    every = checkpoint.every if checkpoint else "never"
    save_s = (checkpoint.stall or 0.0) if checkpoint else 0.0
    if every == "optimal":
        # A pool where nothing fails has no optimum: it never saves.
        interval = float(optimal_interval_s(save_s, 1 / rate)) if rate else math.inf
    else:
        interval = math.inf if every == "never" else float(every)
    segment, stall = (train_s, 0.0) if math.isinf(interval) else (interval, save_s)
    if rate == 0:
        return interval, segment / (segment + stall)
    with np.errstate(over="ignore"):
        return interval, float(expected_ettr(segment, stall, pool.mean_restart_s, 1 / rate))


def _must_fit(scenario: Scenario, pools: tuple[Pool, ...], jobs: list[Job]) -> None:
    wrong = []
    if scenario.simulate.horizon is None:
        for job in jobs:
            walls = [job.expected_wall_s(i) for i in np.flatnonzero(job.n_nodes)]
            if walls and not min(walls) < LONGEST_S:
                wrong.append(
                    f"jobs.{job.name}: would take {min(walls) / LONGEST_S * 1000:.3g} years on its"
                    " best pool; save more often, use fewer chips, or give simulate.horizon"
                )
    for job in jobs:
        if not job.n_nodes.any():
            spec = scenario.jobs[job.name]
            wants = spec.chips or (spec.parallelism.n_ranks if spec.parallelism else 0)
            unit = "chips" if spec.chips else "ranks"
            have = ", ".join(f"{pool.name} {pool.n_nodes * pool.chips_per_node}" for pool in pools)
            wrong.append(f"jobs.{job.name}: wants {wants} {unit}, but no pool has so many (chips: {have})")
        elif scenario.policy == "silo" and len(pools) > 1:
            if job.home < 0:
                path = ("jobs", job.name)
                message = "home is missing: policy silo runs each job on its home pool only"
                raise ScenarioError([scenario.document.problem(path, message)])
            if job.n_nodes[job.home] == 0:
                wrong.append(f"jobs.{job.name}: is larger than its home pool")
    if wrong:
        raise InfeasibleError("\n".join(wrong))
