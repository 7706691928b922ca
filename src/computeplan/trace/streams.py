"""Streams of random numbers: the only file that draws.

Every stream has a generator of its own, which serves 64 runs. More of a stream is always drawn
after what was drawn before, so that a number depends on its place alone.
"""

from __future__ import annotations

import enum

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.distributions import Law, quantile_s

__all__ = [
    "BLOCK",
    "UNIFORM",
    "UNIT_GAP",
    "Column",
    "More",
    "Pages",
    "Stream",
    "generator",
    "shaped",
]

BLOCK = 64  # runs that share generators: one generator per run costs more than what it draws
ROWS = 64  # drawn at a time; it changes no number
PAGE = 32  # the same, of what comes back
MOST_PAGES = 1024  # to begin with; memory that is not written to costs nothing
More = tuple[int, ...]  # an ordinal of faults that come back, or a generation and its node
UNIFORM = Law("uniform", (), 1.0)
UNIT_GAP = Law("expon", (), 1.0)


class Stream(enum.IntEnum):
    """What a generator is for. Appended to, never renumbered."""

    GAP = 0
    NODE = 1
    LASTS = 2  # how long what it does lasts: a restart, slowness, a planned stop
    REPAIR = 3
    FACTOR = 4
    FOUND = 5
    LIFETIME = 6
    AUTOMATIC = 7
    REPLACED = 8
    STEP = 9  # the quantile of the step time; that of the fault rate is FACTOR
    JOB_ARRIVAL = 10  # of generated jobs, keyed by their workload
    JOB_CHIPS = 11
    JOB_LENGTH = 12
    JOB_KIND = 13
    JOB_TENANT = 14
    REQUEST_GAP = 15  # of requests, keyed by their service
    REQUEST_INPUT = 16
    REQUEST_OUTPUT = 17
    REQUEST_KEPT = 18  # whether one of a trace comes in a calm hour
    REQUEST_TURN = 19  # where a trace begins


def generator(
    seed: int, block: int, stream: Stream, key: int, more: More = ()
) -> np.random.Generator:
    """Return the generator of one stream of one block."""
    sequence = np.random.SeedSequence(seed, spawn_key=(block, int(stream), key, *more))
    return np.random.default_rng(sequence)


class Column:
    """The values of one stream for a range of blocks, extended in place."""

    def __init__(
        self, seed: int, blocks: range, stream: Stream, key: int, law: Law, more: More
    ) -> None:
        self.generators = [generator(seed, block, stream, key, more) for block in blocks]
        self.law = law
        self.values: FloatArray = np.empty((0, BLOCK * len(blocks)))

    def first(self, n_rows: int) -> FloatArray:
        """Return the first `n_rows` rows."""
        more = n_rows - len(self.values)
        if more > 0:
            new = np.empty((more, self.values.shape[1]))
            # A few rows at a time, so that what is written side by side is written soon after.
            for first in range(0, more, ROWS):
                rows = new[first : first + ROWS]
                block = np.empty((len(rows), BLOCK))
                for i, rng in enumerate(self.generators):
                    _draw(self.law, rng, block)
                    rows[:, i * BLOCK : (i + 1) * BLOCK] = shaped(self.law, block)
            self.values = np.concatenate([self.values, new]) if len(self.values) else new
        return self.values[:n_rows]


def _draw(law: Law, rng: np.random.Generator, out: FloatArray) -> None:
    """Fill `out` with random numbers, which `shaped` turns into draws of a law."""
    if law.name == "expon":
        rng.standard_exponential(out=out)
    elif law.name == "lognorm":
        rng.standard_normal(out=out)
    elif law.name != "const":
        rng.random(out=out)


def shaped(law: Law, values: FloatArray) -> FloatArray:
    """Return what `_draw` drew as draws of a law, in place where that is possible. [s]"""
    if law.name == "expon":
        values *= law.scale_s
    elif law.name == "lognorm":
        values *= law.shapes[0]
        np.exp(values, out=values)
        values *= law.scale_s
    elif law.name != "uniform":
        return quantile_s(law, values)
    return values


class Pages:
    """Random numbers of the faults of one kind that come back, drawn a page at a time.

    Few do, and few of these again, so that of most ordinals most is never looked at. A page holds
    some rows of one block and ordinal, one row a chain, of every stream. Numbers are turned into
    draws of a law by who reads them, and only those that are read.
    """

    def __init__(self, seed: int, blocks: range, key: int, laws: dict[Stream, Law]) -> None:
        self.seed, self.blocks, self.key, self.laws = seed, blocks, key, laws
        self.table = np.full((1, len(blocks), 1), -1)  # by ordinal, block and turn: which page
        self.values = {stream: np.empty((0, PAGE * BLOCK)) for stream in laws}
        self.generators: dict[tuple[int, int], dict[Stream, np.random.Generator]] = {}
        self.n_pages = 0

    def read(
        self, ordinal: IntArray, chain: IntArray, column: IntArray
    ) -> dict[Stream, FloatArray]:
        """Return the numbers of some faults; columns are counted from that of the first block."""
        turn, row = np.divmod(chain, PAGE)
        block, within = np.divmod(column, BLOCK)
        ends = (int(ordinal.max(initial=0)) + 1, len(self.blocks), int(turn.max(initial=0)) + 1)
        more = [max(0, end - known) for end, known in zip(ends, self.table.shape, strict=True)]
        if any(more):
            self.table = np.pad(self.table, [(0, n) for n in more], constant_values=-1)
        page = self.table[ordinal, block, turn]
        missing = page < 0
        if missing.any():
            for which in set(
                zip(*(x[missing].tolist() for x in (ordinal, block, turn)), strict=True)
            ):
                self._draw_up_to(*which)
            page = self.table[ordinal, block, turn]
        row *= BLOCK
        row += within
        return {stream: values[page, row] for stream, values in self.values.items()}

    def _draw_up_to(self, ordinal: int, block: int, turn: int) -> None:
        """Draw the pages of a block and ordinal up to one, in their order."""
        if (ordinal, block) not in self.generators:
            self.generators[ordinal, block] = {
                stream: generator(self.seed, self.blocks[block], stream, self.key, (ordinal,))
                for stream in self.laws
            }
        for n in range(turn + 1):
            if self.table[ordinal, block, n] >= 0:
                continue
            for stream, rng in self.generators[ordinal, block].items():
                if self.n_pages == len(self.values[stream]):
                    empty = np.empty((max(MOST_PAGES, self.n_pages), PAGE * BLOCK))
                    self.values[stream] = np.concatenate([self.values[stream], empty])
                _draw(self.laws[stream], rng, self.values[stream][self.n_pages])
            self.table[ordinal, block, n] = self.n_pages
            self.n_pages += 1
