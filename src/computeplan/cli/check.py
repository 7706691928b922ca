"""``computeplan check``: everything that can be known without simulating."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from computeplan.cli.options import (
    PARTIAL,
    json_option,
    language_option,
    load_with,
    scenario_options,
    show_lines,
)
from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.study.cases import Case

__all__ = ["check"]


@click.command()
@scenario_options
@language_option
@click.option("--notes", "with_notes", is_flag=True, help="Print all notes, not three.")
@json_option
def check(
    scenario: str,
    settings: tuple[str, ...],
    language: Language,
    with_notes: bool,
    as_json: bool,
) -> None:
    """Check SCENARIO and all of its cases; say what will be played, and what to know."""
    from rich.console import Console
    from rich.markup import escape

    from computeplan.report.notes import all_notes, chief
    from computeplan.report.words import phrase, sentences
    from computeplan.study.cases import compile_cases, notes_of

    loaded = load_with(scenario, settings)
    with Console(stderr=True).status("") as status:
        cases, infeasible = compile_cases(loaded, lambda what: status.update(escape(what)))
    notes = notes_of(cases)
    if as_json:
        found = {
            case.name: {
                "engine": case.engine,
                "jobs": [job.name for job in case.world.jobs],
                "pools": {pool.name: pool.n_chips for pool in case.world.pools},
            }
            for case in cases
        }
        left_out = {name: str(why) for name, why in infeasible.items()}
        document = {"cases": found, "notes": sentences(notes, language), "infeasible": left_out}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        show_lines(_played(cases, language))
        asks = loaded.asks or "time"
        every = [line.text for line in all_notes(notes, {}, language, asks)]
        told = every if with_notes else chief(notes, {}, language, asks)
        rest = [phrase("more_notes_of_check", language)] if every and not with_notes else []
        show_lines([*(f"- {text}" for text in told), *rest])
    for name, why in infeasible.items():
        click.echo(phrase("cannot_be_played", language, case=name, why=why), err=True)
    if infeasible:
        click.get_current_context().exit(PARTIAL)
    if not as_json:
        click.echo(phrase("ok", language))


def _played(cases: Iterable[Case], language: Language) -> list[str]:
    """Return what is played, a line for all cases that are alike in it."""
    from computeplan.report.words import phrase

    alike: dict[tuple[str, str, str], list[str]] = {}
    for case in cases:
        pools = phrase("between", language).join(
            f"{pool.name} {phrase('n_chips', language, n=pool.n_chips)}"
            for pool in case.world.pools
        )
        jobs = phrase("n_jobs", language, n=len(case.world.jobs))
        alike.setdefault((jobs, pools, case.engine), []).append(case.name)
    return [
        phrase(
            "check_case",
            language,
            case=phrase("names", language).join(names),
            jobs=jobs,
            pools=pools,
            engine=engine,
        )
        for (jobs, pools, engine), names in alike.items()
    ]
