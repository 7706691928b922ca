"""What the chips of a fleet did over time, in the first run of a case.

Of the pools on which services run: chips that serve, start, drain or stand by, that jobs hold, and
that are idle or in repair, from each change to the next. At any time they are all chips of these
pools, but for nodes that are switched off or lent to other pools.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.ledger import SERVICE_STATES, Ledger
from computeplan.results.steps import SAME_S, mean_steps, summed_steps
from computeplan.world.world import World

__all__ = ["FLEET_STATES", "FleetSeries", "fleet_of"]

FLEET_STATES = (*SERVICE_STATES, "jobs", "idle", "repair")
"""What a chip of a fleet does; jobs hold the fifth."""


@dataclass(frozen=True, eq=False, slots=True)
class FleetSeries:
    """Chips by what they do, from each time to the next."""

    edges_s: FloatArray
    """When it changes, from 0 to the end of the run, rising; shape (n_steps + 1,). [s]"""
    chips: FloatArray
    """By `FLEET_STATES`; shape (n_steps, n_states)."""
    needed: FloatArray
    """Chips that the hour needs: those that serve, and those that were to; shape (n_steps,)."""

    def means(self, edges_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the means of chips and of the need between given times.

        Examples
        --------
        >>> series = FleetSeries(np.array([0.0, 90, 100]), np.array([[2.0], [8]]), np.array([2, 8]))
        >>> [found.tolist() for found in series.means(np.array([0.0, 50.0, 100.0]))]
        [[[2.0], [3.2]], [2.0, 3.2]]
        """
        columns = np.column_stack([self.chips, self.needed])
        found = mean_steps(self.edges_s, columns, edges_s)
        return found[:, :-1], found[:, -1]


def fleet_of(ledger: Ledger, world: World) -> FleetSeries | None:
    """Return what chips of the pools of services did in the first run; None without a timeline."""
    wall_s = float(ledger.wall_s[0])
    if ledger.serving is None or ledger.spans is None or ledger.unallocated is None:
        return None
    if wall_s <= SAME_S or not world.services:
        return None
    pools = sorted({pool for one in world.services for pool in one.pools})
    spans = [(s.pool, s.start_s, s.end_s, s.n_chips) for s in ledger.spans if s.job >= 0]
    n_of_services = len(SERVICE_STATES)
    wide = np.concatenate(
        [
            _in_columns(ledger.serving, [*range(n_of_services), len(FLEET_STATES)]),
            _in_columns(np.array(spans, dtype=np.float64).reshape(-1, 4), [n_of_services]),
            _in_columns(ledger.unallocated, [n_of_services + 1, n_of_services + 2]),
        ]
    )
    rows = wide[np.isin(wide[:, 0], pools)]
    edges_s, found = summed_steps(rows[:, 1:3], rows[:, 3:], wall_s)
    is_new = np.append(True, np.abs(np.diff(found, axis=0)).max(axis=1, initial=0.0) > 0)
    edges_s, found = np.append(edges_s[:-1][is_new], edges_s[-1]), found[is_new]
    chips = found[:, :-1]
    serving = chips[:, 0]
    return FleetSeries(edges_s, chips, serving + found[:, -1])


def _in_columns(rows: FloatArray, places: list[int]) -> FloatArray:
    """Return rows of pool, start and end, numbers in columns by state, and what lacks last."""
    found = np.zeros((len(rows), 3 + len(FLEET_STATES) + 1))
    found[:, :3] = rows[:, :3]
    found[:, [3 + place for place in places]] = rows[:, 3:]
    return found
