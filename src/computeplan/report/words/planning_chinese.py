"""What is said of what is needed, and of two results side by side, in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["PLANNING_PHRASES"]

Values = Mapping[str, Any]


PLANNING_PHRASES: dict[str, str | Callable[[Values], str]] = {
    # need
    "interval_95": "95 % 置信区间",
    "need_least": "{count}：满足 {goal} 的最小值（{n_runs:,} 次模拟得 {value}，95 % 置信区间"
    " {interval}）。",
    "need_greatest": "{count}：满足 {goal} 的最大值（{n_runs:,} 次模拟得 {value}，95 % 置信区间"
    " {interval}）。",
    "need_so_far": "搜索中止：目前为 {count}，满足 {goal}（{n_runs:,} 次模拟得 {value}，"
    "95 % 置信区间 {interval}）。",
    "need_settings": "即 {settings}",
    "need_none": "从 {first} 到 {last} 没有合法的值满足 {goal}；最接近的是 {best}，为 {value}",
    "need_none_yet": "搜索中止：试过的值都不满足 {goal}；最接近的是 {best}，为 {value}",
    "need_nothing_tried": "搜索中止：还没有试任何值；请允许更多次数或更长时间",
    "need_nodes": "节点",
    "need_chips": "芯片",
    "need_mean": "{label}（均值）",
    "need_is_met": "是否满足",
    "need_met": "是",
    "need_met_perhaps": "是，在区间之内",
    "need_not_met": "否",
    "need_not_met_perhaps": "否，在区间之内",
    "need_untold": lambda v: (
        f"用这 {v['n_runs']:,} 次模拟，"
        + (v["last"] if v["one"] else f"{v['first']} 到 {v['last']}")
        + f" 与 {v['limit']} 无法区分；增加次数可以区分"
        + (f"；{v['sure']} 在区间之外满足" if v["sure"] else "")
    ),
    "need_not_monotone": "答案之外并非每个值都满足目标：{counts} 不满足",
    "need_at": "{count}：{note}",
    "need_cut": "{count}：{n_runs:,} 次模拟中有 {n:,} 次工作未完成，视为不满足目标；"
    "延后或去掉 simulate.at_most 可知更多",
    "need_effort": "试了 {n:,} 个值，每个用同样的 {n_runs:,} 组样本，共模拟 {n_in_all:,} 次",
    "need_failed": "{n:,} 个值没有结果，如 {count}：{why}",
    "need_skipped": "跳过 {n:,} 个无效的值，如 {count}：{why}",
    "need_incomplete": "搜索已中止：上列各值之间的情况未知",
    "need_progress": "已模拟 {count}：{value}",
    # compare
    "compare_title": "{name}：B 与 A 相比",
    "compare_cases": "{name}：{b} 与 {a} 相比",
    "compare_who": "A：{a}；B：{b}",
    "compare_paired": "用同样的 {n:,} 组样本逐次比较。",
    "compare_unpaired": "样本不同（{unlike}）：按独立样本比较均值，能耗、费用和碳排放"
    "均计到所有模拟中最晚的结束时间。",
    "compare_quantity": "指标",
    "compare_path": "路径",
    "compare_difference": "B - A",
    "compare_mean": "{side} 均值",
    "compare_same": "两个场景相同。",
    "compare_changes": "两个场景的不同之处",
    "compare_changes_of": "{name} 的不同之处",
    "compare_unset": "未设置",
    "compare_refused": "{name}：未比较：{why}",
    "compare_more": "另有 {n:,} 项；全部见 --json",
    "compare_as": "{side} 按 {other} 的随机种子 {seed} 和 {n:,} 次模拟",
}
