"""Watts by power state, and the meters at which energy is read.

A chip in training draws most of its board limit whatever its MFU; while it saves, restarts or
waits it draws little more than idle. A node adds hosts, fans and conversion, a cluster its
network, a site its cooling (PUE). One run differs up to threefold by the meter alone, so every
number names its own: ``chip``, ``accelerator`` (chip and its share of the host), ``node``,
``node+network``, ``it``, ``facility``.

Sources
-------
.. [1] Ai2, Olmo 3 7B: 621 W mean of a 700 W H100 over 234,000 GPU-hours (meter: chip).
.. [2] J. Morrison et al., arXiv:2503.05804: from above 600 W to about 100 W at checkpoints.
.. [3] I. Latif et al., arXiv:2412.08602, and A. Newkirk et al., arXiv:2506.14551: 8-GPU H100 node,
       76 % of 10.2 kW in compute-heavy training, 969 W per GPU (meter: node).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StateWatts", "default_watts"]

COMPUTE_PER_TDP = 621 / 700  # measured on the H100 [1]; an estimate for every other chip
LOAD_PER_TDP = 100 / 700  # measured on the H100 [2]; an estimate for every other chip
WAIT_PER_TDP = 100 / 700  # estimate: a live context without work draws about what a save does
IDLE_PER_TDP = 70 / 700  # estimate
NODE_OVERHEAD_PER_TDP = (969 - 621) / 700  # H100, the difference of [3] and [1]; else an estimate
NETWORK_PER_NODE = 0.05  # estimate: switches and optics as a share of the node in training


@dataclass(frozen=True, slots=True)
class StateWatts:
    """Watts of one chip by power state, and of what stands around it."""

    meter: str
    """Where the chip's watts are read: ``chip``, ``accelerator`` or ``node``."""
    compute_w: float
    load_w: float
    wait_w: float
    idle_w: float
    repair_w: float
    """Watts of one chip: training; saving or restarting; blocked; unallocated; in repair. [W]"""
    node_overhead_w: float
    """Hosts, fans, conversion of one node, while it is not in repair. [W]"""
    network_w: float
    """Network of one node, always on. [W]"""


def default_watts(tdp_w: float, chips_per_node: int) -> StateWatts:
    """Return the watts of a chip of which only the board limit is known.

    Parameters
    ----------
    tdp_w : float
        Board limit. [W]
    chips_per_node : int
        Chips in a node.

    Raises
    ------
    ValueError
        If an argument is not > 0.

    Examples
    --------
    >>> watts = default_watts(700.0, 8)
    >>> f"{watts.compute_w + watts.node_overhead_w / 8:.0f} W per chip at the node"
    '969 W per chip at the node'
    """
    if not (tdp_w > 0 and chips_per_node > 0):
        raise ValueError(f"tdp_w and chips_per_node must be > 0, got {tdp_w} and {chips_per_node}")
    compute_w = COMPUTE_PER_TDP * tdp_w
    overhead_w = NODE_OVERHEAD_PER_TDP * tdp_w * chips_per_node
    return StateWatts(
        meter="chip",
        compute_w=compute_w,
        load_w=LOAD_PER_TDP * tdp_w,
        wait_w=WAIT_PER_TDP * tdp_w,
        idle_w=IDLE_PER_TDP * tdp_w,
        repair_w=0.0,
        node_overhead_w=overhead_w,
        network_w=NETWORK_PER_NODE * (compute_w * chips_per_node + overhead_w),
    )
