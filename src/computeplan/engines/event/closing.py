"""The books of one run of the event engine, closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from computeplan.arrays import IntArray
from computeplan.engines.event.gang import Gang
from computeplan.engines.event.poolnodes import PoolNodes
from computeplan.ledger import IDLE, LOST, PHASES, REPAIR, TRAIN, Ledger, Span

__all__ = ["close_books"]


def close_books(
    gangs: Sequence[Gang],
    pools: Sequence[PoolNodes],
    wall_s: float,
    counts: Mapping[str, IntArray],
    spans: Sequence[Span] | None,
) -> Ledger:
    """Book what is under way at the end of the run, and return the ledger.

    Parameters
    ----------
    gangs, pools : sequence
        Booked until something last happened to them.
    wall_s : float
        Length of the run. [s]
    counts : mapping of str to ndarray, shape (1, n_kinds)
        What is counted by kind, as in the ledger.
    spans : sequence of Span, or None
        Timeline.
    """
    booked = np.zeros((1, len(gangs) + 1, len(pools), len(PHASES), 2))
    chip_s, slow_chip_s = booked[..., 0], booked[..., 1]
    for gang in gangs:
        gang.close(wall_s)
        if gang.pool >= 0:
            chip_s[0, gang.index, gang.pool] = gang.chip_s()
            n_chips = gang.n_nodes * gang.chips_per_node
            slow = np.multiply(gang.slow_s(), n_chips)
            slow_chip_s[0, gang.index, gang.pool, [TRAIN, LOST]] = slow
    for pool, nodes in enumerate(pools):
        nodes.book(wall_s)
        chip_s[0, -1, pool, IDLE] = nodes.idle_node_s * nodes.spec.chips_per_node
        chip_s[0, -1, pool, REPAIR] = nodes.repair_node_s * nodes.spec.chips_per_node
    return Ledger(
        booked=booked,
        job_s=np.array([[gang.job_s for gang in gangs]]),
        first_start_s=np.array([[gang.start_s for gang in gangs]]),
        end_s=np.array([[gang.end_s for gang in gangs]]),
        wall_s=np.array([wall_s]),
        counts={
            **counts,
            "repairs": np.array([[nodes.n_repairs for nodes in pools]]),
            "retired": np.array([[nodes.n_retired for nodes in pools]]),
            "from_start": np.array([[gang.n_from_start for gang in gangs]]),
        },
        weights=("seconds", "slow"),
        spans=spans,
    )
