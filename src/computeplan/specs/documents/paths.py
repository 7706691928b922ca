"""One path syntax for ``-s``, ``cases``, ``sweep`` and ``Scenario.with_``, and one way to merge.

A path names a value from the root of the scenario, with dots: ``jobs.pretrain.checkpoint.every``.
A part that holds a dot itself is quoted: ``chips."my/chip-1.5".power``. A change is a small
document laid over the scenario, exactly as a file is laid over the one that it ``extends``:
mappings merge, everything else is replaced, ``null`` removes. Two kinds of mappings are one value
each: a law and shares (a part of what is there changes that part, anything else replaces all),
and a figure (``{value, source, ...}``, so that a changed value never keeps the old source). A
change of all cases, or of the sweep, replaces them (`change`); a file that extends another adds.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.documents.document import Document, KeyPath, Mark, dotted, nearest
from computeplan.specs.fields import HowWritten, field_docs

__all__ = ["apply", "change", "instead_of", "list_paths", "split_path", "type_at"]

MAX_SHOWN = 80
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PART = re.compile(
    r"""(?:"((?:[^"\\]|\\.)+)"|'([^']+)'|([^."'\s](?:[^."']*[^."'\s])?))(\.|$)""", re.DOTALL
)


def split_path(text: str) -> tuple[str, ...]:
    """Return the parts of a dotted path.

    Examples
    --------
    >>> split_path('chips."my/chip-1.5".power')
    ('chips', 'my/chip-1.5', 'power')
    """
    parts, at, more = [], 0, True
    while more:
        match = _PART.match(text, at)
        if match is None:
            message = (
                "is not a path; one looks like jobs.pretrain.checkpoint.every, or, where a part"
                ' holds a dot, chips."my/chip-1.5".power'
            )
            raise ScenarioError.of(message, text)
        double, single, plain, dot = match.groups()
        parts.append(_ESCAPED.sub(r"\1", double) if double else single or plain)
        at, more = match.end(), bool(dot)
    return tuple(parts)


def _unwrap(annotation: Any) -> Any:
    """Return the type inside ``Annotated`` and ``| None``."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            inner = [arg for arg in get_args(annotation) if arg is not type(None)]
            if len(inner) != 1:
                return annotation
            annotation = inner[0]
        else:
            return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Return the fields of a model by the key that people write."""
    return {
        field.alias if isinstance(field.alias, str) else name: field
        for name, field in model.model_fields.items()
    }


def _child(annotation: Any, key: str | int) -> Any:
    """Return the type of the value under `key`, or None where the schema does not say."""
    annotation = _mapping(annotation)
    if _is_model(annotation):
        found = _fields(annotation).get(str(key))
        return found.annotation if found is not None else None
    if annotation is Any:
        return Any
    if isinstance(key, int) and get_origin(annotation) in (list, tuple):
        return get_args(annotation)[0]
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def _mapping(annotation: Any) -> Any:
    """Return the type that a mapping has here: of ``float | dict[...]`` the latter."""
    annotation = _unwrap(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        args = map(_unwrap, get_args(annotation))
        return next((arg for arg in args if get_origin(arg) is dict), annotation)
    return annotation


def type_at(model: Any, path: KeyPath) -> Any:
    """Return the type that the schema gives to `path`, or None."""
    for part in path:
        model = _child(model, part)
    return _unwrap(model)


def instead_of(model: Any, key: str) -> str:
    """Return what to write instead of a key that a model does not have.

    Parameters
    ----------
    model : type
        What has no such key: a pydantic model, or anything else, of which nothing is known.
    key : str
        As a person wrote it.

    Returns
    -------
    str
        Behind ``unknown key``: the answer that the model has for a key that people try, else the
        nearest key and all that are allowed.
    """
    if isinstance(model, types.UnionType) or get_origin(model) is Union:
        model = next((arg for arg in get_args(model) if _is_model(arg)), model)
    if not _is_model(model):
        return ""
    answer = getattr(model, "tried", {}).get(re.sub(r"[\s-]+", "_", key.casefold()))
    if answer:
        return f": {answer}"
    allowed = list(_fields(model))
    return f".{nearest(key, allowed)}  Allowed: {', '.join(allowed)}"


def _merge(annotation: Any, base: Any, over: Any) -> Any:
    """Return `over` laid on `base`; `annotation` says which keys exclude one another."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    annotation = _mapping(annotation)
    if annotation is Any:  # inside an entry of chips or models
        is_part = "value" not in over
    else:
        is_free = get_origin(annotation) is dict or _is_model(annotation)
        is_part = is_free or over.keys() <= base.keys()
    if not is_part:
        return over
    merged = dict(base)
    for group in getattr(annotation, "alternatives", ()):
        chosen = [keys for keys in group if any(over.get(key) is not None for key in keys)]
        if chosen:
            for key in {key for keys in group for key in keys} - set(chosen[0]):
                merged.pop(key, None)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif key in merged:
            merged[key] = _merge(_child(annotation, key), merged[key], value)
        else:
            merged[key] = value
    return merged


def apply(model: type[BaseModel], base: Document, over: Document) -> Document:
    """Return document `over` laid on document `base`, places included."""
    keys, values = base.keys | over.keys, base.values | over.values
    data, problems = _merge(model, base.data, over.data), (*base.problems, *over.problems)
    return Document(data, over.file, keys, values, problems)


def change(
    model: type[BaseModel],
    document: Document,
    changes: Mapping[str, Any],
    origin: str = "",
    case: str = "",
    written: Document | None = None,
    settle: Callable[[Document], Document] | None = None,
) -> Document:
    """Return the document with the value at each path replaced.

    Parameters
    ----------
    model : type of pydantic model
        The root of the schema.
    document : Document
        What to change; it stays as it is.
    changes : mapping of path to value
        Values as a person writes them; None removes. A mapping is laid over what is there, unless
        `model` says in ``replaced_whole`` that it replaces it.
    origin : str
        Shown, with path and value, instead of the file if a value is wrong, such as ``-s``.
    case : str
        The case that the changes stand in, for the place of what is wrong.
    written : Document, optional
        The document of that case and of the sweep; the one that is changed if left out.
    settle : callable, optional
        Applied after each change, before the next: puts what a name stands for in its place.

    Raises
    ------
    ScenarioError
        If a path does not exist, or a name stands for nothing.
    """
    problems: list[Problem] = []
    whole = getattr(model, "replaced_whole", frozenset[str]())
    written = written or document
    for text, value in changes.items():
        mark = (
            Mark(_shown(origin, text, value))
            if origin
            else _place(written, text, case, written.values)
        )
        try:
            path = split_path(text)
            wrong = _unknown(model, document.data, path)
        except ScenarioError as error:
            wrong = error.problems[0].message
        if wrong:
            mark = mark if origin else _place(written, text, case, written.keys)
            problems.append(Problem(wrong, text, mark.file, mark.line, mark.column))
            continue
        data: Any = value
        for part in reversed(path):
            data = {part: data}
        places: dict[KeyPath, Mark] = dict.fromkeys(_paths_in(data), mark)
        is_whole = path[0] in whole and len(path) == 1
        if is_whole:
            document = apply(model, document, Document({path[0]: None}, document.file))
        if is_whole or value is None:
            document = _without_places_below(document, path)
        document = apply(model, document, Document(data, document.file, places, places))
        if settle is not None:
            document = settle(document)
        if document.problems:  # what later paths name may not be there
            break
    if problems or document.problems:
        raise ScenarioError(dict.fromkeys([*problems, *document.problems]))
    return document


def _shown(origin: str, text: str, value: Any) -> str:
    words = f"{origin} {text}={'null' if value is None else value}"
    return words if len(words) <= MAX_SHOWN else f"{words[: MAX_SHOWN - 3]}..."


def _place(document: Document, text: str, case: str, marks: Mapping[KeyPath, Mark]) -> Mark:
    """Return the place of a change that stands in the file's own ``cases`` or ``sweep``."""
    mark = marks.get(("cases", case, text)) or marks.get(("sweep", text))
    return mark or Mark(document.file)


def _without_places_below(document: Document, path: KeyPath) -> Document:
    """Return the document, whose value at a path is gone, without the places of what was in it."""
    keys, values = (
        {key: mark for key, mark in marks.items() if key[: len(path)] != path}
        for marks in (document.keys, document.values)
    )
    return replace(document, keys=keys, values=values)


def _paths_in(data: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _paths_in(value, (*path, key))


def _unknown(model: Any, data: Any, path: tuple[str, ...]) -> str:
    """Return why a path does not exist, or nothing."""
    if path[0] == "extends":
        return "is read with the file and cannot be changed; write a file that extends another"
    annotation: Any = model
    for depth, part in enumerate(path):
        inner = _unwrap(annotation)
        last = depth == len(path) - 1
        names = [str(name) for name in data] if isinstance(data, dict) else []
        above = dotted(path[:depth])
        where = f"in {above}" if above else "at the top"
        if _is_model(inner) and part not in _fields(inner):
            return f"no '{part}' {where}{instead_of(inner, part)}"
        if get_origin(inner) is dict and not last and part not in names:
            listed = f"  Allowed: {', '.join(names)}" if names else ""
            return f"no '{part}' {where}.{nearest(part, names)}{listed}"
        data = data.get(part) if isinstance(data, dict) else None
        annotation = _child(annotation, part)
    return ""


def list_paths(model: Any, data: Any) -> Iterator[tuple[str, str, HowWritten | None, str]]:
    """Yield every path that can be set: path, value as written or empty, unit, description.

    Free names (pools, jobs, ...) are listed as far as the document has them.
    """
    yield from _list(model, data, (), None, "")


def _list(
    annotation: Any, data: Any, path: KeyPath, how: HowWritten | None, about: str
) -> Iterator[tuple[str, str, HowWritten | None, str]]:
    inner = _unwrap(annotation)
    if _is_model(inner):
        for name, found in _fields(inner).items():
            value = data.get(name) if isinstance(data, dict) else None
            if found.exclude:
                continue
            hint = _how(found.annotation, found.metadata)
            said = field_docs(inner).get(name, "")
            yield from _list(found.annotation, value, (*path, name), hint, said)
    elif get_origin(inner) is dict:
        for name, value in (data or {}).items():
            yield from _list(get_args(inner)[1], value, (*path, name), how, about)
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from _list(None, value, (*path, name), None, about)
    else:
        yield dotted(path), "" if data is None else str(data), how, about


def _how(annotation: Any, metadata: list[Any]) -> HowWritten | None:
    for item in (*metadata, *getattr(annotation, "__metadata__", ())):
        if isinstance(item, HowWritten):
            return item
    for arg in get_args(annotation):
        found = _how(arg, [])
        if found is not None:
            return found
    return None
