"""Faults: how often they come, what they do to a job, what they send to repair and how long.

Long because a kind, the readers of its fields and its three effects are read together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from computeplan.distributions import Law, law_mean_s
from computeplan.specs.durations import DurationLaw, read_law
from computeplan.specs.fields import (
    Count,
    Fraction,
    Frozen,
    HowWritten,
    Name,
    NodeAge,
    Positive,
    PositiveDuration,
    Share,
    instead,
    refuse,
    said_once,
)
from computeplan.specs.logs.replay import ReplayField
from computeplan.specs.uncertain import Factor
from computeplan.units import parse_rate_per_node

__all__ = [
    "ASSUMED_FACTOR",
    "MOST_CV",
    "ONE_NODE",
    "STAYS",
    "Automatic",
    "Corrupt",
    "Effect",
    "FaultFactor",
    "FaultKind",
    "Growth",
    "Interrupt",
    "Lemons",
    "Observed",
    "Relapse",
    "Slow",
    "Slows",
]

STAYS = ("nothing", "job")
"""What leaves every node in place; `job` also costs copies of the state in memory."""
ONE_NODE = ("chip", "node")
"""What sends one node to repair: a job holds whole nodes."""


ASSUMED_FACTOR = Factor(1.0, 3.0)
"""An estimate, of no chip in particular: two fleets of one and the same chip, RSC-1 and RSC-2 of
Meta (arXiv:2410.21680: 6.50 and 2.34 faults per 1000 node-days), differ 2.8 times."""
MOST_FACTOR = 1000.0
MOST_CV = 10.0  # one node in a hundred then has nearly all faults; more is a mistyped number


def _read_factor(value: object) -> Factor:
    """Return the factor that a person wrote."""
    if isinstance(value, Factor):
        return value
    how = "a number such as 2, or {low: 1, high: 3}"
    ends: list[Any] = [value, value]
    if isinstance(value, dict):
        if value.keys() != {"low", "high"}:
            refuse(f"must be {how}, not {value!r}")
        ends = [value["low"], value["high"]]
    for end in ends:
        if isinstance(end, bool) or not isinstance(end, int | float):
            refuse(f"must be {how}, not {value!r}")
        if not 0 < end <= MOST_FACTOR:
            refuse(f"must be > 0 and <= {MOST_FACTOR:g}, got {end!r}")
    low, high = float(ends[0]), float(ends[1])
    if low > high:
        refuse(f"low must be <= high, got {low:g} and {high:g}")
    return Factor(low, high)


FaultFactor = Annotated[
    Factor,
    BeforeValidator(_read_factor),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_FACTOR},
                {
                    "type": "object",
                    "properties": {"low": {"type": "number"}, "high": {"type": "number"}},
                    "required": ["low", "high"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
    HowWritten("", "{low: 1, high: 3}"),
]


class Observed(Frozen):
    """A count of interruptions over a time on a number of chips."""

    interruptions: Positive
    """How many were counted."""
    over: PositiveDuration
    """Over how long, wall time."""
    chips: Count
    """On how many chips."""


def _read_rate(value: object) -> float:
    if not isinstance(value, str):
        refuse(f"needs a unit: write it like '3.79 / 1000 node-days', not {value!r}")
    return parse_rate_per_node(value)


def _read_takes(value: object) -> tuple[tuple[str, float], ...]:
    """Return what a fault sends to repair, and with which probability."""
    if isinstance(value, str):
        return ((value, 1.0),)
    how = "'node', 'nothing', a group of the pool, or shares such as {node: 0.78, nothing: 0.22}"
    if not isinstance(value, dict) or not value or not all(isinstance(k, str) for k in value):
        refuse(f"must be {how}, not {value!r}")
    shares = list(value.values())
    if any(
        isinstance(x, bool) or not isinstance(x, int | float) or not 0 <= x <= 1 for x in shares
    ):
        refuse(f"shares must be numbers from 0 to 1, got {value!r}")
    if not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
        refuse(f"shares must add up to 1, got {sum(shares):g}")
    return tuple((what, float(share)) for what, share in value.items())


def _read_life(value: object) -> Law:
    """Return the law of lifetimes with a mean of 1 s; the rate gives it its scale."""
    if value == "expon":
        return Law("expon", (), 1.0)
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        refuse(f"must be expon or one law with its shapes, as {_LIFE}, not {str(value)[:60]!r}")
    ((name, shapes),) = value.items()
    if name == "seen":
        return _seen_life(read_law(value))
    if not isinstance(shapes, dict):
        refuse(f"{name}: needs its shapes, as in {_LIFE}")
    if said := [key for key in shapes if key in ("scale", "mean", "median")]:
        refuse(f"{name}: takes shapes only, as {_LIFE}; {said[0]} follows from the rate")
    return read_law({name: {**shapes, "mean": "1 s"}})


def _seen_life(law: Law) -> Law:
    """Return lifetimes as they were seen, of which the rate gives the mean."""
    if law.name != "seen" or law.shapes[0] == 0:
        refuse("seen: needs two lifetimes at least, all > 0; the rate gives their mean")
    return replace(law, scale_s=1 / law_mean_s(law))


_LIFE = "{weibull_min: {c: 0.7}}"


class Automatic(Frozen):
    """A repair without a crew, tried first: a reset, a reboot, a check."""

    lasts: DurationLaw
    """How long it lasts."""
    mends: Fraction
    """Share of the nodes that it restores; the others go on to `repair`."""


class Relapse(Frozen):
    """Faults that come back: a repair that failed unnoticed, or infant mortality."""

    share: Share
    """Share of the faults after which the same node faults again."""
    after: DurationLaw
    """How long after the node was restored."""


class Lemons(Frozen):
    """Nodes of different rates: each has that of the kind times a gamma number of mean 1.

    Which nodes are lemons is not known before they fault.
    """

    cv: Annotated[float, Field(gt=0, le=MOST_CV)]
    """Standard deviation of the rates of nodes over their mean."""

    @property
    def shape(self) -> float:
        """Shape of the gamma law."""
        return 1 / self.cv**2


class Slows(Frozen):
    """A node that holds its job back for a while, and stops nothing."""

    to: Share
    """Share of its speed at which the job of the node trains."""
    lasts: DurationLaw
    """How long, unless the node goes to repair before."""


class Growth(Frozen):
    """A rate per node that grows with the size of the pool."""

    power: Annotated[float, Field(gt=1, le=3)]
    """Faults of the whole pool grow as its nodes to this power."""
    beyond: Count
    """Nodes at which the rate is as given."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The effect of a fault that stops its job; its fields are those of the kind.

    `restart` is from the fault to the first new step; where nodes are lacking, from when they are
    there. `takes` is empty where a log says what is sent to repair.
    """

    restart: Law
    takes: tuple[tuple[str, float], ...] = ()
    repair: Law | None = None
    automatic: Automatic | None = None
    relapse: Relapse | None = None


@dataclass(frozen=True, slots=True)
class Slow:
    """The effect of a fault that holds its job back, to a share of its speed, and stops nothing."""

    to_frac: float
    lasts: Law


@dataclass(frozen=True, slots=True)
class Corrupt:
    """The effect of silent damage: when it is found, the job goes back to before the fault."""

    found: Law
    then: Interrupt


Effect = Interrupt | Slow | Corrupt


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
    tried = instead(
        ("mttf mean_time_between_failures", "write mtbf: 50 kh with per: chip (or node)"),
        (
            "failure_rate fault_rate frequency probability lambda",
            "write rate: 3.79 / 1000 node-days",
        ),
        ("mttr repair_time downtime repairs time_to_repair", "write repair: 20 h, or a law"),
        ("recovery recovery_time restart_time", "write restart: 10 min, or a law"),
        (
            "interruptions failures count",
            "write observed: {interruptions: 419, over: 54 d, chips: 16384}",
        ),
        ("affects scope blast_radius kills", "write takes: node (or nothing, rack, pool)"),
        ("gpu chip observed_chip", "write observed_on: nvidia/h100-sxm"),
        ("pool site region sites regions", "write pools: [NAME]"),
        (
            "distribution weibull exponential",
            "write law: {weibull_min: {c: 0.7}} and age: new (any law of scipy.stats)",
        ),
        ("log trace file", "write replay: faults.csv"),
    )

    observed: Observed | None = None
    """Rate as a count: {interruptions: 419, over: 54 d, chips: 16384}."""
    mtbf: PositiveDuration | None = None
    """Rate as the mean time between faults of one chip or node (see `per`)."""
    per: Name | None = None
    """What `mtbf` is the mean time of: chip, node, pool, or a group of the pool."""
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
    observed_on: str | None = None
    """The chip on which the rate was observed; on a pool of another one it is uncertain."""
    replay: ReplayField | None = None
    """A fault log beside the scenario to replay, of any format that `fit` reads."""
    law: Annotated[
        Law,
        BeforeValidator(_read_life),
        WithJsonSchema({"anyOf": [{"const": "expon"}, {"type": "object", "maxProperties": 1}]}),
        HowWritten("", _LIFE),
    ] = Field(default="expon", validate_default=True)
    """Law of the lifetime of a node until such a fault; its mean is that of the rate."""
    age: NodeAge | None = None
    """How old the nodes are at the start: steady (long since mixed), new, or a duration."""
    clock: Literal["wall", "busy"] = "wall"
    """When faults can come: always, or only on nodes of a job that is not blocked."""
    lemons: Lemons | None = None
    """Rates that differ between nodes: {cv: 1.2}; all alike if left out."""
    grows: Growth | None = None
    """A rate per node that grows with the pool."""
    takes: (
        Annotated[
            tuple[tuple[str, float], ...],
            BeforeValidator(_read_takes),
            WithJsonSchema(
                {
                    "anyOf": [
                        {"type": "string", "examples": ["node", "nothing"]},
                        {"type": "object", "additionalProperties": {"type": "number"}},
                    ]
                }
            ),
            HowWritten("", "{node: 0.78, nothing: 0.22}"),
        ]
        | None
    ) = None
    """What goes to repair: nothing, chip or node, a group of the pool, pool; job: nothing goes."""
    slows: Slows | None = None
    """Instead of a restart: the node holds its job back for a while, and stops nothing."""
    restart: DurationLaw | None = None
    """From the fault to the first new step; where nodes are lacking, from when they are there."""
    repair: DurationLaw | None = None
    """How long a node sent to repair stays away; by a crew, where the pool has a number of them."""
    automatic: Automatic | None = None
    """What is tried before `repair`, without a crew."""
    relapse: Relapse | None = None
    """Faults that come back after the node does."""
    found: DurationLaw | None = None
    """How long silent damage stays unnoticed; the job then goes back to before it."""
    pools: tuple[Name, ...] | None = Field(default=None, min_length=1)
    """Pools on which such faults come; all if left out."""
    note: Annotated[str, StringConstraints(max_length=1000)] = ""
    """What a reader must know of it, such as its source; it stands beside the results."""

    @model_validator(mode="after")
    def _one_rate(self) -> FaultKind:
        what = "state the rate once, as observed, mtbf (with per), rate or replay"
        said_once(self, what, "observed", "mtbf", "rate", "replay")
        if (self.mtbf is None) != (self.per is None):
            refuse("mtbf goes with per: write mtbf: 50.7 kh and per: chip (or node)")
        if self.slows is not None:
            self._slows_only()
        elif self.restart is None:
            refuse("restart is missing: how long from the fault to the first new step (or slows)")
        elif self.takes is None and self.replay is None:
            refuse("takes is missing: node, nothing, or {node: 0.78, nothing: 0.22}")
        if self.observed_on is not None and self.replay is not None:
            refuse("observed_on goes with a rate; a log is replayed as it is")
        if self.repair is None and self.takes_nodes:
            refuse("repair is missing: a kind that takes nodes says how long repairs last")
        return self

    def _slows_only(self) -> None:
        """Refuse what has no effect beside `slows`."""
        if self.replay is not None:
            refuse("slows is drawn and not replayed: a log says when nodes were down")
        names = ("restart", "takes", "repair", "automatic", "relapse", "found")
        said = [name for name in names if getattr(self, name) is not None]
        said += ["law"] if self.law.name != "expon" else []
        said += ["clock"] if self.clock != "wall" else []
        if said:
            refuse(
                "slows stops no job and sends nothing to repair:"
                f" drop {', '.join(said)}, or write two kinds"
            )

    @property
    def effect(self) -> Effect:
        """What such a fault does to its job."""
        if self.slows is not None:
            return Slow(self.slows.to, self.slows.lasts)
        assert self.restart is not None  # validated
        stop = Interrupt(self.restart, self.takes or (), self.repair, self.automatic, self.relapse)
        return stop if self.found is None else Corrupt(self.found, stop)

    @property
    def takes_nodes(self) -> bool:
        """Whether some of these faults send nodes to repair."""
        return any(what not in STAYS and share > 0 for what, share in self.takes or ())

    @model_validator(mode="after")
    def _memory(self) -> FaultKind:
        has_memory = self.law.name != "expon"
        if has_memory and self.age is None:
            refuse(
                f"age is missing: with {self.law.name} faults depend on how old the nodes are:"
                " steady, new, or a duration such as 2 years"
            )
        if not has_memory and self.age is not None:
            refuse("age has no effect with expon, which has no memory; leave it out")
        single = {
            f"law: {self.law.name}": has_memory,
            "relapse": self.relapse is not None,
            "lemons": self.lemons is not None,
            "clock: busy": self.clock == "busy",
            "found": self.found is not None,
        }
        said = [what for what, is_said in single.items() if is_said]
        groups = [w for w, share in self.takes or () if w not in (*STAYS, *ONE_NODE) and share]
        if said and groups:
            refuse(f"{said[0]} is of single nodes and cannot take a {groups[0]}; write two kinds")
        if has_memory and self.lemons is not None:
            refuse(f"lemons goes with law: expon; with {self.law.name} nodes differ by their ages")
        if self.clock == "busy" and (has_memory or self.relapse is not None):
            refuse(f"{said[0]} runs on the wall clock only; with clock: busy use expon alone")
        if self.found is not None and len(said) > 1:
            refuse(f"found goes with plain faults, and not with {said[0]}; write two kinds")
        if self.replay is not None:
            own = {"law": has_memory, "clock": self.clock == "busy"}
            own |= {
                name: getattr(self, name) is not None
                for name in ("automatic", "relapse", "lemons", "grows")
            }
            for name in (name for name, is_said in own.items() if is_said):
                refuse(f"{name} has no effect beside replay: the log says what happens")
        return self
