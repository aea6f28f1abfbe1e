"""Sentences -> words, counts, scores."""
