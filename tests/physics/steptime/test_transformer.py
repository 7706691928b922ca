"""The shapes reproduce published parameter counts, and the work obeys its laws."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.physics.steptime.transformer import (
    CompressedAttention,
    Experts,
    Indexer,
    LatentAttention,
    LinearAttention,
    Shape,
    attention_flop_per_token,
    flop_per_token,
    forward_flop_per_token,
    mtp_flop_per_token,
    n_active_parameters,
    n_mtp_parameters,
    n_parameters,
    shape_of,
    size_class,
)
from computeplan.specs.catalogue.lookup import load_model, model_names

NOT_PUBLISHED = {  # no source counts the parameters of these shapes, or none was found
    *("baai/aquila-7b", "baai/aquila2-7b", "baai/aquila2-34b", "internlm/internlm-7b"),
    *("internlm/internlm-65b", "meta/llama-2-34b", "moonshot/kimi-k2"),
    *(f"mosaicml/mpt-{size}" for size in ("3b", "7b", "13b", "30b", "70b")),
    *("nvidia/gpt3-5b", "nvidia/gpt3-20b"),
}
EMBEDDINGS = {  # that the authors leave out: of the total, of what is active
    "moonshot/moonlight-16b-a3b": (2, 2),
    "openai/gpt-oss-120b": (0, 1),
    "openai/gpt-oss-20b": (0, 1),
    "zhipu/glm-4.5": (2, 2),
    "zhipu/glm-4.5-air": (2, 2),
}
PREDICTOR = {"zhipu/glm-4.5": 3.97e9}  # its layer that predicts two tokens ahead is counted
NORMS_OF_HEADS = {  # layers, width of a head: queries and keys have a norm that no shape has
    "qwen/qwen3-0.6b": (28, 128),
    "qwen/qwen3-1.7b": (28, 128),
    "qwen/qwen3-4b": (36, 128),
    "qwen/qwen3-8b": (36, 128),
    "qwen/qwen3-14b": (40, 128),
    "qwen/qwen3-32b": (64, 128),
    "qwen/qwen3-30b-a3b": (48, 128),
    "qwen/qwen3-235b-a22b": (94, 128),
}
LEFT_OUT = {  # weights of the checkpoint that the shape does not have, one by one
    **{name: layers * 2 * width for name, (layers, width) in NORMS_OF_HEADS.items()},
    "allenai/olmo-2-7b": 32 * (4096 + 4096),  # the norms of queries and keys
    "allenai/olmo-2-13b": 40 * (5120 + 5120),
    "allenai/olmo-2-32b": 64 * (5120 + 1024),
    "google/gemma-2-2b": 26 * 2 * 2304,  # a norm behind each block, too
    "google/gemma-2-9b": 42 * 2 * 3584,
    "google/gemma-2-27b": 46 * 2 * 4608,
    "google/gemma-3-1b": 26 * 2 * (1152 + 256),
    "tii/falcon-7b": -32 * 2 * 4544,  # one norm for both blocks
}

DENSE = Shape(layers=3, hidden=64, ffn=256, heads=4, kv_heads=2, head_dim=16, vocab=100)

shapes = st.builds(
    Shape,
    layers=st.integers(2, 8),
    hidden=st.sampled_from([32, 64]),
    ffn=st.integers(16, 200),
    heads=st.sampled_from([4, 8]),
    kv_heads=st.sampled_from([1, 2, 4]),
    head_dim=st.sampled_from([8, 16]),
    vocab=st.integers(50, 500),
    gated_mlp=st.booleans(),
    tied_embeddings=st.booleans(),
    norm=st.sampled_from(["rms", "layer"]),
    biases=st.sampled_from(["none", "qkv", "all"]),
)
seqs = st.integers(1, 200_000)


def shape_named(name):
    return shape_of(load_model(name)[0].architecture())


def test_every_model_of_the_catalogue_is_compared():
    stated = {name for name in model_names() if load_model(name)[0].parameters.total is not None}
    assert stated | NOT_PUBLISHED == set(model_names())
    assert not stated & NOT_PUBLISHED
    assert {*EMBEDDINGS, *PREDICTOR, *LEFT_OUT} <= stated


def half_of_the_last_digit(figure):
    digits, _, exponent = figure.text.partition("e")
    return 0.5 * 10 ** (int(exponent or 0) - len(digits.partition(".")[2]))


@pytest.mark.parametrize("name", model_names())
def test_reproduces_published_parameter_counts(name):
    figures, shape = load_model(name)[0].parameters, shape_named(name)
    of_total, of_active = EMBEDDINGS.get(name, (0, 0))
    embedding = shape.vocab * shape.hidden
    if figures.total is not None:
        counted = n_parameters(shape) - of_total * embedding + PREDICTOR.get(name, 0)
        rounding = max(half_of_the_last_digit(figures.total), 5e-3 * figures.total.value)
        assert counted == pytest.approx(figures.total.value, abs=rounding)
    if shape.moe is None:
        assert n_active_parameters(shape) == n_parameters(shape)
        assert figures.active is None
    elif figures.active is not None:
        counted = n_active_parameters(shape) - of_active * embedding
        assert counted == pytest.approx(figures.active.value, rel=2e-2)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in model_names()
        if (total := load_model(name)[0].parameters.total) is not None and total.text.isdigit()
    ],
)
def test_counted_checkpoints_are_exact_to_the_last_parameter(name):
    counted = load_model(name)[0].parameters.total.value
    assert n_parameters(shape_named(name)) + LEFT_OUT.get(name, 0) == counted


def test_bloom_is_exact_to_the_last_parameter():
    assert n_parameters(shape_named("bigscience/bloom-176b")) == 176_247_271_424


def test_deepseek_activates_what_its_authors_count():
    """They leave out the input embedding: 36.6 billion."""
    shape = shape_named("deepseek/deepseek-v3")
    without_embedding = n_active_parameters(shape) - shape.vocab * shape.hidden
    assert without_embedding / 1e9 == pytest.approx(36.6, abs=0.05)


def list_weights(shape):
    """An oracle that shares no code: every matrix of a dense model, one by one."""
    h, d = shape.hidden, shape.head_dim
    for _ in range(shape.layers):
        for heads in (shape.heads, shape.kv_heads, shape.kv_heads):
            yield h, heads * d, heads * d if shape.biases != "none" else 0
        yield shape.heads * d, h, h if shape.biases == "all" else 0
        for _ in range(2 if shape.gated_mlp else 1):
            yield h, shape.ffn, shape.ffn if shape.biases == "all" else 0
        yield shape.ffn, h, h if shape.biases == "all" else 0
    yield h, shape.vocab, 0


@given(shapes)
def test_parameters_agree_with_a_list_of_matrices(shape):
    vectors = 2 if shape.norm == "layer" else 1
    norms = (2 * shape.layers + 1) * vectors * shape.hidden
    embedding = 0 if shape.tied_embeddings else shape.vocab * shape.hidden
    matrices = sum(rows * columns + bias for rows, columns, bias in list_weights(shape))
    assert n_parameters(shape) == matrices + norms + embedding


@given(shapes, seqs)
def test_work_is_two_flop_a_weight_and_the_attention_core(shape, seq):
    matrices = sum(rows * columns for rows, columns, _ in list_weights(shape))
    core = sum(4 * shape.heads * shape.head_dim * seq / 2 for _ in range(shape.layers))
    assert forward_flop_per_token(shape, seq) == pytest.approx(2 * matrices + core, rel=1e-12)
    assert flop_per_token(shape, seq) == 3 * forward_flop_per_token(shape, seq)


@given(shapes, seqs, st.floats(1.01, 10))
def test_a_longer_sequence_never_costs_less(shape, seq, factor):
    assert flop_per_token(shape, seq) < flop_per_token(shape, seq * factor)


@given(shapes, seqs)
def test_a_causal_mask_halves_the_core_exactly(shape, seq):
    full = dataclasses.replace(shape, causal=False)
    assert 2 * attention_flop_per_token(shape, seq) == attention_flop_per_token(full, seq)


@given(shapes, seqs, st.integers(1, 300_000))
def test_a_window_never_costs_more_and_a_long_one_changes_nothing(shape, seq, window):
    windowed = dataclasses.replace(shape, sliding_window=window)
    core = attention_flop_per_token(shape, seq)
    assert attention_flop_per_token(windowed, seq) <= core * (1 + 1e-12)
    if window >= seq:
        assert attention_flop_per_token(windowed, seq) == core


def test_a_window_counts_the_positions_seen_one_by_one():
    seq, window = 5000, 700
    windowed = dataclasses.replace(DENSE, sliding_window=window)
    seen = sum(min(i + 0.5, window) for i in range(seq)) / seq
    per_position = 4 * DENSE.layers * DENSE.heads * DENSE.head_dim
    assert attention_flop_per_token(windowed, seq) == pytest.approx(per_position * seen, rel=1e-9)


@pytest.mark.parametrize(
    ("layers", "every", "n_full"),
    [(4, 2, 2), (6, 6, 1), (26, 6, 4), (3, 2, 1), (3, 4, 0), (3, 1, 3)],
)
def test_every_nth_layer_is_free_of_the_window(layers, every, n_full):
    """Of 1024 positions a token sees 512 on average, through a window of 512 only 384."""
    shape = dataclasses.replace(
        DENSE, layers=layers, sliding_window=512, full_attention_every=every
    )
    span = 512 * n_full + 384 * (layers - n_full)
    core = 4 * DENSE.heads * DENSE.head_dim
    assert attention_flop_per_token(shape, 1024) == pytest.approx(core * span, rel=1e-15)
    both_ways = dataclasses.replace(shape, causal=False)
    span = 1024 * n_full + 512 * (layers - n_full)
    assert attention_flop_per_token(both_ways, 1024) == pytest.approx(core * span, rel=1e-15)
    assert n_parameters(shape) == n_parameters(dataclasses.replace(DENSE, layers=layers))
    weights = flop_per_token(shape, 1024) - 3 * attention_flop_per_token(shape, 1024)
    dense = dataclasses.replace(DENSE, layers=layers)
    assert weights == flop_per_token(dense, 1024) - 3 * attention_flop_per_token(dense, 1024)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_layers_in_full_change_nothing_where_there_is_no_window(every):
    shape = dataclasses.replace(DENSE, full_attention_every=every)
    assert flop_per_token(shape, 1000) == flop_per_token(DENSE, 1000)
    within = dataclasses.replace(shape, sliding_window=1000)
    assert flop_per_token(within, 1000) == flop_per_token(DENSE, 1000)


def test_gemma_2_slides_in_every_second_layer():
    shape = shape_named("google/gemma-2-9b")
    assert (shape.layers, shape.sliding_window, shape.full_attention_every) == (42, 4096, 2)
    span = 21 * 4096 + 21 * 3072  # of 8192 positions; 4096 * (1 - 4096 / 16384) in a window
    assert attention_flop_per_token(shape, 8192) == 4 * 16 * 256 * span


def test_one_expert_that_is_always_chosen_is_a_dense_mlp_with_a_router():
    mixture = dataclasses.replace(DENSE, moe=Experts(experts=1, top_k=1, expert_ffn=DENSE.ffn))
    router = DENSE.layers * DENSE.hidden
    assert n_parameters(mixture) == n_parameters(DENSE) + router
    assert n_active_parameters(mixture) == n_parameters(mixture)
    assert flop_per_token(mixture, 100) == flop_per_token(DENSE, 100) + 6 * router


def test_shared_experts_and_dense_layers_are_met_by_every_token():
    moe = Experts(experts=8, top_k=2, expert_ffn=32, shared_experts=1, dense_layers=1)
    shape = dataclasses.replace(DENSE, moe=moe)
    expert = 3 * DENSE.hidden * 32
    assert n_parameters(shape) - n_active_parameters(shape) == 2 * (8 - 2) * expert


def test_latent_attention_without_compressed_queries_has_a_plain_query_matrix():
    mla = LatentAttention(0, kv_lora_rank=8, qk_nope_head_dim=5, qk_rope_head_dim=2, v_head_dim=4)
    shape = dataclasses.replace(DENSE, mla=mla)
    h, a = DENSE.hidden, DENSE.heads
    attention = h * a * 7 + h * (8 + 2) + 8 * a * (5 + 4) + a * 4 * h
    plain = 2 * h * 16 * (a + 2)
    assert n_parameters(shape) - n_parameters(DENSE) == 3 * (attention - plain + 8)
    assert attention_flop_per_token(shape, 10) == 3 * 2 * a * (7 + 4) * 5


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
def test_says_that_seq_is_wrong(bad):
    with pytest.raises(ValueError, match="seq must be > 0 and finite, got"):
        flop_per_token(DENSE, bad)


def test_classes_are_steps_of_one_two_five():
    assert size_class(shape_named("meta/llama-2-70b")) == "dense 50-100B"
    assert size_class(shape_named("meta/llama-3.1-405b")) == "dense 200-500B"
    assert size_class(shape_named("deepseek/deepseek-v3")) == "moe 500-1000B, 20-50B active"
    assert size_class(DENSE) == "dense 0-1B"
    assert size_class(dataclasses.replace(DENSE, layers=10**11)) == "dense over 5000000B"


# -- layers that differ --------------------------------------------------------------------------

HYBRID = dataclasses.replace(
    DENSE, linear=LinearAttention(heads=32, key_dim=128, value_dim=64, key_heads=8, rule="mamba2")
)


def test_a_chunk_counts_the_positions_seen_one_by_one():
    seq, chunk = 5000, 700
    chunked = dataclasses.replace(DENSE, attention_chunk=chunk)
    seen = sum(i % chunk + 0.5 for i in range(seq)) / seq
    per_position = 4 * DENSE.layers * DENSE.heads * DENSE.head_dim
    assert attention_flop_per_token(chunked, seq) == pytest.approx(per_position * seen, rel=1e-9)


def test_a_chunk_is_not_a_window():
    """Chunks of 8,192 at 32,768: 4,096 keys a token; a window of 8,192 sees 7,168."""
    per_key = 4 * DENSE.layers * DENSE.heads * DENSE.head_dim
    chunked = dataclasses.replace(DENSE, attention_chunk=8192)
    assert attention_flop_per_token(chunked, 32768) == per_key * 4096
    windowed = dataclasses.replace(DENSE, sliding_window=8192)
    assert attention_flop_per_token(windowed, 32768) == per_key * 7168


@given(shapes, seqs, st.integers(1, 300_000))
def test_a_chunk_never_costs_more_than_a_window_as_long(shape, seq, length):
    chunked = dataclasses.replace(shape, attention_chunk=length)
    windowed = dataclasses.replace(shape, sliding_window=length)
    most = attention_flop_per_token(windowed, seq) * (1 + 1e-12)
    assert attention_flop_per_token(chunked, seq) <= most


@given(seqs, seqs)
def test_a_state_costs_the_same_however_long_the_sequence(one, other):
    core = attention_flop_per_token(HYBRID, one)
    assert core == attention_flop_per_token(HYBRID, other)
    assert core == HYBRID.layers * 2 * 2 * 32 * 128 * 64  # updated, and read


def test_mamba_2_has_the_matrices_of_its_authors():
    """in_proj for z, x, B, C and dt; the convolution of x, B and C; out_proj (mamba_ssm 2.2)."""
    h, inner, groups, state, heads = HYBRID.hidden, 32 * 64, 8, 128, 32
    linear = h * (2 * inner + 2 * groups * state + heads) + inner * h
    linear += 4 * (inner + 2 * groups * state)
    without = dataclasses.replace(HYBRID, heads=0, kv_heads=0, linear=None)
    norms = HYBRID.layers * HYBRID.hidden  # a layer with one block has one norm
    assert n_parameters(HYBRID) - n_parameters(without) == HYBRID.layers * linear + norms


@given(shapes, shapes, seqs)
def test_kinds_of_layers_add_up(one, other, seq):
    """A network of two kinds is what two networks are, less one embedding, head and last norm."""
    other = dataclasses.replace(
        other, hidden=one.hidden, vocab=one.vocab, tied_embeddings=one.tied_embeddings,
        learned_positions=one.learned_positions, norm=one.norm, embedding_norm=one.embedding_norm,
    )  # fmt: skip
    both = dataclasses.replace(one, layers=one.layers + other.layers, kinds=(one, other))
    nothing = dataclasses.replace(one, layers=0)
    assert n_parameters(both) == n_parameters(one) + n_parameters(other) - n_parameters(nothing)
    logits = 2.0 * one.hidden * one.vocab
    together = forward_flop_per_token(one, seq) + forward_flop_per_token(other, seq) - logits
    assert forward_flop_per_token(both, seq) == pytest.approx(together, rel=1e-12)


def test_the_extra_layer_of_deepseek_v3():
    """One layer with experts, one product that joins, a second head: 1.6e9 of 36.6e9."""
    shape = shape_of(load_model("deepseek-v3")[0].architecture() | {"mtp": 1})
    assert n_parameters(shape) == n_parameters(dataclasses.replace(shape, mtp=0))
    assert n_mtp_parameters(shape) / 1e9 == pytest.approx(11.6, abs=0.05)
    head = shape.vocab * shape.hidden
    active = n_mtp_parameters(shape, active=True) + head
    assert active / 1e9 == pytest.approx(1.615, abs=0.002)
    more = mtp_flop_per_token(shape, 4096) / flop_per_token(shape, 4096)
    assert more == pytest.approx(0.045, abs=0.005)


def test_an_index_chooses_among_all_keys_and_attention_sees_the_chosen():
    index = Indexer(heads=4, head_dim=32, top_k=512)
    shape = dataclasses.replace(DENSE, indexer=index)
    seq, per_pair = 8192, 2 * DENSE.layers
    chosen = dataclasses.replace(DENSE, sliding_window=512)
    scores = per_pair * 4 * 32 * seq / 2
    both = attention_flop_per_token(chosen, seq) + scores
    assert attention_flop_per_token(shape, seq) == pytest.approx(both)
    later = dataclasses.replace(shape, indexer=dataclasses.replace(index, heads=0))
    assert attention_flop_per_token(later, seq) == attention_flop_per_token(chosen, seq)
    matrices = DENSE.hidden * (4 * 32 + 32 + 4) * DENSE.layers
    assert n_parameters(shape) - n_parameters(later) == matrices


def test_compressed_keys_are_one_for_every_so_many_tokens():
    part = CompressedAttention(q_lora_rank=64, o_lora_rank=32, o_groups=2, ratio=128)
    window = dataclasses.replace(DENSE, sliding_window=128, kv_heads=1)
    shape = dataclasses.replace(window, compressed=part)
    none = dataclasses.replace(window, compressed=dataclasses.replace(part, ratio=0))
    seq, per_key = 8192, 4 * DENSE.layers * DENSE.heads * DENSE.head_dim
    assert attention_flop_per_token(none, seq) == attention_flop_per_token(window, seq)
    more = attention_flop_per_token(shape, seq) - attention_flop_per_token(none, seq)
    assert more == pytest.approx(per_key * seq / 2 / 128)
