"""The answer to the question of a scenario, in a sentence or three.

Of several cases: which is the best, by how much against the first, and from which it cannot be told
apart. The difference is that of the means, run by run on the same samples, with its 95 % interval;
beside it stands in how many runs the best is the better one, because where an input is uncertain
the mean is known far better than what a single fleet will see. The best of many is picked by the
very runs it is judged by, so the cases that are not told apart from it are named.

Of one case: the middle of its runs, with their 90 % range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.quantities import QUANTITIES, TIMES, Quantity, in_currency, time_of
from computeplan.report.choices import Language
from computeplan.report.numbers import (
    DONE,
    PER_TOKEN,
    Scale,
    are_unfinished,
    called,
    difference,
    middle_and_range,
    paid_for,
    scale_for,
    where_cut,
)
from computeplan.report.service_answer import service_lines
from computeplan.report.words import phrase
from computeplan.results.cases import differences
from computeplan.results.estimates import Estimate
from computeplan.study.result import Result
from computeplan.units import CURRENCIES

__all__ = ["MARKS", "Question", "answer", "question_of"]

MOST_NAMED = 4
"""Cases named in a sentence; the others are counted."""
MARKS = {"mfu_above_published": "head_mfu", "data_sheet_only": "head_sheet"}
"""Facts that stand beside the name of a case wherever it is told, and their words."""
_TOTALS = {
    "energy": ("energy_kwh",),
    "cost": tuple(in_currency("cost_usd", unit) for unit in CURRENCIES),
    "carbon": ("carbon_kg",),
}
_BEST = {
    "time": "best_time",
    "pace": "best_pace",
    "energy": "best_energy",
    "cost": "best_cost",
    "carbon": "best_carbon",
    "availability": "best_availability",
    "deadline": "best_deadline",
}
_MORE_IS_BETTER = {DONE, "available_frac", "goodput_tok_per_s", "ettr"}


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared."""

    asks: str
    """As a scenario says it; ``pace`` where no time is known in any case."""
    quantity: Quantity

    @property
    def sign(self) -> int:
        """1 where less is better, else -1."""
        return -1 if self.quantity.name in _MORE_IS_BETTER else 1


def question_of(result: Result) -> Question | None:
    """Return the question of a scenario, or the obvious one: a deadline, else the time it takes.

    Where work is unfinished, totals are asked per token; where no time is known, the pace.
    """
    time = time_of(max(len(case.job_names) for case in result.cases.values()))
    asks = result.asks or ("deadline" if _is_known(result, DONE) else "time")
    names: tuple[str, ...] = {
        "time": (time,),
        "deadline": (DONE, time),
        "availability": ("available_frac",),
        **_TOTALS,
    }[asks]
    if asks in _TOTALS and are_unfinished(result):
        names = tuple(PER_TOKEN[name] for name in names)
    for name in names:
        if _is_known(result, name) and not (name == time and _may_be_faster(result, name)):
            quantity = called(result, QUANTITIES[name])
            return Question(asks if name != time else "time", quantity)
    for name in ("goodput_tok_per_s", "ettr"):
        if _is_known(result, name):
            return Question("pace", QUANTITIES[name])
    return None


def _may_be_faster(result: Result, time: str) -> bool:
    """Return whether a case without a known time was faster, as far as it went, than all with one.

    Then the times that are known do not say which case is the fastest.
    """
    pace: dict[bool, list[float]] = {True: [], False: []}
    for case in result.cases.values():
        is_known = bool(np.isfinite(case.values.get(time, np.array([np.nan]))).mean() >= 0.5)
        pace[is_known].append(case.estimate("ettr").mean)
    return max(pace[False], default=-math.inf) > max(pace[True], default=-math.inf)


def _is_known(result: Result, name: str) -> bool:
    """Return whether any case has the quantity, as a number, in half of its runs or more."""
    return name in QUANTITIES and any(
        np.isfinite(case.values.get(name, np.array([np.nan]))).mean() >= 0.5
        for case in result.cases.values()
    )


def answer(result: Result, language: Language = "en") -> list[str]:
    """Return the answer, a sentence a line; none if there is nothing to compare or to tell."""
    question = question_of(result)
    asked = [] if question is None else _asked(result, question, language)
    return [*asked, *service_lines(result, language)]


def _asked(result: Result, question: Question, language: Language) -> list[str]:
    """Return the answer to a question."""
    if len(result.cases) == 1:
        return _of_one(result, question, language)
    name = question.quantity.name
    values = {case: _values(result, case, name) for case in result.cases}
    if name == DONE and (safe := [case for case, v in values.items() if (v == 1).all()])[1:]:
        estimate = result.cases[safe[0]].estimate(name)
        _, band = middle_and_range(question.quantity, estimate, Scale(1.0, ""), language)
        said = {"cases": _named(result, safe, language), "n": result.n_runs, "range": band}
        lines = [phrase("all_in_time", language, **said)]
        rest = _time_question(result)
        return lines if rest is None else lines + _of_several(result, rest, language)
    first = values[next(iter(values))]
    if all(np.array_equal(v, first, equal_nan=True) for v in values.values()):
        told = _told(result, next(iter(result.cases)), question, language)
        said = {"n": len(values), "name": question.quantity.axis(language, ""), "value": told}
        return [phrase("all_alike", language, **said)]
    return _of_several(result, question, language)


def _time_question(result: Result) -> Question | None:
    names = [n for n in TIMES if _is_known(result, n)]
    return Question("time", QUANTITIES[names[0]]) if names else None


def _values(result: Result, case: str, name: str) -> FloatArray:
    values = result.cases[case].values.get(name)
    return np.full(result.n_runs, np.nan) if values is None else values


def _of_one(result: Result, question: Question, language: Language) -> list[str]:
    (case,) = result.cases
    asked = [question]
    if question.asks == "deadline":
        asked = [*([rest] if (rest := _time_question(result)) else []), question]
    told = (
        phrase(
            "value_of",
            language,
            name=q.quantity.axis(language, ""),
            value=_told(result, case, q, language),
        )
        for q in asked
    )
    return [phrase("sentence", language, text=phrase("then", language).join(told))]


def _told(result: Result, case: str, question: Question, language: Language) -> str:
    """Return the middle of a case with its unit and range."""
    quantity, found = question.quantity, result.cases[case]
    estimate = found.estimate(quantity.name)
    end, scale = where_cut(quantity, found), _scale(result, case, quantity, language)
    middle, band = middle_and_range(quantity, estimate, scale, language, end=end)
    text = _with_unit(middle, scale)
    code = "with_interval" if quantity.name == DONE else "with_range"
    return phrase(code, language, value=text, range=band) if band else text


def _scale(result: Result, case: str, quantity: Quantity, language: Language) -> Scale:
    """Return the multiple of the unit in which a case is told, and differences to it."""
    found = result.cases[case]
    values = (found.estimate(quantity.name).p50, where_cut(quantity, found))
    return scale_for(quantity.unit, values, language)


def _with_unit(text: str, scale: Scale) -> str:
    return f"{text} {scale.unit}" if scale.unit else text


def _of_several(result: Result, question: Question, language: Language) -> list[str]:
    order = _ranked(result, question)
    best, first = order[0], next(iter(result.cases))
    case = _marked(result, best, language)
    said = {"n": len(order), "case": case, "value": _told(result, best, question, language)}
    name = question.quantity.name
    to_best = {
        case: found.get(name, Estimate.of([]))
        for case, found in result.differences(best, [name]).items()
    }
    other = order[1] if best == first else first
    is_bill = question.asks == "cost" and not paid_for(result)
    code = "best_bill" if is_bill else _BEST[question.asks]
    is_clear = result.n_runs == 1 or not _holds_zero(to_best[other])
    lines = [phrase(code if is_clear else "no_clear_best", language, **said)]
    lines.append(_against(result, question, best, other, language))
    others = [case for case in order[1:] if case != other]
    n_done = {case: int(np.isfinite(_values(result, case, name)).sum()) for case in others}
    in_part = [case for case in others if 0 < n_done[case] < result.n_runs]
    alike = [case for case in others if case not in in_part and _holds_zero(to_best[case])]
    if alike:
        lines.append(phrase("not_told_apart", language, cases=_named(result, alike, language)))
    if in_part:
        most = max(n_done[case] for case in in_part)
        told = {"cases": _named(result, in_part, language), "n": result.n_runs, "n_done": most}
        lines.append(phrase("known_in_part", language, **told))
    return lines


def _marked(result: Result, case: str, language: Language) -> str:
    """Return the name of a case, with a mark where nobody has shown the speed it trains at."""
    facts = result.cases[case].facts
    marks = [phrase(code, language) for name, code in MARKS.items() if name in facts]
    said = phrase("names", language).join(marks)
    return phrase("marked", language, case=case, marks=said) if marks else case


def _named(result: Result, cases: list[str], language: Language) -> str:
    named = (_marked(result, case, language) for case in cases[:MOST_NAMED])
    shown = phrase("names", language).join(named)
    n_more = len(cases) - MOST_NAMED
    return shown if n_more <= 0 else phrase("and_more", language, names=shown, n=n_more)


def _ranked(result: Result, question: Question) -> list[str]:
    """Return the cases from the best: by mean, or by median where a run has no end in sight."""
    values = {case: _values(result, case, question.quantity.name) for case in result.cases}
    is_whole = not any(np.isinf(v).any() for v in values.values())

    def rank(case: str) -> tuple[bool, float]:
        known = values[case][~np.isnan(values[case])]
        if not known.size:
            return True, 0.0
        middle = known.mean() if is_whole else np.quantile(known, 0.5, method="inverted_cdf")
        return False, question.sign * float(middle)

    return sorted(result.cases, key=rank)


def _holds_zero(found: Estimate) -> bool:
    """Return whether the interval of a difference holds zero; one run tells nothing apart."""
    if not found.n or math.isnan(found.mean):
        return False
    return not (found.low > 0 or found.high < 0)


def _against(
    result: Result,
    question: Question,
    best: str,
    other: str,
    language: Language,
) -> str:
    """Say by how much the best is better than another case, or that they are not told apart."""
    quantity = question.quantity
    both = differences(result.cases[best], result.cases[other], names=[quantity.name])
    found = both.get(quantity.name, Estimate.of([]))
    role = "first" if other == next(iter(result.cases)) else "next"
    case = phrase(role, language, case=_marked(result, other, language))
    if not found.n or math.isnan(found.mean):
        value = _told(result, other, question, language)
        return phrase("no_difference", language, case=case, value=value)
    is_share = not quantity.unit
    scale = (
        Scale(0.01, phrase("points", language))
        if is_share
        else _scale(result, best, quantity, language)
    )
    base = 0.0 if is_share else result.cases[other].estimate(quantity.name).mean
    text, band, share = difference(found, base, scale, language)
    told = {"value": _with_unit(text, scale), "interval": band, "percent": share}
    said = {"case": case, "difference": phrase("difference", language, **told)}
    if not found.mean and not band:
        return phrase("as_good", language, case=case)
    if not band:
        return phrase("against_one", language, **said)
    if _holds_zero(found):
        return phrase("not_apart", language, **said)
    better = _n_better(result, question, best, other)
    return phrase("against", language, **said, better=better, n=result.n_runs)


def _n_better(result: Result, question: Question, best: str, other: str) -> int:
    """Return in how many runs the best is better than another case."""
    name = question.quantity.name
    a, b = _values(result, best, name), _values(result, other, name)
    return int(np.count_nonzero(question.sign * (a - b) < 0))
