"""Estimates, paired comparisons and what a result shows."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from computeplan.errors import ComputePlanError
from computeplan.quantities import JOB_QUANTITIES, QUANTITIES, significant
from computeplan.report.table import Table, wrap
from computeplan.results.cases import CaseResult
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result


def result_of(**cases):
    return Result("two cases", "", {n: CaseResult({"ettr": np.array(v)}) for n, v in cases.items()})


def test_the_interval_of_a_symmetric_sample_is_students():
    values = np.random.default_rng(20240723).normal(50, 3, size=12)
    values = np.concatenate([values, 100 - values])
    oracle = stats.t.interval(0.95, 23, values.mean(), stats.sem(values))
    found = Estimate.of(values)
    assert (found.low, found.high) == pytest.approx(oracle)
    assert (found.p5, found.p50, found.p95) == pytest.approx(np.percentile(values, (5, 50, 95)))


def covered(draw, truth, n_runs, bounds=None, n_samples=2000):
    """Return the share of samples whose 95 % interval holds the true mean; its error is 0.5 %."""
    rng = np.random.default_rng(419)
    found = [Estimate.of(draw(rng, n_runs), bounds) for _ in range(n_samples)]
    return np.mean([e.low <= truth <= e.high for e in found])


def normal(rng, n):
    return rng.normal(7.0, 2.0, n)


def heavy(rng, n):  # 95th percentile 10 times the median, as of a fleet short of spares
    return rng.lognormal(0.0, 1.4, n)


@pytest.mark.parametrize(
    ("draw", "truth", "n_runs", "least", "most"),
    [
        (normal, 7.0, 5, 0.93, 0.98),
        (normal, 7.0, 64, 0.93, 0.97),
        (heavy, math.exp(1.4**2 / 2), 200, 0.90, 0.97),  # Student's t: 0.88
        (heavy, math.exp(1.4**2 / 2), 1000, 0.92, 0.97),
    ],
)
def test_the_interval_holds_the_mean(draw, truth, n_runs, least, most):
    assert least < covered(draw, truth, n_runs) < most


@pytest.mark.parametrize("n_runs", [20, 64, 200])
@pytest.mark.parametrize("p_blocked", [0.0002, 0.005, 0.03, 0.1])
def test_the_interval_of_a_rarely_blocked_job_holds_its_availability(p_blocked, n_runs):
    def draw(rng, n):  # blocked for 5 % of the time on the mean, in a few runs
        is_blocked = rng.random(n) < p_blocked
        return 1 - is_blocked * np.minimum(rng.exponential(0.05, n), 1.0)

    truth = 1 - p_blocked * 0.05 * (1 - math.exp(-1 / 0.05))
    assert covered(draw, truth, n_runs, bounds=(0.0, 1.0), n_samples=500) > 0.93


@pytest.mark.parametrize(("n_hits", "n"), [(0, 30), (3, 30), (67, 100), (100, 100)])
def test_the_interval_of_a_probability_is_exact(n_hits, n):
    values = np.arange(n) < n_hits
    oracle = stats.binomtest(n_hits, n).proportion_ci(0.95, "exact")
    found = Estimate.of(values, (0.0, 1.0))
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))


def test_what_is_seen_in_no_run_has_a_bound_and_what_never_varies_no_width():
    always_up = Estimate.of(np.ones(1000), (0.0, 1.0))
    assert 0.995 < always_up.low < 0.997
    assert always_up.high == always_up.mean == 1
    same = Estimate.of(np.full(20, 54.0))
    assert (same.low, same.high) == (54.0, 54.0)


def test_where_few_runs_show_what_moves_a_mean_without_limits_there_is_no_interval():
    """The largest of a few is no bound: such an interval missed the truth in 7 to 64 % of cases."""
    found = Estimate.of([0.0] * 96 + [1.0, 2.0, 5.0, 9.0])
    assert (found.mean, found.low) == (0.17, 0.0)
    assert math.isnan(found.high)
    assert found.to_json()["high"] is None


def test_what_lies_beyond_the_run_is_in_the_percentiles_and_has_no_mean():
    found = Estimate.of([60.0] * 10 + [70.0] * 6 + [np.inf] * 4 + [np.nan])
    assert (found.p50, found.p95) == (60.0, np.inf)
    assert (found.n, found.n_beyond, found.n_none) == (20, 4, 1)
    assert found.to_json()["mean"] is None


def test_what_does_not_exist_is_left_out_and_counted():
    found = Estimate.of([1.0, np.nan, 3.0])
    assert (found.mean, found.n, found.n_none) == (2.0, 2, 1)
    assert set(found.to_json()) == {"mean", "low", "high", "p5", "p50", "p95"}
    text = str(result_of(a=[1.0, np.nan, 3.0], b=[1.0, 2.0, 3.0]).summary())
    assert "Effective training time ratio: without a value in a 1 of 3 runs" in text


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_no_value_at_all_is_null(values):
    found = Estimate.of(values)
    assert found.n == 0
    assert found.to_json()["mean"] is None


def test_a_result_without_any_value_still_prints():
    assert "Effective" not in str(result_of(a=[np.nan]).summary())
    assert "ratio: without a value in a 1 of 1 runs" in str(result_of(a=[np.nan]).summary(["ettr"]))


def test_one_run_has_no_interval_and_says_so():
    result = result_of(a=[0.9])
    assert result.to_json()["cases"]["a"]["ettr"]["low"] is None
    assert "One run of each case" in str(result.summary())
    assert result.summary().rows == (("Effective training time ratio", "0.900"),)


def test_pairing_by_run_cancels_the_chance_that_cases_share():
    rng = np.random.default_rng(1)
    drawn = rng.normal(0.9, 0.02, 100)
    result = result_of(base=drawn, other=drawn + 0.003 + rng.normal(0, 1e-4, 100))
    paired = result.differences("base")["other"]["ettr"]
    assert abs(paired.mean - 0.003) < paired.ci95
    assert paired.ci95 < Estimate.of(drawn).ci95 / 50
    low, high = paired.low, paired.high
    (row,) = result.versus("base").rows
    share = paired.mean / drawn.mean()
    assert row[1].split("\n") == [
        f"+{paired.mean:.6f}",
        f"+{low:.6f} to +{high:.6f}",
        f"+{100 * share:.2f} %",
    ]


def test_equal_runs_differ_by_zero_without_rounding_noise():
    drawn = np.random.default_rng(2).normal(3e6, 1e4, 50)
    (row,) = result_of(base=drawn, other=drawn + 1 / 3).versus("base").rows
    assert row[1].split("\n") == ["+0.333", "0.000 %"]


def test_json_is_strict_and_has_the_agreed_shape():
    result = result_of(a=[np.nan, np.nan], b=[1.0, 2.0])
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert data["name"] == "two cases"
    assert set(data["cases"]["b"]["ettr"]) == {"mean", "low", "high", "p5", "p50", "p95"}
    assert data["cases"]["a"]["ettr"]["mean"] is None


def test_unknown_names_are_told_with_what_there_is():
    result = result_of(baseline=[1.0], other=[2.0])
    with pytest.raises(ComputePlanError, match=r"Did you mean 'baseline'\?.*'other'"):
        result.versus("basline")
    with pytest.raises(ComputePlanError, match="no quantity 'etr'"):
        result.summary(["etr"])


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (lambda: CaseResult({"speed": np.ones(2)}), "not in quantities.py: speed"),
        (lambda: CaseResult({"ettr": np.ones(2), "cost_usd": np.ones(3)}), "shape"),
        (lambda: CaseResult({"ettr": np.ones(0)}), "shape"),
        (lambda: CaseResult({"ettr": np.ones(2)}, {"wait_h": np.ones((2, 1))}), "n_jobs"),
        (lambda: CaseResult({"ettr": np.ones(2)}, job_facts={"model": ("a",)}), "one text per job"),
        (lambda: Result("x", "", {}), "needs cases"),
        (lambda: result_of(a=[1.0], b=[1.0, 2.0]), "same number of runs"),
    ],
)
def test_refuses_what_does_not_fit_together(case, message):
    with pytest.raises(ValueError, match=message):
        case()


def test_html_escapes_names():
    html = Table("<b>", ("<i>", "x"), (("<script>", "1"),), ("a & b",))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "a &amp; b" in html


def test_a_wide_table_goes_on_below_and_lines_up():
    header = ("case", *(f"quantity number {i}" for i in range(12)))
    rows = tuple((name, *("1.0 ± 0.1",) * 12) for name in ("a", "混合集群", "x" * 70))
    text = str(Table("title", header, rows))
    assert max(map(len, text.split("\n"))) <= 100
    assert all(f"number {i}" in text for i in range(12))


@given(st.text(max_size=80), st.integers(2, 40))
def test_wrapping_loses_nothing_but_blanks(text, width):
    assert "".join(wrap(text, width).split()) == "".join(text.split())


@given(st.floats(1e-12, 1e12), st.integers(1, 6))
def test_rounding_is_to_significant_digits(value, digits):
    shown = float(significant(value, digits).replace(",", ""))
    assert abs(shown - value) <= 0.5000001 * 10 ** (math.floor(math.log10(value)) + 1 - digits)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.99996, 4, "1.000"), (999.96, 4, "1,000"), (-0.5, 2, "-0.50"), (math.nan, 3, "-")],
)
def test_rounding_at_the_edges(value, digits, text):
    assert significant(value, digits) == text


def test_every_quantity_is_complete_and_carries_its_unit_in_its_name():
    suffixes = {
        "L": "_l",
        "d": "_days",
        "h": "_h",
        "kWh": "_kwh",
        "USD": "_usd",
        "CNY": "_cny",
        "kg CO2e": "_kg",
        "token/s": "_tok_per_s",
        "kWh/Gtoken": "kwh_per_gtok",
        "chip-h": "_chip_h",
        "groups": "_groups",
        "kW": "_kw",
        "x": "_x",
        "Gtoken": "_gtok",
        "jobs": "_jobs",
        "kWh/job": "kwh_per_job",
        "USD/Gtoken": "usd_per_gtok",
        "CNY/Gtoken": "cny_per_gtok",
        "kg CO2e/Gtoken": "kg_per_gtok",
        "requests": "requests_answered",
        "requests/d": "requests_per_day",
        "1/M requests": "requests_again_per_m",
        "Wh/request": "per_request",
        "g CO2e/request": "g_per_request",
        "USD/krequest": "usd_per_krequest",
        "CNY/krequest": "cny_per_krequest",
        **{
            f"{unit}/Mtoken": (f"{name}_per_mtok_in", f"{name}_per_mtok_out")
            for unit, name in (("kWh", "kwh"), ("USD", "usd"), ("CNY", "cny"), ("kg CO2e", "kg"))
        },
        "kWh/d": "kwh_per_day",
        "USD/d": "usd_per_day",
        "CNY/d": "cny_per_day",
        "kg CO2e/d": "kg_per_day",
    }
    for name, quantity in {**QUANTITIES, **JOB_QUANTITIES}.items():
        assert quantity.name == name
        assert quantity.label
        assert quantity.label_zh
        assert quantity.about.endswith(".")
        if quantity.unit:
            assert name.endswith(suffixes[quantity.unit])
        else:
            assert name == "ettr" or name.startswith("n_") or name.endswith("_frac")
