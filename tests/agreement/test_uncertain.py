"""Uncertain inputs from end to end: a deadline, both engines, and the closed form beside them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from oracle import scenario_of
from worlds import assert_same_books

import computeplan as cp
from computeplan.analytic.agreement import warnings_of
from computeplan.analytic.beyond import why_not_steady
from computeplan.analytic.expected import expect
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.study.cases import compile_cases

DEADLINE = Path(__file__).parent / "scenarios" / "deadline-910b2.yaml"
IN_TIME = {"1152": 0.67, "1280": 0.86, "1408": 0.95, "1536": 0.985}
"""P(done within 60 days), by laying the band of the step over runs of another version."""


@cache
def deadline():
    """Return the result of 4,000 runs a case."""
    return cp.run(cp.load(DEADLINE))


def worlds():
    """Return the world of each case."""
    return {case.name: case.world for case in compile_cases(cp.load(DEADLINE)).cases}


@pytest.mark.parametrize("chips", IN_TIME)
def test_the_band_of_the_step_is_in_the_probability_of_the_deadline(chips):
    case = deadline().cases[chips]
    in_time = case.values["done_by_deadline_frac"]
    assert case.n_runs == 4000
    # 4 points; the standard error of 4,000 runs is at most 0.75
    assert in_time.mean() == pytest.approx(IN_TIME[chips], abs=0.04)
    np.testing.assert_array_equal(in_time, case.values["time_to_train_days"] <= 60)


def test_on_one_chip_cases_have_the_input_in_common():
    """What more chips save is paired: its spread is a tenth of that of the time itself."""
    days = {name: case.values["time_to_train_days"] for name, case in deadline().cases.items()}
    ratio = days["1280"] / days["1152"]
    assert ratio.mean() == pytest.approx(0.9, abs=0.01)
    assert ratio.std() < 0.01
    assert (days["1152"] / days["1152"].mean()).std() > 0.1


@pytest.mark.parametrize("chips", ["1152", "1536"])
def test_batch_and_event_agree_run_by_run_on_the_deadline(chips):
    world = worlds()[chips]
    one, other = batch.play(world, 1536, 0, 64), event.play(world, 1536, 0, 64)
    assert_same_books(one, other, world)
    days = deadline().cases[chips].values["time_to_train_days"]
    np.testing.assert_allclose(one.end_s[:, 0] / 86_400, days[:64], rtol=1e-9)


def test_the_closed_form_is_integrated_over_the_inputs():
    for chips, case in deadline().cases.items():
        found = expect(worlds()[chips])
        days = case.values["time_to_train_days"]
        error = days.std() / np.sqrt(days.size)
        assert found.days_to_train == pytest.approx(days.mean(), rel=0.002, abs=4 * error)
        ends = np.quantile(days, [0.05, 0.95])
        assert found.days_of_inputs == pytest.approx(ends, rel=0.02)  # chance adds little
        assert found.days_of_inputs[0] < found.days_to_train < found.days_of_inputs[1]


def uncertain_world(**changes):
    """A job of 4,000 tokens' work whose speed and fault rate are uncertain, never blocked."""
    inputs = {
        "jobs__j__train_for": None,
        "jobs__j__work": f"{150 * 3600 * 16 * 4e14:.9e} FLOP",
        "jobs__j__achieved": "400 +- 120 TFLOP/s",
        "faults__f__observed_on": "A100-80GB",
        "faults__f__takes": "nothing",
        "sites__s__pools__p__fault_factor": {"low": 1, "high": 6},
    }
    return scenario_of(**(inputs | changes))


@pytest.mark.parametrize("horizon", [None, "100 h"])
def test_inputs_are_not_taken_for_a_defect(horizon):
    """The agreement check is silent on 20 seeds; it allows 4 standard errors, 1 in 800 in all."""
    scenario = uncertain_world(simulate__horizon=horizon, simulate__runs=64)
    world = compile_world(scenario)
    for seed in range(20):
        result = cp.run(scenario.with_({"simulate.seed": seed}))
        (case,) = result.cases.values()
        assert warnings_of([("c", world, case)]) == []


def test_a_wrong_rate_is_found_although_inputs_are_uncertain():
    scenario = uncertain_world(simulate__runs=400)
    (case,) = cp.run(scenario).cases.values()
    wrong = compile_world(uncertain_world(faults__f__mtbf="250 h"))
    (said,) = warnings_of([("c", wrong, case)])
    assert said.code == "departs_from_closed_form"


def test_a_run_is_carried_on_only_if_it_may_be_at_the_worst_rate():
    """At the observed rate two spares do; at 200 times it nodes are lacking for long."""
    of_nodes = {
        "faults__f__takes": "node",
        "faults__f__mtbf": "20 kh",
        "simulate__horizon": "100 h",
    }
    factor = "sites__s__pools__p__fault_factor"
    known = uncertain_world(**of_nodes, **{factor: 1})
    maybe = uncertain_world(**of_nodes, **{factor: {"low": 1, "high": 200}})
    assert why_not_steady(compile_world(known)) is None
    world = compile_world(maybe)
    assert expect(world).long_run_ettr > 0.99 * expect(world).ettr  # on the mean it would do
    assert why_not_steady(world).code == "beyond_not_steady"


def test_with_inputs_fixed_the_closed_form_is_that_of_the_nominal_values():
    fixed = compile_world(uncertain_world(simulate__inputs="fixed"))
    drawn = compile_world(uncertain_world())
    one, other = expect(fixed), expect(drawn)
    assert one.days_of_inputs is None
    assert one.train_s == pytest.approx(150 * 3600)
    assert other.days_of_inputs[0] < one.days_to_train < other.days_of_inputs[1]
