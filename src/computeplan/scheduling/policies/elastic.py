"""Elastic jobs: all begin as soon as their least fits, and grow while nobody waits.

A job that is not elastic is one whose least is all that it wants, so that jobs of both kinds stand
in one queue.

Sources
-------
.. [1] D. Shukla et al., "Singularity: planet-scale, preemptive and elastic scheduling of AI
       workloads", arXiv:2202.07848, 2022: jobs shrink to let others in, and grow on idle chips.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from computeplan.scheduling.decision import Decision, Start
from computeplan.scheduling.view import View

__all__ = ["Elastic", "elastic"]


@dataclass(frozen=True)
class Elastic:
    """First come, first served at the least size; what is left is dealt out in the same order.

    The first in the queue begins where ``least <= free``, on the pool where it would end soonest
    with ``min(free, wanted)`` nodes; then the next. If one fits nowhere, jobs of one pool shrink,
    those with the most beyond their least first, as far as it takes [1]_. Where no room can be made
    so, or nobody waits, jobs that start hold what they want as far as it is free. Where nobody
    waits, running jobs grow to what they want in the order in which they started, each at most once
    in `pause_s`.

    It loses where a save and a resize take long beside the jobs, or where a job gains little from
    more chips: speed is taken to be in proportion.
    """

    pause_s: float = 1800.0
    """The least time from the start of a job, or from when it last grew, to when it grows. [s]"""

    def __call__(self, view: View) -> Decision:
        """Return starts, and who shrinks or grows."""
        free, starts, first = list(view.free), list[Start](), -1
        for job, _ in view.waiting.behind(-1):
            if (pool := _soonest(view, job, free)) < 0:
                first = job
                break
            free[pool] -= (least := view.least_nodes(job, pool))
            starts.append(Start(job, pool, n_nodes=least))
        room = _make_room(view, first, free) if first >= 0 else []
        known = cast("Mapping[int, float]", view.memory or {})
        grown_s = {job: known[job] for job in view.running if job in known}
        if room or (first >= 0 and (view.stopping or view.shrinking)):
            return Decision(starts, resize=room, memory=grown_s)
        for i, start in enumerate(starts):
            more = min(view.nodes(start.job, start.pool) - start.n_nodes, free[start.pool])
            free[start.pool] -= more
            starts[i] = start._replace(n_nodes=start.n_nodes + more)
        if first >= 0:
            return Decision(starts, memory=grown_s)
        grows, again_s = self._grow(view, free, grown_s)
        return Decision(starts, resize=grows, again_s=again_s, memory=grown_s)

    def _grow(
        self, view: View, free: list[int], grown_s: dict[int, float]
    ) -> tuple[list[tuple[int, int]], float]:
        """Return who grows, noted in `grown_s`, and when another could. [s]"""
        grows, again_s = list[tuple[int, int]](), math.inf
        if not any(free):
            return grows, again_s
        for job, run in view.running.items():
            more = min(view.nodes(job, run.pool) - run.n_nodes, free[run.pool])
            if more <= 0 or job in view.stopping or job in view.shrinking:
                continue
            may_s = grown_s.get(job, run.start_s) + self.pause_s
            if may_s > view.now_s:
                again_s = min(again_s, may_s)
                continue
            free[run.pool] -= more
            grown_s[job] = view.now_s
            grows.append((job, run.n_nodes + more))
        return grows, again_s


def _soonest(view: View, job: int, free: list[int]) -> int:
    """Return the pool where a job would end soonest if it starts now, or -1."""
    best, best_s = -1, math.inf
    for pool in view.pools_for(job):
        wanted = view.nodes(job, pool)
        if view.least_nodes(job, pool) <= free[pool]:
            wall_s = view.wall_s(job, pool) * wanted / min(free[pool], wanted)
            if best < 0 or wall_s < best_s:
                best, best_s = pool, wall_s
    return best


def _make_room(view: View, job: int, free: list[int]) -> list[tuple[int, int]]:
    """Return who shrinks so that a job can begin, on the pool where the least must be freed."""
    if view.stopping or view.shrinking:
        return []  # wait until those have given back their nodes
    best: list[tuple[int, int]] = []
    fewest = math.inf
    for pool in view.pools_for(job):
        short = view.least_nodes(job, pool) - free[pool]
        beyond = sorted(
            (view.least_nodes(run.job, pool) - run.n_nodes, run.job)
            for run in view.running.values()
            if run.pool == pool
        )
        if short >= fewest or sum(minus for minus, _ in beyond) > -short:
            continue
        fewest, best = short, []
        for minus, other in beyond:
            n_back = min(-minus, short)
            if n_back > 0:
                best.append((other, view.running[other].n_nodes - n_back))
                short -= n_back
    return best


elastic = Elastic()
