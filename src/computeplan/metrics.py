"""Ledger x world -> the quantities we report; nothing here looks at an engine.

Energy is chip-seconds times watts, phase by phase, never touching the event loop. The IT meter
adds what stands around a chip, its share of the node and of the network; the facility meter is
the IT energy times the PUE.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray
from computeplan.ledger import BLOCKED, LOST, PHASES, QUEUE, TRAIN, Ledger
from computeplan.quantities import in_currency
from computeplan.units import DAY_S, HOUR_S
from computeplan.world.faults import Corrupt, Slow
from computeplan.world.world import World

__all__ = ["measure", "measure_jobs"]

_KWH_J = 3.6e6
Measure = Callable[[Ledger, World], FloatArray]


def measure(ledger: Ledger, world: World) -> dict[str, FloatArray]:
    """Return every quantity of a scenario, per run; nan where it does not exist.

    By the names in ``quantities.py``, which carry the units; arrays of shape (n_runs,). Prices are
    in the world's currency, and so is money, whatever the names below say.
    """
    with np.errstate(all="ignore"):
        values = {name: function(ledger, world) for name, function in _MEASURES.items()}
    for i, phase in enumerate(PHASES):
        values[f"{phase}_chip_h"] = ledger.chip_s[..., i].sum(axis=(1, 2)) / HOUR_S
    return {
        in_currency(name, world.currency): np.where(np.isfinite(value), value, np.nan)
        for name, value in values.items()
    }


def measure_jobs(ledger: Ledger, world: World) -> dict[str, FloatArray]:
    """Return the quantities of single jobs, shape (n_runs, n_jobs); nan where they do not exist.

    Wait, completion time, start and end [h], and the share of the work kept.
    """
    arrival_s = np.array([job.arrival_s for job in world.jobs])
    values = {
        "wait_h": ledger.job_s[..., QUEUE] / HOUR_S,
        "jct_h": (ledger.end_s - arrival_s) / HOUR_S,
        "start_h": ledger.first_start_s / HOUR_S,
        "end_h": ledger.end_s / HOUR_S,
        "kept_frac": _kept_frac(ledger, world),
    }
    return {name: np.where(np.isfinite(value), value, np.nan) for name, value in values.items()}


def _floats(values: ArrayLike) -> FloatArray:
    """Return floats: NumPy's arithmetic does not tell a type checker what it returns."""
    return np.asarray(values, dtype=np.float64)


def _held_chips(world: World) -> FloatArray:
    """Return the chips each job holds on each pool; nan where it can never run."""
    nodes = np.array([job.n_nodes for job in world.jobs], dtype=np.float64)
    chips = nodes * np.array([pool.chips_per_node for pool in world.pools])
    return np.where(chips > 0, chips, np.nan)


def _seconds(ledger: Ledger, world: World, phase: int) -> FloatArray:
    """Return the seconds at full size and speed of each job in train or lost, by pool. [s]

    Shape (n_runs, n_jobs, n_pools).
    """
    slow_chip_s = ledger.weighted("slow")[:, :-1, :, phase]
    seconds = (ledger.chip_s[:, :-1, :, phase] - slow_chip_s) / _held_chips(world)
    return np.nan_to_num(seconds, nan=0.0)


def _tok_per_s(world: World) -> FloatArray:
    return np.array([job.tok_per_s for job in world.jobs])


def _tokens(ledger: Ledger, world: World, *phases: int) -> FloatArray:
    """Return the tokens processed in some phases, per run; nan where the speed is not known."""
    seconds = sum(_seconds(ledger, world, phase) for phase in phases)
    tokens = np.where(seconds == 0, 0.0, seconds * _tok_per_s(world)).sum(axis=(1, 2))
    unknown = np.isnan(_tok_per_s(world)).all(axis=1).any()
    return np.full_like(tokens, math.nan) if unknown else tokens


def _kept_frac(ledger: Ledger, world: World) -> FloatArray:
    """Return the share of the work of each job that was kept, shape (n_runs, n_jobs)."""
    due = np.array([job.train_s for job in world.jobs])
    return _floats(np.nan_to_num(_seconds(ledger, world, TRAIN) / due, nan=0.0).sum(axis=2))


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
    return _floats((at_full_s @ weights) / (ledger.job_s.sum(axis=2) @ weights))


def _available(ledger: Ledger, world: World) -> FloatArray:
    weights = _weights(world)
    started_s = ledger.job_s[..., :QUEUE].sum(axis=2) @ weights
    return _floats(1 - ledger.job_s[..., BLOCKED] @ weights / started_s)


def _time_to_train_days(ledger: Ledger, world: World) -> FloatArray:
    first_s = min(job.arrival_s for job in world.jobs)
    last_s = np.minimum(ledger.end_s, ledger.wall_s[:, None]).max(axis=1)
    work = _weights(world) * np.nanmin([job.train_s for job in world.jobs], axis=1)
    kept = _kept_frac(ledger, world) @ work / work.sum()
    return _floats((last_s - first_s) / kept / DAY_S)


def _count(name: str, effect: type = object) -> Measure:
    """Return the measure of what the ledger counts; none where no fault has the effect."""

    def counted(ledger: Ledger, world: World) -> FloatArray:
        kinds = [kind for pool in world.pools for kind in pool.kinds]
        if effect is not object and not any(isinstance(k.effect, effect) for k in kinds):
            return np.full(ledger.n_runs, math.nan)
        return _floats(ledger.counts[name].sum(axis=1) * 1.0)

    return counted


def _deadlines_missed(ledger: Ledger, world: World) -> FloatArray:
    deadline_s = np.array([job.deadline_s for job in world.jobs])
    until_s = np.minimum(ledger.end_s, ledger.wall_s[:, None])  # later ones may yet be met
    late = (until_s > deadline_s) & np.isfinite(deadline_s)
    return _floats(late.sum(axis=1).astype(np.float64))


def _joules(chip_s: FloatArray, watts: FloatArray) -> FloatArray:
    """Return chip-seconds x watts of shape (n_pools, n_phases), per run and pool. [J]"""
    return _floats(np.where(chip_s == 0, 0.0, chip_s * watts).sum(axis=2))


def _chip_j(ledger: Ledger, world: World) -> FloatArray:
    if any(pool.meter != "chip" for pool in world.pools):
        return np.full((ledger.n_runs, 1), math.nan)
    watts = np.array([pool.chip_w for pool in world.pools])
    return _joules(ledger.chip_s.sum(axis=1), watts)


def _it_w(world: World) -> FloatArray:
    """Return the IT watts of one chip, shape (n_pools, n_phases). [W]"""
    return np.array([p.chip_w + p.node_overhead_w + p.network_w for p in world.pools])


def _pue(world: World) -> FloatArray:
    return np.array([pool.pue for pool in world.pools])


def _it_j(ledger: Ledger, world: World) -> FloatArray:
    return _joules(ledger.chip_s.sum(axis=1), _it_w(world))


def _facility_j(ledger: Ledger, world: World) -> FloatArray:
    return _it_j(ledger, world) * _pue(world)


def _energy_jobs_kwh(ledger: Ledger, world: World) -> FloatArray:
    it_j = _joules(ledger.chip_s[:, :-1].sum(axis=1), _it_w(world))
    return _floats(it_j @ _pue(world) / _KWH_J)


def _energy_kwh(ledger: Ledger, world: World) -> FloatArray:
    return _floats(_facility_j(ledger, world).sum(axis=1) / _KWH_J)


def _cost_usd(ledger: Ledger, world: World) -> FloatArray:
    price = np.array([pool.money_per_j for pool in world.pools])
    return _floats(_facility_j(ledger, world) @ price + np.nan_to_num(_rent_usd(ledger, world)))


def _rent_usd(ledger: Ledger, world: World) -> FloatArray:
    """Return the rent of all chips; nan where no pool has one, none for a pool without."""
    rent = np.array([pool.rent_money_per_chip_s for pool in world.pools])
    if np.isnan(rent).all():
        return np.full(ledger.n_runs, math.nan)
    return _floats(ledger.chip_s.sum(axis=(1, 3)) @ np.nan_to_num(rent))


def _carbon_kg(ledger: Ledger, world: World) -> FloatArray:
    return _floats(_facility_j(ledger, world) @ np.array([pool.kg_per_j for pool in world.pools]))


def _held_frac(ledger: Ledger, _: World) -> FloatArray:
    held = ledger.chip_s[:, :-1].sum(axis=(1, 2, 3))
    return _floats(held / ledger.chip_s.sum(axis=(1, 2, 3)))


def _throughput(ledger: Ledger, world: World) -> FloatArray:
    if len(world.jobs) > 1:  # jobs train side by side: their speeds do not add up over time
        return np.full(ledger.n_runs, math.nan)
    busy_s = ledger.job_s[..., TRAIN] + ledger.job_s[..., LOST]
    return _floats(_tokens(ledger, world, TRAIN, LOST) / busy_s.sum(axis=1))


def _mean_jct_h(ledger: Ledger, world: World) -> FloatArray:
    arrival_s = np.array([job.arrival_s for job in world.jobs])
    return _floats((ledger.end_s - arrival_s).mean(axis=1) / HOUR_S)


_MEASURES: dict[str, Measure] = {
    "n_unexpected": lambda led, w: (
        led.counts["interruptions"][:, : w.n_fault_kinds].sum(axis=1) * 1.0
    ),
    "n_planned": lambda led, w: led.counts["interruptions"][:, w.n_fault_kinds :].sum(axis=1) * 1.0,
    "n_slowdowns": _count("slowdowns", Slow),
    "n_idle_faults": _count("idle_faults"),
    "n_node_repairs": _count("repairs"),
    "n_from_start": _count("from_start", Corrupt),
    "n_retired": _count("retired"),
    "n_unfinished": lambda led, _: np.isinf(led.end_s).sum(axis=1) * 1.0,
    "n_deadlines_missed": _deadlines_missed,
    "goodput_frac": _goodput_frac,
    "ettr": _ettr,
    "available_frac": _available,
    "held_frac": _held_frac,
    "wall_days": lambda led, _: led.wall_s / DAY_S,
    "time_to_train_days": _time_to_train_days,
    "goodput_tok_per_s": lambda led, w: _tokens(led, w, TRAIN) / led.wall_s,
    "throughput_tok_per_s": _throughput,
    "energy_kwh": _energy_kwh,
    "energy_jobs_kwh": _energy_jobs_kwh,
    "energy_it_kwh": lambda led, w: _it_j(led, w).sum(axis=1) / _KWH_J,
    "energy_chip_kwh": lambda led, w: _chip_j(led, w).sum(axis=1) / _KWH_J,
    "kwh_per_gtok": lambda led, w: _energy_kwh(led, w) / (_tokens(led, w, TRAIN) / 1e9),
    "cost_usd": _cost_usd,
    "rent_usd": _rent_usd,
    "carbon_kg": _carbon_kg,
    "mean_jct_h": _mean_jct_h,
    "mean_wait_h": lambda led, _: led.job_s[..., QUEUE].mean(axis=1) / HOUR_S,
}
