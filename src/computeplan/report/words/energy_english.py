"""What is said of published energy and of often-quoted claims, in English, by code."""

from __future__ import annotations

__all__ = ["ENERGY", "ENERGY_PHRASES"]

ENERGY: dict[str, str] = {
    "energy_row_wrong": "the row cannot be read: {why}",
    "energy_meter_unknown": "the meter '{meter}' is none that is known; known: {known}",
    "energy_key_missing": "{key} is missing",
    "energy_key_wrong": "{key} cannot be {given}",
    "energy_input_refused": "{key}: {why}",
    "energy_no_formula": "no formula gives this quantity",
    "energy_lowest_cap": "the lowest cap: no point below it to predict it from",
    "energy_few_caps": "fewer than three caps: none can be left out",
    "energy_erratum": "erratum: {why}",
}

ENERGY_PHRASES: dict[str, str] = {
    "energy_title": "Published energy",
    "energy_row": "row",
    "energy_meter": "meter",
    "energy_quantity": "quantity",
    "energy_published": "published",
    "energy_ours": "ours",
    "energy_error": "error",
    "energy_within": "within\nthe gate",
    "energy_yes": "yes",
    "energy_no": "NO",
    "energy_n_within": "{n} of {n_all} are within their gate; the others are shown, and gate"
    " nothing",
    "energy_nothing": "Nothing of these rows can be computed, so nothing is compared.",
    "energy_errors": "error: ours over published, less one; of caps the difference of speeds",
    "energy_gates": "Gates, and what set the models; that gates nothing itself",
    "energy_gate": "gate",
    "energy_most": "at most",
    "energy_n_gated": "gated",
    "energy_worst": "largest\nerror",
    "energy_set_by": "set by",
    "energy_own_inputs": "the row's own inputs",
    "energy_note_of": "{id}, {quantity}: {why}",
    "claims_title": "Often-quoted figures, like for like",
    "claims_claim": "claim",
    "claims_claimed": "claimed",
    "claims_like": "like for like",
    "claims_range": "range",
    "claims_verdict": "verdict",
    "claims_holds": "holds",
    "claims_contested": "contested",
    "claims_overstated": "overstated",
    "claims_understated": "understated",
    "claims_figures": "What stands behind",
    "claims_figure": "figure",
    "claims_value": "value",
    "claims_aside": "beside it",
    "claims_simulated": "simulated",
    "claims_rule": "verdict: overstated above the range, understated below it ({slack:.0%} for"
    " rounding), contested inside a range wider than {widest:g} x, else holds",
}
