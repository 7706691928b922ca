"""Jobs that go on after a loss: faults by hand, laws, conservation, messages."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from strategies import NO_NODE, Script, eventful_scenarios, scenarios, scripted, tiered_scenarios
from worlds import assert_same_books, check, phases, world_of

import computeplan as cp
from computeplan.analytic.expected import why_no_closed_form
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.errors import ScenarioError
from computeplan.ledger import BLOCKED, LOST, RESTART, SAVE, TRAIN
from computeplan.metrics import measure
from computeplan.report.numbers import headline
from computeplan.report.words import sentence, sentences
from computeplan.world.jobs import Jobs

FAULT, STOP = 0, 1
NO_SPARES = {"sites.s.pools.p.spares": "0 nodes"}


def shrink(replicas: int = 4, resize: str = "0 s", **more: object) -> dict:
    """Return a way to go on."""
    return {"shrink": {"replicas": replicas, "resize": resize, **more}}


def shrinking_world(on_loss: object = None, **changes: object):
    """Four nodes of one chip, one replica each, no spare; 100 s of work, 1 s saves after 10 s."""
    return world_of(**NO_SPARES, **{"jobs.j.on_loss": on_loss or shrink(), **changes})


@pytest.fixture
def play(monkeypatch):
    """Return a function that plays a world against a script."""

    def run(world, *arrivals, timeline=False):
        monkeypatch.setattr(event, "Trace", lambda *_: Script(scripted(*arrivals)))
        return event.play(world, 0, 0, 1, timeline=timeline)

    return run


def taken(time_s: float, repair_s: float, node: int = 0, restart_s: float = 5.0) -> tuple:
    """Return a fault that takes a node."""
    return (time_s, FAULT, node, True, restart_s, repair_s)


def fault(time_s: float, node: int = 1, restart_s: float = 5.0) -> tuple:
    """Return a fault that takes nothing."""
    return (time_s, FAULT, node, False, restart_s, 0.0)


def slow_chip_s_of(ledger):
    """Return the chip-seconds lost to slowness, of what is kept and of what is lost."""
    return ledger.weighted("slow")[:, :-1][..., [TRAIN, LOST]]


def chip_s(ledger) -> dict[int, float]:
    """Return the chip-seconds of the only job by phase, those that are not 0."""
    booked = ledger.chip_s[0, 0, 0]
    return {i: float(booked[i]) for i in np.flatnonzero(np.abs(booked) > 1e-9)}


@pytest.mark.parametrize(
    ("on_loss", "arrivals", "seconds", "chips", "end_s"),
    [
        # At 25 node 0 goes for good. 20 s are kept, 3 lost; the 80 s left take 80 * 4 / 3 s on
        # three chips, with 11 saves (at 10, 20, ... 100, and at the end)
        (
            shrink(),
            [taken(25.0, 1e6)],
            {TRAIN: 20 + 320 / 3, LOST: 3, SAVE: 2 + 11, RESTART: 5},
            {TRAIN: 400, LOST: 12, SAVE: 8 + 33, RESTART: 15},
            30 + 320 / 3 + 11,
        ),
        # It comes back at 50, 20 s after training resumed: 10 + 9 s trained, the first 10 saved
        # at 40-41. A save to 51, a resize to 53; 20 + 19 * 3 / 4 kept, 65.75 left: 7 saves
        (
            shrink(resize="2 s"),
            [taken(25.0, 25.0)],
            {TRAIN: 20 + 19 + 65.75, LOST: 3, SAVE: 2 + 2 + 7, RESTART: 5 + 2},
            {TRAIN: 400, LOST: 12, SAVE: 8 + 6 + 28, RESTART: 15 + 8, BLOCKED: 1},
            53 + 65.75 + 7,
        ),
        # It comes back in the restart: taken up at once, without a save or a resize
        (
            shrink(resize="2 s"),
            [taken(25.0, 3.0)],
            {TRAIN: 100, LOST: 3, SAVE: 10, RESTART: 5},
            {TRAIN: 400, LOST: 12, SAVE: 40, RESTART: 3 * 3 + 2 * 4},
            30 + 88,
        ),
        # Two go at once (a fault each), and come back at 50 and 50.5, the second in the save for
        # the first: one resize for both, to 53. On two chips 19 s trained are 9.5
        (
            shrink(resize="2 s"),
            [taken(25.0, 25.0), taken(25.0, 25.5, node=1)],
            {TRAIN: 20 + 19 + 70.5, LOST: 3, SAVE: 2 + 2 + 8, RESTART: 5 + 2},
            {TRAIN: 400, LOST: 12, SAVE: 8 + 4 + 32, RESTART: 10 + 8, BLOCKED: 0.5 + 2 * 0.5},
            53 + 70.5 + 8,
        ),
        # ... and the second in the resize, at 52: the same
        (
            shrink(resize="2 s"),
            [taken(25.0, 25.0), taken(25.0, 27.0, node=1)],
            {TRAIN: 20 + 19 + 70.5, LOST: 3, SAVE: 2 + 2 + 8, RESTART: 5 + 2},
            {TRAIN: 400, LOST: 12, SAVE: 8 + 4 + 32, RESTART: 10 + 3 + 4, BLOCKED: 1},
            53 + 70.5 + 8,
        ),
        # A fault in the save before a resize loses the 9 s since the last save (36 chip-seconds
        # less a quarter), and the restart takes the node up: 5 s from 50.5
        (
            shrink(resize="2 s"),
            [taken(25.0, 25.0), fault(50.5)],
            {TRAIN: 20 + 10 + 72.5, LOST: 3 + 9, SAVE: 2 + 1 + 0.5 + 8, RESTART: 5 + 5},
            {TRAIN: 400, LOST: 12 + 27, SAVE: 8 + 3 + 1.5 + 32, RESTART: 15 + 20, BLOCKED: 0.5},
            55.5 + 72.5 + 8,
        ),
        # A fault in the resize ends it: a restart of 1 s from 51.5 is over before 53 (a planned
        # stop would not be)
        (
            shrink(resize="2 s"),
            [taken(25.0, 25.0), fault(51.5, restart_s=1.0)],
            {TRAIN: 20 + 19 + 65.75, LOST: 3, SAVE: 2 + 2 + 7, RESTART: 5 + 0.5 + 1},
            {TRAIN: 400, LOST: 12, SAVE: 8 + 6 + 28, RESTART: 15 + 2 + 4, BLOCKED: 1},
            52.5 + 65.75 + 7,
        ),
        # Two replicas of two nodes: one node takes its replica with it, the other node waits
        (
            shrink(2),
            [taken(25.0, 1e6)],
            {TRAIN: 20 + 160, LOST: 3, SAVE: 2 + 16, RESTART: 5},
            {TRAIN: 400, LOST: 12, SAVE: 8 + 32, RESTART: 10, BLOCKED: 5 + 160 + 16},
            30 + 176,
        ),
        # A second node takes nothing more away, but the fault stops the job as any does; of two
        # nodes that are gone the one that comes back (at 50) makes no replica whole: no resize
        (
            shrink(2, resize="2 s"),
            [taken(25.0, 1e6), taken(30.0, 20.0, node=1)],
            {TRAIN: 20 + 160, LOST: 3, SAVE: 2 + 16, RESTART: 5 + 5},
            {TRAIN: 400, LOST: 12, SAVE: 8 + 32, RESTART: 10 + 10, BLOCKED: 5 + (211 - 50)},
            35 + 176,
        ),
        # Two replicas to a node: eight replicas, a node costs two of them
        (
            shrink(8),
            [taken(25.0, 1e6)],
            {TRAIN: 20 + 320 / 3, LOST: 3, SAVE: 2 + 11, RESTART: 5},
            {TRAIN: 400, LOST: 12, SAVE: 8 + 33, RESTART: 15},
            30 + 320 / 3 + 11,
        ),
        # Three are the fewest: with two of four it is blocked until one is back, at 40
        (
            shrink(least=3),
            [taken(25.0, 1e6), taken(27.0, 13.0, node=1)],
            {TRAIN: 20 + 320 / 3, LOST: 3, SAVE: 2 + 11, RESTART: 2 + 5, BLOCKED: 13},
            {TRAIN: 400, LOST: 12, SAVE: 8 + 33, RESTART: 6 + 15, BLOCKED: 26},
            45 + 320 / 3 + 11,
        ),
        # In the last save, from 152.33, there is nothing left to grow for: back at 153
        (
            shrink(resize="2 s"),
            [taken(1.0, 152.0)],
            {TRAIN: 400 / 3, LOST: 1, SAVE: 14, RESTART: 5},
            {TRAIN: 400, LOST: 4, SAVE: 3 * 14, RESTART: 15, BLOCKED: 1 / 3},
            6 + 400 / 3 + 14,
        ),
        # A planned stop at 45 saves the 4 s of the second interval (at 30 + 11 + 4): the node that
        # is back at 50 is taken up in the stop, which ends at 56
        (
            shrink(resize="2 s"),
            [taken(25.0, 25.0), (45.0, STOP, NO_NODE, False, 10.0, 0.0)],
            {TRAIN: 20 + 14 + 69.5, LOST: 3, SAVE: 2 + 2 + 7, RESTART: 5 + 10},
            {TRAIN: 400, LOST: 12, SAVE: 8 + 6 + 28, RESTART: 15 + 4 * 3 + 6 * 4},
            56 + 69.5 + 7,
        ),
    ],
)
def test_scripted_losses_give_the_books_done_by_hand(
    play, on_loss, arrivals, seconds, chips, end_s
):
    ledger = play(shrinking_world(on_loss), *arrivals)
    assert phases(ledger) == pytest.approx(seconds, abs=1e-9)
    assert chip_s(ledger) == pytest.approx(chips, abs=1e-9)
    assert ledger.end_s[0, 0] == pytest.approx(end_s, abs=1e-9)


def test_scripted_tiers_shrink_and_grow(play):
    """A memory tier every 5 s and disk every 10 s, both of no stall, disk written in 4 s.

    At 22 node 0 goes, and what was in memory with it: disk holds 20 s only from 24, so 10 are kept.
    Read in 1 s, so three chips train from 28; at 40 they have trained 12 s, the first 10 are 7.5.
    The save to disk ends at 44, the resize at 46: 10 + 9 are kept, and 81 s are left.
    """
    tiers = {
        "memory": {"every": "5 s", "stall": "0 s", "survives": "nothing"},
        "disk": {"every": "10 s", "stall": "0 s", "write": "4 s", "load": "1 s", "survives": "all"},
    }
    world = shrinking_world(shrink(resize="2 s"), **{"jobs.j.checkpoint": {"tiers": tiers}})
    back = taken(22.0, 18.0)
    ledger = play(world, back)
    train_s, end_s = 10 + 12 + 81, 46 + 81 + 4
    expected = {TRAIN: train_s, LOST: 12, SAVE: 4 + 4, RESTART: 6 + 2}
    assert phases(ledger) == pytest.approx(expected, abs=1e-9)
    chips = {TRAIN: 400, LOST: 48, SAVE: 12 + 16, RESTART: 18 + 8, BLOCKED: 4}
    assert chip_s(ledger) == pytest.approx(chips, abs=1e-9)
    assert ledger.end_s[0, 0] == pytest.approx(end_s, abs=1e-9)
    # At 47, full again, a fault of level 1 reads disk: the save before the resize, complete at 44
    after = play(world, back, (47.0, FAULT, 1, False, 5.0, 0.0, 1))
    assert phases(after)[LOST] == pytest.approx(12 + 1)
    assert after.end_s[0, 0] == pytest.approx(47 + 5 + 1 + 81 + 4)
    # At 43, in that save: on disk are the 10 s trained by 38 only from 42, and 2 s are lost
    during = play(world, back, (43.0, FAULT, 1, False, 5.0, 0.0, 1))
    assert phases(during)[LOST] == pytest.approx(12 + 2)
    assert during.end_s[0, 0] == pytest.approx(43 + 6 + (90 - 7.5) + 4)


def test_scripted_damage_goes_back_over_a_change_of_size(monkeypatch):
    """Found at 60, damaged at 24: of saves at 11, 22, 41 and the resize at 51 that of 22 is clean.

    That loses 10 + 9 s on three chips since (14.25 at full size), 9 s at full since 51, and after
    the first fault 3 s.
    """
    checkpoint = {"every": "10 s", "stall": "1 s", "keep": 5}
    silent = {"rate": "1 / 1000 node-days", "takes": "nothing", "restart": "1 s", "found": "36 s"}
    world = shrinking_world(**{"jobs.j.checkpoint": checkpoint, "faults.silent": silent})
    samples = scripted(
        (24.0, 1, 2, False, 5.0, 0.0), taken(25.0, 25.0), (1e6, FAULT, 0, False, 0.0, 0.0)
    )
    found_s = np.array([36.0, 0.0, 0.0])[:, None]
    script = Script(dataclasses.replace(samples, found_s=found_s))
    monkeypatch.setattr(event, "Trace", lambda *_: script)
    ledger = event.play(world, 0, 0, 1)
    seconds = {TRAIN: 100, LOST: 3 + 19 + 9, SAVE: 2 + 2 + 8, RESTART: 5 + 5}
    assert phases(ledger) == pytest.approx(seconds, abs=1e-9)
    chips = {TRAIN: 400, LOST: 12 + 57 + 36, SAVE: 8 + 6 + 32, RESTART: 15 + 20, BLOCKED: 1}
    assert chip_s(ledger) == pytest.approx(chips, abs=1e-9)
    assert ledger.end_s[0, 0] == pytest.approx(65 + 88)


def test_the_timeline_tells_the_chips_that_train(play):
    ledger = play(shrinking_world(shrink(2, resize="2 s")), taken(25.0, 25.0), timeline=True)
    told = [(span.phase, span.start_s, span.end_s, span.n_chips) for span in ledger.spans]
    assert [span for span in told if 22.0 < span[1] < 53.0] == [
        (RESTART, 25.0, 30.0, 2),
        (BLOCKED, 25.0, 50.0, 1),
        (TRAIN, 30.0, 40.0, 2),
        (SAVE, 40.0, 41.0, 2),
        (TRAIN, 41.0, 50.0, 2),
        (SAVE, 50.0, 51.0, 2),
        (BLOCKED, 50.0, 51.0, 2),
        (RESTART, 51.0, 53.0, 4),
    ]


def test_kept_tokens_are_arithmetic_on_the_books(play):
    """100 s of work in 125.75 s, of which 104.75 s are spent training."""
    changes = {
        "jobs.j": {
            "model": "llama-3.1-8b",
            "seq": 8192,
            "work": "1.6e17 FLOP",
            "achieved": "400 TFLOP/s",
            "train_for": None,
            "on_loss": shrink(resize="2 s"),
        }
    }
    world = world_of(**NO_SPARES, **changes)
    found = measure(play(world, taken(25.0, 25.0)), world)
    tokens = 100 * world.jobs[0].tok_per_s[0]
    assert found["ettr"][0] == pytest.approx(104.75 / 125.75)
    assert found["goodput_frac"][0] == pytest.approx(100 / 125.75)
    # over the time that the job used, not the horizon of 1000 s
    assert found["goodput_tok_per_s"][0] == pytest.approx(tokens / 125.75)
    assert found["throughput_tok_per_s"][0] == pytest.approx(tokens * 1.03 / 107.75)
    assert found["available_frac"][0] == 1


# -- laws --------------------------------------------------------------------------------------


def n_nodes(data: dict, name: str) -> int:
    """Return the nodes of a job of a random scenario."""
    job = data["jobs"][name]
    per_node = data["sites"]["s"]["pools"][job["home"]]["chips_per_node"]
    return -(-job["chips"] // per_node)


@st.composite
def shrinking(draw: st.DrawFn, base: st.SearchStrategy) -> dict:
    """Scenarios whose jobs shrink, with replicas of some nodes and several replicas to a node."""
    data = draw(base)
    for pool in data["sites"]["s"]["pools"].values():
        if isinstance(pool["spares"], dict):  # spares that boot are refused beside shrinking
            pool["spares"] = "1 nodes"
            pool["groups"] = {"rack": "1 nodes"}
            data["planned"].pop("rolling", None)  # of as many nodes as there were
    for name, job in data["jobs"].items():
        n = n_nodes(data, name)
        divisors = [k for k in range(1, n + 1) if n % k == 0]
        replicas = draw(st.sampled_from([*divisors, 2 * n, 3 * n]))
        least = draw(st.integers(1, replicas))
        resize = f"{draw(st.integers(0, 30))} min"
        job["on_loss"] = shrink(replicas, resize, least=least)
        if draw(st.booleans()):
            del job["on_loss"]["shrink"]["least"]
    return data


def check_shrinking(world, ledger) -> None:
    """Check books, and that the chip-seconds of training are work done, whatever the size."""
    check(ledger, world)
    for j, job in enumerate(world.jobs):
        p = int(np.flatnonzero(job.n_nodes)[0]) if job.home < 0 else job.home
        chips = int(job.n_nodes[p]) * world.pools[p].chips_per_node
        train_s = ledger.chip_s[:, j, p, TRAIN] / chips
        ended = np.isfinite(ledger.end_s[:, j])
        work_s = job.train_s[p] * ledger.step_factor[:, j, p]
        assert train_s[ended] == pytest.approx(work_s[ended], rel=1e-9)
        assert (train_s <= work_s * (1 + 1e-9)).all()
        assert (train_s <= ledger.job_s[:, j, TRAIN] * (1 + 1e-9) + 1e-6).all()


@given(shrinking(st.one_of(scenarios(), eventful_scenarios(), tiered_scenarios())))
def test_every_chip_second_of_a_shrinking_job_is_booked_once(data):
    scenario = cp.load(data)
    world = compile_world(scenario)
    ledger = event.play(world, scenario.simulate.seed, 0, 4, timeline=True)
    check_shrinking(world, ledger)


def test_random_scenarios_do_shrink():
    """Of 40 runs of this one most train at a smaller size, and go back over a change of size."""
    faults = {
        "f": {"mtbf": "60 h", "per": "node", "takes": "node", "restart": "5 min", "repair": "20 h"},
        "silent": {
            "mtbf": "300 h",
            "per": "node",
            "takes": "node",
            "restart": "5 min",
            "repair": "5 h",
            "found": {"expon": {"mean": "10 h"}},
        },
    }
    scenario = cp.load(
        {
            "computeplan": 1,
            "name": "shrinks",
            "sites": {"s": {"pue": 1, "pools": {"p": {"chip": "H100-SXM", "chips": 64}}}},
            "faults": faults,
            "jobs": {
                "j": {
                    "train_for": "200 h",
                    "chips": 64,
                    "checkpoint": {"every": "3 h", "stall": "2 min", "keep": 3},
                    "on_loss": shrink(4, "10 min"),
                }
            },
        }
    )
    world = compile_world(scenario)
    ledger = event.play(world, 7, 0, 40)
    check_shrinking(world, ledger)
    longer = ledger.job_s[:, 0, TRAIN] > world.jobs[0].train_s[0] * 1.01
    assert longer.mean() > 0.9
    assert (ledger.job_s[:, 0, BLOCKED] == 0).mean() > 0.5
    assert (ledger.chip_s[:, 0, 0, BLOCKED] > 0).all()


@given(shrinking(scenarios()), st.integers(0, 40))
def test_shrinking_never_keeps_less_than_waiting(data, restart_min):
    """With the same faults, where taking a node back costs no more than the restart it saves.

    Without planned stops: a job that is blocked when one comes has nothing to save for it.
    """
    data["planned"] = {}
    for job in data["jobs"].values():
        job["on_loss"]["shrink"]["resize"] = "0 s"
        stall = int(job["checkpoint"]["stall"].split()[0])
        restart_min = max(restart_min, stall)
    for kind in data["faults"].values():
        kind["restart"] = f"{restart_min} min"
    shrinks = cp.load(data)
    waits = shrinks.with_({f"jobs.{name}.on_loss": "wait" for name in data["jobs"]})
    seed = shrinks.simulate.seed
    kept = [event.play(compile_world(s), seed, 0, 8).chip_s[..., TRAIN] for s in (shrinks, waits)]
    assert (kept[0] >= kept[1] * (1 - 1e-9) - 1e-6).all()


@given(shrinking(scenarios()))
def test_nothing_changes_where_no_node_is_lacking(data):
    for kind in data["faults"].values():
        kind["takes"] = "nothing"
        kind.pop("repair")
    data["planned"].pop("rolling", None)  # it takes nodes, too
    scenario = cp.load(data)
    world = compile_world(scenario)
    waits = dataclasses.replace(
        world, jobs=Jobs([dataclasses.replace(job, shrinking=None) for job in world.jobs])
    )
    seed = scenario.simulate.seed
    ledger = event.play(world, seed, 0, 4)
    assert_same_books(event.play(waits, seed, 0, 4), ledger, world)
    assert_same_books(batch.play(waits, seed, 0, 4), ledger, world)
    found = measure(ledger, world)
    np.testing.assert_allclose(found["goodput_frac"], found["ettr"], rtol=1e-9)


# -- messages ----------------------------------------------------------------------------------


def refused(message: str, **changes: object) -> None:
    with pytest.raises(ScenarioError, match=message):
        shrinking_world(**changes)


def test_what_cannot_be_is_refused():
    refused("must be wait, or {shrink", on_loss="shrink")
    refused("replicas is missing", on_loss={"shrink": {"resize": "0 s"}})
    refused("resize", on_loss={"shrink": {"replicas": 4}})
    refused("4 nodes on p cannot be dealt out evenly to 3 replicas", on_loss=shrink(3))
    refused("least must be <= 4", on_loss=shrink(4, least=5))
    refused(
        "must divide the dp of parallelism, 4",
        **{"jobs.j.parallelism": {"dp": 4}},
        on_loss=shrink(3),
    )
    experts = {"jobs.j.parallelism": {"dp": 4, "ep": 4}}
    refused("each set of experts lies on 4 ranks, more than the 1 of a replica", **experts)
    without_stall = {"every": "10 s", "state": "1 TB", "bandwidth": "1 TB/s"}
    assert shrinking_world(**{"jobs.j.checkpoint": without_stall})
    refused(
        "stall is missing: a job that takes nodes back saves first",
        **{"jobs.j.checkpoint": {"every": "never", "stall": None}, "planned": {"stop": None}},
    )


def test_replicas_are_those_of_the_layout():
    world = shrinking_world(
        {"shrink": {"resize": "1 min"}}, **{"jobs.j.parallelism": {"tp": 2, "dp": 2}}
    )
    assert world.jobs[0].shrinking.n_replicas == 2


def test_batch_and_closed_form_say_why_not():
    world = shrinking_world()
    assert batch.why_unsupported(world)[0] == "jobs.j.on_loss"
    assert (
        sentence(why_no_closed_form(world))
        == "no closed form: a job that goes on with fewer replicas"
    )


# -- slower, and not stopped -------------------------------------------------------------------

SLOW = 1


def slowed_world(**changes: object):
    """Four nodes and one spare; 100 s of work, 1 s saves after 10 s; a kind that slows to a half.

    Kinds: 0 stops, 1 slows, 2 is the planned stop.
    """
    slows = {"rate": "1 / 1000 node-days", "slows": {"to": 0.5, "lasts": "1 h"}}
    return world_of(**{"faults.slow": slows, **changes})


def slow(time_s: float, lasts_s: float, node: int = 0) -> tuple:
    """Return a straggler."""
    return (time_s, SLOW, node, False, lasts_s, 0.0)


@pytest.mark.parametrize(
    ("arrivals", "seconds", "kept_slow_s", "lost_slow_s", "end_s"),
    [
        # Half the speed from 25 to 45: 18 s of training (less saves at 32 and 43) bring 9; the
        # 109 s of training take 11 saves
        ([slow(25.0, 20.0)], {TRAIN: 109, SAVE: 11}, 9, 0, 120),
        # For good: 77 s of work are left at 25, and take 154 s
        ([slow(25.0, 1e6)], {TRAIN: 177, SAVE: 18}, 77, 0, 195),
        # The whole of a save is not slower
        ([slow(10.0, 1.0)], {TRAIN: 100, SAVE: 10}, 0, 0, 110),
        # In the last save nothing is left to be slow
        ([slow(109.5, 10.0)], {TRAIN: 100, SAVE: 10}, 0, 0, 110),
        # Two at once are as slow as one, until the later ends
        ([slow(25.0, 10.0), slow(30.0, 15.0, 1)], {TRAIN: 109, SAVE: 11}, 9, 0, 120),
        # Of a node that nobody holds
        ([slow(25.0, 20.0, 4)], {TRAIN: 100, SAVE: 10}, 0, 0, 110),
        # A fault at 40 loses 7 s since the save at 33; those that brought half are 7 s. 20 s at
        # full and 10 at 25 to 33 (3 + 7 / 2) are kept: 73.5 left, slow until 55 (10 s less 0)
        (
            [slow(25.0, 30.0), fault(40.0)],
            {TRAIN: 30 + 10 + 68.5, LOST: 7, SAVE: 3 + 8, RESTART: 5},
            3.5 + 5,
            3.5,
            45 + 78.5 + 8,
        ),
        # The slow node goes to repair at 40, and its slowness with it
        (
            [slow(25.0, 30.0), (40.0, FAULT, 0, True, 5.0, 600.0)],
            {TRAIN: 30 + 73.5, LOST: 7, SAVE: 3 + 8, RESTART: 5},
            3.5,
            3.5,
            45 + 73.5 + 8,
        ),
        # A spare that is slow steps in at 40, until 60: 15 s from 45 bring 7 (a save at 55)
        (
            [slow(25.0, 35.0, 4), (40.0, FAULT, 0, True, 5.0, 600.0)],
            {TRAIN: 30 + 77, LOST: 7, SAVE: 3 + 8, RESTART: 5},
            7,
            0,
            45 + 77 + 8,
        ),
        # A planned stop at 40 keeps the 7 s that brought 3.5
        (
            [slow(25.0, 15.0), (40.0, STOP + 1, NO_NODE, False, 9.0, 0.0)],
            {TRAIN: 37 + 70, SAVE: 3 + 1 + 7, RESTART: 9},
            7,
            0,
            50 + 77,
        ),
        # ... unless a fault breaks its save
        (
            [slow(25.0, 15.0), (40.0, STOP + 1, NO_NODE, False, 9.0, 0.0), fault(40.5)],
            {TRAIN: 30 + 73.5, LOST: 7, SAVE: 3 + 0.5 + 8, RESTART: 9.5},
            3.5,
            3.5,
            50 + 73.5 + 8,
        ),
    ],
)
def test_scripted_stragglers_give_the_books_done_by_hand(
    play, arrivals, seconds, kept_slow_s, lost_slow_s, end_s
):
    world = slowed_world()
    ledger = play(world, *arrivals)
    assert phases(ledger) == pytest.approx(seconds, abs=1e-9)
    slow_s = slow_chip_s_of(ledger)[0, 0, 0] / 4
    assert slow_s == pytest.approx([kept_slow_s, lost_slow_s], abs=1e-9)
    assert ledger.end_s[0, 0] == pytest.approx(end_s, abs=1e-9)
    found = measure(ledger, world)
    on_idle = sum(s[1] == SLOW and s[2] == 4 for s in arrivals)
    assert found["n_slowdowns"] == sum(s[1] == SLOW for s in arrivals) - on_idle
    assert found["n_idle_faults"] == on_idle
    assert found["n_unexpected"] == sum(s[1] == FAULT for s in arrivals)
    assert found["goodput_frac"][0] == pytest.approx(100 / end_s)
    assert found["ettr"][0] == pytest.approx(seconds[TRAIN] / end_s)


def test_scripted_damage_of_slow_training(monkeypatch):
    """Found at 60, damaged at 24: back to the save of 22, and 28 s since then are lost.

    From 30 to 45 it is slow: 14 s of training (a save at 32 to 33, one at 43 to 44), 13 of them.
    """
    checkpoint = {"every": "10 s", "stall": "1 s", "keep": 5}
    silent = {"rate": "1 / 1000 node-days", "takes": "nothing", "restart": "1 s", "found": "36 s"}
    world = slowed_world(**{"jobs.j.checkpoint": checkpoint, "faults.silent": silent})
    samples = scripted(
        (24.0, 2, 2, False, 5.0, 0.0), slow(30.0, 15.0), (1e6, 0, 0, False, 0.0, 0.0)
    )
    found_s = np.array([36.0, 0.0, 0.0])[:, None]
    script = Script(dataclasses.replace(samples, found_s=found_s))
    monkeypatch.setattr(event, "Trace", lambda *_: script)
    ledger = event.play(world, 0, 0, 1)
    lost_s = 60 - 22 - 3  # saves at 32, 43 and 54
    expected = {TRAIN: 100, LOST: lost_s, SAVE: 2 + 3 + 8, RESTART: 5}
    assert phases(ledger) == pytest.approx(expected, abs=1e-9)
    assert slow_chip_s_of(ledger)[0, 0, 0] / 4 == pytest.approx([0, 6.5], abs=1e-9)
    assert ledger.end_s[0, 0] == pytest.approx(65 + 88)


def days(depth: float, every: str, n_days: float, **changes: object):
    """Return a world that trains for some days where the speed follows the time of day."""
    return world_of(
        **{
            "sites.s.pools.p.throttle": {"diurnal": depth},
            "jobs.j.checkpoint.every": every,
            "jobs.j.train_for": f"{n_days} d",
            "simulate.horizon": "1000 d",
            **changes,
        }
    )


def by_quadrature(depth: float, every_s: float, save_s: float, begin_s: float, until_s: float):
    """Return work and training of cycles from a time to another, a tenth of a second at a time."""
    times_s = np.arange(begin_s, until_s, 0.1) + 0.05
    trains = (times_s - begin_s) % (every_s + save_s) < every_s
    speed = 1 - depth * (1 - np.cos(2 * np.pi * times_s / 86_400)) / 2
    return float((speed * trains).sum() * 0.1), float(trains.sum() * 0.1)


@pytest.mark.parametrize(
    ("depth", "every_s", "n_days"),
    [(0.02, 1800.0, 3.3), (0.9, 86_399.0, 5.0), (0.5, 86_400.0 * 3, 2.0), (0.3, 43_199.0, 4.7)],
)
def test_the_day_slows_training_down_as_quadrature_says(play, depth, every_s, n_days):
    """Saves that come once a day, or twice, meet the same hours every time."""
    world = days(depth, f"{every_s} s", n_days)
    ledger = play(world)
    (train_s,), end_s = ledger.job_s[0, :, TRAIN], ledger.end_s[0, 0]
    work_s, trained_s = by_quadrature(depth, every_s, 1.0, 0.0, end_s - 1.0)
    assert work_s == pytest.approx(n_days * 86_400, abs=1.0)
    assert trained_s == pytest.approx(train_s, abs=1.0)
    assert slow_chip_s_of(ledger)[0, 0, 0, 0] == pytest.approx((train_s - n_days * 86_400) * 4)
    # cut short by a horizon, the books say what quadrature says of that
    cut = days(depth, f"{every_s} s", n_days, **{"simulate.horizon": "1.7 d"})
    found = play(cut)
    kept_s = found.job_s[0, 0, TRAIN] - slow_chip_s_of(found)[0, 0, 0, 0] / 4
    assert kept_s == pytest.approx(by_quadrature(depth, every_s, 1.0, 0.0, 1.7 * 86_400)[0], abs=1)


def test_a_whole_day_loses_half_of_the_depth(play):
    """Of 10 days without faults and saves, 2 % at the hottest are 1 % on average."""
    world = days(0.02, "never", 9.9)
    assert play(world).end_s[0, 0] == pytest.approx(10 * 86_400, abs=1e-3)


@st.composite
def slowed(draw: st.DrawFn, base: st.SearchStrategy) -> dict:
    """Scenarios with stragglers and pools that throttle."""
    data = draw(base)
    for i in range(draw(st.integers(1, 2))):
        data["faults"][f"s{i}"] = {
            "mtbf": f"{draw(st.integers(3, 100))} h",
            "per": "node",
            "slows": {
                "to": draw(st.floats(0.05, 0.95)),
                "lasts": f"{draw(st.integers(0, 900))} min",
            },
        }
    for pool in data["sites"]["s"]["pools"].values():
        if draw(st.booleans()):
            pool["throttle"] = {"diurnal": draw(st.floats(0.01, 0.9))}
    return data


@given(slowed(st.one_of(scenarios(), eventful_scenarios())))
def test_every_chip_second_of_a_slow_job_is_booked_once(data):
    scenario = cp.load(data)
    world = compile_world(scenario)
    ledger = event.play(world, scenario.simulate.seed, 0, 4)
    check(ledger, world)
    slow_chip_s = slow_chip_s_of(ledger)
    assert (slow_chip_s >= -1e-6).all()
    assert (slow_chip_s <= ledger.chip_s[:, :-1][..., [TRAIN, LOST]] + 1e-6).all()
    for j, job in enumerate(world.jobs):
        chips = int(job.n_nodes[job.home]) * world.pools[job.home].chips_per_node
        trained = ledger.chip_s[:, j, job.home, TRAIN] - slow_chip_s[:, j, job.home, 0]
        ended = np.isfinite(ledger.end_s[:, j])
        work_s = job.train_s[job.home] * ledger.step_factor[:, j, job.home]
        assert trained[ended] / chips == pytest.approx(work_s[ended], rel=1e-9)
        assert (trained / chips <= work_s * (1 + 1e-9)).all()


@given(slowed(scenarios()))
def test_slowness_that_is_none_changes_nothing(data):
    """Stragglers that last no time at all: the books of the batch engine without them."""
    for pool in data["sites"]["s"]["pools"].values():
        pool.pop("throttle", None)
    for name, kind in data["faults"].items():
        if name.startswith("s"):
            kind["slows"]["lasts"] = "0 s"
    scenario = cp.load(data)
    world, seed = compile_world(scenario), scenario.simulate.seed
    plain = compile_world(
        cp.load({**data, "faults": {n: k for n, k in data["faults"].items() if n[0] == "f"}})
    )
    one, other = event.play(world, seed, 0, 4), batch.play(plain, seed, 0, 4)
    np.testing.assert_allclose(one.job_s, other.job_s, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(one.chip_s, other.chip_s, rtol=1e-9, atol=1e-6)
    slows = np.array([name.startswith("s") and name != "stop" for name in world.kind_names])
    np.testing.assert_array_equal(
        one.counts["interruptions"][:, ~slows], other.counts["interruptions"]
    )
    assert not one.counts["interruptions"][:, slows].any()


@given(slowed(scenarios()), st.floats(0.01, 0.99))
def test_slower_never_keeps_more(data, share):
    """Where nothing stops a job; a fault may find a slower one just after a save."""
    data["planned"] = {}
    data["faults"] = {name: kind for name, kind in data["faults"].items() if name[0] == "s"}
    for job in data["jobs"].values():
        if job["checkpoint"]["every"] == "optimal":
            job["checkpoint"]["every"] = "1 h"
    scenario = cp.load(data)
    slower = scenario.with_(
        {
            f"faults.{name}.slows.to": kind["slows"]["to"] * share
            for name, kind in data["faults"].items()
        }
    )
    kept = []
    for one in (scenario, slower):
        ledger = event.play(compile_world(one), one.simulate.seed, 0, 4)
        kept.append(ledger.chip_s[:, :-1, :, TRAIN] - slow_chip_s_of(ledger)[..., 0])
    assert (kept[1] <= kept[0] * (1 + 1e-9) + 1e-6).all()


def test_a_slow_job_that_lost_a_node_goes_on_with_both(play):
    """From 25 at a half; from 54, after a fault at 49 and a restart, with three of four nodes."""
    world = slowed_world(**NO_SPARES, **{"jobs.j.on_loss": shrink()})
    ledger = play(world, slow(25.0, 1e6), taken(49.0, 1e6, node=3))
    check(ledger, world)
    # Kept at 44: 23 s, and 17 s at a half. The rest at 3/8, a save after every 10 s
    left_s = (100 - 23 - 17 / 2) / (0.5 * 0.75)
    assert ledger.end_s[0, 0] == pytest.approx(54 + left_s - (-left_s // 10))
    kept_chip_s = ledger.chip_s[0, 0, 0, TRAIN] - slow_chip_s_of(ledger)[0, 0, 0, 0]
    assert kept_chip_s == pytest.approx(4 * 100)


def test_slow_nodes_do_not_hold_back_writes_behind_training(play):
    world = slowed_world(**{"jobs.j.checkpoint.write": "1 s"})
    ledger = play(world, slow(25.0, 20.0))
    check(ledger, world)
    assert ledger.end_s[0, 0] == pytest.approx(121)  # as with saves that block, and the last write


def test_what_says_nothing_beside_slows_is_refused():
    with pytest.raises(ScenarioError, match="restart is missing"):
        world_of(**{"faults.f.restart": None})
    with pytest.raises(ScenarioError, match="stops no job and sends nothing to repair: drop takes"):
        slowed_world(**{"faults.slow.takes": "node", "faults.slow.repair": "1 h"})
    assert batch.why_unsupported(slowed_world())[0] == "faults.slow.slows"
    assert (
        sentence(why_no_closed_form(slowed_world()))
        == "no closed form: slow: nodes that hold their job back"
    )
    hot = days(0.02, "1 h", 1.0)
    assert batch.why_unsupported(hot)[0] == "sites.s.pools.p.throttle"
    assert (
        sentence(why_no_closed_form(hot))
        == "no closed form: a speed that varies with the time of day"
    )


@given(
    st.sampled_from(["first-fit", "fifo-backfill"]),
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(1, 30), st.integers(0, 40), st.booleans()),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_jobs_that_go_on_may_share_a_pool(policy, wanted, slows, seed):
    """Spares, nodes that other jobs leave, and stragglers that go from job to job."""
    stop = {"per": "node", "mtbf": "200 h", "restart": "10 min", "repair": "9 h"}
    faults = {"f": {**stop, "takes": {"node": 0.7, "nothing": 0.3}}}
    if slows:
        faults["slow"] = {"per": "node", "mtbf": "20 h", "slows": {"to": 0.5, "lasts": "20 h"}}
    jobs = {
        f"j{i}": {
            "chips": 2 * nodes,
            "train_for": f"{hours} h",
            "arrival": f"{arrival} h",
            "checkpoint": {"every": "1 h", "stall": "1 min"},
            **({"on_loss": shrink(nodes, "3 min")} if shrinks and not slows else {}),
        }
        for i, (nodes, hours, arrival, shrinks) in enumerate(wanted)
    }
    pool = {"chip": "H100-SXM", "chips": 16, "chips_per_node": 2, "spares": "1 nodes"}
    world = compile_world(
        cp.load(
            {
                "computeplan": 1,
                "name": "shared",
                "sites": {"s": {"pue": 1.2, "pools": {"p": pool}}},
                "faults": faults,
                "planned": {"stop": {"every": "30 h", "lasts": "20 min"}},
                "jobs": jobs,
                "policy": policy,
            }
        )
    )
    ledger = event.play(world, seed, 0, 2)
    check(ledger, world)
    for j, job in enumerate(world.jobs):
        work_chip_s = ledger.chip_s[:, j, 0, TRAIN] - slow_chip_s_of(ledger)[:, j, 0, 0]
        assert work_chip_s == pytest.approx(job.train_s[0] * job.n_nodes[0] * 2, rel=1e-9)


# -- what is told first ------------------------------------------------------------------------


def test_the_goodput_fraction_comes_first_where_jobs_shrank():
    base = cp.load(
        {
            "computeplan": 1,
            "name": "told",
            "sites": {"s": {"pue": 1, "pools": {"p": {"chip": "H100-SXM", "chips": 64}}}},
            "faults": {
                "f": {
                    "mtbf": "200 h",
                    "per": "node",
                    "takes": "node",
                    "restart": "5 min",
                    "repair": "20 h",
                }
            },
            "jobs": {
                "j": {
                    "train_for": "100 h",
                    "chips": 64,
                    "checkpoint": {"every": "1 h", "stall": "1 min"},
                }
            },
            "simulate": {"runs": 4, "seed": 1},
        }
    )
    waits = cp.run(base)
    assert [q.name for q in headline(waits)][1:3] == ["ettr", "available_frac"]
    case = next(iter(waits.cases.values()))
    np.testing.assert_allclose(case.values["goodput_frac"], case.values["ettr"])
    shrinks = cp.run(base.with_({"jobs.j.on_loss": shrink(8, "1 min")}))
    assert any("is assumed to train that much slower" in note for note in sentences(shrinks.notes))
    told = [q.name for q in headline(shrinks)]
    assert told[1:3] == ["ettr", "goodput_frac"]
    assert "available_frac" not in told
    case = next(iter(shrinks.cases.values()))
    assert (case.values["goodput_frac"] < case.values["ettr"]).all()
    again = cp.load(YAML(typ="safe").load(shrinks.scenario_yaml))
    assert again.jobs["j"].on_loss.shrink.replicas == 8
    texts = [text.get_text() for text in shrinks.plot.goodput().texts]
    assert "Goodput" in texts
