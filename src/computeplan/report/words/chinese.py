"""What notes say in Chinese: by code, a text with the names of values, or a function of them.

Long because it is a table. Terms: a case is 方案, a run 次模拟, a job 作业, a pool 资源池, the
closed form 闭式解, the cap of a run 时限, chip-hours 卡时.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from computeplan.physics.reliability import rate_forms
from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.search import in_parts
from computeplan.report.words.data_chinese import in_chinese
from computeplan.report.words.energy_chinese import ENERGY
from computeplan.report.words.fitting_chinese import FITTING
from computeplan.report.words.job_logs_chinese import JOB_LOGS
from computeplan.report.words.mixing_chinese import MIXING
from computeplan.report.words.places_chinese import PLACES
from computeplan.report.words.serve_plan_chinese import SERVE_PLAN
from computeplan.report.words.services_chinese import SERVICES
from computeplan.specs.uncertain import Factor
from computeplan.units import DAY_S, HOUR_S, KWH_J, MINUTE_S

__all__ = ["SENTENCES", "layout_words"]

Values = Mapping[str, Any]

# specs: notes on fault logs, behind the name of the kind that replays them
_OF_LOGS = {
    "log_sentence": "{text}",
    "log_without_ends": "日志没有故障的结束时间：修复时间未知。",
    "log_began_again": "{n} 次故障在结束之前又开始：其结束时间未知。",
    "log_without_start": "{n} 次故障只有结束、没有开始：它们在日志之前就已开始。",
    "log_slurm_states": "只有 NODE_FAIL 和 BOOT_FAIL 是节点故障；另外 {n} 个作业不是。",
    "log_slurm_no_repairs": "sacct 不记录节点离线多久：修复时间未知。",
    "log_slurm_unknown_node": "{n} 次故障属于多节点作业，没有说明是哪个节点：请让 sacct 输出"
    " FailedNode。",
    "log_slurm_no_duplicates": "没有重复的 JobID：如果 sacct 没有使用 -D，"
    "就会漏掉重新排队的作业的故障。",
    "log_slurm_events": "被排空的节点与宕机的节点一样计为故障：原因见各自的说明。",
    "log_slurm_clusters": "{n} 个事件属于整个集群，不是节点故障。",
    "log_fta_states": "只有不可用的时段（event_type 0）是故障；另外 {n} 行不是。",
    "log_unknown_node": "{n} 次故障没有说明是哪个节点，未计入。",
    "log_outside_window": "{n} 次故障在时间窗之外，未计入。",
    "log_down_at_first": "{n} 次故障在时间窗之前开始，未计入：其节点在起点视为正常。",
    "log_merged": "{n} 次故障发生时节点已经下线：各与前一次故障合并为一次。",
    "log_without_end": "{n} 次故障没有结束时间：其影响范围和时长由抽样得到。",
}
LEAST_SLOWER = 0.0005  # relative; what one digit of a percent shows
_CLASSES = {
    "NVIDIA to Ampere": " NVIDIA Ampere 及更早芯片",
    "NVIDIA Hopper and Ada": " NVIDIA Hopper、Ada 芯片",
    "NVIDIA Blackwell": " NVIDIA Blackwell 芯片",
    "Chinese accelerators": "国产芯片",
}
_CONFIDENCE = {
    "datasheet": "规格书",
    "paper": "论文",
    "benchmark": "基准测试",
    "press": "新闻报道",
    "recalled": "凭记忆，未核对",
    "user": "用户提供",
}
_STATES = {
    "compute": "计算",
    "comm": "通信",
    "load": "保存与加载",
    "context": "阻塞",
    "wait": "阻塞",
    "idle": "空闲",
    "node_overhead": "节点其余部分",
    "network": "网络",
}
_METERS = {"chip": "芯片、节点与网络", "accelerator": "加速器", "node": "节点"}
_SPEEDS = {"given": "场景中给定", "priced": "按并行策略计算"}
_LAYOUT = {
    "pieces": "虚拟流水线 {}",
    "micro_batch": "微批次 {}",
    "recompute": "{}重计算",
    "zero": "ZeRO-{}",
    "shard": "分片组 {}",
    "sequence_parallel": "不用序列并行",
    "stages": "各流水线段层数 {}",
    "offload": "{}存放于主机内存",
}
_VALUES = {
    "selective": "选择性",
    "full": "完全",
    "inputs": "层输入",
    "optimizer": "优化器状态",
    "both": "层输入与优化器状态",
}

LEAST_SHORT = 1e-4  # share of time that two digits of a percent show


_LEFT_OUT = {
    "log_left_cells": "单元格的位置无法确定（文本中有竖线或换行，或该行被截断）："
    "请去掉 JobName 等自由文本列",
    "log_left_entry": "形式与其他条目不同",
    "log_left_no_end": "没有结束时间：作业仍在运行，或其记录从未关闭（sacctmgr show runawayjobs）",
    "log_left_node": "节点名称无法读取",
    "log_left_order": "结束早于开始",
    "log_left_time": "时间无法读取：请用 --dates 说明格式，或用 --unit 说明单位",
}


def _rows_left(why: str) -> Callable[[Values], str]:
    def said(v: Values) -> str:
        kind = f"{v['kind']}：" if "kind" in v else ""
        rows = {"lines": "行", "entries": "条"}[v["counted_by"]]
        more = " 等" if v["n"] > len(v["first"]) else ""
        which = "、".join(map(str, v["first"]))
        return f"{kind}日志中有 {v['n']:,} {rows}未计入（第 {which} {rows}{more}）：{why}。"

    return said


def _of_log(words: str) -> Callable[[Values], str]:
    return lambda v: (f"{v['kind']}：" if "kind" in v else "") + words.format(**v)


def _like(text: str) -> str:
    """Return the kind of run that a utilisation was measured on (``MfuDefault.like``)."""
    return re.sub(r", seq (\d+), (\d+) chips, ", r"，序列长 \1，\2 卡，", text)


def _mfu_measured(v: Values) -> str:
    how = "估计自" if v["estimate"] else "实测自"
    remark = f"；{in_chinese(v['remark'])}" if v["remark"] else ""
    run = f"{_like(v['like'])}，{v['software']}［{v['source_title']}］"
    return f"{v['chip']} 的 MFU {v['mfu']:g} {how} {run}{remark}"


def _percent(share: float) -> str:
    return f" {100 * share:.2f} %" if share >= LEAST_SHORT else "不到 0.01 %"


def _times(low: float, high: float) -> str:
    return f"{low:g} 倍" if low == high else f"{low:g} 至 {high:g} 倍"


def _batches_rounded(v: Values) -> str:
    jobs = (f"{job} {n} 条（{n * seq:,} token）" for job, n, seq in v["jobs"])
    return f"批大小已取整为整条序列：{'，'.join(jobs)}"


def _faults_of_other_chip(v: Values) -> str:
    how = "每次模拟抽取一次，对数均匀分布" if v["low"] < v["high"] else "每次模拟相同"
    times = _times(v["low"], v["high"])
    kinds = "、".join(v["kinds"])
    known = f"{v['chip']} 的故障率未知：{kinds} 按 {v['other']} 的"
    if v["is_assumed"]:
        return f"{known} {times}（假设；{how}），可用 {v['path']}.fault_factor 设定"
    return f"{known} {times}（给定；{how}）"


def _faults_left_out(v: Values) -> str:
    own, left_out = "、".join(v["own"]), "、".join(v["left_out"])
    return f"资源池 {v['pool']} 有自己的故障类型（{own}）：在其他芯片上观测的不用于它（{left_out}）"


def _not_like_for_like(v: Values) -> str:
    kinds = sorted(_SPEEDS.get(kind) or _like(kind) for kind in v["kinds"])
    return f"不可直接比较：各方案的 MFU 来自不同的训练（{'；'.join(kinds)}）"


def layout_words(layout: Layout, only: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what there is to say of a single layout, or of some fields of it, a part each."""

    def said(value: object) -> str:
        first, *rest = str(value).split(" ", 1)
        return " ".join((_VALUES.get(first, first), *rest))

    return tuple(
        _LAYOUT.get(name, f"{name.upper()} {{}}").format(said(value))
        for name, value in in_parts(layout, only)
    )


def _new_in_kind(v: Values) -> str:
    new = "、".join(layout_words(Layout.of(**dict(v["layout"])), v["new"]))
    return (
        f"{v['chip']}：{_of_class(v['chips'])}的 {v['n_runs']} 组公开训练数据都没有用过 {new}，"
        "其单步用时属于类型上的外推"
    )


def _within_error(v: Values) -> str:
    slower = f"，比最快的慢 {v['slower']:.1%}" if v["slower"] >= LEAST_SLOWER else ""
    return (
        f"{v['chip']}：误差以内（两种并行策略之间 {math.expm1(v['error']):.0%}）："
        f"{v['n']:,} 种策略；取其中最接近{_of_class(v['chips'])}公开训练数据的一种{slower}"
    )


def _of_class(name: str) -> str:
    return _CLASSES.get(name, f" {name} ")


def _mfu_outside_band(v: Values) -> str:
    how = f"该次训练使用 {v['software']}"
    if v["layout"] is not None:
        how += f"，{'、'.join(layout_words(Layout.of(**dict(v['layout']))))}"
    return (
        f"{v['chip']}：同类模型的实测 MFU {v['mfu']:.3g}（{_like(v['like'])}）"
        "在所选并行策略的区间之外"
        f"（{v['low']:.3g} 至 {v['high']:.3g}，框架选项取自 {v['framework']}）：{how}"
    )


def _chips_unused(v: Values) -> str:
    other = "换一个批大小或许可以"
    if v.get("batch_of_all"):
        other = f"批大小为 {v['batch_of_all'] / 1e6:.3g} Mtoken 时可全部用上"
    return (
        f"{v['job']} 只用 {v['chip']} 的 {v['n_chips']:,} 卡中的 {v['n_used']:,} 卡："
        f"{v['n_sequences']} 条序列和模型层数无法整除得更好，{other}"
    )


def _step(v: Values) -> str:
    beyond = f"，外推 {v['extrapolated']:.3g} 倍" if v["extrapolated"] > 1 else ""
    layout = "、".join(layout_words(Layout.of(**dict(v["layout"]))))
    return (
        f"单步用时 {v['step_s']:.4g} s（90 % 区间 {v['low_s']:.3g} 至 {v['high_s']:.3g}{beyond}），"
        f"{v['n_chips']:,} 卡 {v['chip']}：{layout}"
    )


def _layout_checks_speed(v: Values) -> str:
    step, given_s = dict(v["step"]), v["given_s"]
    where = "之内" if step["low_s"] <= given_s <= step["high_s"] else "之外"
    priced = f"在其并行布局估算的 90 % 区间{where}：{_step(step)}"
    return f"{v['job']}：按给定速度每步 {given_s:.3g} 秒，{priced}"


def _steps(v: Values) -> str:
    told = [f"{job}：{_step(dict(step))}" if job else _step(dict(step)) for job, step in v["steps"]]
    return "；".join([*told, *([f"另有 {v['n_more']} 个"] if v["n_more"] else [])])


def _chips(v: Values) -> str:
    pools = [
        f"{pool}：{n_chips:,} 卡 {chip}" + (f"，备用节点 {n_spare:,} 个" if n_spare else "")
        for pool, n_chips, chip, n_spare in v["pools"]
    ]
    return "；".join([*pools, *(f"{'、'.join(near)} 共用备用节点" for near in v["sharing"])])


def _meters(v: Values) -> str:
    return "；".join(
        f"设施总用电 = {_METERS.get(at, at)}用电 × PUE {pue:g}" for at, pue in v["meters"]
    )


def _mfus(v: Values) -> str:
    return "MFU：" + "；".join(dict.fromkeys(f"{pool} 为 {mfu:.3g}" for mfu, pool in v["mfus"]))


def _fault_rates(v: Values) -> str:
    """Say the rates of each pool in the three forms people use, and the MTBF of a single job."""
    pools = []
    for pool, per_node, kinds, factors, job in v["pools"]:
        texts = []
        for kind, rate in kinds:
            if rate is None:
                texts.append(f"{kind}：按日志重放")
                continue
            forms = rate_forms(rate, per_node, 1)
            texts.append(
                f"{pool} 的 {kind}：单卡 MTBF {forms.chip_mtbf_s / (1000 * HOUR_S):.3g} 千小时，"
                f"单节点 {forms.node_mtbf_s / DAY_S:.4g} 天，"
                f"每千节点天 {forms.per_1000_node_days:.3g} 次"
            )
        texts += [_factor(*factor) for factor in factors]
        if job is not None:
            rate, n_nodes = job
            hours = rate_forms(rate, per_node, n_nodes).job_mtbf_s / HOUR_S
            shown = f"{hours:.2f}" if hours < 1e6 else f"{hours:.3g}"
            texts.append(f"作业 MTBF {shown} 小时")
        pools.append("，".join(texts))
    return "；".join(text for text in dict.fromkeys(pools) if text)


def _factor(kinds: tuple[str, ...], low: float, high: float, chip: str, is_assumed: bool) -> str:
    mean = f"，均值 {Factor(low, high).mean:.3g}，已用于上面" if low < high else ""
    mark = "假设" if is_assumed else "给定"
    return f"{'、'.join(kinds)} 为 {chip} 的 {_times(low, high)}（{mark}{mean}）"


def _saving(v: Values) -> str:
    if v["interval_s"] is None:
        return "从不保存检查点"
    return f"每训练 {v['interval_s'] / MINUTE_S:.3g} 分钟保存一次检查点"


def _closed_form(v: Values) -> str:
    parts = [f"保存与故障 {v['unblocked_frac']:.4f}"]
    if v["stopped_frac"]:
        parts.append(f"计划停机之外 {1 - v['stopped_frac']:.4f}（每次按平均时长加半次保存计）")
    if v["blocked_frac"] >= LEAST_SHORT:
        parts.append(f"训练期间不缺节点 {1 - v['blocked_frac']:.4f}")
    product = f"（{' × '.join(parts)}）" if len(parts) > 1 else ""
    days = f"训练时长 {v['days_to_train']:,.4g} 天"
    if (ends := v.get("days_of_inputs")) is not None:
        days += f"（仅因输入不确定：{ends[0]:,.3g} 至 {ends[1]:,.3g} 天）"
    if v["least_ettr"] is not None:
        days += "或更长"
        product += f"；修复可能比训练还久，ETTR 可低至 {v['least_ettr']:.4f}"
    return f"闭式解：ETTR {v['ettr']:.4f}，{days}{product}；{_saving(v)}"


def _lacking(v: Values) -> str:
    """Say how often a node is lacking: in the long run, and over a run from every node up."""
    crews = "假设维修不必排队"
    long_run = f"按闭式解，长期有{_percent(v['long_run_frac'])} 的时间缺少节点"
    if v["long_run_frac"] < LEAST_SHORT:
        return f"{long_run}（{crews}）"
    return (
        f"{long_run}（ETTR {v['long_run_ettr']:.4f}）；这 {v['run_s'] / DAY_S:.3g}"
        f" 天从全部节点正常开始，"
        f"其间为{_percent(v['run_frac'])}（{crews}）"
    )


# analytic

_NO_CLOSED_FORM = {
    "several_jobs": "{about} 个作业可能互相等待",
    "arrives_later": "后到的作业可能要排队",
    "several_pools": "作业可放在 {about} 个资源池，由调度策略决定",
    "share_spares": "各资源池共用备用节点",
    "services": "服务在作业之外占用芯片（{about}）",
    "caps_power": "调度策略 {about} 把作业限制在功率上限之内",
    "power_limit": "站点功率到上限时作业要让出功率",
    "moves": "作业的数据在另一个站点",
    "pauses": "调度策略 {about} 会让作业暂停",
    "replay": "{about}：按日志重放",
    "shrinks": "作业减少副本后继续训练",
    "tiers": "检查点保存到多级存储",
    "slows": "{about}：有节点拖慢作业",
    "throttle": "速度随一天中的时间变化",
    "slower_across": "速度取决于作业的节点所在的组",
    "memory": "{about}：有记忆的分布",
    "lemons": "{about}：节点之间故障率不同",
    "relapse": "{about}：故障会复发",
    "found_late": "{about}：损坏过后才被发现",
    "groups": "一次故障可影响多个节点",
    "crews": "维修可能要等人手",
    "retire": "节点会退役",
    "booting_spares": "备用节点要过一段时间才能训练",
    "busy_repairs": "使节点下线的故障，有的按日历时间、有的按忙碌时间发生",
    "rolling": "{about}：节点轮流下线",
    "listed_stops": "{about}：计划停机的时间逐一给定",
    "late_stops": "{about}：第一次计划停机较晚",
    "never_saves": "从不保存的作业要么全部完成，要么全部丢失，取决于时限",
    "stops_all_the_time": "计划停机首尾相接，中间没有训练时间",
}
_MOST_TOLD = 3
_BESIDE = {
    "expected": "闭式解",
    "agreement": "与闭式解的对比",
    "break_even": "芯片之间的临界故障率",
}


def _why_not(v: Values) -> str:
    return _NO_CLOSED_FORM.get(v["why"], "不含 {path}").format(**v)


def _beside_failed(v: Values) -> str:
    return (
        f"{_BESIDE[v['what']]}未能算出（{v['error']}：{v['why']}）：这是 computeplan 的缺陷，"
        "请反馈；模拟得到的数字不受影响"
    )


def _departs(v: Values) -> str:
    both = {
        "ettr": "ETTR 模拟值 {:.4f}，闭式解 {:.4f}",
        "days": "训练时长模拟值 {:,.4g} 天，闭式解 {:,.4g} 天",
    }
    told = _told(f"{name}：{both[unit].format(*two)}" for name, unit, *two in v["cases"])
    return (
        f"警告：模拟与闭式解不符：{told}。差距超过 {v['sigmas']:g} 个标准误与闭式解所忽略的部分"
        "（停机与故障的相互影响、首尾两段）之和；查明原因之前，两者都不可信"
    )


def _not_the_long_run(v: Values) -> str:
    told = _told(
        f"{name}：ETTR 模拟值 {pace:.4f}，闭式解的长期值 {long_run:.4f}"
        for name, pace, long_run in v["cases"]
    )
    return (
        "警告：不是长期值：每次模拟都从全部节点正常开始，结束时在修节点数还未达到稳态；"
        f"长期运行的机群更常缺少节点：{told}"
    )


def _told(texts: Iterable[str]) -> str:
    cases = [*texts]
    more = len(cases) - _MOST_TOLD
    return "；".join(cases[:_MOST_TOLD]) + (f"；另有 {more} 个方案" if more > 0 else "")


def _break_even(v: Values) -> str:
    chip, base, ratio = v["chip"], v["base"], v["ratio"]
    how = f"（方案“{v['case']}”与“{v['base_case']}”；闭式解，不计缺少节点的时间）"
    alike = "，对单个机群而言，在步时间的 90 % 区间内无法区分两者" if v.get("overlaps") else ""
    if ratio is None:
        return f"无论故障多么少，{chip} 的训练时长都赶不上 {base}{alike}{how}"
    band = ""
    if (ends := v.get("band")) is not None:
        low, high = (f"{end:.3g} 倍" if end is not None else "无解" for end in ends)
        band = f"（按步时间的 90 % 区间：{low}至 {high}）"
    here = f"{'假设' if v['is_assumed'] else ''}为 {v['here']:.3g} 倍{alike}"
    as_often = f"当 {chip} 的节点故障率为 {base} 的 {ratio:.3g} 倍{band}时"
    return f"{as_often}，两者训练时长相同；这里{here}{how}"


def _beyond(v: Values, reason: str) -> str:
    return f"训练时长只知道超过 {v['cut_days']:.4g} 天（模拟在此截止），不作外推：{reason}"


SENTENCES: dict[str, str | Callable[[Values], str]] = {
    # two results side by side
    "other_currency": "A 的金额为 {a}，B 的为 {b}；请把 currency 设为相同",
    "other_work": "工作量不同：A 为 {a}，B 为 {b}",
    "one_unfinished": "{which} 结束时仍有工作未完成，另一个已完成；请延后或去掉 {key}",
    "other_end": "工作未完成，且 A 止于 {key_a} {a}，B 止于 {key_b} {b}",
    "case_alone": "只有 {of} 有方案 {case}",
    "quoted": lambda v: in_chinese(v["text"]),
    # models
    "language_model_only": "{model}：只计语言模型，不计处理图像或声音的部分",
    "mtp_apart": "{model}：{n} 个额外预测层（多词元预测）单独计数："
    "不在参数量内；作业不训练它们时也不在 FLOP 内",
    # chips and speeds
    "chip_is_estimate": "{chip}：芯片参数为估计值",
    "peak_is_estimate": lambda v: (
        f"{v['chip']}：{v['precision']} 峰值算力为估计值（{_CONFIDENCE[v['confidence']]}）"
    ),
    "tdp_is_estimate": lambda v: f"{v['chip']}：TDP 为估计值（{_CONFIDENCE[v['confidence']]}）",
    "speeds_without_band": lambda v: (
        f"{'，'.join(v['jobs'])}：速度未给出 90 % 区间，按准确值处理；区间可写作 0.40 +- 0.03"
    ),
    "layout_checks_speed": _layout_checks_speed,
    "layout_not_priced": "{job}：其并行布局在 {chip} 上无法估算，不能用来核对速度：{why}",
    "inputs_fixed": "输入取固定值：步时间取估算值或给定值，其他芯片的故障率取倍数的平均值；"
    "这些结果不含输入本身的不确定性",
    "batches_rounded": _batches_rounded,
    "batch_of_decimal_prefix": lambda v: (
        f"{v['job']}：批大小 {v['times']} {v['prefix']}token 取整为 {v['n']:,} 条长 {v['seq']:,}"
        f" 的序列；{v['times']} {v['prefix'].upper()}itoken 正好是 {v['n_binary']:,} 条"
    ),
    "seq_beyond_context": "{job}：序列长 {seq:,} 超过 {model} 的上下文 {context:,} token，"
    "确实如此吗？",
    "holds_whole_nodes": "{job} 占用 {pool} 的整节点：需 {n_chips} 卡，占用 {n_held} 卡",
    "service_holds_whole_nodes": "{path}：{n:,} 卡不是整节点，为此占用 {held:,} 卡",
    "service_spread_assumed": "{path}：长度的离散程度为假设值，请求的变异系数 {cv_in}，"
    "回答 {cv_out}，取自 2023 年公开的对话记录；请写明各自的变异系数",
    "quota_beyond_pool": "{path}：{n:,} 卡多于资源池的 {has:,} 卡，配额不起限制作用；最多写 {has}",
    "quota_of_whole_nodes": "{path}：{n:,} 卡不是整节点（每节点 {size} 卡），按 {held:,} 卡计；"
    "请写 {size} 的倍数",
    "chips_unused": _chips_unused,
    "step_rests_on": "{chip} {precision}：单步用时依据 {n_runs} 组公开训练数据（{family}），最多"
    " {largest:,} 卡",
    "experts_not_fitted": "{chip}：没有可拟合的 MoE 模型公开训练数据，借用 {other} 芯片的数值",
    "expert_switches": lambda v: (
        f"MoE：分发 {v['dispatcher']}，通信重叠{'开' if v['overlap'] else '关'}，计算图捕获"
        f"{'全部' if 'full' in v['graphs'] else '+'.join(v['graphs']) or '无'}，分组矩阵乘 "
        f"{v['grouped']}；作业给出或 {v['framework']} 的通常设置"
    ),
    "software_not_fitted": "{framework}：这类芯片上没有此类软件（{stack}）的公开训练数据，"
    "每个核的损耗时间借用 {other}",
    "few_fit_without_host": "{chip}：仅靠芯片显存几乎没有可用的并行策略：按通行做法使用主机内存"
    "（存放：{what}），每卡 25 GB/s（估计值）",
    "long_sequences": "长序列跨多个上下文并行进程：torchtitan 的公开训练用时可达所给值的 1.9 倍",
    "new_in_kind": _new_in_kind,
    "within_error": _within_error,
    "mfu_above_published": lambda v: (
        f"{v['chip']}：MFU {v['mfu']:.3g} 高于{_of_class(v['chips'])}已发表的最高值 {v['best']:.3g}"
        f"（{v['of']}）"
    ),
    "mfu_outside_band": _mfu_outside_band,
    "numbers_of_other_family": "{chip}：没有 {precision} 的公开训练数据，借用 {family}"
    " 的拟合参数（估计值）",
    "products_of_other_chip": "{chip}：矩阵乘法效率取自 {other} 的实测（估计值）",
    "links_of_other_chip": "{chip}：互联利用率取自 {other} 的实测（估计值）",
    # watts, price
    "watts_by_state": lambda v: (
        f"{v['chip']}：各状态功率中，{'、'.join(_STATES[s] for s in v['estimates'])}的功率"
        "以及维修时的 0 W 为估计值"
    ),
    "training_mix": lambda v: (
        f"资源池 {v['pool']}：训练时每芯片 {v['chip_w']:.0f} W，其中 {_percent(v['exposed_frac'])}"
        "的时间在等待通信"
        + (
            "，由单步耗时的计算得出"
            if v["is_priced"]
            else "，未计算单步耗时的作业取常见比例（估计值）"
        )
    ),
    "no_tdp": "{chip}：没有公布 TDP；给出资源池的功率后才能计算能耗",
    "no_tdp_of_own_chip": "{chip}：没有 TDP，因此没有能耗；请在芯片文件中填写 {field}，"
    "或给出资源池的功率",
    "watts_as_of_compute": lambda v: (
        f"资源池 {v['pool']}：{'、'.join(_STATES.get(s, s) for s in v['states'])}时"
        f"的功率按计算时的取值"
        "（估计值）"
    ),
    "exchange_rate": lambda v: (
        f"汇率（给定，{v['on'] or '未注明日期'}）：1 元 = {v['usd_per_cny']:.4g} 美元，1 美元 ="
        f" {1 / v['usd_per_cny']:.4g} 元"
    ),
    "price_is_high": lambda v: (
        f"站点 {v['site']}：电价 {v['per_j'] * KWH_J:.4g} {v['currency']}/kWh 过高"
        f"（超过 {v['usual_per_j'] * KWH_J:g}），单位写对了吗？"
    ),
    "carbon_is_high": lambda v: (
        f"站点 {v['site']}：碳强度 {v['kg_per_j'] * KWH_J:.4g} kg/kWh 高于任何电网"
        f"（超过 {v['usual_kg_per_j'] * KWH_J:g}），单位写对了吗？"
    ),
    "no_price": "站点 {site} 没有电价：不计算费用，租金也不计",
    # faults, stops, saves
    "faults_of_other_chip": _faults_of_other_chip,
    "faults_left_out": _faults_left_out,
    "factor_unused": "{path}.fault_factor 不起作用：没有故障率来自其他芯片",
    "stops_without_end": "planned.{stop}：停机时长不短于停机间隔，{pool} 上的作业几乎无法训练",
    "mixed_across_sites": lambda v: (
        f"{v['job']} 可同时在多个站点上运行（{'、'.join(v['sites'])}），"
        "效率取自场景；用 only 可指定资源池或芯片"
    ),
    "mixed_over_uplink": lambda v: (
        f"{v['job']} 可同时在多个站点上运行（{'、'.join(v['sites'])}），各站点持有完整副本："
        f"每步 {v['step_s']:.3g} s 之后等待 {v['wait_s']:.3g} s 汇总梯度，"
        f"每个站点以 {v['bytes_per_s'] * 8 / 1e9:,.6g} Gbit/s 发送"
        f" {v['n_bytes'] / 1e9:,.0f} GB"
        + (f"，线路时延 {v['latency_s'] * 1e3:.3g} ms" if v["latency_s"] else "")
        + f"；各占一半时，速度为分开训练之和的 {v['frac']:.3g}"
        + ("" if v["latency_s"] else "；未写 mixed.distance，不计时延")
    ),
    "mixed_efficiency": "{job}：同时用多种芯片时，训练速度为各芯片单独训练之和的 {frac:.3g}"
    "（取自场景；可用 computeplan mix 估算）",
    "shrinks_in_proportion": "{job}：假设副本减少时训练按比例变慢，批大小不变",
    "tiers_alone": "{job}：假设各级检查点独占其存储",
    # all cases of a study
    "unfinished": "到时限时仍有作业未完成：各项总量只计到时限，不是完成全部工作的总量",
    "power_capped": lambda v: (
        "作业按功率上限放慢"
        + (
            f"；{'、'.join(v['estimates'])} 的速度随功率按比例下降是估计"
            if v["estimates"]
            else "，速度按实测的上限曲线"
        )
    ),
    "not_like_for_like": _not_like_for_like,
    # why a case has no result
    "case_not_reached": "未算完：运行被中止",
    "case_lost_worker": "一个工作进程被终止，可能是内存不足；请减少 --workers 或 --runs",
    "case_out_of_memory": "内存不足；请减少 --workers 或 --runs",
    "case_failed": "{why}",
    "case_broke": "{error}：{why}。这是 computeplan 的缺陷；用 --debug 查看位置",
    # facts of a case
    "chips": _chips,
    "meters": _meters,
    "fault_rates": _fault_rates,
    "mfus": _mfus,
    "step": _step,
    "steps": _steps,
    "no_end": lambda v: f"按闭式解训练无法完成；{_saving(v)}",
    "closed_form": _closed_form,
    "lacking": _lacking,
    "saves_at_best": lambda v: f"每 {v['interval_s'] / MINUTE_S:.3g} 分钟保存",
    "spares_needed": lambda v: (
        f"缺少节点的时间低于 {100 * v['lacking_frac']:g} % 所需的备用节点：本次运行"
        f" {v['n_run']:,}，长期运行 {v['n_long_run']:,}"
    ),
    # fitting and validation
    **FITTING,
    **ENERGY,
    **MIXING,
    **SERVE_PLAN,
    **SERVICES,
    **PLACES,
    # specs
    "mfu_measured": _mfu_measured,
    **{code: _of_log(words) for code, words in _OF_LOGS.items()},
    **{code: _rows_left(why) for code, why in _LEFT_OUT.items()},
    **JOB_LOGS,
    # analytic
    "carried_on": "{n_runs:,} 次模拟的训练时长由前 {cut_days:.4g} 天外推：按闭式解，之后的进度不变",
    "beyond_several_jobs": lambda v: _beyond(v, f"{v['n_jobs']} 个作业可能互相等待"),
    "beyond_no_closed_form": lambda v: _beyond(
        v, f"没有闭式解能说明之后的进度是否不变（{_why_not(v)}）"
    ),
    "beyond_not_steady": lambda v: _beyond(
        v, f"长期有{_percent(v['blocked_frac'])} 的时间缺少节点，截止之前则较少"
    ),
    "beyond_too_short": lambda v: _beyond(v, "截止之前故障或保存太少，无法判断进度"),
    "no_closed_form": lambda v: f"没有闭式解：{_why_not(v)}",
    "no_break_even": "没有临界故障率：其闭式解不含 {path}",
    "beside_failed": _beside_failed,
    "departs_from_closed_form": _departs,
    "not_the_long_run": _not_the_long_run,
    "break_even": _break_even,
}
