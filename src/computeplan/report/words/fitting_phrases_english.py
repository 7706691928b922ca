"""What tables and figures of a fit say in English, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FITTING_PHRASES"]

FITTING_PHRASES: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "faults_of_nodes": "{n} faults of {n_nodes:,} nodes in {days:.5g} d",
    "cause": "cause",
    "all_causes": "all",
    "faults": "faults",
    "rate_in_service": "per 1000 node-days\nin service",
    "rate_of_fleet": "per 1000 node-days\nof the fleet",
    "takes_the_node": "takes\nthe node",
    "median_repair_d": "median\nrepair [d]",
    "mean_repair_d": "mean of the law\nof repairs [d]",
    "law": "law",
    "as_seen": "as seen",
    "how_intervals": "95 % intervals: of rates and shares exact (Garwood; Clopper-Pearson), of laws"
    " Wald's from the Hessian in logarithms; medians are Kaplan and Meier's",
    "laws_fitted": "laws by maximum likelihood",
    "of_all_causes": "of all causes",
    "between_faults": "between faults",
    "repair": "repair",
    "shape": "shape",
    "scale_d": "scale [d]",
    "median_d": "median [d]",
    "mean_d": "mean [d]",
    "p95_d": "p95 [d]",
    "aic": "AIC",
    "p_of_fit": "p of fit",
    "seen_and_censored": "seen,\ncensored",
    "what_between_faults": "between faults: up time of a node from the end of a repair to its next"
    " fault",
    "what_p_of_fit": "* least AIC; p of fit: chi-square of events over the fitted hazard (Akritas)",
    "faults_by_window": "faults by window of 30 days",
    "days": "days",
    "a_day": "a day",
    "per_1000_node_days": "per 1000 node-days",
    "predicted_days": "fitted to days 0 to {until:g}, days {until:g} to {to:g}",
    "rate": "rate",
    "constant_rate": "constant",
    "wandering_rate": "wandering",
    "of_what": "of",
    "nodes_down_mean": "nodes down, mean",
    "nodes_down_p95": "nodes down, 95th percentile",
    "expected": "expected",
    "interval_95": "95 % interval",
    "truth": "truth",
    "truth_is": "truth is",
    "inside": "inside",
    "outside": "OUTSIDE",
    "draws_below": "draws below",
    "how_predicted": lambda v: (
        f"{'repairs: ' + v['law'] + ', ' if v['law'] else ''}{v['n']} draws, each with parameters"
        " from their sampling distribution; nothing widens the intervals afterwards"
    ),
    "few_windows_tell": "only {n} windows tell how far the rate wanders: its intervals are too"
    " short",
    "retiring_the_worst": "retiring the {n} of {n_nodes:,} nodes with most faults",
    "gain": "gain",
    "this_log": "this log",
    "equal_nodes": "fleet of equal nodes (95 %)",
    "faults_before_day": "faults before day {day}",
    "faults_after_day": "faults after day {day}",
    "expected_later": "after day {day}, a gamma mixture with the dispersion before it expects them"
    " to have {expected:.1%}; {p:.0%} of fleets of equal nodes gain as much",
    "worst_over_window": "over the whole window, the worst {n} hold {share:.1%}",
    "faults_a_week": "faults a week",
    "constant_rate_and_interval": "constant rate, 95 %",
    "rate_by_window_and_interval": "rate by 30 days, 95 %",
    "nodes_of_this_log": "nodes of this log",
    "poisson": "Poisson",
    "negative_binomial": "negative binomial",
    "faults_of_a_node": "faults of a node",
    "nodes": "nodes",
    "no_repairs": "the log holds no repairs",
    "repairs_kaplan_meier": "repairs (Kaplan-Meier)",
    "share_that_lasts_longer": "share that lasts longer",
}
