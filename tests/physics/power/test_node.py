"""Nodes, converters and networks against meters that set nothing, and against hand arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.physics.power.node import (
    COOLING,
    Converter,
    Node,
    default_node,
    fabric_watts,
    input_watts,
    node_watts,
)

watts = st.floats(0.0, 1e5)


def test_the_server_that_sets_the_host():
    """DGX A100 in an all-reduce, 2,574 W with 8 chips of 146.1 W; it gates nothing."""
    assert node_watts(8 * 146.1, default_node(3200.0, 6500.0)) == pytest.approx(2574, rel=1e-3)


def test_an_h100_node_in_training_that_set_nothing():
    """8 x 668.2 W at a node rated 10.2 kW: 76 % of it was read [Newkirk et al.]."""
    node_w = node_watts(8 * 668.2, default_node(5600.0, 10_200.0))
    assert node_w == pytest.approx(0.76 * 10_200, rel=0.12)


def test_a_node_in_a_tank_behind_its_supplies_by_hand():
    """No fans, no losses: the chips and the host of 0.3078 x (10,200 - 5,600) W."""
    node = default_node(5600.0, 10_200.0, "immersion", behind_supply=True)
    assert node_watts(5000.0, node) == pytest.approx(5000 + 0.3078 * 4600)


@pytest.mark.parametrize(("load", "said"), [(0.1, 0.90), (0.2, 0.94), (0.5, 0.96)])
def test_supplies_follow_the_titanium_points(load, said):
    """80 PLUS Titanium at 230 V; at full load, 91 %, no constant loss can follow it."""
    node = default_node(5600.0, 10_200.0)
    output_w = load * 2.0 * 10_200
    assert output_w / input_watts(node.supply, output_w) == pytest.approx(said, abs=0.005)


@pytest.mark.parametrize(("gpu_w", "cpu_w", "said_w"), [(88, 90, 652), (560, 280, 2773)])
def test_a_frontier_node_behind_its_converter(gpu_w, cpu_w, said_w):
    inside = cpu_w + 4 * gpu_w + 74.26 + 4 * 20 + 30
    assert input_watts(Converter(13.0, 0.98), inside) == pytest.approx(said_w, abs=1)


@given(watts, st.integers(1, 100), st.floats(0, 100), st.floats(0.5, 1.0))
def test_converters_that_share_equally_are_as_many_single_ones(output_w, n, const_w, efficiency):
    converter = Converter(const_w, efficiency)
    alone = n * input_watts(converter, output_w / n)
    assert input_watts(converter, output_w, n) == pytest.approx(alone, rel=1e-12)
    assert input_watts(converter, output_w, n) >= output_w


@given(watts, watts, st.sampled_from(COOLING))
def test_a_node_draws_more_than_its_chips_and_never_less_for_more(one, other, cooled):
    low, high = sorted((one, other))
    node = default_node(5600.0, None, cooled)
    assert low <= node_watts(low, node) <= node_watts(high, node)


@given(watts)
def test_air_draws_more_than_plates_and_those_more_than_a_tank(chips_w):
    drawn = [float(node_watts(chips_w, default_node(5600.0, 10_200.0, how))) for how in COOLING]
    assert drawn == sorted(drawn, reverse=True)


@pytest.mark.parametrize(
    ("n", "switches"),
    [(0, 0), (1, 1 / 64), (64, 1), (65, 3 * 65 / 64), (2048, 96), (2049, 5 * 2049 / 64)],
)
def test_switches_of_a_tree_by_hand(n, switches):
    assert fabric_watts(n) == pytest.approx(1920.0 * switches)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: default_node(0.0), "chips_tdp_w must be > 0"),
        (lambda: default_node(5600.0, 5000.0), "rated_w must be >= the limits"),
        (lambda: default_node(5600.0, np.nan), "rated_w must be >= the limits"),
        (lambda: default_node(5600.0, None, "ice"), "cooled must be one of air, liquid, immersion"),
        (lambda: node_watts(-1.0, Node(0.0, 0.0, None)), "chips_w must be >= 0"),
        (lambda: input_watts(Converter(1.0, 0.0), 1.0), "efficiency_frac must be in"),
        (lambda: input_watts(Converter(-1.0, 0.9), 1.0), "const_w must be >= 0"),
        (lambda: input_watts(Converter(1.0, 0.9), 1.0, 0), "n must be >= 1"),
        (lambda: fabric_watts(-1), "n_ports must be >= 0"),
    ],
)
def test_says_which_argument_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
