"""``computeplan fit``: a fault log turned into fault laws that ``run`` reads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from computeplan.cli.options import json_option, language_option
from computeplan.errors import ComputePlanError, ScenarioError
from computeplan.report import Language
from computeplan.study.folder import open_regular

if TYPE_CHECKING:
    from computeplan.fitting.fit import FleetFit
    from computeplan.fitting.forecast import Prediction
    from computeplan.fitting.retirement import LemonGain
    from computeplan.specs.logs.events import Events

__all__ = ["fit"]

BIGGEST = 1_000_000


@click.command()
@language_option
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--nodes", type=click.IntRange(1, BIGGEST), help="Of the fleet, all of them.")
@click.option("--from", "begins", help="When the log begins: '0 d', or 2024-07-23.")
@click.option("--to", "ends", help="When it ends: '174 d', or 2024-12-31T08:00:00Z.")
@click.option("--columns", help="Of a CSV: node=host,start=begin,end=fixed,cause=why.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(("csv", "infinitehbd", "sacct", "sacctmgr", "fta")),
    help="Found from the first lines if left out.",
)
@click.option("--unit", type=click.Choice(("s", "min", "h", "d")), help="Of bare times in a CSV.")
@click.option(
    "--dates", help="Form of dates that are not ISO 8601: '%m/%d/%Y %H:%M'; '%s' since 1970."
)
@click.option("--new", "is_new", is_flag=True, help="Every node was new when the log began.")
@click.option("--predict-from", help="Fit until then, and predict the rest: '120 d'.")
@click.option("--split", help="Retire the worst nodes then, and look at later days: '87 d'.")
@click.option("--share", type=float, default=0.05, show_default=True, help="Of nodes to retire.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of draws.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write a faults: block (YAML); only a file that fit wrote is replaced.",
)
@click.option("--restart", help="How long a job needs to restart, for --out: '10 min'.")
@click.option("--repair", help="How long repairs last, for --out, if the log does not say.")
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    help="Write the window as the plain CSV that replay: keeps; only such a CSV is replaced.",
)
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    help="Draw to a PNG or SVG file; only a figure of computeplan is replaced.",
)
@json_option
def fit(
    language: Language,
    log: Path,
    nodes: int | None,
    begins: str | None,
    ends: str | None,
    columns: str | None,
    kind: str | None,
    unit: str | None,
    dates: str | None,
    is_new: bool,
    predict_from: str | None,
    split: str | None,
    share: float,
    seed: int,
    out: Path | None,
    restart: str | None,
    repair: str | None,
    replay: Path | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Fit rates, repairs, drift and unlike nodes to a fault LOG (CSV, Slurm, InfiniteHBD, FTA).

    A log holds faults. It does not hold the nodes that never failed, nor how long it was kept:
    --nodes, --from and --to say so.
    """
    from computeplan.fitting.fit import fit_faults
    from computeplan.fitting.history import observe
    from computeplan.fitting.holdout import predictions_of, retired
    from computeplan.report.faults_yaml import faults_block
    from computeplan.specs.logs.reader import read_log
    from computeplan.specs.logs.replay import replayed

    _check_outputs(log, out, replay, figure)
    laws = _assumed(out, restart, repair)
    size, first, last = _fleet(nodes, begins, ends)
    events = read_log(log, kind, columns=_columns(columns), unit=unit, dates=dates)
    from_s, to_s = _time_s(first, events, "--from"), _time_s(last, events, "--to")
    history = observe(events, size, from_s, to_s)
    until = None if predict_from is None else _time_s(predict_from, events, "--predict-from")
    at = None if split is None else _time_s(split, events, "--split")
    found = fit_faults(history, is_new=is_new)
    predictions = [] if until is None else predictions_of(history, until - from_s, seed)
    gain = None if at is None else retired(history, at - from_s, share, seed)
    if out is not None:
        _write(out, faults_block(found, *laws))
    if replay is not None:
        _write(replay, replayed(events, from_s, to_s).csv())
    if figure is not None:
        from computeplan.report.fit import fit_figure
        from computeplan.report.scatter import save_axes

        save_axes(fit_figure(found, language=language), figure)
    _show(found, predictions, gain, language, as_json=as_json)


def _show(
    found: FleetFit,
    predictions: list[Prediction],
    gain: LemonGain | None,
    language: Language,
    *,
    as_json: bool,
) -> None:
    from computeplan.report import fit as report
    from computeplan.report.words import sentences

    if as_json:
        document = report.fit_document(found, predictions, gain, language=language)
        click.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))
        return
    makers = (report.causes_table, report.laws_table, report.months_table)
    tables = [make(found, language=language) for make in makers]
    if predictions:
        tables.append(report.prediction_table(predictions, language=language))
    if gain is not None:
        tables.append(report.lemons_table(gain, language=language))
    for table in tables:
        click.echo(f"{table}\n")
    for finding in sentences(found.findings, language):
        click.echo(f"- {finding}")


def _fleet(nodes: int | None, begins: str | None, ends: str | None) -> tuple[int, str, str]:
    """Return fleet and window, or say why they are needed."""
    if nodes is not None and begins is not None and ends is not None:
        return nodes, begins, ends
    why = []
    if nodes is None:
        why.append("--nodes is missing: a log does not hold the nodes that never failed")
    if begins is None or ends is None:
        missing = " and ".join(
            name for name, value in (("--from", begins), ("--to", ends)) if value is None
        )
        why.append(f"{missing} missing: a log does not say how long nothing failed at its ends")
    raise ScenarioError.of("; ".join(why))


def _assumed(out: Path | None, restart: str | None, repair: str | None) -> tuple[str, str | None]:
    """Return the laws that no log holds, as YAML."""
    from computeplan.report.faults_yaml import read_assumed

    if out is not None and restart is None:
        raise ScenarioError.of("--out needs --restart '10 min': a fault log does not hold it")
    law = "" if restart is None else read_assumed("--restart", restart)
    return law, None if repair is None else read_assumed("--repair", repair)


def _columns(text: str | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in (text or "").split(","):
        what, sign, name = part.partition("=")
        if part and not (sign and name.strip()):
            raise ScenarioError.of(f"--columns is node=host,start=begin, not {part[:60]!r}")
        if part:
            found[what.strip()] = name.strip()
    return found


def _time_s(text: str, events: Events, option: str) -> float:
    """Return a time on the log's clock. [s]"""
    from computeplan.specs.logs.times import read_time_s

    return read_time_s(text, is_dated=events.is_dated, option=option)


def _check_outputs(log: Path, out: Path | None, replay: Path | None, figure: Path | None) -> None:
    """Raise ComputePlanError if a file to be written is the log, or of others: before the work."""
    for option, path, head in (
        ("--out", out, "# Fitted by computeplan"),
        ("--replay", replay, "node,start_s,end_s\n"),
        ("--figure", figure, None),
    ):
        if path is None:
            continue
        try:
            if path.exists() and log.exists() and path.samefile(log):
                raise ScenarioError.of(
                    f"{option} is the log itself; name another file", file=str(path)
                )
            if head is not None and os.path.lexists(path):
                with open_regular(path) as file:
                    if file.read(len(head)) != head.encode():
                        message = "exists and was not written by computeplan fit, so it is not"
                        raise ComputePlanError(
                            f"{path}: {message} replaced. Name another file or remove it"
                        )
        except OSError as error:
            raise ComputePlanError(f"{path}: cannot be written: {error.strerror}") from error
    if figure is not None:
        from computeplan.report.scatter import check_figure

        check_figure(figure)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ComputePlanError(f"{path}: cannot be written: {error.strerror}") from error
