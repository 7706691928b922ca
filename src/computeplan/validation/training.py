"""Published training runs against what we say: every row, and the errors of each family.

A family is a chip at a precision whose rows were fitted. Runs with experts are families by maker;
so is every chip that has the numbers of a relative. Errors are of
seconds per step, predicted over measured less one. The baseline is one utilisation for the whole
family, fitted to the same rows with the same loss.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import kendalltau

from computeplan.arrays import FloatArray
from computeplan.compiler.hardware import Numbers, band_of, device_of, software_factor
from computeplan.physics.steptime.step import step_time
from computeplan.specs.catalogue.fitted_speed import (
    experts_of,
    family_of,
    launch_of,
    share_of,
    speed_tables,
)
from computeplan.validation.cases import Case

__all__ = [
    "EXPERTS",
    "LOSS_SCALE",
    "UNVERIFIED",
    "FamilyScore",
    "PrecisionRatio",
    "Prediction",
    "precision_ratios",
    "predict",
    "ranking",
    "scores",
    "seconds",
    "to_json",
]

EXPERTS, UNVERIFIED = "MoE", "unverified"
LOSS_SCALE = 0.1
"""Where the loss turns from square to linear: published rows have outliers of a factor."""
TIE = 0.05
"""Two measured times closer than this are a tie in a ranking."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A row and what we say of it."""

    case: Case
    """The row."""
    chip: str
    family: str
    """Names; the family is empty where the row was skipped."""
    predicted_s: float
    low_s: float
    high_s: float
    """Seconds of a step and its 90 % band, nan where the row was skipped. [s]"""
    mfu_flop_s: float
    """Model FLOP of a step over the dense peak of all chips: seconds at an MFU of one. [s]"""

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        measured = self.case.measured_s
        return math.nan if measured is None else self.predicted_s / measured - 1.0


@dataclass(frozen=True, slots=True)
class FamilyScore:
    """How well the rows of a family are predicted."""

    n: int
    parameters: int
    """Rows, and fitted numbers."""
    bias: float
    mape: float
    median: float
    p90: float
    """Mean error; mean, median and 90th percentile of the absolute error."""
    baseline_mape: float
    """Of one utilisation for all rows."""


def seconds(case: Case, numbers: Numbers | None = None, year: float | None = None) -> Any:
    """Return the predicted seconds of a step of one row.

    Parameters
    ----------
    case : Case
        With a question.
    numbers : Numbers, optional
        Fitted numbers instead of the catalogue's; of floats, or of arrays of as many guesses.
    year : float, optional
        The year that `numbers` hold for, instead of the stack's.

    Raises
    ------
    ValueError
        If the chip lacks a figure that the row needs.
    """
    ask = case.question
    assert ask is not None
    device = device_of(ask.chip, ask.precision, ask.kernel, ask.stack, numbers).device
    time = step_time(ask.training, device, ask.fabric, ask.layout, ask.software)
    if ask.training.shape.moe is not None:  # their switches carry the date
        return time.step_s
    _, stack = launch_of(ask.chip.kin, ask.stack)
    if year is not None:
        stack = stack.model_copy(update={"software_year": year})
    return time.step_s * software_factor(case.year, stack)


def predict(cases: Iterable[Case]) -> tuple[Prediction, ...]:
    """Return what we say of every row; skipped rows keep their place."""
    return tuple(_predict(case) for case in cases)


def scores(predictions: Sequence[Prediction]) -> dict[str, FamilyScore]:
    """Return how well each family is predicted; unverified rows gate nothing and are left out."""
    found: dict[str, FamilyScore] = {}
    families = speed_tables().families
    names = [*families, *(p.family for p in predictions)]
    for name in dict.fromkeys(names):
        rows = [p for p in predictions if p.family == name and not math.isnan(p.error)]
        if rows and name not in ("", UNVERIFIED):
            found[name] = _score(rows, _n_parameters(rows))
    return found


def ranking(predictions: Iterable[Prediction]) -> tuple[float, int]:
    """Return Kendall's tau of predicted and measured within each model, pooled, and the pairs.

    Pairs whose measured times are within 5 % are dropped.
    """
    by_model: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        by_model.setdefault(prediction.case.model, []).append(prediction)
    total, n_pairs = 0.0, 0
    for rows in by_model.values():
        for i, one in enumerate(rows):
            for other in rows[:i]:
                measured = (one.case.measured_s or math.nan, other.case.measured_s or math.nan)
                if not abs(math.log(measured[0] / measured[1])) < TIE:
                    said = (one.predicted_s, other.predicted_s)
                    total += kendalltau(measured, said).statistic
                    n_pairs += 1
    return (total / n_pairs if n_pairs else math.nan), n_pairs


class PrecisionRatio(NamedTuple):
    """Runs in FP8 beside runs in half precision, of one chip, model, size, framework, sequence."""

    chip: str
    model: str
    n_chips: int
    framework: str
    seq: int
    n_rows: int
    """Rows at both precisions together."""
    measured: float
    said: float
    """Time of a token in FP8 over that in half precision; geometric means of the rows."""


def precision_ratios(predictions: Iterable[Prediction]) -> list[PrecisionRatio]:
    """Return the ratio of FP8 to half precision wherever verified rows have both."""
    groups: dict[tuple[Any, ...], dict[bool, list[Prediction]]] = {}
    for p in predictions:
        ask = p.case.question
        if ask is None or not p.case.verified or math.isnan(p.error):
            continue
        key = (p.chip, p.case.model.casefold(), ask.n_chips, p.case.framework, ask.training.seq)
        groups.setdefault(key, {}).setdefault(ask.precision == "fp8", []).append(p)
    found = []
    for key, rows in groups.items():
        if len(rows) < 2:
            continue
        measured, said = (
            math.exp(_mean_log(rows[True], of) - _mean_log(rows[False], of))
            for of in ("measured", "said")
        )
        n_rows = sum(len(some) for some in rows.values())
        found.append(PrecisionRatio(*key, n_rows, measured, said))
    return found


def _mean_log(rows: Iterable[Prediction], of: str) -> float:
    """Return the mean logarithm of the time of a token."""
    logs = []
    for row in rows:
        assert row.case.question is not None
        took = row.case.measured_s if of == "measured" else row.predicted_s
        logs.append(math.log((took or math.nan) / row.case.question.training.tokens))
    return float(np.mean(logs))


def to_json(predictions: Sequence[Prediction], out_of_sample: Any) -> str:
    """Return everything as JSON; errors are fractions."""
    document = {
        "suite": "training",
        "families": {name: asdict(score) for name, score in scores(predictions).items()},
        "out_of_sample": out_of_sample,
        "fp8_over_half": [ratio._asdict() for ratio in precision_ratios(predictions)],
        "rows": [
            {
                "id": p.case.id,
                "chip": p.chip or None,
                "family": p.family or None,
                "measured": p.case.measured_s,
                "predicted": _or_none(p.predicted_s),
                "low": _or_none(p.low_s),
                "high": _or_none(p.high_s),
                "error": _or_none(p.error),
                "skipped": p.case.skipped or None,
            }
            for p in predictions
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)


def _predict(case: Case) -> Prediction:
    ask = case.question
    skipped = Prediction(case, "", "", math.nan, math.nan, math.nan, math.nan)
    if ask is None or case.measured_s is None:
        return skipped
    try:
        predicted = float(seconds(case))
        peak = ask.chip.peak_flop_per_s(ask.precision)
    except ValueError as error:
        return replace(skipped, case=replace(case, question=None, skipped=str(error)))
    experts = ask.training.shape.moe is not None
    band = band_of(ask.chip, ask.precision, ask.n_chips, ask.stack, experts=experts)
    return Prediction(
        case=case,
        chip=ask.chip.name,
        family=_family(case),
        predicted_s=predicted,
        low_s=predicted * band.low,
        high_s=predicted * band.high,
        mfu_flop_s=ask.training.flop / (ask.n_chips * peak),
    )


def _family(case: Case) -> str:
    ask = case.question
    assert ask is not None
    name, _, own = family_of(ask.chip.kin, ask.precision)
    if not case.verified:
        return UNVERIFIED
    if ask.training.shape.moe is not None:
        return f"{EXPERTS} {ask.chip.vendor}"
    return name if own else f"{ask.chip.name} {ask.precision} as {name}"


def _n_parameters(rows: Sequence[Prediction]) -> int:
    """Return how many fitted numbers stand behind rows: a share, and one for every stack.

    They are shared with other families of the maker.
    """
    found = set()
    for row in rows:
        assert row.case.question is not None
        kin = row.case.question.chip.kin
        if row.case.question.training.shape.moe is not None:
            found |= {"traffic", "op_s"} if experts_of(kin)[2] else set()
        elif family_of(kin, row.case.question.precision)[2]:
            found |= {share_of(kin)[0], launch_of(kin, row.case.question.stack)[0]}
    return len(found)


def _score(rows: Sequence[Prediction], parameters: int) -> FamilyScore:
    errors = np.array([row.error for row in rows])
    size = np.abs(errors)
    measured = np.array([row.case.measured_s for row in rows], dtype=np.float64)
    at_one = np.array([row.mfu_flop_s for row in rows])
    return FamilyScore(
        n=len(rows),
        parameters=parameters,
        bias=float(errors.mean()),
        mape=float(size.mean()),
        median=float(np.median(size)),
        p90=float(np.quantile(size, 0.9)),
        baseline_mape=float(
            np.abs(at_one / (_constant_mfu(at_one, measured)) / measured - 1).mean()
        ),
    )


def _constant_mfu(at_one: FloatArray, measured: FloatArray) -> float:
    """Return the utilisation that fits all rows best under the loss of the fit."""

    def loss(log_mfu: float) -> float:
        z = (np.log(at_one / measured) - log_mfu) / LOSS_SCALE
        return float((2.0 * (np.sqrt(1.0 + z**2) - 1.0)).sum())

    found = minimize_scalar(loss, bounds=(-6.0, 0.5), method="bounded")
    return float(np.exp(found.x))


def _or_none(number: float) -> float | None:
    return None if math.isnan(number) else number
