"""The highest draw of many runs: of all sites, and of each in each month for demand charges.

A job holds its nodes from the beginning to its end, and draws as in training. So the draw of a site
changes only where a job ends and where its PUE does, and the highest is at one of those times, or
at the first of the month.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.ledger import IDLE, TRAIN
from computeplan.world.months import month_edges_s
from computeplan.world.signals import Signal
from computeplan.world.world import World

__all__ = ["peaks"]


def peaks(
    world: World, n_held: Sequence[int], end_s: Mapping[int, FloatArray], wall_s: FloatArray
) -> tuple[FloatArray, FloatArray | None]:
    """Return `Ledger.peak_w` and `month_peak_w` of runs.

    Months are None where no site has a charge for them.

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
    is_charged = not np.isnan([pool.demand_money_per_w_month for pool in world.pools]).all()
    if not is_charged and "energy" not in world.signals:  # the most at the beginning
        return np.full(len(wall_s), world.draw_w(n_held)), None
    names = [pool.site for pool in world.pools]
    sites = [
        _site(world, [p for p, name in enumerate(names) if name == site], n_held, end_s)
        for site in dict.fromkeys(names)
    ]
    edges_s = month_edges_s(world.begins_s, float(wall_s.max()))
    most_w = np.zeros(len(wall_s))
    by_site = np.zeros((len(wall_s), len(sites), len(edges_s) - 1))
    for m, (from_s, to_s) in enumerate(itertools.pairwise(edges_s.tolist())):
        ends = [wall_s, *end_s.values()]
        is_alike = all((one_s <= from_s).all() or (one_s >= to_s).all() for one_s in ends)
        runs = slice(1) if is_alike else slice(None)  # in a month in which none has an end
        taken_w = _taken_w(max(from_s, 0.0), np.minimum(wall_s, to_s), sites, runs)
        most_w = np.maximum(most_w, taken_w.sum(axis=0).max(axis=1))
        by_site[..., m] = taken_w.max(axis=2).T
    at = [[*dict.fromkeys(names)].index(name) for name in names]
    return most_w, by_site[:, at] if is_charged else None


class _Site(NamedTuple):
    """What draws at a site."""

    base_w: float
    """If all nodes are idle. [W]"""
    ends: list[tuple[FloatArray, float]]
    """When jobs end in each run, and what they draw until then above idle. [s, W]"""
    facility: Signal | None
    """The PUE over its constant, if it varies."""


def _site(
    world: World, here: Sequence[int], n_held: Sequence[int], end_s: Mapping[int, FloatArray]
) -> _Site:
    n_nodes = [world.pools[p].n_nodes + world.pools[p].n_spare_nodes for p in here]
    base_w = float(np.dot(n_nodes, world.node_w[here, IDLE]))
    more_w = (world.node_w[:, TRAIN] - world.node_w[:, IDLE]) * n_held
    ends = [(end_s[p], float(more_w[p])) for p in here if p in end_s]
    return _Site(
        base_w, ends, world.signals["energy"][here[0]] if "energy" in world.signals else None
    )


def _taken_w(from_s: float, until_s: FloatArray, sites: Sequence[_Site], runs: slice) -> FloatArray:
    """Return what sites draw in some runs where anything changes from a time to one. [W]

    Shape (n_sites, n_runs, n_times); 0 after that time.
    """
    until_s = until_s[runs]
    last_s = max(float(until_s.max()), from_s)
    steps = [one.facility.steps_s(from_s, last_s) for one in sites if one.facility is not None]
    steps_s = np.unique(np.concatenate([[from_s], *steps]))
    shape = (len(until_s), len(steps_s))
    changes_s = [one_s[runs, None] for one in sites for one_s, _ in one.ends]
    times_s = np.concatenate([np.broadcast_to(steps_s, shape), *changes_s], axis=1)
    times_s = np.where(np.isinf(times_s), last_s, times_s)
    found = np.empty((len(sites), *times_s.shape))
    for draw_w, one in zip(found, sites, strict=True):
        draw_w[:] = one.base_w
        for one_s, more_w in one.ends:
            draw_w += np.where(times_s < one_s[runs, None], more_w, 0.0)
        if one.facility is not None:
            draw_w *= one.facility.at(times_s)
    is_here = (times_s >= from_s) & (times_s < until_s[:, None])
    return np.where(is_here, found, 0.0)
