"""A service, compiled: what it needs by the hour beside the jobs, and what nodes give it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from computeplan.scheduling.services import Demand

__all__ = ["Service", "Unit"]

Unit = Literal["chip", "request/s"]
"""What a service may state."""


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
