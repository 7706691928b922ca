"""The luck of a block of runs, drawn before any engine starts; the only place that draws.

A *strike* is a fault or a planned stop: when, of which kind, on which node, and how long the
restart and the repair that may follow will take. Faults without memory come as one superposed
Poisson stream per kind and pool: exponential gaps at the rate of all nodes together, each on a
node chosen evenly. A strike on a node that is in repair is dropped by the engine, which is exact
for a law without memory. Planned stops are known beforehand; only their lengths are drawn.

Every stream has a generator of its own, keyed by block, purpose and a digest of the names of kind
and pool, and never by the case: all cases meet the same luck, and a kind that is added shifts no
other. A run's luck is its column in its block, whatever engine, worker or horizon asks, because
more of a stream is always drawn after what was drawn before.
"""

from __future__ import annotations

import enum
import itertools
import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from computeplan.checks import FloatArray, IntArray
from computeplan.specs.laws import Law, frozen_law
from computeplan.world import Kind, Pool, Stop, World

__all__ = ["BLOCK", "NOBODY", "Stream", "Strikes", "Trace", "draw_trace", "generator"]

BLOCK = 64  # runs that share generators: one generator per run costs more than what it draws
ROWS = 64  # drawn at a time; it changes no number
NOBODY = -1  # node of a planned stop

BoolArray = NDArray[np.bool_]
NodeArray = NDArray[np.int32]


class Stream(enum.IntEnum):
    """What a generator is for. Appended to, never renumbered."""

    GAP = 0
    NODE = 1
    RESTART = 2
    REPAIR = 3


def generator(seed: int, block: int, stream: Stream, key: int) -> np.random.Generator:
    """Return the generator of one stream of one block."""
    sequence = np.random.SeedSequence(seed, spawn_key=(block, int(stream), key))
    return np.random.default_rng(sequence)


@dataclass(frozen=True, slots=True)
class Strikes:
    """Strikes on one pool, of several runs, each run's in the order of time.

    All arrays have shape (n_strikes, n_runs). Where a run has fewer, `time_s` is inf.

    Parameters
    ----------
    time_s : ndarray
        When. [s]
    kind : ndarray
        Index in the world's kinds.
    node : ndarray
        Node struck, or `NOBODY`.
    takes : ndarray
        Whether the node goes to repair.
    restart_s, repair_s : ndarray
        How long the restart and the repair would take. [s]
    """

    time_s: FloatArray
    kind: IntArray
    node: NodeArray
    takes: BoolArray
    restart_s: FloatArray
    repair_s: FloatArray


class _Column:
    """The values of one stream for a range of blocks, extended in place."""

    def __init__(self, seed: int, blocks: range, stream: Stream, key: int, law: Law) -> None:
        self.generators = [generator(seed, block, stream, key) for block in blocks]
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
                    rows[:, i * BLOCK : (i + 1) * BLOCK] = block
            self.values = np.concatenate([self.values, new]) if len(self.values) else new
        return self.values[:n_rows]


_UNIFORM = Law("uniform", (), 1.0)
_UNIT_GAP = Law("expon", (), 1.0)


def _draw(law: Law, rng: np.random.Generator, out: FloatArray) -> None:
    """Fill `out` with draws of a law. [s]"""
    if law.name == "const":
        out.fill(law.scale_s)
    elif law.name == "uniform":
        rng.random(out=out)
    elif law.name == "expon":
        rng.standard_exponential(out=out)
        out *= law.scale_s
    elif law.name == "lognorm":
        rng.standard_normal(out=out)
        out *= law.shapes[0]
        np.exp(out, out=out)
        out *= law.scale_s
    else:
        out[:] = frozen_law(law).ppf(rng.random(out.shape))


def _key(kind: str, pool: str) -> int:
    digest = blake2b(f"{kind}\0{pool}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class Trace:
    """The luck of runs `first_run` to `first_run + n_runs - 1` of one world.

    Parameters
    ----------
    world : World
        What can be struck.
    seed : int
        Root of all luck.
    first_run, n_runs : int
        Which runs.
    """

    def __init__(self, world: World, seed: int, first_run: int, n_runs: int) -> None:
        self.world, self.seed = world, seed
        self.blocks = range(first_run // BLOCK, -(-(first_run + n_runs) // BLOCK))
        self.columns = slice(first_run % BLOCK, first_run % BLOCK + n_runs)
        self.n_runs = n_runs
        self._streams: dict[tuple[Stream, int], _Column] = {}
        self._found: dict[int, tuple[float, Strikes]] = {}

    def strikes(self, pool: int, until_s: float) -> Strikes:
        """Return the strikes on a pool up to a time.

        Parameters
        ----------
        pool : int
            Index of the pool.
        until_s : float
            No strike up to this time is missing; later ones may be. [s]

        Returns
        -------
        Strikes
            Later calls with a larger `until_s` begin with the same strikes.
        """
        known = self._found.get(pool)
        if known is None or known[0] < until_s:
            known = self._found[pool] = (until_s, self._strikes(self.world.pools[pool], until_s))
        return known[1]

    def _strikes(self, place: Pool, until_s: float) -> Strikes:
        parts = [self._faults(kind, place, until_s) for kind in place.kinds]
        parts += [self._stops(stop, place, until_s) for stop in place.stops]
        if not parts:
            nothing = np.empty((0, self.n_runs))
            whole = np.empty((0, self.n_runs), dtype=np.int64)
            node = whole.astype(np.int32)
            return Strikes(nothing, whole, node, nothing.astype(bool), nothing, nothing)
        return parts[0] if len(parts) == 1 else _merge(parts)

    def _column(self, stream: Stream, kind: str, pool: str, law: Law, n_rows: int) -> FloatArray:
        key = _key(kind, pool)
        if (stream, key) not in self._streams:
            self._streams[stream, key] = _Column(self.seed, self.blocks, stream, key, law)
        return self._streams[stream, key].first(n_rows)[:, self.columns]

    def _faults(self, kind: Kind, pool: Pool, until_s: float) -> Strikes:
        if kind.log is not None:
            return self._replayed(kind, pool, until_s)
        n_nodes = pool.n_nodes + pool.n_spare_nodes
        rate = kind.rate_per_node_s * n_nodes
        expected = rate * until_s
        n_rows = int(expected + 4 * math.sqrt(expected)) + 4
        while True:
            gaps = self._column(Stream.GAP, kind.name, pool.name, _UNIT_GAP, n_rows)
            time_s = gaps / rate
            for before, after in itertools.pairwise(time_s):  # np.cumsum down columns is slow
                after += before
            if time_s[-1].min(initial=math.inf) > until_s:
                break
            n_rows += n_rows // 8 + 8
        node, takes = self._nodes(kind, pool, n_rows)
        return Strikes(
            time_s,
            np.broadcast_to(np.int64(kind.index), time_s.shape),
            node,
            takes,
            self._column(Stream.RESTART, kind.name, pool.name, kind.restart, n_rows),
            self._repairs(kind, pool, n_rows),
        )

    def _nodes(self, kind: Kind, pool: Pool, n_rows: int) -> tuple[NodeArray, BoolArray]:
        """Return which node is struck and whether it is taken, both from one uniform number.

        Times the number of nodes, its integer part is the node, and what is left is uniform again.
        """
        uniform = self._column(Stream.NODE, kind.name, pool.name, _UNIFORM, n_rows)
        scaled = uniform * (pool.n_nodes + pool.n_spare_nodes)
        node = scaled.astype(np.int32)
        scaled -= node
        return node, scaled < kind.p_takes_node

    def _repairs(self, kind: Kind, pool: Pool, n_rows: int) -> FloatArray:
        if kind.repair is None:
            return np.zeros((n_rows, self.n_runs))
        return self._column(Stream.REPAIR, kind.name, pool.name, kind.repair, n_rows)

    def _replayed(self, kind: Kind, pool: Pool, until_s: float) -> Strikes:
        log = kind.log
        assert log is not None
        n = int(np.searchsorted(log.start_s, until_s, side="right"))
        shape = (n, self.n_runs)
        logged = np.broadcast_to(log.repair_s[:n, None], shape)
        known = np.isfinite(logged)
        return Strikes(
            np.broadcast_to(log.start_s[:n, None], shape),
            np.broadcast_to(np.int64(kind.index), shape),
            np.broadcast_to(log.node[:n, None].astype(np.int32), shape),
            known | self._nodes(kind, pool, n)[1],
            self._column(Stream.RESTART, kind.name, pool.name, kind.restart, n),
            np.where(known, logged, self._repairs(kind, pool, n)),
        )

    def _stops(self, stop: Stop, pool: Pool, until_s: float) -> Strikes:
        n = max(0, math.ceil(until_s / stop.interval_s + 0.5))
        shape = (n, self.n_runs)
        times_s = (np.arange(n) + 0.5) * stop.interval_s
        return Strikes(
            np.broadcast_to(times_s[:, None], shape),
            np.broadcast_to(np.int64(stop.index), shape),
            np.full(shape, NOBODY, dtype=np.int32),
            np.zeros(shape, dtype=bool),
            self._column(Stream.RESTART, stop.name, pool.name, stop.lasts, n),
            np.zeros(shape),
        )


def _merge(parts: list[Strikes]) -> Strikes:
    """Return the strikes of several streams as one, in the order of time, run by run."""
    time_s = np.concatenate([part.time_s for part in parts])
    order = np.argsort(time_s, axis=0, kind="stable")

    def sort(name: str) -> Any:
        joined = np.concatenate([getattr(part, name) for part in parts])
        return np.take_along_axis(joined, order, axis=0)

    names = ("time_s", "kind", "node", "takes", "restart_s", "repair_s")
    return Strikes(*(sort(name) for name in names))


def draw_trace(world: World, seed: int, first_run: int, n_runs: int) -> Trace:
    """Return the luck of a range of runs.

    Parameters
    ----------
    world : World
        What can be struck.
    seed : int
        Root of all luck.
    first_run, n_runs : int
        Which runs; a run's luck does not depend on which others are asked for.
    """
    return Trace(world, seed, first_run, n_runs)
