"""Tables and JSON of often-quoted claims beside the like-for-like figures."""

from __future__ import annotations

import json
from collections.abc import Sequence

from computeplan.report.choices import Language
from computeplan.report.table import Table
from computeplan.report.words import phrase
from computeplan.validation.claims import ClaimRow, Claims

__all__ = ["claims_json", "claims_table", "figures_table"]

VERDICTS = {
    "holds": "claims_holds",
    "contested": "claims_contested",
    "overstated": "claims_overstated",
    "understated": "claims_understated",
}
KINDS = {
    "like": "claims_like",
    "range": "claims_range",
    "aside": "claims_aside",
    "simulated": "claims_simulated",
}


def claims_table(rows: Sequence[ClaimRow], file: Claims, language: Language = "en") -> Table:
    """Return every claim: the quoted figure, the like-for-like one, its range, the verdict."""
    shown = tuple(
        (
            row.claim_zh if language == "zh" else row.claim,
            f"{_short(row.claimed)} {row.unit}".strip(),
            _short(row.like_for_like),
            _range(row.low, row.high, language),
            _range(min(row.simulated), max(row.simulated), language) if row.simulated else "",
            phrase(VERDICTS[row.verdict], language),
        )
        for row in rows
    )
    head = (
        phrase("claims_claim", language),
        phrase("claims_claimed", language),
        phrase("claims_like", language),
        phrase("claims_range", language),
        phrase("claims_simulated", language),
        phrase("claims_verdict", language),
    )
    notes = (phrase("claims_rule", language, slack=file.slack, widest=file.widest),)
    return Table(phrase("claims_title", language), head, shown, notes)


def figures_table(rows: Sequence[ClaimRow], language: Language = "en") -> Table:
    """Return what stands behind every claim."""
    shown = tuple(
        (
            f"{row.id}: {figure.name_zh if language == 'zh' else figure.name}",
            _short(figure.value),
            phrase(KINDS[figure.kind], language),
        )
        for row in rows
        for figure in row.figures
    )
    head = (
        phrase("claims_figure", language),
        phrase("claims_value", language),
        "",
    )
    return Table(phrase("claims_figures", language), head, shown)


def _range(least: float, most: float, language: Language) -> str:
    low, high = _short(least), _short(most)
    if low == high:
        return low
    return f"{low}～{high}" if language == "zh" else f"{low} to {high}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def claims_json(rows: Sequence[ClaimRow]) -> str:
    """Return the claims as JSON."""
    keys = ("id", "claim", "claimed", "like_for_like", "low", "high", "verdict", "source")
    document = {
        "suite": "claims",
        "rows": [{key: getattr(row, key) for key in keys} for row in rows],
        "simulated": [
            {"id": row.id, "figure": figure.name, "value": figure.value}
            for row in rows
            for figure in row.figures
            if figure.kind == "simulated"
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
