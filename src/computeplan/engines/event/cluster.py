"""What a policy sees of the jobs and pools of the event engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from computeplan.engines.event.job import Job
from computeplan.engines.event.nodes import PoolNodes
from computeplan.scheduling.view import View
from computeplan.world.world import World

__all__ = ["view_of"]


def view_of(
    world: World,
    jobs: Sequence[Job],
    pools: Sequence[PoolNodes],
    queue: Sequence[int],
    now_s: float,
) -> View:
    """Return the view of a moment.

    Parameters
    ----------
    world : World
        What is played.
    jobs, pools : sequence
        As they are now.
    queue : sequence of int
        Jobs that wait, in order.
    now_s : float
        [s]
    """
    running: list[list[tuple[float, int]]] = [[] for _ in pools]
    for job in jobs:
        if job.runs:
            has_faults = pools[job.pool].spec.fault_rate_per_node_s > 0
            end_s = job.expected_end(now_s, has_faults=has_faults)
            running[job.pool].append((end_s, job.allocation.n_nodes))
    return View(
        now_s=now_s,
        queue=tuple(queue),
        free=tuple(nodes.room for nodes in pools),
        running=tuple(tuple(ends) for ends in running),
        n_nodes=world.n_nodes,
        wall_s=world.wall_s,
        energy_j=world.energy_j,
        deadline_s=np.array([spec.deadline_s for spec in world.jobs]),
        home=np.array([spec.home for spec in world.jobs]),
    )
