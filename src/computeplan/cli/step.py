"""``computeplan step``: how fast a model trains on some chips, and whether it fits."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from computeplan.cli.options import (
    BIGGEST,
    json_option,
    language_option,
    model_option,
    precision_option,
    quantity,
    say_unseen,
    seq_option,
    sequences,
)
from computeplan.errors import ScenarioError
from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.analytic.step_price import StepPrice
    from computeplan.specs.jobs import Parallelism
    from computeplan.specs.software import Switches

__all__ = ["step"]

DISPATCHERS = ("alltoall", "deepep", "hybridep", "allgather", "none")
GROUPED = ("te", "kernel", "fused")


@click.command()
@language_option
@model_option
@click.option(
    "--chip",
    "chip_names",
    required=True,
    multiple=True,
    help="A name in the catalogue, or a YAML file; may be repeated.",
)
@click.option("--chips", required=True, type=click.IntRange(1, BIGGEST), help="How many chips.")
@seq_option
@click.option("--batch", help="Sequences of a step, or tokens with a unit: 2048, '16 Mitoken'.")
@precision_option
@click.option("--tp", help="Tensor parallel ranks, or auto for everything.")
@click.option("--pp", type=click.IntRange(1, BIGGEST), help="Pipeline stages.")
@click.option("--dp", type=click.IntRange(1, BIGGEST), help="Data parallel replicas.")
@click.option("--cp", type=click.IntRange(1, BIGGEST), help="Context parallel ranks.")
@click.option("--ep", type=click.IntRange(1, BIGGEST), help="Expert parallel ranks.")
@click.option("--etp", type=click.IntRange(1, BIGGEST), help="Ranks that cut every expert.")
@click.option("--mtp", type=click.IntRange(0, 100), default=0, help="Extra prediction layers.")
@click.option("--micro-batch", type=click.IntRange(1, BIGGEST), help="Sequences at a time.")
@click.option("--virtual-stages", type=click.IntRange(1, BIGGEST), help="Pieces of a stage.")
@click.option("--first-stage-layers", type=click.IntRange(1, BIGGEST), help="If not as the others.")
@click.option("--last-stage-layers", type=click.IntRange(1, BIGGEST), help="If not as the others.")
@click.option("--stages", help="Layers of every stage, as Megatron-LM: 'Et*3|(tt|)*29,m|L'.")
@click.option(
    "--recompute", help="none, selective, full, full:4 (layers of a stage), or norms,activation,..."
)
@click.option("--offload", type=click.Choice(("none", "inputs", "optimizer", "both")))
@click.option("--zero", type=click.IntRange(0, 3), help="What data parallel ranks share out.")
@click.option("--shard", type=click.IntRange(1, BIGGEST), help="Ranks that share weights (HSDP).")
@click.option("--no-sequence-parallel", is_flag=True, help="Without sequence parallelism.")
@click.option("--schedule", type=click.Choice(("1f1b", "zb-h1", "zb-h2", "dualpipe")))
@click.option("--framework", help="Training software whose switches to take.")
@click.option("--date", help="Month of its release, such as 2026-05; the newest if left out.")
@click.option(
    "--dispatcher", type=click.Choice(DISPATCHERS), help="How tokens are sent to their experts."
)
@click.option("--expert-overlap/--no-expert-overlap", default=None, help="Hide these messages.")
@click.option("--graphs", help="CUDA graphs: none, full, or attn+moe_router+moe_preprocess.")
@click.option("--grouped", type=click.Choice(GROUPED), help="How products of experts are launched.")
@click.option(
    "--network", help="Out of a server, per chip, instead of the data sheet's: 200 Gbit/s."
)
@click.option(
    "--oversubscription", type=click.FloatRange(1, 1000), default=1.0, help="Of the core."
)
@click.option("--figure", type=click.Path(path_type=Path), help="Draw to a PNG or SVG file.")
@json_option
def step(
    language: Language,
    model: str,
    chip_names: tuple[str, ...],
    chips: int,
    seq: int,
    batch: str | None,
    precision: str,
    no_sequence_parallel: bool,
    recompute: str | None,
    schedule: str | None,
    framework: str | None,
    date: str | None,
    dispatcher: str | None,
    expert_overlap: bool | None,
    graphs: str | None,
    grouped: str | None,
    mtp: int,
    network: str | None,
    oversubscription: float,
    figure: Path | None,
    as_json: bool,
    **layout: int | str | None,
) -> None:
    """Price a step of training: time with its band, what it is spent on, memory, best layouts.

    Without --tp and the like, the best layout that fits is found: of those that cannot be told from
    the fastest, the one most like published runs. Batch, sequence and precision stay.
    """
    # Long because every option is an argument.
    from computeplan.analytic.step_price import price_step
    from computeplan.compiler.speed import of_decimal_batch
    from computeplan.report.steps import as_document

    switches = _switches(
        name=framework,
        date=date,
        dispatcher=dispatcher,
        expert_overlap=expert_overlap,
        graphs=graphs,
        grouped=grouped,
    )
    given = dict(layout) | {"recompute": _recompute(recompute), "schedule": schedule}
    rate = None if network is None else quantity(network, "B/s", "--network")
    prices = [
        price_step(
            model,
            name,
            chips,
            seq=seq,
            batch=None if batch is None else sequences(batch, seq),
            precision=precision,
            parallelism=_layout(given, chips, name, sequence_parallel=not no_sequence_parallel),
            framework=switches,
            mtp=mtp,
            out_bytes_per_s=rate,
            oversubscription=oversubscription,
        )
        for name in chip_names
    ]
    if batch is not None and not batch.strip().isdecimal():
        of_batch = of_decimal_batch(prices[0].model, quantity(batch, "token", "--batch"), seq)
        prices = [replace(price, notes=(*of_batch, *price.notes)) for price in prices]
    if figure is not None:
        _draw(prices, figure, language)
    if as_json:
        documents = [as_document(price, language=language) for price in prices]
        click.echo(json.dumps(documents, ensure_ascii=False, indent=2, allow_nan=False))
        return
    _show(prices, language)


def _show(prices: list[StepPrice], language: Language) -> None:
    from computeplan.report.steps import best_table, step_table

    click.echo(str(step_table(prices, language=language)))
    if len(prices) == 1 and prices[0].n_priced > 1:
        click.echo("")
        click.echo(str(best_table(prices[0], language=language)))


def _draw(prices: list[StepPrice], path: Path, language: Language) -> None:
    from computeplan.report.scatter import save_axes
    from computeplan.report.steps import breakdown
    from computeplan.report.style import unseen

    save_axes(breakdown(prices, language=language), path)
    names = (name for price in prices for name in (price.model, price.chip))
    say_unseen(unseen(names), language, err=True)


def _recompute(text: str | None) -> object:
    """Return what recompute says, as a scenario would say it."""
    if text is None or text in ("none", "selective", "full"):
        return text
    if text.startswith("full:"):
        layers = text.removeprefix("full:")
        return {"full": int(layers) if layers.isdecimal() else layers}
    return [name.strip() for name in text.split(",")]


def _layout(
    given: dict[str, object], chips: int, chip: str, *, sequence_parallel: bool
) -> Parallelism | Literal["auto"]:
    """Return the layout that the options name, filled up with data parallel replicas, or auto."""
    from pydantic import ValidationError

    from computeplan.specs.catalogue.lookup import find_chip
    from computeplan.specs.jobs import Parallelism

    numbers = {name: value for name, value in given.items() if value is not None}
    if numbers.get("tp") == "auto" and len(numbers) > 1:
        raise ScenarioError.of("--tp auto looks for the whole layout: leave the other options out")
    if not numbers or numbers.get("tp") == "auto":
        return "auto"
    if "tp" in numbers:
        text = str(numbers["tp"])
        if not text.isdecimal() or not 0 < int(text) <= BIGGEST:
            raise ScenarioError.of(f"--tp must be a whole number > 0 or auto, not {text!r}")
        numbers["tp"] = int(text)
    if "dp" not in numbers:
        try:
            ranks = chips * find_chip(chip)[0].ranks_per_chip
        except ScenarioError:
            raise
        except ValueError as error:
            raise ScenarioError.of(str(error)) from None
        others = math.prod(int(str(numbers.get(name, 1))) for name in ("tp", "pp", "cp"))
        numbers["dp"] = max(1, ranks // others)
    try:
        return Parallelism.model_validate(numbers | {"sequence_parallel": sequence_parallel})
    except ValidationError as error:
        first = error.errors()[0]
        option = "".join(f"--{str(part).replace('_', '-')} " for part in first["loc"][:1])
        raise ScenarioError.of(option + first["msg"].removeprefix("Value error, ")) from None


def _switches(**given: object) -> Switches:
    from pydantic import ValidationError

    from computeplan.specs.software import Switches

    try:
        return Switches.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        found = error.errors()[0]
        key = str(found["loc"][0])
        where = f"--{'framework' if key == 'name' else key.replace('_', '-')}"
        raise ScenarioError.of(f"{where} {found['msg'].removeprefix('Value error, ')}") from None
