"""What is said of what is needed, and of two results side by side, in English, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["PLANNING_PHRASES"]

Values = Mapping[str, Any]


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


PLANNING_PHRASES: dict[str, str | Callable[[Values], str]] = {
    # need
    "interval_95": "95 % interval",
    "need_least": "{count}: the least with {goal} ({value} of {n_runs:,} runs; 95 % interval"
    " {interval}).",
    "need_greatest": "{count}: the greatest with {goal} ({value} of {n_runs:,} runs; 95 % interval"
    " {interval}).",
    "need_so_far": "STOPPED: so far {count}, with {goal} ({value} of {n_runs:,} runs; 95 % interval"
    " {interval}).",
    "need_settings": "As settings: {settings}",
    "need_none": "No legal value from {first} to {last} meets {goal}; the nearest is {best} with"
    " {value}",
    "need_none_yet": "STOPPED: none that was tried meets {goal}; the nearest is {best} with"
    " {value}",
    "need_nothing_tried": "STOPPED: nothing was tried; allow more runs or more time",
    "need_nodes": "nodes",
    "need_chips": "chips",
    "need_mean": "mean of {label}",
    "need_is_met": "met",
    "need_met": "yes",
    "need_met_perhaps": "yes, within the interval",
    "need_not_met": "no",
    "need_not_met_perhaps": "no, within the interval",
    "need_untold": lambda v: (
        f"With these {v['n_runs']:,} runs"
        + (f" {v['last']}" if v["one"] else f" {v['first']} to {v['last']}")
        + f" cannot be told from {v['limit']}; more runs tell them apart"
        + (f", and {v['sure']} meets it beyond the interval" if v["sure"] else "")
    ),
    "need_not_monotone": "Not every value beyond the answer meets the goal: not {counts}",
    "need_at": "at {count}: {note}",
    "need_cut": "at {count}: work is unfinished in {n:,} of {n_runs:,} runs, which do not meet the"
    " goal; a later simulate.at_most, or none, tells more",
    "need_effort": "{n:,} values tried with the same {n_runs:,} samples each: {n_in_all:,} runs",
    "need_failed": lambda v: (
        f"{_counted(v['n'], 'value')} without a result, such as {v['count']}: {v['why']}"
    ),
    "need_skipped": lambda v: (
        f"{_counted(v['n'], 'value')} skipped as not valid, such as {v['count']}: {v['why']}"
    ),
    "need_incomplete": "The search was stopped: what lies between the values above is not known",
    "need_progress": "simulated {count}: {value}",
    # compare
    "compare_title": "{name}: B against A",
    "compare_cases": "{name}: {b} against {a}",
    "compare_who": "A: {a}; B: {b}",
    "compare_paired": "Compared run by run on the same {n:,} samples.",
    "compare_unpaired": "Not the same samples ({unlike}): means of independent samples are"
    " compared, with energy, cost and carbon to the latest end of all runs.",
    "compare_quantity": "quantity",
    "compare_path": "path",
    "compare_difference": "B - A",
    "compare_mean": "{side}, mean",
    "compare_same": "The scenarios are the same.",
    "compare_changes": "What differs in the scenarios",
    "compare_changes_of": "What differs for {name}",
    "compare_unset": "not set",
    "compare_refused": "{name}: not compared: {why}",
    "compare_more": "{n:,} more; --json has all",
    "compare_as": "{side} is played with seed {seed} and {n:,} runs, as {other}",
}
