"""A law says what was written: scipy, which solved nothing here, is the oracle."""

import math
import re
import warnings

import numpy as np
import pytest
import scipy.stats
from bounds import ends_within
from hypothesis import assume, given
from hypothesis import strategies as st

from computeplan.distributions import (
    Law,
    frozen_law,
    law_discount,
    law_mean_s,
    law_mean_until_s,
    quantile_s,
)
from computeplan.specs.durations import read_law
from computeplan.trace.lifetimes import first_lifetime_s, renewed_lifetime_s
from computeplan.world.faults import Lifetime

MIN, HOUR, DAY = 60.0, 3600.0, 86_400.0


def scipy_law(law):
    return getattr(scipy.stats, law.name)(*law.shapes, scale=law.scale_s)


def said(law, statement):
    """Return what the law holds for a statement, by scipy."""
    frozen = scipy_law(law)
    if statement in ("mean", "median"):
        return float(getattr(frozen, statement)())
    return float(frozen.ppf(float(statement[1:]) / 100))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"lognormal": {"median": "8 min", "p95": "25 min"}}, {"median": 8 * MIN, "p95": 25 * MIN}),
        ({"lognormal": {"p95": "25 min", "median": "8 min"}}, {"median": 8 * MIN, "p95": 25 * MIN}),
        ({"lognormal": {"p5": "1 min", "p99.9": "1 d"}}, {"p5": MIN, "p99.9": DAY}),
        (
            {"lognormal": {"median": "20.4 h", "mean": "5.53 d"}},
            {"median": 73_440, "mean": 477_792},
        ),
        ({"lognormal": {"mean": "1 h", "p95": "2 h"}}, {"mean": HOUR, "p95": 2 * HOUR}),
        ({"lognormal": {"p10": "1 min", "mean": "1 h"}}, {"p10": MIN, "mean": HOUR}),
        ({"lognormal": {"mean": "1 h", "sigma": 0.5}}, {"mean": HOUR}),
        ({"lognormal": {"median": "1 h", "s": 0.5}}, {"median": HOUR}),
        ({"lognormal": {"scale": "1 h", "sigma": 0.5}}, {"median": HOUR}),
        ({"lognorm": {"p90": "1 h", "sigma": 2}}, {"p90": HOUR}),
        ({"expon": {"mean": "20 min"}}, {"mean": 20 * MIN}),
        ({"exponential": {"median": "20 min"}}, {"median": 20 * MIN}),
        ({"expon": {"p90": "1 h"}}, {"p90": HOUR}),
        ({"expon": {"scale": "1 h"}}, {"mean": HOUR}),
        ({"weibull_min": {"c": 0.7, "mean": "3 h"}}, {"mean": 3 * HOUR}),
        ({"weibull": {"c": 0.7, "p90": "3 h"}}, {"p90": 3 * HOUR}),
        ({"gamma": {"a": 2, "median": "1 h"}}, {"median": HOUR}),
        ({"lomax": {"c": 1.5, "mean": "1 h"}}, {"mean": HOUR}),
        ({"burr12": {"c": 2, "d": 3, "p99": "1 d"}}, {"p99": DAY}),
        ({"invgauss": {"mean": "1 h", "mu": 1}}, {"mean": HOUR}),
    ],
)
def test_a_law_has_what_was_said(written, expected):
    law = read_law(written)
    for statement, seconds in expected.items():
        assert said(law, statement) == pytest.approx(seconds, rel=1e-9)
    assert law_mean_s(law) == pytest.approx(said(law, "mean"), rel=1e-9)


def test_of_two_lognormals_with_one_mean_and_percentile_the_narrower_is_meant():
    """The roots of s**2 / 2 - 1.645 s = log(1/2) are 0.496 and 2.793."""
    law = read_law({"lognormal": {"mean": "1 h", "p95": "2 h"}})
    assert law.shapes[0] == pytest.approx(0.496268, abs=1e-6)


def test_a_duration_is_always_the_same():
    assert read_law("5 min") == Law("const", (), 300.0)
    assert read_law("0 s") == Law("const", (), 0.0)
    assert law_mean_s(read_law("2 h")) == 7200.0


def test_a_law_read_is_a_law():
    law = read_law({"expon": {"mean": "1 h"}})
    assert read_law(law) is law


statements = st.sampled_from(["mean", "median", "p1", "p25", "p75", "p90", "p99"])


@given(statements, statements, st.floats(1.0, 1e6), st.floats(1.0, 1e6))
def test_two_statements_of_a_lognormal_both_hold_or_contradict(first, second, x, y):
    assume(first != second)
    try:
        law = read_law({"lognormal": {first: f"{x!r} s", second: f"{y!r} s"}})
    except ValueError:
        assert not has_solution(first, second, x, y) or law_mean_too_large(first, second, x, y)
    else:
        assert said(law, first) == pytest.approx(x, rel=1e-6)
        assert said(law, second) == pytest.approx(y, rel=1e-6)


def z_of(statement):
    return scipy.stats.norm.ppf({"median": 0.5}.get(statement) or float(statement[1:]) / 100)


def has_solution(first, second, x, y):
    """Return whether any lognormal has both; mean / quantile is at least exp(-z**2 / 2)."""
    if "mean" in (first, second):
        (mean, (other, value)) = (x, (second, y)) if first == "mean" else (y, (first, x))
        z = z_of(other)
        root = z * z + 2 * math.log(mean / value)
        return root >= 0 and z + math.sqrt(root) > 1e-9
    gap = z_of(second) - z_of(first)
    return gap != 0 and math.log(y / x) / gap > 0


def law_mean_too_large(first, second, x, y):
    if "mean" in (first, second):
        return False
    sigma = math.log(y / x) / (z_of(second) - z_of(first))
    return sigma**2 / 2 > 600


# As they were seen


def test_durations_seen_are_counted_in_any_unit_and_order():
    law = read_law({"seen": ["3 h", "20 min", "1200 s", "0.5 d"]})
    assert law == read_law({"seen": {"12 h": 1, "20 min": 2, "180 min": 1}})
    assert law.shapes == (1200.0, 3 * HOUR, 12 * HOUR)
    assert law.shares == (0.5, 0.25, 0.25)
    assert read_law({"seen": ["2 h", "120 min"]}) == read_law("2 h")
    assert read_law({"seen": ["0 s"]}) == read_law("0 s")
    assert read_law({"seen": {"1 h": 1e299, "2 h": 1e-299}}).shares == (1.0, 0.0)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 9)), min_size=2, max_size=30))
def test_a_law_of_what_was_seen_has_the_sums_of_its_durations(counted):
    """Against the durations written out one by one."""
    assume(len({x for x, _ in counted}) > 1)
    seen_s = np.sort(np.repeat(*np.array(counted).T)).astype(float)
    law = read_law({"seen": [f"{x!r} s" for x in seen_s.tolist()]})
    assert law_mean_s(law) == pytest.approx(seen_s.mean(), rel=1e-12)
    assert law_discount(law, 3e-3) == pytest.approx(np.exp(-3e-3 * seen_s).mean(), rel=1e-12)
    until_s = np.array([0.0, 1.0, 77.0, 5000.5, 1e5])
    cut_s = np.minimum(seen_s, until_s[:, None]).mean(axis=1)
    assert law_mean_until_s(law, until_s) == pytest.approx(cut_s, rel=1e-9)
    each = (np.arange(seen_s.size) + 0.5) / seen_s.size
    assert quantile_s(law, each).tolist() == seen_s.tolist()
    hazard = -np.log1p(-each)
    assert first_lifetime_s(Lifetime(law, 0.0), hazard).tolist() == seen_s.tolist()
    assert renewed_lifetime_s(Lifetime(law, 0.0), each).tolist() == seen_s.tolist()


def test_what_is_left_of_lives_seen():
    """Of 10, 20 and 60 s: a node of 15 s has 5 or 45 s left, one met at random E[x^2] / 2 E[x]."""
    law = read_law({"seen": ["10 s", "20 s", "60 s"]})
    hazard = -np.log1p(-(np.arange(30_000) + 0.5) / 30_000)
    left_s, n = np.unique(first_lifetime_s(Lifetime(law, 15.0), hazard), return_counts=True)
    assert left_s.tolist() == [5.0, 45.0]
    assert n.tolist() == [15_000, 15_000]
    steady_s = first_lifetime_s(Lifetime(law, None), hazard)
    assert steady_s.mean() == pytest.approx((100 + 400 + 3600) / (2 * 90), rel=1e-6)
    assert np.mean(steady_s < 10) == pytest.approx(30 / 90, abs=1e-4)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([], "seen: needs the durations that were seen, [20 min, 3 h], or with how often"),
        ({}, "seen: needs the durations that were seen"),
        ("1 h", "seen: needs the durations that were seen"),
        (["1 h", "-3 h"], "seen: a duration must be >= 0, got '-3 h'"),
        (["1 h", 3], "seen: a duration needs a unit: write it like '5 min', not 3"),
        (["1 h", None], "seen: a duration needs a unit"),
        (["1 h", "2 kg"], "'2 kg' is in kilogram, not a time"),
        (["1 h", "1e400 h"], "'1e400 h' is not a finite number"),
        ({3: 4}, "seen: a duration needs a unit: write it like '5 min', not 3"),
        ({"1 h": 0}, "seen.1 h: how often must be > 0, got 0"),
        ({"1 h": -1}, "seen.1 h: how often must be > 0, got -1"),
        ({"1 h": math.nan}, "seen.1 h: how often must be a finite number, got nan"),
        ({"1 h": True}, "seen.1 h: how often must be a finite number"),
        ({"1 h": 10**400}, "seen.1 h: how often must be a finite number"),
        (["1 h"] * 10_000_000, "seen: 10000000 durations, and at most 10000 are read: join those"),
    ],
    ids=range(15),
)
def test_what_was_not_seen_is_refused(written, message):
    with ends_within(2), pytest.raises(ValueError, match=re.escape(message)):
        read_law({"seen": written})


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"lognormal": {"median": "8 min", "p95": "7 min"}}, "median and p95 contradict"),
        ({"lognormal": {"median": "8 min", "mean": "7 min"}}, "median and mean contradict"),
        ({"lognormal": {"mean": "8 min", "median": "8 min"}}, "mean and median contradict"),
        # the 95th percentile of a lognormal is at most exp(1.645**2 / 2) = 3.87 times its mean
        ({"lognormal": {"mean": "1 s", "p95": "1 h"}}, "mean and p95 contradict"),
        ({"lognormal": {"p50": "1 h", "median": "2 h"}}, "p50 and median contradict"),
        ({"lognormal": {"median": "1 h"}}, "give two of median, mean, a percentile"),
        ({"lognormal": {"median": "1 h", "p95": "2 h", "mean": "1.2 h"}}, "give two of"),
        ({"lognormal": {"median": "1 h", "sigma": -1}}, "sigma (> 0)"),
        ({"lognormal": {"median": "1 h", "sigma": 0}}, "sigma (> 0)"),
        ({"lognormal": {"median": "1 h", "sigma": "1 h"}}, "sigma must be a finite number"),
        ({"lognormal": {"median": "1 h", "sigma": 10**400}}, "sigma must be a finite number"),
        ({"lognormal": {"median": "1 h", "p0": "1 s"}}, "p0 is not a percentile between 0 and"),
        ({"lognormal": {"median": 480, "p95": "25 min"}}, "lognormal.median needs a unit: write"),
        ({"lognormal": {"median": "8 W", "p95": "25 min"}}, "'8 W' is a power, not a time"),
        ({"lognormal": {"median": "1 h", "sigma": 100}}, "the mean is not finite; choose a light"),
        ({"lomax": {"c": 0.5, "median": "1 h"}}, "the mean is not finite; choose a lighter tail"),
        ({"lomax": {"c": 1, "mean": "1 h"}}, "the mean is not finite; choose a lighter tail"),
        ({"halfcauchy": {"scale": "1 h"}}, "the mean is not finite; choose a lighter tail"),
        ({"norm": {"mean": "1 h"}}, "norm: its support is [-inf, inf], not [0, inf)"),
        ({"uniform": {"mean": "1 h"}}, "uniform: its support is [0, 1], not [0, inf)"),
        ({"pareto": {"b": 2, "mean": "1 h"}}, "pareto: its support is [1, inf], not [0, inf)"),
        ({"gamma": {"a": -2, "mean": "1 h"}}, "not [0, inf)"),
        ({"gamma": {"mean": "1 h"}}, "gamma: takes a and one of mean, median, scale; got none"),
        ({"gamma": {"a": 2, "loc": 1, "mean": "1 h"}}, "got a, loc"),
        ({"gamma": {"a": 2}}, "gamma: state its scale once, as mean, median, scale or a perc"),
        ({"gamma": {"a": 2, "mean": "1 h", "median": "1 h"}}, "gamma: state its scale once"),
        ({"gamma": {"a": "2", "mean": "1 h"}}, "gamma.a must be a finite number, got '2'"),
        ({"expon": {"mean": "0 s"}}, "expon.mean must be > 0, got '0 s'"),
        ({"expon": {"mean": "-1 h"}}, "expon.mean must be > 0, got '-1 h'"),
        ({"expon": "1 h"}, "expon: needs its parameters"),
        ({"expon": {3: "1 h"}}, "expon: needs its parameters"),
        ({"weibul": {"mean": "1 h"}}, "no law 'weibul' in scipy.stats; common ones: lognormal"),
        ({"rv_continuous": {"mean": "1 h"}}, "no law 'rv_continuous' in scipy.stats"),
        ({"__class__": {"mean": "1 h"}}, "no law '__class__' in scipy.stats"),
        ({3: {"mean": "1 h"}}, "no law '3' in scipy.stats"),
        ({"expon": {"mean": "1 h"}, "gamma": {}}, "must be one law, such as '5 min' or {lognorm"),
        ({}, "must be one law"),
        (300, "must be one law, such as '5 min'"),
        (None, "must be one law"),
        ("5", "'5' is not a number with a unit"),
        ("-5 min", "the duration must be >= 0, got '-5 min'"),
    ],
)
def test_what_is_no_law_of_a_duration_is_refused(written, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_law(written)


# Laws that scipy solves number by number, or that have few digits in a tail

TABULATED = [
    ("mielke", (10.4, 4.6)),
    ("rel_breitwigner", (36.5,)),
    ("foldnorm", (1.95,)),
    ("recipinvgauss", (0.63,)),
    ("geninvgauss", (2.3, 1.5)),
    ("rice", (0.77,)),
    ("rice", (50.0,)),
    ("dpareto_lognorm", (3.0, 1.2, 1.5, 2.0)),
]


@pytest.mark.parametrize(("name", "shapes"), TABULATED)
def test_a_table_has_the_quantiles_of_scipy(name, shapes):
    """By scipy's cdf and sf, which are closed forms or one integral each: no quantile is asked."""
    law = Law(name, shapes, 100.0)
    known = getattr(scipy.stats, name)(*shapes, scale=100.0)
    probability = np.array([1e-6, 1e-3, 0.1, 0.4, 0.5, 0.6, 0.9, 0.999, 1 - 1e-6])
    with ends_within(20):
        time_s = quantile_s(law, probability)
        assert known.cdf(time_s) == pytest.approx(probability, rel=5e-6)
        assert known.sf(time_s) == pytest.approx(1 - probability, rel=1e-6)
        table = frozen_law(law)
        assert table.cdf(time_s) == pytest.approx(probability, rel=5e-6)
        assert table.isf(1 - probability) == pytest.approx(time_s, rel=1e-6)


@pytest.mark.parametrize(("name", "shapes"), TABULATED)
def test_a_table_has_the_integrals_of_its_density(name, shapes):
    law = Law(name, shapes, 100.0)
    density = getattr(scipy.stats, name)(*shapes, scale=100.0).pdf
    median_s = float(quantile_s(law, np.array([0.5]))[0])
    with ends_within(20):
        steps_s = median_s * np.exp(np.linspace(-30, 60, 200_001))
        with np.errstate(all="ignore"):
            masses = density(steps_s) * steps_s * 90 / 200_000  # trapezoids in log time
        assert law_mean_s(law) == pytest.approx(masses @ steps_s, rel=1e-5)
        kept = masses @ np.exp(-steps_s / median_s)
        assert law_discount(law, 1 / median_s) == pytest.approx(kept, rel=1e-6)
        cut_s = masses @ np.minimum(steps_s, median_s)
        assert law_mean_until_s(law, np.array([median_s]))[0] == pytest.approx(cut_s, rel=1e-5)


REFUSED = {"alpha", "foldcauchy", "halfcauchy", "kappa3", "levy", "studentized_range"}


def scipys_on_half_a_line():
    """Yield the laws of scipy with support [0, inf), each with shapes of scipy's own tests."""
    for name, shapes in scipy.stats._distr_params.distcont:
        if isinstance(name, str) and name != "expon":
            law = getattr(scipy.stats, name)
            if law.support(*shapes) == (0, math.inf):
                yield name, tuple(map(float, shapes))


@pytest.mark.parametrize(("name", "shapes"), list(scipys_on_half_a_line()))
def test_every_law_of_scipy_is_played_or_refused_by_name(name, shapes):
    """Some never came back, some had no table of lives, some warned."""
    names = (getattr(scipy.stats, name).shapes or "").replace(",", " ").split()
    with warnings.catch_warnings(action="error"), ends_within(30):
        written = {name: {**dict(zip(names, shapes, strict=True)), "mean": "10 h"}}
        if name in REFUSED:
            with pytest.raises(ValueError, match=f"^{name}"):
                read_law(written)
            return
        law = read_law(written)
        probability = np.linspace(1e-9, 1 - 1e-9, 20_001)
        time_s = quantile_s(law, probability)
        assert law_mean_s(law) == pytest.approx(36_000, rel=1e-6)
        assert (np.diff(time_s) >= 0).all()
        assert np.isfinite(time_s).all()
        for rate in (1e-9, 1e-5, 1e-2):
            assert 0 <= law_discount(law, rate) <= 1
        hazard = -np.log1p(-probability)
        for lifetime in (Lifetime(law, 0.0), Lifetime(law, 1e4), Lifetime(law, None)):
            left_s = first_lifetime_s(lifetime, hazard)
            assert (np.diff(left_s) >= 0).all()
        new_s = renewed_lifetime_s(Lifetime(law, 0.0), probability)
        middle = slice(100, -100)
        assert new_s[middle] == pytest.approx(time_s[middle], rel=1e-4)


@pytest.mark.parametrize(
    ("law", "reason"),
    [
        ({"studentized_range": {"k": 3, "df": 10, "mean": "1 h"}}, "studentized_range is not play"),
        ({"foldcauchy": {"c": 4.7, "mean": "1 h"}}, "foldcauchy: the mean is not finite"),
        ({"alpha": {"a": 3.6, "mean": "1 h"}}, "alpha: the mean is not finite"),
    ],
)
def test_a_law_that_cannot_be_tabulated_is_refused_by_name(law, reason):
    with ends_within(20), pytest.raises(ValueError, match=reason):
        read_law(law)
