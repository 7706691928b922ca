"""A service, compiled: what it needs by the hour beside the jobs, and what nodes give it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from computeplan.scheduling.services import Demand

__all__ = ["Answers", "Drawn", "Service", "Unit"]

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
    """[token]"""
    prompt_frac: tuple[float, ...]
    """Share of the time in steps that prompts take, on each pool of the service."""


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

    def drawn_on(self, pool: int) -> Drawn | None:
        """Return what its chips draw on a pool; None if as in training."""
        return self.drawn[self.pools.index(pool)] if self.drawn and pool in self.pools else None
