"""What notes of fits and validations say in English."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from computeplan.units import DAY_S, HOUR_S

__all__ = ["FITTING"]

SHOWN_WINDOWS = 24
Values = Mapping[str, Any]


def _p(p: float) -> str:
    return "p < 1e-6" if p < 1e-6 else f"p = {p:.2g}"


def _per_day(v: Values) -> str:
    return ", ".join(f"{rate * DAY_S:.2g}" for rate in v["rates_per_s"][:SHOWN_WINDOWS])


def _rate_wanders(v: Values) -> str:
    why = FITTING[v["why"]]
    assert isinstance(why, str)
    return (
        f"A rate that wanders by month has a gamma multiplier of shape {v['shape']:.2g}"
        f" ({v['low']:.2g} to {v['high']:.2g}), so a month is off by"
        f" {1 / math.sqrt(v['shape']):.0%} either way; correlation of neighbours:"
        f" {v['correlation']:.2g} ({why.format(**dict(v['why_values']))})."
    )


def _gaps_not_exponential(v: Values) -> str:
    shape = "" if v["shape"] is None else f" ({v['shape_name']} = {v['shape']:.2g})"
    return (
        f"Times between faults of a node are not exponential: {v['law']}{shape} is better by"
        f" {v['aic_less']:.0f} of AIC (fit: {_p(v['p'])}). Unlike nodes or months make pooled"
        " times look so too. The engines play expon only, at the rate of the fleet."
    )


def _others(v: Values) -> str:
    return "no other fits better" if v["n_laws"] > 1 else "no other law could be fitted"


def _of_causes(v: Values) -> str:
    return "" if v["n_causes"] == 1 else f" for {v['n']} of {v['n_causes']} causes"


def _hours(seconds: float) -> str:
    return f"{seconds / HOUR_S:.3g}"


def _unplayed_nodes(v: Values) -> str:
    why = "no cause alone is seen to"
    if v["p_chance"] is not None:
        why = (
            "those worse in one half of the window are not seen to be in the other"
            f" (p = {v['p_chance']:.2g})"
        )
    return (
        f"counts that differ between nodes as by a gamma law of shape {v['shape']:.3g}; the block"
        f" has equal nodes, because it does not last: {why}."
    )


FITTING: dict[str, str | Callable[[Values], str]] = {
    # the log and its window
    "faults_outside_window": "{n} faults lie outside the window and are left out.",
    "faults_of_down_nodes": (
        "{n} faults began while their node was down: each is one with the earlier fault, under its"
        " cause."
    ),
    "faults_without_end": (
        "{n} faults have no end, but their node failed again later: they count in rates and not in"
        " repairs."
    ),
    "faults_before_window": (
        "{n} faults began before the window: their nodes are down at first, and they count in no"
        " rate and no repair (left truncated)."
    ),
    "faults_open_at_end": (
        "{n} faults were open when the window ended: their repairs are right censored."
    ),
    "causes_joined": "The {n_joined} rarest of {n_causes} causes are joined into one.",
    # the rate over time
    "rate_drifts": lambda v: (
        f"The log is not stationary: {_per_day(v)} faults a day in windows of 30 days (one rate:"
        f" {_p(v['p_constant'])}; trend: {v['trend_z']:+.1f} standard deviations,"
        f" {_p(v['p_trend'])}). A constant rate is an average over days that differ."
    ),
    "rate_constant": lambda v: (
        f"No drift is seen: {_per_day(v)} faults a day in windows of 30 days"
        f" (one rate: {_p(v['p_constant'])}; trend: {_p(v['p_trend'])})."
    ),
    "rate_wanders": _rate_wanders,
    "windows_vary_by_chance": "the windows vary no more than a constant rate makes them",
    "windows_too_few": "{n} windows cannot tell one; {n_needed} are needed",
    "neighbours_unlike": "{correlation:.2f} between neighbours is not significant in {n} windows",
    "neighbours_alike": "significant in {n} windows",
    "days_alike": lambda v: (
        f"Days resemble the days before them: {v['n']} of {v['n_lags']} lags are outside what"
        f" independent days show ({_p(v['p'])})."
        f"{' Drift alone does that too.' if v['drifts'] else ''}"
    ),
    # nodes
    "nodes_equal": lambda v: (
        "Nodes do not differ more than chance: variance / mean of their counts is"
        f" {v['ratio']:.2f} ({_p(v['p'])})."
    ),
    "nodes_unequal": lambda v: (
        f"The counts of nodes are overdispersed: variance / mean is {v['ratio']:.2f}, and"
        f" 1 for equal nodes ({_p(v['p'])}); gamma mixture of shape {v['shape']:.2g}"
        f" ({v['low']:.2g} to {v['high']:.2g})."
    ),
    "worst_nodes": (
        "The 5 % of nodes with most faults hold {share:.1%} of them. Faults that come in bursts on"
        " one node look the same as bad nodes: only later days tell."
    ),
    "nodes_unknown": "{n} faults without a known node count in rates, and not between nodes.",
    # times between faults, and repairs
    "gaps_too_few": "Too few nodes failed twice to fit a law of the time between faults.",
    "repaired_fail": lambda v: (
        f"A node that was repaired fails {'more' if v['ratio'] > 1 else 'less'} often than the"
        f" fleet, {v['ratio']:.1f} times its rate: repairs that do not hold, worse nodes, or days"
        " of many faults."
    ),
    "gaps_not_exponential": _gaps_not_exponential,
    "repairs_too_few": "Too few repairs are known to fit a law of them.",
    "repairs_heavy_tailed": lambda v: (
        f"Repairs are heavy-tailed: median {v['median_s'] / DAY_S:.2g} d, mean of those that ended"
        f" {v['mean_s'] / DAY_S:.2g} d, longest {v['longest_s'] / DAY_S:.3g} d; the longer one"
        f" lasts, the longer it will (Weibull shape {v['shape']:.2f}, at most {v['high']:.2f})."
        " An exponential law of the same mean is too short."
    ),
    "repair_law_untested": lambda v: (
        f"Of the repair laws, {v['law']} is used: too few are known to test; {_others(v)}."
    ),
    "repair_law_fits": lambda v: f"Of the repair laws, {v['law']} fits ({_p(v['p'])}).",
    "repair_law_fits_badly": lambda v: (
        f"Of the repair laws, {v['law']} does not fit well, though {_others(v)} ({_p(v['p'])})."
    ),
    "repairs_as_seen": lambda v: (
        f"Repairs are played as they were seen{_of_causes(v)}, because no law has their mean:"
        f" {_hours(v['law_mean_s'])} h by {v['law']}, {_hours(v['seen_mean_s'])} h seen"
        f"{'' if v['n_causes'] == 1 else ' (' + v['cause'] + ')'}."
    ),
    # what a published row does not say
    "row_assumed": "{field}: {value} ({framework})",
    "row_as_catalogue": lambda v: (
        f"{', '.join(v['fields'])}: as {v['model']} has it in the catalogue"
    ),
    # how near a simulated figure must be
    "within_absolute": "within {within:g}",
    "within_share": "within {share:.1%}",
    "within_of_exact": "within {within:g} of {exact:g} (closed form {closed_form:.4f})",
    "within_of_range": "{low:g} to {high:g}, within {within:g}",
    "within_of_best_interval": (
        "within {within:g} of the best interval, d/M from {least_ratio:g} to {largest_ratio:g}"
    ),
    "within_range_of_runs": (
        "published inside the 95 % range of runs, {narrowest} to {widest} wide"
    ),
    "at_least": "at least {least:g}",
    "p_above": "p > {least:g}",
    "z_within": "|z| <= {most:g}",
    # what no engine plays
    "unplayed_gaps": lambda v: (
        f"the time between faults of a node as {v['law']} ({v['shape_name']} {v['shape']:.3g},"
        f" scale {v['scale_s'] / DAY_S:.4g} d); the block has expon at the rate of the fleet."
        " Unlike nodes and months look so too."
    ),
    "unplayed_wander": lambda v: (
        f"a rate that wanders by month, {v['rate_per_node_s'] * 1000 * DAY_S:.3g} / 1000 node-days"
        f" times a gamma multiplier of shape {v['shape']:.3g}, correlation"
        f" {v['correlation']:.2g}, per 30 d; the block has the constant mean."
    ),
    "unplayed_nodes": _unplayed_nodes,
    "unplayed_bad_nodes": (
        "nodes that are bad in several causes at once; the block has each cause apart."
    ),
}
