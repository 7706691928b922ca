"""The oracle of preemption is held against closed forms, and against what is worked out by hand."""

import numpy as np
import pytest
from engines.preemption_oracle import GangJob, Setup, play

from computeplan.physics.checkpoint import expected_ettr, expected_makespan_s

HOUR_S = 3600.0
NEVER_S = 1e15
LOW, HIGH = False, True


def times_s(jobs, *, n_nodes=4, save_s=10.0, resume_s=5.0):
    """Return when jobs end without faults; saves come after each 100 s of training."""
    setup = Setup(n_nodes, 100.0, save_s, 20.0, NEVER_S, resume_s)
    end_s, n_stops = play(setup, [GangJob(*job) for job in jobs], 1, 0)
    return end_s[0].tolist(), int(n_stops[0])


# -- one job with faults ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_nodes", [1, 8])
def test_one_job_ends_as_the_closed_form_says(n_nodes):
    n_intervals, interval_s, save_s, restart_s, mtbf_node_s = 12, 900.0, 60.0, 300.0, 8 * HOUR_S
    setup = Setup(8, interval_s, save_s, restart_s, mtbf_node_s)
    job = GangJob(0.0, n_nodes, n_intervals * interval_s)
    end_s = play(setup, [job], 4000, 7)[0][:, 0]
    mtbf_s = mtbf_node_s / n_nodes
    makespan_s = expected_makespan_s(n_intervals, interval_s, save_s, restart_s, mtbf_s)
    ettr = expected_ettr(interval_s, save_s, restart_s, mtbf_s)
    assert makespan_s == pytest.approx(job.work_s / ettr)
    error_s = end_s.std(ddof=1) / np.sqrt(end_s.size)
    assert abs(end_s.mean() - makespan_s) < 4 * error_s  # 1 false alarm in 16 000
    assert error_s < 0.01 * makespan_s  # what it could miss


# -- preemption without faults, by hand --------------------------------------------------------


def test_without_faults_a_job_trains_and_saves_in_turn():
    assert times_s([(0.0, 4, 250.0)]) == ([280.0], 0)  # 250 and three saves


def test_a_stopped_job_saves_waits_and_goes_on_from_there():
    """Low stops at 130 with 100 + 20 done, has saved by 140; high takes 60 with its save.

    At 200 low is back: 5 to resume, 100, 10, and 30 with its save.
    """
    jobs = [(0.0, 4, 250.0, LOW), (130.0, 4, 50.0, HIGH)]
    assert times_s(jobs) == ([200.0 + 5.0 + 110.0 + 40.0, 200.0], 1)


def test_a_save_under_way_is_not_begun_anew():
    """Low saves from 100 to 110; what comes at 104 has the nodes at 110."""
    assert times_s([(0.0, 4, 150.0, LOW), (104.0, 4, 50.0, HIGH)]) == ([235.0, 170.0], 1)


def test_a_job_that_saves_its_last_ends():
    assert times_s([(0.0, 4, 100.0, LOW), (104.0, 4, 50.0, HIGH)]) == ([110.0, 170.0], 1)


def test_a_job_that_does_not_train_yet_gives_back_at_once():
    """Low is back at 190 and resumes until 290; the second comes at 250."""
    jobs = [(0.0, 4, 150.0, LOW), (120.0, 4, 50.0, HIGH), (250.0, 4, 50.0, HIGH)]
    ends = ([310.0 + 100.0 + 50.0, 190.0, 310.0], 2)  # 110 done of 150 when it first stops
    assert times_s(jobs, resume_s=100.0) == ends


def test_the_last_to_start_stops_and_only_as_many_as_are_needed():
    """Three hold 2, 1 and 1 of 4 nodes; 1 is wanted: the last saves from 50 to 60."""
    jobs = [(0.0, 2, 90.0, LOW), (1.0, 1, 90.0, LOW), (2.0, 1, 90.0, LOW), (50.0, 1, 10.0, HIGH)]
    assert times_s(jobs) == ([100.0, 101.0, 80.0 + 5.0 + 42.0 + 10.0, 80.0], 1)


def test_nobody_stops_for_a_job_that_would_wait_still():
    jobs = [(0.0, 3, 90.0, HIGH), (0.0, 1, 80.0, LOW), (50.0, 4, 10.0, HIGH)]
    assert times_s(jobs) == ([100.0, 90.0, 120.0], 0)


def test_who_waits_first_starts_first_and_nobody_passes():
    jobs = [(0.0, 3, 90.0, LOW), (1.0, 2, 90.0, LOW), (2.0, 1, 10.0, LOW), (3.0, 1, 10.0, HIGH)]
    assert times_s(jobs) == ([100.0, 200.0, 120.0, 23.0], 0)


# -- both ------------------------------------------------------------------------------------------


def test_preemption_costs_a_save_before_and_a_restart_after():
    """The high waits for at most a save. The low pays for one save more and the 60 s to resume.

    In those 90 s more a fault costs less than a restart and an interval: 90 / mtbf x 750 < 5 s.
    """
    setup, mtbf_s = Setup(4, 600.0, 30.0, 120.0, 20 * HOUR_S, 60.0), 5 * HOUR_S
    jobs = [GangJob(0.0, 4, 10 * HOUR_S, LOW), GangJob(1000.0, 4, 2 * HOUR_S, HIGH)]
    end_s, n_stops = play(setup, jobs, 4000, 3)
    assert (n_stops == 1).all()
    high_s, low_s = (expected_makespan_s(n, 600.0, 30.0, 120.0, mtbf_s) for n in (12, 60))
    for more_s, least_s, most_s in (
        (end_s[:, 1] - 1000.0 - high_s, 0.0, 30.0),
        (end_s[:, 0] - high_s - low_s, 60.0, 60.0 + 30.0 + 5.0),
    ):
        error_s = more_s.std(ddof=1) / np.sqrt(more_s.size)
        assert least_s - 4 * error_s < more_s.mean() < most_s + 4 * error_s


def test_the_seed_says_all():
    setup, jobs = Setup(1, 600.0, 30.0, 120.0, HOUR_S), [GangJob(0.0, 1, HOUR_S)]
    np.testing.assert_array_equal(play(setup, jobs, 5, 1)[0], play(setup, jobs, 5, 1)[0])
    assert (play(setup, jobs, 5, 1)[0] != play(setup, jobs, 5, 2)[0]).any()
