"""Times as fault logs write them: dates, or numbers whose unit must be given."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from computeplan.errors import ScenarioError
from computeplan.units import DAY_S, parse

__all__ = ["UNITS_S", "Clock", "read_date_s", "read_time_s"]

UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": DAY_S}
MAX_TIME_S = 1e14
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_date_s(text: str) -> float:
    """Return an ISO 8601 date as seconds since 1970; without a zone it is UTC. [s]

    A ValueError if it is not one.

    Examples
    --------
    >>> read_date_s("2024-07-23T12:00:00+02:00") - read_date_s("2024-07-23")
    36000.0
    """
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a date such as 2024-07-23T08:00:00Z") from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def read_time_s(text: str, *, is_dated: bool, option: str) -> float:
    """Return a time on the clock of a log: a date if the log `is_dated`, or a duration. [s]

    A ScenarioError that names the option, if it is not one.
    """
    how = "2024-07-23T08:00:00Z, as the log has dates" if is_dated else "'174 d'"
    try:
        return read_date_s(text) if is_dated else parse(text, "s")
    except ValueError as error:
        raise ScenarioError.of(f"{option}: {error}; write it like {how}") from None


class Clock:
    """Reads times, all dates or all numbers.

    Parameters
    ----------
    unit : str or None
        Of bare numbers.
    """

    def __init__(self, unit: str | None) -> None:
        self.unit, self.is_dated = unit, None  # type: str | None, bool | None

    def read(self, text: str, column: str) -> float:
        """Return a time as it stands in the log, in a column whose header may end in a unit. [s]

        A ValueError if it is not one, or not of the same sort as the others.
        """
        text = text.strip()
        is_dated = _DATE.match(text) is not None
        if self.is_dated is None:
            self.is_dated = is_dated
        if is_dated != self.is_dated:
            raise ValueError(f"{text[:40]!r}: some times are dates and some are numbers")
        return read_date_s(text) if is_dated else self._number_s(text, column)

    def _number_s(self, text: str, column: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{text[:40]!r} in column {column!r} is not a time")
        unit = self.unit or (column.rpartition("_")[2] if "_" in column else "")
        if unit not in UNITS_S:
            raise ValueError(
                f"{text[:40]!r} in column {column!r} has no unit: say it by unit (s, min, h or d),"
                " or call the column start_s"
            )
        value *= UNITS_S[unit]
        if abs(value) > MAX_TIME_S:
            raise ValueError(f"{text[:40]!r} in column {column!r} is millions of years away")
        return value
