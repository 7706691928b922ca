"""Tables and JSON of published energy beside ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from computeplan.notes import quoted
from computeplan.report.choices import Language
from computeplan.report.table import Table
from computeplan.report.words import phrase, sentence
from computeplan.validation.energy import EnergyRow
from computeplan.validation.energy_cases import Gate

__all__ = [
    "energy_json",
    "energy_remarks",
    "energy_table",
    "gates_table",
]


def energy_table(rows: Sequence[EnergyRow], language: Language = "en") -> Table:
    """Return every quantity: published, ours, the error, whether it is within its gate, its meter.

    The meter comes last: where not all fits, the numbers stay beside the quantity that they are of.
    """
    said = {True: phrase("energy_yes", language), False: phrase("energy_no", language), None: ""}
    shown = []
    for row in rows:
        meter = f"{row.meter} ({row.meter_note})" if row.meter_note else row.meter
        pair = ("" if v is None else _number(v) for v in (row.expected, row.predicted))
        error = "" if row.error is None else f"{row.error:+.1%}"
        shown.append((row.id, row.quantity, *pair, error, said[row.within], meter))
    judged = [row for row in rows if row.within is not None]
    notes = (
        phrase(
            "energy_n_within",
            language,
            n=sum(row.within is True for row in judged),
            n_all=len(judged),
        ),
        phrase("energy_errors", language),
    )
    head = (
        phrase("energy_row", language),
        phrase("energy_quantity", language),
        phrase("energy_published", language),
        phrase("energy_ours", language),
        phrase("energy_error", language),
        phrase("energy_within", language),
        phrase("energy_meter", language),
    )
    return Table(phrase("energy_title", language), head, tuple(shown), notes)


def _number(value: float) -> str:
    return f"{value:.5g}" if abs(value) < 1e5 else f"{value:.0f}"


def gates_table(
    rows: Sequence[EnergyRow], gates: Mapping[str, Gate], language: Language = "en"
) -> Table:
    """Return every gate: how near, how many it holds, the largest error, and what set the model."""
    shown = []
    for name, gate in gates.items():
        errors = [abs(row.error) for row in rows if row.gate == name and row.error is not None]
        worst = f"{max(errors):.1%}" if errors else ""
        comma = phrase("between", language).strip()
        set_by = f"{comma}\n".join(sentence(one, language) for one in quoted(gate.set_by))
        set_by = set_by or phrase("energy_own_inputs", language)
        shown.append((name, f"{gate.within:.1%}", f"{len(errors)}", worst, set_by))
    head = (
        phrase("energy_gate", language),
        phrase("energy_most", language),
        phrase("energy_n_gated", language),
        phrase("energy_worst", language),
        phrase("energy_set_by", language),
    )
    return Table(phrase("energy_gates", language), head, tuple(shown))


def energy_remarks(rows: Sequence[EnergyRow], language: Language = "en") -> list[str]:
    """Return why quantities are not computed, and errata, a line each."""
    return [
        phrase(
            "energy_note_of",
            language,
            id=row.id,
            quantity=row.quantity,
            why=sentence(row.skipped, language),
        )
        for row in rows
        if row.skipped is not None
    ]


def energy_json(rows: Sequence[EnergyRow]) -> str:
    """Return the rows as JSON; what is not there is null."""
    keys = ("id", "meter", "quantity", "expected", "predicted", "error", "within")
    document = {
        "suite": "energy",
        "rows": [
            {key: getattr(row, key) for key in keys}
            | {"meter": row.meter or None}
            | {"skipped": None if row.skipped is None else sentence(row.skipped)}
            for row in rows
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
