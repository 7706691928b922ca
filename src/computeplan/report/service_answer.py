"""What services that state their requests take, a sentence a case: chips, energy, late requests."""

from __future__ import annotations

import math
from typing import Any

from computeplan.quantities import QUANTITIES
from computeplan.report.choices import Language
from computeplan.report.words import phrase
from computeplan.results.cases import CaseResult
from computeplan.specs.services import role_of
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
    def told(code: str) -> list[dict[str, Any]]:
        return [dict(fact.values) for fact in case.facts.values() if fact.code == code]

    facts, missed = told("service_sized"), dict[str, float]()
    for day in told("service_day"):
        if day["has_limit"]:  # in one role or the other: at most the sum of both
            service, _ = role_of(day["service"])
            missed[service] = min(1.0, missed.get(service, 0.0) + day["missed_frac"])
    by_service: dict[str, list[tuple[Any, ...]]] = {}
    for fact in facts:
        service, role = role_of(fact["service"])
        by_service.setdefault(service, []).extend(
            (pool, n + more, (n + more) * low, None if high is None else (n + more) * high, role)
            for pool, n, more, _, low, high in fact["pools"]
            if n + more
        )
    energy = QUANTITIES["wh_per_request"]
    wh = case.estimate(energy.name).p50 if energy.name in case.values else math.nan
    one = "" if len(by_service) != 1 or math.isnan(wh) else energy.text(wh)
    return [
        phrase(
            "service_takes",
            language,
            case=shown,
            service=service,
            wh=one,
            missed_frac=missed.get(service),
            parts=tuple(parts),
        )
        for service, parts in by_service.items()
    ]
