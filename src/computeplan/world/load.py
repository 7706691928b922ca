"""The load of a service: how many requests come in each hour, how they come, how long they are.

Requests are of a trace that was recorded, or of laws: gaps of a gamma law (a cv of 1 is a Poisson
process), lengths of a lognormal one. Lengths are tokens; what a cache of prefixes holds of a prompt
is memory, but is not computed again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray, IntArray

__all__ = ["PROFILES", "Lengths", "Load", "RequestTrace"]

PROFILES = (1, 24, 168)
"""Numbers of hours that a profile may have: none, those of a day, those of a week."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long prompts or answers are.

    Examples
    --------
    >>> Lengths(mean=300, cv=0.5, most=200)
    Traceback (most recent call last):
    ...
    ValueError: lengths of 300 tokens on the mean exceed the most, 200
    """

    mean: float
    """[token]"""
    cv: float
    """Standard deviation over the mean; 0 if all are alike, else the law is lognormal."""
    most: int
    """Longer ones are not drawn; the mean is kept. [token]"""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and self.mean >= 1):
            raise ValueError(f"the mean length must be at least 1 token, got {self.mean:g}")
        if not (math.isfinite(self.cv) and self.cv >= 0):
            raise ValueError(f"the cv of lengths must be at least 0, got {self.cv:g}")
        if self.mean > self.most:
            raise ValueError(
                f"lengths of {self.mean:g} tokens on the mean exceed the most, {self.most:,}"
            )
        if self.cv and self.mean > 0.9 * self.most:
            raise ValueError(
                f"lengths of {self.mean:g} tokens on the mean leave no room to vary below the most,"
                f" {self.most:,}: a mean of at most 0.9 times it, or a cv of 0"
            )


@dataclass(frozen=True, slots=True)
class RequestTrace:
    """Requests in the order in which they come.

    Examples
    --------
    >>> ones = np.array([1, 1])
    >>> RequestTrace(np.array([5.0, 2.0]), ones, ones)
    Traceback (most recent call last):
    ...
    ValueError: request 2 comes at 2 s, before request 1 at 5 s: sort the requests by time
    """

    arrival_s: FloatArray
    """When, not falling. [s]"""
    input_tokens: IntArray
    output_tokens: IntArray
    """At least 1 each."""
    reusable_tokens: IntArray | None = None
    """Of the prompt, what a cache of prefixes holds; None if that is not known."""

    def __post_init__(self) -> None:
        n = len(self.arrival_s)
        columns = {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        if self.reusable_tokens is not None:
            columns["reusable_tokens"] = self.reusable_tokens
        for name, column in columns.items():
            if len(column) != n:
                raise ValueError(f"there are {n:,} times and {len(column):,} {name}")
            least = 0 if name == "reusable_tokens" else 1
            if n and (low := int(column.min())) < least:
                at = int(np.argmin(column)) + 1
                raise ValueError(f"request {at:,}: {name} must be at least {least}, got {low}")
        if (bad := np.flatnonzero(~np.isfinite(self.arrival_s))).size:
            raise ValueError(f"request {bad[0] + 1:,} has no time: {self.arrival_s[bad[0]]}")
        if (bad := np.flatnonzero(np.diff(self.arrival_s) < 0)).size:
            i = int(bad[0])
            before, after = self.arrival_s[i], self.arrival_s[i + 1]
            raise ValueError(
                f"request {i + 2:,} comes at {after:g} s, before request {i + 1:,} at {before:g} s:"
                " sort the requests by time"
            )

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def rate_per_s(self) -> float:
        """Requests a second; nan where no time passes."""
        if len(self) < 2 or self.arrival_s[-1] == self.arrival_s[0]:
            return math.nan
        return (len(self) - 1) / float(self.arrival_s[-1] - self.arrival_s[0])


@dataclass(frozen=True, slots=True)
class Load:
    """What comes in."""

    per_s: FloatArray
    """Requests a second: one number, or one for each hour of a day or a week. [1/s]"""
    gaps_cv: float
    """Standard deviation of the gaps between requests over their mean: 1 of a Poisson process, 0 if
    all are alike."""
    input_tokens: Lengths
    output_tokens: Lengths
    cached_frac: float
    """Share of each prompt that a cache of prefixes holds, where no trace says it."""
    trace: RequestTrace | None = None
    """Requests as recorded, in the place of the laws of gaps and lengths."""

    def __post_init__(self) -> None:
        if len(self.per_s) not in PROFILES:
            raise ValueError(
                f"a load has 1 rate, 24 for a day or 168 for a week, got {len(self.per_s)}"
            )
        rates = np.asarray(self.per_s, dtype=np.float64)
        if not (np.isfinite(rates) & (rates >= 0)).all() or not rates.any():
            raise ValueError("rates of a load must be at least 0, and one of them above 0")
        if not (math.isfinite(self.gaps_cv) and self.gaps_cv >= 0):
            raise ValueError(f"the cv of gaps must be at least 0, got {self.gaps_cv:g}")
        if not 0 <= self.cached_frac < 1:
            raise ValueError(f"the cached share must be in [0, 1), got {self.cached_frac:g}")
        if self.trace is not None and not self.trace.rate_per_s > 0:
            raise ValueError("a trace needs requests at two times at least")
