"""The index of a queue gives what a scan of it gives."""

import math
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from views import view

from computeplan.scheduling import waiting
from computeplan.scheduling.waiting import Room

N_POOLS = 2
ALWAYS_SCANS, ALWAYS_ASKS_THE_INDEX, CHANGES = 10_000, 1, 6

sizes = st.integers(0, 12)
jobs_of = st.lists(
    st.fixed_dictionaries(
        {
            "nodes": st.tuples(st.integers(1, 12), sizes).map(list),
            "wall": st.lists(st.integers(1, 9).map(float), min_size=N_POOLS, max_size=N_POOLS),
            "home": st.integers(0, 2),
        }
    ),
    min_size=1,
    max_size=40,
)
rooms_of = st.lists(
    st.tuples(sizes, st.integers(0, 20).map(float) | st.just(math.inf), sizes),
    min_size=N_POOLS,
    max_size=N_POOLS,
)
afters = st.integers(-1, 30)
moves = st.lists(st.integers(0, 60), max_size=60)


def seen_after(jobs, changes, short):
    """Return a view whose queue has been joined and left: a number is a job that joins or leaves.

    The index is asked for between the changes, so that it is kept, and not only built.
    """
    seen = view([10_000] * N_POOLS, jobs, queue=[])
    for i, change in enumerate(changes):
        job = change % len(jobs)
        if job in seen.queue:
            seen.place(job, 0, 1.0)
        elif job in seen.running:
            seen.leave(job)
            seen.enqueue(job, (change % 7 + 1) / 8)
        else:
            seen.enqueue(job)
        if i % 3 == 0:
            seen.waiting.first_that_fits(0, 5)
    return seen


def fits(seen, job, pool, n_nodes, end_by_s, n_spare):
    n = seen.nodes(job, pool)
    is_in_time = seen.now_s + seen.wall_s(job, pool) <= end_by_s
    return 0 < n <= n_nodes and (is_in_time or n <= n_spare)


@pytest.mark.parametrize("short", [ALWAYS_SCANS, ALWAYS_ASKS_THE_INDEX, CHANGES])
@given(jobs=jobs_of, changes=moves, rooms=rooms_of, after=afters)
def test_the_first_that_fits_is_that_of_a_scan(short, jobs, changes, rooms, after):
    with mock.patch.object(waiting, "SHORT", short):
        seen = seen_after(jobs, changes, short)
        behind = [job for job, place in seen.queue.items() if place > after]
        assert list(seen.waiting.behind(after)) == [(job, seen.queue[job]) for job in behind]
        assert seen.waiting.first() == next(iter(seen.queue), -1)
        for pool, room in enumerate(rooms):
            expected = next((job for job in behind if fits(seen, job, pool, *room)), -1)
            assert seen.waiting.first_that_fits(pool, *room, after=after) == expected


@pytest.mark.parametrize("short", [ALWAYS_SCANS, ALWAYS_ASKS_THE_INDEX, CHANGES])
@given(jobs=jobs_of, changes=moves, rooms=rooms_of, after=afters)
def test_those_that_fit_are_those_of_a_scan(short, jobs, changes, rooms, after):
    with mock.patch.object(waiting, "SHORT", short):
        seen = seen_after(jobs, changes, short)
        left, expected = [list(room) for room in rooms], []
        for job in [job for job, place in seen.queue.items() if place > after]:
            for pool in seen.pools_for(job):
                if fits(seen, job, pool, *left[pool]):
                    left[pool][0] -= seen.nodes(job, pool)
                    if seen.now_s + seen.wall_s(job, pool) > left[pool][1]:
                        left[pool][2] -= seen.nodes(job, pool)
                    expected.append((job, pool))
                    break
        found, given = [], [Room(*room) for room in rooms]
        for job, pool in seen.waiting.that_fit(given, after):
            given[pool].take(seen.nodes(job, pool), seen.now_s + seen.wall_s(job, pool))
            found.append((job, pool))
        assert found == expected
        assert [[room.n_nodes, room.end_by_s, room.n_spare] for room in given] == left


@pytest.mark.parametrize("short", [ALWAYS_SCANS, ALWAYS_ASKS_THE_INDEX, CHANGES])
@given(jobs=jobs_of, changes=moves, rooms=rooms_of, after=afters)
def test_the_shortest_that_fit_are_those_of_a_scan(short, jobs, changes, rooms, after):
    with mock.patch.object(waiting, "SHORT", short):
        seen = seen_after(jobs, changes, short)
        left, expected = [n_nodes for n_nodes, _, _ in rooms], []
        behind = [(job, place) for job, place in seen.queue.items() if place > after]
        while options := [
            (seen.wall_s(job, pool), place, pool, job)
            for job, place in behind
            for pool in seen.pools_for(job)
            if seen.nodes(job, pool) <= left[pool] and job not in {e[0] for e in expected}
        ]:
            wall_s, _, pool, job = min(options)
            left[pool] -= seen.nodes(job, pool)
            expected.append((job, pool, wall_s))
        found, given = [], [Room(n_nodes) for n_nodes, _, _ in rooms]
        for job, pool, wall_s in seen.waiting.shortest_that_fit(given, after):
            given[pool].take(seen.nodes(job, pool), seen.now_s + wall_s)
            found.append((job, pool, wall_s))
        assert found == expected


@given(jobs=jobs_of, changes=moves)
def test_lines_are_the_queue_divided_and_what_is_held_counted(jobs, changes):
    def home(seen, job):
        return int(seen.jobs.home[job])

    seen = seen_after(jobs, changes[:20], 1)
    seen.lines(home), seen.holds(home)
    for change in changes[20:]:
        job = change % len(jobs)
        if job in seen.queue:
            seen.place(job, 0, 1.0)
        elif job not in seen.running:
            seen.enqueue(job)
        else:
            seen.leave(job)
            seen.enqueue(job)
    for which, line in seen.lines(home).items():
        expected = [(job, at) for job, at in seen.queue.items() if home(seen, job) == which]
        assert list(line.queue.items()) == expected
    assert sum(len(line.queue) for line in seen.lines(home).values()) == len(seen.queue)
    for which, held in seen.holds(home).items():
        runs = [run for run in seen.running.values() if home(seen, run.job) == which]
        assert held == [sum(run.n_nodes for run in runs if run.pool == p) for p in range(N_POOLS)]
    held = [sum(run.n_nodes for run in seen.running.values() if run.pool == p) for p in (0, 1)]
    assert seen.held == held


def test_a_job_that_ends_just_in_time_fits_though_the_difference_rounds():
    """Another that started with it and takes as long ends at 0.3 + 0.6."""
    by_s = 0.3 + 0.6
    assert by_s - 0.3 < 0.6
    for short in (ALWAYS_SCANS, ALWAYS_ASKS_THE_INDEX):
        with mock.patch.object(waiting, "SHORT", short):
            seen = view([4], [{"nodes": [2], "wall": [0.6]}], now_s=0.3)
            assert seen.waiting.first_that_fits(0, 4, by_s) == 0
