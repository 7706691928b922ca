"""What published runs were like: which kinds of layout, how well layouts are told apart, best MFU.

Run as ``python -m computeplan.validation.practice`` it writes ``data/practice.yaml`` anew. The
error between two layouts is of the fitted numbers: after a new fit it is to be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from computeplan.physics.steptime.layout import RECOMPUTE, Layout
from computeplan.physics.steptime.practice import SPLITS
from computeplan.specs.catalogue.fitted_speed import class_of, speed_tables
from computeplan.specs.catalogue.mfu import mfu_table
from computeplan.validation.cases import Case, Question, mixture_cases, published_cases, read_cases
from computeplan.validation.training import Prediction, predict

__all__ = ["LayoutError", "layout_error", "practice_yaml", "runs"]

HEAD = """\
# Made by python -m computeplan.validation.practice from published/*.yaml and mfu.yaml: do not edit.
# error: standard deviation of the logarithm of predicted over measured between two layouts of one
# model, chip and release, from the spread of the logarithm within each group (times the root of 2).
# classes: those of relatives.yaml. splits: what some run had more than one of. zero, recompute:
# what was seen; where a row does not say, what its software does. best_mfu: of dense models.
"""


class LayoutError(NamedTuple):
    """How far two layouts are told apart."""

    error: float
    """Standard deviation of the logarithm of predicted over measured between two of them."""
    layouts: int
    groups: int


def runs() -> tuple[Prediction, ...]:
    """Return the verified rows that are priced, those that nothing was fitted to included."""
    unseen = Path(str(resources.files("computeplan"))) / "data/published/training_unseen.yaml"
    cases = [*published_cases(), *mixture_cases(), *read_cases(unseen)]
    return tuple(p for p in predict(cases) if p.case.verified and not np.isnan(p.error))


def layout_error(predictions: Iterable[Prediction]) -> LayoutError:
    """Return how well layouts of one model, chip, precision and release are told apart.

    Layouts that differ in data parallel replicas only are one, at the mean of their errors. Runs
    with experts are left out: their switches differ as much as their layouts.

    Parameters
    ----------
    predictions : iterable of Prediction
        Of rows that are priced.

    Raises
    ------
    ValueError
        If no two layouts can be compared.
    """
    groups: dict[tuple[object, ...], dict[tuple[float, ...], list[float]]] = {}
    for p in predictions:
        ask = _asked(p.case)
        if ask.training.shape.moe is None:
            alike = (p.chip, p.case.release, p.case.model, ask.precision, ask.training.seq)
            groups.setdefault(alike, {}).setdefault(_kind(ask.layout), []).append(p.error)
    logs = [
        np.array([np.mean(np.log1p(errors)) for errors in by_layout.values()])
        for by_layout in groups.values()
        if len(by_layout) > 1
    ]
    n_free = sum(log.size - 1 for log in logs)
    if not n_free:
        raise ValueError("no model has two layouts on one chip, in one release")
    within = sum(float(((log - log.mean()) ** 2).sum()) for log in logs) / n_free
    return LayoutError(float(np.sqrt(2 * within)), sum(log.size for log in logs), len(logs))


def practice_yaml(predictions: Sequence[Prediction]) -> str:
    """Return the text of ``data/practice.yaml``."""
    found = layout_error(predictions)
    lines = [
        f"error: {found.error:.2g}",
        f"layouts: {found.layouts}",
        f"groups: {found.groups}",
        "classes:",
    ]
    for name in speed_tables().classes:
        of_class = [p for p in predictions if class_of(p.chip) == name]
        if of_class:
            layouts = [_asked(p.case).layout for p in of_class]
            lines += [
                f"  {name}:",
                f"    runs: {len(of_class)}",
                f"    splits: [{', '.join(_splits(layouts))}]",
                f"    zero: {sorted({int(layout.zero) for layout in layouts})}",
                f"    recompute: [{', '.join(_recomputed(layouts))}]",
                f"    best_mfu: {{{', '.join(_best(name, of_class))}}}",
            ]
    return HEAD + "\n".join(lines) + "\n"


def _asked(case: Case) -> Question:
    assert case.question is not None
    return case.question


def _kind(layout: Layout) -> tuple[float, ...]:
    """Return a layout without its data parallel replicas."""
    own = (name for name in Layout.arrays() if name not in ("dp", "shard"))
    return tuple(float(getattr(layout, name)) for name in own)


def _splits(layouts: Sequence[Layout]) -> list[str]:
    return [name for name in SPLITS if any(getattr(layout, name) > 1 for layout in layouts)]


def _recomputed(layouts: Sequence[Layout]) -> list[str]:
    seen = {int(layout.recompute) for layout in layouts}
    return [name for place, name in enumerate(RECOMPUTE) if place in seen]


def _best(name: str, of_class: Sequence[Prediction]) -> list[str]:
    """Return lines with the best MFU of a class at each precision; mixtures reach less."""
    found: dict[str, list[tuple[float, str]]] = {}
    for p in of_class:
        if _asked(p.case).training.shape.moe is None:
            precision = "fp8" if _asked(p.case).precision == "fp8" else "bf16"
            mfu = p.mfu_flop_s / (p.case.measured_s or np.nan)
            found.setdefault(precision, []).append((mfu, p.case.id))
    for entry in mfu_table().entries:
        is_dense = entry.model_class.startswith("dense")
        if class_of(entry.chip) == name and is_dense and not entry.estimate:
            precision = "fp8" if entry.precision == "fp8" else "bf16"
            run = f"{entry.model} with {entry.software}"
            found.setdefault(precision, []).append((entry.mfu, run))
    best = {precision: max(entries) for precision, entries in sorted(found.items())}
    return [f"{key}: {{mfu: {mfu:.3f}, of: {run}}}" for key, (mfu, run) in best.items()]


if __name__ == "__main__":
    target = Path(str(resources.files("computeplan"))) / "data" / "practice.yaml"
    target.write_text(practice_yaml(runs()), "utf-8")
