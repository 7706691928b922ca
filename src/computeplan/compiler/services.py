"""Services, compiled; that each can have its least is checked as the engine would give it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from computeplan.errors import InfeasibleError, Problem, ScenarioError
from computeplan.scheduling.services import Demand, nodes_on_pools
from computeplan.specs.scenario import Scenario
from computeplan.world.pools import Pool
from computeplan.world.services import Service

__all__ = ["services_of"]


def services_of(scenario: Scenario, pools: Sequence[Pool]) -> tuple[Service, ...]:
    """Return the services of a scenario.

    Raises
    ------
    InfeasibleError
        If a service can never have its least.
    """
    index = {pool.name: p for p, pool in enumerate(pools)}
    services = tuple(
        Service(
            name,
            spec.tenant or "",
            tuple(index[pool] for pool in spec.pool_names),
            Demand(spec.chips, spec.least, spec.priority),
        )
        for name, spec in scenario.services.items()
    )
    if problems := list(_lacking(scenario, services, pools)):
        raise InfeasibleError(str(ScenarioError(problems)))
    return services


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
