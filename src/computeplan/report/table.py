"""A table of plain strings that prints in a terminal and shows in a notebook.

Text is laid out by terminal columns, so that Chinese names line up; what is wider than
`TEXT_WIDTH` goes on below, with the first column repeated.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table", "wrap"]

TEXT_WIDTH = 100
"""Terminal columns before a table goes on below."""

NAME_WIDTH = 30
"""Terminal columns of the first column, where names are."""

_WIDE = "\u2e80-\uffef"

_HTML = """<table><caption>{{ table.title }}</caption>
<thead><tr>{% for cell in table.header %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in table.rows %}
<tr>{% for cell in row %}{% if loop.first %}<th scope="row">{{ cell }}</th>{% else -%}
<td style="text-align:right;white-space:pre-line">{{ cell }}</td>{% endif %}{% endfor %}</tr>
{%- endfor %}
</tbody></table>
{% for note in table.notes %}<p><small>{{ note }}</small></p>
{% endfor %}"""


@dataclass(frozen=True, slots=True)
class Table:
    """Plain strings in rows: prints as text, shows as HTML in a notebook."""

    title: str
    """One line."""
    header: tuple[str, ...]
    """Column heads; a line feed may part a head."""
    rows: tuple[tuple[str, ...], ...]
    """As many cells as `header`; a line feed may part a cell."""
    notes: tuple[str, ...] = ()
    """What a reader must know, one sentence each."""

    def __str__(self) -> str:
        grid = [
            [wrap(row[0], NAME_WIDTH).split("\n"), *(cell.split("\n") for cell in row[1:])]
            for row in (self.header, *self.rows)
        ]
        widths = [max(_width(line) for row in grid for line in row[i]) for i in range(len(grid[0]))]
        blocks = [self.title]
        for columns in _fold(widths):
            lines = [line for row in grid for line in _text_row(row, widths, columns)]
            n_head = max(len(grid[0][i]) for i in columns)
            lines.insert(n_head, "-" * _width(lines[0]))
            blocks.append("\n".join(line.rstrip() for line in lines))
        return "\n\n".join([*blocks, "\n".join(self.notes)] if self.notes else blocks)

    def _repr_html_(self) -> str:
        from jinja2 import Environment  # only notebooks need it

        return Environment(autoescape=True).from_string(_HTML).render(table=self)


def _width(text: str) -> int:
    """Return terminal columns: a wide East Asian character takes two, a combining one none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def wrap(text: str, width: int, lines: int | None = None) -> str:
    """Return text broken at blanks and between wide characters, cut with an ellipsis.

    Parameters
    ----------
    text : str
    width : int
        Terminal columns of a line.
    lines : int, optional
        Most lines; without, as many as it takes.

    Examples
    --------
    >>> wrap("half the fleet at the western site", 18, lines=1)
    'half the fleet at…'
    """
    found = [""]
    for piece in re.findall(rf"\s+|[{_WIDE}]|[^\s{_WIDE}]{{1,{width}}}", text):
        if _width(found[-1] + piece) > width:
            found.append("")
        found[-1] += piece if found[-1] else piece.lstrip()
    kept = [line.rstrip() for line in found if line.strip()]
    if lines is not None and len(kept) > lines:
        kept[lines - 1 :] = [f"{kept[lines - 1]}…"]
    return "\n".join(kept)


def _fold(widths: Sequence[int]) -> list[list[int]]:
    """Return blocks of column numbers that fit the text width; each begins with column 0."""
    blocks: list[list[int]] = [[0]]
    used = widths[0]
    for i, width in enumerate(widths[1:], 1):
        if used + 2 + width > TEXT_WIDTH and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(i)
        used += 2 + width
    return blocks


def _text_row(row: list[list[str]], widths: Sequence[int], columns: list[int]) -> list[str]:
    lines = []
    for k in range(max(len(row[i]) for i in columns)):
        cells = [(row[i][k] if k < len(row[i]) else "", i) for i in columns]
        padding = [" " * (widths[i] - _width(text)) for text, i in cells]
        first, *rest = (
            text + pad if i == 0 else pad + text
            for (text, i), pad in zip(cells, padding, strict=True)
        )
        lines.append("  ".join([first, *rest]))
    return lines
