"""Policies that start jobs from a queue and never stop them; a job gets all its nodes or none.

Each is a pure function of a `View`: no clock, no randomness, no memory. A job is expected to end at
``now + wall_s`` of the view; with more faults than expected it ends later, as jobs do that outlast
the estimates of their users.

Sources
-------
.. [1] D. A. Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995, LNCS 949: EASY backfill, with a
       reservation for the first job that waits.
.. [2] A. W. Mu'alem, D. G. Feitelson, "Utilization, predictability, workloads, and user runtime
       estimates in scheduling the IBM SP2 with backfilling", IEEE TPDS 12(6), 2001: conservative
       backfill, with a reservation for each.
.. [3] T. D. Braun et al., "A comparison of eleven static heuristics for mapping a class of
       independent tasks onto heterogeneous distributed computing systems", Journal of Parallel and
       Distributed Computing 61(6), 2001: minimum completion time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from computeplan.scheduling.profile import Profile
from computeplan.scheduling.view import Placement, View

SAME_S = 1e-12  # relative: ends nearer than this are at one time but for rounding

__all__ = ["fastest_first", "fifo_backfill", "first_fit", "least_energy", "silo"]


def silo(view: View) -> list[Placement]:
    """Return placements of a static partition: each job on its home pool, first come first served.

    A job starts if ``n_nodes <= free`` on its home pool, and no earlier job waits there. A job
    without a home has its first pool as home.
    """
    free, blocked, placed = list(view.free), set(), []
    for job in view.queue:
        home = int(view.home[job])
        pool = home if home >= 0 else view.pools_for(job)[0]
        nodes = int(view.n_nodes[job, pool])
        if pool not in blocked and nodes <= free[pool]:
            free[pool] -= nodes
            placed.append((job, pool))
        else:
            blocked.add(pool)
    return placed


def first_fit(view: View) -> list[Placement]:
    """Return every waiting job that fits somewhere now, each on the first pool with room.

    A job starts if ``n_nodes <= free`` on any pool. No job waits for another, so large jobs may
    starve behind small ones.
    """
    free, placed = list(view.free), []
    for job in view.queue:
        for pool in view.pools_for(job):
            nodes = int(view.n_nodes[job, pool])
            if nodes <= free[pool]:
                free[pool] -= nodes
                placed.append((job, pool))
                break
    return placed


def fifo_backfill(view: View) -> list[Placement]:
    """Return placements in the order of arrival, with EASY backfill [1]_.

    The first job that does not fit gets a reservation on the pool where it is expected to start
    soonest. A later job starts now if it fits on another pool, or ends before that start, or needs
    no more nodes than will be left beside the reserved ones.
    """
    free, placed = list(view.free), []
    running = [list(ends) for ends in view.running]
    reserved: tuple[int, float, int] | None = None  # pool, start, nodes to spare at the start
    for job in view.queue:
        for pool in view.pools_for(job):
            nodes = int(view.n_nodes[job, pool])
            end_s = view.now_s + float(view.wall_s[job, pool])
            if nodes > free[pool]:
                continue
            if reserved is not None and reserved[0] == pool and end_s > reserved[1]:
                if nodes > reserved[2]:
                    continue
                reserved = (pool, reserved[1], reserved[2] - nodes)
            free[pool] -= nodes
            running[pool].append((end_s, nodes))
            placed.append((job, pool))
            break
        else:
            if reserved is None:
                reserved = _reservation(view, job, free, running)
    return placed


def _reservation(
    view: View, job: int, free: list[int], running: list[list[tuple[float, int]]]
) -> tuple[int, float, int]:
    """Return where and when a job that waits is expected to start, and the nodes left beside it."""
    best = (-1, math.inf, 0)
    for pool in view.pools_for(job):
        nodes, available = int(view.n_nodes[job, pool]), free[pool]
        start_s = math.inf
        for end_s, given in sorted(running[pool]):
            if available >= nodes and not math.isclose(end_s, start_s, rel_tol=SAME_S):
                break
            available, start_s = available + given, end_s
        if available >= nodes and start_s < best[1]:
            best = (pool, start_s, available - nodes)
    return best


def fastest_first(view: View) -> list[Placement]:
    """Return placements in the order of arrival, each job on the pool where it ends soonest [3]_.

    Minimises ``start + wall_s``: a job waits for a fast pool if it ends sooner there than on a
    slower one now. Each job that waits reserves its nodes [2]_, so no later job delays it.
    """
    return _by_profile(view, lambda _job, _pool, end_s: (end_s,))


def least_energy(view: View) -> list[Placement]:
    """Return placements in the order of arrival, each job where it needs the least energy.

    Minimises ``energy_j`` over the pools on which ``start + wall_s <= deadline``; if there is none,
    ``start + wall_s``. Each job that waits reserves its nodes [2]_, so no later job delays it.
    """

    def cost(job: int, pool: int, end_s: float) -> tuple[float, ...]:
        if end_s > view.deadline_s[job]:
            return (1.0, end_s, 0.0)
        return (0.0, float(view.energy_j[job, pool]), end_s)

    return _by_profile(view, cost)


def _by_profile(
    view: View, cost: Callable[[int, int, float], tuple[float, ...]]
) -> list[Placement]:
    """Return the jobs whose cheapest place can start now; all others reserve theirs."""
    profiles = [
        Profile(view.now_s, free, ends) for free, ends in zip(view.free, view.running, strict=True)
    ]
    placed = []
    for job in view.queue:
        options = []
        for pool in view.pools_for(job):
            nodes, wall_s = int(view.n_nodes[job, pool]), float(view.wall_s[job, pool])
            start_s = profiles[pool].earliest(nodes, wall_s)
            options.append((cost(job, pool, start_s + wall_s), start_s, pool, nodes, wall_s))
        _, start_s, pool, nodes, wall_s = min(options)
        if math.isinf(start_s):
            continue  # too many nodes are in repair to say when
        profiles[pool].reserve(start_s, wall_s, nodes)
        if start_s <= view.now_s:
            placed.append((job, pool))
    return placed
