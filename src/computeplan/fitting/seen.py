"""Durations as they were seen, where no law stands for them.

A law is worth having: it smooths, and says something of what was not seen yet. But the nodes in
repair, and the spares they ask for, follow from the mean repair alone (Little's law), and a law
that is fitted to the bulk of heavy-tailed repairs may have half of their mean. Then the repairs
themselves are played: their mean is that of the log whatever their shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.fitting.history import Durations
from computeplan.fitting.survival import SURE, Interval, LawFit, best_law, wald

__all__ = ["MOST_WRITTEN", "Seen", "as_seen", "grouped", "seen_instead"]

MOST_OFF = 0.1
"""By how much the mean of a law may differ from that of what was seen; our choice."""
MOST_WRITTEN = 60
"""Different durations that a person still reads; more are grouped."""
N_GROUPS = 50


@dataclass(frozen=True, slots=True)
class Seen:
    """Durations, each with how often it was seen."""

    durations_s: FloatArray
    """Different, and rising; shape (n,). [s]"""
    often: FloatArray
    """Not whole where some were not seen to their end; shape (n,)."""
    mean_s: Interval
    """Wald's interval, in logarithms. [s]"""
    n_events: int
    """Durations whose end was seen."""

    @property
    def name(self) -> str:
        """What a scenario calls this law."""
        return "seen"


def as_seen(durations: Durations) -> Seen | None:
    """Return durations as they were seen; None if no end was.

    What was not seen to its end is shared among the longer ones (Kaplan and Meier); the longest of
    all counts as ended.

    Examples
    --------
    >>> seen = as_seen(Durations(np.array([1.0, 3.0, 3.0]), np.array([2.0]), 0, 1.0))
    >>> seen.durations_s.tolist(), seen.often.tolist()
    ([1.0, 3.0], [1.0, 3.0])
    """
    if not durations.n_events:
        return None
    short_s = np.full(durations.n_short, durations.resolution_s / 2)
    all_s = np.concatenate([durations.known_s, short_s, durations.longer_s])
    is_end = np.arange(all_s.size) < durations.n_events
    order = np.lexsort((~is_end, all_s))
    all_s, is_end = all_s[order], is_end[order]
    is_end[-1] = True
    at_risk = all_s.size - np.arange(all_s.size)
    survive = np.cumprod(np.where(is_end, 1 - 1 / at_risk, 1.0))
    before = np.concatenate([[1.0], survive[:-1]])
    weights = np.where(is_end, all_s.size * before / at_risk, 0.0)
    durations_s, which = np.unique(all_s[is_end], return_inverse=True)
    often = np.bincount(which, weights[is_end]).astype(np.float64)
    often = often.round(9)  # whole, where all were seen to their end
    mean_s = float(durations_s @ often / often.sum())
    variance = float((durations_s - mean_s) ** 2 @ often / often.sum() / durations.n_events)
    interval = wald(math.log(mean_s), variance / mean_s**2)
    return Seen(durations_s, often, interval, durations.n_events)


def seen_instead(laws: tuple[LawFit, ...], durations: Durations) -> Seen | None:
    """Return durations as they were seen, if their laws do not stand for them; else None.

    The best does not if its mean is off by more than `MOST_OFF`, or, where no law passes its test,
    by more than its interval.
    """
    seen = as_seen(durations)
    return None if seen is None or _stands(laws, seen) else seen


def _stands(laws: tuple[LawFit, ...], seen: Seen) -> bool:
    best = best_law(laws)
    if best is None:
        return False
    if abs(best.mean_s.value / seen.mean_s.value - 1) > MOST_OFF:
        return False
    passes = any(not law.p_fit < SURE for law in laws)
    return passes or best.mean_s.low <= seen.mean_s.value <= best.mean_s.high


def grouped(seen: Seen) -> tuple[FloatArray, FloatArray]:
    """Return durations, no more than a person reads, and how often each was seen.

    More than `MOST_WRITTEN` different ones become some `N_GROUPS` groups, each with its mean, so
    that the mean of all is kept. A group of several holds a share of all durations and a share of
    their total that add up to 2 / `N_GROUPS`: so the few that are very long stay apart.
    """
    if seen.durations_s.size <= MOST_WRITTEN:
        return seen.durations_s, seen.often
    total_s = seen.durations_s * seen.often
    part = seen.often / seen.often.sum() + total_s / total_s.sum()
    middle = np.cumsum(part) - part / 2
    _, group = np.unique(np.floor(middle / 2 * N_GROUPS), return_inverse=True)
    counts = np.bincount(group, seen.often).astype(np.float64)
    return np.bincount(group, total_s) / counts, counts
