"""The lifetime of a node until its next fault, where its law has a memory.

A node that fails by a law with memory carries an age, and keeps it whatever jobs come and go. What
is drawn is the *hazard* it survives, a unit exponential number; its lifetime ends where the
cumulative hazard ``-log S`` of its law reaches that number. A fleet starts new; at a common age,
so that the hazard begins there; or steady, long since mixed, so that what is left of each lifetime
follows the equilibrium law with density ``S(x) / mean`` [1]_. After a repair a node is new again.

Drawing hazards lets a large fleet cost what its faults cost: of n nodes the i-th shortest hazard
exceeds the one before by an exponential number over ``n - i`` (Renyi), so that only those that
matter are ever drawn.

Of lifetimes as they were seen both inverses are exact: steps, and lines in the equilibrium law.
Others that have no closed form are tables: cubic splines of log lifetime over log hazard through
4,096 exact points, from a chance of 1e-12 up to a survival of 1e-15. The tests hold them to 1e-6.

Sources
-------
.. [1] D. R. Cox, "Renewal Theory", Methuen, 1962, section 5.2: forward recurrence time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.distributions import Law, frozen_law, law_mean_s, law_mean_until_s, quantile_s
from computeplan.world.faults import Lifetime

__all__ = ["first_lifetime_s", "first_share", "renewed_lifetime_s"]

N_POINTS = 4096
N_SHARES = 1024
SMALLEST, LARGEST = 1e-12, 1e-15  # cdf at the first point, survival at the last


def first_lifetime_s(lifetime: Lifetime, hazard: FloatArray) -> FloatArray:
    """Return the time from the start to the first fault, from unit exponential numbers. [s]

    Examples
    --------
    >>> law = Law("weibull_min", (2.0,), 100.0)
    >>> first_lifetime_s(Lifetime(law, 0.0), np.array([0.25, 1.0])).tolist()
    [50.0, 100.0]
    >>> f"{first_lifetime_s(Lifetime(law, 100.0), np.array([3.0]))[0]:.6f}"  # survives 1 + 3 in all
    '100.000000'
    """
    if lifetime.age_s is None:
        return _steady(lifetime.law)(hazard)
    return _left(lifetime.law, lifetime.age_s)(hazard)


def first_share(lifetime: Lifetime, until_s: float) -> float:
    """Return the share of nodes whose first fault comes before a time, to a few percent.

    Examples
    --------
    >>> f"{first_share(Lifetime(Law('expon', (), 100.0), 0.0), 100.0):.2f}"  # 1 - 1 / e
    '0.64'
    """
    hazard = np.geomspace(1e-12, 50.0, N_SHARES)
    at = int(np.searchsorted(first_lifetime_s(lifetime, hazard), until_s))
    return float(-np.expm1(-hazard[min(at, N_SHARES - 1)]))


def renewed_lifetime_s(lifetime: Lifetime, uniform: FloatArray) -> FloatArray:
    """Return the time from the end of a repair to the next fault, from uniform numbers. [s]"""
    return _left(lifetime.law, 0.0)(-np.log1p(-uniform))


Inverse = Callable[[FloatArray], FloatArray]


@cache
def _left(law: Law, age_s: float) -> Inverse:
    """Return the inverse of the cumulative hazard of a node of an age."""
    if law.name == "expon":
        return lambda hazard: hazard * law.scale_s
    if law.name == "weibull_min":
        shape, scale_s = law.shapes[0], law.scale_s
        if age_s == 0:
            return lambda hazard: hazard ** (1 / shape) * scale_s
        before = (age_s / scale_s) ** shape
        return lambda hazard: (hazard + before) ** (1 / shape) * scale_s - age_s
    if law.name == "seen":
        left = 1 - float(frozen_law(law).cdf(age_s)) if age_s else 1.0
        return lambda hazard: quantile_s(law, 1 - left * np.exp(-hazard)) - age_s
    lifetime_s, hazard = _points(law)
    new = _table(hazard, lifetime_s)
    if age_s == 0:
        return new
    lived = float(-frozen_law(law).logsf(age_s))
    return lambda hazard: np.maximum(new(hazard + lived) - age_s, 0.0)


@cache
def _steady(law: Law) -> Inverse:
    """Return the inverse of the cumulative hazard of what is left of a lifetime met at random."""
    if law.name == "expon":
        return _left(law, 0.0)
    if law.name == "seen":
        known_s = np.concatenate([[0.0], np.array(law.shapes) * law.scale_s])
        share = law_mean_until_s(law, known_s) / law_mean_s(law)
        return lambda hazard: np.interp(-np.expm1(-hazard), share, known_s)
    lifetime_s, _ = _points(law)
    nodes, weights = np.polynomial.legendre.leggauss(6)
    half_s = np.diff(lifetime_s)[:, None] / 2
    within_s = lifetime_s[:-1, None] + half_s * (1 + nodes)
    lived_s = np.sum(weights * half_s * frozen_law(law).sf(within_s), axis=1)
    mean_s = law_mean_s(law)
    before_s = np.cumsum([lifetime_s[0], *lived_s])  # no node fails before the first point
    beyond_s = mean_s - before_s[-1]
    if beyond_s < 1e-9 * mean_s:  # rounding, not a heavy tail
        beyond_s = 0.0
    after_s = beyond_s + np.cumsum([0.0, *lived_s[::-1]])[::-1]
    # Each from the side on which it is small, where it has its digits.
    share = np.minimum(before_s / mean_s, 1.0)
    with np.errstate(divide="ignore"):
        hazard = np.where(share < 0.5, -np.log1p(-share), -np.log(after_s / mean_s))
    return _table(hazard, lifetime_s)


@cache
def _points(law: Law) -> tuple[FloatArray, FloatArray]:
    """Return lifetimes, evenly spaced on a log scale, and the hazard up to each. [s]"""
    known = frozen_law(law)
    with np.errstate(all="ignore"):  # of the ways in which scipy finds them
        first_s, last_s = float(known.ppf(SMALLEST)), float(known.isf(LARGEST))
    last_s = last_s if math.isfinite(last_s) else 1e15 * law_mean_s(law)
    first_s = max(min(first_s, SMALLEST * law_mean_s(law)), 1e-20 * law_mean_s(law))
    lifetime_s = np.geomspace(first_s, last_s, N_POINTS)
    with np.errstate(all="ignore"):
        chance = known.cdf(lifetime_s)
        hazard = np.where(chance < 0.5, -np.log1p(-chance), -known.logsf(lifetime_s))
    return lifetime_s, hazard


def _table(hazard: FloatArray, lifetime_s: FloatArray) -> Inverse:
    """Return lifetime by hazard, through points of which those that add nothing are left out."""
    from scipy.interpolate import CubicSpline

    good = np.isfinite(hazard) & (hazard > 0)
    hazard, lifetime_s = hazard[good], lifetime_s[good]
    before = np.append(0.0, np.maximum.accumulate(hazard)[:-1])
    rises = hazard - before > 1e-13 * hazard  # above all before: where it is rounded it may fall
    spline = CubicSpline(np.log(hazard[rises]), np.log(lifetime_s[rises]))
    low, high = float(hazard[rises][0]), float(hazard[rises][-1])

    def inverse(wanted: FloatArray) -> FloatArray:
        lifetime_s: FloatArray = np.exp(spline(np.log(np.clip(wanted, low, high))))
        return lifetime_s

    return inverse
