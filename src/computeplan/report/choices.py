"""What a person can choose of a report; here, so that a command can name it and load nothing."""

from typing import Literal

__all__ = ["FIGURES", "Language"]

Language = Literal["en", "zh"]
"""Of labels and heads."""

FIGURES = (
    "goodput",
    "time",
    "ettr",
    "availability",
    "energy",
    "cost",
    "carbon",
    "energy_by_phase",
    "cost_by_site",
    "carbon_by_site",
    "cost_carbon",
    "ratios",
    "throughput_energy",
    "time_distribution",
    "completion_times",
    "tradeoff",
    "timeline",
    "pools",
    "utilisation",
    "power",
    "fleet",
)
"""The kinds of figures."""
