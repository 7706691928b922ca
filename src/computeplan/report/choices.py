"""What a person can choose of a report; here, so that a command can name it and load nothing."""

from typing import Literal

__all__ = ["FIGURES", "Language"]

Language = Literal["en", "zh"]
"""Of labels and heads."""

FIGURES = (
    "goodput",
    "time_to_train",
    "energy",
    "carbon",
    "throughput_energy",
    "timeline",
    "wall_time",
)
"""The kinds of figures."""
