"""Words: what is said to a person, one catalogue for each language."""

from computeplan.report.words.sentences import phrase, sentence, sentences

__all__ = ["phrase", "sentence", "sentences"]
