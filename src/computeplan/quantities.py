"""What is reported: one table of quantities, from which columns, headers and labels come.

A name carries its unit, values are SI or what people pay in (kWh, USD, days, hours), ratios are
fractions in [0, 1]. A quantity that does not exist in a run (the energy per token of a run that
kept none) is not a number there, never zero.

Long because it is one table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace

__all__ = [
    "FAULT_RATE",
    "INPUTS",
    "JOB_QUANTITIES",
    "PAID_FOR",
    "PHASES",
    "QUANTITIES",
    "SERVICE_STATES",
    "STEP_TIME",
    "TIMES",
    "Quantity",
    "in_currency",
    "significant",
    "time_of",
]

INPUTS = STEP_TIME, FAULT_RATE = "quantile_of_step_time_on_", "quantile_of_fault_rate_on_"
"""What the columns of uncertain inputs begin with, before the chip."""
TIMES = ("time_to_train_days", "makespan_days")
"""How long the work takes: of one job, of several."""
PHASES = ("train", "lost", "save", "restart", "blocked", "idle", "repair")
SERVICE_STATES = ("serving", "starting", "draining", "standing_by")
"""What chips do that a service holds."""


def time_of(n_jobs: int) -> str:
    """Return the quantity that says how long the work of so many jobs takes.

    Examples
    --------
    >>> time_of(1), time_of(3)
    ('time_to_train_days', 'makespan_days')
    """
    return TIMES[n_jobs > 1]


def significant(value: float, digits: int) -> str:
    """Return a number rounded to significant digits, with thousands separators.

    What is not finite reads ``-``.

    Examples
    --------
    >>> significant(0.93214, 3), significant(12_345_678.0, 4), significant(7.0, 3)
    ('0.932', '12,350,000', '7.00')
    """
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.{digits - 1}e}"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    if rounded and math.floor(math.log10(abs(rounded))) > digits - 1 - decimals:
        decimals -= 1  # 0.9996 with three digits became 1.000
    return f"{rounded:,.{max(decimals, 0)}f}"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One line of the table."""

    name: str
    """Column name; it carries the unit."""
    unit: str
    """Unit as people read it; empty for a count or a fraction."""
    label: str
    label_zh: str
    """What to write on an axis, without the unit."""
    about: str
    """The definition, one sentence."""
    digits: int = 3
    """Significant digits that a table shows."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Between which every value lies, whatever is drawn; None without such limits."""
        if self.name == "kept_frac":  # 1 of every job that is done, whatever is drawn
            return None
        return (0.0, 1.0) if self.name == "ettr" or self.name.endswith("_frac") else None

    def text(self, value: float) -> str:
        """Return a value rounded for reading.

        Examples
        --------
        >>> QUANTITIES["energy_kwh"].text(11_234_567.8), QUANTITIES["n_planned"].text(47.0)
        ('11,230,000', '47')
        """
        if self.name.startswith("n_") and float(value).is_integer():
            return f"{value:,.0f}"
        return significant(value, self.digits)

    def of_lines(self, lines: Collection[str]) -> Quantity:
        """Return the quantity under the labels that it has where money is more than electricity.

        Parameters
        ----------
        lines : collection of str
            What is paid for beside electricity, of `PAID_FOR`.

        Examples
        --------
        >>> cost = QUANTITIES["cost_usd"]
        >>> cost.of_lines([]).label, cost.of_lines(["chips", "data"]).label
        ('Electricity bill', 'Cost of electricity, chips, data')
        >>> cost.of_lines(["chips"]).label_zh
        '电费与芯片费用'

        Requests send no data between sites:

        >>> QUANTITIES["usd_per_krequest"].of_lines(["chips", "data"]).label
        'Cost of electricity and chips of 1,000 requests'
        """
        sends = not any(part in self.name for part in _OF_REQUESTS)
        lines = [what for what in lines if what != "data" or sends]
        paid = [words for what, words in PAID_FOR.items() if what in lines]
        if not paid or "Electricity bill" not in self.label:
            return self
        english, chinese = zip(*paid, strict=True)
        parts = ["electricity", *english]
        both = " and ".join(parts) if len(parts) == 2 else ", ".join(parts)
        label = self.label.replace("Electricity bill", f"Cost of {both}")
        return replace(
            self,
            label=label,
            label_zh=self.label_zh.replace("电费", f"电费与{'、'.join(chinese)}费用"),
        )

    def axis(self, language: str = "en", unit: str | None = None) -> str:
        """Return the label with its unit; `unit` replaces it where a plot shows a multiple.

        Examples
        --------
        >>> QUANTITIES["energy_kwh"].axis(unit="GWh")
        'Energy [GWh]'
        """
        label = self.label_zh if language == "zh" else self.label
        shown = self.unit if unit is None else unit
        return f"{label} [{shown}]" if shown else label


def _table(*lines: Quantity) -> dict[str, Quantity]:
    return {line.name: line for line in lines}


_OF_REQUESTS = ("_per_krequest", "_per_mtok_", "serving_")
"""In names of money of requests."""
PAID_FOR = {
    "chips": ("chips", "芯片"),
    "building": ("buildings", "建筑"),
    "data": ("data", "数据传输"),
}
"""What money may be paid for beside electricity, in both languages."""


def in_currency(name: str, currency: str) -> str:
    """Return the name that a quantity in USD has in another currency; any other stays.

    Examples
    --------
    >>> in_currency("cost_usd", "CNY"), in_currency("energy_kwh", "CNY")
    ('cost_cny', 'energy_kwh')
    """
    return re.sub(r"(?<![a-z])usd(?![a-z])", currency.lower(), name)


def _money(in_usd: Quantity) -> tuple[Quantity, ...]:
    """Return a quantity in each currency; a result has those of its scenario's."""
    in_cny = replace(
        in_usd, name=in_currency(in_usd.name, "CNY"), unit=in_usd.unit.replace("USD", "CNY")
    )
    return in_usd, in_cny


def _chip_h(phase: str, label: str, label_zh: str, about: str) -> Quantity:
    return Quantity(f"{phase}_chip_h", "chip-h", label, label_zh, about, 4)


QUANTITIES = _table(
    Quantity(
        "n_unexpected", "", "Unexpected interruptions", "意外中断次数",
        "Faults that stopped a job.",
    ),
    Quantity(
        "n_planned", "", "Planned stops", "计划内停机次数",
        "Stops of a job that were scheduled, such as maintenance.",
    ),
    Quantity(
        "n_slowdowns", "", "Slowdowns", "降速次数",
        "Faults that held a job back for a while and did not stop it.",
    ),
    Quantity(
        "n_idle_faults", "", "Faults outside jobs", "空闲节点故障次数",
        "Faults on chips that no job held; they stop nothing, but may take a spare.",
    ),
    Quantity(
        "n_node_repairs", "", "Node repairs", "节点维修次数",
        "Faults that took a node out of service until it was repaired.",
    ),
    Quantity(
        "n_from_start", "", "Starts from scratch", "从头重训次数",
        "Times that no kept checkpoint was older than the silent damage that was found.",
    ),
    Quantity(
        "n_retired", "", "Nodes retired", "退役节点数",
        "Nodes that were replaced by new ones after too many faults.",
    ),
    Quantity(
        "n_unfinished", "", "Unfinished jobs", "未完成作业数",
        "Jobs that had not finished when the run was cut, by `horizon` or `at_most`.",
    ),
    Quantity(
        "n_deadlines_missed", "", "Deadlines missed", "错过截止时间的作业数",
        "Jobs with a deadline that passed before they ended.",
    ),
    Quantity(
        "done_by_deadline_frac", "", "Done by the deadline", "按期完成的概率",
        "1 in a run in which all jobs with a deadline end by it, 0 in others; over the runs the "
        "probability. None where a run was cut before it was known.",
    ),
    Quantity(
        "time_to_train_days", "d", "Time to train", "训练时长",
        "Of a single job, from its arrival to the end of its work. Where the run was cut before, "
        "it is carried on at the pace of the run if the closed form says that the pace stays, and "
        "is else only known to be longer.", 4,
    ),
    Quantity(
        "makespan_days", "d", "Makespan", "总完工时间",
        "Of several jobs, from the first arrival to the last end; only known to be longer where "
        "the run was cut before.", 4,
    ),
    Quantity(
        "goodput_frac", "", "Goodput fraction", "有效产出占比",
        "Tokens kept / tokens that training at full size and speed would process from arrival to "
        "end, or to where the run was cut; jobs count by their chips. Where none shrinks or slows "
        "down, the ETTR.",
        4,
    ),
    Quantity(
        "ettr", "", "Effective training time ratio", "有效训练时间占比",
        "ETTR: kept training time / time from arrival to end, or to where the run was cut, "
        "queueing included; jobs count by their chips. The mean is over runs, each counting the "
        "same.", 4,
    ),
    Quantity(
        "available_frac", "", "Availability", "可用率",
        "Share of the time since jobs started in which they do not wait for nodes or power: they "
        "have all, or go on with fewer.", 4,
    ),
    Quantity(
        "held_frac", "", "Chips held by jobs", "作业占用芯片的比例",
        "Chip time that jobs hold / chip time of all pools, spares too, to the end of the window; "
        "the figure `utilisation` counts each case to its own end, without spares.",
    ),
    Quantity(
        "effective_frac", "", "Effective share of chips", "有效芯片占比",
        "Chip time that jobs hold, times their speed on that pool / on the pool where each is "
        "fastest / chip time of all pools to the end of the window; of several pools.",
    ),
    Quantity(
        "wall_days", "d", "Length of the run", "运行时长",
        "From time 0 to the end of the last job, or to where the run was cut.", 4,
    ),
    Quantity(
        "window_days", "d", "Window", "统计时长",
        "From time 0 to when energy, cost and carbon are counted: in each run the latest end over "
        "the cases that are compared, of those that are done.", 4,
    ),
    Quantity(
        "kept_gtok", "Gtoken", "Tokens trained", "有效训练 token 数",
        "Tokens processed, without those that a fault made a job repeat.", 4,
    ),
    Quantity(
        "kept_jobs", "jobs", "Jobs trained", "折合完成作业数",
        "Of a kind of chip: work kept on it / work of the job, summed over jobs, so that a job "
        "that moves counts on each in parts.",
    ),
    Quantity(
        "goodput_tok_per_s", "token/s", "Goodput", "有效吞吐量",
        "Tokens trained / time from the first arrival to the last end, or to where the run was "
        "cut; tokens that a fault made a job repeat count once.", 4,
    ),
    Quantity(
        "throughput_tok_per_s", "token/s", "Throughput", "训练吞吐量",
        "Tokens processed / time spent training, training that was lost included; of one job.", 4,
    ),
    Quantity(
        "energy_kwh", "kWh", "Energy", "能耗",
        "Energy of the sites to the end of the window: of jobs, services and idle chips, with "
        "nodes, network, cooling and power delivery (IT energy x PUE).", 4,
    ),
    Quantity(
        "energy_floor_kwh", "kWh", "Idle share of the energy", "能耗中的空闲部分",
        "What of the energy the same nodes would draw in the same time without any work: all of "
        "that of idle ones, of busy ones as much as they draw idle, of those in repair what they "
        "draw there.", 4,
    ),
    Quantity(
        "energy_jobs_kwh", "kWh", "Energy of jobs", "作业能耗",
        "Site energy of chips that jobs hold; it does not depend on other cases.", 4,
    ),
    Quantity(
        "energy_jobs_floor_kwh", "kWh", "Idle share of the energy of jobs", "作业能耗中的空闲部分",
        "What chips that jobs hold would draw idle in the same time.", 4,
    ),
    Quantity(
        "energy_idle_kwh", "kWh", "Energy of idle chips", "空闲芯片能耗",
        "Site energy of chips that no job holds, to the end of the window.", 4,
    ),
    *(
        Quantity(
            f"energy_{meter}{phase}_kwh", "kWh", f"{of}{label}", f"{of_zh}{label_zh}",
            f"{what} of jobs in the phase {phase}; the phases add up to that of jobs.", 4,
        )
        for meter, of, of_zh, what in (
            ("", "Energy of ", "", "Site energy"),
            ("it_", "IT energy of ", "IT 设备", "Energy of nodes and network"),
            ("chip_", "Chip energy of ", "芯片", "Energy of the accelerators alone"),
        )
        for phase, label, label_zh in (
            ("train", "training, kept", "有效训练能耗"),
            ("lost", "training, lost", "回退损失能耗"),
            ("save", "saving", "保存检查点能耗"),
            ("restart", "restarting", "重启能耗"),
            ("blocked", "blocked jobs", "等待节点能耗"),
        )
    ),
    *(
        Quantity(
            f"energy_{meter}_{whose}_kwh", "kWh", f"{of} energy of {label}",
            f"{of_zh}{label_zh}", f"As `energy_{whose}_kwh`, {what}.", 4,
        )
        for meter, of, of_zh, what in (
            ("it", "IT", "IT 设备", "without cooling and power delivery"),
            ("chip", "Chip", "芯片", "of the accelerators alone"),
        )
        for whose, label, label_zh in (
            ("idle", "idle chips", "空闲芯片能耗"),
            ("services", "services", "服务能耗"),
        )
    ),
    Quantity(
        "energy_services_kwh", "kWh", "Energy of services", "服务能耗",
        "Site energy of chips that services hold, which draw by their load if they state requests, "
        "else as in training, to the end of the "
        "window; by tenant to the end of the run.", 4,
    ),
    Quantity(
        "energy_services_floor_kwh", "kWh", "Idle share of the energy of services",
        "服务能耗中的空闲部分",
        "What chips that services hold would draw idle in the same time.", 4,
    ),
    Quantity(
        "energy_battery_kwh", "kWh", "Battery losses", "电池损耗",
        "What batteries take in the run, less what they give back and what is still in them at "
        "its end. Part of the energy of the site.", 4,
    ),
    Quantity(
        "energy_stored_kwh", "kWh", "Left in batteries", "电池剩余电量",
        "What is still in batteries at the end of the run, after the loss of charging. Part of the "
        "energy of the site.", 4,
    ),
    Quantity(
        "energy_it_kwh", "kWh", "Energy of IT", "IT 设备能耗",
        "Energy of nodes and network to the end of the window, without cooling and power "
        "delivery.", 4,
    ),
    Quantity(
        "energy_it_floor_kwh", "kWh", "Idle share of the energy of IT", "IT 设备能耗中的空闲部分",
        "What of the energy of nodes and network is drawn whatever they do, as in "
        "`energy_floor_kwh`.", 4,
    ),
    Quantity(
        "energy_chip_kwh", "kWh", "Energy of chips alone", "芯片能耗",
        "Energy of the accelerators alone, to the end of the window.", 4,
    ),
    Quantity(
        "energy_chip_floor_kwh", "kWh", "Idle share of the energy of chips alone",
        "芯片能耗中的空闲部分",
        "What of the energy of the accelerators is drawn whatever they do, as in "
        "`energy_floor_kwh`.", 4,
    ),
    Quantity(
        "kwh_per_gtok", "kWh/Gtoken", "Energy per Gtoken trained", "单位 token 能耗",
        "Energy of jobs / tokens trained: it depends neither on other cases nor on when a run is "
        "cut.", 4,
    ),
    Quantity(
        "kwh_per_job", "kWh/job", "Energy per job trained", "单作业能耗",
        "Of a kind of chip: energy of jobs on it / jobs trained on it, as far as they were.", 4,
    ),
    *_money(Quantity(
        "cost_usd", "USD", "Electricity bill", "电费",
        "Electricity, the charge for the highest demand, rent and purchase of chips, buildings and "
        "data between sites, as far as each is given, to the end of the window; where it is more "
        "than electricity, its name says of what.", 4,
    )),
    *_money(Quantity(
        "cost_jobs_usd", "USD", "Electricity bill of jobs", "作业电费",
        "Of chips that jobs hold; it does not depend on other cases.", 4,
    )),
    *_money(Quantity(
        "cost_idle_usd", "USD", "Electricity bill of idle chips", "空闲芯片电费",
        "Of chips that no job holds, to the end of the window.", 4,
    )),
    *_money(Quantity(
        "electricity_usd", "USD", "Electricity", "用电费用",
        "Site energy times its price, of every hour where it varies, to the end of the window.", 4,
    )),
    *_money(Quantity(
        "demand_usd", "USD", "Demand charge", "需量电费",
        "Highest draw of the site in each calendar month times its charge, for the part of the "
        "month that the run covers, shared by energy; after a run that of a steady draw. None "
        "where no charge is given.", 4,
    )),
    *_money(Quantity(
        "rent_usd", "USD", "Rent of chips", "芯片租金",
        "Chip time times its rent, spares and idle chips included, to the end of the window; none "
        "where no rent is given.", 4,
    )),
    *_money(Quantity(
        "usd_per_gtok", "USD/Gtoken", "Electricity bill per Gtoken trained", "单位 token 电费",
        "Electricity of jobs, and their rent where one is given / tokens trained.", 4,
    )),
    *_money(Quantity(
        "purchase_usd", "USD", "Purchase of chips", "芯片购置分摊",
        "Chip time times the price of a chip over its life, spares and idle chips included, to the "
        "end of the window; none where no purchase is given.", 4,
    )),
    *_money(Quantity(
        "building_usd", "USD", "Buildings", "建筑与机电分摊",
        "Chip time times the price of the building for what a chip draws at most, over its life, "
        "spares and idle chips included, to the end of the window; none where it is not given.", 4,
    )),
    *_money(Quantity(
        "sent_usd", "USD", "Data between sites", "站点间传输费",
        "Data, states and gradients of jobs that leave a site times its price; none where no price "
        "is given.", 4,
    )),
    Quantity(
        "carbon_kg", "kg CO2e", "Carbon", "碳排放",
        "Carbon of the electricity of the sites, to the end of the window.", 4,
    ),
    Quantity(
        "carbon_jobs_kg", "kg CO2e", "Carbon of jobs", "作业碳排放",
        "Carbon of chips that jobs hold; it does not depend on other cases.", 4,
    ),
    Quantity(
        "carbon_idle_kg", "kg CO2e", "Carbon of idle chips", "空闲芯片碳排放",
        "Carbon of chips that no job holds, to the end of the window.", 4,
    ),
    Quantity(
        "carbon_market_kg", "kg CO2e", "Carbon, market based", "碳排放（市场法）",
        "Carbon of the electricity by contracts, to the end of the window: none of what is bought "
        "as green power, the residual factor for all else.", 4,
    ),
    Quantity(
        "embodied_kg", "kg CO2e", "Embodied carbon", "隐含碳",
        "Carbon of making the chips and their servers, by their time over their life, to the end "
        "of the window; in no sum.", 4,
    ),
    Quantity(
        "water_site_l", "L", "Water on site", "现场用水",
        "IT energy times the water for cooling, to the end of the window.", 4,
    ),
    Quantity(
        "water_grid_l", "L", "Water of power stations", "发电用水",
        "Site energy times the water of power stations, to the end of the window.", 4,
    ),
    Quantity(
        "kg_per_gtok", "kg CO2e/Gtoken", "Carbon per Gtoken trained", "单位 token 碳排放",
        "Carbon of jobs / tokens trained.", 4,
    ),
    Quantity(
        "mean_jct_h", "h", "Mean job completion time", "平均作业完成时间",
        "Mean over jobs of end - arrival.",
    ),
    Quantity(
        "mean_wait_h", "h", "Mean wait", "平均排队时间",
        "Mean over jobs of the time in the queue, without chips.",
    ),
    *(
        Quantity(
            f"jct_p{p}_h", "h", f"Job completion time, {p}th percentile", f"作业完成时间 {p} 分位",
            f"The {p}th percentile over jobs of end - arrival; none where one is unfinished.",
        )
        for p in (50, 95, 99)
    ),
    Quantity(
        "mean_slowdown_x", "x", "Mean slowdown", "平均减速比",
        "Mean over jobs of the completion time / the expected time of the job alone on its best "
        "pool.",
    ),
    Quantity(
        "fairness_p95_x", "x", "Finish-time fairness, 95th percentile", "完成时间公平性 95 分位",
        "The 95th percentile over jobs of the completion time / that with an equal share of every "
        "pool: one of m, the mean number of jobs there while it was; above 1 it did worse.",
    ),
    Quantity(
        "n_preemptions", "", "Preemptions", "抢占次数",
        "Times that a job saved, gave back its chips and waited again.",
    ),
    Quantity(
        "n_quota_violations", "", "Quota violations", "配额违规次数",
        "Times that a tenant began to hold more of a pool than its quota (more than nothing, if it "
        "has none) while a job that fits in the rest of another tenant's quota waited for lack of "
        "free nodes there. To borrow what nobody so waits for is none.",
    ),
    Quantity(
        "idle_while_waiting_frac", "", "Chips idle while jobs wait", "有作业等待时的空闲芯片占比",
        "Chip time that no job holds while one waits / chip time of all pools to the end of the "
        "run: what fragmentation, reservations and quotas leave unused.",
    ),
    Quantity(
        "beyond_least_groups", "groups", "Groups beyond the least", "超出最少组数的组数",
        "Mean over starts of the groups of nodes on which the job lies beyond the least that could "
        "hold it; of pools with `placement`.",
    ),
    Quantity(
        "spread_frac", "", "Chip time on more groups than needed", "跨组分散的芯片时间占比",
        "Share of the chip time of jobs while they lie on more groups of nodes than the least that "
        "could hold them; of pools with `placement`.",
    ),
    Quantity(
        "idle_in_parts_frac", "", "Idle chips in parts of groups", "零散空闲芯片占比",
        "Share of idle chip time in groups of which other nodes are held or in repair, so that no "
        "job can have the whole group; of pools with `placement`, to the end of the run.",
    ),
    Quantity(
        "peak_power_kw", "kW", "Peak power", "峰值功率",
        "The most that all sites take from outside at a time, at the PUE of the hour, if all chips "
        "that jobs hold train, as fast as power caps and limits let them, services draw by their "
        "load, and others idle; what batteries take counts, and what they give is taken off. A "
        "demand charge counts the same, by site and month.",
    ),
    _chip_h("held", "Chip-hours of jobs", "作业卡时", "Chip time that jobs hold, in all phases."),
    _chip_h(
        "effective", "Effective chip-hours", "有效作业卡时",
        "Chip time that jobs hold, times their speed on that pool / on the pool where each is "
        "fastest; of several pools.",
    ),
    _chip_h(
        "over_quota", "Chip-hours beyond quotas", "超配额卡时",
        "Chip time that tenants held beyond their quota of a pool in violation of another's; see "
        "`n_quota_violations`.",
    ),
    _chip_h(
        "service", "Chip-hours of services", "服务卡时",
        "Chip time that services hold to the end of the window, as all that they do; by tenant to "
        "the end of the run.",
    ),
    _chip_h(
        "service_lacked", "Chip-hours that services lacked", "服务欠缺卡时",
        "Chip time that services needed by the hour and did not have.",
    ),
    _chip_h(
        "service_serving", "Chip-hours serving", "在线服务卡时",
        "Chip time of services that the need of the hour lies on, of nodes that have started; in "
        "whole instances.",
    ),
    _chip_h(
        "service_starting", "Chip-hours starting", "服务启动卡时",
        "Chip time that services hold and that does not serve yet: from when nodes are taken, or "
        "stand in for one that was lost, until their instance has started.",
    ),
    _chip_h(
        "service_draining", "Chip-hours draining", "服务排空卡时",
        "Chip time that services hold only because the answers of its last hour are not over.",
    ),
    _chip_h(
        "service_standing_by", "Chip-hours standing by", "服务待命卡时",
        "Chip time of services that has started and that the hour does not need: the least, what "
        "is held for peaks and for faults, and what is ready before its hour.",
    ),
    _chip_h(
        "lent", "Chip-hours lent", "出借卡时",
        "Chip time that jobs hold, in all phases, of chips that services hold where they need most "
        "and not at the time; jobs are taken to fill first what no service ever asks for.",
    ),
    _chip_h(
        "beside", "Chip-hours of jobs beside services", "服务旁作业卡时",
        "Chip time that jobs hold, in all phases, on the pools on which services run: chips that "
        "services lend, and chips that they never ask for.",
    ),
    _chip_h(
        "beside_kept", "Training gained beside services", "服务旁有效训练卡时",
        "Chip time of kept training on the pools on which services run.",
    ),
    _chip_h(
        "beside_paid", "Overheads of jobs beside services", "服务旁作业开销卡时",
        "Chip time that jobs hold on the pools on which services run and that is no kept training: "
        "saves (those that they make anyway too), restarts, lost work, standing still.",
    ),
    Quantity(
        "requests_missed_frac", "", "Requests beyond what is ready", "超出就绪能力的请求占比",
        "Share of the requests of services that arrive beyond what the instances that are ready "
        "serve as promised, by the rate of the hour; single requests are not simulated.",
    ),
    Quantity(
        "requests_again_per_m", "1/M requests", "Requests that begin again", "因故障重新开始的请求",
        "Of a million requests of services, those that an instance was answering, or whose prompts "
        "it was taking in, when a fault took it: these are taken in again on others. As many as it "
        "has at once at the load of the hour, on the mean; what they take of others is not "
        "counted.",
    ),
    Quantity(
        "requests_answered", "requests", "Requests answered", "已答请求数",
        "Requests of services that state them, without those beyond what is ready, to the end of "
        "the window.", 4,
    ),
    Quantity(
        "requests_per_day", "requests/d", "Requests answered a day", "日均已答请求数",
        "The same over the length of the window.", 4,
    ),
    *(
        Quantity(
            f"wh_{meter}per_request", "Wh/request", f"{of} of a request", f"每次请求{of_zh}",
            f"{what} of all chips that services with requests hold, those that wait for requests "
            "too, over requests answered.",
        )
        for meter, of, of_zh, what in (
            ("", "Energy", "能耗", "Site energy"),
            ("it_", "IT energy", " IT 设备能耗", "Energy of nodes and network"),
            ("chip_", "Chip energy", "芯片能耗", "Energy of the accelerators alone"),
        )
    ),
    *_money(Quantity(
        "usd_per_krequest", "USD/krequest", "Electricity bill of 1,000 requests", "每千次请求电费",
        "Electricity, and rent or purchase of chips and buildings where given, of services with "
        "requests, over requests answered, in the run itself; if it is more than electricity, it "
        "is called so.",
    )),
    Quantity(
        "g_per_request", "g CO2e/request", "Carbon of a request", "每次请求碳排放",
        "Carbon of the energy of services with requests, over requests answered.",
    ),
    *(
        quantity
        for end, label, label_zh, of in (
            ("in", "input", "输入", "prompts"), ("out", "output", "输出", "answers"),
        )
        for quantity in (
            Quantity(
                f"kwh_per_mtok_{end}", "kWh/Mtoken", f"Energy of a million {label} tokens",
                f"每百万{label_zh} token 能耗",
                f"Site energy of services with requests that falls on {of}, by their time in "
                f"steps, over {label} tokens; chips that wait are shared out alike.",
            ),
            *_money(Quantity(
                f"usd_per_mtok_{end}", "USD/Mtoken",
                f"Electricity bill of a million {label} tokens",
                f"每百万{label_zh} token 电费",
                f"What of the cost of services with requests falls on {of}, by their time in steps,"
                f" over {label} tokens.",
            )),
            Quantity(
                f"kg_per_mtok_{end}", "kg CO2e/Mtoken", f"Carbon of a million {label} tokens",
                f"每百万{label_zh} token 碳排放",
                f"What of the carbon of services with requests falls on {of}, by their time in "
                f"steps, over {label} tokens.",
            ),
        )
    ),
    Quantity(
        "serving_kwh_per_day", "kWh/d", "Energy of requests a day", "请求日均能耗",
        "Site energy of services with requests over the window.", 4,
    ),
    *_money(Quantity(
        "serving_usd_per_day", "USD/d", "Electricity bill of requests a day", "请求日均电费",
        "Electricity, and rent or purchase of chips and buildings where given, of services with "
        "requests, over the window.", 4,
    )),
    Quantity(
        "serving_kg_per_day", "kg CO2e/d", "Carbon of requests a day", "请求日均碳排放",
        "Carbon of services with requests over the length of the run.", 4,
    ),
    _chip_h("train", "Training, kept", "有效训练", "Chip time of training that was kept."),
    _chip_h(
        "lost", "Training, lost", "回退损失",
        "Chip time of training thrown away: last completed save to fault.",
    ),
    _chip_h("save", "Saving", "保存检查点", "Chip time standing still to save."),
    _chip_h(
        "restart", "Restarting", "重启", "Chip time from a fault to the first new step."
    ),
    _chip_h(
        "blocked", "Blocked", "等待节点",
        "Chip time held by a job that cannot train because it lacks a node, or all power, or by "
        "the nodes of a job that goes on without them.",
    ),
    _chip_h(
        "idle", "Idle", "空闲",
        "Chip time of healthy chips that no job holds, to the end of the window.",
    ),
    _chip_h(
        "repair", "In repair", "维修",
        "Chip time of nodes in repair, to the end of the window: those in repair when the run ends "
        "are taken to stay there.",
    ),
)  # fmt: skip
"""What is reported per case and run, in the order of the columns."""

JOB_QUANTITIES = _table(
    Quantity("wait_h", "h", "Wait", "排队时间", "Time in the queue, without chips."),
    Quantity("jct_h", "h", "Job completion time", "作业完成时间", "End - arrival."),
    Quantity("start_h", "h", "Start", "开始时间", "First start, counted from the run's start."),
    Quantity(
        "end_h", "h", "End", "结束时间", "End, counted from the run's start; none if unfinished."
    ),
    Quantity("kept_frac", "", "Work kept", "完成比例", "Tokens kept / tokens of the job.", 4),
    Quantity(
        "done_by_deadline_frac",
        "",
        "Done by the deadline",
        "按期完成的概率",
        "1 in a run in which the job ends by its deadline, 0 where it does not.",
    ),
)
"""What is reported per job. ``pool`` (text: where the job ran) stands beside these numbers."""
