"""One quantity of one case over its runs, with what more runs would narrow and what not.

The 5th, 50th and 95th percentiles say how runs differ: by chance and by inputs that are uncertain.
More runs do not narrow them. The mean has a 95 % interval, which more runs narrow:

- of shares that are 0 or 1 in each run, the exact interval of a proportion [1]_;
- where fewer than `RARE` runs, and less than half, differ from all others: of a mean between known
  limits the exact bound, by betting against each value it might have [2]_; without limits there is
  no interval on the side of those runs, because none holds. Where no run differs there is no width:
  what happens in fewer than one of some n / 3 runs is not seen in n;
- otherwise Student's t with the mean's skewness taken out [3]_: for a symmetric sample it is the
  usual interval, for a heavy tail it is longer on the side of the tail.

Sources
-------
.. [1] C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the
       case of the binomial", Biometrika 26(4), 1934.
.. [2] I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables by betting",
       Journal of the Royal Statistical Society B 86(1), 2024: a mixture of bets of fixed size.
.. [3] P. Hall, "On the removal of skewness by transformation", Journal of the Royal Statistical
       Society B 54(1), 1992, the cubic transformation.
.. [4] G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures: a general
       approach", Statistics in Medicine 27(10), 2008.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray

__all__ = ["RARE", "Estimate", "explained_share"]

RARE = 10
"""Fewer runs than this that differ from all others are rare."""
_BETS = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95, 0.99, 1.0])
"""Shares of the largest bet allowed; any grid is valid, this one loses little."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One quantity of one case over its runs; not a number where there is none."""

    mean: float
    """Mean over the runs that have a value; NaN if some lie beyond the end of their run."""
    low: float
    high: float
    """The mean's 95 % interval; NaN with fewer than two values, or where too few runs show what
    moves the mean."""
    p5: float
    p50: float
    p95: float
    """Percentiles of the runs; inf where they lie beyond the end of a run."""
    n: int
    """Runs that have a value."""
    n_none: int = 0
    """Runs that have none."""
    n_beyond: int = 0
    """Runs whose value is only known to lie beyond their end, among `n`."""

    @property
    def ci95(self) -> float:
        """Half the width of the mean's 95 % interval, which need not be symmetric."""
        return (self.high - self.low) / 2

    @classmethod
    def of(cls, values: ArrayLike, bounds: tuple[float, float] | None = None) -> Estimate:
        """Return the estimate from one value per run.

        Parameters
        ----------
        values : array_like, shape (n_runs,)
            NaN where a run has none, inf where it lies beyond the end of the run.
        bounds : (float, float), optional
            Between which every value lies, whatever is drawn: 0 and 1 of a share.

        Examples
        --------
        >>> days = Estimate.of([1.0, 2.0, 3.0, np.nan])
        >>> f"{days.mean}, {days.low:.4f} to {days.high:.4f}, {days.n} runs, {days.n_none} without"
        '2.0, -0.4841 to 4.4841, 3 runs, 1 without'
        >>> always_up = Estimate.of(np.ones(200), bounds=(0, 1))
        >>> f"at least {always_up.low:.4f}"
        'at least 0.9817'
        """
        given = np.asarray(values, dtype=np.float64)
        found = given[~np.isnan(given)]
        n, n_none = int(found.size), int(given.size - found.size)
        n_beyond = int(np.count_nonzero(np.isinf(found)))
        if n == 0:
            return cls(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0, n_none)
        points = np.array([0.05, 0.5, 0.95])
        if n_beyond:  # between a number and inf is nothing
            p5, p50, p95 = np.quantile(found, points, method="inverted_cdf").tolist()
            return cls(math.nan, math.nan, math.nan, p5, p50, p95, n, n_none, n_beyond)
        p5, p50, p95 = np.quantile(found, points).tolist()
        mean = float(np.clip(found.mean(), found.min(), found.max()))  # of equal values: the value
        low, high = _interval(found, mean, bounds) if n > 1 else (math.nan, math.nan)
        return cls(mean, low, high, p5, p50, p95, n, n_none)

    @classmethod
    def between(cls, one: Estimate, other: Estimate) -> Estimate:
        """Return the difference of the means of two independent samples.

        Its 95 % interval squares and adds the distances of both means to their own ends [4]_: of
        symmetric intervals that is about Welch's, and what is bounded or skewed stays so.

        Examples
        --------
        >>> found = Estimate.between(Estimate.of([1, 2, 3, 4, 5]), Estimate.of([1, 1.1, 0.9, 1]))
        >>> f"{found.mean:.1f}, {found.low:.2f} to {found.high:.2f}"
        '2.0, 0.03 to 3.97'
        """
        mean = one.mean - other.mean
        low = mean - math.hypot(one.mean - one.low, other.high - other.mean)
        high = mean + math.hypot(one.high - one.mean, other.mean - other.low)
        nan, n = math.nan, min(one.n, other.n)
        return cls(mean, low, high, nan, nan, nan, n, one.n_none + other.n_none)

    def to_json(self) -> dict[str, float | None]:
        """Return plain numbers, ``None`` for what is not one."""
        return {
            name: value if math.isfinite(value := getattr(self, name)) else None
            for name in ("mean", "low", "high", "p5", "p50", "p95")
        }


def explained_share(values: ArrayLike, quantiles: Sequence[ArrayLike]) -> float:
    """Return the share of the variance of values that uncertain inputs explain, from 0 to 1.

    Parameters
    ----------
    values : array_like, shape (n_runs,)
        One a run; those that are not finite are left out.
    quantiles : sequence of array_like, shape (n_runs,)
        Where in its law each input was.

    Notes
    -----
    The adjusted R-squared of a quadratic in the normal scores of the inputs: the logarithm of a
    lognormal factor is linear in its score. NaN without inputs, with fewer than ten runs a term, or
    where the values are all the same.

    Examples
    --------
    >>> quantile = (np.arange(100) + 0.5) / 100
    >>> from scipy.special import ndtri
    >>> f"{explained_share(np.exp(0.2 * ndtri(quantile)), [quantile]):.2f}"
    '1.00'
    """
    y = np.asarray(values, dtype=np.float64)
    kept = np.isfinite(y)
    y = y[kept]
    n_terms = 1 + 2 * len(quantiles)
    if not quantiles or y.size < 10 * n_terms or not (total := float(((y - y.mean()) ** 2).sum())):
        return math.nan
    from scipy.special import ndtri

    at = [np.asarray(quantile, dtype=np.float64)[kept] for quantile in quantiles]
    scores = [ndtri(np.clip(u, 2.0**-54, 1 - 2.0**-53)) for u in at]
    terms = np.column_stack([np.ones(y.size), *scores, *(z**2 for z in scores)])
    found, *_ = np.linalg.lstsq(terms, y, rcond=None)
    left = float(((y - terms @ found) ** 2).sum())
    share = 1 - left / (y.size - n_terms) / (total / (y.size - 1))
    return min(max(share, 0.0), 1.0)


def _interval(
    found: FloatArray, mean: float, bounds: tuple[float, float] | None
) -> tuple[float, float]:
    """Return the 95 % interval of the mean of two or more finite values."""
    usual = float(np.median(found))
    others = found[found != usual]
    if bounds == (0.0, 1.0) and ((found == 0) | (found == 1)).all():
        return _proportion(round(float(found.sum())), found.size)
    if others.size >= RARE or 2 * others.size >= found.size:
        return _by_transformed_t(found, mean)
    if bounds is None or usual not in (0.0, *bounds):
        low = math.nan if (others < usual).any() else usual
        high = math.nan if (others > usual).any() else usual
        return low, high
    low = usual - _most(np.maximum(usual - others, 0.0), found.size, usual - bounds[0])
    high = usual + _most(np.maximum(others - usual, 0.0), found.size, bounds[1] - usual)
    return min(low, mean), max(high, mean)


def _proportion(n_hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a probability [1]_."""
    from scipy.special import betaincinv  # slow to import, and only intervals need it

    low = float(betaincinv(n_hits, n - n_hits + 1, 0.025)) if n_hits else 0.0
    high = float(betaincinv(n_hits + 1, n - n_hits, 0.975)) if n_hits < n else 1.0
    return low, high


def _most(others: FloatArray, n: int, span: float) -> float:
    """Return what the mean of values in [0, `span`] is at most: 95 %, by betting [2]_.

    All but `others` of the `n` values are 0. A bet on small values against a mean m multiplies
    what is staked by ``1 + bet (m - value)``, which m would leave as it is on the mean; a mean
    that lets it grow 20-fold is refused.
    """
    if span <= 0:
        return 0.0
    from scipy.optimize import brentq

    values = others / span

    def stake(mean: float) -> float:
        bets = _BETS / (1 - mean)
        with np.errstate(divide="ignore"):
            of_others = np.log1p(np.maximum(bets[:, None] * (mean - values), -1.0)).sum(axis=1)
        logs = (n - values.size) * np.log1p(bets * mean) + of_others
        return float(np.logaddexp.reduce(logs) - math.log(_BETS.size) - math.log(20))

    top = 1 - 1e-12
    return span * (float(brentq(stake, 0.0, top)) if stake(top) > 0 else 1.0)


def _by_transformed_t(found: FloatArray, mean: float) -> tuple[float, float]:
    """Return the 95 % interval of a mean by Student's t after the cubic transformation [3]_."""
    from scipy.special import stdtrit

    n, spread = found.size, float(found.std(ddof=1))
    if spread <= 1e-12 * abs(mean):  # rounding noise of equal runs
        return mean, mean
    skew = float((((found - mean) / found.std()) ** 3).mean())
    slope = skew / (3 * math.sqrt(n))
    t = float(stdtrit(n - 1, 0.975))

    def back(y: float) -> float:
        z = y - skew / (6 * math.sqrt(n))
        return z if abs(slope) < 1e-9 else (math.cbrt(1 + 3 * slope * z) - 1) / slope

    scale = spread / math.sqrt(n)
    return mean - scale * back(t), mean - scale * back(-t)
