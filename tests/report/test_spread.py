"""Completion times of jobs as curves, and cases as points of time, energy and fairness."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.markers import CARETLEFT, CARETRIGHT
from matplotlib.text import Text

from computeplan.errors import ComputePlanError
from computeplan.report.figures import save_figures
from computeplan.report.spread import MOST_CURVES, MOST_STEPS
from computeplan.results.cases import CaseResult
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result


def case(jct_h, energy=1.0, fairness=1.0, *, n_jobs=2):
    """Return a case whose jobs take so long, a row a run."""
    jct_h = np.asarray(jct_h, float).reshape(-1, n_jobs)
    ones = np.ones(len(jct_h))
    values = {
        "mean_jct_h": jct_h.mean(axis=1),
        "energy_kwh": energy * ones,
        "fairness_p95_x": fairness * ones,
        "n_unfinished": np.isnan(jct_h).sum(axis=1).astype(float),
        "kwh_per_gtok": energy * ones,
    }
    names = tuple(f"job {j}" for j in range(n_jobs))
    return CaseResult(values, {"jct_h": jct_h}, names)


def texts(ax):
    return [text.get_text() for text in ax.get_figure().findobj(Text) if text.get_text()]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def saved(result, folder):
    return {name.removesuffix(".png") for name in save_figures(result, folder)}


# Completion times --------------------------------------------------------------------------------


def test_the_curve_is_the_share_of_jobs_of_all_runs():
    ax = Result("r", "", {"a": case([[4, 1], [2, 8]])}).plot.completion_times()
    curve, middle = ax.lines
    np.testing.assert_allclose(curve.get_xdata(), [1, 1, 2, 4, 8])
    np.testing.assert_allclose(curve.get_ydata(), [0, 0.25, 0.5, 0.75, 1])
    assert (middle.get_xdata()[0], middle.get_ydata()[0]) == (2, 0.5)
    assert legend(ax) == ["a\nmedian 2.00 h"]
    assert "all jobs of 2 runs" in texts(ax)
    assert ax.get_xscale() == "linear"


def test_a_curve_with_unfinished_jobs_ends_below_one_and_says_so():
    cases = {"a": case([[4, 1], [np.nan, 8]]), "b": case([[np.nan, 1], [np.nan, np.nan]])}
    ax = Result("r", "", cases).plot.completion_times()
    a, b = (line for line in ax.lines if len(line.get_xdata()) > 1)
    np.testing.assert_allclose(a.get_ydata(), [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(b.get_ydata(), [0, 0.25])
    assert legend(ax) == ["a\nmedian 4.00 h\n1 of 4 unfinished", "b\n3 of 4 unfinished"]
    assert any("a curve that ends below 1: jobs are unfinished" in text for text in texts(ax))


@pytest.mark.parametrize(("longest", "scale"), [(99.0, "linear"), (101.0, "log")])
def test_more_than_two_decades_stand_on_a_logarithmic_axis(longest, scale):
    ax = Result("r", "", {"a": case([[1, longest]])}).plot.completion_times()
    assert ax.get_xscale() == scale


@pytest.mark.parametrize("longest", [1e3, 1e5, 1e9, 1e14])
def test_an_axis_of_many_decades_has_numbers(longest):
    ax = Result("r", "", {"a": case([[0.01, longest]])}).plot.completion_times()
    ax.get_figure().canvas.draw()
    low, high = ax.get_xlim()
    seen = [t for t in ax.get_xticks() if low <= t <= high]
    assert 4 <= len(seen) <= 18


def test_a_curve_of_many_jobs_stays_near_all_of_them():
    times = np.random.default_rng(5).lognormal(size=(1, 100_000))
    ax = Result("r", "", {"a": case(times, n_jobs=100_000)}).plot.completion_times()
    x, y = (np.asarray(data, float) for data in ax.lines[0].get_data())
    assert len(x) == MOST_STEPS + 1
    assert (x[-1], y[-1]) == (times.max(), 1)
    share = np.searchsorted(np.sort(times[0]), x[1:], side="right") / times.size
    np.testing.assert_allclose(y[1:], share)


def test_twelve_curves_have_twelve_colours_and_equal_ones_are_all_seen():
    cases = {f"c{i}": case([[1, 2 + i]]) for i in range(MOST_CURVES - 2)}
    cases |= {"again $": cases["c3"], "once more": cases["c3"]}
    ax = Result("r", "", cases).plot.completion_times()
    curves = [line for line in ax.lines if len(line.get_xdata()) > 1]
    assert len({line.get_color() for line in curves}) == MOST_CURVES
    assert [line.get_linestyle() for line in curves] == ["-"] * 10 + ["--", ":"]
    assert legend(ax)[-2:] == [
        "again \\$\nmedian 1.00 h\nsame as c3", "once more\nmedian 1.00 h\nsame as c3",
    ]  # fmt: skip


def test_curves_are_drawn_of_schedules_whose_jobs_differ(tmp_path):
    def is_drawn(cases, name):
        return "completion_times" in saved(Result("r", "", cases), tmp_path / name)

    assert is_drawn({"a": case([[1, 2]])}, "two")
    assert not is_drawn({"a": case([[2, 2]])}, "alike")
    assert not is_drawn({"a": case([[1], [2]], n_jobs=1)}, "single job")
    many = {f"case {i}": case([[1, 2]]) for i in range(MOST_CURVES + 1)}
    assert not is_drawn(many, "many")
    with pytest.raises(ComputePlanError, match="no job has a completion time"):
        Result("r", "", {"a": case([[np.nan, np.nan]])}).plot.completion_times()


# Time, energy and fairness -----------------------------------------------------------------------

POLICIES = {
    "fast": case([[10, 20], [10, 22]], 300, 1.0),
    "thrifty": case([[30, 32], [32, 34]], 200, 3.0),
    "between": case([[20, 22], [20, 24]], 250, 2.0),
    "worse": case([[30, 42], [30, 40]], 300, 5.0),
}


def points(ax):
    """Return the marks of cases by the number that stands in them."""
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    numbers = [text.get_text() for text in ax.texts if text.get_text().isdigit()]
    return dict(zip(numbers, marks, strict=True))


def test_a_point_is_the_mean_time_and_energy_with_their_intervals():
    cases = dict(POLICIES)
    cases["fast"].values["energy_kwh"][:] = (290, 310)
    ax = Result("r", "", cases).plot.tradeoff()
    first = points(ax)["1"]
    assert (first.get_xdata()[0], first.get_ydata()[0]) == (15.5, 300)
    across, up = Estimate.of([15.0, 16.0]), Estimate.of([290.0, 310.0])
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]
    assert ([across.low, across.high], [300, 300]) in lines
    assert ([15.5, 15.5], [up.low, up.high]) in lines
    # Student's t of two values: 12.706 half-differences
    assert across.high == pytest.approx(15.5 + 12.7062 * 0.5)
    assert legend(ax)[:4] == ["1  fast", "2  thrifty", "3  between", "4  worse"]


@pytest.mark.parametrize(("spread", "is_cut"), [(0.1, False), (100, True)])
def test_the_axes_stay_near_the_points_and_say_where_an_interval_is_cut(spread, is_cut):
    cases = {name: case([[t - spread, t], [t, t + spread]]) for name, t in (("a", 300), ("b", 310))}
    ax = Result("r", "", cases).plot.tradeoff()
    low, high = ax.get_xlim()
    assert any("an arrow: it goes on beyond the edge" in text for text in texts(ax)) == is_cut
    arrows = {
        (line.get_marker(), float(line.get_xdata()[0]))
        for line in ax.lines
        if line.get_marker() in (CARETLEFT, CARETRIGHT)
    }
    assert arrows == ({(CARETLEFT, low), (CARETRIGHT, high)} if is_cut else set())
    if is_cut:  # half the span of 10 h on either side
        assert (low, high) == pytest.approx((295, 315))
    else:
        assert low < 300 - 12.7 * 0.05
        assert high > 310 + 12.7 * 0.05


def test_the_pareto_front_is_of_points_that_no_other_beats_in_both():
    ax = Result("r", "", POLICIES).plot.tradeoff()
    edges = {n: mark.get_markeredgecolor() for n, mark in points(ax).items()}
    assert edges == {"1": "black", "2": "black", "3": "black", "4": "white"}
    (front,) = (line for line in ax.lines if line.get_linestyle() == "--")
    assert front.get_drawstyle() == "steps-post"  # above it lies what the front beats
    np.testing.assert_allclose(front.get_xdata(), [15.5, 21.5, 32])  # by time
    np.testing.assert_allclose(front.get_ydata(), [300, 250, 200])


def test_alike_points_are_all_on_the_front():
    cases = {"a": case([[1, 2]], 5), "b": case([[1, 2]], 5), "c": case([[1, 2]], 6)}
    marks = points(Result("r", "", cases).plot.tradeoff())
    assert [m.get_markeredgecolor() for m in marks.values()] == ["black", "black", "white"]


def test_the_colour_is_the_fairness():
    ax = Result("r", "", POLICIES).plot.tradeoff()
    colours = {n: to_hex(mark.get_color()) for n, mark in points(ax).items()}
    assert colours["1"] == "#440154"  # the ends of viridis
    assert colours["4"] == "#fde725"
    assert len(set(colours.values())) == 4
    (bar,) = (a for a in ax.get_figure().axes if a is not ax)
    assert bar.get_xlim() == (1, 5)
    assert bar.get_xlabel() == "Finish-time fairness, 95th percentile [x]"


def test_cases_without_fairness_have_no_colours():
    cases = {"a": case([[1, 2]], 5, math.nan), "b": case([[3, 2]], 4, math.nan)}
    ax = Result("r", "", cases).plot.tradeoff()
    assert len(ax.get_figure().axes) == 1
    assert len(points(ax)) == 2


def test_a_case_with_unfinished_jobs_is_named_and_has_no_point():
    cases = {"cut": case([[1, np.nan], [1, 2]]), **POLICIES}
    ax = Result("r", "", cases).plot.tradeoff()
    assert list(points(ax)) == ["2", "3", "4", "5"]
    assert legend(ax)[-1] == "1  cut\n(jobs unfinished)"
    assert ax.get_ylabel().startswith("Energy per Gtoken")
    with pytest.raises(ComputePlanError, match="r: nothing to draw, in no case do all jobs end"):
        Result("r", "", {"cut": cases["cut"]}).plot.tradeoff()


def test_points_are_drawn_of_schedules_that_differ(tmp_path):
    def is_drawn(cases, name):
        return "tradeoff" in saved(Result("r", "", cases), tmp_path / name)

    assert is_drawn(POLICIES, "four")
    assert not is_drawn({"fast": POLICIES["fast"]}, "one")
    assert not is_drawn({"a": case([[1, 2]]), "b": case([[1, 2]])}, "alike")
    single = {"a": case([[1], [2]], 1, n_jobs=1), "b": case([[1], [3]], 2, n_jobs=1)}
    assert not is_drawn(single, "single job")
