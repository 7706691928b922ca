"""Every name resolves, every figure has a source, every default utilisation can be recomputed."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner

from computeplan.analytic.step_price import price_step
from computeplan.cli.catalogue import chips, models
from computeplan.errors import ScenarioError
from computeplan.physics.steptime.transformer import (
    Shape,
    flop_per_token,
    n_parameters,
    shape_of,
    size_class,
)
from computeplan.report.words import sentence
from computeplan.specs.catalogue import lookup as catalogue
from computeplan.specs.catalogue.chips import figures_in
from computeplan.specs.catalogue.lookup import (
    chip_names,
    load_chip,
    load_model,
    model_names,
    parse_chip,
    parse_model,
)
from computeplan.specs.catalogue.mfu import default_mfu, default_mfus, mfu_table
from computeplan.specs.documents.document import load_document, parse_document
from computeplan.specs.scenario import load
from computeplan.study.run import run as simulate

DATA = Path(str(resources.files("computeplan"))) / "data"

CHIP_LISTS = [
    "nvidia-v100-sxm2-32gb",
    "nvidia-a100-sxm4-40gb",
    "nvidia-a100-sxm4-80gb",
    "nvidia-a800-sxm4-80gb",
    "nvidia-h100-sxm5-80gb",
    "nvidia-h100-pcie-80gb",
    "nvidia-h800-sxm5-80gb",
    "nvidia-h20-sxm-96gb",
    "nvidia-h200-sxm-141gb",
    "nvidia-b200-sxm-180gb",
    "nvidia-gb200-nvl72",
    "nvidia-l40s",
    "nvidia-rtx4090",
    "amd-mi250x",
    "amd-mi300x",
    "amd-mi325x",
    "amd-mi355x",
    "intel-gaudi2",
    "intel-gaudi3",
    "google-tpu-v4",
    "google-tpu-v5e",
    "google-tpu-v5p",
    "google-tpu-v6e",
    "google-tpu7x",
    "aws-trainium1",
    "aws-trainium2",
    "groq-lpu-v1",
    "huawei-ascend-910",
    "huawei-ascend-910b1",
    "huawei-ascend-910b2",
    "huawei-ascend-910b3",
    "huawei-ascend-910b4-32gb",
    "huawei-ascend-910c",
    "huawei-ascend-950pr",
    "huawei-ascend-950dt",
    "cambricon-mlu370-x8",
    "moorethreads-mtt-s4000",
    "moorethreads-mtt-s5000",
    "biren-br100",
    "biren-br104",
    "hygon-k100-ai",
    "iluvatar-bi-v100",
    "iluvatar-bi-v150",
    "kunlunxin-r200",
    "kunlunxin-p800",
    "metax-c500",
    "metax-c550",
    "enflame-t20",
    "thead-ppu",
]
TRAINING_CASES = ["A100-SXM-40G", "A100-SXM-80G", "Ascend-910B2", "H100-SXM-80G"]
ENERGY_CASES = ["V100", "TPUv3", "H100", "H800", "A100", "TPUv4", "B200"]
MEASURED_TABLES = [
    "a100_sxm",
    "b200_sxm",
    "b300_sxm",
    "gb200",
    "gb300",
    "h100_sxm",
    "h200_sxm",
    "l40s",
]
JOB_TRACES = ["v100", "p100", "k80"]
PEOPLE_SAY = [
    *("H100", "h100", "H100 SXM", "H100-SXM", "h100_sxm", "nvidia/h100-sxm5", "NVIDIA/H100-SXM"),
    *("910B", "Ascend-910B", "ascend910b", "910B4", "Ascend 910C", "A100", "MI300X", "Gaudi 3"),
]
MODELS_TRAINED = [
    *("gpt-22B", "gpt3-175B", "mt-nlg-530B", "gpt-1T", "gpt-1.7B", "gpt-3.6B", "gpt-7.5B"),
    *("gpt-18.4B", "gpt-39.1B", "gpt-76.1B", "gpt-145.6B", "gpt-310.1B", "gpt-529.6B", "gpt-1008B"),
    *("mpt-3b", "mpt-7b", "mpt-13b", "mpt-30b", "mpt-70b", "gpt3-5b", "gpt3-20b"),
    *("llama-7b", "llama-13b", "llama-33b", "llama-65b", "llama2-7b", "llama2-13b", "llama2-34b"),
    *("llama2-70b", "llama3-8b", "llama3-70b", "codellama-34b", "mistral-7b-32k", "minicpm-2b"),
    *("aquila-7b", "aquila2-7b", "aquila2-34b", "bloom-7b1", "bloom-176b", "deepseek-v3"),
    *("baichuan-7b", "baichuan-13b", "baichuan2-7b", "baichuan2-13b"),
    *("chatglm3-6b-8k", "chatglm3-6b-32k", "chatglm3-6b-64k", "glm4-9b-8k", "glm4-9b-32k"),
    *("internlm-7b", "internlm-65b", "internlm2-20b-4k", "qwen3-30b-a3b", "qwen3-235b-a22b"),
    *("qwen15-0.5b", "qwen15-1.8b", "qwen15-4b", "qwen15-7b", "qwen15-14b", "qwen15-32b"),
    *("qwen15-72b", "qwen15-110b", "gemma-2b", "gemma-7b", "gemma2-9b", "gemma2-27b"),
]
WITHHELD = ["cambricon-mlu590", "biren-br106", "hygon-k100", "hygon-z100", "enflame-s60"]


@pytest.mark.parametrize(
    "name",
    [*CHIP_LISTS, *TRAINING_CASES, *ENERGY_CASES, *MEASURED_TABLES, *JOB_TRACES, *PEOPLE_SAY],
)
def test_every_name_in_use_resolves(name):
    assert load_chip(name)[0].name in chip_names()


@pytest.mark.parametrize(
    ("name", "full_name"),
    [
        ("H100-SXM-80G", "nvidia/h100-sxm"),
        ("H100 PCIe", "nvidia/h100-pcie"),
        ("A100-SXM-40G", "nvidia/a100-40gb"),
        ("a100", "nvidia/a100-80gb"),
        ("910B", "huawei/ascend-910b2"),
        ("Ascend_910b3", "huawei/ascend-910b3"),
        ("910A", "huawei/ascend-910"),
        ("TPUv3", "google/tpu-v3"),
        ("gb300", "nvidia/gb300"),
    ],
)
def test_a_name_means_the_chip_people_mean(name, full_name):
    assert load_chip(name)[0].name == full_name


@pytest.mark.parametrize(
    ("name", "full_name"),
    [
        ("llama2-70b", "meta/llama-2-70b"),
        ("Llama-3.1-405B", "meta/llama-3.1-405b"),
        ("llama3-405b", "meta/llama-3.1-405b"),
        ("gpt3-175B", "openai/gpt-3-175b"),
        ("bloom-176b", "bigscience/bloom-176b"),
        ("DeepSeek V3", "deepseek/deepseek-v3"),
        ("qwen2-72b", "qwen/qwen2-72b"),
        ("mixtral-8x7b", "mistral/mixtral-8x7b"),
    ],
)
def test_a_name_means_the_model_people_mean(name, full_name):
    assert load_model(name)[0].name == full_name


@pytest.mark.parametrize("name", MODELS_TRAINED)
def test_every_model_of_a_published_run_resolves_in_either_case(name):
    assert load_model(name)[0] == load_model(name.upper())[0] == load_model(name.lower())[0]


def test_sliding_windows_are_those_of_the_published_configs():
    windows = {
        name: (model.sliding_window, model.full_attention_every)
        for name in model_names()
        if (model := load_model(name)[0]).sliding_window is not None
    }
    assert windows == {
        "bigcode/starcoder2-7b": (4096, None),
        **{f"google/gemma-2-{size}": (4096, 2) for size in ("2b", "9b", "27b")},
        **{f"google/gemma-3-{size}": (1024, 6) for size in ("4b", "12b", "27b")},
        "google/gemma-3-1b": (512, 6),
        "microsoft/phi-3-mini": (2048, None),
        "mistral/mistral-7b": (4096, None),
        "openai/gpt-oss-120b": (128, 2),
        "openai/gpt-oss-20b": (128, 2),
    }


def test_an_ambiguous_name_says_what_it_was_taken_for():
    (note,) = map(sentence, load_chip("Ascend-910B")[1])
    assert "huawei/ascend-910b2" in note
    assert "414, 376, 313 and 280" in note
    assert "nvidia/h100-pcie" in sentence(load_chip("H100")[1][0])
    assert load_chip("Ascend-910B2")[1] == ()
    assert load_chip("H100-SXM")[1] == ()


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(
        ValueError, match=r"no chip 'nvidia/h100-smx'\. Did you mean 'nvidia/h100-s"
    ):
        load_chip("nvidia/h100-smx")
    with pytest.raises(ValueError, match="List: computeplan chips"):
        load_chip("no such thing at all")
    with pytest.raises(ValueError, match=r"Did you mean 'meta/llama-3\.1-405b'"):
        load_model("meta/llama-3.1-450b")


@pytest.mark.parametrize(
    "name", ["../units", "nvidia/../nvidia/v100", "nvidia/", "/etc/passwd", ""]
)
def test_a_name_is_never_a_path(name):
    with pytest.raises(ValueError, match="no chip"):
        load_chip(name)


@pytest.mark.parametrize("name", WITHHELD)
def test_a_chip_that_is_left_out_says_why(name):
    with pytest.raises(ValueError, match="not in the catalogue: too little is published"):
        load_chip(name)


@pytest.mark.parametrize(("folder", "names"), [("chips", chip_names()), ("models", model_names())])
def test_no_name_is_claimed_twice(folder, names):
    table = load_document(DATA / folder / "aliases.yaml").data
    assert tuple(sorted(table["names"])) == names
    claims = Counter(
        catalogue.name_key(alias) for name in names for alias in {name, *table["names"][name]}
    )
    assert [alias for alias, n in claims.items() if n > 1] == []
    assert {catalogue.name_key(alias) for alias in table["ambiguous"]} <= set(claims)
    assert not {catalogue.name_key(alias) for alias in table.get("withheld", {})} & set(claims)


def test_a_full_name_costs_one_file(monkeypatch):
    read = []
    for cached in (catalogue._document, catalogue._shipped, catalogue._aliases):
        cached.cache_clear()
    monkeypatch.setattr(
        catalogue,
        "load_document",
        lambda path, shown: read.append(path) or load_document(path, shown),
    )
    load_chip("nvidia/h100-sxm")
    assert [path.name for path in read] == ["h100-sxm.yaml"]


@pytest.mark.parametrize("name", chip_names())
def test_a_chip_file_is_whole(name):
    chip, notes = load_chip(name)
    assert (chip.name, notes) == (name, ())
    assert chip.title
    assert chip.vendor
    used = {key for _, figure in figures_in(chip) for key in (figure.source, figure.via)} - {None}
    known = {path for path, figure in figures_in(chip) if figure.value is not None}
    for path, figure in figures_in(chip):
        if figure.value is None:
            assert figure.note
        else:
            assert figure.confidence != "user", path
            assert figure.source is not None or figure.confidence == "recalled", path
    assert used - {"scenario"} == set(chip.sources)
    assert "power.tdp" in known or chip.power.tdp.note


@pytest.mark.parametrize("name", chip_names())
def test_a_peak_with_sparsity_is_above_the_dense_one(name):
    chip = load_chip(name)[0]
    for precision, sparse in chip.peak_sparse.items():
        dense = chip.peak_dense.get(precision)
        if dense is not None:
            assert sparse.value > 1.5 * dense.value


@pytest.mark.parametrize("name", chip_names())
def test_a_pair_of_chips_has_no_more_than_the_sum(name):
    scale_up = load_chip(name)[0].scale_up
    if scale_up.pair_bandwidth is not None:
        assert scale_up.pair_bandwidth.value <= scale_up.bandwidth.value


def test_files_hold_no_internal_remarks():
    words = re.compile(
        r"find-|\bseed\b|not verified|researcher|looked for|/(?:work|tmp)/", re.IGNORECASE
    )
    for path in [*DATA.glob("*/*/*.yaml"), DATA / "mfu.yaml"]:
        assert not words.search(path.read_text("utf-8")), path


def test_known_figures():
    h100 = load_chip("nvidia/h100-sxm")[0]
    assert h100.peak_flop_per_s("bf16") == 989.4e12
    assert h100.memory.capacity.value == 80e9
    assert h100.scale_up.bandwidth.value == 450e9
    assert h100.scale_out.bandwidth.value == 50e9
    assert (h100.tdp_w, h100.chips_per_node, h100.ranks_per_chip) == (700.0, 8, 1)
    assert [load_chip(f"910B{i}")[0].peak_flop_per_s("fp16") / 1e12 for i in (1, 2, 3, 4)] == [
        pytest.approx(x) for x in (414, 376, 313, 280)
    ]
    assert load_chip("910C")[0].ranks_per_chip == load_chip("MI250X")[0].ranks_per_chip == 2
    assert load_chip("910C")[0].tdp_w is None
    assert load_chip("Gaudi3")[0].peak_flop_per_s("fp16") < load_chip("Gaudi3")[0].peak_flop_per_s(
        "bf16"
    )


def test_one_precision_never_stands_in_for_another():
    with pytest.raises(
        ValueError, match="nvidia/v100 has no dense bf16 peak; it has fp64, fp32, fp16"
    ):
        load_chip("V100")[0].peak_flop_per_s("bf16")
    assert load_chip("V100")[0].peak_flop_per_s("fp16") == 125e12


def test_estimates_are_marked():
    marked = {name for name in chip_names() if load_chip(name)[0].is_estimate}
    assert {"huawei/ascend-910b1", "nvidia/b300", "nvidia/gb300", "biren/br100"} <= marked
    assert not {"nvidia/h100-sxm", "huawei/ascend-910b2"} & marked
    assert load_chip("910B2")[0].peak_dense["bf16"].is_estimate


OWN = """
peak_dense: {bf16: 400 TFLOP/s, int8: 800 TOP/s}
memory: {capacity: 64 GB}
power: {tdp: 350 W}
server: {chips: 16}
"""


def test_a_chip_of_ones_own_may_be_terse():
    chip, _ = parse_chip(parse_document(OWN, "own.yaml"), "our/chip")
    assert chip.name == "our/chip"
    assert chip.peak_flop_per_s("bf16") == 400e12
    assert chip.peak_flop_per_s("int8") == 800e12
    assert (chip.tdp_w, chip.chips_per_node) == (350.0, 16)
    figure = chip.peak_dense["bf16"]
    assert (figure.confidence, figure.source, figure.text) == ("user", "scenario", "400 TFLOP/s")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("peak_dense: {bf16: 400}", "needs a unit: write it like '989 TFLOP/s'"),
        ("peak_dense: {bf16: 0 TFLOP/s}", "must be > 0"),
        ("peak_dense: {bf16: 1e999 TFLOP/s}", "not a finite number"),
        ("peak_dense: {bf16: 400 GB}", "is an amount of data, not a speed"),
        ("peak_dense: {bf61: 400 TFLOP/s}", "bf61"),
        ("peak_dense: {}", "needs at least one peak"),
        ("peak_dense: {bf16: {value: null}}", "needs a note that says why"),
        ("peak_dense: {bf16: {source: x}}", "value is missing"),
        ("peak_dense: {bf16: {value: 1 TFLOP/s, source: x}}", "no source 'x' under sources"),
        ("peak_dense: {bf16: {value: 1 TFLOP/s, source: null}}", "only a recalled figure"),
        ("{peak_dense: {bf16: 1 TFLOP/s}, memory: {capacity: -1 GB}}", "must be > 0"),
        ("{peak_dense: {bf16: 1 TFLOP/s}, server: {chips: 1.5}}", "must be a whole number"),
        ("{peak_dense: {bf16: 1 TFLOP/s}, sever: {chips: 8}}", "Did you mean 'server'"),
        ("{extends: nvidia/h100-smx}", "no chip 'nvidia/h100-smx'"),
        ("{extends: 7}", "must be a chip's name"),
    ],
)
def test_a_wrong_chip_says_where_and_what(text, message):
    with pytest.raises(ScenarioError, match=re.escape(message)) as caught:
        parse_chip(parse_document(text, "own.yaml"), "our/chip")
    assert "own.yaml" in str(caught.value)


def test_a_changed_figure_does_not_keep_the_old_source():
    text = "{extends: H100, power: {tdp: {value: 500 W}}, peak_dense: {bf16: 800 TFLOP/s}}"
    chip, notes = parse_chip(parse_document(text, "own.yaml"), "our/h100")
    assert "nvidia/h100-pcie" in sentence(notes[0])
    assert (chip.name, chip.title) == ("our/h100", "our/h100")
    assert chip.peak_flop_per_s("bf16") == 800e12
    assert chip.peak_dense["bf16"].confidence == "user"
    tdp = chip.power.tdp
    assert (tdp.value, tdp.source, tdp.confidence, tdp.via) == (500.0, "scenario", "user", None)
    assert chip.peak_flop_per_s("fp16") == 989.4e12
    assert chip.memory.capacity.confidence == "datasheet"


def test_null_takes_a_figure_away():
    chip, _ = parse_chip(
        parse_document("{extends: nvidia/h100-sxm, power: {tdp: null}}", "own.yaml")
    )
    assert chip.tdp_w is None


def test_ones_own_chips_may_extend_one_another_but_not_in_a_circle():
    extra = {
        "a": parse_document("{extends: nvidia/h100-sxm, power: {tdp: 500 W}}", "a.yaml"),
        "b": parse_document("{extends: a, peak_dense: {bf16: 800 TFLOP/s}}", "b.yaml"),
        "c": parse_document("{extends: d}", "c.yaml"),
        "d": parse_document("{extends: c}", "d.yaml"),
    }
    chip, _ = load_chip("b", extra)
    assert (chip.name, chip.tdp_w, chip.peak_flop_per_s("bf16")) == ("b", 500.0, 800e12)
    with pytest.raises(ScenarioError, match="circle: c -> d -> c"):
        load_chip("c", extra)
    own = {"nvidia/h100-sxm": parse_document("{extends: nvidia/h100-sxm, power: {tdp: 1 W}}", "x")}
    with pytest.raises(ScenarioError, match="circle"):
        load_chip("nvidia/h100-sxm", own)


def test_a_model_of_ones_own_may_extend():
    text = "{extends: llama3-8b, layers: 16, source: scenario, parameters: null}"
    model, _ = parse_model(parse_document(text, "own.yaml"), "our/4b")
    assert (model.name, model.layers, model.hidden) == ("our/4b", 16, 4096)
    assert model.parameters.total is None


PLAIN = "layers: 2, hidden: 64, ffn: 128, heads: 4, vocab: 100"
TWO = "layer_kinds: [{layers: 2}]"
MLA = "mla: {kv_lora_rank: 8, qk_nope_head_dim: 4, qk_rope_head_dim: 2, v_head_dim: 4}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{layers: 2}", "'hidden' is missing"),
        (f"{{{PLAIN}, kv_heads: 3}}", "kv_heads 3 must divide heads 4"),
        ("{layers: 2, hidden: 65, ffn: 128, heads: 4, vocab: 100}", "head_dim is missing"),
        (f"{{{PLAIN}, moe: {{experts: 2, top_k: 3, expert_ffn: 8}}}}", "top_k 3 is more than"),
        (
            f"{{{PLAIN}, moe: {{experts: 2, top_k: 1, expert_ffn: 8, dense_layers: 2}}}}",
            "must be less than layers 2",
        ),
        (
            f"{{{PLAIN}, kv_heads: 4, {MLA}}}",
            "mla replaces kv_heads and head_dim",
        ),
        (f"{{{PLAIN}, full_attention_every: 2}}", "full_attention_every needs a sliding_window"),
        (f"{{{PLAIN}, sliding_window: 8, full_attention_every: 0}}", "greater than 0"),
        (f"{{{PLAIN}, source: nowhere}}", "no source 'nowhere'"),
        (
            f"{{{PLAIN}, sliding_window: 8, attention_chunk: 8}}",
            "sliding_window and attention_chunk both say what a layer sees: write layer_kinds",
        ),
        (f"{{{PLAIN}, layer_kinds: [{{layers: 3}}]}}", "have 3 layers together; layers is 2"),
        (
            f"{{{PLAIN}, sliding_window: 8, full_attention_every: 2, {TWO}}}",
            "leave out full_attention_every",
        ),
        (
            f"{{{PLAIN}, layer_kinds: [{{layers: 2, attention: none, mlp: none}}]}}",
            "not both are none",
        ),
        (f"{{{PLAIN}, layer_kinds: [{{layers: 2, kv_heads: 3}}]}}", "must divide heads 4 in every"),
        (f"{{{PLAIN}, linear_attention: {{heads: 4, key_dim: 8}}}}", "'value_dim' is missing"),
        (
            f"{{{PLAIN}, linear_attention: {{heads: 4, key_dim: 8, value_dim: 8, key_heads: 3}}}}",
            "key_heads 3 must divide heads 4",
        ),
        (
            f"{{{PLAIN}, linear_attention: {{heads: 4, key_dim: 8, value_dim: 8, rule: mamba}}}}",
            "step_rank is of rule: mamba",
        ),
        (f"{{{PLAIN}, mtp: -1}}", "greater than or equal to 0"),
    ],
)
def test_a_wrong_model_says_what(text, message):
    with pytest.raises(ScenarioError, match=re.escape(message)):
        parse_model(parse_document(text, "own.yaml"), "our/model")


@pytest.mark.parametrize("name", model_names())
def test_a_model_file_is_whole(name):
    model, notes = load_model(name)
    assert (model.name, notes) == (name, ())
    assert model.source in model.sources
    used = {key for _, figure in figures_in(model) for key in (figure.source, figure.via)}
    assert set(model.sources) == (used | {model.source}) - {None}


SHAPES = {  # run with more rows in the embedding than the catalogue has
    "gpt3-175B": Shape(96, 12288, 49152, 96, 96, 128, 51200, gated_mlp=False, tied_embeddings=True)
}


def shape_trained(entry):
    if entry.model in SHAPES:
        return SHAPES[entry.model]
    return shape_of(load_model(entry.model)[0].architecture())


@pytest.mark.parametrize("entry", mfu_table().entries, ids=lambda e: f"{e.chip} {e.model}")
def test_a_default_utilisation_follows_from_its_throughput(entry):
    shape, chip = shape_trained(entry), load_chip(entry.chip)[0]
    assert entry.chip == chip.name
    assert entry.model_class == size_class(shape)
    if entry.tokens_per_s_per_chip is None:
        assert entry.remark
        return
    flop_per_s = entry.tokens_per_s_per_chip * flop_per_token(shape, entry.seq)
    assert entry.mfu == pytest.approx(flop_per_s / chip.peak_flop_per_s(entry.precision), abs=6e-4)


def test_default_utilisations_are_unique_and_below_what_a_product_reaches():
    keys = Counter((e.chip, e.model_class, e.precision) for e in mfu_table().entries)
    assert set(keys.values()) == {1}
    assert all(0.1 < entry.mfu < 0.65 for entry in mfu_table().entries)
    assert all(of in chip_names() for of in mfu_table().siblings)


def test_h100_and_910b2_are_measured_on_the_same_model():
    h100 = default_mfu("nvidia/h100-sxm", "dense 50-100B", "bf16")
    ascend = default_mfu("huawei/ascend-910b2", "dense 50-100B", "bf16")
    assert (h100.mfu, ascend.mfu) == (0.394, 0.422)
    assert h100.like == ascend.like
    assert not h100.estimate
    assert not ascend.estimate


def test_a_sibling_lends_its_figure_as_an_estimate():
    for chip in ("nvidia/h200", "nvidia/h800"):
        lent = default_mfu(chip, "dense 50-100B", "bf16")
        assert (lent.chip, lent.mfu, lent.estimate) == (chip, 0.394, True)
        assert "estimated" in sentence(lent.note)
    assert default_mfu("huawei/ascend-910b4", "dense 50-100B", "bf16").estimate
    own = default_mfu("nvidia/a100-80gb", "dense 50-100B", "bf16")
    assert not own.estimate


def test_nothing_stands_in_for_another_class_precision_or_chip():
    assert default_mfu("nvidia/h100-sxm", "dense 100-200B", "bf16") is None
    assert default_mfu("nvidia/h100-sxm", "dense 50-100B", "fp8") is None
    assert default_mfu("nvidia/h100-pcie", "dense 50-100B", "bf16") is None
    assert default_mfus("nvidia/h100-pcie") == ()


def run(command, *args):
    result = CliRunner().invoke(command, args, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_list_shows_every_chip_and_marks_estimates():
    text = run(chips)
    assert text == run(chips, "list")
    assert all(name in text for name in chip_names())
    assert "huawei/ascend-910b1 *" in text
    assert re.search(r"nvidia/h100-sxm .* 989\.4 +989\.4 +80 +3\.35 +700 +banned", text)
    assert "…" not in text
    rows = {row["name"]: row for row in json.loads(run(chips, "list", "--json"))}
    assert rows["nvidia/h100-sxm"]["bf16_flop_per_s"] == 989.4e12
    assert rows == {row["name"]: row for row in json.loads(run(chips, "--json"))}


def test_a_narrow_terminal_never_cuts_a_number(monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert re.search(r"nvidia/h100-sxm .*989\.4 +989\.4 +80 +3\.35 +700 +banned", run(chips))


def test_one_chip_is_shown_with_sources():
    text = run(chips, "show", "910B")
    assert "note: 910B is read as huawei/ascend-910b2" in text
    assert "~376 TFLOP/s" in text
    assert "https://ai.gitee.com/docs/compute/clusters_gpu/ascend_gpu" in text
    assert "not known" in text
    assert "ESTIMATE" in run(chips, "show", "910B1")
    document = json.loads(run(chips, "show", "h100", "--json"))
    assert document["peak_dense"]["bf16"]["value"] == 989.4e12
    assert document["default_mfu"][0]["mfu"] == 0.394


def test_a_chip_shows_its_watts_by_state_and_the_cap_with_the_least_energy():
    """Of measured caps of the V100 0.6 takes the least: 0.646 of the draw at 0.842 of the speed."""
    assert "comm                    ~255.7 W\n  load                    100 W" in run(
        chips, "show", "H100-SXM"
    )
    assert "none measured" in run(chips, "show", "H100-SXM")
    assert "least energy of the chip for the same work: cap 0.57" in run(chips, "show", "V100")
    document = json.loads(run(chips, "show", "V100", "--json"))
    of_chip, of_node = document["least_energy"]
    assert (of_chip["meter"], of_node["meter"]) == ("chip", "node")
    assert 0.95 * 0.646 / 0.842 < of_chip["energy_frac"] < 0.646 / 0.842
    assert of_chip["cap_frac"] < of_node["cap_frac"]
    assert document["estimated_states"] == ["compute", "comm", "load", "context", "idle"]


def test_models_are_listed_and_shown():
    text = run(models)
    assert all(name in text for name in model_names())
    rows = {row["name"]: row for row in json.loads(run(models, "--json"))}
    assert rows["meta/llama-3.1-8b"]["parameters"] == 8_030_261_248
    shown = run(models, "show", "deepseek-v3")
    assert "671,026,404,352" in shown
    assert "kv_lora_rank" in shown
    document = json.loads(run(models, "show", "mixtral", "--json"))
    assert math.isclose(document["active_parameters"], 12.88e9, rel_tol=1e-3)


@pytest.mark.parametrize("command", [chips, models])
def test_an_unknown_name_is_a_scenario_error(command):
    with pytest.raises(ScenarioError, match="computeplan") as caught:
        CliRunner().invoke(command, ["show", "nothing"], catch_exceptions=False)
    assert caught.value.exit_code == 2


# -- a chip of one's own --------------------------------------------------------------------------

TEMPLATE = (DATA / "chip.yaml").read_text("utf-8")
SCENARIO = """
computeplan: 1
name: mine
sites:
  here:
    pue: 1.2
    price: 0.08 USD/kWh
    pools: {main: {chip: my-chip.yaml, chips: 64}}
jobs:
  j:
    model: meta/llama-3.1-8b
    tokens: 1 Gtoken
    batch: 1 Mitoken
    seq: 8192
    chips: 64
    parallelism: auto
simulate: {runs: 2}
"""


def without(path):
    """Return the template without a figure, or without a whole block."""
    data = parse_document(TEMPLATE, "my-chip.yaml").data
    *above, last = path.split(".")
    inner = data
    for part in above:
        inner = inner[part]
    del inner[last]
    return json.dumps(data)


def run_with(folder, chip, **changes):
    (folder / "my-chip.yaml").write_text(chip, "utf-8")
    (folder / "s.yaml").write_text(SCENARIO, "utf-8")
    return simulate(load(folder / "s.yaml").with_(changes))


def test_the_template_of_a_chip_is_shown_prices_a_step_and_runs(tmp_path):
    printed = CliRunner().invoke(chips, ["template"])
    assert (printed.exit_code, printed.output) == (0, TEMPLATE)
    path = tmp_path / "my-chip.yaml"
    path.write_text(printed.output, "utf-8")
    shown = CliRunner().invoke(chips, ["show", str(path)])
    assert shown.exit_code == 0
    assert "acme/x1  Acme X1" in shown.output
    assert "400 TFLOP/s" in shown.output
    as_json = json.loads(CliRunner().invoke(chips, ["show", str(path), "--json"]).output)
    assert as_json["peak_dense"]["bf16"] == {
        "value": 4e14,
        "source": "scenario",
        "confidence": "user",
        "note": None,
        "via": None,
    }
    assert price_step("llama-3.1-8b", str(path), 64).chip == "acme/x1"
    result = run_with(tmp_path, TEMPLATE)
    assert math.isfinite(result.cases["mine"].values["cost_usd"][0])


def test_what_the_template_says_in_comments_loads_too():
    """Each line that is commented out, with `extends` in the place of what it gives."""
    lines = [
        re.sub(r"^# (?=(extends|price|sources|  \w+): |\w+:$)", "", x) for x in TEMPLATE.split("\n")
    ]
    chip, _ = parse_chip(parse_document("\n".join(lines), "my-chip.yaml"))
    assert chip.price.low.value.currency == "CNY"
    assert chip.sources["sheet"].kind == "datasheet"
    assert chip.memory.type.value == "HBM2e"  # of what it extends


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "memory.capacity",
            "memory.capacity is missing; write in your chip memory: {capacity: 80 GB}",
        ),
        ("memory", "acme/x1: memory.capacity is missing; write in your chip memory: {"),
        ("memory.bandwidth", "write in your chip memory: {bandwidth: 2 TB/s}"),
        ("scale_up.bandwidth", "write in your chip scale_up: {bandwidth: 400 GB/s}"),
        ("scale_out", "write in your chip scale_out: {bandwidth: 200 Gbit/s}"),
        ("peak_dense.bf16", "write in your chip peak_dense: {bf16: 400 TFLOP/s}"),
        ("server", "no server is known for my-chip.yaml; write chips_per_node: 8"),
    ],
)
def test_a_figure_that_ones_own_chip_lacks_is_named_with_what_to_write(tmp_path, path, message):
    for changes in ({}, {"sites.here.pools.main.network.oversubscription": 2}):
        with pytest.raises(ScenarioError, match=re.escape(message)) as caught:
            run_with(tmp_path, without(path), **changes)
        assert "published" not in str(caught.value)


def test_ones_own_chip_without_a_tdp_says_where_to_write_it(tmp_path):
    said = [sentence(note) for note in run_with(tmp_path, without("power")).notes]
    (found,) = [text for text in said if "no TDP" in text]
    assert "fill in power.tdp of your chip" in found
    assert not any("TDP is published" in text for text in said)


def test_a_chip_of_the_catalogue_says_what_is_not_published():
    with pytest.raises(ScenarioError, match="is not published; give it in a chip of your own"):
        price_step("llama-3.1-8b", "hygon/k100-ai", 64)


def test_models_show_takes_files(tmp_path):
    model = tmp_path / "mine.yaml"
    model.write_text("layers: 2\nhidden: 64\nffn: 256\nheads: 4\nvocab: 100\n", "utf-8")
    shown = CliRunner().invoke(models, ["show", str(model)])
    assert shown.exit_code == 0
    assert re.search(r"layers +2\n", shown.output)
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "model_type": "gpt2",
                "n_embd": 64,
                "n_layer": 3,
                "n_head": 4,
                "n_positions": 1024,
                "vocab_size": 100,
            }
        )
    )
    shown = CliRunner().invoke(models, ["show", str(config)])
    assert re.search(r"layers +3\n", shown.output)


LINEAR = "linear_attention: {heads: 4, key_dim: 8, value_dim: 16}"


def own(text):
    return shape_of(parse_model(parse_document(text, "own.yaml"), "our/model")[0].architecture())


def test_every_nth_layer_in_full_is_two_kinds_of_layers():
    moe = "moe: {experts: 8, top_k: 2, expert_ffn: 32"
    short = own(
        f"{{{PLAIN.replace('layers: 2', 'layers: 8')}, {LINEAR}, full_attention_every: 4,"
        f" {moe}, dense_layers: 1}}}}"
    )
    whole = own(
        f"{{{PLAIN.replace('layers: 2', 'layers: 8')}, {moe}}}, layer_kinds: ["
        f"{{layers: 1, {LINEAR}, moe: none}}, {{layers: 2}}, {{layers: 5, {LINEAR}}}]}}"
    )
    assert short == whole
    assert short.moe.dense_layers == 1
    assert [(kind.layers, kind.linear is None) for kind in short.kinds] == [
        *((1, False), (2, True), (5, False))
    ]


def test_a_model_whose_layers_all_are_linear_is_one_kind():
    assert own(f"{{{PLAIN}, {LINEAR}}}").linear.key_heads == 4


def test_how_a_files_ending_is_written_does_not_matter(tmp_path):
    model = tmp_path / "MINE.YML"
    model.write_text(f"{{{PLAIN}}}", "utf-8")
    assert CliRunner().invoke(models, ["show", str(model)]).exit_code == 0


def test_models_show_counts_extra_layers_apart(tmp_path):
    model = tmp_path / "mine.yaml"
    model.write_text(f"{{{PLAIN}, {LINEAR}, full_attention_every: 2, mtp: 1}}", "utf-8")
    shown = CliRunner().invoke(models, ["show", str(model)])
    assert shown.exit_code == 0
    assert "1 extra prediction layer (multi-token prediction) counted" in re.sub(
        r"\s+", " ", shown.output
    )
    assert "extra prediction layers (1), counted apart" in shown.output
    assert re.search(r"linear_attention.key_dim +8\n", shown.output)
    found = json.loads(CliRunner().invoke(models, ["show", str(model), "--json"]).output)
    assert found["mtp_parameters"] > 0
    assert found["parameters"] == n_parameters(own(model.read_text("utf-8")))


def test_models_show_tells_kinds_of_layers(tmp_path):
    model = tmp_path / "mine.yaml"
    kinds = "layer_kinds: [{layers: 1}, {layers: 1, mlp: none, sliding_window: 8}]"
    model.write_text(f"{{{PLAIN}, {kinds}}}", "utf-8")
    shown = CliRunner().invoke(models, ["show", str(model)]).output
    assert re.search(r"1 layers +as above\n", shown)
    assert re.search(r"1 layers +mlp: none, sliding_window: 8\n", shown)
