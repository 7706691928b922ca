"""``computeplan schema``: the JSON Schema of scenario files, for editors."""

from __future__ import annotations

import json

import click

__all__ = ["schema"]


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenario files."""
    from computeplan.specs.scenario import Scenario

    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "computeplan scenario",
        **Scenario.model_json_schema(mode="validation"),
    }
    click.echo(json.dumps(found, ensure_ascii=False, indent=2))
