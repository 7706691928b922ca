"""Which quantities a reader asks for first, and how a number is written with its range.

A number has three digits, or all of those before its point. Its range, the 5th to the 95th
percentile of the runs, is written to a fifth of its width or finer, and is left out where all of it
rounds to the number. All cases of a quantity share one multiple of its unit, so that their numbers
compare at a glance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from computeplan.errors import ComputePlanError
from computeplan.quantities import QUANTITIES, TIMES, Quantity, in_currency, significant, time_of
from computeplan.report.choices import Language
from computeplan.report.words import phrase
from computeplan.report.words.units import MULTIPLES
from computeplan.results.cases import CaseResult
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result
from computeplan.units import CURRENCIES

__all__ = [
    "DONE",
    "PER_TOKEN",
    "Scale",
    "are_unfinished",
    "called",
    "counts_idle_later",
    "difference",
    "headline",
    "middle_and_range",
    "paid_for",
    "percent",
    "scale_for",
    "where_cut",
    "with_interval",
]

SAME = 0.9995  # of what it is without trouble: printed as 1.000
_WITHOUT_TROUBLE = {"goodput_frac": "ettr", "available_frac": None}
"""What a share is where it tells a reader nothing new: another quantity, or 1."""
DONE = "done_by_deadline_frac"
_OF_SEVERAL = (
    "mean_jct_h",
    "jct_p95_h",
    "mean_wait_h",
    "fairness_p95_x",
    "n_preemptions",
    "held_frac",
    "energy_jobs_kwh",
    "n_deadlines_missed",
)
_COSTS = {in_currency("cost_usd", unit): in_currency("usd_per_gtok", unit) for unit in CURRENCIES}
_LINES = {
    line: tuple(in_currency(line, unit) for unit in CURRENCIES)
    for line in (
        *("electricity_usd", "demand_usd", "rent_usd", "purchase_usd", "building_usd", "sent_usd"),
    )
}
_SENT = _LINES["sent_usd"]
_MORE_LINES = ("demand_usd", "rent_usd", "purchase_usd", "building_usd", "sent_usd")
PER_TOKEN = {"energy_kwh": "kwh_per_gtok", **_COSTS, "carbon_kg": "kg_per_gtok"}
"""What stands for a total where work is unfinished: totals of unequal work do not compare."""
_WATER = ("water_site_l", "water_grid_l")
_HEADLINE = (
    DONE,
    "n_deadlines_missed",
    *TIMES,
    "mean_jct_h",
    "jct_p95_h",
    "mean_wait_h",
    "fairness_p95_x",
    "n_preemptions",
    "beyond_least_groups",
    "spread_frac",
    "ettr",
    "goodput_frac",
    "available_frac",
    "held_frac",
    "n_unexpected",
    "goodput_tok_per_s",
    "held_chip_h",
    "service_chip_h",
    "service_lacked_chip_h",
    "requests_per_day",
    "requests_missed_frac",
    "lent_chip_h",
    "beside_chip_h",
    "beside_kept_chip_h",
    "beside_paid_chip_h",
    "wh_per_request",
    *(in_currency("usd_per_krequest", unit) for unit in CURRENCIES),
    "g_per_request",
    *(in_currency("usd_per_mtok_in", unit) for unit in CURRENCIES),
    *(in_currency("usd_per_mtok_out", unit) for unit in CURRENCIES),
    "serving_kwh_per_day",
    "energy_kwh",
    "energy_floor_kwh",
    "energy_battery_kwh",
    "energy_stored_kwh",
    "energy_jobs_kwh",
    "energy_services_kwh",
    "kwh_per_gtok",
    *_COSTS.keys(),
    *_COSTS.values(),
    *(name for line in _LINES.values() for name in line),
    "carbon_kg",
    "carbon_market_kg",
    "kg_per_gtok",
    *_WATER,
)


def headline(result: Result, names: Iterable[str] | None = None) -> tuple[Quantity, ...]:
    """Return the quantities named, or those a reader asks for first: of queues where jobs share.

    Money is called the bill of electricity, or the cost of all that any case pays for.

    Raises
    ------
    ComputePlanError
        If a name is not in the table of quantities.
    """
    return tuple(called(result, quantity) for quantity in _chosen(result, names))


def paid_for(result: Result) -> tuple[str, ...]:
    """Return what any case pays for beside electricity, of `quantities.PAID_FOR`."""
    lines = {"chips": ("rent_usd", "purchase_usd"), "building": ("building_usd",)}
    found = [
        what
        for what, of in lines.items()
        if any(_exists(name, result) for line in of for name in _LINES[line])
    ]
    sent = (case.values.get(name, 0.0) for case in result.cases.values() for name in _SENT)
    return (*found, "data") if any(np.nansum(one) for one in sent) else (*found,)


def called(result: Result, quantity: Quantity) -> Quantity:
    """Return a quantity under the labels that it has in a result."""
    return quantity.of_lines(paid_for(result))


def _exists(name: str, result: Result) -> bool:
    cases = result.cases.values()
    return any(not np.isnan(case.values.get(name, np.nan)).all() for case in cases)


def _chosen(result: Result, names: Iterable[str] | None) -> tuple[Quantity, ...]:
    if names is not None:
        chosen = tuple(names)
        if unknown := [name for name in chosen if name not in QUANTITIES]:
            raise ComputePlanError(
                f"no quantity {', '.join(map(repr, unknown))}. Quantities: {', '.join(QUANTITIES)}"
            )
        return tuple(QUANTITIES[name] for name in chosen)
    cases = result.cases.values()
    n_jobs = max(len(case.job_names) for case in cases)
    not_here = {*TIMES, *(_OF_SEVERAL if n_jobs <= 1 else ())} - {time_of(n_jobs)}
    if not n_jobs:
        not_here |= {"lent_chip_h", "beside_chip_h", "beside_kept_chip_h", "beside_paid_chip_h"}
    if counts_idle_later(result):
        not_here.discard("energy_jobs_kwh")
    if any(DONE in case.values for case in cases):
        not_here.add("n_deadlines_missed")
    if are_unfinished(result):
        not_here |= {*PER_TOKEN, "energy_jobs_kwh", "held_chip_h", "carbon_market_kg"}
        not_here |= {"energy_floor_kwh", *_WATER}
        not_here |= {name for line in _LINES.values() for name in line}
    else:
        not_here |= {*PER_TOKEN.values()}
    if not any(_exists(name, result) for line in _MORE_LINES for name in _LINES[line]):
        not_here |= {*_LINES["electricity_usd"]}  # the whole bill
    return tuple(
        QUANTITIES[name]
        for name in _HEADLINE
        if name in QUANTITIES
        and name not in not_here
        and _exists(name, result)
        and not (name in _WITHOUT_TROUBLE and all(_tells_nothing(name, case) for case in cases))
    )


def are_unfinished(result: Result) -> bool:
    """Return whether a job of any case was unfinished in any run: totals do not compare."""
    return any(case.is_unfinished for case in result.cases.values())


def counts_idle_later(result: Result) -> bool:
    """Return whether idle chips of a case are counted well after its own end: see `window_days`."""
    return any(
        case.estimate("window_days").p50 > 1.01 * case.estimate("wall_days").p50
        for case in result.cases.values()
    )


def where_cut(quantity: Quantity, case: CaseResult) -> float:
    """Return where the runs were cut that have no end in sight, or NaN if all have one. [d]"""
    values = case.values.get(quantity.name)
    if values is None or not np.isinf(values).any():
        return math.nan
    return float(np.nanmax(case.values["wall_days"]))


def _tells_nothing(name: str, case: CaseResult) -> bool:
    usual = _WITHOUT_TROUBLE[name]
    due = 1.0 if usual is None else case.estimate(usual).mean
    return case.estimate(name).mean > SAME * due


@dataclass(frozen=True, slots=True)
class Scale:
    """A multiple of a unit."""

    size: float
    unit: str

    def label(self, quantity: Quantity, language: Language) -> str:
        """Return the name of a quantity with this unit behind it."""
        return quantity.axis(language, self.unit)


def scale_for(unit: str, values: Iterable[float], language: Language) -> Scale:
    """Return the largest multiple of a unit that the largest value reaches.

    Examples
    --------
    >>> scale_for("kWh", [2.35e7, 8.1e5], "en").unit, scale_for("kWh", [2.35e7], "zh").unit
    ('GWh', '万kWh')
    >>> scale_for("d", [0.3], "en").unit
    'h'
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    found = Scale(*MULTIPLES[language].get(unit, ((1.0, unit),))[0])
    if not largest:
        return Scale(1.0, dict(MULTIPLES[language].get(unit, ())).get(1.0, unit))
    for size, name in MULTIPLES[language].get(unit, ()):
        if largest >= size * (1 - 5e-4):  # 999.6 reads 1,000
            found = Scale(size, name)
    return found


def _decimals(value: float, digits: int) -> int:
    """Return how many digits stand behind the point if there are as many in all."""
    if not value or not math.isfinite(value):
        return 0
    return max(0, digits - 1 - math.floor(math.log10(abs(value) * (1 + 0.5 * 10.0**-digits))))


def _fixed(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}"


def middle_and_range(
    quantity: Quantity,
    estimate: Estimate,
    scale: Scale,
    language: Language = "en",
    *,
    end: float = math.nan,
) -> tuple[str, str]:
    """Return the middle of the runs and their 90 % range as text; no range where there is none.

    Parameters
    ----------
    quantity : Quantity
    estimate : Estimate
        In the unit of the quantity.
    scale : Scale
        Multiple of the unit to write it in.
    language : {"en", "zh"}, optional
    end : float, optional
        Where runs ended, for values that lie beyond: ``> 54``. In the unit of the quantity.

    Examples
    --------
    >>> days = Estimate.of([70.0, 75.61, 82.0])
    >>> middle_and_range(QUANTITIES["time_to_train_days"], days, Scale(1.0, "d"))
    ('75.6', '71 to 81')
    """
    if not estimate.n:
        return "-", ""
    if quantity.name == DONE:
        return _percent_done(estimate, language)
    low, middle, high = (p / scale.size for p in (estimate.p5, estimate.p50, estimate.p95))
    if not quantity.unit and quantity.name.startswith("n_"):
        return _count(low, middle, high, language)
    beyond = phrase("beyond", language, value=f"{end / scale.size:.4g}")
    if math.isinf(middle):
        return beyond, ""
    decimals = _decimals(middle, 3)
    text = _fixed(middle, decimals)
    if math.isinf(high):
        return text, _range(_fixed(low, decimals), beyond, language)
    return text, _between(low, high, decimals, language)


def _between(low: float, high: float, decimals: int, language: Language) -> str:
    """Return a range with no more decimals than the middle has, or none if it is no range."""
    if not high > low:
        return ""
    decimals = min(decimals, _decimals_of_range(high - low))
    ends = _fixed(low, decimals), _fixed(high, decimals)
    return "" if ends[0] == ends[1] else _range(*ends, language)


def _decimals_of_range(width: float) -> int:
    """Return the fewest decimals that are fine against the width of a range: a fifth or less."""
    return max(0, -math.floor(math.log10(width / 5)))


def _range(low: str, high: str, language: Language) -> str:
    return phrase("range", language, low=low, high=high)


def _count(low: float, middle: float, high: float, language: Language) -> tuple[str, str]:
    text = _fixed(middle, 0 if middle.is_integer() or middle > 10 else 1)
    ends = (_fixed(math.floor(low), 0), _fixed(math.ceil(high), 0))
    return text, "" if ends[0] == ends[1] else _range(*ends, language)


def _percent_done(estimate: Estimate, language: Language) -> tuple[str, str]:
    """Return a probability in percent, with the 95 % interval that runs leave of it."""
    low, high = estimate.low, estimate.high
    text = f"{percent(estimate.mean)} %"
    if math.isnan(low):
        return text, ""
    ends = percent(low), percent(high)
    return text, "" if ends[0] == ends[1] else f"{_range(*ends, language)} %"


def percent(share: float) -> str:
    """Return a share in percent, with one decimal where it is near 0 or 1.

    Examples
    --------
    >>> percent(0.672), percent(0.9964), percent(1.0)
    ('67', '99.6', '100')
    """
    is_near = 0 < share < 0.02 or 0.98 < share < 1
    return f"{100 * share:.1f}" if is_near else f"{100 * share:.0f}"


def difference(
    estimate: Estimate, base: float, scale: Scale, language: Language = "en"
) -> tuple[str, str, str]:
    """Return a mean difference, its 95 % interval, and the difference in percent of a base."""
    if not estimate.n or math.isnan(estimate.mean):
        return "-", "", ""
    mean, low, high = (x / scale.size for x in (estimate.mean, estimate.low, estimate.high))
    is_noise = abs(estimate.mean) < 1e-12 * abs(base) or not estimate.mean
    if is_noise:
        return "0", "", ""
    width = high - low
    has_interval = width > 1e-12 * abs(mean)  # not NaN, and more than rounding noise of equal runs
    decimals = _decimals_of_range(width) if has_interval else _decimals(mean, 3)
    text = _signed(mean, max(decimals, _decimals(mean, 2)))
    between = _range(_signed(low, decimals), _signed(high, decimals), language)
    percents = 100 * estimate.mean / abs(base) if base else math.nan
    share = f"{_signed(percents, min(3, _decimals(percents, 2)))} %" if base else ""
    return text, between if has_interval else "", share


def _signed(value: float, decimals: int) -> str:
    text = f"{value:+,.{decimals}f}"
    return text[1:] if not any(c in "123456789" for c in text) else text


def with_interval(quantity: Quantity, estimate: Estimate, *, sign: bool = False) -> str:
    """Return ``mean ± half width``, rounded; without a half width if there is none.

    The half width has two digits, and is 0 where it is rounding noise of equal runs.
    """
    plus = "+" if sign and estimate.mean > 0 else ""
    is_noise = estimate.ci95 < 1e-12 * max(map(abs, (estimate.mean, estimate.p5, estimate.p95)))
    width = "0" if is_noise else significant(estimate.ci95, 2)
    half = "" if math.isnan(estimate.ci95) else f" ± {width}"
    return f"{plus}{quantity.text(estimate.mean)}{half}"
