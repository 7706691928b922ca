"""Nodes that are retired for their faults, those that come in their place, and what was drawn."""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np

from computeplan.engines.event.calendar import Then
from computeplan.trace import Trace
from computeplan.trace.one_run import Fault, RunSamples
from computeplan.world.faults import Kind
from computeplan.world.pools import Pool

__all__ = ["Generations"]

AT_ONCE = 4  # faults read at a time; it changes no number


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

    def if_it_stands(self, node: int, then: Then) -> Then:
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
        assert rule is not None
        if rule.most is not None and self.n_retired >= rule.most:
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
