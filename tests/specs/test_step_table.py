"""Step times of one's own: what is read, what is refused and where."""

from __future__ import annotations

import pytest

from computeplan.errors import ScenarioError
from computeplan.physics.serving.tabulate import times_of_table
from computeplan.specs.logs.step_table import load_steps

GOOD = "batch,context,prompt_tokens,step_s\n1,0,0,0.01\n1,1000,0,0.011\n2,0,0,0.012\n0,0,512,0.1\n"


def test_a_file_becomes_a_table(tmp_path):
    path = tmp_path / "step_s.csv"
    path.write_text(GOOD, "utf-8")
    rows = load_steps(path, "step_s.csv")
    times = times_of_table(rows.batch, rows.context, rows.prompt_tokens, rows.step_s, 1e5)
    assert times.decode_s.tolist() == pytest.approx([0.0, 0.01, 0.012])
    assert times.context_s == pytest.approx(1e-6)
    assert times.prefill_s.tolist() == [0.0, 0.1]


def test_columns_may_stand_in_any_order(tmp_path):
    path = tmp_path / "step_s.csv"
    path.write_text("step_s,batch,prompt_tokens,context\n0.01,3,0,7\n", "utf-8")
    rows = load_steps(path, "step_s.csv")
    assert (rows.batch[0], rows.context[0], rows.step_s[0]) == (3.0, 7.0, 0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1"),
        ("batch,step_s\n", "must begin with the line batch,context,prompt_tokens,step_s"),
        ("batch,context,prompt_tokens,step_s\n", "has no step"),
        (GOOD + "1,2\n", "6:1"),
        (GOOD + "x,0,0,0.1\n", "batch must be a number >= 0"),
        (GOOD + "1,0,0,-1\n", "step_s must be a number > 0"),
        (GOOD + "1,0,0,nan\n", "step_s must be a number > 0"),
        (GOOD + "1,0,0,0\n", "step_s must be a number > 0"),
        (GOOD + "1,0,1,0.1\n", "one of the two is 0"),
        (GOOD + "0,0,0,0.1\n", "one of the two is 0"),
        (GOOD + "1.5,0,0,0.1\n", "whole number"),
        (GOOD + "64,0,0,0.001\n", "6:1 64 sequences take 0.001 s, and 2 of them 0.012"),
        (GOOD + "1,2000,0,0.001\n", "6:1 2000 cached tokens take 0.001 s, and 1000 of them 0.011"),
        (GOOD + "0,0,1024,0.05\n", "6:1 1024 prompt tokens take 0.05 s, and 512 of them 0.1 s in"),
    ],
)
def test_what_is_refused(tmp_path, text, said):
    path = tmp_path / "step_s.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ScenarioError) as error:
        load_steps(path, "step_s.csv")
    assert said in str(error.value)


def test_measured_steps_may_scatter(tmp_path):
    path = tmp_path / "step_s.csv"
    path.write_text(GOOD + "3,0,0,0.0115\n0,0,600,0.095\n", "utf-8")
    assert len(load_steps(path, "step_s.csv").batch) == 6
