"""The work of a step: by hand, and laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_instances import DENSE, LATENT, MIXTURE, NO_OVERHEAD, RANK, SHAPES, USUAL, instance

from computeplan.physics.serving.instance import Speculation
from computeplan.physics.serving.steady import (
    accepted_tokens,
    continuous,
    decode_of,
    pair,
    prompt_of,
    prompt_rate,
    static,
    terms_of,
    transfer_s,
)
from computeplan.physics.serving.work import decode_work, prefill_work, reads_of, step_s
from computeplan.physics.steptime.transformer import (
    CompressedAttention,
    Experts,
    LinearAttention,
)

ATTENTION = 64 * 64 * 2 + 2 * 64 * 16  # queries and outputs; keys and values of two heads of 8
MLP = 2 * 64 * 256
RATE = 0.85 * 2e12


def test_weights_are_read_once_whatever_the_batch():
    one, many = (decode_work(instance(), batch, 0.0) for batch in (1, 64))
    assert float(one.weights_s) == pytest.approx(2 * (4 * (ATTENTION + MLP) + 6400) / RATE)
    assert float(many.weights_s) == float(one.weights_s)
    assert float(many.products_s) == 64 * float(one.products_s)


def test_products_are_two_flop_a_weight_and_row():
    work = decode_work(instance(), 3, 0.0)
    assert float(work.products_s) == pytest.approx(3 * 2 * (4 * (ATTENTION + MLP) + 6400) / 1e15)
    without_logits = prefill_work(instance(), 3, 0.0)
    assert float(without_logits.products_s) == pytest.approx(3 * 2 * 4 * (ATTENTION + MLP) / 1e15)


def test_batch_1_without_overheads_is_bytes_over_bandwidth():
    slow = replace(RANK, half_flop_per_s=1e30, dense_flop_per_s=1e30, expert_flop_per_s=1e30)
    work = decode_work(instance(rank=slow), 1, 100.0)
    cache = 100 * 4 * 2 * (8 + 8) * 2  # tokens, layers, heads, keys and values, bytes
    n_bytes = 2 * (4 * (ATTENTION + MLP) + 6400) + cache
    assert float(step_s(NO_OVERHEAD, work)) == pytest.approx(n_bytes / RATE)


def test_experts_are_read_if_a_row_meets_them():
    routed = 4 * 8 * 2 * 64 * 128
    for rows, hit in ((1, 2 / 8), (2, 1 - (6 / 8) ** 2)):
        work = decode_work(instance(MIXTURE), rows, 0.0)
        assert float(work.experts_read_s) == pytest.approx(2 * routed * hit / RATE)
    work = decode_work(instance(MIXTURE), 10**6, 0.0)
    assert float(work.experts_read_s) == pytest.approx(2 * routed / RATE)
    assert float(work.experts_s) == pytest.approx(10**6 * 2 * routed * 2 / 8 / 1e15)


def test_latent_attention_decodes_absorbed_and_takes_in_prompts_expanded():
    (read,) = reads_of(LATENT)
    assert (read.numbers, read.kv_heads) == (20.0, 0.0)
    assert read.decode_flop == 2 * 8 * (2 * 16 + 4)
    assert read.prefill_flop == 2 * 8 * (8 + 4 + 8)
    one, two = (decode_work(instance(LATENT, tp=tp), 1, 10.0) for tp in (1, 2))
    assert float(two.cache_s) == float(one.cache_s)  # every rank holds the latent vectors whole
    assert float(two.core_s) == float(one.core_s) / 2


def test_few_heads_of_keys_are_repeated_over_ranks():
    of = [float(decode_work(instance(tp=tp), 1, 10.0).cache_s) for tp in (1, 2, 4)]
    assert of[1] == of[0] / 2
    assert of[2] == of[1]


def test_windows_bound_what_is_read():
    shape = replace(DENSE, sliding_window=16)
    near, far = (float(decode_work(instance(shape), 1, context).cache_s) for context in (16, 1000))
    assert near == far


def test_layers_without_keys_read_a_state():
    linear = LinearAttention(heads=2, key_dim=4, value_dim=8, key_heads=2)
    shape = replace(DENSE, linear=linear)
    of = [float(decode_work(instance(shape), 1, context).cache_s) for context in (1, 1000)]
    assert of == pytest.approx([2 * 4 * 4 * 64 / RATE] * 2)


def test_compressed_keys_are_fewer():
    shape = replace(DENSE, sliding_window=16, compressed=CompressedAttention(8, 8, 2, ratio=4))
    assert [(r.window, r.numbers) for r in reads_of(shape)] == [(np.inf, 2.0), (16.0, 8.0)]


def test_messages_of_tensor_and_expert_parallel_ranks():
    assert decode_work(instance(), 8, 0.0).n_messages == 0.0
    assert decode_work(instance(tp=2), 8, 0.0).n_messages == 8.0
    # One sum after attention; the experts are met by two messages.
    assert decode_work(instance(MIXTURE, tp=2, dp=2, ep=4), 8, 0.0).n_messages == 4.0 + 8.0
    work = decode_work(instance(tp=2), 8, 0.0)
    moved = 8 * 2 * 8 * 64 * 2 * (1 / 2) / (0.7 * 400e9)
    assert float(work.messages_s) == pytest.approx(8 * 2 * 8 * 64 * 2 / 2 / (0.7 * 400e9))
    assert moved == pytest.approx(float(work.messages_s))


def test_a_static_batch_by_hand():
    some = instance(speed=USUAL)
    terms = terms_of(some, 8, 100, 50, at_once=8)
    whole = 8 * prompt_of(USUAL, terms) + 49 * decode_of(USUAL, terms)
    assert float(static(USUAL, terms).tokens_per_s) == pytest.approx(float(8 * 50 / whole))


def test_continuous_batching_by_hand():
    terms = terms_of(instance(), 8, 100, 50)
    found = continuous(USUAL, terms)
    step, prompt = decode_of(USUAL, terms), prompt_of(USUAL, terms)
    assert float(found.tokens_per_s) == pytest.approx(float(8 / (step + 8 / 50 * prompt)))
    assert float(found.tpot_s) == pytest.approx(float(step + 7 / 50 * prompt))


def test_cached_prompt_tokens_are_not_computed():
    none, half = (terms_of(instance(), 8, 4000, 50, cached_frac=f) for f in (0.0, 0.5))
    # Half the rows; and of the pairs, those of the second half with all before it.
    assert float(half.prompt_part * half.prompt.products_s) == pytest.approx(
        float(none.prompt_part * none.prompt.products_s) / 2
    )
    pairs = [float(t.prompt_part * t.prompt.core_s) for t in (none, half)]
    assert pairs[1] == pytest.approx(0.75 * pairs[0])
    assert float(half.decode.cache_s) == float(none.decode.cache_s)


@pytest.mark.parametrize(
    ("drafted", "chance", "tokens"), [(0, 0.9, 1.0), (3, 1.0, 4.0), (2, 0.5, 1.75)]
)
def test_accepted_tokens(drafted, chance, tokens):
    assert float(accepted_tokens(drafted, chance)) == tokens


def test_speculation_checks_more_rows_and_yields_more_tokens():
    plain = instance()
    drafting = replace(plain, speculation=Speculation(draft=3.0, accepted=2.5))
    one, two = (terms_of(i, 4, 100, 50) for i in (plain, drafting))
    assert float(two.decode.products_s) == pytest.approx(4 * float(one.decode.products_s))
    assert float(two.decode.cache_s) == float(one.decode.cache_s)
    assert two.draft_factor == 1 + 3 / 4


def test_a_pair_keeps_pace():
    some = instance(speed=USUAL)
    found = pair(some, some, 16, 1000, 100)
    each = 1000 / prompt_rate(some, 8192.0, 1000)
    assert float(found.prefill_per_decode) == pytest.approx(float(found.requests_per_s * each))
    assert float(transfer_s(some, 1000, overlapped=False)) == pytest.approx(
        1000 * 4 * 2 * 16 * 2 / (0.8 * 50e9)
    )


@given(
    shape=st.sampled_from(SHAPES),
    batch=st.floats(1, 512),
    n_in=st.floats(1, 20000),
    n_out=st.floats(1, 4000),
    tp=st.sampled_from([1, 2, 4]),
    more=st.floats(1.0, 4.0),
    what=st.sampled_from(["memory_bytes_per_s", "flops"]),
)
def test_more_bandwidth_or_peak_never_lowers_the_rate(shape, batch, n_in, n_out, tp, more, what):
    names = ("half_flop_per_s", "dense_flop_per_s", "expert_flop_per_s")
    names = names if what == "flops" else (what,)
    better = replace(RANK, **{name: more * getattr(RANK, name) for name in names})
    rates = [
        float(
            continuous(
                USUAL, terms_of(instance(shape, rank=r, tp=tp), batch, n_in, n_out)
            ).tokens_per_s
        )
        for r in (RANK, better)
    ]
    assert rates[1] >= rates[0] * (1 - 1e-12)


@given(shape=st.sampled_from(SHAPES), n_in=st.floats(1, 5000), n_out=st.floats(1, 2000))
def test_a_larger_batch_yields_more_and_waits_longer(shape, n_in, n_out):
    batch = np.geomspace(1, 2000, 20)
    found = continuous(USUAL, terms_of(instance(shape), batch, n_in, n_out))
    assert (np.diff(found.tokens_per_s) >= -1e-9 * found.tokens_per_s[1:]).all()
    assert (np.diff(found.decode_s) >= 0).all()


@given(shape=st.sampled_from(SHAPES), batch=st.integers(1, 200), context=st.floats(1, 5000))
def test_arrays_are_the_same_as_one_by_one(shape, batch, context):
    many = instance(shape, tp=np.array([1.0, 2.0, 4.0]))
    together = step_s(USUAL, decode_work(many, batch, context))
    for k, tp in enumerate((1, 2, 4)):
        alone = step_s(USUAL, decode_work(instance(shape, tp=tp), batch, context))
        assert float(together[k]) == pytest.approx(float(alone), rel=1e-12)


# Wide instances ----------------------------------------------------------------------------------

WIDE = replace(MIXTURE, moe=Experts(experts=32, top_k=2, expert_ffn=128))


def _engine(found, **changed):
    return replace(found, engine=replace(found.engine, **changed))


@pytest.mark.parametrize(
    ("tp", "dp", "host_ranks", "rows"),
    [(2, 4, 8, 32), (2, 4, 1, 8), (1, 16, 8, 16), (1, 16, 1, 2), (8, 1, 1, 32)],
)
def test_a_host_has_the_sequences_of_its_ranks(tp, dp, host_ranks, rows):
    """32 sequences: 8 ranks are one host or, of copies that schedule apart, four; 16 are two."""
    wide = _engine(instance(WIDE, tp=tp, dp=dp, ep=tp * dp), host_ranks=host_ranks)
    assert float(decode_work(wide, 32, 100.0).rows) == rows


@pytest.mark.parametrize("batch", [16, 4096, 10**6])
def test_of_two_halves_one_sends_while_one_computes(batch):
    one = instance(WIDE, dp=16, ep=16)
    work = decode_work(one, batch, 100.0)
    sent = float(work.messages_s)
    busy = float(step_s(NO_OVERHEAD, work)) - sent
    turns = decode_work(_engine(one, two_batches=True), batch, 100.0)
    assert float(step_s(NO_OVERHEAD, turns)) == pytest.approx(max(busy, sent))
    dense = _engine(instance(tp=8), two_batches=True)
    assert float(decode_work(dense, batch, 100.0).hidden) == 0.0


def test_a_token_goes_to_each_server_once():
    """16 ranks on 2 servers, 2 experts a token: 0.75 of tokens leave once, of 0.96875 copies."""

    def sent(engine, dp):
        few, many = (
            float(decode_work(_engine(instance(WIDE, dp=dp, ep=dp), **engine), n, 0.0).messages_s)
            for n in (1e6, 2e6)
        )
        return many - few

    once = {"once_a_server": True}
    by_hand = (2 * (1 - 0.5**2) / 2) / (16 * (1 - (15 / 16) ** 2) / 2)
    assert by_hand == pytest.approx(0.75 / 0.96875)
    assert sent(once, 16) / sent({}, 16) == pytest.approx(by_hand, rel=0.01)
    assert sent(once, 8) == sent({}, 8)
