"""Classifiers: what wordsight needs of one, and how to load one by name."""
