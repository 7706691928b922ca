"""Fits what chips draw while they serve to rows with watts, and holds predictions against them.

Shares of bandwidth and peak in use are those of the measured tokens a second, so that errors of
speed are not fitted into watts. The three numbers of a chip are not negative, and have the least
squares of relative errors. Joules a token are shown end to end: watts and tokens both predicted.

Run as ``python -m computeplan.validation.serving_power`` it writes ``data/serving_power.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from computeplan.arrays import FloatArray
from computeplan.physics.serving.power import Draw, chip_w, joules_per_token
from computeplan.specs.catalogue.serving_power import known_draw
from computeplan.validation.serving_cases import ServingCase, published_serving
from computeplan.validation.serving_fit import predicted, priced

__all__ = [
    "PowerRow",
    "draws_left_out",
    "errors_j",
    "errors_w",
    "fit_draw",
    "of_chips",
    "power_rows",
    "power_yaml",
    "predicted_w",
]

HEAD = """\
# Made by python -m computeplan.validation.serving_power from published/serving.yaml: do not edit.
# What a chip draws while it serves, in shares of its power limit: base, and more at the whole
# bandwidth and at the whole dense peak. error, p90: relative errors of the watts, mean and of nine
# rows in ten; of any, which is for chips without rows, p90 is that of chips left out.
"""


@dataclass(frozen=True, slots=True)
class PowerRow:
    """A row with watts, and what is in use."""

    case: ServingCase
    chip: str
    """Full name."""
    limit_w: float
    measured_w: float
    """Of one chip, at its own meter. [W]"""
    bandwidth_frac: float
    peak_frac: float
    """In use at the measured tokens a second."""
    bandwidth_frac_said: float
    peak_frac_said: float
    """In use at the predicted ones."""
    tokens_per_s: float
    tokens_per_s_said: float
    """Output tokens of the instance, measured and predicted. [token/s]"""


Split = Callable[[PowerRow], str]


def power_rows(cases: Iterable[ServingCase] | None = None) -> tuple[PowerRow, ...]:
    """Return the gated rows with watts at the meters of chips."""
    found = []
    for case in published_serving() if cases is None else cases:
        if not case.is_gated or "chips_w" not in case.measured:
            continue
        row = priced(case)
        if row is None or case.chip is None or case.chip.tdp_w is None or not case.row.n_chips:
            continue
        said = predicted(row)
        faster = row.measured / said.tokens_per_s
        x, y = said.utilisation
        found.append(
            PowerRow(
                case=case,
                chip=case.chip.kin,
                limit_w=case.chip.tdp_w,
                measured_w=case.measured["chips_w"] / case.row.n_chips,
                bandwidth_frac=min(x * faster, 1.0),
                peak_frac=min(y * faster, 1.0),
                bandwidth_frac_said=x,
                peak_frac_said=y,
                tokens_per_s=row.measured,
                tokens_per_s_said=said.tokens_per_s,
            )
        )
    return tuple(found)


def fit_draw(rows: Sequence[PowerRow]) -> FloatArray:
    """Return base, bandwidth and peak in shares of the power limit, with the least squares."""
    drawn = np.array([row.measured_w / row.limit_w for row in rows])
    used = np.array([[1.0, row.bandwidth_frac, row.peak_frac] for row in rows])
    found: FloatArray = nnls(used / drawn[:, None], np.ones(drawn.size))[0]
    return found


def predicted_w(shares: FloatArray, row: PowerRow, *, said: bool = False) -> float:
    """Return what one chip of a row draws, by the measured speed or by the predicted one. [W]"""
    draw = Draw(*(float(share) * row.limit_w for share in (*shares, 1.0)))
    used = (row.bandwidth_frac, row.peak_frac)
    if said:
        used = (row.bandwidth_frac_said, row.peak_frac_said)
    return float(chip_w(draw, *used))


def errors_w(shares: FloatArray, rows: Sequence[PowerRow]) -> FloatArray:
    """Return the relative errors of watts at measured speeds."""
    return np.array([predicted_w(shares, row) / row.measured_w - 1.0 for row in rows])


def errors_j(rows: Sequence[PowerRow]) -> FloatArray:
    """Return the relative errors of joules a token, by what ships: watts and speed predicted."""
    found = []
    for row in rows:
        assert row.case.chip is not None
        known = known_draw(row.case.chip)
        w = float(chip_w(Draw(*known[:4]), row.bandwidth_frac_said, row.peak_frac_said))
        n = row.case.row.n_chips
        measured = float(joules_per_token(row.measured_w, n, row.tokens_per_s))
        found.append(float(joules_per_token(w, n, row.tokens_per_s_said)) / measured - 1.0)
    return np.array(found)


def draws_left_out(rows: Sequence[PowerRow], by: Split) -> FloatArray:
    """Return the relative errors of watts of rows, each by the rows of other groups."""
    errors = np.zeros(len(rows))
    groups = np.array([by(row) for row in rows])
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        others = [row for row, other in zip(rows, groups, strict=True) if other != group]
        errors[inside] = errors_w(fit_draw(others), [rows[int(i)] for i in inside])
    return errors


def of_chips(rows: Iterable[PowerRow]) -> Mapping[str, list[PowerRow]]:
    """Return rows by chip."""
    found: dict[str, list[PowerRow]] = {}
    for row in rows:
        found.setdefault(row.chip, []).append(row)
    return found


def power_yaml(rows: Sequence[PowerRow]) -> str:
    """Return the file of what is fitted."""
    lines = [HEAD, "chips:\n"]
    for chip, those in sorted(of_chips(rows).items()):
        shares = fit_draw(those)
        errors = np.abs(errors_w(shares, those))
        lines.append(f"  {chip}: {_written(shares, errors, errors)}\n")
    shares = fit_draw(rows)
    left_out = np.abs(draws_left_out(rows, lambda row: row.chip))
    lines.append(f"any: {_written(shares, np.abs(errors_w(shares, rows)), left_out)}\n")
    return "".join(lines)


def _written(shares: FloatArray, errors: FloatArray, outside: FloatArray) -> str:
    base, bandwidth, peak = (f"{share:.4f}" for share in shares)
    return (
        f"{{base: {base}, bandwidth: {bandwidth}, peak: {peak}, rows: {errors.size},"
        f" error: {errors.mean():.3f}, p90: {np.quantile(outside, 0.9):.3f}}}"
    )


if __name__ == "__main__":
    target = Path(str(resources.files("computeplan"))) / "data" / "serving_power.yaml"
    target.write_text(power_yaml(power_rows()), "utf-8")
