"""What theory expects of a single job.

The ETTR of a job alone on a pool is a product of three shares:

1. *of saves and faults*, with spares without limit: exact for faults without memory on the wall
   clock and restarts of any law (`physics.checkpoint`);
2. *outside planned stops*: each costs its mean length and half a save (it saves first,
   in the middle of an interval on the mean, and the next interval is whole). That leaves out that
   a stop saves what a fault would have lost, and that a restart may pass within it;
3. *with every node it wants*: nodes fail on the wall clock whatever the job does, so the share of
   time a node is lacking does not depend on the job, and the wall time is that without blocking
   divided by it. Exact in the long run. A run starts with every node up, so the share over the
   run is found from there; both are given. Up to a cut that is exact too; a run that ends with
   its work cannot end while it is blocked, so where repairs are as long as the run the truth lies
   between the two. No repair waits for a crew. On the busy clock, where a job that is blocked has
   no faults, the share is Erlang's loss formula with one server more than spares, in the long run
   only.

Inputs that are uncertain, its step time and its fault rate, are integrated over: the form is asked
at points that fill the square of their quantiles evenly, and gives the mean, and the range of days
that they make.

What the form leaves out, and the least sampling error, are given beside it, so that a simulation
can be compared with it (``agreement.py``).

Long because the three shares, and what integrates them over inputs, are read together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.distributions import law_mean_s
from computeplan.notes import Note, note
from computeplan.physics.checkpoint import expected_makespan_s, expected_wall_s
from computeplan.physics.reliability import down_frac_over_time, lacking_share, stalled_share
from computeplan.specs.uncertain import Factor
from computeplan.units import DAY_S
from computeplan.world.features import Feature, features, first_refused
from computeplan.world.jobs import Job, Jobs
from computeplan.world.maintenance import Stop
from computeplan.world.pools import Pool
from computeplan.world.world import World

__all__ = [
    "LACKS_SELDOM",
    "NEVER",
    "NOT_TOGETHER",
    "PLAYS",
    "Expected",
    "expect",
    "spares_needed",
    "why_no_closed_form",
]

PLAYS = features(
    "asynchronous_saves never_saves keeps_several shrinks_never automatic_repair busy_clock"
    " busy_repairs wall_repairs planned_stops horizon signals uncertain_rate uncertain_step"
    " placement"
)
NOT_TOGETHER = (("busy_repairs", "wall_repairs"), ("never_saves", "horizon"))
N_STEPS = 400
N_POINTS, TURN = 21, 13
"""Points of a Fibonacci lattice: either quantile alone is at equal steps."""
NEVER = 1e-6
"""An ETTR below is no training."""
NO_FAULTS = 1e-12  # fewer faults in a run than this are none
LACKS_SELDOM = 1e-3
"""Share of time in which a node is lacking with as many spares as are needed."""
SELDOM = 1e-6  # share of time blocked below which it does not matter when


@dataclass(frozen=True, slots=True)
class Expected:
    """What theory expects of a job alone on a pool."""

    unblocked_frac: float
    """ETTR with spares without limit and without planned stops."""
    stopped_frac: float
    """Share of the time that planned stops take."""
    blocked_frac: float
    long_run_blocked_frac: float
    """Share of the time a node is lacking, over the run and in the long run."""
    run_s: float
    """How long the run is. [s]"""
    repair_s: float
    """Mean repair of what takes a node. [s]"""
    ends_with_work: bool
    """Whether the run ends with its work, and is not cut."""
    left_out_frac: float
    """Most that the form leaves out, as a share of the ETTR."""
    noise_frac: float
    """Least standard error of the ETTR of one run, as a share of it: of faults and of lacking
    nodes, whether or not a small sample has any."""
    train_s: float
    """Training time of the work. [s]"""
    interval_s: float
    """Training time between saves; inf if it never saves. [s]"""
    days_of_inputs: tuple[float, float] | None = None
    """5th and 95th percentile of the days to train over uncertain inputs; None if all are known."""

    @property
    def ettr(self) -> float:
        """Expected ETTR over the run, which starts with every node up."""
        return self.unblocked_frac * (1 - self.stopped_frac) * (1 - self.blocked_frac)

    @property
    def long_run_ettr(self) -> float:
        """Expected ETTR in the long run."""
        return self.unblocked_frac * (1 - self.stopped_frac) * (1 - self.long_run_blocked_frac)

    @property
    def is_between(self) -> bool:
        """Whether repairs are too long for the ETTR of a run: it lies between the two."""
        waits = self.blocked_frac * self.repair_s > 1e-3 * self.run_s
        return waits and self.ends_with_work

    @property
    def days_to_train(self) -> float:
        """Expected days to train, at the pace of the run."""
        return self.train_s / self.ettr / DAY_S if self.ettr > NEVER else math.inf


def why_no_closed_form(world: World) -> Note | None:
    """Return why theory says nothing of a world, with the line that asks for it, or None."""
    p = _place(world)
    refused = first_refused(world.features, PLAYS, NOT_TOGETHER, pool=p)
    pool = world.pools[p]
    if refused is None and _stopped_frac(pool, float(world.jobs[0].save_s[p])) >= 1:
        refused = Feature("stops_all_the_time", f"planned.{pool.stops[0].name}.lasts", p)
    if refused is None:
        return None
    return note("no_closed_form", why=refused.name, path=refused.path, about=refused.about)


def _place(world: World) -> int:
    if not len(world.jobs):
        return 0  # there are services, which are refused whatever the pool
    return world.jobs[0].pools_under(world.policy)[0]


@lru_cache(maxsize=256)  # several ask the same of one world
def expect(world: World) -> Expected | None:
    """Return what theory expects of the job of a world; None without faults, or where it cannot.

    Examples
    --------
    >>> import computeplan as cp
    >>> from computeplan.compiler.compile import compile_world
    >>> found = expect(compile_world(cp.load("llama3-405b")))
    >>> f"{found.unblocked_frac:.4f} x {1 - found.stopped_frac:.4f} = {found.ettr:.4f}"
    '0.9233 x 0.9939 = 0.9177'
    """
    if why_no_closed_form(world) is not None:
        return None
    p = _place(world)
    factors = (world.jobs[0].step_factor_on(p), *(kind.factor for kind in world.pools[p].kinds))
    if all(factor.is_known for factor in factors):
        return _expect(world, p)
    found = [_expect(at, p) for at in _at_points(world, p)]
    return _over_inputs([one for one in found if one is not None])


def _at_points(world: World, p: int) -> Iterator[World]:
    """Yield the world with inputs that are known, at points of equal probability."""
    job, pool = world.jobs[0], world.pools[p]
    at = np.arange(N_POINTS)
    slower = job.step_factor_on(p).at((at + 0.5) / N_POINTS).tolist()
    often = [k.factor.at((at * TURN % N_POINTS + 0.5) / N_POINTS).tolist() for k in pool.kinds]
    for i in range(N_POINTS):
        kinds = (
            replace(kind, factor=Factor(of_kind[i], of_kind[i]))
            for kind, of_kind in zip(pool.kinds, often, strict=True)
        )
        pools = [*world.pools]
        pools[p] = replace(pool, kinds=tuple(kinds))
        known = replace(job, train_s=job.train_s * slower[i], step_factor=())
        yield replace(world, jobs=Jobs([known]), pools=tuple(pools))


def _over_inputs(found: Sequence[Expected]) -> Expected | None:
    """Return what is expected over points of equal probability: shares of all their time together.

    So the ETTR is the training of all runs over their time, and the days to train their mean.
    """
    if not found:
        return None
    if not all(math.isfinite(one.run_s) and one.ettr > NEVER for one in found):
        return replace(_NEVER_ENDS, train_s=found[0].train_s, interval_s=found[0].interval_s)
    days = [one.days_to_train for one in found]
    run_s = np.array([one.run_s for one in found])
    share = run_s / run_s.sum()

    def mean(name: str) -> float:
        return float(np.array([getattr(one, name) for one in found]) @ share)

    ettr, stopped, blocked = mean("ettr"), found[0].stopped_frac, mean("blocked_frac")
    unblocked = ettr / (1 - stopped) / (1 - blocked)
    ettrs = np.array([one.ettr for one in found])
    noises = np.array([one.noise_frac * one.ettr for one in found])
    of_inputs = math.sqrt(float(((ettrs - ettr) ** 2 + noises**2) @ share**2 * len(found)))
    return Expected(
        unblocked_frac=unblocked,
        stopped_frac=stopped,
        blocked_frac=blocked,
        long_run_blocked_frac=1 - mean("long_run_ettr") / unblocked / (1 - stopped),
        run_s=float(run_s.mean()),
        repair_s=mean("repair_s"),
        ends_with_work=any(one.ends_with_work for one in found),
        left_out_frac=mean("left_out_frac"),
        noise_frac=of_inputs / ettr,
        train_s=float(np.mean([one.train_s for one in found])),
        interval_s=found[0].interval_s,
        days_of_inputs=_range(days),
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the 5th and 95th percentile of values at the middles of equal probabilities."""
    low, high = np.quantile(values, (0.05, 0.95), method="hazen")
    return float(low), float(high)


def _expect(world: World, p: int) -> Expected | None:
    """Return what theory expects where all inputs are known; None without faults."""
    pool, job = world.pools[p], world.jobs[0]
    rate = pool.fault_rate_per_node_s * int(job.n_nodes[p])
    train_s = float(job.train_s[p])
    if rate * train_s < NO_FAULTS:
        return None
    segment_s = min(float(job.interval_s[p]), train_s)
    save_s, write_s, load_s = _save(job, p)
    if write_s > segment_s + save_s:  # it saves at its end only, and waits for the write
        save_s, write_s = save_s + write_s, 0.0
    first_s = pool.even_restart_s(rate)  # as long as there is nothing to read
    restart_s = first_s + load_s
    with np.errstate(over="ignore"):
        cycle_s = float(expected_wall_s(segment_s, save_s, restart_s, 1 / rate, write_s))
        wall_s = _wall_s(train_s, segment_s, save_s, write_s, first_s, load_s, rate)
    if not wall_s < train_s / NEVER:
        return replace(_NEVER_ENDS, train_s=train_s, interval_s=float(job.interval_s[p]))
    full_save_s = float(job.save_s[p])  # before a stop, the write included
    stopped = _stopped_frac(pool, full_save_s)
    blocked, run_s = _blocked_from_whole(world, p, wall_s / (1 - stopped))
    lost_s = cycle_s - segment_s - save_s  # to faults, in a cycle
    n_stops = run_s * sum(1 / stop.interval_s for stop in pool.stops)
    odd_stops_s = sum(_odd_stop_s(stop, full_save_s) for stop in pool.stops)
    cut_s = segment_s if world.cut_s <= run_s else 0.0  # unsaved training counts at the cut
    left_out_s = cut_s + odd_stops_s + n_stops * (lost_s + full_save_s / 2)
    left_out_s += stopped * run_s * rate * restart_s
    # Where blocking is known in the long run only: that is reached after a few repairs.
    start = min(1.0, 3 * _mean_repair_s(pool) / run_s) if pool.is_busy else 0.0
    return Expected(
        unblocked_frac=train_s / wall_s,
        stopped_frac=stopped,
        blocked_frac=blocked,
        long_run_blocked_frac=world.blocked_share(0, p),
        run_s=run_s,
        repair_s=_mean_repair_s(pool),
        ends_with_work=run_s < world.cut_s,
        left_out_frac=left_out_s / run_s + blocked * (0.02 + rate * restart_s + start),
        noise_frac=_noise_frac(pool, rate, run_s, lost_s / (rate * cycle_s), blocked, world, p),
        train_s=train_s,
        interval_s=float(job.interval_s[p]),
    )


def _wall_s(
    train_s: float,
    segment_s: float,
    save_s: float,
    write_s: float,
    restart_s: float,
    load_s: float,
    rate_per_s: float,
) -> float:
    """Return the expected wall time of a job never blocked, its last segment as long as it is. [s]

    Before the first save there is nothing to read, so that restarts are shorter by the load.
    """
    mtbf_s = 1 / rate_per_s
    n_whole = math.floor(train_s / segment_s * (1 + 1e-9))
    rest_s = train_s - n_whole * segment_s
    wall_s = float(
        expected_makespan_s(n_whole, segment_s, save_s, restart_s, mtbf_s, write_s, load_s)
    )
    if rest_s <= 1e-9 * segment_s:
        return wall_s
    if write_s:  # of so short an interval that a write may not fit
        rest = (rest_s + save_s) / (segment_s + save_s)
        reads_s = restart_s + load_s
        return wall_s + rest * float(expected_wall_s(segment_s, save_s, reads_s, mtbf_s, write_s))
    return wall_s + float(expected_wall_s(rest_s, save_s, restart_s + load_s, mtbf_s))


_NEVER_ENDS = Expected(0.0, 0.0, 0.0, 0.0, math.inf, 0.0, False, 1.0, 1.0, math.inf, math.inf)


def _save(job: Job, p: int) -> tuple[float, float, float]:
    """Return how long a save stalls, when it is complete after that, how long it is read. [s]"""
    if math.isinf(job.interval_s[p]):
        return 0.0, 0.0, 0.0
    if tiers := job.tiers_on(p):
        return tiers[0].stall_s, tiers[0].write_s, tiers[0].load_s
    return float(job.save_s[p]), 0.0, 0.0


def _stopped_frac(pool: Pool, save_s: float) -> float:
    """Return the share of time that planned stops take: each its mean length and half a save."""
    return sum(
        (law_mean_s(stop.effect.lasts) + save_s / 2) / stop.interval_s for stop in pool.stops
    )


def _odd_stop_s(stop: Stop, save_s: float) -> float:
    """Return the most by which the stops of a run differ from its length over their interval. [s]

    The first comes after half of the interval, or early or late in it.
    """
    early = 0.5 if stop.first_s is None else stop.first_s / stop.interval_s
    return (law_mean_s(stop.effect.lasts) + save_s) * max(early, 1 - early)


def _mean_repair_s(pool: Pool) -> float:
    takes = sum(kind.all_rate_per_node_s * kind.taken_per_fault for kind in pool.kinds)
    return pool.repair_load_per_node / takes if takes else 0.0


def _blocked_from_whole(world: World, p: int, wall_s: float) -> tuple[float, float]:
    """Return the share of a run in which the job is blocked, and how long the run is. [1, s]

    `wall_s` is the wall time of the work if it is never blocked.
    """
    pool, n_nodes = world.pools[p], int(world.jobs[0].n_nodes[p])
    long_run = world.blocked_share(0, p)
    if long_run < SELDOM:
        return 0.0, min(wall_s, world.cut_s)
    if pool.is_busy:  # known in the long run only
        return long_run, min(wall_s / (1 - long_run), world.cut_s)
    spares = pool.n_nodes + pool.n_spare_nodes - n_nodes
    span_s = min(wall_s, world.cut_s)
    for _ in range(20):  # until the work is done, or the run is cut
        times_s = np.linspace(0.0, span_s, N_STEPS + 1)
        lacking = lacking_share(n_nodes, spares, _down_frac(pool, times_s))
        steps = (lacking[1:] + lacking[:-1]) / 2
        step_s = span_s / N_STEPS
        waits_s, works_s = (
            np.concatenate([[0.0], np.cumsum(share)]) * step_s for share in (steps, 1 - steps)
        )
        if works_s[-1] >= wall_s or span_s >= world.cut_s:
            break
        span_s = min(2 * span_s, world.cut_s)
    run_s = float(np.interp(wall_s, works_s, times_s))  # the whole span if it is not done
    return float(np.interp(run_s, times_s, waits_s)) / run_s, run_s


def _down_frac(pool: Pool, times_s: FloatArray) -> FloatArray:
    """Return the probability that a node is down at evenly spaced times, if it is up at first."""
    rates = {k: k.all_rate_per_node_s * k.taken_per_fault for k in pool.kinds if k.taken_per_fault}
    rate = sum(rates.values())
    until_s = sum(
        (share / rate * kind.down_until_s(times_s) for kind, share in rates.items()),
        np.zeros_like(times_s),
    )
    return down_frac_over_time(rate, until_s)


def spares_needed(world: World, expected: Expected) -> tuple[int, int] | None:
    """Return the fewest spare nodes with which the job of a world hardly ever lacks a node.

    In the run, which starts with every node up, and in the long run. Hardly ever is less than
    `LACKS_SELDOM` of the time, if no repair waits for a crew; None if no fault takes a node.

    Examples
    --------
    >>> import computeplan as cp
    >>> from computeplan.compiler.compile import compile_world
    >>> world = compile_world(cp.load("llama3-405b"))
    >>> spares_needed(world, expect(world))
    (39, 53)
    """
    p = _place(world)
    pool, n_nodes = world.pools[p], int(world.jobs[0].n_nodes[p])
    load = pool.repair_load_per_node
    if not (load and math.isfinite(load) and expected.unblocked_frac > 0):
        return None
    mean = n_nodes * load
    spares = np.arange(math.ceil(1.5 * mean + 10 * math.sqrt(mean) + 20))
    if pool.is_busy:  # known in the long run only
        shares = np.array([stalled_share(n_nodes, int(n), load) for n in spares])
        return _first_below(shares), _first_below(shares)
    in_long_run = lacking_share(n_nodes, spares, np.asarray(load / (1 + load)))
    wall_s = expected.train_s / (expected.unblocked_frac * (1 - expected.stopped_frac))
    down = _down_frac(pool, np.linspace(0.0, min(wall_s, world.cut_s), N_STEPS // 4 + 1))
    lacking = lacking_share(n_nodes, spares[:, None], down)
    in_run = (lacking[:, 1:] + lacking[:, :-1]).mean(axis=1) / 2
    return _first_below(in_run), _first_below(in_long_run)


def _first_below(shares: FloatArray) -> int:
    return int(np.argmax(shares < LACKS_SELDOM))


def _noise_frac(
    pool: Pool, rate: float, run_s: float, cost_s: float, blocked: float, world: World, p: int
) -> float:
    """Return the least standard deviation of the wall time of one run, as a share of it.

    What a fault costs varies about as an exponential, and its restart, cut short by the next fault,
    has the second moment ``2 M^2 (1 - L + L'/M)`` by its transform L. Blocks last about as long as
    the first of the missing nodes takes to come back.
    """
    kept, width = pool.restart_kept_frac(rate), 1e-3
    slope = pool.restart_kept_frac(rate * (1 - width)) - pool.restart_kept_frac(rate * (1 + width))
    restart_square = 2 / rate**2 * max(0.0, 1 - kept - slope / (2 * width))
    faults = math.sqrt(rate * run_s * (2 * cost_s**2 + restart_square)) / run_s
    spares = pool.n_nodes + pool.n_spare_nodes - int(world.jobs[0].n_nodes[p])
    return math.hypot(faults, math.sqrt(2 * blocked * _mean_repair_s(pool) / (spares + 1) / run_s))
