"""The instances of a service on one pool, and what its nodes did: counted after the run.

An instance is one node or several, and serves only as a whole: from when it has all its nodes and
has started. A node that is lost takes its instance along; the others of it begin again with the
next node. What is taken at time 0 serves at once: a run begins with its services running. While a
run is played it is noted only how many nodes are held and how many instances serve, by the time of
the change; nothing happens at a time because an instance is ready, but under a limit of power
(``served_power.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.ledger import SERVICE_STATES
from computeplan.scheduling.services import nodes_on_pools
from computeplan.world.services import Service

__all__ = ["Account", "Instances", "account", "missed_by_either"]

Changes = Counter[float]  # time -> how many more from then on


@dataclass(slots=True, eq=False)
class _Instance:
    """Nodes that serve together."""

    nodes: list[int]
    ready_s: float


class Instances:
    """The instances of one service on one pool: `size` nodes each, which take a time to start.

    `then`, if there is one, is told of each time at which other nodes are held, or are ready.
    """

    def __init__(self, size: int, start_s: float) -> None:
        self.size, self.start_s = size, start_s
        self.by_node: dict[int, _Instance] = {}
        self.loose: list[int] = []  # nodes of no whole instance
        self.held, self.ready = Changes(), Changes()  # nodes, instances
        self.lost = Changes()  # instances that served until a fault took a node
        self.n_serving, self.due = 0, Changes()  # nodes that serve, and more or fewer from a time
        self.then: Callable[[float], None] | None = None

    def take(self, node: int, now_s: float) -> None:
        """Note that the service holds one more node."""
        self.held[now_s] += 1
        self._tell(now_s)
        self._join(node, now_s)

    def leave(self, node: int, now_s: float, *, is_lost: bool = False) -> None:
        """Note that the service has given back a node, or lost it to a fault."""
        self.held[now_s] -= 1
        self._tell(now_s)
        if node in self.loose:
            self.loose.remove(node)
            return
        instance = self.by_node[node]
        self._end(instance, now_s, is_lost=is_lost)
        for one in instance.nodes:
            del self.by_node[one]
        for one in instance.nodes:
            if one != node:
                self._join(one, now_s)

    def begin_again(self, node: int, now_s: float) -> None:
        """Let the instance of a node start anew, if it has one."""
        if node in self.by_node:
            instance = self.by_node[node]
            self._end(instance, now_s, is_lost=True)
            instance.ready_s = now_s + self.start_s
            self.due[instance.ready_s] += self.size
            self._tell(now_s)
            self._tell(instance.ready_s)

    def n_ready(self, now_s: float) -> int:
        """Return the nodes of instances that serve; no time is before that of the last call."""
        for time_s in [time_s for time_s in self.due if time_s <= now_s]:
            self.n_serving += self.due.pop(time_s)
        return self.n_serving

    def last(self, n: int, now_s: float) -> list[int]:
        """Return the `n` nodes that are given back first, in order.

        Those of no whole instance, those of instances that start, and the highest.
        """
        whole = {instance.nodes[0]: instance for instance in self.by_node.values()}.values()
        order = sorted(whole, key=lambda one: (one.ready_s > now_s, max(one.nodes)), reverse=True)
        nodes = [*self.loose, *(node for instance in order for node in instance.nodes)]
        return sorted(nodes[:n])

    def ready_to(self, end_s: float) -> Changes:
        """Return the changes of the instances that serve, as if all ended at a time."""
        found = Changes(self.ready)
        for instance in {one.nodes[0]: one for one in self.by_node.values()}.values():
            self._note(instance, end_s, found)
        return found

    def _join(self, node: int, now_s: float) -> None:
        self.loose.append(node)
        if len(self.loose) == self.size:
            ready_s = now_s + self.start_s if now_s else 0.0
            instance = _Instance(self.loose, ready_s)
            self.by_node |= dict.fromkeys(self.loose, instance)
            self.due[ready_s] += self.size
            self.loose = []
            self._tell(ready_s)

    def _end(self, instance: _Instance, now_s: float, *, is_lost: bool) -> None:
        """Note that an instance serves no more, or will not."""
        self._note(instance, now_s, self.ready)
        self.lost[now_s] += is_lost and instance.ready_s < now_s
        self.due[instance.ready_s] -= self.size

    def _tell(self, time_s: float) -> None:
        if self.then is not None:
            self.then(time_s)

    @staticmethod
    def _note(instance: _Instance, end_s: float, changes: Changes) -> None:
        """Note when an instance served, which does so no more."""
        if instance.ready_s < end_s:
            changes[instance.ready_s] += 1
            changes[end_s] -= 1


class Account(NamedTuple):
    """What came of one service in one run."""

    chip_s: FloatArray
    """Chip-seconds by pool of the service and state, as `SERVICE_STATES`. [s]"""
    needed: float
    missed: float
    """What it needed by the hour, and what of it when less was ready. [units x s]"""
    times_s: FloatArray
    """From when to when nothing changed; shape (n, 2). [s]"""
    n_chips: FloatArray
    loaded: FloatArray
    """Chips held meanwhile on each of its pools, and those that would do its work if they gave all
    that they can: what is needed lies on all ready ones, in proportion; shape (n, n_pools)."""
    states: FloatArray
    """Chips held meanwhile by pool and state, as `SERVICE_STATES`; shape (n, n_pools, n_states)."""
    lacks: FloatArray
    """Units beyond what is ready meanwhile; shape (n,)."""
    n_again: float
    """Requests that an instance answered when a fault took it; they begin again on others."""


def account(
    spec: Service, on: Sequence[Instances], n_chips: Sequence[int], end_s: float
) -> Account:
    """Return what the nodes of a service did until the end of a run.

    Parameters
    ----------
    spec : Service
    on : sequence of Instances
        On each of its pools.
    n_chips : sequence of int
        Chips of a node of each.
    end_s : float
        Length of the run. [s]

    Returns
    -------
    Account
        At any moment what is needed lies on ready nodes of the first pools; what else is to be
        held but for draining on the next; the rest of what is ready drains.
    """
    chip_s, needed, missed = np.zeros((len(on), len(SERVICE_STATES))), 0.0, 0.0
    times_s, held_chips, loaded = list[tuple[float, float]](), list[float](), list[float]()
    in_states, beyond = list[float](), list[float]()
    n_again = share = 0.0
    at_once = (0.0,) * len(on) if spec.answers is None else spec.answers.at_once
    for from_s, to_s, n_held, n_ready, need, ahead in _stretches(spec, on, end_s):
        lasts_s = to_s - from_s
        for one, n in zip(on, at_once, strict=True):
            n_again += one.lost[from_s] * n * share  # of the load just before
        share = spec.load_frac(need, n_ready)
        times_s.append((from_s, to_s))
        held_chips += [held * n for held, n in zip(n_held, n_chips, strict=True)]
        loaded += [ready * n * share for ready, n in zip(n_ready, n_chips, strict=True)]
        serving, lacks = nodes_on_pools(need, n_ready, spec.gives, spec.group)
        kept, _ = nodes_on_pools(max(ahead, need), n_ready, spec.gives, spec.group)
        needed += lasts_s * need
        missed += lasts_s * lacks
        beyond.append(lacks)
        for i, (n, held, ready) in enumerate(zip(n_chips, n_held, n_ready, strict=True)):
            states = (serving[i], held - ready, ready - kept[i], kept[i] - serving[i])
            for state, nodes in enumerate(states):
                chip_s[i, state] += lasts_s * (nodes * n)
                in_states.append(nodes * n)
    shape = (len(times_s), len(on))
    return Account(
        chip_s,
        needed,
        missed,
        np.array(times_s).reshape(-1, 2),
        np.array(held_chips, dtype=np.float64).reshape(shape),
        np.array(loaded).reshape(shape),
        np.array(in_states, dtype=np.float64).reshape((*shape, len(SERVICE_STATES))),
        np.array(beyond, dtype=np.float64),
        n_again,
    )


def missed_by_either(one: Account, other: Account) -> float:
    """Return what requests missed that need two services: at any time the more. [units x s]"""
    edges_s = np.union1d(one.times_s, other.times_s)
    middle_s = (edges_s[1:] + edges_s[:-1]) / 2
    lacks = [
        each.lacks[np.searchsorted(each.times_s[:, 0], middle_s, side="right") - 1]
        for each in (one, other)
    ]
    return float(np.maximum(*lacks) @ np.diff(edges_s))


_Stretch = tuple[float, float, list[int], list[int], float, float]


def _stretches(spec: Service, on: Sequence[Instances], end_s: float) -> Iterator[_Stretch]:
    """Yield from when to when nothing changes, nodes held and ready by pool, need, need ahead."""
    if end_s <= 0:
        return
    steps = {step.time_s: step for step in spec.demand.steps(end_s)}
    held, ready = [one.held for one in on], [one.ready_to(end_s) for one in on]
    times_s = sorted({0.0, end_s}.union(steps, *held, *ready))
    n_held, n_ready, step = [0] * len(on), [0] * len(on), steps[0.0]
    for time_s, next_s in pairwise(times_s):
        step = steps.get(time_s, step)
        for i, one in enumerate(on):
            n_held[i] += held[i][time_s]
            n_ready[i] += ready[i][time_s] * one.size
        yield time_s, next_s, [*n_held], [*n_ready], step.needed, step.ahead
