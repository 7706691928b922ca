"""Reads step times of one's own: a CSV of steps as they were profiled.

``batch,context,prompt_tokens,step_s`` and a row for each step: either so many sequences decode,
with so many cached tokens each, or so many prompt tokens come in. Columns may stand in any order.
A step with more sequences, more cached tokens or more prompt tokens, all else alike, takes longer:
one that is faster by more than what measurements scatter is refused with its line.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TextIO

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import Problem, ScenarioError
from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.job_csv import csv_rows
from computeplan.specs.logs.text_file import opened

__all__ = ["COLUMNS", "StepRows", "load_steps", "save_steps"]

COLUMNS = ("batch", "context", "prompt_tokens", "step_s")
MAX_BYTES = 10_000_000
MAX_PROBLEMS = 20
MOST = 1e9
SCATTER_FRAC = 0.1
"""By which a step that does more may be faster; an estimate of how measured steps scatter."""


@dataclass(frozen=True, slots=True, eq=False)
class StepRows:
    """Steps as they were written."""

    batch: FloatArray
    """Sequences that decode."""
    context: FloatArray
    """Cached tokens of each, mean. [token]"""
    prompt_tokens: FloatArray
    step_s: FloatArray
    """[s]"""


def load_steps(path: Path, shown: str) -> StepRows:
    """Return the steps of a CSV.

    Parameters
    ----------
    path : Path
    shown : str
        The name of the file in messages.

    Raises
    ------
    ScenarioError
        If it cannot be read, or with the rows that are wrong.
    """
    found: list[list[float]] = []
    lines: list[int] = []
    problems: list[Problem] = []
    with opened(path, shown, MAX_BYTES) as file:
        rows = csv_rows(file, ",")
        top = next(rows, (0, []))[1]
        header = [] if isinstance(top, RowError) else [cell.strip() for cell in top]
        if sorted(header) != sorted(COLUMNS):
            must = f"must begin with the line {','.join(COLUMNS)}"
            raise ScenarioError([Problem(must, "", shown, 1, 1)])
        for line, row in rows:
            try:
                found.append(_row(row, header))
                lines.append(line)
            except RowError as error:
                problems.append(Problem(str(error), "", shown, line, 1))
                if len(problems) == MAX_PROBLEMS:
                    break
    if not problems:
        problems = _faster_with_more(found, lines, shown)
    if not found and not problems:
        problems.append(Problem("has no step", "", shown))
    if problems:
        raise ScenarioError(problems)
    batch, context, prompt_tokens, step_s = np.array(found).T
    return StepRows(batch, context, prompt_tokens, step_s)


def save_steps(steps: StepRows, file: TextIO) -> None:
    """Write steps as a CSV, which reads as the same steps, to the last digit."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    columns = (steps.batch, steps.context, steps.prompt_tokens, steps.step_s)
    writer.writerows(zip(*(map(repr, column.tolist()) for column in columns), strict=True))


def _faster_with_more(
    rows: Sequence[Sequence[float]], lines: Sequence[int], shown: str
) -> list[Problem]:
    """Return steps that do more than another one and are faster, each by its line."""
    found: dict[int, Problem] = {}
    for more, alike, what in (
        (0, 1, "sequences"),
        (1, 0, "cached tokens"),
        (2, 0, "prompt tokens"),
    ):
        kind = 2 if more == 2 else 0
        groups: dict[float, list[tuple[float, float, int]]] = {}
        for row, line in zip(rows, lines, strict=True):
            if row[kind] > 0:
                groups.setdefault(row[alike], []).append((row[more], row[3], line))
        for steps in groups.values():
            least_s, of_line, of_n = 0.0, 0, 0.0
            for n, alike_steps in groupby(sorted(steps), key=lambda step: step[0]):
                took = list(alike_steps)
                for _, seconds, line in took:
                    if seconds < (1 - SCATTER_FRAC) * least_s:
                        why = (
                            f"{n:g} {what} take {seconds:g} s, and {of_n:g} of them {least_s:g} s"
                            f" in line {of_line}: a step that does more is not faster"
                        )
                        found.setdefault(line, Problem(why, "", shown, line, 1))
                _, most_s, line = max(took, key=lambda step: step[1])
                if most_s > least_s:
                    least_s, of_line, of_n = most_s, line, n
    return [found[line] for line in sorted(found)][:MAX_PROBLEMS]


def _row(row: list[str] | RowError, header: list[str]) -> list[float]:
    """Return the numbers of a row, in the order of `COLUMNS`."""
    if isinstance(row, RowError):
        raise row
    if len(row) != len(header):
        raise RowError("job_left_cells", f"has {len(row)} cells; the header has {len(header)}")
    cells = dict(zip(header, row, strict=True))
    found = []
    for name in COLUMNS:
        text = cells[name].strip()
        try:
            value = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            value = math.nan
        if not 0.0 <= value <= MOST or (name == "step_s" and value == 0.0):
            least = "> 0" if name == "step_s" else ">= 0"
            why = f"{name} must be a number {least} and at most {MOST:g}, got {text[:40]!r}"
            raise RowError("job_left_number", why)
        found.append(value)
    batch, _, prompt, _ = found
    if (batch > 0) == (prompt > 0):
        why = "a step decodes a batch or takes in prompt tokens: one of the two is 0"
        raise RowError("job_left_number", why)
    if batch != math.floor(batch):
        raise RowError("job_left_number", f"batch must be a whole number, got {batch:g}")
    return found
