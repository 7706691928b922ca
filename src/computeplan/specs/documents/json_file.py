"""JSON that others wrote: read with limits and without trust.

A file is small, text, one mapping, and says each key once. What is wrong with its values is
collected, each under its key, so that all of it is reported at once.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.documents.document import read_text
from computeplan.specs.fields import MAX_COUNT

__all__ = ["JsonReader", "load_json", "place_of", "shown_value"]


class JsonReader:
    """Takes values out of a mapping and remembers everything that is wrong with them.

    Parameters
    ----------
    data : dict
        A mapping of a JSON file.
    inside : str
        Where it stands in the file, with a dot behind, empty at the root.

    Examples
    --------
    >>> read = JsonReader({"n_layer": 12, "n_head": "many"})
    >>> read.count("num_layers", "n_layer"), read.count("n_head")
    (12, 1)
    >>> read.problems[0].message
    "must be a whole number from 1 to 100000000, got 'many'"
    """

    def __init__(self, data: dict[str, Any], inside: str = "") -> None:
        self.data, self.inside = data, inside
        self.problems: list[Problem] = []

    def wrong(self, key: str, message: str) -> None:
        """Remember what is wrong with a key."""
        self.problems.append(Problem(message, f"{self.inside}{key}"))

    def given(self, *keys: str) -> str:
        """Return the first of `keys` that has a value, or the first of all."""
        return next((key for key in keys if self.data.get(key) is not None), keys[0])

    def count(self, *keys: str, default: int | None = None, least: int = 1) -> int:
        """Return the whole number under the first key that has one; 1 stands in for a wrong one."""
        key = self.given(*keys)
        value = self.data.get(key)
        if value is None:
            if default is None:
                self.wrong(key, f"'{key}' is missing: a whole number from {least} to {MAX_COUNT}")
                return 1
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_COUNT:
            allowed = f"a whole number from {least} to {MAX_COUNT}"
            self.wrong(key, f"must be {allowed}, got {shown_value(value)}")
            return 1
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return the truth value under a key."""
        value = self.data.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(key, f"must be true or false, got {shown_value(value)}")
            return default
        return value

    def mapping(self, key: str) -> JsonReader:
        """Return the reader of a mapping inside; its problems are added by `absorb`."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, dict):
            self.wrong(key, f"must be a mapping, got {shown_value(value)}")
        return JsonReader(value if isinstance(value, dict) else {}, f"{self.inside}{key}.")

    def absorb(self, inner: JsonReader) -> None:
        """Take over what a reader of a part found wrong."""
        self.problems += inner.problems


def shown_value(value: object) -> str:
    """Return a value as messages show it: short, and only the kind of what holds others.

    Examples
    --------
    >>> shown_value("a" * 50)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."
    >>> shown_value([1, 2])
    'a list'
    """
    if isinstance(value, list | dict):  # may be nested deeper than repr goes
        return "a list" if isinstance(value, list) else "a mapping"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def load_json(path: Path, shown: str) -> tuple[str, dict[str, Any]]:
    """Return the text of a file and the mapping in it.

    Parameters
    ----------
    path : Path
        The file.
    shown : str
        Its name in messages.

    Raises
    ------
    ScenarioError
        If the file cannot be read, is too large, or is not one JSON mapping with unique keys.
    """
    text = read_text(path, shown)
    try:
        data = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ScenarioError.of("is nested too deep", file=shown) from None
    except json.JSONDecodeError as error:
        problem = Problem(f"is not JSON: {error.msg}", "", shown, error.lineno, error.colno)
        raise ScenarioError([problem]) from None
    except ValueError as error:  # a key twice, or a number of thousands of digits
        raise ScenarioError.of(str(error).partition(";")[0], file=shown) from None
    if not isinstance(data, dict):
        message = f"must be a mapping of keys to values, not {shown_value(data)}"
        raise ScenarioError.of(message, file=shown)
    return text, data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {shown_value(key)} stands twice, remove one")
        found[key] = value
    return found


def place_of(text: str, path: str) -> tuple[int, int]:
    r"""Return line and column of a key that stands once in a JSON text, or zeros.

    Examples
    --------
    >>> place_of('{\n  "a": {"b": 1}}', "a.b")
    (2, 9)
    """
    found = list(re.finditer(rf'"{re.escape(path.rpartition(".")[2])}"\s*:', text))
    if len(found) != 1:
        return 0, 0
    at = found[0].start()
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
