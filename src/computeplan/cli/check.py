"""``computeplan check``: everything that can be known without simulating."""

from __future__ import annotations

import json

import click

from computeplan.cli.options import PARTIAL, language_option, load_with, scenario_options
from computeplan.report import Language

__all__ = ["check"]


@click.command()
@scenario_options
@language_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(scenario: str, settings: tuple[str, ...], language: Language, as_json: bool) -> None:
    """Check SCENARIO and all of its cases; say what will be played, and what to know."""
    from computeplan.report.words import phrase, sentences
    from computeplan.study.cases import compile_cases, notes_of

    cases, infeasible = compile_cases(load_with(scenario, settings))
    notes = sentences(notes_of(cases), language)
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
        document = {"cases": found, "notes": notes, "infeasible": left_out}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
    for case in () if as_json else cases:
        pools = phrase("between", language).join(
            f"{pool.name} {phrase('n_chips', language, n=pool.n_chips)}"
            for pool in case.world.pools
        )
        jobs = phrase("n_jobs", language, n=len(case.world.jobs))
        said = {"case": case.name, "jobs": jobs, "pools": pools, "engine": case.engine}
        click.echo(phrase("check_case", language, **said))
    if not as_json:
        for note in notes:
            click.echo(f"- {note}")
    for name, why in infeasible.items():
        click.echo(phrase("cannot_be_played", language, case=name, why=why), err=True)
    if infeasible:
        click.get_current_context().exit(PARTIAL)
    if not as_json:
        click.echo(phrase("ok", language))
