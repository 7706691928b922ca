"""Services beside jobs: chips by hour, of which they give back what the hour does not need."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from computeplan.specs.fields import (
    MAX_COUNT,
    Frozen,
    HowWritten,
    Name,
    instead,
    refuse,
    said_once,
)

__all__ = ["HourlyChips", "Service"]

HOURS = (24, 168)
_HOW = "64, or a list of 24 numbers (one an hour of the day) or 168 (of the week)"


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT


def _read_chips(value: object) -> tuple[int, ...]:
    """Return one value, 24 or 168."""
    if not isinstance(value, list | tuple):
        if not isinstance(value, int) or not _whole(value) or value == 0:
            refuse(f"must be {_HOW}, in whole chips up to {MAX_COUNT}; not {value!r}")
        return (value,)
    if len(value) not in (1, *HOURS):
        refuse(f"must be {_HOW}; this list has {len(value)}")
    for hour, chips in enumerate(value):
        if not _whole(chips):
            message = f"hour {hour}: must be a whole number of chips from 0 to {MAX_COUNT}"
            refuse(f"{message}, not {chips!r}")
    if not any(value):
        refuse("a service needs chips in some hour; all are 0")
    return tuple(value)


_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MAX_COUNT}
HourlyChips = Annotated[
    tuple[int, ...],
    BeforeValidator(_read_chips),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_COUNT},
                *(
                    {"type": "array", "items": _COUNT, "minItems": n, "maxItems": n}
                    for n in (1, *HOURS)
                ),
            ],
            "examples": [64],
        }
    ),
    HowWritten("", "64 (or 24 numbers, one an hour)"),
]


class Service(Frozen):
    """Chips that a service holds and draws power on, by the hour; it knows nothing of requests."""

    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = (
        (frozenset({"pool"}), frozenset({"pools"})),
    )
    tried = instead(
        (
            (
                "requests request_rate qps rps queries users prompts prompt_tokens output_tokens"
                " ttft tpot itl slo latency latency_p99 concurrency throughput"
            ),
            (
                "requests are not simulated: write how many chips they need, chips: 64, or 24"
                " numbers, one an hour of the day"
            ),
        ),
        (
            (
                "gpus num_gpus n_gpus gpu_count num_chips n_chips nodes num_nodes n_nodes replicas"
                " npus accelerators"
            ),
            "write chips: 64, or 24 numbers, one an hour of the day",
        ),
        ("hours hourly by_hour schedule profile load demand", "write chips: [24 numbers]"),
        ("min minimum min_chips min_replicas floor reserved at_least", "write least: 16, in chips"),
        ("max maximum max_chips max_replicas most", "chips says how many; write chips: 64"),
        ("cluster clusters site sites partition home", "write pool: POOL (or pools: [A, B])"),
        (
            "chip gpu gpu_type accelerator device",
            "the kind of chip is the pool's: sites.NAME.pools.NAME.chip",
        ),
        ("user team owner project", "write tenant: NAME"),
        ("model tokens batch parallelism mfu", "a service states its chips: write chips: 64"),
        ("weight preemptible preemption", "write priority: 10, the higher the sooner"),
    )

    pool: Name | None = None
    """The pool whose chips it holds."""
    pools: Annotated[tuple[Name, ...] | None, Field(min_length=1)] = None
    """Pools whose chips it holds: those of the first first."""
    chips: HourlyChips
    """Chips it needs: one number, or one for each hour of the day (24) or of the week (168); a run
    begins with the first hour."""
    least: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0
    """Chips it holds at all hours, whatever waits for them; no more than it needs in any hour."""
    priority: Annotated[int, Field(ge=0, le=1000)] = 0
    """Of what it needs beyond the least, among jobs and services: the higher, the sooner."""
    tenant: Name | None = None
    """Who it belongs to."""

    @model_validator(mode="after")
    def _consistent(self) -> Service:
        said_once(self, "say once where it runs, as pool or pools", "pool", "pools")
        for i, name in enumerate(self.pools or ()):
            if name in (self.pools or ())[:i]:
                refuse(f"pools: '{name}' is named twice")
        for hour, chips in enumerate(self.chips):
            if chips < self.least:
                when = "" if len(self.chips) == 1 else f" of hour {hour}"
                refuse(
                    f"least: {self.least} is more than the {chips} chips{when}; a service holds its"
                    " least at all hours"
                )
        return self

    @property
    def pool_names(self) -> tuple[str, ...]:
        """Its pools, the first first."""
        return self.pools or (str(self.pool),)
