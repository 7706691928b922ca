"""What a neural network is: the numbers of its transformer, with their source."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from computeplan.specs.catalogue.chips import NumberFigure, Source, check_sources
from computeplan.specs.fields import Count, Frozen, instead, refuse

__all__ = [
    "CompressedAttention",
    "Experts",
    "Indexer",
    "LatentAttention",
    "LayerKind",
    "LinearAttention",
    "Parameters",
    "Transformer",
]

CountOrZero = Annotated[int, Field(ge=0, le=100_000_000)]


class Experts(Frozen):
    """A mixture of experts in place of the MLP."""

    experts: Count
    """Routed experts of a layer."""
    top_k: Count
    """Routed experts that a token meets."""
    expert_ffn: Count
    """Width of one expert, shared ones included."""
    shared_experts: CountOrZero = 0
    """Experts that every token meets."""
    dense_layers: CountOrZero = 0
    """First layers that keep a dense MLP of width ffn."""
    groups_per_token: CountOrZero = 0
    """Groups of experts, each on one server, that a token may use; 0 if nothing limits it."""
    latent: CountOrZero = 0
    """Numbers of a token that routed experts work on, 0 if it is all of hidden."""


class LatentAttention(Frozen):
    """Multi-head latent attention in place of kv_heads and head_dim."""

    q_lora_rank: CountOrZero = 0
    """Rank of the compressed queries, 0 if they are not compressed."""
    kv_lora_rank: Count
    """Rank of the compressed keys and values."""
    qk_nope_head_dim: Count
    """Width of a head's query and key without position."""
    qk_rope_head_dim: Count
    """Width of the part that carries the position."""
    v_head_dim: Count
    """Width of a head's value."""


class LinearAttention(Frozen):
    """A recurrence in place of attention: linear attention or a state space. No pairs of tokens."""

    tried = instead(
        ("num_heads n_heads", "write heads: 32"),
        ("state state_size ssm_state_size d_state", "write key_dim: 128"),
        ("head_dim", "write value_dim: 64, and key_dim for the size of the state"),
        ("groups n_groups num_key_heads", "write key_heads: 8"),
    )

    heads: Count
    """Heads, each with a state of key_dim times value_dim numbers."""
    key_dim: Count
    """Width of a head's query and key; of a state space the size of its state."""
    value_dim: Count
    """Width of a head's value."""
    key_heads: Count | None = None
    """Heads of queries and keys, or groups of a state space; equal to heads if left out."""
    rule: Literal["gated_delta", "kda", "mamba2", "mamba"] = "gated_delta"
    """How the state is updated: as in Qwen3-Next, Kimi Linear, Mamba-2 or Mamba."""
    conv: CountOrZero = 4
    """Tokens that the short convolution sees."""
    gate_rank: CountOrZero = 0
    """Rank of the gate of the output, 0 if it is full."""
    step_rank: CountOrZero = 0
    """Rank of the step of mamba."""

    @model_validator(mode="after")
    def _checked(self) -> LinearAttention:
        if self.heads % (self.key_heads or self.heads):
            refuse(f"key_heads {self.key_heads} must divide heads {self.heads}")
        if (self.rule == "mamba") != (self.step_rank > 0):
            refuse("step_rank is of rule: mamba, which needs it")
        return self


class Indexer(Frozen):
    """What chooses the keys that a token attends to."""

    heads: CountOrZero
    """Heads of the index, 0 in layers that take the choice of an earlier one."""
    head_dim: Count
    """Width of one."""
    top_k: Count
    """Keys that it chooses for a token."""


class CompressedAttention(Frozen):
    """One head of keys that are values at once, compressed, as in DeepSeek-V4."""

    q_lora_rank: Count
    """Rank of the queries."""
    o_lora_rank: Count
    """Rank of the output, in each of o_groups."""
    o_groups: Count
    """Groups of heads whose output is projected together."""
    ratio: CountOrZero = 0
    """Tokens behind one compressed key; 0 if there are only those of the sliding window."""


class LayerKind(Frozen):
    """Layers of one kind: what they have in place of what the model says; null for nothing."""

    layers: Count
    """How many there are."""
    attention: Literal["none"] | None = None
    """`none` for layers that only have an MLP."""
    mlp: Literal["none"] | None = None
    """`none` for layers that only have attention or what stands for it."""
    ffn: Count | None = None
    """Width of a dense MLP."""
    heads: Count | None = None
    """Query heads."""
    kv_heads: Count | None = None
    """Key and value heads."""
    head_dim: Count | None = None
    """Width of a head."""
    value_dim: Count | None = None
    """Width of a head's value."""
    shared_kv: bool = False
    """Whether keys are values at once."""
    sliding_window: Count | None = None
    """Positions a token sees at most."""
    attention_chunk: Count | None = None
    """Pieces of a sequence that a token does not see beyond."""
    linear_attention: LinearAttention | None = None
    """A recurrence in place of attention."""
    indexer: Indexer | None = None
    """What chooses the keys."""
    compressed: CompressedAttention | None = None
    """Compressed keys."""
    moe: Literal["none"] | None = None
    """`none` for layers with a dense MLP."""

    def changed(self) -> dict[str, Any]:
        """Return what is written, `none` and `layers` aside."""
        aside = {"layers", "attention", "mlp", "moe"}
        return self.model_dump(include=self.model_fields_set - aside)


class Parameters(Frozen):
    """Parameter counts as published, to compare with what the shape gives."""

    total: NumberFigure | None = None
    """All parameters."""
    active: NumberFigure | None = None
    """Parameters that one token meets."""


class Transformer(Frozen):
    """A decoder-only transformer, dense or a mixture of experts."""

    tried = instead(
        ("n_layers num_layers num_hidden_layers n_layer depth", "write layers: 80"),
        ("hidden_size d_model n_embd dim width hidden_dim", "write hidden: 8192"),
        ("intermediate_size d_ff ffn_dim ffn_hidden_size ffn_size", "write ffn: 28672"),
        ("num_attention_heads n_heads n_head num_heads attention_heads", "write heads: 64"),
        ("num_key_value_heads n_kv_heads num_kv_heads", "write kv_heads: 8"),
        ("vocab_size vocabulary", "write vocab: 128256"),
        (
            "params n_params size parameter_count",
            "follows from the shape: layers, hidden, ffn, heads, vocab",
        ),
        (
            "model_type architectures torch_dtype",
            "is of a Hugging Face config.json, which is taken as it is: {config: my/config.json}",
        ),
        (
            "kinds layer_types blocks pattern hybrid_override_pattern",
            "write layer_kinds: [{layers: 36, linear_attention: {...}}, {layers: 12}]",
        ),
        (
            "chunk attention_chunk_size chunk_size",
            "write attention_chunk: 8192, and full_attention_every: 4",
        ),
        (
            "mamba ssm state_space linear recurrence",
            "write linear_attention: {heads: 64, key_dim: 128, value_dim: 64, rule: mamba2}",
        ),
        ("num_nextn_predict_layers mtp_layers", "write mtp: 1"),
        (
            "num_experts n_experts experts num_local_experts n_routed_experts top_k",
            "write moe: {experts: 128, top_k: 8, expert_ffn: 1536}",
        ),
    )

    name: str = ""
    """vendor/model; the name it is declared under if left out."""
    title: str = ""
    """How people call it."""
    vendor: str = ""
    """Who made it."""
    source: str = "scenario"
    """Where the shape comes from: a key under sources."""
    layers: Count
    """Decoder layers."""
    hidden: Count
    """Width of the residual stream."""
    ffn: Count
    """Width of a dense MLP."""
    heads: Count
    """Query heads."""
    kv_heads: Count | None = None
    """Key and value heads, equal to heads if left out."""
    head_dim: Count | None = None
    """Width of a head, hidden / heads if left out."""
    vocab: Count
    """Rows of the embedding, padding included."""
    context: Count | None = None
    """Tokens of the longest sequence that it is published for."""
    gated_mlp: bool = True
    """Whether the MLP has three matrices (gate, up, down) or two."""
    tied_embeddings: bool = False
    """Whether the output matrix is the input embedding."""
    causal: bool = True
    """Whether a token sees only what came before it."""
    sliding_window: Count | None = None
    """Positions a token sees at most."""
    full_attention_every: Count | None = None
    """Every n-th layer attends in full; none does if left out. The others have sliding_window,
    attention_chunk or linear_attention."""
    attention_chunk: Count | None = None
    """Pieces of a sequence that a token does not see beyond."""
    linear_attention: LinearAttention | None = None
    """A recurrence in place of attention."""
    value_dim: Count | None = None
    """Width of a head's value, head_dim if left out."""
    shared_kv: bool = False
    """Whether keys are values at once."""
    gated_attention: bool = False
    """Whether a matrix as wide as the values gates what attention gives."""
    parallel: bool = False
    """Whether attention and MLP stand side by side behind one norm."""
    indexer: Indexer | None = None
    """What chooses the keys that a token attends to."""
    compressed: CompressedAttention | None = None
    """Compressed keys in place of kv_heads."""
    layer_kinds: Annotated[tuple[LayerKind, ...], Field(max_length=100)] = ()
    """Layers that differ, by kind; what is not said there is as said here."""
    mtp: Annotated[int, Field(ge=0, le=100)] = 0
    """Extra layers that each predict one token further (multi-token prediction), counted apart."""
    other_parameters: Annotated[int, Field(ge=0, le=10**12)] = 0
    """Vectors that nothing else says: norms of queries and keys, sinks, some biases."""
    of_larger_network: bool = False
    """Whether it is the language model of a network that also reads images or sound."""
    max_position: CountOrZero = 0
    """Rows of a learned position embedding, 0 if there is none."""
    norm: Literal["rms", "layer"] = "rms"
    """A layer norm has a bias, an RMS norm does not."""
    biases: Literal["none", "qkv", "all"] = "none"
    """Which linear maps of a layer have a bias."""
    embedding_norm: bool = False
    """Whether a norm follows the embedding."""
    moe: Experts | None = None
    """Mixture of experts."""
    mla: LatentAttention | None = None
    """Latent attention."""
    parameters: Parameters = Parameters()
    """Published parameter counts."""
    sources: dict[str, Source] = Field(default_factory=dict)
    """The documents of this entry."""

    @model_validator(mode="after")
    def _checked(self) -> Transformer:
        if self.mla is None:
            if self.head_dim is None and self.hidden % self.heads:
                refuse(
                    f"head_dim is missing: {self.heads} heads do not divide hidden {self.hidden}"
                )
            if self.heads % (self.kv_heads or self.heads):
                refuse(f"kv_heads {self.kv_heads} must divide heads {self.heads}")
        elif self.kv_heads is not None or self.head_dim is not None:
            refuse("mla replaces kv_heads and head_dim: leave them out")
        if self.moe is not None and self.moe.top_k > self.moe.experts:
            refuse(f"moe.top_k {self.moe.top_k} is more than moe.experts {self.moe.experts}")
        if self.moe is not None and self.moe.dense_layers >= self.layers:
            refuse(
                f"moe.dense_layers {self.moe.dense_layers} must be less than layers {self.layers}"
            )
        self._check_layers()
        if self.source != "scenario" and self.source not in self.sources:
            refuse(f"no source '{self.source}' under sources")
        check_sources(self, self.sources)
        return self

    def _check_layers(self) -> None:
        """Refuse what cannot be said of the layers together."""
        near = ("sliding_window", "attention_chunk", "linear_attention")
        written = [key for key in near if getattr(self, key) is not None]
        if len(written) > 1:
            refuse(f"{' and '.join(written)} both say what a layer sees: write layer_kinds")
        if self.full_attention_every is not None and not written:
            refuse(
                "full_attention_every needs a sliding_window (or attention_chunk, or"
                " linear_attention): how many positions the other layers see, such as 4096; without"
                " one, every layer attends in full"
            )
        if not self.layer_kinds:
            return
        n = sum(kind.layers for kind in self.layer_kinds)
        if n != self.layers:
            refuse(f"layer_kinds have {n} layers together; layers is {self.layers}")
        if self.full_attention_every is not None or (self.moe and self.moe.dense_layers):
            refuse(
                "layer_kinds say what each layer has: leave out full_attention_every and"
                " moe.dense_layers"
            )
        for kind in self.layer_kinds:
            heads, kv_heads = kind.heads or self.heads, kind.kv_heads or self.kv_heads
            if self.mla is None and heads % (kv_heads or heads):
                refuse(f"kv_heads {kv_heads} must divide heads {heads} in every kind of layer")
            if kind.attention == kind.mlp == "none":
                refuse("a layer has attention or an mlp: not both are none")
            if kind.moe is None and kind.ffn is not None and self.moe is not None:
                refuse("ffn is the width of a dense mlp: write moe: none beside it")

    @property
    def n_context(self) -> int | None:
        """Tokens of the longest sequence, None if that is not known."""
        return self.context or self.max_position or None

    def architecture(self) -> dict[str, Any]:
        """Return the numbers of the shape, as ``physics.transformer.shape_of`` takes them."""
        named = {"name", "title", "vendor", "source", "sources", "parameters", "context"}
        other = {"of_larger_network", "layer_kinds", "linear_attention", "max_position"}
        shape = self.model_dump(exclude=named | other)
        shape["learned_positions"] = self.max_position
        shape["kv_heads"] = self.kv_heads or self.heads
        shape["head_dim"] = self.head_dim or self.hidden // self.heads
        shape["value_dim"] = self.value_dim or 0
        linear = self.linear_attention
        kinds = self.layer_kinds or self._kinds_of_linear()
        if linear is not None and not kinds:
            return shape | {"linear": _recurrence(linear.model_dump())}
        if not kinds:
            return shape
        shape["kinds"] = [_of_kind(shape, kind) for kind in kinds]
        n_with_experts = sum(k["layers"] for k in shape["kinds"] if k["moe"] is not None)
        if shape["moe"] is not None:
            shape["moe"] |= {"dense_layers": self.layers - n_with_experts}
        return shape | {"full_attention_every": None}

    def _kinds_of_linear(self) -> tuple[LayerKind, ...]:
        """Return the kinds of layers where every n-th attends in full and the others are linear."""
        linear, every = self.linear_attention, self.full_attention_every
        dense = 0 if self.moe is None else self.moe.dense_layers
        if linear is None or (every is None and not dense):
            return ()
        found = []
        for start, end, plain in ((0, dense, True), (dense, self.layers, False)):
            n_full = 0 if every is None else end // every - start // every
            mlp = {"moe": "none"} if plain else {}
            of_full = {"layers": n_full, **mlp}
            rest = {"layers": end - start - n_full, "linear_attention": linear, **mlp}
            found += [LayerKind(**kind) for kind in (of_full, rest) if kind["layers"]]
        return tuple(found)


def _of_kind(shape: dict[str, Any], kind: LayerKind) -> dict[str, Any]:
    """Return the numbers of the shape of one kind of layers."""
    changed = kind.changed()
    linear = changed.pop("linear_attention", None)
    moe = shape["moe"]
    if moe is not None:
        moe = {**moe, "dense_layers": 0}
    found = {**shape, "full_attention_every": None, "moe": moe, "mtp": 0, "other_parameters": 0}
    found |= {"layers": kind.layers, **changed}
    if linear is not None:
        found["linear"] = _recurrence(linear)
    if kind.attention == "none":
        found |= {"heads": 0, "kv_heads": 0, "mla": None, "linear": None, "gated_attention": False}
    if kind.mlp == "none":
        found |= {"ffn": 0, "moe": None}
    if kind.moe == "none":
        found["moe"] = None
    return found


def _recurrence(linear: dict[str, Any]) -> dict[str, Any]:
    return linear | {"key_heads": linear["key_heads"] or linear["heads"]}
