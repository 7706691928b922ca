"""Where the power figures of the catalogue meet the physics: states, nodes and caps of a chip."""

from __future__ import annotations

import math
from dataclasses import replace

from computeplan.physics.power.caps import CapCurve, cap_curve
from computeplan.physics.power.node import Cooled, Node, default_node
from computeplan.physics.power.states import ChipStates, default_states
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.power import CapPoints, StateFigures, power_table

__all__ = ["caps_of", "curve_through", "node_of", "states_of"]

NODE_CHIPS = 8


def states_of(chip: Chip) -> ChipStates:
    """Return the watts of a chip by state: measured ones, and shares of its limit for the rest.

    Raises
    ------
    ValueError
        If its board limit is not known.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> states_of(load_chip("H100-SXM")[0]).compute_w
    668.2
    """
    states = default_states(_limit_w(chip))
    figures = power_table().states.get(chip.name, StateFigures())
    for name in StateFigures.model_fields:
        figure = getattr(figures, name)
        if figure is not None and figure.value is not None:
            states = replace(states, **{f"{name}_w": figure.value})
    return states


def node_of(chip: Chip, cooled: Cooled = "air", *, behind_supply: bool = False) -> tuple[int, Node]:
    """Return the chips of the usual server of a chip, and what it draws beside them.

    Raises
    ------
    ValueError
        If the board limit of the chip is not known.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> n, node = node_of(load_chip("H100-SXM")[0])
    >>> n, round(node.host_w)
    (8, 1416)
    """
    server = chip.server
    n_chips = NODE_CHIPS if server is None or server.chips.value is None else server.chips.value
    rated = None if server is None or server.max_power is None else server.max_power.value
    limits_w = n_chips * _limit_w(chip)
    if rated is not None and rated < limits_w:  # of another build of the server
        rated = None
    return n_chips, default_node(limits_w, rated, cooled, behind_supply=behind_supply)


def caps_of(chip: Chip) -> CapCurve | None:
    """Return the measured curve of caps of a chip, None where there is none.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> curve = caps_of(load_chip("V100")[0])
    >>> None if curve is None else curve.cap_frac.size
    7
    >>> caps_of(load_chip("H100-SXM")[0]) is None
    True
    """
    points = power_table().curves.get(chip.name)
    return None if points is None else curve_through(points)


def curve_through(points: CapPoints) -> CapCurve:
    """Return the curve through measured points."""
    speeds, draws = zip(*points.points.values(), strict=True)
    return cap_curve([*points.points], speeds, draws)


def _limit_w(chip: Chip) -> float:
    limit = math.nan if chip.power.tdp is None else chip.power.tdp.value
    if limit is None or math.isnan(limit):
        raise ValueError(f"{chip.name}: its board limit (power.tdp) is not known")
    return limit
