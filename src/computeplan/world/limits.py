"""The power that a site may draw, compiled: watts over time, who yields, and a battery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from computeplan.world.signals import Signal

__all__ = ["Battery", "PowerLimit"]


@dataclass(frozen=True, slots=True)
class Battery:
    """What stores energy at a site; it is empty when a run begins."""

    energy_j: float
    """That it can hold. [J]"""
    power_w: float
    """At which it charges and discharges, at most. [W]"""
    efficiency: float
    """Energy that it gives back over what it took; in (0, 1]."""


@dataclass(frozen=True, eq=False, slots=True)
class PowerLimit:
    """What a site may take from outside, at the facility."""

    site: str
    pools: tuple[int, ...]
    """That stand there."""
    limit_w: float
    over_time: Signal
    """The limit at a time is the product of both. [W]"""
    yields: Literal["slow", "shrink", "pause"]
    """What jobs do where it is too little for all."""
    battery: Battery | None = None

    @property
    def may_go_dark(self) -> bool:
        """Whether there may be less power than idle nodes draw, which are then switched off."""
        return self.battery is not None or self.yields != "slow"
