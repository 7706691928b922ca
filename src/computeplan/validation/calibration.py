"""Fits the few numbers of the model to published rows, and tests them on rows left out.

What training products reach of measured inference kernels belongs to the makers' libraries: one
share for all chips of a maker. The time lost per kernel belongs to the software: one number for a
stack on the chips of a maker. Layers with experts take two numbers more. Loss: soft-L1 of the
logarithm of predicted over measured seconds. A number of its own needs 15 verified rows; never more
than one number for eight rows.

Long because a number, its fit and the ways to leave rows out of it belong together. Run as
``python -m computeplan.validation.calibration`` it writes ``data/families.yaml`` anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from computeplan.arrays import FloatArray
from computeplan.compiler.hardware import INTERVAL, Band, Numbers, band_of, numbers_of
from computeplan.specs.catalogue.fitted_speed import HALF
from computeplan.specs.catalogue.software import standing_in
from computeplan.validation.cases import Case, mixture_cases, published_cases
from computeplan.validation.training import LOSS_SCALE, seconds

__all__ = [
    "FAMILIES",
    "MIXTURES",
    "SHARES",
    "Fitted",
    "LeftOut",
    "chips_left_out",
    "experts_left_out",
    "families_yaml",
    "fit",
    "fit_experts",
    "left_out",
    "mixture_rows",
    "out_of_sample",
    "rows_of",
    "stacks_left_out",
]

FEWEST_ROWS, ROWS_PER_NUMBER = 15, 8
FAMILIES = {
    "A100": (("nvidia/a100-80gb", "nvidia/a100-40gb"), ("bf16", "fp16")),
    "H100 BF16": (("nvidia/h100-sxm",), ("bf16", "fp16")),
    "H100 FP8": (("nvidia/h100-sxm",), ("fp8",)),
    "Ascend 910B": (("huawei/ascend-910b2",), ("bf16", "fp16")),
}
"""Chips and precisions whose rows are reported together."""
SHARES = {"NVIDIA": ("A100", "H100 BF16", "H100 FP8"), "Ascend": ("Ascend 910B",)}
"""Families that have one share in common."""
MIXTURES = {"NVIDIA": ("nvidia/h100-sxm", "nvidia/b300", "nvidia/gb300")}
"""Chips whose rows with experts are fitted together."""
START = {"share": 0.85, "stack": 5e-5, "traffic": 3.0, "op_s": 2e-5}
STEP = 1e-4
"""Of a logarithm, to find slopes."""
BOUNDS = {"share": (0.3, 1.5), "stack": (1e-8, 2e-3), "traffic": (0.5, 20.0), "op_s": (1e-7, 1e-3)}
HEAD = """\
# Made by python -m computeplan.validation.calibration from published/: do not edit.
# shares: training products over measured inference kernels. stacks: time lost per kernel [s], and
# the mean year of the rows' software. experts: time of the kernels around experts over that of a
# stream, time of the host for one operator [s]; other_spread: on chips of other makers. families:
# rows reported together. spread: standard deviation of the logarithm of predicted over measured,
# from rows left out: a release or a model family at a time. unseen_chip: rows of a maker predicted
# by the numbers of another, the 910B by those of NVIDIA: one chip.
"""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The numbers of the chips of one maker."""

    gemm_frac: Any
    launch_s: dict[str, Any]
    year: dict[str, float]
    """By stack; the first two are floats, or arrays of as many guesses."""

    def of(self, case: Case) -> tuple[Numbers, float]:
        """Return numbers and year for a row, whose stack takes those of another if it has none."""
        assert case.question is not None
        stack = standing_in(case.question.stack, self.launch_s)
        usual = numbers_of(case.question.chip.kin, stack)
        numbers = usual._replace(gemm_frac=self.gemm_frac, launch_s=self.launch_s[stack])
        return numbers, self.year[stack]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that took no part in the fit that predicts them."""

    part: str
    """Name of the release, model family, stack or chip."""
    cases: list[Case]
    errors: FloatArray
    """Logarithms of predicted over measured."""
    unseen: tuple[str, ...] = ()
    """What the fit knew nothing of, ``software`` or ``chip``: its band is wider."""

    def inside(self) -> list[bool]:
        """Return whether each row lies in the 90 % band around its prediction."""
        return [
            np.log(band.low) <= -error <= np.log(band.high)
            for case, error in zip(self.cases, self.errors, strict=True)
            for band in [_band(case, self.unseen)]
        ]


def rows_of(name: str, cases: Iterable[Case]) -> list[Case]:
    """Return the verified dense rows of a family that can be priced."""
    chips, precisions = FAMILIES[name]
    return [
        case
        for case in cases
        if _is_usable(case)
        and case.question is not None
        and case.question.training.shape.moe is None
        and case.question.chip.name in chips
        and case.question.precision in precisions
    ]


def mixture_rows(name: str, cases: Iterable[Case]) -> list[Case]:
    """Return the verified rows with experts of some chips that can be priced."""
    return [
        case
        for case in cases
        if _is_usable(case)
        and case.question is not None
        and case.question.training.shape.moe is not None
        and case.question.chip.name in MIXTURES[name]
    ]


def fit(cases: Sequence[Case], fewest: int = FEWEST_ROWS) -> Fitted:
    """Return the share of some chips of one maker, and the time lost per kernel by stack.

    Stacks with fewer than `fewest` rows have none of their own.

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
    of_stack: dict[str, list[Case]] = {}
    for case in cases:
        assert case.question is not None
        of_stack.setdefault(case.question.stack, []).append(case)
    stacks = sorted(name for name, rows in of_stack.items() if len(rows) >= fewest)
    year = {name: _mean_year(of_stack[name]) for name in stacks}

    def fitted(logs: FloatArray) -> Fitted:
        share, *launches = np.exp(logs)
        return Fitted(share, dict(zip(stacks, launches, strict=True)), year)

    kinds = ["share", *("stack" for _ in stacks)]
    return fitted(_least(lambda logs: _errors(cases, fitted(logs)), kinds))


def fit_experts(cases: Sequence[Case]) -> tuple[float, float]:
    """Return the traffic and the host's time for an operator that fit some rows with experts."""
    rows = [case for case in cases if not case.is_guessed]
    if len(rows) < FEWEST_ROWS:
        raise ValueError(f"{len(rows)} rows are too few: {FEWEST_ROWS} are needed")
    found = np.exp(_least(lambda logs: _expert_errors(rows, *np.exp(logs)), ["traffic", "op_s"]))
    return float(found[0]), float(found[1])


def left_out(name: str, cases: Sequence[Case], group: Callable[[Case], str]) -> list[LeftOut]:
    """Return for every group of a family's rows how all other rows of its chips' maker predict it.

    Parameters
    ----------
    name : str
        The family.
    cases : sequence of Case
        Of all families.
    group : callable
        Name of the group of a row.
    """
    mine = rows_of(name, cases)
    every = _of_maker(name, cases)
    found = []
    for out in dict.fromkeys(group(row) for row in mine):
        kept = [row for row in every if group(row) != out]
        rest = [row for row in mine if group(row) == out]
        if len(kept) >= FEWEST_ROWS:
            found.append(LeftOut(out, rest, _errors(rest, fit(kept, ROWS_PER_NUMBER))))
    return found


def experts_left_out(
    name: str, cases: Sequence[Case], group: Callable[[Case], str]
) -> list[LeftOut]:
    """Return for every group of rows with experts how the other rows predict it."""
    rows = mixture_rows(name, cases)
    found = []
    for out in dict.fromkeys(group(row) for row in rows):
        numbers = fit_experts([row for row in rows if group(row) != out])
        rest = [row for row in rows if group(row) == out]
        found.append(LeftOut(out, rest, _expert_errors(rest, *numbers)))
    return found


def stacks_left_out(cases: Sequence[Case]) -> list[LeftOut]:
    """Return how each stack's rows are predicted by what stands in for it and the share without."""
    found = []
    for families in SHARES.values():
        every = _of_maker(families[0], cases)
        for out in dict.fromkeys(_stack(row) for row in every):
            kept = [row for row in every if _stack(row) != out]
            if len(kept) >= FEWEST_ROWS:
                rest = [row for row in every if _stack(row) == out]
                found.append(
                    LeftOut(out, rest, _errors(rest, fit(kept, ROWS_PER_NUMBER)), ("software",))
                )
    return found


def chips_left_out(cases: Sequence[Case]) -> list[LeftOut]:
    """Return how the rows of each chip are predicted by those of all others of its maker.

    A maker with one chip takes the numbers of the others.
    """
    every = [row for family in FAMILIES for row in rows_of(family, cases)]
    found = []
    for families in SHARES.values():
        of_maker = _of_maker(families[0], cases)
        for out in dict.fromkeys(_chip(row) for row in of_maker):
            rest = [row for row in of_maker if _chip(row) == out]
            kept = [row for row in of_maker if _chip(row) != out]
            kept = kept or [row for row in every if _chip(row) != out]
            found.append(LeftOut(out, rest, _errors(rest, fit(kept, ROWS_PER_NUMBER)), ("chip",)))
    return found


def out_of_sample(cases: Sequence[Case], mixtures: Sequence[Case]) -> dict[str, list[LeftOut]]:
    """Return rows that were left out of the fit, by what was left out.

    Parameters
    ----------
    cases, mixtures : sequence of Case
        Dense rows, and rows with experts.
    """
    found: dict[str, list[LeftOut]] = {}
    for name in FAMILIES:
        if len({row.release for row in rows_of(name, cases)}) > 1:
            found[f"{name}: a release"] = left_out(name, cases, _release)
    for name in FAMILIES:
        found[f"{name}: a model family"] = left_out(name, cases, _model_family)
    found["software"] = stacks_left_out(cases)
    found["a chip"] = chips_left_out(cases)
    for name in MIXTURES:
        found[f"experts, {name}: a release"] = experts_left_out(name, mixtures, _release)
        found[f"experts, {name}: a model family"] = experts_left_out(name, mixtures, _model_family)
        generations = experts_left_out(name, mixtures, _generation)
        found[f"experts, {name}: a generation of chips"] = generations
    return found


def families_yaml(cases: Sequence[Case], mixtures: Sequence[Case]) -> str:
    """Return the text of ``data/families.yaml``."""
    outside = out_of_sample(cases, mixtures)
    lines = [HEAD, "shares:\n"]
    stacks, families = ["stacks:\n"], ["families:\n"]
    for share, names in SHARES.items():
        every = _of_maker(names[0], cases)
        fitted = fit(every)
        chips = ", ".join(dict.fromkeys(chip for name in names for chip in FAMILIES[name][0]))
        gemm_frac = f"{fitted.gemm_frac:.4g}"
        lines.append(
            f"  {share}: {{chips: [{chips}], gemm_frac: {gemm_frac}, rows: {len(every)}}}\n"
        )
        for stack, launch_s in fitted.launch_s.items():
            rows = [row for row in every if _stack(row) == stack]
            stacks.append(
                f"  {stack}: {{share: {share}, precisions: [{', '.join(_precisions(rows))}],"
                f" launch_s: {launch_s:.4g}, software_year: {fitted.year[stack]:.1f},"
                f" {_rests_on(rows)}}}\n"
            )
    for name, (of_family, precisions) in FAMILIES.items():
        labels = (f"{name}: a release", f"{name}: a model family")
        ways = [outside[label] for label in labels if label in outside]
        rows = rows_of(name, cases)
        largest = max(row.question.n_chips for row in rows if row.question)
        families.append(
            f"  {name}: {{chips: [{', '.join(of_family)}], precisions: [{', '.join(precisions)}],"
            f" {_rests_on(rows)}, largest_chips: {largest}, spread: {_up(_spread(*ways))}}}\n"
        )
    experts = ["experts:\n"]
    for name, chips_of in MIXTURES.items():
        rows = mixture_rows(name, mixtures)
        traffic, op_s = fit_experts(rows)
        ways = [parts for label, parts in outside.items() if label.startswith("experts")]
        others = [row for row in mixtures if _is_usable(row) and _chip(row) not in chips_of]
        other = LeftOut("", others, _expert_errors(others, traffic, op_s))
        fitted_rows = [row for row in rows if not row.is_guessed]
        stacks_of = sorted({_stack(row) for row in fitted_rows})
        experts.append(
            f"  {name}: {{chips: [{', '.join(chips_of)}], stacks: [{', '.join(stacks_of)}],"
            f" traffic: {traffic:.4g}, op_s: {op_s:.4g}, {_rests_on(fitted_rows)},"
            f" largest_chips: {max(r.question.n_chips for r in fitted_rows if r.question)},"
            f" spread: {_up(_spread(*ways))}, other_spread: {_up(_spread([other]))}}}\n"
        )
    alone = [part for part in outside["a chip"] if len(_makers(part, cases)) == 1]
    errors = np.concatenate([part.errors for part in alone])
    unseen = f"unseen_chip: {{bias: {errors.mean():.2g}, spread: {errors.std():.2g}}}\n"
    return "".join([*lines, *stacks, *experts, *families, unseen])


def _of_maker(name: str, cases: Sequence[Case]) -> list[Case]:
    """Return the rows of all families that share a number with one."""
    share = next(families for families in SHARES.values() if name in families)
    return [row for family in share for row in rows_of(family, cases)]


def _makers(part: LeftOut, cases: Sequence[Case]) -> set[str]:
    """Return the chips of the maker of a chip that was left out."""
    name = next(name for name in FAMILIES if part.cases[0] in rows_of(name, cases))
    return {_chip(row) for row in _of_maker(name, cases)}


def _rests_on(rows: Sequence[Case]) -> str:
    return f"rows: {len(rows)}, sources: {len({row.release for row in rows})}"


def _up(spread: float) -> str:
    """Return a spread as it is written: rounded up, so that no band gets narrower."""
    return f"{np.ceil(1000 * spread) / 1000:.3f}"


def _precisions(rows: Sequence[Case]) -> list[str]:
    """Return the precisions of rows; with one of two half-precision formats, both."""
    found = {row.question.precision for row in rows if row.question}
    return sorted(found | set(HALF) if found & set(HALF) else found)


def _spread(*ways: Iterable[LeftOut]) -> float:
    """Return the standard deviation that puts nine of ten rows into their band, in every way."""
    errors = [np.concatenate([part.errors for part in parts]) for parts in ways]
    return max(float(np.quantile(np.abs(e), 0.9)) for e in errors) / INTERVAL


def _least(errors: Callable[[FloatArray], FloatArray], kinds: Sequence[str]) -> FloatArray:
    """Return the logarithms of the numbers with the least loss.

    All numbers of one look, those beside them included, are priced at once: as arrays.
    """
    bounds = np.log([BOUNDS[kind] for kind in kinds]).T
    aside = np.column_stack([np.zeros(len(kinds)), STEP * np.eye(len(kinds))])

    def slopes(logs: FloatArray) -> FloatArray:
        found = errors(logs[:, None] + aside)
        return np.asarray((found[:, 1:] - found[:, :1]) / STEP)

    found = least_squares(
        errors,
        np.log([START[kind] for kind in kinds]),
        jac=slopes,
        loss="soft_l1",
        ftol=1e-5,
        xtol=1e-4,
        f_scale=LOSS_SCALE,
        bounds=bounds,
    )
    return np.asarray(found.x, dtype=np.float64)


def _errors(cases: Sequence[Case], fitted: Fitted) -> FloatArray:
    return np.array(
        [
            np.log(seconds(case, *fitted.of(case)) / case.measured_s)
            for case in cases
            if case.measured_s
        ]
    )


def _expert_errors(cases: Sequence[Case], traffic: Any, op_s: Any) -> FloatArray:
    found = []
    for case in cases:
        assert case.question is not None
        assert case.measured_s is not None
        usual = numbers_of(case.question.chip.kin, case.question.stack)
        numbers = usual._replace(traffic=traffic, op_s=op_s)
        found.append(np.log(seconds(case, numbers) / case.measured_s))
    return np.array(found)


def _band(case: Case, unseen: tuple[str, ...]) -> Band:
    ask = case.question
    assert ask is not None
    experts = ask.training.shape.moe is not None
    return band_of(ask.chip, ask.precision, ask.n_chips, ask.stack, experts=experts, unseen=unseen)


def _is_usable(case: Case) -> bool:
    return case.verified and case.question is not None and case.measured_s is not None


def _mean_year(cases: Sequence[Case]) -> float:
    """Return the mean year, to a tenth, as it is written down."""
    years = [case.year for case in cases if case.year is not None]
    return round(float(np.mean(years)), 1) if years else 2024.0


def _release(case: Case) -> str:
    return case.release


def _stack(case: Case) -> str:
    assert case.question is not None
    return case.question.stack


def _chip(case: Case) -> str:
    assert case.question is not None
    return case.question.chip.name.removesuffix("-40gb").removesuffix("-80gb")


def _generation(case: Case) -> str:
    assert case.question is not None
    return "Hopper" if "/h" in case.question.chip.name else "Blackwell"


def _model_family(case: Case) -> str:
    found = re.match(r"[A-Za-z]+", case.model)
    return found[0].lower() if found else case.model


if __name__ == "__main__":
    target = Path(str(resources.files("computeplan"))) / "data" / "families.yaml"
    target.write_text(families_yaml(published_cases(), mixture_cases()), "utf-8")
