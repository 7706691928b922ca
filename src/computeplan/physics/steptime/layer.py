"""One layer on one rank: its matrix products, its element-wise traffic, its messages.

A layer is dense or holds experts; a mixture may have some of both, and each is priced apart. Where
layers differ further (`Shape.kinds`), each of the two is the mean over its kinds.

Tensor parallelism cuts every weight matrix in `tp` parts, the first of a pair by columns, the
second by rows, so that an all-reduce ends each pair. What stands between (norms, residuals) is done
by every rank in full, or cut along the sequence with sequence parallelism; the all-reduce then
becomes an all-gather before and a reduce-scatter after, of the same volume. Keys and values that
are fewer than the ranks are repeated. A mixture of experts sends every token to the ranks that hold
its experts and back; experts are cut by `etp`, not by `tp`.

Long because time, weights and memory of a layer follow from the same products, and are read beside
them.

Sources
-------
.. [1] V. Korthikanti et al., "Reducing activation recomputation in large transformer models",
       arXiv 2205.05198, sections 4.1 and 4.2, tables 1 and 2: bytes saved by a layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from computeplan.physics.steptime.experts import mixture_bytes
from computeplan.physics.steptime.kept import (
    dropped_bytes,
    kept_of_products,
    runs_again,
    share_again,
    split_products,
)
from computeplan.physics.steptime.layout import Layout, Mixture
from computeplan.physics.steptime.operators import (
    Device,
    Product,
    attention_s,
    backward_gemm_s,
    gemm_s,
    move_s,
)
from computeplan.physics.steptime.transformer import (
    Shape,
    attention_flop_per_token,
    expert_width,
    extra_matrices,
    value_width,
)

__all__ = [
    "LayerTime",
    "Weights",
    "attention_products",
    "attention_share",
    "blocks_of",
    "dense_of_rank",
    "heavy_stages",
    "held_by",
    "kv_heads_of_rank",
    "layer_s",
    "logits_s",
    "mlp_products",
    "n_with_experts",
    "saved_bytes",
    "stage_layers",
    "stages_to_see",
    "weights_of",
]

KERNELS_FORWARD, KERNELS_BACKWARD = 8.0, 16.0
"""Kernels of a dense layer that `launch_s` counts: products, attention, norms, activation."""
ELEMENTWISE = 2.0
"""Bytes that element-wise kernels move for a byte saved: written once, read once. Between 1 and 3
the fit to published runs hardly changes."""
LOGIT_BYTES = 80.0
"""Bytes moved for one logit by cross-entropy in fp32, forward and backward: cast, maximum,
difference, exponential, sum, quotient, gradient and its cast, each read and written; counted, an
estimate."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that multiply, by what they are part of."""

    attention: float
    """Of a layer."""
    mlp: float
    """Of a dense layer."""
    beside: float
    """Of a layer with experts: router and shared experts."""
    routed: float
    """Of a layer with experts: all that tokens are sent to."""
    embedding: float
    """Of the input embedding; the output matrix is as large."""


class LayerTime(NamedTuple):
    """One micro-batch through a layer on one rank, messages aside. [s]"""

    forward: Any
    backward: Any
    """The whole of each pass."""
    core_forward: Any
    """Of the forward pass: the attention core."""
    core_backward: Any
    """Of the backward pass: the attention core."""
    last: Any
    """Of the forward pass: the last product, whose output no backward pass needs."""
    again: Any
    """Of the modules that selective recomputation computes again."""


def attention_products(shape: Shape, tp: Any) -> list[tuple[Any, Any]]:
    """Return columns and depth of the products of one attention block on one rank.

    Examples
    --------
    >>> llama_8b = Shape(layers=32, hidden=4096, ffn=14336, heads=32, kv_heads=8, head_dim=128,
    ...                  vocab=128256)
    >>> attention_products(llama_8b, tp=8)
    [(768.0, 4096), (4096, 512.0)]
    """
    h, a = shape.hidden, shape.heads
    extra: list[tuple[Any, Any]] = []
    for columns, depth, cut in extra_matrices(shape):
        n = columns / tp if cut == "columns" else columns
        extra.append((n, depth / tp if cut == "depth" else depth))
    if not a or shape.linear is not None or shape.compressed is not None:
        return extra
    if shape.mla is None:
        d, v = shape.head_dim, value_width(shape)
        of_keys = d if shape.shared_kv else d + v
        qkv = d * a / tp + of_keys * kv_heads_of_rank(shape, tp)
        return [(float(qkv) if np.ndim(qkv) == 0 else qkv, h), (h, a * v / tp), *extra]
    mla = shape.mla
    query = a * (mla.qk_nope_head_dim + mla.qk_rope_head_dim) / tp
    queries = [(query, h)]
    if mla.q_lora_rank:
        queries = [(mla.q_lora_rank, h), (query, mla.q_lora_rank)]
    return [
        *queries,
        (mla.kv_lora_rank + mla.qk_rope_head_dim, h),
        (a * (mla.qk_nope_head_dim + mla.v_head_dim) / tp, mla.kv_lora_rank),
        (h, a * mla.v_head_dim / tp),
        *extra,
    ]


def mlp_products(shape: Shape, width: Any, tp: Any) -> list[tuple[Any, Any]]:
    """Return columns and depth of the products of one MLP on one rank; gate and up are one."""
    return [((2 if shape.gated_mlp else 1) * width / tp, shape.hidden), (shape.hidden, width / tp)]


def kv_heads_of_rank(shape: Shape, tp: Any) -> Any:
    """Return the heads of keys and values on one rank: one at least, repeated where they are few.

    Examples
    --------
    >>> llama_8b = Shape(layers=32, hidden=4096, ffn=14336, heads=32, kv_heads=8, head_dim=128,
    ...                  vocab=128256)
    >>> float(kv_heads_of_rank(llama_8b, tp=16))
    1.0
    """
    return np.maximum(shape.kv_heads / tp, 1.0)


def n_with_experts(shape: Shape) -> int:
    """Return how many layers hold experts."""
    return 0 if shape.moe is None else shape.layers - shape.moe.dense_layers


def _shares(shape: Shape, *, experts: bool | None = None) -> list[tuple[float, Shape]]:
    """Return kinds of layers with their shares: of all, or of those with or without experts."""
    found = [k for k in shape.kinds if experts is None or (k.moe is not None) == experts]
    total = sum(kind.layers for kind in found)
    return [(kind.layers / total, kind) for kind in found]


def blocks_of(shape: Shape, *, experts: bool) -> float:
    """Return after how many blocks of a layer the ranks of tensor parallelism add up.

    Two, attention and MLP; one where they stand side by side, or a layer has but one of them.
    """
    if shape.kinds:
        return sum(
            share * blocks_of(kind, experts=experts)
            for share, kind in _shares(shape, experts=experts)
        )
    if shape.parallel:
        return 1.0
    return float((shape.heads > 0) + (shape.ffn > 0 or shape.moe is not None))


def attention_share(shape: Shape) -> float:
    """Return the share of layers that look at keys of other tokens, rather than keep a state."""
    kinds = _shares(shape) or [(1.0, shape)]
    return sum(share for share, kind in kinds if kind.heads and kind.linear is None)


def dense_of_rank(shape: Shape, tp: Any, *, experts: bool) -> Any:
    """Return the weights of a layer, with experts or without, on one rank; routed ones aside."""
    if shape.kinds:
        kinds = _shares(shape, experts=experts)
        return sum(share * dense_of_rank(kind, tp, experts=experts) for share, kind in kinds)
    weights = weights_of(shape)
    held = (weights.attention + (weights.beside if experts else weights.mlp)) / tp
    uncut = sum(n * k for n, k, cut in extra_matrices(shape) if cut == "none")
    held = held + uncut * (1.0 - 1.0 / tp)
    if not shape.heads or shape.linear is not None or shape.compressed is not None:
        return held
    if shape.mla is not None:  # projections to latent vectors are not cut: every rank has all
        latent = shape.mla.q_lora_rank + shape.mla.kv_lora_rank + shape.mla.qk_rope_head_dim
        return held + latent * shape.hidden * (1.0 - 1.0 / tp)
    repeated = kv_heads_of_rank(shape, tp) - shape.kv_heads / tp
    of_keys = shape.head_dim + (0 if shape.shared_kv else value_width(shape))
    return held + of_keys * shape.hidden * repeated


def stage_layers(shape: Shape, stages: Any, pieces: Any, stage: Any) -> tuple[Any, Any]:
    """Return how many dense layers and layers with experts a stage of a pipeline holds.

    Pieces of stages are equal, and the last one is short of what does not divide: it has the logits
    to compute. Where it lacks more than it has, stages differ by one layer at most, and the last
    ones have fewer. Dense layers come first, or are spread evenly where layers differ further.

    Parameters
    ----------
    shape : Shape
    stages, pieces, stage : array_like
        Number of stages, pieces of each, and which one, from 0.

    Returns
    -------
    tuple of ndarray, broadcast shape

    Examples
    --------
    >>> from computeplan.physics.steptime.transformer import Experts
    >>> shape = Shape(layers=61, hidden=64, ffn=256, heads=4, kv_heads=4, head_dim=16, vocab=100,
    ...               moe=Experts(experts=8, top_k=2, expert_ffn=64, dense_layers=3))
    >>> [tuple(float(n) for n in stage_layers(shape, 16, 1, stage)) for stage in (0, 1, 15)]
    [(3.0, 1.0), (0.0, 4.0), (0.0, 1.0)]
    """
    few, n_more, equal = _dealt(shape, stages, pieces)
    before = stage * few + np.minimum(stage, n_more)
    held = np.where(equal & (stage == stages - 1.0), shape.layers - before, few + (stage < n_more))
    if shape.kinds:
        n_dense = held * (1.0 - n_with_experts(shape) / shape.layers)
        return n_dense, held - n_dense
    n_dense = np.clip(shape.layers - n_with_experts(shape) - before, 0.0, held)
    return n_dense, held - n_dense


def _dealt(shape: Shape, stages: Any, pieces: Any) -> tuple[Any, Any, Any]:
    """Return the layers of a stage, how many stages have one more, and if only the last lacks."""
    whole = pieces * np.ceil(shape.layers / (stages * pieces))
    equal = whole * (stages - 1.0) < shape.layers
    few = np.where(equal, whole, np.floor(shape.layers / stages))
    return few, np.where(equal, 0.0, shape.layers - few * stages), equal


def heavy_stages(shape: Shape, stages: Any, pieces: Any) -> tuple[Any, ...]:
    """Return the stages one of which has most to do, and most to keep.

    The first one, the one with the first layer with experts and the next, and the last one, which
    computes the logits: those between them hold no more, and keep it for no longer.
    """
    last = stages - 1.0
    n_dense = shape.layers - n_with_experts(shape)
    if shape.kinds or n_dense in (0, shape.layers):
        return 0.0, last
    few, n_more, _ = _dealt(shape, stages, pieces)
    in_larger = n_more * (few + 1.0)
    mixed = np.where(
        n_dense < in_larger,
        np.floor(n_dense / (few + 1.0)),
        n_more + np.floor((n_dense - in_larger) / np.maximum(few, 1.0)),
    )
    mixed = np.minimum(mixed, last)
    return 0.0, mixed, np.minimum(mixed + 1.0, last), last


def held_by(shape: Shape, layout: Layout, stage: Any) -> tuple[Any, Any]:
    """Return how many dense layers and layers with experts a stage holds, as dealt or as given.

    Examples
    --------
    >>> from computeplan.physics.steptime.transformer import Experts
    >>> shape = Shape(layers=8, hidden=64, ffn=256, heads=4, kv_heads=4, head_dim=16, vocab=100,
    ...               moe=Experts(experts=8, top_k=2, expert_ffn=64, dense_layers=3))
    >>> given = Layout.of(pp=3, stages=(2, 4, 2))
    >>> [tuple(float(n) for n in held_by(shape, given, stage)) for stage in (0, 1, 2)]
    [(2.0, 0.0), (1.0, 3.0), (0.0, 2.0)]
    """
    if not layout.stages:
        return stage_layers(shape, layout.pp, layout.pieces, stage)
    held = np.array(layout.stages, dtype=np.float64)
    before = (np.cumsum(held) - held)[int(stage)]
    if shape.kinds:
        n_dense = held[int(stage)] * (1.0 - n_with_experts(shape) / shape.layers)
    else:
        n_dense = np.clip(shape.layers - n_with_experts(shape) - before, 0.0, held[int(stage)])
    return n_dense, held[int(stage)] - n_dense


def stages_to_see(shape: Shape, layout: Layout) -> tuple[Any, ...]:
    """Return the stages one of which has most to do, and most to keep: all where they are given."""
    if layout.stages:
        return tuple(float(stage) for stage in range(len(layout.stages)))
    return heavy_stages(shape, layout.pp, layout.pieces)


def weights_of(shape: Shape) -> Weights:
    """Return the weights that multiply.

    Examples
    --------
    >>> gpt3 = Shape(layers=96, hidden=12288, ffn=49152, heads=96, kv_heads=96, head_dim=128,
    ...              vocab=51200, gated_mlp=False)
    >>> weights_of(gpt3).attention + weights_of(gpt3).mlp == 12 * 12288**2
    True
    """
    beside = routed = 0.0
    moe = shape.moe
    if moe is not None:
        one = _size(mlp_products(shape, moe.expert_ffn, 1))
        beside = moe.shared_experts * one + shape.hidden * (moe.experts + 2 * moe.latent)
        routed = moe.experts * one * expert_width(shape) / shape.hidden
    kinds, dense = _shares(shape), _shares(shape, experts=False)
    return Weights(
        attention=sum(share * _size(attention_products(kind, 1)) for share, kind in kinds)
        if kinds
        else _size(attention_products(shape, 1)),
        mlp=sum(share * _size(mlp_products(kind, kind.ffn, 1)) for share, kind in dense)
        if kinds
        else _size(mlp_products(shape, shape.ffn, 1)),
        beside=beside,
        routed=routed,
        embedding=float(shape.vocab * shape.hidden),
    )


def saved_bytes(
    shape: Shape,
    tp: Any,
    sequence_parallel: Any,
    *,
    seq: float,
    flash: bool = True,
    dropout: bool = False,
    operand_bytes: float = 2.0,
    experts: bool = False,
    modules: tuple[str, ...] = (),
) -> Any:
    """Return what one layer saves of one token for the backward pass, on one rank [1]_.

    Parameters
    ----------
    shape : Shape
    tp : array_like
    sequence_parallel : array_like of bool
    seq : float
        Length of the sequences. [token]
    flash : bool
        Whether attention computes its scores again instead of saving them.
    dropout : bool
        Whether its masks are saved, one byte each.
    operand_bytes : float
        Of one number in the input of a linear layer. [B]
    experts : bool
        Whether the layer holds experts.
    modules : tuple of str
        What is computed again instead, of `kept.MODULES`.

    Returns
    -------
    ndarray
        [B/token]

    Examples
    --------
    >>> gpt3 = Shape(layers=96, hidden=12288, ffn=49152, heads=96, kv_heads=96, head_dim=128,
    ...              vocab=51200, gated_mlp=False)
    >>> float(saved_bytes(gpt3, 8, True, seq=2048, dropout=True)) == 34 * 12288 / 8
    True
    """
    if shape.kinds:
        kinds = _shares(shape, experts=experts)
        each = (
            saved_bytes(
                kind,
                tp,
                sequence_parallel,
                seq=seq,
                flash=flash,
                dropout=dropout,
                operand_bytes=operand_bytes,
                experts=experts,
                modules=modules,
            )
            for _, kind in kinds
        )
        return sum(share * one for (share, _), one in zip(kinds, each, strict=True))
    h, a = shape.hidden, shape.heads
    if "second_products" in modules:
        products = _one_by_one(shape, tp, experts=experts)
        return kept_of_products(shape, tp, sequence_parallel, products)
    attention = _attention_saved(shape, tp)
    if not flash and shape.linear is None and "core_attn" not in modules:
        attention = attention + (5.0 if dropout else 2.0) * a * seq / tp
    blocks = 2.0 if shape.parallel else blocks_of(shape, experts=experts)
    around = (2.0 + operand_bytes + (1.0 if dropout else 0.0)) * h * blocks
    inside = attention + _mlp_saved(shape, operand_bytes, experts=experts) / tp
    whole = around / np.where(sequence_parallel, tp, 1.0) + inside
    return whole - dropped_bytes(
        shape,
        tp,
        sequence_parallel,
        modules,
        operand_bytes=operand_bytes,
        experts=experts,
        blocks=blocks,
    )


def _one_by_one(shape: Shape, tp: Any, *, experts: bool) -> list[tuple[Any, Any]]:
    """Return width and depth of each product of a layer on one rank, none in one with another."""
    found = split_products(
        shape, attention_products(shape, tp), kv_heads_of_rank(shape, tp) if shape.heads else 0, tp
    )

    def mlp(width: float, copies: float = 1.0) -> None:
        gates = 2 if shape.gated_mlp else 1
        found.extend([(copies * width / tp, shape.hidden)] * gates)
        found.append((shape.hidden if copies == 1.0 else copies * shape.hidden / tp, width / tp))

    moe = shape.moe
    if not experts or moe is None:
        if shape.ffn:
            mlp(shape.ffn)
        return found
    if moe.shared_experts:
        mlp(moe.shared_experts * moe.expert_ffn)
    mlp(moe.expert_ffn, moe.top_k)
    return found


def _attention_saved(shape: Shape, tp: Any) -> Any:
    """Return what attention, or what stands for it, saves of one token. [B/token]"""
    a = shape.heads
    if shape.linear is not None:  # each before and after the convolution; the gate, and the output
        linear = shape.linear
        inner = linear.heads * linear.value_dim
        keys = 2 * linear.key_heads * linear.key_dim
        return 2.0 * (2.0 * (keys + inner) + 2.0 * inner) / tp
    if not a:
        return 0.0
    gate = 2.0 * a * value_width(shape) / tp if shape.gated_attention else 0.0
    if shape.compressed is not None:
        part = shape.compressed
        ranks = part.q_lora_rank + part.o_groups * part.o_lora_rank / tp
        return 2.0 * (2.0 * a * shape.head_dim / tp + ranks + shape.head_dim)
    if shape.mla is None:
        widths = shape.head_dim + value_width(shape)
        return 2.0 * widths * (a / tp + kv_heads_of_rank(shape, tp)) + gate
    mla = shape.mla
    wide = mla.qk_nope_head_dim + mla.qk_rope_head_dim
    latent = 2.0 * (mla.q_lora_rank + mla.kv_lora_rank)
    return 4.0 * a * (wide + mla.v_head_dim) / tp + latent + gate


def layer_s(
    device: Device,
    shape: Shape,
    layout: Layout,
    tokens: Any,
    seq: float,
    *,
    flash: bool,
    modules: tuple[str, ...] = ("core_attn",),
    mixture: Mixture | None = None,
) -> LayerTime:
    """Return the time of a layer, messages aside.

    Long because all that a layer does is added up here.

    Parameters
    ----------
    device : Device
    shape : Shape
    layout : Layout
    tokens : array_like
        Tokens of one micro-batch on one context parallel rank. [token]
    seq : float
        Length of the sequences. [token]
    flash : bool
    modules : tuple of str
        What selective recomputation computes again, of `kept.MODULES`.
    mixture : Mixture, optional
        Of a layer with experts: what the software does about them.

    Returns
    -------
    LayerTime
        [s]
    """
    experts = mixture is not None
    if shape.kinds:
        kinds = _shares(shape, experts=experts)
        options: dict[str, Any] = {"flash": flash, "modules": modules, "mixture": mixture}
        parts = [layer_s(device, kind, layout, tokens, seq, **options) for _, kind in kinds]
        shares = [share for share, _ in kinds]
        columns = zip(*parts, strict=True)
        return LayerTime(*(sum(map(mul, shares, column)) for column in columns))
    tp = layout.tp
    core = attention_flop_per_token(shape, seq) / shape.layers * tokens / tp
    scores = shape.heads / tp * seq * tokens
    flash = flash or shape.linear is not None  # a state has no scores to save
    core_f, core_b = attention_s(device, core if flash else 2.0 * core, scores, flash=flash)
    saved = saved_bytes(shape, tp, layout.sequence_parallel, seq=seq, experts=experts)
    moving = ELEMENTWISE * move_s(device, saved * tokens)
    blocks = 2.0 if shape.parallel else blocks_of(shape, experts=experts)
    routed_again: Any = 0.0
    if mixture is None:
        forward = core_f + moving + device.launch_s * (KERNELS_FORWARD * blocks / 2.0)
        backward = core_b + 2.0 * moving + device.launch_s * (KERNELS_BACKWARD * blocks / 2.0)
    else:  # the host's part is in ``experts.host_s``
        core_f, core_b = core_f / mixture.attention_gain, core_b / mixture.attention_gain
        moving = ELEMENTWISE * move_s(device, (saved - _routed_saved(shape, 2.0) / tp) * tokens)
        quantized = device.operand_bytes < 2.0
        around = mixture_bytes(shape, mixture, layout.etp, quantized=quantized)
        scale = device.traffic * mixture.imbalance
        more_f, more_b = (scale * move_s(device, n * tokens / tp) for n in around)
        forward, backward = core_f + moving + more_f, core_b + 2.0 * moving + more_b
        routed_again = more_f if "moe" in modules else 0.0
    products, behind, last, again = _products_s(
        device, _products(shape, layout, tokens, mixture), modules
    )
    backward = backward + behind
    forward = forward + products
    if "second_products" in modules:
        share = share_again(_one_by_one(shape, tp, experts=experts))
        again = forward - core_f - (1.0 - share) * products
    else:
        again = again + _beside_products_s(device, shape, layout, tokens, core_f, modules, experts)
        again = again + routed_again
    return LayerTime(forward, backward, core_f, core_b, last, again)


class _Product(NamedTuple):
    """One matrix product of a layer: its sides, how often, whether it ends the layer."""

    m: Any
    n: Any
    k: Any
    times: Any = 1.0
    ends: bool = False
    part: str = "attention"
    """Of which module, for what is computed again."""
    kind: Product = "linear"


def _products_s(
    device: Device, products: list[_Product], modules: tuple[str, ...]
) -> tuple[Any, Any, Any, Any]:
    """Return the time of products: forward, backward, of the last, of those that run again."""
    forward = backward = last = again = 0.0
    for m, n, k, times, ends, part, kind in products:
        one = times * gemm_s(device, m, n, k, kind)
        forward = forward + one
        backward = backward + times * backward_gemm_s(device, m, n, k, kind)
        last = last + one if ends else last
        again = again + one if runs_again(modules, part, ends=ends) else again
    return forward, backward, last, again


def _beside_products_s(
    device: Device,
    shape: Shape,
    layout: Layout,
    tokens: Any,
    core: Any,
    modules: tuple[str, ...],
    experts: bool,
) -> Any:
    """Return the time of modules that are computed again, products aside."""
    again = core if "core_attn" in modules else 0.0
    if modules == ("core_attn",):
        return again
    cut = layout.sequence_parallel
    blocks = 2.0 if shape.parallel else blocks_of(shape, experts=experts)
    dropped = dropped_bytes(
        shape, layout.tp, cut, modules, operand_bytes=2.0, experts=experts, blocks=blocks
    )
    return again + ELEMENTWISE * move_s(device, dropped * tokens)


def logits_s(device: Device, shape: Shape, tp: Any, tokens: Any) -> Any:
    """Return forward and backward time of logits and loss, in half precision. [s]"""
    columns = shape.vocab / tp
    products = gemm_s(device, tokens, columns, shape.hidden, "half")
    products = products + backward_gemm_s(device, tokens, columns, shape.hidden, "half")
    return products + move_s(device, LOGIT_BYTES * tokens * columns)


def _products(shape: Shape, layout: Layout, tokens: Any, mixture: Mixture | None) -> list[_Product]:
    """Return the matrix products of a layer on one rank."""
    tp, moe = layout.tp, shape.moe
    latents = () if shape.mla is None else (shape.mla.q_lora_rank, shape.mla.kv_lora_rank)
    found = [
        _Product(tokens, n, k, part="up" if np.ndim(k) == 0 and k in latents else "attention")
        for n, k in attention_products(shape, tp)
    ]

    def mlp(rows: Any, width: Any, parts: Any, times: Any, part: str, kind: Product) -> None:
        (n, k), (n_last, k_last) = mlp_products(shape, width, parts)
        found.append(_Product(rows, n, k, times, False, part, kind))
        found.append(_Product(rows, n_last, k_last, times, True, part, kind))

    if mixture is None or moe is None:
        if shape.ffn:
            mlp(tokens, shape.ffn, tp, 1.0, "mlp", "linear")
        return found
    if moe.shared_experts:
        mlp(tokens, moe.shared_experts * moe.expert_ffn, tp, 1.0, "shared", "linear")
    if moe.latent:
        found.append(_Product(tokens / tp, moe.latent, shape.hidden, part="routed"))
        found.append(_Product(tokens / tp, shape.hidden, moe.latent, ends=True, part="routed"))
        shape = replace(shape, hidden=moe.latent)
    rows = tokens / tp * layout.etp * moe.top_k * layout.ep / moe.experts
    local = moe.experts / layout.ep
    mlp(mixture.imbalance * rows, moe.expert_ffn, layout.etp, local, "routed", "grouped")
    return found


def _mlp_saved(shape: Shape, operand_bytes: float, *, experts: bool) -> float:
    """Return what the MLP of a layer saves of one token, over all tp ranks. [B/token]"""
    each = (4.0 if shape.gated_mlp else 2.0) + operand_bytes
    if not experts or shape.moe is None:
        return each * shape.ffn
    shared = shape.moe.shared_experts * each * shape.moe.expert_ffn
    return shared + _routed_saved(shape, operand_bytes)


def _routed_saved(shape: Shape, operand_bytes: float) -> float:
    """Return what the routed experts save of one token, over all tp ranks. [B/token]"""
    moe = shape.moe
    assert moe is not None
    each = (4.0 if shape.gated_mlp else 2.0) + operand_bytes
    copies = operand_bytes * moe.top_k * expert_width(shape)  # the token as every expert got it
    return moe.top_k * each * moe.expert_ffn + copies


def _size(products: list[tuple[Any, Any]]) -> float:
    return float(sum(n * k for n, k in products))
