"""What a job has saved, and where: what it goes back to when a fault interrupts it."""

from __future__ import annotations

import math
from collections import deque
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


class Checkpoints:
    """The newest complete save of each tier, and `n_kept` older ones of the last.

    A save to the last tier is safe from every fault.
    """

    def __init__(self, tiers: tuple[Tier, ...], n_kept: int) -> None:
        self.tiers = tiers
        self.saved = [START] * max(len(tiers), 1)
        self.history: deque[Save] = deque(maxlen=n_kept)
        self.safe_level = min((tier.survives for tier in tiers), default=0)
        self.is_read = any(tier.load_s for tier in tiers)

    @property
    def newest(self) -> Save:
        """The save with the most work."""
        return max(self.saved) if len(self.saved) > 1 else self.saved[0]

    @property
    def floor_s(self) -> float:
        """The training that no fall-back can reach. [s]"""
        return 0.0 if self.history.maxlen else self.saved[-1].line_s

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
        if n_kept := self.history.maxlen:
            for j in range(max(1, n + 1 - n_kept), n + 1):
                self.history.append(self._save(stretch, len(plan.tiers) - 1, j))

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
        self.history.append(save)

    def erase(self, level: int) -> None:
        """Lose what does not survive a fault of a level."""
        if level > self.safe_level:
            for i, tier in enumerate(self.tiers):
                if level > tier.survives:
                    self.saved[i] = START

    def go_back(self, clean_by_s: float) -> bool:
        """Go back to the newest save complete by a time; return whether to the very start."""
        while self.history and self.history[-1].when_s > clean_by_s:
            self.history.pop()
        self.saved = [START] * len(self.saved)
        if self.history:
            self.saved[-1] = self.history[-1]
        return not self.history

    def load_s(self, interval_s: float) -> float:
        """Return how long it takes to read where training resumes. [s]"""
        position_s = self.newest.position_s if self.is_read else 0.0
        if not position_s:
            return 0.0  # the start, which needs no reading
        same_s = position_s - SLACK * interval_s
        found = zip(self.tiers, self.saved, strict=True)
        return min(tier.load_s for tier, save in found if save.position_s >= same_s)
