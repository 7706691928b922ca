"""Requests of a service, drawn before an engine starts, or taken from a trace.

Of laws: gaps of mean 1 are drawn, and their sum is a clock that runs as fast as the rate of the
hour. So the cv of gaps holds in every hour, and at any rate the same requests come, sooner or
later: rates are compared on the same draws. A Poisson process on that clock is the one that is
thinned by the hour.

Of a trace: its clock runs as fast as the busiest hour asks, by one factor; it repeats as often as
needed; and in other hours requests are left out at random. Gaps are never stretched beyond that
one factor, as the bursts of a trace are its content. Who sizes a fleet for the busiest minute has
counted what minutes differ by: for it a trace can be evened to the same rate in all of them.

Lengths are quantiles of uniform numbers, one a request, so that the longest stays the longest.
Those beyond the most are not drawn: the law is cut there, and shifted so that its mean is kept.
"""

from __future__ import annotations

import math
from hashlib import blake2b

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri

from computeplan.arrays import FloatArray, IntArray
from computeplan.trace.streams import Stream, generator
from computeplan.units import HOUR_S
from computeplan.world.load import Lengths, Load, RequestTrace

__all__ = ["at_rate", "draw_requests", "evened", "length_quantiles", "shared_out"]

EVEN = 2.0**-53  # cv below which gaps of mean 1 are 1 to the last digit
WIDEST = 60.0  # log of how far the median of a cut law is looked for beyond its most


def draw_requests(
    load: Load, name: str, seed: int, span_s: float, *, block: int = 0, begin_s: float = 0.0
) -> RequestTrace:
    """Return the requests that come in a span, counted from its begin.

    Parameters
    ----------
    load : Load
    name : str
        Of the service, which keys what is drawn.
    seed : int
    span_s : float
        How long. [s]
    block : int, optional
        Another one has other draws; a trace begins elsewhere in all but the first.
    begin_s : float, optional
        When the span begins in the profile of the load. [s]

    Examples
    --------
    >>> lengths = Lengths(mean=100, cv=0, most=1000)
    >>> load = Load(np.array([2.0]), 1.0, lengths, lengths, cached_frac=0.3)
    >>> requests = draw_requests(load, "chat", seed=1, span_s=3600.0)
    >>> abs(len(requests) - 7200) < 400, int(requests.reusable_tokens[0])
    (True, 30)
    """
    key = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")

    def stream(which: Stream) -> np.random.Generator:
        return generator(seed, block, which, key)

    edges_s, rates = _hours(load.per_s, begin_s, span_s)
    if load.trace is not None:
        turn = float(stream(Stream.REQUEST_TURN).random()) if block else 0.0
        found = _of_trace(load, edges_s, rates, turn, stream(Stream.REQUEST_KEPT))
        return _with_cached(found, load.cached_frac)
    until = np.concatenate([[0.0], np.cumsum(rates * np.diff(edges_s))])
    clock = _clock(load.gaps_cv, float(until[-1]), stream(Stream.REQUEST_GAP))
    n = len(clock)
    found = RequestTrace(
        np.interp(clock, until, edges_s),
        length_quantiles(load.input_tokens, stream(Stream.REQUEST_INPUT).random(n)),
        length_quantiles(load.output_tokens, stream(Stream.REQUEST_OUTPUT).random(n)),
    )
    return _with_cached(found, load.cached_frac)


def at_rate(requests: RequestTrace, per_s: float) -> RequestTrace:
    """Return the same requests at another rate: all gaps changed by one factor, lengths kept.

    Parameters
    ----------
    requests : RequestTrace
    per_s : float
        [1/s]

    Examples
    --------
    >>> ones = np.ones(3, dtype=np.int64)
    >>> at_rate(RequestTrace(np.array([0.0, 1.0, 4.0]), ones, ones), 1.0).arrival_s.tolist()
    [0.0, 0.5, 2.0]
    """
    if not (math.isfinite(per_s) and per_s > 0):
        raise ValueError(f"the rate must be above 0, got {per_s:g}")
    first_s = requests.arrival_s[0]
    factor = requests.rate_per_s / per_s
    return RequestTrace(
        (requests.arrival_s - first_s) * factor,
        requests.input_tokens,
        requests.output_tokens,
        requests.reusable_tokens,
    )


def evened(trace: RequestTrace, window_s: float = 60.0) -> RequestTrace:
    """Return a trace that has the same rate in all minutes, in the same time; lengths are kept.

    Within a minute gaps keep their proportions. A minute without requests is left out.

    Parameters
    ----------
    trace : RequestTrace
    window_s : float, optional
        Another time than a minute. [s]

    Examples
    --------
    Four in the first two seconds, two in the next two, none in two, and one at the end.

    >>> ones = np.ones(7, dtype=np.int64)
    >>> uneven = RequestTrace(np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0]), ones, ones)
    >>> evened(uneven, 2.0).arrival_s.tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0]
    """
    at_s = trace.arrival_s - trace.arrival_s[0]
    window = np.floor(at_s / window_s)
    _, place, counts = np.unique(window, return_inverse=True, return_counts=True)
    whole = np.concatenate([[0.0], np.cumsum(counts)])
    width_s = np.minimum(window_s, at_s[-1] - window * window_s)  # the last one is shorter
    width_s = np.where(width_s > 0, width_s, 1.0)
    even = whole[place] + counts[place] * (at_s - window * window_s) / width_s
    return RequestTrace(
        even * (at_s[-1] / even[-1]),
        trace.input_tokens,
        trace.output_tokens,
        trace.reusable_tokens,
    )


def shared_out(trace: RequestTrace, n: int, seed: int = 1) -> RequestTrace:
    """Return what each of some instances gets of a trace, one after the other.

    Each request goes to one of them at random. So it is the same requests, in as many times the
    time; a burst of the trace is as short, and an instance gets its share of it.

    Parameters
    ----------
    trace : RequestTrace
    n : int
        Instances; more than a tenth of the requests are taken as so many.
    seed : int, optional

    Examples
    --------
    >>> ones = np.ones(1000, dtype=np.int64)
    >>> found = shared_out(RequestTrace(np.arange(1000.0), ones, ones), 4)
    >>> len(found), bool(3900 < found.arrival_s[-1] < 4000)
    (1000, True)
    """
    n = max(1, min(n, len(trace) // 10))
    if n == 1:
        return trace
    at_s = trace.arrival_s - trace.arrival_s[0]
    whole_s = float(at_s[-1]) + 1.0 / trace.rate_per_s
    to = generator(seed, 0, Stream.REQUEST_KEPT, n).integers(n, size=len(trace))
    order = np.argsort(to, kind="stable")
    reusable = None if trace.reusable_tokens is None else trace.reusable_tokens[order]
    return RequestTrace(
        (at_s + to * whole_s)[order],
        trace.input_tokens[order],
        trace.output_tokens[order],
        reusable,
    )


def _hours(per_s: FloatArray, begin_s: float, span_s: float) -> tuple[FloatArray, FloatArray]:
    """Return where rates change in a span, from 0 to its end, and the rates between. [s, 1/s]"""
    if not (math.isfinite(span_s) and span_s > 0):
        raise ValueError(f"the span must be above 0 s, got {span_s:g}")
    first, last = math.floor(begin_s / HOUR_S), math.ceil((begin_s + span_s) / HOUR_S)
    if len(per_s) == 1:
        return np.array([0.0, span_s]), np.asarray(per_s, dtype=np.float64)
    hours = np.arange(first, last)
    edges_s = np.append(np.clip(hours * HOUR_S - begin_s, 0.0, None), span_s)
    return edges_s, np.asarray(per_s, dtype=np.float64)[hours % len(per_s)]


def _clock(cv: float, end: float, rng: np.random.Generator) -> FloatArray:
    """Return the times below an end of a process with gaps of mean 1 and a cv."""
    if cv < EVEN:
        return np.arange(1.0, end)
    shape = 1.0 / cv**2

    def gaps(n: int) -> FloatArray:
        drawn = rng.standard_exponential(n) if cv == 1.0 else rng.standard_gamma(shape, n) / shape
        return np.asarray(drawn)

    times = np.cumsum(gaps(64))
    while times[-1] < end:
        left = end - float(times[-1])
        times = np.append(times, times[-1] + np.cumsum(gaps(math.ceil(left) + 64)))
    return times[: int(np.searchsorted(times, end))]


def _of_trace(
    load: Load, edges_s: FloatArray, rates: FloatArray, turn: float, rng: np.random.Generator
) -> RequestTrace:
    """Return a trace as fast as the busiest hour of the load, repeated, and thinned elsewhere.

    Between its last request and its first, as it repeats, there is one mean gap.
    """
    trace, most = load.trace, float(np.max(load.per_s))
    assert trace is not None
    n = len(trace)
    period_s = n / most
    even_s = (trace.arrival_s - trace.arrival_s[0]) * (trace.rate_per_s / most)
    first = int(turn * n)
    order = (first + np.arange(n)) % n
    one_s = (even_s[order] - even_s[first]) % period_s
    turns = np.arange(math.ceil(edges_s[-1] / period_s))
    times_s = (turns[:, None] * period_s + one_s).ravel()
    order = np.tile(order, len(turns))
    is_there = times_s < edges_s[-1]
    times_s, order = times_s[is_there], order[is_there]
    share = rates[np.searchsorted(edges_s, times_s, side="right") - 1] / most
    kept = rng.random(len(times_s)) < share
    reusable = None if trace.reusable_tokens is None else trace.reusable_tokens[order][kept]
    return RequestTrace(
        times_s[kept], trace.input_tokens[order][kept], trace.output_tokens[order][kept], reusable
    )


def _with_cached(requests: RequestTrace, cached_frac: float) -> RequestTrace:
    """Return requests with what is cached of each prompt: what they say, or a share."""
    if requests.reusable_tokens is not None:
        return requests
    cached = np.floor(requests.input_tokens * cached_frac).astype(np.int64)
    columns = (requests.arrival_s, requests.input_tokens, requests.output_tokens)
    return RequestTrace(*columns, cached)


def length_quantiles(lengths: Lengths, uniform: FloatArray) -> IntArray:
    """Return lengths for uniform numbers: quantiles of the law, rounded, at least 1. [token]

    Examples
    --------
    >>> length_quantiles(Lengths(mean=100, cv=1, most=1000), np.array([0.1, 0.5, 0.9])).tolist()
    [25, 71, 207]
    """
    if lengths.cv == 0:
        return np.full(len(uniform), round(lengths.mean), dtype=np.int64)
    sigma = math.sqrt(math.log1p(lengths.cv**2))
    top = math.log(lengths.most)
    mu = _log_median(math.log(lengths.mean), sigma, top)
    below = ndtr((top - mu) / sigma)
    tokens = np.exp(mu + sigma * ndtri(np.maximum(uniform, 2.0**-54) * below))
    whole: IntArray = np.clip(np.rint(tokens), 1, lengths.most).astype(np.int64)
    return whole


def _log_median(log_mean: float, sigma: float, top: float) -> float:
    """Return the log of the median of a lognormal law that has the mean once cut at the top."""

    def over(mu: float) -> float:
        high = (top - mu) / sigma
        return float(mu + sigma**2 / 2 + log_ndtr(high - sigma) - log_ndtr(high) - log_mean)

    return float(brentq(over, log_mean - sigma**2 - 1.0, top + WIDEST, xtol=1e-12))
