"""Results: what the runs of every case amount to, with error bars.

A run is one replication, so a quantity has one value per case and run. The mean is given with the
half width of its 95 % interval by Student's t: what more runs would narrow. The 5th and 95th
percentiles say how runs differ: what more runs would not narrow. All cases meet the same luck,
therefore cases are compared run by run (`Result.versus`), which cancels most of it.

A value that does not exist in a run (not finite) is left out of the mean, and the number of runs
without one is told.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from computeplan.errors import ComputePlanError
from computeplan.quantities import QUANTITIES, Quantity
from computeplan.report.table import Table
from computeplan.results.cases import CaseResult
from computeplan.results.estimates import Estimate

__all__ = ["Result", "headline"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Result:
    """What the simulation of a scenario says, for all of its cases.

    Parameters
    ----------
    name, about : str
        As in the scenario.
    cases : mapping of str to CaseResult
        At least one; all with the same number of runs.
    provenance : mapping
        How to get the same numbers again; plain JSON.
    scenario_yaml : str
        The resolved scenario.
    notes : tuple of str
        What a reader must know: estimates, unlike comparisons.
    files : mapping of str to bytes
        What the scenario reads, by the path it has in the resolved scenario.
    """

    name: str
    about: str
    cases: Mapping[str, CaseResult]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    scenario_yaml: str = ""
    notes: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len({case.n_runs for case in self.cases.values()}) != 1:
            raise ValueError("a result needs cases, all with the same number of runs")

    @property
    def n_runs(self) -> int:
        """Number of runs of each case."""
        return next(iter(self.cases.values())).n_runs

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What any case has, in the order of the table of quantities."""
        names = {name for case in self.cases.values() for name in case.values}
        return tuple(quantity for name, quantity in QUANTITIES.items() if name in names)

    @property
    def plot(self) -> Any:
        """The figures of this result: ``result.plot.goodput()`` returns matplotlib Axes."""
        # The one import that goes up a floor. It keeps matplotlib out of every program that draws
        # nothing, and it costs less than a hook that the package would set behind our back.
        return importlib.import_module("computeplan.report.figures").figures_of(self)

    def case(self, name: str) -> CaseResult:
        """Return a case, or raise ComputePlanError with the names there are."""
        if name in self.cases:
            return self.cases[name]
        close = get_close_matches(name, self.cases, 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ComputePlanError(
            f"{self.name}: no case {name!r}. {hint}Cases: {', '.join(map(repr, self.cases))}"
        )

    def summary(self, quantities: Iterable[str] | None = None) -> Table:
        """Return one row per case: mean, interval, and 5th, 50th and 95th percentiles.

        Parameters
        ----------
        quantities : iterable of str, optional
            Names of the columns; without, the headline quantities of this result.

        Raises
        ------
        ComputePlanError
            If a name is not in the table of quantities.
        """
        chosen = headline(self, quantities)
        found = {name: [c.estimate(q.name) for q in chosen] for name, c in self.cases.items()}
        rows = tuple(
            (name, *(_cell(q, e) for q, e in zip(chosen, estimates, strict=True)))
            for name, estimates in found.items()
        )
        missing = tuple(
            f"{name}, {q.name}: {e.n_none} of {self.n_runs} runs have none and are left out."
            for name, estimates in found.items()
            for q, e in zip(chosen, estimates, strict=True)
            if e.n_none
        )
        header = ("case", *(f"{q.name}\n{q.unit or '-'}" for q in chosen))
        notes = (*_how_to_read(self.n_runs), *missing, *self.notes)
        return Table(f"{self.name}: {_runs(self.n_runs)} per case", header, rows, notes)

    def differences(self, case: str) -> dict[str, dict[str, Estimate]]:
        """Return, for every other case and quantity, the difference to `case`, run by run.

        Raises
        ------
        ComputePlanError
            If there is no such case.
        """
        base = self.case(case)
        return {
            name: {
                q.name: Estimate.of(np.subtract(other.values[q.name], base.values[q.name]))
                for q in self.quantities
                if q.name in other.values and q.name in base.values
            }
            for name, other in self.cases.items()
            if name != case
        }

    def versus(self, case: str, quantities: Iterable[str] | None = None) -> Table:
        """Return one row per other case: its difference to `case`, with a 95 % interval.

        Raises
        ------
        ComputePlanError
            If there is no such case or quantity.
        """
        chosen = headline(self, quantities)
        none = Estimate.of([])
        differences = self.differences(case)
        rows = tuple(
            (name, *(found.get(q.name, none).text(q, sign=True) for q in chosen))
            for name, found in differences.items()
        )
        missing = tuple(
            f"{name}, {q}: {e.n_none} of {self.n_runs} pairs have none and are left out."
            for name, found in differences.items()
            for q, e in found.items()
            if e.n_none and q in {q.name for q in chosen}
        )
        reading = (
            "mean difference, run by run on the same luck, ± half width of its 95 % interval"
            if self.n_runs > 1
            else "one run per case: differences have no interval"
        )
        header = ("case", *(f"{q.name}\n{q.unit or '-'}" for q in chosen))
        return Table(
            f"{self.name}: difference to {case!r}", header, rows, (reading, *missing, *self.notes)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the estimates as plain JSON: name, then case, quantity and statistic.

        A number that does not exist is ``None``: ``ci95`` of a single run, for one.
        """
        return {
            "name": self.name,
            "cases": {
                name: {q: case.estimate(q).to_json() for q in QUANTITIES if q in case.values}
                for name, case in self.cases.items()
            },
        }


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

    Raises
    ------
    ComputePlanError
        If a name is not in the table of quantities.
    """
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
        if any(np.isfinite(case.values.get(name, np.nan)).any() for case in cases)
        and not (name in _WITHOUT_TROUBLE and all(_tells_nothing(name, case) for case in cases))
    )


def _tells_nothing(name: str, case: CaseResult) -> bool:
    usual = _WITHOUT_TROUBLE[name]
    due = 1.0 if usual is None else case.estimate(usual).mean
    return case.estimate(name).mean > SAME * due


def _cell(quantity: Quantity, estimate: Estimate) -> str:
    if estimate.n < 2:
        return quantity.text(estimate.mean)
    band = " ".join(quantity.text(p) for p in (estimate.p5, estimate.p50, estimate.p95))
    return f"{estimate.text(quantity)}\n[{band}]"


def _runs(n_runs: int) -> str:
    return f"{n_runs:,} run{'s' if n_runs > 1 else ''}"


def _how_to_read(n_runs: int) -> tuple[str, ...]:
    if n_runs == 1:
        return ("one run per case: no interval and no percentiles",)
    return ("mean ± half width of its 95 % interval, [5th 50th 95th percentile of the runs]",)
