"""What the commands print in Chinese holds no English but names, units and terms."""

import json
from pathlib import Path

import pytest
from report.test_words import foreign

from computeplan.report.words import phrase

SCENARIO = """\
computeplan: 1
name: 小集群
sites:
  贵安:
    pue: 1.2
    carbon: 400 g/kWh
    price: 0.4 CNY/kWh
    pools:
      甲: {chip: huawei/ascend-910b2, chips: 64, spares: 1 nodes}
currency: CNY
faults:
  故障: {mtbf: 0.5 kh, per: chip, observed_on: nvidia/h100-sxm, takes: node, restart: 5 min,
         repair: 3 h}
jobs:
  训练: {model: llama-3.1-8b, tokens: 5 Gtoken, chips: 56, seq: 8192, batch: 1 Mitoken,
         parallelism: auto, checkpoint: {every: 1 h, stall: 5 s}}
cases:
  每小时: {}
  每两小时: {jobs.训练.checkpoint.every: 2 h}
simulate: {runs: 8, seed: 7}
"""
LOG = "node,start_s,end_s,cause\n" + "".join(
    f"{(7 * i) % 40},{i * 80_000},{i * 80_000 + 20_000 + 3_000 * (i % 9)},{'甲乙'[i % 2]}\n"
    for i in range(100)
)
STEP = ("step", "--model", "llama-3.1-8b", "--chip", "910B2", "--chip", "H100", "--chips", "64")
FIT = ("fit", "log.csv", "--nodes", "40", "--from", "0 d", "--to", "93 d", "--unit", "s")
NEED = ("--case", "每小时", "--vary", "sites.贵安.pools.甲.spares")
COMMANDS = {
    "check": ("check", "s.yaml"),
    "run": ("run", "s.yaml", "--out", "r", "--jobs"),
    "compare": ("compare", "s.yaml", "t.yaml"),
    "need": ("need", "s.yaml", *NEED, "--until", "ettr >= 0.5", "--runs", "8"),
    "step": (*STEP, "--figure", "step.svg"),
    "best layouts": (*STEP[:5], *STEP[7:]),
    "mix": ("mix", "--model", "llama-3.1-8b", "--chips", "h100:8,910b2:16", "--split", "layers"),
    "mix by batch": ("mix", "--model", "llama-3.1-8b", "--chips", "h100:8,910b2:16"),
    "fit": (*FIT, "--predict-from", "60 d", "--split", "50 d", "--figure", "fit.svg"),
}
FIGURES = {"step": "step_seconds_and_band", "fit": "faults_a_week"}
NAMES = (
    "batch", "Ascend 910B", "H100 BF16", "default", "meta/llama-3.1-8b", "r/figures", "r", "PCIe",
    "jobs", "checkpoint.stall", "ettr", "mean", "nodes", "spares", "kg", "lognorm", "weibull_min",
    "expon", "gamma", "sites", "pools", "fault_factor",
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Run in an empty folder that holds a scenario and a log."""
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SCENARIO, "utf-8")
    Path("t.yaml").write_text(SCENARIO.replace("stall: 5 s", "stall: 9 s"), "utf-8")
    Path("log.csv").write_text(LOG, "utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_chinese(call, command):
    printed = call(*COMMANDS[command], "--lang", "zh")
    assert not foreign(printed, NAMES), printed
    for notes in Path().glob("r/*.zh.md"):
        assert not foreign(notes.read_text("utf-8"), NAMES)
    if command in FIGURES:
        figure = Path(f"{command}.svg").read_text("utf-8")
        assert phrase(FIGURES[command], "zh") in figure


def test_english_would_be_seen(call):
    for command in ("check", "step"):
        assert foreign(call(*COMMANDS[command], "--lang", "en"), NAMES)


def test_json_has_english_keys_and_chinese_sentences(call):
    for command in (COMMANDS["check"], STEP):
        english, chinese = (
            json.loads(call(*command, "--json", "--lang", language)) for language in ("en", "zh")
        )
        assert keys(english) == keys(chinese)
        assert english != chinese


def keys(value):
    """Return what stays of plain data without its values."""
    if isinstance(value, dict):
        return {name: keys(part) for name, part in value.items()}
    if isinstance(value, list):
        return [keys(part) for part in value]
    return type(value)
