"""Training and saving in turn, by hand and by small steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.engines.event.stretch import Schedule, Stretch
from computeplan.world.jobs import Tier

DISK = Tier("disk", 1, 1.0, 0.0, 0.0, 3)


def schedule(
    tiers: tuple[Tier, ...] = (DISK,), throttle_frac: float = 0.0, work_s: float = 100.0
) -> Schedule:
    """100 s of work, saves after every 10 s."""
    last = tiers[-1] if tiers else DISK
    return Schedule(work_s, 10.0, tiers, last.stall_s + last.write_s, throttle_frac)


@pytest.mark.parametrize(
    ("now_s", "trained_s", "stalled_s"),
    [
        (0, 0, 0),
        (7, 7, 0),
        (10, 10, 0),
        (10.4, 10, 0.4),
        (11, 10, 0),
        (31.5, 29.5, 0),
        (109, 100, 0),
    ],
)
def test_ten_intervals_of_10_s_and_saves_of_1_s(now_s, trained_s, stalled_s):
    stretch = Stretch(schedule(), 0.0, 0.0, 1.0, 0.0)
    assert stretch.end_s == 110.0
    assert stretch.n_regular == 9
    assert stretch.trained(now_s) == pytest.approx((trained_s, stalled_s))


def test_tiers_stall_one_after_the_other():
    """Memory for 1 s after every 10 s, disk for 3 s more after every 20 s."""
    tiers = (Tier("memory", 1, 1.0, 0.0, 0.0, 0), Tier("disk", 2, 3.0, 5.0, 0.0, 3))
    plan = schedule(tiers)
    assert [plan.over_s(m) for m in range(5)] == [0, 11, 25, 36, 50]
    assert [plan.taken_s(0, j) for j in (1, 2, 3)] == [11, 22, 36]
    assert [plan.taken_s(1, j) for j in (1, 2)] == [25, 50]
    assert [plan.n_over(t, 9) for t in (10.9, 11, 24.9, 25, 1000)] == [0, 1, 1, 2, 9]
    assert [plan.n_taken(1, t, 9) for t in (24.9, 25, 1000)] == [0, 1, 4]
    stretch = Stretch(plan, 0.0, 0.0, 1.0, 0.0)
    assert stretch.trained(21.5) == (20.0, 0.0)  # memory stalls
    assert stretch.trained(23.5) == (20.0, 1.5)  # disk does


def test_a_change_of_rate_changes_work_and_not_saves():
    """Half the speed from 25 s on, when 23 s are trained: 77 s of work take 154 s."""
    stretch = Stretch(schedule(), 0.0, 0.0, 1.0, 0.0)
    stretch.change_rate(25.0, 0.5)
    assert stretch.left_s == 23.0 + 154.0
    assert stretch.position_s(23.0) == 23.0
    assert stretch.position_s(43.0) == 33.0
    assert stretch.n_regular == 17
    stretch.change_rate(25.0, 1.0)
    assert stretch.end_s == 110.0


def test_no_tiers_are_no_saves():
    stretch = Stretch(schedule(()), 5.0, 40.0, 0.5, 0.0)
    assert stretch.end_s == 5.0 + 120.0
    stretch.most_s = 30.0
    assert stretch.trained(1000.0) == (30.0, 0.0)


@given(
    st.floats(0.0, 0.9), st.floats(0, 2e5), st.floats(0.1, 1.0), st.floats(100, 90_000),
    st.floats(0, 3_000), st.floats(0, 4e5),
)  # fmt: skip
def test_throttled_work_is_the_integral_of_the_speed(depth, start_s, rate, every_s, stall_s, now_s):
    """Against the sum over 20,000 pieces of the stretch, of those that train."""
    tier = Tier("disk", 1, stall_s, 0.0, 0.0, 3)
    plan = Schedule(1e9, every_s, (tier,), stall_s, depth)
    stretch = Stretch(plan, start_s, 0.0, rate, 0.0)
    trained_s, _ = stretch.trained(start_s + now_s)
    at_s = (np.arange(20_000) + 0.5) * trained_s / 20_000  # of training
    wall_s = start_s + at_s + np.floor(at_s / every_s) * stall_s
    speed = 1 - depth * (1 - np.cos(2 * math.pi * wall_s / 86_400)) / 2
    expected_s = rate * speed.mean() * trained_s
    assert stretch.position_s(trained_s) == pytest.approx(expected_s, rel=1e-3, abs=1e-6)


@given(st.floats(0.001, 0.9), st.floats(0, 2e5), st.floats(1, 500_000))
def test_the_end_of_throttled_work_brings_the_work(depth, start_s, work_s):
    stretch = Stretch(Schedule(work_s, math.inf, (), 0.0, depth), start_s, 0.0, 1.0, 0.0)
    assert stretch.effective_s(stretch.left_s) == pytest.approx(work_s, rel=1e-9, abs=1e-6)
