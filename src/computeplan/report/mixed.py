"""What is said of one job on several kinds of chips: the answer, its bounds, stages and notes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from computeplan.analytic.mixed_price import ByBatch, Group, MixPrice
from computeplan.physics.mixed import Efficiency
from computeplan.physics.steptime.memory import GIB
from computeplan.report.choices import Language
from computeplan.report.table import Table
from computeplan.report.words import layout_words, phrase, sentences
from computeplan.validation.mixed import Predicted

__all__ = ["answer", "as_document", "bounds_table", "published_table", "remarks", "split_table"]

RECOMPUTED = {
    "none": "mix_again_none",
    "selective": "mix_again_selective",
    "full": "mix_again_full",
}
LINKS = {"direct": "mix_direct", "host": "mix_host"}
MOST_NOTES = 3
LEAST_SHARE = 0.005
"""Of a step, from which what shows between kinds is told."""


def answer(price: MixPrice, language: Language = "en") -> list[str]:
    """Return the answer, a sentence a line: throughput, efficiency with its bound, the split."""
    tokens = price.seq * price.batch
    return [
        phrase(
            "mix_answer",
            language,
            tokens=_short(tokens / price.step_s),
            low=_short(tokens / price.high_s),
            high=_short(tokens / price.low_s),
            efficiency=_percent(price.efficiency.value),
            bound=_bound(price.efficiency, language),
            step=f"{price.step_s:.4g}",
        ),
        phrase("mix_by_layers", language, n_micro=price.n_micro)
        if price.is_pipeline
        else phrase("mix_by_batch", language),
    ]


def bounds_table(price: MixPrice, *, language: Language = "en") -> Table:
    """Return every bound, and the throughput over it."""
    head = tuple(phrase(code, language) for code in ("mix_against", "mix_share"))
    every = (price.efficiency, *price.baselines)
    rows = tuple((_bound(each, language), _percent(each.value)) for each in every)
    return Table("", head, rows)


def split_table(price: MixPrice, *, language: Language = "en") -> Table:
    """Return the stages of a pipeline from the first on, equal neighbours together, or shares."""
    chips = [phrase("mix_chips", language, n=kind.n, chip=kind.chip) for kind in price.kinds]
    title = phrase(
        "mix_title",
        language,
        model=price.model,
        chips=" + ".join(chips),
        batch=price.batch,
        seq=price.seq,
        precision=price.precision,
    )
    groups = [one for one in price.split if isinstance(one, Group)]
    codes: tuple[str, ...]
    if groups:
        codes = ("mix_stages", "mix_chip", "mix_ranks", "mix_layers", "mix_again")
        codes = (*codes, "mix_seconds_of_micro", "mix_held")
        rows = tuple(_stage_rows(groups, language))
    else:
        codes = ("mix_chip", "mix_sequences", "layout", "step_seconds", "mix_held")
        shares = (one for one in price.split if isinstance(one, ByBatch))
        rows = tuple(_share_row(one, language) for one in shares)
    return Table(title, tuple(phrase(code, language) for code in codes), rows)


def _stage_rows(groups: Sequence[Group], language: Language) -> Iterable[tuple[str, ...]]:
    first = 1
    for group in groups:
        alike = zip(group.layers, group.recompute, strict=True)
        place = 0
        for (layers, again), same in itertools.groupby(alike):
            n = len(list(same))
            own = slice(place, place + n)
            stages = f"{first + place}" if n == 1 else f"{first + place}-{first + place + n - 1}"
            held = group.held_bytes[own].max() / GIB
            yield (
                stages,
                group.chip,
                f"{group.tp} × {group.dp} × {group.micro_batch}",
                f"{layers}",
                phrase(RECOMPUTED[again], language),
                f"{float(group.stage_s[own].max()):.3g}",
                f"{held:.1f} / {group.memory_bytes / GIB:.0f}",
            )
            place += n
        first += len(group.layers)


def _share_row(one: ByBatch, language: Language) -> tuple[str, ...]:
    return (
        one.chip,
        f"{one.batch:,}",
        "\n".join(layout_words(one.layout, language)),
        f"{one.step_s:.4g}",
        f"{one.held_bytes / GIB:.1f} / {one.memory_bytes / GIB:.0f}",
    )


def remarks(price: MixPrice, language: Language = "en") -> list[str]:
    """Return what a reader must know of the answer, three sentences at most."""
    codes = ("does_not_fit_alone", "mixed_chips_unused")
    told = sentences((one for one in price.notes if one.code in codes), language)
    told.append(_band(price, language))
    if price.across_s > LEAST_SHARE * price.step_s:
        told.append(
            phrase(
                "mix_note_across",
                language,
                link=phrase(LINKS[price.link], language),
                seconds=f"{price.across_s:.3g}",
                share=_percent(price.across_s / price.step_s),
            )
        )
    if math.isfinite(price.other_s):
        code = "mix_note_other_batch" if price.is_pipeline else "mix_note_other_pipeline"
        told.append(phrase(code, language, seconds=f"{price.other_s:.4g}"))
    return told[:MOST_NOTES]


def _band(price: MixPrice, language: Language) -> str:
    low, high = _percent(price.efficiency_low), _percent(price.efficiency_high)
    return phrase("mix_note_band", language, low_frac=low, high_frac=high)


def as_document(price: MixPrice, *, language: Language = "en") -> dict[str, Any]:
    """Return a price as plain data for JSON, in SI, with all notes in a language."""
    return {
        "model": price.model,
        "precision": price.precision,
        "seq": price.seq,
        "batch_sequences": price.batch,
        "link": price.link,
        "split": "layers" if price.is_pipeline else "batch",
        "n_micro": price.n_micro,
        "step_s": price.step_s,
        "low_s": price.low_s,
        "high_s": price.high_s,
        "tokens_per_s": price.tok_per_s,
        "across_s": price.across_s,
        "other_split_step_s": _finite(price.other_s),
        "efficiency": _ratio(price.efficiency)
        | {"low": _finite(price.efficiency_low), "high": _finite(price.efficiency_high)},
        "baselines": [_ratio(each) for each in price.baselines],
        "kinds": [
            {
                "chip": kind.chip,
                "chips": kind.n,
                "framework": kind.framework,
                "alone_step_s": _finite(kind.alone_s),
                "equal_count_step_s": _finite(kind.equal_s),
                "band": kind.band._asdict(),
                "marks": list(kind.marks),
            }
            for kind in price.kinds
        ],
        "parts": [_part(one) for one in price.split],
        "n_priced": price.n_priced,
        "notes": [_band(price, language), *sentences(price.notes, language)],
    }


def _part(one: Group | ByBatch) -> dict[str, Any]:
    if isinstance(one, ByBatch):
        names = ("chip", "batch", "step_s", "held_bytes", "memory_bytes", "n_used")
        layout = {k: v for k, v in one.layout.numbers().items() if k not in ("modules", "stages")}
        return {name: getattr(one, name) for name in names} | {"layout": layout}
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in asdict(one).items()
    }


def _ratio(one: Efficiency) -> dict[str, Any]:
    return {"bound": one.bound, "of": one.of or None, "value": _finite(one.value)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _bound(one: Efficiency, language: Language) -> str:
    return phrase("mix_bound", language, bound=one.bound, of=one.of)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def _short(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.0f}"


def published_table(found: Sequence[Predicted]) -> Table:
    """Return published runs, each with its bound and the prediction, or why there is none."""
    rows = []
    for one in found:
        run = one.run
        published = (run.work, run.model, run.published.text, run.bound)
        if one.price is None or one.efficiency is None:
            rows.append((*published, "", f"not priced: {run.why}"))
            continue
        value = one.efficiency.value
        ratio = f"{value:.2f} x" if one.efficiency.bound == "even split" else f"{value:.1%}"
        of = f" of {one.efficiency.of}" if one.efficiency.of else ""
        rows.append((*published, f"{ratio}, {one.efficiency.bound}{of}", one.name))
    head = ("work", "model", "published", "its bound", "predicted, of ours", "priced with")
    return Table("One job on several kinds of chips", head, tuple(rows))
