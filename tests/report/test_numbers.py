"""How a number is written with its range: digits, multiples, ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.quantities import QUANTITIES
from computeplan.report.numbers import Scale, difference, middle_and_range, percent, scale_for
from computeplan.results.estimates import Estimate

DAYS = QUANTITIES["time_to_train_days"]
D = Scale(1.0, "d")


def shown(values, name="time_to_train_days", scale=D, **more):
    quantity = QUANTITIES[name]
    return middle_and_range(quantity, Estimate.of(values, quantity.bounds), scale, **more)


@pytest.mark.parametrize(
    ("unit", "value", "language", "multiple"),
    [
        ("kWh", 23_480_000, "en", "GWh"),
        ("kWh", 23_480_000, "zh", "万kWh"),
        ("kWh", 235e6, "zh", "亿kWh"),
        ("kWh", 999.7, "en", "MWh"),  # 1.00 MWh, not 1,000 kWh
        ("token/s", 2_389_000, "en", "Mtok/s"),
        ("USD", 1_878_000, "en", "M USD"),
        ("CNY", 1_878_000, "zh", "万元"),
        ("chip-h", 2.9e7, "zh", "万卡时"),
        ("chip-h", 2.9e7, "en", "M chip-h"),
        ("kg CO2e", 9_391_000, "en", "kt CO2e"),
        ("d", 0.1, "en", "h"),
        ("d", 75.6, "en", "d"),
        ("", 418, "en", ""),
    ],
)
def test_a_multiple_leaves_at_most_four_digits_before_the_point(unit, value, language, multiple):
    found = scale_for(unit, [value, value / 3], language)
    assert found.unit == multiple
    assert value / found.size < 10_000


def test_three_digits_and_a_range_as_fine_as_it_is_wide():
    assert shown(np.linspace(67.3, 83.9, 101)) == ("75.6", "68 to 83")
    assert shown(np.linspace(74.1, 74.7, 101)) == ("74.4", "74.1 to 74.7")
    assert shown(np.full(9, 74.4)) == ("74.4", "")
    assert shown([417, 418, 419], "n_unexpected", Scale(1.0, "")) == ("418", "417 to 419")
    assert shown([np.nan, np.nan]) == ("-", "")


@given(st.lists(st.floats(0.01, 1e6), min_size=2, max_size=40))
def test_a_range_of_what_is_positive_is_never_below_zero_and_holds_the_middle(values):
    middle, band = shown(values)
    middle = float(middle.replace(",", ""))
    if band:
        low, high = (float(end.replace(",", "")) for end in band.split(" to "))
        assert 0 <= low < high
        coarse = max(10.0 ** -len(end.partition(".")[2]) for end in band.split(" to "))
        assert low - coarse <= middle <= high + coarse


def test_what_lies_beyond_the_cut_is_said_with_the_cut():
    assert shown([np.inf] * 20, end=54.0) == ("> 54", "")
    assert shown([50.0] * 15 + [np.inf] * 5, end=54.0) == ("50.0", "50.0 to > 54")


@pytest.mark.parametrize("n_runs", [2, 4, 1000])
def test_a_share_that_is_whole_in_all_runs_is_one_however_many_there_are(n_runs):
    """Its mean is only known to be above some bound; a table says the middle of the runs."""
    assert shown(np.ones(n_runs), "available_frac", Scale(1.0, "")) == ("1.00", "")


def test_a_probability_is_percent_with_the_interval_that_runs_leave():
    runs = np.array([1.0] * 67 + [0.0] * 33)
    assert shown(runs, "done_by_deadline_frac", Scale(1.0, "")) == ("67 %", "57 to 76 %")
    assert shown(np.ones(100), "done_by_deadline_frac", Scale(1.0, "")) == ("100 %", "96 to 100 %")
    assert [percent(x) for x in (0.0, 0.004, 0.5, 0.996, 1.0)] == ["0", "0.4", "50", "99.6", "100"]


def test_a_difference_has_its_sign_interval_and_percent():
    values = np.random.default_rng(5).normal(-1.2, 1.0, 400)
    found = Estimate.of(values)
    text, band, share = difference(found, 60.0, D)
    assert text == f"{found.mean:+.2f}"
    assert band == f"{found.low:+.2f} to {found.high:+.2f}"
    assert share == f"{100 * found.mean / 60:+.1f} %"
    assert difference(Estimate.of(np.zeros(5)), 60.0, D) == ("0", "", "")
    assert difference(Estimate.of([]), 60.0, D) == ("-", "", "")
