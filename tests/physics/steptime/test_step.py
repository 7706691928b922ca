"""Step time: the roofline of one rank, laws, and the same formulas in plain floats."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import scalar_step
from hypothesis import example, given, settings
from hypothesis import strategies as st

from computeplan.analytic.step_price import price_step
from computeplan.physics.steptime import layer
from computeplan.physics.steptime import step as steptime
from computeplan.physics.steptime.collectives import Fabric, Link
from computeplan.physics.steptime.layout import Layout, Mixture, Software
from computeplan.physics.steptime.memory import memory_of
from computeplan.physics.steptime.operators import (
    Device,
    GemmCurve,
    attention_s,
    backward_gemm_s,
    gemm_s,
    move_s,
)
from computeplan.physics.steptime.pipeline import SCHEDULES
from computeplan.physics.steptime.step import StepTime, Training, step_time
from computeplan.physics.steptime.transformer import (
    Experts,
    LatentAttention,
    LinearAttention,
    Shape,
)
from computeplan.specs.jobs import Parallelism

GB = 1e9
NONE, SELECTIVE, FULL = 0, 1, 2
PARTS = [field.name for field in dataclasses.fields(StepTime)]
OPERATIONS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")

LLAMA_8B = Shape(32, 4096, 14336, 32, 8, 128, 128_256)
CURVE = GemmCurve(best=0.93, m_half=355.0, n_half=138.0, k_half=257.0)
H100 = Device(989e12, 989e12, CURVE, CURVE, 0.35, 80e9, 3.35e12, gemm_frac=0.8, launch_s=1.7e-4)
HGX = Fabric(
    8, 450 * GB, 450 * GB, 50 * GB, dict.fromkeys(OPERATIONS, Link(0.7, call_s=2e-5, rank_s=1e-6))
)
SLOW = dataclasses.replace(HGX, out_bytes_per_s=5 * GB)


class Case(NamedTuple):
    """All that a step time depends on; the splits are the arguments of ``Layout.of``."""

    training: Training
    device: Device
    fabric: Fabric
    splits: dict[str, int]
    software: Software


def step_of(case: Case) -> StepTime:
    layout = Layout.of(**case.splits)
    return step_time(case.training, case.device, case.fabric, layout, case.software)


def step_s(case: Case) -> float:
    return float(step_of(case).step_s)


# Random steps -------------------------------------------------------------------------------------


def powers(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most).map(lambda power: 2**power)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Dense and with experts; grouped heads, latent attention, sliding windows."""
    heads = draw(st.sampled_from([16, 32, 64]))
    head_dim = draw(st.sampled_from([64, 128]))
    h, layers = heads * head_dim, draw(st.integers(2, 100))
    moe = mla = None
    if draw(st.booleans()):
        experts = draw(powers(8).filter(lambda n: n >= 8))
        moe = Experts(
            experts,
            top_k=draw(st.integers(1, 8)),
            expert_ffn=draw(st.sampled_from([h // 4, 2 * h])),
            shared_experts=draw(st.integers(0, 2)),
            dense_layers=draw(st.integers(0, layers - 1)),
            groups_per_token=draw(st.sampled_from([0, 4])),
        )
    if draw(st.integers(0, 3)) == 0:
        mla = LatentAttention(draw(st.sampled_from([0, 1536])), 512, 128, 64, 128)
    window = draw(st.sampled_from([None, 4096]))
    return Shape(
        layers=layers,
        hidden=h,
        ffn=draw(st.integers(1, 5)) * h,
        heads=heads,
        kv_heads=draw(st.sampled_from([1, 8, heads])),
        head_dim=head_dim,
        vocab=draw(st.integers(1_000, 256_000)),
        gated_mlp=draw(st.booleans()),
        tied_embeddings=draw(st.booleans()),
        causal=draw(st.booleans()),
        sliding_window=window,
        full_attention_every=draw(st.sampled_from([None, 2, 6])) if window else None,
        norm=draw(st.sampled_from(["rms", "layer"])),
        biases=draw(st.sampled_from(["none", "qkv", "all"])),
        learned_positions=draw(st.sampled_from([0, 2048])),
        embedding_norm=draw(st.booleans()),
        moe=moe,
        mla=mla,
    )


curves = st.builds(GemmCurve, st.floats(0.5, 1.0), *[st.floats(50, 3000)] * 3)
devices = st.builds(
    Device,
    flop_per_s=st.floats(1e14, 5e15),
    half_flop_per_s=st.floats(1e14, 2.5e15),
    gemm=curves,
    half_gemm=curves,
    attention_frac=st.floats(0.2, 0.8),
    memory_bytes=st.just(80e9),
    memory_bytes_per_s=st.floats(5e11, 8e12),
    operand_bytes=st.sampled_from([1.0, 2.0]),
    gemm_frac=st.floats(0.7, 1.0),
    launch_s=st.sampled_from([0.0, 1e-5, 2e-4]),
    grouped_gemm=st.one_of(st.none(), curves),
    traffic=st.floats(1.0, 5.0),
    op_s=st.sampled_from([0.0, 2e-5]),
)
mixtures = st.builds(
    Mixture,
    sends_once=st.booleans(),
    gathers=st.booleans(),
    link_frac=st.floats(0.3, 1.0),
    overlap=st.sampled_from([0.0, 0.6]),
    ops=st.floats(0.0, 200.0),
    expert_ops=st.floats(0.0, 20.0),
    fused=st.booleans(),
    attention_gain=st.sampled_from([1.0, 2.0]),
    imbalance=st.floats(1.0, 1.5),
)
links = st.builds(Link, st.floats(0.5, 0.9), st.floats(0, 5e-5), st.floats(0, 5e-6))
softwares = st.builds(
    Software,
    flash=st.booleans(),
    dropout=st.booleans(),
    stops_early=st.booleans(),
    grad_bytes=st.sampled_from([2.0, 4.0]),
    tp_exposed=st.floats(0, 1),
    pp_exposed=st.floats(0, 1),
    pp_exposed_interleaved=st.floats(0, 1),
    grad_overlap=st.floats(0, 1),
    weight_overlap=st.floats(0, 1),
    fsdp_overlap=st.floats(0, 1),
    operand_bytes=st.sampled_from([1.0, 2.0]),
    expert_bytes=st.sampled_from([1.0, 2.0]),
    schedule=st.sampled_from(list(SCHEDULES.values())),
    mixture=mixtures,
)


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    """Servers and racks, meshes and switches."""
    domain, up = draw(st.sampled_from([4, 8, 16, 72])), draw(st.floats(1e11, 9e11))
    return Fabric(
        domain=domain,
        up_bytes_per_s=up,
        pair_bytes_per_s=draw(st.sampled_from([up, up / (domain - 1)])),
        out_bytes_per_s=draw(st.floats(5e9, 1e11)),
        links={operation: draw(links) for operation in OPERATIONS},
        oversubscription=draw(st.sampled_from([1.0, 2.0])),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any model on any layout of it."""
    shape = draw(shapes())
    tp, cp, dp, micro_batch = (draw(powers(most)) for most in (5, 3, 6, 2))
    pp = draw(st.integers(1, min(shape.layers, 20)))
    splits = {
        "tp": tp,
        "pp": pp,
        "dp": dp,
        "cp": cp,
        "ep": min(draw(powers(6)), tp * cp * dp, shape.moe.experts) if shape.moe else 1,
        "micro_batch": micro_batch,
        "pieces": draw(st.integers(1, 4)) if pp > 1 else 1,
        "recompute": draw(st.sampled_from([NONE, SELECTIVE, FULL])),
        "sequence_parallel": draw(st.booleans()),
        "zero": draw(st.integers(0, 3)),
        "shard": min(draw(powers(6)), dp * cp),
    }
    if shape.moe:
        splits["etp"] = min(draw(powers(3)), tp * cp * dp // splits["ep"])
    seq = draw(st.sampled_from([2048, 8192, 131_072]))
    batch = dp * micro_batch * draw(st.integers(1, 64))
    training = Training(shape, seq, batch, mtp=draw(st.integers(0, 2)))
    return Case(training, draw(devices), draw(fabrics()), splits, draw(softwares))


# Against the same formulas in plain floats --------------------------------------------------------


@settings(max_examples=400)
@given(case=cases())
def test_agrees_with_plain_floats(case):
    """Part by part: time and memory, written twice."""
    training, device, fabric, splits, software = case
    split = scalar_step.Split(**{name: float(value) for name, value in splits.items()})
    facts = scalar_step.facts_of(training)
    seconds = scalar_step.step_parts(training, device, fabric, split, software, facts)
    held_bytes = scalar_step.memory_parts(training, split, software, facts)
    for parts, found in (
        (seconds, step_of(case)),
        (held_bytes, memory_of(training, Layout.of(**splits), software)),
    ):
        assert set(parts) == {field.name for field in dataclasses.fields(found)}
        for name, value in parts.items():
            error = abs(float(getattr(found, name)) - value)
            assert error <= 1e-9 * sum(parts.values()), name


# One rank -----------------------------------------------------------------------------------------


def test_one_rank_is_the_roofline():
    """Llama 3 8B on one chip: products, attention, memory traffic, the update, and nothing else."""
    device, s, h, f, n_micro = H100, 4096, 4096, 14336, 3
    found = step_time(Training(LLAMA_8B, s, 2 * n_micro), device, HGX, Layout.of(micro_batch=2))

    tokens = 2 * s
    sides = [  # queries with 8 key and 8 value heads of 128, output, gate and up, down
        (tokens, 32 * 128 + 2 * 8 * 128, h),
        (tokens, h, 32 * 128),
        (tokens, 2 * f, h),
        (tokens, h, f),
    ]
    one_layer = sum(float(gemm_s(device, *mnk) + backward_gemm_s(device, *mnk)) for mnk in sides)
    core_flop = tokens * 4 * (s / 2) * 32 * 128  # scores and values, half of the mask
    one_layer += float(sum(attention_s(device, core_flop, scores=0.0)))
    saved = 8 * h + 2 * 128 * (2 * 32 + 2 * 8) + 6 * f  # bytes of a token, arXiv 2205.05198
    one_layer += 3 * float(move_s(device, layer.ELEMENTWISE * saved * tokens))
    one_layer += (layer.KERNELS_FORWARD + layer.KERNELS_BACKWARD) * device.launch_s
    logits = (tokens, 128_256, h)
    head = float(
        gemm_s(device, *logits, "half")
        + backward_gemm_s(device, *logits, "half")
        + move_s(device, layer.LOGIT_BYTES * tokens * 128_256)
    )
    weights = 32 * (2 * 128 * (32 + 8) * h + 3 * f * h) + 2 * 128_256 * h
    update = float(move_s(device, steptime.OPTIMIZER_BYTES * weights))

    assert float(found.compute_s) == pytest.approx(n_micro * (32 * one_layer + head), rel=1e-9)
    assert float(found.optimizer_s) == pytest.approx(update, rel=1e-9)
    for name in set(PARTS) - {"compute_s", "optimizer_s"}:
        assert float(getattr(found, name)) == 0.0, name
    assert float(found.step_s) == float(found.compute_s + found.optimizer_s)


@given(cases())
def test_one_rank_only_computes(case):
    alone = case._replace(splits={"recompute": case.splits["recompute"]})
    found = step_of(alone)
    for name in set(PARTS) - {"compute_s", "optimizer_s"}:
        assert float(getattr(found, name)) == 0.0, name


@pytest.mark.parametrize(
    ("layers", "stages"),
    [
        (12, [3, 3, 3, 3]),
        (11, [3, 3, 3, 2]),
        (62, [8] * 7 + [6]),  # as Llama 3 405B, two layers less than divide
        (7, [3, 3, 1]),
        (10, [2, 2, 2, 2, 1, 1]),
    ],
)
def test_the_last_stage_has_as_few_layers_as_any(layers, stages):
    """And the logits, which take as long as several layers of a small model."""
    device, n_micro, pp = H100, 64, len(stages)
    software = Software(pp_exposed=0.0)

    def ran(n_layers: int, pp: int) -> StepTime:
        shape = dataclasses.replace(LLAMA_8B, layers=n_layers)
        training = Training(shape, 4096, n_micro)
        return step_time(training, device, HGX, Layout.of(pp=pp), software)

    one, two = (float(ran(n, 1).compute_s) / n_micro for n in (1, 2))
    each, logits = two - one, 2 * one - two
    times_s = [each * n for n in stages]
    times_s[-1] += logits
    found = ran(layers, pp)
    running_s = (n_micro - 1) * max(times_s) + sum(times_s)
    assert float(found.compute_s + found.bubble_s) == pytest.approx(running_s, rel=1e-9)


# Messages -----------------------------------------------------------------------------------------


def test_copies_of_experts_sum_their_gradients():
    """8 ranks, one replica, experts over four of them: each expert is held, and trained, twice."""
    shape = dataclasses.replace(LLAMA_8B, moe=Experts(8, 2, 14336))
    in_the_open = Software(grad_overlap=0.0)
    layout = Layout.of(tp=8, ep=[4, 8], zero=0)
    found = step_time(Training(shape, 4096, 1), H100, HGX, layout, in_the_open)
    assert found.dp_s[0] > 0
    assert found.dp_s[1] == 0


def test_experts_in_hybrid_shards_sum_their_gradients():
    """64 ranks, weights shared out by 8, experts over 8: a rank has whole experts, as 7 others do.

    It sums as many weights of experts as a dense model has in its MLP, and those in eighths.
    """
    shape = dataclasses.replace(LLAMA_8B, moe=Experts(8, 2, 14336))
    software = Software(grad_overlap=0.0, fsdp_overlap=1.0)
    mixture_s, dense_s = (
        float(step_time(training, H100, SLOW, layout, software).dp_s)
        for training, layout in (
            (Training(shape, 4096, 64), Layout.of(dp=64, ep=8, zero=3, shard=8)),
            (Training(LLAMA_8B, 4096, 64), Layout.of(dp=64, zero=3, shard=8)),
        )
    )
    assert mixture_s > dense_s


def test_repeated_key_and_value_heads_go_round_as_often():
    """With 8 tensor parallel ranks, one head of keys and values for all or one for each."""
    rings_s = [
        float(
            step_time(
                Training(dataclasses.replace(LLAMA_8B, kv_heads=kv_heads), 8192, 1),
                H100,
                SLOW,
                Layout.of(tp=8, cp=4),
            ).cp_s
        )
        for kv_heads in (1, 8)
    ]
    assert rings_s[0] == pytest.approx(rings_s[1])


@pytest.mark.parametrize("shard", [8, 64])
def test_a_rank_updates_the_state_it_holds(shard):
    """With hybrid sharding too: what a group shares out, all its replicas update alike."""
    training, layout = Training(LLAMA_8B, 4096, 64), Layout.of(dp=64, zero=3, shard=shard)
    held = float(memory_of(training, layout).optimizer) / 12  # parameters: 12 bytes of each
    update_s = float(move_s(H100, steptime.OPTIMIZER_BYTES * held))
    found = step_time(training, H100, HGX, layout)
    assert float(found.optimizer_s) == pytest.approx(update_s, rel=0.05)  # jitter of 64 ranks


# Laws ---------------------------------------------------------------------------------------------

# Messages between servers that nothing hides in full: of a ring and of gradients, of layers that
# are gathered and of gradients, of a ring with attention that moves its scores through memory.
SLOW_RING = Case(Training(LLAMA_8B, 32_768, 8), H100, SLOW, {"cp": 8, "dp": 8, "tp": 2}, Software())
SLOW_SHARDS = Case(
    Training(LLAMA_8B, 8192, 64), H100, SLOW, {"dp": 64, "zero": 3, "shard": 16}, Software()
)
UNFUSED_RING = Case(
    Training(LLAMA_8B, 8192, 8), H100, SLOW, {"cp": 8, "tp": 2}, Software(flash=False)
)
# Of rings, of tokens to their experts and of gradients at once: what hides one hides no other.
SPARSE_RING = Case(
    Training(Shape(2, 1024, 1024, 16, 1, 64, 1000, causal=False, moe=Experts(8, 1, 256)), 4096, 2),
    dataclasses.replace(H100, flop_per_s=1e14, half_flop_per_s=1e14, launch_s=0.0),
    SLOW,
    {"cp": 8, "dp": 2, "ep": 8, "etp": 2},
    Software(mixture=Mixture(overlap=0.6, gathers=True), cp_overlap=0.8),
)


@given(cases())
def test_parts_are_positive_and_add_up(case):
    found = step_of(case)
    parts = [float(getattr(found, name)) for name in PARTS]
    assert all(np.isfinite(parts))
    assert min(parts) >= -1e-12 * sum(parts)
    assert float(found.step_s) == pytest.approx(sum(parts), rel=1e-12)


@given(cases())
def test_no_step_beats_the_peak(case):
    device, layout = case.device, Layout.of(**case.splits)
    peak = max(device.flop_per_s, device.half_flop_per_s) * float(layout.n_ranks)
    assert step_s(case) >= case.training.flop / peak


@example(SLOW_RING, 1.2)
@example(SLOW_SHARDS, 1.5)
@example(UNFUSED_RING, 1.5)
@example(SPARSE_RING, 1.2)
@pytest.mark.parametrize("names", [("flop_per_s", "half_flop_per_s"), ("memory_bytes_per_s",)])
@given(cases(), st.floats(1.01, 10.0))
def test_a_faster_chip_never_slows_a_step(names, case, factor):
    faster = {name: getattr(case.device, name) * factor for name in names}
    better = case._replace(device=dataclasses.replace(case.device, **faster))
    assert step_s(better) <= step_s(case) * (1 + 1e-12)


@pytest.mark.parametrize("name", ["up_bytes_per_s", "pair_bytes_per_s", "out_bytes_per_s"])
@given(cases(), st.floats(1.01, 10.0))
def test_faster_links_never_slow_a_step(name, case, factor):
    links = dataclasses.replace(case.fabric, **{name: getattr(case.fabric, name) * factor})
    links = dataclasses.replace(
        links, pair_bytes_per_s=min(links.pair_bytes_per_s, links.up_bytes_per_s)
    )
    assert step_s(case._replace(fabric=links)) <= step_s(case) * (1 + 1e-12)


@given(cases(), st.floats(1.01, 10.0))
def test_an_oversubscribed_core_never_speeds_up_a_step(case, factor):
    core = dataclasses.replace(case.fabric, oversubscription=case.fabric.oversubscription * factor)
    assert step_s(case) <= step_s(case._replace(fabric=core)) * (1 + 1e-12)


@st.composite
def hybrids(draw: st.DrawFn) -> Case:
    """Weights shared out by the ranks of a domain, with replicas over a network much slower.

    A gradient takes as many bytes as a weight, and every message is hidden to the same share.
    """
    fabric = draw(fabrics())
    links = [fabric.links[operation].frac for operation in OPERATIONS]
    reach = min(fabric.up_bytes_per_s, (fabric.domain - 1) * fabric.pair_bytes_per_s) * min(links)
    out = reach / (fabric.domain * fabric.out_frac) * draw(st.floats(0.01, 0.2))
    fabric = dataclasses.replace(fabric, out_bytes_per_s=out, oversubscription=1.0)
    shape = draw(shapes().filter(lambda shape: shape.layers >= 8))
    dp, micro_batch = fabric.domain * draw(st.integers(2, 32)), draw(st.integers(1, 4))
    overlap = draw(st.floats(0.0, 0.9))
    software = Software(grad_bytes=2.0, grad_overlap=overlap, fsdp_overlap=overlap)
    training = Training(shape, 4096, dp * micro_batch * draw(st.integers(1, 3)))
    splits = {"dp": dp, "micro_batch": micro_batch, "zero": 3, "shard": fabric.domain}
    return Case(training, draw(devices), fabric, splits, software)


@given(hybrids())
def test_hybrid_sharding_is_never_slower_than_full_sharding_on_a_slower_network(case):
    """It gathers inside a domain; over the network goes no more than in full sharding.

    The update aside: a rank that shares out its state with fewer has more to update.
    """
    everywhere = {name: value for name, value in case.splits.items() if name != "shard"}
    hybrid, full = step_of(case), step_of(case._replace(splits=everywhere))
    waits = [float(found.step_s - found.optimizer_s) for found in (hybrid, full)]
    assert waits[0] <= waits[1] * (1 + 1e-9)


@pytest.mark.xfail(
    strict=True,
    reason="6.5 % slower: the sum between replicas hides behind layers, and not behind the logits",
)
def test_hybrid_sharding_of_a_small_model_with_a_large_vocabulary():
    """Eight layers of 1,024 beside 256,000 tokens: embeddings are nearly all that is sent."""
    link = Link(frac=0.5, call_s=0.0, rank_s=0.0)
    fabric = Fabric(4, 1e11, 1e11, 1.953125e9, dict.fromkeys(OPERATIONS, link))
    shape = Shape(
        layers=8,
        hidden=1024,
        ffn=1024,
        heads=16,
        kv_heads=1,
        head_dim=64,
        vocab=256_000,
        gated_mlp=False,
        causal=False,
    )
    curve = GemmCurve(1.0, 50.0, 50.0, 50.0)
    device = Device(1e14, 1e14, curve, curve, 0.5, 80e9, 5e11)
    software = Software(grad_bytes=2.0, grad_overlap=0.5, fsdp_overlap=0.5)
    splits = {"dp": 12, "zero": 3}
    full = Case(Training(shape, 4096, 12), device, fabric, splits, software)
    found = [step_of(full), step_of(full._replace(splits=splits | {"shard": 4}))]
    waits = [float(one.step_s - one.optimizer_s) for one in found]
    assert waits[1] <= waits[0] * (1 + 1e-9)


def a100s(model, framework, network, micro_batch, **layout):
    """Return the price of full sharding on 128 A100 of 80 GB, a micro-batch a step."""
    return price_step(
        model,
        "A100-80GB",
        128,
        seq=4096,
        batch=128 * micro_batch,
        parallelism=Parallelism(dp=128, zero=3, micro_batch=micro_batch, **layout),
        framework=framework,
        out_bytes_per_s=network / 8 * 1e9,
    )


@pytest.mark.parametrize(("framework", "network"), [("torchtitan", 50), ("torchtitan", 200)])
def test_hybrid_sharding_of_7b_on_the_networks_of_servers_is_the_faster(framework, network):
    hybrid, full = (
        a100s("llama-2-7b", framework, network, 2, **layout) for layout in ({"shard": 8}, {})
    )
    assert hybrid.step_s <= full.step_s


@pytest.mark.parametrize(
    ("model", "micro_batch", "published"), [("llama-2-7b", 2, 3760), ("llama-2-13b", 1, 1700)]
)
def test_hybrid_sharding_takes_the_time_published(model, micro_batch, published):
    """foundation-model-stack/fms-fsdp, README and issue 63: 128 A100, 400 Gbit/s a server.

    Gradients are summed in bfloat16 there (fms_fsdp/policies/mixed_precision.py).
    """
    found = a100s(model, "fms-fsdp", 50, micro_batch, shard=8)
    assert found.tok_per_s / 128 == pytest.approx(published, rel=0.2)


@given(cases())
def test_sequence_parallelism_leaves_tensor_messages_as_they_are(case):
    """An all-gather and a reduce-scatter for an all-reduce: the same volume, arXiv 2205.05198."""
    with_it, without = (
        step_of(case._replace(splits=case.splits | {"sequence_parallel": cut}))
        for cut in (True, False)
    )
    assert float(with_it.tp_s) == float(without.tp_s)
    assert float(with_it.compute_s) <= float(without.compute_s)


@example(SLOW_RING)
@example(SLOW_SHARDS)
@given(cases())
def test_more_recomputation_is_never_faster(case):
    none, selective, full = (
        step_s(case._replace(splits=case.splits | {"recompute": recompute}))
        for recompute in (NONE, SELECTIVE, FULL)
    )
    assert none <= selective * (1 + 1e-12)
    assert selective <= full * (1 + 1e-12)


# Arrays -------------------------------------------------------------------------------------------


@given(cases(), st.data())
def test_many_layouts_take_what_each_takes_alone(case, data):
    """Also those that no framework would run: numbers are numbers."""
    tp = data.draw(st.lists(powers(5), min_size=5, max_size=5))
    pp = data.draw(st.lists(st.integers(1, 20), min_size=5, max_size=5))
    recompute = data.draw(st.lists(st.integers(0, 2), min_size=5, max_size=5))
    zero = data.draw(st.lists(st.integers(0, 3), min_size=5, max_size=5))
    rows = [
        case.splits | dict(zip(("tp", "pp", "recompute", "zero"), row, strict=True))
        for row in zip(tp, pp, recompute, zero, strict=True)
    ]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    together = step_of(case._replace(splits=columns))
    for name in PARTS:
        assert np.broadcast_to(getattr(together, name), 5).tolist() == pytest.approx(
            [float(getattr(step_of(case._replace(splits=row)), name)) for row in rows],
            rel=1e-12,
            abs=1e-12 * step_s(case),
        )


@given(cases())
def test_layouts_broadcast(case):
    axes = {"tp": np.array([1, 2, 8]), "recompute": np.array([[0], [2]])}
    together = step_of(case._replace(splits=case.splits | axes))
    assert together.step_s.shape == (2, 3)
    for i, recompute in enumerate((0, 2)):
        for j, tp in enumerate((1, 2, 8)):
            alone = case._replace(splits=case.splits | {"tp": tp, "recompute": recompute})
            assert together.step_s[i, j] == pytest.approx(step_s(alone), rel=1e-12)


# -- layers that differ --------------------------------------------------------------------------

KINDS = (
    Shape(
        12, 4096, 14336, 32, 8, 128, 128_256,
        linear=LinearAttention(heads=32, key_dim=128, value_dim=128, key_heads=16),
    ),
    Shape(8, 4096, 14336, 32, 8, 128, 128_256, attention_chunk=8192),
    Shape(6, 4096, 0, 32, 8, 128, 128_256),
    Shape(6, 4096, 14336, 0, 0, 128, 128_256),
)  # fmt: skip


def test_layers_of_several_kinds_take_what_each_takes():
    """On one rank, where nothing hides behind anything, a step is the sum of its layers."""
    mixed = dataclasses.replace(KINDS[1], layers=32, kinds=KINDS)

    def layers_s(shape: Shape) -> float:
        whole = step_time(Training(shape, 8192, 8), H100, HGX, Layout.of())
        logits = layer.logits_s(H100, shape, 1.0, 8192.0)
        return float(whole.compute_s) - 8 * float(logits)

    assert layers_s(mixed) == pytest.approx(sum(layers_s(kind) for kind in KINDS), rel=1e-9)


def test_a_state_and_a_chunk_grow_with_tokens_where_attention_grows_with_pairs():
    def per_token(shape: Shape, seq: int) -> float:
        return float(step_time(Training(shape, seq, 8), H100, HGX, Layout.of()).step_s) / seq

    full, chunked = LLAMA_8B, dataclasses.replace(LLAMA_8B, attention_chunk=8192)
    state = dataclasses.replace(LLAMA_8B, linear=KINDS[0].linear)
    short, long = 16384, 131_072
    assert per_token(full, long) > 1.5 * per_token(full, short)
    for shape in (chunked, state):
        assert per_token(shape, long) <= per_token(shape, short)


def test_tensor_parallelism_adds_up_once_where_a_layer_has_one_block():
    both = step_time(Training(LLAMA_8B, 8192, 8), H100, HGX, Layout.of(tp=8))
    side_by_side = dataclasses.replace(LLAMA_8B, parallel=True)
    one = step_time(Training(side_by_side, 8192, 8), H100, HGX, Layout.of(tp=8))
    assert float(one.tp_s) == pytest.approx(float(both.tp_s) / 2)
