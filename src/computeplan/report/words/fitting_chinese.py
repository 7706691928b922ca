"""What notes of fits and validations say in Chinese."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from computeplan.units import DAY_S, HOUR_S

__all__ = ["FITTING"]

SHOWN_WINDOWS = 24
Values = Mapping[str, Any]

_FIELDS = {
    "attention": "注意力实现",
    "dp_sharding": "数据并行分片",
    "recompute": "重计算",
    "sequence_parallel": "序列并行",
    "micro_batch": "微批次",
}


def _p(p: float) -> str:
    return "p < 1e-6" if p < 1e-6 else f"p = {p:.2g}"


def _per_day(v: Values) -> str:
    return "、".join(f"{rate * DAY_S:.2g}" for rate in v["rates_per_s"][:SHOWN_WINDOWS])


def _rate_wanders(v: Values) -> str:
    why = FITTING[v["why"]]
    assert isinstance(why, str)
    return (
        f"故障率逐月波动，可用形状参数 {v['shape']:.2g}（{v['low']:.2g} 至 {v['high']:.2g}）"
        f"的伽马乘子"
        f"描述，即某个月可偏离均值 ±{1 / math.sqrt(v['shape']):.0%}；相邻月的相关系数为"
        f" {v['correlation']:.2g}（{why.format(**dict(v['why_values']))}）。"
    )


def _gaps_not_exponential(v: Values) -> str:
    shape = " " if v["shape"] is None else f"（{v['shape_name']} = {v['shape']:.2g}）"
    return (
        f"单节点的故障间隔不服从指数分布：{v['law']}{shape}的 AIC 低 {v['aic_less']:.0f}"
        f"（拟合优度 {_p(v['p'])}）。节点之间或月份之间的差异也会造成同样的表象。"
        "两个引擎只按全机群的平均故障率模拟指数分布。"
    )


def _others(v: Values) -> str:
    return "其他分布也不更好" if v["n_laws"] > 1 else "其他分布无法拟合"


def _of_causes(v: Values) -> str:
    return "" if v["n_causes"] == 1 else f"{v['n_causes']} 种原因中有 {v['n']} 种，"


def _unplayed_nodes(v: Values) -> str:
    why = "单看任何一种原因都看不出持续性"
    if v["p_chance"] is not None:
        why = f"前半段较差的节点在后半段看不出仍然较差（p = {v['p_chance']:.2g}）"
    return (
        f"各节点故障数的差异相当于形状参数 {v['shape']:.3g} 的伽马分布；faults 段按节点无差异处理，"
        f"因为这种差异不持续：{why}。"
    )


FITTING: dict[str, str | Callable[[Values], str]] = {
    # the log and its window
    "faults_outside_window": "{n} 次故障在时间窗之外，未计入。",
    "faults_of_down_nodes": (
        "{n} 次故障发生时节点已经下线，各与前一次故障合并为一次，计入前一次的原因。"
    ),
    "faults_without_end": (
        "{n} 次故障没有结束时间，但节点后来再次发生故障：计入故障率，不计入修复时间。"
    ),
    "faults_before_window": (
        "{n} 次故障在时间窗之前开始：其节点一开始就下线，既不计入故障率，"
        "也不计入修复时间（左截断）。"
    ),
    "faults_open_at_end": "{n} 次故障到时间窗结束时尚未修复：其修复时间为右删失。",
    "causes_joined": "{n_causes} 种故障原因中最少见的 {n_joined} 种合并为一种。",
    # the rate over time
    "rate_drifts": lambda v: (
        f"日志不平稳：以 30 天为窗，每天 {_per_day(v)} 次故障（故障率恒定的检验"
        f" {_p(v['p_constant'])}；"
        f"趋势 {v['trend_z']:+.1f} 个标准差，{_p(v['p_trend'])}）。"
        f"恒定的故障率只是各不相同的日子的平均。"
    ),
    "rate_constant": lambda v: (
        f"看不出漂移：以 30 天为窗，每天 {_per_day(v)} 次故障（故障率恒定的检验"
        f" {_p(v['p_constant'])}；"
        f"趋势 {_p(v['p_trend'])}）。"
    ),
    "rate_wanders": _rate_wanders,
    "windows_vary_by_chance": "各窗之间的差异不超过恒定故障率下的随机波动",
    "windows_too_few": "{n} 个窗无法判断，至少需要 {n_needed} 个",
    "neighbours_unlike": "{n} 个窗中 {correlation:.2f} 的相关系数不显著",
    "neighbours_alike": "{n} 个窗中显著",
    "days_alike": lambda v: (
        f"各天与之前的日子相似：{v['n_lags']} 个时滞中有 {v['n']}"
        f" 个超出各天独立时的范围（{_p(v['p'])}）。"
        f"{'漂移本身也会造成这种现象。' if v['drifts'] else ''}"
    ),
    # nodes
    "nodes_equal": lambda v: (
        f"节点之间的差异不超过随机波动：故障数的方差 / 均值为 {v['ratio']:.2f}（{_p(v['p'])}）。"
    ),
    "nodes_unequal": lambda v: (
        f"各节点的故障数过度离散：方差 / 均值为 {v['ratio']:.2f}，节点无差异时应为"
        f" 1（{_p(v['p'])}）；"
        f"相当于形状参数 {v['shape']:.2g}（{v['low']:.2g} 至 {v['high']:.2g}）的伽马混合。"
    ),
    "worst_nodes": (
        "故障最多的 5 % 的节点占全部故障的 {share:.1%}。同一节点上成簇的故障与坏节点看起来一样，"
        "只有更长的日志才能区分。"
    ),
    "nodes_unknown": "{n} 次故障不知道发生在哪个节点：计入故障率，不参与节点之间的比较。",
    # times between faults, and repairs
    "gaps_too_few": "发生过两次故障的节点太少，无法拟合故障间隔的分布。",
    "repaired_fail": lambda v: (
        f"修复过的节点故障{'更多' if v['ratio'] > 1 else '更少'}，是全机群故障率的"
        f" {v['ratio']:.1f} 倍："
        "可能是没有修好、节点本来较差，或处在故障多发的日子。"
    ),
    "gaps_not_exponential": _gaps_not_exponential,
    "repairs_too_few": "已知的修复时间太少，无法拟合其分布。",
    "repairs_heavy_tailed": lambda v: (
        f"修复时间为重尾分布：中位数 {v['median_s'] / DAY_S:.2g} 天，已完成者均值"
        f" {v['mean_s'] / DAY_S:.2g} 天，最长 {v['longest_s'] / DAY_S:.3g} 天；修得越久，"
        f"预计还要越久"
        f"（Weibull 形状参数 {v['shape']:.2f}，至多 {v['high']:.2f}）。同均值的指数分布偏短。"
    ),
    "repair_law_untested": lambda v: (
        f"修复时间取 {v['law']} 分布：已知的太少，无法检验；{_others(v)}。"
    ),
    "repair_law_fits": lambda v: f"修复时间取 {v['law']} 分布，拟合良好（{_p(v['p'])}）。",
    "repair_law_fits_badly": lambda v: (
        f"修复时间取 {v['law']} 分布，拟合不够好，但{_others(v)}（{_p(v['p'])}）。"
    ),
    "repairs_as_seen": lambda v: (
        f"{_of_causes(v)}修复时间按日志中所见取值，因为没有分布符合其均值："
        f"{v['law']} 为 {v['law_mean_s'] / HOUR_S:.3g} 小时，所见为"
        f" {v['seen_mean_s'] / HOUR_S:.3g} 小时"
        f"{'' if v['n_causes'] == 1 else '（' + v['cause'] + '）'}。"
    ),
    # what a published row does not say
    "row_assumed": lambda v: (
        f"{_FIELDS.get(v['field'], v['field'])}：{v['value']}（{v['framework']}）"
    ),
    "row_as_catalogue": lambda v: f"{'、'.join(v['fields'])}：取自模型库中的 {v['model']}",
    # how near a simulated figure must be
    "within_absolute": "相差不超过 {within:g}",
    "within_share": "相差不超过 {share:.1%}",
    "within_of_exact": "与 {exact:g} 相差不超过 {within:g}（闭式解 {closed_form:.4f}）",
    "within_of_range": "{low:g} 至 {high:g}，误差不超过 {within:g}",
    "within_of_best_interval": (
        "与最优保存间隔相差不超过 {within:g}，d/M 为 {least_ratio:g} 至 {largest_ratio:g}"
    ),
    "within_range_of_runs": "公开数据在各次模拟的 95 % 范围内，范围宽 {narrowest} 至 {widest}",
    "at_least": "至少 {least:g}",
    "p_above": "p > {least:g}",
    "z_within": "|z| <= {most:g}",
    # what no engine plays
    "unplayed_gaps": lambda v: (
        f"单节点的故障间隔服从 {v['law']} 分布（{v['shape_name']} {v['shape']:.3g}，尺度"
        f" {v['scale_s'] / DAY_S:.4g} 天）；faults 段按全机群的平均故障率取指数分布。"
        "节点或月份之间的差异也会造成同样的表象。"
    ),
    "unplayed_wander": lambda v: (
        f"故障率逐月波动：每千节点天 {v['rate_per_node_s'] * 1000 * DAY_S:.3g} 次，乘以形状参数"
        f" {v['shape']:.3g}、相关系数 {v['correlation']:.2g} 的伽马乘子，每 30 天一值；"
        "faults 段取其恒定均值。"
    ),
    "unplayed_nodes": _unplayed_nodes,
    "unplayed_bad_nodes": "同时因多种原因而较差的节点；faults 段把各原因分开处理。",
}
