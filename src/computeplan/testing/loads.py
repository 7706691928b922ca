"""Small random loads for policies: jobs of a few kinds, pools, tenants, and faults."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from computeplan.arrays import IntArray
from computeplan.scheduling.view import JobTable, Mixing, PoolTable, TenantTable
from computeplan.trace.streams import Stream, generator

__all__ = ["Load", "random_load"]


ELASTIC_SHARE = 0.5  # of the kinds of jobs
PART_SHARE = 0.5  # of the pools that are too small for a job, those of which it may hold a part


@dataclass(frozen=True, eq=False)
class Load:
    """What a policy is played with; all is small, so that a load is played in milliseconds."""

    jobs: JobTable
    pools: PoolTable
    site_w: tuple[float, ...]  # the limit of each site; inf without
    tenants: TenantTable
    save_s: int
    faults: tuple[tuple[int, int, int], ...]  # when [s], on which pool, how long a node is away [s]


def random_load(seed: int, number: int) -> Load:
    """Return a load that follows from a seed and its number; every job fits somewhere."""
    rng = generator(seed, number, Stream.GAP, 0)  # its numbers meet no other stream of that seed
    n_pools, n_kinds, n_jobs = (int(rng.integers(1, most + 1)) for most in (3, 4, 12))
    n_tenants = int(rng.integers(1, 4))
    sizes = rng.integers(1, 9, n_pools)
    n_nodes = np.minimum(rng.integers(0, 9, (n_kinds, n_pools)), sizes)
    n_nodes[~n_nodes.any(axis=1), 0] = 1
    can = n_nodes > 0
    speed = np.where(can, 2.0 ** rng.integers(-1, 3, (n_kinds, n_pools)), 0.0)
    kind = rng.integers(0, n_kinds, n_jobs)
    arrival_s = np.sort(rng.integers(0, 20, n_jobs)) * float(rng.choice([0, 1, 600]))
    home = np.array([int(rng.choice(np.flatnonzero(can[k]))) for k in kind])
    quota = sizes * rng.integers(0, 2, (n_tenants, n_pools)) // n_tenants
    least_nodes = np.where(can, rng.integers(1, np.maximum(n_nodes, 1) + 1), 0)
    jobs = JobTable(
        kind=kind,
        work=rng.integers(1, 7200, n_jobs).astype(float),
        arrival_s=arrival_s.astype(np.float64),
        deadline_s=rng.choice([math.inf, 3600.0, 20_000.0], n_jobs),
        home=home,
        tenant=rng.integers(0, n_tenants, n_jobs),
        priority=rng.integers(0, 3, n_jobs),
        weight=rng.choice([0.5, 1.0, 2.0], n_jobs),
        n_nodes=n_nodes,
        speed=speed,
        wall_s=np.where(can, 1 / np.where(can, speed, 1.0), math.inf),
        energy_j=np.where(can, rng.integers(1, 10, can.shape) * 1000.0, math.inf),
        step=rng.choice([0.0, 1.0], n_kinds),
        least_nodes=np.where(rng.random((n_kinds, 1)) < ELASTIC_SHARE, least_nodes, n_nodes),
    )
    pools = PoolTable(
        names=tuple(f"pool{p}" for p in range(n_pools)),
        n_nodes=sizes,
        chips_per_node=rng.choice([1, 8], n_pools),
        usd_per_node_s=rng.choice([0.001, 0.002], n_pools),
        kg_per_j=rng.choice([1e-7, 2e-7], n_pools),
        train_w=rng.choice([5000.0, 7000.0], n_pools),
        l_per_j=np.linspace(1e-6, 2e-6, n_pools),
    )
    tenants = TenantTable(
        names=tuple(f"tenant{t}" for t in range(n_tenants)),
        weight=rng.choice([1.0, 3.0], n_tenants),
        quota_nodes=None if rng.random() < 0.3 else np.where(quota > 0, quota, math.inf),
    )
    faults = tuple(
        (int(rng.integers(1, 9000)), int(rng.integers(0, n_pools)), int(rng.integers(1, 3000)))
        for _ in range(rng.integers(0, 4))
    )
    jobs = replace(jobs, mixing=_mixing(seed, number, jobs, sizes))
    return Load(jobs, *_sites(seed, number, pools), tenants, int(rng.choice([0, 30])), faults)


def _sites(seed: int, number: int, pools: PoolTable) -> tuple[PoolTable, tuple[float, ...]]:
    """Return pools at sites, and the limit of each site. [W]"""
    rng = generator(seed, number, Stream.GAP, 2)
    site = tuple(int(s) for s in np.sort(rng.integers(0, len(pools.names), len(pools.names))))
    limits_w = rng.choice([10_000.0, 40_000.0, math.inf], len(pools.names))
    return replace(pools, held_w=pools.train_w / 2, site=site), tuple(limits_w.tolist())


def _mixing(seed: int, number: int, jobs: JobTable, sizes: IntArray) -> Mixing:
    """Return how jobs run on several pools at once; some need more than a pool has."""
    rng = generator(seed, number, Stream.GAP, 1)
    n_kinds, n_pools = jobs.n_nodes.shape
    larger = np.where(rng.random((n_kinds, n_pools)) < PART_SHARE, sizes + 1, 0)
    wall_s = np.where(larger > 0, 2.0 ** rng.integers(-2, 2, (n_kinds, n_pools)), math.inf)
    can = jobs.n_nodes > 0
    return Mixing(
        frac=rng.choice([0.0, 0.75], n_kinds),
        n_nodes=np.where(can, jobs.n_nodes, larger),
        wall_s=np.where(can, jobs.wall_s, wall_s),
    )
