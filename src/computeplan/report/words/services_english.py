"""What is said of services that state their requests, in English, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SERVICES", "SERVICES_PHRASES"]

Values = Mapping[str, Any]

_KNOWN = {
    "chip": "speeds are fitted to published rows of this engine, precision and chip",
    "precision": "speeds are borrowed from other chips ({of}), so the band is wider",
    "engine": "speeds are borrowed from other precisions ({of}), so the band is wider",
    "none": "speeds are borrowed from other engines ({of}), an estimate with a wide band",
    "table": "times of steps are those of the table",
}

_UNITS = {"chip": "chips", "request/s": "requests/s (with head-room and spares)"}
_LESS = {"chip": "write fewer, or enlarge a pool", "request/s": "enlarge a pool, or add one"}


def _s(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _time(what: str, found: tuple[float, ...]) -> str:
    value, low, high, frac = found
    return f"{what} {_s(value)} at {100 * frac:g} % ({_s(low)} to {_s(high)})"


def _on_pool(v: Values) -> str:
    watts = {
        None: "",
        True: "; its watts while serving are an estimate from other chips",
        False: "; its watts while serving are fitted to rows of this chip",
    }[v["is_draw_borrowed"]]
    band = f"90 % band {v['low_per_s']:.3g} to {v['high_per_s']:.3g}"
    if v["known"] == "table":
        band = "as given, no band"
    missed = f", and {100 * v['missed_frac']:.2g} % of requests are beyond a limit"
    missed = missed if v["has_limit"] else ""
    # Instances of prompts give no further token, those of answers no first one.
    whats = (("the first token takes", v["ttft_s"]), ("a further one", v["tpot_s"]))
    times = [_time(what, found) for what, found in whats if found is not None]
    if v["ttft_s"] is None:
        times = [_time("a further token takes", v["tpot_s"])]
    return (
        f"{v['service']} on {v['pool']}: an instance is {v['n_chips']:,} × {v['chip']}"
        f" ({v['layout']}, {v['engine']}, {v['precision']}) and holds {v['per_s']:.3g} requests/s"
        f"{' within the limits' if v['has_limit'] else ', without a limit of latency'} ({band});"
        f" in the busiest minute {' and '.join(times)}{missed};"
        f" {_KNOWN[v['known']].format(of=v['of'])}{watts}"
    )


def _sized(v: Values) -> str:
    parts = " + ".join(
        f"{n:,} chips of {pool}" + (f" (and {more:,} more for faults)" if more else "")
        for pool, n, more, *_ in v["pools"]
        if n or more
    )
    share = f"{v['derating']:g} of its benchmark in production (derating, an assumption)"
    if v["balance"] != 1:
        share += f", kinds together {v['balance']:g} of their sum (balance)"
    return (
        f"{v['service']}: {v['peak_per_s']:,.4g} requests/s, those of the busiest minute, take"
        f" {parts or 'no chips'}; the mean is {v['mean_per_s']:,.4g}; an instance is taken to reach"
        f" {share}"
    )


def _percent(v: Values) -> str:
    """Return the share of requests beyond a limit; less than 0.01 % is below what is simulated."""
    missed = 100 * v["missed_frac"]
    return f"{missed:.2g} %" if missed >= 0.01 else "less than 0.01 %"


def _day(v: Values) -> str:
    missed = f", and {_percent(v)} of the day's requests miss a limit"
    pools = "; ".join(f"on {pool} {_times(v, *hours)}" for pool, *hours in v["pools"])
    return (
        f"{v['service']} over the day, by the mean rate of each hour: {pools or 'no answers'}"
        f"{missed if v['has_limit'] else ''}"
    )


def _times(v: Values, ttft: tuple[float | None, ...], tpot: tuple[float | None, ...]) -> str:
    """Return the times that instances of a role take."""
    found = []
    if ttft:
        found.append(f"the first token takes {_ends(ttft)} at {100 * v['ttft_frac']:g} %")
    if tpot:
        found.append(f"a further one {_ends(tpot)} at {100 * v['tpot_frac']:g} %")
    return ", ".join(found)


def _ends(hours: tuple[float | None, ...]) -> str:
    """Return the calmest and the busiest hour."""
    known = [hour for hour in hours if hour is not None]
    if not known:  # answers of one token
        return "nothing"
    low, high = _s(min(known)), _s(max(known))
    return low if low == high else f"{low} to {high}"


def _filled_by(v: Values) -> str:
    how, unit, factor = {
        "cost": ("cost, the cheapest first", f"{v['currency']}/1,000 requests", 1e3),
        "energy": ("energy, the least first", "Wh/request", 1 / 3600),
        "carbon": ("carbon, the least first", "g/request", 1e3),
    }[v["choose"]]
    pools = ", ".join(f"{pool} ({factor * takes:.3g} {unit})" for pool, takes in v["pools"])
    return f"{v['service']}: its pools are filled by {how}: {pools}, at the load of the day"


def _beside(v: Values) -> str:
    return f" beside {v['beside']}" if "beside" in v else ""


SERVICES: dict[str, str | Callable[[Values], str]] = {
    "service_on_pool": _on_pool,
    "service_sized": _sized,
    "service_filled_by": _filled_by,
    "service_day": _day,
    "service_watts_of_training": lambda v: (
        f"{v['service']}: what its chips draw while they serve is not known on"
        f" {', '.join(v['pools'])}; counted as in training"
    ),
    "service_layout_beyond": lambda v: (
        f"{v['service']} on {v['pool']}: {v['layout']} is wider than any published row, whose"
        f" {'layers are shared by' if v['what'] == 'tp' else 'instances have'} {v['most']} ranks at"
        f" most (here {v['n']}): its speed is not backed by measurements, and the band does not"
        " cover that"
    ),
    "service_trace_gap": lambda v: (
        f"{v['path']}: no request comes for {v['gap_s']:,.4g} s after line {v['line']:,}"
        f" ({v['at_s']:,.6g} s)"
        + (f", the longest of {v['n']} such gaps" if v["n"] > 1 else "")
        + f"; it counts in the mean rate of the {v['span_s']:,.6g} s: cut it out if the service was"
        " down or not recorded"
    ),
    "service_no_faults": "{service}: no fault stops nodes of its pools, so the availability that is"
    " asked for takes no spare",
    "service_beyond_pools": lambda v: (
        f"{v['path']}: {v['n']:,.6g} {_UNITS[v['unit']]} are more than its pools"
        f" ({', '.join(v['pools'])}) will ever have{_beside(v)}, {v['has']:,.6g}: it lacks the"
        f" rest;"
        f" {_LESS[v['unit']]}"
    ),
}


_FOR = {"both": "", "prefill": " for prefill", "decode": " for decode"}


def _up_to(high: float | None) -> str:
    return "or more" if high is None else f"to {high:,.0f}"


def _takes(v: Values) -> str:
    parts = " + ".join(
        f"{n:,} chips of {pool}{_FOR[role]}"
        + ("" if low == high else f" ({low:,.0f} {_up_to(high)})")
        for pool, n, low, high, role in v["parts"]
    )
    case = f"{v['case']}: " if v["case"] else ""
    wh = f", {v['wh']} Wh a request at the site" if v["wh"] else ""
    most = "at most " if any(role != "both" for *_, role in v["parts"]) else ""
    missed = "" if v["missed_frac"] is None else f"; {most}{_percent(v)} of requests miss a limit"
    return f"{case}{v['service']} takes {parts or 'no chips'}{wh}{missed}."


SERVICES_PHRASES: dict[str, str | Callable[[Values], str]] = {
    "service_takes": _takes,
    "fleet_over_time": "What the chips of services did",
    "fleet_axis": "Chips",
    "fleet_serving": "Serving",
    "fleet_starting": "Starting",
    "fleet_draining": "Draining",
    "fleet_standing_by": "Standing by",
    "fleet_jobs": "Held by jobs",
    "fleet_idle": "Idle",
    "fleet_repair": "In repair",
    "fleet_needed": "Needed by the hour",
}
