"""Collectives: the time to combine or exchange data among the ranks of a group.

A fabric has two tiers: scale-up domains (8 chips of a server, 72 or 384 of a rack) and the network
between them, one NIC's worth for each rank. A ring sends ``(n-1)/n`` of the payload through every
rank, twice for an all-reduce, at the rate of its slowest link: the scale-up link, or all NICs of
the group's ranks in one domain together. Behind a switch a rank reaches any other at its full
rate; in a full mesh it has a link of its own to each other rank and can use only those to ranks of
its group. Latency is a constant for a call, a little for every further rank in the domain, and a
step for every doubling of the domains. Three tiers are two here: an oversubscribed core divides
what a NIC gets.

Sources
-------
.. [1] R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of collective communication operations
       in MPICH", IJHPCA 19(1), 2005: volumes and steps.
.. [2] NVIDIA ai-dynamo/aiconfigurator @095f58a: measured latencies inside a server, from which
       ``validation.operator_curves`` fits `frac`, `call_s` and `rank_s`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from computeplan.arrays import FloatArray

__all__ = ["Fabric", "Link", "Operation", "collective_s", "crosses", "point_to_point_s"]

Operation = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all"]


@dataclass(frozen=True, slots=True)
class Link:
    """How a collective uses the links inside a domain [2]_."""

    frac: float
    """Share of the link's rate that large messages reach."""
    call_s: float
    rank_s: float
    """Latency of a call, and more of it for every further rank. [s]"""


@dataclass(frozen=True, slots=True)
class Fabric:
    """The links of a rank, in one direction."""

    domain: int
    """Ranks of a scale-up domain."""
    up_bytes_per_s: float
    """To the ranks of the domain together. [B/s]"""
    pair_bytes_per_s: float
    """To one rank of the domain: equal to `up_bytes_per_s` behind a switch. [B/s]"""
    out_bytes_per_s: float
    """Out of the domain. [B/s]"""
    links: dict[Operation, Link]
    """By operation."""
    out_frac: float = 0.8
    """Share of the NIC's rate that collectives reach."""
    out_step_s: float = 10e-6
    """Latency of one step between domains. [s]"""
    oversubscription: float = 1.0
    """Rate of all NICs over the rate of the network's core."""

    def __hash__(self) -> int:
        """Return a hash; the links are a mapping, which has none."""
        return hash((self.domain, self.up_bytes_per_s, self.out_bytes_per_s, *self.links.items()))

    @property
    def out_rate(self) -> float:
        """What collectives get out of one rank's NIC. [B/s]"""
        return self.out_bytes_per_s * self.out_frac / self.oversubscription


def collective_s(
    fabric: Fabric, operation: Operation, n_bytes: Any, n: Any, stride: Any = 1.0
) -> FloatArray:
    """Return the time of a collective; zero for a group of one.

    Parameters
    ----------
    fabric : Fabric
    operation : str
        What runs.
    n_bytes : array_like
        The whole payload: what an all-reduce sums, an all-gather ends up with, a reduce-scatter
        starts from, one rank of an all-to-all sends to all (itself included). [B]
    n, stride : array_like
        Ranks of the group, and the distance between its neighbours.

    Returns
    -------
    ndarray, broadcast shape
        [s]

    Examples
    --------
    >>> link = Link(frac=0.7, call_s=0.0, rank_s=0.0)
    >>> a100 = Fabric(8, 300e9, 300e9, 25e9, {"all_reduce": link})
    >>> f"{1e3 * collective_s(a100, 'all_reduce', 100e6, 8):.3f} ms"
    '0.833 ms'
    """
    inside = _inside(fabric, n, stride)
    up = _up_rate(fabric, operation, inside)
    link = fabric.links[operation]
    latency = link.call_s + link.rank_s * (inside - 1.0)
    latency = latency + fabric.out_step_s * np.log2(n / inside)
    if operation == "all_to_all":  # every rank's NIC carries what it sends out of the domain
        local = n_bytes * (inside - 1.0) / (n * up)
        remote = n_bytes * (n - inside) / (n * fabric.out_rate)
        moving = np.maximum(local, remote)
    else:
        rate = _ring_rate(fabric, up, inside, n)
        turns = 2.0 if operation == "all_reduce" else 1.0
        moving = turns * n_bytes * (n - 1.0) / (n * rate)
    seconds: FloatArray = np.where(n > 1, latency + moving, 0.0)
    return seconds


def crosses(fabric: Fabric, n: Any, stride: Any = 1.0) -> Any:
    """Return whether a group lies in several domains, so that its messages take the network.

    Examples
    --------
    >>> link = Link(frac=0.7, call_s=0.0, rank_s=0.0)
    >>> a100 = Fabric(8, 300e9, 300e9, 25e9, {"all_gather": link})
    >>> [bool(crosses(a100, n)) for n in (8, 16)]
    [False, True]
    """
    return _inside(fabric, n, stride) < n


def point_to_point_s(fabric: Fabric, n_bytes: Any, *, crosses: Any) -> FloatArray:
    """Return the time to send bytes from one rank to another.

    Parameters
    ----------
    fabric : Fabric
    n_bytes : array_like
        [B]
    crosses : array_like of bool
        Whether the two ranks are in different domains.

    Returns
    -------
    ndarray, broadcast shape
        [s]
    """
    link = fabric.links["all_gather"]
    inside = link.call_s + n_bytes / (fabric.pair_bytes_per_s * link.frac)
    outside = fabric.out_step_s + n_bytes / fabric.out_rate
    seconds: FloatArray = np.where(crosses, outside, inside)
    return seconds


def _inside(fabric: Fabric, n: Any, stride: Any) -> FloatArray:
    """Return how many ranks of a group share a domain."""
    inside: FloatArray = np.minimum(n, np.maximum(1.0, np.floor(fabric.domain / stride)))
    return inside


def _ring_rate(fabric: Fabric, up: Any, inside: Any, n: Any) -> FloatArray:
    """Return the rate of a ring: of its links inside a domain, or of the NICs it shares."""
    rate: FloatArray = np.where(inside < n, np.minimum(up, inside * fabric.out_rate), up)
    return rate


def _up_rate(fabric: Fabric, operation: Operation, inside: Any) -> FloatArray:
    """Return the rate inside a domain, to the other ranks of the group if there are any."""
    reach = np.minimum(fabric.up_bytes_per_s, (inside - 1.0) * fabric.pair_bytes_per_s)
    rate: FloatArray = np.where(inside > 1, fabric.links[operation].frac * reach, np.inf)
    return rate
