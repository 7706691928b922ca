"""Jobs as Slurm's ``sacct -P`` prints them.

Chips stand in the trackable resources, ``gres/gpu=8`` of AllocTRES, or of ReqTRES where nothing was
allocated; without them, nodes times the chips of a node, which must then be said. How long a job
ran is ElapsedRaw, else the time from Start to End. A job that failed or ran out of time is a job as
long as it ran. Lines of steps (``17.batch``) belong to their job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TextIO

from computeplan.errors import ScenarioError
from computeplan.notes import note, of_some
from computeplan.specs.fields import MAX_COUNT
from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.job_csv import MAX_TIME_S, number, text_cell, whole
from computeplan.specs.logs.job_table import JobRow
from computeplan.specs.logs.jobs.rows import ImportedJobs, JobsBuilder
from computeplan.specs.logs.nodelist import NO_NODE
from computeplan.specs.logs.slurm import date_check, open_table, slurm_time_s
from computeplan.specs.logs.slurm_table import rows, state_of

__all__ = ["SACCT_JOBS", "read_sacct_jobs", "tres_chips"]

SACCT_JOBS = (
    "sacct -a -X -P --format=JobID,Submit,Start,End,ElapsedRaw,AllocTRES,ReqTRES,NNodes,Account,"
    "Partition,State,Priority -S 2024-01-01 -E now"
)
"""What to ask for."""
_NEEDED = ("JobID", "Submit", "State")
_WANTED = (
    *("JobID", "Submit", "Start", "End", "ElapsedRaw", "AllocTRES", "ReqTRES", "NNodes"),
    *("Account", "User", "Partition", "State", "Priority"),
)
_GPUS = re.compile(r"gres/gpu=(\d+)")
_TYPED = re.compile(r"gres/gpu:[^=,]+=(\d+)")
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "CONFIGURING")
_RUNNING = ("RUNNING", "SUSPENDED", "COMPLETING", "STAGE_OUT", "STOPPED", "RESIZING", "SIGNALING")
MAX_PRIORITY = 2**53


def tres_chips(text: str) -> int:
    """Return the chips in a list of trackable resources; 0 if it holds none.

    Examples
    --------
    >>> tres_chips("billing=64,cpu=64,gres/gpu:a100=8,gres/gpu=8,mem=1T,node=1")
    8
    >>> tres_chips("cpu=4,gres/gpu:h100=6,gres/gpu:l40=2"), tres_chips("cpu=4,mem=8G")
    (8, 0)
    """
    found = _GPUS.findall(text) or _TYPED.findall(text)
    return sum(int(n[:12]) for n in found)


def read_sacct_jobs(
    file: TextIO, shown: str, dates: str | None = None, chips_per_node: int | None = None
) -> ImportedJobs:
    """Return the jobs of a table that ``sacct`` printed.

    Parameters
    ----------
    file : TextIO
        The table, with its header.
    shown : str
        The name of the file in messages.
    dates : str, optional
        The form of dates that are not of ISO 8601.
    chips_per_node : int, optional
        Of the nodes, where the table has no trackable resources.

    Raises
    ------
    ScenarioError
        If columns are missing, no row is a job, or most cannot be read.
    """
    form, names = open_table(file, shown, _NEEDED, SACCT_JOBS)
    if not ({"ElapsedRaw"} <= names or {"Start", "End"} <= names):
        message = f"lacks ElapsedRaw, or Start and End: ask for {SACCT_JOBS}"
        raise ScenarioError.of(message, file=shown)
    has_tres = bool({"AllocTRES", "ReqTRES"} & names)
    if not has_tres and not ("NNodes" in names and chips_per_node):
        message = (
            f"does not say chips: ask for {SACCT_JOBS}; or for NNodes, and say --chips-per-node"
        )
        raise ScenarioError.of(message, file=shown)
    builder, n_steps, n_cut, seen = JobsBuilder(shown), 0, 0, set[str]()
    is_date = date_check(dates)
    for line, n_lines, row in rows(file, form, _WANTED, _NEEDED, is_date):
        if isinstance(row, RowError):
            builder.leave_out(row, line, n_lines)
            continue
        cells = dict(zip(_WANTED, map(str.strip, row), strict=True))
        if "." in cells["JobID"]:
            n_steps += 1
            continue
        try:
            per_node = None if has_tres else chips_per_node
            builder.add(_job(cells, dates, per_node))
        except RowError as bad:
            builder.leave_out(bad, line, n_lines)
            continue
        n_cut += cells["JobID"] in seen
        seen.add(cells["JobID"])
    unused = sorted(set(form.columns) - set(_WANTED))
    notes = of_some(note("job_log_steps", n=n_steps), note("job_log_again", n=n_cut))
    named = (note("job_log_unused", columns=tuple(unused)),) if unused else ()
    return builder.build(*notes, *named)


def _job(cells: Mapping[str, str], dates: str | None, chips_per_node: int | None) -> JobRow:
    state = state_of(cells["State"])
    start, end = cells["Start"], cells["End"]
    has_started = start.lower() not in NO_NODE or not start
    train_s = _elapsed_s(cells, dates)
    if state in _WAITING:
        raise RowError("job_left_waiting", "has not started")
    if state in _RUNNING or (train_s is None and start and end.lower() in NO_NODE):
        raise RowError("job_left_running", "still runs: how long it will is not known")
    if state == "CANCELLED" and (not has_started or not train_s):
        raise RowError("job_left_cancelled", "was cancelled before it started")
    if train_s is None:
        raise RowError("job_left_length", "says no ElapsedRaw, Start and End")
    if train_s == 0:
        raise RowError("job_left_no_time", "ran for no time")
    if chips_per_node is None:
        chips = tres_chips(cells["AllocTRES"]) or tres_chips(cells["ReqTRES"])
    else:
        chips = whole(cells["NNodes"], "NNodes", 0, MAX_COUNT) * chips_per_node
    if not chips:
        raise RowError("job_left_no_chips", "holds no chip")
    if cells["Submit"].lower() in NO_NODE:
        raise RowError("job_left_time", f"Submit is {cells['Submit'][:40]!r}")
    priority = cells["Priority"]
    return JobRow(
        slurm_time_s(cells["Submit"], dates),
        whole(str(chips), "chips", 1, MAX_COUNT),
        train_s,
        kind=text_cell(cells["Partition"], "Partition"),
        tenant=text_cell(cells["Account"] or cells["User"], "Account"),
        priority=whole(priority, "Priority", 0, MAX_PRIORITY) if priority else 0,
        name=text_cell(cells["JobID"], "JobID"),
    )


def _elapsed_s(cells: Mapping[str, str], dates: str | None) -> float | None:
    """Return how long a job ran; None if the table does not say it. [s]"""
    raw = cells["ElapsedRaw"]
    if raw:
        return number(raw, "ElapsedRaw", MAX_TIME_S)
    start, end = cells["Start"], cells["End"]
    if start.lower() in NO_NODE or end.lower() in NO_NODE:
        return None
    ran = slurm_time_s(end, dates) - slurm_time_s(start, dates)
    if ran < 0:
        raise RowError("job_left_time", f"ends at {end[:40]}, before it starts")
    return ran
