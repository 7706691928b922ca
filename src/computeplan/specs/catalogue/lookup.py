"""The catalogue: chips and models, found by any name people use.

A name is a file, ``data/chips/nvidia/h100-sxm.yaml``, so that a full name costs the reading of one
file. Other names stand in ``aliases.yaml`` beside the files. A chip or model of a scenario's own
may ``extends:`` one of the catalogue or another of its own: mappings merge, and a figure replaces
a figure as a whole, so that a changed value never keeps the source of the old one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import Field

from computeplan.errors import ScenarioError
from computeplan.notes import Note, note
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.hf_config import load_config
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.documents.document import DATA, Document, load_document
from computeplan.specs.documents.paths import apply
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Frozen
from computeplan.units import plain

__all__ = [
    "aliases_of",
    "chip_names",
    "find_chip",
    "find_model",
    "is_named",
    "is_of_catalogue",
    "load_chip",
    "load_model",
    "model_names",
    "name_key",
    "parse_chip",
    "parse_model",
]

Entry = TypeVar("Entry", Chip, Transformer)

_FULL_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*/[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class _Kind(Generic[Entry]):
    """Chips or models: the word for one, its folder and its schema."""

    word: str
    folder: str
    schema: type[Entry]


_CHIPS = _Kind("chip", "chips", Chip)
_MODELS = _Kind("model", "models", Transformer)


class _Names(Frozen):
    """The file ``aliases.yaml``."""

    names: dict[str, list[str]]
    ambiguous: dict[str, str] = Field(default_factory=dict)
    withheld: dict[str, str] = Field(default_factory=dict)


def chip_names() -> tuple[str, ...]:
    """Return the full names of all chips of the catalogue."""
    return _names_in("chips")


def model_names() -> tuple[str, ...]:
    """Return the full names of all models of the catalogue."""
    return _names_in("models")


def aliases_of(name: str) -> tuple[str, ...]:
    """Return the other names of a chip or model of the catalogue.

    Examples
    --------
    >>> "h100-sxm5" in aliases_of("nvidia/h100-sxm")
    True
    """
    for folder in ("chips", "models"):
        if name in (names := _aliases(folder).names):
            return tuple(names[name])
    return ()


def load_chip(
    name: str, extra: Mapping[str, Document] | None = None
) -> tuple[Chip, tuple[Note, ...]]:
    """Return a chip by any of its names, and notes.

    Parameters
    ----------
    name : str
        A name in `extra`, or any name of a chip of the catalogue.
    extra : mapping of name to Document, optional
        Chips of the scenario's own; they go before the catalogue.

    Returns
    -------
    Chip
    tuple of Note
        What a user must know of the name.

    Raises
    ------
    ValueError
        If nothing has this name.
    ScenarioError
        If a chip of the scenario's own is wrong, with the place.

    Examples
    --------
    >>> load_chip("H100-SXM")[0].peak_flop_per_s("bf16")
    989400000000000.0
    """
    return _load(_CHIPS, name, extra or {})


def load_model(
    name: str, extra: Mapping[str, Document] | None = None
) -> tuple[Transformer, tuple[Note, ...]]:
    """Return a model by any of its names, and notes; as `load_chip`.

    Examples
    --------
    >>> load_model("Llama-3.1-405B")[0].layers
    126
    """
    return _load(_MODELS, name, extra or {})


def find_chip(name: str) -> tuple[Chip, tuple[Note, ...]]:
    """Return a chip by any of its names, or out of a YAML file, and notes; as `load_chip`."""
    if name.casefold().endswith((".yaml", ".yml")):
        return parse_chip(load_document(Path(name), name), name)
    return load_chip(name)


def find_model(name: str) -> tuple[Transformer, tuple[Note, ...]]:
    """Return a model by any of its names, or out of a YAML file or a Hugging Face config.json."""
    if name.casefold().endswith(".json"):
        return parse_model(load_config(Path(name), name), name)
    if name.casefold().endswith((".yaml", ".yml")):
        return parse_model(load_document(Path(name), name), name)
    return load_model(name)


def is_of_catalogue(chip: Chip) -> bool:
    """Return whether a chip is one of the catalogue, rather than a user's own.

    Examples
    --------
    >>> chip = load_chip("H100-SXM")[0]
    >>> is_of_catalogue(chip), is_of_catalogue(chip.model_copy(update={"title": "mine"}))
    (True, False)
    """
    return chip.name in chip_names() and _shipped(_CHIPS, chip.name) == chip


def parse_chip(
    document: Document, name: str = "", extra: Mapping[str, Document] | None = None
) -> tuple[Chip, tuple[Note, ...]]:
    """Return the chip in a document, what it extends included, and notes.

    Parameters
    ----------
    document : Document
        A chip as a person writes it.
    name : str
        Used if the document does not name itself.
    extra : mapping of name to Document, optional
        Chips of the scenario's own, which `document` may extend.

    Raises
    ------
    ScenarioError
        With every problem and its place.
    """
    return _parse(_CHIPS, document, name, extra or {})


def parse_model(
    document: Document, name: str = "", extra: Mapping[str, Document] | None = None
) -> tuple[Transformer, tuple[Note, ...]]:
    """Return the model in a document, what it extends included; as `parse_chip`."""
    return _parse(_MODELS, document, name, extra or {})


def is_named(chip: Chip, name: str) -> bool:
    """Return whether a name is one of those of a chip.

    Examples
    --------
    >>> is_named(find_chip("H100")[0], "nvidia/h100-sxm"), is_named(find_chip("H100")[0], "910b2")
    (True, False)
    """
    names = (chip.name, chip.name.rpartition("/")[2], *aliases_of(chip.name))
    return name_key(name) in map(name_key, names)


@lru_cache(maxsize=4096)  # each look-up compares with every name of the catalogue
def name_key(name: str) -> str:
    """Return what names that are the same to a person have in common.

    Examples
    --------
    >>> name_key(" H100_SXM"), name_key("H100 sxm")
    ('h100-sxm', 'h100-sxm')
    """
    return re.sub(r"[\s_-]+", "-", name.strip().casefold())


@cache
def _names_in(folder: str) -> tuple[str, ...]:
    root = DATA / folder
    return tuple(
        sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.glob("*/*.yaml"))
    )


@cache
def _aliases(folder: str) -> _Names:
    return validate(_Names, _document(folder, "aliases"))


@cache
def _document(folder: str, name: str) -> Document:
    return load_document(DATA / folder / f"{name}.yaml", f"catalogue {folder}/{name}.yaml")


def _find(kind: _Kind[Any], name: str, own: Iterable[str] = ()) -> tuple[str, tuple[Note, ...]]:
    """Return the full name of an entry of the catalogue, and notes; `own` may be meant, too."""
    key = name_key(name)
    if _FULL_NAME.fullmatch(key) and (DATA / kind.folder / f"{key}.yaml").is_file():
        return key, ()
    table = _aliases(kind.folder)
    for full_name, others in table.names.items():
        if any(name_key(other) == key for other in others):
            said = (text for other, text in table.ambiguous.items() if name_key(other) == key)
            return full_name, tuple(note("quoted", text=text) for text in said)
    for other, reason in table.withheld.items():
        if name_key(other) == key:
            raise ValueError(f"{kind.word} {name!r} is not in the catalogue: {reason}")
    hint = _nearest(kind.folder, key, own)
    raise ValueError(f"no {kind.word} {name!r}.{hint}  List: computeplan {kind.folder}")


def _nearest(folder: str, key: str, own: Iterable[str]) -> str:
    known = {name_key(name): name for name in (*own, *_names_in(folder))}
    for name, others in _aliases(folder).names.items():
        known.update((name_key(other), name) for other in others)
    bare = plain(key).strip("\"' ")
    close = difflib.get_close_matches(bare, known, n=1, cutoff=0.6)
    return f" Did you mean '{known[close[0]]}'?" if close else ""


def _load(
    kind: _Kind[Entry], name: str, extra: Mapping[str, Document]
) -> tuple[Entry, tuple[Note, ...]]:
    if name in extra:
        return _parse(kind, extra[name], name, extra)
    full_name, notes = _find(kind, name, extra)
    return _shipped(kind, full_name), notes


@cache
def _shipped(kind: _Kind[Entry], full_name: str) -> Entry:
    return validate(kind.schema, _document(kind.folder, full_name))


def _parse(
    kind: _Kind[Entry], document: Document, name: str, extra: Mapping[str, Document]
) -> tuple[Entry, tuple[Note, ...]]:
    whole, notes = _extended(kind, document, extra, (name,))
    own = {"name": document.data.get("name", name)}
    if "extends" in document.data:
        own["title"] = document.data.get("title", own["name"])
    entry = validate(kind.schema, replace(whole, data={**whole.data, **own}))
    return entry, notes + _counted_apart(entry)


def _counted_apart(entry: Chip | Transformer) -> tuple[Note, ...]:
    """Return what a reader of a count must know of it."""
    if not isinstance(entry, Transformer):
        return ()
    found = [note("language_model_only", model=entry.name)] if entry.of_larger_network else []
    if entry.mtp:
        found.append(note("mtp_apart", model=entry.name, n=entry.mtp))
    return tuple(found)


def _extended(
    kind: _Kind[Any], document: Document, extra: Mapping[str, Document], chain: tuple[str, ...]
) -> tuple[Document, tuple[Note, ...]]:
    """Return the document laid on what it extends."""
    if "extends" not in document.data:
        return document, ()
    base_name = document.data["extends"]
    over = replace(document, data={k: v for k, v in document.data.items() if k != "extends"})
    if not isinstance(base_name, str):
        raise ScenarioError([document.problem(("extends",), f"must be a {kind.word}'s name")])
    if base_name in chain and base_name in extra:
        loop = " -> ".join((*chain, base_name))
        raise ScenarioError([document.problem(("extends",), f"goes round in a circle: {loop}")])
    if base_name in extra:
        base, notes = _extended(kind, extra[base_name], extra, (*chain, base_name))
    else:
        try:
            full_name, notes = _find(kind, base_name, extra)
        except ValueError as error:
            raise ScenarioError([document.problem(("extends",), str(error))]) from None
        base = _document(kind.folder, full_name)
        if kind is _CHIPS:
            base = replace(base, data={"relative": full_name, **base.data})
    cleared = replace(base, data=_without_replaced(base.data, over.data))
    return apply(kind.schema, cleared, over), notes


def _without_replaced(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` without the figures that `over` states anew."""
    kept: dict[str, Any] = {}
    for key, value in base.items():
        new = over.get(key)
        if isinstance(value, dict) and isinstance(new, dict):
            if "value" in new:
                continue
            value = _without_replaced(value, new)
        kept[key] = value
    return kept
