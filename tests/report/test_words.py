"""Notes are codes with values; what they say stands in the words of each language."""

import ast
import json

import pytest
from places import REPO

import computeplan as cp
from computeplan.notes import Note, note, quoted
from computeplan.report.words import phrases_chinese, phrases_english, sentence, sentences
from computeplan.report.words.english import SENTENCES
from computeplan.specs.scenario import shipped_names
from computeplan.study.cases import compile_cases, notes_of
from computeplan.study.facts import facts_of

SRC = REPO / "src" / "computeplan"


def codes_made(source):
    """Return the codes of the notes that a module makes, and of calls whose code is not plain."""
    calls = [
        call.args[0]
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in {"note", "Note"}
    ]
    plain = {code.value for code in calls if isinstance(code, ast.Constant)}
    return plain, [ast.unparse(code) for code in calls if not isinstance(code, ast.Constant)]


def texts(source):
    """Return all texts of a module: what is counted by name may make a note of that name."""
    constants = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return {node.value for node in constants if isinstance(node.value, str)}


def test_every_code_has_words_and_all_words_a_maker():
    made = set()
    for path in SRC.rglob("*.py"):
        plain, computed = codes_made(path.read_text("utf-8"))
        if computed:
            plain |= texts(path.read_text("utf-8")) & set(SENTENCES)
        assert not (plain and "report" in path.parts[-3:-1]), f"{path} makes notes above the words"
        made |= plain
    assert made == set(SENTENCES)


def test_only_readers_make_notes_of_any_code():
    found = {
        str(path.relative_to(SRC)): computed
        for path in SRC.rglob("*.py")
        if (computed := codes_made(path.read_text("utf-8"))[1])
    }
    assert found == {
        "notes.py": ["code"],
        "study/store.py": ["data['code']"],
        "specs/scenario.py": ["said.code"],
    }


def test_a_note_of_a_later_version_is_its_code_and_values():
    later = Note("written_later", (("chip", "acme/x1"), ("n", 3)))
    assert sentence(later) == "written_later, chip: acme/x1, n: 3"
    assert sentences([later, later]) == [sentence(later)]


def test_a_code_without_words_is_seen():
    assert codes_made("note('gone', chip=1)\nnote(code)") == ({"gone"}, ["code"])


@pytest.mark.parametrize("name", shipped_names())
def test_notes_are_strict_json_and_can_be_said(name):
    cases = compile_cases(cp.load(name))
    facts = [fact for case in cases[:3] for fact in facts_of(case.world).values()]
    for one in (*notes_of(cases), *facts):
        assert isinstance(one, Note)
        json.dumps(one.items, allow_nan=False)
        assert sentence(one)


def test_what_was_written_is_repeated_as_it_is_and_once():
    assert sentences(quoted(["{0} %s {chip}", "a", "a"])) == ["{0} %s {chip}", "a"]


def test_values_of_users_are_no_templates():
    assert sentence(note("no_tdp", chip="{meter}")).startswith("{meter}: no TDP")


# Phrases -----------------------------------------------------------------------------------------


def codes_said(source):
    """Return the codes of the phrases that a module says, and those that are computed."""
    calls = [
        call.args[0]
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "phrase"
    ]
    plain = {code.value for code in calls if isinstance(code, ast.Constant)}
    return plain, [ast.unparse(code) for code in calls if not isinstance(code, ast.Constant)]


def test_every_phrase_has_words_in_both_languages_and_a_speaker():
    said = set()
    for path in SRC.rglob("*.py"):
        if path.parent.name != "words":
            source = path.read_text("utf-8")
            plain, computed = codes_said(source)
            said |= plain | (texts(source) & set(phrases_english.PHRASES) if computed else set())
    assert said == set(phrases_english.PHRASES)
    assert list(phrases_english.PHRASES) == list(phrases_chinese.PHRASES)


def test_a_phrase_without_words_is_seen():
    assert codes_said("phrase('gone', language)\nphrase(code, 'en')") == ({"gone"}, ["code"])


# The language of the reader ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_TW", "LANG": "C"}, "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANG": "ZH"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_environment_says_the_language(call, monkeypatch, variables, said):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert call("check", "spares") == call("check", "spares", "--lang", said)
    assert ("检查通过" in call("check", "spares")) is (said == "zh")
