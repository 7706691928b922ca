"""Words: what notes say to a person, one table for each language."""

from computeplan.report.words.sentences import sentence, sentences

__all__ = ["sentence", "sentences"]
