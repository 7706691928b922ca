"""What every policy must keep, checked by playing small random loads.

A load is finite: a few jobs on a few pools, some of them hit by faults. It is played by a loop of
its own, without an engine, in exact arithmetic: a job trains at its speed, or the share of it that
a power cap leaves, a stop takes a save, a fault throws a job back to its last save or takes a free
node away for a while. Each decision is held against the rules. A load is played twice, first with
every question asked twice, so that what a policy keeps to itself shows.

Long because a small cluster stands here whole, so that no engine can be wrong in the same way.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction

import numpy as np

from computeplan.scheduling.decision import Decision, Start
from computeplan.scheduling.registry import can, load_policy
from computeplan.scheduling.view import Policy, View
from computeplan.testing.loads import Load, random_load

__all__ = ["PolicyError", "check_policy"]

MOST_AT_ONE_TIME = 200  # decisions; a load has at most 12 jobs
MOST_DECISIONS = 10_000  # in all; a day of rounds of 9 s


class PolicyError(AssertionError):
    """A policy broke a rule; the message says which, in what load, and when."""


def check_policy(
    policy: Policy | str, *, may_starve: bool = False, loads: int = 100, seed: int = 0
) -> None:
    """Return if a policy keeps the rules on small random loads, and raise if it does not.

    The rules: the same view gives the same decision, and is left as it was; a job that is started
    waits, and its pool can hold it and has the nodes; a job that is stopped or resized runs; a job
    holds from its least nodes to all that it wants; leases are > 0, restarts >= 0, caps > 0, of
    pools that there are and by a policy that is marked with `registry.may`; `again_s` is not in
    the past; decisions at one time end; the same load gives the same decisions; and every job of a
    finite load ends.

    A start may count on nodes of its pool that come back from jobs which are being stopped: it is
    carried out when they are free, and until then its job waits and its nodes are promised. What
    a policy remembers is its own: only the effect on its decisions is looked at.

    Parameters
    ----------
    policy : callable or str
        A policy, or the name of one that is installed.
    may_starve : bool
        Whether jobs that fit may wait for ever.
    loads : int
        How many loads to play.
    seed : int
        Of the loads.

    Raises
    ------
    PolicyError
        At the first rule that is broken; an `AssertionError`.
    ValueError
        If there is no policy of that name.

    Examples
    --------
    >>> from computeplan.scheduling.decision import Decision, Start
    >>> def first_come(view):
    ...     for job in view.queue:
    ...         for pool in view.pools_for(job):
    ...             if view.nodes(job, pool) <= view.free[pool]:
    ...                 return Decision([Start(job, pool)], again_s=view.now_s)
    ...         break  # no one overtakes the first
    ...     return Decision()
    >>> check_policy(first_come, loads=10)
    >>> check_policy(lambda view: Decision([Start(job, 0) for job in view.queue]))
    ... # doctest: +ELLIPSIS
    Traceback (most recent call last):
    computeplan.testing.policy_check.PolicyError: load 0 at ... on pool 0, which has 0 free...
    """
    decide = load_policy(policy) if isinstance(policy, str) else policy
    for number in range(loads):
        load = random_load(seed, number)
        plays = [
            _Play(decide, load, number, may_starve=may_starve, asks_twice=asks_twice)
            for asks_twice in (True, False)
        ]
        for play in plays:
            play.run()
        first, second = (play.decided for play in plays)
        if first != second:
            at = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
            message = f"load {number}: decision {at} is another when the load is played again"
            raise PolicyError(f"{message}: a policy must keep nothing but its memory")


# -- the loop --------------------------------------------------------------------------------------


@dataclass
class _Stretch:
    """A job that holds nodes: what was left at its last save, and how it trains since a time."""

    left: Fraction
    speed: Fraction  # for each node
    n_nodes: int
    train_s: Fraction
    lease_end_s: Fraction | None
    done: Fraction = Fraction(0)
    """Since the last save, up to `train_s`."""
    power: Fraction = Fraction(1)
    """The share of its speed that a cap leaves."""
    version: int = 0  # of what was announced: an older entry of the calendar is void

    def left_at(self, now_s: Fraction) -> Fraction:
        trained_s = max(Fraction(0), now_s - self.train_s)
        return self.left - self.done - trained_s * self.rate

    @property
    def rate(self) -> Fraction:
        return self.speed * self.n_nodes * self.power


class _Play:
    """One load played once with one policy."""

    def __init__(
        self, policy: Policy, load: Load, number: int, *, may_starve: bool, asks_twice: bool
    ) -> None:
        self.policy, self.load, self.number, self.may_starve = policy, load, number, may_starve
        self.asks_twice = asks_twice
        self.view = View(load.jobs, load.pools, load.tenants)
        self.view.done_frac = self._progress
        self.now_s = Fraction(0)
        self.left = {j: Fraction(float(work)) for j, work in enumerate(load.jobs.work)}
        self.stretches: dict[int, _Stretch] = {}
        self.promised: dict[int, Start] = {}
        self.cap_w: dict[int, float] = {}
        self.decided: list[object] = []
        self.calendar: list[tuple[Fraction, int, str, tuple[int, ...]]] = []
        self.n_entries, self.n_at_one_time = 0, 0
        for job, arrival_s in enumerate(load.jobs.arrival_s):
            self._at(Fraction(float(arrival_s)), "arrives", job)
        for time_s, pool, away_s in load.faults:
            self._at(Fraction(time_s), "fault", pool, away_s)

    def run(self) -> None:
        """Play until nothing more can happen."""
        while self.calendar:
            time_s = self.calendar[0][0]
            self.n_at_one_time = self.n_at_one_time + 1 if time_s == self.now_s else 0
            if self.n_at_one_time > MOST_AT_ONE_TIME:
                self._broken(f"is asked {MOST_AT_ONE_TIME} times at one time, without end")
            self.now_s, self.view.now_s = time_s, float(time_s)
            happened = False
            while self.calendar and self.calendar[0][0] == time_s:
                _, _, what, which = heapq.heappop(self.calendar)
                happened |= self._happens(what, *which)
            if not happened:
                continue
            self._start_promised()
            self._hold_to_caps()
            if len(self.decided) == MOST_DECISIONS:
                if self.may_starve:
                    return
                self._broken(f"is asked {MOST_DECISIONS} times, and jobs have not ended")
            if self.view.queue or self.view.running:
                self._decide()
                self._hold_to_caps()
        if not self.may_starve and self.left:
            waiting = ", ".join(map(str, sorted(self.left)))
            self._broken(f"leaves jobs waiting for ever that fit: {waiting}")

    def _broken(self, what: str) -> None:
        raise PolicyError(f"load {self.number} at {float(self.now_s)} s: {what}")

    def _at(self, time_s: Fraction, what: str, *which: int) -> None:
        self.n_entries += 1
        heapq.heappush(self.calendar, (time_s, self.n_entries, what, which))

    def _progress(self, job: int) -> float:
        left = self.stretches[job].left_at(self.now_s)
        return 1.0 - float(left / Fraction(float(self.load.jobs.work[job])))

    # -- what happens ----------------------------------------------------------------------------

    def _happens(self, what: str, first: int, *more: int) -> bool:
        """Let something happen; return whether it does: an entry may be void by now."""
        if what == "arrives":
            self.view.enqueue(first)
        elif what == "fault":
            self._fault(first, *more)
        elif what == "repaired":
            self.view.free[first] += 1
        elif what == "asked":  # the last decision says when
            return first == len(self.decided)
        elif first not in self.stretches or more[0] != self.stretches[first].version:
            return False
        elif what == "shrunk":
            self._hold(first, self.view.shrinking[first])
        elif what == "lease" and self.stretches[first].left_at(self.now_s) > 0:
            self._save(first)
        else:
            self._leave(first, what)
        return True

    def _leave(self, job: int, what: str) -> None:
        for pool, n_nodes in self.view.running[job].parts:
            self.view.free[pool] += n_nodes
        self.view.leave(job)
        del self.stretches[job]
        if what == "saved":
            whole = Fraction(float(self.load.jobs.work[job]))
            self.view.enqueue(job, float(self.left[job] / whole))
        else:
            del self.left[job]

    def _fault(self, pool: int, away_s: int) -> None:
        """Take a free node away; if none is free, throw the first job back to its last save."""
        if self.view.free[pool] > 0:
            self.view.free[pool] -= 1
            self._at(self.now_s + away_s, "repaired", pool)
            return
        for job, run in self.view.running.items():
            is_here = pool in dict(run.parts)
            if is_here and job not in {*self.view.stopping, *self.view.shrinking}:
                stretch = self.stretches[job]
                stretch.train_s, stretch.done = max(self.now_s, stretch.train_s), Fraction(0)
                self._announce(job)
                return

    def _announce(self, job: int) -> None:
        """Tell when a job will end, or its lease."""
        stretch = self.stretches[job]
        stretch.version = self.n_entries  # no entry so far is of this one
        end_s = stretch.train_s + (stretch.left - stretch.done) / stretch.rate
        self._at(end_s, "ends", job, stretch.version)
        if stretch.lease_end_s is not None and stretch.lease_end_s < end_s:
            self._at(max(stretch.lease_end_s, self.now_s), "lease", job, stretch.version)
            end_s = stretch.lease_end_s + self.load.save_s
        if job in self.view.running:
            self.view.expect(job, float(end_s))

    def _save(self, job: int) -> None:
        """Let a job save what it has done; then it gives its nodes back."""
        stretch, end_s = self.stretches[job], self.now_s + self.load.save_s
        self.left[job] = stretch.left_at(self.now_s)
        stretch.version = self.n_entries  # no entry so far is of this one
        if self.load.save_s == 0:
            self._leave(job, "saved")
            self._at(self.now_s, "asked", len(self.decided))  # as whenever nodes come free
            return
        self.view.stopping.add(job)
        self.view.expect(job, float(end_s))
        self._at(end_s, "saved", job, stretch.version)

    def _shrink(self, job: int, n_nodes: int) -> None:
        """Let a job save what it has done; then it gives some nodes back."""
        stretch = self.stretches[job]
        stretch.left, stretch.done = stretch.left_at(self.now_s), Fraction(0)
        stretch.train_s = max(stretch.train_s, self.now_s + self.load.save_s)
        stretch.version = self.n_entries
        if self.load.save_s == 0:
            self._hold(job, n_nodes)
            self._at(self.now_s, "asked", len(self.decided))
            return
        self.view.shrinking[job] = n_nodes
        self._at(self.now_s + self.load.save_s, "shrunk", job, stretch.version)

    def _hold(self, job: int, n_nodes: int) -> None:
        """Let a job train with another number of nodes."""
        stretch, run = self.stretches[job], self.view.running[job]
        stretch.left, stretch.done = stretch.left_at(self.now_s), Fraction(0)
        stretch.train_s, stretch.n_nodes = max(stretch.train_s, self.now_s), n_nodes
        self.view.free[run.pool] += run.n_nodes - n_nodes
        self.view.resize(job, n_nodes)
        self._announce(job)

    def _hold_to_caps(self) -> None:
        """Let jobs train at the share of their speed that the caps of their pools leave."""
        powers, leaving = {}, {*self.view.stopping, *self.view.shrinking}
        for pool, cap_w in self.cap_w.items():
            draw_w = self.view.held[pool] * Fraction(float(self.load.pools.train_w[pool]))
            powers[pool] = Fraction(cap_w) / draw_w if draw_w > cap_w else Fraction(1)
        for job, run in self.view.running.items():
            stretch = self.stretches[job]
            power = min(powers.get(pool, Fraction(1)) for pool, _ in run.parts)
            if power != stretch.power and job not in leaving:
                stretch.done = stretch.left - stretch.left_at(self.now_s)
                stretch.train_s = max(self.now_s, stretch.train_s)
                stretch.power = power
                self._announce(job)

    # -- what the policy decides -----------------------------------------------------------------

    def _note_headroom(self) -> None:
        """Let the view tell what the limits of sites leave; jobs take no heed of them."""
        pools, left_w = self.load.pools, list(self.load.site_w)
        assert pools.site is not None
        assert pools.held_w is not None
        for p, n_nodes in enumerate(self.view.held):
            left_w[pools.site[p]] -= n_nodes * float(pools.held_w[p])
        self.view.headroom_w[:] = [left_w[site] for site in pools.site]

    def _decide(self) -> None:
        self._note_headroom()
        view, before = self.view, _seen(self.view)
        decision = self.policy(view)
        if not isinstance(decision, Decision):
            self._broken(f"returns {type(decision).__name__}, not a Decision")
        told = _plain(decision[:-1])
        if _seen(view) != before:
            self._broken("the policy changes its view")
        if self.asks_twice and _plain(self.policy(view)[:-1]) != told:
            self._broken("the same view gives another decision")
        self.decided.append(told)
        self._carry_out(decision)
        if not decision.again_s >= view.now_s:
            self._broken(f"asks to be asked again at {decision.again_s} s, in the past")
        if decision.again_s < math.inf:
            self._at(max(Fraction(decision.again_s), self.now_s), "asked", len(self.decided))
        view.memory = decision.memory

    def _carry_out(self, decision: Decision) -> None:
        """Cap pools, stop, start and resize jobs, as far as that is allowed."""
        self._cap(decision)
        self._stop_and_start(decision, self._check_sizes(decision))

    def _cap(self, decision: Decision) -> None:
        for pool, watts in decision.cap_w.items():
            if pool not in range(len(self.view.free)):
                self._broken(f"caps pool {pool}, which there is not")
            if not watts > 0:
                self._broken(f"caps pool {pool} at {watts} W: a cap must be > 0, and inf lifts it")
            if not can(self.policy, "cap"):
                self._broken(f'caps pool {pool}, and is not marked with registry.may("cap")')
        self.cap_w.update(decision.cap_w)

    def _stop_and_start(self, decision: Decision, grows: list[tuple[int, int]]) -> None:
        for job in decision.stop:
            if job not in self.view.running:
                self._broken(f"stops job {job}, which does not run")
            if job not in self.view.stopping:
                self._save(job)
        for job, n_nodes in decision.resize:
            run = self.view.running[job]
            if n_nodes < run.n_nodes and job not in self.view.stopping | self.view.shrinking.keys():
                self._shrink(job, n_nodes)
        jobs = [start.job for start in decision.start]
        if len(set(jobs)) < len(jobs):
            self._broken(f"starts a job twice: {jobs}")
        for start in decision.start:
            self._check(start)
            self.promised[start.job] = start
            self._start_promised()
        for job, n_nodes in grows:
            run = self.view.running[job]
            if n_nodes - run.n_nodes > self.view.free[run.pool]:
                what = f"lets job {job} grow to {n_nodes} nodes on pool {run.pool}"
                self._broken(f"{what}, which has {self.view.free[run.pool]} free")
            self._hold(job, n_nodes)

    def _check_sizes(self, decision: Decision) -> list[tuple[int, int]]:
        """Return the jobs that grow."""
        view, grows = self.view, []
        jobs = [job for job, _ in decision.resize]
        if len(set(jobs)) < len(jobs) or not set(jobs).isdisjoint(decision.stop):
            self._broken(f"resizes a job twice, or one that it stops: {jobs}")
        for job, n_nodes in decision.resize:
            if job not in view.running:
                self._broken(f"resizes job {job}, which does not run")
            if view.running[job].more:
                self._broken(f"resizes job {job}, which holds nodes of several pools")
            self._check_size(job, view.running[job].pool, n_nodes)
            if n_nodes > view.running[job].n_nodes:
                grows.append((job, n_nodes))
        if grows and (decision.stop or len(grows) < len(jobs)):
            self._broken("lets jobs grow in a decision that stops or shrinks others")
        return [one for one in grows if one[0] not in view.stopping | view.shrinking.keys()]

    def _check_size(self, job: int, pool: int, n_nodes: int) -> None:
        least, most = self.view.least_nodes(job, pool), self.view.nodes(job, pool)
        if not least <= n_nodes <= most:
            what = f"lets job {job} hold {n_nodes} nodes on pool {pool}"
            self._broken(f"{what}, where it can hold {least} to {most}")

    def _check(self, start: Start) -> None:
        view, (job, pool, lease_s, restart_s, n_held, more) = self.view, start
        if job not in view.queue and job not in view.stopping:
            self._broken(f"starts job {job}, which does not wait")
        self.promised.pop(job, None)  # it is to start elsewhere
        if more:
            self._check_mixed(job, self._wants(start))
        elif pool not in view.pools_for(job):
            self._broken(f"starts job {job} on pool {pool}, which can never hold it")
        elif n_held:
            self._check_size(job, pool, n_held)
        for pool, n_nodes in self._wants(start).items():
            n_coming, free = self._coming(pool), view.free[pool]
            held = sum(self._wants(one).get(pool, 0) for one in self.promised.values())
            if n_nodes > free + n_coming - held:
                what = f"starts job {job} ({n_nodes} nodes) on pool {pool}, which has {free} free"
                self._broken(f"{what}, {n_coming} coming back, and {held} promised to others")
        if not lease_s > 0 or not 0 <= restart_s < math.inf:
            self._broken(f"starts job {job} with lease_s {lease_s} and restart_s {restart_s}")

    def _coming(self, pool: int) -> int:
        """Return the nodes of a pool that jobs give back once they have saved."""
        left = self.view.shrinking | dict.fromkeys(self.view.stopping, 0)
        runs = ((dict(self.view.running[job].parts), n) for job, n in left.items())
        return sum(parts[pool] - n for parts, n in runs if pool in parts)

    def _check_mixed(self, job: int, held: Mapping[int, int]) -> None:
        view = self.view
        if not (can(self.policy, "mix") and view.can_mix(job)):
            self._broken(f"starts job {job} on several pools: it, or the policy, may not mix")
        if not set(held) <= set(view.pools_to_mix(job)) or min(held.values()) <= 0:
            self._broken(f"starts job {job} on pools that can never hold it, or with no nodes")
        if not view.is_whole(job, [*held.items()]):
            self._broken(f"starts job {job} on nodes that do not make a whole one: {held}")

    def _wants(self, start: Start) -> dict[int, int]:
        """Return the nodes of each pool that a start takes."""
        n_nodes = start.n_nodes or self.view.nodes(start.job, start.pool)
        return {start.pool: n_nodes, **dict(start.more)}

    def _start_promised(self) -> None:
        """Start who was promised nodes that are free now; a promise that fails is let go."""
        view = self.view
        for job, start in list(self.promised.items()):
            held = self._wants(start)
            if job in view.queue and all(n <= view.free[pool] for pool, n in held.items()):
                self._start(self.promised.pop(job))
            elif job in view.queue and not any(map(self._coming, held)):
                del self.promised[job]  # a node went to repair meanwhile

    def _start(self, start: Start) -> None:
        view, (job, pool, lease_s, restart_s, _, more) = self.view, start
        held = self._wants(start)
        for at, n in held.items():
            view.free[at] -= n
        whole, n_nodes = Fraction(float(self.load.jobs.work[job])), held[pool]
        waits_s = Fraction(restart_s) if self.left[job] < whole else Fraction(0)
        speed = self._speed(job, held) / n_nodes
        train_s = self.now_s + waits_s
        lease_end_s = train_s + Fraction(lease_s) if lease_s < math.inf else None
        self.stretches[job] = _Stretch(self.left[job], speed, n_nodes, train_s, lease_end_s)
        view.place(job, pool, float(train_s + self.left[job] / (speed * n_nodes)), n_nodes, more)
        self._announce(job)

    def _speed(self, job: int, held: Mapping[int, int]) -> Fraction:
        """Return the work that a job does in a second on the nodes that it holds."""
        kind, table = self.view.kind[job], self.load.jobs
        if len(held) == 1 or table.mixing is None:
            ((pool, n_nodes),) = held.items()
            return Fraction(float(table.speed[kind, pool])) * n_nodes / self.view.nodes(job, pool)
        whole, wall_s = table.mixing.n_nodes[kind], table.mixing.wall_s[kind]
        made = {p: Fraction(n, int(whole[p])) for p, n in held.items()}
        rate = sum((share / Fraction(float(wall_s[p])) for p, share in made.items()), Fraction(0))
        return rate * Fraction(float(table.mixing.frac[kind])) / max(1, sum(made.values()))


# -- what is compared ------------------------------------------------------------------------------


def _seen(view: View) -> object:
    """Return all that a policy may see, as plain values."""
    running = [(r.job, r.pool, r.n_nodes, r.start_s, r.end_s) for r in view.running.values()]
    state = (view.now_s, view.queue, view.n_queued, view.free, running, view.stopping, view.ends)
    rest = (
        view.shrinking,
        view.fewest_nodes,
        view.left_frac,
        view.n_nodes,
        view.places,
        view.held,
        view.headroom_w,
        view.quota_nodes,
    )
    return _plain((state, rest, view.jobs, view.pools, view.tenants))


def _plain(value: object) -> object:
    """Return values, nested in whatever way, as tuples and texts that can be compared."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, Mapping):
        return tuple((_plain(key), _plain(one)) for key, one in value.items())
    if isinstance(value, AbstractSet):
        return tuple(sorted(map(repr, value)))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(map(_plain, value))
    if is_dataclass(value) and not isinstance(value, type):
        return tuple(_plain(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, bool | str | bytes | None):
        return value
    if isinstance(value, float | np.floating):
        return repr(float(value))
    return int(value) if isinstance(value, int | np.integer) else repr(value)
