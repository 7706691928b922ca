"""Caps: every measured point from the others, laws, and the estimate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.compiler.power import curve_through
from computeplan.physics.power.caps import (
    best_cap,
    cap_curve,
    capped,
    energy_frac,
    speed_at_draw,
    without_point,
)
from computeplan.specs.catalogue.power import power_table

CURVES = {name: curve_through(points) for name, points in power_table().curves.items()}
LEFT_OUT = [(name, i) for name, c in CURVES.items() for i in range(1, c.cap_frac.size - 1)]


@pytest.mark.parametrize(("name", "place"), LEFT_OUT)
def test_a_point_that_is_left_out_is_met_within_four_points(name, place):
    curve = CURVES[name]
    speed, draw = without_point(curve, place)
    assert speed == pytest.approx(curve.speed_frac[place], abs=0.04)
    assert draw == pytest.approx(curve.draw_frac[place], abs=0.04)


@pytest.mark.parametrize("name", CURVES)
@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_cap_is_never_slower_and_no_cap_changes_nothing(name, one, other):
    curve = CURVES[name]
    low, high = sorted(curve.cap_frac[0] + (1 - curve.cap_frac[0]) * x for x in (one, other))
    for of_low, of_high in zip(capped(curve, low), capped(curve, high), strict=True):
        assert of_low <= of_high + 1e-12
    assert [float(x) for x in capped(curve, 1.5)] == [1.0, 1.0]


def test_measured_points_are_kept():
    speed, draw = capped(CURVES["nvidia/v100"], [0.4, 0.7, 1.0])
    assert speed.tolist() == pytest.approx([0.531, 0.903, 1.0])
    assert draw.tolist() == pytest.approx([0.447, 0.745, 1.0])


@pytest.mark.parametrize(
    ("name", "low", "high", "saved"),
    [
        ("nvidia/v100", 0.5, 0.65, 0.22),
        ("nvidia/a40", 0.6, 0.7, 0.21),
        ("nvidia/rtx6000", 0.48, 0.6, 0.25),
    ],
)
def test_the_least_energy_is_near_the_best_measured_cap(name, low, high, saved):
    """Among measured caps: V100 0.6, A40 0.667, RTX 6000 0.577, with -22, -21, -25 % of energy."""
    curve = CURVES[name]
    best = best_cap(curve)
    assert low <= best <= high
    assert energy_frac(curve, best) <= 1 - saved + 0.01
    assert np.all(energy_frac(curve, curve.cap_frac) >= energy_frac(curve, best) - 1e-9)


@given(st.sampled_from(sorted(CURVES)), st.floats(0, 3), st.floats(0, 3))
def test_the_more_stands_around_a_chip_the_less_it_pays_to_cap_it(name, one, other):
    little, much = sorted((one, other))
    assert best_cap(CURVES[name], little) <= best_cap(CURVES[name], much) + 2e-4


@pytest.mark.parametrize("name", CURVES)
def test_speed_at_a_measured_draw_is_the_measured_speed_and_half_of_it_at_half(name):
    curve = CURVES[name]
    np.testing.assert_allclose(speed_at_draw(curve, curve.draw_frac), curve.speed_frac)
    half = speed_at_draw(curve, curve.draw_frac[0] / 2)
    assert half == pytest.approx(curve.speed_frac[0] / 2)


@given(st.sampled_from(sorted(CURVES)), st.floats(0, 1))
def test_speed_by_draw_is_that_of_the_cap_that_leads_to_it(name, x):
    curve = CURVES[name]
    speed, draw = capped(curve, curve.cap_frac[0] + (1 - curve.cap_frac[0]) * x)
    assert speed_at_draw(curve, draw) == pytest.approx(speed, abs=0.01)


@given(st.sampled_from([None, *sorted(CURVES)]), st.floats(1e-6, 1.2), st.floats(1e-6, 1.2))
def test_more_watts_are_never_slower(name, one, other):
    curve = CURVES.get(name)
    low, high = sorted((one, other))
    assert speed_at_draw(curve, low) <= speed_at_draw(curve, high) + 1e-12
    assert speed_at_draw(curve, max(1.0, high)) == 1.0


@given(st.floats(1e-6, 1))
def test_where_nothing_was_measured_speed_falls_as_the_watts(draw_frac):
    assert speed_at_draw(None, draw_frac) == draw_frac


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cap_curve([], [], []), "as many, and at least one"),
        (lambda: cap_curve([0.5], [0.6, 0.7], [0.5]), "as many"),
        (lambda: cap_curve([0.5, 0.5], [0.6, 0.7], [0.5, 0.6]), "must be below 1 and differ"),
        (lambda: cap_curve([1.0], [1.0], [1.0]), "must be below 1"),
        (lambda: cap_curve([0.5, 0.6], [0.7, 0.6], [0.5, 0.6]), "speed_frac must not fall"),
        (lambda: cap_curve([0.5, 0.6], [0.6, 0.7], [0.5, 1.2]), "draw_frac must not fall"),
        (lambda: capped(CURVES["nvidia/a40"], 0.2), "the lowest measured"),
        (lambda: capped(CURVES["nvidia/a40"], np.nan), "cap_frac must be > 0"),
        (lambda: without_point(CURVES["nvidia/a40"], 0), "between the first and the last"),
        (lambda: energy_frac(CURVES["nvidia/a40"], 0.5, -1), "beside_frac must be >= 0"),
    ],
)
def test_says_which_argument_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
