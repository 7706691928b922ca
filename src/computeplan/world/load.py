"""Requests that come to a service, compiled: rates by hour, lengths by mean and spread, or a trace.

Lengths are lognormal with the mean and the coefficient of variation (standard deviation over mean)
that are given, in whole tokens; a draw that is longer than what the model takes is drawn again. A
trace brings its own times and lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

from computeplan.arrays import FloatArray, IntArray

__all__ = ["Lengths", "Load", "RequestTrace"]


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long requests, or answers, are."""

    mean: float
    """[token]"""
    cv: float
    """Standard deviation over mean; 0 if all are alike."""
    most: int
    """Longest that the model takes; what is longer is drawn again. [token]"""


@dataclass(frozen=True, slots=True, eq=False)
class RequestTrace:
    """Requests in the order in which they came."""

    arrival_s: FloatArray
    """Rising, from 0. [s]"""
    input_tokens: IntArray
    output_tokens: IntArray
    reusable_tokens: IntArray | None
    """Leading tokens that a cache could hold; None where the file does not say."""


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Requests that come to a service."""

    per_s: FloatArray
    """Requests a second, by hour; 1, 24 or 168 of them. [1/s]"""
    gaps_cv: float
    """Spread of the times between requests: 1 is Poisson, gamma otherwise."""
    input_tokens: Lengths
    output_tokens: Lengths
    cached_frac: float
    """Share of the tokens of requests that a cache of prefixes holds."""
    trace: RequestTrace | None
    """In the place of drawn times and lengths."""
