"""What caps on the power of chips cost, where it was measured: ``power.yaml``."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import Field, model_validator

from computeplan.specs.catalogue.chips import Source, Watts, check_sources
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Frozen, refuse

__all__ = ["CapPoints", "PowerTable", "power_table"]

Share = Annotated[float, Field(gt=0, le=1)]


class CapPoints(Frozen):
    """Speed and draw of one chip under caps, over those without one."""

    knob: Literal["cap", "clock"]
    """What was set; with a clock, a cap is the draw that it led to."""
    limit: Watts
    """Board limit of the card that was measured."""
    points: Annotated[dict[Share, tuple[Share, Share]], Field(min_length=1)]
    """By cap, of the limit: speed and draw."""
    source: str
    note: str
    """What work it was."""


class PowerTable(Frozen):
    """The file."""

    sources: dict[str, Source]
    curves: dict[str, CapPoints]
    """By chip, of the catalogue or not."""

    @model_validator(mode="after")
    def _checked(self) -> PowerTable:
        for name, curve in self.curves.items():
            check_sources(curve, self.sources)
            if curve.source not in self.sources:
                refuse(f"curves.{name}: source {curve.source} is not among the sources")
        return self


@cache
def power_table() -> PowerTable:
    """Return what was measured of chips under caps.

    Examples
    --------
    >>> power_table().curves["nvidia/v100"].points[0.6]
    (0.842, 0.646)
    """
    return validate(PowerTable, load_document(DATA / "power.yaml", "power.yaml"))
