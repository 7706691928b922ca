"""``computeplan validate reliability``: published interruptions and exact values, simulated."""

import json

import pytest
from click.testing import CliRunner
from places import REPO

from computeplan.cli.main import cli
from computeplan.errors import ScenarioError
from computeplan.validation.reliability import checks
from computeplan.validation.reliability_cases import read_reliability

CASE = """
cases:
- {id: mine, source: own, nodes: 10, mtbf: 10 h, interval: 1 h, save: 1 min, restart: 10 min,
   published: 0.9, exact: %s, within: 0.01}
"""


REAL = REPO.parent / "shared/traces/infinitehbd/fault_trace_days_0_174.json"


@pytest.fixture(scope="module")
def found():
    return list(checks(read_reliability()))


def test_every_shipped_case_holds(found):
    assert [check.id for check in found if not check.ok] == []


def test_the_suite_names_every_case_that_is_simulated(found):
    names = {check.id.split()[0] for check in found}
    assert names == {
        "V1",
        "V2",
        "V3",
        "V4",
        "V5",
        "V6",
        "V7",
        "V8",
        "V9",
        "V10",
        "V11",
        "V13",
        "V14",
    }


@pytest.mark.parametrize(("exact", "code"), [(0.92, 0), (0.85, 1)])
def test_cases_of_ones_own_hold_or_end_with_1(tmp_path, exact, code):
    """The closed form of CASE: 1 h of 61 min, 31 min and a restart lost every 10 h, about 0.92."""
    file = tmp_path / "cases.yaml"
    file.write_text(CASE % exact)
    run = CliRunner().invoke(cli, ["validate", "reliability", "--cases", str(file), "--json"])
    assert run.exit_code == code
    said = json.loads(run.stdout)
    assert [check["ok"] for check in said["checks"]] == [not code]
    assert said["checks"][0]["predicted"] == pytest.approx(0.918, abs=0.01)


def test_a_table_says_what_is_missed(tmp_path):
    file = tmp_path / "cases.yaml"
    file.write_text(CASE % 0.5)
    run = CliRunner().invoke(cli, ["validate", "reliability", "--cases", str(file), "--markdown"])
    assert run.exit_code == 1
    assert "| NO |" in run.stdout
    assert "0 of 1 hold" in run.stdout


@pytest.mark.parametrize("what", ["reliability", "training"])
def test_two_forms_of_one_output_are_refused(call, what):
    assert "ask for one" in call("validate", what, "--json", "--markdown", expect=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CASE % 0.9 + "  rate: 1\n", "cases.yaml"),
        ((CASE % 0.9).replace("mtbf: 10 h, ", ""), "state the fault rate once"),
        ((CASE % 0.9).replace("mtbf: 10 h", "mtbf: 10 h, rate: 6.5"), "state the fault rate once"),
        ((CASE % 0.9).replace("nodes: 10", "nodes: -1"), "cases"),
        ("cases: 3\n", "cases"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path, text, said):
    file = tmp_path / "cases.yaml"
    file.write_text(text)
    with pytest.raises(ScenarioError, match=said):
        read_reliability(file)


@pytest.mark.skipif(not REAL.exists(), reason="the log is read in place, where it is")
def test_the_real_log_is_fitted_to_day_120_and_predicted_by_both_models(tmp_path):
    """Whether the truth is inside is printed, not promised: no interval is widened to cover it."""
    file = tmp_path / "cases.yaml"
    file.write_text(CASE % 0.92)
    asked = ["validate", "reliability", "--cases", str(file), "--log", str(REAL)]
    log = json.loads(CliRunner().invoke(cli, [*asked, "--json"]).stdout)["log"]
    found = {(p["model"], f["name"]): f for p in log["predictions"] for f in p["forecasts"]}
    assert len(found) == 6
    for forecast in found.values():
        inside = forecast["low"] <= forecast["truth"] <= forecast["high"]
        assert forecast["is_inside"] == inside
    assert {f["truth"] for (_, name), f in found.items() if name == "faults"} == {112}
    assert log["lemons"]["later"] == pytest.approx(0.053, abs=0.001)
    printed = CliRunner().invoke(cli, asked).stdout
    assert "OUTSIDE" in printed
    assert "fleet of equal nodes" in printed
    assert "not stationary" in printed
