"""What is said of services that state their requests, in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SERVICES", "SERVICES_PHRASES"]

Values = Mapping[str, Any]

_KNOWN = {
    "chip": "速度由该引擎、精度与芯片的公开数据拟合",
    "precision": "速度借用其他芯片的数据（{of}），区间更宽",
    "engine": "速度借用其他精度的数据（{of}），区间更宽",
    "none": "速度借用其他引擎的数据（{of}），为估计值，区间很宽",
    "table": "单步用时取自所给表格",
}

_UNITS = {"chip": "卡", "request/s": "次请求/秒（含余量与备件）"}
_LESS = {"chip": "请减少卡数，或增大资源池", "request/s": "请增大资源池，或增加资源池"}


def _s(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _time(what: str, found: tuple[float, ...]) -> str:
    value, low, high, frac = found
    return f"{what} {_s(value)}（{100 * frac:g} % 分位，{_s(low)} 至 {_s(high)}）"


def _on_pool(v: Values) -> str:
    watts = {
        None: "",
        True: "；推理功率由其他芯片估计",
        False: "；推理功率由该芯片的数据拟合",
    }[v["is_draw_borrowed"]]
    limits = "在时延要求内" if v["has_limit"] else "没有时延要求，"
    band = f"90 % 区间 {v['low_per_s']:.3g} 至 {v['high_per_s']:.3g}"
    if v["known"] == "table":
        band = "按所给，无区间"
    # Instances of prompts give no further token, those of answers no first one.
    whats = (("首 token 时间", v["ttft_s"]), ("其后每 token", v["tpot_s"]))
    times = "，".join(_time(what, found) for what, found in whats if found is not None)
    missed = f"，{100 * v['missed_frac']:.2g} % 的请求超出时延要求" if v["has_limit"] else ""
    return (
        f"{v['service']} 在 {v['pool']}：一个实例为 {v['n_chips']:,} × {v['chip']}"
        f"（{v['layout']}，{v['engine']}，{v['precision']}），{limits}每秒可答"
        f" {v['per_s']:.3g} 次请求（{band}）；"
        f"最忙的一分钟里{times}{missed}；"
        f"{_KNOWN[v['known']].format(of=v['of'])}{watts}"
    )


def _sized(v: Values) -> str:
    parts = " + ".join(
        f"{pool} {n:,} 卡" + (f"（另有 {more:,} 卡备故障）" if more else "")
        for pool, n, more, *_ in v["pools"]
        if n or more
    )
    share = f"生产中按基准测试的 {v['derating']:g} 计（折减系数，假设值）"
    if v["balance"] != 1:
        share += f"，多种芯片合计按总和的 {v['balance']:g} 计（均衡系数）"
    return (
        f"{v['service']}：最忙的一分钟每秒 {v['peak_per_s']:,.4g} 次请求，"
        f"占用 {parts or '零卡'}；平均每秒 {v['mean_per_s']:,.4g} 次；{share}"
    )


def _percent(v: Values) -> str:
    """Return the share of requests beyond a limit; less than 0.01 % is below what is simulated."""
    missed = 100 * v["missed_frac"]
    return f"{missed:.2g} %" if missed >= 0.01 else "不到 0.01 %"


def _day(v: Values) -> str:
    missed = f"；全天 {_percent(v)} 的请求超出时延要求"
    pools = "；".join(f"{pool} {_times(v, *hours)}" for pool, *hours in v["pools"])
    return (
        f"{v['service']} 全天，按每小时平均速率计：{pools or '没有应答'}"
        f"{missed if v['has_limit'] else ''}"
    )


def _times(v: Values, ttft: tuple[float | None, ...], tpot: tuple[float | None, ...]) -> str:
    """Return the times that instances of a role take."""
    found = []
    if ttft:
        found.append(f"首 token 时间 {_ends(ttft)}（{100 * v['ttft_frac']:g} % 分位）")
    if tpot:
        found.append(f"其后每 token {_ends(tpot)}（{100 * v['tpot_frac']:g} % 分位）")
    return "，".join(found)


def _ends(hours: tuple[float | None, ...]) -> str:
    """Return the calmest and the busiest hour."""
    known = [hour for hour in hours if hour is not None]
    if not known:
        return "无"
    low, high = _s(min(known)), _s(max(known))
    return low if low == high else f"{low} 至 {high}"


def _filled_by(v: Values) -> str:
    how, unit, factor = {
        "cost": ("费用", f"{v['currency']}/千次请求", 1e3),
        "energy": ("能耗", "Wh/次请求", 1 / 3600),
        "carbon": ("碳排放", "克/次请求", 1e3),
    }[v["choose"]]
    pools = "、".join(f"{pool}（{factor * takes:.3g} {unit}）" for pool, takes in v["pools"])
    return f"{v['service']}：资源池按{how}由低到高依次占用：{pools}，按全天的平均负载计"


def _beside(v: Values) -> str:
    return f"在 {v['beside']} 之外" if "beside" in v else ""


SERVICES: dict[str, str | Callable[[Values], str]] = {
    "service_on_pool": _on_pool,
    "service_sized": _sized,
    "service_filled_by": _filled_by,
    "service_day": _day,
    "service_watts_of_training": lambda v: (
        f"{v['service']}：{'、'.join(v['pools'])} 上芯片的推理功率未知，按训练计"
    ),
    "service_layout_beyond": lambda v: (
        f"{v['service']} 在 {v['pool']}：{v['layout']} 超出已公布的数据"
        f"（{'张量并行' if v['what'] == 'tp' else '一个实例'}最多 {v['most']} 路，此处为"
        f" {v['n']}），其速度没有实测依据，区间未计入这一点"
    ),
    "service_trace_gap": lambda v: (
        f"{v['path']}：第 {v['line']:,} 行（{v['at_s']:,.6g} 秒）之后 {v['gap_s']:,.4g} 秒没有请求"
        + (f"，为 {v['n']} 段中最长的一段" if v["n"] > 1 else "")
        + f"；它计入 {v['span_s']:,.6g} 秒的平均速率；若当时服务中断或未记录，请删去这一段"
    ),
    "service_no_faults": "{service}：其资源池没有会停节点的故障，所要求的可用率不需要备件",
    "service_beyond_pools": lambda v: (
        f"{v['path']}：{v['n']:,.6g} {_UNITS[v['unit']]}多于其资源池（{'、'.join(v['pools'])}）"
        f"{_beside(v)}"
        f"所能提供的 {v['has']:,.6g}，其余始终缺少；{_LESS[v['unit']]}"
    ),
}


_FOR = {"both": "", "prefill": "（prefill）", "decode": "（decode）"}


def _up_to(high: float | None) -> str:
    return "以上" if high is None else f"至 {high:,.0f}"


def _takes(v: Values) -> str:
    parts = " + ".join(
        f"{pool} {n:,} 卡{_FOR[role]}" + ("" if low == high else f"（{low:,.0f} {_up_to(high)}）")
        for pool, n, low, high, role in v["parts"]
    )
    case = f"{v['case']}：" if v["case"] else ""
    wh = f"，每次请求站点能耗 {v['wh']} Wh" if v["wh"] else ""
    most = "至多" if any(role != "both" for *_, role in v["parts"]) else ""
    share = "" if v["missed_frac"] is None else _percent(v)
    missed = f"；全天{most} {share} 的请求超出时延要求" if share else ""
    return f"{case}{v['service']} 占用 {parts or '零卡'}{wh}{missed}。"


SERVICES_PHRASES: dict[str, str | Callable[[Values], str]] = {
    "service_takes": _takes,
    "fleet_over_time": "服务所在资源池的卡在做什么",
    "fleet_axis": "卡数",
    "fleet_serving": "服务中",
    "fleet_starting": "启动中",
    "fleet_draining": "排空中",
    "fleet_standing_by": "待命",
    "fleet_jobs": "作业占用",
    "fleet_idle": "空闲",
    "fleet_repair": "维修",
    "fleet_needed": "该小时所需",
}
