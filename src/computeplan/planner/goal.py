"""What a plan must reach, such as ``P(time <= 60 d) >= 95 %``: one comparison, read strictly.

The left side is a probability over the runs, or the mean, median or another percentile of a
quantity; the right side is a number with the unit of the left. No arithmetic, no ``and``.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import ScenarioError
from computeplan.quantities import QUANTITIES, TIMES, Quantity, in_currency, time_of
from computeplan.results.estimates import Estimate
from computeplan.specs.documents.document import nearest
from computeplan.specs.money import money_reader
from computeplan.specs.scenario import Scenario
from computeplan.units import parse

__all__ = ["Goal", "Measured", "read_goal"]

DEADLINE = "done_by_deadline_frac"
WORDS = {
    "time": TIMES[0],
    "deadline": DEADLINE,
    "ettr": "ettr",
    "availability": "available_frac",
    "goodput": "goodput_frac",
    "energy": "energy_kwh",
    "cost": "cost_usd",
    "carbon": "carbon_kg",
}
"""Short names of quantities; the name of a column will do as well."""
ABOUT_TIME = {*TIMES, DEADLINE}
OF_WORK_DONE = re.compile(
    r"time_to_train|makespan|deadline|energy|cost|electricity|demand|rent|purchase|carbon|embodied"
    r"|water"
)
"""Quantities that are about the whole work, so that it is played to its end."""
EXAMPLES = (
    "P(time <= 60 d) >= 95 %",
    "P(deadline) >= 95 %",
    "mean(time) <= 60 d",
    "p95(time) <= 70 d",
    "ettr >= 0.9",
    "availability >= 99 %",
    "cost <= 2 MUSD",
    "energy <= 30 GWh",
    "carbon <= 9 kt",
)
_COMPARED = r"\s*(<=|>=)\s*"
_CHANCE = re.compile(rf"P\(\s*(\w+)(?:{_COMPARED}([^<>=()]+?))?\s*\){_COMPARED}([^<>=]+)")
_OF_RUNS = re.compile(rf"(?:(mean|median|p\d\d?)\(\s*(\w+)\s*\)|(\w+)){_COMPARED}([^<>=]+)")
_NUMBER = re.compile(r"\s*((?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(%?)\s*")
_UNITS = {"kg CO2e": "kg", "kg CO2e/Gtoken": "kg/Gtoken", "chip-h": "chip*h"}
"""Of quantities, as units are read."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The left side of a goal in some runs, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Goal:
    """One comparison that a scenario meets or does not."""

    text: str
    """As it was written."""
    quantity: str
    """Name in the table of quantities."""
    statistic: str
    """``probability``, ``mean``, ``median`` or a percentile such as ``p95``."""
    at_least: bool
    """Whether the statistic is to be at least `limit`, or at most."""
    limit: float
    """A probability, or in the unit of the quantity."""
    inner_at_least: bool = False
    inner_limit: float = math.nan
    """Of a probability, the comparison within: that the quantity is at least or at most this."""

    @property
    def of_work_done(self) -> bool:
        """Whether it is about the whole work, which is then played to its end."""
        return OF_WORK_DONE.search(self.quantity) is not None

    @property
    def is_about_time(self) -> bool:
        """Whether it is about when the work is done."""
        return self.quantity in ABOUT_TIME

    @property
    def is_deadline(self) -> bool:
        """Whether it is about the deadlines of the jobs."""
        return self.quantity == DEADLINE

    @property
    def wants_more(self) -> bool:
        """Whether more of the quantity is better."""
        return self.inner_at_least == self.at_least if self.is_probability else self.at_least

    @property
    def is_probability(self) -> bool:
        """Whether the left side is a probability."""
        return self.statistic == "probability"

    def is_met_by(self, value: float) -> bool:
        """Return whether a value of the left side meets the goal."""
        return value >= self.limit if self.at_least else value <= self.limit

    def of_all_work(self, values: FloatArray, n_unfinished: FloatArray) -> FloatArray:
        """Return the quantity per run, inf where a total is only known to be more than so far.

        Energy, cost and carbon of a part of the work say nothing of whether all of it keeps a
        limit. Where more is better, the total so far is the least that it can be, and stays.
        """
        if not self.of_work_done or self.is_about_time or self.wants_more:
            return values
        return np.where((n_unfinished > 0) & ~np.isnan(values), math.inf, values)

    def measure(self, values: FloatArray) -> Measured:
        """Return the left side, from one value of the quantity per run.

        A run that has no value does not meet a comparison, and is left out of a mean; inf is a
        value beyond the end of the run.

        Examples
        --------
        >>> import computeplan as cp
        >>> goal = read_goal("P(time <= 60 d) >= 95 %", cp.load("spares"))
        >>> found = goal.measure(np.array([59.0] * 380 + [61.0] * 20))
        >>> f"{found.value:.3f}, {found.low:.3f} to {found.high:.3f}"
        '0.950, 0.924 to 0.969'
        """
        if self.statistic == "mean":
            found = Estimate.of(values, QUANTITIES[self.quantity].bounds)
            if found.n_beyond:  # longer than was played
                return Measured(math.inf, -math.inf, math.inf)
        elif self.is_probability:
            with np.errstate(invalid="ignore"):
                inner = self.inner_limit
                hits = values >= inner if self.inner_at_least else values <= inner
            found = Estimate.of(hits.astype(np.float64), (0.0, 1.0))
        else:
            return _percentile(values, self._share)
        low = -math.inf if math.isnan(found.low) else found.low  # too few runs show it
        high = math.inf if math.isnan(found.high) else found.high
        return Measured(found.mean, low, high)

    def deciding(self, values: FloatArray) -> float:
        """Return what of the runs decides, in the unit of the quantity: a mean or a percentile.

        Of a probability, the percentile that is at the inner limit when the probability is at its
        own. Nan if no run has a value.
        """
        found = values[~np.isnan(values)]
        if not found.size:
            return math.nan
        if self.statistic == "mean":
            return float(found.mean())
        return float(np.quantile(found, self._share, method="inverted_cdf"))

    @property
    def _share(self) -> float:
        if self.is_probability:
            return 1 - self.limit if self.inner_at_least else self.limit
        return 0.5 if self.statistic == "median" else int(self.statistic[1:]) / 100


def _percentile(values: FloatArray, share: float) -> Measured:
    """Return a percentile with the interval between order statistics, exact for any law."""
    from scipy.special import bdtr  # slow to import

    found = np.sort(values[~np.isnan(values)])
    n = found.size
    if n == 0:
        return Measured(math.nan, math.nan, math.nan)
    value = float(np.quantile(found, share, method="inverted_cdf"))
    below = bdtr(np.arange(n), n, share)  # P(at most k runs lie below the percentile)
    first = int(np.searchsorted(below, 0.025, side="right"))
    last = int(np.searchsorted(below, 0.975, side="left"))
    low = float(found[first - 1]) if first > 0 else -math.inf
    high = float(found[last]) if last < n else math.inf
    return Measured(value, low, high)


def read_goal(text: str, scenario: Scenario) -> Goal:
    """Return the goal that a text states, for the jobs and the currency of a scenario.

    Parameters
    ----------
    text : str
        Such as ``P(time <= 60 d) >= 95 %``, ``ettr >= 0.9``, ``mean(cost) <= 2 MUSD``; a bare
        quantity is its mean over the runs.
    scenario : Scenario
        Whose jobs and currency are meant.

    Raises
    ------
    ScenarioError
        If it is no goal: what is allowed, with examples.

    Examples
    --------
    >>> import computeplan as cp
    >>> goal = read_goal("p95(time) <= 10 weeks", cp.load("spares"))
    >>> goal.quantity, goal.statistic, goal.at_least, goal.limit
    ('time_to_train_days', 'p95', False, 70.0)
    """
    plain = unicodedata.normalize("NFKC", text).replace("≤", "<=").replace("≥", ">=").strip()
    if match := _CHANCE.fullmatch(plain):
        return _chance(text, match, scenario)
    match = _OF_RUNS.fullmatch(plain)
    if match is None:
        raise _wrong(text, "is no goal: one comparison of a quantity, by <= or >=")
    statistic, inside, bare, compared, limit = match.groups()
    if bare is None and statistic in ("p0", "p00"):
        raise _wrong(text, f"{statistic} is no percentile; write p1 to p99")
    quantity = _quantity(text, inside or bare, scenario)
    number = _limit(text, quantity, limit, scenario)
    return Goal(text, quantity.name, statistic or "mean", compared == ">=", number)


def _chance(text: str, match: re.Match[str], scenario: Scenario) -> Goal:
    name, inner, inner_limit, outer, share = match.groups()
    quantity = _quantity(text, name, scenario)
    if inner is not None:
        within, number = inner == ">=", _limit(text, quantity, inner_limit, scenario)
    elif name == "deadline":
        within, number = True, 1.0
    else:
        raise _wrong(text, f"P({name}) compares nothing; write it like P({name} <= ...)")
    limit = _fraction(share)
    if limit is None:
        raise _wrong(text, f"{share.strip()!r} is no probability; write 95 % or 0.95")
    return Goal(text, quantity.name, "probability", outer == ">=", limit, within, number)


def _wrong(text: str, message: str) -> ScenarioError:
    examples = "\n".join(f"    {example}" for example in EXAMPLES)
    words = ", ".join(WORDS)
    return ScenarioError.of(
        f"{message}. Write one of\n{examples}\n  Quantities: {words}, or the name of a column",
        file=f"--until {text!r}",
    )


def _quantity(text: str, name: str, scenario: Scenario) -> Quantity:
    column = WORDS.get(name, name)
    column = time_of(len(scenario.jobs)) if column == TIMES[0] else column
    column = in_currency(column, scenario.currency) if name in WORDS else column
    if column not in QUANTITIES:
        raise _wrong(text, f"no quantity {name!r}.{nearest(name, [*WORDS, *QUANTITIES])}")
    if name == "deadline" and all(job.deadline is None for job in scenario.jobs.values()):
        raise _wrong(text, "no job of the scenario has a deadline: set jobs.NAME.deadline")
    return QUANTITIES[column]


def _limit(text: str, quantity: Quantity, limit: str, scenario: Scenario) -> float:
    """Return a limit in the unit of a quantity."""
    if quantity.bounds is not None:
        share = _fraction(limit)
        if share is None:
            raise _wrong(text, f"{limit.strip()!r} is no share; write 99 % or 0.99")
        return share
    if not quantity.unit:
        number = _NUMBER.fullmatch(limit)
        if number is None or number[2]:
            raise _wrong(text, f"{limit.strip()!r} is no count; write a number without a unit")
        return float(number[1].replace("_", ""))
    try:
        if quantity.unit in ("USD", "CNY"):
            money = money_reader("", "2 MUSD", "14 MCNY", most="1e15 {}")(limit.strip())
            worth = scenario.worth(money)
            if math.isnan(worth):
                rate = "exchange: {rate: 0.14 USD/CNY, on: 2026-11-01}"
                raise _wrong(text, f"the scenario tells money in {quantity.unit}; give {rate}")
            return worth
        return parse(limit.strip(), _UNITS.get(quantity.unit, quantity.unit))
    except ScenarioError:
        raise
    except ValueError as error:
        raise _wrong(text, f"{error}: {quantity.name} is in {quantity.unit}") from None


def _fraction(text: str) -> float | None:
    """Return ``95 %`` or ``0.95`` as a number in (0, 1], or None."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    share = float(match[1].replace("_", "")) / (100 if match[2] else 1)
    return share if 0 < share <= 1 else None
