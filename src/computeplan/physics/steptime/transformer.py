"""Transformers: how many parameters a network has, and what a token costs to train.

A decoder layer is an attention block and an MLP. Every weight that multiplies a vector costs two
FLOP per token forward, and twice that again backward: training is three times the forward pass.
The attention core (scores and their product with the values) costs on top of the weights, in
proportion to the positions a token sees: half of the sequence if the mask is causal, which is
what flash kernels compute. Recomputed activations, norms, biases, activation functions and the
embedding lookup are not counted: this is the numerator of `mfu`. Of a mixture of experts a token
meets the router, the shared experts and ``top_k`` routed ones. Multi-head latent attention is
counted as it is trained, with keys and values expanded from their latent vector.

Layers may differ: a network is then the sum of its kinds of layers, and each kind is a shape of its
own (`Shape.kinds`). A layer of linear attention or of a state space multiplies no pairs: its core
updates a state of ``key_dim`` times ``value_dim`` numbers a head, and reads it. Extra layers that
predict further tokens (`Shape.mtp`) are counted apart.

Long because parameters and FLOP are counted from the same matrices, and are read beside them.

Sources
-------
.. [1] V. Korthikanti et al., "Reducing activation recomputation in large transformer models",
       arXiv 2205.05198, appendix A (FLOP of a layer, with full attention).
.. [2] DeepSeek-AI, "DeepSeek-V3 technical report", arXiv 2412.19437, section 2.1 (equations 1 to
       15: latent attention, shared and routed experts), section 2.2 (multi-token prediction).
.. [3] S. Yang, J. Kautz, A. Hatamizadeh, "Gated delta networks", arXiv 2412.06464, equation 10.
.. [4] T. Dao, A. Gu, "Transformers are SSMs", arXiv 2405.21060, sections 6 and 7 (Mamba-2).
.. [5] Kimi Team, "Kimi Linear", arXiv 2510.26692, section 3 (a decay for every channel).
.. [6] DeepSeek-AI, "DeepSeek-V3.2", arXiv 2512.02556, section 2.1 (an index chooses the keys).
.. [7] DeepSeek-AI, "DeepSeek-V4", 2026, with its model code: compressed keys, outputs of low rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

OVERLAPPED_RATIO = 4
"""Tokens behind one compressed key up to which it also takes those of the key before it [7]_."""

__all__ = [
    "CompressedAttention",
    "Experts",
    "Indexer",
    "LatentAttention",
    "LinearAttention",
    "Matrix",
    "Shape",
    "attention_flop_per_token",
    "expert_width",
    "extra_matrices",
    "flop_per_token",
    "forward_flop_per_token",
    "kinds_of",
    "mtp_flop_per_token",
    "n_active_parameters",
    "n_mtp_parameters",
    "n_parameters",
    "shape_of",
    "size_class",
    "value_width",
]


@dataclass(frozen=True, slots=True)
class Experts:
    """The mixture of experts of a layer; shared experts are as wide as routed ones.

    `groups_per_token` limits how many groups of experts, each on one server, a token may use; 0 if
    nothing does. Routed experts work on `latent` numbers of a token, 0 for all of them.
    """

    experts: int
    top_k: int
    expert_ffn: int
    shared_experts: int = 0
    dense_layers: int = 0
    groups_per_token: int = 0
    latent: int = 0


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention [2]_; `q_lora_rank` 0 means queries are not compressed."""

    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True, slots=True)
class LinearAttention:
    """A recurrence in place of attention: linear attention [3]_ [5]_ or a state space [4]_.

    Each of `heads` keeps a state of `key_dim` times `value_dim` numbers. For a state space
    `key_dim` is its size, and `key_heads` are its groups. `gate_rank` 0 is a gate of full rank.
    """

    heads: int
    key_dim: int
    value_dim: int
    key_heads: int
    rule: Literal["gated_delta", "kda", "mamba2", "mamba"] = "gated_delta"
    conv: int = 4
    gate_rank: int = 0
    step_rank: int = 0


@dataclass(frozen=True, slots=True)
class Indexer:
    """Chooses the `top_k` keys that a token attends to [6]_; 0 heads take an earlier choice."""

    heads: int
    head_dim: int
    top_k: int


@dataclass(frozen=True, slots=True)
class CompressedAttention:
    """Queries and outputs of low rank, and every `ratio` tokens one more key, 0 for none.

    One head holds keys that are values at once; a token sees those of its window as they are.
    """

    q_lora_rank: int
    o_lora_rank: int
    o_groups: int
    ratio: int


class Matrix(NamedTuple):
    """A weight matrix and how tensor parallelism cuts it."""

    columns: int
    depth: int
    cut: Literal["columns", "depth", "none"]


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
    """Every n-th layer is free of the window or chunk; no layer is if left out."""
    attention_chunk: int | None = None
    """Length of the pieces of a sequence that a token does not see beyond. [token]"""
    value_dim: int = 0
    """Width of a head's value, 0 if it is `head_dim`."""
    gated_attention: bool = False
    """Whether a matrix as wide as the values gates what attention gives."""
    shared_kv: bool = False
    """Whether keys are values at once."""
    parallel: bool = False
    """Whether attention and MLP stand side by side behind one norm."""
    linear: LinearAttention | None = None
    indexer: Indexer | None = None
    compressed: CompressedAttention | None = None
    """What stands in place of attention to all keys."""
    other_parameters: int = 0
    """Vectors that nothing else here says: norms of queries and keys, sinks, some biases."""
    mtp: int = 0
    """Extra layers, each predicting one token further; in no count but their own."""
    kinds: tuple[Shape, ...] = ()
    """Layers by kind where they differ: each the shape of such layers alone."""


def shape_of(numbers: Mapping[str, Any]) -> Shape:
    """Return the shape with these numbers; its parts are mappings or None.

    Examples
    --------
    >>> shape_of(dict(layers=2, hidden=8, ffn=32, heads=2, kv_heads=1, head_dim=4, vocab=10)).heads
    2
    """
    found = dict(numbers)
    for name, part in _PARTS.items():
        if found.get(name) is not None:
            found[name] = part(**found[name])
    found["kinds"] = tuple(shape_of(kind) for kind in found.get("kinds", ()))
    return Shape(**found)


_PARTS = {
    "moe": Experts,
    "mla": LatentAttention,
    "linear": LinearAttention,
    "indexer": Indexer,
    "compressed": CompressedAttention,
}


def kinds_of(shape: Shape) -> tuple[Shape, ...]:
    """Return the layers by kind, each the shape of such layers alone.

    Examples
    --------
    >>> shape = Shape(layers=2, hidden=8, ffn=32, heads=2, kv_heads=1, head_dim=4, vocab=10)
    >>> kinds_of(shape) == (shape,)
    True
    """
    return shape.kinds or (shape,)


def n_parameters(shape: Shape) -> int:
    """Return the number of parameters, embeddings included.

    Extra prediction layers are not part of it, nor the bias of a router if nothing states it.

    Examples
    --------
    >>> llama_8b = Shape(layers=32, hidden=4096, ffn=14336, heads=32, kv_heads=8, head_dim=128,
    ...                  vocab=128256)
    >>> n_parameters(llama_8b)
    8030261248
    """
    return _n_outside_layers(shape) + _n_in_layers(shape, active=False)


def n_active_parameters(shape: Shape) -> int:
    """Return the number of parameters one token meets, embeddings included.

    All of them in a dense model; without the experts not chosen in a mixture of experts.
    """
    return _n_outside_layers(shape) + _n_in_layers(shape, active=True)


def n_mtp_parameters(shape: Shape, *, active: bool = False) -> int:
    """Return the number of parameters of the extra prediction layers [2]_.

    Each is a layer (with experts if the model has any), a product that joins its two inputs, and
    three norms. Embedding and output matrix are those of the model.

    Parameters
    ----------
    shape : Shape
    active : bool
        Whether experts that a token does not meet are left out.

    Examples
    --------
    >>> shape = Shape(layers=2, hidden=8, ffn=32, heads=2, kv_heads=2, head_dim=4, vocab=10, mtp=1)
    >>> n_mtp_parameters(shape) - 2 * 8 * 8 - 3 * 8 == 4 * 8 * 8 + 3 * 8 * 32 + 2 * 8
    True
    """
    join = 2 * shape.hidden * shape.hidden + 3 * _norm_width(shape)
    return shape.mtp * (_n_in_layers(_one_more(shape), active=active) + join)


def mtp_flop_per_token(shape: Shape, seq: float) -> float:
    """Return the FLOP to train the extra prediction layers on one token, their logits included.

    Parameters are those of `attention_flop_per_token`.

    Returns
    -------
    float
        Forward and backward, without recomputation. [FLOP/token]
    """
    join = 2.0 * 2 * shape.hidden * shape.hidden
    return 3.0 * shape.mtp * (forward_flop_per_token(_one_more(shape), seq) + join)


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
    return sum(kind.layers * _core_flop(kind, seq) for kind in kinds_of(shape))


def forward_flop_per_token(shape: Shape, seq: float) -> float:
    """Return the work of one forward pass, logits included.

    Parameters are those of `attention_flop_per_token`.

    Returns
    -------
    float
        Mean over the positions of a sequence. [FLOP/token]
    """
    weights = shape.hidden * shape.vocab
    for kind in kinds_of(shape):
        weights += _attention_weights(kind) * kind.layers + sum(_mlp_weights(kind, active=True))
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


def extra_matrices(shape: Shape) -> list[Matrix]:
    """Return the matrices of a layer in place of, or beside, queries, keys, values and output.

    Examples
    --------
    >>> shape = Shape(layers=2, hidden=8, ffn=32, heads=2, kv_heads=1, head_dim=4, vocab=10,
    ...               gated_attention=True)
    >>> extra_matrices(shape)
    [Matrix(columns=8, depth=8, cut='columns')]
    """
    h = shape.hidden
    if shape.linear is not None:
        return _recurrence(h, shape.linear)
    found = []
    if shape.gated_attention:
        found.append(Matrix(shape.heads * value_width(shape), h, "columns"))
    if shape.compressed is not None:
        found += _compressed(shape, shape.compressed)
    index = shape.indexer
    if index is not None and index.heads:
        latent = shape.compressed or shape.mla
        rank = h if latent is None else latent.q_lora_rank or h
        keys = (
            index.head_dim if shape.compressed is None else 0
        )  # it has compressed keys of its own
        found.append(Matrix(index.heads * index.head_dim, rank, "none"))
        found.append(Matrix(keys + index.heads, h, "none"))
    return found


def _recurrence(h: int, linear: LinearAttention) -> list[Matrix]:
    inner = linear.heads * linear.value_dim
    out = Matrix(h, inner, "depth")
    if linear.rule == "mamba":  # keys and steps follow from the values, the step by a low rank
        small = Matrix(linear.step_rank + 2 * linear.key_dim, inner, "depth")
        return [
            Matrix(2 * inner, h, "columns"),
            small,
            Matrix(inner, linear.step_rank, "columns"),
            out,
        ]
    keys = 2 * linear.key_heads * linear.key_dim
    scalars = linear.heads * (2 if linear.rule == "gated_delta" else 1)
    found = [Matrix(keys + inner + scalars, h, "columns"), out]
    if linear.gate_rank:
        found += [Matrix(linear.gate_rank, h, "none"), Matrix(inner, linear.gate_rank, "columns")]
    else:
        found.append(Matrix(inner, h, "columns"))
    if linear.rule == "kda":  # a decay for every channel of a key, by the rank of a head
        decays = linear.heads * linear.key_dim
        found += [Matrix(linear.value_dim, h, "none"), Matrix(decays, linear.value_dim, "columns")]
    return found


def _compressed(shape: Shape, part: CompressedAttention) -> list[Matrix]:
    h, wide = shape.hidden, shape.heads * shape.head_dim
    found = [
        Matrix(part.q_lora_rank, h, "none"),
        Matrix(wide, part.q_lora_rank, "columns"),
        Matrix(shape.head_dim, h, "none"),
        Matrix(part.o_groups * part.o_lora_rank, wide // part.o_groups, "columns"),
        Matrix(h, part.o_groups * part.o_lora_rank, "depth"),
    ]
    # Compressed keys and their weights; where a piece is short, each overlaps the one before.
    pieces = 2 if part.ratio and part.ratio <= OVERLAPPED_RATIO else min(part.ratio, 1)
    dims = shape.head_dim + (0 if shape.indexer is None else shape.indexer.head_dim)
    if pieces:
        found.append(Matrix(2 * pieces * dims, h, "none"))
    return found


def _one_more(shape: Shape) -> Shape:
    """Return one layer such as an extra prediction layer has, with the logits it needs."""
    moe = None if shape.moe is None else replace(shape.moe, dense_layers=0)
    return replace(shape, layers=1, kinds=(), moe=moe, full_attention_every=None)


def value_width(shape: Shape) -> int:
    """Return the width of a head's value."""
    if shape.mla is not None:
        return shape.mla.v_head_dim
    return shape.value_dim or shape.head_dim


def expert_width(shape: Shape) -> int:
    """Return how many numbers of a token its routed experts work on."""
    return (shape.moe.latent if shape.moe else 0) or shape.hidden


def _core_flop(shape: Shape, seq: float) -> float:
    """Return the forward work of one attention core: pairs of tokens, or a state. [FLOP/token]"""
    if shape.linear is not None:
        linear = shape.linear
        # The state is updated and read; by the delta rule, read once more at the key.
        products = 2 if linear.rule in ("mamba2", "mamba") else 3
        return 2.0 * products * linear.heads * linear.key_dim * linear.value_dim
    width = shape.head_dim + value_width(shape)
    if shape.mla is not None:
        width = shape.mla.qk_nope_head_dim + shape.mla.qk_rope_head_dim + shape.mla.v_head_dim
    index, every = shape.indexer, 1
    span = _mean_span(shape, seq)
    if shape.compressed is not None and shape.compressed.ratio:
        every = shape.compressed.ratio
        far = seq if index is None else min(index.top_k * every, seq)
        span += _span(shape, seq, far) / every
    elif index is not None:
        span = _span(shape, seq, min(index.top_k, seq))
    found = 2.0 * shape.heads * width * span
    if index is not None:
        found += 2.0 * index.heads * index.head_dim * _span(shape, seq, seq) / every
    return found


def _mean_span(shape: Shape, seq: float) -> float:
    """Return the number of positions a token attends to, mean over its position and the layers."""
    if shape.attention_chunk is not None:
        within = _chunk_span(shape, seq, shape.attention_chunk)
    else:
        within = _span(shape, seq, shape.sliding_window or seq)
    if not shape.full_attention_every:
        return within
    n_full = shape.layers // shape.full_attention_every
    return within + (_span(shape, seq, seq) - within) * n_full / shape.layers


def _span(shape: Shape, seq: float, window: float) -> float:
    window = min(seq, window)
    return window * (1 - window / (2 * seq)) if shape.causal else window


def _chunk_span(shape: Shape, seq: float, chunk: float) -> float:
    """Return the mean over whole pieces and what is left behind them."""
    whole = seq // chunk * chunk
    rest = seq - whole
    return (whole * chunk + rest * rest) / seq * (0.5 if shape.causal else 1.0)


def _attention_weights(shape: Shape) -> int:
    h, a = shape.hidden, shape.heads
    extra = sum(columns * depth for columns, depth, _ in extra_matrices(shape))
    if shape.linear is not None:
        linear = shape.linear
        inner = linear.heads * linear.value_dim
        keys = 0 if linear.rule == "mamba" else 2 * linear.key_heads * linear.key_dim
        return extra + linear.conv * (inner + keys)
    if shape.compressed is not None:
        return extra
    if shape.mla is None:
        keys, values = shape.head_dim, value_width(shape)
        of_values = a + (0 if shape.shared_kv else shape.kv_heads)
        return extra + h * (keys * (a + shape.kv_heads) + values * of_values)
    mla = shape.mla
    query_width = a * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    query = h * query_width
    if mla.q_lora_rank:
        query = (h + query_width) * mla.q_lora_rank
    down = h * (mla.kv_lora_rank + mla.qk_rope_head_dim)
    up = mla.kv_lora_rank * a * (mla.qk_nope_head_dim + mla.v_head_dim)
    return extra + query + down + up + a * mla.v_head_dim * h


def _mlp_weights(shape: Shape, *, active: bool) -> tuple[int, int]:
    """Return the MLP weights of the dense layers and of the layers with experts."""
    matrices = 3 if shape.gated_mlp else 2
    dense = matrices * shape.hidden * shape.ffn
    if shape.moe is None:
        return dense * shape.layers, 0
    moe = shape.moe
    n_routed = moe.top_k if active else moe.experts
    of_width = matrices * moe.expert_ffn
    sparse = of_width * (n_routed * expert_width(shape) + moe.shared_experts * shape.hidden)
    sparse += shape.hidden * (moe.experts + 2 * moe.latent)
    return dense * moe.dense_layers, sparse * (shape.layers - moe.dense_layers)


def _n_in_layers(shape: Shape, *, active: bool) -> int:
    """Return the parameters of all layers: those that multiply, and those that shift or scale."""
    return sum(_n_of_kind(kind, active=active) for kind in kinds_of(shape))


def _n_of_kind(shape: Shape, *, active: bool) -> int:
    h = shape.hidden
    has_mixer, has_mlp = shape.heads > 0, shape.ffn > 0 or shape.moe is not None
    vectors = (1 if shape.parallel else has_mixer + has_mlp) * _norm_width(shape)
    if shape.biases != "none" and shape.linear is None:
        vectors += (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    if shape.biases == "all":
        vectors += h + (2 if shape.gated_mlp else 1) * shape.ffn + h
    if shape.mla is not None:
        vectors += shape.mla.q_lora_rank + shape.mla.kv_lora_rank
    matrices = _attention_weights(shape) * shape.layers + sum(_mlp_weights(shape, active=active))
    return matrices + vectors * shape.layers


def _n_outside_layers(shape: Shape) -> int:
    embeddings = shape.vocab * shape.hidden * (1 if shape.tied_embeddings else 2)
    norms = _norm_width(shape) * (2 if shape.embedding_norm else 1)
    vectors = norms + shape.other_parameters
    return embeddings + shape.learned_positions * shape.hidden + vectors


def _norm_width(shape: Shape) -> int:
    return shape.hidden * (2 if shape.norm == "layer" else 1)
