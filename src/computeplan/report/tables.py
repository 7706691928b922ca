"""Tables of a result: rows of plain strings, rounded for reading.

An energy is labelled with the meter at which it is read. What a reader must know stands below:
which values are missing, the facts of the cases, and the notes of the result.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from computeplan.quantities import JOB_QUANTITIES, Quantity
from computeplan.report import Language
from computeplan.report.table import Table
from computeplan.results.estimates import Estimate
from computeplan.results.result import Result, headline

__all__ = ["details", "jobs", "overview"]


_JOB_FACTS = {
    "model": ("Model", "模型"),
    "pool": ("Pool (share of the runs)", "资源池(占运行次数)"),
    "deadline_h": ("Deadline [h]", "截止时间 [h]"),
}


def overview(
    result: Result, quantities: Iterable[str] | None = None, *, language: Language = "en"
) -> Table:
    """Return one row per case: the mean of each quantity and the half width of its interval.

    Parameters
    ----------
    result : Result
    quantities : iterable of str, optional
        Names, in this order; without, the headline quantities.
    language : {"en", "zh"}
        Of the heads.

    Raises
    ------
    ComputePlanError
        If a name is not in the table of quantities.
    """
    chosen = headline(result, quantities)
    rows = tuple(
        (name, *(case.estimate(quantity.name).text(quantity) for quantity in chosen))
        for name, case in result.cases.items()
    )
    head = ("case" if language == "en" else "方案", *(q.axis(language) for q in chosen))
    missing = [line for name in result.cases for line in _missing(result, name, chosen)]
    notes = (*_about_intervals(result), *missing, *_facts(result), *result.notes)
    return Table(result.name, head, rows, notes)


def details(result: Result, case: str, *, language: Language = "en") -> Table:
    """Return one row per quantity of a case, with its interval and percentiles.

    Raises
    ------
    ComputePlanError
        If there is no such case.
    """
    found = result.case(case)
    rows = []
    for quantity in result.quantities:
        estimate = found.estimate(quantity.name)
        half = estimate.half_text()
        numbers = (quantity.text(p) for p in (estimate.p5, estimate.p50, estimate.p95))
        label = quantity.label_zh if language == "zh" else quantity.label
        rows.append((label, quantity.unit, quantity.text(estimate.mean), half, *numbers))
    head = {
        "en": ("quantity", "unit", "mean", "± 95 %", "5th", "median", "95th"),
        "zh": ("指标", "单位", "均值", "± 95 %", "第 5 百分位", "中位数", "第 95 百分位"),
    }[language]
    facts = tuple(f"{fact}: {text}" for fact, text in found.facts.items())
    notes = (*_about_intervals(result), *_missing(result, case, result.quantities), *facts)
    return Table(f"{result.name}: {case}", head, tuple(rows), (*notes, *result.notes))


def jobs(result: Result, case: str, *, language: Language = "en") -> Table:
    """Return one row per job of a case: its facts, and means over the runs that have a value.

    Raises
    ------
    ComputePlanError
        If there is no such case.
    """
    found = result.case(case)
    chosen = [quantity for name, quantity in JOB_QUANTITIES.items() if name in found.jobs]
    rows = tuple(
        (
            job,
            *(texts[j] for texts in found.job_facts.values()),
            *(q.text(Estimate.of(found.jobs[q.name][:, j]).mean) for q in chosen),
        )
        for j, job in enumerate(found.job_names)
    )
    job_head = "job" if language == "en" else "作业"
    facts = (_JOB_FACTS.get(fact, (fact, fact))[language == "zh"] for fact in found.job_facts)
    head = (job_head, *facts, *(q.axis(language) for q in chosen))
    missing = tuple(
        f"{job}: {quantity.label}: {n_none:,} of {result.n_runs:,} runs have none and are left out"
        for j, job in enumerate(found.job_names)
        for quantity in chosen
        if (n_none := int(np.count_nonzero(~np.isfinite(found.jobs[quantity.name][:, j]))))
    )
    return Table(f"{result.name}: {case}", head, rows, (*missing, *result.notes))


def _about_intervals(result: Result) -> tuple[str, ...]:
    if result.n_runs == 1:
        return ("one run per case: no interval",)
    return (f"mean of {result.n_runs:,} runs ± half width of its 95 % interval",)


def _missing(result: Result, case: str, chosen: Iterable[Quantity]) -> list[str]:
    found = result.case(case)
    return [
        f"{case}: {q.label}: {n_none:,} of {result.n_runs:,} runs have none and are left out"
        for q in chosen
        if (n_none := found.estimate(q.name).n_none)
    ]


def _facts(result: Result) -> list[str]:
    """Return the facts of the cases, each once, with the cases that share it."""
    lines = []
    for fact in dict.fromkeys(name for case in result.cases.values() for name in case.facts):
        by_text: dict[str, list[str]] = {}
        for name, case in result.cases.items():
            if fact in case.facts:
                by_text.setdefault(case.facts[fact], []).append(name)
        for text, names in by_text.items():
            whose = "" if len(names) == len(result.cases) else f" ({'; '.join(names)})"
            lines.append(f"{fact}{whose}: {text}")
    return lines
