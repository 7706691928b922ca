"""Times of steps: all that a simulator of requests needs to know of an instance.

An instance works in steps. A step gives every sequence that decodes one token, and may take in
tokens of prompts besides. What it takes is a sum: one number by how many sequences decode (weights
that are read and multiplied, messages, the host), one in proportion to the cached tokens that are
read, and one by how many prompt tokens come in. Layers with a window read no more of a sequence
than their window, so that they are counted apart. Steps in which the same sequences decode differ
only by one more cached token each: many of them are a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray, at_least_zero, positive

__all__ = [
    "FIRST_TOKEN_S",
    "StepTimes",
    "checked_times",
    "decode_step_s",
    "prefill_s",
    "run_s",
    "windowed_tokens",
]

FIRST_TOKEN_S = 0.08
"""From a finished prompt to its first token seen outside: the host, the network, what turns tokens
to text. The median that published times to a first token at few users lie above the step."""


@dataclass(frozen=True, slots=True)
class StepTimes:
    """What the steps of one instance take, tabulated."""

    decode_s: FloatArray
    """[b] for b = 0 to the largest batch: a step of b decoding sequences without reads of their
    cache; the first is 0. [s]"""
    context_s: float
    """What a step takes longer for a cached token that it reads, of any sequence: layers that see
    all. [s/token]"""
    window_s: float
    """The same of layers that see a window. [s/token]"""
    window: float
    """Tokens of that window, infinite where there is none."""
    prompt_tokens: FloatArray
    """[k] rising from 0: knots of `prefill_s`."""
    prefill_s: FloatArray
    """[k] what so many prompt tokens add to a step; linear between knots, in proportion beyond the
    last one. [s]"""
    prompt_context_s: float
    """For a prompt token and a cached or earlier one that it attends to; a causal prompt of n
    tokens has about n * n / 2 such pairs. [s/pair]"""
    cache_tokens: float
    """Tokens that the cache holds."""
    first_token_s: float = FIRST_TOKEN_S
    """From a finished prompt to its first token seen outside. [s]"""

    @property
    def max_batch(self) -> int:
        """Sequences that decode at once, at most."""
        return len(self.decode_s) - 1


def checked_times(times: StepTimes) -> StepTimes:
    """Return the times as they are.

    Raises
    ------
    ValueError
        If they are no times of steps: negative, empty, knots that do not rise from 0.
    """
    at_least_zero(
        decode_s=times.decode_s,
        context_s=times.context_s,
        window_s=times.window_s,
        prefill_s=times.prefill_s,
        prompt_context_s=times.prompt_context_s,
        cache_tokens=times.cache_tokens,
        first_token_s=times.first_token_s,
    )
    positive(window=times.window)
    if len(times.decode_s) < 2 or times.decode_s[0] != 0.0:
        raise ValueError("decode_s must begin with 0 for no sequence, and have one for 1 at least")
    knots = times.prompt_tokens
    if len(knots) < 2 or knots[0] != 0.0 or len(knots) != len(times.prefill_s):
        raise ValueError("prompt_tokens must begin with 0, have two knots, and one prefill_s each")
    if not (np.diff(knots) > 0).all():
        raise ValueError("prompt_tokens must rise")
    return times


def prefill_s(times: StepTimes, n_tokens: Any, pairs: Any = 0.0) -> FloatArray:
    """Return what prompt tokens add to a step.

    Parameters
    ----------
    times : StepTimes
    n_tokens : array_like
        Prompt tokens that come in.
    pairs : array_like
        Pairs of such a token with one it attends to: of a whole prompt of n, n * n / 2.

    Returns
    -------
    ndarray, broadcast shape
        [s]

    Examples
    --------
    >>> zero, one = np.array([0.0, 0.01]), np.array([0.0, 100.0])
    >>> times = StepTimes(zero, 0.0, 0.0, np.inf, one, np.array([0.0, 0.2]), 1e-6, 1e6)
    >>> float(prefill_s(times, 50)), float(prefill_s(times, 400, pairs=400 * 400 / 2))
    (0.1, 0.88)
    """
    n = np.asarray(n_tokens, dtype=np.float64)
    knots, seconds = times.prompt_tokens, times.prefill_s
    beyond = seconds[-1] * n / knots[-1]
    tokens = np.where(n > knots[-1], beyond, np.interp(n, knots, seconds))
    found: FloatArray = tokens + times.prompt_context_s * np.asarray(pairs)
    return found


def decode_step_s(
    times: StepTimes, batch: Any, context_sum: Any, windowed: Any = 0.0
) -> FloatArray:
    """Return what one step takes that takes in no prompt.

    Parameters
    ----------
    times : StepTimes
    batch : array_like of int
        Sequences that decode.
    context_sum, windowed : array_like
        Cached tokens of all of them, and those within the window.

    Returns
    -------
    ndarray, broadcast shape
        [s]
    """
    reads = times.context_s * np.asarray(context_sum) + times.window_s * np.asarray(windowed)
    found: FloatArray = times.decode_s[batch] + reads
    return found


def windowed_tokens(context: Any, window: float, n_steps: Any = 1) -> FloatArray:
    """Return cached tokens within a window, summed over steps in each of which one is added.

    Parameters
    ----------
    context : array_like
        Cached tokens of a sequence at the first of the steps.
    window : float
        [token]
    n_steps : array_like

    Examples
    --------
    >>> float(windowed_tokens(6, window=8, n_steps=4)) == 6 + 7 + 8 + 8
    True
    """
    context = np.asarray(context, dtype=np.float64)
    n = np.asarray(n_steps, dtype=np.float64)
    # The step in which the window is first full; a fraction of one is a fraction.
    below = np.clip(np.ceil(window - context), 0.0, n)
    growing: FloatArray = below * context + below * (below - 1.0) / 2.0
    found: FloatArray = growing + (n - below) * min(window, 1e300)
    return found


def run_s(times: StepTimes, batch: Any, context_sum: Any, n_steps: Any) -> FloatArray:
    """Return what steps take in which the same sequences decode: each caches one more token a step.

    Layers with a window see every sequence at the mean of their lengths, which is exact where none
    or all of them fill the window.

    Parameters
    ----------
    times : StepTimes
    batch : array_like of int
        Sequences that decode.
    context_sum : array_like
        Cached tokens of all of them at the first step.
    n_steps : array_like

    Returns
    -------
    ndarray, broadcast shape
        [s]

    Examples
    --------
    >>> decode = np.array([0.0, 0.010, 0.012])
    >>> knots = np.array([0.0, 1.0])
    >>> times = StepTimes(decode, 1e-6, 0.0, np.inf, knots, knots, 0.0, 1e6)
    >>> f"{float(run_s(times, 2, context_sum=1000, n_steps=3)):.6f}"  # 3 * 12 ms + 3006 us
    '0.039006'
    """
    batch = np.asarray(batch)
    total = np.asarray(context_sum, dtype=np.float64)
    n = np.asarray(n_steps, dtype=np.float64)
    found: FloatArray = n * times.decode_s[batch]
    found = found + times.context_s * (n * total + batch * n * (n - 1.0) / 2.0)
    if times.window_s == 0.0:
        return found
    mean = total / np.maximum(batch, 1)
    found += times.window_s * batch * windowed_tokens(mean, times.window, n)
    return found
