"""What a chip draws while it serves.

A chip that serves draws a base whatever it does, and more with the share of its memory bandwidth
and of its dense peak that are in use: ``base + bandwidth * x + peak * y``, no more than its power
limit. A base is far above an idle chip: a step keeps the whole chip awake. Energy of a token falls
with the batch because watts rise more slowly than tokens.

Sources
-------
.. [1] The form, and the fit of its three numbers by chip: 109 rows of the ML.ENERGY leaderboard,
       github.com/ml-energy/leaderboard (``validation/serving_power.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray

__all__ = ["Draw", "chip_w", "joules_per_token"]


@dataclass(frozen=True, slots=True)
class Draw:
    """What a chip draws while it serves, by what is in use."""

    base_w: float
    """Whatever it does. [W]"""
    bandwidth_w: float
    """More, at the whole bandwidth of the data sheet. [W]"""
    peak_w: float
    """More, at the whole dense peak of the data sheet. [W]"""
    limit_w: float
    """What it never exceeds. [W]"""


def chip_w(draw: Draw, bandwidth_frac: Any, peak_frac: Any) -> FloatArray:
    """Return what a chip draws while it serves [1]_.

    Parameters
    ----------
    draw : Draw
    bandwidth_frac, peak_frac : array_like
        Shares of the data sheet's bandwidth and dense peak that are in use, mean.

    Returns
    -------
    ndarray, broadcast shape
        [W]

    Raises
    ------
    ValueError
        If a share is not in 0 to 1.

    Examples
    --------
    >>> draw = Draw(base_w=400.0, bandwidth_w=100.0, peak_w=600.0, limit_w=700.0)
    >>> chip_w(draw, [0.0, 0.5, 0.5], [0.0, 0.1, 0.9]).tolist()
    [400.0, 510.0, 700.0]
    """
    x, y = np.asarray(bandwidth_frac, dtype=float), np.asarray(peak_frac, dtype=float)
    for name, share in (("bandwidth_frac", x), ("peak_frac", y)):
        if not np.all((share >= 0) & (share <= 1)):
            raise ValueError(f"{name} must be from 0 to 1, got {share}")
    drawn = draw.base_w + draw.bandwidth_w * x + draw.peak_w * y
    found: FloatArray = np.minimum(drawn, draw.limit_w)
    return found


def joules_per_token(w: Any, n_chips: Any, tokens_per_s: Any) -> FloatArray:
    """Return the energy of an output token at the meters of the chips, prompts included.

    Parameters
    ----------
    w : array_like
        What one chip draws. [W]
    n_chips : array_like
        Chips of the instance.
    tokens_per_s : array_like
        Output tokens of the instance. [token/s]

    Examples
    --------
    >>> float(joules_per_token(500.0, 8, 4000.0))
    1.0
    """
    found: FloatArray = np.asarray(w) * np.asarray(n_chips) / np.asarray(tokens_per_s)
    return found
