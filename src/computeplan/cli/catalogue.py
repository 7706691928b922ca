"""``computeplan chips`` and ``models``: what the catalogue knows, and from where.

Long because both are one command, which lists and shows, and what each of them says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from computeplan.cli.options import json_option, language_option, show_table
from computeplan.compiler.power import beside_frac, caps_of, estimated_states, states_of
from computeplan.errors import ScenarioError
from computeplan.notes import Notes
from computeplan.physics.power.caps import CapCurve, best_cap, capped, energy_frac
from computeplan.physics.steptime.transformer import (
    flop_per_token,
    mtp_flop_per_token,
    n_active_parameters,
    n_mtp_parameters,
    n_parameters,
    shape_of,
    size_class,
)
from computeplan.report import Language
from computeplan.report.words import sentence
from computeplan.specs.catalogue.chips import Chip, Figure, Source, figures_in
from computeplan.specs.catalogue.lookup import (
    aliases_of,
    chip_names,
    find_chip,
    find_model,
    model_names,
)
from computeplan.specs.catalogue.mfu import default_mfus
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.documents.document import DATA

__all__ = ["chips", "console", "models", "print_json"]

LIST_WIDTH = 80
"""Terminal columns below which the list would have to cut a number."""

TITLE_WIDTH = 120
"""Terminal columns from which the list also shows titles."""

SEQ = 8192
"""Length of the sequences for which the work of a token is shown. [token]"""


class _Kind(NamedTuple):
    """Chips or models: how to load one, and what is said of it."""

    noun: str
    about: str
    names: Callable[[], Sequence[str]]
    load: Callable[[str], tuple[Any, Notes]]
    """What to call it and to say of it, the names of all, and how one is loaded."""
    summary: Callable[[Any], dict[str, Any]]
    """A row of the list as JSON."""
    more: Callable[[Any], dict[str, Any]]
    """What JSON of one says beside its fields."""
    numbers: tuple[str, ...]
    """Heads of the columns of numbers."""
    last: str
    """Head of the last column."""
    cells: Callable[[Any], list[str]]
    foot: str
    """Cells of the row of one, and the line below the list."""
    above: Callable[[Any], list[str]]
    """Lines above the figures of one."""
    below: Callable[[Any], list[str]]


def _command(kind: _Kind) -> click.Group:
    """Return the command that lists all of a kind and shows one."""
    about = f"List the {kind.noun}s of the catalogue, or show one with its sources."

    @click.group(f"{kind.noun}s", help=about, invoke_without_command=True)
    @json_option
    @click.pass_context
    def group(context: click.Context, as_json: bool) -> None:
        context.obj = as_json
        if context.invoked_subcommand is None:
            _print_list(kind, as_json=as_json)

    @group.command("list", help=f"List all {kind.noun}s.")
    @json_option
    @click.pass_obj
    def _list(before: bool, as_json: bool) -> None:
        _print_list(kind, as_json=as_json or before)

    @group.command("show", help=kind.about)
    @click.argument("name")
    @json_option
    @click.pass_obj
    def _show(before: bool, name: str, as_json: bool) -> None:
        try:
            entry, found = kind.load(name)
        except ScenarioError:
            raise
        except ValueError as error:
            raise ScenarioError.of(str(error)) from None
        notes = [sentence(note) for note in found]
        if as_json or before:
            print_json({**entry.model_dump(mode="json"), **kind.more(entry), "notes": notes})
        else:
            _print_one(kind, entry, notes)

    return group


def print_json(data: object) -> None:
    """Print data as JSON."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def console() -> Console:
    """Return a console on standard output, never so narrow that a number is cut."""
    plain = Console(markup=False, highlight=False, emoji=False)
    plain.width = max(plain.width if plain.is_terminal else TITLE_WIDTH, LIST_WIDTH)
    return plain


def _print_list(kind: _Kind, *, as_json: bool) -> None:
    entries = [kind.load(name)[0] for name in kind.names()]
    if as_json:
        print_json([kind.summary(entry) for entry in entries])
        return
    out = console()
    is_wide = out.width >= TITLE_WIDTH
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column(kind.noun, no_wrap=True)
    if is_wide:
        table.add_column("title", overflow="fold")
    for heading in kind.numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(kind.last, no_wrap=True)
    for entry in entries:
        mark = " *" if getattr(entry, "is_estimate", False) else ""
        title = [entry.title] if is_wide else []
        table.add_row(f"{entry.name}{mark}", *title, *kind.cells(entry))
    out.print(table)
    out.print(f"\n{kind.foot} of one: computeplan {kind.noun}s show NAME")


def _print_one(kind: _Kind, entry: Any, notes: Sequence[str]) -> None:
    out = console()
    out.print(f"{entry.name}  {entry.title}")
    for line in (*(f"note: {note}" for note in notes), *kind.above(entry)):
        out.print(line)
    numbers: dict[str | None, int] = {key: i for i, key in enumerate(entry.sources, start=1)}
    table = Table(box=None, pad_edge=False, header_style="")
    for title in ("figure", "value", "evidence"):
        table.add_column(title, no_wrap=True)
    table.add_column("note", overflow="fold")
    last = ""
    for path, figure in figures_in(entry):
        group, _, name = path.partition(".")
        if group != last and name:
            table.add_row(group)
        shown = f"  {name}" if name else group
        table.add_row(shown, _shown(figure), _evidence(figure, numbers), figure.note or "")
        last = group
    out.print()
    out.print(table)
    for line in kind.below(entry):
        out.print(line)
    _print_sources(out, entry.sources, numbers)


def _print_sources(
    out: Console, sources: Mapping[str, Source], numbers: Mapping[str | None, int]
) -> None:
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


def _evidence(figure: Figure[Any], numbers: Mapping[str | None, int]) -> str:
    if figure.value is None:
        return ""
    source = f" [{numbers[figure.source]}]" if figure.source in numbers else ""
    via = f" via [{numbers[figure.via]}]" if figure.via in numbers else ""
    return f"{figure.confidence}{source}{via}"


# Chips -------------------------------------------------------------------------------------------


def _chip_cells(chip: Chip) -> list[str]:
    figures = (
        (chip.peak_dense.get("bf16"), 1e12),
        (chip.peak_dense.get("fp16"), 1e12),
        (chip.memory.capacity, 1e9),
        (chip.memory.bandwidth, 1e12),
        (chip.power.tdp, 1.0),
    )
    return [*(_cell(*figure) for figure in figures), _value(chip.availability) or ""]


def _cell(figure: Figure[float] | None, unit: float) -> str:
    if figure is None or figure.value is None:
        return "-"
    return f"{'~' if figure.is_estimate else ''}{figure.value / unit:.5g}"


def _value(figure: Figure[Any] | None) -> Any:
    return None if figure is None else figure.value


def _chip_summary(chip: Chip) -> dict[str, Any]:
    return {
        "name": chip.name,
        "title": chip.title,
        "vendor": chip.vendor,
        "aliases": aliases_of(chip.name),
        "estimate": chip.is_estimate,
        "availability": _value(chip.availability),
        "bf16_flop_per_s": _value(chip.peak_dense.get("bf16")),
        "fp16_flop_per_s": _value(chip.peak_dense.get("fp16")),
        "memory_bytes": _value(chip.memory.capacity),
        "memory_bytes_per_s": _value(chip.memory.bandwidth),
        "tdp_w": chip.tdp_w,
    }


def _more_of_chip(chip: Chip) -> dict[str, Any]:
    mfus = [entry.model_dump(mode="json") for entry in default_mfus(chip.name)]
    return {"aliases": aliases_of(chip.name), "default_mfu": mfus, **_power_of_chip(chip)}


def _power_of_chip(chip: Chip) -> dict[str, Any]:
    """Return watts by state, which are estimates, and the caps with the least energy."""
    if chip.tdp_w is None:
        return {"state_w": None, "estimated_states": [], "least_energy": []}
    curve = caps_of(chip)
    meters = {"chip": 0.0, "node": beside_frac(chip)}
    best = [] if curve is None else [_least_energy(curve, *one) for one in meters.items()]
    states = {name.removesuffix("_w"): w for name, w in asdict(states_of(chip)).items()}
    estimates = list(estimated_states(chip))
    return {"state_w": states, "estimated_states": estimates, "least_energy": best}


def _above_chip(chip: Chip) -> list[str]:
    marked = "ESTIMATE: too little is published to trust this entry"
    lines = [marked] if chip.is_estimate else []
    if aliases_of(chip.name):
        lines.append(f"also called: {', '.join(aliases_of(chip.name))}")
    if chip.ranks_per_chip > 1:
        lines.append(f"ranks per chip: {chip.ranks_per_chip}")
    return lines


def _least_energy(curve: CapCurve, meter: str, beside: float) -> dict[str, Any]:
    """Return the cap with the least energy for the same work at a meter."""
    cap = best_cap(curve, beside)
    speed, energy = capped(curve, cap)[0], energy_frac(curve, cap, beside)
    of_cap = {"cap_frac": cap, "speed_frac": float(speed), "energy_frac": float(energy)}
    return {"meter": meter, **of_cap}


def _below_chip(chip: Chip) -> list[str]:
    found, power = default_mfus(chip.name), _power_lines(chip)
    if not found:
        return [*power, "\ndefault mfu: none measured; give mfu in the scenario"]
    lines = (f"  {entry.model_class}, {entry.precision}: {sentence(entry.note)}" for entry in found)
    return [*power, "\ndefault mfu", *lines]


def _power_lines(chip: Chip) -> list[str]:
    """Return what scenarios take of its power: watts by state, caps with the least energy."""
    found = _power_of_chip(chip)
    if found["state_w"] is None:
        return []
    guessed = found["estimated_states"]
    states = (
        f"  {f'{state} ':24}{'~' if state in guessed else ''}{watts:.4g} W"
        for state, watts in found["state_w"].items()
    )
    caps = [
        f"least energy of the {best['meter']} for the same work: cap {best['cap_frac']:.2f} of the"
        f" limit, speed {best['speed_frac']:.2f}, energy {best['energy_frac']:.2f}"
        for best in found["least_energy"]
    ]
    none = ["caps: none measured; that speed falls as the watts of the chip is an estimate"]
    return ["\nwatts by state in scenarios (~ an estimate)", *states, *(caps or none)]


chips = _command(
    _Kind(
        noun="chip",
        about="Show every figure of one chip, or of a YAML file, with its source.",
        names=chip_names,
        load=find_chip,
        summary=_chip_summary,
        more=_more_of_chip,
        numbers=("bf16\nTFLOP/s", "fp16\nTFLOP/s", "memory\nGB", "memory\nTB/s", "limit\nW"),
        last="in China",
        cells=_chip_cells,
        foot="Dense peaks. * the entry is an estimate, ~ the figure is recalled and not read.\n"
        "All figures and sources",
        above=_above_chip,
        below=_below_chip,
    )
)


@chips.command("caps")
@click.argument("name")
@click.option("--figure", type=click.Path(path_type=Path), help="Draw to a PNG or SVG file.")
@language_option
def _caps(name: str, figure: Path | None, language: Language) -> None:
    """Show speed, watts and energy of a chip under power caps, and where energy is least."""
    from computeplan.report.caps import caps_figure, caps_of, caps_table

    found = caps_of(name)
    if figure is not None:
        from computeplan.report.scatter import save_axes

        save_axes(caps_figure(found, language=language), figure)
    show_table(caps_table(found, language))


@chips.command("template")
def _template() -> None:
    """Print a commented chip of your own, to fill in: computeplan chips template > my-chip.yaml."""
    click.echo((DATA / "chip.yaml").read_text("utf-8"), nl=False)


# Models ------------------------------------------------------------------------------------------


def _model_summary(model: Transformer) -> dict[str, Any]:
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
        "mtp_layers": shape.mtp,
        "mtp_parameters": n_mtp_parameters(shape),
        "mtp_active_parameters": n_mtp_parameters(shape, active=True),
        "mtp_train_flop_per_token": mtp_flop_per_token(shape, SEQ),
    }


def _model_cells(model: Transformer) -> list[str]:
    found = _model_summary(model)
    numbers = ("parameters", "active_parameters", "train_flop_per_token")
    return [*(f"{found[key] / 1e9:.4g}" for key in numbers), found["size_class"]]


def _above_model(model: Transformer) -> list[str]:
    """Return other names, the shape as written, and what follows from it."""
    found, lines = _model_summary(model), []
    if found["aliases"]:
        lines.append(f"also called: {', '.join(found['aliases'])}")
    shape_source = model.sources.get(model.source)
    lines += [
        f"class: {found['size_class']}",
        f"\nshape, from {shape_source.title if shape_source else model.source}",
    ]
    lines += [f"  {f'{key} ':24}{number}" for key, number in _shape_lines(model)]
    if model.n_context:
        lines.append(f"  {'context':24}{model.n_context}")
    further = f"\nextra prediction layers ({found['mtp_layers']}), counted apart"
    return [
        *lines,
        "\nfrom the shape",
        *_counts(found),
        *([further, *_counts(found, "mtp_")] if found["mtp_layers"] else []),
    ]


def _counts(found: dict[str, Any], of: str = "") -> list[str]:
    return [
        f"  {'parameters':24}{found[f'{of}parameters']:,}",
        f"  {'active parameters':24}{found[f'{of}active_parameters']:,}",
        f"  {f'training, seq {SEQ}':24}{found[f'{of}train_flop_per_token']:.4g} FLOP/token",
    ]


_ALWAYS = (
    *("layers", "hidden", "ffn", "heads", "kv_heads", "head_dim", "vocab", "gated_mlp"),
    *("tied_embeddings", "causal", "learned_positions", "norm", "biases", "embedding_norm"),
)
"""Numbers of a shape that are shown whatever they are; the others where they say something."""

_IF_SET = ("latent", "key_heads", "gate_rank", "step_rank")
"""Numbers of a part that are shown where they say something."""


def _shape_lines(model: Transformer) -> list[tuple[str, Any]]:
    """Return the shape as it is written, kinds of layers one by one."""
    found: list[tuple[str, Any]] = []
    shape = model.architecture()
    shape.pop("kinds", None)
    if model.linear_attention is not None:
        shape["linear_attention"] = model.linear_attention.model_dump()
        shape.pop("linear", None)
    for key, value in {**shape, "full_attention_every": model.full_attention_every}.items():
        if key not in _ALWAYS and not value:
            continue
        if model.mla is not None and key in ("kv_heads", "head_dim"):
            continue
        parts = value.items() if isinstance(value, dict) else [("", value)]
        found += [
            (f"{key}.{inner}" if inner else key, number)
            for inner, number in parts
            if number or inner not in _IF_SET
        ]
    for kind in model.layer_kinds:
        changed = kind.model_dump(exclude_unset=True, exclude={"layers"})
        found.append((f"{kind.layers} layers", _said(changed)[1:-1] or "as above"))
    return found


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_said(inner)}" for key, inner in value.items()) + "}"
    return "null" if value is None else str(value)


models = _command(
    _Kind(
        noun="model",
        about="Show the shape of one model, of a YAML file or a Hugging Face config.json.",
        names=model_names,
        load=find_model,
        summary=_model_summary,
        more=_model_summary,
        numbers=("parameters\n1e9", "active\n1e9", f"seq {SEQ}\nGFLOP/token"),
        last="class",
        cells=_model_cells,
        foot="Training work, causal attention, no recomputation.\nShape and sources",
        above=_above_model,
        below=lambda _: [],
    )
)
