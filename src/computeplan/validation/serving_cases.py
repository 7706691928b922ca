"""The file of published serving measurements: what a row may say, and how it is read.

A row is one instance of one engine: a model at a precision on so many chips, the lengths of its
requests, how many there are at once, and what was measured. A key that is not known and a number
that cannot be are errors with their place. A chip or a model that the catalogue lacks is none: the
row keeps its place, with the reason, and is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from computeplan.errors import ScenarioError
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import load_chip, load_model
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Count, Frozen, Positive, instead, refuse

__all__ = [
    "KINDS",
    "NUMBERS",
    "Measured",
    "ServingCase",
    "ServingRow",
    "Speculative",
    "published_serving",
    "read_serving",
]

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "static": ("input_len", "output_len", "batch"),
        "offline": ("input_len", "output_len"),
        "closed": ("input_len", "output_len", "concurrency"),
        "server": ("input_len", "output_len", "slo"),
        "interactive": ("input_len", "output_len", "slo"),
        "disagg": ("input_len", "output_len"),
        "prefill": ("input_len", "tokens_per_chip"),
        "decode": ("context_len",),
        "first_token": ("input_len",),
        "single_stream": (),
    }
)
"""How a row was measured -> what such a row must say beside chip, model and precision."""

NUMBERS: Mapping[str, str] = MappingProxyType(
    {
        "fp16": "fp16",
        "bf16": "bf16",
        "fp8": "fp8",
        "fp4": "fp4",
        "nvfp4": "fp4",
        "mxfp4": "fp4",
        "int8": "int8",
        "w8a8": "int8",
        "int4": "int4",
        "uint4": "int4",
        "w4a16": "int4",
        "w4a8": "w4a8",
        "int8+fp16": "int8",
    }
)
"""What sources call a precision of weights, in small letters -> how it is called here."""

SATURATED = "saturated"

Length = Annotated[float, Field(ge=1, le=1e8)]
Figure = Annotated[float, Field(ge=1e-9, le=1e15)]


class Speculative(Frozen):
    """Tokens that are guessed ahead and checked in one step."""

    accept_length: Annotated[float, Field(ge=1, le=100)]
    """Tokens that a step yields, mean."""
    draft_steps: Count | None = None
    """Tokens that are guessed ahead."""


class Measured(Frozen):
    """What was measured, of the whole instance unless its name says otherwise."""

    output_tok_per_s: Figure | None = None
    input_tok_per_s: Figure | None = None
    tok_per_s_per_user: Figure | None = None
    tok_per_s_per_card: Figure | None = None
    ttft_ms: Figure | None = None
    ttft_mean_ms: Figure | None = None
    ttft_p99_ms: Figure | None = None
    tpot_ms: Figure | None = None
    tpot_mean_ms: Figure | None = None
    tpot_p99_ms: Figure | None = None
    tpot_max_ms: Figure | None = None
    itl_p50_ms: Figure | None = None
    itl_p99_ms: Figure | None = None
    latency_mean_s: Figure | None = None
    joule_per_output_token: Figure | None = None
    joule_per_request: Figure | None = None
    chips_w: Figure | None = None
    """Of all chips, at their own meters."""
    system_w: Figure | None = None
    """Of the server, at the plug."""

    tried: ClassVar[Mapping[str, str]] = instead(
        ("tok_s tokens_per_s throughput output_throughput tps", "write output_tok_per_s: 4534"),
        ("ttft ttft_s first_token_ms", "write ttft_ms: 120"),
        ("tpot tpot_s itl itl_ms inter_token_latency", "write tpot_ms: 25"),
        ("watts power_w gpu_w", "write chips_w: 5935, or system_w at the plug"),
        ("joules energy_j joule_per_token j_per_token", "write joule_per_output_token: 1.3"),
    )

    @model_validator(mode="after")
    def _something(self) -> Measured:
        if not self.model_fields_set:
            refuse(f"nothing was measured: needs one of {', '.join(type(self).model_fields)}")
        return self

    def figures(self) -> dict[str, float]:
        """Return what is given, by name."""
        return self.model_dump(exclude_none=True)


class _Limits(Frozen):
    """Latencies that the rate of a row holds."""

    ttft_p99_ms: Figure | None = None
    tpot_p99_ms: Figure | None = None


class ServingRow(Frozen):
    """A row as it is written."""

    tried: ClassVar[Mapping[str, str]] = instead(
        ("gpu accelerator device hardware", "write chip: nvidia/h100-sxm"),
        ("chips gpus n_gpus num_gpus", "write n_chips: 8"),
        ("framework software runtime backend", "write engine: vLLM"),
        ("isl input input_tokens prompt_len prompt", "write input_len: 1000"),
        ("osl output output_tokens", "write output_len: 200"),
        ("max_concurrency users requests", "write concurrency: 64 (or saturated)"),
        ("dtype quantization weights", "write precision: fp8"),
        ("kv_dtype kv_cache_dtype cache", "write kv: fp8"),
        ("tensor_parallel tensor_parallel_size", "write tp: 8"),
        ("result results", "write measured: {output_tok_per_s: 4534}"),
    )

    id: Annotated[str, Field(min_length=1, max_length=200)]
    kind: str
    """One of `KINDS`."""
    chip: str
    n_chips: Count | None = None
    """Of the whole instance; a source that does not say is not gated."""
    engine: str
    version: str | None = None
    model: str
    precision: str
    """Of the weights that multiply."""
    kv: str | None = None
    """Of the cache."""
    tp: Count | None = None
    pp: Count | None = None
    ep: Count | None = None
    dp: Count | None = None
    """Copies of attention."""
    input_len: Length | None = None
    output_len: Length | None = None
    context_len: Length | None = None
    batch: Count | None = None
    batch_per_chip: Count | None = None
    tokens_per_chip: Count | None = None
    concurrency: Count | Literal["saturated"] | None = None
    avg_batch: Positive | None = None
    """Sequences of a step, mean, as measured."""
    active: Positive | None = None
    """Requests in the system, mean, as measured."""
    rate_per_s: Positive | None = None
    """Requests that arrive. [1/s]"""
    slo: _Limits | None = None
    speculative: Speculative | None = None
    measured: Measured
    derived: Measured | None = None
    """What follows from `measured` by arithmetic."""
    date: str = ""
    source: str = ""
    """A key under ``sources``, or words."""
    at: str = ""
    """Where in the source."""
    verified: bool | Literal["abstract only"] = True
    """Whether the number was read in its source."""
    gate: bool = True
    """Whether predictions are held against it; the note says why not."""
    note: str = ""

    @model_validator(mode="after")
    def _whole(self) -> ServingRow:
        if self.kind not in KINDS:
            refuse(f"kind must be one of {', '.join(KINDS)}; not {self.kind!r}")
        missing = [key for key in KINDS[self.kind] if getattr(self, key) is None]
        if missing:
            refuse(f"a row of kind {self.kind} needs {' and '.join(missing)}")
        for key in ("precision", "kv"):
            value = getattr(self, key)
            if value is not None and value.casefold() not in NUMBERS:
                refuse(f"{key} must be one of {', '.join(NUMBERS)}; not {value!r}")
        return self


class _File(Frozen):
    """The whole file."""

    sources: dict[str, dict[str, Any]] = Field(default_factory=dict)
    statements: list[dict[str, Any]] = Field(default_factory=list)
    cases: list[ServingRow]


@dataclass(frozen=True, slots=True)
class ServingCase:
    """A row, and what its names stand for."""

    row: ServingRow
    chip: Chip | None
    model: Transformer | None
    """None where the row is skipped."""
    precision: str
    kv: str
    """As `NUMBERS` has them; kv is that of 16-bit numbers where a row does not say."""
    kv_is_assumed: bool
    skipped: str = ""
    """Why the row is not compared."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """What was measured, and what follows from it by arithmetic."""

    @property
    def id(self) -> str:
        """The name of the row."""
        return self.row.id

    @property
    def has_experts(self) -> bool:
        """Whether the model is a mixture of experts."""
        return self.model is not None and self.model.moe is not None

    @property
    def is_gated(self) -> bool:
        """Whether predictions are held against it."""
        return self.row.gate and not self.skipped

    @property
    def concurrency(self) -> float | None:
        """Requests in the system at once: a number, inf where all are queued, None if not said."""
        if self.row.concurrency == SATURATED or self.row.kind == "offline":
            return float("inf")
        return None if self.row.concurrency is None else float(self.row.concurrency)


@cache
def published_serving() -> tuple[ServingCase, ...]:
    """Return the rows that ship with computeplan.

    Examples
    --------
    >>> cases = published_serving()
    >>> len(cases), sum(case.is_gated for case in cases), sum(bool(c.skipped) for c in cases)
    (815, 652, 4)
    """
    return read_serving(DATA / "published" / "serving.yaml", "published serving.yaml")


def read_serving(path: Path, shown: str | None = None) -> tuple[ServingCase, ...]:
    """Return the rows of a file, in their order.

    Parameters
    ----------
    path : Path
        YAML with a list under ``cases``; ``sources`` and ``statements`` beside it are kept apart.
    shown : str, optional
        The name for messages.

    Raises
    ------
    ScenarioError
        With everything that is wrong and its place; a chip or a model that the catalogue lacks is
        no error: the row is skipped with the reason.
    """
    document = load_document(path, shown or str(path))
    rows = document.data.get("cases")
    if not isinstance(rows, list) or not rows:
        raise ScenarioError([document.problem((), "needs a list of rows under 'cases'")])
    found = validate(_File, document)
    seen: dict[str, int] = {}
    problems = []
    for place, row in enumerate(found.cases):
        if row.id in seen:
            message = f"'{row.id}' is also the id of row {seen[row.id] + 1}"
            problems.append(document.problem(("cases", place, "id"), message))
        seen.setdefault(row.id, place)
        if found.sources and row.source and row.source not in found.sources:
            message = f"no source '{row.source}' under sources"
            problems.append(document.problem(("cases", place, "source"), message))
    if problems:
        raise ScenarioError(problems)
    return tuple(_case(row) for row in found.cases)


def _case(row: ServingRow) -> ServingCase:
    reasons = []
    chip, model = None, None
    try:
        chip = load_chip(row.chip)[0]
    except ValueError as error:
        reasons.append(str(error))
    try:
        model = load_model(row.model)[0]
    except ValueError as error:
        reasons.append(str(error))
    measured = row.measured.figures() | ({} if row.derived is None else row.derived.figures())
    precision = NUMBERS[row.precision.casefold()]
    assumed = "fp16" if precision == "fp16" else "bf16"
    return ServingCase(
        row=row,
        chip=None if reasons else chip,
        model=None if reasons else model,
        precision=precision,
        kv=assumed if row.kv is None else NUMBERS[row.kv.casefold()],
        kv_is_assumed=row.kv is None,
        skipped="; ".join(reasons),
        measured=MappingProxyType(measured),
    )
