"""Every chip-second once: for random scenarios, by both engines, and for schedules."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import eventful_scenarios, scenarios, tiered_scenarios
from worlds import check, world_of

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.ledger import IDLE, LOST, PHASES, QUEUE, REPAIR, RESTART, SAVE, TRAIN, make_ledger
from computeplan.world.signals import Signal

POLICIES = ["silo", "first-fit", "fifo-backfill", "fastest-first", "least-energy"]


@given(scenarios(), st.sampled_from([batch, event]))
def test_every_chip_second_is_booked_once(data, engine):
    scenario = cp.load(data)
    world = compile_world(scenario)
    check(engine.play(world, scenario.simulate.seed, 0, 4), world)


@given(scenarios(), st.sampled_from(["batch", "event"]))
def test_the_timeline_adds_up_to_the_books_of_either_engine(data, engine):
    """Of what is saved and shown; saves once stood in it as training."""
    result = cp.run(cp.load(data).with_({"simulate.engine": engine, "simulate.runs": 2}))
    (case,) = result.cases.values()
    told = dict.fromkeys(("train", "lost", "save", "restart", "blocked"), 0.0)
    for span in case.spans:
        told[PHASES[span.phase]] += (span.end_s - span.start_s) * span.n_chips / 3600
    booked = {phase: case.values[f"{phase}_chip_h"][0] for phase in told}
    assert told == pytest.approx(booked, rel=1e-9, abs=1e-6 * (1 + sum(booked.values())))


def test_a_timeline_of_many_saves_stays_small():
    """A million saves are shown as some hundred stretches of training and saving."""
    job = {"train_for": "1e6 s", "chips": 4, "checkpoint": {"every": "1 s", "stall": "0.1 s"}}
    world = world_of(**{"faults": {}, "planned": {}, "jobs.j": job, "simulate.horizon": "30 d"})
    ledger = event.play(world, 0, 0, 1, timeline=True)
    check(ledger, world)
    assert 900 < len(ledger.spans) < 1200


@given(
    st.sampled_from(POLICIES),
    st.lists(
        st.tuples(
            st.integers(1, 16), st.integers(1, 30), st.integers(0, 40), st.sampled_from("ab")
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 10_000),
    st.booleans(),
)
def test_every_chip_second_of_a_schedule_is_booked_once(policy, wanted, seed, ends):
    jobs = {
        f"j{i}": {
            "chips": chips,
            "train_for": f"{hours} h",
            "arrival": f"{arrival} h",
            "home": home,
            "checkpoint": {"every": "1 h", "stall": "1 min"},
        }
        for i, (chips, hours, arrival, home) in enumerate(wanted)
    }
    scenario = cp.load(
        {
            "computeplan": 1,
            "name": "schedule",
            "sites": {
                "s": {
                    "pue": 1.2,
                    "pools": {
                        "a": {
                            "chip": "H100-SXM",
                            "chips": 16,
                            "chips_per_node": 2,
                            "spares": "1 nodes",
                        },
                        "b": {"chip": "Ascend-910B2", "chips": 16, "chips_per_node": 4},
                    },
                }
            },
            "faults": {
                "f": {
                    "mtbf": "400 h",
                    "per": "node",
                    "takes": {"node": 0.6, "nothing": 0.4},
                    "restart": "10 min",
                    "repair": {"lognormal": {"median": "3 h", "sigma": 1}},
                }
            },
            "planned": {
                "stop": {"every": "30 h", "lasts": "20 min"},
                "firmware": {
                    "rolling": "3 nodes",
                    "every": "5 h",
                    "lasts": "7 h",
                    "restart": "10 min",
                    "rounds": 2,
                    "pools": ["a"],
                },
            },
            "jobs": jobs,
            "policy": policy,
            "simulate": {"seed": seed, **({} if ends else {"horizon": "50 h"})},
        }
    )
    world = compile_world(scenario)
    ledger = event.play(world, seed, 0, 2, timeline=True)
    check(ledger, world)
    assert (ledger.job_s[..., QUEUE] >= 0).all()
    if ends:
        assert np.isfinite(ledger.end_s).all()
    # the timeline of a job is as long as its books
    held_s = sum(span.end_s - span.start_s for span in ledger.spans)
    booked_s = ledger.job_s[0, :, :QUEUE].sum()
    assert held_s == pytest.approx(booked_s, rel=1e-9, abs=1e-6)


def with_signals(world, *signals: Signal):
    """Return a world where these signals vary in time, the same on each pool."""
    named = {f"s{i}": (signal,) * len(world.pools) for i, signal in enumerate(signals)}
    return dataclasses.replace(world, signals=named)


def steps(at_s: float, then: float) -> Signal:
    """Return a signal that is 1 before a time and something else from then on."""
    return Signal(np.array([0.0, at_s]), np.array([1.0, then]))


# A fall-back behind two stretches, as a save is complete long after it was taken.
DEEP = {
    "computeplan": 1,
    "name": "deep",
    "sites": {
        "s": {"pue": 1.2, "pools": {"p0": {"chip": "H100", "chips_per_node": 4, "chips": 20}}}
    },
    "faults": {
        "f0": {"mtbf": "5 h", "per": "chip", "takes": "node", "restart": "1 min", "repair": "1 min"}
    },
    "jobs": {
        "j0": {
            "train_for": "1 h",
            "chips": 17,
            "checkpoint": {"every": "optimal", "stall": "7 min", "write": "12 min"},
        }
    },
    "simulate": {"horizon": "2 h", "seed": 0},
}


@example(DEEP, 1, 0, event)
@given(
    st.one_of(eventful_scenarios(), tiered_scenarios()),
    st.integers(1, 100),
    st.sampled_from([0, 3]),
    st.sampled_from([batch, event]),
)
def test_every_chip_second_is_weighted_once(data, at_h, then, engine):
    """A signal of one gives plain seconds; any other adds up to its integral."""
    scenario = cp.load(data)
    plain = compile_world(scenario)
    signal = steps(at_h * 3600.0, then)
    world = with_signals(plain, steps(1.0, 1.0), signal)
    ledger = engine.play(world, scenario.simulate.seed, 0, 4)
    assert (ledger.chip_s == engine.play(plain, scenario.simulate.seed, 0, 4).chip_s).all()
    scale = float(ledger.chip_s.sum(axis=(1, 3)).max())
    assert ledger.weighted("s0") == pytest.approx(ledger.chip_s, abs=1e-9 * scale)
    total = ledger.weighted("s1").sum(axis=(1, 3))
    due = np.array(world.n_chips) * signal.integral(0.0, ledger.wall_s)[:, None]
    assert total == pytest.approx(due, abs=1e-9 * scale * 3)


@given(st.one_of(eventful_scenarios(), tiered_scenarios()), st.integers(1, 100))
def test_engines_agree_on_what_a_signal_weighs(data, at_h):
    """Where stops cut no stretch in two, both split training and saving in the same way."""
    data["planned"] = {}
    scenario = cp.load(data)
    world = with_signals(compile_world(scenario), steps(at_h * 3600.0, 3.0))
    one, other = (e.play(world, scenario.simulate.seed, 0, 4) for e in (batch, event))
    scale = float(one.chip_s.sum(axis=(1, 3)).max())
    assert one.weighted("s0") == pytest.approx(other.weighted("s0"), abs=3e-9 * scale)


def test_a_tariff_that_steps_is_booked_as_by_hand(play):
    """It is 1 until 20 s and 5 from then on; four nodes of one chip, one spare, a fault at 25 s."""
    ledger = play(with_signals(world_of(), steps(20.0, 5.0)), (25.0, 0, 0, True, 5.0, 60.0))
    job, unallocated = ledger.weighted("s0")[0, :, 0]
    first = (
        10 + (9 + 5) + 3 * 5
    )  # training to 10, from 11 to 21, and from 22 to 25 s, which is lost
    assert job[TRAIN] == pytest.approx(4 * (first * 20 / 23 + 80 * 5))
    assert job[LOST] == pytest.approx(4 * first * 3 / 23)
    assert job[SAVE] == pytest.approx(4 * (1 + 5 + 8 * 5))  # from 10 and 21 s, and 8 times later
    assert job[RESTART] == pytest.approx(4 * 5 * 5)
    assert unallocated[REPAIR] == pytest.approx(60 * 5)
    assert unallocated[IDLE] == pytest.approx(45 + 5 * ((1000 - 85) + 4 * (1000 - 118)))


def test_books_that_do_not_add_up_are_refused():
    scenario = cp.load("llama3-405b")
    world = compile_world(scenario)
    ledger = batch.play(world, 1, 0, 2)
    chip_s = ledger.chip_s.copy()
    chip_s[1, 0, 0, TRAIN] += 1e-6 * chip_s[1].sum()
    with pytest.raises(AssertionError, match="books of run 1, pool 0 do not add up"):
        make_ledger(dataclasses.replace(ledger, booked=chip_s[..., None]), world.n_chips)
