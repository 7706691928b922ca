"""Break-even of two chips: how often the nodes of one may fail to take as long as the other.

Fault rates of most chips are not published, so a comparison of chips is worth as much as the rates
put into it. So we solve for the rate: at which ratio of the rates per node do both take the same
time? By the closed form of checkpoints and faults, with the restart of each case and its interval
(the best at each rate where it says ``optimal``), never blocked and without planned stops.

Where step times are uncertain, so is the ratio: its band holds the quotient of the two, each of a
chip of its own, nine times out of ten. Two chips cannot be told apart where the bands of their
times to train overlap at the present rates.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from computeplan.notes import Note, note
from computeplan.physics.checkpoint import job_ettr, optimal_interval_s
from computeplan.specs.uncertain import Factor
from computeplan.units import DAY_S
from computeplan.world.features import features, first_refused
from computeplan.world.pools import Pool
from computeplan.world.world import World

__all__ = ["PLAYS", "break_evens", "why_no_break_even"]

PLAYS = features(
    "arrives_later keeps_several never_saves share_spares replay replay_from_0 memory lemons"
    " relapse found_late groups uncertain_rate uncertain_step automatic_repair busy_clock"
    " busy_repairs wall_repairs crews crews_after_random crews_after_unlike retire booting_spares"
    " planned_stops rolling listed_stops late_stops horizon signals placement"
)
MOST_PAIRS = 3
SAME_TOKENS = 1e-6  # relative: the same work, but for rounding


@dataclass(frozen=True, slots=True)
class _Side:
    """The one job of a case, on its one pool."""

    case: str
    pool: Pool
    tokens: float
    train_s: float
    interval_s: float
    saves_at_best: bool
    save_s: float
    n_nodes: int
    step_factor: Factor

    def ettr(self, rate_per_node_s: float) -> float:
        rate, interval_s = rate_per_node_s * self.n_nodes, self.interval_s
        if self.saves_at_best:
            interval_s = float(optimal_interval_s(self.save_s, 1 / rate)) if rate else math.inf
        restart_s = self.pool.even_restart_s(rate)
        return job_ettr(self.train_s, interval_s, self.save_s, restart_s, rate)

    def days_band(self) -> tuple[float, float]:
        """Return the 5 % and 95 % points of the time to train at the present rate. [d]"""
        days = self.train_s / self.ettr(self.pool.fault_rate_per_node_s) / DAY_S
        return days * self.step_factor.low, days * self.step_factor.high


def break_evens(worlds: Mapping[str, World]) -> list[Note]:
    """Return one note a pair of chips: the ratio of rates at which both take the same time.

    `worlds` are cases by name. Of each chip the first case counts, and at most `MOST_PAIRS` pairs
    are told. Cases of other work, without faults, or with a feature that the closed form does not
    have are left out.
    """
    sides: dict[str, _Side] = {}
    for case, world in worlds.items():
        side = _side(case, world)
        if side is not None:
            sides.setdefault(side.pool.chip, side)
    pairs = (
        (one, other)
        for one, other in itertools.combinations(sides.values(), 2)
        if math.isclose(one.tokens, other.tokens, rel_tol=SAME_TOKENS)
    )
    return [_note(one, other) for one, other in itertools.islice(pairs, MOST_PAIRS)]


def why_no_break_even(world: World) -> Note | None:
    """Return why a world cannot be compared, with the line that asks for it, or None."""
    p = world.jobs[0].pools_under(world.policy)[0] if len(world.jobs) else None
    refused = first_refused(world.features, PLAYS, pool=p)
    if refused is None:
        return None
    return note("no_break_even", why=refused.name, path=refused.path)


def _side(case: str, world: World) -> _Side | None:
    if why_no_break_even(world) is not None:
        return None
    (job,) = world.jobs
    (p,) = job.pools_under(world.policy)
    pool = world.pools[p]
    tokens = float(job.train_s[p] * job.tok_per_s[p])
    if not (pool.fault_rate_per_node_s and math.isfinite(tokens) and job.ettr[p] > 0):
        return None
    return _Side(
        case=case,
        pool=pool,
        tokens=tokens,
        train_s=float(job.train_s[p]),
        interval_s=float(job.interval_s[p]),
        saves_at_best=job.saves_at_best,
        save_s=float(job.save_s[p]),
        n_nodes=int(job.n_nodes[p]),
        step_factor=job.step_factor_on(p),
    )


def _ratio(one: _Side, other: _Side, slower: float = 1.0) -> float | None:
    """Return how often nodes of `other` fail, over those of `one`, if both take the same time.

    `slower` is how many times its nominal training time `other` takes, over that of `one`. None if
    there is no such ratio: `other` takes longer even if nothing fails.
    """
    from scipy.optimize import brentq

    rate = one.pool.fault_rate_per_node_s
    # The ETTR at which both take as long.
    wanted = slower * other.train_s / (one.train_s / one.ettr(rate))

    def above(ratio: float) -> float:
        return other.ettr(ratio * rate) - wanted

    if above(0.0) <= 0:
        return None
    high = 1.0
    while above(high) > 0:  # ends: the more faults, the nearer the ETTR is to 0
        high *= 2
    return float(brentq(above, 0.0, high))


def _note(one: _Side, other: _Side) -> Note:
    slower = other.step_factor.over(one.step_factor)
    ends = (slower.high, slower.low)
    return note(
        "break_even",
        chip=other.pool.chip,
        case=other.case,
        base=one.pool.chip,
        base_case=one.case,
        ratio=_ratio(one, other),
        here=other.pool.fault_rate_per_node_s / one.pool.fault_rate_per_node_s,
        is_assumed=any(kind.is_assumed for side in (one, other) for kind in side.pool.kinds),
        band=None if slower.is_known else tuple(_ratio(one, other, x) for x in ends),
        overlaps=not slower.is_known and _overlap(one.days_band(), other.days_band()),
    )


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
