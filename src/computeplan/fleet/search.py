"""The best layout of a chip for a load within limits of latency, by simulation of its requests.

In the order of what bounds their rate, layouts are simulated only if the bound allows a smaller
fleet than the best so far, and first at one rate alone, that of a fleet one hundredth smaller; only
what holds it is searched for its largest rate. So what is left out cannot be better by more than
that hundredth, but for the layouts whose steady state is not among the first `MOST_LAYOUTS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from computeplan.engines.serve.largest_rate import (
    CALM_FRAC,
    N_REQUESTS,
    LargestRate,
    drawn_requests,
    enough_requests,
    holds,
    largest_rate,
    play_held,
)
from computeplan.engines.serve.percentiles import band
from computeplan.engines.serve.policy import ServePolicy, Slo
from computeplan.engines.serve.replica import play
from computeplan.fleet.layouts import Candidate, scaled
from computeplan.notes import Note, note
from computeplan.physics.serving.steps import StepTimes
from computeplan.trace.requests import at_rate
from computeplan.world.load import Load, RequestTrace

__all__ = [
    "Search",
    "Simulated",
    "best_layout",
    "rate_between",
    "rate_of_longer",
    "requests_for",
    "tail_of",
]

GAIN_FRAC = 0.01
"""By how much a fleet must be smaller for its layout to be searched."""


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """A layout and the largest rate at which it holds the limits."""

    candidate: Candidate
    rate: LargestRate

    @property
    def per_chip_s(self) -> float:
        """Requests a second of a chip. [1/s]"""
        return self.rate.per_s / self.candidate.n_chips


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What was found for a chip, and how many layouts were looked at in which way."""

    best: Simulated
    others: tuple[Simulated, ...]
    """Others whose largest rate is known, the best first."""
    n_layouts: int
    """That hold the model."""
    n_tried: int
    """That were simulated, most at one rate."""
    n_searched: int
    """Of these, for their largest rate."""


def requests_for(
    one: Candidate, load: Load, seed: int = 1, n_requests: int = N_REQUESTS
) -> RequestTrace:
    """Return the requests that rates of a layout are judged on: those of `largest_rate`.

    Parameters
    ----------
    one : Candidate
        The more sequences it decodes at once, the more requests.
    load : Load
    seed : int, optional
    n_requests : int, optional
        At least.
    """
    return drawn_requests(load, enough_requests(one.bound_batch, n_requests), seed)


def best_layout(
    found: list[Candidate],
    n_layouts: int,
    load: Load,
    slo: Slo,
    size: Callable[[float, int], int],
    *,
    n_shown: int = 0,
    seed: int = 1,
    n_requests: int = N_REQUESTS,
    progress: Callable[[str], None] | None = None,
) -> Search | None:
    """Return the layout whose fleet is smallest, None if none holds the limits at any rate.

    Parameters
    ----------
    found : list of Candidate
        The best bound first.
    n_layouts : int
        Of the chip, for the count.
    load : Load
    slo : Slo
    size : callable
        Chips of the fleet, of the rate of an instance [1/s] and its chips.
    n_shown : int, optional
        Layouts that are searched for their largest rate whether or not they are better.
    seed : int, optional
    n_requests : int, optional
        That decide about a rate, at least.
    progress : callable, optional
        Called with the layout that is simulated.
    """
    best: Simulated | None = None
    known: list[Simulated] = []
    n_tried = 0
    for place, one in enumerate(found):
        least = 0.0
        if best is not None and place >= n_shown:
            chips = size(best.rate.per_s, best.candidate.n_chips)
            least = _least_rate(one, size, chips)
            if one.bound_per_s < least:
                continue
        if progress is not None:
            progress(one.layout)
        n_tried += 1
        try:
            # One rate first: that of a smaller fleet, or one at which requests hardly ever meet.
            first = least if least > 0 else CALM_FRAC * one.bound_per_s
            requests = at_rate(requests_for(one, load, seed, n_requests), first)
            if play_held(one.times, requests, one.policy, slo) is None:
                continue
            n = enough_requests(one.bound_batch, n_requests)
            rate = largest_rate(one.times, load, slo, one.policy, seed=seed, n_requests=n)
        except ValueError:  # the longest request has no room in the cache
            continue
        simulated = Simulated(one, rate)
        known.append(simulated)
        if rate.per_s > 0 and (best is None or _is_smaller(simulated, best, size)):
            best = simulated
    if best is None:
        return None
    others = sorted((one for one in known if one is not best), key=lambda one: -one.per_chip_s)
    return Search(best, tuple(others), n_layouts, n_tried, len(known))


def _is_smaller(one: Simulated, other: Simulated, size: Callable[[float, int], int]) -> bool:
    chips, others = (size(each.rate.per_s, each.candidate.n_chips) for each in (one, other))
    return (chips, -one.per_chip_s) < (others, -other.per_chip_s)


def _least_rate(one: Candidate, size: Callable[[float, int], int], chips: int) -> float:
    """Return the least rate with which a fleet would be smaller by the gain, by bisection. [1/s]"""
    wanted = max(1.0, math.floor(chips * (1.0 - GAIN_FRAC)))
    low, high = 0.0, 2.0 * one.bound_per_s
    if size(high, one.n_chips) > wanted:
        return math.inf
    for _ in range(30):
        middle = (low + high) / 2.0
        if middle > 0 and size(middle, one.n_chips) <= wanted:
            high = middle
        else:
            low = middle
    return high


def rate_of_longer(
    one: Simulated, load: Load, slo: Slo, per_s: float, factor: float, seed: int = 1
) -> float:
    """Return the rate that a layout holds if its steps are longer by a factor. [1/s]

    Parameters
    ----------
    one : Simulated
    load, slo : Load, Slo
    per_s : float
        What it holds as they are. [1/s]
    factor : float
    seed : int, optional
    """
    if factor == 1.0:
        return per_s
    candidate = one.candidate
    times, drawn = scaled(candidate.times, factor), requests_for(candidate, load, seed)
    most = one.rate.most_per_s / factor  # when there is always work
    ends = (0.0, min(per_s, most)) if factor > 1.0 else (per_s, max(per_s, most))
    return rate_between(times, drawn, slo, candidate.policy, *ends)


def tail_of(chip: str, one: Candidate, load: Load, slos: Sequence[Slo], seed: int = 1) -> Note:
    """Return what requests take that hardly ever meet another, at the first limit they miss.

    Parameters
    ----------
    chip : str
    one : Candidate
    load : Load
    slos : sequence of Slo
    seed : int, optional
    """
    rate = CALM_FRAC * max(one.bound_per_s, 1e-6)
    calm = play(one.times, at_rate(requests_for(one, load, seed), rate), one.policy)
    slo = next((each for each in slos if not holds(calm, each)), slos[0])
    has_further = one.role != "prefill" and not np.isnan(calm.tpot_s).all()
    return note(
        "serve_tail",
        chip=chip,
        layout=one.layout,
        ttft_s=None if one.role == "decode" else band([calm.ttft_s], slo.ttft_frac).value,
        tpot_s=band([calm.tpot_s], slo.tpot_frac).value if has_further else None,
        ttft_frac=slo.ttft_frac,
        tpot_frac=slo.tpot_frac,
    )


def rate_between(
    times: StepTimes,
    drawn: RequestTrace,
    slo: Slo,
    policy: ServePolicy,
    low: float,
    high: float,
    n_plays: int = 5,
) -> float:
    """Return the largest rate that holds limits between two, by so many bisections. [1/s]"""
    for _ in range(n_plays):
        middle = (low + high) / 2.0
        if play_held(times, at_rate(drawn, middle), policy, slo) is None:
            high = middle
        else:
            low = middle
    return low
