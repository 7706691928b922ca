"""One pool in one run: nodes that go to repair and come back, and what stands in for them.

Which nodes a job is given is the pool's choice (``groups.py``, where a placement is stated).

Long because nodes, their repairs and the jobs that hold them move together.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from functools import partial

from computeplan.engines.event.books import Books
from computeplan.engines.event.calendar import Calendar, Rank, Then
from computeplan.engines.event.groups import Groups
from computeplan.engines.event.instances import Instances
from computeplan.engines.event.job import Job
from computeplan.ledger import IDLE, REPAIR, TRAIN
from computeplan.world.faults import Slow
from computeplan.world.pools import Pool
from computeplan.world.signals import Signal

__all__ = ["FREE", "IN_REPAIR", "SERVICE", "PoolNodes", "PoolRun", "SentTogether"]

FREE, IN_REPAIR = -1, -2  # where a node is, if not with a job
SERVICE = -3  # with the first service; with others at lower numbers
SentTogether = list[tuple[int, float]]
"""Nodes that were sent to repair together, and how long the repair of each takes. [s]"""


class _Repairs:
    """The repairs of a pool: first what needs no crew, then the crews, in order of coming.

    Nodes that one fault sent together are mended by one crew.
    """

    def __init__(
        self,
        n_crews: int | None,
        later: Callable[[float, int, Then], None],
        restored: Callable[[int, float], None],
    ) -> None:
        self.has_limit, self.n_free = n_crews is not None, n_crews or 0
        self.waiting: deque[SentTogether] = deque()
        self.n_repairs = 0
        self.later, self.restored = later, restored

    def repair(self, sent: SentTogether, automatic_s: float, now_s: float) -> None:
        """Repair nodes that were sent together."""
        self.n_repairs += len(sent)
        if automatic_s:
            self.later(now_s + automatic_s, sent[0][0], partial(self._call, sent))
        else:
            self._call(sent, now_s)

    def _call(self, sent: SentTogether, now_s: float) -> None:
        needs_crew = self.has_limit and sent[0][1] > 0  # 0: what was tried first has mended it
        if needs_crew and not self.n_free:
            self.waiting.append(sent)
            return
        self.n_free -= needs_crew
        for i, (node, repair_s) in enumerate(sent):
            then = partial(self._mended, node, needs_crew and i == 0)
            self.later(now_s + repair_s, node, then)

    def _mended(self, node: int, frees_crew: bool, now_s: float) -> None:
        if frees_crew:
            self.n_free += 1
            if self.waiting:
                self._call(self.waiting.popleft(), now_s)
        self.restored(node, now_s)


class PoolNodes:
    """The nodes of one pool: where each is, and what has been booked of them.

    They are counted over time (idle, in repair), apart from the batch engine's sums over nodes, so
    that the two engines can check one another. Where pools share their spares, a job may hold nodes
    of another pool than its own; their time in the job is booked with it, on its pool.
    """

    def __init__(self, spec: Pool, signals: tuple[Signal, ...]) -> None:
        self.spec, self.boots = spec, spec.boots
        self.held: defaultdict[int, set[int]] = defaultdict(set)  # by jobs, by their index
        total = spec.n_nodes + spec.n_spare_nodes
        self.where = [FREE] * total
        self.fresh = 0  # nodes from here on have never been touched, unless `visit` says otherwise
        self.free: deque[tuple[int, int]] = deque()  # node, visit; longest free first; may be stale
        self.visit = [0] * total
        self.n_free, self.n_in_repair, self.n_promised = total, 0, 0
        self.since_s = 0.0
        self.counts_only = False  # whether it matters which nodes a job holds
        self.n_held: dict[int, int] = {}  # by job, where it does not
        self.books = Books((-1, -1), signals, None)
        self.served: dict[int, Books] = {}  # of services that may hold nodes, by their number
        self.instances: dict[int, Instances] = {}  # of the same
        self.n_asked = 0  # nodes that these hold together where each needs most
        self.lent_node_s = 0.0
        self.told: list[tuple[float, ...]] | None = None  # idle and in repair, if asked
        self.spare_states = [(n, ready_s) for n, ready_s in spec.spare_states if n]
        self.filled_s = [[0.0] * n for n, _ in self.spare_states]
        self.groups = None if spec.placement is None else Groups(spec.placement, total)
        self.placing: tuple[PoolNodes, ...] = ()  # those with a placement, of this and the others
        self.share_spares(())

    def share_spares(self, others: tuple[PoolNodes, ...]) -> None:
        """Let nodes that other pools have to spare stand in for those of this one."""
        self.others = others
        self.placing = tuple(one for one in (self, *others) if one.groups is not None)

    def book(self, now_s: float) -> None:
        """Book idle, repair and services up to now; before any count changes."""
        if now_s > self.since_s:
            n_chips = self.spec.chips_per_node
            if self.n_free:
                self.books.book(IDLE, self.since_s, now_s, self.n_free * n_chips)
            if self.n_in_repair:
                self.books.book(REPAIR, self.since_s, now_s, self.n_in_repair * n_chips)
            if self.served:
                n_served = 0
                for service, books in self.served.items():
                    if n := len(self.held[service]):
                        books.book(TRAIN, self.since_s, now_s, n * n_chips)
                        n_served += n
                self.lent_node_s += self._n_lent(n_served) * (now_s - self.since_s)
            if self.groups is not None:
                self.groups.book(now_s - self.since_s)
            if self.told is not None:
                drawn = self.books.drawn
                counts = (
                    self.n_free * n_chips * drawn[IDLE],
                    self.n_in_repair * n_chips * drawn[REPAIR],
                )
                self.told.append((self.since_s, now_s, *counts))
            self.since_s = now_s

    def _n_lent(self, n_served: int) -> int:
        """Return the nodes of jobs, beyond those that no service asks for, that services lend."""
        n_of_jobs = len(self.where) - self.n_free - self.n_in_repair - n_served
        n_never_asked = len(self.where) - self.n_asked
        return max(0, min(self.n_asked - n_served, n_of_jobs - n_never_asked))

    def set_power(self, now_s: float, drawn: tuple[float, ...]) -> None:
        """Let idle nodes, and those in repair, draw shares of their power from now on."""
        if drawn != self.books.drawn:
            self.book(now_s)
            self.books.drawn = drawn

    @property
    def n_to_spare(self) -> int:
        """Free nodes that the jobs it still has room for would not need."""
        return self.n_free - (self.spec.n_nodes - self.n_promised)

    def across(self, job: int) -> float:
        """Return the share of its speed that a job of this pool has as its nodes lie now."""
        is_spread = self.groups is not None and job in self.groups.spread
        return self.spec.across_frac if is_spread else 1.0

    def lies_on(self, job: int) -> tuple[int, int]:
        """Return the groups that a job of this pool lies on, and its nodes, lent ones too."""
        n_groups = n_nodes = 0
        for nodes in (self, *self.others):
            n_here = len(nodes.held[job])
            n_nodes += n_here
            n_groups += n_here > 0 if nodes.groups is None else len(nodes.groups.on[job])
        return n_groups, n_nodes

    def _note_moved(self, job: int, now_s: float) -> None:
        """Let the pool of a job, if it has a placement, know that its nodes have moved."""
        for nodes in self.placing:
            if nodes.groups is not None and job in nodes.groups.least:
                nodes.book(now_s)
                nodes.groups.note(job, *nodes.lies_on(job))

    def give_own(self, job: int, now_s: float) -> int:
        """Move a free node to a job, as the pool chooses, and return it. There is one."""
        self.book(now_s)
        if self.groups is not None and self.groups.chooses:
            node = self.groups.one_more(job)
        else:
            node = self._free_longest()
        self._hold(node, job)
        self._note_moved(job, now_s)
        return node

    def _hold(self, node: int, job: int) -> None:
        self.where[node] = job
        self.n_free -= 1
        self.held[job].add(node)
        if self.groups is not None:
            self.groups.give(node, job)

    def _free_longest(self) -> int:
        """Return the node that has been free longest, or the lowest of several."""
        where, visit = self.where, self.visit
        while self.fresh < len(where):
            node = self.fresh
            self.fresh += 1
            if where[node] == FREE and visit[node] == 0:
                break
        else:
            node, at_visit = self.free.popleft()
            while where[node] != FREE or visit[node] != at_visit:
                node, at_visit = self.free.popleft()
        return node

    def give(self, job: int, now_s: float) -> PoolNodes | None:
        """Move a free node to a job on this pool, and return whose it was; None if there is none.

        It is one from here, or else from where others can spare one.
        """
        if self.n_free:
            self.give_own(job, now_s)
            return self
        for other in self.others:
            if other.n_to_spare > 0:
                other.give_own(job, now_s)
                return other
        return None

    def give_many(self, job: int, n: int, now_s: float) -> None:
        """Move `n` free nodes to a job on this pool; there are as many."""
        self.book(now_s)
        if self.counts_only:
            self.n_held[job] = n
            self.n_free -= n
            return
        if self.groups is not None:
            self._give_gang(self.groups, job, n, now_s)
            return
        first, last = self.fresh, self.fresh + n
        if last <= len(self.where) and not any(self.visit[first:last]):  # none ever touched
            self.where[first:last] = [job] * n
            self.held[job].update(range(first, last))
            self.fresh = last
            self.n_free -= n
        else:
            for _ in range(n):
                self.give(job, now_s)

    def _give_gang(self, groups: Groups, job: int, n: int, now_s: float) -> None:
        if groups.chooses:
            for node in groups.for_gang(min(n, self.n_free)):
                self._hold(node, job)
        for _ in range(n - len(self.held[job])):
            self.give(job, now_s)
        groups.start(job, *self.lies_on(job))

    def take_back(self, job: int, now_s: float) -> None:
        """Move all nodes of a job that has ended to the free ones, wherever they come from."""
        if self.counts_only:
            self.book(now_s)
            self.n_free += self.n_held.pop(job)
            return
        for nodes in (self, *self.others):
            nodes.book(now_s)
            for node in sorted(nodes.held.pop(job, ())):
                nodes.release(node)
            if nodes.groups is not None:
                nodes.groups.end(job)

    def give_more(self, job: int, n: int, n_target: int, now_s: float) -> None:
        """Move `n` free nodes to a job on this pool that grows; it should hold `n_target` then."""
        if self.counts_only:
            self.book(now_s)
            self.n_held[job] += n
            self.n_free -= n
            return
        if self.groups is not None:
            self.groups.aim_at(job, n_target)
        for _ in range(n):
            self.give(job, now_s)

    def take_some(self, job: int, n: int, n_target: int, now_s: float) -> None:
        """Move `n` nodes of a job that shrinks to the free ones, borrowed ones first."""
        self.book(now_s)
        if self.counts_only:
            self.n_held[job] -= n
            self.n_free += n
            return
        if self.groups is not None:
            self.groups.aim_at(job, n_target)
        for nodes in (*self.others, self):
            n -= nodes.let_go(job, n, now_s)
        self._note_moved(job, now_s)

    def let_go(self, job: int, n: int, now_s: float) -> int:
        """Move up to `n` nodes of this pool from a job to the free ones; return how many."""
        self.book(now_s)
        n = min(n, len(self.held.get(job, ())))
        for _ in range(n):
            held = self.held[job]
            node = max(held) if self.groups is None else self.groups.one_less(job, held)
            held.discard(node)
            if self.groups is not None:
                self.groups.leave(node, job)
            self.release(node)
        return n

    def serve(self, service: int, n: int, now_s: float) -> None:
        """Move `n` free nodes of this pool to a service; there is room for as many."""
        self.n_promised += n
        for _ in range(n):
            self.instances[service].take(self.give_own(service, now_s), now_s)

    def give_up(self, service: int, n: int, now_s: float) -> None:
        """Move `n` nodes of this pool from a service to the free ones."""
        self.book(now_s)
        self.n_promised -= n
        instances = self.instances[service]
        for node in instances.last(n, now_s):
            instances.leave(node, now_s)
            self.held[service].discard(node)
            if self.groups is not None:
                self.groups.leave(node, service)
            self.release(node)

    def begin_again(self, node: int, now_s: float) -> None:
        """Let a service, if it holds a node, start the instance of that node anew."""
        if self.where[node] <= SERVICE:
            self.instances[self.where[node]].begin_again(node, now_s)

    def take_spare(self, now_s: float, state: int = 0) -> float:
        """Take the warmest spare, fill its place from the next colder; return how long it boots."""
        ready_s = self.spare_states[state][1]
        if state == len(self.spare_states) - 1:
            return ready_s
        filled_s = self.filled_s[state]  # when each place is
        place = min(range(len(filled_s)), key=filled_s.__getitem__)
        wait_s = max(filled_s[place] - now_s, 0.0)
        filled_s[place] = now_s + self.take_spare(now_s, state + 1)
        return wait_s + ready_s

    def send_to_repair(self, node: int, now_s: float) -> None:
        """Move a node out of its job, or of the free ones, into repair; the caller counts it."""
        self.book(now_s)
        where = self.where[node]
        self.n_in_repair += 1
        self.where[node] = IN_REPAIR
        self.visit[node] += 1
        if where == FREE:
            self.n_free -= 1
            if self.groups is not None:
                self.groups.take(node)
            return
        self.held[where].discard(node)
        if where <= SERVICE:  # it may take any other
            self.n_promised -= 1
            self.instances[where].leave(node, now_s, is_lost=True)
        if self.groups is not None:
            self.groups.leave(node, where)
        self._note_moved(where, now_s)

    def release(self, node: int) -> None:
        """Move a node of a job or in repair to the free ones."""
        self.where[node] = FREE
        self.visit[node] += 1
        self.n_free += 1
        if self.groups is None or not self.groups.chooses:
            self.free.append((node, self.visit[node]))
        if self.groups is not None:
            self.groups.put(node)

    @property
    def own_room(self) -> int:
        """Nodes of this pool that a service could hold now."""
        return min(self.spec.n_nodes - self.n_promised, self.n_free)

    @property
    def room(self) -> int:
        """Nodes that a job could hold now: spares stand in for what is in repair, no more."""
        free, open_nodes = self.n_free, self.spec.n_nodes - self.n_promised
        if self.others:
            free += sum(max(other.n_to_spare, 0) for other in self.others)
        return free if free < open_nodes else open_nodes  # noqa: FURB136 (sooner than min)


class PoolRun:
    """The nodes of one pool, and the jobs on it.

    The engine gives what it does when jobs go on, when nodes are free, and when nodes were taken,
    at a time. [s]
    """

    def __init__(
        self,
        index: int,
        spec: Pool,
        calendar: Calendar,
        signals: tuple[Signal, ...],
        await_ends: Callable[[], None],
        call_policy: Then,
        note_taken: Then,
    ) -> None:
        self.index, self.spec, self.calendar = index, spec, calendar
        self.await_ends, self.call_policy, self.note_taken = await_ends, call_policy, note_taken
        self.nodes = PoolNodes(spec, signals)
        self.jobs: dict[int, Job] = {}
        self.is_quiet = False  # whether nothing ever happens to its nodes
        self.near: tuple[PoolRun, ...] = (self,)  # and those with which it shares spares
        self.repairs = _Repairs(spec.n_crews, self.when_repaired, self.restored)
        # What a node begins when it is restored: order, kind, and what to do then.
        self.renewals: dict[int, list[tuple[int, int, Then]]] = {}
        self.slow: dict[int, dict[object, float]] = {}  # by node: shares of speed
        self.has_slow = any(isinstance(kind.effect, Slow) for kind in spec.kinds)
        self.has_across = spec.across_frac < 1

    def share_spares(self, others: list[PoolRun]) -> None:
        """Let nodes that other pools have to spare stand in for those of this one."""
        self.near = (self, *others)
        self.has_slow = any(pool.has_slow for pool in self.near)
        self.has_across = any(pool.has_across for pool in self.near)
        self.nodes.share_spares(tuple(pool.nodes for pool in others))

    def when_repaired(self, time_s: float, node: int, then: Then) -> None:
        """Let something happen when a node has been in repair for long enough."""
        self.calendar.at(time_s, Rank.REPAIRED, then, self.index, node)

    def send_to_repair(self, node: int, job: Job | None, now_s: float) -> None:
        """Send a node to repair, and replace it in its job; a service looks for another."""
        is_served = self.nodes.where[node] <= SERVICE
        self.nodes.send_to_repair(node, now_s)
        if is_served:
            self.call_policy(now_s)
        self.slow.pop(node, None)
        if job is not None:
            self._replace(job, now_s)
        self.note_taken(now_s)  # of idle ones, or of those that stand in
        self.set_paces(now_s)

    def _replace(self, job: Job, now_s: float) -> None:
        pool = self
        if job.index not in self.jobs:  # it has borrowed the node
            pool = next(near for near in self.near if job.index in near.jobs)
        lender, here = None, pool.index
        if not (job.is_blocked and job.allocation.on(here).n_short):
            lender = pool.nodes.give(job.index, now_s)
        if lender is None:
            job.move(now_s, here, 1)
        elif lender.boots and (boot_s := lender.take_spare(now_s)):
            job.move(now_s, here, 0, 1)
            self.when_repaired(now_s + boot_s, -1, partial(self._booted, job, here))

    def _booted(self, job: Job, pool: int, now_s: float) -> None:
        if job.runs:
            job.move(now_s, pool, 0, -1)
            self.await_ends()

    def restored(self, node: int, now_s: float) -> None:
        """Give a node that is whole again to a job that lacks one, or else let it be free."""
        nodes = self.nodes
        nodes.book(now_s)
        nodes.n_in_repair -= 1
        nodes.release(node)
        if node in self.renewals:
            for *_, renew in sorted(self.renewals.pop(node), key=lambda one: one[:2]):
                renew(now_s)
        if self.hand_out(now_s):
            self.await_ends()
        else:
            self.call_policy(now_s)

    def hand_out(self, now_s: float) -> bool:
        """Give free nodes to jobs that lack some, their own pool's first; return whether any did.

        Those that have lacked nodes for longest come first.
        """
        lacking = self._lacking()
        if not lacking:
            return False
        while lacking:
            pool, job = min(lacking, key=lambda one: (one[1].missing_since_s, one[1].index))
            self.nodes.give_own(job.index, now_s)
            job.move(now_s, pool, -1)
            lacking = self._lacking()
        self.set_paces(now_s)
        return True

    def _lacking(self) -> list[tuple[int, Job]]:
        """Return the pools and jobs among which the next free node goes, if there is one."""
        if not self.nodes.n_free:
            return []
        lacking = self.short()
        if lacking or not self.nodes.others or self.nodes.n_to_spare <= 0:
            return lacking
        return [one for pool in self.near[1:] for one in pool.short()]

    def short(self) -> list[tuple[int, Job]]:
        """Return this pool, and the jobs that lack nodes of it."""
        here = self.index
        return [(here, job) for job in self.jobs.values() if job.allocation.on(here).n_short]

    def set_paces(self, now_s: float) -> None:
        """Tell jobs their speed, after nodes have moved: the slowest node and how they lie.

        Slowness belongs to a node: it goes along to another job, and ends where the node goes to
        repair. Without slow nodes only jobs whose nodes have moved are told.
        """
        if not (self.has_slow or self.has_across):
            return
        paces: dict[int, float] = {}
        for pool in self.near:
            for node, shares in pool.slow.items():
                job = pool.nodes.where[node]
                if job not in (FREE, IN_REPAIR):
                    paces[job] = min(paces.get(job, 1.0), *shares.values())
        for pool in self.near:
            told: Iterable[int] = pool.jobs
            if not self.has_slow:
                told = pool.nodes.groups.lately_moved() if pool.nodes.groups is not None else ()
            for job in told:
                if job in pool.jobs:
                    pace = paces.get(job, 1.0) * pool.nodes.across(job)
                    pool.jobs[job].set_pace(now_s, pool.index, pace)
