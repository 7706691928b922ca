"""The power of a site over time, in the first run of a case.

What jobs, services and idle nodes draw is constant between two changes, so the curve is a series of
steps: every stretch of a timeline adds its watts where it begins and takes them where it ends. Its
integral is the energy that the ledger books. Swings are read from it, because grids ask: how often
it draws how much, by how much it rises or falls at one moment, and within some minutes.

Saves are as long as they are in the timeline: of a job with very many, some stand together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.ledger import IDLE, PHASES, REPAIR, Ledger, Span
from computeplan.results.steps import SAME_S, mean_steps, summed_steps
from computeplan.world.signals import Signal
from computeplan.world.world import World

__all__ = ["RAMPS_S", "PowerSeries", "power_of", "together"]

RAMPS_S = (60.0, 900.0, 3600.0)
"""Times over which ramps are told. [s]"""


@dataclass(frozen=True, eq=False, slots=True)
class PowerSeries:
    """What a site draws from each time to the next, at the facility."""

    edges_s: FloatArray
    """When it changes, from 0 to the end of the run, rising; shape (n_steps + 1,). [s]"""
    watts: FloatArray
    """By phase of who draws it; shape (n_steps, n_phases). [W]"""
    battery_w: FloatArray | None = None
    """What a battery takes from the same supply, or gives if negative; shape (n_steps,). [W]"""
    limit_w: FloatArray | None = None
    """What it may take from outside; None without a limit that could bind; shape (n_steps,). [W]"""

    @property
    def seconds(self) -> FloatArray:
        """How long each step lasts; shape (n_steps,). [s]"""
        found: FloatArray = np.diff(self.edges_s)
        return found

    @property
    def total_w(self) -> FloatArray:
        """All phases together; shape (n_steps,). [W]"""
        found: FloatArray = self.watts.sum(axis=1)
        return found

    @property
    def taken_w(self) -> FloatArray:
        """What the site takes from outside, for its battery too; shape (n_steps,). [W]"""
        found: FloatArray = self.total_w
        return found if self.battery_w is None else found + self.battery_w

    @property
    def energy_j(self) -> FloatArray:
        """The integral over the run; shape (n_phases,). [J]"""
        found: FloatArray = self.seconds @ self.watts
        return found

    def percentile_w(self, percent: float) -> float:
        """Return what the site takes no more than for a share of the time. [W]

        Examples
        --------
        >>> series = PowerSeries(np.array([0.0, 90.0, 100.0]), np.array([[2.0], [8.0]]))
        >>> series.percentile_w(50), series.percentile_w(95)
        (2.0, 8.0)
        """
        order = np.argsort(self.taken_w, kind="stable")
        gone = np.cumsum(self.seconds[order])
        return float(self.taken_w[order][np.searchsorted(gone, percent / 100 * gone[-1])])

    @property
    def mean_w(self) -> float:
        """Mean over the run. [W]"""
        return float(np.average(self.taken_w, weights=self.seconds))

    @property
    def peak_w(self) -> float:
        """The most that is taken at a time. [W]"""
        return float(self.taken_w.max())

    @property
    def largest_step_w(self) -> float:
        """By how much it rises or falls at one moment, at most. [W]"""
        return float(np.abs(np.diff(self.taken_w)).max(initial=0.0))

    def largest_ramp_w(self, within_s: float) -> float:
        """Return the largest difference between two times no farther apart than that. [W]

        Examples
        --------
        >>> series = PowerSeries(np.array([0.0, 60, 120, 180]), np.array([[1.0], [3.0], [7.0]]))
        >>> series.largest_ramp_w(1.0), series.largest_ramp_w(60.0), series.largest_ramp_w(61.0)
        (4.0, 4.0, 6.0)
        """
        total_w, n = self.taken_w, len(self.watts)
        last = np.searchsorted(self.edges_s[:-1], self.edges_s[1:] + within_s) - 1
        found, width, first = 0.0, 1, np.arange(n)
        high, low = total_w.copy(), total_w.copy()  # of `width` steps from each on
        while True:
            ends = np.maximum(last - width + 1, first)  # two such windows reach from first to last
            is_here = (last - first + 1 >= width) & (last - first + 1 < 2 * width)
            tops = np.maximum(high, high[np.minimum(ends, n - 1)])[is_here]
            bottoms = np.minimum(low, low[np.minimum(ends, n - 1)])[is_here]
            here_w = total_w[is_here]
            rises_w, falls_w = (tops - here_w).max(initial=0.0), (here_w - bottoms).max(initial=0.0)
            found = max(found, rises_w, falls_w)
            if width >= n:
                return float(found)
            later = np.minimum(first + width, n - 1)
            high, low = np.maximum(high, high[later]), np.minimum(low, low[later])
            width *= 2

    def means_w(self, edges_s: FloatArray) -> FloatArray:
        """Return the mean of each phase between given times, none after the run. [W]

        Shape (n_edges - 1, n_phases).

        Examples
        --------
        >>> series = PowerSeries(np.array([0.0, 90.0, 100.0]), np.array([[2.0], [8.0]]))
        >>> series.means_w(np.array([0.0, 50.0, 100.0])).tolist()
        [[2.0], [3.2]]
        """
        return mean_steps(self.edges_s, self.watts, edges_s)


def together(parts: Sequence[PowerSeries]) -> PowerSeries:
    """Return what several sites of one run draw together, under a limit if each has one.

    Examples
    --------
    >>> one = PowerSeries(np.array([0.0, 9.0]), np.array([[1.0]]))
    >>> other = PowerSeries(np.array([0.0, 5.0, 9.0]), np.array([[2.0], [4.0]]))
    >>> together([one, other]).total_w.tolist()
    [3.0, 5.0]
    """
    edges_s = np.unique(np.concatenate([one.edges_s for one in parts]))
    at = [np.searchsorted(one.edges_s, edges_s[:-1], side="right") - 1 for one in parts]
    pairs = [*zip(parts, at, strict=True)]
    watts = sum((one.watts[i] for one, i in pairs), np.zeros(1))
    stored = [one.battery_w[i] for one, i in pairs if one.battery_w is not None]
    limits = [one.limit_w[i] for one, i in pairs if one.limit_w is not None]
    return PowerSeries(
        edges_s,
        watts,
        sum(stored, np.zeros(1)) if stored else None,
        sum(limits, np.zeros(1)) if len(limits) == len(pairs) else None,
    )


def power_of(ledger: Ledger, world: World) -> dict[str, PowerSeries]:
    """Return the power of each site in the first run, by its name; none without a timeline.

    Sites with chips whose power is not known are left out.
    """
    if ledger.spans is None or ledger.unallocated is None:
        return {}
    rows = np.concatenate([_of_spans(ledger.spans), _of_unallocated(ledger.unallocated)])
    pool, phase = rows[:, 0].astype(int), rows[:, 1].astype(int)
    per_chip = world.node_w / np.array([[one.chips_per_node] for one in world.pools])
    watts = per_chip[pool, phase] * rows[:, 4]
    sites = np.array([one.site for one in world.pools])
    wall_s, found = float(ledger.wall_s[0]), {}
    for site in dict.fromkeys(sites.tolist()):
        here = sites[pool] == site
        if wall_s <= SAME_S or np.isnan(per_chip[sites == site]).any():
            continue
        stored = _stored(ledger, world, site)
        between_s = np.concatenate([rows[here, 2:4], stored[:, 1:3]])
        column = np.concatenate([phase[here], np.full(len(stored), len(PHASES))])
        by_column = np.zeros((len(column), len(PHASES) + 1))  # the last is the battery's
        by_column[np.arange(len(column)), column] = np.concatenate([watts[here], stored[:, 3]])
        edges_s, found_w = summed_steps(between_s, by_column, wall_s)
        if "energy" in world.signals:  # follows the PUE
            signal = world.signals["energy"][int(np.argmax(sites == site))]
            edges_s, found_w = _cut_at(signal, edges_s, found_w)
            found_w[:, : len(PHASES)] *= signal.at(edges_s[:-1])[:, None]
        limit_w = None
        for limit in (one for one in world.limits if one.site == site):
            edges_s, found_w = _cut_at(limit.over_time, edges_s, found_w)
            limit_w = limit.limit_w * limit.over_time.at(edges_s[:-1])
        battery_w = found_w[:, len(PHASES)] if len(stored) else None
        found[site] = PowerSeries(edges_s, found_w[:, : len(PHASES)], battery_w, limit_w)
    return found


def _cut_at(
    signal: Signal, edges_s: FloatArray, watts: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return steps that end where a signal changes, too."""
    finer_s = np.union1d(edges_s, signal.steps_s(0.0, float(edges_s[-1])))
    return finer_s, watts[np.searchsorted(edges_s, finer_s[:-1], side="right") - 1]


def _stored(ledger: Ledger, world: World, site: str) -> FloatArray:
    """Return the rows of `Ledger.battery_w` of a site."""
    if ledger.battery_w is None:
        return np.zeros((0, 4))
    limits = [i for i, one in enumerate(world.limits) if one.site == site]
    return ledger.battery_w[np.isin(ledger.battery_w[:, 0], limits)]


def _of_spans(spans: Sequence[Span]) -> FloatArray:
    """Return rows of pool, phase, start, end, and chips times the share that is drawn."""
    rows = [(s.pool, s.phase, s.start_s, s.end_s, s.n_chips * s.drawn_frac) for s in spans]
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def _of_unallocated(told: FloatArray) -> FloatArray:
    """Return rows of the same of what nobody holds."""
    pool, start_s, end_s, idle, repaired = told.T
    of_phase = [
        np.stack([pool, np.full(len(pool), phase), start_s, end_s, chips], axis=1)[chips > 0]
        for phase, chips in ((IDLE, idle), (REPAIR, repaired))
    ]
    return np.concatenate(of_phase)
