"""Power limits of sites, compiled; and what can never be held to one.

A site draws at least what all its nodes do when they are idle or in repair, and what services draw
by the load of each hour. A limit below that is refused, unless jobs pause or a battery stands
there: then nodes are switched off meanwhile, and only one that is below it at all times is refused.
One that all nodes together never reach holds nothing back, and is none, nor is a battery beside it:
any engine plays it, and it changes no number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.compiler.site_signals import ratio_of
from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Note, note
from computeplan.specs.scenario import Scenario
from computeplan.specs.sites import Site
from computeplan.units import HOUR_S, YEAR_S
from computeplan.world.limits import Battery, PowerLimit
from computeplan.world.services import nodes_held
from computeplan.world.signals import Signal, product
from computeplan.world.world import World

__all__ = ["limits_of"]

MEGA = 1e6


def limits_of(scenario: Scenario, world: World) -> tuple[tuple[PowerLimit, ...], list[Note]]:
    """Return the limits of a world that has none yet, and what a reader must know of them.

    Raises
    ------
    ScenarioError
        If a limit cannot be held to, or a job never fits below it.
    """
    found, notes, problems = list[PowerLimit](), list[Note](), list[Problem]()
    for name, site in scenario.sites.items():
        if site.power_limit is None and site.varies.power_limit == "flat":
            continue
        try:
            limit, said = _limit(scenario, world, name, site)
        except ValueError as error:
            key = ("varies", "power_limit") if site.power_limit is None else ("power_limit",)
            problems.append(scenario.document.problem(("sites", name, *key), str(error)))
            continue
        notes += said
        most_w = float(_draw_w(world, limit.pools, _most_node_w(world)))
        times_s, limit_w, facility = _over_time(world, limit, min(world.cut_s, YEAR_S))
        if (limit_w < most_w * facility).any():
            too_low = [*_too_low(scenario, world, limit, times_s, limit_w, facility)]
            problems += too_low or _never_fits(scenario, world, limit, limit_w / facility)
            found.append(limit)
        elif limit.battery is not None:  # it would charge, and never give
            notes.append(note("battery_unused", site=name))
    if problems:
        raise ScenarioError(problems)
    return tuple(found), notes


def _limit(
    scenario: Scenario, world: World, name: str, site: Site
) -> tuple[PowerLimit, list[Note]]:
    pools = tuple(p for p, pool in enumerate(world.pools) if pool.site == name)
    notes, over_time = list[Note](), Signal(np.zeros(1), np.ones(1))
    if (varies := ratio_of(scenario, name, site, "power_limit")) is not None:
        over_time = product([varies[0]], scenario.simulate.start or 0.0)
        notes.append(varies[1])
        if scenario.simulate.start is None:
            notes.append(note("start_assumed", key="simulate.start"))
    assert site.power_limit is not None  # else nothing can vary beside it
    if np.isnan(world.node_w[list(pools)]).any():
        unknown = next(world.pools[p].name for p in pools if np.isnan(world.node_w[p]).any())
        raise ValueError(f"needs the watts of pool {unknown}: give power, no TDP is known")
    battery = None
    if (spec := site.battery) is not None:
        battery = Battery(spec.energy, spec.power, spec.efficiency)
    yields = site.over_limit or "slow"
    return PowerLimit(name, pools, site.power_limit, over_time, yields, battery), notes


def _draw_w(world: World, pools: Sequence[int], node_w: FloatArray) -> float:
    """Return what all nodes of some pools draw, so much each. [W]"""
    return sum(
        float(node_w[p]) * (world.pools[p].n_nodes + world.pools[p].n_spare_nodes) for p in pools
    )


def _over_time(
    world: World, limit: PowerLimit, until_s: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return when limit or PUE change, the limit and the PUE over its constant. [s, W, 1]"""
    signals: Mapping[str, tuple[Signal, ...]] = world.signals
    flat = (Signal(np.zeros(1), np.ones(1)),) * len(world.pools)
    facility = signals.get("energy", flat)[limit.pools[0]]
    steps_s = [signal.steps_s(0.0, until_s) for signal in (limit.over_time, facility)]
    hours_s = np.arange(0.0, until_s, HOUR_S)
    for one in world.services:
        if not set(limit.pools).isdisjoint(one.pools):
            steps_s += [hours_s + later_s for later_s in one.demand.changes_s]
    times_s = np.unique(np.concatenate(steps_s))
    times_s = times_s[(times_s >= 0) & (times_s < until_s)]
    return times_s, limit.limit_w * limit.over_time.at(times_s), facility.at(times_s)


def _most_node_w(world: World) -> FloatArray:
    """Return what a node of each pool draws at most, whoever holds it; shape (n_pools,). [W]"""
    found = world.full_w.copy()
    for one, watts in zip(world.services, world.served_w.sum(axis=2), strict=True):
        here = list(one.pools)
        found[here] = np.maximum(found[here], watts[here])
    return found


def _served_w(world: World, limit: PowerLimit, times_s: FloatArray) -> FloatArray:
    """Return what services draw above idle nodes from each time on, if nothing is lost. [W]"""
    if all(set(limit.pools).isdisjoint(one.pools) for one in world.services):
        return np.zeros(len(times_s))
    n_nodes, known = [pool.n_nodes for pool in world.pools], dict[tuple[float, ...], float]()
    here, found = list(limit.pools), list[float]()
    for now_s in times_s.tolist():
        demands = [one.demand for one in world.services]
        at = tuple(units for one in demands for units in (one.at(now_s), one.needed(now_s)))
        if at not in known:
            nodes, _ = nodes_held(world.services, n_nodes, now_s)
            known[at] = 0.0
            for i, one in enumerate(world.services):
                share = one.load_frac(at[2 * i + 1], nodes[i, list(one.pools)].tolist())
                node_w = world.served_w[i, here] @ [1.0, share] - world.rest_w[here]
                known[at] += float(nodes[i, here] @ node_w)
        found.append(known[at])
    return np.array(found)


def _too_low(
    scenario: Scenario, world: World, limit: PowerLimit, times_s: FloatArray, limit_w: FloatArray,
    facility: FloatArray,
) -> Iterator[Problem]:  # fmt: skip
    """Yield why idle nodes alone draw more than a limit."""
    least_w = _draw_w(world, limit.pools, world.rest_w) + _served_w(world, limit, times_s)
    lacking = limit_w - least_w * facility
    is_served = any(p in limit.pools for one in world.services for p in one.pools)
    may_go_dark = limit.may_go_dark and not is_served
    worst = int(lacking.argmax() if may_go_dark else lacking.argmin())  # else one hour is enough
    if lacking[worst] <= 0 and may_go_dark:
        yield scenario.document.problem(
            ("sites", limit.site, "power_limit"),
            f"is {_at_all_times(world, limit, float(limit_w.max()))}, and idle nodes alone draw"
            f" {least_w[worst] * facility[worst] / MEGA:.4g} MW: all nodes would be switched off"
            f" {_more_power(world, limit, float(least_w[worst]))}",
        )
    elif lacking[worst] <= 0:
        tries = "; write over_limit: pause, or a battery, so that nodes are switched off meanwhile"
        at = f" {times_s[worst] / 3600:,.0f} h into the run" if len(times_s) > 1 else ""
        kept = " and services" if world.services else ""
        yield scenario.document.problem(
            ("sites", limit.site, "power_limit"),
            f"is {limit_w[worst] / MEGA:.4g} MW{at}, and idle nodes{kept} alone draw"
            f" {least_w[worst] * facility[worst] / MEGA:.4g} MW: no job could make that less"
            f"{'' if limit.may_go_dark or world.services else tries}",
        )


def _at_all_times(world: World, limit: PowerLimit, most_w: float) -> str:
    """Return how high a limit is at most, and for how long."""
    most = f"at most {most_w / MEGA:.4g} MW" if most_w > 0 else "0 MW"
    if world.cut_s > YEAR_S or math.isinf(limit.over_time.period_s):
        return f"{most} at all times"
    return f"{most} for all of the {world.cut_s / HOUR_S:,.4g} h to which the run is played"


def _more_power(world: World, limit: PowerLimit, least_w: float) -> str:
    """Return what could be tried where a limit is too low for all of a run."""
    times_s, limit_w, facility = _over_time(world, limit, YEAR_S)
    enough = np.flatnonzero(limit_w > least_w * facility)
    if not len(enough):
        return "all along. Give a higher limit"
    from_h = times_s[enough[0]] / HOUR_S
    return (
        f"all along. There is more from {from_h:,.4g} h into the run: give a longer"
        " simulate.horizon, or another simulate.start"
    )


def _never_fits(
    scenario: Scenario, world: World, limit: PowerLimit, limit_w: FloatArray
) -> Iterator[Problem]:
    """Yield which jobs that pause could never start; those that may go elsewhere are none."""
    if limit.yields == "slow":
        return
    rest_w = world.rest_w
    room_w = float(limit_w.max()) - _draw_w(world, limit.pools, rest_w)
    more_w = world.full_w - rest_w
    for job in world.jobs.kinds:
        places = job.pools_under(world.policy)
        least = (
            job.whole_nodes
            if job.mixing_frac
            else [job.least_nodes_on(p) for p in range(len(more_w))]
        )
        wants_w = [least[p] * more_w[p] for p in places if p in limit.pools]
        if len(wants_w) == len(places) and wants_w and min(wants_w) > room_w * (1 + 1e-9):
            yield scenario.document.problem(
                ("sites", limit.site, "over_limit"),
                f"{limit.yields}: job {job.name} draws {min(wants_w) / MEGA:.4g} MW more than idle"
                f" nodes, and the limit never leaves more than {room_w / MEGA:.4g} MW: it could"
                " never start. Write over_limit: slow",
            )
