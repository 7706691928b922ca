"""Counts of faults: rates with exact intervals, and rates that differ from node to node.

Faults without memory make Poisson counts, whose variance is their mean. If every node (or every
month) has a rate of its own, drawn from a gamma law, counts are negative binomial: their variance
is the mean (1 + mean / shape), and the shape of the gamma law is fitted by maximum likelihood. A
large shape is a fleet of equal nodes; infinity is Poisson.

Sources
-------
.. [1] F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28(3/4), 1936.
.. [2] R. A. Fisher, "The significance of deviations from expectation in a Poisson series",
       Biometrics 6(1), 1950: the index of dispersion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from computeplan.arrays import FloatArray
from computeplan.fitting.survival import Interval

__all__ = [
    "Dispersion",
    "GammaPoisson",
    "dispersion",
    "gamma_poisson",
    "poisson_interval",
    "share_interval",
]

LEVEL = 0.95
EQUAL = 1e5  # a gamma law of this shape varies by 0.3 %: no log tells it from a constant


def poisson_interval(n: int, exposure: float) -> Interval:
    """Return events per exposure with the exact 95 % interval [1]_, in 1 / unit of `exposure`.

    Examples
    --------
    >>> interval = poisson_interval(419, 2048 * 54)
    >>> f"{interval.low * 1000:.2f} {interval.value * 1000:.2f} {interval.high * 1000:.2f}"
    '3.43 3.79 4.17'
    """
    tail = (1 - LEVEL) / 2
    low = float(stats.gamma.ppf(tail, n)) if n else 0.0
    return Interval(n / exposure, low / exposure, float(stats.gamma.isf(tail, n + 1)) / exposure)


def share_interval(k: int, n: int) -> Interval:
    """Return k of n with the exact (Clopper-Pearson) 95 % interval; all zero to one if n is 0."""
    if n == 0:
        return Interval(math.nan, 0.0, 1.0)
    exact = stats.binomtest(k, n).proportion_ci(LEVEL)
    return Interval(k / n, float(exact.low), float(exact.high))


@dataclass(frozen=True, slots=True)
class GammaPoisson:
    """Poisson counts whose rates follow a gamma law."""

    rate: float
    """Mean rate, in 1 / unit of exposure."""
    shape: Interval
    """Shape of the gamma law, whose mean is one; inf where the counts vary no more than
    Poisson's."""
    log_likelihood: float


def _log_likelihood(counts: FloatArray, mean: FloatArray, shape: float) -> float:
    if shape >= EQUAL:
        return float(stats.poisson.logpmf(counts, mean).sum())
    return float(stats.nbinom.logpmf(counts, shape, shape / (shape + mean)).sum())


def gamma_poisson(counts: ArrayLike, exposure: ArrayLike, *, interval: bool = True) -> GammaPoisson:
    """Return the gamma law of rates that makes the counts most likely.

    Parameters
    ----------
    counts, exposure : array_like
        Whole numbers, and what each was counted over, in any unit.
    interval : bool
        Whether to find the 95 % interval of the shape, by profile likelihood.
    """
    n, over = np.broadcast_arrays(
        np.asarray(counts, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
    )
    is_even = bool(np.all(over == over.flat[0]))
    plain = float(n.sum() / over.sum())
    if plain == 0:
        return GammaPoisson(0.0, Interval(math.inf, 0.0, math.inf), 0.0)

    def rate_of(shape: float) -> float:
        if is_even or shape >= EQUAL:
            return plain  # the likeliest rate, whatever the shape

        def score(log_rate: float) -> float:
            mean = math.exp(log_rate) * over
            return float(np.sum((n - mean) * shape / (shape + mean)))

        lowest = math.log(plain * 1e-3)
        return math.exp(optimize.brentq(score, lowest, math.log(plain * 1e3)))

    def cost(log_shape: float) -> float:
        shape = math.exp(log_shape)
        return -_log_likelihood(n, rate_of(shape) * over, shape)

    ends = (math.log(1e-3), math.log(EQUAL))
    top = optimize.minimize_scalar(cost, bounds=ends, method="bounded", options={"xatol": 1e-4})
    best, least = float(top.x), float(top.fun)
    poisson = -_log_likelihood(n, plain * over, math.inf)
    is_poisson = poisson <= least + 1e-6
    shape = math.inf if is_poisson else math.exp(best)
    low, high = shape, shape
    if interval:
        drop = min(least, poisson) + float(stats.chi2.isf(1 - LEVEL, 1)) / 2
        peak = ends[1] if is_poisson else best
        low = (
            math.exp(optimize.brentq(lambda x: cost(x) - drop, ends[0], peak))
            if (cost(ends[0]) > drop)
            else 0.0
        )
        high = math.inf
        if poisson > drop and not is_poisson:
            high = math.exp(optimize.brentq(lambda x: cost(x) - drop, peak, ends[1]))
    return GammaPoisson(rate_of(shape), Interval(shape, low, high), -min(least, poisson))


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How unequal the nodes of a fleet are."""

    n_nodes: int
    n_faults: int
    """In all."""
    ratio: float
    """Variance / mean of the faults of a node; 1 for equal nodes without memory."""
    p_equal: float
    """Probability of such a ratio or more in a fleet of equal nodes (index of dispersion [2]_)."""
    mixture: GammaPoisson
    """The gamma law of rates, per node and window."""
    top_share: float
    """Share of the faults on the 5 % of nodes that have most."""


def dispersion(per_node: ArrayLike) -> Dispersion:
    """Return how unequal nodes are, from the faults of each, zeros included.

    Examples
    --------
    >>> equal, lemons = dispersion([1, 2, 1, 0, 1, 1, 2, 0]), dispersion([0, 0, 0, 0, 0, 0, 0, 8])
    >>> f"{equal.ratio:.2f} {equal.p_equal:.2f} {lemons.ratio:.0f} {lemons.p_equal:.0e}"
    '0.50 0.78 7 9e-10'
    """
    counts = np.asarray(per_node, dtype=np.float64)
    mean = float(counts.mean())
    ratio = float(counts.var() / mean) if mean else math.nan
    p_equal = float(stats.chi2.sf(ratio * counts.size, counts.size - 1)) if mean else math.nan
    mixture = gamma_poisson(counts, 1.0)
    n_top = max(1, round(0.05 * counts.size))
    top = float(np.sort(counts)[-n_top:].sum() / counts.sum()) if mean else math.nan
    return Dispersion(counts.size, int(counts.sum()), ratio, p_equal, mixture, top)
