"""Every published row of serving beside what is said of it: lines, names, what is skipped."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache

import pytest

from computeplan.report.serving_validation import serving_limits_table, serving_rows_table
from computeplan.specs.catalogue.serving import serving_tables
from computeplan.validation.serving import (
    SLO,
    gates,
    left_out_scores,
    predict_row,
    predict_serving,
    scores,
    to_json,
)
from computeplan.validation.serving_cases import published_serving
from computeplan.validation.serving_fit import out_of_sample, priced_rows
from computeplan.validation.serving_slo import load_of, measured_rate, slo_rate

UNDER_LIMITS = ("server", "interactive")


@cache
def predictions():
    """Return all rows but those under limits, which are simulated."""
    return tuple(predict_serving(c for c in published_serving() if not _is_under_limits(c)))


def under_limits():
    """Return every third of the rows under limits.

    All of them are judged by ``computeplan validate serving``; docs/validation.md has its answer.
    """
    return tuple(predict_serving([c for c in published_serving() if _is_under_limits(c)][::3]))


def _is_under_limits(case):
    return case.row.kind in UNDER_LIMITS


@cache
def outside():
    return left_out_scores(out_of_sample(priced_rows(), serving_tables().hosts))


def _case(kind, **found):
    return next(
        case
        for case in published_serving()
        if case.row.kind == kind
        and not case.skipped
        and all(getattr(case.row, key) == value for key, value in found.items())
    )


# Lines -------------------------------------------------------------------------------------------


def test_all_lines_are_kept():
    said = (*predictions(), *under_limits())
    lines = gates(said, outside())
    assert len(lines) == 20
    assert [line.name for line in lines if not line.is_kept] == []
    dense = [p for p in said if p.quantity == SLO and p.is_gated and not p.case.has_experts]
    shown = serving_limits_table(said).rows
    assert sum(row[-1] == "yes" for row in shown) == len(dense) >= 12
    assert all(p.known in ("chip", "precision") for p in dense)
    plugs = {p.family for p in said if p.quantity in ("system_w", "system_j")}
    assert plugs == {f"{q}: nvidia/{c}" for q in ("system_w", "system_j") for c in ("b200", "h200")}
    found = scores(said)  # plugs are apart
    assert found["all chips_w: dense"].n + found["all chips_w: experts"].n == 109


def test_rows_under_limits_are_as_many_as_are_published():
    gated = [c for c in published_serving() if _is_under_limits(c) and c.row.gate]
    assert (len([c for c in gated if not c.has_experts]), len(gated)) == (41, 47)


# Rows --------------------------------------------------------------------------------------------


def test_every_row_is_there_and_says_why_where_nothing_is_said():
    ids = [p.case.id for p in predictions()]
    assert set(ids) == {c.id for c in published_serving() if not _is_under_limits(c)}
    assert len(published_serving()) == 815
    for p in predictions():
        assert bool(p.skipped) == math.isnan(p.predicted)
    assert len([c for c in published_serving() if "arc-pro-b60" in c.skipped]) == 4
    assert len({p.case.id for p in predictions() if p.skipped}) == 13


def test_names_change_nothing():
    """A renamed copy gets the same answer, in any company."""
    cases = [c for c in published_serving() if not _is_under_limits(c)]
    limited = [_case("server", n_chips=1)]
    said = {(p.case.id, p.quantity): p for p in (*predictions(), *predict_serving(limited))}
    cases += limited
    for place, case in enumerate(cases):
        row = case.row.model_copy(update={"id": f"row {place}", "note": "", "source": "", "at": ""})
        for p in predict_row(replace(case, row=row)):
            known = said[case.id, p.quantity]
            assert (p.predicted, p.low, p.high, p.family) == pytest.approx(
                (known.predicted, known.low, known.high, known.family), nan_ok=True
            )


def test_bands_hold_what_is_said():
    for p in predictions():
        if not p.skipped:
            assert 0 < p.low < p.predicted < p.high


def test_a_first_token_is_a_prompt_taken_in():
    """By hand: the parameters that a token meets, at the whole peak, and somewhat longer."""
    case = _case("first_token", input_len=2048.0, model="eleutherai/gpt-j-6b")
    (said,) = predict_row(case)
    flop = 2 * 5.8e9 * 2048  # parameters that a token meets, without the embedding
    at_peak_ms = 1e3 * flop / case.chip.peak_flop_per_s("fp16")
    assert 1.0 < said.predicted / at_peak_ms < 2.0


# Rates under limits ------------------------------------------------------------------------------


def test_the_rate_of_a_row_is_tokens_over_those_of_an_answer():
    case = _case("server", chip="nvidia/h100-sxm", n_chips=1)
    assert measured_rate(case) == pytest.approx(5104.0 / 128, rel=1e-3)


def test_answers_of_a_whole_number_are_all_alike():
    whole, mean = _case("server", output_len=128.0), _case("server", model="meta/llama-2-70b")
    assert load_of(whole).output_tokens.cv == 0
    assert load_of(mean).output_tokens.cv == load_of(mean).input_tokens.cv > 0.7


def test_the_rate_that_is_said_holds_the_limits():
    case = _case("interactive", n_chips=4)
    found = slo_rate(case)
    first = len(found.found.served) // 10
    served, slo = found.found.served, case.row.slo
    late = served.ttft_s[first:] > slo.ttft_p99_ms / 1e3
    slow = served.tpot_s[first:] > slo.tpot_p99_ms / 1e3
    assert late.mean() <= 0.01
    assert slow.mean() <= 0.01
    n_ranks = float(found.served.instance.split.n_ranks)
    assert found.n_instances * n_ranks == 4
    assert found.per_s == found.n_instances * found.found.per_s


def test_longer_limits_never_lower_the_rate():
    case = _case("interactive", n_chips=4)
    slack = case.row.slo.model_copy(update={"tpot_p99_ms": 80.0})
    easier = replace(case, row=case.row.model_copy(update={"slo": slack}))
    assert slo_rate(easier).per_s >= 0.98 * slo_rate(case).per_s


def test_limits_that_nothing_holds_are_said():
    case = _case("interactive", n_chips=4)
    tight = case.row.slo.model_copy(update={"tpot_p99_ms": 0.1})
    (said,) = predict_row(replace(case, row=case.row.model_copy(update={"slo": tight})))
    assert "no layout" in said.skipped
    with pytest.raises(ValueError, match="no limits of latency"):
        slo_rate(_case("offline"))


# The command -------------------------------------------------------------------------------------


def test_json_of_rows_of_ones_own(call, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "cases:\n"
        "- {id: a, kind: closed, chip: H100, n_chips: 8, engine: vLLM, model: llama-3.1-70b,"
        " precision: fp8, input_len: 1000, output_len: 500, concurrency: 32,"
        " measured: {output_tok_per_s: 1200, tpot_ms: 25, ttft_ms: 200}}\n"
        "- {id: b, kind: closed, chip: intel/arc-pro-b60-dual, n_chips: 1, engine: vLLM,"
        " model: llama-3.1-8b, precision: fp8, tp: 1, input_len: 100, output_len: 50,"
        " concurrency: 2, measured: {output_tok_per_s: 100}}\n"
    )
    document = json.loads(call("validate", "serving", "--cases", str(file), "--json"))
    assert document["suite"] == "serving"
    keys = {"id", "chip", "family", "quantity", "measured", "predicted"}
    keys |= {"low", "high", "error", "skipped"}
    assert all(set(row) == keys for row in document["rows"])
    tokens, tpot, ttft, none = document["rows"]
    assert (tokens["chip"], tokens["quantity"]) == ("nvidia/h100-sxm", "output_tok_per_s")
    assert tokens["error"] == pytest.approx(tokens["predicted"] / 1200 - 1)
    assert (tpot["measured"], ttft["measured"]) == (25, 200)
    assert ttft["predicted"] > 80  # seen outside that much later
    assert none["predicted"] is None
    assert "no chip 'intel/arc-pro-b60-dual'" in none["skipped"]
    text = call("validate", "serving", "--cases", str(file), "--markdown")
    assert "| a | output_tok_per_s |" in text


def test_json_has_no_numbers_that_are_none():
    json.loads(to_json(predictions(), outside(), gates(predictions(), outside())))
    assert serving_rows_table(predictions()).rows
