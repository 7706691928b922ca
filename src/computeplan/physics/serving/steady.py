"""Steady states: what an instance yields if requests never run out.

With continuous batching a request joins as soon as its prompt is done. While `B` sequences decode,
every step ends ``B / o`` answers of `o` tokens and takes in as many prompts, so that a step and its
share of prompts take ``decode(B) + (B / o) * prefill`` for B tokens. Prompt tokens are counted as
rows of their own, not as rows of the step they share: sharing would let them call experts in every
step. Prompts longer than a chunk come in several steps, and later chunks read what earlier ones
cached.

A static batch starts and ends together. Disaggregated, one pool of instances takes in prompts and
another one decodes; the cache is sent between them.

Sources
-------
.. [1] G. Yu et al., "Orca", OSDI 2022: batches by the step.
.. [2] A. Agrawal et al., "Sarathi-Serve", arXiv 2403.02310: prompts in chunks.
.. [3] Y. Zhong et al., "DistServe", arXiv 2401.09670: pools for prompts and answers.
.. [4] Y. Leviathan et al., arXiv 2211.17192, equation 1: tokens accepted of those drafted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.serving.instance import Instance, Speed
from computeplan.physics.serving.work import (
    Work,
    cache_reads,
    decode_work,
    prefill_work,
    reads_of,
    step_s,
)
from computeplan.physics.steptime.operators import HBM_FRAC

__all__ = [
    "Pair",
    "Steady",
    "Terms",
    "accepted_tokens",
    "continuous",
    "decode_of",
    "least_s",
    "pair",
    "prompt_of",
    "prompt_rate",
    "static",
    "terms_of",
    "transfer_s",
]


@dataclass(frozen=True, slots=True)
class Steady:
    """What an instance yields; arrays over batches and layouts."""

    tokens_per_s: FloatArray
    """Output tokens of the instance. [token/s]"""
    tpot_s: FloatArray
    """Between two tokens of a sequence, prompts of others included, mean. [s]"""
    decode_s: FloatArray
    """A step without prompts. [s]"""
    prompt_s: FloatArray
    """What one prompt adds. [s]"""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the steps of an instance are made of, at a batch; arrays over batches and layouts."""

    decode: Work
    """Of a step in which all sequences decode."""
    prompt: Work
    prompt_part: Any
    """Of a step's worth of prompt tokens, and a prompt over them."""
    again_s: Any
    """To read what earlier chunks of a prompt cached, at the rate of streaming kernels. [s]"""
    batch: Any
    n_in: Any
    n_out: Any
    accepted: Any
    draft_factor: Any
    """Sequences, tokens of a prompt and an answer, tokens a step yields a sequence, and a step with
    its drafts over one without."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Pools for prompts and for answers that keep pace with each other."""

    requests_per_s: FloatArray
    """Of the larger pool's pace, the smaller one's. [1/s]"""
    prefill_per_decode: FloatArray
    """Instances that take in prompts for one that decodes."""
    tpot_s: FloatArray
    transfer_s: FloatArray
    """Between two tokens, and to send the cache of a prompt. [s]"""


def accepted_tokens(drafted: Any, chance: Any) -> FloatArray:
    """Return the tokens a step yields if each drafted one is accepted with some chance [4]_.

    Examples
    --------
    >>> float(accepted_tokens(2, 0.5))
    1.75
    """
    chance = np.asarray(chance, dtype=np.float64)
    less = np.where(chance < 1.0, 1.0 - chance, 1.0)
    found: FloatArray = np.where(
        chance < 1.0,
        (1.0 - chance ** (np.asarray(drafted) + 1.0)) / less,
        np.asarray(drafted) + 1.0,
    )
    return found


def terms_of(
    instance: Instance,
    batch: Any,
    n_in: Any,
    n_out: Any,
    *,
    cached_frac: Any = 0.0,
    at_once: Any = None,
) -> Terms:
    """Return what steps are made of at a batch, before anything is known of an engine's speed.

    Parameters
    ----------
    instance : Instance
    batch : array_like
        Sequences that decode.
    n_in, n_out : array_like
        Tokens of prompts and answers, mean. [token]
    cached_frac : array_like
        Share of the prompt's tokens that are cached already: they are read, not computed.
    at_once : array_like, optional
        Prompts that come in together; if left out, as many as answers end in a step.
    """
    batch, n_in, n_out = (np.asarray(n, dtype=np.float64) for n in (batch, n_in, n_out))
    accepted, drafted = instance.speculation.accepted, instance.speculation.draft
    new = n_in * (1.0 - np.asarray(cached_frac, dtype=np.float64))
    together = batch * accepted / n_out if at_once is None else np.asarray(at_once)
    chunk = instance.engine.chunk * instance.split.dp
    rows = np.clip(new * np.maximum(together, 1.0), 1.0, chunk)
    # Every new token attends to the cached prompt, and to half of the new one.
    seen = n_in - new / 2.0
    again: Any = 0.0
    for read in reads_of(instance.shape):  # chunks after the first read what is cached by then
        pieces = np.maximum(new / instance.engine.chunk - 1.0, 0.0)
        again = again + pieces * np.minimum(seen, read.window) * cache_reads(instance, read)
    rate = instance.rank.memory_bytes_per_s * HBM_FRAC * instance.split.pp * instance.split.dp
    return Terms(
        decode=decode_work(instance, batch, n_in + n_out / 2.0),
        prompt=prefill_work(instance, rows, seen),
        prompt_part=new / rows,
        again_s=again / rate,
        batch=batch,
        n_in=n_in,
        n_out=n_out,
        accepted=accepted,
        draft_factor=1.0 + drafted / instance.shape.layers,
    )


def decode_of(speed: Speed, terms: Terms) -> FloatArray:
    """Return the time of a step in which all sequences decode, drafts included. [s]

    Drafting a token takes what one of the layers takes, as layers that predict further tokens do.
    """
    found: FloatArray = step_s(speed, terms.decode) * terms.draft_factor
    return found


def prompt_of(speed: Speed, terms: Terms) -> FloatArray:
    """Return what one prompt adds to the steps it comes in with. [s]"""
    rows = step_s(speed, terms.prompt, alone=False) * terms.prompt_part
    found: FloatArray = rows + terms.again_s / speed.memory_frac
    return found


def least_s(terms: Terms) -> tuple[FloatArray, FloatArray]:
    """Return what no engine goes below: bytes over peak bandwidth, or FLOP over peak. [s]

    Nothing that is fitted takes part: no share of a peak, no host, no kernels, no messages.

    Returns
    -------
    tuple of ndarray
        Of a token of every sequence, and of a prompt.
    """

    def least(work: Work) -> FloatArray:
        reading = (work.weights_s + work.experts_read_s + work.cache_s) * HBM_FRAC
        multiplying = work.products_s + work.experts_s + work.core_s
        found: FloatArray = np.maximum(reading, multiplying)
        return found

    return least(terms.decode) / terms.accepted, least(terms.prompt) * terms.prompt_part


def continuous(speed: Speed, terms: Terms) -> Steady:
    """Return the steady state of continuous batching [1]_."""
    step, prompt = decode_of(speed, terms), prompt_of(speed, terms)
    per_answer = terms.accepted / terms.n_out
    tokens = terms.batch * terms.accepted / (step + terms.batch * per_answer * prompt)
    others = np.maximum(terms.batch - 1.0, 0.0) * per_answer
    return Steady(tokens, (step + others * prompt) / terms.accepted, step, prompt)


def static(speed: Speed, terms: Terms) -> Steady:
    """Return what batches yield that start and end together."""
    step, prompt = decode_of(speed, terms), prompt_of(speed, terms)
    whole = terms.batch * prompt + (terms.n_out - 1.0) / terms.accepted * step
    return Steady(terms.batch * terms.n_out / whole, step / terms.accepted, step, prompt)


def prompt_rate(instance: Instance, tokens: Any, n_in: Any) -> FloatArray:
    """Return the prompt tokens a second of an instance that does nothing else.

    Parameters
    ----------
    instance : Instance
    tokens : array_like
        Prompt tokens of a step, all ranks. [token]
    n_in : array_like
        Tokens of a prompt. [token]
    """
    work = prefill_work(instance, tokens, np.asarray(n_in) / 2.0)
    found: FloatArray = np.asarray(tokens) / step_s(instance.speed, work)
    return found


def transfer_s(instance: Instance, n_in: Any, *, overlapped: bool = True) -> FloatArray:
    """Return the time to send the cache of a prompt to where it decodes.

    Parameters
    ----------
    instance : Instance
        That takes in the prompt.
    n_in : array_like
        [token]
    overlapped : bool
        Whether layers are sent as they are done, so that only the last one is waited for.
    """
    n_bytes: Any = 0.0
    for read in reads_of(instance.shape):
        n_bytes = n_bytes + np.minimum(n_in, read.window) * cache_reads(instance, read)
    seconds = n_bytes / instance.split.pp / instance.fabric.out_rate
    found: FloatArray = np.asarray(seconds / (instance.shape.layers if overlapped else 1.0))
    return found


def pair(
    prefill: Instance,
    decode: Instance,
    batch: Any,
    n_in: Any,
    n_out: Any,
    *,
    cached_frac: Any = 0.0,
) -> Pair:
    """Return what a pool for prompts and one for answers yield together [3]_.

    Parameters
    ----------
    prefill, decode : Instance
    batch : array_like
        Sequences that decode on one instance.
    n_in, n_out : array_like
        [token]
    cached_frac : array_like
        Share of the prompt's tokens that are cached already.

    Returns
    -------
    Pair
        Requests a second of one decoding instance, and what keeps pace with it.
    """
    new = np.asarray(n_in) * (1.0 - np.asarray(cached_frac))
    at_once = prefill.engine.chunk * prefill.split.dp
    each = new / prompt_rate(prefill, np.maximum(at_once, new), n_in)
    step = decode_of(decode.speed, terms_of(decode, batch, n_in, n_out))
    accepted = decode.speculation.accepted
    rate = np.asarray(batch) * accepted / (step * n_out)
    return Pair(rate, rate * each, step / accepted, transfer_s(prefill, n_in))
