"""Weights that ranks share out (zero 3): gathered for each layer, gradients scattered after it.

Where there is one stage, weights are gathered anew for every micro-batch and pass; the stages of a
pipeline gather theirs once a step and keep them, as PyTorch's do: else every micro-batch would
gather them.

A group inside a scale-up domain uses its links, a larger one the network. What the two carry is
kept apart, because the sum of gradients among replicas (hybrid sharding) has the network while no
weights are gathered over it.

Sources
-------
.. [1] S. Rajbhandari et al., "ZeRO", arXiv 1910.02054, section 7: volumes by stage.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from computeplan.physics.steptime.collectives import Fabric, collective_s, crosses
from computeplan.physics.steptime.layer import dense_of_rank, weights_of
from computeplan.physics.steptime.layout import Layout, Software
from computeplan.physics.steptime.transformer import Shape

__all__ = ["sharded_ends_s", "sharded_layer_s"]


def sharded_layer_s(
    shape: Shape,
    fabric: Fabric,
    layout: Layout,
    software: Software,
    forward: Any,
    backward: Any,
    n_micro: Any,
    *,
    experts: bool,
) -> tuple[Any, Any, Any, Any]:
    """Return what gathering and scattering the weights of a layer adds to a micro-batch [1]_.

    Parameters
    ----------
    shape : Shape
    fabric : Fabric
    layout : Layout
    software : Software
    forward, backward : array_like
        What hides messages in each pass. [s]
    n_micro : array_like
        Micro-batches; stages of a pipeline gather once for all of them.
    experts : bool
        Whether the layer holds experts.

    Returns
    -------
    tuple of ndarray
        What it adds; of that, in the backward pass; for how long this pass keeps the links of a
        domain busy, and the network. [s]
    """
    every = layout.zero == 3
    if not np.any(every):
        return 0.0, 0.0, 0.0, 0.0
    groups = [(dense_of_rank(shape, layout.tp, experts=experts), layout.shard, layout.tp)]
    if experts:
        holders = layout.ep * layout.etp
        few = np.maximum(layout.shard * layout.tp / holders, 1.0)
        groups.append((weights_of(shape).routed / holders, few, holders))
    ahead: Any = 0.0
    up: Any = 0.0
    out: Any = 0.0
    for held, n, stride in groups:
        gather, scatter = _gather_s(fabric, software, held, n, stride)
        remote = crosses(fabric, n, stride)
        ahead = ahead + gather
        behind = scatter + np.where(layout.pp > 1, 0.0, gather)
        up = up + np.where(remote, 0.0, behind)
        out = out + np.where(remote, behind, 0.0)
    waiting = _shown(up + out, backward, software.fsdp_overlap)
    added = _shown(ahead, forward, software.fsdp_overlap) + waiting
    added = added / np.where(layout.pp > 1, n_micro, 1.0)
    return tuple(np.where(every, seconds, 0.0) for seconds in (added, waiting, up, out))  # type: ignore[return-value]


def sharded_ends_s(
    shape: Shape, fabric: Fabric, layout: Layout, software: Software, logits: Any, n_micro: Any
) -> Any:
    """Return what gathering the embeddings adds to a micro-batch, mean over the stages.

    Parameters
    ----------
    shape : Shape
    fabric : Fabric
    layout : Layout
    software : Software
    logits : array_like
        Time of the logits, behind which it hides. [s]
    n_micro : array_like
        Micro-batches.

    Returns
    -------
    ndarray
        [s]
    """
    if not np.any(layout.zero == 3):
        return 0.0
    two = (layout.pp > 1) | (not shape.tied_embeddings)
    held = weights_of(shape).embedding * (1.0 + two) / layout.tp
    gather, scatter = _gather_s(fabric, software, held, layout.shard, layout.tp)
    added = _shown(gather, logits / 3.0, software.fsdp_overlap)
    added = added + _shown(scatter, logits * (2.0 / 3.0), software.fsdp_overlap)
    return np.where(
        layout.zero == 3, added / (layout.pp * np.where(layout.pp > 1, n_micro, 1.0)), 0.0
    )


def _gather_s(fabric: Fabric, software: Software, held: Any, n: Any, stride: Any) -> Any:
    """Return the time to gather weights that a group shares out, and to scatter their gradients."""
    gather = collective_s(fabric, "all_gather", 2.0 * held, n, stride)
    return gather, collective_s(fabric, "reduce_scatter", software.grad_bytes * held, n, stride)


def _shown(sent: Any, computing: Any, overlap: float) -> Any:
    """Return what shows of messages of which computing hides a share at best."""
    return sent - overlap * np.minimum(sent, computing)
