"""What notes say in Chinese: by code, a text with the names of values, or a function of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.search import in_parts

__all__ = ["SENTENCES", "layout_words"]

Values = Mapping[str, Any]

_LAYOUT = {
    "pieces": "虚拟流水线 {}",
    "micro_batch": "微批次 {}",
    "recompute": "{}重计算",
    "zero": "ZeRO-{}",
    "shard": "分片组 {}",
    "sequence_parallel": "不用序列并行",
}
_RECOMPUTE = {"selective": "选择性", "full": "完全"}


def layout_words(layout: Layout) -> tuple[str, ...]:
    """Return what there is to say of a single layout, a part each."""
    return tuple(
        _LAYOUT.get(name, f"{name.upper()} {{}}").format(_RECOMPUTE.get(str(value), value))
        for name, value in in_parts(layout)
    )


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
