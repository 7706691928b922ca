"""Results: what the runs of every case amount to, with error bars.

A run is one replication, so a quantity has one value per case and run. The mean has a 95 %
interval: what more runs would narrow. The 5th, 50th and 95th percentiles say how runs differ, by
chance and by uncertain inputs: what more runs would not narrow. All cases are played against the
same traces, so that cases are compared run by run (`Result.versus`), which cancels most of that.
Energy, cost and carbon of all cases are counted to one time in each run (``results/window.py``).

A value that does not exist in a run is left out, and the number of runs without one is told.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import ModuleType
from typing import Any, Literal

from computeplan.arrays import FloatArray
from computeplan.errors import ComputePlanError
from computeplan.notes import Note, Notes
from computeplan.quantities import QUANTITIES, Quantity
from computeplan.results.cases import CaseResult, differences
from computeplan.results.estimates import Estimate
from computeplan.results.frames import quantities_of, to_frame, to_xarray

__all__ = ["Result"]

MOST_IN_REPR = 10
"""Cases that ``repr`` of a result names."""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What the simulation of a scenario says, for all of its cases."""

    name: str
    about: str
    """As in the scenario."""
    cases: Mapping[str, CaseResult]
    """At least one; all with the same number of runs."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """How to get the same numbers again; plain JSON."""
    scenario_yaml: str = ""
    """The resolved scenario."""
    notes: Notes = ()
    """What a reader must know: estimates, unlike comparisons."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What the scenario reads, by the path it has in the resolved scenario."""
    incomplete: Mapping[str, Note] = field(default_factory=dict)
    """Cases of the scenario that were not played to their end, and why; empty if all were."""
    asks: str | None = None
    """By what cases are compared, if the scenario says so."""

    def __post_init__(self) -> None:
        if len({case.n_runs for case in self.cases.values()}) != 1:
            raise ValueError("a result needs cases, all with the same number of runs")

    def __repr__(self) -> str:
        """Return a few lines: how many runs of which cases."""
        names = [name if len(name) <= 60 else f"{name[:59]}…" for name in self.cases]
        if len(names) > MOST_IN_REPR:
            names[MOST_IN_REPR - 1 :] = [f"and {len(names) - MOST_IN_REPR + 1:,} more"]
        n_missing = len(self.incomplete)
        without = f", INCOMPLETE: {n_missing:,} without a result" if n_missing else ""
        head = f"<Result {self.name}: {len(self.cases):,} cases of {self.n_runs:,} runs{without}>"
        return "\n  ".join([head, *names])

    def _repr_html_(self) -> str:
        return str(_views().summary(self, language="en")._repr_html_())

    @property
    def n_runs(self) -> int:
        """Number of runs of each case."""
        return next(iter(self.cases.values())).n_runs

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What any case has, in the order of the table of quantities."""
        return quantities_of(self.cases)

    @property
    def plot(self) -> Any:
        """The figures of this result: ``result.plot.goodput()`` returns matplotlib Axes."""
        return _views().figures(self)

    def case(self, name: str) -> CaseResult:
        """Return a case, or raise ComputePlanError with the names there are."""
        if name in self.cases:
            return self.cases[name]
        close = get_close_matches(name, self.cases, 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ComputePlanError(
            f"{self.name}: no case {name!r}. {hint}Cases: {', '.join(map(repr, self.cases))}"
        )

    def answer(self) -> str:
        """Return the answer to the question of the scenario, a sentence a line.

        Of several cases: the best by what the scenario `asks`, its difference to the first with a
        95 % interval, and the cases that are not told apart from it.
        """
        return "\n".join(_views().answer(self))

    def summary(self, quantities: Iterable[str] | None = None) -> Any:
        """Return a table, one row per case: mean, interval, 5th, 50th and 95th percentiles.

        Parameters
        ----------
        quantities : iterable of str, optional
            Names of the columns; without, the headline quantities of this result.

        Raises
        ------
        ComputePlanError
            If a name is not in the table of quantities.
        """
        return _views().summary(self, quantities)

    def differences(
        self, case: str, names: Iterable[str] = QUANTITIES
    ) -> dict[str, dict[str, Estimate]]:
        """Return, for every other case and quantity, the difference to `case`, run by run.

        Energy, cost and carbon are counted as the table shows them: to the latest end over all
        cases. `compare` counts two cases alone, to the later end of the two.

        Parameters
        ----------
        case : str
        names : iterable of str, optional
            Of quantities; all if left out.

        Raises
        ------
        ComputePlanError
            If there is no such case.
        """
        base, wanted = self.case(case), tuple(names)
        return {
            name: differences(other, base, names=wanted)
            for name, other in self.cases.items()
            if name != case
        }

    def versus(self, case: str, quantities: Iterable[str] | None = None) -> Any:
        """Return a table, one row per other case: its difference to `case`, with a 95 % interval.

        Raises
        ------
        ComputePlanError
            If there is no such case or quantity.
        """
        return _views().versus(self, case, quantities)

    def tenants(self, quantities: Iterable[str] | None = None) -> Any:
        """Return a table, one row per case and tenant, of its jobs and services.

        None where all have one tenant.

        Parameters
        ----------
        quantities : iterable of str, optional
            Names of the columns; without, those a reader asks for first.

        Raises
        ------
        ComputePlanError
            If a name is not in the table of quantities.
        """
        return _views().tenants(self, quantities)

    def power(self) -> Any:
        """Return a table of what each site takes in run 0: mean, percentiles, steps, ramps [MW].

        None where no power over time was kept.
        """
        return _views().power(self)

    def chips(self, quantities: Iterable[str] | None = None) -> Any:
        """Return a table, one row per case and kind of chip: energy, cost and carbon of its work.

        Where a chip stands in several pools, a row for each of them follows. None where no case has
        several pools.

        Parameters
        ----------
        quantities : iterable of str, optional
            Names of the columns; without, those a reader asks for first.

        Raises
        ------
        ComputePlanError
            If a name is not in the table of quantities.
        """
        return _views().chips(self, quantities)

    def notes_page(self, language: Literal["en", "zh"] = "en") -> str:
        """Return all notes as Markdown: what could change the answer first, facts of cases last."""
        return str(_views().notes_page(self, language))

    def to_frame(self, kind: str = "runs") -> Any:
        """Return a pandas DataFrame; needs the extra ``computeplan[data]``.

        Its columns are those of the CSV file of that name in a result folder: the case, each path
        that is swept (with its values as written), then numbers, NaN where there is none.

        Parameters
        ----------
        kind : {"runs", "jobs", "tenants", "chips", "summary"}
            A row per run, per run and job, per run and tenant (none where all have one), per run
            and kind of chip (none where a case has one pool), or per quantity.

        Raises
        ------
        ComputePlanError
            If there is no such kind, or pandas is not installed.
        """
        return to_frame(self.cases, kind)

    def to_xarray(self) -> Any:
        """Return the runs as an xarray Dataset, a variable per quantity, with its unit.

        Its dimensions are the axes of the sweep and ``run`` where the cases are all points of it,
        else ``case`` and ``run``. Needs the extra ``computeplan[data]``.

        Raises
        ------
        ComputePlanError
            If xarray is not installed.
        """
        return to_xarray(self.cases)

    def to_json(self) -> dict[str, Any]:
        """Return the estimates as plain JSON: name, then case, quantity and statistic.

        Where there are several tenants, `tenants` has the same of each: case, tenant, quantity;
        where there are several pools, `chips` of each kind of chip: case, chip (and its pool, of
        several), quantity. A number that does not exist is ``None``: ``low`` and ``high`` of a
        single run, for two.
        Where cases are missing, ``incomplete`` says which and why.
        """
        missing = {
            name: {"code": why.code, "values": dict(why.items)}
            for name, why in self.incomplete.items()
        }
        cases = self.cases.items()
        by_tenant = {
            name: {who: _estimates(of) for who, of in case.tenants.items()}
            for name, case in cases
            if case.tenants
        }
        by_chip = {
            name: {", ".join(filter(None, key)): _estimates(of) for key, of in found.items()}
            for name, case in cases
            if (found := case.by_chip())
        }
        return {
            "name": self.name,
            **({"incomplete": missing} if missing else {}),
            "cases": {name: _estimates(case.values) for name, case in cases},
            **({"tenants": by_tenant} if by_tenant else {}),
            **({"chips": by_chip} if by_chip else {}),
        }


def _estimates(values: Mapping[str, FloatArray]) -> dict[str, Any]:
    found = {name: quantity for name, quantity in QUANTITIES.items() if name in values}
    return {q: Estimate.of(values[q], found[q].bounds).to_json() for q in found}


def _views() -> ModuleType:
    """Return what shows a result: the one import that goes up a floor.

    Loaded when a result is shown, so that no program that only counts loads what draws.
    """
    return importlib.import_module("computeplan.report.result_views")
