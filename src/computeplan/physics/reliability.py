"""Fault rates: three ways to say the same, and what they make of a job.

Nodes fail independently with a constant hazard, so rates add: a job on n nodes is struck n times
as often as one node, and its MTBF is the node's divided by n. A rate is per node and second of
wall time here; people write it per chip, per node, or per 1000 node-days.

A job with S spares that stands still while it lacks a node is a loss system with S + 1 servers:
faults come at the job's rate, each keeps a repair place busy, and while all are busy nothing comes.

Sources
-------
.. [1] A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in
       automatic telephone exchanges", 1917; the recursion B(s) = A B(s-1) / (s + A B(s-1)).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RateForms", "erlang_b", "rate_forms"]

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class RateForms:
    """One fault rate in the forms people use.

    Parameters
    ----------
    chip_mtbf_s, node_mtbf_s, job_mtbf_s : float
        Mean time between faults of one chip, one node, the whole job. [s]
    per_1000_node_days : float
        Faults in 1000 node-days.
    """

    chip_mtbf_s: float
    node_mtbf_s: float
    job_mtbf_s: float
    per_1000_node_days: float


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
        message = f"all must be > 0, got {rate_per_node_s}, {chips_per_node}, {n_nodes}"
        raise ValueError(message)
    node_s = 1 / rate_per_node_s
    return RateForms(
        node_s * chips_per_node, node_s, node_s / n_nodes, rate_per_node_s * 1000 * _DAY_S
    )


def erlang_b(servers: int, load: float) -> float:
    """Return the share of time in which all servers are busy, Erlang's loss formula [1]_.

    Parameters
    ----------
    servers : int
        For a job with S spares: S + 1.
    load : float
        Mean number of servers that would be busy if there were no limit: rate x mean repair.

    Raises
    ------
    ValueError
        If there is no server, or the load is negative.

    Examples
    --------
    >>> f"{erlang_b(17, 9.3):.4f}"
    '0.0075'
    """
    if servers < 1 or not load >= 0:
        message = f"servers must be >= 1 and load >= 0, got {servers} and {load}"
        raise ValueError(message)
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
        if n > load and blocked < 1e-18:
            return 0.0  # it only falls from here, and there may be a million servers
    return blocked
