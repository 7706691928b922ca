"""Services: chips by hour, held against counting minute by minute."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.scheduling.services import Demand, Step, nodes_on_pools

HOUR_S = 3600.0
hours = st.sampled_from([1, 24, 168]).flatmap(
    lambda n: st.lists(st.integers(0, 3), min_size=n, max_size=n)
)


@given(hours, st.floats(1.0, 400 * HOUR_S))
def test_steps_agree_with_looking_every_quarter_of_an_hour(hourly, horizon_s):
    demand = Demand(tuple(hourly))
    steps = demand.steps(horizon_s)
    assert steps[0].time_s == 0.0
    assert all(before < after for (before, *_), (after, *_) in itertools.pairwise(steps))
    assert all(a != b for (_, *a), (_, *b) in itertools.pairwise(steps))
    for quarter in range(math.ceil(horizon_s / 900.0)):
        now = [at.needed for at in steps if at.time_s <= quarter * 900.0][-1]
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
    changes = [(0.0, 8), (120 * HOUR_S, 2), (168 * HOUR_S, 8), (288 * HOUR_S, 2)]
    assert [(at.time_s, at.held) for at in week.steps(300 * HOUR_S)] == changes


def test_what_never_changes_is_one_step():
    assert Demand((8,)).steps(1e9) == [Step(0.0, 8, 8, 8)]
    assert Demand((8,) * 24).next_change_s(5.0) == math.inf


whiles = st.floats(0.0, 3 * HOUR_S) | st.sampled_from([0.0, 0.1, 180.0, HOUR_S, 5400.0])


@given(hours, whiles, whiles, st.integers(0, 2), st.integers(0, 8), st.floats(0.0, 20.0))
def test_what_is_held_is_the_most_of_the_hours_around(hourly, start_s, drain_s, extra, least, at_h):
    """Against the hours that overlap the time from a drain ago to a start ahead, one by one."""
    demand = Demand(tuple(hourly), least, 0, start_s, drain_s, (extra,) * len(hourly))
    now_s = at_h * HOUR_S
    for time_s in (now_s, demand.next_change_s(now_s), demand.next_change_s(now_s) + 1.0):
        if math.isinf(time_s):
            break
        from_s, to_s = max(time_s - drain_s, 0.0), time_s + start_s
        around = [h for h in range(200) if h * HOUR_S <= to_s and (h + 1) * HOUR_S > from_s]
        most = max(hourly[h % len(hourly)] + extra for h in around)
        assert demand.at(time_s) == demand.step(time_s).held == max(most, least)
        assert demand.step(time_s).needed <= demand.step(time_s).ahead <= demand.at(time_s)


@given(hours, whiles, whiles, st.floats(0.0, 60.0))
def test_steps_are_all_the_changes(hourly, start_s, drain_s, offset_s):
    """Looked at every minute, beside the changes, where a time may be rounded."""
    demand = Demand(tuple(hourly), 0, 0, start_s, drain_s)
    steps = demand.steps(30 * HOUR_S)
    for minute in range(30 * 60):
        time_s = min(minute * 60.0 + offset_s, 30 * HOUR_S - 1.0)
        last = [step for step in steps if step.time_s <= time_s + 1e-6][-1]
        if time_s - last.time_s > 1e-6:
            assert last[1:] == demand.step(time_s)[1:]


def test_a_service_is_ready_at_the_hour_and_drains_after_it():
    """8 at 1 h and 2 after it: taken 3 minutes before the hour, given back 2 minutes after it."""
    demand = Demand((4, 8, *[2] * 22), start_s=180, drain_s=120)
    assert demand.steps(3 * HOUR_S) == [
        Step(0.0, 4, 4, 4),
        Step(3420.0, 4, 8, 8),
        Step(3600.0, 8, 8, 8),
        Step(7200.0, 2, 2, 8),
        Step(7320.0, 2, 2, 2),
    ]


@given(
    st.integers(0, 200),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([1, 8, 16])), min_size=1, max_size=4),
)
def test_the_first_pools_come_first_and_no_node_is_too_many(n_chips, pools):
    room, per_node = (list(column) for column in zip(*pools, strict=True))
    nodes, n_lacking = nodes_on_pools(n_chips, room, per_node, [1] * len(room))
    held = sum(n * chips for n, chips in zip(nodes, per_node, strict=True))
    assert all(0 <= n <= most for n, most in zip(nodes, room, strict=True))
    assert n_lacking == max(0, n_chips - sum(n * c for n, c in zip(room, per_node, strict=True)))
    used = [i for i, n in enumerate(nodes) if n]
    if used:
        last = used[-1]
        assert nodes[:last] == room[:last]
        assert held - per_node[last] < n_chips


@given(
    st.just(0.0) | st.floats(1e-3, 50.0),
    st.lists(
        st.tuples(st.integers(0, 9), st.floats(0.05, 3.0), st.integers(1, 4)),
        min_size=1,
        max_size=4,
    ),
)
def test_instances_are_whole_and_none_is_too_many(rate, pools):
    room, gives, group = (list(column) for column in zip(*pools, strict=True))
    nodes, n_lacking = nodes_on_pools(rate, room, gives, group)
    assert all(n % size == 0 for n, size in zip(nodes, group, strict=True))
    assert all(0 <= n <= most for n, most in zip(nodes, room, strict=True))
    has = sum(n * each for n, each in zip(nodes, gives, strict=True))
    assert n_lacking == pytest.approx(max(0.0, rate - has), abs=1e-6)
    if n_lacking:
        assert nodes == [most - most % size for most, size in zip(room, group, strict=True)]
    if any(nodes):
        last = max(i for i, n in enumerate(nodes) if n)
        assert has - group[last] * gives[last] < rate


def test_rates_that_add_up_to_the_need_are_enough():
    """0.1 + 0.1 + 0.1 is not 0.3 to the last digit."""
    assert nodes_on_pools(0.3, [9], [0.1], [1]) == ([3], 0)
    assert nodes_on_pools(0.1 + 0.1 + 0.1, [3], [0.1], [1]) == ([3], 0)
    assert nodes_on_pools(0.3, [1, 2], [0.1, 0.1], [1, 1]) == ([1, 2], 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Demand((1,) * 12), "hourly must have 1, 24 or 168 values, got 12"),
        (lambda: Demand(()), "got 0"),
        (lambda: Demand((4,), least=-1), "least must be finite and >= 0, got -1"),
        (lambda: Demand((4,), start_s=math.inf), "start_s must be finite and >= 0, got inf"),
        (lambda: Demand((4,), drain_s=-1.0), "drain_s must be finite and >= 0, got -1.0"),
        (lambda: Demand((-4,)), "hourly must be finite and >= 0, got -4 in hour 0"),
        (lambda: Demand((4,) * 23 + (math.nan,)), "got nan in hour 23"),
        (lambda: Demand((4,) * 24, extra=(1,)), "as many as hourly, or none: got 1"),
        (lambda: Demand((4,), extra=(-1,)), "extra must be finite and >= 0, got -1 in hour 0"),
        (lambda: Demand((4,)).steps(math.inf), "horizon_s must be finite and > 0, got inf"),
        (lambda: Demand((4,)).at(-1.0), "now_s must be finite and >= 0, got -1.0"),
        (lambda: Demand((4,)).next_change_s(math.nan), "now_s must be finite"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
