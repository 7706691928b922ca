"""Sums of stretches as steps: numbers that hold between two times, added up over all of them."""

from __future__ import annotations

import numpy as np

from computeplan.arrays import FloatArray

__all__ = ["SAME_S", "mean_steps", "summed_steps"]

SAME_S = 1e-6
"""Changes nearer than this are one: the rest is rounding. [s]"""
NOISE_FRAC = 1e-10
"""Of the largest change: sums that should be 0 may be off by this."""


def summed_steps(
    between_s: FloatArray, numbers: FloatArray, end_s: float
) -> tuple[FloatArray, FloatArray]:
    """Return the sum of stretches, from each change to the next.

    Parameters
    ----------
    between_s : ndarray, shape (n, 2)
        Start and end of each stretch. [s]
    numbers : ndarray, shape (n, n_columns)
        What holds meanwhile.
    end_s : float
        The last edge; the first is 0. [s]

    Returns
    -------
    ndarray, shape (n_steps + 1,)
        Edges, rising. [s]
    ndarray, shape (n_steps, n_columns)

    Examples
    --------
    >>> between_s = np.array([[0.0, 2.0], [1.0, 4.0]])
    >>> edges_s, found = summed_steps(between_s, np.array([[5.0, 0.0], [0.0, 7.0]]), 4.0)
    >>> edges_s.tolist(), found.tolist()
    ([0.0, 1.0, 2.0, 4.0], [[5.0, 0.0], [5.0, 7.0], [0.0, 7.0]])
    """
    times_s, place = np.unique(
        np.concatenate([[0.0, end_s], between_s[:, 0], between_s[:, 1]]), return_inverse=True
    )
    group = np.concatenate([[0], np.cumsum(np.diff(times_s) > SAME_S)])  # of changes that are one
    edges_s = times_s[np.flatnonzero(np.diff(group, prepend=-1))]
    edges_s[-1] = end_s
    change = np.zeros((len(edges_s), numbers.shape[1]))
    starts, ends = np.split(group[place[2:]], 2)
    np.add.at(change, starts, numbers)
    np.add.at(change, ends, -numbers)
    total = np.cumsum(change, axis=0)[:-1]
    noise = NOISE_FRAC * np.abs(change).max()
    return edges_s, np.where(np.abs(total) < noise, 0.0, total)


def mean_steps(edges_s: FloatArray, numbers: FloatArray, new_edges_s: FloatArray) -> FloatArray:
    """Return the means of steps between given times, none after the last edge.

    Parameters
    ----------
    edges_s : ndarray, shape (n_steps + 1,)
        [s]
    numbers : ndarray, shape (n_steps, n_columns)
    new_edges_s : ndarray, shape (n + 1,)
        [s]

    Returns
    -------
    ndarray, shape (n, n_columns)

    Examples
    --------
    >>> edges_s, new_edges_s = np.array([0.0, 90.0, 100.0]), np.array([0.0, 50.0, 100.0])
    >>> mean_steps(edges_s, np.array([[2.0], [8.0]]), new_edges_s).tolist()
    [[2.0], [3.2]]
    """
    spent = np.cumsum(numbers * np.diff(edges_s)[:, None], axis=0)
    until = np.concatenate([np.zeros((1, numbers.shape[1])), spent])
    at = np.array([np.interp(new_edges_s, edges_s, column) for column in until.T]).T
    found: FloatArray = np.diff(at, axis=0) / np.diff(new_edges_s)[:, None]
    return found
