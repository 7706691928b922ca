"""Which layouts there are, which fit, and which is fastest; layouts of jobs in scenarios."""

import dataclasses

import numpy as np
import pytest
from bounds import ends_within
from hypothesis import given, settings
from hypothesis import strategies as st

import computeplan as cp
from computeplan.analytic.step_price import default_batch, price_step
from computeplan.compiler.compile import compile_world
from computeplan.compiler.hardware import (
    band_of,
    device_of,
    fabric_of,
    software_factor,
)
from computeplan.compiler.software import software_of
from computeplan.compiler.speed import layout_problem, price
from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.physics.steptime.grid import _divisors, all_layouts
from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.memory import memory_of
from computeplan.physics.steptime.search import HEADROOM, best_layouts, check_fits
from computeplan.physics.steptime.step import Training, step_time
from computeplan.physics.steptime.transformer import Shape, shape_of
from computeplan.report.words import sentence, sentences
from computeplan.specs.catalogue.fitted_speed import launch_of
from computeplan.specs.catalogue.lookup import chip_names, load_chip, load_model
from computeplan.specs.jobs import Parallelism
from computeplan.specs.software import Switches

MT_NLG = Shape(
    layers=105,
    hidden=20480,
    ffn=81920,
    heads=128,
    kv_heads=128,
    head_dim=160,
    vocab=51200,
    gated_mlp=False,
    tied_embeddings=True,
)
SMALL = Shape(layers=6, hidden=1024, ffn=4096, heads=8, kv_heads=4, head_dim=128, vocab=32000)
SPARSE = shape_of(load_model("qwen3-30b-a3b")[0].architecture())


def parts(chip="nvidia/a100-80gb", precision="bf16"):
    entry = load_chip(chip)[0]
    software, kernel, _ = software_of(Switches(), precision, chip=entry.kin)
    return (
        device_of(entry, precision, kernel, "megatron-core").device,
        fabric_of(entry)[0],
        software,
    )


# -- the grid ------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([SMALL, MT_NLG, SPARSE]),
    st.integers(1, 300),
    st.integers(1, 600),
    st.sampled_from([1, 4, 8, 72]),
    st.sampled_from([2048, 8192, 131072]),
)
def test_every_layout_can_be(shape, n_ranks, batch, domain, seq):
    found = Layout.concatenate(list(all_layouts(shape, seq, batch, n_ranks, domain)))
    rows = np.stack([getattr(found, f) for f in Layout.arrays()])
    assert np.unique(rows, axis=1).shape == rows.shape  # none twice
    assert (found.n_ranks <= n_ranks).all()
    assert (batch % (found.dp * found.micro_batch) == 0).all()
    assert (shape.heads % found.tp == 0).all()
    assert (found.tp <= domain).all()
    for place in range(0, found.tp.size, max(1, found.tp.size // 40)):
        one = {
            name: int(getattr(found, "pieces" if name == "virtual_stages" else name)[place])
            for name in ("tp", "pp", "dp", "cp", "ep", "micro_batch", "virtual_stages")
        }
        assert layout_problem(Training(shape, seq, batch), Parallelism(**one)) == ""


def test_the_grid_of_mt_nlg_is_larger_than_that_of_the_best_known_tool():
    device, fabric, software = parts()
    found = best_layouts(Training(MT_NLG, 2048, 2520), device, fabric, 5128, software)
    assert found.n_priced >= 8000
    assert found.layout.tp.size == 10
    assert (np.diff(found.time.step_s) >= 0).all()
    assert found.layout.n_ranks.max() <= 5128


def test_the_best_is_the_best_of_all_that_fit():
    device, fabric, software = parts()
    training = Training(SMALL, 4096, 24)
    found = best_layouts(training, device, fabric, 16, software)
    grid = Layout.concatenate(list(all_layouts(SMALL, 4096, 24, 16, fabric.domain)))
    seconds = [
        float(step_time(training, device, fabric, grid.at(i), software).step_s)
        for i in range(grid.tp.size)
        if memory_of(training, grid.at(i), software).total <= device.memory_bytes * (1 - HEADROOM)
    ]
    assert found.time.step_s[0] == pytest.approx(min(seconds), rel=1e-12)
    # what is recomputed selectively with a flash kernel is nothing: those twins are left out
    assert found.n_priced < grid.tp.size


def test_more_memory_or_more_chips_never_hurt():
    device, fabric, software = parts()
    training = Training(MT_NLG, 2048, 2520)
    larger = dataclasses.replace(device, memory_bytes=2 * device.memory_bytes)
    seconds = [
        best_layouts(training, d, fabric, n, software).time.step_s[0]
        for d, n in ((device, 2520), (larger, 2520), (device, 5128), (larger, 5128))
    ]
    assert seconds[1] <= seconds[0]
    assert seconds[2] <= seconds[0]
    assert seconds[3] <= min(seconds[1:3])


# -- what does not fit ---------------------------------------------------------------------------


def test_a_layout_that_misses_says_by_how_much_and_what_helps():
    device, _, software = parts()
    training = Training(shape_of(load_model("llama-3.1-70b")[0].architecture()), 8192, 64)
    layout = Layout.of(tp=8, pp=2, dp=4, zero=0)
    over = float(memory_of(training, layout, software).total) - device.memory_bytes
    with pytest.raises(InfeasibleError) as caught:
        check_fits(training, device, layout, software, where="jobs.j")
    message = str(caught.value)
    assert message.startswith("jobs.j: tp 8, pp 2, dp 4, micro-batch 1, zero 0 needs ")
    assert f"{over / 2**30:.1f} GiB more than it has" in message
    assert "optimizer" in message
    said = message.split("would fit: ")[1].split("; ")
    assert any(change.startswith("zero: 3") for change in said)


def test_what_it_says_would_fit_does():
    device, _, software = parts()
    training = Training(shape_of(load_model("llama-3.1-70b")[0].architecture()), 8192, 64)
    check_fits(training, device, Layout.of(tp=8, pp=2, dp=4, zero=3), software)


def test_a_model_too_large_for_all_chips_together():
    with pytest.raises(InfeasibleError, match=r"none of [\d,]+ layouts of at most 8 ranks fits"):
        price_step("llama-3.1-405b", "A100-80GB", 8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dp": 3}, "does not divide the 64 sequences"),
        ({"tp": 3}, "tp 3 does not divide the 64 heads"),
        ({"pp": 81}, "more than the 80 layers"),
        ({"cp": 3}, "cp 3 does not divide the 8192 tokens"),
        ({"ep": 2, "dp": 2}, "the model has none"),
        ({"pp": 3, "virtual_stages": 2, "dp": 4}, "whole rounds of 3 stages"),
    ],
)
def test_layouts_that_contradict_themselves(given, message):
    training = Training(shape_of(load_model("llama-3.1-70b")[0].architecture()), 8192, 64)
    assert message in layout_problem(training, Parallelism(**given))


def test_experts_divide_over_the_ranks_that_hold_them():
    training = Training(SPARSE, 4096, 48)
    assert layout_problem(training, Parallelism(ep=8, dp=8)) == ""
    assert "must divide the 128 experts" in layout_problem(training, Parallelism(ep=3, dp=6))
    assert "ranks of tp x cp x dp" in layout_problem(training, Parallelism(ep=16, dp=8))


def test_what_is_said_to_fit_is_shared_out_as_said():
    with pytest.raises(InfeasibleError, match=r"would fit: shard: 64 \(") as caught:
        price_step("llama-3.1-8b", "H100-SXM", 64, parallelism=Parallelism(dp=64, zero=3, shard=1))
    assert "recompute" not in str(caught.value)
    price_step("llama-3.1-8b", "H100-SXM", 64, parallelism=Parallelism(dp=64, zero=3, shard=64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chips": 0}, "chips must be a whole number from 1"),
        ({"chips": 1.5}, "chips must be a whole number"),
        ({"batch": 0}, "batch must be a whole number"),
        ({"seq": "8192"}, "seq must be a whole number"),
        ({"precision": "int8"}, "precision must be one of bf16, fp16, fp8"),
        ({"parallelism": {"tp": 8}}, "parallelism must be 'auto' or a Parallelism"),
        ({"oversubscription": float("nan")}, "oversubscription must be 1 to 1000"),
        ({"out_bytes_per_s": float("nan")}, "network must be > 0 and finite"),
        ({"out_bytes_per_s": 0.0}, "network must be > 0 and finite"),
    ],
)
def test_what_a_question_gets_wrong(arguments, message):
    question = {"model": "llama-3.1-8b", "chip": "H100-SXM", "chips": 64} | arguments
    with pytest.raises(ScenarioError, match=message):
        price_step(**question)


def test_deepseek_v3_on_2048_h800_takes_what_its_report_says():
    """arXiv 2412.19437: 180,000 H800 hours a trillion tokens; pipeline 16, experts over 64."""
    measured_s = 180e3 * 3600 / 1e12 / 2048 * 15_360 * 4096
    layout = Parallelism(pp=16, dp=128, ep=64, schedule="dualpipe", recompute="full")
    found = price_step(
        "deepseek-v3",
        "nvidia/h800",
        2048,
        seq=4096,
        batch=15_360,
        precision="fp8",
        parallelism=layout,
    )
    assert measured_s == pytest.approx(19.9, abs=0.05)
    assert found.step_s == pytest.approx(measured_s, rel=0.3)  # 20.4 s when it was written
    assert found.band.low < measured_s / found.step_s < found.band.high


# -- chips ---------------------------------------------------------------------------------------


def test_a_package_of_two_dies_is_two_ranks_of_half_of_everything():
    (package, fabric, _), chip = parts("huawei/ascend-910c"), load_chip("910C")[0]
    assert package.flop_per_s == chip.peak_flop_per_s("bf16") / 2
    assert package.memory_bytes == 64 * 2**30
    assert fabric.domain == 768
    assert fabric.out_bytes_per_s == 25e9
    price = price_step("llama-3.1-8b", "910C", 8, batch=64)
    assert price.layout.n_ranks[0] == 16


def test_memory_sold_in_gb_is_gib_and_gib_is_gib():
    assert parts("nvidia/h200")[0].memory_bytes == 141 * 2**30
    from computeplan.specs.catalogue.lookup import parse_chip
    from computeplan.specs.documents.document import parse_document

    memory = "{capacity: 64 GiB, bandwidth: 1 TB/s}"
    text = f"{{name: me/x, peak_dense: {{bf16: 100 TFLOP/s}}, memory: {memory}}}"
    chip, _ = parse_chip(parse_document(text, "chip"))
    assert device_of(chip, "bf16", "flash-2", "mindspeed").device.memory_bytes == 64 * 2**30


def test_what_a_chip_does_not_publish_is_named():
    from computeplan.specs.catalogue.lookup import parse_chip
    from computeplan.specs.documents.document import parse_document

    chip, _ = parse_chip(parse_document("{name: me/x, peak_dense: {bf16: 100 TFLOP/s}}", "chip"))
    with pytest.raises(
        ValueError, match=r"memory.capacity is missing; .* your chip memory: .capacity: 80 GB"
    ):
        device_of(chip, "bf16", "flash-2", "mindspeed")
    with pytest.raises(ValueError, match=r"scale_out.bandwidth is missing"):
        fabric_of(chip)
    assert fabric_of(chip, 25e9)[0].domain == 1


UNPRICED = {
    *("biren/br100", "biren/br104", "enflame/t20", "google/tpu-v3", "groq/lpu-v1"),
    *("huawei/ascend-910", "hygon/k100-ai", "iluvatar/bi-v100", "iluvatar/bi-v150"),
    *("kunlunxin/p800", "kunlunxin/r200", "metax/c500", "metax/c550", "moorethreads/mtt-s5000"),
    *("nvidia/k80", "nvidia/p100", "nvidia/v100", "thead/ppu"),
}
"""They publish no bf16 peak, no memory bandwidth, or no link."""


@pytest.mark.parametrize("name", chip_names())
def test_every_chip_is_priced_or_says_what_it_lacks(name):
    reasons = "is not published|has no dense|fits: the smallest"
    if name in UNPRICED:
        with pytest.raises((ScenarioError, InfeasibleError), match=reasons):
            price_step("llama-3.1-8b", name, 64, batch=64)
        return
    found = price_step("llama-3.1-8b", name, 64, batch=64)
    assert 0.02 < found.mfu < 0.8
    assert found.band.low < 1 < found.band.high


def test_the_band_widens_for_relatives_and_beyond_what_was_fitted():
    def width(chip, *args):
        band = band_of(load_chip(chip)[0], *args, "megatron-core")
        return band.high / band.low

    own = width("nvidia/h100-sxm", "bf16", 128)
    assert width("nvidia/h100-sxm", "bf16", 8) == own
    assert width("nvidia/h100-sxm", "bf16", 16384) > own
    assert width("nvidia/h200", "bf16", 128) > own
    assert width("nvidia/gb200", "bf16", 128) > width("nvidia/h200", "bf16", 128)
    assert band_of(load_chip("910B2")[0], "bf16", 96, "mindspeed").extrapolated == 1


def test_newer_software_takes_less_time():
    stack = launch_of("nvidia/h100-sxm", "megatron-core")[1]
    old, now, new = (software_factor(stack.software_year + d, stack) for d in (-1, 0, 1))
    assert old > now == 1 > new > 0.9


def test_the_default_batch_is_a_power_of_two():
    assert [default_batch(n, 8192) for n in (8, 1024, 16384)] == [128, 128, 2048]


# -- in scenarios --------------------------------------------------------------------------------


def scenario(parallelism="auto", **changes):
    base = {
        "computeplan": 1,
        "name": "t",
        "about": "A test.",
        "sites": {
            "s": {"pue": 1.1, "pools": {"p": {"chip": "nvidia/h100-sxm", "chips": 64}}},
        },
        "jobs": {
            "j": {
                "model": "llama-3.1-70b",
                "tokens": "1 Gtoken",
                "batch": "1 Mitoken",
                "seq": 8192,
                "chips": 64,
                "parallelism": parallelism,
            }
        },
        "policy": "first-fit",
        "simulate": {"runs": 2, "seed": 1},
    }
    return cp.load(base).with_(changes) if changes else cp.load(base)


def test_a_batch_without_bounds_ends():
    """1e30 tokens: once the divisors were sought up to the root of its sequences."""
    with ends_within(20):
        with pytest.raises(ScenarioError, match="more than 100,000,000 sequences of") as caught:
            cp.load("910b-fault-rate").with_({"jobs.train-70b.batch": "1e30 token"})
        assert "jobs.train-70b.batch" in str(caught.value)
        largest = list(all_layouts(SMALL, 2048, 10**18, 16, 8))
    assert {int(n) for found in largest for n in found.dp} == {1, 2, 4, 5, 8, 10, 16}


@given(st.integers(1, 3000), st.integers(1, 4000))
def test_divisors_are_all_and_up_to_a_bound(n, most):
    assert _divisors(n, most) == [d for d in range(1, min(n, most) + 1) if n % d == 0]


def test_auto_never_changes_batch_sequence_or_precision():
    job = compile_world(scenario()).jobs[0]
    chip = load_chip("H100-SXM")[0]
    training = Training(shape_of(load_model("llama-3.1-70b")[0].architecture()), 8192, 128)
    step_s = float(price(chip, training, "bf16", "auto", 64).choices.time.step_s[0])
    assert job.tok_per_s[0] == pytest.approx(2**20 / step_s)
    assert job.train_s[0] == pytest.approx(1e9 / 2**20 * step_s)


def test_a_layout_by_numbers_is_priced_as_it_is():
    given = {"tp": 4, "pp": 4, "dp": 4, "virtual_stages": 5, "recompute": "full"}
    auto, fixed = (compile_world(scenario(p)).jobs[0] for p in ("auto", given))
    assert fixed.tok_per_s[0] < auto.tok_per_s[0]
    assert "tp 4, pp 4, dp 4, virtual stages 5, micro-batch 1, recompute full" in sentence(
        fixed.priced[0]
    )


def test_a_slower_network_is_slower():
    fast = compile_world(scenario()).jobs[0].tok_per_s[0]
    slow = compile_world(
        scenario(**{"sites.s.pools.p.network": {"per_chip": "50 Gbit/s", "oversubscription": 2}})
    )
    assert slow.jobs[0].tok_per_s[0] < fast


def test_a_misfit_on_one_of_two_pools_leaves_the_other():
    world = compile_world(
        scenario(
            {"tp": 8, "dp": 8},
            **{"sites.s.pools.q": {"chip": "nvidia/h200", "chips": 64}},
        )
    )
    assert world.jobs[0].n_nodes.tolist() == [0, 8]
    assert any("jobs.j on nvidia/h100-sxm: tp 8, dp 8" in note for note in sentences(world.notes))


def test_a_misfit_everywhere_is_infeasible():
    with pytest.raises(InfeasibleError, match=r"jobs.j on nvidia/h100-sxm: .* GiB more than"):
        compile_world(scenario({"tp": 8, "dp": 8}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jobs.j.batch": None}, "batch is missing: parallelism prices a step"),
        ({"jobs.j.chips": None}, "chips is missing"),
        ({"jobs.j.model": None, "jobs.j.work": "1e20 FLOP", "jobs.j.tokens": None}, "model is mis"),
        ({"jobs.j.parallelism": "fast"}, "must be auto or a mapping"),
        ({"jobs.j.parallelism": {"tp": 8, "dp": 9}}, "parallelism makes 72 ranks"),
        ({"jobs.j.parallelism": {"tp": 8, "zero": 4}}, "zero"),
        ({"sites.s.pools.p.network": {"oversubscription": 0.5}}, "oversubscription"),
    ],
)
def test_what_a_scenario_gets_wrong(changes, message):
    with pytest.raises((ScenarioError, InfeasibleError), match=message):
        compile_world(scenario(**changes))


def test_a_given_mfu_goes_before_auto():
    job = compile_world(scenario(**{"jobs.j.mfu": 0.3})).jobs[0]
    assert (job.mfu[0], job.n_nodes[0], job.priced) == (0.3, 8, (None,))


def test_a_given_mfu_stands_beside_a_layout():
    layout = {"tp": 8, "dp": 8, "zero": 3}
    job = compile_world(scenario(layout, **{"jobs.j.mfu": 0.3})).jobs[0]
    assert job.mfu[0] == 0.3
    assert job.priced == (None,)
    with pytest.raises(InfeasibleError, match="GiB more than it has"):  # a check of memory, too
        compile_world(scenario({"tp": 8, "dp": 8}, **{"jobs.j.mfu": 0.3}))
