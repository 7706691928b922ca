"""The largest rate at which a replica holds its SLO."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.analytic.serving import limits
from computeplan.engines.serve.largest_rate import holds, largest_rate, play_held
from computeplan.engines.serve.policy import ServePolicy, Slo
from computeplan.engines.serve.replica import Ticks, play
from computeplan.physics.serving.steps import StepTimes
from computeplan.trace.requests import at_rate, draw_requests
from computeplan.world.load import Lengths, Load, RequestTrace

KNOTS = np.array([0.0, 100.0])
TIMES = StepTimes(
    np.append(0.0, 0.010 + 0.001 * np.arange(1, 33)),
    1e-6,
    0.0,
    math.inf,
    KNOTS,
    np.array([0.0, 0.02]),
    0.0,
    2e4,
)
LOAD = Load(np.array([3.0]), 1.0, Lengths(200, 0.8, 2000), Lengths(100, 0.7, 1000), 0.0)


def found(slo, load=LOAD, times=TIMES, **given):
    return largest_rate(times, load, slo, ServePolicy(32), n_requests=1500, **given)


def test_it_holds_there_and_not_beyond():
    slo = Slo(ttft_s=1.0, tpot_s=0.04)
    best = found(slo)
    assert best.is_by_slo
    assert holds(best.served, slo)
    tighter = Slo(ttft_s=1.0, tpot_s=float(np.nanquantile(best.served.tpot_s[150:], 0.98)))
    assert not holds(best.served, tighter)
    assert best.per_s == pytest.approx(best.served.requests.rate_per_s)


def test_the_same_seed_finds_the_same_rate_and_seeds_are_near():
    slo = Slo(ttft_s=1.0, tpot_s=0.04)
    one, again, other = found(slo), found(slo), found(slo, seed=2)
    assert one.per_s == again.per_s
    assert one.per_s == pytest.approx(other.per_s, rel=0.15)


def test_looser_times_never_lower_it():
    rates = [found(Slo(ttft_s=2.0, tpot_s=tpot_s)).per_s for tpot_s in (0.02, 0.03, 0.05, 0.2)]
    assert rates == sorted(rates)
    assert rates[0] < 0.7 * rates[-1]


def test_faster_memory_never_lowers_it():
    faster = replace(TIMES, decode_s=TIMES.decode_s / 1.4, context_s=TIMES.context_s / 1.4)
    slo = Slo(ttft_s=1.0, tpot_s=0.04)
    assert found(slo, times=faster).per_s > found(slo).per_s


def test_an_slo_below_what_steps_take_is_never_held():
    bound = limits(TIMES, LOAD)
    never = found(Slo(tpot_s=0.9 * bound.tpot_s))
    assert never.per_s == 0.0
    assert np.nanmin(never.served.tpot_s) > 0.9 * bound.tpot_s


def test_without_an_slo_it_is_what_can_be_served():
    free = found(Slo())
    assert not free.is_by_slo
    assert free.most_per_s < limits(TIMES, LOAD).per_s * 1.05
    assert free.most_per_s > limits(TIMES, LOAD).per_s * 0.8


def test_without_an_slo_two_plays_say_what_limits_of_a_year_say():
    free, year = found(Slo()), found(Slo(ttft_s=3.2e7, tpot_s=3.2e7))
    assert free.per_s == year.per_s
    assert free.served.ttft_s.tolist() == year.served.ttft_s.tolist()
    assert free.n_plays == 2
    assert year.n_plays > 5


def test_bursts_lower_it():
    slo = Slo(ttft_s=0.6, tpot_s=0.05)
    assert found(slo, replace(LOAD, gaps_cv=5.0)).per_s < 0.8 * found(slo).per_s


def test_a_trace_keeps_its_bursts():
    slo = Slo(ttft_s=0.6, tpot_s=0.05)
    drawn = draw_requests(replace(LOAD, gaps_cv=5.0), "bursts", 3, 500.0)
    trace = RequestTrace(drawn.arrival_s, drawn.input_tokens, drawn.output_tokens)
    assert found(slo, replace(LOAD, trace=trace)).per_s < 0.85 * found(slo).per_s


def test_requests_that_find_it_empty_do_not_count():
    served = play(TIMES, draw_requests(LOAD, "a", 1, 300.0), ServePolicy(32))
    least = Slo(ttft_s=float(served.ttft_s[served.ttft_s.size // 2 :].max()), ttft_frac=0.999)
    assert holds(served, least, warm_frac=0.5)


@pytest.mark.parametrize("is_cached", [False, True])
@given(
    per_s=st.floats(0.2, 20.0),
    keeps=st.sampled_from(["no_evict", "grow"]),
    ttft=st.floats(0.0, 1.0),
    tpot=st.floats(0.0, 1.0),
    frac=st.sampled_from([0.5, 0.9, 0.99]),
)
def test_who_stops_early_says_what_the_whole_play_says(per_s, keeps, ttft, tpot, frac, is_cached):
    """Limits at any percentile of what the play itself gives, so that many are just missed.

    The whole play goes step by step; what is cached is as long as the prompt before.
    """
    requests = at_rate(draw_requests(LOAD, "early", 1, 100.0), per_s)
    if is_cached:
        requests = replace(requests, reusable_tokens=np.roll(requests.input_tokens, 1))
    policy = ServePolicy(32, chunk_tokens=32, keeps=keeps)
    whole = play(TIMES, requests, policy, most_steps=1)
    slo = Slo(
        float(np.quantile(whole.ttft_s, ttft)),
        float(np.nanquantile(whole.tpot_s, tpot)),
        frac,
        frac,
    )
    early = play_held(TIMES, requests, policy, slo)
    assert (early is not None) == holds(whole, slo)
    if early is not None:
        assert early.done_s.tolist() == whole.done_s.tolist()
        assert early.first_s.tolist() == whole.first_s.tolist()


@pytest.mark.parametrize("slo", [Slo(ttft_s=0.5), Slo(tpot_s=0.02)])
def test_a_rate_that_does_not_hold_is_not_played_to_its_end(slo, monkeypatch):
    n_steps, prompt = [0], Ticks.prompt

    def counted(ticks, n_tokens, two_pairs):
        n_steps[0] += 1
        return prompt(ticks, n_tokens, two_pairs)

    monkeypatch.setattr(Ticks, "prompt", counted)
    requests = at_rate(draw_requests(LOAD, "early", 1, 500.0), 20.0)
    whole = play(TIMES, requests, ServePolicy(32))
    n_whole = n_steps[0]
    assert not holds(whole, slo)
    assert play_held(TIMES, requests, ServePolicy(32), slo) is None
    assert n_steps[0] - n_whole < 0.3 * n_whole
