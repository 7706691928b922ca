"""A job of the event engine that saves behind its back, or to several tiers.

Since training resumed, interval number m is followed by the saves that are due then, the frequent
ones first, each standing still for its stall; a save is complete when its write is. Numbers of
saves follow from when the m-th ends, by bisection: the batch engine takes the same time apart into
cycles of cycles, so that the two engines can check one another.
"""

from __future__ import annotations

import math
from bisect import bisect_right

from computeplan.engines.event.gang import SLACK, Gang
from computeplan.ledger import LOST, SAVE, TRAIN

__all__ = ["TieredGang"]


class TieredGang(Gang):
    """A job whose saves are complete after a while, or not safe from every fault.

    Tier i holds the position `saved_s[i]` (0 is the start, which is always there). Training since
    it resumed began at `kept_s`. `pending_s` is what a save before a planned stop will hold; it was
    begun `asked_s` after training had resumed at `stretch_s`.
    """

    def start(self, pool: int, chips_per_node: int, now_s: float) -> None:
        """Begin on a pool whose nodes it has been given."""
        super().start(pool, chips_per_node, now_s)
        self.tiers = self.spec.tiers_on(pool)  # none where it never saves
        self.saved_s = [0.0] * len(self.tiers)
        self.asked_s = self.stretch_s = 0.0

    # -- saves since training resumed ------------------------------------------------------------

    def _n_whole(self, left_s: float) -> int:
        """Return the intervals that regular saves follow: all but the last of the work."""
        return max(math.ceil(left_s / self.interval_s - SLACK), 1) - 1

    def _over_s(self, m: int) -> float:
        """Return when the saves after interval `m` are over. [s]"""
        return m * self.interval_s + sum(t.stall_s * (m // t.n_intervals) for t in self.tiers)

    def _taken_s(self, i: int, j: int) -> float:
        """Return when the stall of save number `j` of tier `i` ends. [s]"""
        m = j * self.tiers[i].n_intervals
        finer = sum(t.stall_s * (m // t.n_intervals) for t in self.tiers[: i + 1])
        coarser = sum(t.stall_s * ((m - 1) // t.n_intervals) for t in self.tiers[i + 1 :])
        return m * self.interval_s + finer + coarser

    def _n_taken(self, i: int, gone_s: float) -> int:
        most = self._n_whole(self.work_s - self.kept_s) // self.tiers[i].n_intervals
        return bisect_right(range(1, most + 1), gone_s, key=lambda j: self._taken_s(i, j))

    def _trained(self, gone_s: float) -> tuple[float, float]:
        """Return the training after a time, and how long the slowest save has stalled. [s]"""
        left_s, e = self.work_s - self.kept_s, self.interval_s
        n_whole = self._n_whole(left_s)
        n = bisect_right(range(1, n_whole + 1), gone_s, key=self._over_s)
        rest_s = gone_s - self._over_s(n)
        if n == n_whole:
            return n * e + min(rest_s, left_s - n * e), 0.0
        if rest_s < e:
            return n * e + rest_s, 0.0
        before_s = sum(t.stall_s for t in self.tiers[:-1])
        slowest_is_due = (n + 1) % self.tiers[-1].n_intervals == 0
        stalled_s = max(0.0, rest_s - e - before_s) if slowest_is_due else 0.0
        return (n + 1) * e, stalled_s

    def _note_complete(self, start_s: float, now_s: float, taken_until_s: float) -> None:
        """Note the saves since `start_s` that are complete now, and taken by a time after it."""
        n = 0
        for i, tier in enumerate(self.tiers):
            n = self._n_taken(i, min(now_s - start_s - tier.write_s, taken_until_s))
            if n:
                self.saved_s[i] = self.kept_s + n * tier.n_intervals * self.interval_s
        slowest, last = self.tiers[-1], len(self.tiers) - 1
        for j in range(max(1, n + 1 - self.spec.n_kept), n + 1):
            complete_s = start_s + self._taken_s(last, j) + slowest.write_s
            position_s = self.kept_s + j * slowest.n_intervals * self.interval_s
            self.complete.append((complete_s, position_s))

    # -- what a gang is told ---------------------------------------------------------------------

    def _saves_s(self, left_s: float) -> float:
        if not self.tiers:
            return super()._saves_s(left_s)
        n = self._n_whole(left_s)
        return self._over_s(n) - n * self.interval_s + self.save_s

    def _cycles(self, now_s: float) -> tuple[float, float, float]:
        if not self.tiers:
            return super()._cycles(now_s)
        gone_s = now_s - self.ready_s
        trained_s, _ = self._trained(gone_s)
        self.job_s[SAVE] += gone_s - trained_s
        return trained_s, 0.0, gone_s - trained_s

    def _book_until_ready(self, now_s: float) -> None:
        if self.tiers and self.pending_s and now_s >= self.saving_until_s:
            self._note_complete(self.stretch_s, self.saving_until_s, self.asked_s)
            self.saved_s[-1] = self.kept_s = self.pending_s
            self.complete.append((self.saving_until_s, self.pending_s))
            self.pending_s = 0.0
        super()._book_until_ready(now_s)

    def _fall_back(self, now_s: float, level: int) -> None:
        """Fall back to the newest save that a fault of this level leaves."""
        if not self.tiers:
            super()._fall_back(now_s, level)
            return
        from_s = reached_s = self.kept_s
        trains = not self.is_blocked and now_s > self.ready_s
        if trains:
            trained_s, _, _ = self._cycles(now_s)
            self._note_complete(self.ready_s, now_s, math.inf)
            self.job_s[TRAIN] += trained_s
            reached_s += trained_s
        elif self.pending_s:  # during the save before a stop: its training is booked
            self._note_complete(self.stretch_s, now_s, self.asked_s)
            reached_s = self.pending_s
        for i, tier in enumerate(self.tiers):
            if level > tier.survives:
                self.saved_s[i] = 0.0
        self.kept_s = max(self.saved_s)
        self._lose(reached_s - self.kept_s)
        self.restart_s += self._load_s()
        if trains:
            n = round((self.kept_s - from_s) / self.interval_s)
            cut_s = min(self.ready_s + self._over_s(n), now_s) if n > 0 else self.ready_s
            self._span(TRAIN, self.ready_s, cut_s)
            self._span(LOST, cut_s, now_s)

    def _go_back(self, clean_by_s: float) -> None:
        """Go back to a save of the slowest tier; the others hold newer ones, or none."""
        if not self.tiers:
            super()._go_back(clean_by_s)
            return
        self.restart_s -= self._load_s()
        super()._go_back(clean_by_s)
        self.saved_s = [0.0] * len(self.tiers)
        self.saved_s[-1] = self.kept_s
        self.restart_s += self._load_s()

    def _load_s(self) -> float:
        """Return how long it takes to read where training resumes. [s]"""
        if not self.kept_s:
            return 0.0  # the start, which needs no reading
        same_s = self.kept_s - SLACK * self.interval_s
        found = zip(self.tiers, self.saved_s, strict=True)
        return min(tier.load_s for tier, saved_s in found if saved_s >= same_s)

    def _save_now(self, now_s: float) -> float:
        """Save to the slowest tier, whose own save serves; another one under way is given up."""
        if not self.tiers:
            return super()._save_now(now_s)
        self.asked_s, self.stretch_s = now_s - self.ready_s, self.ready_s
        trained_s, stalled_s = self._trained(self.asked_s)
        self.job_s[TRAIN] += trained_s
        self.job_s[SAVE] += self.asked_s - trained_s
        self.pending_s = self.kept_s + trained_s
        return self.save_s - stalled_s
