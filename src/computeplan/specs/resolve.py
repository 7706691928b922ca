"""The chips and models that a scenario names, loaded, before its schema is looked at.

A name stands for an entry of the scenario's own ``chips`` or ``models`` block, a YAML file beside
the scenario, or an entry of the catalogue, in this order. The names are read from the plain data,
so that an unknown chip is reported together with whatever else is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.catalogue import load_chip, load_model
from computeplan.specs.chips import Chip
from computeplan.specs.loader import Document, KeyPath, dotted, load_document
from computeplan.specs.models import Transformer

__all__ = ["Catalogue", "resolve"]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the names of one scenario stand for.

    Parameters
    ----------
    chips, models : dict
        Entries by the name as the scenario writes it.
    notes : tuple of str
        What to tell the user about names.
    problems : tuple of Problem
        Names that stand for nothing, entries that are wrong.
    files : dict of str to dict
        Plain data of the entries that stand in files of their own, by block and name.
    """

    chips: dict[str, Chip] = field(default_factory=dict)
    models: dict[str, Transformer] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    files: dict[str, dict[str, Any]] = field(default_factory=dict)


def resolve(document: Document, folder: Path | None) -> Catalogue:
    """Return the chips and models that a document names.

    Parameters
    ----------
    document : Document
        A scenario, not yet validated.
    folder : Path or None
        Where files beside the scenario are.
    """
    catalogue = Catalogue()
    notes: list[str] = []
    problems: list[Problem] = []
    blocks: tuple[tuple[str, Callable[..., Any], dict[str, Any]], ...] = (
        ("chips", load_chip, catalogue.chips),
        ("models", load_model, catalogue.models),
    )
    for block, load, found in blocks:
        own = _own(document, block, problems)
        for path, name in _named(document.data, block):
            if name in found:
                continue
            try:
                if name not in own and name.endswith((".yaml", ".yml")):
                    own[name] = _file(name, folder)
                    catalogue.files.setdefault(block, {})[name] = own[name].data
                found[name], more = load(name, own)
                notes += more
            except ScenarioError as error:
                here = dotted((block, name)) if isinstance(document.data.get(block), dict) else ""
                problems += [
                    replace(problem, path=".".join(filter(None, (here, problem.path))))
                    if name in own and name not in catalogue.files.get(block, {})
                    else problem
                    for problem in error.problems
                ]
            except ValueError as error:
                problems.append(document.problem(path, str(error)))
    return Catalogue(
        catalogue.chips,
        catalogue.models,
        tuple(notes),
        tuple(dict.fromkeys(problems)),
        catalogue.files,
    )


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
    else:
        for name, job in mapping(data.get("jobs")).items():
            found.append((("jobs", name, "model"), mapping(job).get("model")))
    for at, value in found:
        if isinstance(value, str):
            yield at, value


def _file(name: str, folder: Path | None) -> Document:
    if folder is None:
        message = f"{name!r}: a file needs a scenario file beside it"
        raise ValueError(message)
    if "\0" in name:
        message = f"{name!r} is not the name of a file"
        raise ValueError(message)
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        message = f"{name!r} lies outside the scenario's folder; copy it there"
        raise ValueError(message)
    return load_document(path, name)
