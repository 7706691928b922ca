"""What Slurm knows of nodes that failed: ``sacct``, also as JSON, and ``sacctmgr show event``.

``sacct`` knows jobs, not nodes. A job that ended in ``NODE_FAIL`` says when a node failed; which of
its nodes it was stands in ``FailedNode`` if that field was asked for. Without it, a job on several
nodes still counts as one fault, on a node that is not known. A job that was requeued keeps its
JobID, and only ``sacct -D`` shows the record that failed. ``sacctmgr show event`` knows when nodes
went down or were drained, why, and when they came back.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import numpy as np

from computeplan.errors import ScenarioError
from computeplan.notes import Notes, note, of_some
from computeplan.specs.documents.json_file import shown_value
from computeplan.specs.logs.events import Events, EventsBuilder, RowError, node_name
from computeplan.specs.logs.nodelist import NO_NODE, expand_nodes
from computeplan.specs.logs.slurm_table import (
    FAULT_STATES,
    PLAIN_STATES,
    STATES,
    Form,
    form_of,
    is_table_row,
    rows,
    state_of,
)
from computeplan.specs.logs.times import read_date_s, read_epoch_s

__all__ = [
    "SACCT",
    "SACCTMGR",
    "date_check",
    "failed_nodes",
    "kind_of",
    "open_table",
    "read_sacct",
    "read_sacct_json",
    "read_sacctmgr",
    "slurm_time_s",
]

SACCT = "sacct -D -a -P --format=JobID,State,NodeList,End,FailedNode -S 2024-01-01 -E now"
"""What to ask for; -D, as a job that was requeued after its node failed has several records."""
SACCTMGR = "sacctmgr show event -P start=2024-01-01 format=Cluster,NodeName,Start,End,State,Reason"

_NEEDED = ("State", "NodeList", "End")
_OF_JOBS = ("JobID", "State", "NodeList", "End", "FailedNode", "Cluster")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]+(?:Z|[+-][\d:]+)?)?|\d{9,}")
_EPOCH = re.compile(r"\d+(?:\.\d+)?")


def kind_of(first: str, second: str) -> str | None:
    """Return ``sacct`` or ``sacctmgr`` if the first lines are of such a table, or None."""
    form = form_of(first, second)
    names = set() if form is None else set(form.columns)
    if names & {"JobID", "JobIDRaw"} and names & {"State", "NodeList"}:
        return None if names & {"node", "start"} else "sacct"
    if {"State", "NodeList", "End"} <= names:
        return "sacct"
    if form is not None and "NodeName" in names and form.separator != ",":
        return "sacctmgr" if names & {"TimeStart", "Start"} else None
    return "sacct" if is_table_row(first) else None


def failed_nodes(node_list: str, failed: str) -> Sequence[str | None]:
    """Return the nodes on which a job's end is laid; None stands for one that is not known.

    `failed` is ``FailedNode``, empty where it was not asked for.

    Examples
    --------
    >>> failed_nodes("gpu[1-4]", "gpu3"), failed_nodes("gpu7", ""), failed_nodes("gpu[1-4]", "")
    (['gpu3'], ['gpu7'], [None])
    """
    named = expand_nodes(failed)
    if named:
        return named
    nodes = expand_nodes(node_list)
    return nodes if len(nodes) == 1 else [None]


class _Jobs:
    """Faults of jobs that a node ended, and what is said of all jobs."""

    def __init__(self, shown: str, counted_by: str = "lines") -> None:
        self.builder = EventsBuilder(shown, counted_by)
        self.n_unknown = self.n_other = 0
        self.ids = array("q")

    def fault(self, state: str, end_s: float, nodes: Sequence[str | None], cluster: str) -> None:
        """Add the end of one job, on nodes of a cluster, which is empty if it is not named."""
        head = f"{cluster}/" if cluster else ""
        names = [None if node is None else node_name(f"{head}{node}") for node in nodes]
        for name in names:
            self.n_unknown += name is None
            self.builder.add(name, end_s, math.nan, state)

    def events(self, *, has_ids: bool) -> Events:
        """Return the faults, with notes."""
        notes: Notes = (note("log_slurm_states", n=self.n_other), note("log_slurm_no_repairs"))
        ids = np.sort(np.array(self.ids, dtype=np.int64))
        if has_ids and (np.diff(ids) != 0).all():
            notes = (*notes, note("log_slurm_no_duplicates"))
        unknown = of_some(note("log_slurm_unknown_node", n=self.n_unknown))
        return self.builder.build(is_dated=True, notes=(*notes, *unknown), n_others=self.n_other)


def slurm_time_s(text: str, dates: str | None) -> float:
    """Return a time as Slurm prints it, with SLURM_TIME_FORMAT=%s too. [s]"""
    if text.lower() in NO_NODE or text == "0":
        raise RowError("log_left_no_end", f"End is {text!r}: the job has no end")
    if dates is None and _EPOCH.fullmatch(text):
        return read_epoch_s(text)
    return read_date_s(text, dates)


def date_check(dates: str | None) -> Callable[[str], bool]:
    """Return what tells whether a cell holds a date, or stands for none."""

    def is_date(text: str) -> bool:
        found = text.strip()
        if not found or dates is None or found.lower() in NO_NODE:
            return found.lower() in NO_NODE - {""} or _DATE.fullmatch(found) is not None
        try:
            read_date_s(found, dates)
        except ValueError:
            return False
        return True

    return is_date


def _state(text: str) -> str:
    """Return a state, of which wide columns may show the begin only."""
    word = state_of(text)
    if word in STATES or not word.endswith("+"):
        return word
    meant = {state for state in STATES if state.startswith(word[:-1])}
    if meant & set(FAULT_STATES) and len(meant) > 1:
        raise RowError("log_left_cells", f"State is cut to {word!r}: ask for the columns with -P")
    return min(meant, default=word)


def _nodes(form: Form, node_list: str, failed: str) -> Sequence[str | None]:
    if form.spans:  # of which columns may show the begin only
        failed = "" if failed.endswith("+") else failed
        if node_list.endswith("+") and not failed:
            return [None]
        node_list = node_list.rstrip("+")
    return failed_nodes("" if failed and form.spans else node_list, failed)


def open_table(
    file: TextIO, shown: str, needed: Sequence[str], command: str
) -> tuple[Form, set[str]]:
    """Return the form of a table, the file then being behind its header.

    A ScenarioError that says what to ask Slurm for if the form or a column is missing.
    """
    ask = f"ask for {command}"
    tool = command.split(" ", 1)[0]
    first = file.readline()
    place = file.tell()
    second = file.readline()
    form = form_of(first, second)
    if form is None or not form.spans:
        file.seek(place)
    if form is None or is_table_row(first):
        raise ScenarioError.of(
            f"looks like {tool} output without its header (-n): {ask}", file=shown
        )
    names = set(form.columns)
    missing = [name for name in needed if name not in names]
    if missing:
        message = f"looks like {tool} output, and lacks {', '.join(missing)}: {ask}"
        raise ScenarioError.of(message, file=shown)
    if not form.separator and not form.spans:
        message = f"looks like {tool} output in wide columns without their line of dashes: {ask}"
        raise ScenarioError.of(message, file=shown)
    double = [name for name in needed if form.columns.count(name) > 1]
    if double:
        raise ScenarioError.of(f"has the column {double[0]!r} twice: {ask}", file=shown)
    return form, names


def read_sacct(file: TextIO, shown: str, dates: str | None = None) -> Events:
    """Return the ends of jobs that a node ended, as faults whose repair is not known.

    From what ``sacct`` printed, in dates of ISO 8601, seconds since 1970, or the form `dates`. A
    ScenarioError if columns are missing, or with the rows that are wrong if those are most.
    """
    form, names = open_table(file, shown, _NEEDED, SACCT)
    jobs = _Jobs(shown)
    job_id = "JobID" if "JobID" in names else "JobIDRaw"
    wanted = (job_id, *_OF_JOBS[1:])
    remember, n_other = jobs.ids.append, 0
    for line, n_lines, row in rows(file, form, wanted, _NEEDED, date_check(dates)):
        if isinstance(row, RowError):
            jobs.builder.leave_out(row, line, n_lines)
            continue
        job, text, node_list, end, failed, cluster = row
        if "." in job:
            continue  # a step fails with its job
        remember(line if job[-1:] == "+" else hash(f"{cluster}/{job}" if cluster else job))
        if text in PLAIN_STATES:
            n_other += 1
            continue
        try:
            state = _state(text)
            if state not in FAULT_STATES:
                n_other += 1
                continue
            nodes = _nodes(form, node_list.strip(), failed.strip())
            jobs.fault(state, slurm_time_s(end.strip(), dates), nodes, cluster.strip())
        except RowError as bad:
            jobs.builder.leave_out(bad, line, n_lines)
    jobs.n_other = n_other
    return jobs.events(has_ids=job_id in names)


def read_sacctmgr(file: TextIO, shown: str, dates: str | None = None) -> Events:
    """Return the times in which nodes were down or drained, with the reason as the cause.

    From what ``sacctmgr show event`` printed; a ScenarioError as of `read_sacct`.
    """
    form, names = open_table(file, shown, ("NodeName",), SACCTMGR)
    is_old = "TimeStart" in names  # as the header says it, whatever the format asked for
    start, end = ("TimeStart", "TimeEnd") if is_old else ("Start", "End")
    builder, n_other = EventsBuilder(shown), 0
    wanted = ("NodeName", start, end, "Reason", "Cluster")
    for line, n_lines, row in rows(file, form, wanted, ("NodeName", start), date_check(dates)):
        if isinstance(row, RowError):
            builder.leave_out(row, line, n_lines)
            continue
        node, start_text, end_text, reason, cluster = map(str.strip, row)
        if not node:
            n_other += 1  # an event of the cluster
            continue
        try:
            name = node_name(f"{cluster}/{node}" if cluster else node)
            start_s = slurm_time_s(start_text, dates)
            end_s = math.inf if end in names else math.nan
            if end_text.lower() not in NO_NODE:
                end_s = slurm_time_s(end_text, dates)
            if end_s < start_s:
                raise RowError("log_left_order", f"ends at {end_text}, before it starts")  # noqa: TRY301
        except RowError as bad:
            builder.leave_out(bad, line, n_lines)
            continue
        builder.add(name, start_s, end_s, " ".join(reason.split()) or "down")
    notes = (note("log_slurm_events"), *of_some(note("log_slurm_clusters", n=n_other)))
    return builder.build(is_dated=True, notes=notes, n_others=n_other)


# JSON --------------------------------------------------------------------------------------------


def read_sacct_json(data: dict[str, Any], shown: str) -> Events:
    """Return the ends of jobs that a node ended, from what ``sacct --json`` printed.

    Slurm has changed that form: a state is a text or a list, a number a number or
    ``{set, infinite, number}``. A ScenarioError if there are no jobs, or most are not readable.
    """
    found = data.get("jobs")
    if not isinstance(found, list):
        message = f"is a mapping without the jobs of sacct --json: ask for {SACCT}"
        raise ScenarioError.of(message, file=shown)
    jobs = _Jobs(shown, "entries")
    for number, job in enumerate(found, 1):
        try:
            _add_json(jobs, job)
        except ValueError as error:
            bad = error if isinstance(error, RowError) else RowError("log_left_entry", str(error))
            jobs.builder.leave_out(bad, number)
    return jobs.events(has_ids=all(isinstance(job, dict) and "job_id" in job for job in found))


def _add_json(jobs: _Jobs, job: object) -> None:
    if not isinstance(job, dict):
        raise RowError("log_left_entry", f"must be a mapping, not {shown_value(job)}")
    about, times = job.get("state", job.get("job_state")), job.get("time")
    states = about.get("current") if isinstance(about, dict) else about
    states = [states] if isinstance(states, str) else states
    if not isinstance(states, list) or not all(isinstance(one, str) for one in states):
        raise RowError(
            "log_left_entry", f"state must be a name or a list, got {shown_value(about)}"
        )
    jobs.ids.append(hash((str(job.get("cluster")), str(job.get("job_id")))))
    state = next((state for one in states if (state := state_of(one)) in FAULT_STATES), None)
    if state is None:
        if not any(state_of(one) in STATES for one in states):
            raise RowError("log_left_entry", f"has no known state, but {shown_value(states)}")
        jobs.n_other += 1
        return
    end = times.get("end") if isinstance(times, dict) else job.get("end_time")
    if isinstance(end, dict):
        end = end.get("number") if end.get("set", True) and not end.get("infinite") else None
    end_s = slurm_time_s(str(0 if end is None or isinstance(end, bool) else end), None)
    nodes, failed, cluster = (job.get(key) or "" for key in ("nodes", "failed_node", "cluster"))
    if not (isinstance(nodes, str) and isinstance(failed, str) and isinstance(cluster, str)):
        raise RowError("log_left_entry", "nodes, failed_node and cluster must be texts")
    jobs.fault(state, end_s, failed_nodes(nodes, failed), cluster)
