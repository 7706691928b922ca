"""Signals: what varies in time at a site, as steps and their integral."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray

__all__ = ["Signal"]


@dataclass(frozen=True)
class Signal:
    """A signal that is constant between steps, such as an hourly price."""

    times_s: FloatArray
    """When each step begins, rising from 0; shape (n_steps,). [s]"""
    values_frac: FloatArray
    """The signal from then on, over the constant that it stands beside: 1 is that constant; shape
    (n_steps,)."""

    @cached_property
    def _until_s(self) -> FloatArray:
        return np.concatenate([[0.0], np.cumsum(np.diff(self.times_s) * self.values_frac[:-1])])

    def integral(self, from_s: ArrayLike, to_s: ArrayLike) -> FloatArray:
        """Return the integral of the signal over time, in the shape of the arguments. [s]

        Examples
        --------
        >>> nights = Signal(np.array([0.0, 8.0]), np.array([0.5, 1.0]))
        >>> float(nights.integral(6.0, 10.0))
        3.0
        """
        return self._up_to(to_s) - self._up_to(from_s)

    def _up_to(self, time_s: ArrayLike) -> FloatArray:
        at_s = np.asarray(time_s, dtype=np.float64)
        i = np.maximum(np.searchsorted(self.times_s, at_s, side="right") - 1, 0)
        return np.asarray(self._until_s[i] + self.values_frac[i] * (at_s - self.times_s[i]))
