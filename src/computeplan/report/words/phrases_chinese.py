"""What tables, figures and commands say in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from computeplan.report.words.answers_chinese import ANSWER_PHRASES
from computeplan.report.words.energy_chinese import ENERGY_PHRASES
from computeplan.report.words.fitting_phrases_chinese import FITTING_PHRASES
from computeplan.report.words.job_logs_chinese import JOB_LOG_PHRASES
from computeplan.report.words.mixing_chinese import MIXING_PHRASES
from computeplan.report.words.places_chinese import PLACE_PHRASES
from computeplan.report.words.planning_chinese import PLANNING_PHRASES
from computeplan.report.words.serve_plan_chinese import SERVE_PLAN_PHRASES
from computeplan.report.words.services_chinese import SERVICES_PHRASES

__all__ = ["PHRASES"]

Values = Mapping[str, Any]


def _price_rests_on(v: Values) -> str:
    beyond = f"，外推 {v['extrapolated']:.3g} 倍" if v["extrapolated"] > 1 else ""
    return (
        f"{v['chip']}：依据 {v['n_runs']} 组公开训练数据（{v['family']}），最多 {v['largest']:,} 卡"
        f"{beyond}；框架选项取自 {v['framework']}"
    )


PHRASES: dict[str, str | Callable[[Values], str]] = {
    "n_chips": "{n:,} 卡",
    "n_jobs": "{n:,} 个作业",
    # check
    "check_case": "{case}：{jobs}，资源池 {pools}；引擎 {engine}",
    "between": "、",
    "comma": "，",
    "ok": "检查通过",
    "cannot_be_played": "无法模拟：{case}：{why}",
    # run
    "reading": "正在读取 {scenario}",
    "simulating": "正在模拟",
    "searching_splits": "正在搜索 {n} 种芯片的划分……",
    "numbers_in": "数据：{folder}",
    "figures_in": "图：{folder}",
    "load_profile_in": "负荷曲线：{file}",
    # cases without a result
    "incomplete": "不完整：{of:,} 个方案中有 {n:,} 个没有结果，未列出",
    "and_more": "{names} 等，另有 {n:,} 个",
    # tables of a result
    "range": "{low}～{high}",
    "beyond": "> {value}",
    "case": "方案",
    "job": "作业",
    "summary": lambda v: (
        f"{v['name']}：{v['n']:,} 次模拟的中位数与 90 % 区间"
        if v["n"] > 1
        else f"{v['name']}：每个方案模拟一次"
    ),
    "value": "{name} {value}",
    "same": "所有方案相同：{values}。",
    "missing": "{name}：{n:,} 次模拟中无此值的次数（不计入）：{cases}。",
    "missing_pairs": "{name}：{n:,} 对模拟没有差值，不计入。",
    "one_run": "每个方案只模拟一次：没有区间。",
    "means": "均值及其 95 % 置信区间见 summary.csv。",
    "means_known": "均值及其 95 % 置信区间见 summary.csv（{name}：± {within} %）。",
    "versus": "{name}：与 {case} 之差",
    "differences": "相同故障下逐次模拟之差的均值、其 95 % 置信区间、百分比。",
    "differences_of_one_run": "每个方案只模拟一次：差值没有区间。",
    "jobs_of": "{case}：作业，{n:,} 次模拟的中位数",
    "same_of_jobs": "所有作业的{name}：{value}。",
    "model": "模型",
    "pool": "资源池（占模拟次数）",
    "tenant": "租户",
    "n_of_jobs": "作业数",
    "tenants_of": "按租户：{n:,} 次模拟的中位数与 90 % 区间",
    "chip": "芯片",
    "chips_of": "按芯片：{n:,} 次模拟的中位数与 90 % 区间",
    "deadline_h": "截止时间 [小时]",
    # figures
    "title_of": "{scenario}：{title}",
    "median_and_range": "{n:,} 次模拟的中位数；线段：90 % 的模拟结果",
    "median_alone": "{n:,} 次模拟的中位数",
    "one_run_each": "每个方案模拟一次",
    "range_of_runs": "90 % 的模拟结果",
    "by_closed_form": "闭式解",
    "over": "{name}随 {path} 的变化",
    "goodput": "有效产出",
    "ettr_queueing_included": "ETTR（含排队）",
    "ettr_and_range": "ETTR：中位数与 90 % 的模拟结果",
    "goodput_and_range": "有效产出：中位数与 90 % 的模拟结果",
    "chip_time": "作业占用卡时的去向",
    "share_of_chip_time": "作业占用卡时的构成",
    "times_of": "与 {case} 之比，逐次模拟比较（线左侧为更少）",
    "compared_with": "与 {case} 比较",
    "throughput_energy": "吞吐量与能耗",
    "right_is_better": "（越靠右下越好）",
    "distribution": "{name}的分布",
    "median": "中位数",
    "share_of_runs_done": "已完成的模拟次数占比",
    "completion_times": "作业完成时间的分布",
    "share_of_jobs_done": "已完成的作业占比",
    "all_jobs_of_runs": "{n:,} 次模拟的全部作业",
    "ends_below_1": "；止于 1 以下的曲线：有作业未完成",
    "so_many_unfinished": "{of:,} 个中 {n:,} 个未完成",
    "same_curve_as": "与 {name} 相同",
    "cut_at_the_edge": "；箭头：区间超出图边",
    "has_unfinished_jobs": "（有作业未完成）",
    "tradeoff": "完成时间、能耗与公平性",
    "mean_and_interval": "{n:,} 次模拟的均值；线段：其 95 % 置信区间（方案之差更为确定）",
    "left_is_better": "（越靠左下越好）",
    "pareto_front": "没有方案两项都更优\n（帕累托前沿）",
    "energy_by_phase": "三个计量点上各阶段的能耗",
    "at_facility": "机房",
    "at_it": "IT",
    "at_chips": "芯片",
    "cost_by_site": "各站点的费用",
    "carbon_by_site": "各站点的碳排放",
    "carbon_both_ways": "两种方法的碳排放",
    "by_location": "位置法",
    "by_market": "市场法",
    "other_sites": "其他 {n:,} 个站点",
    "cost_carbon": "费用与碳排放",
    "at_market": "空心：碳排放\n（市场法）",
    "front_at_market": "同上（市场法）",
    # chips under caps
    "at_node": "芯片与服务器",
    "cap": "功率上限",
    "of_limit": "占板卡限值",
    "of_highest_draw": "占最高频率时的功率",
    "cap_speed": "速度",
    "cap_draw": "实际功率",
    "cap_energy": "能耗（{meter}）",
    "caps_of": "{chip} 的功率上限曲线",
    "board_limit": "，板卡限值 {watts} W",
    "least_energy": "* 相同工作量下能耗最低；各值均为与无上限之比",
    "cap_best": "相同工作量的能耗（{meter}）：{cap} 时最低（速度 {speed}，能耗 {energy}）",
    "over_no_cap": "与无上限之比",
    "characters_unseen": "本机没有字体能显示 {characters}，图中以方框代替；"
    "安装含有这些字的字体（如 Noto Sans CJK）后即可显示",
    # timeline
    "jobs_over_time": "作业时间线",
    "power_over_time": "功率随时间变化",
    "power_axis": "设施功率 [{unit}]",
    "power_limit": "功率上限",
    "taken_from_outside": "取自外部",
    "power_of_sites": "第 0 次模拟各站点从外部取用的设施功率 [MW]",
    "power_mean": "平均",
    "power_p": "{p} % 时间\n低于",
    "power_peak": "峰值",
    "power_step": "最大\n阶跃",
    "power_ramp": "{minutes:g} 分钟内\n最大变化",
    "pools_over_time": "资源池时间线",
    "time_since_start": "距开始的时间 [{unit}]",
    "run_0": "：第 0 次模拟",
    "first_rows": "，仅前 {n} 行（共 {n_all} 行）",
    "of_services": "服务",
    "in_the_queue": "排队",
    "held_over_time": "作业占用芯片的比例随时间的变化",
    "run_0_of_each": "各方案的第 0 次模拟",
    "height_is_all_chips": "；满高：全部芯片；灰色：无作业占用（至最后一个作业结束）",
    "mean_to_its_end": "至结束的均值",
    "deadline": "截止时间",
    # validation
    "measured_step_s": "实测单步用时 [s]",
    "predicted_over_measured": "预测值 / 实测值",
    # step
    "step_title": "{model}，{chips}，每步 {batch:,} 条序列、每条 {seq:,} token（共 {tokens:,}"
    " token），{precision}",
    "step_seconds": "单步用时 [s]",
    "step_seconds_and_band": "单步用时 [s]（横线：90 % 区间）",
    "step_band": "90 % 区间",
    "tokens_per_s": "token/s",
    "tokens_per_s_and_chip": "单卡 token/s",
    "ratio_of_tokens_per_s": "token/s 之比",
    "layout": "并行策略",
    "compute_s": "计算",
    "tp_s": "张量并行通信",
    "bubble_s": "流水线气泡",
    "pp_s": "流水线通信",
    "dp_s": "数据并行通信",
    "cp_s": "上下文并行通信",
    "ep_s": "专家并行通信",
    "host_s": "主机内存传输",
    "optimizer_s": "优化器更新",
    "memory_of": "显存 [GiB]，容量",
    "weights": "权重",
    "gradients": "梯度",
    "optimizer": "优化器状态",
    "activations": "激活值",
    "logits": "logits",
    "reserve": "预留",
    "memory_in_all": "合计",
    "from_to": "{low} 至 {high}",
    "best_layouts": "放得下的 {n_fitting:,} 种并行策略中最好的 {n} 种（共评估 {n_priced:,} 种）",
    "seconds_of_step": "单步 s",
    "ranks": "进程数",
    "fewer_chips_are_faster": "{chip}：{n_chips:,} 卡中只用 {n_used:,} 卡；在放得下且能整除批大小的"
    "并行策略中，用更多的卡不会更快",
    "price_rests_on": _price_rests_on,
    **FITTING_PHRASES,
    **JOB_LOG_PHRASES,
    **ANSWER_PHRASES,
    **PLANNING_PHRASES,
    **ENERGY_PHRASES,
    **MIXING_PHRASES,
    **SERVE_PLAN_PHRASES,
    **SERVICES_PHRASES,
    **PLACE_PHRASES,
}
