"""A folder that is replaced whole, and never at the cost of what others put there.

``provenance.json`` lists the files that we wrote, each with the sha256 of its bytes. Only these,
and only while their bytes are still the same, are ever removed or replaced. What else lies in the
folder is moved to the folder that takes its place; where a file of ours would have to go in its
place, it is refused, before anything is touched.

A new folder is written beside the old one, hidden as ``.NAME.xxxxxxxx``, and put in its place in
two renames::

    .NAME.xxxxxxxx/new     what is being written; its provenance.json comes last
    .NAME.xxxxxxxx/old     what was there, until all of it is removed or moved
    .NAME.xxxxxxxx/lock    held by the process that writes

A process that is killed leaves that behind, and the next one that writes here finishes the work.

Long because which files are ours, and what is done to them, are read together to be trusted.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from hashlib import file_digest, sha256
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

from computeplan.errors import ComputePlanError

__all__ = [
    "PROVENANCE",
    "add_files",
    "check_folder",
    "open_regular",
    "read_provenance",
    "remove_folder",
    "write_folder",
]

PROVENANCE = "provenance.json"
MOST_BYTES = 100_000_000
"""Of a file that is read, unless it may be larger."""
EARLIER = {"computeplan", "scenario_sha256"}
"""Keys by which a provenance.json without a list is known to be ours: of earlier versions."""
EARLIER_NAMES = (
    *("scenario.yaml", "runs.csv", "jobs.csv", "summary.csv", "summary.json", "timeline.csv"),
    *(
        f"figures/{name}.{kind}"
        for name in (
            *("goodput", "time_to_train", "energy", "carbon", "throughput_energy", "wall_time"),
            *("timeline", *(f"timeline-{i}" for i in range(2, 13))),
        )
        for kind in ("png", "svg")
    ),
)
"""What earlier versions wrote, beside ``inputs/``."""
MOST_NAMED = 5
MOST_NAME_BYTES = 150
MARK = b"computeplan"
"""What a lock holds: the folder around it is of our making."""
_RANDOM = "[a-z0-9_]{8}"  # as tempfile.mkdtemp ends a name

T = TypeVar("T")
Listed = Mapping[str, str]
"""Names below a folder, with ``/``, and the sha256 of each; empty if of an earlier version."""


def check_folder(folder: Path, names: Iterable[str]) -> None:
    """Raise what `write_folder` would, before long work.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        What is going to be written.

    Raises
    ------
    ComputePlanError
        If something of others is in the way, or the folder cannot be written.
    """
    target, names = _target(folder), [*names]
    _check_place(folder, target, names)
    if target.exists():
        _check_contents(folder, target, names)


def _check_place(folder: Path, target: Path, names: Iterable[str]) -> None:
    """Raise ComputePlanError if a folder could not be written here, whatever is in it."""
    hidden = target.parent / f"{_hidden_prefix(target)}{'x' * 8}"
    try:
        there = next(path for path in (target, *target.parents) if os.path.lexists(path))
        there.stat()  # or it is a link in a loop
        # The system says of a name whether it is too long, also where nothing is called so.
        for part in (*target.relative_to(there).parts, *(Path(name).name for name in names)):
            _is_there(there / part)
        for name in names:
            _is_there(hidden / "new" / name)
            _is_there(target / name)
    except (OSError, ValueError) as error:
        raise _cannot(folder, _why(error)) from None
    if not there.is_dir():
        raise _cannot(folder, f"{there.name} is a file, not a folder")
    for place in (target.parent, target) if there == target else (there,):
        if not os.access(place, os.W_OK):
            raise _cannot(folder, f"no permission in {place.name}")
    if there == target and os.path.ismount(target):
        raise _cannot(folder, "it is a mount point. Name a folder inside it")


def _check_contents(folder: Path, target: Path, names: Iterable[str]) -> None:
    """Raise ComputePlanError if a folder is not ours, or holds what is not ours in our way."""
    if not any(target.iterdir()):
        return
    listed = _listed(target)
    if listed is None:
        what = "its provenance.json is not one of ours, or was changed since"
        what = what if os.path.lexists(target / PROVENANCE) else "no provenance.json"
        raise ComputePlanError(
            f"{folder}: exists and is not a computeplan result ({what}), so it is not replaced."
            f" It holds {_named(path.name for path in target.iterdir())}. Name another folder or"
            " remove this one"
        )
    ours = _unchanged(target, listed)
    wanted = {PROVENANCE, *names, *listed}
    foreign = sorted(
        name
        for name in wanted - ours - {PROVENANCE}
        if _is_there(target / name) or _is_blocked(target, name)
    )
    if foreign:
        raise ComputePlanError(
            f"{folder}: holds {_named(foreign)}, not written by computeplan or changed since, where"
            " a file of the result has to go. Move what you want to keep, or name another folder"
        )


def write_folder(folder: Path, write: Callable[[Path], Mapping[str, Any]]) -> None:
    """Write a folder, whole or not at all.

    Parameters
    ----------
    folder : Path
        Created with its parents. Files in it that we wrote are replaced, others stay.
    write : callable
        Called with an empty folder; returns what provenance.json says.

    Raises
    ------
    ComputePlanError
        As `check_folder`, or if the disk refuses; what was there is then as it was.
    """
    target = _target(folder)
    _check_place(folder, target, ())
    with _disk(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
        _recover(target)
    with _disk(folder), _hidden(target) as hidden:
        new, old = hidden / "new", hidden / "old"
        new.mkdir()
        provenance = write(new)
        names = _files(new)
        _write_provenance(new, provenance, {name: _digest(new / name) for name in names})
        if target.exists():
            _check_contents(folder, target, names)
        _swap(new, target, old)
        if old.exists():
            _settle(old, target)


def add_files(folder: Path, inside: str, write: Callable[[Path], T]) -> T:
    """Write files into a part of a folder of ours, such as ``figures``, and list them.

    Parameters
    ----------
    folder : Path
        Written by `write_folder`.
    inside : str
        Name of a folder in it.
    write : callable
        Called with an empty folder.

    Returns
    -------
    object
        What `write` returns.

    Raises
    ------
    ComputePlanError
        If the folder is not ours, or a file of others is in the way; nothing is touched then.
    """
    target = _target(folder)
    with _disk(folder):
        if target.parent.is_dir():
            _recover(target)
    if _listed(target) is None:
        raise ComputePlanError(f"{folder}: is not a computeplan result, or was changed since")
    with _disk(folder), _hidden(target) as hidden:
        new = hidden / "new"
        (new / inside).mkdir(parents=True)
        answer = write(new / inside)
        names = _files(new)
        _check_contents(folder, target, names)
        provenance, listed = read_provenance(target) or {}, _listed(target) or {}
        provenance.pop("files", None)
        kept = {name: listed[name] or _digest(target / name) for name in _unchanged(target, listed)}
        # Whatever is listed is there as listed or not at all, also if we are killed in between.
        for name in kept.keys() & names:
            (target / name).unlink()
        _write_provenance(hidden, provenance, kept | {name: _digest(new / name) for name in names})
        (hidden / PROVENANCE).replace(target / PROVENANCE)
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).replace(target / name)
        return answer


def remove_folder(folder: Path) -> None:
    """Remove what we wrote into a folder, and the folder if it is empty then."""
    target = _target(folder)
    with _disk(folder):
        _remove_ours(target)
        _remove_if_empty(target)


def read_provenance(folder: Path) -> dict[str, Any] | None:
    """Return what the provenance.json of a folder says; None if it is not there or is no JSON."""
    try:
        with open_regular(folder / PROVENANCE) as file:
            data = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def open_regular(path: Path, most_bytes: int = MOST_BYTES) -> IO[bytes]:
    """Return a file opened for reading, of bounded size: no pipe, no device, no link to one.

    Raises
    ------
    OSError
        If it is not there, is something else, or is too large.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody who writes.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode) and found.st_size <= most_bytes:
        return file
    file.close()
    if stat.S_ISREG(found.st_mode):
        raise OSError(errno.EFBIG, f"larger than {most_bytes:,} bytes", str(path))
    raise OSError(errno.EINVAL, "is not a regular file", str(path))


# What is ours ------------------------------------------------------------------------------------


def _listed(folder: Path) -> Listed | None:
    """Return what we wrote into a folder; None if its provenance.json is not as we wrote it."""
    data = read_provenance(folder)
    if data is None:
        return None
    listed = data.pop("files", None)
    if listed is None:
        return dict.fromkeys(_of_earlier(folder), "") if data.keys() >= EARLIER else None
    if not isinstance(listed, dict):
        return None
    own = listed.pop(PROVENANCE, None)
    with contextlib.suppress(ValueError, RecursionError):  # what we would never have written
        if own == _own_digest(data, listed):
            return {name: digest for name, digest in listed.items() if digest and _is_inside(name)}
    return None


def _of_earlier(folder: Path) -> list[str]:
    """Return the names that an earlier version may have written."""
    try:
        with open_regular(folder / "scenario.yaml") as file:
            scenario = file.read().decode("utf-8", "replace")
        inputs = [f"inputs/{path.name}" for path in (folder / "inputs").iterdir()]
    except OSError:
        return [*EARLIER_NAMES]
    return [*EARLIER_NAMES, *(name for name in inputs if name in scenario)]


def _own_digest(data: Mapping[str, Any], listed: Listed) -> str:
    return sha256(_text({**data, "files": listed}).encode()).hexdigest()


def _write_provenance(folder: Path, data: Mapping[str, Any], listed: Listed) -> None:
    listed = dict(sorted(listed.items()))
    files = {**listed, PROVENANCE: _own_digest(data, listed)}
    (folder / PROVENANCE).write_text(_text({**data, "files": files}), "utf-8", newline="\n")


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not {"..", "/"} & {*parts} and "\\" not in name and "\0" not in name


def _unchanged(folder: Path, listed: Listed) -> set[str]:
    """Return the files that are there as we wrote them."""
    return {
        name
        for name, digest in listed.items()
        if not _is_blocked(folder, name)
        and _is_regular(folder / name)
        and (not digest or _digest(folder / name) == digest)
    }


def _is_blocked(folder: Path, name: str) -> bool:
    """Return whether a folder above a file is a link or a file."""
    above = [folder.joinpath(*parent.parts) for parent in PurePosixPath(name).parents[:-1]]
    return any(_is_there(path) and (path.is_symlink() or not path.is_dir()) for path in above)


def _is_there(path: Path) -> bool:
    """Return whether there is a file, a folder or a link; a name that cannot be is an OSError."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _is_regular(path: Path) -> bool:
    return _is_there(path) and stat.S_ISREG(path.lstat().st_mode)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


# Putting it in place -----------------------------------------------------------------------------


def _target(folder: Path) -> Path:
    try:
        return Path(folder).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a loop
        raise _cannot(folder, _why(error)) from None


def _hidden_prefix(target: Path) -> str:
    """Return how the hidden folders of a target begin, short enough for any file system."""
    name = os.fsencode(target.name)
    if len(name) > MOST_NAME_BYTES:
        head = name[: MOST_NAME_BYTES - 9].decode("utf-8", "ignore")
        return f".{head}-{sha256(name).hexdigest()[:8]}."
    return f".{target.name}."


@contextlib.contextmanager
def _hidden(target: Path) -> Iterator[Path]:
    """Yield a hidden folder beside the target that is ours alone; it is gone afterwards."""
    hidden = Path(tempfile.mkdtemp(prefix=_hidden_prefix(target), dir=target.parent))
    try:
        with (hidden / "lock").open("wb") as lock:
            _is_free(lock)
            lock.write(MARK)
            lock.flush()
            yield hidden
    finally:
        if target.exists() or not (hidden / "old").exists():
            shutil.rmtree(hidden / "new", ignore_errors=True)
        _clear(hidden)


def _clear(hidden: Path) -> None:
    """Remove a hidden folder, unless something is left in it."""
    with contextlib.suppress(OSError):
        (hidden / PROVENANCE).unlink(missing_ok=True)
        if {path.name for path in hidden.iterdir()} <= {"lock"}:
            (hidden / "lock").unlink(missing_ok=True)
            hidden.rmdir()


def _is_free(lock: IO[bytes]) -> bool:
    """Take a lock and return whether it was free; it is given up when the file is closed."""
    if sys.platform == "win32":  # there an open file cannot be removed: that is lock enough
        return True
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def _swap(new: Path, target: Path, old: Path) -> None:
    """Put `new` in place of `target`, or leave `target` as it was."""
    try:
        if target.exists():
            target.replace(old)
        new.replace(target)
    except BaseException:
        if old.exists() and not target.exists():
            _restore(old, target)
        raise


def _restore(old: Path, target: Path) -> None:
    try:
        old.replace(target)
    except OSError as error:
        raise ComputePlanError(
            f"{target.name}: could be neither replaced nor put back: {_why(error)}. The earlier "
            f"result is in {old.parent.name}/old beside it"
        ) from error


def _settle(old: Path, target: Path) -> None:
    """Remove what is ours from the folder that was replaced, and move the rest to the new one."""
    _remove_ours(old)
    _carry(old, target)
    if old.exists():
        raise ComputePlanError(
            f"{target.name}: is written, but {_named(path.name for path in old.iterdir())} could"
            f" not be moved into it and is in {old.parent.name}/old beside it"
        )


def _carry(old: Path, target: Path) -> None:
    """Move what is in a folder into another, never over anything."""
    for path in [*old.iterdir()]:
        there = target / path.name
        if not _is_there(there):
            path.rename(there)
        elif not path.is_symlink() and path.is_dir() and not there.is_symlink() and there.is_dir():
            _carry(path, there)
    _remove_if_empty(old)


def _remove_ours(folder: Path) -> None:
    listed = _listed(folder)
    if listed is not None:
        _remove(folder, _unchanged(folder, listed))
        (folder / PROVENANCE).unlink()


def _remove(folder: Path, names: Collection[str]) -> None:
    for name in names:
        (folder / name).unlink()
    for name in sorted({str(PurePosixPath(name).parent) for name in names} - {"."}, reverse=True):
        _remove_if_empty(folder / name)


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _recover(target: Path) -> None:
    """Finish what processes that were killed here left behind."""
    pattern = re.compile(re.escape(_hidden_prefix(target)) + _RANDOM)
    for hidden in [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]:
        if hidden.is_symlink() or not hidden.is_dir():
            continue
        if not {path.name for path in hidden.iterdir()} <= {"new", "old", "lock", PROVENANCE}:
            continue
        with contextlib.ExitStack() as stack:
            is_marked = False
            if _is_regular(hidden / "lock"):
                lock = stack.enter_context(open_regular(hidden / "lock"))
                if not _is_free(lock):
                    continue  # its process lives
                is_marked = lock.read(len(MARK)) == MARK
            _finish(hidden, target, is_marked=is_marked)
        _clear(hidden)


def _finish(hidden: Path, target: Path, *, is_marked: bool) -> None:
    new, old = hidden / "new", hidden / "old"
    if not _is_there(target):
        if new.is_dir() and _listed(new) is not None:  # it is written last: the rest is there too
            new.replace(target)
        elif old.is_dir():
            old.replace(target)
    if old.is_dir():
        _settle(old, target)
    if new.is_dir() and is_marked:  # nobody but us has written here
        shutil.rmtree(new)
    elif new.is_dir():
        _remove(new, {*_files(new)} & {PROVENANCE, *EARLIER_NAMES})
        _remove_if_empty(new)


# Words -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot(folder, _why(error)) from error


def _cannot(folder: Path, why: str) -> ComputePlanError:
    return ComputePlanError(f"{folder}: cannot be written: {why}")


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _named(names: Iterable[str]) -> str:
    """Return some names, and how many more there are."""
    found = sorted(names)
    more = len(found) - MOST_NAMED
    return ", ".join(found[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
