"""Fault rates: three ways to say the same, and what they make of a job.

Nodes fail independently with a constant hazard, so rates add: a job on n nodes has n times the
faults of one node, and its MTBF is the node's divided by n. A rate is per node and second of
wall time here; people write it per chip, per node, or per 1000 node-days.

A job on n nodes with S spares stands still while too many are in repair. How often depends on when
nodes fail, and every form here needs repair crews without limit: no repair waits for another.

- *On the wall clock* a node is up and down in turn, whatever the job does, so in the long run the
  number down of n + S is binomial, whatever the law of repairs (`short_share`).
- *On the busy clock* nodes fail only while the job works: a job that lacks a node has no faults.
  That is a loss system with S + 1 places, whatever the law of repairs [1]_ (`stalled_share`).

Where repairs have a heavy tail, the long run is far away: the mean residual time of a repair, which
is the scale on which it is reached, may be months. Before that, see `down_frac_over_time`.

Sources
-------
.. [1] B. A. Sevastyanov, "An ergodic theorem for Markov processes and its application to telephone
       systems with refusals", Theory of Probability and its Applications 2(1), 1957: Erlang's loss
       formula holds for every law of holding times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtrc

from computeplan.arrays import FloatArray, IntArray
from computeplan.units import DAY_S

TINY = 1e-17  # a term below it changes no digit, and neither do those after it

__all__ = [
    "RateForms",
    "down_frac_over_time",
    "erlang_b",
    "lacking_share",
    "rate_forms",
    "short_share",
    "stalled_share",
]


@dataclass(frozen=True, slots=True)
class RateForms:
    """One fault rate in the forms people use."""

    chip_mtbf_s: float
    node_mtbf_s: float
    job_mtbf_s: float
    """Mean time between faults of one chip, one node, the whole job. [s]"""
    per_1000_node_days: float
    """Faults in 1000 node-days."""


def rate_forms(rate_per_node_s: float, chips_per_node: int, n_nodes: int) -> RateForms:
    """Return a rate per node and second in every form.

    Parameters
    ----------
    rate_per_node_s : float
        Faults per node and second. [1/s]
    chips_per_node : int
        Chips in a node.
    n_nodes : int
        Nodes of the job.

    Raises
    ------
    ValueError
        If an argument is not > 0.

    Examples
    --------
    >>> forms = rate_forms(419 / (54 * 86_400) / 2048, 8, 2048)
    >>> f"{forms.job_mtbf_s / 3600:.2f} h, {forms.per_1000_node_days:.2f} / 1000 node-days"
    '3.09 h, 3.79 / 1000 node-days'
    """
    if not (rate_per_node_s > 0 and chips_per_node > 0 and n_nodes > 0):
        raise ValueError(f"all must be > 0, got {rate_per_node_s}, {chips_per_node}, {n_nodes}")
    node_s = 1 / rate_per_node_s
    return RateForms(
        node_s * chips_per_node, node_s, node_s / n_nodes, rate_per_node_s * 1000 * DAY_S
    )


def _check(n_nodes: int, n_spares: int, load: float) -> None:
    if n_nodes < 1 or n_spares < 0 or not load >= 0:
        raise ValueError(f"nodes >= 1, spares and load >= 0, got {n_nodes}, {n_spares}, {load}")


def short_share(n_nodes: int, n_spares: int, load_per_node: float) -> float:
    """Return the share of time in which a job lacks a node, in the long run, on the wall clock.

    Exact if no repair waits for a crew.

    Parameters
    ----------
    n_nodes, n_spares : int
        Nodes of the job, and spares for it alone.
    load_per_node : float
        Faults that send a node to repair, per second, times the mean repair.

    Raises
    ------
    ValueError
        If there is no node, or a number is negative.

    Examples
    --------
    >>> f"{short_share(1024, 12, 0.009):.4f}"
    '0.1415'
    """
    _check(n_nodes, n_spares, load_per_node)
    is_down = load_per_node / (1 + load_per_node) if math.isfinite(load_per_node) else 1.0
    return float(lacking_share(n_nodes, n_spares, np.asarray(is_down)))


def lacking_share(
    n_nodes: int | IntArray, n_spares: int | IntArray, down_frac: FloatArray
) -> FloatArray:
    """Return the probability that more nodes are down than there are spares.

    Parameters
    ----------
    n_nodes : int or ndarray of int
        Nodes of the job.
    n_spares : int or ndarray of int
        Spares for it alone.
    down_frac : ndarray
        Probability that a node is down, each independently.
    """
    return np.asarray(bdtrc(n_spares, n_nodes + n_spares, down_frac))


def erlang_b(n_servers: int, load: float) -> float:
    """Return the probability that all servers are busy if no arrival waits: Erlang's loss formula.

    By the sum of its inverse, ``1 / B(n) = 1 + n / load + n (n - 1) / load^2 + ...``, whose terms
    are all positive, so no digits are lost. It takes some tens of terms times the root of the
    servers at most: then terms no longer count, or the probability is 0.

    Parameters
    ----------
    n_servers : int
    load : float
        Arrivals in a mean service.

    Examples
    --------
    >>> f"{erlang_b(10, 5.0):.5f}"
    '0.01838'
    """
    if n_servers < 0 or not load >= 0:
        raise ValueError(f"servers and load must be >= 0, got {n_servers}, {load}")
    if load == 0:
        return float(n_servers == 0)
    inverse = term = 1.0
    for n in range(n_servers, 0, -1):
        term *= n / load
        inverse += term
        if inverse == math.inf or term < TINY * inverse:
            break
    return 1 / inverse


def stalled_share(n_nodes: int, n_spares: int, load_per_node: float) -> float:
    """Return the share of time in which a job lacks a node, in the long run, on the busy clock.

    Nodes fail only while the job holds all it wants, and spares do not fail; repairs go on. Exact
    if no repair waits for a crew.

    Parameters
    ----------
    n_nodes, n_spares : int
        Nodes of the job, and spares for it alone.
    load_per_node : float
        Faults that send a node to repair, per second of work, times the mean repair.

    Examples
    --------
    >>> f"{stalled_share(1024, 12, 0.009):.4f}"  # of the wall clock, 0.1415
    '0.0604'
    """
    _check(n_nodes, n_spares, load_per_node)
    return erlang_b(n_spares + 1, n_nodes * load_per_node)


def down_frac_over_time(rate_per_s: float, mean_until_s: FloatArray) -> FloatArray:
    """Return the probability that a node is down at evenly spaced times, if it is up at first.

    Parameters
    ----------
    rate_per_s : float
        Faults that send the node to repair, per second on the wall clock. [1/s]
    mean_until_s : ndarray; shape (n,)
        Mean of a repair cut short at 0, h, 2 h, ... [s]

    Returns
    -------
    ndarray, shape (n,)
        Rises from 0 to ``load / (1 + load)``.

    Notes
    -----
    A node that is down at t went down at some u before, being up, and its repair outlasts t - u:
    ``p(t) = rate * integral of (1 - p(u)) P(repair > t - u) du``. Solved step by step with p
    at its mean within a step: the error falls with the square of the step.

    Examples
    --------
    >>> down_frac_over_time(0.1, np.array([0.0, 1.0, 2.0, 3.0, 4.0])).round(3)
    array([0.   , 0.095, 0.181, 0.259, 0.33 ])
    """
    arriving = rate_per_s * np.diff(mean_until_s)
    down = np.zeros(len(mean_until_s))
    up = np.ones(len(arriving))  # on the mean of each step
    for i in range(1, len(down)):
        earlier = up[: i - 1] @ arriving[i - 1 : 0 : -1]
        # In the step that ends here, up is 1 - (before + now) / 2; solved for now.
        now = (earlier + arriving[0] * (1 - down[i - 1] / 2)) / (1 + arriving[0] / 2)
        down[i], up[i - 1] = now, 1 - (down[i - 1] + now) / 2
    return down
