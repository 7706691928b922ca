"""Pipelines: how long micro-batches take through stages, and how many a stage keeps.

With one forward and one backward pass in turn (1F1B), the slowest stage is busy without a pause
from the first micro-batch to the last, and the first and the last wait for the other stages once:
``m * t_max + (sum of t) - t_max`` for m micro-batches. With equal stages this is the well-known
``(m + p - 1) * t``. It is exact for equal stages, and where the slowest stage is the last.
Otherwise it is too long, at most by the time of the stages behind the slowest for one micro-batch,
if all stages have one ratio of backward to forward time. Cutting each stage in v pieces that
alternate (interleaving) divides the wait by v. Zero-bubble schedules split the backward pass in two
and fill the wait with the half on which no other stage depends; here they are factors on the wait,
and on what a stage keeps.

Sources
-------
.. [1] D. Narayanan et al., "Efficient large-scale language model training on GPU clusters using
       Megatron-LM", arXiv 2104.04473, section 2.2: 1F1B and interleaving.
.. [2] V. Korthikanti et al., arXiv 2205.05198, section 4.2.3: micro-batches in flight.
.. [3] P. Qi et al., "Zero bubble pipeline parallelism", arXiv 2401.10241, table 1: ZB-H1 leaves a
       third of the wait, ZB-H2 none at twice the activations.
.. [4] DeepSeek-AI, arXiv 2412.19437, table 2: DualPipe waits (p/2 - 1) x (F&B + B - 3W), about a
       third of 1F1B, for two copies of the weights and p + 1 micro-batches in flight; section
       3.2.1: messages to and from experts are hidden behind another micro-batch; section 3.2.2:
       they take 20 of the 132 multiprocessors of the H800.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray

__all__ = ["SCHEDULES", "Schedule", "in_flight", "pipeline_s"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a schedule differs from 1F1B."""

    bubble: float
    """Its wait over that of 1F1B."""
    activations: float
    """Micro-batches a stage keeps, over those of 1F1B."""
    weights: float
    """Copies of the weights."""
    experts: float = 1.0
    """Share of the messages to and from experts that no computation hides."""
    chip_frac: float = 1.0
    """Share of the chip that layers with experts have while such messages are under way."""


SCHEDULES = {
    "1f1b": Schedule(bubble=1.0, activations=1.0, weights=1.0),
    "zb-h1": Schedule(bubble=1 / 3, activations=1.0, weights=1.0),
    "zb-h2": Schedule(bubble=0.0, activations=2.0, weights=1.0),
    "dualpipe": Schedule(
        bubble=1 / 3, activations=1.0, weights=2.0, experts=0.0, chip_frac=112 / 132
    ),
}
"""By the name people use; `1f1b` is interleaved wherever a stage is cut in pieces."""


def pipeline_s(slowest_s: Any, all_s: Any, n_micro: Any, pieces: Any, bubble: Any = 1.0) -> Any:
    """Return the time of a pipeline without its messages [1]_.

    Parameters
    ----------
    slowest_s : array_like
        Forward and backward pass of one micro-batch on the slowest stage. [s]
    all_s : array_like
        The same, summed over the stages. [s]
    n_micro : array_like
        Micro-batches.
    pieces : array_like
        Pieces of a stage that alternate (virtual stages).
    bubble : array_like
        Wait over that of 1F1B.

    Returns
    -------
    ndarray, broadcast shape
        [s]

    Examples
    --------
    >>> float(pipeline_s(slowest_s=3.0, all_s=12.0, n_micro=8, pieces=1))
    33.0
    """
    return n_micro * slowest_s + (all_s - slowest_s) * (bubble / pieces)


def in_flight(stage: Any, stages: Any, n_micro: Any, pieces: Any = 1) -> FloatArray:
    """Return how many micro-batches' activations a stage keeps at most [2]_.

    Parameters
    ----------
    stage : array_like
        From 0.
    stages, n_micro, pieces : array_like
        Stages, micro-batches, pieces of a stage.

    Returns
    -------
    ndarray, broadcast shape
        A fraction of the last piece counts as one.

    Examples
    --------
    >>> float(in_flight(stage=0, stages=8, n_micro=64)), float(in_flight(0, 8, 64, pieces=4))
    (8.0, 9.75)
    """
    waiting = stages - 1.0 - stage
    warm_up = np.where(
        pieces > 1, ((pieces - 1.0) * stages + 2.0 * waiting + 1.0) / pieces, waiting + 1.0
    )
    kept: FloatArray = np.minimum(n_micro, warm_up)
    return kept
