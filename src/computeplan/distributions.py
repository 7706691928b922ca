"""Distributions of durations and lifetimes: mean, quantiles, Laplace transform.

A law has support on [0, inf) and a finite mean: always the same duration, or a distribution of
scipy.stats. How people write one is read in ``specs/durations.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray

__all__ = ["Law", "frozen_law", "law_discount", "law_mean_s", "law_mean_until_s", "quantile_s"]


@dataclass(frozen=True, slots=True)
class Law:
    """A law of a duration, solved."""

    name: str
    """``const`` or the scipy.stats name."""
    shapes: tuple[float, ...]
    """Shape parameters in scipy's order."""
    scale_s: float
    """scipy's scale; for ``const`` the duration, for ``lognorm`` the median. [s]"""


@cache
def frozen_law(law: Law) -> Any:
    """Return scipy's frozen distribution of a law that is not ``const``."""
    import scipy.stats

    try:
        return getattr(scipy.stats, law.name)(*law.shapes, scale=law.scale_s)
    except ValueError as error:
        raise ValueError(f"{law.name}: {error}") from error


def law_mean_s(law: Law) -> float:
    """Return the mean of a law. [s]

    Examples
    --------
    >>> law_mean_s(Law("const", (), 300.0))
    300.0
    """
    if law.name in ("const", "expon"):
        return law.scale_s
    if law.name == "lognorm":
        try:
            return law.scale_s * math.exp(law.shapes[0] ** 2 / 2)
        except OverflowError:
            return math.inf
    return float(frozen_law(law).mean())


@cache
def law_discount(law: Law, rate_per_s: float) -> float:
    """Return the mean of ``exp(-rate x)`` for a duration x: the law's Laplace transform.

    It is the probability that no event of a Poisson process of that rate comes within the
    duration.

    Parameters
    ----------
    law : Law
    rate_per_s : float
        At least 0. [1/s]

    Notes
    -----
    Exact for ``const`` and ``expon``. Else an integral over the normal quantile z of the duration,
    where the integrand of steep, wide and heavy-tailed laws is smooth; beyond 9 standard deviations
    lies less than 1e-18. For ``lognorm`` the integrand is analytic, and the trapezoidal rule errs
    by ``exp(-pi^2 / (sigma step))``: nothing up to a sigma of 30 [1]_. Others are integrated
    adaptively, to 1e-11.

    .. [1] L. N. Trefethen and J. A. C. Weideman, "The exponentially convergent trapezoidal rule",
           SIAM Review 56(3), 2014, theorem 5.1.

    Examples
    --------
    >>> f"{law_discount(Law('expon', (), 600.0), 1 / 5400):.3f}"
    '0.900'
    """
    if not rate_per_s >= 0:
        raise ValueError(f"rate_per_s must be >= 0, got {rate_per_s}")
    x = rate_per_s * law.scale_s
    if law.name == "const" or x == 0:
        return math.exp(-x)
    if law.name == "expon":
        return 1 / (1 + x)
    if law.name == "lognorm":
        z, step = np.linspace(-9, 9, 1801, retstep=True)
        with np.errstate(over="ignore"):  # a duration without end is never survived
            kept = np.exp(-x * np.exp(law.shapes[0] * z) - z * z / 2)
        return float(kept.sum() * step / math.sqrt(2 * math.pi))
    return _discount_by_quadrature(law, rate_per_s)


def _discount_by_quadrature(law: Law, rate_per_s: float) -> float:
    from scipy.integrate import quad

    frozen, normal = frozen_law(law), NormalDist()

    def kept(z: float) -> float:
        # The nearer tail, so that no digits are lost to 1 - u.
        x_s = frozen.ppf(normal.cdf(z)) if z < 0 else frozen.isf(normal.cdf(-z))
        return math.exp(-rate_per_s * x_s) * normal.pdf(z)

    middle = normal.inv_cdf(min(max(frozen.cdf(1 / rate_per_s), 1e-15), 1 - 1e-15))
    bounds = sorted({-9.0, min(max(middle, -8.0), 8.0), 9.0})  # there it falls from 1 to 0
    parts = (
        quad(kept, a, b, epsabs=1e-11, epsrel=1e-11, limit=200)[0] for a, b in pairwise(bounds)
    )
    return float(sum(parts))


def law_mean_until_s(law: Law, until_s: FloatArray) -> FloatArray:
    """Return the mean of the duration, cut off at each of some times, in rising order. [s]

    It is the integral of the probability that the duration is not over. Exact for ``const``,
    ``expon`` and ``lognorm``; else summed from one time to the next, to about 1e-6.

    Examples
    --------
    >>> law_mean_until_s(Law("const", (), 300.0), np.array([60.0, 3600.0]))
    array([ 60., 300.])
    """
    until_s = np.asarray(until_s, dtype=np.float64)
    if law.name == "const":
        return np.minimum(until_s, law.scale_s)
    if law.name == "expon":
        return np.asarray(-law.scale_s * np.expm1(-until_s / law.scale_s))
    if law.name == "lognorm":
        from scipy.special import ndtr

        (sigma,) = law.shapes
        with np.errstate(divide="ignore"):
            z = np.log(until_s / law.scale_s) / sigma
        return np.asarray(law_mean_s(law) * ndtr(z - sigma) + until_s * ndtr(-z))
    first_s = until_s[until_s > 0][:1]
    early_s = np.concatenate([first_s * 0, *(first_s * 2.0**-k for k in range(40, 0, -1))])
    steps_s = np.union1d(early_s, until_s)
    point, weight = np.polynomial.legendre.leggauss(8)
    half_s = np.diff(steps_s)[:, None] / 2
    lasts = frozen_law(law).sf(steps_s[:-1, None] + half_s * (1 + point))
    total_s = np.concatenate([[0.0], np.cumsum((lasts * weight * half_s).sum(axis=1))])
    return np.asarray(np.interp(until_s, steps_s, total_s))


def quantile_s(law: Law, probability: FloatArray) -> FloatArray:
    """Return the quantiles of a law, in the shape of `probability`. [s]

    Examples
    --------
    >>> quantile_s(Law("expon", (), 100.0), np.array([0.5])).round(3).tolist()
    [69.315]
    """
    if law.name == "const":
        return np.full(probability.shape, law.scale_s)
    if law.name == "expon":
        return -law.scale_s * np.log1p(-probability)
    return np.asarray(frozen_law(law).ppf(probability), dtype=np.float64)
