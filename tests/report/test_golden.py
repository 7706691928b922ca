"""What `computeplan run` prints of every shipped scenario, at 80 columns, in both languages.

The texts stand in ``golden/``. Where numbers or words are meant to change, write them anew and read
the difference: ``REFRESH_GOLDEN=1 python -m pytest tests/report/test_golden.py``.
"""

import json
import os
import re
import unicodedata
from functools import cache
from pathlib import Path

import pytest

import computeplan as cp
from computeplan.cli.show import Shown
from computeplan.notes import Note
from computeplan.report.answer import answer
from computeplan.report.result_views import summary
from computeplan.report.words import sentence
from computeplan.specs.scenario import shipped_names
from computeplan.study.cases import compile_cases, notes_of
from computeplan.study.facts import facts_of

GOLDEN = Path(__file__).parent / "golden"
N_RUNS = 20
MANY_CASES, FEW_RUNS = 10, 4  # of a scenario that takes seconds a run
COLUMNS = 80
A_NUMBER = re.compile(r"\d[\d,.]*\d|\d")
BOTH = pytest.mark.parametrize("language", ["en", "zh"])
SHIPPED = pytest.mark.parametrize("name", shipped_names())


@cache
def result_of(name):
    n_runs = FEW_RUNS if len(cp.load(name).cases) > MANY_CASES else N_RUNS
    return cp.run(cp.load(name).with_({"simulate.runs": n_runs}))


@pytest.fixture
def printed(name, language, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    Shown(language).show(result_of(name))
    return capsys.readouterr().out


def width(text):
    """Return terminal columns, counted without the code that lays text out."""
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


@SHIPPED
@BOTH
def test_a_scenario_prints_what_it_did(name, language, printed):
    path = GOLDEN / f"{name}.{language}.txt"
    if os.environ.get("REFRESH_GOLDEN"):
        path.write_text(printed, "utf-8", newline="\n")
    assert printed == path.read_text("utf-8")


@SHIPPED
@BOTH
def test_it_fits_begins_with_the_answer_and_has_at_most_three_notes(name, language, printed):
    lines = printed.splitlines()
    assert max(map(width, lines)) <= COLUMNS
    answered = "".join(answer(result_of(name), language))
    first, *note = printed.split("\n\n")[0].split("\n- ")
    assert answered
    assert len(note) == 1  # what could change the answer first
    assert "".join(first.split()) == "".join(answered.split())
    assert 1 <= sum(line.startswith("- ") for line in lines) <= 3


@SHIPPED
@BOTH
def test_no_number_is_broken_over_lines(name, language, printed):
    result = result_of(name)
    lines = printed.splitlines()
    for row in summary(result, language=language).rows:
        for cell in row[1:]:
            for part in cell.split("\n"):
                assert any(part in line for line in lines), part
    told = A_NUMBER.findall(" ".join(answer(result, language)))
    assert A_NUMBER.findall(printed.split("\n\n")[0].split("\n- ")[0]) == told


@SHIPPED
def test_notes_are_strict_json_and_can_be_said(name):
    cases = compile_cases(cp.load(name)).cases
    facts = [fact for case in cases[:3] for fact in facts_of(case.world).values()]
    for one in (*notes_of(cases), *facts):
        assert isinstance(one, Note)
        json.dumps(one.items, allow_nan=False)
        assert sentence(one)


def test_no_text_is_of_a_scenario_that_is_gone():
    names = {f"{name}.{language}.txt" for name in shipped_names() for language in ("en", "zh")}
    assert {path.name for path in GOLDEN.iterdir()} == names
