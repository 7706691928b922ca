"""What a job has saved, and where: what it goes back to when a fault interrupts it.

Saves that are kept are remembered as stretches in which they were taken, and computed when they are
asked for: memory follows the interruptions, not the saves.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from computeplan.engines.event.stretch import SLACK, Stretch
from computeplan.world.jobs import Tier

__all__ = ["START", "Checkpoints", "Save"]


class Save(NamedTuple):
    """A complete save."""

    position_s: float  # the work it holds
    line_s: float  # the training that it took, of what counts as kept
    when_s: float  # when it was complete
    cut_s: float  # when training went on from it


START = Save(0.0, 0.0, 0.0, 0.0)


@dataclass(slots=True)
class _Saves:
    """Complete saves one after the other: their numbers, and how to find each."""

    numbers: range
    save: Callable[[int], Save]


class Checkpoints:
    """The newest complete save of each tier, and `n_kept` older ones of the last.

    A save to the last tier is safe from every fault.
    """

    def __init__(self, tiers: tuple[Tier, ...], n_kept: int, start: Save = START) -> None:
        self.tiers, self.start = tiers, start
        self.saved = [start] * max(len(tiers), 1)
        self.history = deque[_Saves]()
        self.n_kept, self.n_in_history = n_kept, 0
        self.safe_level = min((tier.survives for tier in tiers), default=0)
        self.is_read = any(tier.load_s for tier in tiers)

    @property
    def newest(self) -> Save:
        """The save with the most work."""
        return max(self.saved) if len(self.saved) > 1 else self.saved[0]

    @property
    def floor_s(self) -> float:
        """The training that no fall-back can reach. [s]"""
        return 0.0 if self.n_kept else self.saved[-1].line_s

    def note(self, stretch: Stretch, until_s: float, taken_by_s: float = math.inf) -> None:
        """Note the saves of a stretch that are complete by a time, of those taken by another."""
        plan, start_s, n = stretch.plan, stretch.start_s, 0
        if not plan.tiers or until_s - start_s < plan.cycle_s:
            return
        for i, tier in enumerate(plan.tiers):
            gone_s = min(until_s - tier.write_s, taken_by_s) - start_s
            n = plan.n_taken(i, gone_s, stretch.n_regular)
            if n:
                self.saved[i] = self._save(stretch, i, n)
        if self.n_kept and n:
            save = partial(self._save, stretch, len(plan.tiers) - 1)
            self._keep(_Saves(range(1, n + 1), save))

    def _save(self, stretch: Stretch, i: int, j: int) -> Save:
        """Return save number `j` of tier `i` of a stretch."""
        plan, start_s = stretch.plan, stretch.start_s
        tier = plan.tiers[i]
        m = j * tier.n_intervals
        trained_s, over_s = m * plan.interval_s, start_s + plan.over_s(m)
        taken_s = over_s if plan.is_simple else start_s + plan.taken_s(i, j)
        line_s = stretch.line_s + trained_s
        return Save(stretch.position_s(trained_s), line_s, taken_s + tier.write_s, over_s)

    def add(self, save: Save) -> None:
        """Note a complete save to the last tier."""
        self.saved[-1] = save
        if self.n_kept:
            self._keep(_Saves(range(1), lambda _: save))

    def _keep(self, more: _Saves) -> None:
        """Remember saves, and forget the oldest beyond those that are kept."""
        self.history.append(more)
        self.n_in_history += len(more.numbers)
        while (n_old := self.n_in_history - self.n_kept) > 0:
            oldest = self.history[0]
            n_old = min(n_old, len(oldest.numbers))
            oldest.numbers = oldest.numbers[n_old:]
            if not oldest.numbers:
                self.history.popleft()
            self.n_in_history -= n_old

    def erase(self, level: int) -> None:
        """Lose what does not survive a fault of a level."""
        if level > self.safe_level:
            for i, tier in enumerate(self.tiers):
                if level > tier.survives:
                    self.saved[i] = self.start

    def go_back(self, clean_by_s: float) -> bool:
        """Go back to the newest save complete by a time; return whether to the very start."""
        self.saved = [self.start] * len(self.saved)
        while self.history:
            last = self.history[-1]
            n_clean = bisect_right(last.numbers, clean_by_s, key=lambda j: last.save(j).when_s)
            self.n_in_history -= len(last.numbers) - n_clean
            last.numbers = last.numbers[:n_clean]
            if n_clean:
                self.saved[-1] = last.save(last.numbers[-1])
                return False
            self.history.pop()
        return True

    def load_s(self, interval_s: float) -> float:
        """Return how long it takes to read where training resumes. [s]"""
        position_s = self.newest.position_s if self.is_read else 0.0
        if not position_s:
            return 0.0  # the start, which needs no reading
        same_s = position_s - SLACK * interval_s
        found = zip(self.tiers, self.saved, strict=True)
        return min(tier.load_s for tier, save in found if save.position_s >= same_s)
