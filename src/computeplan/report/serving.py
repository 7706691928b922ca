"""What is said of fleets that serve a model: the answer, a table by chip, layouts and notes.

Long because the document for JSON says all that the tables say, and stands beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from computeplan.fleet.search import Simulated
from computeplan.fleet.sizes import METERS
from computeplan.physics.serving.steps import FIRST_TOKEN_S
from computeplan.planner.serving import By, Fleet, Refused, ServingPlan, lacking
from computeplan.report.choices import Language
from computeplan.report.table import Table
from computeplan.report.words import phrase, sentence, sentences
from computeplan.units import DAY_S, KWH_J

__all__ = [
    "answer",
    "as_document",
    "chips_table",
    "faster",
    "layouts_table",
    "reasons",
    "remarks",
    "shortage",
]

MOST_LAYOUTS = 10
WH_J = 3600.0
BY: dict[By, str] = {
    "cost": "serve_by_cost",
    "energy": "serve_by_energy",
    "carbon": "serve_by_carbon",
    "chips": "serve_by_chips",
}
LACKS = {
    "rent": "serve_lacks_rent",
    "exchange": "serve_lacks_exchange",
    "electricity": "serve_lacks_electricity",
    "watts": "serve_lacks_watts",
    "carbon": "serve_lacks_carbon",
}
COUNTED = {
    "cost": "serve_counted_cost",
    "energy": "serve_counted_energy",
    "carbon": "serve_counted_carbon",
    "chips": "serve_counted_chips",
}
OF_CHIP = (
    "serve_chip",
    "serve_layout",
    "serve_chips",
    "serve_ttft",
    "serve_tpot",
    "serve_wh",
    "serve_instances",
    "serve_j",
    "serve_cost_tokens",
    "serve_cost_day",
    "serve_kg_tokens",
    "serve_kg_day",
)
OF_LAYOUT = ("serve_layout", "serve_engine", "serve_rate", "serve_per_chip", "serve_bound")


def answer(plan: ServingPlan, language: Language = "en") -> list[str]:
    """Return the answer: which chip and how many, with the band; or the mixed fleet."""
    best, mix = plan.best, plan.mix
    by = phrase(BY[plan.by], language)
    told = []
    if mix is not None and len(mix.parts) > 1:
        parts = [
            phrase("serve_mix_part", language, n_chips=f"{part.n_chips:,}", chip=part.chip)
            for part in mix.parts
        ]
        told.append(
            phrase(
                "serve_mix_answer",
                language,
                parts=" + ".join(parts),
                counted=_counted(plan, mix.counted, language),
                shares=" : ".join(f"{100 * part.share:.0f}" for part in mix.parts),
                efficiency=f"{mix.efficiency:g}",
            )
        )
    if best is None:
        return told
    told.append(
        phrase(
            "serve_answer",
            language,
            n_chips=f"{best.n_chips:,}",
            chip=best.chip,
            low=_count(best.low_chips),
            high=_count(best.high_chips),
            n_instances=f"{best.n_instances:,}",
            n_spares=f"{best.n_spares:,}",
            each=best.best.n_chips,
            layout=_named(best),
            by=by,
            n=len(plan.fleets),
        )
    )
    return told


def shortage(plan: ServingPlan, language: Language = "en") -> str:
    """Return why all chips there are do not hold the load, and what does; nothing if they do."""
    if plan.mix is None or plan.mix.parts:
        return ""
    peak = plan.question.mean_per_s * plan.question.peak
    if plan.mix.most_per_s > 0:
        most = _short(plan.mix.most_per_s)
        told = phrase("serve_mix_short", language, most=most, peak=_short(peak))
    else:
        instances = tuple(
            phrase(
                "serve_mix_instance", language, each=one.best.n_chips, chip=one.chip, most=one.most
            )
            for one in plan.fleets
        )
        has_room = plan.mix.most_unspared_per_s > 0
        told = phrase(
            "serve_mix_none", language, instances=instances, has_room=has_room, peak=_short(peak)
        )
    chips = ", ".join(f"{one.chip}:{one.n_chips}" for one in plan.fleets)
    if plan.mix.most_unspared_per_s < peak:
        helps = phrase("serve_mix_do", language, chips=chips)
    else:
        helps = phrase(
            "serve_mix_unspared",
            language,
            most=_short(plan.mix.most_unspared_per_s),
            availability=f"{plan.question.reliability.availability:g}",
            chips=chips,
        )
    return f"{told} {helps}" if language == "en" else f"{told}{helps}"


def _counted(plan: ServingPlan, counted: float, language: Language) -> str:
    value = counted / WH_J if plan.by == "energy" else counted
    n = f"{value:,.0f}" if plan.by == "chips" else _short(value)
    return phrase(COUNTED[plan.by], language, n=n, currency=plan.question.currency)


def chips_table(plan: ServingPlan, *, language: Language = "en") -> Table:
    """Return a row for every chip that holds the load, what the others lack below."""
    question = plan.question
    title = phrase(
        "serve_title",
        language,
        model=question.model.name,
        mean=_short(question.mean_per_s),
        peak=_short(question.mean_per_s * question.peak),
        n_in=f"{question.load.input_tokens.mean:,.0f}",
        n_out=f"{question.load.output_tokens.mean:,.0f}",
    )
    heads = (phrase(code, language, currency=question.currency) for code in OF_CHIP)
    rows = [_row(one) for one in plan.fleets]
    return Table(title, tuple(heads), tuple(rows))


def _row(one: Fleet) -> tuple[str, ...]:
    low_j, high_j = one.request_band_j()
    cost, carbon = one.of_tokens(one.price.whole), one.of_tokens(one.carbon_kg)
    return (
        one.chip,
        f"{one.best.layout}\n{one.best.precision}",
        f"{one.n_chips:,}\n{_band(one.low_chips, one.high_chips, _count)}",
        f"{_number(one.ttft_s.value)}\n{_band(one.ttft_s.low, one.ttft_s.high)}",
        f"{_number(1e3 * one.tpot_s.value)}\n{_band(1e3 * one.tpot_s.low, 1e3 * one.tpot_s.high)}",
        f"{_number(one.request_j() / WH_J)}\n{_band(low_j / WH_J, high_j / WH_J)}",
        f"{one.n_instances:,} + {one.n_spares:,}",
        _number(one.output_token_j()),
        _pair(cost),
        _short(one.price.whole),
        _pair(carbon),
        _short(one.carbon_kg),
    )


def layouts_table(one: Fleet, *, language: Language = "en") -> Table:
    """Return the best layouts of a chip whose largest rate is known."""
    every = sorted((one.search.best, *one.search.others), key=lambda each: -each.per_chip_s)
    heads = tuple(phrase(code, language) for code in OF_LAYOUT)
    rows = tuple(_layout_row(each) for each in every[:MOST_LAYOUTS])
    counts = phrase(
        "serve_counts",
        language,
        n_layouts=one.search.n_layouts,
        n_tried=one.search.n_tried,
        n_searched=one.search.n_searched,
    )
    return Table(phrase("serve_layouts_title", language, chip=one.chip), heads, rows, (counts,))


def _layout_row(each: Simulated) -> tuple[str, ...]:
    found = each.candidate
    return (
        f"{found.layout}",
        f"{found.compiled.engine} {found.precision}",
        _number(each.rate.per_s),
        _number(each.per_chip_s),
        _number(found.bound_per_s / found.n_chips),
    )


def reasons(plan: ServingPlan, language: Language = "en") -> list[str]:
    """Return why chips do not hold the load, a sentence each."""
    told = []
    for one in plan.chips:
        if isinstance(one, Refused):
            why = sentence(one.why, language).rstrip(".").removeprefix(f"{one.chip}: ")
            told.append(
                phrase("serve_why", language, chip=one.chip, why=why.removeprefix(f"{one.chip} "))
            )
    return told


def faster(plan: ServingPlan, language: Language = "en") -> list[str]:
    """Return engines that take fewer chips than those chosen, and of which less is known."""
    return [
        phrase(
            "serve_faster",
            language,
            chip=one.chip,
            engine=f"{other.engine} {other.precision}",
            n=f"{other.n_chips:,}",
            chosen=f"{one.best.compiled.engine} {one.best.precision}",
        )
        for one in plan.fleets
        for other in sorted(one.others, key=lambda each: each.n_chips)[:1]
        if other.n_chips < one.n_chips
    ]


def remarks(plan: ServingPlan, language: Language = "en") -> list[str]:
    """Return what a reader must know of the answer, three sentences at most."""
    question, found = plan.question, plan.fleets
    how = "serve_how_rent" if all(one.has_rent for one in found) else "serve_how_bought"
    hows = [phrase(how, language)]
    if lacks := _unknown(plan, language):
        hows = lacks
    slo, load = question.slo, question.load
    told = [
        phrase(
            "serve_note_estimates",
            language,
            ttft_percent=f"{100 * slo.ttft_frac:g}",
            tpot_percent=f"{100 * slo.tpot_frac:g}",
            meter=phrase("serve_meter_it", language),
            site=question.site.name,
            pue=f"{question.site.pue:g}",
            how=" ".join(hows) if language == "en" else "".join(hows),
        )
    ]
    borrowed = [one.chip for one in found if one.known != "chip"]
    if borrowed:
        told.append(phrase("serve_note_borrowed", language, chips=", ".join(borrowed)))
    told.append(
        phrase(
            "serve_note_derating",
            language,
            derating=f"{question.derating:g}",
            peak=f"{question.peak:g}",
            cv_in=f"{load.input_tokens.cv:g}",
            cv_out=f"{load.output_tokens.cv:g}",
        )
    )
    return told


def _unknown(plan: ServingPlan, language: Language) -> list[str]:
    """Return of which chips money is not known, or what was asked for, and what is missing."""
    asked = plan.question.by
    whats: list[By] = ["cost"] if asked in ("cost", "chips") else ["cost", asked]
    told = []
    for by in whats:
        lacks = [(one.chip, lacking(one, by)) for one in plan.fleets]
        chips = [
            f"{chip} ({', '.join(phrase(LACKS[part], language) for part in parts)})"
            for chip, parts in lacks
            if parts
        ]
        if chips:
            what = phrase(BY[by], language)
            what = what[:1].upper() + what[1:]
            told.append(phrase("serve_how_unknown", language, what=what, chips=", ".join(chips)))
    if plan.by != plan.question.by:
        told.append(phrase("serve_by_number", language))
    return told


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
        "chip_mtbf_s": question.reliability.chip_mtbf_s,
        "repair_s": question.reliability.repair_s,
        "site": {"name": question.site.name, "pue": question.site.pue},
        "currency": question.currency,
        "by": plan.by,
        "best": None if plan.best is None else plan.best.chip,
        "chips": [_chip_document(one, language) for one in plan.chips],
        "mix": None
        if mix is None
        else {
            "efficiency": mix.efficiency,
            "counted": _finite(mix.counted),
            "most_per_s": _finite(mix.most_per_s),
            "parts": [
                {
                    "chip": part.chip,
                    "instances": part.n_instances,
                    "spares": part.n_spares,
                    "chips": part.n_chips,
                    "share": part.share,
                }
                for part in mix.parts
            ],
        },
        "notes": remarks(plan, language) if plan.best is not None else [],
    }


def _chip_document(one: Fleet | Refused, language: Language) -> dict[str, Any]:
    if isinstance(one, Refused):
        return {"chip": one.chip, "chips": None, "why": sentence(one.why, language)}
    borrowed, every = one.best.compiled.borrowed, (one.search.best, *one.search.others)
    cost, carbon = one.of_tokens(one.price.whole), one.of_tokens(one.carbon_kg)
    return {
        "chip": one.chip,
        "engine": one.best.compiled.engine,
        "precision": one.best.precision,
        "layout": one.best.layout,
        "shares": one.known,
        "shares_of": None if borrowed is None else borrowed.of,
        "chips_per_instance": one.best.n_chips,
        "instances": one.n_instances,
        "spares": one.n_spares,
        "chips": one.n_chips,
        "chips_low": _finite(one.low_chips),
        "chips_high": _finite(one.high_chips),
        "instance_requests_per_s": one.search.best.rate.per_s,
        "ttft_s": _finite(one.ttft_s.value),
        "ttft_low_s": _finite(one.ttft_s.low),
        "ttft_high_s": _finite(one.ttft_s.high),
        "tpot_s": _finite(one.tpot_s.value),
        "tpot_low_s": _finite(one.tpot_s.low),
        "tpot_high_s": _finite(one.tpot_s.high),
        **_energy_document(one),
        "lacks": sorted({part for by in BY for part in lacking(one, by)}),
        "cost_per_day": _finite(one.price.whole),
        "cost_of_chips_per_day": _finite(one.price.chips),
        "cost_of_electricity_per_day": _finite(one.price.electricity),
        "cost_per_million_input": _finite(cost[0]),
        "cost_per_million_output": _finite(cost[1]),
        "carbon_kg_per_day": _finite(one.carbon_kg),
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
        "n_layouts": one.search.n_layouts,
        "n_simulated": one.search.n_tried,
        "layouts": [_layout_document(each) for each in every],
        "notes": sentences(one.best.compiled.notes, language),
    }


def _energy_document(one: Fleet) -> dict[str, Any]:
    low_j, high_j = one.request_band_j()
    return {
        "watts_per_chip": {meter: _finite(getattr(one.watts, meter)) for meter in METERS},
        "wh_per_request": {meter: _finite(one.request_j(meter) / WH_J) for meter in METERS},
        "wh_per_request_it_low": _finite(low_j / WH_J),
        "wh_per_request_it_high": _finite(high_j / WH_J),
        "j_per_output_token": {meter: _finite(one.output_token_j(meter)) for meter in METERS},
        "watts_error_frac": _finite(one.watts.error_frac),
        "watts_borrowed": one.watts.is_borrowed,
        "kwh_per_day": _finite(one.request_j("facility") * one.question.mean_per_s * DAY_S / KWH_J),
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


def _named(one: Fleet) -> str:
    return f"{one.best.layout}, {one.best.compiled.engine} {one.best.precision}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "∞"


def _band(low: float, high: float, told: Callable[[float], str] | None = None) -> str:
    """Return the ends of a band in a line of their own; nothing where they are not known."""
    told = told or _number
    return "" if math.isnan(low) or math.isnan(high) else f"({told(low)}-{told(high)})"


def _pair(both: tuple[float, float]) -> str:
    return "-" if math.isnan(both[0]) else f"{_number(both[0])}\n{_number(both[1])}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.3g}"


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"
