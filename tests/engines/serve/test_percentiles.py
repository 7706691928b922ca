"""Percentiles and their bands."""

import math

import numpy as np
from scipy import stats

from computeplan.engines.serve.percentiles import band, in_parts


def test_parts_are_all_but_the_first():
    parts = in_parts(np.arange(100.0), n_parts=9, warm_frac=0.1)
    assert [len(part) for part in parts] == [10] * 9
    assert np.concatenate(parts).tolist() == list(range(10, 100))


def test_a_single_part_has_no_band():
    found = band([np.array([1.0, 2.0, 3.0])], frac=0.5)
    assert found.value == 2.0
    assert math.isnan(found.low)
    assert math.isnan(band([np.array([np.nan])]).value)


def test_requests_without_a_value_are_left_out():
    assert band([np.array([1.0, np.nan]), np.array([3.0, 5.0])], frac=1.0).value == 5.0


def test_intervals_hold_the_percentile_as_often_as_they_say():
    rng = np.random.default_rng(5)
    right = stats.expon.ppf(0.9)
    held = 0
    for _ in range(400):
        found = band(list(rng.standard_exponential((10, 400))), frac=0.9, level=0.9)
        held += found.low <= right <= found.high
    assert 0.85 < held / 400 < 0.95


def test_more_parts_narrow_the_band():
    rng = np.random.default_rng(6)
    few, many = (band(list(rng.standard_exponential((n, 300)))) for n in (5, 80))
    assert many.high - many.low < 0.5 * (few.high - few.low)
    assert many.low < stats.expon.ppf(0.99) < many.high
