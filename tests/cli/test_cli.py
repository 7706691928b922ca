"""The doors: exit codes, messages with places, and nothing half done."""

import contextlib
import errno
import json
import os
import runpy
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from computeplan.cli.main import COMMANDS, cli, main
from computeplan.errors import InfeasibleError
from computeplan.study.store import load_result

SMALL = """\
computeplan: 1
name: small
sites:
  here:
    pue: 1.2
    carbon: 400 g/kWh
    price: 0.1 USD/kWh
    pools:
      a: {chip: nvidia/h100-sxm, chips: 16}
faults:
  gpu: {mtbf: 0.2 kh, per: chip, takes: nothing, restart: 5 min}
jobs:
  j: {train_for: 1 d, chips: 16, checkpoint: {every: 1 h, stall: 5 s}}
cases:
  hourly: {}
  two hours: {jobs.j.checkpoint.every: 2 h}
simulate: {runs: 8, seed: 7}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Run in an empty folder that holds one small scenario."""
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SMALL, "utf-8")
    return tmp_path


@pytest.fixture
def call(capsys):
    """Return a function that runs a command: exit code, standard output, standard error."""

    def call(*args):
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(list(args))
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return call


def in_a_process(*args, **kwargs):
    command = [sys.executable, "-c", "from computeplan.cli.main import main; main()", *args]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, **kwargs)


def replaced(old, new):
    assert SMALL.count(old) == 1
    return SMALL.replace(old, new)


def alias_bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join(lines)


# -- bad input -----------------------------------------------------------------------------------

BAD = {
    "empty": ("", "is empty; start with: computeplan init NAME"),
    "list": ("- a\n", "1:1 must be a mapping of keys to values, not a list"),
    "tab": ("a: 1\nsites:\n\there: 1\n", "3:1 a tab cannot start a token in YAML; indent with"),
    "twice": (SMALL + "name: again\n", "18:1  name: the key stands twice; remove one"),
    "negative": (
        replaced("chips: 16}\nfaults", "chips: -1}\nfaults"),
        "9:41  sites.here.pools.a.c",
    ),
    "nan": (
        replaced("chips: 16}\nfaults", "chips: .nan}\nfaults"),
        "9:41  sites.here.pools.a.chip",
    ),
    "inf": (
        replaced("pue: 1.2", "pue: .inf"),
        "5:10  sites.here.pue: must be a finite number, got",
    ),
    "1e400": (replaced("pue: 1.2", "pue: 1e400"), "5:10  sites.here.pue: must be a finite number"),
    "nan unit": (
        replaced("0.2 kh", "nan kh"),
        "11:15  faults.gpu.mtbf: 'nan kh' is not a number wi",
    ),
    "inf unit": (
        replaced("0.2 kh", "inf kh"),
        "11:15  faults.gpu.mtbf: 'inf kh' is not a number wi",
    ),
    "1e400 unit": (
        replaced("0.2 kh", "1e400 h"),
        "11:15  faults.gpu.mtbf: '1e400 h' is not a finit",
    ),
    "bare": (
        replaced("1 d,", "86400,"),
        "13:18  jobs.j.train_for: needs a unit: write it like '5 ",
    ),
    "wrong unit": (
        replaced("chips: 16}\nfaults", "chips: 16, power: {compute: 700 GiB}}\nfaults"),
        "9:62  sites.here.pools.a.power.compute: '700 GiB' is an amount of data, not a power",
    ),
    "chip": (
        replaced("h100-sxm", "h100-smx"),
        "9:17  sites.here.pools.a.chip: no chip 'nvidia/h100-smx'. Did you mean 'nvidia/h100-sxm'?",
    ),
    "ranks": (
        replaced("chips: 16, check", "chips: 16, parallelism: {tp: 8, pp: 2, dp: 2}, check"),
        "13:47  jobs.j.parallelism: parallelism makes 32 ranks (tp*pp*dp*cp), but the job asks for",
    ),
    "cycle": (SMALL + "extends: s.yaml\n", "18:10  extends: goes in a circle: s.yaml -> s.yaml"),
    "outside": (SMALL + "extends: ../x.yaml\n", "18:10  extends: '../x.yaml' lies outside the sce"),
    "symlink": (SMALL + "extends: link/x.yaml\n", "18:10  extends: 'link/x.yaml' lies outside the"),
    "bomb": (SMALL + alias_bomb(), "holds more than 100000 values (aliases count)"),
    "brackets": ("a: " + "[" * 5000 + "]" * 5000, "1:4 is nested deeper than 40 levels"),
    "tag": ("a: 1\nb: !!python/object/apply:os.system [touch x]", "2:4  b: the tag 'tag:yaml.org,"),
    "nul": ("a: 1\nb\0: 1\n", "2:2 the character U+0000 is not allowed in YAML"),
    "bytes": (b"a: 1\nb: caf\xe9\n", "2:7 byte 0xe9 is not UTF-8; save the file as UTF-8"),
}


@pytest.mark.parametrize("command", ["run", "check", "paths"])
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_exit_2_with_its_place_and_leaves_nothing(call, here, name, command):
    text, message = BAD[name]
    (here / "link").symlink_to(here.parent)
    (here / "s.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out, err = call(command, "s.yaml")
    assert code == 2
    assert out == ""
    head, *problems = err.splitlines()
    assert head == "s.yaml: 1 problem"
    assert problems[0].startswith(f"  {message}"), problems
    assert len(problems) == 1
    assert sorted(path.name for path in here.iterdir()) == ["link", "s.yaml"]


def test_bad_input_through_the_installed_command(here):
    (here / "s.yaml").write_bytes(b"a: 1\nb\0: 1\n")
    done = in_a_process("run", "s.yaml")
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.decode() == (
        "s.yaml: 1 problem\n  2:2 the character U+0000 is not allowed in YAML\n"
    )


def test_more_chips_than_any_pool_has_is_exit_3_before_the_first_run(call, here):
    for args in (("run", "s.yaml"), ("check", "s.yaml"), ("run", "s.yaml", "--json")):
        code, out, err = call(*args, "-s", "jobs.j.chips=32")
        assert (code, out) == (3, "")
        assert "jobs.j.chips: wants 32 chips, but no pool has so many (chips: a 16)" in err
        assert "(in cases 'hourly' and 'two hours')" in err
    assert [path.name for path in here.iterdir()] == ["s.yaml"]


@pytest.mark.parametrize("out", ["file", "file/deep", "file/deep/er"])
def test_an_output_folder_that_cannot_be_written_is_exit_1_before_the_work(
    call, here, out, monkeypatch
):
    from computeplan.study import run as study

    monkeypatch.setattr(study, "run", lambda *_, **__: pytest.fail("it ran"))
    (here / "file").write_text("mine")
    code, stdout, err = call("run", "s.yaml", "--out", out)
    assert (code, stdout) == (1, "")
    assert err.startswith(f"Error: {out}: cannot be written: ")
    assert "is a file, not a folder" in err
    assert "Traceback" not in err
    assert sorted(path.name for path in here.iterdir()) == ["file", "s.yaml"]
    assert (here / "file").read_text() == "mine"


def test_an_output_folder_with_an_impossible_name_is_exit_1(call, here):
    code, stdout, err = call("run", "s.yaml", "--out", "a" * 300)
    assert (code, stdout) == (1, "")
    assert "cannot be written: " in err
    assert "defect" not in err
    assert [path.name for path in here.iterdir()] == ["s.yaml"]


def test_a_folder_of_something_else_is_not_replaced(call, here):
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("years of work")
    code, _, err = call("run", "s.yaml", "--out", "mine", "--no-figures")
    assert code == 1
    assert "mine: exists and is not a computeplan result" in err
    assert [path.name for path in (here / "mine").iterdir()] == ["thesis.txt"]


def test_several_problems_are_shown_at_once_in_the_order_of_the_file(call, here):
    text = replaced("pue: 1.2", "pue: 0.2").replace("h100-sxm", "h100-smx").replace("1 d,", "1 W,")
    (here / "s.yaml").write_text(text)
    code, _, err = call("check", "s.yaml")
    assert code == 2
    assert err.splitlines() == [
        "s.yaml: 3 problems",
        "  5:10  sites.here.pue: should be greater than or equal to 1, got 0.2",
        (
            "  9:17  sites.here.pools.a.chip: no chip 'nvidia/h100-smx'. Did you mean"
            " 'nvidia/h100-sxm'?  List: computeplan chips"
        ),
        "  13:18  jobs.j.train_for: '1 W' is a power, not a time; write it like '5 min'",
    ]


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["jobs.j.chps=8"], "-s jobs.j.chps=8: 1 problem\n  jobs.j.chps: no 'chps' in jobs.j. Did"),
        (["jobs.j.chips=many"], "-s jobs.j.chips=many: 1 problem\n  jobs.j.chips: must be a numbe"),
        (
            ["jobs.j.chips="],
            "1 problem\n  has no value; write it behind the =, or jobs.j.chips=null",
        ),
        (
            ["jobs.j.chips= "],
            "has no value; write it behind the =, or jobs.j.chips=null to remove it",
        ),
        (["jobs.j.chips"], "'jobs.j.chips' is not PATH=VALUE, such as simulate.runs=1000"),
        (["=8"], "'=8' is not PATH=VALUE, such as simulate.runs=1000"),
        (["about=a: b"], "-s about=a: b: 1 problem\n  cannot be read as YAML: mapping values are"),
        (["name=!!python/name:os.system"], "cannot be read as YAML: the tag 'tag:yaml.org,2002:py"),
        (["jobs..chips=8"], "jobs..chips: is not a path; one looks like jobs.pretrain.checkpoint."),
        (["extends=llama3-405b"], "extends: is read with the file and cannot be changed"),
        (["jobs.j.chips=8", "jobs.k.chips=8"], "jobs.k.chips: no 'k' in jobs.  Allowed: j"),
    ],
)
def test_a_wrong_setting_is_exit_2_and_shown_as_it_was_typed(call, settings, message):
    code, out, err = call("check", "s.yaml", *(word for s in settings for word in ("-s", s)))
    assert (code, out) == (2, "")
    assert message in err


def paths_of(call, *settings):
    code, out, _ = call("paths", "s.yaml", "--json", *(w for s in settings for w in ("-s", s)))
    assert code == 0
    return {row["path"]: row["value"] for row in json.loads(out)}


def test_settings_hold_together_and_the_later_counts(call):
    found = paths_of(call, "faults.gpu.rate=1 / 1 node-days")
    assert found["faults.gpu.rate"] == "1 / 1 node-days"
    assert found["faults.gpu.mtbf"] == ""
    found = paths_of(call, "faults.gpu.per=node", "faults.gpu.mtbf=3 d", "simulate.runs=3")
    assert (found["faults.gpu.per"], found["faults.gpu.mtbf"]) == ("node", "3 d")
    assert found["simulate.runs"] == "3"
    assert paths_of(call, "simulate.runs=3", "simulate.runs=4")["simulate.runs"] == "4"
    rate = "faults.gpu.rate=2 / 1 node-days"
    found = paths_of(call, rate, "faults.gpu.mtbf=3 d", "faults.gpu.per=node", rate)
    assert (found["faults.gpu.rate"], found["faults.gpu.mtbf"]) == ("2 / 1 node-days", "")


def test_two_settings_that_are_right_only_together(call):
    """Neither mtbf nor per may stand alone beside a rate."""
    Path("s.yaml").write_text(replaced("mtbf: 0.2 kh, per: chip", "rate: 1 / 1 node-days"))
    found = paths_of(call, "faults.gpu.mtbf=3 d", "faults.gpu.per=node")
    assert (found["faults.gpu.mtbf"], found["faults.gpu.rate"]) == ("3 d", "")


# -- run -----------------------------------------------------------------------------------------


def test_run_shows_a_table_and_writes_a_folder_whole(call, here):
    code, out, err = call("run", "s.yaml", "--no-figures")
    assert (code, err) == (0, "")
    assert "hourly" in out
    assert "two hours" in out
    assert out.endswith("Numbers: results/small\n")
    names = sorted(path.name for path in (here / "results" / "small").iterdir())
    assert [n for n in names if not n.startswith("timeline")] == [
        *("jobs.csv", "notes.md", "notes.zh.md"),
        *("power.csv", "provenance.json", "runs.csv", "scenario.yaml", "sites.csv"),
        *("summary.csv", "summary.json"),
    ]
    assert [path.name for path in (here / "results").iterdir()] == ["small"]


def test_run_says_the_answer_first_and_where_the_rest_is(call, here, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = call("run", "s.yaml", "--no-figures", "--versus", "hourly")
    first, *blocks = out.split("\n\n")
    assert first.startswith("Fastest of 2 cases: ")
    assert any(block.startswith("small: difference to hourly") for block in blocks)
    assert "--notes, or notes.md in the folder" in out
    assert max(map(len, out.splitlines())) <= 80
    _, every, _ = call("run", "s.yaml", "--no-figures", "--notes")
    page = (here / "results" / "small" / "notes.md").read_text("utf-8")
    notes = [line for line in page.splitlines() if line.startswith("- ")]
    assert len([line for line in every.splitlines() if line.startswith("- ")]) == len(notes) > 3


def test_a_case_to_compare_with_that_does_not_exist_is_exit_2_before_the_work(call, here):
    code, out, err = call("run", "s.yaml", "--versus", "hurly")
    assert (code, out) == (2, "")
    assert "no case 'hurly'. Cases: 'hourly', 'two hours'" in err
    assert not (here / "results").exists()


def test_running_the_saved_scenario_gives_the_same_runs(call, here):
    call("run", "s.yaml", "--no-figures", "--out", "a", "-s", "jobs.j.checkpoint.stall=10 s")
    call("run", "a/scenario.yaml", "--no-figures", "--out", "b")
    for name in ("runs.csv", "jobs.csv", "summary.csv", "scenario.yaml"):
        assert (here / "a" / name).read_bytes() == (here / "b" / name).read_bytes()


def strict(text):
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_json_has_the_shape_that_scripts_rely_on(call, here):
    code, out, _ = call("run", "s.yaml", "--json")
    found = strict(out)
    assert code == 0
    assert found["name"] == "small"
    assert list(found["cases"]) == ["hourly", "two hours"]
    wanted = {"n_unexpected", "n_planned", "ettr", "wall_days", "energy_kwh", "cost_usd"}
    for quantities in found["cases"].values():
        assert wanted | {"carbon_kg", "goodput_tok_per_s"} <= quantities.keys()
        for numbers in quantities.values():
            assert list(numbers) == ["mean", "low", "high", "p5", "p50", "p95"]
            assert all(v is None or isinstance(v, int | float) for v in numbers.values())
    assert found["cases"]["hourly"]["n_unexpected"]["mean"] > 0
    assert [path.name for path in here.iterdir()] == ["s.yaml"]  # no folder unless asked


def test_json_with_a_folder_keeps_stdout_clean(call, here):
    code, out, err = call("run", "s.yaml", "--json", "--out", "o", "--no-figures", "--runs", "1")
    assert code == 0
    assert strict(out)["cases"]["hourly"]["ettr"]["low"] is None  # one run has no interval
    assert err == "Numbers: o\n"
    assert (here / "o" / "runs.csv").exists()


def runs_csv(call, here, *args):
    code, _, _ = call("run", "s.yaml", "--no-figures", "--out", "o", *args)
    assert code == 0
    return (here / "o" / "runs.csv").read_bytes()


def test_seed_and_runs_do_what_they_say(call, here):
    eight = runs_csv(call, here)
    assert eight == runs_csv(call, here, "--seed", "7")
    assert eight == runs_csv(call, here, "-s", "simulate.seed=7", "-s", "simulate.runs=8")
    assert eight != runs_csv(call, here, "--seed", "8")
    three = runs_csv(call, here, "--runs", "3")
    header, *rows = eight.splitlines()
    first_three = [row for row in rows if int(row.split(b",")[1]) < 3]
    assert three.splitlines() == [header, *first_three]  # a run's faults are its row's
    assert len(first_three) == 6


def test_the_option_goes_before_the_setting(call, here):
    assert runs_csv(call, here, "--runs", "3", "-s", "simulate.runs=5").count(b"\n") == 7


def test_two_workers_give_the_same_bytes_as_one(call, here):
    args = ("--runs", "130", "-s", "simulate.engine=event")  # three pieces of work for each case
    assert runs_csv(call, here, *args, "--workers", "2") == runs_csv(call, here, *args)


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
def test_what_is_told_to_end_leaves_no_workers_and_no_folder(here):
    command = [sys.executable, "-m", "computeplan", "run", "s.yaml", "--runs", "1000000"]
    with subprocess.Popen(
        [*command, "--workers", "2"], start_new_session=True, stderr=subprocess.PIPE, text=True
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.exists():
            process.kill()
            pytest.skip("no list of children")
        until = time.monotonic() + 60
        while len(children.read_text().split()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        process.terminate()
        assert process.communicate(timeout=60)[1].strip() == "interrupted"
    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert [path.name for path in here.iterdir()] == ["s.yaml"]


def failing(monkeypatch, error, on=2):
    """Let the piece of work that is played as the so-many-th fail."""
    from computeplan.study import run as study

    play, played = study._play_piece, []

    def fail(*piece):
        played.append(piece)
        if len(played) == on:
            raise error
        return play(*piece)

    monkeypatch.setattr(study, "_play_piece", fail)


INCOMPLETE = {
    "defect": (ValueError("inside"), 4, "ValueError: inside. This is a defect"),
    "infeasible": (InfeasibleError("never ends"), 4, "never ends"),
    "memory": (MemoryError(), 4, "out of memory; try fewer"),
    "Ctrl-C": (KeyboardInterrupt(), 130, "not played to its end: the run was stopped"),
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_a_case_that_has_no_result_leaves_the_others(call, here, monkeypatch, name):
    error, wanted, why = INCOMPLETE[name]
    failing(monkeypatch, error)
    code, out, err = call("run", "s.yaml", "--no-figures", "--out", "o")
    assert code == wanted
    first, second, *_ = out.splitlines()
    assert first == "INCOMPLETE: 1 of 2 cases have no result and are left out"
    assert second.startswith(f"  'two hours': {why}")
    assert err.strip() == ("interrupted" if code == 130 else "")
    loaded = load_result(here / "o")
    assert list(loaded.cases) == ["hourly"]
    assert list(loaded.incomplete) == ["two hours"]
    assert "1 cases of 8 runs, INCOMPLETE: 1 without a result>" in repr(loaded)
    assert call("plot", "o", "--kind", "goodput")[2].startswith(f"{first}\n{second}")
    code, out, _ = call("run", "s.yaml", "--json")
    assert (code, "incomplete" in strict(out)) == (0, False)


def test_a_save_that_fails_does_not_lose_the_table(call, here, monkeypatch):
    from computeplan.study import store

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_write", full)
    code, out, err = call("run", "s.yaml", "--no-figures")
    assert code == 1
    assert "hourly" in out
    assert err == "Error: results/small: cannot be written: No space left on device\n"
    assert list((here / "results").iterdir()) == []


def test_incomplete_json_says_so_before_the_numbers(call, monkeypatch):
    failing(monkeypatch, ValueError("inside"), on=1)
    code, out, _ = call("run", "s.yaml", "--json")
    assert code == 4
    found = strict(out)
    assert list(found) == ["name", "incomplete", "cases"]
    assert found["incomplete"]["hourly"]["code"] == "case_broke"
    assert list(found["cases"]) == ["two hours"]


def test_if_no_case_has_a_result_the_first_error_is_the_answer(call, here, monkeypatch):
    from computeplan.study import run as study

    monkeypatch.setattr(
        study, "_play_piece", lambda *_: (_ for _ in ()).throw(InfeasibleError("x"))
    )
    code, out, err = call("run", "s.yaml")
    assert (code, out, err) == (3, "", "Error: x\n")
    assert [path.name for path in here.iterdir()] == ["s.yaml"]


@pytest.mark.parametrize("args", [("--runs", "0"), ("--seed", "-1"), ("--workers", "0")])
def test_a_number_out_of_range_is_exit_2(call, args):
    code, out, err = call("run", "s.yaml", *args)
    assert (code, out) == (2, "")
    assert args[0] in err


HOSTILE = [
    "[bold]a[/bold]",
    "<script>alert(1)",
    "$x^2$",
    ":smile:",
    "1+1=2",
    "{{7*7}}",
    "a\\nb",
    "一云",
]


def test_names_are_text_and_never_markup(call, here):
    cases = "".join(f"  {json.dumps(name)}: {{}}\n" for name in HOSTILE)
    jobs = '  "[red]k[ ]": {train_for: 1 d, chips: 16, checkpoint: {every: 1 h, stall: 5 s}}\n'
    head = SMALL.split("cases:\n")[0]
    text = f"{head}{jobs}cases:\n{cases}simulate: {{runs: 2}}\n".replace("small", '"[i]$n$"')
    (here / "s.yaml").write_text(text, "utf-8")
    code, out, _ = call("run", "s.yaml", "--no-figures", "--jobs")
    assert code == 0
    for name in (*HOSTILE, "[red]k[ ]", "[i]$n$"):
        assert name in out
    assert "\x1b" not in out
    code, out, _ = call("check", "s.yaml")
    assert code == 0
    told = " ".join(out.split())
    assert "; ".join(" ".join(name.split()) for name in HOSTILE) in told
    assert ": 2 jobs on a 16 chips; engine " in told


def test_a_name_with_an_escape_sequence_is_refused(call, here):
    (here / "s.yaml").write_text(SMALL + 'about: "\\e]0;owned\\a"\n')
    code, out, err = call("run", "s.yaml")
    assert (code, out) == (2, "")
    assert "\x1b" not in err
    assert "18:8  about: the text holds a control character" in err


# -- check, paths, schema, init, plot ------------------------------------------------------------


def test_check_names_cases_engines_and_notes(call, here):
    (here / "s.yaml").write_text(replaced("nvidia/h100-sxm", "910B"))
    code, out, err = call("check", "s.yaml")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[:2] == ["hourly; two hours: 1 job on a 16 chips; engine batch", ""]
    assert any(line.startswith("- ") and "910B" in line for line in lines)
    assert lines[-1] == "ok"
    code, out, _ = call("check", "s.yaml", "--json")
    found = strict(out)
    assert found["cases"]["hourly"] == {"engine": "batch", "jobs": ["j"], "pools": {"a": 16}}
    assert any("910B" in note for note in found["notes"])
    assert [path.name for path in here.iterdir()] == ["s.yaml"]


def test_check_finds_what_is_wrong_in_a_case_with_its_place(call, here):
    (here / "s.yaml").write_text(replaced("every: 2 h", "evry: 2 h"))
    code, out, err = call("check", "s.yaml")
    assert (code, out) == (2, "")
    assert "16:15  jobs.j.checkpoint.evry: no 'evry' in jobs.j.checkpoint. Did you mean" in err
    assert "(case 'two hours')" in err


def test_paths_lists_values_units_and_meaning(call):
    code, out, _ = call("paths", "s.yaml", "--json")
    rows = {row.pop("path"): row for row in strict(out)}
    assert code == 0
    assert rows["jobs.j.train_for"] == {
        "value": "1 d",
        "unit": "s",
        "example": "5 min",
        "about": "Work as kept training time, on whichever pool the job runs.",
    }
    assert rows["simulate.horizon"]["value"] == ""
    code, out, _ = call("paths", "s.yaml")
    assert code == 0
    assert "jobs.j.checkpoint.every" in out


def test_paths_are_as_wide_as_the_terminal_however_long_a_value_is(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = "words and " * 200
    code, out, _ = call("paths", "s.yaml", "-s", f"about={long}")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "words and words and…" in out
    assert "A value that ends in … is longer: --json has all of it." in out
    code, out, _ = call("paths", "s.yaml", "--json", "-s", f"about={long}")
    assert {row["path"]: row["value"] for row in strict(out)}["about"] == long.strip()


def test_schema_prints_a_json_schema(call):
    code, out, err = call("schema")
    found = strict(out)
    assert (code, err) == (0, "")
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["properties"].keys() >= {"sites", "faults", "jobs", "cases", "sweep", "simulate"}


def test_init_writes_a_scenario_that_runs(call, here):
    code, out, _ = call("init", "first try")
    assert code == 0
    assert out == "Wrote first try.yaml. Now: computeplan run 'first try.yaml'\n"
    code, out, _ = call("run", "first try.yaml", "--runs", "2", "--no-figures")
    assert code == 0
    assert "hourly saves" in out
    assert (here / "results" / "first try" / "runs.csv").exists()


def test_init_never_overwrites(call, here):
    (here / "mine.yaml").write_text("mine")
    code, out, err = call("init", "mine")
    assert (code, out) == (1, "")
    assert err == "Error: mine.yaml exists; it was left as it is\n"
    assert (here / "mine.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "/x", "a/b", "a\\b", "..", ".", "", "-x", " x", "x ", "~", "a\0b", "a" * 300),
        *("<script>", "[bold]", "{{7*7}}", "{% raw %}", "{#", "a\nname: b", "a: b", "x #y", "*a"),
        *(
            "&a",
            "!!python/name:os.system",
            "%41",
            "'a'",
            '"a"',
            "null",
            "true",
            "123",
            "1e3",
            "0x1",
        ),
    ],
)
def test_init_refuses_a_hostile_name(call, here, name):
    code, out, err = call("init", "--", name)
    assert (code, out) == (2, "")
    assert "use letters, digits and -, and no folder, such as my-run" in err
    assert [path.name for path in here.iterdir()] == ["s.yaml"]
    assert not (here.parent / "x.yaml").exists()


def test_init_takes_names_in_any_script(call, here):
    assert call("init", "一云多芯-2")[0] == 0
    assert call("check", "一云多芯-2.yaml")[0] == 0
    assert call("init", "other.yaml")[0] == 0
    assert (here / "other.yaml").exists()


def test_plot_without_a_result_says_so(call):
    code, out, err = call("plot", "nowhere")
    assert (code, out) == (1, "")
    assert "nowhere" in err
    assert "defect" not in err


# -- the group -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_command_has_help(call, command):
    code, out, err = call(*([command] if command else []), "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: ")
    assert "Options:" in out


def test_the_help_of_the_group_says_what_each_command_says():
    for name, words in COMMANDS.items():
        assert cli.get_command(None, name) is not None
        assert words.endswith(".")


def test_help_imports_nothing_heavy():
    code = (
        "import sys, contextlib\n"
        "from computeplan.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "heavy = 'numpy scipy matplotlib pydantic pint simpy rich jinja2 ruamel'.split()\n"
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_unknown_command_suggests_the_nearest(call):
    code, out, err = call("chek")
    assert (code, out) == (2, "")
    assert "No such command 'chek'. Did you mean 'check'?" in err
    assert "Did you mean" not in call("xyzzy")[2]


def test_the_version_is_that_of_the_package(call):
    from computeplan import __version__

    assert call("--version") == (0, f"computeplan, version {__version__}\n", "")


def test_an_interrupt_is_exit_130_and_leaves_nothing(call, here, monkeypatch):
    from computeplan.study import run as study

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run", interrupted)
    code, out, err = call("run", "s.yaml")
    assert (code, out) == (130, "")
    assert err.strip() == "interrupted"
    assert [path.name for path in here.iterdir()] == ["s.yaml"]


def test_an_interrupt_while_figures_are_drawn_keeps_the_numbers(call, here, monkeypatch):
    import_module("computeplan.cli.run")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["computeplan.cli.run"], "_draw", interrupted)
    code, _, _ = call("run", "s.yaml", "--runs", "2")
    assert code == 130
    assert list(load_result(here / "results" / "small").cases) == ["hourly", "two hours"]
    assert [path.name for path in (here / "results").iterdir()] == ["small"]


def test_a_defect_of_ours_is_said_to_be_ours_and_debug_shows_where(call, monkeypatch):
    from computeplan.study import run as study

    def broken(*_, **__):
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(study, "run", broken)
    code, _, err = call("run", "s.yaml")
    assert code == 1
    assert err == (
        "Error: ZeroDivisionError: inside\nThis is a defect of computeplan; --debug shows where.\n"
    )
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "run", "s.yaml"])


def test_debug_shows_the_traceback_of_bad_input(here):
    (here / "s.yaml").write_text("")
    done = in_a_process("--debug", "run", "s.yaml")
    assert done.returncode == 1
    assert b"Traceback" in done.stderr
    assert b"is empty; start with" in done.stderr


def test_a_closed_pipe_is_quiet():
    read, write = os.pipe()
    os.close(read)  # nobody reads: the first line breaks the pipe
    command = [sys.executable, "-c", "from computeplan.cli.main import main; main(['chips'])"]
    with contextlib.closing(os.fdopen(write, "wb")) as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert done.stderr == b""
    assert done.returncode in (0, 1)


def test_runs_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["computeplan", "--version"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("computeplan", run_name="__main__")
    assert caught.value.code == 0
    assert "computeplan, version" in capsys.readouterr().out


def test_characters_that_no_font_draws_are_said_beside_the_figures(call):
    names = ("--set", "cases={'\U0002a6d6': {}, '𓀀': {}}", "--runs", "2", "--out", "r")
    assert "𓀀: figures show boxes" in call("run", "s.yaml", *names)[1]
    assert "𓀀，图中以方框代替" in call("plot", "r", "--kind", "energy", "--lang", "zh")[2]


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")
def test_a_terminal_sees_at_once_that_a_scenario_is_read(here):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "CI"} | {"TERM": "xterm"}
    command = [sys.executable, "-m", "computeplan", "run", "s.yaml", "--no-figures"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=env) as running:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 4096):
                seen += part
    os.close(ours)
    assert running.returncode == 0
    assert 0 <= seen.find(b"reading s.yaml") < seen.find(b"simulating")
