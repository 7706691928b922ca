"""Instances beyond the need: the binomial tail, and units that fail and are repaired."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.event import engine as event
from computeplan.physics.serving.spares import spares_for, up_frac

shares = st.floats(0.5, 0.999999)


def falls_short(n, r, up):
    """Return the probability that fewer than n of n + r are up."""
    return binom.cdf(n - 1, n + r, up)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), shares, st.floats(0.5, 0.99999))
def test_it_is_the_least_number_that_is_enough(needed, up, availability):
    missed = 1 - availability
    for n, r in zip(needed, spares_for(needed, up, availability), strict=True):
        assert falls_short(n, r, up) <= missed * (1 + 1e-9)
        assert r == 0 or falls_short(n, r - 1, up) > missed * (1 - 1e-9)


@given(st.integers(1, 300), shares, st.floats(0.5, 0.999))
def test_more_is_asked_of_worse_units_and_for_more_of_the_time(n, up, availability):
    few = spares_for(n, up, availability)
    assert spares_for(n, up * 0.9, availability) >= few
    assert spares_for(n, up, 1 - (1 - availability) / 3) >= few
    assert spares_for(n + 1, up, availability) >= few


def test_by_hand():
    """One of two is up but for 0.01 of the time where each is up for 0.9 of it."""
    assert spares_for(1, 0.9, 0.99) == 1
    assert spares_for(1, 0.9, 0.991) == 2
    assert spares_for([0, 1, 5], 1.0, 1.0).tolist() == [0, 0, 0]
    assert spares_for(2, [0.9, 0.99], [[0.8], [0.97]]).tolist() == [[0, 0], [1, 0]]
    assert up_frac(90.0, 10.0) == pytest.approx(0.9)
    assert up_frac(90.0, 8.0, 2.0) == pytest.approx(0.9)
    assert up_frac(np.inf, 10.0) == 1.0
    assert spares_for(1, 0.9, 0.991, group=[1, 2, 3]).tolist() == [2, 2, 3]


def test_units_with_exponential_repairs_are_short_for_that_share_of_time():
    """Six units, of which four are needed, over 40,000 mean lives each."""
    rng, mtbf, repair, n, r = np.random.default_rng(3), 10.0, 2.0, 4, 2
    lives = rng.exponential([mtbf, repair], (n + r, 40_000, 2))
    times = np.cumsum(lives.reshape(n + r, -1), axis=1)
    end = times[:, -1].min()
    change = np.tile([-1, 1], times.size // 2)
    order = np.argsort(times.ravel(), kind="stable")
    at = np.concatenate([[0.0], times.ravel()[order], [np.inf]]).clip(max=end)
    n_up = n + r + np.concatenate([[0], np.cumsum(change[order])])
    short = np.diff(at)[n_up < n].sum() / end
    up = up_frac(mtbf, repair)
    expected = falls_short(n, r, up)
    assert short == pytest.approx(expected, rel=0.03)
    assert spares_for(n, up, 1 - expected * 1.001) == r
    assert spares_for(n, up, 1 - expected * 0.999) == r + 1


@pytest.mark.parametrize("group", [1, 2])
def test_the_engine_lacks_what_the_binomial_law_says(group):
    """A service that needs four of six nodes, whatever they do: the mean of what is lacking.

    In instances of two nodes, those of one that lost a node go on with any other that is left.
    """
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": 6}
    fault = {"mtbf": "100 h", "per": "node", "takes": "node", "restart": "1 s"}
    data = {
        "computeplan": 1,
        "name": "spares",
        "sites": {"s": {"pue": 1.0, "pools": {"p": pool}}},
        "faults": {"f": fault | {"repair": "20 h"}},
        "services": {"chat": {"pool": "p", "chips": 4}},
        "simulate": {"horizon": "5000 h", "runs": 20, "seed": 5},
    }
    world = compile_world(cp.load(data))
    world = replace(world, services=(replace(world.services[0], group=(group,)),))
    lacked = event.play(world, 5, 0, 20).lacked_chip_s[:, 0] / (5000 * 3600)
    n_up = np.arange(7)
    whole = n_up // group * group
    expected = binom.pmf(n_up, 6, up_frac(100.0, 20.0)) @ np.maximum(4 - whole, 0)
    error = lacked.std(ddof=1) / np.sqrt(lacked.size)
    assert error < 0.1 * expected
    assert lacked.mean() == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: spares_for(-1, 0.9, 0.9), "n_needed >= 0"),
        (lambda: spares_for(1, 0.0, 0.9), r"up and availability in \(0, 1\]"),
        (lambda: spares_for(1, 0.9, 1.5), r"availability in \(0, 1\]"),
        (lambda: spares_for(1, np.nan, 0.5), "in"),
        (lambda: spares_for(1, 0.9, 1.0), "availability must be < 1"),
        (lambda: up_frac(0.0, 1.0), "mtbf_s > 0"),
        (lambda: up_frac(1.0, -1.0), "repair_s and start_s >= 0"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
