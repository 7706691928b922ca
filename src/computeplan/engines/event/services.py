"""Services in one run: nodes that they take and give back, as the hour and their priority say.

A service holds nodes like a job, under a number of its own (`PoolNodes.where`), in instances of one
node or several; a node that goes to repair is replaced by any other. Whatever changes, first nodes
are given back that are not needed at the time (`Demand.at`). Then every service has its least, the
highest priority first, and after that what else it needs: from free nodes; then from what has a
lower priority (for its least from anything), the lowest first: of services what they hold beyond
their least; then of jobs, in the order of ``giving_way.py``: elastic ones save and go on with their
least, others save, give back all their nodes and queue again. What cannot make an instance whole is
not taken, nor kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.event.books import WEIGHTS, Books
from computeplan.engines.event.calendar import Calendar, Rank, Then
from computeplan.engines.event.giving_way import GivingWay, Turn
from computeplan.engines.event.instances import Account, Instances, account, missed_by_either
from computeplan.engines.event.pool import SERVICE, PoolRun
from computeplan.ledger import FIRST_SERVICE, SERVICE_STATES, TRAIN, Span
from computeplan.scheduling.services import ROUNDING, lacking, nodes_on_pools
from computeplan.scheduling.view import Running
from computeplan.world.services import Drawn, Service, nodes_at_most

__all__ = ["Services"]


@dataclass(slots=True)
class _Held:
    """One service in one run."""

    number: int
    """Under which it holds nodes."""
    spec: Service
    pools: list[PoolRun]
    lacking: float = 0
    """Units, since the last change."""
    lacked: float = 0.0
    """Units x seconds."""
    coming: list[int] = field(default_factory=list)
    """Nodes of each of its pools that jobs will give back for it."""

    @property
    def priority(self) -> int:
        """Of what it needs beyond the least."""
        return self.spec.demand.priority

    def units(self, *, with_coming: bool = False) -> float:
        """Return the units that its whole instances give, or will give."""
        found: float = 0
        for i, (each, size) in enumerate(zip(self.spec.gives, self.spec.group, strict=True)):
            n = self.on(self.pools[i]) + (self.coming[i] if with_coming else 0)
            found += (n - n % size) * each
        return found

    def lacks(self, wanted: float) -> float:
        """Return the units that it lacks beside those that come."""
        return lacking(wanted, self.units(with_coming=True))

    def on(self, pool: PoolRun) -> int:
        """Return the nodes of a pool that it holds."""
        return len(pool.nodes.held[self.number])

    def loose(self, i: int) -> int:
        """Return the nodes of its pool number `i` that make no whole instance, even with others."""
        return (self.on(self.pools[i]) + self.coming[i]) % self.spec.group[i]

    def to_spare(self, i: int, wanted: float) -> int:
        """Return the nodes of its pool number `i` without which it has what is wanted."""
        has, size = self.units(), self.spec.group[i]
        if lacking(wanted, has):
            return 0
        n_nodes, left = self.on(self.pools[i]), has - wanted + ROUNDING * wanted
        loose = n_nodes % size
        return min(n_nodes - loose, int(left / (self.spec.gives[i] * size)) * size) + loose

    def lay(self, wanted: float, room: Sequence[int]) -> tuple[list[int], float]:
        """Return how many of the nodes there is room for it lacks, by pool, and units beyond."""
        loose = [self.loose(i) for i in range(len(room))]
        with_loose = [n + more for n, more in zip(room, loose, strict=True)]
        lacks = self.lacks(wanted)
        nodes, beyond = nodes_on_pools(lacks, with_loose, self.spec.gives, self.spec.group)
        return [max(0, n - has) for n, has in zip(nodes, loose, strict=True)], beyond

    def take_free(self, wanted: float, now_s: float) -> None:
        """Hold free nodes until it has as much as wanted, as far as there are any."""
        nodes, _ = self.lay(wanted, [pool.nodes.own_room for pool in self.pools])
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
        self.view, self.calendar, self.spans = jobs.view, calendar, spans
        self.told, self.accounts = list[FloatArray](), list[Account]()
        self.jobs, self.ask, self.check_end = jobs, jobs.ask, check_end
        self.services = [
            _Held(SERVICE - i, spec, [pools[p] for p in spec.pools], coming=[0] * len(spec.pools))
            for i, spec in enumerate(services)
        ]
        self.n_pools, self.since_s = len(pools), 0.0
        self.coming = [0] * len(pools)  # nodes of jobs that leave, and that no service awaits
        self.leaving: set[int] = set()
        for i, one in enumerate(self.services):
            for pool, size in zip(one.pools, one.spec.group, strict=True):
                instances = Instances(size, one.spec.demand.start_s)
                pool.nodes.instances[one.number] = instances
                owner = (FIRST_SERVICE - i, pool.index)
                pool.nodes.served[one.number] = Books(owner, pool.nodes.books.signals, spans)
        asked = nodes_at_most(services, [pool.spec.n_nodes for pool in pools]).sum(axis=0)
        for pool, n in zip(pools, asked.tolist(), strict=True):
            pool.nodes.n_asked = n
        if self.services:
            calendar.at(0.0, Rank.ARRIVAL, self._change)

    def _change(self, now_s: float) -> None:
        """Ask to be settled as what is needed or held changes, and await the next change."""
        self.ask(now_s)
        self.check_end(now_s)
        next_s = min(one.spec.demand.next_change_s(now_s) for one in self.services)
        if next_s < math.inf:
            self.calendar.at(next_s, Rank.ARRIVAL, self._change)

    def is_unsettled(self, now_s: float) -> bool:
        """Return whether some service lacks nodes, or holds some that it does not need."""
        for one in self.services:
            need = one.spec.demand.at(now_s)
            is_short = one.lacking > 0 or lacking(need, one.units()) > 0
            if is_short or any(one.to_spare(i, need) for i in range(len(one.pools))):
                return True
        return False

    def settle(self, now_s: float) -> None:
        """Let services give back and take nodes."""
        self.close(now_s)
        freed = [pool for one in self.services for pool in self._give_back(one, now_s)]
        self._note_leaving()
        by_priority = sorted(self.services, key=lambda one: -one.priority)
        for one in by_priority:
            self._take(one, one.spec.demand.least, now_s, is_least=True)
        for one in by_priority:
            self._take(one, one.spec.demand.at(now_s), now_s, is_least=False)
        freed += [pool for one in self.services for pool in self._give_parts(one, now_s)]
        self.view.served.clear()
        for one in self.services:
            one.lacking = lacking(one.spec.demand.needed(now_s), one.units())
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
            one.lacked += one.lacking * (now_s - self.since_s)
        self.since_s = now_s

    def books(self, n_weights: int) -> dict[str, FloatArray]:
        """Return what the ledger has of services, by its fields; the run is over."""
        n_services = len(self.services)
        served, loaded = np.zeros((2, n_services, self.n_pools, n_weights))
        by_state_chip_s = np.zeros((n_services, self.n_pools, len(SERVICE_STATES)))
        lacked_chip_s, needed, missed, again = np.zeros((4, n_services))
        lent_chip_s = np.zeros(self.n_pools)
        for i, one in enumerate(self.services):
            for pool in one.pools:
                lent_chip_s[pool.index] = pool.nodes.lent_node_s * pool.spec.chips_per_node
                found = pool.nodes.served[one.number]
                served[i, pool.index, 0] = found.chip_s[TRAIN]
                weighted = found.weighted[TRAIN]  # services are never capped
                served[i, pool.index, len(WEIGHTS) : len(WEIGHTS) + len(weighted)] = weighted
            spec, on = one.spec, [pool.nodes.instances[one.number] for pool in one.pools]
            n_chips = [pool.spec.chips_per_node for pool in one.pools]
            found_in = account(spec, on, n_chips, self.since_s)
            self.accounts.append(found_in)
            by_state_chip_s[i, list(spec.pools)] = found_in.chip_s
            needed[i], missed[i], again[i] = found_in.needed, found_in.missed, found_in.n_again
            if spec.prompts is not None:
                missed[i] = missed_by_either(self.accounts[spec.prompts], found_in)
            if self.spans is not None:
                self.told += _told(one, found_in, n_chips)
            for k, pool in enumerate(one.pools):
                loaded[i, pool.index] = _integrals(pool, found_in, k, n_weights)
                if self.spans is not None and (drawn := spec.drawn_on(pool.index)) is not None:
                    owner = (FIRST_SERVICE - i, pool.index)
                    self.spans[:] = _redrawn(self.spans, owner, pool, found_in, k, drawn)
            lacked_chip_s[i] = one.lacked * (n_chips[0] / spec.gives[0])
        return {
            "served": served,
            "loaded": loaded,
            "lacked_chip_s": lacked_chip_s,
            "by_state_chip_s": by_state_chip_s,
            "needed_unit_s": needed,
            "missed_unit_s": missed,
            "n_again": again,
            "lent_chip_s": lent_chip_s,
        }

    def serving(self) -> FloatArray | None:
        """Return `Ledger.serving`, once `books` were asked for."""
        if self.spans is None or not self.services:
            return None
        return np.concatenate([np.zeros((0, 4 + len(SERVICE_STATES))), *self.told])

    def _give_back(self, one: _Held, now_s: float) -> Iterator[PoolRun]:
        """Give back what is not needed, of the last pools first; yield where."""
        need = one.spec.demand.at(now_s)
        for i, pool in reversed(list(enumerate(one.pools))):
            if n := one.to_spare(i, need):
                pool.nodes.give_up(one.number, n, now_s)
                yield pool

    def _give_parts(self, one: _Held, now_s: float) -> Iterator[PoolRun]:
        """Give back nodes that make no whole instance, even with those that come; yield where."""
        for i, pool in enumerate(one.pools):
            if not one.coming[i] and (n := one.loose(i)):
                pool.nodes.give_up(one.number, n, now_s)
                yield pool

    def _note_leaving(self) -> None:
        """Count the nodes of jobs that leave anyway."""
        self.leaving, self.coming = set(), [0] * self.n_pools
        for one in self.services:
            one.coming = [0] * len(one.pools)
        for job, n_nodes in self.jobs.leaving().items():
            self._leaves(self.view.running[job], n_nodes)

    def _leaves(self, run: Running, n_left: int) -> None:
        """Note that a running job will hold fewer nodes, or none."""
        self.leaving.add(run.job)
        self.coming[run.pool] -= n_left
        for pool, n_nodes in run.parts:
            self.coming[pool] += n_nodes

    def _take(self, one: _Held, wanted: float, now_s: float, *, is_least: bool) -> None:
        """Let a service have chips: those that are free, those to come, and those of others."""
        if not one.lacks(wanted):
            return
        one.take_free(wanted, now_s)
        self._await(one, wanted, now_s)
        if not one.lacks(wanted):
            return
        wanted = self._within_reach(one, wanted, is_least=is_least)
        if not one.lacks(wanted):
            return
        for other in self._below(one, is_least=is_least):
            if isinstance(other, _Held):
                self._move(other, one, wanted, now_s)
            elif other.run.job not in self.leaving and other.run.job in self.view.running:
                self._take_from(other, now_s)
            one.take_free(wanted, now_s)
            self._await(one, wanted, now_s)
            if not one.lacks(wanted):
                return

    def _await(self, one: _Held, wanted: float, now_s: float) -> None:
        """Let a service wait for nodes that jobs will give back, as far as it lacks them.

        What is free and makes an instance whole together with those is taken now.
        """
        free = [pool.nodes.own_room for pool in one.pools]
        room = [n + self.coming[pool.index] for n, pool in zip(free, one.pools, strict=True)]
        nodes, _ = one.lay(wanted, room)
        for i, (pool, n) in enumerate(zip(one.pools, nodes, strict=True)):
            n_now = min(n, free[i])
            pool.nodes.serve(one.number, n_now, now_s)
            self.coming[pool.index] -= n - n_now
            one.coming[i] += n - n_now

    def _within_reach(self, one: _Held, wanted: float, *, is_least: bool) -> float:
        """Return what of its wants a service could have from others, in whole instances."""
        priority, place = self.view.priority, {pool.index: i for i, pool in enumerate(one.pools)}
        room = [pool.nodes.own_room + self.coming[pool.index] for pool in one.pools]
        for run in self.view.running.values():
            if run.job not in self.leaving and (is_least or priority[run.job] < one.priority):
                for p, n in run.parts:
                    if p in place:
                        room[place[p]] += n
        for other in self.services:
            if other is not one and (is_least or other.priority < one.priority):
                for i, pool in enumerate(other.pools):
                    if pool.index in place:
                        room[place[pool.index]] += other.to_spare(i, other.spec.demand.least)
        return wanted - one.lay(wanted, room)[1]

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

    def _move(self, giver: _Held, one: _Held, wanted: float, now_s: float) -> None:
        """Let a service have nodes that another holds beyond its least."""
        for i, pool in enumerate(one.pools):
            if pool not in giver.pools:
                continue
            free, least = pool.nodes.own_room, giver.spec.demand.least
            room = [0] * len(one.pools)
            room[i] = free + giver.to_spare(giver.pools.index(pool), least)
            if n := one.lay(wanted, room)[0][i]:
                pool.nodes.give_up(giver.number, max(0, n - free), now_s)
                pool.nodes.serve(one.number, n, now_s)


def _told(one: _Held, found: Account, n_chips: Sequence[int]) -> Iterator[FloatArray]:
    """Yield rows of `Ledger.serving` of one service, an array for each of its pools."""
    for k, pool in enumerate(one.pools):
        lacks = found.lacks * (n_chips[0] / one.spec.gives[0] if k == 0 else 0.0)
        places = np.full(len(lacks), pool.index)
        yield np.column_stack([places, found.times_s, found.states[:, k], lacks])


def _integrals(pool: PoolRun, found: Account, k: int, n_weights: int) -> FloatArray:
    """Return chip-seconds at full load on pool number `k` of a service, times each weight."""
    integrals, signals = np.zeros(n_weights), pool.nodes.books.signals
    from_s, to_s = found.times_s.T
    integrals[0] = found.loaded[:, k] @ (to_s - from_s)
    for i, signal in enumerate(signals, len(WEIGHTS)):
        integrals[i] = found.loaded[:, k] @ signal.integral(from_s, to_s)
    return integrals


def _redrawn(
    spans: Sequence[Span],
    owner: tuple[int, int],
    pool: PoolRun,
    found: Account,
    k: int,
    drawn: Drawn,
) -> list[Span]:
    """Return spans, those of a service on a pool with what it draws over what training does."""
    spec = pool.spec
    train_w = float((spec.chip_w + spec.node_overhead_w + spec.network_w)[TRAIN])
    kept = [one for one in spans if (one.job, one.pool) != owner]
    for (from_s, to_s), held, loaded in zip(
        found.times_s.tolist(), found.n_chips[:, k], found.loaded[:, k], strict=True
    ):
        if held and to_s > from_s:
            drawn_frac = (drawn.it_w + drawn.it_more_w * loaded / held) / train_w
            kept.append(Span(*owner, TRAIN, from_s, to_s, float(held), float(drawn_frac)))
    return kept
