"""What a search for what is needed says: the answer, how sure it is, and the values beside it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable

import numpy as np

from computeplan.planner.need import Need, Tried
from computeplan.quantities import QUANTITIES, significant
from computeplan.report.choices import Language
from computeplan.report.table import Table
from computeplan.report.words import phrase, sentence

__all__ = ["answer", "beside", "progress", "remarks"]

MOST_DECIMALS = 4
"""Of a percentage, where fewer do not tell it from the limit."""
_BY_FIND = {"least": "need_least", "greatest": "need_greatest"}


def answer(need: Need, language: Language) -> list[str]:
    """Return the answer, a sentence a line: the count, then every path with its value."""
    goal, best = need.goal.text, need.best
    if best is None:
        return [phrase("need_nothing_tried", language)]
    if need.answer is None:
        code = "need_none" if need.is_complete else "need_none_yet"
        found = {"best": _count(need, best, language), "value": _value(need, best.value)}
        vary = need.vary
        first, last = (_number(float(vary.count(point))) for point in (vary.first, vary.last))
        return [phrase(code, language, goal=goal, first=first, last=last, **found)]
    code = _BY_FIND[need.find] if need.is_complete else "need_so_far"
    count = _count(need, need.answer, language)
    interval = _interval(need, need.answer, language)
    runs = {"value": _value(need, need.answer.value), "interval": interval, "n_runs": need.n_runs}
    changes = need.answer.changes.items()
    settings = " ".join(f"-s {path}={shlex.quote(str(value))}" for path, value in changes)
    return [
        phrase(code, language, goal=goal, count=count, **runs),
        phrase("need_settings", language, settings=settings),
    ]


def beside(need: Need, language: Language) -> Table:
    """Return the answer and the values beside it, with what the goal asks for, by count."""
    chosen = _beside(need)
    head = (
        _counted(need.vary.unit or need.vary.moved[0].path.rpartition(".")[2], language),
        _left_side(need, language),
        phrase("interval_95", language),
        phrase("need_is_met", language),
    )
    rows = tuple(
        (
            _number(one.count),
            _value(need, one.value),
            _interval(need, one, language),
            phrase(_verdict(one), language),
        )
        for one in chosen
    )
    return Table("", head, rows)


def remarks(need: Need, language: Language) -> list[str]:
    """Return what a reader must know of the answer, one sentence each."""
    told = list(_cannot_be_told(need, language))
    if not need.is_monotone:
        odd = [one for one in need.better if not one.is_met]
        counts = phrase("between", language).join(_count(need, one, language) for one in odd[:3])
        told.append(phrase("need_not_monotone", language, counts=counts))
    shown = _beside(need)
    for one in shown:
        for note in one.notes:
            said = {"count": _count(need, one, language), "note": sentence(note, language)}
            told.append(phrase("need_at", language, **said))
    told += _cut(need, shown, language)
    n_tried = len(need.tried)
    effort = {"n": n_tried, "n_runs": need.n_runs, "n_in_all": n_tried * need.n_runs}
    told.append(phrase("need_effort", language, **effort))
    if failed := [one for one in need.tried if one.failed]:
        first = {"count": _number(failed[0].count), "why": failed[0].failed}
        told.append(phrase("need_failed", language, n=len(failed), **first))
    row = [one.count for one in shown]
    near = next((count for count in need.skipped if row and min(row) < count < max(row)), None)
    if near is not None:
        skipped = {"n": len(need.skipped), "count": _number(near), "why": need.skipped[near]}
        told.append(phrase("need_skipped", language, **skipped))
    if not need.is_complete:
        told.append(phrase("need_incomplete", language))
    return told


def progress(tried: Tried, language: Language) -> str:
    """Return what is said while it is searched: what was tried last."""
    found = {"count": _number(tried.count), "value": significant(tried.value, 4)}
    return phrase("need_progress", language, **found)


def _count(need: Need, one: Tried, language: Language) -> str:
    """Return a count with what is counted: ``1,408 chips``, ``44 nodes``, ``dp 16``."""
    number, name = _number(one.count), need.vary.moved[0].path.rpartition(".")[2]
    if need.vary.unit:
        return f"{number} {_counted(need.vary.unit, language)}"
    return phrase("n_chips", language, n=int(one.count)) if name == "chips" else f"{name} {number}"


def _counted(name: str, language: Language) -> str:
    """Return what is counted in a language; a name of a scenario stays as it is."""
    known = {"node": "need_nodes", "nodes": "need_nodes", "chips": "need_chips"}
    return phrase(known[name], language) if language == "zh" and name in known else name


def _number(count: float) -> str:
    return f"{count:,.0f}" if count == round(count) else f"{count:,.6g}"


def _beside(need: Need) -> list[Tried]:
    """Return what is shown of all that was tried: the answer, its neighbours, the nearest sure."""
    if not need.tried:
        return []
    if need.answer is None:
        return sorted({need.tried[0], need.tried[-1], need.best or need.tried[0]}, key=_by_count)
    sure_worse = next((one for one in need.worse if one.is_sure and not one.is_met), None)
    sure_better = next((one for one in need.better if one.is_sure and one.is_met), None)
    near = (*need.worse[:1], *need.better[:1], need.answer, sure_worse, sure_better)
    return sorted({one for one in near if one is not None}, key=_by_count)


def _by_count(one: Tried) -> float:
    return one.count


def _verdict(one: Tried) -> str:
    if one.is_met:
        return "need_met" if one.is_sure else "need_met_perhaps"
    return "need_not_met" if one.is_sure else "need_not_met_perhaps"


def _cannot_be_told(need: Need, language: Language) -> Iterable[str]:
    """Yield which values these runs cannot tell from the goal."""
    if need.answer is None:
        return
    row = sorted([*need.worse, need.answer, *need.better], key=_by_count)
    i = row.index(need.answer)
    first = last = i
    while first > 0 and _is_untold(row[first - 1]):
        first -= 1
    while last + 1 < len(row) and _is_untold(row[last + 1]):
        last += 1
    unsure = [one for one in row[first : last + 1] if _is_untold(one)]
    if not unsure:
        return
    ends = _number(unsure[0].count), _count(need, unsure[-1], language)
    sure = next((one for one in need.better if one.is_sure and one.is_met), None)
    said = {
        "limit": _limit(need),
        "n_runs": need.n_runs,
        "first": ends[0],
        "last": ends[1],
        "one": len(unsure) == 1,
        "sure": None if sure is None else _count(need, sure, language),
    }
    yield phrase("need_untold", language, **said)


def _cut(need: Need, shown: Iterable[Tried], language: Language) -> Iterable[str]:
    """Yield of which values the left side is not known, because runs were cut before."""
    for one in shown:
        n = int(np.isinf(one.values).sum())
        if n and (not need.goal.is_about_time or math.isinf(one.value)):
            said = {"count": _count(need, one, language), "n": n, "n_runs": need.n_runs}
            yield phrase("need_cut", language, **said)


def _is_untold(one: Tried) -> bool:
    """Return whether more runs would tell a value from the goal; not if they are cut, too."""
    return not one.is_sure and (math.isfinite(one.value) or math.isfinite(one.low))


def _left_side(need: Need, language: Language) -> str:
    """Return the left side of the goal as it was written; in Chinese a mean by its label."""
    text = need.goal.text
    at = max(text.rfind(sign) for sign in ("<=", ">=", "≤", "≥", "＜", "＞"))
    left = text[:at].strip()
    is_bare = need.goal.statistic == "mean" and not left.startswith("mean")
    if is_bare and language == "zh" and not need.goal.is_probability:
        return phrase("need_mean", language, label=QUANTITIES[need.goal.quantity].label_zh)
    return f"mean({left})" if is_bare else left


def _is_share(need: Need) -> bool:
    return need.goal.is_probability or QUANTITIES[need.goal.quantity].bounds is not None


def _value(need: Need, value: float) -> str:
    """Return a value of the left side with its unit, in digits that tell it from the limit."""
    if math.isnan(value):
        return "-"
    if _is_share(need):
        decimals, limit = 1, need.goal.limit
        while decimals < MOST_DECIMALS and value != limit and _equal(value, limit, decimals):
            decimals += 1
        return f"{100 * value:.{decimals}f} %"
    quantity = QUANTITIES[need.goal.quantity]
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{quantity.text(value)} {quantity.unit}".strip()


def _equal(value: float, limit: float, decimals: int) -> bool:
    return f"{100 * value:.{decimals}f}" == f"{100 * limit:.{decimals}f}"


def _limit(need: Need) -> str:
    if _is_share(need):
        return f"{100 * need.goal.limit:g} %"
    return _value(need, need.goal.limit)


def _interval(need: Need, one: Tried, language: Language) -> str:
    low, high = (_value(need, end) for end in (one.low, one.high))
    unit = " %" if _is_share(need) else f" {QUANTITIES[need.goal.quantity].unit}"
    return phrase("range", language, low=low.removesuffix(unit), high=high)
