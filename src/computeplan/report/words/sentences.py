"""A note as a sentence."""

from __future__ import annotations

from collections.abc import Iterable

from computeplan.notes import Note
from computeplan.report.words import english

__all__ = ["sentence", "sentences"]


def sentence(note: Note) -> str:
    """Return what a note says.

    Raises
    ------
    KeyError
        If the language has no words for its code.

    Examples
    --------
    >>> from computeplan.notes import note
    >>> sentence(note("chip_is_estimate", chip="acme/x1"))
    'acme/x1: its profile is an estimate'
    """
    words = english.SENTENCES[note.code]
    return words.format(**note.values) if isinstance(words, str) else words(note.values)


def sentences(notes: Iterable[Note]) -> list[str]:
    """Return what notes say, each sentence once."""
    return list(dict.fromkeys(map(sentence, notes)))
