"""What is said of places of the catalogue, in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from computeplan.report.words.places_english import amount
from computeplan.units import HOUR_S

__all__ = ["PLACES", "PLACE_PHRASES"]

Values = Mapping[str, Any]

_BANDS = {"sharp": "尖峰", "peak": "高峰", "flat": "平段", "valley": "低谷", "deep": "深谷"}


def _hours(v: Values) -> str:
    bands = "，".join(f"{_BANDS.get(band, band)} {hours}" for band, hours in v["bands"])
    return f"{v['months']} 月：{bands}"


_NAMES = {"pue": "PUE", "carbon": "碳强度", "price": "电价", "power_limit": "功率上限"}
_BASES = {
    "measured": "实测",
    "target": "所属枢纽的目标值，并非实测",
    "usual": "没有更近的数字",
    "carbon": "电网平均",
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


PLACES: dict[str, str | Callable[[Values], str]] = {
    "of_place": _of_place,
    "estimate_of_place": _estimate_of_place,
    "not_of_place": _not_of_place,
    "price_needs_rate": "站点 {site}：站点库的电价以 {currency} 计，未给出汇率，不计算费用",
    "carbon_bases": _carbon_bases,
    "varies": _varies,
    "start_assumed": "未给出 {key}，站点的变化从 1 月 1 日零时起算",
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
