"""Views of a moment written by hand, small runs to play policies in, and policies written plainly.

The plain policies look at every job at every event and remember nothing. They share no code with
those of the package.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from computeplan.scheduling.view import JobTable, PoolTable, TenantTable, View


def job_table(jobs, n_pools):
    """Return jobs written as dicts of lists by pool (nodes, wall, energy), each of its own kind."""

    def column(key, other):
        return np.array([job.get(key, other) for job in jobs])

    def matrix(key, other):
        return np.array([job.get(key, [other] * n_pools) for job in jobs], dtype=float).reshape(
            len(jobs), n_pools
        )

    n_nodes, wall_s = matrix("nodes", 1).astype(np.int64), matrix("wall", 10.0)
    return JobTable(
        kind=np.arange(len(jobs)),
        work=np.ones(len(jobs)),
        arrival_s=column("arrival", 0.0).astype(float),
        deadline_s=column("deadline", math.inf).astype(float),
        home=column("home", -1).astype(np.int64),
        tenant=column("tenant", 0).astype(np.int64),
        priority=column("priority", 0).astype(np.int64),
        weight=column("weight", 1.0).astype(float),
        n_nodes=n_nodes,
        speed=np.where(n_nodes > 0, 1.0 / wall_s, 0.0),
        wall_s=wall_s,
        energy_j=matrix("energy", 1.0),
        step=np.zeros(len(jobs)),
    )


def pool_table(n_nodes, kg_per_j=None, **columns):
    n = len(n_nodes)
    found = {
        "usd_per_node_s": np.full(n, math.nan),
        "kg_per_j": np.array(kg_per_j or [1.0] * n),
        "train_w": np.ones(n),
    }
    return PoolTable(
        names=tuple("abcdefgh"[:n]),
        n_nodes=np.array(n_nodes, dtype=np.int64),
        chips_per_node=np.ones(n, dtype=np.int64),
        **(found | columns),
    )


def view(free, jobs, *, running=None, now_s=0.0, queue=None, kg_per_j=None, **columns):
    """Return a view of jobs that wait, and of others that run: (end, nodes) or a dict, by pool."""
    n_pools, waits = len(free), len(jobs)
    runs, everyone = [], list(jobs)
    for pool, ends in enumerate(running or [()] * n_pools):
        for end in ends:
            run = end if isinstance(end, dict) else {"end": end[0], "n": end[1]}
            nodes = [run["n"] if p == pool else 0 for p in range(n_pools)]
            runs.append((pool, run, len(everyone)))
            everyone.append({**run, "nodes": nodes, "wall": [run.get("wall", 1e9)] * n_pools})
    held = [sum(run["n"] for p, run, _ in runs if p == pool) for pool in range(n_pools)]
    pools = pool_table([f + h for f, h in zip(free, held, strict=True)], kg_per_j, **columns)
    seen = View(job_table(everyone, n_pools), pools, TenantTable())
    for pool, run, job in runs:
        seen.enqueue(job)
        seen.now_s = run.get("start", -1.0)
        seen.place(job, pool, run["end"])
    seen.free = list(free)
    seen.now_s = now_s
    for job in range(waits) if queue is None else queue:
        seen.enqueue(job)
    return seen


def placed(decision):
    """Return job and pool of each start."""
    return [(start.job, start.pool) for start in decision.start]


@dataclass
class SmallRun:
    """A run at whole seconds in which jobs may end early or late, and nodes may come and go."""

    size: list[int]
    jobs: list[dict]
    """As of `job_table`; `off` is how much later than expected a job ends. [s]"""
    nodes: list[tuple[int, int, int]] = field(default_factory=list)
    """When, on which pool, and how many nodes come (or go, if so many are free)."""
    expect: list[tuple[int, int, int]] = field(default_factory=list)
    """When it turns out of a running job that it will end by so much later."""
    save_s: float = 0.0
    """How long a job that is stopped saves; the policy is asked meanwhile."""

    def play(self, policy, check=None):
        """Return the view at the end, and start and end of each job; `check` sees each decision."""
        played = _Played(self)
        seen = played.seen
        while played.times_s:
            seen.now_s = min(played.times_s)
            played.times_s.remove(seen.now_s)
            played.happen()
            if seen.queue:
                decision = policy(seen)
                if check is not None:
                    check(seen, decision)
                played.do(decision)
        return seen, played.began, played.ended


class _Played:
    """A small run while it is played."""

    def __init__(self, run):
        self.run = run
        self.seen = View(job_table(run.jobs, len(run.size)), pool_table(run.size), TenantTable())
        self.seen.done_frac = lambda job: done_frac(self.seen, job)
        self.times_s = {float(spec["arrival"]) for spec in run.jobs}
        self.times_s |= {float(event[0]) for event in (*run.nodes, *run.expect)}
        self.began, self.ended = {}, {}
        self.ends, self.saves, self.deferred = [], [], []

    def happen(self):
        """Tell the view what happens now: ends, saves, nodes, expectations, arrivals, starts."""
        seen, now_s = self.seen, self.seen.now_s
        for end_s, job, start_s in self.ends:
            run = seen.running.get(job)
            if end_s == now_s and run is not None and run.start_s == start_s:
                self.give_back(job)
                self.ended[job] = end_s
        for end_s, job in self.saves:
            if end_s == now_s and job in seen.stopping:
                self.stop(job)
        for time_s, pool, n in self.run.nodes:
            if time_s == now_s:
                seen.free[pool] += max(n, -seen.free[pool])
        for time_s, job, later_s in self.run.expect:
            if time_s == now_s and job in seen.running:
                seen.expect(job, max(now_s + 1, seen.running[job].end_s + later_s))
        for job, spec in enumerate(self.run.jobs):
            if spec["arrival"] == now_s:
                seen.enqueue(job)
        deferred, self.deferred = self.deferred, []
        for start in deferred:
            self.start(start)

    def do(self, decision):
        self.seen.memory = decision.memory
        now_s = self.seen.now_s
        for job in decision.stop:
            assert job in self.seen.running
            assert not any(job == other and end_s > now_s for end_s, other in self.saves)
            if self.run.save_s:
                self.seen.stopping.add(job)
                self.saves.append((now_s + self.run.save_s, job))
                self.times_s.add(now_s + self.run.save_s)
            else:
                self.stop(job)
        for start in decision.start:
            assert decision.stop or self.has_room(start)
            self.start(start)

    def has_room(self, start):
        return self.seen.nodes(start.job, start.pool) <= self.seen.free[start.pool]

    def start(self, start):
        """Start a job that waits, or when there is room."""
        job, pool, _, restart_s, *_ = start
        if job not in self.seen.queue:
            return
        if not self.has_room(start):
            self.deferred.append(start)
            return
        now_s, seen = self.seen.now_s, self.seen
        wall_s = seen.wall_s(job, pool) + restart_s * (job in seen.left_frac)
        seen.free[pool] -= seen.nodes(job, pool)
        seen.place(job, pool, now_s + wall_s)
        self.began.setdefault(job, now_s)
        end_s = now_s + max(1.0, wall_s + self.run.jobs[job].get("off", 0))
        self.ends.append((end_s, job, now_s))
        self.times_s.add(end_s)

    def stop(self, job):
        left_frac = self.seen.left(job) / self.seen.work[job]
        self.give_back(job)
        self.seen.enqueue(job, left_frac)

    def give_back(self, job):
        run = self.seen.running[job]
        self.seen.free[run.pool] += run.n_nodes
        self.seen.leave(job)


def done_frac(seen, job):
    run = seen.running[job]
    wall_s = seen.wall_per_work_s[seen.kind[job]][run.pool]
    left = max(0.0, run.end_s - seen.now_s) / wall_s
    return 1.0 - min(left, seen.left_frac.get(job, 1.0))


# -- plain policies --------------------------------------------------------------------------------


def ends_of(seen):
    return [[(end_s, n) for end_s, _, n in ends] for ends in seen.ends]


def plain_first_fit(seen):
    free, found = list(seen.free), []
    for job in seen.queue:
        for pool in seen.pools_for(job):
            if seen.nodes(job, pool) <= free[pool]:
                free[pool] -= seen.nodes(job, pool)
                found.append((job, pool))
                break
    return found


def plain_shortest_first(seen):
    free, found, waits = list(seen.free), [], list(seen.queue)
    while True:
        fits = [
            (seen.wall_s(job, pool), place, pool, job)
            for place, job in enumerate(waits)
            for pool in seen.pools_for(job)
            if seen.nodes(job, pool) <= free[pool] and (job not in [j for j, _ in found])
        ]
        if not fits:
            return found
        _, _, pool, job = min(fits)
        free[pool] -= seen.nodes(job, pool)
        found.append((job, pool))


def plain_easy(seen):
    free, ends, found, head = list(seen.free), ends_of(seen), [], None
    for job in seen.queue:
        for pool in seen.pools_for(job):
            n, end_s = seen.nodes(job, pool), seen.now_s + seen.wall_s(job, pool)
            if n > free[pool]:
                continue
            if head is not None and head[1] == pool and end_s > head[0]:
                if n > head[2]:
                    continue
                head = (head[0], pool, head[2] - n)
            free[pool] -= n
            ends[pool].append((end_s, n))
            found.append((job, pool))
            break
        else:
            if head is None:
                head = min(
                    (plain_soonest(seen, job, pool, free, ends) for pool in seen.pools_for(job)),
                    key=lambda option: option[0],
                )
    return found


def plain_soonest(seen, job, pool, free, ends):
    n = seen.nodes(job, pool)
    for at_s in sorted({end_s for end_s, _ in ends[pool]}):
        there = free[pool] + sum(given for end_s, given in ends[pool] if end_s <= at_s)
        if there >= n:
            return at_s, pool, there - n
    return math.inf, -1, 0


def plain_reserving(cost):
    """Return a policy that lays all reservations anew at every event, and looks at every end."""

    def policy(seen):
        soon_s = math.nextafter(seen.now_s, math.inf)  # an overdue job still holds its nodes
        changes = [
            [(seen.now_s, free), *((max(end_s, soon_s), n) for end_s, n in ends)]
            for free, ends in zip(seen.free, ends_of(seen), strict=True)
        ]
        found = []
        for job in seen.queue:
            options = []
            for pool in seen.pools_for(job):
                wall_s = seen.wall_s(job, pool)
                start_s = first_gap(changes[pool], seen.nodes(job, pool), wall_s)
                options.append((cost(seen, job, pool, start_s + wall_s), start_s, pool))
            _, start_s, pool = min(options)
            if start_s < math.inf:
                n = seen.nodes(job, pool)
                changes[pool] += [(start_s, -n), (start_s + seen.wall_s(job, pool), n)]
                if start_s <= seen.now_s:
                    found.append((job, pool))
        return found

    return policy


def first_gap(changes, n, wall_s):
    times_s = sorted({time_s for time_s, _ in changes})
    free = {at_s: sum(more for time_s, more in changes if time_s <= at_s) for at_s in times_s}
    for start_s in times_s:
        if all(free[at_s] >= n for at_s in times_s if start_s <= at_s < start_s + wall_s):
            return start_s
    return math.inf


def by_start(seen, job, pool, end_s):
    return ()  # of places that cost the same, the one that begins soonest is taken


def by_end(seen, job, pool, end_s):
    return (end_s,)


def by_energy(seen, job, pool, end_s):
    if end_s > seen.jobs.deadline_s[job]:
        return (1, end_s)
    return (0, seen.energy_j(job, pool), end_s)
