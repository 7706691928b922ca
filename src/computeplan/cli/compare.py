"""``computeplan compare``: two results, or scenarios, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from computeplan.cli.options import language_option, show_lines, show_table
from computeplan.cli.workers import executor_of
from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.specs.scenario import Scenario
    from computeplan.study.result import Result

__all__ = ["compare"]

PARTIAL, NOT_COMPARABLE = 4, 2
"""Exit codes."""


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@language_option
@click.option("--case", help="The case of A to compare.  [default: all of the same name]")
@click.option("--with", "with_case", help="The case of B.  [default: that of the same name]")
@click.option("--runs", type=click.IntRange(2), help="Runs of a scenario that is simulated.")
@click.option("--seed", type=click.IntRange(0), help="Its seed.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every quantity.")
@click.option("--markdown", is_flag=True, help="Print Markdown, as for a pull request.")
def compare(
    a: str,
    b: str,
    language: Language,
    case: str | None,
    with_case: str | None,
    runs: int | None,
    seed: int | None,
    workers: int,
    as_json: bool,
    markdown: bool,
) -> None:
    """Compare B with A: what differs in the scenarios, and in what came out.

    A and B are result folders, or scenarios, which are simulated first, with the seed and the runs
    of the other one if neither is given. Differences are run by run where both met the same
    samples, with 95 % intervals, and both are counted to the same time.

    \b
    computeplan compare results/before results/after --markdown
    computeplan compare before.yaml after.yaml
    computeplan compare results/mine results/mine --case 'as planned' --with 'hourly saves'

    Exit codes: 2 nothing compares, 4 some cases do not.
    """  # noqa: D301 - \b is for click
    from computeplan.report.comparing import as_markdown, lines, tables
    from computeplan.study.compare import compare as side_by_side

    if as_json and markdown:
        raise click.UsageError("--json and --markdown exclude each other")
    sides = _results(a, b, runs, seed, workers, language)
    found = side_by_side(*sides, case=case, with_case=with_case, names=(a, b))
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False, indent=2))
    elif markdown:
        click.echo(as_markdown(found, language), nl=False)
    else:
        show_lines(lines(found, language))
        for table in tables(found, language):
            show_table(table)
    if found.refused:
        click.get_current_context().exit(PARTIAL if found.pairs else NOT_COMPARABLE)


def _results(
    a: str, b: str, runs: int | None, seed: int | None, workers: int, language: Language
) -> tuple[Result, Result]:
    """Return the results of two folders or scenarios; what is simulated follows the other."""
    from computeplan.report.words import phrase
    from computeplan.specs.scenario import load
    from computeplan.study.run import run

    found = {side: result for side in (a, b) if (result := _load(side)) is not None}
    with executor_of(workers) as executor:
        for side in dict.fromkeys((a, b)):
            if side in found:
                continue
            scenario = load(side)
            settled = _settled(scenario, runs, seed)
            for name, other in found.items():  # what is there already
                settled = _as_in(other, settled, runs, seed)
                if settled.simulate != scenario.simulate:
                    said = {"seed": settled.simulate.seed, "n": settled.simulate.runs}
                    text = phrase("compare_as", language, side=side, other=name, **said)
                    click.echo(text, err=True)
            found[side] = run(settled, executor=executor)
    return found[a], found[b]


def _load(side: str) -> Result | None:
    """Return the result in a folder, None if it is a scenario."""
    from computeplan.study.store import load_result

    return load_result(Path(side)) if Path(side).is_dir() else None


def _settled(scenario: Scenario, runs: int | None, seed: int | None) -> Scenario:
    changes = {"simulate.runs": runs, "simulate.seed": seed}
    return scenario.with_({path: value for path, value in changes.items() if value is not None})


def _as_in(other: Result, scenario: Scenario, runs: int | None, seed: int | None) -> Scenario:
    """Return a scenario with the runs and the seed of a result, where nobody says them."""
    known = other.provenance.get("seed")
    own_seed = known if seed is None and isinstance(known, int) else None
    return _settled(scenario, other.n_runs if runs is None else None, own_seed)
