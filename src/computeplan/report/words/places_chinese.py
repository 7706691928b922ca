"""What is said of places of the catalogue, in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from computeplan.quantities import significant
from computeplan.report.words.places_english import amount, bar_unit, ranks
from computeplan.units import HOUR_S

__all__ = ["PLACES", "PLACE_PHRASES"]

Values = Mapping[str, Any]

_BANDS = {"sharp": "尖峰", "peak": "高峰", "flat": "平段", "valley": "低谷", "deep": "深谷"}


def _hours(v: Values) -> str:
    bands = "，".join(f"{_BANDS.get(band, band)} {hours}" for band, hours in v["bands"])
    return f"{v['months']} 月：{bands}"


_NAMES = {
    "pue": "PUE",
    "carbon": "碳强度",
    "price": "电价",
    "power_limit": "功率上限",
    "demand_charge": "每月需量电价",
    "building": "建筑与机电造价",
    "purchase": "购置价",
    "embodied": "隐含碳",
    "residual_carbon": "未签绿电合同电量的碳强度",
    "water_on_site": "现场用水强度",
    "water_off_site": "发电用水强度",
}
_BASES = {
    "measured": "实测",
    "target": "所属枢纽的目标值，并非实测",
    "usual": "没有更近的数字",
    "carbon": "电网平均",
    "demand": "公布电价",
    "residual_carbon": "剩余组合因子，市场法",
    "on_site": "按机房设备能耗计",
    "off_site": "按站点能耗计",
    "posted": "公布电价，含负荷率 {load:.0%} 下的需量电费",
    "energy": "公布电价",
    "paid": "据报的协议价",
    "press": "媒体报道的协议价",
    "aim": "目标协议价，并非实付",
}
_GASES = {"CO2": "二氧化碳", "CO2e": "CO2e", "life-cycle CO2e": "全生命周期 CO2e"}


def _of_place(v: Values) -> str:
    basis = "，".join(filter(None, (_BASES[v["basis"]].format(load=v["load"]), v["when"])))
    return (
        f"站点 {v['site']}：{_NAMES[v['what']]} {amount(v, v['value'])} 取自站点库中的"
        f" {v['place']}（{basis}）"
    )


def _estimate_of_place(v: Values) -> str:
    low, high = (amount(v, v[end]) for end in ("low", "high"))
    middle = "，取中值" if v["is_middle"] else ""
    return f"{_of_place(v)}：估计值，{low}～{high}{middle}"


def _not_of_place(v: Values) -> str:
    left = {"price": "不计算费用", "carbon": "不计算碳排放"}.get(v["what"], "")
    return f"站点 {v['site']}：站点库中没有 {v['place']} 的{_NAMES[v['what']]}，{left}"


def _carbon_bases(v: Values) -> str:
    said = "、".join(f"{site} {_GASES.get(basis, basis)}" for site, basis in v["sites"])
    return f"各站点碳强度的口径不同，不可直接比较：{said}"


def _embodied(v: Values) -> str:
    low, value, high = (f"{v[end] * HOUR_S:.4g}" for end in ("low", "value", "high"))
    return f"芯片池 {v['pool']}：隐含碳为估计值，每卡时 {value} kg，范围 {low}～{high}"


def _reported(v: Values) -> str:
    low, high = (f"{v[end]:,.0f}" for end in ("low", "high"))
    return (
        f"芯片池 {v['pool']}：{v['chip']} 按报道价格的中值 {v['value']:,.0f} {v['currency']} 计"
        f"（{low}～{high}），不含服务器与网络"
    )


def _varies(v: Values) -> str:
    low, mean, high = (amount(v, v[end]) for end in ("low", "mean", "high"))
    how = {
        "factor": f"按{v['origin'] or '方案'}写明的时段",
        "degC": f"随 {v['origin']} 的室外气温，变化关系为估计",
    }.get(v["by"], f"按 {v['origin']}")
    return (
        f"站点 {v['site']}：{_NAMES[v['what']]} {how}在 {low}～{high} 之间变化，平均 {mean}，每"
        f" {v['period_s'] / HOUR_S:,.4g} 小时重复"
    )


_ACCOUNTS = {
    "energy": "能耗",
    "cost": "费用",
    "carbon": "碳排放（位置法）",
    "carbon_market": "碳排放（市场法）",
    "embodied": "隐含碳",
    "water": "用水",
}


def _estimates_of_sites(v: Values) -> str:
    aims = f"，{v['n_aims']} 个是未经实测的目标值" if v["n_aims"] else ""
    return (
        f"各情形所依据的 {v['n']} 个站点与芯片数字中，{v['n_estimates']} 个是带范围的估计值{aims}"
    )


def _ranking(v: Values) -> str:
    shown = ranks(v, "{text} < {second}（{share}）")
    n_unsure = sum(not is_sure for *_, is_sure in v["neighbours"])
    holds = (
        f"{len(v['neighbours'])} 对相邻名次中有 {n_unsure} 对在站点估计值范围内可能互换"
        if n_unsure
        else "在站点估计值范围内始终不变"
    )
    return (
        f"按{_ACCOUNTS[v['account']]}排序：{holds}；由低到高，"
        f"括号内为保持排在前一情形之后的范围占比：{shown}"
    )


def _ranges(v: Values) -> str:
    said = []
    for account, value, low, high, told in v["accounts"]:
        each = "，".join(
            f"{place} 的{_NAMES[what]} {significant(a, 4)}～{significant(b, 4)}"
            for what, place, a, b in told
        )
        said.append(
            f"{_ACCOUNTS[account]} {significant(value, 4)} {bar_unit(v, account)}，合计范围"
            f" {significant(low, 4)}～{significant(high, 4)}（{each}）"
        )
    return f"在站点估计值范围内：{'；'.join(said)}"


PLACES: dict[str, str | Callable[[Values], str]] = {
    "of_place": _of_place,
    "estimate_of_place": _estimate_of_place,
    "not_of_place": _not_of_place,
    "estimates_of_sites": _estimates_of_sites,
    "ranking_asked": _ranking,
    "ranking_beside": _ranking,
    "ranges_of_case": _ranges,
    "price_needs_rate": "站点 {site}：站点库的电价以 {currency} 计，未给出汇率，不计算费用",
    "carbon_bases": _carbon_bases,
    "varies": _varies,
    "embodied_is_estimate": _embodied,
    "price_is_reported": _reported,
    "no_reported_price": "芯片池 {pool}：没有 {chip} 的报道价格，不计购置费用",
    "demand_of_peak": "站点 {site}：需量电费按每个自然月的最高功率计（作业占用的芯片全部训练，"
    "PUE 取当时值），不足一月的按运行所占比例折算",
    "battery_unused": "站点 {site}：全部节点的功率始终低于功率上限，电池不参与运行",
    "no_residual": "站点 {site}：购买绿电，但其余电量的碳强度未知，不计市场法碳排放",
    "start_assumed": "未给出 {key}，站点的变化与计费月份从 1 月 1 日零时起算",
}

PLACE_PHRASES: dict[str, str | Callable[[Values], str]] = {
    "place": "站点",
    "place_chinese": "中文名",
    "place_kind": "类别",
    "place_carbon": "碳强度\ng/kWh",
    "place_pue": "PUE",
    "place_posted": "公布电价\n/kWh",
    "place_contracted": "协议电价\n/kWh",
    "place_country": "国家",
    "place_province": "省级",
    "place_state": "州",
    "place_grid": "电网",
    "place_hub": "枢纽",
    "place_cluster": "集群",
    "place_site": "站点",
    "place_foot": "~ 为估计值。公布电价按平稳负荷计，含负荷率 {load} 下的需量电费。\n"
    "碳强度：中国为二氧化碳，各国为全生命周期 CO2e，美国各州为 CO2e，彼此不可直接比较。\n"
    "某站点的全部数字与出处：{command}",
    "place_also": "又称：{names}",
    "place_is": "类别：{kind}",
    "place_of_hub": "枢纽：{hub}",
    "place_clusters": "集群：{names}",
    "place_otherwise": "此处没有的数字取自：{name}",
    "place_holds": "适用于此的数字；方案中同名站点未写明的也取这些",
    "place_row_pue": "PUE",
    "place_row_carbon": "碳强度（{basis}）",
    "place_row_residual": "碳强度（未签绿电合同的电量）",
    "place_row_posted": "公布电价",
    "place_row_contracted": "协议电价",
    "place_row_on_site": "现场用水",
    "place_row_off_site": "发电用水",
    "place_measured": "实测",
    "place_target": "目标",
    "place_usual": "通常",
    "place_paid": "据报实付",
    "place_press": "媒体报道",
    "place_aim": "目标价，并非实付",
    "place_of": "取自 {name}",
    "place_limits": "{low}～{high}",
    "place_with_demand": "含需量电费，负荷率 {load}",
    "place_figure": "数字",
    "place_value": "数值",
    "place_when": "时间",
    "place_evidence": "依据",
    "place_by_read": "原文",
    "place_by_secondary": "转述",
    "place_by_estimate": "估计",
    "place_by_recalled": "凭记忆",
    "place_note": "说明",
    "place_hours": "分时时段，{name}：{document}",
    "place_season": _hours,
    "place_multipliers": "浮动部分的倍数：{bands}",
    "place_floats_energy": "只有购电价格浮动",
    "place_floats_user": "扣除基金后的全部电价浮动",
    "place_floats_unsaid": "未说明哪一部分浮动",
    "place_climate": "各月平均气温（℃），{name}，{when}：{months}",
    "place_sources": "出处（~ 为估计值：没有文件给出该数字）",
}
