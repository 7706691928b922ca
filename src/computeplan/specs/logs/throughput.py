"""How fast a sort of job trains on each chip: steps per second by kind, number of chips and chip.

A row that is missing, or says 0, is a job that cannot run on that chip. As a CSV it has the columns
``kind,chips,chip,steps_per_s``; the oracle of Gavel [1]_ says the same in JSON, where a key is a
pair of job type and number of chips, and ``null`` stands for a job that has its chips for itself.
Its throughputs of two jobs that share a chip, and of jobs spread over more nodes than needed
(``*_unconsolidated``), are not used.

Sources
-------
.. [1] D. Narayanan et al., "Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning
       Workloads", OSDI 2020; https://github.com/stanford-futuredata/gavel.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Notes, note, of_some
from computeplan.specs.documents.json_file import shown_value
from computeplan.specs.fields import MAX_COUNT
from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.job_csv import MAX_BYTES, csv_rows, number, text_cell, whole
from computeplan.specs.logs.job_table import JobLog
from computeplan.specs.logs.text_file import json_of, opened

__all__ = [
    "Throughput",
    "load_oracle",
    "load_throughput",
    "missing_sorts",
    "save_throughput",
]

COLUMNS = ("kind", "chips", "chip", "steps_per_s")
UNCONSOLIDATED = "_unconsolidated"
MAX_STEPS_PER_S = 1e12
"""More than any chip does: what is faster is a mistake. [1/s]"""
MAX_PROBLEMS = 20
SORTS_NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Throughput:
    """Speeds of sorts of jobs."""

    steps_per_s: Mapping[tuple[str, int, str], float]
    """By kind, chips and chip, all > 0: what is not there cannot run. [1/s]"""
    chips: tuple[str, ...]
    """Chips that are named, sorted."""
    notes: Notes = ()
    """What was not used."""

    def of(self, kind: str, n_chips: int, chip: str) -> float:
        """Return the speed of a job that holds `n_chips` chips; 0 if it cannot run. [1/s]

        Examples
        --------
        >>> table = Throughput({("resnet", 8, "h100"): 2.5}, ("h100",))
        >>> table.of("resnet", 8, "h100"), table.of("resnet", 4, "h100")
        (2.5, 0.0)
        """
        return self.steps_per_s.get((kind, n_chips, chip), 0.0)


def load_throughput(path: Path, shown: str | None = None) -> Throughput:
    """Return the table of a CSV ``kind,chips,chip,steps_per_s``, or of the oracle of Gavel.

    Raises
    ------
    ScenarioError
        If the file cannot be read, or with the rows that are wrong.
    """
    shown = str(path) if shown is None else shown
    with opened(path, shown, MAX_BYTES) as file:
        first = file.read(4096).lstrip()[:1]
        file.seek(0)
        if first == "{":
            return load_oracle(file, shown)
        return _of_csv(file, shown)


def _of_csv(file: TextIO, shown: str) -> Throughput:
    rows = csv_rows(file, ",")
    top = next(rows, (0, []))[1]
    if isinstance(top, RowError) or tuple(map(str.strip, top)) != COLUMNS:
        message = f"must begin with the line {','.join(COLUMNS)}"
        raise ScenarioError([Problem(message, "", shown, 1, 1)])
    found: dict[tuple[str, int, str], float] = {}
    chips: set[str] = set()
    problems: list[Problem] = []
    for line, row in rows:
        try:
            kind, n_chips, chip, rate = _row(row)
            if (kind, n_chips, chip) in found:
                why = f"says {kind!r} on {n_chips} {chip} a second time"
                raise RowError("job_left_text", why)  # noqa: TRY301 - joins what is wrong
        except RowError as error:
            if len(problems) < MAX_PROBLEMS:
                problems.append(Problem(str(error), "", shown, line, 1))
            continue
        found[kind, n_chips, chip] = rate
        chips.add(chip)
    if problems:
        raise ScenarioError(problems)
    return _table(found, chips, shown, ())


def _row(row: list[str] | RowError) -> tuple[str, int, str, float]:
    if isinstance(row, RowError):
        raise row
    if len(row) != len(COLUMNS):
        raise RowError("job_left_cells", f"has {len(row)} cells; the header has {len(COLUMNS)}")
    chip = text_cell(row[2], "chip")
    if not chip:
        raise RowError("job_left_text", "chip is empty")
    rate = number(row[3], "steps_per_s", MAX_STEPS_PER_S)
    return text_cell(row[0], "kind"), whole(row[1], "chips", 1, MAX_COUNT), chip, rate


def _table(
    found: Mapping[tuple[str, int, str], float], chips: set[str], shown: str, notes: Notes
) -> Throughput:
    able = {key: rate for key, rate in found.items() if rate > 0}
    if not able:
        raise ScenarioError.of("holds no throughput above 0: no job could run", file=shown)
    return Throughput(able, tuple(sorted(chips)), notes)


def load_oracle(file: TextIO, shown: str) -> Throughput:
    """Return the table of the oracle of Gavel: of jobs that have their chips for themselves.

    Raises
    ------
    ScenarioError
        If it is not JSON of that form; with the entries that are wrong.
    """
    data = json_of(file, shown)
    if not isinstance(data, dict) or not all(isinstance(of, dict) for of in data.values()):
        message = 'must map chips to job types, {"v100": {"(\'ResNet-18\', 1)": {"null": 2.1}}}'
        raise ScenarioError.of(message, file=shown)
    found: dict[tuple[str, int, str], float] = {}
    chips: set[str] = set()
    problems: list[Problem] = []
    n_spread = n_shared = 0
    for chip, of_chip in data.items():
        if chip.endswith(UNCONSOLIDATED):
            n_spread += len(of_chip)
            continue
        chips.add(chip)
        for key, rates in of_chip.items():
            try:
                name = text_cell(chip, "chip")
                kind, n_chips = _oracle_key(key)
                found[kind, n_chips, name] = _alone(rates)
                n_shared += len(rates) - 1
            except RowError as error:
                if len(problems) < MAX_PROBLEMS:
                    problems.append(Problem(str(error), f"{chip}.{key}"[:100], shown))
    if problems:
        raise ScenarioError(problems)
    notes = (
        *of_some(note("throughput_spread_unused", n=n_spread)),
        *of_some(note("throughput_shared_unused", n=n_shared)),
    )
    return _table(found, chips, shown, notes)


def _oracle_key(text: str) -> tuple[str, int]:
    """Return job type and chips of ``('ResNet-18 (batch size 32)', 2)``."""
    try:
        pair = ast.literal_eval(text) if len(text) < 1000 else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pair = None
    if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
        raise RowError("job_left_text", "must be a job type and its chips, ('ResNet-18', 2)")
    if type(pair[1]) is not int:
        raise RowError("job_left_number", f"chips must be a whole number, got {pair[1]!r:.40}")
    return text_cell(pair[0], "kind"), whole(str(pair[1]), "chips", 1, MAX_COUNT)


def _alone(rates: Any) -> float:
    if not isinstance(rates, dict):
        raise RowError("job_left_text", f"must be a mapping, not {shown_value(rates)}")
    rate = rates.get("null", 0.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise RowError("job_left_number", f"null must be a number, got {shown_value(rate)}")
    return number(str(float(rate)), "null", MAX_STEPS_PER_S)


def missing_sorts(jobs: JobLog, table: Throughput) -> Notes:
    """Return a note of the jobs that can run on no chip of a table, if there are any."""
    sort, sorts = jobs.sorts()
    able = {(kind, n_chips) for kind, n_chips, _ in table.steps_per_s}
    missing = [i for i, one in enumerate(sorts) if one not in able]
    n_jobs = int(np.isin(sort, missing).sum())
    named = tuple(sorts[i] for i in missing[:SORTS_NAMED])
    return of_some(note("throughput_missing", n=n_jobs, n_sorts=len(missing), sorts=named))


def save_throughput(table: Throughput, file: TextIO) -> None:
    """Write a table as a CSV that reads as the same table, chips that run nothing aside."""
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(COLUMNS)
    for (kind, n_chips, chip), rate in sorted(table.steps_per_s.items()):
        rows.writerow((kind, n_chips, chip, repr(rate)))
