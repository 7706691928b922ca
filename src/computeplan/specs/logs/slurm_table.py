"""Rows of the tables that Slurm's commands print, whose form the header decides.

``-P`` puts bars between cells and ``-p`` one more at the end of each line; without them the columns
are wide, and a line of dashes says where they stand. Nothing is quoted: a bar or a line break in
the name of a job is one in the table. So a row with too many cells gives them to its columns of
free text, if that can be done in one way only in which state, dates and numbers are what they must
be; a row with too few goes on in the next line. What still has no certain place is left out and
said.

Long because rows and the lines that they are put together from are read together.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import itemgetter
from typing import TextIO

from computeplan.specs.logs.events import RowError
from computeplan.specs.logs.nodelist import NO_NODE

__all__ = [
    "FAULT_STATES",
    "PLAIN_STATES",
    "STATES",
    "Form",
    "Found",
    "Row",
    "form_of",
    "is_table_row",
    "rows",
    "state_of",
]

FAULT_STATES = ("NODE_FAIL", "BOOT_FAIL")
"""States of jobs that a node ended; FAILED, TIMEOUT, OUT_OF_MEMORY are the jobs' own."""

STATES = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "COMPLETING", "CONFIGURING", "DEADLINE",
        "EXPEDITING", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PENDING",
        "POWER_UP_NODE", "PREEMPTED", "RECONFIG_FAIL", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
        "RESIZING", "RESV_DEL_HOLD", "REVOKED", "RUNNING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT",
        "STOPPED", "SUSPENDED", "TIMEOUT", "UPDATE_DB",
    }
)  # fmt: skip
"""States of a job, by the manual of squeue and ``job_state_string`` of Slurm."""

TEXTS = frozenset(
    {
        "JobName", "SubmitLine", "Comment", "AdminComment", "SystemComment", "Extra", "WorkDir",
        "Constraints", "Licenses", "WCKey", "Reason", "Container", "StdIn", "StdOut", "StdErr",
        "FailureReason",
    }
)  # fmt: skip
"""Columns in which people or programs write what they like."""

PLAIN_STATES = STATES - set(FAULT_STATES)
MAX_LINES = 200  # of one row
MAX_EXTRA = 500  # cells of one row
MAX_WAYS = 100  # to lay the cells of one row
_MANY: frozenset[tuple[str, ...]] = frozenset({(), ("",)})  # more ways than are looked at
_JOB = re.compile(r"\d+[\w\[\]\-+.,%]*")
_SEPARATOR = re.compile(r"\w+(\W+?)\w")
_RULER = re.compile(r"-+")

Row = tuple[str, ...]
"""Cells of the columns that were asked for; empty where there is no such column."""

Found = tuple[int, int, Row | RowError]
"""A row with its first line and how many lines it takes."""


def _is_list(text: str) -> bool:
    if text.strip().lower() in NO_NODE:
        return True
    return not re.search(r"\s", text.strip()) and text.count("[") == text.count("]")


_CHECKS: dict[str, Callable[[str], bool]] = {
    **dict.fromkeys(("JobID", "JobIDRaw"), lambda text: _JOB.fullmatch(text.strip()) is not None),
    **dict.fromkeys(("NodeList", "FailedNode", "NodeName"), _is_list),
    "State": lambda text: state_of(text) in STATES,
    "ExitCode": lambda text: re.fullmatch(r"\d+:\d+", text) is not None,
    "Elapsed": lambda text: re.fullmatch(r"[\d:.-]+", text) is not None,
    **dict.fromkeys(("NNodes", "AllocNodes", "NCPUS", "AllocCPUS"), lambda text: text.isdecimal()),
}
_SURE = ("JobID", "JobIDRaw", "State")
_DATES = ("Start", "End", "Submit", "Eligible", "TimeStart", "TimeEnd")


def state_of(text: str) -> str:
    """Return the state without who cancelled the job."""
    return text.strip().split(" ", 1)[0]


@dataclass(frozen=True, slots=True)
class Form:
    """How a table writes its rows."""

    columns: tuple[str, ...]
    separator: str
    """Between cells; empty for wide columns."""
    is_closed: bool = False
    """Whether each line ends with the separator."""
    spans: tuple[tuple[int, int], ...] = ()
    """Where wide columns begin and end."""

    def cells(self, text: str) -> list[str] | None:
        """Return the cells of a row; None if its end is missing."""
        if self.spans:
            return [text[begin:end].strip() for begin, end in self.spans]
        found = text.split(self.separator)
        if self.is_closed:
            return None if found.pop() else found
        return found


def form_of(header: str, ruler: str = "") -> Form | None:
    """Return the form of a table by its first line, and the second where that is all dashes.

    None if the first line is not a header of names.
    """
    text = header.strip("\r\n")
    if "-" in ruler and not ruler.strip("- \r\n"):
        spans = [match.span() for match in _RULER.finditer(ruler)]
        names = text.split()
        if len(names) == len(spans):
            return Form(tuple(names), "", spans=tuple(spans))
    match = _SEPARATOR.match(text)
    if match is None:
        return None
    separator = match[1]
    if separator.strip(" ") == "":
        return Form(tuple(text.split()), "")
    names = text.split(separator)
    is_closed = not names[-1]
    names = names[:-1] if is_closed else names
    return Form(tuple(names), separator, is_closed) if all(map(str.isidentifier, names)) else None


def is_table_row(line: str) -> bool:
    """Return whether a line is a row of jobs without a header before it."""
    cells = re.split(r"[|;,\s]+", line.strip())
    return _JOB.fullmatch(cells[0]) is not None and any(map(STATES.__contains__, cells[1:]))


def rows(
    file: TextIO,
    form: Form,
    wanted: Sequence[str],
    needed: Sequence[str],
    is_date: Callable[[str], bool],
) -> Iterator[Found]:
    """Return the rows of a table, each with its first line and how many lines it takes.

    Parameters
    ----------
    file : TextIO
        Behind its header.
    form : Form
        By the header; a later header, of a file that was appended, replaces it.
    wanted : sequence of str
        Columns whose cells are asked for.
    needed : sequence of str
        Columns that a later header has, too.
    is_date : callable
        Whether a cell is a date in the form that this file has.
    """
    reader = _Reader(form, wanted, needed, is_date)
    for number, text in enumerate(file, 3 if form.spans else 2):
        line = text.rstrip("\r\n")
        if not reader.broken and (row := reader.layout.plain(line)) is not None:
            if reader.held is not None:
                yield reader.held[0]
            reader.held = (number, 1, row), line
        elif line.strip() or reader.broken:
            yield from reader.take(number, line)
    yield from reader.end()


class _Reader:
    """Puts lines together to rows.

    A whole row is held back until the next line shows that it does not go on there: `held`. Lines
    that are less than a row wait for more: `broken`.
    """

    def __init__(
        self,
        form: Form,
        wanted: Sequence[str],
        needed: Sequence[str],
        is_date: Callable[[str], bool],
    ) -> None:
        self.wanted, self.needed, self.is_date = wanted, needed, is_date
        self.held: tuple[tuple[int, int, Row], str] | None = None
        self.broken: list[str] = []
        self.first = 0  # line of what is broken
        self.doubt = ""  # lines before it that were left out and may go on in it
        self.take_form(form)

    def take_form(self, form: Form) -> None:
        """Read by the columns of a header from here on."""
        self.form, self.layout = form, _Layout(form, self.wanted, self.is_date)

    def take(self, number: int, line: str) -> Iterator[Found]:
        """Return the rows that are certain once this line is known, which is no plain row."""
        if self._is_header(line):
            yield from self.end()
        elif self.form.spans:
            yield number, 1, _bad("has no known state in its place")
        elif self.broken:
            yield from self._go_on(number, line)
        else:
            yield from self._begin(number, line)

    def end(self) -> Iterator[Found]:
        """Return what is left behind the last line."""
        yield from self._drop()
        yield from self._release()

    def _hold(self, number: int, n: int, row: Row, text: str) -> Iterator[Found]:
        yield from self._release()
        self.held = (number, n, row), text

    def _release(self) -> Iterator[Found]:
        if self.held is not None:
            yield self.held[0]
            self.held = None

    def _drop(self) -> Iterator[Found]:
        if self.broken:
            yield self.first, len(self.broken), _bad("is cut off, or a text in it has a line break")
            self.broken, self.doubt = [], ""

    def _is_header(self, line: str) -> bool:
        if not all(name in line for name in self.needed):
            return bool(self.form.spans) and not line.strip("- ")
        form = form_of(line)
        if form is None or not set(self.needed) <= set(form.columns):
            return False
        if form.separator:
            self.take_form(form)
        return True

    def _begin(self, number: int, line: str) -> Iterator[Found]:
        """Take a line that is no plain row where nothing is broken."""
        layout, row = self.layout, self.layout.laid(line)
        if isinstance(row, tuple):
            yield from self._hold(number, 1, row, line)
            return
        if self.held is not None and not layout.begins(line):
            if layout.ends_in_text and layout.tells_begins:
                return  # what it goes on with
            (first, n, before), text = self.held
            whole = f"{text}\n{line}"
            both = layout.laid(whole)
            if layout.tells_begins and isinstance(both, tuple):
                self.held = (first, n + 1, both), whole
                return
            if layout.tells_begins or layout.is_unlike(whole, before):
                self.held = None
                yield first, n + 1, _bad("goes on in the next line, and its cells have no place")
                return
        yield from self._release()
        if row is None:
            self.broken, self.first = [line], number
        else:
            yield number, 1, row

    def _go_on(self, number: int, line: str) -> Iterator[Found]:
        """Take a line behind lines that are less than a row."""
        layout, before = self.layout, "\n".join(self.broken)
        whole = f"{before}\n{line}"
        alone, begins = layout.laid(line), layout.begins(line)
        if isinstance(alone, tuple):  # a row, or the rest of one
            if layout.is_unlike(whole, alone):
                self.broken.append(line)
                yield from self._drop()
            elif layout.ways(whole) and self.form.separator not in before:
                yield from self._finish(alone, line)
            else:
                yield from self._drop()
                yield from self._hold(number, 1, alone, line)
        elif begins:
            yield from self._drop()
            self.broken, self.first, self.doubt = [line], number, before
        elif isinstance(row := layout.laid(whole), tuple):
            yield from self._finish(row, line)
        else:
            self.broken.append(line)
            if row is not None or len(self.broken) >= MAX_LINES:
                yield from self._drop()

    def _finish(self, row: Row, line: str) -> Iterator[Found]:
        """Take the last line of what is broken, which is whole with it."""
        self.broken.append(line)
        text = "\n".join(self.broken)
        if self.doubt and self.layout.is_unlike(f"{self.doubt}\n{text}", row):
            yield from self._drop()
        else:
            n, self.broken, self.doubt = len(self.broken), [], ""
            yield from self._hold(self.first, n, row, text)


def _bad(why: str) -> RowError:
    return RowError("log_left_cells", f"{why}: leave out columns of free text such as JobName")


class _Layout:
    """Where the cells of a row belong."""

    def __init__(self, form: Form, wanted: Sequence[str], is_date: Callable[[str], bool]) -> None:
        self.form, self.n = form, len(form.columns)
        place = {name: i for i, name in enumerate(form.columns)}
        self.wanted = [place.get(name, -1) for name in wanted]
        self.pick: Callable[[list[str]], Row] = itemgetter(
            *(place.get(name, self.n) for name in wanted)
        )
        self.state = place.get("State", -1) if "State" in wanted else -1
        self.job = place.get("JobID", place.get("JobIDRaw", -1))
        checks = {**_CHECKS, **dict.fromkeys(_DATES, is_date)}
        if self.state < 0:
            del checks["State"]  # of a node
        self.checks = {i: checks[name] for i, name in enumerate(form.columns) if name in checks}
        self.may_quote = form.separator == ","  # which stands in lists of nodes, too
        wide = TEXTS | ({"NodeList", "FailedNode"} if self.may_quote else set())
        self.texts = [i for i, name in enumerate(form.columns) if name in wide]
        self.is_simple = bool(form.separator) and not (form.is_closed or self.may_quote)
        self.is_simple &= self.state >= 0
        self.ends_in_text = self.texts[-1:] == [self.n - 1] and not form.is_closed
        self.blocks = self._blocks()
        begin = form.columns[: self.blocks[0][1]]
        self.tells_begins = bool({*_SURE, *_DATES} & set(begin))

    def _blocks(self) -> list[tuple[int, int]]:
        """Return runs of columns, begin and end, that lie between texts and keep together."""
        edges = [-1, *self.texts, self.n]
        blocks = [(before + 1, after) for before, after in pairwise(edges)]
        needed = {i for i in self.wanted if i >= 0} | set(self.checks)
        kept = []
        for k, (begin, end) in enumerate(blocks):
            is_end = k in {0, len(blocks) - 1}
            if is_end or needed & set(range(begin - 1, end + 1)):
                kept.append((begin, end))
        return kept

    def plain(self, line: str) -> Row | None:
        """Return the cells of a row that has as many as the header, and a state in its place."""
        if self.is_simple:  # nearly all rows of a large file
            cells = line.split(self.form.separator)
            if len(cells) == self.n and cells[self.state] in PLAIN_STATES:
                cells.append("")  # of columns that are not there
                return self.pick(cells)
        return self._plain(line)

    def _plain(self, line: str) -> Row | None:
        cells = self.form.cells(line)
        if cells is None or len(cells) != self.n or (self.may_quote and '"' in line):
            return None
        if self.state < 0:
            is_plain = all(check(cells[i]) for i, check in self.checks.items())
        else:
            state = state_of(cells[self.state])
            is_plain = state in STATES or (bool(self.form.spans) and state.endswith("+"))
            if state in FAULT_STATES and self.job >= 0:
                is_plain = _JOB.match(cells[self.job]) is not None
        return self.pick([*cells, ""]) if is_plain else None

    def is_unlike(self, text: str, row: Row) -> bool:
        """Return whether lines may also be one row that says something else than a row of them.

        The JobID says nothing of a fault.
        """
        skip = int(self.state >= 0)
        return any(one[skip:] != row[skip:] for one in self.ways(text))

    def begins(self, line: str) -> bool:
        """Return whether a line looks like the begin of a row: what stands before any text."""
        cells = line.split(self.form.separator)[: self.blocks[0][1]]
        checked = [i for i in range(len(cells)) if i in self.checks]
        is_sure = any(cells[i] and self.form.columns[i] in (*_SURE, *_DATES) for i in checked)
        return is_sure and all(self.checks[i](cells[i]) for i in checked)

    def laid(self, text: str) -> Row | RowError | None:
        """Return the cells of a row, which may have too many; None if it has too few."""
        cells = self._cells(text)
        if cells is None:
            return None
        found = self.ways(text)
        if len(found) == 1:
            return next(iter(found))
        if self.state >= 0 and found and found is not _MANY:
            at = self.wanted.index(self.state)
            if not any(state_of(row[at]) in FAULT_STATES for row in found):
                return min(found)  # no fault, whichever it is
        if len(cells) > self.n:
            return _bad(f"has {len(cells)} cells; the header has {self.n}")
        return _bad("has cells that are not of their columns")

    def _cells(self, text: str) -> list[str] | None:
        """Return the cells of a row, or None if they are too few."""
        if text.count(self.form.separator) + 1 < self.n:
            return None
        cells = self.form.cells(text)
        if cells is not None and self.may_quote and '"' in text:
            cells = self._unquoted(text, cells)
        return None if cells is None or len(cells) < self.n else cells

    def _unquoted(self, text: str, cells: list[str]) -> list[str]:
        """Return the cells of a row that a program wrote as CSV, with quotes."""
        try:
            quoted = next(csv.reader(text.split("\n"), strict=True))
        except csv.Error:
            return cells
        return quoted if len(quoted) == self.n else cells

    def ways(self, text: str) -> AbstractSet[Row]:
        """Return the cells wanted, in all ways to give those that are too many to the texts."""
        cells = self._cells(text)
        extra = -1 if cells is None else len(cells) - self.n
        if cells is None or (extra and not self.texts):
            return set()
        if extra > MAX_EXTRA:
            return _MANY
        last = len(self.blocks) - 1
        ways: list[tuple[int, ...]] = [()]
        for k, (begin, end) in enumerate(self.blocks):
            shifts = range(extra + 1) if 0 < k < last else (0,) if k == 0 else (extra,)
            fits = [
                shift
                for shift in shifts
                if all(self._fits(i, cells[i + shift], extra) for i in range(begin, end))
            ]
            more = ((*way, to) for way in ways for to in fits if not way or to >= way[-1])
            ways = list(islice(more, MAX_WAYS + 1))
            if len(ways) > MAX_WAYS:
                return _MANY
        return {row for way in ways if (row := self._row(cells, way)) is not None}

    def _fits(self, i: int, cell: str, extra: int) -> bool:
        """Return whether a cell may stand in a column that is no text.

        Of a row with as many cells as the header, what is no date or list is said as that.
        """
        if "\n" in cell:
            return False
        check = self.checks.get(i)
        return check is None or (not extra and self.form.columns[i] not in _SURE) or check(cell)

    def _row(self, cells: list[str], way: tuple[int, ...]) -> Row | None:
        row = []
        for i in self.wanted:
            if i < 0:
                row.append("")
                continue
            k = max(k for k, (begin, _) in enumerate(self.blocks) if begin <= i or k == 0)
            is_text = i >= self.blocks[k][1] and k + 1 < len(way)
            cell = self.form.separator.join(cells[i + way[k] : i + way[k + is_text] + 1])
            is_free = i in self.texts and self.form.columns[i] in TEXTS
            if not is_free and not self._fits(i, cell, len(cells) - self.n):
                return None
            row.append(cell)
        return tuple(row)
