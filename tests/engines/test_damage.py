"""Silent damage: found late, and undone by going back to a save from before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Script, laws, scenarios, scripted, tiered_scenarios
from worlds import check, phases, world_of

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.ledger import BLOCKED, LOST, RESTART, SAVE, TRAIN
from computeplan.trace import Trace
from computeplan.world.world import World

HOUR_S = 3600.0
FAULT, DAMAGE, STOP = 0, 1, 2


def world_with_damage(**changes: object) -> World:
    """Four nodes and a spare, 100 s of work, saves of 1 s after each 10 s, three of them kept."""
    silent = {
        "mtbf": "1 year",
        "per": "node",
        "takes": "node",
        "restart": "1 s",
        "repair": "1 s",
        "found": "1 s",
    }
    checkpoint = {"every": "10 s", "stall": "1 s", "keep": 3}
    return world_of(**{"jobs.j.checkpoint": checkpoint, "faults.silent": silent, **changes})


@pytest.fixture
def play(monkeypatch):
    """Return a function that plays a script whose last column is when damage is found."""

    def run(world, *arrivals):
        samples = scripted(*[arrival[:-1] for arrival in arrivals])
        found_s = np.array([arrival[-1] for arrival in arrivals])[:, None]
        object.__setattr__(samples, "found_s", found_s)
        monkeypatch.setattr(event, "Trace", lambda *_: Script(samples))
        ledger = event.play(world, 0, 0, 1, timeline=True)
        check(ledger, world)
        held_s = sum(span.end_s - span.start_s for span in ledger.spans)
        assert held_s == pytest.approx(ledger.job_s[0, 0, :-1].sum())
        return ledger

    return run


def damage(time_s: float, found_s: float, *, takes: bool = False, repair_s: float = 0.0) -> tuple:
    """Return damage on node 0 that is found after a time and costs a restart of 5 s."""
    return (time_s, DAMAGE, 0, takes, 5.0, repair_s, int(takes), found_s)


def fault(time_s: float, kind: int = FAULT, node: int = 0) -> tuple:
    """Return a fault that is noticed at once and takes nothing, with a restart of 2 s."""
    return (time_s, kind, node, False, 2.0, 0.0, 0, 0.0)


@pytest.mark.parametrize(
    ("arrivals", "expected", "n_from_start"),
    [
        # damaged at 25, found at 40, 37 s trained: the save complete at 22 is clean, 17 s are lost
        ([damage(25.0, 15.0)], {TRAIN: 100, LOST: 17, SAVE: 3 + 8, RESTART: 5}, 0),
        # damaged exactly when the save is complete: it is clean
        ([damage(22.0, 18.0)], {TRAIN: 100, LOST: 17, SAVE: 3 + 8, RESTART: 5}, 0),
        # damaged in that save: only the one before is
        ([damage(21.9, 18.1)], {TRAIN: 100, LOST: 27, SAVE: 3 + 9, RESTART: 5}, 0),
        # found at 56 with 51 s trained: those of 30, 40, 50 s are kept, that of 20 s is gone
        ([damage(25.0, 31.0)], {TRAIN: 100, LOST: 51, SAVE: 5 + 10, RESTART: 5}, 1),
        # found at 54.5: those of 20, 30, 40 s are kept
        ([damage(25.0, 29.5)], {TRAIN: 100, LOST: 30, SAVE: 4.5 + 8, RESTART: 5}, 0),
        # damaged before the first save is complete
        ([damage(5.0, 20.0)], {TRAIN: 100, LOST: 23, SAVE: 2 + 10, RESTART: 5}, 1),
        # found after the end: nobody looks
        ([damage(25.0, 85.5)], {TRAIN: 100, SAVE: 10}, 0),
        # another fault at 27 goes back to 20 s; from 29 on, 4 s more until it is found at 33
        (
            [damage(25.0, 8.0), fault(27.0)],
            {TRAIN: 100, LOST: 5 + 4, SAVE: 2 + 8, RESTART: 2 + 5},
            0,
        ),
        # saves since then are not trusted either: 20 s and not 30 at 45, where 35 are trained
        (
            [damage(25.0, 20.0), fault(27.0)],
            {TRAIN: 100, LOST: 5 + 15, SAVE: 3 + 8, RESTART: 2 + 5},
            0,
        ),
        # a save before a planned stop is one of those kept: 23 s at 26, damaged at 30, found at 40
        (
            [(25.0, STOP, -1, False, 7.0, 0.0, 0, 0.0), damage(30.0, 10.0)],
            {TRAIN: 100, LOST: 7, SAVE: 3 + 8, RESTART: 7 + 5},
            0,
        ),
        # a node that nobody uses does no damage
        ([(25.0, DAMAGE, 4, True, 5.0, 9.0, 1, 3.0)], {TRAIN: 100, SAVE: 10}, 0),
    ],
)
def test_scripted_damage_gives_the_books_done_by_hand(play, arrivals, expected, n_from_start):
    ledger = play(world_with_damage(), *arrivals)
    assert phases(ledger) == pytest.approx(expected, abs=1e-9)
    assert ledger.counts["from_start"][0, 0] == n_from_start
    assert ledger.end_s[0, 0] == pytest.approx(sum(expected.values()))


def test_scripted_damage_takes_its_node_when_it_is_found(play):
    """No spares: node 0 is away from 40 to 100, not from 25 on."""
    world = world_with_damage(**{"sites.s.pools.p.spares": "0 nodes"})
    ledger = play(world, damage(25.0, 15.0, takes=True, repair_s=60.0))
    expected = {TRAIN: 100, LOST: 17, SAVE: 3 + 8, BLOCKED: 60, RESTART: 5}
    assert phases(ledger) == pytest.approx(expected)
    assert ledger.counts["repairs"][0, 0] == 1
    assert ledger.counts["interruptions"][0].tolist() == [0, 1, 0]


def test_scripted_damage_goes_back_to_the_slowest_tier(play):
    """At 60 memory holds 50 s, of no use; disk holds 20 and 40 s: 20 s, read in 7 s."""
    tiers = {
        "memory": {"every": "10 s", "stall": "1 s", "load": "1 s", "survives": "nothing"},
        "disk": {
            "every": "20 s",
            "stall": "0 s",
            "write": "5 s",
            "load": "7 s",
            "survives": "all",
        },
    }
    world = world_with_damage(**{"jobs.j.checkpoint": {"tiers": tiers, "keep": 3}})
    # disk: 20 s taken at 22 and complete at 27; 40 s at 44 and 49
    ledger = play(world, damage(27.0, 33.0))
    assert phases(ledger)[LOST] == pytest.approx(35)
    assert phases(ledger)[RESTART] == pytest.approx(12)
    ledger = play(world, damage(26.9, 33.1))
    assert phases(ledger)[LOST] == pytest.approx(55)
    assert phases(ledger)[RESTART] == pytest.approx(5)


def world_of_chance(keep: int, found: object) -> World:
    """One node damaged every 200 d on average, which trains for 101 d and saves every 10 h."""
    return compile_world(
        cp.load(
            {
                "computeplan": 1,
                "name": "chance",
                "sites": {"s": {"pue": 1, "pools": {"p": {"chip": "H100-SXM", "chips": 8}}}},
                "faults": {
                    "silent": {
                        "mtbf": "200 d",
                        "per": "node",
                        "takes": "nothing",
                        "restart": "0 s",
                        "found": found,
                    }
                },
                "jobs": {
                    "j": {
                        "train_for": "1000 d",
                        "chips": 8,
                        "checkpoint": {"every": "10 h", "stall": "0 s", "keep": keep},
                    }
                },
                "simulate": {"horizon": "2400 h"},
            }
        )
    )


@given(st.one_of(scenarios(), tiered_scenarios()), laws(), st.integers(1, 5))
def test_every_chip_second_is_booked_once_with_damage(data, found, keep):
    data["faults"]["f0"]["found"] = found
    for job in data["jobs"].values():
        job["checkpoint"]["keep"] = keep
    scenario = cp.load(data)
    world = compile_world(scenario)
    ledger = event.play(world, scenario.simulate.seed, 0, 3, timeline=True)
    check(ledger, world)
    held_s = sum(span.end_s - span.start_s for span in ledger.spans)
    assert held_s == pytest.approx(ledger.job_s[0, :, :-1].sum(), rel=1e-9, abs=1e-6)
    assert (ledger.job_s >= -1e-6).all()


@pytest.mark.parametrize("keep", [10, 1])
def test_damage_costs_what_the_closed_form_says(keep):
    """Of runs with one finding, after 400 h of 2,400: damaged at any time of the first 2,000 h.

    With enough saves kept, the loss is half an interval and the delay; with one, whatever there is.
    4 standard errors: 1 false alarm in 16,000, and the seed is fixed.
    """
    n_kept = 100 if keep > 1 else 1
    ledger = event.play(world_of_chance(n_kept, "400 h"), 7, 0, 3000)
    one = ledger.counts["interruptions"][:, 0] == 1
    lost_s = ledger.job_s[one, 0, LOST]
    expected_s = (10 / 2 + 400) * HOUR_S if keep > 1 else (2000 / 2 + 400) * HOUR_S
    standard_error = lost_s.std(ddof=1) / np.sqrt(one.sum())
    assert one.sum() > 500
    assert abs(lost_s.mean() - expected_s) < 4 * standard_error
    from_start = ledger.counts["from_start"][one, 0]
    assert (from_start == 1).all() if keep == 1 else from_start.mean() < 0.02


def test_the_delay_is_drawn_from_its_law():
    world = world_of_chance(3, {"expon": {"mean": "6 h"}})
    found_s = Trace(world, 3, 0, 640).arrivals(0, world.horizon_s).found_s
    standard_error = found_s.std(ddof=1) / np.sqrt(found_s.size)
    assert abs(found_s.mean() - 6 * HOUR_S) < 4 * standard_error


def test_batch_does_not_play_damage():
    world = world_of_chance(3, "1 h")
    with pytest.raises(cp.UnsupportedByEngine, match=r"faults.silent.found: .* noticed later"):
        batch.play(world, 0, 0, 1)


def test_damage_asks_how_many_checkpoints_are_kept():
    with pytest.raises(cp.ScenarioError, match=r"keep is missing: faults.silent is found late"):
        world_with_damage(**{"jobs.j.checkpoint.keep": None})


def test_starts_from_scratch_are_counted_only_where_damage_is():
    scenario = cp.load("spares").with_({"simulate.runs": 2})
    for case in cp.run(scenario).cases.values():
        assert np.isnan(case.values["n_from_start"]).all()
