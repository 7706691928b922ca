"""Public configs give the published parameter counts, or are refused with what is missing.

``public_configs.json`` holds the numbers of the 86 config.json that ai-dynamo/aiconfigurator ships
(commit 095f58a), those that matter: one row for files that say the same, with the published count
and where it stands. ``beside`` is what the published count holds besides the language model;
``mtp`` says that it holds the extra prediction layers; ``digits`` that it is rounded to so many.
Counts "of the GGUF" stand in logs of llama.cpp, which prints them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from computeplan.errors import ScenarioError
from computeplan.physics.steptime.layer import attention_products, dense_of_rank, weights_of
from computeplan.physics.steptime.transformer import (
    Shape,
    kinds_of,
    n_mtp_parameters,
    n_parameters,
    shape_of,
)
from computeplan.specs.catalogue.hf_config import transformer_from_config
from computeplan.specs.catalogue.lookup import parse_model
from computeplan.specs.documents.document import Document

ROWS = json.loads((Path(__file__).parent / "public_configs.json").read_text("utf-8"))
MOST = 0.005
"""Share by which a count may differ from a published one that is rounded."""
MOST_OF_EXACT = 0.0005
"""The same, where that is exact: it may hold vectors that are left out, and what reads images."""


def whole(value):
    """Return a config with its lists written out."""
    if isinstance(value, dict) and "repeat" in value:
        return whole(value["repeat"] * value["times"] + value["then"])
    if isinstance(value, dict) and "runs" in value:
        return [whole(item) for item, n in value["runs"] for _ in range(n)]
    if isinstance(value, dict):
        return {key: whole(inner) for key, inner in value.items()}
    return [whole(item) for item in value] if isinstance(value, list) else value


def shape(config, name="mine") -> Shape:
    document = Document(transformer_from_config(config, name), name)
    return shape_of(parse_model(document, name)[0].architecture())


def problems(config):
    with pytest.raises(ScenarioError) as caught:
        transformer_from_config(config, "mine")
    return {problem.path: problem.message for problem in caught.value.problems}


READ = [row for row in ROWS if "source" in row]


@pytest.mark.parametrize("row", READ, ids=lambda row: row["names"][0])
def test_a_public_config_gives_the_published_count(row):
    found = shape(whole(row["config"]))
    counted = n_parameters(found) + row.get("beside", 0)
    if row.get("mtp"):
        counted += n_mtp_parameters(found)
    published, digits = row["published"], row.get("digits", 12)
    half_a_digit = 0.5 * 10 ** (len(str(published)) - digits)
    most = MOST if published % 10**6 == 0 else MOST_OF_EXACT
    assert abs(counted - published) <= max(most * published, half_a_digit)


def test_at_least_80_of_86_are_read_and_few_counts_are_rounded():
    assert sum(len(row["names"]) for row in ROWS) == 86
    assert sum(len(row["names"]) for row in READ) >= 80
    rounded = {name for row in READ if "digits" in row for name in row["names"]}
    assert {name.partition("/")[2].partition("-B")[0] for name in rounded} == {
        *("DeepSeek-V4-Pro", "DeepSeek-V4-Pro-NVFP4", "DeepSeek-V4-Pro-FP8", "Nemotron-H-56B")
    }


@pytest.mark.parametrize("row", [row for row in ROWS if "refused" in row])
def test_the_others_are_refused_with_what_is_missing(row):
    (message,) = problems(whole(row["config"])).values()
    assert row["refused"] in message
    assert "is missing" in message


def test_the_stored_numbers_of_deepseek_v4_pro():
    """Hugging Face counts 862e9: two FP4 weights of routed experts in one, a scale for each 32."""
    row = next(row for row in ROWS if "deepseek-ai/DeepSeek-V4-Pro" in row["names"])
    found = shape(whole(row["config"]))
    moe = found.moe
    routed = (found.layers + found.mtp) * moe.experts * 3 * found.hidden * moe.expert_ffn
    rest = n_parameters(found) + n_mtp_parameters(found) - routed
    assert routed / 2 + routed / 32 + rest == pytest.approx(862e9, rel=MOST)


def test_what_llama_4_reads_images_with_is_the_same_in_both():
    both = [row for row in READ if "Llama-4" in row["names"][0]]
    maverick, scout = (n_parameters(shape(whole(row["config"]))) for row in both)
    assert maverick - scout == both[0]["published"] - both[1]["published"]


# -- families beyond those files -------------------------------------------------------------------


def llama_like(hidden, ffn, layers, heads, kv_heads, vocab, **more):
    return {
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocab,
        **more,
    }


GRANITE_LAYERS = [*["mamba"] * 5, *(["attention"] + ["mamba"] * 9) * 3, "attention", *["mamba"] * 4]
KDA_LAYERS = [i for i in range(1, 27) if i % 4]
STEP_LAYERS = [*(["full_attention"] + ["sliding_attention"] * 3) * 11, "full_attention"]
GRANITE_STATE = {
    "model_type": "granitemoehybrid",
    "layer_types": GRANITE_LAYERS,
    "mamba_d_head": 64,
    "mamba_d_state": 128,
    "mamba_n_groups": 1,
    "tie_word_embeddings": True,
}
FAMILIES = {
    "phi-2": (2_779_683_840, llama_like(2560, 10240, 32, 32, None, 51200, model_type="phi")),
    "command-r": (34_980_831_232, llama_like(8192, 22528, 40, 64, 64, 256000, model_type="cohere")),
    "command-r7b": (
        8_028_033_024,
        llama_like(
            4096,
            14336,
            32,
            32,
            8,
            256000,
            model_type="cohere2",
            sliding_window=4096,
            sliding_window_pattern=4,
        ),
    ),
    "phi-3.5-moe": (
        41_873_153_344,
        llama_like(
            4096,
            6400,
            32,
            32,
            8,
            32064,
            model_type="phimoe",
            num_local_experts=16,
            num_experts_per_tok=2,
            attention_bias=True,
            lm_head_bias=True,
            sliding_window=131072,
            tie_word_embeddings=False,
        ),
    ),
    "starcoder": (
        15_517_456_384,
        {
            "model_type": "gpt_bigcode",
            "n_embd": 6144,
            "n_layer": 40,
            "n_head": 48,
            "n_inner": 24576,
            "n_positions": 8192,
            "vocab_size": 49152,
            "multi_query": True,
        },
    ),
    "granite-3.1-8b": (
        8_170_848_256,
        llama_like(4096, 12800, 40, 32, 8, 49155, model_type="granite", tie_word_embeddings=True),
    ),
    "granite-3.0-3b-a800m": (
        3_300_000_000,
        llama_like(
            1536,
            512,
            32,
            24,
            8,
            49155,
            model_type="granitemoe",
            num_local_experts=40,
            num_experts_per_tok=8,
            tie_word_embeddings=True,
        ),
    ),
    "olmoe": (
        6_919_161_856,
        llama_like(
            2048, 1024, 16, 16, 16, 50304, model_type="olmoe", num_experts=64, num_experts_per_tok=8
        ),
    ),
    "olmo-3-7b": (7_298_011_136, llama_like(4096, 11008, 32, 32, 32, 100278, model_type="olmo3")),
    "dbrx": (
        131_596_523_520,
        {
            "model_type": "dbrx",
            "d_model": 6144,
            "n_heads": 48,
            "n_layers": 40,
            "vocab_size": 100352,
            "attn_config": {"kv_n_heads": 8},
            "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
        },
    ),
    "minitron-8b": (
        8_271_699_968,
        llama_like(4096, 16384, 32, 48, 8, 256000, model_type="nemotron", head_dim=128),
    ),
    "mistral-small-3.1": (
        23_572_403_200,
        {
            "model_type": "mistral3",
            "text_config": llama_like(
                5120,
                32768,
                40,
                32,
                8,
                131072,
                model_type="mistral",
                head_dim=128,
                sliding_window=None,
            ),
        },
    ),
    "minicpm-2b": (2_724_880_896, llama_like(2304, 5760, 40, 36, 36, 122753, model_type="minicpm")),
    "jamba": (
        51_570_323_328,
        llama_like(4096, 14336, 32, 32, 8, 65536, model_type="jamba", mamba_dt_rank=256),
    ),
    "mamba-2.8b": (
        2_768_345_600,
        {
            "model_type": "mamba",
            "hidden_size": 2560,
            "num_hidden_layers": 64,
            "vocab_size": 50280,
            "time_step_rank": 160,
        },
    ),
    "mamba-codestral-7b": (
        7_285_403_648,
        {
            "model_type": "mamba2",
            "hidden_size": 4096,
            "num_hidden_layers": 64,
            "vocab_size": 32768,
            "num_heads": 128,
            "head_dim": 64,
            "n_groups": 8,
            "state_size": 128,
        },
    ),
    "qwen3-next": (
        79_674_391_296,
        llama_like(
            2048,
            5120,
            48,
            16,
            2,
            151936,
            model_type="qwen3_next",
            head_dim=256,
            linear_num_value_heads=32,
            linear_num_key_heads=16,
            linear_key_head_dim=128,
            linear_value_head_dim=128,
            num_experts=512,
            num_experts_per_tok=10,
            moe_intermediate_size=512,
            shared_expert_intermediate_size=512,
        ),
    ),
    "kimi-linear": (
        49_122_681_728,
        {
            "model_type": "kimi_linear",
            "hidden_size": 2304,
            "intermediate_size": 9216,
            "num_hidden_layers": 27,
            "num_attention_heads": 32,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "vocab_size": 163840,
            "num_experts": 256,
            "num_experts_per_token": 8,
            "moe_intermediate_size": 1024,
            "num_shared_experts": 1,
            "first_k_dense_replace": 1,
            "linear_attn_config": {"kda_layers": KDA_LAYERS, "num_heads": 32, "head_dim": 128},
        },
    ),
    "granite-4.0-h-small": (
        32_200_000_000,
        llama_like(
            4096,
            768,
            40,
            32,
            8,
            100352,
            **GRANITE_STATE,
            mamba_n_heads=128,
            num_local_experts=72,
            num_experts_per_tok=10,
            shared_intermediate_size=1536,
        ),
    ),
    "granite-4.0-h-micro": (
        3_190_000_000,
        llama_like(
            2048,
            8192,
            40,
            32,
            8,
            100352,
            **GRANITE_STATE,
            mamba_n_heads=64,
            num_local_experts=0,
            shared_intermediate_size=8192,
        ),
    ),
    "nemotron-h-8b": (
        8_100_000_000,
        {
            "model_type": "nemotron_h",
            "hidden_size": 4096,
            "intermediate_size": 21504,
            "hybrid_override_pattern": "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
            "mamba_num_heads": 128,
            "mamba_head_dim": 64,
            "n_groups": 8,
            "ssm_state_size": 128,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "attention_head_dim": 128,
            "vocab_size": 131072,
        },
    ),
    "step-3.5-flash": (
        196_800_000_000,
        llama_like(
            4096,
            11264,
            45,
            64,
            None,
            128896,
            model_type="step3p5",
            head_dim=128,
            num_attention_groups=8,
            layer_types=STEP_LAYERS,
            attention_other_setting={
                "num_attention_heads": 96,
                "num_attention_groups": 8,
                "head_dim": 128,
            },
            sliding_window=512,
            moe_num_experts=288,
            moe_top_k=8,
            moe_intermediate_size=1280,
            share_expert_dim=1280,
            moe_layers_enum=",".join(map(str, range(3, 45))),
            use_head_wise_attn_gate=True,
        ),
    ),
}
"""Published: size of the safetensors on Hugging Face; arXiv 2403.19887 for Jamba."""


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_gives_its_published_count(name):
    published, config = FAMILIES[name]
    assert n_parameters(shape(config)) == pytest.approx(published, rel=MOST)


@pytest.mark.parametrize(
    "name", ["phi-2", "command-r", "phi-3.5-moe", "dbrx", "jamba", "mamba-2.8b"]
)
def test_these_are_exact(name):
    published, config = FAMILIES[name]
    assert n_parameters(shape(config)) == published


# -- which family a file is of ---------------------------------------------------------------------

LLAMA = llama_like(4096, 14336, 32, 32, 8, 128256, model_type="llama")


def test_architectures_tell_the_family_where_model_type_does_not():
    own = {**LLAMA, "model_type": "acme_7", "architectures": ["LlamaForCausalLM"]}
    assert shape(own) == shape(LLAMA)
    read = transformer_from_config(own, "mine")
    assert (
        "model_type acme_7, read as llama by its architectures"
        in read["sources"]["config"]["title"]
    )
    del own["model_type"]
    assert shape(own) == shape(LLAMA)


@pytest.mark.parametrize("classes", ["LlamaForCausalLM", [7, None], [], ["AcmeForCausalLM"], {}])
def test_architectures_that_say_nothing(classes):
    found = problems({**LLAMA, "model_type": "acme_7", "architectures": classes})
    assert "'acme_7' is not known here" in found["model_type"]


@pytest.mark.parametrize(
    "name",
    ["gemma5", "gemma9_text", "deepseek_v9", "qwen4", "phi4", "olmo4", "llama9", "glm5", "opt2"],
)
def test_no_other_family_is_suggested(name):
    assert "Did you mean" not in problems({**LLAMA, "model_type": name})["model_type"]


@pytest.mark.parametrize(
    ("name", "meant"), [("lama", "llama"), ("Llama", "llama"), ("qwen3-moe", "qwen3_moe")]
)
def test_a_misspelt_family_is(name, meant):
    assert f"Did you mean '{meant}'?" in problems({**LLAMA, "model_type": name})["model_type"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_experts", 8),
        ("n_routed_experts", 64),
        ("kv_lora_rank", 512),
        ("index_n_heads", 64),
        ("ssm_state_size", 128),
        ("linear_num_value_heads", 32),
        ("hidden_size_per_layer_input", 256),
        ("cross_attention_layers", [3, 8]),
        ("layer_types", ["linear_attention"] * 32),
    ],
)
def test_a_file_that_tells_of_more_than_its_family_has_is_refused(key, value):
    assert "known of llama" in problems({**LLAMA, key: value})[key]


@pytest.mark.parametrize("name", ["phi3small", "gemma3n", "falcon_h1", "t5", "zamba2"])
def test_what_no_shape_says_is_refused_with_the_reason(name):
    assert "cannot be said by a shape: " in problems({**LLAMA, "model_type": name})["model_type"]


def test_a_larger_network_has_its_language_model_counted_and_a_note():
    config = {"model_type": "acme_sees", "text_config": LLAMA, "vision_config": {"depth": 4}}
    document = Document(transformer_from_config(config, "mine"), "mine")
    model, notes = parse_model(document, "mine")
    assert shape_of(model.architecture()) == shape(LLAMA)
    assert [note.code for note in notes] == ["language_model_only"]


# -- what follows from a shape of several kinds ----------------------------------------------------


@pytest.mark.parametrize("row", READ[::3], ids=lambda row: row["names"][0])
def test_the_products_of_a_layer_are_its_weights(row):
    """Memory and time are priced from the products, FLOP from the parameters."""
    found = shape(whole(row["config"]))
    for kind in kinds_of(found):
        weights, experts = weights_of(kind), kind.moe is not None
        for tp in (1, 2):
            held = dense_of_rank(kind, tp, experts=experts)
            parts = weights.attention + (weights.beside if experts else weights.mlp)
            assert held * tp >= parts * (1 - 1e-12)
        assert sum(n * k for n, k in attention_products(kind, 1)) == weights.attention
    assert sum(kind.layers for kind in kinds_of(found)) == found.layers


# -- hostile files ---------------------------------------------------------------------------------

CONFIGS = [*(whole(row["config"]) for row in ROWS), *(config for _, config in FAMILIES.values())]
ODD = st.sampled_from(
    [
        *(None, 0, -1, 1.5, True, False, "", "x", "M*E-", 10**8, 10**9, 10**400),
        *(float("nan"), float("inf"), [], [1], [[]], {}, {"a": 1}),
        *(["x"] * 40, [None] * 60, [{}] * 80),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_gives_a_model_or_an_error_of_ours(data):
    config = data.draw(st.sampled_from(CONFIGS))
    inner = next((key for key in ("text_config", "attn_config") if key in config), None)
    part = config if inner is None or data.draw(st.booleans()) else config[inner]
    changes = data.draw(st.dictionaries(st.sampled_from([*part, "kv_lora_rank"]), ODD, max_size=2))
    changed = {**part, **changes}
    if part is not config:
        changed = {**config, inner: changed}
    try:
        found = shape(changed)
    except ScenarioError:
        return
    assert n_parameters(found) > 0
