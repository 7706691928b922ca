"""``computeplan models``: the models of the catalogue, their size and their work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from computeplan.cli.chips import LIST_WIDTH, TITLE_WIDTH, console, print_figures, print_sources
from computeplan.errors import ScenarioError
from computeplan.physics.steptime.transformer import (
    flop_per_token,
    n_active_parameters,
    n_parameters,
    shape_of,
    size_class,
)
from computeplan.report.words import sentence
from computeplan.specs.catalogue.hf_config import load_config
from computeplan.specs.catalogue.lookup import aliases_of, load_model, model_names, parse_model
from computeplan.specs.catalogue.models import Transformer

__all__ = ["models"]

SEQ = 8192
"""Length of the sequences for which the work of a token is shown. [token]"""


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List the models of the catalogue, or show one with its sources."""
    context.obj = as_json
    if context.invoked_subcommand is None:
        _print_list(as_json=as_json)


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def _list_models(before: bool, as_json: bool) -> None:
    """List all models."""
    _print_list(as_json=as_json or before)


@models.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def _show_model(before: bool, name: str, as_json: bool) -> None:
    """Show the shape of one model, or of a Hugging Face config.json, with its source."""
    try:
        if name.endswith(".json"):
            model, found = parse_model(load_config(Path(name), name), name)
        else:
            model, found = load_model(name)
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(str(error)) from None
    computed, notes = _summary(model), [sentence(note) for note in found]
    if as_json or before:
        document = {**model.model_dump(mode="json"), **computed, "notes": notes}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    out = console()
    out.print(f"{model.name}  {model.title}")
    for note in notes:
        out.print(f"note: {note}")
    if aliases_of(model.name):
        out.print(f"also called: {', '.join(aliases_of(model.name))}")
    out.print(f"class: {computed['size_class']}")
    shape_source = model.sources.get(model.source)
    out.print(f"\nshape, from {shape_source.title if shape_source else model.source}")
    for key, value in model.architecture().items():
        if value is None or (model.mla is not None and key in ("kv_heads", "head_dim")):
            continue
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for inner, number in parts:
            out.print(f"  {f'{key}.{inner}' if inner else key:24}{number}")
    out.print("\nfrom the shape")
    out.print(f"  {'parameters':24}{computed['parameters']:,}")
    out.print(f"  {'active parameters':24}{computed['active_parameters']:,}")
    out.print(f"  {f'training, seq {SEQ}':24}{computed['train_flop_per_token']:.4g} FLOP/token")
    numbers = print_figures(out, model, model.sources)
    print_sources(out, model.sources, numbers)


def _print_list(*, as_json: bool) -> None:
    rows = [_summary(load_model(name)[0]) for name in model_names()]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    out = console(LIST_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("model", no_wrap=True)
    if out.width >= TITLE_WIDTH:
        table.add_column("title", overflow="fold")
    for heading in ("parameters\n1e9", "active\n1e9", f"seq {SEQ}\nGFLOP/token"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("class", no_wrap=True)
    for row in rows:
        title = [row["title"]] if out.width >= TITLE_WIDTH else []
        counts = [f"{row[key] / 1e9:.4g}" for key in ("parameters", "active_parameters")]
        work = f"{row['train_flop_per_token'] / 1e9:.4g}"
        table.add_row(row["name"], *title, *counts, work, row["size_class"])
    out.print(table)
    out.print("\nTraining work, causal attention, no recomputation.")
    out.print("Shape and sources of one: computeplan models show NAME")


def _summary(model: Transformer) -> dict[str, Any]:
    shape = shape_of(model.architecture())
    return {
        "name": model.name,
        "title": model.title,
        "vendor": model.vendor,
        "aliases": aliases_of(model.name),
        "parameters": n_parameters(shape),
        "active_parameters": n_active_parameters(shape),
        "train_flop_per_token": flop_per_token(shape, SEQ),
        "seq": SEQ,
        "size_class": size_class(shape),
    }
