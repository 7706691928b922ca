"""What people look at: tables and figures of a Result, and of nothing else."""

from computeplan.report.choices import FIGURES, Language

__all__ = ["FIGURES", "Language"]
