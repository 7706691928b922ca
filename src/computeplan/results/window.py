"""One window for a comparison: what idle chips take until all cases are counted to the same time.

Energy, cost and carbon of a case are those of its jobs, which do not depend on other cases, and
those of chips that no job holds, which go on after its last job; services hold theirs to the end of
a run, which has a horizon then. A case that ends early is not
cheaper because its idle chips stop counting. So all cases are counted to one time, in each run the
latest end over the cases that are done, and what idle chips take after the end of a case is added
at a steady rate: all chips idle but those of nodes that are in repair when the run ends, as many of
which are taken to be in repair all along. A case that is cut unfinished is no window for the
others. Per token only jobs are counted, so that it does not matter when a run is cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.quantities import in_currency
from computeplan.units import DAY_S

__all__ = ["MEASURES", "BySite", "counted_to", "joined"]

MEASURES = (
    *("energy_kwh", "energy_it_kwh", "energy_chip_kwh", "cost_usd", "rent_usd", "carbon_kg"),
    *("chip_h", "idle_chip_h"),
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
    """Of all chips, idle or in repair, after it. [1/d]"""
    services: Mapping[str, FloatArray] | None = None
    """Of chips that services hold, to the end of the run; None if there are none."""

    def __post_init__(self) -> None:
        shape = (len(self.end_s), len(self.sites))
        parts = (self.jobs, self.idle, self.idle_per_day, self.services)
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
        blocks.append(join("services"))
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
    rest_days = (window_s - by_site.end_s)[:, None] / DAY_S
    if (rest_days < 0).any():
        raise ValueError("a window must not end before the run does")
    jobs = {name: of_jobs.sum(axis=1) for name, of_jobs in by_site.jobs.items()}
    idle = {
        name: (of_idle + np.where(rest_days > 0, by_site.idle_per_day[name] * rest_days, 0.0)).sum(
            axis=1
        )
        for name, of_idle in by_site.idle.items()
    }
    none = np.zeros(len(by_site.end_s))
    of_services = by_site.services or {}
    services = {name: np.sum(of_services.get(name, none[:, None]), axis=1) for name in MEASURES}
    total = {name: jobs[name] + services[name] + idle[name] for name in MEASURES}
    chip_h = total.pop("chip_h")
    with np.errstate(divide="ignore", invalid="ignore"):
        per_gtok = {
            name: jobs[of] / kept_gtok
            for name, of in (
                ("kwh_per_gtok", "energy_kwh"),
                ("usd_per_gtok", "cost_usd"),
                ("kg_per_gtok", "carbon_kg"),
            )
        }
        held_frac = jobs["chip_h"] / chip_h
    values = {
        **total,
        "energy_jobs_kwh": jobs["energy_kwh"],
        "energy_idle_kwh": idle["energy_kwh"],
        "energy_services_kwh": services["energy_kwh"] if of_services else none + np.nan,
        "cost_jobs_usd": jobs["cost_usd"],
        "cost_idle_usd": idle["cost_usd"],
        "carbon_jobs_kg": jobs["carbon_kg"],
        "carbon_idle_kg": idle["carbon_kg"],
        **per_gtok,
        "held_frac": held_frac,
        "window_days": window_s / DAY_S,
    }
    return {
        in_currency(name, by_site.currency): np.where(np.isfinite(value), value, np.nan)
        for name, value in values.items()
    }
