"""What published training runs were like, by class of chips: kinds of layout, and the best MFU.

The file is made from the published runs by ``validation/practice.py``. A class without runs has
those of the class behind it.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from computeplan.specs.catalogue.fitted_speed import class_of, lineage
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.fields import Fraction, Frozen

__all__ = [
    "BestMfu",
    "ClassPractice",
    "Found",
    "PracticeTable",
    "best_mfu",
    "practice_of",
    "practice_table",
]


class BestMfu(Frozen):
    """The highest utilisation that was published."""

    mfu: Fraction
    """Over the dense peak of the catalogue, with causal attention and without recomputation."""
    of: str
    """The run."""


class ClassPractice(Frozen):
    """The published runs of a class of chips."""

    runs: int
    """How many there are."""
    splits: list[str]
    """Fields of a layout that some run had more than one of."""
    zero: list[int]
    """ZeRO stages that were seen."""
    recompute: list[str]
    """What was recomputed."""
    best_mfu: dict[str, BestMfu]
    """At half precision (bf16) and at fp8, as far as there are runs."""


class PracticeTable(Frozen):
    """The file ``practice.yaml``."""

    error: float
    """Standard deviation of the logarithm of predicted over measured between two layouts."""
    layouts: int
    groups: int
    """Layouts that were compared, and the groups of one model, chip and release they are in."""
    classes: dict[str, ClassPractice]


class Found(NamedTuple):
    """The published runs that stand for a chip."""

    chips: str
    """The class of chips they ran on."""
    runs: ClassPractice


@cache
def practice_table() -> PracticeTable:
    """Return the table of the catalogue."""
    return PracticeTable.model_validate(
        load_document(DATA / "practice.yaml", "catalogue practice.yaml").data
    )


def practice_of(chip: str) -> Found:
    """Return the published runs of the class of a chip, or of the nearest class that has some.

    Examples
    --------
    >>> found = practice_of("cambricon/mlu370-x8")
    >>> found.chips, found.runs.zero
    ('Chinese accelerators', [0, 1])
    """
    classes = practice_table().classes
    near = (class_of(name) for name in lineage(chip))
    name = next(found for found in near if found in classes)
    return Found(name, classes[name])


def best_mfu(chip: str, precision: str) -> tuple[str, BestMfu]:
    """Return the best published MFU for a chip, and the class of chips that reached it.

    That of its class at the precision, else at the other one; a class without runs of dense models
    has that of the class behind it.

    Examples
    --------
    >>> best_mfu("cambricon/mlu370-x8", "bf16")[1].of
    '910b-llama2-7b'
    """
    wanted = "fp8" if precision == "fp8" else "bf16"
    classes = practice_table().classes
    for name in map(class_of, lineage(chip)):
        best = classes[name].best_mfu if name in classes else {}
        if best:
            return name, best.get(wanted) or max(best.values(), key=lambda found: found.mfu)
    raise ValueError(f"no published run stands for {chip}")
