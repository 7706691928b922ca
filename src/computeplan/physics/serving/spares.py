"""Instances beyond those that are needed, so that enough are up for the availability asked for.

An instance is up while all its nodes are: a chip that fails takes its node, a node the instance it
is part of, or all the instances on it. Of an instance of several nodes the others go on with the
next node that is free, so that what is counted are nodes, however many instances lie on one or how
many nodes make one. Nodes fail and are repaired each for itself, at any time, needed or not, and no
repair waits for a crew. Then in the long run the number up of N + r is binomial, whatever the law
of repairs (as for jobs, see ``physics/reliability.py``), and r is the least with which fewer than N
are up for no more than the share of time that may be missed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray, IntArray
from computeplan.physics.reliability import lacking_share

__all__ = ["spares_for", "up_frac"]

MOST_SPARES = 1 << 40


def up_frac(mtbf_s: ArrayLike, repair_s: ArrayLike, start_s: ArrayLike = 0.0) -> FloatArray:
    """Return the share of time in which a node is up and not waited for.

    Parameters
    ----------
    mtbf_s : array_like
        Mean time of a node from whole to its next fault that takes it. [s]
    repair_s : array_like
        Mean time until a node is whole again. [s]
    start_s : array_like
        How long nodes start after each fault, all of an instance together: the time of one times
        their number. [s]

    Returns
    -------
    ndarray
        ``mtbf / (mtbf + repair + start)``.

    Raises
    ------
    ValueError
        If the mean time to a fault is not > 0, or a time is negative.

    Examples
    --------
    >>> f"{up_frac(4000 * 3600, 40 * 3600):.5f}"
    '0.99010'
    """
    mtbf, repair, start = (np.asarray(x, dtype=np.float64) for x in (mtbf_s, repair_s, start_s))
    if not ((mtbf > 0).all() and (repair >= 0).all() and (start >= 0).all()):
        raise ValueError(f"mtbf_s > 0, repair_s and start_s >= 0, got {mtbf}, {repair}, {start}")
    with np.errstate(invalid="ignore"):
        node = np.where(np.isinf(mtbf), 1.0, mtbf / (mtbf + repair + start))
    return np.asarray(node, dtype=np.float64)


def spares_for(
    n_needed: ArrayLike, up: ArrayLike, availability: ArrayLike, group: ArrayLike = 1
) -> IntArray:
    """Return the least r with which at least N of N + r nodes are up, for a share of time.

    Parameters
    ----------
    n_needed : array_like of int
        Nodes that are needed: N.
    up : array_like
        Share of time in which one is up.
    availability : array_like
        Share of time in which at least N must be up.
    group : array_like of int
        Nodes of an instance: r is of whole ones.

    Returns
    -------
    ndarray of int
        ``P(more than r of N + r down) <= 1 - availability``.

    Raises
    ------
    ValueError
        If a number needed is negative, or a share is not in (0, 1]; if all of the time is asked of
        units that fail.

    Examples
    --------
    >>> spares_for([1, 10, 100], 0.99, 0.999), spares_for(100, 0.99, 0.999, group=4)
    (array([1, 2, 5]), array(8))
    """
    n, is_up, wanted = np.broadcast_arrays(
        np.asarray(n_needed, dtype=np.int64), np.asarray(up, float), np.asarray(availability, float)
    )
    if not ((n >= 0).all() and _is_share(is_up) and _is_share(wanted)):
        message = f"n_needed >= 0, up and availability in (0, 1], got {n}, {is_up}, {wanted}"
        raise ValueError(message)
    if ((wanted == 1) & (is_up < 1) & (n > 0)).any():
        raise ValueError("availability must be < 1: units that fail are never all up at all times")

    def falls_short(n_spares: IntArray) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        # of none needed none is lacking
        missed = np.where(n > 0, lacking_share(n, n_spares, 1 - is_up), 0.0)
        return np.asarray(missed > 1 - wanted)

    high = np.zeros(n.shape, dtype=np.int64)
    while (short := falls_short(high)).any():
        high = np.where(short, 2 * high + 1, high)
        if (high > MOST_SPARES).any():
            raise ValueError(f"no number of spares is enough where units are up {is_up.min()}")
    low = np.where(high > 0, (high - 1) // 2, 0)  # fell short, or is not to be tried
    while ((gap := high - low) > 1).any():
        middle = np.where(gap > 1, low + gap // 2, high)
        short = falls_short(middle)
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    size = np.asarray(group, dtype=np.int64)
    return np.asarray(-(-high // size) * size, dtype=np.int64)


def _is_share(values: FloatArray) -> bool:
    return bool(((values > 0) & (values <= 1)).all())
