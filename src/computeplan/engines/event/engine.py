"""One run at a time, on SimPy: plays everything, and is the reference.

Every happening is an event with a time and a rank; at equal times the rank decides: repair ends,
job ends, strike, arrival, policy. There is no event for the end of a restart, and none for a
checkpoint but where jobs share storage (``sharedgang.py``): between two strikes a job's books
follow from when it began (``gang.py``). There is no process per node or chip. What strikes come to
is in ``incidents.py``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import simpy

from computeplan.engines.event.closing import close_books
from computeplan.engines.event.gang import Gang
from computeplan.engines.event.incidents import (
    ARRIVAL,
    JOB_ENDS,
    POLICY,
    STRIKE,
    Counts,
    Engine,
    Incidents,
)
from computeplan.engines.event.samples import RunSamples, is_over
from computeplan.engines.event.sharedgang import Storage
from computeplan.engines.event.shrinkgang import gang_of
from computeplan.engines.event.sight import view_of
from computeplan.errors import ComputePlanError, UnsupportedByEngine
from computeplan.ledger import Ledger, Span, concatenate, make_ledger
from computeplan.scheduling.registry import load_policy
from computeplan.trace import Trace
from computeplan.world.features import features, first_refused
from computeplan.world.world import World

__all__ = ["PLAYS", "play", "why_unsupported"]

PLAYS = features(
    "several_jobs several_pools shared_pool arrives_later shared_storage shrinks shrinks_never"
    " asynchronous_saves tiers never_saves keeps_several share_spares replay slows memory lemons"
    " relapse found_late groups uncertain_rate automatic_repair busy_clock busy_repairs"
    " wall_repairs throttle crews crews_after_random crews_after_unlike retire booting_spares"
    " planned_stops rolling listed_stops late_stops horizon"
)


def why_unsupported(world: World) -> tuple[str, str] | None:
    """Return path and reason of what this engine cannot play in a world, or None."""
    refused = first_refused(world.features, PLAYS)
    return None if refused is None else (refused.path, "it does not know this")


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
    UnsupportedByEngine
        If a world asks for what no engine knows.
    ComputePlanError
        If the policy places what does not fit, or leaves jobs waiting for ever.
    """
    if (unsupported := why_unsupported(world)) is not None:
        path, reason = unsupported
        raise UnsupportedByEngine(f"{path}: engine event cannot play this: {reason}")
    trace = Trace(world, seed, first_run, n_runs)
    runs = [_Run(world, trace, i, timeline=timeline and i == 0).play() for i in range(n_runs)]
    return make_ledger(concatenate(runs), world.n_chips, world.sharing)


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
        self.at = partial(_At, self.env)
        self.spans: list[Span] | None = [] if timeline else None
        self.storages = defaultdict[str, Storage](lambda: Storage(self._milestone, self._ended))
        self.gangs = [
            gang_of(i, spec, world.pools, self.spans, self.storages)
            for i, spec in enumerate(world.jobs)
        ]
        self.counts = Counts(*np.zeros((3, 1, len(world.kind_names)), dtype=np.int64))
        self.horizon_s = world.horizon_s
        self.pools = [self._incidents(pool) for pool in range(len(world.pools))]
        self.queue: list[int] = []
        self.n_open = len(self.gangs)
        self.policy, self.policy_due = load_policy(world.policy), False
        for near in world.sharing:
            for p in near:
                self.pools[p].share_spares([self.pools[other] for other in near if other != p])
        # Whether the next strike is not known, as it may come of what has not happened yet, or on
        # nodes of another pool.
        self.is_open = [
            pool.nodes.spec.comes_back or pool.nodes.spec.retire is not None or len(pool.near) > 1
            for pool in self.pools
        ]
        self.look_s = [world.longest_look_s for _ in self.pools]
        self.next_strike, self.next_strike_s = [0] * len(self.pools), [math.inf] * len(self.pools)
        self.due_s = [math.inf] * len(self.pools)  # the next strike, or look, that is to be played

    def _incidents(self, pool: int) -> Incidents:
        engine = Engine(self.at, partial(self._await_ends, pool), self._call_policy)
        spec, counts, horizon_s = self.world.pools[pool], self.counts, self.horizon_s
        return Incidents(spec, self.trace, self.run, self.gangs, counts, horizon_s, engine)

    # -- the loop ------------------------------------------------------------------------------

    def play(self) -> Ledger:
        """Return the books of the run."""
        for gang in self.gangs:
            self.at(gang.spec.arrival_s, ARRIVAL, partial(self._arrive, gang))
        for pool, spec in enumerate(self.world.pools):
            if spec.kinds or spec.stops:
                self._load_strikes(pool)
                self._await_strike(pool)
        horizon_s = self.horizon_s
        if math.isinf(horizon_s):
            while self.n_open:
                self._step()
            return self._ledger(max(gang.end_s for gang in self.gangs))
        while min(self.env.peek(), *self.due_s) < horizon_s:
            self._step()
        for storage in self.storages.values():
            storage.meet(horizon_s)
        for gang in self.gangs:
            gang.meet(horizon_s)
            if gang.ending is not None and gang.ending.time_s <= horizon_s:
                self._end(gang, gang.ending)  # its last save ends with the run
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
            self.at(due_s, STRIKE, lambda event: self._look_or_strike(pool, event.time_s))
            self.env.step()

    def _ledger(self, wall_s: float) -> Ledger:
        nodes = [pool.nodes for pool in self.pools]
        return close_books(self.gangs, nodes, wall_s, *self.counts, self.spans)

    def _stuck(self) -> None:
        waiting = ", ".join(self.gangs[j].spec.name for j in self.queue) or "a blocked job"
        message = f"policy {self.world.policy} leaves jobs waiting for ever: {waiting}"
        raise ComputePlanError(message)

    # -- strikes -------------------------------------------------------------------------------

    def _load_strikes(self, pool: int) -> None:
        self.pools[pool].samples = RunSamples(
            self.trace.arrivals(pool, self.look_s[pool]), self.run
        )

    def _await_strike(self, pool: int) -> None:
        """Wait for the next strike, or, where none is known yet, until luck must be looked at."""
        i, times_s = self.next_strike[pool], self.pools[pool].samples.time_s
        if i < len(times_s) and times_s[i] <= self.look_s[pool]:
            next_s = times_s[i]
        elif self.look_s[pool] >= self.horizon_s or is_over(self.world.pools[pool], i):
            next_s = math.inf
        else:
            next_s = self.look_s[pool]
        self.next_strike_s[pool] = next_s
        self.due_s[pool] = next_s if next_s < self.horizon_s else math.inf

    def _look_or_strike(self, pool: int, now_s: float) -> None:
        i, samples = self.next_strike[pool], self.pools[pool].samples
        if i < len(samples.time_s) and samples.time_s[i] <= self.look_s[pool]:
            n = 1
            if samples.is_member:
                while samples.is_member[i + n : i + n + 1] == [True]:
                    n += 1
            self.next_strike[pool] = i + n
            self._await_strike(pool)
            self.pools[pool].arrival(i, n, now_s)
        else:  # somebody is still running when what was drawn comes to its end
            waiting = ", ".join(gang.spec.name for gang in self.gangs if math.isinf(gang.end_s))
            self.look_s[pool] = self.world.longer_look_s(now_s, waiting)
            self._load_strikes(pool)
            self._await_strike(pool)
        self._await_ends(pool)

    # -- jobs ----------------------------------------------------------------------------------

    def _arrive(self, gang: Gang, event: _At) -> None:
        gang.since_s = event.time_s
        self.queue.append(gang.index)
        self._call_policy(event.time_s)

    def _start(self, gang: Gang, pool: int, now_s: float) -> None:
        nodes, n = self.pools[pool].nodes, int(gang.spec.n_nodes[pool])
        if n == 0 or n > nodes.room:
            message = (
                f"policy {self.world.policy} placed {gang.spec.name} ({n} nodes) on"
                f" {nodes.spec.name}, which has room for {nodes.room}"
            )
            raise ComputePlanError(message)
        nodes.n_promised += n
        nodes.give_many(gang.index, n, now_s)
        gang.start(pool, nodes.spec.chips_per_node, now_s)
        self.pools[pool].on_pool.append(gang)
        self.pools[pool].pace(now_s)
        self._await_ends(pool)

    def _await_ends(self, pool: int) -> None:
        """Wait for the ends of whole jobs, unless their pool is struck before: then look again."""
        next_s = math.inf if self.is_open[pool] else self.next_strike_s[pool]
        latest_s = min(next_s, self.horizon_s)
        for near in self.pools[pool].near:
            for gang in near.on_pool:
                if gang.ending is None and gang.knows_end and not gang.is_blocked:
                    end_s = gang.end_time()
                    if end_s <= latest_s:
                        gang.ending = self.at(end_s, JOB_ENDS, partial(self._end, gang))

    def _milestone(self, time_s: float, then: Callable[[Any], None]) -> object:
        return self.at(time_s, JOB_ENDS, then)

    def _end(self, gang: Gang, event: _At) -> None:
        if gang.ending is event:  # or else it was struck since
            self._ended(gang, event.time_s)

    def _ended(self, gang: Gang, now_s: float) -> None:
        gang.end(now_s)
        self.n_open -= 1
        if not self.n_open and math.isinf(self.horizon_s):
            return  # and with it the run: nobody will ask where its nodes went
        pool = self.pools[gang.pool]
        pool.on_pool.remove(gang)
        pool.nodes.n_promised -= gang.n_nodes
        pool.nodes.take_back(gang.index, now_s)
        handed_out = [near.hand_out(now_s) for near in pool.near]
        if any(handed_out):
            self._await_ends(gang.pool)
        self._call_policy(now_s)

    # -- the policy ----------------------------------------------------------------------------

    def _call_policy(self, now_s: float) -> None:
        if self.queue and not self.policy_due:
            self.policy_due = True
            self.at(now_s, POLICY, self._ask_policy)

    def _ask_policy(self, event: _At) -> None:
        self.policy_due = False
        while self.queue and self._place_some(event.time_s):
            pass

    def _place_some(self, now_s: float) -> bool:
        """Start the jobs that the policy places; return whether to ask it again.

        Pools that share spares offer them together: what one job has borrowed is gone for the next.
        """
        nodes = [pool.nodes for pool in self.pools]
        placed = self.policy(view_of(self.world, self.gangs, nodes, self.queue, now_s))
        for n_before, (index, pool) in enumerate(placed):
            gang = self.gangs[index]
            if n_before and nodes[pool].others and gang.spec.n_nodes[pool] > nodes[pool].room:
                return True
            self.queue.remove(index)
            self._start(gang, pool, now_s)
        return False
