"""What is said of fleets that serve a model: the answer, a table by chip, layouts and notes.

Long because the answer, the tables and the notes of one plan stand together.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from computeplan.fleet.mix import Mix
from computeplan.fleet.roles import Role
from computeplan.fleet.search import Simulated
from computeplan.planner.serving import Refused, ServingPlan
from computeplan.planner.serving_fleet import Fleet, SizedRole, lacking
from computeplan.planner.serving_question import By
from computeplan.report.choices import Language
from computeplan.report.table import Table
from computeplan.report.words import phrase, sentence

__all__ = [
    "BY",
    "WH_J",
    "answer",
    "carbon_of",
    "chips_table",
    "cost_of",
    "faster",
    "layouts_tables",
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
ROLES: dict[Role, str] = {"prefill": "serve_prefill", "decode": "serve_decode"}
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
    """Return the answer: which chip and how many, with the band; or the mixed fleet.

    Where each kind is enough by itself, a mix of kinds that is better stands below the best one.
    """
    best, mix = plan.best, plan.mix
    told = []
    if best is not None:
        told.append(
            phrase(
                "serve_answer",
                language,
                n_chips=f"{best.n_chips:,}",
                chip=best.chip,
                low=_count(best.low_chips),
                high=_count(best.high_chips),
                roles=phrase("serve_between_roles", language).join(
                    _answer_of(role, language) for role in best.roles
                ),
                by=phrase(BY[plan.by], language),
                n=len(plan.fleets),
            )
        )
    if mix is not None and mix.is_mixed:
        is_limited = any(one.most is not None for one in plan.fleets)
        told.insert(0 if is_limited else len(told), _mix_answer(plan, mix, language))
    return told


def _answer_of(role: SizedRole, language: Language) -> str:
    return phrase(
        "serve_answer_role",
        language,
        role=role.role,
        n_instances=f"{role.n_instances:,}",
        n_spares=f"{role.n_spares:,}",
        each=role.best.n_chips,
        layout=f"{role.best.layout}, {role.best.compiled.engine} {role.best.precision}",
    )


def _mix_answer(plan: ServingPlan, mix: Mix, language: Language) -> str:
    """Return the kinds of a mixed fleet, and how requests are shared where a role has several."""
    parts, shares = [], []
    for role in plan.question.roles:
        mine = [part for part in mix.parts if part.role == role]
        for part in mine:
            named = phrase(
                "serve_mix_part", language, n_chips=f"{part.n_chips:,}", chip=part.chip, role=role
            )
            parts.append(named)
        if len(mine) > 1:
            numbers = " : ".join(f"{100 * part.share:.0f}" for part in mine)
            shares.append(phrase("serve_mix_shares", language, role=role, shares=numbers))
    return phrase(
        "serve_mix_answer",
        language,
        parts=" + ".join(parts),
        counted=_counted(plan, mix.counted, language),
        shares=phrase("names", language).join(shares),
        efficiency=f"{mix.efficiency:g}",
    )


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
                "serve_mix_instance",
                language,
                each=sum(role.best.n_chips for role in one.roles),
                chip=one.chip,
                most=one.most,
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
    rows = [_row(one, language) for one in plan.fleets]
    return Table(title, tuple(heads), tuple(rows))


def _row(one: Fleet, language: Language) -> tuple[str, ...]:
    low_j, high_j = one.request_band_j()
    cost, carbon = one.of_tokens(cost_of), one.of_tokens(carbon_of)
    layouts = [f"{_role_of(role, language)}{role.best.layout}" for role in one.roles]
    return (
        one.chip,
        "\n".join([*layouts, one.precision]),
        f"{one.n_chips:,}\n{_band(one.low_chips, one.high_chips, _count)}",
        f"{_number(one.ttft_s.value)}\n{_band(one.ttft_s.low, one.ttft_s.high)}",
        f"{_number(1e3 * one.tpot_s.value)}\n{_band(1e3 * one.tpot_s.low, 1e3 * one.tpot_s.high)}",
        f"{_number(one.request_j() / WH_J)}\n{_band(low_j / WH_J, high_j / WH_J)}",
        "\n".join(f"{role.n_instances:,} + {role.n_spares:,}" for role in one.roles),
        _number(one.output_token_j()),
        _pair(cost),
        _short(one.price.whole),
        _pair(carbon),
        _short(one.carbon_kg),
    )


def _role_of(role: SizedRole, language: Language) -> str:
    """Return the name of a role before what it has; nothing where instances do all."""
    return "" if role.role == "both" else f"{phrase(ROLES[role.role], language)} "


def cost_of(role: SizedRole) -> float:
    """Return the money of a day."""
    return role.price.whole


def carbon_of(role: SizedRole) -> float:
    """Return the carbon of a day. [kg]"""
    return role.carbon_kg


def layouts_tables(one: Fleet, *, language: Language = "en") -> list[Table]:
    """Return the best layouts of a chip whose largest rate is known, a table for each role."""
    heads = tuple(phrase(code, language) for code in OF_LAYOUT)
    tables = []
    for role in one.roles:
        search = role.search
        every = sorted((search.best, *search.others), key=lambda each: -each.per_chip_s)
        counts = phrase(
            "serve_counts",
            language,
            n_layouts=search.n_layouts,
            n_tried=search.n_tried,
            n_searched=search.n_searched,
        )
        title = phrase(
            "serve_layouts_title", language, chip=one.chip, role=_role_of(role, language)
        )
        rows = tuple(_layout_row(each) for each in every[:MOST_LAYOUTS])
        tables.append(Table(title, heads, rows, (counts,)))
    return tables


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
            chosen=f"{one.engine} {one.precision}",
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
            drafts=_drafts(plan, language),
        )
    )
    return told


def _drafts(plan: ServingPlan, language: Language) -> str:
    """Return what is drafted and accepted a step; nothing where nothing is."""
    drafts = plan.question.speculation
    if drafts is None:
        return ""
    n, accepted = f"{drafts.draft:g}", f"{drafts.accepted:g}"
    return phrase("serve_note_drafts", language, draft=n, accepted=accepted)


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
