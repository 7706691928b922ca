"""The shape of a network out of its Hugging Face ``config.json``.

Each family of models has its own names for the same numbers, its own defaults where a name is left
out, and its own switches: whether the output matrix is the embedding, whether the MLP is gated,
which layers slide. What the file holds is never trusted: every number is checked under its own
name, everything wrong is reported at once, and what a shape cannot express is refused, not rounded.
Weights of a few vectors (norms of queries and keys, sinks) have no place in a shape and are left
out, as in the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.documents.document import Document, nearest
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
    if read.flag(of_attention, default=kind in ("qwen2", "qwen2_moe")):
        return "all" if read.flag("mlp_bias", default=False) else "qkv"
    return "none"


_HEAD_DIM = dict.fromkeys(("gemma", "gemma2", "gemma3_text"), 256) | {
    **dict.fromkeys(("qwen3", "qwen3_moe", "glm4"), 128),
    "gpt_oss": 64,
}
_WINDOW = {"mistral": 4096, "gemma2": 4096, "gemma3_text": 4096, "gpt_oss": 128}
_MAY_SLIDE = (*_WINDOW, "mixtral", "phi3", "starcoder2")
_SLIDES_IF_ASKED = ("qwen2", "qwen3", "qwen2_moe", "qwen3_moe")
_FULL_EVERY = {"gemma2": 2, "gpt_oss": 2}


def _llama_like(read: JsonReader, kind: str) -> dict[str, Any]:
    """Return the shape under the names that Llama made common."""
    mla = kind in ("deepseek_v2", "deepseek_v3")
    # Files of Gemma 3 leave out what equals the default of their class.
    of_class = {"heads": 8, "kv": 4, "vocab": 262_208} if kind == "gemma3_text" else {}
    hidden, layers = read.count("hidden_size"), read.count("num_hidden_layers")
    heads = read.count("num_attention_heads", default=of_class.get("heads"))
    found: dict[str, Any] = {"layers": layers, "hidden": hidden, "heads": heads}
    found["ffn"] = read.count("intermediate_size")
    if mla:
        found["mla"] = {
            "q_lora_rank": read.count("q_lora_rank", default=0, least=0),
            "kv_lora_rank": read.count("kv_lora_rank"),
            "qk_nope_head_dim": read.count("qk_nope_head_dim"),
            "qk_rope_head_dim": read.count("qk_rope_head_dim"),
            "v_head_dim": read.count("v_head_dim"),
        }
    else:
        found |= _attention(read, heads, hidden, _HEAD_DIM.get(kind))
        if read.data.get("num_key_value_heads") is None and of_class:
            found["kv_heads"] = of_class["kv"]
    found["vocab"] = read.count("vocab_size", default=of_class.get("vocab"))
    found["gated_mlp"] = kind != "starcoder2"
    tied = kind.startswith("gemma") or kind == "starcoder2"
    found["tied_embeddings"] = read.flag("tie_word_embeddings", default=tied)
    found["norm"] = "layer" if kind == "starcoder2" else "rms"
    found["biases"] = "none" if mla else _linear_biases(read, kind)
    return found | _window(read, kind, layers) | _experts(read, kind, layers)


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
    if kind in ("mixtral", "gpt_oss"):
        routed, width = read.count("num_local_experts"), read.count("intermediate_size")
        top_k = read.count("num_experts_per_tok", "experts_per_token")
        return {"moe": {"experts": routed, "top_k": top_k, "expert_ffn": width}}
    if kind in ("deepseek_v2", "deepseek_v3"):
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
        shared_width = read.count("shared_expert_intermediate_size", default=0, least=0)
        shared = shared_width // width
        if shared_width % width:
            message = (
                f"{shared_width} is no multiple of moe_intermediate_size {width}: shared experts"
                " count in widths of an expert; write the model as a YAML file"
            )
            read.wrong("shared_expert_intermediate_size", message)
    if dense >= layers:
        read.wrong("first_k_dense_replace", f"{dense} must be less than {layers} layers")
    moe = {"experts": routed, "top_k": read.count("num_experts_per_tok"), "expert_ffn": width}
    if kind in ("deepseek_v2", "deepseek_v3") and read.count("n_group", default=1) > 1:
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


_FAMILIES: dict[str, Callable[[JsonReader, str], dict[str, Any]]] = {
    **dict.fromkeys(
        [
            *("baichuan", "deepseek_v2", "deepseek_v3", "gemma", "gemma2", "gemma3_text", "glm4"),
            *("gpt_oss", "internlm2", "llama", "mistral", "mixtral", "olmo", "olmo2", "phi3"),
            *("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "starcoder2"),
        ],
        _llama_like,
    ),
    "bloom": _bloom,
    "chatglm": _chatglm,
    "falcon": _falcon,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "mpt": _mpt,
    "opt": _opt,
}


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
    read = JsonReader(data)
    if data.get("model_type") == "gemma3":  # what reads images stands beside the text model
        tied = {key: data[key] for key in ("tie_word_embeddings",) if key in data}
        if data.get("text_config") is None:
            read.wrong("text_config", "'text_config' is missing: the shape of the text model")
        text = read.mapping("text_config").data
        read.data, read.inside = {**tied, **text, "model_type": "gemma3_text"}, "text_config."
    kind = read.data.get("model_type")
    family = _FAMILIES.get(kind) if isinstance(kind, str) else None
    if read.problems:
        raise ScenarioError(read.problems)
    if family is None or not isinstance(kind, str):
        known = sorted((*_FAMILIES, "gemma3"))
        what = "is missing" if kind is None else f"{shown_value(kind)} is not known here"
        hint = nearest(kind, known) if isinstance(kind, str) else ""
        message = f"{what}.{hint}  Known: {', '.join(known)}"
        message += ".  For any other model write its shape as a YAML file"
        raise ScenarioError.of(message, "model_type")
    shape = family(read, kind)
    if any(read.data.get(key) is not None for key in _CONTEXT):
        shape["context"] = read.count(*_CONTEXT)
    if read.problems:
        raise ScenarioError(read.problems)
    title = f"{name}, Hugging Face config of model_type {kind}"
    sources = {"config": {"title": title, "url": None, "kind": "paper"}}
    return {"name": name, "source": "config", **shape, "sources": sources}


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
