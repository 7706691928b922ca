"""What chips draw while they serve: fitted by chip, else borrowed in shares of the power limit."""

from __future__ import annotations

from functools import cache
from typing import Annotated, NamedTuple

from pydantic import Field

from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Count, Frozen, Positive

__all__ = ["DrawEntry", "KnownDraw", "known_draw", "serving_draws"]

NotNegative = Annotated[float, Field(ge=0, le=10)]


class DrawEntry(Frozen):
    """Three numbers, in shares of the power limit, and how far they are from what was measured."""

    base: Positive
    """Whatever the chip does while it serves."""
    bandwidth: NotNegative
    """More, at the whole bandwidth."""
    peak: NotNegative
    """More, at the whole dense peak."""
    rows: Count
    error: Positive
    """Mean absolute relative error of the watts."""
    p90: Positive
    """The error that nine rows in ten keep; of what is borrowed, those of chips left out."""


class _Table(Frozen):
    """The file ``serving_power.yaml``."""

    chips: dict[str, DrawEntry]
    any: DrawEntry
    """Of all rows, for chips without."""


class KnownDraw(NamedTuple):
    """What a chip draws while it serves, and what that rests on."""

    base_w: float
    bandwidth_w: float
    peak_w: float
    limit_w: float
    p90: float
    """Relative error that nine in ten keep."""
    is_borrowed: bool
    """Whether no row is of this chip."""


@cache
def serving_draws() -> _Table:
    """Return the fitted numbers."""
    return validate(_Table, load_document(DATA / "serving_power.yaml", "catalogue serving_power"))


def known_draw(chip: Chip) -> KnownDraw:
    """Return what a chip draws while it serves; without rows of its own, by its power limit.

    Raises
    ------
    ValueError
        If the power limit of the chip is not published.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import find_chip
    >>> known_draw(find_chip("H100")[0]).is_borrowed, known_draw(find_chip("910B2")[0]).is_borrowed
    (False, True)
    """
    limit_w = chip.tdp_w
    if limit_w is None:
        raise ValueError(f"no power limit of {chip.name} is published; write power: {{tdp: 700 W}}")
    table = serving_draws()
    own = table.chips.get(chip.kin)
    entry = table.any if own is None else own
    return KnownDraw(
        base_w=entry.base * limit_w,
        bandwidth_w=entry.bandwidth * limit_w,
        peak_w=entry.peak * limit_w,
        limit_w=limit_w,
        p90=entry.p90,
        is_borrowed=own is None,
    )
