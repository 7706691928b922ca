"""Transformers: how many parameters a network has, and what a token costs to train.

A decoder layer is an attention block and an MLP. Every weight that multiplies a vector costs two
FLOP per token forward, and twice that again backward: training is three times the forward pass.
The attention core (scores and their product with the values) costs on top of the weights, in
proportion to the positions a token sees: half of the sequence if the mask is causal, which is
what flash kernels compute. Recomputed activations, norms, biases, activation functions and the
embedding lookup are not counted: this is the numerator of `mfu`. Of a mixture of experts a token
meets the router, the shared experts and ``top_k`` routed ones. Multi-head latent attention is
counted as it is trained, with keys and values expanded from their latent vector.

Sources
-------
.. [1] V. Korthikanti et al., "Reducing activation recomputation in large transformer models",
       arXiv 2205.05198, appendix A (FLOP of a layer, with full attention).
.. [2] DeepSeek-AI, "DeepSeek-V3 technical report", arXiv 2412.19437, section 2.1 (equations 1 to
       15: latent attention, shared and routed experts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "Experts",
    "LatentAttention",
    "Shape",
    "attention_flop_per_token",
    "flop_per_token",
    "forward_flop_per_token",
    "n_active_parameters",
    "n_parameters",
    "shape_of",
    "size_class",
]


@dataclass(frozen=True, slots=True)
class Experts:
    """The mixture of experts of a layer; shared experts are as wide as routed ones.

    `groups_per_token` limits how many groups of experts, each on one server, a token may use; 0 if
    nothing does.
    """

    experts: int
    top_k: int
    expert_ffn: int
    shared_experts: int = 0
    dense_layers: int = 0
    groups_per_token: int = 0


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention [2]_; `q_lora_rank` 0 means queries are not compressed."""

    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a transformer that set its size and its work."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    """`ffn` is the width of a dense MLP. With `mla`, `kv_heads` and `head_dim` are not used."""
    gated_mlp: bool = True
    """Whether the MLP has three matrices (gate, up, down) or two."""
    tied_embeddings: bool = False
    """Whether the output matrix is the input embedding."""
    causal: bool = True
    """Whether a token sees only what came before it."""
    sliding_window: int | None = None
    """Positions a token sees at most. [token]"""
    learned_positions: int = 0
    """Rows of a learned position embedding, 0 if there is none."""
    norm: Literal["rms", "layer"] = "rms"
    """A layer norm has a bias, an RMS norm does not."""
    biases: Literal["none", "qkv", "all"] = "none"
    """Which linear maps of a layer have a bias."""
    embedding_norm: bool = False
    """Whether a norm follows the embedding."""
    moe: Experts | None = None
    mla: LatentAttention | None = None
    """Mixture of experts, and latent attention."""
    full_attention_every: int | None = None
    """Every n-th layer is free of the window; all layers slide if left out."""


def shape_of(numbers: Mapping[str, Any]) -> Shape:
    """Return the shape with these numbers; `moe` and `mla` are mappings or None.

    Examples
    --------
    >>> shape_of(dict(layers=2, hidden=8, ffn=32, heads=2, kv_heads=1, head_dim=4, vocab=10)).heads
    2
    """
    moe, mla = numbers.get("moe"), numbers.get("mla")
    return Shape(
        **{
            **numbers,
            "moe": None if moe is None else Experts(**moe),
            "mla": None if mla is None else LatentAttention(**mla),
        }
    )


def n_parameters(shape: Shape) -> int:
    """Return the number of parameters, embeddings included.

    Multi-token-prediction heads and the bias of a router are not part of it.

    Examples
    --------
    >>> llama_8b = Shape(layers=32, hidden=4096, ffn=14336, heads=32, kv_heads=8, head_dim=128,
    ...                  vocab=128256)
    >>> n_parameters(llama_8b)
    8030261248
    """
    return _n_outside_layers(shape) + sum(_n_layer(shape, active=False))


def n_active_parameters(shape: Shape) -> int:
    """Return the number of parameters one token meets, embeddings included.

    All of them in a dense model; without the experts not chosen in a mixture of experts.
    """
    return _n_outside_layers(shape) + sum(_n_layer(shape, active=True))


def attention_flop_per_token(shape: Shape, seq: float) -> float:
    """Return the forward work of the attention cores of all layers.

    Parameters
    ----------
    shape : Shape
    seq : float
        Length of the sequences. [token]

    Returns
    -------
    float
        Mean over the positions of a sequence. [FLOP/token]

    Raises
    ------
    ValueError
        If `seq` is not > 0.
    """
    if not 0 < seq < float("inf"):
        raise ValueError(f"seq must be > 0 and finite, got {seq}")
    if shape.mla is None:
        width = 2 * shape.head_dim
    else:
        width = shape.mla.qk_nope_head_dim + shape.mla.qk_rope_head_dim + shape.mla.v_head_dim
    return 2.0 * shape.layers * shape.heads * width * _mean_span(shape, seq)


def forward_flop_per_token(shape: Shape, seq: float) -> float:
    """Return the work of one forward pass, logits included.

    Parameters are those of `attention_flop_per_token`.

    Returns
    -------
    float
        Mean over the positions of a sequence. [FLOP/token]
    """
    weights = _attention_weights(shape) * shape.layers + shape.hidden * shape.vocab
    weights += sum(_mlp_weights(shape, active=True))
    return 2.0 * weights + attention_flop_per_token(shape, seq)


def flop_per_token(shape: Shape, seq: float) -> float:
    """Return the model FLOP to train on one token: three forward passes.

    Parameters are those of `attention_flop_per_token`.

    Returns
    -------
    float
        Forward and backward, without recomputation. [FLOP/token]

    Examples
    --------
    >>> llama_70b = Shape(layers=80, hidden=8192, ffn=28672, heads=64, kv_heads=8, head_dim=128,
    ...                   vocab=128256)
    >>> f"{flop_per_token(llama_70b, seq=8192):.3g}"
    '4.49e+11'
    """
    return 3.0 * forward_flop_per_token(shape, seq)


def size_class(shape: Shape) -> str:
    """Return the class of models whose MFU may stand in for each other's.

    Dense or mixture, and the parameters between two steps of 1, 2, 5, 10, ... billion; a mixture
    also by what is active, because its communication follows the one and its work the other.

    Examples
    --------
    >>> size_class(Shape(layers=32, hidden=4096, ffn=14336, heads=32, kv_heads=8, head_dim=128,
    ...                  vocab=128256))
    'dense 5-10B'
    """
    total = _bucket(n_parameters(shape))
    if shape.moe is None:
        return f"dense {total}"
    return f"moe {total}, {_bucket(n_active_parameters(shape))} active"


def _bucket(n: int) -> str:
    low = high = 0
    for decade in range(7):
        for step in (1, 2, 5):
            low, high = high, step * 10**decade
            if n < high * 1_000_000_000:
                return f"{low}-{high}B"
    return f"over {high}B"


def _mean_span(shape: Shape, seq: float) -> float:
    """Return the number of positions a token attends to, mean over its position and the layers."""
    within = _span(shape, seq, shape.sliding_window or seq)
    if not shape.full_attention_every:
        return within
    n_full = shape.layers // shape.full_attention_every
    return within + (_span(shape, seq, seq) - within) * n_full / shape.layers


def _span(shape: Shape, seq: float, window: float) -> float:
    window = min(seq, window)
    return window * (1 - window / (2 * seq)) if shape.causal else window


def _attention_weights(shape: Shape) -> int:
    h, a = shape.hidden, shape.heads
    if shape.mla is None:
        return h * shape.head_dim * (2 * a + 2 * shape.kv_heads)
    mla = shape.mla
    query_width = a * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    query = h * query_width
    if mla.q_lora_rank:
        query = (h + query_width) * mla.q_lora_rank
    down = h * (mla.kv_lora_rank + mla.qk_rope_head_dim)
    up = mla.kv_lora_rank * a * (mla.qk_nope_head_dim + mla.v_head_dim)
    return query + down + up + a * mla.v_head_dim * h


def _mlp_weights(shape: Shape, *, active: bool) -> tuple[int, int]:
    """Return the MLP weights of the dense layers and of the layers with experts."""
    matrices = 3 if shape.gated_mlp else 2
    dense = matrices * shape.hidden * shape.ffn
    if shape.moe is None:
        return dense * shape.layers, 0
    moe = shape.moe
    n_experts = (moe.top_k if active else moe.experts) + moe.shared_experts
    expert = matrices * shape.hidden * moe.expert_ffn
    sparse = n_experts * expert + shape.hidden * moe.experts
    return dense * moe.dense_layers, sparse * (shape.layers - moe.dense_layers)


def _n_layer(shape: Shape, *, active: bool) -> tuple[int, int]:
    """Return the parameters of all layers that multiply, and of those that only shift or scale."""
    h = shape.hidden
    vectors = 2 * _norm_width(shape)
    if shape.biases != "none":
        vectors += (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    if shape.biases == "all":
        vectors += h + (2 if shape.gated_mlp else 1) * shape.ffn + h
    if shape.mla is not None:
        vectors += shape.mla.q_lora_rank + shape.mla.kv_lora_rank
    matrices = _attention_weights(shape) * shape.layers + sum(_mlp_weights(shape, active=active))
    return matrices, vectors * shape.layers


def _n_outside_layers(shape: Shape) -> int:
    embeddings = shape.vocab * shape.hidden * (1 if shape.tied_embeddings else 2)
    norms = _norm_width(shape) * (2 if shape.embedding_norm else 1)
    return embeddings + shape.learned_positions * shape.hidden + norms


def _norm_width(shape: Shape) -> int:
    return shape.hidden * (2 if shape.norm == "layer" else 1)
