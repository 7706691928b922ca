"""Which quantities a reader asks for first, and how a mean is written with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from computeplan.errors import ComputePlanError
from computeplan.quantities import QUANTITIES, Quantity, in_currency, significant
from computeplan.results.cases import CaseResult
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result
from computeplan.units import CURRENCIES

__all__ = ["headline", "with_interval"]

SAME = 0.9995  # of what it is without trouble: printed as 1.000
_WITHOUT_TROUBLE = {"goodput_frac": "ettr", "available_frac": None}
"""What a share is where it tells a reader nothing new: another quantity, or 1."""
_HEADLINE = (
    "n_unexpected",
    "goodput_frac",
    "ettr",
    "available_frac",
    "time_to_train_days",
    "goodput_tok_per_s",
    "energy_kwh",
    "kwh_per_gtok",
    "cost_usd",
    "cost_cny",
    "carbon_kg",
)
_HEADLINE_OF_QUEUES = (
    "energy_jobs_kwh",
    "held_frac",
    "mean_jct_h",
    "mean_wait_h",
    "n_unfinished",
    "n_deadlines_missed",
)


def headline(result: Result, names: Iterable[str] | None = None) -> tuple[Quantity, ...]:
    """Return the quantities named, or those a reader asks for first: of queues where jobs share.

    Money is called the bill of electricity, or the cost where any case gives a rent of chips.

    Raises
    ------
    ComputePlanError
        If a name is not in the table of quantities.
    """
    chosen = _chosen(result, names)
    has_rent = any(_exists(in_currency("rent_usd", unit), result) for unit in CURRENCIES)
    return tuple(quantity.with_rent() for quantity in chosen) if has_rent else chosen


def _exists(name: str, result: Result) -> bool:
    cases = result.cases.values()
    return any(np.isfinite(case.values.get(name, np.nan)).any() for case in cases)


def _chosen(result: Result, names: Iterable[str] | None) -> tuple[Quantity, ...]:
    if names is not None:
        chosen = tuple(names)
        if unknown := [name for name in chosen if name not in QUANTITIES]:
            raise ComputePlanError(
                f"no quantity {', '.join(map(repr, unknown))}. Quantities: {', '.join(QUANTITIES)}"
            )
        return tuple(QUANTITIES[name] for name in chosen)
    cases = result.cases.values()
    has_queue = any(len(case.job_names) > 1 for case in cases)
    return tuple(
        QUANTITIES[name]
        for name in _HEADLINE + (_HEADLINE_OF_QUEUES if has_queue else ())
        if _exists(name, result)
        and not (name in _WITHOUT_TROUBLE and all(_tells_nothing(name, case) for case in cases))
    )


def _tells_nothing(name: str, case: CaseResult) -> bool:
    usual = _WITHOUT_TROUBLE[name]
    due = 1.0 if usual is None else case.estimate(usual).mean
    return case.estimate(name).mean > SAME * due


def with_interval(quantity: Quantity, estimate: Estimate, *, sign: bool = False) -> str:
    """Return ``mean ± half width``, rounded; without a half width if there is none.

    The half width has two digits, and is 0 where it is rounding noise of equal runs.
    """
    plus = "+" if sign and estimate.mean > 0 else ""
    is_noise = estimate.ci95 < 1e-12 * max(map(abs, (estimate.mean, estimate.p5, estimate.p95)))
    width = "0" if is_noise else significant(estimate.ci95, 2)
    half = "" if math.isnan(estimate.ci95) else f" ± {width}"
    return f"{plus}{quantity.text(estimate.mean)}{half}"
