"""Figures of places: a number from a document, or an estimate with a range.

``{value: 441.9 g/kWh, when: "2023", source: key, confidence: read}`` names a document under
``sources.yaml``. ``{low: 0.48 CNY/kWh, high: 0.64 CNY/kWh, confidence: estimate, note: ...}`` has a
range instead, and no document; what is recalled and was not read has a range and no point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from computeplan.specs.fields import Frozen, quantity_reader, refuse
from computeplan.specs.money import Money
from computeplan.units import parse_unit_of

__all__ = [
    "Carbon",
    "Celsius",
    "Energy",
    "Fact",
    "Number",
    "PerEnergy",
    "PerMass",
    "PerPower",
    "PueFact",
    "WaterUse",
    "facts_in",
]

Value = TypeVar("Value", float, Money)

_CURRENCIES = ("USD", "CNY", "GBP", "CAD")
"""In which places post prices; a scenario tells money in the first two."""


class Fact(Frozen, Generic[Value]):
    """A number of a place: from a document, or an estimate with a range."""

    value: Value | None = None
    """In SI; left out where only a range is known."""
    low: Value | None = None
    high: Value | None = None
    """Limits, of an estimate always."""
    when: str = ""
    """Year or month that it is of."""
    source: str | None = None
    """A key of ``sources.yaml``; none of an estimate."""
    confidence: Literal["read", "secondary", "estimate", "recalled"]
    """Read in the document, in another's transcription of it, worked out here, or recalled."""
    note: str = ""
    """What to know of it; of an estimate where it comes from."""
    text: str = Field(default="", exclude=True)
    """The value as written."""
    range_text: str = Field(default="", exclude=True)
    """The limits as written."""

    @property
    def is_estimate(self) -> bool:
        """Whether no document says this value: estimates, and the middle of a range."""
        return self.source is None or self.value is None

    @property
    def point(self) -> Value:
        """The value, or the middle of the range."""
        if self.value is not None:
            return self.value
        low, high = self.low, self.high
        assert low is not None
        assert high is not None
        if isinstance(low, Money) and isinstance(high, Money):
            return Money((low.amount + high.amount) / 2, low.currency)
        return (low + high) / 2

    @model_validator(mode="after")
    def _checked(self) -> Fact[Value]:
        is_ranged = self.low is not None and self.high is not None
        if (self.low is None) != (self.high is None):
            refuse("low and high stand together")
        if self.value is None and not is_ranged:
            refuse("needs a value, or low and high")
        if self.confidence in ("read", "secondary"):
            if self.source is None:
                refuse(f"is {self.confidence} and needs the source that says so")
        else:
            if self.source is not None:
                refuse(f"has a source and is said to be {self.confidence}: one of both")
            if not is_ranged:
                refuse(f"is {self.confidence} and needs low and high")
            if not self.note:
                refuse(f"is {self.confidence} and needs a note that says what it rests on")
        if self.confidence == "recalled" and self.value is not None:
            refuse("is recalled: give a range only")
        said: list[Any] = [end for end in (self.low, self.value, self.high) if end is not None]
        if len({end.currency for end in said if isinstance(end, Money)}) > 1:
            refuse("is in two currencies")
        numbers = [end.amount if isinstance(end, Money) else end for end in said]
        if numbers != sorted(numbers):
            refuse("low, value and high are not in this order")
        return self


def _fact_reader(read: Callable[[object], Any]) -> BeforeValidator:
    def validator(given: object) -> object:
        if isinstance(given, Fact):
            return given
        if not isinstance(given, dict):
            refuse("a figure is {value: ..., when: ..., source: ..., confidence: ...}")
        texts = {key: given[key] for key in ("value", "low", "high") if given.get(key) is not None}
        found = {**given, **{key: read(text) for key, text in texts.items()}}
        found["text"] = str(texts.get("value", ""))
        if "low" in texts and "high" in texts:
            found["range_text"] = f"{_without_unit(texts['low'])} to {texts['high']}"
        return found

    return BeforeValidator(validator)


def _without_unit(text: object) -> str:
    return str(text).partition(" ")[0]


def _number_reader(lower: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            refuse(f"must be a plain number, got {value!r}")
        return value if value >= lower else refuse(f"must be >= {lower:g}, got {value!r}")

    return read


def _price_reader(per: str) -> Callable[[object], Money]:
    def read(value: object) -> Money:
        if not isinstance(value, str):
            refuse(f"needs a unit, got {value!r}")
        amount, unit = parse_unit_of(value, tuple(f"{name}{per}" for name in _CURRENCIES))
        return Money(amount, unit[:3]) if amount >= 0 else refuse(f"must be >= 0, got {value!r}")

    return read


_SCHEMA = WithJsonSchema({"type": "object"})

Carbon = Annotated[
    Fact[float], _fact_reader(quantity_reader("kg/J", "400 g/kWh", above=False)), _SCHEMA
]
PueFact = Annotated[Fact[float], _fact_reader(_number_reader(1.0)), _SCHEMA]
Number = Annotated[Fact[float], _fact_reader(_number_reader(0.0)), _SCHEMA]
Celsius = Annotated[Fact[float], _fact_reader(_number_reader(-273.15)), _SCHEMA]
WaterUse = Annotated[
    Fact[float], _fact_reader(quantity_reader("L/J", "0.2 L/kWh", above=False)), _SCHEMA
]
Energy = Annotated[Fact[float], _fact_reader(quantity_reader("J", "970 GWh")), _SCHEMA]
PerEnergy = Annotated[Fact[Money], _fact_reader(_price_reader("/J")), _SCHEMA]
PerPower = Annotated[Fact[Money], _fact_reader(_price_reader("/W")), _SCHEMA]
PerMass = Annotated[Fact[Money], _fact_reader(_price_reader("/kg")), _SCHEMA]


def facts_in(entry: object, path: str = "") -> Iterator[tuple[str, Fact[Any]]]:
    """Yield the dotted path and the figure of everything that is stated below."""
    inside: list[tuple[str, object]] = []
    if isinstance(entry, Fact):
        yield path, entry
    elif isinstance(entry, Frozen):
        inside = [(name, getattr(entry, name)) for name in type(entry).model_fields]
    elif isinstance(entry, dict):
        inside = list(entry.items())
    elif isinstance(entry, tuple):
        inside = [(getattr(one, "when", "") or str(i), one) for i, one in enumerate(entry)]
    for name, value in inside:
        yield from facts_in(value, f"{path}.{name}".strip("."))
