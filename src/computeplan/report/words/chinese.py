"""What notes say in Chinese: by code, a text with the names of values, or a function of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SENTENCES"]

Values = Mapping[str, Any]

SENTENCES: dict[str, str | Callable[[Values], str]] = {
    "quoted": "{text}",
    "chip_is_estimate": "{chip}：芯片参数为估计值",
    # why a case has no result
    "case_not_reached": "未算完：运行被中止",
    "case_lost_worker": "一个工作进程被终止，可能是内存不足；请减少 --workers 或 --runs",
    "case_out_of_memory": "内存不足；请减少 --workers 或 --runs",
    "case_failed": "{why}",
    "case_broke": "{error}: {why}。这是 computeplan 的缺陷；用 --debug 查看位置",
}
