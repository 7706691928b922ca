"""How much each note weighs: what could change the answer comes first."""

from __future__ import annotations

__all__ = ["LEAST_SHOWN", "weight_of"]

LEAST_SHOWN = 30
"""Notes that weigh less are told only to whom asks for all of them."""
_UNKNOWN = 50
"""Of a note that is not in the table, such as one of a later version."""

_WEIGHTS = {
    # one of two numbers is wrong, or there is no number
    "departs_from_closed_form": 100,
    "case_failed": 95,
    "no_end": 95,
    "beyond_not_steady": 92,
    "beyond_no_closed_form": 91,
    "beyond_several_jobs": 91,
    "beyond_too_short": 91,
    # the answer holds for this run only, or for this work only
    "lacking": 90,
    "not_the_long_run": 89,
    "lacking_seldom": 53,
    "stops_without_end": 85,
    "unfinished": 82,
    "carried_on": 60,
    # cases that do not compare, and inputs that nobody has measured
    "faults_of_other_chip": 78,
    "not_like_for_like": 76,
    "faults_left_out": 74,
    "break_even": 72,
    "no_break_even": 20,
    "carbon_bases": 71,
    "chips_unused": 70,
    # what is missing
    "no_tdp": 66,
    "no_price": 64,
    "not_of_place": 63,
    "price_needs_rate": 63,
    "ranking_asked": 98,
    "ranking_beside": 49,
    "estimates_of_sites": 97,
    "service_beyond_pools": 80,
    # how speeds are known
    "service_on_pool": 59,
    "service_sized": 58,
    "service_filled_by": 59,
    "service_day": 40,
    "service_watts_of_training": 51,
    "service_no_faults": 50,
    "chip_is_estimate": 58,
    "peak_is_estimate": 57,
    "power_capped": 57,
    "mfu_above_published": 73,
    "new_in_kind": 57,
    "mfu_outside_band": 57,
    "numbers_of_other_family": 56,
    "experts_not_fitted": 56,
    "software_not_fitted": 56,
    "expert_switches": 20,
    "few_fit_without_host": 57,
    "long_sequences": 56,
    "step_rests_on": 55,
    "mfu_measured": 54,
    "products_of_other_chip": 52,
    "links_of_other_chip": 52,
    # assumptions of less effect
    "factor_unused": 48,
    "mixed_across_sites": 50,
    "mixed_over_uplink": 50,
    "mixed_efficiency": 46,
    "shrinks_in_proportion": 46,
    "tiers_alone": 44,
    "language_model_only": 43,
    "mtp_apart": 43,
    "quoted": 42,
    "estimate_of_place": 45,
    "tdp_is_estimate": 41,
    "of_place": 39,
    "varies": 47,
    "embodied_is_estimate": 45,
    "price_is_reported": 45,
    "demand_of_peak": 38,
    "no_reported_price": 62,
    "no_residual": 62,
    "battery_unused": 62,
    "start_assumed": 46,
    "batches_rounded": 40,
    "service_trace_gap": 58,
    "service_layout_beyond": 58,
    "holds_whole_nodes": 40,
    "within_error": 29,
    "watts_as_of_compute": 28,
    "training_mix": 26,
    "watts_by_state": 27,
    "exchange_rate": 25,
    # facts of cases
    "fault_rates": 10,
    "spares_needed": 11,
    "saves_at_best": 10,
    "closed_form": 9,
    "no_closed_form": 9,
    "steps": 8,
    "chips": 7,
    "mfus": 6,
    "meters": 5,
    "ranges_of_case": 12,
}


_OF_WATTS = {
    *("watts_as_of_compute", "watts_by_state", "tdp_is_estimate", "no_tdp"),
    "estimate_of_place",
}
_OF_ENERGY = {"energy", "cost", "carbon"}


def weight_of(code: str, asks: str = "time") -> int:
    """Return how much a note of this code weighs, by what cases are compared.

    Examples
    --------
    >>> weight_of("unfinished") > weight_of("watts_by_state") > weight_of("meters")
    True
    >>> weight_of("watts_by_state", "energy") > weight_of("step_rests_on", "energy")
    True
    """
    more = 50 if code in _OF_WATTS and asks in _OF_ENERGY else 0
    return _WEIGHTS.get(code, _UNKNOWN) + more
