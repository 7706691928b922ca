"""What is said of places of the catalogue, in English, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from computeplan.quantities import significant
from computeplan.units import HOUR_S, KWH_J

__all__ = ["PLACES", "PLACE_PHRASES", "amount", "bar_unit", "ranks", "short"]

Values = Mapping[str, Any]


def _hours(v: Values) -> str:
    bands = ", ".join(f"{band} {hours}" for band, hours in v["bands"])
    return f"months {v['months']}: {bands}"


_NAMES = {
    "pue": "PUE",
    "carbon": "carbon",
    "price": "price of electricity",
    "demand_charge": "charge for the highest demand of a month",
    "building": "price of the building",
    "purchase": "purchase",
    "embodied": "embodied carbon",
    "residual_carbon": "carbon of power without a contract",
    "water_on_site": "water on site",
    "water_off_site": "water of power stations",
    "power_limit": "power limit",
}
_BASES = {
    "measured": "measured",
    "target": "the target of its hub, not measured",
    "usual": "no nearer figure is known",
    "carbon": "mean of the grid",
    "demand": "posted",
    "residual_carbon": "residual factor, market based",
    "on_site": "per energy of the IT",
    "off_site": "per energy of the site",
    "posted": "posted, with the demand charge at a load of {load:.0%}",
    "energy": "posted",
    "paid": "reported as paid by contract",
    "press": "by contract, from the press",
    "aim": "aimed at by contract, not paid",
}


def short(value: float, digits: int) -> str:
    """Return a number with at most so many significant digits, thousands separated.

    Examples
    --------
    >>> short(5000.0, 3), short(0.25, 3), short(12345.0, 4)
    ('5,000', '0.25', '12,340')
    """
    return f"{float(f'{value:.{digits}g}'):,.12g}"


def amount(v: Values, value: float) -> str:
    """Return a figure of a place with its unit, the same in both languages."""
    if v["what"] == "pue":
        return f"{short(value, 4)}"
    if v["what"] == "power_limit":
        return f"{short(value / 1e6, 4)} MW"
    if v["what"] in ("carbon", "residual_carbon"):
        return f"{short(value * KWH_J * 1e3, 4)} g/kWh"
    if v["what"] in ("water_on_site", "water_off_site"):
        return f"{short(value * KWH_J, 3)} L/kWh"
    if v["what"] in ("demand_charge", "building"):
        return f"{short(value * 1e3, 3)} {v['currency']}/kW"
    return f"{short(value * KWH_J, 3)} {v['currency']}/kWh"


def _of_place(v: Values) -> str:
    basis = ", ".join(filter(None, (_BASES[v["basis"]].format(load=v["load"]), v["when"])))
    return (
        f"site {v['site']}: {_NAMES[v['what']]} {amount(v, v['value'])} is that of {v['place']} in"
        f" the catalogue ({basis})"
    )


def _estimate_of_place(v: Values) -> str:
    low, high = (amount(v, v[end]) for end in ("low", "high"))
    middle = ", its middle" if v["is_middle"] else ""
    return f"{_of_place(v)}: an estimate, from {low} to {high}{middle}"


def _not_of_place(v: Values) -> str:
    left = {"price": "no cost", "carbon": "no carbon"}.get(v["what"], "")
    return f"site {v['site']}: the catalogue has no {_NAMES[v['what']]} of {v['place']}: {left}"


def _carbon_bases(v: Values) -> str:
    said = ", ".join(f"{site} {basis}" for site, basis in v["sites"])
    return f"carbon of the sites counts unlike things and does not compare: {said}"


def _embodied(v: Values) -> str:
    low, value, high = (f"{v[end] * HOUR_S:.4g}" for end in ("low", "value", "high"))
    return (
        f"pool {v['pool']}: embodied carbon is an estimate, {value} kg per chip-hour, from {low} to"
        f" {high}"
    )


def _reported(v: Values) -> str:
    low, high = (f"{v[end]:,.0f}" for end in ("low", "high"))
    return (
        f"pool {v['pool']}: a {v['chip']} is taken to cost {v['value']:,.0f} {v['currency']}, the"
        f" middle of what was reported, {low} to {high}; server and network are not in it"
    )


def _varies(v: Values) -> str:
    low, mean, high = (amount(v, v[end]) for end in ("low", "mean", "high"))
    how = {
        "factor": f"in the parts that are written{' of ' + v['origin'] if v['origin'] else ''}",
        "degC": f"with the outside temperature of {v['origin']}; how it follows is an estimate",
    }.get(v["by"], f"by {v['origin']}")
    return (
        f"site {v['site']}: {_NAMES[v['what']]} varies from {low} to {high}, {mean} on average,"
        f" {how}; it repeats after {v['period_s'] / HOUR_S:,.4g} h"
    )


_ACCOUNTS = {
    "energy": "energy",
    "cost": "cost",
    "carbon": "carbon, location based",
    "carbon_market": "carbon, market based",
    "embodied": "embodied carbon",
    "water": "water",
}


def _estimates_of_sites(v: Values) -> str:
    aims = f"; targets or aims that nobody measured: {v['n_aims']}" if v["n_aims"] else ""
    return (
        f"figures of places and chips that the cases rest on: {v['n']}; of these, estimates"
        f" with a range: {v['n_estimates']}{aims}"
    )


def ranks(v: Values, pair: str) -> str:
    """Return the cases in the order of an account, with how often each stays before the next."""
    text = ""
    for first, second, share, is_sure in v["neighbours"]:
        text = text or first
        if is_sure and share == 0.5:
            text = f"{text} = {second}"
            continue
        shown = "100 %" if is_sure else f"{min(max(round(share * 100), 1), 99)} %"
        text = pair.format(text=text, second=second, share=shown)
    return text


def _ranking(v: Values) -> str:
    shown = ranks(v, "{text} < {second} ({share})")
    n_unsure = sum(not is_sure for *_, is_sure in v["neighbours"])
    holds = (
        f"{n_unsure} of {len(v['neighbours'])} neighbours may change places within the ranges of"
        " estimates of sites"
        if n_unsure
        else "it survives the ranges of estimates of sites"
    )
    return (
        f"order by {_ACCOUNTS[v['account']]}: {holds}; the least first, and in how much of the"
        f" ranges a case stays behind the one before it: {shown}"
    )


def bar_unit(v: Values, account: str) -> str:
    """Return the unit of an account, the same in both languages."""
    units = {"energy": "kWh", "cost": str(v["currency"]), "water": "L"}
    return units.get(account, "kg")


def _ranges(v: Values) -> str:
    said = []
    for account, value, low, high, told in v["accounts"]:
        each = ", ".join(
            f"{_NAMES[what]} of {place} {significant(a, 4)} to {significant(b, 4)}"
            for what, place, a, b in told
        )
        said.append(
            f"{_ACCOUNTS[account]} {significant(value, 4)} {bar_unit(v, account)},"
            f" {significant(low, 4)} to {significant(high, 4)} by all ({each})"
        )
    return f"within the ranges of estimates of sites: {'; '.join(said)}"


PLACES: dict[str, str | Callable[[Values], str]] = {
    "of_place": _of_place,
    "estimate_of_place": _estimate_of_place,
    "not_of_place": _not_of_place,
    "estimates_of_sites": _estimates_of_sites,
    "ranking_asked": _ranking,
    "ranking_beside": _ranking,
    "ranges_of_case": _ranges,
    "price_needs_rate": "site {site}: no cost is counted, as the catalogue's price is in"
    " {currency} and no rate of exchange is given",
    "carbon_bases": _carbon_bases,
    "varies": _varies,
    "embodied_is_estimate": _embodied,
    "price_is_reported": _reported,
    "no_reported_price": "pool {pool}: no price of a {chip} was reported, so its purchase is not"
    " counted",
    "demand_of_peak": "site {site}: the demand charge is that of the highest draw of each calendar"
    " month, if what jobs hold trains, for the part of the month that the run covers",
    "battery_unused": "site {site}: the battery is left out, as all nodes together never draw what"
    " the power limit allows",
    "no_residual": "site {site}: green power is bought, and without the carbon of the rest no"
    " market-based carbon is counted",
    "start_assumed": "what varies at sites, or is charged by the month, begins on the first of"
    " January at midnight, as no {key} is given",
}

PLACE_PHRASES: dict[str, str | Callable[[Values], str]] = {
    "place": "site",
    "place_chinese": "Chinese",
    "place_kind": "kind",
    "place_carbon": "carbon\ng/kWh",
    "place_pue": "PUE",
    "place_posted": "posted\n/kWh",
    "place_contracted": "contracted\n/kWh",
    "place_country": "country",
    "place_province": "province",
    "place_state": "state",
    "place_grid": "grid",
    "place_hub": "hub",
    "place_cluster": "cluster",
    "place_site": "site",
    "place_foot": "~ an estimate. Posted prices are of a steady load, their demand charge at a load"
    " of {load} included.\nCarbon: China CO2, countries CO2e over the life of power stations, US"
    " states CO2e: they do not compare.\nAll figures and sources of one: {command}",
    "place_also": "also called: {names}",
    "place_is": "{kind}",
    "place_of_hub": "hub: {hub}",
    "place_clusters": "clusters: {names}",
    "place_otherwise": "what is not said here is that of: {name}",
    "place_holds": "what holds here, and what a scenario's site of this name takes where it says"
    " nothing",
    "place_row_pue": "PUE",
    "place_row_carbon": "carbon, {basis}",
    "place_row_residual": "carbon, uncontracted power",
    "place_row_posted": "price, posted",
    "place_row_contracted": "price, contracted",
    "place_row_on_site": "water on site",
    "place_row_off_site": "water off site",
    "place_measured": "measured",
    "place_target": "target",
    "place_usual": "usual",
    "place_paid": "reported as paid",
    "place_press": "press",
    "place_aim": "aimed at, not paid",
    "place_of": "of {name}",
    "place_limits": "{low} to {high}",
    "place_with_demand": "demand charge included, load {load}",
    "place_figure": "figure",
    "place_value": "value",
    "place_when": "when",
    "place_evidence": "evidence",
    "place_by_read": "read",
    "place_by_secondary": "secondary",
    "place_by_estimate": "estimate",
    "place_by_recalled": "recalled",
    "place_note": "note",
    "place_hours": "hours of the day, {name}: {document}",
    "place_season": _hours,
    "place_multipliers": "times what floats: {bands}",
    "place_floats_energy": "what is paid for energy alone floats",
    "place_floats_user": "the whole price less funds floats",
    "place_floats_unsaid": "which part floats is not stated",
    "place_climate": "mean temperatures of the months [C], {name}, {when}: {months}",
    "place_sources": "sources (~ marks an estimate: no document says it)",
}
