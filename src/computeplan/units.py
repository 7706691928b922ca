"""Units: what people write carries one, what the machine computes is a float in SI.

The only module that knows pint. A quantity is a number, a space and a unit, such as ``700 W``,
``80 GB``, ``400 Gbit/s``, ``50 kh`` or ``0.62 CNY/kWh``. The definitions are our own
(``data/units.txt``); ``RMB``, ``元``, ``￥`` and ``¥`` are CNY. Only the unit goes to pint, and
only letters, ``/``, ``*`` and parentheses may stand in it, so that no text is ever evaluated as
arithmetic.
"""

from __future__ import annotations

import math
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pint

__all__ = [
    "CURRENCIES",
    "DAY_S",
    "HOUR_S",
    "KWH_J",
    "MAX_TEXT",
    "MINUTE_S",
    "YEAR_S",
    "dimension_name",
    "parse",
    "parse_rate_per_node",
    "parse_unit_of",
    "plain",
    "rewritten",
]

MINUTE_S, HOUR_S, DAY_S = 60.0, 3_600.0, 86_400.0
YEAR_S = 365.25 * DAY_S
KWH_J = 3.6e6
MAX_TEXT = 80
CURRENCIES = ("USD", "CNY")
"""In which prices are given and results tell money."""
_NUMBER = r"[+-]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*([A-Za-zµ元][A-Za-zµ元/*() ]*)\s*")
_YUAN = re.compile(rf"\s*[￥¥]\s*({_NUMBER})|[￥¥]")  # before a number, or in its place as a unit
_TIMES = {  # what people call units of time, also where a number stands before each
    "d": ("d", DAY_S), "day": ("d", DAY_S), "days": ("d", DAY_S), "天": ("d", DAY_S),
    "h": ("h", HOUR_S), "hr": ("h", HOUR_S), "hour": ("h", HOUR_S), "hours": ("h", HOUR_S),
    "小时": ("h", HOUR_S), "时": ("h", HOUR_S),
    "m": ("min", MINUTE_S), "min": ("min", MINUTE_S), "mins": ("min", MINUTE_S),
    "minutes": ("min", MINUTE_S), "分": ("min", MINUTE_S), "分钟": ("min", MINUTE_S),
    "s": ("s", 1.0), "sec": ("s", 1.0), "secs": ("s", 1.0), "seconds": ("s", 1.0), "秒": ("s", 1.0),
}  # fmt: skip
_TIME = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z天小时分钟秒]+)\s*")
_CLOCK = re.compile(r"\s*([0-9]{1,4}):([0-5]?[0-9]):([0-5]?[0-9])\s*")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # ！ to ～
_LOOK_ALIKE = str.maketrans(
    {**{chr(code): chr(to) for code, to in _FULL_WIDTH.items()}}
    | {"\u3000": " ", "。": ".", "“": '"', "”": '"', "‘": "'", "’": "'"}
)
_RATE_PER_NODE = re.compile(rf"\s*({_NUMBER})\s*/\s*({_NUMBER})\s*node[ _*-]days?\s*")

_NAMES = {
    "s": "a time",
    "W": "a power",
    "J": "an energy",
    "B": "an amount of data",
    "B/s": "a bandwidth",
    "FLOP": "an amount of work",
    "FLOP/s": "a speed",
    "token": "a number of tokens",
    "kg/J": "a carbon intensity",
    "USD/J": "a price of energy in USD",
    "CNY/J": "a price of energy in CNY",
    "GBP/J": "a price of energy in GBP",
    "CAD/J": "a price of energy in CAD",
    "USD/(chip*s)": "a price in USD per chip and time",
    "CNY/(chip*s)": "a price in CNY per chip and time",
    "USD/W": "a price of power in USD",
    "CNY/W": "a price of power in CNY",
    "L/J": "water per energy",
    "kg/(chip*s)": "carbon per chip and time",
    "USD": "an amount in USD",
    "CNY": "an amount in CNY",
    "USD/CNY": "an exchange rate in USD per CNY",
    "CNY/USD": "an exchange rate in CNY per USD",
    "node": "a number of nodes",
    "chip": "a number of chips",
    "node*s": "node-time",
    "km": "a length",
    "USD/B": "a price of data in USD",
    "CNY/B": "a price of data in CNY",
}


@cache
def _registry() -> pint.UnitRegistry[float]:
    import pint  # slow, and most who import this module want a constant

    lines = resources.files("computeplan").joinpath("data/units.txt").read_text("utf-8").split("\n")
    registry: pint.UnitRegistry[float] = pint.UnitRegistry(None, on_redefinition="ignore")
    registry.load_definitions(lines)
    return registry


def dimension_name(unit: str) -> str:
    """Return what a unit measures, in words: ``"a power"`` for ``"W"``."""
    return _NAMES.get(unit, f"a quantity in {unit}")


def _split(text: str) -> tuple[float, pint.Unit]:
    """Return number and unit, or raise ValueError in the words a user needs."""
    if len(text) > MAX_TEXT:
        raise ValueError(
            f"is {len(text)} characters long; a number with a unit has at most {MAX_TEXT}"
        )
    match = _QUANTITY.fullmatch(_YUAN.sub(_as_cny, text))
    if match is None:
        raise ValueError(f"{text!r} is not a number with a unit{_instead(text)}")
    number, unit = float(match[1].replace("_", "")), match[2].strip()
    if re.search(r"(?<![A-Za-z])[kMGTPEZ]?FLOPs\b", unit):
        raise ValueError(f"{text!r}: 'FLOPs' may mean an amount or a rate; write FLOP or FLOP/s")
    try:
        return number, _registry().parse_units(unit)
    except Exception:  # pint answers to nonsense in many ways: assertions and tokens, too
        raise ValueError(f"{text!r}: unknown unit {unit!r}{_instead(text)}") from None


def _as_cny(sign: re.Match[str]) -> str:
    return f"{sign[1]} CNY" if sign[1] else "CNY"


def _instead(text: str) -> str:
    other = rewritten(text)
    return f"; write '{other}'" if other else ""


def plain(text: str) -> str:
    """Return a text with ASCII in place of full-width characters and of curly quotes.

    Examples
    --------
    >>> plain("１２ kW"), plain("chips：１６")
    ('12 kW', 'chips: 16')
    """
    return text.replace("：", ": ").translate(_LOOK_ALIKE)


def rewritten(text: str) -> str:
    """Return what to write for a quantity that is not read but clear to a person; else nothing.

    Examples
    --------
    >>> rewritten("1h30m"), rewritten("1:30:00"), rewritten("“１２ kW”"), rewritten("12 parsec")
    ('90 min', '90 min', '12 kW', '')
    """
    if len(text) > MAX_TEXT:
        return ""
    bare = plain(text).strip().strip("\"'").strip()
    clock = _CLOCK.fullmatch(bare)
    parts = [(match[1], match[2]) for match in _TIME.finditer(bare)]
    if clock:
        parts = [*zip(clock.groups(), "hms", strict=True)]
    elif "".join(match[0] for match in _TIME.finditer(bare)) != bare:
        parts = []
    if parts and all(name in _TIMES for _, name in parts):
        times = [_TIMES[name] for _, name in parts]
        total_s = sum(float(count) * s for (count, _), (_, s) in zip(parts, times, strict=True))
        unit, least_s = min((t for t in times if total_s % t[1] == 0), default=times[-1])
        return f"{total_s / least_s:.10g} {unit}"
    is_quantity = bare != text and _QUANTITY.fullmatch(_YUAN.sub(_as_cny, bare)) is not None
    return bare if is_quantity else ""


@cache
def parse(text: str, unit: str) -> float:
    """Return a quantity as a float in the given SI unit.

    Parameters
    ----------
    text : str
        Number and unit, such as ``"400 Gbit/s"``.
    unit : str
        The SI unit to convert to; its dimension is what the text must have.

    Returns
    -------
    float
        Value in `unit`, finite.

    Raises
    ------
    ValueError
        If the text is not a quantity, is not finite or measures something else.

    Examples
    --------
    >>> parse("400 Gbit/s", "B/s")
    50000000000.0
    >>> parse("700 GiB", "W")
    Traceback (most recent call last):
    ...
    ValueError: '700 GiB' is an amount of data, not a power
    """
    number, written = _split(text)
    target = _registry().parse_units(unit)
    if written.dimensionality != target.dimensionality:
        raise ValueError(f"{text!r} is {_describe(written)}, not {dimension_name(unit)}")
    value = float(_registry().Quantity(number, written).to(target).magnitude)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def parse_unit_of(text: str, units: tuple[str, ...]) -> tuple[float, str]:
    """Return value and unit for the one of `units` that has the dimension of the text.

    Examples
    --------
    >>> parse_unit_of("16 nodes", ("node", "chip"))
    (16.0, 'node')
    >>> parse_unit_of("￥3.6/kWh", ("USD/J", "CNY/J"))
    (1e-06, 'CNY/J')
    """
    _, written = _split(text)
    for unit in units:
        if written.dimensionality == _registry().parse_units(unit).dimensionality:
            return parse(text, unit), unit
    allowed = " or ".join(dimension_name(unit) for unit in units)
    raise ValueError(f"{text!r} is {_describe(written)}, not {allowed}")


def parse_rate_per_node(text: str) -> float:
    """Return a fault rate written as ``"3.79 / 1000 node-days"``. [1/s per node]

    Examples
    --------
    >>> f"{parse_rate_per_node('3.79 / 1000 node-days') * 86_400:.5f}"  # per node-day
    '0.00379'
    """
    match = _RATE_PER_NODE.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise ValueError(f"{text[:MAX_TEXT]!r} is not a rate; write it as '3.79 / 1000 node-days'")
    count, per = (float(match[i].replace("_", "")) for i in (1, 2))
    if not (math.isfinite(count) and count > 0 and math.isfinite(per) and per > 0):
        raise ValueError(f"{text!r} is not a finite positive rate")
    return count / (per * DAY_S)


def _describe(written: pint.Unit) -> str:
    for unit, name in _NAMES.items():
        if written.dimensionality == _registry().parse_units(unit).dimensionality:
            return name
    return f"in {written}"
