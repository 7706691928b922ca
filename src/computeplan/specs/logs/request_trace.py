"""Reads traces of requests: when each came, how long it and its answer are.

Three forms are read, known by their header: our own CSV (``seconds,input_tokens,output_tokens`` and
perhaps ``reusable_prefix_tokens``), that of Azure (``TIMESTAMP,ContextTokens,GeneratedTokens``),
and lines of JSON as Mooncake has them (``timestamp`` in milliseconds, ``input_length``,
``output_length``, ``hash_ids`` of blocks of 512 tokens, of which the longest leading run seen
before can be used again). Times count from the first request. A file whose times go back, with an
empty cell or with what is no number is refused with the lines: a request that is left out would
make the service look better than it is.

Sources
-------
github.com/Azure/AzurePublicDataset (AzureLLMInferenceDataset2023.md) and
github.com/kvcache-ai/Mooncake (FAST25-release/traces).
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.errors import Problem, ScenarioError
from computeplan.specs.documents.document import nearest
from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.job_csv import MAX_TIME_S, csv_rows, number, whole
from computeplan.specs.logs.text_file import opened

__all__ = ["RequestLog", "load_requests", "save_requests"]

MAX_BYTES = 2_000_000_000
MAX_REQUESTS = 20_000_000
MAX_TOKENS = 100_000_000
MAX_PROBLEMS = 20
BLOCK = 512
"""Tokens of a block of Mooncake."""
OWN = ("seconds", "input_tokens", "output_tokens", "reusable_prefix_tokens")
AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOONCAKE = ("timestamp", "input_length", "output_length", "hash_ids")


@dataclass(frozen=True, slots=True, eq=False)
class RequestLog:
    """Requests in the order in which they came."""

    arrival_s: FloatArray
    """From the first one. [s]"""
    input_tokens: IntArray
    output_tokens: IntArray
    reusable_tokens: IntArray | None
    """Leading tokens of a request that came before, None if the file does not say."""
    lines: IntArray
    """Of the file, for messages."""

    def __len__(self) -> int:
        return int(self.arrival_s.size)

    @property
    def mean_per_s(self) -> float:
        """Requests a second, from the first to the last. [1/s]"""
        return (len(self) - 1) / float(self.arrival_s[-1])

    def beyond(self, context: int) -> tuple[int, int, int]:
        """Return how many requests are too long with their answer, and line and tokens of one."""
        whole_ = self.input_tokens + self.output_tokens
        found = np.flatnonzero(whole_ > context)
        if not found.size:
            return 0, 0, 0
        return int(found.size), int(self.lines[found[0]]), int(whole_[found[0]])


class _Row(NamedTuple):
    """A request as its line says it."""

    at_s: float
    input_tokens: int
    output_tokens: int
    reusable: int | None


def load_requests(path: Path, shown: str | None = None) -> RequestLog:
    """Return the requests of a trace.

    Parameters
    ----------
    path : Path
        A CSV, which may be packed (``.csv.gz``), or lines of JSON (``.jsonl``).
    shown : str, optional
        The name of the file in messages; its path if left out.

    Raises
    ------
    ScenarioError
        If it cannot be read, a column is missing or unknown, or with the lines that are wrong.
    """
    shown = str(path) if shown is None else shown
    if path.name.endswith(".gz"):
        with StringIO(_unpacked(path, shown), newline="") as file:
            return _read(file, shown, is_json=False)
    with opened(path, shown, MAX_BYTES) as file:
        return _read(file, shown, is_json=path.name.endswith(".jsonl"))


def save_requests(log: RequestLog, file: TextIO) -> None:
    """Write requests as our own CSV, which reads as the same requests, to the last digit."""
    writer = csv.writer(file, lineterminator="\n")
    columns = [map(repr, log.arrival_s.tolist()), log.input_tokens, log.output_tokens]
    if log.reusable_tokens is not None:
        columns.append(log.reusable_tokens)
    writer.writerow(OWN[: len(columns)])
    writer.writerows(zip(*columns, strict=True))


def _unpacked(path: Path, shown: str) -> str:
    """Return the text of a packed file, of which no more is unpacked than may be."""
    try:
        if not path.is_file():
            raise ScenarioError.of("is not a file", file=shown)
        with gzip.open(path) as packed:
            found = packed.read(MAX_BYTES + 1)
        if len(found) > MAX_BYTES:
            raise ScenarioError.of(f"is larger than {MAX_BYTES // 10**6:,} MB", file=shown)
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioError.of(f"is not UTF-8 text: {error.reason}", file=shown) from None
    except (OSError, EOFError) as error:
        raise ScenarioError.of(f"cannot be unpacked: {error}", file=shown) from None


def _read(file: TextIO, shown: str, *, is_json: bool) -> RequestLog:
    rows = _json_rows(file) if is_json else _csv_rows(file, shown)
    found: list[_Row] = []
    lines: list[int] = []
    problems: list[Problem] = []
    n_wrong = 0
    for line, row in rows:
        wrong = row if isinstance(row, RowError) else _goes_back(row, found)
        if wrong is not None:
            n_wrong += 1
            if len(problems) < MAX_PROBLEMS:
                problems.append(Problem(str(wrong), "", shown, line, 1))
        elif not isinstance(row, RowError):
            found.append(row)
            lines.append(line)
        if len(found) > MAX_REQUESTS:
            raise ScenarioError.of(f"holds more than {MAX_REQUESTS:,} requests", file=shown)
    if n_wrong > len(problems):
        more = f"and {n_wrong - len(problems):,} more lines that are wrong"
        problems.append(Problem(more, "", shown))
    if problems:
        raise ScenarioError(problems)
    if len(found) < 2 or found[-1].at_s == found[0].at_s:
        raise ScenarioError.of("needs two requests or more, at different times", file=shown)
    return _log(found, lines)


def _goes_back(row: _Row, before: Sequence[_Row]) -> RowError | None:
    """Return what is wrong with a row that is earlier than the one before it."""
    if not before or row.at_s >= before[-1].at_s:
        return None
    less_s = before[-1].at_s - row.at_s
    why = f"is {less_s:g} s earlier than the request before it: times must not go back; sort them"
    return RowError("job_left_order", why)


def _log(rows: Sequence[_Row], lines: Sequence[int]) -> RequestLog:
    at_s = np.array([row.at_s for row in rows])
    says_reusable = rows[0].reusable is not None
    return RequestLog(
        at_s - at_s[0],
        np.array([row.input_tokens for row in rows], dtype=np.int64),
        np.array([row.output_tokens for row in rows], dtype=np.int64),
        np.array([row.reusable for row in rows], dtype=np.int64) if says_reusable else None,
        np.array(lines, dtype=np.int64),
    )


def _csv_rows(file: TextIO, shown: str) -> Iterator[tuple[int, _Row | RowError]]:
    rows = csv_rows(file, ",")
    top = next(rows, (0, []))[1]
    header = [] if isinstance(top, RowError) else [*map(str.strip, top)]
    read, names = _form(header, shown)
    at = [header.index(name) for name in names]
    for line, row in rows:
        try:
            if isinstance(row, RowError):
                yield line, row
            elif len(row) != len(header):
                why = f"has {len(row)} cells; the header has {len(header)}"
                yield line, RowError("job_left_cells", why)
            else:
                cells = [row[i] for i in at]
                empty = [name for name, cell in zip(names, cells, strict=True) if not cell.strip()]
                if empty:
                    why = f"{empty[0]} is empty: a trace with holes counts too few requests"
                    yield line, RowError("job_left_cells", why)
                else:
                    yield line, read(cells)
        except RowError as error:
            yield line, error


Reader = Callable[[Sequence[str]], _Row]


def _form(header: Sequence[str], shown: str) -> tuple[Reader, tuple[str, ...]]:
    """Return what reads a row, and which columns it takes."""
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    for read, names, n_needed in ((_own, OWN, 3), (_azure, AZURE, 3)):
        if not twice and set(names[:n_needed]) <= set(header) <= set(names):
            return read, tuple(name for name in names if name in header)
    first = header[0][:40] if header else ""
    near = nearest(first, (OWN[0], AZURE[0])) if first else ""
    raise ScenarioError(
        [
            Problem(
                f"must begin with the line {','.join(OWN[:3])} (perhaps with {OWN[3]}), or that of"
                f" Azure, {','.join(AZURE)}; it begins with {','.join(header)[:80]!r}.{near}",
                *("", shown, 1, 1),
            )
        ]
    )


def _own(cells: Sequence[str]) -> _Row:
    at_s = number(cells[0], OWN[0], MAX_TIME_S)
    n_in = whole(cells[1], OWN[1], 1, MAX_TOKENS)
    n_out = whole(cells[2], OWN[2], 1, MAX_TOKENS)
    if len(cells) == 3:
        return _Row(at_s, n_in, n_out, None)
    reusable = whole(cells[3], OWN[3], 0, MAX_TOKENS)
    if reusable > n_in:
        why = f"{OWN[3]} must be at most {OWN[1]}, got {reusable} of {n_in}"
        raise RowError("job_left_number", why)
    return _Row(at_s, n_in, n_out, reusable)


def _azure(cells: Sequence[str]) -> _Row:
    text = cells[0].strip()
    try:
        at = datetime.fromisoformat(text[:26])  # Azure writes seven digits of a second
    except ValueError:
        why = f"{AZURE[0]} must be a time such as 2023-11-16 18:15:46, got {text[:40]!r}"
        raise RowError("job_left_time", why) from None
    n_in = whole(cells[1], AZURE[1], 1, MAX_TOKENS)
    return _Row(
        (at.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds(),
        n_in,
        whole(cells[2], AZURE[2], 1, MAX_TOKENS),
        None,
    )


def _json_rows(file: TextIO) -> Iterator[tuple[int, _Row | RowError]]:
    seen: set[Any] = set()
    for line, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            yield line, _mooncake(text, seen)
        except RowError as error:
            yield line, error


def _mooncake(text: str, seen: set[Any]) -> _Row:
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RowError("job_left_cells", f"is not a JSON object: {text.strip()[:40]!r}")
    missing = [name for name in MOONCAKE[:3] if found.get(name) is None]
    if missing:
        why = f"{missing[0]} is missing: a trace with holes counts too few requests"
        raise RowError("job_left_cells", why)
    at_s = number(_text(found[MOONCAKE[0]]), MOONCAKE[0], MAX_TIME_S * 1e3) / 1e3
    n_in = whole(_text(found[MOONCAKE[1]]), MOONCAKE[1], 1, MAX_TOKENS)
    n_out = whole(_text(found[MOONCAKE[2]]), MOONCAKE[2], 1, MAX_TOKENS)
    blocks = found.get(MOONCAKE[3], [])
    if not isinstance(blocks, list) or not all(isinstance(one, int) for one in blocks):
        raise RowError("job_left_cells", "hash_ids must be a list of whole numbers")
    n_known = next((i for i, one in enumerate(blocks) if one not in seen), len(blocks))
    seen.update(blocks)
    return _Row(at_s, n_in, n_out, min(n_known * BLOCK, n_in))


def _text(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return repr(value) if is_number and math.isfinite(float(str(value))) else str(value)
