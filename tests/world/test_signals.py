"""Signals: they repeat, begin where the year stands, and multiply; checked second by second."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.world.signals import Signal, product


@st.composite
def repeating(draw):
    """Return a signal of whole seconds, some of them much shorter than others."""
    n_steps = draw(st.integers(1, 5))
    gaps = draw(st.lists(st.integers(1, 9), min_size=n_steps, max_size=n_steps))
    values = draw(st.lists(st.floats(-2, 3), min_size=n_steps, max_size=n_steps))
    times = np.cumsum([0, *gaps])
    return Signal(times[:-1].astype(float), np.array(values), float(times[-1]))


def second_by_second(signal: Signal, from_s: int, to_s: int) -> float:
    """Return the integral, found by asking for the step of each second."""
    total = 0.0
    for second in range(from_s, to_s):
        at = (second + signal.begins_s) % signal.period_s
        total += next(
            value
            for begin, value in zip(signal.times_s[::-1], signal.values_frac[::-1], strict=True)
            if begin <= at
        )
    return total


@given(repeating(), st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_an_integral_is_the_sum_of_its_seconds(signal, begins_s, from_s, lasts_s):
    begun = Signal(signal.times_s, signal.values_frac, signal.period_s, float(begins_s))
    found = float(begun.integral(from_s, from_s + lasts_s))
    assert found == pytest.approx(second_by_second(begun, from_s, from_s + lasts_s), abs=1e-9)


@given(st.lists(repeating(), min_size=1, max_size=3), st.integers(0, 50), st.integers(0, 200))
def test_a_product_is_one_at_every_second(factors, begins_s, at_s):
    found = product(factors, float(begins_s)).at(at_s)
    assert found == pytest.approx(np.prod([one.at(at_s + begins_s) for one in factors]))


@given(repeating())
def test_the_mean_is_that_of_a_period(signal):
    mean = second_by_second(signal, 0, int(signal.period_s)) / signal.period_s
    assert signal.mean_frac == pytest.approx(mean, abs=1e-12)


def test_constants_do_not_repeat():
    twice, thrice = (Signal(np.zeros(1), np.array([value])) for value in (2.0, 3.0))
    assert product([twice, thrice]).values_frac.tolist() == [6.0]
    assert product([twice, thrice]).mean_frac == 6.0
    assert product([]).integral(1.0, 3.0) == 2.0


def test_periods_that_hardly_meet_are_refused():
    odd = Signal(np.array([0.0, 1.0]), np.array([1.0, 2.0]), 999_983.0)
    year = Signal(np.array([0.0, 1.0]), np.array([1.0, 2.0]), 8_760 * 3_600.0)
    with pytest.raises(ValueError, match=r"repeats together only after 8,759,851,080 h"):
        product([odd, year])
