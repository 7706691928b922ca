"""Closed forms of checkpointing: an optimum, laws, an independent oracle, messages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from computeplan.physics.checkpoint import (
    expected_ettr,
    expected_makespan_s,
    expected_wall_s,
    optimal_async_interval_s,
    optimal_interval_s,
)

HOUR_S = 3600.0
mtbfs_s = st.floats(10 * 60.0, 3000 * HOUR_S)
saves_s = st.floats(0.1, 600.0)
restarts_s = st.floats(0.0, 4000.0)


@pytest.mark.parametrize(
    ("mtbf", "save", "interval"), [(185.585, 1, 18.605), (185.585, 0.5, 13.292), (1440, 5, 116.690)]
)
def test_optimum_has_the_published_value(mtbf, save, interval):
    assert optimal_interval_s(save * 60, mtbf * 60) / 60 == pytest.approx(interval, abs=2e-3)


@given(saves_s, mtbfs_s)
def test_optimum_is_where_a_search_finds_it(save_s, mtbf_s):
    found = minimize_scalar(
        lambda log_t: -expected_ettr(np.exp(log_t), save_s, 0.0, mtbf_s),
        bounds=(np.log(save_s * 1e-2), np.log(mtbf_s * 10)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert (
        expected_ettr(optimal_interval_s(save_s, mtbf_s), save_s, 0.0, mtbf_s) >= -found.fun - 1e-12
    )


@given(saves_s, mtbfs_s)
def test_daly_is_near_the_optimum_where_it_claims_to_be(save_s, mtbf_s):
    """J. T. Daly, Future Generation Computer Systems 22(3), 2006, eq. 37."""
    if save_s < 0.1 * mtbf_s:
        x = np.sqrt(save_s / (2 * mtbf_s))
        daly_s = np.sqrt(2 * save_s * mtbf_s) * (1 + x / 3 + x**2 / 9) - save_s
        assert daly_s == pytest.approx(float(optimal_interval_s(save_s, mtbf_s)), rel=1e-3)


@given(st.floats(1e-12, 1e-6))
def test_optimum_is_smooth_where_the_series_takes_over(ratio):
    young = np.sqrt(2 * ratio)
    assert float(optimal_interval_s(ratio, 1.0)) == pytest.approx(young - 2 * ratio / 3, rel=1e-5)


@given(saves_s, restarts_s, mtbfs_s, st.floats(1.01, 10.0))
def test_rarer_faults_never_hurt(save_s, restart_s, mtbf_s, factor):
    args = (optimal_interval_s(save_s, mtbf_s), save_s, restart_s)
    assert 0 <= expected_ettr(*args, mtbf_s) < expected_ettr(*args, mtbf_s * factor) < 1


@given(saves_s, restarts_s, mtbfs_s, st.floats(1.01, 10.0))
def test_longer_restarts_never_help(save_s, restart_s, mtbf_s, factor):
    interval_s = optimal_interval_s(save_s, mtbf_s)
    shorter = expected_wall_s(interval_s, save_s, restart_s, mtbf_s)
    assert shorter <= expected_wall_s(interval_s, save_s, restart_s * factor, mtbf_s)


def test_agrees_with_playing_the_faults_one_by_one():
    """An oracle that shares no code: draw gaps, walk the timeline, count what is kept."""
    interval_s, save_s, restart_s, mtbf_s = 1200.0, 60.0, 600.0, 3 * HOUR_S
    rng = np.random.default_rng(20240723)

    def wall_s_of_one_segment() -> float:
        wall, todo = 0.0, interval_s + save_s
        while (gap := rng.exponential(mtbf_s)) < todo:
            wall, todo = wall + gap, restart_s + interval_s + save_s
        return wall + todo

    wall_s = np.array([wall_s_of_one_segment() for _ in range(20_000)])
    expected = float(expected_wall_s(interval_s, save_s, restart_s, mtbf_s))
    standard_error = wall_s.std(ddof=1) / np.sqrt(wall_s.size)
    assert abs(wall_s.mean() - expected) < 4 * standard_error  # 1 false alarm in 16,000


def test_an_async_write_agrees_with_playing_the_faults_one_by_one():
    """An oracle that shares no code: list the times at which saves are complete, take the last."""
    n, interval_s, save_s, write_s, restart_s, mtbf_s = 6, 1200.0, 60.0, 900.0, 600.0, 2 * HOUR_S
    rng = np.random.default_rng(20250316)

    def wall_s_of_one_job() -> float:
        wall, kept, ahead = 0.0, 0, 0.0
        while True:
            complete = ahead + (interval_s + save_s) * np.arange(1, n - kept + 1) + write_s
            gap = rng.exponential(mtbf_s)
            if gap >= complete[-1]:
                return wall + complete[-1]
            wall, kept, ahead = wall + gap, kept + int((complete <= gap).sum()), restart_s

    wall_s = np.array([wall_s_of_one_job() for _ in range(20_000)])
    expected = expected_makespan_s(n, interval_s, save_s, restart_s, mtbf_s, write_s)
    standard_error = wall_s.std(ddof=1) / np.sqrt(wall_s.size)
    assert abs(wall_s.mean() - expected) < 4 * standard_error  # 1 false alarm in 16,000


@given(saves_s, st.floats(1.0, 7200.0), mtbfs_s)
def test_async_optimum_is_where_a_search_finds_it(save_s, write_s, mtbf_s):
    lowest = max(save_s * 1e-2, write_s - save_s)
    found = minimize_scalar(
        lambda log_t: -expected_ettr(np.exp(log_t), save_s, 0.0, mtbf_s, write_s),
        bounds=(np.log(lowest), np.log(max(mtbf_s, lowest) * 10)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    best_s = optimal_async_interval_s(save_s, write_s, mtbf_s)
    assert best_s >= write_s - save_s
    assert expected_ettr(best_s, save_s, 0.0, mtbf_s, write_s) >= -found.fun - 1e-12


def test_writes_that_overlap_are_refused():
    with pytest.raises(ValueError, match="write_s must be at most"):
        expected_ettr(60.0, 1.0, 0.0, 3600.0, write_s=62.0)


def test_takes_arrays_as_gladly_as_numbers():
    intervals = optimal_interval_s([30.0, 60.0], [[HOUR_S], [3 * HOUR_S]])
    assert intervals.shape == (2, 2)
    assert (np.diff(intervals, axis=0) > 0).all()


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
def test_says_which_argument_is_wrong(bad):
    with pytest.raises(ValueError, match="mtbf_s must be > 0, got"):
        optimal_interval_s(save_s=60.0, mtbf_s=bad)
    with pytest.raises(ValueError, match="save_s must be > 0, got"):
        optimal_interval_s(save_s=bad, mtbf_s=60.0)
