"""How an engine forms its steps, and what a service is held to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from computeplan.arrays import positive
from computeplan.physics.serving.instance import Instance
from computeplan.physics.serving.steps import StepTimes, checked_times
from computeplan.world.load import RequestTrace

__all__ = ["WATERMARK_FRAC", "ServePolicy", "Slo", "checked_requests"]

WATERMARK_FRAC = 0.01
"""Of the cache, what stays free when a request is let in that may grow: vLLM's default."""


@dataclass(frozen=True, slots=True)
class ServePolicy:
    """How an engine forms its steps."""

    max_batch: int
    """Sequences at once, those whose prompt is being taken in included."""
    chunk_tokens: int = 8192
    """Prompt tokens of a step, at most."""
    keeps: Literal["no_evict", "grow"] = "no_evict"
    """Whether a sequence holds cache for its whole answer from the start, or takes it token by
    token; then those that came last give way where the cache is full, and are computed again."""
    is_static: bool = False
    """Whether a batch begins when the one before it has ended, and all its prompts at once."""
    has_prompts: bool = True
    """Whether prompts are taken in here; else they come with their cache and first token."""
    watermark_frac: float = WATERMARK_FRAC
    """Of the cache, what stays free when a request is let in that may grow."""

    @classmethod
    def of(cls, instance: Instance, max_batch: int) -> ServePolicy:
        """Return how the engine of an instance with one layout forms steps of some batch."""
        engine = instance.engine
        return cls(
            max_batch,
            chunk_tokens=int(engine.chunk * float(instance.split.dp)),
            keeps="grow" if engine.grows else "no_evict",
        )

    def __post_init__(self) -> None:
        positive(max_batch=self.max_batch, chunk_tokens=self.chunk_tokens)
        if self.keeps not in ("no_evict", "grow"):
            raise ValueError(f"keeps must be 'no_evict' or 'grow', got {self.keeps!r}")
        if not 0 <= self.watermark_frac < 1:
            raise ValueError(f"watermark_frac must be in [0, 1), got {self.watermark_frac:g}")
        if self.is_static and (self.keeps == "grow" or not self.has_prompts):
            raise ValueError("a static batch keeps cache for whole answers, and takes in prompts")


@dataclass(frozen=True, slots=True)
class Slo:
    """What a service is held to: times below which a share of requests stays."""

    ttft_s: float = math.inf
    """Time to the first token. [s]"""
    tpot_s: float = math.inf
    """Time for each further token. [s]"""
    ttft_frac: float = 0.99
    tpot_frac: float = 0.99
    """Shares of requests that must stay below."""

    def __post_init__(self) -> None:
        positive(ttft_s=self.ttft_s, tpot_s=self.tpot_s)
        for name in ("ttft_frac", "tpot_frac"):
            if not 0 < (share := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {share:g}")


def checked_requests(times: StepTimes, requests: RequestTrace, policy: ServePolicy) -> None:
    """Refuse what cannot be played.

    Raises
    ------
    ValueError
        If steps have no times, the batch is larger than they are tabulated for, or a request does
        not fit the cache even by itself.
    """
    checked_times(times)
    if not (times.decode_s[1:] > 0).all():
        raise ValueError("decode_s must be above 0 wherever a sequence decodes")
    if policy.max_batch > times.max_batch:
        raise ValueError(
            f"max_batch is {policy.max_batch:,}, and steps are tabulated for at most"
            f" {times.max_batch:,} sequences"
        )
    if not len(requests):
        raise ValueError("there are no requests")
    tokens = requests.input_tokens + requests.output_tokens
    if tokens.max() > times.cache_tokens:
        at = int(np.argmax(tokens > times.cache_tokens))
        raise ValueError(
            f"request {at + 1:,} has {requests.input_tokens[at]:,} tokens in and"
            f" {requests.output_tokens[at]:,} out, and the cache holds {times.cache_tokens:,.0f}:"
            " more chips an instance, a smaller cache of a token, or shorter lengths"
        )
