"""What the commands do to files: only their own are replaced, only regular ones are read."""

import os
import sys
from functools import partial
from pathlib import Path

import pytest

from computeplan.cli.main import main

SCENARIO = """\
computeplan: 1
name: base
sites: {here: {pue: 1.2, pools: {main: {chip: nvidia/h100-sxm, chips: 64, spares: 2 nodes}}}}
faults: {hw: {mtbf: 5 kh, per: chip, takes: node, restart: 10 min, repair: 20 h}}
jobs: {j: {train_for: 3 d, chips: 64, mfu: 0.4, checkpoint: {every: 30 min, stall: 5 s}}}
simulate: {runs: 3, seed: 1}
"""
LOG = "node,start,end,cause\n" + "".join(f"n{i % 20},{i},{i}.4,c\n" for i in range(60))
FLEET = ("--nodes", "40", "--from", "0 d", "--to", "100 d", "--restart", "10 min")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SCENARIO)
    return tmp_path


@pytest.fixture
def command(capsys):
    """Return a function that runs a command: what it prints, of standard error if it fails."""

    def command(*args, expect=0):
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([*args])
        out, err = capsys.readouterr()
        assert caught.value.code == expect, err
        assert "defect" not in err
        return err if expect else out

    return command


@pytest.fixture
def run(command):
    """Return a function that runs the scenario."""
    return partial(command, "run", "s.yaml", "--no-figures")


# -- what is there stays -------------------------------------------------------------------------


def test_the_project_of_somebody_with_a_provenance_of_its_own_is_left_alone(here, run):
    (here / "project" / "src").mkdir(parents=True)
    (here / "project" / "src" / "a.py").write_text("code")
    (here / "project" / "provenance.json").write_text('{"made by": "another tool"}')
    err = run("--out", "project", expect=1)
    assert "project: exists and is not a computeplan result (its provenance.json is not" in err
    assert (here / "project" / "src" / "a.py").read_text() == "code"
    assert (here / "project" / "provenance.json").read_text() == '{"made by": "another tool"}'


def test_a_note_beside_an_earlier_result_stays(here, run):
    run()
    (here / "results" / "base" / "remarks.md").write_text("a day of work")
    (here / "results" / "base" / "figures").mkdir()
    (here / "results" / "base" / "figures" / "mine.png").write_text("mine")
    run("--seed", "2")
    assert (here / "results" / "base" / "remarks.md").read_text() == "a day of work"
    assert (here / "results" / "base" / "figures" / "mine.png").read_text() == "mine"
    assert '"seed": 2' in (here / "results" / "base" / "provenance.json").read_text()
    assert [path.name for path in (here / "results").iterdir()] == ["base"]


@pytest.mark.parametrize("name", ["summary.csv", "notes.md"])
def test_a_file_of_ours_with_a_remark_is_not_replaced(here, run, name):
    run("--out", "o")
    (here / "o" / name).write_text("a day of work")
    err = run("--out", "o", expect=1)
    assert f"o: holds {name}, not written by computeplan or changed since" in err
    assert (here / "o" / name).read_text() == "a day of work"


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files are those of POSIX")
def test_figures_of_numbers_that_are_replaced_go_with_them(here, run, command):
    run("--out", "o")
    command("plot", "o", "--kind", "goodput")
    assert (here / "o" / "figures" / "goodput.png").exists()
    run("--out", "o")
    assert not (here / "o" / "figures").exists()


@pytest.mark.parametrize("name", ["goodput.png", "goodput.svg"])
def test_plot_does_not_replace_a_picture_of_somebody(here, name, run, command):
    run("--out", "o")
    for folder in (here / "o" / "figures", here / "elsewhere"):
        folder.mkdir()
        (folder / name).write_text("my picture")
        args = () if folder.name == "figures" else ("--out", "elsewhere")
        err = command("plot", "o", "--kind", "goodput", "--svg", *args, expect=1)
        assert name in err
        assert (folder / name).read_text() == "my picture"


def test_plot_replaces_its_own_figures(here, run, command):
    run("--out", "o")
    for _ in range(2):
        command("plot", "o", "--kind", "goodput")
        command("plot", "o", "--kind", "goodput", "--out", "elsewhere")


# -- fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--out", "--replay", "--figure"])
@pytest.mark.parametrize("name", ["log.csv", "./log.csv", "link.csv", "hard.csv"])
def test_fit_never_writes_over_its_own_log(here, option, name, command):
    (here / "log.csv").write_text(LOG)
    (here / "link.csv").symlink_to("log.csv")
    (here / "hard.csv").hardlink_to(here / "log.csv")
    err = command("fit", "log.csv", "--unit", "d", *FLEET, option, name, expect=2)
    assert f"{option} is the log itself; name another file" in err
    assert (here / "log.csv").read_text() == LOG


def test_fit_never_writes_a_plain_log_over_itself(here, command):
    plain = LOG.replace("start,end,cause", "start_s,end_s").replace(",c\n", "\n")
    (here / "log.csv").write_text(plain)
    args = ("--nodes", "40", "--from", "0 s", "--to", "50 s", "--replay", "log.csv")
    command("fit", "log.csv", *args, expect=2)
    assert (here / "log.csv").read_text() == plain


@pytest.mark.parametrize(("option", "name"), [("--out", "a.yaml"), ("--figure", "a.png")])
def test_fit_replaces_only_what_it_wrote(here, option, name, command):
    (here / "log.csv").write_text(LOG)
    (here / name).write_text("mine")
    args = ("fit", "log.csv", "--unit", "d", *FLEET, option, name)
    assert "not replaced" in command(*args, expect=1)
    assert (here / name).read_text() == "mine"
    (here / name).unlink()
    for _ in range(2):
        command(*args)
    assert (here / name).read_bytes()[:4] in (b"# Fi", b"\x89PNG")


# -- what is read --------------------------------------------------------------------------------

TAMPERED = {
    "fifo": "cannot be read: is not a regular file",
    "device": "cannot be read: is not a regular file",
    "loop": "cannot be read: Too many levels of symbolic links",
    "folder": "cannot be read: Is a directory",
    "large": "cannot be read: larger than",
    "gone": "is missing: the result is not whole",
    "cut": "is damaged or of another version of computeplan",
}
READ = ("runs.csv", "jobs.csv", "timeline.csv", "summary.json", "scenario.yaml", "provenance.json")


@pytest.mark.parametrize("kind", TAMPERED)
def test_plot_says_which_file_is_not_what_it_was(here, kind, run, command):
    run("--out", "o")
    for name in READ:
        path = here / "o" / name
        if kind == "cut" and name in ("scenario.yaml", "timeline.csv"):
            continue  # an empty one is one, too
        before = path.read_bytes()
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind in ("device", "loop"):
            path.symlink_to("/dev/zero" if kind == "device" else name)
        elif kind == "folder":
            path.mkdir()
        elif kind == "large":
            with path.open("wb") as file:
                file.truncate(10**12)
        elif kind == "cut":
            path.write_bytes(before[:10])
        err = command("plot", "o", expect=1)
        if name != "provenance.json":
            assert f"o: {name} {TAMPERED[kind]}" in err
        if kind == "folder":
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        path.write_bytes(before)
    command("plot", "o", "--kind", "goodput")


# -- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["a", "a/deep"])
def test_links_in_a_loop_are_said_before_the_run(here, out, run, command):
    (here / "a").symlink_to("b")
    (here / "b").symlink_to("a")
    assert f"{out}: cannot be written: " in run("--out", out, expect=1)
    for args in (("run", "a"), ("check", "a"), ("plot", "a"), ("fit", "a", *FLEET)):
        assert command(*args, expect=1 if args[0] == "plot" else 2)
    (here / "s.yaml").write_text(SCENARIO.replace("{mtbf: 5 kh, per: chip,", "{replay: a,"))
    assert "replay" in command("check", "s.yaml", expect=2)
    (here / "s.yaml").write_text(SCENARIO + "extends: a\n")
    assert "extends" in command("check", "s.yaml", expect=2)
    (here / "s.yaml").write_text(SCENARIO.replace("nvidia/h100-sxm", "a/x.yaml"))
    assert "a/x.yaml: 1 problem" in command("check", "s.yaml", expect=2)


def test_the_longest_name_of_a_replayed_kind_is_saved(here, run, command):
    kind = "😀" * 80
    (here / "r.csv").write_text("node,start_d,end_d\nn1,0.5,0.6\n")
    text = SCENARIO.replace("hw: {mtbf: 5 kh, per: chip,", f'"{kind}": {{replay: r.csv,')
    (here / "s.yaml").write_text(text, "utf-8")
    run("--out", "o")
    command("run", "o/scenario.yaml", "--no-figures", "--out", "again")
    for name in ("runs.csv", "scenario.yaml"):
        assert (here / "o" / name).read_bytes() == (here / "again" / name).read_bytes()
