"""Fits the few numbers of each family to its published rows, and tests them on rows left out.

Two numbers a family: what training products reach of measured inference kernels, and the time lost
per kernel. Loss: soft-L1 of the logarithm of predicted over measured seconds. A family has numbers
of its own with at least 15 verified rows from two releases, or, for a chip whose rows all come from
one, 15 rows; never more than one number for eight rows. Rows with experts are never fitted.

Run as ``python -m computeplan.validation.calibration`` it writes ``data/families.yaml`` anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from computeplan.arrays import FloatArray
from computeplan.compiler.hardware import INTERVAL, Numbers
from computeplan.validation.cases import Case, published_cases
from computeplan.validation.training import LOSS_SCALE, seconds

__all__ = ["FAMILIES", "FamilyPlan", "families_yaml", "fit", "left_out", "out_of_sample", "rows_of"]

FEWEST_ROWS, ROWS_PER_NUMBER = 15, 8
FITTED = ("gemm_frac", "launch_s")
START = (0.85, 5e-5)
BOUNDS = ((0.3, 1e-7), (1.5, 2e-3))


class FamilyPlan(NamedTuple):
    """Which rows make a family."""

    chips: tuple[str, ...]
    precisions: tuple[str, ...]
    parent: str | None


FAMILIES = {
    "A100": FamilyPlan(("nvidia/a100-80gb", "nvidia/a100-40gb"), ("bf16", "fp16"), None),
    "H100 BF16": FamilyPlan(("nvidia/h100-sxm",), ("bf16", "fp16"), "A100"),
    "H100 FP8": FamilyPlan(("nvidia/h100-sxm",), ("fp8",), "H100 BF16"),
    "Ascend 910B": FamilyPlan(("huawei/ascend-910b2",), ("bf16", "fp16"), "A100"),
}
HEAD = """\
# Made by python -m computeplan.validation.calibration from published/training.yaml: do not edit.
# gemm_frac: training products over measured inference kernels. launch_s: time lost per kernel [s].
# software_year: mean year of the rows' software. spread: standard deviation of the logarithm of
# predicted over measured, from rows left out: a release at a time; of one release, a model family.
families:
"""


def rows_of(name: str, cases: Iterable[Case]) -> list[Case]:
    """Return the verified dense rows of a family that can be priced."""
    plan = FAMILIES[name]
    return [
        case
        for case in cases
        if case.verified
        and case.question is not None
        and case.measured_s is not None
        and case.question.training.shape.moe is None
        and case.question.chip.name in plan.chips
        and case.question.precision in plan.precisions
    ]


def fit(cases: Sequence[Case], fewest: int = FEWEST_ROWS) -> tuple[Numbers, float]:
    """Return the numbers that fit some rows best, and the mean year of their software.

    Parameters
    ----------
    cases : sequence of Case
        With questions and measured times.
    fewest : int
        Rows that there must be.

    Raises
    ------
    ValueError
        If there are fewer.
    """
    if len(cases) < fewest:
        raise ValueError(f"{len(cases)} rows are too few: {fewest} are needed")
    year = _mean_year(cases)

    def errors(logs: FloatArray) -> FloatArray:
        return _errors(cases, Numbers(*np.exp(logs)), year)

    bounds = (np.log(BOUNDS[0]), np.log(BOUNDS[1]))
    found = least_squares(errors, np.log(START), loss="soft_l1", f_scale=LOSS_SCALE, bounds=bounds)
    return Numbers(*(float(x) for x in np.exp(found.x))), year


def left_out(
    name: str, cases: Sequence[Case], group: Callable[[Case], str]
) -> dict[str, FloatArray]:
    """Return for every group of a family's rows how the rest of the rows predicts it.

    Where fewer than eight rows are left, the numbers of the parent do.

    Parameters
    ----------
    name : str
        The family.
    cases : sequence of Case
        Of all families.
    group : callable
        Name of the group of a row.

    Returns
    -------
    dict of str to ndarray
        Logarithms of predicted over measured of the rows left out.
    """
    rows = rows_of(name, cases)
    groups = list(dict.fromkeys(group(row) for row in rows))
    found = {}
    for out in groups if len(groups) > 1 else ():
        kept = [row for row in rows if group(row) != out]
        rest = [row for row in rows if group(row) == out]
        try:
            numbers, year = fit(kept, ROWS_PER_NUMBER)
        except ValueError:
            parent = FAMILIES[name].parent
            if parent is None:
                continue
            numbers, year = fit(rows_of(parent, cases))
        found[out] = _errors(rest, numbers, year)
    return found


def out_of_sample(cases: Sequence[Case]) -> dict[str, dict[str, dict[str, float]]]:
    """Return errors on rows that were left out of the fit, by what was left out and its parts."""
    found = {}
    for name in FAMILIES:
        errors = left_out(name, cases, _release)
        label = "a release"
        if not errors:
            errors, label = left_out(name, cases, _model_family), "a model family"
        found[f"{name}: {label}"] = _with_total(errors)
    found["H100 FP8: newest, by date"] = _with_total(_newest(rows_of("H100 FP8", cases)))
    ascend = rows_of("Ascend 910B", cases)
    numbers, _ = fit(rows_of("A100", cases))
    chip = {"numbers of the A100": _errors(ascend, numbers, _mean_year(ascend))}
    found["Ascend 910B: the whole chip"] = _with_total(chip)
    return {label: parts for label, parts in found.items() if parts}


def families_yaml(cases: Sequence[Case]) -> str:
    """Return the text of ``data/families.yaml``."""
    lines = []
    for name, plan in FAMILIES.items():
        rows = rows_of(name, cases)
        releases = {row.release for row in rows}
        numbers, year = fit(rows)
        group = _release if len(releases) > 1 else _model_family
        outside = np.concatenate(list(left_out(name, cases, group).values()))
        spread = float(np.quantile(np.abs(outside), 0.9)) / INTERVAL
        lines.append(
            f"  {name}:\n"
            f"    chips: [{', '.join(plan.chips)}]\n"
            f"    precisions: [{', '.join(plan.precisions)}]\n"
            f"    parent: {plan.parent or 'null'}\n"
            f"    fitted: [{', '.join(FITTED)}]\n"
            f"    gemm_frac: {numbers.gemm_frac:.4g}\n"
            f"    launch_s: {numbers.launch_s:.4g}\n"
            f"    software_year: {year:.1f}\n"
            f"    rows: {len(rows)}\n"
            f"    sources: {len(releases)}\n"
            f"    largest_chips: {max(r.question.n_chips for r in rows if r.question)}\n"
            f"    spread: {spread:.2g}\n"
        )
    return HEAD + "".join(lines)


def _newest(rows: Sequence[Case]) -> dict[str, FloatArray]:
    """Return how the rows with older software predict those with the newest, by the date."""
    newest = max(row.year or 0.0 for row in rows)
    newer = [row for row in rows if (row.year or 0.0) == newest]
    numbers, year = fit([row for row in rows if row not in newer], ROWS_PER_NUMBER)
    return {newer[0].release: _errors(newer, numbers, year)}


def _errors(cases: Sequence[Case], numbers: Numbers, year: float) -> FloatArray:
    return np.array(
        [
            np.log(seconds(case, numbers, year) / case.measured_s)
            for case in cases
            if case.measured_s
        ]
    )


def _mean_year(cases: Sequence[Case]) -> float:
    """Return the mean year, to a tenth, as it is written down."""
    years = [case.year for case in cases if case.year is not None]
    return round(float(np.mean(years)), 1) if years else 2024.0


def _release(case: Case) -> str:
    return case.release


def _model_family(case: Case) -> str:
    found = re.match(r"[A-Za-z]+", case.model)
    return found[0].lower() if found else case.model


def _with_total(errors: dict[str, FloatArray]) -> dict[str, dict[str, float]]:
    """Return rows, bias and mean absolute error of every part, and of all together."""
    if not errors:
        return {}
    parts = dict(errors)
    if len(parts) > 1:
        parts["all"] = np.concatenate(list(errors.values()))
    return {name: _summary(logs) for name, logs in parts.items()}


def _summary(logs: FloatArray) -> dict[str, float]:
    relative = np.expm1(logs)
    return {
        "n": int(logs.size),
        "bias": float(relative.mean()),
        "mape": float(np.abs(relative).mean()),
    }


if __name__ == "__main__":
    target = Path(str(resources.files("computeplan"))) / "data" / "families.yaml"
    target.write_text(families_yaml(published_cases()), "utf-8")
