"""What faults and planned maintenance do to nodes and jobs: one effect, one method.

To add an effect: its type in ``world/faults.py``, its method here, and its line in `__init__`.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from computeplan.engines.event.calendar import Rank, Then
from computeplan.engines.event.job import Job
from computeplan.engines.event.pool import FREE, IN_REPAIR, SERVICE, PoolRun, SentTogether
from computeplan.trace import Trace
from computeplan.trace.one_run import Fault, RunSamples
from computeplan.world.faults import Corrupt, Interrupt, Kind, Slow
from computeplan.world.features import features
from computeplan.world.maintenance import Maintain
from computeplan.world.pools import Pool

__all__ = ["PLAYED", "FaultEffects", "Generations"]

PLAYED = features("slows found_late planned_stops rolling")  # an effect that is not of every world

Counts = Mapping[str, list[int]]
EXCHANGED, MENDED = range(2)  # what is new in a node that is restored, in that order


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


class FaultEffects:
    """The faults of one pool, and its planned maintenance, in run number `run` of a trace.

    `jobs` are those that hold nodes; `counts`, by kind, are counted up.
    """

    def __init__(
        self, pool: PoolRun, trace: Trace, run: int, jobs: Mapping[int, Job], counts: Counts
    ) -> None:
        self.pool, self.jobs, self.counts = pool, jobs, counts
        self.nodes = pool.nodes
        self.generations = Generations(trace, run, pool.spec)
        table: dict[type, Callable[[int, Fault, float], None]] = {
            Interrupt: self._interrupt,
            Slow: self._slow,
            Corrupt: self._corrupt,
            Maintain: self._maintain,
        }
        self.kinds = {kind.index: kind for kind in pool.spec.kinds}
        self.effects = {kind.index: table[type(kind.effect)] for kind in pool.spec.kinds}
        self.effects |= {stop.index: table[type(stop.effect)] for stop in pool.spec.stops}

    def play(self, kind: int, fault: Fault, now_s: float) -> None:
        """Play one fault, or one planned stop."""
        self.effects[kind](kind, fault, now_s)

    def _interrupt(self, kind: int, fault: Fault, now_s: float) -> None:
        """Interrupt the jobs of the nodes, and send to repair the nodes that need it."""
        nodes = self.nodes
        if fault.origin >= 0 and self._is_silent(fault.origin, kind):
            return
        interrupted: set[int] = set()
        sent: SentTogether = []
        found_idle = False
        for node, repair_s in zip(fault.nodes, fault.repairs_s, strict=True):
            where = nodes.where[node]
            job = self.jobs[where] if where >= 0 else None
            if self._is_missed(node, where, kind, fault):
                continue
            found_idle |= job is None
            if job is not None and where not in interrupted:
                interrupted.add(where)
                job.interrupt(now_s, fault.restart_s, fault.level)
            nodes.begin_again(node, now_s)
            if fault.takes:
                self.pool.send_to_repair(node, job, now_s)
                if self._is_retired(node, now_s):
                    continue
                sent.append((node, repair_s))
            if fault.lifetime_s < math.inf:
                if fault.takes:
                    self._renew_when_restored(MENDED, node, kind, fault)
                else:
                    self._renew(node, kind, fault, now_s)
        if interrupted:
            self.counts["interruptions"][kind] += len(interrupted)
        elif found_idle:
            self.counts["idle_faults"][kind] += 1
        if sent:
            self.pool.repairs.repair(sent, fault.automatic_s, now_s)

    def _is_missed(self, node: int, where: int, kind: int, fault: Fault) -> bool:
        """Return whether a fault does nothing to a node: it is gone, in repair, or not busy."""
        spec = self.kinds[kind]
        if self.generations.is_void(node, spec, fault):
            return True
        if where == IN_REPAIR and spec.lifetime is not None:  # replaced while in repair
            self._renew_when_restored(EXCHANGED, node, kind, fault)
        return self._is_silent(node, kind)

    def _is_silent(self, node: int, kind: int) -> bool:
        """Return whether a node has no faults: it is in repair, or not busy."""
        where = self.nodes.where[node]
        if where == IN_REPAIR or not self.kinds[kind].is_busy:
            return where == IN_REPAIR
        return where == FREE or (where >= 0 and self.jobs[where].is_blocked)

    def _slow(self, kind: int, fault: Fault, now_s: float) -> None:
        """Let a node hold its job back for a while; nothing is interrupted."""
        (node,), effect = fault.nodes, self.kinds[kind].effect
        where = self.nodes.where[node]
        if where == IN_REPAIR:
            return
        assert isinstance(effect, Slow)
        self.counts["slowdowns" if where >= 0 else "idle_faults"][kind] += 1
        ticket = object()
        self.pool.slow.setdefault(node, {})[ticket] = effect.to_frac
        self.pool.when_repaired(now_s + fault.lasts_s, node, partial(self._fast, node, ticket))
        self.pool.set_paces(now_s)

    def _fast(self, node: int, ticket: object, now_s: float) -> None:
        shares = self.pool.slow.get(node, {})
        shares.pop(ticket, None)
        if not shares:
            self.pool.slow.pop(node, None)
        self.pool.set_paces(now_s)
        self.pool.await_ends()

    def _corrupt(self, kind: int, fault: Fault, now_s: float) -> None:
        """Damage the job of a node, if it has one; it is found later."""
        where = self.nodes.where[fault.nodes[0]]
        if where >= 0:
            then = partial(self._found, kind, fault, self.jobs[where], now_s)
            self._fault_at(now_s + fault.found_s, fault.nodes[0], then)
        elif where != IN_REPAIR:
            self.counts["idle_faults"][kind] += 1

    def _found(self, kind: int, fault: Fault, job: Job, since_s: float, now_s: float) -> None:
        """Interrupt a job whose state is damaged since a time; its node goes if it still has it."""
        if not job.runs:
            return
        self.counts["interruptions"][kind] += 1
        job.interrupt(now_s, fault.restart_s, fault.level, clean_by_s=since_s)
        (node,) = fault.nodes
        if fault.takes and self.nodes.where[node] == job.index:
            self.pool.send_to_repair(node, job, now_s)
            if not self._is_retired(node, now_s):
                self.pool.repairs.repair([(node, fault.repairs_s[0])], fault.automatic_s, now_s)
        self.pool.await_ends()

    def _maintain(self, kind: int, fault: Fault, now_s: float) -> None:
        """Let all jobs save and stop; or take nodes out: idle ones now, others once saved."""
        if not fault.takes:
            for job in list(self.pool.jobs.values()):
                self.counts["interruptions"][kind] += job.stop(now_s, fault.lasts_s)
            return
        where = self.nodes.where
        group = list(self.pool.spec.stop(kind).group(fault.nodes[0], len(where)))
        self._take_out(None, group, fault, now_s)
        for job in [job for pool in self.pool.near for job in pool.jobs.values()]:
            own = [node for node in group if where[node] == job.index]
            if own and job.stop(now_s, 0.0):
                self.counts["interruptions"][kind] += 1
                job.when_saved(now_s, partial(self._take_out, job, own, fault))

    def _take_out(self, job: Job | None, group: list[int], fault: Fault, now_s: float) -> None:
        """Take out nodes that are idle, or with a job that has saved for it."""
        is_interrupted = False
        for node in group:
            where = self.nodes.where[node]
            if where == FREE or (job is None and where <= SERVICE):
                self.pool.send_to_repair(node, None, now_s)
            elif job is not None and where == job.index:
                if not is_interrupted:
                    restart_s = max(fault.restart_s, job.restart_left_s(now_s))
                    job.interrupt(now_s, restart_s, level=1)
                    is_interrupted = True
                self.pool.send_to_repair(node, job, now_s)
            else:
                continue
            then = partial(self.pool.restored, node)
            self.pool.when_repaired(now_s + fault.lasts_s, node, then)
        self.pool.set_paces(now_s)
        if is_interrupted:
            self.pool.await_ends()

    def _fault_at(self, time_s: float, node: int, then: Then) -> None:
        self.pool.calendar.at(time_s, Rank.FAULT, then, self.pool.index, node)

    def _renew_when_restored(self, order: int, node: int, kind: int, fault: Fault) -> None:
        then = partial(self._renew, node, kind, fault)
        self.pool.renewals.setdefault(node, []).append((order, kind, then))

    def _renew(self, node: int, kind: int, fault: Fault, now_s: float) -> None:
        """Let a node that is restored live until its next fault of a kind."""
        chain, nth = fault.chain, fault.nth + 1
        if fault.generation and chain < 0:  # it came later
            nth = 0
        self._fault_again(now_s + fault.lifetime_s, kind, node, chain, nth)

    def _fault_again(self, at_s: float, kind: int, node: int, chain: int, nth: int) -> None:
        """Await the fault of a node that is `nth` of its chain; 0 is the next of one that came."""
        then = self.generations.if_it_stands(node, partial(self._next, kind, node, chain, nth))
        self._fault_at(at_s, node, then)

    def _next(self, kind: int, node: int, chain: int, nth: int, now_s: float) -> None:
        self.play(kind, self.generations.read(self.kinds[kind], node, chain, nth), now_s)
        self.pool.await_ends()

    def _is_retired(self, node: int, now_s: float) -> bool:
        """Note that a node was sent to repair; return whether it is replaced for good instead."""
        if self.pool.spec.retire is None or (wait := self.generations.retire(node, now_s)) is None:
            return False
        self.pool.renewals.pop(node, None)
        self.pool.when_repaired(now_s + wait, node, partial(self._come, node))
        return True

    def _come(self, node: int, now_s: float) -> None:
        """Let a new node stand in a place: its own faults are awaited from now on."""
        self.generations.come(node, now_s)
        for kind in self.pool.spec.kinds:
            if kind.rate_per_node_s and kind.lemons is not None:
                self._await_own(kind.index, node, 0)
            elif kind.rate_per_node_s and kind.lifetime is not None:
                first_s = now_s + self.generations.since_s(kind, node, 0)
                self._fault_again(first_s, kind.index, node, -1, 0)
        self.pool.restored(node, now_s)

    def _await_own(self, kind: int, node: int, nth: int) -> None:
        """Await the fault of a node of unlike ones that is `nth` by its own rate."""
        came_s = self.generations.came_s[node]
        at_s = came_s + self.generations.since_s(self.kinds[kind], node, nth)
        then = partial(self._own_fault, kind, node, nth)
        self._fault_at(at_s, node, self.generations.if_it_stands(node, then))

    def _own_fault(self, kind: int, node: int, nth: int, now_s: float) -> None:
        self._await_own(kind, node, nth + 1)  # void if this very fault retires it
        self._next(kind, node, -1, 0, now_s)
