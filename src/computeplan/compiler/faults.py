"""Fault kinds compiled: rates per node, and how sure a rate is on a chip it was not observed on.

A rate that was observed on one chip says little of another. There it is uncertain, and not noise:
one factor a run and chip, the same for every kind. A pool may be given its factor, or kinds of its
own, which then stand for all that were observed on another chip. Every note says which it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from computeplan.errors import ScenarioError
from computeplan.notes import Notes, note, quoted
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.faults import ASSUMED_FACTOR, ONE_NODE, STAYS, FaultKind
from computeplan.specs.logs.replay import FaultLog
from computeplan.specs.sites import Pool as PoolSpec
from computeplan.specs.uncertain import Factor
from computeplan.units import DAY_S
from computeplan.world.faults import Corrupt, Effect, Interrupt, Kind, Lifetime, Outcome, Slow

__all__ = ["kinds_on"]


def kinds_on(
    pool: str,
    spec: PoolSpec,
    chip: Chip,
    per_node: int,
    faults: Mapping[str, FaultKind],
    logs: Mapping[str, FaultLog],
    chips: Mapping[str, Chip],
    path: str,
    *,
    fixed: bool,
) -> tuple[tuple[Kind, ...], Notes]:
    """Return the fault kinds of a pool, compiled, and what a reader must know of their rates.

    Fault kinds, logs to replay by kind, and chips are all of the scenario; `path` is the pool's.
    `fixed` is whether the factor of a rate is at its mean.
    """
    here = {name: k for name, k in faults.items() if k.pools is None or pool in k.pools}
    seen_on = {name: chips[k.observed_on].name for name, k in here.items() if k.observed_on}
    elsewhere = {name: other for name, other in seen_on.items() if other != chip.name}
    own = [name for name, k in here.items() if k.observed_on is None and k.pools is not None]
    left_out = list(elsewhere) if own else []
    kinds = tuple(
        _kind(
            [*faults].index(name),
            name,
            kind,
            spec,
            _factor(spec, fixed=fixed),
            per_node,
            elsewhere.get(name, ""),
            logs.get(name),
        )
        for name, kind in here.items()
        if name not in left_out
    )
    notes = [*quoted(text for kind in kinds if (text := faults[kind.name].note))]
    for other in dict.fromkeys(kind.observed_on for kind in kinds if kind.observed_on):
        found = [kind for kind in kinds if kind.observed_on == other]
        of_other = note(
            "faults_of_other_chip",
            chip=chip.name,
            kinds=tuple(kind.name for kind in found),
            other=other,
            low=found[0].factor.low,
            high=found[0].factor.high,
            is_assumed=found[0].is_assumed,
            path=path,
        )
        notes.append(of_other)
    if left_out:
        notes.append(note("faults_left_out", pool=pool, own=tuple(own), left_out=tuple(left_out)))
    if spec.fault_factor is not None and (left_out or not elsewhere):
        notes.append(note("factor_unused", path=path))
    return kinds, tuple(notes)


def _factor(spec: PoolSpec, *, fixed: bool) -> Factor:
    """Return how many times a rate that was observed on another chip is on a pool."""
    factor = spec.fault_factor or ASSUMED_FACTOR
    return factor.fixed() if fixed else factor


def _kind(
    index: int,
    name: str,
    kind: FaultKind,
    spec: PoolSpec,
    factor: Factor,
    per_node: int,
    elsewhere: str,
    log: FaultLog | None,
) -> Kind:
    """Return a kind on a pool; `elsewhere` is the chip it was observed on if that is another."""
    n_nodes = spec.chips // per_node
    sizes = {"chip": 1, "node": 1, "pool": n_nodes + sum(spec.spares.n_nodes(per_node))}
    sizes |= spec.groups
    rate = _rate_per_node_s(kind, per_node, sizes)
    if kind.grows is not None:
        rate *= max(1.0, n_nodes / kind.grows.beyond) ** (kind.grows.power - 1)
    return Kind(
        index,
        name,
        rate,
        _effect(kind, sizes),
        log=log,
        lifetime=_lifetime(kind, rate, f"faults.{name}.age"),
        is_busy=kind.clock == "busy",
        relapse=kind.relapse.after if kind.relapse else None,
        relapse_frac=kind.relapse.share if kind.relapse else 0.0,
        factor=factor if elsewhere else Factor(),
        observed_on=elsewhere,
        is_assumed=bool(elsewhere) and spec.fault_factor is None,
        lemons=kind.lemons,
        is_of_group=kind.per is not None and kind.per not in ONE_NODE,
    )


def _effect(kind: FaultKind, sizes: Mapping[str, int]) -> Effect:
    """Return what a kind does to nodes and jobs."""
    if kind.slows is not None:
        return Slow(kind.slows.to, kind.slows.lasts)
    assert kind.restart is not None  # validated
    takes = [(what, share) for what, share in kind.takes or () if what != "nothing" and share]
    interrupt = Interrupt(
        kind.restart,
        tuple(_outcome(what, share, sizes) for what, share in takes),
        kind.repair,
        automatic=kind.automatic.lasts if kind.automatic else None,
        mends_frac=kind.automatic.mends if kind.automatic else 0.0,
    )
    return interrupt if kind.found is None else Corrupt(kind.found, interrupt)


def _lifetime(kind: FaultKind, rate_per_node_s: float, path: str) -> Lifetime | None:
    """Return the law of a node's lifetime, if it has a memory; `path` is that of its age."""
    if kind.law.name == "expon" or not rate_per_node_s:
        return None
    law = replace(kind.law, scale_s=kind.law.scale_s / rate_per_node_s)
    if kind.age == "steady":
        return Lifetime(law, None)
    age_s = 0.0 if kind.age == "new" else float(kind.age or 0.0)
    if law.name == "seen" and age_s >= (longest_s := law.shapes[-1] * law.scale_s):
        days = f"{longest_s / DAY_S:.4g} d"
        message = f"no node lives that long: the longest lifetime seen, at this rate, is {days}"
        raise ScenarioError.of(f"{message}; write steady, or a longer one under law", path)
    return Lifetime(law, age_s)


def _outcome(what: str, share: float, sizes: Mapping[str, int]) -> Outcome:
    if what in STAYS:
        return Outcome(share, 0, 3)
    level = 1 if what in ONE_NODE else 3 if what == "pool" else 2
    return Outcome(share, sizes[what], level)


def _rate_per_node_s(kind: FaultKind, per_node: int, sizes: Mapping[str, int]) -> float:
    """Return faults per node and second; 0 where a log is replayed. [1/s]"""
    if kind.observed is not None:
        seen = kind.observed
        return float(seen.interruptions / (seen.over * seen.chips) * per_node)
    if kind.mtbf is not None:
        assert kind.per is not None  # validated
        return float((per_node if kind.per == "chip" else 1 / sizes[kind.per]) / kind.mtbf)
    return kind.rate or 0.0
