"""Runs that are stopped: no process stays, what is done can be read, nothing is half there."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from computeplan.cli.main import main
from computeplan.study.store import load_result

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no list of processes")

N_CASES, RUNS = 6, 128  # two pieces of work a case
SCENARIO = f"""\
computeplan: 1
name: stopped
sites: {{here: {{pue: 1.2, pools: {{a: {{chip: nvidia/h100-sxm, chips: 256, spares: 1 node}}}}}}}}
faults: {{gpu: {{mtbf: 5 kh, per: chip, takes: node, restart: 5 min, repair: 1 d}}}}
jobs: {{j: {{train_for: 20 d, chips: 256, checkpoint: {{every: 1 h, stall: 5 s}}}}}}
sweep: {{jobs.j.checkpoint.every: [20 min, 30 min, 1 h, 2 h, 3 h, 4 h]}}
simulate: {{runs: {RUNS}, engine: event}}
"""
EAGER = """\
import importlib, sys
importlib.import_module("computeplan.cli.run").SAVE_EVERY_S = 0.05
from computeplan.cli.main import main
main()
"""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SCENARIO)
    return tmp_path


@pytest.fixture(autouse=True, scope="module")
def ctrl_c():
    """What a shell starts in the background ignores Ctrl-C, and so would what is started here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def started(*args, **kwargs):
    command = [sys.executable, "-c", EAGER, "run", "s.yaml", "--no-figures", "--out", "r", *args]
    return subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs
    )


def finish(*args):
    """Run to the end, in this process."""
    with pytest.raises(SystemExit) as caught:
        main(["run", "s.yaml", "--no-figures", "--out", "r", *args])
    assert caught.value.code == 0


@pytest.fixture(scope="module")
def duration_s(tmp_path_factory):
    """Return how long a whole run takes on this machine as busy as it is. [s]"""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "s.yaml").write_text(SCENARIO)
    begin_s = time.monotonic()
    with started("--workers", "2", cwd=folder) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    return time.monotonic() - begin_s


def alive(group):
    """Return the processes of a group that still do something."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = path.read_text().split(" ", 1)
        except OSError:  # gone in the meantime
            continue
        state, _, in_group, *_ = rest.rsplit(") ", 1)[1].split()
        if int(in_group) == group and state != "Z":
            found.append(int(pid))
    return found


def left(group, within_s=5.0):
    until = time.monotonic() + within_s
    while alive(group) and time.monotonic() < until:
        time.sleep(0.02)
    return alive(group)


def check_folder(here):
    """Every case that is there has all of its runs, and the others are named."""
    loaded = load_result(here / "r")
    assert loaded.n_runs == RUNS
    assert len(loaded.cases) + len(loaded.incomplete) == N_CASES
    assert not loaded.cases.keys() & loaded.incomplete.keys()
    return loaded


@pytest.mark.parametrize("number", range(12))
def test_at_any_moment_no_worker_stays_and_no_half_of_a_folder(here, number, duration_s):
    moment_s = np.random.default_rng(number).uniform(0.2, 1.0) * duration_s
    sent = SIGNALS[number % 3]
    process = started("--workers", "2")
    with process:
        time.sleep(moment_s)
        process.send_signal(sent)
        still = left(process.pid)
        if still:  # or this test would wait for them
            os.killpg(process.pid, signal.SIGKILL)
        assert still == []
        out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130, -sent), err.decode()
    assert b"Traceback" not in err
    if process.returncode == 130:
        assert err.decode().strip() == "interrupted"
    is_there = (here / "r").exists()
    is_whole = is_there and not check_folder(here).incomplete
    if process.returncode == 130 and is_whole:  # all cases were done by then
        assert b"INCOMPLETE" not in out
    elif process.returncode == 130:
        assert out.startswith(b"INCOMPLETE: ") == is_there
    hidden = [path.name for path in here.iterdir() if path.name not in ("r", "s.yaml")]
    if hidden:  # only who is killed leaves something behind, and the next one removes it
        assert sent == signal.SIGKILL
        finish("--runs", "1")
        assert sorted(path.name for path in here.iterdir()) == ["r", "s.yaml"]


def test_a_stop_while_workers_end_keeps_all_cases(here, monkeypatch):
    @contextlib.contextmanager
    def stopped_at_the_end(_):
        yield None
        raise KeyboardInterrupt

    monkeypatch.setattr("computeplan.cli.run.executor_of", stopped_at_the_end)
    with pytest.raises(SystemExit) as caught:
        main(["run", "s.yaml", "--no-figures", "--out", "r", "--runs", "2"])
    assert caught.value.code == 130
    assert len(load_result(here / "r").cases) == N_CASES


def stopped_after_a_case(here, sent, folder="r"):
    process = started("--workers", "2")
    with process:
        until = time.monotonic() + 60
        while not (here / folder / "provenance.json").exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(sent)
        assert left(process.pid) == []
        out = process.communicate(timeout=60)[0]
    return process.returncode, out.decode()


@pytest.mark.parametrize("sent", SIGNALS)
def test_cases_that_are_done_can_be_read(here, sent):
    code, out = stopped_after_a_case(here, sent)
    loaded = check_folder(here)
    assert loaded.incomplete
    assert {why.code for why in loaded.incomplete.values()} == {"case_not_reached"}
    if sent == signal.SIGKILL:
        assert (code, out) == (-sent, "")
    else:
        assert code == 130
        n_missing = len(loaded.incomplete)
        assert out.startswith(f"INCOMPLETE: {n_missing} of {N_CASES} cases have no result")


@pytest.mark.parametrize("sent", SIGNALS)
def test_what_is_not_whole_does_not_replace_an_earlier_whole_result(here, sent):
    finish("--runs", "2", "-s", "sweep=null")
    before = (here / "r" / "runs.csv").read_bytes()
    stopped_after_a_case(here, sent, "r-incomplete")
    assert (here / "r" / "runs.csv").read_bytes() == before
    assert load_result(here / "r-incomplete").incomplete
    finish("--runs", "2")
    assert {path.name for path in here.iterdir()} <= {"r", "r-incomplete", "s.yaml"}
    assert not load_result(here / "r").incomplete


def test_a_worker_that_is_killed_leaves_the_cases_that_are_done(here):
    process = started("--workers", "2")
    with process:
        until = time.monotonic() + 60
        while not (here / "r").exists() and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(next(pid for pid in alive(process.pid) if pid != process.pid), signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 4
    assert b"a worker was killed" in out
    assert check_folder(here).incomplete


@pytest.mark.parametrize("output", ["a reader that goes away", "full"])
def test_the_folder_is_whole_whatever_becomes_of_the_output(here, output):
    if output == "full" and not Path("/dev/full").exists():
        pytest.skip("no such device")
    command = [sys.executable, "-m", "computeplan", "run", "s.yaml", "--out", "r", "--runs", "2"]
    if output == "full":
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
        assert done.stderr == b"Error: standard output cannot be written: No space left on device\n"
    else:
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
        os.close(write)
        assert done.stderr == b""
    assert done.returncode == 1
    assert len(load_result(here / "r").cases) == N_CASES
    assert (here / "r" / "figures" / "goodput.png").exists()
    listed = json.loads((here / "r" / "provenance.json").read_text())["files"]
    found = {p.relative_to(here / "r").as_posix() for p in (here / "r").rglob("*") if p.is_file()}
    assert listed.keys() == found


HALF_A_RESULT = """\
import os, struct
from computeplan.cli.workers import executor_of
with executor_of(2) as pool:
    pool.submit(os.getpid).result()
    os.write(pool._result_queue._writer.fileno(), struct.pack("!i", 1000) + b"x")
    raise KeyboardInterrupt
"""


def test_a_worker_that_is_killed_while_it_sends_is_not_waited_for():
    """Of a result of 1,000 bytes one has come: the rest never does."""
    command = [sys.executable, "-c", HALF_A_RESULT]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert done.stderr.decode().strip().endswith("KeyboardInterrupt")
