"""Who stops for whom, worked out by hand."""

import math

import pytest
from views import SmallRun, placed, view

from computeplan.scheduling.policies.preempting import Priority, ShortestRemaining


def stops_and_starts(policy, seen):
    decision = policy(seen)
    return list(decision.stop), placed(decision)


# -- shortest remaining --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restart_s", "gain_s", "is_stopped"),
    [
        (0.0, 0.0, True),  # 100 s sooner for one, 10 s later for the other
        (89.9, 0.0, True),  # 100 > 10 + 89.9
        (90.0, 0.0, False),
        (0.0, 89.9, True),  # 100 - 10 = 90 to gain
        (0.0, 90.0, False),
    ],
)
def test_a_long_job_stops_for_a_short_one_if_the_sum_of_ends_falls(restart_s, gain_s, is_stopped):
    policy = ShortestRemaining(restart_s, gain_s)
    seen = view([0], [{"nodes": [4], "wall": [10.0]}], running=[[(100.0, 4)]])
    assert stops_and_starts(policy, seen) == (([1], [(0, 0)]) if is_stopped else ([], []))


def test_each_of_those_who_stop_counts():
    """4 nodes of 2 + 2: two end 10 s later each, and one starts 15 or 25 s sooner."""
    job = {"nodes": [4], "wall": [10.0]}
    for last_s, stops in ((15.0, []), (25.0, [2, 1])):
        seen = view([0], [job], running=[[(last_s, 2), (last_s, 2)]])
        assert stops_and_starts(ShortestRemaining(), seen)[0] == stops


def test_those_with_longest_to_go_stop_and_no_more_than_needed():
    running = [[(90.0, 1), (60.0, 2), (70.0, 3)]]  # jobs 1, 2, 3: the first two in line are 1 and 3
    seen = view([0], [{"nodes": [3], "wall": [10.0]}], running=running)
    assert stops_and_starts(ShortestRemaining(), seen) == ([3], [(0, 0)])


def test_nobody_stops_who_is_done_sooner():
    seen = view([1], [{"nodes": [4], "wall": [10.0]}], running=[[(9.0, 3)]])
    assert stops_and_starts(ShortestRemaining(), seen) == ([], [])


def test_what_is_left_counts_and_not_what_was_asked_for():
    """Job 0 has 4 of 10 s left at 6, job 1 wants 5: it waits until 10."""
    jobs = [
        {"arrival": 0, "nodes": [1], "wall": [10.0]},
        {"arrival": 6, "nodes": [1], "wall": [5.0]},
    ]
    _, began, ended = SmallRun([1], jobs).play(ShortestRemaining())
    assert began[1] == 10.0
    jobs[1]["arrival"] = 4  # 6 left against 5
    _, began, ended = SmallRun([1], jobs).play(ShortestRemaining(restart_cost_s=0.5))
    assert began[1] == 4.0
    assert ended == {1: 9.0, 0: 15.5}


# -- priority ------------------------------------------------------------------------------------


def test_the_lowest_stop_first_and_of_those_the_last_to_start():
    running = [
        [
            {"end": 90.0, "n": 2, "priority": 1, "start": 1.0},  # job 1
            {"end": 80.0, "n": 2, "priority": 0, "start": 2.0},  # job 2
            {"end": 70.0, "n": 2, "priority": 0, "start": 3.0},  # job 3
            {"end": 60.0, "n": 2, "priority": 2, "start": 4.0},  # job 4
        ]
    ]
    for n, expected in ((2, [3]), (3, [3, 2]), (6, [3, 2, 1]), (7, [])):
        seen = view([0], [{"nodes": [n], "priority": 2}], running=running, now_s=5.0)
        stops, started = stops_and_starts(Priority(), seen)
        assert stops == expected
        assert started == ([(0, 0)] if expected else [])


def test_a_pool_where_nobody_must_stop_comes_first():
    running = [[{"end": 9.0, "n": 2, "priority": 0}], []]
    seen = view([0, 2], [{"nodes": [2, 2], "priority": 1}], running=running)
    assert stops_and_starts(Priority(), seen) == ([], [(0, 1)])


def test_equals_do_not_stop_for_each_other():
    seen = view([0], [{"nodes": [2]}], running=[[{"end": 9.0, "n": 2, "priority": 0}]])
    assert stops_and_starts(Priority(), seen) == ([], [])


def test_the_highest_goes_first_and_the_lower_do_not_delay_it():
    """6 free, 4 come back at 10: job 1 takes 8 then and leaves 2."""
    jobs = [
        {"nodes": [4], "wall": [99.0], "priority": 0},
        {"nodes": [8], "wall": [5.0], "priority": 1},
        {"nodes": [2], "wall": [99.0], "priority": 0},
    ]
    running = [[{"end": 10.0, "n": 4, "priority": 1}]]
    assert stops_and_starts(Priority(), view([6], jobs, running=running)) == ([], [(2, 0)])


# -- promises ------------------------------------------------------------------------------------

BOTH = pytest.mark.parametrize("policy", [ShortestRemaining(), Priority()])


@BOTH
def test_while_one_saves_nobody_else_gets_its_nodes_or_stops(policy):
    """Job 0 has 1 of its 3 nodes and is promised 2 more; jobs 1 and 2 want 1 and 2."""
    jobs = [{"nodes": [3], "wall": [9.0], "priority": 2}]
    jobs += [{"nodes": [n], "wall": [99.0], "priority": 1} for n in (1, 2)]
    running = [[{"end": 500.0, "n": 2, "priority": 0, "wall": 500.0}]]
    seen = view([1], jobs, running=running)
    decision = policy(seen)
    assert (list(decision.stop), placed(decision)) == ([3], [(0, 0)])
    seen.memory, seen.now_s = decision.memory, 1.0
    waits = policy(seen)
    assert (list(waits.stop), list(waits.start)) == ([], [])
    seen.memory = waits.memory
    seen.free = [2]  # a node comes out of repair: one of two is of no other job
    assert stops_and_starts(policy, seen) == ([], [(1, 0)])


@BOTH
def test_a_promise_ends_when_all_have_stopped(policy):
    """If the engine has not started it by itself, it starts as any other."""
    jobs = [{"nodes": [2], "wall": [9.0], "priority": 2}]
    running = [[{"end": 500.0, "n": 2, "priority": 0, "wall": 500.0}]]
    seen = view([0], jobs, running=running)
    seen.memory = policy(seen).memory
    seen.leave(1)
    seen.enqueue(1, 0.9)
    seen.free, seen.now_s = [2], 5.0
    assert stops_and_starts(policy, seen) == ([], [(0, 0)])


def test_nobody_stops_twice_though_the_one_it_saves_for_has_started():
    """Job 2 ends while job 0 saves for job 3, which takes its node; job 4 must stop another."""
    jobs = [{"arrival": 0, "nodes": [1], "wall": [w]} for w in (70.0, 70.0, 6.0)]
    jobs += [{"arrival": t, "nodes": [1], "wall": [9.0], "priority": 1} for t in (4, 6)]
    stopped = []
    run = SmallRun([3], jobs, save_s=3.0)
    _, began, _ = run.play(Priority(), lambda _, decision: stopped.extend(decision.stop))
    assert (began[3], began[4]) == (6.0, 7.0)  # the node of job 0 is free at 7
    assert stopped == [0, 1]


def test_a_restart_takes_time_for_those_who_have_run_before_only():
    seen = view([2], [{"nodes": [1]}, {"nodes": [1]}], queue=[0])
    seen.enqueue(1, 0.5)
    for policy in (ShortestRemaining(restart_cost_s=7.0), Priority(restart_cost_s=7.0)):
        assert {start.job: start.restart_s for start in policy(seen).start} == {0: 0.0, 1: 7.0}
    assert math.isinf(policy(seen).start[0].lease_s)
