"""Plain tables on a terminal, by rich: cells are text, never markup."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from computeplan.report.table import Table

__all__ = ["show_table"]

PIPED_WIDTH = 160
"""Columns to lay a table out for when nobody's terminal sets them."""


def show_table(table: Table) -> None:
    """Print a table on standard output, then its notes.

    A table wider than the terminal is turned: one row per quantity, one column per case.
    """
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    rows = [table.header, *table.rows]
    widest = sum(
        max(Text(cell).cell_len for row in rows for cell in row[i].split("\n")) + 2
        for i in range(len(table.header))
    )
    if widest > console.width and len(table.rows) < len(table.header):
        rows = [tuple(row[i] for row in rows) for i in range(len(table.header))]
    printed = RichTable(
        title=Text(table.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for i, head in enumerate(rows[0]):
        printed.add_column(Text(head), justify="left" if i == 0 else "right", overflow="fold")
    for row in rows[1:]:
        printed.add_row(*(Text(cell) for cell in row))
    console.print(printed)
    for note in table.notes:
        console.print(Text(f"- {note}"), soft_wrap=not console.is_terminal)
    console.print()
