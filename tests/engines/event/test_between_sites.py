"""One job over two sites: what summing gradients over the uplinks costs a step, by hand."""

from __future__ import annotations

import pytest

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.errors import ScenarioError
from computeplan.report.numbers import headline
from computeplan.report.words import sentence

POOL = {"chip": "nvidia/h100-sxm", "chips": 512}
STEP_S = 10.0
N_STEPS = 100
GRADIENT_BYTES = 4 * 8_030_261_248  # of Llama 3.1 8B, in 32 bits


def scenario(west=None, east=None, *, mixed=None, **job):
    """100 steps of 10 s where all 1,024 chips are at one place; each site has half of them."""
    uplink = {"pue": 1.2, "uplink": "400 Gbit/s"}
    return {
        "computeplan": 1,
        "name": "s",
        "policy": "mixed-fifo",
        "sites": {
            "west": {"pools": {"a": POOL}, **uplink, **(west or {})},
            "east": {"pools": {"b": POOL}, **uplink, **(east or {})},
        },
        "jobs": {
            "j": {
                "model": "meta/llama-3.1-8b",
                "tokens": f"{N_STEPS * 1024 * 8192} token",
                "seq": 8192,
                "batch": f"{1024 * 8192} token",
                "chips": 1024,
                "step": f"{STEP_S} s",
                "mixed": mixed or {},
                "checkpoint": {"every": "never"},
                **job,
            }
        },
        "simulate": {"runs": 1},
    }


def played(data):
    world = compile_world(cp.load(data))
    return event.play(world, 0, 0, 1), world


@pytest.mark.parametrize(
    ("east", "mixed", "wait_s"),
    [
        # Each site sends half of the gradients twice: all of them once, at 50 GB/s.
        ({}, {}, GRADIENT_BYTES / 50e9),
        ({"uplink": "100 Gbit/s"}, {}, GRADIENT_BYTES / 12.5e9),  # the slower one
        # Light takes 1.467 / 299,792.458 s for 1 km of fibre, and there are two messages.
        ({}, {"distance": "3000 km"}, GRADIENT_BYTES / 50e9 + 2 * 3000 * 1.467 / 299_792.458),
    ],
)
def test_every_step_waits_for_the_sum_of_gradients(east, mixed, wait_s):
    ledger, world = played(scenario(east=east, mixed=mixed))
    assert ledger.end_s[0, 0] == pytest.approx(N_STEPS * (STEP_S + wait_s), rel=1e-9)
    (said,) = (one for one in world.notes if one.code == "mixed_over_uplink")
    assert said.values["wait_s"] == pytest.approx(wait_s, rel=1e-9)
    assert said.values["frac"] == pytest.approx(STEP_S / (STEP_S + wait_s), rel=1e-9)
    assert "whole replicas at each: every step of 10 s then waits" in sentence(said)


def test_gradients_are_paid_for_by_the_gigabyte():
    """Each site sends all gradients once a step, and the west pays for it."""
    west = {"uplink": {"rate": "400 Gbit/s", "price": "0.3 CNY/GB"}, "price": "0.5 CNY/kWh"}
    data = scenario(west=west, east={"price": "0.5 CNY/kWh"})
    result = cp.run(cp.load({**data, "currency": "CNY"}))
    values = result.cases["s"].values
    sent = N_STEPS * GRADIENT_BYTES / 1e9 * 0.3
    assert values["sent_cny"] == pytest.approx(sent, rel=1e-9)
    assert values["cost_cny"] == pytest.approx(values["electricity_cny"] + sent, rel=1e-12)
    assert "sent_cny" in [one.name for one in headline(result)]


def test_sites_of_different_speed():
    """A quarter of the job where a step takes 10 s, and three of them where it takes 30 s."""
    data = scenario(
        west={"pools": {"a": {**POOL, "chips": 256}}},
        east={"pools": {"b": {**POOL, "chips": 768}}},
        mfu={"a": 0.45, "b": 0.15},
    )
    del data["jobs"]["j"]["step"]
    ledger, world = played(data)
    fast_s, slow_s = world.jobs[0].train_s / N_STEPS
    assert slow_s == pytest.approx(3 * fast_s)
    step_s = 1 / (0.25 / fast_s + 0.75 / slow_s)
    assert step_s == pytest.approx(2 * fast_s)
    wait_s = GRADIENT_BYTES / 50e9
    assert ledger.end_s[0, 0] == pytest.approx(N_STEPS * (step_s + wait_s), rel=1e-9)


def test_an_efficiency_that_is_written_counts_alone():
    ledger, world = played(scenario(mixed={"efficiency": 0.5}))
    assert ledger.end_s[0, 0] == pytest.approx(N_STEPS * STEP_S / 0.5)
    assert "mixed_over_uplink" not in [one.code for one in world.notes]


def test_on_one_site_there_is_nothing_to_sum():
    """The policy sees what it would lose, and waits for no other site."""
    data = scenario(west={"pools": {"a": {**POOL, "chips": 1024}}})
    ledger, _ = played(data)
    assert ledger.end_s[0, 0] == pytest.approx(N_STEPS * STEP_S)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (scenario(east={"uplink": None}), "write sites.east.uplink: 100 Gbit/s"),
        (scenario(mixed={"efficiency": 0.9, "distance": "1 km"}), "drop distance"),
        (scenario(mixed={"latency": "5 ms"}), "write distance: 1200 km"),
        (
            scenario(east={"pools": {"b": POOL, "c": POOL}}),
            r"east has b, c: name one of each site in only: \[...\]",
        ),
        (
            {
                **scenario(),
                "jobs": {"j": {"train_for": "1 h", "chips": 1024, "mixed": {}}},
            },
            "a job without model, batch and seq has no gradients",
        ),
    ],
)
def test_what_cannot_be_priced_is_refused(data, said):
    with pytest.raises(ScenarioError, match=said):
        compile_world(cp.load(data))
