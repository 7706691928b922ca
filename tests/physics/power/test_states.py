"""Watts of a chip by state: known values, and laws of the mix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.physics.power.states import (
    PHASE_STATES,
    ChipStates,
    default_states,
    phase_watts,
    training_watts,
)
from computeplan.quantities import PHASES

H100 = ChipStates(compute_w=668.2, comm_w=255.7, load_w=100.0, context_w=109.0, idle_w=71.0)


def test_every_phase_has_one_state_and_repair_draws_nothing():
    assert set(PHASE_STATES) == set(PHASES)
    watts = dict(zip(PHASES, phase_watts(H100, 0.0).tolist(), strict=True))
    assert watts == {
        "train": 668.2, "lost": 668.2, "save": 100.0, "restart": 100.0,
        "blocked": 109.0, "idle": 71.0, "repair": 0.0,
    }  # fmt: skip


def test_the_olmo_run_by_hand():
    """91.4 % of its GPU-hours trained, the rest saved, loaded or restarted: 621 W were read."""
    mean_w = 0.9142 * 668.2 + 0.0858 * 100.0
    assert mean_w == pytest.approx(621, rel=0.06)
    assert 0.9142 * training_watts(H100, 0.0) + 0.0858 * H100.load_w == pytest.approx(mean_w)


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_exposed_communication_never_draws_more(one, other):
    low, high = sorted((one, other))
    assert training_watts(H100, high) <= training_watts(H100, low)
    assert H100.comm_w <= training_watts(H100, high) <= H100.compute_w


@given(st.floats(1.0, 5000.0))
def test_estimates_keep_their_order_and_stay_below_the_limit(tdp_w):
    states = default_states(tdp_w)
    assert tdp_w > states.compute_w > states.comm_w > states.load_w > 0
    assert 0 < states.idle_w <= states.context_w <= tdp_w


def test_many_shares_at_once():
    shares = np.array([[0.0, 0.5], [0.1, 1.0]])
    watts = phase_watts(H100, shares)
    assert watts.shape == (2, 2, len(PHASES))
    assert watts[1, 1, PHASES.index("train")] == pytest.approx(255.7)
    assert np.all(watts[..., PHASES.index("idle")] == 71.0)


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_a_share_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="exposed_frac must be"):
        phase_watts(H100, bad)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_limit_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="tdp_w must be > 0"):
        default_states(bad)
