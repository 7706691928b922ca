"""All sensible layouts of a job on a number of ranks, in blocks of flat arrays.

Tensor groups stay inside a scale-up domain and divide the heads; stages are equal, or short of
equal by two layers at most; the ranks of context parallelism keep at least 2,048 tokens each;
micro-batches divide the batch. Virtual stages divide the layers of a stage and, as interleaving
asks, micro-batches come in whole rounds of the pipeline. Weights are shared out (zero 3) only where
there is one stage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from computeplan.arrays import IntArray
from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.transformer import Shape

__all__ = ["all_layouts"]

LARGEST_MICRO_BATCH = 32
LEAST_TOKENS_PER_CONTEXT_RANK = 2048
MISSING_LAYERS = 2
"""Layers by which the last stages may be short: Llama 3 405B puts 126 layers on 16 stages of 8."""
MOST_PIECES = 12
BLOCK = 2048
"""Splits with expert ranks and micro-batches that are finished at a time."""


def all_layouts(shape: Shape, seq: int, batch: int, n_ranks: int, domain: int) -> Iterator[Layout]:
    """Yield every layout of at most `n_ranks` ranks, in blocks.

    Parameters
    ----------
    shape : Shape
    seq : int
        Length of the sequences. [token]
    batch : int
        Sequences of one step.
    n_ranks : int
        Ranks there are at most.
    domain : int
        Ranks of a scale-up domain.

    Yields
    ------
    Layout
        Arrays of one dimension.

    Examples
    --------
    >>> shape = Shape(layers=4, hidden=64, ffn=256, heads=4, kv_heads=4, head_dim=16, vocab=100)
    >>> found, = all_layouts(shape, seq=1024, batch=8, n_ranks=2, domain=8)
    >>> sorted(set(zip(found.tp.tolist(), found.pp.tolist(), found.dp.tolist())))
    [(1.0, 1.0, 1.0), (1.0, 1.0, 2.0), (1.0, 2.0, 1.0), (2.0, 1.0, 1.0)]
    """
    tp = _divisors(shape.heads, min(domain, n_ranks))
    pp = [p for p in range(1, min(shape.layers, n_ranks) + 1) if _splits(shape.layers, p)]
    most_cp = max(1, seq // LEAST_TOKENS_PER_CONTEXT_RANK)
    cp = [2**i for i in range(most_cp.bit_length()) if seq % 2**i == 0 and 2**i <= most_cp]
    replicas = _divisors(batch, n_ranks)
    splits = _cross({}, tp=tp, pp=pp, cp=cp, dp=replicas)
    splits = _keep(splits, splits["tp"] * splits["pp"] * splits["cp"] * splits["dp"] <= n_ranks)
    sizes = _divisors(batch, LARGEST_MICRO_BATCH)
    experts = [1] if shape.moe is None else _divisors(shape.moe.experts, shape.moe.experts)
    step = max(1, BLOCK // (len(experts) * len(sizes)))
    for start in range(0, splits["tp"].size, step):
        rows = {name: values[start : start + step] for name, values in splits.items()}
        yield _finished(shape, batch, rows, experts, sizes)


def _finished(
    shape: Shape, batch: int, rows: dict[str, IntArray], experts: list[int], sizes: list[int]
) -> Layout:
    """Return some splits with every micro-batch, virtual stage and way to save memory."""
    if shape.moe is not None:
        rows = _cross(rows, ep=experts)
        holders = rows["tp"] * rows["cp"] * rows["dp"]
        rows = _keep(rows, (rows["ep"] <= holders) & (holders % rows["ep"] == 0))
    rows = _cross(rows, micro_batch=sizes)
    rows = _keep(rows, (batch // rows["dp"]) % rows["micro_batch"] == 0)
    rows = _cross(rows, pieces=list(range(1, MOST_PIECES + 1)))
    deepest = -(-shape.layers // rows["pp"])
    n_micro = batch // (rows["dp"] * rows["micro_batch"])
    whole_rounds = (rows["pp"] > 1) & (n_micro % rows["pp"] == 0)
    rows = _keep(rows, (rows["pieces"] == 1) | (whole_rounds & (deepest % rows["pieces"] == 0)))
    rows = _cross(rows, recompute=[0, 1, 2], zero=[1, 3])
    alone = (rows["pp"] == 1) & (rows["dp"] * rows["cp"] > 1)
    rows = _keep(rows, (rows["zero"] == 1) | alone)
    return Layout.of(**rows, sequence_parallel=rows["tp"] > 1)


def _divisors(n: int, most: int) -> list[int]:
    """Return the divisors up to `most`, in the time that the smaller of it and the root takes."""
    small = [d for d in range(1, min(math.isqrt(n), most) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small if n // d <= most)})


def _splits(layers: int, stages: int) -> bool:
    deepest = -(-layers // stages)
    return deepest * stages - layers <= min(MISSING_LAYERS, stages - 1)


def _cross(rows: dict[str, IntArray], **axes: list[int]) -> dict[str, IntArray]:
    """Return every row with every combination of the new axes."""
    grid = np.meshgrid(*(np.array(values) for values in axes.values()), indexing="ij")
    new: dict[str, Any] = {n: g.ravel() for n, g in zip(axes, grid, strict=True)}
    n_new = grid[0].size
    if not rows:
        return new
    n_old = next(iter(rows.values())).size
    crossed = {name: np.repeat(values, n_new) for name, values in rows.items()}
    return crossed | {name: np.tile(values, n_old) for name, values in new.items()}


def _keep(rows: dict[str, IntArray], mask: Any) -> dict[str, IntArray]:
    return {name: values[mask] for name, values in rows.items()}
