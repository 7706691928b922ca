"""A pool compiled, but for its watts, which jobs decide: its nodes, faults and planned stops."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from computeplan.compiler.faults import kinds_on
from computeplan.compiler.site_accounts import accounts_of, notes_of_accounts
from computeplan.distributions import law_mean_s
from computeplan.notes import Notes, note
from computeplan.quantities import PHASES
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.faults import FaultKind
from computeplan.specs.logs.replay import FaultLog
from computeplan.specs.maintenance import PlannedStop
from computeplan.specs.money import Money
from computeplan.specs.sites import Pool as PoolSpec
from computeplan.specs.sites import Site as SiteSpec
from computeplan.world.maintenance import Maintain, Stop
from computeplan.world.pools import Placement, Pool

__all__ = ["pool_of"]


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
    path = f"sites.{site_name}.pools.{name}"
    kinds, of_kinds = kinds_on(name, spec, chip, per_node, faults, logs, chips, path, fixed=fixed)
    stops, of_stops = _stops(name, n_in_all, planned, len(faults))
    unknown_w = np.full(len(PHASES), math.nan)
    of_chip = [note("chip_is_estimate", chip=chip.name)] if chip.is_estimate else []
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
        meter="chip",
        chip_w=unknown_w,
        node_overhead_w=unknown_w,
        network_w=unknown_w,
        **accounts_of(site, spec, chip, worth),
        uplink_bytes_per_s=math.inf if site.uplink is None else site.uplink.rate,
        retire=spec.retire,
        throttle_frac=spec.throttle.diurnal if spec.throttle else 0.0,
        placement=_placement(spec),
        caps=None,
    )
    of_accounts = notes_of_accounts(name, spec, chip, site_name, site)
    return pool, (*of_chip, *of_kinds, *of_accounts, *of_stops)


def _placement(spec: PoolSpec) -> Placement | None:
    """Return how nodes are chosen for jobs, with the size of the groups that count."""
    if (rule := spec.placement) is None:
        return None
    return Placement(spec.groups[rule.group], rule.by, rule.across)


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
