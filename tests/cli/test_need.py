"""``computeplan need``: the answer in words, exit codes, JSON."""

import json
from pathlib import Path

import pytest
from small import SMALL

from computeplan.cli import need as command
from computeplan.planner import search

SCENARIO = (
    SMALL.replace("    price: 0.1 USD/kWh\n", "") + "cases: {as is: {}, slow: {jobs.j.mfu: 0.2}}\n"
)
CHIPS = ("--vary", "sites.here.pools.a.chips, jobs.j.chips")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Run in an empty folder that holds one small scenario."""
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SCENARIO, "utf-8")


def test_the_answer_stands_first_with_its_neighbours(call):
    out = call("need", "s.yaml", *CHIPS, "--until", "P(time <= 6 d) >= 80 %")
    lines = out.splitlines()
    assert " ".join(lines[:2]) == (
        "56 chips: the least with P(time <= 6 d) >= 80 % (95.0 % of 100 runs; 95 % interval"
        " 88.7 to 98.4 %)."
    )
    assert "As settings: -s sites.here.pools.a.chips=56 -s jobs.j.chips=56" in out
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.endswith((" yes", " no"))]
    assert [(row[0], row[-1]) for row in rows] == [("48", "no"), ("56", "yes"), ("64", "yes")]
    assert "values tried with the same 100 samples each" in out


def test_what_the_runs_cannot_tell_is_said(call):
    out = call("need", "s.yaml", *CHIPS, "--until", "P(time <= 6 d) >= 90 %")
    assert "56 chips: the least with" in out
    assert "yes, within the interval" in out
    assert "With these 100 runs 56 chips cannot be told from 90 %; more runs" in out
    assert "64 chips meets it beyond the interval" in out


def test_a_case_has_its_own_answer(call):
    until = ("--until", "mean(time) <= 6 d")
    counts = {
        case: json.loads(call("need", "s.yaml", *CHIPS, *until, "--json", *case))["answer"]
        for case in ((), ("--case", "as is"), ("--case", "slow"))
    }
    assert list(counts.values()) == [56, 56, 112]
    assert "no case 'slwo'. Did you mean 'slow'?" in call(
        "need", "s.yaml", *CHIPS, *until, "--case", "slwo", expect=2
    )


def test_json_has_every_value_that_was_tried(call):
    out = json.loads(call("need", "s.yaml", *CHIPS, "--until", "mean(time) <= 6 d", "--json"))
    assert (out["find"], out["answer"], out["complete"]) == ("least", 56, True)
    assert out["paths"] == ["sites.here.pools.a.chips", "jobs.j.chips"]
    tried = {one["count"]: one for one in out["tried"]}
    assert tried[56]["met"]
    assert not tried[48]["met"]
    assert tried[56]["low"] < tried[56]["value"] < tried[56]["high"]


def test_a_value_with_which_work_is_never_done_is_said(call):
    """Nodes fault faster than one crew repairs them."""
    changes = {
        "faults.gpu.mtbf": "60 h",
        "faults.gpu.repair": "20 h",
        "sites.here.pools.a.spares": "6 nodes",
        "sites.here.pools.a.crews": "1",
    }
    settings = [part for path, value in changes.items() for part in ("-s", f"{path}={value}")]
    vary = ("--vary", "sites.here.pools.a.crews", "--runs", "16")
    out = call("need", "s.yaml", *vary, "--until", "mean(time) <= 6 d", *settings)
    told = " ".join(out.split())
    assert "the least with mean(time) <= 6 d" in told
    assert "1 value without a result, such as 1: jobs.j: still not done after" in told


def test_unfinished_work_is_said(call):
    settings = ("-s", "faults.gpu.repair=2000 d", "-s", "simulate.at_most=9 d")
    vary = ("--vary", "sites.here.pools.a.spares", "--runs", "16")
    out = call("need", "s.yaml", *vary, "--until", "energy <= 11 MWh", *settings)
    told = " ".join(out.split())
    assert told.startswith("2 nodes: the least with energy <= 11 MWh")
    assert "at 1 nodes: work is unfinished in 2 of 16 runs, which do not meet the goal" in told
    assert "cannot be told from" not in told


def run_it(capsys, *args):
    from computeplan.cli.main import main

    with pytest.raises(SystemExit) as caught:
        main(["need", "s.yaml", *CHIPS, *args])
    return caught.value.code, capsys.readouterr().out


def test_no_value_is_exit_code_3(capsys):
    code, out = run_it(capsys, "--until", "mean(time) <= 1 d", "--to", "128")
    assert code == 3
    assert "No legal value from 0 to 128 meets mean(time) <= 1 d; the nearest is 128 chips" in out


@pytest.mark.parametrize("bound", [("--max-runs", "450"), ("--max-time", "0 s")])
def test_a_bound_is_exit_code_4_with_what_is_known(capsys, bound):
    code, out = run_it(capsys, "--until", "mean(time) <= 6 d", *bound)
    assert code == 4
    assert out.startswith("STOPPED: ")
    assert f"{4 if bound[0] == '--max-runs' else 0} values tried" in out
    assert "what lies between the values above is not known" in out


def test_ctrl_c_is_exit_code_130_with_what_is_known(capsys, monkeypatch):
    play = search.Search.play

    def third(self, point):
        if len(self.tried) == 2:
            raise KeyboardInterrupt
        return play(self, point)

    monkeypatch.setattr(search.Search, "play", third)
    code, out = run_it(capsys, "--until", "mean(time) <= 6 d")
    assert code == 130
    assert "2 values tried" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((*CHIPS, "--until", "time < 6 d"), "P(time <= 60 d) >= 95 %"),
        (("--vary", "jobs.j.chps", "--until", "ettr >= 0.9"), "Did you mean 'chips'?"),
        ((*CHIPS, "--until", "ettr >= 0.9", "--max-time", "5"), "is not a number with a unit"),
        ((*CHIPS, "--until", "cost <= 2 MUSD"), "the scenario has no cost_usd"),
    ],
)
def test_wrong_input_is_exit_code_2(call, args, message):
    assert message in call("need", "s.yaml", *args, expect=2)


def test_it_speaks_chinese(call):
    out = call("need", "s.yaml", *CHIPS, "--until", "mean(time) <= 6 d", "--lang", "zh")
    assert out.splitlines()[0].startswith("56 卡：满足 mean(time) <= 6 d 的最小值")
    head = next(line for line in out.splitlines() if "是否满足" in line)
    assert not set("abcdefghijklmnopqrstuvwxyz") & set(head.replace("mean(time)", ""))


def test_workers_change_nothing(call):
    args = ("need", "s.yaml", *CHIPS, "--until", "mean(time) <= 6 d", "--json")
    assert call(*args) == call(*args, "--workers", "2")


def test_nobody_who_does_not_look_is_told_of_progress(capsys):
    with command._progress("en") as progress:
        assert progress is None
