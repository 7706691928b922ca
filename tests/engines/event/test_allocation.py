"""The nodes of a job: who trains, and who waits beside those."""

from __future__ import annotations

import pytest

from computeplan.engines.event.allocation import Allocation, Part
from computeplan.engines.event.books import Books
from computeplan.world.jobs import Shrinking


def part(pool: int, n_nodes: int, n_whole_job: int = 0) -> Part:
    return Part(pool, n_nodes, 8, Books((0, pool), (), None), n_whole_job=n_whole_job)


def test_a_job_that_does_not_shrink_needs_all_its_nodes():
    nodes = Allocation([part(0, 4)], None)
    assert nodes.parts[0].chips == (32, 0.0)
    nodes.move(0, 1, 0)
    assert not (nodes.n_whole >= max(nodes.shrinking.n_least, 1))
    assert nodes.parts[0].held_chips == 24
    nodes.move(0, -1, 1)  # a spare has come, and boots
    assert not (nodes.n_whole >= max(nodes.shrinking.n_least, 1))
    assert nodes.parts[0].held_chips == 32
    nodes.move(0, 0, -1)
    assert nodes.n_whole >= max(nodes.shrinking.n_least, 1)


@pytest.mark.parametrize(
    ("n_replicas", "n_least", "chips", "is_enough"),
    [(4, 1, (24, 0), True), (2, 1, (16, 8), True), (8, 1, (24, 0), True), (4, 4, None, False)],
)
def test_replicas_that_are_whole_train_and_other_chips_wait(n_replicas, n_least, chips, is_enough):
    """Of 4 nodes one is lacking: of two replicas of two nodes, the other node of one waits."""
    nodes = Allocation([part(0, 4)], Shrinking(n_replicas, n_least, 0.0))
    nodes.move(0, 1, 0)
    assert (nodes.n_whole >= max(nodes.shrinking.n_least, 1)) is is_enough
    if is_enough:
        nodes.take_up()
        assert nodes.parts[0].chips == chips


def test_nodes_that_come_wait_until_they_are_taken_up():
    nodes = Allocation([part(0, 4)], Shrinking(4, 1, 0.0))
    nodes.move(0, 2, 0)
    nodes.take_up()
    assert nodes.active_frac == 0.5
    nodes.move(0, -1, 0)
    assert (nodes.n_whole, nodes.n_active) == (3, 2)
    assert nodes.parts[0].chips == (16, 8)
    nodes.take_up()
    assert nodes.parts[0].chips == (24, 0)


def test_a_mixed_job_that_waits_needs_its_nodes_of_all_pools():
    nodes = Allocation([part(0, 2, 4), part(1, 3, 6)], None)
    assert [one.chips for one in nodes.parts] == [(16, 0), (24, 0)]
    nodes.move(1, 1, 0)
    assert (nodes.n_whole, nodes.n_short) == (0, 1)
    nodes.move(1, -1, 0)
    assert nodes.n_whole == 1


def test_a_mixed_job_that_shrinks_loses_the_replicas_of_the_nodes_that_are_lacking():
    """Of 12 replicas, 3 to a node of pool 0 and 2 to one of pool 1, two nodes are lacking."""
    nodes = Allocation([part(0, 2, 4), part(1, 3, 6)], Shrinking(12, 1, 0.0))
    nodes.move(0, 1, 0)
    nodes.move(1, 1, 0)
    nodes.take_up()
    assert (nodes.n_active, nodes.active_frac) == (12 - 3 - 2, 7 / 12)
    assert [one.chips for one in nodes.parts] == [(8, 0), (16, 0)]
