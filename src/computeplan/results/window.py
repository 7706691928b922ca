"""One window for a comparison: what idle chips take until all cases are counted to the same time.

Energy, cost and carbon of a case are those of its jobs, which do not depend on other cases, and
those of chips that no job holds, which go on after its last job, as services do. A case that ends
early is not cheaper because these stop counting. So all cases are counted to one time, in each run
the latest end over the cases that are done, and what is taken after the end of a case is added at a
steady rate: services hold what they state, on the mean of its hours (a part of a day counts as any
other part); as many nodes as are in repair when the run ends are taken to be in repair all along;
all other chips are idle. What services do, and the requests they answer a day, are counted to the
same time. A case that is cut unfinished is no window for the others. Per token only
jobs are counted, so that it does not matter when a run is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.quantities import SERVICE_STATES, in_currency
from computeplan.units import DAY_S

__all__ = [
    "KEPT",
    "MEASURES",
    "SERVED",
    "BySite",
    "at_sites",
    "by_chip",
    "chip_h_to",
    "counted_to",
    "joined",
    "of_holders",
    "served_to",
    "shares_of",
    "sites_to",
]

MEASURES = (
    *("energy_kwh", "energy_it_kwh", "energy_chip_kwh", "cost_usd", "rent_usd", "carbon_kg"),
    *("electricity_usd", "demand_usd", "purchase_usd", "carbon_market_kg", "embodied_kg"),
    *("energy_floor_kwh", "energy_it_floor_kwh", "energy_chip_floor_kwh"),
    *("water_site_l", "water_grid_l", "chip_h", "idle_chip_h", "repair_chip_h"),
    *("sent_usd", "building_usd", "stored_kwh"),
)
"""What is counted by pool; money in the currency of the result, whatever the name says."""
_BLOCKS = ("jobs", "idle", "idle_per_day", "services", "services_per_day", "batteries")
SERVED = (
    *("service_chip_h", "service_lacked_chip_h"),
    *(f"service_{state}_chip_h" for state in SERVICE_STATES),
    *("requests_answered", "serving_kwh", "serving_usd", "serving_kg"),
)
"""What services do and what their requests take, by pool; what has no pool is on the first."""
_MORE_BLOCKS = ("kept", "served", "served_per_day")
KEPT = ("kept_gtok", "kept_jobs")
"""Work of jobs by pool, by the names of its quantities."""


@dataclass(frozen=True, eq=False)
class BySite:
    """What jobs and idle chips take at sites until the end of a run, and idle chips after.

    By name of `MEASURES`, in arrays of shape (n_runs, n_pools); NaN where it is not known. In
    results of earlier versions all pools of a site are one, without a name.
    """

    sites: tuple[str, ...]
    """The site of each pool."""
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
    pools: tuple[str, ...] = ()
    chips: tuple[str, ...] = ()
    """Name and kind of chip of each pool; empty where an earlier version did not say."""
    batteries: Mapping[str, FloatArray] | None = None
    """What batteries take less what they give, to the end of the run, and what of that is still in
    them; None if there are none."""
    kept: Mapping[str, FloatArray] | None = None
    """Work that jobs kept on each pool, by name of `KEPT`; None where an earlier version did not
    say."""
    served: Mapping[str, FloatArray] | None = None
    """What services do to the end of the run, by name of `SERVED`; None as `services`."""
    served_per_day: Mapping[str, FloatArray] | None = None
    """The same after it. [1/d]"""

    def __post_init__(self) -> None:
        shape = (len(self.end_s), len(self.sites))
        for block in _MORE_BLOCKS:
            if any(np.shape(v) != shape for v in (getattr(self, block) or {}).values()):
                raise ValueError(f"{block} must be of shape (n_runs, n_pools)")
        parts = [getattr(self, block) for block in _BLOCKS]
        for part in parts:
            if part is None:
                continue
            if set(part) != set(MEASURES) or any(np.shape(v) != shape for v in part.values()):
                raise ValueError(f"needs {', '.join(MEASURES)}, each of shape (n_runs, n_pools)")

    def of_pools(self, pools: Sequence[int]) -> BySite:
        """Return what some of the pools take."""
        names: dict[str, Any] = {
            name: tuple(of[p] for p in pools)
            for name in ("sites", "pools", "chips")
            if (of := getattr(self, name))
        }
        return replace(self, **names, **_in_blocks([self], lambda arrays: arrays[0][:, pools]))


def joined(parts: Sequence[BySite]) -> BySite:
    """Return what several ranges of runs of one case take, in order."""
    end_s = np.concatenate([part.end_s for part in parts])
    return replace(parts[0], end_s=end_s, **_in_blocks(parts, np.concatenate))


def _in_blocks(
    parts: Sequence[BySite], make: Callable[[list[FloatArray]], FloatArray]
) -> dict[str, Any]:
    """Return every block that the first of some parts has, each array made of those of all."""
    return {
        block: {name: make([getattr(part, block)[name] for part in parts]) for name in names}
        for block in (*_BLOCKS, *_MORE_BLOCKS)
        if (names := getattr(parts[0], block)) is not None
    }


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
    stored = _summed(by_site.batteries or {})
    total = {
        name: jobs[name] + services.get(name, 0.0) + idle[name] + stored.get(name, 0.0)
        for name in MEASURES
    }
    values = {
        **{name: value for name, value in total.items() if name not in ("chip_h", "stored_kwh")},
        **{f"energy_{of}idle_kwh": idle[f"energy_{of}kwh"] for of in ("", "it_", "chip_")},
        "cost_idle_usd": idle["cost_usd"],
        "carbon_idle_kg": idle["carbon_kg"],
        "window_days": window_s / DAY_S,
    }
    if stored:
        left_kwh = np.nan_to_num(stored["stored_kwh"])  # earlier versions did not tell it apart
        values["energy_battery_kwh"] = stored["energy_kwh"] - left_kwh
        values["energy_stored_kwh"] = stored["stored_kwh"]
    holders = of_holders(by_site.jobs, by_site.services, kept_gtok, by_site.currency)
    if services:
        for of in ("", "it_", "chip_"):
            holders[f"energy_{of}services_kwh"] = services[f"energy_{of}kwh"]
        holders["energy_services_floor_kwh"] = services["energy_floor_kwh"]
    return _named(values, by_site.currency) | holders


def served_to(by_site: BySite, window_s: FloatArray) -> dict[str, FloatArray]:
    """Return what services do to the end of a window, per run; nothing where it is not known.

    Parameters
    ----------
    by_site : BySite
        Of one case.
    window_s : ndarray, shape (n_runs,)
        To when services are counted. [s]

    Raises
    ------
    ValueError
        If a window ends before the run does.
    """
    if by_site.served is None or by_site.served_per_day is None:
        return {}
    total = _summed(_to(by_site, by_site.served, by_site.served_per_day, window_s))
    values = {name: value for name, value in total.items() if name.startswith("service_")}
    if total["requests_answered"].any():
        days = window_s / DAY_S
        values["requests_answered"] = total["requests_answered"]
        with np.errstate(divide="ignore", invalid="ignore"):
            values["requests_per_day"] = total["requests_answered"] / days
            for unit in ("kwh", "usd", "kg"):
                values[f"serving_{unit}_per_day"] = total[f"serving_{unit}"] / days
    return _named(values, by_site.currency)


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
        By name of `MEASURES`; shape (n_runs, n_pools). None of services where there are none.
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


def by_chip(by_site: BySite, window_s: FloatArray) -> dict[tuple[str, str], dict[str, FloatArray]]:
    """Return the quantities of each kind of chip, counted to the end of a window, per run.

    By chip and pool: of all pools of a chip the name of the pool is empty; where there are
    several, each follows. Jobs that move count on each pool with the work they kept there.

    Raises
    ------
    ValueError
        If a window ends before the run does.

    Examples
    --------
    >>> of, none = np.array([[6.0, 3.0]]), dict.fromkeys(MEASURES, np.zeros((1, 2)))
    >>> found = by_chip(
    ...     BySite(
    ...         *(("east", "west"), "USD", np.array([86_400.0]), dict.fromkeys(MEASURES, of)),
    ...         *(none, none),
    ...         pools=("a", "b"),
    ...         chips=("h100", "910b2"),
    ...         kept={"kept_gtok": np.array([[2.0, 3.0]]), "kept_jobs": np.array([[0.5, 0.5]])},
    ...     ),
    ...     np.array([86_400.0]),
    ... )
    >>> {chip: float(values["kwh_per_gtok"][0]) for (chip, _), values in found.items()}
    {'h100': 3.0, '910b2': 1.0}
    """
    found = {}
    for chip in dict.fromkeys(by_site.chips):
        pools = [p for p, name in enumerate(by_site.chips) if name == chip]
        parts = {"": pools} | ({by_site.pools[p]: [p] for p in pools} if len(pools) > 1 else {})
        for name, some in parts.items():
            found[chip, name] = _of_part(by_site.of_pools(some), window_s)
    return found


def at_sites(by_site: BySite, window_s: FloatArray) -> dict[str, dict[str, FloatArray]]:
    """Return the quantities of each site, counted to the end of a window, per run.

    None per token: which tokens a site kept, `by_chip` says.

    Raises
    ------
    ValueError
        If a window ends before the run does.
    """
    none, found = np.full(len(by_site.end_s), np.nan), {}
    for site in dict.fromkeys(by_site.sites):
        pools = [p for p, name in enumerate(by_site.sites) if name == site]
        found[site] = counted_to(by_site.of_pools(pools), none, window_s)
    return found


def _of_part(part: BySite, window_s: FloatArray) -> dict[str, FloatArray]:
    """Return the quantities of some pools, counted to the end of a window."""
    kept, jobs = _summed(part.kept or {}), _summed(part.jobs)
    held = {"held_chip_h": jobs["chip_h"]}
    with np.errstate(divide="ignore", invalid="ignore"):
        per_job = {"kwh_per_job": jobs["energy_kwh"] / kept["kept_jobs"]}
    counted = counted_to(part, kept["kept_gtok"], window_s)
    shares = shares_of(held, chip_h_to(part, window_s))
    return counted | _named(kept | held | shares | per_job, part.currency)


def sites_to(by_site: BySite, window_s: FloatArray) -> dict[str, FloatArray]:
    """Return all that each site takes to the end of a window; shapes (n_runs, n_sites)."""
    idle, served = _idle_to(by_site, window_s), _served_to(by_site, window_s)
    stored = by_site.batteries or {}
    return {
        name: by_site.jobs[name] + served.get(name, 0.0) + idle[name] + stored.get(name, 0.0)
        for name in MEASURES
    }


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
