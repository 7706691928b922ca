"""Which layouts fit, and which of those that fit is fastest.

`parallelism: auto` prices the whole grid of ``grid.py``. Of the layouts that fit and that the
model cannot tell from the fastest, it takes the one most like published runs, and of those the
fastest; it never changes batch, sequence or precision. A layout that does not fit is an
`InfeasibleError` that says by how much it misses and what would help.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import InfeasibleError
from computeplan.physics.steptime.collectives import Fabric
from computeplan.physics.steptime.grid import all_layouts
from computeplan.physics.steptime.layout import OFFLOAD, RECOMPUTE, Layout, Software
from computeplan.physics.steptime.memory import GIB, RankMemory, memory_of
from computeplan.physics.steptime.operators import Device
from computeplan.physics.steptime.practice import Practice
from computeplan.physics.steptime.step import StepTime, Training, step_time

__all__ = ["Choices", "best_layouts", "check_fits", "in_parts", "in_words"]

HEADROOM = 0.08
"""Share of the memory that a layout chosen here leaves free: what a published run needed is known
to the GiB, what a new one needs is not. An estimate."""
FEW_FIT = 1e-3
"""Share of the layouts: if fewer fit, those that use the memory of the host are priced, too."""
BLOCK = 8192
"""Layouts priced at a time: their arrays stay in the cache."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The best layouts that fit, best first."""

    layout: Layout
    time: StepTime
    memory: RankMemory
    """Of each layout."""
    n_priced: int
    n_fitting: int
    """Layouts looked at, and those that fit."""
    n_within: int = 1
    """Of these, those whose times are within the error of the fastest one's."""
    fastest_s: float = math.nan
    """Seconds of a step of the fastest of all, if they were compared. [s]"""


def best_layouts(
    training: Training,
    device: Device,
    fabric: Fabric,
    n_ranks: int,
    software: Software = Software(),  # noqa: B008 - frozen
    n_best: int = 10,
    practice: Practice = Practice(),  # noqa: B008 - frozen
) -> Choices:
    """Return the best layouts on at most `n_ranks` ranks that leave some memory free.

    First those whose times the model cannot tell from the fastest one's, by what of them no
    published run had and then by time; behind them the others, by time.

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
    practice : Practice
        What published runs of such chips had, and the error between two layouts; left out, the
        fastest is the best.

    Raises
    ------
    InfeasibleError
        If none fits, with what the smallest of them lacks.
    """
    limit = device.memory_bytes * (1.0 - HEADROOM)
    seen = [0, 0]  # layouts looked at, and those that fit
    kept: list[Layout] = []  # the fastest of every block, of each degree of novelty
    kept_s: list[FloatArray] = []
    near_s: list[FloatArray] = []  # times near that of the fastest so far
    fastest_s = math.inf
    least: tuple[float, Layout] | None = None
    for part in _to_price(training, fabric, n_ranks, software, seen):
        seen[0] += part.tp.size
        needed = np.broadcast_to(memory_of(training, part, software).total, part.tp.shape)
        smallest = int(needed.argmin())
        if least is None or needed[smallest] < least[0]:
            least = float(needed[smallest]), part.at(smallest)
        fitting = part.at(needed <= limit)
        if not fitting.tp.size:
            continue
        seen[1] += fitting.tp.size
        seconds = step_time(training, device, fabric, fitting, software).step_s
        chosen = _fastest_of_each(seconds, fitting, n_best, practice.n_new(fitting))
        kept.append(fitting.at(chosen))
        kept_s.append(seconds[chosen])
        fastest_s = min(fastest_s, float(seconds.min()))
        near_s.append(seconds[seconds <= fastest_s * math.exp(practice.error)])
    if not kept:
        raise InfeasibleError(_nothing_fits(training, device, least, seen[0], n_ranks, software))
    best, best_s = Layout.concatenate(kept), np.concatenate(kept_s)
    within_s = fastest_s * math.exp(practice.error)
    novelty = np.where(best_s <= within_s, practice.n_new(best), math.inf)
    best = best.at(_fastest(best_s, best, n_best, novelty))
    return Choices(
        layout=best,
        time=step_time(training, device, fabric, best, software),
        memory=memory_of(training, best, software),
        n_priced=seen[0],
        n_fitting=seen[1],
        n_within=sum(int((near <= within_s).sum()) for near in near_s),
        fastest_s=fastest_s,
    )


def _to_price(
    training: Training, fabric: Fabric, n_ranks: int, software: Software, seen: list[int]
) -> Iterator[Layout]:
    """Yield the grid in blocks; where hardly a layout fits, what people do then: use the host."""
    # With a flash kernel an attention core is nothing to leave out: the same as none.
    nothing_selective = software.flash and software.selective == ("core_attn",)
    asked = (training.shape, training.seq, training.batch, n_ranks, fabric.domain)
    for offload in (0, OFFLOAD.index("inputs"), OFFLOAD.index("both")):
        for block in all_layouts(*asked):
            grid = block.at(block.recompute != 1) if nothing_selective else block
            if offload:
                grid = block.at(block.recompute == 2)
                grid = grid.with_arrays({"offload": np.full(grid.tp.shape, float(offload))})
            yield from _blocks(grid)
        if seen[1] >= FEW_FIT * seen[0]:
            return


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


def in_parts(layout: Layout, only: Iterable[str] = ()) -> tuple[tuple[str, int | str], ...]:
    """Return what there is to say of a single layout, by field, without what is 1.

    Of some fields only, if any are named.

    Examples
    --------
    >>> in_parts(Layout.of(tp=8, recompute=1))
    (('tp', 8), ('micro_batch', 1), ('recompute', 'selective'))
    """
    splits = ("tp", "pp", "dp", "cp", "ep", "etp", "pieces")
    parts: list[tuple[str, int | str]] = [
        (name, int(getattr(layout, name))) for name in splits if getattr(layout, name) > 1
    ]
    parts.append(("micro_batch", int(layout.micro_batch)))
    if layout.stages:
        parts.append(("stages", _runs(layout.stages)))
    if layout.recompute > 0:
        parts.append(("recompute", _again(layout)))
    if layout.offload > 0:
        parts.append(("offload", OFFLOAD[int(layout.offload)]))
    if layout.dp * layout.cp > 1:
        parts.append(("zero", int(layout.zero)))
        if layout.zero == 3 and layout.shard < layout.dp * layout.cp:
            parts.append(("shard", int(layout.shard)))
    if layout.tp > 1 and not layout.sequence_parallel:
        parts.append(("sequence_parallel", "none"))
    named = tuple(only) or [name for name, _ in parts]
    return tuple(part for part in parts if part[0] in named)


def _again(layout: Layout) -> str:
    """Return what is computed again: a word, modules, or the word and how many layers."""
    if layout.recompute == 1 and layout.modules:
        return " + ".join(layout.modules)
    few = layout.recompute == 2 and np.isfinite(layout.full_layers)
    return RECOMPUTE[int(layout.recompute)] + (f" x {int(layout.full_layers)}" if few else "")


def _runs(stages: tuple[int, ...]) -> str:
    """Return how many layers stages have, equal neighbours together.

    Examples
    --------
    >>> _runs((3, 4, 4, 4, 1))
    '3 3*4 1'
    """
    found = [(n, len(list(same))) for n, same in groupby(stages)]
    return " ".join(f"{times}*{n}" if times > 1 else f"{n}" for n, times in found)


def in_words(layout: Layout, only: Iterable[str] = ()) -> str:
    """Return a single layout as a person would write it, as `in_parts`.

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
        for name, value in in_parts(layout, only)
    )


def _blocks(layout: Layout) -> Iterator[Layout]:
    for start in range(0, layout.tp.size, BLOCK):
        yield layout.at(slice(start, start + BLOCK))


def _fastest(seconds: FloatArray, layout: Layout, n_best: int, first: FloatArray) -> Any:
    """Return the places of the fastest; of equals the one with fewer ranks, then smaller splits.

    Those for which `first` is less come before all others.
    """
    equal = np.round(seconds / seconds.min(), 9)
    order = np.lexsort(
        (layout.pieces, layout.pp, layout.tp, layout.cp, layout.n_ranks, equal, first)
    )
    return order[:n_best]


def _fastest_of_each(seconds: FloatArray, layout: Layout, n_best: int, group: FloatArray) -> Any:
    """Return the places of the fastest of each group, as `_fastest`."""
    found = []
    for value in np.unique(group):
        places = np.flatnonzero(group == value)
        ordered = _fastest(seconds[places], layout.at(places), n_best, group[places])
        found.append(places[ordered])
    return np.concatenate(found)


def _changes(layout: Layout, training: Training) -> Iterator[tuple[str, Layout]]:
    """Yield single changes that save memory, in words and as layouts that can be."""
    has = layout.numbers()
    ranks = has["dp"] * has["cp"]

    def changed(**new: Any) -> Layout:
        return Layout.of(**{**has, **new})

    if has["recompute"] < 2 or "full_layers" in has:
        yield "recompute: full", changed(recompute=2, full_layers=np.inf, modules=())
    if has["offload"] in (0, 2):
        inputs = OFFLOAD[1 if has["offload"] == 0 else 3]
        yield (
            f"recompute: full with offload: {inputs}",
            changed(recompute=2, offload=OFFLOAD.index(inputs), full_layers=np.inf, modules=()),
        )
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
            "pp": shape.layers >= twice and has["pieces"] == 1 and not layout.stages,
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
