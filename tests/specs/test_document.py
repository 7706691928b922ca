"""YAML in: what is plain is read with its place, what could hide or run anything is refused."""

import copy
import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.documents.document import (
    MAX_BYTES,
    dotted,
    load_document,
    nearest,
    parse_document,
)
from computeplan.specs.documents.paths import split_path
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Count, Frozen, PositiveDuration
from computeplan.specs.model import ScenarioFields
from computeplan.specs.scenario import load


def refused(text):
    with pytest.raises(ScenarioError) as caught:
        parse_document(text, "s.yaml")
    problems = caught.value.problems
    assert all(problem.file == "s.yaml" for problem in problems)
    return [(problem.line, problem.column, problem.path, problem.message) for problem in problems]


def test_every_key_and_value_has_its_place():
    document = parse_document("a: 1\nb:\n  c: {d: x, e: [1, 2]}\n", "s.yaml")
    assert document.data == {"a": 1, "b": {"c": {"d": "x", "e": [1, 2]}}}
    places = {path: (mark.line, mark.column) for path, mark in document.values.items()}
    assert places == {
        (): (1, 1),
        ("a",): (1, 4),
        ("b",): (3, 3),
        ("b", "c"): (3, 6),
        ("b", "c", "d"): (3, 10),
        ("b", "c", "e"): (3, 16),
        ("b", "c", "e", 0): (3, 17),
        ("b", "c", "e", 1): (3, 20),
    }
    keys = {path: (mark.line, mark.column) for path, mark in document.keys.items()}
    assert keys == {
        ("a",): (1, 1),
        ("b",): (2, 1),
        ("b", "c"): (3, 3),
        ("b", "c", "d"): (3, 7),
        ("b", "c", "e"): (3, 13),
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3.8e25", 3.8e25),
        ("1e2", 100.0),
        ("0o20", 16),
        ("0x10", 16),
        ("NO", "NO"),  # a country, in YAML 1.2
        ("no", "no"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("null", None),
        ("", None),
        ("'5'", "5"),
        ('"a\\tb\\nc"', "a\tb\nc"),
        ("一云多芯", "一云多芯"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = parse_document(f"a: {text}\n", "s.yaml").data["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 0, 0, "is empty; start with: computeplan init NAME"),
        ("# a comment\n", 0, 0, "is empty; start with: computeplan init NAME"),
        ("- a\n- b\n", 1, 1, "must be a mapping of keys to values, not a list"),
        ("just words\n", 1, 1, "must be a mapping of keys to values, not a single value"),
        ("a: 1\nb:\n\tc: 1\n", 3, 1, "a tab cannot start a token in YAML; indent with spaces"),
        ("a: 1\n\tb: 1\n", 2, 1, "a tab cannot start a token in YAML; indent with spaces"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "the key stands twice; remove one"),
        ("a: {b: 1, b: 2}\n", 1, 11, "the key stands twice; remove one"),
        ("a: !!python/object/apply:os.system [x]", 1, 4, "the tag 'tag:yaml.org,2002:python/obj"),
        ("a: !!python/name:os.system", 1, 4, "the tag 'tag:yaml.org,2002:python/name:os.system'"),
        ("!!python/object:x.Y {a: 1}", 1, 1, "the tag 'tag:yaml.org,2002:python/object:x.Y' is"),
        ("a: !mine 1", 1, 4, "the tag '!mine' is not allowed"),
        ("a: !!binary aGk=", 1, 4, "the tag 'tag:yaml.org,2002:binary' is not allowed"),
        ("a: !!set {b}", 1, 4, "the tag 'tag:yaml.org,2002:set' is not allowed"),
        ("b: 1\na\0b: 1\n", 2, 2, "the character U+0000 is not allowed in YAML"),
        ("a: \x07\n", 1, 4, "the character U+0007 is not allowed in YAML"),
        ('a: "\\0"\n', 1, 4, "the text holds a control character"),
        ('a: "\\e[31m"\n', 1, 4, "the text holds a control character"),
        ('a: "\\x9b31m"\n', 1, 4, "the text holds a control character"),
        ('a: "\\ud800"\n', 1, 4, "the text holds a control character"),
        ('"\\e": 1\n', 1, 1, "a key holds a control character"),
        ("a: " + "1" * 400, 1, 4, "the number is too large; write it like 3.8e25"),
        ("a: 0x" + "f" * 5000, 1, 4, "the number is too large; write it like 3.8e25"),
        ("a: " + "1" * 5000, 1, 4, "the number cannot be read"),
        ("? [a, b]\n: 1\n", 1, 3, "a key must be a plain name (for reuse: extends)"),
        ("<<: {a: 1}\n", 1, 1, "a key must be a plain name (for reuse: extends)"),
        ("a: 1\n---\nb: 1\n", 2, 1, "a second document begins here; a file holds one"),
        ("a: *b\n", 1, 4, "found undefined alias 'b'"),
        ("a: {b: 1\n", 2, 1, "expected ',' or '}'"),
        ("a: b: c\n", 1, 5, "mapping values are not allowed here"),
    ],
)
def test_what_is_not_a_plain_mapping_is_refused_at_its_place(text, line, column, message):
    ((found_line, found_column, _, found),) = refused(text)
    assert (found_line, found_column) == (line, column)
    assert found.startswith(message)


def test_all_that_is_wrong_with_the_text_is_reported_at_once():
    text = "a: 1\na: 2\nb: {c: !x 1, c: 2}\n? [k]\n: 1\n"
    assert [(line, column, path) for line, column, path, _ in refused(text)] == [
        (2, 1, "a"),
        (3, 8, "b.c"),
        (3, 14, "b.c"),
        (4, 3, ""),
    ]


def alias_bomb(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "a: " + "[" * 5000 + "]" * 5000,
        "a: " + "{a: " * 5000 + "}" * 5000,
        "\n".join(" " * i + "a:" for i in range(200)),
        "a: &a [*a]",
    ],
    ids=["open", "lists", "mappings", "indents", "itself"],
)
def test_depth_is_limited(text):
    ((_, _, _, message),) = refused(text)
    assert message == "is nested deeper than 40 levels"


def test_forty_levels_are_allowed():
    assert parse_document("a: " + "[" * 39 + "]" * 39, "s.yaml").data
    assert refused("b: 1\na: " + "[" * 41 + "]" * 41)[0][:2] == (2, 4)


def test_an_alias_bomb_is_counted_not_blown():
    ((_, _, _, message),) = refused(alias_bomb(10))
    assert message == "holds more than 100000 values (aliases count)"
    assert parse_document(alias_bomb(4), "s.yaml").data["a3"]  # 11 111 values are no bomb


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert load_document(file).data == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("raw", "line", "column", "byte"),
    [
        (b"a: caf\xe9\n", 1, 7, "0xe9"),
        (b"a: 1\nb: \xff\xfe\n", 2, 4, "0xff"),
        ("a: 1\n".encode("utf-16"), 1, 1, "0xff"),
    ],
)
def test_bytes_that_are_not_utf_8_are_named(tmp_path, raw, line, column, byte):
    file = tmp_path / "s.yaml"
    file.write_bytes(raw)
    with pytest.raises(ScenarioError) as caught:
        load_document(file, "s.yaml")
    message = f"byte {byte} is not UTF-8; save the file as UTF-8"
    assert caught.value.problems == (Problem(message, "", "s.yaml", line, column),)


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(ScenarioError, match=r"no\.yaml: 1 problem\n  cannot be read: No such file"):
        load_document(tmp_path / "no.yaml", "no.yaml")
    with pytest.raises(ScenarioError, match="is not a file"):
        load_document(tmp_path)
    with pytest.raises(ScenarioError, match="cannot be read: embedded null byte"):
        load_document(tmp_path / "a\0b")
    with pytest.raises(ScenarioError, match="cannot be read: File name too long"):
        load_document(tmp_path / ("a" * 300))


def test_a_large_file_is_not_read(tmp_path):
    file = tmp_path / "s.yaml"
    with file.open("wb") as opened:
        opened.truncate(MAX_BYTES + 1)
    with pytest.raises(ScenarioError, match="is larger than 4 MB"):
        load_document(file)


@given(
    st.text(max_size=40)
    | st.text(alphabet="ab:{}[],&*!|>- \n\t'\"#%@`?~0.1e\\\x00\u0085", max_size=40)
)
def test_any_text_is_a_mapping_or_a_scenario_error(text):
    try:
        assert isinstance(parse_document(text, "s.yaml").data, dict)
    except ScenarioError as error:
        said = str(error)
        assert said.startswith("s.yaml: ")


class Inner(Frozen):
    chips: Count
    over: PositiveDuration | None = None


class Outer(Frozen):
    inner: Inner
    many: dict[str, Inner] = Field(default_factory=dict)


def test_every_complaint_of_the_schema_has_place_path_and_words():
    text = (
        "inner: {chips: -1, ovr: 3 h}\n"
        "many:\n"
        "  a: {over: 3 h}\n"
        "  b: {chips: 8, over: 5}\n"
        "  c: {chips: 1.5}\n"
        "  d: [x]\n"
    )
    with pytest.raises(ScenarioError) as caught:
        validate(Outer, parse_document(text, "s.yaml"))
    assert str(caught.value).split("\n") == [
        "s.yaml: 6 problems",
        "  1:16  inner.chips: should be greater than 0, got -1",
        "  1:20  inner.ovr: unknown key 'ovr'. Did you mean 'over'?  Allowed: chips, over",
        "  3:3  many.a: 'chips' is missing",
        "  4:23  many.b.over: needs a unit: write it like '5 min' (a time), not 5",
        (
            "  5:14  many.c.chips: should be a valid integer, got a number with a fractional part,"
            " got 1.5"
        ),
        "  6:6  many.d: should be a mapping of keys to values, got ['x']",
    ]


def test_what_is_validated_is_frozen():
    found = validate(Outer, parse_document("inner: {chips: 8}", "s.yaml"))
    with pytest.raises(ValueError, match="frozen"):
        found.inner.chips = 9


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4))
def test_a_dotted_path_splits_into_what_it_was(parts):
    assert split_path(dotted(tuple(parts))) == tuple(parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("a",)),
        ("jobs.pretrain.checkpoint.every", ("jobs", "pretrain", "checkpoint", "every")),
        ('chips."my/chip-1.5".power', ("chips", "my/chip-1.5", "power")),
        ("chips.'my/chip-1.5'.power", ("chips", "my/chip-1.5", "power")),
        ("faults.gpu lost.restart", ("faults", "gpu lost", "restart")),
        ("jobs.一.chips", ("jobs", "一", "chips")),
    ],
)
def test_a_path_is_split_at_its_dots(text, parts):
    assert split_path(text) == parts


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", ".a", "a.", 'a."b', "a.'b", " a", 'a"b".c', '""']
)
def test_what_is_no_path_is_refused_and_shown_one(text):
    with pytest.raises(ScenarioError, match=r"is not a path; one looks like jobs\.pretrain"):
        split_path(text)


def test_the_nearest_name_is_suggested_or_none():
    assert nearest("tokns", ["tokens", "model"]) == " Did you mean 'tokens'?"
    assert nearest("xyzzy", ["tokens", "model"]) == ""


def models_in(model):
    """Return a model and all models below it."""
    found, todo = {}, [model]
    while todo:
        inner = todo.pop()
        if inner in found:
            continue
        if isinstance(inner, type) and issubclass(inner, Frozen):
            found[inner] = None
            todo += [field.annotation for field in inner.model_fields.values()]
        todo += get_args(inner)
    return [*found]


MODELS = [*models_in(ScenarioFields), *models_in(Chip), *models_in(Transformer)]


@pytest.mark.parametrize("model", dict.fromkeys(MODELS), ids=lambda model: model.__name__)
def test_no_key_that_exists_is_answered_as_one_that_does_not(model):
    assert not model.tried.keys() & model.model_fields.keys()
    assert all(key == key.casefold() and "-" not in key for key in model.tried)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("jobs.j.requests", "requests come to a service: services.NAME.requests"),
        ("jobs.j.ttft", "requests come to a service"),
        ("jobs.j.latency", "requests come to a service"),
        ("jobs.j.pools", "the policy chooses the pool; only: [POOL]"),
        ("jobs.j.regions", "the policy chooses the pool; only: [POOL]"),
        ("jobs.j.gpus", "write chips: 1024"),
        ("jobs.j.Num-GPUs", "write chips: 1024"),
        ("jobs.j.mtbf", "faults are of pools"),
        ("jobs.j.batch_size", "write batch: 4 Mitoken"),
        ("jobs.j.tp", "stands in parallelism"),
        ("jobs.j.parallelism.tensor_parallel", "write tp: 8"),
        ("jobs.j.checkpoint.interval", "write every: 30 min"),
        ("regions", "write sites: {NAME: {pue"),
        ("requests", "write services: {NAME: {model: MODEL, requests: {per_s: 20"),
        ("gpus", "chips stand in pools of a site"),
        ("mtbf", "write faults: {NAME: {mtbf"),
        ("cny_per_usd", "write exchange: {rate: 0.14 USD/CNY, on: 2026-11-01}"),
        ("sites.s.region", "write place: guizhou, or give the site that name"),
        ("sites.s.gpus", "chips stand in pools"),
        ("sites.s.pools.p.nodes", "a pool counts chips"),
        ("sites.s.pools.p.gpu", "write chip: nvidia/h100-sxm"),
        ("sites.s.pools.p.num_gpus", "write chips: 1024"),
        ("sites.s.pools.p.region", "belongs to the site"),
        ("sites.s.pools.p.mtbf", "faults stand at the top"),
        ("sites.s.pools.p.price", "write rent: 2.5 USD/chip/h"),
        ("faults.f.mttr", "write repair: 20 h"),
        ("simulate.n_runs", "write runs: 200"),
    ],
)
def test_a_key_that_people_try_says_what_there_is_instead(path, answer):
    """In the file and as a change of it: the same answer, without the list of all keys."""
    *above, key = path.split(".")
    data = {
        "computeplan": 1,
        "name": "n",
        "sites": {"s": {"pue": 1, "pools": {"p": {"chip": "nvidia/h100-sxm", "chips": 16}}}},
        "faults": {"f": {"mtbf": "50 kh", "per": "chip", "takes": "nothing", "restart": "1 min"}},
        "jobs": {
            "j": {
                "train_for": "1 d",
                "chips": 16,
                "parallelism": {"dp": 16},
                "checkpoint": {"every": "1 h", "stall": "5 s"},
            }
        },
        "simulate": {"runs": 1},
    }
    scenario = load(copy.deepcopy(data))
    inner = data
    for part in above:
        inner = inner[part]
    inner[key] = 1
    for change in (lambda: load(data), lambda: scenario.with_({path: 1})):
        with pytest.raises(ScenarioError, match=re.escape(f"'{key}'")) as caught:
            change()
        (problem,) = caught.value.problems
        assert answer in problem.message
        assert "Allowed" not in problem.message


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb：2\n", 2, 2, "'：' is full-width; write 'b: 2'"),
        ("a:\n  b：1.2\n  c: 3\n", 2, 4, "'：' is full-width; write 'b: 1.2'"),
        ("a: ｛b: 1｝\n", 1, 4, "'｛' is full-width; write 'a: {b: 1}'"),
        ("a: “x: y”\n", 1, 4, "'“' is full-width; write 'a: \"x: y\"'"),
    ],
)
def test_full_width_marks_of_yaml_are_named(text, line, column, message):
    assert [found[:2] + found[3:] for found in refused(text)] == [(line, column, message)]


class Narrow(Frozen):
    pue: Count = 1


class Wide(Frozen):
    count: Count = 1
    time: PositiveDuration | None = None
    inner: Narrow | None = None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count: １６\n", "must be a number, got '１６'; full-width characters: write 16"),
        ("count: “16”\n", "got '“16”'; full-width characters: write \"16\""),
        ("time: １２ h\n", "'１２ h' is not a number with a unit; write '12 h'"),
        ("time: “12 h”\n", "'“12 h”' is not a number with a unit; write '12 h'"),
        ("time: 1h30m\n", "'1h30m' is not a number with a unit; write '90 min'"),
        ("{count：16: 1}\n", "inner; full-width characters: write count: 16"),
        ("inner:\n  pue：1\n", "got 'pue：1'; full-width characters: write pue: 1"),
    ],
)
def test_full_width_values_are_answered_with_what_to_write(text, message):
    with pytest.raises(ScenarioError) as caught:
        validate(Wide, parse_document(text, "s.yaml"))
    assert message in caught.value.problems[0].message
