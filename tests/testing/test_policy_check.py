"""What is shipped for third parties: a good policy passes, and every way to be broken is seen."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from computeplan.scheduling.decision import NOTHING, Decision, Start
from computeplan.scheduling.policies.capacity import Capacity
from computeplan.scheduling.policies.shares import max_min_fairness
from computeplan.scheduling.registry import may
from computeplan.testing import PolicyError, check_policy


def fitting(view, order=iter):
    """Return a start for each job that fits beside those before it, the first pool with room."""
    free, starts = list(view.free), []
    for job in order(view.queue):
        for pool in view.pools_for(job):
            if view.nodes(job, pool) <= free[pool]:
                free[pool] -= view.nodes(job, pool)
                starts.append(Start(job, pool))
                break
    return starts


def first_fit(view):
    return Decision(fitting(view))


@dataclass(frozen=True)
class Rounds:
    """All jobs run in turn: leases of one round, and memory of who has run."""

    round_s: float = 600.0

    def __call__(self, view):
        served = view.memory or {}
        starts = fitting(view, lambda queue: sorted(queue, key=lambda job: served.get(job, 0)))
        now = {start.job: view.now_s for start in starts}
        leased = [start._replace(lease_s=self.round_s, restart_s=5.0) for start in starts]
        again_s = view.now_s + self.round_s if view.queue else math.inf
        return Decision(leased, again_s=again_s, memory={**served, **now})


def by_priority(view):
    """Stops what is less urgent than the first that waits."""
    if view.stopping or not view.queue:
        return NOTHING
    starts, urgent = fitting(view), view.jobs.priority
    if starts:
        return Decision(starts)
    top = max(urgent[job] for job in view.queue)
    return Decision(stop=[job for job in view.running if urgent[job] < top])


def on_what_it_stops(view):
    """Stops a job of lower priority for one that waits, and starts that one at once."""
    urgent = view.jobs.priority
    if not fitting(view) and not view.stopping:
        for job, run in view.running.items():
            for other in view.queue:
                if urgent[other] > urgent[job] and 0 < view.nodes(other, run.pool) <= run.n_nodes:
                    return Decision([Start(other, run.pool)], stop=[job], memory=other)
    free = [] if view.stopping else fitting(view)
    return Decision([start for start in free if start.job != view.memory])


def moves(view):
    """Moves a job to another pool, once: it is started there while it still saves."""
    seen = view.memory or ()
    for job, run in view.running.items():
        for pool in view.pools_for(job):
            if pool != run.pool and view.nodes(job, pool) <= view.free[pool] and job not in seen:
                return Decision([Start(job, pool)], stop=[job], memory=(*seen, job))
    return Decision([] if view.stopping else fitting(view), memory=seen)


@may("cap")
def capped(view):
    """Lets jobs of every pool draw half of what one node does, and the first for an hour only."""
    half_w = dict(enumerate((view.pools.train_w / 2).tolist()))
    if view.now_s >= 3600.0:
        half_w[0] = math.inf
    again_s = 3600.0 if view.now_s < 3600.0 else math.inf
    return Decision(fitting(view), cap_w=half_w, again_s=again_s)


slowed_shares = replace(max_min_fairness, cap_w=20e3, slow_down=True, round_s=7200.0)


@pytest.mark.parametrize(
    "policy",
    [
        *(first_fit, Rounds(), by_priority, on_what_it_stops, moves, Capacity()),
        *(capped, slowed_shares),
    ],
)
def test_a_policy_that_keeps_the_rules_passes(policy):
    check_policy(policy, loads=50)


def counted():
    calls = itertools.count()
    return lambda view: Decision(fitting(view)[: next(calls) % 2])


def remembers_views():
    """The same view gives the same, and a later run is another."""
    seen = []

    def policy(view):
        moment = (view.now_s, view.n_queued, tuple(view.free), len(view.queue))
        if not seen or seen[-1] != moment:
            seen.append(moment)
        return Decision(fitting(view, sorted if len(seen) % 3 else reversed))

    return policy


def takes_from_the_view(view):
    starts = fitting(view)
    for start in starts:
        view.free[start.pool] -= view.nodes(start.job, start.pool)
    return Decision(starts)


def writes_to_its_memory(view):
    """Looks at how often it was asked, so that to ask twice is another load."""
    memory = view.memory or {}
    memory[view.now_s, view.n_queued, len(view.queue)] = True
    memory["asked"] = memory.get("asked", 0) + 1
    order = sorted if memory["asked"] // 2 % 2 else reversed
    return Decision(fitting(view, order), memory=memory)


def writes_to_the_jobs(view):
    view.jobs.weight[0] += 1.0
    return Decision(fitting(view))


def every_job(view):
    return Decision([Start(job, view.pools_for(job)[0]) for job in view.queue])


def twice(view):
    starts = fitting(view)
    return Decision([*starts, *starts[:1]])


def what_runs(view):
    return Decision([*fitting(view), *(Start(job, run.pool) for job, run in view.running.items())])


def where_it_cannot(view):
    pools = range(len(view.free))
    bad = [
        Start(j, p)
        for j in view.queue
        for p in pools
        if p not in view.pools_for(j) and view.free[p]
    ]
    return Decision(bad[:1] or fitting(view))


def beyond_the_pools(view):
    return Decision([Start(job, len(view.free)) for job in view.queue][:1])


def stops_what_waits(view):
    return Decision(fitting(view), stop=list(view.queue)[:1])


def promises_nodes_twice(view):
    """Stops one job for two others."""
    if view.stopping or not view.queue or fitting(view):
        return Decision([] if view.stopping else fitting(view))
    for job, run in view.running.items():
        wait = [j for j in view.queue if run.n_nodes // 2 < view.nodes(j, run.pool) <= run.n_nodes]
        if len(wait) > 1 and view.free[run.pool] == 0:
            return Decision([Start(other, run.pool) for other in wait[:2]], stop=[job])
    return NOTHING


def takes_what_is_promised(view):
    """Stops a job for another, and starts a third on what was promised."""
    promised, pool = view.memory or (-1, -1)
    if promised in view.queue and view.stopping:
        rest = [j for j in view.queue if j != promised and view.nodes(j, pool)]
        fit = [j for j in rest if view.nodes(j, pool) <= view.free[pool]]
        return Decision([Start(job, pool) for job in fit[:1]], memory=view.memory)
    if not fitting(view):
        for job, run in view.running.items():
            for other in view.queue if run.start_s < view.now_s and view.free[run.pool] else ():
                if view.nodes(other, run.pool) == run.n_nodes + view.free[run.pool]:
                    start = Start(other, run.pool)
                    return Decision([start], stop=[job], memory=(other, run.pool))
    return Decision(fitting(view)[:1], again_s=view.now_s if fitting(view) else math.inf)


def asks_in_the_past(view):
    return Decision(fitting(view), again_s=view.now_s - 1.0)


def asks_at_no_time(view):
    return Decision(fitting(view), again_s=math.nan)


def asks_without_end(view):
    return Decision(fitting(view), again_s=view.now_s)


def stops_and_starts_without_end(view):
    return Decision(fitting(view), stop=list(view.running))


def asks_in_tiny_steps(view):
    return Decision(fitting(view), again_s=math.nextafter(view.now_s, math.inf))


def never(view):
    return NOTHING


def only_small_ones(view):
    return Decision([start for start in fitting(view) if view.nodes(start.job, start.pool) < 5])


def gives_up_what_stopped(view):
    """A job that has run is never started again."""
    fresh = [start for start in fitting(view) if start.job not in view.left_frac]
    return Decision([start._replace(lease_s=100.0) for start in fresh])


def caps(watts, pool=0):
    """Caps a pool."""
    return may("cap")(lambda view: Decision(fitting(view), cap_w={pool: watts}))


def caps_and_says_nothing(view):
    return Decision(fitting(view), cap_w={0: 1e3})


def empty_leases(view):
    return Decision([start._replace(lease_s=0.0) for start in fitting(view)])


def restarts_before_it_stops(view):
    return Decision([start._replace(restart_s=-1.0) for start in fitting(view)])


def old_placements(view):
    return [(start.job, start.pool) for start in fitting(view)]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (counted(), "the same view gives another decision"),
        (remembers_views(), "is another when the load is played again"),
        (takes_from_the_view, "changes its view"),
        (writes_to_its_memory, "another"),
        (writes_to_the_jobs, "changes its view"),
        (every_job, r"nodes\) on pool ., which has . free"),
        (twice, "starts a job twice"),
        (what_runs, "which does not wait"),
        (where_it_cannot, "which can never hold it"),
        (beyond_the_pools, "which can never hold it"),
        (stops_what_waits, "which does not run"),
        (promises_nodes_twice, r"coming back, and \d promised to others"),
        (takes_what_is_promised, "and [1-9] promised to others"),
        (asks_in_the_past, "in the past"),
        (asks_at_no_time, "in the past"),
        (asks_without_end, "at one time, without end"),
        (stops_and_starts_without_end, "times"),
        (asks_in_tiny_steps, "times, and jobs have not ended"),
        (never, "leaves jobs waiting for ever that fit: 0"),
        (only_small_ones, "leaves jobs waiting for ever that fit"),
        (gives_up_what_stopped, "leaves jobs waiting for ever that fit"),
        (empty_leases, "with lease_s 0.0"),
        (restarts_before_it_stops, "restart_s -1.0"),
        (caps(0.0), "caps pool 0 at 0.0 W: a cap must be > 0"),
        (caps(-5.0), "caps pool 0 at -5.0 W"),
        (caps(math.nan), "caps pool 0 at nan W"),
        (caps(5.0, pool=9), "caps pool 9, which there is not"),
        (caps_and_says_nothing, r"caps pool 0, and is not marked with registry\.may\(.cap.\)"),
        (old_placements, "returns list, not a Decision"),
    ],
)
def test_a_broken_policy_is_caught(policy, message):
    with pytest.raises(PolicyError, match=message) as caught:
        check_policy(policy)
    assert str(caught.value).startswith("load ")


def test_a_policy_that_may_starve_says_so():
    for policy in (never, only_small_ones, Capacity(borrow=False)):
        with pytest.raises(PolicyError, match="for ever"):
            check_policy(policy)
        check_policy(policy, may_starve=True)


def test_a_policy_that_may_starve_keeps_all_other_rules():
    with pytest.raises(PolicyError, match="in the past"):
        check_policy(asks_in_the_past, may_starve=True)


def test_a_policy_is_known_by_its_name_too():
    with pytest.raises(ValueError, match="no policy 'nobodys'"):
        check_policy("nobodys")


def test_jobs_are_slowed_down_to_caps():
    """A job of n nodes that may draw half of what one does takes 2 n times as long."""
    factors = []

    @may("cap")
    def policy(view):
        for job, run in view.running.items() if len(view.work) == 1 else ():
            if view.now_s == run.start_s + 1:
                full_s = view.work[job] / view.jobs.speed[view.kind[job], run.pool]
                factors.append((run.end_s - run.start_s) / full_s / (2 * run.n_nodes))
        starts, half_w = fitting(view), (view.pools.train_w / 2).tolist()
        again_s = view.now_s + 1 if starts else math.inf
        return Decision(starts, cap_w=dict(enumerate(half_w)), again_s=again_s)

    check_policy(policy, loads=60)
    assert factors == pytest.approx([1.0] * len(factors))
    assert len(factors) > 2


def test_a_job_that_was_stopped_does_not_end_when_it_would_have_without():
    """A job alone is stopped once, 1 s after its start: at its old end it has yet to wait 50 s."""
    still_there = []

    def policy(view):
        if len(view.work) != 1:
            return first_fit(view)
        starts = [start._replace(restart_s=50.0) for start in fitting(view)]
        ((_, run),) = view.running.items() or ((0, None),)
        old_end_s = view.memory
        if old_end_s is None and run is None:
            return Decision(starts, again_s=view.now_s + 1)
        if old_end_s is None:
            return Decision(stop=[run.job], again_s=run.end_s, memory=run.end_s)
        if view.now_s == old_end_s:
            still_there.append(run is not None)
        again_s = old_end_s if view.now_s < old_end_s else math.inf
        return Decision(starts, again_s=again_s, memory=old_end_s)

    check_policy(policy, loads=60)
    assert len(still_there) > 2
    assert all(still_there)


def test_loads_follow_from_the_seed():
    def told(seed):
        seen = []

        def policy(view):
            seen.append((view.now_s, *view.free, *np.asarray(view.work)))
            return Decision(fitting(view))

        check_policy(policy, loads=3, seed=seed)
        return seen

    assert told(1) == told(1)
    assert told(1) != told(2)
