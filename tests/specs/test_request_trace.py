"""Traces of requests: three forms, and every line that is wrong, with its number."""

import gzip
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.errors import ScenarioError
from computeplan.specs.logs.request_trace import load_requests, save_requests

OWN = "seconds,input_tokens,output_tokens\n0.00,374,44\n4.31,396,109\n4.31,5,1\n"


def read(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_requests(path, name)


def said_of(tmp_path, text, name="t.csv"):
    with pytest.raises(ScenarioError) as error:
        read(tmp_path, text, name)
    return error.value.problems


def test_our_own_form_is_read(tmp_path):
    log = read(tmp_path, OWN)
    assert log.arrival_s.tolist() == [0, 4.31, 4.31]
    assert log.input_tokens.tolist() == [374, 396, 5]
    assert log.output_tokens.tolist() == [44, 109, 1]
    assert log.reusable_tokens is None
    assert log.mean_per_s == pytest.approx(2 / 4.31)
    assert log.beyond(504) == (1, 3, 505)
    assert log.beyond(505) == (0, 0, 0)


def test_a_packed_file_is_read(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(OWN.encode()))
    assert len(load_requests(path)) == 3
    path.write_bytes(gzip.compress(OWN.encode())[:-9])
    with pytest.raises(ScenarioError, match="cannot be unpacked"):
        load_requests(path)


def test_the_form_of_azure_is_read(tmp_path):
    log = read(
        tmp_path,
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 23:59:59.5000000,374,44\n2023-11-17 00:00:03.8100000,396,109\n",
    )
    assert log.arrival_s == pytest.approx([0, 4.31])


def test_leading_blocks_seen_before_can_be_used_again(tmp_path):
    rows = [([1, 2, 3], 1500), ([1, 2, 4], 1500), ([9, 1, 2], 1500), ([1, 2, 3], 1100)]
    text = "".join(
        json.dumps(
            {"timestamp": 3000 * i, "input_length": n, "output_length": 5, "hash_ids": blocks}
        )
        + "\n"
        for i, (blocks, n) in enumerate(rows)
    )
    log = read(tmp_path, text, "t.jsonl")
    assert log.arrival_s.tolist() == [0, 3, 6, 9]
    assert log.reusable_tokens.tolist() == [0, 1024, 0, 1100]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("9,,44", "input_tokens is empty: a trace with holes counts too few requests"),
        ("9,5, ", "output_tokens is empty"),
        (",5,5", "seconds is empty"),
        ("9,five,44", "input_tokens must be a whole number from 1 to"),
        ("9,-5,44", "input_tokens must be a whole number from 1 to 100,000,000, got '-5'"),
        ("9,5,0", "output_tokens must be a whole number"),
        ("9,5.5,4", "input_tokens must be a whole number"),
        ("9,nan,4", "input_tokens must be a whole number"),
        ("nan,5,4", "seconds must be a number >= 0"),
        ("inf,5,4", "seconds must be a number >= 0"),
        ("-1,5,4", "seconds must be a number >= 0"),
        ("1,5,4", "is 3.31 s earlier than the request before it: times must not go back"),
        ("9,5", "has 2 cells; the header has 3"),
        ("9,5,4,3", "has 4 cells; the header has 3"),
        ('9,"5,4', "is not CSV"),
    ],
)
def test_a_line_that_is_wrong_is_said_with_its_number(tmp_path, line, said):
    (problem,) = said_of(tmp_path, f"{OWN}{line}\n")
    assert said in problem.message
    assert problem.line == 5


def test_all_lines_that_are_wrong_are_said_up_to_a_number(tmp_path):
    problems = said_of(tmp_path, OWN + "9,,1\n" * 50)
    assert [one.line for one in problems[:20]] == list(range(5, 25))
    assert problems[20].message == "and 30 more lines that are wrong"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must begin with the line seconds,input_tokens,output_tokens"),
        ("second,input_tokens,output_tokens\n0,1,1\n", "Did you mean 'seconds'?"),
        ("seconds,input_tokens\n0,1\n", "must begin with the line"),
        ("seconds,seconds,input_tokens,output_tokens\n0,0,1,1\n", "must begin with the line"),
        ("seconds,input_tokens,output_tokens\n", "needs two requests or more"),
        ("seconds,input_tokens,output_tokens\n1,5,5\n1,5,5\n", "at different times"),
        ("seconds,input_tokens,output_tokens,reusable_prefix_tokens\n0,5,1,6\n", "at most"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nnoon,5,5\n", "must be a time such as 2023"),
        ("a\0b", "is binary"),
    ],
)
def test_a_file_that_is_none_is_said(tmp_path, text, said):
    assert said in said_of(tmp_path, text)[0].message


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", "is not a JSON object"),
        ("{", "is not a JSON object"),
        ('{"timestamp": 0, "input_length": 5}', "output_length is missing"),
        (
            '{"timestamp": true, "input_length": 5, "output_length": 5}',
            "timestamp must be a number",
        ),
        ('{"timestamp": 0, "input_length": -5, "output_length": 5}', "input_length must be"),
        ('{"timestamp": 0, "input_length": 5, "output_length": 5, "hash_ids": 3}', "a list"),
    ],
)
def test_a_line_of_json_that_is_wrong_is_said(tmp_path, line, said):
    problems = said_of(tmp_path, f"{line}\n", "t.jsonl")
    assert said in problems[0].message
    assert problems[0].line == 1


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.integers(1, 10**6), st.integers(1, 10**6)),
        min_size=2,
        max_size=20,
    ).filter(lambda rows: len({row[0] for row in rows}) > 1),
    st.booleans(),
)
def test_what_is_saved_is_read_again(tmp_path_factory, rows, says_reusable):
    tmp_path = tmp_path_factory.mktemp("trace")
    rows = sorted(rows)
    columns = "seconds,input_tokens,output_tokens"
    columns += ",reusable_prefix_tokens" if says_reusable else ""
    text = "".join(f"{t!r},{i},{o}{f',{i // 2}' if says_reusable else ''}\n" for t, i, o in rows)
    log = read(tmp_path, f"{columns}\n{text}")
    out = io.StringIO()
    save_requests(log, out)
    again = read(tmp_path, out.getvalue())
    for name in ("arrival_s", "input_tokens", "output_tokens"):
        assert np.array_equal(getattr(log, name), getattr(again, name))
    if says_reusable:
        assert np.array_equal(log.reusable_tokens, again.reusable_tokens)
