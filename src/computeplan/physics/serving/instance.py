"""An instance: ranks that hold one copy of the weights and serve requests together.

It has ``tp * pp * dp`` ranks. Tensor parallel ranks cut every matrix, pipeline stages hold some of
the layers each, data parallel ranks hold a copy of everything but the experts and share out the
sequences. The experts are spread over all ranks of a stage: `ep` of them hold whole ones, and where
`ep` is less, each of those is cut by the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.steptime.collectives import Fabric
from computeplan.physics.steptime.transformer import Shape

__all__ = ["Engine", "Formats", "Instance", "Rank", "Speculation", "Speed", "Split"]


@dataclass(frozen=True, slots=True)
class Rank:
    """What one rank computes with."""

    memory_bytes: float
    memory_bytes_per_s: float
    """Capacity and peak bandwidth. [B], [B/s]"""
    half_flop_per_s: float
    """Dense peak of attention and logits (bf16 or fp16). [FLOP/s]"""
    dense_flop_per_s: float
    expert_flop_per_s: float
    """Dense peaks at the precisions that the other products run in. [FLOP/s]"""


@dataclass(frozen=True, slots=True)
class Formats:
    """Bytes of one number, with what scales it."""

    dense: float
    """Of weights of attention, dense MLPs and shared experts. [B]"""
    experts: float
    """Of weights of routed experts. [B]"""
    cache: float
    """Of a cached key or value. [B]"""
    outside: float = 2.0
    """Of input embedding and output matrix. [B]"""
    activation: float = 2.0
    """Of what tensor parallel ranks add up, and what comes back from experts. [B]"""
    sent: float = 1.0
    """Of what is sent to experts. [B]"""


@dataclass(frozen=True, slots=True)
class Split:
    """How an instance is split over its ranks; arrays of shapes that broadcast."""

    tp: FloatArray
    pp: FloatArray
    dp: FloatArray
    ep: FloatArray

    @classmethod
    def of(cls, *, tp: Any = 1, pp: Any = 1, dp: Any = 1, ep: Any = 1) -> Split:
        """Return the split with these numbers."""
        return cls(*(np.asarray(n, dtype=np.float64) for n in (tp, pp, dp, ep)))

    @property
    def n_ranks(self) -> FloatArray:
        """Ranks of the instance."""
        found: FloatArray = self.tp * self.pp * self.dp
        return found


@dataclass(frozen=True, slots=True)
class Speed:
    """What an engine reaches of a chip; fitted."""

    memory_frac: Any
    """Share of what streaming kernels reach of the memory bandwidth."""
    peak_frac: Any
    """Share of the dense peak that products reach at many rows."""
    start_s: Any
    """Of the host, a step. [s]"""
    layer_s: Any
    """Of small kernels, a layer. [s]"""
    sequence_s: Any
    """Of the host, a sequence that gets a token. [s]"""
    call_s: Any
    """Latency of a message among tensor or expert parallel ranks of a server, where it is below
    that of the general library of collectives. [s]"""


@dataclass(frozen=True, slots=True)
class Engine:
    """How an engine fills the memory and forms its batches."""

    memory_frac: float
    """Share of the memory that weights, what runs, and the cache may take. [1]"""
    of_free: bool
    """Whether that is a share of what weights and running leave, rather than of all memory."""
    grows: bool
    """Whether a request is let in with its prompt alone and may be stopped later for want of room,
    rather than only if all it may become has room."""
    max_batch: int
    """Sequences that decode at once, of one data parallel rank."""
    chunk: float
    """Prompt tokens that a step takes in at most, of one data parallel rank. [token]"""
    running_bytes: float = 2.5e9
    """Of one rank, for activations, graphs and the libraries. [B]"""
    host_ranks: float = 8.0
    """Ranks whose sequences one process of the host schedules and sends out, at most; never less
    than those of a copy of attention."""
    two_batches: bool = False
    """Whether messages to experts of one half of the batch are sent while the other computes."""
    once_a_server: bool = False
    """Whether a token is sent to each server once, and on to its experts inside."""


@dataclass(frozen=True, slots=True)
class Speculation:
    """Tokens that a small model drafts, and the large one checks in one step."""

    draft: float = 0.0
    """Tokens drafted a step and sequence."""
    accepted: float = 1.0
    """Tokens a step yields a sequence, the large model's own included."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A model on ranks, by an engine."""

    shape: Shape
    rank: Rank
    formats: Formats
    fabric: Fabric
    split: Split
    speed: Speed
    engine: Engine
    speculation: Speculation = Speculation()
