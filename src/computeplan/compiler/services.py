"""Services, compiled; that each can have its least is checked as the engine would give it.

More than that is not an error: a service that needs what its pools never have lacks it, and that is
counted. A note says so, as it may be a slip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from computeplan.arrays import FloatArray
from computeplan.compiler.power import drawn_by
from computeplan.compiler.service_plans import (
    InstanceOn,
    Planned,
    busiest_minutes,
    demand_of,
    gives_of,
    wanted_of,
)
from computeplan.errors import InfeasibleError, Problem, ScenarioError
from computeplan.notes import Note, NoteValue, note
from computeplan.scheduling.services import ROUNDING, Demand, nodes_on_pools
from computeplan.specs.scenario import Scenario
from computeplan.specs.services import Service as ServiceSpec
from computeplan.specs.services import in_role, role_of
from computeplan.specs.serving import Role
from computeplan.world.pools import Pool
from computeplan.world.services import Answers, Service

__all__ = ["NONE_PLANNED", "services_of"]

NONE_PLANNED: Mapping[str, Planned] = MappingProxyType({})


def services_of(
    scenario: Scenario,
    pools: Sequence[Pool],
    planned: Mapping[str, Planned] = NONE_PLANNED,
) -> tuple[tuple[Service, ...], list[Note]]:
    """Return the services of a scenario, with a note of each that asks for more than it can hold.

    Parameters
    ----------
    scenario : Scenario
        What is written.
    pools : sequence of Pool
        Those of the world, with their watts.
    planned : mapping of name to Planned, optional
        Of services that state their requests: what an instance holds.

    Raises
    ------
    InfeasibleError
        If a service can never have its least.
    ScenarioError
        If the chips of a service are neither stated nor found out.
    """
    unknown = [
        scenario.document.problem(
            ("services", name, "requests"),
            "how many chips requests take is found out before a run, by computeplan.run or check;"
            " or write chips: 64, or 24 numbers",
        )
        for name, spec in scenario.services.items()
        if any(in_role(name, role) not in planned for role in spec.roles)
    ]
    if unknown:
        raise ScenarioError(unknown)
    index = {pool.name: p for p, pool in enumerate(pools)}
    services, own_pools, notes = list[Service](), list[list[Pool]](), list[Note]()
    alone: tuple[Role, ...] = ("both",)
    for name, spec in scenario.services.items():
        left = [pool.n_nodes for pool in pools]  # prompts come first where answers share a pool
        for role in tuple(spec.roles) or alone:
            plan = planned.get(in_role(name, role))
            names = spec.pool_names if plan is None else plan.pools
            here = tuple(index[pool] for pool in names)
            own = [replace(pools[p], n_nodes=left[p]) for p in here]
            if plan is not None:
                prompts = len(services) - 1 if role == "decode" else None
                service, of_service = _of_requests(scenario, name, role, own, here, plan)
                service = replace(service, prompts=prompts)
                notes += of_service
            else:
                service = _of_chips(name, spec, own, here)
            services.append(service)
            own_pools.append(own)
            for p, n in zip(here, _on_pools(service, own, service.demand.most)[0], strict=True):
                left[p] -= n
    if problems := list(_lacking(scenario, services, pools)):
        raise InfeasibleError(str(ScenarioError(problems)))
    doubts = (_doubts(one, own, services) for one, own in zip(services, own_pools, strict=True))
    return tuple(services), [*notes, *(x for some in doubts for x in some)]


def _of_chips(name: str, spec: ServiceSpec, own: Sequence[Pool], here: tuple[int, ...]) -> Service:
    """Return a service that states its chips."""
    assert spec.chips is not None
    return Service(
        name,
        spec.tenant or "",
        here,
        Demand(spec.chips, spec.least, spec.priority),
        gives=tuple(pool.chips_per_node for pool in own),
        group=(1,) * len(here),
    )


def _of_requests(
    scenario: Scenario,
    name: str,
    role: Role,
    own: Sequence[Pool],
    here: tuple[int, ...],
    planned: Planned,
) -> tuple[Service, list[Note]]:
    """Return a service that states requests, with what a reader must know of its instances."""
    spec, called = scenario.services[name], in_role(name, role)
    node_chips, load = [pool.chips_per_node for pool in own], planned.load
    wanted, room = float(wanted_of(spec, load).max()), [pool.n_nodes for pool in own]
    chips = [pool.chip for pool in own]
    gives, group, balance = gives_of(spec, planned.on, chips, node_chips, room, wanted)
    demand, n_peak, n_spare = demand_of(spec, planned, own, gives, group)
    drawn = tuple(
        drawn_by(
            pool, scenario.pool(pool.name), scenario.chip_of(pool.name), one.chip_w, one.chip_more_w
        )
        for pool, one in zip(own, planned.on, strict=True)
    )
    service = Service(
        called,
        spec.tenant or "",
        here,
        demand,
        gives=gives,
        group=group,
        unit="request/s",
        drawn=drawn,
        answers=_answers(role, planned, node_chips),
    )
    sized = _sized(spec, service, planned, own, n_peak, n_spare, balance)
    return service, [*planned.notes, sized, *_notes_of(spec, service, own)]


def _sized(
    spec: ServiceSpec,
    service: Service,
    planned: Planned,
    own: Sequence[Pool],
    n_peak: FloatArray,
    n_spare: FloatArray,
    balance: float,
) -> Note:
    """Return how many chips of each pool hold the peak, and how many more are for faults."""
    demand, room = service.demand, [pool.n_nodes for pool in own]
    held_per_s = max(a + b for a, b in zip(demand.hourly, demand.extra, strict=True))
    held = (n_peak + n_spare).tolist()
    bands = _bands(planned.on, held_per_s, held, room, service.gives, service.group)
    counts = tuple(
        (
            pool.name,
            int(n) * pool.chips_per_node,
            int(more) * pool.chips_per_node,
            one.n_chips,
            *band,
        )
        for pool, n, more, one, band in zip(own, n_peak, n_spare, planned.on, bands, strict=True)
    )
    return note(
        "service_sized",
        service=service.name,
        pools=counts,
        peak_per_s=float((planned.load.per_s * busiest_minutes(planned.load)).max()),
        mean_per_s=float(planned.load.per_s.mean()),
        derating=spec.derating,
        balance=balance,
    )


def _answers(role: Role, planned: Planned, node_chips: Sequence[int]) -> Answers:
    on, load = planned.on, planned.load
    return Answers(
        0.0 if role == "decode" else load.input_tokens.mean,
        0.0 if role == "prefill" else load.output_tokens.mean,
        prompt_frac=tuple(one.prompt_frac for one in on),
        at_once=tuple(
            one.at_once * max(1, n // one.n_chips) for one, n in zip(on, node_chips, strict=True)
        ),
    )


def _notes_of(spec: ServiceSpec, service: Service, own: Sequence[Pool]) -> Iterator[Note]:
    """Yield what is not known of the watts and the faults of a service with requests."""
    at_training = [p.name for p, drawn in zip(own, service.drawn, strict=True) if drawn is None]
    if at_training:
        yield note("service_watts_of_training", service=service.name, pools=tuple(at_training))
    asks = spec.slo is not None and spec.slo.availability is not None
    if asks and not any(kind.stop_rate_per_node_s for pool in own for kind in pool.kinds):
        yield note("service_no_faults", service=service.name)


def _bands(
    on: Sequence[InstanceOn],
    held_per_s: float,
    nodes: Sequence[int],
    room: Sequence[int],
    gives: Sequence[float],
    group: Sequence[int],
) -> list[tuple[float, float | None]]:
    """Return the chips of each pool at the ends of the 90 % band of rates, over those in between.

    Pools fill as they do in between: what one cannot give, the next gives. The last one that is
    held takes the rest even beyond its room, to say how many it would be. None where an instance as
    slow as may be keeps the limits at no rate.
    """
    last = max((p for p, n in enumerate(nodes) if n), default=-1)
    ends = list[list[float | None]]()
    for is_low in (True, False):
        left, found = held_per_s, list[float | None]()
        for p, one in enumerate(on[: last + 1]):
            rate = max(one.high_per_s, one.per_s) if is_low else one.low_per_s
            each = gives[p] * rate / one.per_s
            if not each > 0:
                found.append(None if p == last else 0.0)
                continue
            needs = math.ceil(left / (each * group[p]) * (1 - ROUNDING)) * group[p]
            n = needs if p == last else min(needs, room[p] // group[p] * group[p])
            left = max(0.0, left - n * each)
            found.append(n / nodes[p] if nodes[p] else 1.0)
        ends.append(found + [1.0] * (len(on) - last - 1))
    return [(1.0 if low is None else low, high) for low, high in zip(*ends, strict=True)]


def _on_pools(service: Service, own: Sequence[Pool], n_units: float) -> tuple[list[int], float]:
    """Return the nodes of each of its pools that give a service some units, and what lacks."""
    room = [pool.n_nodes for pool in own]
    return nodes_on_pools(n_units, room, service.gives, service.group)


def _lacking(
    scenario: Scenario, services: Sequence[Service], pools: Sequence[Pool]
) -> Iterator[Problem]:
    """Yield each service for whose least there is no room beside those that come before it."""
    free = [pool.n_nodes for pool in pools]
    for service in sorted(services, key=lambda one: -one.demand.priority):
        least, here = service.demand.least, service.pools
        room = [free[p] for p in here]
        nodes, n_lacking = nodes_on_pools(least, room, service.gives, service.group)
        if n_lacking:
            left = ", ".join(
                f"{pools[p].name} {free[p] * each:.6g}"
                for p, each in zip(here, service.gives, strict=True)
            )
            unit = "chips" if service.unit == "chip" else service.unit
            message = (
                f"{least:.6g} {unit} at all hours, and no room for {n_lacking:.6g} of them ({unit}"
                f" that the least of other services leaves: {left})"
            )
            at = ("services", role_of(service.name)[0], "least")
            yield scenario.document.problem(at, message)
        for p, n in zip(here, nodes, strict=True):
            free[p] -= n


def _doubts(service: Service, own: Sequence[Pool], services: Sequence[Service]) -> Iterator[Note]:
    """Yield what a service is told to need and can never hold, and what it holds without need.

    Its own pools have the nodes that the instances for its prompts leave.
    """
    names, is_chips = tuple(pool.name for pool in own), service.unit == "chip"
    needs = service.demand.hourly
    most = max(needs) if is_chips else service.demand.most
    if not is_chips:  # as far as rounding goes
        most *= 1 - ROUNDING
    key = "chips" if is_chips else "requests"
    at = f"services.{service.name}"
    at = f"{at}.{key}" if role_of(service.name)[1] == "both" else at
    if n_lacking := _on_pools(service, own, most)[1]:
        has = most - n_lacking
        prompts = None if service.prompts is None else services[service.prompts]
        is_shared = prompts is not None and not {*service.pools}.isdisjoint(prompts.pools)
        beside = {"beside": prompts.name} if prompts is not None and is_shared else {}
        told: dict[str, NoteValue] = {"path": at, "n": most, "pools": names, "has": has}
        yield note("service_beyond_pools", **told, unit=service.unit, **beside)
    for n in sorted({*needs, service.demand.least}) if is_chips else ():
        nodes, n_lacking = _on_pools(service, own, n)
        held = sum(count * each for count, each in zip(nodes, service.gives, strict=True))
        if not n_lacking and held > n:
            yield note("service_holds_whole_nodes", path=at, n=n, held=held)
            return
