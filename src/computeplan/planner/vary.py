"""What is varied: paths of a scenario that move together, each by its own factor, in legal steps.

The first path is what is counted, in the unit in which the scenario writes it; every other one is
its factor times that count. The grid is the coarsest on which chips come in whole nodes and what is
counted is whole. Which points of the grid are legal is known when a scenario is made of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

from computeplan.errors import ScenarioError
from computeplan.specs.documents.paths import change, split_path, type_at
from computeplan.specs.model import ScenarioFields
from computeplan.specs.scenario import Scenario
from computeplan.units import parse

__all__ = ["Moved", "Vary", "read_vary"]

MOST_TIMES = 16
"""How far above its present value a count is looked for, if nobody says."""
LEAST_STEPS = 256
"""How far at least, in steps."""
FINE = 100
"""Parts of the present value that a step is about, of what is not counted."""
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'[^']*'"
_ITEM = re.compile(rf"\s*((?:{_QUOTED}|[^,='\"])+?)\s*(?:=\s*([^,=]+?)\s*)?(?:,|$)")
_NUMBER = r"(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FACTOR = re.compile(rf"({_NUMBER})(?:\s*/\s*({_NUMBER}))?\s*([A-Za-zµ元][A-Za-zµ元/*() ]*)?")
_COUNTED = ("node", "nodes", "chip", "chips")
EXAMPLE = "sites.here.pools.main.chips, jobs.pretrain.chips, jobs.pretrain.batch=8192 token"


@dataclass(frozen=True, slots=True)
class Moved:
    """One path, and what it is for each unit of the count."""

    path: str
    factor: Fraction
    unit: str
    """Empty for a bare number."""

    def at(self, count: Fraction) -> int | float | str:
        """Return the value at a count, as a person writes it.

        Examples
        --------
        >>> Moved("jobs.j.batch", Fraction(8192), "token").at(Fraction(1408))
        '11534336 token'
        """
        value = self.factor * count
        number = int(value) if value.denominator == 1 else float(value)
        return f"{number} {self.unit}" if self.unit else number


@dataclass(frozen=True, slots=True)
class Vary:
    """Paths that move together, and the grid on which they do."""

    moved: tuple[Moved, ...]
    """At least one; the first is what is counted."""
    step: Fraction
    first: int
    last: int
    """Ends of the grid, in steps from 0."""
    present: Fraction
    """What the scenario has now."""

    @property
    def unit(self) -> str:
        """Unit of the count, empty for a bare number."""
        return self.moved[0].unit

    def count(self, point: int) -> Fraction:
        """Return the count at a point of the grid."""
        return self.step * point

    def changes(self, point: int) -> dict[str, int | float | str]:
        """Return the value of every path at a point of the grid."""
        return {moved.path: moved.at(self.count(point)) for moved in self.moved}

    def nearest(self, count: Fraction) -> int:
        """Return the point of the grid that is nearest to a count."""
        return min(max(round(count / self.step), self.first), self.last)


def read_vary(
    text: str,
    scenario: Scenario,
    low: str | None = None,
    high: str | None = None,
    step: str | None = None,
) -> Vary:
    """Return what a text varies, in a scenario that has one case.

    Parameters
    ----------
    text : str
        ``PATH[=FACTOR][, PATH[=FACTOR]]...``: a factor is a number such as ``8192 token``, ``0.5``
        or ``1/64``; without one, the path is the count itself, in the unit the scenario writes.
    scenario : Scenario
    low, high, step : str, optional
        The range and the steps of the count, in its unit; else from 0 to 16 times the present
        value, in whole nodes where chips are counted.

    Raises
    ------
    ScenarioError
        If a path does not exist, has no value to start from, or the range is empty.

    Examples
    --------
    >>> import computeplan as cp
    >>> vary = read_vary("sites.here.pools.h100.spares", cp.load("spares"))
    >>> vary.unit, vary.step, vary.count(vary.last), vary.changes(40)
    ('nodes', Fraction(1, 1), Fraction(768, 1), {'sites.here.pools.h100.spares': '40 nodes'})
    """
    moved = tuple(_moved(path, factor, scenario, text) for path, factor in _items(text))
    for path in {one.path for one in moved if [m.path for m in moved].count(one.path) > 1}:
        raise ScenarioError.of(f"stands twice in {text!r}", path, "--vary")
    first = moved[0]
    present = _present(first, scenario)
    if step is not None:
        size = _number(step, first.unit, "--step")
    else:
        size = _grid(moved, scenario) or _fine(present)
    if size <= 0:
        raise ScenarioError.of(f"must be > 0, not {step!r}", file="--step")
    top = max(MOST_TIMES * present, LEAST_STEPS * size)
    least = math.ceil(_number(low, first.unit, "--from") / size) if low is not None else 0
    most = math.floor((_number(high, first.unit, "--to") if high is not None else top) / size)
    if most < least:
        shown = f"from {low or 0} to {high or top} in steps of {step or size} there is nothing"
        raise ScenarioError.of(shown, first.path, "--vary")
    return Vary(moved, size, least, most, present)


def _items(text: str) -> Iterator[tuple[str, str | None]]:
    at = 0
    while at < len(text) or not at:
        match = _ITEM.match(text, at)
        if match is None or match.end() == at:
            message = f"{text!r} is no list of paths; write it like '{EXAMPLE}'"
            raise ScenarioError.of(message, file="--vary")
        at = match.end()
        yield match[1], match[2]


def _moved(path: str, factor: str | None, scenario: Scenario, text: str) -> Moved:
    try:
        change(ScenarioFields, scenario.document, {path: None}, origin="--vary")
    except ScenarioError as error:
        raise ScenarioError.of(error.problems[0].message, path, "--vary") from None
    if factor is None:
        return Moved(path, Fraction(1), _split(path, scenario)[1])
    match = _FACTOR.fullmatch(factor)
    if match is None:
        message = f"{factor!r} is no factor; write it like '{path}=8192 token', or =0.5, or =1/64"
        raise ScenarioError.of(message, path, f"--vary {text!r}")
    number, per, unit = match.groups()
    size = Fraction(number.replace("_", "")) / Fraction((per or "1").replace("_", "") or 1)
    if size <= 0:
        raise ScenarioError.of("a factor is more than 0", path, "--vary")
    return Moved(path, size, (unit or "").strip())


def _written(path: str, scenario: Scenario) -> Any:
    value: Any = scenario.document.data
    for part in split_path(path):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _split(path: str, scenario: Scenario) -> tuple[Fraction, str]:
    """Return number and unit of the value that a scenario writes at a path."""
    value = _written(path, scenario)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Fraction(repr(value)), ""
    match = _FACTOR.fullmatch(value) if isinstance(value, str) else None
    if match is not None and match[2] is None and match[3]:
        return Fraction(match[1].replace("_", "")), match[3].strip()
    what = "is not written in the scenario" if value is None else f"is {value!r}, not a number"
    message = f"{what}: set it first, as in -s {path}=..., or give its factor, as in {path}=1"
    raise ScenarioError.of(message, path, "--vary")


def _present(first: Moved, scenario: Scenario) -> Fraction:
    """Return the count that the scenario has now."""
    number, unit = _split(first.path, scenario)
    if unit != first.unit:
        number = Fraction(repr(parse(f"{float(number)} {unit}", first.unit)))
    return number / first.factor


def _number(text: str, unit: str, option: str) -> Fraction:
    """Return a count that is given with its unit, or without."""
    match = _FACTOR.fullmatch(text.strip())
    if match is None or match[2]:
        raise ScenarioError.of(f"{text!r} is no number", file=option)
    given = (match[3] or "").strip()
    if given in ("", unit) or (not unit and given in _COUNTED):
        return Fraction(match[1].replace("_", ""))
    if not unit:
        raise ScenarioError.of(f"{text!r}: the count has no unit", file=option)
    try:
        return Fraction(repr(parse(text.strip(), unit)))
    except ValueError as error:
        raise ScenarioError.of(f"{error}; the count is in {unit}", file=option) from None


def _grid(moved: tuple[Moved, ...], scenario: Scenario) -> Fraction | None:
    """Return the coarsest steps in which all that is counted is whole, None if nothing is."""
    wholes = [whole / one.factor for one in moved if (whole := _whole(one, scenario)) is not None]
    return reduce(_least_common_multiple, wholes) if wholes else None


def _whole(one: Moved, scenario: Scenario) -> int | None:
    """Return what a path counts in, None if it is not counted: nodes of chips, or single things."""
    parts = split_path(one.path)
    pools = {name: spec for site in scenario.sites.values() for name, spec in site.pools.items()}
    if parts[0] == "sites" and len(parts) > 3 and parts[3] in pools:
        pools = {parts[3]: pools[parts[3]]}
    of_chips = parts[-1] == "chips" or one.unit in ("chip", "chips")
    if of_chips:
        sizes = [
            spec.chips_per_node or scenario.chip_of(name).chips_per_node or 1
            for name, spec in pools.items()
        ]
        return math.lcm(*sizes)
    kind, written = type_at(ScenarioFields, parts), _written(one.path, scenario)
    is_count = not one.unit and (kind is int or (kind is None and isinstance(written, int)))
    return 1 if is_count or one.unit in _COUNTED else None


def _least_common_multiple(one: Fraction, other: Fraction) -> Fraction:
    return Fraction(
        math.lcm(one.numerator, other.numerator), math.gcd(one.denominator, other.denominator)
    )


def _fine(present: Fraction) -> Fraction:
    """Return a step of one digit, about a hundredth of the present value."""
    if not present:
        raise ScenarioError.of("the present value is 0: say --step", file="--vary")
    size = float(present) / FINE
    return Fraction(f"{size:.0e}")
