"""``computeplan plot``: draw the figures of a saved result again, without simulating."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from computeplan.cli.options import language_option, say_unseen
from computeplan.report import FIGURES, Language

__all__ = ["plot"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write to; only figures of computeplan are replaced.  [default: FOLDER/figures]",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(FIGURES),
    help="Only these; may be repeated.",
)
@click.option("--svg", is_flag=True, help="Write an SVG beside every PNG.")
@language_option
def plot(
    folder: Path, out: Path | None, kinds: tuple[str, ...], svg: bool, language: Language
) -> None:
    """Draw the figures of the result in FOLDER again, without simulating."""
    from computeplan.report.figures import save_figures, unseen_in
    from computeplan.report.result_views import missing
    from computeplan.study.folder import add_files
    from computeplan.study.store import load_result

    result, target = load_result(folder), folder / "figures" if out is None else out
    draw = partial(save_figures, result, kinds=kinds or None, language=language, svg=svg)
    names = add_files(folder, "figures", draw) if out is None else draw(out)
    for line in missing(result, language):
        click.echo(line, err=True)
    for name in names:
        click.echo(target / name)
    say_unseen(unseen_in(result), language, err=True)
