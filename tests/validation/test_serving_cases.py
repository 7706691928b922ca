"""Published serving rows: all are read, all but those of one chip resolve, bad files say where."""

from collections import Counter

import pytest

from computeplan.errors import ScenarioError
from computeplan.validation.serving_cases import (
    KINDS,
    NUMBERS,
    published_serving,
    read_serving,
)

ROW = """\
cases:
- id: mine
  kind: closed
  chip: H100
  n_chips: 8
  engine: vLLM
  model: llama-3.3-70b
  precision: fp8
  tp: 8
  input_len: 1000
  output_len: 200
  concurrency: 64
  measured: {output_tok_per_s: 2500}
"""


def read(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return read_serving(path, "mine.yaml")


def problems_of(tmp_path, text):
    with pytest.raises(ScenarioError) as error:
        read(tmp_path, text)
    return str(error.value)


def test_every_row_of_a_chip_that_the_catalogue_has_resolves():
    cases = published_serving()
    skipped = [case for case in cases if case.skipped]
    assert {case.row.chip for case in skipped} == {"intel/arc-pro-b60-dual"}
    assert len(skipped) == 4
    assert all("no chip 'intel/arc-pro-b60-dual'" in case.skipped for case in skipped)
    for case in cases:
        assert case.precision in NUMBERS.values()
        assert case.kv in NUMBERS.values()
        if not case.skipped:
            assert case.chip is not None
            assert case.model is not None


def test_counts_are_those_of_the_published_file():
    cases = published_serving()
    gated = [case for case in cases if case.is_gated]
    assert (len(cases), len(gated)) == (815, 652)
    joules = [case for case in cases if "joule_per_output_token" in case.measured]
    assert (len(joules), sum(case.is_gated for case in joules)) == (137, 115)
    assert sum(case.is_gated and "chips_w" in case.measured for case in cases) == 109
    assert len({case.row.model for case in cases}) == 22
    assert len({case.row.chip for case in cases}) == 12
    slo = [c for c in gated if c.row.kind in ("server", "interactive") and not c.has_experts]
    assert len(slo) == 41
    tpot = [c for c in gated if c.row.source == "aic-silicon" and not c.has_experts]
    assert sum("tpot_ms" in case.measured for case in tpot) == 77
    gpt_j = Counter(case.is_gated for case in cases if case.row.model == "eleutherai/gpt-j-6b")
    assert gpt_j[True] == 26


def test_what_is_derived_is_arithmetic_on_what_was_measured():
    checked = 0
    for case in published_serving():
        if case.row.derived is None or case.row.kind != "closed":
            continue
        measured = case.row.measured
        answer_s = (measured.ttft_ms + measured.tpot_ms * (case.row.output_len - 1)) / 1e3
        expected = case.row.concurrency * case.row.output_len / answer_s
        assert case.measured["output_tok_per_s"] == pytest.approx(expected, rel=2e-3)
        checked += 1
    assert checked > 200


def test_a_file_of_ones_own_is_read_by_any_name_of_chip_and_model(tmp_path):
    (case,) = read(tmp_path, ROW)
    assert case.chip.name == "nvidia/h100-sxm"
    assert case.model.name == "meta/llama-3.1-70b"
    assert (case.precision, case.kv, case.kv_is_assumed) == ("fp8", "bf16", True)
    assert case.concurrency == 64
    assert case.is_gated
    assert dict(case.measured) == {"output_tok_per_s": 2500}


def test_all_queued_at_once_is_endless_concurrency(tmp_path):
    (case,) = read(tmp_path, ROW.replace("concurrency: 64", "concurrency: saturated"))
    assert case.concurrency == float("inf")


def test_what_the_catalogue_lacks_is_skipped_with_the_reason(tmp_path):
    text = ROW.replace("H100", "h100-smx").replace("llama-3.3-70b", "my-own-3b")
    (case,) = read(tmp_path, text)
    assert "no chip 'h100-smx'. Did you mean 'nvidia/h100-sxm'?" in case.skipped
    assert "no model 'my-own-3b'" in case.skipped
    assert not case.is_gated


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: closed", "kind: open", f"kind must be one of {', '.join(KINDS)}; not 'open'"),
        ("  concurrency: 64\n", "", "a row of kind closed needs concurrency"),
        ("precision: fp8", "precision: fp6", "precision must be one of fp16, bf16, fp8"),
        ("output_tok_per_s: 2500", "", "nothing was measured"),
        ("output_tok_per_s: 2500", "tps: 2500", "write output_tok_per_s: 4534"),
        ("output_tok_per_s: 2500", "output_tok_per_s: -1", "should be greater than or equal"),
        ("output_tok_per_s: 2500", "output_tok_per_s: .nan", "finite"),
        ("input_len: 1000", "input_len: 0", "should be greater than or equal to 1, got 0"),
        ("n_chips: 8", "gpus: 8", "unknown key 'gpus'"),
        ("tp: 8", "tp: 0", "should be greater than 0, got 0"),
    ],
)
def test_a_bad_row_says_where_and_what(tmp_path, old, new, said):
    text = problems_of(tmp_path, ROW.replace(old, new))
    assert "mine.yaml: 1 problem" in text
    assert "cases.0" in text or "cases[0]" in text
    assert said in text


def test_a_row_that_stands_twice_and_a_source_that_does_not_stand(tmp_path):
    row = ROW.partition("cases:\n")[2]
    text = f"sources: {{book: {{title: A book}}}}\n{ROW}  source: note\n{row}  source: book\n"
    said = problems_of(tmp_path, text)
    assert "no source 'note' under sources" in said
    assert "'mine' is also the id of row 1" in said
    assert "2 problems" in said


@pytest.mark.parametrize("text", ["cases: {}\n", "cases: []\n", "rows: [1]\n"])
def test_a_file_without_rows_says_what_it_needs(tmp_path, text):
    assert "needs a list of rows under 'cases'" in problems_of(tmp_path, text)
