"""Chip-seconds times what varies in time (a tariff, carbon): booked by phase, from when to when.

Plain seconds are sums that rows keep themselves; a world without signals has no more than these.
Where there are signals, whatever adds to a sum books here too, with its beginning and its end; a
span booked from its end to its beginning is taken back. Of a stretch of alternating training and
saving each has the integral over its own time. Training that a job falls back behind is lost with
its share of the weight that the training of its stretch was booked with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.ledger import LOST, PHASES, RESTART, SAVE, TRAIN
from computeplan.world.signals import Signal

__all__ = ["MISSING", "Weights"]

MISSING = len(PHASES)  # nodes that a blocked job lacks, taken off what is blocked
PIECES = 8  # of training, to begin with


class Weights:
    """Seconds of a job, or of single nodes, times signals; one row a run.

    `at_s[i]` are positions in the training of each row, up to which training weighs
    `booked_at[:, i]`; inf where there is none.
    """

    def __init__(self, signals: Sequence[Signal], n_rows: int) -> None:
        self.signals = signals
        self.booked = np.zeros((len(signals), len(PHASES) + 1, n_rows))
        self.at_s = np.full((PIECES, n_rows), np.inf)
        self.at_s[0] = 0.0
        self.booked_at = np.zeros((len(signals), PIECES, n_rows))

    def __bool__(self) -> bool:
        """Whether there is anything to book."""
        return len(self.signals) > 0

    def _integrals(self, from_s: FloatArray, to_s: FloatArray) -> FloatArray:
        return np.array([signal.integral(from_s, to_s) for signal in self.signals])

    def book(
        self,
        phase: int,
        rows: IntArray,
        from_s: FloatArray,
        to_s: FloatArray,
        n_nodes: FloatArray | float = 1.0,
    ) -> None:
        """Book spans of a phase in some rows, each once."""
        if self:
            self.booked[:, phase, rows] += self._integrals(from_s, to_s) * n_nodes

    def sums(self, row: IntArray, from_s: FloatArray, to_s: FloatArray, n_rows: int) -> FloatArray:
        """Return the integrals over several times of some rows, shape (n_signals, n_rows)."""
        found = np.zeros((len(self.signals), n_rows))
        for at, integrals in zip(found, self._integrals(from_s, to_s), strict=True):
            at += np.bincount(row, integrals, n_rows)
        return found

    def stretch(
        self,
        rows: IntArray,
        begin_s: FloatArray,
        from_s: FloatArray,
        to_s: FloatArray,
        trained_s: FloatArray,
        saved: FloatArray,
    ) -> None:
        """Book restarts from `begin_s` to `from_s`, then training and saving, up to `to_s`.

        `saved` are the weights of saving, shape (n_signals, n).
        """
        if not self:
            return
        self.book(RESTART, rows, begin_s, np.maximum(np.minimum(to_s, from_s), begin_s))
        to_s = np.maximum(to_s, from_s)
        self.booked[:, TRAIN, rows] += self._integrals(from_s, to_s) - saved
        self.booked[:, SAVE, rows] += saved
        last = np.isfinite(self.at_s[:, rows]).sum(axis=0) - 1
        self._add(rows, last + 1, self.at_s[last, rows] + trained_s)

    def _add(self, rows: IntArray, piece: IntArray, at_s: FloatArray) -> None:
        if piece.max(initial=0) >= len(self.at_s):
            more = len(self.at_s)
            self.at_s = np.pad(self.at_s, ((0, more), (0, 0)), constant_values=np.inf)
            self.booked_at = np.pad(self.booked_at, ((0, 0), (0, more), (0, 0)))
        self.at_s[piece, rows] = at_s
        self.booked_at[:, piece, rows] = self.booked[:, TRAIN, rows]

    def fall_back(self, rows: IntArray, position_s: FloatArray) -> None:
        """Turn what was trained behind a position from kept into lost."""
        at_s = self.at_s[:, rows]
        last = np.isfinite(at_s).sum(axis=0) - 1
        behind = np.flatnonzero(position_s < self.at_s[last, rows])
        rows, position_s, at_s = rows[behind], position_s[behind], at_s[:, behind]
        before = np.maximum((at_s <= position_s).sum(axis=0) - 1, 0)
        from_s, to_s = self.at_s[before, rows], self.at_s[before + 1, rows]
        share = (position_s - from_s) / np.where(to_s > from_s, to_s - from_s, 1.0)
        low, high = self.booked_at[:, before, rows], self.booked_at[:, before + 1, rows]
        kept = low + (high - low) * share
        self.booked[:, LOST, rows] += self.booked[:, TRAIN, rows] - kept
        self.booked[:, TRAIN, rows] = kept
        pieces = np.arange(len(self.at_s))[:, None]
        self.at_s[:, rows] = np.where(pieces > before, np.inf, at_s)
        self._add(rows, before + 1, position_s)
