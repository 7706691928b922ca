"""What the price of a step rests on besides a chip's data sheet: measured, published, fitted.

Three files of the catalogue: ``operators.yaml`` (curves of matrix products and collectives, fitted
to measured tables), ``families.yaml`` (numbers fitted to published training runs, with what they
rest on) and ``relatives.yaml`` (whose numbers a chip takes that has none).
"""

from __future__ import annotations

import re
from functools import cache

from pydantic import Field

from computeplan.specs.catalogue.software import software_table, standing_in
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.fields import Frozen

__all__ = [
    "ChipClass",
    "ExpertNumbers",
    "Family",
    "GemmNumbers",
    "LinkNumbers",
    "Operators",
    "Share",
    "SpeedTables",
    "Stack",
    "UnseenChip",
    "attention_frac",
    "class_of",
    "experts_of",
    "family_of",
    "is_measured",
    "launch_of",
    "lineage",
    "share_of",
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


class Share(Frozen):
    """What training products reach of measured inference kernels, for chips of one maker."""

    chips: list[str]
    """Chips whose rows were fitted."""
    gemm_frac: float
    rows: int


class Stack(Frozen):
    """The time lost per kernel with some software, and what its rows rest on."""

    share: str
    """The chips its rows ran on, a key of `shares`."""
    precisions: list[str]
    """Of its rows; half-precision formats are alike."""
    launch_s: float
    software_year: float
    """Mean year of the software that was fitted."""
    rows: int
    sources: int


class ExpertNumbers(Frozen):
    """What layers with experts take besides, fitted to published runs."""

    chips: list[str]
    stacks: list[str]
    """Chips and software of the rows."""
    traffic: float
    op_s: float
    rows: int
    sources: int
    largest_chips: int
    """Largest number of chips among the rows."""
    spread: float
    """Standard deviation of the logarithm of predicted over measured, out of sample."""
    other_spread: float
    """The same on chips of other makers, to whose rows nothing is fitted."""


class UnseenChip(Frozen):
    """How the rows of a maker are predicted by the numbers of another."""

    bias: float
    spread: float
    """Mean and standard deviation of the logarithm of predicted over measured."""


class Family(Frozen):
    """Published runs of some chips at some precision: how well they are predicted."""

    chips: list[str]
    """Chips whose rows were fitted."""
    precisions: list[str]
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
    """The three files together."""

    operators: dict[str, Operators]
    shares: dict[str, Share]
    stacks: dict[str, Stack]
    experts: dict[str, ExpertNumbers]
    families: dict[str, Family]
    unseen_chip: UnseenChip
    classes: dict[str, ChipClass]
    default_relative: str
    same_die: list[str]


@cache
def speed_tables() -> SpeedTables:
    """Return the tables of the catalogue."""
    operators, families, relatives = (
        load_document(DATA / f"{name}.yaml", f"catalogue {name}.yaml")
        for name in ("operators", "families", "relatives")
    )
    data = {
        "operators": operators.data["chips"],
        **{
            key: families.data[key]
            for key in ("shares", "stacks", "experts", "families", "unseen_chip")
        },
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
    attention = software_table().attention
    if kernel not in attention:
        raise ValueError(f"no attention kernel {kernel!r}; known: {', '.join(attention)}")
    shares = attention[kernel]
    return float(next(shares[name] for name in lineage(chip) if name in shares))


def launch_of(chip: str, stack: str) -> tuple[str, Stack]:
    """Return whose time per kernel some software has on a chip, and that entry.

    Its own where rows of the chip's makers were fitted, else that of what stands in for it, else
    that of what runs on the chip.

    Examples
    --------
    >>> launch_of("nvidia/h200", "eager")[0], launch_of("huawei/ascend-910c", "eager")[0]
    ('eager', 'mindspeed')
    """
    line, stacks = share_of(chip)[0], speed_tables().stacks
    found = standing_in(stack, (name for name, entry in stacks.items() if entry.share == line))
    return found, stacks[found]


def share_of(chip: str) -> tuple[str, Share]:
    """Return name and entry of what training products reach on a chip or its nearest relative."""
    for ancestor in lineage(chip):
        for name, share in speed_tables().shares.items():
            if ancestor in share.chips:
                return name, share
    raise ValueError(f"no published row was fitted for a relative of {chip}")


def experts_of(chip: str) -> tuple[str, ExpertNumbers, bool]:
    """Return the numbers of layers with experts, and whether the chip's own rows were fitted."""
    found = speed_tables().experts
    for ancestor in lineage(chip):
        for name, numbers in found.items():
            if ancestor in numbers.chips:
                return name, numbers, ancestor == chip
    name = next(iter(found))
    return name, found[name], False


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
