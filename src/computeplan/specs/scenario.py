"""The scenario as it is used: read, checked, and changed.

Every scenario takes one road: a document (plain data with places) is read, the name of its mix of
faults is replaced by the kinds, what it extends or what changes it is laid under or over it, the
chips, models and places that it names are found, and the whole is validated and cross-checked
(`_build`). A changed scenario is a changed document on that road again; there is one way to change
it (`Scenario.with_`), and the command line's ``-s``, a file's ``cases`` and ``sweep`` and notebooks
all go through it.

Long because the road from a file to a scenario, and back to one, is read as a whole.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from hashlib import sha256
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import PrivateAttr

from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Note
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.fault_mixes import with_mix
from computeplan.specs.catalogue.resolve import Catalogue, beside, resolve
from computeplan.specs.cross_checks import cross_check
from computeplan.specs.documents.document import (
    Document,
    KeyPath,
    load_document,
    nearest,
    nearest_file,
    parse_document,
)
from computeplan.specs.documents.paths import apply, change
from computeplan.specs.documents.validation import validate
from computeplan.specs.logs.job_csv import load_jobs, save_jobs
from computeplan.specs.logs.job_table import JobLog
from computeplan.specs.logs.replay import FaultLog, Replayed, load_replay, note_text
from computeplan.specs.logs.request_trace import RequestLog, load_requests, save_requests
from computeplan.specs.logs.series import Series, save_series
from computeplan.specs.logs.step_table import StepRows, load_steps, save_steps
from computeplan.specs.logs.throughput import Throughput, load_throughput, save_throughput
from computeplan.specs.model import ScenarioFields
from computeplan.specs.services import KEY_OF_ROLE, in_role

__all__ = ["Scenario", "load", "parse_value", "shipped_folder", "shipped_names"]

Read = TypeVar("Read")

MOST_NAME_BYTES = 120
"""Of a file's name; disks take 255, some that encrypt 143."""


class Scenario(ScenarioFields):
    """Chips at sites, failing like this, drawing this much power, with these jobs to run."""

    _document: Document = PrivateAttr()
    _folder: Path | None = PrivateAttr(default=None)
    _catalogue: Catalogue = PrivateAttr()
    _replays: dict[str, Replayed] = PrivateAttr(default_factory=dict)
    _job_logs: dict[str, JobLog] = PrivateAttr(default_factory=dict)
    _throughputs: dict[str, Throughput] = PrivateAttr(default_factory=dict)
    _request_logs: dict[str, RequestLog] = PrivateAttr(default_factory=dict)
    _step_tables: dict[tuple[str, str], StepRows] = PrivateAttr(default_factory=dict)

    @property
    def document(self) -> Document:
        """What was written, with places."""
        return self._document

    @property
    def catalogue(self) -> Catalogue:
        """The chips and models that the scenario names, loaded."""
        return self._catalogue

    @property
    def logs(self) -> Mapping[str, FaultLog]:
        """The fault logs to replay, by fault kind."""
        return {name: found.log for name, found in self._replays.items()}

    @property
    def log_notes(self) -> tuple[Note, ...]:
        """What was done to the logs, each with the fault kind that replays it."""
        return tuple(
            Note(said.code, (("kind", name), *said.items))
            for name, found in self._replays.items()
            for said in found.notes
        )

    @property
    def n_jobs(self) -> int:
        """How many jobs it has, those of workloads included."""
        n_generated = sum(one.jobs or 0 for one in self.workloads.values())
        return len(self.jobs) + n_generated + sum(map(len, self._job_logs.values()))

    @property
    def job_logs(self) -> Mapping[str, JobLog]:
        """The jobs of files, by workload."""
        return self._job_logs

    @property
    def throughputs(self) -> Mapping[str, Throughput]:
        """The tables of speeds of workloads that have one, by workload."""
        return self._throughputs

    @property
    def request_logs(self) -> Mapping[str, RequestLog]:
        """The requests of traces, by service."""
        return self._request_logs

    @property
    def step_tables(self) -> Mapping[tuple[str, str], StepRows]:
        """The measured times of steps, by service (`in_role`) and pool."""
        return self._step_tables

    def __eq__(self, other: object) -> bool:
        """Return whether both say the same, wherever it is written."""
        if not isinstance(other, Scenario):
            return NotImplemented
        return self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]  # holds mappings

    def __repr__(self) -> str:
        """Return a few lines: `to_yaml` has all."""
        return str(_views().in_brief(self))

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return str(_views().as_html(self))

    def chip_of(self, pool: str) -> Chip:
        """Return the chip of a pool."""
        return self._catalogue.chips[self.pool(pool).chip]

    def with_(
        self,
        changes: Mapping[str, Any],
        *,
        origin: str = "",
        case: str = "",
        written: Document | None = None,
    ) -> Scenario:
        """Return the scenario with a change at each path, validated again.

        A mapping is laid over what is there; anything else replaces it, and None removes it. But
        ``cases`` and ``sweep`` are the comparison that is asked for, and are replaced whole:
        ``{"cases": {...}}`` leaves no other case, ``{"cases.NAME": {...}}`` adds one.

        Parameters
        ----------
        changes : mapping of str to value
            Path -> value as a person writes it; None removes.
        origin : str
            Shown, with path and value, instead of the file where a value turns out wrong.
        case : str
            The case that the changes stand in, for the place of what turns out wrong.
        written : Document, optional
            The document of that case, where the scenario's own no longer holds it.

        Raises
        ------
        ScenarioError
            If a path does not exist or the changed scenario is not valid.

        Examples
        --------
        >>> import computeplan as cp
        >>> scenario = cp.load("llama3-405b")
        >>> hourly = scenario.with_({"jobs.pretrain.checkpoint.every": "1 h"})
        >>> hourly.jobs["pretrain"].checkpoint.every
        3600.0
        """
        lay = partial(
            change,
            ScenarioFields,
            changes=changes,
            origin=origin,
            case=case,
            written=written,
            settle=with_mix,
        )
        return _build(self._document, lay, self._folder)

    def without(self, path: str) -> Scenario:
        """Return the scenario with nothing at a path, in its cases and its sweep neither.

        Examples
        --------
        >>> import computeplan as cp
        >>> cp.load("llama3-405b").without("simulate.horizon").simulate.horizon is None
        True
        """
        cases = {
            f"cases.{name}": {key: value for key, value in changes.items() if key != path}
            for name, changes in self.cases.items()
            if changes and path in changes
        }
        return self.with_({path: None, **cases})

    def input_files(self) -> dict[str, bytes]:
        """Return the fault logs that are replayed, in plain form, by their paths in `to_yaml`."""
        files = {
            _input_path(name): found.csv().encode("utf-8") for name, found in self._replays.items()
        }
        for name, log in self._job_logs.items():
            with StringIO() as jobs:
                save_jobs(log, jobs)
                files[_input_path(f"{name}-jobs")] = jobs.getvalue().encode("utf-8")
        for name, table in self._throughputs.items():
            with StringIO() as speeds:
                save_throughput(table, speeds)
                files[_input_path(f"{name}-throughput")] = speeds.getvalue().encode("utf-8")
        for name, requests in self._request_logs.items():
            with StringIO() as lines:
                save_requests(requests, lines)
                files[_input_path(f"{name}-requests")] = lines.getvalue().encode("utf-8")
        for (name, pool), profiled in self._step_tables.items():
            with StringIO() as rows:
                save_steps(profiled, rows)
                files[_input_path(f"{name}-{pool}-steps")] = rows.getvalue().encode("utf-8")
        for (site, figure), series in self._series_of_files().items():
            with StringIO() as steps:
                save_series(series, steps)
                files[_input_path(f"{site}-{figure}")] = steps.getvalue().encode("utf-8")
        return files

    def _series_of_files(self) -> dict[tuple[str, str], Series]:
        """Return the series that stand in files beside the scenario, by site and figure."""
        return {
            (site, figure): series
            for (site, figure), series in self._catalogue.series.items()
            if str(getattr(self.sites[site].varies, figure)).endswith(".csv")
        }

    def to_yaml(self) -> str:
        """Return the scenario as YAML: extends resolved, chips inline, logs under ``inputs/``."""
        from ruamel.yaml import YAML

        data = {key: value for key, value in self._document.data.items() if key != "extends"}
        for block, entries in self._catalogue.files.items():
            data[block] = data.get(block, {}) | entries
        if self._replays:
            data["faults"] = dict(data["faults"])
        for name, found in self._replays.items():
            copy: str | dict[str, Any] = _input_path(name)
            if found.notes:  # the copy does not show what was done
                copy = {"log": copy, "notes": [*map(note_text, found.notes)]}
            data["faults"][name] = {**data["faults"][name], "replay": copy}
        for site, figure in self._series_of_files():
            one = data["sites"][site]
            varies = {**one["varies"], figure: _input_path(f"{site}-{figure}")}
            data["sites"] = {**data["sites"], site: {**one, "varies": varies}}
        for name in self._request_logs:
            one = data["services"][name]
            requests = {**one["requests"], "trace": _input_path(f"{name}-requests")}
            data["services"] = {**data["services"], name: {**one, "requests": requests}}
        runs = [(name, *run) for name, one in self.services.items() for run in one.runs]
        for name, role, pool, _ in (run for run in runs if run[3].shares is not None):
            one, key = data["services"][name], KEY_OF_ROLE[role]
            shares = {"table": _input_path(f"{in_role(name, role)}-{pool}-steps")}
            pools = {**one[key], pool: {**one[key][pool], "shares": shares}}
            data["services"] = {**data["services"], name: {**one, key: pools}}
        copies = (("file", "jobs", self._job_logs), ("throughput", "throughput", self._throughputs))
        for key, what, found_by in copies:
            for name in found_by:
                data["workloads"] = dict(data["workloads"])
                copy = _input_path(f"{name}-{what}")
                data["workloads"][name] = {**data["workloads"][name], key: copy}
        yaml, out = YAML(), StringIO()
        yaml.width = 100
        yaml.dump(data, out)
        return out.getvalue()


def _views() -> ModuleType:
    """Return what shows a scenario, on a floor above; loaded when one is shown."""
    return importlib.import_module("computeplan.report.scenario_views")


def _input_path(name: str) -> str:
    """Return where the log of a fault kind lies in a saved result, short enough for any disk."""
    data = name.encode()
    if len(data) > MOST_NAME_BYTES:
        name = f"{data[:MOST_NAME_BYTES].decode(errors='ignore')}-{sha256(data).hexdigest()[:8]}"
    return f"inputs/{name}.csv"


def shipped_folder() -> Path:
    """Return the folder of the shipped scenarios, of the wheel or of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "data" / "scenarios"
    return installed if installed.is_dir() else package.parents[1] / "scenarios"


def shipped_names() -> list[str]:
    """Return the names of the shipped scenarios."""
    return sorted(path.stem for path in shipped_folder().glob("*.yaml"))


def parse_value(text: str) -> Any:
    """Return the value of the right side of ``-s path=value``, read as YAML.

    Examples
    --------
    >>> parse_value("{node: 0.5, nothing: 0.5}")
    {'node': 0.5, 'nothing': 0.5}
    """
    try:
        data = parse_document(f"value: {text}\n", "").data
    except ScenarioError as error:
        message = f"cannot be read as YAML: {error.problems[0].message}; put it in quotes"
        raise ScenarioError.of(message) from None
    if len(data) > 1:
        raise ScenarioError.of("holds a second line; a value is one")
    return data["value"]


def load(source: str | Path | Mapping[str, Any]) -> Scenario:
    """Return the scenario in a file, of a shipped name, or in a mapping.

    Parameters
    ----------
    source : str, Path or mapping
        Path of a YAML file, the name of a shipped scenario, or the data itself.

    Raises
    ------
    ScenarioError
        With everything that is wrong, each with its place.

    Examples
    --------
    >>> import computeplan as cp
    >>> cp.load("llama3-405b").simulate.runs
    1000
    """
    if isinstance(source, Mapping):
        if "extends" in source:
            message = "is for files; load the other scenario and change it using with_"
            raise ScenarioError.of(message, "extends", "scenario")
        return _build(Document(deepcopy(dict(source)), "scenario"), lambda document: document, None)
    path = Path(source)
    if not _is(path, Path.is_file):
        if str(source) not in shipped_names():
            shipped = ", ".join(shipped_names())
            named_alike = nearest(str(source), shipped_names())
            hint = nearest_file(path, ".yaml", ".yml") or named_alike
            is_folder = str(source) and _is(path, Path.is_dir)
            what = "is a folder, not a file" if is_folder else "no such file or shipped scenario"
            raise ScenarioError.of(f"{what}.{hint}  Shipped: {shipped}", file=str(source))
        path = shipped_folder() / f"{source}.yaml"
    folder = path.resolve().parent
    extend = partial(_extended, path=path, folder=folder)
    return _build(load_document(path, str(source)), extend, folder)


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(path)
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False


def _build(
    document: Document, overlay: Callable[[Document], Document], folder: Path | None
) -> Scenario:
    """Return the scenario of a document that was read, or raise everything that is wrong at once.

    `overlay` lays it over what it extends, or changes over it; files stand in `folder`.
    """
    document = overlay(with_mix(document))
    if document.problems:  # a mix that does not exist: nobody knows which kinds are meant
        document = replace(document, data={**document.data, "faults": {}})
    catalogue = resolve(document, folder)
    scenario = validate(Scenario, catalogue.with_sites(document), catalogue.problems)
    replays, problems = _replays(scenario, document, folder)
    job_logs, wrong = _of_workloads(scenario, document, folder, "file", load_jobs)
    throughputs, wrong_too = _of_workloads(
        scenario, document, folder, "throughput", load_throughput
    )
    request_logs, wrong_requests = _request_logs(scenario, document, catalogue, folder)
    step_tables, wrong_steps = _step_tables(scenario, document, folder)
    problems += [*wrong, *wrong_too, *wrong_requests, *wrong_steps]
    logs = {name: found.log for name, found in replays.items()}
    problems = [*catalogue.problems, *problems, *cross_check(scenario, document, catalogue, logs)]
    if problems:
        raise ScenarioError(problems)
    scenario._document, scenario._folder = document, folder  # noqa: SLF001 - its own constructor
    scenario._catalogue, scenario._replays = catalogue, replays  # noqa: SLF001
    scenario._job_logs, scenario._throughputs = job_logs, throughputs  # noqa: SLF001
    scenario._request_logs, scenario._step_tables = request_logs, step_tables  # noqa: SLF001
    return scenario


def _extended(
    document: Document, path: Path, folder: Path, seen: tuple[Path, ...] = ()
) -> Document:
    """Return the document of a file laid over the one it extends, and that over its own."""
    base = document.data.get("extends")
    if base is None:
        return document
    chain, home, target = (*seen, path.resolve()), folder, path
    wrong = ""
    if not isinstance(base, str) or "\0" in base:
        wrong = f"must be a file name, not {base!r}"
    else:
        target = path.resolve().parent / base
        if base in shipped_names() and not _is(target, Path.is_file):
            target, home = shipped_folder() / f"{base}.yaml", shipped_folder().resolve()
        target = Path(os.path.realpath(target))  # of links in a loop, resolve() makes an error
        if not target.is_relative_to(home):
            wrong = f"{base!r} lies outside the scenario's folder; copy it there"
        elif target in chain:
            wrong = f"goes in a circle: {' -> '.join(item.name for item in (*chain, target))}"
        elif not _is(target, Path.is_file):
            hint = nearest_file(path.parent / base, ".yaml", ".yml") or nearest(
                base, shipped_names()
            )
            wrong = (
                f"no file {base!r} beside the scenario, and no shipped scenario of that name.{hint}"
            )
    if wrong:
        raise ScenarioError([*document.problems, document.problem(("extends",), wrong)])
    below = with_mix(load_document(target, str(Path(document.file).parent / base)))
    return apply(ScenarioFields, _extended(below, target, home, chain), document)


def _replays(
    scenario: Scenario, document: Document, folder: Path | None
) -> tuple[dict[str, Replayed], list[Problem]]:
    """Return the logs that fault kinds replay, and what is wrong with them."""
    replays, problems = {}, []
    for name, kind in scenario.faults.items():
        if kind.replay is None:
            continue
        path, shown = ("faults", name, "replay"), repr(kind.replay.log)
        try:
            replays[name] = load_replay(kind.replay, beside(kind.replay.log, folder))
        except ScenarioError as error:
            for wrong in error.problems:
                line = f" line {wrong.line}:" if wrong.line else ""
                about = f"{shown}{line} " if wrong.file else ""
                problems.append(document.problem(path, f"{about}{wrong.message}"))
        except ValueError as error:
            problems.append(document.problem(path, str(error)))
    return replays, problems


def _request_logs(
    scenario: Scenario, document: Document, catalogue: Catalogue, folder: Path | None
) -> tuple[dict[str, RequestLog], list[Problem]]:
    """Return the traces that services name, and what is wrong with them."""
    found, problems = dict[str, RequestLog](), list[Problem]()
    for name, service in scenario.services.items():
        written = None if service.requests is None else service.requests.trace
        if written is None:
            continue
        at = ("services", name, "requests", "trace")
        log, wrong = _file_of(at, written, load_requests, document, folder)
        problems += wrong
        if log is None:
            continue
        found[name] = log
        model = catalogue.models.get(str(service.model))
        if model is None or model.context is None:
            continue
        n, line, tokens = log.beyond(model.context)
        if n:
            message = (
                f"{written!r} line {line}: a request of {tokens} tokens with its answer is longer"
                f" than the {model.context} that {model.name} takes; {n} of {len(log)} are"
            )
            problems.append(document.problem(at, message))
    return found, problems


def _step_tables(
    scenario: Scenario, document: Document, folder: Path | None
) -> tuple[dict[tuple[str, str], StepRows], list[Problem]]:
    """Return the times of steps that services bring, and what is wrong with them."""
    found, problems = dict[tuple[str, str], StepRows](), list[Problem]()
    for name, service in scenario.services.items():
        for role, pool, run in service.runs:
            if run.shares is None:
                continue
            at = ("services", name, KEY_OF_ROLE[role], pool, "shares", "table")
            table, wrong = _file_of(at, run.shares.table, load_steps, document, folder)
            problems += wrong
            if table is not None:
                found[in_role(name, role), pool] = table
    return found, problems


def _file_of(
    at: KeyPath,
    written: str,
    read: Callable[[Path, str], Read],
    document: Document,
    folder: Path | None,
) -> tuple[Read | None, list[Problem]]:
    """Return a file that a scenario names, or what is wrong with it."""
    try:
        return read(beside(written, folder), written), []
    except ScenarioError as error:
        lines = [f" line {one.line}:" if one.line else "" for one in error.problems]
        return None, [
            document.problem(at, f"{written!r}{line} {one.message}")
            for line, one in zip(lines, error.problems, strict=True)
        ]
    except ValueError as error:
        return None, [document.problem(at, str(error))]


def _of_workloads(
    scenario: Scenario,
    document: Document,
    folder: Path | None,
    key: str,
    read: Callable[[Path, str], Read],
) -> tuple[dict[str, Read], list[Problem]]:
    """Return the files that workloads name under a key, and what is wrong with them."""
    found, problems = dict[str, Read](), list[Problem]()
    for name, workload in scenario.workloads.items():
        if (written := getattr(workload, key)) is None:
            continue
        one, wrong = _file_of(("workloads", name, key), written, read, document, folder)
        problems += wrong
        if one is not None:
            found[name] = one
    return found, problems
