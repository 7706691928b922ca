"""Notes: what a reader of numbers must know, as a code with values.

Below ``report/`` no sentences are written: what is said of a note stands in ``report/words/``. No
behaviour depends on the text of a note, or on whether there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

__all__ = ["Note", "NoteValue", "Notes", "note", "of_case", "of_some", "quoted"]

NoteValue = str | int | float | bool | None | tuple["NoteValue", ...]


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to know."""

    code: str
    """Names the sentence, in the table of each language."""
    items: tuple[tuple[str, NoteValue], ...] = ()
    """What the sentence is about, by name: plain data, unrounded, in SI units."""

    @property
    def values(self) -> Mapping[str, NoteValue]:
        """What the sentence is about, by name."""
        return MappingProxyType(dict(self.items))


Notes = tuple[Note, ...]


def note(code: str, **values: NoteValue) -> Note:
    """Return a note.

    Examples
    --------
    >>> note("chip_is_estimate", chip="acme/x1")
    Note(code='chip_is_estimate', items=(('chip', 'acme/x1'),))
    """
    return Note(code, tuple(values.items()))


def of_case(one: Note, case: str) -> Note:
    """Return a note that is true of a case only; its sentence begins with the case.

    Examples
    --------
    >>> of_case(note("chip_is_estimate", chip="acme/x1"), "base").values["of_case"]
    'base'
    """
    return replace(one, items=(*one.items, ("of_case", case)))


def of_some(*counts: Note) -> Notes:
    """Return those notes whose count ``n`` is not zero."""
    return tuple(one for one in counts if one.values["n"])


def quoted(texts: Iterable[str]) -> Notes:
    """Return notes that repeat what is written elsewhere: by a user, or in a source."""
    return tuple(note("quoted", text=text) for text in texts)
