"""The largest rate of requests at which a replica holds its SLO.

The same requests come at every rate that is tried, sooner or later (common random numbers), so that
what changes is the rate alone, and the answer of a seed is always the same. A rate between none and
what the replica serves when there is always work is bisected. The load's own hours have no part in
it: the rate is constant. Of a rate that does not hold, a play ends as soon as that is certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from computeplan.arrays import FloatArray
from computeplan.engines.serve.clock import to_ticks
from computeplan.engines.serve.percentiles import WARM_FRAC
from computeplan.engines.serve.policy import ServePolicy, Slo
from computeplan.engines.serve.replica import NEVER, Due, play, play_until_late
from computeplan.engines.serve.served import Served
from computeplan.physics.serving.steps import StepTimes
from computeplan.trace.requests import at_rate, draw_requests
from computeplan.world.load import Load, RequestTrace

__all__ = [
    "CALM_FRAC",
    "N_REQUESTS",
    "LargestRate",
    "drawn_requests",
    "enough_requests",
    "holds",
    "largest_rate",
    "play_held",
]

N_REQUESTS = 4_000
"""That a rate is judged by, at least: 40 lie beyond the 99th percentile."""
OF_BATCH, MOST_REQUESTS = 10, 100_000
"""Requests for each sequence that decodes at once, and the most for all: a run that is too short
for the batch to fill finds rates too high, by 30 to 40 % where as many requests come as decode at
once, by 1 to 3 % where ten times as many do."""
TOLERANCE_FRAC = 0.005
CERTAIN_S = 1e-3  # by which what is late exceeds all rounding of times
CALM_FRAC = 1e-3
"""Of what is served at most, or of a bound of it: requests hardly ever meet, so that what holds no
limit at that rate holds none at any."""


@dataclass(frozen=True, slots=True)
class LargestRate:
    """The largest rate found that holds an SLO."""

    per_s: float
    """Requests a second; 0 if none does. [1/s]"""
    most_per_s: float
    """What is served when there is always work. [1/s]"""
    served: Served
    """What the replica does at that rate; if none holds, at one where requests hardly ever meet."""
    n_plays: int
    """Rates that were tried."""

    @property
    def is_by_slo(self) -> bool:
        """Whether the SLO limits the rate, and not what can be served at all."""
        return self.per_s < (1 - 2 * TOLERANCE_FRAC) * self.most_per_s


def enough_requests(batch: float, least: int = N_REQUESTS) -> int:
    """Return the requests that a rate is judged by where so many sequences decode at once.

    Examples
    --------
    >>> enough_requests(100), enough_requests(1000), enough_requests(30_000)
    (4000, 10000, 100000)
    """
    return int(min(max(least, OF_BATCH * batch), MOST_REQUESTS))


def drawn_requests(load: Load, n_requests: int = N_REQUESTS, seed: int = 1) -> RequestTrace:
    """Return the requests that rates are judged by, one a second."""
    return draw_requests(replace(load, per_s=np.ones(1)), "largest rate", seed, float(n_requests))


def holds(served: Served, slo: Slo, warm_frac: float = WARM_FRAC) -> bool:
    """Return whether enough requests stay below the times of an SLO, the first ones left out."""
    first = int(warm_frac * len(served))
    tpot_s = served.tpot_s[first:]
    tpot_s = tpot_s[~np.isnan(tpot_s)]
    is_soon = _share(served.ttft_s[first:] <= slo.ttft_s) >= slo.ttft_frac
    return is_soon and _share(tpot_s <= slo.tpot_s) >= slo.tpot_frac


def play_held(
    times: StepTimes, requests: RequestTrace, policy: ServePolicy, slo: Slo
) -> Served | None:
    """Return what a replica does with requests if it holds an SLO, None if not.

    Parameters
    ----------
    times : StepTimes
    requests : RequestTrace
    policy : ServePolicy
    slo : Slo

    Raises
    ------
    ValueError
        As `play`.
    """
    served = play_until_late(times, requests, policy, _due(requests, times.first_token_s, slo))
    return served if served is not None and holds(served, slo) else None


def _due(requests: RequestTrace, first_token_s: float, slo: Slo) -> Due:
    """Return when requests miss an SLO for certain, and how many may; the first ones may always."""
    n = len(requests)
    n_warm = int(WARM_FRAC * n)
    gaps = (requests.output_tokens - 1).tolist()
    first, answer = [NEVER] * n, [NEVER] * n
    if math.isfinite(slo.ttft_s):
        until = to_ticks(slo.ttft_s + CERTAIN_S - min(first_token_s, slo.ttft_s))
        first[n_warm:] = [to_ticks(one) + until for one in requests.arrival_s[n_warm:].tolist()]
    if math.isfinite(slo.tpot_s):
        gap, slack = to_ticks(slo.tpot_s), to_ticks(CERTAIN_S)
        answer[n_warm:] = [n_gaps * gap + slack for n_gaps in gaps[n_warm:]]
    n_answers = sum(n_gaps > 0 for n_gaps in gaps[n_warm:])
    return Due(
        first, answer, _most_late(n - n_warm, slo.ttft_frac), _most_late(n_answers, slo.tpot_frac)
    )


def _most_late(n: int, frac: float) -> int:
    """Return how many of some requests may be late; the share is that of `holds`.

    Examples
    --------
    >>> _most_late(3600, 0.99), _most_late(3599, 0.99), _most_late(0, 0.99)
    (36, 35, 0)
    """
    return next((late for late in range(n) if (n - late - 1) / n < frac), 0)


def largest_rate(
    times: StepTimes,
    load: Load,
    slo: Slo,
    policy: ServePolicy | None = None,
    *,
    seed: int = 1,
    n_requests: int = N_REQUESTS,
) -> LargestRate:
    """Return the largest rate of requests at which one replica holds an SLO.

    Parameters
    ----------
    times : StepTimes
    load : Load
        Its lengths, gaps and cached share, or its trace; at another rate.
    slo : Slo
    policy : ServePolicy, optional
        By default the largest batch that steps are tabulated for.
    seed : int, optional
    n_requests : int, optional
        That a rate is judged by.

    Examples
    --------
    >>> from computeplan.world.load import Lengths
    >>> decode, knots = np.array([0.0, 0.01, 0.01]), np.array([0.0, 100.0])
    >>> times = StepTimes(decode, 0.0, 0.0, np.inf, knots, np.array([0.0, 0.01]), 0.0, 1e4)
    >>> load = Load(np.ones(1), 1.0, Lengths(100, 0, 100), Lengths(50, 0, 50), 0.0)
    >>> found = largest_rate(times, load, Slo(ttft_s=1.0, tpot_s=0.05), n_requests=1000)
    >>> 2.0 < found.per_s < found.most_per_s < 4.0, found.is_by_slo
    (True, True)
    """
    policy = policy or ServePolicy(times.max_batch)
    drawn = drawn_requests(load, n_requests, seed)
    all_at_once = replace(drawn, arrival_s=np.zeros(len(drawn)))
    most = _middle_rate(play(times, all_at_once, policy).done_s)
    found, n_plays = None, 1
    low, high = 0.0, 1.0
    is_free = math.isinf(slo.ttft_s) and math.isinf(slo.tpot_s)  # every rate that is tried holds
    while high - low > TOLERANCE_FRAC:
        share = (low + high) / 2
        if is_free:
            low = share
            continue
        served = play_held(times, at_rate(drawn, share * most), policy, slo)
        n_plays += 1
        if served is None:
            high = share
        else:
            low, found = share, served
    if found is None:
        found = play(times, at_rate(drawn, (low or CALM_FRAC) * most), policy)
        n_plays += 1
    return LargestRate(low * most, most, found, n_plays)


def _share(is_so: NDArray[np.bool_]) -> float:
    return float(is_so.mean()) if is_so.size else 1.0


def _middle_rate(done_s: FloatArray) -> float:
    """Return requests a second in the middle half of those that end. [1/s]"""
    first_s, last_s = np.quantile(done_s, (0.25, 0.75))
    if last_s > first_s:
        return len(done_s) / 2 / float(last_s - first_s)
    return len(done_s) / float(done_s.max())
