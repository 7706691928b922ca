"""The books of one run of the event engine, closed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from computeplan.arrays import IntArray
from computeplan.engines.event.gang import Gang
from computeplan.engines.event.poolnodes import PoolNodes
from computeplan.ledger import IDLE, PHASES, REPAIR, Ledger, Span

__all__ = ["close_books"]


def close_books(
    gangs: Sequence[Gang],
    pools: Sequence[PoolNodes],
    wall_s: float,
    n_interruptions: IntArray,
    n_idle_faults: IntArray,
    n_slowdowns: IntArray,
    spans: Sequence[Span] | None,
) -> Ledger:
    """Book what is under way at the end of the run, and return the ledger.

    Parameters
    ----------
    gangs, pools : sequence
        Booked until something last happened to them.
    wall_s : float
        Length of the run. [s]
    n_interruptions, n_idle_faults, n_slowdowns : ndarray, shape (1, n_kinds)
        As in the ledger.
    spans : sequence of Span, or None
        Timeline.
    """
    chip_s = np.zeros((1, len(gangs) + 1, len(pools), len(PHASES)))
    slow_chip_s = np.zeros((1, len(gangs), len(pools), 2))
    for gang in gangs:
        gang.close(wall_s)
        if gang.pool >= 0:
            chip_s[0, gang.index, gang.pool] = gang.chip_s()
            n_chips = gang.n_nodes * gang.chips_per_node
            slow_chip_s[0, gang.index, gang.pool] = np.multiply(gang.slow_s(), n_chips)
    for pool, nodes in enumerate(pools):
        nodes.book(wall_s)
        chip_s[0, -1, pool, IDLE] = nodes.idle_node_s * nodes.spec.chips_per_node
        chip_s[0, -1, pool, REPAIR] = nodes.repair_node_s * nodes.spec.chips_per_node
    return Ledger(
        chip_s=chip_s,
        job_s=np.array([[gang.job_s for gang in gangs]]),
        first_start_s=np.array([[gang.start_s for gang in gangs]]),
        end_s=np.array([[gang.end_s for gang in gangs]]),
        wall_s=np.array([wall_s]),
        n_interruptions=n_interruptions,
        n_idle_faults=n_idle_faults,
        n_repairs=np.array([[nodes.n_repairs for nodes in pools]]),
        n_from_start=np.array([[gang.n_from_start for gang in gangs]]),
        n_retired=np.array([[nodes.n_retired for nodes in pools]]),
        n_slowdowns=n_slowdowns,
        slow_chip_s=slow_chip_s,
        spans=spans,
    )
