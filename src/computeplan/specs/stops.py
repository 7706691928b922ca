"""Stops that are known beforehand."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from computeplan.specs.fields import Frozen, Name, Positive, PositiveDuration, refuse
from computeplan.specs.laws import DurationLaw

__all__ = ["ObservedStops", "PlannedStop"]


class ObservedStops(Frozen):
    """A count of planned stops over a time."""

    stops: Positive
    """How many were counted."""
    over: PositiveDuration
    """Over how long, wall time."""


class PlannedStop(Frozen):
    """Stops that are known beforehand, evenly spaced: the job saves first and loses nothing."""

    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = (
        (frozenset({"every"}), frozenset({"observed"})),
    )

    every: PositiveDuration | None = None
    """Time between stops; the first comes after half of it."""
    observed: ObservedStops | None = None
    """The same as a count: {stops: 47, over: 54 d}."""
    lasts: DurationLaw
    """From the end of the save to the first new step."""
    pools: tuple[Name, ...] | None = Field(default=None, min_length=1)
    """Pools whose jobs stop; all if left out."""

    @model_validator(mode="after")
    def _one_spacing(self) -> PlannedStop:
        if (self.every is None) == (self.observed is None):
            refuse("state the spacing once, as every or observed")
        return self

    @property
    def interval_s(self) -> float:
        """Time between stops. [s]"""
        if self.observed is not None:
            return float(self.observed.over / self.observed.stops)
        return float(self.every or 0.0)
