"""``computeplan paths``: what can be set, where, and in which unit."""

from __future__ import annotations

import json

import click

from computeplan.cli.options import json_option, load_with, scenario_options, show_table

__all__ = ["paths"]

MOST_VALUE = 24
MOST_TEXT = 50
"""Terminal columns of values and examples, and of what a path is: all stand beside a path."""


@click.command()
@scenario_options
@json_option
def paths(scenario: str, settings: tuple[str, ...], as_json: bool) -> None:
    """List every path of SCENARIO that -s, cases, sweep and with_ can set."""
    from computeplan.report.table import Table, wrap
    from computeplan.specs.documents.paths import list_paths
    from computeplan.specs.scenario import Scenario

    loaded = load_with(scenario, settings)
    rows = [
        (path, value, how.unit if how else "", how.example if how else "", about)
        for path, value, how, about in list_paths(Scenario, loaded.document.data)
    ]
    names = ("path", "value", "unit inside", "example", "what it is")
    if as_json:
        keys = ("path", "value", "unit", "example", "about")
        found = [dict(zip(keys, row, strict=True)) for row in rows]
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    shown = tuple(
        (
            path,
            wrap(value, MOST_VALUE, lines=1),
            unit,
            wrap(example, MOST_VALUE),
            wrap(about, MOST_TEXT),
        )
        for path, value, unit, example, about in rows
    )
    is_cut = any(row[1] != value for row, (_, value, *_) in zip(shown, rows, strict=True))
    notes = ("A value that ends in … is longer: --json has all of it.",) if is_cut else ()
    show_table(Table(f"{loaded.name}: paths that can be set", names, shown, notes))
