"""Measured utilisations, to use where a scenario gives none.

An entry is what was measured on one chip with one model: model FLOPs without recomputation
and with causal attention, over the dense peak that the catalogue gives the chip. It stands for
models of the same class and precision, and for nothing else.
"""

from __future__ import annotations

from functools import cache

from pydantic import Field, model_validator

from computeplan.notes import Note, note
from computeplan.specs.catalogue.chips import Precision, Source
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Count, Fraction, Frozen, Positive, refuse
from computeplan.specs.jobs import Parallelism

__all__ = ["MfuDefault", "MfuTable", "default_mfu", "default_mfus", "mfu_table"]


class MfuDefault(Frozen):
    """A utilisation that was measured on one chip."""

    chip: str
    """Full name of the chip."""
    model_class: str
    """Class of models it stands for, see ``physics.transformer.size_class``."""
    model: str
    """What was trained."""
    seq: Count
    """Length of the sequences."""
    chips: Count
    """How many chips trained it."""
    precision: Precision
    """Precision of the matrix products."""
    mfu: Fraction
    """The utilisation."""
    tokens_per_s_per_chip: Positive | None = None
    """The throughput it was computed from; null where the source states a utilisation."""
    layout: Parallelism | None = None
    """How it was split over chips; null if not stated."""
    software: str
    """What trained it."""
    date: str | None
    """Year or month of the measurement or its publication; null if not stated."""
    source: str
    """A key under sources."""
    estimate: bool = False
    """Whether it is carried over from another chip, or was itself estimated."""
    remark: str | None = None
    """What to know about it."""
    source_title: str = Field(default="", exclude=True)
    """The title of the source; filled in by the reader."""

    @property
    def like(self) -> str:
        """The kind of run it was measured on: equal for runs that may be compared."""
        return f"{self.model}, seq {self.seq}, {self.chips} chips, {self.precision}"

    @property
    def note(self) -> Note:
        """What a reader of numbers must know of it."""
        names = ("mfu", "chip", "estimate", "software", "source_title", "remark")
        return note("mfu_measured", like=self.like, **{n: getattr(self, n) for n in names})


class _Sibling(Frozen):
    """A chip that may borrow the figures of another, as estimates."""

    of: str
    remark: str


class MfuTable(Frozen):
    """The file ``mfu.yaml``."""

    entries: list[MfuDefault]
    siblings: dict[str, _Sibling]
    sources: dict[str, Source]

    @model_validator(mode="after")
    def _checked(self) -> MfuTable:
        for entry in self.entries:
            if entry.source not in self.sources:
                refuse(f"no source '{entry.source}' under sources")
        return self


@cache
def mfu_table() -> MfuTable:
    """Return all utilisations of the catalogue."""
    return validate(MfuTable, load_document(DATA / "mfu.yaml", "catalogue mfu.yaml"))


def default_mfu(chip_name: str, model_class: str, precision: str) -> MfuDefault | None:
    """Return the measured utilisation for a chip, class of models and precision, or None.

    Nothing stands in for another class or precision. A chip without a figure of its own takes that
    of a part with the same die, marked as an estimate.

    Parameters
    ----------
    chip_name : str
        Full name in the catalogue.
    model_class : str
        From ``physics.transformer.size_class``.
    precision : str
        Such as ``"bf16"``.

    Examples
    --------
    >>> default_mfu("nvidia/h100-sxm", "dense 50-100B", "bf16").mfu
    0.394
    >>> default_mfu("nvidia/h100-sxm", "dense 50-100B", "fp4") is None
    True
    """
    table = mfu_table()
    for entry in table.entries:
        if (entry.chip, entry.model_class, entry.precision) == (chip_name, model_class, precision):
            title = table.sources[entry.source].title
            return entry.model_copy(update={"source_title": title})
    sibling = table.siblings.get(chip_name)
    if sibling is None:
        return None
    borrowed = default_mfu(sibling.of, model_class, precision)
    if borrowed is None:
        return None
    remark = "; ".join(part for part in (sibling.remark, borrowed.remark) if part)
    return borrowed.model_copy(update={"chip": chip_name, "estimate": True, "remark": remark})


def default_mfus(chip_name: str) -> tuple[MfuDefault, ...]:
    """Return all default utilisations of a chip, its own and borrowed ones."""
    cases = dict.fromkeys((entry.model_class, entry.precision) for entry in mfu_table().entries)
    found = (default_mfu(chip_name, *case) for case in cases)
    return tuple(entry for entry in found if entry is not None)
