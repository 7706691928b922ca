"""Which layouts fit, and which of those that fit is fastest.

`parallelism: auto` prices the whole grid of ``physics.grid`` and takes the fastest layout that
fits; it never changes batch, sequence or precision. A layout that does not fit is an
`InfeasibleError` that says by how much it misses and what would help.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from computeplan.checks import FloatArray
from computeplan.errors import InfeasibleError
from computeplan.physics.collectives import Fabric
from computeplan.physics.grid import all_layouts
from computeplan.physics.layout import RECOMPUTE, Layout, Software
from computeplan.physics.memory import GIB, RankMemory, memory_of
from computeplan.physics.operators import Device
from computeplan.physics.steptime import StepTime, Training, step_time

__all__ = ["Choices", "best_layouts", "check_fits", "in_words"]

HEADROOM = 0.08
"""Share of the memory that a layout chosen here leaves free: what a published run needed is known
to the GiB, what a new one needs is not. An estimate."""
BLOCK = 8192
"""Layouts priced at a time: their arrays stay in the cache."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The fastest layouts that fit, fastest first.

    Parameters
    ----------
    layout : Layout
    time : StepTime
    memory : RankMemory
    n_priced, n_fitting : int
        Layouts looked at, and those that fit.
    """

    layout: Layout
    time: StepTime
    memory: RankMemory
    n_priced: int
    n_fitting: int


def best_layouts(
    training: Training,
    device: Device,
    fabric: Fabric,
    n_ranks: int,
    software: Software = Software(),  # noqa: B008 - frozen
    n_best: int = 10,
) -> Choices:
    """Return the fastest layouts on at most `n_ranks` ranks that leave some memory free.

    Parameters
    ----------
    training : Training
    device : Device
    fabric : Fabric
    n_ranks : int
        Ranks there are at most.
    software : Software
    n_best : int
        How many to return at most.

    Raises
    ------
    InfeasibleError
        If none fits, with what the smallest of them lacks.
    """
    shape = training.shape
    grid = all_layouts(shape, training.seq, training.batch, n_ranks, fabric.domain)
    if software.flash:
        grid = grid.at(grid.recompute != 1)  # nothing to leave out: the same as none
    limit = device.memory_bytes * (1.0 - HEADROOM)
    needed = np.concatenate(
        [memory_of(training, part, software).total for part in _blocks(grid)] or [np.empty(0)]
    )
    fitting = grid.at(needed <= limit)
    if not fitting.tp.size:
        raise InfeasibleError(_nothing_fits(training, device, grid, needed, n_ranks, software))
    seconds = np.concatenate(
        [step_time(training, device, fabric, part, software).step_s for part in _blocks(fitting)]
    )
    chosen = fitting.at(_fastest(seconds, fitting, n_best))
    return Choices(
        layout=chosen,
        time=step_time(training, device, fabric, chosen, software),
        memory=memory_of(training, chosen, software),
        n_priced=grid.tp.size,
        n_fitting=fitting.tp.size,
    )


def check_fits(
    training: Training,
    device: Device,
    layout: Layout,
    software: Software = Software(),  # noqa: B008 - frozen
    where: str = "",
) -> None:
    """Refuse a layout that does not fit the memory of a rank.

    Parameters
    ----------
    training : Training
    device : Device
    layout : Layout
        A single one.
    software : Software
    where : str
        What does not fit, for the message.

    Raises
    ------
    InfeasibleError
        With the GiB it misses, what takes most, and which single change would make it fit.
    """
    held = memory_of(training, layout, software)
    over = float(held.total) - device.memory_bytes
    if over <= 0:
        return
    parts = sorted(
        ((float(getattr(held, field.name)), field.name) for field in fields(held)), reverse=True
    )
    shown = ", ".join(f"{name} {size / GIB:.1f}" for size, name in parts if size > 0)
    helps = [
        f"{change} ({float(memory_of(training, other, software).total) / GIB:.1f} GiB)"
        for change, other in _changes(layout, training)
        if float(memory_of(training, other, software).total) <= device.memory_bytes
    ]
    advice = (
        f"would fit: {'; '.join(helps)}"
        if helps
        else ("no single change makes it fit: more tp, pp or chips, or parallelism: auto")
    )
    prefix = f"{where}: " if where else ""
    raise InfeasibleError(
        f"{prefix}{in_words(layout)} needs {float(held.total) / GIB:.1f} GiB on its fullest rank,"
        f" {over / GIB:.1f} GiB more than it has ({device.memory_bytes / GIB:.1f} GiB)."
        f" In GiB: {shown}; {advice}"
    )


def in_words(layout: Layout) -> str:
    """Return a single layout as a person would write it, without what is 1.

    Examples
    --------
    >>> in_words(Layout.of(tp=8, pp=16, dp=128, pieces=2, recompute=2))
    'tp 8, pp 16, dp 128, virtual stages 2, micro-batch 1, recompute full, zero 1'
    """
    names = {"tp": "tp", "pp": "pp", "dp": "dp", "cp": "cp", "ep": "ep", "pieces": "virtual stages"}
    words = [
        f"{word} {int(getattr(layout, name))}"
        for name, word in names.items()
        if getattr(layout, name) > 1
    ]
    words.append(f"micro-batch {int(layout.micro_batch)}")
    if layout.recompute > 0:
        words.append(f"recompute {RECOMPUTE[int(layout.recompute)]}")
    if layout.dp * layout.cp > 1:
        words.append(f"zero {int(layout.zero)}")
    return ", ".join(words)


def _blocks(layout: Layout) -> Iterator[Layout]:
    for start in range(0, layout.tp.size, BLOCK):
        yield layout.at(slice(start, start + BLOCK))


def _fastest(seconds: FloatArray, layout: Layout, n_best: int) -> Any:
    """Return the places of the fastest; of equals the one with fewer ranks, then smaller splits."""
    equal = np.round(seconds / seconds.min(), 9)
    order = np.lexsort((layout.pieces, layout.pp, layout.tp, layout.cp, layout.n_ranks, equal))
    return order[:n_best]


def _changes(layout: Layout, training: Training) -> Iterator[tuple[str, Layout]]:
    """Yield single changes that save memory, in words and as layouts."""
    numbers = {field.name: float(getattr(layout, field.name)) for field in fields(Layout)}

    def changed(**new: float) -> Layout:
        return Layout.of(**{**numbers, "shard": None, **new})

    if numbers["recompute"] < 2:
        yield "recompute: full", changed(recompute=2)
    if numbers["zero"] < 1:
        yield "zero: 1", changed(zero=1)
    if numbers["zero"] < 3:
        yield "zero: 3", changed(zero=3)
    if numbers["micro_batch"] > 1:
        yield "micro_batch: 1", changed(micro_batch=1)
    for name in ("tp", "pp", "cp"):
        twice = 2 * numbers[name]
        possible = {
            "tp": training.shape.heads % twice == 0,
            "pp": training.shape.layers >= twice,
            "cp": training.seq % twice == 0,
        }
        if possible[name] and numbers["dp"] % 2 == 0:
            yield (
                f"{name}: {int(twice)} with half the dp",
                changed(**{name: twice, "dp": numbers["dp"] / 2}),
            )


def _nothing_fits(
    training: Training,
    device: Device,
    grid: Layout,
    needed: FloatArray,
    n_ranks: int,
    software: Software,
) -> str:
    if not needed.size:
        return (
            f"no layout of at most {n_ranks} ranks divides {training.batch} sequences and"
            f" {training.shape.heads} heads"
        )
    least = grid.at(int(needed.argmin()))
    held = memory_of(training, least, software)
    over = float(held.total) - device.memory_bytes * (1.0 - HEADROOM)
    weights = float(held.weights + held.gradients + held.optimizer) / GIB
    return (
        f"none of {needed.size:,} layouts of at most {n_ranks:,} ranks fits: the smallest"
        f" ({in_words(least)}) needs {float(held.total) / GIB:.1f} GiB on its fullest rank,"
        f" {over / GIB:.1f} GiB more than {device.memory_bytes / GIB:.1f} GiB less"
        f" {HEADROOM:.0%} to spare; weights, gradients and optimizer alone take {weights:.1f} GiB:"
        " more chips, or chips with more memory"
    )
