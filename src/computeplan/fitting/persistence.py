"""Whether nodes that were worse stay worse, and by how much their rates differ.

Counts of nodes are overdispersed if rates differ, and as much if faults come in bursts on one node.
Only what lasts is a rate: of two halves of the window, counts of a node by rates ``r`` have the
covariance ``m1 m2 cv(r)^2`` (means m1, m2), bursts within a half add nothing to it. So the
coefficient of variation of the rates is read off the covariance, by the method of moments. Were
the two halves unrelated, every pairing of their counts would be as likely; the correlation of n
nodes then has mean 0, variance ``1 / (n - 1)`` and a skewness that follows from those of the counts
(Pitman's permutation moments [1]_). Counts of rare faults are so skewed that one node with two
faults looks rare by a normal law; the chance is that of a Pearson law of type III, which has all
three moments.

Sources
-------
.. [1] E. J. G. Pitman, "Significance tests which may be applied to samples from any populations:
       II. The correlation coefficient test", Supplement to the Journal of the Royal Statistical
       Society 4(2), 1937.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

__all__ = ["Lasting", "lasting"]


@dataclass(frozen=True, slots=True)
class Lasting:
    """What of the difference between nodes lasts from one half of the window to the other."""

    correlation: float
    """Of the counts of a node in both halves; nan where all are the same, or too few."""
    p_chance: float
    """Probability of such a correlation or more if halves are unrelated; nan likewise."""
    cv: float
    """Of the rates of nodes; 0 where the covariance is negative."""


def lasting(first: ArrayLike, later: ArrayLike) -> Lasting:
    """Return what of the difference between nodes lasts.

    `first` and `later` are faults of each node in two stretches of time, zeros included, of shape
    (n_nodes,).

    Examples
    --------
    >>> found = lasting([4, 0, 1, 0, 5, 0, 1, 1], [6, 1, 0, 0, 3, 1, 1, 0])
    >>> f"{found.correlation:.2f} {found.p_chance:.3f} {found.cv:.2f}"
    '0.79 0.033 1.11'
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(later, dtype=np.float64)
    spread = float(one.std() * two.std())
    if not spread or one.sum() * two.sum() < one.size:  # not one pair by chance: too few to tell
        return Lasting(math.nan, math.nan, 0.0)
    covariance = float(np.mean((one - one.mean()) * (two - two.mean())))
    correlation = covariance / spread
    cv = math.sqrt(max(covariance, 0.0) / float(one.mean() * two.mean()))
    n = one.size
    skews = float(stats.skew(one)) * float(stats.skew(two))
    skew = skews * math.sqrt(n - 1) / (n - 2) if n > 2 else 0.0
    p_chance = float(stats.pearson3.sf(correlation * math.sqrt(n - 1), skew))
    return Lasting(correlation, p_chance, cv)
