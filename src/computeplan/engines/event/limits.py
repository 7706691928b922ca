"""Power limits of sites in one run: who yields, and what a battery takes and gives.

A site never takes more than its limit. It is held to as if all nodes that jobs hold trained, and
all others drew what is more of idle and repair: then nothing need be looked at between two events,
and what jobs do not draw while they save or wait for a node is left unused. Services draw by their
load (``served_power.py``). A battery comes first: it gives what is lacking, and takes what is left
over. Where that is too little, all jobs of the site slow down alike. That is all (`slow`), or it is
what they do until enough of them have saved and given back nodes, in the order of
``giving_way.py``: who leaves comes back when the limit, without the battery, has room for it.
Priority by priority (`pause`), jobs grow again when the policy says so; or all elastic jobs shrink
before anybody leaves (`shrink`), and grow again when nobody waits and the limit has room.

How slow is the business of ``caps.py``, which is told a cap for each pool.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.event.calendar import Calendar, Entry, Rank, Then, cancel
from computeplan.engines.event.caps import PowerCaps
from computeplan.engines.event.giving_way import GivingWay
from computeplan.engines.event.pool import PoolRun
from computeplan.engines.event.served_power import ServedPower
from computeplan.errors import ComputePlanError
from computeplan.scheduling.view import Running
from computeplan.units import HOUR_S, YEAR_S
from computeplan.world.limits import PowerLimit
from computeplan.world.signals import Signal
from computeplan.world.world import World

__all__ = ["SiteLimits"]

INSTANT_S = 1e-6  # a battery this near to full, or to empty, is
SAME = 1e-9  # what is lacking by less than this share of a limit is rounding
ROOM = 1e-10  # nodes: so is this


@dataclass(slots=True)
class _Site:
    """One site in one run."""

    spec: PowerLimit
    steps: Iterator[tuple[float, float, float]]
    limit_w: float = 0.0
    facility_frac: float = 1.0
    """What it draws over what its constant PUE says."""
    level_j: float = 0.0
    flow_w: float = 0.0
    """What the battery takes, or gives if negative."""
    since_s: float = 0.0
    turns: Entry | None = None
    """When the battery will be full or empty."""
    taken_j: float = 0.0
    given_j: float = 0.0
    told: list[tuple[float, float, float]] = field(default_factory=list)
    """From when to when the battery took or gave how much. [s, s, W]"""


@dataclass(slots=True)
class _Gave:
    """What a job that shrank for a limit is to have back."""

    run: Running
    """The stay in which it did."""
    n_nodes: int
    """What it held before."""
    n_left: int
    """What it holds now, unless somebody else has resized it since."""


class SiteLimits:
    """The limits of all sites of a run.

    It is told how jobs give way, and what holds them to their caps.
    """

    def __init__(
        self,
        world: World,
        caps: PowerCaps,
        pools: Sequence[PoolRun],
        jobs: GivingWay,
        calendar: Calendar,
        hold_all: Then,
    ) -> None:
        self.caps, self.view, self.calendar = caps, jobs.view, calendar
        self.sites = [_Site(one, _steps(one, world)) for one in world.limits]
        self.services = ServedPower(world, pools, calendar, partial(self._again, self.sites))
        self.served = self.services.nodes_w(0.0)
        self.signals = world.signals
        self.jobs, self.ask, self.hold_all = jobs, jobs.ask, hold_all
        self.gave: dict[int, _Gave] = {}
        self.n_nodes = caps.n_nodes
        self.full_w: list[float] = world.full_w.tolist()
        self.rest_w: list[float] = world.rest_w.tolist()
        self.idle_w, self.train_w = caps.idle_w, caps.train_w
        self.at = {p: one for one in self.sites for p in one.spec.pools}
        for one in self.sites:
            _, one.limit_w, one.facility_frac = next(one.steps)
            self._await_step(one)
        if any(one.spec.may_go_dark for one in self.sites):
            calendar.at(0.0, Rank.POLICY, self.hold_all)

    def look(self, now_s: float) -> None:
        """Note the nodes that services hold now of each pool, and what these draw."""
        self.served = self.services.nodes_w(now_s)

    def _await_step(self, one: _Site) -> None:
        if (step := next(one.steps, None)) is not None:
            self.calendar.at(step[0], Rank.POLICY, partial(self._step, one, step))

    def _step(self, one: _Site, step: tuple[float, float, float], now_s: float) -> None:
        """Take up the next step of a limit."""
        self.look(now_s)
        had_room = self._has_room(one)
        _, one.limit_w, one.facility_frac = step
        self._await_step(one)
        if not (had_room and self._has_room(one)):
            self._again([one], now_s)

    def _again(self, sites: Sequence[_Site], now_s: float) -> None:
        """Hold to all limits anew, as some of them leave more or less than before."""
        self.hold_all(now_s)
        if any(one.spec.yields != "slow" for one in sites):
            self.ask(now_s)

    def _has_room(self, one: _Site) -> bool:
        """Return whether a limit holds nobody back, and a battery has nothing to do."""
        if one.spec.battery is not None or any(p in self.caps.limit_w for p in one.spec.pools):
            return False
        if one.spec.yields != "slow":  # it may hold back who waits
            return self._draw_w(one, [self.n_nodes[p] for p in one.spec.pools]) <= one.limit_w
        return self._draw_w(one, [self.view.held[p] for p in one.spec.pools]) <= one.limit_w

    def _turn(self, one: _Site, now_s: float) -> None:
        """Note that a battery is full or empty."""
        one.turns = None
        self.hold_all(now_s)

    def hold(self, now_s: float) -> None:
        """Let each site take no more than its limit from now on."""
        self.look(now_s)
        for one in self.sites:
            held = [self.view.held[p] for p in one.spec.pools]
            wanted_w = self._draw_w(one, held)
            given_w = self._charge(one, one.limit_w - wanted_w, now_s)
            lacking_w = wanted_w - one.limit_w - given_w
            if lacking_w <= SAME * one.limit_w:
                for p in one.spec.pools:
                    self.caps.limit_w.pop(p, None)
                    self.caps.dark.pop(p, None)
                continue
            self._slow(one, one.limit_w + given_w, now_s)
            if one.spec.yields != "slow":
                self._yield(one, lacking_w, now_s)

    def room(self, pool: int, n_nodes: int) -> int:
        """Return how many of some free nodes of a pool jobs could hold, as far as power goes."""
        one = self.at.get(pool)
        if one is None or one.spec.yields == "slow":
            return n_nodes
        left_w, more_w = self._left_w(one), self._per_node_w(one, pool)
        return min(n_nodes, max(0, math.floor(left_w / more_w + ROOM)) if more_w > 0 else n_nodes)

    def has_room(self, held: Sequence[tuple[int, int]]) -> bool:
        """Return whether jobs could hold further nodes of several pools, as far as power goes."""
        more_w = dict.fromkeys(map(id, self.sites), 0.0)
        for pool, n_nodes in held:
            one = self.at.get(pool)
            if one is not None and one.spec.yields != "slow":
                more_w[id(one)] += n_nodes * self._per_node_w(one, pool)
        return all(
            not more_w[id(one)] or more_w[id(one)] <= self._left_w(one) * (1 + SAME)
            for one in self.sites
        )

    def note_headroom(self) -> None:
        """Let the view tell what the limit of each site leaves."""
        for one in self.sites:
            left_w = self._left_w(one)
            for p in one.spec.pools:
                self.view.headroom_w[p] = left_w

    def _left_w(self, one: _Site) -> float:
        """Return what the limit of a site leaves beside what it draws. [W]"""
        return one.limit_w - self._draw_w(one, [self.view.held[p] for p in one.spec.pools])

    def _draw_w(self, one: _Site, held: list[int]) -> float:
        """Return what a site draws if jobs hold so many nodes of its pools. [W]"""
        total_w = 0.0
        for p, n_held in zip(one.spec.pools, held, strict=True):
            n_served, served_w = self.served[p]
            cap_w = self.caps.cap_w.get(p, math.inf)
            total_w += min(n_held * self.full_w[p], max(cap_w, n_held * self.idle_w[p]))
            total_w += served_w
            total_w += (self.n_nodes[p] - n_held - n_served) * self.rest_w[p]
        return total_w * one.facility_frac

    def _slow(self, one: _Site, most_w: float, now_s: float) -> None:
        """Cap the pools of a site alike: a share of the power of all that jobs hold there.

        No node draws less than idle: what such pools draw is not to be shared. Where all together
        draw more than the limit, nodes are switched off: a ComputePlanError where services stand.
        """
        held = {p: self.view.held[p] for p in one.spec.pools if self.view.held[p]}
        others_w = self._draw_w(one, [0] * len(one.spec.pools))
        left_w = (most_w - others_w) / one.facility_frac
        left_w += sum(n * self.rest_w[p] for p, n in held.items())
        for p in one.spec.pools:
            self.caps.dark.pop(p, None)
        if left_w <= sum(n * self.idle_w[p] for p, n in held.items()) * (1 - SAME) or not held:
            if one.spec.may_go_dark and not self.services.may_hold(one.spec.pools):
                self._switch_off(one, most_w)
                return
            raise ComputePlanError(
                f"sites.{one.spec.site}.power_limit: is {most_w / 1e6:.4g} MW at"
                f" {now_s / HOUR_S:,.1f} h, less than idle nodes and services draw"
            )
        shared, share = set(held), 0.0
        while shared:
            least_w = sum(n * self.idle_w[p] for p, n in held.items() if p not in shared)
            share = (left_w - least_w) / sum(held[p] * self.full_w[p] for p in shared)
            still = {p for p in shared if share * self.full_w[p] >= self.idle_w[p]}
            if still == shared:
                break
            shared = still
        for p, n in held.items():
            self.caps.limit_w[p] = n * share * self.full_w[p]

    def _switch_off(self, one: _Site, most_w: float) -> None:
        """Let the nodes of a site draw what there is, alike, which is less than all do idle."""
        pools = one.spec.pools
        share = max(most_w, 0.0) / one.facility_frac
        share /= sum(self.n_nodes[p] * max(self.idle_w[p], self.rest_w[p]) for p in pools)
        for p in pools:
            self.caps.dark[p] = min(share, 1.0)
            self.caps.limit_w[p] = min(share, 1.0) * self.view.held[p] * self.idle_w[p]

    # -- jobs that give way ----------------------------------------------------------------------

    def _yield(self, one: _Site, lacking_w: float, now_s: float) -> None:
        """Let jobs shrink or leave until what is lacking is there, once they have saved."""
        running, leaving, here = self.view.running, self.jobs.leaving(), set(one.spec.pools)
        lacking_w -= sum(self._frees_w(one, running[job], n) for job, n in leaving.items())
        shrinks = one.spec.yields == "shrink"
        left = dict[int, int]()  # nodes, by job
        for _, run, least in self.jobs.turns(here, leaving, all_shrink_first=shrinks):
            if lacking_w <= 0:
                break
            had = left.get(run.job, run.n_nodes)
            n_left = least
            if least:
                n_nodes = math.ceil(lacking_w / self._per_node_w(one, run.pool) - ROOM)
                n_left = max(had - n_nodes, least)
            left[run.job] = n_left
            lacking_w -= self._frees_w(one, run, n_left) - self._frees_w(one, run, had)
        for job, n_left in left.items():
            if n_left and shrinks:
                gave = self.gave.get(job)
                most = gave.n_nodes if gave and self._is_owed(gave) else running[job].n_nodes
                self.gave[job] = _Gave(running[job], most, n_left)
            self.jobs.take(running[job], n_left, now_s)

    def _is_owed(self, gave: _Gave) -> bool:
        """Return whether a job runs as a limit left it, or will once it has saved."""
        run = gave.run
        n_nodes = self.view.shrinking.get(run.job, run.n_nodes)
        return self.view.running.get(run.job) is run and n_nodes == gave.n_left

    def owed(self) -> list[tuple[int, int, int]]:
        """Return jobs that are to have nodes back, their pools, and how many.

        Those that would give way last come first.
        """
        self.gave = {job: gave for job, gave in self.gave.items() if self._is_owed(gave)}
        view = self.view
        ready = [
            gave
            for job, gave in self.gave.items()
            if job not in view.stopping and job not in view.shrinking
        ]
        ready.sort(key=lambda gave: (-view.priority[gave.run.job], gave.run.start_s, gave.run.job))
        return [(gave.run.job, gave.run.pool, gave.n_nodes - gave.n_left) for gave in ready]

    def give_back(self, job: int, n_nodes: int) -> int:
        """Note that a job has nodes back; return how many it is to hold."""
        gave = self.gave[job]
        gave.n_left += n_nodes
        if gave.n_left == gave.n_nodes:
            del self.gave[job]
        return gave.n_left

    def _per_node_w(self, one: _Site, pool: int) -> float:
        return (self.full_w[pool] - self.rest_w[pool]) * one.facility_frac

    def _frees_w(self, one: _Site, run: Running, n_left: int) -> float:
        """Return what a site draws less once a job holds so many nodes, or none. [W]"""
        here = one.spec.pools
        freed_w = sum(n * self._per_node_w(one, p) for p, n in run.parts if p in here)
        return freed_w - n_left * self._per_node_w(one, run.pool) if run.pool in here else freed_w

    # -- batteries -------------------------------------------------------------------------------

    def _charge(self, one: _Site, spare_w: float, now_s: float) -> float:
        """Let a battery take what is spare, or give what is lacking; return what it gives. [W]"""
        battery = one.spec.battery
        if battery is None:
            return 0.0
        self._book(one, now_s)
        cancel(one.turns)
        one.turns = None
        if spare_w >= 0:
            one.flow_w = min(spare_w, battery.power_w) if one.level_j < battery.energy_j else 0.0
            rate_w = one.flow_w * battery.efficiency
            lasts_s = (battery.energy_j - one.level_j) / rate_w if rate_w else math.inf
        else:
            one.flow_w = -min(-spare_w, battery.power_w) if one.level_j > 0 else 0.0
            lasts_s = one.level_j / -one.flow_w if one.flow_w else math.inf
        if lasts_s < INSTANT_S:
            one.level_j = battery.energy_j if one.flow_w > 0 else 0.0
            one.flow_w = 0.0
        elif lasts_s < math.inf:
            then = partial(self._turn, one)
            one.turns = self.calendar.at(now_s + lasts_s, Rank.POLICY, then)
        return max(-one.flow_w, 0.0)

    def _book(self, one: _Site, now_s: float) -> None:
        """Note what a battery took or gave until now."""
        battery, lasts_s = one.spec.battery, now_s - one.since_s
        if battery is not None and lasts_s > 0 and one.flow_w:
            one.told.append((one.since_s, now_s, one.flow_w))
            if one.flow_w > 0:
                one.taken_j += one.flow_w * lasts_s
                one.level_j += one.flow_w * lasts_s * battery.efficiency
            else:
                one.given_j -= one.flow_w * lasts_s
                one.level_j += one.flow_w * lasts_s
            one.level_j = min(max(one.level_j, 0.0), battery.energy_j)
        one.since_s = now_s

    def flow_w(self) -> dict[str, float]:
        """Return what batteries take now, or give if negative, by site. [W]"""
        return {one.spec.site: one.flow_w for one in self.sites if one.spec.battery is not None}

    def close(self, now_s: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return `Ledger.battery_j`, `battery_net_j` and `battery_w`; the run ends now."""
        for one in self.sites:
            self._book(one, now_s)
        amounts = [(one.taken_j, one.given_j, one.level_j) for one in self.sites]
        told = [(i, *row) for i, one in enumerate(self.sites) for row in one.told]
        net_j = np.array([[_net_j(one, self.signals) for one in self.sites]])
        return np.array([amounts]), net_j, np.array(told, dtype=float).reshape(-1, 4)


def _net_j(one: _Site, signals: Mapping[str, tuple[Signal, ...]]) -> list[float]:
    """Return what a battery took less what it gave: plain, then times price and carbon. [J]

    These are of the energy itself: the signals of cost and carbon over that of the PUE.
    """
    found = [one.taken_j - one.given_j] * 3
    told = np.array(one.told).reshape(-1, 3)
    if not len(told):
        return found
    for i, account in enumerate(("cost", "carbon"), start=1):
        if account not in signals:
            continue
        used = [signals[name][one.spec.pools[0]] for name in (account, "energy") if name in signals]
        steps_s = [signal.steps_s(0.0, told[-1, 1]) for signal in used]
        edges_s = np.unique(np.concatenate([told[:, 0], told[:, 1], *steps_s]))
        from_s = edges_s[:-1]
        at = np.searchsorted(told[:, 0], from_s, side="right") - 1
        flow_w = np.where((at >= 0) & (from_s < told[at, 1]), told[at, 2], 0.0)
        ratio = used[0].at(from_s) / (used[1].at(from_s) if len(used) > 1 else 1.0)
        found[i] = float((flow_w * ratio) @ np.diff(edges_s))
    return found


def _steps(limit: PowerLimit, world: World) -> Iterator[tuple[float, float, float]]:
    """Yield when the limit or the PUE of a site changes, and what both are from then on."""
    flat = (Signal(np.zeros(1), np.ones(1)),) * len(world.pools)
    facility = world.signals.get("energy", flat)[limit.pools[0]]
    from_s, until_s = 0.0, min(world.cut_s, YEAR_S)
    while from_s < until_s:
        both = [signal.steps_s(from_s, until_s) for signal in (limit.over_time, facility)]
        times_s = np.unique(np.concatenate(both))
        watts = limit.limit_w * limit.over_time.at(times_s)
        yield from zip(times_s.tolist(), watts.tolist(), facility.at(times_s).tolist(), strict=True)
        is_over = all(math.isinf(signal.period_s) for signal in (limit.over_time, facility))
        ends_s = max(signal.times_s[-1] for signal in (limit.over_time, facility))
        if is_over and ends_s <= until_s:
            return
        from_s, until_s = until_s, min(world.cut_s, 2 * until_s)
