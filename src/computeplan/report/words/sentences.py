"""A note as a sentence, and other words by their code, in the language of the reader.

A catalogue holds, by code, a text with the names of values, or a function of the values. Both
languages have the same codes. Notes are made below ``report/`` and say facts; phrases are what
tables, figures and commands say around them: titles, heads, legends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from computeplan.notes import Note
from computeplan.physics.steptime.layout import Layout
from computeplan.report.choices import Language
from computeplan.report.words import chinese, english, phrases_chinese, phrases_english

__all__ = ["layout_words", "phrase", "sentence", "sentences"]

Said = str | Callable[[Mapping[str, Any]], str]

_SENTENCES: Mapping[Language, Mapping[str, Said]] = {
    "en": english.SENTENCES,
    "zh": chinese.SENTENCES,
}
_PHRASES: Mapping[Language, Mapping[str, Said]] = {
    "en": phrases_english.PHRASES,
    "zh": phrases_chinese.PHRASES,
}


def sentence(note: Note, language: Language = "en") -> str:
    """Return what a note says; of a later version that has no words here, its code and values.

    Examples
    --------
    >>> from computeplan.notes import note
    >>> sentence(note("chip_is_estimate", chip="acme/x1"))
    'acme/x1: its profile is an estimate'
    >>> sentence(note("chip_is_estimate", chip="acme/x1"), "zh")
    'acme/x1：芯片参数为估计值'

    A note that is true of one case only begins with it.

    >>> from computeplan.notes import of_case
    >>> sentence(of_case(note("chip_is_estimate", chip="acme/x1"), "base"))
    'base: acme/x1: its profile is an estimate'
    """
    words = _SENTENCES[language].get(note.code)
    if words is None:
        return ", ".join((note.code, *(f"{name}: {value}" for name, value in note.items)))
    text = _said(words, note.values)
    case = note.values.get("of_case")
    return text if case is None else phrase("of_cases", language, cases=case, text=text)


def sentences(notes: Iterable[Note], language: Language = "en") -> list[str]:
    """Return what notes say, each sentence once."""
    return list(dict.fromkeys(sentence(note, language) for note in notes))


def phrase(code: str, language: Language, **values: object) -> str:
    """Return the words of a code that tables, figures and commands say.

    Raises
    ------
    KeyError
        If no catalogue has the code: a test looks at every call.

    Examples
    --------
    >>> phrase("n_chips", "en", n=1280), phrase("n_chips", "zh", n=1280)
    ('1,280 chips', '1,280 卡')
    """
    return _said(_PHRASES[language][code], values)


def layout_words(layout: Layout, language: Language) -> tuple[str, ...]:
    """Return what there is to say of a single layout, a part each.

    Examples
    --------
    >>> layout_words(Layout.of(tp=8, recompute=2), "en")
    ('tp 8', 'micro-batch 1', 'recompute full')
    >>> layout_words(Layout.of(tp=8, recompute=2), "zh")
    ('TP 8', '微批次 1', '完全重计算')
    """
    return {"en": english.layout_words, "zh": chinese.layout_words}[language](layout)


def _said(words: Said, values: Mapping[str, Any]) -> str:
    return words.format(**values) if isinstance(words, str) else words(values)
