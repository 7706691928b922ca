"""The samples of one run, as the event engine reads them: lists, and one fault at a time."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from computeplan.trace import Trace
from computeplan.trace.arrivals import Arrivals, FaultSamples
from computeplan.world.faults import Kind
from computeplan.world.pools import Pool

__all__ = ["Fault", "Generations", "RunSamples", "is_over"]

AT_ONCE = 4  # faults read at a time; it changes no number


class Fault(NamedTuple):
    """One fault, of one run."""

    nodes: tuple[int, ...]
    takes: bool
    restart_s: float
    automatic_s: float
    repairs_s: tuple[float, ...]  # of each node
    lifetime_s: float
    chain: int
    level: int
    found_s: float
    lasts_s: float
    nth: int = 0
    generation: int = 0  # of its node; 0 also where any generation may fault


class RunSamples:
    """The samples of one run, row by row; a column that the pool does not need is empty."""

    def __init__(self, found: Arrivals | FaultSamples | None, run: int) -> None:
        def column(name: str) -> list[Any]:
            values = getattr(found, name, None)
            return [] if values is None else values[:, run].tolist()

        def missing(name: str, default: float) -> Iterable[Any]:
            return column(name) or itertools.repeat(default)

        self.time_s, self.kind, self.node = column("time_s"), column("kind"), column("node")
        self.takes, self.restart_s = column("takes"), column("restart_s")
        self.lasts_s, self.is_member = column("lasts_s"), column("is_member")
        self.repair_s = column("repair_s")
        # In the order of `Fault`, whose objects are made only of what is played.
        self.rows = list(
            zip(
                zip(self.node, strict=False) if self.node else itertools.repeat(()),
                self.takes,
                self.restart_s,
                missing("automatic_s", 0.0),
                zip(self.repair_s, strict=False),
                missing("lifetime_s", math.inf),
                missing("chain", -1),
                column("level"),
                missing("found_s", 0.0),
                missing("lasts_s", 0.0),
                strict=False,
            )
        )

    def fault(self, i: int, n: int) -> Fault:
        """Return the fault in row `i`, which takes up `n` rows."""
        fault = Fault(*self.rows[i])
        if n == 1:
            return fault
        nodes, repairs_s = tuple(self.node[i : i + n]), tuple(self.repair_s[i : i + n])
        return fault._replace(nodes=nodes, repairs_s=repairs_s)


def is_over(pool: Pool, n_played: int) -> bool:
    """Return whether a pool's fault arrivals end, and are played to the end."""
    n_times = [None if kind.log is None else len(kind.log.start_s) for kind in pool.kinds]
    known = [n for n in (*n_times, *(stop.n_times for stop in pool.stops)) if n is not None]
    return len(known) == len(pool.kinds) + len(pool.stops) and n_played >= sum(known)


class Generations:
    """The places of one pool in one run, and the nodes that stand there.

    Every node that stands in a place is a generation of it, the first being 0. What is drawn
    beforehand of one node (its lifetime, if its law has a memory, and its faults, if nodes are
    unlike) is void once it is retired; that of the node that comes is read by place and generation,
    so it depends on nothing else. Faults without memory of equal nodes hit whichever stands there.
    """

    def __init__(self, trace: Trace, run: int, spec: Pool) -> None:
        self.trace, self.run, self.spec = trace, run, spec
        self.generation: defaultdict[int, int] = defaultdict(int)
        self.faults_s: defaultdict[int, deque[float]] = defaultdict(deque)
        self.n_retired = 0
        self.came_s: dict[int, float] = {}
        self.own_s: dict[tuple[int, int], list[float]] = {}
        self.own: dict[tuple[int, int], RunSamples] = {}
        self.n_read: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.chains: dict[tuple[int, int], RunSamples] = {}
        self.n_chains = 0

    def is_void(self, node: int, kind: Kind, fault: Fault) -> bool:
        """Return whether a fault is of a node that is gone."""
        is_its_own = kind.lifetime is not None or kind.lemons is not None
        return is_its_own and fault.generation != self.generation[node]

    def if_it_stands(self, node: int, then: Callable[[float], None]) -> Callable[[float], None]:
        """Return what to do later with a node, unless it is gone by then."""
        generation = self.generation[node]

        def do(now_s: float) -> None:
            if self.generation[node] == generation:
                then(now_s)

        return do

    def retire(self, node: int, now_s: float) -> float | None:
        """Note that a node was sent to repair.

        Return how long it takes to replace it, if that was once too often; else None. [s]
        """
        rule = self.spec.retire
        if rule is None or (rule.most is not None and self.n_retired >= rule.most):
            return None
        faults_s = self.faults_s[node]
        faults_s.append(now_s)
        if len(faults_s) > rule.after:
            faults_s.popleft()
        if len(faults_s) < rule.after or now_s - faults_s[0] > rule.within:
            return None
        self.n_retired += 1
        self.generation[node] += 1
        del self.faults_s[node]
        return float(self.trace.replaced_s(self.spec, node, self.generation[node])[self.run])

    def come(self, node: int, now_s: float) -> None:
        """Note that a new node stands in a place."""
        self.came_s[node] = now_s
        for kind in self.spec.kinds:
            self.own.pop((kind.index, node), None)
            self.n_read.pop((kind.index, node), None)

    def read(self, kind: Kind, node: int, chain: int, nth: int) -> Fault:
        """Return the fault of a node that is `nth` of its chain; 0 is the next of one that came."""
        key, read, row = (kind.index, nth), self.chains, chain
        if not nth:
            key, read = (kind.index, node), self.own
            row = self.n_read[key]
            self.n_read[key] = row + 1
            self.since_s(kind, node, row)
        elif key not in read or len(read[key].takes) <= chain:
            chains = np.arange(self.n_chains)[:, None]
            which = (np.full_like(chains, nth), chains, np.full_like(chains, self.run))
            read[key] = RunSamples(self.trace.later(self.spec, kind, *which), 0)
        fault = read[key].fault(row, 1)
        fault = fault._replace(nodes=(node,), generation=self.generation[node])
        return fault._replace(chain=chain, nth=nth) if nth else fault

    def since_s(self, kind: Kind, node: int, nth: int) -> float:
        """Return how long after it came a node has its fault number `nth`. [s]"""
        key = (kind.index, node)
        if key not in self.own or len(self.own_s[key]) <= nth:
            found = self.trace.renewed(self.spec, kind, node, self.generation[node], nth + AT_ONCE)
            self.own_s[key] = found[0][:, self.run].tolist()
            self.own[key] = RunSamples(found[1], self.run)
        return self.own_s[key][nth]
