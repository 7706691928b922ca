"""Closed forms of a served model: what a replica does at rest, and how long requests wait.

A replica that gives every sequence a token a step is a queue in which all are served at once, the
slower the more they are: a birth-death chain of the sequences that decode. Requests come at a rate,
and b sequences end at ``b / (t(b) n)``, for ``n`` steps an answer and ``t(b)`` a step. Its chances
depend on the mean number of steps alone, not on their law (state-dependent processor sharing is
insensitive [1]_). Prompts come in between: they take a share of the time of every state.

Prompts by themselves, on instances of their own, wait like customers of an M/G/k queue: Erlang's
formula, times how much gaps and lengths vary (Allen and Cunneen [2]_).

Sources
-------
.. [1] F. P. Kelly, "Reversibility and Stochastic Networks", Wiley, 1979, chapter 3.
.. [2] A. O. Allen, "Probability, Statistics, and Queueing Theory", 2nd edition, Academic Press,
       1990, section 5.3; the formula is exact for M/M/k and M/G/1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from computeplan.arrays import FloatArray, IntArray, positive
from computeplan.physics.serving.steps import StepTimes, decode_step_s, prefill_s, windowed_tokens
from computeplan.trace.requests import length_quantiles
from computeplan.world.load import Load

__all__ = ["Chain", "Limits", "batch_chain", "limits", "mean_prompt_s", "mean_wait_s"]

N_POINTS = 512  # of a law of lengths, at equal chances


@dataclass(frozen=True, slots=True)
class Chain:
    """A replica at rest."""

    share: FloatArray
    """[b] of the time in which b sequences decode."""
    lost_frac: float
    """Of the requests, those that find the batch full; here they do not wait."""
    tpot_s: float
    """Mean time between tokens. [s]"""
    prompt_frac: float
    """Of the time, what prompts take."""

    @property
    def n_mean(self) -> float:
        """Sequences that decode, on the mean."""
        return float(self.share @ np.arange(len(self.share)))


@dataclass(frozen=True, slots=True)
class Limits:
    """What no load can do better on an instance."""

    ttft_s: float
    """Time to the first token of a mean prompt that meets no other. [s]"""
    tpot_s: float
    """Time between tokens of a sequence by itself. [s]"""
    per_s: float
    """Requests a second if the batch is always the best one that the cache holds. [1/s]"""
    best_batch: int
    """That batch."""


def batch_chain(times: StepTimes, load: Load, per_s: float, max_batch: int | None = None) -> Chain:
    """Return the sequences that decode on a replica at rest, as a birth-death chain.

    Parameters
    ----------
    times : StepTimes
    load : Load
        Its lengths; requests come at random, whatever its gaps.
    per_s : float
        Requests a second. [1/s]
    max_batch : int, optional
        Sequences at once; by default as many as steps are tabulated for.

    Raises
    ------
    ValueError
        If prompts alone take all the time.

    Examples
    --------
    A step of 10 ms whatever the batch, answers of 101 tokens: every answer takes one second, so
    that the batch is a Poisson number (Erlang).

    >>> from computeplan.world.load import Lengths
    >>> decode, knots = np.append(0.0, np.full(50, 0.01)), np.array([0.0, 1.0])
    >>> times = StepTimes(decode, 0.0, 0.0, np.inf, knots, np.zeros(2), 0.0, 1e6)
    >>> load = Load(np.ones(1), 1.0, Lengths(10, 0, 10), Lengths(101, 0, 101), 0.0)
    >>> chain = batch_chain(times, load, per_s=3.0)
    >>> round(chain.n_mean, 6), round(chain.tpot_s, 6), round(float(chain.share[0]), 6)
    (3.0, 0.01, 0.049787)
    """
    positive(per_s=per_s)
    prompt_frac = per_s * mean_prompt_s(times, load)
    if prompt_frac >= 1:
        raise ValueError(f"prompts alone take {prompt_frac:.2f} times the time that there is")
    n_steps = _steps(load).mean()
    batch = np.arange(1, (max_batch or times.max_batch) + 1)
    step_s = _step_s(times, load, batch) / (1 - prompt_frac)
    with np.errstate(divide="ignore"):
        logs = np.append(0.0, np.cumsum(np.log(per_s * n_steps * step_s / batch)))
    share = np.exp(logs - logs.max())
    share /= share.sum()
    lost_frac = float(share[-1])
    n_mean = float(share @ np.arange(len(share)))
    tpot_s = n_mean / (per_s * (1 - lost_frac) * n_steps) if n_steps else math.nan
    return Chain(share, lost_frac, float(tpot_s), prompt_frac)


def mean_wait_s(per_s: float, service_s: float, k: int, gaps_cv: float, service_cv: float) -> float:
    """Return how long customers wait for one of k servers, on the mean. [s]

    It is inf where they bring more work than the servers do.

    Parameters
    ----------
    per_s : float
        Customers a second. [1/s]
    service_s : float
        Mean time of service. [s]
    k : int
        Servers.
    gaps_cv, service_cv : float
        Standard deviations of gaps and of services over their means.

    Examples
    --------
    >>> round(mean_wait_s(0.5, 1.0, 1, 1.0, 0.0), 6)  # M/D/1: half of M/M/1, which is 1 s
    0.5
    """
    positive(per_s=per_s, service_s=service_s, k=k)
    erlangs = per_s * service_s
    if erlangs >= k:
        return math.inf
    blocked = stats.poisson.pmf(k, erlangs) / stats.poisson.cdf(k, erlangs)  # Erlang B
    waits = blocked / (1 - erlangs / k * (1 - blocked))  # Erlang C
    varies = (gaps_cv**2 + service_cv**2) / 2
    return float(waits * service_s / (k - erlangs) * varies)


def mean_prompt_s(times: StepTimes, load: Load) -> float:
    """Return what a prompt takes by itself, on the mean over its lengths. [s]"""
    n_in = length_quantiles(load.input_tokens, _points())
    cached = np.minimum(np.floor(n_in * load.cached_frac), n_in - 1)
    fresh = n_in - cached
    return float(prefill_s(times, fresh, fresh * (cached + fresh / 2)).mean())


def limits(times: StepTimes, load: Load, max_batch: int | None = None) -> Limits:
    """Return the least times of requests, and the largest rate, whatever the load.

    Examples
    --------
    >>> from computeplan.world.load import Lengths
    >>> decode, knots = np.array([0.0, 0.010, 0.012]), np.array([0.0, 100.0])
    >>> times = StepTimes(decode, 0.0, 0.0, np.inf, knots, np.array([0.0, 0.1]), 0.0, 1e4)
    >>> load = Load(np.ones(1), 1.0, Lengths(100, 0, 100), Lengths(101, 0, 101), 0.0)
    >>> found = limits(times, load)
    >>> round(found.ttft_s, 6), found.tpot_s, round(1 / found.per_s, 6)  # 0.1 s + 100 * 12 ms / 2
    (0.18, 0.01, 0.7)
    """
    prompt_s, n_steps = mean_prompt_s(times, load), float(_steps(load).mean())
    tokens = load.input_tokens.mean + load.output_tokens.mean / 2
    most = min(max_batch or times.max_batch, int(times.cache_tokens / tokens))
    if most < 1:
        raise ValueError(
            f"a request takes {tokens:,.0f} tokens of cache on the mean, and the cache holds"
            f" {times.cache_tokens:,.0f}: more chips an instance, or shorter lengths"
        )
    batch = np.arange(1, most + 1)
    step_s = _step_s(times, load, batch)
    request_s = prompt_s + n_steps * step_s / batch
    best = int(np.argmin(request_s))
    per_s = 1 / float(request_s[best]) if request_s[best] else math.inf
    return Limits(prompt_s + times.first_token_s, float(step_s[0]), per_s, best + 1)


def _points() -> FloatArray:
    found: FloatArray = (np.arange(N_POINTS) + 0.5) / N_POINTS
    return found


def _steps(load: Load) -> FloatArray:
    """Return steps in which answers decode, at equal chances; the prompt gives the first token."""
    return np.asarray(length_quantiles(load.output_tokens, _points()) - 1.0)


def _step_s(times: StepTimes, load: Load, batch: IntArray) -> FloatArray:
    """Return steps of batches of sequences as they are met: in the midst of long answers. [s]"""
    n_steps = _steps(load)
    n_in = length_quantiles(load.input_tokens, _points())
    total = n_steps.sum()
    if not total:
        return np.asarray(times.decode_s[batch])
    context = n_in.mean() + 1 + (n_steps * (n_steps - 1) / 2).sum() / total
    windowed = 0.0
    if times.window_s:
        some = n_in[:: N_POINTS // 32, None] + 1
        windowed = float(windowed_tokens(some, times.window, n_steps).sum() / total / len(some))
    return decode_step_s(times, batch, batch * context, batch * windowed)
