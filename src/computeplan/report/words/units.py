"""How units are written, and their multiples: thousands in English, 万 and 亿 in Chinese."""

from __future__ import annotations

from collections.abc import Mapping

from computeplan.report.choices import Language

__all__ = ["MULTIPLES"]

_TIMES = {"d": ((1 / 1440, "min"), (1 / 24, "h"), (1.0, "d"))}
_BY_THOUSANDS = {
    "kWh": ("kWh", "MWh", "GWh", "TWh"),
    "USD": ("USD", "k USD", "M USD", "bn USD"),
    "CNY": ("CNY", "k CNY", "M CNY", "bn CNY"),
    "kg CO2e": ("kg CO2e", "t CO2e", "kt CO2e", "Mt CO2e"),
    "L": ("L", "m³", "k m³", "M m³"),
    "token/s": ("tok/s", "ktok/s", "Mtok/s", "Gtok/s"),
    "chip-h": ("chip-h", "k chip-h", "M chip-h", "bn chip-h"),
    "requests": ("requests", "k requests", "M requests", "bn requests"),
    "requests/d": ("requests/d", "k requests/d", "M requests/d", "bn requests/d"),
    "kWh/d": ("kWh/d", "MWh/d", "GWh/d", "TWh/d"),
    "USD/d": ("USD/d", "k USD/d", "M USD/d", "bn USD/d"),
    "CNY/d": ("CNY/d", "k CNY/d", "M CNY/d", "bn CNY/d"),
    "kg CO2e/d": ("kg CO2e/d", "t CO2e/d", "kt CO2e/d"),
    "kWh/job": ("kWh/job", "MWh/job", "GWh/job"),
    "kWh/Gtoken": ("kWh/Gtok", "MWh/Gtok", "GWh/Gtok"),
    "USD/Gtoken": ("USD/Gtok", "k USD/Gtok", "M USD/Gtok"),
    "CNY/Gtoken": ("CNY/Gtok", "k CNY/Gtok", "M CNY/Gtok"),
    "kg CO2e/Gtoken": ("kg CO2e/Gtok", "t CO2e/Gtok", "kt CO2e/Gtok"),
}
_TONNES = ((1.0, "kg CO2e"), (1e3, "吨 CO2e"), (1e7, "万吨 CO2e"))

MULTIPLES: Mapping[Language, Mapping[str, tuple[tuple[float, str], ...]]] = {
    "en": _TIMES
    | {
        unit: tuple((1000.0**i, name) for i, name in enumerate(names))
        for unit, names in _BY_THOUSANDS.items()
    },
    "zh": {
        "d": ((1 / 1440, "分钟"), (1 / 24, "小时"), (1.0, "天")),
        "h": ((1.0, "小时"),),
        "kWh": ((1.0, "kWh"), (1e4, "万kWh"), (1e8, "亿kWh")),
        "USD": ((1.0, "美元"), (1e4, "万美元"), (1e8, "亿美元")),
        "CNY": ((1.0, "元"), (1e4, "万元"), (1e8, "亿元")),
        "kg CO2e": _TONNES,
        "L": ((1.0, "升"), (1e3, "立方米"), (1e7, "万立方米")),
        "token/s": ((1.0, "token/s"), (1e4, "万 token/s"), (1e8, "亿 token/s")),
        "chip-h": ((1.0, "卡时"), (1e4, "万卡时"), (1e8, "亿卡时")),
        "jobs": ((1.0, "个"),),
        "requests": ((1.0, "次"), (1e4, "万次"), (1e8, "亿次")),
        "requests/d": ((1.0, "次/天"), (1e4, "万次/天"), (1e8, "亿次/天")),
        "Wh/request": ((1.0, "Wh/次"),),
        "USD/krequest": ((1.0, "美元/千次"),),
        "CNY/krequest": ((1.0, "元/千次"),),
        "g CO2e/request": ((1.0, "g CO2e/次"),),
        "kWh/Mtoken": ((1.0, "kWh/百万 token"),),
        "USD/Mtoken": ((1.0, "美元/百万 token"),),
        "CNY/Mtoken": ((1.0, "元/百万 token"),),
        "kg CO2e/Mtoken": ((1.0, "kg CO2e/百万 token"),),
        "kWh/d": ((1.0, "kWh/天"), (1e4, "万kWh/天"), (1e8, "亿kWh/天")),
        "USD/d": ((1.0, "美元/天"), (1e4, "万美元/天")),
        "CNY/d": ((1.0, "元/天"), (1e4, "万元/天")),
        "kg CO2e/d": tuple((size, f"{name}/天") for size, name in _TONNES),
        "kWh/job": ((1.0, "kWh/作业"), (1e4, "万kWh/作业")),
        "kWh/Gtoken": ((1.0, "kWh/Gtoken"), (1e4, "万kWh/Gtoken")),
        "USD/Gtoken": ((1.0, "美元/Gtoken"), (1e4, "万美元/Gtoken")),
        "CNY/Gtoken": ((1.0, "元/Gtoken"), (1e4, "万元/Gtoken")),
        "kg CO2e/Gtoken": tuple((size, f"{name}/Gtoken") for size, name in _TONNES),
    },
}
"""By unit of the table of quantities: size and name of its multiples, the smallest first."""
