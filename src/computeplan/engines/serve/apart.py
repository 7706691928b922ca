"""Prompts on some instances, answers on others: disaggregated prefill and decode.

Requests go around the instances in turn, as they come; each prompt is taken in on one, its cache
goes to another, and with it the first token. Both are replicas by the same loop: one for prompts
alone, as every answer there has one token, and one to which requests come with their cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.engines.serve.policy import ServePolicy
from computeplan.engines.serve.replica import play
from computeplan.engines.serve.served import Served
from computeplan.physics.serving.steps import StepTimes
from computeplan.world.load import RequestTrace

__all__ = ["Handover", "ServedApart", "play_apart"]


@dataclass(frozen=True, slots=True)
class Handover:
    """How long the cache of a prompt takes to the instance that answers, beyond the prompt."""

    fixed_s: float = 0.0
    """[s]"""
    per_token_s: float = 0.0
    """What of it is not hidden behind the layers still to come. [s/token]"""


@dataclass(frozen=True, slots=True)
class ServedApart:
    """Requests served by instances for prompts and others for answers."""

    requests: RequestTrace
    ttft_s: FloatArray
    """Time of each request to its first token, with its way to the other instance. [s]"""
    tpot_s: FloatArray
    """Mean time between its tokens; nan of an answer of one. [s]"""
    prefill: tuple[Served, ...]
    decode: tuple[Served, ...]
    """What each instance did."""


def play_apart(
    times: tuple[StepTimes, StepTimes],
    requests: RequestTrace,
    policies: tuple[ServePolicy, ServePolicy],
    n_instances: tuple[int, int],
    handover: Handover = Handover(),
) -> ServedApart:
    """Return what instances for prompts and for answers do with requests.

    Parameters
    ----------
    times, policies, n_instances : pair
        Of the instances for prompts, and of those for answers.
    requests : RequestTrace
    handover : Handover, optional

    Examples
    --------
    >>> decode, knots = np.array([0.0, 0.01]), np.array([0.0, 100.0])
    >>> times = StepTimes(decode, 0.0, 0.0, np.inf, knots, np.array([0.0, 0.1]), 0.0, 1e4)
    >>> two = RequestTrace(np.array([0.0, 0.0]), np.array([50, 50]), np.array([11, 11]))
    >>> policy = ServePolicy(max_batch=1)
    >>> served = play_apart((times, times), two, (policy, policy), (1, 2), Handover(0.01))
    >>> (served.ttft_s - times.first_token_s).round(3).tolist(), served.tpot_s.round(3).tolist()
    ([0.06, 0.11], [0.01, 0.01])
    """
    if min(n_instances) < 1:
        raise ValueError(
            f"there must be an instance for prompts and one for answers: {n_instances}"
        )
    n = len(requests)
    ones = replace(requests, output_tokens=np.ones(n, dtype=np.int64))
    prefill = tuple(
        play(times[0], _every(ones, i, n_instances[0]), policies[0])
        for i in range(min(n_instances[0], n))
    )
    first_s, done_s = np.empty(n), np.empty(n)
    for i, served in enumerate(prefill):
        first_s[i :: n_instances[0]] = served.first_s
    first_s += handover.fixed_s + handover.per_token_s * requests.input_tokens
    order = np.argsort(first_s, kind="stable")
    brought = RequestTrace(
        first_s[order],
        requests.input_tokens[order],
        requests.output_tokens[order],
        None if requests.reusable_tokens is None else requests.reusable_tokens[order],
    )
    policy = replace(policies[1], has_prompts=False)
    decode = tuple(
        play(times[1], _every(brought, i, n_instances[1]), policy)
        for i in range(min(n_instances[1], n))
    )
    for i, served in enumerate(decode):
        done_s[order[i :: n_instances[1]]] = served.done_s
    gaps = requests.output_tokens - 1.0
    with np.errstate(invalid="ignore"):
        tpot_s = np.where(gaps > 0, (done_s - first_s) / gaps, np.nan)
    ttft_s = first_s - requests.arrival_s + times[0].first_token_s
    return ServedApart(requests, ttft_s, tpot_s, prefill, decode)


def _every(requests: RequestTrace, first: int, n: int) -> RequestTrace:
    """Return every n-th request, from one on."""
    part = slice(first, None, n)
    reusable = requests.reusable_tokens
    return RequestTrace(
        requests.arrival_s[part],
        requests.input_tokens[part],
        requests.output_tokens[part],
        None if reusable is None else reusable[part],
    )
