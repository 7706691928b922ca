"""Seconds per step of a training run, by what they are spent on.

A step sends m micro-batches through p stages, sums the gradients and updates the weights. The time
of a stage is that of its layers (``layer.py``) and of the messages no computation hides; the time
of the pipeline follows from the slowest stage and all stages together (``pipeline.py``). Nothing is
simulated: a layout is priced by some hundreds of array operations, and a million layouts by the
same ones.

Long because a step is one sum: its parts and what hides what stand together.

Sources
-------
.. [1] D. Narayanan et al., arXiv 2104.04473, section 3: messages of tensor, pipeline and data
       parallelism.
.. [2] H. Liu, M. Zaharia, P. Abbeel, "Ring attention", arXiv 2310.01889: keys and values go round
       while attention is computed.
.. [3] MLPerf Training v3.1, GPT-3 on 4,096 to 8,192 GPUs at a fixed batch per replica: 0.7 % more
       time for twice the chips.
.. [4] S. Rajbhandari et al., "ZeRO", arXiv 1910.02054, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.steptime.collectives import (
    Fabric,
    collective_s,
    crosses,
    point_to_point_s,
)
from computeplan.physics.steptime.experts import exchange_s, host_s, overlap
from computeplan.physics.steptime.layer import (
    attention_share,
    blocks_of,
    dense_of_rank,
    held_by,
    kv_heads_of_rank,
    layer_s,
    logits_s,
    n_with_experts,
    stage_layers,
    stages_to_see,
    weights_of,
)
from computeplan.physics.steptime.layout import Layout, Software
from computeplan.physics.steptime.operators import Device, backward_gemm_s, gemm_s, move_s
from computeplan.physics.steptime.pipeline import pipeline_s
from computeplan.physics.steptime.sharding import sharded_ends_s, sharded_layer_s
from computeplan.physics.steptime.transformer import (
    Shape,
    flop_per_token,
    mtp_flop_per_token,
    value_width,
)

__all__ = [
    "StageTime",
    "StepTime",
    "Training",
    "slowest_rank",
    "stage_end_s",
    "stage_time",
    "step_time",
]

OPTIMIZER_BYTES = 30.0
"""Bytes Adam moves for one parameter: gradient, weight, master copy and two moments in fp32 read,
all but the gradient written; counted."""
STATE_BYTES = 12.0
"""Of one parameter: master copy and two moments in fp32 [4]_."""
JITTER_PER_DECADE = 0.02
"""Time lost to the slowest of the ranks, for ten times as many; 1 to 4 % is seen [3]_, an
estimate."""


@dataclass(frozen=True, slots=True)
class Training:
    """What is trained, whatever it is trained on."""

    shape: Shape
    """Of the model."""
    seq: int
    """Length of the sequences. [token]"""
    batch: int
    """Sequences of one step."""
    mtp: int = 0
    """Extra prediction layers that are trained too: each is one more layer, and logits again."""

    @property
    def tokens(self) -> float:
        """Tokens of one step."""
        return float(self.seq) * self.batch

    @property
    def flop(self) -> float:
        """Model FLOP of one step."""
        extra = mtp_flop_per_token(replace(self.shape, mtp=self.mtp), self.seq) if self.mtp else 0.0
        return (flop_per_token(self.shape, self.seq) + extra) * self.tokens

    def micro_batches(self, layout: Layout) -> FloatArray:
        """Return how many micro-batches one replica sends through in a step."""
        return self.batch / (layout.dp * layout.micro_batch)


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of one step; the parts add up to the whole."""

    compute_s: FloatArray
    """The mean stage's layers and logits, recomputation included. [s]"""
    tp_s: FloatArray
    cp_s: FloatArray
    ep_s: FloatArray
    """Exposed messages of tensor, context and expert parallelism. [s]"""
    bubble_s: FloatArray
    """Waiting for the other stages, and for the slowest one. [s]"""
    pp_s: FloatArray
    """Exposed messages between stages. [s]"""
    dp_s: FloatArray
    """Exposed summing of gradients and gathering of weights. [s]"""
    host_s: FloatArray
    """Exposed moves to the memory of the host and back. [s]"""
    optimizer_s: FloatArray
    """The update. [s]"""

    @property
    def step_s(self) -> FloatArray:
        """The whole step. [s]"""
        total: FloatArray = sum(getattr(self, field.name) for field in fields(self))
        return total

    @property
    def exposed_frac(self) -> FloatArray:
        """Share of the step in which chips wait: for messages, other stages, moves to the host."""
        busy: FloatArray = self.compute_s + self.optimizer_s
        return np.asarray(1.0 - busy / self.step_s)

    def times(self, factor: float) -> StepTime:
        """Return a step every part of which takes some times as long."""
        return StepTime(*(getattr(self, field.name) * factor for field in fields(self)))


class _Parts(NamedTuple):
    """One micro-batch through a layer, forward and backward: time by what it is for."""

    compute: Any
    tp: Any
    cp: Any
    ep: Any
    dp: Any
    host: Any
    """Computing, and the messages of each kind of parallelism, and moves to the host, that it does
    not hide."""
    free_f: Any
    """Of the forward pass: computing that hides no ring of keys and values, and no tokens on their
    way to experts."""
    free_b: Any
    """Of the backward pass, the same."""
    wait_b: Any = 0.0
    """Of the backward pass: waiting for gathered weights."""
    up_b: Any = 0.0
    out_b: Any = 0.0
    """Of the backward pass: while gathered weights and scattered gradients are under way, on the
    links of a domain and on the network."""

    @property
    def all(self) -> Any:
        return self.compute + self.tp + self.cp + self.ep + self.dp + self.host


def step_time(
    training: Training,
    device: Device,
    fabric: Fabric,
    layout: Layout,
    software: Software = Software(),  # noqa: B008 - frozen
) -> StepTime:
    """Return the seconds of a step for every layout.

    Parameters
    ----------
    training : Training
    device : Device
    fabric : Fabric
    layout : Layout
        One or many.
    software : Software

    Returns
    -------
    StepTime
        Arrays of the shape that the layouts broadcast to. [s]

    Examples
    --------
    >>> from computeplan.physics.steptime.collectives import Link
    >>> from computeplan.physics.steptime.operators import GemmCurve
    >>> curve, link = GemmCurve(0.9, 291.0, 131.0, 225.0), Link(0.75, 6e-6, 1e-6)
    >>> h100 = Device(989e12, 989e12, curve, curve, 0.6, 80e9, 3.35e12, gemm_frac=0.8)
    >>> hgx = Fabric(8, 450e9, 450e9, 50e9, dict.fromkeys(
    ...     ("all_reduce", "all_gather", "reduce_scatter", "all_to_all"), link))
    >>> llama_8b = Shape(layers=32, hidden=4096, ffn=14336, heads=32, kv_heads=8, head_dim=128,
    ...                  vocab=128256)
    >>> times = step_time(Training(llama_8b, 8192, 128), h100, hgx, Layout.of(dp=8, tp=[1, 2]))
    >>> [f"{t:.1f}" for t in times.step_s]
    ['12.4', '6.7']
    """
    shape, p, v = training.shape, layout.pp, layout.pieces
    n_micro = training.micro_batches(layout)
    parts_of, mean, logits, head, message = _pieces(training, device, fabric, layout, software)
    per_stage = shape.layers / p
    everywhere = stage_layers(shape, 1.0, 1.0, 0.0)  # the layers of all stages together
    total = _layers_s(everywhere, parts_of) + head
    slowest = _slowest_stage(shape, layout, parts_of, head)
    running = pipeline_s(slowest, total, n_micro, v, software.schedule.bubble)
    working = n_micro * total / p
    end = _end(training, device, fabric, layout, software, mean)
    ends = sharded_ends_s(shape, fabric, layout, software, logits, n_micro)
    parts = {
        "compute_s": n_micro * (per_stage * mean.compute + head / p),
        "tp_s": n_micro * per_stage * mean.tp,
        "cp_s": n_micro * per_stage * mean.cp,
        "ep_s": n_micro * per_stage * mean.ep,
        "bubble_s": running - working,
        "pp_s": np.where(p > 1, (n_micro + (p - 1.0) / v) * message, 0.0),
        "dp_s": n_micro * (per_stage * mean.dp + ends) + end[0],
        "host_s": n_micro * per_stage * mean.host + end[2],
        "optimizer_s": end[1],
    }
    lost = slowest_rank(layout.n_ranks)
    return StepTime(**{name: seconds * lost for name, seconds in parts.items()})


@dataclass(frozen=True, slots=True)
class StageTime:
    """One micro-batch on a stage of a pipeline, by what it has; arrays of the layouts. [s]"""

    layer_s: FloatArray
    """The mean layer, forward and backward, with the messages that no computation hides."""
    head_s: FloatArray
    """Logits and loss, which the last stage has."""
    message_s: FloatArray
    """Messages to the other stages that no computation hides, at each stage."""


def stage_time(
    training: Training,
    device: Device,
    fabric: Fabric,
    layout: Layout,
    software: Software = Software(),  # noqa: B008 - frozen
) -> StageTime:
    """Return what a stage is busy with, for stages that do not all have the same layers or chips.

    Parameters
    ----------
    training : Training
    device : Device
    fabric : Fabric
    layout : Layout
        One or many; its ranks in all say whether stages are in one domain.
    software : Software

    Returns
    -------
    StageTime
        With equal stages, ``(m + p - 1) * (layers * layer_s + message_s)`` for m micro-batches and
        p stages is the step less its end and its logits, before `slowest_rank`.
    """
    found = _pieces(training, device, fabric, layout, software)
    return StageTime(*(np.asarray(s) for s in (found.mean.all, found.head, found.message)))


def stage_end_s(
    training: Training,
    device: Device,
    fabric: Fabric,
    layout: Layout,
    layers: Any,
    software: Software = Software(),  # noqa: B008 - frozen
) -> FloatArray:
    """Return what summing the gradients of a stage and updating its weights adds to a step.

    Parameters
    ----------
    training : Training
    device : Device
    fabric : Fabric
    layout : Layout
        One or many, with one piece a stage.
    layers : array_like
        Of the stage.
    software : Software

    Returns
    -------
    ndarray
        Before `slowest_rank`. [s]
    """
    held = layout.with_arrays({"pp": training.shape.layers / np.asarray(layers, dtype=np.float64)})
    mean = _pieces(training, device, fabric, layout, software).mean
    seconds: FloatArray = sum(_end(training, device, fabric, held, software, mean))
    return seconds


def slowest_rank(n_ranks: Any) -> Any:
    """Return the time of a step over that of its mean rank: the more ranks, the slower the slowest.

    Examples
    --------
    >>> f"{slowest_rank(800):.2f}"
    '1.04'
    """
    return 1.0 + JITTER_PER_DECADE * np.log10(np.maximum(n_ranks / 8.0, 1.0))


class _Pieces(NamedTuple):
    """What a step is made of, one micro-batch on one rank. [s]"""

    parts_of: dict[bool, _Parts]
    """A layer without experts, and with."""
    mean: _Parts
    """The mean layer."""
    logits: Any
    head: Any
    """Logits, and extra prediction layers."""
    message: Any
    """Shown messages of a stage."""


def _pieces(
    training: Training, device: Device, fabric: Fabric, layout: Layout, software: Software
) -> _Pieces:
    shape, v = training.shape, layout.pieces
    tokens = training.seq * layout.micro_batch / layout.cp
    parts_of = {
        experts: _layer_parts(training, device, fabric, layout, software, tokens, experts=experts)
        for experts in _kinds(shape)
    }
    logits = logits_s(device, shape, layout.tp, tokens)
    mean = _mean_layer(shape, parts_of)
    head = logits
    if training.mtp:  # joins two vectors of a token, then a layer, then the logits again
        join = gemm_s(device, tokens, shape.hidden, 2 * shape.hidden)
        join = join + backward_gemm_s(device, tokens, shape.hidden, 2 * shape.hidden)
        head = logits + training.mtp * (logits + parts_of[_kinds(shape)[-1]].all + join)
    leaves = layout.n_ranks > fabric.domain
    boundary = 2.0 * tokens * shape.hidden / layout.tp
    exposed = np.where(v > 1, software.pp_exposed_interleaved, software.pp_exposed)
    message = 2.0 * v * exposed * point_to_point_s(fabric, boundary, crosses=leaves)
    return _Pieces(parts_of, mean, logits, head, message)


def _kinds(shape: Shape) -> tuple[bool, ...]:
    """Return which kinds of layers there are: without experts, with experts."""
    n = n_with_experts(shape)
    return (False,) * (n < shape.layers) + (True,) * (n > 0)


def _mean_layer(shape: Shape, parts_of: dict[bool, _Parts]) -> _Parts:
    """Return the mean over the layers."""
    with_experts = n_with_experts(shape) / shape.layers
    share = {False: 1.0 - with_experts, True: with_experts}
    columns = zip(*parts_of.values(), strict=True)
    shares = [share[experts] for experts in parts_of]
    return _Parts(*(sum(s * x for s, x in zip(shares, column, strict=True)) for column in columns))


def _slowest_stage(shape: Shape, layout: Layout, parts_of: dict[bool, _Parts], head: Any) -> Any:
    """Return the time of one micro-batch in the slowest stage, by its whole layers."""
    slowest: Any = 0.0
    for stage in stages_to_see(shape, layout):
        working = _layers_s(held_by(shape, layout, stage), parts_of)
        computing = working + np.where(stage == layout.pp - 1.0, head, 0.0)
        slowest = np.maximum(slowest, computing)
    return slowest


def _layers_s(held: tuple[Any, Any], parts_of: dict[bool, _Parts]) -> Any:
    """Return the time of one micro-batch in some layers without and with experts."""
    return sum(held[experts] * part.all for experts, part in parts_of.items())


def _layer_parts(
    training: Training,
    device: Device,
    fabric: Fabric,
    layout: Layout,
    software: Software,
    tokens: Any,
    *,
    experts: bool,
) -> _Parts:
    """Return the time of one micro-batch in a layer, with experts or without.

    Long because the parts of a layer hide one another.
    """
    shape, tp = training.shape, layout.tp
    modules = layout.modules or software.selective
    mixture = software.mixture if experts else None
    layer = layer_s(
        device,
        shape,
        layout,
        tokens,
        training.seq,
        flash=software.flash,
        modules=modules,
        mixture=mixture,
    )
    again = layer.forward - (layer.last if software.stops_early else 0.0)
    full, some = _again(shape, layout)
    core = full + some * ("core_attn" in modules)
    backward = layer.backward + full * again + some * layer.again
    ring = _ring_s(training, fabric, layout)
    visible = 1.0 - software.cp_overlap
    hidden_f = np.minimum(ring, layer.core_forward)
    hidden_b = np.minimum(2.0 * ring, layer.core_backward)
    cp_f = ring - hidden_f + visible * hidden_f
    cp_b = 2.0 * ring - hidden_b + visible * hidden_b + core * cp_f
    free_f = layer.forward - hidden_f
    free_b = backward - hidden_b - core * hidden_f
    passes = 2.0 + full * (0.5 if software.stops_early else 1.0)
    regathered = some * (0.5 * ("second_products" in modules))
    resent = some * (1.0 * ("moe" in modules))
    reduce = collective_s(fabric, "all_reduce", 2.0 * tokens * shape.hidden, tp)
    tp_forward = blocks_of(shape, experts=experts) * software.tp_exposed * reduce
    computing = layer.forward + backward
    ep: Any = 0.0
    if mixture is not None:
        computing = computing / software.schedule.chip_frac
        hides = (free_f + free_b) / software.schedule.chip_frac  # what hides a ring hides no more
        sent = _sent_s(training, fabric, layout, software, passes + resent)
        hidden = overlap(layout, mixture) * np.minimum(sent, hides)
        ep, left = sent - hidden, 1.0 - hidden / hides
        free_f, free_b = left * free_f, left * free_b
    free = free_f + tp_forward, free_b + tp_forward
    n_micro = training.micro_batches(layout)
    dp, *behind = sharded_layer_s(shape, fabric, layout, software, *free, n_micro, experts=experts)
    moved = _inputs_s(shape, device, layout, tokens, layer.forward, backward)
    tp_s = tp_forward * (passes + regathered)
    parts = _Parts(computing, tp_s, cp_f + cp_b, ep, dp, moved, free_f, free_b, *behind)
    if mixture is None:
        return parts
    launched = 1.0 + (full + some * ("moe" in modules)) / 3.0  # a forward pass is a third of all
    return _beside_the_host(parts, launched * host_s(device, shape, layout, mixture))


def _beside_the_host(parts: _Parts, host: Any) -> _Parts:
    """Return a layer whose host runs beside the chip and waits for it once."""
    waits = np.hypot(parts.all, host) - parts.all
    return parts._replace(compute=parts.compute + waits)


def _sent_s(
    training: Training, fabric: Fabric, layout: Layout, software: Software, times: Any
) -> Any:
    """Return the time of sending tokens to their experts and back, `times` over."""
    mixture, tokens = software.mixture, training.seq * layout.micro_batch / layout.cp
    one = exchange_s(fabric, training.shape, layout, mixture, tokens, software.expert_bytes)
    return 2.0 * times * software.schedule.experts * mixture.imbalance * one


def _again(shape: Shape, layout: Layout) -> tuple[Any, Any]:
    """Return the shares of the layers that are computed again, in full and some modules of them."""
    covered = np.minimum(layout.full_layers * layout.pieces * layout.pp / shape.layers, 1.0)
    return np.where(layout.recompute == 2, covered, 0.0), np.where(layout.recompute == 1, 1.0, 0.0)


def _inputs_s(
    shape: Shape, device: Device, layout: Layout, tokens: Any, forward: Any, backward: Any
) -> Any:
    """Return what moving a layer's input to the host, and back, adds to a micro-batch."""
    moved = (layout.offload == 1) | (layout.offload == 3)
    if not np.any(moved):
        return 0.0
    cut = np.where(layout.sequence_parallel > 0, layout.tp, 1.0)
    one_way = 2.0 * tokens * shape.hidden / cut / device.host_bytes_per_s
    shown = np.maximum(one_way - forward, 0.0) + np.maximum(one_way - backward, 0.0)
    return np.where(moved, shown, 0.0)


def _ring_s(training: Training, fabric: Fabric, layout: Layout) -> Any:
    """Return the time of keys and values of a layer once round the ring [2]_."""
    shape, cp = training.shape, layout.cp
    if not np.any(cp > 1):
        return 0.0
    width = (shape.head_dim + value_width(shape)) * kv_heads_of_rank(shape, layout.tp)
    if shape.mla is not None:
        width = float(shape.mla.kv_lora_rank + shape.mla.qk_rope_head_dim)
    width = width * attention_share(shape)  # a state goes on once, and is small
    hop_bytes = 2.0 * width * training.seq * layout.micro_batch / cp
    hop = point_to_point_s(fabric, hop_bytes, crosses=cp * layout.tp > fabric.domain)
    return (cp - 1.0) * hop


def _end(
    training: Training,
    device: Device,
    fabric: Fabric,
    layout: Layout,
    software: Software,
    part: _Parts,
) -> tuple[Any, Any, Any]:
    """Return what summing gradients and gathering weights, the update, and moving its state add.

    Long because what is summed, gathered and hidden at the end of a step is one account.

    Gradients of a piece can be summed once its last micro-batch is through: with virtual stages
    that is long before the step ends.
    """
    shape, p, v = training.shape, layout.pp, layout.pieces
    weights = weights_of(shape)
    n_micro = training.micro_batches(layout)
    both = (p == 1) & (not shape.tied_embeddings)
    n_experts = n_with_experts(shape)
    n_dense = shape.layers - n_experts
    if shape.moe is None:
        n_dense += training.mtp
    else:
        n_experts += training.mtp
    dense = n_dense * dense_of_rank(shape, layout.tp, experts=False) / p
    dense = dense + n_experts * dense_of_rank(shape, layout.tp, experts=True) / p
    dense = dense + weights.embedding * (1.0 + both) / layout.tp
    holders = layout.ep * layout.etp
    experts = weights.routed * n_experts / (p * holders)
    group = layout.dp * layout.cp
    whole, every = layout.zero < 1, layout.zero == 3
    back = np.where(whole | every, software.grad_bytes, 2.0)

    def summed(held: Any, n: Any, shard: Any, stride: Any) -> tuple[Any, Any, Any]:
        """Return the scatter, the gather, and the weights that one rank updates."""
        mine, shared = np.where(every, held / shard, held), np.where(every, shard, 1.0)
        copies, apart = n / shared, stride * shared
        n_bytes = software.grad_bytes * mine
        scatter = collective_s(fabric, "reduce_scatter", n_bytes, copies, apart)
        gather = collective_s(fabric, "all_gather", back * mine, copies, apart)
        return scatter, gather, np.where(whole | every, mine, held / n)

    scatter, gather, updated = summed(dense, group, layout.shard, layout.tp)
    if shape.moe is not None:
        few, shard = (np.maximum(n * layout.tp / holders, 1.0) for n in (group, layout.shard))
        more = summed(experts, few, shard, holders)
        scatter, gather, updated = scatter + more[0], gather + more[1], updated + more[2]
    window = (np.minimum(n_micro, p) * (v - 1.0) + 1.0) / v * (shape.layers / p)
    # The sum has its link while no weights are gathered and no gradients scattered over it.
    between = crosses(fabric, group / layout.shard, layout.tp * layout.shard)
    busy = np.where(between, part.out_b, part.up_b)
    free = np.maximum(software.grad_overlap * (part.free_b + part.wait_b) - busy, 0.0)
    scatter_hidden = window * free
    gather_hidden = software.weight_overlap * window * part.free_f
    exposed = np.where(
        whole | every,  # an all-reduce ends with the gradients, not with the weights
        np.maximum(scatter + gather - scatter_hidden, 0.0),
        np.maximum(scatter - scatter_hidden, 0.0) + np.maximum(gather - gather_hidden, 0.0),
    )
    moved = np.where(layout.offload >= 2, STATE_BYTES * updated / device.host_bytes_per_s, 0.0)
    return exposed, move_s(device, OPTIMIZER_BYTES * updated), moved  # in and out at once
