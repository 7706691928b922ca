"""A clock of whole ticks: many steps at once end at the very time at which they end one by one.

A second has 2**60 ticks, about an attosecond each, so that times of steps lose nothing that is
known of them. Sums and products of whole numbers are exact, whatever their order.
"""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.serving.steps import StepTimes

__all__ = ["TICKS_PER_S", "Ticks", "least_steps", "steps_ticks", "to_s", "to_ticks"]

TICKS_PER_S = 1 << 60


def to_ticks(seconds: float) -> int:
    """Return a time in ticks."""
    return round(seconds * TICKS_PER_S)


def to_s(ticks: list[int]) -> FloatArray:
    """Return times in seconds. [s]"""
    return np.array([one / TICKS_PER_S for one in ticks], dtype=np.float64)


class Ticks:
    """Times of steps in ticks."""

    __slots__ = (
        "_knots",
        "_slopes",
        "_values",
        "context",
        "decode",
        "half_pair",
        "window",
        "windowed",
    )

    def __init__(self, times: StepTimes) -> None:
        knots, values = times.prompt_tokens, times.prefill_s * float(TICKS_PER_S)
        slopes = np.append(np.diff(values) / np.diff(knots), values[-1] / knots[-1])
        # Beyond the last knot a line from the origin: the value there is on it.
        self._knots, self._values, self._slopes = knots.tolist(), values.tolist(), slopes.tolist()
        self.decode = [to_ticks(seconds) for seconds in times.decode_s.tolist()]
        self.context = to_ticks(times.context_s)
        has_window = times.window_s > 0 and math.isfinite(times.window)
        self.window = round(times.window) if has_window else 0
        self.windowed = to_ticks(times.window_s)
        if times.window_s > 0 and not has_window:  # they see all
            self.context += self.windowed
        self.half_pair = to_ticks(times.prompt_context_s / 2)

    def prompt(self, n_tokens: int, two_pairs: int) -> int:
        """Return what prompt tokens add to a step, with twice the pairs that they make."""
        i = bisect_right(self._knots, n_tokens) - 1
        ticks: float = self._values[i] + self._slopes[i] * (n_tokens - self._knots[i])
        return round(ticks) + self.half_pair * two_pairs


def steps_ticks(first: int, growth: int, n_steps: int) -> int:
    """Return what steps take of which the first is known and each next takes `growth` more.

    Examples
    --------
    >>> steps_ticks(10, 2, 3)
    36
    """
    return n_steps * first + growth * (n_steps * (n_steps - 1) // 2)


def least_steps(first: int, growth: int, ticks: int) -> int:
    """Return the fewest steps, one at least, that take some time or more.

    Examples
    --------
    >>> [least_steps(10, 2, ticks) for ticks in (0, 10, 11, 22, 23)]
    [1, 1, 2, 2, 3]
    """
    if not growth:
        return max(1, -(-ticks // first))
    # The root of a square; floats come within a step of it.
    straight = first - growth / 2
    n = int(2.0 * ticks / (straight + math.sqrt(straight * straight + 2.0 * growth * ticks)))
    n = max(1, n)
    while steps_ticks(first, growth, n) < ticks:
        n += 1
    while n > 1 and steps_ticks(first, growth, n - 1) >= ticks:
        n -= 1
    return n
