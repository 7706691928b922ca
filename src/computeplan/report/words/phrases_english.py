"""What tables, figures and commands say in English, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["PHRASES"]

Values = Mapping[str, Any]


PHRASES: dict[str, str | Callable[[Values], str]] = {
    "n_chips": lambda v: f"{v['n']:,} chip{'' if v['n'] == 1 else 's'}",
    "n_jobs": lambda v: f"{v['n']:,} job{'' if v['n'] == 1 else 's'}",
    # check
    "check_case": "{case}: {jobs} on {pools}; engine {engine}",
    "between": ", ",
    "ok": "ok",
    # cases without a result
    "incomplete": "INCOMPLETE: {n:,} of {of:,} cases have no result and are left out",
    "and_more": "{names} and {n:,} more",
    # tables of a result
    "range": "{low} to {high}",
    "at_least": "at least {value}",
    "beyond": "> {value}",
    "case": "case",
    "job": "job",
    "summary": lambda v: (
        f"{v['name']}: median and 90 % range of {v['n']:,} runs"
        if v["n"] > 1
        else f"{v['name']}: one run of each case"
    ),
    "value": "{name} {value}",
    "same": "Same in all cases: {values}.",
    "missing": "{name}: without a value in {cases} of {n:,} runs, which are left out.",
    "missing_pairs": "{name}: {n:,} pairs of runs have no difference and are left out.",
    "one_run": "One run of each case: no range, no interval.",
    "means": "Means with their 95 % intervals: summary.csv.",
    "means_known": "Means are in summary.csv; {name}, mean: known to within {within} %.",
    "versus": "{name}: difference to {case}",
    "differences": "Mean difference, run by run on the same faults; its 95 % interval; in percent.",
    "differences_of_one_run": "One run of each case: differences have no interval.",
    "jobs_of": "{case}: jobs, median of {n:,} runs",
    "same_of_jobs": "{name}, of all jobs: {value}.",
    "model": "Model",
    "pool": "Pool (share of the runs)",
    "deadline_h": "Deadline [h]",
}
