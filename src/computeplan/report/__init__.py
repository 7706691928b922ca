"""What people look at: tables and figures of a Result, and of nothing else."""

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
"""The kinds of figures; here, so that a command can name them without loading matplotlib."""
