"""Fleets that serve a model as plain data, for JSON: all that the tables say, in SI.

What instances of a role are and take stands in the list of roles; of a fleet whose instances serve
requests whole, beside the sums too.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from computeplan.fleet.mix import Mix
from computeplan.fleet.search import Simulated
from computeplan.fleet.sizes import METERS
from computeplan.physics.serving.steps import FIRST_TOKEN_S
from computeplan.planner.serving import Refused, ServingPlan
from computeplan.planner.serving_fleet import Fleet, SizedRole, lacking
from computeplan.report.choices import Language
from computeplan.report.serving import BY, WH_J, carbon_of, cost_of, remarks
from computeplan.report.words import sentence, sentences
from computeplan.units import DAY_S, KWH_J

__all__ = ["as_document"]


def as_document(plan: ServingPlan, *, language: Language = "en") -> dict[str, Any]:
    """Return a plan as plain data for JSON, in SI, with notes in a language."""
    question, mix = plan.question, plan.mix
    return {
        "model": question.model.name,
        "requests_per_s": question.mean_per_s,
        "peak_factor": question.peak,
        "input_tokens": question.load.input_tokens.mean,
        "output_tokens": question.load.output_tokens.mean,
        "input_cv": question.load.input_tokens.cv,
        "output_cv": question.load.output_tokens.cv,
        "cached_frac": question.load.cached_frac,
        "slo": {
            "ttft_s": _finite(question.slo.ttft_s),
            "ttft_frac": question.slo.ttft_frac,
            "tpot_s": _finite(question.slo.tpot_s),
            "tpot_frac": question.slo.tpot_frac,
            "availability": question.reliability.availability,
        },
        "first_token_s": FIRST_TOKEN_S,
        "derating": question.derating,
        "disaggregated": len(question.roles) > 1,
        "speculation": None if question.speculation is None else asdict(question.speculation),
        "chip_mtbf_s": question.reliability.chip_mtbf_s,
        "repair_s": question.reliability.repair_s,
        "site": {"name": question.site.name, "pue": question.site.pue},
        "currency": question.currency,
        "by": plan.by,
        "best": None if plan.best is None else plan.best.chip,
        "chips": [_chip_document(one, language) for one in plan.chips],
        "mix": None if mix is None else _mix_document(mix),
        "notes": remarks(plan, language) if plan.best is not None else [],
    }


def _mix_document(mix: Mix) -> dict[str, Any]:
    return {
        "efficiency": mix.efficiency,
        "counted": _finite(mix.counted),
        "most_per_s": _finite(mix.most_per_s),
        "parts": [
            {
                "chip": part.chip,
                "role": part.role,
                "instances": part.n_instances,
                "spares": part.n_spares,
                "chips": part.n_chips,
                "share": part.share,
            }
            for part in mix.parts
        ],
    }


def _chip_document(one: Fleet | Refused, language: Language) -> dict[str, Any]:
    if isinstance(one, Refused):
        return {"chip": one.chip, "chips": None, "why": sentence(one.why, language)}
    cost, carbon = one.of_tokens(cost_of), one.of_tokens(carbon_of)
    roles = [_role_document(role, language) for role in one.roles]
    return {
        "chip": one.chip,
        **(roles[0] if len(roles) == 1 else {}),
        "engine": one.engine,
        "precision": one.precision,
        "chips": one.n_chips,
        "chips_low": _finite(one.low_chips),
        "chips_high": _finite(one.high_chips),
        "ttft_s": _finite(one.ttft_s.value),
        "ttft_low_s": _finite(one.ttft_s.low),
        "ttft_high_s": _finite(one.ttft_s.high),
        "tpot_s": _finite(one.tpot_s.value),
        "tpot_low_s": _finite(one.tpot_s.low),
        "tpot_high_s": _finite(one.tpot_s.high),
        **_energy_document(one),
        "j_per_output_token": {meter: _finite(one.output_token_j(meter)) for meter in METERS},
        "kwh_per_day": _finite(one.request_j("facility") * one.question.mean_per_s * DAY_S / KWH_J),
        "lacks": sorted({part for by in BY for part in lacking(one, by)}),
        **_day_document(one),
        "cost_per_million_input": _finite(cost[0]),
        "cost_per_million_output": _finite(cost[1]),
        "carbon_kg_per_million_input": _finite(carbon[0]),
        "carbon_kg_per_million_output": _finite(carbon[1]),
        "other_engines": [
            {
                "engine": other.engine,
                "precision": other.precision,
                "layout": other.layout,
                "shares": other.known,
                "chips": other.n_chips,
            }
            for other in one.others
        ],
        "roles": [{"role": role.role, **each} for role, each in zip(one.roles, roles, strict=True)],
    }


def _role_document(one: SizedRole, language: Language) -> dict[str, Any]:
    """Return what the instances of a role are, and what they take."""
    borrowed, every = one.best.compiled.borrowed, (one.search.best, *one.search.others)
    return {
        "layout": one.best.layout,
        "shares": "chip" if borrowed is None else borrowed.known,
        "shares_of": None if borrowed is None else borrowed.of,
        "chips_per_instance": one.best.n_chips,
        "instances": one.n_instances,
        "spares": one.n_spares,
        "chips": one.n_chips,
        "chips_low": _finite(one.low_chips),
        "chips_high": _finite(one.high_chips),
        "instance_requests_per_s": one.search.best.rate.per_s,
        "watts_per_chip": {meter: _finite(getattr(one.watts, meter)) for meter in METERS},
        "watts_error_frac": _finite(one.watts.error_frac),
        "watts_borrowed": one.watts.is_borrowed,
        **_energy_document(one),
        **_day_document(one),
        "n_layouts": one.search.n_layouts,
        "n_simulated": one.search.n_tried,
        "layouts": [_layout_document(each) for each in every],
        "notes": sentences(one.best.compiled.notes, language),
    }


def _energy_document(one: Fleet | SizedRole) -> dict[str, Any]:
    low_j, high_j = one.request_band_j()
    return {
        "wh_per_request": {meter: _finite(one.request_j(meter) / WH_J) for meter in METERS},
        "wh_per_request_it_low": _finite(low_j / WH_J),
        "wh_per_request_it_high": _finite(high_j / WH_J),
    }


def _day_document(one: Fleet | SizedRole) -> dict[str, Any]:
    return {
        "cost_per_day": _finite(one.price.whole),
        "cost_of_chips_per_day": _finite(one.price.chips),
        "cost_of_electricity_per_day": _finite(one.price.electricity),
        "carbon_kg_per_day": _finite(one.carbon_kg),
    }


def _layout_document(each: Simulated) -> dict[str, Any]:
    found = each.candidate
    return {
        "layout": found.layout,
        "engine": found.compiled.engine,
        "precision": found.precision,
        "chips": found.n_chips,
        "requests_per_s": each.rate.per_s,
        "bound_per_s": found.bound_per_s,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
