"""Percentiles of times of requests, with a band: what more requests would narrow.

Times of requests that follow one another are alike, so that one run says less than its requests
count. Its parts, or runs of their own draws, are nearly independent: their percentiles scatter as
much as the percentile of each, and the mean of n of them by the root of n less (batch means;
Student's t, by scipy).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from computeplan.arrays import FloatArray

__all__ = ["WARM_FRAC", "Band", "band", "in_parts"]

WARM_FRAC = 0.1
"""Of the requests of a run, the first ones, which find it emptier than it is on the mean."""


@dataclass(frozen=True, slots=True)
class Band:
    """A percentile of all requests, and between what it lies."""

    value: float
    low: float
    high: float
    """The interval; nan with fewer than two parts that have a value."""


def in_parts(
    values: FloatArray, n_parts: int = 10, warm_frac: float = WARM_FRAC
) -> list[FloatArray]:
    """Return the values of one run in parts, in the order of requests, the first ones left out.

    Examples
    --------
    >>> [part.tolist() for part in in_parts(np.arange(5.0), n_parts=2, warm_frac=0.2)]
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return np.array_split(values[math.ceil(warm_frac * len(values)) :], n_parts)


def band(parts: Sequence[FloatArray], frac: float = 0.99, level: float = 0.9) -> Band:
    """Return a percentile over all parts, with its interval from how the parts differ.

    Parameters
    ----------
    parts : sequence of ndarray
        Values of independent runs, or of parts of one; nan where a request has none.
    frac : float, optional
        Of the requests that lie below.
    level : float, optional
        Probability that the interval holds it.

    Examples
    --------
    >>> found = band([np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])], frac=0.5)
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (2.5, 0.0, 5.66)
    """
    known = [part[~np.isnan(part)] for part in parts]
    known = [part for part in known if part.size]
    if not known:
        return Band(math.nan, math.nan, math.nan)
    value = float(np.quantile(np.concatenate(known), frac))
    if len(known) < 2:
        return Band(value, math.nan, math.nan)
    of_parts = [float(np.quantile(part, frac)) for part in known]
    half = float(stats.sem(of_parts) * stats.t.ppf((1 + level) / 2, len(of_parts) - 1))
    return Band(value, max(0.0, value - half), value + half)
