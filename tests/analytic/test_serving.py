"""Closed forms of serving, against hand-worked values and the step simulator."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.analytic.serving import batch_chain, limits, mean_prompt_s, mean_wait_s
from computeplan.engines.serve.policy import ServePolicy
from computeplan.engines.serve.replica import play
from computeplan.physics.serving.steps import StepTimes
from computeplan.trace.requests import draw_requests
from computeplan.world.load import Lengths, Load

KNOTS = np.array([0.0, 1000.0])


def step_times(**changes):
    given = {
        "decode_s": np.append(0.0, 0.010 + 0.0005 * np.arange(1, 129)),
        "context_s": 5e-8,
        "window_s": 0.0,
        "window": math.inf,
        "prompt_tokens": KNOTS,
        "prefill_s": np.array([0.0, 0.02]),
        "prompt_context_s": 1e-9,
        "cache_tokens": 1e7,
        "first_token_s": 0.0,
    }
    return StepTimes(**(given | changes))


def load(cv=1.0, n_in=500, n_out=100):
    return Load(np.ones(1), 1.0, Lengths(n_in, cv, 10**6), Lengths(n_out, cv, 10**6), 0.0)


# Against the simulator ---------------------------------------------------------------------------


@pytest.mark.parametrize("cv", [0.0, 1.0])
@pytest.mark.parametrize("per_s", [2.0, 8.0, 12.0])
def test_the_chain_is_what_steps_make(cv, per_s):
    times, law = step_times(), load(cv)
    requests = draw_requests(replace(law, per_s=np.array([per_s])), "chat", 4, 40_000 / per_s)
    served = play(times, requests, ServePolicy(128, 10**6))
    chain = batch_chain(times, law, len(requests) / requests.arrival_s[-1])
    tokens = requests.output_tokens - 1
    tpot_s = (served.done_s - served.first_s).sum() / tokens.sum()
    assert chain.tpot_s == pytest.approx(tpot_s, rel=0.03)
    span_s = served.done_s[-1]
    n_mean = (served.done_s - served.first_s).sum() / span_s
    assert chain.n_mean == pytest.approx(n_mean, rel=0.03)
    # Chances of each number, of the time in which no prompt comes in
    idle_s = span_s - served.busy_s
    alone = served.batch_s.copy()
    alone[0] += idle_s
    assert np.abs(np.cumsum(alone / alone.sum()) - np.cumsum(chain.share)).max() < 0.03


def test_windows_are_in_the_chain():
    times, law = step_times(window_s=2e-7, window=400), load()
    requests = draw_requests(replace(law, per_s=np.array([8.0])), "chat", 4, 3000.0)
    served = play(times, requests, ServePolicy(128, 10**6))
    chain = batch_chain(times, law, len(requests) / requests.arrival_s[-1])
    tpot_s = (served.done_s - served.first_s).sum() / (requests.output_tokens - 1).sum()
    assert chain.tpot_s == pytest.approx(tpot_s, rel=0.03)


# Known values ------------------------------------------------------------------------------------


def test_a_full_batch_loses_what_erlang_says():
    """Steps that take the same whatever the batch: servers of an M/G/k/k queue."""
    decode = np.append(0.0, np.full(10, 0.01))
    times = step_times(decode_s=decode, context_s=0.0, prefill_s=np.zeros(2), prompt_context_s=0.0)
    found = batch_chain(times, load(0.0, n_out=101), per_s=8.0)
    erlangs = 8.0
    terms = [erlangs**k / math.factorial(k) for k in range(11)]
    assert found.lost_frac == pytest.approx(terms[10] / sum(terms))
    assert found.share == pytest.approx(np.array(terms) / sum(terms))


def test_one_at_a_time_is_m_m_1_by_share():
    """A step that grows with its batch serves a fixed number of tokens a second."""
    decode = 0.01 * np.arange(200.0)
    times = step_times(decode_s=decode, context_s=0.0, prefill_s=np.zeros(2), prompt_context_s=0.0)
    found = batch_chain(times, load(0.0, n_out=51), per_s=1.0)  # half of the time
    assert found.share[:5] == pytest.approx(0.5 ** np.arange(1, 6))
    assert found.n_mean == pytest.approx(1.0)


def test_prompts_that_take_all_the_time_are_refused():
    with pytest.raises(ValueError, match="prompts alone take 10.22 times the time"):
        batch_chain(step_times(), load(), per_s=1000.0)


def test_waits_of_queues_in_books():
    assert mean_wait_s(0.9, 1.0, 1, 1.0, 1.0) == pytest.approx(9.0)  # M/M/1
    assert mean_wait_s(1.0, 1.0, 2, 1.0, 1.0) == pytest.approx(1 / 3)  # M/M/2: C = 1/3
    assert mean_wait_s(0.8, 1.0, 1, 1.0, 2.0) == pytest.approx(0.8 / 0.2 * 2.5)  # M/G/1
    assert mean_wait_s(2.0, 1.0, 2, 1.0, 1.0) == math.inf


@pytest.mark.parametrize(("k", "share", "cv"), [(2, 0.7, 1.0), (4, 0.8, 0.5), (8, 0.9, 1.5)])
def test_waits_of_several_servers_by_a_plain_queue(k, share, cv):
    rng = np.random.default_rng(7)
    n = 400_000
    arrival_s = np.cumsum(rng.exponential(1.0, n)).tolist()
    service_s = rng.gamma(1 / cv**2, share * k * cv**2, n).tolist()
    free_s, waits_s = [0.0] * k, []
    for at_s, takes_s in zip(arrival_s, service_s, strict=True):
        free_s.sort()
        begin_s = max(at_s, free_s[0])
        waits_s.append(begin_s - at_s)
        free_s[0] = begin_s + takes_s
    assert mean_wait_s(1.0, share * k, k, 1.0, cv) == pytest.approx(np.mean(waits_s), rel=0.1)


def test_a_mean_prompt_counts_its_spread():
    even, spread = (mean_prompt_s(step_times(), load(cv)) for cv in (0.0, 1.0))
    assert even == pytest.approx(0.01 + 1e-9 * 500**2 / 2)
    assert spread == pytest.approx(0.01 + 1e-9 * 500**2, rel=0.01)  # the mean square is twice it


# Limits ------------------------------------------------------------------------------------------


@given(per_s=st.floats(0.5, 10))
def test_a_calm_replica_is_at_its_limit(per_s):
    chain, bound = batch_chain(step_times(), load(), per_s), limits(step_times(), load())
    assert chain.tpot_s >= bound.tpot_s
    assert per_s < bound.per_s


def test_one_request_by_itself_takes_the_least():
    times, law = step_times(first_token_s=0.08), load(0.0)
    requests = draw_requests(replace(law, per_s=np.array([1e-3])), "chat", 1, 3e4)
    served = play(times, requests, ServePolicy(128, 10**6))
    bound = limits(times, law)
    assert served.ttft_s == pytest.approx(np.full(len(served), bound.ttft_s))
    assert served.tpot_s == pytest.approx(np.full(len(served), bound.tpot_s), rel=1e-6)


def test_no_load_beats_the_largest_rate():
    times, law = step_times(cache_tokens=2e4), load(0.0)
    requests = draw_requests(replace(law, per_s=np.array([1e4])), "chat", 1, 0.2)
    served = play(times, requests, ServePolicy(128, 10**6))
    rate = len(requests) / served.done_s.max()
    bound = limits(times, law)
    assert bound.best_batch == 36  # of 128, as the cache holds 550 tokens each
    assert 0.8 * bound.per_s < rate < bound.per_s * 1.001


def test_a_cache_too_small_for_one_is_refused():
    with pytest.raises(ValueError, match="a request takes 550 tokens of cache on the mean"):
        limits(step_times(cache_tokens=500), load(0.0))
