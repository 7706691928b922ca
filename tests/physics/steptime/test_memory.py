"""Memory against published formulas, layouts known to fit and not to fit, laws."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.analytic.step_price import price_step
from computeplan.compiler.hardware import device_of, fabric_of
from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.physics.steptime.kept import ALIASES, MODULES, known
from computeplan.physics.steptime.layer import held_by, saved_bytes, weights_of
from computeplan.physics.steptime.layout import Layout, Software
from computeplan.physics.steptime.memory import (
    GIB,
    RankMemory,
    memory_of,
    state_bytes_per_parameter,
)
from computeplan.physics.steptime.step import Training, step_time
from computeplan.physics.steptime.transformer import (
    Experts,
    LinearAttention,
    Shape,
    n_parameters,
    shape_of,
)
from computeplan.specs.catalogue.lookup import load_chip, load_model
from computeplan.specs.jobs import Module, Parallelism

GB = 1e9
NONE, SELECTIVE, FULL = 0, 1, 2
UNFUSED = Software(flash=False, dropout=True)  # as in arXiv 2205.05198

# Heads, width, layers, sequences of a micro-batch: arXiv 2205.05198, table 3. All with s = 2048.
GPTS = {
    "22B": (64, 6144, 48, 4),
    "175B": (96, 12288, 96, 1),
    "530B": (128, 20480, 105, 1),
    "1T": (160, 25600, 128, 1),
}
S = 2048


def gpt(name: str) -> Shape:
    a, h, layers, _ = GPTS[name]
    return Shape(layers, h, 4 * h, a, a, h // a, 51200, gated_mlp=False, norm="layer", biases="all")


def model(name: str) -> Shape:
    return shape_of(load_model(name)[0].architecture())


def capacity(chip: str) -> float:
    return device_of(load_chip(chip)[0], "bf16", "flash-2", "eager").device.memory_bytes


def state(held: RankMemory) -> float:
    return float(held.weights + held.gradients + held.optimizer)


# Activations as published -------------------------------------------------------------------------


def saved(
    name: str, *, t: int, sequence_parallel: bool, recompute: int, layers: int | None = None
) -> float:
    """Return what the layers of a model save for one micro-batch; of fewer layers if asked."""
    b, shape = GPTS[name][3], gpt(name)
    shape = dataclasses.replace(shape, layers=layers or shape.layers)
    layout = Layout.of(
        tp=t, micro_batch=b, recompute=recompute, sequence_parallel=sequence_parallel
    )
    return float(memory_of(Training(shape, S, b), layout, UNFUSED).activations)


def per_layer(name: str, *, t: int, sequence_parallel: bool, recompute: int) -> float:
    whole = saved(name, t=t, sequence_parallel=sequence_parallel, recompute=recompute)
    return whole / GPTS[name][2]


@pytest.mark.parametrize("name", GPTS)
@pytest.mark.parametrize("t", [1, 2, 8])
def test_a_layer_saves_what_is_published(name, t):
    """Korthikanti et al., arXiv 2205.05198, equations 1 to 4 and table 2."""
    a, h, _, b = GPTS[name]
    sbh, scores = S * b * h, 5 * a * S / h
    plain = per_layer(name, t=t, sequence_parallel=False, recompute=NONE)
    assert plain == pytest.approx(sbh * (10 + 24 / t + scores / t), rel=0.01)
    cut = per_layer(name, t=t, sequence_parallel=True, recompute=NONE)
    assert cut == pytest.approx(sbh / t * (34 + scores), rel=0.01)
    without_scores = per_layer(name, t=t, sequence_parallel=True, recompute=SELECTIVE)
    assert without_scores == pytest.approx(sbh / t * 34, rel=0.01)
    no_scores_nor_cut = per_layer(name, t=t, sequence_parallel=False, recompute=SELECTIVE)
    assert no_scores_nor_cut == pytest.approx(sbh * (10 + 24 / t), rel=0.01)


@pytest.mark.parametrize("name", GPTS)
@pytest.mark.parametrize("t", [1, 8])
@pytest.mark.parametrize("cut", [False, True])
def test_full_recomputation_keeps_the_input_of_every_layer(name, t, cut):
    """2sbh of a layer, and all that one layer saves, for the layer that is computed again.

    The paper leaves out the latter. So what more layers save more is compared with it.
    """
    _, h, layers, b = GPTS[name]
    few, many = (
        saved(name, t=t, sequence_parallel=cut, recompute=FULL, layers=n) for n in (1, layers)
    )
    assert (many - few) / (layers - 1) == pytest.approx(2 * S * b * h / (t if cut else 1), rel=0.01)
    live = per_layer(name, t=t, sequence_parallel=cut, recompute=NONE)
    assert few == pytest.approx(live, rel=0.2)  # its own input is a part of it


def on_stages(name: str, *, p: int, v: int, n_micro: int) -> float:
    b, shape = GPTS[name][3], gpt(name)
    layout = Layout.of(tp=8, pp=p, pieces=v, micro_batch=b)
    return float(memory_of(Training(shape, S, b * n_micro), layout, UNFUSED).activations)


@pytest.mark.parametrize(
    ("name", "p", "v"), [("175B", 8, 3), ("530B", 35, 3), ("1T", 64, 2), ("175B", 12, 4)]
)
def test_stages_keep_what_is_published(name, p, v):
    """The first stage keeps as much as all layers would; 1 + (p - 1) / (p v) of it if interleaved.

    Korthikanti et al., arXiv 2205.05198, section 4.2.3.
    """
    layers = GPTS[name][2]
    whole = per_layer(name, t=8, sequence_parallel=True, recompute=NONE) * layers
    plain, interleaved = (on_stages(name, p=p, v=pieces, n_micro=4 * p) for pieces in (1, v))
    assert plain == pytest.approx(whole, rel=0.01)
    assert interleaved == pytest.approx(whole * (1 + (p - 1) / (p * v)), rel=0.01)


def test_stages_keep_no_more_micro_batches_than_there_are():
    few, many = (on_stages("175B", p=8, v=1, n_micro=m) for m in (2, 32))
    assert few == pytest.approx(many * 2 / 8)


# State as published -------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 8, 64, 1024])
def test_state_of_a_parameter_is_as_published(d):
    """Megatron-LM's dist_optimizer.md with fp32 gradients; ZeRO, arXiv 1910.02054, figure 1."""
    megatron = [sum(state_bytes_per_parameter(zero, d, 4.0)) for zero in (0, 1)]
    assert megatron == pytest.approx([18, 6 + 12 / d])
    zeros = [sum(state_bytes_per_parameter(zero, d, 2.0)) for zero in (0, 1, 2, 3)]
    assert zeros == pytest.approx([16, 4 + 12 / d, 2 + 14 / d, 16 / d])


def test_7_5_billion_parameters_on_64_ranks_take_what_is_published():
    """ZeRO, arXiv 1910.02054, figure 1: 120, 31.4, 16.6 and 1.9 GB."""
    held = [7.5 * sum(state_bytes_per_parameter(zero, 64, 2.0)) for zero in (0, 1, 2, 3)]
    assert held == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.06)


@pytest.mark.parametrize("name", ["nvidia/gpt-7.5b", "llama-3.1-8b", "gemma-2b", "mixtral-8x7b"])
@pytest.mark.parametrize("zero", [0, 1, 2])
@pytest.mark.parametrize("grad_bytes", [2, 4])
def test_a_replica_on_one_rank_holds_all_parameters(name, zero, grad_bytes):
    """Embeddings, norms and biases included; zero 3 gathers two layers on top."""
    shape, d = model(name), 16
    n = n_parameters(shape)
    layout = Layout.of(dp=d, zero=zero)
    held = memory_of(Training(shape, S, d), layout, Software(grad_bytes=grad_bytes))
    per_parameter = sum(state_bytes_per_parameter(zero, d, grad_bytes))
    assert state(held) == pytest.approx(n * per_parameter, rel=0.01)


LINEAR = LinearAttention(heads=16, key_dim=64, value_dim=64, key_heads=4)
KINDS = (
    Shape(3, 1024, 4096, 16, 4, 64, 32_000, linear=LINEAR),
    Shape(1, 1024, 4096, 16, 4, 64, 32_000, sliding_window=512),
    Shape(1, 1024, 0, 16, 4, 64, 32_000, gated_attention=True),
    Shape(1, 1024, 4096, 0, 0, 64, 32_000),
)


def test_layers_of_all_kinds_are_held():
    shape = dataclasses.replace(KINDS[1], layers=6, kinds=KINDS)
    held = memory_of(Training(shape, S, 1), Layout.of(), Software())
    per_parameter = sum(state_bytes_per_parameter(1, 1, 4.0))
    assert state(held) == pytest.approx(n_parameters(shape) * per_parameter, rel=0.01)


def test_kinds_of_layers_keep_the_mean_of_what_each_keeps():
    kept = [saved_bytes(kind, 1, False, seq=S) * kind.layers for kind in KINDS]
    shape = dataclasses.replace(KINDS[1], layers=6, kinds=KINDS)
    assert 6 * saved_bytes(shape, 1, False, seq=S) == pytest.approx(sum(kept))


@pytest.mark.parametrize("zero", [1, 2])
def test_experts_are_shared_out_among_the_ranks_that_hold_the_same(zero):
    """64 ranks, experts over 8 of them: eight ranks hold the same experts, 64 the same rest."""
    shape = model("mixtral-8x7b")
    experts = shape.layers * 8 * 3 * shape.hidden * shape.moe.expert_ffn
    rest = n_parameters(shape) - experts
    held = memory_of(Training(shape, S, 64), Layout.of(dp=64, ep=8, zero=zero))
    assert float(held.optimizer) == pytest.approx(12 * (rest / 64 + experts / 8 / 8), rel=0.01)
    cut = 8 if zero == 2 else 1
    assert float(held.gradients) == pytest.approx(
        4 * (rest / (64 if zero == 2 else 1) + experts / 8 / cut), rel=0.01
    )


def test_experts_in_hybrid_shards_are_held_whole():
    """64 ranks, weights shared out by 8, experts over 8: a shard has one copy of each expert."""
    shape = model("mixtral-8x7b")
    experts = shape.layers * 8 * 3 * shape.hidden * shape.moe.expert_ffn
    held = memory_of(Training(shape, S, 64), Layout.of(dp=64, ep=8, zero=3, shard=8))
    assert float(held.weights) >= 2 * experts / 8


def test_repeated_key_and_value_heads_take_memory_on_every_rank():
    """With 8 tensor parallel ranks, one head of keys and values for all or one for each."""
    one, eight = (
        memory_of(
            Training(dataclasses.replace(model("llama-3.1-8b"), kv_heads=n), S, 1), Layout.of(tp=8)
        )
        for n in (1, 8)
    )
    for name in ("weights", "activations"):
        assert float(getattr(one, name)) == pytest.approx(float(getattr(eight, name))), name


# What fits ----------------------------------------------------------------------------------------

MISFITS = {
    # 70.6e9 parameters x 18 B of full Adam state / 8 ranks = 159 GB
    "Llama 3.1 70B on 8 chips": (
        *("a100-80gb", "llama-3.1-70b", 8192, 8, {"tp": 8, "zero": 0}),
        *(Software(), 70.6e9 * 18 / 8),
    ),
    # 175e9 x 18 B / 64 = 49 GB; and 2048 x 12288 x (34 + 5 x 96 x 2048 / 12288) / 8 x 96 = 34 GB of
    # activations: layers / stages for as many micro-batches as stages
    "GPT-3 175B on 64 chips of 40 GB without recomputation": (
        *("a100-40gb", "gpt-3-175b", 2048, 64, {"tp": 8, "pp": 8, "zero": 0}),
        *(UNFUSED, 174.6e9 * 18 / 64 + 2048 * 12288 * (34 + 80) / 8 * 96),
    ),
    # 405.9e9 x 18 B / 64 = 114 GB
    "Llama 3.1 405B on 64 chips": (
        *("h100-sxm", "llama-3.1-405b", 8192, 64, {"tp": 8, "pp": 8, "zero": 0}),
        *(Software(), 405.9e9 * 18 / 64),
    ),
    # 13.0e9 x 18 B = 234 GB; data parallelism without sharding does not help
    "Llama 2 13B on 8 chips, a replica each": (
        *("a100-80gb", "llama-2-13b", 4096, 8, {"dp": 8, "zero": 0}),
        *(Software(), 13.0e9 * 18),
    ),
    # a token saves 8 x 4096 B around, 2 x 128 x (2 x 32 + 2 x 8) B in attention and 6 x 14336 B in
    # the MLP: 139 kB x 131,072 tokens x 32 layers = 584 GB, however the state is shared out
    "Llama 3.1 8B with 128k tokens on one node": (
        *("h100-sxm", "llama-3.1-8b", 131_072, 8, {"dp": 8, "zero": 3}),
        *(Software(), (8 * 4096 + 2 * 128 * (2 * 32 + 2 * 8) + 6 * 14336) * 131_072 * 32),
    ),
    # 58 layers x 256 experts x 3 x 7168 x 2048 = 654e9 weights of experts, over 8 x 4 ranks, each
    # held once: 20.4e9 x 18 B = 368 GB
    "DeepSeek-V3 on 32 chips": (
        *("h100-sxm", "deepseek-v3", 4096, 256, {"dp": 8, "ep": 8, "pp": 4, "zero": 1}),
        *(Software(), 58 * 256 * 3 * 7168 * 2048 / 32 * 18),
    ),
    # 529.6e9 x 18 B / 280 = 34 GB; 2048 x 20480 x (34 + 5 x 128 x 2048 / 20480) / 8 x 105 x
    # (1 + 34 / (35 x 3)) = 71 GB: arXiv 2205.05198, figure 1, recomputes for that reason
    "MT-NLG 530B on 280 chips without recomputation": (
        *("a100-80gb", "mt-nlg-530b", 2048, 280, {"tp": 8, "pp": 35, "pieces": 3, "zero": 0}),
        *(UNFUSED, 529.6e9 * 18 / 280 + 2048 * 20480 * (34 + 64) / 8 * 105 * (1 + 34 / 105)),
    ),
}
RAN = {
    # arXiv 2205.05198, table 3 and section 6: 80 GB A100s, sequence parallelism, selective
    "GPT 22B": ("a100-80gb", "gpt-22b", 2048, 4, {"tp": 8, "micro_batch": 4}),
    "GPT-3 175B": ("a100-80gb", "gpt-3-175b", 2048, 64, {"tp": 8, "pp": 8, "pieces": 3}),
    "MT-NLG 530B": ("a100-80gb", "mt-nlg-530b", 2048, 280, {"tp": 8, "pp": 35, "pieces": 3}),
    "GPT 1T": ("a100-80gb", "gpt-1t", 2048, 512, {"tp": 8, "pp": 64}),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_cannot_fit_does_not(name):
    chip, model_name, seq, batch, splits, software, at_least = MISFITS[name]
    held = memory_of(Training(model(model_name), seq, batch), Layout.of(**splits), software)
    assert at_least > capacity(chip), "the arithmetic beside it is wrong"
    assert float(held.total) > capacity(chip)
    assert float(held.total) > 0.99 * at_least


@pytest.mark.parametrize("name", RAN)
def test_what_ran_fits(name):
    chip, model_name, seq, batch, splits = RAN[name]
    layout = Layout.of(**splits, zero=0, recompute=SELECTIVE)
    held = memory_of(Training(model(model_name), seq, batch), layout, UNFUSED)
    assert float(held.total) < capacity(chip)


def test_llama_3_fits_as_it_ran():
    """Llama 3 (arXiv 2407.21783), table 4: 405B on 16,384 H100s, tp 8, pp 16, no recomputation.

    Gradients are shared out, weights are not gathered again for the backward pass: zero 2.
    """
    layout = Layout.of(tp=8, pp=16, dp=128, zero=2)
    held = memory_of(Training(model("llama-3.1-405b"), 8192, 2048), layout)
    assert float(held.total) < capacity("h100-sxm")


# Modules that are computed again ------------------------------------------------------------------


def priced(model_name, chip, chips, framework="torchtitan", precision="bf16", **layout):
    """Return the price of full sharding with two sequences of 8,192 tokens a rank."""
    part = CHIP_96 if chip == "h100-96" else chip
    return price_step(
        model_name,
        str(part),
        chips,
        batch=2 * chips,
        precision=precision,
        parallelism=Parallelism(dp=chips, zero=3, micro_batch=2, **layout),
        framework=framework,
    )


CHIP_96 = Path(__file__).parent / "h100-96.yaml"
PEAKS = [
    # pytorch/torchtitan, benchmarks/llama3_h100_202412_torchtitan.md, tables 1 and 3
    ("h100-96", 8, "torchtitan", "bf16", 82.4),
    ("h100-96", 128, "torchtitan", "bf16", 67.0),
    ("h100-96", 8, "torchtitan (compiled)", "bf16", 77.0),
    ("h100-96", 128, "torchtitan (compiled)", "bf16", 62.0),
    # benchmarks/llama3-8b_h200_202506_trainy-whitefiber.md; compiled, its runs in FP8 say
    ("h200", 32, "torchtitan", "fp8", 47.96),
    ("h200", 64, "torchtitan", "fp8", 46.97),
]


@pytest.mark.parametrize(("chip", "chips", "framework", "precision", "gib"), PEAKS)
def test_llama_3_8b_peaks_as_published(chip, chips, framework, precision, gib):
    found = priced("llama-3.1-8b", chip, chips, framework, precision, recompute="selective")
    assert float(found.memory.total[0]) / GIB == pytest.approx(gib, rel=0.1)


def test_half_of_the_products_are_kept_with_pytorch():
    """Input and attention of a layer, and its queries, values, gate and last product.

    8,192 + 8,192 + 2 x (4096 + 1024 + 14336 + 4096) bytes a token of Llama 3.1 8B; the products
    that run again are keys, output and up: 0.37 of the work of a layer's products.
    """
    found = priced("llama-3.1-8b", "h200", 32, precision="fp8", recompute="selective")
    each = 8192 + 8192 + 2 * (4096 + 1024 + 14336 + 4096)
    assert float(found.memory.activations[0]) == pytest.approx(each * 16_384 * 32)
    plain = priced("llama-3.1-8b", "h200", 32, precision="fp8")
    assert found.time.compute_s[0] > 1.05 * plain.time.compute_s[0]


def test_llama_2_70b_runs_on_64_a100_with_half_of_its_products_kept():
    """foundation-model-stack/fms-fsdp, README: selective activation checkpointing, batch 1."""
    layout = Parallelism(dp=64, zero=3, recompute="selective")
    price_step(
        *("llama-2-70b", "A100-80GB", 64),
        seq=4096,
        batch=64,
        parallelism=layout,
        framework="torchtitan",
    )


def deepseek_v3(**changed):
    layout = {"pp": 16, "dp": 128, "ep": 64, "schedule": "dualpipe"} | changed
    return price_step(
        *("deepseek-v3", "H800", 2048),
        seq=4096,
        batch=15_360,
        precision="fp8",
        parallelism=Parallelism.model_validate(layout),
    )


def test_deepseek_v3_fits_with_the_modules_its_authors_compute_again():
    """DeepSeek-AI, arXiv 2412.19437, section 3.2.3; deepseek-ai/profile-data, issue 18: 74.8 GB."""
    found = deepseek_v3(recompute=["norms", "mla_up_proj", "activation"])
    assert float(found.memory.total[0]) / GB == pytest.approx(74.8, rel=0.1)
    same = deepseek_v3(recompute=["layernorm", "mla_up_proj", "moe_act"])
    assert same.step_s == found.step_s
    assert "recompute norms + mla_up_proj + activation" in found.words()
    full = deepseek_v3(recompute="full")
    assert found.step_s < full.step_s
    with pytest.raises(InfeasibleError, match="activations 7"):
        deepseek_v3()


def test_full_recomputation_of_some_layers_lies_between_none_and_all():
    some = [deepseek_v3(recompute={"full": n}) for n in (2, 3, 4)]
    held = [float(found.memory.activations[0]) for found in some]
    assert held == sorted(held, reverse=True)
    assert [found.step_s for found in some] == sorted(found.step_s for found in some)
    assert some[-1].step_s == deepseek_v3(recompute="full").step_s
    assert "recompute full x 2" in some[0].words()


def test_what_lies_at_the_host_is_not_on_the_chip_and_is_moved():
    """405.9e9 parameters on 64 ranks: 12 bytes each of state, in and out at once at 25 GB/s."""
    training = Training(model("llama-3.1-405b"), 8192, 64)
    device = device_of(load_chip("h100-sxm")[0], "bf16", "flash-3", "eager").device
    fabric = fabric_of(load_chip("h100-sxm")[0])[0]
    layouts = [Layout.of(tp=8, dp=8, zero=3, recompute=FULL, offload=n) for n in range(4)]
    here, inputs, optimizer, both = (memory_of(training, layout) for layout in layouts)
    per_layer = 2 * 8192 * 16_384 / 8  # all but two of 126 inputs
    assert float(here.activations - inputs.activations) == pytest.approx(
        (8 * 126 - 2 * 8) / 8 * per_layer
    )
    assert float(optimizer.optimizer) == pytest.approx(float(here.optimizer) * 2 / 126)
    assert float(both.total) < float(inputs.total) < float(here.total)
    moved = [float(step_time(training, device, fabric, one).host_s) for one in layouts]
    assert moved[0] == moved[1] == 0  # inputs move behind the layers
    assert moved[2] == pytest.approx(12 * 405.9e9 / 64 / 25e9, rel=0.05)


def test_the_heaviest_stage_of_deepseek_v3_has_four_layers_of_experts():
    """61 layers on 16 stages: 4 x 4 experts x 3 x 7168 x 2048 on a rank at ep 64."""
    shape = model("deepseek-v3")
    dealt = [held_by(shape, Layout.of(pp=16), float(stage)) for stage in range(16)]
    most = max(float(n_experts) for _, n_experts in dealt)
    assert most * weights_of(shape).routed / 64 == pytest.approx(704.6e6, rel=1e-3)
    assert sum(float(sum(held)) for held in dealt) == 61


def test_only_the_ends_of_a_pipeline_hold_embeddings():
    """Twelve bytes of each number of a matrix of 128,256 x 8,192 in the optimizer's state."""
    shape, layout = model("llama-3.1-70b"), {"pp": 4, "zero": 0}
    ends = (
        memory_of(Training(shape, 8192, 4), Layout.of(**layout, stages=s))
        for s in ((20, 20, 20, 20), (14, 24, 24, 18))
    )
    first, middle = (float(held.optimizer) / 12 for held in ends)
    layer = (middle - (first - 128_256 * 8192)) / 4
    assert layer == pytest.approx(855.6e6, rel=0.01)


def test_stages_that_are_given_decide_time_and_memory():
    """Lighter ends: the slowest stage no longer has the logits on top, nor the fullest the most."""
    even = deepseek_v3(recompute="full")
    ends = deepseek_v3(recompute="full", first_stage_layers=3, last_stage_layers=2)
    text = deepseek_v3(recompute="full", stages="Et*3|(tttt|)*14,ttL")
    assert (ends.step_s, float(ends.memory.total[0])) == (text.step_s, float(text.memory.total[0]))
    assert ends.time.compute_s[0] == even.time.compute_s[0]
    assert "stages 3 14*4 2" in ends.words()
    heavy = deepseek_v3(recompute="full", first_stage_layers=10)
    assert heavy.step_s > 1.5 * even.step_s
    assert heavy.memory.total[0] > even.memory.total[0]
    with pytest.raises(ScenarioError, match="the model has 61"):
        deepseek_v3(stages="Et*3|(tttt|)*14,tL")


def test_stages_given_as_they_are_dealt_change_nothing():
    dealt, written = (
        deepseek_v3(recompute="full", **layout)
        for layout in ({}, {"stages": "E" + "|".join(["tttt"] * 15 + ["t"]) + "L"})
    )
    assert written.step_s == pytest.approx(dealt.step_s, rel=1e-12)
    assert float(written.memory.total[0]) == pytest.approx(float(dealt.memory.total[0]), rel=1e-12)


def test_names_of_modules_that_are_none_are_refused():
    with pytest.raises(ValueError, match="list of core_attn, norms"):
        Parallelism(recompute=["attention"])
    with pytest.raises(ValueError, match="known: core_attn"):
        known(["attention"])
    assert {*MODULES, *ALIASES} == set(get_args(Module))


# Laws ---------------------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn) -> tuple[Training, dict[str, int], Software]:
    """Small models, dense and with experts, on layouts that can be doubled in each direction."""
    h, experts = draw(st.sampled_from([1024, 4096])), draw(st.sampled_from([0, 8, 64]))
    shape = Shape(
        layers=draw(st.integers(1, 64)),
        hidden=h,
        ffn=draw(st.sampled_from([2 * h, 4 * h])),
        heads=32,
        kv_heads=draw(st.sampled_from([8, 32])),
        head_dim=h // 32,
        vocab=draw(st.sampled_from([32_000, 128_256])),
        gated_mlp=draw(st.booleans()),
        tied_embeddings=draw(st.booleans()),
        norm=draw(st.sampled_from(["rms", "layer"])),
        moe=Experts(experts, 2, h // 2) if experts else None,
    )
    tp, dp, cp, micro_batch = (2 ** draw(st.integers(0, most)) for most in (3, 5, 2, 2))
    ep = draw(st.sampled_from([n for n in (1, 2, 4, 8) if n <= tp * dp * cp])) if experts else 1
    splits = {
        "tp": tp,
        "pp": draw(st.integers(1, min(shape.layers, 8))),
        "dp": dp,
        "cp": cp,
        "ep": ep,
        "micro_batch": 2 * micro_batch,
        "recompute": draw(st.sampled_from([NONE, SELECTIVE, FULL])),
        "sequence_parallel": draw(st.booleans()),
        "zero": draw(st.integers(0, 3)),
    }
    splits["pieces"] = draw(st.integers(1, 3)) if splits["pp"] > 1 else 1
    batch = 4 * dp * micro_batch * draw(st.integers(1, 32))
    software = Software(
        flash=draw(st.booleans()),
        dropout=draw(st.booleans()),
        grad_bytes=draw(st.sampled_from([2.0, 4.0])),
    )
    seq = draw(st.sampled_from([512, 2048, 8192, 131_072]))
    return Training(shape, seq, batch), splits, software


def total(training: Training, splits: dict[str, int], software: Software) -> float:
    return float(memory_of(training, Layout.of(**splits), software).total)


@given(cases())
def test_parts_are_positive_and_add_up(case):
    training, splits, software = case
    held = memory_of(training, Layout.of(**splits), software)
    parts = (held.weights, held.gradients, held.optimizer, held.activations, held.logits)
    assert all(float(part) >= 0 for part in (*parts, held.reserve))
    assert float(held.total) == pytest.approx(sum(map(float, (*parts, held.reserve))))


@given(cases())
def test_more_tensor_parallelism_never_needs_more(case):
    training, splits, software = case
    more = splits | {"tp": 2 * splits["tp"]}
    assert total(training, more, software) <= total(training, splits, software)


@given(cases())
def test_more_replicas_never_need_more_if_they_share_the_state(case):
    training, splits, software = case
    splits["zero"] = max(splits["zero"], 1)
    more = splits | {"dp": 2 * splits["dp"]}
    assert total(training, more, software) <= total(training, splits, software)


@given(cases())
def test_a_higher_zero_stage_never_needs_more(case):
    """Up to 2: the third stage gathers layers, more than a model of a few layers gains."""
    training, splits, software = case
    held = [total(training, splits | {"zero": zero}, software) for zero in (0, 1, 2)]
    assert held == sorted(held, reverse=True)


@given(cases())
def test_recomputation_never_needs_more(case):
    training, splits, software = case
    none, selective, full = (
        total(training, splits | {"recompute": recompute}, software)
        for recompute in (NONE, SELECTIVE, FULL)
    )
    assert selective <= none
    assert full <= none


@given(cases())
def test_a_smaller_micro_batch_never_needs_more(case):
    training, splits, software = case
    smaller = splits | {"micro_batch": splits["micro_batch"] // 2}
    assert total(training, smaller, software) <= total(training, splits, software)


@given(cases())
def test_all_ranks_together_hold_the_model_at_least_once(case):
    training, splits, software = case
    splits |= {"pp": 1, "pieces": 1}
    bytes_each = 2 + software.grad_bytes + 12
    together = state(memory_of(training, Layout.of(**splits), software))
    together *= splits["tp"] * splits["dp"] * splits["cp"]
    assert together >= bytes_each * n_parameters(training.shape) * (1 - 1e-12)


@given(cases())
def test_takes_arrays_as_gladly_as_numbers(case):
    training, splits, software = case
    arrays = splits | {"tp": np.array([1, 2, 4]), "recompute": np.array([[0], [1], [2]])}
    together = memory_of(training, Layout.of(**arrays), software).total
    assert together.shape == (3, 3)
    for i in range(3):
        for j, tp in enumerate((1, 2, 4)):
            alone = total(training, splits | {"tp": tp, "recompute": i}, software)
            assert together[i, j] == pytest.approx(alone, rel=1e-12)
