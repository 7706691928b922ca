"""``computeplan sites``: what the catalogue knows of places, and from where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.table import Table

from computeplan.cli.catalogue import console, print_json
from computeplan.cli.options import json_option, language_option
from computeplan.errors import ScenarioError
from computeplan.report.choices import Language
from computeplan.report.words import phrase
from computeplan.specs.catalogue.facts import Fact, facts_in
from computeplan.specs.catalogue.place_lookup import (
    Found,
    carbon_at,
    climate_at,
    find_place,
    place_aliases,
    place_names,
    price_at,
    pue_at,
    residual_carbon_at,
    sources_of_places,
    water_at,
)
from computeplan.specs.catalogue.places import BANDS, LOAD_FACTOR, Hours, Place, Season
from computeplan.specs.money import Money
from computeplan.units import KWH_J

__all__ = ["sites"]

_KINDS = {
    "country": "place_country",
    "province": "place_province",
    "state": "place_state",
    "grid": "place_grid",
    "hub": "place_hub",
    "cluster": "place_cluster",
    "site": "place_site",
}
_WHAT = {
    "measured": "place_measured",
    "target": "place_target",
    "usual": "place_usual",
    "paid": "place_paid",
    "press": "place_press",
    "aim": "place_aim",
}
_EVIDENCE = {
    "read": "place_by_read",
    "secondary": "place_by_secondary",
    "estimate": "place_by_estimate",
    "recalled": "place_by_recalled",
}
_FLOATS = {
    "energy": "place_floats_energy",
    "user": "place_floats_user",
    None: "place_floats_unsaid",
}
_UNITS = {
    "pue": "",
    "carbon": "kg/J",
    "residual_carbon": "kg/J",
    "on_site": "L/J",
    "off_site": "L/J",
}
_G_PER_KWH = 1e3 * KWH_J


@click.group("sites", invoke_without_command=True)
@json_option
@language_option
@click.pass_context
def sites(context: click.Context, as_json: bool, language: Language) -> None:
    """List the places of the catalogue, or show one with its sources."""
    context.obj = as_json, language
    if context.invoked_subcommand is None:
        _print_list(language, as_json=as_json)


@sites.command("list")
@json_option
@language_option
@click.pass_obj
def _list(before: tuple[bool, Language], as_json: bool, language: Language) -> None:
    """List all places."""
    _print_list(_said(before, language), as_json=as_json or before[0])


@sites.command("show")
@click.argument("name")
@json_option
@language_option
@click.pass_obj
def _show(before: tuple[bool, Language], name: str, as_json: bool, language: Language) -> None:
    """Show every figure of one place, with its source."""
    try:
        place = find_place(name)
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(str(error)) from None
    if as_json or before[0]:
        print_json({**place.model_dump(mode="json"), **_more(place)})
    else:
        _print_one(place, _said(before, language))


def _said(before: tuple[bool, Language], language: Language) -> Language:
    """Return the language that was chosen before the command's name, or behind it."""
    chosen = click.get_current_context().get_parameter_source("language")
    return before[1] if chosen is click.core.ParameterSource.DEFAULT else language


# JSON --------------------------------------------------------------------------------------------


def _summary(place: Place) -> dict[str, Any]:
    """Return a row of the list."""
    return {
        "name": place.name,
        "title": place.title,
        "chinese": place.chinese,
        "kind": place.kind,
        "hub": place.hub,
        "aliases": place_aliases(place.name),
        "holds": {name: _holds(name, found) for name, found in _found(place).items() if found},
    }


def _found(place: Place) -> dict[str, Found | None]:
    """Return what holds at a place, by name."""
    return {
        "pue": pue_at(place),
        "carbon": carbon_at(place),
        "residual_carbon": residual_carbon_at(place),
        "posted": price_at(place, "posted"),
        "contracted": price_at(place, "contracted"),
        "on_site": water_at(place, "on_site"),
        "off_site": water_at(place, "off_site"),
    }


def _holds(name: str, found: Found) -> dict[str, Any]:
    fact = found.fact
    is_money = isinstance(fact.point, Money)
    limits = None if fact.low is None else [_bare(fact.low), _bare(fact.high)]
    return {
        "value": _bare(fact.point),
        "limits": limits,
        "unit": f"{fact.point.currency}/J" if is_money else _UNITS[name],
        "when": fact.when,
        "what": found.what,
        "of": found.place.name,
        "estimate": fact.is_estimate,
    }


def _bare(value: Any) -> float:
    return float(value.amount if isinstance(value, Money) else value)


def _more(place: Place) -> dict[str, Any]:
    """Return what JSON of one place says beside its fields."""
    used = {key: source.model_dump(mode="json") for key, source in _sources_of(place).items()}
    return {**_summary(place), "sources": used}


def _sources_of(place: Place) -> dict[str, Any]:
    keys = [fact.source for _, fact in facts_in(place)]
    keys += [rule.source for rule in place.hours.values()]
    keys += [town.source for town in place.climate.values()]
    found = _found(place).values()
    keys += [one.fact.source for one in found if one is not None]
    known = sources_of_places()
    return {key: known[key] for key in dict.fromkeys(filter(None, keys))}


# The list ----------------------------------------------------------------------------------------


def _print_list(language: Language, *, as_json: bool) -> None:
    places = [find_place(name) for name in place_names()]
    if as_json:
        print_json([_summary(place) for place in places])
        return
    out = console()
    table = Table(box=None, pad_edge=False, header_style="")
    for code in ("place", "place_chinese", "place_kind"):
        table.add_column(phrase(code, language), no_wrap=code == "place")
    for code in ("place_carbon", "place_pue", "place_posted", "place_contracted"):
        table.add_column(phrase(code, language), justify="right", no_wrap=True)
    for place in places:
        found = _found(place)
        cells = [_cell(found["carbon"], _G_PER_KWH), _cell(found["pue"], 1.0)]
        cells += [_cell(found[name], KWH_J) for name in ("posted", "contracted")]
        table.add_row(place.name, place.chinese, phrase(_KINDS[place.kind], language), *cells)
    out.print(table)
    command = "computeplan sites show NAME"
    foot = phrase("place_foot", language, load=f"{LOAD_FACTOR:.0%}", command=command)
    out.print(f"\n{foot}")


def _cell(found: Found | None, per_unit: float) -> str:
    return "-" if found is None else _told(found.fact, per_unit)


def _told(fact: Fact[Any], per_unit: float) -> str:
    """Return a value in the unit of the list, with the currency of money."""
    point = fact.point
    money = f" {point.currency}" if isinstance(point, Money) else ""
    digits = ".4g" if per_unit == _G_PER_KWH else ".3g"
    return f"{'~' if fact.is_estimate else ''}{_bare(point) * per_unit:{digits}}{money}"


# One ---------------------------------------------------------------------------------------------


def _print_one(place: Place, language: Language) -> None:
    out = console()
    numbers = {key: i for i, key in enumerate(_sources_of(place), start=1)}
    out.print(f"{place.name}  {place.title}  {place.chinese}")
    for line in _above(place, language):
        out.print(line)
    out.print(f"\n{phrase('place_holds', language)}")
    holds = Table(box=None, pad_edge=False, show_header=False)
    for row in _rows(place, numbers, language):
        holds.add_row(*row)
    out.print(holds)
    table = Table(box=None, pad_edge=False, header_style="")
    for code in ("place_figure", "place_value", "place_when", "place_evidence"):
        table.add_column(phrase(code, language), no_wrap=code != "place_value")
    table.add_column(phrase("place_note", language), overflow="fold")
    for path, fact in facts_in(place):
        evidence = phrase(_EVIDENCE[fact.confidence], language) + _number(fact.source, numbers)
        table.add_row(path, _as_written(fact, language), fact.when, evidence, fact.note)
    out.print()
    out.print(table)
    for name, rule in place.hours.items():
        for line in _hours(name, rule, numbers, language):
            out.print(line)
    for line in _temperatures(place, numbers, language):
        out.print(line)
    out.print(f"\n{phrase('place_sources', language)}")
    for key, source in _sources_of(place).items():
        address = f"\n      {source.url}" if source.url else ""
        out.print(f"  [{numbers[key]}] {source.title}{address}", soft_wrap=True)


def _number(source: str | None, numbers: Mapping[str, int]) -> str:
    return "" if source is None else f" [{numbers[source]}]"


def _above(place: Place, language: Language) -> Iterator[str]:
    yield phrase("place_is", language, kind=phrase(_KINDS[place.kind], language))
    if also := place_aliases(place.name):
        yield phrase("place_also", language, names=phrase("names", language).join(also))
    if place.hub:
        yield phrase("place_of_hub", language, hub=place.hub)
    if place.clusters:
        names = phrase("names", language).join(place.clusters)
        yield phrase("place_clusters", language, names=names)
    if place.otherwise:
        yield phrase("place_otherwise", language, name=place.otherwise)


def _rows(place: Place, numbers: Mapping[str, int], language: Language) -> Iterator[list[str]]:
    """Yield what holds here: name, value with its limits, and where it is from."""
    found = _found(place)
    carbon, load = found["carbon"], f"{LOAD_FACTOR:.0%}"
    basis = "" if carbon is None else carbon.place.carbon_basis
    rows = (
        ("pue", phrase("place_row_pue", language), 1.0, ""),
        ("carbon", phrase("place_row_carbon", language, basis=basis), _G_PER_KWH, " g/kWh"),
        ("residual_carbon", phrase("place_row_residual", language), _G_PER_KWH, " g/kWh"),
        ("posted", phrase("place_row_posted", language), KWH_J, "/kWh"),
        ("contracted", phrase("place_row_contracted", language), KWH_J, "/kWh"),
        ("on_site", phrase("place_row_on_site", language), KWH_J, " L/kWh"),
        ("off_site", phrase("place_row_off_site", language), KWH_J, " L/kWh"),
    )
    for key, head, per_unit, unit in rows:
        one = found[key]
        if one is None:
            continue
        about = [one.fact.when] if one.fact.when else []
        if one.what in _WHAT:
            about.append(phrase(_WHAT[one.what], language))
        if one.what == "posted":
            about.append(phrase("place_with_demand", language, load=load))
        if one.place != place:
            about.append(phrase("place_of", language, name=one.place.name))
        if one.fact.low is not None:
            low, high = (f"{_bare(end) * per_unit:.3g}" for end in (one.fact.low, one.fact.high))
            about.append(phrase("place_limits", language, low=low, high=high))
        source = _number(one.fact.source, numbers)
        told = f"{_told(one.fact, per_unit)}{unit}{source}"
        yield [f"  {head}", told, phrase("between", language).join(about)]


def _as_written(fact: Fact[Any], language: Language) -> str:
    mark = "~" if fact.is_estimate else ""
    if not fact.range_text:
        return f"{mark}{fact.text}"
    low, _, high = fact.range_text.partition(" to ")
    limits = phrase("place_limits", language, low=low, high=high)
    return f"{mark}{fact.text} ({limits})" if fact.text else f"{mark}{limits}"


def _hours(name: str, rule: Hours, numbers: Mapping[str, int], language: Language) -> Iterator[str]:
    heading = phrase("place_hours", language, name=name, document=rule.document)
    yield f"\n{heading}{_number(rule.source, numbers)}"
    yield f"  {phrase(_FLOATS[rule.floats], language)}"
    for season in rule.seasons:
        bands = tuple((band, _spans(season, band)) for band in BANDS if band in season.hours)
        months = _counted(season.months)
        yield "  " + phrase("place_season", language, months=months, bands=bands)
        if season.multipliers:
            said = phrase("between", language).join(
                f"{season.multipliers[band]:g}" for band, _ in bands
            )
            yield "    " + phrase("place_multipliers", language, bands=said)
    if rule.note:
        yield f"  {rule.note}"


def _spans(season: Season, band: Any) -> str:
    return " ".join(f"{start}-{end}" for start, end in season.hours[band])


def _counted(months: Sequence[int]) -> str:
    """Return months with those that follow one another as a span."""
    starts = [month for month in months if month - 1 not in months]
    ends = [month for month in months if month + 1 not in months]
    spans = zip(starts, ends, strict=True)
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def _temperatures(place: Place, numbers: Mapping[str, int], language: Language) -> Iterator[str]:
    near = climate_at(place)
    for name, town in (place.climate or ({near[0]: near[1]} if near else {})).items():
        months = " ".join(f"{value:.1f}" for value in town.monthly_c)
        said = phrase("place_climate", language, name=name, when=town.when, months=months)
        yield f"\n{said}{_number(town.source, numbers)}"
        if town.note:
            yield f"  {town.note}"
