"""Words: what notes say to a person, one table for each language."""

from computeplan.report.words.sentences import sentence

__all__ = ["sentence"]
