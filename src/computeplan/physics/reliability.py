"""Fault rates: three ways to say the same, and what they make of a job.

Nodes fail independently with a constant hazard, so rates add: a job on n nodes is struck n times
as often as one node, and its MTBF is the node's divided by n. A rate is per node and second of
wall time here; people write it per chip, per node, or per 1000 node-days.

A job on n nodes with S spares stands still while more than S of the n + S are in repair. Each node
is up and down in turn, on the wall clock, whatever the job does, so in the long run the number
down is binomial, whatever the law of repairs, if no repair waits for a crew; with many nodes it is
the Poisson tail of the rate times the mean repair. Where repairs have a heavy tail, the long run
is far away: it takes the mean of what is left of a repair, which may be months.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import bdtrc

__all__ = ["RateForms", "rate_forms", "short_share"]

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


def short_share(n_nodes: int, n_spares: int, load_per_node: float) -> float:
    """Return the share of time in which a job lacks a node, in the long run.

    Parameters
    ----------
    n_nodes, n_spares : int
        Nodes of the job, and spares for it alone.
    load_per_node : float
        Faults that take a node, per second, times the mean repair.

    Raises
    ------
    ValueError
        If there is no node, or a number is negative.

    Examples
    --------
    >>> f"{short_share(1024, 12, 0.009):.4f}"
    '0.1415'
    """
    if n_nodes < 1 or n_spares < 0 or not load_per_node >= 0:
        message = f"nodes >= 1, spares and load >= 0, got {n_nodes}, {n_spares}, {load_per_node}"
        raise ValueError(message)
    is_down = load_per_node / (1 + load_per_node) if math.isfinite(load_per_node) else 1.0
    return float(bdtrc(n_spares, n_nodes + n_spares, is_down))
