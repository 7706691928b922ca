"""Elastic jobs: they save and give nodes back, or are given more and save, and go on from there."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.errors import ComputePlanError
from computeplan.ledger import BLOCKED, LOST, QUEUE, RESTART, SAVE, TRAIN
from computeplan.scheduling.decision import Decision, Start

ELASTIC = {"replicas": 4, "least": 2, "resize": "20 s"}


PLAIN = {"every": "100 s", "stall": "10 s"}


def world_of(jobs, *, chips=4, policy="elastic-fifo", faults=None, checkpoint=PLAIN, **more):
    """Return a pool of nodes of one chip; jobs are (arrival, chips, work, elastic) [s]."""
    data = {
        "computeplan": 1,
        "name": "elastic",
        "sites": {
            "s": {
                "pue": 1.0,
                "storage": "10 GB/s",
                "pools": {
                    "p": {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": chips, **more}
                },
            }
        },
        "jobs": {
            f"j{i}": {
                "arrival": f"{arrival} s",
                "chips": n,
                "train_for": f"{work} s",
                "checkpoint": checkpoint,
                **({"elastic": elastic} if elastic else {}),
            }
            for i, (arrival, n, work, elastic) in enumerate(jobs)
        },
        "policy": policy,
    }
    if faults:
        data["faults"] = {"f": faults}
    return compile_world(cp.load(data))


def played(world, n_runs=1, seed=0):
    return event.play(world, seed, 0, n_runs)


def test_a_job_shrinks_to_let_another_in_and_grows_when_that_has_left():
    """At 150 the large one has done 140; it has saved by 160 and trains with half from 180.

    The small one runs from 160 to 270. By then the large one has done 185. It has saved by 280,
    trains with all from 300, and needs 215, with two saves in between and one at the end.
    """
    policy = {"name": "elastic-fifo", "pause": "0 s"}
    world = world_of([(0, 4, 400, ELASTIC), (150, 2, 100, None)], policy=policy)
    ledger = played(world)
    assert ledger.end_s[0] == pytest.approx([300 + 215 + 30, 270])
    large = ledger.job_s[0, 0]
    assert large[[TRAIN, SAVE, RESTART, LOST, QUEUE]] == pytest.approx([445, 60, 40, 0, 0])
    chip_s = ledger.chip_s[0, 0, 0]
    assert chip_s[TRAIN] == pytest.approx(400 * 4)  # the work, at whatever size
    # Two nodes wait from 270 until it has saved: 10 s.
    assert chip_s[BLOCKED] == pytest.approx(2 * 10)
    assert ledger.counts["stays"][0].tolist() == [1, 1]


def test_a_job_that_grew_waits_before_it_grows_again():
    world = world_of([(0, 4, 400, ELASTIC), (150, 2, 100, None)])
    ledger = played(world)  # half an hour is longer than all of it
    assert ledger.end_s[0] == pytest.approx([180 + 520 + 50 + 10, 270])


def test_the_first_in_the_queue_begins_with_what_is_free():
    world = world_of([(0, 2, 100, None), (0, 4, 100, ELASTIC)])
    ledger = played(world)
    # Alone after 110, it could grow, but not so soon after its start: 200 s at half speed.
    assert ledger.first_start_s[0] == pytest.approx([0, 0])
    assert ledger.end_s[0] == pytest.approx([110, 220])


def test_other_policies_let_it_have_all_that_it_wants():
    world = world_of([(0, 2, 100, None), (0, 4, 100, ELASTIC)], policy="fifo-backfill")
    assert played(world).first_start_s[0] == pytest.approx([0, 110])


def test_an_elastic_job_goes_on_without_a_node_that_fails():
    """The only fault is at some time; whoever waits for the node would end 10 000 s later."""
    faults = {
        "mtbf": "1 h", "per": "node", "takes": "node", "restart": "1 s", "repair": "10000 s",
    }  # fmt: skip
    goes_on, waits = (
        played(world_of([(0, 4, 2000, elastic)], faults=faults), 20, seed=3).end_s[:, 0]
        for elastic in (ELASTIC, None)
    )
    assert np.median(goes_on) < 6000 < np.median(waits)


def test_services_let_elastic_jobs_shrink_before_they_stop_any():
    """At 0 the service holds its 2 of 6; from 1 h on it needs 4: both jobs go from 2 to 1 node."""
    service = {"chips": [2, *[4] * 23], "pools": ["p"], "least": 2, "priority": 5}
    size = {"replicas": 2, "least": 1, "resize": "20 s"}
    jobs = [(0, 2, 9000, size), (0, 2, 9000, size)]
    data = {
        "computeplan": 1,
        "name": "beside",
        "sites": {
            "s": {
                "pue": 1.0,
                "pools": {"p": {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": 6}},
            }
        },
        "jobs": {
            f"j{i}": {
                "arrival": f"{a} s", "chips": n, "train_for": f"{w} s", "elastic": e,
                "checkpoint": {"every": "never", "stall": "10 s"},
            }
            for i, (a, n, w, e) in enumerate(jobs)
        },
        "services": {"chat": service},
        "policy": "elastic-fifo",
        "simulate": {"horizon": "20 h"},
    }  # fmt: skip
    ledger = played(compile_world(cp.load(data)))
    assert ledger.counts["stays"][0].tolist() == [1, 1]  # nobody was stopped
    # 3600 s at full size, 10 s to save, 20 s to stand, and the rest at half.
    assert ledger.end_s[0] == pytest.approx([3630 + 2 * 5400, 3630 + 2 * 5400], abs=15)
    assert ledger.lacked_chip_s[0] == pytest.approx([2 * 10])


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        (Decision([Start(0, 0, n_nodes=1)]), "1 nodes of p, where it can hold 2 to 4"),
        (Decision([Start(0, 0, n_nodes=5)]), "5 nodes of p, where it can hold 2 to 4"),
        (Decision(resize=[(0, 3)]), "resized j0, which does not run"),
    ],
)
def test_a_policy_that_errs_is_told_so(decision, says):
    world = world_of([(0, 4, 400, ELASTIC)])
    with pytest.raises(ComputePlanError, match=says):
        played(replace(world, decide=lambda _: decision))


def test_a_job_grows_only_into_free_nodes():
    world = world_of([(0, 2, 400, None), (0, 4, 400, ELASTIC)])

    def decide(view):
        if view.running:
            return Decision(resize=[(1, 4)])
        return Decision([Start(0, 0), Start(1, 0, n_nodes=2)], again_s=1.0)

    with pytest.raises(ComputePlanError, match="2 more nodes of p, which has room for 0"):
        played(replace(world, decide=decide))


def restless(seed):
    """Return a policy that resizes, stops and starts at random times, each within its limits."""

    def decide(view):
        rng = np.random.default_rng([seed, int(view.now_s * 1000)])
        free, starts, stops, sizes = list(view.free), [], [], []
        for job, run in view.running.items():
            if job in view.stopping or job in view.shrinking or view.memory == view.now_s:
                continue  # once at a time, lest it goes on for ever
            what = rng.random()
            least, most = view.least_nodes(job, 0), view.nodes(job, 0)
            if what < 0.1:
                stops.append(job)
            elif what < 0.5 and least < run.n_nodes:
                sizes.append((job, int(rng.integers(least, run.n_nodes))))
            elif what < 0.8 and (most := min(most, run.n_nodes + free[0])) > run.n_nodes:
                size = int(rng.integers(run.n_nodes + 1, most + 1))
                free[0] -= size - run.n_nodes
                sizes.append((job, size))
        for job in view.queue:
            if (most := min(view.nodes(job, 0), free[0])) >= (least := view.least_nodes(job, 0)):
                size = int(rng.integers(least, most + 1))
                free[0] -= size
                starts.append(Start(job, 0, restart_s=3.0, n_nodes=size))
        again_s = view.now_s + float(rng.exponential(70.0))
        return Decision(starts, stops, sizes, again_s=again_s, memory=view.now_s)

    return decide


SAVES = {
    "plain": {"every": "100 s", "stall": "10 s"},
    "never": {"every": "never", "stall": "10 s"},
    "asynchronous": {"every": "100 s", "stall": "2 s", "write": "20 s"},
    "shared": {"every": "100 s", "state": "100 GB"},
}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    fault=st.sampled_from(["node", "nothing", "slows"]),
    saves=st.sampled_from(sorted(SAVES)),
    by=st.sampled_from([None, "fewest", "spread"]),
)
def test_no_step_is_lost_or_done_twice_whatever_the_sizes(seed, fault, saves, by):
    """The conservation of chip-seconds is checked wherever a ledger is made."""
    faults = {"mtbf": "20 min", "per": "node", "takes": fault, "restart": "7 s"}
    if fault == "node":
        faults["repair"] = "90 s"
    elif fault == "slows":
        faults = {"mtbf": "20 min", "per": "node", "slows": {"to": 0.5, "lasts": "200 s"}}
    jobs = [(0, 4, 700, ELASTIC), (50, 3, 400, {**ELASTIC, "replicas": 3}), (90, 2, 200, None)]
    racks = {"groups": {"rack": "2 nodes"}, "placement": {"group": "rack", "by": by, "across": 0.8}}
    parts = {"faults": faults, "checkpoint": SAVES[saves], **(racks if by else {})}
    world = world_of(jobs, chips=6, **parts)
    ledger = played(replace(world, decide=restless(seed)), 2, seed)
    assert ledger.kept_frac == pytest.approx(np.ones((2, 3)), rel=1e-9)
    work = world.jobs.train_s[:, 0] * world.n_nodes[:, 0]
    useful = (ledger.chip_s - ledger.weighted("slow"))[:, :-1, 0, TRAIN]
    assert useful == pytest.approx(np.tile(work, (2, 1)), rel=1e-9)
    assert ledger.job_s.sum(axis=2) == pytest.approx(ledger.end_s - world.jobs.arrival_s)
