"""Signals: what varies in time at a site, as steps and their integral."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray

__all__ = ["Signal", "product"]

MAX_STEPS = 1_000_000
"""Of a product: more are a mistake in the lengths of its factors."""


@dataclass(frozen=True)
class Signal:
    """A signal that is constant between steps, such as an hourly price."""

    times_s: FloatArray
    """When each step begins, rising from 0; shape (n_steps,). [s]"""
    values_frac: FloatArray
    """The signal from then on, over the constant that it stands beside: 1 is that constant; shape
    (n_steps,)."""
    period_s: float = math.inf
    """Time after which it repeats, beyond the last step; inf if that goes on. [s]"""
    begins_s: float = 0.0
    """Its time when a run begins. [s]"""

    @cached_property
    def _until_s(self) -> FloatArray:
        return np.concatenate([[0.0], np.cumsum(np.diff(self.times_s) * self.values_frac[:-1])])

    @cached_property
    def _turn_s(self) -> float:
        """Its integral over a period. [s]"""
        rest_s = self.period_s - self.times_s[-1]
        return float(self._until_s[-1] + self.values_frac[-1] * rest_s)

    @property
    def mean_frac(self) -> float:
        """Its mean over a period; what goes on in the end if it does not repeat."""
        if math.isinf(self.period_s):
            return float(self.values_frac[-1])
        return self._turn_s / self.period_s

    @property
    def lowest_frac(self) -> float:
        """Its lowest value."""
        return float(self.values_frac.min())

    def at(self, time_s: ArrayLike) -> FloatArray:
        """Return the signal at times of a run, in the shape of the argument.

        Examples
        --------
        >>> nights = Signal(np.array([0.0, 8.0]), np.array([0.5, 1.0]), period_s=24.0)
        >>> nights.at([0.0, 8.0, 25.0]).tolist()
        [0.5, 1.0, 0.5]
        """
        _, at_s = self._turns(time_s)
        return np.asarray(self.values_frac[self._step(at_s)])

    def next_s(self, time_s: float) -> float:
        """Return when the next step begins after a time of a run; inf if there is none. [s]

        Examples
        --------
        >>> nights = Signal(np.array([0.0, 8.0]), np.array([0.5, 1.0]), period_s=24.0)
        >>> nights.next_s(0.0), nights.next_s(8.0), nights.next_s(50.0)
        (8.0, 24.0, 56.0)
        """
        is_endless = math.isinf(self.period_s)
        turns = 0 if is_endless else math.floor((time_s + self.begins_s) / self.period_s)
        for turn in (turns,) if is_endless else (turns, turns + 1):
            base_s = (turn * self.period_s if turn else 0.0) - self.begins_s
            i = int(np.searchsorted(base_s + self.times_s, time_s, side="right"))
            if i < len(self.times_s):
                return base_s + float(self.times_s[i])
        return math.inf

    def integral(self, from_s: ArrayLike, to_s: ArrayLike) -> FloatArray:
        """Return the integral of the signal over time, in the shape of the arguments. [s]

        Examples
        --------
        >>> nights = Signal(np.array([0.0, 8.0]), np.array([0.5, 1.0]))
        >>> float(nights.integral(6.0, 10.0))
        3.0
        """
        return self.up_to(to_s) - self.up_to(from_s)

    def steps_s(self, from_s: float, until_s: float) -> FloatArray:
        """Return when steps begin in a part of a run, the first being its beginning. [s]

        Examples
        --------
        >>> nights = Signal(np.array([0.0, 8.0]), np.array([0.5, 1.0]), period_s=24.0)
        >>> nights.steps_s(3.0, 40.0).tolist()
        [3.0, 8.0, 24.0, 32.0]
        """
        starts_s = self.times_s - self.begins_s
        if math.isfinite(self.period_s):
            first, last = ((at_s + self.begins_s) // self.period_s for at_s in (from_s, until_s))
            turns = np.arange(first, last + 1)
            starts_s = (turns[:, None] * self.period_s + self.times_s).ravel() - self.begins_s
        inside = starts_s[(starts_s > from_s) & (starts_s < until_s)]
        return np.concatenate([[from_s], inside])

    def up_to(self, time_s: ArrayLike) -> FloatArray:
        """Return the integral of the signal up to times, but for a constant. [s]"""
        turns, at_s = self._turns(time_s)
        i = self._step(at_s)
        within_s = self._until_s[i] + self.values_frac[i] * (at_s - self.times_s[i])
        if math.isinf(self.period_s):
            return np.asarray(within_s)
        return np.asarray(turns * self._turn_s + within_s)

    def _turns(self, time_s: ArrayLike) -> tuple[FloatArray | float, FloatArray]:
        """Return how many periods are over, and the time in the one that runs. [1, s]"""
        at_s = np.asarray(time_s, dtype=np.float64) + self.begins_s
        if math.isinf(self.period_s):
            return 0.0, at_s
        turns = np.floor(at_s / self.period_s)
        return turns, at_s - turns * self.period_s

    def _step(self, at_s: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.maximum(np.searchsorted(self.times_s, at_s, side="right") - 1, 0)


def product(factors: Sequence[Signal], begins_s: float = 0.0) -> Signal:
    """Return the product of signals, each taken from its own time 0, for a run that begins then.

    Parameters
    ----------
    factors : sequence of Signal
        They repeat, after whole seconds, or are constant.
    begins_s : float
        Time of the product when a run begins. [s]

    Raises
    ------
    ValueError
        If the product repeats only after so long that it has too many steps.

    Examples
    --------
    >>> night = Signal(np.array([0.0, 8.0]), np.array([0.5, 1.0]), period_s=24.0)
    >>> winter = Signal(np.array([0.0, 24.0]), np.array([2.0, 1.0]), period_s=48.0)
    >>> found = product([night, winter])
    >>> found.times_s.tolist(), found.values_frac.tolist(), found.period_s
    ([0.0, 8.0, 24.0, 32.0], [1.0, 2.0, 0.5, 1.0], 48.0)
    """
    repeating = [one for one in factors if math.isfinite(one.period_s)]
    constant = math.prod(float(one.values_frac[-1]) for one in factors if math.isinf(one.period_s))
    if not repeating:
        return Signal(np.zeros(1), np.array([constant]))
    period_s = math.lcm(*(int(one.period_s) for one in repeating))
    n_steps = sum(len(one.times_s) * (period_s // int(one.period_s)) for one in repeating)
    if n_steps > MAX_STEPS:
        raise ValueError(
            f"what varies at one site repeats together only after {period_s / 3600:,.0f} h"
        )
    starts = [
        (np.arange(0, period_s, one.period_s)[:, None] + one.times_s).ravel() for one in repeating
    ]
    times_s = np.unique(np.concatenate(starts))
    values = constant * np.prod([one.at(times_s) for one in repeating], axis=0)
    is_new = np.concatenate([[True], np.diff(values) != 0])
    return Signal(times_s[is_new], values[is_new], float(period_s), begins_s)
