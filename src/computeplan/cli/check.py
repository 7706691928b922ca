"""``computeplan check``: everything that can be known without simulating."""

from __future__ import annotations

import json

import click

from computeplan.cli.options import language_option, load_with, scenario_options
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

    cases = compile_cases(load_with(scenario, settings))
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
        click.echo(json.dumps({"cases": found, "notes": notes}, ensure_ascii=False, indent=2))
        return
    for case in cases:
        pools = phrase("between", language).join(
            f"{pool.name} {phrase('n_chips', language, n=pool.n_chips)}"
            for pool in case.world.pools
        )
        jobs = phrase("n_jobs", language, n=len(case.world.jobs))
        said = {"case": case.name, "jobs": jobs, "pools": pools, "engine": case.engine}
        click.echo(phrase("check_case", language, **said))
    for note in notes:
        click.echo(f"- {note}")
    click.echo(phrase("ok", language))
