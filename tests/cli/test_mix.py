"""``computeplan mix`` and ``computeplan validate mixed``."""

import json

import pytest

MIX = ("mix", "--model", "llama-3.1-8b", "--chips", "h100:8,910b2:16", "--batch", "1 Mitoken")


def test_mix_answers_first_then_bounds_stages_and_three_notes(call):
    out = call(*MIX, "--split", "layers")
    assert "tokens/s" in out.splitlines()[0]
    words = ("tokens/s", "Split by layers", "what each kind trains alone", "recomputed", "\n- ")
    places = [out.index(word) for word in words]
    assert places[0] < places[1] < places[3] < places[4]
    assert 1 <= out.count("\n- ") <= 3
    assert "as many huawei/ascend-910b2 only" in out
    assert "Split by batch" in call(*MIX, "--split", "batch")


def test_mix_in_json_says_the_same(call):
    found = json.loads(call(*MIX, "--split", "layers", "--json"))
    assert found["batch_sequences"] == 128
    assert found["efficiency"]["bound"] == "sum of homogeneous"
    assert sum(sum(part["layers"]) for part in found["parts"]) == 32
    assert found["low_s"] < found["step_s"] < found["high_s"]
    assert found["tokens_per_s"] == pytest.approx(128 * 8192 / found["step_s"])
    by_hosts = ("--link", "host", "--link-bandwidth", "1 GB/s")
    slower = json.loads(call(*MIX, "--split", "layers", *by_hosts, "--json"))
    assert slower["step_s"] > found["step_s"]
    assert json.loads(call(*MIX, "--split", "batch", "--json"))["parts"][0]["batch"] > 0


def test_mix_with_tensor_parallel_ranks_given(call):
    found = json.loads(call(*MIX, "--split", "layers", "--tp", "h100:4,910b2:2", "--json"))
    assert {part["chip"]: part["tp"] for part in found["parts"]} == {
        "nvidia/h100-sxm": 4,
        "huawei/ascend-910b2": 2,
    }


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--chips", "h100"), 2, "'h100' is not CHIP:NUMBER"),
        (("--chips", "h100:8,910b2:0"), 2, "910b2:0 must be 1 to"),
        (("--chips", "h100:8"), 2, "2 to 4 kinds"),
        (("--chips", "h100:8,910b9:8"), 2, "910b9"),
        (("--batch", "much"), 2, "--batch"),
        (("--link-bandwidth", "3 apples"), 2, "--link-bandwidth"),
        (("--model", "llama-3.1-405b"), 3, "no split of meta/llama-3.1-405b"),
        (("--model", "deepseek-v3"), 2, "has experts"),
    ],
)
def test_mix_says_what_is_wrong(call, options, code, message):
    assert message in call(*MIX, *options, expect=code)


def test_published_runs_are_printed(call):
    out = call("validate", "mixed")
    assert "97.49 %" in out
    assert "not priced" in out
