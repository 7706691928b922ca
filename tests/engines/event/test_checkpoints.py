"""What a job has saved, and what a fault leaves of it."""

from __future__ import annotations

import numpy as np
import pytest
from bounds import ends_within, takes_at_most
from hypothesis import given
from hypothesis import strategies as st
from worlds import world_of

from computeplan.engines import event
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
    assert [s.save(j).position_s for s in saves.history for j in s.numbers] == [30.0, 40.0]
    assert not saves.go_back(34.0)
    assert saves.newest == Save(30.0, 30.0, 33.0, 33.0)
    assert saves.go_back(32.9)
    assert saves.newest == START


@given(st.data(), st.integers(1, 12))
def test_what_is_kept_is_as_if_every_save_were_written_down(data, n_kept):
    """An oracle that does so, over stretches, single saves and damage that is found."""
    one = Tier("disk", 1, 1.0, 2.0, 0.0, 3)
    saves, written = Checkpoints((one,), n_kept), list[Save]()
    now_s = 0.0
    for _ in range(data.draw(st.integers(1, 8))):
        what = data.draw(st.sampled_from(["stretch", "single", "damage"]))
        after_s = data.draw(st.integers(0, 60))
        if what == "stretch":
            saves.note(
                Stretch(Schedule(1e9, 4.0, (one,), 1.0, 0.0), now_s, 0, 1, 0), now_s + after_s
            )
            for n in range(1, 14):  # 4 s, a stall of 1 s, complete 2 s later
                if 5 * n + 2 <= after_s:
                    save = Save(4.0 * n, 4.0 * n, now_s + 5 * n + 2, now_s + 5 * n)
                    written.append(save)
        elif what == "single":
            written.append(Save(1.0, 1.0, now_s, now_s))
            saves.add(written[-1])
        else:
            clean_by_s = now_s - after_s
            written = [save for save in written if save.when_s <= clean_by_s]
            assert saves.go_back(clean_by_s) == (not written)
            assert saves.newest == (written[-1] if written else START)
        written = written[-n_kept:]
        now_s += after_s
        assert saves.n_in_history == len(written)
        assert [s.save(j) for s in saves.history for j in s.numbers] == written


def test_what_is_kept_costs_what_faults_cost():
    """260 million saves, of which 100 million are kept: once each of them was an object."""
    kind = {"mtbf": "5 kh", "per": "chip", "takes": "nothing", "restart": "10 min"}
    world = world_of(
        **{
            "faults": {"f": kind, "sdc": {**kind, "found": {"expon": {"mean": "6 h"}}}},
            "jobs.j": {
                "train_for": "3 d",
                "chips": 4,
                "checkpoint": {"every": "1 ms", "stall": "0 s", "keep": 100_000_000},
            },
            "planned": {},
            "simulate.horizon": "300 d",
        }
    )
    with ends_within(20), takes_at_most(100):
        assert np.isfinite(event.play(world, 0, 0, 4).end_s).all()


def test_the_floor_is_what_every_fault_leaves():
    plain, damaged = Checkpoints(TIERS, 0), Checkpoints(TIERS, 3)
    for saves in (plain, damaged):
        saves.note(stretch(), 41.0)
    assert plain.floor_s == 20.0
    assert damaged.floor_s == 0.0  # damage found late may reach farther
