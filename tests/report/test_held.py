"""What jobs hold over time is counted from spans, as plain addition would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.ledger import BLOCKED, TRAIN, Span
from computeplan.notes import note
from computeplan.report.held import Held, chips_of_pools
from computeplan.results.cases import CaseResult

SPAN = st.tuples(st.integers(0, 20), st.integers(1, 20), st.integers(1, 64))


def spans_of(rows, pool=0):
    return [Span(j, pool, TRAIN, a, a + d, n) for j, (a, d, n) in enumerate(rows)]


@given(st.lists(SPAN, max_size=12), st.integers(1, 50))
def test_chips_held_are_the_sum_over_the_spans_of_each_second(rows, end):
    held = Held.of(spans_of(rows))
    second = np.zeros(50)  # what is held in each, by plain addition
    for start, length, n_chips in rows:
        second[start : start + length] += n_chips
    np.testing.assert_allclose(held.mean(np.arange(51.0)), second, atol=1e-9)
    whole = held.mean(np.array([0.0, float(end)]))[0]
    assert whole == pytest.approx(second[:end].mean())
    assert held.most == second.max()


def test_a_part_of_a_chip_is_one():
    spans = [Span(0, 0, TRAIN, 0, 9, 6.5), Span(0, 0, BLOCKED, 0, 9, 1.5), Span(1, 0, 0, 0, 9, 0.1)]
    assert Held.of(spans).most == 9
    thirds = [Span(j, 0, TRAIN, 0, 9, 8 / 3) for j in range(3)]
    assert Held.of(thirds).most == 8  # and rounding is none


def test_a_pool_has_the_chips_that_are_told_or_those_held():
    facts = {"chips": note("chips", pools=(("a", 64, "x/y", 0), ("idle", 8, "x/y", 0)), sharing=())}
    spans = [*spans_of([(0, 5, 8), (3, 5, 8)], pool=0), *spans_of([(0, 5, 8)], pool=2)]
    case = CaseResult({"ettr": np.ones(1)}, facts=facts, pool_names=("a", "idle", "untold", "none"))
    assert chips_of_pools(case, spans) == {0: 64, 1: 8, 2: 8}
