"""Language models, and the content words of English sentences."""
