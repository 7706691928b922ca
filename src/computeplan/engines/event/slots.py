"""Nodes that are retired for their faults, and those that come in their place.

Every place of a pool has a number, and every node that stands there is a generation of it, the
first being 0. What is drawn beforehand of one node (its life, if its law has a memory, and its
faults, if nodes are unlike) is void once it is retired; that of the node that comes is read by
place and generation, so it hangs on nothing else. Faults without memory of equal nodes strike
whichever stands there.

No event queue: what is to happen later goes through a function that the engine gives.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from computeplan.engines.event.poolnodes import PoolNodes
from computeplan.engines.event.samples import Fault, RunSamples
from computeplan.trace import Trace
from computeplan.world.faults import Kind

__all__ = ["Calls", "Slots"]

AT_ONCE = 4  # faults read at a time; it changes no number


class Calls(NamedTuple):
    """What the engine does for `Slots`."""

    strike_at: Callable[[float, Callable[[Any], None]], None]  # [s], what then
    come_at: Callable[[float, int], None]  # [s], the node
    arrival: Callable[[int, Fault, float], None]  # kind, fault, now [s]


class Slots:
    """The places of one pool in one run."""

    def __init__(self, trace: Trace, run: int, nodes: PoolNodes, calls: Calls) -> None:
        self.trace, self.run, self.nodes, self.calls = trace, run, nodes, calls
        self.spec, self.retire = nodes.spec, nodes.spec.retire
        self.generation: defaultdict[int, int] = defaultdict(int)
        self.faults_s: defaultdict[int, deque[float]] = defaultdict(deque)
        self.samples: dict[tuple[int, int], tuple[list[float], RunSamples]] = {}
        self.n_read: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.came_s: dict[int, float] = {}

    def is_void(self, node: int, kind: Kind, fault: Fault) -> bool:
        """Return whether a fault is of a node that is gone."""
        is_its_own = kind.lifetime is not None or kind.lemons is not None
        return is_its_own and fault.generation != self.generation[node]

    def if_it_stands(self, node: int, then: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return what to do later with a node, unless it is gone by then."""
        generation = self.generation[node]

        def do(event: Any) -> None:
            if self.generation[node] == generation:
                then(event)

        return do

    def retires(self, node: int, now_s: float) -> bool:
        """Note that a node was taken; return whether it was once too often, and is replaced."""
        rule = self.retire
        if rule is None or (rule.most is not None and self.nodes.n_retired >= rule.most):
            return False
        faults_s = self.faults_s[node]
        faults_s.append(now_s)
        if len(faults_s) > rule.after:
            faults_s.popleft()
        if len(faults_s) < rule.after or now_s - faults_s[0] > rule.within:
            return False
        self.nodes.n_retired += 1
        self.generation[node] += 1
        del self.faults_s[node]
        self.nodes.renewals.pop(node, None)
        wait_s = self.trace.replaced_s(self.spec, node, self.generation[node])[self.run]
        self.calls.come_at(now_s + float(wait_s), node)
        return True

    def come(self, node: int, now_s: float) -> None:
        """Let a new node live: what strikes it and no other is awaited from now on."""
        self.came_s[node] = now_s
        for kind in self.spec.kinds:
            key = (kind.index, node)
            self.samples.pop(key, None)
            self.n_read.pop(key, None)
            if not kind.rate_per_node_s:
                continue
            if kind.lemons is not None:
                self._await(kind, node, 0)
            elif kind.lifetime is not None:
                first_s = now_s + self._read(kind, node, 0)[0][0]
                self.strike_again(kind, node, first_s)

    def strike_again(self, kind: Kind, node: int, at_s: float) -> None:
        """Strike a node that came later by the next of its faults."""
        self.calls.strike_at(at_s, self.if_it_stands(node, partial(self._strike, kind, node)))

    def _await(self, kind: Kind, node: int, nth: int) -> None:
        """Await the fault of a node of unlike ones that is `nth` by its own rate."""
        at_s = self.came_s[node] + self._read(kind, node, nth)[0][nth]
        then = partial(self._strike_and_await, kind, node, nth)
        self.calls.strike_at(at_s, self.if_it_stands(node, then))

    def _strike_and_await(self, kind: Kind, node: int, nth: int, event: Any) -> None:
        self._await(kind, node, nth + 1)  # void if this very fault retires it
        self._strike(kind, node, event)

    def _strike(self, kind: Kind, node: int, event: Any) -> None:
        key = (kind.index, node)
        n = self.n_read[key]
        self.n_read[key] = n + 1
        fault = self._read(kind, node, n)[1].fault(n, 1)
        fault = fault._replace(nodes=(node,), generation=self.generation[node])
        self.calls.arrival(kind.index, fault, event.time_s)

    def _read(self, kind: Kind, node: int, n: int) -> tuple[list[float], RunSamples]:
        """Return the luck of a node that came later, at least up to its fault `n`."""
        key = (kind.index, node)
        if key not in self.samples or len(self.samples[key][0]) <= n:
            found = self.trace.renewed(self.spec, kind, node, self.generation[node], n + AT_ONCE)
            self.samples[key] = (found[0][:, self.run].tolist(), RunSamples(found[1], self.run))
        return self.samples[key]
