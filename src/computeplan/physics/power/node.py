"""What stands around chips: host, fans, conversion, racks, network.

A node draws more than its chips. One part is there whatever they do: processors, memory, network
cards, switches on the board. Another follows the load: fans, and the losses of the supply. A
converter loses a constant and a share of what it delivers, so that its input is ``(output + const)
/ efficiency``; parallel ones share their load. The fixed part is set to one measured server, a DGX
A100 in an all-reduce [1]_: 2,574 W with 8 chips of 146.1 W; other servers have it in proportion to
what their rating leaves beside the limits of their chips. Fans are an estimate.

Sources
-------
.. [1] FlagOpen/FlagPerf, base/benchmarks/interconnect-MPI_intraserver/nvidia.
.. [2] NVIDIA DGX data sheets: rated 6.5 kW with 8 A100, 10.2 kW with 8 H100, 14.3 kW with 8 B200.
.. [3] 80 PLUS Titanium at 230 V: efficiency of 90, 94, 96 and 91 % at 10, 20, 50 and 100 % load.
.. [4] W. Brewer et al., SC24, and ExaDigiT/RAPS: losses of converters as constant and efficiency.
.. [5] SemiAnalysis as retold: switches, optics and storage 10 % of 1,500 W a chip at 100,000 H100.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray, at_least_zero

__all__ = [
    "COOLING",
    "Converter",
    "Cooled",
    "Node",
    "default_node",
    "fabric_watts",
    "input_watts",
    "node_watts",
]

Cooled = Literal["air", "liquid", "immersion"]
COOLING: tuple[Cooled, ...] = ("air", "liquid", "immersion")
FANS_PER_W = {"air": 0.10, "liquid": 0.03, "immersion": 0.0}  # estimates, but the last
RATED_PER_TDP = 1.82  # 10.2 kW over 8 x 700 W, the middle one of [2]; an estimate where not rated
SUPPLY_PER_RATED = 2.0  # supplies with their spares: 19.8 kW in a DGX H100, 18 kW in a DGX A100
SUPPLY_FRAC = 0.9763  # of [3], through its points at 10 and 50 %; at 20 % it gives 0.937
SUPPLY_CONST = 0.00847  # W per W of the supplies, the same two points
HOST_PER_RATED = 0.3078  # set to [1]: (2,574 W less losses and fans) - 1,168.8 W, over 3,300 W
PORTS = 64  # of a switch
SWITCH_W = 1920.0  # with optics and storage, by [5] and three tiers of 64 ports; an estimate


@dataclass(frozen=True, slots=True)
class Converter:
    """A supply or rectifier: it draws ``(output + const_w) / efficiency_frac``."""

    const_w: float
    """Lost at any load. [W]"""
    efficiency_frac: float
    """Of what is delivered, and of the constant."""


@dataclass(frozen=True, slots=True)
class Node:
    """What a node draws beside its chips."""

    host_w: float
    """Processors, memory, cards: whatever the chips do. [W]"""
    fans_w_per_w: float
    """Fans, by what they cool."""
    supply: Converter | None
    """None where power is read behind it, as direct current."""


def input_watts(converter: Converter, output_w: ArrayLike, n: int = 1) -> FloatArray:
    """Return what converters draw that share a load equally [4]_.

    Parameters
    ----------
    converter : Converter
        One of them.
    output_w : array_like
        What all of them deliver. [W]
    n : int
        How many there are.

    Returns
    -------
    ndarray of the shape of `output_w`
        What all of them draw. [W]

    Raises
    ------
    ValueError
        If an argument is below 0, or the efficiency not in (0, 1].

    Examples
    --------
    >>> float(input_watts(Converter(17.0, 0.96), 32 * 3000.0, n=32)) / 32
    3142.7083333333335
    """
    output, const = at_least_zero(output_w=output_w, const_w=converter.const_w)
    if not 0 < converter.efficiency_frac <= 1:
        raise ValueError(f"efficiency_frac must be in (0, 1], got {converter.efficiency_frac}")
    if n < 1:
        raise ValueError(f"n must be >= 1, got {n}")
    return np.asarray((output + n * const) / converter.efficiency_frac)


def default_node(
    chips_tdp_w: float,
    rated_w: float | None = None,
    cooled: Cooled = "air",
    *,
    behind_supply: bool = False,
) -> Node:
    """Return what a server draws beside its chips, from its rating.

    Parameters
    ----------
    chips_tdp_w : float
        Board limits of all its chips. [W]
    rated_w : float, optional
        Rated input of the server. [W]
    cooled : {"air", "liquid", "immersion"}
        Fans are needed by air, a few by cold plates, none in a tank.
    behind_supply : bool
        Whether power is read as direct current, without the losses of the supply.

    Raises
    ------
    ValueError
        If watts are not > 0, the rating is below the limits, or the cooling is not known.

    Examples
    --------
    The server that it is set to:

    >>> dgx_a100 = default_node(8 * 400.0, 6500.0)
    >>> f"{float(node_watts(8 * 146.1, dgx_a100)):.0f} W"
    '2574 W'
    """
    if not 0 < chips_tdp_w < math.inf:
        raise ValueError(f"chips_tdp_w must be > 0, got {chips_tdp_w}")
    rated = RATED_PER_TDP * chips_tdp_w if rated_w is None else rated_w
    if not chips_tdp_w <= rated < math.inf:
        raise ValueError(f"rated_w must be >= the limits of the chips, {chips_tdp_w}, got {rated}")
    if cooled not in FANS_PER_W:
        raise ValueError(f"cooled must be one of {', '.join(COOLING)}, got {cooled!r}")
    supply = Converter(SUPPLY_CONST * SUPPLY_PER_RATED * rated, SUPPLY_FRAC)
    return Node(
        host_w=HOST_PER_RATED * (rated - chips_tdp_w),
        fans_w_per_w=FANS_PER_W[cooled],
        supply=None if behind_supply else supply,
    )


def node_watts(chips_w: ArrayLike, node: Node) -> FloatArray:
    """Return what a node draws.

    Parameters
    ----------
    chips_w : array_like
        What its chips draw together. [W]
    node : Node
        What stands around them.

    Returns
    -------
    ndarray of the shape of `chips_w`
        At the meter of the node. [W]

    Raises
    ------
    ValueError
        If watts are below 0.

    Examples
    --------
    >>> round(float(node_watts(5000.0, Node(1000.0, 0.1, Converter(75.0, 0.95)))))
    7026
    """
    (chips,) = at_least_zero(chips_w=chips_w)
    inside = (node.host_w + chips) * (1.0 + node.fans_w_per_w)
    return np.asarray(inside if node.supply is None else input_watts(node.supply, inside))


def fabric_watts(n_ports: int) -> float:
    """Return what the switches between nodes draw, with optics and storage: an estimate.

    A non-blocking tree of switches with 64 ports has one port of a switch for each node port up to
    64 of these, three up to 2,048, and five beyond. What is left of a switch is others'.

    Parameters
    ----------
    n_ports : int
        Ports of all nodes.

    Returns
    -------
    float
        Watts of the whole network. [W]

    Raises
    ------
    ValueError
        If there are less than 0 ports.

    Examples
    --------
    >>> fabric_watts(8), fabric_watts(64), round(fabric_watts(100_000) / 100_000)
    (240.0, 1920.0, 150)
    """
    if n_ports < 0:
        raise ValueError(f"n_ports must be >= 0, got {n_ports}")
    per_port = 1 if n_ports <= PORTS else 3 if n_ports <= PORTS**2 // 2 else 5
    return SWITCH_W * per_port * n_ports / PORTS
