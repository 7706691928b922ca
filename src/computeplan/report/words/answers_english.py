"""What the answer of a result and the notes below its table say in English, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["ANSWER_PHRASES"]

Values = Mapping[str, Any]


ANSWER_PHRASES: dict[str, str | Callable[[Values], str]] = {
    "names": "; ",
    # heads of cases, and a line below the table
    "with_head": "{case}\n({head})",
    "head_saves": "saves every {minutes:.3g} min",
    "head_mfu": "MFU above any published",
    "head_sheet": "data sheet only",
    "marked": "{case} [{marks}]",
    "head_unused": lambda v: (
        f"{v['n_used']:,} of {v['n_chips']:,} chips used"
        + (f"; {v['n_chips']:,} with batch {v['batch'] / 1e6:.3g} Mtoken" if v["batch"] else "")
    ),
    "times_energy": "{name} {ratio} {unit}/kWh",
    "to_window": "Energy, cost and carbon count idle chips too, until the last case ends (median"
    " {days} d).",
    "in_proportion": "In proportion to energy in all cases: {values}.",
    "spares_for": "Spares with which a node is lacking less than {share:g} % of the time:"
    " {n_run} for this run, {n_long_run} in the long run.",
    "sentences": " ",
    # notes
    "of_cases": "{cases}: {text}",
    "all_cases": "{value} in all cases",
    "lacks": "Share of time that a node is lacking in the long run: {cases}. Runs start with every"
    " node up, so that later months are worse.",
    "lacks_beyond": "Share of time that a node is lacking in the long run: {cases}. Runs were cut"
    " at {days:.4g} d and get worse after, so that their time is not extrapolated.",
    "cut": "Work is unfinished at {days:.4g} d: energy, cost and carbon are per token.",
    "cut_and_carried_on": "Work is unfinished at {days:.4g} d: energy, cost and carbon are per"
    " token; other times are extrapolated, as by closed form their pace stays.",
    "not_carried_on": "No time is extrapolated beyond {days:.4g} d where no closed form says that"
    " the pace stays: {cases}.",
    "rests_on": "{n:,} ({family})",
    "speeds": "Speeds rest on published runs of at most as many chips: {runs}.",
    "guessed": "Estimates in part: {chips}.",
    "notes": "What to know",
    "facts": "Facts of the cases",
    "more_notes_of_check": "All notes: --notes.",
    "more_notes": "All notes: --notes, or notes.md in the folder.",
    # the answer
    "sentence": "{text}.",
    "then": "; ",
    "value_of": "{name} {value}",
    "with_range": "{value} ({range} in 90 % of the runs)",
    "with_interval": "{value} (95 % interval {range})",
    "points": "points",
    "first": "{case}, the first case",
    "next": "{case}, the next best",
    "no_clear_best": "{n} cases without a clear best: {case} by the mean, {value}.",
    "best_time": "Fastest of {n} cases: {case}, {value}.",
    "best_pace": "Fastest of {n} cases: {case}, {value}.",
    "best_energy": "Least energy of {n} cases: {case}, {value}.",
    "best_bill": "Lowest electricity bill of {n} cases: {case}, {value}.",
    "best_cost": "Cheapest of {n} cases: {case}, {value}.",
    "best_carbon": "Least carbon of {n} cases: {case}, {value}.",
    "best_availability": "Most available of {n} cases: {case}, {value}.",
    "best_deadline": "Likeliest to be done in time of {n} cases: {case}, {value}.",
    "all_in_time": "In time in all of {n:,} runs (95 % interval {range}): {cases}.",
    "all_alike": "{name} is {value} in each of {n} cases.",
    "against": "Against {case}: mean {difference}; better in {better:,} of {n:,} runs.",
    "as_good": "No better than {case}, in any run.",
    "against_one": "Against {case}: mean {difference}.",
    "not_apart": "Cannot be told apart from {case}: mean difference {difference}.",
    "difference": lambda v: (
        v["value"]
        + (f" (95 % interval {v['interval']})" if v["interval"] else "")
        + (f", {v['percent']}" if v["percent"] else "")
    ),
    "no_difference": "Against {case}: {value}.",
    "not_told_apart": "Not told apart from the best: {cases}.",
    "known_in_part": "Not compared, as at most {n_done:,} of {n:,} runs are done: {cases}.",
}
