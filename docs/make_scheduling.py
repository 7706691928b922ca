"""Make the picture "same trace, twelve policies" of docs/scheduling.md.

``python docs/make_scheduling.py`` plays one scenario, which stands below, under twelve policies and
draws what came of it: a panel a measure, a row a policy. It takes about a minute.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import computeplan as cp
from computeplan.report.style import style

__all__ = ["SCENARIO", "main", "measures", "picture"]

PICTURE = Path(__file__).resolve().parent / "scheduling.png"
COLOURS = 256
WIDTH_IN, HEIGHT_IN, DPI = 10.0, 4.3, 150
BAR, BEST = "#9DB9D6", "#0072B2"  # the best of a panel stands out (Okabe and Ito's blue)

PANELS: Mapping[str, tuple[str, float, int]] = {  # quantity -> title, scale, decimals
    "mean_jct_h": ("Mean completion\ntime [h]", 1.0, 1),
    "makespan_days": ("Makespan [d]", 1.0, 2),
    "energy_kwh": ("Energy [MWh]", 1e-3, 1),
    "fairness_p95_x": ("Fairness: time beside\nan equal share, p95", 1.0, 2),
    "n_deadlines_missed": ("Deadlines missed", 1.0, 1),
}
POLICIES = (
    "fifo",
    "fifo-backfill",
    "conservative-backfill",
    "shortest-first",
    "shortest-remaining",
    "capacity",
    "fastest-first",
    "least-energy",
    "max-min-fairness",
    "finish-time-fairness",
    "min-makespan",
    "max-throughput",
)
"""From queues to shares, in the order of the table in docs/scheduling.md."""
RESTARTS = {"restart_cost": "2 min"}
ROUNDS = {"round": "30 min", **RESTARTS}
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "shortest-remaining": RESTARTS,
    "capacity": RESTARTS,
    "max-min-fairness": ROUNDS,
    "finish-time-fairness": ROUNDS,
    "min-makespan": ROUNDS,
    "max-throughput": ROUNDS,
}
"""What stops cost beside their saves; rounds of 6 min would stop each job some sixty times."""

SAVES = {"every": "30 min", "stall": "20 s"}
SIZES = {16: 0.4, 32: 0.3, 64: 0.2, 128: 0.1}
SORTS: Mapping[str, tuple[int, Mapping[str, float]]] = {  # jobs, speed beside the H100
    "dense": (70, {"nvidia/h200": 1.1, "huawei/ascend-910b2": 0.3, "huawei/ascend-910c": 0.6}),
    "decode": (40, {"nvidia/h200": 1.4, "huawei/ascend-910b2": 0.5, "huawei/ascend-910c": 0.95}),
    "nvidia-only": (40, {"nvidia/h200": 1.1}),
}
"""Estimates: nearly by peak, by memory bandwidth, and with software that is not ported."""
WATTS_910C = {"meter": "node", "compute": "1.4 kW", "load": "0.7 kW", "idle": "0.5 kW"}
"""Estimates, below 14.6 kW for a node of eight at most; no TDP of the chip is published."""
SCENARIO: dict[str, Any] = {
    "computeplan": 1,
    "name": "twelve-policies",
    "sites": {
        "north": {
            "pue": 1.3,
            "pools": {
                "h100": {"chip": "nvidia/h100-sxm", "chips": 128, "spares": "1 node"},
                "h200": {"chip": "nvidia/h200", "chips": 128, "spares": "1 node"},
            },
        },
        "west": {
            "pue": 1.15,
            "pools": {
                "910b2": {"chip": "huawei/ascend-910b2", "chips": 256, "spares": "2 nodes"},
                "910c": {
                    "chip": "huawei/ascend-910c",
                    "chips": 128,
                    "spares": "1 node",
                    "power": dict(WATTS_910C),
                },
            },
        },
    },
    "faults": {
        "node": {
            "rate": "8 / 1000 node-days",
            "takes": "node",
            "restart": "10 min",
            "repair": {"lognormal": {"median": "20 h", "p90": "5 d"}},
        }
    },
    "tenants": {
        "large": {"quota": {"h100": 64, "h200": 64, "910b2": 128, "910c": 64}},
        "middle": {"quota": {"h100": 32, "h200": 32, "910b2": 96, "910c": 32}},
        "small": {"quota": {"h100": 32, "h200": 32, "910b2": 32, "910c": 32}},
    },
    "workloads": {
        name: {
            "jobs": n_jobs,
            "arrivals": {"per_day": n_jobs / 3.0},
            "chips": SIZES,
            "length": {"lognormal": {"median": "6 h", "p95": "18 h"}},
            "tenants": {"large": 0.6, "middle": 0.3, "small": 0.1},
            "deadline": {"slack": 6},
            "on": "nvidia/h100-sxm",
            "speed": dict(speed),
            "checkpoint": SAVES,
        }
        for name, (n_jobs, speed) in SORTS.items()
    },
    "policy": "fifo",
    "cases": {n: {"policy": {"name": n, **SETTINGS.get(n, {})}} for n in POLICIES},
    "simulate": {"runs": 2, "seed": 21, "engine": "event"},
}


def measures(result: Any) -> dict[str, list[float]]:
    """Return what is drawn: for each quantity the mean over the runs, by policy."""
    cases = [result.case(name) for name in POLICIES]
    return {
        name: [case.estimate(name).mean * scale for case in cases]
        for name, (_, scale, _) in PANELS.items()
    }


def picture(found: Mapping[str, list[float]]) -> bytes:
    """Return the picture as a PNG of 256 colours."""
    with mpl.rc_context(style()):
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
        figure.suptitle(
            "Same trace, twelve policies: less is better, the best is dark", fontsize=12
        )
        for axes, name in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS, strict=True):
            title, _, decimals = PANELS[name]
            _panel(axes, title, [round(value, decimals) for value in found[name]], decimals)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    few = Image.open(drawn).convert("RGB")
    few = few.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    out = io.BytesIO()
    few.save(out, "PNG", optimize=True)
    return out.getvalue()


def _panel(axes: Axes, title: str, values: list[float], decimals: int) -> None:
    rows, best = range(len(values)), min(values)
    is_best = [value == best for value in values]
    axes.barh(rows, values, height=0.7, color=[BEST if one else BAR for one in is_best])
    for row, (value, one) in enumerate(zip(values, is_best, strict=True)):
        axes.text(
            value, row, f" {value:.{decimals}f}", va="center", color=BEST if one else "#333333"
        )
    axes.set_title(title, fontsize=10)
    axes.set_yticks(rows, POLICIES)
    axes.set_ylim(len(values) - 0.4, -0.6)  # the first row on top
    axes.set_xlim(0, 1.35 * max(values))
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines["bottom"].set_visible(False)


def main() -> None:
    """Play, and draw."""
    PICTURE.write_bytes(picture(measures(cp.run(cp.load(SCENARIO)))))


if __name__ == "__main__":
    main()
