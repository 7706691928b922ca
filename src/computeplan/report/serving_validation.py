"""Tables of what we say of published measurements of serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from computeplan.report.table import Table
from computeplan.validation.serving import (
    ITL,
    SLO,
    TTFT,
    Gate,
    ServingPrediction,
    ServingScore,
    scores,
)

__all__ = [
    "serving_family_table",
    "serving_gates_table",
    "serving_left_out_table",
    "serving_limits_table",
    "serving_rows_table",
]


def serving_rows_table(predictions: Sequence[ServingPrediction]) -> Table:
    """Return every row, quantity by quantity: measured, predicted, band, error, or why skipped."""
    rows = []
    for p in predictions:
        if p.skipped:
            rows.append((p.case.id, p.quantity, "", "skipped", "", "", p.skipped))
            continue
        band = f"{p.low:.4g} to {p.high:.4g}"
        gated = "" if p.case.is_gated else "not gated"
        numbers = (f"{p.measured:.4g}", f"{p.predicted:.4g}", band, f"{p.error:+.1%}", gated)
        rows.append((p.case.id, p.quantity, *numbers))
    head = ("row", "quantity", "measured", "predicted", "90 % band", "error", "")
    notes = (
        "of all chips of a row; times in ms; what its file calls unfit for gates is in no family",
    )
    return Table("serving, row by row", head, tuple(rows), notes)


def serving_family_table(predictions: Sequence[ServingPrediction]) -> Table:
    """Return one row for every family: errors, fitted numbers, the share inside the band."""
    found = scores(predictions)
    notes = [
        "error: predicted / measured - 1; median, MAPE and p90 of its size",
        (
            "fitted numbers: two shares of an entry, three of the watts of a chip; the host of an"
            " engine has two more, for all its entries"
        ),
        "apart from tokens/s, a family begins with what was measured",
        f"no gate: {TTFT} (see its share in the band), {ITL} (a median, not a mean), the plug",
    ]
    return Table("by family", _HEAD, _score_rows(found), tuple(notes))


def serving_left_out_table(outside: Mapping[str, ServingScore]) -> Table:
    """Return the errors on rows that took no part in the fit."""
    notes = ("a chip left out: engine and precision known from other chips",)
    return Table("tokens/s, fitted without them", _HEAD, _score_rows(outside), notes)


_HEAD = ("family", "rows", "fitted\nnumbers", "bias", "median", "MAPE", "p90", "in band")


def _score_rows(found: Mapping[str, ServingScore]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            name,
            f"{score.n}",
            f"{score.parameters}",
            f"{score.bias:+.1%}",
            f"{score.median:.1%}",
            f"{score.mape:.1%}",
            f"{score.p90:.1%}",
            f"{score.in_band:.0%}",
        )
        for name, score in found.items()
    )


def serving_limits_table(predictions: Sequence[ServingPrediction]) -> Table:
    """Return the rows under limits of latency: published and simulated rate, and their ratio."""
    rows = []
    for p in predictions:
        limits = p.case.row.slo
        if p.quantity != SLO or limits is None:
            continue
        rows.append(
            (
                p.case.id,
                f"{limits.ttft_p99_ms or np.inf:g} / {limits.tpot_p99_ms or np.inf:g}",
                f"{p.measured:.4g}",
                f"{p.predicted:.4g}",
                f"{1 + p.error:.2f}",
                "yes" if p.case.is_gated and not p.case.has_experts else "",
            )
        )
    head = ("row", "p99 limits\n[ms]", "published\n[1/s]", "simulated\n[1/s]", "ratio", "gated")
    notes = (
        "published: output tokens/s over the mean tokens of an answer",
        "recalled, not published: the mean tokens of prompts, and the limits",
        "not published: the layout; the best one found is taken",
    )
    return Table("the largest rate that holds limits of latency", head, tuple(rows), notes)


def serving_gates_table(lines: Sequence[Gate]) -> Table:
    """Return the lines that the shipped rows must keep."""
    rows = []
    for line in lines:
        limit = (
            f"at most {line.high:.4g}" if line.low == 0 else f"{line.low:.3g} to {line.high:.4g}"
        )
        holds = "yes" if line.is_kept else ("known" if line.missed else "NO")
        rows.append((line.name, f"{line.n}", f"{line.value:.3f}", limit, holds))
    notes = [f"{sum(line.is_kept for line in lines)} of {len(lines)} are kept"]
    notes += [f"{line.name}: {line.missed}" for line in lines if line.missed and not line.is_kept]
    head = ("line", "rows", "value", "must be", "kept")
    return Table("lines to keep", head, tuple(rows), tuple(notes))
