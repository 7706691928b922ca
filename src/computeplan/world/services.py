"""A service, compiled: chips that it holds beside the jobs, by the hour."""

from __future__ import annotations

from dataclasses import dataclass

from computeplan.scheduling.services import Demand

__all__ = ["Service"]


@dataclass(frozen=True, slots=True)
class Service:
    """Chips held and drawn for something that is not a job of this scenario."""

    name: str
    """As in the scenario."""
    tenant: str
    """Whose it is; empty if it has no tenant."""
    pools: tuple[int, ...]
    """Whose nodes it may hold, the first first."""
    demand: Demand
    """Chips by the hour, the least, and the priority."""
