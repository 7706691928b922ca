"""What varies in time at a site: price, carbon, PUE, limit, each beside its constant.

A figure stays ``flat``, follows what the catalogue knows of the place (``time-of-use``,
``outside``), a file of one's own, or parts of the year and the day in which it is some factor
times the constant. A year here has 365 days and repeats.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from computeplan.specs.fields import Frozen, HowWritten, instead, refuse
from computeplan.units import DAY_S

__all__ = ["DAYS", "FIGURES", "WORDS", "Part", "StartOfYear", "Varies"]

DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Of each month of the year that repeats."""
FIGURES = ("price", "carbon", "pue", "power_limit")
"""What can vary."""
WORDS = {
    "price": ("flat", "time-of-use"),
    "carbon": ("flat",),
    "pue": ("flat", "outside"),
    "power_limit": ("flat",),
}
"""What a figure can follow by a word."""


class Part(Frozen):
    """Hours of some days in which a figure is a factor times its constant."""

    tried = instead(
        ("times multiplier multiply value price", "write factor: 1.7"),
        ("hour time from to", "write hours: [[8, 12], [17, 21]]"),
        ("month season", "write months: [7, 8, 9]"),
    )

    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] | None = None
    """From 1; all if left out."""
    hours: tuple[Annotated[tuple[int, ...], Field(min_length=2, max_length=2)], ...] | None = None
    """From hour to hour of the day, [[0, 8]]; all if left out."""
    factor: Annotated[float, Field(ge=0, le=1000)]
    """Times the constant; where several parts hold, all of them multiply."""

    @model_validator(mode="after")
    def _checked(self) -> Part:
        for begin, end in self.hours or ():
            if not 0 <= begin < end <= 24:
                refuse(f"hours are from 0 to 24, the first below the second, got [{begin}, {end}]")
        return self


def _kind_of_course(value: object) -> str:
    return "named" if isinstance(value, str) else "parts"


Course = Annotated[
    Annotated[str, Tag("named")] | Annotated[tuple[Part, ...], Tag("parts")],
    Discriminator(_kind_of_course),
]


def _course(figure: str) -> Any:
    """Return the annotated type of how a figure goes."""
    words = WORDS[figure]
    file = f"{figure}.csv"
    said = f"{', '.join(words)}, a file such as {file}, or parts [{{hours: [[0, 8]], factor: 0.5}}]"

    def read(value: object) -> object:
        is_named = isinstance(value, str) and (value in words or value.endswith(".csv"))
        return value if is_named or isinstance(value, list | tuple) else refuse(f"must be {said}")

    return Annotated[Course, BeforeValidator(read), HowWritten("", words[-1])]


class Varies(Frozen):
    """How figures of the site go over the year."""

    tried = instead(
        ("tariff electricity cost", "write price: time-of-use"),
        ("temperature weather climate", "write pue: outside"),
        ("co2 carbon_intensity emissions", "write carbon: carbon.csv"),
        ("wind solar hydro supply power limit", "write power_limit: wind.csv"),
    )

    price: _course("price") = "flat"  # type: ignore[valid-type]
    """flat; time-of-use, the posted hours of the place; a CSV of hour and CNY/kWh; or parts."""
    carbon: _course("carbon") = "flat"  # type: ignore[valid-type]
    """flat; a CSV of hour and g/kWh; or parts."""
    pue: _course("pue") = "flat"  # type: ignore[valid-type]
    """flat; outside, by the mean temperature of each month at the place; a CSV of hour and pue, or
    of hour and degC outside; or parts."""
    power_limit: _course("power_limit") = "flat"  # type: ignore[valid-type]
    """flat; a CSV of hour and MW, such as what wind, sun or water give; or parts."""


def _read_start(value: object) -> float:
    """Return the seconds from the beginning of a year of 365 days."""
    if isinstance(value, float) and value >= 0:
        return value
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None:
        refuse(f"must be a day, or day and time there, such as 2026-07-01 08:00, not {value!r}")
    days = sum(DAYS[: at.month - 1]) + min(at.day, DAYS[at.month - 1]) - 1
    return days * DAY_S + (at - datetime.combine(at.date(), time())).total_seconds()


StartOfYear = Annotated[
    float,
    BeforeValidator(_read_start),
    WithJsonSchema({"type": "string", "examples": ["2026-07-01", "2026-07-01 08:00"]}),
    HowWritten("s", "2026-07-01 08:00"),
]
