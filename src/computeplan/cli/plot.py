"""``computeplan plot``: draw the figures of a saved result again, without simulating."""

from __future__ import annotations

from pathlib import Path

import click

from computeplan.cli.options import language_option, say_unseen
from computeplan.report import FIGURES, Language

__all__ = ["plot"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: FOLDER/figures]"
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(FIGURES),
    help="Only these; may be repeated.",
)
@language_option
def plot(folder: Path, out: Path | None, kinds: tuple[str, ...], language: Language) -> None:
    """Draw the figures of the result in FOLDER as PNG and SVG."""
    from computeplan.report.figures import save_figures, unseen_in
    from computeplan.study.store import load_result

    result = load_result(folder)
    target = out if out is not None else folder / "figures"
    for name in save_figures(result, target, kinds or None, language=language):
        click.echo(f"{target / name}.png")
        click.echo(f"{target / name}.svg")
    say_unseen(unseen_in(result), language, err=True)
