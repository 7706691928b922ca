"""Good hours and bad ones: who waits, who pauses, who slows down, and what that takes, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from views import placed, view

import computeplan as cp
from computeplan.errors import ScenarioError
from computeplan.scheduling.policies.hours import GreenHours
from computeplan.testing import check_policy
from computeplan.world.signals import Signal

HOUR_S = 3600.0
DAYS = Signal(np.array([0.0, 12.0]) * HOUR_S, np.array([0.5, 1.5]), 24 * HOUR_S)
"""Good until noon, bad until midnight."""
ALWAYS = Signal(np.zeros(1), np.ones(1))
JOB = {"nodes": [4], "wall": [24 * HOUR_S]}


def seen_at(hour, jobs, *, free=(4,), running=None, courses=(DAYS,), by="carbon", **more):
    courses = {by: courses}
    return view([*free], jobs, running=running, now_s=hour * HOUR_S, courses=courses, **more)


def test_who_waits_begins_in_a_good_hour():
    good, bad = seen_at(6, [JOB]), seen_at(12, [JOB])
    assert placed(GreenHours()(good)) == [(0, 0)]
    assert GreenHours()(good).again_s == 12 * HOUR_S
    waits = GreenHours()(bad)
    assert (placed(waits), waits.again_s) == ([], 24 * HOUR_S)


def test_who_runs_pauses_in_a_bad_hour():
    for hour, stops in ((6, []), (12, [0])):
        decided = GreenHours()(seen_at(hour, [], free=(0,), running=[[(1e9, 4)]]))
        assert [*decided.stop] == stops


def test_hours_that_never_turn_good_are_not_waited_for():
    never = Signal(np.array([0.0, 10.0]) * HOUR_S, np.array([1.0, 3.0]))
    decided = GreenHours(most=0.5)(seen_at(12, [JOB], courses=(never,)))
    assert placed(decided) == [(0, 0)]


def test_of_two_sites_the_one_in_a_good_hour():
    job = {"nodes": [4, 4], "wall": [9.0, 10.0]}
    for hour, pool in ((6, 0), (12, 1)):
        seen = seen_at(hour, [job], free=(4, 4), courses=(DAYS, ALWAYS))
        assert placed(GreenHours()(seen)) == [(0, pool)]


def test_a_signal_that_does_not_vary_changes_nothing():
    assert placed(GreenHours(by="cost")(seen_at(12, [JOB], by="carbon"))) == [(0, 0)]


def test_a_deadline_is_kept():
    """24 h of work to be done by 40: it may wait until 16."""
    job = {**JOB, "deadline": 40 * HOUR_S}
    waits = GreenHours()(seen_at(13, [job]))
    assert (placed(waits), waits.again_s) == ([], 16 * HOUR_S)
    assert placed(GreenHours()(seen_at(16, [job]))) == [(0, 0)]
    assert placed(GreenHours(restart_cost_s=HOUR_S)(seen_at(15, [job]))) == [(0, 0)]


def test_caps_are_shares_of_what_jobs_draw():
    slow = GreenHours(slow_to=0.75)
    running = [[(1e9, 4)]]
    bad = slow(seen_at(12, [], free=(2,), running=running, train_w=np.array([8.0])))
    assert (dict(bad.cap_w), [*bad.stop]) == ({0: 0.75 * 8 * 4}, [])
    good = slow(seen_at(6, [], free=(2,), running=running))
    assert dict(good.cap_w) == {0: math.inf}
    begins = slow(seen_at(12, [{"nodes": [2]}], free=(2,), running=running))
    assert placed(begins) == [(0, 0)]
    assert begins.cap_w[0] == 0.75 * 6


@pytest.mark.parametrize("policy", [GreenHours(), GreenHours(slow_to=0.5)])
def test_it_keeps_the_rules(policy):
    check_policy(policy, loads=30, may_starve=True)


@given(
    st.lists(st.integers(1, 50), min_size=0, max_size=5, unique=True),
    st.integers(51, 60),
    st.integers(0, 200),
    st.integers(0, 59),
)
def test_the_next_step_is_the_first_after_now(times, period, now, begins):
    signal = Signal(np.array([0, *sorted(times)], float), np.ones(len(times) + 1), period, begins)
    steps = {t + k * period - begins for t in (0, *times) for k in range(8)}
    assert signal.next_s(now) == min(t for t in steps if t > now)


# -- played ----------------------------------------------------------------------------------------

WATTS = {"meter": "node", "load": "1 kW", "wait": "1 kW", "repair": "0 W"}


def scenario(**policy):
    """24 h on 16 chips of 1 kW, 0.25 kW idle; half the carbon until noon, then 1.5 times."""
    watts = {**WATTS, "compute": "1 kW", "idle": "0.25 kW"}
    carbon = [{"hours": [[0, 12]], "factor": 0.5}, {"hours": [[12, 24]], "factor": 1.5}]
    here = {"pue": 1.25, "carbon": "400 g/kWh", "varies": {"carbon": carbon}}
    return {
        "computeplan": 1,
        "name": "s",
        "sites": {
            "here": {
                **here, "pools": {"a": {"chip": "nvidia/h100-sxm", "chips": 16, "power": watts}}
            }
        },
        "jobs": {"j": {"train_for": "24 h", "chips": 16, "checkpoint": {"every": "never"}}},
        "policy": {"name": "green-hours", **policy} if policy is not None else "fifo",
        "simulate": {"runs": 1, "start": "2026-01-01 00:00"},
    }  # fmt: skip


def played(data):
    (case,) = cp.run(cp.load(data)).cases.values()
    return {name: float(value[0]) for name, value in case.values.items()}


def kg(kwh_good, kwh_bad):
    return 1.25 * 0.4 * (0.5 * kwh_good + 1.5 * kwh_bad)


def test_a_paused_job_by_hand():
    """Noon to midnight it idles, and then trains until the next noon."""
    found = played(scenario())
    assert found["time_to_train_days"] == pytest.approx(1.5)
    assert found["n_preemptions"] == 1
    assert found["carbon_kg"] == pytest.approx(kg(24 * 16, 12 * 4))
    assert found["carbon_jobs_kg"] == pytest.approx(kg(24 * 16, 0))


def test_a_job_with_a_deadline_by_hand():
    """By 30 h: 12 h until noon, from 18 h the other 12, of which 6 h are bad."""
    data = scenario()
    data["jobs"]["j"]["deadline"] = "30 h"
    found = played(data)
    assert found["time_to_train_days"] * 24 == pytest.approx(30)
    assert found["carbon_kg"] == pytest.approx(kg((12 + 6) * 16, 6 * 16 + 6 * 4))


def test_a_job_that_slows_down_by_hand():
    """At half the power half the speed, as no cap was measured at this meter: 12 + 6 + 6 h."""
    found = played(scenario(slow_to=0.5))
    assert found["time_to_train_days"] * 24 == pytest.approx(30)
    assert found["carbon_kg"] == pytest.approx(kg((12 + 6) * 16, 12 * 8))


def test_a_pause_costs_the_save_the_load_and_the_restart():
    """From midnight 5 min of restart, 2 of loading and the other 11 h; a job saves at its end."""
    data = scenario(restart_cost="5 min")
    data["jobs"]["j"] |= {
        "train_for": "23 h", "checkpoint": {"every": "30 h", "stall": "1 min", "load": "2 min"}
    }  # fmt: skip
    found = played(data)
    assert found["time_to_train_days"] * 24 * 60 == pytest.approx((24 + 11) * 60 + 7 + 1)
    assert found["save_chip_h"] == pytest.approx(16 * 2 / 60)
    assert found["restart_chip_h"] == pytest.approx(16 * 7 / 60)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"by": "wind"}, "carbon or cost"), ({"slow_to": 2.0}, "from 0 to 1"), ({"most": 0.0}, "> 0")],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(ScenarioError, match=said):
        cp.run(cp.load(scenario(**settings)))


def test_a_lone_job_is_not_played_as_if_it_never_paused():
    data = scenario()
    data["simulate"]["engine"] = "batch"
    with pytest.raises(cp.ComputePlanError, match="lets jobs pause"):
        cp.run(cp.load(data))
