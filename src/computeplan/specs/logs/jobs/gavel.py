"""Traces of Gavel: a line a job, cells apart by tabs, no header.

Three forms are read. Ten columns [1]_: job type, command, working directory, flag of the steps,
whether it needs a data directory, steps, chips, weight, SLO, arrival. Seven, of the traces made
from logs of Microsoft: job type, command, flag, data directory, steps, arrival, chips. Twelve, of
Shockwave [2]_: those ten, with how the batch size changes behind the chips and the duration before
the arrival. An SLO is a multiple of the duration, -1 for none; where the trace holds no duration,
it makes no deadline.

Sources
-------
.. [1] ``parse_trace`` in scheduler/utils.py of https://github.com/stanford-futuredata/gavel.
.. [2] The same in https://github.com/uw-mad-dash/shockwave.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TextIO

from computeplan.notes import note, of_some
from computeplan.specs.fields import MAX_COUNT
from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.job_csv import (
    MAX_STEPS,
    MAX_TIME_S,
    MAX_WEIGHT,
    number,
    text_cell,
    whole,
)
from computeplan.specs.logs.job_table import JobRow
from computeplan.specs.logs.jobs.rows import ImportedJobs, JobsBuilder

__all__ = ["is_gavel", "read_gavel"]

_TEN = ("type", "", "", "", "", "steps", "chips", "weight", "slo", "arrival")
_SEVEN = ("type", "", "", "", "steps", "arrival", "chips")
_TWELVE = (*_TEN[:7], "mode", "weight", "slo", "duration", "arrival")
_FORMS = {len(form): form for form in (_TEN, _SEVEN, _TWELVE)}
_STATIC = "static"


def is_gavel(line: str) -> bool:
    """Return whether a line is of such a trace."""
    cells = line.rstrip("\r\n").split("\t")
    form = _FORMS.get(len(cells))
    if form is None:
        return False
    numbers = [cells[i] for i, what in enumerate(form) if what not in ("", "type", "mode")]
    return all(text.strip().lstrip("-").replace(".", "", 1).isdecimal() for text in numbers)


def read_gavel(file: TextIO, shown: str) -> ImportedJobs:
    """Return the jobs of a trace of Gavel or Shockwave; their speeds are in the oracle.

    Raises
    ------
    ScenarioError
        If no row is a job, or most cannot be read.
    """
    builder = JobsBuilder(shown)
    n_without = n_batch = 0
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        cells = text.rstrip("\r\n").split("\t")
        try:
            job, has_lost_slo, changes_batch = _job(cells)
            builder.add(job)
        except RowError as bad:
            builder.leave_out(bad, line)
            continue
        n_without += has_lost_slo
        n_batch += changes_batch
    return builder.build(
        *of_some(note("job_log_slo_unused", n=n_without), note("job_log_batch_changes", n=n_batch))
    )


def _job(cells: Sequence[str]) -> tuple[JobRow, bool, bool]:
    """Return a job, whether its SLO makes no deadline, and whether its batch size changes."""
    form = _FORMS.get(len(cells))
    if form is None:
        how = ", ".join(map(str, sorted(_FORMS)))
        raise RowError("job_left_cells", f"has {len(cells)} cells; a trace of Gavel has {how}")
    at = {what: text for what, text in zip(form, cells, strict=True) if what}
    weight = number(at["weight"], "weight", MAX_WEIGHT, above=True) if "weight" in at else 1.0
    slo = _slo(at["slo"]) if "slo" in at else math.inf
    deadline = math.inf
    if slo < math.inf and "duration" in at:
        duration = number(at["duration"], "duration", MAX_TIME_S, above=True)
        deadline = number(repr(slo * duration), "SLO times duration", MAX_TIME_S)
    kind = text_cell(at["type"], "job type")
    if not kind:
        raise RowError("job_left_text", "job type is empty")
    chips = whole(at["chips"], "chips", 0, MAX_COUNT)
    if not chips:
        raise RowError("job_left_no_chips", "holds no chip")
    job = JobRow(
        number(at["arrival"], "arrival", MAX_TIME_S),
        chips,
        n_steps=number(at["steps"], "steps", MAX_STEPS, above=True),
        kind=kind,
        deadline_s=deadline,
        weight=weight,
    )
    return job, slo < deadline == math.inf, at.get("mode", _STATIC) not in ("", _STATIC)


def _slo(text: str) -> float:
    """Return a multiple of the duration; inf for none, which is written as a negative number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if value < 0:
        return math.inf
    return number(text, "SLO", MAX_TIME_S, above=True)
