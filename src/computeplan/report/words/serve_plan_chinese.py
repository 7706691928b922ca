"""What is said of fleets that serve a model, in Chinese, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SERVE_PLAN", "SERVE_PLAN_PHRASES"]

Values = Mapping[str, Any]


def _ms(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _limit(what: str) -> Callable[[Values], str]:
    def said(v: Values) -> str:
        if v["floor_s"] > v["asked_s"]:
            return (
                f"{what}至少需要 {_ms(v['floor_s'])}（{v['floor_layout']}："
                "字节数除以带宽，或 FLOP 除以峰值），"
                f"而要求为 {_ms(v['asked_s'])}"
            )
        later = (
            f"；其中 {_ms(v['later_s'])} 是公开数据中提示处理完之后的中位数" if v["later_s"] else ""
        )
        return (
            f"按公开数据拟合，{what}为 {_ms(v['limit_s'])}（{v['layout']}，无其他请求时{later}），"
            f"而要求为 {_ms(v['asked_s'])}"
        )

    return said


def _tail(v: Values) -> str:
    told = [
        f"{100 * v[f'{name}_frac']:g} % 分位的{what}为 {_ms(v[f'{name}_s'])}"
        for what, name in (("首词元时间", "ttft"), ("词元间隔", "tpot"))
        if v[f"{name}_s"] is not None
    ]
    return f"任何请求速率下都达不到要求：几乎无负载时，{'，'.join(told)}（{v['layout']}）"


SERVE_PLAN: dict[str, str | Callable[[Values], str]] = {
    "serve_no_room": lambda v: (
        f"没有能放下模型的布局：切成 {v['n_ranks']:,} 份时每份需要 {v['need_gib']:.1f} GiB，"
        f"而只有 {v['has_gib']:.1f} GiB（{v['precision']}）；可用更低位宽的权重或更短的长度"
    ),
    "serve_tpot_limit": _limit("词元间隔"),
    "serve_ttft_limit": _limit("首词元时间"),
    "serve_both_limits": lambda v: (
        f"没有同时满足两个要求的布局：按拟合，词元间隔最短为 {_ms(v['tpot_s'])}，"
        f"而另一布局的首词元时间最短为 {_ms(v['ttft_s'])}"
    ),
    "serve_tail": _tail,
    "serve_unserved": "目录中没有引擎有文档说明可在其上运行；场景中的服务可给出实测的步时间：{how}",
    "serve_no_engine": "没有已知的推理引擎；请给出 --engine 和 --precision",
}


_ROLES = {"both": "", "prefill": "预填充", "decode": "解码"}
_SHARED = {"both": "请求", "prefill": "提示", "decode": "回答"}


def _answer(v: Values) -> str:
    least = f"，按{v['by']}为 {v['n']} 种芯片中最优" if v["n"] > 1 else ""
    return f"{v['n_chips']} × {v['chip']}（{v['low']}～{v['high']}）：{v['roles']}{least}。"


def _answer_role(v: Values) -> str:
    return (
        f"{v['n_instances']} 个{_ROLES[v['role']]}实例，"
        f"每个 {v['each']} 卡（{v['layout']}），另有 {v['n_spares']} 个备用"
    )


def _mix_answer(v: Values) -> str:
    shares = f"；{v['shares']}，为各类芯片单独之和的 {v['efficiency']}" if v["shares"] else ""
    return f"{v['parts']}：{v['counted']}{shares}。"


SERVE_PLAN_PHRASES: dict[str, str | Callable[[Values], str]] = {
    "serve_answer": _answer,
    "serve_answer_role": _answer_role,
    "serve_between_roles": "；",
    "serve_prefill": "预填充",
    "serve_decode": "解码",
    "serve_mix_answer": _mix_answer,
    "serve_mix_shares": lambda v: f"{_SHARED[v['role']]}分配为 {v['shares']}",
    "serve_counted_cost": "每天 {n} {currency}",
    "serve_counted_energy": "每个请求 {n} Wh",
    "serve_counted_carbon": "每天 {n} kg",
    "serve_counted_chips": "{n} 卡",
    "serve_mix_short": "现有芯片在生产中共可承担每秒 {most} 个请求，而最忙一分钟要求为 {peak} 个。",
    "serve_mix_none": lambda v: (
        f"现有芯片{'放不下一个实例及其备用' if v['has_room'] else '放不下一个实例'}："
        f"{'；'.join(v['instances'])}。最忙一分钟要求每秒 {v['peak']} 个请求。"
    ),
    "serve_mix_instance": "每个实例需 {each} × {chip}，现有 {most}",
    "serve_mix_do": "{chips}：任一种（含备用）即可承担；也可放宽时延要求。",
    "serve_mix_part": lambda v: (
        f"{v['n_chips']} × {v['chip']}"
        + ("" if v["role"] == "both" else f"（{_ROLES[v['role']]}）")
    ),
    "serve_mix_unspared": "如不留备用可承担 {most} 个：缺的是可用性 {availability} 所需的备用；"
    "{chips} 即可，或降低 --availability。",
    "serve_by_cost": "成本",
    "serve_by_energy": "能耗",
    "serve_by_carbon": "碳排放",
    "serve_by_chips": "卡数",
    "serve_title": "{model}：每秒 {mean} 个请求，峰值 {peak}；输入 {n_in} 词元，输出 {n_out} 词元",
    "serve_chip": "芯片",
    "serve_layout": "布局",
    "serve_instances": "实例",
    "serve_chips": "卡数（90 %）",
    "serve_ttft": "首词元 s",
    "serve_tpot": "词元间隔 ms",
    "serve_wh": "Wh/请求",
    "serve_j": "J/输出词元",
    "serve_cost_tokens": "{currency}/百万\n输入、输出",
    "serve_cost_day": "{currency}/天",
    "serve_kg_tokens": "kg/百万\n输入、输出",
    "serve_kg_day": "kg/天",
    "serve_why": "{chip}：{why}。",
    "serve_faster": "{chip}：{engine}（效率借自别处）为 {n} 卡；{chosen} 所知更多。",
    "serve_layouts_title": "{chip}：{role}按每卡每秒请求数排列的布局",
    "serve_engine": "引擎",
    "serve_rate": "每实例\n请求/s",
    "serve_per_chip": "每卡",
    "serve_bound": "上界",
    "serve_counts": "{n_layouts} 种布局放得下模型；模拟了 {n_tried} 种，其中 {n_searched} 种求出"
    "最大速率：其余布局都不能使规模再小 1 %。",
    "serve_note_estimates": "首词元时间和词元间隔为 {ttft_percent} 和 {tpot_percent} % 分位；能耗"
    "为 {meter}口径的全天均值，地点 {site}（PUE {pue}）；推理功率由两种芯片拟合，其他芯片为估计。"
    "{how}",
    "serve_how_rent": "芯片成本按给出的租金。",
    "serve_how_bought": "芯片成本按报道价格分摊 5 年，为估计。",
    "serve_how_unknown": "以下芯片的{what}未知：{chips}。",
    "serve_by_number": "因此按卡数比较芯片。",
    "serve_lacks_rent": "没有价格：--rent",
    "serve_lacks_exchange": "货币不同：--exchange",
    "serve_lacks_electricity": "该地没有电价：换一个 --site",
    "serve_lacks_watts": "没有功耗上限",
    "serve_lacks_carbon": "该地没有碳排放数据：换一个 --site",
    "serve_note_borrowed": "没有自身实测数据：{chips}：带宽和峰值的效率借自别处，区间更宽。",
    "serve_note_derating": "假定生产中每个实例只达到基准的 {derating}（--derating），最忙一分钟为均"
    "值的 {peak} 倍（--peak）；长度的变异系数为输入 {cv_in}、输出 {cv_out}（--cv）。{drafts}",
    "serve_note_drafts": "每步每序列草拟 {draft} 个词元，得到 {accepted} 个"
    "（--draft、--accepted）。",
    "serve_meter_it": "IT ",
    "serve_searching": "{chip}：正在模拟 {layout}",
    "serve_figure_latency": "延迟与每卡负载",
    "serve_figure_frontier": "成本与词元间隔上限",
    "serve_figure_wh": "每请求能耗与批量",
    "serve_figure_load": "{model}，输入 {n_in} 词元，输出 {n_out} 词元",
    "serve_axis_per_chip": "每卡每秒请求数（未折减）",
    "serve_axis_ttft": "首词元时间 [s]",
    "serve_axis_tpot": "词元间隔 [ms]",
    "serve_axis_limit": "词元间隔上限，{percent} % 分位 [ms]",
    "serve_axis_cost": "每百万词元成本，输入输出同计 [{currency}]",
    "serve_axis_batch": "同时解码的序列数",
    "serve_axis_wh": "每请求 Wh（IT 口径）",
    "serve_how_latency": "实线：首词元 {ttft_percent} %、词元间隔 {tpot_percent} % 分位；虚线：中位"
    "数。\n圆点：满足全部要求的最大负载；灰线：要求的上限。",
    "serve_how_frontier": "每个上限取最优布局及其含备用的规模；首词元时间的要求不变。{more}",
    "serve_less_known": "\n虚线空心：常用的引擎或精度太慢，改用实测较少的。",
    "serve_unpriced": "\n价格未知：{chips}。",
    "serve_how_wh": "请求源源不断，不计备用。点线：词元间隔均值超过上限。",
    "serve_drawing": "{chip}：正在绘制 {figure}",
    "serve_not_drawn": "未绘制 {file}：{why}",
    "serve_no_price": "满足某一上限的芯片价格均未知（--rent）",
}
