"""Stops that are known beforehand: of all jobs of a pool, or of a few nodes in turn."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from computeplan.distributions import Law
from computeplan.specs.durations import DurationLaw
from computeplan.specs.fields import (
    Count,
    Frozen,
    HowWritten,
    Name,
    Positive,
    PositiveDuration,
    WholeNodes,
    refuse,
    said_once,
)

__all__ = ["Maintain", "ObservedStops", "PlannedStop"]


@dataclass(frozen=True, slots=True)
class Maintain:
    """The effect of a planned stop: `n_nodes` are away at a time, or 0 and all jobs of a pool stop.

    `restart` is from when a job has all its nodes again to its first new step; where all jobs stop,
    `lasts` ends with that step.
    """

    lasts: Law
    n_nodes: int = 0
    restart: Law | None = None


class ObservedStops(Frozen):
    """A count of planned stops over a time."""

    stops: Positive
    """How many were counted."""
    over: PositiveDuration
    """Over how long, wall time."""


def _list_of_times(value: object) -> object:
    if not isinstance(value, list | tuple) or not value:
        refuse(f"must be a list of times from the start, such as [3 d, 244 h], not {value!r}")
    return value


class PlannedStop(Frozen):
    """Stops that are known beforehand: the job saves first and loses nothing."""

    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = (
        (frozenset({"every", "first"}), frozenset({"observed"}), frozenset({"at"})),
    )

    every: PositiveDuration | None = None
    """Time between stops; the first comes after half of it."""
    first: PositiveDuration | None = None
    """When the first comes, with `every`, instead of after half of it."""
    observed: ObservedStops | None = None
    """The same as a count: {stops: 47, over: 54 d}."""
    at: (
        Annotated[
            tuple[PositiveDuration, ...],
            BeforeValidator(_list_of_times),
            Field(json_schema_extra={"minItems": 1}),
            HowWritten("s", "[3 d, 244 h]"),
        ]
        | None
    ) = None
    """When they come, from the start, such as [3 d, 244 h]; then never again."""
    lasts: DurationLaw
    """From the end of the save to the first new step; with `rolling`, how long nodes are away."""
    rolling: WholeNodes | None = None
    """Nodes taken out at a time, by number, spares too; only jobs that hold one of them stop."""
    restart: DurationLaw | None = None
    """With `rolling`: from when the job has all its nodes again to the first new step."""
    rounds: Count | None = None
    """With `rolling`: how often all nodes are gone through; once if left out."""
    pools: tuple[Name, ...] | None = Field(default=None, min_length=1)
    """Pools whose jobs stop; all if left out."""

    @model_validator(mode="after")
    def _said_once(self) -> PlannedStop:
        said_once(self, "say when once, as every, observed or at", "every", "observed", "at")
        if self.first is not None and self.every is None:
            refuse("first goes with every: write every: 7 d and first: 2 d")
        if any(after <= before for before, after in itertools.pairwise(self.at or ())):
            refuse("at: times must rise, each one given once")
        return self

    @model_validator(mode="after")
    def _rolling_whole(self) -> PlannedStop:
        if self.rolling is None:
            for name in ("restart", "rounds"):
                if getattr(self, name) is not None:
                    refuse(f"{name} goes with rolling; without it all jobs of the pool stop")
        elif self.restart is None:
            refuse("restart is missing: a job restarts on other nodes when rolling takes some out")
        elif self.rounds is not None and self.at is not None:
            refuse("rounds has no effect beside at: nodes are taken out at each of those times")
        return self

    @property
    def effect(self) -> Maintain:
        """What a stop does to the jobs of a pool."""
        return Maintain(self.lasts, self.rolling or 0, self.restart)

    @property
    def interval_s(self) -> float | None:
        """Time between stops; None if they come at times of their own. [s]"""
        if self.observed is not None:
            return float(self.observed.over / self.observed.stops)
        return self.every
