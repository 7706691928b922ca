"""Where specs meet physics: speeds, watts, rates and fits, and what is refused before a run."""

from __future__ import annotations

import math

import numpy as np
import pytest

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.ledger import IDLE, TRAIN
from computeplan.physics.steptime.transformer import flop_per_token, shape_of
from computeplan.report.words import sentences


def scenario(**changes):
    base = {
        "computeplan": 1,
        "name": "small",
        "sites": {
            "s": {
                "pue": 1.25,
                "carbon": "500 g/kWh",
                "price": "0.08 USD/kWh",
                "pools": {"p": {"chip": "nvidia/h100-sxm", "chips": 64}},
            }
        },
        "jobs": {
            "j": {
                "model": "meta/llama-3.1-70b",
                "tokens": "10 Gtoken",
                "batch": "1 Mtoken",
                "seq": 8192,
                "chips": 64,
            }
        },
        "simulate": {"runs": 1},
    }
    return cp.load(base).with_(changes)


def world_of(**changes):
    return compile_world(scenario(**changes))


def notes_of(**changes):
    return " | ".join(sentences(world_of(**changes).notes))


def token_flop():
    model = scenario().catalogue.models["meta/llama-3.1-70b"]
    return flop_per_token(shape_of(model.architecture()), 8192)


def test_speed_is_peak_times_mfu():
    job = world_of(**{"jobs.j.mfu": 0.4}).jobs[0]
    expected_s = 10e9 * token_flop() / (64 * 989.4e12 * 0.4)
    assert job.train_s[0] == pytest.approx(expected_s)
    assert job.tok_per_s[0] == pytest.approx(10e9 / expected_s)


def test_default_mfu_is_sourced_and_said():
    job = world_of().jobs[0]
    assert job.mfu[0] == pytest.approx(0.394, abs=0.001)
    assert "mfu 0.394 on nvidia/h100-sxm is measured on meta/llama-3.1-70b" in notes_of()


def test_achieved_flop_replaces_mfu():
    by_mfu = world_of(**{"jobs.j.mfu": 0.4}).jobs[0]
    achieved = world_of(**{"jobs.j.achieved": f"{989.4 * 0.4} TFLOP/s"}).jobs[0]
    assert achieved.train_s[0] == pytest.approx(by_mfu.train_s[0])
    assert achieved.mfu[0] == pytest.approx(0.4)


def test_mfu_may_be_given_by_pool():
    job = world_of(**{"jobs.j.mfu": {"p": 0.5}}).jobs[0]
    assert job.mfu[0] == 0.5


def test_three_ways_to_state_the_work_agree():
    tokens = world_of(**{"jobs.j.mfu": 0.4}).jobs[0]
    work = world_of(**{"jobs.j.mfu": 0.4, "jobs.j.work": f"{10e9 * token_flop()} FLOP"}).jobs[0]
    assert work.train_s[0] == pytest.approx(tokens.train_s[0], rel=1e-9)
    train_for = world_of(**{"jobs.j.mfu": 0.4, "jobs.j.train_for": "30 h"}).jobs[0]
    assert train_for.train_s[0] == 30 * 3600
    assert train_for.tok_per_s[0] == pytest.approx(tokens.tok_per_s[0])


def test_a_chip_without_a_measured_mfu_asks_for_one():
    with pytest.raises(cp.ScenarioError, match=r"no sourced MFU for dense 50-100B on amd/mi300x"):
        world_of(**{"sites.s.pools.p.chip": "amd/mi300x"})
    assert (
        world_of(**{"sites.s.pools.p.chip": "amd/mi300x", "jobs.j.mfu": 0.35}).jobs[0].mfu[0]
        == 0.35
    )


def test_no_node_is_older_than_the_longest_life_seen():
    """Of 1 d and 3 d, with a mean of 5 d by the rate, the longer is 7.5 d."""
    lives = {"mtbf": "5 d", "per": "node", "law": {"seen": ["1 d", "3 d"]}, "age": "7.4 d"}
    old = {"faults.f": {**lives, "takes": "nothing", "restart": "5 min"}}
    old["jobs.j.checkpoint"] = {"every": "1 h", "stall": "5 s"}
    (kind,) = world_of(**old).pools[0].kinds
    assert kind.lifetime.law.scale_s * kind.lifetime.law.shapes[-1] == pytest.approx(7.5 * 86_400)
    with pytest.raises(cp.ScenarioError, match=r"faults\.f\.age: no node lives .* is 7\.5 d"):
        world_of(**old, **{"faults.f.age": "7.6 d"})


def test_a_precision_the_chip_lacks_is_refused_with_what_it_has():
    with pytest.raises(cp.ScenarioError, match=r"jobs\.j\.precision.*no dense bf16 peak.*fp16"):
        world_of(**{"sites.s.pools.p.chip": "nvidia/v100", "jobs.j.mfu": 0.3})


def test_chips_with_mfus_of_different_runs_are_not_like_for_like():
    llama = cp.load("h100-h200-910b")
    assert not any(
        "not like for like" in note
        for note in sentences(cp.run(llama.with_({"simulate.runs": 1})).notes)
    )
    mixed = scenario(
        cases={
            "70b": {},
            "405b": {"jobs.j.model": "meta/llama-3.1-405b"},
        }
    )
    assert any("not like for like" in note for note in sentences(cp.run(mixed).notes))


def test_batch_is_rounded_to_whole_sequences_and_said_so():
    assert "j 134 (1,097,728 tokens)" in notes_of(**{"jobs.j.batch": "1.1 Mtoken"})
    assert "rounded" not in notes_of(**{"jobs.j.batch": f"{128 * 8192} tokens"})


def test_ranks_count_devices_and_pools_count_packages():
    """An Ascend 910C shows two devices: 128 ranks are 64 packages."""
    changes = {
        "sites.s.pools.p.chip": "huawei/ascend-910c",
        "jobs.j.chips": None,
        "jobs.j.parallelism": {"tp": 8, "dp": 16},
        "jobs.j.mfu": 0.3,
    }
    assert world_of(**changes).jobs[0].n_nodes[0] == 8


def test_jobs_hold_whole_nodes_and_say_so():
    world = world_of(**{"jobs.j.chips": 60})
    assert world.jobs[0].n_nodes[0] == 8
    assert "j holds whole nodes of p: 64 chips for 60" in sentences(world.notes)


def test_the_same_rate_in_every_form():
    forms = {
        "observed": {"observed": {"interruptions": 419, "over": "54 d", "chips": 16384}},
        "chip": {"mtbf": f"{54 * 24 * 16384 / 419} h", "per": "chip"},
        "node": {"mtbf": f"{54 * 24 * 2048 / 419} h", "per": "node"},
        "rate": {"rate": f"{419 / 54 / 2048 * 1000} / 1000 node-days"},
    }
    rates = []
    for form in forms.values():
        fault = {**form, "takes": "nothing", "restart": "5 min"}
        world = world_of(
            **{"faults": {"f": fault}, "jobs.j.checkpoint": {"every": "1 h", "stall": "9 s"}}
        )
        rates.append(world.pools[0].fault_rate_per_node_s)
    np.testing.assert_allclose(rates, 419 / (54 * 86_400 * 2048), rtol=1e-9)


def test_optimal_interval_uses_the_jobs_own_mtbf():
    changes = {
        "faults": {
            "f": {"mtbf": f"{185.585 * 8} min", "per": "node", "takes": "nothing", "restart": "0 s"}
        },
        "jobs.j.checkpoint": {"every": "optimal", "stall": "1 min"},
    }
    assert world_of(**changes).jobs[0].interval_s[0] / 60 == pytest.approx(18.605, abs=2e-3)


def test_watts_at_a_meter_with_the_host_have_nothing_around_them():
    own = world_of(
        **{"sites.s.pools.p.power": {"meter": "node", "compute": "1 kW", "idle": "200 W"}}
    )
    pool = own.pools[0]
    assert (pool.node_overhead_w == 0).all()
    assert (pool.network_w == 0).all()
    assert pool.chip_w[TRAIN] == 1000
    assert pool.chip_w[IDLE] == 200


def test_watts_above_the_board_limit_are_taken_as_given():
    pool = world_of(
        **{"sites.s.pools.p.power": {"meter": "accelerator", "compute": "900 W"}}
    ).pools[0]
    assert pool.chip_w[TRAIN] == 900


def test_an_unknown_tdp_gives_no_energy_and_says_why():
    case = scenario(**{"sites.s.pools.p.chip": "google/tpu-v5p", "jobs.j.mfu": 0.4})
    result = cp.run(case)
    assert math.isnan(result.cases["small"].values["energy_kwh"][0])
    assert any("google/tpu-v5p: no TDP is published" in note for note in sentences(result.notes))
    with pytest.raises(cp.ScenarioError, match=r"policy.*least-energy needs the watts"):
        compile_world(case.with_({"policy": "least-energy"}))


def test_estimated_chips_are_marked():
    notes = notes_of(**{"sites.s.pools.p.chip": "biren/br100", "jobs.j.mfu": 0.3})
    assert "biren/br100: its profile is an estimate" in notes


def test_watts_that_are_guessed_are_said():
    meter = {"meter": "accelerator", "compute": "900 W"}
    said = notes_of(**{"sites.s.pools.p.power": meter})
    assert "pool p: load, wait, idle are assumed to draw the watts of compute (estimate)" in said


def test_more_flops_than_the_peak_are_refused():
    with pytest.raises(cp.ScenarioError, match=r"jobs\.j\.achieved: is more than the dense bf16"):
        world_of(**{"jobs.j.achieved": "2 PFLOP/s"})


def test_a_given_mfu_beside_a_default_one_is_not_like_for_like():
    result = cp.run(scenario(cases={"default": {}, "given": {"jobs.j.mfu": 0.7}}))
    assert any("not like for like" in note for note in sentences(result.notes))


def test_a_deadline_that_lies_ahead_is_not_missed():
    changes = {"jobs.j.deadline": "1000 d", "simulate.horizon": "1 h"}
    assert cp.run(scenario(**changes)).cases["small"].values["n_deadlines_missed"][0] == 0
    changes = {"jobs.j.deadline": "30 min", "simulate.horizon": "1 h"}
    assert cp.run(scenario(**changes)).cases["small"].values["n_deadlines_missed"][0] == 1


def test_cost_and_carbon_follow_the_facility_meter():
    values = cp.run(scenario()).cases["small"].values
    np.testing.assert_allclose(values["cost_usd"], values["energy_kwh"] * 0.08)
    np.testing.assert_allclose(values["carbon_kg"], values["energy_kwh"] * 0.5)
    yuan = {
        "sites.s.price": "0.5 CNY/kWh",
        "exchange": {"rate": "0.14 USD/CNY", "on": "2026-11-01"},
    }
    values = cp.run(scenario(**yuan)).cases["small"].values
    np.testing.assert_allclose(values["cost_usd"], values["energy_kwh"] * 0.07)
    rent = {"sites.s.pools.p.rent": "2 USD/chip/h"}
    rented = cp.run(scenario(**rent)).cases["small"].values
    chip_h = 64 * rented["wall_days"] * 24
    np.testing.assert_allclose(rented["cost_usd"], rented["energy_kwh"] * 0.08 + 2 * chip_h)


def test_without_a_price_there_is_no_cost():
    values = (
        cp.run(scenario(**{"sites.s.price": None, "sites.s.carbon": None})).cases["small"].values
    )
    assert math.isnan(values["cost_usd"][0])
    assert math.isnan(values["carbon_kg"][0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"jobs.j.chips": 128},
            r"jobs\.j\.chips: wants 128 chips, but no pool has so many \(chips: p 64\)",
        ),
        (
            {
                "faults.f": {
                    "mtbf": "1 s",
                    "per": "chip",
                    "takes": "nothing",
                    "restart": "1 s",
                },
                "jobs.j.checkpoint": {"every": "1 h", "stall": "1 s"},
            },
            r"jobs\.j: would take .* years",
        ),
        (
            {
                "planned.p": {"every": "1 ms", "lasts": "0 s"},
                "jobs.j.checkpoint": {"every": "1 h", "stall": "1 s"},
            },
            r"planned\.p: about .* faults and stops in a run; more than 200,000 are not played",
        ),
        *(
            (
                {
                    "faults.f": {
                        "mtbf": "50 kh",
                        "per": "chip",
                        "takes": "node",
                        "restart": "10 min",
                        "repair": "20 h",
                        "law": {"lognorm": {"s": 10}},
                        "age": age,
                    },
                    "jobs.j.checkpoint": {"every": "1 h", "stall": "1 s"},
                },
                r"faults\.f: about .* so many lives are short that a new node faults about \S+e\+0",
            )
            for age in ("new", "steady")
        ),
        (
            {"sites.s.pools.p.spares": "1e8 nodes"},
            r"sites\.s\.pools\.p\.spares: makes 100,000,0.. nodes in all, .* the 4,000,000 that",
        ),
        (
            {"sites.s.pools.p.chips": 100_000_000, "sites.s.pools.p.chips_per_node": 1},
            r"sites\.s\.pools\.p\.chips: makes 100,000,00. nodes in all, .* the 4,000,000 that",
        ),
        (
            {
                "sites.s.pools": {
                    f"p{n}": {"chip": "nvidia/h100-sxm", "chips": 1024} for n in range(40)
                },
                "faults": {
                    "f": {"mtbf": "5 h", "per": "node", "takes": "nothing", "restart": "1 s"},
                    "g": {"mtbf": "5 year", "per": "node", "takes": "nothing", "restart": "1 s"},
                },
                "jobs.j.checkpoint": {"every": "1 min", "stall": "0 s"},
                "simulate.horizon": "320 d",
            },
            r"faults\.f: about 7.88e\+06 faults and stops in a run, 100 % of them f; more than",
        ),
        (
            {
                "sites.s.pools.p": {
                    "chip": "nvidia/h100-sxm",
                    "chips": 1_000_000,
                    "chips_per_node": 1,
                },
                "faults.f": {
                    "mtbf": "1e9 year",
                    "per": "pool",
                    "takes": "pool",
                    "restart": "1 s",
                    "repair": "1 s",
                },
                "jobs.j.checkpoint": {"every": "1 min", "stall": "0 s"},
            },
            r"faults\.f: about 1e\+06 faults and stops in a run \(each node of a group counts\)",
        ),
    ],
)
def test_what_cannot_be_is_found_before_the_first_run(changes, message):
    with pytest.raises(cp.InfeasibleError, match=message):
        world_of(**changes)


def hardly_ever_saving(**changes):
    """Return the world of a job that faults each hour, and may be 400 times slower than stated."""
    job = {"chips": 64, "work": "3.7e20 FLOP", "checkpoint": {"every": "never"}}
    fault = {"mtbf": "8 h", "per": "node", "takes": "nothing", "restart": "5 min"}
    job |= {"achieved": "400 +60 -399 TFLOP/s"}
    return world_of(jobs={"j": job}, **{"faults.f": fault}, **changes)


def test_a_job_that_hardly_ever_ends_at_its_slowest_is_played_to_the_cap():
    world = hardly_ever_saving(**{"simulate.at_most": "5 d"})
    assert np.isinf(world.jobs[0].wall_at_worst_s(0, world.pools[0]))
    assert world.look_s(0) == 5 * 86_400
    assert world.arrivals_by_kind(0) == {"f": pytest.approx(120)}
    with pytest.raises(
        cp.InfeasibleError, match=r"faults\.f: faults and stops without end in a run"
    ):
        hardly_ever_saving()


def test_a_job_that_lacks_nodes_for_ever_is_given_up():
    starved = scenario(
        **{
            "faults.f": {
                "mtbf": "100 h",
                "per": "node",
                "takes": "node",
                "restart": "0 s",
                "repair": "1000 h",
            },
            "jobs.j": {
                "train_for": "40 h",
                "chips": 64,
                "checkpoint": {"every": "1 h", "stall": "0 s"},
            },
        }
    )
    for engine in ("batch", "event"):
        with pytest.raises(cp.InfeasibleError, match=r"jobs\.j: would take .* years"):
            cp.run(starved.with_({"simulate.engine": engine}))


def test_an_unknown_policy_suggests_the_nearest():
    with pytest.raises(cp.ScenarioError, match=r"no policy .fist-fit.\. Did you mean .first-fit."):
        world_of(policy="fist-fit")


def test_silo_asks_for_homes_where_there_is_a_choice():
    two = scenario(**{"sites.s.pools.q": {"chip": "nvidia/h100-sxm", "chips": 64}})
    with pytest.raises(cp.ScenarioError, match=r"jobs\.j: home is missing"):
        compile_world(two.with_({"policy": "silo"}))
    compile_world(two.with_({"policy": "silo", "jobs.j.home": "q"}))
    with pytest.raises(cp.InfeasibleError, match="is larger than its home pool"):
        compile_world(
            two.with_({"policy": "silo", "jobs.j.home": "q", "sites.s.pools.q.chips": 32})
        )


# -- what is hardly plausible ----------------------------------------------------------------------


RATE = {"rate": "0.14 USD/CNY", "on": "2026-11-01"}


def plausible(**changes):
    """Return the compiled world of a small model whose context is known."""
    job = {"model": "meta/llama-3.1-8b", "seq": 8192, "batch": "4 Mitoken", "mfu": 0.4}
    return world_of(**{f"jobs.j.{key}": value for key, value in job.items()} | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sites.s.price": "80 USD/kWh"}, "site s: 80 USD/kWh is a very high price of electricity"),
        ({"sites.s.price": "1.01 USD/kWh"}, "(above 1): is the unit right?"),
        ({"sites.s.price": "8 元/kWh", "exchange": RATE}, "site s: 8 CNY/kWh is a very high price"),
        ({"sites.s.carbon": "400 kg/kWh"}, "site s: 400 kg/kWh is more carbon than any grid emits"),
        (
            {"jobs.j.seq": 262_144, "jobs.j.batch": "16 Mitoken"},
            "j: seq 262,144 is beyond the context of meta/llama-3.1-8b, 131,072 tokens",
        ),
        (
            {"jobs.j.batch": "4 Mtoken"},
            "j: batch 4 Mtoken is rounded to 488 sequences of 8,192; 4 Mitoken is 512 of them",
        ),
        (
            {"jobs.j.batch": "256 ktoken"},
            "j: batch 256 ktoken is rounded to 31 sequences of 8,192; 256 Kitoken is 32 of them",
        ),
    ],
)
def test_what_is_hardly_plausible_is_said(changes, said):
    assert any(said in text for text in sentences(plausible(**changes).notes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sites.s.price": "1 USD/kWh"},
        {"sites.s.price": "7 元/kWh", "exchange": RATE},
        {"sites.s.carbon": "2 kg/kWh"},
        {"jobs.j.seq": 131_072, "jobs.j.batch": "16 Mitoken"},
        {"jobs.j.batch": "4 Mitoken"},
        {"jobs.j.batch": "16.8 Mtoken"},  # 2,050.78 sequences: no prefix was mistaken
        {"jobs.j.batch": "5 Mtoken", "jobs.j.seq": 1000},  # whole sequences as it is
    ],
)
def test_what_is_plausible_is_not_questioned(changes):
    codes = {note.code for note in plausible(**changes).notes}
    doubts = {"price_is_high", "carbon_is_high", "seq_beyond_context", "batch_of_decimal_prefix"}
    assert not codes & doubts


def test_a_batch_with_a_binary_prefix_is_named_where_a_layout_divides_it():
    with pytest.raises(cp.ScenarioError, match="512 would do; so would batch: 4 Mitoken, 512 seq"):
        plausible(**{"jobs.j.batch": "4 Mtoken", "jobs.j.mfu": None, "jobs.j.parallelism.dp": 64})
