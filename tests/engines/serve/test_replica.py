"""One replica: known times, laws, and the plain loop that goes step by step."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import step_loop
from hypothesis import given, settings
from hypothesis import strategies as st

from computeplan.engines.serve import replica as replica_module
from computeplan.engines.serve.clock import TICKS_PER_S, Ticks, least_steps, steps_ticks
from computeplan.engines.serve.policy import ServePolicy, Slo
from computeplan.engines.serve.replica import play
from computeplan.engines.serve.served import check_run
from computeplan.physics.serving.steps import StepTimes, prefill_s, run_s
from computeplan.world.load import RequestTrace

KNOTS = np.array([0.0, 100.0, 400.0])


def step_times(**changes):
    """Steps of 10 ms and 1 ms a sequence; 0.1 s for 100 prompt tokens, 0.2 s for 400."""
    given = {
        "decode_s": np.append(0.0, 0.010 + 0.001 * np.arange(1, 9)),
        "context_s": 0.0,
        "window_s": 0.0,
        "window": math.inf,
        "prompt_tokens": KNOTS,
        "prefill_s": np.array([0.0, 0.1, 0.2]),
        "prompt_context_s": 0.0,
        "cache_tokens": 1e4,
        "first_token_s": 0.0,
    }
    return StepTimes(**(given | changes))


def requests(*rows, cached=None):
    """Return requests from rows of arrival, tokens in and tokens out."""
    arrival, n_in, n_out = zip(*rows, strict=True)
    reusable = None if cached is None else np.array(cached)
    return RequestTrace(np.array(arrival, dtype=float), np.array(n_in), np.array(n_out), reusable)


# Known times -------------------------------------------------------------------------------------


def test_one_request_by_itself():
    times = step_times(context_s=1e-5, prompt_context_s=1e-6)
    served = play(times, requests((2.0, 100, 4)), ServePolicy(8))
    prompt_s = 0.1 + 1e-6 * 100 * 100 / 2
    steps_s = 3 * 0.011 + 1e-5 * (101 + 102 + 103)
    assert served.ttft_s[0] == pytest.approx(prompt_s)
    assert served.tpot_s[0] == pytest.approx(steps_s / 3)
    assert served.done_s[0] == pytest.approx(2 + prompt_s + steps_s)
    assert (served.n_steps, served.n_prompt_tokens, served.n_read_tokens) == (4, 100, 306)
    assert served.n_peak_tokens == 104
    assert served.busy_s == pytest.approx(prompt_s + steps_s)


def test_a_second_request_joins_at_the_next_step_and_slows_the_first():
    served = play(step_times(), requests((0.0, 100, 10), (0.115, 100, 3)), ServePolicy(8))
    # Steps of 11 ms end at 0.111 and 0.122; there the second begins: 0.1 + 0.011 s with the first.
    assert served.first_s == pytest.approx([0.1, 0.233])
    # The first has 3 steps behind it, and 2 beside the second, which then ends.
    assert served.done_s == pytest.approx([0.233 + 2 * 0.012 + 4 * 0.011, 0.233 + 2 * 0.012])


def test_prompts_come_in_by_chunks_and_attend_to_what_is_there():
    times = step_times(prompt_context_s=1e-6)
    served = play(times, requests((0.0, 250, 1)), ServePolicy(8, chunk_tokens=100))
    linear_s = 0.1 + 0.1 + 0.05
    assert served.first_s[0] == pytest.approx(linear_s + 1e-6 * 250 * 250 / 2)
    assert served.n_steps == 3
    assert math.isnan(served.tpot_s[0])


def test_two_prompts_share_a_step():
    served = play(step_times(), requests((0.0, 50, 1), (0.0, 50, 1)), ServePolicy(8))
    assert served.first_s == pytest.approx([0.1, 0.1])


def test_cached_tokens_are_not_computed_but_occupy_memory():
    times = step_times(prompt_context_s=1e-6, cache_tokens=220)
    rows = (0.0, 100, 10), (0.0, 100, 10), (0.0, 100, 10)
    served = play(times, requests(*rows, cached=[100, 60, 60]), ServePolicy(8))
    assert served.n_prompt_tokens == 1 + 40 + 40
    assert served.n_peak_tokens == 220  # the third waits
    pairs = 1 * 99.5 + 40 * 80
    assert served.first_s[:2] == pytest.approx([0.041 + 1e-6 * pairs] * 2)
    assert served.first_s[2] > served.done_s[0]


def test_a_request_waits_until_the_cache_has_room_for_its_whole_answer():
    rows = (0.0, 100, 10), (0.0, 100, 5)
    served = play(step_times(cache_tokens=214), requests(*rows), ServePolicy(8))
    assert served.first_s == pytest.approx([0.1, 0.1 + 9 * 0.011 + 0.1])
    grows = play(step_times(cache_tokens=214), requests(*rows), ServePolicy(8, keeps="grow"))
    assert grows.first_s[1] == pytest.approx(0.1 + 0.1 / 3)


def test_the_last_to_come_gives_way_and_is_computed_again():
    # Caches of 100 and 100 grow to 105 and 105; the next step needs 212.
    times = step_times(cache_tokens=211)
    rows = requests((0.0, 100, 20), (0.0, 100, 8))
    served = play(times, rows, ServePolicy(8, keeps="grow", watermark_frac=0.0))
    assert served.n_preemptions == 1
    assert served.n_again_tokens == 106
    first_s = 0.1 + 0.1 / 3
    # 5 steps by two; 14 by the first, until it ends; then 106 tokens at once, and one step.
    first_done_s = first_s + 5 * 0.012 + 14 * 0.011
    assert served.done_s[0] == pytest.approx(first_done_s)
    assert served.first_s[1] == pytest.approx(first_s)
    assert served.done_s[1] == pytest.approx(first_done_s + 0.102 + 0.011)
    assert served.n_peak_tokens == 210


def test_sequences_that_fill_their_window_read_no_more():
    times = step_times(window_s=1e-4, window=103)
    served = play(times, requests((0.0, 100, 6)), ServePolicy(8))
    assert served.done_s[0] == pytest.approx(0.1 + 5 * 0.011 + 1e-4 * (101 + 102 + 3 * 103))
    assert served.n_windowed_tokens == 101 + 102 + 3 * 103
    static = play(times, requests((0.0, 100, 6)), ServePolicy(8, is_static=True))
    assert static.done_s == pytest.approx(served.done_s)
    assert static.n_windowed_tokens == served.n_windowed_tokens
    assert static.n_read_tokens == served.n_read_tokens


def test_static_batches_keep_places_until_the_longest_answer():
    times = step_times(context_s=1e-5)
    rows = requests((0.0, 100, 3), (0.0, 300, 6), (0.1, 100, 2))
    served = play(times, rows, ServePolicy(8, is_static=True))
    assert served.first_s[:2] == pytest.approx([0.2, 0.2])  # 400 tokens of both at once
    taken_s = [n * 0.012 + 1e-5 * (n * 402 + n * (n - 1)) for n in (2, 5)]
    # One by one they would share; here both decode in every step.
    assert served.done_s[:2] - served.first_s[0] == pytest.approx(taken_s)
    assert served.first_s[2] == pytest.approx(served.done_s[1] + 0.1)


def test_requests_that_bring_their_cache_decode_at_once():
    times = step_times(context_s=1e-5)
    rows = requests((1.0, 100, 3), (1.0, 100, 1))
    served = play(times, rows, ServePolicy(8, has_prompts=False))
    assert served.first_s == pytest.approx([1.0, 1.0])
    assert served.done_s == pytest.approx([1.0 + 2 * 0.011 + 1e-5 * (101 + 102), 1.0])
    assert served.n_prompt_tokens == 0


# What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "rows", "policy", "why"),
    [
        (
            {},
            [(0.0, 9990, 20)],
            {},
            "request 1 has 9,990 tokens in and 20 out, and the cache holds",
        ),
        (
            {},
            [(0.0, 1, 1)],
            {"max_batch": 9},
            "max_batch is 9, and steps are tabulated for at most",
        ),
        ({"decode_s": np.zeros(9)}, [(0.0, 1, 1)], {}, "decode_s must be above 0"),
        ({"context_s": -1.0}, [(0.0, 1, 1)], {}, "context_s must be >= 0"),
    ],
)
def test_what_cannot_be_played_is_refused(times, rows, policy, why):
    with pytest.raises(ValueError, match=why):
        play(step_times(**times), requests(*rows), ServePolicy(**({"max_batch": 8} | policy)))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"max_batch": 0}, "max_batch must be > 0"),
        ({"keeps": "swap"}, "'no_evict' or 'grow', got 'swap'"),
        ({"watermark_frac": 1.0}, "watermark_frac"),
        ({"is_static": True, "keeps": "grow"}, "a static batch keeps"),
    ],
)
def test_policies_are_checked(given, why):
    with pytest.raises(ValueError, match=why):
        ServePolicy(**({"max_batch": 8} | given))


def test_an_slo_is_checked():
    with pytest.raises(ValueError, match="ttft_s must be > 0"):
        Slo(ttft_s=0)
    with pytest.raises(ValueError, match="tpot_frac must be between 0 and 1"):
        Slo(tpot_frac=1.0)


def test_lost_tokens_are_seen():
    check_run((1, 1), (2, 2), (3, 3), (0, 0))
    with pytest.raises(AssertionError, match="tokens out: 2 by steps, 3 by requests"):
        check_run((1, 1), (2, 3), (3, 3), (0,))
    with pytest.raises(AssertionError, match="cache is not empty"):
        check_run((1, 1), (2, 2), (3, 3), (0, 7))


def test_a_broken_loop_is_refused(monkeypatch):
    """Every run checks its tokens and Little's law: let one stay be a tick short."""
    leave = replica_module._Replica._leave

    def loses(self, one):
        self.stays -= one == 0
        leave(self, one)

    monkeypatch.setattr(replica_module._Replica, "_leave", loses)
    with pytest.raises(AssertionError, match="ticks of sequences"):
        play(step_times(), requests((0.0, 10, 5)), ServePolicy(8))


# The clock ---------------------------------------------------------------------------------------


@given(first=st.integers(1, 10**18), growth=st.integers(0, 10**15), ticks=st.integers(0, 10**24))
def test_the_fewest_steps_that_take_a_time(first, growth, ticks):
    first += growth
    n = least_steps(first, growth, ticks)
    assert n >= 1
    assert steps_ticks(first, growth, n) >= ticks
    assert n == 1 or steps_ticks(first, growth, n - 1) < ticks


@given(n_tokens=st.integers(1, 2000), n_pairs=st.integers(0, 10**9))
def test_ticks_of_prompts_are_their_seconds(n_tokens, n_pairs):
    times = step_times(prompt_context_s=1e-9)
    ticks = Ticks(times).prompt(n_tokens, 2 * n_pairs)
    assert ticks / TICKS_PER_S == pytest.approx(float(prefill_s(times, n_tokens, n_pairs)))


@given(n_steps=st.integers(1, 500), context=st.integers(1, 10**5))
def test_steps_at_once_take_what_physics_says(n_steps, context):
    times = step_times(context_s=1e-7, cache_tokens=1e6)
    served = play(times, requests((0.0, context, n_steps + 1)), ServePolicy(1, 10**6))
    taken_s = served.done_s[0] - served.first_s[0]
    assert taken_s == pytest.approx(float(run_s(times, 1, context + 1, n_steps)), rel=1e-9)


# Against one step after the other ----------------------------------------------------------------


@st.composite
def cases(draw):
    n = draw(st.integers(1, 25))
    gaps = draw(st.lists(st.floats(0, 0.3), min_size=n, max_size=n))
    tokens = st.lists(st.integers(1, 60), min_size=n, max_size=n)
    n_in, n_out = draw(tokens), draw(tokens)
    # What is cached may be as long as the prompt before, which may end in the same step.
    cached = draw(st.none() | tokens | st.just(n_in[-1:] + n_in[:-1]))
    times = step_times(
        context_s=draw(st.sampled_from([0.0, 1e-6, 1e-4])),
        window_s=draw(st.sampled_from([0.0, 1e-5])),
        window=draw(st.sampled_from([20, 70, math.inf])),
        prompt_context_s=draw(st.sampled_from([0.0, 1e-5])),
        cache_tokens=float(draw(st.integers(120, 500))),
    )
    if times.window == math.inf:
        times = replace(times, window_s=0.0)
    policy = ServePolicy(
        max_batch=draw(st.integers(1, 8)),
        chunk_tokens=draw(st.sampled_from([3, 7, 50, 1000])),
        keeps=draw(st.sampled_from(["no_evict", "grow"])),
        watermark_frac=draw(st.sampled_from([0.0, 0.05])),
    )
    rows = RequestTrace(
        np.cumsum(gaps),
        np.array(n_in),
        np.array(n_out),
        None if cached is None else np.array(cached),
    )
    return times, rows, policy


@settings(max_examples=150)
@given(cases())
def test_the_same_as_step_by_step_to_the_last_digit(case):
    times, rows, policy = case
    served = play(times, rows, policy)
    plain, sequences = step_loop.play(times, rows, policy)
    tick = step_loop.TICK
    assert served.first_s.tolist() == [one.first / tick for one in sequences]
    assert served.done_s.tolist() == [one.done / tick for one in sequences]
    assert served.n_steps == plain.n_steps
    assert served.n_prompt_tokens == plain.n_prompt
    assert served.n_read_tokens == plain.n_read
    assert served.n_preemptions == plain.n_preempted


@pytest.mark.parametrize("has_prompts", [True, False])
@settings(max_examples=150)
@given(case=cases())
def test_steps_at_once_give_what_steps_one_by_one_give(case, has_prompts):
    times, rows, policy = case
    policy = replace(policy, has_prompts=has_prompts)
    served, slow = (play(times, rows, policy, most_steps=most) for most in (None, 1))
    for name in (field.name for field in fields(served) if field.name != "requests"):
        one, other = (np.asarray(getattr(each, name)) for each in (served, slow))
        assert one.tobytes() == other.tobytes(), name


def test_a_long_prompt_waits_with_its_chunks_for_the_prompt_that_ends_beside_it():
    """It has as much cached as the other is long: a step by both has the pairs of one by itself."""
    rows = requests((0.0, 100, 2), (0.0, 900, 2), cached=[0, 100])
    served = play(step_times(prompt_context_s=1e-6), rows, ServePolicy(8, chunk_tokens=120))
    linear_s = 0.1 + 0.1 * 20 / 300
    assert served.first_s[0] == pytest.approx(linear_s + 1e-6 * (100 * 50 + 20 * 110))


@pytest.mark.parametrize("window", [100, 101, 105, 106, 107, 120])
def test_those_that_give_way_as_they_fill_their_window(window):
    times = step_times(cache_tokens=211, context_s=1e-6, window_s=1e-5, window=window)
    rows = requests((0.0, 100, 20), (0.0, 100, 8))
    policy = ServePolicy(8, keeps="grow", watermark_frac=0.0)
    served = play(times, rows, policy)
    assert served.n_preemptions == 1
    _, sequences = step_loop.play(times, rows, policy)
    assert served.done_s.tolist() == [one.done / step_loop.TICK for one in sequences]


def test_a_long_prompt_is_a_few_turns(monkeypatch):
    """Chunks of which each is like the one before are taken at once, beside those that decode."""
    turns = []
    step = replica_module._Replica._step

    def counted(self, n, taken):
        turns.append(n)
        step(self, n, taken)

    monkeypatch.setattr(replica_module._Replica, "_step", counted)
    times = step_times(cache_tokens=1e6, prompt_context_s=1e-9, context_s=1e-9)
    rows = requests((0.0, 1, 30_000), (0.5, 100_000, 2))
    served = play(times, rows, ServePolicy(8, chunk_tokens=50))
    assert sum(turns) == served.n_steps > 2000
    assert len(turns) < 10
    assert served.n_prompt_tokens == 100_001


def test_a_full_cache_with_windows():
    rng = np.random.default_rng(3)
    n = 40
    rows = RequestTrace(
        np.cumsum(rng.random(n) * 0.1), rng.integers(1, 60, n), rng.integers(1, 60, n)
    )
    times = step_times(cache_tokens=160, window_s=1e-5, window=50, context_s=1e-6)
    policy = ServePolicy(8, chunk_tokens=50, keeps="grow", watermark_frac=0.0)
    served = play(times, rows, policy)
    _, sequences = step_loop.play(times, rows, policy)
    assert served.done_s.tolist() == [one.done / step_loop.TICK for one in sequences]
    assert served.n_preemptions > 5
    assert served.n_windowed_tokens < served.n_read_tokens


@settings(max_examples=60)
@given(cases())
def test_laws_of_a_run(case):
    times, rows, policy = case
    served = play(times, rows, policy)
    assert served.n_peak_tokens <= times.cache_tokens
    assert (served.done_s >= served.first_s).all()
    assert (served.first_s > rows.arrival_s).all()
    assert served.batch_s.sum() == pytest.approx(served.busy_s)
    assert (served.batch_s @ np.arange(len(served.batch_s))) <= served.sequence_s * (1 + 1e-12)
    # Little: requests in the system are the rate times the stay.
    span_s = served.done_s.max() - rows.arrival_s[0]
    times_s = np.sort(np.concatenate([rows.arrival_s, served.done_s]))
    there = [((rows.arrival_s <= t) & (t < served.done_s)).sum() for t in times_s[:-1]]
    assert served.n_in_system == pytest.approx(np.dot(there, np.diff(times_s)) / span_s)


@settings(max_examples=40)
@given(cases(), st.floats(0.5, 1.0))
def test_faster_steps_never_serve_one_request_later(case, factor):
    times, rows, policy = case
    first = RequestTrace(rows.arrival_s[:1], rows.input_tokens[:1], rows.output_tokens[:1])
    faster = replace(times, decode_s=times.decode_s * factor, context_s=times.context_s * factor)
    before, after = (play(each, first, policy).done_s[0] for each in (times, faster))
    assert after <= before


def test_everything_waits_its_turn_under_a_batch_of_one():
    rows = requests(*[(0.1 * i, 50, 20) for i in range(10)])
    served = play(step_times(), rows, ServePolicy(1))
    assert (np.diff(served.done_s) > 0).all()
    assert (served.first_s[1:] > served.done_s[:-1]).all()
