"""``computeplan validate``: published measurements against what we say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from computeplan.cli.options import json_option, language_option, markdown_option
from computeplan.errors import ScenarioError
from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.report.table import Table

__all__ = ["validate"]


@click.group()
def validate() -> None:
    """Compare published measurements with what computeplan says of them."""


@validate.command("training")
@click.option(
    "--cases",
    "file",
    type=click.Path(path_type=Path),
    help="Rows of your own, in the format of the shipped ones (data/published/training.yaml); a"
    " chip may be a YAML file beside them, a model {config: my-model/config.json}.",
)
@json_option
@markdown_option
@click.option("--figure", type=click.Path(path_type=Path), help="Draw to a PNG or SVG file.")
@click.option(
    "--taken",
    "shows_assumed",
    is_flag=True,
    help="Also print what was assumed where a row says nothing.",
)
def _training(
    file: Path | None, as_json: bool, as_markdown: bool, figure: Path | None, shows_assumed: bool
) -> None:
    """Price every published training run, and show the error by row and by family."""
    from rich.console import Console

    from computeplan.report.scatter import save_axes
    from computeplan.report.validation import (
        family_table,
        left_out_document,
        out_of_sample_table,
        precision_table,
        rows_table,
        scatter_of,
    )
    from computeplan.report.words import sentence
    from computeplan.validation.calibration import out_of_sample
    from computeplan.validation.cases import mixture_cases, published_cases, read_cases
    from computeplan.validation.training import predict, scores, to_json

    _one_form(as_json=as_json, as_markdown=as_markdown)
    cases = (*published_cases(), *mixture_cases()) if file is None else read_cases(file)
    predictions = predict(cases)
    outside = {}
    if file is None:
        with Console(stderr=True).status("fitting without each release ..."):
            outside = out_of_sample(published_cases(), mixture_cases())
    if figure is not None and scores(predictions):
        save_axes(scatter_of(predictions), figure)
    if as_json:
        click.echo(to_json(predictions, left_out_document(outside)))
        return
    tables = [rows_table(predictions), family_table(predictions), precision_table(predictions)]
    if outside:
        tables.append(out_of_sample_table(outside))
    _print(tables, as_markdown=as_markdown)
    for case in cases if shows_assumed else ():
        if case.assumed:
            click.echo(f"{case.id}: {'; '.join(map(sentence, case.assumed))}")


@validate.command("reliability")
@click.option(
    "--cases",
    "file",
    type=click.Path(path_type=Path),
    help="Cases of your own, in the format of the shipped ones (data/published/reliability.yaml).",
)
@json_option
@markdown_option
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    help="The 174 days of InfiniteHBD-Trace (JSON), also fitted to day 120 and predicted to 174.",
)
def _reliability(file: Path | None, as_json: bool, as_markdown: bool, log: Path | None) -> None:
    """Simulate published interruptions and shares of time kept; ends with 1 where one is missed."""
    from rich.console import Console
    from rich.progress import track

    from computeplan.report import fit as fit_report
    from computeplan.report.validation import checks_json, checks_table
    from computeplan.report.words import sentence
    from computeplan.validation.reliability import checks, fit_log
    from computeplan.validation.reliability_cases import read_reliability

    _one_form(as_json=as_json, as_markdown=as_markdown)
    cases, fitted = read_reliability(file), None if log is None else fit_log(log)
    console = Console(stderr=True)
    found = list(track(checks(cases), "simulating", console=console, transient=True))
    if as_json:
        click.echo(checks_json(found, None if fitted is None else fit_report.fit_document(*fitted)))
    else:
        tables = [checks_table(found)]
        if fitted is not None:
            fleet, ahead, gain = fitted
            tables += [fit_report.causes_table(fleet), fit_report.months_table(fleet)]
            tables += [fit_report.prediction_table(ahead), fit_report.lemons_table(gain)]
        _print(tables, as_markdown=as_markdown)
        for finding in () if fitted is None else fitted[0].findings:
            click.echo(f"- {sentence(finding)}")
    if not all(check.ok for check in found):
        raise SystemExit(1)


@validate.command("scheduling")
@click.option(
    "--cases",
    "file",
    type=click.Path(path_type=Path),
    help="Cases of your own, in the format of the shipped ones (data/published/scheduling.yaml).",
)
@click.option(
    "--traces",
    "folder",
    type=click.Path(path_type=Path),
    help="Where traces and tables of speeds are looked for, if not beside the cases.",
)
@json_option
@markdown_option
def _scheduling(file: Path | None, folder: Path | None, as_json: bool, as_markdown: bool) -> None:
    """Play published schedules; ends with 1 where a tolerance is missed without a reason given."""
    from rich.console import Console
    from rich.progress import track

    from computeplan.report.validation import schedules_json, schedules_table
    from computeplan.validation.scheduling import predict, read_cases

    _one_form(as_json=as_json, as_markdown=as_markdown)
    console = Console(stderr=True)
    rows = [
        row
        for case in track(read_cases(file, folder), "playing", console=console, transient=True)
        for row in predict([case])
    ]
    if as_json:
        click.echo(schedules_json(rows))
    else:
        _print([schedules_table(rows)], as_markdown=as_markdown)
        for row in rows:
            if row.missed and row.within is False:
                click.echo(f"- {row.id}, {row.quantity}: {row.missed}")
    if any(row.within is False and not row.missed for row in rows):
        raise SystemExit(1)


@validate.command("energy")
@language_option
@click.option(
    "--cases",
    "file",
    type=click.Path(path_type=Path),
    help="Rows of your own, in the format of the shipped ones (data/published/energy.yaml).",
)
@json_option
@markdown_option
def _energy(file: Path | None, as_json: bool, as_markdown: bool, language: Language) -> None:
    """Compute published energy, power, carbon, water; ends with 1 where a gate is missed."""
    from computeplan.report.energy import energy_json, energy_remarks, energy_table, gates_table
    from computeplan.report.words import phrase
    from computeplan.validation.energy import predict_energy
    from computeplan.validation.energy_cases import read_energy

    _one_form(as_json=as_json, as_markdown=as_markdown)
    cases, gates = read_energy(file)
    rows = predict_energy(cases, gates)
    is_any = any(row.predicted is not None for row in rows)
    if as_json:
        click.echo(energy_json(rows))
    else:
        tables = [energy_table(rows, language), gates_table(rows, gates, language)]
        _print(tables, as_markdown=as_markdown)
        for remark in energy_remarks(rows, language):
            click.echo(f"- {remark}")
    if not is_any:
        click.echo(phrase("energy_nothing", language), err=True)
    if not is_any or any(row.stops for row in rows):
        raise SystemExit(1)


@validate.command("serving")
@click.option(
    "--cases",
    "file",
    type=click.Path(path_type=Path),
    help="Rows of your own, in the format of the shipped ones (data/published/serving.yaml).",
)
@json_option
@markdown_option
def _serving(file: Path | None, as_json: bool, as_markdown: bool) -> None:
    """Price and simulate published rows of serving; ends with 1 where a line is not kept."""
    from rich.console import Console
    from rich.progress import track

    from computeplan.report import serving_validation as report
    from computeplan.specs.catalogue.serving import serving_tables
    from computeplan.validation.serving import gates, left_out_scores, predict_row, to_json
    from computeplan.validation.serving_cases import published_serving, read_serving
    from computeplan.validation.serving_fit import out_of_sample, priced_rows

    _one_form(as_json=as_json, as_markdown=as_markdown)
    console = Console(stderr=True)
    cases = published_serving() if file is None else read_serving(file)
    rows = [
        row
        for case in track(cases, "pricing and simulating", console=console, transient=True)
        for row in predict_row(case)
    ]
    outside = {}
    if file is None:
        with console.status("fitting without each model, chip, precision and engine ..."):
            outside = left_out_scores(out_of_sample(priced_rows(), serving_tables().hosts))
    lines = gates(rows, outside) if file is None else ()
    if as_json:
        click.echo(to_json(rows, outside, lines))
    else:
        tables = [report.serving_rows_table(rows), report.serving_family_table(rows)]
        limits = report.serving_limits_table(rows)
        tables += [limits] if limits.rows else []
        if outside:
            tables += [report.serving_left_out_table(outside), report.serving_gates_table(lines)]
        _print(tables, as_markdown=as_markdown)
    if any(not line.is_kept and not line.missed for line in lines):
        raise SystemExit(1)


@validate.command("claims")
@language_option
@json_option
@markdown_option
def _claims(as_json: bool, as_markdown: bool, language: Language) -> None:
    """Show often-quoted figures beside the like-for-like ones, with a verdict."""
    from computeplan.report.claims import claims_json, claims_table, figures_table
    from computeplan.validation.claims import judge, published_claims

    _one_form(as_json=as_json, as_markdown=as_markdown)
    file = published_claims()
    rows = judge(file)
    if as_json:
        click.echo(claims_json(rows))
        return
    tables = [claims_table(rows, file, language), figures_table(rows, language)]
    _print(tables, as_markdown=as_markdown)


def _one_form(*, as_json: bool, as_markdown: bool) -> None:
    if as_json and as_markdown:
        raise ScenarioError.of("--json and --markdown are two forms of one output: ask for one")


def _print(tables: list[Table], *, as_markdown: bool) -> None:
    from computeplan.report.validation import markdown

    for table in tables:
        click.echo(f"## {table.title}\n\n{markdown(table)}\n" if as_markdown else f"{table}\n")


@validate.command("mixed")
def _mixed() -> None:
    """Show published runs of one job on several kinds of chips, each with its bound."""
    from computeplan.cli.options import show_table
    from computeplan.report.mixed import published_table
    from computeplan.validation.mixed import mixed_runs, predict_mixed

    show_table(published_table(predict_mixed(mixed_runs())))
