"""Two results side by side, as text, and as Markdown for a pull request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from computeplan.quantities import QUANTITIES, Quantity, significant
from computeplan.report.choices import Language
from computeplan.report.numbers import (
    Scale,
    difference,
    headline,
    middle_and_range,
    scale_for,
)
from computeplan.report.table import Table
from computeplan.report.words import phrase, sentence
from computeplan.results.estimates import Estimate
from computeplan.study.compare import Change, Comparison, Pair
from computeplan.study.result import Result

__all__ = ["as_markdown", "lines", "tables"]

MOST_CHANGES = 20
"""Values in which scenarios differ that are shown."""
MOST_PAIRS = 4
"""Pairs of cases that have a table each; more share one, a row each."""
LONGEST = 24
"""Characters of such a value."""


def tables(comparison: Comparison, language: Language) -> list[Table]:
    """Return what differs in the scenarios, then a table of differences for each pair of cases."""
    pairs = comparison.pairs
    common = (
        [
            one
            for one in next(iter(pairs.values())).changes
            if all(one in pair.changes for pair in pairs.values())
        ]
        if pairs
        else []
    )
    found = [_changes(common, phrase("compare_changes", language), language)] if common else []
    for name, pair in pairs.items():
        own = [one for one in pair.changes if one not in common]
        if own:
            found.append(_changes(own, phrase("compare_changes_of", language, name=name), language))
        if len(pairs) <= MOST_PAIRS:
            found.append(_differences(name, pair, language))
    if len(pairs) > MOST_PAIRS:
        found.append(_differences_of_many(pairs, language))
    return found


def lines(comparison: Comparison, language: Language) -> list[str]:
    """Return who is compared and how, and what is not, one sentence each."""
    n_runs = next((pair.a.n_runs for pair in comparison.pairs.values()), 0)
    told = [phrase("compare_who", language, a=comparison.a, b=comparison.b)]
    if comparison.pairs:
        told.append(_how(comparison, n_runs, language))
    if comparison.pairs and not any(pair.changes for pair in comparison.pairs.values()):
        told.append(phrase("compare_same", language))
    for name, why in comparison.refused.items():
        told.append(phrase("compare_refused", language, name=name, why=sentence(why, language)))
    return [*told, *(sentence(one, language) for one in comparison.alone)]


def as_markdown(comparison: Comparison, language: Language) -> str:
    """Return the comparison as Markdown."""
    blocks = ["\n".join(f"- {_escaped(line)}" for line in lines(comparison, language))]
    for table in tables(comparison, language):
        rows = [table.header, *table.rows]
        text = [_markdown_row(row) for row in rows]
        rule = "|" + "|".join([" --- ", *(" ---: " for _ in table.header[1:])]) + "|"
        blocks += [f"**{_escaped(table.title)}**", "\n".join([text[0], rule, *text[1:]])]
        blocks += [_escaped(note) for note in table.notes]
    return "\n\n".join(blocks) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell).replace("\n", ", ") for cell in cells) + " |"


def _escaped(text: str) -> str:
    for character in "\\`*_{}[]<>|":
        text = text.replace(character, f"\\{character}")
    return text


def _how(comparison: Comparison, n_runs: int, language: Language) -> str:
    if comparison.is_paired:
        return phrase("compare_paired", language, n=n_runs)
    comma = phrase("comma", language)
    unlike = phrase("then", language).join(
        f"{one.path} {one.a}{comma}{one.b}" for one in comparison.unlike
    )
    return phrase("compare_unpaired", language, unlike=unlike)


def _changes(changes: Sequence[Change], title: str, language: Language) -> Table:
    shown = changes[:MOST_CHANGES]
    rows = tuple((one.path, _written(one.a, language), _written(one.b, language)) for one in shown)
    n_more = len(changes) - len(shown)
    notes = (phrase("compare_more", language, n=n_more),) if n_more else ()
    return Table(title, (phrase("compare_path", language), "A", "B"), rows, notes)


def _written(value: object, language: Language) -> str:
    if value is None:
        return phrase("compare_unset", language)
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _differences(name: str, pair: Pair, language: Language) -> Table:
    """Return a row for each quantity a reader asks for: A, B, the difference."""
    rows = tuple(_row(quantity, pair, language) for quantity in _chosen([pair]))
    head = (
        phrase("compare_quantity", language),
        *(phrase("compare_mean", language, side=side) for side in "AB"),
        phrase("compare_difference", language),
        phrase("interval_95", language),
    )
    code = "compare_title" if pair.a_name == pair.b_name else "compare_cases"
    title = phrase(code, language, name=name, a=pair.a_name, b=pair.b_name)
    return Table(title, head, rows)


def _differences_of_many(pairs: Mapping[str, Pair], language: Language) -> Table:
    """Return a row for each case, with the difference of each quantity a reader asks for."""
    chosen = _chosen(pairs.values())
    head, columns = [phrase("case", language)], []
    for quantity in chosen:
        found = [pair.differences.get(quantity.name, Estimate.of([])) for pair in pairs.values()]
        scale = scale_for(quantity.unit, (e.mean for e in found), language)
        head.append(scale.label(quantity, language))
        bases = (pair.a.estimate(quantity.name).mean for pair in pairs.values())
        texts = (difference(e, b, scale, language) for e, b in zip(found, bases, strict=True))
        columns.append(["\n".join(text for text in parts if text) for parts in texts])
    rows = tuple(zip(pairs, *columns, strict=True))
    return Table(phrase("compare_difference", language), tuple(head), rows, (), ", ")


def _chosen(pairs: Iterable[Pair]) -> list[Quantity]:
    """Return the quantities a reader asks for first that both sides have."""
    chosen: dict[str, Quantity] = {}
    for pair in pairs:
        for side in (pair.a, pair.b):
            of_side = headline(Result("", "", {"": side}))
            chosen |= {q.name: q for q in of_side if q.name in pair.differences}
    return [chosen[name] for name in QUANTITIES if name in chosen]


def _row(quantity: Quantity, pair: Pair, language: Language) -> tuple[str, ...]:
    found = pair.differences[quantity.name]
    sides = [side.estimate(quantity.name) for side in (pair.a, pair.b)]
    scale = scale_for(quantity.unit, (e.mean for e in sides), language)
    own = scale_for(quantity.unit, (found.mean,), language)
    value, interval, percent = difference(found, sides[0].mean, own, language)
    by = f"{value} {own.unit}".strip() + (f" ({percent})" if percent else "")
    means = (_mean(quantity, e, scale, language) for e in sides)
    return (scale.label(quantity, language), *means, by, interval)


def _mean(quantity: Quantity, estimate: Estimate, scale: Scale, language: Language) -> str:
    """Return a mean; the middle of the runs where a mean is not known."""
    if math.isnan(estimate.mean):
        return middle_and_range(quantity, estimate, scale, language)[0]
    return significant(estimate.mean / scale.size, 3)
