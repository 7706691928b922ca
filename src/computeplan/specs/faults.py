"""What breaks, how often, what it takes, and how long until it is whole again."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from computeplan.specs.fields import (
    Count,
    Frozen,
    HowWritten,
    Name,
    Positive,
    PositiveDuration,
    refuse,
)
from computeplan.specs.laws import DurationLaw
from computeplan.units import parse_rate_per_node

__all__ = ["FaultKind", "Observed", "ObservedStops", "PlannedStop"]


class Observed(Frozen):
    """A count of interruptions over a time on a number of chips."""

    interruptions: Positive
    """How many were counted."""
    over: PositiveDuration
    """Over how long, wall time."""
    chips: Count
    """On how many chips."""


class ObservedStops(Frozen):
    """A count of planned stops over a time."""

    stops: Positive
    """How many were counted."""
    over: PositiveDuration
    """Over how long, wall time."""


def _read_rate(value: object) -> float:
    if not isinstance(value, str):
        refuse(f"needs a unit: write it like '3.79 / 1000 node-days', not {value!r}")
    return parse_rate_per_node(value)


def _read_takes(value: object) -> float:
    """Return the probability that a fault takes its node."""
    if value == "node":
        return 1.0
    if value == "nothing":
        return 0.0
    how = "'node', 'nothing', or shares such as {node: 0.78, nothing: 0.22}"
    if not isinstance(value, dict) or not value or not value.keys() <= {"node", "nothing"}:
        refuse(f"must be {how}, not {value!r}")
    shares = list(value.values())
    if any(
        isinstance(x, bool) or not isinstance(x, int | float) or not 0 <= x <= 1 for x in shares
    ):
        refuse(f"shares must be numbers from 0 to 1, got {value!r}")
    if not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
        refuse(f"shares must add up to 1, got {sum(shares):g}")
    return float(value.get("node", 0.0))


def _read_law_name(value: object) -> str:
    if value == "expon":
        return "expon"
    name = next(iter(value), "") if isinstance(value, dict) else str(value)
    return refuse(
        f"'{name}' is not available for faults: a law with memory is right only where nodes keep"
        " their ages, and this version keeps none. Use expon, or replay a log"
    )


class FaultKind(Frozen):
    """One kind of fault, its rate stated in exactly one way."""

    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = (
        (
            frozenset({"observed"}),
            frozenset({"mtbf", "per"}),
            frozenset({"rate"}),
            frozenset({"replay"}),
        ),
    )

    observed: Observed | None = None
    """Rate as a count: {interruptions: 419, over: 54 d, chips: 16384}."""
    mtbf: PositiveDuration | None = None
    """Rate as the mean time between faults of one chip or node (see `per`)."""
    per: Literal["chip", "node"] | None = None
    """What `mtbf` is the mean time of: chip or node."""
    rate: (
        Annotated[
            float,
            BeforeValidator(_read_rate),
            WithJsonSchema({"type": "string", "examples": ["3.79 / 1000 node-days"]}),
            HowWritten("1/s per node", "3.79 / 1000 node-days"),
        ]
        | None
    ) = None
    """Rate per node."""
    replay: str | None = None
    """A fault log to replay: CSV beside the scenario with columns node, start_s, end_s."""
    law: Annotated[
        str,
        BeforeValidator(_read_law_name),
        WithJsonSchema({"const": "expon"}),
        HowWritten("", "expon"),
    ] = "expon"
    """Law of the time between faults of one node."""
    takes: (
        Annotated[
            float,
            BeforeValidator(_read_takes),
            WithJsonSchema(
                {
                    "anyOf": [
                        {"enum": ["node", "nothing"]},
                        {"type": "object", "properties": {"node": {}, "nothing": {}}},
                    ]
                }
            ),
            HowWritten("", "{node: 0.78, nothing: 0.22}"),
        ]
        | None
    ) = None
    """What a fault takes: the node (it goes to repair), or nothing (restart in place)."""
    restart: DurationLaw
    """From the fault, or from when the job is whole again, to the first new step."""
    repair: DurationLaw | None = None
    """How long a node that was taken stays away."""
    pools: tuple[Name, ...] | None = Field(default=None, min_length=1)
    """Pools this kind strikes; all if left out."""

    @model_validator(mode="after")
    def _one_rate(self) -> FaultKind:
        said = [n for n in ("observed", "mtbf", "rate", "replay") if getattr(self, n) is not None]
        if len(said) != 1:
            refuse(
                "state the rate once, as observed, mtbf (with per), rate or replay; "
                + (f"got {' and '.join(said)}" if said else "got none")
            )
        if (self.mtbf is None) != (self.per is None):
            refuse("mtbf goes with per: write mtbf: 50.7 kh and per: chip (or node)")
        if self.takes is None and self.replay is None:
            refuse("takes is missing: node, nothing, or {node: 0.78, nothing: 0.22}")
        if self.repair is None and (self.takes or 0.0) > 0:
            refuse("repair is missing: a kind that takes nodes says how long repairs last")
        return self


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
