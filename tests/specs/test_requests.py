"""The day of requests: means hold, the highest hour is where it is said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.specs.requests import INPUT_CV, OUTPUT_CV, Requests

TOKENS = {"in": 1000, "out": 200}


def requests_of(**said):
    return Requests.model_validate({"per_s": 1, "tokens": TOKENS, **said})


@given(st.floats(1, 2), st.integers(0, 23))
def test_a_cosine_keeps_the_mean_and_peaks_at_its_hour(peak, hour):
    shares = requests_of(day={"peak": peak, "at": f"{hour} h"}).shares_of_hours()
    assert shares.shape == (24,)
    assert shares.mean() == pytest.approx(1)
    assert shares.max() == pytest.approx(peak)
    assert shares[hour] == pytest.approx(peak)
    assert shares.min() == pytest.approx(2 - peak, abs=1e-12)
    assert (shares > -1e-12).all()


@given(st.lists(st.floats(0, 100), min_size=168, max_size=168).filter(lambda x: sum(x) > 1))
def test_weights_keep_their_proportions_and_the_mean(weights):
    shares = requests_of(day=weights).shares_of_hours()
    assert shares.mean() == pytest.approx(1)
    assert np.allclose(shares * np.mean(weights), weights)


@pytest.mark.parametrize("said", [{"per_s": 2}, {"per_hour": 7200}, {"per_day": 172800}])
def test_rates_are_the_same_however_they_are_said(said):
    requests = Requests.model_validate({**said, "tokens": TOKENS})
    assert requests.mean_per_s == pytest.approx(2)
    assert requests.shares_of_hours().tolist() == [1]


@pytest.mark.parametrize(
    ("said", "spreads", "is_assumed"),
    [
        ({}, (INPUT_CV, OUTPUT_CV), True),
        ({"cv": 0}, (0, 0), False),
        ({"in_cv": 0.5}, (0.5, OUTPUT_CV), True),
        ({"in_cv": 0.5, "out_cv": 0}, (0.5, 0), False),
    ],
)
def test_spreads_that_are_left_out_are_those_of_conversations(said, spreads, is_assumed):
    tokens = requests_of(tokens={**TOKENS, **said}).tokens
    assert tokens.spreads == spreads
    assert tokens.is_spread_assumed == is_assumed


def test_a_day_that_is_wrong_is_wrong_once():
    with pytest.raises(ValueError, match="1 validation error") as error:
        requests_of(day={"peak": 3, "at": "20 h"})
    assert "less than or equal to 2" in str(error.value)
