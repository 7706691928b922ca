"""What notes say in English: by code, a text with the names of values, or a function of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["SENTENCES"]

SENTENCES: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "chip_is_estimate": "{chip}: its profile is an estimate",
}


# analytic

_NO_CLOSED_FORM = {
    "several_jobs": "{about} jobs, which may wait for each other",
    "arrives_later": "a job that comes later may have to queue",
    "several_pools": "{about} pools could hold the job, so a policy decides",
    "share_spares": "pools share their spares",
    "replay": "{about}: replayed from a log",
    "shrinks": "a job that goes on with fewer replicas",
    "tiers": "checkpoints to several places",
    "slows": "{about}: nodes that hold their job back",
    "throttle": "a speed that varies with the time of day",
    "memory": "{about}: a law with memory",
    "lemons": "{about}: rates that differ between nodes",
    "relapse": "{about}: faults that come back",
    "found_late": "{about}: damage that is found late",
    "groups": "a fault may take several nodes",
    "crews": "repairs may wait for a crew",
    "retire": "nodes are retired",
    "booting_spares": "spares take time until they can train",
    "uncertain_rate": "{about}: a rate that is uncertain on this chip",
    "busy_repairs": "faults that take nodes run on the wall clock and on the busy clock",
    "rolling": "{about}: nodes are taken out in turn",
    "listed_stops": "{about}: planned stops at times of their own",
    "late_stops": "{about}: the first planned stop comes late",
    "never_saves": "a job that never saves keeps all or nothing, by the horizon",
    "stops_all_the_time": "planned stops leave no time between them",
}
_MOST_TOLD = 3


def _no_closed_form(values: Mapping[str, Any]) -> str:
    reason = _NO_CLOSED_FORM.get(values["why"], "{path} is not in it")
    return f"no closed form: {reason.format(**values)}"


def _departs(values: Mapping[str, Any]) -> str:
    both = {
        "ettr": "ettr {:.4f} simulated, {:.4f}",
        "days": "{:,.4g} days to train simulated, {:,.4g}",
    }
    cases = ((name, both[unit].format(*two)) for name, unit, *two in values["cases"])
    told = _told(f"{name}: {text} by closed form" for name, text in cases)
    return (
        f"WARNING: the simulation departs from the closed form: {told}. That is more than"
        f" {values['sigmas']:g} standard errors and what the form leaves out (how stops and faults"
        " meet, the ends of a run): trust neither before you know why"
    )


def _not_the_long_run(values: Mapping[str, Any]) -> str:
    told = _told(
        f"{name}: ettr {pace:.4f} simulated, {long_run:.4f} in the long run by closed form"
        for name, pace, long_run in values["cases"]
    )
    return (
        "WARNING: not the long run: runs start with every node whole, and the repair shop has"
        " not filled when they end; a fleet that has been running for long is blocked more"
        f" often: {told}"
    )


def _told(texts: Iterable[str]) -> str:
    cases = [*texts]
    more = len(cases) - _MOST_TOLD
    return " | ".join(cases[:_MOST_TOLD]) + (f" | and {more} more" if more > 0 else "")


def _break_even(values: Mapping[str, Any]) -> str:
    chip, base, ratio = values["chip"], values["base"], values["ratio"]
    how = f"(cases '{values['case']}' and '{values['base_case']}'; closed form, never blocked)"
    if ratio is None:
        return (
            f"on {chip} the time to train never matches {base}, however rarely its nodes fail {how}"
        )
    here = f"{'ASSUMED ' if values['is_assumed'] else ''}{values['here']:.3g} times"
    return (
        f"on {chip} the time to train matches {base} when its nodes fail {ratio:.3g} times as often"
        f" as those of {base}; here it is {here} {how}"
    )


SENTENCES |= {
    "no_closed_form": _no_closed_form,
    "no_break_even": "no break-even: {path} is not in its closed form",
    "departs_from_closed_form": _departs,
    "not_the_long_run": _not_the_long_run,
    "break_even": _break_even,
}
