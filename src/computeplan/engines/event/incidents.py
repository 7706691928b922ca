"""What strikes one pool in one run, and what comes of it: repairs, spares, nodes that come back.

No event queue: what is to happen later goes through functions that the engine gives. Crews, places
and slow nodes stand apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from computeplan.arrays import IntArray
from computeplan.engines.event.crews import Crews, Taken
from computeplan.engines.event.gang import Gang
from computeplan.engines.event.poolnodes import FREE, IN_REPAIR, PoolNodes
from computeplan.engines.event.samples import Fault, RunSamples
from computeplan.engines.event.slots import Calls, Slots
from computeplan.engines.event.stragglers import Stragglers
from computeplan.trace import Trace
from computeplan.world.faults import Corrupt, Interrupt, Slow
from computeplan.world.pools import Pool

__all__ = ["ARRIVAL", "JOB_ENDS", "POLICY", "STRIKE", "Engine", "Incidents"]

REPAIR_ENDS, JOB_ENDS, LEAVE, STRIKE, ARRIVAL, POLICY = range(6)  # ranks at equal times
EXCHANGED, MENDED = range(2)  # what is new in a node that comes back, in that order


class Engine(NamedTuple):
    """What the engine does for the incidents of a pool."""

    at: Callable[[float, int, Callable[[Any], None]], object]  # [s], rank, what then
    await_ends: Callable[[], None]  # of the jobs on the pool
    call_policy: Callable[[float], None]  # now [s]


class Incidents:
    """The incidents of one pool.

    Parameters
    ----------
    spec : Pool
        Which pool.
    trace : Trace
        The luck of all runs.
    run : int
        Which of them.
    gangs : sequence of Gang
        All jobs of the run.
    counts : mapping of str to ndarray, shape (1, n_kinds)
        Counted up.
    horizon_s : float
        End of the run; inf if its jobs end it. [s]
    engine : Engine
        What plays them.
    """

    def __init__(
        self,
        spec: Pool,
        trace: Trace,
        run: int,
        gangs: Sequence[Gang],
        counts: Mapping[str, IntArray],
        horizon_s: float,
        engine: Engine,
    ) -> None:
        self.trace, self.run, self.gangs, self.counts = trace, run, gangs, counts
        self.horizon_s, self.engine = horizon_s, engine
        self.nodes = PoolNodes(spec)
        self.samples = RunSamples(None, 0)  # as far as it is drawn
        self.on_pool: list[Gang] = []
        self.near: tuple[Incidents, ...] = (self,)  # and those with which it shares spares
        self.kinds = {kind.index: kind for kind in spec.kinds}
        self.has_slow = any(isinstance(kind.effect, Slow) for kind in spec.kinds)
        self.stragglers = Stragglers()
        self.plays = {Slow: self._slow, Corrupt: self._damage, Interrupt: self._fault}
        self.crews = Crews(spec.n_crews, self._repair_ends, self._repaired)
        calls = Calls(self._await_fault, self._await_new, self._strike_nodes)
        self.slots = Slots(trace, run, self.nodes, calls)
        self.later_samples: dict[tuple[int, int], RunSamples] = {}

    def share_spares(self, pools: Sequence[Incidents]) -> None:
        """Let nodes that these pools have to spare stand in for those of this one."""
        self.near = (self, *pools)
        self.nodes.others = tuple(pool.nodes for pool in pools)

    # -- strikes -------------------------------------------------------------------------------

    def arrival(self, i: int, n: int, now_s: float) -> None:
        """Play the strike in row `i` of the luck, which takes up `n` rows."""
        samples = self.samples
        kind = samples.kind[i]
        spec = self.kinds.get(kind)
        if spec is not None:
            play = self.plays[type(spec.effect)]
            play(kind, samples.fault(i, n), now_s)
        elif samples.takes[i]:
            self._call_out(i, now_s)
        else:
            for gang in self.on_pool:
                self.counts["interruptions"][0, kind] += gang.stop(now_s, samples.lasts_s[i])

    def _call_out(self, i: int, now_s: float) -> None:
        """Take nodes out for maintenance: idle ones now, those of jobs when they have saved."""
        samples, where = self.samples, self.nodes.where
        kind, restart_s = samples.kind[i], samples.restart_s[i]
        group = self.nodes.spec.stop(kind).group(samples.node[i], len(where))
        away = dict.fromkeys(group, samples.lasts_s[i])
        self._take_out(None, away, 0.0, now_s)
        for gang in [gang for pool in self.near for gang in pool.on_pool]:
            own = {node: away_s for node, away_s in away.items() if where[node] == gang.index}
            if not own or not gang.stop(now_s, 0.0):
                continue
            self.counts["interruptions"][0, kind] += 1
            if gang.saving_until_s > now_s:
                then = partial(self._saved, gang, own, restart_s)
                self.engine.at(gang.saving_until_s, LEAVE, then)
            else:
                self._take_out(gang, own, restart_s, now_s)

    def _saved(self, gang: Gang, away: dict[int, float], restart_s: float, event: Any) -> None:
        self._take_out(gang, away, restart_s, event.time_s)
        self.engine.await_ends()

    def _take_out(
        self, gang: Gang | None, away: dict[int, float], restart_s: float, now_s: float
    ) -> None:
        """Take out nodes, where they are idle or with a job that has saved for it."""
        nodes = self.nodes
        is_stopped = False
        for node, away_s in away.items():
            if nodes.where[node] == FREE:
                nodes.send_to_repair(node, now_s)
            elif gang is not None and nodes.where[node] == gang.index:
                if not is_stopped:
                    gang.interrupt(now_s, max(restart_s, gang.restart_left_s(now_s)), level=1)
                    is_stopped = True
                self._take(node, gang, now_s)
            else:
                continue
            self.engine.at(now_s + away_s, REPAIR_ENDS, partial(self._returned, node))
        self.pace(now_s)

    def _returned(self, node: int, event: Any) -> None:
        self._repaired(node, event.time_s)

    def _fault(self, kind: int, fault: Fault, now_s: float) -> None:
        """Strike nodes at once: those of jobs stop their job, and what is taken goes to repair."""
        nodes, slots, spec = self.nodes, self.slots, self.kinds[kind]
        struck: set[int] = set()
        taken: Taken = []
        found_idle = False
        for node, repair_s in zip(fault.nodes, fault.repairs_s, strict=True):
            if slots.is_void(node, spec, fault):
                continue
            where = nodes.where[node]
            if where == IN_REPAIR:
                if spec.lifetime is not None:  # exchanged in the shop
                    nodes.renewals[node].append((EXCHANGED, kind, fault))
                continue
            gang = self.gangs[where] if where >= 0 else None
            if spec.is_busy and (gang is None or gang.is_blocked):
                continue
            found_idle |= gang is None
            if gang is not None and gang.index not in struck:
                struck.add(gang.index)
                gang.interrupt(now_s, fault.restart_s, fault.level)
            if fault.takes:
                self._take(node, gang, now_s)
                if slots.retires(node, now_s):
                    continue
                taken.append((node, repair_s))
            if fault.lifetime_s < math.inf:
                if fault.takes:
                    nodes.renewals[node].append((MENDED, kind, fault))
                else:
                    self._renew(node, kind, fault, now_s)
        self.counts["interruptions"][0, kind] += len(struck)
        self.counts["idle_faults"][0, kind] += found_idle and not struck
        if taken:
            self._repair(taken, fault.automatic_s, now_s)

    # -- nodes that go and come ----------------------------------------------------------------

    def _take(self, node: int, gang: Gang | None, now_s: float) -> None:
        """Send a node to repair, and replace it in its job."""
        self.nodes.send_to_repair(node, now_s)
        if gang is not None:
            self._replace(gang, now_s)
        self.pace(now_s)

    def _replace(self, gang: Gang, now_s: float) -> None:
        nodes = self.nodes
        if gang not in self.on_pool:  # it has borrowed what was struck
            nodes = next(pool.nodes for pool in self.near if gang in pool.on_pool)
        lender = None if gang.n_missing else nodes.give(gang.index, now_s)
        if lender is None:
            gang.lack(now_s)
        elif lender.boots and (boot_s := lender.take_spare(now_s)):
            gang.await_boot(now_s)
            self.engine.at(now_s + boot_s, REPAIR_ENDS, partial(self._booted, gang))

    def _booted(self, gang: Gang, event: Any) -> None:
        if gang.runs:
            gang.booted(event.time_s)
            self.engine.await_ends()

    def _repair(self, taken: Taken, automatic_s: float, now_s: float) -> None:
        self.nodes.n_repairs += len(taken)
        self.crews.repair(taken, automatic_s, now_s)

    def _repair_ends(self, time_s: float, then: Callable[[Any], None]) -> None:
        self.engine.at(time_s, REPAIR_ENDS, then)

    def _repaired(self, node: int, now_s: float) -> None:
        nodes = self.nodes
        nodes.book(now_s)
        nodes.n_in_repair -= 1
        nodes.release(node)
        # A definite order, should two of them fault at one time.
        for _, kind, fault in sorted(nodes.renewals.pop(node, ()), key=itemgetter(0, 1)):
            self._renew(node, kind, fault, now_s)
        if self.hand_out(now_s):
            self.engine.await_ends()
        else:
            self.engine.call_policy(now_s)

    def hand_out(self, now_s: float) -> bool:
        """Give free nodes to jobs that lack some, their own pool's first; return whether any did.

        Those that have lacked nodes for longest come first.
        """
        lacking = self._lacking()
        if not lacking:
            return False
        while lacking:
            gang = min(lacking, key=lambda one: (one.missing_since_s, one.index))
            self.nodes.give_own(gang.index, now_s)
            gang.receive(now_s)
            lacking = self._lacking()
        self.pace(now_s)
        return True

    def _lacking(self) -> list[Gang]:
        """Return the jobs among which the next free node goes, if there is one."""
        if not self.nodes.n_free:
            return []
        lacking = [gang for gang in self.on_pool if gang.n_lacking]
        if lacking or self.nodes.n_to_spare <= 0:
            return lacking
        return [gang for pool in self.near[1:] for gang in pool.on_pool if gang.n_lacking]

    def _await_new(self, time_s: float, node: int) -> None:
        self.engine.at(time_s, REPAIR_ENDS, partial(self._replaced, node))

    def _replaced(self, node: int, event: Any) -> None:
        self.slots.come(node, event.time_s)
        self._repaired(node, event.time_s)

    # -- nodes that are struck again -----------------------------------------------------------

    def _renew(self, node: int, kind: int, fault: Fault, now_s: float) -> None:
        """Let a node that is whole again live until its next fault of a kind."""
        again_s = now_s + fault.lifetime_s
        if fault.generation and fault.chain < 0:
            self.slots.strike_again(self.kinds[kind], node, again_s)
        else:
            then = partial(self._come_back, kind, node, fault.chain, fault.nth + 1)
            self._await_fault(again_s, self.slots.if_it_stands(node, then))

    def _await_fault(self, time_s: float, then: Callable[[Any], None]) -> None:
        if time_s < self.horizon_s:
            self.engine.at(time_s, STRIKE, then)

    def _come_back(self, kind: int, node: int, chain: int, nth: int, event: Any) -> None:
        """Strike a node again: `nth` counts from 1 in its chain."""
        fault = self._luck_of(kind, nth, chain).fault(chain, 1)
        generation = self.slots.generation[node]
        fault = fault._replace(nodes=(node,), chain=chain, nth=nth, generation=generation)
        self._strike_nodes(kind, fault, event.time_s)

    def _strike_nodes(self, kind: int, fault: Fault, now_s: float) -> None:
        self._fault(kind, fault, now_s)
        self.engine.await_ends()

    def _luck_of(self, kind: int, nth: int, chain: int) -> RunSamples:
        """Return the luck of faults that come back, at least up to a chain."""
        key = (kind, nth)
        if key not in self.later_samples or len(self.later_samples[key].takes) <= chain:
            chains = np.arange(len(self.samples.time_s))[:, None]
            which = (np.full_like(chains, nth), chains, np.full_like(chains, self.run))
            found = self.trace.later(self.nodes.spec, self.kinds[kind], *which)
            self.later_samples[key] = RunSamples(found, 0)
        return self.later_samples[key]

    # -- nodes that hold back, and silent damage -----------------------------------------------

    def _slow(self, kind: int, fault: Fault, now_s: float) -> None:
        """Let a node hold its job back for a while; nobody is interrupted."""
        (node,) = fault.nodes
        where = self.nodes.where[node]
        if where == IN_REPAIR:
            return
        self.counts["idle_faults" if where == FREE else "slowdowns"][0, kind] += 1
        ticket = self.stragglers.begin(node, self.kinds[kind])
        then = partial(self._fast_again, node, ticket)
        self.engine.at(now_s + fault.lasts_s, REPAIR_ENDS, then)
        self.pace(now_s)

    def _fast_again(self, node: int, ticket: int, event: Any) -> None:
        self.stragglers.end(node, ticket)
        self.pace(event.time_s)
        self.engine.await_ends()

    def pace(self, now_s: float) -> None:
        """Tell jobs their speed, after nodes have moved."""
        if self.has_slow:
            self.stragglers.set_paces(self.nodes, self.on_pool, now_s)

    def _damage(self, kind: int, fault: Fault, now_s: float) -> None:
        """Damage the job of a node, if it has one, without anybody noticing."""
        where = self.nodes.where[fault.nodes[0]]
        if where == FREE:
            self.counts["idle_faults"][0, kind] += 1
        elif where != IN_REPAIR:
            found = partial(self._found, kind, fault, self.gangs[where], now_s)
            self.engine.at(now_s + fault.found_s, STRIKE, found)

    def _found(self, kind: int, fault: Fault, gang: Gang, since_s: float, event: Any) -> None:
        """Stop a job whose state is damaged since a time; its node goes if it is still there."""
        if not gang.runs:
            return
        self.counts["interruptions"][0, kind] += 1
        gang.interrupt(event.time_s, fault.restart_s, fault.level, clean_by_s=since_s)
        (node,) = fault.nodes
        if fault.takes and self.nodes.where[node] == gang.index:
            self._take(node, gang, event.time_s)
            if not self.slots.retires(node, event.time_s):
                self._repair([(node, fault.repairs_s[0])], fault.automatic_s, event.time_s)
        self.engine.await_ends()
