"""Mixtures of experts: what a layer with experts does besides a dense one.

Every token is sent to the ranks that hold its experts, and back.

Sources
-------
.. [1] DeepSeek-AI, arXiv 2412.19437, section 3.2.2: a token crosses the network once for every
       server that holds one of its experts, then the links of that server to each of its ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from computeplan.physics.steptime.collectives import Fabric, collective_s
from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.transformer import Shape, expert_width

__all__ = ["experts_s"]


def experts_s(fabric: Fabric, shape: Shape, layout: Layout, tokens: Any, token_bytes: float) -> Any:
    """Return the time to send the tokens of a layer to their experts, or back [1]_.

    Tokens spread evenly over the experts.

    Parameters
    ----------
    fabric : Fabric
    shape : Shape
        With a mixture of experts.
    layout : Layout
    tokens : array_like
        Tokens of one micro-batch on one context parallel rank. [token]
    token_bytes : float
        Of one number. [B]

    Returns
    -------
    ndarray
        [s]
    """
    moe = shape.moe
    assert moe is not None
    ep = layout.ep
    sent = tokens / layout.tp * expert_width(shape) * token_bytes
    inside = np.minimum(ep, float(fabric.domain))
    servers = np.maximum(ep / inside, 1.0)
    ranks_met = ep * (1.0 - (1.0 - 1.0 / ep) ** moe.top_k)
    local = collective_s(fabric, "all_to_all", sent * ranks_met, inside)
    servers_met = servers * (1.0 - (1.0 - 1.0 / servers) ** moe.top_k)
    servers_met = np.minimum(servers_met, moe.groups_per_token or np.inf)
    crossing = sent * servers_met * (servers - 1.0) / servers
    remote = np.where(servers > 1, fabric.out_step_s + crossing / fabric.out_rate, 0.0)
    return np.maximum(local, remote)
