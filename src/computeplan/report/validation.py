"""Tables and figure of what we say of published training runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from computeplan.report import Language
from computeplan.report.scatter import scatter
from computeplan.report.table import Table
from computeplan.report.words import sentence
from computeplan.specs.catalogue.fitted_speed import speed_tables
from computeplan.validation.calibration import LeftOut
from computeplan.validation.reliability import Check
from computeplan.validation.scheduling import Row
from computeplan.validation.training import Prediction, precision_ratios, ranking, scores

__all__ = [
    "checks_json",
    "checks_table",
    "family_table",
    "left_out_document",
    "markdown",
    "out_of_sample_table",
    "precision_table",
    "rows_table",
    "scatter_of",
    "schedules_json",
    "schedules_table",
]


def rows_table(predictions: Sequence[Prediction]) -> Table:
    """Return every row: measured, predicted, band, error, or why it was skipped."""
    rows = []
    for p in sorted(predictions, key=lambda p: (not p.family, not p.case.verified, p.family)):
        measured = "" if p.case.measured_s is None else f"{p.case.measured_s:.4g}"
        if math.isnan(p.predicted_s):
            rows.append((p.case.id, "skipped", measured, "", "", p.case.skipped))
            continue
        band = f"{p.low_s:.3g} to {p.high_s:.3g}"
        rows.append(
            (p.case.id, p.family, measured, f"{p.predicted_s:.4g}", band, f"{p.error:+.1%}")
        )
    head = ("row", "family", "measured s", "predicted s", "90 % band", "error")
    return Table("seconds per step, row by row", head, tuple(rows))


def family_table(predictions: Sequence[Prediction]) -> Table:
    """Return one row for every family: errors, fitted numbers, and the constant-MFU baseline."""
    families = speed_tables().families
    rows = []
    for name, score in scores(predictions).items():
        largest = f"{families[name].largest_chips:,}" if name in families else ""
        rows.append(
            (
                name,
                f"{score.n}",
                f"{score.parameters}",
                f"{score.bias:+.1%}",
                f"{score.median:.1%}",
                f"{score.mape:.1%}",
                f"{score.p90:.1%}",
                f"{score.baseline_mape:.1%}",
                largest,
            )
        )
    head = (
        "family",
        "rows",
        "fitted\nnumbers",
        "bias",
        "median",
        "MAPE",
        "p90",
        "constant\nMFU: MAPE",
        "largest run\n[chips]",
    )
    priced = [p for p in predictions if not math.isnan(p.predicted_s)]
    verified = [p for p in predictions if p.case.verified]
    notes = [
        "error: predicted / measured seconds per step - 1; median, MAPE and p90 of its size",
        (
            f"{sum(not math.isnan(p.predicted_s) for p in verified)} of {len(verified)} verified"
            " rows priced; rows that are not verified gate nothing and are left out here"
        ),
    ]
    tau, n_pairs = ranking(p for p in priced if p.case.release == "vTrain")
    if n_pairs:
        notes.append(
            f"ranking of layouts of one model (vTrain): Kendall tau {tau:.2f} over {n_pairs} pairs"
            " that differ by more than 5 %"
        )
    inside = [p.low_s <= (p.case.measured_s or 0.0) <= p.high_s for p in priced if p.case.verified]
    if inside:
        notes.append(f"{np.mean(inside):.0%} of verified rows lie inside their 90 % band")
    return Table("by family", head, tuple(rows), tuple(notes))


def left_out_document(
    found: Mapping[str, Sequence[LeftOut]],
) -> dict[str, dict[str, dict[str, float]]]:
    """Return rows, bias, mean absolute error and share in their band, by what was left out."""
    document: dict[str, dict[str, dict[str, float]]] = {}
    for label, parts in found.items():
        whole = [("all", list(parts))] if len(parts) > 1 else []
        for name, some in [*((part.part, [part]) for part in parts), *whole]:
            relative = np.expm1(np.concatenate([part.errors for part in some]))
            document.setdefault(label, {})[name] = {
                "n": relative.size,
                "bias": float(relative.mean()),
                "mape": float(np.abs(relative).mean()),
                "in_band": float(np.mean([hit for part in some for hit in part.inside()])),
            }
    return document


def precision_table(predictions: Sequence[Prediction]) -> Table:
    """Return time in FP8 over time in half precision, wherever rows have both."""
    rows = tuple(
        (
            r.chip,
            r.model,
            f"{r.n_chips:,}",
            r.framework,
            f"{r.seq:,}",
            f"{r.n_rows}",
            f"{r.measured:.3f}",
            f"{r.said:.3f}",
            f"{r.said / r.measured - 1:+.1%}",
        )
        for r in precision_ratios(predictions)
    )
    head = ("chip", "model", "chips", "framework", "seq", "rows", "measured", "predicted", "error")
    notes = (
        "time of a token in FP8 over that in half precision: geometric means, by chip and model",
        "rows of one size, framework and sequence, whatever their release and layout",
    )
    return Table("FP8 over half precision", head, rows, notes)


def out_of_sample_table(found: Mapping[str, Sequence[LeftOut]]) -> Table:
    """Return the errors on rows that were left out of the fit."""
    rows = [
        (
            label,
            name,
            f"{numbers['n']:.0f}",
            f"{numbers['bias']:+.1%}",
            f"{numbers['mape']:.1%}",
            f"{numbers['in_band']:.0%}",
        )
        for label, parts in left_out_document(found).items()
        for name, numbers in parts.items()
    ]
    everything = [part for parts in found.values() for part in parts]
    hits = [hit for part in everything for hit in part.inside()]
    notes = (
        "left out: all rows of a release, of a model family, of a software stack, of a chip",
        f"in band: share inside their 90 % band; {np.mean(hits):.0%} of all {len(hits):,}",
    )
    head = ("left out", "rows of", "n", "bias", "MAPE", "in band")
    return Table("out of sample: fitted without them", head, tuple(rows), notes)


def checks_table(found: Sequence[Check]) -> Table:
    """Return every reliability check: published or exact, simulated, and whether it holds."""
    rows = []
    for check in found:
        published = check.published
        said = published if isinstance(published, str) else f"{published:.6g}"
        holds = "yes" if check.ok else "NO"
        tolerance = sentence(check.tolerance)
        rows.append((check.id, check.what, said, f"{check.predicted:.6g}", tolerance, holds))
    notes = [f"{sum(check.ok for check in found)} of {len(found)} hold"]
    head = ("case", "figure", "published\nor exact", "simulated", "tolerance", "holds")
    return Table("reliability", head, tuple(rows), tuple(notes))


def checks_json(found: Sequence[Check], fitted: dict[str, Any] | None = None) -> str:
    """Return checks as JSON, with what was fitted to a log."""
    checks = [asdict(check) | {"tolerance": sentence(check.tolerance)} for check in found]
    document = {"suite": "reliability", "checks": checks, "log": fitted}
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)


def schedules_table(rows: Sequence[Row]) -> Table:
    """Return every quantity of published schedules: theirs, ours, and whether it is near enough."""
    said = {True: "yes", False: "NO", None: ""}
    shown = []
    for row in rows:
        pair = (row.expected, row.predicted)
        texts = [f"{len(v)} jobs" if isinstance(v, list) else f"{v:.6g}" for v in pair]
        error = f"{row.error:+.4f}" if row.quantity == "utilisation" else f"{row.error:+.2%}"
        holds = "known" if row.missed and row.within is False else said[row.within]
        shown.append((row.id, row.quantity, *texts, error, holds))
    judged = [row for row in rows if row.within is not None]
    notes = [f"{sum(row.within is True for row in judged)} of {len(judged)} are near enough"]
    head = ("case", "quantity", "published", "ours", "error", "near\nenough")
    return Table("schedules", head, tuple(shown), tuple(notes))


def schedules_json(rows: Sequence[Row]) -> str:
    """Return rows of published schedules as JSON; a number that does not exist is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(one) for one in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    keys = ("id", "quantity", "expected", "predicted", "error", "within")
    document = {"rows": [{key: plain(getattr(row, key)) for key in keys} for row in rows]}
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)


def scatter_of(
    predictions: Sequence[Prediction], ax: Axes | None = None, *, language: Language = "en"
) -> Axes:
    """Return axes with predicted over measured, a colour for every family."""
    points = {}
    for name in scores(predictions):
        rows = [p for p in predictions if p.family == name and not math.isnan(p.error)]
        measured = np.array([p.case.measured_s for p in rows], dtype=np.float64)
        points[name] = (measured, np.array([p.predicted_s for p in rows]))
    return scatter(points, ax, language=language)


def markdown(table: Table) -> str:
    """Return a table as Markdown, notes below."""

    def line(cells: Sequence[str]) -> str:
        safe = (cell.replace("\n", " ").replace("|", "\\|") for cell in cells)
        return f"| {' | '.join(safe)} |"

    rule = "|" + "---|" * len(table.header)
    body = [line(table.header), rule, *(line(row) for row in table.rows)]
    return "\n".join([*body, "", *(f"- {note}" for note in table.notes)])
