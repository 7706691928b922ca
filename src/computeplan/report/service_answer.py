"""What services that state their requests take, a sentence a case: chips, energy, late requests."""

from __future__ import annotations

import math
from typing import Any

from computeplan.quantities import QUANTITIES
from computeplan.report.choices import Language
from computeplan.report.words import phrase
from computeplan.results.cases import CaseResult
from computeplan.study.result import Result

__all__ = ["service_lines"]

MOST_LINES = 8


def service_lines(result: Result, language: Language) -> list[str]:
    """Return what the services of each case take; none where none states requests.

    Parameters
    ----------
    result : Result
    language : {"en", "zh"}
    """
    lines = []
    for name, case in result.cases.items():
        shown = name if len(result.cases) > 1 else ""
        lines += _of_case(shown, case, language)
    return list(dict.fromkeys(lines))[:MOST_LINES]


def _of_case(shown: str, case: CaseResult, language: Language) -> list[str]:
    facts: list[dict[str, Any]] = [
        dict(fact.values) for fact in case.facts.values() if fact.code == "service_sized"
    ]
    days = {
        fact.values["service"]: fact.values["missed_frac"]
        for fact in case.facts.values()
        if fact.code == "service_day" and fact.values["has_limit"]
    }
    energy = QUANTITIES["wh_per_request"]
    wh = case.estimate(energy.name).p50 if energy.name in case.values else math.nan
    one = "" if len(facts) != 1 or math.isnan(wh) else energy.text(wh)
    return [
        phrase(
            "service_takes",
            language,
            case=shown,
            service=fact["service"],
            wh=one,
            missed_frac=days.get(fact["service"]),
            parts=tuple(
                (pool, n + more, (n + more) * low, None if high is None else (n + more) * high)
                for pool, n, more, _, low, high in fact["pools"]
                if n + more
            ),
        )
        for fact in facts
    ]
