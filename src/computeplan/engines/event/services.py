"""Services in one run: nodes that they take and give back, as the hour and their priority say.

A service holds nodes like a job, under a number of its own (`PoolNodes.where`), and has no state: a
node that goes to repair is replaced by any other. Whatever changes, first nodes are given back that
the hour does not need. Then every service has its least, the highest priority first, and after that
what else it needs: from free nodes; then from what has a lower priority (for its least from
anything), the lowest first: of services what they hold beyond their least; then of jobs, in the
order of ``giving_way.py``: elastic ones save and go on with their least, others save, give back all
their nodes and queue again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.event.books import WEIGHTS, Books
from computeplan.engines.event.calendar import Calendar, Rank, Then
from computeplan.engines.event.giving_way import GivingWay, Turn
from computeplan.engines.event.pool import SERVICE, PoolRun
from computeplan.ledger import FIRST_SERVICE, TRAIN, Span
from computeplan.scheduling.services import nodes_on_pools
from computeplan.scheduling.view import Running
from computeplan.world.services import Service

__all__ = ["Services"]


@dataclass(slots=True)
class _Held:
    """One service in one run."""

    number: int
    """Under which it holds nodes."""
    spec: Service
    pools: list[PoolRun]
    lacking: int = 0
    """Chips, since the last change."""
    lacked_chip_s: float = 0.0
    coming: int = 0
    """Chips that jobs will give back for it."""

    @property
    def priority(self) -> int:
        """Of what it needs beyond the least."""
        return self.spec.demand.priority

    def n_chips(self) -> int:
        """Return the chips that it holds."""
        return sum(self.on(pool) * pool.spec.chips_per_node for pool in self.pools)

    def lacks(self, wanted: int) -> int:
        """Return the chips that it lacks beside those that come."""
        return wanted - self.n_chips() - self.coming

    def on(self, pool: PoolRun) -> int:
        """Return the nodes of a pool that it holds."""
        return len(pool.nodes.held[self.number])

    def to_spare(self, pool: PoolRun, wanted: int) -> int:
        """Return the nodes of a pool without which it has as many chips as wanted."""
        return min(self.on(pool), max(0, self.n_chips() - wanted) // pool.spec.chips_per_node)

    def take_free(self, wanted: int, now_s: float) -> None:
        """Hold free nodes until it has as many chips as wanted, as far as there are any."""
        per_node = [pool.spec.chips_per_node for pool in self.pools]
        room = [pool.nodes.own_room for pool in self.pools]
        nodes, _ = nodes_on_pools(max(0, wanted - self.n_chips()), room, per_node)
        for pool, n in zip(self.pools, nodes, strict=True):
            pool.nodes.serve(self.number, n, now_s)


class Services:
    """All services of a run.

    It is told how jobs give way, which also asks for `settle` once all else is done, and what
    raises if the run seems never to end: hours go on changing without end.
    """

    def __init__(
        self,
        services: Sequence[Service],
        pools: Sequence[PoolRun],
        jobs: GivingWay,
        calendar: Calendar,
        check_end: Then,
        spans: list[Span] | None,
    ) -> None:
        self.view, self.calendar = jobs.view, calendar
        self.jobs, self.ask, self.check_end = jobs, jobs.ask, check_end
        self.services = [
            _Held(SERVICE - i, spec, [pools[p] for p in spec.pools])
            for i, spec in enumerate(services)
        ]
        self.n_pools, self.since_s = len(pools), 0.0
        self.coming = [0] * len(pools)  # nodes of jobs that leave, and that no service awaits
        self.leaving: set[int] = set()
        for i, one in enumerate(self.services):
            for pool in one.pools:
                owner = (FIRST_SERVICE - i, pool.index)
                pool.nodes.served[one.number] = Books(owner, pool.nodes.books.signals, spans)
        if self.services:
            calendar.at(0.0, Rank.ARRIVAL, self._change)

    def _change(self, now_s: float) -> None:
        """Ask to be settled as the hour changes, and await the next change."""
        self.ask(now_s)
        self.check_end(now_s)
        next_s = min(one.spec.demand.next_change_s(now_s) for one in self.services)
        if next_s < math.inf:
            self.calendar.at(next_s, Rank.ARRIVAL, self._change)

    def is_unsettled(self, now_s: float) -> bool:
        """Return whether some service lacks chips, or holds nodes that it does not need."""
        for one in self.services:
            need = one.spec.demand.at(now_s)
            is_short = one.lacking > 0 or one.n_chips() < need
            if is_short or any(one.to_spare(pool, need) for pool in one.pools):
                return True
        return False

    def settle(self, now_s: float) -> None:
        """Let services give back and take nodes."""
        self.close(now_s)
        freed = [pool for one in self.services for pool in self._give_back(one, now_s)]
        self._note_leaving()
        by_priority = sorted(self.services, key=lambda one: -one.priority)
        for one in by_priority:
            self._take(one, one.spec.demand.least_chips, now_s, is_least=True)
        for one in by_priority:
            self._take(one, one.spec.demand.at(now_s), now_s, is_least=False)
        self.view.served.clear()
        for one in self.services:
            one.lacking = max(0, one.spec.demand.at(now_s) - one.n_chips())
            tenant = self.view.tenants.names.index(one.spec.tenant)
            held = self.view.served.setdefault(tenant, [0] * self.n_pools)
            for pool in one.pools:
                held[pool.index] += one.on(pool)
        for pool in freed:
            handed_out = [near.hand_out(now_s) for near in pool.near]
            if any(handed_out):
                pool.await_ends()

    def close(self, now_s: float) -> None:
        """Count what was lacking up to now."""
        for one in self.services:
            one.lacked_chip_s += one.lacking * (now_s - self.since_s)
        self.since_s = now_s

    def books(self, n_weights: int) -> tuple[FloatArray, FloatArray]:
        """Return chip-seconds by service, pool and weight, and those that each lacked."""
        served = np.zeros((len(self.services), self.n_pools, n_weights))
        for i, one in enumerate(self.services):
            for pool in one.pools:
                found = pool.nodes.served[one.number]
                served[i, pool.index, 0] = found.chip_s[TRAIN]
                weighted = found.weighted[TRAIN]  # services are never capped
                served[i, pool.index, len(WEIGHTS) : len(WEIGHTS) + len(weighted)] = weighted
        return served, np.array([one.lacked_chip_s for one in self.services])

    def _give_back(self, one: _Held, now_s: float) -> Iterator[PoolRun]:
        """Give back what the hour does not need, of the last pools first; yield where."""
        need = one.spec.demand.at(now_s)
        for pool in reversed(one.pools):
            if n := one.to_spare(pool, need):
                pool.nodes.give_up(one.number, n, now_s)
                yield pool

    def _note_leaving(self) -> None:
        """Count the nodes of jobs that leave anyway."""
        self.leaving, self.coming = set(), [0] * self.n_pools
        for one in self.services:
            one.coming = 0
        for job, n_nodes in self.jobs.leaving().items():
            self._leaves(self.view.running[job], n_nodes)

    def _leaves(self, run: Running, n_left: int) -> None:
        """Note that a running job will hold fewer nodes, or none."""
        self.leaving.add(run.job)
        self.coming[run.pool] -= n_left
        for pool, n_nodes in run.parts:
            self.coming[pool] += n_nodes

    def _take(self, one: _Held, wanted: int, now_s: float, *, is_least: bool) -> None:
        """Let a service have chips: those that are free, those to come, and those of others."""
        one.take_free(wanted - one.coming, now_s)
        self._await(one, wanted)
        if one.lacks(wanted) <= 0:
            return
        for other in self._below(one, is_least=is_least):
            if isinstance(other, _Held):
                self._move(other, one, wanted, now_s)
            elif other.run.job not in self.leaving and other.run.job in self.view.running:
                self._take_from(other, now_s)
            one.take_free(wanted - one.coming, now_s)
            self._await(one, wanted)
            if one.lacks(wanted) <= 0:
                return

    def _await(self, one: _Held, wanted: int) -> None:
        """Let a service wait for nodes that jobs will give back, as far as it lacks them."""
        places = [pool.index for pool in one.pools]
        per_node = [pool.spec.chips_per_node for pool in one.pools]
        lacking = max(0, one.lacks(wanted))
        nodes, _ = nodes_on_pools(lacking, [self.coming[p] for p in places], per_node)
        for p, n, chips in zip(places, nodes, per_node, strict=True):
            self.coming[p] -= n
            one.coming += n * chips

    def _below(self, one: _Held, *, is_least: bool) -> list[_Held | Turn]:
        """Return those from whom a service may take nodes, in the order in which it does."""
        found: list[tuple[tuple[float, ...], _Held | Turn]] = [
            ((other.priority, 0, i), other)
            for i, other in enumerate(self.services)
            if other is not one
        ]
        turns = self.jobs.turns({pool.index for pool in one.pools}, self.leaving)
        found += [(turn.order, turn) for turn in turns]
        found.sort(key=lambda each: each[0])
        return [other for key, other in found if is_least or key[0] < one.priority]

    def _take_from(self, turn: Turn, now_s: float) -> None:
        """Let a job shrink to its least, or stop if it is its turn to leave."""
        run, n_left = turn.run, turn.n_least
        self.jobs.take(run, n_left, now_s)
        if run.job in (self.view.shrinking if n_left else self.view.running):  # it saves first
            self._leaves(run, n_left)

    def _move(self, giver: _Held, one: _Held, wanted: int, now_s: float) -> None:
        """Let a service have nodes that another holds beyond its least."""
        for pool in one.pools:
            needed = -(-max(0, one.lacks(wanted)) // pool.spec.chips_per_node)
            if n := min(needed, giver.to_spare(pool, giver.spec.demand.least_chips)):
                pool.nodes.give_up(giver.number, n, now_s)
                pool.nodes.serve(one.number, n, now_s)
