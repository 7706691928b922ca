"""Jobs, compiled: what each is on each pool, and the parts it saves to and shrinks by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.notes import Note
from computeplan.physics.checkpoint import job_ettr
from computeplan.physics.mixed import Route, summed_s
from computeplan.scheduling.registry import needs_of
from computeplan.specs.uncertain import Factor
from computeplan.world.pools import Pool

__all__ = ["Exchange", "Job", "Jobs", "Shrinking", "Tier"]

_KNOWN = Factor()
MOST_BOOKED_APART = 10_000  # jobs whose chip-seconds are kept apart, rather than by kind and tenant


@dataclass(frozen=True, slots=True)
class Tier:
    """One place that a job saves to, on one pool."""

    name: str
    """As in the scenario."""
    n_intervals: int
    """It is saved after every so many of the job's intervals."""
    stall_s: float
    write_s: float
    """How long training stands still, and how long after that the save is complete. [s]"""
    load_s: float
    """Added to a restart that reads it. [s]"""
    survives: int
    """The highest level of a fault after which it can be read: 0 to 3 for a fault that takes
    nothing, a node, a group of nodes, all."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What whole replicas at several sites send to one another at the end of every step.

    Each part of a mixed job is at a site of its own, and holds all of the gradients once. Nothing
    hides the sum, as the other site may just have ended.
    """

    n_bytes: float
    """Of all gradients. [B]"""
    step_s: FloatArray
    """A step of the whole job on each pool alone; nan where it can never run; shape (n_pools,).
    [s]"""
    uplink_bytes_per_s: tuple[float, ...]
    """Of the site of each pool. [B/s]"""
    latency_s: float
    """From one site to the next. [s]"""

    def seconds(self, pools: Sequence[int]) -> float:
        """Return what a step waits for the sum over parts on some pools. [s]"""
        slowest = min(self.uplink_bytes_per_s[pool] for pool in pools)
        route = Route(slowest, latency_s=self.latency_s)
        return float(summed_s(route, self.n_bytes, len(pools)))

    def sent_bytes(self, n_parts: int) -> float:
        """Return what each of some parts sends in a step. [B]"""
        return 2.0 * (n_parts - 1) / n_parts * self.n_bytes

    def frac(self, shares: Sequence[tuple[int, float]]) -> float:
        """Return the share of what parts train apart that they train together.

        Of each its pool, and its share of the nodes that make the whole job there. Steps are those
        of the nominal speed.

        Examples
        --------
        Two halves take 8 s and send 100 GB each at 50 GB/s:

        >>> both = Exchange(100e9, np.array([8.0, 8.0]), (50e9, 50e9), 0.0)
        >>> round(both.seconds([0, 1]), 9), round(both.frac([(0, 0.5), (1, 0.5)]), 9)
        (2.0, 0.8)
        """
        step_s = 1.0 / sum(share / float(self.step_s[pool]) for pool, share in shares)
        return step_s / (step_s + self.seconds([pool for pool, _ in shares]))


@dataclass(frozen=True, slots=True)
class Job:
    """One training run; arrays have one value per pool."""

    name: str
    model: str
    tenant: str
    """As in the scenario."""
    arrival_s: float
    deadline_s: float
    """When it comes, and when it should have ended (inf without deadline). [s]"""
    home: int
    """Index of its home pool, or -1."""
    n_nodes: IntArray
    """Nodes it holds on each pool; 0 where it can never run; shape (n_pools,)."""
    train_s: FloatArray
    """Training time its work takes without any stop; shape (n_pools,). [s]"""
    tok_per_s: FloatArray
    """Tokens per second of training; nan where unknown; shape (n_pools,)."""
    interval_s: FloatArray
    """Training time between saves, of the most frequent tier; inf if it never saves; shape
    (n_pools,). [s]"""
    save_s: FloatArray
    """How long training stands still to save before it stops or ends; shape (n_pools,). [s]"""
    ettr: FloatArray
    """Expected share of wall time that is kept training, with spares without limit; with several
    tiers at least that, which is as if there were only the least frequent; shape (n_pools,)."""
    mfu: FloatArray
    """nan where it is not needed; shape (n_pools,)."""
    mfu_class: tuple[str, ...]
    """Where the MFU of each pool comes from: "given", "priced", or the kind of run that it was
    measured on; empty where it is unknown."""
    step_factor: tuple[Factor, ...] = ()
    """Times the nominal time of a step on each pool: drawn once a run, for its chip, where it has a
    band; empty where it is known on all. It divides `tok_per_s`."""
    is_timed: bool = False
    """Whether its work is a time of training: a slower step then makes fewer tokens of it, and
    otherwise a longer `train_s`."""
    priced: tuple[Note | None, ...] = ()
    """Time of a step and layout on each pool; None where it was not priced."""
    exposed_frac: tuple[float, ...] = ()
    """Share of a step in which chips wait, on each pool; nan where it was not priced."""
    saves_at_best: bool = False
    """Whether `interval_s` is the best one at the fault rate of each pool."""
    tiers: tuple[tuple[Tier, ...], ...] = ()
    """On each pool where it saves on, most frequent first, each a whole multiple of the one before,
    the last one safe from every fault; empty where it saves to one place and waits."""
    n_kept: int = 0
    """Completed saves to the last tier to go back to; 0 if only the newest matters."""
    shrinking: Shrinking | None = None
    """How it goes on without nodes that it lacks; None if it waits for them."""
    is_elastic: bool = False
    """Whether a policy may let it hold fewer nodes."""
    mixing_frac: float = 0.0
    """The share of what its chips train apart that it trains on several pools at once; 0 if it
    cannot. With an `exchange` the least of two pools, as policies see it."""
    exchange: Exchange | None = None
    """What parts send to one another; None if `mixing_frac` is stated."""
    mixing_nodes: IntArray | None = None
    """Nodes of each pool that make the whole job, even where the pool has fewer; None if it cannot
    run on several pools at once; shape (n_pools,)."""
    data_bytes: float = 0.0
    """What it trains on, which has to be at the site of its pool; 0 if that takes no time. [B]"""
    data_site: str = ""
    """The site that has it when a run begins."""
    state_bytes: float = 0.0
    """Of one save, which moves with it to another site; 0 if not known. [B]"""
    priority: int = 0
    """The higher, the sooner."""
    preference: tuple[int, ...] = ()
    """The place of each pool among those that it would rather have; empty if it has no wish."""
    step: float = 0.0
    """The share of its work that is not divided when its nodes are taken from it; 0 if any is."""
    storage: tuple[str, ...] = ()
    """On each pool, the site whose storage it writes to and reads from together with other jobs, so
    that writes and loads are at least as long as `tiers` says; "" where it does not."""

    @property
    def whole_nodes(self) -> IntArray:
        """Nodes of each pool that make the whole job; shape (n_pools,)."""
        return self.n_nodes if self.mixing_nodes is None else self.mixing_nodes

    def mixing_frac_of(self, parts: Iterable[tuple[int, int]]) -> float:
        """Return the share of what nodes of several pools train apart that it trains on them.

        Nodes are whole, so that parts may make a little more than the job: that brings nothing.
        """
        shares = [(pool, n / int(self.whole_nodes[pool])) for pool, n in parts]
        made = max(sum(share for _, share in shares), 1.0)
        if self.exchange is None:
            return self.mixing_frac / made
        return self.exchange.frac([(pool, share / made) for pool, share in shares]) / made

    def tiers_on(self, pool: int) -> tuple[Tier, ...]:
        """Return the tiers on a pool; empty where it saves to one place and waits."""
        return self.tiers[pool] if self.tiers else ()

    def is_arithmetic_on(self, pool: int) -> bool:
        """Return whether it just trains to its end on a pool where nothing ever happens."""
        never_saves = math.isinf(self.interval_s[pool]) and not self.tiers_on(pool)
        return never_saves and not any(self.storage) and not self.is_elastic

    def least_nodes_on(self, pool: int) -> int:
        """Return the nodes of a pool with which it can train under a policy."""
        n_nodes = int(self.n_nodes[pool])
        return (
            self.shrinking.least_nodes(n_nodes) if self.is_elastic and self.shrinking else n_nodes
        )

    def step_factor_on(self, pool: int) -> Factor:
        """Return how many times its nominal one the training time on a pool may be."""
        return self.step_factor[pool] if self.step_factor and not self.is_timed else _KNOWN

    def exposed_frac_on(self, pool: int) -> float:
        """Return the share of a step on a pool in which chips wait; nan where it is not priced."""
        return self.exposed_frac[pool] if self.exposed_frac else math.nan

    def saving_frac_on(self, pool: int) -> float:
        """Return how long it stands still to save on a pool, over its time of training."""
        interval_s = float(self.interval_s[pool])
        tiers = self.tiers_on(pool)
        stalls_s = [tier.stall_s / tier.n_intervals for tier in tiers]
        save_s = sum(stalls_s) if tiers else float(self.save_s[pool])
        return save_s / interval_s if interval_s else 0.0

    def pools_under(self, policy: str) -> list[int]:
        """Return the indices of the pools on which a policy may run it."""
        if "home" in needs_of(policy) and self.home >= 0:
            return [self.home]
        return [int(pool) for pool in np.flatnonzero(self.whole_nodes)]

    def expected_wall_s(self, pool: int) -> float:
        """Return the expected wall time of the whole job on a pool, never blocked. [s]"""
        ettr = float(self.ettr[pool])
        return float(self.train_s[pool]) / ettr if ettr else math.inf

    def wall_at_worst_s(self, pool: int, place: Pool) -> float:
        """Return about the expected wall time of slow steps, with the faults of `place`. [s]"""
        slower = self.step_factor_on(pool).worst
        if self.tiers_on(pool):
            return self.expected_wall_s(pool) * slower
        train_s = float(self.train_s[pool]) * slower
        rate = place.fault_rate_per_node_s * int(self.whole_nodes[pool])
        restart_s = place.even_restart_s(rate)
        interval_s, save_s = float(self.interval_s[pool]), float(self.save_s[pool])
        ettr = job_ettr(train_s, interval_s, save_s, restart_s, rate)
        return train_s / ettr if ettr else math.inf


@dataclass(frozen=True, slots=True)
class Shrinking:
    """Going on with the data parallel replicas that are whole.

    Nodes are regrouped, so that those that are left make as many whole replicas as they can.
    """

    n_replicas: int
    """Of the job at full size."""
    n_least: int
    """With fewer it waits."""
    resize_s: float
    """From a save to training with more replicas. [s]"""

    def least_nodes(self, n_nodes: int) -> int:
        """Return the nodes, out of those of a job at full size, that make the fewest replicas.

        Examples
        --------
        >>> Shrinking(8, 3, 0.0).least_nodes(16), Shrinking(64, 10, 0.0).least_nodes(16)
        (6, 3)
        """
        return -(-max(self.n_least, 1) * n_nodes // self.n_replicas)

    def n_whole(self, n_nodes: int, n_lacking: int) -> int:
        """Return the replicas that are whole when some nodes of a job are lacking.

        Examples
        --------
        >>> of_two_nodes, four_to_a_node = Shrinking(8, 1, 0.0), Shrinking(64, 1, 0.0)
        >>> of_two_nodes.n_whole(16, 1), of_two_nodes.n_whole(16, 2), of_two_nodes.n_whole(16, 3)
        (7, 7, 6)
        >>> four_to_a_node.n_whole(16, 3)
        52
        """
        return self.n_replicas - -(-n_lacking * self.n_replicas // n_nodes)


class Jobs(Sequence[Job]):
    """All jobs of a world, as columns: like jobs are one *kind*, compiled once.

    Job `j` is `kinds[kind[j]]` with `scale[j]` times its work, under its own name, arrival,
    deadline, tenant and priority. A job written by itself is a kind of its own.
    """

    def __init__(
        self,
        kinds: Sequence[Job],
        kind: IntArray | None = None,
        *,
        scale: FloatArray | None = None,
        arrival_s: FloatArray | None = None,
        deadline_s: FloatArray | None = None,
        tenant: IntArray | None = None,
        tenant_names: Sequence[str] = ("",),
        priority: IntArray | None = None,
        weight: FloatArray | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.kinds = tuple(kinds)
        self.is_written = kind is None
        """Whether each job is a kind of its own, as it stands in the scenario."""
        self.kind = np.arange(len(kinds)) if kind is None else kind
        n = len(self.kind)

        self.scale = np.ones(n) if scale is None else scale
        self.arrival_s = self.of_kind("arrival_s") if arrival_s is None else arrival_s
        self.deadline_s = self.of_kind("deadline_s") if deadline_s is None else deadline_s
        self.priority = self.of_kind("priority").astype(int) if priority is None else priority
        self.weight = np.ones(n) if weight is None else weight
        if tenant is None:
            tenant_names = tuple(dict.fromkeys(one.tenant for one in self.kinds))
            index = {name: i for i, name in enumerate(tenant_names)}
            tenant = np.array([index[one.tenant] for one in self.kinds], dtype=int)[self.kind]
        self.tenant, self.tenant_names = tenant, tuple(tenant_names)
        self.names = names

    def __len__(self) -> int:
        """Return the number of jobs."""
        return len(self.kind)

    @overload
    def __getitem__(self, j: int) -> Job: ...
    @overload
    def __getitem__(self, j: slice) -> list[Job]: ...
    def __getitem__(self, j: int | slice) -> Job | list[Job]:
        """Return a job."""
        if isinstance(j, slice):
            return [self[i] for i in range(*j.indices(len(self)))]
        kind: Job = self.kinds[self.kind[j]]
        if self.is_written:
            return kind
        return replace(
            kind,
            name=self.name(j),
            arrival_s=float(self.arrival_s[j]),
            deadline_s=float(self.deadline_s[j]),
            priority=int(self.priority[j]),
            train_s=kind.train_s * self.scale[j],
            tenant=self.tenant_names[self.tenant[j]],
        )

    def name(self, j: int) -> str:
        """Return the name of a job."""
        return self.kinds[self.kind[j]].name if self.names is None else self.names[j]

    @cached_property
    def longest(self) -> list[int]:
        """All jobs if they are written one by one, else the one with the most work of each kind."""
        if self.is_written:
            return list(range(len(self)))
        order = np.lexsort((self.scale, self.kind))
        last = np.flatnonzero(np.diff(self.kind[order], append=-1))
        found: list[int] = order[last].tolist()
        return found

    def of_kind(self, name: str, jobs: slice | IntArray = slice(None)) -> FloatArray:
        """Return an attribute of the kind of each job, or of some jobs, shape (n_jobs, ...)."""
        return np.array([getattr(one, name) for one in self.kinds])[self.kind[jobs]]

    @cached_property
    def train_s(self) -> FloatArray:
        """Training time of each job on each pool, shape (n_jobs, n_pools). [s]"""
        return np.asarray(self.of_kind("train_s") * self.scale[:, None])

    @property
    def n_groups(self) -> int:
        """Of how many jobs, or kinds of job of a tenant, chip-seconds are kept apart."""
        return len(self.firsts)

    @cached_property
    def firsts(self) -> IntArray:
        """The first job of each of those, shape (n_groups,); all of one are of one kind."""
        return np.unique(self.group, return_index=True)[1]

    @cached_property
    def group(self) -> IntArray:
        """Where chip-seconds of each job are kept, shape (n_jobs,).

        Of many jobs, together with those of the same kind and tenant.
        """
        if len(self) <= MOST_BOOKED_APART:
            return np.arange(len(self))
        of_tenant = self.kind * len(self.tenant_names) + self.tenant
        found: IntArray = np.unique(of_tenant, return_inverse=True)[1]
        return found
