"""Room for the cache: how many tokens an instance holds, and how many sequences.

Weights come first, then what runs (activations, graphs, libraries), then the cache. Engines differ
in what they leave: one takes a share of all memory for everything, the other a share of what
weights and running leave. They differ in whom they let in: a request whose every token to come has
room, or one whose prompt has, which then grows and is stopped if the rest runs out. In the steady
state the second holds sequences at half of their answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.serving.instance import Instance
from computeplan.physics.serving.work import (
    STATE_BYTES,
    cache_reads,
    dense_of_layers,
    reads_of,
    state_numbers,
)
from computeplan.physics.steptime.layer import n_with_experts, weights_of
from computeplan.physics.steptime.memory import GIB

__all__ = [
    "LEAST_ROOM_BYTES",
    "cache_tokens",
    "largest_batch",
    "most_tokens",
    "need_of",
    "room_bytes",
    "sequence_bytes",
    "weight_bytes",
    "why_too_small",
]

LEAST_ROOM_BYTES = 2e9
"""Room for the cache on a rank below which an engine does not start. An estimate. [B]"""


def weight_bytes(instance: Instance) -> FloatArray:
    """Return what the weights take of one rank. [B]"""
    shape, split, formats = instance.shape, instance.split, instance.formats
    dense = dense_of_layers(shape, split.tp)
    weights = weights_of(shape)
    routed = n_with_experts(shape) * weights.routed / (split.tp * split.dp)
    outside = weights.embedding * (1.0 if shape.tied_embeddings else 2.0) / split.tp
    # Embedding and output matrix lie on the first and the last stage: the larger part of one.
    held = (dense * formats.dense + routed * formats.experts) / split.pp
    found: FloatArray = held + outside * formats.outside / np.minimum(split.pp, 2.0)
    return found


def room_bytes(instance: Instance) -> FloatArray:
    """Return what the cache may take of one rank, below 0 where not even weights have room. [B]"""
    engine, capacity = instance.engine, instance.rank.memory_bytes
    taken = weight_bytes(instance) + engine.running_bytes
    if engine.of_free:
        free = capacity - taken
        found: FloatArray = np.where(free > 0, engine.memory_frac * free, free)
        return found
    return np.asarray(engine.memory_frac * capacity - taken)


def sequence_bytes(instance: Instance, tokens: Any) -> FloatArray:
    """Return what a sequence of so many tokens takes of a rank: cache, and state. [B]

    Examples
    --------
    Layers with a window keep no more of a sequence than the window.
    """
    split = instance.split
    found: Any = state_numbers(instance.shape) * STATE_BYTES / (split.tp * split.pp)
    for read in reads_of(instance.shape):
        found = found + np.minimum(tokens, read.window) * cache_reads(instance, read) / split.pp
    return np.asarray(found, dtype=np.float64)


def cache_tokens(instance: Instance, length: Any) -> FloatArray:
    """Return the tokens that the cache of an instance holds, of sequences of some length.

    Parameters
    ----------
    instance : Instance
    length : array_like
        Of the sequences; of no effect where all layers see all tokens. [token]
    """
    room = np.maximum(room_bytes(instance), 0.0)
    per_token = sequence_bytes(instance, length) / length
    found: FloatArray = np.asarray(room / per_token * instance.split.dp)
    return found


def largest_batch(instance: Instance, n_in: Any, n_out: Any) -> FloatArray:
    """Return how many sequences decode at once, at most.

    Parameters
    ----------
    instance : Instance
    n_in, n_out : array_like
        Tokens of prompts and answers, mean. [token]

    Returns
    -------
    ndarray
        0 where not one has room.
    """
    held = n_in + (n_out / 2.0 if instance.engine.grows else n_out)
    whole = n_in + n_out
    room = np.maximum(room_bytes(instance), 0.0)
    fit = np.floor(room / sequence_bytes(instance, held)) * instance.split.dp
    one = room >= sequence_bytes(instance, whole)
    most = instance.engine.max_batch * instance.split.dp
    enough = room_bytes(instance) >= LEAST_ROOM_BYTES
    found: FloatArray = np.where(one & enough, np.minimum(fit, most), 0.0)
    return found


def most_tokens(instance: Instance) -> FloatArray:
    """Return the longest sequence that has room. [token]"""
    room = np.maximum(room_bytes(instance), 0.0)
    low, high = np.zeros_like(room), np.full_like(room, 2.0**40)
    for _ in range(80):  # grows with its length, so halving finds it
        middle = (low + high) / 2.0
        fits = sequence_bytes(instance, middle) <= room
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return np.floor(low)


def need_of(instance: Instance, batch: float, n_in: float, n_out: float) -> FloatArray:
    """Return the memory that a rank needs for a batch, by the engine's own rule. [B]"""
    held = n_in + (n_out / 2.0 if instance.engine.grows else n_out)
    cache = np.ceil(batch / instance.split.dp) * sequence_bytes(instance, held)
    cache = np.maximum(cache, LEAST_ROOM_BYTES)
    fixed = weight_bytes(instance) + instance.engine.running_bytes
    if instance.engine.of_free:
        return np.asarray(fixed + cache / instance.engine.memory_frac)
    return np.asarray((fixed + cache) / instance.engine.memory_frac)


def why_too_small(instance: Instance, batch: float, n_in: float, n_out: float) -> str:
    """Return why a batch has no room on an instance of one layout and what helps, or nothing.

    Parameters
    ----------
    instance : Instance
    batch : float
        Sequences that are to decode at once.
    n_in, n_out : float
        Tokens of prompts and answers. [token]
    """
    if float(largest_batch(instance, n_in, n_out)) >= batch:
        return ""
    most = instance.engine.max_batch * float(instance.split.dp)
    if batch > most:
        least = f"the engine decodes {most:g} sequences at once at most, not {batch:g}"
        return f"{least}; take more instances"
    weights, capacity = float(weight_bytes(instance)), instance.rank.memory_bytes
    need = float(need_of(instance, batch, n_in, n_out))
    of_cache = float(np.ceil(batch / instance.split.dp) * sequence_bytes(instance, n_in + n_out))
    said = (
        f"needs {need / GIB:.1f} GiB of the {capacity / GIB:.1f} GiB of a rank: weights take"
        f" {weights / GIB:.1f}, {batch:g} sequences of {n_in + n_out:g} tokens {of_cache / GIB:.1f}"
    )
    helps = ["more ranks (tp, pp; with experts dp and ep)"]
    if instance.formats.dense > 1.0 or instance.formats.experts > 1.0:
        helps.append("weights of fewer bytes (fp8, int4)")
    if instance.formats.cache > 1.0:
        helps.append("a cache in fp8")
    fit = float(largest_batch(instance, n_in, n_out))
    if fit >= 1.0:
        helps.append(f"a batch of {fit:g}")
    return f"{said}; what helps: {', '.join(helps)}"
