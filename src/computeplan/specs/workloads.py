"""Many jobs at once: those of a file, or jobs that are generated.

A file is a plain list of jobs, as ``computeplan import`` writes it. Generated jobs come at random
(``arrivals``), hold chips by given shares, and are as long as a law says; a preset has the sizes
and lengths of a published trace. Lengths were measured on some chip (``on``): on others a job is as
fast as ``speed`` says, or as the table of ``throughput`` does. Here stands what is written; drawn
are the jobs in ``trace/workloads.py``.

Long because the keys, how they are read and what they stand for are read together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from computeplan.distributions import Law
from computeplan.specs.catalogue.workloads import load_preset
from computeplan.specs.checkpoints import Checkpoint
from computeplan.specs.durations import DurationLaw
from computeplan.specs.elastic import Mixed, ShrinkShare
from computeplan.specs.fields import (
    MAX_COUNT,
    AtLeastOne,
    Frozen,
    HowWritten,
    Name,
    Positive,
    PositiveDuration,
    instead,
    quantity_reader,
    refuse,
    said_once,
)
from computeplan.specs.logs.throughput import Throughput
from computeplan.units import DAY_S

__all__ = ["Arrivals", "GeneratedJobs", "Slack", "Workload", "work_per_s"]

HOURS = 24
MAX_JOBS = 10_000_000
MAX_PRIORITY = 2**53
MAX_WEIGHTS = 1e12
_WHOLE = 1e-6  # shares add up to 1 as well as that


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _chips(key: object) -> int:
    """Return a number of chips that is a key: in YAML a number, in an override a text."""
    text = str(key)
    if isinstance(key, bool) or not (text.isascii() and text.isdecimal() and len(text) < 12):
        refuse(f"must be by number of chips, such as 8, not {text[:40]!r}")
    if not 1 <= int(text) <= MAX_COUNT:
        refuse(f"chips must be from 1 to {MAX_COUNT:,}, got {text}")
    return int(text)


def _shares(what: str, value: Mapping[Any, object]) -> dict[Any, float]:
    """Return shares of jobs, which add up to 1."""
    shares: dict[Any, float] = {}
    for key, share in value.items():
        if not _number(share) or not 0 < float(str(share)) <= 1:
            refuse(f"{what}: the share of {str(key)[:40]} must be > 0 and <= 1, got {share!r:.40}")
        shares[key] = float(str(share))
    total = math.fsum(shares.values())
    if not math.isclose(total, 1.0, abs_tol=_WHOLE):
        refuse(f"{what}: shares must add up to 1, got {total:g}")
    return shares


def _read_sizes(value: object) -> dict[int, float]:
    if _number(value):
        return {_chips(value): 1.0}
    if not isinstance(value, dict) or not value:
        refuse(f"must be a number of chips, or shares {{8: 0.6, 64: 0.4}}, not {value!r:.60}")
    sizes = [_chips(key) for key in value]
    if len(set(sizes)) < len(sizes):
        refuse("says a number of chips twice")
    return _shares("chips", dict(zip(sizes, value.values(), strict=True)))


def _read_names(value: object) -> dict[str, float]:
    if not isinstance(value, dict) or not value:
        refuse(f"must be shares of jobs by name, {{a: 0.7, b: 0.3}}, not {value!r:.60}")
    return _shares("shares", value)


def _read_lengths(value: object) -> object:
    if not isinstance(value, dict) or not value:
        refuse("must be a law for each number of chips, {8: 2 h, 64: {expon: {mean: 1 d}}}")
    return {_chips(key): law for key, law in value.items()}


_SHARE = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
_BY_CHIPS = {"type": "object", "minProperties": 1, "propertyNames": {"pattern": "^[0-9]+$"}}
Sizes = Annotated[
    dict[int, float],
    BeforeValidator(_read_sizes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {**_BY_CHIPS, "additionalProperties": _SHARE},
            ]
        }
    ),
    HowWritten("", "{8: 0.6, 64: 0.3, 512: 0.1}"),
]
NameShares = Annotated[
    dict[Name, float], BeforeValidator(_read_names), HowWritten("", "{a: 0.7, b: 0.3}")
]
Lengths = Annotated[dict[int, DurationLaw], BeforeValidator(_read_lengths)]


class Arrivals(Frozen):
    """When generated jobs come: at random, independent of one another."""

    every: PositiveDuration | None = None
    """Mean time between two of them."""
    per_day: Positive | None = None
    """Instead, how many come on a day, on average."""
    daily: Annotated[tuple[float, ...], Field(min_length=HOURS, max_length=HOURS)] | None = None
    """24 weights, of the hours of the day from 0 h on; time 0 of the simulation is midnight."""

    @model_validator(mode="after")
    def _is_complete(self) -> Arrivals:
        said_once(self, "say every, or per_day", "every", "per_day")
        weights = self.daily or (1.0,)
        if min(weights) < 0 or not 0 < math.fsum(weights) < MAX_WEIGHTS:
            refuse("daily: weights must be >= 0, and some > 0")
        return self

    @property
    def gap_s(self) -> float:
        """Mean time between two arrivals. [s]"""
        return self.every if self.every is not None else DAY_S / (self.per_day or 1.0)


def _read_arrivals(value: object) -> object:
    if isinstance(value, str) and value != "at once":
        refuse(f"must be at once, or a mapping such as {{every: 10 min}}, not {value[:40]!r}")
    return value


class Slack(Frozen):
    """A deadline that depends on how long a job is."""

    slack: AtLeastOne
    """Its length, on the chip it was measured on, times this."""


_deadline_s = quantity_reader("s", "2 d")


def _read_deadline(value: object) -> object:
    if isinstance(value, dict | Slack):
        return value
    return _deadline_s(value)


Deadline = Annotated[
    float | Slack,
    BeforeValidator(_read_deadline),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["2 d"]},
                {
                    "type": "object",
                    "properties": {"slack": {"type": "number", "minimum": 1, "maximum": 1000}},
                    "required": ["slack"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
    HowWritten("s", "{slack: 3}"),
]


@dataclass(frozen=True, slots=True)
class GeneratedJobs:
    """What the drawing of jobs needs, as plain numbers."""

    n_jobs: int
    gap_s: float
    """Mean time between arrivals; 0 if all come at once. [s]"""
    daily: tuple[float, ...]
    """Weights of the hours of a day; empty if all are alike."""
    sizes: tuple[int, ...]
    """Numbers of chips, rising."""
    size_shares: tuple[float, ...]
    laws: tuple[Law, ...]
    """Of the lengths, by size."""
    kinds: tuple[str, ...]
    kind_shares: tuple[float, ...]
    tenants: tuple[str, ...]
    tenant_shares: tuple[float, ...]
    """Names, sorted, and the share of the jobs of each."""
    slack: float
    """Deadline over length; inf for none."""
    deadline_s: float
    """Deadline of all; inf for none. [s]"""
    priority: int


class Workload(Frozen):
    """Many jobs: those of a file, or generated ones."""

    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = (
        (frozenset({"file"}), frozenset({"jobs"})),
        (frozenset({"length"}), frozenset({"lengths"}), frozenset({"preset"})),
        (frozenset({"speed"}), frozenset({"throughput"})),
    )
    tried = instead(
        ("trace log path csv jobs_file", "write file: jobs.csv, which computeplan import writes"),
        ("n n_jobs count number", "write jobs: 1000, how many are generated"),
        (
            "arrival rate interarrival every per_day poisson",
            "write arrivals: {every: 10 min}, or {per_day: 200, daily: [24 weights]}",
        ),
        ("sizes gpus num_gpus gang", "write chips: {8: 0.6, 64: 0.3, 512: 0.1}"),
        (
            "duration durations train_for runtime",
            "write length: {lognormal: {median: 2 h, p95: 3 d}}",
        ),
        ("oracle", "write throughput: throughput.csv, which computeplan import --oracle writes"),
        ("slack slo", "write deadline: {slack: 3}"),
        ("user users team tenant", "write tenants: {a: 0.7, b: 0.3}"),
    )

    file: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """A list of jobs beside the scenario, as computeplan import writes it."""
    jobs: Annotated[int, Field(gt=0, le=MAX_JOBS)] | None = None
    """How many jobs are generated."""
    preset: Annotated[str, Field(max_length=80)] | None = None
    """Sizes and lengths of a published trace: philly, helios, acme-seren, acme-kalos."""
    arrivals: Annotated[Arrivals | Literal["at once"] | None, BeforeValidator(_read_arrivals)] = (
        None
    )
    """When they come: {every: 10 min}, {per_day: 200, daily: [...]}, or at once; of a preset, as
    many a day as in the trace if left out."""
    chips: Sizes | None = None
    """How many chips they hold: a number, or shares of the jobs {8: 0.6, 64: 0.4}."""
    length: DurationLaw | None = None
    """How long they train on the chip they were measured on."""
    lengths: Lengths | None = None
    """The same by number of chips: {8: 2 h, 64: {expon: {mean: 1 d}}}."""
    kinds: NameShares | None = None
    """Which sort of jobs they are, as shares: kinds of the table of throughput."""
    tenants: NameShares | None = None
    """Whose they are, as shares."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Of the drawing; the seed of the simulation if left out."""
    checkpoint: Checkpoint | None = None
    """How all of them save."""
    elastic: ShrinkShare | None = None
    """A policy such as elastic-fifo may let them hold fewer chips: {least: 0.25, resize: 5 min}."""
    mixed: Mixed | None = None
    """A policy such as mixed-fifo may let them run on several pools at once: {efficiency: 0.9}."""
    deadline: Deadline | None = None
    """When they should have ended, from their arrival: 2 d, or {slack: 3} times their length; those
    of a file that say their own keep it."""
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    """The higher, the sooner; those of a file that say another keep it."""
    home: Name | None = None
    """The only pool on which policy silo may run them."""
    throughput: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """A table of speeds beside the scenario, by kind, chips and chip: throughput.csv."""
    on: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    """The chip that lengths were measured on; they hold on every chip if left out."""
    speed: dict[str, Positive] | None = None
    """How fast they train on other chips, over that on the chip of on; on others they cannot."""

    @model_validator(mode="after")
    def _is_complete(self) -> Workload:
        said_once(self, "say file, or jobs to generate", "file", "jobs")
        if self.file is not None:
            given = [name for name in _GENERATED if getattr(self, name) is not None]
            if given:
                refuse(f"{', '.join(given)}: of generated jobs; those of a file have their own")
        else:
            self._check_generated()
        if self.speed is not None and self.throughput is not None:
            refuse("say speed or throughput, not both")
        if self.speed is not None and self.on is None:
            refuse("speed needs on: the chip that lengths were measured on")
        if self.throughput is not None and self.on is None and self.file is None:
            refuse("throughput needs on: the chip that lengths were measured on")
        if self.speed is not None and self.speed.get(str(self.on), 1.0) != 1.0:
            refuse(f"speed.{self.on}: is the chip of on, so its speed is 1")
        return self

    def _check_generated(self) -> None:
        if self.preset is not None:
            load_preset(self.preset)
            given = [name for name in ("chips", "length", "lengths") if getattr(self, name)]
            if given:
                refuse(f"{', '.join(given)}: the preset {self.preset} says them")
            return
        if self.chips is None:
            refuse("say chips of the jobs, such as {8: 0.6, 64: 0.4}, or a preset")
        if self.arrivals is None:
            refuse("say arrivals, such as {every: 10 min}, or at once")
        said_once(self, "say length, or lengths by number of chips", "length", "lengths")
        if self.lengths is not None and self.lengths.keys() != self.chips.keys():
            refuse("lengths must have the same numbers of chips as chips")
        for law in (self.length, *(self.lengths or {}).values()):
            shortest = law.shapes[0] if law is not None and law.name == "seen" else 1.0
            if law is not None and (law.scale_s == 0 or shortest == 0):
                refuse("a job must train for some time: its length must be > 0")

    def generated(self) -> GeneratedJobs:
        """Return what is drawn, of a workload without a file.

        Raises
        ------
        ValueError
            If its jobs are those of a file.
        """
        if self.jobs is None:
            raise ValueError("the jobs of a file are not generated")
        gap_s = 0.0
        daily: tuple[float, ...] = ()
        if self.preset is not None:
            preset = load_preset(self.preset)
            total = math.fsum(size.share for size in preset.sizes.values())
            chips = {n: size.share / total for n, size in sorted(preset.sizes.items())}
            laws = tuple(preset.law(n) for n in chips)
            gap_s = preset.days * DAY_S / preset.jobs
        else:
            chips = dict(sorted((self.chips or {}).items()))
            by_size = self.lengths or dict.fromkeys(chips, self.length)
            laws = tuple(law for n in chips if (law := by_size[n]) is not None)
        if isinstance(self.arrivals, Arrivals):
            gap_s, daily = self.arrivals.gap_s, self.arrivals.daily or ()
        elif self.arrivals is not None:
            gap_s = 0.0
        kinds, tenants = _sorted(self.kinds), _sorted(self.tenants)
        due = self.deadline
        return GeneratedJobs(
            *(self.jobs, gap_s, daily, tuple(chips), tuple(chips.values()), laws),
            *(tuple(kinds), tuple(kinds.values()), tuple(tenants), tuple(tenants.values())),
            slack=due.slack if isinstance(due, Slack) else math.inf,
            deadline_s=due if isinstance(due, float) else math.inf,
            priority=self.priority,
        )


def _sorted(shares: Mapping[str, float] | None) -> dict[str, float]:
    """Return shares by name, sorted; without any, all jobs have an empty name."""
    return dict(sorted((shares or {"": 1.0}).items()))


_GENERATED = ("preset", "arrivals", "chips", "length", "lengths", "kinds", "tenants", "seed")


def work_per_s(
    workload: Workload,
    table: Throughput | None,
    kind: str,
    n_chips: int,
    chip: str,
    *,
    is_by_steps: bool,
) -> float:
    """Return how fast a sort of job does its work on a chip; 0 if it cannot run there. [1/s]

    Work is steps, or seconds of training on the chip that lengths were measured on.

    Parameters
    ----------
    workload : Workload
    table : Throughput or None
        The table that its ``throughput`` names.
    kind : str
        Of the job.
    n_chips : int
        That it holds.
    chip : str
        By the name that the workload and its table use.
    is_by_steps : bool
        Whether the work is steps.

    Raises
    ------
    ValueError
        If the work is steps and there is no table, or the table does not know the job on the chip
        that its length was measured on.

    Examples
    --------
    >>> jobs = Workload(file="jobs.csv", on="a", speed={"b": 0.5})
    >>> [work_per_s(jobs, None, "", 8, chip, is_by_steps=False) for chip in ("a", "b", "c")]
    [1.0, 0.5, 0.0]
    """
    if is_by_steps:
        if table is None:
            raise ValueError("jobs in steps need throughput: a table of steps per second")
        return table.of(kind, n_chips, chip)
    if workload.on is None or chip == workload.on:
        return 1.0
    if table is not None:
        base = table.of(kind, n_chips, workload.on)
        if not base:
            what = f"{kind or 'a job'} with {n_chips} chips on {workload.on}"
            raise ValueError(f"throughput has no row of {what}, where its length was measured")
        return table.of(kind, n_chips, chip) / base
    return (workload.speed or {}).get(chip, 0.0)
