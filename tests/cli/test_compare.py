"""``computeplan compare``: folders and scenarios side by side, as a table, JSON or Markdown."""

import json
from pathlib import Path

import pytest
from small import SMALL

from computeplan.cli.main import main

SCENARIO = SMALL.replace("runs: 100", "runs: 70") + "cases: {as is: {}, slow: {jobs.j.mfu: 0.3}}\n"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Run in an empty folder that holds two scenarios."""
    monkeypatch.chdir(tmp_path)
    Path("before.yaml").write_text(SCENARIO, "utf-8")
    after = SCENARIO.replace("every: 30 min", "every: 1 h").replace("seed: 3", "seed: 9")
    Path("after.yaml").write_text(after, "utf-8")


def test_two_scenarios_are_simulated_and_compared(call):
    out = call("compare", "before.yaml", "after.yaml")
    lines = out.splitlines()
    assert lines[:2] == [
        "A: before.yaml; B: after.yaml",
        "Compared run by run on the same 70 samples.",
    ]
    assert "jobs.j.checkpoint.every  30 min  1 h" in out
    assert "as is: B against A" in out
    assert "slow: B against A" in out
    assert max(map(len, lines)) <= 80
    assert "simulate.seed" not in out  # B is played as A is


def test_folders_are_read_and_say_the_same_as_scenarios(call):
    call("run", "before.yaml", "--no-figures", "--out", "one")
    call("run", "after.yaml", "--no-figures", "--seed", "3", "--out", "two")
    folders = json.loads(call("compare", "one", "two", "--json"))
    scenarios = json.loads(call("compare", "before.yaml", "after.yaml", "--json"))
    assert folders["paired"]
    assert folders["cases"]["slow"]["quantities"] == scenarios["cases"]["slow"]["quantities"]
    mixed = json.loads(call("compare", "one", "after.yaml", "--json"))
    assert mixed["cases"] == scenarios["cases"]


def test_other_seeds_are_said(call):
    call("run", "before.yaml", "--no-figures", "--out", "one")
    call("run", "after.yaml", "--no-figures", "--out", "two")
    out = call("compare", "one", "two")
    assert "Not the same samples (seed 3, 9): means of independent samples are" in out
    assert not json.loads(call("compare", "one", "two", "--json"))["paired"]


def test_two_cases_of_one_folder(call):
    call("run", "before.yaml", "--no-figures", "--out", "one")
    out = call("compare", "one", "one", "--case", "as is", "--with", "slow")
    assert "jobs.j.mfu  0.4  0.3" in out
    assert "as is / slow: slow against as is" in out


def test_markdown_is_a_table_for_a_pull_request(call):
    out = call("compare", "before.yaml", "after.yaml", "--case", "as is", "--markdown")
    assert out.startswith("- A: before.yaml; B: after.yaml\n")
    assert "\n| jobs.j.checkpoint.every | 30 min | 1 h |\n" in out
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert {line.count("|") - line.count("\\|") for line in rows} <= {4, 6}
    assert "| --- | ---: | ---: | ---: | ---: |" in rows


def test_many_cases_share_a_table(call):
    sweep = "sweep: {jobs.j.mfu: [0.2, 0.25, 0.3, 0.35, 0.4]}"
    for name in ("before", "after"):
        text = Path(f"{name}.yaml").read_text("utf-8")
        swept = text.replace("cases: {as is: {}, slow: {jobs.j.mfu: 0.3}}", sweep)
        Path(f"{name}.yaml").write_text(swept, "utf-8")
    out = call("compare", "before.yaml", "after.yaml")
    assert "against A" not in out
    assert len([line for line in out.splitlines() if line.startswith("mfu=0.25 ")]) >= 1
    assert max(map(len, out.splitlines())) <= 80


def run_it(capsys, *args):
    with pytest.raises(SystemExit) as caught:
        main(["compare", *args])
    return caught.value.code, *capsys.readouterr()


def test_what_does_not_compare_is_exit_code_2_or_4(capsys):
    text = Path("before.yaml").read_text("utf-8")
    Path("more.yaml").write_text(text.replace("200 Gtoken", "300 Gtoken"), "utf-8")
    code, out, _ = run_it(capsys, "before.yaml", "more.yaml")
    assert code == 2
    assert "as is: not compared: the work differs: 200 Gtoken meta/llama-3.1-8b in A" in out
    slow = "slow: {jobs.j.mfu: 0.3, jobs.j.tokens: 1 Ttoken}"
    Path("some.yaml").write_text(text.replace("slow: {jobs.j.mfu: 0.3}", slow), "utf-8")
    code, out, _ = run_it(capsys, "before.yaml", "some.yaml")
    assert code == 4
    assert "slow: not compared: the work differs" in out
    assert "as is: B against A" in out


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("before.yaml", "gone.yaml"), 2, "gone.yaml"),
        (("before.yaml", "."), 1, "is not a computeplan result"),
        (("before.yaml", "after.yaml", "--case", "slwo"), 1, "Did you mean 'slow'?"),
        (("before.yaml", "after.yaml", "--json", "--markdown"), 2, "exclude each other"),
    ],
)
def test_wrong_input_is_said(capsys, args, code, message):
    found, _, err = run_it(capsys, *args)
    assert found == code
    assert message in err


def test_it_speaks_chinese(call):
    out = call("compare", "before.yaml", "after.yaml", "--lang", "zh")
    assert "用同样的 70 组样本逐次比较。" in out
    assert "as is：B 与 A 相比" in out
