"""Watts of serving: laws, and nonsense that is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.physics.serving.power import Draw, chip_w, joules_per_token

DRAW = Draw(base_w=400.0, bandwidth_w=100.0, peak_w=600.0, limit_w=700.0)
shares = st.floats(0, 1)


@given(shares, shares, shares, shares)
def test_more_in_use_never_draws_less_and_never_more_than_the_limit(x, y, more_x, more_y):
    less, more = chip_w(DRAW, [x, max(x, more_x)], [y, max(y, more_y)])
    assert 400 <= less <= more <= 700


def test_below_the_limit_watts_are_a_sum():
    assert float(chip_w(DRAW, 0.3, 0.2)) == pytest.approx(400 + 30 + 120)


def test_shares_of_many_batches_are_arrays():
    assert chip_w(DRAW, np.zeros((3, 1)), np.zeros(2)).shape == (3, 2)


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan, np.inf])
def test_a_share_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="bandwidth_frac must be from 0 to 1"):
        chip_w(DRAW, bad, 0.0)
    with pytest.raises(ValueError, match="peak_frac must be from 0 to 1"):
        chip_w(DRAW, 0.0, bad)


def test_joules_of_a_token_are_watts_of_all_chips_over_tokens():
    assert joules_per_token([500.0, 500.0], 8, [4000.0, 8000.0]).tolist() == [1.0, 0.5]
