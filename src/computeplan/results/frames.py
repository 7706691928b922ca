"""Results as columns: those of the CSV files, of data frames and of labelled arrays.

Rows are named by their case, then by where it stands in the sweep: a column for every path that is
swept, with the values as written. Columns come a case at a time, because a result may have
millions of runs. pandas and xarray are asked for by the extra ``computeplan[data]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import ComputePlanError
from computeplan.quantities import JOB_QUANTITIES, QUANTITIES, Quantity
from computeplan.results.cases import CaseResult

__all__ = ["KINDS", "Columns", "axes_of", "columns", "quantities_of", "to_frame", "to_xarray"]

KINDS = ("runs", "jobs", "tenants", "chips", "summary")
"""Tables there are: a row per run, per run and job, tenant or kind of chip, per quantity."""

STATISTICS = ("mean", "low", "high", "p5", "p50", "p95", "n", "n_none", "n_beyond")

Cases = Mapping[str, CaseResult]
Columns = Mapping[str, Sequence[object] | FloatArray]
"""Columns of equal length by name; None where a text or a value of the sweep is not there."""


def quantities_of(cases: Cases) -> tuple[Quantity, ...]:
    """Return what any case has, in the order of the table of quantities."""
    names = {name for case in cases.values() for name in case.values}
    return tuple(quantity for name, quantity in QUANTITIES.items() if name in names)


def axes_of(cases: Cases) -> tuple[str, ...]:
    """Return the paths that are swept, in the order written."""
    return tuple(dict.fromkeys(path for case in cases.values() for path in case.axes))


def columns(cases: Cases, kind: str) -> Iterator[Columns]:
    """Yield the columns of each case; the names are the same for all.

    Raises
    ------
    ComputePlanError
        If there is no such kind of table.

    Examples
    --------
    >>> case = CaseResult({"ettr": np.array([0.5, 0.75])}, axes={"jobs.j.chips": 8})
    >>> next(columns({"a": case}, "runs"))["jobs.j.chips"]
    [8, 8]
    """
    makers = dict(zip(KINDS, (_runs, _jobs, _tenants, _chips, _summary), strict=True))
    if kind not in makers:
        raise ComputePlanError(f"no table {kind!r}. Tables: {', '.join(KINDS)}")
    return makers[kind](cases)


def _named(name: str, case: CaseResult, axes: Sequence[str], n: int) -> dict[str, Any]:
    return {"case": [name] * n} | {path: [case.axes.get(path)] * n for path in axes}


def _runs(cases: Cases) -> Iterator[Columns]:
    axes = axes_of(cases)
    names = [quantity.name for quantity in quantities_of(cases)]
    names += dict.fromkeys(name for case in cases.values() for name in case.inputs)
    for name, case in cases.items():
        none, found = np.full(case.n_runs, np.nan), {**case.values, **case.inputs}
        numbers = {column: found.get(column, none) for column in names}
        yield _named(name, case, axes, case.n_runs) | {"run": [*range(case.n_runs)]} | numbers


def _jobs(cases: Cases) -> Iterator[Columns]:
    axes = axes_of(cases)
    facts = list(dict.fromkeys(fact for case in cases.values() for fact in case.job_facts))
    names = [name for name in JOB_QUANTITIES if any(name in c.jobs for c in cases.values())]
    for name, case in cases.items():
        n_runs, n_jobs = case.n_runs, len(case.job_names)
        none, no_texts = np.full((n_runs, n_jobs), np.nan), ("",) * n_jobs
        yield (
            _named(name, case, axes, n_runs * n_jobs)
            | {"run": [run for run in range(n_runs) for _ in range(n_jobs)]}
            | {"job": [*case.job_names] * n_runs}
            | {fact: [*case.job_facts.get(fact, no_texts)] * n_runs for fact in facts}
            | {q: np.reshape(case.jobs.get(q, none), -1) for q in names}
        )


def _tenants(cases: Cases) -> Iterator[Columns]:
    axes = axes_of(cases)
    found = {name for case in cases.values() for of in case.tenants.values() for name in of}
    names = [name for name in QUANTITIES if name in found]
    for name, case in cases.items():
        n_rows = case.n_runs * len(case.tenants)
        yield (
            _named(name, case, axes, n_rows)
            | {"run": [run for run in range(case.n_runs) for _ in case.tenants]}
            | {"tenant": [*case.tenants] * case.n_runs}
            | _run_by_run(case, [*case.tenants.values()], names)
        )


def _chips(cases: Cases) -> Iterator[Columns]:
    axes, parts = axes_of(cases), {name: case.by_chip() for name, case in cases.items()}
    found = {name for part in parts.values() for of in part.values() for name in of}
    names = [name for name in QUANTITIES if name in found]
    for name, case in cases.items():
        part = parts[name]
        yield (
            _named(name, case, axes, case.n_runs * len(part))
            | {"run": [run for run in range(case.n_runs) for _ in part]}
            | {"chip": [chip for chip, _ in part] * case.n_runs}
            | {"pool": [pool for _, pool in part] * case.n_runs}
            | _run_by_run(case, [*part.values()], names)
        )


def _run_by_run(
    case: CaseResult, parts: Sequence[Mapping[str, FloatArray]], names: Sequence[str]
) -> dict[str, FloatArray]:
    """Return quantities of the parts of a case as columns: all parts of a run, then the next."""
    none = np.full(case.n_runs, np.nan)
    of_all = {name: [part.get(name, none) for part in parts] for name in names}
    return {name: np.reshape(np.transpose(arrays), -1) for name, arrays in of_all.items()}


def _summary(cases: Cases) -> Iterator[Columns]:
    quantities, axes = quantities_of(cases), axes_of(cases)
    for name, case in cases.items():
        found = [case.estimate(quantity.name) for quantity in quantities]
        yield (
            _named(name, case, axes, len(quantities))
            | {"quantity": [quantity.name for quantity in quantities]}
            | {"unit": [quantity.unit for quantity in quantities]}
            | {s: [getattr(estimate, s) for estimate in found] for s in STATISTICS}
        )


def to_frame(cases: Cases, kind: str) -> Any:
    """Return a table as a pandas DataFrame.

    Raises
    ------
    ComputePlanError
        If there is no such kind of table, or pandas is not installed.
    """
    blocks = [*columns(cases, kind)]
    try:
        import pandas as pd
    except ImportError as error:
        raise _not_installed("pandas") from error
    return pd.DataFrame({name: _joined([block[name] for block in blocks]) for name in blocks[0]})


def _joined(parts: list[Any]) -> Any:
    is_numbers = isinstance(parts[0], np.ndarray)
    return np.concatenate(parts) if is_numbers else [*chain.from_iterable(parts)]


def to_xarray(cases: Cases) -> Any:
    """Return the runs as an xarray Dataset.

    Its dimensions are the axes of the sweep and ``run`` where the cases are all points of it, else
    ``case`` and ``run``, with the axes as coordinates of the case.

    Raises
    ------
    ComputePlanError
        If xarray is not installed.
    """
    try:
        import xarray as xr
    except ImportError as error:
        raise _not_installed("xarray") from error
    n_runs = next(iter(cases.values())).n_runs
    none, axes = np.full(n_runs, np.nan), axes_of(cases)
    written = {path: [_label(case.axes.get(path)) for case in cases.values()] for path in axes}
    values = {path: list(dict.fromkeys(labels)) for path, labels in written.items()}
    shape = tuple(map(len, values.values()))
    points = [
        tuple(values[path].index(written[path][i]) for path in axes) for i in range(len(cases))
    ]
    if axes and np.prod(shape) == len(cases) == len(set(points)):
        dims, coordinates = (*axes, "run"), dict[str, Any](values)
        order = np.argsort(np.ravel_multi_index(np.transpose(points), shape))
    else:
        dims, shape, order = ("case", "run"), (len(cases),), np.arange(len(cases))
        coordinates = {"case": [*cases]} | {path: ("case", written[path]) for path in axes}
    found = [*cases.values()]
    return xr.Dataset(
        {
            q.name: (
                dims,
                np.stack([found[i].values.get(q.name, none) for i in order]).reshape(
                    *shape, n_runs
                ),
                {"units": q.unit, "long_name": q.label},
            )
            for q in quantities_of(cases)
        },
        coordinates | {"run": np.arange(n_runs)},
    )


def _label(value: object) -> Any:
    """Return a value of the sweep as a coordinate: a number or a text."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _not_installed(library: str) -> ComputePlanError:
    return ComputePlanError(
        f"{library} is not installed; data frames and labelled arrays need it: "
        "pip install 'computeplan[data]'"
    )
