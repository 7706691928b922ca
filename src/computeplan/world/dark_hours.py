"""Idle nodes of a site that has less power than they draw: what is switched off, hour by hour.

While no job runs and a site may go dark, its nodes draw alike what its limit leaves, as they do
during a run. Nothing is played there, so the limit, the PUE and what else varies are laid over each
other for as long as they take to repeat together. No battery helps: what is in it when a run ends
stays there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.units import YEAR_S
from computeplan.world.limits import PowerLimit
from computeplan.world.signals import Signal
from computeplan.world.world import World

__all__ = ["least_off_frac", "mean_off"]

MOST_S = 10 * YEAR_S
"""Over which a mean is taken: what repeats together only after longer hardly ever meets alike."""
_FLAT = Signal(np.zeros(1), np.ones(1))


def mean_off(world: World, weight: str) -> FloatArray:
    """Return the mean of a weight times the share of idle power that is switched off.

    Parameters
    ----------
    world : World
    weight : str
        Of the ledger; 1 where the world has no such signal.

    Returns
    -------
    ndarray, shape (n_pools,)
        0 at sites that never have less power than idle nodes draw.
    """
    found = np.zeros(len(world.pools))
    for limit in world.limits:
        weights = [
            world.signals[weight][p] if weight in world.signals else _FLAT for p in limit.pools
        ]
        edges_s = _edges_s([limit.over_time, _facility(world, limit), *weights])
        off_frac, seconds = _off_frac(world, limit, edges_s[:-1]), np.diff(edges_s)
        for p, signal in zip(limit.pools, weights, strict=True):
            found[p] = (off_frac * signal.at(edges_s[:-1])) @ seconds / seconds.sum()
    return found


def least_off_frac(world: World) -> FloatArray:
    """Return the least share of idle power that is switched off at a time; shape (n_pools,)."""
    found = np.zeros(len(world.pools))
    for limit in world.limits:
        edges_s = _edges_s([limit.over_time, _facility(world, limit)])
        found[list(limit.pools)] = _off_frac(world, limit, edges_s[:-1]).min()
    return found


def _off_frac(world: World, limit: PowerLimit, times_s: FloatArray) -> FloatArray:
    """Return the share of the power of idle nodes that a site has not, from each time on."""
    is_served = any(p in limit.pools for one in world.services for p in one.pools)
    if not limit.may_go_dark or is_served:
        return np.zeros(len(times_s))
    n_nodes = [world.pools[p].n_nodes + world.pools[p].n_spare_nodes for p in limit.pools]
    rest_w = float(world.rest_w[list(limit.pools)] @ n_nodes)
    limit_w = np.maximum(limit.limit_w * limit.over_time.at(times_s), 0.0)
    left_frac = limit_w / (_facility(world, limit).at(times_s) * rest_w)
    return np.asarray(1.0 - np.minimum(left_frac, 1.0))


def _facility(world: World, limit: PowerLimit) -> Signal:
    """Return the PUE of a site over its constant."""
    return world.signals["energy"][limit.pools[0]] if "energy" in world.signals else _FLAT


def _edges_s(signals: Sequence[Signal]) -> FloatArray:
    """Return the steps of some signals until they repeat together, once none changes for good."""
    periods_s = [int(one.period_s) for one in signals if math.isfinite(one.period_s)]
    lasts_s = [float(one.times_s[-1]) - one.begins_s for one in signals if math.isinf(one.period_s)]
    from_s = max(0.0, *lasts_s) if lasts_s else 0.0
    until_s = from_s + min(math.lcm(*periods_s), MOST_S)
    steps_s = [one.steps_s(from_s, until_s) for one in signals]
    return np.unique(np.concatenate([*steps_s, [until_s]]))
