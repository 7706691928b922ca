"""Times as fault logs write them: dates, or numbers whose unit must be given."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from computeplan.errors import ScenarioError
from computeplan.specs.logs.events import RowError
from computeplan.units import DAY_S, parse

__all__ = [
    "EARLIEST_EPOCH_S",
    "EPOCH",
    "LATEST_EPOCH_S",
    "UNITS_S",
    "Clock",
    "check_dates",
    "read_date_s",
    "read_epoch_s",
    "read_time_s",
]

UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": DAY_S}
MAX_TIME_S = 1e14
EPOCH = "%s"
"""The form of dates that are seconds since 1970."""
EARLIEST_EPOCH_S = 1e8
"""In 1973: smaller numbers are no dates of a log. [s]"""
LATEST_EPOCH_S = 253402300800.0
"""The year 10,000, which no date reaches. [s]"""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_HOW_DATED = (
    "a date such as 2024-07-23T08:00:00Z; say another form by dates (--dates '%m/%d/%Y %H:%M', as"
    " strptime has it)"
)


def check_dates(dates: str | None) -> None:
    """Raise a ScenarioError if a form of dates is none, or leaves out the year, month or day."""
    if dates is None or dates == EPOCH:
        return
    day = datetime(2005, 6, 21, 10, 54, tzinfo=UTC)
    try:
        found = datetime.strptime(day.strftime(dates), dates).date()
    except (ValueError, re.error) as error:
        raise ScenarioError.of(f"dates: {dates[:40]!r} is no form of dates: {error}") from None
    if found != day.date():
        message = f"dates: {dates[:40]!r} does not say year, month and day, as '%m/%d/%Y' does"
        raise ScenarioError.of(message)


def read_date_s(text: str, dates: str | None = None) -> float:
    """Return a date as seconds since 1970; without a zone it is UTC. [s]

    In ISO 8601, or in the form `dates` of ``strptime``. A ValueError if it is not one.

    Examples
    --------
    >>> read_date_s("2024-07-23T12:00:00+02:00") - read_date_s("2024-07-23")
    36000.0
    >>> read_date_s("6/21/2005 10:54", "%m/%d/%Y %H:%M") - read_date_s("2005-06-21")
    39240.0
    """
    if dates == EPOCH:
        return read_epoch_s(text)
    try:
        if dates is None:
            date = datetime.fromisoformat(text.strip())
        else:
            date = datetime.strptime(text.strip(), dates)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        how = _HOW_DATED if dates is None else f"a date of the form {dates!r}"
        raise RowError("log_left_time", f"{text[:40]!r} is not {how}") from None


def read_epoch_s(text: str) -> float:
    """Return a number of seconds since 1970; a ValueError if it is not of a year after 1972. [s]"""
    try:
        time_s = float(text)
    except ValueError:
        time_s = math.nan
    if not EARLIEST_EPOCH_S <= time_s < LATEST_EPOCH_S:
        message = f"{text[:40]!r} is not a number of seconds since 1970"
        raise RowError("log_left_time", message)
    return time_s


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
    dates : str or None
        The form of dates, which all times then are; ISO 8601 if it is None.
    """

    def __init__(self, unit: str | None, dates: str | None = None) -> None:
        self.unit, self.dates = unit, dates
        self.is_dated: bool | None = None if dates is None else True

    def read(self, text: str, column: str) -> float:
        """Return a time as it stands in the log, in a column whose header may end in a unit. [s]

        A ValueError if it is not one, or not of the same sort as the others.
        """
        text = text.strip()
        if self.dates is not None:
            return read_date_s(text, self.dates)
        is_dated = _DATE.match(text) is not None
        if self.is_dated is None:
            time_s = self._read(text, column, is_dated=is_dated)
            self.is_dated = is_dated  # of the first time that can be read
            return time_s
        if is_dated != self.is_dated:
            message = f"{text[:40]!r}: some times are dates and some are numbers"
            raise RowError("log_left_time", message)
        return self._read(text, column, is_dated=is_dated)

    def _read(self, text: str, column: str, *, is_dated: bool) -> float:
        return read_date_s(text) if is_dated else self._number_s(text, column)

    def _number_s(self, text: str, column: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            message = f"{text[:40]!r} in column {column!r} is not a time: write {_HOW_DATED}"
            raise RowError("log_left_time", message)
        unit = self.unit or (column.rpartition("_")[2] if "_" in column else "")
        if unit not in UNITS_S:
            message = (
                f"{text[:40]!r} in column {column!r} has no unit: say it by unit (s, min, h or d),"
                " or call the column start_s"
            )
            raise RowError("log_left_time", message)
        value *= UNITS_S[unit]
        if abs(value) > MAX_TIME_S:
            message = f"{text[:40]!r} in column {column!r} is millions of years away"
            raise RowError("log_left_time", message)
        return value
