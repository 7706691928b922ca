"""What the answer of a result and the notes below its table say in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["ANSWER_PHRASES"]

Values = Mapping[str, Any]


ANSWER_PHRASES: dict[str, str | Callable[[Values], str]] = {
    "names": "、",
    # heads of cases, and a line below the table
    "with_head": "{case}\n（{head}）",
    "head_saves": "每 {minutes:.3g} 分钟保存",
    "head_mfu": "MFU 高于已发表的最高值",
    "head_sheet": "仅有规格书",
    "marked": "{case}【{marks}】",
    "head_unused": lambda v: (
        f"{v['n_chips']:,} 卡中用 {v['n_used']:,} 卡"
        + (f"；批大小 {v['batch'] / 1e6:.3g} Mtoken 时用 {v['n_chips']:,} 卡" if v["batch"] else "")
    ),
    "times_energy": "{name} {ratio} {unit}/kWh",
    "to_window": "能耗、费用和碳排放计入空闲芯片，直到最后一个方案结束（中位数 {days} 天）。",
    "in_proportion": "所有方案中与能耗成固定比例：{values}。",
    "spares_for": "缺少节点的时间低于 {share:g} % 所需的备用节点：本次训练 {n_run}，"
    "长期运行 {n_long_run}。",
    "sentences": "",
    # notes
    "of_cases": "{cases}：{text}",
    "all_cases": "所有方案均为 {value}",
    "lacks": "长期缺少节点的时间占比：{cases}。模拟开始时所有节点完好，以后会更差。",
    "lacks_beyond": "长期缺少节点的时间占比：{cases}。模拟在第 {days:.4g} 天截止，"
    "之后更差，因此不外推它们的时长。",
    "cut": "模拟在第 {days:.4g} 天截止，工作未完成：能耗、费用和碳排放按 token 计。",
    "cut_and_carried_on": "模拟在第 {days:.4g} 天截止，工作未完成：能耗、费用和碳排放按 token 计；"
    "其余时长为外推值，因为闭式解表明进度不变。",
    "not_carried_on": "以下方案没有闭式解表明进度不变，{days:.4g} 天之后不外推：{cases}。",
    "rests_on": "{n:,} 卡（{family}）",
    "speeds": "速度依据已发表的训练，规模至多 {runs}。",
    "guessed": "部分为估计值：{chips}。",
    "notes": "须知",
    "facts": "各方案的参数",
    "more_notes_of_check": "全部说明：--notes。",
    "more_notes": "全部说明：--notes，或结果目录中的 notes.zh.md。",
    # the answer
    "sentence": "{text}。",
    "then": "；",
    "value_of": "{name} {value}",
    "with_range": "{value}（90 % 的模拟在 {range}）",
    "with_interval": "{value}（95 % 置信区间 {range}）",
    "points": "个百分点",
    "first": "首个方案“{case}”",
    "next": "次优方案“{case}”",
    "no_clear_best": "{n} 个方案没有明显的最优者：按均值为 {case}，{value}。",
    "best_time": "{n} 个方案中最快：{case}，{value}。",
    "best_pace": "{n} 个方案中最快：{case}，{value}。",
    "best_energy": "{n} 个方案中能耗最低：{case}，{value}。",
    "best_bill": "{n} 个方案中电费最低：{case}，{value}。",
    "best_cost": "{n} 个方案中费用最低：{case}，{value}。",
    "best_carbon": "{n} 个方案中碳排放最低：{case}，{value}。",
    "best_availability": "{n} 个方案中可用率最高：{case}，{value}。",
    "best_deadline": "{n} 个方案中最可能按期完成：{case}，{value}。",
    "all_in_time": "在全部 {n:,} 次模拟中均按期完成（95 % 置信区间 {range}）：{cases}。",
    "all_alike": "{n} 个方案的{name}均为 {value}。",
    "against": "与{case}相比：均值 {difference}；{n:,} 次模拟中有 {better:,} 次更优。",
    "as_good": "与{case}在每次模拟中都相同。",
    "against_one": "与{case}相比：均值 {difference}。",
    "not_apart": "与{case}无法区分：均值之差 {difference}。",
    "difference": lambda v: (
        v["value"]
        + (f"（95 % 置信区间 {v['interval']}）" if v["interval"] else "")
        + (f"，{v['percent']}" if v["percent"] else "")
    ),
    "no_difference": "{case}：{value}。",
    "not_told_apart": "与最优方案无法区分：{cases}。",
    "known_in_part": "未作比较，因为 {n:,} 次模拟中至多 {n_done:,} 次完成：{cases}。",
}
