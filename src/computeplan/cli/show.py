"""What ``computeplan run`` prints: the answer, the table, three notes, where the rest is.

The note that weighs most, what could change the answer first, stands with the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from computeplan.cli.options import show_lines, show_table
from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.study.result import Result

__all__ = ["Shown"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What is asked to be shown of a result."""

    language: Language
    jobs: bool = False
    """A table of jobs for each case."""
    tenants: bool = False
    """A table of tenants."""
    power: bool = False
    """A table of the power of sites."""
    chips: bool = False
    """A table of kinds of chips."""
    versus: str | None = None
    """The case to which differences are shown."""
    notes: bool = False
    """All notes, instead of those that weigh most."""

    def show(self, result: Result) -> None:
        """Print a result on standard output."""
        from computeplan.report import result_views as views

        for line in views.missing(result, self.language):
            click.echo(line)
        said, notes = views.answer(result, self.language), self._notes(result)
        n_above = 1 if said and len(notes) > 1 and not self.notes else 0
        show_lines([*said, *notes[:n_above]])
        show_table(views.summary(result, language=self.language))
        if self.versus is not None:
            show_table(views.versus(result, self.versus, language=self.language))
        for is_asked, parts in (
            (self.tenants, views.tenants),
            (self.chips, views.chips),
            (self.power, views.power),
        ):
            if is_asked and (table := parts(result, language=self.language)) is not None:
                show_table(table)
        for name in result.cases if self.jobs else ():
            show_table(views.jobs(result, name, language=self.language))
        show_lines(notes[n_above:])

    def _notes(self, result: Result) -> list[str]:
        from computeplan.report.notes import all_notes, chief
        from computeplan.report.words import phrase

        facts = {name: case.facts for name, case in result.cases.items()}
        asks = result.asks or "time"
        every = all_notes(result.notes, facts, self.language, asks)
        if self.notes:
            about = [result.about.strip()] if result.about else []
            return [*about, *(f"- {line.text}" for line in every)]
        few = [f"- {text}" for text in chief(result.notes, facts, self.language, asks)]
        return [*few, phrase("more_notes", self.language)] if every else few
