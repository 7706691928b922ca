"""What a result, a scenario and a price show of themselves at a prompt and in a notebook."""

from html.parser import HTMLParser

import numpy as np
import pytest

import computeplan as cp
from computeplan.results.cases import CaseResult
from computeplan.study.result import Result

HOSTILE = "<script>alert('x')</script>&\"<img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - as the parser calls it
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def scenario():
    """A scenario whose names and text are markup, with more cases than a line holds."""
    every = "jobs.pretrain.checkpoint.every"
    cases = {f"{HOSTILE} {i}": {every: f"{i} min"} for i in range(5, 20)}
    return cp.load("llama3-405b").with_({"about": HOSTILE, "cases": cases})


def test_a_scenario_is_a_few_lines_at_a_prompt(scenario):
    assert str(scenario) == repr(scenario)
    assert len(repr(scenario)) < 2000
    assert len(repr(scenario).splitlines()) < 12
    assert "and 9 more" in repr(scenario)


def test_a_result_is_a_few_lines_at_a_prompt():
    for n_cases in (1, 10, 11, 10_000):
        values = {"ettr": np.ones(7)}
        result = Result(
            "r", "", {f"case {i} {'long ' * 50}": CaseResult(values) for i in range(n_cases)}
        )
        assert len(repr(result)) < 2000
        lines = repr(result).splitlines()
        assert lines[0] == f"<Result r: {n_cases:,} cases of 7 runs>"
        assert len(lines) == 1 + min(n_cases, 10)
        assert (f"and {n_cases - 9:,} more" in lines[-1]) == (n_cases > 10)


def test_a_price_is_one_line_at_a_prompt():
    price = cp.price_step("llama-3.1-8b", "H100-SXM", 8, batch=128)
    assert repr(price).startswith("<StepPrice meta/llama-3.1-8b on 8 nvidia/h100-sxm: 12.44 s")
    assert len(repr(price)) < 200
    assert Tags(price._repr_html_()).tags <= {
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "p",
        "small",
    }
    assert "nvidia/h100-sxm" in price._repr_html_()


def test_names_are_text_in_a_notebook_never_markup(scenario):
    result = Result(HOSTILE, "", {HOSTILE: CaseResult({"ettr": np.array([0.5, 0.6])})})
    for shown in (scenario, result):
        page = Tags(shown._repr_html_())
        assert not page.tags & {"script", "img"}
        assert HOSTILE in page.text


def test_an_empty_block_is_not_shown():
    page = Tags(cp.load("spares")._repr_html_()).text
    assert "sweep" in page
    assert "cases" not in page


def test_points_that_move_together_are_one_axis():
    points = [{"jobs.pretrain.checkpoint.every": f"{i} min"} for i in (5, 10)]
    shown = repr(cp.load("spares").with_({"sweep": points}))
    assert "sweep: jobs.pretrain.checkpoint.every: 2 points" in shown
