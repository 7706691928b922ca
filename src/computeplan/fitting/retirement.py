"""What retiring the worst nodes gains, where it was chosen, later, and by chance.

The nodes with most faults in some days hold many faults of those days, even if all nodes are
equal: some node always has most. That is selection. Only later days show whether these nodes are
worse. The three numbers stand together, because each misleads alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import ScenarioError
from computeplan.fitting.forecast import UniformSource
from computeplan.fitting.history import FaultHistory
from computeplan.fitting.rates import gamma_poisson
from computeplan.units import DAY_S

__all__ = ["LemonGain", "lemon_gain", "top_share"]

DRAWS = 2000


@dataclass(frozen=True, slots=True)
class LemonGain:
    """Shares of faults on the nodes that would be retired."""

    split_s: float
    """Retired by the faults before it. [s]"""
    n_retired: int
    n_nodes: int
    """Nodes retired, and in all."""
    n_first: int
    n_later: int
    """Faults before and after the split."""
    whole: float
    """Share of all faults on the nodes worst over the whole window."""
    in_sample: float
    """Share of the faults before the split on the nodes worst before it."""
    later: float
    """Share of the faults after the split on those same nodes: the gain of retiring them."""
    equal_in_sample: tuple[float, float, float]
    equal_later: tuple[float, float, float]
    """Mean, 2.5 and 97.5 % of the same in a fleet of equal nodes with as many faults."""
    expected_later: float
    """What a gamma mixture with the dispersion before the split would lead to expect."""
    p_later: float
    """Share of fleets of equal nodes whose later gain is as large or larger."""


def top_share(chosen_by: FloatArray, counted: FloatArray, n_top: int) -> float:
    """Return the share of `counted` on the `n_top` nodes that have most in `chosen_by`.

    Both have shape (n_nodes,). Nodes that tie for the last places share them evenly.

    Examples
    --------
    >>> top_share(np.array([3.0, 2.0, 2.0]), np.array([4.0, 6.0, 0.0]), 2)
    0.7
    """
    total = counted.sum()
    if total == 0:
        return 0.0
    last = np.partition(chosen_by, -n_top)[-n_top]
    above, ties = chosen_by > last, chosen_by == last
    part = (n_top - above.sum()) / ties.sum()
    return float((counted[above].sum() + part * counted[ties].sum()) / total)


def lemon_gain(
    history: FaultHistory,
    split_s: float,
    share: float,
    uniforms: UniformSource,
    *,
    n_draws: int = DRAWS,
) -> LemonGain:
    """Return what retiring the worst nodes gains, before and after the day it is decided.

    Parameters
    ----------
    history : FaultHistory
    split_s : float
        The worst nodes are chosen by the faults before it. [s]
    share : float
        Of the nodes to retire, in (0, 1).
    uniforms : UniformSource
        A NumPy generator, for the fleets of equal nodes.
    n_draws : int
        Such fleets.

    Raises
    ------
    ScenarioError
        If the split lies outside the window or `share` outside (0, 1).
    """
    if not 0 < share < 1:
        raise ScenarioError.of(f"the share of nodes to retire must lie in (0, 1), got {share:g}")
    if not 0 < split_s < history.length_s:
        raise ScenarioError.of(f"the split at {split_s / DAY_S:g} d lies outside the window")
    first = history.per_node(to_s=split_s).astype(np.float64)
    later = history.per_node(from_s=split_s).astype(np.float64)
    n_top = max(1, round(share * history.n_nodes))
    n_first, n_later = int(first.sum()), int(later.sum())
    draws = np.empty((n_draws, 2))
    for row in draws:
        one, two = (_equal(n, history.n_nodes, uniforms) for n in (n_first, n_later))
        row[:] = top_share(one, one, n_top), top_share(one, two, n_top)
    observed = top_share(first, later, n_top)
    # A node's expected rate given its count and a gamma law is (shape + count) / (shape + mean).
    shape = gamma_poisson(first, 1.0, interval=False).shape.value
    posterior = np.ones_like(first) if np.isinf(shape) else shape + first
    return LemonGain(
        split_s,
        n_top,
        history.n_nodes,
        n_first,
        n_later,
        top_share(first + later, first + later, n_top),
        top_share(first, first, n_top),
        observed,
        _summary(draws[:, 0]),
        _summary(draws[:, 1]),
        top_share(first, posterior, n_top),
        float(np.mean(draws[:, 1] >= observed - 1e-12)),
    )


def _equal(n_faults: int, n_nodes: int, uniforms: UniformSource) -> FloatArray:
    node = (uniforms.random(n_faults) * n_nodes).astype(np.int64)
    return np.bincount(node, minlength=n_nodes).astype(np.float64)


def _summary(draws: FloatArray) -> tuple[float, float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(draws.mean()), float(low), float(high)
