"""Memory of a rank in training: the size of each part, and which layouts fit.

Adam in mixed precision keeps two bytes of a weight, its gradient, and twelve bytes of state (master
copy and two moments in fp32); data parallel ranks share them out by ZeRO stage. Activations wait
from a micro-batch's forward to its backward pass, as many micro-batches as the stage has in flight.
The first stage has most in flight and holds the input embedding, the last one computes logits in
fp32; both are counted and the larger decides.

Sources
-------
.. [1] V. Korthikanti et al., "Reducing activation recomputation in large transformer models",
       arXiv 2205.05198, equations 1 to 5.
.. [2] S. Rajbhandari et al., "ZeRO", arXiv 1910.02054, section 3 and figure 1: 16 bytes per
       parameter, and how stages divide them.
.. [3] NVIDIA Megatron-LM, docs/source/api-guide/dist_optimizer.md: bytes per parameter with fp32
       gradients, 18 without and 6 + 12/d with the distributed optimizer.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.steptime.layer import (
    dense_of_rank,
    held_by,
    n_with_experts,
    saved_bytes,
    stages_to_see,
    weights_of,
)
from computeplan.physics.steptime.layout import Layout, Software
from computeplan.physics.steptime.pipeline import in_flight
from computeplan.physics.steptime.step import STATE_BYTES, Training
from computeplan.physics.steptime.transformer import Shape, n_parameters

__all__ = [
    "GIB",
    "RankMemory",
    "memory_of",
    "memory_of_stage",
    "saved_bytes_per_parameter",
    "state_bytes_per_parameter",
]

GIB = float(2**30)
RESERVE_BYTES = 1.0 * GIB
"""Contexts and buffers of the runtime and the collectives: the least of the 1 to 8 GiB seen, so
that what has run is not refused. Leave room in a plan. An estimate."""


@dataclass(frozen=True, slots=True)
class RankMemory:
    """What the fullest rank holds; the parts add up to the whole."""

    weights: FloatArray
    gradients: FloatArray
    optimizer: FloatArray
    """[B]"""
    activations: FloatArray
    """Saved for the backward pass. [B]"""
    logits: FloatArray
    """Logits, where they are computed. [B]"""
    reserve: FloatArray
    """Runtime, collectives, fragmentation. [B]"""

    @property
    def total(self) -> FloatArray:
        """All of it. [B]"""
        total: FloatArray = sum(getattr(self, field.name) for field in fields(self))
        return total


def state_bytes_per_parameter(
    zero: Any, ranks: Any, grad_bytes: float = 4.0
) -> tuple[Any, Any, Any]:
    """Return what weight, gradient and optimizer state of one parameter take on one rank [2]_ [3]_.

    Parameters
    ----------
    zero : array_like
        ZeRO stage.
    ranks : array_like
        Ranks that share the state.
    grad_bytes : float
        Of one gradient. [B]

    Returns
    -------
    tuple of ndarray
        [B/parameter]

    Examples
    --------
    >>> [float(sum(state_bytes_per_parameter(zero, 64))) for zero in (0, 1)]
    [18.0, 6.1875]
    """
    weight = 2.0 / np.where(zero >= 3, ranks, 1.0)
    gradient = grad_bytes / np.where(zero >= 2, ranks, 1.0)
    state = STATE_BYTES / np.where(zero >= 1, ranks, 1.0)
    return weight[()], gradient[()], state[()]


def saved_bytes_per_parameter() -> float:
    """Return what a checkpoint holds of one parameter: its weight and Adam's state, no gradient.

    Returns
    -------
    float
        [B/parameter]

    Examples
    --------
    >>> f"{405e9 * saved_bytes_per_parameter() / 1e12:.2f} TB"  # Llama 3.1 405B
    '5.67 TB'
    """
    weight, _, state = state_bytes_per_parameter(0, 1)
    return float(weight + state)


def memory_of(
    training: Training,
    layout: Layout,
    software: Software = Software(),  # noqa: B008 - frozen
) -> RankMemory:
    """Return what the fullest rank of every layout holds.

    Parameters
    ----------
    training : Training
    layout : Layout
        One or many.
    software : Software

    Returns
    -------
    RankMemory
        Arrays of the shape that the layouts broadcast to. [B]

    Examples
    --------
    70 billion parameters with full Adam state on 8 ranks need 18 bytes each:

    >>> llama_70b = Shape(layers=80, hidden=8192, ffn=28672, heads=64, kv_heads=8, head_dim=128,
    ...                   vocab=128256)
    >>> held = memory_of(Training(llama_70b, 8192, 8), Layout.of(tp=8, zero=0))
    >>> f"{float(held.weights + held.gradients + held.optimizer) / 1e9:.0f} GB"
    '159 GB'
    """
    facts, shape = _facts(training, layout, software), training.shape
    first, *others = stages_to_see(shape, layout)
    fullest = _stage(training, layout, software, facts, first, held_by(shape, layout, first))
    for stage in others:
        held = held_by(shape, layout, stage)
        other = _stage(training, layout, software, facts, stage, held)
        fuller = fullest.total >= other.total
        fullest = RankMemory(
            *(
                np.where(fuller, getattr(fullest, field.name), getattr(other, field.name))
                for field in fields(RankMemory)
            )
        )
    return fullest


def memory_of_stage(
    training: Training,
    layout: Layout,
    stage: Any,
    layers: Any,
    software: Software = Software(),  # noqa: B008 - frozen
) -> RankMemory:
    """Return what a rank of one stage holds, whatever the other stages hold.

    Parameters
    ----------
    training : Training
    layout : Layout
        One or many; `pp` are the stages in all, the rest is of this stage.
    stage : array_like
        From 0.
    layers : array_like
        On this stage, of the mean kind.
    software : Software

    Returns
    -------
    RankMemory
        Arrays of the shape that all broadcast to. [B]
    """
    n = np.asarray(layers, dtype=np.float64)
    n_experts = n * n_with_experts(training.shape) / training.shape.layers
    facts = _facts(training, layout, software)
    return _stage(training, layout, software, facts, stage, (n - n_experts, n_experts))


class _Facts(NamedTuple):
    """What is the same on every stage of a layout."""

    plain: Any
    beside: Any
    routed: Any
    """Weights of a layer on one rank: without experts; with them, those aside; the experts."""
    of_dense: tuple[Any, Any, Any]
    of_experts: tuple[Any, Any, Any]
    """Weight, gradient and optimizer state of one parameter. [B]"""
    is_apart: Any
    experts_are_apart: Any
    """Whether some rank lacks some of the weights, of the experts."""
    saved: dict[bool, tuple[Any, Any]]
    """What a layer without and with experts keeps of a token, and all that it has. [B/token]"""


def _facts(training: Training, layout: Layout, software: Software) -> _Facts:
    shape, tp, zero = training.shape, layout.tp, layout.zero
    holders, group = layout.ep * layout.etp, layout.dp * layout.cp
    shared = np.where(zero >= 3, layout.shard, group)
    few = np.maximum(shared * tp / holders, 1.0)
    all_gradients = (zero >= 3) & (layout.pp > 1)  # kept whole, for all micro-batches

    def state(ranks: Any) -> tuple[Any, Any, Any]:
        weight, gradient, rest = state_bytes_per_parameter(zero, ranks, software.grad_bytes)
        return weight, np.where(all_gradients, software.grad_bytes, gradient), rest

    n = n_with_experts(shape)
    kinds = (False,) * (n < shape.layers) + (True,) * (n > 0)
    return _Facts(
        plain=dense_of_rank(shape, tp, experts=False),
        beside=dense_of_rank(shape, tp, experts=True),
        routed=weights_of(shape).routed / holders,
        of_dense=state(shared),
        of_experts=state(few),
        is_apart=group > 1,
        experts_are_apart=few > 1,
        saved={experts: _saved(training, layout, software, experts) for experts in kinds},
    )


def _saved(
    training: Training, layout: Layout, software: Software, experts: bool
) -> tuple[Any, Any]:
    """Return what a layer keeps of a token with its recomputation, and without. [B/token]"""
    chosen = layout.modules or software.selective

    def kept(modules: tuple[str, ...] = ()) -> Any:
        return saved_bytes(
            training.shape,
            layout.tp,
            layout.sequence_parallel,
            seq=training.seq,
            flash=software.flash,
            dropout=software.dropout,
            operand_bytes=software.operand_bytes,
            experts=experts,
            modules=modules,
        )

    whole, some = kept(), layout.recompute == 1
    if not np.any(some) or (software.flash and chosen == ("core_attn",)):
        return whole, whole
    return np.where(some, kept(chosen), whole), whole


def _stage(
    training: Training,
    layout: Layout,
    software: Software,
    facts: _Facts,
    stage: Any,
    layers: tuple[Any, Any],
) -> RankMemory:
    """Return what a rank of a stage holds, with so many layers without and with experts."""
    shape, tp, p = training.shape, layout.tp, layout.pp
    n_dense, n_experts = layers
    last = stage == p - 1.0
    extra = np.where(last, float(training.mtp), 0.0)
    if shape.moe is None:
        n_dense = n_dense + extra
    else:
        n_experts = n_experts + extra
    embedding = weights_of(shape).embedding / tp
    small = n_parameters(shape) - _multiplied(shape)  # norms and biases, not cut by tp
    # The first stage has the input embedding, the last one the output matrix: the same if tied.
    matrices = np.where(p == 1, 1.0 + (not shape.tied_embeddings), (stage == 0.0) * 1.0 + last)
    dense = n_dense * facts.plain + n_experts * facts.beside + embedding * matrices + small / p
    experts = n_experts * facts.routed
    one = np.where(n_experts > 0, facts.beside + facts.routed, facts.plain)
    live = 2.0 * 2.0 * one + np.where(last, 2.0 * embedding, 0.0)  # two layers
    live = np.where(p > 1, 2.0 * (dense + experts), live)  # all, for all micro-batches
    parts = [
        dense * of_dense + experts * of_experts
        for of_dense, of_experts in zip(facts.of_dense, facts.of_experts, strict=True)
    ]
    gathered = (layout.zero >= 3) & (facts.is_apart | ((n_experts > 0) & facts.experts_are_apart))
    held = software.schedule.weights * parts[0] + np.where(gathered, live, 0.0)
    under_way = np.minimum(2.0 / np.maximum(n_dense + n_experts, 1.0), 1.0)  # two layers' worth
    state = np.where(layout.offload >= 2, under_way, 1.0) * parts[2]
    tokens = training.seq * layout.micro_batch / layout.cp
    kept = in_flight(stage, p, training.micro_batches(layout), layout.pieces)
    kept = kept * software.schedule.activations
    activations = tokens * _kept_bytes(shape, layout, facts, (n_dense, n_experts), kept)
    logits = np.where(last, software.logit_bytes, 0.0) * tokens * shape.vocab / tp
    logits = logits * (1.0 + training.mtp)
    rest = held + parts[1] + state + activations + logits
    reserve = RESERVE_BYTES + software.fragmentation * rest
    return RankMemory(held, parts[1], state, activations, logits, reserve)


def _kept_bytes(
    shape: Shape, layout: Layout, facts: _Facts, held: tuple[Any, Any], kept: Any
) -> Any:
    """Return what the layers of a stage keep, per token of a micro-batch. [B/token]"""
    only_input = 2.0 * shape.hidden / np.where(layout.sequence_parallel > 0, layout.tp, 1.0)
    full = np.minimum(layout.full_layers * layout.pieces, held[0] + held[1])
    full = np.where(layout.recompute == 2, full, 0.0)  # of the first layers
    kept_all: Any = 0.0
    largest: Any = 0.0
    before: Any = 0.0
    for experts, (layer, whole) in facts.saved.items():
        n = held[experts]
        covered = np.clip(full - before, 0.0, n)
        before = before + n
        kept_all = kept_all + (n - covered) * layer + covered * only_input
        largest = np.maximum(largest, np.where(covered > 0, whole - only_input, 0.0))
    moved = (layout.offload == 1) | (layout.offload == 3)
    at_host = np.maximum(kept * (held[0] + held[1]) - 2.0, 0.0) * only_input  # two stay
    # One layer at a time is whole again.
    return kept * kept_all + largest - np.where(moved, at_host, 0.0)


def _multiplied(shape: Shape) -> float:
    weights, n = weights_of(shape), n_with_experts(shape)
    embeddings = 1 if shape.tied_embeddings else 2
    held = shape.layers * weights.attention + (shape.layers - n) * weights.mlp
    return held + n * (weights.beside + weights.routed) + embeddings * weights.embedding
