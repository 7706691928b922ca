"""Queueing policies at scale: ``python benchmarks/schedules.py``.

Gang jobs of 1 to 512 nodes over three pools of 4,096, 2,048 and 1,024 nodes. First, 100,000 of them
under FIFO with EASY backfill, by a plain SimPy model (a process for each job, lists, a look at the
whole queue whenever something ends or comes) and by our policy; all start times must be equal. Then
each policy at overload, where the queue grows with the number of jobs: what a job costs must not
grow with it. Last, the same with jobs that end early: those who keep reservations then lay them
anew at each end.

`play` plays a policy on a view to the end and returns when each job started. Here it is the
smallest loop that can: a heap of ends and a cursor of arrivals.
"""

import argparse
import heapq
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import simpy
from timing import cpu_s, heading, in_words, ratios

from computeplan.engines import event
from computeplan.scheduling.policies import preempting, queueing
from computeplan.scheduling.view import JobTable, Policy, PoolTable, TenantTable, View
from computeplan.validation.scheduling import bare_job, bare_pool
from computeplan.world.jobs import Jobs as WorldJobs
from computeplan.world.world import World

N_NODES = (4_096, 2_048, 1_024)
SLOWER = (1.0, 0.8, 1.25)  # wall time on each pool over that on the first
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SHARES = (0.25, 0.1, 0.1, 0.2, 0.1, 0.1, 0.06, 0.05, 0.03, 0.01)  # of jobs by size
MEDIAN_S, SIGMA = 3_600.0, 1.3
N_ROUNDS = 5
N_JOBS = 100_000
N_OVERLOAD = 10_000  # of the plain model, which looks at its whole queue at every event
LOADS = (0.85, 1.5)
FEW_TO_MANY = (4_000, 32_000)
FEW_TO_MANY_EARLY = (1_000, 4_000)
EARLY = ("fifo-backfill", "shortest-first", "conservative-backfill", "fastest-first")

Play = Callable[[View, Policy], list[float]]
POLICIES: dict[str, Policy] = {
    "fifo": queueing.fifo,
    "silo": queueing.silo,
    "first-fit": queueing.first_fit,
    "shortest-first": queueing.shortest_first,
    "shortest-remaining": preempting.ShortestRemaining(restart_cost_s=300.0),
    "priority": preempting.Priority(restart_cost_s=300.0),
    "fifo-backfill": queueing.fifo_backfill,
    "conservative-backfill": queueing.conservative_backfill,
    "fastest-first": queueing.fastest_first,
    "least-energy": queueing.least_energy,
    "least-carbon": queueing.least_carbon,
}


@dataclass(frozen=True)
class Jobs:
    """Jobs in the order in which they come."""

    gap_s: list[float]
    n_nodes: list[int]
    wall_s: list[tuple[float, ...]]
    """On each pool. [s]"""


def draw(n_jobs: int, load: float, seed: int = 13) -> Jobs:
    """Return jobs that come at random and ask for `load` times the nodes that there are."""
    rng = np.random.default_rng(seed)
    n_nodes = rng.choice(SIZES, n_jobs, p=SHARES)
    wall_s = rng.lognormal(math.log(MEDIAN_S), SIGMA, n_jobs)
    speed = sum(n / slower for n, slower in zip(N_NODES, SLOWER, strict=True))
    mean_s = float((n_nodes * wall_s).mean()) / speed / load
    walls = [tuple(float(wall * slower) for slower in SLOWER) for wall in wall_s]
    return Jobs(rng.exponential(mean_s, n_jobs).tolist(), n_nodes.tolist(), walls)


def view_of(jobs: Jobs, seed: int = 14) -> View:
    """Return the view of a run before its first job, one kind for each size."""
    n_jobs, n_pools = len(jobs.n_nodes), len(N_NODES)
    rng = np.random.default_rng(seed)
    arrival_s = np.cumsum(jobs.gap_s)
    first_s = np.array([wall_s[0] for wall_s in jobs.wall_s])
    late = rng.random(n_jobs) < 0.5
    table = JobTable(
        kind=np.searchsorted(SIZES, jobs.n_nodes),
        work=first_s,
        arrival_s=arrival_s,
        deadline_s=np.where(late, np.inf, arrival_s + first_s * rng.uniform(1, 20, n_jobs)),
        home=rng.choice(n_pools, n_jobs, p=np.array(N_NODES) / sum(N_NODES)),
        tenant=np.zeros(n_jobs, dtype=np.int64),
        priority=rng.choice(3, n_jobs, p=(0.7, 0.25, 0.05)),
        weight=np.ones(n_jobs),
        n_nodes=np.repeat(np.array(SIZES)[:, None], n_pools, axis=1),
        speed=np.tile(1.0 / np.array(SLOWER), (len(SIZES), 1)),
        wall_s=np.tile(SLOWER, (len(SIZES), 1)),
        energy_j=np.outer(SIZES, (5_000.0, 6_000.0, 4_000.0)),
        step=np.zeros(len(SIZES)),
    )
    pools = PoolTable(
        names=("large", "fast", "thrifty"),
        n_nodes=np.array(N_NODES),
        chips_per_node=np.full(n_pools, 8),
        usd_per_node_s=np.full(n_pools, np.nan),
        kg_per_j=np.array([2e-7, 1e-7, 1.5e-7]),
        train_w=np.array([5_000.0, 6_000.0, 4_000.0]),
    )
    return View(table, pools, TenantTable())


def play_early(view: View, policy: Policy) -> list[float]:
    """Return when each job first started, if each job takes half to all of what is expected. [s]"""
    shares = np.random.default_rng(15).uniform(0.5, 1.0, view.jobs.work.size).tolist()
    return play(view, policy, shares)


def play(view: View, policy: Policy, shares: Sequence[float] | None = None) -> list[float]:
    """Return when each job first started, if stops take no time and jobs end as expected. [s]

    With `shares`, a job ends after such a share of the expected time.
    """
    arrival_s = view.jobs.arrival_s.tolist()
    n_jobs, free = len(arrival_s), view.free
    began_s = [math.inf] * n_jobs
    ends: list[tuple[float, int]] = []
    view.done_frac = lambda job: _done_frac(view, job)
    came = 0
    while ends or came < n_jobs:
        next_s = arrival_s[came] if came < n_jobs else math.inf
        view.now_s = now_s = min(ends[0][0], next_s) if ends else next_s
        while ends and ends[0][0] <= now_s:
            end_s, job = heapq.heappop(ends)
            run = view.running.get(job)
            if run is not None and (shares or run.end_s == end_s):  # else it was stopped
                free[run.pool] += run.n_nodes
                view.leave(job)
        while came < n_jobs and arrival_s[came] <= now_s:
            view.enqueue(came)
            came += 1
        if not view.queue:
            continue
        decision = policy(view)
        view.memory = decision.memory
        for job in decision.stop:
            run, left_frac = view.running[job], view.left(job) / view.work[job]
            free[run.pool] += run.n_nodes
            view.leave(job)
            view.enqueue(job, left_frac)
        for job, pool, _, restart_s, *_ in decision.start:
            wall_s = restart_s + view.wall_s(job, pool)
            end_s = now_s + wall_s
            free[pool] -= view.nodes(job, pool)
            assert free[pool] >= 0
            view.place(job, pool, end_s)
            heapq.heappush(ends, (now_s + shares[job] * wall_s if shares else end_s, job))
            began_s[job] = min(began_s[job], now_s)
    assert not view.queue
    return began_s


def _done_frac(view: View, job: int) -> float:
    """Return the share of a running job that is done: what is left takes until its end."""
    run, wall_s = view.running[job], view.wall_per_work_s[view.kind[job]]
    left = max(0.0, run.end_s - view.now_s) / wall_s[run.pool] / view.work[job]
    return 1.0 - min(left, view.left_frac.get(job, 1.0))


class PlainCloud:
    """FIFO with EASY backfill as one writes it first: lists, and a look at all who wait."""

    def __init__(self, env: simpy.Environment, jobs: Jobs) -> None:
        self.env, self.jobs = env, jobs
        self.free = list(N_NODES)
        self.running: list[list[tuple[float, int]]] = [[] for _ in N_NODES]
        self.queue: list[int] = []
        self.began_s = [0.0] * len(jobs.n_nodes)

    def source(self) -> Iterator[simpy.Event]:
        for job, gap_s in enumerate(self.jobs.gap_s):
            yield self.env.timeout(gap_s)
            self.queue.append(job)
            self.schedule()

    def run(self, job: int, pool: int) -> Iterator[simpy.Event]:
        wall_s, n_nodes = self.jobs.wall_s[job][pool], self.jobs.n_nodes[job]
        entry = (self.env.now + wall_s, n_nodes)
        yield self.env.timeout(wall_s)
        self.running[pool].remove(entry)
        self.free[pool] += n_nodes
        self.schedule()

    def start(self, job: int, pool: int) -> None:
        n_nodes = self.jobs.n_nodes[job]
        self.free[pool] -= n_nodes
        self.running[pool].append((self.env.now + self.jobs.wall_s[job][pool], n_nodes))
        self.began_s[job] = self.env.now
        self.env.process(self.run(job, pool))

    def schedule(self) -> None:
        kept, n_left = -1, 0
        start_s = math.inf
        waiting = []
        for job in self.queue:
            n_nodes = self.jobs.n_nodes[job]
            for pool in range(len(N_NODES)):
                if n_nodes > self.free[pool]:
                    continue
                if pool == kept and self.env.now + self.jobs.wall_s[job][pool] > start_s:
                    if n_nodes > n_left:
                        continue
                    n_left -= n_nodes
                self.start(job, pool)
                break
            else:
                waiting.append(job)
                if len(waiting) == 1:
                    kept, start_s, n_left = self.reserve(n_nodes)
        self.queue = waiting

    def reserve(self, n_nodes: int) -> tuple[int, float, int]:
        best = (-1, math.inf, 0)
        for pool in range(len(N_NODES)):
            available = self.free[pool]
            for end_s, given in sorted(self.running[pool]):
                available += given
                if available >= n_nodes:
                    if end_s < best[1]:
                        best = (pool, end_s, available - n_nodes)
                    break
        return best


def play_plain(jobs: Jobs) -> list[float]:
    """Return when each job started in the plain SimPy model. [s]"""
    env = simpy.Environment()
    cloud = PlainCloud(env, jobs)
    env.process(cloud.source())
    env.run()
    return cloud.began_s


def world_of(jobs: Jobs) -> World:
    """Return the same jobs and pools as a world of the event engine, under EASY backfill."""
    pools = dict(zip(("large", "fast", "thrifty"), N_NODES, strict=True))
    kinds = [bare_job(str(n), n, [1.0 / slower for slower in SLOWER], pools) for n in SIZES]
    return World(
        name="gangs",
        policy="fifo-backfill",
        pools=tuple(bare_pool(name, n) for name, n in pools.items()),
        jobs=WorldJobs(
            # 1 / (1 / x) is not x: the very wall times of the plain model
            [replace(kind, train_s=np.array(SLOWER), step=0.0) for kind in kinds],
            np.searchsorted(SIZES, jobs.n_nodes),
            scale=np.array([wall_s[0] for wall_s in jobs.wall_s]),
            arrival_s=np.cumsum(jobs.gap_s),
        ),
        kind_names=(),
        n_fault_kinds=0,
        horizon_s=math.inf,
        notes=(),
    )


def exponent(
    play: Play, policy: Policy, load: float, few_to_many: tuple[int, int] = FEW_TO_MANY
) -> tuple[float, float]:
    """Return the CPU time of a job in the larger case [s], and the power by which all grows."""
    took_s = dict.fromkeys(few_to_many, math.inf)
    for _ in range(2):
        for n_jobs in few_to_many:
            view = view_of(draw(n_jobs, load))
            took_s[n_jobs] = min(took_s[n_jobs], cpu_s(lambda view=view: play(view, policy))[0])
    few, many = few_to_many
    return took_s[many] / many, math.log(took_s[many] / took_s[few]) / math.log(many / few)


def against_plain(play: Play, load: float, n_jobs: int, n_rounds: int) -> str:
    """Return a row of the table: both play the same jobs, and start all at the same times."""
    jobs = draw(n_jobs, load)
    plain_s, ours_s, engine_s, world = [], [], [], world_of(jobs)
    for _ in range(n_rounds):
        took_s, theirs = cpu_s(lambda: play_plain(jobs))
        plain_s.append(took_s)
        view = view_of(jobs)
        took_s, ours = cpu_s(lambda view=view: play(view, queueing.fifo_backfill))
        ours_s.append(took_s)
        took_s, ledger = cpu_s(lambda: event.play(world, 0, 0, 1))
        engine_s.append(took_s)
        assert ours == theirs == ledger.first_start_s[0].tolist(), "start times differ"
    took = (plain_s, ours_s, engine_s)
    plain_us, ours_us, engine_us = (statistics.median(each) / n_jobs * 1e6 for each in took)
    return (
        f"| {load} | {n_jobs:,} | {plain_us:,.1f} us | {ours_us:,.1f} us"
        f" | {in_words(ratios(plain_s, ours_s))} | {engine_us:,.1f} us"
        f" | {in_words(ratios(plain_s, engine_s))} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=N_JOBS)
    parser.add_argument("--rounds", type=int, default=N_ROUNDS)
    args = parser.parse_args()
    print(heading("computeplan", "numpy", "simpy"), end="\n\n")
    print("FIFO with EASY backfill; CPU time of a job, all start times equal.\n")
    print("| load | jobs | plain SimPy | policy, smallest loop | ratio | event engine | ratio |")
    print("|---|---|---|---|---|---|---|")
    for load, n_jobs in zip(LOADS, (args.jobs, min(N_OVERLOAD, args.jobs)), strict=True):
        print(against_plain(play, load, n_jobs, args.rounds), flush=True)
    few, many = FEW_TO_MANY
    print(f"\nEach policy with the loop: CPU time of a job of {many:,}; growth from {few:,}.\n")
    print(f"| policy | load {LOADS[0]} | load {LOADS[1]} | grows with the power |")
    print("|---|---|---|---|")
    for name, policy in POLICIES.items():
        calm_s, _ = exponent(play, policy, LOADS[0])
        busy_s, grows = exponent(play, policy, LOADS[1])
        us = f"{calm_s * 1e6:,.0f} us | {busy_s * 1e6:,.0f} us"
        print(f"| {name} | {us} | {grows:.2f} |", flush=True)
    few, many = FEW_TO_MANY_EARLY
    print(f"\nThe same at load {LOADS[1]} with jobs that end early, from {few:,} to {many:,}.\n")
    print("| policy | CPU time of a job | grows with the power |")
    print("|---|---|---|")
    for name in EARLY:
        job_s, grows = exponent(play_early, POLICIES[name], LOADS[1], FEW_TO_MANY_EARLY)
        print(f"| {name} | {job_s * 1e6:,.0f} us | {grows:.2f} |", flush=True)


if __name__ == "__main__":
    main()
