"""Notes are codes with values; what they say stands in the words of each language."""

import ast
import re
import string

import pytest
from places import REPO
from report import said
from ruamel.yaml import YAML

from computeplan.notes import Note, note, quoted
from computeplan.report.words import (
    chinese,
    data_chinese,
    english,
    phrases_chinese,
    phrases_english,
    sentence,
    sentences,
)
from computeplan.report.words.english import SENTENCES
from computeplan.specs.catalogue.lookup import chip_names
from computeplan.specs.catalogue.mfu import default_mfus, mfu_table
from computeplan.validation.energy_cases import read_energy

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


def test_a_phrase_without_words_is_seen():
    assert codes_said("phrase('gone', language)\nphrase(code, 'en')") == ({"gone"}, ["code"])


# Both languages say the same ---------------------------------------------------------------------

TERMS = """
    AIC CIE CO2e CP DP EP ETTR FLOP Garwood Clopper-Pearson Hessian Kaplan-Meier Akritas
    A100 H100 GB NVLink MFU MTBF MoE PP PUE TDP TP TFLOP Wald Weibull W ZeRO
    NVIDIA Ampere Hopper Ada Blackwell Megatron ModelLink
    GPT-3 Mixtral NODE_FAIL BOOT_FAIL FailedNode sacct torchtitan computeplan fault_factor faults
    Noto Sans CJK logits planned token s ms d h W kW MW J Wh kWh L USD CNY GiB p z M bf16 fp16 fp8
    summary.csv notes.md mix kg Mtoken Mitoken ktoken Kitoken
    A B IT only currency horizon simulate.at_most mixed.distance Gbit ms
    JobID JobName D event_type sacctmgr show runawayjobs
"""
A_WORD = re.compile(r"\b[A-Za-z](?:[\w.]*\w)?(?:-(?=[A-Z])\w+)*", re.ASCII)
NO_WORDS = re.compile(
    r"--[a-z]+|\b[\w.]+\.(?:md|csv|json|yaml)\b|\b\d[\d.,]*(?:e[+-]?\d+)?(?!\w)|\b[a-z-]+/[\w.-]+",
    re.ASCII,
)
"""What a person types, names of files, numbers, and names of the catalogue."""
HALF_WIDTH = re.compile(r"[\u3400-\u9fff][,:;()]|[,;()][\u3400-\u9fff]")


class Fields(dict):
    """Values for some texts: a number where it is written as one, else a name."""

    def __init__(self, *texts):
        super().__init__()
        for _, name, spec, _ in (part for text in texts for part in string.Formatter().parse(text)):
            if name is not None and not isinstance(self.get(name), float | int):
                self[name] = 3.0 if spec[-1:] in {"g", "f", "%"} else 3 if spec else "q1"


def named(value):
    """Yield the names among values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from named(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from named(one)


def foreign(text, values):
    """Return the words of a text that are neither names among the values, nor terms."""
    for name in sorted({*named(values)}, key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z]){re.escape(name)}(?![a-z])", " ", text) if name else text
    return set(A_WORD.findall(NO_WORDS.sub(" ", text))) - set(TERMS.split())


CATALOGUES = {
    "notes": (english.SENTENCES, chinese.SENTENCES, said.NOTES),
    "phrases": (phrases_english.PHRASES, phrases_chinese.PHRASES, said.PHRASES),
}
CODES = [(which, code) for which, catalogues in CATALOGUES.items() for code in catalogues[0]]


@pytest.mark.parametrize(("which", "code"), CODES)
def test_a_code_says_the_same_in_both_languages(which, code):
    in_english, in_chinese, samples = (of.get(code) for of in CATALOGUES[which])
    assert in_chinese is not None, f"{code} has no words in Chinese"
    texts = [words for words in (in_english, in_chinese) if isinstance(words, str)]
    if len(texts) == 2:
        assert set(Fields(texts[0])) == set(Fields(texts[1]))
    for values in samples or [Fields(*texts)]:
        for words in (in_english, in_chinese):
            shown = words.format(**values) if isinstance(words, str) else words(values)
            assert "None" not in shown
            assert not re.search(r"\bnan\b", shown)
        assert not foreign(shown, values)
        assert not HALF_WIDTH.search(shown), shown


@pytest.mark.parametrize("which", CATALOGUES)
def test_both_catalogues_have_the_same_codes_and_samples_are_of_functions(which):
    in_english, in_chinese, samples = CATALOGUES[which]
    assert set(in_english) == set(in_chinese)
    both = {code: (words, in_chinese[code]) for code, words in in_english.items()}
    functions = {code for code, two in both.items() if any(map(callable, two))}
    assert {*samples} == functions


def test_reasons_without_a_closed_form_have_words_in_both_languages():
    assert set(english._NO_CLOSED_FORM) == set(chinese._NO_CLOSED_FORM)
    assert set(english._BESIDE) == set(chinese._BESIDE)
    for text in (*chinese._NO_CLOSED_FORM.values(), *chinese._BESIDE.values()):
        assert not foreign(text, ("{about}",))


def test_english_in_a_chinese_text_is_seen():
    assert foreign("q1：its TDP 为估计值", ["q1"]) == {"its"}
    assert foreign("时间 3 d（MTBF）", []) == set()
    assert HALF_WIDTH.search("均值:3")


def test_texts_of_the_catalogue_are_said_in_chinese_and_no_others():
    read, found = YAML(typ="safe"), set()
    for aliases in (SRC / "data").rglob("aliases.yaml"):
        found |= set(read.load(aliases).get("ambiguous", {}).values())
    table = mfu_table()
    remarks = (entry.remark for entry in (*table.entries, *table.siblings.values()))
    found |= {remark for remark in remarks if remark}
    for mix in (SRC / "data" / "faults").glob("*.yaml"):
        found |= {
            kind["note"].strip() for kind in read.load(mix)["faults"].values() if "note" in kind
        }
    cases, gates = read_energy()
    found |= {text for gate in gates.values() for text in gate.set_by}
    found |= {text for case in cases for text in case.erratum.values()}
    assert found == set(data_chinese.TEXTS)
    for text, in_chinese in data_chinese.TEXTS.items():
        assert foreign(in_chinese, ()) <= set(A_WORD.findall(text)) - {"of", "the", "is", "and"}
    for chip in chip_names():
        for entry in default_mfus(chip):
            values = dict(entry.note.items)
            names = (values["software"], values["source_title"], entry.model, entry.chip)
            assert not foreign(sentence(entry.note, "zh"), names)


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
