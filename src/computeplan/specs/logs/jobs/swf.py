"""The Standard Workload Format of the Parallel Workloads Archive.

A line a job, 18 numbers between blanks, -1 where something is not known; comments begin with a
semicolon [1]_. Processors are counted as chips. A job that was cancelled before it started has no
run time; one that stopped and went on has lines for its parts (status 2 to 4) beside its own, which
are not counted again.

Sources
-------
.. [1] D. Feitelson, "The Standard Workload Format", version 2.2,
       https://www.cs.huji.ac.il/labs/parallel/workload/swf.html.
"""

from __future__ import annotations

import re
from typing import TextIO

from computeplan.notes import note, of_some
from computeplan.specs.fields import MAX_COUNT
from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.job_csv import MAX_TIME_S, number, whole
from computeplan.specs.logs.job_table import JobRow
from computeplan.specs.logs.jobs.rows import ImportedJobs, JobsBuilder

__all__ = ["is_swf", "read_swf"]

N_FIELDS = 18
_NUMBER, _SUBMIT, _RUN, _ALLOCATED, _REQUESTED = 0, 1, 3, 4, 7
_STATUS, _USER, _EXECUTABLE = 10, 11, 13
_CANCELLED = "5"
_PARTS = ("2", "3", "4")
_UNKNOWN = "-1"
_ROW = re.compile(rf"(?:\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?){{{N_FIELDS}}}\s*")


def is_swf(line: str) -> bool:
    """Return whether a line is of such a log."""
    return line.lstrip().startswith(";") or (
        len(line.split()) == N_FIELDS and _ROW.fullmatch(line) is not None
    )


def read_swf(file: TextIO, shown: str) -> ImportedJobs:
    """Return the jobs of a log in the Standard Workload Format.

    Raises
    ------
    ScenarioError
        If no row is a job, or most cannot be read.
    """
    builder, n_asked = JobsBuilder(shown), 0
    for line, text in enumerate(file, 1):
        if not text.strip() or text.lstrip().startswith(";"):
            continue
        try:
            job, is_asked = _job(text.split())
            builder.add(job)
        except RowError as bad:
            builder.leave_out(bad, line)
            continue
        n_asked += is_asked
    notes = of_some(note("job_log_requested_chips", n=n_asked))
    return builder.build(note("job_log_processors"), *notes)


def _job(fields: list[str]) -> tuple[JobRow, bool]:
    """Return a job, and whether its chips are those it asked for."""
    if len(fields) != N_FIELDS:
        raise RowError("job_left_cells", f"has {len(fields)} fields, not {N_FIELDS}")
    status = fields[_STATUS]
    if status in _PARTS:
        raise RowError("job_left_part", "is a part of a job")
    ran = fields[_RUN]
    if status == _CANCELLED and ran in (_UNKNOWN, "0"):
        raise RowError("job_left_cancelled", "was cancelled before it started")
    if ran == _UNKNOWN:
        raise RowError("job_left_length", "says no run time (field 4)")
    train_s = number(ran, "run time (field 4)", MAX_TIME_S)
    if train_s == 0:
        raise RowError("job_left_no_time", "ran for no time")
    is_asked = fields[_ALLOCATED] == _UNKNOWN
    processors = fields[_REQUESTED if is_asked else _ALLOCATED]
    chips = 0
    if processors != _UNKNOWN:
        chips = whole(processors, f"processors (field {8 if is_asked else 5})", 0, MAX_COUNT)
    if not chips:
        raise RowError("job_left_no_chips", "says no processors (fields 5 and 8)")
    job = JobRow(
        number(fields[_SUBMIT], "submit time (field 2)", MAX_TIME_S),
        chips,
        train_s,
        kind="" if fields[_EXECUTABLE] == _UNKNOWN else f"executable {fields[_EXECUTABLE][:20]}",
        tenant="" if fields[_USER] == _UNKNOWN else f"user {fields[_USER][:20]}",
        name=fields[_NUMBER][:20],
    )
    return job, is_asked
