"""The highest draw of each site in each calendar month of many runs, for demand charges.

A job holds its nodes from the beginning to its end, and draws as in training. So the draw of a site
changes only where a job ends and where its PUE does, and its highest is at one of those times, or
at the first of the month.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.ledger import IDLE, TRAIN
from computeplan.world.months import month_edges_s
from computeplan.world.signals import Signal
from computeplan.world.world import World

__all__ = ["month_peaks"]


def month_peaks(
    world: World, n_held: Sequence[int], end_s: Mapping[int, FloatArray], wall_s: FloatArray
) -> FloatArray | None:
    """Return `Ledger.month_peak_w` of runs; None where no site has a charge for it.

    Parameters
    ----------
    world : World
        That was played.
    n_held : sequence of int
        Nodes of each pool that its job holds.
    end_s : mapping of int to ndarray, shape (n_runs,)
        When the job of a pool ends, of pools that have one. [s]
    wall_s : ndarray, shape (n_runs,)
        Length of each run. [s]
    """
    if np.isnan([pool.demand_money_per_w_month for pool in world.pools]).all():
        return None
    edges_s = month_edges_s(world.begins_s, float(wall_s.max()))
    found = np.zeros((len(wall_s), len(world.pools), len(edges_s) - 1))
    sites = [pool.site for pool in world.pools]
    for site in dict.fromkeys(sites):
        here = [p for p, name in enumerate(sites) if name == site]
        n_nodes = [world.pools[p].n_nodes + world.pools[p].n_spare_nodes for p in here]
        base_w = float(np.dot(n_nodes, world.node_w[here, IDLE]))
        more_w = (world.node_w[:, TRAIN] - world.node_w[:, IDLE]) * n_held
        ends = [(end_s[p], float(more_w[p])) for p in here if p in end_s]
        signal = world.signals["energy"][here[0]] if "energy" in world.signals else None
        for m, (from_s, to_s) in enumerate(itertools.pairwise(edges_s.tolist())):
            until_s = np.minimum(wall_s, to_s)
            peak_w = _highest(max(from_s, 0.0), until_s, base_w, ends, signal)
            found[:, here, m] = peak_w[:, None]
    return found


def _highest(
    from_s: float,
    until_s: FloatArray,
    base_w: float,
    ends: Sequence[tuple[FloatArray, float]],
    facility: Signal | None,
) -> FloatArray:
    """Return the highest draw of a site from a time to one in each run; 0 if that is before. [W]

    `ends` are when jobs end, and what they draw until then above idle.
    """
    last_s = max(float(until_s.max()), from_s)
    steps_s = np.array([from_s]) if facility is None else facility.steps_s(from_s, last_s)
    shape = (len(until_s), len(steps_s))
    changes_s = [one_s[:, None] for one_s, _ in ends]
    times_s = np.concatenate([np.broadcast_to(steps_s, shape), *changes_s], axis=1)
    times_s = np.where(np.isinf(times_s), last_s, times_s)
    draw_w = np.full(times_s.shape, base_w)
    for one_s, more_w in ends:
        draw_w += np.where(times_s < one_s[:, None], more_w, 0.0)
    if facility is not None:
        draw_w *= facility.at(times_s)
    is_here = (times_s >= from_s) & (times_s < until_s[:, None])
    return np.asarray(np.where(is_here, draw_w, 0.0).max(axis=1))
