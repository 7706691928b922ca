"""Published configs give published parameter counts; what is wrong in one is named, all at once."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from computeplan.cli.catalogue import models
from computeplan.cli.main import main
from computeplan.errors import ScenarioError
from computeplan.physics.steptime.transformer import n_active_parameters, n_parameters, shape_of
from computeplan.specs.catalogue.hf_config import load_config, transformer_from_config
from computeplan.specs.catalogue.lookup import load_model, parse_model
from computeplan.specs.documents.document import Document, parse_document
from computeplan.specs.scenario import Scenario, load

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "rope_scaling": {"factor": 8.0, "rope_type": "llama3"},
    "eos_token_id": [128001, 128008],
}
QWEN2 = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "max_window_layers": 28,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "sliding_window": 131072,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 152064,
}
QWEN3_MOE = {
    "model_type": "qwen3_moe",
    "attention_bias": False,
    "decoder_sparse_step": 1,
    "head_dim": 128,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "max_window_layers": 48,
    "mlp_only_layers": [],
    "moe_intermediate_size": 768,
    "num_attention_heads": 32,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
QWEN2_MOE = {
    "model_type": "qwen2_moe",
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "max_window_layers": 21,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "num_key_value_heads": 16,
    "sliding_window": 32768,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
    "decoder_sparse_step": 1,
    "moe_intermediate_size": 1408,
    "shared_expert_intermediate_size": 5632,
    "num_experts_per_tok": 4,
    "num_experts": 60,
}
DEEPSEEK_V3 = {
    "model_type": "deepseek_v3",
    "attention_bias": False,
    "first_k_dense_replace": 3,
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "moe_intermediate_size": 2048,
    "moe_layer_freq": 1,
    "n_group": 8,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_attention_heads": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 1536,
    "topk_group": 4,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "tie_word_embeddings": False,
    "v_head_dim": 128,
    "vocab_size": 129280,
}
DEEPSEEK_V2_LITE = {
    "model_type": "deepseek_v2",
    "first_k_dense_replace": 1,
    "hidden_size": 2048,
    "intermediate_size": 10944,
    "kv_lora_rank": 512,
    "moe_intermediate_size": 1408,
    "moe_layer_freq": 1,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_attention_heads": 16,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 27,
    "num_key_value_heads": 16,
    "q_lora_rank": None,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 102400,
}
GEMMA2 = {
    "model_type": "gemma2",
    "head_dim": 256,
    "hidden_size": 3584,
    "intermediate_size": 14336,
    "num_attention_heads": 16,
    "num_hidden_layers": 42,
    "num_key_value_heads": 8,
    "sliding_window": 4096,
    "vocab_size": 256000,
}
GEMMA3 = {  # what equals the defaults of the class is left out
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27},
}
MIXTRAL = {
    "model_type": "mixtral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}
GPT2 = {
    "model_type": "gpt2",
    "n_ctx": 1024,
    "n_embd": 768,
    "n_head": 12,
    "n_layer": 12,
    "n_positions": 1024,
    "n_inner": None,
    "vocab_size": 50257,
}
BLOOM = {
    "model_type": "bloom",
    "n_embed": 14336,
    "n_layer": 70,
    "num_attention_heads": 112,
    "vocab_size": 250880,
}
GPT_OSS = {
    "model_type": "gpt_oss",
    "attention_bias": True,
    "head_dim": 64,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
    "num_attention_heads": 64,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "num_local_experts": 128,
    "sliding_window": 128,
    "tie_word_embeddings": False,
    "vocab_size": 201088,
}
MISTRAL = {
    "model_type": "mistral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}
CHATGLM = {
    "model_type": "chatglm",
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "ffn_hidden_size": 13696,
    "hidden_size": 4096,
    "kv_channels": 128,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 32,
    "num_layers": 28,
    "padded_vocab_size": 65024,
    "rmsnorm": True,
    "tie_word_embeddings": False,
}
FALCON_40B = {
    "model_type": "falcon",
    "bias": False,
    "hidden_size": 8192,
    "new_decoder_architecture": True,
    "num_attention_heads": 128,
    "num_hidden_layers": 60,
    "num_kv_heads": 8,
    "vocab_size": 65024,
}
STARCODER2 = {
    "model_type": "starcoder2",
    "hidden_size": 4608,
    "intermediate_size": 18432,
    "norm_type": "layer_norm",
    "num_attention_heads": 36,
    "num_hidden_layers": 32,
    "num_key_value_heads": 4,
    "sliding_window": 4096,
    "use_bias": True,
    "vocab_size": 49152,
}
INTERNLM2 = {
    "model_type": "internlm2",
    "bias": False,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "vocab_size": 92544,
}
BAICHUAN = {
    "model_type": "baichuan",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "tie_word_embeddings": False,
    "vocab_size": 125696,
}
OLMO2 = {
    "model_type": "olmo2",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "tie_word_embeddings": False,
    "vocab_size": 100352,
}
OPT = {
    "model_type": "opt",
    "ffn_dim": 3072,
    "hidden_size": 768,
    "max_position_embeddings": 2048,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "vocab_size": 50272,
    "word_embed_proj_dim": 768,
}
GPT_NEOX = {
    "model_type": "gpt_neox",
    "hidden_size": 4096,
    "intermediate_size": 16384,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "tie_word_embeddings": False,
    "vocab_size": 50432,
}
MPT = {
    "model_type": "mpt",
    "attn_config": {"alibi": True, "attn_type": "multihead_attention"},
    "d_model": 4096,
    "expansion_ratio": 4,
    "learned_pos_emb": True,
    "max_seq_len": 2048,
    "n_heads": 32,
    "n_layers": 32,
    "no_bias": True,
    "vocab_size": 50432,
}


def shape(config):
    document = Document(transformer_from_config(config, "mine"), "config.json")
    return shape_of(parse_model(document, "mine")[0].architecture())


def problems(config):
    with pytest.raises(ScenarioError) as caught:
        transformer_from_config(config, "mine")
    return {problem.path: problem.message for problem in caught.value.problems}


# -- published counts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "counted", "left_out"),
    [
        (LLAMA, 8_030_261_248, 0),
        (QWEN2, 7_615_616_512, 0),
        (QWEN3_MOE, 30_532_122_624, 48 * 2 * 128),  # the norms of queries and keys
        (DEEPSEEK_V3, 671_026_419_200, 58 * 256),  # the biases of the routers
        (GEMMA2, 9_241_705_984, 42 * 2 * 3584),  # a norm behind each block, too
        (GEMMA3, 3_880_099_328 + 64 * 2560, 34 * 2 * (2560 + 256)),  # 64 more rows: their default
        (MIXTRAL, 46_702_792_704, 0),
        (GPT2, 124_439_808, 0),
        (BLOOM, 176_247_271_424, 0),
        (MISTRAL, 7_241_732_096, 0),
        (CHATGLM, 6_243_584_000, 0),
        (FALCON_40B, 41_303_293_952, 0),
        (STARCODER2, 7_173_923_840, 0),
        (INTERNLM2, 7_737_708_544, 0),
        (BAICHUAN, 7_505_973_248, 0),
        (OLMO2, 7_298_617_344, 32 * 2 * 4096),
        (OPT, 125_239_296, 0),
        (GPT_NEOX, 6_857_302_016, 0),
        (MPT, 6_649_286_656, 0),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_published_counts_are_exact(config, counted, left_out):
    assert n_parameters(shape(config)) + left_out == counted


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (LLAMA, "llama-3.1-8b"),
        (QWEN2, "qwen2.5-7b"),
        (QWEN3_MOE, "qwen3-30b-a3b"),
        (DEEPSEEK_V3, "deepseek-v3"),
        (DEEPSEEK_V2_LITE, "deepseek-v2-lite"),
        (GEMMA2, "gemma-2-9b"),
        (MIXTRAL, "mixtral-8x7b"),
        (GPT2, "gpt-2-124m"),
        (BLOOM, "bloom-176b"),
        (GPT_OSS, "gpt-oss-120b"),
        (MISTRAL, "mistral-7b"),
        (CHATGLM, "chatglm3-6b"),
        (FALCON_40B, "falcon-40b"),
        (STARCODER2, "starcoder2-7b"),
        (INTERNLM2, "internlm2-7b"),
        (BAICHUAN, "baichuan2-7b"),
        (OLMO2, "olmo-2-7b"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_config_gives_the_shape_that_the_catalogue_has(config, name):
    main = replace(shape(config), mtp=0)  # the catalogue has no extra prediction layers
    assert main == shape_of(load_model(name)[0].architecture())


# -- traps ---------------------------------------------------------------------------------------


def test_use_sliding_window_false_switches_the_window_off():
    assert shape(QWEN2).sliding_window is None
    on = shape({**QWEN2, "use_sliding_window": True, "max_window_layers": 14})
    assert (on.sliding_window, on.full_attention_every) == (131072, 2)
    assert shape({**QWEN2, "use_sliding_window": True}).sliding_window is None  # from layer 28 on
    on = shape({**QWEN2, "use_sliding_window": True, "max_window_layers": 0})
    assert (on.sliding_window, on.full_attention_every) == (131072, None)
    found = problems({**QWEN2, "use_sliding_window": True, "max_window_layers": 21})
    assert found == {
        "max_window_layers": "21 of 28 layers attend in full, which is not every n-th one"
    }


@pytest.mark.parametrize(
    ("config", "changes", "window", "every"),
    [
        (MISTRAL, {"sliding_window": None}, None, None),
        (MIXTRAL, {"sliding_window": 4096}, 4096, None),
        (GEMMA2, {}, 4096, 2),
        (GEMMA3, {}, 1024, 6),
        (LLAMA, {"sliding_window": 4096}, None, None),  # Llama does not know it
        (GPT_OSS, {"layer_types": None}, 128, 2),
        (GPT_OSS, {"layer_types": ["full_attention"] * 36}, None, None),
        (GPT_OSS, {"layer_types": ["sliding_attention"] * 36}, 128, None),
        (
            GEMMA3["text_config"],
            {"layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 5
             + ["sliding_attention"] * 4},
            1024,
            6,
        ),
    ],
)  # fmt: skip
def test_which_layers_slide(config, changes, window, every):
    found = shape({**config, **changes})
    assert (found.sliding_window, found.full_attention_every) == (window, every)


def test_a_window_that_is_left_out_has_the_default_of_its_class():
    assert shape({k: v for k, v in MISTRAL.items() if k != "sliding_window"}).sliding_window == 4096
    assert shape({k: v for k, v in MIXTRAL.items() if k != "sliding_window"}).sliding_window is None


def test_key_value_heads_left_out_are_as_many_as_heads():
    assert shape({**LLAMA, "num_key_value_heads": None}).kv_heads == 32


def test_the_width_of_a_head_left_out_follows_or_has_the_default_of_its_class():
    assert shape(LLAMA).head_dim == 128
    assert shape({**LLAMA, "head_dim": 64}).head_dim == 64
    assert shape({**GEMMA2, "head_dim": None}).head_dim == 256
    assert shape({**QWEN3_MOE, "head_dim": None}).head_dim == 128
    assert "head_dim" in problems({**LLAMA, "num_attention_heads": 24})


@pytest.mark.parametrize(
    ("config", "tied"),
    [
        *((config, True) for config in (GEMMA2, GEMMA3, GPT2, BLOOM, OPT, FALCON_40B, STARCODER2)),
        *((config, False) for config in (LLAMA, QWEN2, MIXTRAL, GPT_NEOX, OLMO2, DEEPSEEK_V3)),
    ],
)
def test_whether_embeddings_are_tied_if_the_file_does_not_say(config, tied):
    silent = {k: v for k, v in config.items() if k != "tie_word_embeddings"}
    assert shape(silent).tied_embeddings is tied
    assert shape({**silent, "tie_word_embeddings": not tied}).tied_embeddings is not tied


def test_shared_experts_count_in_widths_of_an_expert():
    found = shape(QWEN2_MOE)
    assert (found.moe.experts, found.moe.top_k, found.moe.shared_experts) == (60, 4, 4)
    assert n_parameters(found) / 1e9 == pytest.approx(14.3, abs=0.05)
    assert n_active_parameters(found) / 1e9 == pytest.approx(2.7, abs=0.05)
    (message,) = problems({**QWEN2_MOE, "shared_expert_intermediate_size": 5000}).values()
    assert "5000 is no multiple of moe_intermediate_size 1408" in message


@pytest.mark.parametrize(
    ("config", "changes", "key"),
    [
        (QWEN3_MOE, {"decoder_sparse_step": 2}, "decoder_sparse_step"),
        (QWEN3_MOE, {"mlp_only_layers": [3]}, "mlp_only_layers"),
        (DEEPSEEK_V3, {"moe_layer_freq": 2}, "moe_layer_freq"),
        (DEEPSEEK_V3, {"first_k_dense_replace": 61}, "first_k_dense_replace"),
        (OPT, {"word_embed_proj_dim": 512}, "word_embed_proj_dim"),
        (GPT_OSS, {"layer_types": ["linear_attention"] * 36}, "layer_types"),
        (GPT_OSS, {"layer_types": ["full_attention"] * 2}, "layer_types"),
        (MPT, {"expansion_ratio": 2.5}, "expansion_ratio"),
        (MPT, {"attn_config": 3}, "attn_config"),
        (MPT, {"attn_config": {"alibi": "yes"}}, "attn_config.alibi"),
        (GEMMA3, {"text_config": None}, "text_config"),
        (GEMMA3, {"text_config": 3}, "text_config"),
        (GEMMA3, {"text_config": {**GEMMA3["text_config"], "hidden_size": "x"}},
         "text_config.hidden_size"),
    ],
)  # fmt: skip
def test_what_no_shape_expresses_is_refused_by_name(config, changes, key):
    assert list(problems({**config, **changes})) == [key]


def test_first_layers_without_experts_are_dense():
    assert shape({**QWEN3_MOE, "mlp_only_layers": [0, 1]}).moe.dense_layers == 2


def test_falcon_7b_has_one_key_and_value_head():
    small = {**FALCON_40B, "new_decoder_architecture": False, "multi_query": True}
    assert shape(small).kv_heads == 1
    assert shape({**small, "multi_query": False}).kv_heads == 128


def test_mpt_with_positions_and_biases():
    found = shape({**MPT, "attn_config": {"alibi": False}, "no_bias": False})
    assert (found.learned_positions, found.biases, found.norm) == (2048, "all", "layer")


# -- hostile input -------------------------------------------------------------------------------


def test_everything_missing_is_named_at_once():
    assert set(problems({"model_type": "llama"})) == {
        *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        "vocab_size",
    }


@pytest.mark.parametrize("bad", [0, -1, 1.5, "32", True, [32], {}, 10**9, 10**400, math.nan])
def test_a_number_that_is_none_is_refused_under_its_name(bad):
    found = problems({**LLAMA, "num_hidden_layers": bad, "vocab_size": bad})
    assert set(found) == {"num_hidden_layers", "vocab_size"}
    assert all("must be a whole number from 1 to" in message for message in found.values())
    assert all(len(message) < 120 for message in found.values())


@pytest.mark.parametrize("bad", [None, "lama", "", 7, ["llama"], {"a": 1}, "x" * 10**6])
def test_an_unknown_model_type_is_told_the_known_ones(bad):
    (message,) = problems({**LLAMA, "model_type": bad}).values()
    assert "Known: baichuan, bloom, chatglm," in message
    assert len(message) < 1000
    assert ("Did you mean 'llama'?" in message) is (bad == "lama")


def test_a_wrong_switch_is_refused():
    assert set(problems({**LLAMA, "tie_word_embeddings": "no"})) == {"tie_word_embeddings"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.data())
def test_any_change_gives_a_model_or_an_error_of_ours(data):
    config = dict(data.draw(st.sampled_from([LLAMA, QWEN2_MOE, DEEPSEEK_V3, GEMMA3, MPT, GPT2])))
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), max_size=3)):
        config[key] = data.draw(values)
    with contextlib.suppress(ScenarioError):
        assert n_parameters(shape(config)) > 0


def written(folder, text, name="config.json"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_problem_has_its_place(tmp_path):
    text = json.dumps({**LLAMA, "vocab_size": "many"}, indent=2)
    with pytest.raises(ScenarioError, match=r"8:3  vocab_size: must be .*, got 'many'"):
        load_config(written(tmp_path, text), "config.json")


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = written(tmp_path, b"\xef\xbb\xbf" + json.dumps(LLAMA).encode())
    assert load_config(path, "mine").data["layers"] == 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "1:2 is not JSON"),
        ("[1]", "must be a mapping of keys to values, not a list"),
        ("7", "must be a mapping of keys to values, not 7"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"b": {"a": 1, "a": 2}}', "the key 'a' stands twice"),
        ("[" * 100_000, "is nested too deep"),
        ('{"a": ' * 100_000, "is nested too deep"),
        (b"\xff\xfe{", "byte 0xff is not UTF-8"),
        ('{"vocab_size": ' + "9" * 5000 + "}", "Exceeds the limit"),
        (" " * 4_000_001, "is larger than 4 MB"),
        ('{"model_type": "llama", "hidden_size": ' + "[" * 900 + "]" * 900 + "}", "got a list"),
        ('{"model_type": "llama", "hidden_size": NaN}', "got nan"),
        ('{"model_type": "llama", "hidden_size": 1e999}', "got inf"),
        ('{"model_type": "llama", "hidden_size": "' + "x" * 10**6 + '"}', r"got 'x+\.\.\."),
    ],
    ids=range(15),
)
def test_a_file_that_is_none_of_this_is_refused(tmp_path, text, message):
    with pytest.raises(ScenarioError, match=message) as caught:
        load_config(written(tmp_path, text), "config.json")
    assert "config.json" in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_a_folder_or_nothing_is_not_a_file(tmp_path):
    with pytest.raises(ScenarioError, match="is not a file"):
        load_config(tmp_path, "config.json")
    with pytest.raises(ScenarioError, match="No such file"):
        load_config(tmp_path / "none.json", "none.json")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_config(tmp_path / "no\0ne.json", "none.json")


# -- in a scenario -------------------------------------------------------------------------------

SCENARIO = """
computeplan: 1
name: s
sites: {here: {pue: 1.1, pools: {a: {chip: nvidia/h100-sxm, chips: 16}}}}
jobs:
  j:
    model: MODEL
    tokens: 1 Gtoken
    seq: 4096
    mfu: 0.4
    chips: 16
"""


def folder_with(tmp_path, model, more="", config=LLAMA):
    (tmp_path / "llama").mkdir(exist_ok=True)
    written(tmp_path, json.dumps(config), "llama/config.json")
    return written(tmp_path, SCENARIO.replace("MODEL", model) + more, "s.yaml")


def trained(scenario):
    return shape_of(scenario.catalogue.models[scenario.jobs["j"].model].architecture())


def test_a_job_takes_a_config_beside_the_scenario(tmp_path):
    scenario = load(folder_with(tmp_path, "{config: llama/config.json}"))
    assert n_parameters(trained(scenario)) == 8_030_261_248
    model = scenario.catalogue.models["llama/config.json"]
    assert model.name == "llama/config.json"
    assert model.sources["config"].title == (
        "llama/config.json, Hugging Face config of model_type llama"
    )


HYBRID = {
    "model_type": "nemotron_h",
    "hidden_size": 2688,
    "intermediate_size": 1856,
    "hybrid_override_pattern": "MEM*E-",
    "mamba_num_heads": 64,
    "mamba_head_dim": 64,
    "n_groups": 8,
    "ssm_state_size": 128,
    "num_attention_heads": 32,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "n_routed_experts": 16,
    "num_experts_per_tok": 6,
    "moe_intermediate_size": 1856,
    "moe_shared_expert_intermediate_size": 3712,
    "num_nextn_predict_layers": 1,
    "vocab_size": 131072,
}


@pytest.mark.parametrize("config", [LLAMA, HYBRID])
def test_what_is_saved_runs_again_without_the_file(tmp_path, config):
    scenario = load(folder_with(tmp_path, "{config: llama/config.json}", config=config))
    alone = load(parse_document(scenario.to_yaml(), "saved.yaml").data)
    assert alone.catalogue.models == scenario.catalogue.models
    assert alone.to_yaml() == scenario.to_yaml()
    assert trained(alone.with_({"jobs.j.seq": 8192})) == trained(scenario)


def test_a_saved_folder_gives_the_same_runs(tmp_path, monkeypatch):
    path = folder_with(tmp_path, "{config: llama/config.json}", "    checkpoint: {every: never}\n")
    monkeypatch.chdir(tmp_path)
    for source, folder in ((path.name, "a"), ("a/scenario.yaml", "b")):
        with pytest.raises(SystemExit) as caught:
            main(["run", source, "--runs", "2", "--no-figures", "--out", folder])
        assert caught.value.code == 0
        (tmp_path / "llama" / "config.json").unlink(missing_ok=True)
    for name in ("runs.csv", "scenario.yaml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_with_changes_to_and_from_a_config(tmp_path):
    scenario = load(folder_with(tmp_path, "{config: llama/config.json}"))
    other = scenario.with_({"jobs.j.model": "qwen2.5-7b"})
    assert n_parameters(trained(other)) == 7_615_616_512
    back = other.with_({"jobs.j.model": {"config": "llama/config.json"}})
    assert trained(back) == trained(scenario)
    written(tmp_path, json.dumps(GPT2), "gpt2.json")
    for path, value in (("jobs.j.model", {"config": "gpt2.json"}),
                        ("jobs.j.model.config", "gpt2.json")):  # fmt: skip
        assert n_parameters(trained(scenario.with_({path: value}))) == 124_439_808


def test_a_model_of_ones_own_may_be_a_config_with_changes(tmp_path):
    path = folder_with(tmp_path, "half", "models: {half: {config: llama/config.json, layers: 16}}")
    scenario = load(path)
    assert (trained(scenario).layers, trained(scenario).vocab) == (16, 128256)
    assert scenario.catalogue.models["half"].source == "scenario"
    alone = load(parse_document(scenario.to_yaml(), "saved.yaml").data)
    assert alone.catalogue.models == scenario.catalogue.models
    assert trained(scenario.with_({"models.half.layers": 8})).layers == 8
    plain = load(folder_with(tmp_path, "mine", "models: {mine: {config: llama/config.json}}"))
    assert n_parameters(trained(plain)) == 8_030_261_248
    assert plain.catalogue.models["mine"].name == "mine"


def test_a_model_may_extend_a_config_of_ones_own(tmp_path):
    more = "models: {a: {config: llama/config.json}, b: {extends: a, layers: 2}}"
    assert trained(load(folder_with(tmp_path, "b", more))).layers == 2


@pytest.mark.parametrize(
    ("model", "more", "message"),
    [
        ("{config: none.json}", "", "none.json: 1 problem\n  cannot be read: No such file"),
        ("{config: ../config.json}", "", "7:21  jobs.j.model.config: '../config.json' lies out"),
        ("{config: llama/config.yaml}", "", "jobs.j.model: a mapping here has one key: {config:"),
        ("{config: 7}", "", "jobs.j.model: a mapping here has one key"),
        ("{file: a.json}", "", "jobs.j.model: a mapping here has one key"),
        ("{config: llama/config.json, layers: 3}", "", "jobs.j.model: a mapping here has one key"),
        ("llama/config.json", "", "7:12  jobs.j.model: write {config: llama/config.json}"),
        ("7", "", "jobs.j.model: should be a valid string"),
        ("m", "models: {m: {config: 7}}", "models.m.config: must be a Hugging Face config.json"),
        ("m", "models: {m: {config: no.json}}", "no.json: 1 problem\n  cannot be read"),
        ("m", "models: {m: {config: llama/config.json, layer: 3}}", "unknown key 'layer'. Did you"),
    ],
)  # fmt: skip
def test_a_wrong_reference_says_where(tmp_path, model, more, message):
    with pytest.raises(ScenarioError) as caught:
        load(folder_with(tmp_path, model, more))
    assert message in str(caught.value)
    assert len(caught.value.problems) == 1


def test_what_is_wrong_in_the_config_is_placed_there(tmp_path):
    bad = {**LLAMA, "num_key_value_heads": 5, "vocab_size": None}
    with pytest.raises(ScenarioError, match=r"llama/config.json: 1 problem\n  1:\d+  vocab_size:"):
        load(folder_with(tmp_path, "{config: llama/config.json}", config=bad))
    with pytest.raises(ScenarioError, match="kv_heads 5 must divide heads 32") as caught:
        load(folder_with(tmp_path, "{config: llama/config.json}", config={**bad, "vocab_size": 9}))
    assert caught.value.problems[0].file == "llama/config.json"


def test_a_config_needs_a_file_beside_it():
    text = SCENARIO.replace("MODEL", "{config: llama/config.json}")
    with pytest.raises(ScenarioError, match="a file needs a scenario file beside it"):
        load(parse_document(text, "s.yaml").data)


def test_the_json_schema_allows_a_name_or_a_config():
    schema = Scenario.model_json_schema(mode="validation")["$defs"]["Job"]["properties"]["model"]
    kinds = schema["anyOf"][0]["anyOf"]
    assert [kind["type"] for kind in kinds] == ["string", "object"]
    assert kinds[1]["required"] == ["config"]


def test_the_command_line_shows_a_config(tmp_path):
    path = str(written(tmp_path, json.dumps(LLAMA)))
    result = CliRunner().invoke(models, ["show", path], catch_exceptions=False)
    assert result.exit_code == 0
    assert "8,030,261,248" in result.stdout
    document = CliRunner().invoke(models, ["show", path, "--json"], catch_exceptions=False).stdout
    assert json.loads(document)["parameters"] == 8_030_261_248
    with pytest.raises(ScenarioError, match="No such file"):
        CliRunner().invoke(models, ["show", "none.json"], catch_exceptions=False)


@pytest.mark.parametrize("key", ["n_positions", "n_ctx", "max_position_embeddings"])
def test_the_context_is_that_of_the_file(key):
    config = {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100}
    found = transformer_from_config({**config, key: 1024}, "g")
    assert found["context"] == found["max_position"] == 1024


def test_a_file_without_a_context_has_none_and_a_wrong_one_is_refused():
    config = {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 100,
    }
    assert "context" not in transformer_from_config(config, "l")
    longer = {**config, "max_position_embeddings": 4096}
    assert transformer_from_config(longer, "l")["context"] == 4096
    with pytest.raises(ScenarioError, match="max_position_embeddings: must be a whole number"):
        transformer_from_config({**config, "max_position_embeddings": "4k"}, "l")
