"""Two engines, one truth: scripted faults by hand, random ones against each other, closed forms."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from strategies import NO_NODE, eventful_scenarios, scenarios
from worlds import assert_same_books, phases, world_of

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.ledger import BLOCKED, IDLE, LOST, REPAIR, RESTART, SAVE, TRAIN
from computeplan.report.words import sentences

HOUR_S = 3600.0


FAULT, STOP = 0, 1


@pytest.mark.parametrize(
    ("arrivals", "expected", "end_s"),
    [
        # ten intervals of 10 s, a save after each
        ([], {TRAIN: 100, SAVE: 10}, 110),
        # 25 s in: two cycles are saved, 3 s of training are lost, 5 s of restart
        ([(25.0, FAULT, 0, False, 5.0, 0.0)], {TRAIN: 100, SAVE: 10, LOST: 3, RESTART: 5}, 118),
        # 10.5 s in: the first save is half done; all 10 s are lost, the half save stays a save
        (
            [(10.5, FAULT, 0, False, 5.0, 0.0)],
            {TRAIN: 100, SAVE: 10.5, LOST: 10, RESTART: 5},
            125.5,
        ),
        # exactly when a save completes: it counts
        ([(11.0, FAULT, 0, False, 5.0, 0.0)], {TRAIN: 100, SAVE: 10, RESTART: 5}, 115),
        # a fault in the restart begins it anew
        (
            [(25.0, FAULT, 0, False, 5.0, 0.0), (28.0, FAULT, 1, False, 4.0, 0.0)],
            {TRAIN: 100, SAVE: 10, LOST: 3, RESTART: 7},
            120,
        ),
        # node 0 is taken, the spare steps in; then node 1, and nothing is left until node 0 is back
        (
            [(25.0, FAULT, 0, True, 5.0, 60.0), (30.0, FAULT, 1, True, 5.0, 600.0)],
            {TRAIN: 100, SAVE: 10, LOST: 3, RESTART: 5 + 5, BLOCKED: 55},
            25 + 5 + 55 + 5 + 88 - 0,
        ),
        # a fault of a spare stops nothing; a node in repair does not notice
        (
            [
                (5.0, FAULT, 4, True, 5.0, 600.0),
                (6.0, FAULT, 4, True, 5.0, 600.0),
            ],
            {TRAIN: 100, SAVE: 10},
            110,
        ),
        # a planned stop 25 s in: 3 s of training are saved first, nothing is lost
        (
            [(25.0, STOP, NO_NODE, False, 7.0, 0.0)],
            {TRAIN: 100, SAVE: 10 + 1, RESTART: 7},
            118,
        ),
        # a planned stop during a save lets it complete: no save more
        (
            [(10.5, STOP, NO_NODE, False, 7.0, 0.0)],
            {TRAIN: 100, SAVE: 10, RESTART: 7},
            117,
        ),
        # a fault in the save before a stop: the 3 s are lost after all, and the stop goes on to 33
        (
            [(25.0, STOP, NO_NODE, False, 7.0, 0.0), (25.5, FAULT, 0, False, 2.0, 0.0)],
            {TRAIN: 100, SAVE: 10 + 0.5, LOST: 3, RESTART: 7.5},
            121,
        ),
        # a fault in a stop does not end it early, nor lose anything
        (
            [(25.0, STOP, NO_NODE, False, 50.0, 0.0), (30.0, FAULT, 0, False, 2.0, 0.0)],
            {TRAIN: 100, SAVE: 11, RESTART: 50},
            161,
        ),
        # a restart that lasts longer than the stop it meets puts the end off
        (
            [(25.0, STOP, NO_NODE, False, 7.0, 0.0), (30.0, FAULT, 0, False, 20.0, 0.0)],
            {TRAIN: 100, SAVE: 11, RESTART: 24},
            135,
        ),
        # a short stop does not cut a long restart
        (
            [(25.0, FAULT, 0, False, 50.0, 0.0), (30.0, STOP, NO_NODE, False, 1.0, 0.0)],
            {TRAIN: 100, SAVE: 10, LOST: 3, RESTART: 50},
            163,
        ),
        # stops that come together last as long as the longest
        (
            [(25.0, STOP, NO_NODE, False, 20.0, 0.0), (25.5, STOP, NO_NODE, False, 5.0, 0.0)],
            {TRAIN: 100, SAVE: 11, RESTART: 20},
            131,
        ),
        # a job that lacks a node until 85 is whole after its stop has ended
        (
            [
                (5.0, FAULT, 4, True, 5.0, 600.0),
                (25.0, FAULT, 0, True, 5.0, 60.0),
                (30.0, STOP, NO_NODE, False, 9.0, 0.0),
            ],
            {TRAIN: 100, SAVE: 10, LOST: 3, BLOCKED: 60, RESTART: 5},
            178,
        ),
        # in the last save there is nothing left to stop for
        ([(109.5, STOP, NO_NODE, False, 7.0, 0.0)], {TRAIN: 100, SAVE: 10}, 110),
        # faults after the end find no job
        ([(200.0, FAULT, 0, True, 5.0, 50.0)], {TRAIN: 100, SAVE: 10}, 110),
    ],
)
def test_scripted_faults_give_the_books_done_by_hand(play, arrivals, expected, end_s):
    ledger = play(world_of(), *arrivals)
    assert phases(ledger) == pytest.approx(expected, abs=1e-9)
    assert ledger.end_s[0, 0] == pytest.approx(end_s, abs=1e-9)


def test_scripted_repair_and_idle_are_booked_on_nobody(play):
    # node 0 is away from 25 to 85; the spare idles until 25 and node 0 from 85 on
    ledger = play(world_of(), (25.0, FAULT, 0, True, 5.0, 60.0))
    end_s, wall_s = 118.0, 1000.0
    nobody = ledger.chip_s[0, -1, 0]
    assert nobody[REPAIR] == pytest.approx(60)
    assert nobody[IDLE] == pytest.approx(25 + (wall_s - 85) + 4 * (wall_s - end_s))
    assert ledger.chip_s[0, 0, 0].sum() == pytest.approx(4 * end_s)


def test_scripted_blocked_chips_are_those_present(play):
    # without a spare: node 0 is away from 25 to 85, three chips wait for it
    world = world_of(**{"sites.s.pools.p.spares": "0 nodes"})
    ledger = play(world, (25.0, FAULT, 0, True, 5.0, 60.0))
    assert ledger.job_s[0, 0, BLOCKED] == pytest.approx(60)
    assert ledger.chip_s[0, 0, 0, BLOCKED] == pytest.approx(3 * 60)
    assert ledger.chip_s[0, -1, 0, REPAIR] == pytest.approx(60)


def test_scripted_two_missing_nodes_return_one_by_one(play):
    # nodes 0 and 1 leave at 25 and 30, back at 85 and 50: three chips, then two, then three
    world = world_of(**{"sites.s.pools.p.spares": "0 nodes"})
    ledger = play(world, (25.0, FAULT, 0, True, 5.0, 60.0), (30.0, FAULT, 1, True, 5.0, 20.0))
    assert ledger.job_s[0, 0, BLOCKED] == pytest.approx(60)
    assert ledger.chip_s[0, 0, 0, BLOCKED] == pytest.approx(3 * 5 + 2 * 20 + 3 * 35)


BY_STATE = {
    "sites.s.pools.p.spares": {
        "hot": {"nodes": "1 nodes", "ready": "3 s"},
        "cold": {"nodes": "1 nodes", "ready": "50 s"},
    }
}


@pytest.mark.parametrize(
    ("arrivals", "blocked_s", "end_s"),
    [
        # the hot spare is ready 3 s after the fault, then a restart of 5 s; 3 s are lost
        ([(25.0, FAULT, 0, True, 5.0, 600.0)], 3, 25 + 3 + 5 + 88),
        # the cold spare boots from 25 on to take its place, so it is hot at 75, and ready at 78
        (
            [(25.0, FAULT, 0, True, 5.0, 600.0), (30.0, FAULT, 1, True, 5.0, 600.0)],
            3 + (78 - 30),
            78 + 5 + 88,
        ),
        # a fault in between that takes nothing does not make it ready sooner
        (
            [
                (25.0, FAULT, 0, True, 5.0, 600.0),
                (30.0, FAULT, 1, True, 5.0, 600.0),
                (40.0, FAULT, 2, False, 9.0, 0.0),
            ],
            3 + (78 - 30),
            78 + 9 + 88,
        ),
        # by 100 the place is hot again
        (
            [(25.0, FAULT, 0, True, 5.0, 600.0), (100.0, FAULT, 1, True, 5.0, 600.0)],
            3 + 3,
            100 + 3 + 5 + 22,
        ),
    ],
)
def test_scripted_spares_are_ready_by_their_state(play, arrivals, blocked_s, end_s):
    ledger = play(world_of(**BY_STATE), *arrivals)
    assert ledger.job_s[0, 0, BLOCKED] == pytest.approx(blocked_s)
    assert ledger.end_s[0, 0] == pytest.approx(end_s)
    # a spare that boots is with the job
    assert ledger.chip_s[0, 0, 0, BLOCKED] == pytest.approx(4 * blocked_s)


def test_scripted_node_that_is_awaited_does_not_notice_a_fault(play):
    world = world_of(**{"sites.s.pools.p.spares": "0 nodes"})
    ledger = play(world, (25.0, FAULT, 0, True, 5.0, 60.0), (40.0, FAULT, 0, True, 5.0, 600.0))
    assert ledger.counts["interruptions"][0].tolist() == [1, 0]
    assert ledger.job_s[0, 0, BLOCKED] == pytest.approx(60)


def test_scripted_horizon_cuts_every_phase(play):
    world = world_of(**{"simulate.horizon": "60 s", "sites.s.pools.p.spares": "0 nodes"})
    assert phases(play(world)) == pytest.approx({TRAIN: 55, SAVE: 5})
    blocked = play(world, (25.0, FAULT, 0, True, 5.0, 600.0))
    assert phases(blocked) == pytest.approx({TRAIN: 20, SAVE: 2, LOST: 3, BLOCKED: 35})
    assert blocked.chip_s[0, -1, 0, REPAIR] == pytest.approx(35)
    saving = play(world, (59.5, STOP, NO_NODE, False, 7.0, 0.0))
    assert phases(saving) == pytest.approx({TRAIN: 54.5, SAVE: 5.5})
    assert np.isinf(saving.end_s[0, 0])


def test_scripted_never_saving_loses_everything(play):
    world = world_of(**{"jobs.j.checkpoint": {"every": "never", "stall": "1 s"}})
    ledger = play(world, (60.0, FAULT, 0, False, 5.0, 0.0))
    assert phases(ledger) == pytest.approx({TRAIN: 100, LOST: 60, RESTART: 5})


@given(scenarios())
def test_same_trace_same_ledger(data):
    world = compile_world(cp.load(data))
    seed, n_runs = cp.load(data).simulate.seed, 5
    one = batch.play(world, seed, 0, n_runs)
    other = event.play(world, seed, 0, n_runs)
    assert_same_books(one, other, world)


@given(eventful_scenarios())
def test_same_trace_same_ledger_whatever_faults_do(data):
    world = compile_world(cp.load(data))
    seed, n_runs = cp.load(data).simulate.seed, 5
    one = batch.play(world, seed, 0, n_runs)
    assert_same_books(one, event.play(world, seed, 0, n_runs), world)


@pytest.mark.parametrize("name", ["llama3-405b", "h100-h200-910b"])
def test_same_trace_same_ledger_for_shipped_scenarios(name):
    scenario = cp.load(name)
    world = compile_world(scenario)
    seed = scenario.simulate.seed
    assert_same_books(batch.play(world, seed, 3, 10), event.play(world, seed, 3, 10), world)


def test_a_replayed_log_is_the_same_for_both_engines(tmp_path):
    (tmp_path / "faults.csv").write_text(
        "node,start_s,end_s\n"
        + "".join(f"n{i % 7},{500 * i},{500 * i + 900}\n" for i in range(1, 60))
    )
    scenario = tmp_path / "s.yaml"
    scenario.write_text(
        """
computeplan: 1
name: replayed
sites: {s: {pue: 1.1, pools: {p: {chip: H100-SXM, chips: 48, spares: 1 nodes}}}}
faults: {log: {replay: faults.csv, restart: 2 min}}
jobs: {j: {train_for: 6 h, chips: 48, checkpoint: {every: 10 min, stall: 20 s}}}
"""
    )
    world = compile_world(cp.load(scenario))
    one, other = batch.play(world, 0, 0, 3), event.play(world, 0, 0, 3)
    assert_same_books(one, other, world)
    assert one.counts["interruptions"].sum() > 30


def test_a_fault_at_time_0_finds_no_job(tmp_path):
    """It comes first: the job begins on other nodes, and nothing is interrupted."""
    (tmp_path / "faults.csv").write_text("node,start_s,end_s\na,0,1000\n")
    (tmp_path / "s.yaml").write_text(LOGGED.replace("LOG", "faults.csv"))
    world = compile_world(cp.load(tmp_path / "s.yaml"))
    refused = batch.why_unsupported(world)
    assert refused is not None
    assert refused[0] == "faults.log.replay"
    result = cp.run(cp.load(tmp_path / "s.yaml"))
    found = result.cases["replayed"]
    assert (found.values["n_unexpected"] == 0).all()
    assert found.jobs["end_h"] == pytest.approx(6 + 36 * 20 / 3600)  # a save in every 10 minutes


LOGGED = """
computeplan: 1
name: replayed
sites: {s: {pue: 1.1, pools: {p: {chip: H100-SXM, chips: 48, spares: 1 nodes}}}}
faults: {log: {replay: LOG, takes: node, repair: {expon: {mean: 40 min}}, restart: 2 min}}
jobs: {j: {train_for: 6 h, chips: 48, checkpoint: {every: 10 min, stall: 20 s}}}
simulate: {runs: 3}
"""
NOON_S = 1_721_736_000  # 2024-07-23T12:00:00Z


def logged(faults):
    """Return faults (node, start, end or None, in seconds) as a CSV, the JSON and sacct -P."""
    rows = [f"{node},{start},{'' if end is None else end}" for node, start, end in faults]
    events = []
    for node, start, end in faults:
        events.append((node, start, "fault_start"))
        events += [] if end is None else [(node, end, "fault_end")]
    about = [
        {"node_id": node, "event_time": s / 86_400, "event_type": kind} for node, s, kind in events
    ]
    times = [datetime.fromtimestamp(NOON_S + start, UTC) for _, start, _ in faults]
    jobs = [
        f"{i}|NODE_FAIL|{node}|{time:%Y-%m-%dT%H:%M:%S}"
        for i, ((node, *_), time) in enumerate(zip(faults, times, strict=True))
    ]
    return {
        "faults.csv": "\n".join(["node,start_s,end_s", *rows]),
        "faults.json": json.dumps(about),
        "sacct.txt": "\n".join(["JobID|State|NodeList|End", *jobs]),
    }


@pytest.mark.parametrize("has_ends", [False, True])
def test_the_format_of_a_log_does_not_matter(tmp_path, has_ends):
    """Times are multiples of 675 s, which are days without rounding; sacct knows no ends."""
    nodes = [f"gpu{i * 5 % 7}" for i in range(40)]
    faults = [(n, 675 * i, 675 * (i + 2) if has_ends else None) for i, n in enumerate(nodes, 1)]
    logs = {"faults.csv": "faults.csv", "faults.json": "faults.json"}
    if not has_ends:
        logs["sacct.txt"] = "{log: sacct.txt, from: 2024-07-23T12:00:00Z}"
    ledgers, copies = [], []
    for name, replay in logs.items():
        (tmp_path / name).write_text(logged(faults)[name])
        (tmp_path / "s.yaml").write_text(LOGGED.replace("LOG", replay))
        scenario = cp.load(tmp_path / "s.yaml")
        world = compile_world(scenario)
        copies.append(scenario.input_files())
        for engine in (batch, event):
            ledgers.append(engine.play(world, 0, 0, 3))
            assert_same_books(ledgers[0], ledgers[-1], world)
    assert all(copy == copies[0] for copy in copies)
    assert (ledgers[0].counts["interruptions"] > 5).all()


def test_a_saved_log_of_another_format_runs_again_from_its_own_folder(tmp_path):
    """The copy is plain; what was done to get it is said again, in the same words, and once."""
    faults = [("a", 675, 2700), ("a", 1350, 1400), ("b", 5400, None), ("b", 9450, 9500)]
    (tmp_path / "faults.csv").write_text(logged(faults)["faults.csv"] + '\n"c,""é",0.1,0.7')
    (tmp_path / "s.yaml").write_text(LOGGED.replace("LOG", "{log: faults.csv, to: 2.6 h}"))
    first = cp.run(cp.load(tmp_path / "s.yaml"))
    assert {
        "log: 1 faults began while their node was down: each is one with the earlier fault."
    } <= {*sentences(first.notes)}
    cp.save_result(first, tmp_path / "one")
    cp.save_result(cp.run(cp.load(tmp_path / "one" / "scenario.yaml")), tmp_path / "two")
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(files) > 6
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_saved_replay_runs_again_from_its_own_folder(tmp_path):
    (tmp_path / "faults.csv").write_text("node,start_s,end_s\na,1000,2000\nb,5000,9000\n")
    (tmp_path / "s.yaml").write_text(
        """
computeplan: 1
name: replayed
sites: {s: {pue: 1.1, pools: {p: {chip: H100-SXM, chips: 16}}}}
faults: {log: {replay: faults.csv, restart: 2 min}}
jobs: {j: {train_for: 6 h, chips: 16, checkpoint: {every: 10 min, stall: 20 s}}}
simulate: {runs: 2}
"""
    )
    cp.save_result(cp.run(cp.load(tmp_path / "s.yaml")), tmp_path / "one")
    cp.save_result(cp.run(cp.load(tmp_path / "one" / "scenario.yaml")), tmp_path / "two")
    for file in ("scenario.yaml", "runs.csv", "provenance.json", "inputs/log.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_batch_says_what_it_cannot_play():
    scenario = cp.load("one-cloud-many-chips").with_({"simulate.engine": "batch"})
    with pytest.raises(
        cp.UnsupportedByEngine,
        match=r"one-cloud-many-chips:\d+:\d+  jobs\.\S+: engine batch .*event",
    ):
        cp.run(scenario)


@pytest.mark.parametrize("engine", [batch, event])
def test_faults_that_never_come_keep_no_job_from_ending(engine):
    """A short job on a small pool: the next fault is a thousand lengths of the job away."""
    world = world_of(**{"simulate.horizon": None, "faults.f.mtbf": "1000 year", "planned": None})
    ledger = engine.play(world, 3, 0, 4)
    assert ledger.end_s[:, 0] == pytest.approx([110.0] * 4)


@pytest.mark.parametrize("engine", [batch, event])
def test_a_horizon_may_lie_far_behind_the_end(engine):
    world = world_of(**{"simulate.horizon": "2 year", "planned": None})
    ledger = engine.play(world, 3, 0, 4)
    assert ledger.wall_s == pytest.approx([2 * 31_557_600.0] * 4)
    assert ledger.end_s.max() < 200
    assert ledger.counts["idle_faults"].sum() > 0


@pytest.mark.parametrize("engine", [batch, event])
def test_a_job_shorter_than_its_save_ends(engine):
    changes = {"simulate.horizon": None, "jobs.j.train_for": "1 ms", "planned": None}
    world = world_of(**changes, **{"jobs.j.checkpoint.stall": "60 s"})
    assert engine.play(world, 3, 0, 2).end_s[:, 0] == pytest.approx([60.001] * 2)


@pytest.mark.parametrize("engine", [batch, event])
def test_long_repairs_of_a_short_job_are_waited_for(engine):
    changes = {
        "simulate.horizon": None,
        "planned": None,
        "sites.s.pools.p.spares": "0 nodes",
        "jobs.j.train_for": "10 h",
        "jobs.j.checkpoint.every": "1 h",
        "faults.f": {"mtbf": "500 h", "repair": {"lognormal": {"median": "20 h", "sigma": 2}}},
    }
    ledger = engine.play(world_of(**changes), 3, 0, 64)
    assert np.isfinite(ledger.end_s).all()
    assert ledger.job_s[:, 0, BLOCKED].max() > 10 * HOUR_S


def test_lives_and_repairs_as_seen_end_together_in_one_order():
    """A third of 48 nodes fails at one moment, and most of them come back at another."""
    changes = {
        "sites.s.pools.p": {"chips": 40, "spares": "8 nodes"},
        "planned": None,
        "faults.f": {"mtbf": "200 d", "repair": {"expon": {"mean": "1 h"}}},
        "faults.lives": {
            "rate": "1 / 1000 node-days",
            "law": {"seen": ["10 d", "20 d", "300 d"]},
            "age": "150 d",
            "takes": "node",
            "restart": "5 min",
            "repair": {"seen": {"1 h": 11, "5 h": 1}},
        },
        "jobs.j": {"train_for": "50 d", "chips": 40, "checkpoint": {"every": "1 h"}},
        "simulate.horizon": "60 d",
    }
    world = world_of(**changes)
    one, other = (engine.play(world, 3, 0, 32) for engine in (batch, event))
    assert_same_books(one, other, world)
    assert (one.counts["interruptions"] + one.counts["idle_faults"]).sum() > 32 * 16
