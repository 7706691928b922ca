"""``computeplan step`` and ``computeplan validate``."""

import json
import re

import pytest

from computeplan.validation import calibration
from computeplan.validation.cases import published_cases

STEP = ("step", "--model", "llama-3.1-8b", "--chip", "H100-SXM", "--chips", "16")


def test_step_prints_time_band_parts_memory_and_the_best_layouts(call):
    out = call(*STEP)
    for words in (
        "seconds per step",
        "90 % band",
        "tokens/s",
        "MFU",
        "memory, GiB of",
        "optimizer",
    ):
        assert words in out
    assert "layouts that fit" in out


def test_step_in_json_adds_up(call):
    (found,) = json.loads(call(*STEP, "--json"))
    best = found["layouts"][0]
    assert len(found["layouts"]) == 10
    assert sum(best["time_s"].values()) == pytest.approx(found["step_s"])
    parts = {name: size for name, size in best["memory_bytes"].items() if name != "total"}
    assert sum(parts.values()) == pytest.approx(best["memory_bytes"]["total"])
    assert found["low_s"] < found["step_s"] < found["high_s"]
    assert found["tokens_per_s"] == pytest.approx(128 * 8192 / found["step_s"])


def test_several_chips_stand_side_by_side_with_ratios(call):
    out = call(*STEP, "--chip", "910B2", "--chip", "H200")
    assert "ratio of tokens/s" in out
    assert all(name in out for name in ("nvidia/h100-sxm", "huawei/ascend-910b2", "nvidia/h200"))
    assert "(estimate)" in out


def test_step_with_a_layout_by_numbers_fills_up_with_replicas(call):
    (found,) = json.loads(call(*STEP, "--tp", "4", "--recompute", "full", "--json"))
    layout = found["layouts"][0]["layout"]
    assert (layout["tp"], layout["dp"], layout["recompute"]) == (4, 4, "full")


def test_step_draws(call, tmp_path):
    call(*STEP, "--chip", "A100-80GB", "--figure", str(tmp_path / "f.png"))
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    call(*STEP, "--figure", str(tmp_path / "f.svg"))
    assert "<svg" in (tmp_path / "f.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--tp", "x"), 2, "--tp must be a whole number > 0 or auto"),
        (("--tp", "auto", "--pp", "2"), 2, "leave the other options out"),
        (("--tp", "32"), 2, "32 ranks, and 16 x nvidia/h100-sxm are 16"),
        (("--batch", "3.5"), 2, "--batch"),
        (("--batch", "0"), 2, "--batch must be 1 to"),
        (("--framework", "mine"), 2, "no framework 'mine'; known: default, Megatron-LM"),
        (("--network", "fast"), 2, "--network"),
        (("--model", "nobody/knows"), 2, "nobody/knows"),
        (("--chip", "nvidia/v100"), 2, "no dense bf16 peak"),
        (("--seq", "131072", "--batch", "16", "--tp", "1"), 3, "GiB more than it has"),
        (("--figure", "x.txt"), 2, "a figure ends in .png or .svg"),
    ],
)
def test_what_step_refuses(call, options, code, message):
    result = call(*STEP, *options, expect=code)
    assert message in result


def test_validate_training_prints_rows_families_and_what_was_left_out(call, tmp_path, monkeypatch):
    # All ways to leave rows out take a minute; tests/validation holds them to their bounds.
    few = {"software": calibration.stacks_left_out(published_cases())}
    monkeypatch.setattr(calibration, "out_of_sample", lambda *_: few)
    figure = tmp_path / "scatter.png"
    out = call("validate", "training", "--figure", str(figure))
    assert "263 of 266 verified rows priced" in out
    assert "910b-mistral-7b-32k" in out
    assert "out of sample: fitted without them" in out
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_validate_training_reads_rows_of_ones_own(call, tmp_path):
    rows = tmp_path / "rows.yaml"
    rows.write_text(
        "cases:\n"
        "- {id: a, chip: GB200, chips: 8, precision: bf16, model: {name: llama3-8b}, seq_len: 8192,"
        " global_batch: 128, tp: 1, pp: 1, dp: 8, measured: {step_s: 4.0}}\n"
        "- {id: b, chip: nobody}\n",
        "utf-8",
    )
    found = json.loads(call("validate", "training", "--cases", str(rows), "--json"))
    assert list(found["families"]) == ["nvidia/gb200 bf16 as H100 BF16"]
    assert [row["id"] for row in found["rows"]] == ["a", "b"]
    assert found["rows"][1]["skipped"]
    markdown = call("validate", "training", "--cases", str(rows), "--markdown")
    assert "| a | nvidia/gb200 bf16 as H100 BF16 | 4 |" in markdown


def test_validate_training_without_the_file(call, tmp_path):
    result = call("validate", "training", "--cases", str(tmp_path / "no.yaml"), expect=2)
    assert "no.yaml" in result


def test_a_batch_of_a_decimal_prefix_and_a_long_seq_are_questioned(call):
    options = ("--model", "llama-3.1-8b", "--chip", "H100", "--chips", "64")
    out = call("step", *options, "--batch", "4 Mtoken")
    assert "4 Mitoken is 512 of them" in " ".join(out.split())
    out = call("step", *options, "--batch", "4 Mitoken")
    assert "of them" not in out
    assert "beyond the context" not in out
    out = call("step", *options, "--seq", "262144")
    assert "seq 262,144 is beyond the context of meta/llama-3.1-8b" in " ".join(out.split())


ASCEND = ("step", "--model", "llama-3.1-70b", "--chip", "910B2", "--chips", "64", "--batch", "512")


def test_auto_takes_what_was_published_and_says_how_many_layouts_are_within_the_error(call):
    (found,) = json.loads(call(*ASCEND, "--json"))
    assert all(found["layouts"][i]["layout"]["zero"] < 3 for i in range(10))
    assert 1 < found["n_within"] < found["n_fitting"]
    assert found["marks"] == []
    out = " ".join(call(*ASCEND).split())
    assert re.search(
        rf"within the error \(2\d% between two layouts\): {found['n_within']} layouts", out
    )
    assert "most like published runs of Chinese accelerators" in out
    chinese = "".join(call(*ASCEND, "--lang", "zh").split())
    assert re.search(rf"误差以内（两种并行策略之间2\d%）：{found['n_within']}种策略", chinese)


def test_an_extrapolation_in_kind_is_named(call):
    out = " ".join(call(*ASCEND, "--zero", "3", "--recompute", "full").split())
    assert re.search(r"zero 3: none of the \d+ published runs of Chinese accelerators had it", out)
    assert "within the error" not in out
    assert "extrapolated in kind" not in call(*ASCEND, "--tp", "8", "--pp", "4")


MLU590 = """
name: mlu590
vendor: Cambricon
peak_dense: {bf16: 450 TFLOP/s}
memory: {capacity: 80 GB, bandwidth: 2 TB/s}
scale_up: {bandwidth: 200 GB/s, domain: 8}
scale_out: {bandwidth: 200 Gbit/s}
"""


def test_a_chip_with_a_data_sheet_only_does_not_quietly_beat_a_measured_one(call, tmp_path):
    chip = tmp_path / "mlu590.yaml"
    chip.write_text(MLU590, "utf-8")
    promised, measured = json.loads(call(*ASCEND, "--chip", str(chip), "--json"))[::-1]
    assert promised["step_s"] < measured["step_s"]
    assert promised["high_s"] > measured["step_s"]  # which is faster is not known
    assert promised["high_s"] / promised["low_s"] > measured["high_s"] / measured["low_s"]
    assert (promised["marks"], measured["marks"]) == (["data_sheet_only"], [])
    assert promised["family"] == "Ascend 910B"
    assert "(data sheet only)" in call(*ASCEND, "--chip", str(chip))


MIXTURE = ("step", "--model", "qwen3-30b-a3b", "--chip", "H100", "--chips", "16", "--seq", "4096")
MIXTURE += ("--batch", "256", "--dp", "16", "--ep", "16", "--framework", "Megatron-Bridge")


def test_the_switches_of_a_framework_change_the_step(call):
    def took(*options):
        (found,) = json.loads(call(*MIXTURE, *options, "--json"))
        return found["step_s"]

    old = took("--date", "2025-03")
    assert took("--date", "2026-05") < old
    assert took("--date", "2025-03", "--dispatcher", "hybridep", "--expert-overlap") < old
    assert took("--date", "2025-03", "--graphs", "full", "--grouped", "fused") < old
    assert "--graphs must be none, full, or some of" in call(*MIXTURE, "--graphs", "all", expect=2)
    assert "--date must be a month" in call(*MIXTURE, "--date", "yesterday", expect=2)


def test_a_job_states_the_switches_of_its_framework(tmp_path, call):
    (tmp_path / "a.yaml").write_text(
        """
computeplan: 1
name: a
sites: {s: {pue: 1.2, pools: {p: {chip: H100, chips: 16}}}}
jobs:
  j:
    model: qwen3-30b-a3b
    tokens: 1 Gtoken
    seq: 4096
    batch: 1 Mitoken
    parallelism: {dp: 16, ep: 16}
    framework: {name: Megatron-Bridge, dispatcher: alltoall, expert_overlap: false}
cases:
  as it is: {}
  hybridep: {jobs.j.framework.dispatcher: hybridep}
  by name: {jobs.j.framework: Megatron-Bridge}
simulate: {runs: 1}
""",
        encoding="utf-8",
    )
    out = call("run", str(tmp_path / "a.yaml"), "--no-figures", "--out", str(tmp_path / "r"))
    assert "hybridep" in out
    again = call(
        "run", str(tmp_path / "r" / "scenario.yaml"), "--no-figures", "--out", str(tmp_path / "q")
    )
    assert again.splitlines()[0] == out.splitlines()[0]
