"""Layouts: how a job is split over ranks, one or a whole grid at once; and the software it runs on.

Ranks are numbered tensor first, then context, data, pipeline: a tensor group is neighbours, a
pipeline crosses the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.steptime.pipeline import SCHEDULES, Schedule

__all__ = ["RECOMPUTE", "Layout", "Software"]

RECOMPUTE = ("none", "selective", "full")
"""What the backward pass computes again: nothing, the attention core, the whole layer."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Splits of a job; every field an array, all of shapes that broadcast."""

    tp: FloatArray
    pp: FloatArray
    dp: FloatArray
    cp: FloatArray
    ep: FloatArray
    """Tensor, pipeline, data, context and expert parallel ranks; experts are spread over ranks of
    the tensor, context and data groups and ask for no more."""
    micro_batch: FloatArray
    """Sequences that go through at a time."""
    pieces: FloatArray
    """Virtual stages of a rank."""
    recompute: FloatArray
    """Place in `RECOMPUTE`."""
    sequence_parallel: FloatArray
    """Whether what stands between matrix products is cut along the sequence; 0 or 1."""
    zero: FloatArray
    """What the data parallel ranks share out: 0 nothing, 1 the optimizer's state, 2 also the
    gradients, 3 also the weights (FSDP)."""
    shard: FloatArray
    """Ranks that share out the weights with zero 3, fewer than dp x cp for hybrid sharding."""

    @classmethod
    def of(
        cls,
        *,
        tp: Any = 1,
        pp: Any = 1,
        dp: Any = 1,
        cp: Any = 1,
        ep: Any = 1,
        micro_batch: Any = 1,
        pieces: Any = 1,
        recompute: Any = 0,
        sequence_parallel: Any = True,
        zero: Any = 1,
        shard: Any = None,
    ) -> Layout:
        """Return the layouts of these numbers or arrays; one rank by default.

        Examples
        --------
        >>> Layout.of(tp=[1, 2, 4], dp=8).n_ranks
        array([ 8., 16., 32.])
        """
        given = (tp, pp, dp, cp, ep, micro_batch, pieces, recompute, sequence_parallel, zero)
        arrays = [np.asarray(value, dtype=np.float64) for value in given]
        whole = arrays[2] * arrays[3]
        group = whole if shard is None else np.minimum(np.asarray(shard, dtype=np.float64), whole)
        names = [field.name for field in fields(cls)]
        return cls(**dict(zip(names, [*arrays, np.asarray(group)], strict=True)))

    @property
    def n_ranks(self) -> FloatArray:
        """Number of ranks."""
        return self.tp * self.pp * self.dp * self.cp

    def at(self, chosen: Any) -> Layout:
        """Return some of the layouts, by index or mask; what all have in common stays single."""
        values = (getattr(self, field.name) for field in fields(self))
        return Layout(*(value[chosen] if value.ndim else value for value in values))

    @classmethod
    def concatenate(cls, layouts: Sequence[Layout]) -> Layout:
        """Return the layouts of several as one, flat."""
        whole = [layout.flat() for layout in layouts]
        names = [field.name for field in fields(cls)]
        return cls(**{n: np.concatenate([getattr(one, n) for one in whole]) for n in names})

    def flat(self) -> Layout:
        """Return the same layouts with all arrays of one shape, in one dimension."""
        arrays = [getattr(self, field.name) for field in fields(self)]
        return Layout(*(np.ravel(array) for array in np.broadcast_arrays(*arrays)))


@dataclass(frozen=True, slots=True)
class Software:
    """Switches of a training framework that change the time of a step."""

    flash: bool = True
    """Whether attention keeps its scores on the chip."""
    dropout: bool = False
    """Whether dropout masks are kept."""
    stops_early: bool = False
    """Whether full recomputation leaves out the layer's last product and message, which no backward
    pass needs."""
    grad_bytes: float = 4.0
    """Of one gradient as it is kept and summed. [B]"""
    tp_exposed: float = 1.0
    """Share of tensor parallel messages that no computation hides."""
    pp_exposed: float = 0.5
    pp_exposed_interleaved: float = 0.2
    """The same of messages between stages, without and with virtual stages."""
    grad_overlap: float = 0.8
    weight_overlap: float = 0.8
    """Share of the last backward, of the first forward pass that hides the sum of the gradients,
    the gathering of the weights."""
    cp_overlap: float = 0.8
    """Share of the ring of keys and values that attention hides at best."""
    fsdp_overlap: float = 0.8
    """Share of the gathering of a layer's weights that the layer before it hides at best."""
    operand_bytes: float = 2.0
    """Of one number in the saved input of a linear layer. [B]"""
    expert_bytes: float = 2.0
    """Of one number sent to an expert. [B]"""
    schedule: Schedule = SCHEDULES["1f1b"]
    """Of the pipeline."""
