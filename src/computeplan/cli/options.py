"""What several commands share: naming a scenario, changing it, printing a table."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.report.table import Table
    from computeplan.specs.scenario import Scenario

__all__ = ["language_option", "load_with", "scenario_options", "show_table"]

PIPED_WIDTH = 160
"""Columns to lay a table out for where no terminal sets them."""


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
        try:
            value = parse_value(text)
        except ScenarioError as error:
            raise ScenarioError.of(error.problems[0].message, file=f"-s {setting}") from None
        changes.pop(path.strip(), None)  # said twice, the later one counts, in its place
        changes[path.strip()] = value
    loaded = load(source)
    return loaded.with_(changes, origin="-s") if changes else loaded


def show_table(table: Table) -> None:
    """Print a table on standard output, then its notes; cells are text, never markup.

    A table wider than the terminal is turned: one row per quantity, one column per case.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    rows = [table.header, *table.rows]
    widest = sum(
        max(Text(cell).cell_len for row in rows for cell in row[i].split("\n")) + 2
        for i in range(len(table.header))
    )
    if widest > console.width and len(table.rows) < len(table.header):
        rows = [tuple(row[i] for row in rows) for i in range(len(table.header))]
    printed = RichTable(
        title=Text(table.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for i, head in enumerate(rows[0]):
        printed.add_column(Text(head), justify="left" if i == 0 else "right", overflow="fold")
    for row in rows[1:]:
        printed.add_row(*(Text(cell) for cell in row))
    console.print(printed)
    for note in table.notes:
        console.print(Text(f"- {note}"), soft_wrap=not console.is_terminal)
    console.print()
