"""Pipelines against a simulation that plays 1F1B pass by pass; what is exact, and what a bound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.physics.steptime.pipeline import SCHEDULES, in_flight, pipeline_s

Pass = tuple[str, int, int]  # forward or backward, piece, micro-batch
Place = tuple[int, str, int, int]  # stage, and the same

times_s = st.floats(0.01, 10.0)
micro_batches = st.integers(1, 24)


def passes(stage: int, stages: int, n_micro: int, pieces: int = 1) -> list[Pass]:
    """Return what a stage does, in turn: forward passes to warm up, one of each, backward passes.

    With pieces, micro-batches go through a piece p at a time, as Megatron-LM orders them.
    """
    turns = range(n_micro * pieces)
    group = stages * pieces
    which = [(k % group // stages, k // group * stages + k % stages) for k in turns]
    if pieces == 1:
        which = [(0, k) for k in turns]
    forward = [("F", piece, micro) for piece, micro in which]
    backward = [("B", pieces - 1 - piece, micro) for piece, micro in which]
    waiting = stages - 1 - stage
    warm_up = min(waiting if pieces == 1 else 2 * waiting + (pieces - 1) * stages, len(turns))
    alternate = [each for pair in zip(forward[warm_up:], backward, strict=False) for each in pair]
    return [*forward[:warm_up], *alternate, *backward[len(turns) - warm_up :]]


def comes_after(stage: int, one: Pass, stages: int, pieces: int) -> Place | None:
    """Return the pass on another stage, or of another piece, that a pass takes its data from."""
    kind, piece, micro = one
    if kind == "F":
        if stage > 0:
            return stage - 1, "F", piece, micro
        return (stages - 1, "F", piece - 1, micro) if piece > 0 else None
    if stage < stages - 1:
        return stage + 1, "B", piece, micro
    return (0, "B", piece + 1, micro) if piece < pieces - 1 else (stage, "F", piece, micro)


def play(takes: Callable[[int, str], float], stages: int, n_micro: int, pieces: int = 1) -> float:
    """Return when the last pass ends, every pass starting once its stage and its data are there."""
    todo = [passes(stage, stages, n_micro, pieces)[::-1] for stage in range(stages)]
    free_s = [0.0] * stages
    ended_s: dict[Place | None, float] = {None: 0.0}
    while any(todo):
        ready = [
            stage
            for stage in range(stages)
            if todo[stage] and comes_after(stage, todo[stage][-1], stages, pieces) in ended_s
        ]
        assert ready, "the stages wait for each other"
        for stage in ready:
            one = todo[stage].pop()
            data_s = ended_s[comes_after(stage, one, stages, pieces)]
            free_s[stage] = max(free_s[stage], data_s) + takes(stage, one[0])
            ended_s[stage, *one] = free_s[stage]
    return max(free_s)


def play_stages(forward_s: list[float], backward_s: list[float], n_micro: int) -> float:
    """Return the time of 1F1B with these stages."""
    by_kind = {"F": forward_s, "B": backward_s}
    return play(lambda stage, kind: by_kind[kind][stage], len(forward_s), n_micro)


def closed_form(forward_s: list[float], backward_s: list[float], n_micro: int) -> float:
    both = [f + b for f, b in zip(forward_s, backward_s, strict=True)]
    return float(pipeline_s(max(both), sum(both), n_micro, 1))


# Equal stages: exact ------------------------------------------------------------------------------


@given(times_s, times_s, st.integers(1, 8), micro_batches)
def test_equal_stages_take_what_the_simulation_takes(forward_s, backward_s, stages, n_micro):
    """Also with fewer micro-batches than stages."""
    given_s = [forward_s] * stages, [backward_s] * stages
    assert closed_form(*given_s, n_micro) == pytest.approx(play_stages(*given_s, n_micro), rel=1e-9)


@given(times_s, times_s, st.integers(2, 6), st.integers(2, 5), st.integers(1, 4))
def test_pieces_divide_the_wait_of_equal_stages(forward_s, backward_s, stages, pieces, rounds):
    """Interleaving asks for a number of micro-batches that the number of stages divides."""
    n_micro, both_s = rounds * stages, forward_s + backward_s
    takes_s = {"F": forward_s / pieces, "B": backward_s / pieces}
    played_s = play(lambda _, kind: takes_s[kind], stages, n_micro, pieces)
    found_s = float(pipeline_s(both_s, stages * both_s, n_micro, pieces))
    assert found_s == pytest.approx(played_s, rel=1e-9)
    wait_s = float(pipeline_s(both_s, stages * both_s, n_micro, 1)) - n_micro * both_s
    assert played_s - n_micro * both_s == pytest.approx(wait_s / pieces, rel=1e-6)


def bubble_frac(stages, n_micro, pieces=1):
    """Return the wait of equal stages over the time they work."""
    return float(pipeline_s(1.0, stages, n_micro, pieces)) / n_micro - 1


@given(times_s, times_s, st.integers(1, 8), micro_batches)
def test_bubble_is_the_wait_over_the_work(forward_s, backward_s, stages, n_micro):
    work_s = n_micro * (forward_s + backward_s)
    wait_s = play_stages([forward_s] * stages, [backward_s] * stages, n_micro) - work_s
    assert bubble_frac(stages, n_micro) == pytest.approx(wait_s / work_s, abs=1e-9)


@pytest.mark.parametrize(
    ("stages", "n_micro", "pieces", "frac"), [(1, 4, 1, 0.0), (4, 8, 1, 3 / 8), (8, 16, 4, 7 / 64)]
)
def test_bubble_has_the_published_value(stages, n_micro, pieces, frac):
    """(p - 1) / (v m): arXiv 2104.04473, section 2.2."""
    assert bubble_frac(stages, n_micro, pieces) == frac


# Unequal stages -----------------------------------------------------------------------------------


@given(st.lists(times_s, min_size=1, max_size=8), st.floats(0.5, 4.0), micro_batches)
def test_exact_if_the_slowest_stage_is_the_last(forward_s, ratio, n_micro):
    """With backward passes that take `ratio` forward ones on every stage: logits make it slow."""
    forward_s = sorted(forward_s)
    backward_s = [ratio * f for f in forward_s]
    played_s = play_stages(forward_s, backward_s, n_micro)
    assert closed_form(forward_s, backward_s, n_micro) == pytest.approx(played_s, rel=1e-9)


@given(times_s, times_s, times_s, times_s, st.integers(2, 8), micro_batches)
def test_all_stages_alike_but_the_last(forward_s, backward_s, last_f_s, last_b_s, stages, n_micro):
    """What a model makes: exact if the last is the slowest; else off by part of one micro-batch.

    A slow stage before a quick last one works on its next forward pass while the last one is at
    it, and on its last backward pass but one while the last one finishes: then it waits for the
    last stage less than the closed form says, by no more than the shorter of its two passes.
    """
    f_s, b_s = [forward_s] * (stages - 1) + [last_f_s], [backward_s] * (stages - 1) + [last_b_s]
    played_s, found_s = play_stages(f_s, b_s, n_micro), closed_form(f_s, b_s, n_micro)
    both_s, last_s = forward_s + backward_s, last_f_s + last_b_s
    if last_s >= both_s or n_micro == 1:
        assert found_s == pytest.approx(played_s, rel=1e-9)
    else:
        waits_s = max(0.0, last_s - forward_s) + max(0.0, last_s - backward_s)
        assert played_s == pytest.approx((n_micro + stages - 2) * both_s + waits_s, rel=1e-9)
        assert played_s - 1e-9 <= found_s <= played_s + min(forward_s, backward_s) + 1e-9
        assert found_s <= played_s * (1 + 0.5 / (n_micro + stages - 2)) + 1e-9


@given(st.lists(times_s, min_size=2, max_size=8), st.floats(0.5, 4.0), micro_batches)
def test_never_too_quick_with_any_stages(forward_s, ratio, n_micro):
    """The closed form is the most that 1F1B takes if passes are in one ratio on all stages.

    It is too long by no more than what stages behind the slowest take for one micro-batch.
    """
    backward_s = [ratio * f for f in forward_s]
    played_s, found_s = (how(forward_s, backward_s, n_micro) for how in (play_stages, closed_form))
    slowest = max(range(len(forward_s)), key=lambda stage: (forward_s[stage], stage))
    behind_s = (1 + ratio) * sum(forward_s[slowest + 1 :])
    assert found_s - behind_s - 1e-9 <= played_s <= found_s * (1 + 1e-9)


@given(st.lists(st.tuples(times_s, st.floats(2.0, 3.0)), min_size=2, max_size=8), micro_batches)
def test_hardly_too_quick_if_some_stages_compute_again(stages, n_micro):
    """Backward passes of two and of three forward ones on different stages: at most 1/12 too quick.

    Because stages of backward passes 9/4 as long as forward ones, each pass at least as long as
    here, have cycles at most 13/12 as long, and for these the closed form is the most.
    """
    forward_s = [f for f, _ in stages]
    backward_s = [f * ratio for f, ratio in stages]
    played_s = play_stages(forward_s, backward_s, n_micro)
    assert played_s <= closed_form(forward_s, backward_s, n_micro) * (13 / 12 + 1e-9)


# What a stage keeps -------------------------------------------------------------------------------


@given(st.integers(1, 8), micro_batches)
def test_keeps_what_the_simulation_keeps(stages, n_micro):
    for stage in range(stages):
        change = [1 if kind == "F" else -1 for kind, *_ in passes(stage, stages, n_micro)]
        assert float(in_flight(stage, stages, n_micro)) == np.cumsum(change).max()


@given(st.integers(2, 8), st.integers(2, 5), st.integers(1, 4))
def test_keeps_pieces_as_the_simulation_does(stages, pieces, rounds):
    n_micro = rounds * stages
    for stage in range(stages):
        order = passes(stage, stages, n_micro, pieces)
        kept = np.cumsum([1 if kind == "F" else -1 for kind, *_ in order]).max()
        found = float(in_flight(stage, stages, n_micro, pieces))
        assert found == pytest.approx(kept / pieces, rel=1e-12)


# Other schedules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "waits_s"),
    [
        ("1f1b", 63 * 3),
        ("zb-h1", 63 * (1 + 1 + 1 - 2)),  # (p - 1) (F + B - W), arXiv 2401.10241, table 1
        ("zb-h2", 63 * (1 + 1 - 2)),  # (p - 1) (F + B - 2 W)
        ("dualpipe", (32 - 1) * (3 + 2 - 3)),  # (p/2 - 1) (F&B + B - 3 W), arXiv 2412.19437
    ],
)
def test_schedules_wait_as_published(schedule, waits_s):
    """On 64 stages; forward, backward for the input and for the weights take 1 s each.

    DualPipe's B is both backward passes. Its factor leaves out that it waits for a stage less.
    """
    found_s = pipeline_s(3.0, 64 * 3.0, 256, 1, SCHEDULES[schedule].bubble)
    assert float(found_s) - 256 * 3.0 == pytest.approx(waits_s, rel=0.02, abs=1e-9)


def test_takes_arrays_as_gladly_as_numbers():
    found_s = pipeline_s(np.array([[1.0], [2.0]]), 16.0, np.array([8, 16, 32]), 2)
    assert found_s.shape == (2, 3)
    assert found_s[1, 2] == pipeline_s(2.0, 16.0, 32, 2)
    kept = in_flight(np.array([0, 7]), 8, np.array([[4], [64]]), pieces=np.array([1, 1]))
    assert kept.tolist() == [[4, 1], [8, 1]]
