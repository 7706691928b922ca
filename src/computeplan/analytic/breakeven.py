"""Where the answer turns round: how often the nodes of one chip may fail to match another.

Fault rates of most chips are not published, so a comparison of chips is worth as much as the rates
put into it. The question is turned round: at which ratio of the rates per node do both take the
same time? By the closed form of checkpoints and faults, with the restart that each case has and its
interval (the best at each rate where it says ``optimal``), never blocked for want of a node and
without planned stops.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from computeplan.physics.checkpoint import job_ettr, optimal_interval_s
from computeplan.world.pools import Pool, is_slowed
from computeplan.world.world import World

__all__ = ["break_evens", "flip_ratio"]

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

    def ettr(self, rate_per_node_s: float) -> float:
        rate, interval_s = rate_per_node_s * self.n_nodes, self.interval_s
        if self.saves_at_best:
            interval_s = float(optimal_interval_s(self.save_s, 1 / rate)) if rate else math.inf
        restart_s = self.pool.even_restart_s(rate)
        return job_ettr(self.train_s, interval_s, self.save_s, restart_s, rate)


def break_evens(worlds: Mapping[str, World]) -> list[str]:
    """Return one sentence a pair of chips: the ratio of rates at which both take the same time.

    Of each chip the first case counts, and at most `MOST_PAIRS` pairs are told. Cases of several
    jobs, of several pools that could hold the job, of other work, without faults or with saves that
    are complete only later tell nothing.

    Parameters
    ----------
    worlds : mapping of str to World
        Compiled cases by name.
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
    return [_sentence(one, other) for one, other in itertools.islice(pairs, MOST_PAIRS)]


def flip_ratio(one: World, other: World) -> float | None:
    """Return how often nodes of `other` fail, over those of `one`, if both take the same time.

    Returns
    -------
    float or None
        None if there is no such ratio: `other` takes longer even if nothing fails.

    Raises
    ------
    ValueError
        If a world has not one job on one pool with faults.
    """
    first, second = _side("one", one), _side("other", other)
    if first is None or second is None:
        raise ValueError("each world must have one job, on one pool with faults drawn from a rate")
    return _ratio(first, second)


def _side(case: str, world: World) -> _Side | None:
    if len(world.jobs) != 1:
        return None
    job = world.jobs[0]
    pools = job.pools_under(world.policy)
    if len(pools) != 1:
        return None
    (p,) = pools
    pool = world.pools[p]
    tokens = float(job.train_s[p] * job.tok_per_s[p])
    is_told = math.isfinite(tokens) and job.ettr[p] > 0 and not job.tiers_on(p)
    is_told = is_told and job.shrinking is None and not is_slowed(pool)
    if not pool.fault_rate_per_node_s or not is_told:
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
    )


def _ratio(one: _Side, other: _Side) -> float | None:
    from scipy.optimize import brentq

    rate = one.pool.fault_rate_per_node_s
    wanted = other.train_s / (one.train_s / one.ettr(rate))  # the ETTR at which both take as long

    def above(ratio: float) -> float:
        return other.ettr(ratio * rate) - wanted

    if above(0.0) <= 0:
        return None
    high = 1.0
    while above(high) > 0:  # ends: the more faults, the nearer the ETTR is to 0
        high *= 2
    return float(brentq(above, 0.0, high))


def _sentence(one: _Side, other: _Side) -> str:
    chip, base = other.pool.chip, one.pool.chip
    how = f"(cases '{other.case}' and '{one.case}'; closed form, never blocked)"
    ratio = _ratio(one, other)
    if ratio is None:
        return (
            f"on {chip} the time to train never matches {base}, however rarely its nodes fail {how}"
        )
    now = other.pool.fault_rate_per_node_s / one.pool.fault_rate_per_node_s
    is_assumed = any(kind.is_assumed for side in (one, other) for kind in side.pool.kinds)
    here = f"{'ASSUMED ' if is_assumed else ''}{now:.3g} times"
    return (
        f"on {chip} the time to train matches {base} when its nodes fail {ratio:.3g} times as often"
        f" as those of {base}; here it is {here} {how}"
    )
