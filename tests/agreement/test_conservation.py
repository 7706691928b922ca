"""Every chip-second once: for random scenarios, by both engines, and for schedules."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import scenarios
from worlds import check

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.ledger import QUEUE, TRAIN, make_ledger

POLICIES = ["silo", "first-fit", "fifo-backfill", "fastest-first", "least-energy"]


@given(scenarios(), st.sampled_from([batch, event]))
def test_every_chip_second_is_booked_once(data, engine):
    scenario = cp.load(data)
    world = compile_world(scenario)
    check(engine.play(world, scenario.simulate.seed, 0, 4), world)


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


def test_books_that_do_not_add_up_are_refused():
    scenario = cp.load("llama3-405b")
    world = compile_world(scenario)
    ledger = batch.play(world, 1, 0, 2)
    chip_s = ledger.chip_s.copy()
    chip_s[1, 0, 0, TRAIN] += 1e-6 * chip_s[1].sum()
    with pytest.raises(AssertionError, match="books of run 1, pool 0 do not add up"):
        make_ledger(dataclasses.replace(ledger, booked=chip_s[..., None]), world.n_chips)
