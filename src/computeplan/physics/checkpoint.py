"""Checkpointing: how often to save, and what faults then cost.

A run alternates ``interval_s`` of training with ``save_s`` of standing still. A fault throws away
all work since the last completed save and costs ``restart_s`` before training resumes. Faults are
Poisson with mean gap ``mtbf_s`` on the wall clock and may arrive in any phase, restarts included.
Restarts of random length enter as the constant one that costs the same (`even_restart_s`), which
is exact. Both engines are tested against these closed forms.

A save may be asynchronous: training goes on after ``save_s``, and the save is complete ``write_s``
later; a fault before that falls back to the save before. Between two faults, whose gap X is
exponential, the saves that complete are the integers m with ``restart_s + m (interval_s +
save_s) + write_s <= X``, so their mean number is ``exp(-(restart_s + write_s) / mtbf_s) /
expm1((interval_s + save_s) / mtbf_s)``: the write costs what a restart of that length would, and
does not move the optimum, as long as one write ends before the next begins.

Sources
-------
.. [1] J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps",
       Future Generation Computer Systems 22(3), 2006, eq. 20.
.. [2] R. M. Corless et al., "On the Lambert W function", Advances in Computational Mathematics 5,
       1996: the solution of x exp(x) = z, used for the exact optimum.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray, at_least_zero, positive

__all__ = [
    "even_restart_s",
    "expected_ettr",
    "expected_makespan_s",
    "expected_wall_s",
    "job_ettr",
    "optimal_async_interval_s",
    "optimal_interval_s",
]


def optimal_interval_s(save_s: ArrayLike, mtbf_s: ArrayLike) -> FloatArray:
    """Return the training time between saves that maximises `expected_ettr`, exactly [2]_.

    Setting the derivative of ``t / expm1((t + d) / M)`` to zero gives ``t = M (1 + W(z))`` with
    ``z = -exp(-1 - d / M)`` and W the principal branch of Lambert's function. Restarts do not
    enter: they cost the same wherever the saves are.

    Parameters
    ----------
    save_s : array_like
        Time training stands still for one save. [s]
    mtbf_s : array_like
        Mean time between faults of the whole job. [s]

    Returns
    -------
    ndarray, broadcast shape of the inputs
        Time between the end of one save and the start of the next. [s]

    Raises
    ------
    ValueError
        If any input is not > 0.

    Examples
    --------
    >>> f"{optimal_interval_s(save_s=60.0, mtbf_s=11_135.1) / 60:.3f} min"
    '18.605 min'
    """
    save, mtbf = positive(save_s=save_s, mtbf_s=mtbf_s)
    return _optimum_s(save, mtbf)


def _optimum_s(save: FloatArray, mtbf: FloatArray) -> FloatArray:
    from scipy.special import lambertw

    ratio = save / mtbf
    exact = mtbf * (1 + np.real(lambertw(-np.exp(-1 - ratio), k=0)))
    # Below 1e-8 the branch point swallows the digits; the series there is exact to 1e-9.
    series = mtbf * (np.sqrt(2 * ratio) - ratio * 2 / 3)
    return np.where(ratio < 1e-8, series, exact)


def optimal_async_interval_s(
    save_s: ArrayLike, write_s: ArrayLike, mtbf_s: ArrayLike
) -> FloatArray:
    """Return the training time between asynchronous saves that maximises `expected_ettr`, exactly.

    The write multiplies the wall time whatever the interval is, so the optimum is that of
    `optimal_interval_s`, or the shortest interval in which a write ends, whichever is longer.

    Parameters
    ----------
    save_s, mtbf_s : array_like
        As of `optimal_interval_s`; the stall may be 0. [s]
    write_s : array_like
        From the end of the stall to a save that is complete. [s]

    Returns
    -------
    ndarray, broadcast shape of the inputs
        Time between the end of one stall and the start of the next. [s]

    Raises
    ------
    ValueError
        If the write or the MTBF is not > 0, or the stall is negative.

    Examples
    --------
    >>> f"{optimal_async_interval_s(save_s=5.0, write_s=60.0, mtbf_s=11_135.1):.0f}"
    '330'
    >>> f"{optimal_async_interval_s(save_s=0.0, write_s=60.0, mtbf_s=11_135.1):.0f}"
    '60'
    """
    write, mtbf = positive(write_s=write_s, mtbf_s=mtbf_s)
    (save,) = at_least_zero(save_s=save_s)
    return np.maximum(_optimum_s(save, mtbf), write - save)


def expected_wall_s(
    interval_s: ArrayLike,
    save_s: ArrayLike,
    restart_s: ArrayLike,
    mtbf_s: ArrayLike,
    write_s: ArrayLike = 0.0,
) -> FloatArray:
    """Return the expected wall time of one interval of kept training with its save [1]_.

    Parameters
    ----------
    interval_s : array_like
        Training time between saves. [s]
    save_s : array_like
        Time training stands still for one save; may be 0. [s]
    restart_s : array_like
        From a fault to the first new step; `even_restart_s` where its length is random; may
        be 0. [s]
    mtbf_s : array_like
        Mean time between faults of the whole job on the wall clock. [s]
    write_s : array_like
        From the end of the stall to a save that is complete, at most interval and stall; 0 if
        the save blocks. [s]

    Returns
    -------
    ndarray, broadcast shape of the inputs
        Expected wall time; with a write, of every interval after the first of a job. [s]

    Raises
    ------
    ValueError
        If the interval or the MTBF is not > 0, another input is negative, or a write does not end
        before the next begins.

    Examples
    --------
    >>> f"{expected_wall_s(900.0, 60.0, 600.0, 185.5847 * 60) * 4665.6 / 60:.0f} min"
    '82278 min'
    """
    interval, mtbf = positive(interval_s=interval_s, mtbf_s=mtbf_s)
    save, restart, write = at_least_zero(save_s=save_s, restart_s=restart_s, write_s=write_s)
    if np.any(write > (interval + save) * (1 + 1e-9)):
        raise ValueError("write_s must be at most interval_s + save_s, or writes would overlap")
    return mtbf * np.exp((restart + write) / mtbf) * np.expm1((interval + save) / mtbf)


def expected_makespan_s(
    n_intervals: ArrayLike,
    interval_s: ArrayLike,
    save_s: ArrayLike,
    restart_s: ArrayLike,
    mtbf_s: ArrayLike,
    write_s: ArrayLike = 0.0,
    load_s: ArrayLike = 0.0,
) -> FloatArray:
    """Return the expected wall time of a whole job, its last write included.

    With f(k) the time from a fresh start with k intervals to go, conditioning on the first fault
    gives f(k) - f(k-1) = `expected_wall_s`, and f(1) longer by the wait for its own write. Until
    the first save is complete there is nothing to read; from then on restarts are longer by that.

    Parameters
    ----------
    n_intervals : array_like
        Intervals of the job, at least one; a part of one counts in proportion.
    interval_s, save_s, restart_s, mtbf_s, write_s : array_like
        As of `expected_wall_s`. [s]
    load_s : array_like
        Time to read a save. [s]

    Returns
    -------
    ndarray, broadcast shape of the inputs
        Expected wall time. [s]

    Examples
    --------
    >>> f"{expected_makespan_s(10, 900.0, 5.0, 600.0, 3600.0, write_s=60.0) / 60:.0f} min"
    '207 min'
    """
    restart, mtbf, write = (np.asarray(x, dtype=np.float64) for x in (restart_s, mtbf_s, write_s))
    first = expected_wall_s(interval_s, save_s, restart, mtbf, write)
    reads = expected_wall_s(interval_s, save_s, restart + np.asarray(load_s), mtbf, write)
    last = mtbf * np.exp(restart / mtbf) * np.expm1(write / mtbf)
    more = np.asarray(n_intervals) - 1
    with np.errstate(invalid="ignore"):  # no more, of infinite length
        total: FloatArray = first + np.where(more > 0, more * reads, 0.0) + last
    return total


def even_restart_s(kept_frac: ArrayLike, mtbf_s: ArrayLike) -> FloatArray:
    """Return the constant restart that costs as much as one of random length, exactly.

    Parameters
    ----------
    kept_frac : array_like
        Probability that a restart R is over before the next fault, the mean of
        ``exp(-R / mtbf_s)``; mixed by rate where faults of several kinds restart differently.
    mtbf_s : array_like
        Mean time between faults of the whole job on the wall clock. [s]

    Returns
    -------
    ndarray, broadcast shape of the inputs
        At most the mean restart: a long one is cut short by the next fault. [s]

    Raises
    ------
    ValueError
        If the share is not within [0, 1], or the MTBF is not > 0.

    Notes
    -----
    Write M for the MTBF, L for the probability, q for ``exp(-(t + d) / M)``, a for the expected
    time to the next save from training, b from the start of a restart. A try of a length that is
    outlived with probability p lasts ``M (1 - p)`` on the mean, hence

    - ``a = M (1 - q) + (1 - q) b``
    - ``b = M (1 - L) + (1 - L) b + L a``, as a fault in a restart begins another, anew

    with the solution ``a = (M / L) (1 / q - 1)``, which is `expected_wall_s` of the constant
    restart ``M ln(1 / L)``.

    Examples
    --------
    >>> f"{even_restart_s(1 / (1 + 600 / 2760), 2760.0):.0f} s"  # exponential, of mean 600 s
    '543 s'
    """
    kept = np.asarray(kept_frac, dtype=np.float64)
    if not ((kept >= 0) & (kept <= 1)).all():
        raise ValueError(f"kept_frac must be within [0, 1], got {kept}")
    (mtbf,) = positive(mtbf_s=mtbf_s)
    with np.errstate(divide="ignore"):
        return np.asarray(-mtbf * np.log(kept))


def expected_ettr(
    interval_s: ArrayLike,
    save_s: ArrayLike,
    restart_s: ArrayLike,
    mtbf_s: ArrayLike,
    write_s: ArrayLike = 0.0,
) -> FloatArray:
    """Return the expected effective training time ratio, in (0, 1) [1]_.

    Parameters are those of `expected_wall_s`.

    Returns
    -------
    ndarray, broadcast shape of the inputs
        Kept training time / wall time. [1]

    Examples
    --------
    >>> f"{expected_ettr(13 * 60.0, 30.0, 300.0, 54 * 86_400 / 419):.3f}"
    '0.904'
    """
    wall = expected_wall_s(interval_s, save_s, restart_s, mtbf_s, write_s)
    return np.asarray(interval_s) / wall


def job_ettr(
    train_s: float, interval_s: float, save_s: float, restart_s: float, rate_per_s: float
) -> float:
    """Return the expected effective training time ratio of a whole job, with `expected_ettr`.

    A job shorter than the interval saves once, at its end; one that never saves does not even so.

    Parameters
    ----------
    train_s : float
        Training time of all its work. [s]
    interval_s : float
        Training time between saves; inf if it never saves. [s]
    save_s, restart_s : float
        As for `expected_wall_s`. [s]
    rate_per_s : float
        Faults of the whole job; may be 0. [1/s]

    Examples
    --------
    >>> f"{job_ettr(1e6, 13 * 60.0, 30.0, 300.0, 419 / (54 * 86_400)):.3f}"
    '0.904'
    >>> job_ettr(900.0, 3600.0, 100.0, 300.0, 0.0)
    0.9
    """
    never = math.isinf(interval_s)
    segment_s, stall_s = (train_s, 0.0) if never else (min(interval_s, train_s), save_s)
    if rate_per_s == 0:
        return segment_s / (segment_s + stall_s)
    with np.errstate(over="ignore"):
        return float(expected_ettr(segment_s, stall_s, restart_s, 1 / rate_per_s))
