"""What is said of fleets that serve a model, in English, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SERVE_PLAN", "SERVE_PLAN_PHRASES"]

Values = Mapping[str, Any]


def _ms(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _limit(what: str) -> Callable[[Values], str]:
    def said(v: Values) -> str:
        if v["floor_s"] > v["asked_s"]:
            return (
                f"{what} is {_ms(v['floor_s'])} at least ({v['floor_layout']}: bytes over bandwidth"
                f" or FLOP over peak), and {_ms(v['asked_s'])} is asked"
            )
        later = (
            f"; {_ms(v['later_s'])} of it are the published median after the prompt is done"
            if v["later_s"]
            else ""
        )
        return (
            f"{what} takes {_ms(v['limit_s'])} by what is fitted to published rows ({v['layout']},"
            f" a request that meets no other{later}), and {_ms(v['asked_s'])} is asked"
        )

    return said


def _tail(v: Values) -> str:
    told = [
        f"{what} {_ms(v[f'{name}_s'])} at {100 * v[f'{name}_frac']:g} %"
        for what, name in (("the first token takes", "ttft"), ("a further one", "tpot"))
        if v[f"{name}_s"] is not None  # a role has one of them
    ]
    return f"no rate holds the limits: at hardly any load {', '.join(told)} ({v['layout']})"


SERVE_PLAN: dict[str, str | Callable[[Values], str]] = {
    "serve_no_room": lambda v: (
        f"no layout holds the model: on {v['n_ranks']:,} ranks a rank needs {v['need_gib']:.1f} GiB"
        f" of {v['has_gib']:.1f} GiB ({v['precision']}); weights of fewer bytes or shorter lengths"
        " help"
    ),
    "serve_tpot_limit": _limit("a further token"),
    "serve_ttft_limit": _limit("the first token"),
    "serve_both_limits": lambda v: (
        f"no layout holds both limits: by what is fitted a further token takes {_ms(v['tpot_s'])}"
        f" at best, in another layout the first one {_ms(v['ttft_s'])}"
    ),
    "serve_tail": _tail,
    "serve_unserved": "no engine of the catalogue is documented to run on it; in a scenario a"
    " service can state measured times of its steps: {how}",
    "serve_no_engine": "nothing is known that serves on it; name --engine and --precision",
}


def _some(n: str, what: str) -> str:
    return f"{n} {what}" if n == "1" else f"{n} {what}s"


def _answer(v: Values) -> str:
    best = f", by {v['by']} the best of {v['n']}" if v["n"] > 1 else ""
    return f"{v['n_chips']} × {v['chip']} ({v['low']} to {v['high']}): {v['roles']}{best}."


def _answer_role(v: Values) -> str:
    what = "instance" if v["role"] == "both" else f"{v['role']} instance"
    instances, spares = _some(v["n_instances"], what), _some(v["n_spares"], "spare")
    return f"{instances} of {v['each']} ({v['layout']}) and {spares}"


def _mix_answer(v: Values) -> str:
    shares = (
        f"; {v['shares']}, at {v['efficiency']} of the sum of what kinds hold apart"
        if v["shares"]
        else ""
    )
    return f"{v['parts']}: {v['counted']}{shares}."


_SHARED = {"both": "requests", "prefill": "prompts", "decode": "answers"}


SERVE_PLAN_PHRASES: dict[str, str | Callable[[Values], str]] = {
    "serve_answer": _answer,
    "serve_answer_role": _answer_role,
    "serve_between_roles": "; ",
    "serve_prefill": "prefill",
    "serve_decode": "decode",
    "serve_mix_answer": _mix_answer,
    "serve_mix_shares": lambda v: f"{_SHARED[v['role']]} {v['shares']}",
    "serve_counted_cost": "{n} {currency} a day",
    "serve_counted_energy": "{n} Wh a request",
    "serve_counted_carbon": "{n} kg a day",
    "serve_counted_chips": "{n} chips",
    "serve_mix_part": lambda v: (
        f"{v['n_chips']} × {v['chip']}" + ("" if v["role"] == "both" else f" for {v['role']}")
    ),
    "serve_mix_short": "All chips there are hold {most} requests/s in production, and {peak} are"
    " asked in the busiest minute.",
    "serve_mix_none": lambda v: (
        f"The chips there are hold no instance{' beside its spare' if v['has_room'] else ''}:"
        f" {'; '.join(v['instances'])}. {v['peak']} requests/s are asked in the busiest minute."
    ),
    "serve_mix_instance": "an instance takes {each} × {chip}, and there are {most}",
    "serve_mix_do": "{chips}: any of these holds them, spares included; or write a longer limit.",
    "serve_mix_unspared": "If none were spare they would hold {most}: what is lacking is the spare"
    " for an availability of {availability}; {chips} do, or a lower --availability.",
    "serve_by_cost": "cost",
    "serve_by_energy": "energy",
    "serve_by_carbon": "carbon",
    "serve_by_chips": "number of chips",
    "serve_title": "{model}: {mean} requests/s ({peak} at peak), {n_in} tokens in, {n_out} out",
    "serve_chip": "chip",
    "serve_layout": "layout",
    "serve_instances": "instances",
    "serve_chips": "chips (90 %)",
    "serve_ttft": "TTFT s",
    "serve_tpot": "TPOT ms",
    "serve_wh": "Wh/request",
    "serve_j": "J/token out",
    "serve_cost_tokens": "{currency}/M\nin, out",
    "serve_cost_day": "{currency}/day",
    "serve_kg_tokens": "kg/M\nin, out",
    "serve_kg_day": "kg/day",
    "serve_why": "{chip}: {why}.",
    "serve_faster": "{chip}: {engine}, borrowed shares: {n} chips; more is known of {chosen}.",
    "serve_layouts_title": "{chip}: {role}layouts by requests/s of a chip",
    "serve_engine": "engine",
    "serve_rate": "requests/s\nof an instance",
    "serve_per_chip": "of a chip",
    "serve_bound": "bound",
    "serve_counts": "{n_layouts} layouts hold the model; {n_tried} were simulated, {n_searched} for"
    " their largest rate: no other can make the fleet 1 % smaller.",
    "serve_note_estimates": "TTFT and TPOT at {ttft_percent} and {tpot_percent} %; energy at"
    " {meter} meter, mean of the day, at {site} (PUE {pue}); watts of serving are fitted to two"
    " chips, estimates for others. {how}",
    "serve_how_rent": "Chips cost the rent that is given.",
    "serve_how_bought": "Chips cost what was reported for them over 5 years, an estimate.",
    "serve_how_unknown": "{what} is not known of {chips}.",
    "serve_by_number": "So chips are compared by their number.",
    "serve_lacks_rent": "no price: --rent",
    "serve_lacks_exchange": "currencies differ: --exchange",
    "serve_lacks_electricity": "no price of electricity at the site: another --site",
    "serve_lacks_watts": "no power limit",
    "serve_lacks_carbon": "no carbon of the site: another --site",
    "serve_note_borrowed": "No rows of their own: {chips}: shares of bandwidth and peak are"
    " borrowed and the band is wider.",
    "serve_note_derating": "In production an instance is taken to hold {derating} of its benchmark"
    " (--derating), and the busiest minute to have {peak} times the mean (--peak); lengths spread"
    " by a cv of {cv_in} in and {cv_out} out (--cv).{drafts}",
    "serve_note_drafts": " Each step drafts {draft} tokens of a sequence and yields {accepted}"
    " (--draft, --accepted).",
    "serve_meter_it": "the IT",
    "serve_searching": "{chip}: simulating {layout}",
    "serve_figure_latency": "Latency against load per chip",
    "serve_figure_frontier": "Cost against the limit of a further token",
    "serve_figure_wh": "Energy of a request by batch",
    "serve_figure_load": "{model}, {n_in} tokens in, {n_out} out",
    "serve_axis_per_chip": "Requests/s of a chip, before the derating",
    "serve_axis_ttft": "First token [s]",
    "serve_axis_tpot": "Further token [ms]",
    "serve_axis_limit": "Limit of a further token at {percent} % [ms]",
    "serve_axis_cost": "{currency} per million tokens, in and out alike",
    "serve_axis_batch": "Sequences that decode at once",
    "serve_axis_wh": "Wh a request, IT meter",
    "serve_how_latency": "Solid: {ttft_percent} % of first and {tpot_percent} % of further tokens"
    " are faster; dashed: half are.\nDots: the largest load within all limits; grey: limits.",
    "serve_how_frontier": "The best layout at each limit, its fleet with spares;"
    " the limit of the first token stays.{more}",
    "serve_less_known": "\nDashed, hollow: an engine or a precision of which less is known, where"
    " the usual one is too slow.",
    "serve_unpriced": "\nNo price is known of {chips}.",
    "serve_how_wh": "Requests never run out, no spares. Dotted: a further token takes longer than"
    " the limit, on the mean.",
    "serve_drawing": "{chip}: drawing {figure}",
    "serve_not_drawn": "{file} is not drawn: {why}",
    "serve_no_price": "no price is known of any chip that holds a limit (--rent)",
}
