"""The fields of a scenario: what a person may write at the root of the file, and how it is run."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
    model_validator,
)

from computeplan.specs.catalogue.fault_mixes import mix_names
from computeplan.specs.faults import FaultKind
from computeplan.specs.fields import (
    Count,
    Frozen,
    Name,
    PositiveDuration,
    Title,
    instead,
    refuse,
)
from computeplan.specs.jobs import Job
from computeplan.specs.maintenance import PlannedStop
from computeplan.specs.money import Currency, Exchange, Money, read_exchange
from computeplan.specs.scheduling import Policy, PolicyChoice, Tenant
from computeplan.specs.services import Service
from computeplan.specs.sites import Pool, Site
from computeplan.specs.varying import StartOfYear
from computeplan.specs.workloads import Workload

__all__ = ["ScenarioFields", "Simulate"]


class Simulate(Frozen):
    """How long, how often, from which seed and by which engine."""

    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = (
        (frozenset({"horizon"}), frozenset({"at_most"})),
    )
    tried = instead(
        ("n_runs num_runs replications samples trials repeats iterations", "write runs: 200"),
        ("random_seed rng", "write seed: 1"),
        ("workers processes parallel jobs", "is of the command line: computeplan run --workers 2"),
    )

    horizon: PositiveDuration | None = None
    """Wall time at which a run ends, whatever is done, and to which everything is counted; without
    it a run ends with its last job."""
    at_most: PositiveDuration | None = None
    """Wall time at which a run is cut if its last job has not ended before."""
    start: StartOfYear | None = None
    """Day, and time of day at the sites, at which a run begins, such as 2026-07-01 08:00, for what
    varies at sites; the first of January at midnight if left out."""
    runs: Count = 200
    """Replications of each case."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Root of all that is drawn."""
    inputs: Literal["drawn", "fixed"] = "drawn"
    """Whether inputs that are not known exactly are drawn once a run, or all at their nominal
    value: step times as priced or given, rates of another chip at the mean of their factor."""
    engine: Literal["auto", "event", "batch"] = "auto"
    """auto takes batch where it can play the scenario."""

    @model_validator(mode="after")
    def _one_end(self) -> Simulate:
        if self.horizon is not None and self.at_most is not None:
            refuse(
                "horizon and at_most both end a run; keep horizon to count every run to that time,"
                " or at_most to let it end with its last job, but not later than that"
            )
        return self


def _with_mix(schema: dict[str, Any]) -> None:
    """Let `mix` stand among the kinds; what stands beside it may change kinds of the mix."""
    (kind,) = schema.pop("patternProperties").values()
    mix: dict[str, JsonValue] = {"enum": [*mix_names()], "description": "A shipped mix of faults."}
    schema["if"] = {"required": ["mix"]}
    schema["then"] = {
        "properties": {"mix": mix},
        "additionalProperties": {"type": ["object", "null"]},
    }
    schema["else"] = {"additionalProperties": kind}


Crossed = dict[str, Annotated[list[Any], Field(min_length=1)]]
Zipped = Annotated[list[Annotated[dict[str, Any], Field(min_length=1)]], Field(min_length=1)]


def _kind_of_sweep(value: object) -> str:
    return "zipped" if isinstance(value, list) else "crossed"


class ScenarioFields(Frozen):
    """What a person writes; `computeplan.specs.scenario.Scenario` is this, read and checked."""

    tried = instead(
        (
            "cny_per_usd exchange_rate fx",
            "write exchange: {rate: 0.14 USD/CNY, on: 2026-11-01}",
        ),
        (
            "region regions cluster clusters datacenter datacenters zone zones location",
            "write sites: {NAME: {pue: 1.2, pools: {NAME: {chip: nvidia/h100-sxm, chips: 16}}}}",
        ),
        (
            (
                "pool pools gpu gpus num_gpus node nodes num_nodes hosts servers hardware devices"
                " accelerators chip"
            ),
            (
                "chips stand in pools of a site: sites: {NAME: {pue: 1.2, pools: {NAME:"
                " {chip: nvidia/h100-sxm, chips: 16}}}}"
            ),
        ),
        (
            "workload task tasks training train",
            "write jobs: {NAME: {model: meta/llama-3.1-70b, tokens: 1 Ttoken, chips: 16, ...}}",
        ),
        ("model", "a job names its model: jobs.NAME.model; models holds your own"),
        (
            "requests request_rate qps inference serving service ttft tpot latency slo",
            (
                "write services: {NAME: {model: MODEL, requests: {per_s: 20, tokens: {in: 1155,"
                " out: 211}}, pools: {POOL: {engine: vllm, precision: fp8}}}}, or only its chips:"
                " {NAME: {pool: POOL, chips: 64}}"
            ),
        ),
        (
            "failure failures mtbf mttf mttr failure_rate",
            (
                "write faults: {NAME: {mtbf: 50 kh, per: chip, takes: node, restart: 10 min,"
                " repair: 20 h}}"
            ),
        ),
        (
            "maintenance planned_stops stops outages",
            "write planned: {NAME: {every: 30 d, lasts: 4 h}}",
        ),
        (
            "scheduler schedule policies scheduling",
            (
                "write policy: first-fit; to compare several,"
                " cases: {a: {policy: silo}, b: {policy: first-fit}}"
            ),
        ),
        ("scenarios variants compare", "write cases: {a: {}, b: {PATH: VALUE}}"),
        ("simulation sim run runs seed horizon engine", "write simulate: {runs: 200, seed: 1}"),
        (
            "price carbon pue electricity storage",
            "belongs to a site: sites.NAME: {pue: 1.2, price: 0.08 USD/kWh, carbon: 400 g/kWh}",
        ),
        ("rent spares", "belongs to a pool: sites.NAME.pools.NAME"),
        (
            "checkpoint checkpoints tokens batch seq parallelism mfu deadline",
            "belongs to a job: jobs.NAME",
        ),
        ("description title comment notes", "write about: what the scenario shows"),
        ("version schema_version format", "write computeplan: 1"),
    )

    replaced_whole: ClassVar[frozenset[str]] = frozenset({"cases", "sweep"})

    computeplan: Literal[1]
    """Version of the scenario format."""
    name: Name
    """Names the results folder."""
    about: Annotated[str, StringConstraints(max_length=4000)] = ""
    """What the scenario shows."""
    asks: Literal["time", "energy", "cost", "carbon", "availability", "deadline"] | None = None
    """By what cases are compared; without it the deadline if a job has one, else the time."""
    extends: str | None = Field(default=None, exclude=True)
    """A scenario to start from: a file in the same folder, or a shipped name."""
    chips: dict[str, Any] = Field(default_factory=dict)
    """Chips of your own, by name."""
    models: dict[str, Any] = Field(default_factory=dict)
    """Models of your own, by name."""
    currency: Currency = "USD"
    """USD or CNY: in which results tell money."""
    exchange: Annotated[Exchange | None, BeforeValidator(read_exchange)] = Field(
        default=None,
        validation_alias=AliasChoices("exchange", "usd_per_cny"),  # the latter of earlier files
    )
    """For prices in the other currency: {rate: 0.14 USD/CNY, on: 2026-11-01}."""
    sites: dict[Name, Site] = Field(min_length=1)
    """Sites by name."""
    faults: dict[Name, FaultKind] = Field(default_factory=dict, json_schema_extra=_with_mix)
    """Fault kinds by name, `mix: NAME` for those of a shipped mix; nothing fails if left out."""
    planned: dict[Name, PlannedStop] = Field(default_factory=dict)
    """Planned stops by name."""
    jobs: dict[Name, Job] = Field(default_factory=dict)
    """Jobs by name."""
    workloads: dict[Name, Workload] = Field(default_factory=dict)
    """Many jobs at once, by name: those of a file, or generated ones."""
    services: dict[Name, Service] = Field(default_factory=dict)
    """Services by name: chips held beside the jobs, as stated by the hour or for requests."""
    policy: Policy = PolicyChoice(name="first-fit")
    """Who runs where, when: the name of a policy, or {name: NAME, SETTING: VALUE}."""
    tenants: dict[Name, Tenant] = Field(default_factory=dict)
    """Whose jobs they are, by name: weights and quotas. Jobs may name others too."""
    cases: dict[Title, dict[str, object] | None] = Field(default_factory=dict)
    """Variants to compare: name -> {path: value}."""
    sweep: Annotated[
        Annotated[Crossed, Tag("crossed")] | Annotated[Zipped, Tag("zipped")],
        Discriminator(_kind_of_sweep),
    ] = Field(default_factory=dict)
    """Axes to cross with every case: path -> list of values, each value with each of the other
    axes; or a list of points, each path -> value, whose paths move together."""
    simulate: Simulate = Field(default_factory=Simulate)
    """Horizon, runs, seed, engine."""

    @model_validator(mode="after")
    def _has_jobs(self) -> ScenarioFields:
        if not self.jobs and not self.workloads and not self.services:
            refuse("say what is to run: jobs, workloads or services")
        return self

    def worth(self, price: Money | None) -> float:
        """Return a price in the currency of the results; nan if there is none."""
        rate = math.nan if self.exchange is None else self.exchange.rate
        return math.nan if price is None else price.worth(self.currency, rate)

    def pool(self, name: str) -> Pool:
        """Return a pool as written."""
        return next(site.pools[name] for site in self.sites.values() if name in site.pools)

    @property
    def pool_names(self) -> list[str]:
        """Names of all pools, in the order written."""
        return [name for site in self.sites.values() for name in site.pools]
