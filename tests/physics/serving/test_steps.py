"""Tables of step times: sums over steps, an instance's own table, a user's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_instances import DENSE, LATENT, MIXTURE, RANK, SHAPES, USUAL, WINDOWED, instance

from computeplan.physics.serving.instance import Speculation
from computeplan.physics.serving.layouts import at, best_batches, holding, splits
from computeplan.physics.serving.room import largest_batch
from computeplan.physics.serving.steady import decode_of, terms_of
from computeplan.physics.serving.steps import (
    checked_times,
    decode_step_s,
    prefill_s,
    run_s,
    windowed_tokens,
)
from computeplan.physics.serving.tabulate import step_times, times_of_table
from computeplan.physics.serving.work import prefill_work, step_s


def _times(shape=DENSE, **split):
    return step_times(instance(shape, speed=USUAL, max_batch=32, **split), 200, 100)


@given(
    shape=st.sampled_from(SHAPES),
    batch=st.integers(1, 32),
    context=st.integers(1, 50),
    n=st.integers(0, 60),
)
def test_many_steps_are_their_sum(shape, batch, context, n):
    times = _times(shape)
    whole = float(run_s(times, batch, batch * context, n))
    each = sum(
        float(
            decode_step_s(
                times,
                batch,
                batch * (context + k),
                batch * min(context + k, times.window),
            )
        )
        for k in range(n)
    )
    assert whole == pytest.approx(each, rel=1e-12, abs=1e-15)


@given(window=st.integers(1, 30), context=st.integers(0, 40), n=st.integers(0, 40))
def test_windowed_tokens_are_their_sum(window, context, n):
    each = sum(min(context + k, window) for k in range(n))
    assert float(windowed_tokens(context, window, n)) == each


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tp", [1, 2])
def test_the_table_is_the_step(shape, tp):
    some = instance(shape, speed=USUAL, max_batch=32, tp=tp)
    times = step_times(some, 200, 100)
    assert times.max_batch == 32
    for batch in (1, 7, 32):
        terms = terms_of(some, batch, 200, 100)
        seen = batch * min(250, times.window)
        found = float(decode_step_s(times, batch, batch * 250, seen))
        assert found == pytest.approx(float(decode_of(USUAL, terms)), rel=1e-9)
    knot = times.prompt_tokens[20]
    whole = float(prefill_s(times, knot, knot * knot / 2))
    expected = float(step_s(USUAL, prefill_work(some, knot, knot / 2), alone=False))
    if shape is not WINDOWED:  # a window is counted at the mean prompt
        assert whole == pytest.approx(expected, rel=1e-9)


def test_latent_attention_may_multiply_longer_than_it_reads():
    slow = replace(RANK, half_flop_per_s=1e11)
    some = instance(LATENT, speed=USUAL, rank=slow, max_batch=8)
    times = step_times(some, 200, 100)
    assert times.context_s == pytest.approx(4 * 2 * 8 * (2 * 16 + 4) / (0.4 * 1e11))


def test_speculation_and_derating_scale_steps():
    some = instance(speed=USUAL, max_batch=8)
    drafting = replace(some, speculation=Speculation(2.0, 1.8))
    plain, drafted = (step_times(i, 200, 100) for i in (some, drafting))
    assert drafted.context_s == pytest.approx(plain.context_s * (1 + 2 / 4) / 1.8)
    half = step_times(some, 200, 100, derating=0.5)
    assert half.decode_s == pytest.approx(2 * plain.decode_s)
    assert half.prefill_s == pytest.approx(2 * plain.prefill_s)
    with pytest.raises(ValueError, match="derating"):
        step_times(some, 200, 100, derating=0.0)


def test_no_table_without_room():
    with pytest.raises(ValueError, match="more ranks"):
        step_times(instance(rank=replace(RANK, memory_bytes=3e9)), 200, 100)


@given(
    first=st.floats(0.001, 0.1),
    each=st.floats(0, 0.01),
    slope=st.floats(0, 1e-5),
    contexts=st.lists(st.integers(1, 5000), min_size=2, max_size=5, unique=True),
)
def test_a_table_of_steps_gives_back_its_line(first, each, slope, contexts):
    rows = [(b, c, 0, first + b * each + slope * b * c) for b in (1, 4, 8) for c in contexts]
    rows += [(0, 0, 100, 0.1), (0, 0, 1000, 0.5)]
    times = times_of_table(*zip(*rows, strict=True), 1e6)
    assert times.context_s == pytest.approx(slope, rel=1e-4, abs=1e-12)
    expected = [0.0, *(first + b * each for b in range(1, 9))]
    assert times.decode_s == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert float(prefill_s(times, 550)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(1, 0, 0, 0.1)], "prompt tokens"),
        ([(0, 0, 5, 0.1)], "a batch"),
        ([(1, 0, 5, 0.1)], "one of the two"),
        ([(1, 0, 0, -0.1), (0, 0, 5, 0.1)], "negative"),
        ([(1.5, 0, 0, 0.1), (0, 0, 5, 0.1)], "whole"),
    ],
)
def test_tables_that_are_none(rows, said):
    with pytest.raises(ValueError, match=said):
        times_of_table(*zip(*rows, strict=True), 1e6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decode_s": np.array([0.1, 0.2])}, "begin with 0"),
        ({"prompt_tokens": np.array([0.0, 2.0, 1.0]), "prefill_s": np.zeros(3)}, "rise"),
        ({"window": 0.0}, "window"),
        ({"context_s": -1.0}, "context_s"),
    ],
)
def test_times_that_are_none(change, said):
    with pytest.raises(ValueError, match=said):
        checked_times(replace(_times(), **change))


# Layouts


def test_experts_are_shared_by_all_ranks_of_a_stage():
    split = splits(MIXTURE, domain=8)
    for k in range(len(split.tp)):
        assert split.ep[k] in (1.0, split.tp[k] * split.dp[k])
        assert split.tp[k] * split.dp[k] <= 8
        if split.dp[k] > 1:
            assert split.ep[k] == split.tp[k] * split.dp[k]


def test_layouts_that_hold_a_batch_are_those_that_one_by_one_do():
    tight = instance(rank=replace(RANK, memory_bytes=5e9))
    many = replace(tight, split=splits(DENSE, domain=8))
    batch = float(largest_batch(tight, 500, 500)) + 1
    held = holding(many, 500, 500, batch)
    alone = [
        float(largest_batch(replace(tight, split=at(many.split, k)), 500, 500)) >= batch
        for k in range(len(many.split.tp))
    ]
    assert len(held) == sum(alone) > 0
    assert len(held) < len(alone)


def test_the_best_batch_keeps_the_limit():
    many = replace(instance(MIXTURE, speed=USUAL, max_batch=512), split=splits(MIXTURE, domain=8))
    free, rate = best_batches(many, 500, 100)
    kept, slower = best_batches(many, 500, 100, tpot_s=2.5e-3)
    assert (np.diff(rate) <= 0).all()
    assert 0 < len(kept) <= len(free)
    assert slower.max() <= rate.max()
    for k in range(len(kept)):
        one = replace(many, split=at(kept.split, k))
        terms = terms_of(one, kept.batch[k], 500, 100)
        assert float(decode_of(USUAL, terms)) <= 2.5e-3
    nothing, _ = best_batches(many, 500, 100, tpot_s=1e-9)
    assert len(nothing) == 0
