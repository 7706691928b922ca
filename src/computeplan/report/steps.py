"""Tables and figure of the price of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

from computeplan.analytic.step_price import StepPrice
from computeplan.physics.steptime.layout import RECOMPUTE
from computeplan.physics.steptime.memory import GIB, RankMemory
from computeplan.physics.steptime.search import in_words
from computeplan.physics.steptime.step import StepTime
from computeplan.report import Language
from computeplan.report.style import drawn, label, new_axes, say
from computeplan.report.table import Table
from computeplan.report.words import sentences

__all__ = ["as_document", "best_table", "breakdown", "step_table"]

PARTS = {
    "compute_s": ("compute", "计算", "#0072B2"),
    "tp_s": ("tensor parallel", "张量并行", "#56B4E9"),
    "bubble_s": ("pipeline bubble", "流水线气泡", "#D55E00"),
    "pp_s": ("pipeline messages", "流水线通信", "#E69F00"),
    "dp_s": ("data parallel", "数据并行", "#CC79A7"),
    "cp_s": ("context parallel", "上下文并行", "#999933"),
    "ep_s": ("expert parallel", "专家并行", "#117733"),
    "optimizer_s": ("optimizer", "优化器", "#7F7F7F"),
}
"""Parts of a step in English and Chinese, with their colours."""
LEAST_SHOWN = 0.03


def step_table(prices: Sequence[StepPrice]) -> Table:
    """Return one column for every price, with ratios to the first where there are several."""
    first = prices[0]
    rows: list[tuple[str, ...]] = [
        ("seconds per step", *(f"{p.step_s:.4g}" for p in prices)),
        ("  90 % band", *(_band(p) for p in prices)),
        ("tokens/s", *(f"{p.tok_per_s:,.0f}" for p in prices)),
        ("tokens/s per chip", *(f"{p.tok_per_s / p.chips:,.0f}" for p in prices)),
    ]
    if len(prices) > 1:
        ratio = (f"{p.tok_per_s / first.tok_per_s:.3g}" for p in prices)
        rows.append(("  ratio of tokens/s", *ratio))
    rows += [
        ("MFU", *(f"{p.mfu:.3f}" for p in prices)),
        ("layout", *(p.words().replace(", ", "\n") for p in prices)),
    ]
    for name, (english, _, _) in PARTS.items():
        cells = tuple(_part(p.time, name, p.step_s) for p in prices)
        if any(cells):
            rows.append((english, *cells))
    rows.append(("memory, GiB of", *(f"{p.memory_bytes / GIB:.1f}" for p in prices)))
    for field in fields(RankMemory):
        sizes = [float(getattr(p.memory, field.name)[0]) for p in prices]
        if any(sizes):
            rows.append((f"  {field.name}", *(f"{size / GIB:.1f}" for size in sizes)))
    rows.append(("  in all", *(f"{float(p.memory.total[0]) / GIB:.1f}" for p in prices)))
    title = (
        f"{first.model}, {first.chips:,} chips, {first.batch:,} sequences of {first.seq:,} tokens"
        f" ({first.batch * first.seq:,} tokens a step), {first.precision}"
    )
    return Table(title, ("", *(p.chip for p in prices)), tuple(rows), _notes(prices))


def best_table(price: StepPrice) -> Table:
    """Return the layouts of a price, fastest first."""
    total = price.memory.total
    rows = tuple(
        (
            f"{place + 1}",
            f"{float(price.time.step_s[place]):.4g}",
            f"{price.flop / _peak_flop(price, place):.3f}",
            f"{float(total[place]) / GIB:.1f}",
            f"{int(price.layout.n_ranks[place]):,}",
            in_words(price.layout.at(place)),
        )
        for place in range(total.size)
    )
    title = (
        f"the {len(rows)} fastest of {price.n_fitting:,} layouts that fit"
        f" ({price.n_priced:,} looked at)"
    )
    return Table(title, ("", "step s", "MFU", "GiB", "ranks", "layout"), rows)


@drawn
def breakdown(
    prices: Sequence[StepPrice], ax: Axes | None = None, *, language: Language = "en"
) -> Axes:
    """Return axes with what a step is spent on, a bar for every price, and its 90 % band.

    Parameters
    ----------
    prices : sequence of StepPrice
    ax : Axes, optional
        To draw on; a figure of its own if left out.
    language : {"en", "zh"}
    """
    ax = new_axes(ax, 1.6 * len(prices) + 1)
    for row, price in enumerate(prices):
        left = 0.0
        for name, (_, _, colour) in PARTS.items():
            width = float(getattr(price.time, name)[0])
            ax.barh(row, width, 0.5, left=left, color=colour, edgecolor="white", linewidth=0.5)
            left += width
        low, high = price.step_s * price.band.low, price.step_s * price.band.high
        ax.plot((low, high), (row - 0.36, row - 0.36), color="black", linewidth=1.2)
        ax.annotate(
            f"{price.step_s:.3g} s",
            (left, row),
            (4, 0),
            textcoords="offset points",
            va="center",
        )
    shown = [
        name
        for name in PARTS
        if any(float(getattr(p.time, name)[0]) > LEAST_SHOWN * p.step_s for p in prices)
    ]
    handles = [
        mpl.patches.Patch(color=PARTS[name][2], label=say(*PARTS[name][:2], ax, language))
        for name in shown
    ]
    ax.legend(handles=handles, ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0), fontsize=9)
    ax.set_yticks(
        range(len(prices)), [label(p.chip, f"chip {i}", ax) for i, p in enumerate(prices, 1)]
    )
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set_xlabel(say("seconds per step (line: 90 % band)", "每步秒数(线:90% 区间)", ax, language))
    title = f"{prices[0].model}, {prices[0].chips:,} chips, {prices[0].precision}"
    ax.set_title(label(title, "step", ax, width=90), pad=30)
    return ax


def as_document(price: StepPrice) -> dict[str, Any]:
    """Return a price as plain data for JSON, in SI, layouts fastest first."""
    what = ("model", "chip", "chips", "chips_used", "precision", "seq")
    found = ("mfu", "family", "memory_bytes", "n_priced", "n_fitting")
    return {
        **{name: getattr(price, name) for name in what},
        "batch_sequences": price.batch,
        "framework": price.framework,
        "step_s": price.step_s,
        "low_s": price.step_s * price.band.low,
        "high_s": price.step_s * price.band.high,
        "extrapolated": price.band.extrapolated,
        "tokens_per_s": price.tok_per_s,
        **{name: getattr(price, name) for name in found},
        "layouts": [_layout(price, place) for place in range(price.memory.total.size)],
        "notes": [*sentences(price.notes), *_rests_on([price])],
    }


def _layout(price: StepPrice, place: int) -> dict[str, Any]:
    layout = price.layout.at(place)
    return {
        "layout": {
            name: int(getattr(layout, name))
            for name in ("tp", "pp", "dp", "cp", "ep", "micro_batch", "zero", "shard")
        }
        | {
            "recompute": RECOMPUTE[int(layout.recompute)],
            "virtual_stages": int(layout.pieces),
            "sequence_parallel": bool(layout.sequence_parallel),
        },
        "step_s": float(price.time.step_s[place]),
        "mfu": price.flop / _peak_flop(price, place),
        "time_s": {
            field.name.removesuffix("_s"): float(getattr(price.time, field.name)[place])
            for field in fields(StepTime)
        },
        "memory_bytes": {
            **{
                field.name: float(getattr(price.memory, field.name)[place])
                for field in fields(RankMemory)
            },
            "total": float(price.memory.total[place]),
        },
    }


def _peak_flop(price: StepPrice, place: int) -> float:
    seconds = float(price.time.step_s[place])
    return seconds * float(price.layout.n_ranks[place]) * price.peak_flop_per_s


def _band(price: StepPrice) -> str:
    return f"{price.step_s * price.band.low:.3g} to {price.step_s * price.band.high:.3g}"


def _part(time: StepTime, name: str, step_s: float) -> str:
    seconds = float(getattr(time, name)[0])
    return f"{seconds:.3g} s  {seconds / step_s:>4.0%}" if seconds > 0.0005 * step_s else ""


def _notes(prices: Sequence[StepPrice]) -> tuple[str, ...]:
    notes = sentences(note for price in prices for note in price.notes)
    notes += [
        f"{price.chip}: {price.chips_used:,} of {price.chips:,} chips are used: no layout that fits"
        " and divides the batch is faster on more of them"
        for price in prices
        if price.chips_used < price.chips and price.n_priced > 1
    ]
    return tuple(dict.fromkeys((*notes, *_rests_on(prices))))


def _rests_on(prices: Sequence[StepPrice]) -> list[str]:
    notes = []
    for price in prices:
        beyond = ""
        if price.band.extrapolated > 1:
            beyond = f"; extrapolated x {price.band.extrapolated:.3g}"
        notes.append(
            f"{price.chip}: {price.numbers.rows} published runs ({price.family}), at most"
            f" {price.numbers.largest_chips:,} chips{beyond}; switches of {price.framework}"
        )
    return notes
