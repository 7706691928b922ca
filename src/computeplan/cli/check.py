"""``computeplan check``: everything that can be known without simulating."""

from __future__ import annotations

import json

import click

from computeplan.cli.options import load_with, scenario_options

__all__ = ["check"]


@click.command()
@scenario_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(scenario: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Check SCENARIO and all of its cases; say what will be played, and what to know."""
    from computeplan.report.words import sentences
    from computeplan.study.cases import compile_cases, notes_of

    cases = compile_cases(load_with(scenario, settings))
    notes = sentences(notes_of(cases))
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
        pools = ", ".join(f"{pool.name} {pool.n_chips:,} chips" for pool in case.world.pools)
        n_jobs = len(case.world.jobs)
        jobs = f"{n_jobs} job{'s' if n_jobs > 1 else ''}"
        click.echo(f"{case.name}: {jobs} on {pools}; engine {case.engine}")
    for note in notes:
        click.echo(f"- {note}")
    click.echo("ok")
