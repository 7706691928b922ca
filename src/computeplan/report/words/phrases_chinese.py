"""What tables, figures and commands say in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["PHRASES"]

Values = Mapping[str, Any]


PHRASES: dict[str, str | Callable[[Values], str]] = {
    "n_chips": "{n:,} 卡",
    "n_jobs": "{n:,} 个作业",
    # check
    "check_case": "{case}：{jobs}，资源池 {pools}；引擎 {engine}",
    "between": "、",
    "ok": "检查通过",
    # cases without a result
    "incomplete": "不完整：{of:,} 个方案中有 {n:,} 个没有结果，未列出",
    "and_more": "{names} 等，另有 {n:,} 个",
    # tables of a result
    "range": "{low}–{high}",
    "at_least": "至少 {value}",
    "beyond": "> {value}",
    "case": "方案",
    "job": "作业",
    "summary": lambda v: (
        f"{v['name']}：{v['n']:,} 次运行的中位数与 90 % 区间"
        if v["n"] > 1
        else f"{v['name']}：每个方案运行一次"
    ),
    "value": "{name} {value}",
    "same": "所有方案相同：{values}。",
    "missing": "{name}：{n:,} 次运行中无此值的次数（不计入）：{cases}。",
    "missing_pairs": "{name}：{n:,} 对运行没有差值，不计入。",
    "one_run": "每个方案只运行一次：没有区间。",
    "means": "均值及其 95 % 置信区间见 summary.csv。",
    "means_known": "均值见 summary.csv；{name}均值的误差不超过 {within} %。",
    "versus": "{name}：与 {case} 之差",
    "differences": "相同故障下逐次运行之差的均值、其 95 % 置信区间、百分比。",
    "differences_of_one_run": "每个方案只运行一次：差值没有区间。",
    "jobs_of": "{case}：作业，{n:,} 次运行的中位数",
    "same_of_jobs": "所有作业的{name}：{value}。",
    "model": "模型",
    "pool": "资源池（占运行次数）",
    "deadline_h": "截止时间 [小时]",
}
