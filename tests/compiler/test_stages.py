"""Layers of the stages of a pipeline, as a layout says them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.compiler.stages import stages_of
from computeplan.specs.jobs import Parallelism


def of(layers, **layout):
    return stages_of(Parallelism(**layout), layers)


def test_megatron_s_own_example_is_read_as_it_says():
    """megatron/core/transformer/pipeline_parallel_layer_layout.py: 61 layers on 32 parts.

    ``Ettt|(tt|)*29,m|L`` is E and three layers, 29 times two, an extra prediction layer, the loss.
    """
    text = "Et*3|(tt|)*29,m|L"
    assert of(61, pp=32, stages=text) == (3, *[2] * 29, 0, 0)
    # on 16 stages the parts go round twice: 0 and 16, 1 and 17, ...
    assert of(61, pp=16, virtual_stages=2, stages=text) == (5, *[4] * 13, 2, 2)


@pytest.mark.parametrize(
    ("layout", "why"),
    [
        ({"pp": 4, "stages": "Et|t|tL"}, "3 parts, and pp x virtual_stages is 4"),
        ({"pp": 2, "stages": "tt|ttL"}, "begin with E"),
        ({"pp": 2, "stages": "Et|tL"}, "2 layers \\(t\\), and the model has 4"),
        ({"pp": 2, "stages": "Ett|xxL"}, "has 'x'"),
        ({"pp": 2, "stages": "E(t|t*3L"}, r"has '\('"),
        ({"pp": 2, "stages": "Et*999999|L"}, "more than 100,000 letters"),
        ({"pp": 2, "stages": "Ett|ttL", "first_stage_layers": 1}, "leave first_"),
        ({"pp": 2, "first_stage_layers": 4}, "leave 0 of 4 layers to 1 other"),
        ({"pp": 1, "first_stage_layers": 1, "last_stage_layers": 1}, "leave 2 of 4"),
    ],
)
def test_what_is_no_layout_says_why(layout, why):
    with pytest.raises(ValueError, match=why):
        of(4, **layout)


@given(st.integers(2, 40), st.integers(0, 3), st.integers(0, 3), st.integers(1, 200))
def test_the_others_share_what_the_ends_leave(pp, first, last, layers):
    ends = {"first_stage_layers": first, "last_stage_layers": last}
    layout = {name: n for name, n in ends.items() if n}
    try:
        found = of(layers, pp=pp, **layout)
    except ValueError:
        return
    if not layout:
        assert found == ()
        return
    assert (len(found), sum(found)) == (pp, layers)
    between = found[bool(first) : pp - bool(last)]
    assert not between or max(between) - min(between) <= 1
    assert (found[0], found[-1]) == (first or found[0], last or found[-1])


@given(st.text("Etm|L()*,0123456789", max_size=60))
def test_no_text_does_worse_than_a_sentence(text):
    with contextlib.suppress(ValueError):
        assert sum(of(4, pp=2, stages=text)) == 4
