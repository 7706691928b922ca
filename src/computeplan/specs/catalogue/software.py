"""What training frameworks do, as far as it changes the time of a step: ``software.yaml``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import Field

from computeplan.specs.catalogue.chips import Source
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.fields import Frozen
from computeplan.specs.software import Switches

__all__ = [
    "Dispatcher",
    "Framework",
    "SoftwareTable",
    "UsualSwitches",
    "framework_of",
    "software_table",
    "stack_of",
    "standing_in",
    "switches_of",
]


class Framework(Frozen):
    """What a training framework does."""

    stack: str
    """Which software's time lost per kernel it has."""
    attention: str
    """Kernel of the attention core."""
    recompute: str
    """What it recomputes where a run does not say."""
    zero: int
    """ZeRO stage where a run does not say."""
    selective: tuple[str, ...] = ("core_attn",)
    """Modules that its selective recomputation computes again."""
    logit_bytes: float = 6.0
    """Held for one logit when the loss is computed. [B]"""
    fragmentation: float = 0.01
    """Share of the rest that its allocator holds and cannot use."""
    in_fp8: str | None = None
    """The entry that its runs in FP8 take instead."""
    dropout: bool = False
    stops_early: bool = False
    tp_exposed: float
    grad_bytes: float
    grad_overlap: float
    weight_overlap: float
    source: str
    remark: str


class Dispatcher(Frozen):
    """A way to send tokens to their experts."""

    sends_once: bool = False
    gathers: bool = False
    link_frac: dict[str, float] = Field(default_factory=dict)
    """Share of the scale-up links that it reaches, by the chip measured."""
    source: str
    remark: str


class UsualSwitches(Frozen):
    """Switches that were usual with some software on some chips, from a month on."""

    stacks: list[str]
    chips: list[str]
    """Full names, or the first part of them; all chips if empty."""
    since: float
    """Year with its fraction."""
    dispatcher: str
    overlap: bool
    graphs: str
    grouped: str


class SoftwareTable(Frozen):
    """The file."""

    attention: dict[str, dict[str, Any]]
    """Shares of the half-precision peak by kernel, by the chip measured."""
    frameworks: dict[str, Framework]
    stands_in: dict[str, str]
    """Whose time per kernel software takes that no row was fitted for."""
    dispatchers: dict[str, Dispatcher]
    usual: list[UsualSwitches]
    sources: dict[str, Source] = Field(default_factory=dict)


@cache
def software_table() -> SoftwareTable:
    """Return the table of the catalogue."""
    return SoftwareTable.model_validate(load_document(DATA / "software.yaml", "software.yaml").data)


def stack_of(framework: str | None, precision: str) -> str:
    """Return the software stack of a framework at a precision of its linear layers.

    Examples
    --------
    >>> stack_of("Composer/FSDP", "bf16"), stack_of("Composer/FSDP", "fp8")
    ('eager', 'megatron-core')
    """
    return framework_of(framework, precision)[1].stack


def framework_of(name: str | None, precision: str = "bf16") -> tuple[str, Framework]:
    """Return the entry of a framework: of its full name, else of what its name begins with.

    Its runs in FP8 may be those of another entry.

    Examples
    --------
    >>> framework_of("ModelLink (Megatron)")[0], framework_of("something new")[0]
    ('ModelLink', 'default')
    """
    frameworks = software_table().frameworks
    given = (name or "").casefold()
    begins = [
        known for known in frameworks if known != "default" and given.startswith(known.casefold())
    ]
    found = max(begins, key=len, default="default")
    if precision == "fp8":
        found = frameworks[found].in_fp8 or found
    return found, frameworks[found]


def standing_in(stack: str, fitted: Iterable[str]) -> str:
    """Return the stack whose numbers software takes: its own, what stands in for it, any fitted.

    Parameters
    ----------
    stack : str
        Of the software.
    fitted : iterable of str
        Stacks that have numbers, at least one.

    Examples
    --------
    >>> standing_in("compiled", ["eager", "megatron-core"]), standing_in("eager", ["mindspeed"])
    ('megatron-core', 'mindspeed')
    """
    known = list(fitted)
    tried = (stack, software_table().stands_in.get(stack, stack), *known)
    return next(name for name in tried if name in known)


def switches_of(stack: str, chip: str, given: Switches) -> Switches:
    """Return the switches of a job or row; what it leaves out was usual at its date.

    Parameters
    ----------
    stack : str
        Of the framework.
    chip : str
        Full name in the catalogue.
    given : Switches

    Examples
    --------
    >>> found = switches_of("megatron-core", "nvidia/gb300", Switches(date="2026-06"))
    >>> found.dispatcher, found.grouped
    ('hybridep', 'fused')
    """
    date = math.inf if given.date is None else given.date
    fitting = [
        line
        for line in software_table().usual
        if stack in line.stacks
        and (not line.chips or any(chip.startswith(known) for known in line.chips))
    ]
    usual = ([line for line in fitting if line.since <= date] or fitting[:1])[-1]
    stated = {
        "dispatcher": usual.dispatcher,
        "expert_overlap": usual.overlap,
        "graphs": usual.graphs,
        "grouped": usual.grouped,
        "routing": "real",
    }
    known = given.model_dump(exclude_none=True, exclude={"date"})
    if given.graphs is not None:
        known["graphs"] = sorted(given.graphs) or "none"
    return Switches.model_validate(stated | known)
