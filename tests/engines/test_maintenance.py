"""Planned stops: windows, and nodes taken out in turn; by hand, by law, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import NO_NODE, Script, crowded, scripted
from worlds import phases

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.distributions import Law
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.ledger import BLOCKED, IDLE, LOST, QUEUE, REPAIR, RESTART, SAVE, TRAIN
from computeplan.report.words import sentences
from computeplan.world.maintenance import Maintain, Stop
from computeplan.world.world import World

FAULT, WINDOW, ROLL = 0, 1, 2
HOUR_S, DAY_S = 3600.0, 86_400.0


def scenario_of(**changes: Any) -> Any:
    """Four nodes of one chip and one spare; 100 s of work, saves of 1 s after each 10 s."""
    pool = {"chip": "nvidia/h100-sxm", "chips": 4, "chips_per_node": 1, "spares": "1 nodes"}
    fault = {"mtbf": "1 year", "per": "node", "takes": "node", "restart": "1 s", "repair": "1 s"}
    base = {
        "computeplan": 1,
        "name": "planned",
        "sites": {"s": {"pue": 1, "pools": {"p": pool}}},
        "faults": {"f": fault},
        "planned": {
            "window": {"every": "1 year", "lasts": "1 s"},
            "roll": {"every": "1 year", "rolling": "2 nodes", "lasts": "1 s", "restart": "1 s"},
        },
        "jobs": {
            "j": {
                "train_for": "100 s",
                "chips": 4,
                "checkpoint": {"every": "10 s", "stall": "1 s"},
            }
        },
        "simulate": {"horizon": "1000 s"},
    }
    return cp.load(base).with_({path.replace("__", "."): v for path, v in changes.items()})


def one_by_one(**changes: Any) -> World:
    """The same, with one node taken out at a time."""
    return compile_world(scenario_of(planned__roll__rolling="1 nodes", **changes))


def roll(time_s: float, node: int, restart_s: float, away_s: float) -> tuple[Any, ...]:
    """Return maintenance that takes a group of nodes out."""
    return (time_s, ROLL, node, True, restart_s, away_s)


@pytest.mark.parametrize(
    ("arrivals", "expected", "end_s", "n_stops", "repair_s"),
    [
        # 3 s of training are saved, node 0 leaves at 26 for the spare: a save and a restart
        ([roll(25, 0, 5, 60)], {TRAIN: 100, SAVE: 11, RESTART: 5}, 116, 1, 60),
        # in a save: it completes at 11, and node 0 leaves then
        ([roll(10.5, 0, 5, 60)], {TRAIN: 100, SAVE: 10, RESTART: 5}, 115, 1, 60),
        # the spare is idle and leaves at once; node 0 then has no other until 85
        (
            [roll(25, 4, 5, 60), (30.0, FAULT, 0, True, 5.0, 900.0)],
            {TRAIN: 100, SAVE: 10, LOST: 8, BLOCKED: 55, RESTART: 5},
            85 + 5 + 88,
            0,
            60 + 900,
        ),
        # a node in repair is passed over
        (
            [(25.0, FAULT, 0, True, 5.0, 600.0), roll(50, 0, 7, 60)],
            {TRAIN: 100, SAVE: 10, LOST: 3, RESTART: 5},
            118,
            0,
            600,
        ),
        # a fault in the save: 3 s are lost; node 0 leaves at 26 all the same, with 1.5 s to restart
        (
            [roll(25, 0, 5, 60), (25.5, FAULT, 1, False, 2.0, 0.0)],
            {TRAIN: 100, SAVE: 10.5, LOST: 3, RESTART: 0.5 + 5},
            31 + 88,
            1,
            60,
        ),
        # the fault takes the very node: nobody has to leave, and its restart goes on
        (
            [roll(25, 0, 5, 60), (25.5, FAULT, 0, True, 2.0, 600.0)],
            {TRAIN: 100, SAVE: 10.5, LOST: 3, RESTART: 2},
            27.5 + 88,
            1,
            600,
        ),
        # in a restart nothing is saved; a short restart does not cut a long one
        (
            [(25.0, FAULT, 0, False, 50.0, 0.0), roll(30, 1, 5, 60)],
            {TRAIN: 100, SAVE: 10, LOST: 3, RESTART: 50},
            75 + 88,
            1,
            60,
        ),
        # blocked from 25 to 85; node 1 leaves at once and is back at 50; the longer restart is done
        (
            [
                (5.0, FAULT, 4, True, 5.0, 600.0),
                (25.0, FAULT, 0, True, 5.0, 60.0),
                roll(30, 1, 9, 20),
            ],
            {TRAIN: 100, SAVE: 10, LOST: 3, BLOCKED: 60, RESTART: 9},
            85 + 9 + 88,
            1,
            600 + 60 + 20,
        ),
        # a job in its last save is left alone, and its nodes with it
        ([roll(109.5, 0, 5, 60)], {TRAIN: 100, SAVE: 10}, 110, 0, 0),
        # in a window that ends at 76 nodes leave at once, and nothing ends it early
        (
            [(25.0, WINDOW, NO_NODE, False, 50.0, 0.0), roll(30, 0, 5, 60)],
            {TRAIN: 100, SAVE: 11, RESTART: 50},
            76 + 85,
            1,
            60,
        ),
        # two in one save: both nodes leave at 26, there is one spare, and both are back at 86
        (
            [roll(25, 0, 5, 60), roll(25.5, 1, 5, 60)],
            {TRAIN: 100, SAVE: 11, BLOCKED: 60, RESTART: 5},
            91 + 85,
            2,
            120,
        ),
        # after the end nodes are idle, and stop nobody
        ([roll(200, 0, 5, 60)], {TRAIN: 100, SAVE: 10}, 110, 0, 60),
    ],
)
def test_nodes_taken_one_by_one_give_the_books_done_by_hand(
    play, arrivals, expected, end_s, n_stops, repair_s
):
    ledger = play(one_by_one(), *arrivals)
    assert phases(ledger) == pytest.approx(expected, abs=1e-9)
    assert ledger.end_s[0, 0] == pytest.approx(end_s, abs=1e-9)
    assert ledger.counts["interruptions"][0, ROLL] == n_stops
    assert ledger.chip_s[0, -1, 0, REPAIR] == pytest.approx(repair_s)
    assert ledger.counts["repairs"][0, 0] == sum(
        kind == FAULT and takes for _, kind, _, takes, *_ in arrivals
    )


def test_a_group_without_enough_spares_blocks_the_job(play):
    """Nodes 0 and 1 leave at 26, the spare stands in for one; the first is back at 86."""
    ledger = play(compile_world(scenario_of()), roll(25, 0, 5, 60))
    assert phases(ledger) == pytest.approx({TRAIN: 100, SAVE: 11, BLOCKED: 60, RESTART: 5})
    assert ledger.chip_s[0, 0, 0, BLOCKED] == pytest.approx(3 * 60)
    assert ledger.chip_s[0, -1, 0, REPAIR] == pytest.approx(120, abs=1e-9)
    idle_s = 26 + (176 - 86) + 5 * (1000 - 176)
    assert ledger.chip_s[0, -1, 0, IDLE] == pytest.approx(idle_s, abs=1e-9)


def test_the_last_group_of_a_round_may_be_smaller(play):
    """Nodes 4 and up are the spare alone: nobody stops, and node 0 stays."""
    ledger = play(compile_world(scenario_of()), roll(25, 4, 5, 60))
    assert phases(ledger) == pytest.approx({TRAIN: 100, SAVE: 10})
    assert ledger.chip_s[0, -1, 0, REPAIR] == pytest.approx(60)


def test_a_node_that_is_away_is_exchanged_there_and_has_no_fault(play):
    arrivals = [roll(25, 0, 5, 60), (50.0, FAULT, 0, True, 5.0, 600.0)]
    ledger = play(one_by_one(), *arrivals)
    assert ledger.counts["interruptions"][0].tolist() == [0, 0, 1]
    assert ledger.chip_s[0, -1, 0, REPAIR] == pytest.approx(60)


@pytest.mark.parametrize(("horizon_s", "repair_s"), [(25.5, 0), (26, 0), (30, 4), (100, 60)])
def test_a_horizon_cuts_maintenance(play, horizon_s, repair_s):
    world = one_by_one(simulate__horizon=f"{horizon_s} s")
    ledger = play(world, roll(25, 0, 5, 60))
    assert ledger.chip_s[0, -1, 0, REPAIR] == pytest.approx(repair_s, abs=1e-9)
    assert ledger.job_s[0, 0, SAVE] == pytest.approx(
        2 + min(horizon_s - 25, 1) + 6 * (horizon_s > 99)
    )


def test_only_jobs_that_hold_one_of_the_nodes_stop(monkeypatch):
    """Two jobs of two nodes: that on nodes 2 and 3 trains on."""
    job = {"train_for": "100 s", "chips": 2, "checkpoint": {"every": "10 s", "stall": "1 s"}}
    world = compile_world(scenario_of(jobs={"j": None, "a": job, "b": job}))
    script = Script(scripted(roll(25, 0, 5, 60)))
    monkeypatch.setattr(event, "Trace", lambda *_: script)
    ledger = event.play(world, 0, 0, 1)
    assert ledger.end_s[0].tolist() == pytest.approx([86 + 5 + 85, 110])
    assert ledger.counts["interruptions"][0].tolist() == [0, 0, 1]


@given(crowded())
def test_engines_agree_where_all_happens_at_once(data):
    """Whole minutes and nothing random: saves, stops and returns of nodes fall together."""
    world = compile_world(cp.load(data))
    one, other = batch.play(world, 0, 0, 1), event.play(world, 0, 0, 1)
    scale = one.wall_s[0] * world.pools[0].n_chips
    for name in ("chip_s", "job_s"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9 * scale), name
    assert (one.counts["interruptions"] == other.counts["interruptions"]).all()
    assert np.array_equal(np.isfinite(one.end_s), np.isfinite(other.end_s))


# -- laws ------------------------------------------------------------------------------------------


def undisturbed(**roll_of: Any) -> Any:
    """Sixteen nodes where nothing breaks, a job that never saves of itself, and maintenance."""
    return scenario_of(
        faults={"f": None},
        planned={"window": None, "roll": None, "m": {"lasts": "2 h", **roll_of}},
        sites__s__pools__p__chips=16,
        jobs__j={
            "train_for": "10 d",
            "chips": 16,
            "checkpoint": {"every": "never", "stall": "3 min"},
        },
        simulate__horizon=None,
    )


@given(
    n=st.integers(1, 6),
    more=st.integers(0, 4),
    rounds=st.integers(1, 3),
    restart=st.integers(0, 30),
    engine=st.sampled_from([batch, event]),
)
def test_with_enough_spares_a_stop_costs_a_save_and_a_restart(n, more, rounds, restart, engine):
    scenario = undisturbed(
        every="6 h", rolling=f"{n} nodes", restart=f"{restart} min", rounds=rounds
    ).with_({"sites.s.pools.p.spares": f"{n + more} nodes"})
    world = compile_world(scenario)
    ledger = engine.play(world, 0, 0, 1)
    n_stops = int(ledger.counts["interruptions"][0, 0])
    n_times = rounds * -(-(16 + n + more) // n)
    assert 0 < n_stops <= n_times
    wall_s = 10 * DAY_S + n_stops * (180 + 60 * restart)
    assert ledger.end_s[0, 0] == pytest.approx(wall_s, abs=1e-6)
    assert ledger.job_s[0, 0, BLOCKED] == 0


@pytest.mark.parametrize("engine", [batch, event])
def test_more_spares_never_hurt_a_stop(engine):
    """Of one group; with spares there are more nodes to go round, and so more stops."""
    ends = []
    for n_spares in range(7):
        scenario = undisturbed(at=["30 h"], rolling="4 nodes", restart="5 min")
        world = compile_world(scenario.with_({"sites.s.pools.p.spares": f"{n_spares} nodes"}))
        ends.append(engine.play(world, 0, 0, 1).end_s[0, 0] - 10 * DAY_S)
    short, enough = 180 + 2 * HOUR_S + 300, 180 + 300
    assert ends == pytest.approx([short] * 4 + [enough] * 3, abs=1e-6)


@pytest.mark.parametrize("engine", [batch, event])
def test_every_node_is_away_once_a_round(engine):
    scenario = undisturbed(every="6 h", rolling="4 nodes", restart="5 min", rounds=2)
    world = compile_world(scenario.with_({"sites.s.pools.p.spares": "5 nodes"}))
    ledger = engine.play(world, 0, 0, 1)
    away_s = ledger.chip_s[0, -1, 0, REPAIR]
    assert away_s == pytest.approx(2 * 21 * 2 * HOUR_S, abs=0.1)
    assert ledger.counts["repairs"][0, 0] == 0


@pytest.mark.parametrize("engine", ["batch", "event"])
def test_windows_come_when_they_are_said_to(engine):
    for when, n_stops, lost_h in (
        ({"every": "3 d"}, 3, 6),  # at 1.5, 4.5 and 7.5 d
        ({"every": "3 d", "first": "1 d"}, 4, 8),  # at 1, 4, 7 and 10 d: the job is not done yet
        ({"every": "1 d", "first": "9 d"}, 2, 4),
        ({"at": ["3 d", "80 h", "50 d"]}, 2, 4),
        ({"observed": {"stops": 4, "over": "8 d"}}, 5, 10),  # at 1, 3, 5, 7 and 9 d
    ):
        scenario = undisturbed(**when).with_({"simulate.engine": engine, "simulate.runs": 2})
        (case,) = cp.run(scenario).cases.values()
        assert (case.values["n_planned"] == n_stops).all()
        hours = 240 + lost_h + n_stops * 0.05
        assert case.jobs["end_h"][:, 0] == pytest.approx([hours, hours])


def test_a_timeline_shows_maintenance():
    scenario = undisturbed(at=["30 h"], rolling="4 nodes", restart="5 min")
    ledger = event.play(compile_world(scenario), 0, 0, 1, timeline=True)
    held = [(span.phase, span.n_chips) for span in ledger.spans]
    assert held == [(TRAIN, 16), (SAVE, 16), (BLOCKED, 13), (RESTART, 16), (TRAIN, 16)]
    seconds = sum(span.end_s - span.start_s for span in ledger.spans)
    assert seconds == pytest.approx(ledger.job_s[0, 0, :QUEUE].sum())


def test_times_do_not_hang_on_how_far_they_are_asked_for():
    law = Law("const", (), 1.0)
    stops = [
        Stop(0, "m", 7.0, Maintain(law)),
        Stop(0, "m", 7.0, Maintain(law), first_s=2.0),
        Stop(0, "m", 7.0, Maintain(law), first_s=20.0),
        Stop(0, "m", 7.0, Maintain(law, 2, law), n_groups=3, n_rounds=2),
    ]
    for stop in stops:
        far = stop.times_s(1000.0)
        for until_s in (0.0, 1.9, 2.0, 3.5, 9.0, 20.0, 700.0):
            near = stop.times_s(until_s)
            assert near.tolist() == far[: len(near)].tolist()
            assert (far <= until_s).sum() <= len(near)
    assert stops[3].n_times == len(stops[3].times_s(1e6)) == 6
    assert stops[3].firsts(6).tolist() == [0, 2, 4, 0, 2, 4]
    assert list(stops[3].group(4, 5)) == [4]


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        ({}, "say when once, as every, observed or at; got none"),
        ({"every": "1 d", "at": ["1 d"]}, "observed or at; got every and at"),
        ({"first": "1 d", "at": ["3 d"]}, "first goes with every"),
        ({"at": "3 d"}, "at: must be a list of times from the start, such as .3 d, 244 h., not"),
        ({"at": []}, "at: must be a list of times"),
        ({"at": ["3 d", "3 d"]}, "at: times must rise, each one given once"),
        ({"at": ["0 s"]}, "must be > 0"),
        ({"every": "1 d", "rolling": "8 nodes", "restart": "1 min"}, "8 nodes at a time, pool 'p'"),
        ({"every": "1 d", "rolling": 8, "restart": "1 min"}, "needs a unit"),
        ({"every": "1 d", "rolling": "8 chips", "restart": "1 min"}, "must be whole nodes"),
        ({"every": "1 d", "rolling": "2 nodes"}, "restart is missing"),
        ({"every": "1 d", "restart": "1 min"}, "restart goes with rolling"),
        ({"every": "1 d", "rounds": 2}, "rounds goes with rolling"),
        (
            {"at": ["1 d"], "rolling": "2 nodes", "restart": "1 s", "rounds": 2},
            "rounds has no effect beside at",
        ),
    ],
)
def test_contradictions_say_what_to_write(stop, message):
    with pytest.raises(cp.ScenarioError, match=message):
        scenario_of(planned={"window": None, "roll": None, "m": {"lasts": "1 h", **stop}})


def test_a_case_may_give_other_times():
    scenario = scenario_of(planned__window__first="2 d")
    stop = scenario.with_({"planned.window.at": ["3 d"]}).planned["window"]
    assert (stop.every, stop.first, stop.at) == (None, None, (3 * DAY_S,))


def test_stops_without_time_between_them_are_told():
    stop = {"every": "1 h", "lasts": "20 h"}
    world = compile_world(scenario_of().with_({"planned.window": stop}))
    assert any("planned.window: stops last as long" in note for note in sentences(world.notes))
    assert not any("planned" in note for note in sentences(compile_world(scenario_of()).notes))
