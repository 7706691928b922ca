"""Jobs that are stopped for others: they save, give back their nodes, and go on from there."""

from dataclasses import replace

import numpy as np
import pytest
from engines.preemption_oracle import GangJob, Setup, play

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.ledger import LOST, QUEUE, RESTART, SAVE, TRAIN
from computeplan.scheduling.policies.queueing import fifo

HOUR_S = 3600.0


def scenario_of(jobs, *, n_nodes=4, policy="priority", mtbf_h=None, every="100 s", stall="10 s"):
    """Return a pool of nodes of one chip and jobs (arrival, nodes, work, priority) [s]."""
    faults = {}
    if mtbf_h is not None:
        faults = {
            "f": {
                "mtbf": f"{mtbf_h} h",
                "per": "node",
                "takes": "nothing",
                "restart": "300 s",
            }
        }
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": n_nodes}
    return cp.load(
        {
            "computeplan": 1,
            "name": "preemption",
            "sites": {"s": {"pue": 1.0, "pools": {"p": pool}}},
            "faults": faults,
            "jobs": {
                f"j{i}": {
                    "arrival": f"{arrival} s",
                    "chips": nodes,
                    "train_for": f"{work} s",
                    "priority": priority,
                    "checkpoint": {"every": every, "stall": stall},
                }
                for i, (arrival, nodes, work, priority) in enumerate(jobs)
            },
            "policy": policy,
        }
    )


def played(scenario, n_runs=1, seed=0):
    """Return the books of runs by the event engine."""
    return event.play(compile_world(scenario), seed, 0, n_runs)


RESUMES = {"name": "priority", "restart_cost": "5 s"}


def test_a_stopped_job_saves_waits_and_goes_on_from_there():
    """Low stops at 130 with 100 + 20 done, has saved by 140; high takes 60 with its save.

    At 200 low is back: 5 to resume, 100, 10, and 30 with its save.
    """
    ledger = played(scenario_of([(0, 4, 250, 0), (130, 4, 50, 1)], policy=RESUMES))
    assert ledger.end_s[0] == pytest.approx([200 + 5 + 110 + 40, 200])
    low = ledger.job_s[0, 0]
    assert low[[TRAIN, LOST, SAVE, RESTART, QUEUE]] == pytest.approx([250, 0, 40, 5, 60])
    assert ledger.counts["stays"][0].tolist() == [2, 1]
    assert ledger.kept_frac[0] == pytest.approx([1, 1])


def test_a_save_under_way_serves():
    """Low saves from 100 to 110; what comes at 104 has the nodes at 110."""
    ledger = played(scenario_of([(0, 4, 150, 0), (104, 4, 50, 1)], policy=RESUMES))
    assert ledger.end_s[0] == pytest.approx([235, 170])


def test_a_lower_priority_stops_nobody():
    ledger = played(scenario_of([(0, 4, 250, 1), (130, 4, 50, 0)], policy=RESUMES))
    assert ledger.counts["stays"][0].tolist() == [1, 1]
    assert ledger.end_s[0] == pytest.approx([280, 340])


def test_a_job_that_never_saves_is_stopped_at_no_cost():
    scenario = scenario_of([(0, 4, 250, 0), (130, 4, 50, 1)], every="never", stall="0 s")
    ledger = played(scenario)
    assert ledger.end_s[0] == pytest.approx([300, 180])
    assert ledger.job_s[0, 0, TRAIN] == pytest.approx(250)


def test_the_ends_agree_with_a_plain_program_of_the_same():
    """Four standard errors: 1 false alarm in 16 000 for each job."""
    work_s, n_runs = 20 * HOUR_S, 300
    jobs = [(0, 4, work_s, 0), (5 * HOUR_S, 4, 4 * HOUR_S, 1), (12 * HOUR_S, 2, 6 * HOUR_S, 1)]
    scenario = scenario_of(
        jobs,
        policy={"name": "priority", "restart_cost": "200 s"},
        mtbf_h=12,
        every="1800 s",
        stall="60 s",
    )
    ours = played(scenario, n_runs, seed=5).end_s
    setup = Setup(4, 1800.0, 60.0, 300.0, 12 * HOUR_S, 200.0)
    gangs = [GangJob(arrival, n, work, bool(high)) for arrival, n, work, high in jobs]
    theirs, _ = play(setup, gangs, n_runs, 11)
    error_s = np.sqrt(ours.var(axis=0, ddof=1) / n_runs + theirs.var(axis=0, ddof=1) / n_runs)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 4 * error_s).all()
    assert (error_s < 0.02 * theirs.mean(axis=0)).all()  # what it could miss


def test_two_jobs_on_a_slow_node_do_not_stop_each_other_for_ever():
    """Who runs ends later than it would by the nominal speed that is known of who waits."""
    scenario = scenario_of([(0, 1, 100 * HOUR_S, 0), (50 * HOUR_S, 1, 60 * HOUR_S, 0)], n_nodes=1)
    slow = {"mtbf": "1 h", "per": "node", "slows": {"to": 0.5, "lasts": "1000 h"}}
    scenario = scenario.with_({"policy": "shortest-remaining", "faults": {"f": slow}})
    ledger = played(scenario, 2)
    assert ledger.kept_frac == pytest.approx(np.ones((2, 2)))
    assert (ledger.counts["stays"].sum(axis=1) < 10).all()


def test_a_policy_sees_what_a_running_job_has_done_though_nothing_happened_to_it():
    """Of 1,000 s of training at 500 s, 45 of its saves of 1 s every 10 s are over."""
    loaded = scenario_of([(0, 1, 1000, 0), (500, 1, 10, 0)], every="10 s", stall="1 s", mtbf_h=1e9)
    seen = {}

    def decide(view):
        seen[view.now_s] = view.left(0) / view.work[0]
        return fifo(view)

    event.play(replace(compile_world(loaded), decide=decide), 0, 0, 1)
    assert seen[500.0] == pytest.approx(1 - (500 - 45) / 1000)
