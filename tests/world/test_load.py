"""Loads: what is refused, and where it is wrong."""

import math

import numpy as np
import pytest

from computeplan.world.load import Lengths, Load, RequestTrace

ONES = np.ones(3, dtype=np.int64)
SHORT = Lengths(10, 0, 10)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ((0.5, 0, 10), "at least 1 token, got 0.5"),
        ((math.nan, 0, 10), "at least 1 token, got nan"),
        ((10, -1, 20), "cv of lengths must be at least 0, got -1"),
        ((30, 0, 20), "lengths of 30 tokens on the mean exceed the most, 20"),
        ((19, 0.5, 20), "no room to vary below the most, 20"),
    ],
)
def test_lengths(given, why):
    with pytest.raises(ValueError, match=why):
        Lengths(*given)


@pytest.mark.parametrize(
    ("arrival_s", "n_in", "n_out", "cached", "why"),
    [
        ([0, 1, 2], ONES[:2], ONES, None, "there are 3 times and 2 input_tokens"),
        ([0, 2, 1], ONES, ONES, None, "request 3 comes at 1 s, before request 2 at 2 s: sort"),
        ([0, math.nan, 1], ONES, ONES, None, "request 2 has no time"),
        ([0, 1, 2], ONES, ONES - [0, 0, 1], None, "request 3: output_tokens must be at least 1"),
        ([0, 1, 2], ONES, ONES, ONES - [0, 2, 0], "request 2: reusable_tokens must be at least 0"),
    ],
)
def test_traces(arrival_s, n_in, n_out, cached, why):
    with pytest.raises(ValueError, match=why):
        RequestTrace(np.array(arrival_s, dtype=float), n_in, n_out, cached)


@pytest.mark.parametrize(
    ("per_s", "cv", "cached", "why"),
    [
        (np.ones(7), 1, 0, "1 rate, 24 for a day or 168 for a week, got 7"),
        (np.zeros(24), 1, 0, "at least 0, and one of them above 0"),
        (np.array([-1.0]), 1, 0, "at least 0, and one of them above 0"),
        (np.ones(1), -1, 0, "cv of gaps must be at least 0, got -1"),
        (np.ones(1), 1, 1.0, r"cached share must be in \[0, 1\), got 1"),
    ],
)
def test_loads(per_s, cv, cached, why):
    with pytest.raises(ValueError, match=why):
        Load(per_s, cv, SHORT, SHORT, cached)


def test_a_trace_needs_time_to_pass():
    trace = RequestTrace(np.zeros(3), ONES, ONES)
    with pytest.raises(ValueError, match="requests at two times at least"):
        Load(np.ones(1), 1.0, SHORT, SHORT, 0.0, trace)


def test_the_rate_of_a_trace():
    assert RequestTrace(np.array([0.0, 1.0, 4.0]), ONES, ONES).rate_per_s == 0.5
