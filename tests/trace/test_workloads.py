"""Generated jobs: what is written, and what is drawn."""

import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from computeplan.distributions import law_mean_s
from computeplan.specs.catalogue.workloads import load_preset, preset_names
from computeplan.specs.logs.throughput import Throughput
from computeplan.specs.workloads import Workload, work_per_s
from computeplan.trace.workloads import draw_jobs

MIX = {
    "jobs": 4000,
    "arrivals": {"every": "10 min"},
    "chips": {8: 0.6, 64: 0.3, 512: 0.1},
    "length": {"lognormal": {"median": "2 h", "p95": "3 d"}},
}


def drawn(name="mix", seed=1, **changes):
    return draw_jobs(Workload(**(MIX | changes)).generated(), name, seed)


def refusal(**written):
    with pytest.raises(ValidationError) as caught:
        Workload(**written)
    return str(caught.value)


# What is written ---------------------------------------------------------------------------------


def test_a_file_or_generated_jobs():
    assert Workload(file="jobs.csv").jobs is None
    with pytest.raises(ValueError, match="of a file are not generated"):
        Workload(file="jobs.csv").generated()
    assert "say file, or jobs to generate; got none" in refusal()
    assert "say file, or jobs to generate; got file and jobs" in refusal(file="a", jobs=3)
    assert "length, seed: of generated jobs" in refusal(file="a", length="2 h", seed=3)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"chips": None}, "say chips of the jobs"),
        ({"chips": {8: 0.5, 64: 0.6}}, "shares must add up to 1, got 1.1"),
        ({"chips": {8: 1.5, 64: -0.5}}, "the share of 8 must be > 0 and <= 1"),
        ({"chips": {8: True}}, "the share of 8 must be"),
        ({"chips": {8: 0.5, "8": 0.5}}, "says a number of chips twice"),
        ({"chips": {"many": 1}}, "must be by number of chips"),
        ({"chips": {0: 1}}, "chips must be from 1"),
        ({"chips": {}}, "must be a number of chips, or shares"),
        ({"chips": math.inf}, "must be by number of chips"),
        ({"arrivals": None}, "say arrivals"),
        ({"arrivals": "soon"}, "must be at once, or a mapping"),
        ({"arrivals": {"every": "0 s"}}, "must be > 0"),
        ({"arrivals": {"every": "1 h", "per_day": 3}}, "say every, or per_day"),
        ({"arrivals": {"per_day": 3, "daily": [1] * 23}}, "at least 24 items"),
        ({"arrivals": {"per_day": 3, "daily": [0] * 24}}, "some > 0"),
        ({"arrivals": {"per_day": 3, "daily": [-1] + [1] * 23}}, "weights must be >= 0"),
        ({"length": None}, "say length, or lengths"),
        ({"length": "0 s"}, "must train for some time"),
        ({"length": {"seen": ["0 s", "2 h"]}}, "must train for some time"),
        ({"length": None, "lengths": {8: "2 h"}}, "the same numbers of chips"),
        ({"length": "2 h", "lengths": {8: "2 h", 64: "1 h", 512: "1 h"}}, "say length, or lengths"),
        ({"preset": "philly"}, "chips, length: the preset philly says them"),
        ({"preset": "phily"}, "Did you mean 'philly'?"),
        ({"deadline": 3}, "needs a unit"),
        ({"deadline": {"slack": 0.5}}, "greater than or equal to 1"),
        ({"tenants": {"a": 0.7}}, "shares must add up to 1, got 0.7"),
        ({"speed": {"b": 0.5}}, "speed needs on"),
        ({"throughput": "t.csv"}, "throughput needs on"),
        ({"on": "a", "speed": {"a": 0.5}}, "its speed is 1"),
        ({"on": "a", "speed": {"b": 1}, "throughput": "t.csv"}, "not both"),
        ({"jobs": 0}, "greater than 0"),
        ({"jobs": 10**9}, "less than or equal to"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_what_is_wrong_is_said(changes, why):
    written = {key: value for key, value in (MIX | changes).items() if value is not None}
    assert why in refusal(**written)


def test_speeds_on_other_chips():
    table = Throughput({("r", 8, "a"): 4.0, ("r", 8, "b"): 1.0}, ("a", "b"))
    measured = Workload(**MIX, on="a", throughput="t.csv")
    args = (measured, table, "r", 8)
    assert [work_per_s(*args, chip, is_by_steps=False) for chip in "abc"] == [1.0, 0.25, 0.0]
    assert [work_per_s(*args, chip, is_by_steps=True) for chip in "abc"] == [4.0, 1.0, 0.0]
    assert work_per_s(Workload(**MIX), None, "r", 8, "x", is_by_steps=False) == 1.0
    with pytest.raises(ValueError, match="throughput has no row of r with 4 chips on a"):
        work_per_s(measured, table, "r", 4, "b", is_by_steps=False)
    with pytest.raises(ValueError, match="need throughput"):
        work_per_s(Workload(file="jobs.csv"), None, "r", 4, "b", is_by_steps=True)


# What is drawn -----------------------------------------------------------------------------------


def test_jobs_follow_what_is_stated():
    """Each test refuses a right drawing once in 1,000."""
    jobs = drawn(jobs=20_000, tenants={"a": 0.7, "b": 0.3}, kinds={"y": 0.2, "x": 0.8})
    sizes, counts = np.unique(jobs.chips, return_counts=True)
    assert sizes.tolist() == [8, 64, 512]
    assert stats.chisquare(counts, 20_000 * np.array([0.6, 0.3, 0.1])).pvalue > 0.001
    sigma = math.log(36) / stats.norm.ppf(0.95)
    law = stats.lognorm(sigma, scale=7200)
    assert stats.kstest(jobs.train_s, law.cdf).pvalue > 0.001
    gaps = np.diff(jobs.arrival_s, prepend=0.0)
    assert stats.kstest(gaps, stats.expon(scale=600).cdf).pvalue > 0.001
    assert (jobs.tenants, jobs.kinds) == (("a", "b"), ("x", "y"))
    assert stats.binomtest(int((jobs.tenant == 0).sum()), 20_000, 0.7).pvalue > 0.001
    assert stats.binomtest(int((jobs.kind == 0).sum()), 20_000, 0.8).pvalue > 0.001
    for one, other in ((jobs.chips, jobs.train_s), (jobs.tenant, jobs.kind), (jobs.chips, gaps)):
        assert stats.spearmanr(one, other).pvalue > 0.001
    assert np.isnan(jobs.n_steps).all()


def test_arrivals_follow_the_hours_of_the_day():
    """Thinning, which shares nothing with turning the clock, has the same hours."""
    daily = [0.0] * 6 + [1.0, 2.0, 3.0] + [4.0] * 9 + [1.5] * 5 + [0.0]
    jobs = drawn(jobs=20_000, arrivals={"per_day": 200, "daily": daily})
    hours = (jobs.arrival_s % 86_400 / 3600).astype(int)
    counts = np.bincount(hours, minlength=24)
    assert not counts[np.array(daily) == 0].any()
    open_hours = np.array(daily) > 0
    expected = 20_000 * np.array(daily)[open_hours] / sum(daily)
    assert stats.chisquare(counts[open_hours], expected).pvalue > 0.001
    rng = np.random.default_rng(20_240_723)
    highest = max(daily) / sum(daily) * 200 / 3600
    times = np.cumsum(rng.exponential(1 / highest, 100_000))
    kept = times[rng.random(times.size) < np.array(daily)[(times % 86_400 / 3600).astype(int)] / 4]
    within = [x % 3600 for x in (jobs.arrival_s, kept)]
    assert stats.ks_2samp(*within).pvalue > 0.001
    days = [np.bincount((x[x < 90 * 86_400] // 86_400).astype(int)) for x in (jobs.arrival_s, kept)]
    assert abs(days[0].mean() - days[1].mean()) < 4 * math.sqrt(2 * 200 / 90)


weights = st.lists(st.floats(0, 1e6), min_size=24, max_size=24).filter(any)


@given(weights, st.integers(0, 2**63 - 1))
def test_arrivals_rise_and_none_comes_in_an_hour_of_no_weight(daily, seed):
    plan = Workload(**MIX | {"jobs": 200, "arrivals": {"per_day": 50, "daily": daily}}).generated()
    jobs = draw_jobs(plan, "mix", seed)
    assert (np.diff(jobs.arrival_s) >= 0).all()
    hours = np.minimum(jobs.arrival_s % 86_400 / 3600, 23.999)
    share = np.array(daily) / sum(daily)
    # The last moment of an hour may be told as the first of the next.
    assert (np.maximum(share[hours.astype(int)], share[(hours - 1e-6).astype(int)]) > 0).all()


def test_one_workload_shifts_no_other_and_more_jobs_none_that_were_there():
    first, more = drawn(), drawn(jobs=5000)
    for column in ("arrival_s", "chips", "train_s"):
        assert np.array_equal(getattr(first, column), getattr(more, column)[:4000])
    other, again = drawn(name="other"), drawn()
    assert np.array_equal(first.train_s, again.train_s)
    assert abs(np.corrcoef(np.log(first.train_s), np.log(other.train_s))[0, 1]) < 4 / math.sqrt(
        4000
    )
    assert not np.array_equal(first.train_s, drawn(seed=2).train_s)


def test_a_changed_law_keeps_who_is_long_and_when_they_come():
    one, other = drawn(), drawn(length={"expon": {"mean": "1 h"}}, tenants={"a": 1.0})
    assert np.array_equal(one.arrival_s, other.arrival_s)
    assert np.array_equal(one.chips, other.chips)
    assert np.array_equal(np.argsort(one.train_s), np.argsort(other.train_s))


def test_lengths_by_size_deadlines_and_priorities():
    lengths = {8: "1 h", 64: "2 h", 512: "3 h"}
    written = {key: value for key, value in MIX.items() if key != "length"}
    plan = Workload(**written, lengths=lengths, deadline={"slack": 3}, priority=5).generated()
    jobs = draw_jobs(plan, "mix", 1)
    hours = {8: 1, 64: 2, 512: 3}
    assert jobs.train_s.tolist() == [hours[n] * 3600 for n in jobs.chips.tolist()]
    assert np.array_equal(jobs.deadline_s, 3 * jobs.train_s)
    assert (jobs.priority == 5).all()
    assert set(drawn(deadline="2 d").deadline_s) == {172_800.0}
    assert np.isinf(drawn().deadline_s).all()
    assert not drawn(arrivals="at once").arrival_s.any()


# Presets -----------------------------------------------------------------------------------------

SUMMARY = {
    "philly": "Philly", "helios": "Helios", "acme-seren": "Seren", "acme-kalos": "Kalos",
}  # fmt: skip


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_has_the_load_and_the_median_of_its_trace(name):
    preset = load_preset(name)
    sizes = preset.sizes.items()
    total = math.fsum(size.share for _, size in sizes)
    assert total == pytest.approx(1, abs=5e-4)
    load = math.fsum(n * size.share * size.mean for n, size in sizes) / total
    assert load == pytest.approx(preset.gpu_time / preset.jobs, rel=0.02)
    for n, size in sizes:
        assert law_mean_s(preset.law(n)) == pytest.approx(size.mean)
    laws = [stats.lognorm(preset.sigma, scale=preset.law(n).scale_s) for n, _ in sizes]
    shares = [size.share / total for _, size in sizes]
    below = math.fsum(s * law.cdf(preset.median) for s, law in zip(shares, laws, strict=True))
    assert below == pytest.approx(0.5, abs=0.002)
    jobs = draw_jobs(Workload(jobs=20_000, preset=name).generated(), name, 3)
    standard_error = math.sqrt(0.25 / 20_000)
    assert abs((jobs.train_s < preset.median).mean() - 0.5) < 4 * standard_error + 0.002
    per_day = 20_000 / jobs.arrival_s[-1] * 86_400
    assert per_day == pytest.approx(preset.jobs / preset.days, rel=4 / math.sqrt(20_000))


@pytest.mark.parametrize("name", preset_names())
def test_counts_of_presets_are_those_that_were_published(name, traces):
    with (traces / "acme/cluster_summary.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["id"] == SUMMARY[name])
    preset = load_preset(name)
    assert preset.jobs == int(row["gpu_job_num"])
    assert preset.median == float(row["med_run_time_gpu"])
    total = sum(float(row[f"{how}_gpu_time"]) for how in ("complete", "cancel", "fail"))
    assert preset.gpu_time == total


def test_arrivals_of_a_preset_can_be_said():
    plan = Workload(jobs=3, preset="philly", arrivals={"per_day": 2}).generated()
    assert plan.gap_s == 43_200
    assert Workload(jobs=3, preset="philly", arrivals="at once").generated().gap_s == 0
