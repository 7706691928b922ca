"""``computeplan mix``: one job on chips of several kinds, and what the mixture loses."""

from __future__ import annotations

import json

import click

from computeplan.cli.options import (
    BIGGEST,
    json_option,
    language_option,
    model_option,
    precision_option,
    quantity,
    seq_option,
    sequences,
    show_lines,
    show_table,
)
from computeplan.errors import ScenarioError
from computeplan.report import Language

__all__ = ["mix"]


@click.command()
@language_option
@model_option
@click.option(
    "--chips",
    required=True,
    metavar="CHIP:N,CHIP:N",
    help="Two to four kinds and how many of each: h100:256,910b2:512.",
)
@seq_option
@click.option("--batch", help="Sequences of a step, or tokens with a unit: 512, '4 Mitoken'.")
@precision_option
@click.option(
    "--split",
    "way",
    type=click.Choice(("best", "layers", "batch")),
    default="best",
    show_default=True,
    help="What is split: layers, in one pipeline over all kinds, or the batch.",
)
@click.option("--tp", metavar="CHIP:N,...", help="Tensor parallel ranks of kinds, if not found.")
@click.option(
    "--link",
    type=click.Choice(("direct", "host")),
    default="direct",
    show_default=True,
    help="How chips of two kinds send: directly, or through the memory of the hosts.",
)
@click.option(
    "--link-bandwidth",
    help="Between two kinds, per pair of chips: 200 Gbit/s.  [default: the slower data sheet]",
)
@click.option("--framework", help="Training software whose switches to take.")
@json_option
def mix(
    language: Language,
    model: str,
    chips: str,
    seq: int,
    batch: str | None,
    precision: str,
    way: str,
    tp: str | None,
    link: str,
    link_bandwidth: str | None,
    framework: str | None,
    as_json: bool,
) -> None:
    """Price one training job on chips of several kinds at once.

    Layers are dealt to stages, or the batch to replicas, so that the step is shortest; the
    throughput is told as a share of what the kinds train by themselves.

    \b
    computeplan mix --model llama-3.1-70b --chips h100:256,910b2:512 --batch '4 Mitoken'
    """  # noqa: D301 - \b is for click
    from rich.console import Console

    from computeplan.analytic.mixed_price import price_mix
    from computeplan.report.mixed import answer, as_document, bounds_table, remarks, split_table
    from computeplan.report.words import phrase

    rate = None
    if link_bandwidth is not None:
        rate = quantity(link_bandwidth, "B/s", "--link-bandwidth")
    counts = _counts(chips, "--chips")
    with Console(stderr=True).status(phrase("searching_splits", language, n=len(counts))):
        price = price_mix(
            model,
            counts,
            seq=seq,
            batch=None if batch is None else sequences(batch, seq),
            precision=precision,
            link="host" if link == "host" else "direct",
            link_bytes_per_s=rate,
            tp=None if tp is None else dict(_counts(tp, "--tp")),
            way="pipeline" if way == "layers" else "batch" if way == "batch" else "best",
            framework=framework,
        )
    if as_json:
        document = as_document(price, language=language)
        click.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))
        return
    show_lines(answer(price, language))
    show_table(bounds_table(price, language=language))
    show_table(split_table(price, language=language))
    show_lines(f"- {line}" for line in remarks(price, language))


def _counts(text: str, option: str) -> list[tuple[str, int]]:
    """Return names with their numbers."""
    found = []
    for part in text.split(","):
        name, colon, number = part.rpartition(":")
        digits = number.strip().replace("_", "")
        if not colon or not name.strip() or not digits.isdecimal():
            raise ScenarioError.of(
                f"{part.strip()!r} is not CHIP:NUMBER; write {option} h100:8,910b2:16"
            )
        if not 0 < int(digits) <= BIGGEST:
            raise ScenarioError.of(f"{option}: {part.strip()} must be 1 to {BIGGEST:,}")
        found.append((name.strip(), int(digits)))
    return found
