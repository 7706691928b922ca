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
}
