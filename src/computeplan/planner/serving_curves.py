"""How a fleet answers when what is asked of it changes: its load, its limit, its batch.

Latency over load is simulated, the same requests coming sooner or later. Cost over the limit of a
further token is a new search at every limit, so that each has the layout that is best there. Energy
over the batch is that of the steady state, in which requests never run out: what a fleet that has
spares and quiet hours cannot reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.serve.percentiles import band, in_parts
from computeplan.engines.serve.replica import play
from computeplan.fleet.search import Search, requests_for
from computeplan.fleet.sizes import use_at, watts_of
from computeplan.physics.serving.steady import continuous, terms_of
from computeplan.planner.serving import Fleet, Question, day_price, search_of
from computeplan.specs.catalogue.chips import Chip
from computeplan.trace.requests import at_rate
from computeplan.units import DAY_S

__all__ = [
    "BatchCurve",
    "FrontierCurve",
    "LatencyCurve",
    "batch_curve",
    "frontier_curve",
    "latency_curve",
]

LOADS = np.linspace(0.05, 0.95, 13)
"""Of what an instance serves when there is always work."""
TIMES = 4.0
"""Limits are followed from the one that is asked over this to it times this."""
ANY_TPOT_S = 0.05
"""About which they are followed where none is asked. [s]"""
N_LIMITS = 9
N_REQUESTS = 1_000
"""That decide at every limit: 10 lie beyond the 99th percentile."""


@dataclass(frozen=True, slots=True, eq=False)
class LatencyCurve:
    """Times of requests over load, of an instance of the best layout."""

    chip: str
    layout: str
    per_chip_s: FloatArray
    """Requests a second of a chip, before the derating. [1/s]"""
    ttft_s: FloatArray
    tpot_s: FloatArray
    """At the middle of the requests, and at the percentile of the limit; shape (2, n). [s]"""
    largest_per_chip_s: float
    """Up to which the limits hold. [1/s]"""


@dataclass(frozen=True, slots=True, eq=False)
class FrontierCurve:
    """What tokens cost over the limit of a further token."""

    chip: str
    tpot_s: FloatArray
    """Limits that are held. [s]"""
    per_mtok: FloatArray
    """Of a million tokens, prompts and answers alike: nan if it is not known."""
    layouts: tuple[str, ...]
    known: tuple[str, ...]
    """What the shares of each are of, as `Fleet.known`: a strict limit may take a precision of
    which less is known, and a longer one then has a slower one of which more is."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchCurve:
    """The energy of a request over the batch, of an instance of the best layout."""

    chip: str
    layout: str
    batch: FloatArray
    wh: FloatArray
    """At the IT meter. [Wh]"""
    tpot_s: FloatArray
    """Between two tokens, mean. [s]"""


def latency_curve(one: Fleet) -> LatencyCurve:
    """Return times of requests over load, of the layout of a fleet.

    Parameters
    ----------
    one : Fleet
    """
    question, found, rate = one.question, one.best, one.search.best.rate
    drawn = requests_for(found, question.load, question.seed)
    rates = np.unique(np.append(LOADS * rate.most_per_s, rate.per_s))
    fracs = ((0.5, question.slo.ttft_frac), (0.5, question.slo.tpot_frac))
    times = np.empty((2, 2, rates.size))
    for i, per_s in enumerate(rates):
        served = play(found.times, at_rate(drawn, per_s), found.policy)
        for j, (values, both) in enumerate(zip((served.ttft_s, served.tpot_s), fracs, strict=True)):
            times[j, :, i] = [band(in_parts(values), frac).value for frac in both]
    return LatencyCurve(
        one.chip,
        f"{found.layout}, {found.precision}",
        rates / found.n_chips,
        times[0],
        times[1],
        one.search.best.per_chip_s,
    )


def frontier_curve(
    question: Question, chip: Chip, *, progress: Callable[[str], None] | None = None
) -> FrontierCurve:
    """Return what tokens cost on a chip over the limit of a further token.

    Parameters
    ----------
    question : Question
        Limits are followed on both sides of the one it asks.
    chip : Chip
        It may have no fleet at the limit asked: it is followed all the same.
    progress : callable, optional
        Called with the layout that is simulated.
    """
    load, rows = question.load, list[tuple[float, float, str, str]]()
    tokens_a_day = question.mean_per_s * DAY_S * (load.input_tokens.mean + load.output_tokens.mean)
    asked_s = question.slo.tpot_s if math.isfinite(question.slo.tpot_s) else ANY_TPOT_S
    for limit_s in np.geomspace(asked_s / TIMES, asked_s * TIMES, N_LIMITS):
        slo = replace(question.slo, tpot_s=float(limit_s))
        asked = replace(question, slo=slo, n_shown=0)
        found = search_of(asked, chip, n_requests=N_REQUESTS, progress=progress)
        if isinstance(found, Search):
            price = day_price(asked, chip, found, N_REQUESTS)
            one = found.best.candidate
            known = "chip" if one.compiled.borrowed is None else one.compiled.borrowed.known
            rows.append((float(limit_s), 1e6 * price.whole / tokens_a_day, one.layout, known))
    limits, costs, layouts, known_each = zip(*rows, strict=True) if rows else ((),) * 4
    return FrontierCurve(chip.name, np.array(limits), np.array(costs), layouts, known_each)


def batch_curve(one: Fleet) -> BatchCurve:
    """Return the energy of a request over the batch, if requests never run out.

    Parameters
    ----------
    one : Fleet
    """
    found, load = one.best, one.question.load
    n_in, n_out = load.input_tokens.mean, load.output_tokens.mean
    room = int(found.times.cache_tokens / (n_in + n_out))
    most = max(1, min(found.times.max_batch, room))
    batch = np.unique(np.append(2.0 ** np.arange(int(math.log2(most)) + 1), float(most)))
    instance = found.compiled.instance
    chip, pue = one.sheet, one.question.site.pue
    terms = terms_of(instance, batch, n_in, n_out, cached_frac=load.cached_frac)
    steady = continuous(instance.speed, terms)
    wh = np.empty(batch.size)
    for i, each in enumerate(batch):
        use = use_at(instance, float(each), n_in, n_out, load.cached_frac, busy_frac=1.0)
        watts = watts_of(chip, use, one.n_chips, pue)
        wh[i] = watts.it * found.n_chips * n_out / float(steady.tokens_per_s[i]) / 3600.0
    return BatchCurve(one.chip, f"{found.layout}, {found.precision}", batch, wh, steady.tpot_s)
