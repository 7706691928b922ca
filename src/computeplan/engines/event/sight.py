"""What a policy sees of the event engine's gangs and pools."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from computeplan.engines.event.gang import Gang
from computeplan.engines.event.poolnodes import PoolNodes
from computeplan.scheduling.view import View
from computeplan.world.world import World

__all__ = ["view_of"]


def view_of(
    world: World,
    gangs: Sequence[Gang],
    pools: Sequence[PoolNodes],
    queue: Sequence[int],
    now_s: float,
) -> View:
    """Return the view of a moment.

    Parameters
    ----------
    world : World
        What is played.
    gangs, pools : sequence
        As they are now.
    queue : sequence of int
        Jobs that wait, in order.
    now_s : float
        [s]
    """
    running: list[list[tuple[float, int]]] = [[] for _ in pools]
    for gang in gangs:
        if gang.runs:
            has_faults = pools[gang.pool].spec.fault_rate_per_node_s > 0
            end_s = gang.expected_end(now_s, has_faults=has_faults)
            running[gang.pool].append((end_s, gang.n_nodes))
    return View(
        now_s=now_s,
        queue=tuple(queue),
        free=tuple(nodes.room for nodes in pools),
        running=tuple(tuple(ends) for ends in running),
        n_nodes=world.n_nodes,
        wall_s=world.wall_s,
        energy_j=world.energy_j,
        deadline_s=np.array([job.deadline_s for job in world.jobs]),
        home=np.array([job.home for job in world.jobs]),
    )
