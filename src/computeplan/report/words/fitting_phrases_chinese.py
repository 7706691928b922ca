"""What tables and figures of a fit say in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FITTING_PHRASES"]

FITTING_PHRASES: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "faults_of_nodes": "{n_nodes:,} 个节点，{days:.5g} 天，{n} 次故障",
    "cause": "故障原因",
    "all_causes": "全部",
    "faults": "故障数",
    "rate_in_service": "每千节点天\n（在役时间）",
    "rate_of_fleet": "每千节点天\n（全部时间）",
    "takes_the_node": "节点下线\n的占比",
    "median_repair_d": "修复时间\n中位数 [d]",
    "mean_repair_d": "修复时间\n分布均值 [d]",
    "law": "分布",
    "as_seen": "按所见",
    "how_intervals": "区间均为 95 %：故障率与占比为精确区间（Garwood、Clopper-Pearson），"
    "分布参数为对数尺度上的 Wald 区间（由 Hessian 矩阵得到）；中位数由 Kaplan-Meier 法估计",
    "laws_fitted": "最大似然法拟合的分布",
    "of_all_causes": "全部原因",
    "between_faults": "故障间隔",
    "repair": "修复时间",
    "shape": "形状参数",
    "scale_d": "尺度参数 [d]",
    "median_d": "中位数 [d]",
    "mean_d": "均值 [d]",
    "p95_d": "95 分位 [d]",
    "aic": "AIC",
    "p_of_fit": "拟合优度 p",
    "seen_and_censored": "完整、\n删失",
    "what_between_faults": "故障间隔：节点从修复完成到下一次故障的运行时间",
    "what_p_of_fit": "* 表示 AIC 最小；拟合优度 p：故障数与拟合风险率的卡方检验（Akritas）",
    "faults_by_window": "每 30 天的故障",
    "days": "天",
    "a_day": "每天",
    "per_1000_node_days": "每千节点天",
    "predicted_days": "用第 0 至 {until:g} 天拟合，预测第 {until:g} 至 {to:g} 天",
    "rate": "故障率",
    "constant_rate": "恒定",
    "wandering_rate": "逐月波动",
    "of_what": "预测量",
    "nodes_down_mean": "下线节点数，均值",
    "nodes_down_p95": "下线节点数，95 分位",
    "expected": "期望值",
    "interval_95": "95 % 区间",
    "truth": "实际值",
    "truth_is": "实际值位置",
    "inside": "区间内",
    "outside": "区间外",
    "draws_below": "低于实际值的抽样",
    "how_predicted": lambda v: (
        f"{'修复时间：' + v['law'] + '；' if v['law'] else ''}共抽样 {v['n']} 次，"
        "每次的参数取自其抽样分布；区间未再放宽"
    ),
    "few_windows_tell": "判断故障率波动的时间窗只有 {n} 个，区间偏窄",
    "retiring_the_worst": "退役故障最多的 {n} 个节点（共 {n_nodes:,} 个）",
    "gain": "可避免的故障",
    "this_log": "本日志",
    "equal_nodes": "节点无差异时（95 %）",
    "faults_before_day": "第 {day} 天之前的故障",
    "faults_after_day": "第 {day} 天之后的故障",
    "expected_later": "按此前的离散程度，伽马混合模型预计这些节点在第 {day} 天之后占"
    " {expected:.1%}；节点无差异的机群中有 {p:.0%} 也能达到同样的收益",
    "worst_over_window": "在整个时间窗内，最差的 {n} 个节点占 {share:.1%}",
    "faults_a_week": "每周故障数",
    "constant_rate_and_interval": "恒定故障率，95 %",
    "rate_by_window_and_interval": "每 30 天的故障率，95 %",
    "nodes_of_this_log": "本日志的节点",
    "poisson": "泊松分布",
    "negative_binomial": "负二项分布",
    "faults_of_a_node": "单个节点的故障数",
    "nodes": "节点数",
    "no_repairs": "日志中没有修复时间",
    "repairs_kaplan_meier": "修复时间（Kaplan-Meier）",
    "share_that_lasts_longer": "修复时间更长的比例",
}
