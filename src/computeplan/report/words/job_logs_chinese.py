"""What is said in Chinese of job traces that are imported: notes, and what stands in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["JOB_LOGS", "JOB_LOG_PHRASES"]

Values = Mapping[str, Any]
Said = str | Callable[[Values], str]

SHOWN = 12
_LEFT = {
    "job_left_cells": "单元格数与该格式不符，或单元格的位置无法确定",
    "job_left_number": "数值无法读取，或超出可能的范围",
    "job_left_text": "名称缺失、过长或含不可打印的字符",
    "job_left_time": "时间无法读取：请用 --dates 说明格式，或用 --unit 说明单位",
    "job_left_length": "没有作业时长",
    "job_left_cancelled": "开始之前已取消",
    "job_left_waiting": "尚未开始",
    "job_left_running": "仍在运行：总时长未知",
    "job_left_no_chips": "未占用芯片",
    "job_left_no_time": "运行时间为零",
    "job_left_part": "是另一行所述作业的一部分",
}


def _left(why: str) -> Callable[[Values], str]:
    def said(v: Values) -> str:
        more = " 等" if v["n"] > len(v["first"]) else ""
        which = "、".join(map(str, v["first"]))
        return f"{v['n']:,} 行未计入（第 {which} 行{more}）：{why}。"

    return said


def _unused(v: Values) -> str:
    more = " 等" if len(v["columns"]) > SHOWN else ""
    return f"未使用的列：{'、'.join(v['columns'][:SHOWN])}{more}。"


def _begins(v: Values) -> str:
    first = datetime.fromtimestamp(v["epoch_s"], UTC)
    return f"时刻 0 为首个作业的到达时间，世界时 {first:%Y-%m-%d %H:%M:%S}。"


def _missing(v: Values) -> str:
    sorts = "、".join(f"{kind} × {chips}" for kind, chips in v["sorts"])
    more = " 等" if v["n_sorts"] > len(v["sorts"]) else ""
    return f"吞吐表中没有能运行 {v['n']:,} 个作业的芯片（共 {v['n_sorts']:,} 类：{sorts}{more}）。"


JOB_LOGS: dict[str, Said] = {
    **{code: _left(why) for code, why in _LEFT.items()},
    "job_log_begins": _begins,
    "job_log_sorted": "各行未按到达顺序排列；写出的作业已按到达排序。",
    "job_log_slo_unused": "{n:,} 个作业的时限是其时长的倍数，而日志没有时长：视为没有截止时间。",
    "job_log_batch_changes": "{n:,} 个作业在训练中改变批次大小；这里各步视为相同。",
    "job_log_processors": "日志中的处理器按芯片计。",
    "job_log_requested_chips": "{n:,} 个作业只给出申请的处理器数。",
    "job_log_steps": "{n:,} 行是作业内的步骤，已归入其作业。",
    "job_log_again": "{n:,} 行的 JobID 与前面的行相同：重新排队的作业按多个作业计。",
    "job_log_unused": _unused,
    "throughput_spread_unused": "{n:,} 个跨越过多节点的作业吞吐未使用。",
    "throughput_shared_unused": "{n:,} 个两作业共用芯片的吞吐未使用。",
    "throughput_missing": _missing,
}

JOB_LOG_PHRASES: dict[str, Said] = {
    "jobs_in_file": "{file} 中的 {n:,} 个作业",
    "job_columns": "项目",
    "job_values": "数量",
    "job_rows_left": "未计入的行",
    "job_arrivals_d": "最后到达 [天]",
    "job_chips": "芯片数：作业数",
    "job_median_h": "时长中位数 [小时]",
    "job_median_steps": "步数中位数",
    "job_chip_h": "卡时",
    "job_kinds": "种类",
    "job_tenants": "租户",
    "job_deadlines": "有截止时间的作业",
    "jobs_written": "已写出：{paths}",
}
