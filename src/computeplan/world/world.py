"""The world: a scenario compiled to SI numbers, the only thing an engine reads.

Long because all that engines, policies and closed forms derive from its parts stands here once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.distributions import law_mean_s
from computeplan.errors import InfeasibleError
from computeplan.ledger import IDLE, PHASES, REPAIR, RESTART, TRAIN
from computeplan.notes import Notes
from computeplan.physics.reliability import erlang_b, short_share, stalled_share
from computeplan.scheduling.registry import can, load_policy
from computeplan.scheduling.view import JobTable, Mixing, Policy, PoolTable, TenantTable
from computeplan.specs.catalogue.site_figures import SiteFigure
from computeplan.units import DAY_S
from computeplan.world.features import Feature, features_of
from computeplan.world.jobs import Job, Jobs
from computeplan.world.limits import PowerLimit
from computeplan.world.pools import Pool
from computeplan.world.services import Service
from computeplan.world.signals import Signal

__all__ = ["World"]

NEVER_ENDS = 1000  # times the expected wall time


def _blocked_share(place: Pool, n_nodes: int, longer: float = 1.0) -> float:
    """Return the share of time a job lacks a node in the long run, if none waits for a crew.

    `longer` is how many times as long repairs are.
    """
    spares = place.n_nodes + place.n_spare_nodes - n_nodes
    share = stalled_share if place.is_busy else short_share
    return share(n_nodes, spares, place.repair_load_per_node * longer)


def _longer_by_crews(place: Pool) -> float:
    """Return about how many times as long nodes are away because they wait for a crew.

    Erlang's delay formula, with waits half as long again for repairs that vary: a guess, on which
    only the cost of a run depends.
    """
    if place.n_crews is None:
        return 1.0
    load = place.repair_load_per_node * (place.n_nodes + place.n_spare_nodes)
    busy = min(load / place.n_crews, 0.95)
    lost = erlang_b(place.n_crews, busy * place.n_crews)
    waits = lost / (1 - busy * (1 - lost))
    return 1.0 + 1.5 * waits / (place.n_crews * (1 - busy))


def _places(job: Job) -> tuple[int, ...]:
    """Return the pools on which a job may run, those that it would rather have first."""
    found = map(int, np.flatnonzero(job.n_nodes))
    return tuple(sorted(found, key=job.preference.__getitem__) if job.preference else found)


@dataclass(frozen=True, eq=False)  # equal to itself alone: what is found of it may be kept
class World:
    """Everything an engine reads."""

    name: str
    policy: str
    """As in the scenario."""
    pools: tuple[Pool, ...]
    jobs: Jobs
    """As compiled."""
    kind_names: tuple[str, ...]
    """Fault kinds, then planned stops."""
    n_fault_kinds: int
    """How many of them are faults."""
    horizon_s: float
    """Wall time at which a run ends, whatever is done; inf if it ends with its last job. [s]"""
    notes: Notes
    """What a reader of the numbers must know."""
    sharing: tuple[tuple[int, ...], ...] = ()
    """Pools whose spares stand in for each other's nodes: groups of two or more."""
    signals: Mapping[str, tuple[Signal, ...]] = field(default_factory=dict)
    """What varies in time, by the name of its weight in the ledger, for each pool."""
    currency: str = "USD"
    """In which the prices of the pools are."""
    decide: Policy | None = None
    """The policy with its settings; None for that of the name with its own."""
    tenants: TenantTable = field(default_factory=TenantTable)
    services: tuple[Service, ...] = ()
    """Who holds chips beside jobs, by the hour."""
    site_figures: Mapping[str, tuple[SiteFigure, ...]] = field(default_factory=dict)
    """What each site takes from the catalogue, with the limits of estimates."""
    at_most_s: float = math.inf
    """Wall time at which a run ends if its last job has not ended before; inf without. [s]"""
    limits: tuple[PowerLimit, ...] = ()
    """Of sites, those that have one."""
    begins_s: float = 0.0
    """Time of the year when a run begins. [s]"""

    @property
    def cut_s(self) -> float:
        """Wall time at which a run is cut, be its jobs unfinished; inf without. [s]"""
        return min(self.horizon_s, self.at_most_s)

    @property
    def ends_with_work(self) -> bool:
        """Whether a run ends with its last job."""
        return math.isinf(self.horizon_s)

    def signals_of(self, pool: int) -> tuple[Signal, ...]:
        """Return the signals of a pool."""
        return tuple(by_pool[pool] for by_pool in self.signals.values())

    @cached_property
    def caps_power(self) -> bool:
        """Whether the policy may cap the power of pools."""
        return can(self.decide or load_policy(self.policy), "cap")

    @property
    def n_chips(self) -> list[int]:
        """Chips of each pool, spares included."""
        return [pool.n_chips for pool in self.pools]

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """What it asks of those who play it."""
        return features_of(
            self.pools,
            self.jobs,
            self.sharing,
            self.policy,
            self.horizon_s,
            self.at_most_s,
            self.signals,
            self.services,
            self.limits,
            caps_power=self.caps_power,
            pauses=can(self.decide or load_policy(self.policy), "pause"),
        )

    @cached_property
    def n_nodes(self) -> IntArray:
        """Nodes that make each job whole on each pool, shape (n_jobs, n_pools); 0 if none can."""
        found = np.asarray(self.jobs.of_kind("whole_nodes"), dtype=np.int64)
        return found.reshape(len(self.jobs), len(self.pools))

    @cached_property
    def arrival_order(self) -> IntArray:
        """Jobs in the order in which they come, shape (n_jobs,)."""
        return np.argsort(self.jobs.arrival_s, kind="stable")

    @cached_property
    def job_table(self) -> JobTable:
        """What a policy may see of the jobs; work is counted in jobs as compiled, of their kind."""
        jobs, pools = self.jobs, range(len(self.pools))
        kinds = jobs.kinds
        shape = (len(kinds), len(pools))
        n_nodes = np.array([one.n_nodes for one in kinds], dtype=np.int64).reshape(shape)
        train_s = np.array([one.train_s for one in kinds]).reshape(shape)
        wall_s = [
            [k.expected_wall_s(p) if k.n_nodes[p] else math.inf for p in pools] for k in kinds
        ]
        energy_j = [[self._energy_j(one, p) for p in pools] for one in kinds]
        with np.errstate(divide="ignore", invalid="ignore"):
            speed = np.where(n_nodes > 0, 1.0 / train_s, 0.0)
        known = {name: i for i, name in enumerate(self.tenants.names)}
        tenant = np.array([known.get(name, 0) for name in jobs.tenant_names], dtype=np.int64)
        return JobTable(
            kind=jobs.kind.astype(np.int64),
            work=np.asarray(jobs.scale, dtype=np.float64),
            arrival_s=jobs.arrival_s,
            deadline_s=jobs.deadline_s,
            home=np.asarray(jobs.of_kind("home"), dtype=np.int64),
            tenant=tenant[jobs.tenant],
            priority=jobs.priority,
            weight=jobs.weight,
            n_nodes=n_nodes,
            speed=speed,
            wall_s=np.array(wall_s).reshape(shape),
            energy_j=np.array(energy_j).reshape(shape),
            step=np.array([one.step for one in kinds]),
            places=tuple(map(_places, kinds)),
            least_nodes=np.array(
                [[one.least_nodes_on(p) for p in pools] for one in kinds], dtype=np.int64
            ).reshape(shape)
            if any(one.is_elastic for one in kinds)
            else None,
            mixing=self._mixing(),
        )

    def _mixing(self) -> Mixing | None:
        """Return how jobs run on several pools at once."""
        kinds, shape = self.jobs.kinds, (len(self.jobs.kinds), len(self.pools))
        if not any(one.mixing_frac for one in kinds):
            return None
        n_nodes = [one.whole_nodes if one.mixing_frac else [0] * len(self.pools) for one in kinds]
        wall_s = [
            [k.expected_wall_s(p) if n else math.inf for p, n in enumerate(row)]
            for k, row in zip(kinds, n_nodes, strict=True)
        ]
        return Mixing(
            frac=np.array([one.mixing_frac for one in kinds]),
            n_nodes=np.array(n_nodes, dtype=np.int64).reshape(shape),
            wall_s=np.array(wall_s).reshape(shape),
        )

    @cached_property
    def owners(self) -> tuple[int, ...]:
        """Tenants that have jobs or services, by their places in `tenants`."""
        of_services = {self.tenants.names.index(one.tenant) for one in self.services}
        return tuple(sorted(of_services.union(np.unique(self.job_table.tenant).tolist())))

    @cached_property
    def pool_table(self) -> PoolTable:
        """What a policy may see of the pools."""
        chips = np.array([pool.chips_per_node for pool in self.pools])
        sites = [pool.site for pool in self.pools]
        train_w = self.node_w[:, TRAIN]
        prices = np.array([pool.money_per_j for pool in self.pools])
        rents = np.nan_to_num([pool.rent_money_per_chip_s for pool in self.pools]) * chips
        return PoolTable(
            names=tuple(pool.name for pool in self.pools),
            n_nodes=np.array([pool.n_nodes for pool in self.pools], dtype=np.int64),
            chips_per_node=chips,
            usd_per_node_s=train_w * prices + rents,
            kg_per_j=np.array([pool.kg_per_j for pool in self.pools]),
            train_w=train_w,
            l_per_j=self._water_l_per_j(),
            held_w=self.full_w - self.rest_w,
            site=tuple(sites.index(pool.site) for pool in self.pools),
            courses=self.signals,
        )

    @cached_property
    def full_w(self) -> FloatArray:
        """What a node of each pool draws at most while a job holds it; shape (n_pools,). [W]"""
        return np.asarray(self.node_w.max(axis=1))

    @cached_property
    def rest_w(self) -> FloatArray:
        """What it draws at most while none does; shape (n_pools,). [W]"""
        return np.asarray(self.node_w[:, [IDLE, REPAIR]].max(axis=1))

    def _water_l_per_j(self) -> FloatArray:
        """Return the water per facility energy of each pool; nan where none is known. [L/J]"""
        grid = np.array([pool.grid_water_l_per_j for pool in self.pools])
        site = np.array([pool.site_water_l_per_j / pool.pue for pool in self.pools])
        none = np.isnan(grid) & np.isnan(site)
        return np.where(none, np.nan, np.nan_to_num(grid) + np.nan_to_num(site))

    @cached_property
    def wall_s(self) -> FloatArray:
        """Expected wall time of each job on each pool, inf where it can never run. [s]"""
        return np.asarray(self.job_table.wall_s[self.jobs.kind] * self.jobs.scale[:, None])

    @cached_property
    def node_w(self) -> FloatArray:
        """Facility watts of a node by phase, shape (n_pools, n_phases). [W]"""
        watts = [self._facility_w(pool) * pool.chips_per_node for pool in self.pools]
        return np.array(watts).reshape(len(self.pools), len(PHASES))

    @cached_property
    def served_w(self) -> FloatArray:
        """Facility watts of a node that a service holds, and more at all that it gives. [W]

        As in training where nothing else is known. Shape (n_services, n_pools, 2).
        """
        found = np.zeros((len(self.services), len(self.pools), 2))
        for p, pool in enumerate(self.pools):
            found[:, p, 0] = self.node_w[p, TRAIN]
            for i, one in enumerate(self.services):
                if (drawn := one.drawn_on(p)) is not None:
                    it_w = np.array([drawn.it_w, drawn.it_more_w])
                    found[i, p] = it_w * (pool.pue * pool.chips_per_node)
        return found

    def draw_w(self, held: Sequence[int]) -> float:
        """Return what all sites draw if so many nodes of each pool train, and others idle. [W]"""
        total_w = 0.0
        for pool, n_held, watts in zip(self.pools, held, self.node_w, strict=True):
            n_idle = pool.n_nodes + pool.n_spare_nodes - n_held
            total_w += n_held * watts[TRAIN] + n_idle * watts[IDLE]
        return float(total_w)

    @staticmethod
    def _facility_w(place: Pool) -> FloatArray:
        return np.asarray((place.chip_w + place.node_overhead_w + place.network_w) * place.pue)

    def _energy_j(self, spec: Job, pool: int) -> float:
        """Return the expected facility energy of a whole job on a pool, never blocked. [J]

        Faults and saves stand still for as long as they say; the rest of what is not kept is
        training that is lost, which draws as training does.
        """
        place, n_nodes = self.pools[pool], int(spec.n_nodes[pool])
        watts = self._facility_w(place)
        train_s, wall_s = float(spec.train_s[pool]), spec.expected_wall_s(pool)
        if not n_nodes or math.isinf(wall_s):
            return math.nan if not n_nodes else math.inf
        faults = place.fault_rate_per_node_s * n_nodes * wall_s
        still_s = faults * place.mean_restart_s + train_s * spec.saving_frac_on(pool)
        still_s = min(still_s, wall_s - train_s)
        chip_j = watts[TRAIN] * (wall_s - still_s) + watts[RESTART] * still_s
        return float(chip_j * n_nodes * place.chips_per_node)

    def blocked_share(self, job: int, pool: int) -> float:
        """Return the share of time that a job alone on a pool lacks a node, in the long run."""
        place = self.pools[pool]
        return _blocked_share(place, min(int(self.jobs[job].whole_nodes[pool]), place.n_nodes))

    def work_factor(
        self, step_factor: FloatArray, jobs: slice | IntArray = slice(None)
    ) -> FloatArray:
        """Return how many times its nominal training time each job takes, from its steps.

        Or each of some jobs. Both of shape (n_runs, n_jobs, n_pools).
        """
        is_timed = self.jobs.of_kind("is_timed", jobs)
        return np.where(is_timed[:, None], 1.0, step_factor)

    def long_run_wall_s(self, job: int, pool: int) -> float:
        """Return the wall time of a job on a pool at the pace of the long run, lacking nodes. [s]

        Inf if it hardly trains. A job that goes on with fewer nodes is never blocked.
        """
        spec = self.jobs[job]
        wall_s = spec.expected_wall_s(pool)
        blocked = 0.0 if spec.shrinking else self.blocked_share(job, pool)
        return wall_s / (1 - blocked) if blocked < 1 else math.inf

    def first_look_s(self, job: int, pool: int) -> float:
        """Return how far to draw samples for a job alone on a pool, at first. [s]

        Far enough for nearly every run, by closed form; only the cost depends on it.
        """
        if math.isfinite(self.horizon_s):
            return self.horizon_s  # idle nodes fault until then
        place, spec = self.pools[pool].at_worst(), self.jobs[job]
        n_nodes = min(int(spec.whole_nodes[pool]), place.n_nodes)  # a part of a mixed job
        wall_s = spec.wall_at_worst_s(pool, place) / (spec.mixing_frac or 1.0)
        if math.isinf(wall_s):  # at its slowest it hardly ever gets to a save
            return self.at_most_s
        train_s = float(spec.train_s[pool]) * spec.step_factor_on(pool).worst
        n_faults = place.fault_rate_per_node_s * n_nodes * wall_s
        # What faults cost varies about as an exponential, so its sum by sqrt(2 / n) of itself.
        spread_s = (wall_s - train_s) * math.sqrt(2 / max(n_faults, 1.0))
        blocked = _blocked_share(place, n_nodes, _longer_by_crews(place))
        likely_s = (wall_s + 5 * spread_s) / max(1 - blocked, 0.05)
        repair_s = place.repair_load_per_node / (place.fault_rate_per_node_s or 1.0)
        if blocked > 1e-6:  # then some run waits for a few repairs
            likely_s += 6 * repair_s
        likely_s += self._data_way_s(spec, place)
        return min(spec.arrival_s + likely_s + 4 * place.mean_restart_s, self.at_most_s)

    def _data_way_s(self, spec: Job, place: Pool) -> float:
        """Return how long the data of a job take to the site of a pool from where they lie. [s]"""
        if not spec.data_bytes or place.site == spec.data_site:
            return 0.0
        uplinks = [p.uplink_bytes_per_s for p in (place, *self.pools) if p.site == spec.data_site]
        return spec.data_bytes / min(place.uplink_bytes_per_s, *uplinks)

    def n_arrivals(self, pool: int) -> float:
        """Return about how many arrivals on a pool a run has, as far as it is looked at first."""
        return sum(self.arrivals_by_kind(pool).values())

    def arrivals_by_kind(self, pool: int) -> dict[str, float]:
        """Return about how many arrivals of each kind a run has, by name; see `n_arrivals`."""
        place, until_s = self.pools[pool], self.look_s(pool)
        found = {name: rate * until_s for name, rate in self._arrival_rates(pool).items()}
        for kind in place.kinds:
            if kind.lifetime is not None and kind.rate_per_node_s:
                n_new = 1 if kind.lifetime.age_s is None else place.n_nodes + place.n_spare_nodes
                found[kind.name] = max(found[kind.name], n_new * kind.n_again(until_s))
        found |= {k.name: float(len(k.log.start_s)) for k in place.kinds if k.log is not None}
        return found | {stop.name: float(len(stop.at_s)) for stop in place.stops if stop.at_s}

    def look_s(self, pool: int) -> float:
        """Return how far to draw samples on a pool, at first. [s]"""
        jobs = self.jobs.longest
        looks_s = [self.first_look_s(j, pool) for j in jobs if self.n_nodes[j, pool]]
        return max(looks_s) if looks_s else self.longest_look_s

    def arrival_rate(self, pool: int) -> float:
        """Return the rate of what is drawn on a pool, at most: faults and stops. [1/s]

        A fault that takes several nodes counts as many arrivals; a stop at a time of its own as
        none.
        """
        return sum(self._arrival_rates(pool).values())

    def _arrival_rates(self, pool: int) -> dict[str, float]:
        place = self.pools[pool].at_worst()
        rates = {}
        for kind in place.kinds:
            outcomes = kind.interrupt.outcomes if kind.interrupt else ()
            more = sum(o.share_frac * (o.n_nodes - 1) for o in outcomes if o.n_nodes > 1)
            n_nodes = place.n_nodes + place.n_spare_nodes
            rates[kind.name] = kind.all_rate_per_node_s * (1 + more) * n_nodes
        return rates | {stop.name: 1 / stop.interval_s for stop in place.stops}

    @cached_property
    def longest_look_s(self) -> float:
        """How far to draw samples for any job on any pool, at first. [s]"""
        looks_s = (
            self.first_look_s(j, p)
            for j in self.jobs.longest
            for p in range(len(self.pools))
            if self.n_nodes[j, p]
        )
        return max(looks_s, default=self.horizon_s)

    def longer_look_s(self, until_s: float, waiting: str) -> float:
        """Return how far to draw samples after `until_s` was not enough, without a horizon. [s]

        Half as far again, on which only the cost depends. An InfeasibleError that names the jobs
        that are `waiting`, if they seem never to end.
        """
        interrupts = [kind.interrupt for pool in self.pools for kind in pool.kinds]
        repairs_s = [law_mean_s(one.repair) for one in interrupts if one and one.repair]
        repairs_s += [law_mean_s(p.retire.replaced_in) for p in self.pools if p.retire]
        likely_s = len(self.jobs) * (self.longest_look_s + max(repairs_s, default=0.0))
        faults_go_on = any(
            self.arrival_rate(p) * until_s > 10 * self.n_arrivals(p) + 2_000
            for p in range(len(self.pools))
        )
        if math.isinf(self.at_most_s) and (until_s > NEVER_ENDS * likely_s or faults_go_on):
            lacks = "lacks nodes beside the services" if self.services else "lacks nodes"
            lacks += " or power below the limit of a site" if self.limits else ""
            raise InfeasibleError(
                f"jobs.{waiting}: still not done after {until_s / DAY_S:,.3g} days; {lacks} or has"
                " too many faults. Give simulate.at_most, more spares or shorter repairs"
            )
        return min(1.5 * until_s, self.at_most_s)
