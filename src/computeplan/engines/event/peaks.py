"""The highest draw of each site in each calendar month of one run, as demand charges ask for it.

What nodes draw is noted whenever jobs or services begin to hold another number of them, and what a
battery does with it. PUE is not looked at meanwhile: at the end, draws and the steps of the PUE are
laid over each other, and the highest of each month is read off. So neither hours nor months are
events.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.ledger import IDLE, TRAIN
from computeplan.world.months import month_edges_s
from computeplan.world.signals import Signal
from computeplan.world.world import World

__all__ = ["MonthPeaks"]


class MonthPeaks:
    """What sites draw over a run; nothing is noted where no site has a demand charge."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_asked = any(not math.isnan(p.demand_money_per_w_month) for p in world.pools)
        names = [pool.site for pool in world.pools]
        self.sites = list(dict.fromkeys(names))
        self.site = [self.sites.index(name) for name in names]
        self.more_w: list[float] = (world.node_w[:, TRAIN] - world.node_w[:, IDLE]).tolist()
        all_nodes = np.array([pool.n_nodes + pool.n_spare_nodes for pool in world.pools])
        idle_w = np.bincount(self.site, all_nodes * world.node_w[:, IDLE], len(self.sites))
        self.idle_w: list[float] = idle_w.tolist()
        self.told = array("d")  # of each change its time, then by site: draw, and battery

    def note(
        self,
        now_s: float,
        held: Sequence[int],
        served: Sequence[Sequence[int]],
        spared_w: Mapping[int, float],
        flow_w: Mapping[str, float],
    ) -> None:
        """Note how many nodes jobs and services hold from now on.

        `spared_w` is what caps take off the draw of a pool, `flow_w` what the battery of a site
        takes, or gives if negative. [W]
        """
        draw_w = self.idle_w.copy()
        for p, (site, more_w) in enumerate(zip(self.site, self.more_w, strict=True)):
            n_held = held[p] + sum(by_pool[p] for by_pool in served)
            draw_w[site] += n_held * more_w - spared_w.get(p, 0.0)
        width = 1 + 2 * len(draw_w)
        row = [*draw_w, *(flow_w.get(name, 0.0) for name in self.sites)]
        if self.told and self.told[-width] == now_s:  # only what holds after all of this time
            del self.told[-width:]
        if list(self.told[1 - width :]) != row:
            self.told.append(now_s)
            self.told.extend(row)

    def by_month(self, wall_s: float) -> FloatArray | None:
        """Return `Ledger.month_peak_w` of a run that ends then; None where it is not asked for."""
        if not self.is_asked:
            return None
        told = np.array(self.told).reshape(-1, 1 + 2 * len(self.sites))
        at_first = [0.0, *self.idle_w, *[0.0] * len(self.sites)]  # before anybody holds a node
        told = np.vstack([at_first, told])
        edges_s = month_edges_s(self.world.begins_s, wall_s)
        return np.array([[self._of_site(i, edges_s, wall_s, told) for i in self.site]])

    def _of_site(
        self, site: int, edges_s: FloatArray, wall_s: float, told: FloatArray
    ) -> FloatArray:
        """Return the highest draw of a site in each month. [W]"""
        flat = (Signal(np.zeros(1), np.ones(1)),) * len(self.site)
        facility = self.world.signals.get("energy", flat)[self.site.index(site)]
        begins_s = np.maximum(edges_s[:-1], 0.0)
        times_s = np.unique(np.concatenate([begins_s, told[:, 0], facility.steps_s(0.0, wall_s)]))
        times_s = times_s[: max(int(np.searchsorted(times_s, wall_s)), 1)]
        at = np.searchsorted(told[:, 0], times_s, side="right") - 1
        draw_w, flow_w = told[at, 1 + site], told[at, 1 + len(self.sites) + site]
        taken_w = draw_w * facility.at(times_s) + flow_w
        return np.maximum.reduceat(taken_w, np.searchsorted(times_s, begins_s))
