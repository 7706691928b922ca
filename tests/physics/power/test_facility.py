"""PUE: hand arithmetic, and the laws: never less for warmth, never less drawn for more load."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.physics.power.facility import DEFAULT_BUILDING, Building, pue, scaled_to

shares = st.floats(0.0, 1.0)
temperatures = st.floats(-60.0, 60.0)
buildings = st.builds(
    lambda fixed, linear, square, fans, chiller, free, span: Building(
        fixed, linear, square, fans, chiller, free, free + span
    ),
    *[shares] * 5,
    st.floats(-10.0, 30.0),
    st.floats(0.1, 40.0),
)


def test_half_a_hall_on_a_warm_day_by_hand():
    building = Building(0.02, 0.04, 0.01, 0.03, 0.20, free_c=15.0, full_c=35.0)
    assert pue(building, 0.5, 25.0) == pytest.approx(1 + 0.02 / 0.5 + 0.04 + 0.005 + 0.03 + 0.10)


@given(buildings, st.floats(0.01, 1.5), temperatures, temperatures)
def test_pue_never_falls_with_temperature(building, load, one, other):
    cool, warm = sorted((one, other))
    assert 1.0 <= pue(building, load, cool) <= pue(building, load, warm)


@given(buildings, temperatures, shares, shares)
def test_the_site_never_draws_less_for_more_load(building, outside, one, other):
    low, high = sorted((0.01 + one, 0.01 + other))
    drawn = [load * pue(building, load, outside) for load in (low, high)]
    assert drawn[0] <= drawn[1] * (1 + 1e-12)


@given(st.floats(1.0, 2.0), st.lists(temperatures, min_size=2, max_size=12), st.floats(0.1, 1.0))
def test_a_known_year_is_met_and_keeps_its_shape(mean, months_c, load):
    building = scaled_to(DEFAULT_BUILDING, mean, load, months_c)
    months = pue(building, load, months_c)
    assert np.mean(months) == pytest.approx(mean)
    assert np.argmax(months) == np.argmax(pue(DEFAULT_BUILDING, load, months_c)) or mean < 1.0001


def test_months_of_unequal_load_count_by_energy():
    building = scaled_to(DEFAULT_BUILDING, 1.3, [0.2, 1.0], [0.0, 30.0])
    site = 0.2 * pue(building, 0.2, 0.0) + 1.0 * pue(building, 1.0, 30.0)
    assert site / 1.2 == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pue(DEFAULT_BUILDING, 0.0, 10.0), "load_frac must be > 0"),
        (lambda: pue(DEFAULT_BUILDING, 1.0, np.inf), "outside_c must be finite"),
        (
            lambda: pue(replace(DEFAULT_BUILDING, fans_frac=-0.1), 1.0, 1.0),
            "fans_frac must be >= 0",
        ),
        (lambda: pue(replace(DEFAULT_BUILDING, full_c=15.0), 1.0, 1.0), "full_c must be above"),
        (lambda: scaled_to(DEFAULT_BUILDING, 0.9, 1.0, 1.0), "mean_pue must be >= 1"),
        (lambda: scaled_to(Building(0, 0, 0, 0, 0, 15, 35), 1.1, 1.0, 1.0), "adds nothing"),
    ],
)
def test_says_which_argument_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
