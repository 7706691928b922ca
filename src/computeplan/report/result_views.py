"""What a result shows: tables of plain strings, rounded for reading, and its figures.

An energy is labelled with the meter at which it is read. What a reader must know stands below:
which values are missing, the facts of the cases, and the notes of the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import numpy as np

from computeplan.quantities import JOB_QUANTITIES, Quantity
from computeplan.report import Language
from computeplan.report.numbers import headline, with_interval
from computeplan.report.table import Table
from computeplan.report.words import phrase, sentence, sentences
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result

__all__ = ["figures", "jobs", "missing", "summary", "versus"]

MOST_NAMED = 3
"""Cases without a result that are named; the others are counted."""

_JOB_FACTS = {
    "model": ("Model", "模型"),
    "pool": ("Pool (share of the runs)", "资源池(占运行次数)"),
    "deadline_h": ("Deadline [h]", "截止时间 [h]"),
}


def figures(result: Result) -> SimpleNamespace:
    """Return the figures of a result as functions of ``ax``."""
    from computeplan.report.figures import figures_of  # loads matplotlib

    return figures_of(result)


def missing(result: Result, language: Language) -> list[str]:
    """Return lines on the cases that have no result, and why; none if all have one."""
    if not result.incomplete:
        return []
    by_text: dict[str, list[str]] = {}
    for name, why in result.incomplete.items():
        by_text.setdefault(sentence(why, language), []).append(name)
    n_missing = len(result.incomplete)
    of = n_missing + len(result.cases)
    lines = [phrase("incomplete", language, n=n_missing, of=of)]
    for text, names in by_text.items():
        shown = ", ".join(map(repr, names[:MOST_NAMED]))
        if len(names) > MOST_NAMED:
            shown = phrase("and_more", language, names=shown, n=len(names) - MOST_NAMED)
        lines.append(f"  {shown}: {text}")
    return lines


def summary(
    result: Result, quantities: Iterable[str] | None = None, *, language: Language | None = None
) -> Table:
    """Return one row per case: the mean of each quantity and the half width of its interval.

    Parameters
    ----------
    result : Result
    quantities : iterable of str, optional
        Names, in this order; without, the headline quantities.
    language : {"en", "zh"}, optional
        Of the heads, with the facts of the cases below; without, heads are the names of quantities,
        and cells also tell the 5th, 50th and 95th percentiles.

    Raises
    ------
    ComputePlanError
        If a name is not in the table of quantities.
    """
    chosen = headline(result, quantities)
    text = _cell if language is None else with_interval
    found = {name: [c.estimate(q.name) for q in chosen] for name, c in result.cases.items()}
    rows = tuple(
        (name, *(text(q, e) for q, e in zip(chosen, estimates, strict=True)))
        for name, estimates in found.items()
    )
    missing = [
        f"{name}: {_label(q, language)}: {e.n_none:,} of {result.n_runs:,} runs have none and are"
        " left out"
        for name, estimates in found.items()
        for q, e in zip(chosen, estimates, strict=True)
        if e.n_none
    ]
    facts = [] if language is None else _facts(result)
    notes = (_about_intervals(result, language), *missing, *facts, *sentences(result.notes))
    return Table(result.name, _head(chosen, language), rows, notes)


def versus(result: Result, case: str, quantities: Iterable[str] | None = None) -> Table:
    """Return one row per other case: its difference to `case`, with a 95 % interval.

    Raises
    ------
    ComputePlanError
        If there is no such case or quantity.
    """
    chosen = headline(result, quantities)
    none = Estimate.of([])
    differences = result.differences(case)
    rows = tuple(
        (name, *(with_interval(q, found.get(q.name, none), sign=True) for q in chosen))
        for name, found in differences.items()
    )
    missing = [
        f"{name}: {q.name}: {e.n_none:,} of {result.n_runs:,} pairs have none and are left out"
        for name, found in differences.items()
        for q in chosen
        if (e := found.get(q.name, none)).n_none
    ]
    reading = (
        "mean difference, run by run on the same traces, ± half width of its 95 % interval"
        if result.n_runs > 1
        else "one run per case: differences have no interval"
    )
    notes = (reading, *missing, *sentences(result.notes))
    return Table(f"{result.name}: difference to {case!r}", _head(chosen, None), rows, notes)


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
    return Table(f"{result.name}: {case}", head, rows, (*missing, *sentences(result.notes)))


def _head(chosen: Iterable[Quantity], language: Language | None) -> tuple[str, ...]:
    if language is None:
        return ("case", *(f"{q.name}\n{q.unit or '-'}" for q in chosen))
    return ("case" if language == "en" else "方案", *(q.axis(language) for q in chosen))


def _label(quantity: Quantity, language: Language | None) -> str:
    return quantity.name if language is None else quantity.label


def _cell(quantity: Quantity, estimate: Estimate) -> str:
    if estimate.n < 2:
        return quantity.text(estimate.mean)
    band = " ".join(quantity.text(p) for p in (estimate.p5, estimate.p50, estimate.p95))
    return f"{with_interval(quantity, estimate)}\n[{band}]"


def _about_intervals(result: Result, language: Language | None) -> str:
    if result.n_runs == 1:
        return "one run per case: no interval"
    band = ", [5th 50th 95th percentile of the runs]" if language is None else ""
    return f"mean of {result.n_runs:,} runs ± half width of its 95 % interval{band}"


def _facts(result: Result) -> list[str]:
    """Return the facts of the cases, each once, with the cases that share it."""
    lines = []
    for fact in dict.fromkeys(name for case in result.cases.values() for name in case.facts):
        by_text: dict[str, list[str]] = {}
        for name, case in result.cases.items():
            if fact in case.facts:
                by_text.setdefault(sentence(case.facts[fact]), []).append(name)
        for text, names in by_text.items():
            whose = "" if len(names) == len(result.cases) else f" ({'; '.join(names)})"
            lines.append(f"{fact}{whose}: {text}")
    return lines
