"""Words: what is said to a person, one catalogue for each language."""

from computeplan.report.words.sentences import layout_words, phrase, sentence, sentences

__all__ = ["layout_words", "phrase", "sentence", "sentences"]
