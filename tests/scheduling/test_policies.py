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
from views import placed, view

from computeplan.scheduling import registry
from computeplan.scheduling.policies import mixed, preempting, queueing
from computeplan.scheduling.profile import Profile
from computeplan.scheduling.registry import ABILITIES, can, load_policy, may, needs_of, policy_names
from computeplan.scheduling.view import Mixing

BY_NAME = {
    "fifo": queueing.fifo,
    "silo": queueing.silo,
    "first-fit": queueing.first_fit,
    "fifo-backfill": queueing.fifo_backfill,
    "conservative-backfill": queueing.conservative_backfill,
    "fastest-first": queueing.fastest_first,
    "least-energy": queueing.least_energy,
    "least-carbon": queueing.least_carbon,
    "least-cost": queueing.least_cost,
    "least-water": queueing.least_water,
    "most-headroom": queueing.most_headroom,
    "shortest-first": queueing.shortest_first,
    "mixed-fifo": mixed.mixed_fifo,
    "shortest-remaining": preempting.ShortestRemaining(),
    "priority": preempting.Priority(),
}
ALL = pytest.mark.parametrize("policy", BY_NAME.values(), ids=BY_NAME)


def starts(name, seen):
    """Return who starts where, by the policy of a name."""
    return placed(BY_NAME[name](seen))


# -- every policy --------------------------------------------------------------------------------


@st.composite
def moments(draw):
    """Draw what `view` takes."""
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
                "priority": draw(st.integers(0, 2)),
            }
        )
    return {"free": free, "jobs": jobs, "running": running, "now_s": now_s}


views = moments().map(lambda moment: view(**moment))


@ALL
@given(seen=views)
def test_gangs_fit_whole_and_once_and_the_same_view_gives_the_same(policy, seen):
    names = ("now_s", "queue", "free", "ends", "n_changes", "n_surprises", "held", "memory")
    before = copy.deepcopy([getattr(seen, name) for name in names])
    jobs_before = copy.deepcopy(seen.jobs)
    decision = policy(seen)
    again = policy(seen)
    assert (decision.start, decision.stop) == (again.start, again.stop)
    assert [getattr(seen, name) for name in names] == before
    for name in ("n_nodes", "wall_s", "energy_j", "deadline_s", "home"):
        np.testing.assert_array_equal(getattr(seen.jobs, name), getattr(jobs_before, name))
    jobs = [start.job for start in decision.start]
    assert len(set(jobs)) == len(jobs)
    assert set(jobs) <= set(seen.queue)
    assert set(decision.stop) <= set(seen.running)
    assert len(set(decision.stop)) == len(decision.stop)
    free = list(seen.free)
    for job in decision.stop:
        free[seen.running[job].pool] += seen.running[job].n_nodes
    for job, pool in placed(decision):
        assert seen.nodes(job, pool) > 0
        free[pool] -= seen.nodes(job, pool)
    assert all(left >= 0 for left in free)


@ALL
@given(seen=views)
def test_a_policy_asked_again_with_its_memory_says_the_same(policy, seen):
    """Nothing has been done yet of what it decided, so nothing has changed."""
    decision = policy(seen)
    if decision.stop:
        return  # it waits for those who stop
    seen.memory = decision.memory
    assert policy(seen).start == decision.start


@ALL
@given(seen=views)
def test_the_first_in_the_queue_never_waits_in_an_empty_cloud(policy, seen):
    if not seen.queue or seen.running:
        return
    first = min(seen.queue, key=lambda job: (-seen.jobs.priority[job], job))
    shortest = min(seen.queue, key=lambda j: min(seen.wall_s(j, p) for p in seen.pools_for(j)))
    wants = {BY_NAME["priority"]: first}
    for name in ("shortest-first", "shortest-remaining"):
        wants[BY_NAME[name]] = shortest
    assert wants.get(policy, 0) in [job for job, _ in placed(policy(seen))]


@ALL
def test_a_gang_gets_all_its_nodes_or_none(policy):
    assert placed(policy(view([3], [{"nodes": [4]}], running=[[(5.0, 1)]]))) == []
    assert placed(policy(view([4], [{"nodes": [4]}]))) == [(0, 0)]


@ALL
def test_an_empty_queue_places_no_job(policy):
    assert placed(policy(view([4], [{}], queue=[]))) == []


@ALL
def test_the_order_of_the_queue_counts_and_not_that_of_the_jobs(policy):
    seen = view([1], [{"nodes": [1]}, {"nodes": [1]}], queue=[1, 0])
    assert placed(policy(seen)) == [(1, 0)]


@ALL
def test_a_pool_with_too_many_nodes_in_repair_is_waited_for(policy):
    """2 of 8 nodes are in repair: the end is not known, and no policy gives up."""
    seen = view([6], [{"nodes": [8]}])
    assert placed(policy(seen)) == []


# -- silo ----------------------------------------------------------------------------------------


def test_silo_runs_each_job_at_home_only():
    jobs = [{"nodes": [4, 4], "home": 1}, {"nodes": [4, 4], "home": 0}]
    assert starts("silo", view([4, 4], jobs)) == [(0, 1), (1, 0)]
    assert starts("silo", view([8, 0], [jobs[0]])) == []


def test_silo_is_first_come_first_served_on_each_pool():
    jobs = [
        {"nodes": [5, 5], "home": 0},  # does not fit and blocks its pool
        {"nodes": [1, 1], "home": 0},
        {"nodes": [1, 1], "home": 1},
    ]
    assert starts("silo", view([4, 4], jobs)) == [(2, 1)]


def test_without_a_home_the_only_pool_is_home():
    assert starts("silo", view([4], [{"nodes": [4]}])) == [(0, 0)]


# -- first-fit -----------------------------------------------------------------------------------


def test_first_fit_takes_the_first_pool_with_room_and_passes_those_who_wait():
    jobs = [{"nodes": [2, 2]}, {"nodes": [9, 9]}, {"nodes": [3, 3]}, {"nodes": [0, 2]}]
    assert starts("first-fit", view([3, 5], jobs)) == [(0, 0), (2, 1), (3, 1)]


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
    assert starts("fifo-backfill", seen) == ([(1, 0)] if runs else [])


def test_easy_counts_what_the_backfilled_take_of_the_nodes_to_spare():
    long = {"nodes": [1], "wall": [99.0]}
    seen = view([4], [{"nodes": [8]}, long, long, long], running=[[(10.0, 6)]])
    assert starts("fifo-backfill", seen) == [(1, 0), (2, 0)]


def test_easy_reserves_for_the_head_only():
    """The second in the queue may be delayed: that is what makes it EASY."""
    jobs = [{"nodes": [8]}, {"nodes": [6]}, {"nodes": [4], "wall": [10.0]}]
    assert starts("fifo-backfill", view([4], jobs, running=[[(10.0, 4)]])) == [(2, 0)]


def test_easy_reserves_where_the_head_starts_soonest():
    """Pool 1 frees 8 at 5, pool 0 only at 10: pool 0 stays open to every job."""
    jobs = [{"nodes": [8, 8]}, {"nodes": [2, 2], "wall": [99.0, 99.0]}]
    running = [[(10.0, 6)], [(5.0, 6)]]
    assert starts("fifo-backfill", view([2, 2], jobs, running=running)) == [(1, 0)]
    jobs[1]["nodes"] = [0, 2]
    assert starts("fifo-backfill", view([2, 2], jobs, running=running)) == []
    assert starts("fifo-backfill", view([2, 2], jobs, running=running[::-1])) == [(1, 1)]


def test_jobs_started_now_count_in_the_reservation_of_the_head():
    """Job 0 starts now and ends at 3; with its 4 nodes job 1 can start then, not at 10."""
    jobs = [
        {"nodes": [4], "wall": [3.0]},
        {"nodes": [4], "wall": [5.0]},
        {"nodes": [1], "wall": [4.0]},
    ]
    seen = view([5], jobs, running=[[(10.0, 3)]])
    assert starts("fifo-backfill", seen) == [(0, 0), (2, 0)]  # 5 - 4 + 4 - 4 = 1 to spare
    seen = view([4], [jobs[0], jobs[1]], running=[[(10.0, 4)]])
    assert starts("fifo-backfill", seen) == [(0, 0)]


def test_easy_counts_all_that_comes_free_at_the_time_of_the_head():
    """2 free, 3 and 3 come back at 10: the head takes 4 of 8 then and leaves 4 over, not 1."""
    seen = view([2], [{"nodes": [4]}, {"nodes": [2], "wall": [99.0]}], running=[[(10.0, 3)] * 2])
    assert starts("fifo-backfill", seen) == [(1, 0)]
    apart = [[(10.0, 3), (10.1, 3)]]
    seen = view([2], [{"nodes": [4]}, {"nodes": [2], "wall": [99.0]}], running=apart)
    assert starts("fifo-backfill", seen) == []


@given(moments())
def test_how_many_jobs_hold_the_nodes_that_come_free_together_changes_nothing(moment):
    split = [[(end_s, 1) for end_s, n in ends for _ in range(n)] for ends in moment["running"]]
    whole = starts("fifo-backfill", view(**moment))
    assert starts("fifo-backfill", view(**{**moment, "running": split})) == whole


@given(views)
def test_backfill_never_delays_the_reservation_of_the_head(seen):
    """An oracle by counting: after all placements the head still finds its nodes in time."""
    started = dict(starts("fifo-backfill", seen))
    free, running, head = list(seen.free), [list(ends) for ends in seen.ends], None
    for job in seen.queue:  # what is placed before the first that must wait
        if job not in started:
            head = job
            break
        start(seen, job, started[job], free, running)
    if head is None:
        return
    best_s = min(soonest(seen, head, p, free, running) for p in seen.pools_for(head))
    for job in list(seen.queue)[list(seen.queue).index(head) + 1 :]:
        if job in started:
            start(seen, job, started[job], free, running)
    after_s = min(soonest(seen, head, p, free, running) for p in seen.pools_for(head))
    assert after_s <= best_s


def start(seen, job, pool, free, running):
    nodes = seen.nodes(job, pool)
    free[pool] -= nodes
    running[pool].append((seen.now_s + seen.wall_s(job, pool), job, nodes))


def soonest(seen, job, pool, free, running):
    for at_s in sorted({seen.now_s, *(end_s for end_s, _, _ in running[pool])}):
        there = free[pool] + sum(n for end_s, _, n in running[pool] if end_s <= at_s)
        if there >= seen.nodes(job, pool):
            return at_s
    return math.inf


# -- fifo ----------------------------------------------------------------------------------------


def test_fifo_is_blocked_by_the_first_that_does_not_fit():
    jobs = [{"nodes": [2]}, {"nodes": [9]}, {"nodes": [1]}]
    assert starts("fifo", view([4], jobs, running=[[(5.0, 6)]])) == [(0, 0)]


def test_fifo_takes_the_fastest_pool_with_room_and_the_first_of_equals():
    jobs = [{"nodes": [2, 2], "wall": [9.0, 3.0]}] * 2 + [{"nodes": [1, 1], "wall": [4.0, 4.0]}]
    assert starts("fifo", view([4, 3], jobs)) == [(0, 1), (1, 0), (2, 0)]


# -- conservative-backfill -----------------------------------------------------------------------


def test_conservative_keeps_the_place_of_every_job_that_waits():
    """As in `test_easy_reserves_for_the_head_only`: here the second may not be delayed either."""
    jobs = [{"nodes": [8]}, {"nodes": [6]}, {"nodes": [4], "wall": [10.0]}]
    assert starts("conservative-backfill", view([4], jobs, running=[[(10.0, 4)]])) == [(2, 0)]
    jobs = [{"nodes": [5]}, {"nodes": [8]}, {"nodes": [3], "wall": [20.0]}]
    running = [[(10.0, 4)]]  # 0 runs from 10 to 20, 1 from 20: 2 would be in the way of 1 until 20
    assert starts("conservative-backfill", view([4], jobs, running=running)) == [(2, 0)]
    jobs[2]["wall"] = [20.1]
    assert starts("conservative-backfill", view([4], jobs, running=running)) == []
    assert starts("fifo-backfill", view([4], jobs, running=running)) == [(2, 0)]


def test_conservative_starts_where_that_is_soonest_and_not_where_it_ends_soonest():
    jobs = [{"nodes": [4, 4], "wall": [90.0, 10.0]}]
    seen = view([4, 0], jobs, running=[[], [(1.0, 4)]])
    assert starts("conservative-backfill", seen) == [(0, 0)]
    assert starts("fastest-first", seen) == []


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
    assert starts("fastest-first", seen) == placed


def test_a_job_that_waits_keeps_its_place():
    """Job 0 waits for pool 1 until 5; job 1 may use pool 1 only if it is gone by then."""
    jobs = [
        {"nodes": [0, 4], "wall": [1.0, 10.0]},
        {"nodes": [0, 2], "wall": [1.0, 5.0]},
    ]
    seen = view([0, 2], jobs, running=[[], [(5.0, 2)]])
    assert starts("fastest-first", seen) == [(1, 1)]
    jobs[1]["wall"] = [1.0, 5.1]
    seen = view([0, 2], jobs, running=[[], [(5.0, 2)]])
    assert starts("fastest-first", seen) == []


def test_the_fast_pool_goes_to_the_first_and_the_second_goes_elsewhere():
    job = {"nodes": [4, 4], "wall": [12.0, 10.0]}
    assert starts("fastest-first", view([4, 4], [job, job])) == [(0, 1), (1, 0)]


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
    assert starts("least-energy", view([4, 4], [job])) == placed


@pytest.mark.parametrize(("deadline", "placed"), [(math.inf, []), (39.0, [(0, 1)])])
def test_least_energy_waits_for_the_thrifty_pool_unless_that_is_too_late(deadline, placed):
    """The thrifty pool is free at 10, then takes 30: at 40."""
    job = {"nodes": [4, 4], "wall": [30.0, 10.0], "energy": [5.0, 7.0], "deadline": deadline}
    seen = view([0, 4], [job], running=[[(10.0, 4)], []])
    assert starts("least-energy", seen) == placed


def test_of_two_pools_with_the_same_energy_the_sooner_counts():
    job = {"nodes": [4, 4], "wall": [30.0, 10.0], "energy": [5.0, 5.0]}
    assert starts("least-energy", view([4, 4], [job])) == [(0, 1)]


def test_least_carbon_counts_the_electricity_of_the_site():
    """5 J at 3 kg/J against 7 J at 2 kg/J."""
    job = {"nodes": [4, 4], "wall": [30.0, 10.0], "energy": [5.0, 7.0]}
    seen = view([4, 4], [job], kg_per_j=[3.0, 2.0])
    assert starts("least-carbon", seen) == [(0, 1)]
    assert starts("least-energy", seen) == [(0, 0)]
    late = view([4, 0], [{**job, "deadline": 35.0}], running=[[], [(30.0, 4)]], kg_per_j=[3.0, 2.0])
    assert starts("least-carbon", late) == [(0, 0)]  # 40 on the cleaner pool is too late


def test_least_cost_counts_nodes_time_and_the_price_of_a_node():
    """4 nodes for 30 s at 2 cost 240; 2 for 50 s at 3 cost 300."""
    job = {"nodes": [4, 2], "wall": [30.0, 50.0], "energy": [9.0, 1.0]}
    seen = view([4, 4], [job], usd_per_node_s=np.array([2.0, 3.0]))
    assert starts("least-cost", seen) == [(0, 0)]
    dearer = view([4, 4], [job], usd_per_node_s=np.array([2.6, 3.0]))
    assert starts("least-cost", dearer) == [(0, 1)]
    late = view([4, 4], [{**job, "deadline": 40.0}], usd_per_node_s=np.array([2.6, 3.0]))
    assert starts("least-cost", late) == [(0, 0)]


def test_least_water_counts_the_water_of_the_site():
    """5 J at 3 L/J against 7 J at 2 L/J."""
    job = {"nodes": [4, 4], "wall": [30.0, 10.0], "energy": [5.0, 7.0]}
    seen = view([4, 4], [job], l_per_j=np.array([3.0, 2.0]))
    assert starts("least-water", seen) == [(0, 1)]
    assert starts("least-energy", seen) == [(0, 0)]


# -- by power --------------------------------------------------------------------------------------


def with_headroom(headroom_w, n_jobs, free=(4, 4, 4), site=(0, 1, 1)):
    """Return a view of jobs of 2 nodes, which take 10, 10 and 5 W each on three pools."""
    job = {"nodes": [2, 2, 2], "wall": [30.0, 20.0, 10.0]}
    seen = view(list(free), [job] * n_jobs, site=site, held_w=np.array([10.0, 10.0, 5.0]))
    seen.headroom_w[:] = headroom_w
    return seen


@pytest.mark.parametrize(
    ("headroom_w", "wanted"),
    [
        ([51.0, 50.0, 50.0], [0, 2, 2]),  # 51, then 31 against 50, then 31 against 40
        ([50.0, 50.0, 50.0], [2, 0, 2]),  # the faster of equals takes 10; then 40 against 50
        ([-9.0, -1.0, -1.0], [2, 0, 2]),  # -1, then -11 against -9, then -11 against -29
        ([math.inf, 9.0, 9.0], [0, 0, 2]),  # no limit is the most, as long as there are nodes
        ([math.inf] * 3, [2, 2, 1]),  # as fifo
    ],
)
def test_each_goes_where_the_most_power_is_left(headroom_w, wanted):
    assert [pool for _, pool in starts("most-headroom", with_headroom(headroom_w, 3))] == wanted


def test_who_fits_nowhere_blocks_whoever_has_power():
    assert starts("most-headroom", with_headroom([9.0] * 3, 3, free=(2, 1, 1))) == [(0, 0)]


@given(seen=views)
def test_without_limits_the_most_power_is_the_order_of_arrival(seen):
    assert placed(queueing.most_headroom(seen)) == placed(queueing.fifo(seen))


# -- shortest-first ------------------------------------------------------------------------------


def test_the_shortest_that_fits_starts_on_the_pool_where_it_is_shortest():
    jobs = [
        {"nodes": [2, 2], "wall": [9.0, 7.0]},
        {"nodes": [9, 9], "wall": [1.0, 1.0]},  # the shortest, but fits nowhere now
        {"nodes": [2, 2], "wall": [5.0, 6.0]},
        {"nodes": [1, 1], "wall": [5.0, 5.0]},
    ]
    running = [[(9.0, 7)], [(9.0, 7)]]
    assert starts("shortest-first", view([2, 2], jobs, running=running)) == [(2, 0), (3, 1)]


# -- Profile -------------------------------------------------------------------------------------

ends_of = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 5)), max_size=4)
wanted = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), max_size=5)


def mixed_view(free, jobs):
    """Return a view of jobs that can run on several pools at once, at 0.8 of the sum."""
    seen = view(free, jobs)
    table = seen.jobs
    whole = np.array([job["whole"] for job in jobs])
    wall_s = np.array([job["wall"] for job in jobs], dtype=float)
    mixing = Mixing(np.full(len(jobs), 0.8), whole, wall_s)
    seen.jobs = replace(table, mixing=mixing)
    return seen


def test_a_mixed_job_takes_the_fast_nodes_first_and_what_makes_it_whole():
    """It needs 4 nodes of a or 6 of b; 3 of a are free, which is 3/4, and 2 of b are 1/3."""
    job = {"nodes": [4, 6], "whole": [4, 6], "wall": [10.0, 20.0]}
    seen = mixed_view([3, 5], [job])
    (start,) = mixed.mixed_fifo(seen).start
    assert (start.pool, start.n_nodes, start.more) == (0, 3, ((1, 2),))
    assert seen.wall_on_parts_s(0, [(0, 3), (1, 2)]) == pytest.approx(
        13 / 12 / (0.8 * (0.075 + 1 / 60))
    )


@pytest.mark.parametrize(("wall_s", "is_mixed"), [(12.0, False), (20.0, True)])
def test_a_mixed_job_runs_on_one_pool_where_it_ends_sooner(wall_s, is_mixed):
    """3/4 on a and 1/3 on b take 13/12 / 0.8 / (0.075 + 1/3 / wall): 13.2 and 14.8 s."""
    job = {"nodes": [4, 6], "whole": [4, 6], "wall": [10.0, wall_s]}
    (start,) = mixed.mixed_fifo(mixed_view([3, 6], [job])).start
    found = (start.pool, start.n_nodes, start.more)
    assert found == ((0, 3, ((1, 2),)) if is_mixed else (1, 6, ()))


def test_a_mixed_job_waits_where_all_that_is_free_makes_no_whole_one():
    """3/4 on a and 1/6 on b are not whole: it waits, and so does who would fit behind it."""
    job = {"nodes": [4, 6], "whole": [4, 6], "wall": [10.0, 20.0]}
    small = {"nodes": [1, 1], "whole": [1, 1], "wall": [1.0, 1.0]}
    assert not mixed.mixed_fifo(mixed_view([3, 1], [job, small])).start


def test_a_mixed_job_may_be_larger_than_every_pool():
    job = {"nodes": [0, 0], "whole": [4, 6], "wall": [10.0, 20.0]}
    (start,) = mixed.mixed_fifo(mixed_view([3, 5], [job])).start
    assert (start.n_nodes, start.more) == (3, ((1, 2),))


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
    for name in ("conservative-backfill", "fastest-first", "least-energy"):
        seen = view([1], [{"nodes": [4]}], running=[[(4.0, 3)]], now_s=10.0)
        assert starts(name, seen) == []


def test_a_profile_that_never_has_the_nodes_says_never():
    assert Profile(0.0, 2, [(5.0, 2)]).earliest(5, 1.0) == math.inf


@given(st.integers(0, 6), ends_of, st.lists(st.tuples(*[st.integers(1, 30)] * 3), max_size=8))
def test_what_stays_free_from_now_on(free, ends, taken):
    profile = Profile(0.0, free, [(float(end), n) for end, n in ends])
    for start, wall, nodes in taken:
        if profile.earliest(nodes, float(wall)) <= start:
            profile.reserve(profile.earliest(nodes, float(wall)), float(wall), nodes)
    time_s, levels = profile.time_s.tolist(), profile.free.tolist()
    found = profile.free_until()
    assert [n for n, _ in found] == sorted({n for n, _ in found}, reverse=True)
    for n in range(1, free + 1):
        lacks = next((t for t, f in zip(time_s, levels, strict=True) if f < n), math.inf)
        assert max((until_s for most, until_s in found if most >= n), default=0.0) == lacks
    assert profile.free_now() == levels[0]


def test_a_profile_moves_on():
    profile = Profile(0.0, 2, [(10.0, 6), (20.0, 1)])
    profile.reserve(10.0, 5.0, 8)
    profile.move(4.0)
    assert profile.time_s.tolist() == [4.0, 10.0, 15.0, 20.0]
    assert profile.earliest(2, 6.0) == 4.0
    assert profile.earliest(2, 7.0) == 15.0
    profile.move(30.0)
    assert (profile.time_s.tolist(), profile.free.tolist()) == ([30.0], [9])


# -- the registry --------------------------------------------------------------------------------


def test_the_policies_of_the_house_are_registered():
    assert set(BY_NAME) <= set(policy_names())
    for name, policy in BY_NAME.items():
        assert load_policy(name) == policy
    assert policy_names() == sorted(policy_names())


def test_what_policies_need_and_who_may_starve():
    assert needs_of("silo") == {"home"}
    assert needs_of("least-energy") == {"watts"}
    assert needs_of("fifo-backfill") == frozenset()
    assert can(load_policy("first-fit"), "starve")
    assert can(load_policy("shortest-remaining"), "starve")
    assert not can(load_policy("fifo-backfill"), "starve")
    assert needs_of("no-such-policy") == frozenset()


@pytest.mark.parametrize(
    ("name", "settings", "wanted"),
    [
        ("fifo", {}, set()),
        ("first-fit", {}, {"starve"}),
        ("mixed-fifo", {}, {"mix"}),
        ("green-hours", {}, {"starve", "pause"}),
        ("green-hours", {"slow_to": 0.5}, {"starve", "cap"}),
        ("least-energy-shares", {}, set()),
        ("least-energy-shares", {"cap_w": 1e6}, {"cap"}),
    ],
)
def test_what_a_policy_may_do_follows_from_its_settings_too(name, settings, wanted):
    policy = load_policy(name, settings)
    assert {ability for ability in ABILITIES if can(policy, ability)} == wanted


def test_an_ability_that_there_is_not_is_refused():
    for ask in (lambda: may("fly"), lambda: can(queueing.fifo, "fly")):
        with pytest.raises(
            ValueError, match="no ability 'fly'; abilities: starve, cap, mix, pause"
        ):
            ask()


def test_a_policy_with_settings_comes_with_its_own():
    point = SimpleNamespace(name="x", value="a:F", load=lambda: preempting.Priority)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", lambda **_: [point])
        registry._found.cache_clear()
        assert load_policy("x") == preempting.Priority()
        assert load_policy("x", {"restart_cost_s": 9.0}) == preempting.Priority(restart_cost_s=9.0)
        assert registry.settings_of("x") == {"restart_cost_s": 0.0}
    registry._found.cache_clear()


def test_an_unknown_policy_suggests_the_nearest():
    with pytest.raises(ValueError, match="no policy") as caught:
        load_policy("first-fti")
    message = str(caught.value)
    assert message.startswith("no policy 'first-fti'. Did you mean 'first-fit'?  Policies: ")
    assert all(name in message for name in BY_NAME)


def test_two_policies_of_one_name_are_an_error(monkeypatch):
    points = [SimpleNamespace(name="x", value=value) for value in ("a:f", "b:g")]
    monkeypatch.setattr(registry, "entry_points", lambda **_: points)
    registry._found.cache_clear()
    try:
        with pytest.raises(ValueError, match="two policies are named 'x': a:f and b:g"):
            policy_names()
    finally:
        registry._found.cache_clear()
