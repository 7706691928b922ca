"""Numbers that are not known exactly: as people write them, and the law of a factor.

``0.40 +- 0.03``, ``0.41 +0.02 -0.03`` or ``400 +- 20 TFLOP/s``: behind the number stands where
its 5 % and 95 % points lie.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, WithJsonSchema

from computeplan.arrays import FloatArray
from computeplan.specs.fields import HowWritten, quantity_reader, refuse

__all__ = [
    "Factor",
    "Uncertain",
    "UncertainFlopPerSecond",
    "UncertainFraction",
    "read_uncertain",
    "uncertain",
]

Z95 = NormalDist().inv_cdf(0.95)
NEAR_0, NEAR_1, NEAR_WORST = 2.0**-54, 1 - 2.0**-53, 0.99


@dataclass(frozen=True, slots=True)
class Factor:
    """How many times its nominal value an input is that is not known exactly.

    An uncertain input is not chance: it has one quantile a run, which all that share what is not
    known (the chip) have in common.
    """

    low: float = 1.0
    high: float = 1.0
    """Limits where it is log-uniform, 5 % and 95 % points where it is lognormal; the same if it is
    known. [1]"""
    law: Literal["loguniform", "lognormal"] = "loguniform"

    @property
    def is_known(self) -> bool:
        """Whether it is one number."""
        return self.low == self.high

    def fixed(self) -> Factor:
        """Return it where inputs are fixed.

        At the mean of what has limits, which counts follow; at the nominal value, which it is over,
        of what has a band.
        """
        known = 1.0 if self.law == "lognormal" else self.mean
        return Factor(known, known)

    @property
    def _log_sigma(self) -> float:
        return math.log(self.high / self.low) / (2 * Z95)

    @property
    def mean(self) -> float:
        """The mean of the factor, not its median: expected counts of faults follow it.

        Examples
        --------
        >>> f"{Factor(1.0, 3.0).mean:.4f}", f"{Factor(0.8, 1.25, 'lognormal').mean:.4f}"
        ('1.8205', '1.0092')
        """
        if self.is_known:
            return self.low
        if self.law == "lognormal":
            return math.sqrt(self.low * self.high) * math.exp(self._log_sigma**2 / 2)
        return (self.high - self.low) / math.log(self.high / self.low)

    @property
    def worst(self) -> float:
        """What it hardly ever exceeds: the limit, or the 99 % point where there is none."""
        if self.is_known or self.law == "loguniform":
            return self.high
        return float(self.at(np.array(NEAR_WORST)))

    def at(self, quantile: FloatArray) -> FloatArray:
        """Return the factor at quantiles in [0, 1), in their shape.

        Examples
        --------
        >>> Factor(0.8, 1.25, "lognormal").at(np.array([0.05, 0.5, 0.95])).round(4).tolist()
        [0.8, 1.0, 1.25]
        >>> Factor(1.0, 4.0).at(np.array([0.0, 0.5])).tolist()
        [1.0, 2.0]
        """
        if self.is_known:
            return np.full(np.shape(quantile), self.low)
        if self.law == "loguniform":
            return np.asarray(self.low * (self.high / self.low) ** quantile)
        from scipy.special import ndtri

        z = ndtri(np.clip(quantile, NEAR_0, NEAR_1))  # a quantile of 0 would be no time at all
        return np.asarray(math.sqrt(self.low * self.high) * np.exp(self._log_sigma * z))

    def over(self, other: Factor) -> Factor:
        """Return the quotient of two lognormal factors that have nothing in common.

        Examples
        --------
        >>> band = Factor(0.8, 1.25, "lognormal")
        >>> f"{band.over(Factor())} and {band.over(band)}"
        '0.8 to 1.25 and 0.729371 to 1.37104'
        """
        if self.is_known and other.is_known:
            return Factor(self.low / other.low, self.low / other.low)
        middle = math.sqrt(self.low * self.high / (other.low * other.high))
        spread = math.exp(Z95 * math.hypot(self._log_sigma, other._log_sigma))
        return Factor(middle / spread, middle * spread, "lognormal")

    def __str__(self) -> str:
        return f"{self.low:g}" if self.is_known else f"{self.low:g} to {self.high:g}"


_NUMBER = r"[0-9._]+(?:[eE][-+]?[0-9]+)?"
_WITH_BAND = re.compile(
    rf"\s*({_NUMBER})\s*(?:(?:\+-|\+/-|±)\s*({_NUMBER})|\+\s*({_NUMBER})\s*-\s*({_NUMBER}))\s*(.*)"
)


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A number that may be known up to a band, which a lognormal law fills."""

    nominal: float
    low: float
    high: float
    """The number, and its 5 % and 95 % points; all the same where no band is stated."""

    def over_nominal(self) -> Factor:
        """Return how many times its nominal value it is."""
        if self.low == self.high:
            return Factor()
        return Factor(self.low / self.nominal, self.high / self.nominal, "lognormal")

    def nominal_over(self) -> Factor:
        """Return how many times its nominal value the time is that a speed of this takes."""
        if self.low == self.high:
            return Factor()
        return Factor(self.nominal / self.high, self.nominal / self.low, "lognormal")


def read_uncertain(value: object, read: Callable[[object], float], unit: str = "") -> Uncertain:
    """Return a number as a person wrote it, with or without its 90 % band.

    Parameters
    ----------
    value : object
        Such as ``0.41``, ``"0.40 +- 0.03"``, ``"0.41 +0.02 -0.03"``, ``"400 +- 20 TFLOP/s"``.
    read : callable
        Reads a number without a band, and refuses what is out of its range.
    unit : str
        What is written behind the number, if anything is.

    Raises
    ------
    ValueError
        If a number is not one, or an end of the band is out of range.

    Examples
    --------
    >>> read_uncertain("0.41 +0.02 -0.03", float)
    Uncertain(nominal=0.41, low=0.38, high=0.43)
    """
    if isinstance(value, Uncertain):
        return value
    match = _WITH_BAND.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        number = read(value)
        return Uncertain(number, number, number)
    middle, both, above, below, behind = match.groups()
    if bool(behind) != bool(unit):
        what = f"one unit, behind the band, as in '400 +- 20 {unit}'" if unit else "no unit"
        refuse(f"needs {what}, got {value!r}")

    def of(text: float | str) -> float:
        return read(f"{text} {behind}" if unit else float(text))

    try:
        number, up, down = float(middle), float(both or above), float(both or below)
    except ValueError:
        refuse(f"must be a number, then + and - what it may differ by, got {value!r}")
    # To 12 digits, so that 0.41 - 0.03 is what a person means by it.
    return Uncertain(of(number), of(f"{number - down:.12g}"), of(f"{number + up:.12g}"))


def uncertain(
    read: Callable[[object], float], bare: dict[str, Any], unit: str, example: str
) -> Any:
    """Return the annotated type of a number that may have a band.

    Parameters
    ----------
    read : callable
        Reads the number without one.
    bare : dict
        JSON Schema of the number without one.
    unit, example : str
        SI unit, and a value that is accepted.
    """
    banded = {"type": "string", "pattern": r"^[0-9.].*(?:\+|±)", "examples": [example]}
    return Annotated[
        Uncertain,
        BeforeValidator(lambda value: read_uncertain(value, read, unit)),
        WithJsonSchema({"anyOf": [bare, banded]}),
        HowWritten(unit, example),
    ]


def _read_fraction(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(
            f"must be a number such as 0.41, or with its 90 % band '0.40 +- 0.03', got {value!r}"
        )
    if not 0 < value <= 1:
        refuse(f"must be > 0 and <= 1, got {value:g}")
    return float(value)


UncertainFraction = uncertain(
    _read_fraction,
    {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "",
    "0.40 +- 0.03",
)
UncertainFlopPerSecond = uncertain(
    quantity_reader("FLOP/s", "400 TFLOP/s"),
    {"type": "string", "examples": ["400 TFLOP/s"]},
    "FLOP/s",
    "400 +- 20 TFLOP/s",
)
