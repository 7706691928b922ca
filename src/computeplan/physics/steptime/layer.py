"""One layer on one rank: its matrix products, its element-wise traffic, its messages.

Tensor parallelism cuts every weight matrix in `tp` parts, the first of a pair by columns, the
second by rows, so that an all-reduce ends each pair. What stands between (norms, residuals) is done
by every rank in full, or cut along the sequence with sequence parallelism; the all-reduce then
becomes an all-gather before and a reduce-scatter after, of the same volume. Keys and values that
are fewer than the ranks are repeated. A mixture of experts sends every token to the ranks that hold
its experts and back; experts are not cut by `tp`.

Sources
-------
.. [1] V. Korthikanti et al., "Reducing activation recomputation in large transformer models",
       arXiv 2205.05198, sections 4.1 and 4.2, tables 1 and 2: bytes saved by a layer.
.. [2] DeepSeek-AI, arXiv 2412.19437, section 3.2.2: a token crosses the network once for every
       server that holds one of its experts, then the links of that server to each of its ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from computeplan.physics.steptime.collectives import Fabric, collective_s
from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.operators import (
    Device,
    attention_s,
    backward_gemm_s,
    gemm_s,
    move_s,
)
from computeplan.physics.steptime.transformer import Shape, attention_flop_per_token

__all__ = [
    "LayerTime",
    "Weights",
    "attention_products",
    "dense_of_rank",
    "experts_s",
    "kv_heads_of_rank",
    "layer_s",
    "logits_s",
    "mlp_products",
    "saved_bytes",
    "weights_of",
]

KERNELS_FORWARD, KERNELS_BACKWARD = 8.0, 16.0
"""Kernels of a dense layer that `launch_s` counts: products, attention, norms, activation."""
EXPERT_KERNELS = 1.5
"""Kernels of a layer with experts over those of a dense one: router, top-k, dispatch and combine;
counted, an estimate."""
ONE_EXPERT_FORWARD, ONE_EXPERT_BACKWARD = 8.0, 10.0
"""Operators of every local expert where operands are quantized: two products forward, four
backward, and what scales, casts and transposes their operands; counted. In half precision one
grouped kernel does all experts."""
ONE_EXPERT_S = 35e-6
"""Time of the host for one of these operators. An estimate, set to the FP8 rows with experts."""
ELEMENTWISE = 2.0
"""Bytes that element-wise kernels move for a byte saved: written once, read once. Between 1 and 3
the fit to published runs hardly changes."""
LOGIT_BYTES = 80.0
"""Bytes moved for one logit by cross-entropy in fp32, forward and backward: cast, maximum,
difference, exponential, sum, quotient, gradient and its cast, each read and written; counted, an
estimate."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that multiply, of the mean layer and outside the layers."""

    dense: float
    """Of a layer: attention, dense MLP, router and shared experts, mean over the layers."""
    experts: float
    """Of a layer: all routed experts, mean over the layers."""
    embedding: float
    """Of the input embedding; the output matrix is as large."""


class LayerTime(NamedTuple):
    """One micro-batch through the mean layer on one rank, messages aside. [s]"""

    forward: Any
    backward: Any
    """The whole of each pass."""
    core_forward: Any
    """Of the forward pass: the attention core."""
    core_backward: Any
    """Of the backward pass: the attention core."""
    last: Any
    """Of the forward pass: the last product, whose output no backward pass needs."""


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
    if shape.mla is None:
        d = shape.head_dim
        qkv = d * (a / tp + 2 * kv_heads_of_rank(shape, tp))
        return [(float(qkv) if np.ndim(qkv) == 0 else qkv, h), (h, a * d / tp)]
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


def dense_of_rank(shape: Shape, tp: Any) -> Any:
    """Return the weights of the mean layer on one rank, routed experts aside."""
    held = weights_of(shape).dense / tp
    if shape.mla is not None:  # projections to latent vectors are not cut: every rank has all
        latent = shape.mla.q_lora_rank + shape.mla.kv_lora_rank + shape.mla.qk_rope_head_dim
        return held + latent * shape.hidden * (1.0 - 1.0 / tp)
    repeated = kv_heads_of_rank(shape, tp) - shape.kv_heads / tp
    return held + 2 * shape.head_dim * shape.hidden * repeated


def weights_of(shape: Shape) -> Weights:
    """Return the weights that multiply.

    Examples
    --------
    >>> gpt3 = Shape(layers=96, hidden=12288, ffn=49152, heads=96, kv_heads=96, head_dim=128,
    ...              vocab=51200, gated_mlp=False)
    >>> weights_of(gpt3).dense == 12 * 12288**2
    True
    """
    dense, experts = _size(attention_products(shape, 1)), 0.0
    mlp = _size(mlp_products(shape, shape.ffn, 1))
    moe = shape.moe
    if moe is None:
        dense += mlp
    else:
        one = _size(mlp_products(shape, moe.expert_ffn, 1))
        sparse = 1 - moe.dense_layers / shape.layers
        shared = moe.shared_experts * one + shape.hidden * moe.experts
        dense += (1 - sparse) * mlp + sparse * shared
        experts = sparse * moe.experts * one
    return Weights(dense, experts, float(shape.vocab * shape.hidden))


def saved_bytes(
    shape: Shape,
    tp: Any,
    sequence_parallel: Any,
    *,
    seq: float,
    flash: bool = True,
    dropout: bool = False,
    operand_bytes: float = 2.0,
) -> Any:
    """Return what one layer saves of one token for the backward pass, on one rank [1]_.

    Of a mixture, the mean over its layers.

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
    h, a = shape.hidden, shape.heads
    if shape.mla is None:
        attention = 4.0 * shape.head_dim * (a / tp + kv_heads_of_rank(shape, tp))
    else:
        mla = shape.mla
        wide = mla.qk_nope_head_dim + mla.qk_rope_head_dim
        attention = 4.0 * a * (wide + mla.v_head_dim) / tp
        attention = attention + 2.0 * (mla.q_lora_rank + mla.kv_lora_rank)
    if not flash:
        attention = attention + (5.0 if dropout else 2.0) * a * seq / tp
    around = (4.0 + 2.0 * operand_bytes + (2.0 if dropout else 0.0)) * h
    inside = attention + _mlp_saved(shape, operand_bytes) / tp
    return around / np.where(sequence_parallel, tp, 1.0) + inside


def layer_s(
    device: Device, shape: Shape, layout: Layout, tokens: Any, seq: float, *, flash: bool
) -> LayerTime:
    """Return the time of the mean layer, messages aside.

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

    Returns
    -------
    LayerTime
        [s]
    """
    tp, moe = layout.tp, shape.moe
    core = attention_flop_per_token(shape, seq) / shape.layers * tokens / tp
    scores = shape.heads / tp * seq * tokens
    core_f, core_b = attention_s(device, core if flash else 2.0 * core, scores, flash=flash)
    saved = saved_bytes(shape, tp, layout.sequence_parallel, seq=seq)
    moving = ELEMENTWISE * move_s(device, saved * tokens)
    sparse = 0.0 if moe is None else 1.0 - moe.dense_layers / shape.layers
    more = 1.0 + (EXPERT_KERNELS - 1.0) * sparse
    alone: Any = 0.0
    if moe is not None and device.operand_bytes < 2.0:
        alone = sparse * moe.experts / layout.ep
    forward = core_f + moving + device.launch_s * (KERNELS_FORWARD * more)
    forward = forward + ONE_EXPERT_S * ONE_EXPERT_FORWARD * alone
    backward = core_b + 2.0 * moving + device.launch_s * (KERNELS_BACKWARD * more)
    backward = backward + ONE_EXPERT_S * ONE_EXPERT_BACKWARD * alone
    last: Any = 0.0
    for m, n, k, times, ends in _products(shape, layout, tokens):
        product = times * gemm_s(device, m, n, k)
        forward = forward + product
        backward = backward + times * backward_gemm_s(device, m, n, k)
        last = last + product if ends else last
    return LayerTime(forward, backward, core_f, core_b, last)


def logits_s(device: Device, shape: Shape, tp: Any, tokens: Any) -> Any:
    """Return forward and backward time of logits and loss, in half precision. [s]"""
    columns = shape.vocab / tp
    products = gemm_s(device, tokens, columns, shape.hidden, half=True)
    products = products + backward_gemm_s(device, tokens, columns, shape.hidden, half=True)
    return products + move_s(device, LOGIT_BYTES * tokens * columns)


def experts_s(fabric: Fabric, shape: Shape, layout: Layout, tokens: Any, token_bytes: float) -> Any:
    """Return the time to send the tokens of a layer to their experts, or back [2]_.

    Mean over the layers; tokens spread evenly over the experts.

    Parameters
    ----------
    fabric : Fabric
    shape : Shape
        With a mixture of experts.
    layout : Layout
    tokens : array_like
        Tokens of one micro-batch on one context parallel rank. [token]
    token_bytes : float
        Of one number. [B]

    Returns
    -------
    ndarray
        [s]
    """
    moe = shape.moe
    assert moe is not None
    ep = layout.ep
    sent = tokens / layout.tp * shape.hidden * token_bytes
    inside = np.minimum(ep, float(fabric.domain))
    servers = np.maximum(ep / inside, 1.0)
    ranks_met = ep * (1.0 - (1.0 - 1.0 / ep) ** moe.top_k)
    local = collective_s(fabric, "all_to_all", sent * ranks_met, inside)
    servers_met = servers * (1.0 - (1.0 - 1.0 / servers) ** moe.top_k)
    servers_met = np.minimum(servers_met, moe.groups_per_token or np.inf)
    crossing = sent * servers_met * (servers - 1.0) / servers
    remote = np.where(servers > 1, fabric.out_step_s + crossing / fabric.out_rate, 0.0)
    return (1.0 - moe.dense_layers / shape.layers) * np.maximum(local, remote)


def _products(shape: Shape, layout: Layout, tokens: Any) -> list[tuple[Any, Any, Any, Any, bool]]:
    """Return rows, columns, depth, how often in the mean layer, and whether it ends the layer."""
    tp, moe = layout.tp, shape.moe
    found = [(tokens, n, k, 1.0, False) for n, k in attention_products(shape, tp)]

    def mlp(rows: Any, width: Any, parts: Any, times: Any) -> None:
        (n, k), (n_last, k_last) = mlp_products(shape, width, parts)
        found.extend([(rows, n, k, times, False), (rows, n_last, k_last, times, True)])

    if moe is None:
        mlp(tokens, shape.ffn, tp, 1.0)
        return found
    sparse = 1.0 - moe.dense_layers / shape.layers
    if moe.dense_layers:
        mlp(tokens, shape.ffn, tp, 1.0 - sparse)
    if moe.shared_experts:
        mlp(tokens, moe.shared_experts * moe.expert_ffn, tp, sparse)
    rows = tokens / tp * moe.top_k * layout.ep / moe.experts
    mlp(rows, moe.expert_ffn, 1, sparse * moe.experts / layout.ep)
    return found


def _mlp_saved(shape: Shape, operand_bytes: float) -> float:
    """Return what the MLP of the mean layer saves of one token, over all tp ranks. [B/token]"""
    each = (4.0 if shape.gated_mlp else 2.0) + operand_bytes
    moe = shape.moe
    if moe is None:
        return each * shape.ffn
    sparse = 1.0 - moe.dense_layers / shape.layers
    routed = (moe.top_k + moe.shared_experts) * each * moe.expert_ffn
    copies = operand_bytes * moe.top_k * shape.hidden  # the token as every expert got it
    return (1.0 - sparse) * each * shape.ffn + sparse * (routed + copies)


def _size(products: list[tuple[Any, Any]]) -> float:
    return float(sum(n * k for n, k in products))
