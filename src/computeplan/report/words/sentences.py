"""A note as a sentence."""

from __future__ import annotations

from collections.abc import Iterable

from computeplan.notes import Note
from computeplan.report.words import english

__all__ = ["sentence", "sentences"]


def sentence(note: Note) -> str:
    """Return what a note says; of a later version that has no words here, its code and values.

    Examples
    --------
    >>> from computeplan.notes import note
    >>> sentence(note("chip_is_estimate", chip="acme/x1"))
    'acme/x1: its profile is an estimate'
    """
    words = english.SENTENCES.get(note.code)
    if words is None:
        return ", ".join((note.code, *(f"{name}: {value}" for name, value in note.items)))
    return words.format(**note.values) if isinstance(words, str) else words(note.values)


def sentences(notes: Iterable[Note]) -> list[str]:
    """Return what notes say, each sentence once."""
    return list(dict.fromkeys(map(sentence, notes)))
