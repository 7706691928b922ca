"""The nodes of a job: who trains, and who waits beside those."""

from __future__ import annotations

import pytest

from computeplan.engines.event.job import Allocation
from computeplan.world.jobs import Shrinking


def test_a_job_that_does_not_shrink_needs_all_its_nodes():
    nodes = Allocation(4, 8, None)
    assert nodes.chips == (32, 0.0)
    nodes.move(1, 0)
    assert not (nodes.n_whole >= max(nodes.shrinking.n_least, 1))
    assert nodes.held_chips == 24
    nodes.move(-1, 1)  # a spare has come, and boots
    assert not (nodes.n_whole >= max(nodes.shrinking.n_least, 1))
    assert nodes.held_chips == 32
    nodes.move(0, -1)
    assert nodes.n_whole >= max(nodes.shrinking.n_least, 1)


@pytest.mark.parametrize(
    ("n_replicas", "n_least", "chips", "is_enough"),
    [(4, 1, (24, 0), True), (2, 1, (16, 8), True), (8, 1, (24, 0), True), (4, 4, None, False)],
)
def test_replicas_that_are_whole_train_and_other_chips_wait(n_replicas, n_least, chips, is_enough):
    """Of 4 nodes one is lacking: of two replicas of two nodes, the other node of one waits."""
    nodes = Allocation(4, 8, Shrinking(n_replicas, n_least, 0.0))
    nodes.move(1, 0)
    assert (nodes.n_whole >= max(nodes.shrinking.n_least, 1)) is is_enough
    if is_enough:
        nodes.take_up()
        assert nodes.chips == chips


def test_nodes_that_come_wait_until_they_are_taken_up():
    nodes = Allocation(4, 8, Shrinking(4, 1, 0.0))
    nodes.move(2, 0)
    nodes.take_up()
    assert nodes.active_frac == 0.5
    nodes.move(-1, 0)
    assert (nodes.n_whole, nodes.n_active) == (3, 2)
    assert nodes.chips == (16, 8)
    nodes.take_up()
    assert nodes.chips == (24, 0)
