"""Requests as they are written, compiled to a load: rates by hour, lengths, or the trace.

A request and its answer are together no longer than what the model takes. Of lengths that are drawn
the tail beyond it is drawn again, which lowers their mean a little; where it would lower it by more
than a hundredth, the spread does not fit the model, and that is refused.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from computeplan.arrays import FloatArray
from computeplan.errors import ScenarioError
from computeplan.notes import Note, note
from computeplan.specs.logs.request_trace import RequestLog
from computeplan.specs.requests import Requests
from computeplan.specs.scenario import Scenario
from computeplan.world.load import Lengths, Load, RequestTrace

__all__ = ["NO_CONTEXT", "lengths_within", "load_of", "mean_kept_frac"]

NO_CONTEXT = 100_000_000
"""Longest request of a model whose context is not published. [token]"""
LEAST_KEPT_FRAC = 0.99
"""Of the mean of lengths, without the tail that the model does not take."""

LONG_GAP_FRAC, LONG_GAP_MEANS = 0.01, 100.0
"""Of the span of a trace, and times its mean gap: a longer silence is told."""


def load_of(scenario: Scenario, name: str) -> tuple[Load, list[Note]]:
    """Return the load of a service, and what was assumed for it.

    Parameters
    ----------
    scenario : Scenario
        With a service of that name that states requests.
    name : str
        Of the service.

    Raises
    ------
    ScenarioError
        If the spread of lengths does not fit what the model takes.
    """
    service = scenario.services[name]
    assert service.requests is not None
    requests, log = service.requests, scenario.request_logs.get(name)
    model = scenario.catalogue.models.get(str(service.model))
    context = NO_CONTEXT if model is None or model.context is None else model.context
    notes: list[Note] = []
    if requests.tokens is not None and requests.tokens.is_spread_assumed:
        of_input, of_output = requests.tokens.spreads
        at = f"services.{name}.requests.tokens"
        notes.append(note("service_spread_assumed", path=at, cv_in=of_input, cv_out=of_output))
    if log is None:
        lengths, trace = _lengths(scenario, name, requests, context), None
        mean_per_s = requests.mean_per_s
    else:
        lengths, trace = _of_log(log, context), _trace(log)
        mean_per_s = requests.mean_per_s or log.mean_per_s
        notes += _silence(log, f"services.{name}.requests.trace")
    assert mean_per_s is not None
    per_s: FloatArray = mean_per_s * requests.shares_of_hours()
    gaps_cv = 1.0 if requests.gaps_cv is None else requests.gaps_cv
    if log is not None:
        gaps_cv = _cv(np.diff(log.arrival_s))
    cached = requests.cached
    if cached is not None and trace is not None and trace.reusable_tokens is not None:
        why = "the trace says of each request what a cache could hold: leave out cached"
        raise ScenarioError(
            [scenario.document.problem(("services", name, "requests", "cached"), why)]
        )
    if cached is None:
        cached = 0.0 if log is None else _reusable_frac(log)
    return Load(per_s, gaps_cv, *lengths, cached, trace), notes


def mean_kept_frac(mean: float, cv: float, most: float) -> float:
    """Return the mean of lognormal lengths without those beyond a limit, over the mean of all.

    Parameters
    ----------
    mean : float
        Of all. [token]
    cv : float
        Standard deviation over mean.
    most : float
        The limit. [token]

    Examples
    --------
    >>> mean_kept_frac(1000, 0.0, 2000), round(mean_kept_frac(1000, 1.0, 2000), 3)
    (1.0, 0.74)
    """
    if cv == 0:
        return 1.0
    sigma = math.sqrt(math.log1p(cv**2))
    z = (math.log(most / mean) + sigma**2 / 2) / sigma
    return float(ndtr(z - sigma) / ndtr(z))


def lengths_within(
    context: int, means: tuple[float, float], cvs: tuple[float, float]
) -> tuple[tuple[Lengths, Lengths], dict[str, str]]:
    """Return lengths of prompts and answers to draw, and what of them does not fit the model.

    Each may be what the mean of the other leaves of the context.

    Parameters
    ----------
    context : int
        What the model takes. [token]
    means, cvs : tuple of float
        Of prompts and of answers. [token]

    Returns
    -------
    tuple of Lengths
    dict
        Why the spread of "in" or "out" does not fit; empty where it does.

    Examples
    --------
    >>> lengths_within(131_072, (50_000, 200), (0.96, 0.77))[1].keys()
    dict_keys(['in'])
    """
    found = (
        Lengths(means[0], cvs[0], max(1, context - round(means[1]))),
        Lengths(means[1], cvs[1], max(1, context - round(means[0]))),
    )
    wrong: dict[str, str] = {}
    for key, one in zip(("in", "out"), found, strict=True):
        kept = mean_kept_frac(one.mean, one.cv, one.most)
        if not kept >= LEAST_KEPT_FRAC:
            what = "requests" if key == "in" else "answers"
            wrong[key] = (
                f"{what} of {one.mean:g} tokens with a cv of {one.cv:g} do not fit the {context}"
                f" that the model takes: without those that are too long the mean is"
                f" {100 * (1 - kept):.0f} % lower; write a smaller cv"
            )
    return found, wrong


def _lengths(
    scenario: Scenario, name: str, requests: Requests, context: int
) -> tuple[Lengths, Lengths]:
    """Return lengths to draw; each may be what the mean of the other leaves of the context."""
    tokens = requests.tokens
    assert tokens is not None
    of_input, of_output = tokens.spreads
    found, wrong = lengths_within(context, (tokens.mean_in, tokens.mean_out), (of_input, of_output))
    if wrong:
        problems = []
        for key, message in wrong.items():
            at = ("services", name, "requests", "tokens", key)
            problems.append(scenario.document.problem(at, f"{message}, or a trace"))
        raise ScenarioError(problems)
    return found


def _of_log(log: RequestLog, context: int) -> tuple[Lengths, Lengths]:
    """Return the mean and the spread of the lengths of a trace."""
    return (
        Lengths(float(log.input_tokens.mean()), _cv(log.input_tokens), context),
        Lengths(float(log.output_tokens.mean()), _cv(log.output_tokens), context),
    )


def _trace(log: RequestLog) -> RequestTrace:
    return RequestTrace(log.arrival_s, log.input_tokens, log.output_tokens, log.reusable_tokens)


def _cv(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> float:
    numbers = values.astype(np.float64)
    return float(numbers.std() / numbers.mean())


def _silence(log: RequestLog, path: str) -> list[Note]:
    """Return a note of the longest gap of a trace, where it is no part of how requests come."""
    gaps_s, span_s = np.diff(log.arrival_s), float(log.arrival_s[-1])
    is_long = gaps_s > max(LONG_GAP_FRAC * span_s, LONG_GAP_MEANS * float(gaps_s.mean()))
    if not is_long.any():
        return []
    i = int(gaps_s.argmax())
    values = {"line": int(log.lines[i]), "at_s": float(log.arrival_s[i]), "gap_s": float(gaps_s[i])}
    return [note("service_trace_gap", path=path, n=int(is_long.sum()), span_s=span_s, **values)]


def _reusable_frac(log: RequestLog) -> float:
    if log.reusable_tokens is None:
        return 0.0
    return float(log.reusable_tokens.sum() / log.input_tokens.sum())
