"""Against what we did not write: published counts, closed forms, a formula's published energy.

Tolerances are those of the validation cases, written down before the first run.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.metrics import by_site
from computeplan.report.words import sentence
from computeplan.specs.catalogue.lookup import load_chip

MTBF_MIN = 185.5847  # 54 days / 419
WORK_MIN = 69_984  # 0.9 x 54 days
ANALYTIC = [  # interval, save, restart [min]; expected makespan [min], Daly's exact form
    (15, 1, 10, 82_278.2),
    (30, 1, 10, 83_064.9),
    (60, 1, 5, 86_537.8),
    (5, 0.5, 10, 82_460.2),
]


def single(**job: object) -> dict[str, object]:
    """One job on one chip that fails every 185.5847 minutes, in place."""
    return {
        "computeplan": 1,
        "name": "analytic",
        "sites": {
            "s": {"pue": 1, "pools": {"p": {"chip": "H100-SXM", "chips": 1, "chips_per_node": 1}}}
        },
        "faults": {
            "f": {"mtbf": f"{MTBF_MIN} min", "per": "node", "takes": "nothing", "restart": "0 s"}
        },
        "jobs": {"j": {"train_for": f"{WORK_MIN} min", "chips": 1, **job}},
    }


def analytic_world(interval, save, restart):
    scenario = cp.load(single(checkpoint={"every": f"{interval} min", "stall": f"{save} min"}))
    return compile_world(scenario.with_({"faults.f.restart": f"{restart} min"}))


@pytest.mark.parametrize(("interval", "save", "restart", "makespan"), ANALYTIC)
def test_batch_has_the_exact_makespan(interval, save, restart, makespan):
    wall_min = batch.play(analytic_world(interval, save, restart), 7, 0, 2000).wall_s / 60
    standard_error = wall_min.std(ddof=1) / math.sqrt(wall_min.size)
    assert wall_min.mean() == pytest.approx(makespan, rel=0.002)
    assert abs(wall_min.mean() - makespan) <= 3.5 * standard_error  # 1 false alarm in 2,000


def test_event_has_the_exact_makespan():
    interval, save, restart, makespan = ANALYTIC[0]
    wall_min = event.play(analytic_world(interval, save, restart), 7, 0, 500).wall_s / 60
    standard_error = wall_min.std(ddof=1) / math.sqrt(wall_min.size)
    assert wall_min.mean() == pytest.approx(makespan, rel=0.002)
    assert abs(wall_min.mean() - makespan) <= 3.5 * standard_error


@pytest.mark.parametrize(("interval", "save", "restart", "makespan"), ANALYTIC)
def test_engines_agree_on_the_exact_cases(interval, save, restart, makespan):
    world = analytic_world(interval, save, restart)
    one, other = batch.play(world, 7, 0, 50), event.play(world, 7, 0, 50)
    np.testing.assert_allclose(one.wall_s, other.wall_s, rtol=1e-9)
    np.testing.assert_allclose(one.chip_s, other.chip_s, atol=1e-9 * one.wall_s.max())
    assert one.wall_s.mean() / 60 == pytest.approx(makespan, rel=0.02)


def test_llama3_counts_419_unexpected_and_47_planned():
    result = cp.run(cp.load("llama3-405b"))
    case = result.cases["every 15 min, 64 spares"]
    unexpected = case.values["n_unexpected"]
    assert unexpected.size == 1000
    assert unexpected.mean() == pytest.approx(419, rel=0.01)
    low, high = np.quantile(unexpected, [0.025, 0.975])
    assert low <= 419 <= high
    assert 60 <= high - low <= 100  # Poisson: 379 to 459
    assert (case.values["n_planned"] == 47).all()
    assert "job MTBF 3.09 h" in sentence(case.facts["faults"])
    assert (case.values["n_idle_faults"] > 0).mean() > 0.9  # counted apart
    assert case.values["ettr"].mean() > 0.9  # published: more than 90 %


def test_llama3_with_13_minute_saves_has_ettr_0_904():
    scenario = cp.load("llama3-405b").with_(
        {
            "cases": None,
            "planned": None,
            "jobs.pretrain.checkpoint": {"every": "13 min", "stall": "30 s"},
            "faults.unexpected.restart": "5 min",
            "sites.east.pools.h100.spares": "1000 nodes",  # never all gone
        }
    )
    ettr = cp.run(scenario).cases["llama3-405b"].values["ettr"]
    assert ettr.mean() == pytest.approx(0.904, abs=0.005)


def test_gpt3_energy_chain():
    """Patterson et al. 2021, table 4: 14.8 days, 1,287 MWh, 552 t; 330 W hold the host's share."""
    scenario = cp.load(
        {
            "computeplan": 1,
            "name": "gpt3",
            "sites": {
                "s": {
                    "pue": 1.10,
                    "carbon": "0.429 kg/kWh",
                    "pools": {
                        "v100": {
                            "chip": "V100",
                            "chips": 10_000,
                            "power": {"meter": "accelerator", "compute": "330 W"},
                        }
                    },
                }
            },
            "jobs": {
                "gpt3": {
                    "work": "3.14e23 FLOP",
                    "achieved": "24.6 TFLOP/s",
                    "precision": "fp16",
                    "chips": 10_000,
                }
            },
            "simulate": {"runs": 1},
        }
    )
    case = cp.run(scenario).cases["gpt3"]
    assert case.values["wall_days"][0] == pytest.approx(14.8, rel=0.01)
    assert case.values["energy_kwh"][0] / 1e3 == pytest.approx(1287, rel=0.01)
    assert case.values["carbon_kg"][0] / 1e3 == pytest.approx(552, rel=0.01)
    assert "accelerator x PUE 1.1" in sentence(case.facts["meter"])
    assert math.isnan(case.values["energy_chip_kwh"][0])  # not known at that meter
    assert math.isnan(case.values["goodput_tok_per_s"][0])  # no model, no tokens


def test_h100_against_910b_dense_by_dense():
    """1979 / 376 = 5.26 divides a sparse peak by a dense one; dense by dense it is half."""
    chips = {name: load_chip(name)[0] for name in ("nvidia/h100-sxm", "910B2", "910B3")}
    peak = {name: chip.peak_flop_per_s("bf16") for name, chip in chips.items()}
    assert peak["nvidia/h100-sxm"] / peak["910B2"] == pytest.approx(2.63, abs=0.005)
    assert peak["nvidia/h100-sxm"] / peak["910B3"] == pytest.approx(3.16, abs=0.005)
    scenario = cp.load("h100-h200-910b").with_({"simulate.inputs": "fixed"})
    for ratio in ("5.2", "2.63", "3.16", "3.21", "3.64"):
        assert ratio in scenario.about
    values = {name: case.values for name, case in cp.run(scenario).cases.items()}
    throughput = {name: value["throughput_tok_per_s"].mean() for name, value in values.items()}
    assert throughput["H100"] / throughput["Ascend 910B2"] == pytest.approx(3.21, abs=0.005)
    assert throughput["H100"] / throughput["Ascend 910B3"] == pytest.approx(3.64, abs=0.005)
    for value in values.values():
        for name in ("wall_days", "energy_kwh", "cost_usd", "carbon_kg"):
            assert np.isfinite(value[name]).all()


def test_meters_nest():
    case = cp.run(cp.load("h100-h200-910b").with_({"simulate.runs": 4})).cases["H100"]
    chip, it = case.values["energy_chip_kwh"], case.values["energy_it_kwh"]
    assert (chip < it).all()
    np.testing.assert_allclose(case.values["energy_kwh"], it * 1.25)
    train_only = (
        cp.load("h100-h200-910b")
        .with_({"faults": None, "cases": None, "sites.here.pools.pool.spares": "0 nodes"})
        .with_({"jobs.train-70b.checkpoint": {"every": "never"}, "simulate.runs": 1})
    )
    values = cp.run(train_only).cases["h100-h200-910b"].values
    watts = values["energy_it_kwh"][0] * 1e3 / (values["wall_days"][0] * 24) / 2048
    assert watts == pytest.approx(_h100_w_of_it(train_only), rel=1e-6)


def _h100_w_of_it(scenario):
    """Return the watts of a chip in training, with a DGX around eight and three ports a node port.

    The host draws 0.3078 of what the rating of 10.2 kW leaves beside the chips, fans a tenth of
    what is inside, supplies of 20.4 kW in all lose 0.00847 of that and 0.0237 of what they draw.
    """
    (waits,) = [n["exposed_frac"] for n in map(_values, compile_world(scenario).notes) if n]
    chip_w = 668.2 - waits * (668.2 - 255.7)
    inside_w = 1.1 * (0.3078 * (10_200 - 5600) + 8 * chip_w)
    return (inside_w + 0.00847 * 20_400) / 0.9763 / 8 + 1920 * 3 / 64


def _values(one):
    return dict(one.values) if one.code == "training_mix" else {}


def test_engines_know_nothing_of_watts():
    world = compile_world(cp.load("h100-h200-910b"))
    ledger = batch.play(world, 1, 0, 3)
    before = by_site(ledger, world).jobs["energy_kwh"]
    hotter = compile_world(cp.load("h100-h200-910b").with_({"sites.here.pue": 2.5}))
    np.testing.assert_allclose(by_site(ledger, hotter).jobs["energy_kwh"], 2 * before)
