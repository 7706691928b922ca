"""What is said of one job on several kinds of chips, in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["MIXING", "MIXING_PHRASES"]

Values = Mapping[str, Any]

MIXING: dict[str, str | Callable[[Values], str]] = {
    "does_not_fit_alone": "仅用 {n:,} 卡 {chip} 放不下该模型：在各类芯片单独训练吞吐之和中按零计",
    "mixed_chips_unused": "{chip} 的 {n_chips:,} 卡中有 {n:,} 卡未使用：没有合适的阶段数能全部用上",
}

_BOUNDS = {
    "sum of homogeneous": "各类芯片单独训练吞吐之和",
    "equal count": "同样卡数全用 {of} 时的吞吐",
    "even split": "同样芯片平均分配时的吞吐",
}


def _bound(v: Values) -> str:
    return _BOUNDS[v["bound"]].format(of=v["of"])


MIXING_PHRASES: dict[str, str | Callable[[Values], str]] = {
    "mix_answer": "{tokens} tokens/s（90 % 区间 {low} 至 {high}），为{bound}的 {efficiency}；每步"
    " {step} s。",
    "mix_by_layers": "按层切分：每个副本依次经过各类芯片的流水线阶段，每步 {n_micro:,} 个微批次。",
    "mix_by_batch": "按批切分：每类芯片训练完整的副本。",
    "mix_bound": _bound,
    "mix_title": "{model}，{chips}：每步 {batch:,} × {seq:,} token，{precision}",
    "mix_chips": "{n:,} × {chip}",
    "mix_against": "比较对象",
    "mix_share": "混合训练与之比",
    "mix_chip": "芯片",
    "mix_stages": "阶段",
    "mix_layers": "层数",
    "mix_ranks": "TP × DP × 微批次",
    "mix_again": "重计算",
    "mix_seconds_of_micro": "每微批次 s",
    "mix_held": "显存 GiB",
    "mix_sequences": "序列数",
    "mix_note_band": "切分按预测速度计划。若各类芯片的速度各自偏离到其区间所示的程度，"
    "在按实测速度重新分配之前，能达到 {low_frac} 至 {high_frac}（90 % 区间）。",
    "mix_note_across": "不同芯片之间的通信（{link}）每步最多显露 {seconds} s（{share}）。",
    "mix_direct": "直接传输",
    "mix_host": "经主机内存转发",
    "mix_note_other_pipeline": "按层切分时每步 {seconds} s：多类芯片的流水线按不使用虚拟阶段计价。",
    "mix_note_other_batch": "按批切分时每步 {seconds} s。",
    "mix_again_none": "无",
    "mix_again_selective": "选择性",
    "mix_again_full": "完全",
}
