"""A folder is replaced whole, and what others put there is never lost."""

import json
import os
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.errors import ComputePlanError
from computeplan.study.folder import (
    PROVENANCE,
    add_files,
    check_folder,
    open_regular,
    remove_folder,
    write_folder,
)

OLD = {"runs.csv": "1", "inputs/log.csv": "a", "summary.csv": "s"}
NEW = {"runs.csv": "2", "inputs/other.csv": "b"}


def writing(files, says="x"):
    def write(folder):
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return {"made": says}

    return write


def content(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() or path.is_symlink():
            name = path.relative_to(folder).as_posix()
            found[name] = str(path.readlink()) if path.is_symlink() else path.read_text()
    return found


def without_provenance(folder):
    return {name: text for name, text in content(folder).items() if name != PROVENANCE}


def test_all_that_is_written_is_listed_with_its_digest(tmp_path):
    write_folder(tmp_path / "r", writing(OLD))
    listed = json.loads((tmp_path / "r" / PROVENANCE).read_text())["files"]
    assert list(listed) == ["inputs/log.csv", "runs.csv", "summary.csv", PROVENANCE]
    assert listed["runs.csv"] == sha256(b"1").hexdigest()
    add_files(tmp_path / "r", "figures", lambda folder: (folder / "a.png").write_text("p"))
    listed = json.loads((tmp_path / "r" / PROVENANCE).read_text())["files"]
    assert listed["figures/a.png"] == sha256(b"p").hexdigest()


FOREIGN = {
    "a note": {"notes.md": "a day of work"},
    "beside figures": {"figures/mine.png": "p", "inputs/mine.csv": "c"},
    "a folder": {".git/HEAD": "ref", "src/deep/a.py": "code"},
    "like ours of another place": {"deep/runs.csv": "mine"},
    "hidden": {".r.abcdefgh": "mine"},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_others_put_into_an_earlier_result_stays(tmp_path, name):
    folder = tmp_path / "r"
    write_folder(folder, writing(OLD))
    add_files(folder, "figures", lambda figures: (figures / "a.png").write_text("p"))
    writing(FOREIGN[name])(folder)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    write_folder(folder, writing(NEW))
    expected = {**NEW, **FOREIGN[name], "link": str(tmp_path / "elsewhere")}
    assert without_provenance(folder) == dict(sorted(expected.items()))
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def refused(folder, match):
    before = content(folder)
    for attempt in (
        lambda: check_folder(folder, NEW),
        lambda: write_folder(folder, writing(NEW)),
    ):
        with pytest.raises(ComputePlanError, match=match):
            attempt()
        assert content(folder) == before
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    "text",
    [
        '{"made by": "another tool"}',
        '{"computeplan": "0.1.0"}',
        "[]",
        "no json",
        '{"files": {}}',
        '{"files": {"src/a.py": ""}, "computeplan": "1", "scenario_sha256": "2"}',
        '{"files": {"src/a.py": "", "provenance.json": "0"}, "a": NaN}',
        '{"files": [], "a": "\\ud800"}',
    ],
)
def test_the_project_of_somebody_is_refused(tmp_path, text):
    folder = tmp_path / "project"
    folder.mkdir()
    writing({"src/a.py": "code", PROVENANCE: text})(folder)
    refused(folder, r"project: exists and is not a computeplan result .* It holds provenance.json")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_provenance_that_is_no_file_is_none_of_ours(tmp_path, kind):
    write_folder(tmp_path / "r", writing(OLD))
    path = tmp_path / "r" / PROVENANCE
    if kind == "link":
        path.unlink()
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(ComputePlanError, match="is not a computeplan result"):
        check_folder(tmp_path / "r", NEW)


def test_a_file_of_ours_that_was_changed_is_not_ours_any_more(tmp_path):
    write_folder(tmp_path / "r", writing(OLD))
    (tmp_path / "r" / "summary.csv").write_text("with a remark")
    refused(tmp_path / "r", "r: holds summary.csv, not written by computeplan or changed since")
    write_folder(tmp_path / "s", writing(OLD))
    data = json.loads((tmp_path / "s" / PROVENANCE).read_text())
    (tmp_path / "s" / PROVENANCE).write_text(json.dumps(data | {"made": "by hand"}, indent=2))
    with pytest.raises(ComputePlanError, match="is not one of ours, or was changed"):
        check_folder(tmp_path / "s", NEW)


@pytest.mark.parametrize("name", ["inputs/other.csv", "inputs"])
def test_a_file_of_others_where_one_of_ours_would_go_is_refused(tmp_path, name):
    write_folder(tmp_path / "r", writing({"runs.csv": "1"}))
    writing({name: "mine"})(tmp_path / "r")
    refused(tmp_path / "r", "r: holds inputs/other.csv, not written by computeplan")


def test_a_folder_that_leads_elsewhere_is_not_followed(tmp_path):
    write_folder(tmp_path / "r", writing(OLD))
    (tmp_path / "r" / "inputs" / "log.csv").rename(tmp_path / "log.csv")
    (tmp_path / "r" / "inputs").rmdir()
    (tmp_path / "r" / "inputs").symlink_to(tmp_path)
    with pytest.raises(ComputePlanError, match=r"holds inputs/log.csv, inputs/other.csv"):
        write_folder(tmp_path / "r", writing(NEW))
    remove_folder(tmp_path / "r")
    assert (tmp_path / "log.csv").read_text() == "a"


def test_a_list_that_leads_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    listed = {"../mine": sha256(b"mine").hexdigest(), str(tmp_path / "mine"): "0" * 64}
    (tmp_path / "r").mkdir()
    own = json.dumps({"a": 1, "files": listed}, indent=2, ensure_ascii=False) + "\n"
    listed = {**listed, PROVENANCE: sha256(own.encode()).hexdigest()}
    (tmp_path / "r" / PROVENANCE).write_text(json.dumps({"a": 1, "files": listed}, indent=2))
    write_folder(tmp_path / "r", writing(NEW))
    assert (tmp_path / "mine").read_text() == "mine"


def test_of_an_earlier_version_only_the_names_it_wrote_are_replaced(tmp_path):
    earlier = {
        "runs.csv": "1",
        "timeline.csv": "t",
        "figures/goodput.png": "p",
        "scenario.yaml": "replay: inputs/log.csv",
        "inputs/log.csv": "a",
        PROVENANCE: '{"computeplan": "0.1.0", "scenario_sha256": "0"}',
    }
    mine = {"figures/mine.png": "m", "inputs/mine.csv": "c", "thesis.txt": "t"}
    (tmp_path / "r").mkdir()
    writing(earlier | mine)(tmp_path / "r")
    write_folder(tmp_path / "r", writing(NEW))
    assert without_provenance(tmp_path / "r") == dict(sorted((NEW | mine).items()))


def test_figures_are_added_and_replaced_one_by_one(tmp_path):
    write_folder(tmp_path / "r", writing(OLD))
    for text in ("1", "2"):
        add_files(tmp_path / "r", "figures", writing({"a.png": text, f"{text}.png": text}))
    found = without_provenance(tmp_path / "r")
    assert found == {"figures/1.png": "1", "figures/2.png": "2", "figures/a.png": "2", **OLD}
    (tmp_path / "r" / "figures" / "a.png").write_text("painted over")
    before = content(tmp_path)
    with pytest.raises(ComputePlanError, match=r"holds figures/a.png, not written by"):
        add_files(tmp_path / "r", "figures", writing({"a.png": "3"}))
    assert content(tmp_path) == before
    with pytest.raises(ComputePlanError, match="is not a computeplan result"):
        add_files(tmp_path / "none", "figures", writing({"a.png": "3"}))
    assert content(tmp_path) == before


NAMES = st.sampled_from(["runs.csv", "a", "d/a", "d/e/a", "inputs/log.csv", "inputs/x", "e"])
FILES = st.dictionaries(NAMES, st.sampled_from(["1", "2"]), max_size=4)


@given(FILES, FILES, FILES)
def test_nothing_of_others_is_ever_lost(tmp_path_factory, old, mine, new):
    """Whatever lies where: either all is as it was, or what others wrote and the new is there."""
    folder = tmp_path_factory.mktemp("t") / "r"
    old, new = ({n: t for n, t in files.items() if n not in {"e", "d"}} for files in (old, new))
    write_folder(folder, writing(old))
    writing(mine)(folder)
    theirs = {name: text for name, text in mine.items() if old.get(name) != text}
    before = content(folder)
    try:
        write_folder(folder, writing(new))
    except ComputePlanError:
        assert content(folder) == before
        assert theirs.keys() & (old.keys() | new.keys())
    else:
        assert without_provenance(folder) == dict(sorted((theirs | new).items()))
    assert [path.name for path in folder.parent.iterdir()] == ["r"]


# -- killed while saving -------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing is tidied up after it."""


def killed_at(monkeypatch, n_steps):
    """Stop for good at the so-many-th change of the disk."""
    done = []

    def stopping(change):
        def step(*args, **kwargs):
            if len(done) >= n_steps:
                raise Killed
            done.append(change)
            return change(*args, **kwargs)

        return step

    for name in ("replace", "rename", "unlink", "rmdir"):
        monkeypatch.setattr(Path, name, stopping(getattr(Path, name)))
    from computeplan.study import folder

    monkeypatch.setattr(folder.shutil, "rmtree", stopping(folder.shutil.rmtree))
    return done


def test_a_process_that_is_killed_while_saving_loses_nothing(tmp_path, monkeypatch):
    """Wherever it stops, nothing of others is gone, and the next run finishes or undoes it."""
    note = {"notes.md": "a day of work", "inputs/mine.csv": "c"}
    for n_steps in range(100):
        parent = tmp_path / str(n_steps)
        folder = parent / "r"
        write_folder(folder, writing(OLD))
        writing(note)(folder)
        with monkeypatch.context() as patch:
            killed_at(patch, n_steps)
            try:
                write_folder(folder, writing(NEW))
            except Killed:
                pass
            else:
                assert n_steps > 10
                return
        assert {*note.values()} <= {*content(parent).values()}
        if folder.exists():  # a result that is there is whole, the old one or the new one
            found = without_provenance(folder)
            assert OLD.items() <= found.items() or NEW.items() <= found.items()
        write_folder(folder, writing(NEW))
        assert without_provenance(folder) == dict(sorted((NEW | note).items()))
        assert [path.name for path in parent.iterdir()] == ["r"]


def leave_behind(tmp_path, files, name=".r.abcdefgh"):
    (tmp_path / name).mkdir()
    writing(files)(tmp_path / name)


def test_what_an_earlier_version_left_is_finished(tmp_path):
    ours = '{"computeplan": "0.1.0", "scenario_sha256": "0"}'
    old = {"notes.md": "mine", "runs.csv": "1", PROVENANCE: ours}
    leave_behind(tmp_path, {"new/runs.csv": "half", "new/figures/energy.svg": "half"})
    leave_behind(tmp_path, {f"old/{name}": text for name, text in old.items()}, ".r.01234567")
    write_folder(tmp_path / "r", writing(NEW))
    expected = {**NEW, "notes.md": "mine"}
    assert without_provenance(tmp_path / "r") == dict(sorted(expected.items()))
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"new/mine.txt": "mine"}, ".r.abcdefgh"),
        ({"new/a": "mine", "more": "mine"}, ".r.abcdefgh"),
        ({"new/runs.csv": "mine"}, ".r.backup.abcdefgh"),
        ({"new/runs.csv": "mine"}, ".rr.abcdefgh"),
    ],
)
def test_a_hidden_folder_of_others_is_left_alone(tmp_path, files, name):
    leave_behind(tmp_path, files, name)
    write_folder(tmp_path / "r", writing(NEW))
    assert content(tmp_path / name) == files


@pytest.mark.skipif(sys.platform == "win32", reason="its locks are open files")
def test_what_a_live_process_is_writing_is_left_alone(tmp_path):
    def write(folder):
        writing(NEW)(folder)
        write_folder(tmp_path / "r", writing(OLD))  # another one comes in between
        assert content(folder) == NEW
        return {"made": "later"}

    write_folder(tmp_path / "r", write)
    assert without_provenance(tmp_path / "r") == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


# -- places --------------------------------------------------------------------------------------


def test_links_in_a_loop_are_said(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for folder in (tmp_path / "a", tmp_path / "a" / "deep"):
        with pytest.raises(ComputePlanError, match=r"cannot be written: .*(loop|symbolic links)"):
            check_folder(folder, NEW)


@pytest.mark.parametrize("name", ["a" * 300, "😀" * 80, "a/" * 2500 + "a"])
def test_a_name_that_is_too_long_is_said_before_the_work(tmp_path, name):
    with pytest.raises(ComputePlanError, match="cannot be written: File name too long"):
        check_folder(tmp_path / name, NEW)
    with pytest.raises(ComputePlanError, match="cannot be written: File name too long"):
        check_folder(tmp_path / "r", [name])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a" * 255, "😀" * 63])
def test_the_longest_name_that_a_disk_takes_can_be_written(tmp_path, name):
    check_folder(tmp_path / name, NEW)
    write_folder(tmp_path / name, writing(OLD))
    write_folder(tmp_path / name, writing(NEW))
    assert without_provenance(tmp_path / name) == NEW
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_path_that_is_too_long_is_said_before_the_work(tmp_path):
    folder = tmp_path
    while len(str(folder)) < 4080:
        folder = folder / ("d" * min(100, 4085 - len(str(folder))))
    with pytest.raises(ComputePlanError, match="cannot be written: File name too long"):
        check_folder(folder, ["provenance.json"])


def test_a_mount_point_is_said_before_the_work():
    place = "/proc"
    if not os.path.ismount(place):
        pytest.skip("no such mount point")
    with pytest.raises(ComputePlanError, match=r"mount point|no permission"):
        check_folder(Path(place), NEW)


# -- reading -------------------------------------------------------------------------------------


def test_only_regular_files_of_bounded_size_are_opened(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"text"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("pipe", "zero", "loop", "none", "."):
        with pytest.raises(OSError, match=r"regular|Too many|No such|Is a directory"):
            open_regular(tmp_path / name)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(OSError, match="larger than 100,000,000 bytes"):
        open_regular(tmp_path / "large")
