"""Shares of time: answers known by hand, and against dense programs of single jobs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from computeplan.scheduling import allocation
from computeplan.scheduling.allocation import Asked

THREE = Asked(np.array([[4, 2, 1], [3, 2.5, 1], [10, 2, 1]]), np.ones(3), np.ones(3))
STEPS = [4000.0, 5000.0, 20000.0]


@st.composite
def fleets(draw, most_jobs=12):
    """Return jobs on types; each can run on at least one, and some are alike."""
    n_types = draw(st.integers(1, 4))
    n_kinds = draw(st.integers(1, 5))
    number = st.floats(0.1, 20.0)
    speed = np.array(
        [[draw(st.just(0.0) | number) for _ in range(n_types)] for _ in range(n_kinds)]
    )
    speed[speed.max(axis=1) == 0, 0] = 1.0
    gang = np.array([draw(st.sampled_from([1.0, 2.0, 4.0])) for _ in range(n_kinds)])
    capacity = np.array([draw(st.integers(4, 12)) for _ in range(n_types)], dtype=float)
    kind = np.array(draw(st.lists(st.integers(0, n_kinds - 1), min_size=1, max_size=most_jobs)))
    return Asked(speed[kind], gang[kind], capacity)


def fits(asked, shares):
    """Return whether shares are within what there is, and nobody is where it cannot run."""
    used = (asked.n_nodes[:, None] * shares).sum(axis=0)
    return bool(
        (shares >= 0).all()
        and (shares.sum(axis=1) <= 1 + 1e-6).all()
        and (used <= asked.capacity * (1 + 1e-6)).all()
        and (shares[asked.speed == 0] == 0).all()
    )


def dense_part(asked, need):
    """Return the largest common part of the needs, from a dense program of single jobs."""
    n_jobs, n_types = asked.speed.shape
    rows, most = [], []
    for job in range(n_jobs):
        row = np.zeros((n_jobs, n_types))
        row[job] = 1
        rows.append([*row.ravel(), 0.0])
        most.append(1.0)
        row = np.zeros((n_jobs, n_types))
        row[job] = -asked.speed[job] / need[job]
        rows.append([*row.ravel(), 1.0])
        most.append(0.0)
    for kind in range(n_types):
        row = np.zeros((n_jobs, n_types))
        row[:, kind] = asked.n_nodes
        rows.append([*row.ravel(), 0.0])
        most.append(asked.capacity[kind])
    cost = np.zeros(n_jobs * n_types + 1)
    cost[-1] = -1
    return -linprog(cost, A_ub=rows, b_ub=most).fun


def test_the_three_programs_of_the_published_case_are_exact():
    shares, level = allocation.max_min_fairness(THREE)
    assert level == pytest.approx(54 / 47, rel=1e-6)
    reached = (THREE.speed * shares).sum(axis=1)
    assert reached == pytest.approx([2.6809, 2.4894, 4.9787], abs=1e-4)
    shares, makespan_s = allocation.min_makespan(THREE, STEPS)
    assert makespan_s == pytest.approx(7000 / 3, rel=1e-6)
    assert (np.array(STEPS) / (THREE.speed * shares).sum(axis=1)).max() == pytest.approx(
        makespan_s, rel=1e-6
    )
    shares, total = allocation.max_throughput(THREE)
    assert total == pytest.approx(13.5, rel=1e-6)
    assert shares == pytest.approx(np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]), abs=1e-6)


def test_who_does_not_know_of_types_gets_a_third_of_each():
    shares, level = allocation.max_min_fairness(THREE._replace(speed=np.ones((3, 3))))
    assert shares == pytest.approx(np.full((3, 3), 1 / 3))
    assert level == pytest.approx(1.0)


def test_throughput_per_cost_leaves_the_dear_type_to_who_makes_most_of_it():
    asked = Asked(np.array([[2.0, 1.0]]), np.ones(1), np.ones(2))
    cheap = asked.speed / np.array([4.0, 1.0])
    assert allocation.max_throughput(asked)[0] == pytest.approx(np.array([[1.0, 0.0]]))
    assert allocation.max_throughput(asked, cheap)[0] == pytest.approx(np.array([[0.0, 1.0]]))


def test_weight_counts_and_a_gang_takes_its_nodes():
    asked = Asked(np.ones((2, 1)), np.ones(2), np.ones(1))
    assert allocation.max_min_fairness(asked, [3.0, 1.0])[0].ravel() == pytest.approx([0.75, 0.25])
    gangs = Asked(np.ones((2, 1)), np.array([1.0, 4.0]), np.array([4.0]))
    shares = allocation.max_min_fairness(gangs)[0].ravel()  # equal node time: 4 x 1 and 1 x 4
    assert shares == pytest.approx([1.0, 0.75]) or shares[0] >= 4 * shares[1] - 1e-6


@given(fleets())
@settings(max_examples=40, deadline=None)
def test_classes_of_jobs_are_exact(asked):
    shares, level = allocation.max_min_fairness(asked)
    assert fits(asked, shares)
    in_proportion = asked.speed @ asked.capacity / asked.capacity.sum()
    reached = (asked.speed * shares).sum(axis=1) * asked.n_nodes / in_proportion
    assert reached.min() == pytest.approx(level, rel=1e-5)
    assert level == pytest.approx(dense_part(asked, in_proportion / asked.n_nodes), rel=1e-6)


@given(fleets(), st.data())
@settings(max_examples=40, deadline=None)
def test_finish_time_fairness_is_least_by_bisection(asked, data):
    n_jobs = len(asked.speed)
    left = np.array([data.draw(st.floats(1.0, 1e4)) for _ in range(n_jobs)])
    age_s = np.array([data.draw(st.floats(0.0, 1e3)) for _ in range(n_jobs)])
    isolated = (asked.speed * allocation.isolated_shares(asked)).sum(axis=1)
    isolated_s = age_s * data.draw(st.floats(0.5, 2.0)) + left / isolated
    shares, ratio = allocation.finish_time_fairness(asked, left, age_s, isolated_s)
    assert fits(asked, shares)
    reached = (age_s + left / (asked.speed * shares).sum(axis=1)) / isolated_s
    assert reached.max() == pytest.approx(ratio, rel=1e-5)
    low = ((age_s + left / asked.speed.max(axis=1)) / isolated_s).max()
    high = 2 * reached.max()
    for _ in range(40):
        middle = (low + high) / 2
        with np.errstate(divide="ignore"):
            need = left / (middle * isolated_s - age_s)
        feasible = (need > 0).all() and np.isfinite(need).all() and dense_part(asked, need) >= 1
        low, high = (low, middle) if feasible else (middle, high)
    assert ratio == pytest.approx(high, rel=1e-5)


def test_finish_time_fairness_where_nodes_are_short():
    """Two jobs that take one node to themselves each, and one node: the ratio is 1 with halves."""
    asked = Asked(np.full((2, 1), 2.0), np.ones(2), np.ones(1))
    shares, ratio = allocation.finish_time_fairness(asked, [100, 300], [0, 0], [100, 300])
    assert shares.ravel() == pytest.approx([0.5, 0.5])
    assert ratio == pytest.approx(1.0)


@given(fleets(), st.data())
@settings(max_examples=30, deadline=None)
def test_more_chips_never_raise_the_bound(asked, data):
    left = [data.draw(st.floats(1.0, 1e4)) for _ in asked.speed]
    more = asked.capacity + [data.draw(st.integers(0, 5)) for _ in asked.capacity]
    before_s = allocation.makespan_bound_s(asked, left)
    assert allocation.makespan_bound_s(asked._replace(capacity=more), left) <= before_s * (1 + 1e-9)


def test_a_job_that_can_run_nowhere_holds_nobody_back():
    asked = Asked(np.array([[1.0], [1.0], [0.0]]), np.array([1.0, 9.0, 1.0]), np.array([2.0]))
    shares, level = allocation.max_min_fairness(asked)
    assert shares.ravel() == pytest.approx([1.0, 0.0, 0.0])
    assert level == pytest.approx(1.0)
    assert allocation.makespan_bound_s(asked, [1.0, 1.0, 1.0]) == math.inf
    assert allocation.min_makespan(asked, [5.0, 1.0, 1.0])[1] == pytest.approx(5.0)
    nobody = asked._replace(capacity=np.array([0.0]))
    assert allocation.max_min_fairness(nobody)[1] == math.inf
    assert allocation.max_throughput(nobody)[1] == 0.0
    assert allocation.finish_time_fairness(nobody, 1.0, 0.0, 1.0)[1] == 0.0
    assert allocation.least_power(nobody, [1.0], 1.0)[1] == 0.0


def test_least_power_takes_the_frugal_type_as_far_as_the_deadline_lets_it():
    asked = Asked(np.array([[2.0, 1.0]]), np.ones(1), np.ones(2))
    shares, missing = allocation.least_power(asked, [900, 300], [1.25])
    assert shares == pytest.approx(np.array([[0.25, 0.75]]))
    assert missing == 0.0


def test_a_cap_and_needs_that_are_too_large_give_way_by_the_least():
    """Two jobs and one node: half of what both need is missing, whoever lacks it."""
    asked = Asked(np.ones((2, 1)), np.ones(2), np.ones(1))
    shares, missing = allocation.least_power(asked, [100.0], [1.0, 1.0])
    assert missing == pytest.approx(1.0)
    assert shares.sum() == pytest.approx(1.0)
    two = asked._replace(capacity=np.array([2.0]))
    shares, missing = allocation.least_power(two, [100.0], [1.0, 1.0], [100.0], cap_w=150.0)
    assert missing == pytest.approx(0.5)
    assert (shares.sum() * 100.0) == pytest.approx(150.0)
    assert allocation.least_power(two, [1.0], [1.0, 1.0], [100.0], cap_w=0.0)[0].sum() == 0.0


@given(fleets(), st.data())
@settings(max_examples=30, deadline=None)
def test_least_power_meets_what_isolated_shares_give_at_no_more_power(asked, data):
    watts = np.array([data.draw(st.floats(1.0, 1e3)) for _ in asked.capacity])
    isolated = allocation.isolated_shares(asked)
    need = (asked.speed * isolated).sum(axis=1)
    shares, missing = allocation.least_power(asked, watts, need)
    assert missing == pytest.approx(0.0, abs=1e-6)
    assert fits(asked, shares)
    assert ((asked.speed * shares).sum(axis=1) >= need * (1 - 1e-5) - 1e-9).all()
    power = (asked.n_nodes[:, None] * shares * watts).sum()
    assert power <= (asked.n_nodes[:, None] * isolated * watts).sum() * (1 + 1e-6)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(np.ones((2, 2)), np.ones(2), np.ones(3)),
        Asked(np.ones((2, 2)), np.ones(3), np.ones(2)),
        Asked(np.ones(2), np.ones(2), np.ones(2)),
    ],
)
def test_shapes_that_do_not_agree_are_said(asked):
    with pytest.raises(ValueError, match="shapes must be"):
        allocation.max_min_fairness(asked)


def test_a_negative_speed_is_refused():
    with pytest.raises(ValueError, match="speed must be >= 0"):
        allocation.max_min_fairness(Asked(-np.ones((1, 1)), np.ones(1), np.ones(1)))
