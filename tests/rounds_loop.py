"""Play a view and a policy without the engine: jobs train at their speed, nothing fails."""

import heapq
import json
import math
from ast import literal_eval
from dataclasses import dataclass

import numpy as np

from computeplan.scheduling.view import JobTable, PoolTable, TenantTable, View


def job_table(
    kind, work, speed, n_nodes, *, arrival_s=0.0, step=1.0, deadline_s=math.inf, weight=1.0
):
    """Return jobs of kinds with speeds and nodes by pool; numbers stand for all jobs."""
    kind = np.asarray(kind, dtype=np.int64)
    speed = np.asarray(speed, dtype=float)
    n_jobs, n_kinds = len(kind), len(speed)
    nodes = np.broadcast_to(np.asarray(n_nodes, dtype=np.int64), speed.shape)
    with np.errstate(divide="ignore"):
        wall_s = np.where(speed > 0, 1.0 / speed, math.inf)

    def column(value):
        return np.array(np.broadcast_to(np.asarray(value, dtype=float), n_jobs))

    return JobTable(
        kind=kind,
        work=column(work),
        arrival_s=column(arrival_s),
        deadline_s=column(deadline_s),
        home=np.full(n_jobs, -1),
        tenant=np.zeros(n_jobs, dtype=np.int64),
        priority=np.zeros(n_jobs, dtype=np.int64),
        weight=column(weight),
        n_nodes=np.where(speed > 0, nodes, 0),
        speed=speed,
        wall_s=wall_s,
        energy_j=wall_s,
        step=np.full(n_kinds, float(step)),
    )


def pool_table(n_nodes, *, names=None, usd=math.nan, kg=1.0, watts=1.0):
    """Return pools of nodes with one chip each; numbers stand for all pools."""
    n = len(n_nodes)
    return PoolTable(
        names=tuple(names or (f"pool{i}" for i in range(n))),
        n_nodes=np.asarray(n_nodes, dtype=np.int64),
        chips_per_node=np.ones(n, dtype=np.int64),
        usd_per_node_s=np.array(np.broadcast_to(usd, n), dtype=float),
        kg_per_j=np.array(np.broadcast_to(kg, n), dtype=float),
        train_w=np.array(np.broadcast_to(watts, n), dtype=float),
    )


def gavel_jobs(trace, oracle, chips):
    """Return the jobs of a trace, with the speeds of its oracle on these chips."""
    rows = [line.split("\t") for line in trace.read_text().splitlines()]
    table = json.loads(oracle.read_text())
    speeds = {c: {literal_eval(k): v["null"] for k, v in table[c].items()} for c in chips}
    kinds = sorted({(row[0], int(row[6])) for row in rows})
    return job_table(
        [kinds.index((row[0], int(row[6]))) for row in rows],
        [float(row[5]) for row in rows],
        [[speeds[c][kind] for c in chips] for kind in kinds],
        [[gang] * len(chips) for _, gang in kinds],
        arrival_s=[float(row[9]) for row in rows],
        weight=[float(row[7]) for row in rows],
    )


@dataclass
class Played:
    """What became of the jobs."""

    jct_s: np.ndarray
    makespan_s: float
    held: float  # share of node time held
    stretches: list  # (job, pool, start, end) in the order of their ends
    n_asked: int


class _Cluster:
    """A view, and what an engine would keep beside it."""

    def __init__(self, jobs, pools, tenants):
        self.view = View(jobs, pools, tenants)
        self.view.done_frac = self.progress
        self.left = jobs.work.copy()
        self.end_s = np.full(len(jobs.work), math.inf)
        self.events = [(time_s, 0, int(job), 0) for job, time_s in enumerate(jobs.arrival_s)]
        heapq.heapify(self.events)
        self.turn, self.turn_of, self.trains_s, self.stretches = 0, {}, {}, []

    def speed(self, job, pool):
        return self.view.jobs.speed[self.view.jobs.kind[job], pool]

    def done(self, job):
        trained_s = max(0.0, self.view.now_s - self.trains_s[job])
        return min(self.left[job], self.speed(job, self.view.running[job].pool) * trained_s)

    def progress(self, job):
        return 1.0 - (self.left[job] - self.done(job)) / self.view.jobs.work[job]

    def happen(self):
        """Let all happen that is due now."""
        while self.events and self.events[0][0] <= self.view.now_s:
            _, what, job, turn = heapq.heappop(self.events)
            if what == 0:
                self.view.enqueue(job)
            elif self.turn_of.get(job) == turn:
                self.stop(job)

    def stop(self, job):
        run = self.view.running[job]
        self.left[job] = round(self.left[job] - self.done(job), 6)
        self.stretches.append((job, run.pool, run.start_s, self.view.now_s))
        self.view.free[run.pool] += run.n_nodes
        del self.turn_of[job]
        self.view.leave(job)
        if self.left[job] > 0:
            self.view.enqueue(job, self.left[job] / self.view.jobs.work[job])
        else:
            self.end_s[job] = self.view.now_s

    def start(self, job, pool, lease_s, restart_s, _n_nodes):
        n_nodes = self.view.nodes(job, pool)
        assert job in self.view.queue, job
        assert 0 < n_nodes <= self.view.free[pool], (job, pool)
        self.view.free[pool] -= n_nodes
        self.turn += 1
        self.turn_of[job] = self.turn
        again = self.left[job] < self.view.jobs.work[job]
        self.trains_s[job] = self.view.now_s + (restart_s if again else 0.0)
        until_s = self.trains_s[job] + min(lease_s, self.left[job] / self.speed(job, pool))
        self.view.place(job, pool, until_s)
        heapq.heappush(self.events, (until_s, 1, job, self.turn))


def play(policy, jobs, pools, tenants=None, most=1_000_000):
    """Return what becomes of jobs that train exactly at their speed for as long as they may."""
    cluster = _Cluster(jobs, pools, tenants or TenantTable())
    view, again_s, n_asked = cluster.view, math.inf, 0
    while cluster.events or (math.isfinite(again_s) and view.queue):
        n_asked += 1
        assert n_asked < most, "the policy is asked without end"
        view.now_s = min(cluster.events[0][0] if cluster.events else math.inf, again_s)
        cluster.happen()
        decision = policy(view)
        view.memory, again_s = decision.memory, decision.again_s
        for job in decision.stop:
            cluster.stop(job)
        for start in decision.start:
            cluster.start(*start[:5])
    held_s = sum((e - s) * view.nodes(j, p) for j, p, s, e in cluster.stretches)
    makespan_s = float(cluster.end_s.max())
    held = held_s / (makespan_s * float(pools.n_nodes.sum()))
    return Played(cluster.end_s - jobs.arrival_s, makespan_s, held, cluster.stretches, n_asked)
