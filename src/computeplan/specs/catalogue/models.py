"""What a neural network is: the numbers of its transformer, with their source."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from computeplan.specs.catalogue.chips import NumberFigure, Source, check_sources
from computeplan.specs.fields import Count, Frozen, instead, refuse

__all__ = ["Experts", "LatentAttention", "Parameters", "Transformer"]

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
    """Every n-th layer attends in full; all layers slide if left out."""
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
        if self.full_attention_every is not None and self.sliding_window is None:
            refuse(
                "full_attention_every needs a sliding_window: how many positions the other layers"
                " see, such as 4096; without one, every layer attends in full"
            )
        if self.source != "scenario" and self.source not in self.sources:
            refuse(f"no source '{self.source}' under sources")
        check_sources(self, self.sources)
        return self

    @property
    def n_context(self) -> int | None:
        """Tokens of the longest sequence, None if that is not known."""
        return self.context or self.max_position or None

    def architecture(self) -> dict[str, Any]:
        """Return the numbers of the shape, as ``physics.transformer.shape_of`` takes them."""
        named = {"name", "title", "vendor", "source", "sources", "parameters", "context"}
        shape = self.model_dump(exclude=named)
        shape["kv_heads"] = self.kv_heads or self.heads
        shape["head_dim"] = self.head_dim or self.hidden // self.heads
        return {{"max_position": "learned_positions"}.get(k, k): v for k, v in shape.items()}
