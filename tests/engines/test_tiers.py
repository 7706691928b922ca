"""Asynchronous saves and tiers: faults by hand, engines against each other, laws, a closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import NO_NODE, scenarios, tiered_scenarios, tiers
from worlds import assert_same_books, check, phases, world_of

import computeplan as cp
from computeplan.analytic.expected import expect
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.ledger import BLOCKED, LOST, RESTART, SAVE, TRAIN
from computeplan.report.words import sentences
from computeplan.trace import Trace
from computeplan.trace.trace import Arrivals
from computeplan.world.jobs import Jobs, Tier
from computeplan.world.world import World

FAULT, STOP = 0, 1
NOTHING, NODE, GROUP, ALL = range(4)
MINUTE_S = 60.0

ASYNC = {"every": "10 s", "stall": "1 s", "write": "4 s"}
"""Ten intervals of 10 s, a stall of 1 s after each, complete 4 s later."""

TIERS = {
    "memory": {"every": "5 s", "stall": "1 s", "load": "1 s", "survives": "nothing"},
    "peer": {"every": "10 s", "stall": "2 s", "load": "2 s", "survives": "node"},
    "disk": {
        "every": "20 s",
        "stall": "3 s",
        "write": "10 s",
        "load": "7 s",
        "survives": "all",
    },
}
"""Since training resumed: memory at 5-6, 11-12 with peer -14, 19-20, 25-26 -28 with disk -31, ...

20 s of training take 31 s; the save to disk that was taken at 31 is complete at 41.
"""


def fault(time_s: float, level: int = NOTHING, restart_s: float = 5.0) -> tuple:
    """Return a fault that stops the job and leaves its nodes in place."""
    return (time_s, FAULT, 0, False, restart_s, 0.0, level)


def stop(time_s: float, lasts_s: float = 7.0) -> tuple:
    """Return a planned stop."""
    return (time_s, STOP, NO_NODE, False, lasts_s, 0.0)


@pytest.mark.parametrize(
    ("arrivals", "expected", "end_s"),
    [
        # ten cycles of 11 s, and the last write
        ([], {TRAIN: 100, SAVE: 10 + 4}, 114),
        # 25 s in: the save taken at 22 is not complete before 26, so 10 s are kept: 13 s are lost
        ([fault(25.0)], {TRAIN: 100, LOST: 13, SAVE: 2 + 9 + 4, RESTART: 5}, 30 + 90 + 9 + 4),
        # exactly when it is complete: it counts
        ([fault(26.0)], {TRAIN: 100, LOST: 4, SAVE: 2 + 8 + 4, RESTART: 5}, 31 + 80 + 8 + 4),
        # in the second stall, with the first save complete
        ([fault(21.5)], {TRAIN: 100, LOST: 10, SAVE: 1.5 + 9 + 4, RESTART: 5}, 26.5 + 103),
        # before the first is complete: all is lost, although one was taken
        ([fault(14.5)], {TRAIN: 100, LOST: 13.5, SAVE: 1 + 14, RESTART: 5}, 19.5 + 114),
        # a fault in the restart after it changes nothing that is kept
        (
            [fault(25.0), fault(27.0)],
            {TRAIN: 100, LOST: 13, SAVE: 2 + 9 + 4, RESTART: 7},
            32 + 103,
        ),
        # in the write of the last save: only 90 s are safe
        ([fault(112.0)], {TRAIN: 100, LOST: 10, SAVE: 12 + 5, RESTART: 5}, 117 + 15),
        # a planned stop at 25 stalls 1 s and waits 4 s: nothing is lost
        ([stop(25.0)], {TRAIN: 100, SAVE: 2 + 5 + 8 + 4, RESTART: 7}, 37 + 77 + 8 + 4),
        # a planned stop in the stall finishes that save
        ([stop(21.5)], {TRAIN: 100, SAVE: 2 + 4 + 8 + 4, RESTART: 7}, 33 + 80 + 8 + 4),
        # a fault at 27 in that wait: the save taken at 22 was complete at 26, so 3 s are lost
        (
            [stop(25.0), fault(27.0)],
            {TRAIN: 100, LOST: 3, SAVE: 4 + 8 + 4, RESTART: 10},
            37 + 80 + 8 + 4,
        ),
        # at 25.5 it was not: 13 s are lost; the stop goes on to 37
        (
            [stop(25.0), fault(25.5)],
            {TRAIN: 100, LOST: 13, SAVE: 2.5 + 9 + 4, RESTART: 11.5},
            37 + 90 + 9 + 4,
        ),
        # exactly when the stop's save is complete: it counts
        ([stop(25.0), fault(30.0)], {TRAIN: 100, SAVE: 7 + 12, RESTART: 7}, 37 + 77 + 8 + 4),
        # after that, a fault in the stop costs nothing
        ([stop(25.0), fault(31.0)], {TRAIN: 100, SAVE: 7 + 12, RESTART: 7}, 37 + 77 + 8 + 4),
        # in the last save there is nothing left to stop for
        ([stop(110.5)], {TRAIN: 100, SAVE: 14}, 114),
    ],
)
def test_scripted_async_saves_give_the_books_done_by_hand(play, arrivals, expected, end_s):
    ledger = play(world_of(**{"jobs.j.checkpoint": ASYNC}), *arrivals)
    assert phases(ledger) == pytest.approx(expected, abs=1e-9)
    assert ledger.end_s[0, 0] == pytest.approx(end_s, abs=1e-9)


@pytest.mark.parametrize(
    ("arrivals", "lost_s", "restart_s", "end_s"),
    [
        # 19 saves to memory, 9 to the peer, 4 to disk; then the last, to disk
        ([], 0, 0, 100 + (19 + 18 + 12) + 13),
        # 44 s in, 30 trained and in memory: read in 1 s; 13 intervals of the 70 s left are saved
        ([fault(44.0, NOTHING)], 0, 6, 50 + 70 + (13 + 6 * 2 + 3 * 3) + 13),
        # the node's memory is gone, and the peer was being saved to: it holds 20 s, read in 2 s
        ([fault(44.0, NODE)], 10, 7, 51 + 80 + (15 + 7 * 2 + 3 * 3) + 13),
        # at 45 that save is complete
        ([fault(45.0, NODE)], 0, 7, 52 + 70 + (13 + 6 * 2 + 3 * 3) + 13),
        # the peer is gone with its group: disk has held 20 s since 41, read in 7 s
        ([fault(44.0, GROUP)], 10, 12, 56 + 80 + (15 + 7 * 2 + 3 * 3) + 13),
        # before 41 disk holds nothing: back to the start, which needs no reading
        ([fault(40.0, ALL)], 28, 5, 45 + 162),
        # from the peer after the first fault, gone with the second: 20 s that were kept go too
        ([fault(40.0, NODE), fault(43.0, GROUP)], 28, 3 + 5, 48 + 162),
        # in the stall of the peer at 12.5 memory holds all 10 s
        ([fault(12.5, NOTHING)], 0, 6, 18.5 + 90 + (17 + 8 * 2 + 4 * 3) + 13),
        # ... and a fault of the node leaves nothing
        ([fault(12.5, NODE)], 10, 5, 17.5 + 162),
        # memory is filled anew after the first fault, and read by the second
        (
            [fault(44.0, NODE), fault(57.5, NOTHING)],
            10 + 0.5,
            7 + 6,
            63.5 + 75 + (14 + 7 * 2 + 3 * 3) + 13,
        ),
        # work ends at 149, and the last save, to disk only, at 162: memory holds 95 s
        ([fault(155.0, NOTHING)], 5, 6, 161 + 5 + 13),
        # memory and peer hold 30 s when a stop comes at 45: a fault in the stop reads memory
        ([stop(45.0), fault(60.0, NOTHING)], 0, 8, 66 + 70 + (13 + 6 * 2 + 3 * 3) + 13),
        # at 46 only the stop's own save holds all 31 s
        ([stop(46.0), fault(60.0, NOTHING)], 0, 13, 72 + 69 + (13 + 6 * 2 + 3 * 3) + 13),
        # in the memory's stall at 36.5 the stop saves to disk at once, at 49.5 it is complete
        ([stop(36.5)], 0, 7, 56.5 + 75 + (14 + 7 * 2 + 3 * 3) + 13),
        # a group lost in that wait at 45: the save to disk of 20 s was complete at 41
        ([stop(36.5), fault(45.0, GROUP)], 5, 12, 57 + 80 + (15 + 7 * 2 + 3 * 3) + 13),
    ],
)
def test_scripted_tiers_give_the_books_done_by_hand(play, arrivals, lost_s, restart_s, end_s):
    ledger = play(world_of(**{"jobs.j.checkpoint": {"tiers": TIERS}}), *arrivals)
    expected = {TRAIN: 100, LOST: lost_s, RESTART: restart_s}
    expected[SAVE] = end_s - sum(expected.values())
    assert phases(ledger) == pytest.approx({k: v for k, v in expected.items() if v}, abs=1e-9)
    assert ledger.end_s[0, 0] == pytest.approx(end_s, abs=1e-9)


def test_scripted_fault_while_blocked_can_take_what_was_kept(play):
    """No spares: node 0 is away from 40 to 100; at 50 the peer's copy goes too."""
    changes = {"jobs.j.checkpoint": {"tiers": TIERS}, "sites.s.pools.p.spares": "0 nodes"}
    taken = (40.0, FAULT, 0, True, 5.0, 60.0, NODE)
    kept = phases(play(world_of(**changes), taken))
    assert (kept[LOST], kept[RESTART], kept[BLOCKED]) == pytest.approx((8, 5 + 2, 60))
    group = (50.0, FAULT, 1, False, 4.0, 0.0, GROUP)
    found = phases(play(world_of(**changes), taken, group))
    assert (found[LOST], found[RESTART], found[BLOCKED]) == pytest.approx((28, 4, 60))


def test_scripted_horizon_counts_what_is_trained(play):
    changes = {"jobs.j.checkpoint": {"tiers": TIERS}, "simulate.horizon": "50 s"}
    assert phases(play(world_of(**changes))) == pytest.approx({TRAIN: 35, SAVE: 15})
    waiting = phases(play(world_of(**changes), stop(46.0)))
    assert waiting == pytest.approx({TRAIN: 31, SAVE: 15 + 4})


class AllLevels(Trace):
    """Drawn faults, of every level, whatever they take."""

    def arrivals(self, pool: int, until_s: float) -> Arrivals:
        """Return the faults of a pool up to a time."""
        found = super().arrivals(pool, until_s)
        times_s = np.where(np.isfinite(found.time_s), found.time_s, 0.0)
        return dataclasses.replace(found, level=(times_s % 4).astype(np.int8))


def play_all_levels(engine, world: World, seed: int, n_runs: int, **options):
    """Return the books of runs whose faults are of every level."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "Trace", AllLevels)
        return engine.play(world, seed, 0, n_runs, **options)


@given(tiered_scenarios())
@settings(max_examples=200)
def test_same_trace_same_ledger_with_tiers(data):
    scenario = cp.load(data)
    world = compile_world(scenario)
    seed, n_runs = scenario.simulate.seed, 5
    one = play_all_levels(batch, world, seed, n_runs)
    other = play_all_levels(event, world, seed, n_runs, timeline=True)
    assert_same_books(one, other, world)
    check(one, world)
    held_s = sum(span.end_s - span.start_s for span in other.spans)
    assert held_s == pytest.approx(other.job_s[0, :, :-1].sum(), rel=1e-9, abs=1e-6)


def as_tiers(world: World) -> World:
    """Return a world whose jobs save to one tier that takes no time to write."""
    jobs = []
    for job in world.jobs:
        one = [
            (Tier("t", 1, float(save_s), 0.0, 0.0, ALL),) if np.isfinite(every_s) else ()
            for every_s, save_s in zip(job.interval_s, job.save_s, strict=True)
        ]
        jobs.append(dataclasses.replace(job, tiers=tuple(one)))
    return dataclasses.replace(world, jobs=Jobs(jobs))


@given(scenarios(), st.sampled_from([batch, event]))
def test_one_tier_that_takes_no_time_to_write_is_a_plain_checkpoint(data, engine):
    data["planned"].pop("rolling", None)  # batch does not play both
    scenario = cp.load(data)
    world = compile_world(scenario)
    seed = scenario.simulate.seed
    assert_same_books(
        engine.play(world, seed, 0, 4), engine.play(as_tiers(world), seed, 0, 4), world
    )


@given(scenarios(), st.integers(1, 100), st.integers(0, 20), st.integers(1, 60))
def test_async_saves_never_cost_more_than_blocking_ones_of_the_same_length(
    data, every, stall, write
):
    data["planned"] = {}  # a blocking save that a stop meets is nearer to its end
    write = min(write, every + stall)
    blocking = {"every": f"{every} min", "stall": f"{stall + write} min"}
    behind = {"every": f"{every} min", "stall": f"{stall} min", "write": f"{write} min"}
    ledgers = []
    for checkpoint in (blocking, behind):
        for job in data["jobs"].values():
            job["checkpoint"] = checkpoint
        scenario = cp.load(data)
        ledgers.append(batch.play(compile_world(scenario), scenario.simulate.seed, 0, 8))
    slow, fast = ledgers
    assert (fast.end_s <= slow.end_s * (1 + 1e-9)).all()
    slack_s = 1e-9 * slow.wall_s[:, None]
    assert (fast.job_s[..., TRAIN] >= slow.job_s[..., TRAIN] - slack_s).all()


@given(scenarios(), tiers(stalls=False))
def test_more_tiers_never_lose_more_than_the_slowest_alone(data, found):
    """Without stalls and loading both train at the same times, so their losses compare."""
    data["planned"] = {}  # a stop saves one of them earlier than the other
    for tier in found.values():
        tier["load"] = "0 s"
    *_, slowest = found
    ledgers = []
    for some in (found, {slowest: found[slowest]}):
        for job in data["jobs"].values():
            job["checkpoint"] = {"tiers": some}
        scenario = cp.load(data)
        world = compile_world(scenario)
        ledgers.append(play_all_levels(batch, world, scenario.simulate.seed, 8))
    many, alone = ledgers
    slack_s = 1e-9 * alone.wall_s[:, None]
    assert (many.job_s[..., LOST] <= alone.job_s[..., LOST] + slack_s).all()
    assert (many.end_s <= alone.end_s * (1 + 1e-9)).all()


def world_of_one(checkpoint: dict, **changes: object) -> World:
    """Return one node that fails every 2 h, restarts in 6 min and works for 50 h."""
    data = {
        "computeplan": 1,
        "name": "one",
        "sites": {"s": {"pue": 1, "pools": {"p": {"chip": "H100-SXM", "chips": 8}}}},
        "faults": {"f": {"mtbf": "2 h", "per": "node", "takes": "nothing", "restart": "6 min"}},
        "jobs": {"j": {"train_for": "50 h", "chips": 8, "checkpoint": checkpoint}},
    }
    return compile_world(cp.load(data).with_(changes))


@pytest.mark.parametrize(
    ("engine", "n_runs"), [(batch, 4000), (event, 400)], ids=["batch", "event"]
)
@pytest.mark.parametrize("write", ["2 min", "20 min", "27 min"])
def test_async_saves_take_as_long_as_the_closed_form_says(engine, n_runs, write):
    """4 standard errors: 1 false alarm in 16,000, and the seed is fixed."""
    world = world_of_one({"every": "25 min", "stall": "2 min", "write": write})
    end_s = engine.play(world, 11, 0, n_runs).end_s[:, 0]
    expected_s = world.jobs[0].expected_wall_s(0)
    assert abs(end_s.mean() - expected_s) < 4 * end_s.std(ddof=1) / np.sqrt(n_runs)


def test_tiers_keep_at_least_what_their_bound_says():
    tiered = {
        "fine": {"every": "5 min", "stall": "10 s", "load": "1 min", "survives": "nothing"},
        "slow": {"every": "25 min", "stall": "1 min", "write": "9 min", "survives": "all"},
    }
    world = world_of_one({"tiers": tiered})
    end_s = play_all_levels(batch, world, 11, 1000).end_s[:, 0]
    assert end_s.mean() < world.jobs[0].expected_wall_s(0)


def test_the_bound_of_several_tiers_counts_reading_as_a_longer_restart():
    tier = {"every": "25 min", "stall": "1 min", "write": "9 min", "survives": "all"}
    free = {"every": "5 min", "stall": "0 s", "survives": "nothing"}
    tiers = {"a": {**tier, "load": "10 min"}, "b": free}
    reads = world_of_one({"tiers": tiers}).jobs[0].ettr[0]
    tiers = {"a": tier, "b": free}
    waits = world_of_one({"tiers": tiers}, **{"faults.f.restart": "16 min"}).jobs[0].ettr[0]
    assert reads == pytest.approx(waits)


def test_the_bytes_of_the_state_and_a_bandwidth_give_the_write():
    sized = {"every": "30 min", "stall": "5 s", "state": "6 TB", "bandwidth": "100 GB/s"}
    (tier,) = world_of_one(sized).jobs[0].tiers_on(0)
    assert (tier.stall_s, tier.write_s) == (5.0, 60.0)
    changes = {"jobs.j.checkpoint.bandwidth": None, "sites.s.storage": "200 GB/s"}
    (tier,) = world_of_one(sized, **changes).jobs[0].tiers_on(0)
    assert tier.write_s == 30.0
    (tier,) = world_of_one({k: v for k, v in sized.items() if k != "stall"}).jobs[0].tiers_on(0)
    assert (tier.stall_s, tier.write_s) == (60.0, 0.0)


def test_the_state_is_read_back_at_the_bandwidth_unless_said_otherwise():
    sized = {"every": "30 min", "stall": "5 s", "state": "6 TB", "bandwidth": "100 GB/s"}
    for load, load_s in ({}, 60.0), ({"load": "0 s"}, 0.0), ({"load": "2 min"}, 120.0):
        (tier,) = world_of_one({**sized, **load}).jobs[0].tiers_on(0)
        assert tier.load_s == load_s
    (tier,) = world_of_one({"every": "30 min", "stall": "5 s", "load": "9 s"}).jobs[0].tiers_on(0)
    assert (tier.stall_s, tier.write_s, tier.load_s) == (5.0, 0.0, 9.0)
    assert world_of_one({"every": "30 min", "stall": "5 s"}).jobs[0].tiers_on(0) == ()


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"every": "25 min", "stall": "1 min", "load": "10 min"},
        {"every": "25 min", "state": "60 GB", "bandwidth": "1 GB/s", "load": "10 min"},
        {
            "tiers": {
                "a": {"every": "25 min", "stall": "1 min", "load": "10 min", "survives": "all"}
            }
        },
    ],
)
def test_the_closed_form_beside_a_run_reads_the_state_at_every_restart(checkpoint):
    """All but those before the first save, of which there are few in 50 h."""
    world = world_of_one(checkpoint)
    end_s = batch.play(world, 4, 0, 4000).end_s[:, 0]
    expected = expect(world)
    error_s = end_s.std(ddof=1) / np.sqrt(end_s.size)
    assert end_s.mean() == pytest.approx(
        expected.train_s / expected.ettr, rel=0.002, abs=4 * error_s
    )


@pytest.mark.parametrize("every", ["50 h", "10 h", "7 h"])
@pytest.mark.parametrize("write", ["0 s", "2 h"])
def test_the_closed_form_reads_nothing_before_the_first_save(every, write):
    """A job of 20 h that fails every 20 h: what it reads takes 4 h, if there is anything."""
    checkpoint = {"every": every, "stall": "1 min", "write": write, "load": "4 h"}
    rare = {"faults.f.mtbf": "20 h", "jobs.j.train_for": "20 h"}
    world = world_of_one(checkpoint, **rare)
    end_s = batch.play(world, 4, 0, 20_000).end_s[:, 0]
    error_s = end_s.std(ddof=1) / np.sqrt(end_s.size)
    expected = expect(world)
    at_the_end = 0.01 if write != "0 s" and every == "7 h" else 0.0  # a short interval's write
    expected_s = expected.train_s / expected.ettr
    assert end_s.mean() == pytest.approx(expected_s, rel=at_the_end, abs=4 * error_s)


def test_tiers_write_and_read_the_bytes_of_the_state_at_bandwidths_of_their_own():
    """Memory at 2 TB/s, disk at the 400 GB/s of the site, but read elsewhere in 5 s."""
    survives = {"stall": "1 s", "survives": "all"}
    tiers = {
        "memory": {"every": "1 min", "bandwidth": "2 TB/s", **survives, "survives": "nothing"},
        "disk": {"every": "10 min", "load": "5 s", **survives},
        "far": {"every": "30 min", "write": "9 min", "load": "9 min", **survives},
    }
    saves = {"jobs.j.checkpoint": {"state": "4 TB", "tiers": tiers}}
    storage = {"sites.s.storage": "400 GB/s"}
    found = world_of_one({"every": "never"}, **saves, **storage).jobs[0].tiers_on(0)
    assert [(t.write_s, t.load_s) for t in found] == [(2.0, 2.0), (10.0, 5.0), (540.0, 540.0)]
    with pytest.raises(cp.ScenarioError, match=r"storage is missing: jobs.j.checkpoint gives"):
        world_of_one({"state": "4 TB", "tiers": tiers})
    saves["jobs.j.checkpoint"]["state"] = "400 TB"
    with pytest.raises(cp.ScenarioError, match=r"tiers.memory: writing the state takes 200 s on p"):
        world_of_one({"every": "never"}, **saves, **storage)


def test_tiers_that_go_through_shared_storage_are_said_to_have_it_alone():
    disk = {"every": "10 min", "stall": "1 s", "survives": "all"}
    saves = {"state": "4 TB", "tiers": {"disk": disk}}
    changes = {"sites.s.storage": "400 GB/s", "sites.s.pools.p.chips_per_node": 1}
    changes |= {"jobs.j.chips": 4, "jobs.j.checkpoint": saves}
    changes |= {"jobs.k": {"train_for": "50 h", "chips": 4, "checkpoint": saves}}
    world = world_of_one({"every": "never"}, **changes)
    assert [note for note in sentences(world.notes) if "storage to themselves" in note] == [
        "j: its tiers are assumed to have the storage to themselves",
        "k: its tiers are assumed to have the storage to themselves",
    ]
    assert not any(job.storage for job in world.jobs)


def test_auto_is_what_adam_keeps_of_the_model():
    """8.03 billion parameters, each 2 bytes of weight and 12 of master copy and moments."""
    sized = {"every": "30 min", "stall": "5 s", "state": "auto", "bandwidth": "1 GB/s"}
    changes = {"jobs.j.model": "llama-3.1-8b", "jobs.j.seq": 8192, "jobs.j.checkpoint": sized}
    (tier,) = world_of_one({"every": "never"}, **changes).jobs[0].tiers_on(0)
    assert tier.write_s == pytest.approx(8_030_261_248 * 14 / 1e9)


def test_the_optimum_of_async_saves_lets_every_write_end():
    sized = {"every": "optimal", "stall": "1 s", "write": "40 min"}
    job = world_of_one(sized).jobs[0]
    assert job.interval_s[0] == pytest.approx(2399.0)
    job = world_of_one({"every": "optimal", "stall": "1 min", "write": "2 min"}).jobs[0]
    assert job.interval_s[0] == pytest.approx(
        world_of_one({"every": "optimal", "stall": "1 min"}).jobs[0].interval_s[0]
    )


@given(st.floats(0.0, 100.0), st.floats(0.1, 4000.0))
@settings(max_examples=20)
def test_an_optimum_that_just_holds_a_write_is_not_refused(stall, write):
    sized = {"every": "optimal", "stall": f"{stall} s", "write": f"{write} s"}
    job = world_of_one(sized).jobs[0]
    assert job.interval_s[0] + stall >= write * (1 - 1e-9)


SLOW = {"every": "30 min", "stall": "5 s", "survives": "all"}


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        (
            {"every": "1 min", "stall": "5 s", "write": "90 s"},
            r"takes 1.5 min to write, but the next is due 1.08333 min after it",
        ),
        ({"every": "optimal", "stall": "0 s"}, "saves that cost nothing have no optimum"),
        ({"stall": "5 s"}, "every is missing"),
        ({"every": "1 h", "stall": "5 s", "bandwidth": "1 GB/s"}, "bandwidth goes with state"),
        ({"tiers": {"a": {**SLOW, "bandwidth": "1 GB/s"}}}, "bandwidth goes with state"),
        (
            {"every": "1 h", "stall": "5 s", "write": "9 s", "state": "5 TB"},
            "write and state give the same value twice",
        ),
        ({"every": "1 h", "state": "auto", "bandwidth": "1 GB/s"}, "auto needs a model"),
        ({"every": "1 h", "state": "5 TB"}, "storage is missing: jobs.j.checkpoint gives"),
        (
            {"every": "1 min", "stall": "0 s", "state": "9 TB", "bandwidth": "9 GB/s"},
            "takes 1000 s",
        ),
        ({"tiers": {}}, "at least 1 item"),
        ({"tiers": {"a": SLOW}, "every": "1 h"}, "each tier says that for itself"),
        ({"tiers": {"a": {**SLOW, "survives": "node"}}}, "a, survives node: some fault would cost"),
        ({"tiers": {"a": {**SLOW, "every": "optimal"}}}, "must be a duration, not optimal"),
        (
            {"tiers": {"a": {**SLOW, "every": "7 min"}, "b": SLOW}},
            "every of b must be a whole multiple of the 7 min of a, such as 28 min or 35 min",
        ),
    ],
)
def test_says_what_is_wrong_with_a_checkpoint(checkpoint, message):
    with pytest.raises(cp.ScenarioError, match=message):
        world_of_one(checkpoint)


def test_a_plain_checkpoint_laid_over_tiers_replaces_them():
    world = world_of_one(
        {"tiers": {"a": SLOW}}, **{"jobs.j.checkpoint": {"every": "1 h", "stall": "9 s"}}
    )
    assert world.jobs[0].tiers_on(0) == ()
    assert world.jobs[0].interval_s[0] == 3600.0
