"""Requests: drawn by law and hour, and traces scaled, repeated and thinned."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import TRACES
from scipy import stats

from computeplan.trace.requests import (
    at_rate,
    draw_requests,
    evened,
    length_quantiles,
    shared_out,
)
from computeplan.world.load import Lengths, Load, RequestTrace

SHORT = Lengths(100, 0.8, 4000)
HOUR_S = 3600.0


def load(per_s=5.0, cv=1.0, **given):
    given = {"input_tokens": SHORT, "output_tokens": SHORT, "cached_frac": 0.0} | given
    return Load(np.atleast_1d(np.asarray(per_s, dtype=float)), cv, **given)


def cv_of(times_s):
    gaps_s = np.diff(times_s)
    return gaps_s.std() / gaps_s.mean()


def bursts(n=4000, seed=1):
    """A trace with gaps of a cv of 4, of lengths that all differ."""
    rng = np.random.default_rng(seed)
    arrival_s = np.cumsum(rng.gamma(1 / 16, 16, n))
    return RequestTrace(arrival_s, np.arange(1, n + 1), np.arange(n, 0, -1), np.arange(n))


# Laws --------------------------------------------------------------------------------------------


def test_poisson_requests_are_poisson():
    times_s = draw_requests(load(), "chat", 1, 20_000.0).arrival_s
    assert len(times_s) == pytest.approx(100_000, rel=0.02)
    assert (np.diff(times_s) > 0).all()
    assert times_s[-1] < 20_000
    assert stats.kstest(np.diff(times_s), "expon", args=(0, 0.2)).pvalue > 0.01


@pytest.mark.parametrize("cv", [0.3, 1.0, 4.0])
def test_gaps_have_their_cv_in_every_hour(cv):
    profile = np.tile([1.0, 8.0], 12)
    times_s = draw_requests(load(profile, cv), "chat", 1, 86_400.0).arrival_s
    hour = times_s // HOUR_S
    for k, per_s in enumerate(profile[:6]):
        mine = times_s[hour == k]
        assert len(mine) == pytest.approx(per_s * HOUR_S, rel=5 * cv / math.sqrt(per_s * HOUR_S))
        assert cv_of(mine) == pytest.approx(cv, rel=0.15)


def test_hours_of_a_week_and_a_begin_within_them():
    per_s = np.zeros(168)
    per_s[30] = 2.0
    times_s = draw_requests(load(per_s), "chat", 1, 4 * HOUR_S, begin_s=29.5 * HOUR_S).arrival_s
    assert len(times_s) == pytest.approx(7200, rel=0.05)
    assert times_s[0] >= 0.5 * HOUR_S
    assert times_s[-1] < 1.5 * HOUR_S


def test_the_same_requests_come_at_every_rate():
    slow, fast = (draw_requests(load(per_s, 2.0), "chat", 1, 1000.0) for per_s in (1.0, 3.0))
    n = len(slow)
    assert fast.arrival_s[:n] == pytest.approx(slow.arrival_s / 3)
    assert (fast.input_tokens[:n] == slow.input_tokens).all()
    assert (fast.output_tokens[:n] == slow.output_tokens).all()


def test_a_seed_a_name_and_a_block_key_what_is_drawn():
    def times_s(*key, block=0):
        return draw_requests(load(), *key, 100.0, block=block).arrival_s.tolist()

    assert times_s("a", 1) == times_s("a", 1)
    others = [times_s("b", 1), times_s("a", 2), times_s("a", 1, block=1)]
    assert all(other != times_s("a", 1) for other in others)


@settings(max_examples=50)
@given(
    mean=st.floats(20, 2000), cv=st.floats(0.05, 3.0), room=st.floats(1.2, 50), n=st.just(20_000)
)
def test_lengths_keep_their_mean_below_the_most(mean, cv, room, n):
    lengths = Lengths(mean, cv, math.ceil(mean * room))
    tokens = length_quantiles(lengths, (np.arange(n) + 0.5) / n)
    assert tokens.min() >= 1
    assert tokens.max() <= lengths.most
    assert tokens.mean() == pytest.approx(mean, rel=0.01, abs=0.5)
    assert (np.diff(tokens) >= 0).all()


def test_lengths_far_below_the_most_keep_their_cv():
    tokens = length_quantiles(Lengths(1155, 0.96, 10**6), (np.arange(10**5) + 0.5) / 10**5)
    assert tokens.std() / tokens.mean() == pytest.approx(0.96, rel=0.005)
    log = np.log(tokens)
    assert np.median(log) == pytest.approx(math.log(1155) - math.log1p(0.96**2) / 2, abs=1e-3)


def test_lengths_without_spread_are_alike():
    assert set(length_quantiles(Lengths(300, 0, 300), np.array([0.0, 0.5]))) == {300}


def test_a_share_of_each_prompt_is_cached():
    drawn = draw_requests(load(cached_frac=0.35), "chat", 1, 1000.0)
    assert (drawn.reusable_tokens == np.floor(0.35 * drawn.input_tokens)).all()


# Traces ------------------------------------------------------------------------------------------


def test_a_trace_at_another_rate_keeps_lengths_and_its_cv():
    trace = bursts()
    fast = at_rate(trace, 50.0)
    assert fast.rate_per_s == pytest.approx(50.0)
    assert cv_of(fast.arrival_s) == pytest.approx(cv_of(trace.arrival_s), rel=1e-9)
    assert fast.input_tokens.tolist() == trace.input_tokens.tolist()
    assert fast.reusable_tokens.tolist() == trace.reusable_tokens.tolist()
    with pytest.raises(ValueError, match="the rate must be above 0, got 0"):
        at_rate(trace, 0.0)


def test_a_trace_repeats_whole():
    trace = bursts()
    n = len(trace)
    drawn = draw_requests(load(n / 1000.0, trace=trace), "chat", 1, 3000.0)
    assert len(drawn) == 3 * n
    for name in ("input_tokens", "output_tokens", "reusable_tokens"):
        assert getattr(drawn, name).tolist() == getattr(trace, name).tolist() * 3
    assert cv_of(drawn.arrival_s) == pytest.approx(cv_of(trace.arrival_s), rel=1e-3)
    factor = trace.rate_per_s / (n / 1000.0)  # one for all gaps
    assert np.diff(drawn.arrival_s[:n]) == pytest.approx(np.diff(trace.arrival_s) * factor)


def test_calm_hours_are_thinned_and_no_gap_is_stretched():
    trace = bursts()
    profile = np.ones(24)
    profile[20] = 4.0
    drawn = draw_requests(load(profile, trace=trace), "chat", 1, 86_400.0)
    full = draw_requests(load(4.0, trace=trace), "chat", 1, 86_400.0)
    hour = (drawn.arrival_s // HOUR_S).astype(int)
    counts, all_counts = np.bincount(hour), np.bincount((full.arrival_s // HOUR_S).astype(int))
    assert counts[20] == all_counts[20]
    rest = np.arange(24) != 20
    assert counts[rest].sum() == pytest.approx(all_counts[rest].sum() / 4, rel=0.02)
    assert set(drawn.arrival_s) <= set(full.arrival_s)
    busy = drawn.arrival_s[hour == 20]
    assert cv_of(busy) == pytest.approx(cv_of(full.arrival_s), rel=0.15)


def test_other_blocks_begin_elsewhere_in_a_trace():
    trace = bursts()
    draws = [
        draw_requests(load(len(trace) / 1000, trace=trace), "chat", 1, 1000.0, block=block)
        for block in (0, 1, 2)
    ]
    assert draws[0].input_tokens[0] == 1
    assert len({int(one.input_tokens[0]) for one in draws}) == 3
    for one in draws:
        assert sorted(one.input_tokens) == sorted(trace.input_tokens)
        assert cv_of(one.arrival_s) == pytest.approx(cv_of(trace.arrival_s), rel=0.01)


@pytest.mark.parametrize("cv", [1e-300, 1e-200, 1e-17])
def test_a_cv_next_to_nothing_is_none(cv):
    even, nearly = (draw_requests(load(0.5, one), "a", 1, 300.0) for one in (0.0, cv))
    assert nearly.arrival_s.tolist() == even.arrival_s.tolist()


def test_even_gaps_have_no_spread():
    drawn = draw_requests(load(0.5, 0.0), "chat", 1, 100.0)
    assert np.diff(drawn.arrival_s) == pytest.approx(np.full(len(drawn) - 1, 2.0))


def test_minutes_are_made_alike_and_gaps_within_them_stay():
    """A minute of 60 requests, one of none and two of 120 become 300 requests at one rate."""
    rng = np.random.default_rng(1)
    parts = [60.0 * m + np.sort(rng.uniform(0, 60, n)) for m, n in ((0, 60), (2, 120), (3, 120))]
    at_s = np.concatenate(parts)
    at_s = np.append(at_s - at_s[0], 240.0)
    ones = np.arange(1, len(at_s) + 1)
    found = evened(RequestTrace(at_s, ones, ones))
    assert found.input_tokens.tolist() == ones.tolist()
    assert found.arrival_s[-1] == 240.0
    in_minute = np.histogram(at_s[:-1], [0, 60, 120, 180, 240])[0]
    edges_s = np.append(0, np.cumsum(in_minute)) * 240 / (len(at_s) - 1)
    counts = [((found.arrival_s >= a) & (found.arrival_s < b)).sum() for a, b in pairwise(edges_s)]
    assert counts == pytest.approx(in_minute, abs=1)
    gaps, before = np.diff(found.arrival_s[5:40]), np.diff(at_s[5:40])
    assert gaps / before == pytest.approx(np.full(34, gaps[0] / before[0]))


def test_a_burst_comes_to_an_instance_by_its_share():
    """Shared by 20, the spread of gaps of a renewal process is 1 + (cv^2 - 1) / 20."""
    trace = bursts(40_000)
    cv = cv_of(trace.arrival_s)
    found = shared_out(trace, 20)
    assert sorted(found.input_tokens) == sorted(trace.input_tokens)
    assert found.rate_per_s == pytest.approx(trace.rate_per_s / 20, rel=1e-3)
    assert cv_of(found.arrival_s) ** 2 == pytest.approx(1 + (cv**2 - 1) / 20, rel=0.1)


@pytest.mark.skipif(not (TRACES / "requests").is_dir(), reason="no traces at COMPUTEPLAN_TRACES")
@pytest.mark.parametrize(
    ("file", "cv"),
    [("azure_2023_conv", 1.09), ("azure_2023_code", 13.2), ("mooncake_conversation", 3.0)],
)
def test_published_traces_keep_their_cv(file, cv):
    path = TRACES / "requests" / f"{file}.csv.gz"
    columns = np.loadtxt(path, delimiter=",", skiprows=1)
    tokens = np.maximum(columns[:, 1:3].astype(int), 1)
    trace = RequestTrace(columns[:, 0], tokens[:, 0], tokens[:, 1])
    assert cv_of(trace.arrival_s) == pytest.approx(cv, rel=0.02)
    profile = 1 + 0.5 * np.cos((np.arange(24) - 20) / 12 * math.pi)
    day = draw_requests(load(10 * profile / 1.5, trace=trace), "chat", 1, 86_400.0).arrival_s
    assert cv_of(at_rate(trace, 10.0).arrival_s) == pytest.approx(cv, rel=0.02)
    assert cv_of(day[day // HOUR_S == 20]) == pytest.approx(cv, rel=0.03)
    assert len(day) == pytest.approx(10 / 1.5 * 86_400, rel=0.1)


@pytest.mark.parametrize("span_s", [0.0, -1.0, math.inf])
def test_a_span_is_a_time(span_s):
    with pytest.raises(ValueError, match="the span must be above 0 s"):
        draw_requests(load(), "chat", 1, span_s)
