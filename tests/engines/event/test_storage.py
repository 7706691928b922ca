"""Storage of a site, whose bandwidth jobs share that write or read at one time."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import NO_NODE, eventful_scenarios, scripted
from worlds import CHIP, Scripts, assert_same_books, data_of
from worlds import job as a_job

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.engines.event.calendar import Calendar, Rank
from computeplan.engines.event.storage import Storage
from computeplan.errors import InfeasibleError, UnsupportedByEngine
from computeplan.ledger import LOST, QUEUE, RESTART, SAVE, TRAIN
from computeplan.world.jobs import Jobs
from computeplan.world.world import World

# By hand: 100 s of training on pools of 4 nodes, 1 TB over 100 GB/s: 10 s alone


UNTIL_33 = {"simulate.horizon": "33 s"}


def stored(*checkpoints: dict[str, Any], **changes: object) -> World:
    """A site with a job on each of its pools, that saves to the storage of the site."""
    names = "pqr"[: len(checkpoints)]
    data = data_of(dict.fromkeys(names, 4), {})
    for name, checkpoint in zip(names, checkpoints, strict=True):
        saves = {"state": "1 TB", **checkpoint}
        data["jobs"][f"on_{name}"] |= {"train_for": "100 s", "checkpoint": saves}
    data["sites"]["s"] |= {"storage": "100 GB/s", "share_spares": False}
    data["faults"]["f"] |= {"takes": "nothing"}
    data["faults"]["f"].pop("repair")
    return compile_world(cp.load(data).with_(changes))


@pytest.fixture
def arrival(monkeypatch):
    """Return a function that plays a world whose pools have faults at times; restart 5 s."""

    def run(world, *times_s, stops=()):
        def script(pool, until_s):
            arrivals = [(at_s, 0, 0, False, 5.0, 0.0) for at_s in times_s[pool]]
            planned = [(at_s, 1, NO_NODE, False, lasts_s, 0.0) for at_s, lasts_s in stops]
            return scripted(*sorted([*arrivals, *planned]))

        trace = Scripts()
        trace.arrivals = script
        monkeypatch.setattr(event, "Trace", lambda *_: trace)
        return event.play(world, 0, 0, 1)

    return run


def test_saves_at_one_time_share_the_storage_of_their_site(arrival):
    """Both stand still for 20 s after every 50 s, not for 10."""
    world = stored({"every": "50 s"}, {"every": "50 s"})
    ledger = arrival(world, [], [])
    assert ledger.job_s[0, :, SAVE].tolist() == [40.0, 40.0]
    assert ledger.end_s.tolist() == [[140.0, 140.0]]


def test_saves_that_overlap_share_while_they_do(arrival):
    """p writes from 50 s, q from 54 s: p has 6 of its 10 s left then, which take until 66 s.

    q has written for 6 s by then, and is done at 70 s. The last saves: p's from 116 s, q's from
    116 s: 46 s of training after 70 s.
    """
    world = stored({"every": "50 s"}, {"every": "54 s"})
    ledger = arrival(world, [], [])
    assert ledger.job_s[0, :, SAVE].tolist() == [16.0 + 20.0, 16.0 + 20.0]
    assert ledger.end_s.tolist() == [[136.0, 136.0]]


def test_a_write_behind_training_takes_longer_too(arrival):
    """Both write from 41 s; alone p's save is complete at 51 s, before the fault at 55 s.

    Together it is not: all of its 54 s of training are lost (1 s it stood still). From then on q
    writes alone: the 3 of 10 s that are left until 58 s, before its own fault at 59 s.
    """
    saves = {"every": "40 s", "stall": "1 s"}
    alone = arrival(stored(saves), [55.0])
    assert alone.job_s[0, 0, LOST] == 14.0
    both = arrival(stored(saves, saves), [55.0], [59.0])
    assert both.job_s[0, :, LOST].tolist() == [54.0, 18.0]


def test_a_save_that_is_due_waits_for_the_one_before(arrival):
    """Saves every 12 s, stall 1 s, 10 s to write alone and 20 s together: the second waits.

    Written from 13 s to 33 s; the next is due at 25 s, stalls to 26 s and waits for 7 s.
    """
    saves = {"every": "12 s", "stall": "1 s"}
    ledger = arrival(stored(saves, saves, **UNTIL_33), [], [])
    assert ledger.job_s[0, :, SAVE].tolist() == [9.0, 9.0]
    assert ledger.job_s[0, :, TRAIN].tolist() == [24.0, 24.0]
    alone = arrival(stored(saves, **UNTIL_33), [])
    assert alone.job_s[0, 0, SAVE] == 2.0


def test_jobs_that_restart_together_read_together(arrival):
    """Saved by 70 s, a fault at 75 s, restarted by 80 s, and read by 100 s. One alone: by 80 s."""
    world = stored({"every": "50 s"}, {"every": "50 s"})
    both = arrival(world, [75.0], [75.0])
    assert both.job_s[0, :, RESTART].tolist() == [5.0 + 20.0, 5.0 + 20.0]
    assert both.end_s.tolist() == [[170.0, 170.0]]  # 50 s of training and a save of 20 s
    alone = arrival(stored({"every": "50 s"}), [65.0])
    assert alone.job_s[0, 0, RESTART] == 5.0 + 10.0
    assert arrival(stored({"every": "50 s"}), [45.0]).job_s[0, 0, RESTART] == 5.0  # nothing to read


def test_what_one_reads_slows_what_another_writes(arrival):
    """p reads from 75 s, q writes from 80 s: p has 5 s left, until 90 s; q's 5 s until 95 s."""
    ledger = arrival(stored({"every": "50 s"}, {"every": "80 s"}), [70.0], [])
    assert ledger.job_s[0, :, RESTART].tolist() == [5.0 + 15.0, 0.0]
    assert ledger.first_start_s.tolist() == [[0.0, 0.0]]
    # q's first save 15 s; then 20 s of training, and the last from 115 s on, alone until 125 s
    assert ledger.end_s[0, 1] == 125.0


def test_a_planned_stop_begins_when_its_save_is_complete(arrival):
    """Both are told at 30 s, save until 50 s, stand still until 57 s; alone until 47 s."""
    world = stored(
        {"every": "60 s"}, {"every": "60 s"}, **{"planned.w": {"at": ["1 h"], "lasts": "7 s"}}
    )
    ledger = arrival(world, [], [], stops=[(30.0, 7.0)])
    assert ledger.job_s[0, :, RESTART].tolist() == [7.0, 7.0]
    # saves at 30 s, at 90 s of training, and at the end: all of 20 s
    assert ledger.end_s.tolist() == [[100.0 + 60.0 + 7.0] * 2]


def test_bandwidth_of_its_own_and_other_sites_are_not_shared(arrival):
    own = stored({"every": "50 s", "bandwidth": "100 GB/s"}, {"every": "50 s"})
    assert arrival(own, [], []).job_s[0, :, SAVE].tolist() == [20.0, 20.0]
    assert not any(job.storage for job in own.jobs)
    pool = {**CHIP, "chips": 4}
    sites = {
        name: {"pue": 1, "storage": "100 GB/s", "pools": {pool_name: pool}}
        for name, pool_name in (("s", "p"), ("t", "q"))
    }
    data = data_of({"p": 4, "q": 4}, {})
    data["sites"] = sites
    for job_ in data["jobs"].values():
        job_ |= {"train_for": "100 s", "checkpoint": {"every": "50 s", "state": "1 TB"}}
    apart = compile_world(cp.load(data))
    assert not any(job.storage for job in apart.jobs)
    assert arrival(apart, [], []).job_s[0, :, SAVE].tolist() == [20.0, 20.0]


# Against what was written otherwise


@st.composite
def sized(draw: st.DrawFn) -> dict[str, Any]:
    """A job that saves bytes, and its work in whole intervals."""
    every = draw(st.integers(1, 120))
    saves: dict[str, Any] = {"every": f"{every} min", "bandwidth": "1 GB/s"}
    if draw(st.booleans()):
        stall = draw(st.integers(0, 10))
        saves["stall"] = f"{stall} min"
        saves["state"] = f"{60 * draw(st.integers(1, every + stall))} GB"
    else:
        saves["state"] = f"{60 * draw(st.integers(1, 30))} GB"
    if draw(st.booleans()):
        saves["load"] = f"{draw(st.integers(0, 20))} min"
    return {"checkpoint": saves, "train_for": f"{every * draw(st.integers(1, 40))} min"}


@given(eventful_scenarios(), st.lists(sized(), min_size=2, max_size=2), st.integers(0, 99))
def test_a_job_alone_at_the_storage_is_played_as_one_with_its_own_bandwidth(data, saves, seed):
    """From milestone to milestone, or by arithmetic: a job of one tier to 1e-9.

    Planned stops only where saves block: a write that is under way when a stop begins is given up
    for that of the stop where there is one bandwidth for both, and else goes on.
    """
    data["planned"].pop("rolling", None)
    for job, given_ in zip(data["jobs"].values(), saves, strict=False):
        for key in ("work", "achieved"):  # its work is whole intervals, known exactly
            job.pop(key, None)
        job |= given_
        if "stall" in job["checkpoint"]:
            data["planned"] = {}
    world = compile_world(cp.load(data))
    jobs = [replace(job, storage=(job.name,) * len(world.pools)) for job in world.jobs]
    alone = event.play(replace(world, jobs=Jobs(jobs)), seed, 0, 2, timeline=True)
    assert_same_books(alone, event.play(world, seed, 0, 2), world)
    held_s = sum(span.end_s - span.start_s for span in alone.spans)
    assert held_s == pytest.approx(alone.job_s[0, :, :QUEUE].sum(), rel=1e-9, abs=1e-6)


class Stepper:
    """A job of `step_by_step`: what it is at, and what it has done. Nothing is worked out ahead."""

    def __init__(self, every_s, stall_s, write_s, faults_s):
        self.every_s, self.stall_s, self.write_s, self.faults_s = (
            every_s,
            stall_s,
            write_s,
            faults_s,
        )
        self.trained = self.kept = self.written = 0.0
        self.next_save, self.holds, self.end_s = every_s, None, None
        self.down = self.read = self.stalled = 0.0
        self.does = "train"

    def moves(self):
        return self.does == "read" or self.holds is not None

    def has_faults(self):
        self.trained, self.holds, self.does, self.down = self.kept, None, "down", 5.0
        self.next_save = self.kept + self.every_s

    def step(self, dt_s, share, work_s):
        self.write(dt_s * share)
        if self.does == "train":
            self.trained = min(self.trained + dt_s, self.next_save, work_s)
            if self.trained in (self.next_save, work_s):
                self.does, self.stalled = "stall", 0.0
        elif self.does == "down":
            self.down -= dt_s
            if self.down <= 0:
                self.does, self.read = ("read" if self.kept else "train"), 0.0
        elif self.does == "read":
            self.read += dt_s * share
            if self.read >= self.write_s:
                self.does = "train"
        elif self.does == "stall":
            self.stall(dt_s, is_last=self.trained >= work_s)

    def write(self, written):
        if self.holds is None:
            return
        self.written += written
        if self.written >= self.write_s:
            self.kept, self.holds = self.holds, None
            if self.does == "write":
                self.does = "train"

    def stall(self, dt_s, is_last):
        self.stalled += dt_s
        if self.stalled >= self.stall_s and (self.holds is None or is_last):
            self.holds, self.written = self.trained, 0.0
            self.next_save = self.trained + self.every_s
            self.does = "train" if self.stall_s and not is_last else "write"


def step_by_step(jobs, work_s, dt_s):
    """Return when each job ends, by steps of a length that is too short to matter. [s]"""
    now_s, running = 0.0, list(jobs)
    while running:
        for job in running:
            if job.faults_s and now_s >= job.faults_s[0]:
                job.faults_s.pop(0)
                job.has_faults()
        share = 1 / max(1, sum(job.moves() for job in running))
        now_s += dt_s
        for job in running:
            job.step(dt_s, share, work_s)
            if job.kept >= work_s:
                job.end_s = now_s
        running = [job for job in running if job.end_s is None]
    return [job.end_s for job in jobs]


@pytest.mark.parametrize("seed", range(12))
def test_storage_that_is_shared_agrees_with_small_steps(arrival, seed):
    """Three jobs that stand still or write behind training, two faults each, by steps of 4 ms.

    Every save, read and fault is late by a step or two: some 20 of them a job.
    """
    rng = np.random.default_rng(seed)
    jobs, saves = [], []
    for _ in range(3):
        every_s, stall_s = rng.uniform(15, 40), rng.choice([0.0, 1.3])
        write_s = rng.uniform(3, 9)
        faults_s = sorted(rng.uniform(10, 120, 2).tolist())
        jobs.append(Stepper(every_s, stall_s, write_s, faults_s))
        saves.append({"every": f"{every_s!r} s", "state": f"{write_s * 100!r} GB"})
        saves[-1] |= {"stall": f"{stall_s} s"} if stall_s else {}
    world = stored(*saves)
    ledger = arrival(world, *(job.faults_s for job in jobs))
    expected_s = step_by_step(jobs, 100.0, 0.004)
    assert ledger.end_s[0] == pytest.approx(expected_s, abs=0.2)


# What is said


def test_what_does_not_play_shared_storage_says_so():
    saves = {"every": "50 s", "load": "0 s"}
    world = stored(saves, saves)
    with pytest.raises(UnsupportedByEngine, match=r"jobs.on_p.checkpoint.state: .* others write"):
        batch.play(world, 0, 0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"sites.s.pools.q.throttle": {"diurnal": 0.1}},
        {"planned.m": {"rolling": "1 nodes", "every": "60 s", "lasts": "30 s", "restart": "5 s"}},
        {"jobs.on_q.on_loss": {"shrink": {"replicas": 4, "resize": "1 min"}}},
    ],
)
def test_shared_storage_is_played_beside_all_else(change):
    """These were refused once; the books of the conservation law are checked when they are made."""
    saves = {"every": "50 s", "load": "0 s"}
    ledger = event.play(stored(saves, saves, **change), 0, 0, 4)
    assert np.isfinite(ledger.end_s).all()
    work_s = ledger.chip_s[..., TRAIN] - ledger.weighted("slow")[..., TRAIN]
    assert work_s[:, 0, 0] / 4 == pytest.approx(100, rel=1e-9)
    assert work_s[:, 1, 1] / 4 == pytest.approx(100, rel=1e-9)


def test_too_many_saves_are_refused():
    often = {"every": "0.1 ns", "state": "1 B", "stall": "0 s"}
    with pytest.raises(InfeasibleError, match=r"2e\+12 saves in a run through shared storage"):
        stored(often, often)
    often = {"every": "144 us", "state": "1 B", "stall": "0 s"}
    with pytest.raises(InfeasibleError, match=r"checkpoint: about 1.39e\+06 saves .* by 2 jobs"):
        stored(often, often)  # neither has too many alone


def test_policies_know_when_a_job_ends_that_writes_behind_training():
    """`head` needs all nodes when `run` is done, and `back`, which lasts longer, is not let past.

    A save of 54 min each hour costs no training but the last.
    """
    data = data_of({"p": 4}, {})
    data["sites"]["s"] |= {"storage": "100 GB/s", "share_spares": False}
    del data["faults"]
    sized = {"every": "1 h", "stall": "0 s", "state": "324 TB"}
    data["jobs"] = {
        "run": {**a_job("p", 2, "100 h"), "checkpoint": sized},
        "head": {**a_job("p", 4, "10 h", "1 h"), "checkpoint": {"every": "never"}},
        "back": {**a_job("p", 2, "150 h", "2 h"), "checkpoint": {**sized, "state": "1 GB"}},
    }
    data["policy"] = "fifo-backfill"
    ledger = event.play(compile_world(cp.load(data)), 0, 0, 1)
    assert ledger.first_start_s[0] / 3600 == pytest.approx([0.0, 100.9, 110.9])


# The bandwidth itself


def transfers(*parts: tuple[float, float]) -> dict[int, float]:
    """Return when each transfer ends, given when it begins and how long it lasts alone. [s]"""
    calendar, ends = Calendar((1e9, Rank.FAULT)), dict[int, float]()
    storage = Storage(calendar)
    for i, (at_s, lasts_s) in enumerate(parts):
        then = partial(ends.__setitem__, i)
        begin = partial(storage.begin, then, lasts_s)
        calendar.at(at_s, Rank.FAULT, begin)
    calendar.run()
    return ends


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 20)), min_size=1, max_size=8))
def test_bandwidth_is_shared_evenly_and_never_idle(parts):
    """By hand from one change to the next: who is there has as much as any other."""
    left_s, now_s, expected = dict[int, float](), 0.0, dict[int, float]()
    to_come = sorted((at_s, i) for i, (at_s, _) in enumerate(parts))
    while to_come or left_s:
        next_s = now_s + min(left_s.values()) * len(left_s) if left_s else math.inf
        until_s = min(next_s, to_come[0][0] if to_come else math.inf)
        left_s = {i: x - (until_s - now_s) / len(left_s) for i, x in left_s.items()}
        now_s = until_s
        expected |= {i: now_s for i, x in left_s.items() if x <= 1e-9}
        left_s = {i: x for i, x in left_s.items() if x > 1e-9}
        while to_come and to_come[0][0] <= now_s:
            i = to_come.pop(0)[1]
            left_s[i] = parts[i][1]
    assert transfers(*parts) == pytest.approx(expected, abs=1e-6)


def test_a_transfer_that_is_given_up_leaves_its_bandwidth_to_the_others():
    """Two of 10 s from 0 s on; one is given up at 6 s, with 7 s of the other left."""
    calendar, ends = Calendar((1e9, Rank.FAULT)), []
    storage = Storage(calendar)
    given_up = ends.append
    other = partial(lambda now_s: ends.append(("other", now_s)))
    storage.begin(given_up, 10.0, 0.0)
    storage.begin(other, 10.0, 0.0)
    assert storage.alone_s(other, 4.0) == 8.0
    storage.give_up(given_up, 6.0)
    calendar.run()
    assert ends == [("other", 13.0)]
