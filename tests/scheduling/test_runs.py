"""Policies along whole runs: what they remember never changes what they decide."""

import math
from unittest import mock

import pytest
import schedules
from hypothesis import given
from hypothesis import strategies as st
from views import (
    SmallRun,
    by_end,
    by_energy,
    by_start,
    placed,
    plain_easy,
    plain_first_fit,
    plain_reserving,
    plain_shortest_first,
)

from computeplan.scheduling import waiting
from computeplan.scheduling.policies import preempting, queueing

PLAIN = {
    "first-fit": (queueing.first_fit, plain_first_fit),
    "shortest-first": (queueing.shortest_first, plain_shortest_first),
    "fifo-backfill": (queueing.fifo_backfill, plain_easy),
    "conservative-backfill": (queueing.conservative_backfill, plain_reserving(by_start)),
    "fastest-first": (queueing.fastest_first, plain_reserving(by_end)),
    "least-energy": (queueing.least_energy, plain_reserving(by_energy)),
}
EACH = pytest.mark.parametrize("name", PLAIN)
BOTH = pytest.mark.parametrize("short", [1, 10_000])
few_s = st.integers(1, 20)


@st.composite
def small_runs(draw, *, is_as_expected):
    size = draw(st.lists(st.integers(2, 8), min_size=1, max_size=2))
    jobs, now = [], 0
    for _ in range(draw(st.integers(1, 14))):
        now += draw(st.integers(0, 6))
        nodes = [draw(st.integers(0, n)) for n in size]
        nodes[0] = nodes[0] or int(not any(nodes))
        jobs.append(
            {
                "arrival": now,
                "nodes": nodes,
                "wall": [float(draw(few_s)) for _ in size],
                "energy": [float(draw(st.integers(1, 3))) for _ in size],
                "deadline": draw(st.integers(1, 60).map(float) | st.just(math.inf)),
                "priority": draw(st.integers(0, 2)),
                "off": 0 if is_as_expected else draw(st.sampled_from([0, 0, -3, -1, 2, 5])),
            }
        )
    run = SmallRun(size, jobs)
    if not is_as_expected:
        changes = st.tuples(st.integers(0, 60), st.integers(0, len(size) - 1), st.integers(-3, 3))
        run.nodes = [(t, p, n) for t, p, n in draw(st.lists(changes, max_size=4))]
        run.nodes += [(500, p, n) for p, n in enumerate(size)]  # in the end there are enough
        later = st.tuples(st.integers(0, 60), st.integers(0, len(jobs) - 1), st.integers(-4, 9))
        run.expect = draw(st.lists(later, max_size=3))
    return run


def twice(policy):
    """Return a policy that is asked twice and says the same both times."""

    def asked(seen):
        decision, again = policy(seen), policy(seen)
        assert (decision.start, decision.stop) == (again.start, again.stop)
        return again

    return asked


def held_to(plain):
    """Return a check of each decision against a policy that remembers nothing."""

    def check(seen, decision):
        expected = plain(seen)
        assert placed(decision) == expected

    return check


@EACH
@BOTH
@given(run=small_runs(is_as_expected=True))
def test_what_is_remembered_changes_nothing_while_all_goes_as_expected(name, short, run):
    policy, plain = PLAIN[name]
    with mock.patch.object(waiting, "SHORT", short):
        _, _, ended = run.play(policy, held_to(plain))
    assert len(ended) == len(run.jobs)


@EACH
@BOTH
@given(run=small_runs(is_as_expected=False))
def test_asked_twice_a_policy_says_the_same(name, short, run):
    policy, plain = PLAIN[name]
    with mock.patch.object(waiting, "SHORT", short):
        run.play(twice(policy), held_to(plain))


@EACH
@BOTH
@given(run=small_runs(is_as_expected=False))
def test_what_is_remembered_changes_nothing_when_all_goes_otherwise(name, short, run):
    policy, plain = PLAIN[name]
    with mock.patch.object(waiting, "SHORT", short):
        _, _, ended = run.play(policy, held_to(plain))
    assert len(ended) == len(run.jobs)


def test_reservations_are_laid_once_while_all_goes_as_expected():
    run = SmallRun([4], [{"arrival": i, "nodes": [3], "wall": [9.0]} for i in range(9)])
    plans = []
    run.play(queueing.fastest_first, lambda _, decision: plans.append(decision.memory))
    assert len(plans) > 9
    assert len(set(map(id, plans))) == 1
    run.jobs[3]["off"] = -2
    plans.clear()
    run.play(queueing.fastest_first, lambda _, decision: plans.append(decision.memory))
    assert len(set(map(id, plans))) == 2


def test_a_job_ends_early_and_another_moves_up():
    """Reserved from 10; the nodes come free at 6."""
    jobs = [
        {"arrival": 0, "nodes": [4], "wall": [10.0], "off": -4},
        {"arrival": 1, "nodes": [4], "wall": [5.0]},
    ]
    for policy, _ in PLAIN.values():
        _, began, _ = SmallRun([4], jobs).play(policy)
        assert began == {0: 0.0, 1: 6.0}


@pytest.mark.parametrize("load", [0.85, 1.5])
def test_backfill_starts_jobs_when_a_plain_simpy_model_does(load):
    jobs = schedules.draw(800, load)
    assert schedules.play(schedules.view_of(jobs), queueing.fifo_backfill) == schedules.play_plain(
        jobs
    )


# -- those who stop others -----------------------------------------------------------------------

PREEMPTING = {
    "shortest-remaining": preempting.ShortestRemaining(),
    "careful": preempting.ShortestRemaining(restart_cost_s=2.0, gain_s=1.0),
    "priority": preempting.Priority(restart_cost_s=1.0),
}


@pytest.mark.parametrize("policy", PREEMPTING.values(), ids=PREEMPTING)
@BOTH
@given(run=small_runs(is_as_expected=True), save_s=st.integers(0, 5))
def test_who_is_stopped_ends_all_the_same(policy, short, run, save_s):
    """Nor is anyone stopped twice for one save, or given nodes that are promised to another."""
    run.save_s = float(save_s)
    with mock.patch.object(waiting, "SHORT", short):
        seen, began, ended = run.play(policy)
    assert len(began) == len(ended) == len(run.jobs)
    assert seen.free == run.size


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), min_size=1, max_size=9))
def test_on_one_machine_shortest_remaining_is_the_least_sum_of_ends(jobs):
    """Schrage's theorem, against a second by second list of what is left."""
    jobs.sort()
    run = SmallRun([1], [{"arrival": a, "nodes": [1], "wall": [float(w)]} for a, w in jobs])
    _, _, ended = run.play(preempting.ShortestRemaining())
    left, sum_s, now = [w for _, w in jobs], 0, 0
    while any(left):
        waits = [(left[i], i) for i, (a, _) in enumerate(jobs) if a <= now and left[i]]
        now += 1
        if waits:
            left[min(waits)[1]] -= 1
            sum_s += now * (left[min(waits)[1]] == 0)
    assert sum(ended.values()) == pytest.approx(sum_s)


def on_one_pool(run):
    run.size = run.size[:1]
    for job in run.jobs:
        job["nodes"], job["wall"] = [max(1, job["nodes"][0])], job["wall"][:1]
        job["energy"] = job["energy"][:1]


@given(small_runs(is_as_expected=True))
def test_no_gain_is_enough_for_who_asks_for_an_endless_one(run):
    """It then never stops a job, and on one pool is shortest first."""
    on_one_pool(run)
    _, began, _ = run.play(preempting.ShortestRemaining(gain_s=math.inf))
    assert began == run.play(queueing.shortest_first)[1]


@given(small_runs(is_as_expected=True))
def test_with_one_priority_it_is_backfill(run):
    for job in run.jobs:
        job["priority"] = 3
    assert run.play(preempting.Priority())[1:] == run.play(queueing.fifo_backfill)[1:]


@given(small_runs(is_as_expected=True))
def test_the_highest_waits_for_its_equals_only(run):
    """A job of the highest priority starts when it would if there were no others."""
    on_one_pool(run)
    jobs = run.jobs
    high = [job for job in jobs if job["priority"] == 2]
    _, began, _ = run.play(preempting.Priority())
    _, alone, _ = SmallRun(run.size, high).play(preempting.Priority())
    numbers = [i for i, job in enumerate(jobs) if job["priority"] == 2]
    assert [began[i] for i in numbers] == [alone[i] for i in range(len(high))]
