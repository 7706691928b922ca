"""Layers with experts: measured messages and products, and what each switch may do to the time."""

import dataclasses

import pytest

from computeplan.analytic.step_price import price_step
from computeplan.compiler.hardware import device_of, fabric_of
from computeplan.compiler.software import software_of
from computeplan.errors import ScenarioError
from computeplan.physics.steptime.experts import exchange_s
from computeplan.physics.steptime.layer import logits_s
from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.operators import backward_gemm_s, gemm_s
from computeplan.physics.steptime.step import Training, step_time
from computeplan.physics.steptime.transformer import Experts, Shape
from computeplan.specs.catalogue.lookup import load_chip
from computeplan.specs.jobs import Parallelism
from computeplan.specs.software import Switches

MODEL = Shape(
    layers=2,
    hidden=7168,
    ffn=18432,
    heads=128,
    kv_heads=128,
    head_dim=128,
    vocab=1000,
    moe=Experts(experts=256, top_k=8, expert_ffn=2048, groups_per_token=4),
)
DISPATCH_US = {
    ("nvidia/h100-sxm", "alltoall"): (1265, 5774, 8059, 9164),
    ("nvidia/h100-sxm", "hybridep"): (661, 1485, 3064, 4626),
    ("nvidia/gb200", "alltoall"): (735, 743, 769, 930),
    ("nvidia/gb200", "hybridep"): (391, 578, 612, 675),
}
"""4,096 tokens to 8, 16, 32, 64 ranks in half precision (arXiv 2603.07685, table 7). [us]"""


@pytest.mark.parametrize(("chip", "dispatcher"), DISPATCH_US)
def test_tokens_take_as_long_to_their_experts_as_measured(chip, dispatcher):
    entry = load_chip(chip)[0]
    software, _, _ = software_of(Switches(dispatcher=dispatcher), chip=chip)
    fabric, _ = fabric_of(entry)
    layout = Layout.of(ep=[8, 16, 32, 64], dp=64)
    said = exchange_s(fabric, MODEL, layout, software.mixture, 4096, 2.0) * 1e6
    for n_us, measured_us in zip(said, DISPATCH_US[chip, dispatcher], strict=True):
        assert n_us == pytest.approx(measured_us, rel=0.4)
    errors = abs(said / DISPATCH_US[chip, dispatcher] - 1)
    assert errors.mean() <= 0.2


@pytest.mark.parametrize(
    ("chip", "k", "n", "measured"),
    [
        ("nvidia/h800", 7168, 4096, 1288e12),  # deepseek-ai/DeepGEMM, README of 2025-02
        ("nvidia/h800", 2048, 7168, 1093e12),
        ("nvidia/gb200", 7168, 2048, 2672e12),  # NVIDIA/Megatron-LM, roadmap for the GB200
    ],
)
def test_grouped_products_reach_what_was_measured(chip, k, n, measured):
    device = device_of(load_chip(chip)[0], "fp8", "flash-3", "megatron-core").device
    reached = 2 * 4096 * n * k / float(gemm_s(device, 4096, n, k, "grouped"))
    assert reached == pytest.approx(measured, rel=0.1)


def step_s(chip="nvidia/h100-sxm", precision="bf16", layout=None, **switches):
    entry = load_chip(chip)[0]
    given = Switches.model_validate({"name": "Megatron-Bridge", "date": "2025-06"} | switches)
    software, kernel, _ = software_of(given, precision, chip=chip)
    device = device_of(entry, precision, kernel, "megatron-core").device
    layout = Layout.of(dp=16, ep=16) if layout is None else layout
    training = Training(dataclasses.replace(MODEL, layers=8), 4096, 64)
    return float(step_time(training, device, fabric_of(entry)[0], layout, software).step_s)


@pytest.mark.parametrize("chip", ["nvidia/h100-sxm", "nvidia/gb300"])
@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_what_switches_are_for_they_do(chip, precision):
    """Each spares messages, launches or traffic, and costs nothing else."""

    def took(**switches):
        return step_s(chip, precision, **switches)

    assert took(dispatcher="hybridep") < took()
    assert took(graphs="full") < took(graphs="attn+moe_router+moe_preprocess") < took()
    assert took(graphs="full", expert_overlap=True) < took(graphs="full")
    assert took(grouped="fused") < took(grouped="kernel") < took()
    assert took(routing="balanced") < took(routing="real")
    assert took(routing="balanced", capacity=1.5) > took(routing="balanced", capacity=1.0)


def test_messages_are_hidden_only_behind_another_micro_batch():
    """Which a pipeline without virtual stages does not have."""
    for pieces, hidden in ((1, False), (2, True)):
        layout = Layout.of(dp=8, pp=2, ep=8, pieces=pieces)
        overlapped, alone = (
            step_s(layout=layout, graphs="full", expert_overlap=on) for on in (True, False)
        )
        assert (overlapped < alone) == hidden


def test_experts_that_are_cut_send_to_more_ranks():
    """As wide a group of ranks, with each expert on two of them: more messages, as much work."""
    whole, cut = (
        step_s(layout=Layout.of(dp=16, tp=2, ep=ep, etp=etp), graphs="full")
        for ep, etp in ((16, 1), (8, 2))
    )
    assert cut > whole


def test_a_layer_that_is_predicted_besides_takes_its_share():
    """DeepSeek-V3: one layer more, two matrices, and the logits again are 4 % of the FLOP."""
    apart, trained = (
        price_step(
            "deepseek-v3",
            "gb300",
            256,
            seq=4096,
            batch=4096,
            precision="fp8",
            mtp=mtp,
            parallelism=Parallelism(pp=4, dp=64, ep=64, virtual_stages=4),
        )
        for mtp in (0, 1)
    )
    assert trained.flop / apart.flop == pytest.approx(1.045, abs=0.01)
    assert 1.01 < trained.step_s / apart.step_s < 1.15  # it all lies on the last stage
    assert trained.memory.total[0] >= apart.memory.total[0]


def test_an_extra_prediction_layer_is_a_layer_a_join_and_the_logits_again():
    """On one stage: as a model with one layer more, and two products more."""
    device = device_of(load_chip("gb300")[0], "fp8", "flash-3", "megatron-core").device
    fabric, layout = fabric_of(load_chip("gb300")[0])[0], Layout.of()
    software, _, _ = software_of(Switches(), "fp8", chip="nvidia/gb300")

    def compute_s(layers, mtp):
        training = Training(dataclasses.replace(MODEL, layers=layers), 4096, 2, mtp=mtp)
        return float(step_time(training, device, fabric, layout, software).compute_s)

    h = MODEL.hidden
    join = gemm_s(device, 4096, h, 2 * h) + backward_gemm_s(device, 4096, h, 2 * h)
    logits = logits_s(device, MODEL, 1.0, 4096)
    more = 2 * float(join + logits)  # two micro-batches
    assert compute_s(8, 1) == pytest.approx(compute_s(9, 0) + more, rel=1e-9)


def test_the_published_run_of_deepseek_v3():
    """2,048 H800, FP8, DualPipe: 1,543 tokens/s a chip (arXiv 2412.19437; 180k H800 hours a T)."""
    layout = Parallelism(
        pp=16, dp=128, ep=64, schedule="dualpipe", recompute=("norms", "mla_up_proj", "activation")
    )
    found = price_step(
        "deepseek-v3", "h800", 2048, seq=4096, batch=15360, precision="fp8", parallelism=layout
    )
    assert found.batch * found.seq / found.step_s / 2048 == pytest.approx(1543, rel=0.1)
    assert float(found.memory.total[0]) == pytest.approx(74.8e9, rel=0.1)


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ({"ep": 8, "etp": 3}, "ep x etp"),
        ({"ep": 8, "etp": 4, "dp": 8}, "ep x etp"),
        ({"ep": 3}, "must divide the 256 experts"),
    ],
)
def test_experts_that_cannot_be_shared_out_so(layout, reason):
    given = Parallelism(**({"dp": 8} | layout))
    with pytest.raises(ScenarioError, match=reason):
        price_step("deepseek-v3", "gb300", 8, seq=4096, batch=8, parallelism=given)
