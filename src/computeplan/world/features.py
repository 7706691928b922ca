"""What a world asks of those who play it: each feature with its line of the scenario.

An engine, a closed form or a comparison states what it can play (`PLAYS`), and what of that it
cannot play together on one pool (`NOT_TOGETHER`). All else it refuses, with the line. So a new
feature, which is one line in a table here, is refused by all until they say that they play it.

Not named is what every scenario may have: faults that stop a job, nodes that are repaired, spares,
and checkpoints that training waits for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from computeplan.distributions import Law
from computeplan.world.faults import Corrupt, Kind, Slow
from computeplan.world.jobs import Job, Jobs
from computeplan.world.limits import PowerLimit
from computeplan.world.maintenance import Stop
from computeplan.world.pools import Pool
from computeplan.world.services import Service

__all__ = ["Feature", "features", "features_of", "first_refused"]


class Feature(NamedTuple):
    """One thing that a world asks for."""

    name: str
    """As the tables here call it."""
    path: str
    """The line of the scenario that asks for it."""
    pool: int | None = None
    """Where; None if it is not of one pool."""
    about: str = ""
    """What its reason is about: names of fault kinds or stops, a number of pools."""


# Name of the feature -> key below the job, fault, pool or stop, and whether that has it.

_OF_JOBS: dict[str, tuple[str, Callable[[Job], bool]]] = {
    "arrives_later": ("arrival", lambda job: job.arrival_s > 0),
    "shared_storage": ("checkpoint.state", lambda job: any(job.storage)),
    "mixed_jobs": ("mixed", lambda job: job.mixing_frac > 0),
    "keeps_several": ("checkpoint.keep", lambda job: job.n_kept > 0),
}
_OF_JOBS_ON_POOLS: dict[str, tuple[str, Callable[[Job, int], bool]]] = {
    "asynchronous_saves": ("checkpoint", lambda job, p: len(job.tiers_on(p)) == 1),
    "tiers": ("checkpoint.tiers", lambda job, p: len(job.tiers_on(p)) > 1),
    "never_saves": ("checkpoint", lambda job, p: math.isinf(job.interval_s[p])),
    "uncertain_step": ("mfu", lambda job, p: not job.step_factor_on(p).is_known),
}
_OF_FAULTS: dict[str, tuple[str, Callable[[Kind], bool]]] = {
    "replay": ("replay", lambda kind: kind.log is not None),
    "replay_from_0": ("replay", lambda kind: _begins_at_0(kind)),
    "slows": ("slows", lambda kind: isinstance(kind.effect, Slow)),
    "memory": ("law", lambda kind: kind.lifetime is not None),
    "lemons": ("lemons", lambda kind: kind.lemons is not None),
    "relapse": ("relapse", lambda kind: kind.relapse is not None),
    "found_late": ("found", lambda kind: isinstance(kind.effect, Corrupt)),
    "groups": ("takes", lambda kind: _takes_groups(kind)),
    "uncertain_rate": ("observed_on", lambda kind: not kind.factor.is_known),
    "automatic_repair": ("automatic", lambda kind: _automatic(kind) is not None),
    "busy_clock": ("clock", lambda kind: kind.is_busy and not kind.taken_per_fault),
    "busy_repairs": ("clock", lambda kind: kind.is_busy and kind.taken_per_fault > 0),
    "wall_repairs": ("takes", lambda kind: not kind.is_busy and kind.taken_per_fault > 0),
}
_OF_POOLS: dict[str, tuple[str, Callable[[Pool], bool]]] = {
    "throttle": ("throttle", lambda pool: pool.throttle_frac > 0),
    "placement": ("placement", lambda pool: pool.placement is not None),
    "slower_across": ("placement.across", lambda pool: pool.across_frac < 1),
    "crews": ("crews", lambda pool: pool.n_crews is not None and bool(_repaired(pool))),
    "crews_after_random": ("crews", lambda pool: _is_random_before_crews(pool)),
    "crews_after_unlike": ("crews", lambda pool: len(_before_crews(pool)) > 1),
    "retire": ("retire", lambda pool: pool.retire is not None and bool(_repaired(pool))),
    "booting_spares": ("spares", lambda pool: pool.boots and _loses_nodes(pool)),
}
_OF_STOPS: dict[str, tuple[str, Callable[[Stop], bool]]] = {
    "planned_stops": ("lasts", lambda stop: not stop.effect.n_nodes),
    "rolling": ("rolling", lambda stop: stop.effect.n_nodes > 0),
    "listed_stops": ("at", lambda stop: bool(stop.at_s)),
    "late_stops": ("first", lambda stop: (stop.first_s or 0.0) > stop.interval_s),
}
_OTHERS = (
    *("several_jobs", "several_pools", "shared_pool", "shrinks", "shrinks_never"),
    *("share_spares", "horizon", "signals", "services", "caps_power", "power_limit"),
    *("pauses", "moves"),
)


def features(names: str) -> frozenset[str]:
    """Return the names in a text; a ValueError if there is no such feature."""
    found = frozenset(names.split())
    known = (*_OF_JOBS, *_OF_JOBS_ON_POOLS, *_OF_FAULTS, *_OF_POOLS, *_OF_STOPS, *_OTHERS)
    if unknown := found.difference(known):
        raise ValueError(f"no such feature: {', '.join(sorted(unknown))}")
    return found


def _automatic(kind: Kind) -> Law | None:
    return kind.interrupt.automatic if kind.interrupt else None


def _begins_at_0(kind: Kind) -> bool:
    return kind.log is not None and not kind.log.start_s.all()


def _takes_groups(kind: Kind) -> bool:
    return kind.interrupt is not None and any(o.n_nodes > 1 for o in kind.interrupt.outcomes)


def _repaired(pool: Pool) -> list[Kind]:
    """Return the kinds that send nodes to repair."""
    return [kind for kind in pool.kinds if kind.taken_per_fault or kind.log is not None]


def _loses_nodes(pool: Pool) -> bool:
    return bool(_repaired(pool)) or any(stop.effect.n_nodes for stop in pool.stops)


def _before_crews(pool: Pool) -> set[Law | None]:
    """Return what nodes may go through before they wait for a crew, None for nothing."""
    return set() if pool.n_crews is None else {_automatic(kind) for kind in _repaired(pool)}


def _is_random_before_crews(pool: Pool) -> bool:
    return any(law is not None and law.name != "const" for law in _before_crews(pool))


def features_of(
    pools: Sequence[Pool],
    jobs: Jobs,
    sharing: Sequence[Sequence[int]],
    policy: str,
    horizon_s: float,
    at_most_s: float,
    signals: Collection[str],
    services: Sequence[Service] = (),
    limits: Sequence[PowerLimit] = (),
    *,
    caps_power: bool = False,
    pauses: bool = False,
) -> tuple[Feature, ...]:
    """Return what a world of these parts asks for (see `World`)."""
    found = [*_of_jobs(jobs, pools, policy)]
    found += [
        Feature("share_spares", f"sites.{pools[p].site}.share_spares", p)
        for near in sharing
        for p in near
    ]
    for p, pool in enumerate(pools):
        found += _of_pool(p, pool)
        found += [Feature("signals", f"sites.{pool.site}.{name}", p, name) for name in signals]
    if math.isfinite(horizon_s):
        found.append(Feature("horizon", "simulate.horizon"))
    elif math.isfinite(at_most_s):
        found.append(Feature("horizon", "simulate.at_most"))
    if services:
        about = ", ".join(one.name for one in services)
        found.append(Feature("services", f"services.{services[0].name}", about=about))
    if caps_power:
        found.append(Feature("caps_power", "policy", about=policy))
    for one in limits:
        found.append(Feature("power_limit", f"sites.{one.site}.power_limit", one.pools[0]))
    if pauses:
        found.append(Feature("pauses", "policy", about=policy))
    return tuple(found)


def _of_jobs(jobs: Jobs, pools: Sequence[Pool], policy: str) -> Iterator[Feature]:
    if len(jobs) > 1:
        yield Feature("several_jobs", "jobs", about=str(len(jobs)))
    held = set[int]()
    if not jobs.is_written:
        yield Feature("shared_pool", "workloads")
        yield Feature("arrives_later", "workloads")
    for job in jobs.kinds:
        at, places = f"jobs.{job.name}", job.pools_under(policy)
        for name, (key, asks) in _OF_JOBS.items():
            if asks(job):
                yield Feature(name, f"{at}.{key}")
        yield from _moves(job, [pools[p] for p in places])
        if len(places) > 1:
            yield Feature("several_pools", at, about=str(len(places)))
        elif held.intersection(places):
            yield Feature("shared_pool", at, about=pools[places[0]].name)
        held.update(places)
        if job.shrinking is not None:
            lacks = any(_loses_nodes(pools[p]) for p in places)
            key = "elastic" if job.is_elastic else "on_loss"
            yield Feature("shrinks" if lacks else "shrinks_never", f"{at}.{key}")
        for p in map(int, np.flatnonzero(job.whole_nodes)):
            for name, (key, asks_on) in _OF_JOBS_ON_POOLS.items():
                if asks_on(job, p):
                    yield Feature(name, f"{at}.{key}", p)


def _moves(job: Job, places: Sequence[Pool]) -> Iterator[Feature]:
    if job.data_bytes and any(pool.site != job.data_site for pool in places):
        yield Feature("moves", f"jobs.{job.name}.data")


def _of_pool(p: int, pool: Pool) -> Iterator[Feature]:
    for name, (key, asks) in _OF_FAULTS.items():
        if named := [kind.name for kind in pool.kinds if asks(kind)]:
            yield Feature(name, f"faults.{named[0]}.{key}", p, ", ".join(named))
    for name, (key, has) in _OF_POOLS.items():
        if has(pool):
            yield Feature(name, f"sites.{pool.site}.pools.{pool.name}.{key}", p, pool.name)
    for name, (key, is_so) in _OF_STOPS.items():
        if named := [stop.name for stop in pool.stops if is_so(stop)]:
            yield Feature(name, f"planned.{named[0]}.{key}", p, ", ".join(named))


def first_refused(
    asked: Sequence[Feature],
    plays: Collection[str],
    not_together: Sequence[tuple[str, str]] = (),
    pool: int | None = None,
) -> Feature | None:
    """Return the first feature that is asked for and not played, or None.

    Parameters
    ----------
    asked : sequence of Feature
        What a world asks for.
    plays : collection of str
        Names of what is played.
    not_together : sequence of (str, str)
        Of these, the first is not played on a pool with the second.
    pool : int, optional
        The only one that matters; all if left out.

    Examples
    --------
    >>> asked = [Feature("rolling", "planned.m.rolling", 0), Feature("tiers", "jobs.j.tiers", 0)]
    >>> first_refused(asked, {"rolling"}).path
    'jobs.j.tiers'
    >>> first_refused(asked, {"rolling", "tiers"}, [("rolling", "tiers")]).path
    'planned.m.rolling'
    """
    here = [f for f in asked if pool is None or f.pool is None or f.pool == pool]
    for feature in here:
        if feature.name not in plays:
            return feature
    for one, other in not_together:
        where = {f.pool for f in here if f.name == other}
        for feature in here:
            is_here = feature.pool is None or feature.pool in where or None in where
            if feature.name == one and where and is_here:
                return feature
    return None
