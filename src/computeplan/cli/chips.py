"""``computeplan chips``: what the catalogue knows of each chip, and from where."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from computeplan.errors import ScenarioError
from computeplan.report.words import sentence
from computeplan.specs.catalogue.chips import Chip, Figure, Source, figures_in
from computeplan.specs.catalogue.lookup import aliases_of, chip_names, load_chip
from computeplan.specs.catalogue.mfu import default_mfus

__all__ = ["chips", "console", "figure_rows", "print_figures", "print_sources"]

LIST_WIDTH = 80
"""Terminal columns below which the list would have to cut a number."""

TITLE_WIDTH = 120
"""Terminal columns from which the list also shows titles."""


def console(least: int = LIST_WIDTH) -> Console:
    """Return a console on standard output, never so narrow that a number is cut."""
    plain = Console(markup=False, highlight=False, emoji=False)
    plain.width = max(plain.width if plain.is_terminal else TITLE_WIDTH, least)
    return plain


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def chips(context: click.Context, as_json: bool) -> None:
    """List the chips of the catalogue, or show one with its sources."""
    context.obj = as_json
    if context.invoked_subcommand is None:
        _print_list(as_json=as_json)


@chips.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def _list_chips(before: bool, as_json: bool) -> None:
    """List all chips."""
    _print_list(as_json=as_json or before)


@chips.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def _show_chip(before: bool, name: str, as_json: bool) -> None:
    """Show every figure of one chip, with its source."""
    try:
        chip, found = load_chip(name)
    except ValueError as error:
        raise ScenarioError.of(str(error)) from None
    notes = [sentence(note) for note in found]
    if as_json or before:
        extra = {"aliases": aliases_of(chip.name), "notes": notes}
        mfus = [entry.model_dump(mode="json") for entry in default_mfus(chip.name)]
        document = {**chip.model_dump(mode="json"), **extra, "default_mfu": mfus}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    out = console()
    out.print(f"{chip.name}  {chip.title}")
    for note in notes:
        out.print(f"note: {note}")
    if chip.is_estimate:
        out.print("ESTIMATE: too little is published to trust this entry")
    out.print(f"also called: {', '.join(aliases_of(chip.name))}")
    if chip.ranks_per_chip > 1:
        out.print(f"ranks per chip: {chip.ranks_per_chip}")
    numbers = print_figures(out, chip, chip.sources)
    _print_mfus(out, chip)
    print_sources(out, chip.sources, numbers)


def figure_rows(entry: Any, numbers: dict[str, int]) -> list[tuple[str, str, str, str, str]]:
    """Return group, name, value, evidence and note of each figure of an entry.

    Parameters
    ----------
    entry : Chip or Transformer
    numbers : dict of str to int
        Number of each source in the list below the table.
    """
    rows = []
    for path, figure in figures_in(entry):
        group, _, name = path.partition(".")
        rows.append(
            (group, name or group, _shown(figure), _evidence(figure, numbers), figure.note or "")
        )
    return rows


def print_figures(out: Console, entry: Any, sources: dict[str, Source]) -> dict[str, int]:
    """Print the figures of an entry, and return the number given to each source."""
    numbers = {key: i for i, key in enumerate(sources, start=1)}
    table = Table(box=None, pad_edge=False, header_style="")
    for title in ("figure", "value", "evidence"):
        table.add_column(title, no_wrap=True)
    table.add_column("note", overflow="fold")
    last = ""
    for group, name, *cells in figure_rows(entry, numbers):
        if group != last and group != name:
            table.add_row(group)
        table.add_row(name if group == name else f"  {name}", *cells)
        last = group
    out.print()
    out.print(table)
    return numbers


def print_sources(out: Console, sources: dict[str, Source], numbers: dict[str, int]) -> None:
    """Print the sources by number, with their addresses whole."""
    if not sources:
        return
    out.print("\nsources (~ marks a figure that was recalled and not read: an estimate)")
    for key, source in sources.items():
        recalled = "  (address recalled, not opened)" if source.recalled else ""
        address = f"\n      {source.url}{recalled}" if source.url else ""
        out.print(f"  [{numbers[key]}] {source.title}{address}", soft_wrap=True)


def _shown(figure: Figure[Any]) -> str:
    if figure.value is None:
        return "not known"
    return f"{'~' if figure.is_estimate else ''}{figure.text}"


def _evidence(figure: Figure[Any], numbers: dict[str, int]) -> str:
    if figure.value is None:
        return ""
    source = f" [{numbers[figure.source]}]" if figure.source in numbers else ""
    via = f" via [{numbers[figure.via]}]" if figure.via in numbers else ""
    return f"{figure.confidence}{source}{via}"


def _print_mfus(out: Console, chip: Chip) -> None:
    found = default_mfus(chip.name)
    out.print(
        "\ndefault mfu" if found else "\ndefault mfu: none measured; give mfu in the scenario"
    )
    for entry in found:
        out.print(f"  {entry.model_class}, {entry.precision}: {sentence(entry.note)}")


def _print_list(*, as_json: bool) -> None:
    entries = [load_chip(name)[0] for name in chip_names()]
    if as_json:
        rows = [_summary(chip) for chip in entries]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    out = console()
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("chip", no_wrap=True)
    if out.width >= TITLE_WIDTH:
        table.add_column("title", overflow="fold")
    for heading in ("bf16\nTFLOP/s", "fp16\nTFLOP/s", "memory\nGB", "memory\nTB/s", "limit\nW"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("in China", no_wrap=True)
    for chip in entries:
        title = [chip.title] if out.width >= TITLE_WIDTH else []
        table.add_row(f"{chip.name}{' *' if chip.is_estimate else ''}", *title, *_cells(chip))
    out.print(table)
    out.print("\nDense peaks. * the entry is an estimate, ~ the figure is recalled and not read.")
    out.print("All figures and sources of one: computeplan chips show NAME")


def _cells(chip: Chip) -> list[str]:
    availability = chip.availability.value if chip.availability else None
    return [
        _cell(chip.peak_dense.get("bf16"), 1e12),
        _cell(chip.peak_dense.get("fp16"), 1e12),
        _cell(chip.memory.capacity, 1e9),
        _cell(chip.memory.bandwidth, 1e12),
        _cell(chip.power.tdp, 1.0),
        availability or "",
    ]


def _cell(figure: Figure[float] | None, unit: float) -> str:
    if figure is None or figure.value is None:
        return "-"
    return f"{'~' if figure.is_estimate else ''}{figure.value / unit:.5g}"


def _summary(chip: Chip) -> dict[str, object]:
    def value(figure: Figure[Any] | None) -> object:
        return None if figure is None else figure.value

    return {
        "name": chip.name,
        "title": chip.title,
        "vendor": chip.vendor,
        "aliases": aliases_of(chip.name),
        "estimate": chip.is_estimate,
        "availability": value(chip.availability),
        "bf16_flop_per_s": value(chip.peak_dense.get("bf16")),
        "fp16_flop_per_s": value(chip.peak_dense.get("fp16")),
        "memory_bytes": value(chip.memory.capacity),
        "memory_bytes_per_s": value(chip.memory.bandwidth),
        "tdp_w": chip.tdp_w,
    }
