"""Services, compiled; that each can have its least is checked as the engine would give it.

More than that is not an error: a service that needs what its pools never have lacks it, and that is
counted. A note says so, as it may be a slip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from computeplan.errors import InfeasibleError, Problem, ScenarioError
from computeplan.notes import Note, note
from computeplan.scheduling.services import Demand, nodes_on_pools
from computeplan.specs.scenario import Scenario
from computeplan.world.pools import Pool
from computeplan.world.services import Service

__all__ = ["services_of"]


def services_of(
    scenario: Scenario,
    pools: Sequence[Pool],
    planned: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> tuple[tuple[Service, ...], list[Note]]:
    """Return the services of a scenario, with a note of each that asks for more than it can hold.

    Parameters
    ----------
    scenario : Scenario
        What is written.
    pools : sequence of Pool
        Those of the world.
    planned : mapping of name to chips by the hour, optional
        Of services that state their requests: the chips that these take.

    Raises
    ------
    InfeasibleError
        If a service can never have its least.
    ScenarioError
        If the chips of a service are neither stated nor planned.
    """
    unknown = [
        scenario.document.problem(
            ("services", name, "requests"),
            "a run does not know how many chips requests take; write chips: 64, or 24 numbers",
        )
        for name, spec in scenario.services.items()
        if spec.chips is None and name not in planned
    ]
    if unknown:
        raise ScenarioError(unknown)
    index = {pool.name: p for p, pool in enumerate(pools)}
    services = tuple(
        Service(
            name,
            spec.tenant or "",
            tuple(index[pool] for pool in spec.pool_names),
            Demand(spec.chips or planned[name], spec.least, spec.priority),
        )
        for name, spec in scenario.services.items()
    )
    if problems := list(_lacking(scenario, services, pools)):
        raise InfeasibleError(str(ScenarioError(problems)))
    return services, [doubt for service in services for doubt in _doubts(service, pools)]


def _lacking(
    scenario: Scenario, services: Sequence[Service], pools: Sequence[Pool]
) -> Iterator[Problem]:
    """Yield each service for whose least there is no room beside those that come before it."""
    free = [pool.n_nodes for pool in pools]
    for service in sorted(services, key=lambda one: -one.demand.priority):
        least, here = service.demand.least_chips, service.pools
        per_node = [pools[p].chips_per_node for p in here]
        nodes, n_lacking = nodes_on_pools(least, [free[p] for p in here], per_node)
        if n_lacking:
            room = ", ".join(f"{pools[p].name} {free[p] * pools[p].chips_per_node}" for p in here)
            message = (
                f"{least} chips at all hours, and no room for {n_lacking} of them (chips that the"
                f" least of other services leaves: {room})"
            )
            yield scenario.document.problem(("services", service.name, "least"), message)
        for p, n in zip(here, nodes, strict=True):
            free[p] -= n


def _doubts(service: Service, pools: Sequence[Pool]) -> Iterator[Note]:
    """Yield what a service is told to need and can never hold, and what it holds without need."""
    here = [pools[p] for p in service.pools]
    room, per_node = [pool.n_nodes for pool in here], [pool.chips_per_node for pool in here]
    needs, names = service.demand.hourly_chips, tuple(pool.name for pool in here)
    most, at = max(needs), f"services.{service.name}.chips"
    if n_lacking := nodes_on_pools(most, room, per_node)[1]:
        has = most - n_lacking
        yield note("service_beyond_pools", path=at, n=most, pools=names, has=has)
    for n in sorted({*needs, service.demand.least_chips}):
        nodes, n_lacking = nodes_on_pools(n, room, per_node)
        held = sum(count * size for count, size in zip(nodes, per_node, strict=True))
        if not n_lacking and held > n:
            yield note("service_holds_whole_nodes", path=at, n=n, held=held)
            return
