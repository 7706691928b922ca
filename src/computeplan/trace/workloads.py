"""Generated jobs: arrivals, sizes, lengths, kinds and tenants, drawn before an engine starts.

Each of them has a generator of its own, keyed by a digest of the workload's name: another workload,
or more jobs, shifts no job that was there. Arrivals are a Poisson process, whose rate may change by
the hour of the day; a length is a quantile of the law of its size, so that a changed law keeps who
is long.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.distributions import quantile_s
from computeplan.specs.logs.job_table import Index, JobLog
from computeplan.specs.workloads import HOURS, GeneratedJobs
from computeplan.trace.streams import Stream, generator
from computeplan.units import DAY_S, HOUR_S

__all__ = ["draw_jobs"]


def draw_jobs(plan: GeneratedJobs, name: str, seed: int, block: int = 0) -> JobLog:
    """Return jobs drawn for a workload, in the order of arrival.

    Parameters
    ----------
    plan : GeneratedJobs
        What they are like.
    name : str
        Of the workload, which keys what is drawn.
    seed : int
    block : int, optional
        Another one has other jobs.

    Examples
    --------
    >>> from computeplan.specs.workloads import Workload
    >>> plan = Workload(jobs=3, arrivals="at once", chips={8: 0.5, 64: 0.5}, length="2 h")
    >>> jobs = draw_jobs(plan.generated(), "mix", seed=1)
    >>> jobs.train_s.tolist(), set(jobs.chips.tolist()) <= {8, 64}
    ([7200.0, 7200.0, 7200.0], True)
    """
    n = plan.n_jobs
    key = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")

    def uniform(stream: Stream) -> FloatArray:
        """Return numbers in (0, 1), both ends left out."""
        return generator(seed, block, stream, key).random(n) + 2.0**-54

    size = _chosen(uniform(Stream.JOB_CHIPS), plan.size_shares)
    quantile = uniform(Stream.JOB_LENGTH)
    train_s = np.empty(n)
    for i, law in enumerate(plan.laws):
        mine = size == i
        train_s[mine] = quantile_s(law, quantile[mine])
    deadline_s = np.minimum(train_s * plan.slack, plan.deadline_s)
    return JobLog(
        arrival_s=_arrivals_s(plan, generator(seed, block, Stream.JOB_ARRIVAL, key)),
        chips=np.array(plan.sizes, dtype=np.int64)[size],
        train_s=train_s,
        n_steps=np.full(n, np.nan),
        kind=_index(uniform(Stream.JOB_KIND), plan.kind_shares),
        kinds=plan.kinds,
        tenant=_index(uniform(Stream.JOB_TENANT), plan.tenant_shares),
        tenants=plan.tenants,
        priority=np.full(n, plan.priority, dtype=np.int64),
        deadline_s=deadline_s,
        weight=np.ones(n),
    )


def _chosen(uniform: FloatArray, shares: tuple[float, ...]) -> IntArray:
    """Return which of some shares each number falls into."""
    edges = np.cumsum(shares)[:-1]
    return np.searchsorted(edges, uniform, side="right")


def _index(uniform: FloatArray, shares: tuple[float, ...]) -> Index:
    return _chosen(uniform, shares).astype(np.int32)


def _arrivals_s(plan: GeneratedJobs, rng: np.random.Generator) -> FloatArray:
    """Return the times of a Poisson process, rising. [s]"""
    if plan.gap_s == 0:
        return np.zeros(plan.n_jobs)
    even_s = np.cumsum(rng.standard_exponential(plan.n_jobs)) * plan.gap_s
    if not plan.daily:
        return even_s
    # In an even process as many come by then as in the uneven one by the time that is sought.
    weight = np.array(plan.daily) / np.sum(plan.daily)
    until = np.concatenate([[0.0], np.cumsum(weight)])
    day, share = np.divmod(even_s / DAY_S, 1.0)
    hour = np.minimum(np.searchsorted(until, share, side="right") - 1, HOURS - 1)
    hour = np.minimum(hour, int(np.flatnonzero(weight)[-1]))  # a sum of weights just below 1
    within = np.minimum((share - until[hour]) / weight[hour], 1.0)
    return np.asarray(day * DAY_S + (hour + within) * HOUR_S)
