"""Money: prices in USD or CNY, and what one is worth in the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, WithJsonSchema

from computeplan.specs.fields import Frozen, HowWritten, refuse
from computeplan.units import CURRENCIES, parse_unit_of

__all__ = [
    "MOST_PER_CHIP",
    "MOST_PER_KWH",
    "MOST_RENT",
    "BuildingPrice",
    "Currency",
    "DataPrice",
    "DemandCharge",
    "EnergyPrice",
    "Exchange",
    "Money",
    "MoneyRange",
    "Rent",
    "middle_of",
    "money_reader",
    "range_reader",
    "read_exchange",
]


_YUAN = ("RMB", "元", "人民币", "￥", "¥")


def _read_currency(value: object) -> object:
    return "CNY" if isinstance(value, str) and value in _YUAN else value


Currency = Annotated[
    Literal["USD", "CNY"],
    BeforeValidator(_read_currency),
    WithJsonSchema({"type": "string", "enum": [*CURRENCIES, *_YUAN]}),
]


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of money, or of money per joule, or per chip and second."""

    amount: float
    """In units of the currency."""
    currency: str
    """USD or CNY."""

    def worth(self, currency: str, usd_per_cny: float) -> float:
        """Return the amount in a currency at an exchange rate, nan if there is none.

        Examples
        --------
        >>> Money(8.0, "CNY").worth("USD", 0.125), Money(8.0, "CNY").worth("CNY", math.nan)
        (1.0, 8.0)
        """
        if self.currency == currency:
            return self.amount
        return self.amount * (usd_per_cny if currency == "USD" else 1.0 / usd_per_cny)


def money_reader(
    per: str, *examples: str, lower: float = -math.inf, most: str
) -> Callable[[object], Money]:
    """Return what reads money per `per` (``/J``, or nothing), at least `lower`, in any currency.

    No more than `most`, such as ``1000 {}/kWh``, in whatever currency: beyond lies a wrong unit.
    """
    upper, _ = parse_unit_of(most.format("USD"), (f"USD{per}",))

    def read(value: object) -> Money:
        if isinstance(value, Money):
            return value
        if not isinstance(value, str):
            like = " or ".join(f"'{example}'" for example in examples)
            refuse(f"needs a unit: write it like {like}, not {value!r}")
        amount, unit = parse_unit_of(value, tuple(f"{name}{per}" for name in CURRENCIES))
        if amount < lower:
            refuse(f"must be >= {lower:g}, got {value!r}")
        if abs(amount) > upper:
            bound = most.format(unit[:3])
            side = "at most " if amount > 0 else "at least -"
            refuse(f"must be {side}{bound}, got {value!r}: is the unit right?")
        return Money(amount, unit[:3])

    return read


def _price(per: str, *examples: str, lower: float = -math.inf, most: str) -> Any:
    """Return the annotated type of a price in USD or CNY."""
    return Annotated[
        Money,
        BeforeValidator(money_reader(per, *examples, lower=lower, most=most)),
        WithJsonSchema({"type": "string", "examples": [*examples]}),
        HowWritten(f"USD{per}", examples[0]),
    ]


class MoneyRange(NamedTuple):
    """Two prices between which one lies; the middle is taken."""

    low: Money
    high: Money

    @property
    def middle(self) -> Money:
        """What lies half way."""
        return Money((self.low.amount + self.high.amount) / 2, self.low.currency)


def range_reader(read: Callable[[object], Money]) -> Callable[[object], Money | MoneyRange]:
    """Return what reads money, or a range of it: ``{low: 3 USD/W, high: 7 USD/W}``."""

    def read_range(value: object) -> Money | MoneyRange:
        if isinstance(value, MoneyRange) or not isinstance(value, dict):
            return value if isinstance(value, MoneyRange) else read(value)
        if value.keys() != {"low", "high"}:
            refuse(f"a range has low and high, not {', '.join(map(str, value)) or 'nothing'}")
        found = MoneyRange(read(value["low"]), read(value["high"]))
        if found.low.currency != found.high.currency:
            refuse("low and high are in two currencies")
        if found.low.amount > found.high.amount:
            refuse("low is more than high")
        return found

    return read_range


def middle_of(price: Money | MoneyRange | None) -> Money | None:
    """Return a price, or the middle of its range."""
    return price.middle if isinstance(price, MoneyRange) else price


MOST_PER_CHIP = "1000000000 {}"
MOST_PER_KWH = 1000.0
"""What no electricity costs, in either currency: beyond lies a wrong unit."""
EnergyPrice = _price(
    "/J", "0.08 USD/kWh", "0.62 CNY/kWh", "0.62 元/kWh", most=f"{MOST_PER_KWH:g} {{}}/kWh"
)
DemandCharge = _price("/W", "31 CNY/kW", "15 USD/kW", "31 元/kW", lower=0.0, most="100000 {}/kW")
DataPrice = _price("/B", "0.05 USD/GB", "0.3 CNY/GB", "0.3 元/GB", lower=0.0, most="10000 {}/GB")
BuildingPrice = Annotated[
    Money | MoneyRange,
    BeforeValidator(
        range_reader(
            money_reader("/W", "30000 CNY/kW", "12 USD/W", lower=0.0, most="10000000 {}/kW")
        )
    ),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "examples": ["30000 CNY/kW"]}, {"type": "object"}]}
    ),
    HowWritten("USD/W", "30000 CNY/kW (or usual)"),
]
MOST_RENT = "1000000 {}/chip/h"
Rent = _price(
    "/(chip*s)", "2.5 USD/chip/h", "18 CNY/chip/h", "18 元/chip/h", lower=0.0, most=MOST_RENT
)


def _read_rate(value: object) -> float:
    if not isinstance(value, str):
        refuse(f"needs a unit: write it like '0.14 USD/CNY' or '7.1 CNY/USD', not {value!r}")
    rate, unit = parse_unit_of(value, ("USD/CNY", "CNY/USD"))
    if rate <= 0:
        refuse(f"must be > 0, got {value!r}")
    if not 1e-6 <= rate <= 1e6:
        refuse(f"must be from 1e-6 to 1e6, got {value!r}")
    return rate if unit == "USD/CNY" else 1.0 / rate


def _read_date(value: object) -> str:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        refuse(f"must be a day, such as 2026-11-01, not {value!r}")


def read_exchange(value: object) -> object:
    """Return what is read as an exchange: a rate alone has no day."""
    return {"rate": value} if isinstance(value, str) else value


class Exchange(Frozen):
    """What one currency is worth in the other, and of which day that is."""

    rate: Annotated[
        float,
        BeforeValidator(_read_rate),
        WithJsonSchema({"type": "string", "examples": ["0.14 USD/CNY", "7.1 CNY/USD"]}),
        HowWritten("USD/CNY", "0.14 USD/CNY"),
    ]
    """USD for one CNY, or CNY for one USD: the unit says which."""
    on: Annotated[
        str,
        BeforeValidator(_read_date),
        WithJsonSchema({"type": "string", "examples": ["2026-11-01"]}),
        HowWritten("", "2026-11-01"),
    ] = ""
    """The day of the rate; results say so where it is left out."""
