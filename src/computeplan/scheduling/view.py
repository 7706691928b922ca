"""What a policy may see: jobs, the queue, free nodes, and the jobs that run.

The engine keeps one view through a run, in O(what changed) at each event; a policy reads it and
changes nothing. Jobs are numbers. What they are stands in columns: a *kind* of job is what like
jobs have in common, and *work* is how much of it there is. Work has a unit of its own for each
kind (steps, or seconds of training on some chip): only its ratio to `speed` matters.

Long because all that a policy may see stands in one place.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.scheduling.decision import Decision
from computeplan.scheduling.waiting import Waiting

__all__ = [
    "Course",
    "JobTable",
    "Mixing",
    "Policy",
    "PoolTable",
    "Running",
    "TenantTable",
    "View",
    "tenant_of",
]

Parts = Sequence[tuple[int, int]]
"""Pools, and the nodes of each."""

SAME_S = 1e-12  # relative: times nearer than this are one time but for rounding


@dataclass(frozen=True, eq=False)
class Mixing:
    """How jobs run on nodes of several pools at once.

    Of `n` nodes of a pool that makes a whole job with `N`, ``n / N`` of a job is made. Parts on
    several pools make a whole one, and train at `frac` of the sum of what they train apart.
    """

    frac: FloatArray
    """0 for jobs of a kind that cannot; shape (n_kinds,)."""
    n_nodes: IntArray
    """Nodes of a pool that make a whole job, even where the pool has fewer; 0 where it can never
    run; shape (n_kinds, n_pools)."""
    wall_s: FloatArray
    """Expected wall time per work of a whole job on one pool, even where the pool has fewer nodes;
    inf where it can never run; shape (n_kinds, n_pools). [s]"""


@dataclass(frozen=True, eq=False)
class JobTable:
    """The jobs of a run as columns."""

    kind: IntArray
    """Which kind each job is of; shape (n_jobs,)."""
    work: FloatArray
    """How much of it there is, in the unit of its kind; shape (n_jobs,)."""
    arrival_s: FloatArray
    """When it comes; shape (n_jobs,). [s]"""
    deadline_s: FloatArray
    """When it should have ended; inf without deadline; shape (n_jobs,). [s]"""
    home: IntArray
    """Its home pool, or -1; shape (n_jobs,)."""
    tenant: IntArray
    """Whose it is, an index in `View.tenants`; shape (n_jobs,)."""
    priority: IntArray
    """The higher, the sooner; shape (n_jobs,)."""
    weight: FloatArray
    """How much it counts where shares are divided; shape (n_jobs,)."""
    n_nodes: IntArray
    """Nodes that a job of a kind wants on a pool; 0 where it can never run; shape (n_kinds,
    n_pools)."""
    speed: FloatArray
    """Work per second of training on all those nodes; 0 where it can never run; shape (n_kinds,
    n_pools). [1/s]"""
    wall_s: FloatArray
    """Expected wall time per work, faults and saves included; inf where it can never run; shape
    (n_kinds, n_pools). [s]"""
    energy_j: FloatArray
    """Expected facility energy per work; shape (n_kinds, n_pools). [J]"""
    step: FloatArray
    """Work that is not divided: a lease is a whole number of it; 0 where work is divided at will;
    shape (n_kinds,)."""
    places: tuple[tuple[int, ...], ...] | None = None
    """Pools on which a job of each kind may run, those that it would rather have first; None if in
    the order of the scenario."""
    least_nodes: IntArray | None = None
    """Nodes with which a job of a kind can train, at a speed in proportion; None if all need what
    they want; shape (n_kinds, n_pools)."""
    mixing: Mixing | None = None
    """How jobs run on nodes of several pools at once; None if none can."""


class Course(Protocol):
    """How an account goes over the time of a run, in steps, over the constant of its pool."""

    @property
    def mean_frac(self) -> float:
        """Its mean."""

    @property
    def lowest_frac(self) -> float:
        """Its lowest value."""

    def at(self, time_s: float) -> FloatArray:
        """Return it at a time."""

    def next_s(self, time_s: float) -> float:
        """Return when its next step begins; inf if there is none. [s]"""


@dataclass(frozen=True, eq=False)
class PoolTable:
    """The pools as columns, each of shape (n_pools,)."""

    names: tuple[str, ...]
    n_nodes: IntArray
    """Without spares."""
    chips_per_node: IntArray
    usd_per_node_s: FloatArray
    """Electricity while training, and rent, in the currency of the scenario; nan if unknown."""
    kg_per_j: FloatArray
    """Carbon of the site's electricity. [kg/J]"""
    train_w: FloatArray
    """Facility watts of a node that trains. [W]"""
    l_per_j: FloatArray | None = None
    """Water per facility energy, on site and of power stations; nan if unknown. [L/J]"""
    held_w: FloatArray | None = None
    """Facility watts of a node that a job holds beyond those of one that none does; nan if unknown.
    [W]"""
    site: tuple[int, ...] | None = None
    """Where each stands, as a number; None if each at a site of its own."""
    courses: Mapping[str, tuple[Course, ...]] = field(default_factory=dict)
    """How accounts go over time at each pool: ``energy``, ``cost``, ``carbon``, those that vary at
    some site."""


class Running:
    """A job that holds nodes. `end_s` is when it is expected to end.

    A mixed job holds those of further pools too: `more` are pools and nodes, `parts` all of them.
    """

    __slots__ = ("end_s", "job", "more", "n_nodes", "parts", "pool", "start_s")

    def __init__(
        self,
        job: int,
        pool: int,
        n_nodes: int,
        start_s: float,
        end_s: float,
        more: Parts = (),
    ) -> None:
        self.job, self.pool, self.n_nodes = job, pool, n_nodes
        self.start_s, self.end_s, self.more = start_s, end_s, more
        self.parts: Parts = ((pool, n_nodes), *more)


@dataclass(frozen=True, eq=False)
class TenantTable:
    """Tenants as columns; jobs without one belong to the first, whose name is empty."""

    names: tuple[str, ...] = ("",)
    weight: FloatArray = field(default_factory=lambda: np.ones(1))
    """Shape (n_tenants,)."""
    quota_nodes: FloatArray | None = None
    """Nodes of each pool that are a tenant's own; inf without quota; shape (n_tenants, n_pools)."""


class View:
    """One moment of one run.

    Parameters
    ----------
    jobs, pools, tenants : JobTable, PoolTable, TenantTable
        What does not change in a run.

    Attributes
    ----------
    now_s : float
        Wall time. [s]
    queue : mapping of int to int
        Jobs that wait, in the order in which they came or came back; the values rise.
    free : sequence of int
        Nodes of each pool that a job could hold now.
    running : mapping of int to Running
        Jobs that hold nodes, by job.
    ends : sequence of sequence of (float, int, int)
        For each pool, when each of its jobs is expected to end [s], the job, and the nodes it
        holds; the first to end comes first.
    stopping : set of int
        Running jobs that save before they give back their nodes.
    shrinking : mapping of int to int
        Running jobs that save before they give back some nodes, and how many they will hold.
    memory : object
        What the policy's last decision told to remember; None at first.
    waiting : Waiting
        The queue, which answers who fits without a scan.
    held : sequence of int
        Nodes of each pool that jobs hold.
    headroom_w : sequence of float
        What the site of each pool may draw beyond what it does, under its limit and without its
        battery; negative where jobs slow down, inf without limit. [W]
    move_usd : callable
        What it costs, in the currency of the scenario, to bring what a job that waits needs to the
        site of a pool.
    served : mapping of int to sequence of int
        Nodes of each pool that services hold, by tenant.
    n_changes : int
        How often a job started, left, or was expected to end at another time than before.
    n_surprises : int
        How often a job left at another time than expected, or was expected to end at another.
    """

    def __init__(self, jobs: JobTable, pools: PoolTable, tenants: TenantTable) -> None:
        self.jobs, self.pools, self.tenants = jobs, pools, tenants
        self.now_s = 0.0
        self.waiting = Waiting(self, len(pools.names))
        self.queue = self.waiting.queue
        self.n_queued = 0
        self.free = [int(n) for n in pools.n_nodes]
        self.running: dict[int, Running] = {}
        self.ends: list[list[tuple[float, int, int]]] = [[] for _ in pools.n_nodes]
        self.memory: object = None
        self.held = [0] * len(pools.names)
        self.headroom_w = [math.inf] * len(pools.names)
        self.served: dict[int, list[int]] = {}
        self.n_changes = self.n_surprises = 0
        self.by_key: dict[Key, dict[Any, Waiting]] = {}
        self.held_by_key: dict[Key, dict[Any, list[int]]] = {}
        self.left_frac: dict[int, float] = {}  # of jobs that have run before and wait
        self.done_frac: Callable[[int], float] = lambda _job: 0.0  # of jobs that run
        self.move_usd: Callable[[int, int], float] = lambda _job, _pool: 0.0
        self.stopping: set[int] = set()
        self.shrinking: dict[int, int] = {}
        self.kind = np.ascontiguousarray(jobs.kind).data
        self.tenant = np.ascontiguousarray(jobs.tenant).data
        self.priority = np.ascontiguousarray(jobs.priority).data
        quota = tenants.quota_nodes
        self.quota_nodes: list[list[float]] = (
            [[math.inf] * len(pools.names) for _ in tenants.names]
            if quota is None
            else quota.tolist()
        )
        self.work = np.ascontiguousarray(jobs.work).data
        self.n_nodes: list[list[int]] = jobs.n_nodes.tolist()
        self.fewest_nodes: list[list[int]] = (
            self.n_nodes if jobs.least_nodes is None else jobs.least_nodes.tolist()
        )
        self.wall_per_work_s: list[list[float]] = jobs.wall_s.tolist()
        self.energy_per_work_j: list[list[float]] = jobs.energy_j.tolist()
        self.places: Sequence[Sequence[int]] = jobs.places or [
            [p for p, n in enumerate(row) if n > 0] for row in self.n_nodes
        ]

    # -- what a policy asks ----------------------------------------------------------------------

    def pools_for(self, job: int) -> Sequence[int]:
        """Return the pools that can ever hold a job, those that it would rather have first."""
        return self.places[self.kind[job]]

    def sizes(self, job: int) -> Sequence[int]:
        """Return the nodes that a job holds on each pool; 0 where it can never run."""
        return self.n_nodes[self.kind[job]]

    def nodes(self, job: int, pool: int) -> int:
        """Return the nodes that a job wants on a pool; 0 where it can never run."""
        return self.n_nodes[self.kind[job]][pool]

    def least_nodes(self, job: int, pool: int) -> int:
        """Return the nodes with which a job can train on a pool: all, if it is not elastic."""
        return self.fewest_nodes[self.kind[job]][pool]

    def can_mix(self, job: int) -> bool:
        """Return whether a job can run on nodes of several pools at once."""
        mixing = self.jobs.mixing
        return mixing is not None and bool(mixing.frac[self.kind[job]] > 0)

    def pools_to_mix(self, job: int) -> Sequence[int]:
        """Return the pools that can hold a part of a mixed job, in the order of the scenario."""
        assert self.jobs.mixing is not None
        found: list[int] = np.flatnonzero(self.jobs.mixing.n_nodes[self.kind[job]]).tolist()
        return found

    def nodes_to_whole(self, job: int, pool: int, parts: Parts) -> int:
        """Return the nodes of a pool that make a mixed job whole, beside its parts on others.

        0 where it can never run.
        """
        assert self.jobs.mixing is not None
        whole: list[int] = self.jobs.mixing.n_nodes[self.kind[job]].tolist()
        made = sum(Fraction(n, whole[p]) for p, n in parts)
        return max(0, math.ceil((1 - made) * whole[pool]))

    def is_whole(self, job: int, parts: Parts) -> bool:
        """Return whether parts make a mixed job whole, and without some node of one would not."""
        rest = [[one for one in parts if one is not part] for part in parts]
        return any(
            self.nodes_to_whole(job, pool, others) == n
            for (pool, n), others in zip(parts, rest, strict=True)
        )

    def wall_on_parts_s(self, job: int, parts: Parts) -> float:
        """Return how long a mixed job that waits is expected to run on its parts. [s]"""
        mixing, kind = self.jobs.mixing, self.kind[job]
        assert mixing is not None
        made = {p: n / float(mixing.n_nodes[kind, p]) for p, n in parts}
        rate = sum(share / float(mixing.wall_s[kind, p]) for p, share in made.items())
        lasts = max(sum(made.values()), 1.0) / (rate * float(mixing.frac[kind]))
        return self.left(job) * lasts

    def left(self, job: int) -> float:
        """Return the work that is left of a job, in the unit of its kind."""
        if job in self.running:
            return self.work[job] * (1.0 - self.done_frac(job))
        return self.work[job] * self.left_frac.get(job, 1.0)

    def wall_s(self, job: int, pool: int) -> float:
        """Return how long a job that waits is expected to run on a pool. [s]"""
        return self.wall_per_work_s[self.kind[job]][pool] * self.left(job)

    def energy_j(self, job: int, pool: int) -> float:
        """Return the facility energy that the rest of a job is expected to take on a pool. [J]"""
        return self.energy_per_work_j[self.kind[job]][pool] * self.left(job)

    def lines(self, key: Key) -> Mapping[Any, Waiting]:
        """Return the queue divided by a key of a job that does not change, by key.

        A line is kept from when it is first asked for; a line may be empty.
        """
        if key not in self.by_key:
            self.by_key[key] = {}
            for job, order in self.queue.items():
                self._line(key, job).add(job, order)
        return self.by_key[key]

    def holds(self, key: Key) -> Mapping[Any, list[int]]:
        """Return the nodes of each pool that running jobs hold, by a key of a job."""
        if key not in self.held_by_key:
            self.held_by_key[key] = {}
            for run in self.running.values():
                for pool, n_nodes in run.parts:
                    self._count(key, run.job, pool, n_nodes)
        return self.held_by_key[key]

    def held_by(self, tenant: int) -> list[int]:
        """Return the nodes of each pool that a tenant's jobs and services hold."""
        none = [0] * len(self.held)
        of_jobs = self.holds(tenant_of).get(tenant, none)
        return [a + b for a, b in zip(of_jobs, self.served.get(tenant, none), strict=True)]

    def _count(self, key: Key, job: int, pool: int, n_nodes: int) -> None:
        held, which = self.held_by_key[key], key(self, job)
        if which not in held:
            held[which] = [0] * len(self.held)
        held[which][pool] += n_nodes

    def _line(self, key: Key, job: int) -> Waiting:
        lines, which = self.by_key[key], key(self, job)
        if which not in lines:
            lines[which] = Waiting(self, len(self.pools.names))
        return lines[which]

    # -- what the engine tells -------------------------------------------------------------------

    def enqueue(self, job: int, left_frac: float | None = None) -> None:
        """Note that a job waits, at the end of the queue; with what is left, if it ran before."""
        if left_frac is not None:
            self.left_frac[job] = left_frac
        self.waiting.add(job, self.n_queued)
        for key in self.by_key:
            self._line(key, job).add(job, self.n_queued)
        self.n_queued += 1

    def place(
        self,
        job: int,
        pool: int,
        end_s: float,
        n_nodes: int = 0,
        more: Parts = (),
    ) -> None:
        """Note that a job that waited holds nodes now, all if 0; the engine counts free ones."""
        self.waiting.remove(job)
        for key in self.by_key:
            self._line(key, job).remove(job)
        n_nodes = n_nodes or self.nodes(job, pool)
        self.running[job] = Running(job, pool, n_nodes, self.now_s, end_s, more)
        self._hold(job, pool, n_nodes, end_s)
        for other, n in more:
            self._hold(job, other, n, end_s)
        self.n_changes += 1

    def _hold(self, job: int, pool: int, n_nodes: int, end_s: float) -> None:
        """Count nodes of a pool that a job holds from now on."""
        bisect.insort(self.ends[pool], (end_s, job, n_nodes))
        self.held[pool] += n_nodes
        for key in self.held_by_key:
            self._count(key, job, pool, n_nodes)

    def expect(self, job: int, end_s: float) -> None:
        """Note that a running job is expected to end at another time. [s]"""
        run = self.running[job]
        if end_s != run.end_s:
            self.n_changes += 1
            self.n_surprises += not math.isclose(end_s, run.end_s, rel_tol=SAME_S)
            self._forget(run)
            run.end_s = end_s
            for pool, n_nodes in run.parts:
                bisect.insort(self.ends[pool], (end_s, job, n_nodes))

    def resize(self, job: int, n_nodes: int) -> None:
        """Note that a running job holds another number of nodes now."""
        run = self.running[job]
        self._forget(run)
        self.held[run.pool] += n_nodes - run.n_nodes
        for key in self.held_by_key:
            self._count(key, job, run.pool, n_nodes - run.n_nodes)
        run.n_nodes, run.parts = n_nodes, ((run.pool, n_nodes),)  # no mixed job is resized
        bisect.insort(self.ends[run.pool], (run.end_s, job, n_nodes))
        self.shrinking.pop(job, None)
        self.n_changes += 1
        self.n_surprises += 1

    def leave(self, job: int) -> None:
        """Note that a job holds no nodes any more."""
        run = self.running.pop(job)
        self.stopping.discard(job)
        self.shrinking.pop(job, None)
        self._forget(run)
        for pool, n_nodes in run.parts:
            self.held[pool] -= n_nodes
            for key in self.held_by_key:
                self._count(key, job, pool, -n_nodes)
        self.n_changes += 1
        self.n_surprises += not math.isclose(run.end_s, self.now_s, rel_tol=SAME_S)

    def _forget(self, run: Running) -> None:
        for pool, n_nodes in run.parts:
            ends = self.ends[pool]
            del ends[bisect.bisect_left(ends, (run.end_s, run.job, n_nodes))]


def tenant_of(view: View, job: int) -> int:
    """Return whose a job is, an index in `View.tenants`."""
    return view.tenant[job]


Policy = Callable[[View], Decision]
Key = Callable[[View, int], Hashable]
