"""Reads a series of one's own: a CSV of the hour and a figure of a site from then on.

``hour,CNY/kWh`` and a row for each step, the first at hour 0, which is the first of January at
midnight or, without ``simulate.start``, the beginning of the run. The header names the unit of the
figure, or says ``factor`` for times the constant of the site. The last step lasts as long as the
one before it; then the series repeats, so that 24 rows are the hours of every day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import Problem, ScenarioError
from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.job_csv import csv_rows
from computeplan.specs.logs.text_file import opened
from computeplan.specs.money import MOST_PER_KWH
from computeplan.units import CURRENCIES, HOUR_S, KWH_J, parse, parse_unit_of

__all__ = ["UNITS", "Series", "load_series", "save_series"]

UNITS = {
    "price": ("CNY/kWh", "USD/kWh", "factor"),
    "carbon": ("g/kWh", "kg/kWh", "factor"),
    "pue": ("pue", "degC", "factor"),
    "power_limit": ("MW", "kW", "factor"),
}
"""What the second column may be called, by figure; prices and carbon in other units, too."""
MAX_BYTES = 100_000_000
MAX_HOURS = 1e6
MAX_ROWS = 600_000
"""More than a year by the minute."""
MAX_PROBLEMS = 20
HIGHEST = {
    **dict.fromkeys(CURRENCIES, MOST_PER_KWH / KWH_J),
    "W": 1e13,
    "factor": 1e6,
    "pue": 100.0,
    "kg/J": 1e3 / KWH_J,
}
"""Beyond lies a wrong unit, by unit."""
LOWEST = {"pue": 1.0, "degC": -273.15, "kg/J": 0.0, "W": 0.0, "factor": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Steps of a figure that repeat."""

    times_s: FloatArray
    """When each begins, rising from 0, in whole seconds. [s]"""
    values: FloatArray
    """The figure from then on, in SI; shape that of `times_s`."""
    period_s: float
    """After which they repeat. [s]"""
    unit: str
    """USD or CNY, per J; kg/J; pue; degC; W; or factor, times the constant of the site."""
    origin: str
    """Where it is from: a file, the rule of a tariff, a town."""

    @property
    def mean(self) -> float:
        """The mean over a period."""
        lasts_s = np.diff(self.times_s, append=self.period_s)
        return float(np.average(self.values, weights=lasts_s))


def load_series(path: Path, figure: str, shown: str) -> Series:
    """Return the series of a CSV.

    Parameters
    ----------
    path : Path
        The file.
    figure : {"price", "carbon", "pue", "power_limit"}
        Whose series it is.
    shown : str
        The name of the file in messages.

    Raises
    ------
    ScenarioError
        If it cannot be read, or with the rows that are wrong.
    """
    with opened(path, shown, MAX_BYTES) as file:
        return _read(file, figure, shown)


def _read(file: TextIO, figure: str, shown: str) -> Series:
    rows = csv_rows(file, ",")
    top = next(rows, (0, []))[1]
    header = [] if isinstance(top, RowError) else [*map(str.strip, top)]
    if len(header) != 2 or header[0] != "hour":
        allowed = " or ".join(f"hour,{unit}" for unit in UNITS[figure])
        raise ScenarioError([Problem(f"must begin with the line {allowed}", "", shown, 1, 1)])
    unit, times = _unit(header[1], figure, shown)
    found: list[tuple[float, float]] = []
    problems: list[Problem] = []
    for number, (line, row) in enumerate(rows):
        if number == MAX_ROWS:
            why = f"has more than {MAX_ROWS:,} rows; a year by the minute has 525,600"
            raise ScenarioError([Problem(why, "", shown, line, 1)])
        try:
            after_s = found[-1][0] if found else None if number else -1.0
            most = HIGHEST.get(unit, math.inf)
            between = (LOWEST.get(unit, -most) / times, most / times)
            found.append(_row(row, header[1], between, after_s))
        except RowError as error:
            problems.append(Problem(str(error), "", shown, line, 1))
            if len(problems) == MAX_PROBLEMS:
                break
    if not problems and len(found) < 2:
        why = "needs two rows or more: the last step is as long as the one before"
        problems = [Problem(why, "", shown)]
    if problems:
        raise ScenarioError(problems)
    starts, values = np.array(found).T
    return Series(starts, values * times, float(2 * starts[-1] - starts[-2]), unit, shown)


def _unit(text: str, figure: str, shown: str) -> tuple[str, float]:
    """Return the unit of a column, and by what its numbers are multiplied."""
    if text in UNITS[figure] and text in (*LOWEST, "factor"):
        return text, 1.0
    try:
        if figure == "price":
            per_j = tuple(f"{name}/J" for name in CURRENCIES)
            amount, unit = parse_unit_of(f"1 {text}", per_j)
            return unit[:3], amount
        if figure == "carbon":
            return "kg/J", parse(f"1 {text}", "kg/J")
        if figure == "power_limit":
            return "W", parse(f"1 {text}", "W")
    except ValueError:
        pass
    allowed = ", ".join(UNITS[figure])
    message = f"the second column is called {text[:40]!r}; write its unit: {allowed}"
    raise ScenarioError([Problem(message, "", shown, 1, 1)])


def _row(
    row: list[str] | RowError, column: str, between: tuple[float, float], after_s: float | None
) -> tuple[float, float]:
    """Return start and figure of a step. [s, as written]

    It starts after the step before it: below 0 for the first, None where no row before was read.
    """
    if isinstance(row, RowError):
        raise row
    if len(row) != 2:
        raise RowError("job_left_cells", f"has {len(row)} cells; the header has 2")
    hour, value = _number(row[0], "hour"), _number(row[1], column)
    start_s = float(round(hour * HOUR_S))
    why = ""
    if not 0 <= hour <= MAX_HOURS:
        why = f"hour must be from 0 to {MAX_HOURS:,.0f}, got {row[0]!r:.40}"
    elif after_s is not None and after_s < 0 and start_s != 0:
        why = f"the first hour must be 0, got {row[0]!r:.40}"
    elif after_s is not None and start_s <= after_s:
        why = f"hours must rise, got {row[0]!r:.40} after {after_s / HOUR_S:g}"
    elif value < between[0]:
        why = f"{column} must be >= {between[0]:g}, got {row[1]!r:.40}"
    elif value > between[1]:
        why = f"{column} must be at most {between[1]:g}, got {row[1]!r:.40}: is the unit right?"
    if why:
        raise RowError("job_left_number", why)
    return start_s, value


def _number(text: str, column: str) -> float:
    bare = text.strip()
    try:
        value = float(bare) if bare.isascii() and "_" not in bare else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RowError("job_left_number", f"{column} must be a number, got {text[:40]!r}")
    return value


def save_series(series: Series, file: TextIO) -> None:
    """Write a series as a CSV that reads as the same series, to the last digit."""
    unit = f"{series.unit}/J" if series.unit in CURRENCIES else series.unit
    file.write(f"hour,{unit}\n")
    steps = zip((series.times_s / HOUR_S).tolist(), series.values.tolist(), strict=True)
    file.writelines(f"{hour!r},{value!r}\n" for hour, value in steps)
