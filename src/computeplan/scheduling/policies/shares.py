"""Policies that divide the time of all nodes towards a goal, in rounds.

Each is a goal for the linear program of `allocation` and the rounds of `rounds`; their settings
are those of `SharePolicy`, and ``dataclasses.replace`` makes a policy with others. The names of
the published simulator [1]_ are kept in `REFERENCE`, each as the policy that it stands for, played
in its rounds. Its plain ``fifo`` is not among them: it draws a type by chance, does not use what
it drew, and leaves all jobs on the last type by name, whether or not the gang fits. A first in
first out without knowledge of types is a queueing policy here.

Sources
-------
.. [1] D. Narayanan et al., "Heterogeneity-aware cluster scheduling policies for deep learning
       workloads", OSDI 2020, and its code, github.com/stanford-futuredata/gavel (c4fa400).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.scheduling import allocation
from computeplan.scheduling.rounds import Moment, SharePolicy

__all__ = [
    "REFERENCE",
    "fifo_rounds",
    "finish_time_fairness",
    "finish_time_unaware",
    "isolated_shares",
    "least_carbon_shares",
    "least_energy_shares",
    "max_min_fairness",
    "max_min_unaware",
    "max_throughput",
    "max_throughput_per_cost",
    "min_makespan",
    "min_makespan_unaware",
]


Shares = tuple[FloatArray, float]


def _fair(moment: Moment) -> Shares:
    return allocation.max_min_fairness(moment.asked, moment.weight)


def _near_isolated(moment: Moment) -> Shares:
    return allocation.finish_time_fairness(
        moment.asked, moment.left, moment.age_s, moment.isolated_s
    )


def _soon(moment: Moment) -> Shares:
    return allocation.min_makespan(moment.asked, moment.left)


def _isolated(moment: Moment) -> Shares:
    return allocation.isolated_shares(moment.asked), math.nan


def _in_node_seconds(moment: Moment) -> FloatArray:
    """Return the speeds in node-seconds of each job's best type per second, which can be added."""
    speed, n_nodes, _ = moment.asked
    best = speed.argmax(axis=1)
    row = np.arange(len(speed))
    unit = speed[row, best] / np.maximum(n_nodes[row, best], 1.0)
    scaled: FloatArray = speed / np.where(unit > 0, unit, 1.0)[:, None]
    return scaled


def _most(moment: Moment) -> Shares:
    return allocation.max_throughput(moment.asked, _in_node_seconds(moment))


def _most_work(moment: Moment) -> Shares:
    """Return the shares with most work done, where all jobs count work in one unit."""
    return allocation.max_throughput(moment.asked)


def _most_per_cost(moment: Moment) -> Shares:
    price = moment.pools.usd_per_node_s
    if not (price > 0).all():
        unknown = [n for n, p in zip(moment.pools.names, price, strict=True) if not p > 0]
        raise ValueError(f"throughput per cost needs a price of each pool: {', '.join(unknown)}")
    return allocation.max_throughput(moment.asked, _in_node_seconds(moment) / (price / price.max()))


def _least(moment: Moment, node_cost: FloatArray) -> Shares:
    asked = moment.asked
    best = asked.speed.max(axis=1, initial=0.0)
    due_s = np.where(moment.due_s > moment.round_s, moment.due_s - moment.round_s, moment.due_s)
    need = np.divide(moment.left, due_s, out=best.copy(), where=due_s > 0)
    without = (asked.speed * allocation.isolated_shares(asked)).sum(axis=1)
    need = np.minimum(np.where(np.isinf(moment.due_s), without, need), best)
    return allocation.least_power(asked, node_cost, need, moment.pools.train_w, moment.cap_w)


def _least_energy(moment: Moment) -> Shares:
    return _least(moment, moment.pools.train_w)


def _least_carbon(moment: Moment) -> Shares:
    return _least(moment, moment.pools.train_w * moment.pools.kg_per_j)


def _fifo(moment: Moment) -> Shares:
    speed, n_nodes, capacity = moment.asked
    nodes = np.where(n_nodes > 0, n_nodes, n_nodes.max(axis=1, keepdims=True))
    room = capacity.copy()
    by_name = sorted(range(len(room)), key=lambda pool: moment.pools.names[pool])
    share = np.zeros(speed.shape)
    for job in range(len(speed)):
        with_room = [pool for pool in by_name if nodes[job, pool] <= room[pool]]
        if not with_room:
            break
        pool = max(with_room, key=lambda pool: float(speed[job, pool]))
        if speed[job, pool] > 0:
            share[job, pool] = 1.0
            room[pool] -= nodes[job, pool]
    return share, math.nan


fifo_rounds = SharePolicy(_fifo, fills=False)
"""In the order of arrival, each on the fastest pool with room, ties by name; the first for which
no pool has room holds back all behind it. Who holds what is decided again at each reset. A job for
which only pools have room that cannot run it is passed over, as in [1]_."""

isolated_shares = SharePolicy(_isolated, is_aware=False)
"""Each of m jobs has an m-th of every pool: ``x = n / m / g``, rows scaled to a sum of 1 [1]_."""

max_min_fairness = SharePolicy(_fair)
"""``max min_j`` of the progress beside that of shares in proportion to the nodes [1]_."""

max_min_unaware = SharePolicy(_fair, is_aware=False)
"""``max min_j`` of the node time held: least attained service, all types counted alike [1]_."""

finish_time_fairness = SharePolicy(_near_isolated)
"""``min max_j`` of the expected end beside the end with isolated shares (Themis, NSDI 2020)."""

finish_time_unaware = SharePolicy(_near_isolated, is_aware=False)
"""Finish-time fairness with every pool taken to be as fast as a job's first."""

min_makespan = SharePolicy(_soon)
"""The least H with ``sum_w T x >= left / H``: all jobs end together, as soon as they can [1]_."""

min_makespan_unaware = SharePolicy(_soon, is_aware=False)
"""Minimum makespan with every pool taken to be as fast as a job's first."""

max_throughput = SharePolicy(_most)
"""``max sum_j,w T x`` [1]_, the work of each job in node-seconds of its best pool, so that the work
of different kinds of jobs can be added."""

max_throughput_per_cost = SharePolicy(_most_per_cost, needs=frozenset({"prices", "prices above 0"}))
"""``max sum_j,w T x / price``: as `max_throughput`, in work per price of the nodes [1]_."""

least_energy_shares = SharePolicy(
    _least_energy, fills=False, each_round=True, reset_gate_s=0.0, needs=frozenset({"watts"})
)
"""``min sum_j,w g W x`` with progress to end a round before the deadline; a job without one has the
progress of isolated shares. No more than `cap_w` is drawn. Deadlines that cannot be met give way.
Shares are computed in each round, as rounds come near to them only."""

least_carbon_shares = replace(
    least_energy_shares, goal=_least_carbon, needs=frozenset({"watts", "carbon"})
)
"""`least_energy_shares` with the watts of each pool weighted by the carbon of its electricity."""


def _as_reference(policy: SharePolicy) -> SharePolicy:
    return replace(policy, idle_until_round_end=True)


REFERENCE: Mapping[str, SharePolicy] = MappingProxyType(
    {
        "fifo_perf": _as_reference(fifo_rounds),
        "isolated": _as_reference(isolated_shares),
        "max_min_fairness": _as_reference(max_min_unaware),
        "max_min_fairness_perf": _as_reference(max_min_fairness),
        "finish_time_fairness": _as_reference(finish_time_unaware),
        "finish_time_fairness_perf": _as_reference(finish_time_fairness),
        "min_total_duration": _as_reference(min_makespan_unaware),
        "min_total_duration_perf": _as_reference(min_makespan),
        "max_sum_throughput_perf": _as_reference(SharePolicy(_most_work)),
    }
)
"""Policies by their names in the published simulator [1]_, in its rounds."""
