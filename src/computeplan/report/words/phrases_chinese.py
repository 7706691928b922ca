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
}
