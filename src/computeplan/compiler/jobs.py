"""A job compiled: nodes, training time, speed and saves on each pool."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from computeplan.compiler.checkpoints import Saving, saving_on, state_bytes
from computeplan.compiler.elastic import shrinking_on
from computeplan.compiler.job_on_pool import JobOnPool
from computeplan.compiler.software import software_of
from computeplan.compiler.speed import Speed, beyond_context, speed_on
from computeplan.errors import InfeasibleError
from computeplan.notes import Note, Notes, note, quoted
from computeplan.physics.mixed import fibre_s
from computeplan.physics.steptime.transformer import flop_per_token, n_parameters
from computeplan.scheduling.registry import can, load_policy, needs_of
from computeplan.specs.jobs import Job as JobSpec
from computeplan.world.jobs import Exchange, Job, Shrinking

__all__ = ["job_of", "n_sequences"]


class _OnPool(NamedTuple):
    """What a job is on one pool; these are the values where it can never run."""

    n_nodes: int = 0
    n_whole: int = 0
    """Nodes that make it whole, even where the pool has fewer."""
    train_s: float = math.nan
    tok_per_s: float = math.nan
    saving: Saving = Saving()
    speed: Speed = Speed(0, math.nan, math.nan, "")
    shrinking: Shrinking | None = None
    misfit: str = ""


def job_of(places: Sequence[JobOnPool], policy: str) -> tuple[Job, Notes]:
    """Return a job, from itself on every pool, and what a reader must know of it.

    Raises
    ------
    ScenarioError
        If a speed or a size is not known and not given.
    InfeasibleError
        If its layouts fit the memory of no pool.
    """
    name, job, model = places[0].name, places[0].job, places[0].model
    notes, on = list[Note](), list[_OnPool]()
    can_mix = job.mixed is not None and can(load_policy(policy), "mix")
    for at in places:
        # Of a job that runs at its home only, what it could not do elsewhere does not matter.
        may_run = "home" not in needs_of(policy) or job.home in (None, at.pool.name)
        found, of_place = _on_pool(at, may_run=may_run, can_mix=can_mix)
        on.append(found)
        notes += of_place
    if model and job.seq:
        notes += beyond_context(name, model, job.seq)
    if (misfits := [p.misfit for p in on if p.misfit]) and not any(p.n_whole for p in on):
        raise InfeasibleError("\n".join(misfits))
    frac, exchange, of_mixing = _mixing(places, on) if can_mix else (0.0, None, ())
    compiled = Job(
        name=name,
        model=model.name if model is not None else "",
        tenant=job.tenant or "",
        priority=job.priority,
        preference=tuple(at.preference for at in places),
        arrival_s=job.arrival,
        deadline_s=math.inf if job.deadline is None else job.arrival + job.deadline,
        home=next((i for i, at in enumerate(places) if at.pool.name == job.home), -1),
        n_nodes=np.array([p.n_nodes for p in on], dtype=np.int64),
        train_s=np.array([p.train_s for p in on]),
        tok_per_s=np.array([p.tok_per_s for p in on]),
        interval_s=np.array([p.saving.interval_s for p in on]),
        save_s=np.array([p.saving.save_s for p in on]),
        ettr=np.array([p.saving.ettr for p in on]),
        mfu=np.array([p.speed.mfu for p in on]),
        mfu_class=tuple(p.speed.kind for p in on),
        step_factor=tuple(p.speed.factor for p in on),
        is_timed=job.train_for is not None,
        priced=tuple(p.speed.priced for p in on),
        exposed_frac=tuple(p.speed.exposed_frac for p in on),
        saves_at_best=job.checkpoint is not None and job.checkpoint.every == "optimal",
        tiers=tuple(p.saving.tiers for p in on),
        n_kept=(job.checkpoint.keep or 0) if job.checkpoint else 0,
        shrinking=next((p.shrinking for p in on if p.shrinking), None),
        is_elastic=job.elastic is not None,
        data_bytes=job.data.size if job.data else 0.0,
        data_site=job.data.at if job.data else "",
        state_bytes=state_bytes(places[0]),
        mixing_frac=frac,
        exchange=exchange,
        mixing_nodes=np.array([p.n_whole for p in on], dtype=np.int64) if can_mix else None,
    )
    return compiled, (*notes, *of_mixing, *quoted(misfits))


def _mixing(
    places: Sequence[JobOnPool], on: Sequence[_OnPool]
) -> tuple[float, Exchange | None, Notes]:
    """Return the least that a mixed job keeps of what its parts train, and why, with notes."""
    name, mixed = places[0].name, places[0].job.mixed
    assert mixed is not None
    sites = tuple(
        dict.fromkeys(at.pool.site for at, p in zip(places, on, strict=True) if p.n_whole)
    )
    if mixed.efficiency is None:
        exchange = _exchange(places, on)
        return _least_frac(exchange), exchange, _of_exchange(name, exchange, sites)
    notes = [note("mixed_efficiency", job=name, frac=mixed.efficiency)]
    if len(sites) > 1:
        notes.append(note("mixed_across_sites", job=name, sites=sites))
    return mixed.efficiency, None, tuple(notes)


def _exchange(places: Sequence[JobOnPool], on: Sequence[_OnPool]) -> Exchange:
    """Return what parts of a mixed job that states no efficiency send between their sites.

    Raises
    ------
    ScenarioError
        If sites or uplinks are too few, or the time of a step is not known.
    """
    first, parts = places[0], [at for at, p in zip(places, on, strict=True) if p.n_whole]
    job, sites = first.job, [at.pool.site for at in parts]
    or_say = "or write efficiency: 0.9, which computeplan mix prices"
    if not (job.mixed and first.model and job.batch and job.seq):
        raise first.error(f"a job without model, batch and seq has no gradients; {or_say}", "mixed")
    if twice := [site for site in dict.fromkeys(sites) if sites.count(site) > 1]:
        names = ", ".join(at.pool.name for at in parts if at.pool.site == twice[0])
        message = f"only parts at different sites are priced, and {twice[0]} has {names}"
        raise first.error(f"{message}: name one of each site in only: [...], {or_say}", "mixed")
    if len(parts) > 1 and (
        open_ := [at for at in parts if not at.pool.uplink_bytes_per_s < math.inf]
    ):
        site = open_[0].pool.site
        raise first.error(f"write sites.{site}.uplink: 100 Gbit/s, {or_say}", "mixed")
    grad_bytes = [
        software_of(at.switches, job.precision, "1f1b", at.chip.kin)[0].grad_bytes for at in parts
    ]
    return Exchange(
        n_bytes=max(grad_bytes, default=0.0) * n_parameters(first.shape),
        step_s=(n_sequences(job) or 1) * job.seq / np.array([p.tok_per_s for p in on]),
        uplink_bytes_per_s=tuple(at.pool.uplink_bytes_per_s for at in places),
        latency_s=float(fibre_s(job.mixed.distance * 1e3)),
    )


def _pairs(exchange: Exchange) -> list[tuple[int, int]]:
    """Return any two pools that can have parts of a job."""
    return [*itertools.combinations(map(int, np.flatnonzero(np.isfinite(exchange.step_s))), 2)]


def _least_frac(exchange: Exchange) -> float:
    """Return the least share of what two pools train apart that they train together.

    That is with all of the job on the faster one.
    """
    return min(
        (
            step_s / (step_s + exchange.seconds(pair))
            for pair in _pairs(exchange)
            for step_s in exchange.step_s[list(pair)].tolist()
        ),
        default=1.0,
    )


def _of_exchange(name: str, exchange: Exchange, sites: tuple[str, ...]) -> Notes:
    """Return what a step waits for uplinks, of the two sites where that is longest."""
    if not (pairs := _pairs(exchange)):
        return ()
    pair = max(pairs, key=exchange.seconds)
    halves = exchange.frac([(pool, 0.5) for pool in pair])
    return (
        note(
            "mixed_over_uplink",
            job=name,
            sites=sites,
            n_bytes=exchange.sent_bytes(2),
            bytes_per_s=min(exchange.uplink_bytes_per_s[pool] for pool in pair),
            latency_s=exchange.latency_s,
            wait_s=exchange.seconds(pair),
            step_s=exchange.seconds(pair) * halves / (1.0 - halves),
            frac=halves,
        ),
    )


def n_sequences(job: JobSpec) -> int | None:
    """Return the whole sequences of a batch; None if it is not known."""
    if job.batch is None or job.seq is None:
        return None
    return int(max(1, round(job.batch / job.seq)))


def _on_pool(at: JobOnPool, *, may_run: bool, can_mix: bool) -> tuple[_OnPool, Notes]:
    """Return what a job is on a pool: nodes, training time, speed, saving."""
    name, job, pool = at.name, at.job, at.pool
    is_barred = at.preference < 0 or at.ready_frac == 0
    has_room = at.n_chips <= pool.n_nodes * pool.chips_per_node
    if is_barred or not (has_room or can_mix):
        return _OnPool(), ()
    sequences = n_sequences(job)
    batch = (job.batch or 1.0) if sequences is None else float(sequences * (job.seq or 1))
    try:
        speed, of_speed = speed_on(at, batch)
    except InfeasibleError as error:
        return _OnPool(misfit=str(error)), ()
    notes = [*of_speed]
    n_nodes = -(-speed.n_chips // pool.chips_per_node)
    if speed.n_chips % pool.chips_per_node:
        held = {"n_held": n_nodes * pool.chips_per_node, "n_chips": speed.n_chips}
        notes.append(note("holds_whole_nodes", job=name, pool=pool.name, **held))
    token_flop = tok_per_s = math.nan
    if at.model is not None and job.seq is not None:
        token_flop = flop_per_token(at.shape, job.seq)
        tok_per_s = speed.n_chips * speed.flop_per_s * at.ready_frac / token_flop
    train_s = _train_s(job, token_flop, speed.n_chips * speed.flop_per_s) / at.ready_frac
    saving = saving_on(at, n_nodes, train_s)
    shrinking = shrinking_on(at, n_nodes) if may_run else None
    if shrinking is not None:
        notes.append(note("shrinks_in_proportion", job=name))
    n_here = n_nodes if has_room else 0
    return _OnPool(n_here, n_nodes, train_s, tok_per_s, saving, speed, shrinking), tuple(notes)


def _train_s(job: JobSpec, token_flop: float, flop_per_s: float) -> float:
    if job.train_for is not None:
        return float(job.train_for)
    flop = job.work if job.work is not None else (job.tokens or math.nan) * token_flop
    return float(flop / flop_per_s)
