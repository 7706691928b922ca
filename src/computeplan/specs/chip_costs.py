"""What a chip costs that is bought, and the carbon of making it, both spread over its life."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.fields import Frozen, HowWritten, Life, instead
from computeplan.specs.money import (
    MOST_PER_CHIP,
    Money,
    MoneyRange,
    middle_of,
    money_reader,
    range_reader,
)

__all__ = ["ESTIMATED_KG_PER_CHIP_S", "Purchase", "purchase_ends", "purchase_price"]

ESTIMATED_KG_PER_CHIP_S = (0.010 / 3600.0, 0.013 / 3600.0, 0.015 / 3600.0)
"""Least, point and most of what making a chip with its share of the server costs over four years:
0.0103 kg an hour for BLOOM (arXiv:2211.02001), 0.013 for 3,700 kg of a server of eight
(arXiv:2501.00656); the range is a choice. [kg/(chip s)]"""

_read_price = range_reader(
    money_reader("", "337500 CNY", "30000 USD", lower=0.0, most=MOST_PER_CHIP)
)


def _read_chip_price(value: object) -> Money | MoneyRange | str:
    return "reported" if value == "reported" else _read_price(value)


class Purchase(Frozen):
    """Chips that are bought: their price is spread evenly over their life."""

    tried = instead(
        ("cost per_chip chip amount", "write price: 337500 CNY, of a chip with its share"),
        ("years lifetime depreciation amortisation", "write life: 5 years"),
    )

    price: Annotated[
        Money | MoneyRange | str,
        BeforeValidator(_read_chip_price),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "examples": ["337500 CNY", "30000 USD", "reported"]},
                    {"type": "object"},
                ]
            }
        ),
        HowWritten("USD", "337500 CNY (or reported)"),
    ]
    """Of one chip with its share of server and network, or a range of which the middle is taken:
    {low: 24900 USD, high: 29900 USD}; reported takes the middle of what the chip alone was reported
    to cost."""
    life: Life
    """Over which it is used up; operators of clouds write 5 to 6 years off."""


def purchase_price(purchase: Purchase | None, chip: Chip) -> Money | None:
    """Return what a chip is bought for; None if it is not, or nothing was reported.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> gaudi, _ = load_chip("intel/gaudi3", {})
    >>> purchase_price(Purchase(price="reported", life="5 years"), gaudi)
    Money(amount=15625.0, currency='USD')
    """
    if purchase is None:
        return None
    if isinstance(purchase.price, str):
        return chip.price.middle
    return middle_of(purchase.price)


def purchase_ends(purchase: Purchase | None, chip: Chip) -> tuple[float, float] | None:
    """Return the least and the most that a chip is bought for; None if that is one number.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> gaudi, _ = load_chip("intel/gaudi3", {})
    >>> price = {"low": "10 USD", "high": "30 USD"}
    >>> purchase_ends(Purchase(price=price, life="5 years"), gaudi)
    (10.0, 30.0)
    """
    if purchase is None:
        return None
    if isinstance(purchase.price, MoneyRange):
        return purchase.price.low.amount, purchase.price.high.amount
    low, high = chip.price.low, chip.price.high
    if purchase.price != "reported" or not (low and low.value and high and high.value):
        return None
    return low.value.amount, high.value.amount
