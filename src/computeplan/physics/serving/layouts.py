"""Layouts of an instance: all that may be, and which of them hold a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.serving.instance import Instance, Split
from computeplan.physics.serving.room import largest_batch
from computeplan.physics.serving.steady import continuous, terms_of
from computeplan.physics.steptime.layer import n_with_experts
from computeplan.physics.steptime.transformer import Shape, kinds_of

__all__ = ["Held", "at", "best_batches", "holding", "splits", "tensor_widths"]


@dataclass(frozen=True, slots=True)
class Held:
    """Layouts that hold a batch, as arrays."""

    split: Split
    batch: FloatArray
    """Sequences that decode at once, at most."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.batch)


def splits(shape: Shape, domain: int, most: int | None = None) -> Split:
    """Return the splits over ranks that a model may have, each field an array.

    Tensor parallelism stays inside a scale-up domain and divides the heads; stages divide into the
    layers. Only mixtures have data parallel ranks, which share out the experts: without any, they
    would be instances of their own. Experts are whole on every rank.

    Parameters
    ----------
    shape : Shape
    domain : int
        Ranks of a scale-up domain.
    most : int, optional
        Ranks of an instance, at most; a domain if left out.

    Examples
    --------
    >>> shape = Shape(layers=4, hidden=64, ffn=256, heads=8, kv_heads=2, head_dim=8, vocab=100)
    >>> splits(shape, domain=4).tp.tolist(), splits(shape, domain=4).pp.tolist()
    ([1.0, 1.0, 1.0, 2.0, 2.0, 4.0], [1.0, 2.0, 4.0, 1.0, 2.0, 1.0])
    """
    limit = domain if most is None else most
    heads = [kind.heads for kind in kinds_of(shape) if kind.heads and kind.linear is None]
    tps = [n for n in _powers(min(domain, limit)) if all(h % n == 0 for h in heads)]
    pps = [n for n in _powers(limit) if n <= shape.layers]
    experts = 0 if shape.moe is None or not n_with_experts(shape) else shape.moe.experts
    dps = _powers(limit) if experts else [1]
    found = []
    for tp, pp, dp in product(tps, pps, dps):
        together = tp * dp
        if tp * pp * dp > limit or (experts and together > experts):
            continue
        found.append((tp, pp, dp, together if experts and dp > 1 else 1))
        if experts and dp == 1 and tp > 1:
            found.append((tp, pp, dp, tp))
    columns = np.array(found, dtype=np.float64).T
    return Split(*columns)


def tensor_widths(shape: Shape) -> list[int]:
    """Return how wide tensor parallelism may be: it divides the heads, and is whole over KV heads.

    A rank has whole heads, and either whole KV heads or a copy of one: engines refuse all else.

    Parameters
    ----------
    shape : Shape

    Examples
    --------
    >>> tensor_widths(Shape(layers=1, hidden=96, ffn=9, heads=12, kv_heads=4, head_dim=8, vocab=9))
    [1, 2, 4, 12]
    """
    pairs = {(k.heads, k.kv_heads) for k in kinds_of(shape) if k.heads and k.linear is None}
    most = min((heads for heads, _ in pairs), default=1)
    return [
        n
        for n in range(1, most + 1)
        if all(h % n == 0 and (not kv or kv % n == 0 or n % kv == 0) for h, kv in pairs)
    ]


def _powers(limit: int) -> list[int]:
    return [2**k for k in range(int(limit).bit_length()) if 2**k <= limit]


def holding(instance: Instance, n_in: float, n_out: float, batch: float = 1.0) -> Held:
    """Return those of an instance's layouts that hold a batch of requests.

    Parameters
    ----------
    instance : Instance
        With a split of arrays.
    n_in, n_out : float
        Tokens of prompts and answers. [token]
    batch : float
        Sequences.
    """
    most = largest_batch(instance, n_in, n_out)
    keep = most >= batch
    return Held(at(instance.split, keep), np.asarray(most[keep], dtype=np.float64))


def at(split: Split, place: Any) -> Split:
    """Return some of the splits."""
    return Split(*(np.asarray(n)[place] for n in (split.tp, split.pp, split.dp, split.ep)))


def best_batches(
    instance: Instance,
    n_in: float,
    n_out: float,
    *,
    tpot_s: float = np.inf,
    ttft_s: float = np.inf,
    cached_frac: float = 0.0,
) -> tuple[Held, FloatArray]:
    """Return layouts with the largest batch each that keeps mean latencies, best first.

    Latencies are those of the steady state, without waiting: what a simulation of requests allows
    is less.

    Parameters
    ----------
    instance : Instance
        With a split of arrays.
    n_in, n_out : float
        Tokens of prompts and answers. [token]
    tpot_s, ttft_s : float
        Between two tokens, and for the first, at most. [s]
    cached_frac : float
        Share of prompts' tokens that are cached.

    Returns
    -------
    Held
    ndarray
        Output tokens a second and rank. [token/s]
    """
    held = holding(instance, n_in, n_out)
    if not len(held):
        return held, np.empty(0)
    steps = np.unique(np.floor(np.geomspace(1.0, float(held.batch.max()), 64)))[:, None]
    batch = np.minimum(steps, held.batch)
    some = replace(instance, split=held.split)
    terms = terms_of(some, batch, n_in, n_out, cached_frac=cached_frac)
    steady = continuous(instance.speed, terms)
    good = (steady.tpot_s <= tpot_s) & (steady.prompt_s + steady.decode_s <= ttft_s)
    rate = np.where(good, steady.tokens_per_s / held.split.n_ranks, 0.0)
    place = rate.argmax(axis=0)
    columns = np.arange(len(held))
    best = rate[place, columns]
    order = np.argsort(-best, kind="stable")
    order = order[best[order] > 0]
    return Held(at(held.split, order), batch[place, columns][order]), best[order]
