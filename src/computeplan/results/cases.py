"""The runs of one case: a value per quantity and run, and per job where there are several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.ledger import Span
from computeplan.notes import Note
from computeplan.quantities import JOB_QUANTITIES, QUANTITIES
from computeplan.results.estimates import Estimate, explained_share
from computeplan.results.fleet_series import FleetSeries
from computeplan.results.power_series import PowerSeries
from computeplan.results.window import (
    BySite,
    at_sites,
    by_chip,
    chip_h_to,
    counted_to,
    served_to,
    shares_of,
)
from computeplan.units import DAY_S

__all__ = ["CaseResult", "differences", "in_one_window"]


@dataclass(frozen=True, eq=False)
class CaseResult:
    """One case: a value per quantity and run, and per job where there are several."""

    values: Mapping[str, FloatArray]
    """By quantity name; what a run does not have is NaN, and a time that is only known to lie
    beyond the end of the run is inf; shape (n_runs,)."""
    jobs: Mapping[str, FloatArray] = field(default_factory=dict)
    """By per-job quantity name; shape (n_runs, n_jobs)."""
    job_names: tuple[str, ...] = ()
    """In the order of the columns."""
    job_facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Texts per job, such as ``model`` and ``pool``."""
    facts: Mapping[str, Note] = field(default_factory=dict)
    """What stands beside the numbers of the case, such as ``meter`` and ``chips``."""
    spans: tuple[Span, ...] = ()
    """Timeline of run 0, by places in `job_names`, `service_names` (the first is job -2) and
    `pool_names`; empty if none was kept."""
    pool_names: tuple[str, ...] = ()
    axes: Mapping[str, object] = field(default_factory=dict)
    """Where the case stands in the sweep: path -> value as written; empty without a sweep."""
    by_site: BySite | None = None
    """What counting to another window needs; None of results that earlier versions saved."""
    inputs: Mapping[str, FloatArray] = field(default_factory=dict)
    """Quantile that each uncertain input had in each run, by input and chip, in [0, 1); shape
    (n_runs,)."""
    tenants: Mapping[str, Mapping[str, FloatArray]] = field(default_factory=dict)
    """By tenant, then as `values`, of its jobs and services; empty where all have one tenant."""
    service_names: tuple[str, ...] = ()
    power: Mapping[str, PowerSeries] = field(default_factory=dict)
    """Power of run 0 by site; of sites whose watts are known, if a timeline was kept."""
    fleet: FleetSeries | None = None
    """What chips of the pools of services did in run 0, if a timeline was kept."""

    def __post_init__(self) -> None:
        every = (self.values, *self.tenants.values())
        unknown = [name for values in every for name in values if name not in QUANTITIES]
        unknown += [name for name in self.jobs if name not in JOB_QUANTITIES]
        if unknown:
            raise ValueError(f"not in quantities.py: {', '.join(unknown)}")
        shapes = {np.shape(value) for values in every for value in values.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1 or self.n_runs < 1:
            raise ValueError(f"values must all have the shape (n_runs,), got {sorted(shapes)}")
        for name, value in self.inputs.items():
            if np.shape(value) != (self.n_runs,):
                raise ValueError(f"inputs[{name!r}] must have the shape (n_runs,)")
        for name, value in self.jobs.items():
            if np.shape(value) != (self.n_runs, len(self.job_names)):
                raise ValueError(f"jobs[{name!r}] must have the shape (n_runs, n_jobs)")
        for name, texts in self.job_facts.items():
            if len(texts) != len(self.job_names):
                raise ValueError(f"job_facts[{name!r}] must have one text per job")

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return len(next(iter(self.values.values())))

    @property
    def is_unfinished(self) -> bool:
        """Whether a job is unfinished in some run, so that totals are not of all the work."""
        return bool((self.values.get("n_unfinished", np.zeros(1)) > 0).any())

    @property
    def done_s(self) -> FloatArray:
        """When the work of each run was done; 0 where it was not. Shape (n_runs,). [s]"""
        is_done = np.nan_to_num(self.values.get("n_unfinished", np.zeros(self.n_runs))) == 0
        end_s = np.zeros(self.n_runs) if self.by_site is None else self.by_site.end_s
        return np.where(is_done, end_s, 0.0)

    def estimate(self, name: str, tenant: str | None = None) -> Estimate:
        """Return the estimate of a quantity, of all or of the jobs and services of a tenant.

        Without any value if the case does not have it.
        """
        found = self.values if tenant is None else self.tenants.get(tenant, {})
        values = found.get(name, np.full(self.n_runs, np.nan))
        return Estimate.of(values, QUANTITIES[name].bounds)

    def counted_to(self, window_s: FloatArray) -> CaseResult:
        """Return the case counted to another time in each run: energy, cost, carbon, services. [s]

        To the end of the run where that is later.
        """
        if self.by_site is None:
            return self
        until_s = np.maximum(window_s, self.by_site.end_s)
        counted = counted_to(self.by_site, self.values["kept_gtok"], until_s)
        served, chip_h = served_to(self.by_site, until_s), chip_h_to(self.by_site, until_s)
        return replace(
            self,
            values={**self.values, **counted, **served, **shares_of(self.values, chip_h)},
            tenants={who: {**of, **shares_of(of, chip_h)} for who, of in self.tenants.items()},
        )

    def by_chip(self) -> dict[tuple[str, str], dict[str, FloatArray]]:
        """Return energy, cost, carbon and work of each kind of chip, per run.

        By chip and pool, which is empty for all pools of a chip; each of several follows. Counted
        to the window of the case. Empty where a case has one pool, or an earlier version did not
        say.
        """
        found = self.by_site
        if found is None or len(found.pools) < 2 or found.kept is None:
            return {}
        return by_chip(found, self._window_s(found))

    def at_sites(self) -> dict[str, dict[str, FloatArray]]:
        """Return energy, cost and carbon of each site, per run, counted to the window of the case.

        Empty where an earlier version did not say.
        """
        found = self.by_site
        return {} if found is None else at_sites(found, self._window_s(found))

    def _window_s(self, found: BySite) -> FloatArray:
        window_days = self.values.get("window_days", np.zeros(self.n_runs))
        return np.maximum(window_days * DAY_S, found.end_s)

    def inputs_share(self, name: str) -> float:
        """Return the share of a quantity's variance over runs that uncertain inputs explain.

        The rest is chance: what more runs of the same inputs would still show. NaN if no input is
        uncertain, or the runs are too few to say.
        """
        values = self.values.get(name, np.full(self.n_runs, np.nan))
        return explained_share(values, [*self.inputs.values()])


def in_one_window(cases: Iterable[CaseResult], *, run_by_run: bool = True) -> list[CaseResult]:
    """Return cases counted to one time: in each run the latest end over those that are done.

    A case that was cut unfinished is counted to its own end, if that is later. Where runs of one
    number have nothing to do with one another, it is the latest end of all runs.
    """
    found = list(cases)
    if any(case.by_site is None for case in found):
        return found
    ends_s = [case.done_s for case in found]
    if run_by_run:
        window_s = np.maximum.reduce(ends_s)
        return [case.counted_to(window_s) for case in found]
    latest_s = max(float(end_s.max()) for end_s in ends_s)
    return [case.counted_to(np.full(case.n_runs, latest_s)) for case in found]


def differences(
    case: CaseResult,
    base: CaseResult,
    *,
    is_paired: bool = True,
    names: Iterable[str] = QUANTITIES,
) -> dict[str, Estimate]:
    """Return the difference of each quantity to that of another case in the same window.

    Parameters
    ----------
    case, base : CaseResult
        Counted to one time (`in_one_window`).
    is_paired : bool, optional
        Whether runs of one number met the same samples, and are compared run by run. If not, means
        are compared.
    names : iterable of str, optional
        Of quantities; all if left out.

    Returns
    -------
    dict of str to Estimate
        By quantity; without any value where a time of either is only known to be longer in a run.
    """
    found = {}
    for name in names:
        if name not in case.values or name not in base.values:
            continue
        if np.isinf(case.values[name]).any() or np.isinf(base.values[name]).any():
            found[name] = Estimate.of([])  # pairs of runs that are done would leave out the slow
        elif is_paired:
            difference = _difference(case.values[name], base.values[name])
            found[name] = Estimate.of(difference, (-1.0, 1.0) if QUANTITIES[name].bounds else None)
        else:
            found[name] = Estimate.between(case.estimate(name), base.estimate(name))
    return found


def _difference(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the difference, without the rounding noise of what is subtracted."""
    with np.errstate(invalid="ignore"):
        difference = one - other
    difference = np.where(np.isfinite(difference), difference, np.nan)
    sizes = np.abs(one[np.isfinite(difference)])
    noise = 1e-13 * float(sizes.max(initial=0.0))
    return np.round(difference / noise) * noise if noise else difference
