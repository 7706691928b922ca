"""Calendar months of a run: when they begin, and how much of each it covers.

A year has 365 days and repeats, as what varies at sites does. A charge by the month, such as that
for the highest draw, asks for both.
"""

from __future__ import annotations

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.specs.varying import DAYS
from computeplan.units import DAY_S

__all__ = ["covered_frac", "month_edges_s"]

_ENDS_S = np.cumsum(DAYS) * DAY_S
_YEAR_S = float(_ENDS_S[-1])


def month_edges_s(begins_s: float, until_s: float) -> FloatArray:
    """Return when the months of a run begin, the first before it or with it, and the last ends. [s]

    Parameters
    ----------
    begins_s : float
        Time of the year when the run begins. [s]
    until_s : float
        How far to look from there: a month that begins then is none of them. [s]

    Returns
    -------
    ndarray, shape (n_months + 1,)
        Times of the run.

    Examples
    --------
    >>> (month_edges_s(40 * 86_400.0, 20 * 86_400.0) / 86_400).tolist()
    [-9.0, 19.0, 50.0]
    """
    years = np.arange(begins_s // _YEAR_S, (begins_s + until_s) // _YEAR_S + 1)
    ends_s = (years[:, None] * _YEAR_S + _ENDS_S).ravel()
    edges_s = np.concatenate([[years[0] * _YEAR_S], ends_s]) - begins_s
    first = np.searchsorted(edges_s, 0.0, side="right") - 1
    last = max(int(np.searchsorted(edges_s, until_s)), int(first) + 1)
    found: FloatArray = edges_s[first : last + 1]
    return found


def covered_frac(edges_s: FloatArray, wall_s: FloatArray) -> FloatArray:
    """Return the share of each month that runs cover, shape (n_runs, n_months).

    Parameters
    ----------
    edges_s : ndarray, shape (n_months + 1,)
        Of `month_edges_s`. [s]
    wall_s : ndarray, shape (n_runs,)
        Length of each run. [s]

    Examples
    --------
    >>> months = np.array([-10.0, 20.0, 50.0])
    >>> covered_frac(months, np.array([15.0, 50.0])).tolist()
    [[0.5, 0.0], [0.6666666666666666, 1.0]]
    """
    within_s = np.clip(edges_s, 0.0, wall_s[:, None])
    found: FloatArray = np.diff(within_s) / np.diff(edges_s)
    return found
