"""Results -> figures, HTML for notebooks, and pages."""
