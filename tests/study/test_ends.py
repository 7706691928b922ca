"""How a run ends, and what is said of work that was not done when it was cut."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import THREE_CHIPS
from strategies import eventful_scenarios, scenarios
from worlds import assert_same_books

import computeplan as cp
from computeplan.analytic.expected import expect
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.errors import InfeasibleError, ScenarioError

MEAN_OF_4000_OTHER_RUNS_DAYS = 339.4
"""Of runs 400 to 4,399 of the seed, standard error 6.3 d, played on 2026-11-26."""


def llama(**changes):
    """Return the published fleet with its first case alone, changed."""
    scenario = cp.load("llama3-405b").with_({"cases": None, "simulate.runs": 64})
    return cp.run(scenario.with_(changes)).cases["llama3-405b"]


@given(st.one_of(scenarios(), eventful_scenarios()), st.floats(0.01, 1.5))
def test_a_cap_cuts_what_is_longer_and_changes_nothing_else(data, share):
    """Against a run with a horizon, in both engines: the same but for what comes after the end."""
    simulate = {**data["simulate"]}
    horizon_s = cp.load(data).simulate.horizon
    simulate.pop("horizon")
    cap_s = max(1.0, share * horizon_s)
    capped = compile_world(cp.load({**data, "simulate": simulate | {"at_most": f"{cap_s} s"}}))
    whole = compile_world(cp.load({**data, "simulate": simulate | {"horizon": f"{cap_s} s"}}))
    found, other = batch.play(capped, 5, 0, 4), event.play(capped, 5, 0, 4)
    assert_same_books(found, other, capped)
    reference = batch.play(whole, 5, 0, 4)
    np.testing.assert_array_equal(found.end_s, reference.end_s)
    np.testing.assert_allclose(found.job_s, reference.job_s, rtol=1e-12, atol=1e-9)
    last_s = np.minimum(found.end_s, capped.cut_s).max(axis=1)
    np.testing.assert_array_equal(found.wall_s, last_s)


def test_a_cap_and_a_horizon_are_not_given_together():
    with pytest.raises(ScenarioError, match="horizon and at_most both end a run"):
        cp.load({**cp.load("llama3-405b").document.data, "simulate": {
            "horizon": "5 d", "at_most": "6 d"}})  # fmt: skip


def test_a_cap_in_a_case_replaces_the_horizon():
    scenario = cp.load("llama3-405b").with_({"simulate.at_most": "9 d"})
    assert (scenario.simulate.horizon, scenario.simulate.at_most) == (None, 9 * 86_400)


def test_goodput_divides_by_the_time_used_and_not_by_the_horizon():
    to_the_end = llama(**{"simulate.horizon": None})
    far_behind = llama(**{"simulate.horizon": "400 d"})
    np.testing.assert_allclose(
        far_behind.values["goodput_tok_per_s"], to_the_end.values["goodput_tok_per_s"], rtol=1e-9
    )
    assert (far_behind.values["wall_days"] == 400).all()


def test_a_steady_fleet_is_carried_on_and_agrees_with_playing_to_the_end():
    cut, played = llama(), llama(**{"simulate.horizon": None})
    assert cut.facts["time"].code == "carried_on"
    assert "time" not in played.facts
    one, other = cut.estimate("time_to_train_days"), played.estimate("time_to_train_days")
    error = math.hypot(one.ci95, other.ci95)
    assert one.mean == pytest.approx(other.mean, abs=2 * error)  # 1 false alarm in 16 000


def test_a_fleet_short_of_spares_has_no_finite_extrapolation():
    case = llama(**{"sites.east.pools.h100.spares": "24 nodes"})
    assert case.facts["time"].code == "beyond_not_steady"
    assert case.facts["time"].values["blocked_frac"] == pytest.approx(0.94, abs=0.01)
    found = case.estimate("time_to_train_days")
    assert (found.p5, found.n_beyond) == (math.inf, 64)
    assert math.isnan(found.mean)


@pytest.fixture(scope="module")
def short_of_spares():
    scenario = cp.load("llama3-405b").without("simulate.horizon")
    change = {"sites.east.pools.h100.spares": "24 nodes", "cases": None, "simulate.runs": 400}
    return cp.run(scenario.with_(change)).cases["llama3-405b"].estimate("time_to_train_days")


def test_played_to_its_end_it_takes_half_a_year_with_a_long_tail(short_of_spares):
    assert 130 < short_of_spares.p50 < 210
    assert short_of_spares.p95 > 1_000


def test_the_interval_of_its_mean_holds_the_mean_of_other_runs(short_of_spares):
    """The 4,000 runs after these, of the same seed: some three minutes, so played apart."""
    assert short_of_spares.low < MEAN_OF_4000_OTHER_RUNS_DAYS < short_of_spares.high


def test_where_the_long_run_comes_early_the_end_agrees_with_the_closed_form():
    """Repairs of a day, runs of half a year: four standard errors, 1 false alarm in 16 000."""
    change = {
        "cases": None,
        "simulate.horizon": None,
        "simulate.runs": 256,
        "jobs.pretrain.tokens": "36 Ttoken",
        "faults.unexpected.repair": {"exponential": {"mean": "20 h"}},
        "sites.east.pools.h100.spares": "2 nodes",
    }
    scenario = cp.load("llama3-405b").with_(change)
    expected = expect(compile_world(scenario))
    assert expected.long_run_blocked_frac > 0.8
    days = cp.run(scenario).cases["llama3-405b"].values["time_to_train_days"]
    error = days.std(ddof=1) / math.sqrt(days.size)
    long_run_days = expected.train_s / expected.long_run_ettr / 86_400
    assert days.mean() == pytest.approx(long_run_days, abs=4 * error)


def test_a_case_that_never_ends_is_named_and_the_others_are_played():
    cases = {"hopeless": {"sites.east.pools.h100.spares": "0 nodes"}, "whole": {}}
    scenario = cp.load("llama3-405b").without("simulate.horizon")
    scenario = scenario.with_({"cases": cases, "simulate.runs": 2})
    result = cp.run(scenario)
    assert list(result.cases) == ["whole"]
    assert "years on its best pool" in result.incomplete["hopeless"].values["why"]
    only = scenario.with_({"cases": {"hopeless": cases["hopeless"]}})
    with pytest.raises(InfeasibleError, match="years on its best pool in the long run"):
        cp.run(only)


def test_done_by_the_deadline_is_unknown_where_the_run_was_cut_before():
    base = {"sites.east.pools.h100.spares": "24 nodes", "jobs.pretrain.deadline": "60 d"}
    unknown = llama(**base)
    assert np.isnan(unknown.values["done_by_deadline_frac"]).all()
    missed = llama(**base, **{"simulate.horizon": "70 d"})
    assert (missed.values["done_by_deadline_frac"] == 0).all()
    carried_on = llama(**{"jobs.pretrain.deadline": "76 d"})
    in_time = carried_on.values["time_to_train_days"] <= 76
    np.testing.assert_array_equal(carried_on.values["done_by_deadline_frac"], in_time)
    assert 0 < in_time.mean() < 1
    np.testing.assert_array_equal(carried_on.values["n_deadlines_missed"], ~in_time)


def test_a_time_of_training_is_exact_and_its_tokens_are_not():
    """A step that is slower than thought makes fewer tokens of 54 days, and no more days."""
    change = {"jobs.pretrain.tokens": None, "jobs.pretrain.train_for": "54 d"}
    case = llama(**change, **{"simulate.horizon": None})
    (quantile,) = case.inputs.values()
    assert np.ptp(case.values["time_to_train_days"]) < 3
    kept = case.values["kept_gtok"]
    np.testing.assert_array_equal(np.argsort(-kept), np.argsort(quantile))
    assert 1.05 < np.quantile(kept, 0.95) / np.quantile(kept, 0.05) < 1.3
    np.testing.assert_allclose(case.jobs["kept_frac"], 1)


def test_a_run_that_is_short_beside_its_faults_and_saves_tells_no_pace():
    """Six hours with a save a day: carried on, a job of 14 days was said to be done in 7."""
    change = {"jobs.pretrain.checkpoint.every": "24 h", "simulate.horizon": "6 h"}
    assert llama(**change).facts["time"].code == "beyond_too_short"
    hours = {"simulate.horizon": "3 h", "planned": None}  # one fault on the mean
    assert llama(**hours).facts["time"].code == "beyond_too_short"


def test_the_probability_is_that_all_jobs_are_in_time_and_unknown_where_a_run_was_cut():
    """Of the runs that are known, the early ones are more than of all."""
    scenario = cp.load(THREE_CHIPS).with_({"simulate.runs": 12})
    (case,) = cp.run(
        scenario.with_({"cases": {"least-energy": {"policy": "least-energy"}}})
    ).cases.values()
    of_jobs = case.jobs["done_by_deadline_frac"]
    has_one = ~np.isnan(of_jobs).all(axis=0)
    in_time = (of_jobs[:, has_one] == 1).all(axis=1)
    np.testing.assert_array_equal(case.values["done_by_deadline_frac"], in_time)
    late = {"sites.east.pools.h100.spares": "24 nodes", "jobs.pretrain.deadline": "100 d"}
    cut = llama(**late, **{"simulate.horizon": None, "simulate.at_most": "90 d"})
    assert 0 < np.isfinite(cut.values["time_to_train_days"]).mean() < 1
    assert np.isnan(cut.values["done_by_deadline_frac"]).all()
