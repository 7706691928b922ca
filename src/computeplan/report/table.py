"""A table of plain strings that prints in a terminal and shows in a notebook.

Text is laid out by terminal columns, so that Chinese names line up. A table that is too wide has
its heads broken at blanks first; what is still too wide goes on below, with the first column
repeated. No cell is broken but where its line feeds say so, so that a number stays on its line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table", "wrap"]

TEXT_WIDTH = 100
"""Terminal columns before a table goes on below, where nobody says how many there are."""

NAME_WIDTH = 30
"""Terminal columns of the first column, where names are."""

HEAD_WIDTH = 14
"""Terminal columns to which heads are broken where the cells below them are narrower."""

Grid = list[list[list[str]]]
"""The lines of each cell of each row."""

_WIDE = "\u2e80-\uffef"

_CLOSING = "，。；：、）”"
"""Chinese marks that begin no line."""

_UNIT = r"\[[^\[\]]+\]"
"""A unit behind a label stays in one piece."""

_RANGE = r"[-+]?[\d.,]*\d～[-+]?[\d.,]*\d"
"""A range as Chinese writes it."""

_WITH_UNIT = rf"[^\s{_WIDE}]*(?:\d [^\s\d({_WIDE}]|[±x×] \d)[^\s{_WIDE}]*"
"""A number and what it counts: between them no line is broken where one has room for both."""

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
    joint: str | None = None
    """What joins the lines of a cell where there is room; None: they stay apart."""

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = TEXT_WIDTH) -> str:
        """Return the table, its notes below, in as many terminal columns."""
        blocks = [self.title] if self.title else []
        blocks += _blocks(self._grid(width), width)
        notes = "\n".join(wrap(note, width, hang=2) for note in self.notes)
        return "\n\n".join([*blocks, notes] if notes else blocks)

    def _grid(self, width: int) -> Grid:
        """Return the lines of every cell, by row: the roomiest layout that fits on one block."""
        apart = [[cell.split("\n") for cell in row] for row in (self.header, *self.rows)]
        grids = [apart]
        if self.joint is not None:
            joined = ([[" ".join(c[0])], *([self.joint.join(x)] for x in c[1:])] for c in apart[1:])
            grids.insert(0, [apart[0], *joined])
        name_widths = max(12, min(NAME_WIDTH, width // 3)), max(12, width // 5)
        narrow = [_broken(grid, names) for names in name_widths for grid in grids]
        fitting = (g for g in (*grids, *narrow) if _total(_widths(g)) <= width)
        return next(fitting, narrow[len(grids) - 1])

    def _repr_html_(self) -> str:
        from jinja2 import Environment  # only notebooks need it

        return Environment(autoescape=True).from_string(_HTML).render(table=self)


def _width(text: str) -> int:
    """Return terminal columns: a wide East Asian character takes two, a combining one none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def wrap(text: str, width: int, lines: int | None = None, hang: int = 0) -> str:
    """Return text broken at blanks and between wide characters, cut with an ellipsis.

    Parameters
    ----------
    text : str
    width : int
        Terminal columns of a line.
    lines : int, optional
        Most lines; without, as many as it takes.
    hang : int, optional
        Blanks before every line but the first.

    Examples
    --------
    >>> wrap("half the fleet at the western site", 18, lines=1)
    'half the fleet at…'
    """
    found = [""]
    for piece in _pieces(text, width - hang):
        if _width(found[-1] + piece) > width and not piece.isspace():
            found.append(" " * hang)
        found[-1] += piece if found[-1].strip() else piece.lstrip()
    kept = [line.rstrip() for line in found if line.strip()]
    if lines is not None and len(kept) > lines:
        kept[lines - 1 :] = [f"{kept[lines - 1]}…"]
    return "\n".join(kept)


def _pieces(text: str, width: int) -> list[str]:
    """Return text in the pieces between which a line may end, none wider than a line."""
    plain = rf"\s+|[{_WIDE}]|[^\s{_WIDE}]{{1,{width}}}"
    whole = rf"(?:{_UNIT}|{_RANGE}|{_WITH_UNIT})[{_CLOSING}]*"
    closed = rf"(?:[{_WIDE}]|[^\s{_WIDE}]+)[{_CLOSING}]+"
    pieces = re.findall(f"{whole}|{closed}|{plain}", text)
    fits = (([p] if _width(p) <= width else re.findall(plain, p)) for p in pieces)
    return [piece for found in fits for piece in found]


def _broken(grid: Grid, name_width: int) -> Grid:
    """Return the grid with names, and heads wider than their cells, broken at blanks."""
    of_cells = _widths(grid[1:]) or [0] * len(grid[0])
    heads = [
        [part for line in lines for part in wrap(line, max(of_cells[i], HEAD_WIDTH)).split("\n")]
        for i, lines in enumerate(grid[0])
    ]
    return [
        [[part for line in row[0] for part in wrap(line, name_width).split("\n")], *row[1:]]
        for row in (heads, *grid[1:])
    ]


def _widths(grid: Grid) -> list[int]:
    columns = len(grid[0]) if grid else 0
    return [
        max((_width(line) for row in grid for line in row[i]), default=0) for i in range(columns)
    ]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _blocks(grid: Grid, width: int) -> list[str]:
    """Return blocks of columns that fit, each beginning with column 0."""
    widths, blocks = _widths(grid), []
    for columns in _fold(widths, width):
        lines = [line for row in grid for line in _text_row(row, widths, columns)]
        n_head = max(len(grid[0][i]) for i in columns)
        lines.insert(n_head, "-" * _width(lines[0]))
        blocks.append("\n".join(line.rstrip() for line in lines))
    return blocks


def _fold(widths: Sequence[int], most: int) -> list[list[int]]:
    """Return blocks of column numbers that fit; each begins with column 0."""
    blocks: list[list[int]] = [[0]]
    used = widths[0]
    for i, width in enumerate(widths[1:], 1):
        if used + 2 + width > most and len(blocks[-1]) > 1:
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
