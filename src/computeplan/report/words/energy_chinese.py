"""What is said of published energy and of often-quoted claims, in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from computeplan.report.words.data_chinese import in_chinese

__all__ = ["ENERGY", "ENERGY_PHRASES"]

ENERGY: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "energy_row_wrong": "该行无法读取：{why}",
    "energy_meter_unknown": "未知的计量位置“{meter}”；已知的有：{known}",
    "energy_key_missing": "缺少 {key}",
    "energy_key_wrong": "{key} 不能为 {given}",
    "energy_input_refused": "{key}：{why}",
    "energy_no_formula": "没有公式能得出该量",
    "energy_lowest_cap": "最低的功率上限：其下没有可供预测的点",
    "energy_few_caps": "功率上限少于三个，无法留出一个",
    "energy_erratum": lambda v: f"勘误：{in_chinese(v['why'])}",
}

ENERGY_PHRASES: dict[str, str] = {
    "energy_title": "已发表的能耗",
    "energy_row": "条目",
    "energy_meter": "计量位置",
    "energy_quantity": "量",
    "energy_published": "发表值",
    "energy_ours": "计算值",
    "energy_error": "误差",
    "energy_within": "在允差内",
    "energy_yes": "是",
    "energy_no": "否",
    "energy_n_within": "参加判定的 {n_all} 项中有 {n} 项在允差内；其余仅列出，不参加判定",
    "energy_nothing": "这些行无一可以计算，因此没有任何比较。",
    "energy_errors": "误差：计算值与发表值之比减一；功率上限为速度之差",
    "energy_gates": "判定标准，以及模型据以确定的测量（这些测量本身不参加判定）",
    "energy_gate": "判定",
    "energy_most": "允差",
    "energy_n_gated": "项数",
    "energy_worst": "最大误差",
    "energy_set_by": "模型依据",
    "energy_own_inputs": "条目自身的输入",
    "energy_note_of": "{id}，{quantity}：{why}",
    "claims_title": "常被引用的说法与同口径数值",
    "claims_claim": "说法",
    "claims_claimed": "所称",
    "claims_like": "同口径",
    "claims_range": "范围",
    "claims_verdict": "结论",
    "claims_holds": "成立",
    "claims_contested": "有争议",
    "claims_overstated": "偏高",
    "claims_understated": "偏低",
    "claims_figures": "依据",
    "claims_figure": "数值含义",
    "claims_value": "数值",
    "claims_aside": "仅供对照",
    "claims_simulated": "仿真",
    "claims_rule": "结论：高于范围为偏高，低于范围为偏低（四舍五入留 {slack:.0%}），"
    "范围宽于 {widest:g} 倍且落在其中为有争议，其余为成立",
}
