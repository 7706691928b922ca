"""The only door to the ledger: seconds, chip-seconds, and signals over the time they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.engines.event.books import Books
from computeplan.ledger import BLOCKED, LOST, RESTART, SAVE, TRAIN
from computeplan.world.signals import Signal

ONE = Signal(np.array([0.0]), np.array([1.0]))
STEPS = Signal(np.array([0.0, 10.0]), np.array([1.0, 3.0]))  # 1 until 10 s, 3 from then on

times_s = st.floats(0, 100)
entries = st.lists(
    st.tuples(st.sampled_from([TRAIN, RESTART, SAVE, BLOCKED]), times_s, times_s,
              st.integers(1, 8), st.integers(0, 8)),
    max_size=12,
)  # fmt: skip


@given(entries, st.lists(st.floats(0, 1), max_size=4))
def test_a_signal_of_one_gives_plain_chip_seconds(entries, undone):
    """Whatever is booked, and however much of the training is undone."""
    books, now_s = Books((0, 0), (ONE,), []), 0.0
    for phase, lasts_s, more_s, chips, waiting in entries:
        until_s = now_s + lasts_s + more_s
        if phase == TRAIN:  # saving in the rest of the time
            stalls = np.array([now_s + lasts_s]), np.array([until_s])
            books.train(now_s, until_s, lasts_s, chips, waiting, stalls=stalls)
        else:
            books.book(phase, now_s, until_s, chips, waiting)
        now_s = until_s
    for share in undone:
        books.undo(books.line_s * share, now_s)
    np.testing.assert_allclose(books.weighted[:, 0], books.chip_s[:-1], rtol=1e-9, atol=1e-6)
    assert books.job_s[TRAIN] == pytest.approx(books.line_s, abs=1e-6)
    assert sum(books.job_s) == pytest.approx(now_s)


def test_a_signal_of_two_steps_by_hand():
    """A restart from 4 to 12 s on 2 chips, 1 waits: 6 s at 1 and 2 s at 3 are 12.

    Training from 8 to 16 s, 2 s of it saving before 10 s: 20 in all, 2 of them saving, so 18 train;
    3 s of 6 are lost, with half of that.
    """
    books = Books((0, 0), (STEPS,), None)
    books.book(RESTART, 4.0, 12.0, 2.0, 1.0)
    assert books.weighted[[RESTART, BLOCKED], 0].tolist() == [24.0, 12.0]
    books.train(8.0, 16.0, 6.0, 3.0, 0.0, stalls=(np.array([8.0]), np.array([10.0])))
    assert books.weighted[[TRAIN, SAVE], 0].tolist() == [54.0, 6.0]
    books.undo(3.0, 16.0)
    assert books.weighted[[TRAIN, LOST], 0].tolist() == [27.0, 27.0]
    assert [books.chip_s[phase] for phase in (TRAIN, LOST, SAVE)] == [9.0, 9.0, 6.0]


def test_what_is_lost_is_lost_at_the_size_it_was_trained_with():
    """10 s on 4 chips, then 10 s on 3: undone to 5 s, 5 on 4 and 10 on 3 are lost."""
    books = Books((0, 0), (), None)
    books.train(0.0, 10.0, 10.0, 4.0, 0.0)
    books.train(10.0, 20.0, 10.0, 3.0, 1.0)
    books.undo(5.0, 5.0)
    assert [books.chip_s[phase] for phase in (TRAIN, LOST, BLOCKED)] == [20.0, 50.0, 10.0]
    assert books.job_s[LOST] == 15.0


def test_what_is_settled_is_told_as_kept_and_the_rest_may_be_lost():
    spans = []
    books = Books((2, 1), (), spans)
    books.train(0.0, 10.0, 10.0, 4.0, 0.0)
    books.book(RESTART, 10.0, 12.0, 4.0)
    books.train(12.0, 20.0, 8.0, 4.0, 0.0)
    books.settle(10.0)
    books.undo(14.0, 16.0)
    books.settle(np.inf)
    told = sorted((span.start_s, span.end_s, span.phase) for span in spans)
    assert told == [(0, 10, TRAIN), (10, 12, RESTART), (12, 16, TRAIN), (16, 20, LOST)]
    assert {(span.job, span.pool, span.n_chips) for span in spans} == {(2, 1, 4)}
