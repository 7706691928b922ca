"""What a job or a published row may say of the software it trains with."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from computeplan.specs.fields import Frozen, Title, instead, refuse

__all__ = ["GRAPH_SCOPES", "Switches", "read_framework"]

GRAPH_SCOPES = {
    "attn": 0.3,
    "moe_router": 0.15,
    "moe_preprocess": 0.15,
    "shared_experts": 0.1,
}
"""Share of the operators of a layer with experts that a CUDA graph of this part launches at once;
counted, an estimate."""
WHOLE = ("full", "full_iteration", "xla")
FIRST_YEAR, LAST_YEAR = 2010, 2030
DATE = re.compile(r"(20[12]\d)(?:-(0[1-9]|1[0-2])(?:-\d{2})?)?")


def _read_graphs(value: object) -> object:
    parts = value if isinstance(value, list) else str(value).split("+")
    known = ("none", *WHOLE, *GRAPH_SCOPES)
    if not parts or any(part not in known for part in parts):
        refuse(f"must be none, full, or some of {', '.join(GRAPH_SCOPES)}, got {value!r}")
    if any(part in WHOLE for part in parts):
        return frozenset(GRAPH_SCOPES) | {"full"}
    return frozenset(part for part in parts if part != "none")


def _read_date(value: object) -> object:
    if isinstance(value, float) and FIRST_YEAR <= value < LAST_YEAR and value % 1:
        return value
    found = DATE.fullmatch(str(value))
    if found is None:
        refuse(f"must be a month such as 2026-05, got {str(value)!r}")
    assert found is not None
    return int(found[1]) + ((int(found[2]) if found[2] else 6) - 0.5) / 12


class Switches(Frozen):
    """What a framework is told, where it matters; left out, what is usual at its date."""

    tried = instead(
        ("moe_token_dispatcher_type dispatch token_dispatcher", "write dispatcher: hybridep"),
        ("ep_overlap overlap_moe overlap", "write expert_overlap: true"),
        ("cuda_graph cuda_graphs cudagraph", "write graphs: full, or attn+moe_router"),
        ("grouped_gemm moe_grouped_gemm", "write grouped: kernel (or te, fused)"),
        ("version release year", "write date: 2026-05, the month of the release"),
    )
    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = ()

    name: Title | None = None
    """Training software, such as Megatron-Bridge or torchtitan."""
    date: Annotated[
        float | None, BeforeValidator(_read_date), WithJsonSchema({"type": "string"})
    ] = None
    """Month of its release; the newest known if left out."""
    dispatcher: Literal["alltoall", "deepep", "hybridep", "allgather", "none"] | None = None
    """How tokens reach their experts."""
    expert_overlap: bool | None = None
    """Whether messages to experts run beside the computing of another micro-batch."""
    graphs: Annotated[
        frozenset[str] | None, BeforeValidator(_read_graphs), WithJsonSchema({"type": "string"})
    ] = None
    """CUDA graphs: none, full, or parts such as attn+moe_router+moe_preprocess."""
    grouped: Literal["te", "kernel", "fused"] | None = None
    """Products of local experts: launched one by one, in one kernel, or the whole MLP in one."""
    routing: Literal["real", "balanced"] | None = None
    """Whether tokens choose their experts, or are spread evenly as in benchmarks."""
    capacity: Annotated[float, Field(ge=0.1, le=100)] | None = None
    """Tokens that every expert takes, over the mean: the rest is dropped, what lacks is padded. No
    token is dropped if left out."""


def read_framework(value: object) -> object:
    """Return the name of a framework alone as its switches."""
    return {"name": value} if isinstance(value, str) else value
