"""Layouts: how a job is split over ranks, one or a whole grid at once; and the software it runs on.

Ranks are numbered tensor first, then context, data, pipeline: a tensor group is neighbours, a
pipeline crosses the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.steptime.pipeline import SCHEDULES, Schedule

__all__ = ["OFFLOAD", "RECOMPUTE", "Layout", "Mixture", "Software"]

RECOMPUTE = ("none", "selective", "full")
"""What the backward pass computes again: nothing, some modules, the whole layer."""

OFFLOAD = ("none", "inputs", "optimizer", "both")
"""What lies in the memory of the host: inputs of layers, the optimizer's state."""


COMMON = ("modules", "stages")
"""Fields of a `Layout` that all its layouts have in common."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Splits of a job; every field an array, all of shapes that broadcast, but those in common."""

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
    full_layers: FloatArray
    """Layers of a virtual stage that full recomputation computes again, the first ones; all of
    them if infinite, nothing of the others."""
    offload: FloatArray
    """Place in `OFFLOAD`."""
    shard: FloatArray
    """Ranks that share out the weights with zero 3, fewer than dp x cp for hybrid sharding."""
    etp: FloatArray
    """Ranks that cut every expert; ep x etp of them hold all experts once."""
    modules: tuple[str, ...] = ()
    """What selective recomputation computes again, of `kept.MODULES`; if empty, what the software
    means by it."""
    stages: tuple[int, ...] = ()
    """Layers on every stage; if empty, dealt evenly."""

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
        full_layers: Any = np.inf,
        offload: Any = 0,
        shard: Any = None,
        etp: Any = 1,
        modules: Any = (),
        stages: Any = (),
    ) -> Layout:
        """Return the layouts of these numbers or arrays; one rank by default.

        Examples
        --------
        >>> Layout.of(tp=[1, 2, 4], dp=8).n_ranks
        array([ 8., 16., 32.])
        """
        splits = (tp, pp, dp, cp, ep, micro_batch, pieces)
        given = (*splits, recompute, sequence_parallel, zero, full_layers, offload)
        arrays = [np.asarray(value, dtype=np.float64) for value in given]
        whole = arrays[2] * arrays[3]
        group = whole if shard is None else np.minimum(np.asarray(shard, dtype=np.float64), whole)
        every = [*arrays, np.asarray(group), np.asarray(etp, dtype=np.float64)]
        named = dict(zip(cls.arrays(), every, strict=True))
        return cls(**named, modules=tuple(modules), stages=tuple(stages))

    @classmethod
    def arrays(cls) -> list[str]:
        """Return the names of the fields that are arrays."""
        return [field.name for field in fields(cls) if field.name not in COMMON]

    @property
    def n_ranks(self) -> FloatArray:
        """Number of ranks."""
        return self.tp * self.pp * self.dp * self.cp

    def at(self, chosen: Any) -> Layout:
        """Return some of the layouts, by index or mask; what all have in common stays single."""
        values = {name: getattr(self, name) for name in self.arrays()}
        return self.with_arrays(
            {n: value[chosen] if value.ndim else value for n, value in values.items()}
        )

    @classmethod
    def concatenate(cls, layouts: Sequence[Layout]) -> Layout:
        """Return the layouts of several as one, flat; they have the same in common."""
        whole = [layout.flat() for layout in layouts]
        names = cls.arrays()
        return whole[0].with_arrays(
            {n: np.concatenate([getattr(one, n) for one in whole]) for n in names}
        )

    def flat(self) -> Layout:
        """Return the same layouts with all arrays of one shape, in one dimension."""
        names = self.arrays()
        arrays = np.broadcast_arrays(*(getattr(self, name) for name in names))
        return self.with_arrays({n: np.ravel(a) for n, a in zip(names, arrays, strict=True)})

    def with_arrays(self, arrays: dict[str, Any]) -> Layout:
        """Return layouts of other arrays, by name, with the same in common."""
        return replace(self, **arrays)

    def numbers(self) -> dict[str, Any]:
        """Return what a single layout is made of, for `of`; what is infinite is left out."""
        each = {name: float(getattr(self, name)) for name in self.arrays()}
        finite = {name: int(value) for name, value in each.items() if value < np.inf}
        return finite | {"modules": self.modules, "stages": self.stages}


@dataclass(frozen=True, slots=True)
class Mixture:
    """What software does about a mixture of experts; see ``experts.py``."""

    sends_once: bool = False
    """Whether a token is sent once to a rank, however many of its experts are there."""
    gathers: bool = False
    """Whether every rank gets all tokens instead."""
    link_frac: float = 0.7
    """Share of the scale-up links' rate that sending tokens reaches."""
    overlap: float = 0.0
    """Share of the messages that computing hides at best: that of another micro-batch, which there
    is without a pipeline or with virtual stages."""
    ops: float = 150.0
    """Operators of a layer, forward and backward, that the host launches one by one."""
    expert_ops: float = 8.0
    """The same of every local expert."""
    fused: bool = False
    """Whether one kernel does the whole MLP of the experts."""
    attention_gain: float = 1.0
    """Rate of the attention core over that in half precision."""
    imbalance: float = 1.0
    """Work of the busiest rank over the mean."""


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
    selective: tuple[str, ...] = ("core_attn",)
    """Modules that selective recomputation computes again; see ``kept.py``."""
    logit_bytes: float = 6.0
    """Held for one logit when the loss is computed. [B]"""
    fragmentation: float = 0.01
    """Share of the rest that the allocator holds and cannot use, at least."""
    schedule: Schedule = SCHEDULES["1f1b"]
    """Of the pipeline."""
    mixture: Mixture = Mixture()
    """What it does about experts."""
