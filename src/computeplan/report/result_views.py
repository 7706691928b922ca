"""What a result shows: tables of plain strings, rounded for reading, and its figures.

A cell holds the middle of the runs and their 90 % range, in one multiple of the unit for all
cases. What is alike in all cases is said once, below; cases that are alike in everything share a
row. Means and their intervals, which more runs narrow, are in ``summary.csv``.

Long because the tables of one result stand side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.quantities import JOB_QUANTITIES, Quantity, in_currency, significant
from computeplan.report import Language
from computeplan.report.answer import MARKS, answer, question_of
from computeplan.report.notes import as_markdown as notes_page
from computeplan.report.numbers import (
    PER_TOKEN,
    counts_idle_later,
    difference,
    headline,
    middle_and_range,
    scale_for,
    where_cut,
)
from computeplan.report.power_table import power
from computeplan.report.table import Table
from computeplan.report.words import phrase, sentence
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result
from computeplan.units import CURRENCIES, MINUTE_S

__all__ = [
    "answer",
    "chips",
    "figures",
    "jobs",
    "missing",
    "notes_page",
    "power",
    "summary",
    "tenants",
    "versus",
]

_OF_ENERGY = {
    in_currency(name, currency)
    for name in (
        *("cost_usd", "usd_per_gtok", "electricity_usd"),
        *("carbon_kg", "kg_per_gtok", "carbon_market_kg", "water_site_l", "water_grid_l"),
    )
    for currency in CURRENCIES
}
_OF_TENANTS = (
    *("mean_wait_h", "mean_jct_h", "jct_p95_h", "mean_slowdown_x", "fairness_p95_x"),
    *("held_frac", "effective_frac", "goodput_frac", "n_preemptions", "n_deadlines_missed"),
    *(
        "n_unfinished",
        "n_quota_violations",
        "over_quota_chip_h",
        "service_chip_h",
        "service_lacked_chip_h",
        "requests_missed_frac",
        "requests_again_per_m",
        "energy_jobs_kwh",
    ),
    *("energy_services_kwh", *(in_currency("cost_jobs_usd", unit) for unit in CURRENCIES)),
    "carbon_jobs_kg",
)
"""What a reader of tenants asks for first."""
_OF_CHIPS = (
    *("kwh_per_gtok", "kwh_per_job", "kept_gtok", "kept_jobs", "held_frac"),
    *("energy_kwh", "energy_jobs_kwh", "energy_idle_kwh", "energy_services_kwh"),
    *(in_currency(name, unit) for unit in CURRENCIES for name in ("cost_usd", "usd_per_gtok")),
    *("carbon_kg", "kg_per_gtok"),
)
"""What a reader of kinds of chips asks for first."""
MOST_NAMED = 3
"""Cases without a result that are named; the others are counted."""
MOST_COLUMNS = 4
"""Cases that stand side by side, a row for each quantity; more stand below one another."""


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
        shown = phrase("between", language).join(map(repr, names[:MOST_NAMED]))
        if len(names) > MOST_NAMED:
            shown = phrase("and_more", language, names=shown, n=len(names) - MOST_NAMED)
        lines.append(f"  {shown}: {text}")
    return lines


def summary(
    result: Result, quantities: Iterable[str] | None = None, *, language: Language = "en"
) -> Table:
    """Return the middle of each quantity and the 90 % range of its runs, for every case.

    Up to four cases stand side by side, a row for each quantity; more have a row each.

    Parameters
    ----------
    result : Result
    quantities : iterable of str, optional
        Names, in this order; without, the headline quantities, those alike in all cases below.
    language : {"en", "zh"}, optional

    Raises
    ------
    ComputePlanError
        If a name is not in the table of quantities.
    """
    chosen, in_proportion = headline(result, quantities), {}
    if quantities is None:
        chosen = _asked_first(result, chosen)
        if len(result.cases) > MOST_COLUMNS:
            in_proportion = _in_proportion(result, chosen)
            chosen = tuple(q for q in chosen if q.name not in in_proportion)
    labels, cells = _cells(result, chosen, language)
    differ = [i for i in range(len(chosen)) if len({row[i] for row in cells.values()}) > 1]
    shown = differ if differ and quantities is None else [*range(len(chosen))]
    alike = [i for i in range(len(chosen)) if i not in shown]
    first = next(iter(cells.values()))
    same = phrase("then", language).join(
        phrase("value", language, name=labels[i], value=_joined(first[i], language)) for i in alike
    )
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, row in cells.items():
        rows.setdefault(tuple(row), []).append(name)
    grid = [
        (phrase("case", language), *(labels[i] for i in shown)),
        *(
            (_headed(result, names, language), *(row[i] for i in shown))
            for row, names in rows.items()
        ),
    ]
    notes = [
        *([phrase("same", language, values=same)] if alike else []),
        *_said_of_window(result, chosen, language),
        *_said_of_proportion(in_proportion, language),
        *_without(result, chosen, language),
        *_spares(result, language),
        _about_means(result, chosen, language),
    ]
    title = phrase("summary", language, name=result.name, n=result.n_runs)
    if len(rows) <= MOST_COLUMNS:
        grid = list(zip(*grid, strict=True))
    return Table(title, grid[0], tuple(grid[1:]), tuple(notes), ", ")


def _asked_first(result: Result, chosen: Sequence[Quantity]) -> tuple[Quantity, ...]:
    """Return the quantities, that by which cases are compared first."""
    question = question_of(result)
    asked = "" if question is None else question.quantity.name
    return tuple(sorted(chosen, key=lambda quantity: quantity.name != asked))


def _in_proportion(result: Result, chosen: Sequence[Quantity]) -> dict[str, tuple[Quantity, float]]:
    """Return what is a constant times the energy in every run of every case, with the constant.

    A column of it would repeat that of the energy.
    """
    energies = [q.name for q in chosen if q.name in ("energy_kwh", "kwh_per_gtok")]
    found = {}
    for quantity in chosen:
        if quantity.name in energies or not energies or quantity.name not in _OF_ENERGY:
            continue
        of_all = [
            np.concatenate([case.values.get(name, np.array([])) for case in result.cases.values()])
            for name in (quantity.name, energies[0])
        ]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = of_all[0] / of_all[1]
        if np.isfinite(ratios).all() and np.ptp(ratios) <= 1e-9 * abs(ratios[0]):
            found[quantity.name] = (quantity, float(ratios[0]))
    return found


def _said_of_window(
    result: Result, chosen: Sequence[Quantity], language: Language
) -> Iterator[str]:
    """Yield to when idle chips are counted, if that is later than the end of a case."""
    if counts_idle_later(result) and any(q.name in PER_TOKEN for q in chosen):
        window = next(iter(result.cases.values())).estimate("window_days").p50
        yield phrase("to_window", language, days=significant(window, 3))


def _said_of_proportion(
    found: Mapping[str, tuple[Quantity, float]], language: Language
) -> list[str]:
    texts = [
        phrase(
            "times_energy",
            language,
            name=quantity.axis(language, ""),
            ratio=significant(ratio, 3),
            unit=scale_for(quantity.unit.replace("/Gtoken", ""), [1.0], language).unit,
        )
        for quantity, ratio in found.values()
    ]
    joined = phrase("names", language).join(texts)
    return [phrase("in_proportion", language, values=joined)] if texts else []


def _headed(result: Result, names: Iterable[str], language: Language) -> str:
    """Return the names of cases that are alike, each with what changes its answer below it."""
    return " =\n".join(_with_head(result, name, language) for name in names)


def _with_head(result: Result, name: str, language: Language) -> str:
    """Return the name of a case with what it leaves open, or does not use, below it."""
    head = []
    for key, fact in result.cases[name].facts.items():
        values: Mapping[str, Any] = fact.values
        if fact.code == "saves_at_best":
            minutes = values["interval_s"] / MINUTE_S
            head.append(phrase("head_saves", language, minutes=minutes))
        elif fact.code == "chips_unused":
            counts = {"n_used": values["n_used"], "n_chips": values["n_chips"]}
            batch = values.get("batch_of_all")
            head.append(phrase("head_unused", language, **counts, batch=batch))
        elif key in MARKS:
            head.append(phrase(MARKS[key], language))
    if not head:
        return name
    return phrase("with_head", language, case=name, head=phrase("names", language).join(head))


def _spares(result: Result, language: Language) -> list[str]:
    """Return how many spares are enough, for this run and in the long run, over all cases."""
    found: list[Mapping[str, Any]] = [
        fact.values
        for case in result.cases.values()
        for fact in case.facts.values()
        if fact.code == "spares_needed"
    ]
    if not found:
        return []
    said: dict[str, str] = {}
    for name in ("n_run", "n_long_run"):
        low, high = (f"{f(values[name] for values in found):,}" for f in (min, max))
        said[name] = low if low == high else phrase("range", language, low=low, high=high)
    return [phrase("spares_for", language, share=100 * found[0]["lacking_frac"], **said)]


def _cells(
    result: Result, chosen: Sequence[Quantity], language: Language
) -> tuple[list[str], dict[str, list[str]]]:
    """Return the label of every quantity with its unit, and the cells of every case."""
    labels, cells = [], {name: list[str]() for name in result.cases}
    for quantity in chosen:
        found = {name: case.estimate(quantity.name) for name, case in result.cases.items()}
        ends = (where_cut(quantity, case) for case in result.cases.values())
        middles = (e.p50 for e in found.values())
        scale = scale_for(quantity.unit, (*middles, *ends), language)
        labels.append(scale.label(quantity, language))
        for name, case in result.cases.items():
            end = where_cut(quantity, case)
            texts = middle_and_range(quantity, found[name], scale, language, end=end)
            cells[name].append("\n".join(text for text in texts if text))
    return labels, cells


def _joined(cell: str, language: Language) -> str:
    return cell.replace("\n", phrase("comma", language))


def _without(result: Result, chosen: Sequence[Quantity], language: Language) -> list[str]:
    """Return which quantities some runs do not have, a line for each quantity."""
    lines = []
    for q in chosen:
        counts = {name: case.estimate(q.name).n_none for name, case in result.cases.items()}
        without = {name: n for name, n in counts.items() if n}
        if without:
            cases = phrase("between", language).join(f"{name} {n:,}" for name, n in without.items())
            label = q.axis(language, "")
            lines.append(phrase("missing", language, name=label, cases=cases, n=result.n_runs))
    return lines


def _about_means(result: Result, chosen: Sequence[Quantity], language: Language) -> str:
    """Return where means are, and how well those of the first that all cases have are known."""
    if result.n_runs == 1:
        return phrase("one_run", language)
    for quantity in chosen:
        found = [case.estimate(quantity.name) for case in result.cases.values()]
        shares = [e.ci95 / abs(e.mean) for e in found if e.mean and math.isfinite(e.ci95)]
        if quantity.unit and len(shares) == len(found):
            low, high = (significant(100 * share, 2) for share in (min(shares), max(shares)))
            within = low if low == high else phrase("range", language, low=low, high=high)
            label = quantity.axis(language, "")
            return phrase("means_known", language, name=label, within=within)
    return phrase("means", language)


def versus(
    result: Result,
    case: str,
    quantities: Iterable[str] | None = None,
    *,
    language: Language = "en",
) -> Table:
    """Return the difference of every other case to `case`, with a 95 % interval and in percent.

    Raises
    ------
    ComputePlanError
        If there is no such case or quantity.
    """
    chosen = headline(result, quantities)
    differences = result.differences(case, [q.name for q in chosen])
    base, none = result.case(case), Estimate.of([])
    labels, cells = [], {name: list[str]() for name in differences}
    for q in chosen:
        found = {name: others.get(q.name, none) for name, others in differences.items()}
        middles = (other.estimate(q.name).p50 for other in result.cases.values())
        scale = scale_for(q.unit, middles, language)
        labels.append(scale.label(q, language))
        for name, e in found.items():
            texts = difference(e, base.estimate(q.name).mean, scale, language)
            cells[name].append("\n".join(text for text in texts if text))
    grid: list[tuple[str, ...]] = [
        (phrase("case", language), *labels),
        *((name, *row) for name, row in cells.items()),
    ]
    if len(cells) < MOST_COLUMNS:
        grid = list(zip(*grid, strict=True))
    how = "differences" if result.n_runs > 1 else "differences_of_one_run"
    lines = [phrase(how, language)]
    for q in chosen:
        n_none = sum(others.get(q.name, none).n_none for others in differences.values())
        if n_none:
            said = {"name": q.axis(language, ""), "n": n_none}
            lines.append(phrase("missing_pairs", language, **said))
    title = phrase("versus", language, name=result.name, case=case)
    return Table(title, grid[0], tuple(grid[1:]), tuple(lines), ", ")


def jobs(result: Result, case: str, *, language: Language = "en") -> Table:
    """Return one row per job of a case: its facts, and the middle of the runs that have a value.

    Raises
    ------
    ComputePlanError
        If there is no such case.
    """
    found = result.case(case)
    facts = {name: texts for name, texts in found.job_facts.items() if any(texts)}
    alike = {
        name: texts[0] for name, texts in facts.items() if len(texts) > 1 and len({*texts}) == 1
    }
    columns = [
        (_fact_label(name, language), texts) for name, texts in facts.items() if name not in alike
    ]
    lines = [
        phrase("same_of_jobs", language, name=_fact_label(name, language), value=text)
        for name, text in alike.items()
    ]
    for name, quantity in JOB_QUANTITIES.items():
        if name not in found.jobs:
            continue
        estimates = [Estimate.of(column, quantity.bounds) for column in found.jobs[name].T]
        scale = scale_for(quantity.unit, (e.p50 for e in estimates), language)
        texts = tuple(middle_and_range(quantity, e, scale, language)[0] for e in estimates)
        columns.append((scale.label(quantity, language), texts))
        without = {
            job: e.n_none for job, e in zip(found.job_names, estimates, strict=True) if e.n_none
        }
        if without:
            told = phrase("between", language).join(f"{job} {n:,}" for job, n in without.items())
            label = quantity.axis(language, "")
            lines.append(phrase("missing", language, name=label, cases=told, n=result.n_runs))
    head = (phrase("job", language), *(name for name, _ in columns))
    rows = tuple(zip(found.job_names, *(texts for _, texts in columns), strict=True))
    title = phrase("jobs_of", language, case=case, n=result.n_runs)
    return Table(title, head, rows, tuple(lines))


def tenants(
    result: Result, quantities: Iterable[str] | None = None, *, language: Language = "en"
) -> Table | None:
    """Return one row per case and tenant, of its jobs and services; None where there is one.

    Parameters
    ----------
    result : Result
    quantities : iterable of str, optional
        Names, in this order; without, those asked for first that some tenant has.
    language : {"en", "zh"}, optional

    Raises
    ------
    ComputePlanError
        If a name is not in the table of quantities.
    """
    pairs = [(case, who) for case, found in result.cases.items() for who in found.tenants]
    if not pairs:
        return None
    whose = {case: found.job_facts.get("tenant", ()) for case, found in result.cases.items()}
    rows = [[f"{c}: {who or '-'}", f"{whose[c].count(who):,}"] for c, who in pairs]
    head = [f"{phrase('case', language)}: {phrase('tenant', language)}"]
    head.append(phrase("n_of_jobs", language))
    parts = [result.cases[case].tenants[who] for case, who in pairs]
    columns = headline(result, _OF_TENANTS if quantities is None else quantities)
    alike = _put(parts, columns, head, rows, language, every=quantities is not None)
    title = phrase("tenants_of", language, n=result.n_runs)
    return Table(title, tuple(head), tuple(map(tuple, rows)), alike, ", ")


def chips(
    result: Result, quantities: Iterable[str] | None = None, *, language: Language = "en"
) -> Table | None:
    """Return one row per case and kind of chip; None where no case has several pools.

    Of a chip in several pools each has a row of its own below.

    Parameters
    ----------
    result : Result
    quantities : iterable of str, optional
        Names, in this order; without, those asked for first that some chip has.
    language : {"en", "zh"}, optional

    Raises
    ------
    ComputePlanError
        If a name is not in the table of quantities.
    """
    found = {(c, *key): of for c, x in result.cases.items() for key, of in x.by_chip().items()}
    if not found:
        return None
    between = phrase("comma", language)
    rows = [[f"{case}: {between.join(filter(None, of))}"] for case, *of in found]
    head = [f"{phrase('case', language)}: {phrase('chip', language)}"]
    columns = headline(result, _OF_CHIPS if quantities is None else quantities)
    every = quantities is not None
    alike = _put([*found.values()], columns, head, rows, language, every=every)
    title = phrase("chips_of", language, n=result.n_runs)
    return Table(title, tuple(head), tuple(map(tuple, rows)), alike, ", ")


def _put(
    parts: Sequence[Mapping[str, FloatArray]],
    quantities: Sequence[Quantity],
    head: list[str],
    rows: list[list[str]],
    language: Language,
    *,
    every: bool,
) -> tuple[str, ...]:
    """Put a column for each quantity of some parts of cases; return what is alike in all, if any.

    Where not `every` one is asked for, what is alike or not there has no column.
    """
    alike, none = [], np.empty(0)
    for quantity in quantities:
        found = [Estimate.of(of.get(quantity.name, none), quantity.bounds) for of in parts]
        if not every and not any(e.n for e in found):
            continue
        scale = scale_for(quantity.unit, (e.p50 for e in found), language)
        texts = [middle_and_range(quantity, e, scale, language) for e in found]
        cells = ["\n".join(text for text in both if text) for both in texts]
        if not every and len({*cells}) == 1:
            label = scale.label(quantity, language)
            alike.append(phrase("value", language, name=label, value=_joined(cells[0], language)))
            continue
        head.append(scale.label(quantity, language))
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell)
    same = phrase("then", language).join(alike)
    return (phrase("same", language, values=same),) if alike else ()


def _fact_label(name: str, language: Language) -> str:
    return phrase(name, language) if name in _JOB_FACTS else name


_JOB_FACTS = ("model", "tenant", "pool", "deadline_h")
"""Facts of jobs that have words."""
