"""The shape of a network out of its Hugging Face ``config.json``.

Each family of models has its own names for the same numbers, its own defaults where a name is left
out, and its own switches: whether the output matrix is the embedding, whether the MLP is gated,
which layers slide. Networks whose layers differ are read in ``hf_layers.py``. What the file holds
is never trusted: every number is checked under its own name, everything wrong is reported at once,
and what a shape cannot express is refused, not rounded. Of a network that also reads images or
sound the language model is read. For the families that the catalogue has, weights of a few vectors
(norms of queries and keys, sinks) are left out, as there.

Long because every family has its own names for the same things, one function each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.catalogue.hf_layers import (
    LAYERED,
    NO_EXPERTS,
    by_kind,
    latent_attention,
    per_layer,
    widths_of_an_expert,
)
from computeplan.specs.documents.document import Document
from computeplan.specs.documents.json_file import JsonReader, load_json, place_of, shown_value

__all__ = ["load_config", "transformer_from_config"]


def _attention(read: JsonReader, heads: int, hidden: int, head_dim: int | None) -> dict[str, Any]:
    found = {"kv_heads": read.count("num_key_value_heads", default=heads)}
    if head_dim is None and read.data.get("head_dim") is None:
        if hidden % heads:
            read.wrong("head_dim", f"is missing: {heads} heads do not divide hidden size {hidden}")
        return found
    return found | {"head_dim": read.count("head_dim", default=head_dim)}


def _linear_biases(read: JsonReader, kind: str) -> str:
    if kind == "gpt_oss":
        return "all"
    if kind == "starcoder2":
        return "all" if read.flag("use_bias", default=True) else "none"
    if kind == "internlm2":
        return "qkv" if read.flag("bias", default=False) else "none"
    of_attention = "qkv_bias" if kind == "qwen2_moe" else "attention_bias"
    if read.flag(of_attention, default=kind in ("mimo", "qwen2", "qwen2_moe")):
        return "all" if read.flag("mlp_bias", default=False) else "qkv"
    return "none"


_HEAD_DIM = dict.fromkeys(("gemma", "gemma2", "gemma3_text"), 256) | {
    **dict.fromkeys(("qwen3", "qwen3_moe", "glm4", "glm4_moe"), 128),
    "gpt_oss": 64,
}
_WINDOW = {
    **dict.fromkeys(("cohere2", "gemma2", "gemma3_text", "mistral", "olmo3"), 4096),
    "gpt_oss": 128,
}
_MAY_SLIDE = (*_WINDOW, "mixtral", "phi3", "phimoe", "starcoder2")
_SLIDES_IF_ASKED = ("mimo", "qwen2", "qwen3", "qwen2_moe", "qwen3_moe")
_FULL_EVERY = {"gemma2": 2, "gpt_oss": 2, "cohere2": 4, "olmo3": 4}
_LATENT = ("deepseek_v2", "deepseek_v3", "deepseek_v32", "glm_moe_dsa", "kimi_k2")
_TIED = ("cohere", "cohere2", "minicpm", "starcoder2")
_PLAIN_MLP = ("nemotron", "starcoder2")
_LAYER_NORM = ("nemotron", "phimoe", "starcoder2")


def _llama_like(read: JsonReader, kind: str) -> dict[str, Any]:
    """Return the shape under the names that Llama made common."""
    mla = kind in _LATENT
    # Files of Gemma 3 leave out what equals the default of their class.
    of_class = {"heads": 8, "kv": 4, "vocab": 262_208} if kind == "gemma3_text" else {}
    hidden, layers = read.count("hidden_size"), read.count("num_hidden_layers")
    heads = read.count("num_attention_heads", default=of_class.get("heads"))
    found: dict[str, Any] = {"layers": layers, "hidden": hidden, "heads": heads}
    found["ffn"] = read.count("intermediate_size")
    if mla:
        found["mla"] = latent_attention(read)
    else:
        found |= _attention(read, heads, hidden, _HEAD_DIM.get(kind))
        if read.data.get("num_key_value_heads") is None and of_class:
            found["kv_heads"] = of_class["kv"]
    found["vocab"] = read.count("vocab_size", default=of_class.get("vocab"))
    found["gated_mlp"] = kind not in _PLAIN_MLP
    tied = kind.startswith("gemma") or kind in _TIED
    found["tied_embeddings"] = read.flag("tie_word_embeddings", default=tied)
    found["norm"] = "layer" if kind in _LAYER_NORM else "rms"
    found["biases"] = "none" if mla else _linear_biases(read, kind)
    found["parallel"] = kind in ("cohere", "cohere2")
    found |= _window(read, kind, layers) | _experts(read, kind, layers)
    return found | _vectors(read, kind, found) | _chosen_keys(read, kind, found)


def _vectors(read: JsonReader, kind: str, found: dict[str, Any]) -> dict[str, int]:
    """Return the vectors of a network that a shape has no word for."""
    layers, hidden = found["layers"], found["hidden"]
    if "mla" in found:
        return {}
    width = found.get("head_dim", hidden // found["heads"] or 1)
    both = (found["heads"] + found["kv_heads"]) * width
    vectors = 0
    if kind == "cohere" and read.flag("use_qk_norm", default=False):
        vectors = both
    elif kind == "minimax_m2":
        per_head = read.data.get("qk_norm_type") == "per_head"
        of_norms = 2 * width if per_head else both
        vectors = of_norms * read.flag("use_qk_norm", default=True) + found["moe"]["experts"]
    elif kind == "glm4_moe":
        vectors = 2 * width * read.flag("use_qk_norm", default=False)
    elif kind in ("olmo3", "olmoe"):
        vectors = both
    elif kind == "phimoe" and found["biases"] != "none":
        vectors = hidden  # the bias of the output of attention
    head = kind == "phimoe" and read.flag("lm_head_bias", default=False)
    return {"other_parameters": layers * vectors + head * found["vocab"]}


def _chosen_keys(read: JsonReader, kind: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return what chooses the keys of each token, and the layers that take the choice of others."""
    if kind not in ("deepseek_v32", "glm_moe_dsa"):
        return {}
    index = {
        "heads": read.count("index_n_heads"),
        "head_dim": read.count("index_head_dim"),
        "top_k": read.count("index_topk"),
    }
    layers, moe = found["layers"], found["moe"]
    types = read.data.get("indexer_types")
    if types is None:
        return {"indexer": index}
    types = per_layer(read, "indexer_types", layers, ("full", "shared"), None)
    dense = moe.pop("dense_layers")
    return {"indexer": index} | by_kind(
        {
            **({} if types[i] == "full" else {"indexer": index | {"heads": 0}}),
            **(NO_EXPERTS if i < dense else {}),
        }
        for i in range(layers)
    )


def _window(read: JsonReader, kind: str, layers: int) -> dict[str, Any]:
    """Return the sliding window and how often a layer goes without it."""
    asked = kind in _SLIDES_IF_ASKED and read.flag("use_sliding_window", default=False)
    # A null switches a window off; only a key that is left out has the default of its class.
    off = "sliding_window" in read.data and read.data["sliding_window"] is None
    if off or (kind not in _MAY_SLIDE and not asked):
        return {}
    if _WINDOW.get(kind) is None and "sliding_window" not in read.data and not asked:
        return {}
    window = read.count("sliding_window", default=_WINDOW.get(kind))
    every = _FULL_EVERY.get(kind)
    if kind == "gemma3_text":
        pattern = read.given("sliding_window_pattern", "_sliding_window_pattern")
        every = read.count(pattern, default=6)
    n_full = 0 if every is None else layers // every
    key = "max_window_layers" if asked else "layer_types"
    if asked:  # the layers before it attend in full
        n_full = min(read.count(key, default=28, least=0), layers)
    types = read.data.get("layer_types")
    if types is not None:
        key = "layer_types"
        known = ("sliding_attention", "full_attention")
        is_list = isinstance(types, list) and len(types) == layers
        if not is_list or any(item not in known for item in types):
            read.wrong(key, f"must list {layers} layers, each {' or '.join(known)}")
            return {}
        n_full = types.count("full_attention")
    if n_full == layers:
        return {}
    if n_full == 0:
        return {"sliding_window": window}
    every = layers // n_full
    if layers // every != n_full:
        read.wrong(key, f"{n_full} of {layers} layers attend in full, which is not every n-th one")
    return {"sliding_window": window, "full_attention_every": every}


def _experts(read: JsonReader, kind: str, layers: int) -> dict[str, Any]:
    """Return the mixture of experts, or nothing for a dense model."""
    if kind in ("gpt_oss", "granitemoe", "minimax_m2", "mixtral", "olmoe", "phimoe"):
        every = "num_experts" if kind == "olmoe" else "num_local_experts"
        routed, width = read.count(every), read.count("intermediate_size")
        top_k = read.count("num_experts_per_tok", "experts_per_token")
        return {"moe": {"experts": routed, "top_k": top_k, "expert_ffn": width}}
    if kind in _LATENT or kind == "glm4_moe":
        if kind == "deepseek_v2" and read.data.get("n_routed_experts") is None:
            return {}
        _must_be_one(read, "moe_layer_freq")
        routed = read.count("n_routed_experts")
        dense = read.count("first_k_dense_replace", default=0, least=0)
        shared = read.count("n_shared_experts", default=0, least=0)
    elif kind in ("qwen2_moe", "qwen3_moe"):
        _must_be_one(read, "decoder_sparse_step")
        routed, dense, shared = read.count("num_experts"), _first_dense(read), 0
    else:
        return {}
    width = read.count("moe_intermediate_size")
    if kind == "qwen2_moe":
        shared = widths_of_an_expert(read, "shared_expert_intermediate_size", width)
    if dense >= layers:
        read.wrong("first_k_dense_replace", f"{dense} must be less than {layers} layers")
    moe = {"experts": routed, "top_k": read.count("num_experts_per_tok"), "expert_ffn": width}
    if kind in _LATENT and read.count("n_group", default=1) > 1:
        moe |= {"groups_per_token": read.count("topk_group", default=0, least=0)}
    return {"moe": moe | {"shared_experts": shared, "dense_layers": dense}}


def _must_be_one(read: JsonReader, key: str) -> None:
    if read.count(key, default=1) != 1:
        read.wrong(key, "must be 1: every layer after the dense ones has experts")


def _first_dense(read: JsonReader) -> int:
    dense = read.data.get("mlp_only_layers") or []
    if not isinstance(dense, list) or dense != list(range(len(dense))):
        read.wrong("mlp_only_layers", "must be the first layers, such as [] or [0]")
        return 0
    return len(dense)


def _plain(read: JsonReader, kind: str, hidden: int, heads: int) -> dict[str, Any]:
    """Return what models with a plain MLP and layer norms have in common."""
    if hidden % heads:
        read.wrong("hidden_size", f"{heads} heads do not divide {hidden}")
    return {
        "hidden": hidden,
        "heads": heads,
        "vocab": read.count("vocab_size"),
        "gated_mlp": False,
        "tied_embeddings": read.flag("tie_word_embeddings", default=kind != "gpt_neox"),
        "norm": "layer",
        "biases": "all",
    }


def _gpt2(read: JsonReader, kind: str) -> dict[str, Any]:
    hidden, heads = read.count("n_embd", "hidden_size"), read.count("n_head", "num_attention_heads")
    return _plain(read, kind, hidden, heads) | {
        "layers": read.count("n_layer", "num_hidden_layers"),
        "ffn": read.count("n_inner", default=4 * hidden),
        "max_position": read.count("n_positions", "n_ctx", "max_position_embeddings"),
    }


def _gpt_neox(read: JsonReader, kind: str) -> dict[str, Any]:
    hidden, heads = read.count("hidden_size"), read.count("num_attention_heads")
    layers, ffn = read.count("num_hidden_layers"), read.count("intermediate_size")
    return _plain(read, kind, hidden, heads) | {"layers": layers, "ffn": ffn}


def _bloom(read: JsonReader, kind: str) -> dict[str, Any]:
    hidden = read.count("hidden_size", "n_embed")
    heads = read.count("n_head", "num_attention_heads")
    layers = read.count("n_layer", "num_hidden_layers")
    own = {"layers": layers, "ffn": 4 * hidden, "embedding_norm": True}
    return _plain(read, kind, hidden, heads) | own


def _falcon(read: JsonReader, kind: str) -> dict[str, Any]:
    hidden = read.count("hidden_size")
    heads = read.count("num_attention_heads", "n_head")
    kv_heads = heads
    if read.flag("new_decoder_architecture", default=False):
        kv_heads = read.count("num_kv_heads", "n_head_kv", default=heads)
    elif read.flag("multi_query", default=True):
        kv_heads = 1
    return _plain(read, kind, hidden, heads) | {
        "layers": read.count("num_hidden_layers", "n_layer"),
        "ffn": read.count("ffn_hidden_size", default=4 * hidden),
        "kv_heads": kv_heads,
        "biases": "all" if read.flag("bias", default=False) else "none",
    }


def _mpt(read: JsonReader, kind: str) -> dict[str, Any]:
    hidden, heads = read.count("d_model"), read.count("n_heads")
    attention = read.mapping("attn_config")
    kv_heads = attention.count("kv_n_heads", default=heads)
    if attention.data.get("attn_type") == "multiquery_attention":
        kv_heads = 1
    found = _plain(read, kind, hidden, heads) | {
        "layers": read.count("n_layers"),
        "ffn": read.count("expansion_ratio", default=4) * hidden,
        "kv_heads": kv_heads,
    }
    if not attention.flag("alibi", default=True) and read.flag("learned_pos_emb", default=True):
        found["max_position"] = read.count("max_seq_len")
    if read.flag("no_bias", default=True):  # its layer norms have none either
        found |= {"norm": "rms", "biases": "none"}
    read.absorb(attention)
    return found


def _opt(read: JsonReader, kind: str) -> dict[str, Any]:
    hidden, heads = read.count("hidden_size"), read.count("num_attention_heads")
    if read.count("word_embed_proj_dim", default=hidden) != hidden:
        read.wrong(
            "word_embed_proj_dim", f"must be hidden_size {hidden}: no shape has a projection"
        )
    return _plain(read, kind, hidden, heads) | {
        "layers": read.count("num_hidden_layers"),
        "ffn": read.count("ffn_dim"),
        "max_position": read.count("max_position_embeddings") + 2,  # two rows are never used
        "biases": "all" if read.flag("enable_bias", default=True) else "none",
    }


def _chatglm(read: JsonReader, _kind: str) -> dict[str, Any]:
    heads, hidden = read.count("num_attention_heads"), read.count("hidden_size")
    kv_heads = heads
    if read.flag("multi_query_attention", default=False):
        kv_heads = read.count("multi_query_group_num")
    biases = "qkv" if read.flag("add_qkv_bias", default=False) else "none"
    return {
        "layers": read.count("num_layers", "num_hidden_layers"),
        "hidden": hidden,
        "ffn": read.count("ffn_hidden_size"),
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": read.count("kv_channels"),
        "vocab": read.count("padded_vocab_size", "vocab_size"),
        "tied_embeddings": read.flag("tie_word_embeddings", default=False),
        "norm": "rms" if read.flag("rmsnorm", default=True) else "layer",
        "biases": "all" if read.flag("add_bias_linear", default=False) else biases,
    }


def _phi(read: JsonReader, kind: str) -> dict[str, Any]:
    hidden, heads = read.count("hidden_size"), read.count("num_attention_heads")
    found = _plain(read, kind, hidden, heads) | {
        "layers": read.count("num_hidden_layers"),
        "ffn": read.count("intermediate_size"),
        "kv_heads": read.count("num_key_value_heads", default=heads),
        "tied_embeddings": read.flag("tie_word_embeddings", default=False),
        "parallel": True,
        "other_parameters": read.count("vocab_size"),  # the bias of the output matrix
    }
    if read.flag("qk_layernorm", default=False):
        found["other_parameters"] += found["layers"] * 4 * (hidden // heads)
    return found


def _gpt_bigcode(read: JsonReader, kind: str) -> dict[str, Any]:
    one = read.flag("multi_query", default=True)
    return _gpt2(read, kind) | ({"kv_heads": 1} if one else {})


def _dbrx(read: JsonReader, _kind: str) -> dict[str, Any]:
    attention, mlp = read.mapping("attn_config"), read.mapping("ffn_config")
    heads, hidden = read.count("n_heads"), read.count("d_model")
    if hidden % heads:
        read.wrong("d_model", f"{heads} heads do not divide {hidden}")
    width = mlp.count("ffn_hidden_size")
    experts, top_k = mlp.count("moe_num_experts"), mlp.count("moe_top_k")
    found = {
        "layers": read.count("n_layers"),
        "hidden": hidden,
        "ffn": width,
        "heads": heads,
        "kv_heads": attention.count("kv_n_heads", default=heads),
        "vocab": read.count("vocab_size"),
        "tied_embeddings": read.flag("tie_word_embeddings", default=False),
        "moe": {"experts": experts, "top_k": top_k, "expert_ffn": width},
    }
    read.absorb(attention)
    read.absorb(mlp)
    return found


_FAMILIES: dict[str, Callable[[JsonReader, str], dict[str, Any]]] = {
    **dict.fromkeys(
        [
            *("baichuan", "cohere", "cohere2", "deepseek_v2", "deepseek_v3", "deepseek_v32"),
            *("gemma", "gemma2", "gemma3_text", "glm4", "glm4_moe", "glm_moe_dsa", "gpt_oss"),
            *("granite", "granitemoe", "internlm2", "kimi_k2", "llama", "mimo", "minicpm"),
            *("minimax_m2", "mistral", "mixtral", "nemotron", "olmo", "olmo2", "olmo3", "olmoe"),
            *("phi3", "phimoe", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "starcoder2"),
        ],
        _llama_like,
    ),
    "bloom": _bloom,
    "chatglm": _chatglm,
    "dbrx": _dbrx,
    "falcon": _falcon,
    "gpt2": _gpt2,
    "gpt_bigcode": _gpt_bigcode,
    "gpt_neox": _gpt_neox,
    "mpt": _mpt,
    "opt": _opt,
    "phi": _phi,
    **LAYERED,
}

_READ_AS = {
    "decilm": "nemotron-nas",
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "llama4": "llama4_text",
    "minimax_m3_sparse": "minimax_m3",
    "ministral3": "llama",
    "qwen2_5_vl": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen2_vl": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_vl": "qwen3",
    "qwen3_vl_moe": "qwen3_moe",
    "qwen3_vl_moe_text": "qwen3_moe",
    "qwen3_vl_text": "qwen3",
    "step3p5_flash": "step3p5",
    "step3p7_flash": "step3p7",
}
"""Other names of families: of text models inside a larger one, and of classes."""

_NESTED = (
    *("gemma3", "gemma4", "kimi_k25", "kimi_k3", "llama4", "minimax_m3_vl", "mistral3", "qwen3_5"),
    *("qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe"),
)
"""Networks that also read images or sound: the text model stands inside."""

_NOT_SAID = {
    "falcon_h1": "attention and a state space stand side by side in one layer",
    **dict.fromkeys(
        ("gemma3n", "gemma3n_text"), "it has embeddings for each layer and several residual streams"
    ),
    "phi3small": "its layers attend to blocks of keys",
    **dict.fromkeys(("zamba", "zamba2"), "some of its layers share weights"),
    **dict.fromkeys(("bart", "mt5", "t5", "whisper"), "it has an encoder and a decoder"),
}
"""Families that no shape can say, and why."""


_CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
"""What the files call the tokens of the longest sequence."""


def transformer_from_config(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the plain data of a `Transformer` out of a Hugging Face ``config.json``.

    Parameters
    ----------
    data : dict
        The parsed file.
    name : str
        What the model is to be called.

    Raises
    ------
    ScenarioError
        With everything that is missing or wrong, each under its name in the file.

    Examples
    --------
    >>> config = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12,
    ...           "n_positions": 1024, "vocab_size": 50257}
    >>> transformer_from_config(config, "gpt2")["ffn"]
    3072
    """
    read, is_part = _language_model(data)
    kind, family = _family(read)
    shape = _FAMILIES[family](read, family)
    if any(read.data.get(key) is not None for key in _CONTEXT):
        shape["context"] = read.count(*_CONTEXT)
    if any(read.data.get(key) is not None for key in _FURTHER):
        shape["mtp"] = read.count(*_FURTHER, default=0, least=0)
        if shape["mtp"] > MOST_FURTHER:
            read.wrong(read.given(*_FURTHER), f"must be {MOST_FURTHER} at most")
    _refuse_what_was_not_read(read, family, shape)
    if read.problems:
        raise ScenarioError(read.problems)
    title = f"{name}, Hugging Face config of model_type {kind}"
    if kind != family and family not in (_READ_AS.get(kind), f"{kind}_text"):
        title += f", read as {family} by its architectures"
    sources = {"config": {"title": title, "url": None, "kind": "paper"}}
    part = {"of_larger_network": True} if is_part else {}
    return {"name": name, "source": "config", **shape, **part, "sources": sources}


_FURTHER = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")
"""What the files call the number of extra prediction layers."""
MOST_FURTHER = 100


def _language_model(data: dict[str, Any]) -> tuple[JsonReader, bool]:
    """Return the part of a file that is the language model, and whether it is a part."""
    read = JsonReader(data)
    layers = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "block_configs")
    if any(data.get(key) is not None for key in layers):
        return read, any(isinstance(data.get(key), dict) for key in ("vision_config", "vision"))
    inside = read.given("text_config", "llm_config", "language_config")
    if data.get(inside) is None:
        if data.get("model_type") in _NESTED:
            read.wrong(inside, f"'{inside}' is missing: the shape of the text model")
            raise ScenarioError(read.problems)
        return read, False
    text = read.mapping(inside)
    if read.problems:
        raise ScenarioError(read.problems)
    above = ("architectures", "model_type", "tie_word_embeddings")
    text.data = {**{key: data[key] for key in above if key in data}, **text.data}
    return text, True


def _family(read: JsonReader) -> tuple[str, str]:
    """Return what the file calls itself, and the family as which it is read.

    Raises
    ------
    ScenarioError
        If no family is like it, or no shape can say it.
    """
    kind = read.data.get("model_type")
    said = kind if isinstance(kind, str) else ""
    tried = [said]
    classes = read.data.get("architectures")
    names = classes if isinstance(classes, list) else []
    tried += [_family_of_class(one) for one in names if isinstance(one, str) and len(one) < 200]
    for one in tried:
        if one in _NOT_SAID:
            message = f"{shown_value(one)} cannot be said by a shape: {_NOT_SAID[one]}"
            raise ScenarioError.of(message, f"{read.inside}model_type")
        for name in (one, _READ_AS.get(one), f"{one}_text"):
            if name in _FAMILIES:
                return said or one, name
    known = sorted({*_FAMILIES, *_NESTED})
    what = "is missing" if kind is None else f"{shown_value(kind)} is not known here"
    if kind is not None and len(tried) > 1:
        what += ", nor are its architectures"
    message = f"{what}.{_misspelt(said, known)}  Known: {', '.join(known)}.  For any other model"
    message += " write its shape as a YAML file and check it: computeplan models show my-model.yaml"
    raise ScenarioError.of(message, f"{read.inside}model_type")


def _family_of_class(name: str) -> str:
    """Return the family whose name a class bears, or nothing.

    Examples
    --------
    >>> _family_of_class("DeepseekV3ForCausalLM"), _family_of_class("AcmeForCausalLM")
    ('deepseek_v3', '')
    """
    bare = re.sub(r"(For[A-Z]\w*|LMHeadModel|Model)$", "", name).casefold()
    for family in (*_FAMILIES, *_READ_AS, *_NOT_SAID):
        if re.sub(r"[^a-z0-9]", "", family) == bare:
            return family
    return ""


LEAST_LETTERS = 4
"""Letters of a name from which one wrong letter is a misspelling rather than another name."""


def _misspelt(name: str, known: list[str]) -> str:
    """Return `` Did you mean 'x'?`` for a name of which one letter is wrong, or nothing.

    Other digits or more at the end are another family, whose shape would be wrong.

    Examples
    --------
    >>> _misspelt("lama", ["gemma", "llama"]), _misspelt("gemma4", ["gemma", "llama"])
    (" Did you mean 'llama'?", '')
    """
    for one in known:
        if abs(len(name) - len(one)) > 1:  # as of a name of a million letters
            continue
        short, long = sorted((name.casefold(), one), key=len)
        n = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), None)
        if n is None and len(short) < len(long):
            continue
        at = len(short) if n is None else n
        letters = re.sub(r"\d", "", short), re.sub(r"\d", "", long)
        if re.sub(r"\D", "", short) != re.sub(r"\D", "", long) or len(letters[0]) < LEAST_LETTERS:
            continue
        rest = short[at + (len(short) == len(long)) :]
        if len(long) - len(short) <= 1 and rest == long[at + 1 :]:
            return f" Did you mean '{one}'?"
    return ""


_TELLING = {
    "moe": ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
    "mla": ("kv_lora_rank",),
    "indexer": ("index_n_heads",),
    "linear_attention": (
        *("linear_num_value_heads", "linear_attn_config", "mamba_d_state", "ssm_state_size"),
        "mamba_num_heads",
    ),
    "layer_kinds": ("block_configs", "cross_attention_layers", "hidden_size_per_layer_input"),
}
"""Keys of a file that tell of a part which a shape must then have."""


def _refuse_what_was_not_read(read: JsonReader, family: str, shape: dict[str, Any]) -> None:
    """Refuse a file that tells of more than its family has: its count would be wrong."""
    held = set(shape)
    for kind in shape.get("layer_kinds", ()):
        held |= set(kind)
    for part, keys in _TELLING.items():
        for key in keys:
            value = read.data.get(key)
            if part not in held and value and not (part == "moe" and value == 1):
                read.wrong(key, f"is not known of {family}, as which this file is read")
    types = read.data.get("layer_types")
    plain = ("attention", "full_attention")
    if isinstance(types, list) and not {"layer_kinds", "sliding_window"} & held:
        other = next((one for one in types if one not in plain), None)
        if other is not None and not (other == "sliding_attention" and _window_is_off(read)):
            read.wrong("layer_types", f"{shown_value(other)} is not known of {family}")


def _window_is_off(read: JsonReader) -> bool:
    return read.data.get("sliding_window") is None or read.data.get("use_sliding_window") is False


def load_config(path: Path, shown: str) -> Document:
    """Return a Hugging Face ``config.json`` as the document of a model.

    Parameters
    ----------
    path : Path
        The file.
    shown : str
        The name of the file in messages, and of the model.

    Raises
    ------
    ScenarioError
        If the file cannot be read or is not the config of a model that is known.
    """
    text, data = load_json(path, shown)
    try:
        return Document(transformer_from_config(data, shown), shown)
    except ScenarioError as error:
        raise ScenarioError(
            Problem(problem.message, problem.path, shown, *place_of(text, problem.path))
            for problem in error.problems
        ) from None
