"""Opens logs that others wrote, without trust: a text, not too large, and no folder or binary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.documents.document import nearest_file

__all__ = ["json_of", "opened"]

LOOKED_AT = 65_536  # bytes at the start, in which a binary file shows


@contextmanager
def opened(path: Path, shown: str, most_bytes: int) -> Iterator[TextIO]:
    """Yield a file of text; a ScenarioError if it cannot be read."""
    try:
        if not path.is_file():
            hint = nearest_file(path)
            raise ScenarioError.of(f"is not a file{'.' if hint else ''}{hint}", file=shown)
        if path.stat().st_size > most_bytes:
            raise ScenarioError.of(f"is larger than {most_bytes // 10**6:,} MB", file=shown)
        with path.open("rb") as raw:
            if b"\0" in raw.read(LOOKED_AT):
                raise ScenarioError.of("is binary, not the text of a log", file=shown)
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise ScenarioError.of(f"is not UTF-8 text: {error.reason}", file=shown) from None
    except (OSError, ValueError) as error:
        if isinstance(error, ScenarioError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise ScenarioError.of(f"cannot be read: {reason}", file=shown) from None


def json_of(file: TextIO, shown: str) -> Any:
    """Return the JSON of a file; a ScenarioError with its place if it is none."""
    try:
        return json.load(file)
    except json.JSONDecodeError as error:
        problem = Problem(f"is not JSON: {error.msg}", "", shown, error.lineno, error.colno)
        raise ScenarioError([problem]) from None
    except RecursionError:
        raise ScenarioError.of("is nested too deep", file=shown) from None
