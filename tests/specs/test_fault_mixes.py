"""Mixes of faults by name, rates on a chip they were not observed on, break-even."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from worlds import assert_same_books

import computeplan as cp
from computeplan.analytic.breakeven import break_evens
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.report.words import sentence, sentences
from computeplan.specs.catalogue.fault_mixes import load_mix, mix_names
from computeplan.specs.scenario import Scenario
from computeplan.study.cases import compile_cases, notes_of
from computeplan.trace import Trace
from computeplan.trace.streams import BLOCK

TABLE_5 = [148, 72, 54, 35, 32, 19, 17, 7, 7, 6, 6, 3, 3, 2, 2, 2, 2, 2]  # arXiv:2407.21783
KINDS = ["gpu", "hbm", "sdc", "network", "host", "software", "watchdog"]
OTHER = "huawei/ascend-910b2"
DAY_S = 86_400.0


def data_of(chip="nvidia/h100-sxm", faults=None, **simulate):
    pool = {"chip": chip, "chips": 1024, "spares": "16 nodes"}
    checkpoint = {"every": "30 min", "stall": "20 s"}
    job = {"train_for": "20 d", "chips": 1024, "checkpoint": checkpoint}
    return {
        "computeplan": 1,
        "name": "mixed",
        "sites": {"s": {"pue": 1.2, "pools": {"p": pool}}},
        "faults": {"mix": "llama3"} if faults is None else faults,
        "jobs": {"j": job},
        "simulate": {"seed": 5, **simulate},
    }


def scenario_of(*args, **kwargs):
    return cp.load(data_of(*args, **kwargs))


def test_every_cause_of_table_5_is_there_with_its_count():
    mix = load_mix("llama3")
    counts = [n for causes in mix.causes.values() for n in causes.values()]
    assert sorted(counts) == sorted(TABLE_5)
    assert sum(counts) == 419
    assert list(mix.faults) == KINDS
    for name, kind in mix.faults.items():
        assert kind.observed.interruptions == sum(mix.causes[name].values())
        assert (kind.observed.over, kind.observed.chips) == (54 * DAY_S, 16_384)
        assert kind.takes_nodes == (name not in ("software", "watchdog"))
    gpu_rows = sum(sum(mix.causes[name].values()) for name in ("gpu", "hbm", "sdc"))
    assert gpu_rows == 268


def test_restarts_and_repairs_are_those_of_the_shipped_scenario():
    shipped = cp.load("llama3-405b").faults["unexpected"]
    for kind in load_mix("llama3").faults.values():
        assert kind.restart == shipped.restart
        assert kind.repair in (shipped.repair, None)


def test_v2_simulated_kinds_come_by_the_counts():
    big = {"sites.s.pools.p": {"chip": "nvidia/h100-sxm", "chips": 16384, "spares": "400 nodes"}}
    scenario = scenario_of(horizon="54 d").with_(
        {**big, "jobs.j.chips": 16384, "jobs.j.train_for": "60 d"}
    )
    ledger = batch.play(compile_world(scenario), 419, 0, 64)
    found = ledger.counts["interruptions"].sum(axis=0)
    counts = np.array([k.observed.interruptions for k in load_mix("llama3").faults.values()])
    expected = counts / 419 * found.sum()
    assert scipy.stats.chisquare(found, expected).pvalue > 0.01
    # 419, less the faults of nodes in repair: some 2 % of the nodes are
    assert found.sum() / 64 == pytest.approx(419, rel=0.03)


def test_a_mix_is_plain_kinds_once_read():
    scenario = scenario_of()
    assert list(scenario.faults) == KINDS
    assert "mix" not in scenario.document.data["faults"]
    assert compile_world(scenario).pools[0].fault_rate_per_node_s == pytest.approx(
        419 / (54 * DAY_S) / 2048
    )


def test_a_kind_of_a_mix_is_changed_added_and_left_out():
    own = {"mtbf": "10 year", "per": "node", "takes": "nothing", "restart": "1 h"}
    gpu = {"restart": "10 min", "rate": "3 / 1000 node-days"}
    faults = {"mix": "llama3", "gpu": gpu, "sdc": None, "cooling": own}
    scenario = scenario_of(faults=faults)
    assert list(scenario.faults) == [k for k in KINDS if k != "sdc"] + ["cooling"]
    assert scenario.faults["gpu"].restart.scale_s == 600.0
    assert scenario.faults["gpu"].observed is None  # a rate replaces a count
    assert scenario.faults["gpu"].repair == scenario.faults["hbm"].repair


def test_a_case_changes_one_field_of_a_mix():
    cases = {"as is": {}, "slow": {"faults.gpu.restart": "10 min"}, "none": {"faults.gpu": None}}
    found = compile_cases(cp.load({**data_of(), "cases": cases})).cases
    restarts = [case.world.pools[0].kinds[0].interrupt.restart.name for case in found[:2]]
    assert restarts == ["lognorm", "const"]
    assert [kind.name for kind in found[2].world.pools[0].kinds] == KINDS[1:]


def test_a_case_takes_a_mix_and_changes_it():
    own = {"f": {"mtbf": "10 year", "per": "node", "takes": "nothing", "restart": "1 h"}}
    changed = scenario_of(faults=own).with_(
        {"faults": {"f": None}, "faults.mix": "llama3", "faults.gpu.restart": "10 min"}
    )
    assert list(changed.faults) == KINDS
    assert changed.faults["gpu"].restart.scale_s == 600.0


def test_a_file_that_extends_another_lays_its_mix_over_it(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "extends: llama3-405b\nfaults: {mix: llama3, unexpected: null, sdc: null}\n"
    )
    scenario = cp.load(tmp_path / "mine.yaml")
    assert list(scenario.faults) == [kind for kind in KINDS if kind != "sdc"]
    (tmp_path / "next.yaml").write_text("extends: mine.yaml\nfaults: {gpu: {restart: 1 h}}\n")
    assert cp.load(tmp_path / "next.yaml").faults["gpu"].restart.scale_s == 3600.0


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"mix": "lama3"}, r"no mix of faults 'lama3'\. Did you mean 'llama3'\?  Mixes: llama3"),
        ({"mix": 3}, r"no mix of faults '3'\.  Mixes: llama3"),
        ("llama3", r"write \{mix: llama3\}"),
        ({"mix": "llama3", "gpu": {"observed_on": "H1000"}}, "no chip 'H1000'"),
    ],
)
def test_wrong_mixes_are_refused_with_a_place_and_all_else(faults, words):
    data = {**data_of(faults=faults), "polcy": "silo"}
    with pytest.raises(cp.ScenarioError, match=words) as caught:
        cp.load(data)
    assert any(problem.path.startswith("faults") for problem in caught.value.problems)
    assert "unknown key 'polcy'" in str(caught.value)


def test_an_unknown_mix_of_an_extended_file_is_told_with_all_else(tmp_path):
    (tmp_path / "base.yaml").write_text("extends: llama3-405b\nfaults: {mix: lama3}\n")
    (tmp_path / "mine.yaml").write_text(
        "extends: base.yaml\npolcy: silo\nfaults: {gpu: {restart: 1 h}}\n"
    )
    with pytest.raises(cp.ScenarioError) as caught:
        cp.load(tmp_path / "mine.yaml")
    found = [(Path(problem.file).name, problem.path) for problem in caught.value.problems]
    assert found == [("base.yaml", "faults.mix"), ("mine.yaml", "polcy")]


def test_an_unknown_mix_of_a_setting_shows_the_setting():
    with pytest.raises(cp.ScenarioError, match=r"(?s)-s faults\.mix=x.*no mix of faults 'x'"):
        scenario_of().with_({"faults.mix": "x"}, origin="-s")


def test_the_schema_knows_mixes():
    schema = Scenario.model_json_schema()["properties"]["faults"]
    assert schema["then"]["properties"]["mix"]["enum"] == list(mix_names())


def test_a_saved_scenario_with_a_mix_runs_again(tmp_path):
    scenario = scenario_of(OTHER, runs=3)
    cp.save_result(cp.run(scenario), tmp_path / "one")
    cp.save_result(cp.run(cp.load(tmp_path / "one" / "scenario.yaml")), tmp_path / "two")
    for file in ("scenario.yaml", "runs.csv", "provenance.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert cp.load(tmp_path / "one" / "scenario.yaml") == scenario


# -- rates on another chip ---------------------------------------------------------------------


def kinds_on(scenario):
    return compile_world(scenario).pools[0].kinds


@pytest.mark.parametrize("chip", ["nvidia/h100-sxm", "H100"])
def test_on_its_own_chip_a_rate_is_as_observed(chip):
    for kind in kinds_on(scenario_of(chip)):
        assert (kind.factor.low, kind.factor.high, kind.is_assumed) == (1.0, 1.0, False)


def test_on_another_chip_a_rate_is_assumed_and_says_so():
    scenario = scenario_of(OTHER, runs=2)
    for kind in kinds_on(scenario):
        assert (kind.factor.low, kind.factor.high, kind.is_assumed) == (1.0, 3.0, True)
        mean = 2 / math.log(3)
        assert kind.all_rate_per_node_s == pytest.approx(kind.rate_per_node_s * mean)
    result = cp.run(scenario)
    notes = [note for note in sentences(result.notes) if "ASSUMED" in note]
    assert len(notes) == 1
    assert f"faults of {OTHER} are not known: gpu, hbm" in notes[0]
    assert "sites.s.pools.p.fault_factor" in notes[0]
    facts = sentence(next(iter(result.cases.values())).facts["faults"])
    assert "at 1 to 3 times the rate of nvidia/h100-sxm (mean 1.82, used above), ASSUMED" in facts


@pytest.mark.parametrize(("given", "said"), [(2, "2"), ({"low": 0.5, "high": 4}, "0.5 to 4")])
def test_a_given_factor_is_marked_as_given(given, said):
    scenario = scenario_of(OTHER).with_({"sites.s.pools.p.fault_factor": given})
    notes = " | ".join(sentences(compile_world(scenario).notes))
    assert f"{said} times as often, as given" in notes
    assert "ASSUMED" not in notes


def test_a_known_factor_is_a_rate_so_many_times_higher():
    twice = scenario_of(OTHER).with_({"sites.s.pools.p.fault_factor": 2})
    own = {name: {"observed_on": None} for name in KINDS}
    plain = scenario_of(OTHER, faults={"mix": "llama3", **own})
    a, b = (Trace(compile_world(s), 1, 0, 4).arrivals(0, 9e6) for s in (twice, plain))
    assert (a.time_s <= 9e6).sum() == pytest.approx(2 * (b.time_s <= 9e6).sum(), rel=0.1)
    np.testing.assert_allclose(a.time_s[0] * 2, b.time_s[0])


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        ({"low": 3, "high": 1}, "low must be <= high, got 3 and 1"),
        ({"low": 1}, r"a number such as 2, or \{low: 1, high: 3\}"),
        ("2", r"a number such as 2"),
        (True, r"a number such as 2"),
        (0, "must be > 0 and <= 1000, got 0"),
        (math.inf, "must be > 0"),
    ],
)
def test_wrong_factors_are_refused(factor, words):
    with pytest.raises(cp.ScenarioError, match=words):
        scenario_of().with_({"sites.s.pools.p.fault_factor": factor})


def test_the_factor_is_one_a_run_within_its_limits_shared_by_kinds_and_pools():
    data = data_of(OTHER)
    pools = data["sites"]["s"]["pools"]
    pools["q"] = {**pools["p"]}
    pools["r"] = {**pools["p"], "chip": "huawei/ascend-910b3"}
    data["jobs"]["j"]["home"] = "p"
    world = compile_world(cp.load({**data, "policy": "silo"}))
    trace = Trace(world, 11, 0, 4 * BLOCK)
    drawn = {pool.name: [trace._factor(kind, pool) for kind in pool.kinds] for pool in world.pools}
    first = drawn["p"][0]
    assert first.shape == (4 * BLOCK,)
    assert first.min() >= 1.0
    assert first.max() <= 3.0
    for factors in (*drawn["p"], *drawn["q"]):
        np.testing.assert_array_equal(factors, first)
    assert abs(np.corrcoef(first, drawn["r"][0])[0, 1]) < 0.2
    assert scipy.stats.kstest(np.log(first) / math.log(3), "uniform").pvalue > 0.01
    later = Trace(world, 11, BLOCK + 3, 5)._factor(world.pools[0].kinds[0], world.pools[0])
    np.testing.assert_array_equal(later, first[BLOCK + 3 : BLOCK + 8])


def test_an_uncertain_rate_spreads_counts_about_the_mean_rate():
    world = compile_world(scenario_of(OTHER, horizon="200 d"))
    ledger = batch.play(world, 3, 0, 512)
    counts = (ledger.counts["interruptions"] + ledger.counts["idle_faults"]).sum(axis=1)
    pool = world.pools[0]
    mean = pool.fault_rate_per_node_s * (128 + 16) * 200 * DAY_S
    spread = counts.std() / math.sqrt(len(counts))
    # faults of nodes in repair are lost: up to some 4 %
    assert mean * 0.95 - 4 * spread < counts.mean() < mean + 4 * spread
    assert counts.var() > 10 * counts.mean()  # far from Poisson: one factor moves all kinds


@pytest.mark.parametrize("simulate", [{}, {"horizon": "15 d"}])
@pytest.mark.parametrize("high", [3.0, 8.0])
def test_both_engines_agree_with_a_factor(simulate, high):
    factor = {"low": 1, "high": high}
    changes = {"sites.s.pools.p.fault_factor": factor, "sites.s.pools.p.spares": "64 nodes"}
    scenario = scenario_of(OTHER, **simulate).with_(changes)
    world = compile_world(scenario)
    one, other = batch.play(world, 7, 60, 8), event.play(world, 7, 60, 8)
    assert_same_books(one, other, world)
    assert one.counts["interruptions"].sum() > 50


def test_faults_are_drawn_as_far_as_the_upper_end_asks():
    certain = compile_world(scenario_of(OTHER).with_({"sites.s.pools.p.fault_factor": 3}))
    uncertain = compile_world(scenario_of(OTHER))
    assert uncertain.first_look_s(0, 0) == certain.first_look_s(0, 0)
    assert uncertain.arrival_rate(0) == certain.arrival_rate(0)
    assert uncertain.jobs[0].ettr[0] > certain.jobs[0].ettr[0]


def test_kinds_given_for_a_pool_stand_for_those_of_another_chip():
    own = {"mtbf": "1 year", "per": "node", "takes": "nothing", "restart": "1 h", "pools": ["p"]}
    scenario = scenario_of(OTHER, faults={"mix": "llama3", "measured": own})
    assert [kind.name for kind in kinds_on(scenario)] == ["measured"]
    notes = " | ".join(sentences(compile_world(scenario).notes))
    assert "those observed on another chip do not occur on it (gpu, hbm" in notes
    everywhere = scenario.with_({"faults.measured.pools": None})  # beside the others
    assert [kind.name for kind in kinds_on(everywhere)] == [*KINDS, "measured"]
    assert kinds_on(everywhere)[-1].factor.high == 1.0


def test_a_factor_that_changes_nothing_is_said():
    scenario = scenario_of().with_({"sites.s.pools.p.fault_factor": 2})
    assert "fault_factor changes nothing" in " | ".join(sentences(compile_world(scenario).notes))


# -- where the answer turns --------------------------------------------------------------------


def compared(slow="nvidia/h200", every="30 min", mfu=0.44):
    """Two cases of the same work, the second on a chip with the MFU given."""
    data = data_of(faults={"f": {"mtbf": "4 d", "per": "node", "takes": "nothing"}})
    data["faults"]["f"]["restart"] = "10 min"
    data["jobs"]["j"] = {
        "model": "meta/llama-3.1-70b",
        "tokens": "200 Gtoken",
        "seq": 8192,
        "precision": "bf16",
        "chips": 1024,
        "mfu": 0.4,
        "checkpoint": {"every": every, "stall": "20 s"},
    }
    changes = {"sites.s.pools.p.chip": slow, "jobs.j.mfu": mfu}
    return cp.load({**data, "cases": {"a": {}, "b": changes}})


def test_the_break_even_is_where_a_hand_computation_puts_it():
    # The H200 has the peak of the H100, so the MFU of 0.44 makes it 1.1 times as fast.
    worlds = {case.name: case.world for case in compile_cases(compared()).cases}
    t, d, r = 1800.0, 20.0, 600.0
    mtbf_s = 4 * DAY_S / 128  # of the job: 45 min

    def ettr(m):
        return t / (m * math.exp(r / m) * math.expm1((t + d) / m))

    low, high = 1.0, 10.0
    for _ in range(100):  # the ratio at which 1.1 x ETTR of b is the ETTR of a
        x = (low + high) / 2
        low, high = (x, high) if 1.1 * ettr(mtbf_s / x) > ettr(mtbf_s) else (low, x)
    (found,) = break_evens(worlds)
    assert found.values["ratio"] == pytest.approx(x, rel=1e-9)
    said = sentence(found)
    assert f"matches nvidia/h100-sxm when its nodes fail {x:.3g} times as often" in said
    assert said.startswith("on nvidia/h200 the time to train")
    assert "here it is 1 times (cases 'b' and 'a'" in said


def test_a_slower_chip_never_matches_if_it_is_slower_without_faults():
    worlds = {case.name: case.world for case in compile_cases(compared(mfu=0.1)).cases}
    (found,) = break_evens(worlds)
    assert found.values["ratio"] is None
    assert "never matches nvidia/h100-sxm, however rarely its nodes fail" in sentence(found)


def test_a_break_even_lets_the_interval_follow_the_rate_where_it_is_optimal():
    fixed, best = (
        break_evens({case.name: case.world for case in compile_cases(compared(every=every)).cases})[
            0
        ].values["ratio"]
        for every in ("30 min", "optimal")
    )
    scenario = compared(every="optimal").with_({"faults.f.mtbf": f"{4 / best} d"})
    at_ratio = compile_cases(scenario).cases[1].world
    before = compile_cases(compared(every="optimal")).cases[0].world
    walls_s = [world.jobs[0].expected_wall_s(0) for world in (before, at_ratio)]
    assert walls_s[0] == pytest.approx(walls_s[1], rel=1e-9)
    assert fixed != pytest.approx(best, rel=0.01)


def test_the_break_even_of_a_shipped_comparison_is_where_its_simulation_puts_it():
    # "at 3 times that rate still as fast; at 4 times slower", says the scenario of its 200 runs
    (said,) = [
        n
        for n in sentences(notes_of(compile_cases(cp.load("910b-fault-rate")).cases))
        if "matches" in n
    ]
    assert "its nodes fail 3.0" in said


def test_a_break_even_has_the_band_that_the_step_times_give_it():
    """The quotient of two lognormal times: a band of its own, found by known times at its ends."""
    (found,) = break_evens(worlds_of("0.40 +- 0.03", "0.44 +- 0.02"))
    values = found.values
    z = scipy.stats.norm.ppf(0.95)
    sigmas = [math.log(43 / 37) / (2 * z), math.log(46 / 42) / (2 * z)]
    spread = math.exp(z * math.hypot(*sigmas))
    middle = 0.44 * math.sqrt(0.37 * 0.43) / (0.40 * math.sqrt(0.42 * 0.46))  # of b over a
    assert values["ratio"] == break_evens(worlds_of(0.4, 0.44))[0].values["ratio"]
    for end, slower in zip(values["band"], (middle * spread, middle / spread), strict=True):
        (known,) = break_evens(worlds_of(0.4, 0.44 / slower))
        assert end == pytest.approx(known.values["ratio"], rel=1e-6)
    assert values["overlaps"]
    said = sentence(found)
    assert f"({values['band'][0]:.3g} to {values['band'][1]:.3g}, over the 90 % bands" in said
    assert "where within those bands they cannot be told apart" in said


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [
        (0.4, 0.44, False),  # both known
        ("0.40 +- 0.01", "0.44 +- 0.01", False),
        ("0.40 +- 0.03", "0.44 +- 0.03", True),
        ("0.40 +- 0.01", "0.30 +- 0.01", False),
        ("0.40 +- 0.10", "0.30 +- 0.01", True),
    ],
)
def test_chips_whose_times_overlap_cannot_be_told_apart(one, other, overlaps):
    (found,) = break_evens(worlds_of(one, other))
    assert found.values["overlaps"] == overlaps
    assert ("cannot be told apart" in sentence(found)) == overlaps


def worlds_of(one, other):
    """Return the worlds of two cases whose MFUs are given."""
    scenario = compared(mfu=other).with_({"jobs.j.mfu": one})
    return {case.name: case.world for case in compile_cases(scenario).cases}


def test_nothing_is_said_where_there_is_nothing_to_compare():
    worlds = {case.name: case.world for case in compile_cases(compared()).cases}
    assert break_evens({"a": worlds["a"], "again": worlds["a"]}) == []
    other_work = compile_world(compared().with_({"cases": None, "jobs.j.tokens": "100 Gtoken"}))
    assert break_evens({"b": worlds["b"], "less": other_work}) == []
    whole = compile_world(compared().with_({"cases": None, "faults": {"f": None}}))
    assert break_evens({"a": whole, "b": worlds["b"]}) == []


def test_at_most_three_pairs_are_told():
    chips = ["nvidia/h200", "nvidia/h800", "nvidia/a100-80gb"]
    assert len(chips) == 3  # six pairs with the H100
    data = compared().document.data
    cases = {chip: {"sites.s.pools.p.chip": chip} for chip in chips}
    found = compile_cases(cp.load({**data, "cases": {"a": {}, **cases}})).cases
    assert len(break_evens({case.name: case.world for case in found})) == 3
