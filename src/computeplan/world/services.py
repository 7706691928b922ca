"""A service, compiled: what it needs by the hour beside the jobs, and what nodes give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.scheduling.services import Demand, lacking, nodes_on_pools

__all__ = ["Answers", "Drawn", "Service", "Unit", "nodes_at_most", "nodes_held"]

Unit = Literal["chip", "request/s"]
"""What a service may state."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a chip of a service draws on a pool: it is linear in the load, idle chips included."""

    chip_w: float
    chip_more_w: float
    """Without requests, and more at what its node gives; at the meter of the chip. [W]"""
    it_w: float
    it_more_w: float
    """The same with its share of the server and of the network. [W]"""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a request takes, on average."""

    input_tokens: float
    output_tokens: float
    """Those of prompts are 0 where instances answer prompts that others took in, and those of
    answers are 0 where they do nothing else. [token]"""
    prompt_frac: tuple[float, ...]
    """Share of the time in steps that prompts take, on each pool of the service."""
    at_once: tuple[float, ...]
    """Requests that the nodes of an instance answer at once at all that they give, on each."""


@dataclass(frozen=True, slots=True)
class Service:
    """Nodes held and drawn for something that is not a job of this scenario."""

    name: str
    """As in the scenario."""
    tenant: str
    """Whose it is; empty if it has no tenant."""
    pools: tuple[int, ...]
    """Whose nodes it may hold, the first first."""
    demand: Demand
    """What it needs by the hour in its units, the least, and the priority."""
    gives: tuple[float, ...]
    """Units that a node of each of its pools gives: its chips, or requests/s at which it keeps what
    is promised of latency."""
    group: tuple[int, ...]
    """Nodes of an instance on each of its pools: 1 unless an instance takes several, which then
    serves only as a whole."""
    unit: Unit = "chip"
    """What is needed and given."""
    drawn: tuple[Drawn | None, ...] = ()
    """What its chips draw on each pool; as in training where there is none."""
    answers: Answers | None = None
    """Of a service that states requests."""
    prompts: int | None = None
    """Place among the services of the one whose instances take in the prompts of its requests;
    None if its own do."""

    @property
    def ends_requests(self) -> bool:
        """Whether it states requests that end with it: those that others answer count there."""
        is_answered = self.answers is None or self.answers.output_tokens > 0
        return self.unit == "request/s" and is_answered

    def drawn_on(self, pool: int) -> Drawn | None:
        """Return what its chips draw on a pool; None if as in training."""
        return self.drawn[self.pools.index(pool)] if self.drawn and pool in self.pools else None

    def load_frac(self, needed: float, n_ready: Sequence[int]) -> float:
        """Return the share of what ready nodes of its pools give that is needed; they share it.

        Examples
        --------
        >>> demand = Demand((30.0,))
        >>> one = Service("chat", "", (0, 1), demand, gives=(8.0, 2.0), group=(1, 1))
        >>> one.load_frac(30.0, [4, 4]), one.load_frac(30.0, [1, 0]), one.load_frac(0.0, [0, 0])
        (0.75, 1.0, 0.0)
        """
        given = sum(n * each for n, each in zip(n_ready, self.gives, strict=True))
        return min(1.0, needed / given) if given else 0.0


def nodes_held(
    services: Sequence[Service], n_nodes: Sequence[int], now_s: float
) -> tuple[IntArray, FloatArray]:
    """Return the nodes that services hold where there are no jobs and no faults.

    First the least of each, then what else it needs, the highest priority first.

    Parameters
    ----------
    services : sequence of Service
    n_nodes : sequence of int
        Of each pool.
    now_s : float
        Time of the run. [s]

    Returns
    -------
    nodes : ndarray of int, shape (n_services, n_pools)
    n_lacking : ndarray, shape (n_services,)
        Units of each for which there is no room.

    Examples
    --------
    >>> first = Service("a", "", (0,), Demand((24.0,), priority=1), gives=(8.0,), group=(1,))
    >>> other = Service("b", "", (0, 1), Demand((24.0,)), gives=(8.0, 8.0), group=(1, 1))
    >>> nodes, n_lacking = nodes_held([first, other], [4, 1], 0.0)
    >>> nodes.tolist(), n_lacking.tolist()
    ([[3, 0], [1, 1]], [0.0, 8.0])
    """
    return _handed_out(services, n_nodes, [one.demand.at(now_s) for one in services])


def nodes_at_most(services: Sequence[Service], n_nodes: Sequence[int]) -> IntArray:
    """Return the nodes that services hold as `nodes_held`, if each needs most at one time.

    Examples
    --------
    >>> by_day = Demand((8.0,) * 12 + (32.0,) * 12)
    >>> two = [Service(name, "", (0, 1), by_day, gives=(8.0, 8.0), group=(1, 1)) for name in "ab"]
    >>> nodes_at_most(two, [4, 6]).tolist()
    [[4, 0], [0, 4]]
    """
    nodes, _ = _handed_out(services, n_nodes, [one.demand.most for one in services])
    return nodes


def _handed_out(
    services: Sequence[Service], n_nodes: Sequence[int], wanted: Sequence[float]
) -> tuple[IntArray, FloatArray]:
    """Return the nodes that services hold if each wants so many units, and units that lack."""
    order = sorted(range(len(services)), key=lambda i: -services[i].demand.priority)
    room = [*n_nodes]
    nodes = np.zeros((len(services), len(room)), dtype=np.int64)
    has = np.zeros(len(services))
    for units in ([one.demand.least for one in services], wanted):
        for i in order:
            one, here = services[i], [room[p] for p in services[i].pools]
            more, _ = nodes_on_pools(lacking(units[i], has[i]), here, one.gives, one.group)
            for p, n, each in zip(one.pools, more, one.gives, strict=True):
                room[p] -= n
                nodes[i, p] += n
                has[i] += n * each
    return nodes, np.array([lacking(*each) for each in zip(wanted, has, strict=True)])
