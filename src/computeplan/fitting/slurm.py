"""What Slurm writes: ``sacct -P`` tables and node lists such as ``gpu[001-004,7]``.

``sacct`` knows jobs, not nodes. A job that ended in ``NODE_FAIL`` says when a node failed; which of
its nodes it was stands in ``FailedNode`` if that field was asked for. Without it, a job on several
nodes still counts as one fault, on a node that is not known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["FAULT_STATES", "expand_nodes", "failed_nodes"]

FAULT_STATES = ("NODE_FAIL", "BOOT_FAIL")
"""States of jobs that a node ended; FAILED, TIMEOUT, OUT_OF_MEMORY are the jobs' own."""

MAX_LISTED = 100_000
_PART = re.compile(r"([^\[\],\s]*)(?:\[([0-9,\-]+)\])?([^\[\],\s]*)")
_NOBODY = {"", "none", "unknown", "none assigned", "(null)"}


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
    if text.strip().lower() in _NOBODY:
        return []
    names: list[str] = []
    for part in re.split(r",(?![^\[]*\])", text.strip()):
        match = _PART.fullmatch(part)
        if match is None or not part:
            raise ValueError(f"{text[:60]!r} is not a node list such as gpu[001-004,7]")
        head, numbers, tail = match.groups()
        middles = [""] if numbers is None else _numbers(numbers, text)
        names += [f"{head}{middle}{tail}" for middle in middles]
        if len(names) > MAX_LISTED:
            raise ValueError(f"{text[:60]!r} names more than {MAX_LISTED:,} nodes")
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
    """Return the nodes that a job's end is laid on; None stands for one that is not known.

    Parameters
    ----------
    node_list : str
        Of the job.
    failed : str
        ``FailedNode``, empty where it was not asked for.

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
