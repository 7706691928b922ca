"""What published runs had, and how that decides among layouts that the model cannot tell apart."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from computeplan.compiler.hardware import device_of, fabric_of
from computeplan.compiler.software import software_of
from computeplan.physics.steptime.grid import all_layouts
from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.memory import memory_of
from computeplan.physics.steptime.practice import SPLITS, Practice
from computeplan.physics.steptime.search import HEADROOM, best_layouts
from computeplan.physics.steptime.step import Training, step_time
from computeplan.physics.steptime.transformer import Shape
from computeplan.specs.catalogue.lookup import load_chip
from computeplan.specs.software import Switches

SMALL = Shape(layers=6, hidden=1024, ffn=4096, heads=8, kv_heads=4, head_dim=128, vocab=32000)
TRAINING = Training(SMALL, 4096, 24)
CHIP = load_chip("nvidia/a100-80gb")[0]
SOFTWARE, KERNEL, _ = software_of(Switches())
DEVICE, FABRIC = device_of(CHIP, "bf16", KERNEL, "megatron-core").device, fabric_of(CHIP)[0]

practices = st.builds(
    Practice,
    splits=st.frozensets(st.sampled_from(SPLITS)),
    zero=st.frozensets(st.integers(0, 3), min_size=1),
    recompute=st.frozensets(st.integers(0, 2), min_size=1),
    error=st.floats(0, 0.5),
)


def test_nothing_is_new_where_everything_was_seen():
    grid = Layout.concatenate(list(all_layouts(SMALL, 4096, 24, 16, 8)))
    assert (Practice().n_new(grid) == 0).all()


@pytest.mark.parametrize(
    ("layout", "seen", "new"),
    [
        ({"dp": 8, "zero": 3}, {"zero": {0, 1}}, {"zero"}),
        ({"dp": 8, "zero": 1}, {"zero": {0}}, set()),  # the weights are whole in both
        ({"dp": 8, "zero": 1}, {"zero": {3}}, {"zero"}),
        ({"zero": 1}, {"zero": {3}}, set()),  # nobody to share with
        ({"cp": 4, "tp": 2}, {"splits": {"tp"}}, {"cp"}),
        ({"pp": 4, "pieces": 2, "recompute": 2}, {"splits": {"pp"}, "recompute": {0}},
         {"pieces", "recompute"}),
    ],
)  # fmt: skip
def test_what_is_new(layout, seen, new):
    practice = Practice(**{name: frozenset(values) for name, values in seen.items()})
    found = practice.new(Layout.of(**layout))
    assert {name for name, is_new in found.items() if is_new} == new


@settings(max_examples=25, deadline=None)
@given(practices)
def test_the_best_is_the_fastest_of_the_least_new_within_the_error(practice):
    found = best_layouts(TRAINING, DEVICE, FABRIC, 16, SOFTWARE, practice=practice)
    grid = Layout.concatenate(list(all_layouts(SMALL, 4096, 24, 16, FABRIC.domain)))
    held = memory_of(TRAINING, grid, SOFTWARE).total
    grid = grid.at((held <= DEVICE.memory_bytes * (1 - HEADROOM)) & (grid.recompute != 1))
    seconds = step_time(TRAINING, DEVICE, FABRIC, grid, SOFTWARE).step_s
    within = seconds <= seconds.min() * math.exp(practice.error)
    novelty = practice.n_new(grid)
    least = novelty[within].min()
    assert found.n_within == within.sum()
    assert found.fastest_s == seconds.min()
    assert practice.n_new(found.layout)[0] == least
    best = seconds[within & (novelty == least)].min()
    assert found.time.step_s[0] == pytest.approx(best, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(practices)
def test_the_list_is_what_is_within_the_error_by_novelty_and_then_the_others_by_time(practice):
    found = best_layouts(TRAINING, DEVICE, FABRIC, 16, SOFTWARE, practice=practice)
    seconds, within_s = found.time.step_s, found.fastest_s * math.exp(practice.error)
    first = np.where(seconds <= within_s, practice.n_new(found.layout), math.inf)
    assert (first == np.sort(first)).all()
    for value in np.unique(first):
        assert (np.diff(seconds[first == value]) >= -1e-8 * found.fastest_s).all()
    assert np.isfinite(first).sum() == min(found.n_within, seconds.size)
