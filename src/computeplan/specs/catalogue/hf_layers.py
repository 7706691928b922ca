"""Configs of networks whose layers differ: by what they attend to, by state, by their MLP.

Each reader returns the plain data of a `Transformer`, as those of ``hf_config.py``, with its layers
by kind. ``other_parameters`` counts the vectors that a shape has no word for.

Long because every family has its own names for the same things, one function each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from computeplan.specs.documents.json_file import JsonReader, shown_value

__all__ = ["LAYERED", "by_kind", "latent_attention", "per_layer", "widths_of_an_expert"]

NO_EXPERTS = {"moe": "none"}


def by_kind(layers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return layers by kind, in the order in which each first occurs.

    Examples
    --------
    >>> by_kind([{}, {"mlp": "none"}, {}])
    {'layer_kinds': [{'layers': 2}, {'layers': 1, 'mlp': 'none'}]}
    """
    kinds: list[tuple[dict[str, Any], int]] = []
    for layer in layers:
        at = next((i for i, (kind, _) in enumerate(kinds) if kind == layer), len(kinds))
        kinds[at:] = [(layer, 1 + (kinds[at][1] if at < len(kinds) else 0)), *kinds[at + 1 :]]
    return {"layer_kinds": [{"layers": n, **kind} for kind, n in kinds]}


def per_layer(
    read: JsonReader, key: str, layers: int, allowed: tuple[Any, ...], default: list[Any] | None
) -> list[Any]:
    """Return what a list says of each layer; the first of `allowed` stands in for a wrong one."""
    value = read.data.get(key)
    if value is None and default is not None:
        return default
    known = [(type(one), one) for one in allowed]
    is_list = isinstance(value, list) and len(value) == layers
    plain = [item for item in value or () if isinstance(item, str | int)] if is_list else []
    if len(plain) == layers and all((type(item), item) in known for item in plain):
        return plain
    words = " or ".join(map(str, allowed))
    got = "" if value is None else f", got {shown_value(value)}"
    read.wrong(key, f"must list {layers} layers, each {words}{got}")
    return [allowed[0]] * layers


def latent_attention(read: JsonReader) -> dict[str, int]:
    """Return the ranks and widths of multi-head latent attention."""
    return {
        "q_lora_rank": read.count("q_lora_rank", default=0, least=0),
        "kv_lora_rank": read.count("kv_lora_rank"),
        "qk_nope_head_dim": read.count("qk_nope_head_dim"),
        "qk_rope_head_dim": read.count("qk_rope_head_dim"),
        "v_head_dim": read.count("v_head_dim"),
    }


def widths_of_an_expert(
    read: JsonReader, key: str, width: int, of: str = "moe_intermediate_size"
) -> int:
    """Return how many experts are as wide as the shared one."""
    shared = read.count(key, default=0, least=0)
    if shared % width:
        message = (
            f"{shared} is no multiple of {of} {width}: shared experts count in"
            " widths of an expert; write the model as a YAML file"
        )
        read.wrong(key, message)
    return shared // width


def _base(read: JsonReader, *, tied: bool = False) -> dict[str, Any]:
    return {
        "layers": _n_layers(read),
        "hidden": read.count("hidden_size"),
        "vocab": read.count("vocab_size"),
        "tied_embeddings": read.flag("tie_word_embeddings", default=tied),
    }


MOST_LAYERS = 10_000


def _n_layers(read: JsonReader) -> int:
    """Return the number of layers, few enough to look at each."""
    layers = read.count("num_hidden_layers")
    if layers > MOST_LAYERS:
        read.wrong("num_hidden_layers", f"must be {MOST_LAYERS} at most, got {layers}")
        return 1
    return layers


def _grouped(read: JsonReader, hidden: int, head_dim: int | None = None) -> dict[str, Any]:
    heads = read.count("num_attention_heads")
    if head_dim is None and hidden % heads and read.data.get("head_dim") is None:
        read.wrong("head_dim", f"is missing: {heads} heads do not divide hidden size {hidden}")
    return {
        "heads": heads,
        "kv_heads": read.count("num_key_value_heads", default=heads),
        "head_dim": read.count("head_dim", default=head_dim or max(hidden // heads, 1)),
    }


def _refuse_if(read: JsonReader, reasons: dict[str, str]) -> None:
    """Refuse switches that no shape can say."""
    for key, reason in reasons.items():
        if read.data.get(key):
            read.wrong(key, f"cannot be said by a shape: {reason}")


def _qwen3_next(read: JsonReader, kind: str) -> dict[str, Any]:
    found = _base(read)
    n, hidden = found["layers"], found["hidden"]
    found |= _grouped(read, hidden, head_dim=256)
    found["gated_attention"] = read.flag("attn_output_gate", default=True)
    every = read.count("full_attention_interval", default=4)
    types = ["full_attention" if (i + 1) % every == 0 else "linear_attention" for i in range(n)]
    types = per_layer(read, "layer_types", n, ("full_attention", "linear_attention"), types)
    linear = {
        "heads": read.count("linear_num_value_heads"),
        "key_heads": read.count("linear_num_key_heads"),
        "key_dim": read.count("linear_key_head_dim"),
        "value_dim": read.count("linear_value_head_dim"),
        "conv": read.count("linear_conv_kernel_dim", default=4),
    }
    n_linear = types.count("linear_attention")
    vectors = n_linear * (2 * linear["heads"] + linear["value_dim"])
    vectors += (n - n_linear) * 2 * found["head_dim"]  # norms of queries and keys
    if kind == "qwen3_5_text":
        found["ffn"] = read.count("intermediate_size")
    else:
        if read.count("decoder_sparse_step", default=1) != 1 or read.data.get("mlp_only_layers"):
            read.wrong("mlp_only_layers", "must be empty: every layer has experts")
        width = read.count("moe_intermediate_size")
        found["ffn"] = read.count("intermediate_size", default=width)
        found["moe"] = {
            "experts": read.count("num_experts"),
            "top_k": read.count("num_experts_per_tok"),
            "expert_ffn": width,
            "shared_experts": widths_of_an_expert(read, "shared_expert_intermediate_size", width),
        }
        vectors += n * hidden  # the gate of the shared expert
    found["other_parameters"] = vectors
    linear_only = {"linear_attention": linear}
    return found | by_kind({} if one == "full_attention" else linear_only for one in types)


def _kimi_linear(read: JsonReader, _kind: str) -> dict[str, Any]:
    found = _base(read)
    n = found["layers"]
    found |= {"heads": read.count("num_attention_heads"), "mla": latent_attention(read)}
    found["gated_attention"] = read.flag("mla_use_output_gate", default=False)
    found["ffn"] = read.count("intermediate_size")
    of_linear = read.mapping("linear_attn_config")
    heads, width = of_linear.count("num_heads"), of_linear.count("head_dim")
    full_rank = of_linear.flag("use_full_rank_gate", default=False)
    linear = {
        "heads": heads,
        "key_dim": width,
        "value_dim": width,
        "rule": "kda",
        "conv": of_linear.count("short_conv_kernel_size", default=4),
        "gate_rank": 0 if full_rank else width,
    }
    at = of_linear.data.get("kda_layers")
    whole = isinstance(at, list) and all(type(i) is int and 1 <= i <= n for i in at)
    if not whole:
        of_linear.wrong("kda_layers", f"must list layers from 1 to {n}")
    linear_at = set(at) if isinstance(at, list) and whole else set()
    read.absorb(of_linear)
    latent = read.count("routed_expert_hidden_size", default=0, least=0)
    found["moe"] = {
        "experts": read.count("num_experts"),
        "top_k": read.count("num_experts_per_token", "num_experts_per_tok"),
        "expert_ffn": read.count("moe_intermediate_size"),
        "shared_experts": read.count("num_shared_experts", default=0, least=0),
        "latent": latent,
    }
    if read.count("moe_layer_freq", default=1) != 1:
        read.wrong("moe_layer_freq", "must be 1: every layer after the dense ones has experts")
    dense = read.count("first_k_dense_replace", default=0, least=0)
    vectors = len(linear_at) * (heads + heads * width + width)
    vectors += max(n - dense, 0) * (found["moe"]["experts"] + latent)
    found["other_parameters"] = vectors
    return found | by_kind(
        {
            **({"linear_attention": linear} if i + 1 in linear_at else {}),
            **(NO_EXPERTS if i < dense else {}),
        }
        for i in range(n)
    )


def _mamba2(read: JsonReader, prefix: str, heads: str, width: str, state: str) -> dict[str, Any]:
    return {
        "heads": read.count(heads),
        "value_dim": read.count(width),
        "key_dim": read.count(state),
        "key_heads": read.count(f"{prefix}n_groups"),
        "conv": read.count(f"{prefix}d_conv", "conv_kernel", default=4),
        "rule": "mamba2",
    }


def _mamba2_vectors(linear: dict[str, Any]) -> int:
    """Return biases of the convolution, three numbers a head, and the norm of the output."""
    inner: int = linear["heads"] * (2 * linear["value_dim"] + 3)
    keys: int = 2 * linear["key_heads"] * linear["key_dim"]
    return inner + keys


_NEMOTRON_BLOCKS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}


def _nemotron_h(read: JsonReader, _kind: str) -> dict[str, Any]:
    pattern = read.data.get("hybrid_override_pattern")
    types: Any = read.data.get("layers_block_type")
    key = "layers_block_type" if types is not None else "hybrid_override_pattern"
    if isinstance(pattern, str) and types is None:
        types = [_NEMOTRON_BLOCKS.get(letter) for letter in pattern]
    known = tuple(_NEMOTRON_BLOCKS.values())
    if not isinstance(types, list) or not types or any(one not in known for one in types):
        read.wrong(key, "must say of each layer whether it is M (mamba), *, - (mlp) or E (moe)")
        types = ["attention"]
    if read.count("num_hidden_layers", default=len(types)) != len(types):
        read.wrong(key, f"says {len(types)} layers; num_hidden_layers is another number")
    read.data = {**read.data, "num_hidden_layers": len(types)}
    found = _base(read)
    hidden = found["hidden"]
    if "head_dim" not in read.data and "attention_head_dim" in read.data:
        read.data["head_dim"] = read.data["attention_head_dim"]
    found |= _grouped(read, hidden) | {"gated_mlp": False}
    found["ffn"] = read.count("intermediate_size")
    linear = _mamba2(read, "", "mamba_num_heads", "mamba_head_dim", "ssm_state_size")
    vectors = types.count("mamba") * _mamba2_vectors(linear)
    if "moe" in types:
        width = read.count("moe_intermediate_size")
        found["moe"] = {
            "experts": read.count("n_routed_experts"),
            "top_k": read.count("num_experts_per_tok"),
            "expert_ffn": width,
            "latent": read.count("moe_latent_size", default=0, least=0),
            "shared_experts": widths_of_an_expert(
                read, "moe_shared_expert_intermediate_size", width
            ),
        }
        vectors += types.count("moe") * found["moe"]["experts"]
    further = read.data.get("mtp_layers_block_type", read.data.get("mtp_hybrid_override_pattern"))
    if further not in (None, "*E", ["attention", "moe"]):
        read.wrong("mtp_layers_block_type", "must be attention and moe, as one layer has both")
    no = "linear maps of these models have no biases"
    _refuse_if(read, dict.fromkeys(("attention_bias", "mlp_bias", "use_bias"), no))
    kinds: dict[str, dict[str, Any]] = {
        "mamba": {"linear_attention": linear, "mlp": "none"},
        "attention": {"mlp": "none"},
        "mlp": {"attention": "none", **(NO_EXPERTS if "moe" in found else {})},
        "moe": {"attention": "none"},
    }
    return found | {"other_parameters": vectors} | by_kind(kinds[one] for one in types)


def _nemotron_nas(read: JsonReader, _kind: str) -> dict[str, Any]:
    found = _base(read)
    n, hidden = found["layers"], found["hidden"]
    heads = read.count("num_attention_heads")
    blocks = read.data.get("block_configs")
    if not isinstance(blocks, list) or len(blocks) != n:
        read.wrong("block_configs", f"must list {n} layers")
        blocks = []
    layers = []
    for i, block in enumerate(blocks):
        one = JsonReader(block if isinstance(block, dict) else {}, f"block_configs.{i}.")
        attention, mlp = one.mapping("attention"), one.mapping("ffn")
        layer: dict[str, Any] = {}
        for part, word in ((attention, "attention"), (mlp, "mlp")):
            if part.data.get("replace_with_linear"):
                part.wrong("replace_with_linear", "cannot be said by a shape: write a YAML file")
            if part.flag("no_op", default=False):
                layer[word] = "none"
        if "attention" not in layer:
            layer["kv_heads"] = heads // attention.count("n_heads_in_group")
            if not layer["kv_heads"] or heads % layer["kv_heads"]:
                attention.wrong("n_heads_in_group", f"must divide {heads} heads")
        if "mlp" not in layer:
            layer["ffn"] = _width_of(mlp, hidden)
        for part in (attention, mlp, one):
            read.absorb(part)
        layers.append(layer)
    layers = [layer for layer in layers if layer != {"attention": "none", "mlp": "none"}]
    if len(layers) < n:
        read.wrong("block_configs", "a layer has neither attention nor an mlp")
    of_first = [layer["kv_heads"] for layer in layers if "kv_heads" in layer]
    widths = [layer["ffn"] for layer in layers if "ffn" in layer]
    found |= {"heads": heads, "kv_heads": (of_first or [heads])[0], "ffn": max(widths, default=1)}
    return found | _head_dim(read, hidden, heads) | by_kind(layers)


def _head_dim(read: JsonReader, hidden: int, heads: int) -> dict[str, int]:
    if read.data.get("head_dim") is None and hidden % heads:
        read.wrong("head_dim", f"is missing: {heads} heads do not divide hidden size {hidden}")
    return {"head_dim": read.count("head_dim", default=max(hidden // heads, 1))}


def _width_of(mlp: JsonReader, hidden: int) -> int:
    """Return the width that the multiplier of a layer means: two thirds, in steps of 256."""
    times: Any = mlp.data.get("ffn_mult")
    if isinstance(times, bool) or not isinstance(times, int | float) or not 0 < times < 1000:
        mlp.wrong("ffn_mult", f"must be a number above 0 and below 1000, got {shown_value(times)}")
        return 1
    steps: int = -(-int(2 * times * hidden / 3) // 256)
    return 256 * steps


def _llama4(read: JsonReader, _kind: str) -> dict[str, Any]:
    found = _base(read)
    n = found["layers"]
    found |= _grouped(read, found["hidden"], head_dim=128)
    chunk = read.count("attention_chunk_size", default=8192)
    width = read.count("intermediate_size")
    found["ffn"] = read.count("intermediate_size_mlp", default=width)
    found["moe"] = {
        "experts": read.count("num_local_experts"),
        "top_k": read.count("num_experts_per_tok", default=1),
        "expert_ffn": width,
        "shared_experts": 1,
    }
    step = read.count("interleave_moe_layer_step", default=1)
    moe_at = read.data.get("moe_layers")
    if moe_at is None:
        moe_at = [i for i in range(n) if (i + 1) % step == 0]
    if not isinstance(moe_at, list) or any(type(i) is not int for i in moe_at):
        read.wrong("moe_layers", "must list the layers that have experts")
        moe_at = []
    every = read.count("no_rope_layer_interval", default=4)
    types = [("full" if (i + 1) % every == 0 else "chunked") + "_attention" for i in range(n)]
    types = per_layer(read, "layer_types", n, ("full_attention", "chunked_attention"), types)
    return found | by_kind(
        {
            **({} if types[i] == "full_attention" else {"attention_chunk": chunk}),
            **({} if i in moe_at else NO_EXPERTS),
        }
        for i in range(n)
    )


def _gemma4(read: JsonReader, _kind: str) -> dict[str, Any]:
    found = _base(read, tied=True)
    n, hidden = found["layers"], found["hidden"]
    found |= _grouped(read, hidden, head_dim=256)
    _refuse_if(
        read,
        {
            "hidden_size_per_layer_input": "an embedding for every layer",
            "num_kv_shared_layers": "keys and values shared between layers",
            "use_double_wide_mlp": "an MLP of twice the width in some layers",
            "attention_bias": "biases of attention in these models",
        },
    )
    types = per_layer(read, "layer_types", n, ("full_attention", "sliding_attention"), None)
    wide = read.count("global_head_dim")
    same = read.flag("attention_k_eq_v", default=False)
    kv_heads = read.count("num_global_key_value_heads") if same else found["kv_heads"]
    full = {"head_dim": wide, "kv_heads": kv_heads, "shared_kv": same}
    sliding = {"sliding_window": read.count("sliding_window")}
    n_full = types.count("full_attention")
    norms = 2 * hidden  # behind each block; those before it every shape has
    if read.data.get("enable_moe_block") is None:
        read.wrong("enable_moe_block", "'enable_moe_block' is missing: whether it has experts")
    found["ffn"] = read.count("intermediate_size")
    if read.flag("enable_moe_block", default=False):  # a dense MLP stands beside the experts
        width = read.count("moe_intermediate_size", "expert_intermediate_size")
        shared = widths_of_an_expert(read, "intermediate_size", width)
        experts, top_k = read.count("num_experts"), read.count("top_k_experts")
        of_experts = {"experts": experts, "top_k": top_k, "expert_ffn": width}
        found["moe"] = of_experts | {"shared_experts": shared}
        norms += 4 * hidden + experts
    vectors = n * norms + 2 * (n_full * wide + (n - n_full) * found["head_dim"])
    found["other_parameters"] = vectors
    return found | by_kind(full if one == "full_attention" else sliding for one in types)


def _minimax_m3(read: JsonReader, _kind: str) -> dict[str, Any]:
    found = _base(read)
    n = found["layers"]
    found |= _grouped(read, found["hidden"])
    found["gated_attention"] = read.flag("attention_output_gate", default=False)
    width = read.count("moe_intermediate_size", "intermediate_size")
    found["ffn"] = read.count("dense_intermediate_size")
    found["moe"] = {
        "experts": read.count("num_local_experts"),
        "top_k": read.count("num_experts_per_tok"),
        "expert_ffn": width,
        "shared_experts": widths_of_an_expert(read, "shared_intermediate_size", width),
    }
    with_experts = per_layer(read, "moe_layer_freq", n, (1, 0), [1] * n)
    chosen = read.mapping("sparse_attention_config")
    indexer, sparse = {}, [0] * n
    if chosen.data and chosen.flag("use_sparse_attention", default=True):
        blocks = chosen.count("sparse_topk_blocks")
        indexer = {
            "heads": chosen.count("sparse_num_index_heads"),
            "head_dim": chosen.count("sparse_index_dim"),
            "top_k": blocks * chosen.count("sparse_block_size"),
        }
        sparse = per_layer(chosen, "sparse_attention_freq", n, (1, 0), [1] * n)
    read.absorb(chosen)
    vectors = n * 2 * found["head_dim"] if read.flag("use_qk_norm", default=False) else 0
    found["other_parameters"] = vectors + sum(with_experts) * found["moe"]["experts"]
    return found | by_kind(
        {**({"indexer": indexer} if sparse[i] else {}), **({} if with_experts[i] else NO_EXPERTS)}
        for i in range(n)
    )


def _mimo_v2(read: JsonReader, _kind: str) -> dict[str, Any]:
    found = _base(read)
    n = found["layers"]
    found |= _grouped(read, found["hidden"])
    found["value_dim"] = read.count("v_head_dim", default=found["head_dim"])
    sliding = {
        "heads": read.count("swa_num_attention_heads", default=found["heads"]),
        "kv_heads": read.count("swa_num_key_value_heads", default=found["kv_heads"]),
        "head_dim": read.count("swa_head_dim", default=found["head_dim"]),
        "value_dim": read.count("swa_v_head_dim", default=found["value_dim"]),
        "sliding_window": read.count("sliding_window"),
    }
    found["ffn"] = read.count("intermediate_size")
    found["moe"] = {
        "experts": read.count("n_routed_experts"),
        "top_k": read.count("num_experts_per_tok"),
        "expert_ffn": read.count("moe_intermediate_size"),
        "shared_experts": read.count("n_shared_experts", default=0, least=0),
    }
    _refuse_if(read, {"attention_bias": "biases of attention in these models"})
    slides = per_layer(read, "hybrid_layer_pattern", n, (0, 1), None)
    with_experts = per_layer(read, "moe_layer_freq", n, (1, 0), None)
    sinks = slides.count(1) * sliding["heads"]
    sinks += with_experts.count(1) * found["moe"]["experts"]
    found["other_parameters"] = sinks
    return found | by_kind(
        {**(sliding if slides[i] else {}), **({} if with_experts[i] else NO_EXPERTS)}
        for i in range(n)
    )


def _step3(read: JsonReader, _kind: str) -> dict[str, Any]:
    found = _base(read)
    n = found["layers"]
    heads = read.count("num_attention_heads")
    found |= {"heads": heads, "head_dim": read.count("head_dim")}
    found["kv_heads"] = read.count("num_attention_groups", "num_key_value_heads")
    types = read.data.get("layer_types")
    if isinstance(types, list) and len(types) > n:  # extra prediction layers stand behind
        read.data = {**read.data, "layer_types": types[:n]}
    types = per_layer(read, "layer_types", n, ("full_attention", "sliding_attention"), None)
    other = read.mapping("attention_other_setting")
    sliding = {"sliding_window": read.count("sliding_window")}
    if "sliding_attention" in types and not other.data:
        message = "is missing: layers that slide have heads of their own, which it states"
        read.wrong("attention_other_setting", f"'attention_other_setting' {message}")
    elif other.data:
        sliding["heads"] = other.count("num_attention_heads")
        sliding["kv_heads"] = other.count("num_attention_groups")
        sliding["head_dim"] = other.count("head_dim", default=found["head_dim"])
    read.absorb(other)
    found["ffn"] = read.count("intermediate_size")
    width = read.count("moe_intermediate_size")
    found["moe"] = {
        "experts": read.count("moe_num_experts", "num_experts"),
        "top_k": read.count("moe_top_k", "num_experts_per_tok"),
        "expert_ffn": width,
        "shared_experts": widths_of_an_expert(read, "share_expert_dim", width),
    }
    dense = _dense_before(read, n)
    per_head = read.flag("use_head_wise_attn_gate", default=False)
    found["other_parameters"] = sum(
        (sliding.get("heads", heads) if one == "sliding_attention" else heads) * found["hidden"]
        for one in types
        if per_head
    )
    return found | by_kind(
        {
            **(sliding if types[i] == "sliding_attention" else {}),
            **(NO_EXPERTS if i < dense else {}),
        }
        for i in range(n)
    )


def _dense_before(read: JsonReader, layers: int) -> int:
    """Return how many first layers have no experts, from their number or the list of the others."""
    listed = read.data.get("moe_layers_enum")
    if listed is None:
        return read.count("first_k_dense_replace", default=0, least=0)
    words = str(listed).split(",") if isinstance(listed, str) else []
    at = [int(word) for word in words if word.strip().isdecimal() and len(word) < 8]
    if not at or at != list(range(at[0], layers)):
        read.wrong("moe_layers_enum", "must list the layers with experts, up to the last layer")
        return 0
    return at[0]


def _jamba(read: JsonReader, _kind: str) -> dict[str, Any]:
    found = _base(read)
    n, hidden = found["layers"], found["hidden"]
    found |= _grouped(read, hidden) | {"ffn": read.count("intermediate_size")}
    linear, vectors = _mamba1(
        read, hidden, "mamba_d_state", "mamba_d_conv", "mamba_expand", "mamba_dt_rank"
    )
    vectors += linear["step_rank"] + 2 * linear["key_dim"]  # norms of step and keys
    every, first = (
        read.count(f"attn_layer_{word}", default=d, least=least)
        for word, d, least in (("period", 8, 1), ("offset", 4, 0))
    )
    step, start = (
        read.count(f"expert_layer_{word}", default=d, least=least)
        for word, d, least in (("period", 2, 1), ("offset", 1, 0))
    )
    experts = read.count("num_experts", default=16)
    if experts > 1:
        top_k, width = read.count("num_experts_per_tok", default=2), found["ffn"]
        found["moe"] = {"experts": experts, "top_k": top_k, "expert_ffn": width}
    attends = [i % every == first for i in range(n)]
    found["other_parameters"] = (n - sum(attends)) * vectors
    return found | by_kind(
        {
            **({} if attends[i] else {"linear_attention": linear}),
            **({} if experts == 1 or i % step == start else NO_EXPERTS),
        }
        for i in range(n)
    )


def _mamba1(
    read: JsonReader, hidden: int, state: str, conv: str, expand: str, rank: str
) -> tuple[dict[str, Any], int]:
    """Return the recurrence of Mamba, and the vectors of one of its layers."""
    inner = read.count(expand, default=2) * hidden
    step = -(-hidden // 16) if read.data.get(rank) in (None, "auto") else read.count(rank)
    keys = read.count(state, default=16)
    linear = {
        "heads": inner,
        "value_dim": 1,
        "key_heads": 1,
        "rule": "mamba",
        "step_rank": step,
        "key_dim": keys,
        "conv": read.count(conv, default=4),
    }
    bias = inner if read.flag("mamba_conv_bias", default=True) else 0
    return linear, bias + 2 * inner + inner * keys


def _mamba(read: JsonReader, kind: str) -> dict[str, Any]:
    found = _base(read, tied=kind == "mamba")
    n, hidden = found["layers"], found["hidden"]
    _refuse_if(read, {"use_bias": "biases of its linear maps"})
    if kind == "mamba":
        linear, vectors = _mamba1(
            read, hidden, "state_size", "conv_kernel", "expand", "time_step_rank"
        )
    else:
        linear = _mamba2(read, "", "num_heads", "head_dim", "state_size")
        vectors = _mamba2_vectors(linear)
    found |= {"heads": linear["heads"], "head_dim": linear["value_dim"], "ffn": 1}
    found["other_parameters"] = n * vectors
    return found | by_kind([{"linear_attention": linear, "mlp": "none"}] * n)


def _granite_hybrid(read: JsonReader, _kind: str) -> dict[str, Any]:
    found = _base(read)
    n = found["layers"]
    found |= _grouped(read, found["hidden"])
    linear = _mamba2(read, "mamba_", "mamba_n_heads", "mamba_d_head", "mamba_d_state")
    types = per_layer(read, "layer_types", n, ("attention", "mamba"), None)
    _refuse_if(read, dict.fromkeys(("attention_bias", "mamba_proj_bias"), "biases of its maps"))
    experts = read.count("num_local_experts", default=0, least=0)
    if experts:
        width = read.count("intermediate_size")
        found["ffn"] = width
        key = "shared_intermediate_size"
        shared = widths_of_an_expert(read, key, width, of="intermediate_size")
        of_experts = {"experts": experts, "top_k": read.count("num_experts_per_tok")}
        found["moe"] = of_experts | {"expert_ffn": width, "shared_experts": shared}
    else:
        found["ffn"] = read.count("shared_intermediate_size")
    found["other_parameters"] = types.count("mamba") * _mamba2_vectors(linear)
    return found | by_kind(
        {} if one == "attention" else {"linear_attention": linear} for one in types
    )


def _deepseek_v4(read: JsonReader, _kind: str) -> dict[str, Any]:
    found = _base(read)
    n, hidden = found["layers"], found["hidden"]
    found |= _grouped(read, hidden) | {"sliding_window": read.count("sliding_window")}
    if found["kv_heads"] != 1:
        read.wrong("num_key_value_heads", "must be 1: all heads share compressed keys")
    width = read.count("moe_intermediate_size")
    found["ffn"] = width
    found["moe"] = {
        "experts": read.count("n_routed_experts"),
        "top_k": read.count("num_experts_per_tok"),
        "expert_ffn": width,
        "shared_experts": read.count("n_shared_experts", default=0, least=0),
    }
    ranks = {
        "q_lora_rank": read.count("q_lora_rank"),
        "o_lora_rank": read.count("o_lora_rank"),
        "o_groups": read.count("o_groups"),
    }
    if found["heads"] % ranks["o_groups"]:
        read.wrong("o_groups", f"must divide {found['heads']} heads")
    indexer = {
        "heads": read.count("index_n_heads"),
        "head_dim": read.count("index_head_dim"),
        "top_k": read.count("index_topk"),
    }
    ratios = read.data.get("compress_ratios")
    whole = isinstance(ratios, list) and len(ratios) >= n  # extra prediction layers stand behind
    if (
        not isinstance(ratios, list)
        or not whole
        or any(type(one) is not int or not 0 <= one <= 100_000_000 for one in ratios)
    ):
        read.wrong("compress_ratios", f"must list {n} layers or more, each a number of tokens")
        ratios = [0] * n
    streams = read.count("hc_mult", default=1)
    mixing = (2 + streams) * streams * (streams * hidden + 1) + 3  # of several residual streams
    norms = found["heads"] + ranks["q_lora_rank"] + found["head_dim"] + found["moe"]["experts"]
    found |= {"other_parameters": n * (2 * mixing + norms), "compressed": ranks | {"ratio": 0}}
    return found | by_kind(
        {
            "compressed": ranks | {"ratio": ratio},
            **({"indexer": indexer} if 0 < ratio <= FINE_RATIO else {}),
        }
        for ratio in ratios[:n]
    )


FINE_RATIO = 4
"""Tokens behind a compressed key up to which an index chooses among the keys."""

LAYERED: dict[str, Callable[[JsonReader, str], dict[str, Any]]] = {
    **dict.fromkeys(("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"), _qwen3_next),
    **dict.fromkeys(("mamba", "mamba2"), _mamba),
    **dict.fromkeys(("step3p5", "step3p7"), _step3),
    "deepseek_v4": _deepseek_v4,
    "gemma4_text": _gemma4,
    "granitemoehybrid": _granite_hybrid,
    "jamba": _jamba,
    "kimi_linear": _kimi_linear,
    "llama4_text": _llama4,
    "mimo_v2_flash": _mimo_v2,
    "minimax_m3": _minimax_m3,
    "nemotron-nas": _nemotron_nas,
    "nemotron_h": _nemotron_h,
}
