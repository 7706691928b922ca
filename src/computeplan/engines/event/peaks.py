"""The highest draw of one run: of all sites, and of each in each calendar month for its charges.

What nodes of jobs draw is noted whenever jobs begin to hold another number of them, and what a
battery does with it. Services and the PUE are not looked at meanwhile: at the end, draws, what
services drew and the steps of the PUE are laid over each other, and the highest is read off. So
neither hours nor months are events. Where nothing but jobs and batteries changes what is drawn, and
no site has a demand charge, only the highest is kept, of all sites as one.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from operator import sub

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.event.instances import Account
from computeplan.ledger import IDLE
from computeplan.world.months import month_edges_s
from computeplan.world.signals import Signal
from computeplan.world.world import World

__all__ = ["Peaks"]


class Peaks:
    """What sites draw over a run, and what their batteries take."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_charged = any(not math.isnan(p.demand_money_per_w_month) for p in world.pools)
        self.is_kept = self.is_charged or bool(world.services) or "energy" in world.signals
        names = [pool.site if self.is_kept else "" for pool in world.pools]
        self.sites = list(dict.fromkeys(names))
        self.site = [self.sites.index(name) for name in names]
        base_w, busy = world.draw_w([0] * len(names)), np.eye(len(names), dtype=np.int64)
        self.more_w = [world.draw_w(row.tolist()) - base_w for row in busy]
        all_nodes = np.array([pool.n_nodes + pool.n_spare_nodes for pool in world.pools])
        idle_w = np.bincount(self.site, all_nodes * world.node_w[:, IDLE], len(self.sites))
        self.idle_w: list[float] = idle_w.tolist()
        # Of each change its time, then by site: draw, and battery; at first nobody holds a node.
        self.told = array("d", [0.0, *self.idle_w, *[0.0] * len(self.sites)])
        self.most_w = -math.inf  # until the last change

    def note(
        self,
        now_s: float,
        held: Sequence[int],
        spared_w: Mapping[int, float],
        flow_w: Mapping[str, float],
    ) -> None:
        """Note how many nodes jobs hold from now on.

        `spared_w` is what caps and limits take off the draw of a pool, `flow_w` what the battery of
        a site takes, or gives if negative. [W]
        """
        draw_w, less_w = self.idle_w.copy(), [0.0] * len(self.sites)
        for site, n_held, more_w in zip(self.site, held, self.more_w, strict=True):
            draw_w[site] += n_held * more_w
        for p, watts in spared_w.items():
            less_w[self.site[p]] += watts
        all_w = [sum(flow_w.values())]
        flows_w = [flow_w.get(name, 0.0) for name in self.sites] if self.is_kept else all_w
        row = [*map(sub, draw_w, less_w), *flows_w]
        width = 1 + len(row)
        if self.told[-width] == now_s:  # only what holds after all of this time
            del self.told[-width:]
        elif not self.is_kept:
            self._look_back()
            del self.told[:]
        if list(self.told[1 - width :]) != row:
            self.told.append(now_s)
            self.told.extend(row)

    def _look_back(self) -> None:
        """Count what was drawn since the last change."""
        draw_w = sum(self.told[1:])
        if not draw_w <= self.most_w:  # also where watts are not known
            self.most_w = draw_w

    def close(self, wall_s: float, accounts: Sequence[Account]) -> tuple[float, FloatArray | None]:
        """Return `Ledger.peak_w` and `month_peak_w` of a run that ends then.

        `accounts` are what its services did. Months are None where no site has a charge for them.
        """
        if not self.is_kept:
            if self.told[0] < wall_s or self.most_w == -math.inf:
                self._look_back()
            return self.most_w, None
        edges_s = month_edges_s(self.world.begins_s, wall_s)
        begins_s = np.maximum(edges_s[:-1], 0.0)
        times_s, taken_w = self._over_time(wall_s, begins_s, accounts)
        most_w = float(taken_w.sum(axis=0).max())
        if not self.is_charged:
            return most_w, None
        by_month = np.maximum.reduceat(taken_w, np.searchsorted(times_s, begins_s), axis=1)
        return most_w, by_month[None, self.site]

    def _over_time(
        self, wall_s: float, begins_s: FloatArray, accounts: Sequence[Account]
    ) -> tuple[FloatArray, FloatArray]:
        """Return when something changes, months too, and what each site takes from then on. [s, W]

        The latter of shape (n_sites, n_times).
        """
        told = np.array(self.told).reshape(-1, 1 + 2 * len(self.sites))
        flat = (Signal(np.zeros(1), np.ones(1)),) * len(self.site)
        by_pool = self.world.signals.get("energy", flat)
        facility = [by_pool[self.site.index(i)] for i in range(len(self.sites))]
        steps_s = [signal.steps_s(0.0, wall_s) for signal in facility]
        steps_s += [one.times_s[:, 0] for one in accounts]
        times_s = np.unique(np.concatenate([begins_s, told[:, 0], *steps_s]))
        times_s = times_s[: max(int(np.searchsorted(times_s, wall_s)), 1)]
        at = np.searchsorted(told[:, 0], times_s, side="right") - 1
        draw_w, flow_w = np.split(told[at, 1:].T, 2)
        for spec, node_w, one in zip(
            self.world.services, self.world.served_w, accounts, strict=True
        ):
            at = np.searchsorted(one.times_s[:, 0], times_s, side="right") - 1
            for k, p in enumerate(spec.pools if len(one.times_s) else ()):
                above_w = node_w[p, 0] - self.world.node_w[p, IDLE], node_w[p, 1]
                chips = np.array([one.n_chips[at, k], one.loaded[at, k]])
                draw_w[self.site[p]] += above_w @ chips / self.world.pools[p].chips_per_node
        pue = np.array([signal.at(times_s) for signal in facility])
        return times_s, draw_w * pue + flow_w
