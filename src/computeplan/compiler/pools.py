"""A pool compiled: its nodes, their faults and planned stops, and watts by phase."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from computeplan.compiler.faults import kinds_on
from computeplan.compiler.site_accounts import accounts_of, notes_of_accounts
from computeplan.distributions import law_mean_s
from computeplan.notes import Note, Notes, note
from computeplan.physics.power import StateWatts, default_watts
from computeplan.quantities import PHASES
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import is_of_catalogue
from computeplan.specs.faults import FaultKind
from computeplan.specs.logs.replay import FaultLog
from computeplan.specs.maintenance import PlannedStop
from computeplan.specs.money import Money
from computeplan.specs.sites import Pool as PoolSpec
from computeplan.specs.sites import Site as SiteSpec
from computeplan.world.maintenance import Maintain, Stop
from computeplan.world.pools import Placement, Pool

__all__ = ["pool_of"]

STATES = ("compute", "load", "wait", "idle", "repair", "node_overhead", "network")
"""Whose watts a pool may give."""


def pool_of(
    name: str,
    spec: PoolSpec,
    site_name: str,
    site: SiteSpec,
    *,
    chips: Mapping[str, Chip],
    faults: Mapping[str, FaultKind],
    logs: Mapping[str, FaultLog],
    planned: Mapping[str, PlannedStop],
    worth: Callable[[Money | None], float],
    fixed: bool = False,
) -> tuple[Pool, Notes]:
    """Return a pool, and what a reader must know of it.

    Chips, fault kinds, logs and planned stops are all of the scenario, by name; `worth` tells a
    price in its currency, nan for none; `fixed` is whether factors of rates are at their mean.
    """
    chip = chips[spec.chip]
    per_node = spec.chips_per_node or chip.chips_per_node
    assert per_node is not None  # cross-checked
    spares = spec.spares.n_nodes(per_node)
    n_in_all = spec.chips // per_node + sum(spares)
    watts, of_watts = _watts(name, spec, chip, per_node)
    path = f"sites.{site_name}.pools.{name}"
    kinds, of_kinds = kinds_on(name, spec, chip, per_node, faults, logs, chips, path, fixed=fixed)
    stops, of_stops = _stops(name, n_in_all, planned, len(faults))
    states = [watts.compute_w, watts.compute_w, watts.load_w, watts.load_w, watts.wait_w]
    on, powered = np.ones((2, len(PHASES)))
    powered[-1] = 0.0  # a node in repair draws nothing around its chips
    pool = Pool(
        name=name,
        site=site_name,
        chip=chip.name,
        n_nodes=spec.chips // per_node,
        n_spare_nodes=sum(spares),
        chips_per_node=per_node,
        kinds=kinds,
        stops=stops,
        n_crews=spec.crews if spec.crews is None or spec.crews < n_in_all else None,  # no queue
        spare_states=tuple(zip(spares, (s.ready_s for s in spec.spares.spare_states), strict=True)),
        meter=watts.meter,
        chip_w=np.array([*states, watts.idle_w, watts.repair_w]),
        node_overhead_w=powered * watts.node_overhead_w / per_node,
        network_w=on * watts.network_w / per_node,
        **accounts_of(site, spec, chip, worth),
        retire=spec.retire,
        throttle_frac=spec.throttle.diurnal if spec.throttle else 0.0,
        placement=_placement(spec),
    )
    of_accounts = notes_of_accounts(name, spec, chip, site_name, site)
    return pool, (*of_watts, *of_kinds, *of_accounts, *of_stops)


def _placement(spec: PoolSpec) -> Placement | None:
    """Return how nodes are chosen for jobs, with the size of the groups that count."""
    if (rule := spec.placement) is None:
        return None
    return Placement(spec.groups[rule.group], rule.by, rule.across)


def _watts(name: str, spec: PoolSpec, chip: Chip, per_node: int) -> tuple[StateWatts, Notes]:
    """Return the pool's own watts over the chip's defaults."""
    given, notes = spec.power, list[Note]()
    if chip.is_estimate:
        notes.append(note("chip_is_estimate", chip=chip.name))
    if given is None or given.meter == "chip":
        tdp = chip.power.tdp
        if chip.tdp_w is not None:
            base = default_watts(chip.tdp_w, per_node)
            notes.append(note("watts_are_shares_of_tdp"))
            if tdp is not None and tdp.is_estimate and not chip.is_estimate:
                notes.append(note("tdp_is_estimate", chip=chip.name, confidence=tdp.confidence))
        else:
            base = _everywhere("chip", math.nan, around_w=math.nan)
            if given is None:
                of_own = note("no_tdp_of_own_chip", chip=chip.name, field="power.tdp")
                is_own = not is_of_catalogue(chip)
                notes.append(of_own if is_own else note("no_tdp", chip=chip.name))
    else:  # the host is in the watts: nothing is added around them
        compute_w = given.compute if given.compute is not None else math.nan
        missing = [state for state in STATES[:4] if getattr(given, state) is None]
        if given.compute is None:
            notes.append(note("no_watts_of_compute", pool=name, meter=given.meter))
        elif missing:
            notes.append(note("watts_as_of_compute", pool=name, states=tuple(missing)))
        base = _everywhere(given.meter, compute_w, around_w=0.0)
    if given is None:
        return base, tuple(notes)
    own: dict[str, Any] = {
        f"{state}_w": watts for state in STATES if (watts := getattr(given, state)) is not None
    }
    return replace(base, meter=given.meter, **own), tuple(notes)


def _everywhere(meter: str, chip_w: float, *, around_w: float) -> StateWatts:
    """Return the same watts in every state but repair, and for node and network."""
    return StateWatts(meter, *(chip_w,) * 4, 0.0, around_w, around_w)


def _stops(
    pool: str, n_nodes: int, planned: Mapping[str, PlannedStop], n_faults: int
) -> tuple[tuple[Stop, ...], Notes]:
    """Return the planned stops of a pool; their indices follow those of the fault kinds."""
    found = tuple(
        Stop(
            index,
            name,
            stop.interval_s or math.inf,
            Maintain(stop.lasts, stop.rolling or 0, stop.restart),
            first_s=stop.first,
            at_s=stop.at or (),
            n_groups=-(-n_nodes // stop.rolling) if stop.rolling else 1,
            n_rounds=None if stop.rolling is None else stop.rounds or 1,
        )
        for index, (name, stop) in enumerate(planned.items(), n_faults)
        if stop.pools is None or pool in stop.pools
    )
    notes = (
        note("stops_without_end", stop=stop.name, pool=pool)
        for stop in found
        if not stop.effect.n_nodes and law_mean_s(stop.effect.lasts) >= stop.interval_s
    )
    return found, tuple(notes)
