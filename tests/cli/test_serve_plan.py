"""``computeplan serve-plan``."""

import json
import math
import re

import pytest

LOAD = ("--requests", "200k/h", "--in", "500", "--out", "100", "--cv", "0.5")
LIMITS = ("--ttft", "1s", "--tpot", "25 ms")
PLAN = ("serve-plan", "--model", "llama-3.1-8b", *LOAD, *LIMITS)


def test_the_answer_comes_first_then_chips_reasons_and_three_notes(call):
    out = call(*PLAN, "--chip", "H100", "--chip", "910B2", "--layouts")
    assert "× nvidia/h100-sxm (" in out.splitlines()[0]
    words = ("instances of", "ascend-910b2: ", "Wh/request", "layouts hold the model", "\n- ")
    places = [out.index(word) for word in words]
    assert places == sorted(places)
    assert 2 <= out.count("\n- ") <= 3
    assert "0.7 of its benchmark" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_in_chinese_it_says_the_same(call):
    out = call(*PLAN, "--chip", "H100", "--lang", "zh")
    assert "个实例" in out
    assert "词元间隔 ms" in out
    assert "instances" not in out


def test_json_adds_up(call):
    found = json.loads(
        call(*PLAN, "--chip", "H100", "--rent", "H100=2 USD/chip/h", "--json", "--by", "energy")
    )
    (one,) = found["chips"]
    assert found["requests_per_s"] == pytest.approx(200e3 / 3600)
    assert found["by"] == "energy"
    assert one["chips"] == (one["instances"] + one["spares"]) * one["chips_per_instance"]
    peak = found["requests_per_s"] * found["peak_factor"]
    held = one["instances"] * one["instance_requests_per_s"] * found["derating"]
    assert held >= peak > held * (one["instances"] - 1) / one["instances"]
    assert one["cost_of_chips_per_day"] == pytest.approx(one["chips"] * 24 * 2.0)
    a_day = found["requests_per_s"] * 86_400 / 1e6
    for kind in ("cost_per_day", "carbon_kg_per_day"):
        stem = "cost" if kind == "cost_per_day" else "carbon_kg"
        whole = 500 * one[f"{stem}_per_million_input"] + 100 * one[f"{stem}_per_million_output"]
        assert whole * a_day == pytest.approx(one[kind])
    for meter in ("chip", "node", "it", "facility"):
        watts, wh = one["watts_per_chip"][meter], one["wh_per_request"][meter]
        assert wh == pytest.approx(watts * one["chips"] / found["requests_per_s"] / 3600)
    assert one["chips_low"] <= one["chips"] <= one["chips_high"]
    assert one["ttft_s"] <= found["slo"]["ttft_s"]
    assert one["tpot_s"] <= found["slo"]["tpot_s"]


def test_kinds_that_are_too_few_are_mixed_or_refused(call):
    some = call(
        *PLAN, "--requests", "2M/h", "--chip", "H100:4", "--chip", "H200:400", "--by", "chips"
    )
    assert "× nvidia/h200 (" in some
    few = " ".join(call(*PLAN, "--requests", "1M/h", "--chip", "H100:2", expect=3).split())
    assert "All chips there are hold" in few
    enough = re.search(r"nvidia/h100-sxm:(\d+): any of these holds", few)[1]
    call(*PLAN, "--requests", "1M/h", "--chip", f"H100:{enough}", expect=0)


def test_chips_that_hold_nothing_say_what_does(call):
    none = " ".join(call(*PLAN, "--requests", "1M/h", "--chip", "H100:1", expect=3).split())
    assert "no instance beside its spare: an instance takes 1 × nvidia/h100-sxm" in none
    large = ("--model", "llama-3.3-70b", "--precision", "bf16", "--tpot", "60 ms")
    less = " ".join(call(*PLAN, *large, "--chip", "H100:1", expect=3).split())
    assert re.search(r"hold no instance: an instance takes [248] × .*, and there are 1\.", less)
    enough = re.search(r"nvidia/h100-sxm:(\d+): any of these holds", less)[1]
    call(*PLAN, *large, "--chip", f"H100:{enough}", expect=0)
    chinese = call(*PLAN, *large, "--chip", "H100:1", "--lang", "zh", expect=3)
    assert "放不下一个实例" in chinese
    assert f"nvidia/h100-sxm:{enough}" in "".join(chinese.split())


def test_what_lacks_only_its_spare_says_so(call):
    little = (*PLAN, "--requests", "1/s")
    words = " ".join(call(*little, "--chip", "H100:1", expect=3).split())
    assert "the spare for an availability of 0.999; nvidia/h100-sxm:2 do" in words
    assert "H100:2" not in call(*little, "--chip", "H100:2", expect=0)
    assert "1 × nvidia" in call(*little, "--chip", "H100:1", "--availability", "0.99")


def test_what_is_not_known_of_a_chip_is_named(call):
    money = ("--rent", "H200=2 USD/chip/h", "--rent", "H100=20 CNY/chip/h")
    out = call(*PLAN, "--chip", "H100", "--chip", "H200", *money)
    assert "Cost is not known of nvidia/h100-sxm (currencies differ: --exchange)." in " ".join(
        out.split()
    )
    assert "compared by their number" in " ".join(out.split())
    found = json.loads(call(*PLAN, "--chip", "H100", "--chip", "H200", *money, "--json"))
    assert [one["lacks"] for one in found["chips"]] == [["exchange"], []]
    assert found["by"] == "chips"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--requests", "0/s"), 2, "--requests must be above 0"),
        (("--requests", "-5/s"), 2, "--requests must be above 0"),
        (("--requests", "200M"), 2, "a number over a time, such as 200M/day"),
        (("--requests", "nan/day"), 2, "a number over a time"),
        (("--in", "200000"), 2, "takes 131,072: shorter ones, or another model"),
        (("--in", "50000", "--cv", "0.96"), 2, "--in, --cv: requests of 50000 tokens with a cv of"),
        (("--cv", "50"), 2, "write a smaller cv"),
        (("--out", "0"), 2, "--out must be at least 1"),
        (("--tpot", "1 us"), 3, "a further token is"),
        (("--tpot", "0 ms"), 2, "--tpot"),
        (("--tpot", "fast"), 2, "--tpot"),
        (("--ttft", "p100 1 s"), 2, "--ttft"),
        (("--engine", "mindie"), 2, "does not run on nvidia/h100-sxm; what does:"),
        (("--engine", "hope"), 2, "no engine 'hope'"),
        (("--precision", "fp3"), 2, "--precision must be one of bf16"),
        (("--chip", "h101"), 2, "h101"),
        (("--chip", "H100:0"), 2, "H100:0"),
        (("--model", "llama-9"), 2, "llama-9"),
        (("--site", "atlantis"), 2, "--site"),
        (("--derating", "0"), 2, "--derating must be a share"),
        (("--peak", "0.5"), 2, "--peak must be at least 1"),
        (("--cached", "1"), 2, "--cached must be a share"),
        (("--rent", "H100=3 apples"), 2, "--rent"),
        (("--exchange", "7"), 2, "--exchange must be like"),
    ],
)
def test_it_says_what_is_wrong(call, options, code, message):
    assert message in " ".join(call(*PLAN, "--chip", "H100", *options, expect=code).split())


def test_a_chip_that_cannot_leaves_the_others_their_answer(call):
    out = call(*PLAN, "--chip", "H100", "--chip", "910B2", "--engine", "tensorrt-llm")
    assert "× nvidia/h100-sxm" in out
    assert "'tensorrt-llm' does not run on huawei/ascend-910b2" in " ".join(out.split())


def test_a_kind_that_is_named_twice_is_refused(call):
    said = call(*PLAN, "--chip", "H100", "--chip", "nvidia/h100-sxm:8", expect=2)
    assert "nvidia/h100-sxm is named twice" in " ".join(said.split())


def test_why_a_chip_cannot_names_it_once(call):
    said = " ".join(call(*PLAN, "--chip", "mtt-s5000", expect=2).split())
    assert "moorethreads/mtt-s5000: has no dense bf16" in said


def test_a_chip_without_an_engine_says_what_to_do(call):
    said = " ".join(call(*PLAN, "--chip", "lpu-v1", expect=2).split())
    assert "groq/lpu-v1: no engine of the catalogue is documented to run on it" in said
    assert "shares: {table: step_s.csv}" in said
    both = " ".join(call(*PLAN, "--chip", "H100", "--chip", "lpu-v1").split())
    assert "× nvidia/h100-sxm" in both
    assert "groq/lpu-v1: no engine of the catalogue" in both
    named = call(*PLAN, "--chip", "lpu-v1", "--engine", "vllm", expect=2)
    assert "no engine of the catalogue" in " ".join(named.split())


@pytest.mark.parametrize(
    "options",
    [
        ("--requests", "1e-9/s"),
        ("--requests", "1e12/day"),
        ("--in", "1", "--out", "1", "--cv", "0"),
        ("--cached", "0.999"),
    ],
)
def test_tiny_and_huge_loads_have_an_answer(call, options):
    found = json.loads(call(*PLAN, "--chip", "H100", *options, "--json"))
    (one,) = found["chips"]
    peak = found["requests_per_s"] * found["peak_factor"]
    held = one["instance_requests_per_s"] * found["derating"]
    assert one["instances"] >= 1
    assert (one["instances"] - 1) * held < peak <= one["instances"] * held * (1 + 1e-9)
    assert 0 < one["wh_per_request"]["it"] < math.inf
    assert 0 < one["ttft_s"] <= found["slo"]["ttft_s"]


BUSY = ("--requests", "4M/h", "--chip", "H100")
ONE_ENGINE = ("--engine", "vllm", "--precision", "fp8")
APART = (*PLAN, "--requests", "4M/h", "--disaggregated", *ONE_ENGINE)


def test_disaggregated_roles_are_in_answer_table_and_json(call):
    out = call(*APART, "--chip", "H100", "--layouts")
    first = " ".join(out.split())[:400]
    assert "prefill instances of" in first
    assert "decode instances of" in first
    for title in ("prefill layouts by", "decode layouts by"):
        assert title in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    found = json.loads(call(*APART, "--chip", "H100", "--json"))
    (one,) = found["chips"]
    assert found["disaggregated"] is True
    assert [role["role"] for role in one["roles"]] == ["prefill", "decode"]
    assert "layout" not in one
    for key in ("chips", "cost_per_day", "carbon_kg_per_day", "chips_low", "chips_high"):
        assert one[key] == pytest.approx(sum(role[key] for role in one["roles"]))
    a_day = found["requests_per_s"] * 86_400 / 1e6
    for role, tokens, kind in zip(one["roles"], (500, 100), ("input", "output"), strict=True):
        spent = tokens * one[f"cost_per_million_{kind}"] * a_day
        assert spent == pytest.approx(role["cost_per_day"])
    assert one["ttft_s"] <= 1.0
    assert one["tpot_s"] <= 0.025


def test_disaggregated_in_chinese(call):
    out = call(*APART, "--chip", "H100", "--lang", "zh")
    assert "个预填充实例" in out
    assert "个解码实例" in out


def test_one_role_has_its_keys_twice(call):
    (one,) = json.loads(call(*PLAN, "--chip", "H100", "--json"))["chips"]
    (role,) = one["roles"]
    assert role.pop("role") == "both"
    assert {key: one[key] for key in role} == role


def test_prompts_and_answers_may_go_to_unlike_chips(call):
    two = ("--chip", "H100", "--chip", "H20")
    rents = ("--rent", "H100=2 USD/chip/h", "--rent", "H20=0.7 USD/chip/h")
    out = call(*APART, *two, *rents)
    found = json.loads(call(*APART, *two, *rents, "--json"))
    best = next(one for one in found["chips"] if one["chip"] == found["best"])
    parts = found["mix"]["parts"]
    assert {(part["chip"], part["role"]) for part in parts} == {
        ("nvidia/h100-sxm", "prefill"),
        ("nvidia/h20", "decode"),
    }
    assert found["mix"]["efficiency"] == 1.0
    assert found["mix"]["counted"] < best["cost_per_day"]
    second = " ".join(out.split()).index("× nvidia/h100-sxm for prefill + ")
    assert second > out.index("instances of")


def test_drafts_are_said_and_save_chips(call):
    drafts = ("--draft", "3", "--accepted", "2.9")
    assert "drafts 3 tokens of a sequence and yields 2.9" in " ".join(
        call(*PLAN, "--chip", "H100", *ONE_ENGINE, *drafts).split()
    )
    with_them, without = (json.loads(call(*PLAN, *BUSY, *more, "--json")) for more in (drafts, ()))
    assert with_them["speculation"] == {"draft": 3.0, "accepted": 2.9}
    assert without["speculation"] is None
    assert with_them["chips"][0]["chips"] < without["chips"][0]["chips"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--accepted", "5", "--draft", "2"), "--accepted must be between 1 and 3"),
        (("--accepted", "0.5", "--draft", "2"), "--accepted must be between 1 and 3"),
        (("--accepted", "nan", "--draft", "2"), "--accepted must be between 1 and 3"),
        (("--accepted", "2"), "--accepted needs --draft: write both"),
        (("--draft", "2"), "--draft needs --accepted: write both"),
        (("--draft", "0", "--accepted", "1"), "--draft must be 1 to 64"),
    ],
)
def test_drafts_need_both_numbers_in_range(call, options, message):
    assert message in " ".join(call(*PLAN, "--chip", "H100", *options, expect=2).split())


def test_a_rent_of_no_chip_that_is_asked_of_is_an_error(call):
    said = call(*PLAN, "--chip", "H100", "--rent", "H200=2.5 USD/chip/h", expect=2)
    assert "--rent: nvidia/h200 is no --chip" in " ".join(said.split())
