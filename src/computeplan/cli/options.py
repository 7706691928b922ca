"""What several commands share: naming a scenario, changing it, printing a table."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.report.table import Table
    from computeplan.specs.scenario import Scenario

__all__ = [
    "BIGGEST",
    "PARTIAL",
    "json_option",
    "language_option",
    "load_with",
    "markdown_option",
    "model_option",
    "precision_option",
    "quantity",
    "say_unseen",
    "scenario_options",
    "seq_option",
    "sequences",
    "show_lines",
    "show_table",
]


PARTIAL = 4
"""Exit code where some cases have a result, or can be played, and others not."""
BIGGEST = 100_000_000
"""Of a count on the command line."""

model_option = click.option(
    "--model", required=True, help="A name in the catalogue, a YAML file, a config.json."
)
seq_option = click.option(
    "--seq", type=click.IntRange(1, BIGGEST), default=8192, show_default=True, help="Tokens each."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(("bf16", "fp16", "fp8")),
    default="bf16",
    show_default=True,
    help="Of the linear layers.",
)


def scenario_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with SCENARIO and ``-s path=value``."""
    command = click.option(
        "-s",
        "--set",
        "settings",
        multiple=True,
        metavar="PATH=VALUE",
        help="Change a value, as in -s jobs.pretrain.checkpoint.every='30 min'; may be repeated.",
    )(command)
    return click.argument("scenario", metavar="SCENARIO")(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
markdown_option = click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown.")


def language_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with ``--lang``, which it takes as ``language``."""
    return click.option(
        "--lang",
        "language",
        type=click.Choice(("en", "zh")),
        default=_language_of_environment,
        help="Of what is printed and drawn.  [default: as LC_ALL, LC_MESSAGES or LANG says]",
    )(command)


def _language_of_environment() -> Language:
    """Return the language that the first of the variables names that POSIX asks in turn."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next((name for name in names if name), "")
    return "zh" if locale.lower().startswith("zh") else "en"


def load_with(source: str, settings: tuple[str, ...]) -> Scenario:
    """Return a scenario with the changes of ``-s`` applied.

    Parameters
    ----------
    source : str
        Path of a file, or a shipped name.
    settings : tuple of str
        ``path=value``, the value read as YAML.

    Raises
    ------
    click.BadParameter
        If a setting has no ``=``.
    ScenarioError
        If the scenario or a change is wrong.
    """
    from computeplan.errors import ScenarioError
    from computeplan.specs.scenario import load, parse_value

    changes: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path.strip():
            message = f"{setting!r} is not PATH=VALUE, such as simulate.runs=1000"
            raise click.BadParameter(message, param_hint="-s")
        if not text.strip():
            message = f"has no value; write it behind the =, or {path.strip()}=null to remove it"
            raise ScenarioError.of(message, file=f"-s {setting}")
        try:
            value = parse_value(text)
        except ScenarioError as error:
            raise ScenarioError.of(error.problems[0].message, file=f"-s {setting}") from None
        changes.pop(path.strip(), None)  # said twice, the later one counts, in its place
        changes[path.strip()] = value
    loaded = load(source)
    return loaded.with_(changes, origin="-s") if changes else loaded


def _columns() -> int:
    """Return the columns of the terminal, or what COLUMNS says, or 80."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def say_unseen(characters: str, language: Language, *, err: bool) -> None:
    """Say which characters of names a figure could not show, if there are any."""
    from computeplan.report.words import phrase

    if characters:
        click.echo(phrase("characters_unseen", language, characters=characters), err=err)


def show_table(table: Table) -> None:
    """Print a table on standard output, as wide as the terminal."""
    click.echo(table.text(_columns()) + "\n")


def show_lines(texts: Iterable[str]) -> None:
    """Print sentences on standard output, broken at the width of the terminal, and a blank line."""
    from computeplan.report.table import wrap

    lines = [wrap(text, _columns(), hang=2 if text.startswith("- ") else 0) for text in texts]
    if lines:
        click.echo("\n".join(lines) + "\n")


def quantity(text: str, unit: str, option: str) -> float:
    """Return what an option says with a unit, as a number of another.

    Raises
    ------
    ScenarioError
        If it is no such quantity, naming the option.
    """
    from computeplan.errors import ScenarioError
    from computeplan.units import parse

    try:
        return parse(text, unit)
    except ValueError as error:
        raise ScenarioError.of(f"{option}: {error}") from None


def sequences(batch: str, seq: int) -> int:
    """Return what ``--batch`` says as whole sequences; with a unit, of so many tokens each.

    Raises
    ------
    ScenarioError
        If it is no batch.
    """
    from computeplan.errors import ScenarioError
    from computeplan.specs.fields import MAX_COUNT

    if batch.strip().isdecimal():
        count = int(batch)
    else:
        count = round(quantity(batch, "token", "--batch") / seq)
    if not 0 < count <= MAX_COUNT:
        raise ScenarioError.of(f"--batch must be 1 to {MAX_COUNT:,} sequences, got {batch!r}")
    return count
