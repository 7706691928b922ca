"""One window for a comparison: what idle chips take until all cases are counted to one time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import THREE_CHIPS

import computeplan as cp
from computeplan.quantities import PHASES
from computeplan.results.cases import in_one_window
from computeplan.results.window import MEASURES, BySite, counted_to

DAY_S = 86_400.0


def two_sites(end_days, kwh=100.0, idle_per_day=2.0):
    """Return what a case takes on two sites that are alike, but the second has no jobs."""
    ends = np.asarray(end_days, dtype=float) * DAY_S
    ones = np.ones((ends.size, 2))
    jobs = dict.fromkeys(MEASURES, kwh * ones * [1, 0])
    idle = dict.fromkeys(MEASURES, ones)
    return BySite(("a", "b"), "USD", ends, jobs, idle, dict.fromkeys(MEASURES, idle_per_day * ones))


def test_idle_chips_go_on_to_the_end_of_the_window_and_jobs_do_not():
    found = counted_to(two_sites([3, 5]), np.array([10.0, 20.0]), np.array([5, 5]) * DAY_S)
    np.testing.assert_allclose(found["energy_jobs_kwh"], 100)
    np.testing.assert_allclose(found["energy_idle_kwh"], [2 + 2 * 2 * 2, 2])
    np.testing.assert_allclose(found["energy_kwh"], [110, 102])
    np.testing.assert_allclose(found["kwh_per_gtok"], [10, 5])
    np.testing.assert_allclose(found["window_days"], 5)


def test_a_window_does_not_end_before_the_run():
    with pytest.raises(ValueError, match="must not end before the run does"):
        counted_to(two_sites([3]), np.ones(1), np.array([2.9 * DAY_S]))


@given(st.floats(0.1, 50), st.floats(0, 50), st.floats(0, 50))
def test_counting_in_two_steps_is_counting_once(end, more, most):
    case = two_sites([end])
    first = np.array([(end + more) * DAY_S])
    last = first + most * DAY_S
    energy = [counted_to(case, np.ones(1), w)["energy_idle_kwh"][0] for w in (first, last)]
    assert energy[1] - energy[0] == pytest.approx(4 * most, rel=1e-9, abs=1e-6)


@pytest.fixture(scope="module")
def one_cloud():
    fixed = {"simulate.inputs": "fixed"}
    return cp.run(cp.load(THREE_CHIPS).with_(fixed))


def test_all_cases_of_a_result_are_counted_to_the_latest_end(one_cloud):
    cases = one_cloud.cases.values()
    latest = np.max([case.values["wall_days"] for case in cases], axis=0)
    for case in cases:
        np.testing.assert_array_equal(case.values["window_days"], latest)
        total = case.values["energy_jobs_kwh"] + case.values["energy_idle_kwh"]
        np.testing.assert_allclose(case.values["energy_kwh"], total)


def test_one_window_turns_the_conclusion_of_one_cloud(one_cloud):
    """Counted to 25 days for all by another route: a horizon, to which idle chips are played.

    Fastest-first then takes 6.5 MWh less than silo and is 140 USD dearer, the dearest of the five;
    least-energy takes 10.3 MWh less, the least of the five.
    """
    found = one_cloud.differences("silo")
    assert found["fastest-first"]["energy_kwh"].mean == pytest.approx(-6_512, rel=0.05)
    assert found["fastest-first"]["cost_usd"].mean == pytest.approx(140, abs=15)
    assert found["least-energy"]["energy_kwh"].mean == pytest.approx(-10_334, rel=0.05)
    bills = {name: one["cost_usd"].mean for name, one in found.items()} | {"silo": 0.0}
    order = ["first-fit", "fifo-backfill", "least-energy", "silo", "fastest-first"]
    assert sorted(bills, key=bills.__getitem__) == order
    kwh = {name: one["energy_kwh"].mean for name, one in found.items()} | {"silo": 0.0}
    assert min(kwh, key=kwh.__getitem__) == "least-energy"


def test_the_window_is_what_a_horizon_plays(one_cloud):
    """An oracle that plays idle chips: the same differences where every run lasts 25 days."""
    change = {"simulate.inputs": "fixed", "simulate.horizon": "25 d"}
    played = cp.run(cp.load(THREE_CHIPS).with_(change)).differences("silo")
    found = one_cloud.differences("silo")
    for name in played:
        expected = played[name]["energy_kwh"].mean
        assert found[name]["energy_kwh"].mean == pytest.approx(expected, rel=0.05)


def test_a_case_that_is_cut_unfinished_is_no_window_for_the_others():
    cases = {"whole": {}, "cut": {"sites.east.pools.h100.spares": "0 nodes"}}
    scenario = cp.load("llama3-405b").with_({"simulate.at_most": "400 d", "simulate.runs": 4})
    found = cp.run(scenario.with_({"cases": cases})).cases
    whole, cut = found["whole"].values, found["cut"].values
    np.testing.assert_array_equal(whole["window_days"], whole["wall_days"])
    np.testing.assert_array_equal(cut["window_days"], 400)
    alone = cp.run(scenario.with_({"cases": {"whole": {}}})).cases["whole"].values
    np.testing.assert_array_equal(whole["energy_kwh"], alone["energy_kwh"])


def test_energy_of_jobs_does_not_depend_on_the_other_cases(one_cloud):
    alone = cp.load(THREE_CHIPS).with_(
        {"simulate.inputs": "fixed", "cases": {"silo": {"policy": "silo"}}}
    )
    one, other = cp.run(alone).cases["silo"], one_cloud.cases["silo"]
    for name in ("energy_jobs_kwh", "cost_jobs_usd", "carbon_jobs_kg", "ettr", "makespan_days"):
        np.testing.assert_array_equal(one.values[name], other.values[name])
    assert (one.values["energy_idle_kwh"] < other.values["energy_idle_kwh"]).all()


def test_cases_saved_apart_are_counted_to_one_window(one_cloud):
    silo, fast = one_cloud.cases["silo"], one_cloud.cases["fastest-first"]
    apart = [case.counted_to(case.by_site.end_s) for case in (silo, fast)]
    for case, again in zip((silo, fast), in_one_window(apart), strict=True):
        both = np.maximum(silo.by_site.end_s, fast.by_site.end_s)
        np.testing.assert_array_equal(
            case.counted_to(both).values["energy_kwh"], again.values["energy_kwh"]
        )


def test_differences_are_those_of_the_table(one_cloud):
    """All in one window: the table, its answer and the differences do not contradict each other."""
    cases = one_cloud.cases
    for name, found in one_cloud.differences("silo").items():
        for quantity in ("energy_kwh", "cost_usd", "carbon_kg", "energy_idle_kwh"):
            mean = (cases[name].values[quantity] - cases["silo"].values[quantity]).mean()
            assert found[quantity].mean == pytest.approx(mean, rel=1e-9)


@pytest.mark.parametrize("engine", ["batch", "event"])
def test_chip_hours_of_all_phases_are_those_of_all_chips_to_the_end_of_the_window(engine):
    """Half a job is done first, with some of 12 nodes in repair: they stay there in the window."""
    scenario = cp.load(
        {
            "computeplan": 1,
            "name": "sums",
            "sites": {
                "s": {
                    "pue": 1.2,
                    "pools": {"p": {"chip": "nvidia/h100-sxm", "chips": 80, "spares": "2 nodes"}},
                }
            },
            "faults": {
                "f": {
                    "mtbf": "5 d", "per": "node", "takes": "node", "restart": "10 min",
                    "repair": "2 d",
                }
            },
            "jobs": {
                "j": {
                    "chips": 64, "train_for": "8 d",
                    "checkpoint": {"every": "1 h", "stall": "1 min"},
                }
            },
            "cases": {"whole": {}, "half": {"jobs.j.train_for": "4 d"}},
            "simulate": {"runs": 8, "seed": 3, "engine": engine},
        }
    )  # fmt: skip
    result = cp.run(scenario)
    half, whole = (result.cases[name].values for name in ("half", "whole"))
    assert (half["wall_days"] < half["window_days"]).all()
    for values in (half, whole):
        total = sum(values[f"{phase}_chip_h"] for phase in PHASES)
        np.testing.assert_allclose(total, 96 * 24 * values["window_days"], rtol=1e-9)
    in_repair = result.cases["half"].by_site.idle_per_day["repair_chip_h"].sum(axis=1)
    assert in_repair.any()  # or nothing is shown
    rest_days = half["window_days"] - half["wall_days"]
    until_end = result.cases["half"].by_site.idle["repair_chip_h"].sum(axis=1)
    np.testing.assert_allclose(half["repair_chip_h"], until_end + in_repair * rest_days)
