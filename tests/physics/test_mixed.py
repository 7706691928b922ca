"""Uneven pipelines and batches: identities, the search against brute force, laws, messages."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from computeplan.physics.mixed import (
    Route,
    Stages,
    batch_efficiency,
    best_shares,
    best_split,
    bytes_held,
    even_split,
    fibre_s,
    hop_s,
    ideal_s,
    line_s,
    split_of,
    summed_s,
)

FAST_AND_SLOW = np.array([1.0] * 4 + [0.5] * 4)


# Identities of a line, to the digits that are given


@pytest.mark.parametrize(
    ("layers", "seconds", "efficiency"), [((14, 6), 986.0, 0.8654), ((10, 10), 1380.0, 0.6184)]
)
def test_eighty_layers_on_two_speeds(layers, seconds, efficiency):
    stage_s = np.repeat(layers, 4) / FAST_AND_SLOW
    assert float(line_s(stage_s, 64)) == seconds
    assert ideal_s(80, FAST_AND_SLOW, 64) == pytest.approx(853.3333, abs=5e-5)
    assert ideal_s(80, FAST_AND_SLOW, 64) / seconds == pytest.approx(efficiency, abs=5e-5)


def test_endless_micro_batches_leave_what_whole_layers_cost():
    n_micro = 10**9
    stage_s = np.repeat([14, 6], 4) / FAST_AND_SLOW
    found = ideal_s(80, FAST_AND_SLOW, n_micro) / float(line_s(stage_s, n_micro))
    assert found == pytest.approx(0.9524, abs=5e-5)


@pytest.mark.parametrize(("shares", "efficiency"), [((4, 4, 2, 2), 1.0), ((3, 3, 3, 3), 0.6667)])
def test_shares_of_a_batch(shares, efficiency):
    found = batch_efficiency(shares, [1.0, 1.0, 0.5, 0.5])
    assert found == pytest.approx(efficiency, abs=5e-5)


def test_the_search_finds_the_published_split_and_equal_stages_are_equal():
    stages = Stages.of(1 / FAST_AND_SLOW)
    found = best_split(stages, 80, 64)
    assert (found.layers, found.time_s) == ((14,) * 4 + (6,) * 4, 986.0)
    even = even_split(stages, 80, 64)
    assert (even.layers, even.time_s) == ((10,) * 8, 1380.0)
    assert best_split(Stages.of(np.ones(8)), 80, 64).layers == (10,) * 8


def play_line(machines_s, n):
    """Play a line of machines, a piece of work at a time: each starts when both are free."""
    free = [0.0] * len(machines_s)
    for _ in range(n):
        at = 0.0
        for place, takes in enumerate(machines_s):
            at = free[place] = max(at, free[place]) + takes
    return free[-1]


@given(
    st.lists(st.floats(0.01, 10.0), min_size=1, max_size=6),
    st.lists(st.floats(0.0, 12.0), min_size=5, max_size=5),
    st.integers(1, 30),
)
def test_a_line_takes_as_long_as_when_played(stage_s, link_s, n):
    links = link_s[: len(stage_s) - 1]
    machines = [one for pair in itertools.zip_longest(stage_s, links) for one in pair]
    played = play_line([one for one in machines if one is not None], n)
    assert float(line_s(stage_s, n, links)) == pytest.approx(played, rel=1e-9)


# Messages between kinds


def test_a_message_through_the_hosts_by_hand():
    route = Route(network_bytes_per_s=50e9, host_bytes_per_s=(25e9, 50e9), latency_s=1e-3)
    assert float(hop_s(route, 1e9)) == pytest.approx(0.001 + 0.02 + 0.04 + 0.02)
    assert float(hop_s(Route(50e9, latency_s=1e-3), 1e9)) == pytest.approx(0.021)


def test_a_link_slower_than_all_stages_sets_the_beat():
    stages = Stages.of([1.0, 1.0], link_s=[5.0])
    found = best_split(stages, 6, 10)
    assert found.time_s == 6 + 5 + 9 * 5.0  # by hand: 3 + 3 through the stages, 5 on the link


# Memory


def test_what_stages_keep_by_hand():
    """Of 4 stages the first keeps 4 micro-batches, the last 1; of 2 micro-batches none keeps more.

    Two layers each: weights 10, 3 a micro-batch, 7 beside.
    """
    stages = Stages.of(np.ones(4), layer_bytes=10.0, kept_bytes=3.0, fixed_bytes=7.0)
    assert bytes_held(stages, [2, 2, 2, 2], 8)[:, 0] == pytest.approx(
        [7 + 2 * (10 + 3 * kept) for kept in (4, 3, 2, 1)]
    )
    assert bytes_held(stages, [2, 2, 2, 2], 2)[:, 0] == pytest.approx(
        [7 + 2 * (10 + 3 * kept) for kept in (2, 2, 2, 1)]
    )


def brute_force(stages, n_layers, n_micro):
    """Try every split with every recomputation: no table, no bound, no programming."""
    n, n_choices = stages.layer_s.shape
    cuts = list(itertools.combinations(range(1, n_layers), n - 1))
    if not cuts:
        return np.inf
    layers = np.diff(np.array([(0, *cut, n_layers) for cut in cuts]), axis=1)
    own = np.arange(n)
    kept = np.array([min(n_micro, n - s) for s in range(n)])
    best = np.inf
    for choice in itertools.product(range(n_choices), repeat=n):
        held = stages.layer_bytes + kept * stages.kept_bytes[own, choice]
        fits = stages.fixed_bytes[own, choice] + layers * held <= stages.capacity_bytes
        seconds = (stages.fixed_s + layers * stages.layer_s[own, choice])[fits.all(axis=1)]
        if not seconds.size:
            continue
        pace = np.maximum(seconds.max(axis=1), stages.link_s.max(initial=0.0))
        whole = seconds.sum(axis=1) + stages.link_s.sum() + (n_micro - 1) * pace
        best = min(best, whole.min())
    return best


def drawn(rng, n_stages, n_choices):
    """Draw stages in whole numbers, so that times tie and limits bind exactly."""
    slower = np.sort(rng.integers(0, 4, (n_stages, n_choices)), axis=1)
    kept = np.sort(rng.integers(0, 4, (n_stages, n_choices)), axis=1)[:, ::-1]
    return Stages.of(
        rng.integers(1, 6, (n_stages, 1)) + slower,
        fixed_s=rng.integers(0, 4, n_stages),
        layer_bytes=rng.integers(0, 3, n_stages),
        kept_bytes=kept,
        fixed_bytes=rng.integers(0, 3, (n_stages, n_choices)),
        capacity_bytes=rng.integers(10, 90, n_stages),
        link_s=rng.integers(0, 30, n_stages - 1) if rng.random() < 0.5 else (),
    )


@pytest.mark.parametrize("seed", range(60))
def test_the_search_is_exact(seed):
    rng = np.random.default_rng(seed)
    n_stages, n_choices = int(rng.integers(1, 5)), int(rng.integers(1, 3))
    n_layers, n_micro = int(rng.integers(1, 16)), int(rng.integers(1, 20))
    stages = drawn(rng, n_stages, n_choices)
    found = best_split(stages, n_layers, n_micro)
    expected = brute_force(stages, n_layers, n_micro)
    assert (np.inf if found is None else found.time_s) == pytest.approx(expected, abs=1e-9)
    if found is None:
        return
    assert sum(found.layers) == n_layers
    assert min(found.layers) >= 1
    held = bytes_held(stages, found.layers, n_micro)[np.arange(n_stages), found.choice]
    assert (held <= stages.capacity_bytes).all()


@pytest.mark.parametrize(
    ("seed", "n_stages", "n_layers", "n_choices"),
    [(seed, 6, 24, 1 + seed % 2) for seed in range(12)] + [(20, 5, 24, 3), (21, 6, 20, 3)],
)
def test_the_search_is_exact_up_to_six_stages_and_24_layers(seed, n_stages, n_layers, n_choices):
    rng = np.random.default_rng(1000 + seed)
    stages = drawn(rng, n_stages, n_choices)
    found = best_split(stages, n_layers, 12)
    expected = brute_force(stages, n_layers, 12)
    assert (np.inf if found is None else found.time_s) == pytest.approx(expected, abs=1e-9)


def test_the_least_bottleneck_is_not_always_the_least_time():
    """Two micro-batches: a slower beat of 4 saves more in the sum than it costs.

    By hand: layers cost 1 on the first stage, 3 on the second. (3, 1): 3 + 3 + 3 = 9, beat 3; of
    5 layers (4, 1): 4 + 3 + 4 = 11, beat 4, and (3, 2): 3 + 6 + 6 = 15.
    """
    stages = Stages.of([1.0, 3.0])
    assert best_split(stages, 4, 2).time_s == 9.0
    assert (best_split(stages, 5, 2).layers, best_split(stages, 5, 2).time_s) == ((4, 1), 11.0)
    # Layers are slow on the first stage and quick on the second, but a fixed second of waiting
    # makes the least beat a split that costs more in the sum.
    uneven = Stages.of([[2.0], [1.0]], fixed_s=[0.0, 3.0])
    one = best_split(uneven, 6, 1)
    assert one.layers == (1, 5), "one micro-batch: only the sum counts"
    assert best_split(uneven, 6, 100).layers == (3, 3), "a hundred: the beat"


def test_nothing_fits():
    stages = Stages.of([1.0, 1.0], layer_bytes=2.0, capacity_bytes=3.0)
    assert best_split(stages, 4, 8) is None
    assert best_split(stages, 2, 8).layers == (1, 1)
    assert best_split(Stages.of(np.ones(5)), 4, 8) is None, "a stage without a layer"
    assert even_split(stages, 4, 8) is None
    assert split_of(stages, (1, 3), 8) is None


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 64))
def test_laws_of_the_search(seed, n_layers, n_micro):
    """No worse than equal layers; more memory and faster chips never hurt; never above the sum."""
    rng = np.random.default_rng(seed)
    stages = drawn(rng, int(rng.integers(1, 6)), 2)
    found, even = (find(stages, n_layers, n_micro) for find in (best_split, even_split))
    if found is None:
        assert even is None
        return
    assert even is None or found.time_s <= even.time_s + 1e-9
    roomy = Stages.of(
        stages.layer_s,
        fixed_s=stages.fixed_s,
        layer_bytes=stages.layer_bytes,
        kept_bytes=stages.kept_bytes,
        fixed_bytes=stages.fixed_bytes,
        capacity_bytes=2 * stages.capacity_bytes,
        link_s=stages.link_s,
    )
    assert best_split(roomy, n_layers, n_micro).time_s <= found.time_s + 1e-9
    assert found.time_s >= ideal_s(n_layers, 1 / stages.layer_s.min(axis=1), n_micro) - 1e-9


# Shares of a batch


@pytest.mark.parametrize("seed", range(40))
def test_shares_are_exact(seed):
    rng = np.random.default_rng(seed)
    n_replicas, n = int(rng.integers(1, 5)), int(rng.integers(1, 10))
    table = np.cumsum(rng.integers(0, 5, (n_replicas, n + 1)), axis=1).astype(float)
    table[:, 0] = 0.0
    if seed % 3 == 0:
        table[0, int(rng.integers(1, n + 1)) :] = np.inf
    found = best_shares(table, n)
    expected = min(
        max(table[replica, share] for replica, share in enumerate(shares))
        for shares in itertools.product(range(n + 1), repeat=n_replicas)
        if sum(shares) == n
    )
    if not np.isfinite(expected):
        assert found is None
        return
    assert sum(found) == n
    assert max(table[np.arange(n_replicas), found]) == expected


def test_replicas_that_are_pipelines_of_two_kinds():
    """Both at once: each replica has its own stages, and gets micro-batches by its own best split.

    By hand: a pipeline of two fast stages takes 4 m + 4 for m micro-batches of 8 layers, one of a
    fast and a half as fast stage 5 or 6 for each layer split: (5, 3) gives 5 + 6 + 6 (m - 1).
    """

    def times(speed):
        stages = Stages.of(1 / np.array(speed))
        return [0.0, *(best_split(stages, 8, m).time_s for m in range(1, 13))]

    table = np.array([times([1.0, 1.0]), times([1.0, 0.5])])
    assert table[0, 5] == 4 * 5 + 4
    shares = best_shares(table, 12)
    worst = max(table[0, shares[0]], table[1, shares[1]])
    assert worst == min(max(table[0, k], table[1, 12 - k]) for k in range(13))
    assert shares[0] > shares[1]


# Messages


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Stages.of([1.0, 0.0]), "layer_s must be > 0, got 0"),
        (lambda: Stages.of([1.0, 1.0], kept_bytes=-1.0), "kept_bytes must be >= 0, got -1"),
        (lambda: Stages.of([1.0, 1.0], link_s=[1.0, 2.0]), "link_s must have 1 links, got 2"),
        (lambda: Stages.of(np.ones((2, 2, 2))), "layer_s must have one row for every stage"),
        (lambda: best_split(Stages.of([1.0]), 0, 4), "n_layers must be > 0, got 0"),
        (lambda: best_split(Stages.of([1.0]), 4, 1.5), "must be whole, got 4, 1.5"),
        (lambda: split_of(Stages.of([1.0, 1.0]), (3,), 4), "there are 2 stages, got 1"),
        (lambda: split_of(Stages.of([1.0, 1.0]), (3, 0), 4), "one layer at least, got 0"),
        (lambda: best_shares([[0.0, 1.0]], 3), "must have 4 columns"),
        (lambda: best_shares([[0.0, 2.0, 1.0]], 2), "must not fall with more shares"),
        (lambda: batch_efficiency([0, 0], [1.0, 1.0]), "sequences must be > 0 in all"),
        (lambda: line_s([1.0], np.inf), "n_micro must be finite"),
        (lambda: hop_s(Route(0.0), 1.0), "bytes_per_s must be > 0, got 0"),
    ],
)
def test_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        call()


# Sums over parts


def test_a_ring_sends_a_share_at_a_time():
    """Three parts of 90 GB: 30 GB four times at 10 GB/s, and 1 ms before each."""
    assert float(summed_s(Route(10e9, latency_s=1e-3), 90e9, 3)) == pytest.approx(4 * 3.001)
    assert float(summed_s(Route(10e9, latency_s=1e-3), 90e9, 1)) == 0.0


def test_light_in_a_fibre():
    assert float(fibre_s(0.0)) == 0.0
    assert float(fibre_s(204_358e3)) == pytest.approx(1.0, rel=1e-5)
