"""The samples of a block of runs, drawn before any engine starts; the only place that draws.

An *arrival* is a fault or a planned stop: when, of which kind, on which node, and how long the
restart and the repair that may follow will take. Faults without memory come as one superposed
Poisson stream per kind and pool: exponential gaps at the rate of all nodes together, each on a
node chosen evenly. The engine drops a fault of a node that is in repair, which is exact for a law
without memory. Planned stops are known beforehand; only their lengths are drawn.

Every stream has a generator of its own, keyed by block, purpose and a digest of the names of kind
and pool, and never by the case: all cases have the same samples, and a kind that is added shifts no
other. The samples of a run are its column in its block, whatever engine, worker or horizon asks,
because more of a stream is always drawn after what was drawn before.

Streams of random numbers are in ``streams.py``, beside this file; ``arrivals.py`` puts them in
order.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from hashlib import blake2b

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.distributions import TIED, Law
from computeplan.quantities import FAULT_RATE, STEP_TIME
from computeplan.trace.arrivals import (
    Arrivals,
    FaultSamples,
    NodeArray,
    each_once,
    merge,
    next_lifetime_s,
    no_arrivals,
    outcomes_of,
    with_members,
)
from computeplan.trace.lemons import lemon_nodes, lemon_times_s
from computeplan.trace.lifetimes import first_lifetime_s, first_share
from computeplan.trace.streams import (
    BLOCK,
    UNIFORM,
    UNIT_GAP,
    Column,
    More,
    Pages,
    Stream,
    generator,
    shaped,
)
from computeplan.world.faults import Corrupt, Kind, Slow
from computeplan.world.maintenance import Stop
from computeplan.world.pools import Pool
from computeplan.world.world import World

__all__ = ["BLOCK", "NO_NODE", "Stream", "Trace", "generator", "step_factors"]

NO_NODE = -1  # node of a planned stop


def _laws(kind: Kind) -> dict[Stream, Law]:
    """Return the laws of what a fault of a kind brings, by stream."""
    laws: dict[Stream, Law | None] = {
        Stream.NODE: UNIFORM,
        Stream.LIFETIME: UNIFORM if kind.comes_back else None,
    }
    if isinstance(kind.effect, Slow):
        laws[Stream.LASTS] = kind.effect.lasts
    elif interrupt := kind.interrupt:
        laws |= {Stream.REPAIR: interrupt.repair, Stream.AUTOMATIC: interrupt.automatic}
        laws[Stream.LASTS] = interrupt.restart
    return {stream: law for stream, law in laws.items() if law is not None}


def _key(kind: str, pool: str) -> int:
    digest = blake2b(f"{kind}\0{pool}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class Trace:
    """The samples of runs `first_run` to `first_run + n_runs - 1` of one world.

    Parameters
    ----------
    world : World
        What faults and stops arrive at.
    seed : int
        Root of all random numbers.
    first_run, n_runs : int
        Which runs; the samples of a run do not depend on which others are asked for.
    """

    def __init__(self, world: World, seed: int, first_run: int, n_runs: int) -> None:
        self.world, self.seed = world, seed
        self.blocks = range(first_run // BLOCK, -(-(first_run + n_runs) // BLOCK))
        self.columns = slice(first_run % BLOCK, first_run % BLOCK + n_runs)
        self.n_runs = n_runs
        self._streams: dict[tuple[Stream, int, More], Column] = {}
        self._found: dict[int, tuple[float, Arrivals]] = {}
        self._pages: dict[tuple[str, str], Pages] = {}

    def arrivals(self, pool: int, until_s: float) -> Arrivals:
        """Return the arrivals on a pool up to `until_s` [s], and maybe some later ones.

        Those of a call with a larger `until_s` begin with the same arrivals.
        """
        known = self._found.get(pool)
        if known is None or known[0] < until_s:
            known = self._found[pool] = (until_s, self._arrivals(self.world.pools[pool], until_s))
        return known[1]

    def _arrivals(self, place: Pool, until_s: float) -> Arrivals:
        parts = [part for kind in place.kinds for part in self._faults(kind, place, until_s)]
        parts += [self._stops(stop, place, until_s) for stop in place.stops]
        if not parts:
            return no_arrivals(self.n_runs)
        lives = (kind.lifetime for kind in place.kinds)
        may_tie = any(life is not None and life.law.name in TIED for life in lives)
        return parts[0] if len(parts) == 1 and not may_tie else merge(parts)

    def later(
        self, pool: Pool, kind: Kind, ordinal: IntArray, chain: IntArray, run: IntArray
    ) -> FaultSamples:
        """Return the samples of faults that come back, in the shape of what asks for it.

        Parameters
        ----------
        pool, kind : Pool, Kind
            Which faults.
        ordinal : ndarray of int
            1 for the first that comes back in a chain, 2 for the one after.
        chain, run : ndarray of int, shape of `ordinal`
            Which chain of which run, the latter counted from the first of these runs.
        """
        key = (kind.name, pool.name)
        if key not in self._pages:
            self._pages[key] = Pages(self.seed, self.blocks, _key(*key), _laws(kind))
        values = self._pages[key].read(ordinal, chain, run + self.columns.start)
        factor = self._factor(kind, pool)
        if isinstance(factor, np.ndarray):
            factor = factor[run]
        uniform = values.pop(Stream.NODE)
        laws = _laws(kind)
        drawn = {stream: shaped(laws[stream], found) for stream, found in values.items()}
        return _samples(kind, uniform, drawn, factor)

    def renewed(
        self, pool: Pool, kind: Kind, node: int, generation: int, n_rows: int
    ) -> tuple[FloatArray, FaultSamples]:
        """Return the samples of a node that replaced another, where it faults at times of its own.

        Since it came: the times [s] of `n_rows` faults if nodes are unlike, or else its first
        lifetime in row 0. Its generation is 1 for the first that replaced one.
        """
        who = (generation, node)
        gaps = self._column(Stream.GAP, kind.name, pool.name, UNIT_GAP, n_rows, who)
        factor = self._factor(kind, pool)
        if kind.lemons is not None:
            rate = kind.rate_per_node_s * factor
            since_s = lemon_times_s(gaps, kind.lemons.shape, rate, 1)
        else:
            assert kind.lifetime is not None
            since_s = first_lifetime_s(replace(kind.lifetime, age_s=0.0), gaps) / factor
        uniform = self._column(Stream.NODE, kind.name, pool.name, UNIFORM, n_rows, who)
        return since_s, self._samples(kind, pool, uniform, who)

    def replaced_s(self, pool: Pool, node: int, generation: int) -> FloatArray:
        """Return how long it takes to replace a node by that of a generation, (n_runs,). [s]"""
        assert pool.retire is not None
        law, who = pool.retire.replaced_in, (generation, node)
        return np.asarray(self._column(Stream.REPLACED, "", pool.name, law, 1, who)[0])

    def _column(
        self, stream: Stream, kind: str, pool: str, law: Law, n_rows: int, more: More = ()
    ) -> FloatArray:
        key = (stream, _key(kind, pool), more)
        if key not in self._streams:
            self._streams[key] = Column(self.seed, self.blocks, stream, key[1], law, more)
        return self._streams[key].first(n_rows)[:, self.columns]

    def _faults(self, kind: Kind, pool: Pool, until_s: float) -> list[Arrivals]:
        if kind.log is not None:
            return [self._replayed(kind, pool, until_s)]
        n_nodes = pool.n_nodes + pool.n_spare_nodes
        if not kind.rate_per_node_s:
            return []
        expected = kind.rate_per_node_s * kind.factor.high * n_nodes * until_s
        unlike = expected * kind.lemons.cv**2 / n_nodes if kind.lemons else 0.0
        if kind.lifetime is not None:
            expected = n_nodes * first_share(kind.lifetime, until_s * kind.factor.high)
        n_rows = int(expected + 4 * math.sqrt(expected * (1 + unlike))) + 4
        while True:
            time_s = self._times(kind, pool, n_rows)
            n_rows = len(time_s)
            is_all = kind.lifetime is not None and n_rows == n_nodes
            if is_all or time_s[-1].min(initial=math.inf) > until_s:
                break
            n_rows += n_rows // 8 + 8
        node, left = self._nodes(kind, pool, n_rows)
        samples = self._samples(kind, pool, left)
        chain = None
        if samples.lifetime_s is not None:
            chain = np.broadcast_to(np.arange(n_rows, dtype=np.int32)[:, None], node.shape)
        arrivals = Arrivals(
            time_s,
            np.broadcast_to(np.int64(kind.index), time_s.shape),
            node,
            samples.takes,
            samples.restart_s,
            samples.repair_s,
            samples.level,
            samples.automatic_s,
            samples.lifetime_s,
            chain,
            found_s=self._founds(kind, pool, n_rows),
            lasts_s=samples.lasts_s,
        )
        if samples.n_nodes is None:
            return [arrivals]
        return with_members(arrivals, samples.n_nodes, n_nodes, is_of_group=kind.is_of_group)

    def _times(self, kind: Kind, pool: Pool, n_rows: int) -> FloatArray:
        """Return when the faults of a kind come, or, if it has a memory, each node's first. [s]"""
        n_nodes = pool.n_nodes + pool.n_spare_nodes
        n_rows = n_rows if kind.lifetime is None else min(n_rows, n_nodes)
        gaps = self._column(Stream.GAP, kind.name, pool.name, UNIT_GAP, n_rows)
        factor = self._factor(kind, pool)
        if kind.lemons is not None:
            rate = kind.rate_per_node_s * factor
            return lemon_times_s(gaps, kind.lemons.shape, rate, n_nodes)
        if kind.lifetime is None:
            time_s = gaps / (kind.rate_per_node_s * n_nodes * factor)
        else:  # the hazard at which the next of the nodes left fails
            time_s = gaps / np.arange(n_nodes, n_nodes - n_rows, -1)[:, None]
        for before, after in itertools.pairwise(time_s):  # np.cumsum down columns is slow
            after += before
        return time_s if kind.lifetime is None else first_lifetime_s(kind.lifetime, time_s) / factor

    def _factor(self, kind: Kind, pool: Pool) -> FloatArray | float:
        """Return how many times its rate a kind has here: a number, or one for each run.

        One quantile a run and chip, shared by kinds and pools.
        """
        if kind.factor.is_known:
            return kind.factor.low
        return kind.factor.at(self.quantile(Stream.FACTOR, pool.chip))

    def quantile(self, of: Stream, chip: str) -> FloatArray:
        """Return where in its law an uncertain input of a chip is in each run, shape (n_runs,).

        Whoever has the chip has it in common, in every case: that is what is not known of the chip.
        """
        return np.asarray(self._column(of, chip, "", UNIFORM, 1)[0])

    def quantiles(self) -> dict[str, FloatArray]:
        """Return the quantiles of all inputs that are uncertain in this world, by name."""
        found = dict[str, FloatArray]()
        for p, pool in enumerate(self.world.pools):
            factors = (job.step_factor[p] for job in self.world.jobs.kinds if job.step_factor)
            if any(not factor.is_known for factor in factors):
                found[f"{STEP_TIME}{pool.chip}"] = self.quantile(Stream.STEP, pool.chip)
            if any(not kind.factor.is_known for kind in pool.kinds):
                found[f"{FAULT_RATE}{pool.chip}"] = self.quantile(Stream.FACTOR, pool.chip)
        return found

    def _nodes(self, kind: Kind, pool: Pool, n_rows: int) -> tuple[NodeArray, FloatArray]:
        """Return which node has the fault, and a uniform number for what goes to repair.

        One uniform number times the number of nodes: its integer part is the node, and what is
        left is uniform again.
        """
        uniform = self._column(Stream.NODE, kind.name, pool.name, UNIFORM, n_rows)
        n_nodes = pool.n_nodes + pool.n_spare_nodes
        if kind.lifetime is not None:  # each node but once
            left = np.arange(n_nodes, n_nodes - n_rows, -1)[:, None]
            scaled = uniform * left
            chosen = scaled.astype(np.int32)
            return each_once(chosen, n_nodes), scaled - chosen
        if kind.lemons is not None:
            return lemon_nodes(uniform, kind.lemons.shape, n_nodes)
        scaled = uniform * n_nodes
        node = scaled.astype(np.int32)
        scaled -= node
        return node, scaled

    def _samples(
        self, kind: Kind, pool: Pool, uniform: FloatArray, more: More = ()
    ) -> FaultSamples:
        """Return what arrivals bring, from a uniform number each, and numbers of their own."""
        drawn: dict[Stream, FloatArray] = {
            stream: self._column(stream, kind.name, pool.name, law, len(uniform), more)
            for stream, law in _laws(kind).items()
            if stream != Stream.NODE
        }
        return _samples(kind, uniform, drawn, self._factor(kind, pool))

    def _founds(self, kind: Kind, pool: Pool, n_rows: int) -> FloatArray | None:
        if not isinstance(kind.effect, Corrupt):
            return None
        return self._column(Stream.FOUND, kind.name, pool.name, kind.effect.found, n_rows)

    def _replayed(self, kind: Kind, pool: Pool, until_s: float) -> Arrivals:
        log = kind.log
        assert log is not None
        n = int(np.searchsorted(log.start_s, until_s, side="right"))
        shape = (n, self.n_runs)
        logged = np.broadcast_to(log.repair_s[:n, None], shape)
        known = np.isfinite(logged)
        samples = self._samples(kind, pool, self._nodes(kind, pool, n)[1])
        return Arrivals(
            np.broadcast_to(log.start_s[:n, None], shape),
            np.broadcast_to(np.int64(kind.index), shape),
            np.broadcast_to(log.node[:n, None].astype(np.int32), shape),
            known | samples.takes,
            samples.restart_s,
            np.where(known, logged, samples.repair_s),
            np.where(known, np.int8(1), samples.level),
            found_s=self._founds(kind, pool, n),
        )

    def _stops(self, stop: Stop, pool: Pool, until_s: float) -> Arrivals:
        """Return planned stops: of all jobs, or one for each group of nodes, at its first."""
        times_s = stop.times_s(until_s)
        n = len(times_s)
        shape = (n, self.n_runs)
        node = np.full(shape, NO_NODE, dtype=np.int32)
        effect, restart_s = stop.effect, np.zeros(shape)
        if effect.restart is None:
            lasts_s = self._column(Stream.LASTS, stop.name, pool.name, effect.lasts, n)
        else:
            node[:] = stop.firsts(n)[:, None]
            restart_s = self._column(Stream.LASTS, stop.name, pool.name, effect.restart, n)
            lasts_s = self._column(Stream.REPAIR, stop.name, pool.name, effect.lasts, n)
        return Arrivals(
            np.broadcast_to(times_s[:, None], shape),
            np.broadcast_to(np.int64(stop.index), shape),
            node,
            np.full(shape, effect.n_nodes > 0),
            restart_s,
            np.zeros(shape),
            np.zeros(shape, dtype=np.int8),
            lasts_s=lasts_s,
        )


def step_factors(world: World, trace: Trace) -> FloatArray:
    """Return how many times its nominal time a step of each job takes, by run and pool.

    Shape (n_runs, n_jobs, n_pools); 1 where it is known.
    """
    found = np.ones((trace.n_runs, len(world.jobs), len(world.pools)))
    for k, job in enumerate(world.jobs.kinds):
        for p, pool in enumerate(world.pools):
            if job.step_factor and not (factor := job.step_factor[p]).is_known:
                alike = world.jobs.kind == k
                found[:, alike, p] = factor.at(trace.quantile(Stream.STEP, pool.chip))[:, None]
    return found


def _samples(
    kind: Kind, uniform: FloatArray, drawn: dict[Stream, FloatArray], factor: FloatArray | float
) -> FaultSamples:
    """Return what arrivals bring, from a uniform number each and draws of their streams."""
    takes, level, n_nodes, left = outcomes_of(kind, uniform)
    repair_s = drawn.get(Stream.REPAIR)
    if repair_s is None:
        repair_s = np.zeros(uniform.shape)
    automatic_s = drawn.get(Stream.AUTOMATIC)
    if automatic_s is not None:
        assert kind.interrupt is not None
        repair_s = np.where(left < kind.interrupt.mends_frac, 0.0, repair_s)
    lifetime_s = None
    if kind.comes_back:
        lifetime_s = next_lifetime_s(kind, drawn[Stream.LIFETIME], factor)
    restart_s, lasts_s = drawn.get(Stream.LASTS, np.zeros(uniform.shape)), None
    if isinstance(kind.effect, Slow):
        restart_s, lasts_s = np.zeros(uniform.shape), restart_s
    after = (repair_s, automatic_s, lifetime_s, lasts_s)
    return FaultSamples(takes, level, n_nodes, restart_s, *after)
