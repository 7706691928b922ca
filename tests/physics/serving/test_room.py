"""Room for the cache: by hand, and laws."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_instances import DENSE, MIXTURE, RANK, SHAPES, WINDOWED, instance

from computeplan.physics.serving.room import (
    cache_tokens,
    largest_batch,
    most_tokens,
    room_bytes,
    sequence_bytes,
    weight_bytes,
    why_too_small,
)
from computeplan.physics.steptime.transformer import n_parameters

TOKEN = 4 * 2 * (8 + 8) * 2
"""Bytes of a cached token: layers, heads, keys and values, bytes."""


def test_weights_are_all_parameters_but_vectors():
    norms = (4 * 2 + 1) * 64
    assert float(weight_bytes(instance())) == 2 * (n_parameters(DENSE) - norms)
    assert float(weight_bytes(instance(MIXTURE))) == 2 * (n_parameters(MIXTURE) - norms)


def test_a_share_of_what_is_free_and_a_share_of_all():
    weights = float(weight_bytes(instance()))
    free = 80e9 - weights - 2.5e9
    assert float(room_bytes(instance())) == pytest.approx(0.9 * free)
    assert float(room_bytes(instance(of_free=False))) == pytest.approx(72e9 - weights - 2.5e9)


def test_cached_tokens():
    some = instance()
    assert float(sequence_bytes(some, 10)) == 10 * TOKEN
    assert float(cache_tokens(some, 10)) == pytest.approx(float(room_bytes(some)) / TOKEN)


def test_windows_keep_no_more_than_they_see():
    assert float(sequence_bytes(instance(WINDOWED), 100)) == TOKEN / 2 * (100 + 16)


def test_who_is_let_in():
    room = float(room_bytes(instance()))
    assert float(largest_batch(instance(), 600, 400)) == room // (1000 * TOKEN)
    assert float(largest_batch(instance(grows=True), 600, 400)) == room // (800 * TOKEN)
    assert float(largest_batch(instance(max_batch=7), 600, 400)) == 7
    assert float(largest_batch(instance(MIXTURE, max_batch=7, dp=2, ep=2), 600, 400)) == 14


def test_the_longest_sequence():
    some = instance()
    most = float(most_tokens(some))
    assert float(sequence_bytes(some, most)) <= float(room_bytes(some))
    assert float(sequence_bytes(some, most + 1)) > float(room_bytes(some))


def test_a_refusal_says_what_would_help():
    small = instance(rank=replace(RANK, memory_bytes=6e9))
    assert why_too_small(small, 1, 100, 100) == ""
    said = why_too_small(small, 1e6, 1000, 1000)
    for part in ("needs", "GiB", "more ranks", "fp8", "a batch of"):
        assert part in said
    assert "more instances" in why_too_small(instance(max_batch=4), 5, 10, 10)


def test_nothing_fits_where_not_even_weights_do():
    none = instance(rank=replace(RANK, memory_bytes=1e9))
    assert float(largest_batch(none, 10, 10)) == 0
    assert "a batch of" not in why_too_small(none, 1, 10, 10)


@given(
    shape=st.sampled_from(SHAPES),
    memory=st.floats(1e9, 1e11),
    more=st.floats(1.0, 4.0),
    n_in=st.floats(1, 20000),
    n_out=st.floats(1, 4000),
    grows=st.booleans(),
    of_free=st.booleans(),
)
def test_more_memory_never_holds_less(shape, memory, more, n_in, n_out, grows, of_free):
    batches = [
        float(
            largest_batch(
                instance(
                    shape,
                    rank=replace(RANK, memory_bytes=m),
                    grows=grows,
                    of_free=of_free,
                ),
                n_in,
                n_out,
            )
        )
        for m in (memory, more * memory)
    ]
    assert batches[1] >= batches[0]
