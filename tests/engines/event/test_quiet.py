"""Where nothing can happen to a job, its stay is arithmetic: with the same books and timeline."""

import pytest

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.ledger import TRAIN


def world_of(**more):
    """Return a world of three jobs that queue for one pool of eight nodes."""
    sizes = {"a": (0, 48, "5 h"), "b": (60, 32, "2 h"), "c": (120, 16, "3 h")}
    return compile_world(
        cp.load(
            {
                "computeplan": 1,
                "name": "quiet",
                "sites": {
                    "s": {"pue": 1.0, "pools": {"p": {"chip": "nvidia/h100-sxm", "chips": 64}}}
                },
                "jobs": {
                    name: {
                        "arrival": f"{at} s",
                        "chips": chips,
                        "train_for": length,
                        "checkpoint": {"every": "never"},
                    }
                    for name, (at, chips, length) in sizes.items()
                },
                "policy": "fifo-backfill",
                **more,
            }
        )
    )


def test_the_timeline_changes_no_number_and_shows_every_stay():
    world = world_of()
    plain, shown = event.play(world, 0, 0, 1), event.play(world, 0, 0, 1, timeline=True)
    assert (plain.booked == shown.booked).all()
    assert (plain.end_s == shown.end_s).all()
    spans = [(span.job, span.phase, span.start_s, span.end_s, span.n_chips) for span in shown.spans]
    assert spans == [
        (0, TRAIN, 0.0, 18_000.0, 48),
        (2, TRAIN, 120.0, 10_920.0, 16),
        (1, TRAIN, 18_000.0, 25_200.0, 32),
    ]


def test_a_cut_run_shows_its_stays_to_the_cut():
    shown = event.play(world_of(simulate={"horizon": "1 h"}), 0, 0, 1, timeline=True)
    assert [(span.job, span.end_s) for span in shown.spans] == [(0, 3600.0), (2, 3600.0)]


def test_the_state_machine_has_the_same_books():
    """A fault that comes once in a billion hours makes a pool one where something can happen."""
    rare = {"f": {"mtbf": "1e11 h", "per": "chip", "takes": "nothing", "restart": "1 min"}}
    quiet, played = (event.play(world_of(faults=faults), 0, 0, 1) for faults in ({}, rare))
    assert played.booked == pytest.approx(quiet.booked)
    assert played.job_s == pytest.approx(quiet.job_s)
    assert played.end_s == pytest.approx(quiet.end_s)
    assert played.peak_w == pytest.approx(quiet.peak_w)
