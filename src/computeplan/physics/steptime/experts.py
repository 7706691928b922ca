"""Mixtures of experts: what a layer with experts does besides a dense one.

Every token is sent to the ranks that hold its experts, and back. The products of all local experts
are one grouped product. What stands around it (permuting tokens, activation functions, quantizing
operands) moves bytes through memory, far below the rate of a stream. The host launches all of it,
waits once a layer for how many tokens each expert gets, and so runs beside the chip rather than
ahead of it: a layer takes ``sqrt(chip**2 + host**2)``. What the software does about each is a
`Mixture`.

Sources
-------
.. [1] DeepSeek-AI, arXiv 2412.19437, section 3.2.2: a token crosses the network once for every
       server that holds one of its experts, then the links of that server to each of its ranks.
.. [2] NVIDIA, "Scalable training of mixture-of-experts models with Megatron Core",
       arXiv 2603.07685, table 7: measured all-to-alls; and the kernels of a layer.
.. [3] DeepSeek-AI, DeepGEMM, README of 2025-02: 1,288 and 1,093 TFLOP/s for 8 grouped products of
       4096 x 4096 x 7168 and 4096 x 7168 x 2048 in FP8 on the H800; NVIDIA/Megatron-LM, roadmap
       for the GB200: 2,672 TFLOP/s in MXFP8.
.. [4] NVIDIA-NeMo/Megatron-Bridge, skills/: one model on 16 H100 with its switches turned one by
       one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from computeplan.physics.steptime.collectives import Fabric, collective_s
from computeplan.physics.steptime.layout import Layout, Mixture
from computeplan.physics.steptime.operators import Device
from computeplan.physics.steptime.transformer import Experts, Shape, expert_width

__all__ = ["exchange_s", "host_s", "mixture_bytes", "overlap"]

PERMUTE_BYTES, PERMUTE_ONCE_BYTES = 10.0, 5.0
"""Bytes moved for one number of one copy of a token on its way to or from the experts, where each
copy is sent by itself, and where tokens are sent once to a rank; counted [2]_."""
ROUTER_BYTES = 4.0
"""Of one number of a token: read and written around router and combination."""
ACTIVATION_FORWARD, ACTIVATION_BACKWARD = 6.0, 10.0
"""Bytes the activation function moves for one number of the experts' inner width; counted."""
UNFUSED_BIASES = 4.0
"""Times the traffic of the activation function where experts have biases: bias, clamp and gate are
kernels of their own; counted."""
QUANTIZE_BYTES = 4.0
"""Bytes moved to quantize one number of an operand, row-wise and column-wise; counted."""
OVERLAPPED_OPS = 1.4
"""Operators of the host with two micro-batches side by side over those without: 16.4 ms against
11.3 a layer of 16 local experts [4]_."""
FUSED_PERMUTE, FUSED_ACTIVATION, FUSED_QUANTIZE = 1.0, 2.0, 2.0
"""The same where one kernel does the whole MLP of the experts."""


def mixture_bytes(shape: Shape, mixture: Mixture, etp: Any, *, quantized: bool) -> tuple[Any, Any]:
    """Return what a token moves through memory around its experts, forward and backward. [B/token]

    Parameters
    ----------
    shape : Shape
        With a mixture of experts.
    mixture : Mixture
    etp : array_like
        Ranks that cut every expert: each gets the tokens of all of them.
    quantized : bool
        Whether operands are quantized.
    """
    moe = _experts(shape)
    k, h, f = float(moe.top_k), float(expert_width(shape)), float(moe.expert_ffn)
    # A token is sorted by rank at home, and by expert at each rank that gets it.
    seen = (1.0 + etp) / 2.0
    if mixture.fused:
        each = seen * FUSED_PERMUTE * k * h + ROUTER_BYTES * h + FUSED_ACTIVATION * k * f
        each += FUSED_QUANTIZE * k * h if quantized else 0.0
        return each, each
    permute = (PERMUTE_ONCE_BYTES if mixture.sends_once else PERMUTE_BYTES) * k * h
    each = seen * permute + ROUTER_BYTES * h
    biases = UNFUSED_BIASES if shape.biases == "all" else 1.0
    forward = each + biases * ACTIVATION_FORWARD * k * f
    backward = each + biases * ACTIVATION_BACKWARD * k * f
    if quantized:
        forward = forward + QUANTIZE_BYTES * k * (etp * h + f)
        backward = backward + QUANTIZE_BYTES * k * (etp * h + 2.0 * f)
    return forward, backward


def host_s(device: Device, shape: Shape, layout: Layout, mixture: Mixture) -> Any:
    """Return how long the host needs for a layer with experts, forward and backward. [s]"""
    local = _experts(shape).experts / layout.ep
    ops = mixture.ops + mixture.expert_ops * local
    return device.op_s * ops * np.where(overlap(layout, mixture) > 0, OVERLAPPED_OPS, 1.0)


def overlap(layout: Layout, mixture: Mixture) -> Any:
    """Return the share of the messages that computing hides at best."""
    return np.where((layout.pp == 1) | (layout.pieces > 1), mixture.overlap, 0.0)


def exchange_s(
    fabric: Fabric, shape: Shape, layout: Layout, mixture: Mixture, tokens: Any, token_bytes: float
) -> Any:
    """Return the time to send the tokens of a layer to their experts, or back [1]_ [2]_.

    Tokens spread evenly over the experts.

    Parameters
    ----------
    fabric : Fabric
    shape : Shape
        With a mixture of experts.
    layout : Layout
    mixture : Mixture
    tokens : array_like
        Tokens of one micro-batch on one context parallel rank. [token]
    token_bytes : float
        Of one number. [B]

    Returns
    -------
    ndarray
        [s]
    """
    moe, ep, etp = _experts(shape), layout.ep, layout.etp
    sent = tokens / layout.tp * expert_width(shape) * token_bytes
    gathered = collective_s(fabric, "all_gather", sent * moe.top_k * etp, etp)
    if mixture.gathers:  # every rank gets all tokens and picks its own
        return gathered + collective_s(fabric, "all_gather", sent * ep, ep, etp)
    inside = np.minimum(ep, np.maximum(np.floor(fabric.domain / etp), 1.0))
    servers = np.maximum(ep / inside, 1.0)
    if mixture.sends_once:
        near = ep * (1.0 - (1.0 - 1.0 / ep) ** moe.top_k) * (inside - 1.0) / inside
        servers_met = servers * (1.0 - (1.0 - 1.0 / servers) ** moe.top_k)
        servers_met = np.minimum(servers_met, moe.groups_per_token or np.inf)
        far = servers_met * (servers - 1.0) / servers
    else:
        near = moe.top_k * (inside - 1.0) / ep
        far = moe.top_k * (ep - inside) / ep
    link = fabric.links["all_to_all"]
    up = np.minimum(fabric.up_bytes_per_s, np.maximum(inside - 1.0, 1.0) * fabric.pair_bytes_per_s)
    local = link.call_s + link.rank_s * (inside - 1.0) + sent * near / (mixture.link_frac * up)
    remote = fabric.out_step_s + sent * far / fabric.out_rate
    longest = np.maximum(local, np.where(servers > 1.0, remote, 0.0))
    return gathered + np.where(ep > 1.0, longest, 0.0)


def _experts(shape: Shape) -> Experts:
    assert shape.moe is not None
    return shape.moe
