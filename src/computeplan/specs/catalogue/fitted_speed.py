"""What the price of a step rests on besides a chip's data sheet: measured, published, fitted.

Four files of the catalogue: ``operators.yaml`` (curves of matrix products and collectives, fitted
to measured tables), ``software.yaml`` (what frameworks do), ``families.yaml`` (numbers fitted to
published training runs, with what they rest on) and ``relatives.yaml`` (whose numbers a chip takes
that has none).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic import Field

from computeplan.specs.catalogue.chips import Source
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.fields import Frozen

__all__ = [
    "ChipClass",
    "Family",
    "Framework",
    "GemmNumbers",
    "LinkNumbers",
    "Operators",
    "SpeedTables",
    "attention_frac",
    "class_of",
    "family_of",
    "framework_of",
    "is_measured",
    "lineage",
    "speed_tables",
]

HALF = ("bf16", "fp16")


class GemmNumbers(Frozen):
    """A curve of matrix products; see ``physics.operators.GemmCurve``."""

    best: float
    m_half: float
    n_half: float
    k_half: float
    error: float
    """Mean absolute logarithm of fitted over measured."""
    n: int
    """Measured sizes behind it."""


class LinkNumbers(Frozen):
    """How a collective uses the links of a server; see ``physics.collectives.Link``."""

    frac: float
    call_s: float
    rank_s: float
    error: float
    n: int


class Operators(Frozen):
    """The measured operators of one chip."""

    gemm: dict[str, GemmNumbers]
    links: dict[str, LinkNumbers] | None


class Framework(Frozen):
    """What a training framework does."""

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


class Family(Frozen):
    """Numbers fitted to published runs of some chips at some precision."""

    chips: list[str]
    """Chips whose rows were fitted."""
    precisions: list[str]
    parent: str | None
    """The family whose numbers stand where this one has none of its own."""
    fitted: list[str]
    """Which numbers are its own."""
    gemm_frac: float
    launch_s: float
    software_year: float
    """Mean year of the software that was fitted."""
    rows: int
    """Published runs behind it."""
    sources: int
    """Repositories and releases they come from."""
    largest_chips: int
    """Largest number of chips among them."""
    spread: float
    """Standard deviation of the logarithm of predicted over measured, out of sample."""


class ChipClass(Frozen):
    """Chips that one set of numbers stands for where they have none of their own."""

    head: str | None
    """The chip whose numbers its chips take, if it has one."""
    like: str | None
    """A chip of another class, which stands behind it."""
    chips: list[str] = Field(default_factory=list)
    """Full names."""
    makers: list[str] = Field(default_factory=list)
    """Makers of all others."""
    why: str


class SpeedTables(Frozen):
    """The four files together."""

    operators: dict[str, Operators]
    attention: dict[str, dict[str, Any]]
    frameworks: dict[str, Framework]
    families: dict[str, Family]
    classes: dict[str, ChipClass]
    default_relative: str
    same_die: list[str]
    sources: dict[str, Source] = Field(default_factory=dict)


@cache
def speed_tables() -> SpeedTables:
    """Return the tables of the catalogue."""
    operators, software, families, relatives = (
        load_document(DATA / f"{name}.yaml", f"catalogue {name}.yaml")
        for name in ("operators", "software", "families", "relatives")
    )
    data = {
        "operators": operators.data["chips"],
        "attention": software.data["attention"],
        "frameworks": software.data["frameworks"],
        "sources": software.data["sources"],
        "families": families.data["families"],
        "classes": relatives.data["classes"],
        "default_relative": relatives.data["default"],
        "same_die": relatives.data["same_die"],
    }
    return SpeedTables.model_validate(data)


def class_of(chip: str) -> str:
    """Return the class of a chip by its full name, else by its maker; that of the default if none.

    Examples
    --------
    >>> class_of("huawei/ascend-910c"), class_of("Baidu Kunlunxin/p900"), class_of("acme/x1")
    ('Chinese accelerators', 'Chinese accelerators', 'NVIDIA to Ampere')
    """
    tables = speed_tables()
    maker = _letters(chip.rpartition("/")[0])
    for name, found in tables.classes.items():
        if chip in found.chips or any(_letters(known) in maker for known in found.makers):
            return name
    return class_of(tables.default_relative)


@cache
def lineage(chip: str) -> tuple[str, ...]:
    """Return a chip and its relatives, nearest first.

    Examples
    --------
    >>> lineage("huawei/ascend-910c")
    ('huawei/ascend-910c', 'huawei/ascend-910b2', 'nvidia/a100-80gb')
    """
    found = speed_tables().classes[class_of(chip)]
    own = (chip,) if found.head in (None, chip) else (chip, str(found.head))
    return own if found.like is None else own + lineage(found.like)


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.casefold())


def is_measured(chip: str) -> bool:
    """Return whether products were measured or runs fitted on a chip, or on one of its die.

    Examples
    --------
    >>> is_measured("nvidia/b200"), is_measured("cambricon/mlu370-x8")
    (True, False)
    """
    tables = speed_tables()
    fitted = any(chip in family.chips for family in tables.families.values())
    return fitted or chip in tables.operators or chip in tables.same_die


def attention_frac(kernel: str, chip: str) -> float:
    """Return the share of the half-precision peak that an attention kernel reaches on a chip.

    Raises
    ------
    ValueError
        If the kernel is unknown.

    Examples
    --------
    >>> attention_frac("flash-2", "nvidia/h200")
    0.35
    """
    tables = speed_tables()
    if kernel not in tables.attention:
        known = ", ".join(tables.attention)
        raise ValueError(f"no attention kernel {kernel!r}; known: {known}")
    shares = tables.attention[kernel]
    return float(next(shares[name] for name in lineage(chip) if name in shares))


def framework_of(name: str | None) -> tuple[str, Framework]:
    """Return the entry of a framework: of its full name, else of what its name begins with.

    Examples
    --------
    >>> framework_of("ModelLink (Megatron)")[0], framework_of("something new")[0]
    ('ModelLink', 'default')
    """
    frameworks = speed_tables().frameworks
    given = (name or "").casefold()
    begins = [
        known for known in frameworks if known != "default" and given.startswith(known.casefold())
    ]
    found = max(begins, key=len, default="default")
    return found, frameworks[found]


def family_of(chip: str, precision: str) -> tuple[str, Family, bool]:
    """Return name and entry of the family that a chip belongs to or takes its numbers from.

    Parameters
    ----------
    chip : str
        Full name in the catalogue.
    precision : str
        Of the matrix products.

    Returns
    -------
    str
    Family
    bool
        Whether the chip is one of those whose rows were fitted.

    Examples
    --------
    >>> family_of("nvidia/h200", "fp8")[0]
    'H100 FP8'
    """
    families = speed_tables().families
    line = lineage(chip)
    for wanted in (precision, *HALF):
        for ancestor in line:
            for name, family in families.items():
                if ancestor in family.chips and wanted in family.precisions:
                    return name, family, ancestor == chip and wanted == precision
    name = next(iter(families))
    return name, families[name], False
