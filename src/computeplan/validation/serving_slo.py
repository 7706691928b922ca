"""Largest rates under limits of latency, as MLPerf publishes them, against what we simulate.

A row says how many tokens a second left the chips while their slowest requests in a hundred kept to
a time to the first token and a time between tokens. Its rate is that over the tokens of an answer.
How the chips were split is not published, so every split that holds the model is tried, and what
the best one holds is said. Requests come at random (Poisson), shared out over like instances, each
of which is simulated. Sources give mean lengths; how lengths spread is an input, stated here. No
such row takes part in any fit.

Sources
-------
.. [1] Azure LLM inference trace 2023, conversations: cv of answers 0.77; Mooncake trace,
       conversations: 0.73.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from computeplan.compiler.serving import Served, served
from computeplan.engines.serve.largest_rate import (
    LargestRate,
    drawn_requests,
    largest_rate,
    play_held,
)
from computeplan.engines.serve.policy import ServePolicy, Slo
from computeplan.physics.serving.instance import Instance, Split
from computeplan.physics.serving.layouts import at, best_batches, splits
from computeplan.physics.serving.steps import StepTimes
from computeplan.physics.serving.tabulate import step_times
from computeplan.trace.requests import at_rate
from computeplan.validation.serving_cases import ServingCase
from computeplan.validation.serving_fit import engine_of_case
from computeplan.world.load import Lengths, Load

__all__ = ["LENGTHS_CV", "SloRate", "load_of", "measured_rate", "slo_rate"]

UNDER_LIMITS = ("server", "interactive")
"""Kinds of rows."""
LENGTHS_CV = 0.75
"""Of prompts and answers, where they differ: between two public traces of conversations [1]_."""
LONGEST_PROMPT, LONGEST_ANSWER = 2.5, 3.5
"""Over the mean one: recalled limits of the sets of MLPerf are 20,000 tokens of prompts with a mean
of 9,428 (2.1 times), and 1,024 of prompts and answers with a mean of 294 (3.5 times)."""
SERVER_RANKS, MOST_RANKS = 8, 16
"""Ranks that tensor parallelism may span, and of an instance, at most."""
N_LAYOUTS = 6
"""Layouts that are simulated: the first by their steady state."""
BATCHES_EACH, LEAST_REQUESTS = 16, 4_000
"""Requests that a rate is judged by: so many full batches. A run of a few batches begins empty and
ends before it is as slow as it becomes: at 1,000 requests rates come out a third higher."""
BATCHES_FIRST, LEAST_FIRST = 3, 1_000
"""The same to choose the layout by."""


@dataclass(frozen=True, slots=True)
class SloRate:
    """The largest rate that holds the limits of a row."""

    per_s: float
    """Requests of all chips. [1/s]"""
    measured_per_s: float
    served: Served
    """Whose instance is the best one found."""
    n_instances: float
    max_batch: int
    found: LargestRate
    """Of one instance."""


def measured_rate(case: ServingCase) -> float:
    """Return the requests a second of a row: tokens out over those of an answer. [1/s]"""
    assert case.row.output_len is not None
    return case.measured["output_tok_per_s"] / case.row.output_len


def load_of(case: ServingCase, cv: float = LENGTHS_CV) -> Load:
    """Return the requests of a row, at another rate.

    A mean of thousands of answers that is a whole number is of answers that are all alike, cut at
    that many tokens.

    Parameters
    ----------
    case : ServingCase
    cv : float, optional
        Of prompts and answers, where they differ.
    """
    row = case.row
    assert row.input_len is not None
    assert row.output_len is not None
    answers_cv = 0.0 if float(row.output_len).is_integer() else cv
    prompts = Lengths(row.input_len, cv, int(row.input_len * LONGEST_PROMPT))
    answers = Lengths(row.output_len, answers_cv, int(row.output_len * LONGEST_ANSWER))
    return Load(np.ones(1), 1.0, prompts, answers, cached_frac=0.0)


def slo_rate(case: ServingCase, *, cv: float = LENGTHS_CV) -> SloRate:
    """Return the largest rate at which the chips of a row hold its limits, on the best layout.

    Parameters
    ----------
    case : ServingCase
        Of a kind with limits.
    cv : float, optional
        Of prompts and answers, where they differ.

    Raises
    ------
    ValueError
        If the row is of another kind or is skipped, or no layout holds the limits.
    """
    if case.row.kind not in UNDER_LIMITS or case.chip is None or case.model is None:
        raise ValueError(f"{case.id}: {case.skipped or 'has no limits of latency'}")
    assert case.row.n_chips is not None
    load, slo = load_of(case, cv), _slo(case)
    n_ranks = float(case.row.n_chips * case.chip.ranks_per_chip)
    best: tuple[float, Served, int] | None = None
    for found, batch, most in _candidates(case, slo, n_ranks):
        n = n_ranks / float(found.instance.split.n_ranks)
        if best is not None and most <= best[0]:
            break
        ask = _Asked.of(found.instance, load, slo, batch, BATCHES_FIRST, LEAST_FIRST)
        if best is not None and not ask.holds(best[0] / n):  # no better than the one before
            continue
        per_s = n * ask.largest().per_s
        if best is None or per_s > best[0]:
            best = (per_s, found, batch)
    if best is None or best[0] <= 0:
        raise ValueError(f"{case.id}: no layout of {n_ranks:.0f} ranks holds the limits")
    found, batch = best[1:]
    n = n_ranks / float(found.instance.split.n_ranks)
    rate = _Asked.of(found.instance, load, slo, batch, BATCHES_EACH, LEAST_REQUESTS).largest()
    return SloRate(n * rate.per_s, measured_rate(case), found, n, batch, rate)


def _slo(case: ServingCase) -> Slo:
    limits = case.row.slo
    assert limits is not None
    return Slo(
        *(
            float("inf") if ms is None else ms / 1e3
            for ms in (limits.ttft_p99_ms, limits.tpot_p99_ms)
        )
    )


def _candidates(case: ServingCase, slo: Slo, n_ranks: float) -> Iterator[tuple[Served, int, float]]:
    """Yield layouts with a largest batch, best first, and the most that all chips may serve.

    Each has the batch that it has room for, and the one that keeps the limits without waiting.
    """
    row = case.row
    assert case.chip is not None
    assert case.model is not None
    assert row.input_len is not None
    assert row.output_len is not None
    engine = engine_of_case(case)
    ask = (case.chip, case.model, engine, case.precision)
    cache = None if case.kv_is_assumed else case.kv
    shape = served(*ask, Split.of(tp=1), cache=cache).instance.shape
    all_of = splits(shape, int(min(SERVER_RANKS, n_ranks)), int(min(MOST_RANKS, n_ranks)))
    whole = served(*ask, at(all_of, n_ranks % all_of.n_ranks == 0), cache=cache)
    held, tokens = best_batches(
        whole.instance, row.input_len, row.output_len, tpot_s=slo.tpot_s, ttft_s=slo.ttft_s
    )
    for place in range(min(len(held), N_LAYOUTS)):
        instance = replace(whole.instance, split=at(held.split, place))
        most = step_times(instance, row.input_len, row.output_len).max_batch
        for batch in sorted({most, min(int(held.batch[place]), most)}, reverse=True):
            per_s = float(tokens[place]) * n_ranks / row.output_len
            yield whole._replace(instance=instance), batch, per_s


@dataclass(frozen=True, slots=True)
class _Asked:
    """What rate an instance holds, judged by so many requests."""

    times: StepTimes
    load: Load
    slo: Slo
    policy: ServePolicy
    n_requests: int

    @classmethod
    def of(
        cls, instance: Instance, load: Load, slo: Slo, batch: int, n_batches: int, least: int
    ) -> _Asked:
        """Return the question for an instance with a largest batch."""
        times = step_times(instance, load.input_tokens.mean, load.output_tokens.mean)
        policy = ServePolicy.of(instance, batch)
        return cls(times, load, slo, policy, max(n_batches * batch, least))

    def holds(self, per_s: float) -> bool:
        """Return whether it holds a rate."""
        if per_s <= 0:
            return True
        drawn = drawn_requests(self.load, self.n_requests)
        return play_held(self.times, at_rate(drawn, per_s), self.policy, self.slo) is not None

    def largest(self) -> LargestRate:
        """Return the largest rate that it holds."""
        return largest_rate(
            self.times, self.load, self.slo, self.policy, n_requests=self.n_requests
        )
