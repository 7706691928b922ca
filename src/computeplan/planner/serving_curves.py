"""How a fleet answers when what is asked of it changes: its load, its limit, its batch.

Latency over load is simulated, the same requests coming sooner or later. Cost over the limit of a
further token is a new search at every limit, so that each has the layout that is best there. Energy
over the batch is that of the steady state, in which requests never run out: what a fleet that has
spares and quiet hours cannot reach. Prefill and decode instances keep the ratio of the fleet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.serve.percentiles import band, in_parts
from computeplan.engines.serve.replica import play
from computeplan.fleet.roles import cached_frac_of
from computeplan.fleet.search import requests_for
from computeplan.fleet.sizes import use_at, watts_of
from computeplan.notes import Note
from computeplan.physics.serving.steady import continuous, prompt_of, terms_of
from computeplan.planner.serving_fleet import Fleet, SizedRole, day_price, known_of
from computeplan.planner.serving_question import Question
from computeplan.planner.serving_search import searches_of
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
    """Times of requests over load, of the instances of a fleet."""

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
    """The energy of a request over the batch, of the best layouts."""

    chip: str
    layout: str
    batch: FloatArray
    wh: FloatArray
    """At the IT meter. [Wh]"""
    tpot_s: FloatArray
    """Between two tokens, mean. [s]"""


def latency_curve(one: Fleet) -> LatencyCurve:
    """Return times of requests over load, of the layouts of a fleet.

    Parameters
    ----------
    one : Fleet
        Of each role it has so many instances for one of the first.
    """
    parts = [(role, role.n_instances / one.roles[0].n_instances) for role in one.roles]
    n_chips = sum(n * role.best.n_chips for role, n in parts)
    most = min(n * role.search.best.rate.most_per_s for role, n in parts)
    largest = min(n * role.search.best.rate.per_s for role, n in parts)
    rates = np.unique(np.append(LOADS * most, largest))
    times = np.empty((2, 2, rates.size))
    for role, n in parts:
        found, slo = role.best, role.asked.slo
        drawn = requests_for(found, role.asked.load, role.asked.seed)
        for i, per_s in enumerate(rates / n):
            served = play(found.times, at_rate(drawn, per_s), found.policy)
            if role is one.roles[0]:
                times[0, :, i] = _middle_and(served.ttft_s, slo.ttft_frac)
            if role is one.roles[-1]:
                times[1, :, i] = _middle_and(served.tpot_s, slo.tpot_frac)
    return LatencyCurve(
        one.chip, _named(one), rates / n_chips, times[0], times[1], largest / n_chips
    )


def _middle_and(values: FloatArray, frac: float) -> list[float]:
    """Return the middle and a percentile."""
    return [band(in_parts(values), each).value for each in (0.5, frac)]


def _named(one: Fleet) -> str:
    return f"{one.layout}, {one.precision}"


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
        found = searches_of(asked, chip, n_requests=N_REQUESTS, progress=progress)
        if not isinstance(found, Note):
            cost = 1e6 * day_price(asked, chip, found, N_REQUESTS).whole / tokens_a_day
            best = [one.best.candidate for one in found]
            layout = " + ".join(one.layout for one in best)
            rows.append((float(limit_s), cost, layout, known_of(best)))
    limits, costs, layouts, known_each = zip(*rows, strict=True) if rows else ((),) * 4
    return FrontierCurve(chip.name, np.array(limits), np.array(costs), layouts, known_each)


def batch_curve(one: Fleet) -> BatchCurve:
    """Return the energy of a request over the batch, if requests never run out.

    Parameters
    ----------
    one : Fleet
    """
    last = one.roles[-1]
    found, load, instance = last.best, last.asked.load, last.best.compiled.instance
    n_in, n_out = load.input_tokens.mean, load.output_tokens.mean
    room = int(found.times.cache_tokens / (n_in + n_out))
    most = max(1, min(found.times.max_batch, room))
    batch = np.unique(np.append(2.0 ** np.arange(int(math.log2(most)) + 1), float(most)))
    cached = cached_frac_of(load, last.role)
    terms = terms_of(instance, batch, n_in, n_out, cached_frac=cached)
    steady = continuous(instance.speed, terms)
    before = sum(_wh(one, role, 1.0, 1.0, 1.0 / _prompt_s(role)) for role in one.roles[:-1])
    rates = zip(batch.tolist(), steady.tokens_per_s.tolist(), strict=True)
    wh = np.array([_wh(one, last, each, n_out, per_s) for each, per_s in rates])
    return BatchCurve(one.chip, _named(one), batch, wh + before, steady.tpot_s)


def _prompt_s(role: SizedRole) -> float:
    """Return the time of a prompt on a prefill instance. [s]"""
    load, instance = role.asked.load, role.best.compiled.instance
    n_in, n_out = load.input_tokens.mean, load.output_tokens.mean
    terms = terms_of(instance, 1.0, n_in, n_out, cached_frac=load.cached_frac)
    return float(prompt_of(instance.speed, terms))


def _wh(one: Fleet, role: SizedRole, batch: float, amount: float, per_s: float) -> float:
    """Return the energy of an amount of work, of which an instance does so much a second. [Wh]"""
    load, found = role.asked.load, role.best
    n_in, n_out = load.input_tokens.mean, load.output_tokens.mean
    use = use_at(found.compiled.instance, batch, n_in, n_out, load.cached_frac, role=role.role)
    watts = watts_of(one.sheet, use, one.n_chips, one.question.site.pue)
    return watts.it * found.n_chips * amount / per_s / 3600.0
