"""How many chips jobs hold over time, and how many there are, from the timeline of a run.

Every span adds its chips where it starts and takes them where it ends, so what is held at any time
is a running sum over the sorted ends of all spans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.ledger import Span
from computeplan.results.cases import CaseResult

__all__ = ["Held", "chips_of_pools"]


@dataclass(frozen=True, slots=True)
class Held:
    """Chips that are held over time: so many from each time to the next, none before and after."""

    times_s: FloatArray
    """Ascending, each once. [s]"""
    n_chips: FloatArray
    """From each time on."""

    @classmethod
    def of(cls, spans: Sequence[Span]) -> Held:
        """Return what spans hold together.

        Examples
        --------
        >>> held = Held.of([Span(0, 0, 0, 0.0, 20.0, 8), Span(1, 0, 0, 10.0, 20.0, 4)])
        >>> held.times_s.tolist(), held.n_chips.tolist()
        ([0.0, 10.0, 20.0], [8.0, 12.0, 0.0])
        """
        rows = np.array([(s.start_s, s.end_s, s.n_chips) for s in spans]).reshape(-1, 3)
        starts_s, ends_s, n_chips = rows.T
        times_s, at = np.unique(np.concatenate([starts_s, ends_s]), return_inverse=True)
        changes = np.bincount(at, np.concatenate([n_chips, -n_chips]), times_s.size)
        return cls(times_s, np.cumsum(changes))

    @property
    def most(self) -> int:
        """The most chips held at a time, a part of one being one."""
        return math.ceil(round(float(self.n_chips.max(initial=0.0)), 6))

    def mean(self, edges_s: FloatArray) -> FloatArray:
        """Return the mean number of chips held from each edge to the next.

        Examples
        --------
        >>> held = Held.of([Span(0, 0, 0, 0.0, 20.0, 8), Span(1, 0, 0, 10.0, 20.0, 4)])
        >>> held.mean(np.array([0.0, 20.0, 40.0])).tolist()
        [10.0, 0.0]
        """
        if not self.times_s.size:
            return np.zeros(edges_s.size - 1)
        held_s = np.cumsum(np.r_[0.0, self.n_chips[:-1] * np.diff(self.times_s)])
        mean: FloatArray = np.diff(np.interp(edges_s, self.times_s, held_s)) / np.diff(edges_s)
        return mean


def chips_of_pools(found: CaseResult, spans: Sequence[Span]) -> dict[int, int]:
    """Return the chips of every pool: as the facts say, or as many as are held at one time."""
    said = found.facts.get("chips")
    rows: Any = () if said is None else said.values.get("pools", ())
    told = {name: n_chips for name, n_chips, *_ in rows}
    chips = {}
    for pool, name in enumerate(found.pool_names):
        held = Held.of([span for span in spans if span.pool == pool]).most
        if held or name in told:
            chips[pool] = max(told.get(name, 0), held)
    return chips
