"""Plain data in, a frozen model out: pydantic's complaints become problems with a place.

A key that is not known is told with the nearest one that would be right.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.documents.document import Document, KeyPath
from computeplan.specs.documents.paths import instead_of, type_at
from computeplan.specs.fields import NAME_PATTERN, TITLE_PATTERN
from computeplan.units import MAX_TEXT, plain

__all__ = ["validate"]

Model = TypeVar("Model", bound=BaseModel)

_PATTERNS = {
    NAME_PATTERN: "a name may not hold dots, quotes, slashes or < > &, nor begin with = + - @ (a"
    " formula in a spreadsheet), nor begin or end with a blank, nor be empty",
    TITLE_PATTERN: "the name of a case may not hold line feeds or other control characters, nor"
    " begin with = + - @ (a formula in a spreadsheet), nor begin or end with a blank, nor be empty",
}


def validate(model: type[Model], document: Document, earlier: Iterable[Problem] = ()) -> Model:
    """Return the validated model, or raise every problem with its place.

    Parameters
    ----------
    model : type of pydantic model
        What the document must be.
    document : Document
        The data and its places.
    earlier : iterable of Problem
        What was found before and stops nothing by itself; told with what does.

    Raises
    ------
    ScenarioError
        With one problem for each complaint, after those of the document and the earlier ones.
    """
    known = (*document.problems, *earlier)
    try:
        found = model.model_validate(document.data)
    except ValidationError as error:
        found_wrong = error.errors()
        below = {_inside(document.data, item["loc"])[:-1] for item in found_wrong}
        problems = dict.fromkeys(
            _as_problem(model, document, item)
            for item in found_wrong
            # Of a word or a mapping, a mapping was given: what is wrong inside is told.
            if item["type"] != "literal_error"
            or not isinstance(item["input"], dict)
            or _inside(document.data, item["loc"]) not in below
        )
        raise ScenarioError([*known, *problems]) from None
    if document.problems:
        raise ScenarioError(known)
    return found


def _as_problem(model: type[BaseModel], document: Document, item: Any) -> Problem:
    path = _inside(document.data, item["loc"])
    kind, given = item["type"], item["input"]
    if kind == "extra_forbidden":
        message = f"unknown key '{path[-1]}'{instead_of(type_at(model, path[:-1]), str(path[-1]))}"
        return document.problem(path, f"{message}{_in_ascii(path[-1])}", at_key=True)
    if kind == "missing":
        name = item["loc"][-1]
        return document.problem(path, f"'{name}' is missing", at_key=True)
    message = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if kind == "value_error":
        ascii_ = "" if "write '" in message else _in_ascii(given)
        return document.problem(path, f"{message}{ascii_}")
    if kind in ("model_type", "dict_type"):
        message = "should be a mapping of keys to values"
    elif kind == "string_pattern_mismatch":
        message = _PATTERNS.get(item["ctx"]["pattern"], "is not a name")
    shown = repr(given)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    message = f"{message[:1].lower()}{message[1:]}, got {shown}{_in_ascii(given)}"
    return document.problem(path, message)


def _in_ascii(given: object) -> str:
    """Return what to write for a text with full-width characters or curly quotes."""
    if not isinstance(given, str) or len(given) > MAX_TEXT or plain(given) == given:
        return ""
    return f"; full-width characters: write {plain(given).strip()}"


def _inside(data: Any, loc: tuple[str | int, ...]) -> KeyPath:
    """Return the part of pydantic's location that is a path in the data."""
    path: list[str | int] = []
    for part in loc:
        is_index = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if is_index or (isinstance(data, dict) and part in data):
            data = data[part]
            path.append(part)
    return tuple(path)
