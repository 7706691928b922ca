"""Tables and figure of the price of a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

from computeplan.analytic.step_price import StepPrice
from computeplan.physics.steptime.layout import OFFLOAD, RECOMPUTE
from computeplan.physics.steptime.memory import GIB, RankMemory
from computeplan.physics.steptime.search import in_parts
from computeplan.physics.steptime.step import StepTime
from computeplan.report import Language
from computeplan.report.answer import MARKS
from computeplan.report.style import drawn, label, new_axes
from computeplan.report.table import Table
from computeplan.report.words import layout_words, phrase, sentences

__all__ = ["as_document", "best_table", "breakdown", "step_table"]

PARTS = {
    "compute_s": "#0072B2",
    "tp_s": "#56B4E9",
    "bubble_s": "#D55E00",
    "pp_s": "#E69F00",
    "dp_s": "#CC79A7",
    "cp_s": "#999933",
    "ep_s": "#117733",
    "host_s": "#882255",
    "optimizer_s": "#7F7F7F",
}
"""Colours of the parts of a step."""
MEMORY = ("weights", "gradients", "optimizer", "activations", "logits", "reserve")
LEAST_SHOWN = 0.03


def step_table(prices: Sequence[StepPrice], *, language: Language = "en") -> Table:
    """Return one column for every price, with ratios to the first where there are several."""
    first, rows = prices[0], []

    def row(code: str, cells: Iterable[str], indent: str = "") -> None:
        rows.append((f"{indent}{phrase(code, language)}", *cells))

    row("step_seconds", (f"{p.step_s:.4g}" for p in prices))
    row("step_band", (_band(p, language) for p in prices), "  ")
    row("tokens_per_s", (f"{p.tok_per_s:,.0f}" for p in prices))
    row("tokens_per_s_and_chip", (f"{p.tok_per_s / p.chips:,.0f}" for p in prices))
    if len(prices) > 1:
        ratios = (f"{p.tok_per_s / first.tok_per_s:.3g}" for p in prices)
        row("ratio_of_tokens_per_s", ratios, "  ")
    rows.append(("MFU", *(f"{p.mfu:.3f}" for p in prices)))
    row("layout", ("\n".join(layout_words(p.layout.at(0), language)) for p in prices))
    for name in PARTS:
        cells = tuple(_part(p.time, name, p.step_s) for p in prices)
        if any(cells):
            row(name, cells)
    row("memory_of", (f"{p.memory_bytes / GIB:.1f}" for p in prices))
    for name in MEMORY:
        sizes = [float(getattr(p.memory, name)[0]) for p in prices]
        if any(sizes):
            row(name, (f"{size / GIB:.1f}" for size in sizes), "  ")
    row("memory_in_all", (f"{float(p.memory.total[0]) / GIB:.1f}" for p in prices), "  ")
    title = phrase(
        "step_title",
        language,
        model=first.model,
        chips=phrase("n_chips", language, n=first.chips),
        batch=first.batch,
        seq=first.seq,
        tokens=first.batch * first.seq,
        precision=first.precision,
    )
    head = ("", *(_headed(p, language) for p in prices))
    return Table(title, head, tuple(rows), _notes(prices, language))


def best_table(price: StepPrice, *, language: Language = "en") -> Table:
    """Return the layouts of a price, the best first."""
    total = price.memory.total
    rows = tuple(
        (
            f"{place + 1}",
            f"{float(price.time.step_s[place]):.4g}",
            f"{price.flop / _peak_flop(price, place):.3f}",
            f"{float(total[place]) / GIB:.1f}",
            f"{int(price.layout.n_ranks[place]):,}",
            phrase("between", language).join(layout_words(price.layout.at(place), language)),
        )
        for place in range(total.size)
    )
    counts = {"n": len(rows), "n_fitting": price.n_fitting, "n_priced": price.n_priced}
    seconds, ranks, layout = (
        phrase(code, language) for code in ("seconds_of_step", "ranks", "layout")
    )
    head = ("", seconds, "MFU", "GiB", ranks, layout)
    return Table(phrase("best_layouts", language, **counts), head, rows)


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
        for name, colour in PARTS.items():
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
    handles = [mpl.patches.Patch(color=PARTS[name], label=phrase(name, language)) for name in shown]
    ax.legend(handles=handles, ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0), fontsize=9)
    ax.set_yticks(range(len(prices)), [label(p.chip) for p in prices])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set_xlabel(phrase("step_seconds_and_band", language))
    chips = phrase("n_chips", language, n=prices[0].chips)
    parts = (prices[0].model, chips, prices[0].precision)
    ax.set_title(label(phrase("between", language).join(parts), width=90), pad=30)
    return ax


def as_document(price: StepPrice, *, language: Language = "en") -> dict[str, Any]:
    """Return a price as plain data for JSON, in SI, layouts best first, notes in a language."""
    what = ("model", "chip", "chips", "chips_used", "precision", "seq")
    found = ("mfu", "marks", "family", "memory_bytes")
    searched = ("n_priced", "n_fitting", "n_within")
    return {
        **{name: getattr(price, name) for name in what},
        "batch_sequences": price.batch,
        "framework": price.framework,
        "step_s": price.step_s,
        "low_s": price.step_s * price.band.low,
        "high_s": price.step_s * price.band.high,
        "extrapolated": price.band.extrapolated,
        "tokens_per_s": price.tok_per_s,
        **{name: getattr(price, name) for name in (*found, *searched)},
        "layouts": [_layout(price, place) for place in range(price.memory.total.size)],
        "notes": [*sentences(price.notes, language), *_rests_on([price], language)],
    }


def _layout(price: StepPrice, place: int) -> dict[str, Any]:
    layout = price.layout.at(place)
    return {
        "layout": {
            name: int(getattr(layout, name))
            for name in ("tp", "pp", "dp", "cp", "ep", "etp", "micro_batch", "zero", "shard")
        }
        | {
            "recompute": dict(in_parts(layout)).get("recompute", RECOMPUTE[0]),
            "offload": OFFLOAD[int(layout.offload)],
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


def _headed(price: StepPrice, language: Language) -> str:
    """Return the chip of a price, with a mark where nobody has shown such a speed."""
    if not price.marks:
        return price.chip
    marks = phrase("names", language).join(phrase(MARKS[mark], language) for mark in price.marks)
    return phrase("with_head", language, case=price.chip, head=marks)


def _band(price: StepPrice, language: Language) -> str:
    low, high = (f"{price.step_s * end:.3g}" for end in (price.band.low, price.band.high))
    return phrase("from_to", language, low=low, high=high)


def _part(time: StepTime, name: str, step_s: float) -> str:
    seconds = float(getattr(time, name)[0])
    return f"{seconds:.3g} s  {seconds / step_s:>4.0%}" if seconds > 0.0005 * step_s else ""


def _notes(prices: Sequence[StepPrice], language: Language) -> tuple[str, ...]:
    notes = sentences((note for price in prices for note in price.notes), language)
    notes += [
        phrase(
            "fewer_chips_are_faster",
            language,
            chip=price.chip,
            n_used=price.chips_used,
            n_chips=price.chips,
        )
        for price in prices
        if price.chips_used < price.chips and price.n_priced > 1
    ]
    return tuple(dict.fromkeys((*notes, *_rests_on(prices, language))))


def _rests_on(prices: Sequence[StepPrice], language: Language) -> list[str]:
    return [
        phrase(
            "price_rests_on",
            language,
            chip=price.chip,
            n_runs=price.numbers.rows,
            family=price.family,
            largest=price.numbers.largest_chips,
            extrapolated=price.band.extrapolated,
            framework=price.framework,
        )
        for price in prices
    ]
