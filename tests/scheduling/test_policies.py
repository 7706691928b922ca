"""Policies are pure functions of a view: who runs where, worked out by hand."""

import bisect
import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.scheduling import registry
from computeplan.scheduling.profile import Profile
from computeplan.scheduling.registry import load_policy, policy_names
from computeplan.scheduling.view import View

POLICIES = ["fastest-first", "fifo-backfill", "first-fit", "least-energy", "silo"]


def view(free, jobs, *, running=None, now_s=0.0, queue=None):
    """Return a view of jobs written as dicts of lists by pool: nodes, wall, energy."""
    n_pools = len(free)

    def matrix(key, other):
        return np.array([job.get(key, [other] * n_pools) for job in jobs], dtype=float)

    return View(
        now_s=now_s,
        queue=tuple(range(len(jobs))) if queue is None else tuple(queue),
        free=tuple(free),
        running=tuple(tuple(ends) for ends in running or [()] * n_pools),
        n_nodes=matrix("nodes", 1).astype(np.int64),
        wall_s=matrix("wall", 10.0),
        energy_j=matrix("energy", 1.0),
        deadline_s=np.array([job.get("deadline", math.inf) for job in jobs]),
        home=np.array([job.get("home", -1) for job in jobs]),
    )


# -- every policy --------------------------------------------------------------------------------


@st.composite
def views(draw):
    n_pools, n_jobs = draw(st.integers(1, 3)), draw(st.integers(0, 6))
    size = draw(st.lists(st.integers(1, 8), min_size=n_pools, max_size=n_pools))
    now_s = draw(st.floats(0, 100))
    running, free = [], list(size)
    for p in range(n_pools):
        ends = []
        while free[p] > 0 and draw(st.booleans()):
            n = draw(st.integers(1, free[p]))
            free[p] -= n
            ends.append((now_s + draw(st.floats(0.1, 50)), n))
        running.append(ends)
    jobs = []
    for _ in range(n_jobs):
        nodes = [draw(st.integers(0, n)) for n in size]
        nodes[0] = nodes[0] or int(not any(nodes))
        homes = [p for p, n in enumerate(nodes) if n]
        jobs.append(
            {
                "nodes": nodes,
                "wall": [draw(st.floats(1, 50)) for _ in size],
                "energy": [draw(st.floats(1, 9)) for _ in size],
                "deadline": draw(st.floats(1, 100) | st.just(math.inf)),
                "home": draw(st.sampled_from(homes)),
            }
        )
    return view(free, jobs, running=running, now_s=now_s)


@pytest.mark.parametrize("name", POLICIES)
@given(seen=views())
def test_gangs_fit_whole_and_once_and_the_same_view_gives_the_same(name, seen):
    policy, before = load_policy(name), copy.deepcopy(seen)
    placed = policy(seen)
    assert policy(seen) == placed
    for field in ("now_s", "queue", "free", "running"):
        assert getattr(seen, field) == getattr(before, field)
    for field in ("n_nodes", "wall_s", "energy_j", "deadline_s", "home"):
        np.testing.assert_array_equal(getattr(seen, field), getattr(before, field))
    jobs = [job for job, _ in placed]
    assert len(set(jobs)) == len(jobs)
    assert set(jobs) <= set(seen.queue)
    taken = [0] * len(seen.free)
    for job, pool in placed:
        assert seen.n_nodes[job, pool] > 0
        taken[pool] += seen.n_nodes[job, pool]
    assert all(t <= f for t, f in zip(taken, seen.free, strict=True))


@pytest.mark.parametrize("name", POLICIES)
@given(seen=views())
def test_the_first_in_the_queue_never_waits_in_an_empty_cloud(name, seen):
    if not seen.queue or any(seen.running):
        return
    assert 0 in [job for job, _ in load_policy(name)(seen)]


@pytest.mark.parametrize("name", POLICIES)
def test_a_gang_gets_all_its_nodes_or_none(name):
    assert load_policy(name)(view([3], [{"nodes": [4]}], running=[[(5.0, 1)]])) == []
    assert load_policy(name)(view([4], [{"nodes": [4]}])) == [(0, 0)]


@pytest.mark.parametrize("name", POLICIES)
def test_an_empty_queue_places_no_job(name):
    assert load_policy(name)(view([4], [{}], queue=[])) == []


@pytest.mark.parametrize("name", POLICIES)
def test_the_order_of_the_queue_counts_and_not_that_of_the_jobs(name):
    seen = view([1], [{"nodes": [1]}, {"nodes": [1]}], queue=[1, 0])
    assert load_policy(name)(seen) == [(1, 0)]


@pytest.mark.parametrize("name", POLICIES)
def test_a_pool_with_too_many_nodes_in_repair_is_waited_for(name):
    """2 of 8 nodes are in repair: the end is not known, and no policy gives up."""
    seen = view([6], [{"nodes": [8]}])
    assert load_policy(name)(seen) == []


# -- silo ----------------------------------------------------------------------------------------


def test_silo_runs_each_job_at_home_only():
    jobs = [{"nodes": [4, 4], "home": 1}, {"nodes": [4, 4], "home": 0}]
    assert load_policy("silo")(view([4, 4], jobs)) == [(0, 1), (1, 0)]
    assert load_policy("silo")(view([8, 0], [jobs[0]])) == []


def test_silo_is_first_come_first_served_on_each_pool():
    jobs = [
        {"nodes": [5, 5], "home": 0},  # does not fit and blocks its pool
        {"nodes": [1, 1], "home": 0},
        {"nodes": [1, 1], "home": 1},
    ]
    assert load_policy("silo")(view([4, 4], jobs)) == [(2, 1)]


def test_without_a_home_the_only_pool_is_home():
    assert load_policy("silo")(view([4], [{"nodes": [4]}])) == [(0, 0)]


# -- first-fit -----------------------------------------------------------------------------------


def test_first_fit_takes_the_first_pool_with_room_and_passes_those_who_wait():
    jobs = [{"nodes": [2, 2]}, {"nodes": [9, 9]}, {"nodes": [3, 3]}, {"nodes": [0, 2]}]
    assert load_policy("first-fit")(view([3, 5], jobs)) == [(0, 0), (2, 1), (3, 1)]


# -- fifo-backfill -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backfilled", "runs"),
    [
        ({"nodes": [2], "wall": [10.0]}, True),  # gone when the head starts at 10
        ({"nodes": [2], "wall": [10.1]}, True),  # stays, on the 2 nodes the head leaves over
        ({"nodes": [3], "wall": [10.0]}, True),
        ({"nodes": [3], "wall": [10.1]}, False),  # would delay the head
    ],
)
def test_easy_backfills_what_does_not_delay_the_head(backfilled, runs):
    """4 free, 6 come back at 10: the head takes 8 of 10 then and leaves 2 over."""
    seen = view([4], [{"nodes": [8]}, backfilled], running=[[(10.0, 6)]])
    assert load_policy("fifo-backfill")(seen) == ([(1, 0)] if runs else [])


def test_easy_counts_what_the_backfilled_take_of_the_nodes_to_spare():
    long = {"nodes": [1], "wall": [99.0]}
    seen = view([4], [{"nodes": [8]}, long, long, long], running=[[(10.0, 6)]])
    assert load_policy("fifo-backfill")(seen) == [(1, 0), (2, 0)]


def test_easy_reserves_for_the_head_only():
    """The second in the queue may be delayed: that is what makes it EASY."""
    jobs = [{"nodes": [8]}, {"nodes": [6]}, {"nodes": [4], "wall": [10.0]}]
    assert load_policy("fifo-backfill")(view([4], jobs, running=[[(10.0, 4)]])) == [(2, 0)]


def test_easy_reserves_where_the_head_starts_soonest():
    """Pool 1 frees 8 at 5, pool 0 only at 10: pool 0 stays open to every job."""
    jobs = [{"nodes": [8, 8]}, {"nodes": [2, 2], "wall": [99.0, 99.0]}]
    running = [[(10.0, 6)], [(5.0, 6)]]
    assert load_policy("fifo-backfill")(view([2, 2], jobs, running=running)) == [(1, 0)]
    jobs[1]["nodes"] = [0, 2]
    assert load_policy("fifo-backfill")(view([2, 2], jobs, running=running)) == []
    assert load_policy("fifo-backfill")(view([2, 2], jobs, running=running[::-1])) == [(1, 1)]


def test_jobs_started_now_count_in_the_reservation_of_the_head():
    """Job 0 starts now and ends at 3; with its 4 nodes job 1 can start then, not at 10."""
    jobs = [
        {"nodes": [4], "wall": [3.0]},
        {"nodes": [4], "wall": [5.0]},
        {"nodes": [1], "wall": [4.0]},
    ]
    seen = view([5], jobs, running=[[(10.0, 3)]])
    assert load_policy("fifo-backfill")(seen) == [(0, 0), (2, 0)]  # 5 - 4 + 4 - 4 = 1 to spare
    seen = view([4], [jobs[0], jobs[1]], running=[[(10.0, 4)]])
    assert load_policy("fifo-backfill")(seen) == [(0, 0)]


def test_easy_counts_all_that_comes_free_at_the_time_of_the_head():
    """2 free, 3 and 3 come back at 10: the head takes 4 of 8 then and leaves 4 over, not 1."""
    seen = view([2], [{"nodes": [4]}, {"nodes": [2], "wall": [99.0]}], running=[[(10.0, 3)] * 2])
    assert load_policy("fifo-backfill")(seen) == [(1, 0)]
    later = replace(seen, running=(((10.0, 3), (10.1, 3)),))
    assert load_policy("fifo-backfill")(later) == []


@given(views())
def test_how_many_jobs_hold_the_nodes_that_come_free_together_changes_nothing(seen):
    split = tuple(tuple((end_s, 1) for end_s, n in ends for _ in range(n)) for ends in seen.running)
    policy = load_policy("fifo-backfill")
    assert policy(replace(seen, running=split)) == policy(seen)


@given(views())
def test_backfill_never_delays_the_reservation_of_the_head(seen):
    """An oracle by counting: after all placements the head still finds its nodes in time."""
    placed = dict(load_policy("fifo-backfill")(seen))
    free, running, head = list(seen.free), [list(ends) for ends in seen.running], None
    for job in seen.queue:  # what is placed before the first that must wait
        if job not in placed:
            head = job
            break
        start(seen, job, placed[job], free, running)
    if head is None:
        return
    best_s = min(soonest(seen, head, p, free, running) for p in seen.pools_for(head))
    for job in list(seen.queue)[list(seen.queue).index(head) + 1 :]:
        if job in placed:
            start(seen, job, placed[job], free, running)
    after_s = min(soonest(seen, head, p, free, running) for p in seen.pools_for(head))
    assert after_s <= best_s


def start(seen, job, pool, free, running):
    nodes = int(seen.n_nodes[job, pool])
    free[pool] -= nodes
    running[pool].append((seen.now_s + float(seen.wall_s[job, pool]), nodes))


def soonest(seen, job, pool, free, running):
    for at_s in sorted({seen.now_s, *(end_s for end_s, _ in running[pool])}):
        if (
            free[pool] + sum(n for end_s, n in running[pool] if end_s <= at_s)
            >= seen.n_nodes[job, pool]
        ):
            return at_s
    return math.inf


# -- fastest-first -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wall", "placed"),
    [
        ([30.0, 10.0], []),  # 5 + 10 on the fast pool beats 30 on the slow one now
        ([14.0, 10.0], [(0, 0)]),  # 14 now beats 15
    ],
)
def test_fastest_first_waits_where_that_ends_sooner(wall, placed):
    seen = view([4, 0], [{"nodes": [4, 4], "wall": wall}], running=[[], [(5.0, 4)]])
    assert load_policy("fastest-first")(seen) == placed


def test_a_job_that_waits_keeps_its_place():
    """Job 0 waits for pool 1 until 5; job 1 may use pool 1 only if it is gone by then."""
    jobs = [
        {"nodes": [0, 4], "wall": [1.0, 10.0]},
        {"nodes": [0, 2], "wall": [1.0, 5.0]},
    ]
    seen = view([0, 2], jobs, running=[[], [(5.0, 2)]])
    assert load_policy("fastest-first")(seen) == [(1, 1)]
    jobs[1]["wall"] = [1.0, 5.1]
    seen = view([0, 2], jobs, running=[[], [(5.0, 2)]])
    assert load_policy("fastest-first")(seen) == []


def test_the_fast_pool_goes_to_the_first_and_the_second_goes_elsewhere():
    job = {"nodes": [4, 4], "wall": [12.0, 10.0]}
    assert load_policy("fastest-first")(view([4, 4], [job, job])) == [(0, 1), (1, 0)]


# -- least-energy --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deadline", "placed"),
    [
        (math.inf, [(0, 0)]),  # 5 J in 30 s
        (30.0, [(0, 0)]),  # just in time
        (29.0, [(0, 1)]),  # 7 J, but in time
        (5.0, [(0, 1)]),  # no pool can: the one where it ends soonest
    ],
)
def test_least_energy_that_meets_the_deadline(deadline, placed):
    job = {"nodes": [4, 4], "wall": [30.0, 10.0], "energy": [5.0, 7.0], "deadline": deadline}
    assert load_policy("least-energy")(view([4, 4], [job])) == placed


@pytest.mark.parametrize(("deadline", "placed"), [(math.inf, []), (39.0, [(0, 1)])])
def test_least_energy_waits_for_the_thrifty_pool_unless_that_is_too_late(deadline, placed):
    """The thrifty pool is free at 10, then takes 30: at 40."""
    job = {"nodes": [4, 4], "wall": [30.0, 10.0], "energy": [5.0, 7.0], "deadline": deadline}
    seen = view([0, 4], [job], running=[[(10.0, 4)], []])
    assert load_policy("least-energy")(seen) == placed


def test_of_two_pools_with_the_same_energy_the_sooner_counts():
    job = {"nodes": [4, 4], "wall": [30.0, 10.0], "energy": [5.0, 5.0]}
    assert load_policy("least-energy")(view([4, 4], [job])) == [(0, 1)]


# -- Profile -------------------------------------------------------------------------------------

ends_of = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 5)), max_size=4)
wanted = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), max_size=5)


@given(st.integers(0, 6), ends_of, wanted)
def test_a_profile_agrees_with_counting_second_by_second(free, ends, jobs):
    profile = Profile(0.0, free, [(float(end), n) for end, n in ends])
    seconds = [free + sum(n for end, n in ends if end <= t) for t in range(200)]
    for nodes, wall in jobs:
        fits = (t for t in range(100) if all(f >= nodes for f in seconds[t : t + wall]))
        expected = next(fits, math.inf)
        assert profile.earliest(nodes, float(wall)) == expected
        if expected < math.inf:
            profile.reserve(float(expected), float(wall), nodes)
            for t in range(expected, expected + wall):
                seconds[t] -= nodes
    for t in range(100):
        assert profile.free[bisect.bisect_right(profile.time_s, t) - 1] == seconds[t]


def test_a_job_that_is_overdue_still_holds_its_nodes():
    profile = Profile(10.0, 1, [(4.0, 3)])
    assert profile.earliest(1, 5.0) == 10.0
    assert profile.earliest(4, 5.0) > 10.0
    for name in ("fastest-first", "least-energy"):
        seen = view([1], [{"nodes": [4]}], running=[[(4.0, 3)]], now_s=10.0)
        assert load_policy(name)(seen) == []


def test_a_profile_that_never_has_the_nodes_says_never():
    assert Profile(0.0, 2, [(5.0, 2)]).earliest(5, 1.0) == math.inf


# -- the registry --------------------------------------------------------------------------------


def test_the_policies_of_the_house_are_registered():
    assert set(POLICIES) <= set(policy_names())
    assert policy_names() == sorted(policy_names())


def test_an_unknown_policy_suggests_the_nearest():
    with pytest.raises(ValueError, match="no policy") as caught:
        load_policy("first-fti")
    message = str(caught.value)
    assert message.startswith("no policy 'first-fti'. Did you mean 'first-fit'?  Policies: ")
    assert all(name in message for name in POLICIES)


def test_two_policies_of_one_name_are_an_error(monkeypatch):
    points = [SimpleNamespace(name="x", value=value) for value in ("a:f", "b:g")]
    monkeypatch.setattr(registry, "entry_points", lambda **_: points)
    registry._found.cache_clear()
    try:
        with pytest.raises(ValueError, match="two policies are named 'x': a:f and b:g"):
            policy_names()
    finally:
        registry._found.cache_clear()
