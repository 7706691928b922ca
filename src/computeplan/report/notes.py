"""What a reader must know, by weight: what could change the answer comes first.

A terminal shows the few that weigh most; all of them are in ``notes.md``. Notes that say the same
of several chips or cases are one line. What is known of the speed of chips is one line for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from computeplan.notes import Note
from computeplan.report.choices import Language
from computeplan.report.numbers import percent
from computeplan.report.words import phrase, sentence
from computeplan.report.words.weights import LEAST_SHOWN, weight_of
from computeplan.study.result import Result

__all__ = ["Line", "all_notes", "as_markdown", "chief"]

MOST_SHOWN = 3
"""Lines on a terminal."""
MOST_NAMED = 6
"""Cases named in a line; the others are counted."""
LACKS = 0.01
"""Share of time, in the long run, from which a lacking node is told."""
OFTEN = 0.1
"""Share of time from which that weighs more than how inputs are known."""
_OF_SPEED = (
    "chip_is_estimate",
    "peak_is_estimate",
    "numbers_of_other_family",
    "products_of_other_chip",
    "links_of_other_chip",
    "step_rests_on",
)
_OF_CUT = (
    "unfinished",
    "carried_on",
    "beyond_not_steady",
    "beyond_no_closed_form",
    "beyond_several_jobs",
    "beyond_too_short",
)
_JOINED = ("chip", "case", "of_case", "job", "site", "pool")
"""Values in which notes may differ and still be one line."""

_UNKNOWN = ("beyond_no_closed_form", "beyond_several_jobs", "beyond_too_short")

Facts = Mapping[str, Mapping[str, Note]]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to know, in words."""

    weight: int
    text: str
    chip: str = ""
    """The chip that it is about, if about one."""
    is_fact: bool = False
    """Whether it stands beside the numbers of a case, rather than in their way."""


def all_notes(
    notes: Sequence[Note], facts: Facts, language: Language, asks: str = "time"
) -> list[Line]:
    """Return every note and fact, the weightiest first, each once.

    Parameters
    ----------
    notes : sequence of Note
        Of all cases.
    facts : mapping of str to mapping of str to Note
        By case and name of the fact.
    language : {"en", "zh"}
    asks : str, optional
        By what cases are compared: it changes what weighs.
    """
    lines = [
        Line(weight_of(note.code, asks), sentence(note, language), str(note.values.get("chip", "")))
        for note in _merged(notes, language)
    ]
    said = {*notes}
    for name in dict.fromkeys(name for of_case in facts.values() for name in of_case):
        by_text: dict[tuple[str, str], list[str]] = {}
        for case, of_case in facts.items():
            if (fact := of_case.get(name)) is not None and fact not in said:
                by_text.setdefault((fact.code, sentence(fact, language)), []).append(case)
        for (code, text), cases in by_text.items():
            if len(cases) < len(facts):
                text = phrase("of_cases", language, cases=_named(cases, language), text=text)
            lines.append(Line(weight_of(code, asks), text, is_fact=True))
    once = {line.text: line for line in lines}
    return sorted(once.values(), key=lambda line: -line.weight)


def chief(notes: Sequence[Note], facts: Facts, language: Language, asks: str = "time") -> list[str]:
    """Return the few lines that weigh most, short: long runs, ends and speeds are one line each."""
    lines, left_out = [], {*_OF_SPEED, *_OF_CUT, "lacking"}
    lacking = {case: note for case, of_case in facts.items() if (note := _lacks(of_case))}
    shares = {
        case: float(share)
        for case, note in lacking.items()
        if isinstance(share := note.values["long_run_frac"], float) and share >= LACKS
    }
    if shares:
        left_out |= {"not_the_long_run"}
        weight = weight_of("lacking" if max(shares.values()) >= OFTEN else "lacking_seldom")
        lines.append(Line(weight, _said_of_lacking(shares, facts, language)))
    lines += _said_of_cut(notes, facts, language)
    if speed := _said_of_speed(notes, language):
        lines.append(Line(weight_of("step_rests_on"), speed))
    plain = [note for note in notes if note.code not in left_out]
    kept = {
        case: {name: fact for name, fact in of_case.items() if fact.code not in left_out}
        for case, of_case in facts.items()
    }
    lines += all_notes(plain, kept, language, asks)
    lines.sort(key=lambda line: -line.weight)
    return [line.text for line in lines if line.weight >= LEAST_SHOWN][:MOST_SHOWN]


def as_markdown(result: Result, language: Language = "en") -> str:
    """Return all notes of a result as a page: what weighs most first, then chip by chip, facts."""
    facts = {name: case.facts for name, case in result.cases.items()}
    lines = all_notes(result.notes, facts, language, result.asks or "time")
    chips = dict.fromkeys(line.chip for line in lines if line.chip)
    blocks = [
        ("", [result.about.strip()] if result.about else []),
        (phrase("notes", language), _bullets(x for x in lines if not (x.chip or x.is_fact))),
        *((chip, _bullets(x for x in lines if x.chip == chip)) for chip in chips),
        (phrase("facts", language), _bullets(x for x in lines if x.is_fact)),
    ]
    parts = [f"# {result.name}"]
    for head, texts in blocks:
        if texts:
            parts.append("\n".join(texts) if not head else f"## {head}\n\n" + "\n".join(texts))
    return "\n\n".join(parts) + "\n"


def _bullets(lines: Iterable[Line]) -> list[str]:
    return [f"- {line.text}" for line in lines]


def _named(names: Sequence[str], language: Language) -> str:
    shown = phrase("names", language).join(names[:MOST_NAMED])
    n_more = len(names) - MOST_NAMED
    return shown if n_more <= 0 else phrase("and_more", language, names=shown, n=n_more)


def _merged(notes: Iterable[Note], language: Language) -> list[Note]:
    """Return notes in their order, those that differ in chips, cases or places only as one."""
    alike: dict[tuple[object, ...], list[Note]] = {}
    for note in dict.fromkeys(notes):
        rest = tuple(item for item in note.items if item[0] not in _JOINED)
        alike.setdefault((note.code, rest, tuple(name for name, _ in note.items)), []).append(note)
    return [_as_one(found, language) for found in alike.values()]


def _as_one(notes: Sequence[Note], language: Language) -> Note:
    items = []
    for name, value in notes[0].items:
        values = [str(note.values[name]) for note in notes] if name in _JOINED else []
        items.append((name, _named([*dict.fromkeys(values)], language) if values[1:] else value))
    return replace(notes[0], items=tuple(items))


def _lacks(facts: Mapping[str, Note]) -> Note | None:
    return next((fact for fact in facts.values() if fact.code == "lacking"), None)


def _said_of_lacking(shares: Mapping[str, float], facts: Facts, language: Language) -> str:
    """Say of which cases nodes run out in the long run, and where the time is cut because of it."""
    texts = {case: f"{percent(share)} %" for case, share in shares.items()}
    if len(texts) == len(facts) and len({*texts.values()}) == 1:
        cases = phrase("all_cases", language, value=next(iter(texts.values())))
    else:
        worst = sorted(texts, key=lambda case: -shares[case])
        cases = _named([f"{case} {texts[case]}" for case in worst], language)
    cut = [
        fact.values["cut_days"]
        for of_case in facts.values()
        for fact in of_case.values()
        if fact.code == "beyond_not_steady"
    ]
    code = "lacks_beyond" if cut else "lacks"
    return phrase(code, language, cases=cases, days=min(map(_number, cut), default=0.0))


def _said_of_cut(notes: Iterable[Note], facts: Facts, language: Language) -> list[Line]:
    """Say what it means that runs were cut before the work was done."""
    cut = {
        case: fact
        for case, of_case in facts.items()
        for fact in of_case.values()
        if fact.code in _OF_CUT
    }
    days = min((_number(fact.values["cut_days"]) for fact in cut.values()), default=0.0)
    unknown = [case for case, f in cut.items() if f.code.startswith(_UNKNOWN)]
    lines = []
    if unknown:
        cases = _named(unknown, language)
        said = phrase("not_carried_on", language, days=days, cases=cases)
        lines.append(Line(weight_of(cut[unknown[0]].code), said))
    if cut and any(note.code == "unfinished" for note in notes):
        is_carried_on = any(fact.code == "carried_on" for fact in cut.values())
        code = "cut_and_carried_on" if is_carried_on else "cut"
        lines.append(Line(weight_of("unfinished"), phrase(code, language, days=days)))
    return lines


def _number(value: object) -> float:
    return float(value) if isinstance(value, float | int) else 0.0


def _said_of_speed(notes: Iterable[Note], language: Language) -> str:
    """Say on how many chips speeds were measured, and which chips are estimates."""
    rests: dict[tuple[object, object], None] = {}
    guessed: dict[str, None] = {}
    for note in notes:
        if note.code == "step_rests_on":
            rests[note.values["largest"], note.values["family"]] = None
        elif note.code in _OF_SPEED:
            guessed[str(note.values["chip"])] = None
    said = [phrase("rests_on", language, n=largest, family=family) for largest, family in rests]
    between = phrase("between", language)
    texts = []
    if said:
        texts.append(phrase("speeds", language, runs=between.join(said)))
    if guessed:
        texts.append(phrase("guessed", language, chips=_named([*guessed], language)))
    return phrase("sentences", language).join(texts)
