"""Mixed gangs: a job that no pool has room for begins on nodes of several pools at once.

What a job loses by it is stated (``mixed: {efficiency: 0.9}``), and may be priced beforehand with
``computeplan mix``. A job that does not state it needs one pool for all its nodes, as elsewhere.

Sources
-------
.. [1] "HETHUB: a distributed training system with heterogeneous cluster for large-scale models",
       arXiv:2405.16256, 2024: one job over chips of several makers, as a share of the sum of what
       they train apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from computeplan.scheduling.decision import NOTHING, Decision, Start
from computeplan.scheduling.registry import may
from computeplan.scheduling.view import View

__all__ = ["mixed_fifo"]


@may("mix")
def mixed_fifo(view: View) -> Decision:
    """Return starts strictly in the order of arrival, each on one pool or on several at once.

    The first job starts where it is expected to end soonest: on a pool with ``n_nodes <= free``,
    or, if it is a mixed job, on parts of several. These are free nodes pool by pool, those first on
    which a whole job would have ended soonest, until ``sum(n / N) >= 1``, ``N`` being the nodes
    that it would have on that pool alone; it trains at ``efficiency * sum(n / N * speed)`` [1]_. If
    all that is free makes no whole job, it waits, and all behind it.

    It loses where the pool that a job would fit soon comes free, or where the efficiency is low:
    the job runs on slow chips to its end.
    """
    free, starts = list(view.free), list[Start]()
    for job, _ in view.waiting.behind(-1):
        ways = [parts for way in (_on_one, _on_several) if (parts := way(view, job, free))]
        if not ways:
            break
        parts = min(ways, key=partial(_wall_s, view, job))
        for pool, n_nodes in parts:
            free[pool] -= n_nodes
        (pool, n_nodes), *more = parts
        starts.append(Start(job, pool, n_nodes=n_nodes, more=tuple(more)))
    return Decision(starts) if starts else NOTHING


def _wall_s(view: View, job: int, parts: Sequence[tuple[int, int]]) -> float:
    """Return how long a job is expected to run on nodes of one pool, or of several. [s]"""
    if len(parts) == 1:
        return view.wall_s(job, parts[0][0])
    return view.wall_on_parts_s(job, parts)


def _on_one(view: View, job: int, free: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pool with room where a job would end soonest, and its nodes; none if none has."""
    fits = [pool for pool in view.pools_for(job) if view.nodes(job, pool) <= free[pool]]
    best = min(fits, key=lambda pool: view.wall_s(job, pool), default=-1)
    return [(best, view.nodes(job, best))] if fits else []


def _on_several(view: View, job: int, free: Sequence[int]) -> list[tuple[int, int]]:
    """Return pools with nodes that make a whole job together; none if what is free does not."""
    if not view.can_mix(job):
        return []
    parts = list[tuple[int, int]]()
    whole = [(pool, view.nodes_to_whole(job, pool, ())) for pool in view.pools_to_mix(job)]
    for pool, _ in sorted(whole, key=lambda part: view.wall_on_parts_s(job, [part])):
        lacking = view.nodes_to_whole(job, pool, parts)
        if n_nodes := min(lacking, free[pool]):
            parts.append((pool, n_nodes))
        if lacking <= free[pool]:
            return parts
    return []
