"""The scenario: the root of everything a person writes, and how it is read.

A scenario is a document (plain data with places) and its validated form. A changed scenario is a
changed document, validated again; there is one way to change it (`Scenario.with_`), and the
command line's ``-s``, a file's ``cases`` and ``sweep`` and notebooks all go through it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, JsonValue, PrivateAttr, StringConstraints

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.fault_mixes import mix_names, with_mix
from computeplan.specs.catalogue.resolve import Catalogue, beside, resolve
from computeplan.specs.cross_checks import cross_check
from computeplan.specs.documents.document import (
    Document,
    KeyPath,
    load_document,
    nearest,
    parse_document,
    validate,
)
from computeplan.specs.documents.paths import apply, change
from computeplan.specs.faults import FaultKind
from computeplan.specs.fields import Count, ExchangeRate, Frozen, Name, PositiveDuration, Title
from computeplan.specs.jobs import Job
from computeplan.specs.logs.replay import FaultLog, Replayed, load_replay
from computeplan.specs.maintenance import PlannedStop
from computeplan.specs.sites import Pool, Site

__all__ = ["Scenario", "Simulate", "load", "parse_value", "shipped_folder", "shipped_names"]

Found = TypeVar("Found", bound="Scenario")


class Simulate(Frozen):
    """How long, how often, with which luck and by which engine."""

    horizon: PositiveDuration | None = None
    """Wall time at which a run ends; without it a run ends with its last job."""
    runs: Count = 200
    """Replications of each case."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Root of all luck."""
    engine: Literal["auto", "event", "batch"] = "auto"
    """auto takes batch where it can play the scenario."""


def _with_mix(schema: dict[str, Any]) -> None:
    """Let `mix` stand among the kinds; what stands beside it may change kinds of the mix."""
    (kind,) = schema.pop("patternProperties").values()
    mix: dict[str, JsonValue] = {"enum": [*mix_names()], "description": "A shipped mix of faults."}
    schema["if"] = {"required": ["mix"]}
    schema["then"] = {
        "properties": {"mix": mix},
        "additionalProperties": {"type": ["object", "null"]},
    }
    schema["else"] = {"additionalProperties": kind}


class Scenario(Frozen):
    """Chips at sites, failing like this, drawing this much power, with these jobs to run."""

    computeplan: Literal[1]
    """Version of the scenario format."""
    name: Name
    """Names the results folder."""
    about: Annotated[str, StringConstraints(max_length=4000)] = ""
    """What the scenario shows."""
    extends: str | None = Field(default=None, exclude=True)
    """A scenario to start from: a file in the same folder, or a shipped name."""
    chips: dict[str, Any] = Field(default_factory=dict)
    """Chips of your own, by name."""
    models: dict[str, Any] = Field(default_factory=dict)
    """Models of your own, by name."""
    usd_per_cny: ExchangeRate | None = None
    """Exchange rate, for prices in CNY."""
    sites: dict[Name, Site] = Field(min_length=1)
    """Sites by name."""
    faults: dict[Name, FaultKind] = Field(
        default_factory=dict,
        json_schema_extra=_with_mix,
    )
    """Fault kinds by name, `mix: NAME` for those of a shipped mix; nothing breaks if left out."""
    planned: dict[Name, PlannedStop] = Field(default_factory=dict)
    """Planned stops by name."""
    jobs: dict[Name, Job] = Field(min_length=1)
    """Jobs by name."""
    policy: Name = "first-fit"
    """Who runs where, when."""
    cases: dict[Title, dict[str, object] | None] = Field(default_factory=dict)
    """Variants to compare: name -> {path: value}."""
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    """Axes to cross with every case: path -> list of values."""
    simulate: Simulate = Field(default_factory=Simulate)
    """Horizon, runs, seed, engine."""

    _document: Document = PrivateAttr()
    _folder: Path | None = PrivateAttr(default=None)
    _catalogue: Catalogue = PrivateAttr()
    _replays: dict[str, Replayed] = PrivateAttr(default_factory=dict)

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
    def log_notes(self) -> tuple[str, ...]:
        """What was done to the logs, one sentence each."""
        return tuple(
            f"{name}: {note}" for name, found in self._replays.items() for note in found.notes
        )

    def __eq__(self, other: object) -> bool:
        """Return whether both say the same, wherever it is written."""
        if not isinstance(other, Scenario):
            return NotImplemented
        return self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]  # holds mappings

    def pool(self, name: str) -> Pool:
        """Return a pool as written."""
        return next(site.pools[name] for site in self.sites.values() if name in site.pools)

    def chip_of(self, pool: str) -> Chip:
        """Return the chip of a pool."""
        return self._catalogue.chips[self.pool(pool).chip]

    @property
    def pool_names(self) -> list[str]:
        """Names of all pools, in the order written."""
        return [name for site in self.sites.values() for name in site.pools]

    def with_(self, changes: Mapping[str, Any], *, origin: str = "", case: str = "") -> Self:
        """Return the scenario with a change at each path, validated again.

        A mapping is laid over what is there; anything else replaces it, and None removes it. So
        ``{"cases": {...}}`` adds cases, and ``{"cases": None}`` takes all away.

        Parameters
        ----------
        changes : mapping of str to value
            Path -> value as a person writes it; None removes.
        origin : str
            Shown, with path and value, instead of the file where a value turns out wrong.
        case : str
            The case that the changes stand in, for the place of what turns out wrong.

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
        document = change(
            type(self), self._document, changes, origin, case, partial(with_mix, type(self))
        )
        return _build(type(self), document, self._folder)

    def input_files(self) -> dict[str, bytes]:
        """Return the fault logs that are replayed, in plain form, by their paths in `to_yaml`."""
        return {
            f"inputs/{name}.csv": found.csv().encode("utf-8")
            for name, found in self._replays.items()
        }

    def to_yaml(self) -> str:
        """Return the scenario as YAML: extends resolved, chips inline, logs under ``inputs/``."""
        from io import StringIO

        from ruamel.yaml import YAML

        data = {key: value for key, value in self._document.data.items() if key != "extends"}
        for block, entries in self._catalogue.files.items():
            data[block] = data.get(block, {}) | entries
        if self._replays:
            data["faults"] = dict(data["faults"])
        for name, found in self._replays.items():
            copy: str | dict[str, Any] = f"inputs/{name}.csv"
            if found.notes:  # the copy does not show what was done
                copy = {"log": copy, "notes": list(found.notes)}
            data["faults"][name] = {**data["faults"][name], "replay": copy}
        yaml, out = YAML(), StringIO()
        yaml.width = 100
        yaml.dump(data, out)
        return out.getvalue()


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
        return _build(Scenario, Document(deepcopy(dict(source)), "scenario"), None)
    path = Path(source)
    if not _is(path, Path.is_file):
        if str(source) not in shipped_names():
            shipped = ", ".join(shipped_names())
            hint = nearest(str(source), shipped_names())
            is_folder = str(source) and _is(path, Path.is_dir)
            what = "is a folder, not a file" if is_folder else "no such file or shipped scenario"
            raise ScenarioError.of(f"{what}.{hint}  Shipped: {shipped}", file=str(source))
        path = shipped_folder() / f"{source}.yaml"
    folder = path.resolve().parent
    return _build(Scenario, _with_base(path, str(source), folder, ()), folder)


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(path)
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False


def _with_base(path: Path, shown: str, folder: Path, seen: tuple[Path, ...]) -> Document:
    """Return the document of a file laid over the one it extends."""
    document = load_document(path, shown)
    base = document.data.get("extends")
    if base is None and not seen:
        return document
    document = with_mix(Scenario, document)  # before kinds are laid on one another, or removed
    if base is None:
        return document
    at: KeyPath = ("extends",)
    if not isinstance(base, str):
        raise ScenarioError([document.problem(at, f"must be a file name, not {base!r}")])
    if "\0" in base:
        raise ScenarioError([document.problem(at, f"must be a file name, not {base!r}")])
    target = (path.resolve().parent / base).resolve()
    if base in shipped_names() and not _is(target, Path.is_file):
        target, home = shipped_folder() / f"{base}.yaml", shipped_folder().resolve()
    else:
        home = folder
    if not target.resolve().is_relative_to(home):
        message = f"{base!r} lies outside the scenario's folder; copy it there"
        raise ScenarioError([document.problem(at, message)])
    if target.resolve() in (*seen, path.resolve()):
        chain = " -> ".join(item.name for item in (*seen, path.resolve(), target.resolve()))
        raise ScenarioError([document.problem(at, f"goes in a circle: {chain}")])
    if not _is(target, Path.is_file):
        message = f"no file {base!r} beside the scenario, and no shipped scenario of that name"
        raise ScenarioError([document.problem(at, message)])
    below = _with_base(target, str(Path(shown).parent / base), home, (*seen, path.resolve()))
    return apply(Scenario, below, document)


def _build(model: type[Found], document: Document, folder: Path | None) -> Found:
    """Return a validated scenario, or raise every problem of schema, catalogue and cross-checks."""
    unmixed: tuple[Problem, ...] = ()
    try:
        document = with_mix(model, document)
    except ScenarioError as error:  # what else is wrong is told with it
        unmixed = error.problems
        document = replace(document, data={**document.data, "faults": {}})
    catalogue = resolve(document, folder)
    problems = [*unmixed, *catalogue.problems]
    try:
        scenario = validate(model, document)
    except ScenarioError as error:
        raise ScenarioError([*problems, *error.problems]) from None
    if unmixed:
        raise ScenarioError(problems)
    replays = _replays(scenario, document, folder, problems)
    logs = {name: found.log for name, found in replays.items()}
    problems += cross_check(scenario, document, catalogue, logs)
    if problems:
        raise ScenarioError(problems)
    scenario._document, scenario._folder = document, folder  # noqa: SLF001 - its own constructor
    scenario._catalogue, scenario._replays = catalogue, replays  # noqa: SLF001
    return scenario


def _replays(
    scenario: Scenario, document: Document, folder: Path | None, problems: list[Problem]
) -> dict[str, Replayed]:
    """Return the logs that fault kinds replay; what is wrong with them joins `problems`."""
    replays = {}
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
    return replays
