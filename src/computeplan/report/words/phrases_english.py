"""What tables, figures and commands say in English, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from computeplan.report.words.answers_english import ANSWER_PHRASES
from computeplan.report.words.energy_english import ENERGY_PHRASES
from computeplan.report.words.fitting_phrases_english import FITTING_PHRASES
from computeplan.report.words.job_logs_english import JOB_LOG_PHRASES
from computeplan.report.words.mixing_english import MIXING_PHRASES
from computeplan.report.words.places_english import PLACE_PHRASES
from computeplan.report.words.planning_english import PLANNING_PHRASES
from computeplan.report.words.serve_plan_english import SERVE_PLAN_PHRASES
from computeplan.report.words.services_english import SERVICES_PHRASES

__all__ = ["PHRASES"]

Values = Mapping[str, Any]


def _price_rests_on(v: Values) -> str:
    beyond = f"; extrapolated x {v['extrapolated']:.3g}" if v["extrapolated"] > 1 else ""
    return (
        f"{v['chip']}: {v['n_runs']} published runs ({v['family']}), at most {v['largest']:,}"
        f" chips{beyond}; switches of {v['framework']}"
    )


PHRASES: dict[str, str | Callable[[Values], str]] = {
    "n_chips": lambda v: f"{v['n']:,} chip{'' if v['n'] == 1 else 's'}",
    "n_jobs": lambda v: f"{v['n']:,} job{'' if v['n'] == 1 else 's'}",
    # check
    "check_case": "{case}: {jobs} on {pools}; engine {engine}",
    "between": ", ",
    "comma": ", ",
    "ok": "ok",
    "cannot_be_played": "cannot be played: {case}: {why}",
    # run
    "reading": "reading {scenario}",
    "simulating": "simulating",
    "searching_splits": "searching splits over {n} kinds of chips ...",
    "numbers_in": "Numbers: {folder}",
    "figures_in": "Figures: {folder}",
    "load_profile_in": "Load profile: {file}",
    # cases without a result
    "incomplete": "INCOMPLETE: {n:,} of {of:,} cases have no result and are left out",
    "and_more": "{names} and {n:,} more",
    # tables of a result
    "range": "{low} to {high}",
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
    "means_known": "Means and their 95 % intervals are in summary.csv ({name}: ± {within} %).",
    "versus": "{name}: difference to {case}",
    "differences": "Mean difference, run by run on the same faults; its 95 % interval; in percent.",
    "differences_of_one_run": "One run of each case: differences have no interval.",
    "jobs_of": "{case}: jobs, median of {n:,} runs",
    "same_of_jobs": "{name}, of all jobs: {value}.",
    "model": "Model",
    "pool": "Pool (share of the runs)",
    "tenant": "Tenant",
    "n_of_jobs": "Jobs",
    "tenants_of": "by tenant: median and 90 % range of {n:,} runs",
    "chip": "Chip",
    "chips_of": "by chip: median and 90 % range of {n:,} runs",
    "deadline_h": "Deadline [h]",
    # figures
    "title_of": "{scenario}: {title}",
    "median_and_range": "median of {n:,} runs; line: 90 % of the runs",
    "median_alone": "median of {n:,} runs",
    "one_run_each": "one run of each case",
    "range_of_runs": "90 % of the runs",
    "by_closed_form": "closed form",
    "over": "{name} over {path}",
    "goodput": "Goodput",
    "ettr_queueing_included": "ETTR, queueing included",
    "ettr_and_range": "ETTR: median, 90 % of the runs",
    "goodput_and_range": "Goodput: median, 90 % of the runs",
    "chip_time": "Where the chip time of jobs goes",
    "share_of_chip_time": "Share of the chip time that jobs hold",
    "times_of": "ratio to {case}, run by run (left of the line is less)",
    "compared_with": "Compared with {case}",
    "throughput_energy": "Throughput and energy",
    "right_is_better": "(down and to the right is better)",
    "distribution": "{name}, run by run",
    "median": "median",
    "share_of_runs_done": "Share of runs done",
    "completion_times": "Completion times of jobs",
    "share_of_jobs_done": "Share of jobs done",
    "all_jobs_of_runs": lambda v: f"all jobs of {v['n']:,} run{'' if v['n'] == 1 else 's'}",
    "ends_below_1": "; a curve that ends below 1: jobs are unfinished",
    "so_many_unfinished": "{n:,} of {of:,} unfinished",
    "same_curve_as": "same as {name}",
    "cut_at_the_edge": "; an arrow: it goes on beyond the edge",
    "has_unfinished_jobs": "(jobs unfinished)",
    "tradeoff": "Completion time, energy and fairness",
    "mean_and_interval": "mean of {n:,} runs; line: its 95 % interval (differences between cases"
    " are better known)",
    "left_is_better": "(down and to the left is better)",
    "pareto_front": "no case is better\nin both (Pareto)",
    "energy_by_phase": "Energy by phase, at three meters",
    "at_facility": "facility",
    "at_it": "IT",
    "at_chips": "chips",
    "cost_by_site": "Cost by site",
    "carbon_by_site": "Carbon by site",
    "carbon_both_ways": "Carbon by two methods",
    "by_location": "location based",
    "by_market": "market based",
    "other_sites": "{n:,} more sites",
    "cost_carbon": "Cost and carbon",
    "at_market": "hollow: carbon,\nmarket based",
    "front_at_market": "the same, market based",
    # chips under caps
    "at_node": "chip and server",
    "cap": "Power cap",
    "of_limit": "of the board limit",
    "of_highest_draw": "of the draw at the highest clock",
    "cap_speed": "speed",
    "cap_draw": "watts drawn",
    "cap_energy": "energy, {meter}",
    "caps_of": "{chip} under power caps",
    "board_limit": ", board limit {watts} W",
    "least_energy": "* least energy for the same work; all over that without a cap",
    "cap_best": "energy of the same work, {meter}: least at {cap} (speed {speed}, energy {energy})",
    "over_no_cap": "Over that without a cap",
    "characters_unseen": "no font of this machine draws {characters}: figures show boxes there; a"
    " font that has them, such as Noto Sans CJK, is to be installed",
    # timeline
    "jobs_over_time": "Jobs over time",
    "pools_over_time": "Pools over time",
    "power_over_time": "Power over time",
    "power_axis": "Power at the facility [{unit}]",
    "power_limit": "Power limit",
    "taken_from_outside": "Taken from outside",
    "power_of_sites": "power at the facility in run 0, taken from outside [MW]",
    "power_mean": "mean",
    "power_p": "{p} % of\nthe time\nbelow",
    "power_peak": "peak",
    "power_step": "largest\nstep",
    "power_ramp": "largest ramp\nin {minutes:g} min",
    "time_since_start": "Time since the start [{unit}]",
    "run_0": ": run 0",
    "first_rows": ", the first rows ({n} / {n_all})",
    "of_services": "Services",
    "in_the_queue": "In the queue",
    "held_over_time": "Chips held by jobs over time",
    "run_0_of_each": "run 0 of each case",
    "height_is_all_chips": "; full height: all chips; grey: held by no job, to the last end",
    "mean_to_its_end": "mean to its end",
    "deadline": "Deadline",
    # validation
    "measured_step_s": "measured seconds per step",
    "predicted_over_measured": "predicted / measured",
    # step
    "step_title": "{model}, {chips}, {batch:,} sequences of {seq:,} tokens ({tokens:,} tokens a"
    " step), {precision}",
    "step_seconds": "seconds per step",
    "step_seconds_and_band": "seconds per step (line: 90 % band)",
    "step_band": "90 % band",
    "tokens_per_s": "tokens/s",
    "tokens_per_s_and_chip": "tokens/s per chip",
    "ratio_of_tokens_per_s": "ratio of tokens/s",
    "layout": "layout",
    "compute_s": "compute",
    "tp_s": "tensor parallel",
    "bubble_s": "pipeline bubble",
    "pp_s": "pipeline messages",
    "dp_s": "data parallel",
    "cp_s": "context parallel",
    "ep_s": "expert parallel",
    "host_s": "host memory",
    "optimizer_s": "optimizer",
    "memory_of": "memory, GiB of",
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "activations": "activations",
    "logits": "logits",
    "reserve": "reserve",
    "memory_in_all": "in all",
    "from_to": "{low} to {high}",
    "best_layouts": "the {n} best of {n_fitting:,} layouts that fit ({n_priced:,} looked at)",
    "seconds_of_step": "step s",
    "ranks": "ranks",
    "fewer_chips_are_faster": "{chip}: {n_used:,} of {n_chips:,} chips are used: no layout that"
    " fits and divides the batch is faster on more of them",
    "price_rests_on": _price_rests_on,
    **FITTING_PHRASES,
    **JOB_LOG_PHRASES,
    **ANSWER_PHRASES,
    **PLANNING_PHRASES,
    **ENERGY_PHRASES,
    **MIXING_PHRASES,
    **SERVE_PLAN_PHRASES,
    **SERVICES_PHRASES,
    **PLACE_PHRASES,
}
