"""Capacity: a tenant's quota is its own, idle nodes are lent, and lent nodes come back."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from computeplan.scheduling.decision import Start
from computeplan.scheduling.policies.capacity import Capacity, _line
from computeplan.scheduling.view import JobTable, PoolTable, TenantTable, View
from computeplan.testing import check_policy

INF = math.inf
CAPACITY = Capacity()


def cloud(sizes, quota, jobs):
    """Return a view of jobs, each (tenant, nodes on each pool, priority); none waits yet."""
    n_jobs, n_pools = len(jobs), len(sizes)
    nodes = np.array([nodes for _, nodes, *_ in jobs]).reshape(n_jobs, n_pools)
    ones = np.where(nodes > 0, 1.0, 0.0)
    table = JobTable(
        kind=np.arange(n_jobs),
        work=np.full(n_jobs, 100.0),
        arrival_s=np.zeros(n_jobs),
        deadline_s=np.full(n_jobs, INF),
        home=np.full(n_jobs, -1),
        tenant=np.array([tenant for tenant, *_ in jobs]),
        priority=np.array([(*job, 0)[2] for job in jobs]),
        weight=np.ones(n_jobs),
        n_nodes=nodes,
        speed=ones,
        wall_s=np.where(nodes > 0, 1.0, INF),
        energy_j=ones,
        step=np.zeros(n_jobs),
    )
    pools = PoolTable(
        names=tuple("abc"[:n_pools]),
        n_nodes=np.array(sizes),
        chips_per_node=np.ones(n_pools, dtype=np.int64),
        usd_per_node_s=np.ones(n_pools),
        kg_per_j=np.ones(n_pools),
        train_w=np.ones(n_pools),
    )
    n_tenants = max((tenant for tenant, *_ in jobs), default=0) + 1
    rows = quota if quota is None else np.array(quota, dtype=float).reshape(-1, n_pools)
    names = tuple("uvwxyz"[: n_tenants if rows is None else len(rows)])
    return View(table, pools, TenantTable(names, np.ones(len(names)), rows))


def runs(view, job, pool=0, at_s=0.0):
    """Let a job hold nodes since a time."""
    view.now_s = at_s
    view.enqueue(job)
    view.free[pool] -= view.nodes(job, pool)
    view.place(job, pool, at_s + 100.0)


def told(view, policy=CAPACITY):
    """Return what starts where, and what stops."""
    decision = policy(view)
    return [(start.job, start.pool) for start in decision.start], list(decision.stop)


# -- quota, borrowing ----------------------------------------------------------------------------


def test_a_tenant_borrows_what_nobody_claims():
    view = cloud([8], [[4], [4]], [(0, [4]), (0, [4])])
    view.enqueue(0)
    view.enqueue(1)
    assert told(view) == ([(0, 0), (1, 0)], [])
    assert told(view, Capacity(borrow=False)) == ([(0, 0)], [])


def test_own_quota_goes_before_a_higher_priority_that_borrows():
    view = cloud([8], [[4], [4]], [(0, [8], 9), (1, [4], 0)])
    view.enqueue(0)
    view.enqueue(1)
    assert told(view) == ([(1, 0)], [])


def test_in_a_tenant_priority_goes_before_arrival():
    view = cloud([4], [[4]], [(0, [4], 1), (0, [4], 2), (0, [4], 2)])
    for job in (0, 2, 1):
        view.enqueue(job)
    assert told(view) == ([(2, 0)], [])


def test_a_tenant_without_quota_has_no_limit_and_no_right():
    view = cloud([8], [[INF], [4]], [(0, [8]), (1, [4])])
    runs(view, 0)
    view.enqueue(1)
    assert told(view) == ([], [0])
    assert told(view, Capacity(borrow=False)) == ([], [0])
    assert told(cloud([8], None, [(0, [8])])) == ([], [])


def test_without_quotas_every_job_that_fits_starts_by_priority():
    view = cloud([4], None, [(0, [3], 0), (1, [2], 1), (0, [2], 0)])
    for job in range(3):
        view.enqueue(job)
    assert told(view) == ([(1, 0), (2, 0)], [])


def test_a_job_takes_the_first_of_its_pools_own_quota_first():
    """It has a right on b only, and a has room: b. Where b is full: a, and nothing stops."""
    view = cloud([4, 4], [[0, 4], [4, 0]], [(0, [4, 4]), (1, [4, 4])])
    view.enqueue(0)
    assert told(view) == ([(0, 1)], [])
    runs(view, 1, pool=1)
    assert told(view) == ([(0, 0)], [])


def test_what_one_tenant_lacks_is_not_lent_to_another_pool_by_pool():
    """Node 0 of pool a is kept for tenant 0, whose gang waits for the repair of the other."""
    view = cloud([2, 2], [[2, 0], [0, 2]], [(0, [2, 0]), (1, [1, 1])])
    view.free = [1, 0]
    view.enqueue(0)
    view.enqueue(1)
    assert told(view) == ([], [])
    view.free = [1, 1]
    assert told(view) == ([(1, 1)], [])


# -- reclaim -------------------------------------------------------------------------------------


def lent(*nodes, size, own):
    """Return a view where tenant 0 has started jobs one after the other, and tenant 1 waits."""
    jobs = [(0, [n]) for n in nodes] + [(1, [own])]
    view = cloud([size], [[size - own], [own]], jobs)
    for job in range(len(nodes)):
        runs(view, job, at_s=float(job))
    view.now_s = 50.0
    view.enqueue(len(nodes))
    return view


def test_the_latest_borrowed_job_stops():
    assert told(lent(2, 2, 2, 2, size=8, own=2)) == ([], [3])
    assert told(lent(2, 2, 2, 2, size=8, own=4)) == ([], [3, 2])


def test_no_more_stop_than_are_needed():
    """Of 1, 1 and 4 nodes borrowed, 4 are wanted: the one of 4 is enough."""
    assert told(lent(2, 4, 1, 1, size=8, own=4)) == ([], [1])


def test_a_job_in_its_own_quota_never_stops():
    """Quotas of 6 and 4 on 8 nodes: tenant 0 holds 6 of its own, and 4 are wanted."""
    view = cloud([8], [[6], [4]], [(0, [3]), (0, [3]), (0, [2]), (1, [4])])
    for job in range(3):
        runs(view, job, at_s=float(job))
    view.enqueue(3)
    assert told(view) == ([], [])


def test_what_is_borrowed_first_becomes_own_when_own_jobs_end():
    view = cloud([8], [[4], [4]], [(0, [4]), (0, [4]), (1, [4])])
    runs(view, 0)
    runs(view, 1, at_s=1.0)
    view.leave(0)
    view.free[0] += 4
    view.enqueue(2)
    assert told(view) == ([(2, 0)], [])
    view.free[0] -= 4  # somebody else's repair
    assert told(view) == ([], [])


def test_of_jobs_that_start_together_those_in_the_quota_are_own():
    """Both start at one time, the one in the quota first though its number is higher."""
    view = cloud([8], [[4], [4]], [(0, [5]), (0, [3]), (1, [4])])
    view.enqueue(0)
    view.enqueue(1)
    decision = CAPACITY(view)
    assert [start.job for start in decision.start] == [1, 0]
    for job, pool, *_ in decision.start:
        view.free[pool] -= view.nodes(job, pool)
        view.place(job, pool, 100.0)
    view.enqueue(2)
    assert told(view) == ([], [0])


def test_a_claim_is_kept_while_the_save_lasts():
    """2 nodes are free and 2 come back: nobody else takes the 2, of whatever priority."""
    view = cloud([8], [[4], [4]], [(0, [4]), (0, [2]), (1, [4], 0), (0, [2], 9), (1, [4], 9)])
    runs(view, 0)
    runs(view, 1, at_s=1.0)
    view.enqueue(2)
    decision = CAPACITY(view)
    assert decision.stop == [1]
    view.memory = decision.memory
    view.stopping.add(1)
    view.enqueue(3)
    view.enqueue(4)
    assert told(view) == ([], [])
    view.leave(1)
    view.free[0] += 2
    view.enqueue(1)
    assert told(view) == ([(2, 0)], [])


def test_a_node_lost_while_the_save_lasts_is_reclaimed_too():
    view = cloud([8], [[2], [6]], [(0, [2]), (0, [2]), (0, [2]), (1, [4])])
    for job in range(3):
        runs(view, job, at_s=float(job))
    view.enqueue(3)
    decision = CAPACITY(view)
    assert decision.stop == [2]
    view.memory = decision.memory
    view.stopping.add(2)
    view.free[0] -= 1
    assert told(view) == ([], [1])


def test_nothing_stops_where_it_would_not_be_enough():
    """4 are wanted: 1 is free, 2 are lent and 1 is in repair."""
    view = cloud([8], [[4], [4]], [(0, [4]), (0, [2]), (1, [4]), (0, [1])])
    runs(view, 0)
    runs(view, 1, at_s=1.0)
    view.free[0] -= 1
    view.enqueue(2)
    view.enqueue(3)
    assert told(view) == ([], [])


def test_a_stopped_job_pays_for_its_restart():
    view = cloud([4], [[4]], [(0, [4])])
    view.enqueue(0)
    assert Capacity(restart_cost_s=30.0)(view).start == [Start(0, 0, restart_s=30.0)]


def test_settings_do_not_change_what_waits():
    check_policy(Capacity(restart_cost_s=60.0), loads=40, seed=1)
    check_policy(Capacity(borrow=False), may_starve=True, loads=40, seed=1)


def test_who_is_stopped_claims_what_is_left_of_its_own_quota():
    """Tenant 0 loses 5 nodes to tenant 1, and has a right to 4 of them at that moment."""
    view = cloud([7], [[4], [3], [0]], [(0, [5]), (2, [1]), (0, [4]), (1, [3])])
    runs(view, 0)
    runs(view, 1, at_s=1.0)
    view.enqueue(2)
    view.enqueue(3)
    assert told(view) == ([], [0, 1])


def test_what_a_job_holds_that_stops_is_no_more_of_its_quota():
    """Tenant 0 gives 6 back and has a right to 4 by that: the 2 that are free are not lent."""
    view = cloud([8], [[4], [4], [0]], [(0, [3]), (0, [3]), (0, [4]), (2, [2])])
    runs(view, 0)
    runs(view, 1, at_s=1.0)
    view.stopping |= {0, 1}
    view.enqueue(2)
    view.enqueue(3)
    assert told(view) == ([], [])
    view.stopping.clear()
    assert told(view) == ([(3, 0)], [])


def test_idle_nodes_that_another_has_a_right_to_are_not_borrowed_before_it():
    """Job 2 may borrow 2 nodes of b, which job 3 waits for: its own pool is reclaimed instead."""
    quota = [[4, 0], [0, 4], [0, 0]]
    jobs = [(2, [4, 0]), (2, [0, 2]), (0, [4, 2]), (1, [0, 4])]
    view = cloud([4, 4], quota, jobs)
    runs(view, 0, pool=0)
    runs(view, 1, pool=1)
    view.enqueue(2)
    assert told(view) == ([(2, 1)], [])
    view.enqueue(3)
    assert told(view) == ([], [0, 1])


# -- lines of the view -----------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["come", "go", "ask"]), st.integers(0, 9)), max_size=30))
def test_lines_are_the_queue_sorted(steps):
    """An oracle by sorting: whenever they are first asked for, and whatever came and went."""
    jobs = [(job % 2, [1 + job % 3], job % 2) for job in range(10)]
    view = cloud([30], None, jobs)
    for what, job in steps:
        if what == "come" and job not in view.queue and job not in view.running:
            view.enqueue(job)
        elif what == "go" and job in view.queue:
            view.place(job, 0, 1.0)
        elif what == "go" and job in view.running:
            view.leave(job)
        elif what == "ask":
            assert view.lines(_line) is not None
    lines = {}
    for job, place in view.queue.items():
        lines.setdefault((-view.priority[job], view.tenant[job], view.nodes(job, 0)), []).append(
            (job, place)
        )
    found = [list(line.behind(-1)) for line in view.lines(_line).values()]
    assert sorted(line for line in found if line) == sorted(lines.values())
    held = [
        sum(run.n_nodes for job, run in view.running.items() if view.tenant[job] == tenant)
        for tenant in range(2)
    ]
    assert [view.held_by(tenant)[0] for tenant in range(2)] == held


# -- the guarantee -------------------------------------------------------------------------------

SAVE_S = 3


class Played:
    """Jobs and saves second by second, with a look at who has a right and waits.

    An oracle by counting: it knows quotas, and nothing of claims.
    """

    def __init__(self, view, seconds, arrivals):
        self.view, self.seconds, self.arrivals = view, dict(enumerate(seconds)), arrivals
        self.since: dict[int, int] = {}
        self.saved_at: dict[int, int] = {}
        self.longest_s, self.n_stops = 0, 0

    def play(self):
        view, t = self.view, 0
        while self.seconds and t < 5000:
            view.now_s = float(t)
            for job in list(view.running):
                if self.saved_at.get(job) == t:
                    self.leaves(job)
                    view.enqueue(job)
                elif job not in self.saved_at and self.seconds[job] == 0:
                    self.leaves(job)
                    del self.seconds[job]
            for job, at in enumerate(self.arrivals):
                if at == t:
                    view.enqueue(job)
            self.decide(t)
            self.look(t)
            for job in view.running:
                if job not in self.saved_at:
                    self.seconds[job] -= 1
            t += 1
        assert not self.seconds

    def leaves(self, job):
        pool = self.view.running[job].pool
        self.view.free[pool] += self.view.nodes(job, pool)
        self.view.leave(job)
        self.saved_at.pop(job, None)

    def decide(self, t):
        view = self.view
        decision = CAPACITY(view)
        view.memory = decision.memory
        for job in decision.stop:
            assert self.before(job) > self.quota(job), "a job in its own quota is stopped"
            view.stopping.add(job)
            self.saved_at[job] = t + SAVE_S
            self.n_stops += 1
        for job, pool, *_ in decision.start:
            view.free[pool] -= view.nodes(job, pool)
            assert view.free[pool] >= 0
            view.place(job, pool, float(t + self.seconds[job]))

    def quota(self, job):
        quota = self.view.tenants.quota_nodes[self.view.tenant[job], self.view.running[job].pool]
        return 0.0 if math.isinf(quota) else quota

    def before(self, job):
        """Return the nodes of a job and of the jobs of its tenant that got theirs before."""
        view, total = self.view, 0
        for other, run in view.running.items():
            like = view.tenant[other] == view.tenant[job] and run.pool == view.running[job].pool
            if like and other not in self.saved_at:
                total += run.n_nodes
            if other == job:
                break
        return total

    def look(self, t):
        """Note how long each job has had a right: it fits in the quota beside those before it."""
        view, entitled = self.view, set()
        taken = np.zeros(view.tenants.quota_nodes.shape)
        for job, run in view.running.items():
            if job not in self.saved_at:
                taken[view.tenant[job], run.pool] += run.n_nodes
        for job in sorted(view.queue, key=lambda job: (-view.priority[job], view.queue[job])):
            tenant = view.tenant[job]
            for pool in view.pools_for(job):
                own, n_nodes = view.tenants.quota_nodes[tenant, pool], view.nodes(job, pool)
                if math.isfinite(own) and taken[tenant, pool] + n_nodes <= own:
                    taken[tenant, pool] += n_nodes
                    entitled.add(job)
                    break
        self.since = {job: self.since.get(job, t) for job in entitled}
        self.longest_s = max([self.longest_s, *(t - first for first in self.since.values())])


@st.composite
def shared_clouds(draw):
    """Return a view whose quotas fit in its pools, seconds of work, and arrivals."""
    n_pools, n_tenants = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    sizes = draw(st.lists(st.integers(2, 8), min_size=n_pools, max_size=n_pools))
    quota = np.zeros((n_tenants, n_pools))
    for pool, size in enumerate(sizes):
        for tenant in range(n_tenants):
            left = size - int(quota[:, pool][np.isfinite(quota[:, pool])].sum())
            quota[tenant, pool] = draw(st.integers(0, left) | st.just(INF))
    jobs, seconds, arrivals = [], [], []
    for _ in range(draw(st.integers(1, 12))):
        nodes = [draw(st.integers(0, size)) for size in sizes]
        nodes[0] = nodes[0] or int(not any(nodes))
        jobs.append((draw(st.integers(0, n_tenants - 1)), nodes, draw(st.integers(0, 1))))
        seconds.append(draw(st.integers(1, 40)))
        arrivals.append(draw(st.integers(0, 30)))
    return cloud(sizes, quota, jobs), seconds, arrivals


@settings(max_examples=300)
@given(shared_clouds())
def test_no_tenant_waits_for_its_own_quota_longer_than_one_save(case):
    played = Played(*case)
    played.play()
    assert played.longest_s < SAVE_S  # at the third second it has its nodes
