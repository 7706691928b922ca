"""What is said in English of job traces that are imported: notes, and what stands in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["JOB_LOGS", "JOB_LOG_PHRASES"]

Values = Mapping[str, Any]
Said = str | Callable[[Values], str]

SHOWN = 12
_LEFT = {
    "job_left_cells": "not as many cells as a row of this format has, or cells without a certain"
    " place",
    "job_left_number": "a number that cannot be read, or cannot be",
    "job_left_text": "a name that is missing, too long, or cannot be printed",
    "job_left_time": "a time that cannot be read: say its form with --dates, its unit with --unit",
    "job_left_length": "no length of the job",
    "job_left_cancelled": "cancelled before it started",
    "job_left_waiting": "not started yet",
    "job_left_running": "still running: how long it will is not known",
    "job_left_no_chips": "no chips",
    "job_left_no_time": "ran for no time",
    "job_left_part": "a part of a job that has a row of its own",
}


def _left(why: str) -> Callable[[Values], str]:
    def said(v: Values) -> str:
        rows = "row" if v["n"] == 1 else "rows"
        lines = "line" if v["n"] == 1 else "lines"
        more = ", ..." if v["n"] > len(v["first"]) else ""
        which = f"{lines} {', '.join(map(str, v['first']))}{more}"
        return f"{v['n']:,} {rows} left out ({which}): {why}."

    return said


def _unused(v: Values) -> str:
    more = ", ..." if len(v["columns"]) > SHOWN else ""
    return f"Columns that are not used: {', '.join(v['columns'][:SHOWN])}{more}."


def _begins(v: Values) -> str:
    first = datetime.fromtimestamp(v["epoch_s"], UTC)
    return f"Time 0 is the first arrival, {first:%Y-%m-%d %H:%M:%S} UTC."


def _missing(v: Values) -> str:
    sorts = ", ".join(f"{kind} x {chips}" for kind, chips in v["sorts"])
    more = ", ..." if v["n_sorts"] > len(v["sorts"]) else ""
    return (
        f"{v['n']:,} jobs can run on no chip of the throughput table ({v['n_sorts']:,} sorts:"
        f" {sorts}{more})."
    )


JOB_LOGS: dict[str, Said] = {
    **{code: _left(why) for code, why in _LEFT.items()},
    "job_log_begins": _begins,
    "job_log_sorted": "The rows are not in the order of arrival; the jobs that are written are.",
    "job_log_slo_unused": "{n:,} jobs have an SLO that is a multiple of their duration, which the"
    " trace does not hold: they have no deadline.",
    "job_log_batch_changes": "{n:,} jobs change their batch size as they train; here all their"
    " steps are alike.",
    "job_log_processors": "Processors of the log are counted as chips.",
    "job_log_requested_chips": "{n:,} jobs say only the processors they asked for.",
    "job_log_steps": "{n:,} rows are steps of jobs, which belong to their job.",
    "job_log_again": "{n:,} rows have the JobID of an earlier row: a job that was queued again"
    " stands as several.",
    "job_log_unused": _unused,
    "throughput_spread_unused": "{n:,} throughputs of jobs spread over more nodes than needed are"
    " not used.",
    "throughput_shared_unused": "{n:,} throughputs of two jobs that share a chip are not used.",
    "throughput_missing": _missing,
}

JOB_LOG_PHRASES: dict[str, Said] = {
    "jobs_in_file": "{n:,} jobs of {file}",
    "job_columns": "what",
    "job_values": "how much",
    "job_rows_left": "rows left out",
    "job_arrivals_d": "last arrival [d]",
    "job_chips": "chips: jobs",
    "job_median_h": "median length [h]",
    "job_median_steps": "median steps",
    "job_chip_h": "chip-h",
    "job_kinds": "kinds",
    "job_tenants": "tenants",
    "job_deadlines": "jobs with a deadline",
    "jobs_written": "Written: {paths}",
}
