"""What a job has saved, and what a fault leaves of it."""

from __future__ import annotations

import pytest

from computeplan.engines.event.checkpoints import START, Checkpoints, Save
from computeplan.engines.event.stretch import Schedule, Stretch
from computeplan.world.jobs import Tier

MEMORY, PEER = Tier("memory", 1, 1.0, 0.0, 1.0, 0), Tier("peer", 2, 2.0, 0.0, 2.0, 1)
DISK = Tier("disk", 4, 3.0, 10.0, 7.0, 3)
TIERS = (MEMORY, PEER, DISK)


def stretch() -> Stretch:
    """5 s of training between saves: over at 6, 14, 20, 31 s, and so on."""
    return Stretch(Schedule(100.0, 5.0, TIERS, 13.0, 0.0), 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("now_s", "positions_s"),
    [(5.9, (0, 0, 0)), (6, (5, 0, 0)), (14, (10, 10, 0)), (31, (20, 20, 0)), (41, (25, 20, 20))],
)
def test_a_save_counts_when_it_is_complete(now_s, positions_s):
    saves = Checkpoints(TIERS, 0)
    saves.note(stretch(), now_s)
    assert tuple(save.position_s for save in saves.saved) == positions_s


@pytest.mark.parametrize(
    ("level", "position_s", "load_s"), [(0, 25, 1), (1, 20, 2), (2, 20, 7), (3, 20, 7)]
)
def test_a_fault_erases_what_does_not_survive_it(level, position_s, load_s):
    saves = Checkpoints(TIERS, 0)
    saves.note(stretch(), 41.0)
    saves.erase(level)
    assert saves.newest.position_s == position_s
    assert saves.load_s(5.0) == load_s


def test_of_equal_saves_the_quickest_is_read():
    saves = Checkpoints(TIERS, 0)
    saves.note(stretch(), 14.0)
    assert saves.load_s(5.0) == 1.0
    saves.erase(1)
    assert saves.load_s(5.0) == 2.0


def test_the_start_needs_no_reading():
    assert Checkpoints(TIERS, 0).load_s(5.0) == 0.0


def test_what_was_asked_for_by_a_time_is_all_that_is_written():
    saves = Checkpoints(TIERS, 0)
    saves.note(stretch(), 41.0, taken_by_s=30.0)
    assert [save.position_s for save in saves.saved] == [20, 20, 0]


def test_as_many_are_kept_as_are_asked_for():
    one = Tier("disk", 1, 1.0, 0.0, 0.0, 3)
    saves = Checkpoints((one,), 2)
    saves.note(Stretch(Schedule(100.0, 10.0, (one,), 1.0, 0.0), 0.0, 0.0, 1.0, 0.0), 44.0)
    assert [save.position_s for save in saves.history] == [30.0, 40.0]
    assert not saves.go_back(34.0)
    assert saves.newest == Save(30.0, 30.0, 33.0, 33.0)
    assert saves.go_back(32.9)
    assert saves.newest == START


def test_the_floor_is_what_every_fault_leaves():
    plain, damaged = Checkpoints(TIERS, 0), Checkpoints(TIERS, 3)
    for saves in (plain, damaged):
        saves.note(stretch(), 41.0)
    assert plain.floor_s == 20.0
    assert damaged.floor_s == 0.0  # damage found late may reach farther
