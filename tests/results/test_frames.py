"""Data frames and labelled arrays hold what the files hold, with the sweep as columns."""

import csv
import itertools
import sys

import numpy as np
import pytest

from computeplan.errors import ComputePlanError
from computeplan.results.cases import CaseResult
from computeplan.study.result import Result
from computeplan.study.store import save_result

EVERY, SPARES = "jobs.j.checkpoint.every", "sites.s.pools.p.spares"


def make(points):
    """Return a result with a case at every point, its ETTR the number of the case plus the run."""
    cases = {
        f"case {i}": CaseResult(
            {"ettr": i + np.arange(3.0), "n_planned": np.array([0.0, np.nan, 2.0])},
            {"wait_h": i + np.arange(6.0).reshape(3, 2)},
            ("a", "b"),
            {"model": ("m/a", "m/b")},
            axes=point,
        )
        for i, point in enumerate(points)
    }
    return Result("r", "", cases)


def grid():
    crossed = itertools.product(["5 min", "10 min", "1 h"], [8, 4])
    return make([{EVERY: every, SPARES: spares} for every, spares in crossed])


@pytest.mark.parametrize("kind", ["runs", "jobs", "summary"])
def test_a_frame_is_its_csv_file(kind, tmp_path):
    pytest.importorskip("pandas")
    result = grid()
    save_result(result, tmp_path / "r")
    frame = result.to_frame(kind)
    with (tmp_path / "r" / f"{kind}.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert list(frame.columns) == header
    found = [["" if v != v else str(v) for v in row] for row in frame.itertuples(index=False)]
    assert found == rows


def test_runs_are_the_default_and_numbers_are_numbers():
    pytest.importorskip("pandas")
    frame = grid().to_frame()
    assert len(frame) == 18
    assert frame[SPARES].dtype == np.int64
    assert frame["n_planned"].isna().sum() == 6
    means = frame.pivot_table(index=SPARES, columns=EVERY, values="ettr")
    assert means.loc[4, "1 h"] == 6.0  # case 5, runs 0 to 2


def test_a_case_outside_the_sweep_has_no_value_of_it():
    pytest.importorskip("pandas")
    frame = make([{EVERY: "1 h"}, {}]).to_frame("summary")
    assert frame[EVERY].isna().tolist() == [False, False, True, True]


def test_points_of_a_whole_sweep_are_dimensions():
    pytest.importorskip("xarray")
    data = grid().to_xarray()
    assert dict(data.sizes) == {EVERY: 3, SPARES: 2, "run": 3}
    assert data["ettr"].sel({EVERY: "10 min", SPARES: 4, "run": 2}).item() == 5.0
    assert data["ettr"].attrs["long_name"] == "Effective training time ratio"


@pytest.mark.parametrize(
    "points",
    [
        [{}, {}],
        [{EVERY: "1 h", SPARES: 8}, {EVERY: "2 h", SPARES: 4}],  # they move together
        [{EVERY: "1 h"}, {EVERY: "1 h"}, {EVERY: "2 h"}, {EVERY: "2 h"}],  # two cases at each
    ],
)
def test_all_else_has_the_case_as_a_dimension_and_axes_beside_it(points):
    pytest.importorskip("xarray")
    data = make(points).to_xarray()
    assert data["ettr"].dims == ("case", "run")
    assert data["ettr"].sel(case="case 1", run=2).item() == 3.0
    assert all(data[path].dims == ("case",) for path in points[0])


def test_what_is_not_there_is_said_with_what_to_do(monkeypatch):
    with pytest.raises(
        ComputePlanError, match=r"no table 'rows'\. Tables: runs, jobs, tenants, chips, summary"
    ):
        grid().to_frame("rows")
    for library, call in (("pandas", "to_frame"), ("xarray", "to_xarray")):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ComputePlanError, match=rf"{library} is not .*'computeplan\[data\]'"):
            getattr(grid(), call)()
