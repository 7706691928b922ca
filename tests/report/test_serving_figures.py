"""Figures of fleets that serve: what is on the axes, colours, words, and files in the way."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from computeplan.errors import ComputePlanError
from computeplan.planner.serving import plan_serving
from computeplan.planner.serving_curves import BatchCurve, FrontierCurve, LatencyCurve
from computeplan.report.serving_figures import frontier, latency, save_serving_figures, wh
from tests.planner.test_serving_curves import ASKED

LIMITS = np.array([0.01, 0.02, 0.04])
ASK = (
    "serve-plan", "--model", "llama-3.1-8b", "--chip", "H100", "--requests", "500/s", "--in", "500",
    "--out", "100", "--ttft", "0.5 s", "--tpot", "20 ms",
)  # fmt: skip


@pytest.fixture(scope="module")
def plan():
    return plan_serving(ASKED, [("910B2", None), ("H100", None)])


def cost(chip: str, per_mtok: float) -> FrontierCurve:
    return FrontierCurve(chip, LIMITS, per_mtok / LIMITS, ("tp1",) * 3, ("chip",) * 3)


def load(chip: str) -> LatencyCurve:
    rows = np.array([[0.1, 0.2, 0.3], [0.2, 0.4, 0.6]])
    return LatencyCurve(chip, "tp1, fp8", np.array([1.0, 2.0, 3.0]), rows, rows / 20, 2.5)


def texts(ax) -> str:
    figure = ax.get_figure(root=True)
    found = [text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))]
    return "\n".join(found)


def test_a_chip_keeps_its_colour(plan):
    h100 = "nvidia/h100-sxm"
    batch = BatchCurve(h100, "tp1, fp8", np.array([1.0, 2.0]), np.array([2.0, 1.0]), LIMITS[:2])
    axes = (
        latency(plan, [load(h100)]),
        frontier(plan, [cost("huawei/ascend-910b2", 2.0), cost(h100, 1.0)]),
        wh(plan, [batch]),
    )
    colours = [to_hex(ax.get_legend().legend_handles[-1].get_color()) for ax in axes]
    assert len(set(colours)) == 1
    assert len(axes[1].get_legend().legend_handles) == 2


def test_latency_draws_both_percentiles_the_limits_and_the_largest_load(plan):
    upper = latency(plan, [load("nvidia/h100-sxm")])
    lower = upper.figure.axes[1]
    assert len(upper.figure.axes) == 2
    dashed, solid, dot, limit = upper.lines
    assert solid.get_ydata().tolist() == [0.2, 0.4, 0.6]
    assert dashed.get_ydata().tolist() == [0.1, 0.2, 0.3]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (2.5, 0.5)
    assert limit.get_ydata()[0] == 0.5
    assert lower.lines[1].get_ydata() == pytest.approx([10, 20, 30])  # milliseconds
    assert lower.lines[3].get_ydata()[0] == 20


def test_latency_parts_the_axes_it_is_given(plan):
    ax = Figure().subplots()
    assert latency(plan, [load("nvidia/h100-sxm")], ax) is ax
    with pytest.raises(ComputePlanError, match="of a grid"):
        latency(plan, [load("nvidia/h100-sxm")], Figure().add_axes((0, 0, 1, 1)))


def test_beyond_the_limit_a_batch_is_dotted(plan):
    curve = BatchCurve(
        "nvidia/h100-sxm", "tp1", np.array([1.0, 2, 4]), np.array([4.0, 2, 1]), LIMITS
    )
    within, beyond, _ = wh(plan, [curve]).lines
    assert within.get_xdata().tolist() == [1, 2]
    assert (beyond.get_xdata().tolist(), beyond.get_linestyle()) == ([2, 4], ":")


def test_a_chip_without_a_price_is_named(plan):
    unknown = replace(cost("huawei/ascend-910b2", 1.0), per_mtok=np.full(3, np.nan))
    ax = frontier(plan, [unknown, cost("nvidia/h100-sxm", 1.0)])
    assert "No price is known of huawei/ascend-910b2" in texts(ax)
    assert len(ax.get_legend().legend_handles) == 1
    with pytest.raises(ComputePlanError, match="--rent"):
        frontier(plan, [unknown])


def test_what_is_less_known_is_dashed_and_apart(plan):
    part = replace(cost("nvidia/h100-sxm", 1.0), known=("precision", "chip", "chip"))
    less, usual = frontier(plan, [part]).lines[:2]
    assert (less.get_linestyle(), usual.get_linestyle()) == ("--", "-")
    assert (less.get_xdata().tolist(), usual.get_xdata().tolist()) == ([10], [20, 40])
    assert "Dashed" in texts(frontier(plan, [part]))
    assert "Dashed" not in texts(frontier(plan, [cost("nvidia/h100-sxm", 1.0)]))


def test_figures_speak_chinese(plan):
    ax = frontier(plan, [cost("nvidia/h100-sxm", 1.0)], language="zh")
    assert "词元间隔上限，99 % 分位 [ms]" in texts(ax)
    assert "Limit" not in texts(ax)


def test_a_file_of_others_stays(plan, tmp_path):
    (tmp_path / "wh.png").write_bytes(b"mine")
    with pytest.raises(ComputePlanError, match=r"wh\.png: exists and is no figure"):
        save_serving_figures(plan, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["wh.png"]


def test_what_is_not_drawn_is_said(plan, tmp_path):
    unpriced = replace(plan, question=replace(ASKED, site=replace(ASKED.site, price=None)))
    names, missing = save_serving_figures(unpriced, tmp_path)
    assert names == ["latency.png", "wh.png"]
    assert missing == [
        "frontier.png is not drawn: no price is known of any chip that holds a limit (--rent)"
    ]


def test_the_command_draws_and_prints_as_before(call, tmp_path):
    printed = call(*ASK, "--figures", str(tmp_path / "new"), "--json")
    assert json.loads(printed)["best"] == "nvidia/h100-sxm"
    for name in ("latency", "frontier", "wh"):
        assert (tmp_path / "new" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
