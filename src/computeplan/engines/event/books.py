"""Books of the event engine: the only door to the ledger.

What is booked has a phase, a beginning and an end, so that a signal that varies in time can be
integrated over it. Training counts as kept from the start, and becomes lost when the job falls back
behind it; until no fall-back can reach it, it stands in `line`, oldest first. Of a run that keeps
its timeline `shown` says when it was, apart from the saves between. What a power cap takes off the
power of a phase is booked as the share that is not drawn.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter, itemgetter

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.ledger import BLOCKED, LOST, PHASES, QUEUE, SAVE, TRAIN, Span
from computeplan.world.signals import Signal

__all__ = ["FULL", "WEIGHTS", "Books", "joined"]

WEIGHTS = ("seconds", "slow", "capped")  # of the ledger; signals follow

FULL = (1.0,) * len(PHASES)  # the share of the power of each phase that is drawn without a cap

Stalls = tuple[FloatArray | tuple[float, ...], FloatArray | tuple[float, ...]]
"""Beginnings and ends of saving. [s]"""
INSTANT = 1e-7  # a remainder of training shorter than this is rounding [s]


@dataclass(slots=True)
class _Piece:
    """Training and saving in turn, at one size and power, that a fall-back may still undo."""

    from_s: float
    to_s: float
    trained_s: float
    weighted_s: FloatArray | None
    chips: float
    drawn_frac: float


class Books:
    """Seconds of a job, and chip-seconds by phase and weight, of a job or of unallocated nodes.

    `owner` are job and pool, as spans name them; `signals`, of the pool, the further weights.
    """

    def __init__(
        self, owner: tuple[int, int], signals: Sequence[Signal], spans: list[Span] | None
    ) -> None:
        self.owner, self.signals, self.spans = owner, signals, spans
        self.job_s = [0.0] * (len(PHASES) + 1)
        self.chip_s = [0.0] * (len(PHASES) + 1)  # as long; none while it queues
        self.drawn = FULL  # of the power of each phase, as a cap leaves it
        self.capped_chip_s = [0.0] * len(PHASES)  # times the share that is not drawn
        self.weighted = np.zeros((len(PHASES), len(signals)))
        self.capped_weighted = np.zeros((len(PHASES), len(signals)))  # as capped chip-seconds
        self.line: list[_Piece] = []
        self.line_s = 0.0  # training in all that counts as kept
        self.shown: list[tuple[float, float, float, float]] = []  # from, to, chips, drawn
        self.is_timed = bool(signals) or spans is not None  # whether it matters when it was

    def book(
        self, phase: int, from_s: float, to_s: float, chips: float, waiting: float = 0.0
    ) -> None:
        """Book a phase of some chips, beside which others wait."""
        seconds = to_s - from_s
        self.job_s[phase] += seconds
        self.chip_s[phase] += seconds * chips
        if waiting:
            self.chip_s[BLOCKED] += seconds * waiting
        if self.drawn is not FULL and phase != QUEUE:
            self._cap(phase, seconds * chips)
            self._cap(BLOCKED, seconds * waiting)
        if self.is_timed:
            self._book_in_time(phase, from_s, to_s, chips, waiting)

    def _book_in_time(
        self, phase: int, from_s: float, to_s: float, chips: float, waiting: float
    ) -> None:
        if self.signals and chips:
            integrals, _ = self._integrals(from_s, to_s)
            self._weigh(phase, integrals * chips)
            self._weigh(BLOCKED, integrals * waiting)
        if self.spans is not None and phase != QUEUE:
            self._span(phase, from_s, to_s, chips)
            if waiting:
                self._span(BLOCKED, from_s, to_s, waiting)

    def train(
        self,
        from_s: float,
        to_s: float,
        trained_s: float,
        chips: float,
        waiting: float,
        parts: Iterable[tuple[float, float, float]] = (),
        stalls: Stalls | None = None,
    ) -> None:
        """Book training, and saving in the rest of the time; the training may yet be lost.

        `stalls` are beginnings and ends of saving, where signals vary. `parts` are begin and end of
        parts of this time, each of which begins with training, and how long that is: for the
        timeline. [s]
        """
        saved_s = to_s - from_s - trained_s
        job_s, chip_s, drawn_frac = self.job_s, self.chip_s, self.drawn[TRAIN]
        job_s[TRAIN] += trained_s
        job_s[SAVE] += saved_s
        chip_s[TRAIN] += trained_s * chips
        chip_s[SAVE] += saved_s * chips
        if waiting:
            chip_s[BLOCKED] += (to_s - from_s) * waiting
        if self.drawn is not FULL:
            self._cap(TRAIN, trained_s * chips)
            self._cap(SAVE, saved_s * chips)
            self._cap(BLOCKED, (to_s - from_s) * waiting)
        weighted = None
        if self.signals and to_s > from_s:
            integrals, saved = self._integrals(from_s, to_s, stalls)
            weighted = (integrals - saved) * chips
            self._weigh(TRAIN, weighted)
            self._weigh(SAVE, saved * chips)
            self._weigh(BLOCKED, integrals * waiting)
        self.line_s += trained_s
        last = self.line[-1] if self.line else None
        alike = last is not None and last.chips == chips and last.drawn_frac == drawn_frac
        if last is None or not alike or last.to_s != from_s:
            self.line.append(_Piece(from_s, to_s, trained_s, weighted, chips, drawn_frac))
        else:
            last.to_s, last.trained_s = to_s, last.trained_s + trained_s
            if weighted is not None:
                before = last.weighted_s  # none of what lasted no time
                last.weighted_s = weighted if before is None else before + weighted
        if self.spans is not None:
            if waiting:
                self._span(BLOCKED, from_s, to_s, waiting)
            for begin_s, end_s, lasts_s in parts or ((from_s, to_s, trained_s),):
                saves_s = min(begin_s + max(lasts_s, 0.0), end_s)
                if saves_s > begin_s:
                    self.shown.append((begin_s, saves_s, chips, drawn_frac))
                self._span(SAVE, saves_s, end_s, chips)

    def undo(self, line_s: float, cut_s: float) -> None:
        """Turn all training after the first `line_s` from kept to lost; `cut_s` is when it was."""
        while self.line and self.line_s > line_s:
            last = self.line[-1]
            lost_s = self.line_s - line_s
            is_all = lost_s >= last.trained_s
            if is_all:
                lost_s = last.trained_s
                self.line.pop()
            self.line_s -= lost_s
            self.job_s[TRAIN] -= lost_s
            self.job_s[LOST] += lost_s
            self.chip_s[TRAIN] -= lost_s * last.chips
            self.chip_s[LOST] += lost_s * last.chips
            capped_chip_s = lost_s * last.chips * (1.0 - last.drawn_frac)
            self.capped_chip_s[TRAIN] -= capped_chip_s
            self.capped_chip_s[LOST] += capped_chip_s
            until_s = last.from_s if is_all else min(max(cut_s, last.from_s), last.to_s)
            if self.is_timed:
                self._undo_in_time(last, lost_s)
            last.trained_s -= lost_s
            last.to_s = until_s
        self.line_s = min(self.line_s, line_s)

    def _undo_in_time(self, piece: _Piece, lost_s: float) -> None:
        if piece.weighted_s is not None and piece.trained_s:
            lost = piece.weighted_s * (lost_s / piece.trained_s)
            piece.weighted_s = piece.weighted_s - lost
            self.weighted[TRAIN] -= lost
            self.weighted[LOST] += lost
            self.capped_weighted[TRAIN] -= lost * (1.0 - piece.drawn_frac)
            self.capped_weighted[LOST] += lost * (1.0 - piece.drawn_frac)
        while self.shown and lost_s > INSTANT:
            from_s, to_s, chips, drawn_frac = self.shown.pop()
            cut_s = to_s - lost_s
            if cut_s > from_s + INSTANT:
                self.shown.append((from_s, cut_s, chips, drawn_frac))
            else:
                cut_s = from_s
            self._span(LOST, cut_s, to_s, chips, drawn_frac)
            lost_s -= to_s - cut_s

    def settle(self, line_s: float) -> None:
        """Note that no fall-back will reach the first `line_s` seconds of what is kept."""
        open_s, n = self.line_s, len(self.line)
        while n and open_s > line_s:
            n -= 1
            open_s -= self.line[n].trained_s
        if n and self.shown:
            until_s = self.line[n - 1].to_s
            n_shown = bisect_left(self.shown, until_s, key=itemgetter(0))
            for from_s, to_s, chips, drawn_frac in self.shown[:n_shown]:
                self._span(TRAIN, from_s, to_s, chips, drawn_frac)
            del self.shown[:n_shown]
        del self.line[:n]

    def _integrals(
        self, from_s: float, to_s: float, stalls: Stalls | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the integrals of the signals over a time, and over the stalls in it."""
        starts, ends = stalls or ((), ())
        at_s, n = np.array([from_s, *starts, *ends, to_s]), len(starts)
        found = np.empty((2, len(self.signals)))
        for i, signal in enumerate(self.signals):
            up_to = signal.up_to(at_s)
            found[:, i] = up_to[-1] - up_to[0], (up_to[n + 1 : -1] - up_to[1 : n + 1]).sum()
        return found[0], found[1]

    def _weigh(self, phase: int, weighted: FloatArray) -> None:
        """Book chip-seconds times the signals."""
        self.weighted[phase] += weighted
        if self.drawn is not FULL:
            self.capped_weighted[phase] += weighted * (1.0 - self.drawn[phase])

    def _cap(self, phase: int, chip_s: float) -> None:
        """Book the share of the power of a phase that is not drawn."""
        self.capped_chip_s[phase] += chip_s * (1.0 - self.drawn[phase])

    def _span(
        self,
        phase: int,
        from_s: float,
        to_s: float,
        chips: float,
        drawn_frac: float | None = None,
    ) -> None:
        if self.spans is not None and to_s > from_s:
            drawn = self.drawn[phase] if drawn_frac is None else drawn_frac
            self.spans.append(Span(*self.owner, phase, from_s, to_s, chips, drawn))


def joined(spans: Sequence[Span]) -> list[Span]:
    """Return spans in the order of their start, those that go on as they were being one."""
    same = attrgetter("job", "pool", "phase", "n_chips", "drawn_frac")
    found: list[Span] = []
    for span in sorted(spans, key=lambda one: (*same(one), one.start_s)):
        if found and span.start_s == found[-1].end_s and same(span) == same(found[-1]):
            found[-1] = replace(found[-1], end_s=span.end_s)
        else:
            found.append(span)
    return sorted(found, key=attrgetter("start_s", "job", "phase"))
