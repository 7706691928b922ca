"""Mixes of faults: fault kinds that were observed together, shipped by name.

A mix is a file, ``data/faults/llama3.yaml``. A scenario takes it by ``faults: {mix: llama3}`` and
may lay its own words over it: ``faults: {mix: llama3, gpu: {restart: 10 min}, cooling: {...}}``
changes one kind and adds another, ``gpu: null`` leaves one out. The name is replaced by the kinds
it stands for as soon as it is read, so that paths, cases and a saved scenario know plain kinds.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from pydantic import model_validator

from computeplan.specs.documents.document import DATA, Document, KeyPath, load_document, nearest
from computeplan.specs.documents.paths import apply
from computeplan.specs.documents.validation import validate
from computeplan.specs.faults import FaultKind
from computeplan.specs.fields import Count, Frozen, Name, refuse

__all__ = ["Mix", "MixSource", "load_mix", "mix_names", "with_mix"]


class MixSource(Frozen):
    """Where the counts of a mix stand."""

    title: str
    """Paper, section and table."""
    url: str
    """Its address."""


class Mix(Frozen):
    """Fault kinds that were counted together on one fleet."""

    title: str
    """What was counted, where and how long."""
    source: MixSource
    """Where the counts stand."""
    about: str
    """What a reader must know of them."""
    causes: dict[Name, dict[str, Count]]
    """Causes as published with their counts, by the kind that they are part of."""
    faults: dict[Name, FaultKind]
    """The kinds, as a scenario writes them."""

    @model_validator(mode="after")
    def _same_counts(self) -> Mix:
        if self.causes.keys() != self.faults.keys():
            refuse("causes and faults must hold the same kinds")
        for name, kind in self.faults.items():
            total = sum(self.causes[name].values())
            if kind.observed is None or kind.observed.interruptions != total:
                refuse(f"faults.{name}: observed.interruptions must be {total}, as its causes say")
        return self


@cache
def mix_names() -> tuple[str, ...]:
    """Return the names of the shipped mixes.

    Examples
    --------
    >>> mix_names()
    ('llama3',)
    """
    return tuple(sorted(path.stem for path in (DATA / "faults").glob("*.yaml")))


@cache
def _document(name: str) -> Document:
    return load_document(DATA / "faults" / f"{name}.yaml", f"catalogue faults/{name}.yaml")


@cache
def load_mix(name: str) -> Mix:
    """Return a shipped mix of faults.

    Raises
    ------
    ValueError
        If there is none of that name, with those that exist.

    Examples
    --------
    >>> sum(sum(counts.values()) for counts in load_mix("llama3").causes.values())
    419
    """
    if name not in mix_names():
        message = f"no mix of faults '{name}'.{nearest(name, mix_names())}"
        raise ValueError(f"{message}  Mixes: {', '.join(mix_names())}")
    return validate(Mix, _document(name))


def with_mix(document: Document) -> Document:
    """Return a scenario's document with the kinds of its mix in the place of the mix's name.

    Parameters
    ----------
    document : Document
        A scenario, not yet validated. One that ``extends`` another keeps what it removes, to
        remove it there too. If no mix has that name, that joins its problems.
    """
    faults = document.data.get("faults")
    if isinstance(faults, str):
        message = f"must be a mapping of kinds; for a mix of faults write {{mix: {faults}}}"
        return _with_problem(document, ("faults",), message)
    # A kind of one's own may be called mix: it is a mapping, and left alone.
    if not isinstance(faults, dict) or isinstance(faults.get("mix", {}), dict):
        return document
    name = str(faults["mix"])
    try:
        load_mix(name)
    except ValueError as error:
        return _with_problem(document, ("faults", "mix"), str(error))
    own = {key: value for key, value in faults.items() if key != "mix"}
    shipped = _document(name)
    keys, values = (
        {path: mark for path, mark in marks.items() if path[:1] == ("faults",)}
        for marks in (shipped.keys, shipped.values)
    )
    base = Document({"faults": shipped.data["faults"]}, shipped.file, keys, values)
    laid = apply(Mix, base, replace(document, data={"faults": own}))
    kinds = dict(laid.data["faults"])
    if "extends" in document.data:
        kinds |= {key: None for key, value in own.items() if value is None}
    return replace(laid, data={**document.data, "faults": kinds})


def _with_problem(document: Document, path: KeyPath, message: str) -> Document:
    return replace(document, problems=(*document.problems, document.problem(path, message)))
