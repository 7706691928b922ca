"""Reads step times of one's own: a CSV of steps as they were profiled.

``batch,context,prompt_tokens,step_s`` and a row for each step: either so many sequences decode,
with so many cached tokens each, or so many prompt tokens come in. Columns may stand in any order.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
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
            except RowError as error:
                problems.append(Problem(str(error), "", shown, line, 1))
                if len(problems) == MAX_PROBLEMS:
                    break
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
