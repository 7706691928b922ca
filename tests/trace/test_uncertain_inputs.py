"""Uncertain inputs: one quantile a run and chip, from the trace to the answer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from worlds import assert_same_books

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.ledger import TRAIN
from computeplan.metrics import measure, measure_jobs
from computeplan.report.words import sentence
from computeplan.specs.uncertain import Factor
from computeplan.trace.streams import BLOCK
from computeplan.trace.trace import Trace, step_factors
from computeplan.world.jobs import Jobs
from computeplan.world.world import World

H100, B200, NO_LINKS = "nvidia/h100-sxm", "nvidia/b200", "metax/c500"
POOL = {"chips": 64, "spares": "2 nodes", "chips_per_node": 8}


def scenario_of(mfu: Any = "0.40 +- 0.03", chip: str = H100, **changes: Any) -> Any:
    """A model on 64 chips of 8 to a node that sometimes fail; dots as two underscores."""
    data = {
        "computeplan": 1,
        "name": "uncertain",
        "sites": {"s": {"pue": 1, "pools": {"p": {**POOL, "chip": chip}}}},
        "faults": {
            "f": {
                "mtbf": "2 d",
                "per": "node",
                "takes": {"node": 0.5, "nothing": 0.5},
                "restart": {"lognormal": {"median": "6 min", "p95": "20 min"}},
                "repair": {"expon": {"mean": "12 h"}},
            }
        },
        "jobs": {
            "j": {
                "model": "llama-3.1-8b",
                "tokens": "100 Gtoken",
                "batch": "2 Mitoken",
                "seq": 8192,
                "chips": 64,
                "mfu": mfu,
                "checkpoint": {"every": "30 min", "stall": "10 s"},
            }
        },
    }
    return cp.load(data).with_({path.replace("__", "."): v for path, v in changes.items()})


def world_of(*args: Any, **changes: Any) -> World:
    return compile_world(scenario_of(*args, **changes))


def two_chips(**mfus: Any) -> World:
    """A world of pools a and b with the same chip, and c of another, a job at home on each."""
    data = scenario_of().document.data
    (site,) = data["sites"].values()
    spec = site["pools"].pop("p")
    chips = {"a": H100, "b": H100, "c": B200}
    site["pools"] = {name: {**spec, "chip": chip} for name, chip in chips.items()}
    job = data["jobs"]["j"]
    data["jobs"] = {f"on_{p}": {**job, "home": p, "mfu": mfus.get(p, 0.4)} for p in chips}
    return compile_world(cp.load({**data, "policy": "silo"}))


# -- the quantile ----------------------------------------------------------------------------------


def test_one_quantile_a_run_and_chip_for_all_jobs_and_pools_each_with_its_own_band():
    world = two_chips(a="0.40 +- 0.03", b="0.30 +- 0.10", c="0.40 +- 0.03")
    found = step_factors(world, Trace(world, 11, 0, 4 * BLOCK))
    assert found.shape == (4 * BLOCK, 3, 3)
    a, b, c = (found[:, j, j] for j in range(3))
    z = [
        scipy.stats.norm.ppf(Trace(world, 11, 0, 4 * BLOCK).quantiles()[name])
        for name in (f"quantile_of_step_time_on_{H100}", f"quantile_of_step_time_on_{B200}")
    ]
    for factor, score, low, high in (
        (a, z[0], 40 / 43, 40 / 37),
        (b, z[0], 30 / 40, 30 / 20),
        (c, z[1], 40 / 43, 40 / 37),
    ):
        sigma = math.log(high / low) / (2 * scipy.stats.norm.ppf(0.95))
        np.testing.assert_allclose(factor, math.sqrt(low * high) * np.exp(sigma * score))
    assert abs(np.corrcoef(z[0], z[1])[0, 1]) < 0.2
    assert scipy.stats.kstest(z[0], "norm").pvalue > 0.001


def test_a_run_has_its_quantile_whichever_runs_are_asked_for_and_whatever_the_case():
    world = world_of()
    all_runs = step_factors(world, Trace(world, 3, 0, 3 * BLOCK))
    some = step_factors(world, Trace(world, 3, BLOCK + 5, 7))
    np.testing.assert_array_equal(some, all_runs[BLOCK + 5 : BLOCK + 12])
    other = world_of(jobs__j__chips=32, jobs__j__checkpoint__every="5 min", simulate__horizon="9 d")
    np.testing.assert_array_equal(step_factors(other, Trace(other, 3, 0, 3 * BLOCK)), all_runs)


def test_the_band_holds_nine_runs_of_ten():
    factors = step_factors(world := world_of(), Trace(world, 5, 0, 64 * BLOCK))[:, 0, 0]
    inside = ((factors > 40 / 43) & (factors < 40 / 37)).mean()
    assert inside == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / len(factors)))


def test_a_fault_rate_keeps_its_stream_when_the_step_becomes_uncertain():
    plain, uncertain = world_of(0.4), world_of()
    one, other = (Trace(world, 7, 0, 8).arrivals(0, 1e6) for world in (plain, uncertain))
    np.testing.assert_array_equal(one.time_s[0], other.time_s[0])


# -- the engines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("simulate", [{}, {"simulate__horizon": "12 d"}])
@pytest.mark.parametrize(
    "checkpoint",
    [
        {"every": "30 min", "stall": "10 s"},
        {"every": "30 min", "stall": "10 s", "write": "5 min", "load": "3 min"},
    ],
)
def test_both_engines_agree_run_by_run(simulate, checkpoint):
    world = world_of("0.40 +0.05 -0.15", jobs__j__checkpoint=checkpoint, **simulate)
    one, other = batch.play(world, 7, 60, 8), event.play(world, 7, 60, 8)
    assert_same_books(one, other, world)
    assert np.ptp(one.step_factor) > 0.1
    assert one.counts["interruptions"].sum() > 8


@pytest.mark.parametrize("engine", [batch, event], ids=["batch", "event"])
def test_training_takes_the_factor_times_as_long_and_saves_stay_seconds(engine):
    world = world_of(faults=None)
    ledger = engine.play(world, 7, 0, 8)
    factor = ledger.step_factor[:, 0, 0]
    train_s = world.jobs[0].train_s[0] * factor
    np.testing.assert_allclose(ledger.job_s[:, 0, TRAIN], train_s, rtol=1e-12)
    saves = np.ceil(train_s / 1800 - 1e-9)  # one after every half hour of training, and at the end
    np.testing.assert_allclose(ledger.end_s[:, 0], train_s + 10 * saves, rtol=1e-12)


@pytest.mark.parametrize("engine", [batch, event], ids=["batch", "event"])
def test_a_world_without_uncertain_inputs_has_the_books_that_it_had(engine):
    """Factors of 1, drawn from a band of no width, change not one bit."""
    plain = world_of(0.4)
    job = replace(plain.jobs[0], step_factor=(Factor(1.0, math.nextafter(1.0, 2.0), "lognormal"),))
    drawn = replace(plain, jobs=Jobs([job]))
    one, other = engine.play(plain, 7, 0, 8), engine.play(drawn, 7, 0, 8)
    kept = np.flatnonzero(other.step_factor[:, 0, 0] == 1.0)
    assert kept.size
    for name in ("booked", "job_s", "end_s"):
        np.testing.assert_array_equal(getattr(one, name)[kept], getattr(other, name)[kept])


def test_samples_reach_as_far_as_slow_runs_ask():
    sure, uncertain = world_of(0.4), world_of("0.40 +- 0.10")
    worst = uncertain.jobs[0].step_factor[0].worst
    assert worst == pytest.approx(
        math.sqrt(0.8 * 4 / 3) * (4 / 3 / 0.8) ** (2.3263 / 3.2897), rel=1e-3
    )
    assert uncertain.first_look_s(0, 0) > 1.2 * sure.first_look_s(0, 0)


def test_policies_see_nominal_values():
    sure, uncertain = world_of(0.4), world_of()
    np.testing.assert_array_equal(sure.wall_s, uncertain.wall_s)
    np.testing.assert_array_equal(sure.job_table.energy_j, uncertain.job_table.energy_j)
    assert sure.jobs[0].interval_s == uncertain.jobs[0].interval_s


# -- what is counted -------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [None, "3 d"])
def test_tokens_are_the_work_done_at_the_speed_of_the_run(horizon):
    world = world_of(faults=None, simulate__horizon=horizon)
    ledger = batch.play(world, 7, 0, 64)
    factor = ledger.step_factor[:, 0, 0]
    values, jobs = measure(ledger, world), measure_jobs(ledger, world)
    np.testing.assert_allclose(
        values["throughput_tok_per_s"], world.jobs[0].tok_per_s[0] / factor, rtol=1e-12
    )
    if horizon is None:
        np.testing.assert_allclose(jobs["kept_frac"][:, 0], 1.0)
        np.testing.assert_allclose(values["goodput_tok_per_s"] * ledger.wall_s, 100e9, rtol=1e-6)
    else:
        due_s = world.jobs[0].train_s[0] * factor
        np.testing.assert_allclose(jobs["kept_frac"][:, 0], ledger.job_s[:, 0, TRAIN] / due_s)


def test_a_training_time_that_is_given_is_known():
    job = {"tokens": None, "train_for": "50 h"}
    world = world_of(**{f"jobs__j__{key}": value for key, value in job.items()})
    assert world.jobs[0].step_factor_on(0).is_known


def test_results_keep_the_quantiles_and_say_what_share_of_the_spread_is_inputs(tmp_path):
    scenario = scenario_of(
        "0.40 +- 0.10",
        faults__f__observed_on="A100-80GB",
        faults__f__mtbf="8 d",
        faults__f__takes="nothing",
        sites__s__pools__p__fault_factor={"low": 1, "high": 8},
        simulate__runs=200,
    )
    result = cp.run(scenario)
    (case,) = result.cases.values()
    assert set(case.inputs) == {
        f"quantile_of_step_time_on_{H100}",
        f"quantile_of_fault_rate_on_{H100}",
    }
    assert case.inputs_share("time_to_train_days") > 0.9
    n = case.values["n_unexpected"]  # given its rate, a count of Poisson's law
    share = case.inputs_share("n_unexpected")
    assert share == pytest.approx(1 - n.mean() / n.var(), abs=0.15)
    cp.save_result(result, tmp_path / "r")
    (loaded,) = cp.load_result(tmp_path / "r").cases.values()
    for name, values in case.inputs.items():
        np.testing.assert_array_equal(loaded.inputs[name], values)
    sure = cp.run(scenario.with_({"simulate.inputs": "fixed"}))
    (case,) = sure.cases.values()
    assert case.inputs == {}
    assert math.isnan(case.inputs_share("time_to_train_days"))
    of_chance = case.values["time_to_train_days"].var()
    of_both = loaded.values["time_to_train_days"].var()
    share = loaded.inputs_share("time_to_train_days")
    assert share == pytest.approx(1 - of_chance / of_both, abs=0.05)


# -- inputs that are fixed -------------------------------------------------------------------------


def test_fixed_inputs_are_nominal_and_say_so():
    changes = {"faults__f__observed_on": "A100-80GB", "simulate__inputs": "fixed"}
    world = world_of(**changes)
    assert world.jobs[0].step_factor_on(0).is_known
    (kind,) = world.pools[0].kinds
    assert (kind.factor.low, kind.factor.high) == (Factor(1, 3).mean,) * 2
    assert Trace(world, 1, 0, 2).quantiles() == {}
    texts = " | ".join(map(sentence, world.notes))
    assert "inputs are fixed" in texts
    assert "ASSUMED 1.82048 times as often (in every run)" in texts
    assert np.ptp(batch.play(world, 1, 0, 8).step_factor) == 0


# -- what a person writes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "ends"),
    [
        ("0.40 +- 0.03", (40 / 43, 40 / 37)),
        ("0.40 ± 0.03", (40 / 43, 40 / 37)),
        ("0.4 +/- 0.03", (40 / 43, 40 / 37)),
        ("0.41 +0.02 -0.03", (41 / 43, 41 / 38)),
        ({"p": "0.40 +- 0.03"}, (40 / 43, 40 / 37)),
        (0.4, (1.0, 1.0)),
        ({"p": 0.4}, (1.0, 1.0)),
    ],
)
def test_a_utilisation_with_its_band(written, ends):
    world = world_of(written)
    factor = world.jobs[0].step_factor_on(0)
    assert (factor.low, factor.high) == pytest.approx(ends)
    codes = [note.code for note in world.notes]
    assert ("speeds_without_band" in codes) == factor.is_known


@pytest.mark.parametrize(
    ("key", "written", "ends"),
    [
        ("achieved", "400 TFLOP/s", (1.0, 1.0)),
        ("achieved", "400 +- 20 TFLOP/s", (40 / 42, 40 / 38)),
        ("achieved", "4e14 +2e13 -1e13 FLOP/s", (40 / 42, 40 / 39)),
        ("step", "22.3 s", (1.0, 1.0)),
        ("step", "20 +- 2 s", (0.9, 1.1)),
        ("step", {"lognormal": {"p5": "17.3 s", "p95": "28.8 s"}}, (0.7750, 1.2902)),
        ("step", {"lognormal": {"median": "20 s", "p95": "25 s"}}, (0.8, 1.25)),
    ],
)
def test_a_speed_in_other_words(key, written, ends):
    scenario = scenario_of().with_({f"jobs.j.{key}": written})
    assert scenario.jobs["j"].mfu is None  # one replaces the other
    factor = compile_world(scenario).jobs[0].step_factor_on(0)
    assert (factor.low, factor.high) == pytest.approx(ends, rel=1e-4)


def test_a_step_is_the_time_of_one_batch():
    world = compile_world(scenario_of().with_({"jobs.j.step": "20 s"}))
    n_steps = 100e9 / 2**21
    assert world.jobs[0].train_s[0] == pytest.approx(n_steps * 20, rel=1e-12)


@pytest.mark.parametrize(
    ("key", "written", "words"),
    [
        ("mfu", "0.4 +- 0.5", "must be > 0 and <= 1, got -0.1"),
        ("mfu", "0.9 +- 0.2", "must be > 0 and <= 1, got 1.1"),
        ("mfu", "0.4 +- 0.03 s", "needs no unit"),
        ("mfu", "0.4", "must be a number such as 0.41, or with its 90 % band '0.40"),
        ("achieved", "400 +- 20", "needs one unit, behind the band"),
        ("achieved", "400 +- 20 s", "is a time, not a computing speed|not"),
        ("step", {"expon": {"mean": "20 s"}}, "must be a duration, or lognormal"),
        ("step", "1 ms", "more than the dense bf16 peak"),
    ],
)
def test_wrong_speeds_are_refused(key, written, words):
    with pytest.raises(cp.ScenarioError, match=words):
        compile_world(scenario_of().with_({f"jobs.j.{key}": written}))


def test_a_step_needs_its_batch():
    with pytest.raises(cp.ScenarioError, match="step needs model and batch"):
        scenario_of().with_({"jobs.j.step": "20 s", "jobs.j.batch": None})


# -- a layout beside a speed -----------------------------------------------------------------------

LAYOUT = {"dp": 64, "zero": 3}


def checks(world: World) -> list[str]:
    return [sentence(n) for n in world.notes if n.code.startswith("layout_")]


@pytest.mark.parametrize(("mfu", "where"), [(0.4, "inside"), (0.05, "OUTSIDE")])
def test_a_layout_checks_the_speed_that_is_given(mfu, where):
    plain, checked = world_of(mfu), world_of(mfu, jobs__j__parallelism=LAYOUT)
    assert checked.jobs[0].train_s == plain.jobs[0].train_s
    (text,) = checks(checked)
    assert f"at the speed given, {where} the band" in text
    assert checks(plain) == []


def test_a_layout_beside_a_speed_must_fit_the_memory():
    alone = {"jobs__j__parallelism": {"dp": 64, "zero": 0, "micro_batch": 4}}
    with pytest.raises(cp.InfeasibleError):
        world_of("0.40 +- 0.03", **alone)


def test_a_layout_that_cannot_be_priced_is_a_note():
    world = world_of(0.2, NO_LINKS, jobs__j__parallelism=LAYOUT)
    assert "cannot be priced to check its speed" in checks(world)[0]


def test_a_priced_step_has_its_band():
    world = world_of(None, jobs__j__parallelism=LAYOUT)
    (step,) = world.jobs[0].priced
    factor = world.jobs[0].step_factor[0]
    values = step.values
    assert factor.low == pytest.approx(values["low_s"] / values["step_s"])
    assert factor.high == pytest.approx(values["high_s"] / values["step_s"])
