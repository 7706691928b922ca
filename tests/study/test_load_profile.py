"""The power of sites is kept with a result, shown, and written at a regular step."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

import computeplan as cp
from computeplan.cli.main import cli
from computeplan.errors import ComputePlanError
from computeplan.ledger import PHASES
from computeplan.report import power_over_time
from computeplan.results.power_series import PowerSeries
from computeplan.study.load_profile import save_load_profile
from computeplan.study.store import load_result, save_result

SCENARIO = {
    "computeplan": 1,
    "name": "loads",
    "sites": {
        "a": {
            "pue": 1.2,
            "power_limit": "30 kW",
            "battery": {"energy": "20 kWh", "power": "9 kW", "efficiency": 0.9},
            "pools": {"p": {"chip": "nvidia/h100-sxm", "chips": 32}},
        },
        "b": {"pue": 1.1, "pools": {"q": {"chip": "nvidia/h100-sxm", "chips": 8}}},
    },
    "jobs": {
        "j": {
            "train_for": "20 h", "chips": 24, "home": "p", "arrival": "2 h",
            "checkpoint": {"every": "1 h", "stall": "1 min"},
        },
        "k": {"train_for": "5 h", "chips": 8, "home": "q", "checkpoint": {"every": "never"}},
    },
    "policy": "silo",
}  # fmt: skip


@pytest.fixture(scope="module")
def result():
    return cp.run(cp.load(SCENARIO))


def test_power_is_that_of_the_energy_in_the_books(result):
    (case,) = result.cases.values()
    assert set(case.power) == {"a", "b"}
    total_j = sum(float(one.seconds @ one.taken_w) for one in case.power.values())
    assert case.values["energy_battery_kwh"][0] > 0
    assert total_j == pytest.approx(case.values["energy_kwh"][0] * 3.6e6, rel=1e-9)
    assert case.power["a"].taken_w.max() <= 30e3 * (1 + 1e-9)
    assert case.power["a"].total_w.max() > 30e3
    assert case.power["b"].battery_w is None
    assert set(case.power["a"].limit_w) == {30e3}
    assert case.power["b"].limit_w is None


@pytest.mark.parametrize("engine", ["batch", "event"])
def test_power_of_both_engines_adds_up(engine):
    changes = {"sites.a.battery": None, "sites.a.power_limit": None, "simulate.engine": engine}
    changes["jobs.j.arrival"] = "0 h"
    found = cp.run(cp.load(SCENARIO).with_(changes))
    (case,) = found.cases.values()
    total_j = sum(float(one.energy_j.sum()) for one in case.power.values())
    assert total_j == pytest.approx(case.values["energy_kwh"][0] * 3.6e6, rel=1e-9)


def test_a_saved_result_has_its_power_again(result, tmp_path):
    save_result(result, tmp_path / "r")
    (case,), (again,) = result.cases.values(), load_result(tmp_path / "r").cases.values()
    for site, one in case.power.items():
        other = again.power[site]
        assert one.edges_s.tobytes() == other.edges_s.tobytes()
        assert one.watts.tobytes() == other.watts.tobytes()
        assert (one.battery_w is None) == (other.battery_w is None)
        assert (one.limit_w is None) == (other.limit_w is None)
    for name in ("battery_w", "limit_w"):
        one, other = (getattr(of.power["a"], name) for of in (case, again))
        assert one.tobytes() == other.tobytes()


def test_power_kept_before_there_were_limits_is_read(result, tmp_path):
    save_result(result, tmp_path / "r")
    path = tmp_path / "r" / "power.csv"
    rows = [line.rsplit(",", 1)[0] for line in path.read_text("utf-8").splitlines()]
    path.write_text("\n".join(rows) + "\n", "utf-8")
    (case,) = load_result(tmp_path / "r").cases.values()
    assert case.power["a"].limit_w is None
    assert case.power["a"].battery_w is not None


@pytest.mark.parametrize(("site", "lines"), [("a", 2), ("b", 0), (None, 1)])
def test_the_figure_draws_the_limit_where_all_that_is_drawn_has_one(result, site, lines):
    """Of the site with a battery what it takes, and its limit, flat at 30 kW; none of both sites.

    Of both together what they take is drawn, as a battery is among them.
    """
    ax = result.plot.power(site=site)
    found = {p.get_label(): p.get_data() for p in ax.patches if not p.get_fill()}
    assert len(found) == lines
    assert ("Power limit" in found) == (site == "a")
    if site == "a":
        assert set(found["Power limit"].values) == {30.0}
        assert (found["Taken from outside"].values <= 30.0 * (1 + 1e-9)).all()


def test_a_profile_holds_the_energy_in_steps(result, tmp_path):
    save_load_profile(result, tmp_path / "load.csv", 900.0)
    with (tmp_path / "load.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (case,) = result.cases.values()
    for site, one in case.power.items():
        here = [row for row in rows if row["site"] == site]
        hours = [float(row["hour"]) for row in here]
        assert hours == (np.arange(len(here)) / 4).tolist()
        assert (len(here) - 1) * 900 < one.edges_s[-1] <= len(here) * 900
        drawn = sum(float(row[f"{p}_kw"]) for row in here for p in ("train", "save", "idle"))
        assert drawn * 900e3 == pytest.approx(one.energy_j.sum(), rel=1e-9)
        taken = sum(float(row["taken_kw"]) for row in here)
        assert taken * 900e3 == pytest.approx(one.taken_w @ one.seconds, rel=1e-9)


def test_too_fine_a_step_is_refused(result, tmp_path):
    with pytest.raises(ComputePlanError, match="write a longer step"):
        save_load_profile(result, tmp_path / "load.csv", 0.001)


def test_the_table_tells_how_a_site_swings(result):
    table = result.power()
    assert [row[0] for row in table.rows] == ["loads: a", "loads: b"]
    (case,) = result.cases.values()
    mean, p5, p95, peak, step, minute, quarter, hour = map(float, table.rows[0][1:])
    one = case.power["a"]
    assert mean == pytest.approx(one.mean_w / 1e6, rel=1e-3)
    assert p5 <= mean <= p95 <= peak == pytest.approx(0.03)
    assert step <= minute <= quarter <= hour <= peak


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_command_prints_and_writes_it(tmp_path, language):
    (tmp_path / "s.yaml").write_text(cp.load(SCENARIO).to_yaml(), "utf-8")
    args = ["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out"), "--lang", language]
    done = CliRunner().invoke(cli, [*args, "--no-figures", "--power", "--load-profile", "30 min"])
    assert done.exit_code == 0, done.output
    assert {"en": "Load profile:", "zh": "负荷曲线："}[language] in done.output
    assert "0.03000" in done.output
    assert (
        (tmp_path / "out" / "load" / "profile.csv").read_text("utf-8").startswith("case,site,hour")
    )
    again = CliRunner().invoke(cli, [*args, "--no-figures"])
    assert again.exit_code == 0
    assert not (tmp_path / "out" / "load").exists()


def test_a_step_that_is_none_is_refused_before_any_work(tmp_path):
    (tmp_path / "s.yaml").write_text(cp.load(SCENARIO).to_yaml(), "utf-8")
    for step in ("15", "0 s", "1 kW"):
        done = CliRunner().invoke(cli, ["run", str(tmp_path / "s.yaml"), "--load-profile", step])
        assert done.exit_code == 2, (step, done.output)
        assert "--load-profile" in done.output


def test_with_json_and_no_folder_it_has_nowhere_to_go(tmp_path):
    (tmp_path / "s.yaml").write_text(cp.load(SCENARIO).to_yaml(), "utf-8")
    args = ["run", str(tmp_path / "s.yaml"), "--json", "--load-profile", "1 h"]
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 2
    assert "--out" in done.output


def test_a_save_too_short_to_be_seen_is_drawn_as_a_mean():
    """A second of 0 W in a day of 100 kW: the part of 216 s that holds it draws 99.5 kW."""
    edges_s = np.array([0.0, 43_210.0, 43_211.0, 86_400.0])
    watts = np.zeros((3, len(PHASES)))
    watts[[0, 2], 0] = 100e3
    seen_s, seen_w, _ = power_over_time._seen(PowerSeries(edges_s, watts))
    assert len(seen_w) == power_over_time.MOST_STEPS
    assert seen_w[:, 0].min() == pytest.approx(100e3 * (1 - 1 / 216))
    energy_j = (seen_w.sum(axis=1) * np.diff(seen_s)).sum()
    assert energy_j == pytest.approx(100e3 * 86_399)
