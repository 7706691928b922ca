"""One run at a time, on SimPy: plays everything, and is the reference.

Every happening is an event with a time and a rank; at equal times the rank decides: repair ends,
job ends, strike, arrival, policy. There is no event for a checkpoint and none for the end of a
restart: between two strikes a job's books follow from when it began (``gang.py``). There is no
process per node or chip.

Long because what happens in a run leads to one another; crews, places and books stand apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
import simpy

from computeplan.engines.closing import close_books
from computeplan.engines.crews import Crews, Taken
from computeplan.engines.gang import FREE, IN_REPAIR, Gang, PoolNodes
from computeplan.engines.luck import Fault, RunLuck, is_over
from computeplan.engines.shrinkgang import gang_of
from computeplan.engines.sight import view_of
from computeplan.engines.slots import Calls, Slots
from computeplan.engines.stragglers import Stragglers
from computeplan.errors import ComputePlanError
from computeplan.ledger import Ledger, Span, concatenate, make_ledger
from computeplan.scheduling.registry import load_policy
from computeplan.strikes import ASIDE_S
from computeplan.trace import Trace, draw_trace
from computeplan.world import World

__all__ = ["play"]

REPAIR_ENDS, JOB_ENDS, LEAVE, STRIKE, ARRIVAL, POLICY = range(6)  # ranks at equal times
EXCHANGED, MENDED = range(2)  # what is new in a node that comes back, in that order


def play(world: World, seed: int, first_run: int, n_runs: int, *, timeline: bool = False) -> Ledger:
    """Return the books of a range of runs.

    Parameters
    ----------
    world : World
        What to play.
    seed : int
        Root of all luck.
    first_run, n_runs : int
        Which runs.
    timeline : bool
        Whether to keep the spans of the first run.

    Raises
    ------
    ComputePlanError
        If the policy places what does not fit, or leaves jobs waiting for ever.
    """
    trace = draw_trace(world, seed, first_run, n_runs)
    runs = [_Run(world, trace, i, timeline=timeline and i == 0).play() for i in range(n_runs)]
    return make_ledger(concatenate(runs), [pool.n_chips for pool in world.pools])


class _At(simpy.Event):
    """An event that happens at a time, with a rank among those at the same time."""

    def __init__(
        self, env: simpy.Environment, time_s: float, rank: int, then: Callable[[Any], None]
    ) -> None:
        self.env, self.callbacks, self._ok, self._value = env, [then], True, None
        self.time_s = time_s  # exact; env.now is rounded by the delay
        env.schedule(self, rank, max(0.0, time_s - env.now))  # type: ignore[arg-type]


class _Run:
    """One run: what SimPy calls back, and the policy."""

    def __init__(self, world: World, trace: Trace, run: int, *, timeline: bool) -> None:
        self.world, self.trace, self.run = world, trace, run
        self.env = simpy.Environment()
        self.spans: list[Span] | None = [] if timeline else None
        self.gangs = [
            gang_of(i, spec, world.pools, self.spans) for i, spec in enumerate(world.jobs)
        ]
        self.pools = [PoolNodes(spec) for spec in world.pools]
        self.crews = [
            Crews(spec.n_crews, self._repair_ends, partial(self._repaired, pool))
            for pool, spec in enumerate(world.pools)
        ]
        self.slots = [self._slots(pool) for pool in range(len(self.pools))]
        self.endings: list[_At | None] = [None] * len(self.gangs)
        self.queue: list[int] = []
        self.n_open = len(self.gangs)
        self.policy, self.policy_due = load_policy(world.policy), False
        n_kinds, n_pools = len(world.kind_names), len(self.pools)
        counts = np.zeros((3, 1, n_kinds), dtype=np.int64)
        self.n_interruptions, self.n_idle_faults, self.n_slowdowns = counts
        self.stragglers = [Stragglers() for _ in self.pools]
        self.boots = [pool.boots for pool in world.pools]
        # Whether the next strike is not known, as it may come of what has not happened yet.
        self.is_open = [pool.comes_back or pool.retire is not None for pool in world.pools]
        self.has_slow = [any(kind.slow_frac for kind in pool.kinds) for pool in world.pools]
        self.horizon_s = world.horizon_s
        self.look_s = [world.longest_look_s for _ in self.pools]
        self.strikes: list[RunLuck] = [RunLuck(None, 0) for _ in self.pools]
        self.later: dict[tuple[int, int, int], RunLuck] = {}
        self.next_strike, self.next_strike_s = [0] * n_pools, [math.inf] * n_pools
        self.due_s = [math.inf] * n_pools  # the next strike, or look, that is to be played
        self.kinds = [{kind.index: kind for kind in pool.kinds} for pool in world.pools]
        self.on_pool: list[list[Gang]] = [[] for _ in self.pools]

    def _slots(self, pool: int) -> Slots:
        strike, come = partial(self._strike_nodes, pool), partial(self._await_new, pool)
        calls = Calls(self._await_fault, come, strike)
        return Slots(self.trace, self.run, self.pools[pool], calls)

    # -- the loop ------------------------------------------------------------------------------

    def play(self) -> Ledger:
        """Return the books of the run."""
        for gang in self.gangs:
            _At(self.env, gang.spec.arrival_s, ARRIVAL, partial(self._arrive, gang))
        for pool, nodes in enumerate(self.pools):
            if nodes.spec.kinds or nodes.spec.stops:
                self._load_strikes(pool)
                self._await_strike(pool)
        horizon_s = self.horizon_s
        if math.isinf(horizon_s):
            while self.n_open:
                self._step()
            return self._ledger(max(gang.end_s for gang in self.gangs))
        while min(self.env.peek(), *self.due_s) < horizon_s:
            self._step()
        for gang, ending in zip(self.gangs, self.endings, strict=True):
            if ending is not None and ending.time_s <= horizon_s:
                self._end(gang, ending)  # its last save ends with the run
        return self._ledger(horizon_s)

    def _step(self) -> None:
        """Let what is next happen: strikes are known in their order, and need no event each."""
        due_s, next_s = min(self.due_s), self.env.peek()
        if due_s > next_s:
            self.env.step()
            return
        if due_s == math.inf:
            self._stuck()
        pool = self.due_s.index(due_s)
        if due_s < next_s:
            self._look_or_strike(pool, due_s)
        else:  # the rank decides
            self.due_s[pool] = math.inf
            _At(self.env, due_s, STRIKE, lambda event: self._look_or_strike(pool, event.time_s))
            self.env.step()

    def _ledger(self, wall_s: float) -> Ledger:
        counts = (self.n_interruptions, self.n_idle_faults, self.n_slowdowns)
        return close_books(self.gangs, self.pools, wall_s, *counts, self.spans)

    def _stuck(self) -> None:
        waiting = ", ".join(self.gangs[j].spec.name for j in self.queue) or "a blocked job"
        message = f"policy {self.world.policy} leaves jobs waiting for ever: {waiting}"
        raise ComputePlanError(message)

    def _load_strikes(self, pool: int) -> None:
        self.strikes[pool] = RunLuck(self.trace.strikes(pool, self.look_s[pool]), self.run)

    def _await_strike(self, pool: int) -> None:
        """Wait for the next strike, or, where none is known yet, until luck must be looked at."""
        i, times_s = self.next_strike[pool], self.strikes[pool].time_s
        if i < len(times_s) and times_s[i] <= self.look_s[pool]:
            next_s = times_s[i]
        elif self.look_s[pool] >= self.horizon_s or is_over(self.pools[pool].spec, i):
            next_s = math.inf
        else:
            next_s = self.look_s[pool]
        self.next_strike_s[pool] = next_s
        self.due_s[pool] = next_s if next_s < self.horizon_s else math.inf

    def _look_or_strike(self, pool: int, now_s: float) -> None:
        i, times_s = self.next_strike[pool], self.strikes[pool].time_s
        if i < len(times_s) and times_s[i] <= self.look_s[pool]:
            self._strike(pool, now_s)
            return
        # Somebody is still running when what was drawn comes to its end.
        waiting = ", ".join(gang.spec.name for gang in self.gangs if math.isinf(gang.end_s))
        self.look_s[pool] = self.world.longer_look_s(now_s, waiting)
        self._load_strikes(pool)
        self._await_strike(pool)
        self._await_ends(pool)

    # -- happenings ----------------------------------------------------------------------------

    def _arrive(self, gang: Gang, event: _At) -> None:
        gang.since_s = event.time_s
        self.queue.append(gang.index)
        self._call_policy(event.time_s)

    def _strike(self, pool: int, now_s: float) -> None:
        i, luck = self.next_strike[pool], self.strikes[pool]
        n = 1
        if luck.is_member:
            while luck.is_member[i + n : i + n + 1] == [True]:
                n += 1
        self.next_strike[pool] = i + n
        self._await_strike(pool)
        kind, restart_s = luck.kind[i], luck.restart_s[i]
        if luck.takes[i] and kind >= self.world.n_fault_kinds:
            self._call_out(pool, luck, i, now_s)
        elif kind >= self.world.n_fault_kinds:
            for gang in self.on_pool[pool]:
                if gang.stop(now_s, restart_s):
                    self.n_interruptions[0, kind] += 1
                    self.endings[gang.index] = None
        else:
            spec = self.kinds[pool][kind]
            play = self._slow if spec.slow_frac else self._damage if spec.found else self._fault
            play(pool, kind, luck.fault(i, n), now_s)
        self._await_ends(pool)

    def _call_out(self, pool: int, luck: RunLuck, i: int, now_s: float) -> None:
        """Take nodes out for maintenance: idle ones now, those of jobs when they have saved."""
        shop, kind, restart_s = self.pools[pool], luck.kind[i], luck.restart_s[i]
        group = shop.spec.stop(kind).group(luck.node[i], len(shop.where))
        away = {node: luck.repair_s[i] + node * ASIDE_S for node in group}
        self._take_out(pool, None, away, 0.0, now_s)
        for gang in self.on_pool[pool]:
            own = {node: away_s for node, away_s in away.items() if shop.where[node] == gang.index}
            if not own or not gang.stop(now_s, 0.0):
                continue
            self.n_interruptions[0, kind] += 1
            self.endings[gang.index] = None
            if gang.saving_until_s > now_s:
                then = partial(self._saved, pool, gang, own, restart_s)
                _At(self.env, gang.saving_until_s, LEAVE, then)
            else:
                self._take_out(pool, gang, own, restart_s, now_s)

    def _saved(
        self, pool: int, gang: Gang, away: dict[int, float], restart_s: float, event: _At
    ) -> None:
        self._take_out(pool, gang, away, restart_s, event.time_s)
        self._await_ends(pool)

    def _take_out(
        self, pool: int, gang: Gang | None, away: dict[int, float], restart_s: float, now_s: float
    ) -> None:
        """Take out nodes, where they are idle or with a job that has saved for it."""
        shop = self.pools[pool]
        is_stopped = False
        for node, away_s in away.items():
            if shop.where[node] == FREE:
                shop.send_to_repair(node, now_s, None)
            elif gang is not None and shop.where[node] == gang.index:
                if not is_stopped:
                    gang.interrupt(now_s, max(restart_s, gang.restart_left_s(now_s)), level=1)
                    self.endings[gang.index] = None
                    is_stopped = True
                self._take(pool, node, gang, now_s)
            else:
                continue
            _At(self.env, now_s + away_s, REPAIR_ENDS, partial(self._returned, pool, node))
        self._pace(pool, now_s)

    def _returned(self, pool: int, node: int, event: _At) -> None:
        self._repaired(pool, node, event.time_s)

    def _come_back(self, pool: int, kind: int, node: int, chain: int, nth: int, event: _At) -> None:
        """Strike a node again: `nth` counts from 1 in its chain."""
        luck = self._later(pool, kind, nth, chain)
        generation = self.slots[pool].generation[node]
        fault = luck.fault(chain, 1)
        fault = fault._replace(nodes=[node], chain=chain, nth=nth, generation=generation)
        self._strike_nodes(pool, kind, fault, event.time_s)

    def _strike_nodes(self, pool: int, kind: int, fault: Fault, now_s: float) -> None:
        self._fault(pool, kind, fault, now_s)
        self._await_ends(pool)

    def _await_fault(self, time_s: float, then: Callable[[Any], None]) -> None:
        if time_s < self.horizon_s:
            _At(self.env, time_s, STRIKE, then)

    def _await_new(self, pool: int, time_s: float, node: int) -> None:
        _At(self.env, time_s, REPAIR_ENDS, partial(self._replaced, pool, node))

    def _replaced(self, pool: int, node: int, event: _At) -> None:
        self.slots[pool].come(node, event.time_s)
        self._repaired(pool, node, event.time_s)

    def _later(self, pool: int, kind: int, nth: int, chain: int) -> RunLuck:
        """Return the luck of faults that come back, at least up to a chain."""
        key = (pool, kind, nth)
        if key not in self.later or len(self.later[key].takes) <= chain:
            spec = self.pools[pool].spec
            chains = np.arange(len(self.strikes[pool].time_s))[:, None]
            which = (np.full_like(chains, nth), chains, np.full_like(chains, self.run))
            found = self.trace.later(spec, self.kinds[pool][kind], *which)
            self.later[key] = RunLuck(found, 0)
        return self.later[key]

    def _fault(self, pool: int, kind: int, fault: Fault, now_s: float) -> None:
        """Strike nodes at once: those of jobs stop their job, and what is taken goes to repair."""
        shop, slots, spec = self.pools[pool], self.slots[pool], self.kinds[pool][kind]
        struck: set[int] = set()
        taken: Taken = []
        found_idle = False
        for node, repair_s in zip(fault.nodes, fault.repairs_s, strict=True):
            if slots.is_void(node, spec, fault):
                continue
            where = shop.where[node]
            if where == IN_REPAIR:
                if spec.life is not None:  # exchanged in the shop
                    shop.renewals[node].append((EXCHANGED, kind, fault))
                continue
            gang = self.gangs[where] if where >= 0 else None
            if spec.is_busy and (gang is None or gang.is_blocked):
                continue
            found_idle |= gang is None
            if gang is not None and gang.index not in struck:
                struck.add(gang.index)
                gang.interrupt(now_s, fault.restart_s, fault.level)
                self.endings[gang.index] = None
            if fault.takes:
                self._take(pool, node, gang, now_s)
                if slots.retires(node, now_s):
                    continue
                taken.append((node, repair_s))
            if fault.life_s < math.inf:
                if fault.takes:
                    shop.renewals[node].append((MENDED, kind, fault))
                else:
                    self._renew(pool, node, kind, fault, now_s)
        self.n_interruptions[0, kind] += len(struck)
        self.n_idle_faults[0, kind] += found_idle and not struck
        if taken:
            self._repair(pool, taken, fault.automatic_s, now_s)

    def _take(self, pool: int, node: int, gang: Gang | None, now_s: float) -> None:
        """Send a node to repair, and replace it in its job."""
        shop = self.pools[pool]
        shop.send_to_repair(node, now_s, gang)
        if gang is None:
            pass
        elif gang.n_missing or not shop.give(gang):
            gang.lack(now_s)
        elif self.boots[pool] and (boot_s := shop.take_spare(now_s)):
            gang.await_boot(now_s)
            _At(self.env, now_s + boot_s, REPAIR_ENDS, partial(self._booted, gang))
        self._pace(pool, now_s)

    def _booted(self, gang: Gang, event: _At) -> None:
        if gang.runs:
            gang.booted(event.time_s)
            self._await_end(gang)

    def _slow(self, pool: int, kind: int, fault: Fault, now_s: float) -> None:
        """Let a node hold its job back for a while; nobody is interrupted."""
        shop, (node,) = self.pools[pool], fault.nodes
        if shop.where[node] == IN_REPAIR:
            return
        counts = self.n_idle_faults if shop.where[node] == FREE else self.n_slowdowns
        counts[0, kind] += 1
        ticket = self.stragglers[pool].begin(node, self.kinds[pool][kind])
        then = partial(self._fast_again, pool, node, ticket)
        _At(self.env, now_s + fault.restart_s, REPAIR_ENDS, then)
        self._pace(pool, now_s)

    def _fast_again(self, pool: int, node: int, ticket: int, event: _At) -> None:
        self.stragglers[pool].end(node, ticket)
        self._pace(pool, event.time_s)
        self._await_ends(pool)

    def _pace(self, pool: int, now_s: float) -> None:
        if self.has_slow[pool]:
            shop, gangs = self.pools[pool], self.on_pool[pool]
            for gang in self.stragglers[pool].set_paces(shop, gangs, now_s):
                self.endings[gang.index] = None

    def _damage(self, pool: int, kind: int, fault: Fault, now_s: float) -> None:
        """Damage the job of a node, if it has one, without anybody noticing."""
        where = self.pools[pool].where[fault.nodes[0]]
        if where == FREE:
            self.n_idle_faults[0, kind] += 1
        elif where != IN_REPAIR:
            found = partial(self._found, pool, kind, fault, self.gangs[where], now_s)
            _At(self.env, now_s + fault.found_s, STRIKE, found)

    def _found(
        self, pool: int, kind: int, fault: Fault, gang: Gang, since_s: float, event: _At
    ) -> None:
        """Stop a job whose state is damaged since a time; its node goes if it is still there."""
        if not gang.runs:
            return
        self.n_interruptions[0, kind] += 1
        gang.interrupt(event.time_s, fault.restart_s, fault.level, clean_by_s=since_s)
        self.endings[gang.index] = None
        (node,) = fault.nodes
        if fault.takes and self.pools[pool].where[node] == gang.index:
            self._take(pool, node, gang, event.time_s)
            if not self.slots[pool].retires(node, event.time_s):
                taken = [(node, fault.repairs_s[0])]
                self._repair(pool, taken, fault.automatic_s, event.time_s)
        self._await_ends(pool)

    def _renew(self, pool: int, node: int, kind: int, fault: Fault, now_s: float) -> None:
        """Let a node that is whole again live until its next fault of a kind."""
        slots, again_s = self.slots[pool], now_s + fault.life_s
        if fault.generation and fault.chain < 0:
            slots.strike_again(self.kinds[pool][kind], node, again_s)
        else:
            then = partial(self._come_back, pool, kind, node, fault.chain, fault.nth + 1)
            self._await_fault(again_s, slots.if_it_stands(node, then))

    def _repair(self, pool: int, taken: Taken, automatic_s: float, now_s: float) -> None:
        self.pools[pool].n_repairs += len(taken)
        self.crews[pool].repair(taken, automatic_s, now_s)

    def _repair_ends(self, time_s: float, then: Callable[[Any], None]) -> None:
        _At(self.env, time_s, REPAIR_ENDS, then)

    def _repaired(self, pool: int, node: int, now_s: float) -> None:
        shop = self.pools[pool]
        shop.book(now_s)
        shop.n_in_repair -= 1
        shop.release(node)
        # A definite order, should two of them fault at one time.
        for _, kind, fault in sorted(shop.renewals.pop(node, ()), key=itemgetter(0, 1)):
            self._renew(pool, node, kind, fault, now_s)
        lacking = [gang for gang in self.on_pool[pool] if gang.n_lacking]
        if not lacking:
            self._call_policy(now_s)
            return
        gang = min(lacking, key=lambda one: (one.missing_since_s, one.index))
        shop.give(gang)
        gang.receive(now_s)
        self.endings[gang.index] = None
        self._await_end(gang)

    def _start(self, gang: Gang, pool: int, now_s: float) -> None:
        nodes, n = self.pools[pool], int(gang.spec.n_nodes[pool])
        if n == 0 or n > nodes.room:
            message = (
                f"policy {self.world.policy} placed {gang.spec.name} ({n} nodes) on"
                f" {nodes.spec.name}, which has room for {nodes.room}"
            )
            raise ComputePlanError(message)
        nodes.book(now_s)
        nodes.n_promised += n
        nodes.give_many(gang, n)
        gang.start(pool, nodes.spec.chips_per_node, now_s)
        self.on_pool[pool].append(gang)
        self._pace(pool, now_s)
        self._await_end(gang)

    def _await_ends(self, pool: int) -> None:
        for gang in self.on_pool[pool]:
            if self.endings[gang.index] is None:
                self._await_end(gang)

    def _await_end(self, gang: Gang) -> None:
        """Wait for the end of a whole job, unless its pool is struck before: then look again."""
        if not gang.is_blocked:
            end_s = gang.end_time()
            next_s = math.inf if self.is_open[gang.pool] else self.next_strike_s[gang.pool]
            if end_s <= min(next_s, self.horizon_s):
                event = _At(self.env, end_s, JOB_ENDS, partial(self._end, gang))
                self.endings[gang.index] = event

    def _end(self, gang: Gang, event: _At) -> None:
        if self.endings[gang.index] is not event:
            return  # it was struck since
        now_s = event.time_s
        gang.end(now_s)
        self.endings[gang.index] = None
        self.n_open -= 1
        if not self.n_open and math.isinf(self.horizon_s):
            return  # and with it the run: nobody will ask where its nodes went
        nodes = self.pools[gang.pool]
        self.on_pool[gang.pool].remove(gang)
        nodes.book(now_s)
        nodes.n_promised -= gang.n_nodes
        for node in sorted(gang.held):
            nodes.release(node)
        gang.held.clear()
        self._call_policy(now_s)

    # -- the policy ----------------------------------------------------------------------------

    def _call_policy(self, now_s: float) -> None:
        if self.queue and not self.policy_due:
            self.policy_due = True
            _At(self.env, now_s, POLICY, self._ask_policy)

    def _ask_policy(self, event: _At) -> None:
        self.policy_due = False
        if not self.queue:
            return
        view = view_of(self.world, self.gangs, self.pools, self.queue, event.time_s)
        for index, pool in self.policy(view):
            self.queue.remove(index)
            self._start(self.gangs[index], pool, event.time_s)
