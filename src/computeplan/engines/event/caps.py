"""Power caps of pools in one run, and what they leave of the power and the speed of training.

A cap is in facility watts. What it leaves is shared by all nodes that jobs hold in the pool, and in
each the chips give way: hosts and network draw on, so that half of the power of a node is less than
half of that of its chips. Under that the jobs train as fast as was measured on such a chip; where
nothing was, as much slower as their chips draw less, which is an estimate. No node draws less than
if it were idle. In other phases a node draws its power, or no more than
it would in training: a save takes as long as it does without a cap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from computeplan.engines.event.books import FULL
from computeplan.errors import ComputePlanError
from computeplan.ledger import IDLE, TRAIN
from computeplan.physics.power.caps import speed_at_draw
from computeplan.world.world import World

__all__ = ["STANDS_STILL", "PowerCaps"]

STANDS_STILL = 1e-9
"""Share of its speed of a job without power: it holds its nodes, and goes on from where it is."""


class PowerCaps:
    """The caps of pools, in facility watts; none where nothing is capped.

    Those that the policy has decided, and those that follow from the limit of a site. `dark` are
    pools whose nodes are switched off in part, as their site has less power than idle nodes draw:
    what is left of that.
    """

    def __init__(self, world: World) -> None:
        self.world, self.cap_w, self.limit_w = world, dict[int, float](), dict[int, float]()
        self.slowed, self.dark = set[int](), dict[int, float]()
        self.train_w: list[float] = world.pool_table.train_w.tolist()
        self.idle_w: list[float] = world.node_w[:, IDLE].tolist()
        self.n_nodes = [pool.n_nodes + pool.n_spare_nodes for pool in world.pools]
        self.speeds = dict[tuple[int, float], float]()
        self.phase_w: list[list[float]] = world.node_w.tolist()

    def decide(self, cap_w: Mapping[int, float]) -> None:
        """Note caps that hold from now on; those of pools that are not named stay.

        Raises
        ------
        ComputePlanError
            If a cap cannot be held to, or the policy does not say that it may cap.
        """
        for pool, watts in cap_w.items():
            if why := self._why_not(pool, watts):
                raise ComputePlanError(f"policy {self.world.policy} {why}")
        self.cap_w.update(cap_w)

    def _why_not(self, pool: int, watts: float) -> str:
        pools = self.world.pools
        if pool not in range(len(pools)):
            return f"caps pool {pool}, and there are {len(pools)}"
        name = pools[pool].name
        if not self.world.caps_power:
            return f'caps pool {name} and does not say that it may: it lacks registry.may("cap")'
        if math.isnan(self.train_w[pool]):
            return f"caps pool {name}, whose power is not known: give power"
        if not watts > 0:
            return f"caps pool {name} at {watts:g} W: a cap must be > 0, and inf lifts it"
        return ""

    def shares(self, pool: int, n_held: int) -> tuple[float, tuple[float, ...]]:
        """Return the share of their speed of jobs that hold nodes of a pool, and of their power.

        The latter in each phase.
        """
        draw_w, cap_w = n_held * self.train_w[pool], self.most_w(pool)
        speed_frac = 1.0
        if pool in self.dark:
            speed_frac = STANDS_STILL
        elif draw_w > cap_w:
            idle_frac = self.idle_w[pool] / self.train_w[pool]
            speed_frac = self._speed_frac(pool, cap_w / draw_w, idle_frac)
        return speed_frac, self._drawn(pool, cap_w / n_held if n_held else math.inf)

    def _speed_frac(self, pool: int, drawn_frac: float, idle_frac: float) -> float:
        """Return the share of its speed of a job whose nodes draw a share of their power."""
        chip_w = self.world.pools[pool].chip_w
        idle_chip_frac = float(chip_w[IDLE] / chip_w[TRAIN])
        if drawn_frac < idle_frac < 1:
            chip_frac = idle_chip_frac * drawn_frac / idle_frac
        else:  # straight from idle to training
            falls = (1.0 - idle_chip_frac) / (1.0 - idle_frac) if idle_frac < 1 else 1.0
            chip_frac = 1.0 - (1.0 - drawn_frac) * falls
        if (pool, chip_frac) not in self.speeds:
            curve = self.world.pools[pool].caps
            self.speeds[pool, chip_frac] = float(speed_at_draw(curve, chip_frac))
        return self.speeds[pool, chip_frac]

    def _drawn(self, pool: int, node_w: float) -> tuple[float, ...]:
        """Return what a node draws at most, its cap, over what it draws in each phase."""
        most_w = node_w if pool in self.dark else max(node_w, self.idle_w[pool])
        if not max(self.phase_w[pool]) > most_w:
            return FULL
        return tuple(most_w / w if w > most_w else 1.0 for w in self.phase_w[pool])

    def rest(self, pool: int) -> tuple[float, ...]:
        """Return the share of their power that idle nodes draw, and those in repair, by phase."""
        return (self.dark[pool],) * len(FULL) if pool in self.dark else FULL

    def most_w(self, pool: int) -> float:
        """Return what jobs of a pool may draw; inf without a cap. [W]"""
        return min(self.cap_w.get(pool, math.inf), self.limit_w.get(pool, math.inf))

    def due(self, held: Sequence[int]) -> Iterator[tuple[int, tuple[float, tuple[float, ...]]]]:
        """Yield the pools whose jobs are to be told their shares of speed and power, and those."""
        for pool in sorted({*self.cap_w, *self.limit_w, *self.slowed}):
            shares = self.shares(pool, held[pool])
            is_slowed = shares != (1.0, FULL)
            if is_slowed or pool in self.slowed:
                yield pool, shares
            (self.slowed.add if is_slowed else self.slowed.discard)(pool)

    def spared_w(self, held: Sequence[int]) -> dict[int, float]:
        """Return what is drawn less than if all nodes that jobs hold trained at full speed. [W]

        By pool, what idle nodes draw less while they are switched off included; none without a cap.
        """
        spared_w = dict[int, float]()
        for pool in {*self.cap_w, *self.limit_w}:
            least_w = held[pool] * self.idle_w[pool] * self.dark.get(pool, 1.0)
            least_w = max(self.most_w(pool), least_w)
            spared_w[pool] = max(held[pool] * self.train_w[pool] - least_w, 0.0)
        for pool, left_frac in self.dark.items():
            n_idle = self.n_nodes[pool] - held[pool]
            spared_w[pool] += n_idle * self.idle_w[pool] * (1.0 - left_frac)
        return spared_w
