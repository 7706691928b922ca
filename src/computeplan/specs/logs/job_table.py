"""Jobs as columns.

A log of jobs may hold a million, so none of them is an object: `JobLog` has a column for each thing
that is known of a job, 64 bytes a job, and the names as one run of bytes. How much work a job is
stands in one of two units: seconds of training on the chips that it was measured on, or steps,
whose speed is in a table of throughput.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from computeplan.arrays import FloatArray, IntArray

__all__ = [
    "CHUNK",
    "Chunk",
    "Gathered",
    "Index",
    "JobLog",
    "JobRow",
    "Names",
    "columns_of",
    "job_log",
]

CHUNK = 32_768
"""Rows that are read at a time; it changes no number."""

Index = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """Many texts in one run of bytes."""

    text: bytes
    offset: IntArray
    """Where each begins, and the last one's end; shape (n + 1,)."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> Names:
        """Return texts as bytes."""
        encoded = [text.encode() for text in texts]
        offset = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in encoded], out=offset[1:])
        return cls(b"".join(encoded), offset)

    def __getitem__(self, i: int) -> str:
        """Return one text."""
        return self.text[self.offset[i] : self.offset[i + 1]].decode()

    def __len__(self) -> int:
        """Return how many there are."""
        return self.offset.size - 1

    def take(self, order: IntArray) -> Names:
        """Return some of the texts, in an order."""
        begin, end = self.offset[order].tolist(), self.offset[order + 1].tolist()
        pieces = [self.text[a:b] for a, b in zip(begin, end, strict=True)]
        offset = np.zeros(order.size + 1, dtype=np.int64)
        np.cumsum([len(one) for one in pieces], out=offset[1:])
        return Names(b"".join(pieces), offset)


@dataclass(frozen=True, slots=True, eq=False)
class JobLog:
    """Jobs in the order of their arrival, each column of shape (n_jobs,)."""

    arrival_s: FloatArray
    """When each comes; rising, from 0 on. [s]"""
    chips: IntArray
    """How many it holds while it runs."""
    train_s: FloatArray
    """How long it trains on the chips that it was measured on; nan if steps are known. [s]"""
    n_steps: FloatArray
    """Steps to train; nan if seconds are known."""
    kind: Index
    """What sort of job it is, an index in `kinds`: with its chips, it says the speed of a step."""
    kinds: tuple[str, ...]
    tenant: Index
    """Whose it is, an index in `tenants`."""
    tenants: tuple[str, ...]
    """Names; an empty one is of jobs that say none."""
    priority: IntArray
    """The higher, the sooner; 0 if the log says none."""
    deadline_s: FloatArray
    """When it should have ended, from its arrival; inf without a deadline. [s]"""
    weight: FloatArray
    """How much it counts where shares are divided; 1 if the log says none."""
    names: Names | None = None
    """None if no job has one."""

    def __len__(self) -> int:
        """Return how many jobs there are."""
        return self.arrival_s.size

    def name(self, job: int) -> str:
        """Return what to call a job: its name, or its number from 1 on."""
        return (self.names[job] if self.names is not None else "") or f"job {job + 1}"

    def sorts(self) -> tuple[IntArray, tuple[tuple[str, int], ...]]:
        """Return of which sort each job is, and the sorts: jobs alike in kind and chips.

        Examples
        --------
        >>> jobs = job_log([JobRow(0.0, 8, 60.0, kind="a"), JobRow(5.0, 8, 10.0, kind="a")])
        >>> jobs.sorts()[1]
        (('a', 8),)
        """
        pairs = self.chips * len(self.kinds) + self.kind
        first, sort = np.unique(pairs, return_inverse=True)
        chips, kind = np.divmod(first, max(len(self.kinds), 1))
        named = zip(kind.tolist(), chips.tolist(), strict=True)
        return sort, tuple((self.kinds[k], n) for k, n in named)


class JobRow(NamedTuple):
    """One job on its way into the columns."""

    arrival_s: float
    chips: int
    train_s: float = math.nan
    n_steps: float = math.nan
    kind: str = ""
    tenant: str = ""
    priority: int = 0
    deadline_s: float = math.inf
    weight: float = 1.0
    name: str = ""


class Chunk(NamedTuple):
    """Columns of some jobs, texts not yet being numbers."""

    arrival_s: FloatArray
    chips: IntArray
    train_s: FloatArray
    n_steps: FloatArray
    kind: Sequence[str]
    tenant: Sequence[str]
    priority: IntArray
    deadline_s: FloatArray
    weight: FloatArray
    name: Sequence[str]


def columns_of(rows: Sequence[JobRow]) -> Chunk:
    """Return the columns of some jobs, at least one."""
    arrival, chips, train, steps, kind, tenant, priority, deadline, weight, name = zip(
        *rows, strict=True
    )
    return Chunk(
        np.array(arrival, dtype=np.float64),
        np.array(chips, dtype=np.int64),
        np.array(train, dtype=np.float64),
        np.array(steps, dtype=np.float64),
        kind,
        tenant,
        np.array(priority, dtype=np.int64),
        np.array(deadline, dtype=np.float64),
        np.array(weight, dtype=np.float64),
        name,
    )


class Gathered:
    """Puts chunks together, so that only one of them holds texts at a time."""

    def __init__(self) -> None:
        self.numbers: list[tuple[NDArray[Any], ...]] = []
        self.kinds: dict[str, int] = {}
        self.tenants: dict[str, int] = {}
        self.names: list[Names] = []

    def take(self, chunk: Chunk) -> None:
        """Add a chunk."""
        kind, tenant = _indexed(chunk.kind, self.kinds), _indexed(chunk.tenant, self.tenants)
        self.numbers.append(
            (
                *(chunk.arrival_s, chunk.chips, chunk.train_s, chunk.n_steps, kind, tenant),
                *(chunk.priority, chunk.deadline_s, chunk.weight),
            )
        )
        self.names.append(Names.of(chunk.name))

    def log(self) -> JobLog:
        """Return all jobs, in the order of arrival."""
        types = (*("f8", "i8", "f8", "f8", "i4", "i4"), *("i8", "f8", "f8"))
        whole_columns = []
        for i, kind_of_number in enumerate(types):
            parts = [numbers[i] for numbers in self.numbers]
            whole_columns.append(np.concatenate([np.empty(0, kind_of_number), *parts]))
        self.numbers.clear()
        offsets = [np.zeros(1, dtype=np.int64)]
        for names in self.names:
            offsets.append(names.offset[1:] + offsets[-1][-1])
        named = Names(b"".join(names.text for names in self.names), np.concatenate(offsets))
        arrival = whole_columns[0]
        if np.any(np.diff(arrival) < 0):
            order = np.argsort(arrival, kind="stable")
            whole_columns = [column[order] for column in whole_columns]
            named = named.take(order)
        kinds, kind = _sorted_texts(self.kinds, whole_columns[4])
        tenants, tenant = _sorted_texts(self.tenants, whole_columns[5])
        arrival, chips, train, steps, _, _, priority, deadline, weight = whole_columns
        return JobLog(
            *(arrival, chips, train, steps, kind, kinds, tenant, tenants),
            *(priority, deadline, weight, named if named.text else None),
        )


def job_log(rows: Sequence[JobRow]) -> JobLog:
    """Return jobs as columns, in the order of arrival; those that come at once keep their order."""
    gathered = Gathered()
    for first in range(0, len(rows), CHUNK):
        gathered.take(columns_of(rows[first : first + CHUNK]))
    return gathered.log()


def _indexed(texts: Sequence[str], known: dict[str, int]) -> Index:
    """Return the index of each text among those that are known, adding the new ones."""
    for text in dict.fromkeys(texts):
        known.setdefault(text, len(known))
    return np.fromiter(map(known.__getitem__, texts), np.int32, len(texts))


def _sorted_texts(known: dict[str, int], index: Index) -> tuple[tuple[str, ...], Index]:
    """Return the texts sorted, so that their numbers do not depend on the order of rows."""
    in_order = tuple(sorted(known))
    place = np.empty(len(known), dtype=np.int32)
    place[[known[text] for text in in_order]] = np.arange(len(known), dtype=np.int32)
    return in_order, place[index]
