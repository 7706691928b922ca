"""Often-quoted claims: ratios by hand, the rule of the verdict, what a file may not say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.report.claims import claims_table, figures_table
from computeplan.validation.claims import Claims, judge, published_claims, verdict_of

FILE = published_claims()
ROWS = {row.id: row for row in judge(FILE)}


@pytest.mark.parametrize(
    ("claim", "like", "low", "high", "verdict"),
    [
        ("h100-over-910b", 989.4 / 376, 989.4 / 414, 989.4 / 280, "overstated"),
        ("h100-memory-over-910b", 80 / 64, 80 / 64, 80 / 64, "holds"),
        ("h100-link-over-910b", 450 / 196, 450 / 200, 450 / 196, "holds"),
        ("h200-twice", 31302.7 / 24133.7, 2 * 3803 / 6378, 4800 / 3350, "overstated"),
        ("gaudi3-over-h100", 1243 / 794.5, 1289.5 / 1402.6, 1835 / 989.4, "contested"),
        ("lpu-over-h100", 300 * 0.02234, 300 / 576 / (21588.3 / 8), 300 * 0.02234, "overstated"),
        ("blackwell-energy", 1575 / 989.4, 1.745 * 700 / 794.5, 1.125 * 1875 / 989.4, "overstated"),
        ("gpt3-energy", 1287, 1287, 1287, "holds"),
        ("chatgpt-day", 60, 48, 200 * 3617 * 6500 * 24 / 195e6, "contested"),
        ("china-data-centres", 77, 77, 267, "contested"),
        ("china-data-centres-in-dams", 77 / 85, 77 / 85, 267 / 85, "contested"),
        ("llama3-faults", 419, 419, 419, "holds"),
    ],
)  # fmt: skip
def test_a_claim_by_hand(claim, like, low, high, verdict):
    row = ROWS[claim]
    assert (row.like_for_like, row.low, row.high) == pytest.approx((like, low, high), rel=1e-3)
    assert row.verdict == verdict
    assert row.source


def test_what_was_compared_stands_beside_and_in_no_range():
    sparse = next(f for f in ROWS["h100-over-910b"].figures if f.kind == "aside")
    assert sparse.value == pytest.approx(1978.9 / 376)
    assert ROWS["h100-over-910b"].high < sparse.value


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(1, 10))
def test_the_rule_is_of_the_claim_and_the_range(claimed, low, width):
    high = low * width
    said = verdict_of(claimed, low, high, slack=0.02, widest=1.5)
    assert (said == "overstated") == (claimed > high * 1.02)
    assert (said == "understated") == (claimed < low * 0.98)
    if low <= claimed <= high:
        assert said == ("contested" if high > low * 1.5 else "holds")


def test_json_has_the_shape_and_tables_both_languages(call):
    document = json.loads(call("validate", "claims", "--json"))
    assert document["suite"] == "claims"
    keys = {"id", "claim", "claimed", "like_for_like", "low", "high", "verdict", "source"}
    assert all(set(row) == keys for row in document["rows"])
    assert "偏高" in call("validate", "claims", "--lang", "zh")
    assert "overstated" in call("validate", "claims", "--lang", "en", "--markdown")
    for language in ("en", "zh"):
        assert len(claims_table([*ROWS.values()], FILE, language).rows) == len(ROWS)
        assert figures_table([*ROWS.values()], language).rows


def claim_of(**terms):
    """Return a file with one claim of one figure."""
    figure = {"name": "f", "name_zh": "f", "is": "like", "of": [terms]}
    claim = {"id": "c", "claim": "c", "claim_zh": "c", "claimed": 1, "figures": [figure]}
    source = {"title": "A", "url": None, "kind": "press"}
    return {"slack": 0.02, "widest": 1.5, "sources": {"a": source}, "claims": [claim]}


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"value": 1}, "a value has a source"),
        ({"value": 1, "source": "b"}, "no source 'b' under sources"),
        ({"value": 1, "source": "a", "chip": "H100", "figure": "x"}, "a term is one of"),
        ({}, "a term is one of"),
        ({"chip": "H100"}, "chip and figure go together"),
        ({"energy": "x"}, "energy and quantity go together"),
    ],
)
def test_what_a_term_may_not_say(terms, message):
    with pytest.raises(ValueError, match=message):
        Claims.model_validate(claim_of(**terms))


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"chip": "nvidia/h100-sxm", "figure": "peak_dense.fp4"}, "has no figure peak_dense.fp4"),
        ({"energy": "gpt3-patterson2021", "quantity": "gwh"}, "no gwh of gpt3-patterson2021"),
        ({"chip": "acme/none", "figure": "power.tdp"}, "acme/none"),
    ],
)
def test_a_figure_that_is_not_known_is_named(terms, message):
    with pytest.raises(ValueError, match=message):
        judge(Claims.model_validate(claim_of(**terms)))


def test_a_claim_has_one_figure_like_for_like():
    file = claim_of(value=1, source="a")
    file["claims"][0]["figures"] *= 2
    with pytest.raises(ValueError, match="one figure that is like for like"):
        Claims.model_validate(file)
