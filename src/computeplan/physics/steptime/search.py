"""Which layouts fit, and which of those that fit is fastest.

`parallelism: auto` prices the whole grid of ``grid.py`` and takes the fastest layout that
fits; it never changes batch, sequence or precision. A layout that does not fit is an
`InfeasibleError` that says by how much it misses and what would help.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import InfeasibleError
from computeplan.physics.steptime.collectives import Fabric
from computeplan.physics.steptime.grid import all_layouts
from computeplan.physics.steptime.layout import RECOMPUTE, Layout, Software
from computeplan.physics.steptime.memory import GIB, RankMemory, memory_of
from computeplan.physics.steptime.operators import Device
from computeplan.physics.steptime.step import StepTime, Training, step_time

__all__ = ["Choices", "best_layouts", "check_fits", "in_parts", "in_words"]

HEADROOM = 0.08
"""Share of the memory that a layout chosen here leaves free: what a published run needed is known
to the GiB, what a new one needs is not. An estimate."""
BLOCK = 8192
"""Layouts priced at a time: their arrays stay in the cache."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The fastest layouts that fit, fastest first."""

    layout: Layout
    time: StepTime
    memory: RankMemory
    """Of each layout."""
    n_priced: int
    n_fitting: int
    """Layouts looked at, and those that fit."""


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
    limit = device.memory_bytes * (1.0 - HEADROOM)
    n_priced = n_fitting = 0
    kept: list[Layout] = []  # the fastest of every block
    kept_s: list[FloatArray] = []
    least: tuple[float, Layout] | None = None
    for block in all_layouts(training.shape, training.seq, training.batch, n_ranks, fabric.domain):
        # With a flash kernel there is nothing to leave out selectively: the same as none.
        grid = block.at(block.recompute != 1) if software.flash else block
        for part in _blocks(grid):
            n_priced += part.tp.size
            needed = np.broadcast_to(memory_of(training, part, software).total, part.tp.shape)
            smallest = int(needed.argmin())
            if least is None or needed[smallest] < least[0]:
                least = float(needed[smallest]), part.at(smallest)
            fitting = part.at(needed <= limit)
            if not fitting.tp.size:
                continue
            n_fitting += fitting.tp.size
            seconds = step_time(training, device, fabric, fitting, software).step_s
            chosen = _fastest(seconds, fitting, n_best)
            kept.append(fitting.at(chosen))
            kept_s.append(seconds[chosen])
    if not kept:
        raise InfeasibleError(_nothing_fits(training, device, least, n_priced, n_ranks, software))
    best = Layout.concatenate(kept)
    best = best.at(_fastest(np.concatenate(kept_s), best, n_best))
    return Choices(
        layout=best,
        time=step_time(training, device, fabric, best, software),
        memory=memory_of(training, best, software),
        n_priced=n_priced,
        n_fitting=n_fitting,
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


def in_parts(layout: Layout) -> tuple[tuple[str, int | str], ...]:
    """Return what there is to say of a single layout, by field, without what is 1.

    Examples
    --------
    >>> in_parts(Layout.of(tp=8, recompute=1))
    (('tp', 8), ('micro_batch', 1), ('recompute', 'selective'))
    """
    splits = ("tp", "pp", "dp", "cp", "ep", "pieces")
    parts: list[tuple[str, int | str]] = [
        (name, int(getattr(layout, name))) for name in splits if getattr(layout, name) > 1
    ]
    parts.append(("micro_batch", int(layout.micro_batch)))
    if layout.recompute > 0:
        parts.append(("recompute", RECOMPUTE[int(layout.recompute)]))
    if layout.dp * layout.cp > 1:
        parts.append(("zero", int(layout.zero)))
        if layout.zero == 3 and layout.shard < layout.dp * layout.cp:
            parts.append(("shard", int(layout.shard)))
    if layout.tp > 1 and not layout.sequence_parallel:
        parts.append(("sequence_parallel", "none"))
    return tuple(parts)


def in_words(layout: Layout) -> str:
    """Return a single layout as a person would write it, without what is 1.

    Examples
    --------
    >>> in_words(Layout.of(tp=8, pp=16, dp=128, pieces=2, recompute=2))
    'tp 8, pp 16, dp 128, virtual stages 2, micro-batch 1, recompute full, zero 1'
    """
    names = {"pieces": "virtual stages", "micro_batch": "micro-batch"}
    return ", ".join(
        "no sequence parallelism"
        if name == "sequence_parallel"
        else f"{names.get(name, name)} {value}"
        for name, value in in_parts(layout)
    )


def _blocks(layout: Layout) -> Iterator[Layout]:
    for start in range(0, layout.tp.size, BLOCK):
        yield layout.at(slice(start, start + BLOCK))


def _fastest(seconds: FloatArray, layout: Layout, n_best: int) -> Any:
    """Return the places of the fastest; of equals the one with fewer ranks, then smaller splits."""
    equal = np.round(seconds / seconds.min(), 9)
    order = np.lexsort((layout.pieces, layout.pp, layout.tp, layout.cp, layout.n_ranks, equal))
    return order[:n_best]


def _changes(layout: Layout, training: Training) -> Iterator[tuple[str, Layout]]:
    """Yield single changes that save memory, in words and as layouts that can be."""
    has = {field.name: float(getattr(layout, field.name)) for field in fields(Layout)}
    ranks = has["dp"] * has["cp"]

    def changed(**new: float) -> Layout:
        return Layout.of(**{**has, **new})

    if has["recompute"] < 2:
        yield "recompute: full", changed(recompute=2)
    if has["zero"] < 1 and ranks > 1:
        yield "zero: 1", changed(zero=1)
    if has["zero"] < 3 and ranks > 1:
        yield "zero: 3", changed(zero=3, shard=ranks)
    if has["zero"] == 3 and has["shard"] < ranks:
        yield f"shard: {int(ranks)}", changed(shard=ranks)
    if has["micro_batch"] > 1 and has["pieces"] == 1:
        yield "micro_batch: 1", changed(micro_batch=1)
    shape = training.shape
    for name in ("tp", "pp", "cp"):
        twice, holders = 2 * has[name], has["tp"] * ranks / (2 if name == "pp" else 1)
        possible = {
            "tp": shape.heads % twice == 0,
            "pp": shape.layers >= twice and has["pieces"] == 1,
            "cp": training.seq % twice == 0,
        }
        if possible[name] and has["dp"] % 2 == 0 and holders % has["ep"] == 0:
            halved = {name: twice, "dp": has["dp"] / 2}
            whole = halved["dp"] * halved.get("cp", has["cp"])
            shard = min(has["shard"], whole) if has["shard"] < ranks else whole
            yield f"{name}: {int(twice)} with half the dp", changed(**halved, shard=shard)


def _nothing_fits(
    training: Training,
    device: Device,
    least: tuple[float, Layout] | None,
    n_priced: int,
    n_ranks: int,
    software: Software,
) -> str:
    if least is None:
        return (
            f"no layout of at most {n_ranks} ranks divides {training.batch} sequences and"
            f" {training.shape.heads} heads"
        )
    needed, layout = least
    held = memory_of(training, layout, software)
    over = needed - device.memory_bytes * (1.0 - HEADROOM)
    weights = float(held.weights + held.gradients + held.optimizer) / GIB
    return (
        f"none of {n_priced:,} layouts of at most {n_ranks:,} ranks fits: the smallest"
        f" ({in_words(layout)}) needs {needed / GIB:.1f} GiB on its fullest rank,"
        f" {over / GIB:.1f} GiB more than {device.memory_bytes / GIB:.1f} GiB less"
        f" {HEADROOM:.0%} to spare; weights, gradients and optimizer alone take {weights:.1f} GiB:"
        " more chips, or chips with more memory"
    )
