"""One window for a comparison: what idle chips take until all cases are counted to the same time.

Energy, cost and carbon of a case are those of its jobs, which do not depend on other cases, and
those of chips that no job holds, which go on after its last job, as services do. A case that ends
early is not cheaper because these stop counting. So all cases are counted to one time, in each run
the latest end over the cases that are done, and what is taken after the end of a case is added at a
steady rate: services hold what they state, on the mean of its hours (a part of a day counts as any
other part); as many nodes as are in repair when the run ends are taken to be in repair all along;
all other chips are idle. A case that is cut unfinished is no window for the others. Per token only
jobs are counted, so that it does not matter when a run is cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.quantities import in_currency
from computeplan.units import DAY_S

__all__ = [
    "MEASURES",
    "BySite",
    "chip_h_to",
    "counted_to",
    "joined",
    "of_holders",
    "shares_of",
    "sites_to",
]

MEASURES = (
    *("energy_kwh", "energy_it_kwh", "energy_chip_kwh", "cost_usd", "rent_usd", "carbon_kg"),
    *("electricity_usd", "demand_usd", "purchase_usd", "carbon_market_kg", "embodied_kg"),
    *("energy_floor_kwh", "energy_it_floor_kwh", "energy_chip_floor_kwh"),
    *("water_site_l", "water_grid_l", "chip_h", "idle_chip_h"),
)
"""What is counted by site; money in the currency of the result, whatever the name says."""


@dataclass(frozen=True, eq=False)
class BySite:
    """What jobs and idle chips take at each site until the end of a run, and idle chips after.

    By name of `MEASURES`, in arrays of shape (n_runs, n_sites); NaN where it is not known.
    """

    sites: tuple[str, ...]
    currency: str
    end_s: FloatArray
    """Length of the run; shape (n_runs,). [s]"""
    jobs: Mapping[str, FloatArray]
    """Of chips that jobs hold."""
    idle: Mapping[str, FloatArray]
    """Of chips that no job holds, to the end of the run."""
    idle_per_day: Mapping[str, FloatArray]
    """Of chips that no service holds, idle or in repair, after it. [1/d]"""
    services: Mapping[str, FloatArray] | None = None
    """Of chips that services hold, to the end of the run; None if there are none."""
    services_per_day: Mapping[str, FloatArray] | None = None
    """Of chips that services hold, after it; None also where an earlier version did not say. [1/d]
    """

    def __post_init__(self) -> None:
        shape = (len(self.end_s), len(self.sites))
        parts = (self.jobs, self.idle, self.idle_per_day, self.services, self.services_per_day)
        for part in parts:
            if part is None:
                continue
            if set(part) != set(MEASURES) or any(np.shape(v) != shape for v in part.values()):
                raise ValueError(f"needs {', '.join(MEASURES)}, each of shape (n_runs, n_sites)")


def joined(parts: Sequence[BySite]) -> BySite:
    """Return what several ranges of runs of one case take, in order."""

    def join(block: str) -> dict[str, FloatArray]:
        return {name: np.concatenate([getattr(p, block)[name] for p in parts]) for name in MEASURES}

    end_s = np.concatenate([part.end_s for part in parts])
    first = parts[0]
    blocks = [join("jobs"), join("idle"), join("idle_per_day")]
    if first.services is not None:
        blocks += [join("services"), join("services_per_day")]
    return BySite(first.sites, first.currency, end_s, *blocks)


def counted_to(
    by_site: BySite, kept_gtok: FloatArray, window_s: FloatArray
) -> dict[str, FloatArray]:
    """Return the quantities that depend on the window, per run.

    Parameters
    ----------
    by_site : BySite
        Of one case.
    kept_gtok : ndarray, shape (n_runs,)
        Tokens that its jobs kept. [Gtoken]
    window_s : ndarray, shape (n_runs,)
        To when idle chips are counted. [s]

    Returns
    -------
    dict of str to ndarray, shape (n_runs,)
        By the names in ``quantities.py``.

    Raises
    ------
    ValueError
        If a window ends before the run does.

    Examples
    --------
    >>> one, none = np.ones((1, 1)), np.zeros((1, 1))
    >>> same = lambda value: dict.fromkeys(MEASURES, value)
    >>> found = counted_to(
    ...     BySite(("east",), "USD", np.array([86_400.0]), same(5 * one), same(none), same(one)),
    ...     kept_gtok=np.array([10.0]),
    ...     window_s=np.array([3 * 86_400.0]),
    ... )
    >>> float(found["energy_jobs_kwh"][0]), float(found["energy_idle_kwh"][0])
    (5.0, 2.0)
    """
    jobs = _summed(by_site.jobs)
    idle, services = _summed(_idle_to(by_site, window_s)), _summed(_served_to(by_site, window_s))
    total = {name: jobs[name] + services.get(name, 0.0) + idle[name] for name in MEASURES}
    values = {
        **{name: value for name, value in total.items() if name != "chip_h"},
        "energy_idle_kwh": idle["energy_kwh"],
        "cost_idle_usd": idle["cost_usd"],
        "carbon_idle_kg": idle["carbon_kg"],
        "window_days": window_s / DAY_S,
    }
    holders = of_holders(by_site.jobs, by_site.services, kept_gtok, by_site.currency)
    if services:
        holders["energy_services_kwh"] = services["energy_kwh"]
        holders["energy_services_floor_kwh"] = services["energy_floor_kwh"]
    return _named(values, by_site.currency) | holders


def of_holders(
    jobs: Mapping[str, FloatArray],
    services: Mapping[str, FloatArray] | None,
    kept_gtok: FloatArray,
    currency: str,
) -> dict[str, FloatArray]:
    """Return what some jobs and services take, per run, which depends on no window.

    Parameters
    ----------
    jobs, services : mapping of str to ndarray
        By name of `MEASURES`; shape (n_runs, n_sites). None of services where there are none.
    kept_gtok : ndarray, shape (n_runs,)
        Tokens that the jobs kept. [Gtoken]
    currency : str
        In which money is.
    """
    of_jobs, of_services = _summed(jobs), _summed(services or {})
    none = np.full(len(kept_gtok), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "energy_jobs_kwh": of_jobs["energy_kwh"],
            "energy_jobs_floor_kwh": of_jobs["energy_floor_kwh"],
            "energy_services_kwh": of_services.get("energy_kwh", none),
            "energy_services_floor_kwh": of_services.get("energy_floor_kwh", none),
            "cost_jobs_usd": of_jobs["cost_usd"],
            "carbon_jobs_kg": of_jobs["carbon_kg"],
            "kwh_per_gtok": of_jobs["energy_kwh"] / kept_gtok,
            "usd_per_gtok": of_jobs["cost_usd"] / kept_gtok,
            "kg_per_gtok": of_jobs["carbon_kg"] / kept_gtok,
        }
    return _named(values, currency)


def sites_to(by_site: BySite, window_s: FloatArray) -> dict[str, FloatArray]:
    """Return all that each site takes to the end of a window; shapes (n_runs, n_sites)."""
    idle, served = _idle_to(by_site, window_s), _served_to(by_site, window_s)
    return {name: by_site.jobs[name] + served.get(name, 0.0) + idle[name] for name in MEASURES}


def chip_h_to(by_site: BySite, window_s: FloatArray) -> FloatArray:
    """Return the chip-hours of all pools to the end of a window; shape (n_runs,)."""
    return _summed(sites_to(by_site, window_s))["chip_h"]


def shares_of(values: Mapping[str, FloatArray], chip_h: FloatArray) -> dict[str, FloatArray]:
    """Return held and effective chip-hours as shares of those of all pools, where they are known.

    Examples
    --------
    >>> shares_of({"held_chip_h": np.array([6.0])}, np.array([8.0]))
    {'held_frac': array([0.75])}
    """
    names = {"held_frac": "held_chip_h", "effective_frac": "effective_chip_h"}
    return {name: values[of] / chip_h for name, of in names.items() if of in values}


def _summed(part: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {name: by_site.sum(axis=1) for name, by_site in part.items()}


def _idle_to(by_site: BySite, window_s: FloatArray) -> dict[str, FloatArray]:
    """Return what idle chips take to the end of a window; shapes (n_runs, n_sites)."""
    return _to(by_site, by_site.idle, by_site.idle_per_day, window_s)


def _served_to(by_site: BySite, window_s: FloatArray) -> dict[str, FloatArray]:
    """Return what services take to the end of a window, if any; shapes (n_runs, n_sites)."""
    before, after = by_site.services, by_site.services_per_day
    if before is None or after is None:
        return dict(before or {})
    return _to(by_site, before, after, window_s)


def _to(
    by_site: BySite,
    before: Mapping[str, FloatArray],
    per_day: Mapping[str, FloatArray],
    window_s: FloatArray,
) -> dict[str, FloatArray]:
    """Return what goes on after the end of a run at a rate, to the end of a window."""
    rest_days = (window_s - by_site.end_s)[:, None] / DAY_S
    if (rest_days < 0).any():
        raise ValueError("a window must not end before the run does")
    return {
        name: taken + np.where(rest_days > 0, per_day[name] * rest_days, 0.0)
        for name, taken in before.items()
    }


def _named(values: Mapping[str, FloatArray], currency: str) -> dict[str, FloatArray]:
    """Return quantities by their names in a currency; NaN where there is no number."""
    return {
        in_currency(name, currency): np.where(np.isfinite(value), value, np.nan)
        for name, value in values.items()
    }
