"""The chips, models and places that a scenario names, loaded, before its schema is looked at.

A name stands for an entry of the scenario's own ``chips`` or ``models`` block, a YAML file beside
the scenario, or an entry of the catalogue, in this order; ``{config: my-model/config.json}`` is a
model as Hugging Face describes it. The names are read from the plain data, so that an unknown chip
is reported together with whatever else is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Note
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.hf_config import load_config
from computeplan.specs.catalogue.lookup import load_chip, load_model
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.catalogue.site_figures import SiteFigure, site_figures
from computeplan.specs.catalogue.site_series import site_series
from computeplan.specs.documents.document import Document, KeyPath, dotted, load_document
from computeplan.specs.documents.paths import apply
from computeplan.specs.logs.series import Series
from computeplan.units import MAX_TEXT

__all__ = ["Catalogue", "beside", "resolve"]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the names of one scenario stand for."""

    chips: dict[str, Chip] = field(default_factory=dict)
    models: dict[str, Transformer] = field(default_factory=dict)
    """Entries by the name as the scenario writes it."""
    notes: tuple[Note, ...] = ()
    """What a user must know of names."""
    problems: tuple[Problem, ...] = ()
    """Names that stand for nothing, entries that are wrong."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Plain data of the entries that stand in files of their own, by block and name."""
    sites: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What sites take from the catalogue, by site and key, as a person writes it."""
    site_figures: dict[str, tuple[SiteFigure, ...]] = field(default_factory=dict)
    """The same with the limits of estimates, by site."""
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    """How figures of sites go over the year, by site and figure."""

    def with_sites(self, document: Document) -> Document:
        """Return a document whose sites say what they take from the catalogue."""
        if not self.sites:
            return document
        sites = {
            name: {**site, **self.sites[name]} if name in self.sites else site
            for name, site in document.data["sites"].items()
        }
        return replace(document, data={**document.data, "sites": sites})


def resolve(document: Document, folder: Path | None) -> Catalogue:
    """Return the chips, models and places that a document names.

    Parameters
    ----------
    document : Document
        A scenario, not yet validated.
    folder : Path or None
        Where files beside the scenario are.
    """
    catalogue = Catalogue()
    notes: list[Note] = []
    problems: list[Problem] = []
    blocks: tuple[tuple[str, Callable[..., Any], dict[str, Any]], ...] = (
        ("chips", load_chip, catalogue.chips),
        ("models", load_model, catalogue.models),
    )
    for block, load, found in blocks:
        own = _own(document, block, problems)
        files: dict[str, Any] = {}
        broken = _read_configs(own, files, folder, problems) if block == "models" else set()
        for path, name in _named(document.data, block):
            if name in found or name in broken:
                continue
            try:
                if name not in own and path[-1] == "config":
                    own[name] = _config(name, folder)
                    files[name] = own[name].data
                elif name not in own and block == "models" and name.endswith(".json"):
                    problems.append(document.problem(path, f"write {{config: {name}}}"))
                    continue
                elif name not in own and name.endswith((".yaml", ".yml")):
                    own[name] = _file(name, folder)
                    files[name] = own[name].data
                found[name], more = load(name, own)
                notes += more
            except ScenarioError as error:
                here = dotted((block, name)) if isinstance(document.data.get(block), dict) else ""
                problems += [
                    replace(problem, path=".".join(filter(None, (here, problem.path))))
                    if name in own and name not in files
                    else problem
                    for problem in error.problems
                ]
            except ValueError as error:
                hint = _file_of(name, folder) if len(name) <= MAX_TEXT else ""
                problems.append(document.problem(path, f"{error}{hint}"))
        if files:
            catalogue.files[block] = files
    of_time = site_series(document, folder, beside)
    of_sites = site_figures(document, of_time.found)
    return replace(
        catalogue,
        sites=of_sites.taken,
        site_figures={name: tuple(figures) for name, figures in of_sites.figures.items()},
        series=of_time.found,
        notes=(*notes, *of_sites.notes),
        problems=tuple(dict.fromkeys((*problems, *of_time.problems, *of_sites.problems))),
    )


def _file_of(name: str, folder: Path | None) -> str:
    """Return a hint where a name is that of a file beside the scenario without its ending."""
    if folder is None or Path(name).name != name:
        return ""
    found = [f"{name}{end}" for end in (".yaml", ".yml") if (folder / f"{name}{end}").is_file()]
    return f"  For the file beside the scenario write {found[0]}" if found else ""


def _own(document: Document, block: str, problems: list[Problem]) -> dict[str, Document]:
    """Return the entries that the scenario declares itself, each as a document."""
    data = document.data.get(block)
    own = {}
    for name, entry in data.items() if isinstance(data, dict) else ():
        if isinstance(entry, dict):
            own[name] = document.below((block, name))
        else:
            problems.append(document.problem((block, name), f"must be a mapping, not {entry!r}"))
    return own


def _read_configs(
    own: dict[str, Document], files: dict[str, Any], folder: Path | None, problems: list[Problem]
) -> set[str]:
    """Put what ``{config: ...}`` stands for in its place; return the names where nothing does.

    Further keys of such an entry are laid over what the file says.
    """
    broken = set()
    for name, entry in list(own.items()):
        if "config" not in entry.data:
            continue
        try:
            base = _config(entry.data["config"], folder)
            over = {key: value for key, value in entry.data.items() if key != "config"}
            if over:  # a changed number never keeps its source
                over = {"source": None, "sources": None, **over}
            own[name] = apply(Transformer, base, replace(entry, data={"name": name, **over}))
            files[name] = own[name].data
        except ScenarioError as error:
            problems += error.problems
            broken.add(name)
        except ValueError as error:
            problem = entry.problem(("config",), str(error))
            problems.append(replace(problem, path=dotted(("models", name, "config"))))
            broken.add(name)
    return broken


def _named(data: Any, block: str) -> Iterator[tuple[KeyPath, str]]:
    """Yield path and name wherever the plain data names a chip or a model."""

    def mapping(value: Any) -> dict[str, Any]:
        return value if isinstance(value, dict) else {}

    found: list[tuple[KeyPath, Any]] = []
    if block == "chips":
        for site_name, site in mapping(data.get("sites")).items():
            for name, pool in mapping(mapping(site).get("pools")).items():
                path = ("sites", site_name, "pools", name, "chip")
                found.append((path, mapping(pool).get("chip")))
        for name, kind in mapping(data.get("faults")).items():
            found.append((("faults", name, "observed_on"), mapping(kind).get("observed_on")))
    else:
        for part in ("jobs", "services"):
            for name, one in mapping(data.get(part)).items():
                model = mapping(one).get("model")
                found.append(((part, name, "model"), model))
                found.append(((part, name, "model", "config"), mapping(model).get("config")))
    for at, value in found:
        if isinstance(value, str) and (at[-1] != "config" or value.endswith(".json")):
            yield at, value


def _file(name: str, folder: Path | None) -> Document:
    return load_document(beside(name, folder), name)


def _config(name: object, folder: Path | None) -> Document:
    if not isinstance(name, str) or not name.endswith(".json"):
        raise ValueError(f"must be a Hugging Face config.json beside the scenario, not {name!r}")
    return load_config(beside(name, folder), name)


def beside(name: str, folder: Path | None, of: str = "the scenario") -> Path:
    """Return the path of a file that a scenario, or another file, names.

    Parameters
    ----------
    name : str
        As the scenario writes it.
    folder : Path or None
        Of the scenario, without links; None where it is not from a file.
    of : str
        What names the file, in messages.

    Raises
    ------
    ValueError
        If it would lie elsewhere.
    """
    if folder is None:
        raise ValueError(f"{name!r}: a file needs a scenario file beside it")
    if "\0" in name:
        raise ValueError(f"{name!r} is not the name of a file")
    path = Path(os.path.realpath(folder / name))  # of links in a loop, resolve() makes an error
    if not path.is_relative_to(folder):
        raise ValueError(f"{name!r} lies outside {of}'s folder; copy it there")
    return path
