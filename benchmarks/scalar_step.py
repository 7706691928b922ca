"""Step time and memory of one layout in plain floats: what a spreadsheet would compute.

The yardstick of ``step_grid.py``, and an oracle for the tests: the formulas of the package written
a second time, one layout at a time, with nothing but ``math``. What depends on the model alone is
computed once (`facts_of`), as a careful modeler would. Of the package it uses the records that
hold the inputs, and estimates that are numbers and no formulas, such as the share of the memory
bandwidth that kernels reach.

Long because it holds the whole model.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from computeplan.physics.steptime import experts as expert_estimates
from computeplan.physics.steptime import layer as layer_estimates
from computeplan.physics.steptime import memory as memory_estimates
from computeplan.physics.steptime import operators as operator_estimates
from computeplan.physics.steptime import step as step_estimates
from computeplan.physics.steptime.collectives import Fabric, Operation
from computeplan.physics.steptime.layout import Software
from computeplan.physics.steptime.operators import Device
from computeplan.physics.steptime.step import Training
from computeplan.physics.steptime.transformer import Shape

HBM_FRAC = operator_estimates.HBM_FRAC
SCORE_BYTES_FORWARD = operator_estimates.SCORE_BYTES_FORWARD
SCORE_BYTES_BACKWARD = operator_estimates.SCORE_BYTES_BACKWARD
ELEMENTWISE = layer_estimates.ELEMENTWISE
LOGIT_BYTES_MOVED = layer_estimates.LOGIT_BYTES
KERNELS_FORWARD = layer_estimates.KERNELS_FORWARD
KERNELS_BACKWARD = layer_estimates.KERNELS_BACKWARD
JITTER_PER_DECADE = step_estimates.JITTER_PER_DECADE
OPTIMIZER_BYTES = step_estimates.OPTIMIZER_BYTES
RESERVE_BYTES = memory_estimates.RESERVE_BYTES

SELECTIVE, FULL = 1, 2


class Split(NamedTuple):
    """One layout; the fields are those of ``Layout``."""

    tp: float = 1.0
    pp: float = 1.0
    dp: float = 1.0
    cp: float = 1.0
    ep: float = 1.0
    micro_batch: float = 1.0
    pieces: float = 1.0
    recompute: float = 0.0
    sequence_parallel: float = 1.0
    zero: float = 1.0
    full_layers: float = math.inf
    offload: float = 0.0
    shard: float = 1.0
    etp: float = 1.0


class Facts(NamedTuple):
    """What follows from the model and the sequence alone."""

    plain: int
    """How many layers have no experts; they come first."""
    dense: tuple[float, float]
    """Weights that every token meets, of a layer without experts and of one with."""
    experts: float
    """Weights of all routed experts of a layer that has them."""
    embedding: float
    vectors: float
    """Parameters of the model that multiply nothing: norms, biases, positions."""
    core_flop: float
    """Forward FLOP of a layer's attention core for one token, half of the mask if causal."""


# The model ----------------------------------------------------------------------------------------


def facts_of(training: Training) -> Facts:
    shape = training.shape
    h, moe, mla = float(shape.hidden), shape.moe, shape.mla
    attention = sum(n * k for n, k in _attention(shape, 1.0))
    matrices = 3.0 if shape.gated_mlp else 2.0
    plain, beside, experts = shape.layers, 0.0, 0.0
    if moe is not None:
        plain = moe.dense_layers
        one = matrices * h * moe.expert_ffn
        beside = moe.shared_experts * one + h * moe.experts
        experts = moe.experts * one
    if mla is None:
        core_width = 2.0 * shape.head_dim
    else:
        core_width = mla.qk_nope_head_dim + mla.qk_rope_head_dim + mla.v_head_dim
    return Facts(
        plain=plain,
        dense=(attention + matrices * h * shape.ffn, attention + beside),
        experts=experts,
        embedding=h * shape.vocab,
        vectors=_vectors(shape),
        core_flop=2.0 * shape.heads * core_width * _positions_seen(training),
    )


def _mla_latents(shape: Shape) -> float:
    """Return how many numbers of a token latent attention computes on every rank alike."""
    mla = shape.mla
    return float(mla.q_lora_rank + mla.kv_lora_rank + mla.qk_rope_head_dim)


def _attention(shape: Shape, tp: float) -> list[tuple[float, float]]:
    """Return columns and depth of the products around attention on one rank."""
    h, a, mla = shape.hidden, shape.heads, shape.mla
    if mla is None:
        kv_heads = max(shape.kv_heads / tp, 1.0)
        return [((a / tp + 2.0 * kv_heads) * shape.head_dim, h), (h, a / tp * shape.head_dim)]
    nope, rope, value = mla.qk_nope_head_dim, mla.qk_rope_head_dim, mla.v_head_dim
    found = [(a / tp * (nope + rope), mla.q_lora_rank or h)]
    if mla.q_lora_rank:
        found.append((mla.q_lora_rank, h))
    found += [(mla.kv_lora_rank + rope, h), (a / tp * (nope + value), mla.kv_lora_rank)]
    return [*found, (h, a / tp * value)]


def _kv_width(shape: Shape, tp: float) -> float:
    """Return as how many numbers a rank sends the keys and values of a token."""
    if shape.mla is not None:
        return float(shape.mla.kv_lora_rank + shape.mla.qk_rope_head_dim)
    return 2.0 * shape.head_dim * max(shape.kv_heads / tp, 1.0)


def _dense_of_rank(shape: Shape, facts: Facts, tp: float, *, experts: bool) -> float:
    """Return the weights of a layer on one rank, routed experts aside."""
    dense = facts.dense[experts]
    if shape.mla is not None:
        whole = shape.hidden * _mla_latents(shape)
        return (dense - whole) / tp + whole
    if tp <= shape.kv_heads:
        return dense / tp
    keys_and_values = 2.0 * shape.hidden * shape.head_dim  # of one head, which every rank has
    return (dense - shape.kv_heads * keys_and_values) / tp + keys_and_values


def _stages(shape: Shape, facts: Facts, pp: float, pieces: float) -> list[tuple[int, int]]:
    """Return how many layers without and with experts every stage has."""
    each = int(pieces * math.ceil(shape.layers / (pp * pieces)))
    rest = shape.layers - each * (int(pp) - 1)
    if rest > 0:
        dealt = [each] * (int(pp) - 1) + [rest]
    else:
        dealt = [int(shape.layers // pp)] * int(pp)
        for stage in range(int(shape.layers % pp)):
            dealt[stage] += 1
    found, done = [], 0
    for n in dealt:
        plain = sum(1 for layer in range(done, done + n) if layer < facts.plain)
        found.append((plain, n - plain))
        done += n
    return found


def _positions_seen(training: Training) -> float:
    """Return how many positions a token attends to, mean over positions and layers."""
    shape, seq = training.shape, float(training.seq)

    def seen(window: float) -> float:
        if not shape.causal:
            return window
        ramp = window * window / 2.0  # the first tokens see a window that fills up
        return (ramp + (seq - window) * window) / seq

    window = min(seq, shape.sliding_window or seq)
    n_full = shape.layers // shape.full_attention_every if shape.full_attention_every else 0
    return (n_full * seen(seq) + (shape.layers - n_full) * seen(window)) / shape.layers


def _vectors(shape: Shape) -> float:
    norm = shape.hidden * (2 if shape.norm == "layer" else 1)
    layer = 2 * norm
    if shape.biases in {"qkv", "all"}:
        layer += (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    if shape.biases == "all":
        layer += 2 * shape.hidden + (2 if shape.gated_mlp else 1) * shape.ffn
    if shape.mla is not None:
        layer += shape.mla.q_lora_rank + shape.mla.kv_lora_rank
    outside = norm * (2 if shape.embedding_norm else 1) + shape.learned_positions * shape.hidden
    return float(shape.layers * layer + outside)


def _saved_bytes(
    shape: Shape,
    split: Split,
    scores_bytes: float,
    *,
    operand_bytes: float,
    dropout: bool,
    experts: bool,
    routed: bool = True,
) -> float:
    """Return what one token saves in a layer on one rank; `scores_bytes` of all heads."""
    h, moe, mla = shape.hidden, shape.moe, shape.mla
    around = 2.0 * (2.0 * h) + 2.0 * operand_bytes * h + (2.0 * h if dropout else 0.0)
    if mla is None:  # queries and the output, keys and values
        kv_heads = max(shape.kv_heads, split.tp)  # at least one on every rank
        inside = 2.0 * shape.head_dim * (2.0 * shape.heads + 2.0 * kv_heads)
    else:
        head = 2.0 * (mla.qk_nope_head_dim + mla.qk_rope_head_dim) + 2.0 * mla.v_head_dim
        latents = mla.q_lora_rank + mla.kv_lora_rank  # not split: every rank has them all
        inside = 2.0 * (shape.heads * head + latents * split.tp)
    number = 2.0 * (2.0 if shape.gated_mlp else 1.0) + operand_bytes
    mlp = number * shape.ffn
    if experts:
        mlp = number * moe.expert_ffn * moe.shared_experts
        if routed:
            mlp += (number * moe.expert_ffn + operand_bytes * h) * moe.top_k
    tp = split.tp
    return around / (tp if split.sequence_parallel else 1.0) + (inside + mlp + scores_bytes) / tp


# Operators and messages ---------------------------------------------------------------------------


def _gemm_s(device: Device, m: float, n: float, k: float, kind: str = "linear") -> float:
    reached = device.gemm_frac
    curve, peak, width = device.gemm, device.flop_per_s, device.operand_bytes
    if kind == "half":
        curve, peak, width = device.half_gemm, device.half_flop_per_s, 2.0
    elif kind == "grouped" and device.grouped_gemm is not None:
        curve, reached = device.grouped_gemm, 1.0
    frac = curve.best * m / (m + curve.m_half) * n / (n + curve.n_half) * k / (k + curve.k_half)
    computing = 2.0 * m * n * k / (peak * frac * reached)
    moving = _move_s(device, width * (m * k + k * n) + 2.0 * m * n)
    return max(moving, computing)


def _backward_s(device: Device, m: float, n: float, k: float, kind: str = "linear") -> float:
    return _gemm_s(device, m, k, n, kind) + _gemm_s(device, n, k, m, kind)


def _move_s(device: Device, n_bytes: float) -> float:
    return n_bytes / (HBM_FRAC * device.memory_bytes_per_s)


def _nic(fabric: Fabric) -> float:
    return fabric.out_bytes_per_s * fabric.out_frac / fabric.oversubscription


def _collective_s(
    fabric: Fabric, operation: Operation, n_bytes: float, n: float, stride: float = 1.0
) -> float:
    if n <= 1.0:
        return 0.0
    inside = min(n, max(1.0, fabric.domain // stride))  # ranks of the group in one domain
    link = fabric.links[operation]
    up = math.inf
    if inside > 1.0:
        up = min(fabric.up_bytes_per_s, (inside - 1.0) * fabric.pair_bytes_per_s) * link.frac
    latency = link.call_s + link.rank_s * (inside - 1.0)
    if inside < n:
        latency += fabric.out_step_s * math.log2(n / inside)
    if operation == "all_to_all":
        return latency + n_bytes / n * max((inside - 1.0) / up, (n - inside) / _nic(fabric))
    rate = up if inside == n else min(up, inside * _nic(fabric))
    volume = (n - 1.0) / n * n_bytes
    return latency + (2.0 * volume if operation == "all_reduce" else volume) / rate


def _crosses(fabric: Fabric, n: float, stride: float) -> bool:
    return min(n, max(1.0, fabric.domain // stride)) < n


def _send_s(fabric: Fabric, n_bytes: float, *, outside: bool) -> float:
    if outside:
        return fabric.out_step_s + n_bytes / _nic(fabric)
    link = fabric.links["all_gather"]
    return link.call_s + n_bytes / (link.frac * fabric.pair_bytes_per_s)


# A layer ------------------------------------------------------------------------------------------


def _layer_s(
    training: Training,
    device: Device,
    split: Split,
    software: Software,
    facts: Facts,
    tokens: float,
    *,
    experts: bool,
) -> tuple[float, float, float, float, float]:
    """Return forward and backward of a layer, of its attention core, and its last product."""
    shape, tp, moe = training.shape, split.tp, training.shape.moe
    gate = 2.0 if shape.gated_mlp else 1.0
    h = float(shape.hidden)
    forward = backward = last = 0.0
    for n, k in _attention(shape, tp):
        forward += _gemm_s(device, tokens, n, k)
        backward += _backward_s(device, tokens, n, k)

    mixture, kind = software.mixture, "linear"
    mlps = [(1.0, tokens, shape.ffn / tp, kind)]  # how often, rows, width
    if experts:
        local = moe.experts / split.ep
        rows = tokens / tp * split.etp * moe.top_k / local * mixture.imbalance
        mlps = [(1.0, tokens, moe.shared_experts * moe.expert_ffn / tp, kind)]
        mlps.append((local, rows, moe.expert_ffn / split.etp, "grouped"))
    for times, rows, width, kind in mlps:
        if times > 0.0 and width > 0.0:
            down = _gemm_s(device, rows, h, width, kind)
            forward += times * (_gemm_s(device, rows, gate * width, h, kind) + down)
            last += times * down
            backward += times * _backward_s(device, rows, gate * width, h, kind)
            backward += times * _backward_s(device, rows, h, width, kind)

    peak = device.half_flop_per_s * device.attention_frac
    products = facts.core_flop * tokens / tp / peak
    if software.flash:
        core, core_back = products, 2.5 * products
    else:  # the whole mask, and the scores through memory
        scores = shape.heads / tp * training.seq * tokens
        core = 2.0 * products + _move_s(device, SCORE_BYTES_FORWARD * scores)
        core_back = 4.0 * products + _move_s(device, SCORE_BYTES_BACKWARD * scores)
    saved = _saved_bytes(
        shape, split, 0.0, operand_bytes=2.0, dropout=False, experts=experts, routed=False
    )
    moving = _move_s(device, ELEMENTWISE * saved * tokens)
    forward += moving
    backward += 2.0 * moving
    if experts:
        core, core_back = core / mixture.attention_gain, core_back / mixture.attention_gain
        around = _around_experts(training, device, split, software)
        slow = device.traffic * mixture.imbalance
        forward += slow * _move_s(device, around[0] * tokens / tp)
        backward += slow * _move_s(device, around[1] * tokens / tp)
    else:
        forward += KERNELS_FORWARD * device.launch_s
        backward += KERNELS_BACKWARD * device.launch_s
    forward, backward = forward + core, backward + core_back
    return forward, backward, core, core_back, last


def _logits_s(training: Training, device: Device, tp: float, tokens: float) -> float:
    n, k = training.shape.vocab / tp, float(training.shape.hidden)
    products = _gemm_s(device, tokens, n, k, "half")
    products += _backward_s(device, tokens, n, k, "half")
    return products + _move_s(device, LOGIT_BYTES_MOVED * n * tokens)


def _around_experts(
    training: Training, device: Device, split: Split, software: Software
) -> tuple[float, float]:
    """Return the bytes that a token moves around its experts, forward and backward."""
    shape, mixture, moe = training.shape, software.mixture, training.shape.moe
    copies, inner = moe.top_k * shape.hidden, moe.top_k * moe.expert_ffn
    quantized = device.operand_bytes < 2.0
    sorts = 0.5 + 0.5 * split.etp
    router = expert_estimates.ROUTER_BYTES * shape.hidden
    if mixture.fused:
        both = sorts * expert_estimates.FUSED_PERMUTE * copies + router
        both += expert_estimates.FUSED_ACTIVATION * inner
        if quantized:
            both += expert_estimates.FUSED_QUANTIZE * copies
        return both, both
    once = mixture.sends_once
    each = expert_estimates.PERMUTE_ONCE_BYTES if once else expert_estimates.PERMUTE_BYTES
    both = sorts * each * copies + router
    kernels = expert_estimates.UNFUSED_BIASES if shape.biases == "all" else 1.0
    forward = both + kernels * expert_estimates.ACTIVATION_FORWARD * inner
    backward = both + kernels * expert_estimates.ACTIVATION_BACKWARD * inner
    if quantized:
        forward += expert_estimates.QUANTIZE_BYTES * (split.etp * copies + inner)
        backward += expert_estimates.QUANTIZE_BYTES * (split.etp * copies + 2.0 * inner)
    return forward, backward


def _dispatch_s(
    training: Training,
    fabric: Fabric,
    split: Split,
    software: Software,
    tokens: float,
) -> float:
    """Return the time to send a layer's tokens to their experts, or back."""
    moe, ep, etp, mixture = training.shape.moe, split.ep, split.etp, software.mixture
    sent = tokens / split.tp * training.shape.hidden * software.expert_bytes
    waiting = _collective_s(fabric, "all_gather", sent * moe.top_k * etp, etp)
    if mixture.gathers:
        return waiting + _collective_s(fabric, "all_gather", sent * ep, ep, etp)
    if ep <= 1.0:
        return waiting
    inside = min(ep, max(1.0, fabric.domain // etp))
    servers = ep / inside
    k = float(moe.top_k)
    if mixture.sends_once:
        ranks_met = ep - ep * (1.0 - 1.0 / ep) ** k
        servers_met = servers - servers * (1.0 - 1.0 / servers) ** k
        if moe.groups_per_token:
            servers_met = min(servers_met, moe.groups_per_token)
        near, far = ranks_met * (1.0 - 1.0 / inside), servers_met * (1.0 - 1.0 / servers)
    else:
        near, far = k * (inside - 1.0) / ep, k * (1.0 - inside / ep)
    link = fabric.links["all_to_all"]
    up = min(fabric.up_bytes_per_s, max(inside - 1.0, 1.0) * fabric.pair_bytes_per_s)
    longest = link.call_s + link.rank_s * (inside - 1.0) + sent * near / (up * mixture.link_frac)
    if servers > 1.0:
        longest = max(longest, fabric.out_step_s + sent * far / _nic(fabric))
    return waiting + longest


def _sharded_s(
    shape: Shape,
    fabric: Fabric,
    split: Split,
    software: Software,
    facts: Facts,
    forward: float,
    backward: float,
    rounds: float,
    *,
    experts: bool,
) -> tuple[float, float, float, float]:
    """Return what gathering a layer's weights twice and scattering its gradients adds.

    In all, in the backward pass; and for how long this pass has the links of a domain, the network.
    """
    tp, ep, shard = split.tp, split.ep, split.shard
    held = [(_dense_of_rank(shape, facts, tp, experts=experts), shard, tp)]
    if experts:
        whole = ep * split.etp
        held.append((facts.experts / whole, max(shard * tp / whole, 1.0), whole))
    ahead = behind = 0.0
    busy = [0.0, 0.0]
    for mine, n, stride in held:
        gather = _collective_s(fabric, "all_gather", 2.0 * mine, n, stride)
        both = gather + _collective_s(
            fabric, "reduce_scatter", software.grad_bytes * mine, n, stride
        )
        if split.pp > 1.0:  # gathered once for all micro-batches
            both -= gather
        ahead, behind = ahead + gather, behind + both
        busy[_crosses(fabric, n, stride)] += both
    late_f = ahead - software.fsdp_overlap * min(ahead, forward)
    late_b = behind - software.fsdp_overlap * min(behind, backward)
    return (late_f + late_b) / rounds, late_b, *busy


def _sharded_ends_s(
    shape: Shape, fabric: Fabric, split: Split, software: Software, facts: Facts, logits: float
) -> float:
    """Return what gathering and scattering the embeddings adds to a micro-batch, mean of stages."""
    embeddings = 1.0 if split.pp == 1.0 and shape.tied_embeddings else 2.0
    mine = embeddings * facts.embedding / split.tp
    group = split.shard, split.tp
    gather = _collective_s(fabric, "all_gather", 2.0 * mine, *group)
    scatter = _collective_s(fabric, "reduce_scatter", software.grad_bytes * mine, *group)
    hidden = min(gather, logits / 3.0) + min(scatter, 2.0 * logits / 3.0)
    return (gather + scatter - software.fsdp_overlap * hidden) / split.pp


# A step -------------------------------------------------------------------------------------------


class _Kind(NamedTuple):
    """One micro-batch through a layer: computing, messages that nothing hides, free computing."""

    compute: float = 0.0
    tp: float = 0.0
    cp: float = 0.0
    ep: float = 0.0
    dp: float = 0.0
    free_f: float = 0.0
    free_b: float = 0.0
    wait_b: float = 0.0
    up_b: float = 0.0
    out_b: float = 0.0


def _kind(
    training: Training,
    device: Device,
    fabric: Fabric,
    split: Split,
    software: Software,
    facts: Facts,
    *,
    experts: bool,
) -> _Kind:
    shape, tp, cp = training.shape, split.tp, split.cp
    tokens = training.seq * split.micro_batch / cp
    layer = _layer_s(training, device, split, software, facts, tokens, experts=experts)
    forward, backward, core, core_back, last = layer
    rounds = 2.0  # how often a layer's messages are sent: forward, backward, perhaps again
    if split.recompute == SELECTIVE:
        backward += core
    elif split.recompute == FULL:
        backward += forward - (last if software.stops_early else 0.0)
        rounds = 2.5 if software.stops_early else 3.0
    all_reduce = _collective_s(fabric, "all_reduce", 2.0 * tokens * shape.hidden, tp)
    tp_round = 2.0 * all_reduce * software.tp_exposed
    cp_f = cp_b = ep_s = dp_s = 0.0
    behind = (0.0, 0.0, 0.0)
    free_f, free_b = forward, backward  # computing while no keys and values are under way
    if cp > 1.0:
        hop_bytes = 2.0 * _kv_width(shape, tp) * tokens
        hop = _send_s(fabric, hop_bytes, outside=cp * tp > fabric.domain)
        ring = (cp - 1.0) * hop
        behind_f, behind_b = min(ring, core), min(2.0 * ring, core_back)
        cp_f = ring - software.cp_overlap * behind_f
        cp_b = 2.0 * ring - software.cp_overlap * behind_b
        free_f, free_b = forward - behind_f, backward - behind_b
        if split.recompute:  # keys and values go round once more
            cp_b, free_b = cp_b + cp_f, free_b - behind_f
    computing = forward + backward
    if experts:
        computing /= software.schedule.chip_frac
        one_way = _dispatch_s(training, fabric, split, software, tokens)
        ep_s = 2.0 * rounds * software.schedule.experts * software.mixture.imbalance * one_way
        if split.pp == 1.0 or split.pieces > 1.0:
            free = (free_f + free_b) / software.schedule.chip_frac
            hidden = software.mixture.overlap * min(ep_s, free)
            ep_s -= hidden
            free_f, free_b = free_f * (1.0 - hidden / free), free_b * (1.0 - hidden / free)
    if split.zero == 3:
        n_micro = training.batch / (split.dp * split.micro_batch) if split.pp > 1.0 else 1.0
        within = free_f + tp_round, free_b + tp_round, n_micro
        dp_s, *behind = _sharded_s(shape, fabric, split, software, facts, *within, experts=experts)
    parts = computing, tp_round * rounds, cp_f + cp_b, ep_s, dp_s, free_f, free_b
    kind = _Kind(*parts, *behind)
    if not experts:
        return kind
    mixture = software.mixture
    ops = mixture.ops + mixture.expert_ops * shape.moe.experts / split.ep
    if mixture.overlap and (split.pp == 1.0 or split.pieces > 1.0):
        ops *= expert_estimates.OVERLAPPED_OPS
    ops *= 4.0 / 3.0 if split.recompute == FULL else 1.0
    chip_s, host_s = sum(kind[:5]), ops * device.op_s
    return kind._replace(compute=kind.compute + math.hypot(chip_s, host_s) - chip_s)


def step_parts(
    training: Training,
    device: Device,
    fabric: Fabric,
    split: Split,
    software: Software,
    facts: Facts,
) -> dict[str, float]:
    """Return the seconds of a step by what they are spent on, by the fields of ``StepTime``."""
    shape = training.shape
    tp, pp, dp, cp, _, micro_batch, pieces, *_ = split
    tokens = training.seq * micro_batch / cp
    n_micro = training.batch / (dp * micro_batch)
    n_of = (facts.plain, shape.layers - facts.plain)  # layers without and with experts
    kinds = [
        _kind(training, device, fabric, split, software, facts, experts=bool(i))
        if n_of[i]
        else _Kind()
        for i in (0, 1)
    ]
    total = _Kind(*(n_of[0] * a + n_of[1] * b for a, b in zip(*kinds, strict=True)))

    logits = _logits_s(training, device, tp, tokens)
    whole = [sum(kind[:5]) for kind in kinds]
    dealt = _stages(shape, facts, pp, pieces)
    stages = [plain * whole[0] + others * whole[1] for plain, others in dealt]
    wide = 2.0 * shape.hidden
    join = _gemm_s(device, tokens, shape.hidden, wide)
    join += _backward_s(device, tokens, shape.hidden, wide)
    head = logits + training.mtp * (logits + whole[1 if n_of[1] else 0] + join)
    stages[-1] += head
    slowest, everything = max(stages), sum(stages)
    waits = (everything - slowest) * software.schedule.bubble / pieces
    bubble = n_micro * slowest + waits - n_micro * everything / pp
    ranks = tp * pp * dp * cp
    pp_s = 0.0
    if pp > 1.0:
        share = software.pp_exposed_interleaved if pieces > 1.0 else software.pp_exposed
        message = _send_s(fabric, 2.0 * tokens * shape.hidden / tp, outside=ranks > fabric.domain)
        pp_s = 2.0 * pieces * share * message * (n_micro + (pp - 1.0) / pieces)

    mean = _Kind(*(seconds / shape.layers for seconds in total))
    end_s, update_s = _end_s(training, device, fabric, split, software, facts, mean)
    if split.zero == 3.0:
        end_s += (n_micro if pp == 1.0 else 1.0) * _sharded_ends_s(
            shape, fabric, split, software, facts, logits
        )
    lost = 1.0 + (JITTER_PER_DECADE * math.log10(ranks / 8.0) if ranks > 8.0 else 0.0)
    each = n_micro / pp
    return {
        "compute_s": each * (total.compute + head) * lost,
        "tp_s": each * total.tp * lost,
        "cp_s": each * total.cp * lost,
        "ep_s": each * total.ep * lost,
        "bubble_s": bubble * lost,
        "pp_s": pp_s * lost,
        "dp_s": (each * total.dp + end_s) * lost,
        "host_s": 0.0,
        "optimizer_s": update_s * lost,
    }


def _end_s(
    training: Training,
    device: Device,
    fabric: Fabric,
    split: Split,
    software: Software,
    facts: Facts,
    mean: _Kind,
) -> tuple[float, float]:
    """Return what sums of gradients and new weights add to a step, and the update."""
    shape = training.shape
    tp, pp, dp, cp, ep, micro_batch, pieces, _, _, zero, _, _, shard, etp = split
    ep *= etp
    per_stage = shape.layers / pp
    group = dp * cp
    embeddings = 2.0 if pp == 1.0 and not shape.tied_embeddings else 1.0
    n_plain, n_experts = facts.plain, shape.layers - facts.plain
    if shape.moe is None:
        n_plain += training.mtp
    else:
        n_experts += training.mtp
    dense = n_plain / pp * _dense_of_rank(shape, facts, tp, experts=False)
    dense += n_experts / pp * _dense_of_rank(shape, facts, tp, experts=True)
    dense += embeddings * facts.embedding / tp
    held = [(dense, group, shard, tp)]  # weights, ranks that hold the same, shards, stride
    if facts.experts:
        few, shards = max(group * tp / ep, 1.0), max(shard * tp / ep, 1.0)
        held.append((n_experts / pp * facts.experts / ep, few, shards, ep))
    all_reduces = zero < 1 or zero == 3  # gradients; else new weights come back
    grad, back = software.grad_bytes, software.grad_bytes if all_reduces else 2.0
    scatter = gather = updated = 0.0
    for weights, ranks, shards, stride in held:
        mine, n, apart = weights, ranks, stride
        if zero == 3:  # what is left to sum: over the groups that share out the weights
            mine, n, apart = weights / shards, ranks / shards, stride * shards
        scatter += _collective_s(fabric, "reduce_scatter", grad * mine, n, apart)
        gather += _collective_s(fabric, "all_gather", back * mine, n, apart)
        updated += mine if all_reduces else weights / ranks
    update_s = _move_s(device, OPTIMIZER_BYTES * updated)
    n_micro = training.batch / (dp * micro_batch)
    window = per_stage * (min(n_micro, pp) * (pieces - 1.0) + 1.0) / pieces  # layers
    busy = mean.out_b if _crosses(fabric, group / shard, tp * shard) else mean.up_b
    hidden = software.grad_overlap * (mean.free_b + mean.wait_b)
    behind = window * max(hidden - busy, 0.0)
    if all_reduces:
        return max(scatter + gather - behind, 0.0), update_s
    ahead = software.weight_overlap * window * mean.free_f
    return max(scatter - behind, 0.0) + max(gather - ahead, 0.0), update_s


# Memory -------------------------------------------------------------------------------------------


def memory_parts(
    training: Training, split: Split, software: Software, facts: Facts
) -> dict[str, float]:
    """Return the bytes of the fullest stage, by the fields of ``RankMemory``."""
    held = _stages(training.shape, facts, split.pp, split.pieces)
    held[-1] = tuple(
        n + training.mtp * (i == (training.shape.moe is not None)) for i, n in enumerate(held[-1])
    )
    stages = [
        _stage_bytes(training, split, software, facts, float(stage), layers)
        for stage, layers in enumerate(held)
    ]
    return max(stages, key=lambda parts: sum(parts.values()))


def _stage_bytes(
    training: Training,
    split: Split,
    software: Software,
    facts: Facts,
    stage: float,
    layers: tuple[int, int],
) -> dict[str, float]:
    shape = training.shape
    tp, pp, dp, cp, ep, micro_batch, pieces, recompute, seq_parallel, zero, _, _, shard, etp = split
    ep *= etp
    embeddings = float(stage == 0.0) + float(stage == pp - 1.0)
    if pp == 1.0 and shape.tied_embeddings:
        embeddings = 1.0
    plain, others = (_dense_of_rank(shape, facts, tp, experts=e) for e in (False, True))
    dense = layers[0] * plain + layers[1] * others
    dense += embeddings * facts.embedding / tp + facts.vectors / pp
    experts = layers[1] * facts.experts / ep
    group = dp * cp
    sharing = shard if zero >= 3 else group
    shares = [(dense, sharing), (experts, max(sharing * tp / ep, 1.0))]
    weights = sum(2.0 * n / (ranks if zero >= 3 else 1.0) for n, ranks in shares)
    weights *= software.schedule.weights
    if zero >= 3 and (
        group > 1.0 or (layers[1] and shares[1][1] > 1.0)
    ):  # two layers gathered at a time
        if pp > 1.0:
            weights += 2.0 * (dense + experts)
        else:
            weights += 2.0 * 2.0 * (others + facts.experts / ep if layers[1] else plain)
            weights += 2.0 * facts.embedding / tp
    grad = software.grad_bytes
    cut = zero == 2.0 or (zero == 3.0 and pp == 1.0)
    gradients = sum(grad * n / (ranks if cut else 1.0) for n, ranks in shares)
    optimizer = sum(12.0 * n / (ranks if zero >= 1 else 1.0) for n, ranks in shares)

    tokens = training.seq * micro_batch / cp
    after = pp - 1.0 - stage
    warm_up = after + 1.0
    if pieces > 1.0:
        warm_up = (2.0 * after + (pieces - 1.0) * pp + 1.0) / pieces
    kept = min(training.batch / (dp * micro_batch), warm_up) * software.schedule.activations
    score_bytes = (5.0 if software.dropout else 2.0) * shape.heads * training.seq

    def saved(of_scores: float, *, experts: bool) -> float:
        return _saved_bytes(
            shape,
            split,
            of_scores,
            operand_bytes=software.operand_bytes,
            dropout=software.dropout,
            experts=experts,
        )

    of_scores = 0.0 if software.flash else score_bytes
    if recompute == FULL:
        inputs = 2.0 * shape.hidden / (tp if seq_parallel else 1.0)
        again = max(saved(of_scores, experts=bool(i)) for i in (0, 1) if layers[i])
        activations = tokens * ((kept * sum(layers) - 1.0) * inputs + again)
    else:
        kept_scores = 0.0 if recompute == SELECTIVE else of_scores
        of_stage = sum(layers[i] * saved(kept_scores, experts=bool(i)) for i in (0, 1) if layers[i])
        activations = tokens * kept * of_stage
    logits = software.logit_bytes * tokens * shape.vocab / tp if after == 0.0 else 0.0
    logits *= 1.0 + training.mtp
    rest = weights + gradients + optimizer + activations + logits
    return {
        "weights": weights,
        "gradients": gradients,
        "optimizer": optimizer,
        "activations": activations,
        "logits": logits,
        "reserve": RESERVE_BYTES + software.fragmentation * rest,
    }
