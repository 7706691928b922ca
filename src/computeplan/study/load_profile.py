"""The load of sites at a regular step, as tools for grids and microgrids read it.

::

    case,site,hour,taken_kw,train_kw,lost_kw,save_kw,restart_kw,blocked_kw,idle_kw,repair_kw

Each row is the mean of a step of run 0, that begins at an hour since the start of the run: what is
taken from outside, which is less what a battery gives and more what it takes, then what is drawn in
each phase. The last step is that in which the run ends; after that nothing is drawn.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from computeplan.errors import ComputePlanError
from computeplan.ledger import PHASES
from computeplan.results.power_series import PowerSeries
from computeplan.study.result import Result
from computeplan.units import HOUR_S

__all__ = ["save_load_profile"]

KILO = 1e3
MOST_ROWS = 5_000_000
ROUNDING = 1e-9  # of a step, by which a run may be longer than some steps


def save_load_profile(result: Result, path: Path, every_s: float) -> None:
    """Write the load of all cases and sites of a result.

    Parameters
    ----------
    result : Result
    path : Path
        A CSV; replaced if it is there.
    every_s : float
        How long a step lasts. [s]

    Raises
    ------
    ComputePlanError
        If no case has kept its power over time, or there would be too many rows.
    """
    every = [(c, s, one) for c, f in result.cases.items() for s, one in f.power.items()]
    if not every:
        raise ComputePlanError(f"{result.name}: no power over time was kept")
    n_rows = sum(_n_steps(series, every_s) for _, _, series in every)
    if n_rows > MOST_ROWS:
        raise ComputePlanError(
            f"{result.name}: a load profile of {n_rows:,} rows is more than {MOST_ROWS:,}: write a"
            " longer step"
        )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        phases = (f"{phase}_kw" for phase in PHASES)
        writer.writerow(("case", "site", "hour", "taken_kw", *phases))
        for case, site, series in every:
            edges_s = np.asarray(np.arange(_n_steps(series, every_s) + 1) * every_s, np.float64)
            taken = PowerSeries(series.edges_s, series.taken_w[:, None]).means_w(edges_s)
            table = np.hstack([edges_s[:-1, None] / HOUR_S, taken / KILO])
            table = np.hstack([table, series.means_w(edges_s) / KILO])
            writer.writerows((case, site, *row) for row in table.tolist())


def _n_steps(series: PowerSeries, every_s: float) -> int:
    return max(1, math.ceil(float(series.edges_s[-1]) / every_s - ROUNDING))
