"""Requests to a service: how many, when in the day, how long, how much of them is cached.

A rate is a mean, which the day raises and lowers: by a cosine with a highest hour, or by weights of
hours. A trace, a file of one line a request, brings its own times and lengths; a rate beside it
speeds it up or slows it down, and the day takes requests out of it. Lengths are given by their mean
and their spread, as a coefficient of variation (standard deviation over mean).

Sources
-------
Spread of lengths where nothing is said: an hour of conversations of Azure, 2023 (19,366 requests,
github.com/Azure/AzurePublicDataset, P. Patel et al., Splitwise, ISCA 2024): 0.96 and 0.77.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from computeplan.arrays import FloatArray
from computeplan.specs.fields import Frozen, HowWritten, Positive, instead, quantity_reader, refuse
from computeplan.units import DAY_S, HOUR_S

__all__ = ["INPUT_CV", "OUTPUT_CV", "Day", "Requests", "TokenLengths"]

INPUT_CV, OUTPUT_CV = 0.96, 0.77
HOURS = (24, 168)
MAX_RATE_S = 1e9
MAX_PEAK = 2.0
"""Of a cosine over its mean: beyond it the lowest hour would have fewer than no requests."""
_SECONDS = {"per_s": 1.0, "per_hour": HOUR_S, "per_day": DAY_S}
_HOW = (
    "{peak: 1.5, at: 20 h}, or a list of 24 weights (one an hour of the day) or 168 (of the week)"
)

Length = Annotated[float, Field(ge=1, le=1e8)]
Spread = Annotated[float, Field(ge=0, le=20), HowWritten("", "0.9")]


class TokenLengths(Frozen):
    """How long requests and answers are."""

    tried = instead(
        (
            "input inputs input_tokens prompt prompt_tokens isl context_tokens input_len",
            "write in: 1155",
        ),
        ("output outputs output_tokens answer generated_tokens osl output_len", "write out: 211"),
        ("std sd sigma stddev spread cov", "write cv: 0.9, the standard deviation over the mean"),
        ("min max most least p99 p90 median", "lengths have a mean and a cv; a trace has any"),
        ("input_cv cv_in", "write in_cv: 0.96"),
        ("output_cv cv_out", "write out_cv: 0.77"),
    )

    mean_in: Length = Field(alias="in")
    """Tokens of a request, on average, those of the cache included."""
    mean_out: Length = Field(alias="out")
    """Tokens of its answer, on average."""
    cv: Spread | None = None
    """Standard deviation of both over their mean; 0 if all are alike."""
    in_cv: Spread | None = None
    """Of requests; 0.96 if left out, as measured of conversations."""
    out_cv: Spread | None = None
    """Of answers; 0.77 if left out, as measured of conversations."""

    @model_validator(mode="after")
    def _said_once(self) -> TokenLengths:
        for key in ("in_cv", "out_cv"):
            if self.cv is not None and getattr(self, key) is not None:
                refuse(f"say the spread once: cv for both, or in_cv and out_cv; got cv and {key}")
        return self

    @property
    def spreads(self) -> tuple[float, float]:
        """Of requests and of answers, what is left out included."""
        both = INPUT_CV if self.cv is None else self.cv, OUTPUT_CV if self.cv is None else self.cv
        return (
            both[0] if self.in_cv is None else self.in_cv,
            both[1] if self.out_cv is None else self.out_cv,
        )

    @property
    def is_spread_assumed(self) -> bool:
        """Whether a spread is left out."""
        return self.cv is None and (self.in_cv is None or self.out_cv is None)


def _read_hour(value: object) -> float:
    at_s = value if isinstance(value, float) else quantity_reader("s", "20 h", above=False)(value)
    if at_s >= DAY_S or at_s % HOUR_S:
        refuse(f"must be a full hour from 0 h to 23 h, such as '20 h', got {value!r}")
    return at_s


class Day(Frozen):
    """A day as a cosine."""

    tried = instead(
        ("ratio peak_to_mean factor max", "write peak: 1.5, the highest hour over the mean"),
        ("hour peak_hour peak_at when", "write at: 20 h"),
        ("min trough low base", "follows from the peak: the lowest hour is 2 - peak"),
        ("night", "write 24 weights: day: [...]"),
    )

    peak: Annotated[float, Field(ge=1, le=MAX_PEAK), HowWritten("", "1.5")]
    """The rate of the highest hour over the mean, up to 2; the lowest hour has 2 - peak."""
    at: Annotated[
        float,
        BeforeValidator(_read_hour),
        WithJsonSchema({"type": "string", "examples": ["20 h"]}),
        HowWritten("s", "20 h"),
    ]
    """When the highest hour begins."""


def _read_day(value: object) -> object:
    if isinstance(value, dict | Day):
        return value
    if not isinstance(value, list | tuple):
        refuse(f"must be {_HOW}; not {value!r}")
    if len(value) not in HOURS:
        refuse(f"must be {_HOW}; this list has {len(value)}")
    for hour, weight in enumerate(value):
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not math.isfinite(weight) or not 0 <= weight <= 1e12:
            refuse(f"hour {hour}: must be a number >= 0, not {weight!r}")
    if not any(value):
        refuse("some hour needs requests; all weights are 0")
    return tuple(value)


_WEIGHT: dict[str, Any] = {"type": "number", "minimum": 0}


def _kind_of_day(value: object) -> str:
    return "cosine" if isinstance(value, dict | Day) else "weights"


HoursOfDay = Annotated[
    Annotated[
        Annotated[Day, Tag("cosine")] | Annotated[tuple[float, ...], Tag("weights")],
        Discriminator(_kind_of_day),
    ],
    BeforeValidator(_read_day),
    HowWritten("", "{peak: 1.5, at: 20 h} (or 24 weights, one an hour)"),
]


class Requests(Frozen):
    """Requests to a service."""

    tried = instead(
        (
            "rate rps qps requests_per_second request_rate arrival_rate rate_per_s",
            "write per_s: 20",
        ),
        ("rpm per_minute requests_per_minute per_min", "write per_hour: 1200"),
        ("requests_per_day daily_requests count number n", "write per_day: 200e6"),
        ("users concurrency clients", "a service has requests in a time: write per_s: 20"),
        (
            "lengths in out input output input_tokens output_tokens isl osl cv in_cv out_cv",
            "write tokens: {in: 1155, out: 211}",
        ),
        ("daily hourly hours profile peak at peak_hour diurnal", f"write day: {_HOW}"),
        (
            "burstiness cv_gaps gap_cv arrival_cv arrivals distribution poisson gamma",
            "write gaps_cv: 1 (Poisson; more comes in bursts; 0 is evenly spaced)",
        ),
        (
            "cache prefix prefix_cache cache_hit hit_rate cached_frac prefix_hit",
            "write cached: 0.35, the share of request tokens that is not computed again",
        ),
        ("file csv log path replay", "write trace: requests.csv"),
    )
    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = (
        (frozenset({"per_day"}), frozenset({"per_hour"}), frozenset({"per_s"})),
        (frozenset({"tokens"}), frozenset({"trace"})),
    )

    per_day: Positive | None = None
    """Requests a day, on average."""
    per_hour: Positive | None = None
    """Instead, requests an hour, on average."""
    per_s: Positive | None = None
    """Instead, requests a second, on average."""
    tokens: TokenLengths | None = None
    """How long they and their answers are."""
    day: HoursOfDay | None = None
    """How the rate goes over the day: {peak: 1.5, at: 20 h}, or 24 weights of hours, or 168; a run
    begins with the first hour. All hours are alike if left out."""
    gaps_cv: Annotated[float, Field(ge=0, le=100), HowWritten("", "1")] | None = None
    """Spread of the times between requests: 1 is Poisson, which it is if left out; more comes in
    bursts, and 0 is evenly spaced."""
    cached: Annotated[float, Field(ge=0, lt=1), HowWritten("", "0.35")] | None = None
    """Share of the tokens of requests that a cache of prefixes holds; none if left out."""
    trace: str | None = None
    """Instead of tokens: a file with a line for each request, its time and lengths."""

    @model_validator(mode="after")
    def _whole(self) -> Requests:
        said = [key for key in _SECONDS if getattr(self, key) is not None]
        if len(said) > 1 or (not said and self.trace is None):
            how = "say how many come once, as per_day, per_hour or per_s"
            refuse(f"{how} (a trace has its own rate); got {' and '.join(said) or 'none'}")
        if (self.tokens is None) == (self.trace is None):
            got = "both" if self.trace is not None else "none"
            refuse(
                "say how long requests are, as tokens: {in: 1155, out: 211} or trace: FILE; got"
                f" {got}"
            )
        if self.trace is not None and self.gaps_cv is not None:
            refuse("gaps_cv: a trace has its own times; leave out one of them")
        if self.trace is not None and not self.trace.endswith((".csv", ".csv.gz", ".jsonl")):
            refuse(f"trace: must be a file such as requests.csv, not {self.trace!r}")
        rate_s = self.mean_per_s
        if rate_s is not None and rate_s > MAX_RATE_S:
            refuse(f"{rate_s:g} requests a second are more than {MAX_RATE_S:g}")
        return self

    @property
    def mean_per_s(self) -> float | None:
        """Requests a second on average; None where it is that of the trace. [1/s]"""
        for key, seconds in _SECONDS.items():
            if (n := getattr(self, key)) is not None:
                return float(n) / seconds
        return None

    def shares_of_hours(self) -> FloatArray:
        """Return the rate of each hour over the mean, 1, 24 or 168 of them."""
        if self.day is None:
            return np.ones(1)
        if isinstance(self.day, Day):
            turn = 2 * np.pi * (np.arange(24) - self.day.at / HOUR_S) / 24
            cosine: FloatArray = 1 + (self.day.peak - 1) * np.cos(turn)
            return cosine
        weights = np.array(self.day, dtype=np.float64)
        shares: FloatArray = weights / weights.mean()
        return shares
