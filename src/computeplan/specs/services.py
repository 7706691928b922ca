"""Services beside jobs: chips by hour, of which they give back what the hour does not need.

A service either states its chips, or the requests to a model: how many chips they take
then follows from the load, the limits on latency and what each pool runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from computeplan.specs.fields import (
    MAX_COUNT,
    Fraction,
    Frozen,
    HowWritten,
    Name,
    instead,
    refuse,
    said_once,
)
from computeplan.specs.jobs import ModelName
from computeplan.specs.requests import Requests
from computeplan.specs.serving import LatencyLimits, Role, Scaling, ServingPool

__all__ = ["KEY_OF_ROLE", "Choice", "HourlyChips", "Service", "in_role", "role_of"]

Choice = Literal["cost", "energy", "carbon"]
"""What pools can be chosen by."""

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


def _kind_of_pools(value: object) -> str:
    return "run" if isinstance(value, dict) else "named"


RunOnPools = Annotated[dict[Name, ServingPool], Field(min_length=1)]
PoolsOfService = Annotated[
    Annotated[tuple[Name, ...], Field(min_length=1), Tag("named")]
    | Annotated[RunOnPools, Tag("run")],
    Discriminator(_kind_of_pools),
]

OF_LOAD = (
    *("model", "requests", "slo", "scale", "choose", "lend", "derating", "balance"),
    *("prefill", "decode"),
)
"""Keys of a service whose chips follow from its requests."""
KEY_OF_ROLE: Mapping[Role, str] = {"both": "pools", "prefill": "prefill", "decode": "decode"}
"""What instances do of a request -> under which key it stands what they run on their pools."""


def in_role(name: str, role: Role) -> str:
    """Return what the instances of a service that have a role are called.

    As the path to them is written; no service is named so, as names have no dot.

    Examples
    --------
    >>> in_role("chat", "both"), in_role("chat", "decode")
    ('chat', 'chat.decode')
    """
    return name if role == "both" else f"{name}.{role}"


def role_of(called: str) -> tuple[str, Role]:
    """Return the service and the role of what `in_role` calls so.

    Examples
    --------
    >>> role_of("chat"), role_of("chat.decode")
    (('chat', 'both'), ('chat', 'decode'))
    """
    name, _, role = called.partition(".")
    return name, next((one for one in KEY_OF_ROLE if one == role), "both")


def _read_lend(value: object) -> object:
    if not isinstance(value, bool):
        refuse(
            "must be true or false: what an hour does not need goes to who waits, by priority, and"
            f" least is what stays; not {value!r:.60}"
        )
    return value


class Service(Frozen):
    """Chips that a service holds and draws power on: as stated by the hour, or for its requests."""

    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = (
        (frozenset({"pool"}), frozenset({"pools"}), frozenset({"prefill", "decode"})),
        (frozenset({"chips"}), frozenset(OF_LOAD)),
    )
    tried = instead(
        (
            "request_rate qps rps per_day per_hour per_s rate load demand queries users prompts",
            "write requests: {per_s: 20, tokens: {in: 1155, out: 211}}, and model: MODEL",
        ),
        (
            "prompt_tokens output_tokens tokens in out input output lengths",
            "write requests: {per_s: 20, tokens: {in: 1155, out: 211}}",
        ),
        (
            "ttft tpot itl latency latency_p99 sla availability ttft_p99 tpot_p99",
            "write slo: {ttft_p99: 1 s, tpot_p99: 50 ms, availability: 0.999}",
        ),
        ("concurrency throughput batch", "follows from the requests and the limits of slo"),
        (
            (
                "gpus num_gpus n_gpus gpu_count num_chips n_chips nodes num_nodes n_nodes replicas"
                " npus accelerators"
            ),
            "write chips: 64, or 24 numbers, one an hour of the day",
        ),
        ("hours hourly by_hour schedule profile", "write chips: [24 numbers]"),
        ("min minimum min_chips min_replicas floor reserved at_least", "write least: 16, in chips"),
        ("max maximum max_chips max_replicas most", "chips says how many; write chips: 64"),
        ("cluster clusters site sites partition home", "write pool: POOL (or pools: [A, B])"),
        (
            "chip gpu gpu_type accelerator device",
            "the kind of chip is the pool's: sites.NAME.pools.NAME.chip",
        ),
        (
            "engine precision kv layout quantization framework shares",
            "of each pool: pools: {POOL: {engine: vllm, precision: fp8}}",
        ),
        (
            "parallelism tp",
            "of each pool: pools: {POOL: {engine: vllm, precision: fp8, layout: tp8}}",
        ),
        (
            (
                "disaggregated disaggregation disagg pd pd_disaggregation xpyd roles role"
                " prefill_pool prefill_pools decode_pool decode_pools prefill_decode"
            ),
            (
                "in the place of pools: prefill: {POOL: {engine: vllm, precision: fp8}} and decode:"
                " {POOL: {...}}"
            ),
        ),
        (
            (
                "speculation speculative spec_decode speculative_decoding mtp eagle eagle3 medusa"
                " draft draft_model num_speculative_tokens"
            ),
            (
                "of each pool: pools: {POOL: {engine: vllm, precision: fp8, speculation: {draft: 3,"
                " accepted: 2.9}}}"
            ),
        ),
        ("mfu", "follows from the engine; a table of one's own: pools.POOL.shares"),
        ("autoscale autoscaling scaling start drain", "write scale: {start: 3 min, drain: 2 min}"),
        ("lending lends share_with borrow", "write lend: true"),
        ("safety headroom margin overhead", "write derating: 0.7, or scale: {target: 0.8}"),
        ("by order prefer sort choice asks", "write choose: cost (or energy, carbon)"),
        ("user team owner project", "write tenant: NAME"),
        ("weight preemptible preemption", "write priority: 10, the higher the sooner"),
    )

    pool: Name | None = None
    """The pool whose chips it holds, of a service that states them."""
    pools: PoolsOfService | None = None
    """Pools whose chips it holds, those of the first first; of a service with requests each with
    what it runs there: {POOL: {engine: vllm, precision: fp8}}."""
    prefill: RunOnPools | None = None
    """In the place of `pools`: pools on which instances take in prompts, and what they run there;
    the cache of each goes to an instance of `decode`."""
    decode: RunOnPools | None = None
    """Pools on which other instances answer, and what they run there."""
    choose: Choice | None = None
    """Fill the pools of a service with requests by what a request takes on each, the least first:
    cost, energy or carbon; in the order in which they are written if left out."""
    chips: HourlyChips | None = None
    """Chips it needs: one number, or one for each hour of the day (24) or of the week (168); a run
    begins with the first hour."""
    model: ModelName | None = None
    """Instead of chips: the model that answers requests."""
    requests: Requests | None = None
    """Requests to the model: how many, when, how long."""
    slo: LatencyLimits | None = None
    """Latency and availability that it must keep."""
    scale: Scaling | None = None
    """How instances come and go with the load; without it there are as many at all hours as the
    highest needs."""
    lend: Annotated[bool, BeforeValidator(_read_lend)] = False
    """Whether jobs may have the chips that an hour does not need; if not, it holds them idle."""
    derating: Fraction = 0.7
    """Rate in production over that of a benchmark. DeepSeek states both of its own servers: 0.51
    of its profile for requests, 0.80 for answers."""
    balance: Fraction = 0.94
    """Rate of instances of several kinds behind one balancer over the sum of their own; measured
    of two kinds, MLPerf Inference 5.1: 0.91 to 0.97."""
    least: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0
    """Chips it holds at all hours, whatever waits for them; no more than it needs in any hour. With
    prefill and decode, of each."""
    priority: Annotated[int, Field(ge=0, le=1000)] = 0
    """Of what it needs beyond the least, among jobs and services: the higher, the sooner."""
    tenant: Name | None = None
    """Who it belongs to."""

    @model_validator(mode="after")
    def _consistent(self) -> Service:
        if (self.prefill is None) != (self.decode is None):
            lacks = "prefill" if self.prefill is None else "decode"
            refuse(
                f"{lacks} is missing: prompts and answers each need pools, prefill: {{POOL:"
                " {engine: vllm, precision: fp8}} and decode: {POOL: {...}}; or write pools"
            )
        self._check_kind()
        how = "say once where it runs, as pool or pools, or as prefill and decode"
        said_once(self, how, "pool", "pools", "prefill")
        self._check_roles()
        if self.pools is not None:
            for i, name in enumerate(self.pool_names):
                if name in self.pool_names[:i]:
                    refuse(f"pools: '{name}' is named twice")
        for hour, chips in enumerate(self.chips or ()):
            if chips < self.least:
                when = "" if len(self.chips or ()) == 1 else f" of hour {hour}"
                refuse(
                    f"least: {self.least} is more than the {chips} chips{when}; a service holds its"
                    " least at all hours"
                )
        return self

    def _check_kind(self) -> None:
        """Refuse a service of which both chips and requests are said, or only a part of one."""
        fields = type(self).model_fields
        of_load = [key for key in OF_LOAD if getattr(self, key) != fields[key].default]
        how = "say either its chips, or model and requests"
        if self.chips is not None and of_load:
            refuse(f"{how}; got chips and {' and '.join(of_load)}")
        if self.chips is None and (self.model is None or self.requests is None):
            lacks = [key for key in ("model", "requests") if getattr(self, key) is None]
            got = f"got {' and '.join(of_load)}, without {' and '.join(lacks)}"
            refuse(f"{how}; {got if of_load else 'got none'}")
        if self.chips is None and not self.roles:
            refuse(
                "a service with requests says what each pool runs, pools: {POOL: {engine: vllm,"
                " precision: fp8}}"
            )
        if self.chips is not None and self.roles:
            refuse("pools: of a service that states its chips they are a list, pools: [A, B]")
        if self.lend and self.scale is None:
            refuse(
                "lend: instances that are lent end and start again; say in what time, scale:"
                " {start: 3 min, drain: 2 min}"
            )

    def _check_roles(self) -> None:
        """Refuse drafts of prompts, and caches that decode does not read as prefill wrote them."""
        for pool, run in (self.prefill or {}).items():
            if run.speculation is not None:
                refuse(
                    f"prefill.{pool}.speculation: prompts are not drafted; write it of the pools of"
                    " decode"
                )
        caches = {run.kv: f"{role}.{pool}" for role, pool, run in self.runs if role != "both"}
        if len(caches) > 1:
            said = " and ".join(f"{kv} of {where}" for kv, where in caches.items())
            refuse(f"kv: decode reads the cache that prefill wrote, so it is the same; got {said}")

    @property
    def pool_names(self) -> tuple[str, ...]:
        """Its pools, the first first."""
        if self.roles:
            return tuple(dict.fromkeys(pool for _, pool, _ in self.runs))
        return self.pools if isinstance(self.pools, tuple) else (str(self.pool),)

    @property
    def roles(self) -> dict[Role, dict[str, ServingPool]]:
        """What a service with requests runs on each pool, by what instances do of a request."""
        if self.prefill is not None and self.decode is not None:
            return {"prefill": self.prefill, "decode": self.decode}
        return {"both": self.pools} if isinstance(self.pools, dict) else {}

    @property
    def runs(self) -> list[tuple[Role, str, ServingPool]]:
        """The same one by one: role, pool, and what it runs there."""
        return [(role, *one) for role, runs in self.roles.items() for one in runs.items()]
