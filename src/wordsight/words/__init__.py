"""Sentences -> words, counts, scores."""

#: Where word rates may come from: sampled sentences, the translator's word head, or both.
SOURCES = ("both", "sentences", "head")
