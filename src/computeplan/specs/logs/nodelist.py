"""Slurm's lists of nodes, such as ``gpu[001-004,7]`` or ``rack[1-2]-n[01-16]``."""

from __future__ import annotations

import re

from computeplan.specs.logs.events import RowError

__all__ = ["NO_NODE", "expand_nodes"]

NO_NODE = frozenset({"", "none", "unknown", "none assigned", "(null)", "null"})
"""What stands for no node, in lower case."""

MAX_LISTED = 100_000
MAX_DEPTH = 8
_TOKEN = re.compile(r"[^\[\],\s]+|[\[\],]")
_PLAIN = re.compile(r"[^\[\],\s]+")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")


def expand_nodes(text: str) -> list[str]:
    """Return the names in a Slurm node list.

    Parameters
    ----------
    text : str
        Names with commas between them; a name may hold brackets with numbers and ranges, whose
        leading zeros count. Several brackets of a name, also one in another, name all combinations.

    Raises
    ------
    ValueError
        If it is not a node list, or names more than 100,000 nodes.

    Examples
    --------
    >>> expand_nodes("gpu[001-003,7],login1")
    ['gpu001', 'gpu002', 'gpu003', 'gpu7', 'login1']
    >>> expand_nodes("r[1-2]n[01-02]")
    ['r1n01', 'r1n02', 'r2n01', 'r2n02']
    >>> expand_nodes("None assigned")
    []
    """
    listed = text.strip()
    if listed.lower() in NO_NODE:
        return []
    if _PLAIN.fullmatch(listed):
        return [listed]
    tokens = _TOKEN.findall(listed)
    if sum(map(len, tokens)) != len(listed):  # blanks within
        raise _no_list(text)
    names, at = _names(tokens, 0, 0, text)
    if at != len(tokens):
        raise _no_list(text)
    return names


def _names(tokens: list[str], at: int, depth: int, text: str) -> tuple[list[str], int]:
    """Return the names of a list, and where it ends: at its closing bracket or at the end."""
    found: list[str] = []
    while True:
        first, names = at, [""]
        while at < len(tokens) and tokens[at] not in {",", "]"}:
            if tokens[at] == "[":
                if depth == MAX_DEPTH:
                    raise _no_list(text)
                middles, at = _names(tokens, at + 1, depth + 1, text)
                if at == len(tokens):
                    raise _no_list(text)
            elif depth and at == first and tokens[at + 1 : at + 2] != ["["]:
                middles = _numbers(tokens[at], text)
            else:
                middles = [tokens[at]]
            if len(names) * len(middles) > MAX_LISTED:
                raise _too_many(text)
            names = [f"{name}{middle}" for name in names for middle in middles]
            at += 1
        if at == first:
            raise _no_list(text)
        found += names
        if len(found) > MAX_LISTED:
            raise _too_many(text)
        if at == len(tokens) or tokens[at] == "]":
            return found, at
        at += 1


def _numbers(part: str, text: str) -> list[str]:
    match = _RANGE.fullmatch(part)
    if match is None:
        raise _no_list(text)
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first or last - first >= MAX_LISTED:
        message = f"{text[:60]!r}: {part} is not a range of at most {MAX_LISTED:,}"
        raise RowError("log_left_node", message)
    return [f"{number:0{len(match[1])}d}" for number in range(first, last + 1)]


def _no_list(text: str) -> RowError:
    message = f"{text[:60]!r} is not a node list such as gpu[001-004,7]"
    return RowError("log_left_node", message)


def _too_many(text: str) -> RowError:
    return RowError("log_left_node", f"{text[:60]!r} names more than {MAX_LISTED:,} nodes")
