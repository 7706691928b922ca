"""How a service answers: within which times, by which engine, scaled how.

An engine runs on the chips of some makers (``data/serving_engines.yaml``). Without a layout the one
is taken that serves most within the limits; ``shares: {table: step_s.csv}`` puts measured times of
steps in the place of what is fitted, for an engine of any name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from computeplan.specs.catalogue.serving import engine_of, serving_tables
from computeplan.specs.fields import (
    MAX_COUNT,
    Duration,
    Fraction,
    Frozen,
    HowWritten,
    PositiveDuration,
    Share,
    instead,
    refuse,
)
from computeplan.units import HOUR_S, MAX_TEXT

__all__ = [
    "Drafts",
    "LatencyLimits",
    "Role",
    "Scaling",
    "ServingLayout",
    "ServingPool",
    "Shares",
]

Role = Literal["both", "prefill", "decode"]
"""What an instance does of a request."""
MOST_DRAFTED = 64

MOST_SCALE_S = 12 * HOUR_S
_PART = re.compile(r"(tp|pp|dp|ep)([1-9][0-9]{0,6})")


class LatencyLimits(Frozen):
    """Times that a share of requests may take at most."""

    tried = instead(
        ("ttft", "write ttft_p99: 1 s (or ttft_p95, ttft_p50)"),
        ("tpot itl tbt inter_token_latency", "write tpot_p99: 50 ms (or tpot_p95, tpot_p50)"),
        ("itl_p99 tbt_p99", "write tpot_p99: 50 ms"),
        (
            "ttft_p90 ttft_mean ttft_max",
            "percentiles are p50, p95 and p99: write ttft_p95: 1 s",
        ),
        (
            "tpot_p90 tpot_mean tpot_max",
            "percentiles are p50, p95 and p99: write tpot_p95: 50 ms",
        ),
        ("latency latency_p99 e2e e2e_p99", "write ttft_p99: 1 s and tpot_p99: 50 ms"),
        ("tokens_per_s tok_s speed interactivity", "write tpot_p50: 20 ms: 50 tokens a second"),
        ("uptime sla nines", "write availability: 0.999"),
    )

    ttft_p50: PositiveDuration | None = None
    """Time to the first token that half of the requests keep."""
    ttft_p95: PositiveDuration | None = None
    """That 95 % keep."""
    ttft_p99: PositiveDuration | None = None
    """That 99 % keep."""
    tpot_p50: PositiveDuration | None = None
    """Time of each further token, a mean of the answer, that half of the requests keep."""
    tpot_p95: PositiveDuration | None = None
    """That 95 % keep."""
    tpot_p99: PositiveDuration | None = None
    """That 99 % keep."""
    availability: Share | None = None
    """Share of time in which the instances that the load needs are there, faults counted; without
    it there are as many as the load needs."""

    @model_validator(mode="after")
    def _rising(self) -> LatencyLimits:
        for what in ("ttft", "tpot"):
            said = [
                (key, value)
                for key in (f"{what}_p50", f"{what}_p95", f"{what}_p99")
                if (value := getattr(self, key)) is not None
            ]
            for (lower, less), (higher, more) in pairwise(said):
                if less > more:
                    refuse(f"{lower} must be at most {higher}; got {less:g} s and {more:g} s")
        return self

    def limits_s(self, what: Literal["ttft", "tpot"]) -> dict[float, float]:
        """Return the limits of one time by percentile. [s]"""
        found = {p: getattr(self, f"{what}_p{p}") for p in (50, 95, 99)}
        return {p / 100: float(value) for p, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ServingLayout:
    """How an instance is split over chips."""

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1

    @property
    def n_ranks(self) -> int:
        """Ranks of an instance; those of experts are among them."""
        return self.tp * self.pp * self.dp


def _read_layout(value: object) -> ServingLayout:
    how = "'tp8', or several parts as 'tp8 pp2' (of tp, pp, dp, ep)"
    if isinstance(value, ServingLayout):
        return value
    if not isinstance(value, str):
        refuse(f"must be {how}, not {value!r:.60}")
    found: dict[str, int] = {}
    for part in value.casefold().replace(",", " ").split():
        match = _PART.fullmatch(part)
        if match is None or match[1] in found:
            refuse(f"must be {how}, not {value!r:.60}")
        found[match[1]] = int(match[2])
    layout = ServingLayout(**found)
    if not found or layout.n_ranks > MAX_COUNT:
        refuse(f"must be {how}, not {value!r:.60}")
    if layout.n_ranks % layout.ep:
        refuse(f"ep{layout.ep} must divide the {layout.n_ranks} ranks of tp x pp x dp")
    return layout


@cache
def _engines() -> dict[str, str]:
    """Return what engines are called, by the same in small letters."""
    entries = serving_tables().engines
    names = dict.fromkeys([*(n for e in entries.values() for n in e.names), *entries])
    return {name.casefold(): name for name in reversed(names)}


def _read_engine(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        refuse(f"must be the name of an engine, such as vllm, not {value!r:.60}")
    name = value.strip().casefold().replace("_", "-").replace(" ", "-")
    return {"trt-llm": "tensorrt-llm", "trtllm": "tensorrt-llm"}.get(name, name)


class Shares(Frozen):
    """Measured times of steps, in the place of what is fitted."""

    tried = instead(("file csv steps step_s", "write table: step_s.csv"))

    table: str
    """A file of one's own with the times of steps, by sequences and tokens."""


class Drafts(Frozen):
    """Tokens that a small model or further heads draft, and the model checks in one step."""

    tried = instead(
        (
            "k n tokens steps draft_tokens draft_steps num_speculative_tokens speculative_tokens",
            "write draft: 3, tokens drafted a step",
        ),
        (
            "rate acceptance acceptance_rate acceptance_length accept accept_length accept_len",
            "write accepted: 2.9, tokens that a step yields, the model's own included",
        ),
        ("method model mtp eagle eagle3 medusa ngram", "write draft: 3 and accepted: 2.9"),
    )

    draft: Annotated[float, Field(gt=0, le=MOST_DRAFTED)]
    """Tokens drafted a step, of each request."""
    accepted: Annotated[float, Field(ge=1, le=MOST_DRAFTED + 1)]
    """Tokens that a step yields, of each request, the model's own included; as measured, for it
    depends on the drafts and on what is asked."""

    @model_validator(mode="after")
    def _within(self) -> Drafts:
        if self.accepted > self.draft + 1:
            refuse(
                f"accepted: a step yields at most its {self.draft:g} drafts and one token of the"
                f" model's own; got {self.accepted:g}"
            )
        return self


class ServingPool(Frozen):
    """What a service runs on the chips of a pool."""

    tried = instead(
        (
            "framework software runtime backend server",
            "write engine: vllm (or tensorrt-llm, sglang, mindie)",
        ),
        ("dtype quantization quant weights bits", "write precision: fp8"),
        ("kv_cache cache kv_dtype cache_dtype kv_cache_dtype", "write kv: fp8"),
        ("parallelism tp pp ep dp tensor_parallel", "write layout: tp8"),
        ("table step_s steps", "write shares: {table: step_s.csv}"),
        ("instances replicas chips gpus n", "follows from the requests and the limits"),
        ("concurrency", "follows from the memory and the limits; or write max_batch: 64"),
        (
            "batch batch_size max_num_seqs max_sequences",
            "follows from the memory and the limits; or write max_batch: 64",
        ),
        ("chip gpu", "the kind of chip is the pool's: sites.NAME.pools.NAME.chip"),
        (
            (
                "speculative spec spec_decode speculative_decoding speculative_config mtp eagle"
                " eagle3 medusa draft drafts draft_model num_speculative_tokens accepted"
            ),
            "write speculation: {draft: 3, accepted: 2.9}",
        ),
        (
            "role prefill decode disaggregated disaggregation pd",
            "of the service, in the place of pools: prefill: {POOL: {...}} and decode: {...}",
        ),
    )

    engine: Annotated[
        str,
        BeforeValidator(_read_engine),
        WithJsonSchema({"type": "string", "examples": ["vllm"]}),
        HowWritten("", "vllm"),
    ]
    """What serves: tensorrt-llm, vllm, sglang, vllm-ascend or mindie, and others that were
    measured; with a table of one's own, any name."""
    precision: Literal["fp16", "bf16", "fp8", "fp4", "int8", "int4", "w4a8"]
    """Of the weights; w4a8 has weights of 4 bits and products of 8."""
    kv: Literal["fp16", "bf16", "fp8", "int8", "fp4"] = "bf16"
    """Of the cache of keys and values."""
    layout: (
        Annotated[
            ServingLayout,
            BeforeValidator(_read_layout),
            WithJsonSchema({"type": "string", "examples": ["tp8"]}),
            HowWritten("", "tp8"),
        ]
        | None
    ) = None
    """How an instance is split, such as tp8 or tp8 pp2; the best one if left out."""
    max_batch: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = None
    """Requests that an instance answers at once, at most (each of its data parallel ranks); as many
    as the engine does if left out."""
    speculation: Drafts | None = None
    """Tokens that are drafted and checked a step; none if left out."""
    shares: Shares | None = None
    """Measured times of steps in the place of what is fitted: {table: step_s.csv}."""

    @model_validator(mode="after")
    def _known(self) -> ServingPool:
        known = _engines()
        if self.engine not in known and self.shares is None:
            names = ", ".join(dict.fromkeys(reversed(known.values())))
            refuse(
                f"engine must be one of {names} (any name with shares: {{table: step_s.csv}}),"
                f" not {self.engine!r}"
            )
        if self.speculation is not None and self.shares is not None:
            refuse(
                "speculation: steps of a table were measured with their drafts; leave it out, and"
                " write their times over the tokens that a step yields"
            )
        return self

    def refusal(self, chip: str) -> str:
        """Return why the engine does not run on a chip, by its full name; nothing if it does."""
        if self.shares is not None:
            return ""
        try:
            engine_of(self.engine, chip)
        except ValueError as error:
            return str(error)
        return ""


class Scaling(Frozen):
    """Instances come and go with the load."""

    tried: ClassVar[Mapping[str, str]] = instead(
        ("boot startup start_up start_time cold_start warm_up warmup", "write start: 3 min"),
        ("stop shutdown drain_time grace", "write drain: 2 min"),
        ("utilization utilisation load target_utilization", "write target: 0.8"),
        (
            "min max least most replicas instances",
            "the least is that of the service, in chips: least: 16",
        ),
        ("every interval lookback window", "an hour's load is met at its beginning"),
    )

    start: PositiveDuration
    """From the call for an instance until it answers: boot, weights, graphs."""
    drain: Duration | None = None
    """From the call to end one until its chips are free; as long as its longest answer if left
    out."""
    target: Fraction = 1.0
    """Load of an instance over what holds the limits; the rest is head-room."""

    @model_validator(mode="after")
    def _within_a_day(self) -> Scaling:
        for key, took_s in (("start", self.start), ("drain", self.drain)):
            if took_s is not None and took_s > MOST_SCALE_S:
                refuse(
                    f"{key}: must be at most 12 h, got {took_s / HOUR_S:g} h: with longer ones"
                    " instances do not follow a day; leave out scale for as many at all hours"
                )
        return self
