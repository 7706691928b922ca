"""Rows of a job trace: those that became jobs, and those that did not, with the reason.

No row is dropped in silence: what cannot be read is shown with its line, and what is no job that
could run (it never started, it held no chip) is counted by its reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Note, Notes, note
from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.job_table import CHUNK, Chunk, Gathered, JobLog, JobRow, columns_of
from computeplan.specs.logs.times import EARLIEST_EPOCH_S

__all__ = ["LEFT_OUT", "NO_JOBS", "ImportedJobs", "JobsBuilder"]

_UNREADABLE = (
    *(note("job_left_cells"), note("job_left_number"), note("job_left_text")),
    *(note("job_left_time"), note("job_left_length")),
)
_NO_JOBS = (
    *(note("job_left_cancelled"), note("job_left_waiting"), note("job_left_running")),
    *(note("job_left_no_chips"), note("job_left_no_time"), note("job_left_part")),
)
NO_JOBS = {one.code for one in _NO_JOBS}
"""Reasons of rows that can be read and are no job to be run."""
LEFT_OUT = {one.code: one for one in (*_UNREADABLE, *_NO_JOBS)}
"""Notes that say how many rows were left out, by the reason."""
MAX_PROBLEMS = 20
LINES_NAMED = 3
MAX_JOBS = 20_000_000


@dataclass(frozen=True, slots=True)
class ImportedJobs:
    """The jobs of a trace, and what did not become one."""

    jobs: JobLog
    n_left: int
    """Rows that did not become jobs."""
    notes: Notes
    """What was done to the trace, and how many rows were left out, by the reason."""
    problems: tuple[Problem, ...]
    """What is wrong with the first rows that cannot be read, in the order of the file."""


@dataclass(slots=True)
class JobsBuilder:
    """Collects jobs row by row, and counts the rows that are left out."""

    file: str
    """Its name in messages."""
    gathered: Gathered = field(default_factory=Gathered)
    rows: list[JobRow] = field(default_factory=list)
    n_jobs: int = 0
    is_sorted: bool = True
    last_s: float = -math.inf
    problems: list[Problem] = field(default_factory=list)
    lost: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    """How many rows are left out, by the code of the reason, and where the first of them stand."""

    def add(self, row: JobRow) -> None:
        """Add one job; a ScenarioError if there are too many."""
        self._count(1)
        self.is_sorted &= row.arrival_s >= self.last_s
        self.last_s = row.arrival_s
        self.rows.append(row)
        if len(self.rows) == CHUNK:
            self._flush()

    def take(self, columns: Chunk) -> None:
        """Add the jobs of a chunk; a ScenarioError if there are too many."""
        self._count(columns.arrival_s.size)
        times = np.concatenate([[self.last_s], columns.arrival_s])
        self.is_sorted &= bool((np.diff(times) >= 0).all())
        self.last_s = float(times[-1])
        self.gathered.take(columns)

    def _count(self, n: int) -> None:
        if self.n_jobs + n > MAX_JOBS:
            raise ScenarioError.of(f"holds more than {MAX_JOBS:,} jobs", file=self.file)
        self.n_jobs += n

    def _flush(self) -> None:
        if self.rows:
            self.gathered.take(columns_of(self.rows))
            self.rows = []

    def leave_out(self, why: RowError, line: int, n_lines: int = 1) -> None:
        """Leave out a row, which begins or ends at this line, and count the lines lost with it."""
        code = why.code if why.code in LEFT_OUT else _OF_FAULTS.get(why.code, "job_left_cells")
        n, first = self.lost.get(code, (0, ()))
        first = (*first, line) if len(first) < LINES_NAMED else first
        self.lost[code] = (n + n_lines, first)
        if code not in NO_JOBS and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(str(why), "", self.file, line, 1))

    def build(self, *notes: Note) -> ImportedJobs:
        """Return the jobs in the order of arrival, with a note for each reason of rows left out.

        Times since 1970 are laid on a clock that begins with the first arrival. A ScenarioError
        if there is no job, or if more rows cannot be read than can.
        """
        n_bad = sum(n for code, (n, _) in self.lost.items() if code not in NO_JOBS)
        n_left = sum(n for n, _ in self.lost.values())
        left = tuple(
            replace(LEFT_OUT[code], items=(("n", n), ("first", first)))
            for code, (n, first) in sorted(self.lost.items())
        )
        if not self.n_jobs or n_bad > self.n_jobs + n_left - n_bad:
            raise ScenarioError(self._refusal(n_bad, n_left))
        self._flush()
        jobs = self.gathered.log()
        first_s = float(jobs.arrival_s[0])
        if first_s >= EARLIEST_EPOCH_S or first_s < 0:
            jobs = replace(jobs, arrival_s=jobs.arrival_s - np.float64(first_s))
            notes = (*notes, note("job_log_begins", epoch_s=first_s))
        if not self.is_sorted:
            notes = (*notes, note("job_log_sorted"))
        return ImportedJobs(jobs, n_left, (*notes, *left), tuple(self.problems))

    def _refusal(self, n_bad: int, n_left: int) -> list[Problem]:
        """Return what is wrong with the first rows, and how many there are."""
        problems = list(self.problems)
        if n_bad > len(problems):
            message = f"and {n_bad - len(problems):,} more rows that cannot be read"
            problems.append(Problem(message, "", self.file))
        if self.n_jobs:
            message = f"{n_bad:,} rows cannot be read, more than the {self.n_jobs:,} that are jobs:"
            problems.append(Problem(f"{message} is it another format?", "", self.file))
        elif n_left > n_bad:
            why = ", ".join(
                f"{n:,} {_WHY[code]}" for code, (n, _) in sorted(self.lost.items()) if code in _WHY
            )
            problems.append(Problem(f"holds no job that could run: {why}", "", self.file))
        elif not problems:
            problems.append(Problem("holds no job", "", self.file))
        return problems


_OF_FAULTS = {
    "log_left_time": "job_left_time",
    "log_left_no_end": "job_left_time",
    "log_left_cells": "job_left_cells",
}
"""Reasons of readers that fault logs share -> ours."""
_WHY = {
    "job_left_cancelled": "were cancelled before they started",
    "job_left_waiting": "have not started",
    "job_left_running": "still run",
    "job_left_no_chips": "hold no chip",
    "job_left_no_time": "ran for no time",
    "job_left_part": "are parts of other jobs",
}
