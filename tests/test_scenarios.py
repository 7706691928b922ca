"""Everything shipped runs, and what it says of itself holds: scenarios, starter, README."""

import ast
import itertools
import json
import math
import re
import shlex
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from places import REPO
from ruamel.yaml import YAML

import computeplan as cp
from computeplan.cli.check import check
from computeplan.cli.init import init
from computeplan.cli.run import run as run_command
from computeplan.compiler.compile import compile_world
from computeplan.distributions import law_mean_s
from computeplan.planner.serving_search import searches_of
from computeplan.quantities import in_currency
from computeplan.report.words import sentence, sentences

FILES = sorted((REPO / "scenarios").glob("*.yaml"))
FILES_BY_NAME = {path.stem: path.read_text("utf-8") for path in FILES}
READMES = ("README.md", "README.zh-CN.md")
PROMISED = {  # by `computeplan run --json`
    "n_unexpected",
    "n_planned",
    "ettr",
    "wall_days",
    "energy_kwh",
    "cost_usd",
    "carbon_kg",
    "goodput_tok_per_s",
}
COUNTED = {
    5: ("five", "五"),
    11: ("eleven", "十一"),
    24: ("twenty-four", "二十四"),
}


def promised(scenario):
    """Return the quantities that every run has; money is in the currency of the scenario."""
    of_jobs = set() if scenario.jobs or scenario.workloads else {"ettr", "goodput_tok_per_s"}
    return {in_currency(name, scenario.currency) for name in PROMISED - of_jobs}


shipped = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
each_readme = pytest.mark.parametrize("readme", READMES)


@cache
def result_of(name, runs=4, inputs="drawn"):
    return cp.run(cp.load(name).with_({"simulate.runs": runs, "simulate.inputs": inputs}))


def mean(name, case, quantity, runs=4):
    return result_of(name, runs).case(case).estimate(quantity).mean


def in_words(text):
    """Return text without line breaks."""
    return " ".join(text.split())


# Every shipped scenario


def test_the_issue_s_scenarios_are_shipped():
    assert {"llama3-405b", "h100-h200-910b", "one-cloud-many-chips", "equivalent-fleet"} <= {
        p.stem for p in FILES
    }


@shipped
def test_scenario_says_what_it_shows_and_what_it_assumes(path):
    scenario = cp.load(path)
    assert scenario.name == path.stem
    assert len(scenario.about.split()) >= 30
    assert "assum" in scenario.about
    assert scenario == cp.load(path.stem), "the file and the shipped name differ"


@shipped
def test_scenario_passes_its_check(path):
    done = CliRunner().invoke(check, [str(path)])
    assert done.exit_code == 0, done.output
    assert done.output.rstrip().endswith("ok")


@shipped
def test_scenario_runs_and_its_json_is_strict(path):
    result = result_of(path.stem)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert document["name"] == path.stem
    scenario = cp.load(path)
    assert scenario.sweep or list(document["cases"]) == list(scenario.cases)
    for found in document["cases"].values():
        assert set(found) >= promised(scenario)
        for numbers in found.values():
            assert set(numbers) >= {"mean", "low", "high", "p5", "p50", "p95"}
        assert found["energy_kwh"]["mean"] > 0
        assert "ettr" not in promised(scenario) or 0 < found["ettr"]["mean"] < 1


@shipped
def test_scenario_gives_itself_back(path):
    written = YAML(typ="safe").load(result_of(path.stem).scenario_yaml)
    assert cp.load(written) == cp.load(path).with_({"simulate.runs": 4})


# What they claim in `about`


def test_llama3_claims():
    scenario = cp.load("llama3-405b")
    days, stops = scenario.simulate.horizon / 86_400, 419 + 47
    for said in ("16,384 H100", "54 days", "419 unexpected", "47 planned", f"{stops} stops"):
        assert said in in_words(scenario.about)
    assert days == 54
    left_min = 0.1 * days * 24 * 60 / stops
    assert f"{left_min:.1f} minutes" in in_words(scenario.about)
    base = next(iter(scenario.cases))
    assert mean("llama3-405b", base, "ettr", 64) > 0.90
    assert mean("llama3-405b", base, "n_planned") == 47
    assert mean("llama3-405b", base, "n_unexpected", 64) == pytest.approx(419, rel=0.02)
    assert law_mean_s(scenario.faults["unexpected"].repair) == pytest.approx(5.5 * 86_400, rel=0.01)


def test_what_500_mwh_a_day_meant_and_what_it_takes_today():
    """Charged 6.5 kW a server the published 2.0 to 2.9 Wh; today's chips are listed beside it."""
    name = "chatgpt-200m"
    charged = mean(name, "gpt-3 on a100, 6.5 kW a server", "wh_per_request")
    assert 2.0 <= charged <= 2.9
    servers = mean(name, "gpt-3 on a100, batch 8", "service_chip_h") / 24 / 8
    assert charged == pytest.approx(servers * 6500 * 24 / 200e6, rel=1e-3)
    for case, said in (("70b on h100", 0.12), ("70b on b200", 0.04), ("70b on 910b3", 1.1)):
        assert f"{said} Wh" in in_words(cp.load(name).about)
        assert mean(name, case, "wh_per_request") == pytest.approx(said, rel=0.06)
    for case in cp.load(name).cases:
        assert mean(name, case, "requests_answered") == pytest.approx(200e6, rel=1e-6)
        assert mean(name, case, "requests_missed_frac") == pytest.approx(0, abs=1e-6)


def test_what_kinds_behind_one_balancer_take():
    fact = result_of("serve-mixed").case("h200, h20 and 910c").facts["service chat"].values
    counts = {pool: n + spares for pool, n, spares, *_ in fact["pools"]}
    assert counts == {"h200": 64, "h20": 256, "c910": 584}
    assert fact["balance"] == 0.94
    about = in_words(cp.load("serve-mixed").about)
    cases = {"h200, h20 and 910c": 0.77, "by energy": 0.75, "h200 alone": 0.22}
    for case, said in cases.items():
        assert mean("serve-mixed", case, "wh_per_request") == pytest.approx(said, abs=0.006)
        assert f"{said} Wh" in about


def test_what_is_lent_at_night_speeds_up_the_training_beside_it():
    lent, held = cp.load("night-lending").cases
    days = [mean("night-lending", case, "time_to_train_days") for case in (lent, held)]
    assert 1 - days[0] / days[1] == pytest.approx(0.42, abs=0.02)
    paid, had = (mean("night-lending", lent, f"beside_{what}_chip_h") for what in ("paid", "kept"))
    assert paid / (paid + had) == pytest.approx(0.018, abs=0.002)


def test_llama3_what_the_figure_of_the_readme_shows():
    def ettr(case):
        return mean("llama3-405b", case, "ettr", 64)

    base = next(iter(cp.load("llama3-405b").cases))
    assert ettr("every 60 min") < ettr(base) < ettr("best interval")
    assert ettr("24 spares") < ettr("32 spares") < ettr(base)


def test_h100_h200_910b_claims():
    name = "h100-h200-910b"
    scenario = cp.load(name)
    about = in_words(scenario.about)
    part = {case: cp.load(name).with_(change or {}) for case, change in scenario.cases.items()}
    peak = {case: s.chip_of("pool").peak_dense["bf16"].value for case, s in part.items()}
    cases = result_of(name, inputs="fixed").cases
    speed = {case: cases[case].estimate("throughput_tok_per_s").mean for case in part}
    for case, short in (("Ascend 910B2", "910B2"), ("Ascend 910B3", "910B3")):
        ratio = peak["H100"] / peak[case]
        assert f"{ratio:.2f} for the {short}" in about
        assert f"({peak['H100'] / 1e12:g} / {peak[case] / 1e12:g})" in about
    ratios = [speed["H100"] / speed[f"Ascend {short}"] for short in ("910B2", "910B3")]
    assert f"{ratios[0]:.2f} for the 910B2 and {ratios[1]:.2f} for the 910B3:" in about
    steps = {case: sentence(result_of(name).case(case).facts["step"]) for case in part}
    assert all("extrapolated" in step for step in steps.values())
    assert len({case.facts["faults"] for case in result_of(name).cases.values()}) == 1


EQUIVALENT = {  # chips at one chance in twenty of the date, even chances, and nineteen
    "1,000 H100": (720, 1000, 1440),
    "3,200 910B2": (2304, 3200, 4800),
    "1,600 910C": (960, 1600, 2880),
    "6,400 H20": (3840, 6400, 11520),
}


def chance_of_33_days(case, chips):
    """Return the share of the runs of a case with other chips that are done by the date."""
    name = "equivalent-fleet"
    change = cp.load(name).cases[case] or {}
    fleet = {"sites.here.pools.fleet.chips": chips, "jobs.train-70b.chips": chips}
    scenario = cp.load(name).with_(change).with_(fleet | {"cases": None, "simulate.runs": 400})
    (found,) = cp.run(scenario).cases.values()
    return float((np.asarray(found.values["time_to_train_days"]) <= 33).mean())


@pytest.mark.parametrize("case", EQUIVALENT)
def test_equivalent_fleets_have_the_chances_that_are_told(case):
    """The standard error of 400 runs is 2.5 points at even chances, 1.1 at the ends."""
    about = in_words(cp.load("equivalent-fleet").about)
    few, even, many = EQUIVALENT[case]
    assert f"{few:,} to {many:,} {case.split()[1]}" in about
    assert case in about
    assert chance_of_33_days(case, even) == pytest.approx(0.5, abs=0.08)
    assert 0.03 < chance_of_33_days(case, few) < 0.12
    assert chance_of_33_days(case, many) > 0.93


def test_equivalent_fleets_draw_and_cost_what_is_told():
    cases = result_of("equivalent-fleet", 64).cases
    about = in_words(cp.load("equivalent-fleet").about)
    mw, cost = [], []
    for case in cases.values():
        days = case.values["time_to_train_days"]
        mw.append(np.median(case.values["energy_jobs_kwh"] / days / 24e3))
        cost.append(case.estimate("cost_jobs_usd").mean / 1e6)
    assert f"{mw[0]:.1f} MW of H100, {mw[1]:.1f} MW of 910B2, {mw[2]:.1f} MW of 910C" in about
    assert f"or {mw[3]:.1f} MW of H20" in about
    told = re.search(r"rent cost ([\d.]+), ([\d.]+), ([\d.]+) and ([\d.]+) MUSD", about)
    assert [float(n) for n in told.groups()] == pytest.approx(cost, rel=0.15)


def test_one_cloud_many_chips_is_as_told():
    scenario = cp.load("one-cloud-many-chips")
    about = in_words(scenario.about)
    counts = (len(scenario.jobs), len(scenario.cases), len(scenario.pool_names))
    for n, what in zip(counts, ("training runs", "policies", "kinds of chips"), strict=True):
        assert f"{COUNTED[n][0]} {what}" in about
    tenants = {job.tenant for job in scenario.jobs.values()}
    assert tenants == set(scenario.tenants) == {"lab", "university", "firm"}
    for pool in scenario.pool_names:
        chips = [tenant.quota.get(pool, 0) for tenant in scenario.tenants.values()]
        assert sum(chips) == scenario.pool(pool).chips
    rates = [scenario.faults[kind].observed.interruptions for kind in ("chinese", "nvidia")]
    assert rates[0] == 2 * rates[1]
    jobs = scenario.jobs.values()
    assert [j for j in jobs if j.only]
    assert [j for j in jobs if j.never]
    assert {j.priority for j in jobs} == {0, 1, 2}
    for job in jobs:  # 70B is not ported to the C500
        ready = 0 if job.model == "meta/llama-3.1-70b" else 0.7
        assert job.ready == (None if job.only else {"metax": ready})


def one_cloud():
    scenario = cp.load("one-cloud-many-chips")
    return result_of("one-cloud-many-chips", scenario.simulate.runs)


def mean_of_cloud(policy, quantity):
    return one_cloud().case(policy).estimate(quantity).mean


def waits_h(policy, tenant):
    """Return the mean wait of the jobs of a tenant."""
    jobs = cp.load("one-cloud-many-chips").jobs.values()
    its = [job.tenant == tenant for job in jobs]
    return one_cloud().cases[policy].jobs["wait_h"][:, its].mean()


def test_who_shares_chips_without_knowing_their_speed_waits_less_and_ends_later():
    assert mean_of_cloud("silo", "makespan_days") == pytest.approx(7.7, abs=0.1)
    assert waits_h("silo", "lab") == pytest.approx(25, abs=1)
    assert mean_of_cloud("silo", "mean_wait_h") == pytest.approx(13, abs=1)
    assert mean_of_cloud("fifo-backfill", "mean_wait_h") == pytest.approx(3, abs=0.5)
    later = one_cloud().differences("silo")["fifo-backfill"]["makespan_days"]
    assert (later.mean, later.low, later.high) == pytest.approx((6, 4, 8), abs=0.5)


def test_who_knows_the_speed_of_chips_ends_sooner_and_one_measure_is_paid_with_another():
    sooner = one_cloud().differences("silo")["finish-time-fairness"]["makespan_days"]
    assert (sooner.mean, sooner.low, sooner.high) == pytest.approx((-3.1, -4.8, -2.0), abs=0.1)
    assert mean_of_cloud("finish-time-fairness", "mean_jct_h") == pytest.approx(48, abs=1)
    assert mean_of_cloud("silo", "mean_jct_h") == pytest.approx(82, abs=1)
    soonest = one_cloud().differences("finish-time-fairness")["min-makespan"]
    assert soonest["makespan_days"].mean == pytest.approx(-0.7, abs=0.05)
    assert soonest["makespan_days"].high < 0
    assert soonest["mean_jct_h"].mean == pytest.approx(21, abs=1)
    assert soonest["mean_jct_h"].low > 0
    for policy in ("max-min-fairness", "finish-time-fairness", "min-makespan"):
        assert mean_of_cloud(policy, "n_preemptions") > 200


def test_least_energy_takes_the_least_and_its_jobs_wait():
    cases = one_cloud().cases
    energy = {name: case.estimate("energy_kwh").mean for name, case in cases.items()}
    assert min(energy, key=energy.get) == "least-energy"
    assert 1 - energy["least-energy"] / energy["silo"] == pytest.approx(0.06, abs=0.005)
    assert one_cloud().differences("silo")["least-energy"]["energy_kwh"].high < 0
    missed = {name: case.estimate("n_deadlines_missed").mean for name, case in cases.items()}
    assert min(missed, key=missed.get) == "least-energy"
    assert mean_of_cloud("least-energy", "mean_wait_h") == pytest.approx(52, abs=1)


def test_under_capacity_small_tenants_do_not_wait_for_their_quota():
    assert max(waits_h("capacity", tenant) for tenant in ("university", "firm")) < 0.05
    assert waits_h("capacity", "lab") == pytest.approx(8, abs=0.5)


def test_no_two_policies_schedule_alike():
    for one, other in itertools.combinations(one_cloud().cases.values(), 2):
        assert not np.allclose(one.jobs["end_h"], other.jobs["end_h"], rtol=1e-3)


def of_places(quantity):
    cases = result_of("east-data-west-compute").cases
    return {name: case.estimate(quantity).mean for name, case in cases.items()}


def test_going_west_is_worse_on_the_mean_of_the_grid_and_better_on_price():
    """Energy of IT is the same everywhere: what differs is PUE x price, and PUE x carbon."""
    about = in_words(cp.load("east-data-west-compute").about)
    carbon, east = of_places("carbon_kg"), "Guangdong"
    less = {name.split(",")[0] for name, kg in carbon.items() if kg < carbon[east]}
    assert less == {"Yunnan", "Sichuan", "Gansu"}
    assert carbon["Inner Mongolia"] / carbon[east] == pytest.approx(647.9 * 1.21 / (441.9 * 1.25))
    assert 1 - carbon["Gansu"] / carbon[east] == pytest.approx(0.03, abs=0.005)
    assert f"emits {carbon['Inner Mongolia'] / carbon[east]:.1f} times as much" in about
    bill = of_places("electricity_cny")
    assert bill["Guizhou, contract"] / bill["Guizhou"] == pytest.approx(0.35 / 0.634, rel=1e-3)
    assert bill["Guizhou"] == pytest.approx(bill[east], rel=0.01)
    cost, rent = of_places("cost_cny"), of_places("rent_cny")
    assert min(rent[name] / cost[name] for name in cost) == pytest.approx(0.94, abs=0.01)
    assert max(cost.values()) / min(cost.values()) == pytest.approx(1.03, abs=0.005)
    market = of_places("carbon_market_kg")
    for name in market:
        if name.endswith(", contract"):
            assert market[name] / market[name.split(",")[0]] == pytest.approx(0.2)
    days = of_places("time_to_train_days")
    assert {round(value, 9) for value in days.values()} == {round(days[east], 9)}


def test_no_figure_of_a_place_is_typed_and_estimates_are_counted():
    scenario = cp.load("east-data-west-compute")
    assert set(YAML(typ="safe").load(FILES_BY_NAME["east-data-west-compute"])["sites"]["site"]) == {
        "place", "pools"
    }  # fmt: skip
    assert len({(case or {}).get("sites.site.place") for case in scenario.cases.values()}) == 9
    result = result_of("east-data-west-compute")
    (counted,) = (one.values for one in result.notes if one.code == "estimates_of_sites")
    assert f"Of {counted['n']} figures of places {counted['n_estimates']} are estimates" in (
        in_words(scenario.about)
    )
    (asked,) = (one.values for one in result.notes if one.code == "ranking_asked")
    assert any(not is_sure for *_, is_sure in asked["neighbours"])
    assert "ranking_asked" in {note.code for note in result.notes}
    assert "may change places" in result_of("east-data-west-compute").notes_page()


def shaped(quantity):
    """Return a mean of each case of green-hours over that of flat out."""
    cases = result_of("green-hours", 16).cases
    flat = cases["flat out"].estimate(quantity).mean
    return {name: case.estimate(quantity).mean / flat for name, case in cases.items()}


def test_who_shapes_a_run_saves_a_little_and_takes_longer():
    about = in_words(cp.load("green-hours").about)
    carbon, days = shaped("carbon_kg"), shaped("time_to_train_days")
    assert 1 - carbon["pause when dirty"] == pytest.approx(0.07, abs=0.01)
    assert 1 - carbon["slow down when dirty"] == pytest.approx(0.06, abs=0.01)
    assert f"{days['pause when dirty']:.1f} times as long" in about
    assert days["slow down when dirty"] == pytest.approx(1.09, abs=0.01)
    bill = shaped("electricity_cny")
    assert 1 - bill["pause when dear"] == pytest.approx(0.07, abs=0.015)
    assert 1 - bill["slow down when dear"] == pytest.approx(0.05, abs=0.015)


def test_a_paused_machine_that_stays_on_emits_more_than_one_that_is_done():
    scenario = cp.load("green-hours").with_({"simulate.runs": 8})
    alone = {}
    for name in ("flat out", "pause when dirty", "slow down when dirty"):
        one = scenario.with_(scenario.cases[name] or {}).with_({"cases": None})
        (case,) = cp.run(one).cases.values()
        alone[name] = case.estimate("carbon_kg").mean
    assert alone["pause when dirty"] / alone["flat out"] == pytest.approx(1.9, abs=0.06)
    assert 1 - alone["slow down when dirty"] / alone["flat out"] == pytest.approx(0.07, abs=0.01)


# The starter


def test_starter_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(init, ["my-run"])
    assert made.exit_code == 0, made.output
    done = CliRunner().invoke(run_command, ["my-run.yaml", "--runs", "4", "--no-figures"])
    assert done.exit_code == 0, done.output
    summary = json.loads(Path("results/my-run/summary.json").read_text("utf-8"))
    assert list(summary["cases"]) == list(cp.load("my-run.yaml").cases)


# The README


def blocks(readme, language):
    """Return the fenced blocks of a language."""
    text = (REPO / readme).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def scenario_block(readme):
    return YAML(typ="safe").load(blocks(readme, "yaml")[0])


@each_readme
def test_readme_scenario_runs(readme, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(blocks(readme, "yaml")[0], "utf-8")
    result = cp.run(cp.load(path).with_({"simulate.runs": 4}))
    assert list(result.cases) == ["as planned", "hourly saves"]


@each_readme
def test_readme_python_runs(readme, monkeypatch):
    (code,) = blocks(readme, "python")
    load = cp.load
    monkeypatch.setattr(
        "computeplan.specs.scenario.load", lambda name: load(name).with_({"simulate.runs": 4})
    )
    names: dict[str, object] = {}
    *body, last = ast.parse(code).body
    assert isinstance(last, ast.Expr)
    exec(compile(ast.Module(body, []), readme, "exec"), names)  # noqa: S102 - our own README
    assert names["result"].n_runs == 4
    drawn = eval(compile(ast.Expression(last.value), readme, "eval"), names)  # noqa: S307
    assert drawn.get_xlabel()


def with_own_chip(readme, **job):
    own = YAML(typ="safe").load(blocks(readme, "yaml")[1])
    document = scenario_block(readme) | own
    document["sites"]["here"]["pools"]["main"]["chip"] = "acme/x1"
    document["jobs"]["pretrain"].update(job)
    return cp.load(document).with_({"simulate.runs": 4})


@each_readme
def test_readme_chip_runs_with_an_mfu(readme):
    scenario = with_own_chip(readme, mfu=0.4)
    chip = scenario.chip_of("main")
    assert chip.peak_dense["bf16"].value == 500e12
    assert chip.power.tdp.value == 450
    result = cp.run(scenario)
    flop_per_token = 6 * 70e9  # and attention
    speed = result.case("as planned").estimate("throughput_tok_per_s").mean
    assert speed == pytest.approx(0.4 * 500e12 * 1024 / flop_per_token, rel=0.15)


@each_readme
def test_readme_chip_whose_peak_is_recalled_says_so_beside_the_results(readme):
    notes = sentences(cp.run(with_own_chip(readme, mfu=0.4)).notes)
    assert any("acme/x1" in note and "estimate" in note for note in notes)


@each_readme
def test_readme_chip_without_an_mfu_takes_the_numbers_of_what_it_extends(readme):
    notes = sentences(cp.run(with_own_chip(readme)).notes)
    assert any("acme/x1" in note and "fitted numbers of Ascend 910B" in note for note in notes)


@pytest.fixture(scope="module")
def found_by():
    """What serve-plan has found, by what it was asked; it is said in two languages."""
    return {}


@pytest.mark.parametrize(("readme", "language"), [*zip(READMES, ("en", "zh"), strict=True)])
def test_readme_says_what_serve_plan_answers(
    readme, language, call, tmp_path, found_by, monkeypatch
):
    def once(question, chip, **options):
        options.pop("progress")
        key = repr((question, chip, options))
        if key not in found_by:
            found_by[key] = searches_of(question, chip, **options)
        return found_by[key]

    for module in ("serving", "serving_curves"):
        monkeypatch.setattr(f"computeplan.planner.{module}.searches_of", once)
    (command,) = [one for one in blocks(readme, "sh") if "serve-plan" in one]
    words = shlex.split(command.replace("\\\n", " ").splitlines()[0])
    words[words.index("--figures") + 1] = str(tmp_path)
    printed = call(*words[1:], "--lang", language)
    (said,) = blocks(readme, "text")
    assert "".join(said.split()) in "".join(printed.split())
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "frontier.png",
        "latency.png",
        "wh.png",
    ]


def test_readmes_show_the_same_code():
    for language in ("sh", "yaml", "python"):
        english, chinese = (
            [re.sub(r"\s*#.*", "", block) for block in blocks(readme, language)]
            for readme in READMES
        )
        assert english == chinese
        assert english


@each_readme
def test_readme_names_every_scenario_and_counts_right(readme):
    text = (REPO / readme).read_text("utf-8")
    for path in FILES:
        assert f"`{path.stem}`" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| `one-cloud-many-chips`")]
    scenario = cp.load("one-cloud-many-chips")
    for counted in (scenario.jobs, scenario.cases, scenario.pool_names):
        assert any(word in line for word in COUNTED[len(counted)])


@each_readme
def test_readme_points_to_what_is_there(readme):
    targets = re.findall(r"\]\(([^)#]+)\)", (REPO / readme).read_text("utf-8"))
    missing = [t for t in targets if "://" not in t and not (REPO / t).exists()]
    assert not missing


def test_the_numbers_of_a_run_are_finite_where_they_are_promised():
    for path in FILES:
        names = promised(cp.load(path))
        for case in result_of(path.stem).cases.values():
            assert all(math.isfinite(case.estimate(q).mean) for q in names)


# What breaks, and what to do about it


def test_44_spares_keep_99_percent_of_a_year_and_the_closed_form_asks_for_more():
    available = {n: mean("spares", f"spares={n} nodes", "available_frac", 60) for n in (40, 44, 48)}
    assert available[40] < 0.99 < available[44] < available[48]
    facts = result_of("spares", 60).case("spares=44 nodes").facts
    assert "3.39 % of the time by closed form, in the long run" in sentence(facts["spares"])


def test_32_spares_look_better_in_54_days_than_in_a_year():
    short = mean("llama3-405b", "32 spares", "available_frac", 200)
    assert short == pytest.approx(0.985, abs=0.01)
    assert mean("spares", "spares=32 nodes", "available_frac", 60) < 0.8


def test_the_best_interval_is_the_best_of_the_sweep():
    result = result_of("checkpoint-interval", 100)
    ettr = {name: result.case(name).estimate("ettr").mean for name in result.cases}
    best = max(ettr.values())
    assert ettr["every=optimal"] == best
    assert min(ettr["every=10 min"], ettr["every=20 min"]) > best - 0.01
    assert max(ettr["every=2 min"], ettr["every=80 min"]) == pytest.approx(best - 0.13, abs=0.005)
    for name, case in result.cases.items():
        closed = float(sentence(case.facts["expected"]).split()[1])
        assert ettr[name] == pytest.approx(closed, abs=0.002)


def test_a_910b_fleet_matches_the_h100_up_to_3_times_the_fault_rate():
    result = result_of("910b-fault-rate", 100, "fixed")
    speed = {name: result.case(name).estimate("goodput_tok_per_s").mean for name in result.cases}
    h100 = speed.pop("2,048 H100")
    ratios = [value / h100 for value in speed.values()]
    assert ratios[0] == pytest.approx(1.11, abs=0.01)
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[2] == pytest.approx(1.0, abs=0.01)
    assert ratios[1] > 1 > ratios[3]


def test_a_910b_fleet_and_the_h100_cannot_be_told_apart_within_their_bands():
    result = result_of("910b-fault-rate", 200)
    speed = {name: case.values["goodput_tok_per_s"] for name, case in result.cases.items()}
    ratio = speed["8,192 910B2, rate x 1"] / speed["2,048 H100"]
    low, high = np.quantile(ratio, [0.05, 0.95])
    assert (low, high) == pytest.approx((0.7, 1.9), abs=0.06)
    (said,) = [sentence(n) for n in result.notes if n.code == "break_even"]
    assert "cannot be told apart" in said


def test_llama3_trains_at_the_utilisation_that_was_published_and_its_layout_agrees():
    world = compile_world(cp.load("llama3-405b"))
    assert world.jobs[0].mfu[0] == 0.41
    factor = world.jobs[0].step_factor[0]
    assert (factor.low, factor.high) == pytest.approx((0.41 / 0.43, 0.41 / 0.38))
    (said,) = [sentence(n) for n in world.notes if n.code == "layout_checks_speed"]
    assert "inside the band that its layout is priced at" in said
