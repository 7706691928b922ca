"""Curves of fleets over load, limit and batch: by other roads to the same numbers, and laws."""

import math
from dataclasses import replace

import numpy as np
import pytest

from computeplan.engines.serve.largest_rate import drawn_requests
from computeplan.engines.serve.policy import Slo
from computeplan.engines.serve.replica import play
from computeplan.physics.serving.steady import decode_of, prompt_of, terms_of
from computeplan.planner.serving import plan_serving
from computeplan.planner.serving_curves import batch_curve, frontier_curve, latency_curve
from computeplan.planner.serving_question import Question, site_of
from computeplan.specs.catalogue.lookup import find_chip, find_model
from computeplan.specs.money import Money
from computeplan.trace.requests import at_rate
from computeplan.world.load import Lengths, Load

H100 = find_chip("H100")[0]
ASKED = Question(
    model=find_model("llama-3.1-8b")[0],
    load=Load(np.array([500.0]), 1.0, Lengths(500, 0.5, 8000), Lengths(100, 0.5, 8000), 0.0),
    peak=1.5,
    slo=Slo(0.5, 0.02),
    site=site_of("virginia"),
)


@pytest.fixture(scope="module")
def fleet():
    return plan_serving(ASKED, [("H100", None)]).fleets[0]


def test_latency_is_what_the_same_requests_take_at_each_load(fleet):
    curve = latency_curve(fleet)
    assert curve.largest_per_chip_s in curve.per_chip_s
    drawn = drawn_requests(ASKED.load)
    for i in (0, curve.per_chip_s.size // 2):
        rate = curve.per_chip_s[i] * fleet.roles[0].best.n_chips
        served = play(fleet.roles[0].best.times, at_rate(drawn, rate), fleet.roles[0].best.policy)
        later = slice(math.ceil(0.1 * len(served)), None)
        expected = np.quantile(served.ttft_s[later], (0.5, 0.99))
        assert curve.ttft_s[:, i] == pytest.approx(expected, rel=1e-12)
        expected = np.nanquantile(served.tpot_s[later], (0.5, 0.99))
        assert curve.tpot_s[:, i] == pytest.approx(expected, rel=1e-12)


def test_limits_hold_up_to_the_largest_load_and_not_far_beyond(fleet):
    curve = latency_curve(fleet)
    within = (curve.ttft_s[1] <= 0.5) & (curve.tpot_s[1] <= 0.02)
    assert within[curve.per_chip_s <= curve.largest_per_chip_s].all()
    assert not within[curve.per_chip_s > 1.05 * curve.largest_per_chip_s].any()


def test_a_longer_limit_never_costs_more():
    curve = frontier_curve(ASKED, H100)
    assert curve.tpot_s.size >= 5
    assert (np.diff(curve.tpot_s) > 0).all()
    assert (curve.per_mtok[1:] <= 1.01 * curve.per_mtok[:-1]).all()  # the search looks for 1 %
    assert curve.per_mtok[0] > 1.1 * curve.per_mtok[-1]


def test_cost_at_the_limit_asked_is_that_of_the_plan(fleet):
    curve = frontier_curve(ASKED, H100)
    at = float(np.interp(0.02, curve.tpot_s, curve.per_mtok))
    assert at == pytest.approx(1e6 * fleet.price.whole / (500 * 86_400 * 600), rel=0.05)


def test_rent_of_one_dollar_counts_chip_hours():
    """Chips x 1 USD an hour over the tokens of an hour; electricity is free here."""
    rent = (("", Money(1.0 / 3600, "USD")),)
    free = replace(ASKED.site, price=Money(0.0, "USD"))
    asked = replace(ASKED, rents=rent, site=free)
    curve = frontier_curve(asked, H100)
    n_chips = curve.per_mtok * 500 * 3600 * 600 / 1e6
    assert n_chips == pytest.approx(np.round(n_chips), abs=1e-6)
    assert n_chips[-1] >= 1


def test_without_a_price_cost_is_not_known():
    asked = replace(ASKED, site=replace(ASKED.site, price=None))
    assert np.isnan(frontier_curve(asked, H100).per_mtok).all()


def test_one_sequence_takes_its_own_time_at_the_watts_of_its_chips(fleet):
    """One answer: 100 steps and a prompt, each chip between its base watts and its limit."""
    curve, instance = batch_curve(fleet), fleet.roles[0].best.compiled.instance
    terms = terms_of(instance, 1.0, 500, 100)
    seconds = 100 * float(decode_of(instance.speed, terms)) + float(
        prompt_of(instance.speed, terms)
    )
    watts = 3600 * curve.wh[0] / (seconds * fleet.roles[0].best.n_chips)
    assert curve.batch[0] == 1
    assert 0.65 * 700 < watts < 1.6 * 700  # with its share of the server and the network


def test_a_larger_batch_takes_less_energy_and_longer_steps(fleet):
    curve = batch_curve(fleet)
    assert (np.diff(curve.wh) < 0).all()
    assert (np.diff(curve.tpot_s) > 0).all()
    assert curve.wh[0] > 5 * curve.wh[-1]
    assert curve.batch[-1] * 600 <= fleet.roles[0].best.times.cache_tokens


def test_no_batch_does_better_than_its_own_fleet(fleet):
    """Requests that never run out, without spares, take less than those of the plan's day."""
    assert batch_curve(fleet).wh[-1] < fleet.request_j() / 3600
