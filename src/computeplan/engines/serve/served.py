"""What a replica has done with requests, and what every run must keep to.

Little's law ties the mean number of requests in the system to how long they stay. In a run that
ends empty it is an identity: the time that steps took, times the sequences in them, is the sum of
all stays. So it is a check of the loop, with the tokens that went in and came out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.world.load import RequestTrace

__all__ = ["Served", "cached_tokens", "check_run"]


@dataclass(frozen=True, slots=True)
class Served:
    """Requests that one replica has served, all to their end."""

    requests: RequestTrace
    first_s: FloatArray
    """When the prompt of each was finished, which gives its first token. [s]"""
    done_s: FloatArray
    """When its last token was there. [s]"""
    first_token_s: float
    """From a finished prompt to its first token seen outside. [s]"""
    busy_s: float
    """In steps. [s]"""
    batch_s: FloatArray
    """[b] in steps in which b sequences decode. [s]"""
    sequence_s: float
    """Sequences that hold cache, over time. [s]"""
    n_steps: int
    n_prompt_tokens: int
    """Prompt tokens computed, those of sequences that are computed again included."""
    n_again_tokens: int
    """Of these, tokens computed again."""
    n_read_tokens: int
    """Cached tokens read by sequences that decode, summed over steps; layers that see all."""
    n_peak_tokens: int
    """The most that the cache held, or had promised."""
    n_preemptions: int

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def ttft_s(self) -> FloatArray:
        """Time of each request to its first token, seen outside. [s]"""
        found: FloatArray = self.first_s - self.requests.arrival_s + self.first_token_s
        return found

    @property
    def tpot_s(self) -> FloatArray:
        """Mean time between its tokens; nan of an answer of one. [s]"""
        gaps = self.requests.output_tokens - 1.0
        with np.errstate(invalid="ignore"):
            found: FloatArray = np.where(gaps > 0, (self.done_s - self.first_s) / gaps, np.nan)
        return found

    @property
    def output_tokens_per_s(self) -> float:
        """Tokens out, from the first request to the last end. [1/s]"""
        span_s = self.done_s.max() - self.requests.arrival_s[0]
        return float(self.requests.output_tokens.sum() / span_s)

    @property
    def n_in_system(self) -> float:
        """Requests that wait or are served, on the mean from the first to the last end."""
        span_s = self.done_s.max() - self.requests.arrival_s[0]
        return float((self.done_s - self.requests.arrival_s).sum() / span_s)


def cached_tokens(requests: RequestTrace) -> IntArray:
    """Return what need not be computed of each prompt; one token of it must be."""
    if requests.reusable_tokens is None:
        return np.zeros(len(requests), dtype=np.int64)
    return np.minimum(requests.reusable_tokens, requests.input_tokens - 1)


def check_run(
    prompts: tuple[int, int],
    outputs: tuple[int, int],
    stays: tuple[int, int],
    left: tuple[int, ...],
) -> None:
    """Refuse a run that lost something.

    Parameters
    ----------
    prompts, outputs : (int, int)
        Tokens that steps took in and gave, and those that should be.
    stays : (int, int)
        Sequences over time, by steps and by stays: both sides of Little's law.
    left : tuple of int
        What the cache holds at the end.

    Raises
    ------
    AssertionError
        If they differ, or the cache is not empty.
    """
    pairs = {"prompt tokens": prompts, "tokens out": outputs, "ticks of sequences": stays}
    for what, (counted, right) in pairs.items():
        if counted != right:
            raise AssertionError(f"{what}: {counted} by steps, {right} by requests")
    if any(left):
        raise AssertionError(f"the cache is not empty at the end: {left}")
