"""Whether faults come at a constant rate: by month, by trend, by day.

Three tests, each blind to what another sees: Laplace's for a trend, chi-square for months that
differ, autocorrelation for days that resemble the days before them. A rate that wanders is
described by a gamma multiplier per window of 30 days, with its shape fitted; windows that resemble
their neighbours add an autocorrelation, if it can be told from none.

Sources
-------
.. [1] D. R. Cox and P. A. W. Lewis, "The Statistical Analysis of Series of Events", 1966, ch. 3:
       Laplace's test.
.. [2] G. M. Ljung and G. E. P. Box, "On a measure of lack of fit in time series models",
       Biometrika 65(2), 1978.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from computeplan.arrays import FloatArray, IntArray
from computeplan.fitting.history import FaultHistory
from computeplan.fitting.rates import GammaPoisson, gamma_poisson, poisson_interval
from computeplan.fitting.survival import Interval
from computeplan.notes import Note, note
from computeplan.units import DAY_S

__all__ = ["LEAST_WINDOWS", "WINDOW_S", "Drift", "Wander", "drift", "wander", "windows_s"]

WINDOW_S = 30 * DAY_S
LEAST_WINDOWS = 8  # for a correlation of neighbours to be told from none
MAX_LAGS = 14


@dataclass(frozen=True, slots=True)
class Wander:
    """A rate that a gamma multiplier of mean one changes from one window of 30 days to the next."""

    edges_s: FloatArray
    """Of the windows; shape (n_windows + 1,). [s]"""
    counts: IntArray
    """Faults in each; shape (n_windows,)."""
    mixture: GammaPoisson
    """Rate per node and second, and the shape of the multiplier."""
    correlation: float
    """Of neighbouring multipliers; 0 where it cannot be told from none."""
    about_correlation: Note
    """Why that is the correlation."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far faults are from a constant rate."""

    edges_s: FloatArray
    """Windows of 30 days; the last may be shorter; shape (n_windows + 1,). [s]"""
    counts: IntArray
    """Faults in each; shape (n_windows,)."""
    per_node_s: tuple[Interval, ...]
    """Their rates, with exact intervals. [1/s per node]"""
    p_constant: float
    """Chi-square test that the windows share one rate; nan for a single window."""
    trend_z: float
    p_trend: float
    """Laplace's test [1]_: standard deviations, > 0 if faults become more frequent."""
    autocorrelation: FloatArray
    """Of faults per day, from a lag of one day; shape (n_lags,)."""
    autocorrelation_bound: float
    """What 95 % of white series stay within, at each lag."""
    p_white: float
    """Test of Ljung and Box [2]_ over all lags."""


def windows_s(from_s: float, to_s: float, width_s: float = WINDOW_S) -> FloatArray:
    """Return the edges of windows of one width; the last is shorter if it must be. [s]

    Examples
    --------
    >>> windows_s(0.0, 75 * DAY_S) / DAY_S
    array([ 0., 30., 60., 75.])
    """
    inner = np.arange(from_s, to_s - 1e-6 * width_s, width_s)
    return np.append(inner, to_s)


def drift(history: FaultHistory) -> Drift:
    """Return the rates by month and the tests of a constant rate."""
    times, length = history.fault_s, history.length_s
    edges = windows_s(0.0, length)
    counts = np.histogram(times, edges)[0]
    spans = np.diff(edges)
    intervals = tuple(
        poisson_interval(int(n), history.n_nodes * float(span))
        for n, span in zip(counts, spans, strict=True)
    )
    p_constant = p_trend = trend_z = math.nan
    if times.size:
        expected = times.size * spans / length
        if counts.size > 1:
            p_constant = float(stats.chisquare(counts, expected).pvalue)
        middle = float(times.mean() - length / 2)
        trend_z = middle / (length * math.sqrt(1 / (12 * times.size)))
        p_trend = float(2 * stats.norm.sf(abs(trend_z)))
    acf, bound, p_white = _autocorrelation(times, length)
    return Drift(edges, counts, intervals, p_constant, trend_z, p_trend, acf, bound, p_white)


def _autocorrelation(times: FloatArray, length_s: float) -> tuple[FloatArray, float, float]:
    """Return autocorrelation of faults per full day, its bound, and the p value of all."""
    n_days = int(length_s // DAY_S)
    n_lags = min(MAX_LAGS, n_days // 4)
    daily = np.histogram(times, DAY_S * np.arange(n_days + 1))[0] if n_days else np.zeros(1)
    series = daily - daily.mean()
    square = float(series @ series)
    if n_lags < 1 or square == 0:
        return np.zeros(0), math.nan, math.nan
    lags = np.arange(1, n_lags + 1)
    acf = np.correlate(series, series, "full")[n_days - 1 + lags] / square
    q = n_days * (n_days + 2) * float(np.sum(acf**2 / (n_days - lags)))
    bound = float(stats.norm.isf(0.025)) / math.sqrt(n_days)
    return acf, bound, float(stats.chi2.sf(q, n_lags))


def wander(history: FaultHistory) -> Wander:
    """Return the rate that wanders from one window of 30 days to the next."""
    edges = windows_s(0.0, history.length_s)
    counts = np.histogram(history.fault_s, edges)[0]
    mixture = gamma_poisson(counts, history.n_nodes * np.diff(edges))
    correlation, about = _correlation(counts, np.diff(edges), mixture.shape.value)
    return Wander(edges, counts, mixture, correlation, about)


def _correlation(counts: IntArray, spans_s: FloatArray, shape: float) -> tuple[float, Note]:
    """Return the correlation of neighbouring multipliers, freed of Poisson noise, and why."""
    full = counts[spans_s > 0.99 * WINDOW_S].astype(np.float64)
    if math.isinf(shape):
        return 0.0, note("windows_vary_by_chance")
    if full.size < LEAST_WINDOWS:
        return 0.0, note("windows_too_few", n=full.size, n_needed=LEAST_WINDOWS)
    series = full - full.mean()
    lag_one = float(series[1:] @ series[:-1] / (series @ series))
    # Of independent windows it has mean -1/n and variance near 1/n.
    z = (lag_one + 1 / full.size) * math.sqrt(full.size)
    if z < float(stats.norm.isf(0.025)):
        return 0.0, note("neighbours_unlike", correlation=lag_one, n=full.size)
    of_rates = 1 - full.mean() / full.var()  # the part of the variance that is not Poisson noise
    return min(0.95, lag_one / max(of_rates, 0.05)), note("neighbours_alike", n=full.size)
