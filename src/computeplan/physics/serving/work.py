"""What a step of an instance takes: weights, products, cached tokens, messages, the host.

Weights are read once a step, whatever the number of rows; experts only if a row of the step meets
them, ``1 - (1 - k/E)**rows`` of them if routing is even. Products take their FLOP. Reading and
multiplying overlap in part: ``sqrt(read**2 + multiply**2)``. The attention core reads every cached
token of every sequence, or multiplies with it, whichever is longer: with latent attention, 128
heads share what is read, so that it may be the latter. Decoding keeps keys and values in their
latent form; a prompt expands them. Tensor parallel ranks add up twice a layer, experts are met by
two messages; both are latency where rows are few.

A pipeline of `pp` stages works on as many parts of the batch at once. A token of a sequence passes
through all stages, so it takes what one stage with all layers would take for ``batch / pp`` rows.

Sources
-------
.. [1] DeepSeek-AI, arXiv 2405.04434, section 2.1 and appendix C: latent attention, and the same
       with up-projections absorbed in those of queries and outputs.
.. [2] deepseek-ai/open-infra-index, day 6: messages to experts in FP8, back in BF16.
.. [3] R. Pope et al., arXiv 2211.05102: weights, cache and messages of a step of inference.
.. [4] DeepSeek-AI, arXiv 2412.19437, section 3.2.2: a token is sent to a server once, and on to its
       experts inside; and [2]_: two halves of a batch take turns, one sends while one computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.serving.instance import Instance, Speed
from computeplan.physics.steptime.collectives import collective_s, point_to_point_s
from computeplan.physics.steptime.layer import (
    blocks_of,
    dense_of_rank,
    n_with_experts,
    weights_of,
)
from computeplan.physics.steptime.operators import HBM_FRAC
from computeplan.physics.steptime.transformer import Shape, expert_width, kinds_of, value_width

__all__ = [
    "Reads",
    "Work",
    "cache_reads",
    "decode_work",
    "dense_of_layers",
    "prefill_work",
    "reads_of",
    "state_numbers",
    "step_s",
]

LEAST_CORE = 0.4
"""Share of the half-precision peak that the attention core reaches at least where products of few
rows reach less: its rows are cached tokens. Of flash kernels for decoding and prompts; an
estimate."""
SORT_BYTES, ACTIVATE_BYTES = 20.0, 12.0
"""Bytes moved for one number of one copy of a token on its way to its expert and back, and for one
of the expert's inner width: 10 and 6 are counted (``steptime.experts``), and such kernels take
twice as long as a stream. Between one and three times the fit to published rows hardly changes."""
STATE_BYTES = 4.0
"""Of a number of the state that takes the place of keys and values; kept in single precision."""


class Reads(NamedTuple):
    """What a token reads of a cached one, in some layers."""

    layers: float
    window: float
    """Cached tokens that it sees at most; infinite if all."""
    numbers: float
    """Cached for a token, of one head or group of heads."""
    kv_heads: float
    """Heads or groups that ranks of tensor parallelism share out; 0 if every rank holds all."""
    decode_flop: float
    prefill_flop: float
    """Of a pair of tokens, all heads: with keys as they are cached, and expanded. [FLOP]"""


@dataclass(frozen=True, slots=True)
class Work:
    """What a step takes on the slowest rank if all kernels ran at what the data sheet says. [s]"""

    weights_s: Any
    products_s: Any
    """Of all but routed experts: reading at the rate of streaming kernels, multiplying at peak."""
    experts_read_s: Any
    experts_s: Any
    """The same of routed experts."""
    around_s: Any
    """To sort tokens by expert and back, and what activation functions move."""
    cache_s: Any
    core_s: Any
    """Reading the cache, and the attention core at the half-precision peak."""
    messages_s: Any
    """Between ranks, but for their latency."""
    n_messages: Any
    """Calls that take a latency each."""
    hidden: Any
    """Share of the messages that one half of the batch sends while the other computes."""
    n_layers: float
    rows: Any
    """Layers, and sequences of one host that get a token."""


def reads_of(shape: Shape) -> tuple[Reads, ...]:
    """Return what tokens read of cached ones, by kinds of layers and windows.

    Examples
    --------
    >>> shape = Shape(layers=6, hidden=8, ffn=32, heads=2, kv_heads=1, head_dim=4, vocab=10,
    ...               sliding_window=16, full_attention_every=3)
    >>> [(read.layers, read.window, read.numbers) for read in reads_of(shape)]
    [(4.0, 16.0, 8.0), (2.0, inf, 8.0)]
    """
    return tuple(read for kind in kinds_of(shape) for read in _reads_of_kind(kind))


def _reads_of_kind(shape: Shape) -> list[Reads]:
    if not shape.heads or shape.linear is not None:
        return []
    width = float(shape.head_dim + value_width(shape))
    numbers, heads = float(shape.head_dim if shape.shared_kv else width), float(shape.kv_heads)
    absorbed = width
    if shape.mla is not None:
        mla = shape.mla
        numbers, heads = float(mla.kv_lora_rank + mla.qk_rope_head_dim), 0.0
        absorbed = 2.0 * mla.kv_lora_rank + mla.qk_rope_head_dim
        width = float(mla.qk_nope_head_dim + mla.qk_rope_head_dim + mla.v_head_dim)
    of_pair = 2.0 * shape.heads * absorbed, 2.0 * shape.heads * width
    window = float(shape.sliding_window or shape.attention_chunk or np.inf)
    found = []
    index = shape.indexer
    if shape.compressed is not None:  # one head of keys that are values; every `ratio` one more
        numbers, heads = float(shape.head_dim), 0.0
        every = shape.compressed.ratio
        if every:
            seen = np.inf if index is None else float(index.top_k * every)
            flop = of_pair[0] / every, of_pair[1] / every
            found.append(Reads(shape.layers, seen, numbers / every, 0.0, *flop))
    elif index is not None:
        window = min(window, float(index.top_k))
    if index is not None and index.heads:
        every = shape.compressed.ratio if shape.compressed is not None else 1
        flop_index = 2.0 * index.heads * index.head_dim / every
        half = index.head_dim / 2.0 / every  # keys of the index are kept in half as many bytes
        found.append(Reads(shape.layers, np.inf, half, 0.0, flop_index, flop_index))
    n_full = 0
    if np.isfinite(window) and shape.full_attention_every:
        n_full = shape.layers // shape.full_attention_every
    found.append(Reads(float(shape.layers - n_full), window, numbers, heads, *of_pair))
    if n_full:
        found.append(Reads(float(n_full), np.inf, numbers, heads, *of_pair))
    return found


def state_numbers(shape: Shape) -> float:
    """Return the numbers that layers without keys keep of a sequence, however long it is."""
    return sum(
        kind.layers * float(kind.linear.heads * kind.linear.key_dim * kind.linear.value_dim)
        for kind in kinds_of(shape)
        if kind.linear is not None
    )


def cache_reads(instance: Instance, read: Reads) -> Any:
    """Return what one cached token takes of a rank's memory, in the layers of a read. [B/token]"""
    tp = instance.split.tp
    heads = np.ones_like(tp) if not read.kv_heads else np.maximum(read.kv_heads / tp, 1.0)
    return read.layers * read.numbers * heads * instance.formats.cache


def decode_work(instance: Instance, batch: Any, context: Any) -> Work:
    """Return the work of a step in which sequences decode.

    Parameters
    ----------
    instance : Instance
    batch : array_like
        Sequences of the instance that decode.
    context : array_like
        Cached tokens of each, mean. [token]
    """
    checked = instance.speculation.draft + 1.0
    work = _row_work(instance, np.asarray(batch) * checked, logits=True)
    rate = instance.rank.memory_bytes_per_s * HBM_FRAC
    split = instance.split
    own = np.asarray(batch) / (split.dp * split.pp)
    cache: Any = own * state_numbers(instance.shape) / split.tp * 2.0 * STATE_BYTES / rate
    core: Any = own * 0.0
    for read in reads_of(instance.shape):
        seen = np.minimum(context, read.window)
        cache = cache + own * seen * cache_reads(instance, read) / rate
        core = core + own * checked * seen * read.layers * read.decode_flop / split.tp / (
            instance.rank.half_flop_per_s
        )
    hosts = np.clip(split.dp * split.tp / instance.engine.host_ranks, 1.0, split.dp)
    return Work(
        *work, cache, core, *_messages(instance, np.asarray(batch) * checked), batch / hosts
    )


def prefill_work(instance: Instance, tokens: Any, context: Any) -> Work:
    """Return the work that prompt tokens are.

    Parameters
    ----------
    instance : Instance
    tokens : array_like
        Prompt tokens of the instance in one step.
    context : array_like
        Tokens that each attends to, mean: half of a prompt that comes in whole. [token]
    """
    split = instance.split
    work = _row_work(instance, np.asarray(tokens), logits=False)
    own = np.asarray(tokens) / (split.dp * split.pp)
    core: Any = own * 0.0
    for read in reads_of(instance.shape):
        seen = np.minimum(context, read.window)
        core = core + own * seen * read.layers * read.prefill_flop / split.tp
    core = core / instance.rank.half_flop_per_s
    return Work(*work, own * 0.0, core, *_messages(instance, np.asarray(tokens)), 0.0)


def step_s(speed: Speed, work: Work, *, alone: bool = True) -> FloatArray:
    """Return the time of a step.

    Parameters
    ----------
    speed : Speed
    work : Work
    alone : bool
        Whether it is a step of its own rather than a part of one: the host starts it.

    Returns
    -------
    ndarray, broadcast shape
        [s]
    """
    e, c = speed.memory_frac, speed.peak_frac
    linear = np.hypot(work.weights_s / e, work.products_s / c)
    linear = linear + np.hypot(work.experts_read_s / e, work.experts_s / c)
    linear = linear + work.around_s / e
    core = np.maximum(work.cache_s / e, work.core_s / np.maximum(c, LEAST_CORE))
    host = work.n_layers * speed.layer_s + work.rows * speed.sequence_s
    sent = work.messages_s + work.n_messages * speed.call_s
    found: FloatArray = linear + core + sent + host
    found = found - work.hidden * np.minimum(sent, linear + core)
    return found + speed.start_s if alone else found


def dense_of_layers(shape: Shape, tp: Any) -> Any:
    """Return the weights of all layers on a rank, but for routed experts."""
    n_experts = n_with_experts(shape)
    n_dense = shape.layers - n_experts
    dense: Any = 0.0
    if n_dense:
        dense = dense + n_dense * dense_of_rank(shape, tp, experts=False)
    if n_experts:
        dense = dense + n_experts * dense_of_rank(shape, tp, experts=True)
    return dense


def _row_work(instance: Instance, rows: Any, *, logits: bool) -> tuple[Any, Any, Any, Any, Any]:
    """Return reading and multiplying, of routed experts apart, for rows of an instance. [s]"""
    shape, split, rank, formats = instance.shape, instance.split, instance.rank, instance.formats
    rate = rank.memory_bytes_per_s * HBM_FRAC
    own = rows / (split.dp * split.pp)
    n_experts, dense = n_with_experts(shape), dense_of_layers(shape, split.tp)
    read = dense * formats.dense / rate
    products = 2.0 * dense * own / rank.dense_flop_per_s
    weights = weights_of(shape)
    if logits:
        read = read + weights.embedding / split.tp * formats.outside / rate
        products = products + 2.0 * weights.embedding / split.tp * own / rank.half_flop_per_s
    if shape.moe is None:
        return read, products, 0.0 * own, 0.0 * own, 0.0 * own
    routed = n_experts * weights.routed / (split.tp * split.dp)
    met = shape.moe.top_k / shape.moe.experts
    in_flight = rows / split.pp
    hit = 1.0 - (1.0 - met) ** in_flight
    experts_read = routed * hit * formats.experts / rate
    experts = 2.0 * routed * met * in_flight / rank.expert_flop_per_s
    copies = n_experts * in_flight * shape.moe.top_k / split.ep
    cut = split.tp * split.dp / split.ep
    each = SORT_BYTES * expert_width(shape) + ACTIVATE_BYTES * shape.moe.expert_ffn / cut
    return read, products, experts_read, experts, copies * each / rate


def _messages(instance: Instance, rows: Any) -> tuple[Any, Any, Any, float]:
    """Return messages but for their latency, how many wait for one, and layers. [s]"""
    shape, split, fabric = instance.shape, instance.split, instance.fabric
    formats = instance.formats
    own = rows / (split.dp * split.pp)
    n_experts = n_with_experts(shape)
    together = split.tp * split.dp
    n_dense = shape.layers - n_experts
    # Experts that are spread over more ranks than tensor parallelism has are met by messages.
    spread = (n_experts > 0) & (split.dp > 1)
    adds: Any = n_dense * blocks_of(shape, experts=False) if n_dense else 0.0
    adds = adds + (n_experts * np.where(spread, 1.0, 2.0) if n_experts else 0.0)
    payload = own * shape.hidden * formats.activation
    moving = collective_s(fabric, "all_reduce", payload, split.tp)
    waiting = collective_s(fabric, "all_reduce", 0.0, split.tp)
    seconds = adds * (moving - waiting)
    calls = adds * np.where(split.tp > 1, 1.0, 0.0)
    seconds = seconds + calls * np.maximum(waiting - _inside_s(instance, "all_reduce"), 0.0)
    if shape.moe is not None:
        k = shape.moe.top_k
        met = together * (1.0 - (1.0 - 1.0 / together) ** k)
        met = met * _once_a_server(instance, k)
        sent = own / split.tp * expert_width(shape) * met * (formats.sent + formats.activation)
        moving = collective_s(fabric, "all_to_all", sent, together)
        waiting = collective_s(fabric, "all_to_all", 0.0, together)
        a2a = moving - waiting + 2.0 * np.maximum(waiting - _inside_s(instance, "all_to_all"), 0.0)
        seconds = seconds + np.where(spread, n_experts * a2a, 0.0)
        calls = calls + np.where(spread, 2.0 * n_experts, 0.0)
    far = split.tp * split.dp * split.pp > fabric.domain
    hop = point_to_point_s(fabric, payload, crosses=far)
    hidden = np.where(spread, float(instance.engine.two_batches), 0.0)
    return seconds + (split.pp - 1.0) * hop, calls, hidden, float(shape.layers)


def _once_a_server(instance: Instance, k: float) -> Any:
    """Return the share of what leaves a server if a token goes to each server once [4]_."""
    domain, ranks = float(instance.fabric.domain), instance.split.tp * instance.split.dp
    servers = np.maximum(ranks / domain, 1.0)
    to_ranks = ranks * (1.0 - (1.0 - 1.0 / ranks) ** k) * (1.0 - 1.0 / servers)
    to_servers = servers * (1.0 - (1.0 - 1.0 / servers) ** k) * (1.0 - 1.0 / servers)
    apart = (servers > 1.0) & instance.engine.once_a_server
    return np.where(apart, to_servers / np.where(to_ranks > 0.0, to_ranks, 1.0), 1.0)


def _inside_s(instance: Instance, operation: Any) -> float:
    """Return the latency of a collective inside a server, for which the engine has its own."""
    link = instance.fabric.links[operation]
    return link.call_s + link.rank_s * (instance.fabric.domain - 1.0)
