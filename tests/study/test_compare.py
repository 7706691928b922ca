"""Two results side by side: the same numbers as the cases of one run, and what does not compare."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from scipy import stats
from small import load_small

import computeplan as cp
from computeplan.errors import ComputePlanError
from computeplan.report.words import sentence
from computeplan.results.estimates import Estimate
from computeplan.study.store import load_result, save_result

MFU, SPARES = "jobs.j.mfu", "sites.here.pools.a.spares"


def load(**changes):
    return load_small({"simulate.runs": 70, **changes})


def run(**changes):
    return cp.run(load(**changes))


def same(one, other):
    assert one.keys() == other.keys()
    for name, estimate in one.items():
        np.testing.assert_array_equal(
            dataclasses.astuple(estimate), dataclasses.astuple(other[name]), name
        )


CASES = {"as is": {}, "slow": {MFU: 0.3}, "spares": {SPARES: "4 nodes"}, "half": {MFU: 0.2}}


def test_two_folders_are_the_cases_of_one_run_to_the_last_digit(tmp_path):
    folders = {}
    for name, changes in CASES.items():
        save_result(run(**changes), tmp_path / name)
        folders[name] = load_result(tmp_path / name)
    for base, name in itertools.permutations(CASES, 2):
        whole = run(cases={base: CASES[base], name: CASES[name]})
        (pair,) = cp.compare(folders[base], folders[name]).pairs.values()
        same(pair.differences, whole.differences(base)[name])


def test_cases_of_one_name_are_compared_and_the_others_told():
    one = run(cases={"as is": {}, "slow": {MFU: 0.3}, "gone": {MFU: 0.35}})
    two = run(cases={"as is": {}, "slow": {MFU: 0.25}, "new": {MFU: 0.5}})
    found = cp.compare(one, two)
    assert list(found.pairs) == ["as is", "slow"]
    assert found.pairs["as is"].changes == ()
    assert [(c.path, c.a, c.b) for c in found.pairs["slow"].changes] == [(MFU, 0.3, 0.25)]
    assert {e.mean for e in found.pairs["as is"].differences.values() if e.n} == {0.0}
    assert [sentence(one) for one in found.alone] == [
        "only A has the case gone",
        "only B has the case new",
    ]


def test_two_cases_of_one_result_are_compared_by_name():
    whole = run(cases=CASES)
    found = cp.compare(whole, whole, case="slow", with_case="half")
    (pair,) = found.pairs.values()
    same(pair.differences, whole.differences("slow")["half"])
    assert (pair.a_name, pair.b_name) == ("slow", "half")
    assert found.alone == ()


def test_points_of_a_sweep_differ_by_their_axes():
    one = run(sweep={MFU: [0.4, 0.3]}, cases={"x": {}, "y": {SPARES: "2 nodes"}})
    found = cp.compare(one, one, case="x, mfu=0.4", with_case="y, mfu=0.3")
    changes = {c.path: (c.a, c.b) for c in found.pairs["x, mfu=0.4 / y, mfu=0.3"].changes}
    assert changes == {MFU: (0.4, 0.3), SPARES: ("1 nodes", "2 nodes")}


@pytest.mark.parametrize(
    ("case", "with_case", "message"),
    [
        ("slwo", None, "--case: no case 'slwo'. Did you mean 'slow'?"),
        ("slow", "fast", "--with: no case 'fast'"),
        (None, "slow", "--case: no case 'slow'"),
        (None, None, "no case has the same name in both: name two by --case X --with Y"),
    ],
)
def test_cases_that_are_not_there_are_told(case, with_case, message):
    one = run(cases={"fine": {}, "good" if case is None else "slow": {}})
    two = run(cases={"other": {}, "slow": {}})
    with pytest.raises(ComputePlanError) as caught:
        cp.compare(one, two, case=case, with_case=with_case)
    assert message in str(caught.value)


# -- paired, or not ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "unlike"),
    [
        ({"simulate.seed": 4}, [("seed", 3, 4)]),
        ({"simulate.runs": 40}, [("runs", 70, 40)]),
        ({"simulate.seed": 5, "simulate.runs": 90}, [("seed", 3, 5), ("runs", 70, 90)]),
    ],
)
def test_other_samples_are_not_paired(changes, unlike):
    found = cp.compare(run(), run(**changes, **{MFU: 0.3}))
    assert not found.is_paired
    assert [(c.path, c.a, c.b) for c in found.unlike] == unlike
    (pair,) = found.pairs.values()
    sides = [side.values["n_unexpected"] for side in (pair.b, pair.a)]  # not very skewed
    estimate = pair.differences["n_unexpected"]
    welch = stats.ttest_ind(*sides, equal_var=False).confidence_interval()
    assert estimate.mean == pytest.approx(sides[0].mean() - sides[1].mean())
    width = welch.high - welch.low
    assert estimate.high - estimate.low == pytest.approx(width, rel=0.15)


def test_what_is_not_paired_is_counted_to_one_time_too():
    found = cp.compare(run(), run(**{"simulate.seed": 4, MFU: 0.2}))
    (pair,) = found.pairs.values()
    windows = [side.values["window_days"] for side in (pair.a, pair.b)]
    assert len({*windows[0], *windows[1]}) == 1
    assert windows[0][0] == max(side.values["wall_days"].max() for side in (pair.a, pair.b))


def test_a_paired_difference_is_known_better():
    other = {SPARES: "2 nodes"}
    paired = cp.compare(run(), run(**other)).pairs["small"].differences["energy_jobs_kwh"]
    apart = cp.compare(run(), run(**other, **{"simulate.seed": 4}))
    apart = apart.pairs["small"].differences["energy_jobs_kwh"]
    assert paired.high - paired.low < apart.high - apart.low


def test_intervals_between_independent_samples_are_about_welch():
    rng = np.random.default_rng(5)
    one, other = rng.normal(10, 3, 200), rng.normal(9, 1, 120)
    found = Estimate.between(Estimate.of(one), Estimate.of(other))
    welch = stats.ttest_ind(one, other, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high), abs=0.03)


def test_intervals_between_independent_samples_hold_the_truth():
    """2,000 pairs of skewed samples: 93 to 97 % of intervals hold the difference of the means.

    Of intervals that hold it 95 % of the time, one seed in 40,000 gives fewer or more.
    """
    rng = np.random.default_rng(6)
    n_held = 0
    for _ in range(2000):
        one, other = rng.exponential(2.0, 80), rng.exponential(1.0, 50)
        found = Estimate.between(Estimate.of(one), Estimate.of(other))
        n_held += found.low <= 1.0 <= found.high
    assert 1860 <= n_held <= 1940


def test_a_rare_event_that_neither_saw_is_not_known_to_be_absent():
    found = Estimate.between(*(Estimate.of(np.ones(n), (0.0, 1.0)) for n in (100, 50)))
    assert found.mean == 0
    assert -0.08 < found.low < -0.03
    assert 0.06 < found.high < 0.08


# -- what does not compare -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"jobs.j.tokens": "300 Gtoken"},
            "the work differs: 200 Gtoken meta/llama-3.1-8b in A, 300 Gtoken meta/llama-3.1-8b",
        ),
        ({"jobs.j.model": "llama-3.1-70b"}, "the work differs: 200 Gtoken meta/llama-3.1-8b in A"),
        ({"currency": "CNY"}, "money is in USD in A and in CNY in B; set currency alike"),
        (
            {"simulate.horizon": "2 d"},
            "work is unfinished at the end of B and finished in the other",
        ),
    ],
)
def test_what_does_not_compare_is_refused_with_the_reason(changes, why):
    rate = {"exchange": {"rate": "0.14 USD/CNY", "on": "2026-11-01"}}
    found = cp.compare(run(**rate), run(**rate, **changes))
    assert found.pairs == {}
    assert sentence(found.refused["small"]).startswith(why)


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ({"horizon": "2 d"}, {"horizon": "1 d"}, "A ends at simulate.horizon 2 d, B at simulate"),
        ({"at_most": "2 d"}, {"at_most": "1 d"}, "simulate.at_most 2 d, B at simulate.at_most 1 d"),
        ({"horizon": "2 d"}, {"at_most": "1 d"}, "simulate.horizon 2 d, B at simulate.at_most 1 d"),
        ({"horizon": "2 d"}, {"horizon": "48 h"}, None),
        ({"at_most": "2 d"}, {"at_most": "2880 min"}, None),
        ({"horizon": "2 d"}, {"at_most": "2 d"}, None),
    ],
)
def test_unfinished_work_compares_to_the_same_end_only(a, b, why):
    sides = [run(**{f"simulate.{key}": at for key, at in end.items()}) for end in (a, b)]
    found = cp.compare(*sides)
    if why is None:
        assert list(found.pairs) == ["small"]
        assert found.pairs["small"].differences["kept_gtok"].mean == 0
    else:
        assert why in sentence(found.refused["small"])
        assert sentence(found.refused["small"]).startswith("work is unfinished, and A ends at")


def test_the_key_that_cuts_is_named():
    (why,) = cp.compare(run(), run(**{"simulate.at_most": "2 d"})).refused.values()
    assert sentence(why).endswith("give it a later simulate.at_most, or none")


def test_the_same_work_is_the_same_however_it_is_written():
    again = run(**{"jobs.j.tokens": "0.2 Ttoken", "jobs.j.model": "llama-3.1-8b"})
    found = cp.compare(run(), again)
    assert [c.path for c in found.pairs["small"].changes] == ["jobs.j.model", "jobs.j.tokens"]
    assert found.pairs["small"].differences["energy_kwh"].mean == pytest.approx(0, abs=1e-9)


def test_another_job_is_other_work():
    job = load().document.data["jobs"]["j"] | {"chips": 8}
    found = cp.compare(run(), run(**{"jobs.k": job}))
    assert "the work differs: - in A, 200 Gtoken" in sentence(found.refused["small"])


def test_a_job_may_have_another_name():
    job = load().document.data["jobs"]["j"]
    assert list(cp.compare(run(), run(**{"jobs.j": None, "jobs.k": job})).pairs) == ["small"]


def test_json_is_strict_and_holds_all():
    found = cp.compare(run(), run(**{MFU: 0.3, "simulate.seed": 4}), names=("before", "after"))
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (data["a"], data["b"], data["paired"]) == ("before", "after", False)
    quantities = data["cases"]["small"]["quantities"]
    assert {"time_to_train_days", "energy_jobs_kwh", "cost_idle_usd"} <= quantities.keys()
    time = quantities["time_to_train_days"]
    by_hand = time["b"]["mean"] - time["a"]["mean"]
    assert time["difference"]["mean"] == pytest.approx(by_hand)
