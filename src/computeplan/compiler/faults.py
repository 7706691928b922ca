"""Fault kinds compiled: rates per node, and how sure a rate is on a chip it was not observed on.

A rate that was observed on one chip says little of another. There it is uncertain, and not noise:
one factor a run and chip, the same for every kind. A pool may be given its factor, or kinds of its
own, which then stand for all that were observed on another chip. Every note says which it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from computeplan.distributions import Law
from computeplan.specs.faults import ASSUMED_FACTOR, ONE_NODE, STAYS, Factor, FaultKind
from computeplan.specs.scenario import Scenario
from computeplan.world.faults import Corrupt, Effect, Interrupt, Kind, Lifetime, Outcome, Slow

__all__ = ["fault_notes", "kinds_of"]


def kinds_of(
    scenario: Scenario, pool: str, n_nodes: int, n_spare_nodes: int, chips_per_node: int
) -> tuple[Kind, ...]:
    """Return the fault kinds that strike a pool, compiled."""
    spec = scenario.pool(pool)
    has_own = bool(_own(scenario, pool))
    sizes = {"chip": 1, "node": 1, "pool": n_nodes + n_spare_nodes, **spec.groups}
    found = []
    for index, (name, kind) in enumerate(scenario.faults.items()):
        if kind.pools is not None and pool not in kind.pools:
            continue
        elsewhere = _elsewhere(scenario, pool, kind)
        if elsewhere and has_own:
            continue
        rate = _rate_per_node_s(kind, chips_per_node, sizes)
        if kind.grows is not None:
            rate *= max(1.0, n_nodes / kind.grows.beyond) ** (kind.grows.power - 1)
        found.append(
            Kind(
                index,
                name,
                rate,
                _effect(kind, sizes),
                log=scenario.logs.get(name),
                lifetime=_lifetime(kind, rate),
                is_busy=kind.clock == "busy",
                relapse=kind.relapse.after if kind.relapse else None,
                relapse_frac=kind.relapse.share if kind.relapse else 0.0,
                factor=(spec.fault_factor or ASSUMED_FACTOR) if elsewhere else Factor(),
                observed_on=elsewhere,
                is_assumed=bool(elsewhere) and spec.fault_factor is None,
                lemons=kind.lemons,
            )
        )
    return tuple(found)


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


def _lifetime(kind: FaultKind, rate_per_node_s: float) -> Lifetime | None:
    """Return the law of a node's life, if it has a memory."""
    if kind.law.name == "expon" or not rate_per_node_s:
        return None
    law = Law(kind.law.name, kind.law.shapes, kind.law.scale_s / rate_per_node_s)
    if kind.age == "steady":
        return Lifetime(law, None)
    return Lifetime(law, 0.0 if kind.age == "new" else float(kind.age or 0.0))


def _outcome(what: str, share: float, sizes: Mapping[str, int]) -> Outcome:
    if what in STAYS:
        return Outcome(share, 0, 3)
    level = 1 if what in ONE_NODE else 3 if what == "pool" else 2
    return Outcome(share, sizes[what], level)


def fault_notes(scenario: Scenario, path: str, pool: str, kinds: Sequence[Kind]) -> list[str]:
    """Return what a reader must know of the rates on a pool.

    Parameters
    ----------
    scenario : Scenario
        With the kinds as written.
    path, pool : str
        Of the pool.
    kinds : sequence of Kind
        What strikes it.
    """
    notes = [note for kind in kinds if (note := scenario.faults[kind.name].note)]
    chip = scenario.chip_of(pool).name
    elsewhere: dict[str, list[Kind]] = {}
    for kind in kinds:
        if kind.observed_on:
            elsewhere.setdefault(kind.observed_on, []).append(kind)
    for other, found in elsewhere.items():
        names, factor = ", ".join(kind.name for kind in found), found[0].factor
        how = "once a run, log-uniform" if factor.low < factor.high else "in every run"
        if found[0].is_assumed:
            mark = f"ASSUMED {factor} times as often ({how}); {path}.fault_factor sets it"
        else:
            mark = f"{factor} times as often, as given ({how})"
        notes.append(f"faults of {chip} are not known: {names} strike as on {other}, {mark}")
    own = _own(scenario, pool)
    left_out = [
        name
        for name, kind in scenario.faults.items()
        if (kind.pools is None or pool in kind.pools) and _elsewhere(scenario, pool, kind)
    ]
    if own and left_out:
        notes.append(
            f"pool {pool} has fault kinds of its own ({', '.join(own)}): those observed on another"
            f" chip do not strike it ({', '.join(left_out)})"
        )
    if scenario.pool(pool).fault_factor is not None and not elsewhere:
        notes.append(f"{path}.fault_factor changes nothing: no rate is of another chip")
    return list(dict.fromkeys(notes))


def _own(scenario: Scenario, pool: str) -> list[str]:
    """Return the kinds that the scenario gives for this very pool."""
    return [
        name
        for name, kind in scenario.faults.items()
        if kind.observed_on is None and kind.pools is not None and pool in kind.pools
    ]


def _elsewhere(scenario: Scenario, pool: str, kind: FaultKind) -> str:
    """Return the chip on which a kind was observed if it is not the pool's own."""
    if kind.observed_on is None:
        return ""
    name = scenario.catalogue.chips[kind.observed_on].name
    return "" if name == scenario.chip_of(pool).name else name


def _rate_per_node_s(kind: FaultKind, per_node: int, sizes: Mapping[str, int]) -> float:
    """Return faults per node and second; 0 where a log is replayed. [1/s]"""
    if kind.observed is not None:
        seen = kind.observed
        return float(seen.interruptions / (seen.over * seen.chips) * per_node)
    if kind.mtbf is not None:
        assert kind.per is not None  # validated
        return float((per_node if kind.per == "chip" else 1 / sizes[kind.per]) / kind.mtbf)
    return kind.rate or 0.0
