"""Nodes of unlike rates: when they fault, and which of them.

The rate of each node is that of its kind times a gamma number of mean 1 and shape ``a``, drawn once
and never seen. So a node that has had k faults by time t faults at rate ``(a + k) / (b + t)`` on
the mean of what it may be, with ``b = a / rate``: faults make it suspect, time without clears it.
Of n such nodes with K faults together it is the sum, ``(n a + K) / (b + t)``: one process, whose
next time follows from one exponential number, and the node is that of an earlier fault, chosen
evenly, with chance ``K / (n a + K)``, or else any node (the urn of Polya [1]_). No rate is
drawn: a fleet costs what its faults cost, and what comes first does not depend on what comes later.

Given its rate, the faults of a node are Poisson on the wall clock, so those that come in repair
are dropped, which is exact, as it is for equal nodes.

Sources
-------
.. [1] D. Blackwell and J. B. MacQueen, "Ferguson distributions via Polya urn schemes", Annals of
       Statistics 1(2), 1973. The process in time: O. Lundberg, "On Random Processes and Their
       Application to Sickness and Accident Statistics", Uppsala, 1940.
"""

from __future__ import annotations

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.trace.arrivals import NodeArray

__all__ = ["lemon_nodes", "lemon_times_s"]


def lemon_times_s(
    gaps: FloatArray, shape: float, rate_per_node_s: FloatArray | float, n_nodes: int
) -> FloatArray:
    """Return when some nodes of unlike rates fault, all of them together; inf where never. [s]

    Parameters
    ----------
    gaps : ndarray, shape (n_faults, n_runs)
        Unit exponential numbers; what is returned has their shape, each run's in order.
    shape : float
        Of the gamma law of rates.
    rate_per_node_s : float or ndarray of shape (n_runs,)
        Mean rate of a node. [1/s]
    n_nodes : int
        How many.

    Examples
    --------
    >>> gaps = np.ones((3, 1))
    >>> lemon_times_s(gaps, 1e9, 0.1, 2)[:, 0].round(3).tolist()  # equal nodes, 5 s apart
    [5.0, 10.0, 15.0]
    """
    known = n_nodes * shape + np.arange(len(gaps))[:, None]
    hazard = np.cumsum(gaps / known, axis=0)
    with np.errstate(over="ignore"):  # the last node of few may be nearly faultless
        return np.asarray(np.expm1(hazard) * (shape / rate_per_node_s))


def lemon_nodes(uniform: FloatArray, shape: float, n_nodes: int) -> tuple[NodeArray, FloatArray]:
    """Return which node has each fault, and what is left of the uniform number.

    `uniform` is in the order of the faults, shape (n_faults, n_runs), as is what is returned;
    `shape` is of the gamma law of rates.

    Examples
    --------
    >>> node, left = lemon_nodes(np.array([[0.6], [0.1], [0.9]]), 0.5, 4)
    >>> node[:, 0].tolist(), left[:, 0].round(3).tolist()  # the third is where the second was
    ([2, 0, 0], [0.4, 0.6, 0.6])
    """
    new = n_nodes * shape
    scaled = uniform * (new + np.arange(len(uniform))[:, None])
    is_again = scaled >= new
    is_again[:1] = False  # there is none before the first
    scaled = np.where(is_again, scaled - new, scaled / shape)
    chosen = scaled.astype(np.int32)
    # Rounding must not choose what is not there.
    last = np.where(is_again, np.arange(len(uniform))[:, None] - 1, n_nodes - 1)
    np.clip(chosen, 0, last, out=chosen)
    node, runs = chosen.copy(), np.arange(uniform.shape[1])
    for i in range(len(node)):  # each fault knows those before it
        node[i] = np.where(is_again[i], node[chosen[i] * is_again[i], runs], chosen[i])
    return node, np.clip(scaled - chosen, 0.0, np.nextafter(1.0, 0.0))
