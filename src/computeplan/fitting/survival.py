"""Laws of durations by maximum likelihood, where some durations are known only to be longer.

scipy.stats maximises the likelihood of the censored data; we only hand it an optimizer that walks
in the logarithms of shape and scale, so that both stay positive, and keep the curvature at the top.
Intervals are Wald's on the logarithms, from the Hessian; of a mean or a percentile by the delta
method. The test of fit counts events in cells of the time since the start against what the fitted
hazard expects of everything still at risk (Akritas): right for censored data, where the
Kolmogorov-Smirnov test is not.

Sources
-------
.. [1] M. G. Akritas, "Pearson-type goodness-of-fit tests: the univariate case", Journal of the
       American Statistical Association 83(401), 1988, pp. 222-230.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

from computeplan.arrays import FloatArray
from computeplan.fitting.history import Durations

__all__ = [
    "GAP_LAWS",
    "REPAIR_LAWS",
    "SURE",
    "Interval",
    "LawFit",
    "best_law",
    "fit_law",
    "fit_laws",
    "median_s",
    "wald",
]

GAP_LAWS = ("expon", "weibull_min", "lognorm", "gamma")
REPAIR_LAWS = ("lognorm", "weibull_min", "expon")
LEVEL = 0.95
SURE = 0.01
"""p value below which a test is said to have found something."""
LEAST_EVENTS = 8  # below, two parameters are noise
_SHAPES = {"expon": (), "weibull_min": ("c",), "lognorm": ("s",), "gamma": ("a",)}
_COARSE = {"gtol": 1e-3, "eps": 1e-6}  # of logarithms, in units of one fault: 1e-4 of an error
_TIGHT = {"xatol": 1e-6, "fatol": 1e-9}
_STEP = 1e-3  # of a logarithm, for second differences: truncation and rounding are both < 1e-5


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its 95 % confidence interval, all in one unit."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LawFit:
    """A law on [0, inf) fitted to durations."""

    name: str
    """Of scipy.stats."""
    shape: Interval | None
    """Its shape, by scipy's name (c, s or a); None where it has none."""
    scale_s: Interval
    """Its scale. [s]"""
    mean_s: Interval
    median_s: Interval
    p95_s: Interval
    """What follows from shape and scale. [s]"""
    log_likelihood: float
    """Of the durations, in seconds."""
    aic: float
    """2 parameters - 2 log likelihood; less is better."""
    p_fit: float
    """Probability of a fit so bad or worse if the law were right; nan of too few durations."""
    covariance: FloatArray
    """Of the logarithms of shape and scale; shape (n_parameters, n_parameters)."""
    n_events: int
    n_censored: int
    """Durations seen to their end, and not."""

    @property
    def shape_name(self) -> str:
        """Name that scipy gives to the shape, or nothing."""
        return "".join(_SHAPES[self.name])

    @property
    def frozen(self) -> Any:
        """The distribution of scipy. [s]"""
        return _frozen(self.name, self.logs)

    @property
    def logs(self) -> FloatArray:
        """Logarithms of shape, if any, and scale."""
        values = (
            [self.scale_s.value] if self.shape is None else [self.shape.value, self.scale_s.value]
        )
        return np.log(values)


def _frozen(name: str, logs: FloatArray) -> Any:
    *shapes, scale = np.exp(logs)
    return getattr(stats, name)(*shapes, scale=scale)


def fit_law(name: str, durations: Durations) -> LawFit | None:
    """Return the law that makes the durations most likely, or None where they are too few.

    `name` is of scipy.stats: expon, weibull_min, lognorm or gamma, of support [0, inf). Durations
    are known, right censored, or too short for the log's clock (left censored).

    Examples
    --------
    >>> known = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    >>> fit = fit_law("expon", Durations(known, np.array([9.0, 9.0]), 0, 1.0))
    >>> f"{fit.scale_s.value:.3f} {fit.scale_s.low:.2f}"  # (36 + 18) / 8, exp(-1.96 / sqrt(8))
    '6.750 3.38'
    """
    if durations.n_events < LEAST_EVENTS:
        return None
    if _SHAPES[name] and _spread_s(durations) <= 1e-9 * durations.known_s.max(initial=0.0):
        return None  # all the same: the likeliest shape is infinite
    unit_s = float(np.mean(np.concatenate([durations.known_s, durations.longer_s])))
    data = stats.CensoredData(
        uncensored=durations.known_s / unit_s,
        right=durations.longer_s / unit_s,
        left=np.full(durations.n_short, durations.resolution_s / unit_s),
    )
    found: list[tuple[FloatArray, FloatArray, float]] = []

    def climb(cost: Callable[..., float], start: Any, args: Any = (), disp: Any = 0) -> FloatArray:  # noqa: ARG001 - scipy's signature
        def of_logs(logs: FloatArray) -> float:
            return float(cost(np.exp(np.clip(logs, -40.0, 40.0)), *args))

        logs = np.log(np.maximum(start, 1e-3))
        top = optimize.minimize(of_logs, logs, method="BFGS", options=_COARSE)
        if not top.success:  # noise in the differences: simplices need none
            top = optimize.minimize(of_logs, top.x, method="Nelder-Mead", options=_TIGHT)
        found.append((top.x, _hessian(of_logs, top.x), float(top.fun)))
        return np.asarray(np.exp(top.x))

    guesses = [1.0] * len(_SHAPES[name])
    with np.errstate(all="ignore"):
        fitted = getattr(stats, name).fit(data, *guesses, floc=0, scale=1.0, optimizer=climb)
    logs, hessian, cost = found[0] if found else _closed(name, fitted, durations.known_s / unit_s)
    try:
        covariance: FloatArray = np.linalg.inv(hessian).astype(np.float64)
    except np.linalg.LinAlgError:
        return None
    if not (np.all(np.isfinite(covariance)) and np.all(np.diag(covariance) > 0)):
        return None
    # In the unit of the log's seconds: each known duration brings one factor of the density.
    log_likelihood = -cost - durations.known_s.size * math.log(unit_s)
    return _law_fit(name, logs, math.log(unit_s), covariance, log_likelihood, durations)


def _spread_s(durations: Durations) -> float:
    return float(np.ptp(durations.known_s)) if durations.known_s.size else 0.0


def _closed(
    name: str, fitted: tuple[float, ...], known: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Return logarithms, curvature and cost where scipy has a closed form and walks nowhere."""
    *shapes, _, scale = fitted

    def cost(logs: FloatArray) -> float:
        return -float(_frozen(name, logs).logpdf(known).sum())

    logs = np.log([*shapes, scale])
    return logs, _hessian(cost, logs), cost(logs)


def _hessian(of: Callable[[FloatArray], float], at: FloatArray) -> FloatArray:
    """Return second derivatives by central differences."""
    n = at.size
    hessian = np.empty((n, n))
    steps = _STEP * np.eye(n)
    for i in range(n):
        for j in range(i, n):
            signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))
            corners = [a * b * of(at + a * steps[i] + b * steps[j]) for a, b in signs]
            hessian[i, j] = hessian[j, i] = sum(corners) / (4 * _STEP**2)
    return hessian


def _law_fit(
    name: str,
    logs: FloatArray,
    log_unit_s: float,
    covariance: FloatArray,
    log_likelihood: float,
    durations: Durations,
) -> LawFit:
    logs = logs + np.append(np.zeros(logs.size - 1), log_unit_s)
    intervals = [wald(float(x), float(v)) for x, v in zip(logs, np.diag(covariance), strict=True)]

    def of(function: Callable[[Any], float]) -> Interval:
        """Return a quantity by the delta method on its logarithm."""

        def log_of(at: FloatArray) -> float:
            return math.log(max(function(_frozen(name, at)), 1e-300))

        slope = optimize.approx_fprime(logs, log_of, 1e-6)
        return wald(log_of(logs), float(slope @ covariance @ slope))

    return LawFit(
        name,
        intervals[0] if len(intervals) > 1 else None,
        intervals[-1],
        of(lambda law: float(law.mean())),
        of(lambda law: float(law.median())),
        of(lambda law: float(law.ppf(0.95))),
        log_likelihood,
        2 * logs.size - 2 * log_likelihood,
        _p_fit(_frozen(name, logs), logs.size, durations),
        covariance,
        durations.n_events,
        durations.longer_s.size,
    )


def wald(log_value: float, variance: float) -> Interval:
    """Return the interval of a quantity from its logarithm and the variance of that."""
    half = float(stats.norm.isf((1 - LEVEL) / 2)) * math.sqrt(max(variance, 0.0))
    low, value, high = (math.exp(min(log_value + k * half, 700.0)) for k in (-1, 0, 1))
    return Interval(value, low, high)


def _p_fit(law: Any, n_parameters: int, durations: Durations) -> float:
    """Return the p value of Akritas' chi-square: events in cells against those expected [1]_."""
    n_cells = min(10, durations.n_events // 5)
    if n_cells <= n_parameters:
        return math.nan
    short = np.full(durations.n_short, durations.resolution_s / 2)
    hazard_known = -law.logsf(np.concatenate([durations.known_s, short]))
    hazard = np.concatenate([hazard_known, -law.logsf(durations.longer_s)])
    # On the scale of the fitted cumulative hazard, everything at risk expects events at rate one.
    # Cells hold equally many expected events, so none is empty however heavy the censoring.
    ends = np.sort(hazard)
    at_risk = ends.size - np.arange(ends.size)
    expected_until = np.cumsum(at_risk * np.diff(ends, prepend=0.0))
    total = expected_until[-1]
    edges = np.interp(total * np.arange(1, n_cells) / n_cells, expected_until, ends)
    seen = np.bincount(np.searchsorted(edges, hazard_known), minlength=n_cells)
    expected = total / n_cells
    return float(stats.chi2.sf(np.sum((seen - expected) ** 2) / expected, n_cells - n_parameters))


def fit_laws(names: Iterable[str], durations: Durations) -> tuple[LawFit, ...]:
    """Return the laws of some names that can be fitted (see `fit_law`)."""
    fits = (fit_law(name, durations) for name in names)
    return tuple(fit for fit in fits if fit is not None)


def best_law(fits: tuple[LawFit, ...]) -> LawFit | None:
    """Return the fit with the smallest AIC, or None if there is none."""
    return min(fits, key=lambda fit: fit.aic, default=None)


def median_s(durations: Durations) -> float:
    """Return the median by Kaplan and Meier, nan where fewer than half ended. [s]"""
    short = np.full(durations.n_short, durations.resolution_s / 2)
    known = np.concatenate([durations.known_s, short])
    if known.size == 0:
        return math.nan
    data = stats.CensoredData(uncensored=known, right=durations.longer_s)
    survival = stats.ecdf(data).sf
    below = np.flatnonzero(survival.probabilities <= 0.5)
    return float(survival.quantiles[below[0]]) if below.size else math.nan
