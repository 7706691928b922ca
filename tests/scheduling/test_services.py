"""Services: chips by hour, held against counting minute by minute."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.scheduling.services import Demand, nodes_on_pools

HOUR_S = 3600.0
hours = st.sampled_from([1, 24, 168]).flatmap(
    lambda n: st.lists(st.integers(0, 3), min_size=n, max_size=n)
)


@given(hours, st.floats(1.0, 400 * HOUR_S))
def test_steps_agree_with_looking_every_quarter_of_an_hour(hourly, horizon_s):
    demand = Demand(tuple(hourly))
    steps = demand.steps(horizon_s)
    assert steps[0][0] == 0.0
    assert all(before < after for (before, _), (after, _) in itertools.pairwise(steps))
    assert all(a != b for (_, a), (_, b) in itertools.pairwise(steps))
    for quarter in range(math.ceil(horizon_s / 900.0)):
        now = [n for time_s, n in steps if time_s <= quarter * 900.0][-1]
        assert now == hourly[(quarter // 4) % len(hourly)] == demand.at(quarter * 900.0)


@given(hours, st.floats(0.0, 400 * HOUR_S))
def test_nothing_changes_until_the_next_change(hourly, now_s):
    demand = Demand(tuple(hourly))
    next_s = demand.next_change_s(now_s)
    assert next_s > now_s
    if math.isinf(next_s):
        assert len(set(hourly)) == 1
        return
    assert next_s % HOUR_S == 0
    assert demand.at(next_s) != demand.at(now_s)
    between = range(int(now_s // HOUR_S) + 1, int(next_s // HOUR_S))
    assert all(demand.at(hour * HOUR_S) == demand.at(now_s) for hour in between)


def test_a_week_is_not_a_day():
    """Five days of 8 chips, two of 2: the changes are on Saturday, Monday, Saturday."""
    week = Demand((8,) * 120 + (2,) * 48)
    assert week.steps(300 * HOUR_S) == [(0.0, 8), (120 * HOUR_S, 2), (168 * HOUR_S, 8), (
        288 * HOUR_S, 2,
    )]  # fmt: skip


def test_what_never_changes_is_one_step():
    assert Demand((8,)).steps(1e9) == [(0.0, 8)]
    assert Demand((8,) * 24).next_change_s(5.0) == math.inf


@given(
    st.integers(0, 200),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([1, 8, 16])), min_size=1, max_size=4),
)
def test_the_first_pools_come_first_and_no_node_is_too_many(n_chips, pools):
    room, per_node = (list(column) for column in zip(*pools, strict=True))
    nodes, n_lacking = nodes_on_pools(n_chips, room, per_node)
    held = sum(n * chips for n, chips in zip(nodes, per_node, strict=True))
    assert all(0 <= n <= most for n, most in zip(nodes, room, strict=True))
    assert n_lacking == max(0, n_chips - sum(n * c for n, c in zip(room, per_node, strict=True)))
    used = [i for i, n in enumerate(nodes) if n]
    if used:
        last = used[-1]
        assert nodes[:last] == room[:last]
        assert held - per_node[last] < n_chips


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Demand((1,) * 12), "hourly_chips must have 1, 24 or 168 values, got 12"),
        (lambda: Demand(()), "got 0"),
        (lambda: Demand((4,), least_chips=-1), "least_chips must be >= 0, got -1"),
        (lambda: Demand((-4,)), r"must be >= least_chips \(0\), got -4 in hour 0"),
        (lambda: Demand((4,) * 23 + (1,), 2), "got 1 in hour 23"),
        (lambda: Demand((4,)).steps(math.inf), "horizon_s must be finite and > 0, got inf"),
        (lambda: Demand((4,)).at(-1.0), "now_s must be finite and >= 0, got -1.0"),
        (lambda: Demand((4,)).next_change_s(math.nan), "now_s must be finite"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
