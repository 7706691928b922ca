"""Results on disk: whole or not there, exact, and the same bytes every time."""

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest

from computeplan.errors import ComputePlanError
from computeplan.ledger import IDLE, TRAIN, Span
from computeplan.notes import note
from computeplan.report.words import sentence, sentences
from computeplan.results.cases import CaseResult
from computeplan.study.folder import add_files, write_folder
from computeplan.study.result import Result
from computeplan.study.store import load_result, save_result

NAMES = ("as published", "=1+1", "+x", '-2, "quoted"', "@sum", "混合 集群", "line\nfeed")


AXES = {"jobs.=a.chips": 16, "jobs.=a.batch": "4 Mitoken", "faults": {"mix": "llama3"}}


def make(seed=419, names=NAMES, axes=AXES):
    rng = np.random.default_rng(seed)
    cases = {}
    for name in names:
        values = {q: rng.normal(size=3) * 10.0 ** rng.integers(-9, 9) for q in ("ettr", "cost_usd")}
        values["wall_days"] = np.array([0.1 + 0.2, np.nan, np.inf])
        jobs = {"wait_h": rng.exponential(size=(3, 2)), "end_h": np.array([[1.0, np.nan]] * 3)}
        facts = {"model": ("meta/llama-3.1-405b", "=cmd"), "pool": ("h100", "")}
        spans = (
            Span(0, 1, TRAIN, 0.1, 1 / 3, 16384),
            Span(-1, 1, IDLE, 0.0, 2.0, 8),
        )
        meter = {"meter": note("meters", meters=(("chip", 1.1),))}
        pools = ("910b", "h100")
        cases[name] = CaseResult(values, jobs, ("=a", "b, c"), facts, meter, spans, pools, axes)
    notes = (note("no_tdp", chip="acme/x1"), note("batches_rounded", jobs=(("=a", 3, 8192),)))
    return Result("n", "about\nit", cases, {"seed": seed}, "a: 1\nb: ü\n", notes)


def content(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_is_saved_is_what_is_loaded(tmp_path):
    saved = make()
    save_result(saved, tmp_path / "deep" / "er")
    loaded = load_result(tmp_path / "deep" / "er")
    for name in ("name", "about", "provenance", "scenario_yaml", "notes"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert list(loaded.cases) == list(saved.cases)
    for name, case in saved.cases.items():
        other = loaded.cases[name]
        for attribute in ("values", "jobs"):
            mine, theirs = getattr(case, attribute), getattr(other, attribute)
            assert set(mine) == set(theirs)
            for quantity, array in mine.items():
                np.testing.assert_array_equal(array, theirs[quantity])
        for attribute in ("job_names", "job_facts", "facts", "spans", "pool_names", "axes"):
            assert getattr(other, attribute) == getattr(case, attribute)


def test_a_folder_of_an_earlier_version_is_loaded(tmp_path):
    save_result(make(axes={}), tmp_path / "r")
    path = tmp_path / "r" / "summary.json"
    data = json.loads(path.read_text("utf-8"))
    del data["pools"], data["axes"]
    data["notes"] = ["an estimate"]
    data["facts"] = {name: {"meter": "chip x PUE {1}"} for name in data["facts"]}
    path.write_text(json.dumps(data), "utf-8")
    loaded = load_result(tmp_path / "r")
    assert sentences(loaded.notes) == ["an estimate"]
    case = loaded.cases["as published"]
    assert sentence(case.facts["meter"]) == "chip x PUE {1}"
    assert [case.pool_names[span.pool] for span in case.spans] == ["h100", "h100"]


def test_a_result_without_jobs_or_timeline_comes_back(tmp_path):
    result = Result("n", "", {"a": CaseResult({"ettr": np.array([0.5])})})
    save_result(result, tmp_path / "r")
    assert load_result(tmp_path / "r").cases["a"].job_names == ()


def test_the_same_result_gives_the_same_bytes(tmp_path):
    save_result(make(), tmp_path / "a")
    save_result(load_result(tmp_path / "a"), tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_headers_are_quantities_and_names_stay_data(tmp_path):
    save_result(make(), tmp_path / "r")
    with (tmp_path / "r" / "runs.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["case", *AXES, "run", "ettr", "wall_days", "cost_usd"]
    assert list(dict.fromkeys(row[0] for row in rows)) == list(NAMES)
    assert rows[0][1:4] == ["16", "4 Mitoken", '{"mix": "llama3"}']
    assert rows[0][6] == repr(0.1 + 0.2)
    assert rows[1][6] == ""
    for name in ("jobs", "summary"):
        header = (tmp_path / "r" / f"{name}.csv").read_text("utf-8").split("\n")[0]
        assert header.startswith(f"case,{','.join(AXES)},")


def test_json_is_strict(tmp_path):
    def no_constant(name):
        raise AssertionError(name)

    save_result(make(), tmp_path / "r")
    for name in ("summary.json", "provenance.json"):
        json.loads((tmp_path / "r" / name).read_text("utf-8"), parse_constant=no_constant)


def test_an_earlier_result_and_an_empty_folder_are_replaced(tmp_path):
    (tmp_path / "r").mkdir()
    save_result(make(1), tmp_path / "r")
    add_files(tmp_path / "r", "figures", lambda folder: (folder / "x.svg").touch())
    assert (tmp_path / "r" / "figures" / "x.svg").exists()
    save_result(make(2), tmp_path / "r")
    assert load_result(tmp_path / "r").provenance == {"seed": 2}
    assert not (tmp_path / "r" / "figures").exists()  # they show the numbers of before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_anything_else_is_refused_and_untouched(tmp_path, kind):
    if kind == "file":
        (tmp_path / "r").write_text("mine")
    else:
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "mine.txt").write_text("mine")
    before = content(tmp_path)
    with pytest.raises(
        ComputePlanError, match=r"is not a computeplan result|is a file, not a folder"
    ):
        save_result(make(), tmp_path / "r")
    assert content(tmp_path) == before


def test_a_parent_that_cannot_be_written_is_named_with_the_reason(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        ComputePlanError, match=r"file/r: cannot be written: file is a file, not a folder"
    ):
        save_result(make(), tmp_path / "file" / "r")


def fail_on(monkeypatch, allowed):
    """Make the disk full after so many renames."""
    rename = Path.replace
    calls = []

    def replace(self, target):
        calls.append(self)
        if len(calls) == allowed + 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("allowed", [0, 1])
def test_if_the_swap_fails_the_earlier_result_is_still_there(tmp_path, monkeypatch, allowed):
    save_result(make(1), tmp_path / "r")
    before = content(tmp_path)
    fail_on(monkeypatch, allowed)
    with pytest.raises(ComputePlanError, match="No space left"):
        save_result(make(2), tmp_path / "r")
    assert content(tmp_path) == before


def test_if_it_cannot_even_be_put_back_it_is_kept_and_its_place_told(tmp_path, monkeypatch):
    save_result(make(1), tmp_path / "r")
    rename = Path.replace

    def replace(self, target):
        if target.name == "r":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(ComputePlanError, match="earlier result is in"):
        save_result(make(2), tmp_path / "r")
    (hidden,) = tmp_path.iterdir()
    assert load_result(hidden / "old").provenance == {"seed": 1}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_nothing_half_written_is_left_behind(tmp_path, error):
    def write(folder):
        (folder / "half.png").touch()
        raise error

    save_result(make(), tmp_path / "r")
    before = content(tmp_path)
    with pytest.raises((ComputePlanError, KeyboardInterrupt)):
        write_folder(tmp_path / "r", write)
    with pytest.raises((ComputePlanError, KeyboardInterrupt)):
        add_files(tmp_path / "r", "figures", write)
    assert content(tmp_path) == before
    with pytest.raises((ComputePlanError, KeyboardInterrupt)):
        write_folder(tmp_path / "new", write)
    assert content(tmp_path) == before


def test_a_number_that_json_does_not_have_is_not_written(tmp_path):
    result = Result("n", "", {"a": CaseResult({"ettr": np.ones(1)})}, {"seed": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_result(result, tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("runs.csv", "case,run,ettr\nas published,0\n"),
        ("runs.csv", "case,run,speed\nas published,0,1.0\n"),
        ("runs.csv", "case,run,ettr\nas published,0,much\n"),
        ("runs.csv", ""),
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("summary.json", '{"name": "r", "about": "", "facts": {"as published": []}, "notes": []}'),
        ("jobs.csv", "case,run,job,wait_h\nas published,0,a,1.0\nas published,0,b,1.0\n"),
        ("scenario.yaml", None),
        ("jobs.csv", None),
    ],
)
def test_a_damaged_folder_is_named(tmp_path, file, text):
    save_result(make(), tmp_path / "r")
    if text is None:
        (tmp_path / "r" / file).unlink()
    else:
        (tmp_path / "r" / file).write_text(text)
    with pytest.raises(ComputePlanError, match=rf"r: {file} is (damaged|missing)"):
        load_result(tmp_path / "r")


def test_what_is_no_result_is_said(tmp_path):
    with pytest.raises(ComputePlanError, match="is not a computeplan result"):
        load_result(tmp_path)
