"""Who gives way: the order of turns, and what is done when one comes."""

import numpy as np
import pytest

from computeplan.engines.event.giving_way import GivingWay
from computeplan.scheduling.view import JobTable, PoolTable, TenantTable, View

N_JOBS = 4


def jobs_of(priorities):
    """Return 4 jobs of 4 nodes on one of two pools; even ones can do with 1."""
    kind = np.arange(N_JOBS) % 2
    ones, zeros = np.ones(N_JOBS), np.zeros(N_JOBS)
    table = JobTable(
        kind=kind, work=ones, arrival_s=zeros, deadline_s=zeros + np.inf,
        home=np.full(N_JOBS, -1), tenant=np.zeros(N_JOBS, int), priority=np.array(priorities),
        weight=ones, n_nodes=np.full((2, 2), 4), speed=np.ones((2, 2)), wall_s=np.ones((2, 2)),
        energy_j=np.ones((2, 2)), step=np.zeros(2), least_nodes=np.array([[1, 1], [4, 4]]),
    )  # fmt: skip
    two = np.ones(2)
    pools = PoolTable(("a", "b"), np.full(2, 99), np.ones(2, int), two, two, two)
    view = View(table, pools, TenantTable())
    for job in range(N_JOBS):
        view.now_s = float(job // 2)  # two at a time
        view.enqueue(job)
        view.place(job, 0 if job < 3 else 1, 9.0)
    told = []
    stop, resize = (lambda *what: told.append(what) for _ in range(2))
    return GivingWay(view, stop, resize, lambda _: None), told


@pytest.mark.parametrize(
    ("all_shrink_first", "wanted"),
    [
        # priority 1: job 2 began last; of 0 and 1 the higher number
        (False, [(2, 1), (2, 0), (1, 0), (0, 1), (0, 0)]),
        (True, [(2, 1), (0, 1), (2, 0), (1, 0), (0, 0)]),
    ],
)
def test_the_lowest_priority_first_and_those_that_started_last(all_shrink_first, wanted):
    jobs, _ = jobs_of([2, 1, 1, 0])
    turns = jobs.turns({0}, (), all_shrink_first=all_shrink_first)
    assert [(turn.run.job, turn.n_least) for turn in turns] == wanted
    assert [turn.order for turn in turns] == sorted(turn.order for turn in turns)


def test_of_one_priority_and_one_start_the_higher_number_first():
    jobs, _ = jobs_of([0, 0, 0, 0])
    order = [(turn.run.job, turn.n_least) for turn in jobs.turns({0, 1}, ())]
    assert order == [(2, 1), (0, 1), (3, 0), (2, 0), (1, 0), (0, 0)]


def test_who_gives_way_already_is_left_out_and_is_told_by_what_it_will_hold():
    jobs, _ = jobs_of([0, 0, 0, 0])
    jobs.view.shrinking[0] = 2
    jobs.view.stopping.add(1)
    jobs.view.shrinking[2] = 3
    jobs.view.stopping.add(2)  # it shrinks, and is stopped after that
    assert jobs.leaving() == {0: 2, 1: 0, 2: 0}
    assert [turn.run.job for turn in jobs.turns({0, 1}, jobs.leaving())] == [3]


def test_a_job_shrinks_or_leaves():
    jobs, told = jobs_of([0, 0, 0, 0])
    runs = jobs.view.running
    jobs.take(runs[0], 1, 5.0)
    jobs.take(runs[1], 0, 5.0)
    assert told == [(0, 1, 5.0), (1, 5.0)]
