"""A pool, compiled: identical chips in nodes at one site, their faults and planned stops."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from computeplan.arrays import FloatArray
from computeplan.distributions import law_discount, law_mean_s
from computeplan.physics.checkpoint import even_restart_s
from computeplan.physics.power.caps import CapCurve
from computeplan.specs.sites import Retire
from computeplan.specs.uncertain import Factor
from computeplan.world.faults import Kind, Slow
from computeplan.world.maintenance import Stop

__all__ = ["Placement", "Pool", "is_slowed"]


@dataclass(frozen=True, slots=True)
class Placement:
    """How nodes of a pool are chosen for jobs, by the groups that they stand in."""

    n_nodes: int
    """Of one group; a group begins at a multiple of it, and the last one may be smaller."""
    by: Literal["first", "fewest", "spread"]
    """The nodes that have been free longest; those on the fewest groups; or on the most."""
    across_frac: float
    """Share of its speed that a job has while it lies on more groups than the least that could
    hold it."""

    def n_least(self, n_nodes: int) -> int:
        """Return the least number of groups that could hold a job of so many nodes.

        Examples
        --------
        >>> racks = Placement(4, "fewest", 1.0)
        >>> racks.n_least(4), racks.n_least(5)
        (1, 2)
        """
        return -(-n_nodes // self.n_nodes)


@dataclass(frozen=True, slots=True)
class Pool:
    """Identical chips in nodes, at one site."""

    name: str
    site: str
    chip: str
    """As in the scenario; `chip` is the catalogue name."""
    n_nodes: int
    n_spare_nodes: int
    chips_per_node: int
    """Nodes that jobs can hold, nodes on top, chips in each."""
    kinds: tuple[Kind, ...]
    stops: tuple[Stop, ...]
    """Kinds of faults, and planned stops."""
    n_crews: int | None
    """Nodes that can be in repair by crews at one time; None without limit."""
    spare_states: tuple[tuple[int, float], ...]
    """Spare nodes, and how long until one of them can train, in the order in which they are
    used. [1, s]"""
    meter: str
    """Where `chip_w` is read."""
    chip_w: FloatArray
    """Watts of one chip by phase; nan if unknown; shape (n_phases,). [W]"""
    node_overhead_w: FloatArray
    network_w: FloatArray
    """Watts around one chip by phase: its share of the node and of the network; shape (n_phases,).
    [W]"""
    pue: float
    """Facility energy / IT energy."""
    money_per_j: float
    kg_per_j: float
    """Price and carbon of the site's power; nan if not given. [currency/J, kg/J]"""
    rent_money_per_chip_s: float
    """Price of having a chip; nan if not given. [currency/s]"""
    retire: Retire | None = None
    """When a node is replaced instead of being repaired."""
    uplink_bytes_per_s: float = math.inf
    """Bandwidth of its site to others, for each job; inf where a move takes no time. [B/s]"""
    sent_money_per_b: float = math.nan
    """Price of what leaves its site; nan if not given. [currency/B]"""
    throttle_frac: float = 0.0
    """Share of the speed of training that is lost when it is hottest."""
    placement: Placement | None = None
    """How nodes are chosen for jobs; None if groups do not count."""
    demand_money_per_w_month: float = math.nan
    """Charge for the highest draw of the site in a month; nan if not given. [currency/(W month)]"""
    purchase_money_per_chip_s: float = math.nan
    embodied_kg_per_chip_s: float = math.nan
    building_money_per_w_s: float = math.nan
    """Purchase of a chip, carbon of making it, and the building for a watt that it draws at most,
    over their lives; nan if not given. [currency/s, kg/s, currency/(W s)]"""
    market_kg_per_j: float = math.nan
    """Carbon by contracts: that of what is bought without one; nan if not known. [kg/J]"""
    site_water_l_per_j: float = math.nan
    grid_water_l_per_j: float = math.nan
    """Water for cooling per energy of the IT, and of power stations per energy of the site; nan if
    not known. [L/J]"""
    most_it_w: float = 0.0
    """What a chip draws at most in any state, with its node and network; 0 where its phases say it
    all. [W]"""
    caps: CapCurve | None = None
    """Speed and draw of a chip under a cap, as measured; None where nothing was."""

    @property
    def n_chips(self) -> int:
        """Chips of the pool, spares included."""
        return (self.n_nodes + self.n_spare_nodes) * self.chips_per_node

    @property
    def fault_rate_per_node_s(self) -> float:
        """Faults of one node that stop a job, at the mean of each factor. [1/s]"""
        return sum(kind.stop_rate_per_node_s for kind in self.kinds)

    @property
    def repair_load_per_node(self) -> float:
        """Nodes in repair per node, if all that fail are replaced: rate x mean repair."""
        return sum(kind.all_rate_per_node_s * kind.down_s for kind in self.kinds)

    @property
    def mean_restart_s(self) -> float:
        """Mean restart after a fault, over kinds by rate. [s]"""
        rate = self.fault_rate_per_node_s
        weighted = sum(
            kind.stop_rate_per_node_s * law_mean_s(kind.interrupt.restart)
            for kind in self.kinds
            if kind.interrupt
        )
        return weighted / rate if rate else 0.0

    @property
    def comes_back(self) -> bool:
        """Whether the next fault of some nodes depends on when they were restored."""
        return any(kind.comes_back for kind in self.kinds)

    def kind(self, index: int) -> Kind:
        """Return the kind of an index in `World.kind_names`."""
        return next(kind for kind in self.kinds if kind.index == index)

    def stop(self, index: int) -> Stop:
        """Return the planned stop of an index in `World.kind_names`."""
        return next(stop for stop in self.stops if stop.index == index)

    @property
    def n_arrivals(self) -> float:
        """How many faults and planned stops there are; inf if they go on without end."""
        logged = [len(kind.log.start_s) if kind.log else math.inf for kind in self.kinds]
        return sum([*logged, *(math.inf if (n := s.n_times) is None else n for s in self.stops)])

    @property
    def boots(self) -> bool:
        """Whether some spares need time until they can train."""
        return any(n and ready_s for n, ready_s in self.spare_states)

    @property
    def is_busy(self) -> bool:
        """Whether faults send to repair only nodes of jobs that are not blocked."""
        takes = [kind.is_busy for kind in self.kinds if kind.taken_per_fault]
        return bool(takes) and all(takes)

    @property
    def across_frac(self) -> float:
        """The share of its speed that a job has on more groups of nodes than it needs."""
        return 1.0 if self.placement is None else self.placement.across_frac

    @property
    def has_groups(self) -> bool:
        """Whether a fault may take several nodes."""
        interrupts = [kind.interrupt for kind in self.kinds if kind.interrupt]
        return any(outcome.n_nodes > 1 for one in interrupts for outcome in one.outcomes)

    def at_worst(self) -> Pool:
        """Return the pool with every factor at its worst: samples are drawn as far as that."""
        ends = [Factor(kind.factor.worst, kind.factor.worst) for kind in self.kinds]
        worst = (replace(k, factor=end) for k, end in zip(self.kinds, ends, strict=True))
        return replace(self, kinds=tuple(worst))

    def restart_kept_frac(self, rate_per_s: float) -> float:
        """Return the probability that a restart is over before the next fault, at some rate.

        Over kinds by rate: a fault of any kind begins a restart of its own law.
        """
        rate = self.fault_rate_per_node_s
        weighted = sum(
            kind.stop_rate_per_node_s * law_discount(kind.interrupt.restart, rate_per_s)
            for kind in self.kinds
            if kind.interrupt and kind.rate_per_node_s
        )
        return min(weighted / rate, 1.0) if rate else 1.0

    def even_restart_s(self, rate_per_s: float) -> float:
        """Return the restart of constant length that costs the same, at some rate of faults. [s]"""
        if not rate_per_s:
            return self.mean_restart_s
        return float(even_restart_s(self.restart_kept_frac(rate_per_s), 1 / rate_per_s))


def is_slowed(pool: Pool) -> bool:
    """Return whether jobs do not always train at full speed on a pool."""
    has_slow = any(isinstance(kind.effect, Slow) for kind in pool.kinds)
    return has_slow or pool.throttle_frac > 0 or pool.across_frac < 1
