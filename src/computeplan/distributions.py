"""Distributions of durations and lifetimes: mean, quantiles, Laplace transform.

A law has support on [0, inf) and a finite mean: always the same duration, durations as they were
seen, or a distribution of scipy.stats. How people write one is read in ``specs/durations.py``.

Durations as seen are a law without parameters: each comes as often as it was counted, and nothing
between or beyond them ever does. Its mean, quantiles and integrals are sums.

Some laws of scipy.stats have no quantiles of their own, or no digits in their upper tail: scipy
then solves an equation, or an integral, for each number. Those are integrated once over their
density, on panels that are fine around the median and reach far into both tails (`_Tabulated`).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray

__all__ = [
    "TIED",
    "Law",
    "frozen_law",
    "law_discount",
    "law_mean_s",
    "law_mean_until_s",
    "quantile_s",
]


@dataclass(frozen=True, slots=True)
class Law:
    """A law of a duration, solved."""

    name: str
    """``const``, ``seen`` or the scipy.stats name."""
    shapes: tuple[float, ...]
    """Shape parameters in scipy's order; of ``seen`` the durations over the scale, rising."""
    scale_s: float
    """scipy's scale; for ``const`` the duration, for ``lognorm`` the median. [s]"""
    shares: tuple[float, ...] = ()
    """Of ``seen``, the probability of each duration; they add up to 1."""


TIED = ("const", "seen")
"""Laws of which two draws may be the same to the last bit."""
TOO_SLOW = {"studentized_range": "each value of its density is an integral of an integral"}
"""Laws that are refused by name, and why."""
N_PANELS = 2048  # on each side of the median
NEAREST, FARTHEST = 1e-5, 92.0  # from the median: ends of the first and last panel, in e-folds
WHOLE = 1e-6  # a probability of 1 is met as well as that
TINY_STEP = 1e-13  # of the log of a hazard: less is rounding
BISECTIONS = 60  # for the median; to the last digit


@cache
def frozen_law(law: Law) -> Any:
    """Return the distribution of a law that is not ``const``: scipy's, frozen, or our own.

    Raises
    ------
    ValueError
        If scipy has no distribution with these shapes, or its density cannot be tabulated.
    """
    if law.name == "seen":
        return _Seen.of(law)
    import scipy.stats

    if law.name in TOO_SLOW:
        raise ValueError(f"{law.name} is not played: {TOO_SLOW[law.name]}; {_INSTEAD}")
    kind = getattr(scipy.stats, law.name)
    try:
        frozen = kind(*law.shapes, scale=law.scale_s)
    except ValueError as error:
        raise ValueError(f"{law.name}: {error}") from error
    plain = scipy.stats.rv_continuous

    def has_own(method: str) -> bool:
        return getattr(type(kind), method) is not getattr(plain, method)

    if has_own("_ppf") and (has_own("_sf") or has_own("_logsf")):
        return frozen
    if not has_own("_pdf") or frozen.support() != (0.0, math.inf):
        return frozen
    unit = _tabulated(law.name, law.shapes)
    return replace(unit, scale_s=law.scale_s)


_INSTEAD = "take gamma, lognormal, weibull_min or burr12, with the same mean and spread"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A distribution of some durations, with the methods of scipy's that are used."""

    values_s: FloatArray
    """Rising. [s]"""
    shares: FloatArray
    until: FloatArray
    """Probability of a shorter duration than each, and 1."""
    lived_s: FloatArray
    """What shorter durations than each, and all, bring to the mean. [s]"""

    @classmethod
    def of(cls, law: Law) -> _Seen:
        values_s, shares = np.array(law.shapes) * law.scale_s, np.array(law.shares)
        until = np.concatenate([[0.0], np.cumsum(shares)])
        until[-1] = 1.0
        return cls(values_s, shares, until, np.concatenate([[0.0], np.cumsum(values_s * shares)]))

    def mean(self) -> float:
        return float(self.values_s @ self.shares)

    def discount(self, rate_per_s: float) -> float:
        return float(np.exp(-rate_per_s * self.values_s) @ self.shares)

    def mean_until(self, until_s: FloatArray) -> FloatArray:
        at = np.searchsorted(self.values_s, until_s, "right")
        return np.asarray(self.lived_s[at] + until_s * (1 - self.until[at]))

    def ppf(self, probability: ArrayLike) -> FloatArray:
        return np.asarray(self.values_s[np.searchsorted(self.until[1:-1], probability)])

    def cdf(self, time_s: ArrayLike) -> FloatArray:
        return np.asarray(self.until[np.searchsorted(self.values_s, time_s, "right")])


@dataclass(frozen=True, slots=True)
class _Tabulated:
    """A distribution by its table, with the methods of scipy's that are used; of the unit scale.

    `points` and `masses` are those of a quadrature of the density, `hazard` rises along `knots`.
    """

    points: FloatArray
    masses: FloatArray
    log_time: Any
    """Log of the quantile by log of the hazard."""
    log_hazard: Any
    """The other way round."""
    scale_s: float = 1.0

    def support(self) -> tuple[float, float]:
        return 0.0, math.inf

    def mean(self) -> float:
        return float(self.points @ self.masses) * self.scale_s

    def discount(self, rate_per_s: float) -> float:
        return float(np.exp(-rate_per_s * self.scale_s * self.points) @ self.masses)

    def mean_until(self, until_s: FloatArray) -> FloatArray:
        until = until_s / self.scale_s
        ended = np.concatenate([[0.0], np.cumsum(self.masses)])
        lived = np.concatenate([[0.0], np.cumsum(self.masses * self.points)])
        at = np.searchsorted(self.points, until)
        return np.asarray((lived[at] + until * (1 - ended[at])) * self.scale_s)

    def _hazard(self, time_s: ArrayLike) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(
                np.exp(_along(self.log_hazard, np.log(time_s) - math.log(self.scale_s)))
            )

    def _time_s(self, hazard: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(_along(self.log_time, np.log(hazard))) * self.scale_s)

    def ppf(self, probability: ArrayLike) -> FloatArray:
        with np.errstate(divide="ignore"):
            return self._time_s(-np.log1p(-np.asarray(probability, dtype=np.float64)))

    def isf(self, probability: ArrayLike) -> FloatArray:
        with np.errstate(divide="ignore"):
            return self._time_s(-np.log(probability))

    def cdf(self, time_s: ArrayLike) -> FloatArray:
        return -np.expm1(-self._hazard(time_s))

    def sf(self, time_s: ArrayLike) -> FloatArray:
        return np.exp(-self._hazard(time_s))

    def logsf(self, time_s: ArrayLike) -> FloatArray:
        return -self._hazard(time_s)


def _along(curve: Any, at: FloatArray) -> FloatArray:
    """Return a curve at some places, beyond its ends as at the nearer one."""
    return np.asarray(curve(np.clip(at, curve.x[0], curve.x[-1])))


@cache
def _tabulated(name: str, shapes: tuple[float, ...]) -> _Tabulated:
    """Return the table of a law of unit scale: of some 80 values of its cdf, and one of its pdf.

    Cubics that keep the order go through the logs of quantiles and hazards.

    Raises
    ------
    ValueError
        If its density does not make a probability of 1.
    """
    import scipy.stats
    from scipy.interpolate import PchipInterpolator

    frozen = getattr(scipy.stats, name)(*shapes)
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        low = high = 0.0  # log of the median
        for step in (2.0**k for k in range(9)):  # outward, as a cdf may be wrong far away
            if frozen.cdf(math.exp(high)) < 0.5:
                low, high = high, high + step
            elif frozen.cdf(math.exp(low)) >= 0.5:
                low, high = low - step, low
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if frozen.cdf(math.exp(middle)) < 0.5 else (low, middle)
        away = np.concatenate([[0.0], np.geomspace(NEAREST, FARTHEST, N_PANELS)])
        knots = (low + high) / 2 + np.concatenate([-away[:0:-1], away])
        point, weight = np.polynomial.legendre.leggauss(6)
        half = np.diff(knots)[:, None] / 2
        points = np.exp(knots[:-1, None] + half * (1 + point))
        masses = frozen.pdf(points) * points * weight * half
        masses[~np.isfinite(masses)] = 0.0
    panels = masses.sum(axis=1)
    before = np.concatenate([[0.0], np.cumsum(panels)])
    after = np.concatenate([np.cumsum(panels[::-1])[::-1], [0.0]])
    total = before[-1]
    if not abs(total - 1) < WHOLE:
        message = f"{name}: its density makes a probability of {total:.6g}, not of 1; {_INSTEAD}"
        raise ValueError(message)
    if after[-2] * points[-1, -1] > WHOLE * (masses * points).sum():
        raise ValueError(f"{name}: the mean is not finite, or nearly so; choose a lighter tail")
    with np.errstate(divide="ignore"):
        hazard = np.where(before < 0.5, -np.log1p(-np.minimum(before, 0.5)), -np.log(after))
        log_hazard = np.log(hazard)
    highest = np.maximum.accumulate(log_hazard)
    rises = np.isfinite(log_hazard) & (log_hazard > np.append(-math.inf, highest[:-1]) + TINY_STEP)
    log_hazard, knots = log_hazard[rises], knots[rises]
    return _Tabulated(
        points.ravel(),
        masses.ravel() / total,
        PchipInterpolator(log_hazard, knots),
        PchipInterpolator(knots, log_hazard),
    )


@cache
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
    from scipy.integrate import IntegrationWarning

    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error", IntegrationWarning)
            return float(frozen_law(law).mean())
    except IntegrationWarning:
        raise ValueError(f"{law.name}: scipy does not find its mean; {_INSTEAD}") from None


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
    Exact for ``const``, ``seen`` and ``expon``. Else an integral over the normal quantile z of the
    duration, where the integrand of steep, wide and heavy-tailed laws is smooth; beyond 9 standard
    deviations lies less than 1e-18. For ``lognorm`` the integrand is analytic, and the trapezoidal
    rule errs by ``exp(-pi^2 / (sigma step))``: nothing up to a sigma of 30 [1]_. Others are
    integrated adaptively, to 1e-11.

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

    frozen = frozen_law(law)
    if isinstance(frozen, _Tabulated | _Seen):
        return frozen.discount(rate_per_s)
    normal = NormalDist()

    def kept(z: float) -> float:
        # The nearer tail, so that no digits are lost to 1 - u.
        x_s = frozen.ppf(normal.cdf(z)) if z < 0 else frozen.isf(normal.cdf(-z))
        return math.exp(-rate_per_s * x_s) * normal.pdf(z)

    middle = normal.inv_cdf(min(max(frozen.cdf(1 / rate_per_s), 1e-15), 1 - 1e-15))
    bounds = sorted({-9.0, min(max(middle, -8.0), 8.0), 9.0})  # there it falls from 1 to 0
    with np.errstate(all="ignore"):
        parts = [
            quad(kept, a, b, epsabs=1e-11, epsrel=1e-11, limit=200)[0] for a, b in pairwise(bounds)
        ]
    return float(sum(parts))


def law_mean_until_s(law: Law, until_s: FloatArray) -> FloatArray:
    """Return the mean of the duration, cut off at each of some times, in rising order. [s]

    It is the integral of the probability that the duration is not over. Exact for ``const``,
    ``seen``, ``expon`` and ``lognorm``; else summed from one time to the next, to about 1e-6.

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
    frozen = frozen_law(law)
    if isinstance(frozen, _Tabulated | _Seen):
        return frozen.mean_until(until_s)
    first_s = until_s[until_s > 0][:1]
    early_s = np.concatenate([first_s * 0, *(first_s * 2.0**-k for k in range(40, 0, -1))])
    steps_s = np.union1d(early_s, until_s)
    point, weight = np.polynomial.legendre.leggauss(8)
    half_s = np.diff(steps_s)[:, None] / 2
    lasts = frozen.sf(steps_s[:-1, None] + half_s * (1 + point))
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
    with np.errstate(all="ignore"):  # of the ways in which scipy finds it
        return np.asarray(frozen_law(law).ppf(probability), dtype=np.float64)
