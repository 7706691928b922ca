"""What Slurm writes: ``sacct -P`` tables and node lists such as ``gpu[001-004,7]``.

``sacct`` knows jobs, not nodes. A job that ended in ``NODE_FAIL`` says when a node failed; which of
its nodes it was stands in ``FailedNode`` if that field was asked for. Without it, a job on several
nodes still counts as one fault, on a node that is not known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TextIO

from computeplan.errors import ScenarioError
from computeplan.notes import note, of_some
from computeplan.specs.logs.events import Events, EventsBuilder, node_name
from computeplan.specs.logs.times import read_date_s

__all__ = ["FAULT_STATES", "expand_nodes", "failed_nodes", "read_sacct"]

FAULT_STATES = ("NODE_FAIL", "BOOT_FAIL")
"""States of jobs that a node ended; FAILED, TIMEOUT, OUT_OF_MEMORY are the jobs' own."""

MAX_LISTED = 100_000
_PART = re.compile(r"([^\[\],\s]*)(?:\[([0-9,\-]+)\]([^\[\],\s]*))?(,|\Z)")  # in one way only
_NO_NODE = {"", "none", "unknown", "none assigned", "(null)"}


def expand_nodes(text: str) -> list[str]:
    """Return the names in a Slurm node list.

    Parameters
    ----------
    text : str
        Names with commas between them; a name may hold one pair of brackets with numbers and
        ranges, whose leading zeros count.

    Raises
    ------
    ValueError
        If it is not a node list, or names more than 100,000 nodes.

    Examples
    --------
    >>> expand_nodes("gpu[001-003,7],login1")
    ['gpu001', 'gpu002', 'gpu003', 'gpu7', 'login1']
    >>> expand_nodes("None assigned")
    []
    """
    if text.strip().lower() in _NO_NODE:
        return []
    names: list[str] = []
    listed, at, more = text.strip(), 0, ","
    while more:
        match = _PART.match(listed, at)
        if match is None or match.end() - at == len(match[4]):
            raise ValueError(f"{text[:60]!r} is not a node list such as gpu[001-004,7]")
        head, numbers, tail, more = match.groups()
        middles = [""] if numbers is None else _numbers(numbers, text)
        names += [f"{head}{middle}{tail or ''}" for middle in middles]
        if len(names) > MAX_LISTED:
            raise ValueError(f"{text[:60]!r} names more than {MAX_LISTED:,} nodes")
        at = match.end()
    return names


def _numbers(ranges: str, text: str) -> list[str]:
    found: list[str] = []
    for part in ranges.split(","):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if match is None:
            raise ValueError(f"{text[:60]!r} is not a node list such as gpu[001-004,7]")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or len(found) + last - first >= MAX_LISTED:
            raise ValueError(f"{text[:60]!r}: {part} is not a range of at most {MAX_LISTED:,}")
        found += [f"{number:0{len(match[1])}d}" for number in range(first, last + 1)]
    return found


def failed_nodes(node_list: str, failed: str) -> Sequence[str | None]:
    """Return the nodes on which a job's end is laid; None stands for one that is not known.

    `failed` is ``FailedNode``, empty where it was not asked for.

    Examples
    --------
    >>> failed_nodes("gpu[1-4]", "gpu3"), failed_nodes("gpu7", ""), failed_nodes("gpu[1-4]", "")
    (['gpu3'], ['gpu7'], [None])
    """
    named = expand_nodes(failed)
    if named:
        return named
    nodes = expand_nodes(node_list)
    return nodes if len(nodes) == 1 else [None]


def read_sacct(file: TextIO, shown: str) -> Events:
    """Return the ends of jobs that a node ended, as faults whose repair is not known.

    From what ``sacct -P`` printed. A ScenarioError if columns are missing, or with every row that
    is wrong.
    """
    lines = enumerate(file, 1)  # sacct -P quotes nothing, so this is no CSV
    header = next(lines, (1, ""))[1].strip().split("|")
    missing = [name for name in ("State", "NodeList", "End") if name not in header]
    if missing:
        message = f"lacks {', '.join(missing)}: sacct -P --format=JobID,State,NodeList,End,"
        raise ScenarioError.of(f"{message}FailedNode (with -a and a window -S, -E)", file=shown)
    at = {name: place for place, name in enumerate(header)}
    builder = EventsBuilder(shown)
    n_unknown = n_other = 0

    def cell(row: list[str], name: str) -> str:
        return row[at[name]].strip() if name in at else ""

    for line, text in lines:
        row = text.rstrip("\r\n").split("|")
        if len(row) == len(header) + 1 and not row[-1]:
            row.pop()  # sacct -p ends each line with a bar, -P does not
        if len(row) != len(header):
            if text.strip():
                builder.wrong(f"has {len(row)} cells; the header has {len(header)}", line)
            continue
        state = cell(row, "State").split(" ")[0]
        if "." in cell(row, "JobID"):
            continue  # a step fails with its job
        if state not in FAULT_STATES:
            n_other += 1
            continue
        try:
            end_s = read_date_s(cell(row, "End"))
            named = failed_nodes(cell(row, "NodeList"), cell(row, "FailedNode"))
            nodes = [node if node is None else node_name(node) for node in named]
        except ValueError as error:
            builder.wrong(str(error), line)
            continue
        for node in nodes:
            n_unknown += node is None
            builder.add(node, end_s, math.nan, state)
    notes = (note("log_slurm_states", n=n_other), note("log_slurm_no_repairs"))
    unknown = of_some(note("log_slurm_unknown_node", n=n_unknown))
    return builder.build(is_dated=True, notes=(*notes, *unknown))
