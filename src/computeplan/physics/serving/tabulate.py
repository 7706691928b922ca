"""Tables of step times: of an instance, or of a user's own measured steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.serving.instance import Instance
from computeplan.physics.serving.room import cache_tokens, largest_batch, why_too_small
from computeplan.physics.serving.steps import FIRST_TOKEN_S, StepTimes, checked_times
from computeplan.physics.serving.work import (
    LEAST_CORE,
    Reads,
    cache_reads,
    decode_work,
    prefill_work,
    reads_of,
    step_s,
)
from computeplan.physics.steptime.operators import HBM_FRAC

__all__ = ["step_times", "times_of_table"]

KNOTS = 24
"""Prompt tokens at which what they add is tabulated: evenly spaced logarithms up to a chunk."""


def step_times(
    instance: Instance, n_in: float, n_out: float, *, derating: float = 1.0
) -> StepTimes:
    """Return the step times of an instance of one layout.

    A step that drafts and checks tokens counts as many steps as it yields tokens.

    Parameters
    ----------
    instance : Instance
    n_in, n_out : float
        Tokens of prompts and answers, mean: they set the largest batch. [token]
    derating : float
        Share of this speed that the fleet reaches in production.

    Raises
    ------
    ValueError
        If not one request has room, with what would help; or a derating outside (0, 1].
    """
    if not 0.0 < derating <= 1.0:
        raise ValueError(f"derating must be > 0 and at most 1, got {derating:g}")
    most = int(largest_batch(instance, n_in, n_out))
    if most < 1:
        raise ValueError(why_too_small(instance, 1.0, n_in, n_out))
    speed, accepted = instance.speed, instance.speculation.accepted
    longer = (1.0 + instance.speculation.draft / instance.shape.layers) / (accepted * derating)
    batch = np.arange(most + 1.0)
    decode = step_s(speed, decode_work(instance, batch, 0.0)) * longer
    reads = reads_of(instance.shape)
    window = _window(instance, reads)
    context_s = window_s = 0.0
    for read, seconds in zip(reads, _reads_s(instance, reads, n_in + n_out / 2.0), strict=True):
        if read.window == window:
            window_s += seconds * longer
        elif read.window < window or (np.isfinite(read.window) and np.isinf(window)):
            decode = decode + batch * min(read.window, n_in) * seconds * longer
        else:
            context_s += seconds * longer
    if np.isinf(window):
        context_s, window_s = context_s + window_s, 0.0
    decode[0] = 0.0
    chunk = instance.engine.chunk * float(instance.split.dp)
    knots = np.concatenate([[0.0], np.geomspace(1.0, chunk, KNOTS)])
    prefill = step_s(speed, prefill_work(instance, knots, 0.0), alone=False)
    per_pair = _pairs_s(instance, reads)
    seen = [0.0 if np.isinf(read.window) else min(read.window, n_in / 2.0) for read in reads]
    prefill = (prefill + knots * float(np.dot(seen, per_pair))) / derating
    prefill[0] = 0.0
    pairs = sum(s for s, read in zip(per_pair, reads, strict=True) if np.isinf(read.window))
    return checked_times(
        StepTimes(
            decode_s=decode,
            context_s=context_s,
            window_s=window_s,
            window=window,
            prompt_tokens=knots,
            prefill_s=prefill,
            prompt_context_s=float(pairs) / derating,
            cache_tokens=float(cache_tokens(instance, n_in + n_out)),
            first_token_s=FIRST_TOKEN_S,
        )
    )


def _window(instance: Instance, reads: tuple[Reads, ...]) -> float:
    """Return the window in which most is read; shorter ones count as always full."""
    finite = {read.window: 0.0 for read in reads if np.isfinite(read.window)}
    for read in reads:
        if read.window in finite:
            finite[read.window] += read.window * float(cache_reads(instance, read))
    return max(finite, key=lambda window: finite[window]) if finite else np.inf


def _reads_s(instance: Instance, reads: tuple[Reads, ...], context: float) -> list[float]:
    """Return what one cached token of one sequence takes a step, read by read. [s]"""
    split, rank, speed = instance.split, instance.rank, instance.speed
    own = 1.0 / float(split.dp * split.pp)
    rate = rank.memory_bytes_per_s * HBM_FRAC * speed.memory_frac
    peak = rank.half_flop_per_s * np.maximum(speed.peak_frac, LEAST_CORE) * float(split.tp)
    rows = instance.speculation.draft + 1.0
    reading = [own * float(cache_reads(instance, read)) / rate for read in reads]
    doing = [own * rows * read.layers * read.decode_flop / peak for read in reads]
    seen = [min(context, read.window) for read in reads]
    is_read = np.dot(seen, reading) >= np.dot(seen, doing)  # the longer of the two, of all layers
    return [float(s) for s in (reading if is_read else doing)]


def _pairs_s(instance: Instance, reads: tuple[Reads, ...]) -> list[float]:
    """Return what a prompt token and one it attends to take, read by read. [s]"""
    split, speed = instance.split, instance.speed
    peak = instance.rank.half_flop_per_s * float(np.maximum(speed.peak_frac, LEAST_CORE))
    ranks = float(split.tp * split.dp * split.pp)
    return [read.layers * read.prefill_flop / (peak * ranks) for read in reads]


def times_of_table(
    batch: Any, context: Any, prompt_tokens: Any, seconds: Any, cache_tokens: float
) -> StepTimes:
    """Return the step times of measured steps.

    Steps without prompt tokens give a time for each batch and one slope over cached tokens, by
    least squares; between batches it is linear. Steps without a batch give what prompt tokens take.

    Parameters
    ----------
    batch : array_like
        Sequences that decode in each step.
    context : array_like
        Cached tokens of each of them, mean. [token]
    prompt_tokens : array_like
        Prompt tokens that the step takes in.
    seconds : array_like
        What it takes. [s]
    cache_tokens : float
        Tokens that the cache holds.

    Raises
    ------
    ValueError
        If there are no steps of one of the two kinds, steps that do both, or negative ones.

    Examples
    --------
    >>> times = times_of_table([1, 2, 0], [0, 0, 0], [0, 0, 512], [0.01, 0.012, 0.1], 1e6)
    >>> times.decode_s.tolist(), times.prefill_s.tolist()
    ([0.0, 0.01, 0.012], [0.0, 0.1])
    """
    columns = (np.asarray(c, dtype=np.float64) for c in (batch, context, prompt_tokens, seconds))
    rows, length, tokens, took = columns
    if (rows < 0).any() or (length < 0).any() or (tokens < 0).any() or not (took > 0).all():
        raise ValueError("a table of steps has no negative numbers, and seconds > 0")
    if ((rows > 0) == (tokens > 0)).any():
        raise ValueError("a step decodes a batch or takes in prompt tokens: one of the two is 0")
    decodes, prompts = rows > 0, tokens > 0
    if not decodes.any() or not prompts.any():
        lacking = "a batch" if not decodes.any() else "prompt tokens"
        raise ValueError(f"no step has {lacking}; a table needs both kinds")
    if (rows != np.floor(rows)).any():
        raise ValueError("batch must be whole numbers")
    known, place = np.unique(rows[decodes], return_inverse=True)
    read = (rows * length)[decodes]
    slope = _common_slope(read, took[decodes], place)
    means = [float(np.mean((took[decodes] - slope * read)[place == k])) for k in range(len(known))]
    decode = np.interp(np.arange(known[-1] + 1.0), known, np.maximum(means, 0.0))
    decode[0] = 0.0
    knots, of = np.unique(tokens[prompts], return_inverse=True)
    prefill = [float(np.mean(took[prompts][of == k])) for k in range(len(knots))]
    return checked_times(
        StepTimes(
            decode_s=decode,
            context_s=slope,
            window_s=0.0,
            window=np.inf,
            prompt_tokens=np.concatenate([[0.0], knots]),
            prefill_s=np.array([0.0, *prefill]),
            prompt_context_s=0.0,
            cache_tokens=cache_tokens,
        )
    )


def _common_slope(x: FloatArray, y: FloatArray, place: Any) -> float:
    """Return the slope of y over x within groups, at least 0; 0 where x does not vary."""
    n = np.bincount(place)
    dx = x - (np.bincount(place, x) / n)[place]
    dy = y - (np.bincount(place, y) / n)[place]
    return max(float(dx @ dy / (dx @ dx)), 0.0) if (dx @ dx) > 0 else 0.0
